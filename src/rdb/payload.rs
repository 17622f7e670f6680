//! The frame of DUMP payloads: behind the value, the version of the format (two
//! bytes) and a CRC-64 of all that precedes it (eight), in little endian.

use std::sync::atomic::{AtomicBool, Ordering};

use crc::{CRC_64_REDIS, Crc, Table};

use super::{Encoder, VERSION, VERSION_READ_MAX};
use crate::types::ValueView;

pub(super) static CRC64: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

const CHECKSUM_BYTES: usize = 8;
const FOOTER_BYTES: usize = 2 + CHECKSUM_BYTES;

/// The payload of a value, long strings compressed if `compress`.
pub fn of(value: ValueView<'_>, compress: bool) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new()).compressing(compress);
    encoder.value(value).expect("writing to memory cannot fail");
    let mut payload = encoder.into_inner();
    seal(&mut payload);
    payload
}

/// The checksum of these bytes, which is also that of files.
pub fn checksum(bytes: &[u8]) -> u64 {
    CRC64.checksum(bytes)
}

/// Adds the frame to a value.
pub fn seal(value: &mut Vec<u8>) {
    value.extend_from_slice(&VERSION.to_le_bytes());
    let checksum = checksum(value);
    value.extend_from_slice(&checksum.to_le_bytes());
}

/// Whether checksums are not looked at (DEBUG SET-SKIP-CHECKSUM-VALIDATION).
static SKIP_CHECKSUMS: AtomicBool = AtomicBool::new(false);

/// Says whether checksums are to be passed over from now on.
pub fn skip_checksums(skip: bool) {
    SKIP_CHECKSUMS.store(skip, Ordering::Relaxed);
}

/// Whether they are.
pub fn skips_checksums() -> bool {
    SKIP_CHECKSUMS.load(Ordering::Relaxed)
}

/// The value in a payload; None when its version is too new or the checksum
/// does not fit.
pub fn open(payload: &[u8]) -> Option<&[u8]> {
    let (value, footer) = payload.split_last_chunk::<FOOTER_BYTES>()?;
    let version = u16::from_le_bytes([footer[0], footer[1]]);
    let (summed, expected) = payload.split_last_chunk::<CHECKSUM_BYTES>()?;
    let fits = || checksum(summed) == u64::from_le_bytes(*expected);
    let sound = version <= VERSION_READ_MAX && (skips_checksums() || fits());
    sound.then_some(value)
}
