//! Unions, intersections and differences.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use ahash::RandomState;

use super::{MembersReply, limits};
use crate::command::ctx::{CmdError, CmdResult, Ctx, REPLIED};
use crate::encoding::listpack::Item;
use crate::keyspace::{DbRef, Event, event};
use crate::types::{Direction, Set, SetRef, Type, Zset, ZsetRef};
use crate::util::num;

/// Members with scores that the database lends, or that were printed.
type Entries<'a> = Vec<(Cow<'a, [u8]>, f64)>;

/// How the scores of one member become one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    #[inline]
    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            Aggregate::Sum => number_or_zero(a + b),
            Aggregate::Min if b < a => b,
            Aggregate::Max if b > a => b,
            Aggregate::Min | Aggregate::Max => a,
        }
    }
}

/// Redis: opposite infinities make zero, and so does zero times infinity.
fn number_or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// What becomes of the result.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Replied,
    Stored,
    Counted,
}

/// A call: which sets, and what with them.
struct Query<'a> {
    operation: Operation,
    keys: &'a [&'a [u8]],
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    /// LIMIT of what is counted; 0: none.
    limit: usize,
}

impl<'a> Query<'a> {
    fn parse(
        ctx: &mut Ctx<'a>,
        name: &str,
        operation: Operation,
        outcome: Outcome,
    ) -> Result<Query<'a>, CmdError> {
        let numkeys = ctx.args.int()?;
        let Some(numkeys) = usize::try_from(numkeys).ok().filter(|count| *count > 0) else {
            return Err(CmdError::err(format!(
                "at least 1 input key is needed for '{name}' command"
            )));
        };
        let keys = ctx.args.take(numkeys)?;
        for key in keys {
            look_up(&mut ctx.db, key)?;
        }
        let mut query = Query {
            operation,
            keys,
            weights: vec![1.0; numkeys],
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: 0,
        };
        query.parse_options(ctx, outcome)?;
        Ok(query)
    }

    fn parse_options(&mut self, ctx: &mut Ctx<'a>, outcome: Outcome) -> Result<(), CmdError> {
        let args = &mut ctx.args;
        let weighs = self.operation != Operation::Difference && outcome != Outcome::Counted;
        while args.left() > 0 {
            if weighs && args.left() > self.keys.len() && args.take_word("WEIGHTS") {
                for weight in &mut self.weights {
                    *weight = num::parse_f64(args.bytes()?)
                        .ok_or_else(|| CmdError::err("weight value is not a float"))?;
                }
            } else if weighs && args.left() >= 2 && args.take_word("AGGREGATE") {
                self.aggregate = if args.take_word("SUM") {
                    Aggregate::Sum
                } else if args.take_word("MIN") {
                    Aggregate::Min
                } else if args.take_word("MAX") {
                    Aggregate::Max
                } else {
                    return Err(CmdError::Syntax);
                };
            } else if outcome == Outcome::Replied && args.take_word("WITHSCORES") {
                self.with_scores = true;
            } else if outcome == Outcome::Counted && args.left() >= 2 && args.take_word("LIMIT") {
                let limit = num::parse_i64(args.bytes()?);
                self.limit = limit
                    .and_then(|limit| usize::try_from(limit).ok())
                    .ok_or_else(|| CmdError::err("LIMIT can't be negative"))?;
            } else {
                return Err(CmdError::Syntax);
            }
        }
        Ok(())
    }

    /// The sets, in the order in which they are gone through: Redis begins
    /// with the smallest, which decides how sums are rounded.
    fn sources<'d>(&self, db: &'d DbRef<'_>) -> Vec<Source<'d>>
    where
        'a: 'd,
    {
        let weighed = self.keys.iter().zip(&self.weights);
        let mut sources: Vec<Source<'d>> = weighed
            .map(|(key, weight)| Source {
                key,
                weight: *weight,
                members: Members::at(db, key),
            })
            .collect();
        if self.operation != Operation::Difference {
            sources.sort_by_key(Source::len);
        }
        sources
    }

    /// The members of the result in order.
    fn result<'d>(&self, db: &'d DbRef<'_>) -> Entries<'d>
    where
        'a: 'd,
    {
        let sources = self.sources(db);
        let mut entries = match self.operation {
            Operation::Union => union(&sources, self.aggregate),
            Operation::Difference => return difference(&sources),
            Operation::Intersection => {
                let mut entries = Vec::new();
                intersect(&sources, self.aggregate, |member, score| {
                    entries.push((name_of(member), score));
                    ControlFlow::Continue(())
                });
                entries
            }
        };
        Zset::sort(&mut entries);
        entries
    }
}

