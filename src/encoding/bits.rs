//! Strings as arrays of bits: bit 0 is the highest of the first byte.

use std::ops::Range;

/// Room that a growing string gets beyond its length at most (Redis:
/// SDS_MAX_PREALLOC).
const SPARE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of the result that [`combine`] computes before it goes on, few enough
/// to stay in the fastest cache while every source has its turn.
const BLOCK_BYTES: usize = 8 * 1024;

/// A bit; those beyond the end are 0.
pub fn get(bytes: &[u8], index: u64) -> bool {
    let byte = usize::try_from(index / 8).ok().and_then(|at| bytes.get(at));
    byte.is_some_and(|byte| byte & mask(index) != 0)
}

/// Sets or clears a bit.
///
/// # Panics
/// When it lies beyond the end.
pub fn set(bytes: &mut [u8], index: u64, on: bool) {
    let byte = &mut bytes[(index / 8) as usize];
    if on {
        *byte |= mask(index);
    } else {
        *byte &= !mask(index);
    }
}

fn mask(index: u64) -> u8 {
    0x80 >> (index % 8)
}

/// Makes a string at least `len` bytes long, with zero bytes at the end. What
/// it grows by is not written to where the allocator gives it zeroed.
pub fn pad(bytes: &mut Vec<u8>, len: usize) {
    let old_len = bytes.len();
    if len <= old_len {
        return;
    }
    if len > bytes.capacity() {
        let capacity = len.saturating_add(len.min(SPARE_BYTES_MAX));
        if len / 2 >= old_len {
            let mut grown = vec![0; capacity];
            grown.truncate(len);
            grown[..old_len].copy_from_slice(bytes);
            *bytes = grown;
            return;
        }
        bytes.reserve_exact(capacity - old_len);
    }
    bytes.resize(len, 0);
}

/// Number of ones.
pub fn count(bytes: &[u8]) -> u64 {
    // Harley and Seal's way: adders turn eight vectors into one whose ones
    // count eight each, so that few vectors have to be counted themselves.
    let (blocks, rest) = bytes.as_chunks::<{ 8 * VECTOR_BYTES }>();
    let (mut ones, mut twos, mut fours, mut eights) = (ZEROS, ZEROS, ZEROS, 0);
    for block in blocks {
        let (v, _) = block.as_chunks::<VECTOR_BYTES>();
        let (two_a, one) = add(ones, load(&v[0]), load(&v[1]));
        let (two_b, one) = add(one, load(&v[2]), load(&v[3]));
        let (four_a, two) = add(twos, two_a, two_b);
        let (two_a, one) = add(one, load(&v[4]), load(&v[5]));
        let (two_b, one) = add(one, load(&v[6]), load(&v[7]));
        let (four_b, two) = add(two, two_a, two_b);
        let (eight, four) = add(fours, four_a, four_b);
        (ones, twos, fours) = (one, two, four);
        eights += ones_in(eight);
    }
    let in_blocks = 8 * eights + 4 * ones_in(fours) + 2 * ones_in(twos) + ones_in(ones);
    let (words, tail) = rest.as_chunks();
    let in_words = words
        .iter()
        .map(|word| u64::from(u64::from_ne_bytes(*word).count_ones()));
    let in_tail = tail.iter().map(|byte| u64::from(byte.count_ones()));
    in_blocks + in_words.sum::<u64>() + in_tail.sum::<u64>()
}

/// As much as instructions work on at once, where they are wide.
type Vector = [u64; 4];
const VECTOR_BYTES: usize = size_of::<Vector>();
const ZEROS: Vector = [0; 4];

fn load(bytes: &[u8; VECTOR_BYTES]) -> Vector {
    let (words, _) = bytes.as_chunks();
    std::array::from_fn(|at| u64::from_ne_bytes(words[at]))
}

fn ones_in(vector: Vector) -> u64 {
    vector.iter().map(|word| u64::from(word.count_ones())).sum()
}

/// Adds the bits of equal place: carries and sums.
fn add(a: Vector, b: Vector, c: Vector) -> (Vector, Vector) {
    let carry = std::array::from_fn(|at| (a[at] & b[at]) | ((a[at] ^ b[at]) & c[at]));
    (carry, std::array::from_fn(|at| a[at] ^ b[at] ^ c[at]))
}

