//! The keys of all databases: lookup with expiry, and the one way to write.
//!
//! Whatever a write implies beside the value itself (dirty count, keyspace
//! event, WATCH, invalidation, propagation of an expiry) is recorded here,
//! once, in [`Effects`]; the executor settles it after the command.

pub mod access;
mod collection;
mod db;
pub mod defrag;
mod edit;
pub mod effects;
pub mod entry;
pub mod evict;
pub mod expire;
pub mod lazyfree;
pub mod snapshot;
mod taken;

pub use collection::{CollectionEdit, PACKED_INLINE_BYTES_MAX};
pub use db::{Db, DbIndex, DbRef, Str, ValueKind, WrongType};
pub use edit::{Edit, Ttl};
pub use effects::{Effect, Effects, Event, event};
pub use taken::{LoadedKey, TakenValue};

use crate::encoding::table::KeyHasher;
use access::AccessPolicy;
use lazyfree::LazyFree;

/// Counters of what lookups and expiry did.
#[derive(Default, Clone, Debug)]
pub struct KeyspaceStats {
    /// Reads that found their key.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Keys deleted because their time had come.
    pub expired: u64,
    /// Share of keys already expired among the sampled, percent, averaged.
    pub expired_stale_percent: f64,
    /// Active expiry cycles that ran out of time.
    pub expire_time_cap_reached: u64,
    /// Time spent in active expiry, microseconds.
    pub expire_cycle_us: u64,
    /// Packed collections in payloads of RESTORE that were looked through
    /// because the configuration wants it.
    pub sanitized_payloads: u64,
    /// Bytes that changes handed to the running snapshot, or the last one,
    /// before its turn.
    pub snapshot_copied_bytes: u64,
}

/// All databases.
pub struct Keyspace {
    dbs: Vec<Db>,
    hasher: KeyHasher,
    /// The time at which the current command runs, Unix milliseconds.
    pub now_ms: i64,
    /// How the access clock of entries runs.
    pub access: AccessPolicy,
    /// Expired keys are only hidden, not deleted (replicas wait for the DEL).
    pub hide_expired: bool,
    /// Clients are paused: nothing is deleted because it expired.
    pub paused: bool,
    /// Expired keys are neither hidden nor deleted (loading, replayed commands).
    pub ignore_expiry: bool,
    /// What the current command did beside its values.
    pub effects: Effects,
    /// Counters.
    pub stats: KeyspaceStats,
    /// The background thread that frees.
    pub lazyfree: LazyFree,
    /// The hash of a key known in advance (address, length, hash).
    hint: (usize, usize, u64),
    /// Room to change packed collections in.
    scratch: Vec<u8>,
    /// The snapshot that runs.
    snapshot: Option<Box<snapshot::Snapshot>>,
    /// Of the next database that is made.
    next_db_id: u64,
}

impl Keyspace {
    /// `count` empty databases.
    pub fn new(count: usize) -> Keyspace {
        let hasher = KeyHasher::new();
        Keyspace {
            dbs: (0..count).map(|id| Db::new(&hasher, id as u64)).collect(),
            hasher,
            now_ms: 0,
            access: AccessPolicy::default(),
            hide_expired: false,
            paused: false,
            ignore_expiry: false,
            effects: Effects::default(),
            stats: KeyspaceStats::default(),
            lazyfree: LazyFree::start(),
            hint: (0, 0, 0),
            scratch: Vec::new(),
            snapshot: None,
            next_db_id: count as u64,
        }
    }

    /// Whether keys whose time has come are overlooked instead of deleted.
    #[inline]
    pub(crate) fn keeps_expired(&self) -> bool {
        self.hide_expired || self.paused
    }

    /// Number of databases.
    pub fn count(&self) -> usize {
        self.dbs.len()
    }

    /// A database for looking around; keys are looked up through [`Keyspace::select`].
    pub fn db(&self, index: DbIndex) -> &Db {
        &self.dbs[index.get()]
    }

    fn db_mut(&mut self, index: DbIndex) -> &mut Db {
        &mut self.dbs[index.get()]
    }

    /// All databases with their index.
    pub fn dbs(&self) -> impl Iterator<Item = (DbIndex, &Db)> {
        self.dbs
            .iter()
            .enumerate()
            .map(|(index, db)| (DbIndex::new(index), db))
    }

    /// The index of a database, when there is one of that number.
    pub fn index(&self, number: i64) -> Option<DbIndex> {
        let index = usize::try_from(number).ok()?;
        (index < self.dbs.len()).then(|| DbIndex::new(index))
    }

    /// A database to run commands on.
    #[inline]
    pub fn select(&mut self, index: DbIndex) -> DbRef<'_> {
        DbRef::new(self, index)
    }

    /// The hash of a key.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash(key)
    }

    /// Says that `key`, in this very memory, hashes to `hash`.
    #[inline]
    pub fn hint(&mut self, key: &[u8], hash: u64) {
        self.hint = (key.as_ptr() as usize, key.len(), hash);
    }

    /// Forgets the hint (its memory may be used again).
    #[inline]
    pub fn forget_hint(&mut self) {
        self.hint = (0, 0, 0);
    }

    #[inline]
    fn hash_of(&self, key: &[u8]) -> u64 {
        if self.hint.0 == key.as_ptr() as usize && self.hint.1 == key.len() && self.hint.0 != 0 {
            return self.hint.2;
        }
        self.hash(key)
    }

    /// Exchanges two databases; clients see the other's keys at once.
    pub fn swap(&mut self, a: DbIndex, b: DbIndex) {
        self.effects.dirty += 1;
        if a == b {
            return;
        }
        self.dbs.swap(a.get(), b.get());
        self.effects.flushed(a);
        self.effects.flushed(b);
    }

    /// Empties a database; gives the number of keys it had. In the background,
    /// only taking the table out costs anything here.
    pub fn flush(&mut self, index: DbIndex, in_background: bool) -> usize {
        let fresh = Db::new(&self.hasher, self.next_db_id);
        self.next_db_id += 1;
        let old = std::mem::replace(self.db_mut(index), fresh);
        let removed = old.table().len();
        if removed > 0 {
            self.effects.flushed(index);
        }
        if let Some(old) = self.detach(old)
            && in_background
        {
            self.lazyfree.table(old.into_table());
        }
        removed
    }
}
