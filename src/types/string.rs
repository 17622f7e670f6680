//! Strings with an allocation of their own, and the view of any string.

use bytes::Bytes;

use crate::util::copied;
use crate::util::relocate::Mover;
use crate::util::size_class::size_class;

/// A string outside the entry. Big ones that arrived in one piece are shared
/// with the connection and the replies; edited ones own a growing buffer.
pub enum StrBuf {
    /// Owned and growable.
    Owned(Vec<u8>),
    /// Shared, immutable until the next edit.
    Shared(Bytes),
}

impl StrBuf {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            StrBuf::Owned(bytes) => bytes,
            StrBuf::Shared(bytes) => bytes,
        }
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The growable buffer; a shared string becomes owned, without a copy
    /// when no reply holds it any more.
    pub fn make_mut(&mut self) -> &mut Vec<u8> {
        if let StrBuf::Shared(bytes) = self {
            if !bytes.is_unique() {
                copied::note(bytes.len());
            }
            *self = StrBuf::Owned(Vec::from(std::mem::take(bytes)));
        }
        match self {
            StrBuf::Owned(bytes) => bytes,
            StrBuf::Shared(_) => unreachable!("made owned above"),
        }
    }

    /// The bytes to put into a reply without copying: an owned string turns
    /// into a shared one.
    pub fn share(&mut self) -> Bytes {
        if let StrBuf::Owned(bytes) = self {
            *self = StrBuf::Shared(Bytes::from(std::mem::take(bytes)));
        }
        match self {
            StrBuf::Shared(bytes) => bytes.clone(),
            StrBuf::Owned(_) => unreachable!("made shared above"),
        }
    }

    /// Gives its memory to the mover, unless a reply holds it too.
    pub fn relocate(&mut self, mover: &mut Mover) {
        match self {
            StrBuf::Owned(bytes) => mover.vec(bytes),
            StrBuf::Shared(bytes) if bytes.is_unique() => {
                let mut owned = Vec::from(std::mem::take(bytes));
                mover.vec(&mut owned);
                *bytes = Bytes::from(owned);
            }
            StrBuf::Shared(_) => {}
        }
    }

    /// Whether somebody else holds it too.
    pub fn is_shared(&self) -> bool {
        matches!(self, StrBuf::Shared(bytes) if !bytes.is_unique())
    }

    /// Heap bytes held.
    pub fn heap_bytes(&self) -> usize {
        match self {
            StrBuf::Owned(bytes) => size_class(bytes.capacity()),
            StrBuf::Shared(bytes) => size_class(bytes.len()),
        }
    }
}

impl From<&[u8]> for StrBuf {
    fn from(bytes: &[u8]) -> StrBuf {
        StrBuf::Owned(bytes.to_vec())
    }
}

/// Any string value for reading.
#[derive(Clone, Copy)]
pub enum StrRef<'a> {
    /// In integer form.
    Int(i64),
    /// Bytes in the entry.
    Inline(&'a [u8]),
    /// Bytes with an allocation of their own.
    Boxed(&'a StrBuf),
}

impl<'a> StrRef<'a> {
    /// The bytes; an integer is printed into `scratch`.
    pub fn bytes<'b>(self, scratch: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            StrRef::Int(number) => scratch.format(number).as_bytes(),
            StrRef::Inline(bytes) => bytes,
            StrRef::Boxed(string) => string.as_slice(),
        }
    }

    /// Length in bytes.
    pub fn len(self) -> usize {
        self.bytes(&mut itoa::Buffer::new()).len()
    }

    /// Whether it is the empty string.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The integer that it stands for, if it is one in canonical form.
    pub fn as_i64(self) -> Option<i64> {
        match self {
            StrRef::Int(number) => Some(number),
            StrRef::Inline(bytes) => crate::util::num::parse_i64(bytes),
            StrRef::Boxed(string) => crate::util::num::parse_i64(string.as_slice()),
        }
    }

    /// The name OBJECT ENCODING gives: Redis embeds strings of up to 44 bytes.
    pub fn encoding_name(self) -> &'static str {
        match self {
            StrRef::Int(_) => "int",
            StrRef::Inline(bytes) if bytes.len() <= 44 => "embstr",
            StrRef::Inline(_) | StrRef::Boxed(_) => "raw",
        }
    }
}
