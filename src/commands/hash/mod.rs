//! Hash commands: <https://redis.io/docs/latest/commands/?group=hash>.

mod random;

use super::items::bulk_item;
use super::scan_options::{self, ScanOptions};
use crate::command::ctx::{CmdError, CmdResult, Ctx, REPLIED};
use crate::command::table::{Command, Group, cat, flag, key_at, kflag};
use crate::config::Config;
use crate::encoding::listpack::Item;
use crate::keyspace::event;
use crate::types::{Hash, HashLimits};
use crate::util::num::{self, LongDouble};
use random::hrandfield;

/// The commands of this group.
pub const COMMANDS: &[Command] = &[
    Command::data("HDEL", -3, hdel)
        .doc(
            Group::Hash,
            "2.0.0",
            "O(N) where N is the number of fields to be removed.",
            "Remove fields of a hash, and the hash with the last of them.",
        )
        .syntax("key:key field:string...")
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::HASH)
        .keys(&[key_at(kflag::RW | kflag::DELETE, 1)])
        .history(&[("2.4.0", "Accepts multiple `field` arguments.")]),
    Command::data("HEXISTS", 3, hexists)
        .doc(
            Group::Hash,
            "2.0.0",
            "O(1)",
            "Tell whether a hash has a field.",
        )
        .syntax("key:key field:string")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::HASH)
        .keys(&[key_at(kflag::RO, 1)]),
    Command::data("HGET", 3, hget)
        .doc(Group::Hash, "2.0.0", "O(1)", "Read the value of a field.")
        .syntax("key:key field:string")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::HASH)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)]),
    Command::data("HGETALL", 2, hgetall)
        .doc(
            Group::Hash,
            "2.0.0",
            "O(N) where N is the size of the hash.",
            "Read all fields of a hash with their values.",
        )
        .syntax("key:key")
        .flags(flag::READONLY)
        .acl(cat::HASH)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .tips(&["nondeterministic_output_order"]),
    Command::data("HINCRBY", 4, hincrby)
        .doc(
            Group::Hash,
            "2.0.0",
            "O(1)",
            "Add an integer to the number in a field, counting a missing field as 0.",
        )
        .syntax("key:key field:string increment:integer")
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .acl(cat::HASH)
        .keys(&[key_at(kflag::RW | kflag::ACCESS | kflag::UPDATE, 1)]),
    Command::data("HINCRBYFLOAT", 4, hincrbyfloat)
        .doc(
            Group::Hash,
            "2.6.0",
            "O(1)",
            "Add a decimal amount to the number in a field, counting a missing field as 0.",
        )
        .syntax("key:key field:string increment:double")
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .acl(cat::HASH)
        .keys(&[key_at(kflag::RW | kflag::ACCESS | kflag::UPDATE, 1)]),
    Command::data("HKEYS", 2, hkeys)
        .doc(
            Group::Hash,
            "2.0.0",
            "O(N) where N is the size of the hash.",
            "Read the names of all fields.",
        )
        .syntax("key:key")
        .flags(flag::READONLY)
        .acl(cat::HASH)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .tips(&["nondeterministic_output_order"]),
    Command::data("HLEN", 2, hlen)
        .doc(Group::Hash, "2.0.0", "O(1)", "Count the fields of a hash.")
        .syntax("key:key")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::HASH)
        .keys(&[key_at(kflag::RO, 1)]),
    Command::data("HMGET", -3, hmget)
        .doc(
            Group::Hash,
            "2.0.0",
            "O(N) where N is the number of fields being requested.",
            "Read the values of several fields.",
        )
        .syntax("key:key field:string...")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::HASH)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)]),
    Command::data("HMSET", -4, hmset)
        .doc(
            Group::Hash,
            "2.0.0",
            "O(N) where N is the number of fields being set.",
            "Set fields of a hash to values, under an older name.",
        )
        .syntax("key:key field_value:{field:string value:string}...")
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .acl(cat::HASH)
        .keys(&[key_at(kflag::RW | kflag::UPDATE, 1)])
        .deprecated("4.0.0", "`HSET` with multiple field-value pairs"),
    Command::data("HRANDFIELD", -2, hrandfield)
        .doc(
            Group::Hash,
            "6.2.0",
            "O(N) where N is the number of fields returned",
            "Pick one or more fields by chance, with their values if asked.",
        )
        .syntax("key:key [options:{count:integer [WITHVALUES]}]")
        .flags(flag::READONLY)
        .acl(cat::HASH)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .tips(&["nondeterministic_output"]),
    Command::data("HSCAN", -3, hscan)
        .doc(
            Group::Hash,
            "2.8.0",
            "O(1) for every call. O(N) for a complete iteration, including enough command \
             calls for the cursor to return back to 0. N is the number of elements inside the \
             collection..",
            "Go through the fields of a hash step by step.",
        )
        .syntax("key:key cursor:integer [MATCH pattern:pattern] [COUNT count:integer]")
        .flags(flag::READONLY)
        .acl(cat::HASH)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .tips(&["nondeterministic_output"]),
    Command::data("HSET", -4, hset)
        .doc(
            Group::Hash,
            "2.0.0",
            "O(1) for each field/value pair added, so O(N) to add N field/value pairs when \
             the command is called with multiple field/value pairs.",
            "Set fields of a hash to values, creating the hash when the key is missing.",
        )
        .syntax("key:key field_value:{field:string value:string}...")
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .acl(cat::HASH)
        .keys(&[key_at(kflag::RW | kflag::UPDATE, 1)])
        .history(&[("4.0.0", "Accepts multiple `field` and `value` arguments.")]),
    Command::data("HSETNX", 4, hsetnx)
        .doc(
            Group::Hash,
            "2.0.0",
            "O(1)",
            "Set a field that is missing, and leave an existing one alone.",
        )
        .syntax("key:key field:string value:string")
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .acl(cat::HASH)
        .keys(&[key_at(kflag::RW | kflag::INSERT, 1)]),
    Command::data("HSTRLEN", 3, hstrlen)
        .doc(
            Group::Hash,
            "3.2.0",
            "O(1)",
            "Count the bytes of the value of a field.",
        )
        .syntax("key:key field:string")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::HASH)
        .keys(&[key_at(kflag::RO, 1)]),
    Command::data("HVALS", 2, hvals)
        .doc(
            Group::Hash,
            "2.0.0",
            "O(N) where N is the size of the hash.",
            "Read the values of all fields.",
        )
        .syntax("key:key")
        .flags(flag::READONLY)
        .acl(cat::HASH)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .tips(&["nondeterministic_output_order"]),
];

