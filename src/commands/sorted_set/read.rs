//! What reads single members, counts them, or goes through them all.

use super::range;
use crate::command::ctx::{CmdResult, Ctx, REPLIED};
use crate::commands::items::bulk_item;
use crate::commands::scan_options::{self, ScanOptions};
use crate::types::{Direction, StoredScore, Zset};

pub(super) fn zcard(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let len = ctx.db.read::<Zset>(key)?.map_or(0, |zset| zset.len());
    ctx.reply.integer(len as i64);
    REPLIED
}

pub(super) fn zcount(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let range = range::score_range(ctx.args.bytes()?, ctx.args.bytes()?)?;
    let zset = ctx.db.read::<Zset>(key)?;
    let count = zset.map_or(0, |zset| zset.ranks_of_scores(&range).len());
    ctx.reply.integer(count as i64);
    REPLIED
}

pub(super) fn zlexcount(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let range = range::lex_range(ctx.args.bytes()?, ctx.args.bytes()?)?;
    let ranks = ctx
        .db
        .read::<Zset>(key)?
        .map(|zset| zset.ranks_of_members(&range, Direction::Ascending));
    ctx.reply
        .integer(ranks.map_or(0, |ranks| ranks.len()) as i64);
    REPLIED
}

pub(super) fn zscore(ctx: &mut Ctx) -> CmdResult {
    let (key, member) = (ctx.args.key()?, ctx.args.bytes()?);
    let zset = ctx.db.read::<Zset>(key)?;
    match zset.and_then(|zset| zset.score(member)) {
        Some(score) => ctx.reply.double(score),
        None => ctx.reply.null(),
    }
    REPLIED
}

pub(super) fn zmscore(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let zset = ctx.db.read::<Zset>(key)?;
    ctx.reply.array(ctx.args.left());
    for member in ctx.args.rest() {
        match zset.and_then(|zset| zset.score(member)) {
            Some(score) => ctx.reply.double(score),
            None => ctx.reply.null(),
        }
    }
    REPLIED
}

pub(super) fn zrank(ctx: &mut Ctx) -> CmdResult {
    rank(ctx, Direction::Ascending)
}

pub(super) fn zrevrank(ctx: &mut Ctx) -> CmdResult {
    rank(ctx, Direction::Descending)
}

fn rank(ctx: &mut Ctx, direction: Direction) -> CmdResult {
    let (key, member) = (ctx.args.key()?, ctx.args.bytes()?);
    let rank = ctx.db.read::<Zset>(key)?.and_then(|zset| {
        let rank = zset.rank(member)?;
        Some(match direction {
            Direction::Ascending => rank,
            Direction::Descending => zset.len() - 1 - rank,
        })
    });
    match rank {
        Some(rank) => ctx.reply.integer(rank as i64),
        None => ctx.reply.null(),
    }
    REPLIED
}

pub(super) fn zscan(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let cursor = scan_options::cursor(ctx.args.bytes()?)?;
    let Some(zset) = ctx.db.read::<Zset>(key)? else {
        scan_options::reply_nothing(&mut ctx.reply);
        return REPLIED;
    };
    let options = ScanOptions::parse(&mut ctx.args)?;
    scan_options::reply_pairs(
        &mut ctx.reply,
        cursor,
        &options,
        |cursor, visit| zset.scan(cursor, visit),
        |reply, score| match score {
            StoredScore::Item(item) => bulk_item(reply, item),
            StoredScore::Number(score) => {
                reply.bulk(crate::util::num::format_f64(score).as_bytes());
            }
        },
    );
    REPLIED
}
