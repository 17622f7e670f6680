//! A big sorted set: members found by name through a hash table, and in order
//! of score and name through a tree. Both share one allocation per member.
//!
//! Unsafe invariants: every handle in `order` is that of a member which
//! `members` owns. The table never changes the address of a member by itself;
//! where a mover does, the order has the new handle before the old member is
//! freed. A member leaves the order before it leaves the table.
#![allow(unsafe_code)]

use std::cmp::Ordering;
use std::ops::{ControlFlow, Range};

use super::member::{Member, MemberRef, Payload};
use super::ordered::{MemberKey, Ordered};
use super::table::{KeyHasher, Sink, Table};
use crate::util::relocate::Mover;

/// Members ahead of the one being visited that are brought into the cache.
const PREFETCH: usize = 12;

/// A member, for as long as the set that it is part of keeps it.
#[derive(Clone, Copy)]
struct Handle(MemberRef<'static>);

impl MemberKey for Handle {
    #[inline]
    fn bytes(&self) -> &[u8] {
        self.0.key()
    }
}

/// The way in which entries are gone through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From low to high.
    Ascending,
    /// From high to low.
    Descending,
}

/// Members with their scores.
pub struct Scored {
    order: Ordered<Handle>,
    members: Table<Member>,
}

impl Default for Scored {
    fn default() -> Scored {
        Scored::new()
    }
}

impl Scored {
    /// An empty set; it allocates nothing.
    pub fn new() -> Scored {
        Scored {
            order: Ordered::new(),
            members: Table::new(KeyHasher::shared()),
        }
    }

    /// A set of members that come in order and only once.
    pub fn from_sorted<N: AsRef<[u8]>>(entries: impl IntoIterator<Item = (N, f64)>) -> Scored {
        let mut members = Table::new(KeyHasher::shared());
        let order = Ordered::from_sorted(entries.into_iter().map(|(name, score)| {
            let hash = members.hasher().hash(name.as_ref());
            (score, insert(&mut members, hash, name.as_ref(), score))
        }));
        Scored { order, members }
    }

    /// The table that members are found by.
    pub fn members(&self) -> &Table<Member> {
        &self.members
    }

    /// Has every member go to a sink as it is now: `Table::freeze`.
    pub fn freeze(&mut self, sink: Box<dyn Sink<Member>>) {
        self.members.freeze(sink);
    }

    /// Goes on with that: `Table::thaw`.
    pub fn thaw(&mut self, buckets: usize) -> bool {
        self.members.thaw(buckets)
    }

    /// Gives the members of the bucket at a cursor to the mover:
    /// `Table::relocate`.
    pub fn relocate_members(&mut self, cursor: u64, mover: &mut Mover) -> u64 {
        let order = &mut self.order;
        self.members.relocate(cursor, mover, |member, mover| {
            member.relocated(mover, |_, new| order.replace(new.score(), handle(new)))
        })
    }

