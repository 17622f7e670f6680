//! One database, and the view of it that a command works with.

use rand::Rng;

use super::edit::{Edit, Ttl};
use super::entry::{Entry, EntryRef, NewValue, ValueRef};
use super::{Event, Keyspace, event};
use crate::encoding::table::{KeyHasher, Loc, Table};
use crate::stats::used;
use crate::types::{Collection, Object, StrRef};

/// The number of a database that exists.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct DbIndex(u32);

impl DbIndex {
    /// The database that connections begin with.
    pub const FIRST: DbIndex = DbIndex(0);

    pub(super) fn new(index: usize) -> DbIndex {
        DbIndex(index as u32)
    }

    /// As a number.
    #[inline]
    pub fn get(self) -> usize {
        self.0 as usize
    }
}

/// The value is of another type than the command works on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WrongType;

/// A type that commands read by.
pub trait ValueKind {
    /// What reading gives.
    type Ref<'a>;
    /// The value, when it is of this type.
    fn of(value: ValueRef<'_>) -> Option<Self::Ref<'_>>;
}

/// Strings.
pub struct Str;

impl ValueKind for Str {
    type Ref<'a> = StrRef<'a>;

    #[inline]
    fn of(value: ValueRef<'_>) -> Option<StrRef<'_>> {
        match value {
            ValueRef::Int(number) => Some(StrRef::Int(number)),
            ValueRef::Inline(bytes) => Some(StrRef::Inline(bytes)),
            ValueRef::Boxed(Object::String(string)) => Some(StrRef::Boxed(string)),
            ValueRef::Packed(..) | ValueRef::Boxed(_) => None,
        }
    }
}

impl<T: Collection> ValueKind for T {
    type Ref<'a> = T::Ref<'a>;

    #[inline]
    fn of(value: ValueRef<'_>) -> Option<T::Ref<'_>> {
        match value {
            ValueRef::Packed(kind, bytes) => T::packed_view(kind, bytes),
            ValueRef::Boxed(object) => T::in_object(object).map(T::view),
            ValueRef::Int(_) | ValueRef::Inline(_) => None,
        }
    }
}

impl Str {
    /// Length of the string that an entry holds, bytes (0 for other types).
    pub fn len_of(entry: EntryRef<'_>) -> usize {
        Str::of(entry.value()).map_or(0, StrRef::len)
    }
}

/// One database.
pub struct Db {
    table: Table<Entry>,
    /// What names it when databases are exchanged or emptied.
    pub(super) id: u64,
    /// Where active expiry goes on.
    pub(super) expire_cursor: u64,
    /// Average time to live of sampled keys, milliseconds.
    pub avg_ttl_ms: i64,
}

impl Db {
    pub(super) fn new(hasher: &KeyHasher, id: u64) -> Db {
        Db {
            id,
            table: Table::new(hasher.clone()),
            expire_cursor: 0,
            avg_ttl_ms: 0,
        }
    }

    /// The keys, expired ones included.
    pub fn table(&self) -> &Table<Entry> {
        &self.table
    }

    pub(super) fn table_mut(&mut self) -> &mut Table<Entry> {
        &mut self.table
    }

    pub(super) fn into_table(self) -> Table<Entry> {
        self.table
    }
}

/// A database with everything that reading and writing it involves.
pub struct DbRef<'a> {
    pub(super) keyspace: &'a mut Keyspace,
    pub(super) index: DbIndex,
    /// Reads leave access clock and hit counters alone (CLIENT NO-TOUCH).
    pub no_touch: bool,
}

impl<'a> DbRef<'a> {
    #[inline]
    pub(super) fn new(keyspace: &'a mut Keyspace, index: DbIndex) -> DbRef<'a> {
        DbRef {
            keyspace,
            index,
            no_touch: false,
        }
    }

    /// Its number.
    pub fn index(&self) -> DbIndex {
        self.index
    }

    /// The time at which the command runs, Unix milliseconds.
    #[inline]
    pub fn now_ms(&self) -> i64 {
        self.keyspace.now_ms
    }

    /// The keyspace that it is part of.
    pub fn keyspace(&mut self) -> &mut Keyspace {
        self.keyspace
    }

    /// Another database of the keyspace.
    pub fn other(&mut self, index: DbIndex) -> DbRef<'_> {
        DbRef {
            keyspace: self.keyspace,
            index,
            no_touch: self.no_touch,
        }
    }

