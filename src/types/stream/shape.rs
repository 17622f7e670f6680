//! The shape of the radix tree in which Redis keeps the blocks of a stream,
//! which XINFO STREAM tells.

use super::StreamId;
use crate::encoding::shared::SharedMap;

/// Bytes of a key.
const KEY_BYTES: i32 = 16;

/// Number of nodes from a branching to the one above it, between the two: the
/// run of bytes that all keys below have in common.
fn run(depth: i32, above: i32) -> usize {
    usize::from(depth > above + 1)
}

/// How many more nodes there are when a key is put to these, which has not been
/// among them, or less when it is taken away and no longer is.
pub(super) fn nodes_of_key<V>(others: &SharedMap<StreamId, V>, id: StreamId) -> usize {
    let Some(until) = next_to(others, id) else {
        // The root is there already.
        return run(KEY_BYTES, -1);
    };
    let leaf = 1 + run(KEY_BYTES, until);
    // The keys that part from it there.
    let first = others.iter_from(&first_like(id, until)).next();
    let last = others.floor(&last_like(id, until));
    let (Some((first, _)), Some((last, _))) = (first, last) else {
        unreachable!("one of its neighbours is among them");
    };
    let below = match first == last {
        true => KEY_BYTES,
        false => common_bytes(*first, *last),
    };
    if below == until {
        return leaf;
    }
    // The path to them gets a branching.
    let before = others.iter_back_from(first).nth(1);
    let after = others.iter_from(last).nth(1);
    let sides = [
        before.map(|(id, _)| (*id, *first)),
        after.map(|(id, _)| (*last, *id)),
    ];
    let above = { sides.into_iter().flatten() }.map(|(a, b)| common_bytes(a, b));
    let above = above.max().unwrap_or(-1);
    leaf + 1 + run(until, above) + run(below, until) - run(below, above)
}

/// The most bytes that a key begins with as another one does.
fn next_to<V>(others: &SharedMap<StreamId, V>, id: StreamId) -> Option<i32> {
    let before = others.floor(&id);
    let after = others.iter_from(&id).next();
    let neighbours = [before, after].into_iter().flatten();
    neighbours.map(|(other, _)| common_bytes(id, *other)).max()
}

/// The least key that begins with so many bytes of this one.
fn first_like(id: StreamId, bytes: i32) -> StreamId {
    let mut key = id.to_bytes();
    key[bytes as usize..].fill(0);
    StreamId::from_bytes(key)
}

/// The greatest one.
fn last_like(id: StreamId, bytes: i32) -> StreamId {
    let mut key = id.to_bytes();
    key[bytes as usize..].fill(0xff);
    StreamId::from_bytes(key)
}

/// Number of nodes for these keys, which ascend: a leaf for each, one where
/// keys part, and one for each run of bytes in between.
pub(super) fn tree_nodes(ids: impl Iterator<Item = StreamId>) -> usize {
    let mut nodes = 0;
    // Depths at which the path to the last key parts from earlier ones.
    let mut parts: Vec<i32> = Vec::new();
    let mut before: Option<StreamId> = None;
    let mut leaf_above = -1;
    for id in ids {
        if let Some(before) = before {
            let common = common_bytes(before, id);
            nodes += 1 + run(KEY_BYTES, common.max(leaf_above));
            while let Some(depth) = parts.pop_if(|depth| *depth > common) {
                let above = parts.last().copied().unwrap_or(-1).max(common);
                nodes += 1 + run(depth, above);
            }
            if parts.last() != Some(&common) {
                parts.push(common);
            }
            leaf_above = common;
        }
        before = Some(id);
    }
    if before.is_none() {
        return 1;
    }
    nodes += 1 + run(KEY_BYTES, leaf_above);
    while let Some(depth) = parts.pop() {
        nodes += 1 + run(depth, parts.last().copied().unwrap_or(-1));
    }
    nodes
}

/// Number of bytes that both keys begin with.
fn common_bytes(a: StreamId, b: StreamId) -> i32 {
    let (a, b) = (a.to_bytes(), b.to_bytes());
    a.iter().zip(&b).take_while(|(a, b)| a == b).count() as i32
}
