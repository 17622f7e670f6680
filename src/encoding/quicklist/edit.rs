//! Changing a quicklist elsewhere than at its ends.

use super::node::{Node, NodeView};
use super::nodes::Place;
use super::{End, Quicklist};
use crate::encoding::listpack::{Listpack, ListpackDeque, ListpackRef};

/// A side of an element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Towards the head.
    Before,
    /// Towards the tail.
    After,
}

impl Quicklist {
    /// Inserts a text beside the element of an index; false when there is no
    /// such element.
    pub fn insert(&mut self, index: usize, side: Side, text: &[u8]) -> bool {
        let Some((at, within)) = self.nodes.seek(index) else {
            return false;
        };
        let node = self.nodes.get(at);
        let at_end = match side {
            Side::Before => within == 0,
            Side::After => within + 1 == node.len(),
        };
        if node.has_room_for(text, &self.limits) {
            self.edit_node(at, |packed| insert_into(packed, within, side, text));
        } else if at_end {
            self.insert_between(at, side, text);
        } else {
            let kept = within + usize::from(side == Side::After);
            self.insert_by_splitting(at, kept, side, text);
        }
        true
    }

    /// Inserts at the end of a full node: into its neighbour there, or between
    /// the two.
    fn insert_between(&mut self, at: Place, side: Side, text: &[u8]) {
        let neighbour = match side {
            Side::Before => self.nodes.prev(at),
            Side::After => self.nodes.next(at),
        };
        let has_room = |at: &Place| self.nodes.get(*at).has_room_for(text, &self.limits);
        if let Some(neighbour) = neighbour.filter(has_room) {
            return self.edit_node(neighbour, |packed| match side {
                Side::Before => packed.push_back(text),
                Side::After => packed.push_front(text),
            });
        }
        let node = Node::of(text, &self.limits);
        let new = match side {
            Side::Before => self.nodes.insert_before(at, node),
            Side::After => self.nodes.insert_after(at, node),
        };
        let number = self.nodes.number_of(new);
        self.compress_numbers(number.saturating_sub(1)..number + 2);
    }

    /// Inserts in the middle of a full node, of which the first `kept`
    /// elements stay: in the half on whose side the text comes.
    fn insert_by_splitting(&mut self, at: Place, kept: usize, side: Side, text: &[u8]) {
        let mut tail = self.nodes.update(at, |node| split(node, kept));
        let mut number = self.nodes.number_of(at);
        if self.limits.is_plain(text) {
            let plain = Node::of(text, &self.limits);
            let at = self.nodes.insert_after(at, plain);
            self.pack_inner();
            self.nodes.insert_after(at, Node::Packed(tail));
            return self.compress_numbers(number..number + 3);
        }
        match side {
            Side::After => {
                tail.push_front(text);
                self.nodes.insert_after(at, Node::Packed(tail));
            }
            Side::Before => {
                self.nodes.update(at, |node| {
                    if let Some(packed) = node.packed_mut() {
                        packed.push_back(text);
                    }
                });
                self.nodes.insert_after(at, Node::Packed(tail));
                number += 1;
            }
        }
        self.merge_around(number);
        self.compress_numbers(number.saturating_sub(3)..number + 3);
    }

    /// Joins what may be one node, of the two before and the two after a node
    /// and itself, in Redis's order.
    fn merge_around(&mut self, mut number: usize) {
        if number >= 2 && self.merge_with_next(number - 2) {
            number -= 1;
        }
        self.merge_with_next(number + 1);
        if number >= 1 && self.merge_with_next(number - 1) {
            number -= 1;
        }
        self.merge_with_next(number);
    }

    /// Joins the node of this number and the next, if that is allowed.
    fn merge_with_next(&mut self, number: usize) -> bool {
        let Some(at) = self.nodes.nth(number) else {
            return false;
        };
        let Some(next) = self.nodes.next(at) else {
            return false;
        };
        let (node, following) = (self.nodes.get(at), self.nodes.get(next));
        if !node.may_merge(following, &self.limits) {
            return false;
        }
        let (following, _) = self.nodes.remove(next);
        self.nodes.update(at, |node| {
            node.loosen();
            let mut scratch = Vec::new();
            if let (Some(packed), NodeView::Packed(listpack)) =
                (node.packed_mut(), following.view(&mut scratch))
            {
                packed.edit(|own| own.append(listpack));
            }
        });
        true
    }

    /// Puts a text in the place of the element of an index; false when there
    /// is no such element.
    pub fn set(&mut self, index: usize, text: &[u8]) -> bool {
        let Some((at, within)) = self.nodes.seek(index) else {
            return false;
        };
        let plain = self.limits.is_plain(text);
        match self.nodes.get(at) {
            Node::Plain(_) if plain => {
                let node = Node::of(text, &self.limits);
                self.nodes.update(at, |old| *old = node);
            }
            Node::Packed(_) | Node::Dense(_) | Node::Compressed { .. }
                if !plain
                    && self.nodes.get(at).bytes_len() + text.len() < super::PLAIN_FROM_BYTES =>
            {
                self.edit_node(at, |packed| {
                    packed.edit(|listpack| {
                        if let Some(at) = listpack.as_ref().seek(within) {
                            listpack.replace(at, text);
                        }
                    });
                });
            }
            // From a node of its own into a listpack or the other way round.
            _ => {
                self.insert(index, Side::After, text);
                self.remove_range(index, 1);
            }
        }
        true
    }

