//! The keyspace table: 64-byte buckets of seven tagged pointers, grouped in
//! shards of at most 16 KiB under an extendible-hashing directory.
//!
//! - A key's 64-bit hash orders everything. Its top `depth` bits choose the
//!   shard, the next 16 bits the bucket (`pos * buckets >> 16`, so buckets
//!   follow hash order whatever their number), the low byte is the tag.
//! - A full bucket passes entries on to its right neighbour and counts them,
//!   so a search knows when to stop (as F14 does). Load stays between about
//!   70 and 86 %, 11 to 13 bytes per key.
//! - A shard grows by the allocator's size classes and moves pointers only,
//!   since each slot carries its 16 position bits; a shard of the largest
//!   size splits in two. No step touches more than one shard, about 1,500
//!   keys, so there is no rehash in progress, ever.
//! - Because hash order survives growth, splits and merges, a scan cursor is
//!   a hash bound: [`Table::scan`] returns every element that is present from
//!   start to end, and a snapshot can use the same bound.
//!
//! Unsafe invariants: a directory word is 0 or a live shard made by
//! `Shard::new`; a slot word is 0 or an [`Entry`] given up by `into_raw`;
//! shard and entries are owned by the table and freed with it.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

use ahash::RandomState;
use rand::Rng;

use super::entry::{Entry, EntryRef};
use crate::util::prefetch;

const SLOTS: usize = 7;
/// Entries per bucket at which a shard grows (of 7 slots).
const LOAD_MAX: usize = 6;
/// Buckets of a shard by the allocator's size classes, one line being the header.
const SIZES: [u16; 28] = [
    1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15, 19, 23, 27, 31, 39, 47, 55, 63, 79, 95, 111, 127, 159, 191,
    223, 239, 255,
];
const BUCKETS_MAX: usize = 255;
const ADDRESS: u64 = 0x0000_ffff_ffff_fff8;
const EXPIRES: u64 = 1;

/// Hashes keys; seeded once per process.
#[derive(Clone)]
pub struct KeyHasher(RandomState);

impl KeyHasher {
    /// A hasher with a random seed.
    pub fn new() -> KeyHasher {
        KeyHasher(RandomState::new())
    }

    /// The hash of a key, the same in every db.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.0.hash_one(key)
    }
}

impl Default for KeyHasher {
    fn default() -> KeyHasher {
        KeyHasher::new()
    }
}

#[repr(C, align(64))]
struct Bucket {
    /// Bytes 0 to 6: tag of each slot, 0 when free. Byte 7: how many entries
    /// on their way from their home passed this bucket; 255 sticks.
    meta: u64,
    slots: [u64; SLOTS],
}

#[repr(C, align(64))]
struct Header {
    len: u32,
    expires: u32,
}

fn tag_of(hash: u64) -> u8 {
    (hash as u8).max(1)
}

impl Bucket {
    /// Slots whose tag may match, as a mask of the high bits of their bytes
    /// (rarely a false one; the key comparison decides).
    #[inline]
    fn matches(&self, tag: u8) -> u64 {
        const LOW: u64 = 0x0001_0101_0101_0101;
        const HIGH: u64 = 0x0080_8080_8080_8080;
        let x = (self.meta & (u64::MAX >> 8)) ^ (LOW * u64::from(tag));
        x.wrapping_sub(LOW) & !x & HIGH
    }

    fn free_slot(&self) -> Option<usize> {
        let free = self.matches(0);
        (free != 0).then(|| free.trailing_zeros() as usize / 8)
    }

    fn passed(&self) -> u8 {
        (self.meta >> 56) as u8
    }

    fn set_passed(&mut self, passed: u8) {
        self.meta = (self.meta & (u64::MAX >> 8)) | u64::from(passed) << 56;
    }

    fn tag(&self, slot: usize) -> u8 {
        (self.meta >> (8 * slot)) as u8
    }

