//! XREAD and XREADGROUP: what follows an ID, and waiting for it.

use super::entries::{count_arg, reply_entries, reply_entry, reply_id};
use super::journal::{Journal, id_arg};
use super::{ids, no_such_group};
use crate::command::ctx::{CmdError, CmdResult, Ctx, Done, REPLIED};
use crate::command::error::shown;
use crate::engine::{DeniedReply, Wait};
use crate::keyspace::event;
use crate::resp::Reply;
use crate::types::stream::{ConsumerId, Group, Log, Pending};
use crate::types::{Stream, StreamId, Type};
use crate::util::num;

/// Entries that who has waited is given at most, where no COUNT is said.
const WOKEN_COUNT: u64 = 1000;

/// The ID that stands for what nobody in the group was given yet. Redis: it
/// can be written as the greatest ID as well.
const NEW: StreamId = StreamId::MAX;

/// For whom something is read.
#[derive(Clone, Copy)]
struct Reader<'a> {
    group: &'a [u8],
    consumer: &'a [u8],
    no_ack: bool,
}

/// What XREAD and XREADGROUP are asked for.
struct Request<'a> {
    /// May wait until when, Unix milliseconds (none: for ever).
    block: Option<Option<i64>>,
    /// None: all.
    count: Option<u64>,
    reader: Option<Reader<'a>>,
    keys: &'a [&'a [u8]],
    ids: &'a [&'a [u8]],
}

fn only_of_groups(option: &str) -> CmdError {
    CmdError::err(format!(
        "The {option} option is only supported by XREADGROUP. You called XREAD instead."
    ))
}

