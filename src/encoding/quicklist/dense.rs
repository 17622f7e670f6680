//! The inner nodes of long lists, kept smaller than a listpack.
//!
//! Elements that follow each other in a list are mostly alike: the same
//! prefix, numbers that count on. So each is kept as the number of bytes that
//! it shares with the one before, and the rest. Every sixteenth is kept whole,
//! and a table at the end tells where those are, so that an index is found
//! without reading what is before.
//!
//! An element: shared bytes (five bits of a byte), further bytes (three bits),
//! for each a number to add where all these bits are set, then the further
//! bytes. A number to add is one byte, or 255 and four bytes (little endian).

use std::ops::ControlFlow;

use crate::encoding::listpack::{Item, Listpack, ListpackRef};
use crate::util::num::canonical_i64;
use crate::util::relocate::Mover;

/// Elements from one that is kept whole to the next.
const GROUP: usize = 16;
/// Below this, nothing is to be gained.
const COUNT_MIN: usize = GROUP * 2;
/// What the table's numbers can tell.
const BYTES_MAX: usize = u16::MAX as usize;
/// The number of shared bytes that says that one to add follows.
const SHARED_MORE: usize = 31;
/// The number of further bytes that says so.
const FURTHER_MORE: usize = 7;

/// A listpack in this form.
#[derive(Clone, Debug)]
pub struct Dense {
    bytes: Box<[u8]>,
    /// Bytes of the listpack.
    len: u32,
    /// Number of elements.
    count: u32,
}

impl Dense {
    /// Gives its memory to the mover.
    pub(super) fn relocate(&mut self, mover: &mut Mover) {
        mover.slice(&mut self.bytes);
    }

    /// Packs a listpack; None when that would not save an eighth, or when it
    /// would not come back byte for byte.
    pub fn pack(listpack: ListpackRef<'_>, count: usize) -> Option<Dense> {
        let len = listpack.bytes().len();
        if count < COUNT_MIN || len > BYTES_MAX {
            return None;
        }
        let mut packer = Packer::default();
        let mut scratch = itoa::Buffer::new();
        let mut read = 0;
        for (index, item) in listpack.iter().enumerate() {
            if let Item::Bytes(text) = item
                && canonical_i64(text).is_some()
            {
                return None;
            }
            packer.push(item.text(&mut scratch), index.is_multiple_of(GROUP));
            read += item.encoded_len();
            if index + 1 == COUNT_MIN && !packer.is_worth_it(read) {
                return None;
            }
        }
        if !packer.is_worth_it(len) {
            return None;
        }
        Some(Dense {
            bytes: packer.finish(),
            len: len as u32,
            count: count as u32,
        })
    }

    /// The listpack again.
    pub fn unpack(&self) -> Listpack {
        let mut listpack = Listpack::with_capacity(self.listpack_len());
        let mut reader = self.reader(0);
        for _ in 0..self.count() {
            listpack.push_back(reader.next());
        }
        debug_assert_eq!(listpack.as_ref().bytes().len(), self.listpack_len());
        listpack
    }

    /// Number of elements.
    #[inline]
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// Bytes of the listpack.
    pub fn listpack_len(&self) -> usize {
        self.len as usize
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Reads the element of an index.
    pub fn get<R>(&self, index: usize, read: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        (index < self.count()).then(|| {
            let mut reader = self.reader(index / GROUP);
            for _ in 0..index % GROUP {
                reader.next();
            }
            read(Item::Bytes(reader.next()))
        })
    }

    /// Index of the first element that is this text.
    pub fn find(&self, text: &[u8]) -> Option<usize> {
        let mut reader = self.reader(0);
        (0..self.count()).find(|_| reader.next() == text)
    }

    /// Goes over the elements from the one of index `from` on.
    pub fn walk<B>(
        &self,
        from: usize,
        visit: &mut impl FnMut(Item<'_>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let mut reader = self.reader(from / GROUP);
        for _ in 0..from % GROUP {
            reader.next();
        }
        (from..self.count()).try_for_each(|_| visit(Item::Bytes(reader.next())))
    }

    /// Goes over the elements from the one of index `from` on, backwards.
    pub fn walk_back<B>(
        &self,
        from: usize,
        visit: &mut impl FnMut(Item<'_>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let mut texts = Vec::new();
        for group in (0..=from / GROUP).rev() {
            let last = (from - group * GROUP).min(GROUP - 1);
            let mut ends = [0; GROUP + 1];
            let mut reader = self.reader(group);
            texts.clear();
            for end in &mut ends[1..=last + 1] {
                texts.extend_from_slice(reader.next());
                *end = texts.len();
            }
            for within in (0..=last).rev() {
                visit(Item::Bytes(&texts[ends[within]..ends[within + 1]]))?;
            }
        }
        ControlFlow::Continue(())
    }

    /// A reader at the first element of a group.
    fn reader(&self, group: usize) -> Reader<'_> {
        let table = self.bytes.len() - self.count().div_ceil(GROUP) * 2;
        let at = table + group * 2;
        let start = u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]]);
        Reader {
            rest: &self.bytes[usize::from(start)..table],
            text: Vec::new(),
        }
    }
}

#[derive(Default)]
struct Packer {
    bytes: Vec<u8>,
    starts: Vec<u16>,
    last: Vec<u8>,
}

