//! What the allocator makes of a size.

/// The allocator's size class of `size` bytes: 16-byte steps to 128, then four
/// classes to each doubling (jemalloc's spacing).
#[inline]
pub fn size_class(size: usize) -> usize {
    if size <= 128 {
        return size.max(1).next_multiple_of(16);
    }
    let spacing = size.next_power_of_two() / 8;
    size.next_multiple_of(spacing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_are_the_allocators() {
        for (size, class) in [
            (1, 16),
            (40, 48),
            (128, 128),
            (129, 160),
            (1040, 1280),
            (4100, 5120),
        ] {
            assert_eq!(size_class(size), class);
        }
    }
}
