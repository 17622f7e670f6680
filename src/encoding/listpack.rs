//! The listpack: a list of short texts and integers in one run of bytes.
//!
//! The format is Redis's, byte for byte, since files and DUMP payloads hold
//! it: total bytes (u32, little endian), number of elements (u16, 65535 when
//! they are more or not known), the elements, 0xff. An element is its kind and
//! length, its bytes, and the length again for walking backwards.
//!
//! Places in a listpack are offsets of elements in bytes; they hold until the
//! next change. Reading and changing trust that the bytes are well formed:
//! what comes from outside goes through [`validate`] first.

pub mod bare;
mod deque;
mod item;
#[cfg(test)]
mod tests;

pub use deque::ListpackDeque;
pub use item::Item;

use std::collections::HashSet;

use crate::util::num::canonical_i64;
use crate::util::size_class::size_class;
use item::{
    END, backlen_len, check, entry_len, is_long_text, read, read_backlen, short_text_tag, u32_at,
};

/// Bytes before the first element.
const HEADER: usize = 6;
/// The count that stands for "more, or unknown".
const COUNT_UNKNOWN: usize = 65_535;
/// An empty listpack.
const EMPTY: [u8; HEADER + 1] = [HEADER as u8 + 1, 0, 0, 0, 0, 0, END];
/// Bytes beyond which nothing may be added: far from the 4 GB where the
/// header's field ends.
const BYTES_MAX: usize = 1 << 30;

/// Smaller allocations are kept when the listpack shrinks.
const SHRINK_FROM_BYTES: usize = 4096;

/// Whether untrusted bytes are a well-formed listpack: every element inside
/// and consistent, the header right. Never panics; time grows with the length.
pub fn validate(bytes: &[u8]) -> bool {
    let Some(end) = bytes.len().checked_sub(1).filter(|end| *end >= HEADER) else {
        return false;
    };
    if u32_at(bytes, 0) as usize != bytes.len() || bytes[end] != END {
        return false;
    }
    let (mut at, mut count) = (HEADER, 0);
    while at < end {
        match check(bytes, at, end) {
            Some(size) => at += size,
            None => return false,
        }
        count += 1;
    }
    let announced = count_field(bytes);
    announced == COUNT_UNKNOWN || announced == count
}

/// Writes the header of a listpack of `count` elements.
#[inline]
fn write_header(bytes: &mut [u8], count: usize) {
    let total = u32::try_from(bytes.len()).expect("kept below BYTES_MAX by the caller");
    bytes[..4].copy_from_slice(&total.to_le_bytes());
    let field = count.min(COUNT_UNKNOWN) as u16;
    bytes[4..HEADER].copy_from_slice(&field.to_le_bytes());
}

#[inline]
fn count_field(bytes: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([bytes[4], bytes[5]]))
}

/// A listpack for reading.
#[derive(Clone, Copy)]
pub struct ListpackRef<'a>(&'a [u8]);

