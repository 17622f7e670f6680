//! Taking elements out: LPOP, RPOP, LMPOP.

use super::{bulk_item, end_arg, pop_event, reply_range};
use crate::command::ctx::{Args, CmdError, CmdResult, Ctx, REPLIED};
use crate::resp::Reply;
use crate::types::{Collection, End, List};
use crate::util::num;

pub(super) fn lpop(ctx: &mut Ctx) -> CmdResult {
    pop(ctx, End::Left, "lpop")
}

pub(super) fn rpop(ctx: &mut Ctx) -> CmdResult {
    pop(ctx, End::Right, "rpop")
}

fn pop(ctx: &mut Ctx, end: End, name: &str) -> CmdResult {
    let key = ctx.args.key()?;
    if ctx.args.left() > 1 {
        return Err(CmdError::arity(name));
    }
    let Some(count) = ctx.args.next_arg() else {
        if !pop_one(ctx, key, end)? {
            ctx.reply.null();
        }
        return REPLIED;
    };
    let count = num::parse_i64(count).and_then(|count| usize::try_from(count).ok());
    let count = count.ok_or(CmdError::MustBePositive)?;
    let Some(mut list) = ctx.db.edit_collection::<List>(key)? else {
        ctx.reply.null_array();
        return REPLIED;
    };
    let count = count.min(list.len());
    take_range(&mut ctx.reply, &mut list, count, end);
    list.changed_by(count, pop_event(end));
    REPLIED
}

/// Replies with the element at an end and takes it out; false when there is
/// no list.
pub(super) fn pop_one(ctx: &mut Ctx, key: &[u8], end: End) -> Result<bool, CmdError> {
    let Some(mut list) = ctx.db.edit_collection::<List>(key)? else {
        return Ok(false);
    };
    let reply = &mut ctx.reply;
    list.pop(end, |item| bulk_item(reply, item));
    list.changed(pop_event(end));
    Ok(true)
}

/// Replies with `count` elements from an end on and takes them out.
fn take_range(reply: &mut Reply<'_>, list: &mut List, count: usize, end: End) {
    let len = list.len();
    match end {
        End::Left => {
            reply_range(reply, list.view(), 0, count, end);
            list.remove_range(0, count);
        }
        End::Right => {
            reply_range(reply, list.view(), len.saturating_sub(1), count, end);
            list.remove_range(len - count, count);
        }
    }
}

/// What LMPOP and BLMPOP are asked for.
pub(super) struct Request<'a> {
    pub keys: &'a [&'a [u8]],
    pub end: End,
    pub count: usize,
}

impl<'a> Request<'a> {
    /// The arguments from the number of keys on.
    pub(super) fn parse(args: &mut Args<'a>) -> Result<Request<'a>, CmdError> {
        let positive = |arg: &[u8], error: &str| {
            let number = num::parse_i64(arg).and_then(|number| usize::try_from(number).ok());
            let number = number.filter(|number| *number > 0);
            number.ok_or_else(|| CmdError::err(error))
        };
        let keys = positive(args.bytes()?, "numkeys should be greater than 0")?;
        let keys = args.take(keys)?;
        let end = end_arg(args)?;
        let mut count = None;
        while args.left() > 0 {
            if count.is_some() || !args.take_word("COUNT") {
                return Err(CmdError::Syntax);
            }
            count = Some(positive(args.bytes()?, "count should be greater than 0")?);
        }
        let count = count.unwrap_or(1);
        Ok(Request { keys, end, count })
    }
}

pub(super) fn lmpop(ctx: &mut Ctx) -> CmdResult {
    let request = Request::parse(&mut ctx.args)?;
    for key in request.keys {
        if pop_many(ctx, key, &request)? {
            return REPLIED;
        }
    }
    ctx.reply.null_array();
    REPLIED
}

/// Replies with a key and elements of its list and takes them out; false when
/// there is no list.
pub(super) fn pop_many(ctx: &mut Ctx, key: &[u8], request: &Request) -> Result<bool, CmdError> {
    let Some(mut list) = ctx.db.edit_collection::<List>(key)? else {
        return Ok(false);
    };
    let count = request.count.min(list.len());
    ctx.reply.array(2);
    ctx.reply.bulk(key);
    take_range(&mut ctx.reply, &mut list, count, request.end);
    list.changed_by(count, pop_event(request.end));
    drop(list);
    let count = itoa::Buffer::new().format(count).to_owned();
    ctx.propagate_as(&[pop_name(request.end), key, count.as_bytes()]);
    Ok(true)
}

/// The command that takes from an end.
pub(super) fn pop_name(end: End) -> &'static [u8] {
    match end {
        End::Left => b"LPOP",
        End::Right => b"RPOP",
    }
}
