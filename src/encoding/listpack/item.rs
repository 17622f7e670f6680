//! One element of a listpack, and how it is written.

use crate::util::num::canonical_i64;

/// Texts shorter than this have their length in the first byte.
const SHORT_TEXT_LEN: usize = 64;
/// The byte after the last element.
pub(super) const END: u8 = 0xff;

/// An element: text that reads as a canonical 64-bit integer is kept as one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item<'a> {
    /// In integer form.
    Int(i64),
    /// Any other bytes.
    Bytes(&'a [u8]),
}

impl From<i64> for Item<'_> {
    fn from(value: i64) -> Self {
        Item::Int(value)
    }
}

impl<'a> From<&'a [u8]> for Item<'a> {
    #[inline]
    fn from(text: &'a [u8]) -> Self {
        Item::of(text)
    }
}

impl<'a> Item<'a> {
    /// The form in which a text is stored.
    #[inline]
    pub fn of(text: &'a [u8]) -> Item<'a> {
        match canonical_i64(text) {
            Some(value) => Item::Int(value),
            None => Item::Bytes(text),
        }
    }

    /// The text; an integer is printed into `scratch`.
    #[inline]
    pub fn text<'b>(self, scratch: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Item::Int(value) => scratch.format(value).as_bytes(),
            Item::Bytes(bytes) => bytes,
        }
    }

    /// Length of the text, bytes.
    #[inline]
    pub fn len_of_text(self) -> usize {
        match self {
            Item::Int(value) => {
                let digits = value.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
                digits as usize + usize::from(value < 0)
            }
            Item::Bytes(bytes) => bytes.len(),
        }
    }

    /// Appends the text.
    #[inline]
    pub fn write_text(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.text(&mut itoa::Buffer::new()));
    }

    /// The text in an allocation of its own.
    pub fn to_vec(self) -> Vec<u8> {
        self.text(&mut itoa::Buffer::new()).to_vec()
    }

    /// The integer that the text is the canonical form of.
    #[inline]
    pub fn as_i64(self) -> Option<i64> {
        match self {
            Item::Int(value) => Some(value),
            Item::Bytes(bytes) => canonical_i64(bytes),
        }
    }

    /// Whether this is the text. Redis: bytes that could have been an integer
    /// (only a foreign file has such) equal the same text all the same.
    #[inline]
    pub fn is_text(self, text: &[u8]) -> bool {
        match self {
            Item::Bytes(bytes) => bytes == text,
            Item::Int(value) => canonical_i64(text) == Some(value),
        }
    }

    /// As [`is_text`](Item::is_text), for many elements and one text, whose
    /// integer (`canonical_i64`) is told.
    #[inline]
    pub fn is_text_or_number(self, text: &[u8], number: Option<i64>) -> bool {
        match self {
            Item::Bytes(bytes) => bytes == text,
            Item::Int(value) => number == Some(value),
        }
    }

    /// Bytes that the element takes in a listpack.
    #[inline]
    pub fn encoded_len(self) -> usize {
        let size = self.body_len();
        size + backlen_len(size)
    }

    /// Bytes of the element without its length at the end.
    #[inline]
    fn body_len(self) -> usize {
        match self {
            Item::Int(value) => match value {
                0..=127 => 1,
                -4096..=4095 => 2,
                -32_768..=32_767 => 3,
                -8_388_608..=8_388_607 => 4,
                -2_147_483_648..=2_147_483_647 => 5,
                _ => 9,
            },
            Item::Bytes(bytes) => match bytes.len() {
                len @ 0..SHORT_TEXT_LEN => 1 + len,
                len @ 64..4096 => 2 + len,
                len => 5 + len,
            },
        }
    }

    /// Writes the element at the start of `out`, which has room for
    /// [`encoded_len`](Item::encoded_len) bytes; gives that number.
    #[inline]
    pub(super) fn write(self, out: &mut [u8]) -> usize {
        let size = match self {
            Item::Int(value) => write_int(value, out),
            Item::Bytes(bytes) => {
                let len = bytes.len();
                let head = if let Some(tag) = short_text_tag(bytes) {
                    out[0] = tag;
                    1
                } else if len < 4096 {
                    out[..2].copy_from_slice(&(0xe000 | len as u16).to_be_bytes());
                    2
                } else {
                    out[0] = 0xf0;
                    out[1..5].copy_from_slice(&(len as u32).to_le_bytes());
                    5
                };
                out[head..head + len].copy_from_slice(bytes);
                head + len
            }
        };
        size + write_backlen(size, &mut out[size..])
    }
}

