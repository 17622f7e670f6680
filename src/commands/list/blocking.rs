//! Commands that wait for an element: BLPOP and its kin.

use super::end_arg;
use super::moves::{Move, move_one};
use super::pop::{Request, pop_many, pop_name, pop_one};
use crate::command::ctx::{CmdResult, Ctx, Done, REPLIED};
use crate::engine::{DeniedReply, Wait};
use crate::types::{End, List, Type};

fn wait(keys: &[&[u8]], until_ms: Option<i64>, when_denied: DeniedReply) -> CmdResult {
    Ok(Done::Wait(Box::new(Wait {
        keys: keys.iter().map(|key| Box::from(*key)).collect(),
        kind: Type::List,
        until_ms,
        when_denied,
        resume_with: Vec::new(),
        wakes_on_loss: false,
        ran_ns: 0,
    })))
}

/// The keys to look at: all, or the one that woke the command.
fn candidates<'a>(ctx: &Ctx<'a>, keys: &'a [&'a [u8]]) -> Vec<&'a [u8]> {
    match ctx.woken_by {
        Some(key) => vec![key],
        None => keys.to_vec(),
    }
}

pub(super) fn blpop(ctx: &mut Ctx) -> CmdResult {
    pop_or_wait(ctx, End::Left)
}

pub(super) fn brpop(ctx: &mut Ctx) -> CmdResult {
    pop_or_wait(ctx, End::Right)
}

fn pop_or_wait(ctx: &mut Ctx, end: End) -> CmdResult {
    let keys = ctx.args.take(ctx.args.left().saturating_sub(1))?;
    let until_ms = ctx.args.wait_until(ctx.db.now_ms())?;
    for key in candidates(ctx, keys) {
        if ctx.db.edit_collection::<List>(key)?.is_some() {
            ctx.reply.array(2);
            ctx.reply.bulk(key);
            pop_one(ctx, key, end)?;
            ctx.propagate_as(&[pop_name(end), key]);
            return REPLIED;
        }
    }
    wait(keys, until_ms, DeniedReply::NullArray)
}

pub(super) fn blmpop(ctx: &mut Ctx) -> CmdResult {
    // Redis: what is wrong with the timeout is told last.
    let mut timeout = ctx.args.clone();
    ctx.args.bytes()?;
    let request = Request::parse(&mut ctx.args)?;
    let until_ms = timeout.wait_until(ctx.now_ms())?;
    for key in candidates(ctx, request.keys) {
        if pop_many(ctx, key, &request)? {
            return REPLIED;
        }
    }
    wait(request.keys, until_ms, DeniedReply::NullArray)
}

pub(super) fn blmove(ctx: &mut Ctx) -> CmdResult {
    let (source, destination) = (ctx.args.key()?, ctx.args.key()?);
    let (from_word, to_word) = (ctx.args.rest()[0], ctx.args.rest()[1]);
    let (from, to) = (end_arg(&mut ctx.args)?, end_arg(&mut ctx.args)?);
    let until_ms = ctx.args.wait_until(ctx.db.now_ms())?;
    let asked = Move {
        source,
        destination,
        from,
        to,
    };
    if !move_one(ctx, &asked)? {
        return wait(&[source], until_ms, DeniedReply::Null);
    }
    // Redis: served later, the words are not those that the client sent.
    let (from_word, to_word) = match ctx.woken_by {
        Some(_) => (word_of(from), word_of(to)),
        None => (from_word, to_word),
    };
    ctx.propagate_as(&[b"LMOVE", source, destination, from_word, to_word]);
    REPLIED
}

fn word_of(end: End) -> &'static [u8] {
    match end {
        End::Left => b"left",
        End::Right => b"right",
    }
}

pub(super) fn brpoplpush(ctx: &mut Ctx) -> CmdResult {
    let (source, destination) = (ctx.args.key()?, ctx.args.key()?);
    let until_ms = ctx.args.wait_until(ctx.db.now_ms())?;
    let asked = Move {
        source,
        destination,
        from: End::Right,
        to: End::Left,
    };
    if !move_one(ctx, &asked)? {
        return wait(&[source], until_ms, DeniedReply::Null);
    }
    ctx.propagate_as(&[b"RPOPLPUSH", source, destination]);
    REPLIED
}