/// Number of ones among the bits of a range.
///
/// # Panics
/// When the range goes beyond the end.
pub fn count_range(bytes: &[u8], range: Range<u64>) -> u64 {
    if range.is_empty() {
        return 0;
    }
    let (first, last) = ((range.start / 8) as usize, ((range.end - 1) / 8) as usize);
    // Whole bytes, less what they have outside of the range.
    let before = bytes[first] & !(0xff >> (range.start % 8));
    let after = bytes[last] & (0x7f >> ((range.end - 1) % 8));
    let outside = before.count_ones() + after.count_ones();
    count(&bytes[first..=last]) - u64::from(outside)
}

/// The first bit of a range that is `bit`.
///
/// # Panics
/// When the range goes beyond the end.
pub fn find(bytes: &[u8], range: Range<u64>, bit: bool) -> Option<u64> {
    if range.is_empty() {
        return None;
    }
    let (first, last) = ((range.start / 8) as usize, ((range.end - 1) / 8) as usize);
    // Ones are what is looked for.
    let wanted = |byte: u8| if bit { byte } else { !byte };
    let head = wanted(bytes[first]) & (0xff >> (range.start % 8));
    let (at, byte) = if head != 0 {
        (first, head)
    } else {
        let rest = &bytes[first + 1..=last];
        let at = first_other(rest, wanted(0))?;
        (first + 1 + at, wanted(rest[at]))
    };
    let found = at as u64 * 8 + u64::from(byte.leading_zeros());
    (found < range.end).then_some(found)
}

/// Index of the first byte that is not `skipped`.
fn first_other(bytes: &[u8], skipped: u8) -> Option<usize> {
    let (words, tail) = bytes.as_chunks();
    let skipped_word = [skipped; 8];
    let other = words
        .iter()
        .position(|word| u64::from_ne_bytes(*word) != u64::from_ne_bytes(skipped_word));
    let (start, rest) = match other {
        Some(at) => (at * 8, words[at].as_slice()),
        None => (words.len() * 8, tail),
    };
    let at = rest.iter().position(|byte| *byte != skipped)?;
    Some(start + at)
}

/// What [`combine`] does with the bits of equal index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// All are one.
    And,
    /// Some are one.
    Or,
    /// An odd number of them are one.
    Xor,
    /// The (only) one is zero.
    Not,
}

/// Combines strings bit by bit; the result is as long as the longest, and the
/// others count as padded with zero bytes.
pub fn combine(operation: Operation, sources: &[&[u8]]) -> Vec<u8> {
    let len = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let mut result = vec![0; len];
    for (index, block) in result.chunks_mut(BLOCK_BYTES).enumerate() {
        let start = index * BLOCK_BYTES;
        let block_len = block.len();
        let mut parts = sources.iter().map(|source| {
            let part = source.get(start..).unwrap_or_default();
            &part[..part.len().min(block_len)]
        });
        let first = parts.next().unwrap_or_default();
        block[..first.len()].copy_from_slice(first);
        if operation == Operation::Not {
            block.iter_mut().for_each(|byte| *byte = !*byte);
        }
        for part in parts {
            let (both, beyond) = block.split_at_mut(part.len());
            match operation {
                Operation::And => {
                    zip_words(both, part, |a, b| a & b);
                    beyond.fill(0);
                }
                Operation::Or => zip_words(both, part, |a, b| a | b),
                Operation::Xor | Operation::Not => zip_words(both, part, |a, b| a ^ b),
            }
        }
    }
    result
}

