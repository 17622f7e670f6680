//! XCLAIM and XAUTOCLAIM: pending entries for another consumer.

use super::entries::{reply_entry, reply_id};
use super::journal::{Journal, id_arg};
use super::{ids, no_such_group};
use crate::command::ctx::{CmdError, CmdResult, Ctx, REPLIED};
use crate::command::error::shown;
use crate::keyspace::event;
use crate::resp::Reply;
use crate::types::stream::{ConsumerId, Entry, Group, Pending};
use crate::types::{Stream, StreamId};
use crate::util::num;

/// The arguments of XCLAIM from the consumer on.
struct Request<'a> {
    consumer: &'a [u8],
    min_idle_ms: i64,
    /// As they were written, too.
    ids: Vec<(StreamId, &'a [u8])>,
    force: bool,
    just_id: bool,
    /// Unix milliseconds; -1: not given.
    delivered_ms: i64,
    deliveries: Option<u64>,
    last_id: StreamId,
}

impl<'a> Request<'a> {
    fn parse(ctx: &mut Ctx<'a>) -> Result<Request<'a>, CmdError> {
        let now_ms = ctx.now_ms();
        let args = &mut ctx.args;
        let consumer = args.bytes()?;
        let number = |text: &[u8], what: &str| {
            let text = num::parse_i64(text);
            text.ok_or_else(|| CmdError::err(format!("Invalid {what} argument for XCLAIM")))
        };
        let min_idle_ms = number(args.bytes()?, "min-idle-time")?.max(0);
        let mut request = Request {
            consumer,
            min_idle_ms,
            ids: Vec::new(),
            force: false,
            just_id: false,
            delivered_ms: -1,
            deliveries: None,
            last_id: StreamId::MIN,
        };
        while let Some(text) = args.peek()
            && let Ok(id) = ids::strict(text)
        {
            request.ids.push((id, text));
            args.next_arg();
        }
        while let Some(word) = args.next_arg() {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let more = args.left() > 0;
            if is("FORCE") {
                request.force = true;
            } else if is("JUSTID") {
                request.just_id = true;
            } else if is("IDLE") && more {
                let idle_ms = number(args.bytes()?, "IDLE option")?;
                request.delivered_ms = now_ms.wrapping_sub(idle_ms);
            } else if is("TIME") && more {
                request.delivered_ms = number(args.bytes()?, "TIME option")?;
            } else if is("RETRYCOUNT") && more {
                let count = number(args.bytes()?, "RETRYCOUNT option")?;
                request.deliveries = u64::try_from(count).ok();
            } else if is("LASTID") && more {
                request.last_id = ids::strict(args.bytes()?)?;
            } else {
                let mut text = b"Unrecognized XCLAIM option '".to_vec();
                text.extend_from_slice(shown(word, usize::MAX));
                text.push(b'\'');
                return Err(CmdError::err(text));
            }
        }
        // Redis: clients' clocks may be ahead, which is no error.
        if !(0..=now_ms).contains(&request.delivered_ms) {
            request.delivered_ms = now_ms;
        }
        Ok(request)
    }
}

/// The consumer who claims, made when there is something for it.
struct Claimer<'a> {
    name: &'a [u8],
    id: Option<ConsumerId>,
    created: bool,
    now_ms: i64,
}

