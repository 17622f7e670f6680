//! The quicklist: a list as a sequence of listpacks.
//!
//! Elements are packed into nodes whose size `list-max-listpack-size` limits;
//! what is longer than a listpack may hold has a node of its own. With
//! `list-compress-depth`, all nodes but so many at each end are compressed;
//! without, those in the middle of a long list are kept in a form of our own
//! (see `dense`) that takes less memory where elements are alike, and hardly
//! more time.
//! How elements are spread over nodes follows Redis's rules, since DUMP and
//! DEBUG OBJECT show it.
//!
//! The nodes stand in an array of arrays (see `nodes`): 24 bytes of a Redis
//! node are links and an allocation of its own, and seeking in a chain of
//! nodes costs a cache miss each.

mod dense;
mod edit;
mod node;
mod nodes;
#[cfg(test)]
mod tests;
mod walk;

pub use dense::Dense;
pub use edit::Side;
pub use node::{Node, NodeView};

use std::ops::Range;

use crate::encoding::listpack::{Item, Listpack};
use crate::util::relocate::Mover;
use crate::util::size_class::size_class;
use nodes::{Nodes, Place};

/// Listpack bytes that `list-max-listpack-size` -1 to -5 stand for.
const SIZE_CLASSES: [usize; 5] = [4096, 8192, 16_384, 32_768, 65_536];
/// Bytes of a node of several elements where only their number is limited.
const COUNTED_BYTES_MAX: usize = 8192;
/// What an element is taken to need beside its text, bytes.
const ELEMENT_OVERHEAD: usize = 8;
/// Texts of this length have a node of their own.
pub const PLAIN_FROM_BYTES: usize = 1 << 30;

/// Nodes by which the memory of a list is judged at least.
const SAMPLES_MIN: usize = 32;

/// Nodes at each end that are not made dense.
const DENSE_BEHIND: usize = 2;

/// How big nodes are, and which are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Elements of a node, or, negative, a class of bytes.
    fill: i32,
    /// Nodes at each end that are not compressed; 0: none is compressed.
    depth: usize,
    /// Length of text that has a node of its own, bytes.
    plain_from_bytes: usize,
}

impl Limits {
    /// The limits that these directives set (values beyond what Redis keeps
    /// of them count as the furthest it does).
    pub fn new(max_listpack_size: i32, compress_depth: u32, plain_from_bytes: usize) -> Limits {
        Limits {
            fill: max_listpack_size.clamp(-5, 32_767),
            depth: compress_depth.min(65_535) as usize,
            plain_from_bytes,
        }
    }

    /// Length of text that has a node of its own, bytes.
    pub fn plain_from_bytes(&self) -> usize {
        self.plain_from_bytes
    }

    /// Elements of a node, or, negative, a class of bytes.
    pub fn fill(&self) -> i32 {
        self.fill
    }

    /// Nodes at each end that are not compressed; 0: none is compressed.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Whether a text has a node of its own.
    #[inline]
    pub fn is_plain(&self, text: &[u8]) -> bool {
        text.len() >= self.plain_from_bytes
    }

    /// Whether a listpack of `bytes` and `count` elements may take a text of
    /// this length in.
    #[inline]
    pub fn allow(&self, bytes: usize, count: usize, text_len: usize) -> bool {
        if text_len >= self.plain_from_bytes {
            return false;
        }
        let bytes = bytes + text_len + ELEMENT_OVERHEAD;
        match self.bytes_max() {
            Some(max) => bytes <= max,
            None => bytes <= COUNTED_BYTES_MAX && (count as i64) < i64::from(self.fill),
        }
    }

    /// Whether a node may have so many bytes and elements.
    fn holds(&self, bytes: usize, count: usize) -> bool {
        match self.bytes_max() {
            Some(max) => bytes <= max,
            None => bytes <= COUNTED_BYTES_MAX && count as i64 <= i64::from(self.fill),
        }
    }

    #[inline]
    fn bytes_max(&self) -> Option<usize> {
        let class = usize::try_from(-1 - self.fill).ok()?;
        SIZE_CLASSES.get(class).copied()
    }
}

