//! Popping members with the lowest or highest scores, and waiting for some.

use crate::command::ctx::{CmdError, CmdResult, Ctx, Done, REPLIED};
use crate::commands::items::bulk_item;
use crate::engine::{DeniedReply, Wait};
use crate::keyspace::event;
use crate::types::{Direction, Type, Zset};
use crate::util::num;

/// Which end is popped from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Min,
    Max,
}

/// How what was popped is replied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Members and scores, one after the other.
    Flat,
    /// Members with their scores as pairs.
    Pairs,
    /// The key, a member, its score.
    KeyAndMember,
    /// The key, then an array of pairs.
    KeyAndPairs,
}

pub(super) fn zpopmin(ctx: &mut Ctx) -> CmdResult {
    pop_from_key(ctx, End::Min)
}

pub(super) fn zpopmax(ctx: &mut Ctx) -> CmdResult {
    pop_from_key(ctx, End::Max)
}

fn pop_from_key(ctx: &mut Ctx, end: End) -> CmdResult {
    let key = ctx.args.key()?;
    let (count, form) = match ctx.args.next_arg() {
        None => (1, Form::Flat),
        Some(arg) => {
            ctx.args.end()?;
            let count = num::parse_i64(arg).and_then(|count| usize::try_from(count).ok());
            let form = if ctx.reply.is_resp3() {
                Form::Pairs
            } else {
                Form::Flat
            };
            (count.ok_or(CmdError::MustBePositive)?, form)
        }
    };
    if pop(ctx, key, end, count, form)?.is_none() {
        ctx.reply.array(0);
    }
    REPLIED
}

/// Pops from the sorted set at a key and replies; gives how many there were,
/// and replies nothing when there is no such key.
fn pop(
    ctx: &mut Ctx,
    key: &[u8],
    end: End,
    count: usize,
    form: Form,
) -> Result<Option<usize>, CmdError> {
    let Some(mut zset) = ctx.db.edit_collection::<Zset>(key)? else {
        return Ok(None);
    };
    let view = zset.view();
    let len = view.len();
    let count = count.min(len);
    if count == 0 {
        ctx.reply.array(0);
        return Ok(Some(0));
    }
    let (ranks, direction) = match end {
        End::Min => (0..count, Direction::Ascending),
        End::Max => (len - count..len, Direction::Descending),
    };
    match form {
        Form::Flat => ctx.reply.array(count * 2),
        Form::Pairs => ctx.reply.array(count),
        Form::KeyAndMember => {
            ctx.reply.array(3);
            ctx.reply.bulk(key);
        }
        Form::KeyAndPairs => {
            ctx.reply.array(2);
            ctx.reply.bulk(key);
            ctx.reply.array(count);
        }
    }
    let in_pairs = matches!(form, Form::Pairs | Form::KeyAndPairs);
    view.for_each(ranks.clone(), direction, |member, score| {
        if in_pairs {
            ctx.reply.array(2);
        }
        bulk_item(&mut ctx.reply, member);
        ctx.reply.double(score);
    });
    zset.remove_range(ranks);
    zset.changed_by(
        count,
        match end {
            End::Min => event::ZPOPMIN,
            End::Max => event::ZPOPMAX,
        },
    );
    Ok(Some(count))
}

pub(super) fn bzpopmin(ctx: &mut Ctx) -> CmdResult {
    wait_and_pop(ctx, End::Min)
}

pub(super) fn bzpopmax(ctx: &mut Ctx) -> CmdResult {
    wait_and_pop(ctx, End::Max)
}

fn wait_and_pop(ctx: &mut Ctx, end: End) -> CmdResult {
    let keys = ctx.args.take(ctx.args.left().saturating_sub(1))?;
    let until_ms = ctx.args.wait_until(ctx.db.now_ms())?;
    if pop_first(ctx, keys, end, 1, Form::KeyAndMember)? {
        return REPLIED;
    }
    Ok(wait(keys, until_ms))
}

fn wait(keys: &[&[u8]], until_ms: Option<i64>) -> Done {
    Done::Wait(Box::new(Wait {
        keys: keys.iter().map(|key| (*key).into()).collect(),
        kind: Type::Zset,
        until_ms,
        when_denied: DeniedReply::NullArray,
        resume_with: Vec::new(),
        wakes_on_loss: false,
        ran_ns: 0,
    }))
}

/// Pops from the first of the keys that has something, or from the one that
/// ended the wait; true when one had, which is then what replicas are told.
fn pop_first(
    ctx: &mut Ctx,
    keys: &[&[u8]],
    end: End,
    count: usize,
    form: Form,
) -> Result<bool, CmdError> {
    let woken_by = ctx.woken_by;
    let served = keys
        .iter()
        .filter(|key| woken_by.is_none_or(|woken| woken == **key));
    for key in served {
        let Some(popped) = pop(ctx, key, end, count, form)? else {
            continue;
        };
        let name: &[u8] = match end {
            End::Min => b"ZPOPMIN",
            End::Max => b"ZPOPMAX",
        };
        match form {
            Form::KeyAndPairs => {
                let mut digits = itoa::Buffer::new();
                ctx.propagate_as(&[name, key, digits.format(popped).as_bytes()]);
            }
            _ => ctx.propagate_as(&[name, key]),
        }
        return Ok(true);
    }
    Ok(false)
}

/// What ZMPOP is asked for.
struct PopQuery<'a> {
    keys: &'a [&'a [u8]],
    end: End,
    count: usize,
}

impl<'a> PopQuery<'a> {
    fn parse(ctx: &mut Ctx<'a>) -> Result<PopQuery<'a>, CmdError> {
        let positive = |arg: &[u8]| {
            let number = num::parse_i64(arg).filter(|number| *number > 0);
            number.map(|number| usize::try_from(number).unwrap_or(usize::MAX))
        };
        let numkeys = positive(ctx.args.bytes()?)
            .ok_or_else(|| CmdError::err("numkeys should be greater than 0"))?;
        let keys = ctx.args.take(numkeys)?;
        let end = if ctx.args.take_word("MIN") {
            End::Min
        } else if ctx.args.take_word("MAX") {
            End::Max
        } else {
            return Err(CmdError::Syntax);
        };
        let mut count = 1;
        if ctx.args.left() >= 2 && ctx.args.take_word("COUNT") {
            count = positive(ctx.args.bytes()?)
                .ok_or_else(|| CmdError::err("count should be greater than 0"))?;
        }
        ctx.args.end()?;
        Ok(PopQuery { keys, end, count })
    }
}

pub(super) fn zmpop(ctx: &mut Ctx) -> CmdResult {
    let query = PopQuery::parse(ctx)?;
    if !pop_first(ctx, query.keys, query.end, query.count, Form::KeyAndPairs)? {
        ctx.reply.null_array();
    }
    REPLIED
}

pub(super) fn bzmpop(ctx: &mut Ctx) -> CmdResult {
    let mut timeout = ctx.args.clone();
    ctx.args.bytes()?;
    // Redis: the timeout is looked at last.
    let query = PopQuery::parse(ctx)?;
    let until_ms = timeout.wait_until(ctx.db.now_ms())?;
    if pop_first(ctx, query.keys, query.end, query.count, Form::KeyAndPairs)? {
        return REPLIED;
    }
    Ok(wait(query.keys, until_ms))
}
