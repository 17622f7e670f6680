//! A snapshot of all databases as they are at one moment, without a fork and
//! while they go on changing.
//!
//! The table of each database is frozen (see `encoding::table`): what is
//! written first of a part that the snapshot has not reached is handed to it
//! before. A big collection or string is not written with its neighbours but
//! becomes a part of its own ([`large`]): tables of members are frozen in their
//! turn, lists share their nodes, strings their bytes. So no write waits for
//! more than a few small values, and the extra memory is what was changed
//! ahead of the snapshot and not fetched yet.
//!
//! Somebody outside (a thread that takes the engine's lock for a slice of time)
//! calls [`Keyspace::snapshot_step`] until it is done, and writes the pieces.

mod held;
mod large;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use self::held::Held;
pub use self::held::InFlight;
use self::large::{Elements, Large};
use super::access::AccessPolicy;
use super::db::Db;
use super::entry::{Entry, EntryRef, ValueRef};
use super::{DbIndex, Keyspace};
use crate::encoding::table::{Sink, Table};
use crate::rdb::frame::Usage;
use crate::rdb::{Encoder, Uncompressed};
use crate::stats::used;
use crate::types::Object;
pub use large::Piece;

/// Buckets between two looks at the clock.
const BUCKETS: usize = 8;
/// Members by which the size of a deleted collection is judged.
const SAMPLES: usize = 16;
/// Bytes after which a step ends, however much time is left.
const STEP_BYTES: usize = 256 * 1024;

/// How much of the use of keys a snapshot has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UsageKept {
    /// Nothing: the policy of eviction does not go by it.
    None,
    /// How long they were idle.
    Idle,
    /// How often they were used.
    Frequency,
}

/// How a snapshot is written.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotOptions {
    /// Long strings are compressed (`rdbcompression`).
    pub compress: bool,
    /// What is kept of the use of keys.
    pub usage: UsageKept,
    /// Steps are as short as can be, for tests that want saving to take long.
    pub key_by_key: bool,
}

/// What a step of a snapshot gave.
#[derive(Default)]
pub struct SnapshotStep {
    /// What is to be written, in this order.
    pub pieces: Vec<Piece>,
    /// Keys that are done so far.
    pub keys: u64,
    /// That was the last.
    pub done: bool,
    /// There was nothing to do now: something is freed elsewhere.
    pub wait: bool,
    /// To be dropped when the pieces have been written.
    pub in_flight: InFlight,
}

/// A database as it was at the start.
struct Slot {
    id: u64,
    number: u32,
}

/// Where a frozen collection is.
enum Place {
    /// At a key of the database of this id.
    Key(u64, Box<[u8]>),
    /// Deleted meanwhile; so many bytes.
    Owned(Box<Object>, usize),
}

/// The snapshot that runs.
pub(super) struct Snapshot {
    out: Arc<Mutex<Out>>,
    options: SnapshotOptions,
    slots: Vec<Slot>,
    /// The slot that is being gone through.
    current: usize,
    /// Frozen collections by their address.
    places: HashMap<usize, Place>,
    queue: VecDeque<Large>,
    active: Option<(usize, Arc<Mutex<Elements>>)>,
    /// Databases that were emptied meanwhile.
    detached: Vec<(u64, Table<Entry>)>,
    keys: u64,
    held: Held,
}

/// What tables hand over.
struct Out {
    encoder: Encoder<Vec<u8>>,
    /// The database that what was written last is in.
    db: Option<u32>,
    /// Keys and expiring keys of the databases not begun yet.
    sizes: Vec<Option<(u64, u64)>>,
    /// Big values that were come across: database and key.
    found: Vec<(u64, Box<[u8]>)>,
    /// Whether those are looked for; else they are written as they are.
    collect: bool,
    keys: u64,
}

impl Out {
    fn select(&mut self, number: u32) {
        if self.db == Some(number) {
            return;
        }
        self.db = Some(number);
        let size = self.sizes[number as usize].take();
        let written = begin_db(&mut self.encoder, number, size);
        written.expect("writing to memory cannot fail");
    }
}

