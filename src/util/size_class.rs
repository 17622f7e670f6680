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

#[cfg(test)]
mod tests {
    use super::size_class;

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
