//! Reading a quicklist.

use std::ops::ControlFlow;

use super::node::{Node, NodeView};
use super::{End, Quicklist};
use crate::encoding::listpack::Item;

impl Quicklist {
    /// Reads the element of an index; None when there is none.
    pub fn get<R>(&self, index: usize, read: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let (at, within) = self.nodes.seek(index)?;
        match self.nodes.get(at) {
            Node::Dense(dense) => dense.get(within, read),
            node => node.view(&mut Vec::new()).get(within).map(read),
        }
    }

    /// Goes over elements from the one of index `from` on, away from the end
    /// `end`, until `visit` breaks.
    #[inline]
    pub fn walk<B>(
        &self,
        from: usize,
        end: End,
        mut visit: impl FnMut(Item<'_>) -> ControlFlow<B>,
    ) -> Option<B> {
        let (mut at, mut within) = self.nodes.seek(from)?;
        let mut scratch = Vec::new();
        loop {
            let flow = match (self.nodes.get(at), end) {
                (Node::Dense(dense), End::Left) => dense.walk(within, &mut visit),
                (Node::Dense(dense), End::Right) => dense.walk_back(within, &mut visit),
                (node, end) => walk_node(node.view(&mut scratch), within, end, &mut visit),
            };
            if let ControlFlow::Break(found) = flow {
                return Some(found);
            }
            match end {
                End::Left => {
                    at = self.nodes.next(at)?;
                    within = 0;
                }
                End::Right => {
                    at = self.nodes.prev(at)?;
                    within = self.nodes.get(at).len() - 1;
                }
            }
        }
    }

    /// Index of the first element that is this text.
    pub fn find(&self, text: &[u8]) -> Option<usize> {
        let mut index = 0;
        let mut scratch = Vec::new();
        for node in self.nodes.iter() {
            let within = match node {
                Node::Dense(dense) => dense.find(text),
                node => find_in(node.view(&mut scratch), text),
            };
            if let Some(within) = within {
                return Some(index + within);
            }
            index += node.len();
        }
        None
    }
}

/// Index of the first element of a node that is this text.
fn find_in(node: NodeView<'_>, text: &[u8]) -> Option<usize> {
    match node {
        NodeView::Plain(plain) => (plain == text).then_some(0),
        NodeView::Packed(listpack) => {
            let found = listpack.find(text, 0);
            found.map(|at| listpack.iter_to(at).count())
        }
    }
}

/// Goes over the elements of one node, from the one of index `from` on.
#[inline]
fn walk_node<B>(
    node: NodeView<'_>,
    from: usize,
    end: End,
    visit: &mut impl FnMut(Item<'_>) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let listpack = match node {
        NodeView::Plain(text) => return visit(Item::Bytes(text)),
        NodeView::Packed(listpack) => listpack,
    };
    let Some(at) = listpack.seek(from) else {
        return ControlFlow::Continue(());
    };
    match end {
        End::Left => listpack.iter_from(at).try_for_each(visit),
        End::Right => {
            let end = listpack.next(at).unwrap_or(listpack.end());
            listpack.iter_to(end).rev().try_for_each(visit)
        }
    }
}