/// Applies a bitwise function to strings of equal length, word by word.
fn zip_words(into: &mut [u8], from: &[u8], apply: impl Fn(u64, u64) -> u64) {
    let (into_words, into_tail) = into.as_chunks_mut::<8>();
    let (from_words, from_tail) = from.as_chunks::<8>();
    for (a, b) in into_words.iter_mut().zip(from_words) {
        *a = apply(u64::from_ne_bytes(*a), u64::from_ne_bytes(*b)).to_ne_bytes();
    }
    for (a, b) in into_tail.iter_mut().zip(from_tail) {
        *a = apply(u64::from(*a), u64::from(*b)) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The bits one by one.
    fn model(bytes: &[u8]) -> Vec<bool> {
        let bits = |byte: &u8| {
            let byte = *byte;
            (0..8).map(move |at| byte >> (7 - at) & 1 == 1)
        };
        bytes.iter().flat_map(bits).collect()
    }

    /// Strings with long runs of equal bits, and any.
    fn strings() -> impl Strategy<Value = Vec<u8>> {
        let bytes = prop_oneof![Just(0u8), Just(0xff), any::<u8>()];
        let runs = proptest::collection::vec((bytes, 0..200usize), 0..6).prop_map(|runs| {
            let run = |(byte, len): (u8, usize)| vec![byte; len];
            runs.into_iter().flat_map(run).collect()
        });
        prop_oneof![runs, proptest::collection::vec(any::<u8>(), 0..700)]
    }

    /// A string with a range of its bits.
    fn ranges() -> impl Strategy<Value = (Vec<u8>, Range<u64>)> {
        strings().prop_flat_map(|bytes| {
            let len = bytes.len() as u64 * 8;
            (Just(bytes), 0..=len, 0..=len).prop_map(|(bytes, a, b)| (bytes, a.min(b)..a.max(b)))
        })
    }

    proptest! {
        #[test]
        fn counts_and_finds_in_ranges((bytes, range) in ranges(), bit: bool) {
            let bits = model(&bytes);
            let part = &bits[range.start as usize..range.end as usize];
            let ones = part.iter().filter(|one| **one).count() as u64;
            prop_assert_eq!(count_range(&bytes, range.clone()), ones);
            let first = part.iter().position(|found| *found == bit);
            let first = first.map(|at| at as u64 + range.start);
            prop_assert_eq!(find(&bytes, range, bit), first);
        }

        #[test]
        fn counts_all(bytes in strings()) {
            let ones = model(&bytes).into_iter().filter(|one| *one).count() as u64;
            prop_assert_eq!(count(&bytes), ones);
        }

        #[test]
        fn gets_and_sets((bytes, range) in ranges(), on: bool) {
            let index = range.start;
            let mut bits = model(&bytes);
            let old = bits.get(index as usize).copied().unwrap_or(false);
            prop_assert_eq!(get(&bytes, index), old);
            if let Some(bit) = bits.get_mut(index as usize) {
                *bit = on;
                let mut bytes = bytes;
                set(&mut bytes, index, on);
                prop_assert_eq!(model(&bytes), bits);
            }
        }

        #[test]
        fn combines(sources in proptest::collection::vec(strings(), 1..6), which in 0..4usize) {
            let operation = [Operation::And, Operation::Or, Operation::Xor, Operation::Not][which];
            let sources = if operation == Operation::Not { &sources[..1] } else { &sources };
            let len = sources.iter().map(Vec::len).max().unwrap_or(0);
            let expected: Vec<u8> = (0..len)
                .map(|at| {
                    let mut column = sources.iter().map(|s| s.get(at).copied().unwrap_or(0));
                    match operation {
                        Operation::And => column.fold(0xff, |a, b| a & b),
                        Operation::Or => column.fold(0, |a, b| a | b),
                        Operation::Xor => column.fold(0, |a, b| a ^ b),
                        Operation::Not => !column.next().unwrap_or(0),
                    }
                })
                .collect();
            let sources: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(combine(operation, &sources), expected);
        }

        #[test]
        fn pads(bytes in strings(), len in 0..200usize, spare in 0..100usize) {
            let mut padded = bytes.clone();
            padded.reserve(spare);
            pad(&mut padded, len);
            let mut expected = bytes;
            expected.resize(expected.len().max(len), 0);
            prop_assert_eq!(padded, expected);
        }
    }

    #[test]
    fn combines_beyond_one_block() {
        let long = vec![0b1100_1100; BLOCK_BYTES * 2 + 5];
        let short = vec![0b1010_1010; BLOCK_BYTES + 3];
        let and = combine(Operation::And, &[&long, &short]);
        let or = combine(Operation::Or, &[&short, &long]);
        let xor = combine(Operation::Xor, &[&short, &long, &long, &long]);
        assert_eq!((and.len(), or.len()), (long.len(), long.len()));
        assert!(and[..short.len()].iter().all(|byte| *byte == 0b1000_1000));
        assert!(and[short.len()..].iter().all(|byte| *byte == 0));
        assert!(or[..short.len()].iter().all(|byte| *byte == 0b1110_1110));
        assert_eq!(or[short.len()..], long[short.len()..]);
        assert!(xor[..short.len()].iter().all(|byte| *byte == 0b0110_0110));
        assert_eq!(xor[short.len()..], long[short.len()..]);
    }

    #[test]
    fn growth_leaves_room_for_more() {
        let mut bytes = Vec::new();
        pad(&mut bytes, 100);
        assert_eq!(bytes.capacity(), 200);
        pad(&mut bytes, 10 << 20);
        assert_eq!(bytes.capacity(), 11 << 20);
        let address = bytes.as_ptr();
        pad(&mut bytes, 11 << 20);
        assert_eq!(bytes.as_ptr(), address);
        pad(&mut bytes, (11 << 20) + 1);
        assert_eq!(bytes.capacity(), (12 << 20) + 1);
    }
}
