//! Reading ziplists, which Redis before 7.0 kept small collections in.
//!
//! Total bytes (u32, little endian), offset of the last entry (u32), number of
//! entries (u16, 65535 when they are more or not known), the entries, 0xff. An
//! entry is the length of the one before it (1 byte, or 254 and 4 bytes), its
//! own kind and length, and its bytes.

use crate::encoding::listpack::Item;

const HEADER: usize = 10;
const END: u8 = 0xff;
const LONG: u8 = 254;
const COUNT_UNKNOWN: usize = 65_535;

/// Shows the entries of an untrusted ziplist, until `visit` gives None; None
/// when it did, or the ziplist is not well formed. Entries may have been
/// shown before that is found out.
pub(super) fn read<'a>(
    ziplist: &'a [u8],
    mut visit: impl FnMut(Item<'a>) -> Option<()>,
) -> Option<()> {
    let entries_end = ziplist.len().checked_sub(1)?;
    let entries = ziplist
        .get(..entries_end)
        .filter(|_| ziplist[entries_end] == END)?;
    let header = entries.first_chunk::<HEADER>()?;
    let total = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    let last = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
    let announced = usize::from(u16::from_le_bytes([header[8], header[9]]));
    if total as usize != ziplist.len() || last as usize > entries_end {
        return None;
    }
    let (mut at, mut count, mut size) = (HEADER, 0, 0);
    let mut last_at = None;
    while at < entries_end {
        let (before, item, entry_size) = entry(&entries[at..])?;
        if before as usize != size {
            return None;
        }
        visit(item)?;
        last_at = Some(at);
        size = entry_size;
        at += size;
        count += 1;
    }
    let last_fits = last_at.is_none_or(|at| at == last as usize);
    let count_fits = announced == COUNT_UNKNOWN || announced == count;
    (last_fits && count_fits).then_some(())
}

/// The entry at the start of the bytes: the length of the one before it, its
/// contents, its length.
fn entry(bytes: &[u8]) -> Option<(u32, Item<'_>, usize)> {
    let (before, rest) = match *bytes.first()? {
        END => return None,
        LONG => {
            let (length, rest) = bytes[1..].split_first_chunk::<4>()?;
            (u32::from_le_bytes(*length), rest)
        }
        short => (u32::from(short), &bytes[1..]),
    };
    let (item, rest) = contents(rest)?;
    Some((before, item, bytes.len() - rest.len()))
}

/// What an entry holds, and the bytes after it.
fn contents(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let (&kind, bytes) = bytes.split_first()?;
    let (len, bytes) = match kind {
        0..0x40 => (usize::from(kind), bytes),
        0x40..0x80 => {
            let (&low, bytes) = bytes.split_first()?;
            let len = u16::from_be_bytes([kind & 0x3f, low]);
            (usize::from(len), bytes)
        }
        0x80..0xc0 => {
            let (len, bytes) = bytes.split_first_chunk::<4>()?;
            (u32::from_be_bytes(*len) as usize, bytes)
        }
        _ => {
            let (value, bytes) = integer(kind, bytes)?;
            return Some((Item::Int(value), bytes));
        }
    };
    let (text, bytes) = bytes.split_at_checked(len)?;
    Some((Item::of(text), bytes))
}

fn integer(kind: u8, bytes: &[u8]) -> Option<(i64, &[u8])> {
    match kind {
        0xc0 => {
            let (value, bytes) = bytes.split_first_chunk::<2>()?;
            Some((i64::from(i16::from_le_bytes(*value)), bytes))
        }
        0xd0 => {
            let (value, bytes) = bytes.split_first_chunk::<4>()?;
            Some((i64::from(i32::from_le_bytes(*value)), bytes))
        }
        0xe0 => {
            let (value, bytes) = bytes.split_first_chunk::<8>()?;
            Some((i64::from_le_bytes(*value), bytes))
        }
        0xf0 => {
            let (&[a, b, c], bytes) = bytes.split_first_chunk::<3>()?;
            Some((i64::from(i32::from_le_bytes([0, a, b, c]) >> 8), bytes))
        }
        0xfe => {
            let (value, bytes) = bytes.split_first_chunk::<1>()?;
            Some((i64::from(i8::from_le_bytes(*value)), bytes))
        }
        // The value is in the kind itself.
        0xf1..=0xfd => Some((i64::from(kind) - 0xf1, bytes)),
        _ => None,
    }
}
