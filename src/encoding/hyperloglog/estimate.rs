//! The hash of elements, and the number of elements behind a set of registers.

use super::REGISTERS;

/// Bits of the hash that choose the register.
const INDEX_BITS: u32 = REGISTERS.trailing_zeros();
/// Bits of the hash that are left for the run of zeros.
const RUN_BITS: u32 = 64 - INDEX_BITS;
const SEED: u64 = 0xadc8_3b19;
/// 1 / (2 ln 2), as Redis writes it.
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// Register and value of an element: the position, from 1, of the lowest bit
/// of its hash that is one, without those that choose the register.
pub(super) fn rank(element: &[u8]) -> (usize, u8) {
    let hash = murmur64a(element, SEED);
    let index = hash as usize % REGISTERS;
    // A one at the end of the run keeps it within bounds.
    let run = hash >> INDEX_BITS | 1 << RUN_BITS;
    (index, run.trailing_zeros() as u8 + 1)
}

/// MurmurHash64A (Austin Appleby, public domain), reading little endian.
fn murmur64a(bytes: &[u8], seed: u64) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(M);
    let (words, tail) = bytes.as_chunks();
    for word in words {
        let mut word = u64::from_le_bytes(*word).wrapping_mul(M);
        word ^= word >> R;
        hash = (hash ^ word.wrapping_mul(M)).wrapping_mul(M);
    }
    if !tail.is_empty() {
        let mut last = [0; 8];
        last[..tail.len()].copy_from_slice(tail);
        hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(M);
    }
    hash = (hash ^ hash >> R).wrapping_mul(M);
    hash ^ hash >> R
}

/// How many registers have which value.
pub(super) struct Histogram([u32; 64]);

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram([0; 64])
    }
}

impl Histogram {
    /// Counts registers of a value below 64.
    pub(super) fn add(&mut self, value: u8, registers: u32) {
        self.0[usize::from(value)] += registers;
    }
}

/// The estimator of Otmar Ertl, "New cardinality estimation algorithms for
/// HyperLogLog sketches", arXiv:1702.01284, algorithm 6.
pub(super) fn cardinality(histogram: &Histogram) -> u64 {
    let registers = REGISTERS as f64;
    let share = |count: u32| f64::from(count) / registers;
    let full = histogram.0[RUN_BITS as usize + 1];
    let mut z = registers * tau((registers - f64::from(full)) / registers);
    for count in histogram.0[1..=RUN_BITS as usize].iter().rev() {
        z = (z + f64::from(*count)) * 0.5;
    }
    z += registers * sigma(share(histogram.0[0]));
    rounded(ALPHA * registers * registers / z) as u64
}

/// To the nearest integer. Redis: what is no 64-bit number becomes the least,
/// as with C's `llroundl`.
fn rounded(number: f64) -> i64 {
    let nearest = number.round();
    if nearest < i64::MAX as f64 {
        nearest as i64
    } else {
        i64::MIN
    }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_redis() {
        // The registers that redis-server 7.0.15 shows (PFDEBUG DECODE).
        for (element, index, value) in EXPECTED {
            assert_eq!(rank(element.as_bytes()), (index, value), "{element}");
        }
    }

    const EXPECTED: [(&str, usize, u8); 10] = [
        ("", 5938, 2),
        ("a", 12711, 2),
        ("ab", 719, 1),
        ("abc", 9474, 1),
        ("abcdefg", 5634, 2),
        ("abcdefgh", 1383, 1),
        ("abcdefghi", 6903, 1),
        ("Hello World", 7641, 1),
        ("0123456789abcdef", 5949, 1),
        ("0123456789abcdefX", 11257, 1),
    ];

    #[test]
    fn nothing_and_too_much() {
        let mut histogram = Histogram::default();
        histogram.add(0, REGISTERS as u32);
        assert_eq!(cardinality(&histogram), 0);
        for value in [51, 52, 63] {
            let mut histogram = Histogram::default();
            histogram.add(value, REGISTERS as u32);
            assert_eq!(cardinality(&histogram), 1 << 63);
        }
    }
}
