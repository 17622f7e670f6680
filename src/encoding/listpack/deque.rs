//! A listpack that is pushed to and popped from at both ends.

use super::item::{END, backlen_len, entry_len, read, read_backlen};
use super::{EMPTY, HEADER, Item, Listpack, ListpackRef, write_header};
use crate::util::relocate::Mover;
use crate::util::size_class::size_class;

/// Below this, an allocation is not worth giving a part of it back.
const SHRINK_FROM_BYTES: usize = 256;

/// A listpack with room before it in its allocation, so that nothing is moved
/// by what comes and goes at the front either.
#[derive(Clone, Debug)]
pub struct ListpackDeque {
    /// Room, then the listpack.
    bytes: Vec<u8>,
    /// Where the listpack begins.
    start: u32,
    /// Number of elements: the header's field is too small for some.
    count: u32,
}

impl From<Listpack> for ListpackDeque {
    fn from(listpack: Listpack) -> ListpackDeque {
        let count = listpack.as_ref().len() as u32;
        ListpackDeque {
            bytes: listpack.into_bytes(),
            start: 0,
            count,
        }
    }
}

impl Default for ListpackDeque {
    fn default() -> ListpackDeque {
        ListpackDeque::new()
    }
}

impl ListpackDeque {
    /// An empty one, without an allocation yet.
    pub fn new() -> ListpackDeque {
        ListpackDeque {
            bytes: Vec::new(),
            start: 0,
            count: 0,
        }
    }

    /// For reading.
    #[inline]
    pub fn view(&self) -> ListpackRef<'_> {
        match self.bytes.is_empty() {
            true => ListpackRef(&EMPTY),
            false => ListpackRef(&self.bytes[self.start as usize..]),
        }
    }

    /// Gives its memory to the mover.
    pub fn relocate(&mut self, mover: &mut Mover) {
        mover.vec(&mut self.bytes);
    }

    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the listpack.
    #[inline]
    pub fn bytes_len(&self) -> usize {
        self.view().bytes().len()
    }

    /// Bytes that the allocation holds.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Adds an element at the end.
    #[inline]
    pub fn push_back<'a>(&mut self, item: impl Into<Item<'a>>) {
        let item = item.into();
        let size = item.encoded_len();
        self.begin();
        if self.bytes.len() + size > self.bytes.capacity() {
            self.make_room_behind(size);
        }
        let end = self.bytes.len() - 1;
        self.bytes.resize(end + size + 1, END);
        item.write(&mut self.bytes[end..]);
        self.count += 1;
        self.write_header();
    }

    /// Adds an element at the start.
    #[inline]
    pub fn push_front<'a>(&mut self, item: impl Into<Item<'a>>) {
        let item = item.into();
        let size = item.encoded_len();
        self.begin();
        if (self.start as usize) < size {
            self.make_room_before(size);
        }
        self.start -= size as u32;
        let first = self.start as usize + HEADER;
        item.write(&mut self.bytes[first..first + size]);
        self.count += 1;
        self.write_header();
    }

    /// Takes the first element out; None when there is none.
    #[inline]
    pub fn pop_front<R>(&mut self, take: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        if self.is_empty() {
            return None;
        }
        let (item, size) = read(&self.bytes, self.start as usize + HEADER);
        let taken = take(item);
        self.start += size as u32;
        self.shorter_by(1);
        Some(taken)
    }

    /// Takes the last element out; None when there is none.
    #[inline]
    pub fn pop_back<R>(&mut self, take: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        if self.is_empty() {
            return None;
        }
        let end = self.bytes.len() - 1;
        let size = read_backlen(&self.bytes, end).expect("validated: a length of 5 bytes at most");
        let at = end - size - backlen_len(size);
        let taken = take(read(&self.bytes, at).0);
        self.bytes.truncate(at + 1);
        self.bytes[at] = END;
        self.shorter_by(1);
        Some(taken)
    }

    /// Removes the first `count` elements.
    pub fn drop_front(&mut self, count: usize) {
        if count >= self.len() {
            return *self = ListpackDeque::new();
        }
        let mut at = self.start as usize + HEADER;
        for _ in 0..count {
            at += entry_len(&self.bytes, at);
        }
        self.start = (at - HEADER) as u32;
        self.shorter_by(count as u32);
    }

    /// Changes the listpack anywhere.
    pub fn edit<R>(&mut self, change: impl FnOnce(&mut Listpack) -> R) -> R {
        self.begin();
        self.close_front();
        let mut listpack = Listpack::from_trusted(std::mem::take(&mut self.bytes));
        let result = change(&mut listpack);
        self.count = listpack.as_ref().len() as u32;
        self.bytes = listpack.into_bytes();
        result
    }

    /// Gives back the room at both ends.
    pub fn shrink_to_fit(&mut self) {
        if self.is_empty() {
            return *self = ListpackDeque::new();
        }
        self.close_front();
        if size_class(self.bytes.len()) < self.bytes.capacity() {
            self.bytes.shrink_to(size_class(self.bytes.len()));
        }
    }

    /// Panics where the bytes or the count are wrong.
    pub fn check_invariants(&self) {
        self.view().check_invariants();
        assert_eq!(self.view().iter().count(), self.len());
    }

    #[inline]
    fn begin(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = Vec::with_capacity(size_class(EMPTY.len() + 1));
            self.bytes.extend_from_slice(&EMPTY);
            self.start = 0;
        }
    }

    #[inline]
    fn write_header(&mut self) {
        write_header(&mut self.bytes[self.start as usize..], self.count as usize);
    }

    #[inline]
    fn shorter_by(&mut self, count: u32) {
        self.count -= count;
        self.write_header();
        let capacity = self.bytes.capacity();
        if capacity >= SHRINK_FROM_BYTES && self.bytes_len() < capacity / 4 {
            self.shrink_to_fit();
        }
    }

    /// Moves the listpack to the start of the allocation.
    fn close_front(&mut self) {
        if self.start > 0 {
            self.bytes.drain(..self.start as usize);
            self.start = 0;
        }
    }

    /// Room for `size` bytes more at the end: that before the listpack if it
    /// is enough, or else a bigger allocation. The step is an eighth, which
    /// wastes little in the many lists that stay small.
    fn make_room_behind(&mut self, size: usize) {
        let len = self.bytes_len() + size;
        self.close_front();
        if len + len / 8 > self.bytes.capacity() {
            let room = size_class(len + len / 8);
            self.bytes.reserve_exact(room - self.bytes.len());
        }
    }

    /// The same at the front.
    fn make_room_before(&mut self, size: usize) {
        let len = self.bytes_len();
        let room = size_class(len + size + (len + size) / 8);
        let mut bytes = Vec::with_capacity(room);
        bytes.resize(room - len, 0);
        bytes.extend_from_slice(self.view().bytes());
        self.start = (room - len) as u32;
        self.bytes = bytes;
    }
}
