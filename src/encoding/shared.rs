//! A sorted map whose copies share what they have in common.
//!
//! A tree of counted references: the leaves hold the pairs, the branches their
//! children, each with a key that none below it is less than. A copy is one
//! more reference to the root. Who changes a map copies the nodes on the way
//! to the change as far as others hold them too, and no more; so a snapshot of
//! a map of millions costs as much as one of a few.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Index;
use std::sync::Arc;

use crate::util::copied;
use crate::util::size_class::size_class;

#[cfg(test)]
mod tests;

/// Pairs of a leaf and children of a branch, at most.
const WIDTH: usize = 64;
/// Below this, a node is merged with a neighbour if both are small.
const NARROW: usize = WIDTH / 4;
/// What a merged node may have, so that it is not split again soon.
const MERGED_MAX: usize = WIDTH / 2;

/// A sorted map whose copies share what they have in common.
pub struct SharedMap<K, V> {
    root: Node<K, V>,
    len: usize,
}

/// A node with a key that none below is less than.
type Child<K, V> = (K, Node<K, V>);

enum Node<K, V> {
    Leaf(Arc<Vec<(K, V)>>),
    Branch(Arc<Vec<Child<K, V>>>),
}

impl<K, V> Clone for Node<K, V> {
    fn clone(&self) -> Self {
        match self {
            Node::Leaf(pairs) => Node::Leaf(pairs.clone()),
            Node::Branch(children) => Node::Branch(children.clone()),
        }
    }
}

impl<K, V> Clone for SharedMap<K, V> {
    /// Takes the same time whatever is in it.
    fn clone(&self) -> Self {
        SharedMap {
            root: self.root.clone(),
            len: self.len,
        }
    }
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        SharedMap {
            root: Node::Leaf(Arc::new(Vec::new())),
            len: 0,
        }
    }
}

impl<K, V> SharedMap<K, V> {
    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pair of the least key.
    pub fn first(&self) -> Option<(&K, &V)> {
        self.root
            .first_leaf()
            .first()
            .map(|(key, value)| (key, value))
    }

    /// The pair of the greatest key.
    pub fn last(&self) -> Option<(&K, &V)> {
        self.root
            .last_leaf()
            .last()
            .map(|(key, value)| (key, value))
    }
}

impl<K, V> Node<K, V> {
    fn width(&self) -> usize {
        match self {
            Node::Leaf(pairs) => pairs.len(),
            Node::Branch(children) => children.len(),
        }
    }

    fn first_leaf(&self) -> &[(K, V)] {
        let mut node = self;
        loop {
            match node {
                Node::Leaf(pairs) => return pairs,
                Node::Branch(children) => node = &children[0].1,
            }
        }
    }

    fn last_leaf(&self) -> &[(K, V)] {
        let mut node = self;
        loop {
            match node {
                Node::Leaf(pairs) => return pairs,
                Node::Branch(children) => node = &children[children.len() - 1].1,
            }
        }
    }

    /// The pairs of a leaf from the first on that is not `below`, none when all
    /// of the tree are.
    fn seek(&self, below: impl Fn(&K) -> bool) -> &[(K, V)] {
        let (mut node, mut next) = (self, None);
        loop {
            match node {
                Node::Branch(children) => {
                    let after = children.partition_point(|(key, _)| below(key)).max(1);
                    next = children.get(after).or(next);
                    node = &children[after - 1].1;
                }
                Node::Leaf(pairs) => {
                    let from = pairs.partition_point(|(key, _)| below(key));
                    return match next {
                        Some((_, next)) if from == pairs.len() => next.first_leaf(),
                        _ => &pairs[from..],
                    };
                }
            }
        }
    }

    /// The pairs of a leaf up to the last that is `within`, none when none of
    /// the tree is.
    fn seek_back(&self, within: impl Fn(&K) -> bool) -> &[(K, V)] {
        let (mut node, mut before) = (self, None);
        loop {
            match node {
                Node::Branch(children) => {
                    let at = children.partition_point(|(key, _)| within(key));
                    let at = at.saturating_sub(1);
                    before = at.checked_sub(1).map(|at| &children[at].1).or(before);
                    node = &children[at].1;
                }
                Node::Leaf(pairs) => {
                    let until = pairs.partition_point(|(key, _)| within(key));
                    return match before {
                        Some(before) if until == 0 => before.last_leaf(),
                        _ => &pairs[..until],
                    };
                }
            }
        }
    }
}

