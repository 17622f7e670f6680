//! List commands: <https://redis.io/docs/latest/commands/?group=list>.

mod blocking;
mod moves;
mod pop;
mod position;

use super::items::bulk_item;
use crate::command::ctx::{Args, CmdError, CmdResult, Ctx, REPLIED};
use crate::command::table::{Command, Find, Group, cat, flag, key_at, keys_at, kflag};
use crate::config::Config;
use crate::keyspace::{CollectionEdit, Event, event};
use crate::resp::Reply;
use crate::types::{End, List, ListLimits, ListRef, Side, list_limits};
use blocking::{blmove, blmpop, blpop, brpop, brpoplpush};
use moves::{lmove, rpoplpush};
use pop::{lmpop, lpop, rpop};
use position::lpos;

/// The commands of this group.
pub const COMMANDS: &[Command] = &[
    Command::data("BLMOVE", 6, blmove)
        .doc(
            Group::List,
            "6.2.0",
            "O(1)",
            "Move an element from one list to another, waiting until there is one.",
        )
        .syntax(
            "source:key destination:key#1 wherefrom:(LEFT | RIGHT) whereto:(LEFT | RIGHT) \
             timeout:double",
        )
        .flags(flag::WRITE | flag::DENYOOM | flag::NOSCRIPT | flag::BLOCKING)
        .acl(cat::LIST)
        .keys(&[
            key_at(kflag::RW | kflag::ACCESS | kflag::DELETE, 1),
            key_at(kflag::RW | kflag::INSERT, 2),
        ]),
    Command::data("BLMPOP", -5, blmpop)
        .doc(
            Group::List,
            "7.0.0",
            "O(N+M) where N is the number of provided keys and M is the number of elements \
             returned.",
            "Take elements out of the first list that has some, waiting until one does.",
        )
        .syntax(
            "timeout:double numkeys:integer key:key... where:(LEFT | RIGHT) [COUNT \
             count:integer]",
        )
        .flags(flag::WRITE | flag::BLOCKING)
        .acl(cat::LIST)
        .keys(&[keys_at(
            kflag::RW | kflag::ACCESS | kflag::DELETE,
            2,
            Find::KeyNum(0, 1, 1),
        )]),
    Command::data("BLPOP", -3, blpop)
        .doc(
            Group::List,
            "2.0.0",
            "O(N) where N is the number of provided keys.",
            "Take the first element out of the first list that has one, waiting until one does.",
        )
        .syntax("key:key... timeout:double")
        .flags(flag::WRITE | flag::NOSCRIPT | flag::BLOCKING)
        .acl(cat::LIST)
        .keys(&[keys_at(
            kflag::RW | kflag::ACCESS | kflag::DELETE,
            1,
            Find::Range(-2, 1, 0),
        )])
        .history(&[(
            "6.0.0",
            "`timeout` is interpreted as a double instead of an integer.",
        )]),
    Command::data("BRPOP", -3, brpop)
        .doc(
            Group::List,
            "2.0.0",
            "O(N) where N is the number of provided keys.",
            "Take the last element out of the first list that has one, waiting until one does.",
        )
        .syntax("key:key... timeout:double")
        .flags(flag::WRITE | flag::NOSCRIPT | flag::BLOCKING)
        .acl(cat::LIST)
        .keys(&[keys_at(
            kflag::RW | kflag::ACCESS | kflag::DELETE,
            1,
            Find::Range(-2, 1, 0),
        )])
        .history(&[(
            "6.0.0",
            "`timeout` is interpreted as a double instead of an integer.",
        )]),
    Command::data("BRPOPLPUSH", 4, brpoplpush)
        .doc(
            Group::List,
            "2.2.0",
            "O(1)",
            "Move the last element of a list to the head of another, waiting until there is one.",
        )
        .syntax("source:key destination:key#1 timeout:double")
        .flags(flag::WRITE | flag::DENYOOM | flag::NOSCRIPT | flag::BLOCKING)
        .acl(cat::LIST)
        .keys(&[
            key_at(kflag::RW | kflag::ACCESS | kflag::DELETE, 1),
            key_at(kflag::RW | kflag::INSERT, 2),
        ])
        .history(&[(
            "6.0.0",
            "`timeout` is interpreted as a double instead of an integer.",
        )])
        .deprecated("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments"),
    Command::data("LINDEX", 3, lindex)
        .doc(
            Group::List,
            "1.0.0",
            "O(N) where N is the number of elements to traverse to get to the element at \
             index. This makes asking for the first or the last element of the list O(1).",
            "Read the element of a list at an index.",
        )
        .syntax("key:key index:integer")
        .flags(flag::READONLY)
        .acl(cat::LIST)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)]),
    Command::data("LINSERT", 5, linsert)
        .doc(
            Group::List,
            "2.2.0",
            "O(N) where N is the number of elements to traverse before seeing the value \
             pivot. This means that inserting somewhere on the left end on the list (head) \
             can be considered O(1) and inserting somewhere on the right end (tail) is O(N).",
            "Insert an element next to another that is given by its value.",
        )
        .syntax("key:key where:(BEFORE | AFTER) pivot:string element:string")
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::LIST)
        .keys(&[key_at(kflag::RW | kflag::INSERT, 1)]),
    Command::data("LLEN", 2, llen)
        .doc(
            Group::List,
            "1.0.0",
            "O(1)",
            "Count the elements of a list.",
        )
        .syntax("key:key")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::LIST)
        .keys(&[key_at(kflag::RO, 1)]),
    Command::data("LMOVE", 5, lmove)
        .doc(
            Group::List,
            "6.2.0",
            "O(1)",
            "Move an element from an end of one list to an end of another.",
        )
        .syntax("source:key destination:key#1 wherefrom:(LEFT | RIGHT) whereto:(LEFT | RIGHT)")
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::LIST)
        .keys(&[
            key_at(kflag::RW | kflag::ACCESS | kflag::DELETE, 1),
            key_at(kflag::RW | kflag::INSERT, 2),
        ]),
    Command::data("LMPOP", -4, lmpop)
        .doc(
            Group::List,
            "7.0.0",
            "O(N+M) where N is the number of provided keys and M is the number of elements \
             returned.",
            "Take elements out of the first list that has some.",
        )
        .syntax("numkeys:integer key:key... where:(LEFT | RIGHT) [COUNT count:integer]")
        .flags(flag::WRITE)
        .acl(cat::LIST)
        .keys(&[keys_at(
            kflag::RW | kflag::ACCESS | kflag::DELETE,
            1,
            Find::KeyNum(0, 1, 1),
        )]),
    Command::data("LPOP", -2, lpop)
        .doc(
            Group::List,
            "1.0.0",
            "O(N) where N is the number of elements returned",
            "Take elements out of a list at its head.",
        )
        .syntax("key:key [count:integer@6.2.0]")
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::LIST)
        .keys(&[key_at(kflag::RW | kflag::ACCESS | kflag::DELETE, 1)])
        .history(&[("6.2.0", "Added the `count` argument.")]),
    Command::data("LPOS", -3, lpos)
        .doc(
            Group::List,
            "6.0.6",
            "O(N) where N is the number of elements in the list, for the average case. When \
             searching for elements near the head or the tail of the list, or when the \
             MAXLEN option is provided, the command may run in constant time.",
            "Tell at which indexes of a list an element stands.",
        )
        .syntax(
            "key:key element:string [RANK rank:integer] [COUNT num-matches:integer] [MAXLEN \
             len:integer]",
        )
        .flags(flag::READONLY)
        .acl(cat::LIST)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)]),
    Command::data("LPUSH", -3, lpush)
        .doc(
            Group::List,
            "1.0.0",
            "O(1) for each element added, so O(N) to add N elements when the command is \
             called with multiple arguments.",
            "Add elements at the head of a list, starting an empty one when the key is missing.",
        )
        .syntax("key:key element:string...")
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .acl(cat::LIST)
        .keys(&[key_at(kflag::RW | kflag::INSERT, 1)])
        .history(&[("2.4.0", "Accepts multiple `element` arguments.")]),
    Command::data("LPUSHX", -3, lpushx)
        .doc(
            Group::List,
            "2.2.0",
            "O(1) for each element added, so O(N) to add N elements when the command is \
             called with multiple arguments.",
            "Add elements at the head of a list that exists.",
        )
        .syntax("key:key element:string...")
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .acl(cat::LIST)
        .keys(&[key_at(kflag::RW | kflag::INSERT, 1)])
        .history(&[("4.0.0", "Accepts multiple `element` arguments.")]),
    Command::data("LRANGE", 4, lrange)
        .doc(
            Group::List,
            "1.0.0",
            "O(S+N) where S is the distance of start offset from HEAD for small lists, from \
             nearest end (HEAD or TAIL) for large lists; and N is the number of elements in \
             the specified range.",
            "Read the elements of a list between two indexes.",
        )
        .syntax("key:key start:integer stop:integer")
        .flags(flag::READONLY)
        .acl(cat::LIST)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)]),
    Command::data("LREM", 4, lrem)
        .doc(
            Group::List,
            "1.0.0",
            "O(N+M) where N is the length of the list and M is the number of elements removed.",
            "Remove elements of a list that equal a value.",
        )
        .syntax("key:key count:integer element:string")
        .flags(flag::WRITE)
        .acl(cat::LIST)
        .keys(&[key_at(kflag::RW | kflag::DELETE, 1)]),
    Command::data("LSET", 4, lset)
        .doc(
            Group::List,
            "1.0.0",
            "O(N) where N is the length of the list. Setting either the first or the last \
             element of the list is O(1).",
            "Replace the element of a list at an index.",
        )
        .syntax("key:key index:integer element:string")
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::LIST)
        .keys(&[key_at(kflag::RW | kflag::UPDATE, 1)]),
    Command::data("LTRIM", 4, ltrim)
        .doc(
            Group::List,
            "1.0.0",
            "O(N) where N is the number of elements to be removed by the operation.",
            "Keep only the elements of a list between two indexes.",
        )
        .syntax("key:key start:integer stop:integer")
        .flags(flag::WRITE)
        .acl(cat::LIST)
        .keys(&[key_at(kflag::RW | kflag::DELETE, 1)]),
    Command::data("RPOP", -2, rpop)
        .doc(
            Group::List,
            "1.0.0",
            "O(N) where N is the number of elements returned",
            "Take elements out of a list at its tail.",
        )
        .syntax("key:key [count:integer@6.2.0]")
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::LIST)
        .keys(&[key_at(kflag::RW | kflag::ACCESS | kflag::DELETE, 1)])
        .history(&[("6.2.0", "Added the `count` argument.")]),
    Command::data("RPOPLPUSH", 3, rpoplpush)
        .doc(
            Group::List,
            "1.2.0",
            "O(1)",
            "Move the last element of a list to the head of another.",
        )
        .syntax("source:key destination:key#1")
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::LIST)
        .keys(&[
            key_at(kflag::RW | kflag::ACCESS | kflag::DELETE, 1),
            key_at(kflag::RW | kflag::INSERT, 2),
        ])
        .deprecated("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments"),
    Command::data("RPUSH", -3, rpush)
        .doc(
            Group::List,
            "1.0.0",
            "O(1) for each element added, so O(N) to add N elements when the command is \
             called with multiple arguments.",
            "Add elements at the tail of a list, starting an empty one when the key is missing.",
        )
        .syntax("key:key element:string...")
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .acl(cat::LIST)
        .keys(&[key_at(kflag::RW | kflag::INSERT, 1)])
        .history(&[("2.4.0", "Accepts multiple `element` arguments.")]),
    Command::data("RPUSHX", -3, rpushx)
        .doc(
            Group::List,
            "2.2.0",
            "O(1) for each element added, so O(N) to add N elements when the command is \
             called with multiple arguments.",
            "Add elements at the tail of a list that exists.",
        )
        .syntax("key:key element:string...")
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .acl(cat::LIST)
        .keys(&[key_at(kflag::RW | kflag::INSERT, 1)])
        .history(&[("4.0.0", "Accepts multiple `element` arguments.")]),
];

