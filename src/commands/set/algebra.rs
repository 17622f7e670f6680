//! Intersection, union and difference of sets, for a reply or to be stored.

use super::limits;
use crate::command::ctx::{CmdError, CmdResult, Ctx, REPLIED};
use crate::commands::items::bulk_item;
use crate::encoding::listpack::Item;
use crate::keyspace::{DbRef, Event, event};
use crate::types::set::{difference, difference_by_removal, intersection};
use crate::types::{Collection, Set, SetLimits, SetRef};
use crate::util::num;

/// Up to so many sets, a union looks each member up in the sets before its
/// own; of more sets it is put together first.
const UNION_BY_LOOKUP_MAX: usize = 4;

pub(super) fn sdiff(ctx: &mut Ctx) -> CmdResult {
    let limits = limits(ctx.config);
    let sets = read_all(&mut ctx.db, ctx.args.rest())?;
    let list = ctx.reply.deferred();
    let mut count = 0;
    subtract(&sets, limits, |member| {
        bulk_item(&mut ctx.reply, member);
        count += 1;
    });
    ctx.reply.end_set(list, count);
    REPLIED
}

pub(super) fn sdiffstore(ctx: &mut Ctx) -> CmdResult {
    store(
        ctx,
        event::SDIFFSTORE,
        |sets, limits| match Subtraction::of(sets) {
            Subtraction::Nothing => Set::new(),
            Subtraction::Lookup(first, others) => {
                let mut members = Vec::new();
                difference(first, &others, |member| members.push(member));
                Set::of_distinct(&members, limits)
            }
            Subtraction::Removal(first, others) => difference_by_removal(first, &others, limits),
        },
    )
}

pub(super) fn sinter(ctx: &mut Ctx) -> CmdResult {
    let sets = read_all(&mut ctx.db, ctx.args.rest())?;
    let list = ctx.reply.deferred();
    let mut count = 0;
    intersect(&sets, |member| {
        bulk_item(&mut ctx.reply, member);
        count += 1;
        true
    });
    ctx.reply.end_set(list, count);
    REPLIED
}

pub(super) fn sintercard(ctx: &mut Ctx) -> CmdResult {
    let keys = num::parse_i64(ctx.args.bytes()?).and_then(|keys| usize::try_from(keys).ok());
    let keys = keys.filter(|keys| *keys > 0);
    let keys = keys.ok_or_else(|| CmdError::err("numkeys should be greater than 0"))?;
    let too_many = |_| CmdError::err("Number of keys can't be greater than number of args");
    let keys = ctx.args.take(keys).map_err(too_many)?;
    let mut limit = 0;
    while ctx.args.left() > 0 {
        if ctx.args.left() == 1 || !ctx.args.take_word("LIMIT") {
            return Err(CmdError::Syntax);
        }
        let number = num::parse_i64(ctx.args.bytes()?).filter(|number| *number >= 0);
        limit = number.ok_or_else(|| CmdError::err("LIMIT can't be negative"))?;
    }

    let sets = read_all(&mut ctx.db, keys)?;
    let mut count = 0;
    intersect(&sets, |_| {
        count += 1;
        // Zero is never reached: no limit.
        count != limit
    });
    ctx.reply.integer(count);
    REPLIED
}

pub(super) fn sinterstore(ctx: &mut Ctx) -> CmdResult {
    store(ctx, event::SINTERSTORE, |sets, limits| {
        let mut members = Vec::new();
        intersect(sets, |member| {
            members.push(member);
            true
        });
        Set::of_distinct(&members, limits)
    })
}

pub(super) fn sunion(ctx: &mut Ctx) -> CmdResult {
    let limits = limits(ctx.config);
    let sets = read_all(&mut ctx.db, ctx.args.rest())?;
    let sets: Vec<SetRef<'_>> = sets.into_iter().flatten().collect();
    if sets.len() > UNION_BY_LOOKUP_MAX {
        let all = unite(&sets, limits);
        ctx.reply.set(all.view().len());
        { all.view().iter() }.for_each(|member| bulk_item(&mut ctx.reply, member));
        return REPLIED;
    }
    let list = ctx.reply.deferred();
    let mut count = 0;
    unite_by_lookup(&sets, |member| {
        bulk_item(&mut ctx.reply, member);
        count += 1;
    });
    ctx.reply.end_set(list, count);
    REPLIED
}

