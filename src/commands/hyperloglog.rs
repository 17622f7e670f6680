//! HyperLogLog commands: <https://redis.io/docs/latest/commands/?group=hyperloglog>.
//!
//! HyperLogLogs are strings that anybody can also read and write as such.

use crate::command::ctx::{CmdError, CmdResult, Ctx, REPLIED};
use crate::command::error::shown;
use crate::command::table::{Command, Find, Group, cat, flag, key_at, keys_at, kflag};
use crate::encoding::hyperloglog::{
    Corrupt, Encoding, Hll, HllMut, REGISTERS, Union, empty, self_test,
};
use crate::keyspace::entry::NewValue;
use crate::keyspace::{DbRef, Edit, Str, ValueKind, event};
use crate::types::{Object, StrBuf, StrRef};

/// The commands of this group.
pub const COMMANDS: &[Command] = &[
    Command::data("PFADD", -2, pfadd)
        .doc(
            Group::HyperLogLog,
            "2.8.9",
            "O(1) to add every element.",
            "Add elements to a HyperLogLog, starting from an empty one when the key is missing.",
        )
        .syntax("key:key [element:string...]")
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .acl(cat::HYPERLOGLOG)
        .keys(&[key_at(kflag::RW | kflag::INSERT, 1)]),
    Command::data("PFCOUNT", -2, pfcount)
        .doc(
            Group::HyperLogLog,
            "2.8.9",
            "O(1) with a very small average constant time when called with a single key. O(N) \
             with N being the number of keys, and much bigger constant times, when called with \
             multiple keys.",
            "Estimate how many different elements were added to one or more HyperLogLogs.",
        )
        .syntax("key:key...")
        .flags(flag::READONLY | flag::MAY_REPLICATE)
        .acl(cat::HYPERLOGLOG)
        .keys(&[
            keys_at(kflag::RW | kflag::ACCESS, 1, Find::Range(-1, 1, 0)).notes(
                "RW because it may change the internal representation of the key, and propagate \
                 to replicas",
            ),
        ]),
    Command::data("PFDEBUG", 3, pfdebug)
        .doc(
            Group::HyperLogLog,
            "2.8.9",
            "N/A",
            "Look into a HyperLogLog: its registers, its encoding, its runs.",
        )
        .syntax("subcommand:string key:key")
        .flags(flag::WRITE | flag::DENYOOM | flag::ADMIN | flag::SYSCMD)
        .acl(cat::HYPERLOGLOG)
        .keys(&[key_at(kflag::RW | kflag::ACCESS, 2)]),
    Command::data("PFMERGE", -2, pfmerge)
        .doc(
            Group::HyperLogLog,
            "2.8.9",
            "O(N) to merge N HyperLogLogs, but with high constant times.",
            "Add all that was added to some HyperLogLogs to another one.",
        )
        .syntax("destkey:key sourcekey:key#1...")
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::HYPERLOGLOG)
        .keys(&[
            key_at(kflag::RW | kflag::ACCESS | kflag::INSERT, 1),
            keys_at(kflag::RO | kflag::ACCESS, 2, Find::Range(-1, 1, 0)),
        ]),
    Command::data("PFSELFTEST", 1, pfselftest)
        .doc(
            Group::HyperLogLog,
            "2.8.9",
            "N/A",
            "Check that registers keep their values and that estimates are close.",
        )
        .flags(flag::ADMIN | flag::SYSCMD)
        .acl(cat::HYPERLOGLOG),
];

fn not_one() -> CmdError {
    CmdError::coded("WRONGTYPE", "Key is not a valid HyperLogLog string value.")
}

impl From<Corrupt> for CmdError {
    fn from(_: Corrupt) -> CmdError {
        CmdError::coded("INVALIDOBJ", "Corrupted HLL object detected")
    }
}

fn sparse_bytes_max(ctx: &Ctx) -> usize {
    usize::try_from(ctx.config.hll_sparse_max_bytes).unwrap_or(usize::MAX)
}

