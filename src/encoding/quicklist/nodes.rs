//! The nodes of a quicklist in their order.
//!
//! A chain of boxes would be slow to seek in, one array slow to insert into
//! and, with millions of nodes, to grow. So it is a sequence of chunks of up
//! to [`CHUNK_NODES`] nodes, each chunk with its number of elements. Copies
//! share their chunks until one of them changes (snapshots, COPY).

use std::collections::VecDeque;
use std::sync::Arc;

use super::node::Node;
use crate::util::copied;
use crate::util::relocate::Mover;
use crate::util::size_class::size_class;

/// Nodes in a chunk.
const CHUNK_NODES: usize = 64;

#[derive(Debug)]
struct Chunk {
    nodes: VecDeque<Node>,
    /// Elements in them.
    items: usize,
}

impl Clone for Chunk {
    fn clone(&self) -> Chunk {
        copied::note(self.nodes.iter().map(Node::heap_bytes).sum());
        Chunk {
            nodes: self.nodes.clone(),
            items: self.items,
        }
    }
}

impl Chunk {
    fn of(node: Node) -> Arc<Chunk> {
        let items = node.len();
        let mut nodes = VecDeque::with_capacity(1);
        nodes.push_back(node);
        Arc::new(Chunk { nodes, items })
    }
}

/// A sequence of nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    chunks: VecDeque<Arc<Chunk>>,
    nodes: usize,
    items: usize,
}

/// Where a node is. It holds until nodes are inserted or removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    chunk: usize,
    node: usize,
}

impl Nodes {
    /// Number of nodes.
    pub(super) fn len(&self) -> usize {
        self.nodes
    }

    /// Number of elements in all nodes.
    #[inline]
    pub(super) fn items(&self) -> usize {
        self.items
    }

