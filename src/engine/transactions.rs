//! MULTI and WATCH: what clients have queued, and which keys they watch.

use std::collections::HashMap;

use bytes::Bytes;

use super::client::{ClientId, Flags};
use super::server::Server;
use crate::command::registry::CommandId;
use crate::keyspace::DbIndex;

/// A command that waits for EXEC.
#[derive(Debug)]
pub struct Queued {
    /// The command.
    pub command: CommandId,
    /// Its arguments, names included.
    pub argv: Vec<Bytes>,
}

/// A transaction that is executed, as far as it has not been yet.
pub struct ExecRun {
    /// What is still to run.
    pub queue: std::vec::IntoIter<Queued>,
    /// EXEC, and its call.
    pub command: CommandId,
    /// Arguments of that.
    pub argv: Vec<Bytes>,
    /// When it began, clock nanoseconds.
    pub began_ns: u64,
}

/// What a client has queued since MULTI.
#[derive(Default, Debug)]
pub struct Transaction {
    /// The commands, in order.
    pub queue: Vec<Queued>,
    /// A command was refused: EXEC will be, too.
    pub aborted: bool,
    /// The `flag::*` bits of all commands together.
    pub flags: u32,
    /// Bytes of all arguments.
    pub args_bytes: usize,
}

impl Transaction {
    /// Queues a command with these flags.
    pub fn push(&mut self, queued: Queued, flags: u32) {
        self.flags |= flags;
        self.args_bytes += queued.argv.iter().map(Bytes::len).sum::<usize>();
        self.queue.push(queued);
    }

    /// What the queue takes, bytes (`multi-mem`).
    pub fn memory_bytes(&self) -> usize {
        let args: usize = self.queue.iter().map(|queued| queued.argv.capacity()).sum();
        self.args_bytes + args * size_of::<Bytes>() + self.queue.capacity() * size_of::<Queued>()
    }
}

/// A key that a client watches.
#[derive(Debug)]
pub struct WatchedKey {
    db: DbIndex,
    key: Box<[u8]>,
    /// It was there, and had not expired.
    existed: bool,
    /// It was there although its time had come: its deletion changes nothing.
    expired: bool,
}

/// What there is at a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyState {
    Missing,
    Expired,
    Alive,
}

impl WatchedKey {
    /// The database has other contents now; whether that changes the key.
    fn exchanged(&mut self, now: KeyState) -> bool {
        if self.expired {
            self.expired = now == KeyState::Expired;
            return now == KeyState::Alive;
        }
        if !self.existed && now == KeyState::Expired {
            self.expired = true;
            return false;
        }
        self.existed || now != KeyState::Missing
    }
}

/// Who watches which keys.
#[derive(Default)]
pub struct Watchers {
    keys: HashMap<(DbIndex, Box<[u8]>), Vec<ClientId>>,
}

impl Watchers {
    /// Whether nobody watches anything.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl Server {
    /// WATCH of one key.
    pub fn watch(&mut self, id: ClientId, key: &[u8]) {
        let client = self.client(id);
        let db = client.db;
        if client.watched.iter().any(|w| w.db == db && *w.key == *key) {
            return;
        }
        let state = self.state_of(db, key);
        let watched = WatchedKey {
            db,
            key: key.into(),
            existed: state == KeyState::Alive,
            expired: state == KeyState::Expired,
        };
        let client = self.client(id);
        client.watched.push(watched);
        client.watched_bytes += key.len();
        self.watchers
            .keys
            .entry((db, key.into()))
            .or_default()
            .push(id);
        self.keyspace.effects.record_touched = true;
    }

    /// UNWATCH, and the end of a transaction.
    pub fn unwatch(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        client.flags.set(Flags::DIRTY_CAS, false);
        client.watched_bytes = 0;
        let watched = std::mem::take(&mut client.watched);
        self.forget_watched(id, watched);
    }

    pub(super) fn forget_watched(&mut self, id: ClientId, watched: Vec<WatchedKey>) {
        if watched.is_empty() {
            return;
        }
        for watched in watched {
            let place = (watched.db, watched.key);
            if let Some(clients) = self.watchers.keys.get_mut(&place) {
                clients.retain(|client| *client != id);
                if clients.is_empty() {
                    self.watchers.keys.remove(&place);
                }
            }
        }
        self.choose_touched();
    }

    /// A key got another value or went: who watches it will not EXEC.
    pub fn touch_watched(&mut self, db: DbIndex, key: &[u8]) {
        if self.watchers.is_empty() {
            return;
        }
        let place = (db, key.into());
        let Some(clients) = self.watchers.keys.get(&place) else {
            return;
        };
        let hash = self.keyspace.hash(key);
        let gone = self.keyspace.db(db).table().find(hash, key).is_none();
        for id in clients {
            let Some(client) = self.clients.get_mut(*id) else {
                continue;
            };
            let mut watched = client.watched.iter_mut();
            let watched = watched.find(|w| w.db == db && *w.key == *key);
            match watched {
                // Redis: the deletion of what had expired before is no change.
                Some(watched) if watched.expired && gone => watched.expired = false,
                _ => client.flags.set(Flags::DIRTY_CAS, true),
            }
        }
    }

    /// A database was emptied or exchanged: keys that were or are there count
    /// as changed. Redis: one whose time has come counts as not there.
    pub fn touch_watched_db(&mut self, db: DbIndex) {
        let keys = self.watchers.keys.keys().filter(|(of, _)| *of == db);
        let keys: Vec<Box<[u8]>> = keys.map(|(_, key)| key.clone()).collect();
        for key in keys {
            let now = self.state_of(db, &key);
            let clients = self.watchers.keys.get(&(db, key.clone()));
            for id in clients.into_iter().flatten() {
                let Some(client) = self.clients.get_mut(*id) else {
                    continue;
                };
                let mut watched = client.watched.iter_mut();
                let watched = watched.find(|w| w.db == db && w.key == key);
                if watched.is_some_and(|watched| watched.exchanged(now)) {
                    client.flags.set(Flags::DIRTY_CAS, true);
                }
            }
        }
    }

    /// Whether a key is there, and whether its time has come.
    fn state_of(&mut self, db: DbIndex, key: &[u8]) -> KeyState {
        let hash = self.keyspace.hash(key);
        let view = self.keyspace.select(db);
        let table = view.table();
        match table.find(hash, key).map(|loc| table.entry(loc)) {
            None => KeyState::Missing,
            Some(entry) if view.is_expired(entry) => KeyState::Expired,
            Some(_) => KeyState::Alive,
        }
    }

    /// Whether a watched key has expired since, though nobody has noticed yet.
    pub fn watched_key_expired(&mut self, id: ClientId) -> bool {
        let Some(client) = self.clients.get(id) else {
            return false;
        };
        let keys = client.watched.iter().filter(|watched| !watched.expired);
        let keys: Vec<(DbIndex, Box<[u8]>)> = keys.map(|w| (w.db, w.key.clone())).collect();
        keys.into_iter()
            .any(|(db, key)| self.state_of(db, &key) == KeyState::Expired)
    }

    /// Ends a transaction without executing it.
    pub fn discard(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id) {
            client.transaction = None;
            client.flags.set(Flags::MULTI, false);
        }
        self.unwatch(id);
    }
}
