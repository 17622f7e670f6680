//! One node of a quicklist.

use super::Limits;
use super::dense::Dense;
use crate::encoding::listpack::{Item, Listpack, ListpackDeque, ListpackRef};
use crate::util::lzf;
use crate::util::relocate::Mover;
use crate::util::size_class::size_class;

/// Shorter listpacks are not compressed.
const COMPRESS_FROM_BYTES: usize = 48;
/// What compression must save at least, bytes.
const COMPRESS_SAVED_MIN: usize = 8;

/// A node: some elements, or one that is too long for a listpack.
#[derive(Clone, Debug)]
pub enum Node {
    /// Elements in a listpack.
    Packed(ListpackDeque),
    /// One element as it is.
    Plain(Vec<u8>),
    /// Elements in fewer bytes than a listpack's.
    Dense(Dense),
    /// A compressed listpack.
    Compressed {
        /// LZF.
        bytes: Box<[u8]>,
        /// Bytes of the listpack.
        len: u32,
        /// Number of elements.
        count: u32,
    },
}

/// What is in a node, for reading.
#[derive(Clone, Copy)]
pub enum NodeView<'a> {
    /// Elements in a listpack.
    Packed(ListpackRef<'a>),
    /// One element as it is.
    Plain(&'a [u8]),
}

impl Node {
    /// A node of one element.
    pub(super) fn of(text: &[u8], limits: &Limits) -> Node {
        if text.len() >= limits.plain_from_bytes {
            return Node::Plain(text.to_vec());
        }
        let mut packed = ListpackDeque::new();
        packed.push_back(text);
        Node::Packed(packed)
    }

    /// Gives its memory to the mover.
    pub(super) fn relocate(&mut self, mover: &mut Mover) {
        match self {
            Node::Packed(packed) => packed.relocate(mover),
            Node::Plain(text) => mover.vec(text),
            Node::Dense(dense) => dense.relocate(mover),
            Node::Compressed { bytes, .. } => mover.slice(bytes),
        }
    }

    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Node::Packed(packed) => packed.len(),
            Node::Plain(_) => 1,
            Node::Dense(dense) => dense.count(),
            Node::Compressed { count, .. } => *count as usize,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of its listpack, or of the one element.
    #[inline]
    pub fn bytes_len(&self) -> usize {
        match self {
            Node::Packed(packed) => packed.bytes_len(),
            Node::Plain(text) => text.len(),
            Node::Dense(dense) => dense.listpack_len(),
            Node::Compressed { len, .. } => *len as usize,
        }
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        size_class(match self {
            Node::Packed(packed) => packed.capacity(),
            Node::Plain(text) => text.capacity(),
            Node::Dense(dense) => dense.heap_bytes(),
            Node::Compressed { bytes, .. } => bytes.len(),
        })
    }

    /// Whether it holds one element as it is.
    pub fn is_plain(&self) -> bool {
        matches!(self, Node::Plain(_))
    }

    /// Whether it is dense.
    pub fn is_dense(&self) -> bool {
        matches!(self, Node::Dense(_))
    }

    /// Whether it is compressed.
    pub fn is_compressed(&self) -> bool {
        matches!(self, Node::Compressed { .. })
    }

    /// What is in it; a compressed listpack is unpacked into `scratch`.
    #[inline]
    pub fn view<'a>(&'a self, scratch: &'a mut Vec<u8>) -> NodeView<'a> {
        match self {
            Node::Packed(packed) => NodeView::Packed(packed.view()),
            Node::Plain(text) => NodeView::Plain(text),
            Node::Dense(dense) => {
                *scratch = dense.unpack().into_bytes();
                NodeView::Packed(ListpackRef::new(scratch))
            }
            Node::Compressed { bytes, len, .. } => {
                *scratch = decompressed(bytes, *len);
                NodeView::Packed(ListpackRef::new(scratch))
            }
        }
    }

    /// The listpack for change; a node must be [loosened](Node::loosen) first.
    #[inline]
    pub(super) fn packed_mut(&mut self) -> Option<&mut ListpackDeque> {
        match self {
            Node::Packed(packed) => Some(packed),
            Node::Plain(_) | Node::Dense(_) | Node::Compressed { .. } => None,
        }
    }

    /// Whether an element of this length may be added.
    #[inline]
    pub(super) fn has_room_for(&self, text: &[u8], limits: &Limits) -> bool {
        !self.is_plain() && limits.allow(self.bytes_len(), self.len(), text.len())
    }

    /// Whether the elements of both may be in one node.
    pub(super) fn may_merge(&self, next: &Node, limits: &Limits) -> bool {
        if self.is_plain() || next.is_plain() {
            return false;
        }
        let bytes = (self.bytes_len() + next.bytes_len()).saturating_sub(11);
        limits.holds(bytes, self.len() + next.len())
    }

    /// Compresses the listpack if that is worth it.
    pub(super) fn compress(&mut self) {
        let Node::Packed(packed) = self else {
            return;
        };
        let listpack = packed.view().bytes();
        let max = listpack.len().saturating_sub(COMPRESS_SAVED_MIN + 1);
        if listpack.len() < COMPRESS_FROM_BYTES {
            return;
        }
        if let Some(bytes) = lzf::compress(listpack, max) {
            *self = Node::Compressed {
                bytes: bytes.into_boxed_slice(),
                len: listpack.len() as u32,
                count: packed.len() as u32,
            };
        }
    }

    /// Keeps the elements in fewer bytes if there is something to gain.
    pub(super) fn make_dense(&mut self) {
        if let Node::Packed(packed) = self
            && let Some(dense) = Dense::pack(packed.view(), packed.len())
        {
            *self = Node::Dense(dense);
        }
    }

    /// Makes a listpack of what is compressed or dense.
    pub(super) fn loosen(&mut self) {
        match self {
            Node::Packed(_) | Node::Plain(_) => {}
            Node::Dense(dense) => *self = Node::Packed(dense.unpack().into()),
            Node::Compressed { bytes, len, .. } => {
                let listpack = Listpack::from_trusted(decompressed(bytes, *len));
                *self = Node::Packed(listpack.into());
            }
        }
    }

    /// Gives back room that was kept for pushing.
    pub(super) fn seal(&mut self) {
        if let Node::Packed(packed) = self {
            packed.shrink_to_fit();
        }
    }
}

fn decompressed(bytes: &[u8], len: u32) -> Vec<u8> {
    lzf::decompress(bytes, len as usize).expect("compressed by this list or validated")
}

impl<'a> NodeView<'a> {
    /// The element of this index.
    pub fn get(self, index: usize) -> Option<Item<'a>> {
        match self {
            NodeView::Packed(listpack) => listpack.get(index),
            NodeView::Plain(text) => (index == 0).then_some(Item::Bytes(text)),
        }
    }
}
