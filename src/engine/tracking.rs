//! Client-side caching: which clients may have which keys in their caches, and
//! how they are told that a key is no longer what they have:
//! <https://redis.io/docs/latest/develop/reference/client-side-caching/>.
//!
//! Keys are remembered by name alone, whatever their database. Who leaves is
//! not looked for in the table; he is found missing when a key changes, or when
//! more clients come to it.

use std::collections::{BTreeMap, BTreeSet};

use super::client::{Client, ClientId, Flags};
use super::server::Server;
use crate::encoding::member::{Member, Payload};
use crate::encoding::table::{KeyHasher, Loc, Table};
use crate::resp::Push;

/// The channel on which RESP2 connections are told.
pub const CHANNEL: &str = "__redis__:invalidate";

/// Which keys a client is told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TrackingMode {
    /// Those that it has read.
    Read,
    /// Those that it has read right after CLIENT CACHING YES.
    OptIn,
    /// Those that it has read, but not right after CLIENT CACHING NO.
    OptOut,
    /// Those that begin with its prefixes.
    Broadcast,
}

/// CLIENT TRACKING ON: what a client wants to be told, and where.
#[derive(Debug)]
pub struct ClientTracking {
    /// Which keys.
    pub mode: TrackingMode,
    /// Not of what it changes itself.
    pub no_loop: bool,
    /// The number of the client that is told instead.
    pub redirect: Option<u64>,
    /// That client is gone.
    pub broken: bool,
    /// CLIENT CACHING was just called.
    pub caching: bool,
    /// Prefixes of the keys.
    pub prefixes: BTreeSet<Box<[u8]>>,
}

impl ClientTracking {
    /// Whether what the next command reads is remembered.
    fn remembers(&self) -> bool {
        match self.mode {
            TrackingMode::Read => true,
            TrackingMode::OptIn => self.caching,
            TrackingMode::OptOut => !self.caching,
            TrackingMode::Broadcast => false,
        }
    }

    /// What its prefixes take, bytes.
    pub fn memory_bytes(&self) -> usize {
        const NODE_BYTES: usize = 32;
        let prefixes = self.prefixes.iter();
        size_of::<ClientTracking>() + prefixes.map(|p| p.len() + NODE_BYTES).sum::<usize>()
    }
}

/// Those who are told of all keys with a prefix.
#[derive(Default)]
struct Audience {
    clients: BTreeSet<ClientId>,
    /// Keys that have changed since they were last told, each with the client
    /// that changed it last.
    changed: BTreeMap<Box<[u8]>, Option<ClientId>>,
}

/// What all clients in tracking mode may have.
pub struct Tracking {
    /// Clients in tracking mode.
    pub clients: BTreeSet<ClientId>,
    /// Connected clients that are or were in it.
    acquainted: usize,
    /// Keys that were read, each with the handles of the clients that did.
    keys: Table<Member>,
    items: usize,
    prefixes: BTreeMap<Box<[u8]>, Audience>,
    /// How many prefixes there are of each length.
    lengths: BTreeMap<usize, usize>,
    /// Prefixes that changed keys have.
    due: BTreeSet<Box<[u8]>>,
    /// What the executing client is told after its reply; none: all keys.
    own: Vec<Option<Box<[u8]>>>,
    /// How often in a row the table was found too big, and stayed so.
    rounds: usize,
}

impl Default for Tracking {
    fn default() -> Tracking {
        Tracking {
            clients: BTreeSet::new(),
            acquainted: 0,
            keys: Table::new(KeyHasher::shared()),
            items: 0,
            prefixes: BTreeMap::new(),
            lengths: BTreeMap::new(),
            due: BTreeSet::new(),
            own: Vec::new(),
            rounds: 0,
        }
    }
}

/// Bytes of a handle in the table.
const HANDLE_BYTES: usize = 8;

fn handle_bytes(id: ClientId) -> [u8; HANDLE_BYTES] {
    let number = u64::from(id.slot) << 32 | u64::from(id.generation);
    number.to_be_bytes()
}

fn handles(bytes: &[u8]) -> impl Iterator<Item = ClientId> {
    let (handles, _) = bytes.as_chunks::<HANDLE_BYTES>();
    handles.iter().map(|handle| {
        let number = u64::from_be_bytes(*handle);
        ClientId {
            slot: (number >> 32) as u32,
            generation: number as u32,
        }
    })
}