pub(in crate::commands) fn limits(config: &Config) -> HashLimits {
    let entries = usize::try_from(config.hash_max_listpack_entries).unwrap_or(usize::MAX);
    let value_bytes = usize::try_from(config.hash_max_listpack_value_bytes).unwrap_or(usize::MAX);
    HashLimits {
        entries,
        value_bytes,
    }
}

fn hset(ctx: &mut Ctx) -> CmdResult {
    let created = set_fields(ctx)?;
    ctx.reply.integer(created as i64);
    REPLIED
}

fn hmset(ctx: &mut Ctx) -> CmdResult {
    set_fields(ctx)?;
    ctx.reply.ok();
    REPLIED
}

fn set_fields(ctx: &mut Ctx) -> Result<usize, CmdError> {
    let name = if ctx.args.argv()[0].len() == 4 {
        "hset"
    } else {
        "hmset"
    };
    let key = ctx.args.key()?;
    let pairs = ctx.args.rest();
    if !pairs.len().is_multiple_of(2) {
        return Err(CmdError::arity(name));
    }
    let limits = limits(ctx.config);
    let mut hash = ctx.db.edit_or_create::<Hash>(key)?;
    // Redis: one long argument, and the hash is not packed at all.
    hash.unpack_for(pairs, limits);
    let created = pairs
        .chunks_exact(2)
        .filter(|pair| hash.set(pair[0], pair[1], limits));
    let created = created.count();
    hash.changed(event::HSET);
    hash.count_further(pairs.len() / 2 - 1);
    Ok(created)
}

fn hsetnx(ctx: &mut Ctx) -> CmdResult {
    let (key, field, value) = (ctx.args.key()?, ctx.args.bytes()?, ctx.args.bytes()?);
    let limits = limits(ctx.config);
    let mut hash = ctx.db.edit_or_create::<Hash>(key)?;
    let missing = hash.view().get(field).is_none();
    if missing {
        hash.set(field, value, limits);
        hash.changed(event::HSET);
    }
    drop(hash);
    ctx.reply.integer(i64::from(missing));
    REPLIED
}

fn hget(ctx: &mut Ctx) -> CmdResult {
    let (key, field) = (ctx.args.key()?, ctx.args.bytes()?);
    let hash = ctx.db.read::<Hash>(key)?;
    match hash.and_then(|hash| hash.get(field)) {
        Some(value) => bulk_item(&mut ctx.reply, value),
        None => ctx.reply.null(),
    }
    REPLIED
}

fn hmget(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let hash = ctx.db.read::<Hash>(key)?;
    ctx.reply.array(ctx.args.left());
    for field in ctx.args.rest() {
        match hash.and_then(|hash| hash.get(field)) {
            Some(value) => bulk_item(&mut ctx.reply, value),
            None => ctx.reply.null(),
        }
    }
    REPLIED
}

fn hexists(ctx: &mut Ctx) -> CmdResult {
    let (key, field) = (ctx.args.key()?, ctx.args.bytes()?);
    let hash = ctx.db.read::<Hash>(key)?;
    let found = hash.is_some_and(|hash| hash.get(field).is_some());
    ctx.reply.integer(i64::from(found));
    REPLIED
}

