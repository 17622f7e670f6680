//! SPOP and SRANDMEMBER.

use crate::command::ctx::{CmdError, CmdResult, Ctx, REPLIED};
use crate::commands::items::{self, bulk_item};
use crate::encoding::listpack::Item;
use crate::keyspace::{ValueKind, event};
use crate::types::Set;

/// Redis: so many times fewer members left than taken, and those that stay are
/// chosen instead.
const CHOOSE_WHAT_STAYS: usize = 5;

pub(super) fn spop(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    if ctx.args.left() > 0 {
        return spop_many(ctx, key);
    }
    let is_heard = ctx.is_heard();
    let Some(mut set) = ctx.db.edit_collection::<Set>(key)? else {
        ctx.reply.null();
        return REPLIED;
    };
    set.pop(ctx.rng, |member| {
        bulk_item(&mut ctx.reply, member);
        if is_heard {
            ctx.propagation
                .push(&removal(key, member, &mut itoa::Buffer::new()));
        }
    });
    set.changed(event::SPOP);
    REPLIED
}

/// How the removal of a member goes to AOF and replicas.
fn removal<'a>(key: &'a [u8], member: Item<'a>, buffer: &'a mut itoa::Buffer) -> [&'a [u8]; 3] {
    [b"SREM", key, member.text(buffer)]
}

fn spop_many(ctx: &mut Ctx, key: &[u8]) -> CmdResult {
    let count = ctx.args.bytes()?;
    ctx.args.end()?;
    let count = crate::util::num::parse_i64(count).and_then(|count| usize::try_from(count).ok());
    let count = count.ok_or(CmdError::MustBePositive)?;
    let len = match ctx.db.edit_as::<Set>(key)? {
        Some(edit) => Set::of(edit.entry().value()).map_or(0, |set| set.len()),
        None => 0,
    };
    if len == 0 || count == 0 {
        ctx.reply.set(0);
    } else if count >= len {
        pop_all(ctx, key)?;
    } else {
        ctx.reply.set(count);
        pop_some(ctx, key, count, len - count)?;
    }
    REPLIED
}

fn pop_all(ctx: &mut Ctx, key: &[u8]) -> Result<(), CmdError> {
    ctx.db.notify(event::SPOP, key);
    let Some(set) = ctx.db.read::<Set>(key)? else {
        return Ok(());
    };
    let len = set.len();
    ctx.reply.set(len);
    set.iter()
        .for_each(|member| bulk_item(&mut ctx.reply, member));
    ctx.db.remove(key, event::DEL);
    ctx.db.keyspace().effects.dirty += len as u64 - 1;
    ctx.propagate_as(&[b"DEL", key]);
    Ok(())
}

fn pop_some(ctx: &mut Ctx, key: &[u8], count: usize, remaining: usize) -> Result<(), CmdError> {
    let (is_heard, limits) = (ctx.is_heard(), super::limits(ctx.config));
    let Some(mut set) = ctx.db.edit_collection::<Set>(key)? else {
        return Ok(());
    };
    let mut popped = |member: Item<'_>| {
        bulk_item(&mut ctx.reply, member);
        if is_heard {
            ctx.propagation
                .push(&removal(key, member, &mut itoa::Buffer::new()));
        }
    };
    if remaining.saturating_mul(CHOOSE_WHAT_STAYS) > count {
        for _ in 0..count {
            set.pop(ctx.rng, &mut popped);
        }
    } else {
        let mut left = Vec::with_capacity(remaining);
        set.view().split(remaining, ctx.rng, |member, stays| {
            if stays {
                left.push(member);
            } else {
                popped(member);
            }
        });
        let left = Set::of_distinct(&left, limits);
        set.replace(left);
    }
    set.changed(event::SPOP);
    set.count_further(count - 1);
    Ok(())
}

pub(super) fn srandmember(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    if ctx.args.left() == 0 {
        let set = ctx.db.read::<Set>(key)?;
        match set.and_then(|set| set.random(ctx.rng)) {
            Some(member) => bulk_item(&mut ctx.reply, member),
            None => ctx.reply.null(),
        }
        return REPLIED;
    }
    if ctx.args.left() > 1 {
        return Err(CmdError::Syntax);
    }
    let count = ctx.args.int_between(-i64::MAX, i64::MAX)?;
    let Some(set) = ctx.db.read::<Set>(key)? else {
        ctx.reply.array(0);
        return REPLIED;
    };
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count >= 0 {
        let wanted = wanted.min(set.len());
        ctx.reply.array(wanted);
        set.sample(wanted, ctx.rng, |member| bulk_item(&mut ctx.reply, member));
        return REPLIED;
    }
    items::repeat(&mut ctx.reply, ctx.reply_max_bytes, wanted, |reply| {
        if let Some(member) = set.random(ctx.rng) {
            bulk_item(reply, member);
        }
    })?;
    REPLIED
}