pub(in crate::commands) fn limits(config: &Config) -> ListLimits {
    list_limits(config.list_max_listpack_size, config.list_compress_depth)
}

/// The event of adding at an end.
fn push_event(end: End) -> Event {
    match end {
        End::Left => event::LPUSH,
        End::Right => event::RPUSH,
    }
}

/// The event of taking from an end.
fn pop_event(end: End) -> Event {
    match end {
        End::Left => event::LPOP,
        End::Right => event::RPOP,
    }
}

/// LEFT or RIGHT.
fn end_arg(args: &mut Args<'_>) -> Result<End, CmdError> {
    if args.take_word("LEFT") {
        Ok(End::Left)
    } else if args.take_word("RIGHT") {
        Ok(End::Right)
    } else {
        Err(CmdError::Syntax)
    }
}

/// The index that a client's number means in a list of this length; negative
/// ones count from the end.
fn index_of(number: i64, len: usize) -> Option<usize> {
    match usize::try_from(number) {
        Ok(index) => Some(index).filter(|index| *index < len),
        Err(_) => len.checked_sub(usize::try_from(number.unsigned_abs()).ok()?),
    }
}

/// The first index of a range, and its length, within a list of this length.
fn range_of(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let len_signed = len as i64;
    let from_end = |number: i64| {
        if number < 0 {
            number.saturating_add(len_signed)
        } else {
            number
        }
    };
    let (start, stop) = (from_end(start).max(0), from_end(stop).min(len_signed - 1));
    if start > stop {
        (0, 0)
    } else {
        (start as usize, (stop - start + 1) as usize)
    }
}

