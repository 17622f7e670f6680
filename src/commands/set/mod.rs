//! Set commands: <https://redis.io/docs/latest/commands/?group=set>.

mod algebra;
mod random;
#[cfg(test)]
mod tests;

use super::items::bulk_item;
use super::scan_options::{self, ScanOptions};
use crate::command::ctx::{CmdResult, Ctx, REPLIED};
use crate::command::table::{Command, Find, Group, cat, flag, key_at, keys_at, kflag};
use crate::config::Config;
use crate::keyspace::{ValueKind, event};
use crate::types::{Set, SetLimits};
use algebra::{sdiff, sdiffstore, sinter, sintercard, sinterstore, sunion, sunionstore};
use random::{spop, srandmember};

/// The commands of this group.
pub const COMMANDS: &[Command] = &[
    Command::data("SADD", -3, sadd)
        .doc(
            Group::Set,
            "1.0.0",
            "O(1) for each element added, so O(N) to add N elements when the command is \
             called with multiple arguments.",
            "Put members into a set, creating the set when the key is missing.",
        )
        .syntax("key:key member:string...")
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .acl(cat::SET)
        .keys(&[key_at(kflag::RW | kflag::INSERT, 1)])
        .history(&[("2.4.0", "Accepts multiple `member` arguments.")]),
    Command::data("SCARD", 2, scard)
        .doc(Group::Set, "1.0.0", "O(1)", "Count the members of a set.")
        .syntax("key:key")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::SET)
        .keys(&[key_at(kflag::RO, 1)]),
    Command::data("SDIFF", -2, sdiff)
        .doc(
            Group::Set,
            "1.0.0",
            "O(N) where N is the total number of elements in all given sets.",
            "List the members of a set that none of the other sets has.",
        )
        .syntax("key:key...")
        .flags(flag::READONLY)
        .acl(cat::SET)
        .keys(&[keys_at(kflag::RO | kflag::ACCESS, 1, Find::Range(-1, 1, 0))])
        .tips(&["nondeterministic_output_order"]),
    Command::data("SDIFFSTORE", -3, sdiffstore)
        .doc(
            Group::Set,
            "1.0.0",
            "O(N) where N is the total number of elements in all given sets.",
            "Store the members of a set that none of the other sets has as a set of their own.",
        )
        .syntax("destination:key key:key#1...")
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::SET)
        .keys(&[
            key_at(kflag::OW | kflag::UPDATE, 1),
            keys_at(kflag::RO | kflag::ACCESS, 2, Find::Range(-1, 1, 0)),
        ]),
    Command::data("SINTER", -2, sinter)
        .doc(
            Group::Set,
            "1.0.0",
            "O(N*M) worst case where N is the cardinality of the smallest set and M is the \
             number of sets.",
            "List the members that all of several sets have.",
        )
        .syntax("key:key...")
        .flags(flag::READONLY)
        .acl(cat::SET)
        .keys(&[keys_at(kflag::RO | kflag::ACCESS, 1, Find::Range(-1, 1, 0))])
        .tips(&["nondeterministic_output_order"]),
    Command::data("SINTERCARD", -3, sintercard)
        .doc(
            Group::Set,
            "7.0.0",
            "O(N*M) worst case where N is the cardinality of the smallest set and M is the \
             number of sets.",
            "Count the members that all of several sets have, up to a limit.",
        )
        .syntax("numkeys:integer key:key... [LIMIT limit:integer]")
        .flags(flag::READONLY)
        .acl(cat::SET)
        .keys(&[keys_at(kflag::RO | kflag::ACCESS, 1, Find::KeyNum(0, 1, 1))]),
    Command::data("SINTERSTORE", -3, sinterstore)
        .doc(
            Group::Set,
            "1.0.0",
            "O(N*M) worst case where N is the cardinality of the smallest set and M is the \
             number of sets.",
            "Store the members that all of several sets have as a set of their own.",
        )
        .syntax("destination:key key:key#1...")
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::SET)
        .keys(&[
            key_at(kflag::RW | kflag::UPDATE, 1),
            keys_at(kflag::RO | kflag::ACCESS, 2, Find::Range(-1, 1, 0)),
        ]),
    Command::data("SISMEMBER", 3, sismember)
        .doc(
            Group::Set,
            "1.0.0",
            "O(1)",
            "Tell whether a set has a member.",
        )
        .syntax("key:key member:string")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::SET)
        .keys(&[key_at(kflag::RO, 1)]),
    Command::data("SMEMBERS", 2, smembers)
        .doc(
            Group::Set,
            "1.0.0",
            "O(N) where N is the set cardinality.",
            "List all members of a set.",
        )
        .syntax("key:key")
        .flags(flag::READONLY)
        .acl(cat::SET)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .tips(&["nondeterministic_output_order"]),
    Command::data("SMISMEMBER", -3, smismember)
        .doc(
            Group::Set,
            "6.2.0",
            "O(N) where N is the number of elements being checked for membership",
            "Tell of each of several members whether a set has it.",
        )
        .syntax("key:key member:string...")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::SET)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)]),
    Command::data("SMOVE", 4, smove)
        .doc(
            Group::Set,
            "1.0.0",
            "O(1)",
            "Take a member out of a set and put it into another.",
        )
        .syntax("source:key destination:key#1 member:string")
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::SET)
        .keys(&[
            key_at(kflag::RW | kflag::ACCESS | kflag::DELETE, 1),
            key_at(kflag::RW | kflag::INSERT, 2),
        ]),
    Command::data("SPOP", -2, spop)
        .doc(
            Group::Set,
            "1.0.0",
            "Without the count argument O(1), otherwise O(N) where N is the value of the \
             passed count.",
            "Take one or more members out of a set by chance.",
        )
        .syntax("key:key [count:integer@3.2.0]")
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::SET)
        .keys(&[key_at(kflag::RW | kflag::ACCESS | kflag::DELETE, 1)])
        .tips(&["nondeterministic_output"])
        .history(&[("3.2.0", "Added the `count` argument.")]),
    Command::data("SRANDMEMBER", -2, srandmember)
        .doc(
            Group::Set,
            "1.0.0",
            "Without the count argument O(1), otherwise O(N) where N is the absolute value \
             of the passed count.",
            "Pick one or more members of a set by chance and leave them in.",
        )
        .syntax("key:key [count:integer@2.6.0]")
        .flags(flag::READONLY)
        .acl(cat::SET)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .tips(&["nondeterministic_output"])
        .history(&[("2.6.0", "Added the optional `count` argument.")]),
    Command::data("SREM", -3, srem)
        .doc(
            Group::Set,
            "1.0.0",
            "O(N) where N is the number of members to be removed.",
            "Take members out of a set, and remove the set with the last of them.",
        )
        .syntax("key:key member:string...")
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::SET)
        .keys(&[key_at(kflag::RW | kflag::DELETE, 1)])
        .history(&[("2.4.0", "Accepts multiple `member` arguments.")]),
    Command::data("SSCAN", -3, sscan)
        .doc(
            Group::Set,
            "2.8.0",
            "O(1) for every call. O(N) for a complete iteration, including enough command \
             calls for the cursor to return back to 0. N is the number of elements inside the \
             collection..",
            "Go through the members of a set step by step.",
        )
        .syntax("key:key cursor:integer [MATCH pattern:pattern] [COUNT count:integer]")
        .flags(flag::READONLY)
        .acl(cat::SET)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .tips(&["nondeterministic_output"]),
    Command::data("SUNION", -2, sunion)
        .doc(
            Group::Set,
            "1.0.0",
            "O(N) where N is the total number of elements in all given sets.",
            "List the members that any of several sets has.",
        )
        .syntax("key:key...")
        .flags(flag::READONLY)
        .acl(cat::SET)
        .keys(&[keys_at(kflag::RO | kflag::ACCESS, 1, Find::Range(-1, 1, 0))])
        .tips(&["nondeterministic_output_order"]),
    Command::data("SUNIONSTORE", -3, sunionstore)
        .doc(
            Group::Set,
            "1.0.0",
            "O(N) where N is the total number of elements in all given sets.",
            "Store the members that any of several sets has as a set of their own.",
        )
        .syntax("destination:key key:key#1...")
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::SET)
        .keys(&[
            key_at(kflag::OW | kflag::UPDATE, 1),
            keys_at(kflag::RO | kflag::ACCESS, 2, Find::Range(-1, 1, 0)),
        ]),
];

