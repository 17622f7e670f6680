//! A full block in fewer bytes than its listpack has.
//!
//! What can be told from the rest is left out: the length at the end of each
//! element, the number of elements of each entry, and of IDs what they have in
//! common with the one before. The texts are as in the listpack, so that an
//! entry is read where it stands.
//!
//! ```text
//! block: fields of the master entry, entries, ID of the last (16 bytes)
//! entry: flags (two bits), ID (six bits of the same byte)
//!        ID given: milliseconds since the last, zigzag; sequence (varints)
//!        fields as in the master entry: values..
//!        others: number of fields (varint), (field, value)..
//! ```
//! The ID's bits: 1: the next one of the same millisecond; n > 1: the first one
//! n - 1 milliseconds later; 0: given.

use super::StreamId;
use super::block::{DELETED, Head, SAME_FIELDS};
use crate::encoding::listpack::{Item, Listpack, ListpackRef, bare};
use crate::util::size_class::size_class;

/// Bytes of a listpack that is packed, at most, so that packing is quick. Marking
/// entries deleted may make it a few longer.
const BYTES_MAX: usize = u16::MAX as usize - 8;
/// Bytes of the last ID.
const LAST: usize = 16;
const ID_SHIFT: u32 = 2;
const ID_GIVEN: u8 = 0;
const ID_NEXT: u8 = 1;
const ID_MAX: u64 = 63;
/// Bytes that an entry loses, at most, beside one for each text.
const ENTRY_SAVED_MAX: usize = 16;

/// A block in this form.
#[derive(Clone, Debug)]
pub(super) struct Dense {
    bytes: Box<[u8]>,
    /// Bytes of the listpack.
    len: u16,
    live: u16,
    dead: u16,
    fields: u16,
}

/// An integer of a listpack in its usual form.
fn usual_int(pack: ListpackRef<'_>, at: usize) -> Option<(i64, usize)> {
    match pack.read_at(at) {
        (item @ Item::Int(number), next) if next - at == item.encoded_len() => Some((number, next)),
        _ => None,
    }
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn varint(bytes: &[u8], at: &mut usize) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return number;
        }
        shift += 7;
    }
}

fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

/// The ID that the first entry of a block follows.
pub(super) fn before_first(block_id: StreamId) -> StreamId {
    StreamId::new(block_id.ms, block_id.seq.wrapping_sub(1))
}

fn put_id(out: &mut Vec<u8>, flags: i64, before: StreamId, id: StreamId) {
    let (flags, later) = (flags as u8, id.ms.wrapping_sub(before.ms));
    let code = match (later, id.seq) {
        (0, seq) if seq == before.seq.wrapping_add(1) => ID_NEXT,
        (1..ID_MAX, 0) => later as u8 + 1,
        _ => ID_GIVEN,
    };
    out.push(flags | code << ID_SHIFT);
    if code == ID_GIVEN {
        put_varint(out, zigzag(later.cast_signed()));
        put_varint(out, id.seq);
    }
}

/// The start of an entry: its flags, its ID, and where it goes on.
#[inline]
pub(super) fn read_id(bytes: &[u8], at: usize, before: StreamId) -> (i64, StreamId, usize) {
    let (first, mut at) = (bytes[at], at + 1);
    let id = match first >> ID_SHIFT {
        ID_GIVEN => {
            let later = unzigzag(varint(bytes, &mut at));
            let seq = varint(bytes, &mut at);
            StreamId::new(before.ms.wrapping_add_signed(later), seq)
        }
        ID_NEXT => StreamId::new(before.ms, before.seq.wrapping_add(1)),
        code => StreamId::new(before.ms.wrapping_add(u64::from(code) - 1), 0),
    };
    (i64::from(first) & (DELETED | SAME_FIELDS), id, at)
}

/// The number of fields of an entry that has its own, and where they are.
#[inline]
pub(super) fn read_fields(bytes: &[u8], mut at: usize) -> (usize, usize) {
    (varint(bytes, &mut at) as usize, at)
}

