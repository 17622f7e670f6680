//! Writing snapshots to files: header and end, checksum, and the order of
//! system calls that makes a file appear whole or not at all.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::server::Server;
use crate::aof::{Disk, DiskFile, Open};
use crate::rdb::Encoder;
use crate::rdb::frame::Checksum;
use crate::version::REDIS_VERSION;

/// Bytes after which what was written is synced, so that the disk is not
/// flooded at the end (`rdb-save-incremental-fsync`).
const SYNC_BYTES: usize = 4 * 1024 * 1024;

/// What describes a snapshot in its file.
#[derive(Clone, Debug)]
pub struct Description {
    /// Unix seconds.
    created_s: i64,
    used_bytes: u64,
    /// The file is the base of an append-only file.
    pub aof_base: bool,
}

impl Description {
    /// Of the data as they are now.
    pub fn of(server: &Server, aof_base: bool) -> Description {
        Description {
            created_s: server.clock_unix_ms() / 1000,
            used_bytes: crate::stats::memory::allocator().allocated,
            aof_base,
        }
    }

    /// The first bytes of the file.
    pub fn header(&self) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new());
        let fields = [
            ("redis-ver", REDIS_VERSION.to_owned()),
            ("redis-bits", usize::BITS.to_string()),
            ("ctime", self.created_s.to_string()),
            ("used-mem", self.used_bytes.to_string()),
            ("aof-base", u8::from(self.aof_base).to_string()),
        ];
        let written = encoder.file_header().and_then(|()| {
            let mut fields = fields.iter();
            fields.try_for_each(|(name, value)| encoder.aux(name, value.as_bytes()))
        });
        written.expect("writing to memory cannot fail");
        encoder.into_inner()
    }
}

/// How a snapshot is put on disk.
#[derive(Clone, Copy, Debug)]
pub struct FileOptions {
    /// `rdbchecksum`.
    pub checksum: bool,
    /// `rdb-save-incremental-fsync`.
    pub incremental_fsync: bool,
}

/// A snapshot's file while it is written, under a temporary name. It is
/// deleted unless it is finished.
pub struct SnapshotFile {
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    checksum: Option<Checksum>,
    options: FileOptions,
    unsynced: usize,
    finished: bool,
}

/// Files that are being written.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Deletes the files that are being written: the process ends.
pub fn remove_unfinished() {
    for path in UNFINISHED.lock().drain(..) {
        // There is nothing to be done about it, and the name says what it is.
        let _ = std::fs::remove_file(path);
    }
}

impl SnapshotFile {
    /// Begins a file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(
        disk: Arc<dyn Disk>,
        path: PathBuf,
        options: FileOptions,
    ) -> io::Result<SnapshotFile> {
        let file = disk.open(&path, Open::Truncate).inspect_err(|error| {
            tracing::warn!(
                "Failed opening the temp RDB file {} (in server root dir {}) for saving: {}",
                path.display(),
                working_dir(),
                crate::config::os_error_text(error)
            );
        })?;
        UNFINISHED.lock().push(path.clone());
        Ok(SnapshotFile {
            disk,
            file,
            path,
            checksum: options.checksum.then(Checksum::default),
            options,
            unsynced: 0,
            finished: false,
        })
    }

    /// Writes the end, and sees to it that all is on disk.
    ///
    /// # Errors
    /// Of the file.
    pub fn finish(mut self, rename_to: Option<&Path>) -> io::Result<()> {
        let mut encoder = Encoder::new(&mut self);
        encoder.file_end()?;
        let checksum = self.checksum.take().map_or(0, Checksum::finish);
        self.write_all(&checksum.to_le_bytes())?;
        self.file.sync()?;
        if let Some(to) = rename_to {
            self.disk.rename(&self.path, to).inspect_err(|error| {
                tracing::warn!(
                    "Error moving temp DB file {} on the final destination {} (in server root \
                     dir {}): {}",
                    self.path.display(),
                    to.display(),
                    working_dir(),
                    crate::config::os_error_text(error)
                );
            })?;
            self.disk.sync_dir(dir_of(to))?;
        }
        self.finished = true;
        Ok(())
    }
}

impl Write for SnapshotFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        if let Some(checksum) = &mut self.checksum {
            checksum.update(&bytes[..written]);
        }
        self.unsynced += written;
        if self.options.incremental_fsync && self.unsynced >= SYNC_BYTES {
            self.unsynced = 0;
            self.file.sync()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for SnapshotFile {
    fn drop(&mut self) {
        UNFINISHED.lock().retain(|path| *path != self.path);
        if !self.finished {
            // There is nothing to be done about it, and the name says what it is.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn dir_of(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

fn working_dir() -> String {
    std::env::current_dir().map_or_else(|_| "unknown".into(), |dir| dir.display().to_string())
}