    /// The keys, expired ones included.
    #[inline]
    pub fn table(&self) -> &Table<Entry> {
        &self.keyspace.dbs[self.index.get()].table
    }

    #[inline]
    pub(super) fn table_mut(&mut self) -> &mut Table<Entry> {
        &mut self.keyspace.dbs[self.index.get()].table
    }

    /// Whether a key counts as gone now.
    #[inline]
    pub fn is_expired(&self, entry: EntryRef<'_>) -> bool {
        match entry.expire() {
            None => false,
            Some(at_ms) => !self.keyspace.ignore_expiry && self.keyspace.now_ms > at_ms,
        }
    }

    /// Whether a key that is given this expiry, Unix milliseconds, is gone at
    /// once. Replicas and loading servers leave that to their source.
    pub fn is_over(&self, at_ms: i64) -> bool {
        let keyspace = &*self.keyspace;
        at_ms <= keyspace.now_ms && !keyspace.hide_expired && !keyspace.ignore_expiry
    }

    /// Finds a live key. One whose time has come is deleted (or, on a
    /// replica and while clients are paused, only overlooked).
    #[inline]
    pub(super) fn find(&mut self, key: &[u8]) -> Option<Loc> {
        let hash = self.keyspace.hash_of(key);
        let loc = self.table().find(hash, key)?;
        if self.is_expired(self.table().entry(loc)) {
            self.expire_at(loc);
            return None;
        }
        Some(loc)
    }

    /// Has a running snapshot take what it needs of an entry that is about to
    /// change.
    pub(super) fn before_change_at(&mut self, loc: Loc) {
        if self.keyspace.in_snapshot() {
            let hash = self.keyspace.hash(self.table().entry(loc).key());
            self.keyspace.before_change(self.index, hash);
        }
    }

    fn expire_at(&mut self, loc: Loc) {
        if self.keyspace.keeps_expired() {
            return;
        }
        self.before_change_at(loc);
        let entry = self.table_mut().remove(loc);
        let (index, keyspace) = (self.index, &mut *self.keyspace);
        keyspace.stats.expired += 1;
        keyspace.effects.expired(index, entry.view().key());
        keyspace.free_entry(entry);
    }

    /// Deletes a key if its time has come; true when it did.
    pub fn expire_if_due(&mut self, key: &[u8]) -> bool {
        let hash = self.keyspace.hash_of(key);
        match self.table().find(hash, key) {
            Some(loc) if self.is_expired(self.table().entry(loc)) => {
                self.expire_at(loc);
                true
            }
            _ => false,
        }
    }

    /// Moves the access clock of an entry on.
    #[inline]
    fn mark_used(&mut self, loc: Loc) {
        let keyspace = &mut *self.keyspace;
        let entry = keyspace.dbs[self.index.get()].table.entry(loc);
        entry.set_clock(keyspace.access.touched(entry.clock(), keyspace.now_ms));
    }

    /// Finds a live key for reading: counts a hit or a miss, which is an event.
    #[inline]
    fn find_counted(&mut self, key: &[u8]) -> Option<Loc> {
        let found = self.find(key);
        let keyspace = &mut *self.keyspace;
        if found.is_some() {
            keyspace.stats.hits += 1;
        } else {
            keyspace.stats.misses += 1;
            keyspace.effects.event(self.index, event::KEY_MISS, key);
        }
        found
    }

    /// A key for reading: counts a hit or a miss and marks it used.
    #[inline]
    pub fn lookup(&mut self, key: &[u8]) -> Option<EntryRef<'_>> {
        let loc = self.find_counted(key)?;
        if !self.no_touch {
            self.mark_used(loc);
        }
        Some(self.table().entry(loc))
    }

    /// A key looked at from outside (EXISTS, TYPE, TTL): counts as
    /// [`DbRef::lookup`] does, but is not a use.
    pub fn look(&mut self, key: &[u8]) -> Option<EntryRef<'_>> {
        let loc = self.find_counted(key)?;
        Some(self.table().entry(loc))
    }