impl Dense {
    /// Packs the listpack of the block of this ID; None when that would not
    /// save an eighth, or when it would not come back byte for byte.
    pub(super) fn pack(pack: ListpackRef<'_>, head: &Head, block_id: StreamId) -> Option<Dense> {
        let len = pack.bytes().len();
        let entries = usize::try_from(head.live.checked_add(head.dead)?).ok()?;
        let saved_max = (head.fields + ENTRY_SAVED_MAX).checked_mul(entries)?;
        if len > BYTES_MAX || saved_max.saturating_mul(8) < len {
            return None;
        }
        let (live, at) = usual_int(pack, pack.start())?;
        let (dead, at) = usual_int(pack, at)?;
        usual_int(pack, at)?;
        let mut bytes = Vec::with_capacity(len);
        let at = bare::append(&mut bytes, pack, head.fields_at, head.fields);
        let (_, mut at) = usual_int(pack, at)?;
        let (mut last, mut elements) = (before_first(block_id), head.fields + 4);
        for _ in 0..entries {
            let (flags, next) = usual_int(pack, at)?;
            let (ms, next) = usual_int(pack, next)?;
            let (seq, next) = usual_int(pack, next)?;
            let id = block_id.offset(ms, seq);
            put_id(&mut bytes, flags, last, id);
            let (texts, next) = if flags & SAME_FIELDS != 0 {
                (head.fields, next)
            } else {
                let (fields, next) = usual_int(pack, next)?;
                put_varint(&mut bytes, fields.cast_unsigned());
                (fields as usize * 2, next)
            };
            elements += texts + 4 + usize::from(flags & SAME_FIELDS == 0);
            let next = bare::append(&mut bytes, pack, next, texts);
            (_, at) = usual_int(pack, next)?;
            last = id;
        }
        bytes.extend_from_slice(&last.to_bytes());
        // Of so few bytes the number is always told, if it is not a foreign one.
        let is_told = usize::from(u16::from_le_bytes([pack.bytes()[4], pack.bytes()[5]]));
        if at != pack.end() || is_told != elements || bytes.len() * 8 > len * 7 {
            return None;
        }
        Some(Dense {
            bytes: bytes.into_boxed_slice(),
            len: len as u16,
            live: u16::try_from(live).ok()?,
            dead: u16::try_from(dead).ok()?,
            fields: u16::try_from(head.fields).ok()?,
        })
    }

    /// The listpack again.
    pub(super) fn unpack(&self, block_id: StreamId) -> Listpack {
        let (head, end) = (self.head(), self.end());
        let mut listpack = bare::Builder::with_capacity(self.listpack_len());
        listpack.int(i64::from(self.live));
        listpack.int(i64::from(self.dead));
        listpack.int(i64::from(self.fields));
        listpack.bare(&self.bytes, 0, head.fields);
        listpack.int(0);
        let (mut at, mut last) = (head.entries_at, before_first(block_id));
        while at < end {
            let (flags, id, next) = read_id(&self.bytes, at, last);
            listpack.int(flags);
            listpack.int(id.ms.wrapping_sub(block_id.ms).cast_signed());
            listpack.int(id.seq.wrapping_sub(block_id.seq).cast_signed());
            let (elements, texts, next) = if flags & SAME_FIELDS != 0 {
                (head.fields + 3, head.fields, next)
            } else {
                let (fields, next) = read_fields(&self.bytes, next);
                listpack.int(fields as i64);
                (fields * 2 + 4, fields * 2, next)
            };
            at = listpack.bare(&self.bytes, next, texts);
            listpack.int(elements as i64);
            last = id;
        }
        let listpack = listpack.finish();
        debug_assert_eq!(listpack.as_ref().bytes().len(), self.listpack_len());
        listpack
    }

    /// Fields and entries.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the entries end.
    #[inline]
    pub(super) fn end(&self) -> usize {
        self.bytes.len() - LAST
    }

    #[inline]
    pub(super) fn head(&self) -> Head {
        let fields = usize::from(self.fields);
        Head {
            live: u64::from(self.live),
            dead: u64::from(self.dead),
            fields,
            fields_at: 0,
            entries_at: bare::skip(&self.bytes, 0, fields),
        }
    }

    /// Bytes of the listpack.
    pub(super) fn listpack_len(&self) -> usize {
        usize::from(self.len)
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        size_class(self.bytes.len())
    }

    /// The ID of the last entry, even when it is deleted.
    pub(super) fn last_id(&self) -> StreamId {
        let mut last = [0; LAST];
        last.copy_from_slice(&self.bytes[self.end()..]);
        StreamId::from_bytes(last)
    }

    /// Marks live entries deleted, which are at these places.
    pub(super) fn delete(&mut self, entries: &[(usize, i64)]) {
        for (at, _) in entries {
            self.bytes[*at] |= DELETED as u8;
        }
        let count = entries.len() as u16;
        let (live, dead) = (self.live - count, self.dead + count);
        let size = |number: u16| Item::Int(i64::from(number)).encoded_len() as u16;
        self.len -= size(self.live) + size(self.dead);
        self.len += size(live) + size(dead);
        (self.live, self.dead) = (live, dead);
    }
}
