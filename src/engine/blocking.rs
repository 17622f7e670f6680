//! Who waits for which keys (BLPOP and its kin), and until when.
//!
//! A blocked client is kept by its handle, never by pointer, with the command
//! that will run again when one of its keys appears: see `exec::blocking`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use super::client::{ClientId, Unblock};
use crate::command::registry::CommandId;
use crate::keyspace::DbIndex;
use crate::types::Type;

/// What a command waits for.
#[derive(Debug)]
pub struct Wait {
    /// The keys, in the order in which they are looked at.
    pub keys: Vec<Box<[u8]>>,
    /// The type of value that ends the wait.
    pub kind: Type,
    /// Until when, Unix milliseconds; none: for ever.
    pub until_ms: Option<i64>,
    /// What is replied where nobody may wait. (When the time has come, it is
    /// no array, whatever the command.)
    pub when_denied: DeniedReply,
    /// The arguments with which the command runs again, names included; none:
    /// those that it came with.
    pub resume_with: Vec<Bytes>,
    /// The wait also ends when a key goes, or is of another type.
    pub wakes_on_loss: bool,
    /// How long the command has run so far, nanoseconds.
    pub ran_ns: u64,
}

/// The reply of a wait that is not allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeniedReply {
    /// No array.
    NullArray,
    /// No string.
    Null,
}

/// A client that waits.
#[derive(Debug)]
pub struct Blocked {
    /// The command that waits.
    pub command: CommandId,
    /// Its arguments, names included.
    pub argv: Vec<Bytes>,
    /// The database that it looks at.
    pub db: DbIndex,
    /// What for.
    pub wait: Wait,
    /// Its place in the queues: who came first is served first.
    turn: u64,
}

impl Blocked {
    /// Bytes of its arguments.
    pub fn args_bytes(&self) -> usize {
        let all = self.argv.iter().chain(&self.wait.resume_with);
        all.map(Bytes::len).sum()
    }
}

/// A key of a database.
type Place = (DbIndex, Box<[u8]>);

/// All that wait.
#[derive(Default)]
pub struct Waiting {
    clients: HashMap<ClientId, Blocked>,
    queues: HashMap<Place, BTreeMap<u64, ClientId>>,
    deadlines: BTreeSet<(i64, ClientId)>,
    next_turn: u64,
    /// Keys that have appeared and have waiters, in that order.
    ready: Vec<Place>,
    /// Waits that CLIENT UNBLOCK has ended.
    ended: Vec<(ClientId, Unblock)>,
}

impl Waiting {
    /// Whether nobody waits for keys.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Number of keys that somebody waits for.
    pub fn keys(&self) -> usize {
        self.queues.len()
    }

    /// Has a client wait.
    pub fn add(
        &mut self,
        client: ClientId,
        command: CommandId,
        argv: Vec<Bytes>,
        db: DbIndex,
        wait: Wait,
    ) {
        let turn = self.next_turn;
        self.next_turn += 1;
        let blocked = Blocked {
            command,
            argv,
            db,
            wait,
            turn,
        };
        self.put(client, blocked);
    }

    /// Has a client go on waiting, at the place in the queues that it had.
    pub fn put(&mut self, client: ClientId, blocked: Blocked) {
        for key in &blocked.wait.keys {
            let queue = self.queues.entry((blocked.db, key.clone())).or_default();
            queue.insert(blocked.turn, client);
        }
        if let Some(until_ms) = blocked.wait.until_ms {
            self.deadlines.insert((until_ms, client));
        }
        self.clients.insert(client, blocked);
    }

    /// Ends a client's wait.
    pub fn remove(&mut self, client: ClientId) -> Option<Blocked> {
        let blocked = self.clients.remove(&client)?;
        for key in &blocked.wait.keys {
            let place = (blocked.db, key.clone());
            if let Some(queue) = self.queues.get_mut(&place) {
                queue.remove(&blocked.turn);
                if queue.is_empty() {
                    self.queues.remove(&place);
                }
            }
        }
        if let Some(until_ms) = blocked.wait.until_ms {
            self.deadlines.remove(&(until_ms, client));
        }
        Some(blocked)
    }

