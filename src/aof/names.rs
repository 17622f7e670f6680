//! Where the files of the log are, relative to the working directory.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::disk::{Disk, Open};
use super::manifest::{Manifest, ManifestError};
use super::os_error_text;
use crate::util::Logged;

/// Names that follow from `appenddirname` and `appendfilename`.
#[derive(Clone, Debug)]
pub struct Names {
    /// The directory.
    pub dir: PathBuf,
    /// What the names of all files begin with; older versions wrote the one
    /// file of this name outside of the directory.
    pub prefix: Vec<u8>,
}

/// Why the manifest on disk could not be read.
#[derive(Debug)]
pub enum ReadError {
    /// It could not be opened or read.
    Io(std::io::Error),
    /// It makes no sense.
    Wrong(ManifestError),
}

/// Why the manifest on disk is not the new one for certain; it has been logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteError {
    /// The old one is there.
    Unchanged,
    /// The new one is, but the old one may be back after a power cut: what
    /// either of them names must stay.
    Unsynced,
}

impl From<WriteError> for Logged {
    fn from(_: WriteError) -> Logged {
        Logged
    }
}

fn failed(what: String, error: std::io::Error) -> WriteError {
    tracing::warn!("{what}: {}", os_error_text(&error));
    WriteError::Unchanged
}

fn file_name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// A name as text for logs.
pub fn shown(name: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(name)
}

impl Names {
    /// From the directives.
    pub fn new(dirname: &[u8], filename: &[u8]) -> Names {
        Names {
            dir: PathBuf::from(OsStr::from_bytes(dirname)),
            prefix: filename.to_vec(),
        }
    }

    /// The path of a file in the directory.
    pub fn path(&self, name: &[u8]) -> PathBuf {
        self.dir.join(OsStr::from_bytes(name))
    }

    /// The path of the one file of older versions.
    pub fn old_file(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.prefix))
    }

    /// The name of the manifest.
    pub fn manifest(&self) -> Vec<u8> {
        [&self.prefix[..], b".manifest"].concat()
    }

    /// The name under which changes are written while the first base is.
    pub fn temporary_incr(&self) -> Vec<u8> {
        [b"temp-", &self.prefix[..], b".incr"].concat()
    }

    /// The manifest on disk; an empty one when there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read_manifest(&self) -> Result<Manifest, ReadError> {
        let path = self.path(&self.manifest());
        if !path.exists() {
            tracing::debug!("The AOF manifest file {} doesn't exist", path.display());
            return Ok(Manifest::default());
        }
        let bytes = std::fs::read(path).map_err(ReadError::Io)?;
        Manifest::parse(&bytes).map_err(ReadError::Wrong)
    }

    /// Replaces the manifest on disk in one go: either the old one is there
    /// after a crash or the new one is.
    ///
    /// # Errors
    /// When a step failed; it is logged.
    pub fn write_manifest(&self, disk: &dyn Disk, manifest: &Manifest) -> Result<(), WriteError> {
        self.prepare_manifest(disk, manifest)?;
        self.place_manifest(disk)?;
        // Files may have been added to the directory, too.
        disk.sync_dir(&self.dir).map_err(|error| {
            failed(
                format!("Fail to fsync AOF directory {}", self.dir.display()),
                error,
            );
            WriteError::Unsynced
        })
    }

    /// Where a manifest is until it is in force.
    pub fn temporary_manifest(&self) -> PathBuf {
        self.path(&[b"temp-", &self.manifest()[..]].concat())
    }

    /// Puts a manifest on disk under a temporary name.
    ///
    /// # Errors
    /// When a step failed; it is logged.
    pub fn prepare_manifest(&self, disk: &dyn Disk, manifest: &Manifest) -> Result<(), WriteError> {
        let temporary_path = self.temporary_manifest();
        let temporary = file_name(&temporary_path);
        let file = disk
            .open(&temporary_path, Open::Truncate)
            .map_err(|error| {
                failed(
                    format!("Can't open the AOF manifest file {temporary}"),
                    error,
                )
            })?;
        file.write_all(&manifest.format()).map_err(|(_, error)| {
            let what = format!("Error trying to write the temporary AOF manifest file {temporary}");
            failed(what, error)
        })?;
        file.sync().map_err(|error| {
            failed(
                format!("Fail to fsync the temp AOF file {temporary}"),
                error,
            )
        })?;
        Ok(())
    }

    /// Gives a prepared manifest the name of the one in force.
    ///
    /// # Errors
    /// When it could not be; it is logged.
    pub fn place_manifest(&self, disk: &dyn Disk) -> Result<(), WriteError> {
        let name = self.manifest();
        let (temporary_path, path) = (self.temporary_manifest(), self.path(&name));
        let (temporary, name) = (file_name(&temporary_path), shown(&name));
        disk.rename(&temporary_path, &path).map_err(|error| {
            let what = format!(
                "Error trying to rename the temporary AOF manifest file {temporary} into {name}"
            );
            failed(what, error)
        })
    }
}
