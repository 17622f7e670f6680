//! The nodes of the ordered tree: runs of sorted entries, and inner nodes that
//! know the first entry and the number of entries of every child.

use std::cmp::Ordering;
use std::ops::Range;

use super::MemberKey;
use crate::util::relocate::Mover;

/// A score and a member's bytes: what entries are ordered by.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    pub(super) score: f64,
    pub(super) member: &'a [u8],
}

impl Key<'_> {
    fn cmp_entry<M: MemberKey>(&self, score: f64, member: &M) -> Ordering {
        match self.score.partial_cmp(&score) {
            Some(Ordering::Equal) | None => self.member.cmp(member.bytes()),
            Some(order) => order,
        }
    }
}

/// Entries in order, scores apart from members so that a search reads few lines.
pub(super) struct Run<M, const N: usize> {
    len: u16,
    scores: [f64; N],
    /// Beyond `len` there are copies of old members, never looked at.
    members: [M; N],
}

impl<M: MemberKey, const N: usize> Run<M, N> {
    /// A run of one entry.
    pub(super) fn of(score: f64, member: M) -> Run<M, N> {
        Run {
            len: 1,
            scores: [score; N],
            members: [member; N],
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    #[inline]
    pub(super) fn scores(&self) -> &[f64] {
        &self.scores[..self.len()]
    }

    #[inline]
    pub(super) fn members(&self) -> &[M] {
        &self.members[..self.len()]
    }

    #[inline]
    pub(super) fn at(&self, index: usize) -> (f64, M) {
        (self.scores()[index], self.members()[index])
    }

    pub(super) fn set(&mut self, index: usize, (score, member): (f64, M)) {
        debug_assert!(index < self.len());
        self.scores[index] = score;
        self.members[index] = member;
    }

    /// How many entries are less than the key, and whether the next one is it.
    #[inline]
    pub(super) fn search(&self, key: Key<'_>) -> (usize, bool) {
        let scores = self.scores();
        let mut low = scores.partition_point(|score| *score < key.score);
        let mut high = low + scores[low..].partition_point(|score| *score == key.score);
        while low < high {
            let middle = low.midpoint(high);
            match self.members[middle].bytes().cmp(key.member) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return (middle, true),
                Ordering::Greater => high = middle,
            }
        }
        (low, false)
    }

    /// How many entries the predicate holds for; those come first.
    pub(super) fn partition_point(&self, holds: &mut impl FnMut(f64, &M) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if holds(self.scores[middle], &self.members[middle]) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Whether the score may change in place at `index` without changing the
    /// order, both neighbours being in this run.
    pub(super) fn holds_at(&self, index: usize, key: Key<'_>) -> bool {
        let order = |at: usize| key.cmp_entry(self.scores[at], &self.members[at]);
        index > 0
            && index + 1 < self.len()
            && order(index - 1) == Ordering::Greater
            && order(index + 1) == Ordering::Less
    }

    pub(super) fn insert(&mut self, index: usize, entry: (f64, M)) {
        let len = self.len();
        self.scores.copy_within(index..len, index + 1);
        self.members.copy_within(index..len, index + 1);
        self.len += 1;
        self.set(index, entry);
    }

    pub(super) fn remove(&mut self, range: Range<usize>) {
        let len = self.len();
        self.scores.copy_within(range.end..len, range.start);
        self.members.copy_within(range.end..len, range.start);
        self.len -= range.len() as u16;
    }

    /// Moves entries over to another run.
    fn give(&mut self, range: Range<usize>, to: &mut Run<M, N>, at: usize) {
        let (len, count) = (to.len(), range.len());
        to.scores.copy_within(at..len, at + count);
        to.members.copy_within(at..len, at + count);
        to.scores[at..at + count].copy_from_slice(&self.scores[range.clone()]);
        to.members[at..at + count].copy_from_slice(&self.members[range.clone()]);
        to.len += count as u16;
        self.remove(range);
    }
}

/// A subtree.
pub(super) enum Child<M, const L: usize, const F: usize> {
    Leaf(Box<Run<M, L>>),
    Inner(Box<Inner<M, L, F>>),
}

/// Subtrees in order.
pub(super) struct Inner<M, const L: usize, const F: usize> {
    /// The first entry of every child.
    firsts: Run<M, F>,
    counts: [usize; F],
    children: [Option<Child<M, L, F>>; F],
}

/// How many nodes there are.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Nodes {
    pub(super) leaves: usize,
    pub(super) inners: usize,
}

/// On which ends of the tree a node lies. Nodes there may be nearly empty, so
/// that appending and popping move nothing.
#[derive(Clone, Copy)]
pub(super) struct Edges {
    pub(super) left: bool,
    pub(super) right: bool,
}

impl Edges {
    pub(super) const ROOT: Edges = Edges {
        left: true,
        right: true,
    };

