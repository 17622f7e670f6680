//! LZF, the compression of long strings in RDB files and of the inner nodes
//! of lists.
//!
//! The format is liblzf's. A byte below 32 says how many bytes less one follow
//! as they are. Any other starts a reference back: its top three bits are the
//! length less two (7: a byte to add follows), then come 13 bits of distance
//! less one.

use std::cell::RefCell;

/// Bytes as they are at most in one run.
const LITERALS_MAX: usize = 32;
/// How far back a reference reaches.
const DISTANCE_MAX: usize = 1 << 13;
/// Bytes that a reference gives at most.
const MATCH_MAX: usize = 264;
const MATCH_MIN: usize = 3;
/// Bytes of output that one byte of input can give at most: three give 264.
const RATIO_MAX: usize = MATCH_MAX / 3;

const HASH_BITS: u32 = 14;

/// Where three bytes were last seen. Places are counted on from input to
/// input, so what an earlier one left is known by being below `base`, and
/// nothing needs to be cleared.
struct Seen {
    places: Vec<u32>,
    base: u32,
}

thread_local! {
    static SEEN: RefCell<Seen> = const { RefCell::new(Seen { places: Vec::new(), base: 1 }) };
}

impl Seen {
    /// Begins an input of this length; None when it is too long for the places.
    fn begin(&mut self, len: usize) -> Option<()> {
        let len = u32::try_from(len).ok()?;
        if self.places.is_empty() || self.base.checked_add(len).is_none() {
            self.places.clear();
            self.places.resize(1 << HASH_BITS, 0);
            self.base = 1;
        }
        self.base.checked_add(len)?;
        Some(())
    }

    fn end(&mut self, len: usize) {
        self.base += len as u32;
    }

    /// Notes the place of the three bytes there, and gives where they (or
    /// others of the same hash) were before.
    #[inline]
    fn replace(&mut self, input: &[u8], at: usize) -> Option<usize> {
        let three = u32::from_le_bytes([input[at], input[at + 1], input[at + 2], 0]);
        let slot = three.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS);
        let place = &mut self.places[slot as usize];
        let before = place.checked_sub(self.base);
        *place = self.base + at as u32;
        before.map(|place| place as usize)
    }
}

/// Compresses; None when the result would be longer than `max` bytes.
pub fn compress(input: &[u8], max: usize) -> Option<Vec<u8>> {
    SEEN.with_borrow_mut(|seen| {
        seen.begin(input.len())?;
        let compressed = compress_with(seen, input, max);
        seen.end(input.len());
        compressed
    })
}

fn compress_with(seen: &mut Seen, input: &[u8], max: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(max.min(input.len()));
    let (mut at, mut literals_from) = (0, 0);
    while at + MATCH_MIN <= input.len() {
        let before = seen.replace(input, at);
        let len = before.map_or(0, |before| match_len(input, before, at));
        let Some(before) = before.filter(|_| len >= MATCH_MIN) else {
            at += 1;
            continue;
        };
        put_literals(&mut out, &input[literals_from..at]);
        put_reference(&mut out, at - before, len);
        if out.len() > max {
            return None;
        }
        at += len;
        // Two places of the match are noted: more cost more than they find.
        for place in [at - 2, at - 1] {
            if place + MATCH_MIN <= input.len() {
                seen.replace(input, place);
            }
        }
        literals_from = at;
    }
    if out.len() + input.len() - literals_from > max {
        return None;
    }
    put_literals(&mut out, &input[literals_from..]);
    (out.len() <= max).then_some(out)
}

/// How many bytes at `at` are those at `before`; 0 when that is too far back.
#[inline]
fn match_len(input: &[u8], before: usize, at: usize) -> usize {
    if at - before > DISTANCE_MAX {
        return 0;
    }
    let here = &input[at..input.len().min(at + MATCH_MAX)];
    let there = &input[before..before + here.len()];
    let (here_words, here_rest) = here.as_chunks::<8>();
    let (there_words, there_rest) = there.as_chunks::<8>();
    for (index, (a, b)) in here_words.iter().zip(there_words).enumerate() {
        let differs = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differs != 0 {
            return index * 8 + differs.trailing_zeros() as usize / 8;
        }
    }
    let same = here_rest.iter().zip(there_rest).take_while(|(a, b)| a == b);
    here_words.len() * 8 + same.count()
}