/// The child of a branch where a key belongs.
fn child_of<K: Borrow<Q>, V, Q: Ord + ?Sized>(children: &[(K, V)], key: &Q) -> usize {
    let after = children.partition_point(|(least, _)| least.borrow() <= key);
    after.saturating_sub(1)
}

fn find<K: Borrow<Q>, V, Q: Ord + ?Sized>(pairs: &[(K, V)], key: &Q) -> Result<usize, usize> {
    pairs.binary_search_by(|(of, _)| of.borrow().cmp(key))
}

impl<K: Ord, V> SharedMap<K, V> {
    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let mut node = &self.root;
        loop {
            match node {
                Node::Branch(children) => node = &children[child_of(children, key)].1,
                Node::Leaf(pairs) => {
                    return find(pairs, key).ok().map(|at| &pairs[at].1);
                }
            }
        }
    }

    /// Whether there is such a key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// The pair of the greatest key that is not above this one.
    pub fn floor(&self, key: &K) -> Option<(&K, &V)> {
        let pairs = self.root.seek_back(|of| of <= key);
        pairs.last().map(|(key, value)| (key, value))
    }

    /// All pairs in the order of their keys.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter {
            root: &self.root,
            pairs: self.root.first_leaf(),
        }
    }

    /// The pairs from this key on.
    pub fn iter_from(&self, key: &K) -> Iter<'_, K, V> {
        Iter {
            root: &self.root,
            pairs: self.root.seek(|of| of < key),
        }
    }

    /// The pairs from this key on, downwards.
    pub fn iter_back_from(&self, key: &K) -> IterBack<'_, K, V> {
        IterBack {
            root: &self.root,
            pairs: self.root.seek_back(|of| of <= key),
        }
    }

    /// The keys in their order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Ord, V> SharedMap<K, V> {
    /// The value of a key for change, unless a copy shares its node.
    pub fn own_mut(&mut self, key: &K) -> Option<&mut V> {
        let mut node = &mut self.root;
        loop {
            match node {
                Node::Branch(children) => {
                    let at = child_of(children, key);
                    node = &mut Arc::get_mut(children)?[at].1;
                }
                Node::Leaf(pairs) => {
                    let at = find(pairs, key).ok()?;
                    return Some(&mut Arc::get_mut(pairs)?[at].1);
                }
            }
        }
    }

    /// Whether a copy shares its nodes.
    pub fn is_shared(&self) -> bool {
        match &self.root {
            Node::Leaf(pairs) => Arc::strong_count(pairs) > 1,
            Node::Branch(children) => Arc::strong_count(children) > 1,
        }
    }

    /// Bytes of the nodes, about, without what keys and values own.
    pub fn heap_bytes(&self) -> usize {
        const NODE: usize = 48;
        match &self.root {
            Node::Leaf(pairs) => NODE + size_class(pairs.capacity() * size_of::<(K, V)>()),
            // Nodes are nearly full as a rule.
            Node::Branch(_) => (self.len * size_of::<(K, V)>()).saturating_mul(9) / 8,
        }
    }
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    /// The value of a key for change.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let mut node = &mut self.root;
        loop {
            match node {
                Node::Branch(children) => {
                    let at = child_of(children, key);
                    node = &mut copied::make_mut(children)[at].1;
                }
                Node::Leaf(pairs) => {
                    let at = find(pairs, key).ok()?;
                    return Some(&mut copied::make_mut(pairs)[at].1);
                }
            }
        }
    }

    /// The value of the greatest key for change.
    pub fn last_mut(&mut self) -> Option<(&K, &mut V)> {
        let mut node = &mut self.root;
        loop {
            match node {
                Node::Branch(children) => node = &mut copied::make_mut(children).last_mut()?.1,
                Node::Leaf(pairs) => {
                    let (key, value) = copied::make_mut(pairs).last_mut()?;
                    return Some((key, value));
                }
            }
        }
    }

    /// The value of the least key for change.
    pub fn first_mut(&mut self) -> Option<(&K, &mut V)> {
        let mut node = &mut self.root;
        loop {
            match node {
                Node::Branch(children) => node = &mut copied::make_mut(children).first_mut()?.1,
                Node::Leaf(pairs) => {
                    let (key, value) = copied::make_mut(pairs).first_mut()?;
                    return Some((key, value));
                }
            }
        }
    }

    /// Sets the value of a key; gives the one before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let (before, split) = self.root.insert(key, value);
        if let Some(right) = split {
            let left = std::mem::replace(&mut self.root, Node::Leaf(Arc::default()));
            let least = left.least().clone();
            self.root = Node::Branch(Arc::new(vec![(least, left), right]));
        }
        self.len += usize::from(before.is_none());
        before
    }

    /// Removes a key; gives its value.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let removed = self.root.remove(key)?;
        self.len -= 1;
        while let Node::Branch(children) = &mut self.root
            && children.len() <= 1
        {
            let only = copied::make_mut(children).pop();
            self.root = only.map_or(Node::Leaf(Arc::default()), |(_, child)| child);
        }
        Some(removed)
    }
}