    /// Gives nodes of the order to the mover: `Ordered::relocate`.
    pub fn relocate_order(&mut self, rank: usize, mover: &mut Mover) -> Option<usize> {
        self.order.relocate(rank, mover)
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The score of a member.
    pub fn score(&self, name: &[u8]) -> Option<f64> {
        let loc = self.members.find(self.members.hasher().hash(name), name)?;
        Some(self.members.entry(loc).score())
    }

    /// The number of members before this one.
    pub fn rank(&self, name: &[u8]) -> Option<usize> {
        self.order.rank(self.score(name)?, name)
    }

    /// Looks a member up, and has its score decided: `decide` is told the old
    /// one and gives the new one, or None to leave things as they are.
    pub fn upsert(&mut self, name: &[u8], decide: impl FnOnce(Option<f64>) -> Option<f64>) {
        let hash = self.members.hasher().hash(name);
        match self.members.find(hash, name) {
            Some(loc) => {
                let old = self.members.entry(loc).score();
                if let Some(new) = decide(Some(old)).filter(|new| *new != old) {
                    self.members.preserve(hash);
                    self.order.update(old, name, new);
                    self.members.entry(loc).set_score(new);
                }
            }
            None => {
                if let Some(score) = decide(None) {
                    let handle = insert(&mut self.members, hash, name, score);
                    self.order.insert(score, handle);
                }
            }
        }
    }

    /// Removes a member; its score, None when it is not there.
    pub fn remove(&mut self, name: &[u8]) -> Option<f64> {
        let loc = self.members.find(self.members.hasher().hash(name), name)?;
        let score = self.members.entry(loc).score();
        self.order.remove(score, name);
        drop(self.members.remove(loc));
        Some(score)
    }

    /// Removes the members of a range of ranks, and shows each before.
    ///
    /// # Panics
    /// When the range goes beyond the end.
    pub fn remove_range(&mut self, ranks: Range<usize>, mut removed: impl FnMut(&[u8], f64)) {
        let members = &mut self.members;
        self.order.remove_range(ranks, |score, handle| {
            let name = handle.bytes();
            removed(name, score);
            let hash = members.hasher().hash(name);
            if let Some(loc) = members.find(hash, name) {
                drop(members.remove(loc));
            }
        });
    }

    /// The number of members that a predicate holds for, when those come
    /// before all others.
    pub fn partition_point(&self, holds: impl FnMut(f64, &[u8]) -> bool) -> usize {
        self.order.partition_point(holds)
    }

    /// The member of a rank.
    pub fn get(&self, rank: usize) -> Option<(&[u8], f64)> {
        let (score, handle) = self.order.get(rank)?;
        let member: MemberRef<'_> = handle.0;
        Some((member.key(), score))
    }

    /// Shows the members of a range of ranks until told to stop.
    ///
    /// # Panics
    /// When the range goes beyond the end.
    pub fn visit<'a>(
        &'a self,
        ranks: Range<usize>,
        direction: Direction,
        mut visit: impl FnMut(&'a [u8], f64) -> ControlFlow<()>,
    ) {
        let mut runs = self.order.runs(ranks);
        let mut show = |score: f64, handle: &Handle| visit(handle.0.key(), score);
        match direction {
            Direction::Ascending => {
                for (scores, members) in runs {
                    let entries = scores.iter().copied().zip(members);
                    if visit_run(entries, members.iter(), &mut show).is_break() {
                        return;
                    }
                }
            }
            Direction::Descending => {
                while let Some((scores, members)) = runs.next_back() {
                    let entries = scores.iter().copied().zip(members).rev();
                    if visit_run(entries, members.iter().rev(), &mut show).is_break() {
                        return;
                    }
                }
            }
        }
    }

    /// All members in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], f64)> {
        self.order.iter().map(|(score, handle)| {
            let member: MemberRef<'_> = handle.0;
            (member.key(), score)
        })
    }

    /// Visits some members in the order of the hash table: as `Table::scan`.
    pub fn scan<'a>(&'a self, cursor: u64, mut visit: impl FnMut(&'a [u8], f64)) -> u64 {
        self.members
            .scan(cursor, |member| visit(member.key(), member.score()))
    }

    /// Bytes on the heap, judged by `samples` of the members.
    pub fn estimated_bytes(&self, samples: usize) -> usize {
        let sampled = samples.min(self.len());
        let first = self.order.range(0..sampled);
        let sum: usize = first.map(|(_, handle)| handle.0.allocated_bytes()).sum();
        let members = (sum as f64 / sampled.max(1) as f64 * self.len() as f64) as usize;
        members + self.members.overhead_bytes() + self.order.heap_bytes()
    }

    /// Panics when the parts contradict each other (tests, DEBUG).
    pub fn check_invariants(&self) {
        self.members.check_invariants();
        assert_eq!(self.members.len(), self.order.len());
        for (score, handle) in self.order.iter() {
            assert_eq!(self.score(handle.bytes()), Some(score));
        }
    }
}

/// Makes a set of members that come in any order, which is quicker than
/// putting them in one by one, above all when the order is one.
pub struct ScoredBuilder {
    entries: Vec<(f64, Handle)>,
    members: Table<Member>,
}

impl Default for ScoredBuilder {
    fn default() -> ScoredBuilder {
        ScoredBuilder {
            entries: Vec::new(),
            members: Table::new(KeyHasher::shared()),
        }
    }
}

impl ScoredBuilder {
    /// Adds a member; false when it was added before, which changes nothing.
    pub fn push(&mut self, name: &[u8], score: f64) -> bool {
        let hash = self.members.hasher().hash(name);
        if self.members.find(hash, name).is_some() {
            return false;
        }
        let handle = insert(&mut self.members, hash, name, score);
        self.entries.push((score, handle));
        true
    }