/// Replies with `count` elements from the one of index `from` on, away from
/// an end.
fn reply_range(reply: &mut Reply<'_>, list: ListRef<'_>, from: usize, count: usize, end: End) {
    reply.array(count);
    list.for_range(from, count, end, |item| bulk_item(reply, item));
}

fn lpush(ctx: &mut Ctx) -> CmdResult {
    push(ctx, End::Left)
}

fn rpush(ctx: &mut Ctx) -> CmdResult {
    push(ctx, End::Right)
}

fn push(ctx: &mut Ctx, end: End) -> CmdResult {
    let key = ctx.args.key()?;
    let mut list = ctx.db.edit_or_create::<List>(key)?;
    push_all(&mut list, end, ctx.args.rest(), ctx.config);
    ctx.reply.integer(list.len() as i64);
    REPLIED
}

fn lpushx(ctx: &mut Ctx) -> CmdResult {
    push_if_exists(ctx, End::Left)
}

fn rpushx(ctx: &mut Ctx) -> CmdResult {
    push_if_exists(ctx, End::Right)
}

fn push_if_exists(ctx: &mut Ctx, end: End) -> CmdResult {
    let key = ctx.args.key()?;
    let Some(mut list) = ctx.db.edit_collection::<List>(key)? else {
        ctx.reply.integer(0);
        return REPLIED;
    };
    push_all(&mut list, end, ctx.args.rest(), ctx.config);
    ctx.reply.integer(list.len() as i64);
    REPLIED
}