impl<'a> Request<'a> {
    fn parse(ctx: &mut Ctx<'a>, groups: bool) -> Result<Request<'a>, CmdError> {
        let (now_ms, in_script, args) = (ctx.now_ms(), ctx.caller.from_script, &mut ctx.args);
        let (mut block, mut count, mut no_ack) = (None, None, false);
        let (mut group, mut streams) = (None, None);
        while let Some(word) = args.next_arg() {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let more = args.left();
            if is("BLOCK") && more > 0 {
                if in_script {
                    let mut text = shown(args.argv()[0], usize::MAX).to_vec();
                    text.extend_from_slice(
                        b" command is not allowed with BLOCK option from scripts",
                    );
                    return Err(CmdError::err(text));
                }
                block = Some(until(args.bytes()?, now_ms)?);
            } else if is("COUNT") && more > 0 {
                count = Some(count_arg(args.bytes()?)?).filter(|count| *count > 0);
            } else if is("STREAMS") && more > 0 {
                if more % 2 == 1 {
                    return Err(CmdError::err(
                        "Unbalanced XREAD list of streams: for each stream key an ID or '$' must \
                         be specified.",
                    ));
                }
                streams = Some((args.take(more / 2)?, args.take(more / 2)?));
            } else if is("GROUP") && more >= 2 {
                if !groups {
                    return Err(only_of_groups("GROUP"));
                }
                group = Some((args.bytes()?, args.bytes()?));
            } else if is("NOACK") {
                if !groups {
                    return Err(only_of_groups("NOACK"));
                }
                no_ack = true;
            } else {
                return Err(CmdError::Syntax);
            }
        }
        let (keys, ids) = streams.ok_or(CmdError::Syntax)?;
        if groups && group.is_none() {
            return Err(CmdError::err("Missing GROUP option for XREADGROUP"));
        }
        let reader = group.map(|(group, consumer)| Reader {
            group,
            consumer,
            no_ack,
        });
        Ok(Request {
            block,
            count,
            reader,
            keys,
            ids,
        })
    }
}

fn until(text: &[u8], now_ms: i64) -> Result<Option<i64>, CmdError> {
    let timeout_ms = num::parse_i64(text)
        .ok_or_else(|| CmdError::err("timeout is not an integer or out of range"))?;
    if timeout_ms < 0 {
        return Err(CmdError::err("timeout is negative"));
    }
    Ok((timeout_ms > 0).then(|| now_ms.saturating_add(timeout_ms)))
}

pub(super) fn xread(ctx: &mut Ctx) -> CmdResult {
    let request = Request::parse(ctx, false)?;
    if let Some(key) = ctx.woken_by {
        return read_woken(ctx, &request, key);
    }
    let after = { request.keys.iter().zip(request.ids) }
        .map(|(key, id)| read_after(ctx, key, id))
        .collect::<Result<Vec<_>, _>>()?;
    let (array, mut count) = (Map::begin(&mut ctx.reply), 0);
    for (key, after) in request.keys.iter().zip(&after) {
        let Some(stream) = ctx.db.read::<Stream>(key)? else {
            continue;
        };
        if { stream.log.last_entry_id() }.is_some_and(|last| last > *after) {
            count += 1;
            array.key(&mut ctx.reply, key);
            reply_after(&mut ctx.reply, &stream.log, *after, request.count);
        }
    }
    array.end(ctx, &request, count, &after)
}

/// The ID after which a stream is read.
fn read_after(ctx: &mut Ctx, key: &[u8], id: &[u8]) -> Result<StreamId, CmdError> {
    let stream = ctx.db.read::<Stream>(key)?;
    match id {
        b"$" => Ok(stream.map_or(StreamId::MIN, |stream| stream.log.last_id)),
        // Since 7.4: the last entry there is; where there is none, the next one.
        b"+" => Ok(stream.map_or(StreamId::MIN, |stream| {
            let last = stream.log.last_entry_id();
            last.map_or(stream.log.last_id, |last| last.prev().unwrap_or_default())
        })),
        b">" => Err(CmdError::err(
            "The > ID can be specified only when calling XREADGROUP using the GROUP <group> \
             <consumer> option.",
        )),
        id => ids::strict(id),
    }
}

fn reply_after(reply: &mut Reply<'_>, log: &Log, after: StreamId, count: Option<u64>) {
    match after.next() {
        Some(start) => reply_entries(reply, log.range(start, StreamId::MAX), count),
        None => reply.array(0),
    }
}

/// Serves a reader that has waited for entries of a stream.
fn read_woken(ctx: &mut Ctx, request: &Request<'_>, key: &[u8]) -> CmdResult {
    let index = request.keys.iter().position(|of| *of == key);
    let after = ids::strict(request.ids[index.unwrap_or(0)])?;
    let stream = ctx.db.view::<Stream>(key);
    let Some(stream) = stream.filter(|stream| stream.log.last_id > after) else {
        return Ok(wait(request, Vec::new()));
    };
    begin_single(&mut ctx.reply, key);
    let count = Some(request.count.unwrap_or(WOKEN_COUNT));
    reply_after(&mut ctx.reply, &stream.log, after, count);
    REPLIED
}

/// The head of a reply of one stream.
fn begin_single(reply: &mut Reply<'_>, key: &[u8]) {
    if reply.is_resp3() {
        reply.map(1);
    } else {
        reply.array(1);
        reply.array(2);
    }
    reply.bulk(key);
}

/// A reply of streams, of which there may be none.
struct Map(crate::resp::Deferred);

impl Map {
    fn begin(reply: &mut Reply<'_>) -> Map {
        Map(reply.deferred())
    }

    fn key(&self, reply: &mut Reply<'_>, key: &[u8]) {
        if !reply.is_resp3() {
            reply.array(2);
        }
        reply.bulk(key);
    }

