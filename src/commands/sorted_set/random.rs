//! ZRANDMEMBER.

use rand::Rng;
use rand::seq::index;

use super::MembersReply;
use crate::command::ctx::{CmdError, CmdResult, Ctx, REPLIED};
use crate::commands::items::{self, bulk_item};
use crate::types::{Direction, Zset};

/// Members chosen at a time where the same may be chosen twice.
const BATCH: usize = 1000;

pub(super) fn zrandmember(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    if ctx.args.left() == 0 {
        return one(ctx, key);
    }
    let count = ctx.args.int_between(-i64::MAX, i64::MAX)?;
    let with_scores = ctx.args.take_word("WITHSCORES");
    ctx.args.end()?;
    // The reply has twice as many elements then.
    if with_scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(CmdError::OutOfRange);
    }
    let Some(zset) = ctx.db.read::<Zset>(key)? else {
        ctx.reply.array(0);
        return REPLIED;
    };
    let len = zset.len();
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count < 0 {
        items::check_repeated(wanted)?;
        let mut out = MembersReply::begin(&mut ctx.reply, wanted, with_scores);
        let mut left = wanted;
        while left > 0 && out.reply.pending_bytes() < ctx.reply_max_bytes {
            let ranks: Vec<usize> = (0..left.min(BATCH))
                .map(|_| ctx.rng.random_range(0..len))
                .collect();
            for (member, score) in zset.of_ranks(&ranks) {
                out.add(member, score);
            }
            left -= ranks.len();
        }
    } else if wanted >= len {
        let mut out = MembersReply::begin(&mut ctx.reply, len, with_scores);
        // Redis: all of them come from the highest score down.
        zset.for_each(0..len, Direction::Descending, |member, score| {
            out.add(member, score);
        });
    } else {
        let mut out = MembersReply::begin(&mut ctx.reply, wanted, with_scores);
        let ranks = index::sample(ctx.rng, len, wanted).into_vec();
        for ranks in ranks.chunks(BATCH) {
            for (member, score) in zset.of_ranks(ranks) {
                out.add(member, score);
            }
        }
    }
    REPLIED
}

fn one(ctx: &mut Ctx, key: &[u8]) -> CmdResult {
    match ctx.db.read::<Zset>(key)? {
        Some(zset) => {
            let rank = ctx.rng.random_range(0..zset.len());
            for (member, _) in zset.of_ranks(&[rank]) {
                bulk_item(&mut ctx.reply, member);
            }
        }
        None => ctx.reply.null(),
    }
    REPLIED
}
