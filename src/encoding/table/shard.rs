//! Buckets and shards: the memory that a table is made of.
//!
//! Unsafe invariants: a shard word is what `Shard::new` gave and `Shard::free`
//! has not taken; a slot word is 0 or an [`Element`] given up by `into_raw` and
//! not taken back; nobody but the executor touches either.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use super::{Element, View};
use crate::util::prefetch;
use crate::util::relocate::Mover;

pub(super) const SLOTS: usize = 7;
/// Entries per bucket at which a shard grows (of 7 slots).
pub(super) const LOAD_MAX: usize = 6;
/// Buckets of a shard by the allocator's size classes, one line being the header.
pub(super) const SIZES: [u16; 28] = [
    1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15, 19, 23, 27, 31, 39, 47, 55, 63, 79, 95, 111, 127, 159, 191,
    223, 239, 255,
];
pub(super) const BUCKETS_MAX: usize = 255;
/// Entries that have passed a bucket, in a shard of this length at least, by
/// which it counts as crowded: where they come in no order, they are far fewer.
const CROWD: u8 = 32;
const CROWDED_FROM: u32 = 128;
/// Shards are not split further for being crowded.
const CROWDED_DEPTH_MAX: u8 = 32;
/// Buckets whose elements are prefetched while going through a shard.
pub(super) const BUCKETS_AHEAD: usize = 3;
pub(super) const ADDRESS: u64 = 0x0000_ffff_ffff_fff8;
pub(super) const EXPIRES: u64 = 1;

#[repr(C, align(64))]
pub(super) struct Bucket {
    /// Bytes 0 to 6: tag of each slot, 0 when free. Byte 7: how many entries
    /// on their way from their home passed this bucket; 255 sticks.
    pub(super) meta: u64,
    pub(super) slots: [u64; SLOTS],
}

#[repr(C, align(64))]
pub(super) struct Header {
    pub(super) len: u32,
    pub(super) expires: u32,
}

pub(super) fn tag_of(hash: u64) -> u8 {
    (hash as u8).max(1)
}

impl Bucket {
    /// Slots whose tag may match, as a mask of the high bits of their bytes
    /// (rarely a false one; the key comparison decides).
    #[inline]
    pub(super) fn matches(&self, tag: u8) -> u64 {
        const LOW: u64 = 0x0001_0101_0101_0101;
        const HIGH: u64 = 0x0080_8080_8080_8080;
        let x = (self.meta & (u64::MAX >> 8)) ^ (LOW * u64::from(tag));
        x.wrapping_sub(LOW) & !x & HIGH
    }

    pub(super) fn free_slot(&self) -> Option<usize> {
        let free = self.matches(0);
        (free != 0).then(|| free.trailing_zeros() as usize / 8)
    }

    pub(super) fn passed(&self) -> u8 {
        (self.meta >> 56) as u8
    }

    pub(super) fn set_passed(&mut self, passed: u8) {
        self.meta = (self.meta & (u64::MAX >> 8)) | u64::from(passed) << 56;
    }

    pub(super) fn tag(&self, slot: usize) -> u8 {
        (self.meta >> (8 * slot)) as u8
    }

    pub(super) fn set(&mut self, slot: usize, tag: u8, word: u64) {
        self.meta = (self.meta & !(0xff << (8 * slot))) | u64::from(tag) << (8 * slot);
        self.slots[slot] = word;
    }
}

/// A shard: a header line and its buckets in one allocation. A copyable
/// handle of one word, so that a lookup needs nothing but the directory and
/// the bucket: address (48 bits), number of buckets (8), depth (8).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Shard(u64);

impl Shard {
    pub(super) fn layout(buckets: usize) -> Layout {
        match Layout::from_size_align((buckets + 1) * 64, 64) {
            Ok(layout) => layout,
            Err(_) => unreachable!("at most 256 lines"),
        }
    }