/// Says which database follows; how many keys it has is said once.
fn begin_db(
    encoder: &mut Encoder<Vec<u8>>,
    number: u32,
    size: Option<(u64, u64)>,
) -> std::io::Result<()> {
    encoder.select_db(u64::from(number))?;
    match size {
        Some((keys, expires)) => encoder.resize_db(keys, expires),
        None => Ok(()),
    }
}

/// Takes the entries of a database.
struct DbSink {
    out: Arc<Mutex<Out>>,
    id: u64,
    number: u32,
    usage: UsageOf,
}

/// Reads how much keys were used.
#[derive(Clone)]
struct UsageOf {
    kept: UsageKept,
    access: AccessPolicy,
    now_ms: i64,
}

impl UsageOf {
    fn of(&self, clock: u32) -> Usage {
        match self.kept {
            UsageKept::None => Usage::Unknown,
            UsageKept::Idle => {
                Usage::IdleSeconds(u64::from(self.access.idle_seconds(clock, self.now_ms)))
            }
            UsageKept::Frequency => {
                let counter = self.access.frequency(clock, self.now_ms);
                Usage::Frequency(u8::try_from(counter).unwrap_or(u8::MAX))
            }
        }
    }
}

impl Sink<Entry> for DbSink {
    fn put(&mut self, entry: EntryRef<'_>) {
        let mut out = self.out.lock();
        if let ValueRef::Boxed(object) = entry.value()
            && out.collect
            && large::is_large(object)
        {
            out.found.push((self.id, entry.key().into()));
            return;
        }
        out.select(self.number);
        let usage = self.usage.of(entry.clock());
        let encoder = &mut out.encoder;
        let written = encoder
            .key_header(entry.expire(), usage)
            .and_then(|()| encoder.pair(entry.key(), entry.value().view()));
        written.expect("writing to memory cannot fail");
        out.keys += 1;
    }
}

fn address(object: &Object) -> usize {
    std::ptr::from_ref(object).addr()
}

impl Keyspace {
    /// Begins a snapshot of what all databases hold now.
    ///
    /// # Panics
    /// When one is running.
    pub fn begin_snapshot(&mut self, options: SnapshotOptions) {
        assert!(self.snapshot.is_none(), "a snapshot is running");
        let size = |db: &Db| (db.table().len() as u64, db.table().expires() as u64);
        let out = Arc::new(Mutex::new(Out {
            encoder: Encoder::deferring(options.compress),
            db: None,
            sizes: self.dbs.iter().map(|db| Some(size(db))).collect(),
            found: Vec::new(),
            collect: false,
            keys: 0,
        }));
        let usage = self.usage_of(options.usage);
        let mut slots = Vec::new();
        for (number, db) in self.dbs.iter_mut().enumerate() {
            if db.table().is_empty() {
                continue;
            }
            let (id, number) = (db.id, number as u32);
            slots.push(Slot { id, number });
            db.table_mut().freeze(Box::new(DbSink {
                out: out.clone(),
                id,
                number,
                usage: usage.clone(),
            }));
        }
        self.stats.snapshot_copied_bytes = 0;
        self.snapshot = Some(Box::new(Snapshot {
            out,
            options,
            slots,
            current: 0,
            places: HashMap::new(),
            queue: VecDeque::new(),
            active: None,
            detached: Vec::new(),
            keys: 0,
            held: Held::new(),
        }));
    }

    /// Bytes that are held for the running snapshot alone.
    pub fn snapshot_bytes(&self) -> u64 {
        self.snapshot.as_ref().map_or(0, |snapshot| {
            (snapshot.out.lock().encoder.held_bytes() + snapshot.held.bytes()) as u64
        })
    }

    /// Of these, the bytes of values that were deleted meanwhile.
    pub(super) fn snapshot_value_bytes(&self) -> i64 {
        self.snapshot.as_ref().map_or(0, |snapshot| {
            (snapshot.held.values + snapshot.held.shared) as i64
        })
    }

    /// Whether a snapshot is running.
    pub fn in_snapshot(&self) -> bool {
        self.snapshot.is_some()
    }