impl<'a> ListpackRef<'a> {
    /// A view of bytes that are a well-formed listpack.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> ListpackRef<'a> {
        debug_assert!(bytes.len() > HEADER && bytes.last() == Some(&END));
        ListpackRef(bytes)
    }

    /// All bytes, the form of files and DUMP payloads.
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Number of elements: a field of the header, or a walk when they are
    /// 65535 or more.
    #[inline]
    pub fn len(self) -> usize {
        match count_field(self.0) {
            COUNT_UNKNOWN => self.iter().count(),
            count => count,
        }
    }

    /// Whether there are no elements.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0.len() == HEADER + 1
    }

    /// Offset of the end: where the element after the last would start.
    #[inline]
    pub fn end(self) -> usize {
        self.0.len() - 1
    }

    /// Offset of the first element.
    #[inline]
    pub fn first(self) -> Option<usize> {
        (!self.is_empty()).then_some(HEADER)
    }

    /// Offset of the last element.
    #[inline]
    pub fn last(self) -> Option<usize> {
        self.prev(self.end())
    }

    /// Offset of the element after the one at `at`.
    #[inline]
    pub fn next(self, at: usize) -> Option<usize> {
        let next = at + entry_len(self.0, at);
        (self.0[next] != END).then_some(next)
    }

    /// Offset of the element before the one at `at`, which may be the end.
    #[inline]
    pub fn prev(self, at: usize) -> Option<usize> {
        if at <= HEADER {
            return None;
        }
        let size = read_backlen(self.0, at).expect("validated: a length of 5 bytes at most");
        Some(at - size - backlen_len(size))
    }

    /// The element at an offset.
    #[inline]
    pub fn item_at(self, at: usize) -> Item<'a> {
        read(self.0, at).0
    }

    /// Offset of where the first element is, or would be.
    #[inline]
    pub fn start(self) -> usize {
        HEADER
    }

    /// The element at an offset, and the offset behind it.
    #[inline]
    pub fn read_at(self, at: usize) -> (Item<'a>, usize) {
        let (item, size) = read(self.0, at);
        (item, at + size)
    }

    /// The offset behind so many elements from `at` on.
    #[inline]
    pub fn skip(self, mut at: usize, count: usize) -> usize {
        for _ in 0..count {
            at += entry_len(self.0, at);
        }
        at
    }

    /// Offset of the element of this index, sought from the nearer end.
    pub fn seek(self, index: usize) -> Option<usize> {
        let count = count_field(self.0);
        if count == COUNT_UNKNOWN || index < count / 2 {
            let mut at = self.first()?;
            for _ in 0..index {
                at = self.next(at)?;
            }
            Some(at)
        } else if index < count {
            let mut at = self.end();
            for _ in index..count {
                at = self.prev(at)?;
            }
            Some(at)
        } else {
            None
        }
    }

    /// The element of this index.
    #[inline]
    pub fn get(self, index: usize) -> Option<Item<'a>> {
        self.seek(index).map(|at| self.item_at(at))
    }

    /// Offset of the first element that is `text`, where of `skip + 1`
    /// elements only the first is looked at (1: the fields of a hash).
    #[inline]
    pub fn find(self, text: &[u8], skip: usize) -> Option<usize> {
        self.find_from(HEADER, text, skip)
    }

    /// As [`find`](ListpackRef::find), from the element at `at` on, which may
    /// be the end.
    pub fn find_from(self, mut at: usize, text: &[u8], skip: usize) -> Option<usize> {
        let bytes = self.0;
        let number = canonical_i64(text);
        if number.is_none()
            && let Some(tag) = short_text_tag(text)
        {
            return self.find_short(at, tag, text, skip);
        }
        loop {
            if bytes[at] == END {
                return None;
            }
            let (item, size) = read(bytes, at);
            let found = match item {
                Item::Bytes(bytes) => bytes == text,
                Item::Int(value) => number == Some(value),
            };
            if found {
                return Some(at);
            }
            at += size;
            for _ in 0..skip {
                if bytes[at] == END {
                    return None;
                }
                at += entry_len(bytes, at);
            }
        }
    }

    /// As [`find_from`](ListpackRef::find_from), of a text that is no integer
    /// and whose element begins with `tag`: most others differ in that byte or
    /// in the last of the text.
    fn find_short(self, mut at: usize, tag: u8, text: &[u8], skip: usize) -> Option<usize> {
        let bytes = self.0;
        let (last, len) = (text.last(), text.len());
        let is_text_at = |at: usize| {
            last.is_none_or(|last| bytes[at + len] == *last) && &bytes[at + 1..at + 1 + len] == text
        };
        loop {
            let first = bytes[at];
            if first == tag {
                if is_text_at(at) {
                    return Some(at);
                }
                // The processor goes on without waiting for the length.
                at += len + 2;
            } else if first == END {
                return None;
            } else {
                // A foreign file may have a long form for a short text.
                if is_long_text(first) && read(bytes, at).0 == Item::Bytes(text) {
                    return Some(at);
                }
                at += entry_len(bytes, at);
            }
            for _ in 0..skip {
                if bytes[at] == END {
                    return None;
                }
                at += entry_len(bytes, at);
            }
        }
    }

    /// The elements.
    #[inline]
    pub fn iter(self) -> Iter<'a> {
        self.iter_from(HEADER)
    }

    /// The elements from the one at `at` on.
    #[inline]
    pub fn iter_from(self, at: usize) -> Iter<'a> {
        Iter {
            bytes: self.0,
            front: at,
            back: self.0.len() - 1,
        }
    }

    /// The elements before the one at `at`, which may be the end.
    #[inline]
    pub fn iter_to(self, at: usize) -> Iter<'a> {
        Iter {
            bytes: self.0,
            front: HEADER,
            back: at,
        }
    }

    /// Whether all elements are different texts, where of `skip + 1` elements
    /// only the first counts (1: the fields of a hash).
    pub fn is_distinct(self, skip: usize) -> bool {
        // As canonical integers where they read as such: the forms of foreign
        // listpacks may differ for the same text.
        let texts = self.iter().step_by(skip + 1).map(|item| match item {
            Item::Int(value) => (Some(value), &b""[..]),
            Item::Bytes(text) => match canonical_i64(text) {
                Some(value) => (Some(value), &b""[..]),
                None => (None, text),
            },
        });
        let count = self.len() / (skip + 1) + 1;
        let mut seen = HashSet::with_capacity_and_hasher(count, ahash::RandomState::default());
        { texts }.all(|text| seen.insert(text))
    }

    /// Whether `bytes` more, element headers included, may be added. Beyond
    /// that a collection takes another encoding.
    pub fn has_room_for(self, bytes: usize) -> bool {
        self.0.len().saturating_add(bytes) <= BYTES_MAX
    }

    /// Panics where the bytes are not well formed.
    pub fn check_invariants(self) {
        assert!(validate(self.0), "not a listpack: {:?}", self.0);
    }
}

