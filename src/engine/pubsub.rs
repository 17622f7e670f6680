//! Channels and patterns, and who has subscribed to them.
//!
//! Clients are kept by their handles; what a client has subscribed to stands
//! with the client too, so that leaving costs what it has, not what there is.

use std::collections::{BTreeMap, BTreeSet};

use super::client::{Client, ClientId, Closing, Flags};
use super::clients::Clients;
use super::server::Server;
use crate::encoding::member::{Member, Payload};
use crate::encoding::table::{KeyHasher, Loc, Table};
use crate::resp::{Push, Reply};
use crate::util::glob;

/// What a client subscribes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Topic {
    /// A channel by its name.
    Channel,
    /// The channels whose names match a pattern.
    Pattern,
    /// A channel of a shard, which is a world of its own.
    ShardChannel,
}

/// The clients that have subscribed to one name.
#[derive(Debug)]
enum Listeners {
    One(ClientId),
    Many(BTreeSet<ClientId>),
}

impl Listeners {
    fn len(&self) -> usize {
        match self {
            Listeners::One(_) => 1,
            Listeners::Many(ids) => ids.len(),
        }
    }

    fn add(&mut self, id: ClientId) {
        match self {
            Listeners::One(first) => *self = Listeners::Many(BTreeSet::from([*first, id])),
            Listeners::Many(ids) => {
                ids.insert(id);
            }
        }
    }

    /// Takes one out; true when nobody is left.
    fn remove(&mut self, id: ClientId) -> bool {
        match self {
            Listeners::One(only) => *only == id,
            Listeners::Many(ids) => {
                ids.remove(&id);
                ids.is_empty()
            }
        }
    }

    fn for_each(&self, mut visit: impl FnMut(ClientId)) {
        match self {
            Listeners::One(id) => visit(*id),
            Listeners::Many(ids) => ids.iter().for_each(|id| visit(*id)),
        }
    }
}

/// The channels that somebody has subscribed to. The names are in a table that
/// grows step by step, each with the position of its listeners.
pub struct Channels {
    names: Table<Member>,
    listeners: Vec<Listeners>,
    free: Vec<u32>,
}

