//! Strings as numbers: INCR and its kin.

use crate::command::ctx::{CmdError, CmdResult, Ctx, REPLIED};
use crate::keyspace::entry::NewValue;
use crate::keyspace::{Str, ValueKind, event};
use crate::types::StrRef;
use crate::util::num::LongDouble;

pub(super) fn incr(ctx: &mut Ctx) -> CmdResult {
    add(ctx, 1)
}

pub(super) fn decr(ctx: &mut Ctx) -> CmdResult {
    add(ctx, -1)
}

pub(super) fn incrby(ctx: &mut Ctx) -> CmdResult {
    let key_and_amount = ctx.args.rest();
    let amount = crate::util::num::parse_i64(key_and_amount[1]).ok_or(CmdError::NotInteger)?;
    add(ctx, amount)
}

pub(super) fn decrby(ctx: &mut Ctx) -> CmdResult {
    let key_and_amount = ctx.args.rest();
    let amount = crate::util::num::parse_i64(key_and_amount[1]).ok_or(CmdError::NotInteger)?;
    let amount = amount.checked_neg();
    add(
        ctx,
        amount.ok_or_else(|| CmdError::err("decrement would overflow"))?,
    )
}

fn add(ctx: &mut Ctx, amount: i64) -> CmdResult {
    let key = ctx.args.key()?;
    let mut edit = match ctx.db.edit(key) {
        None => {
            ctx.db
                .create(key, NewValue::Int(amount))
                .changed(event::INCRBY);
            ctx.reply.integer(amount);
            return REPLIED;
        }
        Some(edit) => edit,
    };
    let string = Str::of(edit.entry().value()).ok_or(CmdError::WrongType)?;
    let old = string.as_i64().ok_or(CmdError::NotInteger)?;
    let new = old.checked_add(amount).ok_or(CmdError::WouldOverflow)?;
    edit.replace_value(NewValue::Int(new));
    edit.changed(event::INCRBY);
    ctx.reply.integer(new);
    REPLIED
}

pub(super) fn incrbyfloat(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let amount = ctx.args.bytes()?;
    let old = match ctx.db.edit_as::<Str>(key)? {
        None => LongDouble::from_i64(0),
        Some(edit) => match Str::of(edit.entry().value()) {
            Some(StrRef::Int(number)) => LongDouble::from_i64(number),
            Some(string) => {
                let mut scratch = itoa::Buffer::new();
                LongDouble::parse(string.bytes(&mut scratch)).ok_or(CmdError::NotFloat)?
            }
            None => return Err(CmdError::WrongType),
        },
    };
    let amount = LongDouble::parse(amount).ok_or(CmdError::NotFloat)?;
    let sum = old
        .checked_add(amount)
        .ok_or_else(|| CmdError::err("increment would produce NaN or Infinity"))?;
    let text = sum.format();
    // Redis: the sum is stored as text, also when it is an integer.
    let value = super::text(text.as_bytes(), None);
    ctx.db
        .set(key, value, crate::keyspace::Ttl::Keep, event::INCRBYFLOAT);
    ctx.reply.bulk(text.as_bytes());
    ctx.propagate_as(&[b"SET", key, text.as_bytes(), b"KEEPTTL"]);
    REPLIED
}
