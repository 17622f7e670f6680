//! Commands on keys of any type: <https://redis.io/docs/latest/commands/?group=generic>.

pub mod databases;
pub mod dump;
mod expire;
mod iterate;
pub mod migrate;
mod object;
pub mod sort;
#[cfg(test)]
pub(super) mod tests;

use crate::command::ctx::{CmdError, CmdResult, Ctx, REPLIED};
use crate::command::table::{Command, Find, Group, cat, flag, key_at, keys_at, kflag};
use crate::keyspace::{DbIndex, event};
use expire::{expire, expireat, expiretime, persist, pexpire, pexpireat, pexpiretime, pttl, ttl};
use iterate::{keys, randomkey, scan};
use object::OBJECT;

/// The commands of this group.
pub const COMMANDS: &[Command] = &[
    Command::data("COPY", -3, copy)
        .doc(
            Group::Generic,
            "6.2.0",
            "O(N) worst case for collections, where N is the number of nested items. O(1) for \
             string values.",
            "Duplicate the value and time to live of a key under another key.",
        )
        .syntax("source:key destination:key#1 [DB destination-db:integer] [REPLACE]")
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::KEYSPACE)
        .keys(&[
            key_at(kflag::RO | kflag::ACCESS, 1),
            key_at(kflag::OW | kflag::UPDATE, 2),
        ]),
    Command::data("DEL", -2, del)
        .doc(
            Group::Generic,
            "1.0.0",
            "O(N) where N is the number of keys that will be removed. When a key to remove \
             holds a value other than a string, the individual complexity for this key is O(M) \
             where M is the number of elements in the list, set, sorted set or hash. Removing a \
             single key that holds a string value is O(1).",
            "Remove keys with their values at once.",
        )
        .syntax("key:key...")
        .flags(flag::WRITE)
        .acl(cat::KEYSPACE)
        .keys(&[keys_at(kflag::RM | kflag::DELETE, 1, Find::Range(-1, 1, 0))])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    Command::data("EXISTS", -2, exists)
        .doc(
            Group::Generic,
            "1.0.0",
            "O(N) where N is the number of keys to check.",
            "Count how many of the given keys exist, repeated ones as often as given.",
        )
        .syntax("key:key...")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::KEYSPACE)
        .keys(&[keys_at(kflag::RO, 1, Find::Range(-1, 1, 0))])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .history(&[("3.0.3", "Accepts multiple `key` arguments.")]),
    Command::data("EXPIRE", -3, expire)
        .doc(
            Group::Generic,
            "1.0.0",
            "O(1)",
            "Give a key a time to live in seconds.",
        )
        .syntax("key:key seconds:integer [condition:(NX | XX | GT | LT)@7.0.0]")
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::KEYSPACE)
        .keys(&[key_at(kflag::RW | kflag::UPDATE, 1)])
        .history(&[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")]),
    Command::data("EXPIREAT", -3, expireat)
        .doc(
            Group::Generic,
            "1.2.0",
            "O(1)",
            "Give a key an expiry moment as a Unix time in seconds.",
        )
        .syntax("key:key unix-time-seconds:unix-time [condition:(NX | XX | GT | LT)@7.0.0]")
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::KEYSPACE)
        .keys(&[key_at(kflag::RW | kflag::UPDATE, 1)])
        .history(&[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")]),
    Command::data("EXPIRETIME", 2, expiretime)
        .doc(
            Group::Generic,
            "7.0.0",
            "O(1)",
            "Tell at which Unix time in seconds a key expires.",
        )
        .syntax("key:key")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::KEYSPACE)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)]),
    Command::data("KEYS", 2, keys)
        .doc(
            Group::Generic,
            "1.0.0",
            "O(N) with N being the number of keys in the database, under the assumption that \
             the key names in the database and the given pattern have limited length.",
            "List every key name that matches a pattern.",
        )
        .syntax("pattern:pattern")
        .flags(flag::READONLY)
        .acl(cat::KEYSPACE | cat::DANGEROUS)
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"]),
    Command::data("MOVE", 3, move_)
        .doc(
            Group::Generic,
            "1.0.0",
            "O(1)",
            "Take a key out of the current database and put it into another.",
        )
        .syntax("key:key db:integer")
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::KEYSPACE)
        .keys(&[key_at(kflag::RW | kflag::ACCESS | kflag::UPDATE, 1)]),
    Command::container("OBJECT", -2, OBJECT).doc(
        Group::Generic,
        "2.2.3",
        "Depends on subcommand.",
        "Look into how the value of a key is stored.",
    ),
    Command::data("PERSIST", 2, persist)
        .doc(
            Group::Generic,
            "2.2.0",
            "O(1)",
            "Take the time to live off a key, so that it stays.",
        )
        .syntax("key:key")
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::KEYSPACE)
        .keys(&[key_at(kflag::RW | kflag::UPDATE, 1)]),
    Command::data("PEXPIRE", -3, pexpire)
        .doc(
            Group::Generic,
            "2.6.0",
            "O(1)",
            "Give a key a time to live in milliseconds.",
        )
        .syntax("key:key milliseconds:integer [condition:(NX | XX | GT | LT)@7.0.0]")
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::KEYSPACE)
        .keys(&[key_at(kflag::RW | kflag::UPDATE, 1)])
        .history(&[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")]),
    Command::data("PEXPIREAT", -3, pexpireat)
        .doc(
            Group::Generic,
            "2.6.0",
            "O(1)",
            "Give a key an expiry moment as a Unix time in milliseconds.",
        )
        .syntax("key:key unix-time-milliseconds:unix-time [condition:(NX | XX | GT | LT)@7.0.0]")
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::KEYSPACE)
        .keys(&[key_at(kflag::RW | kflag::UPDATE, 1)])
        .history(&[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")]),
    Command::data("PEXPIRETIME", 2, pexpiretime)
        .doc(
            Group::Generic,
            "7.0.0",
            "O(1)",
            "Tell at which Unix time in milliseconds a key expires.",
        )
        .syntax("key:key")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::KEYSPACE)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)]),
    Command::data("PTTL", 2, pttl)
        .doc(
            Group::Generic,
            "2.6.0",
            "O(1)",
            "Tell how many milliseconds a key has left to live.",
        )
        .syntax("key:key")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::KEYSPACE)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .tips(&["nondeterministic_output"])
        .history(&[("2.8.0", "Added the -2 reply.")]),
    Command::data("RANDOMKEY", 1, randomkey)
        .doc(
            Group::Generic,
            "1.0.0",
            "O(1)",
            "Pick one key name of the current database at random.",
        )
        .flags(flag::READONLY | flag::TOUCHES_ARBITRARY_KEYS)
        .acl(cat::KEYSPACE)
        .tips(&["request_policy:all_shards", "nondeterministic_output"]),
    Command::data("RENAME", 3, rename)
        .doc(
            Group::Generic,
            "1.0.0",
            "O(1)",
            "Give a key a new name, replacing a key that has it already.",
        )
        .syntax("key:key newkey:key#1")
        .flags(flag::WRITE)
        .acl(cat::KEYSPACE)
        .keys(&[
            key_at(kflag::RW | kflag::ACCESS | kflag::DELETE, 1),
            key_at(kflag::OW | kflag::UPDATE, 2),
        ]),
    Command::data("RENAMENX", 3, renamenx)
        .doc(
            Group::Generic,
            "1.0.0",
            "O(1)",
            "Give a key a new name, unless another key has it already.",
        )
        .syntax("key:key newkey:key#1")
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::KEYSPACE)
        .keys(&[
            key_at(kflag::RW | kflag::ACCESS | kflag::DELETE, 1),
            key_at(kflag::OW | kflag::INSERT, 2),
        ])
        .history(&[(
            "3.2.0",
            "The command no longer returns an error when source and destination names are \
                 the same.",
        )]),
    Command::data("SCAN", -2, scan)
        .doc(
            Group::Generic,
            "2.8.0",
            "O(1) for every call. O(N) for a complete iteration, including enough command calls \
             for the cursor to return back to 0. N is the number of elements inside the \
             collection.",
            "Walk through the key names of the current database step by step.",
        )
        .syntax(
            "cursor:integer [MATCH pattern:pattern] [COUNT count:integer] [TYPE \
             type:string@6.0.0]",
        )
        .flags(flag::READONLY | flag::TOUCHES_ARBITRARY_KEYS)
        .acl(cat::KEYSPACE)
        .tips(&["nondeterministic_output", "request_policy:special"])
        .history(&[("6.0.0", "Added the `TYPE` subcommand.")]),
    Command::data("TOUCH", -2, touch)
        .doc(
            Group::Generic,
            "3.2.1",
            "O(N) where N is the number of keys that will be touched.",
            "Mark keys as just used and count those that exist.",
        )
        .syntax("key:key...")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::KEYSPACE)
        .keys(&[keys_at(kflag::RO, 1, Find::Range(-1, 1, 0))])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    Command::data("TTL", 2, ttl)
        .doc(
            Group::Generic,
            "1.0.0",
            "O(1)",
            "Tell how many seconds a key has left to live.",
        )
        .syntax("key:key")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::KEYSPACE)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .tips(&["nondeterministic_output"])
        .history(&[("2.8.0", "Added the -2 reply.")]),
    Command::data("TYPE", 2, type_)
        .doc(
            Group::Generic,
            "1.0.0",
            "O(1)",
            "Tell which type of value a key holds.",
        )
        .syntax("key:key")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::KEYSPACE)
        .keys(&[key_at(kflag::RO, 1)]),
    Command::data("UNLINK", -2, unlink)
        .doc(
            Group::Generic,
            "4.0.0",
            "O(1) for each key removed regardless of its size. Then the command does O(N) work \
             in a different thread in order to reclaim memory, where N is the number of \
             allocations the deleted objects where composed of.",
            "Remove keys at once and free the memory of their values in the background.",
        )
        .syntax("key:key...")
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::KEYSPACE)
        .keys(&[keys_at(kflag::RM | kflag::DELETE, 1, Find::Range(-1, 1, 0))])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
];