impl Packer {
    fn push(&mut self, text: &[u8], whole: bool) {
        let shared = if whole {
            self.starts.push(self.bytes.len() as u16);
            0
        } else {
            let pairs = self.last.iter().zip(text);
            pairs.take_while(|(a, b)| a == b).count()
        };
        let further = text.len() - shared;
        let head = shared.min(SHARED_MORE) << 3 | further.min(FURTHER_MORE);
        self.bytes.push(head as u8);
        for (number, more) in [(shared, SHARED_MORE), (further, FURTHER_MORE)] {
            if let Some(more) = number.checked_sub(more) {
                push_more(&mut self.bytes, more);
            }
        }
        self.bytes.extend_from_slice(&text[shared..]);
        self.last.truncate(shared);
        self.last.extend_from_slice(&text[shared..]);
    }

    /// Whether an eighth is saved of so many bytes of listpack.
    fn is_worth_it(&self, listpack_bytes: usize) -> bool {
        (self.bytes.len() + self.starts.len() * 2) * 8 <= listpack_bytes * 7
    }

    fn finish(mut self) -> Box<[u8]> {
        for start in self.starts {
            self.bytes.extend_from_slice(&start.to_le_bytes());
        }
        self.bytes.into_boxed_slice()
    }
}

fn push_more(bytes: &mut Vec<u8>, more: usize) {
    if more < 255 {
        return bytes.push(more as u8);
    }
    bytes.push(255);
    bytes.extend_from_slice(&(more as u32).to_le_bytes());
}

struct Reader<'a> {
    rest: &'a [u8],
    text: Vec<u8>,
}

impl Reader<'_> {
    /// The next element, of which there must be one.
    #[inline]
    fn next(&mut self) -> &[u8] {
        let head = usize::from(self.rest[0]);
        self.rest = &self.rest[1..];
        let shared = self.number(head >> 3, SHARED_MORE);
        let further = self.number(head & 7, FURTHER_MORE);
        let (further, rest) = self.rest.split_at(further);
        self.rest = rest;
        self.text.truncate(shared);
        self.text.extend_from_slice(further);
        &self.text
    }

    #[inline]
    fn number(&mut self, number: usize, more: usize) -> usize {
        if number < more {
            number
        } else {
            more + self.more()
        }
    }

    fn more(&mut self) -> usize {
        let short = self.rest[0];
        if short < 255 {
            self.rest = &self.rest[1..];
            return usize::from(short);
        }
        let mut more = [0; 4];
        more.copy_from_slice(&self.rest[1..5]);
        self.rest = &self.rest[5..];
        u32::from_le_bytes(more) as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Texts that are alike, here and there another.
    fn alike() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let text = prop_oneof![
            6 => (0u32..3000).prop_map(|number| format!("element:{number:08}").into_bytes()),
            3 => (0i64..3000).prop_map(|number| number.to_string().into_bytes()),
            2 => (0usize..400, 0u8..3).prop_map(|(len, byte)| vec![byte; len]),
            1 => prop::collection::vec(any::<u8>(), 0..40),
        ];
        prop::collection::vec(text, 0..200)
    }

    proptest! {
        #[test]
        fn comes_back_byte_for_byte(texts in alike(), from in any::<prop::sample::Index>()) {
            let listpack: Listpack = texts.iter().map(|text| text.as_slice()).collect();
            let Some(dense) = Dense::pack(listpack.as_ref(), texts.len()) else {
                return Ok(());
            };
            prop_assert!(dense.heap_bytes() < listpack.as_ref().bytes().len());
            let unpacked = dense.unpack();
            prop_assert_eq!(unpacked.as_ref().bytes(), listpack.as_ref().bytes());
            unpacked.check_invariants();
            let from = from.index(texts.len());
            let mut seen = Vec::new();
            let mut visit = |item: Item<'_>| -> ControlFlow<()> {
                seen.push(item.to_vec());
                ControlFlow::Continue(())
            };
            let _ = dense.walk(from, &mut visit);
            let _ = dense.walk_back(from, &mut visit);
            let expected = texts[from..].iter().chain(texts[..=from].iter().rev());
            prop_assert!(seen.iter().eq(expected));
            prop_assert_eq!(dense.get(from, |item| item.to_vec()), Some(texts[from].clone()));
            let first = texts.iter().position(|text| *text == texts[from]);
            prop_assert_eq!(dense.find(&texts[from]), first);
            prop_assert_eq!(dense.find(b"no such text"), None);
        }
    }

    #[test]
    fn what_counts_on_takes_few_bytes() {
        let texts: Vec<String> = (0..400).map(|n| format!("element:{n:08}")).collect();
        let listpack: Listpack = texts.iter().map(|text| text.as_bytes()).collect();
        let dense = Dense::pack(listpack.as_ref(), 400).expect("much alike");
        assert!(dense.heap_bytes() < 400 * 4, "{}", dense.heap_bytes());
    }

    #[test]
    fn what_has_nothing_in_common_stays() {
        let texts: Vec<String> = (0..400u64)
            .map(|n| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            .collect();
        let listpack: Listpack = texts.iter().map(|text| text.as_bytes()).collect();
        assert!(Dense::pack(listpack.as_ref(), 400).is_none());
        // A text that a listpack of ours would hold as an integer.
        let mut foreign = vec![0u8; 6];
        for _ in 0..40 {
            foreign.extend_from_slice(&[0x82, b'1', b'2', 3]);
        }
        foreign.push(0xff);
        let total = foreign.len() as u32;
        foreign[..4].copy_from_slice(&total.to_le_bytes());
        foreign[4] = 40;
        let foreign = Listpack::from_bytes(foreign).expect("well formed");
        assert!(Dense::pack(foreign.as_ref(), 40).is_none());
    }
}