    /// Hands over what the running snapshot is owed of the key of a hash, and
    /// its neighbours, before it changes.
    #[inline]
    pub(super) fn before_change(&mut self, index: DbIndex, hash: u64) {
        if self.snapshot.is_some() && self.dbs[index.get()].table().is_owed(hash) {
            self.preserve(index, hash);
        }
    }

    #[cold]
    fn preserve(&mut self, index: DbIndex, hash: u64) {
        let Some(snapshot) = &self.snapshot else {
            return;
        };
        let out = snapshot.out.clone();
        let before = {
            let mut out = out.lock();
            out.collect = true;
            out.encoder.pending()
        };
        self.dbs[index.get()].table_mut().preserve(hash);
        let mut locked = out.lock();
        locked.collect = false;
        let copied = locked.encoder.pending() - before;
        drop(locked);
        self.stats.snapshot_copied_bytes += copied as u64;
        self.freeze_found();
    }

    /// Runs the snapshot for about this time, and gives what is to be written.
    /// After the last step the snapshot has ended.
    pub fn snapshot_step(&mut self, budget: Duration) -> SnapshotStep {
        let mut step = SnapshotStep::default();
        let Some(snapshot) = &mut self.snapshot else {
            step.done = true;
            return step;
        };
        if snapshot.queue.is_empty() && snapshot.active.is_none() && snapshot.held.is_written() {
            snapshot.held.none_shared();
        }
        let start = Instant::now();
        if let Some((place, elements)) = snapshot.active.take() {
            let finished = self.thaw_collection(place, &elements, start, budget);
            let bytes = elements.lock().take();
            step.wait = !finished && bytes.is_empty();
            step.pieces.push(Piece::Encoded(bytes));
            if !finished {
                self.restore_active(place, elements);
            }
        } else if let Some(large) = snapshot.queue.pop_front() {
            // What was written so far goes before it, and what comes after
            // says again which database it is in.
            let mut out = snapshot.out.lock();
            step.pieces.push(Piece::Encoded(out.encoder.take()));
            out.db = None;
            let size = out.sizes[large.number as usize].take();
            drop(out);
            snapshot.keys += 1;
            snapshot.active = large.begin(size, snapshot.options.compress, &mut step.pieces);
        } else if snapshot.current < snapshot.slots.len() {
            self.thaw_database(start, budget);
            self.freeze_found();
            self.take_written(&mut step);
        } else {
            self.take_written(&mut step);
            step.done = true;
        }
        if let Some(snapshot) = &self.snapshot {
            step.keys = snapshot.keys + snapshot.out.lock().keys;
            let bytes = step.pieces.iter().map(Piece::held_bytes).sum();
            step.in_flight = snapshot.held.take(bytes);
        }
        if step.done {
            self.end_snapshot();
        }
        step
    }

