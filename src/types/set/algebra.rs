//! Intersection and difference of sets. Members are looked up in batches, so
//! that the cache misses of a big table overlap.

use super::{Set, SetLimits, SetRef};
use crate::encoding::listpack::Item;
use crate::encoding::member::Member;
use crate::encoding::table::Table;
use crate::types::Collection;

/// Members looked up together.
const BATCH: usize = 32;

/// Visits the members that all of the sets have, until `found` answers false.
/// Without sets there are none.
pub fn intersection<'a>(sets: &[SetRef<'a>], mut found: impl FnMut(Item<'a>) -> bool) {
    let Some(smallest) = sets.iter().min_by_key(|set| set.len()) else {
        return;
    };
    let mut others: Vec<SetRef<'_>> = sets.to_vec();
    others.retain(|set| !set.is(*smallest));
    others.sort_by_key(|set| set.len());
    in_batches(*smallest, |batch| {
        for other in &others {
            keep(batch, other.which_are_in(batch));
        }
        batch.iter().all(|member| found(*member))
    });
}

/// Visits the members of a set that no other has.
pub fn difference<'a>(first: SetRef<'a>, others: &[SetRef<'_>], mut found: impl FnMut(Item<'a>)) {
    in_batches(first, |batch| {
        for other in others {
            keep(batch, !other.which_are_in(batch));
        }
        batch.iter().for_each(|member| found(*member));
        true
    });
}

/// The members of a set that no other has, got by removing those of the
/// others: less work where there are many small ones.
pub fn difference_by_removal(first: SetRef<'_>, others: &[SetRef<'_>], limits: SetLimits) -> Set {
    let members: Vec<Item<'_>> = first.iter().collect();
    let mut left = Set::of_distinct(&members, limits);
    for other in others {
        if left.is_empty() {
            break;
        }
        other.iter().for_each(|member| {
            left.remove(member.text(&mut itoa::Buffer::new()));
        });
    }
    left
}

/// Hands out the members of a set some at a time, until `each` answers false.
fn in_batches<'a>(set: SetRef<'a>, mut each: impl FnMut(&mut Vec<Item<'a>>) -> bool) {
    let mut batch = Vec::with_capacity(BATCH);
    let ended = set.iter().try_for_each(|member| {
        batch.push(member);
        if batch.len() == BATCH {
            let go_on = each(&mut batch);
            batch.clear();
            return go_on.then_some(());
        }
        Some(())
    });
    if ended.is_some() && !batch.is_empty() {
        each(&mut batch);
    }
}

/// Keeps the members whose bits are set, the first being the lowest.
fn keep(batch: &mut Vec<Item<'_>>, mut bits: u32) {
    batch.retain(|_| {
        let kept = bits & 1 == 1;
        bits >>= 1;
        kept
    });
}

impl SetRef<'_> {
    /// Which of a batch of members are in, as bits, the first being the lowest.
    fn which_are_in(self, batch: &[Item<'_>]) -> u32 {
        debug_assert!(batch.len() <= BATCH);
        if let SetRef::Table(table) = self {
            return which_are_in_table(table, batch);
        }
        let is_in = |member: &Item<'_>| match (self, *member) {
            (SetRef::Ints(ints), Item::Int(number)) => ints.contains(number),
            (_, member) => self.contains(member.text(&mut itoa::Buffer::new())),
        };
        as_bits(batch.iter().map(is_in))
    }
}

fn which_are_in_table(table: &Table<Member>, batch: &[Item<'_>]) -> u32 {
    let mut buffers = [itoa::Buffer::new(); BATCH];
    let mut keys = [(0, &b""[..]); BATCH];
    for ((key, member), buffer) in keys.iter_mut().zip(batch).zip(&mut buffers) {
        let text = member.text(buffer);
        *key = (table.hasher().hash(text), text);
        table.prefetch_bucket(key.0);
    }
    let keys = &keys[..batch.len()];
    for (hash, _) in keys {
        table.prefetch_entry(*hash);
    }
    let is_in = |(hash, text): &(u64, &[u8])| table.find(*hash, text).is_some();
    as_bits(keys.iter().map(is_in))
}

fn as_bits(answers: impl Iterator<Item = bool>) -> u32 {
    { answers.enumerate() }.fold(0, |bits, (place, answer)| bits | u32::from(answer) << place)
}
