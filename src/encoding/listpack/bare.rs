//! Elements without the length at their end, for forms that are read forwards
//! only.

use super::item::{backlen_len, body_len, read_body, write_backlen};
use super::{COUNT_UNKNOWN, END, HEADER, Item, Listpack, ListpackRef, write_header};

/// The bare element at an offset, and the offset behind it.
#[inline]
pub fn read_at(bytes: &[u8], at: usize) -> (Item<'_>, usize) {
    let (item, size) = read_body(bytes, at);
    (item, at + size)
}

/// The offset behind so many bare elements from `at` on.
#[inline]
pub fn skip(bytes: &[u8], mut at: usize, count: usize) -> usize {
    for _ in 0..count {
        at += body_len(bytes, at);
    }
    at
}

/// Appends elements of a listpack, from the one at `at` on; gives the offset
/// behind them.
pub fn append(out: &mut Vec<u8>, listpack: ListpackRef<'_>, mut at: usize, count: usize) -> usize {
    let bytes = listpack.bytes();
    for _ in 0..count {
        let size = body_len(bytes, at);
        out.extend_from_slice(&bytes[at..at + size]);
        at += size + backlen_len(size);
    }
    at
}

/// Makes a listpack, element by element.
pub struct Builder {
    bytes: Vec<u8>,
    count: usize,
}

impl Builder {
    /// With room for `bytes` in all.
    pub fn with_capacity(bytes: usize) -> Builder {
        let mut builder = Builder {
            bytes: Vec::with_capacity(bytes),
            count: 0,
        };
        builder.bytes.extend_from_slice(&[0; HEADER]);
        builder
    }

    /// Adds an integer.
    pub fn int(&mut self, value: i64) {
        let (item, from) = (Item::Int(value), self.bytes.len());
        self.bytes.resize(from + item.encoded_len(), 0);
        item.write(&mut self.bytes[from..]);
        self.count += 1;
    }

    /// Adds bare elements, from the one at `at` on; gives the offset behind
    /// them.
    pub fn bare(&mut self, bytes: &[u8], mut at: usize, count: usize) -> usize {
        for _ in 0..count {
            let size = body_len(bytes, at);
            self.bytes.extend_from_slice(&bytes[at..at + size]);
            let mut length = [0; 5];
            let len = write_backlen(size, &mut length);
            self.bytes.extend_from_slice(&length[..len]);
            at += size;
        }
        self.count += count;
        at
    }

    /// The listpack.
    pub fn finish(mut self) -> Listpack {
        self.bytes.push(END);
        write_header(&mut self.bytes, self.count.min(COUNT_UNKNOWN));
        Listpack(self.bytes)
    }
}