/// An end of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The head.
    Left,
    /// The tail.
    Right,
}

/// A list of texts.
#[derive(Clone, Debug)]
pub struct Quicklist {
    nodes: Nodes,
    limits: Limits,
}

impl Quicklist {
    /// An empty list.
    pub fn new(limits: Limits) -> Quicklist {
        Quicklist {
            nodes: Nodes::default(),
            limits,
        }
    }

    /// A list of the elements of one listpack.
    pub fn from_listpack(listpack: Listpack, limits: Limits) -> Quicklist {
        let mut list = Quicklist::new(limits);
        list.push_listpack(listpack);
        list
    }

    /// Adds a listpack as a node at the end, as files have them.
    pub fn push_listpack(&mut self, listpack: Listpack) {
        if !listpack.as_ref().is_empty() {
            self.push_node(End::Right, Node::Packed(listpack.into()));
        }
    }

    /// Adds a text as a node of its own at the end, as files have them.
    pub fn push_plain(&mut self, text: Vec<u8>) {
        self.push_node(End::Right, Node::Plain(text));
    }

    /// From which length on a text has a node of its own, for what comes.
    pub fn set_plain_from(&mut self, bytes: usize) {
        self.limits.plain_from_bytes = bytes;
    }

    /// Gives the nodes from the one at `chunk` on to the mover, some at once;
    /// the number of nodes that were looked at, none behind the last.
    pub fn relocate(&mut self, chunk: usize, mover: &mut Mover) -> Option<usize> {
        self.nodes.relocate(chunk, mover)
    }

    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.nodes.items()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a copy shares nodes.
    pub fn is_shared(&self) -> bool {
        self.nodes.are_shared()
    }

    /// Number of nodes.
    pub fn nodes_len(&self) -> usize {
        self.nodes.len()
    }

