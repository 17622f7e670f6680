//! The append-only file below the engine: which files it is made of, writing
//! them in order and forcing them to disk in the background, reading commands
//! out of them, and `redis-check-aof`.
//!
//! The engine decides what is appended ([`crate::engine`]); the executor runs
//! what is read at start.

pub mod check;
mod disk;
mod log;
mod manifest;
mod names;
pub mod read;
pub mod rewrite;

pub use disk::{Disk, DiskFile, Open, RealDisk};
pub use log::{Alarm, Errand, Syncer};
pub use manifest::{Kind, Manifest, ManifestError, Part};
pub use names::{Names, ReadError, WriteError};

use std::fmt::Write as _;

/// Appends a command in the form of the protocol.
pub fn append_command<'a>(out: &mut Vec<u8>, argv: impl ExactSizeIterator<Item = &'a [u8]>) {
    let mut digits = itoa::Buffer::new();
    out.push(b'*');
    out.extend_from_slice(digits.format(argv.len()).as_bytes());
    out.extend_from_slice(b"\r\n");
    for arg in argv {
        out.push(b'$');
        out.extend_from_slice(digits.format(arg.len()).as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

/// The text of an error of the system, as C programs print it.
pub fn os_error_text(error: &std::io::Error) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write!(text, "{error}");
    if let Some(end) = text.find(" (os error ") {
        text.truncate(end);
    }
    text
}