/// The HyperLogLog that a string is. An integer is none, and its text too short.
fn hll<'a>(string: StrRef<'a>) -> Result<Hll<'a>, CmdError> {
    let bytes = match string {
        StrRef::Int(_) => b"",
        StrRef::Inline(bytes) => bytes,
        StrRef::Boxed(string) => string.as_slice(),
    };
    Hll::new(bytes).ok_or_else(not_one)
}

/// A HyperLogLog for writing, if there is one. Redis: it turns `raw`, whether
/// anything is written or not.
fn edit<'a>(db: &'a mut DbRef, key: &[u8]) -> Result<Option<Edit<'a>>, CmdError> {
    let Some(mut edit) = db.edit_as::<Str>(key)? else {
        return Ok(None);
    };
    view(&edit)?;
    edit.raw_string(|_| ());
    Ok(Some(edit))
}

fn view<'a>(edit: &'a Edit) -> Result<Hll<'a>, CmdError> {
    hll(Str::of(edit.entry().value()).ok_or(CmdError::WrongType)?)
}

/// Changes a HyperLogLog, or one that is to become the value of a key.
fn change<R>(
    bytes: &mut Vec<u8>,
    sparse_bytes_max: usize,
    change: impl FnOnce(&mut HllMut) -> R,
) -> Result<R, CmdError> {
    let mut hll = HllMut::new(bytes, sparse_bytes_max).ok_or_else(not_one)?;
    Ok(change(&mut hll))
}

fn raw(bytes: Vec<u8>) -> NewValue<'static> {
    NewValue::Boxed(Box::new(Object::String(StrBuf::Owned(bytes))))
}

fn pfadd(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let elements = ctx.args.rest();
    let bytes_max = sparse_bytes_max(ctx);
    let added = match edit(&mut ctx.db, key)? {
        Some(mut edit) => {
            let (added, outcome) =
                edit.raw_string(|bytes| change(bytes, bytes_max, |hll| add_all(hll, elements)))?;
            edit.changed_by(added, event::PFADD);
            outcome?;
            added
        }
        None => {
            let mut bytes = empty();
            let (added, outcome) = change(&mut bytes, bytes_max, |hll| {
                hll.invalidate();
                add_all(hll, elements)
            })?;
            outcome?;
            let mut edit = ctx.db.create(key, raw(bytes));
            edit.changed_by(added + 1, event::PFADD);
            added + 1
        }
    };
    ctx.reply.integer(i64::from(added > 0));
    REPLIED
}

/// Adds elements until one cannot be. Also gives the number of those that
/// made a difference.
fn add_all(hll: &mut HllMut, elements: &[&[u8]]) -> (usize, Result<(), Corrupt>) {
    let mut added = 0;
    for element in elements {
        match hll.add(element) {
            Ok(changed) => added += usize::from(changed),
            Err(corrupt) => return (added, Err(corrupt)),
        }
    }
    if added > 0 {
        hll.invalidate();
    }
    (added, Ok(()))
}

fn pfcount(ctx: &mut Ctx) -> CmdResult {
    let keys = ctx.args.rest();
    let count = match keys {
        [key] => count_one(ctx, key)?,
        _ => union(ctx, keys)?.count(),
    };
    ctx.reply.integer(count as i64);
    REPLIED
}

/// Estimates the elements of one, and keeps the estimate in it, which is a
/// change without an event.
fn count_one(ctx: &mut Ctx, key: &[u8]) -> Result<u64, CmdError> {
    let Some(string) = ctx.db.read::<Str>(key)? else {
        return Ok(0);
    };
    let found = hll(string)?;
    let cached = found.cached();
    if let (Some(count), StrRef::Boxed(_)) = (cached, string) {
        return Ok(count);
    }
    let count = found.count();
    let Some(mut edit) = edit(&mut ctx.db, key)? else {
        return Ok(0);
    };
    if let Some(count) = cached {
        return Ok(count);
    }
    let count = count?;
    edit.string_mut(|bytes| change(bytes, 0, |hll| hll.cache(count)))?;
    edit.changed_unnamed();
    Ok(count)
}

/// All elements of some; missing ones have none.
fn union(ctx: &mut Ctx, keys: &[&[u8]]) -> Result<Union, CmdError> {
    let mut union = Union::default();
    for key in keys {
        if let Some(string) = ctx.db.read::<Str>(key)? {
            union.add(hll(string)?)?;
        }
    }
    Ok(union)
}

