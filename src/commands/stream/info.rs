//! XINFO: looking into streams.

use super::entries::{count_arg, reply_entries, reply_entry, reply_id};
use super::no_group_of_key;
use crate::command::ctx::{CmdError, CmdResult, Ctx, REPLIED};
use crate::command::table::{Command, Group as CommandGroup, cat, flag, key_at, kflag};
use crate::resp::Reply;
use crate::types::stream::{Group, Log};
use crate::types::{Stream, StreamId};

/// Subcommands of XINFO.
pub(super) const XINFO: &[Command] = &[
    Command::data("CONSUMERS", 4, xinfo_consumers)
        .doc(
            CommandGroup::Stream,
            "5.0.0",
            "O(1)",
            "Describe the consumers of a group.",
        )
        .syntax("key:key groupname:string")
        .flags(flag::READONLY)
        .acl(cat::STREAM)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 2)])
        .tips(&["nondeterministic_output"]),
    Command::data("GROUPS", 3, xinfo_groups)
        .doc(
            CommandGroup::Stream,
            "5.0.0",
            "O(1)",
            "Describe the consumer groups of a stream.",
        )
        .syntax("key:key")
        .flags(flag::READONLY)
        .acl(cat::STREAM)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 2)])
        .history(&[("7.0.0", "Added the `entries-read` and `lag` fields")]),
    Command::data("HELP", 2, xinfo_help)
        .doc(
            CommandGroup::Stream,
            "5.0.0",
            "O(1)",
            "List the subcommands of XINFO.",
        )
        .flags(flag::LOADING | flag::STALE)
        .acl(cat::STREAM),
    Command::data("STREAM", -3, xinfo_stream)
        .doc(CommandGroup::Stream, "5.0.0", "O(1)", "Describe a stream.")
        .syntax("key:key [FULL full:{[COUNT count:integer]}]")
        .flags(flag::READONLY)
        .acl(cat::STREAM)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 2)])
        .history(&[
            ("6.0.0", "Added the `FULL` modifier."),
            (
                "7.0.0",
                "Added the `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, \
             `entries-read` and `lag` fields",
            ),
        ]),
];

fn name_and_number(reply: &mut Reply<'_>, name: &str, number: i64) {
    reply.bulk(name.as_bytes());
    reply.integer(number);
}

fn name_and_id(reply: &mut Reply<'_>, name: &str, id: StreamId) {
    reply.bulk(name.as_bytes());
    reply_id(reply, id);
}

fn number_or_null(reply: &mut Reply<'_>, name: &str, number: Option<i64>) {
    reply.bulk(name.as_bytes());
    match number {
        Some(number) => reply.integer(number),
        None => reply.null(),
    }
}

fn read_and_lag(reply: &mut Reply<'_>, group: &Group, log: &Log) {
    let read = group.entries_read.map(u64::cast_signed);
    number_or_null(reply, "entries-read", read);
    number_or_null(reply, "lag", group.lag(log));
}

fn xinfo_consumers(ctx: &mut Ctx) -> CmdResult {
    let (key, name) = (ctx.args.key()?, ctx.args.bytes()?);
    let now_ms = ctx.now_ms();
    let stream = ctx.db.read::<Stream>(key)?.ok_or(CmdError::NoSuchKey)?;
    let group = stream.groups.get(name);
    let group = group.ok_or_else(|| no_group_of_key(key, name))?;
    let reply = &mut ctx.reply;
    reply.array(group.consumers_len());
    for (_, consumer) in group.consumers() {
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(consumer.name());
        name_and_number(reply, "pending", consumer.pending().len() as i64);
        let idle_ms = now_ms.saturating_sub(consumer.seen_ms).max(0);
        name_and_number(reply, "idle", idle_ms);
        // Since 7.2, behind what 7.0 has; -1: it never was given anything.
        let inactive_ms = { consumer.active_ms }.map(|active| now_ms.saturating_sub(active).max(0));
        name_and_number(reply, "inactive", inactive_ms.unwrap_or(-1));
    }
    REPLIED
}

fn xinfo_groups(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let stream = ctx.db.read::<Stream>(key)?.ok_or(CmdError::NoSuchKey)?;
    let reply = &mut ctx.reply;
    reply.array(stream.groups.len());
    for (name, group) in &stream.groups {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        name_and_number(reply, "consumers", group.consumers_len() as i64);
        name_and_number(reply, "pending", group.pending().len() as i64);
        name_and_id(reply, "last-delivered-id", group.last_id);
        read_and_lag(reply, group, &stream.log);
    }
    REPLIED
}

/// Entries and pending ones that FULL shows where nothing else is said.
const FULL_COUNT: u64 = 10;

