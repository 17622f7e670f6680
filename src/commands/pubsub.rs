//! Pub/Sub commands: <https://redis.io/docs/latest/commands/?group=pubsub>.

use crate::command::ctx::{Args, CmdError, CmdResult, REPLIED};
use crate::command::help::help;
use crate::command::table::{
    ChannelArgs, Command, Find, Group, KeySpec, cat, flag, key_at, keys_at, kflag,
};
use crate::engine::{Channels, ClientId, PubSub, Server, Topic};
use crate::util::glob;

const LISTENING: u32 =
    flag::PUBSUB | flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::WHILE_SUBSCRIBED;
const PUBLISHING: u32 =
    flag::PUBSUB | flag::LOADING | flag::STALE | flag::FAST | flag::MAY_REPLICATE;
/// In a cluster, a shard channel belongs to the slot that a key of its name has.
const SHARD_CHANNEL_SPECS: &[KeySpec] = &[keys_at(kflag::NOT_KEY, 1, Find::Range(-1, 1, 0))];

/// The commands of this group.
pub const COMMANDS: &[Command] = &[
    Command::server("PSUBSCRIBE", -2, psubscribe)
        .doc(
            Group::PubSub,
            "2.0.0",
            "O(N) where N is the number of patterns the client is already subscribed to.",
            "Receive what is published to channels whose names match the given patterns.",
        )
        .syntax("pattern:{pattern:pattern}...")
        .flags(LISTENING)
        .channels(ChannelArgs::AllPatterns)
        .acl(cat::PUBSUB),
    Command::server("PUBLISH", 3, publish)
        .doc(
            Group::PubSub,
            "2.0.0",
            "O(N+M) where N is the number of clients subscribed to the receiving channel and M \
             is the total number of subscribed patterns (by any client).",
            "Send a message to all who have subscribed to the channel or to a pattern that \
             matches it.",
        )
        .syntax("channel:string message:string")
        .flags(PUBLISHING)
        .channels(ChannelArgs::First)
        .acl(cat::PUBSUB),
    Command::container("PUBSUB", -2, PUBSUB).doc(
        Group::PubSub,
        "2.8.0",
        "Depends on subcommand.",
        "Tell which channels and patterns have subscribers.",
    ),
    Command::server("PUNSUBSCRIBE", -1, punsubscribe)
        .doc(
            Group::PubSub,
            "2.0.0",
            "O(N+M) where N is the number of patterns the client is already subscribed and M is \
             the number of total patterns subscribed in the system (by any client).",
            "End the subscriptions to the given patterns, or to all.",
        )
        .syntax("[pattern:pattern...]")
        .flags(LISTENING)
        .acl(cat::PUBSUB),
    Command::server("SPUBLISH", 3, spublish)
        .doc(
            Group::PubSub,
            "7.0.0",
            "O(N) where N is the number of clients subscribed to the receiving shard channel.",
            "Send a message to all who have subscribed to the shard channel.",
        )
        .syntax("shardchannel:string message:string")
        .flags(PUBLISHING)
        .channels(ChannelArgs::First)
        .acl(cat::PUBSUB)
        .keys(&[key_at(kflag::NOT_KEY, 1)]),
    Command::server("SSUBSCRIBE", -2, ssubscribe)
        .doc(
            Group::PubSub,
            "7.0.0",
            "O(N) where N is the number of shard channels to subscribe to.",
            "Receive what is published to the given channels within their shard.",
        )
        .syntax("shardchannel:string...")
        .flags(LISTENING)
        .channels(ChannelArgs::All)
        .acl(cat::PUBSUB)
        .keys(SHARD_CHANNEL_SPECS),
    Command::server("SUBSCRIBE", -2, subscribe)
        .doc(
            Group::PubSub,
            "2.0.0",
            "O(N) where N is the number of channels to subscribe to.",
            "Receive what is published to the given channels.",
        )
        .syntax("channel:string...")
        .flags(LISTENING)
        .channels(ChannelArgs::All)
        .acl(cat::PUBSUB),
    Command::server("SUNSUBSCRIBE", -1, sunsubscribe)
        .doc(
            Group::PubSub,
            "7.0.0",
            "O(N) where N is the number of clients already subscribed to a shard channel.",
            "End the subscriptions to the given shard channels, or to all.",
        )
        .syntax("[shardchannel:string...]")
        .flags(LISTENING)
        .acl(cat::PUBSUB)
        .keys(SHARD_CHANNEL_SPECS),
    Command::server("UNSUBSCRIBE", -1, unsubscribe)
        .doc(
            Group::PubSub,
            "2.0.0",
            "O(N) where N is the number of clients already subscribed to a channel.",
            "End the subscriptions to the given channels, or to all.",
        )
        .syntax("[channel:string...]")
        .flags(LISTENING)
        .acl(cat::PUBSUB),
];