impl Tracking {
    /// Whether changed keys may matter to anybody.
    #[inline]
    pub fn is_active(&self) -> bool {
        !self.clients.is_empty() || !self.keys.is_empty()
    }

    /// Keys remembered.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Pairs of key and client remembered.
    pub fn items(&self) -> usize {
        self.items
    }

    /// Different prefixes.
    pub fn prefixes(&self) -> usize {
        self.prefixes.len()
    }

    /// The clients that have read a key, who are forgotten with it.
    fn take(&mut self, key: &[u8]) -> Option<Member> {
        if self.keys.is_empty() {
            return None;
        }
        let loc = self.keys.find(self.keys.hasher().hash(key), key)?;
        Some(self.take_at(loc))
    }

    fn take_at(&mut self, loc: Loc) -> Member {
        let member = self.keys.remove(loc);
        self.items -= member.as_ref().value().len() / HANDLE_BYTES;
        member
    }

    /// Notes that a key has changed for those who know it by a prefix.
    fn note_changed(&mut self, key: &[u8], by: Option<ClientId>) {
        for length in self
            .lengths
            .keys()
            .take_while(|length| **length <= key.len())
        {
            let prefix = &key[..*length];
            if let Some(audience) = self.prefixes.get_mut(prefix) {
                audience.changed.insert(key.into(), by);
                if !self.due.contains(prefix) {
                    self.due.insert(prefix.into());
                }
            }
        }
    }

    fn join(&mut self, id: ClientId, prefix: &[u8]) {
        if !self.prefixes.contains_key(prefix) {
            self.prefixes.insert(prefix.into(), Audience::default());
            *self.lengths.entry(prefix.len()).or_default() += 1;
        }
        if let Some(audience) = self.prefixes.get_mut(prefix) {
            audience.clients.insert(id);
        }
    }

    fn leave(&mut self, id: ClientId, prefix: &[u8]) {
        let Some(audience) = self.prefixes.get_mut(prefix) else {
            return;
        };
        audience.clients.remove(&id);
        if audience.clients.is_empty() {
            self.prefixes.remove(prefix);
            self.due.remove(prefix);
            if let Some(count) = self.lengths.get_mut(&prefix.len()) {
                *count -= 1;
                if *count == 0 {
                    self.lengths.remove(&prefix.len());
                }
            }
        }
    }
}

/// What clients are told to forget, encoded as often as it is needed.
struct Stale {
    /// The keys in an encoded array; none: all keys.
    keys: Option<Vec<u8>>,
    /// The message of RESP3.
    push: Option<Push>,
    /// The message of RESP2, on a channel.
    message: Option<Push>,
}

impl Stale {
    fn new(keys: Option<Vec<u8>>) -> Stale {
        Stale {
            keys,
            push: None,
            message: None,
        }
    }

    fn key(key: &[u8]) -> Stale {
        Stale::keys([key].into_iter())
    }

    fn keys<'a>(keys: impl Iterator<Item = &'a [u8]> + Clone) -> Stale {
        let mut out = format!("*{}\r\n", keys.clone().count()).into_bytes();
        for key in keys {
            out.push(b'$');
            out.extend_from_slice(itoa::Buffer::new().format(key.len()).as_bytes());
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(key);
            out.extend_from_slice(b"\r\n");
        }
        Stale::new(Some(out))
    }

    fn all() -> Stale {
        Stale::new(None)
    }

    fn push(&mut self) -> Push {
        let keys = self.keys.as_deref().unwrap_or(b"_\r\n");
        let push = self
            .push
            .get_or_insert_with(|| Push::ending(&[b"invalidate"], keys));
        push.clone()
    }

    fn message(&mut self) -> Push {
        let keys = self.keys.as_deref().unwrap_or(b"$-1\r\n");
        let message = self
            .message
            .get_or_insert_with(|| Push::ending(&[b"message", CHANNEL.as_bytes()], keys));
        message.clone()
    }
}

impl Client {
    /// The number of the client that is told instead of this one: 0 when it is
    /// told itself, -1 when it is not in tracking mode.
    pub fn redirection(&self) -> i64 {
        match &self.tracking {
            None => -1,
            Some(tracking) => tracking.redirect.map_or(0, |number| number as i64),
        }
    }
}

