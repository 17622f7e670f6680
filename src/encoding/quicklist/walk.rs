//! Reading a quicklist.

use std::ops::ControlFlow;

use super::node::NodeView;
use super::{End, Quicklist};
use crate::encoding::listpack::Item;

impl Quicklist {
    /// Reads the element of an index; None when there is none.
    pub fn get<R>(&self, index: usize, read: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let (at, within) = self.nodes.seek(index)?;
        let mut scratch = Vec::new();
        self.nodes.get(at).view(&mut scratch).get(within).map(read)
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
            let node = self.nodes.get(at).view(&mut scratch);
            if let ControlFlow::Break(found) = walk_node(node, within, end, &mut visit) {
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
            let within = match node.view(&mut scratch) {
                NodeView::Plain(plain) => (plain == text).then_some(0),
                NodeView::Packed(listpack) => {
                    let found = listpack.find(text, 0);
                    found.map(|at| listpack.iter_to(at).count())
                }
            };
            if let Some(within) = within {
                return Some(index + within);
            }
            index += node.len();
        }
        None
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