impl<'a> Claimer<'a> {
    fn new(name: &'a [u8], now_ms: i64) -> Claimer<'a> {
        Claimer {
            name,
            id: None,
            created: false,
            now_ms,
        }
    }

    /// The consumer, which is given something.
    fn of(&mut self, group: &mut Group) -> ConsumerId {
        if let Some(id) = self.id {
            return id;
        }
        let id = match group.find_consumer(self.name) {
            Some(id) => {
                group.see(id, self.now_ms);
                id
            }
            None => {
                self.created = true;
                let created = group.create_consumer(self.name, self.now_ms);
                created.expect("not there, as was just seen")
            }
        };
        group.set_active(id, Some(self.now_ms));
        self.id = Some(id);
        id
    }
}

fn reply_claimed(reply: &mut Reply<'_>, entry: Entry<'_>, just_id: bool) {
    if just_id {
        reply_id(reply, entry.id);
    } else {
        reply_entry(reply, entry);
    }
}

pub(super) fn xclaim(ctx: &mut Ctx) -> CmdResult {
    let (key, name) = (ctx.args.key()?, ctx.args.bytes()?);
    let stream = ctx.db.read::<Stream>(key)?;
    if !stream.is_some_and(|stream| stream.groups.contains_key(name)) {
        return Err(no_such_group(key, name, ""));
    }
    let request = Request::parse(ctx)?;
    let now_ms = ctx.now_ms();
    let mut journal = Journal::new(ctx, key, name);
    let Some(mut edit) = ctx.db.edit_collection::<Stream>(key)? else {
        return Err(no_such_group(key, name, ""));
    };
    let Stream { log, groups } = &mut *edit;
    let Some(group) = groups.get_mut(name) else {
        return Err(no_such_group(key, name, ""));
    };
    let mut moved = request.last_id > group.last_id;
    group.last_id = group.last_id.max(request.last_id);
    let mut claimer = Claimer::new(request.consumer, now_ms);
    let (array, mut count, mut changes) = (ctx.reply.deferred(), 0, 0);
    for (id, text) in &request.ids {
        let pending = group.pending().get(id).copied();
        let Some(entry) = log.get(*id) else {
            // The entry is gone, so it is pending no more.
            if let Some(pending) = pending {
                journal.claimed(group, text, pending);
                moved = false;
                changes += 1;
                group.acknowledge(*id);
            }
            continue;
        };
        let deliveries = match pending {
            None if !request.force => continue,
            None => 1,
            Some(pending) => {
                let idle_ms = now_ms.wrapping_sub(pending.delivered_ms);
                if request.min_idle_ms > 0 && idle_ms < request.min_idle_ms {
                    continue;
                }
                pending.deliveries
            }
        };
        let again = u64::from(!request.just_id);
        let claimed = Pending {
            delivered_ms: request.delivered_ms,
            deliveries: request.deliveries.unwrap_or(deliveries.wrapping_add(again)),
            consumer: claimer.of(group),
        };
        group.assign(*id, claimed);
        reply_claimed(&mut ctx.reply, entry, request.just_id);
        count += 1;
        journal.claimed(group, text, claimed);
        moved = false;
        changes += 1;
    }
    if moved {
        journal.advanced(group);
        changes += 1;
    }
    ctx.reply.end_array(array, count);
    if claimer.created {
        changes += 1;
        edit.notify(event::XGROUP_CREATECONSUMER);
    }
    edit.count_further(changes);
    drop(edit);
    journal.finish(ctx);
    REPLIED
}

/// Pending entries that are looked at for each that may be claimed.
const LOOKS_PER_CLAIM: u64 = 10;
const COUNT_DEFAULT: u64 = 100;
/// Redis: an ID takes so many bytes, and there are no more.
const COUNT_MAX: i64 = i64::MAX / 16;
/// Redis makes room for so many deleted IDs; from this number on there is none
/// on any machine. (Here, room is made as they come.)
const COUNT_TOO_HIGH: u64 = 1 << 43;

pub(super) fn xautoclaim(ctx: &mut Ctx) -> CmdResult {
    let (key, name, consumer) = (ctx.args.key()?, ctx.args.bytes()?, ctx.args.bytes()?);
    // Looked up first; errors in the arguments come before what is found.
    let found = ctx
        .db
        .read::<Stream>(key)
        .map(|stream| stream.is_some_and(|stream| stream.groups.contains_key(name)));
    let min_idle_ms = num::parse_i64(ctx.args.bytes()?)
        .ok_or_else(|| CmdError::err("Invalid min-idle-time argument for XAUTOCLAIM"))?;
    let start = ids::start(ctx.args.bytes()?)?;
    let (mut count, mut just_id) = (COUNT_DEFAULT, false);
    while ctx.args.left() > 0 {
        if ctx.args.left() > 1 && ctx.args.take_word("COUNT") {
            let number = num::parse_i64(ctx.args.bytes()?);
            let number = number.filter(|number| (1..=COUNT_MAX).contains(number));
            let number = number.ok_or_else(|| CmdError::err("COUNT must be > 0"))?;
            count = number.cast_unsigned();
        } else if ctx.args.take_word("JUSTID") {
            just_id = true;
        } else {
            return Err(CmdError::Syntax);
        }
    }
    if !found? {
        return Err(no_such_group(key, name, ""));
    }
    if count >= COUNT_TOO_HIGH {
        return Err(CmdError::err(
            "Insufficient memory, failed allocating transient memory, COUNT too high.",
        ));
    }
    let now_ms = ctx.now_ms();
    let mut journal = Journal::new(ctx, key, name);
    let Some(mut edit) = ctx.db.edit_collection::<Stream>(key)? else {
        return Err(no_such_group(key, name, ""));
    };
    let Stream { log, groups } = &mut *edit;
    let Some(group) = groups.get_mut(name) else {
        return Err(no_such_group(key, name, ""));
    };
    let mut claimer = Claimer::new(consumer, now_ms);
    ctx.reply.array(3);
    let (cursor, array) = (ctx.reply.deferred(), ctx.reply.deferred());
    let (mut claimed, mut changes, mut deleted) = (0, 0, Vec::new());
    let mut looks = count.saturating_mul(LOOKS_PER_CLAIM);
    let mut next = Some(start);
    while looks > 0 && count > 0 {
        looks -= 1;
        let found = next.and_then(|next| group.pending().iter_from(&next).next());
        let Some((id, pending)) = found.map(|(id, pending)| (*id, *pending)) else {
            next = None;
            break;
        };
        next = id.next();
        let Some(entry) = log.get(id) else {
            journal.claimed(group, &id_arg(id), pending);
            group.acknowledge(id);
            deleted.push(id);
            changes += 1;
            count -= 1;
            continue;
        };
        if min_idle_ms > 0 && now_ms.wrapping_sub(pending.delivered_ms) < min_idle_ms {
            continue;
        }
        let again = u64::from(!just_id);
        let given = Pending {
            delivered_ms: now_ms,
            deliveries: pending.deliveries.wrapping_add(again),
            consumer: claimer.of(group),
        };
        group.assign(id, given);
        reply_claimed(&mut ctx.reply, entry, just_id);
        claimed += 1;
        count -= 1;
        journal.claimed(group, &id_arg(id), given);
        changes += 1;
    }
    let next = next.and_then(|next| group.pending().iter_from(&next).next());
    let next = next.map_or(StreamId::MIN, |(id, _)| *id);
    ctx.reply.end_array(array, claimed);
    ctx.reply.end_bulk(cursor, next.text().as_bytes());
    ctx.reply.array(deleted.len());
    for id in deleted {
        reply_id(&mut ctx.reply, id);
    }
    if claimer.created {
        changes += 1;
        edit.notify(event::XGROUP_CREATECONSUMER);
    }
    edit.count_further(changes);
    drop(edit);
    journal.finish(ctx);
    REPLIED
}