/// The database that an argument names.
///
/// # Errors
/// Not an integer of 32 bits, or no such database.
fn database(ctx: &mut Ctx) -> Result<DbIndex, CmdError> {
    let number = ctx.args.int()?;
    if i32::try_from(number).is_err() {
        return Err(CmdError::err(format!(
            "value is out of range, value must between {} and {}",
            i32::MIN,
            i32::MAX
        )));
    }
    let index = ctx.db.keyspace().index(number);
    index.ok_or(CmdError::DbOutOfRange)
}

/// The options of COPY.
struct CopyOptions {
    to_db: DbIndex,
    replace: bool,
}

impl CopyOptions {
    fn parse(ctx: &mut Ctx) -> Result<CopyOptions, CmdError> {
        let mut options = CopyOptions {
            to_db: ctx.db.index(),
            replace: false,
        };
        while ctx.args.left() > 0 {
            if ctx.args.take_word("REPLACE") {
                options.replace = true;
            } else if ctx.args.left() > 1 && ctx.args.take_word("DB") {
                options.to_db = database(ctx)?;
            } else {
                return Err(CmdError::Syntax);
            }
        }
        Ok(options)
    }
}

fn copy(ctx: &mut Ctx) -> CmdResult {
    let (from, to) = (ctx.args.key()?, ctx.args.key()?);
    let options = CopyOptions::parse(ctx)?;
    if from == to && options.to_db == ctx.db.index() {
        return Err(CmdError::SameObject);
    }
    let Some(value) = ctx.db.copy_value(from) else {
        ctx.reply.integer(0);
        return REPLIED;
    };
    let mut target = ctx.db.other(options.to_db);
    let taken = target.edit(to).is_some();
    if taken && options.replace {
        target.discard(to);
    }
    let copied = !taken || options.replace;
    if copied {
        target.put_value(to, value).changed(event::COPY_TO);
    }
    ctx.reply.integer(i64::from(copied));
    REPLIED
}

