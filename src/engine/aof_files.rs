//! What a rewrite of the append-only file does to files, beside the engine:
//! those that it begins with, and those that it ends with.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::aof::shown;
use crate::aof::rewrite::{RewriteOptions, as_commands};
use crate::aof::{Disk, DiskFile, Manifest, Names, Open, WriteError, os_error_text};
use crate::util::Logged;

/// The file of changes that a rewrite begins with, and the manifest that names
/// it, which waits under a temporary name.
pub(super) struct Preparation {
    disk: Arc<dyn Disk>,
    pub(super) names: Names,
    /// The files as they are.
    known: Manifest,
    /// The files as they will be.
    pub(super) manifest: Manifest,
    /// The name of the file.
    pub(super) incr: Vec<u8>,
}

impl Preparation {
    /// Of the files that a manifest names.
    pub(super) fn new(disk: Arc<dyn Disk>, names: Names, known: &Manifest) -> Preparation {
        let mut manifest = known.clone();
        let incr = manifest.new_incr(&names.prefix);
        Preparation {
            disk,
            names,
            known: known.clone(),
            manifest,
            incr,
        }
    }

    /// Makes the file and writes the manifest.
    ///
    /// # Errors
    /// Of the disk: the reason has been logged.
    pub(super) fn run(&self) -> Result<Arc<dyn DiskFile>, Logged> {
        let file = open_incr(&*self.disk, &self.names, &self.incr)?;
        self.names.prepare_manifest(&*self.disk, &self.manifest)?;
        Ok(Arc::new(Unlisted {
            disk: self.disk.clone(),
            dir: self.names.dir.clone(),
            file,
            listed: AtomicBool::new(false),
        }))
    }

    /// Gives the manifest its name, without waiting for the disk: see
    /// [`Unlisted`].
    ///
    /// # Errors
    /// When it could not be, or other files are in use by now; it is logged.
    pub(super) fn put_in_place(&self, current: &Manifest) -> Result<(), Logged> {
        if *current != self.known {
            tracing::warn!("The append-only files have changed before their rewrite began");
            return Err(Logged);
        }
        Ok(self.names.place_manifest(&*self.disk)?)
    }

    /// Deletes what nobody will use.
    pub(super) fn remove(&self) {
        remove(&self.names.path(&self.incr));
        remove(&self.names.temporary_manifest());
    }
}

/// A new file, together with the manifest that lists it: what is written is
/// only safe when both are on disk, so that the first sync is of both.
struct Unlisted {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    file: Arc<dyn DiskFile>,
    listed: AtomicBool,
}

impl DiskFile for Unlisted {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        if !self.listed.load(Ordering::Acquire) {
            self.disk.sync_dir(&self.dir)?;
            self.listed.store(true, Ordering::Release);
        }
        self.file.sync()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.file.truncate(bytes)
    }
}

/// Opens a new file of changes.
///
/// # Errors
/// Of the disk: the reason has been logged.
pub(super) fn open_incr(
    disk: &dyn Disk,
    names: &Names,
    name: &[u8],
) -> Result<Arc<dyn DiskFile>, Logged> {
    disk.open(&names.path(name), Open::Truncate)
        .map_err(|error| {
            let (name, text) = (shown(name), os_error_text(&error));
            tracing::warn!("Can't open the append-only file {name}: {text}");
            Logged
        })
}

/// What turns a snapshot that has been written into the base of the log.
pub(super) struct Installation {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) names: Names,
    /// The files as they will be.
    pub(super) manifest: Manifest,
    pub(super) snapshot: PathBuf,
    pub(super) temp: PathBuf,
    /// The base is made of commands, which are written from the snapshot.
    pub(super) as_commands: Option<RewriteOptions>,
    pub(super) base: Vec<u8>,
    /// The file of changes, when this is the first base.
    pub(super) incr: Option<Vec<u8>>,
    pub(super) keeps_history: bool,
    /// The longest that giving a file its name took.
    pub(super) rename_ms: i64,
}

impl Installation {
    /// Puts the files in place; gives what they are then.
    pub(super) fn run(&mut self) -> Result<Manifest, Logged> {
        let written = self.write();
        let installed = written.and_then(|()| self.put_in_place());
        remove(&self.temp);
        installed.map(|()| self.manifest.clone())
    }

    fn write(&self) -> Result<(), Logged> {
        if let Some(options) = self.as_commands {
            let written = as_commands(&self.snapshot, &self.temp, options);
            remove(&self.snapshot);
            written.map_err(|error| {
                let text = os_error_text(&error);
                tracing::warn!("Write error writing append only file on disk: {text}");
                tracing::warn!("Background AOF rewrite terminated with error");
                Logged
            })?;
        }
        let temp = self.temp.display();
        tracing::info!("Successfully created the temporary AOF base file {temp}");
        tracing::info!("Background AOF rewrite terminated with success");
        Ok(())
    }

    fn put_in_place(&mut self) -> Result<(), Logged> {
        let base_path = self.names.path(&self.base);
        self.rename(&self.temp.clone(), &base_path, "base")?;
        let mut created = vec![base_path];
        let placed = self
            .place_incr(&mut created)
            .map_err(|_| WriteError::Unchanged);
        let placed = placed.and_then(|()| {
            let disk = &*self.disk;
            self.names.write_manifest(disk, &self.manifest)
        });
        match placed {
            Ok(()) if self.keeps_history => Ok(()),
            Ok(()) => {
                self.drop_history();
                Ok(())
            }
            // With the files of before, which stay, nothing is lost either way.
            Err(WriteError::Unsynced) if self.incr.is_none() => Ok(()),
            Err(WriteError::Unsynced) => Err(Logged),
            Err(WriteError::Unchanged) => {
                created.iter().for_each(|path| remove(path));
                Err(Logged)
            }
        }
    }

    fn place_incr(&mut self, created: &mut Vec<PathBuf>) -> Result<(), Logged> {
        let Some(incr) = &self.incr else {
            return Ok(());
        };
        let from = self.names.path(&self.names.temporary_incr());
        let to = self.names.path(incr);
        self.rename(&from, &to, "incr")?;
        created.push(to);
        Ok(())
    }

    fn drop_history(&mut self) {
        for part in std::mem::take(&mut self.manifest.history) {
            let name = shown(&part.name);
            tracing::info!("Removing the history file {name} in the background");
            // If it stays, nobody looks at it.
            let _ = self.disk.remove(&self.names.path(&part.name));
        }
        // Should it fail, they are looked for in vain at the next start.
        let _ = self.names.write_manifest(&*self.disk, &self.manifest);
    }

    fn rename(&mut self, from: &Path, to: &Path, kind: &str) -> Result<(), Logged> {
        let start = Instant::now();
        let renamed = self.disk.rename(from, to);
        self.rename_ms = self.rename_ms.max(start.elapsed().as_millis() as i64);
        let short = |path: &Path| path.file_name().map(PathBuf::from).unwrap_or_default();
        match renamed {
            Ok(()) => {
                tracing::info!(
                    "Successfully renamed the temporary AOF {kind} file {} into {}",
                    short(from).display(),
                    short(to).display()
                );
                Ok(())
            }
            Err(error) => {
                tracing::warn!(
                    "Error trying to rename the temporary AOF {kind} file {} into {}: {}",
                    from.display(),
                    to.display(),
                    os_error_text(&error)
                );
                Err(Logged)
            }
        }
    }
}

/// Deletes a temporary file.
pub(super) fn remove(path: &Path) {
    // It may never have been there, and its name says that it is temporary.
    let _ = std::fs::remove_file(path);
}