impl Default for Channels {
    fn default() -> Channels {
        Channels {
            names: Table::new(KeyHasher::shared()),
            listeners: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl Channels {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Their names, in no order.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.iter().map(|name| name.key())
    }

    /// Number of subscribers of a channel.
    pub fn subscribers(&self, name: &[u8]) -> usize {
        self.of(name).map_or(0, Listeners::len)
    }

    fn find(&self, name: &[u8]) -> Option<(Loc, usize)> {
        let loc = self.names.find(self.names.hasher().hash(name), name)?;
        let position: [u8; 4] = self.names.entry(loc).value().try_into().ok()?;
        Some((loc, u32::from_le_bytes(position) as usize))
    }

    fn of(&self, name: &[u8]) -> Option<&Listeners> {
        self.find(name)
            .map(|(_, position)| &self.listeners[position])
    }

    fn add(&mut self, name: &[u8], id: ClientId) {
        if let Some((_, position)) = self.find(name) {
            return self.listeners[position].add(id);
        }
        let one = Listeners::One(id);
        let position = match self.free.pop() {
            Some(position) => {
                self.listeners[position as usize] = one;
                position
            }
            None => {
                self.listeners.push(one);
                self.listeners.len() as u32 - 1
            }
        };
        let name_member = Member::new(name, Payload::Value(&position.to_le_bytes()));
        self.names
            .insert(self.names.hasher().hash(name), name_member);
    }

    fn remove(&mut self, name: &[u8], id: ClientId) {
        if let Some((loc, position)) = self.find(name)
            && self.listeners[position].remove(id)
        {
            // A set that was big is given back with its last member.
            self.listeners[position] = Listeners::One(id);
            drop(self.names.remove(loc));
            self.free.push(position as u32);
            if self.names.is_empty() {
                *self = Channels::default();
            }
        }
    }
}

/// All subscriptions.
#[derive(Default)]
pub struct PubSub {
    /// Channels.
    pub channels: Channels,
    /// Channels of the shard.
    pub shard_channels: Channels,
    patterns: BTreeMap<Box<[u8]>, Listeners>,
}

impl PubSub {
    /// Number of different patterns.
    pub fn patterns(&self) -> usize {
        self.patterns.len()
    }

    /// Whether nobody hears what is published.
    #[inline]
    pub fn is_deaf(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty()
    }

    fn add(&mut self, topic: Topic, name: &[u8], id: ClientId) {
        match topic {
            Topic::Channel => self.channels.add(name, id),
            Topic::ShardChannel => self.shard_channels.add(name, id),
            Topic::Pattern => match self.patterns.get_mut(name) {
                Some(listeners) => listeners.add(id),
                None => {
                    self.patterns.insert(name.into(), Listeners::One(id));
                }
            },
        }
    }

    fn remove(&mut self, topic: Topic, name: &[u8], id: ClientId) {
        match topic {
            Topic::Channel => self.channels.remove(name, id),
            Topic::ShardChannel => self.shard_channels.remove(name, id),
            Topic::Pattern => {
                let listeners = self.patterns.get_mut(name);
                if listeners.is_some_and(|listeners| listeners.remove(id)) {
                    self.patterns.remove(name);
                }
            }
        }
    }
}

/// The names that a client has subscribed to, and in which order.
#[derive(Default, Debug)]
struct Names {
    turns: BTreeMap<Box<[u8]>, u64>,
    next_turn: u64,
    bytes: usize,
}

/// Bytes of a name beside its letters: pointer, length and turn in a tree
/// that is two thirds full, and its share in the list of all subscribers.
const NAME_OVERHEAD_BYTES: usize = 56;

impl Names {
    /// False when it is there already.
    fn add(&mut self, name: &[u8]) -> bool {
        if self.turns.contains_key(name) {
            return false;
        }
        self.turns.insert(name.into(), self.next_turn);
        self.next_turn += 1;
        self.bytes += name.len() + NAME_OVERHEAD_BYTES;
        true
    }

    fn remove(&mut self, name: &[u8]) -> bool {
        let found = self.turns.remove(name).is_some();
        if found {
            self.bytes -= name.len() + NAME_OVERHEAD_BYTES;
        }
        found
    }

    fn in_order(&self) -> Vec<Box<[u8]>> {
        let mut names: Vec<_> = self.turns.iter().collect();
        names.sort_unstable_by_key(|(_, turn)| **turn);
        names.into_iter().map(|(name, _)| name.clone()).collect()
    }
}

/// What a client has subscribed to.
#[derive(Default, Debug)]
pub struct Subscriptions {
    channels: Names,
    patterns: Names,
    shard_channels: Names,
}

impl Subscriptions {
    fn of(&self, topic: Topic) -> &Names {
        match topic {
            Topic::Channel => &self.channels,
            Topic::Pattern => &self.patterns,
            Topic::ShardChannel => &self.shard_channels,
        }
    }

    fn of_mut(&mut self, topic: Topic) -> &mut Names {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
            Topic::ShardChannel => &mut self.shard_channels,
        }
    }

    /// How many of a kind.
    pub fn count(&self, topic: Topic) -> usize {
        self.of(topic).turns.len()
    }

    fn total(&self) -> usize {
        Topic::ALL.iter().map(|topic| self.count(*topic)).sum()
    }

    /// What they take up, bytes.
    pub fn memory_bytes(&self) -> usize {
        let names: usize = Topic::ALL.iter().map(|topic| self.of(*topic).bytes).sum();
        size_of::<Subscriptions>() + names
    }
}

impl Topic {
    const ALL: [Topic; 3] = [Topic::Channel, Topic::Pattern, Topic::ShardChannel];
}

impl Client {
    /// How many channels, patterns or shard channels it has subscribed to.
    pub fn subscribed(&self, topic: Topic) -> usize {
        let subscriptions = self.subscriptions.as_ref();
        subscriptions.map_or(0, |subscriptions| subscriptions.count(topic))
    }
}

impl Server {
    /// Subscribes a client; gives the number of its subscriptions that
    /// messages of this kind tell (channels and patterns count together).
    pub fn subscribe(&mut self, id: ClientId, topic: Topic, name: &[u8]) -> usize {
        let client = self.client(id);
        let subscriptions = client.subscriptions.get_or_insert_default();
        let is_new = subscriptions.of_mut(topic).add(name);
        client.flags.set(Flags::PUBSUB, true);
        if is_new {
            self.pubsub.add(topic, name, id);
        }
        self.told_count(id, topic)
    }