    fn set(&mut self, slot: usize, tag: u8, word: u64) {
        self.meta = (self.meta & !(0xff << (8 * slot))) | u64::from(tag) << (8 * slot);
        self.slots[slot] = word;
    }
}

/// A shard: a header line and its buckets in one allocation. A copyable
/// handle of one word, so that a lookup needs nothing but the directory and
/// the bucket: address (48 bits), number of buckets (8), depth (8).
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shard(u64);

impl Shard {
    fn layout(buckets: usize) -> Layout {
        match Layout::from_size_align((buckets + 1) * 64, 64) {
            Ok(layout) => layout,
            Err(_) => unreachable!("at most 256 lines"),
        }
    }

    fn new(buckets: usize, depth: u8) -> Shard {
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
    fn free(self) {
        let layout = Shard::layout(self.buckets());
        // SAFETY: made by new with the same number of buckets.
        unsafe { dealloc((self.0 & ADDRESS) as *mut u8, layout) }
    }

    #[inline]
    fn header(&self) -> &mut Header {
        // SAFETY: live by the table's invariant; the executor is alone, and
        // header references never outlive the statement that makes them.
        unsafe { &mut *((self.0 & ADDRESS) as *mut Header) }
    }

    #[inline]
    fn buckets(&self) -> usize {
        (self.0 >> 48) as usize & 0xff
    }

    #[inline]
    fn depth(&self) -> u8 {
        (self.0 >> 56) as u8
    }

    /// The address of a bucket's line.
    #[inline]
    fn line(&self, index: usize) -> u64 {
        (self.0 & ADDRESS) + 64 * (index as u64 + 1)
    }

    #[inline]
    fn bucket(&self, index: usize) -> &mut Bucket {
        debug_assert!(index < self.buckets());
        // SAFETY: index is below the number of buckets behind the header;
        // references as in header().
        unsafe { &mut *(self.line(index) as *mut Bucket) }
    }

    #[inline]
    fn home(&self, pos: u64) -> usize {
        (pos as usize * self.buckets()) >> 16
    }

    fn next(&self, index: usize) -> usize {
        if index + 1 == self.buckets() {
            0
        } else {
            index + 1
        }
    }

    #[inline]
    fn find(&self, pos: u64, tag: u8, key: &[u8]) -> Option<(usize, usize)> {
        let mut index = self.home(pos);
        for _ in 0..self.buckets() {
            let bucket = self.bucket(index);
            let mut candidates = bucket.matches(tag);
            while candidates != 0 {
                let slot = candidates.trailing_zeros() as usize / 8;
                if view(bucket.slots[slot]).is_some_and(|entry| entry.key() == key) {
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

    /// Puts a slot word in; there is a free slot by the load limit.
    fn place(&self, tag: u8, word: u64) -> (usize, usize) {
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

    fn take(&self, index: usize, slot: usize) -> u64 {
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

    /// All occupied (tag, word) pairs.
    fn words(self) -> impl Iterator<Item = (u8, u64)> {
        (0..self.buckets()).flat_map(move |index| {
            (0..SLOTS).filter_map(move |slot| {
                let bucket = self.bucket(index);
                (bucket.slots[slot] != 0).then(|| (bucket.tag(slot), bucket.slots[slot]))
            })
        })
    }

    /// Moves the pointers into a new shard of another size; frees this one.
    fn resized(self, buckets: usize) -> Shard {
        let new = Shard::new(buckets, self.depth());
        for (tag, word) in self.words() {
            new.place(tag, word);
        }
        self.free();
        new
    }
}

/// The entry behind a slot word.
#[inline]
fn view<'a>(word: u64) -> Option<EntryRef<'a>> {
    // SAFETY: a non-zero word holds the address of a live entry.
    (word != 0).then(|| unsafe { EntryRef::from_raw(word & ADDRESS) })
}

fn owned(word: u64) -> Entry {
    // SAFETY: callers have just taken the word out of the table.
    unsafe { Entry::from_raw(word & ADDRESS) }
}

fn word_of(entry: Entry, pos: u64) -> u64 {
    let expires = if entry.view().expire().is_some() {
        EXPIRES
    } else {
        0
    };
    pos << 48 | entry.into_raw() | expires
}

/// The number of buckets for `len` entries at about three quarters full.
fn buckets_for(len: usize) -> usize {
    let wanted = (len * 4).div_ceil(SLOTS * 3);
    SIZES
        .iter()
        .map(|n| usize::from(*n))
        .find(|n| *n >= wanted)
        .unwrap_or(BUCKETS_MAX)
}

/// Where an entry stands; good until the table changes.
#[derive(Clone, Copy, Debug)]
pub struct Loc {
    directory: u32,
    bucket: u16,
    slot: u16,
}

/// A hash table of entries. See the module for its shape.
pub struct Table {
    hasher: KeyHasher,
    directory: Vec<Shard>,
    depth: u8,
    len: usize,
    expires: usize,
    shards: usize,
    bytes: usize,
}

// SAFETY: the table owns its shards and entries; entries are Send.
unsafe impl Send for Table {}

impl Table {
    /// An empty table; it allocates nothing.
    pub fn new(hasher: KeyHasher) -> Table {
        Table {
            hasher,
            directory: Vec::new(),
            depth: 0,
            len: 0,
            expires: 0,
            shards: 0,
            bytes: 0,
        }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of entries with an expiry.
    pub fn expires(&self) -> usize {
        self.expires
    }

    /// Number of slots that the shards have.
    pub fn slots(&self) -> usize {
        self.bytes / 64 * SLOTS - self.shards * SLOTS
    }

    /// Bytes of directory and shards, without the entries.
    pub fn overhead_bytes(&self) -> usize {
        self.bytes + self.directory.capacity() * size_of::<Shard>()
    }

    #[inline]
    fn directory_index(&self, hash: u64) -> usize {
        ((hash >> 1) >> (63 - self.depth)) as usize
    }

    #[inline]
    fn shard(&self, hash: u64) -> Option<Shard> {
        self.directory.get(self.directory_index(hash)).copied()
    }

    #[inline]
    fn pos(shard: Shard, hash: u64) -> u64 {
        (hash << shard.depth()) >> 48
    }

    /// Asks for the bucket of a hash to be brought into the cache.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        if let Some(shard) = self.shard(hash) {
            let home = shard.home(Table::pos(shard, hash));
            prefetch::line(shard.line(home));
        }
    }

    /// Asks for the likely entry of a hash, from its bucket.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        if let Some(shard) = self.shard(hash) {
            let bucket = shard.bucket(shard.home(Table::pos(shard, hash)));
            let candidates = bucket.matches(tag_of(hash));
            if candidates != 0 {
                let address = bucket.slots[candidates.trailing_zeros() as usize / 8] & ADDRESS;
                prefetch::line(address);
                // Small entries often lie across two lines.
                prefetch::line(address + 40);
            }
        }
    }

    /// Finds a key.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<Loc> {
        let shard = self.shard(hash)?;
        let (bucket, slot) = shard.find(Table::pos(shard, hash), tag_of(hash), key)?;
        Some(Loc {
            directory: self.directory_index(hash) as u32,
            bucket: bucket as u16,
            slot: slot as u16,
        })
    }

    fn at(&self, loc: Loc) -> (Shard, usize, usize) {
        let shard = self.directory[loc.directory as usize];
        let (bucket, slot) = (usize::from(loc.bucket), usize::from(loc.slot));
        assert!(bucket < shard.buckets() && slot < SLOTS, "a stale location");
        (shard, bucket, slot)
    }

    /// The entry at a location.
    ///
    /// # Panics
    /// When the location is stale.
    #[inline]
    pub fn entry(&self, loc: Loc) -> EntryRef<'_> {
        let (shard, bucket, slot) = self.at(loc);
        view(shard.bucket(bucket).slots[slot]).expect("a location of an entry")
    }

    /// Puts in an entry whose key is not there yet.
    pub fn insert(&mut self, hash: u64, entry: Entry) -> Loc {
        let mut shard = match self.shard(hash) {
            Some(shard) => shard,
            None => {
                let first = Shard::new(1, 0);
                self.directory = vec![first];
                self.account(first, true);
                first
            }
        };
        while shard.header().len as usize >= LOAD_MAX * shard.buckets() {
            shard = self.grow(shard, hash);
        }
        let word = word_of(entry, Table::pos(shard, hash));
        self.len += 1;
        self.expires += (word & EXPIRES) as usize;
        let (bucket, slot) = shard.place(tag_of(hash), word);
        Loc {
            directory: self.directory_index(hash) as u32,
            bucket: bucket as u16,
            slot: slot as u16,
        }
    }

    /// Takes an entry out.
    pub fn remove(&mut self, loc: Loc) -> Entry {
        let (shard, bucket, slot) = self.at(loc);
        let word = shard.take(bucket, slot);
        assert!(word != 0, "a location of an entry");
        self.len -= 1;
        self.expires -= (word & EXPIRES) as usize;
        self.shrink(loc.directory as usize);
        owned(word)
    }

    /// Changes an entry; the function may give it another allocation.
    pub fn update(&mut self, loc: Loc, change: impl FnOnce(Entry) -> Entry) {
        let (shard, index, slot) = self.at(loc);
        let bucket = shard.bucket(index);
        let old = bucket.slots[slot];
        assert!(old != 0, "a location of an entry");
        let new = word_of(change(owned(old)), old >> 48);
        bucket.slots[slot] = new;
        let (had, has) = (old & EXPIRES, new & EXPIRES);
        self.expires = self.expires + has as usize - had as usize;
        let header = shard.header();
        header.expires = header.expires + has as u32 - had as u32;
    }

    /// Changes a boxed value in place.
    pub fn with_entry<R>(&mut self, loc: Loc, change: impl FnOnce(&mut Entry) -> R) -> R {
        let (shard, index, slot) = self.at(loc);
        let mut entry = owned(shard.bucket(index).slots[slot]);
        let result = change(&mut entry);
        std::mem::forget(entry); // Still owned by the slot.
        result
    }

    fn account(&mut self, shard: Shard, added: bool) {
        let bytes = (shard.buckets() + 1) * 64;
        if added {
            self.shards += 1;
            self.bytes += bytes;
        } else {
            self.shards -= 1;
            self.bytes -= bytes;
        }
    }

    /// Points the directory at `new` wherever the prefix of `hash` with the
    /// depth of `new` leads.
    fn point(&mut self, hash: u64, new: Shard) {
        let span = 1usize << (self.depth - new.depth());
        let first = self.directory_index(hash) & !(span - 1);
        self.directory[first..first + span].fill(new);
    }

    /// Makes room in a full shard: the next size, or a split. Gives the shard
    /// that is now responsible for `hash`.
    fn grow(&mut self, shard: Shard, hash: u64) -> Shard {
        let buckets = shard.buckets();
        if buckets >= BUCKETS_MAX {
            return self.split(shard, hash);
        }
        let next = SIZES.iter().map(|n| usize::from(*n)).find(|n| *n > buckets);
        self.account(shard, false);
        let new = shard.resized(next.unwrap_or(BUCKETS_MAX));
        self.account(new, true);
        self.point(hash, new);
        new
    }

    fn split(&mut self, shard: Shard, hash: u64) -> Shard {
        let depth = shard.depth();
        if depth == self.depth {
            self.directory = self
                .directory
                .iter()
                .flat_map(|shard| [*shard, *shard])
                .collect();
            self.depth += 1;
        }
        // The position's top bit tells the half, without touching entries.
        let high = shard.words().filter(|(_, word)| word >> 63 == 1).count();
        let low = shard.header().len as usize - high;
        let halves = [low, high].map(|len| Shard::new(buckets_for(len), depth + 1));
        for (_, word) in shard.words() {
            prefetch::line(word & ADDRESS);
        }
        for (tag, word) in shard.words() {
            // The new position needs one more bit of the hash than was kept.
            let Some(entry) = view(word) else { continue };
            let half = halves[(word >> 63) as usize];
            let pos = Table::pos(half, self.hasher.hash(entry.key()));
            half.place(tag, pos << 48 | (word & (u64::MAX >> 16)));
        }
        self.account(shard, false);
        shard.free();
        let bit = 1u64 << (63 - depth);
        for (half, prefix) in halves.into_iter().zip([hash & !bit, hash | bit]) {
            self.account(half, true);
            self.point(prefix, half);
        }
        halves[usize::from(hash & bit != 0)]
    }

    /// After a removal: a smaller shard, or one shard out of two.
    fn shrink(&mut self, index: usize) {
        let shard = self.directory[index];
        let (len, buckets) = (shard.header().len as usize, shard.buckets());
        if len * 3 > buckets * LOAD_MAX || (buckets == 1 && self.shards > 1 && len > 0) {
            return; // A third full or more.
        }
        if self.len == 0 {
            return self.release();
        }
        let depth = shard.depth();
        if depth > 0 && buckets < BUCKETS_MAX / 3 && self.merge(index, shard) {
            return;
        }
        let smaller = buckets_for(len);
        if smaller < buckets {
            self.account(shard, false);
            let new = shard.resized(smaller);
            self.account(new, true);
            let first = self.first_of(index, new);
            let span = 1usize << (self.depth - depth);
            self.directory[first..first + span].fill(new);
        }
    }

    /// The first directory index that leads to the shard at `index`.
    fn first_of(&self, index: usize, shard: Shard) -> usize {
        index & !((1usize << (self.depth - shard.depth())) - 1)
    }

    /// Joins a shard with its sibling when both are small.
    fn merge(&mut self, index: usize, shard: Shard) -> bool {
        let depth = shard.depth();
        let span = 1usize << (self.depth - depth);
        let first = self.first_of(index, shard);
        let sibling = self.directory[first ^ span];
        let len = (shard.header().len + sibling.header().len) as usize;
        if sibling.depth() != depth || len > BUCKETS_MAX * LOAD_MAX / 3 {
            return false;
        }
        let joined = Shard::new(buckets_for(len), depth - 1);
        let start = first & !span;
        for (bit, half) in [
            (0, self.directory[start]),
            (1 << 15, self.directory[start + span]),
        ] {
            for (tag, word) in half.words() {
                // One bit comes in from the prefix; the lowest is forgotten,
                // consistently with Table::pos only for whole hashes, so it is
                // computed anew.
                let Some(entry) = view(word) else { continue };
                let pos = Table::pos(joined, self.hasher.hash(entry.key()));
                debug_assert_eq!(pos & (1 << 15), bit);
                joined.place(tag, pos << 48 | (word & (u64::MAX >> 16)));
            }
            self.account(half, false);
            half.free();
        }
        self.account(joined, true);
        self.directory[start..start + 2 * span].fill(joined);
        self.halve_directory();
        true
    }

    /// Shortens the directory while no shard needs its last bit. Looked at
    /// only when few shards are left for its length, so it stays cheap.
    fn halve_directory(&mut self) {
        while self.depth > 0
            && self.shards * 4 <= self.directory.len()
            && self.directory.chunks(2).all(|pair| pair[0] == pair[1])
        {
            self.directory = self.directory.iter().step_by(2).copied().collect();
            self.depth -= 1;
        }
    }

    /// Frees the shards of an empty table.
    fn release(&mut self) {
        for shard in self.distinct_shards() {
            shard.free();
        }
        *self = Table::new(self.hasher.clone());
    }

    fn distinct_shards(&self) -> Vec<Shard> {
        let mut shards = self.directory.clone();
        shards.dedup();
        shards
    }

    /// Visits the elements of the next bucket or so at `cursor`, and gives the
    /// cursor to go on with; 0 starts and 0 ends. Whatever is in the table
    /// during the whole of a scan is visited at least once, across growth and
    /// shrinking: the cursor is a bound in hash order (its top 48 bits).
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(EntryRef<'_>)) -> u64 {
        let bound = cursor << 16;
        let Some(shard) = self.shard(bound) else {
            return 0;
        };
        let depth = u32::from(shard.depth());
        let home = shard.home(Table::pos(shard, bound));
        self.visit_home(shard, home, &mut visit);
        // The first position that belongs to the next bucket.
        let buckets = shard.buckets() as u64;
        let next = ((home as u64 + 1) << 16).div_ceil(buckets);
        let prefix = if depth == 0 {
            0
        } else {
            bound >> (64 - depth) << (64 - depth)
        };
        let step = u128::from(next) << (48 - depth);
        let bound = u128::from(prefix) + step;
        (bound >> 16) as u64 & (u64::MAX >> 16)
    }

    /// Visits the elements whose home is this bucket.
    fn visit_home(&self, shard: Shard, home: usize, visit: &mut impl FnMut(EntryRef<'_>)) {
        let mut index = home;
        for _ in 0..shard.buckets() {
            let bucket = shard.bucket(index);
            for word in bucket.slots {
                if word != 0 && shard.home(word >> 48) == home {
                    view(word).into_iter().for_each(&mut *visit);
                }
            }
            if bucket.passed() == 0 {
                return;
            }
            index = shard.next(index);
        }
    }

    /// Visits elements with an expiry from `cursor` on until `visit` answers
    /// false or about `lines` buckets were looked at; gives the next cursor,
    /// 0 at the end. Shards without expiring keys are passed over.
    pub fn scan_expiring(
        &self,
        mut cursor: u64,
        lines: usize,
        mut visit: impl FnMut(EntryRef<'_>) -> bool,
    ) -> u64 {
        for _ in 0..lines {
            let bound = cursor << 16;
            let Some(shard) = self.shard(bound) else {
                return 0;
            };
            if shard.header().expires == 0 {
                let depth = u32::from(shard.depth());
                let next =
                    (u128::from(bound >> 48 >> (16 - depth.min(16))) + 1) << (64 - depth.min(16));
                // Coarse prefixes only: deeper directories step by 1/65536.
                let next = if depth <= 16 {
                    next
                } else {
                    u128::from(bound) + (1 << (64 - depth))
                };
                cursor = (next >> 16) as u64 & (u64::MAX >> 16);
            } else {
                let mut go_on = true;
                cursor = self.scan(cursor, |entry| {
                    if entry.expire().is_some() {
                        go_on &= visit(entry);
                    }
                });
                if !go_on {
                    return cursor;
                }
            }
            if cursor == 0 {
                return 0;
            }
        }
        cursor
    }

    /// A random element, near enough to uniform.
    pub fn random(&self, rng: &mut impl Rng) -> Option<EntryRef<'_>> {
        self.random_where(rng, |_| true)
    }

    /// A random element with an expiry.
    pub fn random_expiring(&self, rng: &mut impl Rng) -> Option<EntryRef<'_>> {
        if self.expires == 0 {
            return None;
        }
        self.random_where(rng, |word| word & EXPIRES != 0)
    }

    fn random_where(&self, rng: &mut impl Rng, wanted: fn(u64) -> bool) -> Option<EntryRef<'_>> {
        if self.len == 0 {
            return None;
        }
        // A random slot until one fits: fair among the slots of a bucket. Then,
        // where few do, the first that fits after a random bucket.
        for _ in 0..64 {
            let hash: u64 = rng.random();
            let shard = self.shard(hash)?;
            let word = shard.bucket(shard.home(Table::pos(shard, hash))).slots
                [(hash % SLOTS as u64) as usize];
            if word != 0 && wanted(word) {
                return view(word);
            }
        }
        let start = rng.random_range(0..self.directory.len());
        let order = (start..self.directory.len()).chain(0..start);
        for shard in order.map(|index| self.directory[index]) {
            let fitting = || shard.words().filter(|(_, word)| wanted(*word));
            let count = fitting().count();
            if count > 0 {
                let chosen = fitting().nth(rng.random_range(0..count));
                return chosen.and_then(|(_, word)| view(word));
            }
        }
        None
    }

    /// Every element, in hash order of the shards.
    pub fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        self.distinct_shards()
            .into_iter()
            .flat_map(Shard::words)
            .filter_map(|(_, word)| view(word))
    }

