//! The hash table of keyspace and big collections: 64-byte buckets of seven
//! tagged pointers, grouped in shards of at most 16 KiB under an
//! extendible-hashing directory.
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
//! `Shard::new`; a slot word is 0 or an [`Element`] given up by `into_raw`;
//! shard and elements are owned by the table and freed with it.
#![allow(unsafe_code)]

mod frozen;
mod relocate;
mod shard;

use std::hash::{BuildHasher, Hasher};
use std::marker::PhantomData;
use std::sync::OnceLock;

use ahash::RandomState;
use rand::Rng;

use crate::util::prefetch;
use frozen::Frozen;
pub use frozen::Sink;
use shard::{
    ADDRESS, BUCKETS_MAX, Bucket, EXPIRES, LOAD_MAX, SIZES, SLOTS, Shard, buckets_for, owned,
    tag_of, view, word_of,
};

/// Elements that are reckoned with in a shard when their number is known in
/// advance: few enough that no chance makes it too small.
const SHARD_LEN: usize = 1200;

/// What a table holds: something of one allocation with a key in it, that can
/// be given up as an address and taken back.
///
/// # Safety
/// An address that `into_raw` gives fits 48 bits and is a multiple of 8, other
/// than 0; until it is taken back by `from_raw`, once, the views made of it
/// stay valid, and the key of a view never changes.
pub unsafe trait Element: Sized + Send {
    /// A borrowed element.
    type View<'a>: View<'a>;
    /// Gives up ownership.
    fn into_raw(self) -> u64;
    /// Takes back what `into_raw` gave up.
    ///
    /// # Safety
    /// `address` comes from `into_raw` and is taken back once.
    unsafe fn from_raw(address: u64) -> Self;
    /// The element at an address, for reading.
    ///
    /// # Safety
    /// `address` belongs to an element that lives, unmoved, for `'a`.
    unsafe fn view<'a>(address: u64) -> Self::View<'a>;
}

/// A borrowed element of a table.
pub trait View<'a>: Copy {
    /// What it is found by.
    fn key(self) -> &'a [u8];
    /// Whether it has an expiry.
    fn expires(self) -> bool;
    /// Bytes from its address on that reading it looks at, as far as they are
    /// worth asking for ([`Table::prefetch_rest`]).
    fn extent(self) -> usize {
        0
    }
}

/// Hashes keys; seeded once per process.
#[derive(Clone)]
pub struct KeyHasher(RandomState);

impl KeyHasher {
    /// A hasher with a random seed.
    pub fn new() -> KeyHasher {
        KeyHasher(RandomState::new())
    }

    /// The hasher that all collections of this process share.
    pub fn shared() -> KeyHasher {
        static SHARED: OnceLock<KeyHasher> = OnceLock::new();
        SHARED.get_or_init(KeyHasher::new).clone()
    }

    /// The hash of a key, the same in every db.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write(key);
        hasher.finish()
    }
}

impl Default for KeyHasher {
    fn default() -> KeyHasher {
        KeyHasher::new()
    }
}

/// Bytes of a cache line.
const LINE: usize = 64;
/// Bytes of a long entry that are asked for in advance. The processor notices
/// by itself that more is read in a row.
const REST_BYTES_MAX: usize = 2048;

/// Where an entry stands; good until the table changes.
#[derive(Clone, Copy, Debug)]
pub struct Loc {
    directory: u32,
    bucket: u16,
    slot: u16,
}

impl Loc {
    fn new(directory: usize, bucket: usize, slot: usize) -> Loc {
        Loc {
            directory: directory as u32,
            bucket: bucket as u16,
            slot: slot as u16,
        }
    }
}

/// A hash table of elements. See the module for its shape.
pub struct Table<E: Element> {
    hasher: KeyHasher,
    directory: Vec<Shard>,
    depth: u8,
    len: usize,
    expires: usize,
    shards: usize,
    bytes: usize,
    /// What a running snapshot is still owed.
    frozen: Option<Box<Frozen<E>>>,
    elements: PhantomData<E>,
}