pub(in crate::commands) fn limits(config: &Config) -> SetLimits {
    SetLimits::new(config.set_max_intset_entries)
}

fn sadd(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let members = ctx.args.rest();
    let limits = limits(ctx.config);
    let mut set = ctx.db.edit_or_create::<Set>(key)?;
    let added = set.insert_all(members, limits);
    match added {
        0 => set.unchanged(),
        added => set.changed_by(added, event::SADD),
    }
    drop(set);
    ctx.reply.integer(added as i64);
    REPLIED
}

fn scard(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let len = ctx.db.read::<Set>(key)?.map_or(0, |set| set.len());
    ctx.reply.integer(len as i64);
    REPLIED
}

fn sismember(ctx: &mut Ctx) -> CmdResult {
    let (key, member) = (ctx.args.key()?, ctx.args.bytes()?);
    let set = ctx.db.read::<Set>(key)?;
    let is_member = set.is_some_and(|set| set.contains(member));
    ctx.reply.integer(i64::from(is_member));
    REPLIED
}

fn smembers(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let Some(set) = ctx.db.read::<Set>(key)? else {
        ctx.reply.set(0);
        return REPLIED;
    };
    ctx.reply.set(set.len());
    set.iter()
        .for_each(|member| bulk_item(&mut ctx.reply, member));
    REPLIED
}