impl Server {
    /// Whether effects on single keys are written down: somebody watches keys
    /// or has some in a cache.
    pub(super) fn choose_touched(&mut self) {
        let wanted = !self.watchers.is_empty() || self.tracking.is_active();
        self.keyspace.effects.record_touched = wanted;
    }

    /// CLIENT TRACKING ON, the prefixes of before included.
    ///
    /// # Panics
    /// As [`Server::client`].
    pub fn track(&mut self, id: ClientId, mut wanted: ClientTracking) {
        let client = self.clients.get_mut(id).expect("the running client");
        if let Some(before) = client.tracking.take() {
            wanted.caching = before.caching;
            wanted.prefixes.extend(before.prefixes);
        }
        let is_new = !client.flags.has(Flags::HAS_TRACKED);
        client.flags.set(Flags::HAS_TRACKED, true);
        let wanted = client.tracking.insert(Box::new(wanted));
        for prefix in &wanted.prefixes {
            self.tracking.join(id, prefix);
        }
        self.tracking.acquainted += usize::from(is_new);
        self.tracking.clients.insert(id);
        self.choose_touched();
    }

    /// CLIENT TRACKING OFF. The keys that the client has read stay remembered,
    /// in case it changes its mind.
    pub fn untrack(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id)
            && let Some(tracking) = client.tracking.take()
        {
            for prefix in &tracking.prefixes {
                self.tracking.leave(id, prefix);
            }
            self.tracking.clients.remove(&id);
            self.choose_touched();
        }
    }

    /// A client is about to leave for good.
    pub(super) fn forget_tracking(&mut self, id: ClientId) {
        self.untrack(id);
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        if !client.flags.has(Flags::HAS_TRACKED) {
            return;
        }
        client.flags.set(Flags::HAS_TRACKED, false);
        self.tracking.acquainted -= 1;
        if self.tracking.acquainted == 0 {
            self.drop_tracked_keys();
            self.choose_touched();
        }
    }

    fn drop_tracked_keys(&mut self) {
        let empty = Table::new(self.tracking.keys.hasher().clone());
        let keys = std::mem::replace(&mut self.tracking.keys, empty);
        self.tracking.items = 0;
        self.keyspace.lazyfree.members(keys);
    }

    /// Whether what the client reads now is remembered.
    pub fn remembers_reads(&self, id: ClientId) -> bool {
        let tracking = self
            .clients
            .get(id)
            .and_then(|client| client.tracking.as_ref());
        tracking.is_some_and(|tracking| tracking.remembers())
    }

    /// Remembers that a client has read a key.
    pub fn remember_read(&mut self, id: ClientId, key: &[u8]) {
        let tracking = &mut self.tracking;
        let hash = tracking.keys.hasher().hash(key);
        let handle = handle_bytes(id);
        let Some(loc) = tracking.keys.find(hash, key) else {
            let member = Member::new(key, Payload::Value(&handle));
            tracking.keys.insert(hash, member);
            tracking.items += 1;
            return;
        };
        let known = tracking.keys.entry(loc).value();
        let (sorted, _) = known.as_chunks::<HANDLE_BYTES>();
        let Err(at) = sorted.binary_search(&handle) else {
            return;
        };
        let (before, count) = (&known[..at * HANDLE_BYTES], sorted.len());
        let mut handles_now = [before, &handle, &known[before.len()..]].concat();
        if count.is_power_of_two() {
            // Those that are gone are swept out before their number doubles.
            let clients = &self.clients;
            let present = handles(&handles_now).filter(|id| clients.get(*id).is_some());
            handles_now = present.flat_map(handle_bytes).collect();
        }
        tracking.items = tracking.items - count + handles_now.len() / HANDLE_BYTES;
        tracking
            .keys
            .update(loc, |member| member.replace_value(&handles_now));
    }

    /// A key is not any more what clients may have in their caches. `by` is the
    /// client that changed it; none when it expired.
    pub fn invalidate(&mut self, key: &[u8], by: Option<ClientId>) {
        if !self.tracking.is_active() {
            return;
        }
        self.tracking.note_changed(key, by);
        let Some(readers) = self.tracking.take(key) else {
            return;
        };
        let mut stale = Stale::key(key);
        for id in handles(readers.as_ref().value()) {
            let Some(tracking) = self.reader(id) else {
                continue;
            };
            if self.executing != Some(id) {
                self.send_stale(id, &mut stale);
            } else if !tracking.no_loop {
                self.tracking.own.push(Some(key.into()));
            }
        }
        if !self.tracking.is_active() {
            self.choose_touched();
        }
    }

    /// How a client is told of what it has read.
    fn reader(&self, id: ClientId) -> Option<&ClientTracking> {
        let tracking = self.clients.get(id)?.tracking.as_deref()?;
        (tracking.mode != TrackingMode::Broadcast).then_some(tracking)
    }

    /// No key is what it was: all are gone.
    pub fn invalidate_all(&mut self) {
        let mut stale = Stale::all();
        for id in self.tracking.clients.clone() {
            if self.executing == Some(id) {
                self.tracking.own.push(None);
            } else {
                self.send_stale(id, &mut stale);
            }
        }
        self.drop_tracked_keys();
        self.choose_touched();
    }

    /// Tells the client whose command is done what that made stale.
    pub fn send_own_stale(&mut self, id: ClientId) {
        for key in std::mem::take(&mut self.tracking.own) {
            let mut stale = key.map_or_else(Stale::all, |key| Stale::key(&key));
            self.send_stale(id, &mut stale);
        }
    }

    /// At the end of a turn: tells those who know keys by their prefixes.
    pub fn broadcast_stale(&mut self) {
        for prefix in std::mem::take(&mut self.tracking.due) {
            let Some(audience) = self.tracking.prefixes.get_mut(&prefix) else {
                continue;
            };
            let changed = std::mem::take(&mut audience.changed);
            let clients: Vec<ClientId> = audience.clients.iter().copied().collect();
            let mut stale = Stale::keys(changed.keys().map(|key| &key[..]));
            for id in clients {
                let client = self.clients.get(id);
                let tracking = client.and_then(|client| client.tracking.as_ref());
                if !tracking.is_some_and(|tracking| tracking.no_loop) {
                    self.send_stale(id, &mut stale);
                    continue;
                }
                let others = changed.iter().filter(|(_, by)| **by != Some(id));
                let others = others.map(|(key, _)| &key[..]);
                if others.clone().next().is_some() {
                    self.send_stale(id, &mut Stale::keys(others));
                }
            }
        }
    }

    /// Keeps to `tracking-table-max-keys`: forgets keys at random, of which
    /// clients are told as if they had changed; more of them the longer the
    /// table is too big.
    pub fn limit_tracked_keys(&mut self) {
        const KEYS_PER_ROUND: usize = 100;
        let max = usize::try_from(self.config.tracking_table_max_keys).unwrap_or(usize::MAX);
        let mut left = KEYS_PER_ROUND.saturating_mul(self.tracking.rounds + 1);
        while max > 0 && self.tracking.keys.len() > max {
            if left == 0 {
                self.tracking.rounds += 1;
                return;
            }
            left -= 1;
            let Some(loc) = self.tracking.keys.random_loc(&mut self.rng) else {
                break;
            };
            let forgotten = self.tracking.take_at(loc);
            let forgotten = forgotten.as_ref();
            let mut stale = Stale::key(forgotten.key());
            for id in handles(forgotten.value()) {
                if self.reader(id).is_some() {
                    self.send_stale(id, &mut stale);
                }
            }
        }
        self.tracking.rounds = 0;
    }

    /// Tells a client in tracking mode, or the one that it named.
    fn send_stale(&mut self, id: ClientId, stale: &mut Stale) {
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        let (resp3, Some(tracking)) = (client.resp3, &mut client.tracking) else {
            return;
        };
        let redirected = tracking.redirect.is_some();
        let target = match tracking.redirect {
            None => id,
            Some(number) => match self.clients.find(number) {
                Some(target) => target,
                None => return self.tell_broken(id, resp3, number),
            },
        };
        let Some(client) = self.clients.get(target) else {
            return;
        };
        if client.resp3 {
            self.push(target, &stale.push());
        } else if redirected && client.flags.has(Flags::PUBSUB) {
            self.push(target, &stale.message());
        }
    }

    fn tell_broken(&mut self, id: ClientId, resp3: bool, number: u64) {
        if let Some(tracking) = &mut self.client(id).tracking {
            tracking.broken = true;
        }
        if resp3 {
            let number = format!(":{number}\r\n");
            let push = Push::ending(&[b"tracking-redir-broken"], number.as_bytes());
            self.push(id, &push);
        }
    }
}