const ASKING: u32 = flag::PUBSUB | flag::LOADING | flag::STALE;

/// Subcommands of PUBSUB.
const PUBSUB: &[Command] = &[
    Command::server("CHANNELS", -2, pubsub_channels)
        .doc(
            Group::PubSub,
            "2.8.0",
            "O(N) where N is the number of active channels, and assuming constant time pattern \
             matching (relatively short channels and patterns)",
            "List the channels that have subscribers, or those whose names match a pattern.",
        )
        .syntax("[pattern:pattern]")
        .flags(ASKING)
        .acl(cat::PUBSUB),
    Command::server("HELP", 2, help)
        .doc(
            Group::PubSub,
            "6.2.0",
            "O(1)",
            "List the subcommands of PUBSUB.",
        )
        .flags(flag::LOADING | flag::STALE),
    Command::server("NUMPAT", 2, pubsub_numpat)
        .doc(
            Group::PubSub,
            "2.8.0",
            "O(1)",
            "Count the different patterns that clients have subscribed to.",
        )
        .flags(ASKING)
        .acl(cat::PUBSUB),
    Command::server("NUMSUB", -2, pubsub_numsub)
        .doc(
            Group::PubSub,
            "2.8.0",
            "O(N) for the NUMSUB subcommand, where N is the number of requested channels",
            "Count the subscribers of each given channel; patterns do not count.",
        )
        .syntax("[channel:string...]")
        .flags(ASKING)
        .acl(cat::PUBSUB),
    Command::server("SHARDCHANNELS", -2, pubsub_shardchannels)
        .doc(
            Group::PubSub,
            "7.0.0",
            "O(N) where N is the number of active shard channels, and assuming constant time \
             pattern matching (relatively short shard channels).",
            "List the shard channels that have subscribers, or those whose names match a pattern.",
        )
        .syntax("[pattern:pattern]")
        .flags(ASKING)
        .acl(cat::PUBSUB),
    Command::server("SHARDNUMSUB", -2, pubsub_shardnumsub)
        .doc(
            Group::PubSub,
            "7.0.0",
            "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard \
             channels",
            "Count the subscribers of each given shard channel.",
        )
        .syntax("[shardchannel:string...]")
        .flags(ASKING)
        .acl(cat::PUBSUB),
];

/// The words of the messages about subscriptions.
fn words(topic: Topic) -> (&'static str, &'static str) {
    match topic {
        Topic::Channel => ("subscribe", "unsubscribe"),
        Topic::Pattern => ("psubscribe", "punsubscribe"),
        Topic::ShardChannel => ("ssubscribe", "sunsubscribe"),
    }
}

/// Tells a client what its subscriptions are now. The message is the reply:
/// one for each name.
fn tell(server: &mut Server, id: ClientId, word: &str, name: Option<&[u8]>, count: usize) {
    let mut reply = server.push_reply(id);
    reply.push(3);
    reply.bulk(word.as_bytes());
    match name {
        Some(name) => reply.bulk(name),
        None => reply.null(),
    }
    reply.integer(count as i64);
}

fn begin(server: &mut Server, id: ClientId, topic: Topic, args: Args<'_>) -> CmdResult {
    for name in args.rest() {
        let count = server.subscribe(id, topic, name);
        tell(server, id, words(topic).0, Some(name), count);
    }
    REPLIED
}