fn hlen(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let len = ctx.db.read::<Hash>(key)?.map_or(0, |hash| hash.len());
    ctx.reply.integer(len as i64);
    REPLIED
}

fn hstrlen(ctx: &mut Ctx) -> CmdResult {
    let (key, field) = (ctx.args.key()?, ctx.args.bytes()?);
    let hash = ctx.db.read::<Hash>(key)?;
    let value = hash.and_then(|hash| hash.get(field));
    ctx.reply.integer(value.map_or(0, Item::len_of_text) as i64);
    REPLIED
}

fn hdel(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let fields = ctx.args.rest();
    let mut removed = 0;
    if let Some(mut hash) = ctx.db.edit_collection::<Hash>(key)? {
        removed = fields.iter().filter(|field| hash.remove(field)).count();
        hash.changed_by(removed, event::HDEL);
    }
    ctx.reply.integer(removed as i64);
    REPLIED
}

fn hgetall(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let Some(hash) = ctx.db.read::<Hash>(key)? else {
        ctx.reply.map(0);
        return REPLIED;
    };
    ctx.reply.map(hash.len());
    for (field, value) in hash.iter() {
        bulk_item(&mut ctx.reply, field);
        bulk_item(&mut ctx.reply, value);
    }
    REPLIED
}

fn hkeys(ctx: &mut Ctx) -> CmdResult {
    list(ctx, |(field, _)| field)
}

fn hvals(ctx: &mut Ctx) -> CmdResult {
    list(ctx, |(_, value)| value)
}

fn list(ctx: &mut Ctx, of: for<'a> fn((Item<'a>, Item<'a>)) -> Item<'a>) -> CmdResult {
    let key = ctx.args.key()?;
    let Some(hash) = ctx.db.read::<Hash>(key)? else {
        ctx.reply.array(0);
        return REPLIED;
    };
    ctx.reply.array(hash.len());
    for pair in hash.iter() {
        bulk_item(&mut ctx.reply, of(pair));
    }
    REPLIED
}

fn hincrby(ctx: &mut Ctx) -> CmdResult {
    let (key, field) = (ctx.args.key()?, ctx.args.bytes()?);
    let amount = ctx.args.int()?;
    let limits = limits(ctx.config);
    let mut hash = ctx.db.edit_or_create::<Hash>(key)?;
    let old = match hash.view().get(field) {
        None => 0,
        Some(Item::Int(number)) => number,
        Some(Item::Bytes(text)) => {
            let not_integer = || CmdError::err("hash value is not an integer");
            num::parse_i64(text).ok_or_else(not_integer)?
        }
    };
    let new = old.checked_add(amount).ok_or(CmdError::WouldOverflow)?;
    hash.set(field, itoa::Buffer::new().format(new).as_bytes(), limits);
    hash.changed(event::HINCRBY);
    drop(hash);
    ctx.reply.integer(new);
    REPLIED
}

fn hincrbyfloat(ctx: &mut Ctx) -> CmdResult {
    let (key, field) = (ctx.args.key()?, ctx.args.bytes()?);
    let amount = LongDouble::parse(ctx.args.bytes()?).ok_or(CmdError::NotFloat)?;
    if !amount.is_finite() {
        return Err(CmdError::err("value is NaN or Infinity"));
    }
    let limits = limits(ctx.config);
    let mut hash = ctx.db.edit_or_create::<Hash>(key)?;
    let old = match hash.view().get(field) {
        None => LongDouble::from_i64(0),
        Some(Item::Int(number)) => LongDouble::from_i64(number),
        Some(Item::Bytes(text)) => {
            LongDouble::parse(text).ok_or_else(|| CmdError::err("hash value is not a float"))?
        }
    };
    let sum = old
        .checked_add(amount)
        .ok_or_else(|| CmdError::err("increment would produce NaN or Infinity"))?;
    let text = sum.format();
    hash.set(field, text.as_bytes(), limits);
    hash.changed(event::HINCRBYFLOAT);
    drop(hash);
    ctx.reply.bulk(text.as_bytes());
    // Other machines may round and print another way.
    ctx.propagate_as(&[b"HSET", key, field, text.as_bytes()]);
    REPLIED
}

fn hscan(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let cursor = scan_options::cursor(ctx.args.bytes()?)?;
    let Some(hash) = ctx.db.read::<Hash>(key)? else {
        scan_options::reply_nothing(&mut ctx.reply);
        return REPLIED;
    };
    let options = ScanOptions::parse(&mut ctx.args)?;
    scan_options::reply_pairs(
        &mut ctx.reply,
        cursor,
        &options,
        |cursor, visit| hash.scan(cursor, visit),
        bulk_item,
    );
    REPLIED
}