// SAFETY: the table owns its shards and elements; elements are Send.
unsafe impl<E: Element> Send for Table<E> {}

impl<E: Element> Table<E> {
    /// An empty table; it allocates nothing.
    pub fn new(hasher: KeyHasher) -> Table<E> {
        Table {
            hasher,
            directory: Vec::new(),
            depth: 0,
            len: 0,
            expires: 0,
            shards: 0,
            bytes: 0,
            frozen: None,
            elements: PhantomData,
        }
    }

    /// An empty table with room for so many elements. Elements that come in
    /// the order of another table would crowd in one that grows with them.
    pub fn with_capacity(hasher: KeyHasher, len: usize) -> Table<E> {
        let mut table = Table::new(hasher);
        if len > 0 {
            while len >> table.depth > SHARD_LEN {
                table.depth += 1;
            }
            let buckets = buckets_for(len >> table.depth);
            let shards = (0..1usize << table.depth).map(|_| Shard::new(buckets, table.depth));
            table.directory = shards.collect();
            for shard in table.directory.clone() {
                table.account(shard, true);
            }
        }
        table
    }

    /// A table of the same form with a copy of each element, which has the
    /// same key and expires if the other does.
    pub fn duplicate(&self, copy: impl Fn(E::View<'_>) -> E) -> Table<E> {
        let mut directory = Vec::with_capacity(self.directory.len());
        while let Some(shard) = self.directory.get(directory.len()) {
            let new = shard.duplicate(|word| match view::<E>(word) {
                Some(element) => word_of(copy(element), word >> 48),
                None => 0,
            });
            let span = 1usize << (self.depth - shard.depth());
            directory.extend(std::iter::repeat_n(new, span));
        }
        Table {
            hasher: self.hasher.clone(),
            directory,
            frozen: None,
            elements: PhantomData,
            ..*self
        }
    }

    /// Its hasher.
    #[inline]
    pub fn hasher(&self) -> &KeyHasher {
        &self.hasher
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
        // Two steps, because a depth of 0 would shift by 64.
        (hash >> 1).wrapping_shr(63 ^ u32::from(self.depth)) as usize
    }

    #[inline]
    fn shard(&self, hash: u64) -> Option<Shard> {
        self.directory.get(self.directory_index(hash)).copied()
    }

    #[inline]
    fn pos(shard: Shard, hash: u64) -> u64 {
        hash.wrapping_shl(u32::from(shard.depth())) >> 48
    }

    /// Asks for the bucket of a hash to be brought into the cache.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        if let Some(shard) = self.shard(hash) {
            let home = shard.home(Table::<E>::pos(shard, hash));
            prefetch::line(shard.line(home));
        }
    }

    /// Asks for the likely entry of a hash, from its bucket. False when it is
    /// not there but may be in the next, which is asked for then: call
    /// [`Table::prefetch_further`] later.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) -> bool {
        let Some(shard) = self.shard(hash) else {
            return true;
        };
        let home = shard.home(Table::<E>::pos(shard, hash));
        let bucket = shard.bucket(home);
        if prefetch_match(bucket, hash) || bucket.passed() == 0 {
            return true;
        }
        prefetch::line(shard.line(shard.next(home)));
        false
    }

    /// Asks for the likely entry of a hash that the bucket of the hash does not
    /// have, from the next.
    #[inline]
    pub fn prefetch_further(&self, hash: u64) {
        if let Some(shard) = self.shard(hash) {
            let home = shard.home(Table::<E>::pos(shard, hash));
            prefetch_match(shard.bucket(shard.next(home)), hash);
        }
    }

    /// Asks for the rest of a long entry, whose beginning has been asked for
    /// before; false when what was asked for is all of it, or nothing is there.
    #[inline]
    pub fn prefetch_rest(&self, hash: u64) -> bool {
        let Some(shard) = self.shard(hash) else {
            return false;
        };
        let bucket = shard.bucket(shard.home(Table::<E>::pos(shard, hash)));
        let Some(word) = first_match(bucket, hash) else {
            return false;
        };
        let extent = view::<E>(word).map_or(0, View::extent);
        for line in (LINE..extent.min(REST_BYTES_MAX)).step_by(LINE) {
            prefetch::line((word & ADDRESS) + line as u64);
        }
        extent > 2 * LINE
    }

    /// Finds a key.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<Loc> {
        let shard = self.shard(hash)?;
        let (bucket, slot) = shard.find::<E>(Table::<E>::pos(shard, hash), tag_of(hash), key)?;
        Some(Loc::new(self.directory_index(hash), bucket, slot))
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
    pub fn entry(&self, loc: Loc) -> E::View<'_> {
        let (shard, bucket, slot) = self.at(loc);
        view::<E>(shard.bucket(bucket).slots[slot]).expect("a location of an entry")
    }

    /// Puts in an entry whose key is not there yet.
    pub fn insert(&mut self, hash: u64, entry: E) -> Loc {
        self.preserve(hash);
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
        if shard.is_crowded_at(Table::<E>::pos(shard, hash)) {
            shard = self.split(shard, hash);
        }
        let word = word_of(entry, Table::<E>::pos(shard, hash));
        self.len += 1;
        self.expires += (word & EXPIRES) as usize;
        let (bucket, slot) = shard.place(tag_of(hash), word);
        Loc::new(self.directory_index(hash), bucket, slot)
    }

    /// Takes an entry out.
    pub fn remove(&mut self, loc: Loc) -> E {
        self.preserve_at(loc);
        let (shard, bucket, slot) = self.at(loc);
        let word = shard.take(bucket, slot);
        assert!(word != 0, "a location of an entry");
        self.len -= 1;
        self.expires -= (word & EXPIRES) as usize;
        self.shrink(loc.directory as usize);
        owned::<E>(word)
    }

    /// Changes an entry; the function may give it another allocation.
    pub fn update(&mut self, loc: Loc, change: impl FnOnce(E) -> E) {
        self.preserve_at(loc);
        let (shard, index, slot) = self.at(loc);
        let bucket = shard.bucket(index);
        let old = bucket.slots[slot];
        assert!(old != 0, "a location of an entry");
        let new = word_of(change(owned::<E>(old)), old >> 48);
        bucket.slots[slot] = new;
        let (had, has) = (old & EXPIRES, new & EXPIRES);
        self.expires = self.expires + has as usize - had as usize;
        let header = shard.header();
        header.expires = header.expires + has as u32 - had as u32;
    }

    /// Changes a boxed value in place.
    pub fn with_entry<R>(&mut self, loc: Loc, change: impl FnOnce(&mut E) -> R) -> R {
        self.preserve_at(loc);
        let (shard, index, slot) = self.at(loc);
        let word = shard.bucket(index).slots[slot];
        assert!(word != 0, "a location of an entry");
        let mut entry = owned::<E>(word);
        let result = change(&mut entry);
        std::mem::forget(entry); // Still owned by the slot.
        result
    }

    /// As [`Table::preserve`], of the element at a location.
    #[inline]
    fn preserve_at(&mut self, loc: Loc) {
        if self.frozen.is_some() {
            let hash = self.hasher.hash(self.entry(loc).key());
            self.preserve(hash);
        }
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
            let Some(entry) = view::<E>(word) else {
                continue;
            };
            let half = halves[(word >> 63) as usize];
            let pos = Table::<E>::pos(half, self.hasher.hash(entry.key()));
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
                let Some(entry) = view::<E>(word) else {
                    continue;
                };
                let pos = Table::<E>::pos(joined, self.hasher.hash(entry.key()));
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
        // What is replaced is dropped, and must not free them again.
        self.directory.clear();
        // Whatever a snapshot was owed has been handed over, being removed.
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
    pub fn scan<'t>(&'t self, cursor: u64, visit: impl FnMut(E::View<'t>)) -> u64 {
        self.scan_marked(cursor, 0, visit)
    }

    /// As [`Table::scan`], of the elements whose slot word has these bits set.
    fn scan_marked<'t>(
        &'t self,
        cursor: u64,
        marks: u64,
        mut visit: impl FnMut(E::View<'t>),
    ) -> u64 {
        self.scan_words(cursor, |_, _, word| {
            if word & marks == marks {
                view::<E>(word).into_iter().for_each(&mut visit);
            }
        })
    }

    /// As [`Table::scan`], of slot words, each with as many leading bits of the
    /// hash as are known without looking at the element, and their number.
    fn scan_words(&self, cursor: u64, mut visit: impl FnMut(u64, u32, u64)) -> u64 {
        let bound = cursor << 16;
        let Some(shard) = self.shard(bound) else {
            return 0;
        };
        let depth = u32::from(shard.depth());
        let prefix = if depth == 0 {
            0
        } else {
            bound >> (64 - depth) << (64 - depth)
        };
        let home = shard.home(Table::<E>::pos(shard, bound));
        let known_bits = depth + 16;
        visit_home(shard, home, |word| {
            visit(prefix | (word >> 48 << 48 >> depth), known_bits, word);
        });
        Table::<E>::bound_after(shard, bound, home)
    }

    /// Asks for the elements of a bucket a little behind the one at a cursor.
    fn prefetch_ahead(&self, cursor: u64) {
        let bound = cursor << 16;
        if let Some(shard) = self.shard(bound) {
            let home = shard.home(Table::<E>::pos(shard, bound));
            let ahead = home + shard::BUCKETS_AHEAD;
            if ahead < shard.buckets() {
                for word in shard.bucket(ahead).slots {
                    prefetch::line(word & ADDRESS);
                }
            }
        }
    }

    /// Visits elements with an expiry from `cursor` on until `visit` answers
    /// false or about `lines` buckets were looked at; gives the next cursor,
    /// 0 at the end. Shards without expiring keys are passed over.
    pub fn scan_expiring(
        &self,
        mut cursor: u64,
        lines: usize,
        mut visit: impl FnMut(E::View<'_>) -> bool,
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
                // The mark spares looking into entries without an expiry.
                cursor = self.scan_marked(cursor, EXPIRES, |entry| go_on &= visit(entry));
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

    /// Visits elements that stand together somewhere, `count` or a few more,
    /// until `visit` answers false. Buckets are looked at as a whole: which slot
    /// an element is in tells how old it is.
    pub fn sample(
        &self,
        rng: &mut impl Rng,
        count: usize,
        mut visit: impl FnMut(E::View<'_>) -> bool,
    ) {
        let mut cursor = rng.random::<u64>() >> 16;
        // However many are asked for, there are no more.
        let count = count.min(self.len);
        let (mut seen, mut go_on) = (0, self.len > 0);
        for _ in 0..count * 4 {
            if seen >= count || !go_on {
                return;
            }
            self.prefetch_ahead(cursor);
            cursor = self.scan_marked(cursor, 0, |element| {
                if go_on {
                    seen += 1;
                    go_on = visit(element);
                }
            });
        }
    }

    /// A random element; each is as likely as any other.
    pub fn random(&self, rng: &mut impl Rng) -> Option<E::View<'_>> {
        self.random_loc(rng).map(|loc| self.entry(loc))
    }

    /// As [`Table::random`], where it stands.
    pub fn random_loc(&self, rng: &mut impl Rng) -> Option<Loc> {
        self.random_where(rng, false)
    }

    /// A random element with an expiry.
    pub fn random_expiring(&self, rng: &mut impl Rng) -> Option<E::View<'_>> {
        let loc = self.random_expiring_loc(rng)?;
        Some(self.entry(loc))
    }

    /// As [`Table::random_expiring`], where it stands.
    pub fn random_expiring_loc(&self, rng: &mut impl Rng) -> Option<Loc> {
        if self.expires == 0 {
            return None;
        }
        self.random_where(rng, true)
    }

    /// A random shard, in proportion to its slots, by directory index.
    fn random_shard(&self, rng: &mut impl Rng) -> usize {
        // The directory names a shard the more often the shallower it is. Both
        // this and its size make up for it, against the most that can be.
        let most = (BUCKETS_MAX as u64) << self.depth;
        loop {
            let index = rng.random_range(0..self.directory.len());
            let shard = self.directory[index];
            let weight = (shard.buckets() as u64) << shard.depth();
            if self.shards == 1 || rng.random_range(0..most) < weight {
                return index;
            }
        }
    }

    /// A random element, or one with an expiry.
    fn random_where(&self, rng: &mut impl Rng, expiring: bool) -> Option<Loc> {
        if self.len == 0 {
            return None;
        }
        let wanted = |word: u64| !expiring || word & EXPIRES != 0;
        // A random slot until one fits. Then, where few do, any that fits of
        // the first shard with such after a random one.
        for _ in 0..64 {
            let directory = self.random_shard(rng);
            let shard = self.directory[directory];
            let chosen = rng.random_range(0..shard.buckets() * SLOTS);
            let (bucket, slot) = (chosen / SLOTS, chosen % SLOTS);
            let word = shard.bucket(bucket).slots[slot];
            if word != 0 && wanted(word) {
                return Some(Loc::new(directory, bucket, slot));
            }
        }
        let start = self.random_shard(rng);
        for directory in (start..self.directory.len()).chain(0..start) {
            let header = self.directory[directory].header();
            if header.len == 0 || (expiring && header.expires == 0) {
                continue;
            }
            let fitting = || {
                let slots = self.directory[directory].occupied();
                slots.filter(|(_, _, word)| wanted(*word))
            };
            let count = fitting().count();
            if count > 0 {
                let chosen = fitting().nth(rng.random_range(0..count));
                return chosen.map(|(bucket, slot, _)| Loc::new(directory, bucket, slot));
            }
        }
        None
    }

    /// Every element, in hash order of the shards. Those to come are asked for
    /// ahead.
    pub fn iter(&self) -> impl Iterator<Item = E::View<'_>> {
        self.distinct_shards()
            .into_iter()
            .flat_map(Shard::words_ahead)
            .filter_map(view::<E>)
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
                let entry = view::<E>(word).expect("occupied");
                let hash = self.hasher.hash(entry.key());
                assert_eq!(tag, tag_of(hash));
                assert_eq!(word >> 48, Table::<E>::pos(shard, hash));
                assert_eq!(word & EXPIRES != 0, entry.expires());
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

/// Visits the slot words whose home is this bucket.
fn visit_home(shard: Shard, home: usize, mut visit: impl FnMut(u64)) {
    let mut index = home;
    for _ in 0..shard.buckets() {
        let bucket = shard.bucket(index);
        for word in bucket.slots {
            if word != 0 && shard.home(word >> 48) == home {
                visit(word);
            }
        }
        if bucket.passed() == 0 {
            return;
        }
        index = shard.next(index);
    }
}

/// The first slot word of a bucket that a hash may belong to, if any.
#[inline]
fn first_match(bucket: &Bucket, hash: u64) -> Option<u64> {
    let candidates = bucket.matches(tag_of(hash));
    let slot = candidates.trailing_zeros() as usize / 8;
    (candidates != 0).then(|| bucket.slots[slot])
}

/// Asks for that element; false where there is none.
#[inline]
fn prefetch_match(bucket: &Bucket, hash: u64) -> bool {
    let Some(word) = first_match(bucket, hash) else {
        return false;
    };
    let address = word & ADDRESS;
    prefetch::line(address);
    // Small entries often lie across two lines.
    prefetch::line(address + 40);
    true
}

impl<E: Element> Drop for Table<E> {
    fn drop(&mut self) {
        self.thaw_all();
        for shard in self.distinct_shards() {
            for (_, word) in shard.words() {
                drop(owned::<E>(word));
            }
            shard.free();
        }
    }
}

#[cfg(test)]
mod tests;