fn put_literals(out: &mut Vec<u8>, literals: &[u8]) {
    for run in literals.chunks(LITERALS_MAX) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

fn put_reference(out: &mut Vec<u8>, distance: usize, len: usize) {
    let [high, low] = (distance as u16 - 1).to_be_bytes();
    match len - 2 {
        short @ 0..7 => out.push((short as u8) << 5 | high),
        long => out.extend_from_slice(&[7 << 5 | high, (long - 7) as u8]),
    }
    out.push(low);
}

/// Decompresses to exactly `len` bytes; None when the input is damaged or of
/// another length. Never allocates more than `len`, nor more than the input
/// could give.
pub fn decompress(input: &[u8], len: usize) -> Option<Vec<u8>> {
    if len > input.len().saturating_mul(RATIO_MAX) {
        return None;
    }
    let mut out = Vec::with_capacity(len);
    let mut rest = input;
    while let Some((&control, after)) = rest.split_first() {
        if control < 32 {
            let (run, after) = after.split_at_checked(usize::from(control) + 1)?;
            if out.len() + run.len() > len {
                return None;
            }
            out.extend_from_slice(run);
            rest = after;
        } else {
            rest = copy_back(&mut out, control, after, len)?;
        }
    }
    (out.len() == len).then_some(out)
}

/// Carries a reference out; gives the input after it.
#[inline]
fn copy_back<'a>(out: &mut Vec<u8>, control: u8, input: &'a [u8], max: usize) -> Option<&'a [u8]> {
    let (more, input) = match control >> 5 {
        7 => {
            let (&more, input) = input.split_first()?;
            (usize::from(more), input)
        }
        _ => (0, input),
    };
    let (&low, input) = input.split_first()?;
    let mut left = usize::from(control >> 5) + more + 2;
    let distance = usize::from(u16::from_be_bytes([control & 0x1f, low])) + 1;
    let from = out.len().checked_sub(distance)?;
    if out.len() + left > max {
        return None;
    }
    // A reference into what it writes itself repeats it.
    while left > 0 {
        let run = left.min(out.len() - from);
        out.extend_from_within(from..from + run);
        left -= run;
    }
    Some(input)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes that repeat themselves near and far.
    fn repetitive() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            prop::collection::vec(0u8..3, 0..400),
            (any::<u8>(), 0usize..700).prop_map(|(byte, len)| vec![byte; len]),
        ];
        (
            prop::collection::vec(piece, 1..6),
            prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        )
            .prop_map(|(pieces, order)| {
                order
                    .iter()
                    .flat_map(|index| index.get(&pieces).clone())
                    .collect()
            })
    }

    proptest! {
        #[test]
        fn comes_back_as_it_was(input in repetitive()) {
            let packed = compress(&input, input.len() * 2 + 8).expect("room enough");
            prop_assert_eq!(decompress(&packed, input.len()), Some(input.clone()));
            prop_assert_eq!(decompress(&packed, input.len() + 1), None);
            if !input.is_empty() {
                prop_assert_eq!(decompress(&packed, input.len() - 1), None);
                prop_assert_eq!(decompress(&packed[..packed.len() - 1], input.len()), None);
                prop_assert_eq!(compress(&input, packed.len() - 1), None);
            }
            prop_assert_eq!(compress(&input, packed.len()), Some(packed));
        }

        #[test]
        fn garbage_is_refused_or_gives_the_length(
            input in prop::collection::vec(any::<u8>(), 0..300),
            len in 0usize..5000,
        ) {
            if let Some(out) = decompress(&input, len) {
                prop_assert_eq!(out.len(), len);
            }
            prop_assert_eq!(decompress(&input, usize::MAX), None);
        }
    }

    #[test]
    fn reads_what_redis_wrote() {
        // DUMP of a string of 100 times "a" on redis-server 7.0.15: 100 bytes in 9.
        let packed = [0x01, 0x61, 0x61, 0xe0, 0x57, 0x00, 0x01, 0x61, 0x61];
        assert_eq!(decompress(&packed, 100), Some(vec![b'a'; 100]));
    }

    #[test]
    fn random_bytes_do_not_fit() {
        let mut state = 1u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        };
        let input: Vec<u8> = (0..10_000).map(|_| next()).collect();
        assert_eq!(compress(&input, input.len() - 4), None);
    }
}
