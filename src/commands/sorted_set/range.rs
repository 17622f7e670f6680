//! ZRANGE and its older relatives, and how ranges are written.

use std::ops::{Bound, Range};

use super::{MembersReply, limits};
use crate::command::ctx::{Args, CmdError, CmdResult, Ctx, REPLIED};
use crate::keyspace::event;
use crate::types::{Direction, LexBound, LexRange, ScoreRange, Zset, ZsetLimits, ZsetRef};
use crate::util::num;

/// What a range is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Member,
}

/// A range, as it is asked for.
enum Wanted<'a> {
    Ranks(i64, i64),
    Scores(ScoreRange),
    Members(LexRange<'a>),
}

/// A call of ZRANGE or one of its relatives.
struct Query<'a> {
    wanted: Wanted<'a>,
    direction: Direction,
    with_scores: bool,
    /// LIMIT: how many are passed over; none are left when it is negative.
    offset: i64,
    /// LIMIT: how many are wanted; all when it is negative.
    count: i64,
}

impl<'a> Query<'a> {
    /// Parses what follows the key. What the command's name already says is
    /// not an option any more.
    fn parse(
        args: &mut Args<'a>,
        mut by: Option<By>,
        mut direction: Option<Direction>,
        stores: bool,
    ) -> Result<Query<'a>, CmdError> {
        let (first, second) = (args.bytes()?, args.bytes()?);
        let (mut with_scores, mut offset, mut count) = (false, 0, -1);
        while args.left() > 0 {
            if !stores && args.take_word("WITHSCORES") {
                with_scores = true;
            } else if args.left() >= 3 && args.take_word("LIMIT") {
                (offset, count) = (args.int()?, args.int()?);
            } else if direction.is_none() && args.take_word("REV") {
                direction = Some(Direction::Descending);
            } else if by.is_none() && args.take_word("BYLEX") {
                by = Some(By::Member);
            } else if by.is_none() && args.take_word("BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(CmdError::Syntax);
            }
        }
        let direction = direction.unwrap_or(Direction::Ascending);
        let by = by.unwrap_or(By::Rank);
        // Redis: a limit of -1 is no limit, and so no error either.
        if count != -1 && by == By::Rank {
            return Err(CmdError::err(
                "syntax error, LIMIT is only supported in combination with either BYSCORE or \
                 BYLEX",
            ));
        }
        if with_scores && by == By::Member {
            return Err(CmdError::err(
                "syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        let (min, max) = match direction {
            Direction::Ascending => (first, second),
            Direction::Descending => (second, first),
        };
        let integer = |arg| num::parse_i64(arg).ok_or(CmdError::NotInteger);
        let wanted = match by {
            By::Rank => Wanted::Ranks(integer(first)?, integer(second)?),
            By::Score => Wanted::Scores(score_range(min, max)?),
            By::Member => Wanted::Members(lex_range(min, max)?),
        };
        Ok(Query {
            wanted,
            direction,
            with_scores,
            offset,
            count,
        })
    }

    /// The ranks that are wanted, counted from the lowest score.
    fn ranks(&self, zset: ZsetRef<'_>) -> Range<usize> {
        let len = zset.len();
        let ranks = match &self.wanted {
            Wanted::Ranks(start, stop) => {
                let ranks = ranks_between(*start, *stop, len);
                return match self.direction {
                    Direction::Ascending => ranks,
                    Direction::Descending => len - ranks.end..len - ranks.start,
                };
            }
            Wanted::Scores(range) => zset.ranks_of_scores(range),
            Wanted::Members(range) => zset.ranks_of_members(range, self.direction),
        };
        let found = ranks.len();
        let skipped = usize::try_from(self.offset).map_or(found, |offset| offset.min(found));
        let left = found - skipped;
        let count = usize::try_from(self.count).map_or(left, |count| count.min(left));
        match self.direction {
            Direction::Ascending => ranks.start + skipped..ranks.start + skipped + count,
            Direction::Descending => ranks.end - skipped - count..ranks.end - skipped,
        }
    }
}

impl Query<'_> {
    /// Redis adds what it stores one by one to a packed set, unless it knows
    /// that there are too many: what was packed, if only for a while, has lost
    /// the sign of zero.
    fn lose_signs(&self, entries: &mut [(Vec<u8>, f64)], limits: ZsetLimits) {
        let by_rank = matches!(self.wanted, Wanted::Ranks(..));
        if by_rank && entries.len() > limits.entries {
            return;
        }
        if self.direction == Direction::Descending {
            entries.reverse();
        }
        let fitting = entries.iter_mut().take(limits.entries);
        for (_, score) in fitting.take_while(|(name, _)| name.len() <= limits.member_bytes) {
            *score += 0.0;
        }
        if self.direction == Direction::Descending {
            entries.reverse();
        }
    }
}

