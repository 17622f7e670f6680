//! Sorted sets.

mod packed;
mod range;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::ops::{ControlFlow, Range};

use super::{Collection, Object, Packed, Type};
use crate::encoding::listpack::{Item, Listpack, ListpackRef};
use crate::encoding::scored::{Scored, ScoredBuilder};
use crate::util::size_class::size_class;

pub use crate::encoding::scored::Direction;
pub use range::{LexBound, LexRange, ScoreRange};

/// Up to where a sorted set stays packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Number of members (`zset-max-listpack-entries`).
    pub entries: usize,
    /// Length of a member (`zset-max-listpack-value`).
    pub member_bytes: usize,
}

/// A sorted set.
pub enum Zset {
    /// A small one, in one piece of bytes.
    Packed(Listpack),
    /// A big one.
    Big(Box<Scored>),
}

/// A sorted set for reading.
#[derive(Clone, Copy)]
pub enum ZsetRef<'a> {
    /// A small one.
    Packed(ListpackRef<'a>),
    /// A big one.
    Big(&'a Scored),
}

/// A score in the form in which it is stored, which can be seen: ZSCAN shows
/// the text of a packed one as it is.
#[derive(Clone, Copy)]
pub enum StoredScore<'a> {
    /// An element of a listpack.
    Item(Item<'a>),
    /// A number.
    Number(f64),
}

impl Zset {
    /// Puts members in the order in which a set has them.
    pub fn sort<N: AsRef<[u8]>>(entries: &mut [(N, f64)]) {
        entries.sort_unstable_by(|(a, a_score), (b, b_score)| {
            let by_score = a_score.partial_cmp(b_score).unwrap_or(Ordering::Equal);
            by_score.then_with(|| a.as_ref().cmp(b.as_ref()))
        });
    }

    /// A set of members that come in order and only once, in the encoding that
    /// Redis would choose for all of them together.
    pub fn from_sorted<N: AsRef<[u8]>>(entries: &[(N, f64)], limits: Limits) -> Zset {
        let name_bytes = |(name, _): &(N, f64)| name.as_ref().len();
        let longest = entries.iter().map(name_bytes).max().unwrap_or(0);
        let all_bytes: usize = entries.iter().map(name_bytes).sum();
        let mut pairs = Listpack::new();
        if entries.len() > limits.entries
            || longest > limits.member_bytes
            || !pairs.as_ref().has_room_for(all_bytes)
        {
            let entries = entries.iter().map(|(name, score)| (name, *score));
            return Zset::Big(Box::new(Scored::from_sorted(entries)));
        }
        for (name, score) in entries {
            packed::push(&mut pairs, Item::of(name.as_ref()), *score);
        }
        Zset::Packed(pairs)
    }

    /// A set of members, each followed by its score, in order; None when they
    /// are no such thing.
    pub fn from_pairs(pairs: Listpack, limits: Limits) -> Option<Zset> {
        if !packed::is_in_order(pairs.as_ref()) {
            return None;
        }
        let len = packed::len(pairs.as_ref());
        if len <= limits.entries {
            return pairs.as_ref().is_distinct(1).then_some(Zset::Packed(pairs));
        }
        let mut builder = ScoredBuilder::default();
        let distinct = packed::iter(pairs.as_ref())
            .all(|(member, score)| builder.push(member.text(&mut itoa::Buffer::new()), score));
        distinct.then(|| Zset::Big(Box::new(builder.finish())))
    }

    /// Looks a member up, and has its score decided: `decide` is told the old
    /// one and gives the new one, or None to leave things as they are.
    pub fn upsert(
        &mut self,
        name: &[u8],
        limits: Limits,
        decide: impl FnOnce(Option<f64>) -> Option<f64>,
    ) {
        let pairs = match self {
            Zset::Big(scored) => return scored.upsert(name, decide),
            Zset::Packed(pairs) => pairs,
        };
        if let Some((at, old)) = packed::find(pairs.as_ref(), name) {
            if let Some(new) = decide(Some(old)).filter(|new| *new != old) {
                packed::remove_at(pairs, at);
                packed::insert(pairs, name, new);
            }
            return;
        }
        let Some(score) = decide(None) else {
            return;
        };
        if packed::len(pairs.as_ref()) + 1 > limits.entries
            || name.len() > limits.member_bytes
            || !pairs.as_ref().has_room_for(name.len())
        {
            self.unpack().upsert(name, |_| Some(score));
        } else {
            packed::insert(pairs, name, score);
        }
    }

    /// The set in the form of big ones, which it keeps.
    pub fn unpack(&mut self) -> &mut Scored {
        if let Zset::Packed(pairs) = self {
            let pairs = std::mem::take(pairs);
            let entries = packed::iter(pairs.as_ref());
            let entries = entries.map(|(member, score)| (member.to_vec(), score));
            *self = Zset::Big(Box::new(Scored::from_sorted(entries)));
        }
        match self {
            Zset::Big(scored) => scored,
            Zset::Packed(_) => unreachable!("unpacked above"),
        }
    }

    /// Removes a member; false when it is not there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        match self {
            Zset::Big(scored) => scored.remove(name).is_some(),
            Zset::Packed(pairs) => match packed::find(pairs.as_ref(), name) {
                Some((at, _)) => {
                    packed::remove_at(pairs, at);
                    true
                }
                None => false,
            },
        }
    }

    /// Removes the members of a range of ranks.
    ///
    /// # Panics
    /// When the range goes beyond the end.
    pub fn remove_range(&mut self, ranks: Range<usize>) {
        match self {
            Zset::Big(scored) => scored.remove_range(ranks, |_, _| ()),
            Zset::Packed(pairs) => packed::remove_range(pairs, ranks),
        }
    }

    /// Panics when the structure contradicts itself (tests).
    pub fn check_invariants(&self) {
        match self {
            Zset::Packed(pairs) => packed::check_invariants(pairs.as_ref()),
            Zset::Big(scored) => scored.check_invariants(),
        }
    }
}