/// Looks a source up, which counts as a read.
fn look_up(db: &mut DbRef<'_>, key: &[u8]) -> Result<(), CmdError> {
    match db.lookup(key).map(|entry| entry.value_type()) {
        None | Some(Type::Zset | Type::Set) => Ok(()),
        Some(_) => Err(CmdError::WrongType),
    }
}

/// One of the sets.
struct Source<'a> {
    key: &'a [u8],
    weight: f64,
    members: Members<'a>,
}

/// What a key holds.
#[derive(Clone, Copy)]
enum Members<'a> {
    None,
    Sorted(ZsetRef<'a>),
    /// A set without scores: all are 1.
    Plain(SetRef<'a>),
}

impl<'a> Members<'a> {
    fn at(db: &'a DbRef<'_>, key: &[u8]) -> Members<'a> {
        if let Some(zset) = db.view::<Zset>(key) {
            return Members::Sorted(zset);
        }
        db.view::<Set>(key).map_or(Members::None, Members::Plain)
    }
}

impl<'a> Source<'a> {
    fn len(&self) -> usize {
        match self.members {
            Members::None => 0,
            Members::Sorted(zset) => zset.len(),
            Members::Plain(set) => set.len(),
        }
    }

    fn score(&self, name: &[u8]) -> Option<f64> {
        match self.members {
            Members::None => None,
            Members::Sorted(zset) => zset.score(name),
            Members::Plain(set) => set.contains(name).then_some(1.0),
        }
    }

    /// Shows the members until told to stop; those of sorted sets from the
    /// last to the first, as Redis goes through them.
    fn visit(&self, mut visit: impl FnMut(Item<'a>, f64) -> ControlFlow<()>) {
        match self.members {
            Members::None => {}
            Members::Sorted(zset) => zset.visit(0..zset.len(), Direction::Descending, visit),
            Members::Plain(set) => {
                let _stopped = set.iter().try_for_each(|member| visit(member, 1.0));
            }
        }
    }
}

fn name_of(member: Item<'_>) -> Cow<'_, [u8]> {
    match member {
        Item::Bytes(name) => Cow::Borrowed(name),
        Item::Int(_) => Cow::Owned(member.to_vec()),
    }
}

fn union<'a>(sources: &[Source<'a>], aggregate: Aggregate) -> Entries<'a> {
    let largest = sources.last().map_or(0, Source::len);
    let mut scores: HashMap<Cow<'a, [u8]>, f64, RandomState> =
        HashMap::with_capacity_and_hasher(largest, RandomState::new());
    for source in sources {
        source.visit(|member, score| {
            let score = number_or_zero(source.weight * score);
            scores
                .entry(name_of(member))
                .and_modify(|old| *old = aggregate.of(*old, score))
                .or_insert(score);
            ControlFlow::Continue(())
        });
    }
    scores.into_iter().collect()
}

