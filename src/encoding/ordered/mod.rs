//! A set ordered by score and member: a B+ tree that knows how many entries
//! every subtree has, so that ranks cost O(log n). It takes the place of
//! Redis's skip list.
//!
//! - A leaf holds up to 63 entries in 1 KiB, scores apart from members, so a
//!   search reads few cache lines and 5 million entries need 3 levels of inner
//!   nodes above the leaves.
//! - An inner node knows the first entry and the number of entries of each
//!   child. First entries are those that are there, not old ones: a member may
//!   be freed as soon as it has been removed.
//! - A full node first gives entries to a neighbour and splits only when both
//!   are full; nodes at the ends may be nearly empty, so appending leaves full
//!   leaves behind and popping moves nothing between nodes.
//!
//! Scores compare as C doubles do (-0 equals 0); there is no NaN. Members are
//! handles: the bytes belong to whoever put the handle in.

mod node;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::util::relocate::Mover;
use node::{Child, Edges, Inner, Key, Nodes, Run, remove_from_leaf};

/// A handle to a member.
pub trait MemberKey: Copy {
    /// The bytes that it stands for, the same as long as it is in a tree.
    fn bytes(&self) -> &[u8];
}

/// The tree. Members are unique among equal scores; that a member has but one
/// score is the caller's business.
pub struct Ordered<M, const L: usize = 63, const F: usize = 63> {
    root: Option<Child<M, L, F>>,
    len: usize,
    nodes: Nodes,
}

impl<M: MemberKey, const L: usize, const F: usize> Default for Ordered<M, L, F> {
    fn default() -> Self {
        Ordered::new()
    }
}

impl<M: MemberKey, const L: usize, const F: usize> Ordered<M, L, F> {
    /// An empty tree; it allocates nothing.
    pub fn new() -> Self {
        Ordered {
            root: None,
            len: 0,
            nodes: Nodes::default(),
        }
    }

    /// A tree of entries that come in order, full nodes throughout.
    pub fn from_sorted(entries: impl IntoIterator<Item = (f64, M)>) -> Self {
        let mut nodes = Nodes::default();
        let mut level: Vec<(Child<M, L, F>, usize)> = Vec::new();
        for (score, member) in entries {
            match level.last_mut() {
                Some((Child::Leaf(leaf), count)) if *count < L => {
                    leaf.insert(*count, (score, member));
                    *count += 1;
                }
                _ => {
                    nodes.leaves += 1;
                    level.push((Child::Leaf(Box::new(Run::of(score, member))), 1));
                }
            }
        }
        let len = level.iter().map(|(_, count)| count).sum();
        while level.len() > 1 {
            let mut above: Vec<(Child<M, L, F>, usize)> = Vec::new();
            for (child, count) in level {
                match above.last_mut() {
                    Some((Child::Inner(inner), total)) if inner.len() < F => {
                        inner.push_child(child, count);
                        *total += count;
                    }
                    _ => {
                        nodes.inners += 1;
                        above.push((Child::Inner(Box::new(Inner::of(child, count))), count));
                    }
                }
            }
            level = above;
        }
        Ordered {
            root: level.pop().map(|(root, _)| root),
            len,
            nodes,
        }
    }

    /// Has another handle stand for a member. Both have the same bytes.
    pub fn replace(&mut self, score: f64, member: M) {
        if let Some(root) = &mut self.root {
            root.replace(score, member);
        }
    }