impl<'a> ZsetRef<'a> {
    /// Number of members.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            ZsetRef::Packed(pairs) => packed::len(pairs),
            ZsetRef::Big(scored) => scored.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The score of a member.
    #[inline]
    pub fn score(self, name: &[u8]) -> Option<f64> {
        match self {
            ZsetRef::Packed(pairs) => packed::find(pairs, name).map(|(_, score)| score),
            ZsetRef::Big(scored) => scored.score(name),
        }
    }

    /// The number of members before this one.
    pub fn rank(self, name: &[u8]) -> Option<usize> {
        match self {
            ZsetRef::Packed(pairs) => packed::rank(pairs, name),
            ZsetRef::Big(scored) => scored.rank(name),
        }
    }

    /// The ranks of the members whose scores are in a range.
    pub fn ranks_of_scores(self, range: &ScoreRange) -> Range<usize> {
        if range.is_empty() {
            return 0..0;
        }
        self.ranks_where(
            Direction::Ascending,
            |score, _| range.reaches_min(score),
            |score, _| range.keeps_max(score),
        )
    }

    /// The ranks of the members in a range, where all scores are the same.
    /// Redis: where they are not, what is found depends on the direction.
    pub fn ranks_of_members(self, range: &LexRange<'_>, direction: Direction) -> Range<usize> {
        if range.is_empty() {
            return 0..0;
        }
        self.ranks_where(
            direction,
            |_, name| range.reaches_min(name),
            |_, name| range.keeps_max(name),
        )
    }

    fn ranks_where(
        self,
        direction: Direction,
        reaches_min: impl Fn(f64, &[u8]) -> bool,
        keeps_max: impl Fn(f64, &[u8]) -> bool,
    ) -> Range<usize> {
        let pairs = match self {
            ZsetRef::Packed(pairs) => pairs,
            ZsetRef::Big(scored) => {
                let start = scored.partition_point(|score, name| !reaches_min(score, name));
                let end = scored.partition_point(keeps_max);
                return start..end.max(start);
            }
        };
        let test = |holds: &dyn Fn(f64, &[u8]) -> bool, (member, score): (Item<'_>, f64)| {
            holds(score, member.text(&mut itoa::Buffer::new()))
        };
        let from_low = |entry| test(&reaches_min, entry);
        let from_high = |entry| test(&keeps_max, entry);
        let (first, last) = (packed::iter(pairs).next(), packed::iter(pairs).next_back());
        if !first.is_some_and(from_high) || !last.is_some_and(from_low) {
            return 0..0;
        }
        let len = packed::len(pairs);
        match direction {
            Direction::Ascending => {
                let mut entries = packed::iter(pairs);
                let start = entries.position(from_low).unwrap_or(len);
                let within = packed::iter(pairs)
                    .skip(start)
                    .take_while(|e| from_high(*e));
                start..start + within.count()
            }
            Direction::Descending => {
                let mut entries = packed::iter(pairs).rev();
                let above = entries.position(from_high).unwrap_or(len);
                let within = packed::iter(pairs).rev().skip(above);
                let count = within.take_while(|e| from_low(*e)).count();
                len - above - count..len - above
            }
        }
    }