    #[inline]
    pub(super) fn get(&self, at: Place) -> &Node {
        &self.chunks[at.chunk].nodes[at.node]
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Node> {
        self.chunks.iter().flat_map(|chunk| chunk.nodes.iter())
    }

    #[inline]
    pub(super) fn first(&self) -> Option<Place> {
        (self.nodes > 0).then_some(Place { chunk: 0, node: 0 })
    }

    #[inline]
    pub(super) fn last(&self) -> Option<Place> {
        let chunk = self.chunks.len().checked_sub(1)?;
        let node = self.chunks[chunk].nodes.len() - 1;
        Some(Place { chunk, node })
    }

    #[inline]
    pub(super) fn next(&self, at: Place) -> Option<Place> {
        self.existing(Place {
            chunk: at.chunk,
            node: at.node + 1,
        })
    }

    #[inline]
    pub(super) fn prev(&self, at: Place) -> Option<Place> {
        if at.node > 0 {
            let node = at.node - 1;
            return Some(Place { node, ..at });
        }
        let chunk = at.chunk.checked_sub(1)?;
        let node = self.chunks[chunk].nodes.len() - 1;
        Some(Place { chunk, node })
    }

    /// The place, or the first of the next chunk where it is just behind one.
    fn existing(&self, at: Place) -> Option<Place> {
        let chunk = self.chunks.get(at.chunk)?;
        if at.node < chunk.nodes.len() {
            return Some(at);
        }
        let chunk = at.chunk + 1;
        (chunk < self.chunks.len()).then_some(Place { chunk, node: 0 })
    }

    /// The node that has the element of this index, and the index within it.
    pub(super) fn seek(&self, index: usize) -> Option<(Place, usize)> {
        if index >= self.items {
            return None;
        }
        if index < self.items / 2 {
            self.seek_forward(index)
        } else {
            self.seek_backward(self.items - index)
        }
    }

    fn seek_forward(&self, mut index: usize) -> Option<(Place, usize)> {
        for (chunk, of) in self.chunks.iter().enumerate() {
            if index >= of.items {
                index -= of.items;
                continue;
            }
            for (node, of) in of.nodes.iter().enumerate() {
                if index < of.len() {
                    return Some((Place { chunk, node }, index));
                }
                index -= of.len();
            }
        }
        None
    }

    /// `left` is the number of elements from the one sought to the end.
    fn seek_backward(&self, mut left: usize) -> Option<(Place, usize)> {
        for (chunk, of) in self.chunks.iter().enumerate().rev() {
            if left > of.items {
                left -= of.items;
                continue;
            }
            for (node, of) in of.nodes.iter().enumerate().rev() {
                if left <= of.len() {
                    return Some((Place { chunk, node }, of.len() - left));
                }
                left -= of.len();
            }
        }
        None
    }

    /// The node of this number, counted from the first.
    pub(super) fn nth(&self, mut number: usize) -> Option<Place> {
        if number >= self.nodes / 2 {
            return self.nth_back(self.nodes.checked_sub(number + 1)?);
        }
        for (chunk, of) in self.chunks.iter().enumerate() {
            if number < of.nodes.len() {
                let node = number;
                return Some(Place { chunk, node });
            }
            number -= of.nodes.len();
        }
        None
    }

    /// The node of this number, counted from the last.
    pub(super) fn nth_back(&self, mut number: usize) -> Option<Place> {
        for (chunk, of) in self.chunks.iter().enumerate().rev() {
            if number < of.nodes.len() {
                let node = of.nodes.len() - 1 - number;
                return Some(Place { chunk, node });
            }
            number -= of.nodes.len();
        }
        None
    }

    /// The number of the node, counted from the first.
    pub(super) fn number_of(&self, at: Place) -> usize {
        let before = self.chunks.iter().take(at.chunk);
        before.map(|chunk| chunk.nodes.len()).sum::<usize>() + at.node
    }

    /// Changes a node; what it has of elements is counted anew.
    #[inline]
    pub(super) fn update<R>(&mut self, at: Place, change: impl FnOnce(&mut Node) -> R) -> R {
        let chunk = Arc::make_mut(&mut self.chunks[at.chunk]);
        let node = &mut chunk.nodes[at.node];
        let before = node.len();
        let result = change(node);
        let after = node.len();
        chunk.items = chunk.items - before + after;
        self.items = self.items - before + after;
        result
    }

    pub(super) fn push_front(&mut self, node: Node) {
        match self.chunks.front_mut() {
            Some(chunk) if chunk.nodes.len() < CHUNK_NODES => {
                let chunk = Arc::make_mut(chunk);
                chunk.items += node.len();
                self.items += node.len();
                self.nodes += 1;
                chunk.nodes.push_front(node);
            }
            _ => {
                self.items += node.len();
                self.nodes += 1;
                self.chunks.push_front(Chunk::of(node));
            }
        }
    }

    pub(super) fn push_back(&mut self, node: Node) {
        self.items += node.len();
        self.nodes += 1;
        match self.chunks.back_mut() {
            Some(chunk) if chunk.nodes.len() < CHUNK_NODES => {
                let chunk = Arc::make_mut(chunk);
                chunk.items += node.len();
                chunk.nodes.push_back(node);
            }
            _ => self.chunks.push_back(Chunk::of(node)),
        }
    }

    /// Inserts a node before the one at a place; gives its own place.
    pub(super) fn insert_before(&mut self, mut at: Place, node: Node) -> Place {
        if self.chunks[at.chunk].nodes.len() >= CHUNK_NODES {
            at = self.split_chunk(at);
        }
        self.items += node.len();
        self.nodes += 1;
        let chunk = Arc::make_mut(&mut self.chunks[at.chunk]);
        chunk.items += node.len();
        chunk.nodes.insert(at.node, node);
        at
    }

    /// Inserts a node after the one at a place; gives its own place.
    pub(super) fn insert_after(&mut self, at: Place, node: Node) -> Place {
        match self.next(at) {
            Some(next) if next.chunk == at.chunk => self.insert_before(next, node),
            _ if self.chunks[at.chunk].nodes.len() < CHUNK_NODES => self.insert_before(
                Place {
                    node: at.node + 1,
                    ..at
                },
                node,
            ),
            Some(next) => self.insert_before(next, node),
            None => {
                self.push_back(node);
                Place {
                    chunk: at.chunk + 1,
                    node: 0,
                }
            }
        }
    }

    /// Makes two chunks of the one of a place; gives where the node then is.
    fn split_chunk(&mut self, at: Place) -> Place {
        let chunk = Arc::make_mut(&mut self.chunks[at.chunk]);
        let half = chunk.nodes.len() / 2;
        let nodes = chunk.nodes.split_off(half);
        let items = nodes.iter().map(Node::len).sum();
        chunk.items -= items;
        chunk.nodes.shrink_to_fit();
        let split = Arc::new(Chunk { nodes, items });
        self.chunks.insert(at.chunk + 1, split);
        if at.node < half {
            return at;
        }
        Place {
            chunk: at.chunk + 1,
            node: at.node - half,
        }
    }

    /// Removes a node; gives it, and the place of the one that followed.
    /// Places before it keep.
    pub(super) fn remove(&mut self, at: Place) -> (Node, Option<Place>) {
        let chunk = Arc::make_mut(&mut self.chunks[at.chunk]);
        let node = chunk.nodes.remove(at.node).expect("the place of a node");
        chunk.items -= node.len();
        self.items -= node.len();
        self.nodes -= 1;
        if chunk.nodes.is_empty() {
            self.chunks.remove(at.chunk);
        } else if chunk.nodes.len() < CHUNK_NODES / 4 {
            self.fill_up(at.chunk);
        }
        (node, self.existing(at))
    }

    /// Joins a chunk that has become small with the next, if both are small.
    fn fill_up(&mut self, at: usize) {
        let joined = |next: &Chunk| self.chunks[at].nodes.len() + next.nodes.len();
        let fits = |next: &Arc<Chunk>| joined(next) <= CHUNK_NODES / 2;
        if self.chunks.get(at + 1).is_some_and(fits)
            && let Some(mut next) = self.chunks.remove(at + 1)
        {
            let chunk = Arc::make_mut(&mut self.chunks[at]);
            let next = Arc::make_mut(&mut next);
            chunk.nodes.append(&mut next.nodes);
            chunk.items += next.items;
        }
    }

    /// Gives the nodes of a chunk to the mover, unless a copy shares them; the
    /// number of nodes, none behind the last chunk.
    pub(super) fn relocate(&mut self, chunk: usize, mover: &mut Mover) -> Option<usize> {
        let chunk = self.chunks.get_mut(chunk)?;
        let count = chunk.nodes.len();
        if let Some(chunk) = Arc::get_mut(chunk) {
            let mut nodes = Vec::from(std::mem::take(&mut chunk.nodes));
            mover.vec(&mut nodes);
            nodes.iter_mut().for_each(|node| node.relocate(mover));
            chunk.nodes = nodes.into();
        }
        Some(count)
    }

    /// Whether a copy shares some of them.
    pub(super) fn are_shared(&self) -> bool {
        self.chunks.iter().any(|chunk| Arc::strong_count(chunk) > 1)
    }

    /// Bytes on the heap beside those of the nodes.
    pub(super) fn overhead_bytes(&self) -> usize {
        let chunks = self.chunks.iter();
        let nodes = chunks.map(|chunk| size_class(chunk.nodes.capacity() * size_of::<Node>()));
        nodes.sum::<usize>()
            + self.chunks.len() * size_class(size_of::<Chunk>() + 16)
            + size_class(self.chunks.capacity() * size_of::<Arc<Chunk>>())
    }

    /// Panics where a count is wrong or a node is empty.
    pub(super) fn check_invariants(&self) {
        let (mut nodes, mut items) = (0, 0);
        for chunk in &self.chunks {
            assert!((1..=CHUNK_NODES).contains(&chunk.nodes.len()));
            let of_nodes: usize = chunk.nodes.iter().map(Node::len).sum();
            assert_eq!(chunk.items, of_nodes);
            assert!(chunk.nodes.iter().all(|node| !node.is_empty()));
            nodes += chunk.nodes.len();
            items += chunk.items;
        }
        assert_eq!((self.nodes, self.items), (nodes, items));
    }
}