    /// A key looked at by OBJECT: counts a hit or a miss and nothing else.
    pub fn examine(&mut self, key: &[u8]) -> Option<EntryRef<'_>> {
        let found = self.find(key);
        let stats = &mut self.keyspace.stats;
        match found {
            Some(_) => stats.hits += 1,
            None => stats.misses += 1,
        }
        Some(self.table().entry(found?))
    }

    /// A key looked at without any trace (DEBUG).
    pub fn peek(&mut self, key: &[u8]) -> Option<EntryRef<'_>> {
        let loc = self.find(key)?;
        Some(self.table().entry(loc))
    }

    /// Whether a live key is there, without a trace.
    pub fn contains(&mut self, key: &[u8]) -> bool {
        self.find(key).is_some()
    }

    /// Reads a value of a type; None when there is no such key.
    ///
    /// # Errors
    /// [`WrongType`] when the key holds something else.
    #[inline]
    pub fn read<K: ValueKind>(&mut self, key: &[u8]) -> Result<Option<K::Ref<'_>>, WrongType> {
        match self.lookup(key) {
            None => Ok(None),
            Some(entry) => K::of(entry.value()).map(Some).ok_or(WrongType),
        }
    }

    /// The value of a live key as it is, without a trace: several can be looked
    /// at together.
    #[inline]
    pub fn view<K: ValueKind>(&self, key: &[u8]) -> Option<K::Ref<'_>> {
        let loc = self.table().find(self.keyspace.hash_of(key), key)?;
        let entry = self.table().entry(loc);
        if self.is_expired(entry) {
            return None;
        }
        K::of(entry.value())
    }

    /// A long string for a reply, shared instead of copied.
    pub fn share_string(&mut self, key: &[u8]) -> Option<bytes::Bytes> {
        let loc = self.find(key)?;
        self.table_mut()
            .with_entry(loc, |entry| match entry.boxed_mut() {
                Some(Object::String(string)) => Some(string.share()),
                _ => None,
            })
    }

    /// Finds a live key for writing and marks it used.
    #[inline]
    pub(super) fn find_for_edit(&mut self, key: &[u8]) -> Option<Loc> {
        let loc = self.find(key)?;
        if self.keyspace.in_snapshot() {
            self.before_change_at(loc);
        }
        if !self.no_touch {
            self.mark_used(loc);
        }
        Some(loc)
    }

    /// A live key for writing, if it exists.
    #[inline]
    pub fn edit(&mut self, key: &[u8]) -> Option<Edit<'_>> {
        let loc = self.find_for_edit(key)?;
        Some(Edit::new(self, loc))
    }

    /// A live key of a type for writing.
    ///
    /// # Errors
    /// [`WrongType`] when the key holds something else.
    pub fn edit_as<K: ValueKind>(&mut self, key: &[u8]) -> Result<Option<Edit<'_>>, WrongType> {
        match self.edit(key) {
            Some(edit) if K::of(edit.entry().value()).is_none() => Err(WrongType),
            found => Ok(found),
        }
    }

    /// Adds a key that is not there. Its events beside `new` are the caller's.
    pub fn create(&mut self, key: &[u8], value: NewValue<'_>) -> Edit<'_> {
        let clock = self.keyspace.access.initial(self.keyspace.now_ms);
        self.insert(key, Entry::new(key, value, clock))
    }

    /// As [`DbRef::create`], for commands that only find out on the way whether
    /// they change anything. If they do, they count it.
    pub fn create_unchanged(&mut self, key: &[u8], value: NewValue<'_>) -> Edit<'_> {
        let clock = self.keyspace.access.initial(self.keyspace.now_ms);
        self.insert_untouched(key, Entry::new(key, value, clock))
    }

    pub(super) fn insert(&mut self, key: &[u8], entry: Entry) -> Edit<'_> {
        let mut edit = self.insert_untouched(key, entry);
        edit.touch();
        edit
    }

    fn insert_untouched(&mut self, key: &[u8], entry: Entry) -> Edit<'_> {
        let loc = self.insert_entry(key, entry);
        self.keyspace.effects.event(self.index, event::NEW, key);
        Edit::new(self, loc)
    }

    fn insert_entry(&mut self, key: &[u8], entry: Entry) -> Loc {
        let hash = self.keyspace.hash_of(key);
        if self.keyspace.in_snapshot() {
            self.keyspace.before_change(self.index, hash);
            self.keyspace.note_moved(self.index, entry.view());
        }
        let kind = entry.view().value_type();
        if kind.can_be_awaited() {
            self.keyspace.effects.ready(self.index, key);
        }
        if self.keyspace.keeps_expired()
            && let Some(hidden) = self.table().find(hash, key)
        {
            let hidden = self.table_mut().remove(hidden);
            self.keyspace.lazyfree.entry(hidden);
        }
        self.table_mut().insert(hash, entry)
    }

    /// Adds a key that is not there; all events are the caller's.
    pub(super) fn insert_quietly(&mut self, key: &[u8], value: NewValue<'_>) {
        let clock = self.keyspace.access.initial(self.keyspace.now_ms);
        self.insert_entry(key, Entry::new(key, value, clock));
    }

    /// Gives a key a value, whatever it held before.
    #[inline]
    pub fn set(&mut self, key: &[u8], value: NewValue<'_>, ttl: Ttl, event: Event) {
        let mut edit = match self.edit(key) {
            Some(mut edit) => {
                edit.replace_value(value);
                edit
            }
            None => self.create(key, value),
        };
        match ttl {
            Ttl::Keep => {}
            Ttl::Clear => edit.set_expire(None),
            Ttl::At(at_ms) => edit.set_expire(Some(at_ms)),
        }
        edit.changed(event);
    }

    /// Deletes a key because memory is full; the bytes that this has freed.
    pub(super) fn evict(&mut self, loc: Loc, in_background: bool) -> i64 {
        self.before_change_at(loc);
        let entry = self.table_mut().remove(loc);
        self.keyspace
            .effects
            .evicted(self.index, entry.view().key());
        // What a snapshot still needs does not count any more, either.
        let kept = self.keyspace.snapshot_value_bytes();
        let before = used::own();
        if in_background {
            self.keyspace.free_entry(entry);
        } else {
            self.keyspace.drop_entry(entry);
        }
        let kept = self.keyspace.snapshot_value_bytes() - kept;
        before - used::own() + kept
    }

    /// Deletes a live key; true when it was there.
    pub fn remove(&mut self, key: &[u8], event: Event) -> bool {
        match self.find(key) {
            None => false,
            Some(loc) => {
                let entry = self.take(loc, event);
                self.keyspace.free_entry(entry);
                true
            }
        }
    }

    pub(super) fn take(&mut self, loc: Loc, event: Event) -> Entry {
        self.before_change_at(loc);
        let entry = self.table_mut().remove(loc);
        let effects = &mut self.keyspace.effects;
        effects.touched(self.index, entry.view().key());
        effects.event(self.index, event, entry.view().key());
        effects.dirty += 1;
        entry
    }

    /// Deletes a live key whose name is about to be given to another value,
    /// which is all that anybody is told.
    pub fn discard(&mut self, key: &[u8]) {
        if let Some(loc) = self.find(key) {
            self.before_change_at(loc);
            let entry = self.table_mut().remove(loc);
            self.keyspace.free_entry(entry);
        }
    }

    /// Tells of, and counts, the deletion of a key that was discarded after all.
    pub fn removed(&mut self, key: &[u8]) {
        self.keyspace.effects.touched(self.index, key);
        self.moved(event::DEL, key);
    }

    /// Publishes an event of a key that may be gone.
    pub fn notify(&mut self, event: Event, key: &[u8]) {
        self.keyspace.effects.event(self.index, event, key);
    }

    /// Counts and names one change after [`DbRef::put_value`], which has
    /// marked the key touched already.
    pub fn moved(&mut self, event: Event, key: &[u8]) {
        self.notify(event, key);
        self.keyspace.effects.dirty += 1;
    }

    /// Marks the key used (TOUCH, under CLIENT NO-TOUCH too); true when it exists.
    pub fn touch(&mut self, key: &[u8]) -> bool {
        match self.find_counted(key) {
            None => false,
            Some(loc) => {
                self.mark_used(loc);
                true
            }
        }
    }

    /// A random live key. Redis: after 100 expired ones in a db of only
    /// expiring keys on a replica, an expired one is given.
    pub fn random_key(&mut self, rng: &mut impl Rng) -> Option<Vec<u8>> {
        for tries in 0.. {
            let entry = self.table().random(rng)?;
            let key = entry.key().to_vec();
            if !self.is_expired(entry) {
                return Some(key);
            }
            let all_expire = self.table().expires() == self.table().len();
            if self.keyspace.keeps_expired() && all_expire && tries >= 100 {
                return Some(key);
            }
            self.expire_if_due(&key);
        }
        None
    }
}
