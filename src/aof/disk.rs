//! What the log wants of a disk, so that tests can have one that fails or
//! forgets.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

/// How a file is opened for writing; it is created if need be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Open {
    /// Everything is appended to what is there.
    Append,
    /// What is there goes.
    Truncate,
    /// The same, for a snapshot: who else may read and write it is up to the
    /// process's mask alone.
    Snapshot,
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Writes at the end; gives how many bytes were taken.
    ///
    /// # Errors
    /// Of the system.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Forces the contents to disk.
    ///
    /// # Errors
    /// Of the system; what was written since the last success may be lost then.
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file off.
    ///
    /// # Errors
    /// Of the system.
    fn truncate(&self, bytes: u64) -> io::Result<()>;

    /// Writes all of it.
    ///
    /// # Errors
    /// The error, and how many bytes were taken before.
    fn write_all(&self, mut bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while !bytes.is_empty() {
            match self.write(bytes) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    written += count;
                    bytes = &bytes[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }
}

/// Files and directories.
pub trait Disk: Send + Sync {
    /// Opens a file for writing.
    ///
    /// # Errors
    /// Of the system, as all here.
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file another name, replacing what had it.
    ///
    /// # Errors
    /// Of the system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Forces the names in a directory to disk.
    ///
    /// # Errors
    /// Of the system.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Deletes a file.
    ///
    /// # Errors
    /// Of the system.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes a directory unless it is there.
    ///
    /// # Errors
    /// Of the system.
    fn make_dir(&self, path: &Path) -> io::Result<()>;
}

/// The disk of the system.
#[derive(Clone, Copy, Default, Debug)]
pub struct RealDisk;

impl DiskFile for File {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut &*self, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        // What was cut off after a short write must not leave a hole.
        let mode = if how == Open::Snapshot { 0o666 } else { 0o644 };
        options.append(true).create(true).mode(mode);
        let file = options.open(path)?;
        if how != Open::Append {
            file.set_len(0)?;
        }
        Ok(Arc::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        if path.is_dir() {
            return Ok(());
        }
        fs::DirBuilder::new().mode(0o755).create(path)
    }
}