fn del(ctx: &mut Ctx) -> CmdResult {
    let mut removed = 0;
    while let Some(key) = ctx.args.next_arg() {
        removed += i64::from(ctx.db.remove(key, event::DEL));
    }
    ctx.reply.integer(removed);
    REPLIED
}

fn exists(ctx: &mut Ctx) -> CmdResult {
    let mut found = 0;
    while let Some(key) = ctx.args.next_arg() {
        found += i64::from(ctx.db.look(key).is_some());
    }
    ctx.reply.integer(found);
    REPLIED
}

fn move_(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let to_db = database(ctx)?;
    if to_db == ctx.db.index() {
        return Err(CmdError::SameObject);
    }
    let moved = ctx.db.edit(key).is_some() && ctx.db.other(to_db).edit(key).is_none();
    if moved && let Some(value) = ctx.db.take_value(key) {
        ctx.db.other(to_db).put_value(key, value);
        ctx.db.notify(event::MOVE_FROM, key);
        ctx.db.other(to_db).moved(event::MOVE_TO, key);
    }
    ctx.reply.integer(i64::from(moved));
    REPLIED
}

fn rename(ctx: &mut Ctx) -> CmdResult {
    let (from, to) = (ctx.args.key()?, ctx.args.key()?);
    if ctx.db.edit(from).is_none() {
        return Err(CmdError::NoSuchKey);
    }
    if from != to {
        if ctx.db.edit(to).is_some() {
            ctx.db.discard(to);
        }
        give_name(ctx, from, to);
    }
    ctx.reply.ok();
    REPLIED
}

fn renamenx(ctx: &mut Ctx) -> CmdResult {
    let (from, to) = (ctx.args.key()?, ctx.args.key()?);
    if ctx.db.edit(from).is_none() {
        return Err(CmdError::NoSuchKey);
    }
    let free = from != to && ctx.db.edit(to).is_none();
    if free {
        give_name(ctx, from, to);
    }
    ctx.reply.integer(i64::from(free));
    REPLIED
}

/// Moves the value of a key to a name that is free.
fn give_name(ctx: &mut Ctx, from: &[u8], to: &[u8]) {
    if let Some(value) = ctx.db.take_value(from) {
        ctx.db.put_value(to, value);
        ctx.db.notify(event::RENAME_FROM, from);
        ctx.db.moved(event::RENAME_TO, to);
    }
}

fn touch(ctx: &mut Ctx) -> CmdResult {
    let mut touched = 0;
    while let Some(key) = ctx.args.next_arg() {
        touched += i64::from(ctx.db.touch(key));
    }
    ctx.reply.integer(touched);
    REPLIED
}

fn type_(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let name = ctx
        .db
        .look(key)
        .map_or("none", |entry| entry.value_type().name());
    ctx.reply.simple(name);
    REPLIED
}

/// What takes long to free is freed in the background by DEL too.
fn unlink(ctx: &mut Ctx) -> CmdResult {
    del(ctx)
}
