//! The shape of the radix tree in which Redis keeps the blocks of a stream,
//! which XINFO STREAM tells.

use super::StreamId;

/// Bytes of a key.
const KEY_BYTES: i32 = 16;

/// Number of nodes for these keys, which ascend: a leaf for each, one where
/// keys part, and one for each run of bytes in between.
pub(super) fn tree_nodes(ids: impl Iterator<Item = StreamId>) -> usize {
    let mut nodes = 0;
    // Depths at which the path to the last key parts from earlier ones.
    let mut parts: Vec<i32> = Vec::new();
    let mut before: Option<StreamId> = None;
    // The run of bytes between a node and the one above it.
    let run = |depth: i32, above: i32| usize::from(depth > above + 1);
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
