//! How many bytes a value takes in a snapshot (DEBUG OBJECT).

use std::io::{self, Write};

use crate::keyspace::entry::EntryRef;
use crate::rdb::Encoder;

/// Counts what is written to it.
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes of the value in a snapshot, its kind apart, long strings compressed
/// if `compress`.
pub(super) fn serialized_bytes(entry: EntryRef<'_>, compress: bool) -> usize {
    let mut encoder = Encoder::new(Counter(0)).compressing(compress);
    let counted = encoder.value(entry.value().view());
    counted.expect("counting cannot fail");
    encoder.into_inner().0 - 1
}