fn pfmerge(ctx: &mut Ctx) -> CmdResult {
    let keys = ctx.args.rest();
    let bytes_max = sparse_bytes_max(ctx);
    // The destination's own elements stay.
    let union = union(ctx, keys)?;
    let destination = ctx.args.key()?;
    let mut edit = match edit(&mut ctx.db, destination)? {
        Some(mut edit) => {
            edit.string_mut(|bytes| change(bytes, bytes_max, |hll| hll.merge(&union)))??;
            edit
        }
        None => {
            let mut bytes = empty();
            change(&mut bytes, bytes_max, |hll| hll.merge(&union))??;
            ctx.db.create(destination, raw(bytes))
        }
    };
    edit.changed(event::PFADD);
    ctx.reply.ok();
    REPLIED
}

fn pfdebug(ctx: &mut Ctx) -> CmdResult {
    let subcommand = ctx.args.bytes()?;
    let key = ctx.args.key()?;
    let Some(mut edit) = edit(&mut ctx.db, key)? else {
        return Err(CmdError::err("The specified key does not exist"));
    };
    let is = |name: &str| subcommand.eq_ignore_ascii_case(name.as_bytes());
    if is("GETREG") {
        make_dense(&mut edit)?;
        ctx.reply.array(REGISTERS);
        for register in view(&edit)?.registers().into_iter().flatten() {
            ctx.reply.integer(i64::from(register));
        }
    } else if is("DECODE") {
        match view(&edit)?.runs() {
            Some(runs) => ctx.reply.bulk(runs.as_bytes()),
            None => return Err(CmdError::err("HLL encoding is not sparse")),
        }
    } else if is("ENCODING") {
        ctx.reply.simple(match view(&edit)?.encoding() {
            Encoding::Dense => "dense",
            Encoding::Sparse => "sparse",
        });
    } else if is("TODENSE") {
        let converted = make_dense(&mut edit)?;
        ctx.reply.integer(i64::from(converted));
    } else {
        let mut text = b"Unknown PFDEBUG subcommand '".to_vec();
        text.extend_from_slice(shown(subcommand, subcommand.len()));
        text.push(b'\'');
        return Err(CmdError::err(text));
    }
    REPLIED
}

/// Turns it dense, which is a change without an event; false when it was.
fn make_dense(edit: &mut Edit) -> Result<bool, CmdError> {
    let converted = edit.raw_string(|bytes| change(bytes, 0, |hll| hll.make_dense()))??;
    if converted {
        edit.reencoded();
    }
    Ok(converted)
}

fn pfselftest(ctx: &mut Ctx) -> CmdResult {
    let sparse_bytes_max = sparse_bytes_max(ctx);
    match self_test(ctx.rng, sparse_bytes_max) {
        Ok(()) => ctx.reply.ok(),
        Err(failure) => return Err(CmdError::err(format!("TESTFAILED {failure}"))),
    }
    REPLIED
}

#[cfg(test)]
mod tests {
    use crate::commands::generic::tests::World;

    #[test]
    fn writes_are_named_pfadd_or_not_at_all() {
        let w = &mut World::new();
        w.check("PFADD k a b", "0:new=k 0~k 0:pfadd=k", "verbatim", 3);
        w.check("PFADD k a b", "", "verbatim", 0);
        w.check("PFCOUNT k", "0~k", "verbatim", 1);
        w.check("PFCOUNT k", "", "verbatim", 0);
        w.check("PFCOUNT nosuch", "0:keymiss=nosuch", "verbatim", 0);
        let missed = "0:keymiss=d 0:new=d 0~d 0:pfadd=d";
        w.check("PFMERGE d k", missed, "verbatim", 1);
        w.check("PFMERGE d", "0~d 0:pfadd=d", "verbatim", 1);
        w.check("PFDEBUG DECODE d", "", "verbatim", 0);
        w.check("PFDEBUG TODENSE d", "", "verbatim", 1);
        w.check("PFDEBUG GETREG d", "", "verbatim", 0);
    }
}
