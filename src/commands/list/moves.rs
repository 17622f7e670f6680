//! From one list to another: LMOVE, RPOPLPUSH.

use super::{end_arg, limits, pop_event, push_event};
use crate::command::ctx::{CmdError, CmdResult, Ctx, REPLIED};
use crate::encoding::listpack::Item;
use crate::types::{End, List};

/// What is moved where.
pub(super) struct Move<'a> {
    pub source: &'a [u8],
    pub destination: &'a [u8],
    pub from: End,
    pub to: End,
}

pub(super) fn lmove(ctx: &mut Ctx) -> CmdResult {
    let (source, destination) = (ctx.args.key()?, ctx.args.key()?);
    let (from, to) = (end_arg(&mut ctx.args)?, end_arg(&mut ctx.args)?);
    let asked = Move {
        source,
        destination,
        from,
        to,
    };
    if !move_one(ctx, &asked)? {
        ctx.reply.null();
    }
    REPLIED
}

pub(super) fn rpoplpush(ctx: &mut Ctx) -> CmdResult {
    let (source, destination) = (ctx.args.key()?, ctx.args.key()?);
    let asked = Move {
        source,
        destination,
        from: End::Right,
        to: End::Left,
    };
    if !move_one(ctx, &asked)? {
        ctx.reply.null();
    }
    REPLIED
}

/// Moves an element and replies with it; false when there is no list to take
/// it from.
pub(super) fn move_one(ctx: &mut Ctx, asked: &Move) -> Result<bool, CmdError> {
    let limits = limits(ctx.config);
    let Some(mut source) = ctx.db.edit_collection::<List>(asked.source)? else {
        return Ok(false);
    };
    if asked.source == asked.destination {
        let text = source.pop(asked.from, |item: Item<'_>| item.to_vec());
        let text = text.unwrap_or_default();
        source.push(asked.to, &text, &limits);
        source.changed(push_event(asked.to));
        source.notify(pop_event(asked.from));
        ctx.reply.bulk(&text);
        return Ok(true);
    }
    // The element is pushed first: that is the order of the events, and
    // nothing is lost where the destination is no list.
    let index = match asked.from {
        End::Left => 0,
        End::Right => source.len() - 1,
    };
    let text = source.view().get(index, |item: Item<'_>| item.to_vec());
    let text = text.unwrap_or_default();
    drop(source);
    let mut destination = ctx.db.edit_or_create::<List>(asked.destination)?;
    destination.push(asked.to, &text, &limits);
    destination.changed(push_event(asked.to));
    drop(destination);
    if let Some(mut source) = ctx.db.edit_collection::<List>(asked.source)? {
        source.pop(asked.from, |_| ());
        source.changed_too(pop_event(asked.from));
    }
    ctx.reply.bulk(&text);
    Ok(true)
}