    pub(super) fn new(buckets: usize, depth: u8) -> Shard {
        assert!(buckets <= BUCKETS_MAX);
        let layout = Shard::layout(buckets);
        // SAFETY: the size is not zero; all-zero is a valid header and bucket.
        let header = unsafe { alloc_zeroed(layout) };
        if header.is_null() {
            handle_alloc_error(layout);
        }
        Shard(header as u64 | (buckets as u64) << 48 | u64::from(depth) << 56)
    }

    /// Frees the shard but none of its entries.
    pub(super) fn free(self) {
        let layout = Shard::layout(self.buckets());
        // SAFETY: made by new with the same number of buckets.
        unsafe { dealloc((self.0 & ADDRESS) as *mut u8, layout) }
    }

    #[inline]
    pub(super) fn header<'a>(self) -> &'a mut Header {
        // SAFETY: live by the table's invariant; the executor is alone, and
        // header references never outlive the statement that makes them.
        unsafe { &mut *((self.0 & ADDRESS) as *mut Header) }
    }

    #[inline]
    pub(super) fn buckets(&self) -> usize {
        (self.0 >> 48) as usize & 0xff
    }

    #[inline]
    pub(super) fn depth(&self) -> u8 {
        (self.0 >> 56) as u8
    }

    /// The address of a bucket's line.
    #[inline]
    pub(super) fn line(&self, index: usize) -> u64 {
        // Inside the allocation, whose end is an address too.
        (self.0 & ADDRESS).wrapping_add(64 * (index as u64).wrapping_add(1))
    }

    #[inline]
    pub(super) fn bucket<'a>(self, index: usize) -> &'a mut Bucket {
        debug_assert!(index < self.buckets());
        // SAFETY: index is below the number of buckets behind the header;
        // references as in header().
        unsafe { &mut *(self.line(index) as *mut Bucket) }
    }

    #[inline]
    pub(super) fn home(&self, pos: u64) -> usize {
        // 16 bits times 8.
        (pos as usize).wrapping_mul(self.buckets()) >> 16
    }

    pub(super) fn next(&self, index: usize) -> usize {
        if index + 1 == self.buckets() {
            0
        } else {
            index + 1
        }
    }

    #[inline]
    pub(super) fn find<E: Element>(&self, pos: u64, tag: u8, key: &[u8]) -> Option<(usize, usize)> {
        let mut index = self.home(pos);
        for _ in 0..self.buckets() {
            let bucket = self.bucket(index);
            let mut candidates = bucket.matches(tag);
            while candidates != 0 {
                let slot = candidates.trailing_zeros() as usize / 8;
                if view::<E>(bucket.slots[slot]).is_some_and(|entry| entry.key() == key) {
                    return Some((index, slot));
                }
                candidates &= candidates - 1;
            }
            if bucket.passed() == 0 {
                return None;
            }
            index = self.next(index);
        }
        None
    }

    /// Whether many entries had no place where they, and one at `pos`, belong.
    /// So it comes when entries arrive in the order of their hashes, as from
    /// another table: all are in one part of the shard, however big it is.
    #[inline]
    pub(super) fn is_crowded_at(&self, pos: u64) -> bool {
        self.bucket(self.home(pos)).passed() >= CROWD
            && self.header().len >= CROWDED_FROM
            && self.depth() < CROWDED_DEPTH_MAX
    }

    /// Puts a slot word in; there is a free slot by the load limit.
    pub(super) fn place(&self, tag: u8, word: u64) -> (usize, usize) {
        let mut index = self.home(word >> 48);
        loop {
            let bucket = self.bucket(index);
            if let Some(slot) = bucket.free_slot() {
                bucket.set(slot, tag, word);
                let header = self.header();
                header.len += 1;
                header.expires += (word & EXPIRES) as u32;
                return (index, slot);
            }
            bucket.set_passed(bucket.passed().saturating_add(1));
            index = self.next(index);
        }
    }

    pub(super) fn take(&self, index: usize, slot: usize) -> u64 {
        let word = self.bucket(index).slots[slot];
        let mut passed = self.home(word >> 48);
        while passed != index {
            let bucket = self.bucket(passed);
            if bucket.passed() != u8::MAX {
                bucket.set_passed(bucket.passed() - 1);
            }
            passed = self.next(passed);
        }
        self.bucket(index).set(slot, 0, 0);
        let header = self.header();
        header.len -= 1;
        header.expires -= (word & EXPIRES) as u32;
        word
    }