fn push_all(list: &mut CollectionEdit<List>, end: End, texts: &[&[u8]], config: &Config) {
    let limits = limits(config);
    for text in texts {
        list.push(end, text, &limits);
    }
    list.changed_by(texts.len(), push_event(end));
}

fn linsert(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let side = if ctx.args.take_word("AFTER") {
        Side::After
    } else if ctx.args.take_word("BEFORE") {
        Side::Before
    } else {
        return Err(CmdError::Syntax);
    };
    let (pivot, text) = (ctx.args.bytes()?, ctx.args.bytes()?);
    let limits = limits(ctx.config);
    let Some(mut list) = ctx.db.edit_collection::<List>(key)? else {
        ctx.reply.integer(0);
        return REPLIED;
    };
    let Some(index) = list.view().find(pivot) else {
        ctx.reply.integer(-1);
        return REPLIED;
    };
    list.insert(index, side, text, &limits);
    list.changed(event::LINSERT);
    ctx.reply.integer(list.len() as i64);
    REPLIED
}

fn llen(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let len = ctx.db.read::<List>(key)?.map_or(0, ListRef::len);
    ctx.reply.integer(len as i64);
    REPLIED
}

fn lindex(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    // Redis: the index is only looked at when there is a list.
    let Some(list) = ctx.db.read::<List>(key)? else {
        ctx.reply.null();
        return REPLIED;
    };
    let index = index_of(ctx.args.int()?, list.len());
    let reply = &mut ctx.reply;
    match index.and_then(|index| list.get(index, |item| bulk_item(reply, item))) {
        Some(()) => {}
        None => ctx.reply.null(),
    }
    REPLIED
}

fn lset(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let limits = limits(ctx.config);
    let list = ctx.db.edit_collection::<List>(key)?;
    let mut list = list.ok_or(CmdError::NoSuchKey)?;
    let (index, text) = (ctx.args.int()?, ctx.args.bytes()?);
    let index = index_of(index, list.len());
    let index = index.ok_or_else(|| CmdError::err("index out of range"))?;
    list.set(index, text, &limits);
    list.changed(event::LSET);
    ctx.reply.ok();
    REPLIED
}

fn lrange(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let (start, stop) = (ctx.args.int()?, ctx.args.int()?);
    let Some(list) = ctx.db.read::<List>(key)? else {
        ctx.reply.array(0);
        return REPLIED;
    };
    let (from, count) = range_of(start, stop, list.len());
    reply_range(&mut ctx.reply, list, from, count, End::Left);
    REPLIED
}

fn ltrim(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let (start, stop) = (ctx.args.int()?, ctx.args.int()?);
    if let Some(mut list) = ctx.db.edit_collection::<List>(key)? {
        let len = list.len();
        let (from, count) = range_of(start, stop, len);
        list.remove_range(from + count, len);
        list.remove_range(0, from);
        match len - count {
            // Redis: it is an event all the same.
            0 => list.changed_too(event::LTRIM),
            removed => list.changed_by(removed, event::LTRIM),
        }
    }
    ctx.reply.ok();
    REPLIED
}

fn lrem(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let (count, text) = (ctx.args.int()?, ctx.args.bytes()?);
    let (max, nearest_to) = match count {
        0 => (usize::MAX, End::Left),
        1.. => (usize::try_from(count).unwrap_or(usize::MAX), End::Left),
        _ => (
            usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX),
            End::Right,
        ),
    };
    let mut removed = 0;
    if let Some(mut list) = ctx.db.edit_collection::<List>(key)? {
        removed = list.remove_matching(text, max, nearest_to);
        list.changed_by(removed, event::LREM);
    }
    ctx.reply.integer(removed as i64);
    REPLIED
}