/// Puts a pair into a node; if that is full, gives the right half of it.
fn put<K, V>(pairs: &mut Vec<(K, V)>, at: usize, pair: (K, V)) -> Option<Vec<(K, V)>> {
    if pairs.len() < WIDTH {
        if pairs.len() == pairs.capacity() {
            let room = (pairs.len() * 2).clamp(4, WIDTH);
            pairs.reserve_exact(room - pairs.len());
        }
        pairs.insert(at, pair);
        return None;
    }
    if at == WIDTH {
        // What comes in order fills the nodes.
        return Some(vec![pair]);
    }
    let mut right = Vec::with_capacity(WIDTH);
    right.extend(pairs.drain(WIDTH / 2..));
    match at.checked_sub(pairs.len()) {
        Some(at) => right.insert(at, pair),
        None => pairs.insert(at, pair),
    }
    Some(right)
}

impl<K: Ord + Clone, V: Clone> Node<K, V> {
    /// A key that none below is less than.
    fn least(&self) -> &K {
        match self {
            Node::Leaf(pairs) => &pairs[0].0,
            Node::Branch(children) => &children[0].0,
        }
    }

    /// Sets a value; gives the one before, and a new node on the right if this
    /// one was full.
    fn insert(&mut self, key: K, value: V) -> (Option<V>, Option<Child<K, V>>) {
        let right = match self {
            Node::Leaf(pairs) => {
                let pairs = copied::make_mut(pairs);
                match find(pairs, &key) {
                    Ok(at) => {
                        let before = std::mem::replace(&mut pairs[at].1, value);
                        return (Some(before), None);
                    }
                    Err(at) => put(pairs, at, (key, value)).map(|right| Node::Leaf(right.into())),
                }
            }
            Node::Branch(children) => {
                let children = copied::make_mut(children);
                let at = child_of(children, &key);
                if key < children[at].0 {
                    children[at].0 = key.clone();
                }
                let (before, split) = children[at].1.insert(key, value);
                let Some(split) = split else {
                    return (before, None);
                };
                put(children, at + 1, split).map(|right| Node::Branch(right.into()))
            }
        };
        let right = right.map(|right| (right.least().clone(), right));
        (None, right)
    }

    fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let children = match self {
            Node::Leaf(pairs) => {
                let at = find(pairs, key).ok()?;
                return Some(copied::make_mut(pairs).remove(at).1);
            }
            Node::Branch(children) => copied::make_mut(children),
        };
        let at = child_of(children, key);
        let removed = children[at].1.remove(key)?;
        match children[at].1.width() {
            0 => {
                children.remove(at);
            }
            1..NARROW if !merge(children, at) && at > 0 => {
                merge(children, at - 1);
            }
            _ => {}
        }
        Some(removed)
    }
}