    /// The set.
    pub fn finish(self) -> Scored {
        let ScoredBuilder {
            mut entries,
            members,
        } = self;
        let order = |(a, a_handle): &(f64, Handle), (b, b_handle): &(f64, Handle)| {
            let by_score = a.partial_cmp(b).unwrap_or(Ordering::Equal);
            by_score.then_with(|| a_handle.bytes().cmp(b_handle.bytes()))
        };
        // Snapshots have the greatest first.
        if entries.is_sorted_by(|a, b| order(a, b).is_ge()) {
            entries.reverse();
        } else {
            entries.sort_unstable_by(order);
        }
        Scored {
            order: Ordered::from_sorted(entries),
            members,
        }
    }
}

impl Clone for Scored {
    fn clone(&self) -> Scored {
        Scored::from_sorted(self.iter())
    }
}

/// Puts a member that is not there yet into the table.
fn insert(members: &mut Table<Member>, hash: u64, name: &[u8], score: f64) -> Handle {
    let loc = members.insert(hash, Member::new(name, Payload::Score(score)));
    handle(members.entry(loc))
}

/// The handle of a member.
fn handle(member: MemberRef<'_>) -> Handle {
    // SAFETY: the callers put the handle into the order, or what becomes it,
    // next to the table of the member, where it stays no longer than that.
    Handle(unsafe { member.unbound() })
}

/// Visits the entries of a run; `ahead` are its members once more.
#[inline]
fn visit_run<'t>(
    entries: impl Iterator<Item = (f64, &'t Handle)>,
    mut ahead: impl Iterator<Item = &'t Handle>,
    visit: &mut impl FnMut(f64, &Handle) -> ControlFlow<()>,
) -> ControlFlow<()> {
    for handle in ahead.by_ref().take(PREFETCH) {
        handle.0.prefetch();
    }
    for (score, handle) in entries {
        if let Some(handle) = ahead.next() {
            handle.0.prefetch();
        }
        visit(score, handle)?;
    }
    ControlFlow::Continue(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn name(number: u16) -> Vec<u8> {
        let long = usize::from(number % 7) * 60;
        format!("{number}{}", "x".repeat(long)).into_bytes()
    }

    fn all(set: &Scored, direction: Direction) -> Vec<(f64, Vec<u8>)> {
        let mut found = Vec::new();
        set.visit(0..set.len(), direction, |name, score| {
            found.push((score, name.to_vec()));
            ControlFlow::Continue(())
        });
        found
    }

    fn compare(set: &Scored, model: &BTreeMap<Vec<u8>, i32>) {
        set.check_invariants();
        let mut expected: Vec<(f64, Vec<u8>)> = model
            .iter()
            .map(|(name, score)| (f64::from(*score), name.clone()))
            .collect();
        expected.sort_by(|a, b| a.partial_cmp(b).expect("no NaN"));
        assert_eq!(all(set, Direction::Ascending), expected);
        for (rank, (score, name)) in expected.iter().enumerate() {
            assert_eq!(set.rank(name), Some(rank));
            assert_eq!(set.get(rank), Some((&name[..], *score)));
        }
        expected.reverse();
        assert_eq!(all(set, Direction::Descending), expected);
    }

    proptest! {
        #[test]
        fn behaves_as_a_map_and_a_sorted_list(
            ops in prop::collection::vec((0u8..10, any::<u16>(), -9i32..9), 1..400)
        ) {
            let (mut set, mut model) = (Scored::new(), BTreeMap::new());
            for (op, number, score) in ops {
                let name = name(number % 500);
                match op {
                    0..=6 => {
                        set.upsert(&name, |old| {
                            assert_eq!(old, model.get(&name).map(|score| f64::from(*score)));
                            Some(f64::from(score))
                        });
                        model.insert(name, score);
                    }
                    7..=8 => {
                        let removed = model.remove(&name).map(f64::from);
                        assert_eq!(set.remove(&name), removed);
                    }
                    _ => {
                        let from = usize::from(number) % (set.len() + 1);
                        let to = set.len().min(from + 5);
                        set.remove_range(from..to, |name, score| {
                            assert_eq!(model.remove(name).map(f64::from), Some(score));
                        });
                    }
                }
                set.check_invariants();
            }
            compare(&set, &model);
            compare(&set.clone(), &model);
        }
    }

    #[test]
    fn five_words_per_member_are_enough() {
        let mut set = Scored::new();
        for number in 0..100_000u32 {
            let score = f64::from(number.wrapping_mul(2_654_435_761) >> 8);
            set.upsert(format!("member:{number:09}").as_bytes(), |_| Some(score));
        }
        // 32 for the member with its score, 21 in the tree, 13 in the table.
        let bytes = set.estimated_bytes(1000) as f64 / 100_000.0;
        assert!(bytes < 67.0, "{bytes}");
    }
}