fn smismember(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let members = ctx.args.rest();
    let set = ctx.db.read::<Set>(key)?;
    ctx.reply.array(members.len());
    for member in members {
        let is_member = set.is_some_and(|set| set.contains(member));
        ctx.reply.integer(i64::from(is_member));
    }
    REPLIED
}

fn smove(ctx: &mut Ctx) -> CmdResult {
    let (from, to, member) = (ctx.args.key()?, ctx.args.key()?, ctx.args.bytes()?);
    let limits = limits(ctx.config);
    let Some(source) = ctx.db.edit_as::<Set>(from)? else {
        // Redis: then the destination may be of any type.
        ctx.reply.integer(0);
        return REPLIED;
    };
    let source = Set::of(source.entry().value());
    let is_member = source.is_some_and(|set| set.contains(member));
    ctx.db.edit_as::<Set>(to)?;
    if is_member && from != to {
        if let Some(mut source) = ctx.db.edit_collection::<Set>(from)? {
            source.remove(member);
            source.changed(event::SREM);
        }
        let mut destination = ctx.db.edit_or_create::<Set>(to)?;
        let added = destination.insert(member, limits);
        destination.changed_by(usize::from(added), event::SADD);
    }
    ctx.reply.integer(i64::from(is_member));
    REPLIED
}

fn srem(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let members = ctx.args.rest();
    let mut removed = 0;
    if let Some(mut set) = ctx.db.edit_collection::<Set>(key)? {
        removed = members.iter().filter(|member| set.remove(member)).count();
        match removed {
            0 => set.unchanged(),
            removed => set.changed_by(removed, event::SREM),
        }
    }
    ctx.reply.integer(removed as i64);
    REPLIED
}

fn sscan(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let cursor = scan_options::cursor(ctx.args.bytes()?)?;
    let Some(set) = ctx.db.read::<Set>(key)? else {
        scan_options::reply_nothing(&mut ctx.reply);
        return REPLIED;
    };
    let options = ScanOptions::parse(&mut ctx.args)?;
    scan_options::reply_items(&mut ctx.reply, cursor, &options, |cursor, visit| {
        set.scan(cursor, visit)
    });
    REPLIED
}