/// Shows the members that all sources have, with what their scores make.
fn intersect<'a>(
    sources: &[Source<'a>],
    aggregate: Aggregate,
    mut found: impl FnMut(Item<'a>, f64) -> ControlFlow<()>,
) {
    let Some((first, others)) = sources.split_first() else {
        return;
    };
    first.visit(|member, own_score| {
        let mut digits = itoa::Buffer::new();
        let name = member.text(&mut digits);
        let mut score = number_or_zero(first.weight * own_score);
        for other in others {
            let same = other.key == first.key;
            let found = if same {
                Some(own_score)
            } else {
                other.score(name)
            };
            let Some(other_score) = found else {
                return ControlFlow::Continue(());
            };
            score = aggregate.of(score, other_score * other.weight);
        }
        found(member, score)
    });
}

/// The members of the first source that no other has, in order.
fn difference<'a>(sources: &[Source<'a>]) -> Entries<'a> {
    let mut entries = Vec::new();
    let Some((first, others)) = sources.split_first() else {
        return entries;
    };
    if others.iter().any(|other| other.key == first.key) {
        return entries;
    }
    // Redis: either each member is looked up in all other sets, or all members
    // of those are looked up in the first, whichever is less work.
    let in_others = first.len().saturating_mul(sources.len()) / 2;
    let in_first: usize = sources.iter().map(Source::len).sum();
    let mut removed: HashSet<Cow<'a, [u8]>, RandomState> = HashSet::default();
    if in_others > in_first {
        for other in others {
            other.visit(|member, _| {
                let name = name_of(member);
                if first.score(&name).is_some() {
                    removed.insert(name);
                }
                ControlFlow::Continue(())
            });
        }
    }
    first.visit(|member, score| {
        let name = name_of(member);
        let gone = if in_others > in_first {
            removed.contains(&name)
        } else {
            others.iter().any(|other| other.score(&name).is_some())
        };
        if !gone {
            entries.push((name, score));
        }
        ControlFlow::Continue(())
    });
    match first.members {
        Members::Sorted(_) => entries.reverse(),
        Members::None | Members::Plain(_) => Zset::sort(&mut entries),
    }
    entries
}

pub(super) fn zunion(ctx: &mut Ctx) -> CmdResult {
    reply(ctx, "zunion", Operation::Union)
}

pub(super) fn zinter(ctx: &mut Ctx) -> CmdResult {
    reply(ctx, "zinter", Operation::Intersection)
}

pub(super) fn zdiff(ctx: &mut Ctx) -> CmdResult {
    reply(ctx, "zdiff", Operation::Difference)
}

fn reply(ctx: &mut Ctx, name: &str, operation: Operation) -> CmdResult {
    let query = Query::parse(ctx, name, operation, Outcome::Replied)?;
    let entries = query.result(&ctx.db);
    let mut out = MembersReply::begin(&mut ctx.reply, entries.len(), query.with_scores);
    for (name, score) in &entries {
        out.add(Item::Bytes(name), *score);
    }
    REPLIED
}

pub(super) fn zunionstore(ctx: &mut Ctx) -> CmdResult {
    store(ctx, "zunionstore", Operation::Union, event::ZUNIONSTORE)
}

pub(super) fn zinterstore(ctx: &mut Ctx) -> CmdResult {
    store(
        ctx,
        "zinterstore",
        Operation::Intersection,
        event::ZINTERSTORE,
    )
}

pub(super) fn zdiffstore(ctx: &mut Ctx) -> CmdResult {
    store(ctx, "zdiffstore", Operation::Difference, event::ZDIFFSTORE)
}

fn store(ctx: &mut Ctx, name: &str, operation: Operation, event: Event) -> CmdResult {
    let destination = ctx.args.key()?;
    let query = Query::parse(ctx, name, operation, Outcome::Stored)?;
    let entries = query.result(&ctx.db);
    let len = entries.len();
    let zset = Zset::from_sorted(&entries, limits(ctx.config));
    drop(entries);
    ctx.db.replace_collection(destination, zset, event);
    ctx.reply.integer(len as i64);
    REPLIED
}

pub(super) fn zintercard(ctx: &mut Ctx) -> CmdResult {
    let query = Query::parse(ctx, "zintercard", Operation::Intersection, Outcome::Counted)?;
    let mut count = 0;
    intersect(&query.sources(&ctx.db), query.aggregate, |_, _| {
        count += 1;
        if count == query.limit {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    ctx.reply.integer(count as i64);
    REPLIED
}