    /// Shows the members of a range of ranks with their scores, until told to
    /// stop.
    ///
    /// # Panics
    /// When the range goes beyond the end.
    pub fn visit(
        self,
        ranks: Range<usize>,
        direction: Direction,
        mut visit: impl FnMut(Item<'a>, f64) -> ControlFlow<()>,
    ) {
        match self {
            ZsetRef::Packed(pairs) => packed::visit(pairs, ranks, direction, visit),
            ZsetRef::Big(scored) => {
                scored.visit(ranks, direction, |name, score| {
                    visit(Item::Bytes(name), score)
                });
            }
        }
    }

    /// As [`visit`](ZsetRef::visit), all of the range.
    pub fn for_each(
        self,
        ranks: Range<usize>,
        direction: Direction,
        mut show: impl FnMut(Item<'a>, f64),
    ) {
        self.visit(ranks, direction, |member, score| {
            show(member, score);
            ControlFlow::Continue(())
        });
    }

    /// The members of these ranks, in this order; a rank beyond the end has none.
    pub fn of_ranks(self, ranks: &[usize]) -> Vec<(Item<'a>, f64)> {
        match self {
            ZsetRef::Big(scored) => {
                let entries = ranks.iter().filter_map(|rank| scored.get(*rank));
                entries
                    .map(|(name, score)| (Item::Bytes(name), score))
                    .collect()
            }
            ZsetRef::Packed(pairs) => packed::of_ranks(pairs, ranks),
        }
    }

    /// Visits some members with their scores and gives the cursor to go on
    /// with: 0 starts, 0 ends. Whatever is in the set during the whole of a
    /// scan is visited; small sets are visited in one go.
    pub fn scan(self, cursor: u64, visit: &mut dyn FnMut(Item<'a>, StoredScore<'a>)) -> u64 {
        match self {
            ZsetRef::Big(scored) => scored.scan(cursor, |name, score| {
                visit(Item::Bytes(name), StoredScore::Number(score));
            }),
            ZsetRef::Packed(pairs) => {
                let mut items = pairs.iter();
                while let (Some(member), Some(score)) = (items.next(), items.next()) {
                    visit(member, StoredScore::Item(score));
                }
                0
            }
        }
    }
}

impl Collection for Zset {
    const TYPE: Type = Type::Zset;
    type Ref<'a> = ZsetRef<'a>;

    fn new() -> Zset {
        Zset::Packed(Listpack::new())
    }

    #[inline]
    fn view(&self) -> ZsetRef<'_> {
        match self {
            Zset::Packed(pairs) => ZsetRef::Packed(pairs.as_ref()),
            Zset::Big(scored) => ZsetRef::Big(scored),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Zset::Packed(pairs) => pairs.as_ref().is_empty(),
            Zset::Big(scored) => scored.is_empty(),
        }
    }

    #[inline]
    fn packed_view(kind: Packed, bytes: &[u8]) -> Option<ZsetRef<'_>> {
        (kind == Packed::Zset).then(|| ZsetRef::Packed(ListpackRef::new(bytes)))
    }

    #[inline]
    fn from_packed(kind: Packed, bytes: Vec<u8>) -> Option<Zset> {
        (kind == Packed::Zset).then(|| Zset::Packed(Listpack::from_trusted(bytes)))
    }

    #[inline]
    fn as_packed(&self) -> Option<(Packed, &[u8])> {
        match self {
            Zset::Packed(pairs) => Some((Packed::Zset, pairs.as_ref().bytes())),
            Zset::Big(_) => None,
        }
    }

    #[inline]
    fn into_packed(self) -> Option<Vec<u8>> {
        match self {
            Zset::Packed(pairs) => Some(pairs.into_bytes()),
            Zset::Big(_) => None,
        }
    }

    fn in_object(object: &Object) -> Option<&Zset> {
        match object {
            Object::Zset(value) => Some(value),
            _ => None,
        }
    }

    fn in_object_mut(object: &mut Object) -> Option<&mut Zset> {
        match object {
            Object::Zset(value) => Some(value),
            _ => None,
        }
    }

    fn into_object(self) -> Object {
        Object::Zset(self)
    }

    fn estimated_bytes(&self, samples: usize) -> usize {
        match self {
            Zset::Packed(pairs) => size_class(pairs.capacity()),
            Zset::Big(scored) => size_class(size_of::<Scored>()) + scored.estimated_bytes(samples),
        }
    }

    fn free_effort(&self) -> usize {
        match self {
            Zset::Packed(_) => 1,
            Zset::Big(scored) => scored.len(),
        }
    }

    fn duplicate(&self) -> Zset {
        match self {
            Zset::Packed(pairs) => Zset::Packed(pairs.clone()),
            Zset::Big(scored) => Zset::Big(scored.clone()),
        }
    }

    fn encoding_name(&self) -> &'static str {
        match self {
            Zset::Packed(_) => Packed::Zset.encoding_name(),
            Zset::Big(_) => "skiplist",
        }
    }
}