/// The first byte of a short text's element; None for other texts.
#[inline]
pub(super) fn short_text_tag(text: &[u8]) -> Option<u8> {
    (text.len() < SHORT_TEXT_LEN).then_some(0x80 | text.len() as u8)
}

/// Whether an element that begins with this byte is a text of the longer forms.
#[inline]
pub(super) fn is_long_text(first: u8) -> bool {
    matches!(first, 0xe0..=0xf0)
}

fn write_int(value: i64, out: &mut [u8]) -> usize {
    let bytes = value.to_le_bytes();
    let (tag, width) = match value {
        0..=127 => {
            out[0] = bytes[0];
            return 1;
        }
        -4096..=4095 => {
            let field = 0xc000 | (value as u16 & 0x1fff);
            out[..2].copy_from_slice(&field.to_be_bytes());
            return 2;
        }
        -32_768..=32_767 => (0xf1, 2),
        -8_388_608..=8_388_607 => (0xf2, 3),
        -2_147_483_648..=2_147_483_647 => (0xf3, 4),
        _ => (0xf4, 8),
    };
    out[0] = tag;
    out[1..=width].copy_from_slice(&bytes[..width]);
    1 + width
}

/// Bytes of the length that ends an element of `size` bytes. The bounds are
/// one below what would fit, as Redis has them.
#[inline]
pub(super) fn backlen_len(size: usize) -> usize {
    match size {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// Writes the length so that it is read from its last byte: seven bits each,
/// the top bit set where there is more to the left.
#[inline]
pub(super) fn write_backlen(size: usize, out: &mut [u8]) -> usize {
    if size <= 127 {
        out[0] = size as u8;
        return 1;
    }
    let len = backlen_len(size);
    let mut left = size;
    for at in (0..len).rev() {
        out[at] = (left & 0x7f) as u8 | if at > 0 { 0x80 } else { 0 };
        left >>= 7;
    }
    len
}

/// Reads a length backwards from its last byte, the one before `end`; None
/// when it is longer than any is.
#[inline]
pub(super) fn read_backlen(bytes: &[u8], end: usize) -> Option<usize> {
    let last = bytes[end - 1];
    if last < 0x80 {
        return Some(usize::from(last));
    }
    let mut size = usize::from(last & 0x7f);
    for step in 1..5 {
        let byte = *bytes.get((end - 1).checked_sub(step)?)?;
        size |= usize::from(byte & 0x7f) << (7 * step);
        if byte < 0x80 {
            return Some(size);
        }
    }
    None
}

/// Bytes of an element that its first byte alone tells, the length at its end
/// included; 0 for the others.
const SIZES: [u8; 256] = {
    let mut sizes = [0; 256];
    let mut tag = 0;
    while tag < 256 {
        sizes[tag] = match tag {
            0..=0x7f => 2,
            0x80..=0xbf => 2 + (tag as u8 & 0x3f),
            0xc0..=0xdf => 3,
            0xf1 => 4,
            0xf2 => 5,
            0xf3 => 6,
            0xf4 => 10,
            _ => 0,
        };
        tag += 1;
    }
    sizes
};

/// Bytes of the element at `at`, the length at its end included.
#[inline]
pub(super) fn entry_len(bytes: &[u8], at: usize) -> usize {
    match SIZES[usize::from(bytes[at])] {
        0 => {
            let (head, len) = long_text(bytes, at);
            head + len + backlen_len(head + len)
        }
        size => usize::from(size),
    }
}

/// Bytes before the text and length of the text, of an element that is a text
/// of 64 bytes or more.
#[inline]
fn long_text(bytes: &[u8], at: usize) -> (usize, usize) {
    if bytes[at] == 0xf0 {
        (5, u32_at(bytes, at + 1) as usize)
    } else {
        let field = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        (2, usize::from(field & 0x0fff))
    }
}

#[inline]
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}

/// The element at `at`, and its bytes with the length at its end.
#[inline]
pub(super) fn read(bytes: &[u8], at: usize) -> (Item<'_>, usize) {
    let tag = bytes[at];
    match tag {
        0x80..=0xbf => {
            let len = usize::from(tag & 0x3f);
            (Item::Bytes(&bytes[at + 1..at + 1 + len]), len + 2)
        }
        0..=0x7f => (Item::Int(i64::from(tag)), 2),
        0xe0..=0xf0 => {
            let (head, len) = long_text(bytes, at);
            let size = head + len;
            let text = &bytes[at + head..at + size];
            (Item::Bytes(text), size + backlen_len(size))
        }
        _ => {
            let (value, size) = read_int(bytes, at);
            (Item::Int(value), size)
        }
    }
}

/// Bytes of the element at `at` without the length at its end.
#[inline]
pub(super) fn body_len(bytes: &[u8], at: usize) -> usize {
    match SIZES[usize::from(bytes[at])] {
        0 => {
            let (head, len) = long_text(bytes, at);
            head + len
        }
        size => usize::from(size) - 1,
    }
}

/// The element at `at`, and its bytes without the length at its end.
#[inline]
pub(super) fn read_body(bytes: &[u8], at: usize) -> (Item<'_>, usize) {
    let tag = bytes[at];
    match tag {
        0x80..=0xbf => {
            let len = usize::from(tag & 0x3f);
            (Item::Bytes(&bytes[at + 1..at + 1 + len]), len + 1)
        }
        0..=0x7f => (Item::Int(i64::from(tag)), 1),
        0xe0..=0xf0 => {
            let (head, len) = long_text(bytes, at);
            (Item::Bytes(&bytes[at + head..at + head + len]), head + len)
        }
        _ => {
            let (value, size) = read_int(bytes, at);
            (Item::Int(value), size - 1)
        }
    }
}

/// An integer of more than one byte.
fn read_int(bytes: &[u8], at: usize) -> (i64, usize) {
    let field = &bytes[at..];
    match field[0] {
        0xc0..=0xdf => {
            let raw = u16::from_be_bytes([field[0], field[1]]) << 3;
            (i64::from(raw as i16 >> 3), 3)
        }
        0xf1 => (i64::from(i16::from_le_bytes([field[1], field[2]])), 4),
        0xf2 => {
            let raw = i32::from_le_bytes([0, field[1], field[2], field[3]]);
            (i64::from(raw >> 8), 5)
        }
        0xf3 => (i64::from(u32_at(field, 1) as i32), 6),
        0xf4 => {
            let mut raw = [0; 8];
            raw.copy_from_slice(&field[1..9]);
            (i64::from_le_bytes(raw), 10)
        }
        other => unreachable!("validated: no element starts with {other:#x}"),
    }
}

/// Checks the untrusted element at `at`, which must end before `end`; gives
/// its bytes.
pub(super) fn check(bytes: &[u8], at: usize, end: usize) -> Option<usize> {
    let head = match *bytes.get(at)? {
        0xe0..=0xef => 2,
        0xf0 => 5,
        0xf5..=0xff => return None,
        _ => 1,
    };
    if at + head > end {
        return None;
    }
    let size = entry_len(bytes, at);
    let next = at.checked_add(size).filter(|next| *next <= end)?;
    let body = read_backlen(bytes, next)?;
    (body + backlen_len(body) == size).then_some(size)
}