/// The options of STREAM: how many FULL shows (0: all), if it was asked for.
fn full_count(ctx: &mut Ctx) -> Result<Option<u64>, CmdError> {
    let typed = ctx.args.argv()[1];
    let wrong = || CmdError::subcommand_syntax(typed, "xinfo");
    match *ctx.args.rest() {
        [] => Ok(None),
        [full] if full.eq_ignore_ascii_case(b"FULL") => Ok(Some(FULL_COUNT)),
        [full, count, number]
            if full.eq_ignore_ascii_case(b"FULL") && count.eq_ignore_ascii_case(b"COUNT") =>
        {
            match number {
                // Redis: a negative count is as if it were not there.
                [b'-', b'1'..=b'9', ..] => count_arg(number).map(|_| Some(FULL_COUNT)),
                _ => count_arg(number).map(Some),
            }
        }
        _ => Err(wrong()),
    }
}

fn xinfo_stream(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    // Redis: the key is looked at before the options.
    if ctx.db.read::<Stream>(key)?.is_none() {
        return Err(CmdError::NoSuchKey);
    }
    let full = full_count(ctx)?;
    let Some(stream) = ctx.db.view::<Stream>(key) else {
        return Err(CmdError::NoSuchKey);
    };
    let (reply, log) = (&mut ctx.reply, &stream.log);
    reply.map(if full.is_some() { 9 } else { 10 });
    name_and_number(reply, "length", log.len().cast_signed());
    name_and_number(reply, "radix-tree-keys", log.blocks_len() as i64);
    name_and_number(reply, "radix-tree-nodes", log.tree_nodes() as i64);
    name_and_id(reply, "last-generated-id", log.last_id);
    name_and_id(reply, "max-deleted-entry-id", log.max_deleted_id);
    name_and_number(reply, "entries-added", log.entries_added.cast_signed());
    name_and_id(reply, "recorded-first-entry-id", log.first_id);
    match full {
        None => summary(reply, stream),
        Some(count) => details(reply, stream, count),
    }
    REPLIED
}

fn summary(reply: &mut Reply<'_>, stream: &Stream) {
    name_and_number(reply, "groups", stream.groups.len() as i64);
    let (log, all) = (&stream.log, (StreamId::MIN, StreamId::MAX));
    let first = log.range(all.0, all.1).next();
    let last = log.range_back(all.0, all.1).next();
    for (name, entry) in [("first-entry", first), ("last-entry", last)] {
        reply.bulk(name.as_bytes());
        match entry {
            Some(entry) => reply_entry(reply, entry),
            None => reply.null(),
        }
    }
}

fn details(reply: &mut Reply<'_>, stream: &Stream, count: u64) {
    let max = Some(count).filter(|count| *count > 0);
    reply.bulk(b"entries");
    reply_entries(reply, stream.log.range(StreamId::MIN, StreamId::MAX), max);
    reply.bulk(b"groups");
    reply.array(stream.groups.len());
    for (name, group) in &stream.groups {
        reply.map(7);
        reply.bulk(b"name");
        reply.bulk(name);
        name_and_id(reply, "last-delivered-id", group.last_id);
        read_and_lag(reply, group, &stream.log);
        group_details(reply, group, max);
    }
}

fn group_details(reply: &mut Reply<'_>, group: &Group, max: Option<u64>) {
    let max = max.map_or(usize::MAX, |max| max as usize);
    name_and_number(reply, "pel-count", group.pending().len() as i64);
    reply.bulk(b"pending");
    reply.array(group.pending().len().min(max));
    for (id, pending) in group.pending().iter().take(max) {
        reply.array(4);
        reply_id(reply, *id);
        reply.bulk(group.consumer(pending.consumer).name());
        reply.integer(pending.delivered_ms);
        reply.integer(pending.deliveries.cast_signed());
    }
    reply.bulk(b"consumers");
    reply.array(group.consumers_len());
    for (_, consumer) in group.consumers() {
        reply.map(5);
        reply.bulk(b"name");
        reply.bulk(consumer.name());
        name_and_number(reply, "seen-time", consumer.seen_ms);
        name_and_number(reply, "pel-count", consumer.pending().len() as i64);
        reply.bulk(b"pending");
        reply.array(consumer.pending().len().min(max));
        for id in consumer.pending().keys().take(max) {
            let pending = group.pending()[id];
            reply.array(3);
            reply_id(reply, *id);
            reply.integer(pending.delivered_ms);
            reply.integer(pending.deliveries.cast_signed());
        }
        // Since 7.2, behind what 7.0 has.
        name_and_number(reply, "active-time", consumer.active_ms.unwrap_or(-1));
    }
}

fn xinfo_help(ctx: &mut Ctx) -> CmdResult {
    const LINES: [&str; 9] = [
        "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CONSUMERS <key> <groupname>",
        "    Describe the consumers of <groupname>.",
        "GROUPS <key>",
        "    Describe the consumer groups of the stream.",
        "STREAM <key> [FULL [COUNT <count>]",
        "    Describe the stream.",
        "HELP",
        "    Prints this help.",
    ];
    ctx.reply.array(LINES.len());
    for line in LINES {
        ctx.reply.simple(line);
    }
    REPLIED
}