    /// Panics when the structure contradicts itself (tests, DEBUG).
    pub fn check_invariants(&self) {
        let (mut len, mut expires, mut bytes) = (0, 0, 0);
        for shard in self.distinct_shards() {
            let header = shard.header();
            assert!(shard.depth() <= self.depth);
            let words: Vec<_> = shard.words().collect();
            assert_eq!(words.len(), header.len as usize);
            for (tag, word) in words {
                let entry = view(word).expect("occupied");
                let hash = self.hasher.hash(entry.key());
                assert_eq!(tag, tag_of(hash));
                assert_eq!(word >> 48, Table::pos(shard, hash));
                assert_eq!(word & EXPIRES != 0, entry.expire().is_some());
                assert!(
                    self.find(hash, entry.key()).is_some(),
                    "an entry that is not found"
                );
                expires += (word & EXPIRES) as usize;
            }
            len += header.len as usize;
            bytes += (shard.buckets() + 1) * 64;
        }
        assert_eq!((len, expires, bytes), (self.len, self.expires, self.bytes));
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        for shard in self.distinct_shards() {
            for (_, word) in shard.words() {
                drop(owned(word));
            }
            shard.free();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::super::entry::{NewValue, ValueRef};
    use super::*;

    fn entry(key: &[u8], value: i64) -> Entry {
        Entry::new(key, NewValue::Int(value), 0)
    }

    fn put(table: &mut Table, key: &[u8], value: i64) {
        let hash = table.hasher.hash(key);
        match table.find(hash, key) {
            Some(loc) => table.update(loc, |entry| entry.replace_value(NewValue::Int(value))),
            None => drop(table.insert(hash, entry(key, value))),
        }
    }

    fn get(table: &Table, key: &[u8]) -> Option<i64> {
        let loc = table.find(table.hasher.hash(key), key)?;
        match table.entry(loc).value() {
            ValueRef::Int(value) => Some(value),
            _ => None,
        }
    }

    fn delete(table: &mut Table, key: &[u8]) -> bool {
        match table.find(table.hasher.hash(key), key) {
            Some(loc) => {
                table.remove(loc);
                true
            }
            None => false,
        }
    }

    #[test]
    fn grows_and_shrinks_with_a_tight_load() {
        let mut table = Table::new(KeyHasher::new());
        for i in 0..200_000 {
            put(&mut table, format!("key:{i}").as_bytes(), i);
        }
        table.check_invariants();
        assert!(
            table.overhead_bytes() as f64 / 200_000.0 < 14.0,
            "{}",
            table.overhead_bytes()
        );
        for i in 0..200_000 {
            assert_eq!(get(&table, format!("key:{i}").as_bytes()), Some(i));
        }
        for i in 0..199_000 {
            assert!(delete(&mut table, format!("key:{i}").as_bytes()));
        }
        table.check_invariants();
        assert!(
            table.overhead_bytes() < 200_000,
            "{}",
            table.overhead_bytes()
        );
        for i in 199_000..200_000 {
            assert!(delete(&mut table, format!("key:{i}").as_bytes()));
        }
        assert_eq!((table.overhead_bytes(), table.len()), (0, 0));
    }

    #[test]
    fn random_elements_spread() {
        let mut table = Table::new(KeyHasher::new());
        let mut rng = SmallRng::seed_from_u64(1);
        for i in 0..1000 {
            put(&mut table, format!("{i}").as_bytes(), i);
        }
        let seen: HashSet<Vec<u8>> = (0..20_000)
            .map(|_| table.random(&mut rng).unwrap().key().to_vec())
            .collect();
        assert!(seen.len() > 990, "{}", seen.len());
        assert!(table.random_expiring(&mut rng).is_none());
        let loc = table.find(table.hasher.hash(b"7"), b"7").unwrap();
        table.update(loc, |entry| entry.replace_expire(Some(1)));
        assert_eq!(table.random_expiring(&mut rng).unwrap().key(), b"7");
        let mut found = Vec::new();
        let mut cursor = 0;
        loop {
            cursor = table.scan_expiring(cursor, 4, |entry| {
                found.push(entry.key().to_vec());
                true
            });
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(found, [b"7"]);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Put(u16, i64),
        Delete(u16),
        Expire(u16, bool),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => (0u16..3000, any::<i64>()).prop_map(|(k, v)| Op::Put(k, v)),
            2 => (0u16..3000).prop_map(Op::Delete),
            1 => (0u16..3000, any::<bool>()).prop_map(|(k, e)| Op::Expire(k, e)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn behaves_as_a_map(ops in prop::collection::vec(op(), 1..4000)) {
            let mut table = Table::new(KeyHasher::new());
            let mut model: HashMap<u16, (i64, bool)> = HashMap::new();
            for op in ops {
                match op {
                    Op::Put(k, v) => {
                        put(&mut table, &k.to_le_bytes(), v);
                        model.entry(k).or_insert((v, false)).0 = v;
                    }
                    Op::Delete(k) => {
                        prop_assert_eq!(delete(&mut table, &k.to_le_bytes()), model.remove(&k).is_some());
                    }
                    Op::Expire(k, on) => {
                        let key = k.to_le_bytes();
                        if let Some(loc) = table.find(table.hasher.hash(&key), &key) {
                            table.update(loc, |entry| entry.replace_expire(on.then_some(5)));
                            model.get_mut(&k).unwrap().1 = on;
                        }
                    }
                }
            }
            table.check_invariants();
            prop_assert_eq!(table.len(), model.len());
            prop_assert_eq!(table.expires(), model.values().filter(|v| v.1).count());
            for (k, (v, _)) in &model {
                prop_assert_eq!(get(&table, &k.to_le_bytes()), Some(*v));
            }
        }

        /// SCAN's guarantee: what stays is seen, whatever grows and shrinks between.
        #[test]
        fn scan_sees_all_that_stays(
            stay in 1u32..5000,
            phases in prop::collection::vec((any::<bool>(), 0u32..6000), 0..40),
        ) {
            let mut table = Table::new(KeyHasher::new());
            for i in 0..stay {
                put(&mut table, format!("stay:{i}").as_bytes(), 0);
            }
            let mut seen = HashSet::new();
            let (mut cursor, mut noise, mut phase, mut steps) = (0, 0u32, phases.iter(), 0u64);
            loop {
                cursor = table.scan(cursor, |entry| { seen.insert(entry.key().to_vec()); });
                if cursor == 0 { break }
                steps += 1;
                prop_assert!(steps < 100_000);
                if steps % 7 == 0 && let Some((grow, count)) = phase.next() {
                    for _ in 0..*count {
                        if *grow {
                            put(&mut table, format!("noise:{noise}").as_bytes(), 1);
                            noise += 1;
                        } else if noise > 0 {
                            noise -= 1;
                            delete(&mut table, format!("noise:{noise}").as_bytes());
                        }
                    }
                }
            }
            for i in 0..stay {
                let key = format!("stay:{i}").into_bytes();
                prop_assert!(seen.contains(&key), "lost {}", i);
            }
        }
    }
}
