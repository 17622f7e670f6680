//! Integers of any width at any bit of a string, as BITFIELD reads and writes
//! them: most significant bit first, two's complement when signed.

use crate::util::num;

/// The most bytes that an integer at an odd place touches.
const SPAN_BYTES_MAX: usize = 9;

/// The type of an integer: `u1` to `u63`, `i1` to `i64`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    signed: bool,
    bits: u32,
}

/// What happens when a number does not fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Overflow {
    /// The bits that do not fit are dropped.
    #[default]
    Wrap,
    /// The nearest number that fits is taken.
    Saturate,
    /// Nothing is written.
    Fail,
}

impl Kind {
    /// Parses a name such as `u8`. There is no `u64`: replies could not hold
    /// all its numbers.
    pub fn parse(name: &[u8]) -> Option<Kind> {
        let (sign, bits) = name.split_first()?;
        let signed = match sign {
            b'i' => true,
            b'u' => false,
            _ => return None,
        };
        let max = if signed { 64 } else { 63 };
        let bits = u32::try_from(num::parse_i64(bits)?).ok()?;
        (1..=max).contains(&bits).then_some(Kind { signed, bits })
    }

    /// Width.
    pub fn bits(self) -> u32 {
        self.bits
    }

    /// The integer that starts at bit `offset`; a string counts as padded with
    /// zero bytes.
    pub fn read(self, bytes: &[u8], offset: u64) -> i64 {
        let start = usize::try_from(offset / 8).unwrap_or(usize::MAX);
        let shifted = window(bytes, start) << (offset % 8);
        if self.signed {
            (shifted as i128 >> (128 - self.bits)) as i64
        } else {
            (shifted >> (128 - self.bits)) as i64
        }
    }

    /// Writes the lowest bits of a number at bit `offset`.
    ///
    /// # Panics
    /// When the place goes beyond the end.
    pub fn write(self, bytes: &mut [u8], offset: u64, value: i64) {
        let (start, bit) = ((offset / 8) as usize, (offset % 8) as u32);
        let span = (bit + self.bits).div_ceil(8) as usize;
        debug_assert!(span <= SPAN_BYTES_MAX);
        let shift = 128 - self.bits - bit;
        let ones = (u128::MAX >> (128 - self.bits)) << shift;
        let number = (value as u128) << shift;
        let merged = (window(bytes, start) & !ones) | (number & ones);
        bytes[start..start + span].copy_from_slice(&merged.to_be_bytes()[..span]);
    }

    /// The sum of two numbers as this type can hold it; None when it cannot
    /// and nothing else is wanted. A number that is to be written as it is
    /// comes with an increment of 0 and may be any.
    pub fn sum(self, value: i64, increment: i64, overflow: Overflow) -> Option<i64> {
        let (min, max) = self.limits();
        // To an unsigned type a negative number is a huge one.
        let value = match self.signed {
            true => i128::from(value),
            false => i128::from(value as u64),
        };
        let sum = value + i128::from(increment);
        // Redis: the distance to the greatest number is taken in 64 bits, so
        // from far below it looks as if the number were too great.
        let far_below = self.bits < 64 && max - value > i128::from(i64::MAX);
        let limit = match () {
            () if sum > max || far_below => max,
            () if sum < min => min,
            () => return Some(sum as i64),
        };
        match overflow {
            Overflow::Wrap => Some(self.wrapped(sum as u64)),
            Overflow::Saturate => Some(limit as i64),
            Overflow::Fail => None,
        }
    }

    fn limits(self) -> (i128, i128) {
        if self.signed {
            let half = 1i128 << (self.bits - 1);
            (-half, half - 1)
        } else {
            (0, (1i128 << self.bits) - 1)
        }
    }

    fn wrapped(self, bits: u64) -> i64 {
        let unused = 64 - self.bits;
        let shifted = bits << unused;
        if self.signed {
            shifted as i64 >> unused
        } else {
            (shifted >> unused) as i64
        }
    }
}

