//! The sizes that the allocator really hands out.

/// The size of the allocation that `bytes` get (jemalloc's classes: multiples
/// of 16 up to 128, then four steps to each doubling). Asking for that much
/// costs nothing more and leaves room to grow.
#[inline]
pub fn size_class(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=8 => 8,
        9..=128 => (bytes + 15) & !15,
        _ => {
            let step = 1usize << ((bytes - 1).ilog2() - 2);
            bytes.saturating_add(step - 1) & !(step - 1)
        }
    }
}

/// Bytes that a map or set of the standard library's trees takes for `len`
/// entries of `entry` bytes, about: nodes have room for 11 entries, of which
/// 7 or so are used where there is more than one node.
pub fn tree_bytes(len: usize, entry: usize) -> usize {
    const ROOM: usize = 11;
    const USED: usize = 7;
    let leaf = (ROOM * entry + 12).next_multiple_of(8);
    if len <= ROOM {
        return if len == 0 { 0 } else { size_class(leaf) };
    }
    let leaves = len.div_ceil(USED);
    let inner = size_class(leaf + (ROOM + 1) * size_of::<usize>());
    // Each level has a seventh of the nodes of the one below.
    let inners = (leaves - 1).div_ceil(USED - 1);
    leaves * size_class(leaf) + inners * inner
}

#[cfg(test)]
mod tests {
    use super::{size_class, tree_bytes};

    /// Nodes of a tree of so many entries that came in order.
    fn nodes(len: usize) -> (usize, usize) {
        // A full node keeps 6 entries, one goes up, 4 begin the next.
        let mut below = len;
        let (mut leaves, mut inners) = (0, 0);
        while below > 11 {
            let nodes = below.div_ceil(7);
            if leaves == 0 {
                leaves = nodes;
            } else {
                inners += nodes;
            }
            below = nodes;
        }
        if leaves == 0 {
            (1, 0)
        } else {
            (leaves, inners + 1)
        }
    }

    #[test]
    fn trees_are_as_big_as_their_nodes() {
        assert_eq!(tree_bytes(0, 24), 0);
        for len in [1, 11, 12, 100, 1000, 100_000] {
            let (leaves, inners) = nodes(len);
            let expected = leaves * size_class(280) + inners * size_class(376);
            let said = tree_bytes(len, 24);
            let ratio = said as f64 / expected as f64;
            assert!((0.9..1.1).contains(&ratio), "{len}: {said} {expected}");
        }
    }

    #[test]
    fn classes_are_those_of_jemalloc() {
        let classes = [
            (1, 8),
            (9, 16),
            (17, 32),
            (33, 48),
            (128, 128),
            (129, 160),
            (161, 192),
            (257, 320),
            (1024, 1024),
            (1025, 1280),
            (8192, 8192),
            (8193, 10240),
        ];
        for (bytes, class) in classes {
            assert_eq!(size_class(bytes), class, "{bytes}");
        }
    }
}