    fn of_child(self, index: usize, len: usize) -> Edges {
        Edges {
            left: self.left && index == 0,
            right: self.right && index + 1 == len,
        }
    }
}

impl<M: MemberKey, const L: usize, const F: usize> Child<M, L, F> {
    pub(super) fn first(&self) -> (f64, M) {
        match self {
            Child::Leaf(leaf) => leaf.at(0),
            Child::Inner(inner) => inner.firsts.at(0),
        }
    }

    /// Has another handle stand for the member, which is below.
    pub(super) fn replace(&mut self, score: f64, member: M) {
        let key = Key {
            score,
            member: member.bytes(),
        };
        match self {
            Child::Leaf(leaf) => {
                let (at, found) = leaf.search(key);
                assert!(found, "an entry that is there");
                leaf.members[at] = member;
            }
            Child::Inner(inner) => {
                let (index, is_first) = inner.child_of(key);
                if is_first {
                    inner.firsts.members[index] = member;
                }
                inner.child_mut(index).replace(score, member);
            }
        }
    }

    /// Moves the leaf with the entry of a rank, and this node if it begins
    /// with that; `before` entries precede this node. Gives the rank behind
    /// the leaf.
    pub(super) fn relocate(&mut self, rank: usize, before: usize, mover: &mut Mover) -> usize {
        match self {
            Child::Leaf(leaf) => {
                mover.boxed(leaf);
                before + leaf.len()
            }
            Child::Inner(inner) => {
                if rank == before {
                    mover.boxed(inner);
                }
                let (index, _) = inner.child_at(rank - before);
                let before = before + inner.count_before(index);
                inner.child_mut(index).relocate(rank, before, mover)
            }
        }
    }

    /// Entries of a leaf, children of an inner node.
    fn len(&self) -> usize {
        match self {
            Child::Leaf(leaf) => leaf.len(),
            Child::Inner(inner) => inner.len(),
        }
    }

