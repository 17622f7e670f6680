//! XACK and XPENDING.

use super::entries::{count_arg, parse_ids, reply_id};
use super::{ids, no_such_group};
use crate::command::ctx::{CmdError, CmdResult, Ctx, REPLIED};
use crate::resp::Reply;
use crate::types::stream::{ConsumerId, Group};
use crate::types::{Stream, StreamId};

pub(super) fn xack(ctx: &mut Ctx) -> CmdResult {
    let (key, name) = (ctx.args.key()?, ctx.args.bytes()?);
    let stream = ctx.db.read::<Stream>(key)?;
    if !stream.is_some_and(|stream| stream.groups.contains_key(name)) {
        ctx.reply.integer(0);
        return REPLIED;
    }
    let ids = parse_ids(ctx.args.rest())?;
    let mut acknowledged = 0;
    if let Some(mut stream) = ctx.db.edit_collection::<Stream>(key)? {
        if let Some(group) = stream.groups.get_mut(name) {
            acknowledged = { ids.iter() }
                .filter(|id| group.acknowledge(**id).is_some())
                .count();
        }
        stream.count_further(acknowledged);
    }
    ctx.reply.integer(acknowledged as i64);
    REPLIED
}

/// Which pending entries are asked for.
struct Filter<'a> {
    min_idle_ms: i64,
    start: StreamId,
    end: StreamId,
    count: u64,
    consumer: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    fn parse(mut args: &[&'a [u8]]) -> Result<Option<Filter<'a>>, CmdError> {
        if args.is_empty() {
            return Ok(None);
        }
        if !(3..=6).contains(&args.len()) {
            return Err(CmdError::Syntax);
        }
        let mut min_idle_ms = 0;
        if args[0].eq_ignore_ascii_case(b"IDLE") {
            min_idle_ms = crate::util::num::parse_i64(args[1]).ok_or(CmdError::NotInteger)?;
            args = &args[2..];
        }
        let (start, end, count, rest) = match *args {
            [start, end, count, ref rest @ ..] => (start, end, count, rest),
            _ => return Err(CmdError::Syntax),
        };
        let count = count_arg(count)?;
        Ok(Some(Filter {
            min_idle_ms,
            start: ids::start(start)?,
            end: ids::end(end)?,
            count,
            consumer: rest.first().copied(),
        }))
    }
}

pub(super) fn xpending(ctx: &mut Ctx) -> CmdResult {
    let (key, name) = (ctx.args.key()?, ctx.args.bytes()?);
    let filter = Filter::parse(ctx.args.rest())?;
    let now_ms = ctx.now_ms();
    let stream = ctx.db.read::<Stream>(key)?;
    let group = stream.and_then(|stream| stream.groups.get(name));
    let group = group.ok_or_else(|| no_such_group(key, name, ""))?;
    match filter {
        None => summary(&mut ctx.reply, group),
        Some(filter) => list(&mut ctx.reply, group, &filter, now_ms),
    }
    REPLIED
}

fn summary(reply: &mut Reply<'_>, group: &Group) {
    let pending = group.pending();
    reply.array(4);
    reply.integer(pending.len() as i64);
    let ends = pending.first().zip(pending.last());
    let Some(((first, _), (last, _))) = ends else {
        reply.null();
        reply.null();
        return reply.null_array();
    };
    reply_id(reply, *first);
    reply_id(reply, *last);
    let (array, mut count) = (reply.deferred(), 0);
    for (_, consumer) in group.consumers() {
        if consumer.pending().is_empty() {
            continue;
        }
        count += 1;
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_integer(consumer.pending().len() as i64);
    }
    reply.end_array(array, count);
}

fn list(reply: &mut Reply<'_>, group: &Group, filter: &Filter<'_>, now_ms: i64) {
    let consumer = match filter.consumer.map(|name| group.find_consumer(name)) {
        Some(None) => return reply.array(0),
        Some(Some(consumer)) => Some(consumer),
        None => None,
    };
    let (array, mut count) = (reply.deferred(), 0);
    for (id, pending) in pending_from(group, consumer, filter.start, filter.end) {
        if count as u64 >= filter.count {
            break;
        }
        let idle_ms = now_ms.wrapping_sub(pending.delivered_ms);
        if filter.min_idle_ms != 0 && idle_ms < filter.min_idle_ms {
            continue;
        }
        count += 1;
        reply.array(4);
        reply_id(reply, id);
        reply.bulk(group.consumer(pending.consumer).name());
        reply.integer(idle_ms.max(0));
        reply.integer(pending.deliveries.cast_signed());
    }
    reply.end_array(array, count);
}

/// What is pending, for one consumer or all.
fn pending_from(
    group: &Group,
    consumer: Option<ConsumerId>,
    start: StreamId,
    end: StreamId,
) -> impl Iterator<Item = (StreamId, crate::types::stream::Pending)> {
    let of_all = consumer
        .is_none()
        .then(|| group.pending().iter_from(&start));
    let of_all = of_all.into_iter().flatten();
    let of_all = of_all.map(|(id, pending)| (*id, *pending));
    let of_one = consumer.map(|id| group.consumer(id).pending().iter_from(&start));
    let of_one = of_one.into_iter().flatten();
    let of_one = of_one.map(|(id, _)| (*id, group.pending()[id]));
    of_all.chain(of_one).take_while(move |(id, _)| *id <= end)
}