pub(super) fn sunionstore(ctx: &mut Ctx) -> CmdResult {
    store(ctx, event::SUNIONSTORE, |sets, limits| {
        let sets: Vec<SetRef<'_>> = sets.iter().flatten().copied().collect();
        if sets.len() > UNION_BY_LOOKUP_MAX {
            return unite(&sets, limits);
        }
        let mut members = Vec::new();
        unite_by_lookup(&sets, |member| members.push(member));
        Set::of_distinct(&members, limits)
    })
}

/// The sets at the keys, read all before any is looked at.
fn read_all<'d>(
    db: &'d mut DbRef<'_>,
    keys: &[&[u8]],
) -> Result<Vec<Option<SetRef<'d>>>, CmdError> {
    for key in keys {
        db.read::<Set>(key)?;
    }
    let db = &*db;
    Ok(keys.iter().map(|key| db.view::<Set>(key)).collect())
}

/// Computes a set from those at the keys after the first, and stores it there.
fn store(
    ctx: &mut Ctx,
    event: Event,
    compute: impl FnOnce(&[Option<SetRef<'_>>], SetLimits) -> Set,
) -> CmdResult {
    let destination = ctx.args.key()?;
    let limits = limits(ctx.config);
    let sets = read_all(&mut ctx.db, ctx.args.rest())?;
    let result = compute(&sets, limits);
    let len = result.view().len();
    ctx.db.replace_collection(destination, result, event);
    ctx.reply.integer(len as i64);
    REPLIED
}

fn intersect<'a>(sets: &[Option<SetRef<'a>>], found: impl FnMut(Item<'a>) -> bool) {
    // What is not there has nothing in common with anything.
    if let Some(sets) = sets.iter().copied().collect::<Option<Vec<_>>>() {
        intersection(&sets, found);
    }
}

fn unite_by_lookup<'a>(sets: &[SetRef<'a>], mut found: impl FnMut(Item<'a>)) {
    for (index, set) in sets.iter().enumerate() {
        difference(*set, &sets[..index], &mut found);
    }
}

fn unite(sets: &[SetRef<'_>], limits: SetLimits) -> Set {
    let mut sets = sets.to_vec();
    sets.sort_by_key(|set| std::cmp::Reverse(set.len()));
    let Some((largest, others)) = sets.split_first() else {
        return Set::new();
    };
    let members: Vec<Item<'_>> = largest.iter().collect();
    let mut all = Set::of_distinct(&members, limits);
    for set in others {
        set.iter().for_each(|member| {
            all.insert_item(member, limits);
        });
    }
    all
}

/// The ways to a difference. Redis chooses in the same way, which shows in the
/// encoding of what is stored.
enum Subtraction<'a> {
    Nothing,
    Lookup(SetRef<'a>, Vec<SetRef<'a>>),
    Removal(SetRef<'a>, Vec<SetRef<'a>>),
}

impl<'a> Subtraction<'a> {
    fn of(sets: &[Option<SetRef<'a>>]) -> Subtraction<'a> {
        let Some((Some(first), others)) = sets.split_first() else {
            return Subtraction::Nothing;
        };
        let mut others: Vec<SetRef<'_>> = others.iter().flatten().copied().collect();
        if others.iter().any(|other| other.is(*first)) {
            return Subtraction::Nothing;
        }
        let lookups = first.len() as u128 * (others.len() as u128 + 1);
        let removals =
            { others.iter() }.fold(first.len() as u128, |sum, set| sum + set.len() as u128);
        if lookups / 2 <= removals {
            // Where most members are, most are found soon.
            others.sort_by_key(|other| std::cmp::Reverse(other.len()));
            Subtraction::Lookup(*first, others)
        } else {
            Subtraction::Removal(*first, others)
        }
    }
}

fn subtract(sets: &[Option<SetRef<'_>>], limits: SetLimits, found: impl FnMut(Item<'_>)) {
    match Subtraction::of(sets) {
        Subtraction::Nothing => {}
        Subtraction::Lookup(first, others) => difference(first, &others, found),
        Subtraction::Removal(first, others) => {
            let left = difference_by_removal(first, &others, limits);
            left.view().iter().for_each(found);
        }
    }
}