    fn capacity(&self) -> usize {
        match self {
            Child::Leaf(_) => L,
            Child::Inner(_) => F,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() == self.capacity()
    }

    /// Moves what it consists of over to a node of the same kind; gives the
    /// number of entries that moved.
    fn give(&mut self, range: Range<usize>, to: &mut Child<M, L, F>, at: usize) -> usize {
        match (self, to) {
            (Child::Leaf(from), Child::Leaf(to)) => {
                let moved = range.len();
                from.give(range, to, at);
                moved
            }
            (Child::Inner(from), Child::Inner(to)) => from.give(range, to, at),
            _ => unreachable!("siblings are of one kind"),
        }
    }

    /// Takes the part from `at` on into a new sibling; gives it with its
    /// number of entries.
    fn split(&mut self, at: usize, nodes: &mut Nodes) -> (Child<M, L, F>, usize) {
        let len = self.len();
        match self {
            Child::Leaf(leaf) => {
                let (score, member) = leaf.at(at);
                let mut right = Box::new(Run::of(score, member));
                leaf.give(at + 1..len, &mut right, 1);
                leaf.remove(at..at + 1);
                nodes.leaves += 1;
                (Child::Leaf(right), len - at)
            }
            Child::Inner(inner) => {
                let count = inner.counts[len - 1];
                let mut right = Box::new(Inner::of(inner.take_child(len - 1), count));
                let moved = inner.give(at..len - 1, &mut right, 0);
                nodes.inners += 1;
                (Child::Inner(right), moved + count)
            }
        }
    }
}

impl<M: MemberKey, const L: usize, const F: usize> Inner<M, L, F> {
    /// A node of one child with `count` entries.
    pub(super) fn of(child: Child<M, L, F>, count: usize) -> Inner<M, L, F> {
        let (score, member) = child.first();
        let mut children = [const { None }; F];
        children[0] = Some(child);
        Inner {
            firsts: Run::of(score, member),
            counts: [count; F],
            children,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.firsts.len()
    }

    /// Number of entries below.
    #[cfg(test)]
    fn count(&self) -> usize {
        self.counts[..self.len()].iter().sum()
    }

    #[inline]
    pub(super) fn child(&self, index: usize) -> &Child<M, L, F> {
        self.children[index].as_ref().expect("a child below len")
    }

    #[inline]
    pub(super) fn child_mut(&mut self, index: usize) -> &mut Child<M, L, F> {
        self.children[index].as_mut().expect("a child below len")
    }

    /// The only child, if there is but one.
    pub(super) fn only_child(&mut self) -> Option<Child<M, L, F>> {
        if self.len() == 1 {
            self.children[0].take()
        } else {
            None
        }
    }

    /// The child in which the key is or would be, and whether it is the first
    /// entry there.
    #[inline]
    pub(super) fn child_of(&self, key: Key<'_>) -> (usize, bool) {
        match self.firsts.search(key) {
            (index, true) => (index, true),
            (index, false) => (index.saturating_sub(1), false),
        }
    }

    /// Number of entries before a child.
    pub(super) fn count_before(&self, index: usize) -> usize {
        self.counts[..index].iter().sum()
    }

    /// The child that holds the entry of a rank, and the rank within it.
    pub(super) fn child_at(&self, mut rank: usize) -> (usize, usize) {
        let last = self.len() - 1;
        for (index, count) in self.counts[..last].iter().enumerate() {
            if rank < *count {
                return (index, rank);
            }
            rank -= count;
        }
        (last, rank)
    }

    /// The child in which a predicate that holds for the first entries ends;
    /// None when it holds for none.
    pub(super) fn partition_child(&self, holds: &mut impl FnMut(f64, &M) -> bool) -> Option<usize> {
        self.firsts.partition_point(holds).checked_sub(1)
    }

    fn put_child(&mut self, index: usize, child: Child<M, L, F>, count: usize) {
        let len = self.len();
        self.firsts.insert(index, child.first());
        self.counts.copy_within(index..len, index + 1);
        self.counts[index] = count;
        self.children[index..=len].rotate_right(1);
        self.children[index] = Some(child);
    }

    /// Appends a child; the caller has seen that there is room.
    pub(super) fn push_child(&mut self, child: Child<M, L, F>, count: usize) {
        self.put_child(self.len(), child, count);
    }

    fn take_child(&mut self, index: usize) -> Child<M, L, F> {
        let len = self.len();
        self.firsts.remove(index..index + 1);
        self.counts.copy_within(index + 1..len, index);
        self.children[index..len].rotate_left(1);
        self.children[len - 1].take().expect("a child below len")
    }

    fn give(&mut self, range: Range<usize>, to: &mut Inner<M, L, F>, at: usize) -> usize {
        let (len, to_len, count) = (self.len(), to.len(), range.len());
        let moved = self.counts[range.clone()].iter().sum();
        to.counts.copy_within(at..to_len, at + count);
        to.counts[at..at + count].copy_from_slice(&self.counts[range.clone()]);
        to.children[at..to_len + count].rotate_right(count);
        for (from, to) in self.children[range.clone()]
            .iter_mut()
            .zip(&mut to.children[at..])
        {
            *to = from.take();
        }
        self.counts.copy_within(range.end..len, range.start);
        self.children[range.start..len].rotate_left(count);
        self.firsts.give(range, &mut to.firsts, at);
        moved
    }

    /// Moves entries from one end of a child to its neighbour.
    fn shift(&mut self, from: usize, to: usize, amount: usize) {
        let left = from.min(to);
        let [Some(a), Some(b)] = &mut self.children[left..left + 2] else {
            unreachable!("two children");
        };
        let moved = if from < to {
            let len = a.len();
            a.give(len - amount..len, b, 0)
        } else {
            let len = a.len();
            b.give(0..amount, a, len)
        };
        self.counts[from] -= moved;
        self.counts[to] += moved;
    }

    fn refresh_first(&mut self, index: usize) {
        let first = self.child(index).first();
        self.firsts.set(index, first);
    }

    /// Inserts an entry that is not there yet; the node is not full.
    pub(super) fn insert(&mut self, entry: (f64, M), edges: Edges, nodes: &mut Nodes) {
        let (score, member) = entry;
        let key = Key {
            score,
            member: member.bytes(),
        };
        let (mut index, _) = self.child_of(key);
        if self.child(index).is_full() {
            if self.extend(index, entry, edges, nodes) {
                return;
            }
            self.make_room(index, edges, nodes);
            index = self.child_of(key).0;
        }
        let edges = edges.of_child(index, self.len());
        match self.child_mut(index) {
            Child::Leaf(leaf) => leaf.insert(leaf.search(key).0, entry),
            Child::Inner(inner) => inner.insert(entry, edges, nodes),
        }
        self.counts[index] += 1;
        if index == 0 {
            self.refresh_first(0);
        }
    }

    /// An entry before or after all others goes to a new leaf when the leaf at
    /// that end is full, which leaves full ones behind.
    fn extend(
        &mut self,
        index: usize,
        (score, member): (f64, M),
        edges: Edges,
        nodes: &mut Nodes,
    ) -> bool {
        let edges = edges.of_child(index, self.len());
        let Child::Leaf(leaf) = self.child(index) else {
            return false;
        };
        let key = Key {
            score,
            member: member.bytes(),
        };
        let place = leaf.search(key).0;
        let at = if edges.right && place == leaf.len() {
            index + 1
        } else if edges.left && place == 0 {
            index
        } else {
            return false;
        };
        nodes.leaves += 1;
        self.put_child(at, Child::Leaf(Box::new(Run::of(score, member))), 1);
        true
    }

    /// Makes a full child less full: a neighbour takes entries, or it is split.
    fn make_room(&mut self, index: usize, edges: Edges, nodes: &mut Nodes) {
        let capacity = self.child(index).capacity();
        let room = |at: usize| capacity - self.child(at).len();
        let left = index.checked_sub(1).map(|at| (room(at), at));
        let right = Some(index + 1)
            .filter(|at| *at < self.len())
            .map(|at| (room(at), at));
        if let Some((room, to)) = left.max(right)
            && room >= (capacity / 8).max(2)
        {
            self.shift(index, to, room / 2);
            self.refresh_first(index.max(to));
            return;
        }
        let edges = edges.of_child(index, self.len());
        let at = match self.child(index) {
            Child::Inner(_) if edges.right => capacity - 1,
            Child::Inner(_) if edges.left => 1,
            _ => capacity / 2,
        };
        let (sibling, moved) = self.child_mut(index).split(at, nodes);
        self.counts[index] -= moved;
        self.put_child(index + 1, sibling, moved);
    }

    /// Takes an entry out.
    pub(super) fn remove(
        &mut self,
        key: Key<'_>,
        edges: Edges,
        nodes: &mut Nodes,
    ) -> Option<(f64, M)> {
        let (index, is_first) = self.child_of(key);
        let child_edges = edges.of_child(index, self.len());
        let removed = match self.child_mut(index) {
            Child::Inner(inner) => inner.remove(key, child_edges, nodes)?,
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
        self.after_removal(index, 1, is_first, edges, nodes);
        Some(removed)
    }

    /// Takes out entries from a rank on, at most `max` and only those that lie
    /// in one leaf; gives their number.
    pub(super) fn remove_span(
        &mut self,
        rank: usize,
        max: usize,
        edges: Edges,
        nodes: &mut Nodes,
        removed: &mut impl FnMut(f64, M),
    ) -> usize {
        let (index, rank) = self.child_at(rank);
        let child_edges = edges.of_child(index, self.len());
        let count = match self.child_mut(index) {
            Child::Inner(inner) => inner.remove_span(rank, max, child_edges, nodes, removed),
            Child::Leaf(leaf) => remove_from_leaf(leaf, rank, max, removed),
        };
        self.after_removal(index, count, rank == 0, edges, nodes);
        count
    }

    /// Puts things right after `count` entries have left a child, its first
    /// among them or not.
    fn after_removal(
        &mut self,
        index: usize,
        count: usize,
        first_gone: bool,
        edges: Edges,
        nodes: &mut Nodes,
    ) {
        self.counts[index] -= count;
        if self.child(index).len() == 0 {
            let empty = self.take_child(index);
            return nodes.forget(&empty);
        }
        if first_gone {
            self.refresh_first(index);
        }
        let at_edge = edges.of_child(index, self.len());
        if at_edge.left || at_edge.right {
            return;
        }
        let child = self.child(index);
        let (len, capacity) = (child.len(), child.capacity());
        if len * 8 >= capacity * 3 {
            return;
        }
        let size = |at: usize| self.child(at).len();
        let left = index.checked_sub(1).map(|at| (size(at), at));
        let right = Some(index + 1)
            .filter(|at| *at < self.len())
            .map(|at| (size(at), at));
        let Some((other_len, other)) = left.into_iter().chain(right).min() else {
            return;
        };
        if len + other_len <= capacity - capacity / 8 {
            self.shift(index, other, len);
            let empty = self.take_child(index);
            nodes.forget(&empty);
            self.refresh_first(other.min(index));
        } else {
            self.shift(other, index, (other_len - len) / 2);
            self.refresh_first(index.max(other));
        }
    }

    /// Checks what the module promises; gives the number of entries.
    #[cfg(test)]
    pub(super) fn check(&self, depth: usize, edges: Edges, nodes: &mut Nodes) -> usize {
        assert!(self.len() > 0 && self.len() <= F);
        nodes.inners += 1;
        for index in 0..self.len() {
            let child = self.child(index);
            let at_edge = edges.of_child(index, self.len());
            assert!(child.len() * 8 >= child.capacity() || at_edge.left || at_edge.right);
            let (score, member) = child.first();
            let (first_score, first_member) = self.firsts.at(index);
            assert!(score == first_score && member.bytes() == first_member.bytes());
            let count = match child {
                Child::Leaf(leaf) => {
                    assert_eq!(depth, 1, "leaves are at one depth");
                    leaf.check();
                    nodes.leaves += 1;
                    leaf.len()
                }
                Child::Inner(inner) => inner.check(depth - 1, at_edge, nodes),
            };
            assert_eq!(count, self.counts[index]);
        }
        assert!(self.children[self.len()..].iter().all(Option::is_none));
        self.firsts.check();
        self.count()
    }
}

/// Takes up to `max` entries from an index on out of a leaf.
pub(super) fn remove_from_leaf<M: MemberKey, const L: usize>(
    leaf: &mut Run<M, L>,
    from: usize,
    max: usize,
    removed: &mut impl FnMut(f64, M),
) -> usize {
    let count = max.min(leaf.len() - from);
    for index in from..from + count {
        let (score, member) = leaf.at(index);
        removed(score, member);
    }
    leaf.remove(from..from + count);
    count
}

impl Nodes {
    fn forget<M, const L: usize, const F: usize>(&mut self, node: &Child<M, L, F>) {
        match node {
            Child::Leaf(_) => self.leaves -= 1,
            Child::Inner(_) => self.inners -= 1,
        }
    }
}

#[cfg(test)]
impl<M: MemberKey, const N: usize> Run<M, N> {
    pub(super) fn check(&self) {
        assert!(self.len() > 0 && self.len() <= N);
        for index in 1..self.len() {
            let (score, member) = self.at(index);
            let key = Key {
                score,
                member: member.bytes(),
            };
            let (before, before_member) = self.at(index - 1);
            assert_eq!(key.cmp_entry(before, &before_member), Ordering::Greater);
        }
    }
}