    /// All occupied slots: bucket, slot, word.
    pub(super) fn occupied(self) -> impl Iterator<Item = (usize, usize, u64)> {
        (0..self.buckets()).flat_map(move |index| {
            (0..SLOTS).filter_map(move |slot| {
                let word = self.bucket(index).slots[slot];
                (word != 0).then_some((index, slot, word))
            })
        })
    }

    /// All occupied (tag, word) pairs.
    pub(super) fn words(self) -> impl Iterator<Item = (u8, u64)> {
        let tag = move |index, slot| self.bucket(index).tag(slot);
        self.occupied()
            .map(move |(index, slot, word)| (tag(index, slot), word))
    }

    /// All slot words of the shard, free ones too. The elements of the buckets
    /// to come are prefetched.
    pub(super) fn words_ahead(self) -> impl Iterator<Item = u64> {
        let ask = move |index: usize| {
            if index < self.buckets() {
                for word in self.bucket(index).slots {
                    prefetch::line(word & ADDRESS);
                }
            }
        };
        (0..BUCKETS_AHEAD).for_each(ask);
        (0..self.buckets()).flat_map(move |index| {
            ask(index + BUCKETS_AHEAD);
            self.bucket(index).slots
        })
    }

    /// A shard of the same form; `copy` gives for each slot word the one that
    /// stands in its place.
    pub(super) fn duplicate(self, copy: impl Fn(u64) -> u64) -> Shard {
        let new = Shard::new(self.buckets(), self.depth());
        for index in 0..self.buckets() {
            let bucket = new.bucket(index);
            bucket.slots = self.bucket(index).slots.map(|word| {
                let copied = copy(word);
                assert_eq!((copied ^ word) & !ADDRESS, 0, "another kind of element");
                copied
            });
            bucket.meta = self.bucket(index).meta;
        }
        let header = new.header();
        (header.len, header.expires) = (self.header().len, self.header().expires);
        new
    }

    /// The same shard where the mover wants it; none when it stays.
    pub(super) fn relocated(self, mover: &mut Mover) -> Option<Shard> {
        let at = NonNull::new((self.0 & ADDRESS) as *mut u8)?;
        // SAFETY: made by new with this layout; the caller lets nobody use the
        // old handle any more.
        let new = unsafe { mover.moved(at, Shard::layout(self.buckets())) }?;
        Some(Shard(new.as_ptr() as u64 | (self.0 & !ADDRESS)))
    }

    /// Moves the pointers into a new shard of another size; frees this one.
    pub(super) fn resized(self, buckets: usize) -> Shard {
        let new = Shard::new(buckets, self.depth());
        for (tag, word) in self.words() {
            new.place(tag, word);
        }
        self.free();
        new
    }
}

/// The element behind a slot word.
#[inline]
pub(super) fn view<'a, E: Element>(word: u64) -> Option<E::View<'a>> {
    // SAFETY: a non-zero word holds the address of a live element.
    (word != 0).then(|| unsafe { E::view(word & ADDRESS) })
}

pub(super) fn owned<E: Element>(word: u64) -> E {
    // SAFETY: callers have just taken the word out of the table.
    unsafe { E::from_raw(word & ADDRESS) }
}

pub(super) fn word_of<E: Element>(element: E, pos: u64) -> u64 {
    let address = element.into_raw();
    // SAFETY: the element has just been given up, and lives.
    let expires = unsafe { E::view(address) }.expires();
    pos << 48 | address | if expires { EXPIRES } else { 0 }
}

/// The number of buckets for `len` entries at about three quarters full.
pub(super) fn buckets_for(len: usize) -> usize {
    let wanted = (len * 4).div_ceil(SLOTS * 3);
    SIZES
        .iter()
        .map(|n| usize::from(*n))
        .find(|n| *n >= wanted)
        .unwrap_or(BUCKETS_MAX)
}