    /// Gives the leaf with the entry of a rank, and inner nodes that begin with
    /// it, to the mover; gives the rank behind the leaf, none at the end.
    pub fn relocate(&mut self, rank: usize, mover: &mut Mover) -> Option<usize> {
        if rank >= self.len {
            return None;
        }
        let next = self.root.as_mut()?.relocate(rank, 0, mover);
        (next < self.len).then_some(next)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of all nodes.
    pub fn heap_bytes(&self) -> usize {
        self.nodes.leaves * size_of::<Run<M, L>>() + self.nodes.inners * size_of::<Inner<M, L, F>>()
    }

    /// Inserts an entry that is not there yet.
    pub fn insert(&mut self, score: f64, member: M) {
        debug_assert!(!score.is_nan());
        let entry = (score, member);
        self.len += 1;
        let root = match self.root.take() {
            None => {
                self.nodes.leaves = 1;
                self.root = Some(Child::Leaf(Box::new(Run::of(score, member))));
                return;
            }
            Some(root) if root.is_full() => {
                self.nodes.inners += 1;
                Child::Inner(Box::new(Inner::of(root, self.len - 1)))
            }
            Some(root) => root,
        };
        match self.root.insert(root) {
            Child::Leaf(leaf) => {
                let key = Key {
                    score,
                    member: member.bytes(),
                };
                let (at, found) = leaf.search(key);
                debug_assert!(!found, "an entry that is there already");
                leaf.insert(at, entry);
            }
            Child::Inner(inner) => inner.insert(entry, Edges::ROOT, &mut self.nodes),
        }
    }

    /// Takes an entry out; None when it is not there.
    pub fn remove(&mut self, score: f64, member: &[u8]) -> Option<M> {
        let key = Key { score, member };
        let (_, removed) = match self.root.as_mut()? {
            Child::Inner(inner) => inner.remove(key, Edges::ROOT, &mut self.nodes)?,
            Child::Leaf(leaf) => {
                let (at, found) = leaf.search(key);
                if !found {
                    return None;
                }
                let entry = leaf.at(at);
                leaf.remove(at..at + 1);
                entry
            }
        };
        self.removed(1);
        Some(removed)
    }

    /// After `count` entries went: a lower root, if it has become too high.
    fn removed(&mut self, count: usize) {
        self.len -= count;
        if self.len == 0 {
            self.root = None;
            self.nodes = Nodes::default();
            return;
        }
        while let Some(Child::Inner(inner)) = &mut self.root
            && let Some(child) = inner.only_child()
        {
            self.root = Some(child);
            self.nodes.inners -= 1;
        }
    }

    /// Removes the entries of a range of ranks and hands them over in order.
    /// The tree never looks at a member again that it has handed over.
    ///
    /// # Panics
    /// When the range goes beyond the end.
    pub fn remove_range(&mut self, ranks: Range<usize>, mut removed: impl FnMut(f64, M)) {
        assert!(ranks.end <= self.len);
        let mut left = ranks.len();
        while left > 0 {
            let count = match self.root.as_mut() {
                None => unreachable!("entries are left"),
                Some(Child::Leaf(leaf)) => remove_from_leaf(leaf, ranks.start, left, &mut removed),
                Some(Child::Inner(inner)) => inner.remove_span(
                    ranks.start,
                    left,
                    Edges::ROOT,
                    &mut self.nodes,
                    &mut removed,
                ),
            };
            left -= count;
            self.removed(count);
        }
    }

    /// Takes the first entry out.
    pub fn pop_first(&mut self) -> Option<(f64, M)> {
        self.pop(0)
    }

    /// Takes the last entry out.
    pub fn pop_last(&mut self) -> Option<(f64, M)> {
        self.pop(self.len.checked_sub(1)?)
    }

    fn pop(&mut self, rank: usize) -> Option<(f64, M)> {
        let mut popped = None;
        if rank < self.len {
            self.remove_range(rank..rank + 1, |score, member| {
                popped = Some((score, member));
            });
        }
        popped
    }

    /// Gives a member another score; its handle, None when it is not there.
    pub fn update(&mut self, old: f64, member: &[u8], new: f64) -> Option<M> {
        debug_assert!(!new.is_nan());
        let key = Key { score: old, member };
        let mut node = self.root.as_mut()?;
        while let Child::Inner(inner) = node {
            let (index, _) = inner.child_of(key);
            node = inner.child_mut(index);
        }
        if let Child::Leaf(leaf) = node
            && let (at, true) = leaf.search(key)
            && leaf.holds_at(at, Key { score: new, member })
        {
            let (_, handle) = leaf.at(at);
            leaf.set(at, (new, handle));
            return Some(handle);
        }
        let handle = self.remove(old, member)?;
        self.insert(new, handle);
        Some(handle)
    }

    /// The number of entries before this one; None when it is not there.
    pub fn rank(&self, score: f64, member: &[u8]) -> Option<usize> {
        let key = Key { score, member };
        let (mut node, mut rank) = (self.root.as_ref()?, 0);
        loop {
            match node {
                Child::Inner(inner) => {
                    let (index, _) = inner.child_of(key);
                    rank += inner.count_before(index);
                    node = inner.child(index);
                }
                Child::Leaf(leaf) => {
                    let (at, found) = leaf.search(key);
                    return found.then_some(rank + at);
                }
            }
        }
    }

    /// The number of entries that a predicate holds for, when those come
    /// before all others: the rank of a bound.
    pub fn partition_point(&self, mut holds: impl FnMut(f64, &[u8]) -> bool) -> usize {
        let mut holds = |score, member: &M| holds(score, member.bytes());
        let Some(mut node) = self.root.as_ref() else {
            return 0;
        };
        let mut rank = 0;
        loop {
            match node {
                Child::Leaf(leaf) => return rank + leaf.partition_point(&mut holds),
                Child::Inner(inner) => match inner.partition_child(&mut holds) {
                    None => return rank,
                    Some(index) => {
                        rank += inner.count_before(index);
                        node = inner.child(index);
                    }
                },
            }
        }
    }

    /// The leaf that holds the entry of a rank, and the place in it.
    fn leaf_at(&self, mut rank: usize) -> Option<(&Run<M, L>, usize)> {
        if rank >= self.len {
            return None;
        }
        let mut node = self.root.as_ref()?;
        loop {
            match node {
                Child::Leaf(leaf) => return Some((leaf, rank)),
                Child::Inner(inner) => {
                    let (index, within) = inner.child_at(rank);
                    (node, rank) = (inner.child(index), within);
                }
            }
        }
    }

    /// The entry of a rank.
    pub fn get(&self, rank: usize) -> Option<(f64, M)> {
        let (leaf, at) = self.leaf_at(rank)?;
        Some(leaf.at(at))
    }

    /// The first entry.
    pub fn first(&self) -> Option<(f64, M)> {
        self.get(0)
    }

    /// The last entry.
    pub fn last(&self) -> Option<(f64, M)> {
        self.get(self.len.checked_sub(1)?)
    }

    /// Entries of a range of ranks, from either end.
    ///
    /// # Panics
    /// When the range goes beyond the end.
    pub fn range(&self, ranks: Range<usize>) -> impl DoubleEndedIterator<Item = (f64, M)> {
        self.runs(ranks).flat_map(|(scores, members)| {
            let members = members.iter().copied();
            scores.iter().copied().zip(members)
        })
    }

    /// All entries, from either end.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (f64, M)> {
        self.range(0..self.len)
    }