/// The 16 bytes from `start` on, zero beyond the end, the first in the highest place.
fn window(bytes: &[u8], start: usize) -> u128 {
    let mut window = [0; 16];
    let rest = bytes.get(start..).unwrap_or_default();
    let len = rest.len().min(SPAN_BYTES_MAX);
    window[..len].copy_from_slice(&rest[..len]);
    u128::from_be_bytes(window)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::bits;
    use proptest::prelude::*;

    fn kinds() -> impl Strategy<Value = Kind> {
        prop_oneof![
            (1..=64u32).prop_map(|bits| Kind { signed: true, bits }),
            (1..=63u32).prop_map(|bits| Kind {
                signed: false,
                bits
            }),
        ]
    }

    /// Numbers of all sizes.
    fn numbers() -> impl Strategy<Value = i64> {
        (any::<i64>(), 0..64u32).prop_map(|(number, shift)| number >> shift)
    }

    /// Bit by bit.
    fn read_slowly(kind: Kind, bytes: &[u8], offset: u64) -> i64 {
        let first = kind.signed && bits::get(bytes, offset);
        let start = if first { -1i64 } else { 0 };
        (0..u64::from(kind.bits)).fold(start, |value, at| {
            value << 1 | i64::from(bits::get(bytes, offset + at))
        })
    }

    proptest! {
        #[test]
        fn reads(kind in kinds(), bytes in proptest::collection::vec(any::<u8>(), 0..24), offset in 0..200u64) {
            prop_assert_eq!(kind.read(&bytes, offset), read_slowly(kind, &bytes, offset));
        }

        #[test]
        fn writes_what_it_reads(kind in kinds(), bytes in proptest::collection::vec(any::<u8>(), 20), offset in 0..96u64, number: i64) {
            let mut written = bytes.clone();
            kind.write(&mut written, offset, number);
            let value = kind.sum(number, 0, Overflow::Wrap);
            prop_assert_eq!(Some(kind.read(&written, offset)), value);
            let inside = offset..offset + u64::from(kind.bits);
            for at in (0..160).filter(|at| !inside.contains(at)) {
                prop_assert_eq!(bits::get(&written, at), bits::get(&bytes, at));
            }
        }

        #[test]
        fn adds_what_fits(kind in kinds(), number in numbers(), increment in numbers()) {
            let value = kind.sum(number, 0, Overflow::Wrap).unwrap();
            let sum = i128::from(value) + i128::from(increment);
            let (min, max) = kind.limits();
            let fits = (min..=max).contains(&sum).then_some(sum as i64);
            prop_assert_eq!(kind.sum(value, increment, Overflow::Fail), fits);
            let nearest = sum.clamp(min, max) as i64;
            prop_assert_eq!(kind.sum(value, increment, Overflow::Saturate), Some(nearest));
            let wrapped = kind.sum(value, increment, Overflow::Wrap).unwrap();
            prop_assert!((min..=max).contains(&i128::from(wrapped)));
            prop_assert_eq!((i128::from(wrapped) - sum).rem_euclid(1i128 << kind.bits), 0);
        }
    }

    #[test]
    fn parses_names() {
        for (name, bits) in [("u1", 1), ("u63", 63), ("i1", 1), ("i64", 64)] {
            assert_eq!(Kind::parse(name.as_bytes()).map(Kind::bits), Some(bits));
        }
        for name in [
            "", "u", "i", "u0", "u64", "i65", "i0", "I8", "U8", "u08", "u-1", "8", "u 8",
        ] {
            assert_eq!(Kind::parse(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn numbers_far_below_count_as_too_great() {
        let kind = Kind::parse(b"i8").unwrap();
        assert_eq!(kind.sum(-129, 0, Overflow::Saturate), Some(-128));
        assert_eq!(kind.sum(i64::MIN, 0, Overflow::Saturate), Some(127));
    }
}