fn end(server: &mut Server, id: ClientId, topic: Topic, args: Args<'_>) -> CmdResult {
    let word = words(topic).1;
    let mut end_one = |name: &[u8]| {
        let count = server.unsubscribe(id, topic, name);
        tell(server, id, word, Some(name), count);
    };
    if args.left() > 0 {
        args.rest().iter().for_each(|name| end_one(name));
        return REPLIED;
    }
    let names = server.subscriptions_of(id, topic);
    if names.is_empty() {
        let count = server.told_count(id, topic);
        tell(server, id, word, None, count);
    }
    for name in names {
        let count = server.unsubscribe(id, topic, &name);
        tell(server, id, word, Some(&name), count);
    }
    REPLIED
}

fn psubscribe(server: &mut Server, id: ClientId, args: Args<'_>) -> CmdResult {
    begin(server, id, Topic::Pattern, args)
}

fn publish(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let (channel, message) = (args.bytes()?, args.bytes()?);
    let receivers = server.publish(channel, message);
    server.reply(id).integer(receivers as i64);
    REPLIED
}

fn punsubscribe(server: &mut Server, id: ClientId, args: Args<'_>) -> CmdResult {
    end(server, id, Topic::Pattern, args)
}

fn spublish(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let (channel, message) = (args.bytes()?, args.bytes()?);
    let receivers = server.publish_in_shard(channel, message);
    server.reply(id).integer(receivers as i64);
    REPLIED
}

fn ssubscribe(server: &mut Server, id: ClientId, args: Args<'_>) -> CmdResult {
    // Redis: EXEC promises one reply for each command. The older kinds of
    // subscription break that for the sake of those who rely on it.
    if server.time_stands {
        return Err(CmdError::err(
            "SSUBSCRIBE isn't allowed for a DENY BLOCKING client",
        ));
    }
    begin(server, id, Topic::ShardChannel, args)
}

fn subscribe(server: &mut Server, id: ClientId, args: Args<'_>) -> CmdResult {
    begin(server, id, Topic::Channel, args)
}

fn sunsubscribe(server: &mut Server, id: ClientId, args: Args<'_>) -> CmdResult {
    end(server, id, Topic::ShardChannel, args)
}

fn unsubscribe(server: &mut Server, id: ClientId, args: Args<'_>) -> CmdResult {
    end(server, id, Topic::Channel, args)
}

type Which = fn(&PubSub) -> &Channels;

const GLOBAL: Which = |pubsub| &pubsub.channels;
const SHARD: Which = |pubsub| &pubsub.shard_channels;

fn list(server: &mut Server, id: ClientId, which: Which, mut args: Args<'_>) -> CmdResult {
    let pattern = args.next_arg();
    if args.left() > 0 {
        return Err(CmdError::subcommand_syntax(args.argv()[1], "pubsub"));
    }
    let (pubsub, mut reply) = server.pubsub_and_reply(id);
    let matches = |name: &&[u8]| pattern.is_none_or(|pattern| glob::matches(pattern, name));
    let mut count = 0;
    let listed = reply.deferred();
    for name in which(pubsub).names().filter(matches) {
        reply.bulk(name);
        count += 1;
    }
    reply.end_array(listed, count);
    REPLIED
}

fn count(server: &mut Server, id: ClientId, which: Which, args: Args<'_>) -> CmdResult {
    let (pubsub, mut reply) = server.pubsub_and_reply(id);
    let channels = which(pubsub);
    reply.array(args.left() * 2);
    for name in args.rest() {
        reply.bulk(name);
        reply.integer(channels.subscribers(name) as i64);
    }
    REPLIED
}

fn pubsub_channels(server: &mut Server, id: ClientId, args: Args<'_>) -> CmdResult {
    list(server, id, GLOBAL, args)
}

fn pubsub_numpat(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let patterns = server.pubsub.patterns();
    server.reply(id).integer(patterns as i64);
    REPLIED
}

fn pubsub_numsub(server: &mut Server, id: ClientId, args: Args<'_>) -> CmdResult {
    count(server, id, GLOBAL, args)
}

fn pubsub_shardchannels(server: &mut Server, id: ClientId, args: Args<'_>) -> CmdResult {
    list(server, id, SHARD, args)
}

fn pubsub_shardnumsub(server: &mut Server, id: ClientId, args: Args<'_>) -> CmdResult {
    count(server, id, SHARD, args)
}