/// Makes one of a child and the next, if both are small.
fn merge<K: Clone, V: Clone>(children: &mut Vec<Child<K, V>>, at: usize) -> bool {
    let Some((_, next)) = children.get(at + 1) else {
        return false;
    };
    if children[at].1.width() + next.width() > MERGED_MAX {
        return false;
    }
    let (_, next) = children.remove(at + 1);
    match (&mut children[at].1, next) {
        (Node::Leaf(pairs), Node::Leaf(next)) => {
            copied::make_mut(pairs).extend(Arc::unwrap_or_clone(next));
        }
        (Node::Branch(nodes), Node::Branch(next)) => {
            copied::make_mut(nodes).extend(Arc::unwrap_or_clone(next));
        }
        _ => unreachable!("all leaves are equally deep"),
    }
    true
}

impl<K: Ord + Borrow<Q>, Q: Ord + ?Sized, V> Index<&Q> for SharedMap<K, V> {
    type Output = V;

    /// # Panics
    /// When there is no such key.
    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("a key that is there")
    }
}

/// Pairs in the order of their keys.
pub struct Iter<'a, K, V> {
    root: &'a Node<K, V>,
    pairs: &'a [(K, V)],
}

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Iter { ..*self }
    }
}

impl<'a, K: Ord, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let ((key, value), rest) = self.pairs.split_first()?;
        self.pairs = match rest {
            [] => self.root.seek(|of| of <= key),
            rest => rest,
        };
        Some((key, value))
    }
}

/// Pairs against the order of their keys.
pub struct IterBack<'a, K, V> {
    root: &'a Node<K, V>,
    pairs: &'a [(K, V)],
}

impl<'a, K: Ord, V> Iterator for IterBack<'a, K, V> {
    type Item = (&'a K, &'a V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let ((key, value), rest) = self.pairs.split_last()?;
        self.pairs = match rest {
            [] => self.root.seek_back(|of| of < key),
            rest => rest,
        };
        Some((key, value))
    }
}

impl<'a, K: Ord, V> IntoIterator for &'a SharedMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Iter<'a, K, V> {
        self.iter()
    }
}

impl<K: Ord + fmt::Debug, V: fmt::Debug> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl<K: Ord, V> SharedMap<K, V> {
    /// Panics where the tree contradicts itself (tests).
    pub fn check_invariants(&self) {
        fn check<K: Ord, V>(node: &Node<K, V>, least: Option<&K>, depth: usize) -> (usize, usize) {
            assert!(node.width() <= WIDTH);
            match node {
                Node::Leaf(pairs) => {
                    assert!(pairs.is_sorted_by(|a, b| a.0 < b.0), "keys ascend");
                    let first = pairs.first().map(|(key, _)| key);
                    assert!(least.is_none_or(|least| first.is_some_and(|first| least <= first)));
                    (pairs.len(), depth)
                }
                Node::Branch(children) => {
                    assert!(children.is_sorted_by(|a, b| a.0 < b.0), "children ascend");
                    assert!(least.is_none_or(|least| *least <= children[0].0));
                    let mut below = None;
                    let counts = children.iter().map(|(least, child)| {
                        let (count, leaf_depth) = check(child, Some(least), depth + 1);
                        assert_eq!(*below.get_or_insert(leaf_depth), leaf_depth, "even");
                        count
                    });
                    (counts.sum(), below.expect("a branch has children"))
                }
            }
        }
        assert_eq!(check(&self.root, None, 0).0, self.len);
        assert_eq!(self.iter().count(), self.len);
        assert!(self.keys().is_sorted_by(|a, b| a < b));
    }
}

#[cfg(test)]
impl<K, V> SharedMap<K, V> {
    /// Number of nodes that another map does not have too.
    pub fn nodes_apart(&self, other: &SharedMap<K, V>) -> usize {
        fn collect<K, V>(node: &Node<K, V>, nodes: &mut std::collections::HashSet<usize>) {
            match node {
                Node::Leaf(pairs) => {
                    nodes.insert(Arc::as_ptr(pairs).addr());
                }
                Node::Branch(children) => {
                    nodes.insert(Arc::as_ptr(children).addr());
                    children.iter().for_each(|(_, child)| collect(child, nodes));
                }
            }
        }
        let (mut ours, mut theirs) = Default::default();
        collect(&self.root, &mut ours);
        collect(&other.root, &mut theirs);
        ours.difference(&theirs).count()
    }
}