    /// Removes up to `count` elements from the one of an index on.
    pub fn remove_range(&mut self, start: usize, count: usize) {
        let mut left = count.min(self.len().saturating_sub(start));
        let mut from = self.nodes.seek(start);
        while left > 0
            && let Some((at, within)) = from
        {
            let len = self.nodes.get(at).len();
            let removed = left.min(len - within);
            let next = if removed == len {
                self.nodes.remove(at).1
            } else {
                self.edit_node(at, |packed| remove_from(packed, within, removed));
                self.nodes.next(at)
            };
            from = next.map(|at| (at, 0));
            left -= removed;
        }
        self.pack_inner();
    }

    /// Removes the elements that are this text, at most `max`, the ones
    /// nearest to an end; gives how many they were.
    pub fn remove_matching(&mut self, text: &[u8], max: usize, nearest_to: End) -> usize {
        let mut removed = 0;
        let mut from = self.end(nearest_to);
        while removed < max
            && let Some(at) = from
        {
            // Places before a removed node keep, those after it do not.
            let prev = self.nodes.prev(at);
            let mut next = self.nodes.next(at);
            let offsets = self.matches_in(at, text, max - removed, nearest_to);
            removed += offsets.len();
            if offsets.len() == self.nodes.get(at).len() {
                next = self.nodes.remove(at).1;
            } else if !offsets.is_empty() {
                self.edit_node(at, |packed| {
                    packed.edit(|listpack| listpack.remove_all(&offsets));
                });
            }
            from = match nearest_to {
                End::Left => next,
                End::Right => prev,
            };
        }
        if removed > 0 {
            self.pack_inner();
        }
        removed
    }

    /// Offsets of the elements of a node that are this text, at most `max`.
    fn matches_in(&self, at: Place, text: &[u8], max: usize, nearest_to: End) -> Vec<usize> {
        let node = self.nodes.get(at);
        if let Node::Dense(dense) = node
            && dense.find(text).is_none()
        {
            return Vec::new();
        }
        let mut scratch = Vec::new();
        let mut offsets = match node.view(&mut scratch) {
            NodeView::Plain(plain) if plain == text => vec![0],
            NodeView::Plain(_) => Vec::new(),
            NodeView::Packed(listpack) => offsets_of(listpack, text),
        };
        if offsets.len() > max {
            match nearest_to {
                End::Left => offsets.truncate(max),
                End::Right => drop(offsets.drain(..offsets.len() - max)),
            }
        }
        offsets
    }

    /// Changes the listpack of a node that has one.
    fn edit_node<R>(&mut self, at: Place, change: impl FnOnce(&mut ListpackDeque) -> R) -> R {
        let result = self.nodes.update(at, |node| {
            node.loosen();
            match node.packed_mut() {
                Some(packed) => change(packed),
                None => unreachable!("the caller has seen a listpack"),
            }
        });
        if self.limits.depth > 0 {
            let number = self.nodes.number_of(at);
            if self.is_inner(number) {
                self.nodes.update(at, Node::compress);
            }
        }
        result
    }
}

fn insert_into(packed: &mut ListpackDeque, within: usize, side: Side, text: &[u8]) {
    let last = packed.len() - 1;
    match side {
        Side::Before if within == 0 => packed.push_front(text),
        Side::After if within == last => packed.push_back(text),
        _ => packed.edit(|listpack| {
            let index = within + usize::from(side == Side::After);
            if let Some(at) = listpack.as_ref().seek(index) {
                listpack.insert_before(at, text);
            }
        }),
    }
}

fn remove_from(packed: &mut ListpackDeque, within: usize, count: usize) {
    if within == 0 {
        return packed.drop_front(count);
    }
    packed.edit(|listpack| {
        let view = listpack.as_ref();
        let to_end = within + count == view.len();
        match view.seek(within) {
            Some(at) if to_end => listpack.truncate(at, within),
            Some(at) => drop(listpack.remove(at, count)),
            None => {}
        }
    });
}

/// Takes the elements from the one of index `kept` on out of a node.
fn split(node: &mut Node, kept: usize) -> ListpackDeque {
    node.loosen();
    let Some(packed) = node.packed_mut() else {
        unreachable!("a plain node has no middle");
    };
    packed
        .edit(|listpack| match listpack.as_ref().seek(kept) {
            Some(at) => listpack.split_off(at, kept),
            None => Listpack::new(),
        })
        .into()
}

fn offsets_of(listpack: ListpackRef<'_>, text: &[u8]) -> Vec<usize> {
    let mut offsets = Vec::new();
    let mut from = listpack.find(text, 0);
    while let Some(at) = from {
        offsets.push(at);
        let next = listpack.next(at);
        from = next.and_then(|next| listpack.find_from(next, text, 0));
    }
    offsets
}