    fn restore_active(&mut self, place: usize, elements: Arc<Mutex<Elements>>) {
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.active = Some((place, elements));
        }
    }

    fn take_written(&mut self, step: &mut SnapshotStep) {
        if let Some(snapshot) = &mut self.snapshot {
            let bytes: Uncompressed = snapshot.out.lock().encoder.take();
            step.pieces.push(Piece::Encoded(bytes));
        }
    }

    /// Goes on with the table of the current slot.
    fn thaw_database(&mut self, start: Instant, budget: Duration) {
        let Some(snapshot) = &mut self.snapshot else {
            return;
        };
        let (id, options) = (snapshot.slots[snapshot.current].id, snapshot.options);
        let out = snapshot.out.clone();
        out.lock().collect = true;
        let Some(table) = table_of(&mut self.dbs, &mut snapshot.detached, id) else {
            unreachable!("a database is live or detached");
        };
        loop {
            let buckets = if options.key_by_key { 1 } else { BUCKETS };
            if table.thaw(buckets) {
                snapshot.current += 1;
                break;
            }
            let out = out.lock();
            let pending = out.encoder.pending();
            let full = pending >= STEP_BYTES || (options.key_by_key && pending > 0);
            let enough = full || !out.found.is_empty();
            if enough || start.elapsed() >= budget {
                break;
            }
        }
        out.lock().collect = false;
    }

    /// Goes on with a frozen collection; true when all of it was handed over.
    fn thaw_collection(
        &mut self,
        place: usize,
        elements: &Mutex<Elements>,
        start: Instant,
        budget: Duration,
    ) -> bool {
        if elements.lock().finished {
            self.drop_place(place);
            return true;
        }
        let hasher = self.hasher.clone();
        let Some(snapshot) = &mut self.snapshot else {
            return true;
        };
        let thaw = |object: &mut Object| {
            while !object.thaw_members(BUCKETS) {
                let enough = elements.lock().encoder.pending() >= STEP_BYTES;
                if enough || start.elapsed() >= budget {
                    break;
                }
            }
        };
        match snapshot.places.get_mut(&place) {
            Some(Place::Owned(object, _)) => thaw(object),
            Some(Place::Key(id, key)) => {
                let hash = hasher.hash(key);
                let table = table_of(&mut self.dbs, &mut snapshot.detached, *id);
                if let Some(table) = table
                    && let Some(loc) = table.find(hash, key)
                {
                    table.with_entry(loc, |entry| {
                        if let Some(object) = entry.boxed_mut()
                            && address(object) == place
                        {
                            thaw(object);
                        }
                    });
                }
            }
            None => {}
        }
        let finished = elements.lock().finished;
        if finished {
            self.drop_place(place);
        }
        finished
    }

    fn drop_place(&mut self, place: usize) {
        if let Some(snapshot) = &mut self.snapshot
            && let Some(Place::Owned(object, bytes)) = snapshot.places.remove(&place)
        {
            snapshot.held.values -= bytes;
            self.lazyfree.object_if_big(object);
        }
    }

    /// Makes parts of their own of the big values that were come across.
    fn freeze_found(&mut self) {
        let Some(kept) = self
            .snapshot
            .as_ref()
            .map(|snapshot| snapshot.options.usage)
        else {
            return;
        };
        let (usage, hasher) = (self.usage_of(kept), self.hasher.clone());
        let Some(snapshot) = &mut self.snapshot else {
            return;
        };
        let found = std::mem::take(&mut snapshot.out.lock().found);
        for (id, key) in found {
            let slot = snapshot.slots.iter().find(|slot| slot.id == id);
            let number = slot.map_or(0, |slot| slot.number);
            let compress = snapshot.options.compress;
            let Some(table) = table_of(&mut self.dbs, &mut snapshot.detached, id) else {
                continue;
            };
            let Some(loc) = table.find(hasher.hash(&key), &key) else {
                continue;
            };
            let elements = &snapshot.held.elements;
            let large = table.with_entry(loc, |entry| {
                let (expire, clock) = (entry.view().expire(), entry.view().clock());
                let object = entry.boxed_mut()?;
                Some((
                    address(object),
                    Large::of(
                        object,
                        number,
                        &key,
                        (expire, usage.of(clock)),
                        compress,
                        elements,
                    ),
                ))
            });
            if let Some((address, large)) = large {
                if large.is_frozen() {
                    snapshot.places.insert(address, Place::Key(id, key));
                }
                snapshot.queue.push_back(large.at(address));
            }
        }
    }

    /// Notes where a value that may be frozen has been put.
    #[inline]
    pub(super) fn note_moved(&mut self, index: DbIndex, entry: EntryRef<'_>) {
        // `entry` cannot be borrowed from self here: see the caller.
        if let ValueRef::Boxed(object) = entry.value() {
            let id = self.dbs[index.get()].id;
            if let Some(snapshot) = &mut self.snapshot
                && let Some(place) = snapshot.places.get_mut(&address(object))
            {
                *place = Place::Key(id, entry.key().into());
            }
        }
    }

    /// Frees a value that nobody needs any more, but for a running snapshot.
    pub(super) fn free_object(&mut self, object: Box<Object>) {
        if let Some(object) = self.unless_needed(object) {
            self.lazyfree.object_if_big(object);
        }
    }

    /// Keeps a value that was deleted if the running snapshot needs it; else
    /// gives it back.
    fn unless_needed(&mut self, object: Box<Object>) -> Option<Box<Object>> {
        let Some(snapshot) = &mut self.snapshot else {
            return Some(object);
        };
        let held = &mut snapshot.held;
        if let Some(place) = snapshot.places.get_mut(&address(&object)) {
            let bytes = object.estimated_bytes(SAMPLES);
            held.values += bytes;
            *place = Place::Owned(object, bytes);
            return None;
        }
        let waits = !snapshot.queue.is_empty() || !held.is_written();
        if waits && object.is_shared() {
            held.shared += object.estimated_bytes(SAMPLES);
        }
        Some(object)
    }

    /// Drops an entry at once, but for what a running snapshot needs.
    pub(super) fn drop_entry(&mut self, mut entry: Entry) {
        if self.snapshot.is_some()
            && let Some(object) = entry.take_boxed()
        {
            drop(self.unless_needed(object));
        }
    }

    /// As [`Keyspace::free_object`], of the value of an entry.
    pub(super) fn free_entry(&mut self, mut entry: Entry) {
        if self.snapshot.is_some()
            && let Some(object) = entry.take_boxed()
        {
            return self.free_object(object);
        }
        self.lazyfree.entry(entry);
    }

    /// Keeps the table of a database that was emptied, as long as the snapshot
    /// needs it; gives it back when it does not.
    pub(super) fn detach(&mut self, db: Db) -> Option<Db> {
        match &mut self.snapshot {
            Some(snapshot) if snapshot.slots.iter().any(|slot| slot.id == db.id) => {
                // By its part of the keys: to add up would take long.
                let others: usize = self.dbs.iter().map(|db| db.table().len()).sum();
                let own = db.table().len();
                let part = own as f64 / (others + own).max(1) as f64;
                snapshot.held.values += (used::bytes() as f64 * part) as usize;
                snapshot.detached.push((db.id, db.into_table()));
                None
            }
            _ => Some(db),
        }
    }

    /// Writes all databases as they are now, while everybody waits; tells how
    /// many keys are done after each. A running snapshot is left alone.
    ///
    /// # Errors
    /// Of `write`, which is given the bytes of the file piece by piece.
    pub fn write_at_once(
        &self,
        options: SnapshotOptions,
        mut write: impl FnMut(&[u8], u64) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let usage = self.usage_of(options.usage);
        let mut keys = 0;
        let mut encoder = Encoder::new(Vec::new()).compressing(options.compress);
        for (index, db) in self.dbs() {
            let table = db.table();
            if table.is_empty() {
                continue;
            }
            encoder.select_db(index.get() as u64)?;
            encoder.resize_db(table.len() as u64, table.expires() as u64)?;
            for entry in table.iter() {
                encoder.key_header(entry.expire(), usage.of(entry.clock()))?;
                encoder.pair(entry.key(), entry.value().view())?;
                keys += 1;
                if encoder.pending() >= STEP_BYTES || options.key_by_key {
                    encoder.drain(|bytes| write(bytes, keys))?;
                }
            }
        }
        encoder.drain(|bytes| write(bytes, keys))
    }

    fn usage_of(&self, kept: UsageKept) -> UsageOf {
        UsageOf {
            kept,
            access: self.access.clone(),
            now_ms: self.now_ms,
        }
    }

    /// Ends the running snapshot, whether it is done or not.
    pub fn end_snapshot(&mut self) {
        let Some(snapshot) = self.snapshot.take() else {
            return;
        };
        for db in &mut self.dbs {
            db.table_mut().forget_frozen();
        }
        for large in &snapshot.queue {
            large.abandon();
        }
        if let Some((_, elements)) = &snapshot.active {
            elements.lock().abandoned = true;
        }
        for (_, mut table) in snapshot.detached {
            table.forget_frozen();
            self.lazyfree.table(table);
        }
        for place in snapshot.places.into_values() {
            if let Place::Owned(object, _) = place {
                self.lazyfree.object_if_big(object);
            }
        }
    }
}

fn table_of<'a>(
    dbs: &'a mut [Db],
    detached: &'a mut [(u64, Table<Entry>)],
    id: u64,
) -> Option<&'a mut Table<Entry>> {
    let live = dbs.iter_mut().find(|db| db.id == id).map(Db::table_mut);
    live.or_else(|| {
        let found = detached.iter_mut().find(|(of, _)| *of == id);
        found.map(|(_, table)| table)
    })
}