    /// Ends a subscription, if it is one; gives the number of those left, as
    /// [`Server::subscribe`].
    pub fn unsubscribe(&mut self, id: ClientId, topic: Topic, name: &[u8]) -> usize {
        let client = self.client(id);
        if let Some(subscriptions) = &mut client.subscriptions
            && subscriptions.of_mut(topic).remove(name)
        {
            if subscriptions.total() == 0 {
                client.subscriptions = None;
                client.flags.set(Flags::PUBSUB, false);
            }
            self.pubsub.remove(topic, name, id);
        }
        self.told_count(id, topic)
    }

    /// The number of subscriptions of a client that messages of a kind tell.
    pub fn told_count(&mut self, id: ClientId, topic: Topic) -> usize {
        let client = self.client(id);
        match topic {
            Topic::ShardChannel => client.subscribed(topic),
            _ => client.subscribed(Topic::Channel) + client.subscribed(Topic::Pattern),
        }
    }

    /// The names that a client has subscribed to, in the order in which it did.
    pub fn subscriptions_of(&mut self, id: ClientId, topic: Topic) -> Vec<Box<[u8]>> {
        let subscriptions = self.client(id).subscriptions.as_ref();
        subscriptions.map_or_else(Vec::new, |subscriptions| subscriptions.of(topic).in_order())
    }

    /// Ends all subscriptions of a client that goes, or begins anew.
    pub(super) fn drop_subscriptions(&mut self, id: ClientId, gone: Option<Box<Subscriptions>>) {
        let Some(gone) = gone else {
            return;
        };
        for topic in Topic::ALL {
            for name in gone.of(topic).turns.keys() {
                self.pubsub.remove(topic, name, id);
            }
        }
    }

    /// Publishes a message; gives the number of those that got it (a client
    /// counts once for its channel and once for each of its patterns).
    pub fn publish(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let mut mail = Mail::new(&mut self.clients);
        if let Some(listeners) = self.pubsub.channels.of(channel) {
            mail.send(listeners, &[b"message", channel, message]);
        }
        for (pattern, listeners) in &self.pubsub.patterns {
            if glob::matches(pattern, channel) {
                mail.send(listeners, &[b"pmessage", pattern, channel, message]);
            }
        }
        let (receivers, slow) = mail.end();
        self.check_slow(slow);
        receivers
    }

    /// As [`Server::publish`], to a channel of the shard.
    pub fn publish_in_shard(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let mut mail = Mail::new(&mut self.clients);
        if let Some(listeners) = self.pubsub.shard_channels.of(channel) {
            mail.send(listeners, &[b"smessage", channel, message]);
        }
        let (receivers, slow) = mail.end();
        self.check_slow(slow);
        receivers
    }

    /// Cuts off those that do not read what they are sent.
    fn check_slow(&mut self, slow: Vec<ClientId>) {
        for id in slow {
            self.check_output_limit(id);
        }
    }

    /// Sends a message to one client.
    pub fn push(&mut self, id: ClientId, push: &Push) {
        let mut mail = Mail::new(&mut self.clients);
        mail.put(id, push);
        let (_, slow) = mail.end();
        self.check_slow(slow);
    }