    /// The limits it was made with.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The nodes.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = &Node> {
        self.nodes.iter()
    }

    /// The listpack of a list that has only this one, not compressed.
    pub fn as_listpack(&self) -> Option<&[u8]> {
        let only = self.nodes.first().filter(|_| self.nodes.len() == 1)?;
        match self.nodes.get(only) {
            Node::Packed(packed) => Some(packed.view().bytes()),
            _ => None,
        }
    }

    /// Bytes on the heap, judged by `samples` nodes: those at the ends are not
    /// like those in the middle, so they are taken from everywhere.
    pub fn estimated_bytes(&self, samples: usize) -> usize {
        // Those at the ends are of another form than most, so few do not do.
        let samples = samples.max(SAMPLES_MIN);
        let nodes = self.nodes.len();
        let bytes: usize = if samples >= nodes {
            self.nodes.iter().map(Node::heap_bytes).sum()
        } else {
            let sampled = (0..samples).filter_map(|sample| {
                let number = (sample * 2 + 1) * nodes / (samples * 2);
                self.nodes.nth(number)
            });
            let bytes: usize = sampled.map(|at| self.nodes.get(at).heap_bytes()).sum();
            (bytes as f64 / samples as f64 * nodes as f64) as usize
        };
        bytes + self.nodes.overhead_bytes() + size_class(size_of::<Quicklist>())
    }

    /// Adds an element at an end.
    #[inline]
    pub fn push(&mut self, end: End, text: &[u8]) {
        if let Some(at) = self.end(end)
            && self.nodes.get(at).has_room_for(text, &self.limits)
        {
            return self.nodes.update(at, |node| {
                let Some(packed) = node.packed_mut() else {
                    unreachable!("the ends are not compressed");
                };
                match end {
                    End::Left => packed.push_front(text),
                    End::Right => packed.push_back(text),
                }
            });
        }
        self.push_node(end, Node::of(text, &self.limits));
    }

    /// Takes the element at an end out; None when there is none.
    #[inline]
    pub fn pop<R>(&mut self, end: End, take: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let at = self.end(end)?;
        if let Node::Plain(text) = self.nodes.get(at) {
            let taken = take(Item::Bytes(text));
            self.remove_node(at);
            return Some(taken);
        }
        let taken = self.nodes.update(at, |node| {
            let packed = node.packed_mut()?;
            match end {
                End::Left => packed.pop_front(take),
                End::Right => packed.pop_back(take),
            }
        });
        if self.nodes.get(at).is_empty() {
            self.remove_node(at);
        }
        taken
    }

    #[inline]
    fn end(&self, end: End) -> Option<Place> {
        match end {
            End::Left => self.nodes.first(),
            End::Right => self.nodes.last(),
        }
    }

    fn push_node(&mut self, end: End, node: Node) {
        if let Some(at) = self.end(end) {
            self.nodes.update(at, Node::seal);
        }
        match end {
            End::Left => self.nodes.push_front(node),
            End::Right => self.nodes.push_back(node),
        }
        self.pack_inner();
    }

    fn remove_node(&mut self, at: Place) -> Option<Place> {
        let next = self.nodes.remove(at).1;
        self.pack_inner();
        next
    }

    /// Whether nodes of this number are to be compressed.
    fn is_inner(&self, number: usize) -> bool {
        let depth = self.limits.depth;
        depth > 0 && number >= depth && number < self.nodes.len().saturating_sub(depth)
    }

    /// After nodes have come or gone: the ends are listpacks, and what may have
    /// been an end is compressed or made dense.
    #[inline]
    fn pack_inner(&mut self) {
        if self.limits.depth > 0 {
            self.compress_numbers(0..0);
        } else {
            self.make_dense_behind_ends();
        }
    }

    /// Nodes become dense when two others are between them and an end, and
    /// loose when they are an end: what goes to and fro at an end costs nothing.
    fn make_dense_behind_ends(&mut self) {
        for at in [self.nodes.first(), self.nodes.last()]
            .into_iter()
            .flatten()
        {
            self.nodes.update(at, Node::loosen);
        }
        if self.nodes.len() > DENSE_BEHIND * 2 {
            let behind = [
                self.nodes.nth(DENSE_BEHIND),
                self.nodes.nth_back(DENSE_BEHIND),
            ];
            for at in behind.into_iter().flatten() {
                self.nodes.update(at, Node::make_dense);
            }
        }
    }

    /// As [`pack_inner`](Quicklist::pack_inner), and the inner ones among the
    /// nodes of these numbers are compressed too.
    fn compress_numbers(&mut self, changed: Range<usize>) {
        let depth = self.limits.depth;
        if depth == 0 {
            return self.make_dense_behind_ends();
        }
        for number in 0..depth.min(self.nodes.len()) {
            let places = [self.nodes.nth(number), self.nodes.nth_back(number)];
            for at in places.into_iter().flatten() {
                self.nodes.update(at, Node::loosen);
            }
        }
        let next_to_ends = [depth, self.nodes.len().saturating_sub(depth + 1)];
        for number in changed.chain(next_to_ends) {
            if self.is_inner(number)
                && let Some(at) = self.nodes.nth(number)
            {
                self.nodes.update(at, Node::compress);
            }
        }
    }

    /// Panics where the structure is wrong.
    pub fn check_invariants(&self) {
        self.nodes.check_invariants();
        for (number, node) in self.nodes.iter().enumerate() {
            match node {
                Node::Packed(packed) => {
                    packed.check_invariants();
                    let mut node = node.clone();
                    if self.is_inner(number) {
                        node.compress();
                    }
                    assert!(!node.is_compressed(), "worth compressing");
                }
                Node::Plain(_) => {}
                Node::Dense(dense) => {
                    assert!(number > 0 && number + 1 < self.nodes.len());
                    assert_eq!(dense.unpack().as_ref().len(), dense.count());
                }
                Node::Compressed { count, .. } => {
                    assert!(self.is_inner(number));
                    let mut node = node.clone();
                    node.loosen();
                    assert!(matches!(node, Node::Packed(_)) && node.len() == *count as usize);
                }
            }
        }
    }
}