impl<'a> IntoIterator for ListpackRef<'a> {
    type Item = Item<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Elements of a listpack, from either end.
#[derive(Clone)]
pub struct Iter<'a> {
    bytes: &'a [u8],
    front: usize,
    back: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.front >= self.back {
            return None;
        }
        let (item, size) = read(self.bytes, self.front);
        self.front += size;
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some((self.back - self.front) / 2))
    }

    /// Steps over elements without reading them.
    fn nth(&mut self, steps: usize) -> Option<Item<'a>> {
        for _ in 0..steps {
            if self.front >= self.back {
                return None;
            }
            self.front += entry_len(self.bytes, self.front);
        }
        self.next()
    }

    fn count(mut self) -> usize {
        let mut count = 0;
        while self.front < self.back {
            self.front += entry_len(self.bytes, self.front);
            count += 1;
        }
        count
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        let at = ListpackRef(self.bytes).prev(self.back)?;
        self.back = at;
        Some(read(self.bytes, at).0)
    }
}

/// A listpack with an allocation of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listpack(Vec<u8>);

impl Default for Listpack {
    fn default() -> Listpack {
        Listpack::new()
    }
}

impl Listpack {
    /// An empty one.
    pub fn new() -> Listpack {
        Listpack::with_capacity(EMPTY.len())
    }

    /// An empty one with room for `bytes` in all.
    pub fn with_capacity(bytes: usize) -> Listpack {
        let mut listpack = Vec::with_capacity(bytes.max(EMPTY.len()));
        listpack.extend_from_slice(&EMPTY);
        Listpack(listpack)
    }