    /// What a client waits for.
    pub fn get(&self, client: ClientId) -> Option<&Blocked> {
        self.clients.get(&client)
    }

    /// The clients that wait for a key, longest waiting first.
    pub fn queue(&self, db: DbIndex, key: &[u8]) -> Vec<ClientId> {
        let queue = self.queues.get(&(db, key.into()));
        queue.map_or_else(Vec::new, |queue| queue.values().copied().collect())
    }

    /// Notes that a key has appeared.
    pub fn note_ready(&mut self, db: DbIndex, key: Box<[u8]>) {
        let place = (db, key);
        if self.queues.contains_key(&place) && !self.ready.contains(&place) {
            self.ready.push(place);
        }
    }

    /// The keys of a database that somebody waits for.
    pub fn keys_of(&self, db: DbIndex) -> Vec<Box<[u8]>> {
        let keys = self.queues.keys().filter(|(of, _)| *of == db);
        keys.map(|(_, key)| key.clone()).collect()
    }

    /// Takes the keys that have appeared.
    pub fn take_ready(&mut self) -> Vec<Place> {
        std::mem::take(&mut self.ready)
    }

    /// Whether keys have appeared that somebody waits for.
    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Notes that a wait is over before its time.
    pub fn note_ended(&mut self, client: ClientId, how: Unblock) {
        self.ended.push((client, how));
    }

    /// A client whose wait is over before its time.
    #[inline]
    pub fn take_ended(&mut self) -> Option<(ClientId, Unblock)> {
        self.ended.pop()
    }

    /// When a wait ends next, Unix milliseconds: not before all of its last
    /// millisecond has passed, for the time is cut to milliseconds.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        let (until_ms, _) = self.deadlines.first()?;
        Some(until_ms.saturating_add(1))
    }

    /// A client whose time has come.
    pub fn due(&self, now_ms: i64) -> Option<ClientId> {
        let (until_ms, client) = self.deadlines.first()?;
        (*until_ms < now_ms).then_some(*client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::ctx::REPLIED;
    use crate::command::registry::Registry;
    use crate::command::table::Command;
    use crate::engine::{Clients, RawClient};

    const ROWS: &[Command] = &[Command::data("WAITS", 1, |_| REPLIED)];

    fn wait(keys: &[&str], until_ms: Option<i64>) -> Wait {
        Wait {
            keys: keys.iter().map(|key| key.as_bytes().into()).collect(),
            kind: Type::List,
            until_ms,
            when_denied: DeniedReply::NullArray,
            resume_with: Vec::new(),
            wakes_on_loss: false,
            ran_ns: 0,
        }
    }

    #[test]
    fn who_came_first_is_first_and_nothing_is_left_behind() {
        let registry = Registry::new(&[ROWS]).unwrap();
        let command = registry.find(b"waits").unwrap();
        let mut clients = Clients::new(1);
        let ids: Vec<ClientId> = (0..3)
            .map(|_| clients.add(RawClient::default(), crate::acl::tests::default_user(), 0))
            .collect();
        let db = DbIndex::FIRST;
        let mut waiting = Waiting::default();
        waiting.add(ids[2], command, Vec::new(), db, wait(&["a", "b"], Some(9)));
        waiting.add(ids[0], command, Vec::new(), db, wait(&["a", "a"], Some(5)));
        waiting.add(ids[1], command, Vec::new(), db, wait(&["b"], None));
        assert_eq!(waiting.queue(db, b"a"), [ids[2], ids[0]]);
        assert_eq!(waiting.queue(db, b"b"), [ids[2], ids[1]]);
        assert_eq!((waiting.due(5), waiting.due(6)), (None, Some(ids[0])));
        for key in [&b"b"[..], b"x", b"a", b"b"] {
            waiting.note_ready(db, key.into());
        }
        let ready: Vec<Box<[u8]>> = waiting.take_ready().into_iter().map(|(_, k)| k).collect();
        assert_eq!(ready, [Box::from(&b"b"[..]), Box::from(&b"a"[..])]);
        for id in ids {
            assert!(waiting.remove(id).is_some());
        }
        assert!(waiting.is_empty() && waiting.keys() == 0);
        assert_eq!(waiting.next_deadline_ms(), None);
    }
}