    /// Runs of entries of a range of ranks, leaf by leaf: scores and members.
    ///
    /// # Panics
    /// When the range goes beyond the end.
    pub fn runs(&self, ranks: Range<usize>) -> Runs<'_, M, L, F> {
        assert!(ranks.end <= self.len);
        Runs { tree: self, ranks }
    }

    /// Checks what the module promises, for tests.
    #[cfg(test)]
    fn check_invariants(&self) {
        let mut nodes = Nodes::default();
        let mut depth = 0;
        let mut node = self.root.as_ref();
        while let Some(Child::Inner(inner)) = node {
            (node, depth) = (Some(inner.child(0)), depth + 1);
        }
        let count = match &self.root {
            None => 0,
            Some(Child::Leaf(leaf)) => {
                leaf.check();
                nodes.leaves += 1;
                leaf.len()
            }
            Some(Child::Inner(inner)) => inner.check(depth, Edges::ROOT, &mut nodes),
        };
        assert_eq!((count, nodes), (self.len, self.nodes));
    }
}

/// Runs of neighbouring entries, from either end.
pub struct Runs<'a, M, const L: usize = 63, const F: usize = 63> {
    tree: &'a Ordered<M, L, F>,
    ranks: Range<usize>,
}

impl<'a, M: MemberKey, const L: usize, const F: usize> Iterator for Runs<'a, M, L, F> {
    type Item = (&'a [f64], &'a [M]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.ranks.is_empty() {
            return None;
        }
        let (leaf, at) = self.tree.leaf_at(self.ranks.start)?;
        let end = leaf.len().min(at + self.ranks.len());
        self.ranks.start += end - at;
        Some((&leaf.scores()[at..end], &leaf.members()[at..end]))
    }
}

impl<M: MemberKey, const L: usize, const F: usize> DoubleEndedIterator for Runs<'_, M, L, F> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.ranks.is_empty() {
            return None;
        }
        let (leaf, at) = self.tree.leaf_at(self.ranks.end - 1)?;
        let start = (at + 1).saturating_sub(self.ranks.len());
        self.ranks.end -= at + 1 - start;
        Some((&leaf.scores()[start..=at], &leaf.members()[start..=at]))
    }
}