    /// Takes untrusted bytes; None when they are not a well-formed listpack.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Listpack> {
        validate(&bytes).then_some(Listpack(bytes))
    }

    /// Takes bytes that are known to be a well-formed listpack, such as
    /// [`into_bytes`](Listpack::into_bytes) gave.
    #[inline]
    pub fn from_trusted(bytes: Vec<u8>) -> Listpack {
        debug_assert!(bytes.len() > HEADER && bytes.last() == Some(&END));
        Listpack(bytes)
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Bytes that the allocation holds.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Gives back what the bytes do not need.
    pub fn shrink_to_fit(&mut self) {
        self.0.shrink_to_fit();
    }

    /// For reading.
    #[inline]
    pub fn as_ref(&self) -> ListpackRef<'_> {
        ListpackRef(&self.0)
    }

    /// Adds an element at the end.
    #[inline]
    pub fn push_back<'a>(&mut self, item: impl Into<Item<'a>>) {
        self.insert_all(self.0.len() - 1, &[item.into()]);
    }

    /// Adds an element at the start.
    #[inline]
    pub fn push_front<'a>(&mut self, item: impl Into<Item<'a>>) {
        self.insert_all(HEADER, &[item.into()]);
    }

    /// Adds an element before the one at `at`, which may be the end; `at` is
    /// then its offset.
    pub fn insert_before<'a>(&mut self, at: usize, item: impl Into<Item<'a>>) {
        self.insert_all(at, &[item.into()]);
    }

    /// Adds an element after the one at `at`; gives its offset.
    pub fn insert_after<'a>(&mut self, at: usize, item: impl Into<Item<'a>>) -> usize {
        let next = at + entry_len(&self.0, at);
        self.insert_all(next, &[item.into()]);
        next
    }

    /// Adds elements before the one at `at`, which may be the end, in one move.
    #[inline]
    pub fn insert_all(&mut self, at: usize, items: &[Item<'_>]) {
        self.splice(at, 0, items);
        self.add_to_count(items.len() as isize);
    }

    /// Puts another element in the place of the one at `at`.
    pub fn replace<'a>(&mut self, at: usize, item: impl Into<Item<'a>>) {
        let removed = entry_len(&self.0, at);
        self.splice(at, removed, &[item.into()]);
    }

    /// Removes up to `count` elements from the one at `at` on, which may be
    /// the end; gives how many were there. What followed them is then at `at`.
    pub fn remove(&mut self, at: usize, count: usize) -> usize {
        let end = self.0.len() - 1;
        let (mut to, mut removed) = (at, 0);
        while removed < count && to < end {
            to += entry_len(&self.0, to);
            removed += 1;
        }
        if removed > 0 {
            self.splice(at, to - at, &[]);
            self.add_to_count(-(removed as isize));
            self.give_back();
        }
        removed
    }

    /// Removes the elements at these offsets, which are in ascending order, in
    /// one pass.
    pub fn remove_all(&mut self, offsets: &[usize]) {
        let Some(&first) = offsets.first() else {
            return;
        };
        let mut to = first;
        for (index, &at) in offsets.iter().enumerate() {
            let from = at + entry_len(&self.0, at);
            let until = offsets.get(index + 1).copied().unwrap_or(self.0.len());
            self.0.copy_within(from..until, to);
            to += until - from;
        }
        self.0.truncate(to);
        self.set_total();
        self.add_to_count(-(offsets.len() as isize));
        self.give_back();
    }

    /// Removes the element at `at`, which is the one of index `kept`, and all
    /// after it.
    pub fn truncate(&mut self, at: usize, kept: usize) {
        self.0.truncate(at);
        self.0.push(END);
        self.set_total();
        self.set_count(kept);
        self.give_back();
    }

    /// Takes the element at `at`, which is the one of index `kept`, and all
    /// after it out into a listpack of their own.
    pub fn split_off(&mut self, at: usize, kept: usize) -> Listpack {
        let count = self.as_ref().len();
        let mut tail = Listpack::with_capacity(HEADER + self.0.len() - at);
        tail.0.truncate(HEADER);
        tail.0.extend_from_slice(&self.0[at..]);
        tail.set_total();
        tail.set_count(count - kept);
        self.truncate(at, kept);
        tail
    }

    /// Adds all elements of another at the end.
    pub fn append(&mut self, other: ListpackRef<'_>) {
        let count = (self.as_ref().len()).saturating_add(other.len());
        self.make_room(self.0.len() + other.0.len() - EMPTY.len());
        self.0.truncate(self.0.len() - 1);
        self.0.extend_from_slice(&other.0[HEADER..]);
        self.set_total();
        self.set_count(count);
    }

    /// Adds all elements of another at the start.
    pub fn prepend(&mut self, other: ListpackRef<'_>) {
        let count = (self.as_ref().len()).saturating_add(other.len());
        let added = &other.0[HEADER..other.0.len() - 1];
        self.open(HEADER, 0, added.len());
        self.0[HEADER..HEADER + added.len()].copy_from_slice(added);
        self.set_total();
        self.set_count(count);
    }

    /// Panics where the bytes are not well formed.
    pub fn check_invariants(&self) {
        self.as_ref().check_invariants();
    }

    /// Puts elements in the place of the `removed` bytes at `at`; the count is
    /// the caller's.
    #[inline]
    fn splice(&mut self, at: usize, removed: usize, items: &[Item<'_>]) {
        let added = items.iter().map(|item| item.encoded_len()).sum();
        self.open(at, removed, added);
        let mut to = at;
        for item in items {
            to += item.write(&mut self.0[to..]);
        }
        self.set_total();
    }

    /// Moves what follows the `removed` bytes at `at`, so that `added` bytes
    /// fit in their place.
    #[inline]
    fn open(&mut self, at: usize, removed: usize, added: usize) {
        if removed == added {
            return;
        }
        let old = self.0.len();
        let new = old - removed + added;
        if new > old {
            self.make_room(new);
            self.0.resize(new, 0);
        }
        self.0.copy_within(at + removed..old, at + added);
        self.0.truncate(new);
    }

    /// Grows the allocation to hold `bytes`, by no more than the allocator
    /// gives anyway: collections of a few dozen bytes are what there are
    /// most of.
    #[inline]
    fn make_room(&mut self, bytes: usize) {
        if bytes > self.0.capacity() {
            let class = size_class(bytes);
            self.0.reserve_exact(class - self.0.len());
        }
    }

    /// Gives back a big allocation of which less than half is used. Small ones
    /// may be buffers for changes, that will be needed again.
    fn give_back(&mut self) {
        if self.0.capacity() >= SHRINK_FROM_BYTES && self.0.len() < self.0.capacity() / 2 {
            self.0.shrink_to(size_class(self.0.len()));
        }
    }

    fn set_total(&mut self) {
        let total = u32::try_from(self.0.len()).expect("kept below BYTES_MAX by the caller");
        self.0[..4].copy_from_slice(&total.to_le_bytes());
    }

    fn set_count(&mut self, count: usize) {
        let field = count.min(COUNT_UNKNOWN) as u16;
        self.0[4..HEADER].copy_from_slice(&field.to_le_bytes());
    }

    /// An unknown count stays so, as in Redis.
    fn add_to_count(&mut self, change: isize) {
        let count = count_field(&self.0);
        if count != COUNT_UNKNOWN {
            self.set_count(count.saturating_add_signed(change));
        }
    }
}

impl<'a, T: Into<Item<'a>>> FromIterator<T> for Listpack {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Listpack {
        let mut listpack = Listpack::new();
        for item in items {
            listpack.push_back(item);
        }
        listpack
    }
}
