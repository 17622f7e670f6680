//! Small sorted sets: a listpack in which each member is followed by its
//! score, in order. The layout is Redis's: whole numbers are integers, other
//! scores text of 17 digits.

use std::cmp::Ordering;
use std::ops::{ControlFlow, Range};

use crate::encoding::listpack::{Item, Listpack, ListpackRef};
use crate::encoding::scored::Direction;
use crate::util::num::{format_f64, parse_f64};

/// Number of members.
#[inline]
pub(super) fn len(pairs: ListpackRef<'_>) -> usize {
    pairs.len() / 2
}

#[inline]
fn score_of(item: Item<'_>) -> f64 {
    match item {
        Item::Int(number) => number as f64,
        // Only ever a number: what comes from outside is checked before.
        Item::Bytes(text) => parse_f64(text).unwrap_or(0.0),
    }
}

/// The integer that a score is stored as. Redis: minus zero becomes zero here,
/// and the largest integers are left to text.
fn as_integer(score: f64) -> Option<i64> {
    const LIMIT: f64 = (i64::MAX / 2) as f64;
    let integer = score as i64;
    (score.abs() <= LIMIT && integer as f64 == score).then_some(integer)
}

/// Offset and score of a member.
pub(super) fn find(pairs: ListpackRef<'_>, name: &[u8]) -> Option<(usize, f64)> {
    let at = pairs.find(name, 1)?;
    let score_at = pairs.next(at)?;
    Some((at, score_of(pairs.item_at(score_at))))
}

/// The number of members before this one.
pub(super) fn rank(pairs: ListpackRef<'_>, name: &[u8]) -> Option<usize> {
    let at = pairs.find(name, 1)?;
    Some(pairs.iter_to(at).count() / 2)
}

/// The members with their scores, from either end.
pub(super) fn iter<'a>(pairs: ListpackRef<'a>) -> impl DoubleEndedIterator<Item = (Item<'a>, f64)> {
    Pairs(pairs.iter())
}

struct Pairs<'a>(crate::encoding::listpack::Iter<'a>);

impl<'a> Iterator for Pairs<'a> {
    type Item = (Item<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let member = self.0.next()?;
        Some((member, score_of(self.0.next()?)))
    }
}

impl DoubleEndedIterator for Pairs<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        let score = self.0.next_back()?;
        Some((self.0.next_back()?, score_of(score)))
    }
}

/// Shows the members of a range of ranks until told to stop.
pub(super) fn visit<'a>(
    pairs: ListpackRef<'a>,
    ranks: Range<usize>,
    direction: Direction,
    mut visit: impl FnMut(Item<'a>, f64) -> ControlFlow<()>,
) {
    let count = ranks.len();
    let offset = |rank: usize| pairs.seek(2 * rank).unwrap_or(pairs.end());
    let mut show = |(member, score)| visit(member, score);
    let _stopped = match direction {
        Direction::Ascending => {
            let from = offset(ranks.start);
            Pairs(pairs.iter_from(from))
                .take(count)
                .try_for_each(&mut show)
        }
        Direction::Descending => {
            let to = offset(ranks.end);
            let backwards = Pairs(pairs.iter_to(to)).rev();
            backwards.take(count).try_for_each(&mut show)
        }
    };
}

/// The members of these ranks, in this order.
pub(super) fn of_ranks<'a>(pairs: ListpackRef<'a>, ranks: &[usize]) -> Vec<(Item<'a>, f64)> {
    // One walk for all of them, in the order in which they lie.
    let mut wanted: Vec<(usize, usize)> = ranks.iter().copied().zip(0..).collect();
    wanted.sort_unstable();
    let mut found: Vec<Option<(Item<'a>, f64)>> = vec![None; ranks.len()];
    let mut wanted = wanted.into_iter().peekable();
    for (rank, entry) in iter(pairs).enumerate() {
        while let Some((_, place)) = wanted.next_if(|(next, _)| *next == rank) {
            found[place] = Some(entry);
        }
    }
    found.into_iter().flatten().collect()
}

/// Inserts a member that is not there yet.
pub(super) fn insert(pairs: &mut Listpack, name: &[u8], score: f64) {
    let view = pairs.as_ref();
    let mut at = view.first();
    while let Some(member_at) = at {
        let score_at = view.next(member_at).unwrap_or(view.end());
        let other = score_of(view.item_at(score_at));
        let after = match other.partial_cmp(&score) {
            Some(Ordering::Equal) => {
                let mut digits = itoa::Buffer::new();
                view.item_at(member_at).text(&mut digits) > name
            }
            order => order == Some(Ordering::Greater),
        };
        if after {
            break;
        }
        at = view.next(score_at);
    }
    let at = at.unwrap_or(view.end());
    insert_at(pairs, at, Item::of(name), score);
}

/// Adds a member at the end.
pub(super) fn push(pairs: &mut Listpack, member: Item<'_>, score: f64) {
    let end = pairs.as_ref().end();
    insert_at(pairs, end, member, score);
}

fn insert_at(pairs: &mut Listpack, at: usize, member: Item<'_>, score: f64) {
    match as_integer(score) {
        Some(integer) => pairs.insert_all(at, &[member, Item::Int(integer)]),
        None => {
            let text = format_f64(score);
            pairs.insert_all(at, &[member, Item::of(text.as_bytes())]);
        }
    }
}

/// Removes the member at an offset.
pub(super) fn remove_at(pairs: &mut Listpack, at: usize) {
    pairs.remove(at, 2);
}

/// Removes the members of a range of ranks.
pub(super) fn remove_range(pairs: &mut Listpack, ranks: Range<usize>) {
    if let Some(at) = pairs.as_ref().seek(2 * ranks.start) {
        pairs.remove(at, 2 * ranks.len());
    }
}

/// Whether pairs of whatever origin, of which the listpack is well formed, are
/// a set: scores that are numbers, members in order. That none comes twice is
/// not looked at.
pub(super) fn is_in_order(pairs: ListpackRef<'_>) -> bool {
    let mut items = pairs.iter();
    let mut last: Option<(Item<'_>, f64)> = None;
    while let Some(member) = items.next() {
        let score = match items.next() {
            Some(Item::Int(number)) => number as f64,
            Some(Item::Bytes(text)) => match parse_f64(text) {
                Some(score) => score,
                None => return false,
            },
            None => return false,
        };
        let (mut digits, mut last_digits) = (itoa::Buffer::new(), itoa::Buffer::new());
        let follows = last.is_none_or(|(last, last_score)| {
            last_score < score
                || last_score == score && last.text(&mut last_digits) < member.text(&mut digits)
        });
        if !follows {
            return false;
        }
        last = Some((member, score));
    }
    true
}

/// Panics when the structure contradicts itself (tests).
pub(super) fn check_invariants(pairs: ListpackRef<'_>) {
    pairs.check_invariants();
    assert!(is_in_order(pairs), "members in order");
    assert!(pairs.is_distinct(1), "a member twice");
}
