//! OBJECT: how the value of a key is kept.

use crate::command::ctx::{CmdError, CmdResult, Ctx, REPLIED};
use crate::command::table::{Command, Group, cat, flag, key_at, kflag};
use crate::keyspace::entry::ValueRef;

/// Subcommands of OBJECT.
pub(super) const OBJECT: &[Command] = &[
    Command::data("ENCODING", 3, object_encoding)
        .doc(
            Group::Generic,
            "2.2.3",
            "O(1)",
            "Tell which internal encoding the value of a key uses.",
        )
        .syntax("key:key")
        .flags(flag::READONLY)
        .acl(cat::KEYSPACE)
        .keys(&[key_at(kflag::RO, 2)])
        .tips(&["nondeterministic_output"]),
    Command::data("FREQ", 3, object_freq)
        .doc(
            Group::Generic,
            "4.0.0",
            "O(1)",
            "Tell how often a key is used, by the logarithmic counter of the LFU policies.",
        )
        .syntax("key:key")
        .flags(flag::READONLY)
        .acl(cat::KEYSPACE)
        .keys(&[key_at(kflag::RO, 2)])
        .tips(&["nondeterministic_output"]),
    Command::data("HELP", 2, object_help)
        .doc(
            Group::Generic,
            "6.2.0",
            "O(1)",
            "List the subcommands of OBJECT.",
        )
        .flags(flag::LOADING | flag::STALE)
        .acl(cat::KEYSPACE),
    Command::data("IDLETIME", 3, object_idletime)
        .doc(
            Group::Generic,
            "2.2.3",
            "O(1)",
            "Tell for how many seconds a key has not been used.",
        )
        .syntax("key:key")
        .flags(flag::READONLY)
        .acl(cat::KEYSPACE)
        .keys(&[key_at(kflag::RO, 2)])
        .tips(&["nondeterministic_output"]),
    Command::data("REFCOUNT", 3, object_refcount)
        .doc(
            Group::Generic,
            "2.2.3",
            "O(1)",
            "Tell how many references the value of a key has.",
        )
        .syntax("key:key")
        .flags(flag::READONLY)
        .acl(cat::KEYSPACE)
        .keys(&[key_at(kflag::RO, 2)])
        .tips(&["nondeterministic_output"]),
];

/// Integers below this are one shared object each in Redis.
const SHARED_INTEGERS: std::ops::Range<i64> = 0..10_000;

/// The reference count that Redis gives to a shared object.
const SHARED_REFCOUNT: i64 = i32::MAX as i64;

fn object_encoding(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    match ctx.db.examine(key) {
        Some(entry) => ctx.reply.bulk(entry.value().encoding_name().as_bytes()),
        None => ctx.reply.null(),
    }
    REPLIED
}

fn object_freq(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let Some(clock) = ctx.db.examine(key).map(|entry| entry.clock()) else {
        ctx.reply.null();
        return REPLIED;
    };
    let now_ms = ctx.now_ms();
    let access = &ctx.db.keyspace().access;
    if !access.lfu {
        return Err(CmdError::err(
            "An LFU maxmemory policy is not selected, access frequency not tracked. Please note \
             that when switching between policies at runtime LRU and LFU data will take some \
             time to adjust.",
        ));
    }
    let frequency = access.frequency(clock, now_ms);
    ctx.reply.integer(i64::from(frequency));
    REPLIED
}

fn object_help(ctx: &mut Ctx) -> CmdResult {
    const LINES: [&str; 13] = [
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    Name the internal representation of the value that <key> holds.",
        "FREQ <key>",
        "    Tell how often <key> has been used lately, on a logarithmic scale from 0",
        "    to 255. Only under a maxmemory policy that counts uses (LFU).",
        "IDLETIME <key>",
        "    Tell for about how many seconds <key> has been neither read nor written.",
        "    Only under a maxmemory policy that does not count uses.",
        "REFCOUNT <key>",
        "    Tell how many references there are to the value that <key> holds.",
        "HELP",
        "    Prints this help.",
    ];
    ctx.reply.array(LINES.len());
    for line in LINES {
        ctx.reply.simple(line);
    }
    REPLIED
}

fn object_idletime(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let Some(clock) = ctx.db.examine(key).map(|entry| entry.clock()) else {
        ctx.reply.null();
        return REPLIED;
    };
    let now_ms = ctx.now_ms();
    let access = &ctx.db.keyspace().access;
    if access.lfu {
        return Err(CmdError::err(
            "An LFU maxmemory policy is selected, idle time not tracked. Please note that when \
             switching between policies at runtime LRU and LFU data will take some time to \
             adjust.",
        ));
    }
    let seconds = access.idle_seconds(clock, now_ms);
    ctx.reply.integer(i64::from(seconds));
    REPLIED
}

fn object_refcount(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    // Redis: eviction by access needs a clock for each key, so nothing is shared then.
    let policy = ctx.config.maxmemory_policy;
    let shares = ctx.config.maxmemory_bytes == 0 || !(policy.is_lru() || policy.is_lfu());
    match ctx.db.examine(key).map(|entry| entry.value()) {
        None => ctx.reply.null(),
        Some(ValueRef::Int(number)) if shares && SHARED_INTEGERS.contains(&number) => {
            ctx.reply.integer(SHARED_REFCOUNT);
        }
        Some(_) => ctx.reply.integer(1),
    }
    REPLIED
}