/// The ranks from `start` to `stop`, both included; negative ones count from
/// the end.
pub(super) fn ranks_between(start: i64, stop: i64, len: usize) -> Range<usize> {
    let from_end = |rank: i64| {
        if rank < 0 {
            usize::try_from(rank.unsigned_abs()).map_or(None, |back| len.checked_sub(back))
        } else {
            Some(usize::try_from(rank).unwrap_or(usize::MAX))
        }
    };
    let start = from_end(start).unwrap_or(0);
    match from_end(stop) {
        Some(stop) if start <= stop && start < len => start..stop.saturating_add(1).min(len),
        _ => 0..0,
    }
}

/// Parses bounds on scores: numbers, excluded where a parenthesis precedes.
pub(super) fn score_range(min: &[u8], max: &[u8]) -> Result<ScoreRange, CmdError> {
    let bound = |arg: &[u8]| {
        let bound = match arg {
            [b'(', rest @ ..] => num::parse_f64_as_c(rest).map(Bound::Excluded),
            _ => num::parse_f64_as_c(arg).map(Bound::Included),
        };
        bound.ok_or_else(|| CmdError::err("min or max is not a float"))
    };
    Ok(ScoreRange {
        min: bound(min)?,
        max: bound(max)?,
    })
}

/// Parses bounds on members.
pub(super) fn lex_range<'a>(min: &'a [u8], max: &'a [u8]) -> Result<LexRange<'a>, CmdError> {
    let bound = |arg: &'a [u8]| match arg {
        // Redis: to these two, a zero byte is the end.
        [b'-'] | [b'-', 0, ..] => Ok(LexBound::Least),
        [b'+'] | [b'+', 0, ..] => Ok(LexBound::Greatest),
        [b'[', member @ ..] => Ok(LexBound::Included(member)),
        [b'(', member @ ..] => Ok(LexBound::Excluded(member)),
        _ => Err(CmdError::err("min or max not valid string range item")),
    };
    Ok(LexRange {
        min: bound(min)?,
        max: bound(max)?,
    })
}

pub(super) fn zrange(ctx: &mut Ctx) -> CmdResult {
    read(ctx, None, None)
}

pub(super) fn zrevrange(ctx: &mut Ctx) -> CmdResult {
    read(ctx, Some(By::Rank), Some(Direction::Descending))
}

pub(super) fn zrangebyscore(ctx: &mut Ctx) -> CmdResult {
    read(ctx, Some(By::Score), Some(Direction::Ascending))
}

pub(super) fn zrevrangebyscore(ctx: &mut Ctx) -> CmdResult {
    read(ctx, Some(By::Score), Some(Direction::Descending))
}

pub(super) fn zrangebylex(ctx: &mut Ctx) -> CmdResult {
    read(ctx, Some(By::Member), Some(Direction::Ascending))
}

pub(super) fn zrevrangebylex(ctx: &mut Ctx) -> CmdResult {
    read(ctx, Some(By::Member), Some(Direction::Descending))
}

fn read(ctx: &mut Ctx, by: Option<By>, direction: Option<Direction>) -> CmdResult {
    let key = ctx.args.key()?;
    let query = Query::parse(&mut ctx.args, by, direction, false)?;
    let Some(zset) = ctx.db.read::<Zset>(key)? else {
        ctx.reply.array(0);
        return REPLIED;
    };
    let ranks = query.ranks(zset);
    let mut out = MembersReply::begin(&mut ctx.reply, ranks.len(), query.with_scores);
    zset.for_each(ranks, query.direction, |member, score| {
        out.add(member, score);
    });
    REPLIED
}

pub(super) fn zrangestore(ctx: &mut Ctx) -> CmdResult {
    let (destination, source) = (ctx.args.key()?, ctx.args.key()?);
    let query = Query::parse(&mut ctx.args, None, None, true)?;
    let mut entries = Vec::new();
    if let Some(zset) = ctx.db.read::<Zset>(source)? {
        let ranks = query.ranks(zset);
        zset.for_each(ranks, Direction::Ascending, |member, score| {
            entries.push((member.to_vec(), score));
        });
    }
    let limits = limits(ctx.config);
    query.lose_signs(&mut entries, limits);
    let zset = Zset::from_sorted(&entries, limits);
    ctx.db
        .replace_collection(destination, zset, event::ZRANGESTORE);
    ctx.reply.integer(entries.len() as i64);
    REPLIED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_clipped_at_both_ends() {
        for (start, stop, expected) in [
            (0, -1, 0..5),
            (1, 2, 1..3),
            (-3, -2, 2..4),
            (-100, 100, 0..5),
            (3, 2, 0..0),
            (5, 9, 0..0),
            (0, -6, 0..0),
            (i64::MIN, i64::MAX, 0..5),
            (i64::MAX, i64::MIN, 0..0),
        ] {
            assert_eq!(ranks_between(start, stop, 5), expected, "{start} {stop}");
        }
        assert_eq!(ranks_between(0, -1, 0), 0..0);
    }
}