    /// Ends it; if there is nothing, the client may have to wait.
    fn end(
        self,
        ctx: &mut Ctx,
        request: &Request<'_>,
        count: usize,
        after: &[StreamId],
    ) -> CmdResult {
        if count > 0 {
            if ctx.reply.is_resp3() {
                ctx.reply.end_map(self.0, count);
            } else {
                ctx.reply.end_array(self.0, count);
            }
            return REPLIED;
        }
        ctx.reply.drop_deferred(self.0);
        if request.block.is_none() {
            ctx.reply.null_array();
            return REPLIED;
        }
        // Redis: `$` is what it was at the beginning.
        let mut argv: Vec<Vec<u8>> = Vec::new();
        if request.reader.is_none() {
            argv = ctx.args.argv().iter().map(|arg| arg.to_vec()).collect();
            let first = argv.len() - after.len();
            for (arg, after) in argv[first..].iter_mut().zip(after) {
                *arg = id_arg(*after);
            }
        }
        Ok(wait(request, argv))
    }
}

fn wait(request: &Request<'_>, argv: Vec<Vec<u8>>) -> Done {
    Done::Wait(Box::new(Wait {
        keys: request.keys.iter().map(|key| (*key).into()).collect(),
        kind: Type::Stream,
        until_ms: request.block.flatten(),
        when_denied: DeniedReply::NullArray,
        resume_with: argv.into_iter().map(Into::into).collect(),
        wakes_on_loss: request.reader.is_some(),
        ran_ns: 0,
    }))
}

pub(super) fn xreadgroup(ctx: &mut Ctx) -> CmdResult {
    let request = Request::parse(ctx, true)?;
    let Some(reader) = request.reader else {
        return Err(CmdError::Syntax);
    };
    if let Some(key) = ctx.woken_by {
        return read_group_woken(ctx, &request, reader, key);
    }
    let after = { request.keys.iter().zip(request.ids) }
        .map(|(key, id)| group_after(ctx, key, reader.group, id))
        .collect::<Result<Vec<_>, _>>()?;
    let mut journal = Journal::new(ctx, b"", reader.group);
    let (array, mut count) = (Map::begin(&mut ctx.reply), 0);
    for (key, after) in request.keys.iter().zip(&after) {
        let Some(stream) = ctx.db.read::<Stream>(key)? else {
            continue;
        };
        let Some(group) = stream.groups.get(reader.group) else {
            continue;
        };
        let has_new = |last: StreamId| last > group.last_id;
        if *after == NEW && !stream.log.last_entry_id().is_some_and(has_new) {
            continue;
        }
        count += 1;
        array.key(&mut ctx.reply, key);
        journal.at(key);
        let history = Some(*after).filter(|after| *after != NEW);
        serve(ctx, &mut journal, (key, history, request.count), reader)?;
    }
    let result = array.end(ctx, &request, count, &after);
    journal.finish(ctx);
    result
}

/// After which ID a consumer reads: of what is pending for it, or [`NEW`].
fn group_after(ctx: &mut Ctx, key: &[u8], group: &[u8], id: &[u8]) -> Result<StreamId, CmdError> {
    let stream = ctx.db.read::<Stream>(key)?;
    if !stream.is_some_and(|stream| stream.groups.contains_key(group)) {
        let place = " in XREADGROUP with GROUP option";
        return Err(no_such_group(key, group, place));
    }
    match id {
        b"$" => Err(CmdError::err(
            "The $ ID is meaningless in the context of XREADGROUP: you want to read the history \
             of this consumer by specifying a proper ID, or use the > ID to get new messages. The \
             $ ID would just return an empty result set.",
        )),
        b">" => Ok(NEW),
        id => ids::strict(id),
    }
}

/// Serves a consumer that has waited, or tells it that it waits in vain.
fn read_group_woken(
    ctx: &mut Ctx,
    request: &Request<'_>,
    reader: Reader<'_>,
    key: &[u8],
) -> CmdResult {
    let Some(stream) = ctx.db.view::<Stream>(key) else {
        return Err(CmdError::coded(
            "UNBLOCKED",
            "the stream key no longer exists",
        ));
    };
    let Some(group) = stream.groups.get(reader.group) else {
        return Err(CmdError::coded(
            "NOGROUP",
            "the consumer group this client was blocked on no longer exists",
        ));
    };
    if stream.log.last_id <= group.last_id {
        return Ok(wait(request, Vec::new()));
    }
    let mut journal = Journal::new(ctx, b"", reader.group);
    journal.at(key);
    begin_single(&mut ctx.reply, key);
    let count = Some(request.count.unwrap_or(WOKEN_COUNT));
    serve(ctx, &mut journal, (key, None, count), reader)?;
    journal.finish(ctx);
    REPLIED
}

/// Replies with new entries for a consumer, or (`history`) with those pending
/// for it after an ID.
fn serve<'a>(
    ctx: &mut Ctx,
    journal: &mut Journal<'a>,
    (key, history, count): (&'a [u8], Option<StreamId>, Option<u64>),
    reader: Reader<'_>,
) -> Result<(), CmdError> {
    let now_ms = ctx.now_ms();
    let Some(mut edit) = ctx.db.edit_collection::<Stream>(key)? else {
        return Ok(());
    };
    let Stream { log, groups } = &mut *edit;
    let Some(group) = groups.get_mut(reader.group) else {
        return Ok(());
    };
    let mut created = false;
    let consumer = match group.find_consumer(reader.consumer) {
        Some(id) => {
            group.see(id, now_ms);
            id
        }
        None => {
            created = true;
            if reader.no_ack {
                journal.consumer_created(reader.consumer);
            }
            let id = group.create_consumer(reader.consumer, now_ms);
            id.expect("not there, as was just seen")
        }
    };
    let reply = &mut ctx.reply;
    match history {
        Some(after) => reply_pending(reply, log, group, consumer, (after, count, now_ms)),
        None if reader.no_ack => {
            reply_new(reply, log, group, count, |_, _| ());
            journal.advanced(group);
        }
        None => {
            let delivered = reply_new(reply, log, group, count, |group, id| {
                let pending = Pending {
                    delivered_ms: now_ms,
                    deliveries: 1,
                    consumer,
                };
                group.assign(id, pending);
                journal.claimed(group, &id_arg(id), pending);
            });
            if delivered > 0 {
                group.set_active(consumer, Some(now_ms));
            }
        }
    }
    if created {
        edit.notify(event::XGROUP_CREATECONSUMER);
    }
    edit.count_further(1 + usize::from(created));
    Ok(())
}

/// The entries that the group was not given yet; tells how many.
fn reply_new(
    reply: &mut Reply<'_>,
    log: &Log,
    group: &mut Group,
    count: Option<u64>,
    mut deliver: impl FnMut(&mut Group, StreamId),
) -> usize {
    let (array, mut replied) = (reply.deferred(), 0);
    let start = group.last_id.next().unwrap_or(StreamId::MAX);
    let max = count.map_or(usize::MAX, |count| count as usize);
    for entry in log.range(start, StreamId::MAX).take(max) {
        group.advance(log, entry.id);
        reply_entry(reply, entry);
        deliver(group, entry.id);
        replied += 1;
    }
    reply.end_array(array, replied);
    replied
}

/// What is pending for a consumer after an ID; that is one more delivery.
fn reply_pending(
    reply: &mut Reply<'_>,
    log: &Log,
    group: &mut Group,
    consumer: ConsumerId,
    (after, count, now_ms): (StreamId, Option<u64>, i64),
) {
    let (array, mut replied) = (reply.deferred(), 0);
    let max = count.map_or(usize::MAX, |count| count as usize);
    let mut next = after.next();
    while replied < max
        && let Some(start) = next
    {
        let pending = group.consumer(consumer).pending();
        let Some(id) = pending.iter_from(&start).next().map(|(id, _)| *id) else {
            break;
        };
        next = id.next();
        replied += 1;
        match log.get(id) {
            Some(entry) => {
                reply_entry(reply, entry);
                let pending = group.pending()[&id];
                let again = Pending {
                    delivered_ms: now_ms,
                    deliveries: pending.deliveries.wrapping_add(1),
                    ..pending
                };
                group.assign(id, again);
            }
            None => {
                reply.array(2);
                reply_id(reply, id);
                reply.null_array();
            }
        }
    }
    reply.end_array(array, replied);
}
