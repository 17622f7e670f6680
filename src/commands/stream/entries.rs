//! Reading, deleting and counting entries.

use super::ids;
use crate::command::ctx::{CmdError, CmdResult, Ctx, REPLIED};
use crate::commands::items::bulk_item;
use crate::keyspace::event;
use crate::resp::Reply;
use crate::types::stream::Entry;
use crate::types::{Stream, StreamId};
use crate::util::num;

/// An ID as a bulk string.
pub(super) fn reply_id(reply: &mut Reply<'_>, id: StreamId) {
    reply.bulk(id.text().as_bytes());
}

/// An entry: its ID, its fields and values.
pub(super) fn reply_entry(reply: &mut Reply<'_>, entry: Entry<'_>) {
    reply.array(2);
    reply_id(reply, entry.id);
    reply.array(entry.len() * 2);
    for (field, value) in entry.pairs() {
        bulk_item(reply, field);
        bulk_item(reply, value);
    }
}

/// At most `max` entries as an array; none: all.
pub(super) fn reply_entries<'a>(
    reply: &mut Reply<'_>,
    entries: impl Iterator<Item = Entry<'a>>,
    max: Option<u64>,
) {
    let (array, mut count) = (reply.deferred(), 0);
    for entry in entries.take(max.map_or(usize::MAX, |max| max as usize)) {
        reply_entry(reply, entry);
        count += 1;
    }
    reply.end_array(array, count);
}

pub(super) fn xlen(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let stream = ctx.db.read::<Stream>(key)?;
    let len = stream.map_or(0, |stream| stream.log.len());
    ctx.reply.integer(len.cast_signed());
    REPLIED
}

pub(super) fn xrange(ctx: &mut Ctx) -> CmdResult {
    reply_range(ctx, false)
}

pub(super) fn xrevrange(ctx: &mut Ctx) -> CmdResult {
    reply_range(ctx, true)
}

fn reply_range(ctx: &mut Ctx, backward: bool) -> CmdResult {
    let key = ctx.args.key()?;
    let (first, second) = (ctx.args.bytes()?, ctx.args.bytes()?);
    let (start, end) = if backward {
        (second, first)
    } else {
        (first, second)
    };
    let (start, end) = (ids::start(start)?, ids::end(end)?);
    let mut max = None;
    while ctx.args.left() > 0 {
        if ctx.args.left() < 2 || !ctx.args.take_word("COUNT") {
            return Err(CmdError::Syntax);
        }
        max = Some(u64::try_from(ctx.args.int()?).unwrap_or(0));
    }
    let Some(stream) = ctx.db.read::<Stream>(key)? else {
        ctx.reply.array(0);
        return REPLIED;
    };
    match max {
        // Redis: not an empty one.
        Some(0) => ctx.reply.null_array(),
        _ if backward => {
            reply_entries(&mut ctx.reply, stream.log.range_back(start, end), max);
        }
        _ => reply_entries(&mut ctx.reply, stream.log.range(start, end), max),
    }
    REPLIED
}

/// The rest of the arguments as IDs.
pub(super) fn parse_ids(texts: &[&[u8]]) -> Result<Vec<StreamId>, CmdError> {
    texts.iter().map(|text| ids::strict(text)).collect()
}

pub(super) fn xdel(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let Some(mut stream) = ctx.db.edit_collection::<Stream>(key)? else {
        ctx.reply.integer(0);
        return REPLIED;
    };
    let ids = parse_ids(ctx.args.rest())?;
    let deleted = stream.log.delete(&ids);
    stream.changed_by(deleted, event::XDEL);
    ctx.reply.integer(deleted as i64);
    REPLIED
}

pub(super) fn xsetid(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let id = ids::strict(ctx.args.bytes()?)?;
    let (mut added, mut max_deleted) = (None, StreamId::MIN);
    while ctx.args.left() > 0 {
        let more = ctx.args.left() > 1;
        if more && ctx.args.take_word("ENTRIESADDED") {
            let number = u64::try_from(ctx.args.int()?);
            let error = |_| CmdError::err("entries_added must be positive");
            added = Some(number.map_err(error)?);
        } else if more && ctx.args.take_word("MAXDELETEDID") {
            max_deleted = ids::strict(ctx.args.bytes()?)?;
            if id < max_deleted {
                return Err(CmdError::err(
                    "The ID specified in XSETID is smaller than the provided \
                     max_deleted_entry_id",
                ));
            }
        } else {
            return Err(CmdError::Syntax);
        }
    }
    let stream = ctx.db.edit_collection::<Stream>(key)?;
    let mut stream = stream.ok_or(CmdError::NoSuchKey)?;
    let log = &stream.log;
    if log.last_entry_id().is_some_and(|last| id < last) {
        return Err(CmdError::err(
            "The ID specified in XSETID is smaller than the target stream top item",
        ));
    }
    if !log.is_empty() && added.is_some_and(|added| added < log.len()) {
        return Err(CmdError::err(
            "The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    let log = &mut stream.log;
    log.last_id = id;
    log.entries_added = added.unwrap_or(log.entries_added);
    if max_deleted != StreamId::MIN {
        log.max_deleted_id = max_deleted;
    }
    stream.count_further(1);
    stream.notify(event::XSETID);
    ctx.reply.ok();
    REPLIED
}

/// A count that a client gives, where a negative one is none.
pub(super) fn count_arg(text: &[u8]) -> Result<u64, CmdError> {
    let count = num::parse_i64(text).ok_or(CmdError::NotInteger)?;
    Ok(u64::try_from(count).unwrap_or(0))
}
