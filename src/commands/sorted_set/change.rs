//! ZADD, ZINCRBY, and what removes members by name or range.

use std::ops::Range;

use super::{limits, range};
use crate::command::ctx::{Args, CmdError, CmdResult, Ctx, REPLIED};
use crate::keyspace::{Event, event};
use crate::types::{Direction, Zset, ZsetRef};
use crate::util::num;

/// The options of ZADD.
#[derive(Clone, Copy, Default)]
pub(in crate::commands) struct AddOptions {
    /// NX.
    pub only_new: bool,
    /// XX.
    pub only_existing: bool,
    /// GT.
    pub only_greater: bool,
    /// LT.
    pub only_less: bool,
    /// CH.
    pub count_changed: bool,
    /// INCR.
    pub increment: bool,
}

impl AddOptions {
    fn parse(args: &mut Args<'_>) -> AddOptions {
        let mut options = AddOptions::default();
        loop {
            if args.take_word("NX") {
                options.only_new = true;
            } else if args.take_word("XX") {
                options.only_existing = true;
            } else if args.take_word("CH") {
                options.count_changed = true;
            } else if args.take_word("INCR") {
                options.increment = true;
            } else if args.take_word("GT") {
                options.only_greater = true;
            } else if args.take_word("LT") {
                options.only_less = true;
            } else {
                return options;
            }
        }
    }

    fn check(self, members: usize) -> Result<(), CmdError> {
        if self.only_new && self.only_existing {
            return Err(CmdError::err(
                "XX and NX options at the same time are not compatible",
            ));
        }
        let comparisons = [self.only_greater, self.only_less, self.only_new];
        if comparisons.into_iter().filter(|given| *given).count() > 1 {
            return Err(CmdError::err(
                "GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        if self.increment && members > 1 {
            return Err(CmdError::err(
                "INCR option supports a single increment-element pair",
            ));
        }
        Ok(())
    }
}

/// What ZADD did.
#[derive(Default)]
struct Added {
    added: usize,
    updated: usize,
    /// The new score, unless an option kept the member from being looked at.
    score: Option<f64>,
    not_a_number: bool,
}

impl Added {
    /// Decides about one member: its new score, or None to leave it alone.
    #[inline]
    fn decide(&mut self, options: AddOptions, old: Option<f64>, given: f64) -> Option<f64> {
        self.score = None;
        let Some(old) = old else {
            if options.only_existing {
                return None;
            }
            self.added += 1;
            self.score = Some(given);
            return Some(given);
        };
        if options.only_new {
            return None;
        }
        let new = if options.increment {
            old + given
        } else {
            given
        };
        if new.is_nan() {
            self.not_a_number = true;
            return None;
        }
        if (options.only_less && new >= old) || (options.only_greater && new <= old) {
            return None;
        }
        self.score = Some(new);
        if new == old {
            return None;
        }
        self.updated += 1;
        Some(new)
    }
}

pub(super) fn zadd(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let options = AddOptions::parse(&mut ctx.args);
    add(ctx, key, options)
}

pub(super) fn zincrby(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    // Redis: options are taken here too, though nobody needs them.
    let options = AddOptions {
        increment: true,
        ..AddOptions::parse(&mut ctx.args)
    };
    add(ctx, key, options)
}

fn add(ctx: &mut Ctx, key: &[u8], options: AddOptions) -> CmdResult {
    let pairs = ctx.args.rest();
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return Err(CmdError::Syntax);
    }
    options.check(pairs.len() / 2)?;
    let score_of = |pair: &[&[u8]]| num::parse_f64(pair[0]).ok_or(CmdError::NotFloat);
    if let [_, member] = pairs {
        add_scored(ctx, key, options, [(score_of(pairs)?, *member)])?;
        return REPLIED;
    }
    // All scores are read before the first is stored: all or nothing.
    let scores = pairs.chunks_exact(2).map(score_of);
    let scores: Vec<f64> = scores.collect::<Result<_, _>>()?;
    let members = pairs.chunks_exact(2).map(|pair| pair[1]);
    add_scored(ctx, key, options, scores.into_iter().zip(members))?;
    REPLIED
}

/// Adds members to the sorted set at a key and replies; gives the number of
/// changes.
pub(in crate::commands) fn add_scored<'a>(
    ctx: &mut Ctx,
    key: &[u8],
    options: AddOptions,
    entries: impl IntoIterator<Item = (f64, &'a [u8])>,
) -> Result<usize, CmdError> {
    let limits = limits(ctx.config);
    let mut zset = ctx.db.edit_or_create::<Zset>(key)?;
    let mut done = Added::default();
    for (score, member) in entries {
        zset.upsert(member, limits, |old| done.decide(options, old, score));
        if done.not_a_number {
            return Err(CmdError::err("resulting score is not a number (NaN)"));
        }
    }
    let changes = done.added + done.updated;
    zset.changed_by(
        changes,
        if options.increment {
            event::ZINCR
        } else {
            event::ZADD
        },
    );
    match done.score {
        Some(score) if options.increment => ctx.reply.double(score),
        None if options.increment => ctx.reply.null(),
        _ if options.count_changed => ctx.reply.integer(changes as i64),
        _ => ctx.reply.integer(done.added as i64),
    }
    Ok(changes)
}

pub(super) fn zrem(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let mut removed = 0;
    if let Some(mut zset) = ctx.db.edit_collection::<Zset>(key)? {
        removed = ctx
            .args
            .rest()
            .iter()
            .filter(|member| zset.remove(member))
            .count();
        zset.changed_by(removed, event::ZREM);
    }
    ctx.reply.integer(removed as i64);
    REPLIED
}

pub(super) fn zremrangebyrank(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let (start, stop) = (ctx.args.int()?, ctx.args.int()?);
    remove_ranks(ctx, key, event::ZREMRANGEBYRANK, |zset| {
        range::ranks_between(start, stop, zset.len())
    })
}

pub(super) fn zremrangebyscore(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let scores = range::score_range(ctx.args.bytes()?, ctx.args.bytes()?)?;
    remove_ranks(ctx, key, event::ZREMRANGEBYSCORE, |zset| {
        zset.ranks_of_scores(&scores)
    })
}

pub(super) fn zremrangebylex(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let members = range::lex_range(ctx.args.bytes()?, ctx.args.bytes()?)?;
    remove_ranks(ctx, key, event::ZREMRANGEBYLEX, |zset| {
        zset.ranks_of_members(&members, Direction::Ascending)
    })
}

fn remove_ranks(
    ctx: &mut Ctx,
    key: &[u8],
    event: Event,
    ranks: impl FnOnce(ZsetRef<'_>) -> Range<usize>,
) -> CmdResult {
    let mut removed = 0;
    if let Some(mut zset) = ctx.db.edit_collection::<Zset>(key)? {
        let ranks = ranks(zset.view());
        removed = ranks.len();
        if removed > 0 {
            zset.remove_range(ranks);
            zset.changed_by(removed, event);
        }
    }
    ctx.reply.integer(removed as i64);
    REPLIED
}