    /// All subscriptions, and a writer to a client's output.
    ///
    /// # Panics
    /// As [`Server::reply`].
    pub fn pubsub_and_reply(&mut self, id: ClientId) -> (&PubSub, Reply<'_>) {
        let client = self.clients.get_mut(id).expect("the running client");
        let reply = Reply::new(&mut client.output, client.resp3);
        (&self.pubsub, reply)
    }

    /// A writer of messages to a client: they come through even where its
    /// replies are off.
    ///
    /// # Panics
    /// As [`Server::reply`].
    pub fn push_reply(&mut self, id: ClientId) -> Reply<'_> {
        let client = self.client(id);
        let resp3 = client.resp3;
        Reply::new(client.push_output(), resp3)
    }
}

/// Messages on their way to clients.
struct Mail<'a> {
    clients: &'a mut Clients,
    receivers: usize,
    /// Who may have more waiting than is allowed.
    slow: Vec<ClientId>,
}

impl Mail<'_> {
    fn new(clients: &mut Clients) -> Mail<'_> {
        Mail {
            clients,
            receivers: 0,
            slow: Vec::new(),
        }
    }

    fn send(&mut self, listeners: &Listeners, parts: &[&[u8]]) {
        let push = Push::new(parts);
        listeners.for_each(|id| self.put(id, &push));
    }

    #[inline]
    fn put(&mut self, id: ClientId, push: &Push) {
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        self.receivers += 1;
        if client.closing != Closing::No {
            return;
        }
        let resp3 = client.resp3;
        push.write(client.push_output(), resp3);
        if client.may_break_output_limit() {
            self.slow.push(id);
        }
        self.clients.schedule_push(id);
    }

    fn end(self) -> (usize, Vec<ClientId>) {
        (self.receivers, self.slow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::registry::Registry;
    use crate::config::Config;
    use crate::engine::RawClient;

    #[test]
    fn nothing_is_left_behind() {
        let mut server = Server::new(Config::default(), Registry::new(&[]).unwrap(), 1);
        let ids: Vec<ClientId> = (0..3)
            .map(|_| server.add_client(RawClient::default()))
            .collect();
        for (nth, id) in ids.iter().enumerate() {
            assert_eq!(server.subscribe(*id, Topic::Channel, b"c"), 1);
            assert_eq!(server.subscribe(*id, Topic::Channel, b"c"), 1);
            assert_eq!(server.subscribe(*id, Topic::Pattern, b"c*"), 2);
            assert_eq!(server.subscribe(*id, Topic::ShardChannel, b"c"), 1);
            let own = format!("own:{nth}");
            assert_eq!(server.subscribe(*id, Topic::Channel, own.as_bytes()), 3);
        }
        assert_eq!(server.publish(b"c", b"m"), 6);
        assert_eq!(server.publish(b"own:1", b"m"), 1);
        assert_eq!(server.publish(b"cc", b"m"), 3);
        assert_eq!(server.publish_in_shard(b"c", b"m"), 3);
        let names = server.subscriptions_of(ids[0], Topic::Channel);
        assert_eq!(names, [Box::from(&b"c"[..]), Box::from(&b"own:0"[..])]);
        assert_eq!(server.unsubscribe(ids[0], Topic::Channel, b"c"), 2);
        assert_eq!(server.publish(b"c", b"m"), 5);
        assert_eq!(server.pubsub.channels.len(), 4);
        assert_eq!(server.pubsub.channels.subscribers(b"c"), 2);
        server.reset_client(ids[0]);
        for id in &ids[1..] {
            server.forget_client(*id);
        }
        assert!(server.pubsub.is_deaf() && server.pubsub.shard_channels.is_empty());
        assert_eq!(
            server.client(ids[0]).kind(),
            crate::engine::ClientKind::Normal
        );
    }
}
