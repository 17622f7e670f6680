//! The intset: a sorted set of integers in one run of bytes.
//!
//! The format is Redis's, byte for byte, since files and DUMP payloads hold
//! it: bytes per value (u32, little endian: 2, 4 or 8), number of values
//! (u32), the values in ascending order. All have the width of the widest that
//! was ever in; a set never becomes narrower again.

use rand::Rng;

use crate::util::relocate::Mover;
use crate::util::size_class::size_class;

/// Bytes before the first value.
const HEADER: usize = 8;

/// Whether untrusted bytes are a well-formed intset: sorted, without
/// duplicates, not empty (Redis refuses empty ones too). Never panics.
pub fn validate(bytes: &[u8]) -> bool {
    let Some((header, values)) = bytes.split_at_checked(HEADER) else {
        return false;
    };
    let (width, len) = (u32_at(header, 0) as usize, u32_at(header, 4) as usize);
    if !matches!(width, 2 | 4 | 8) || len.checked_mul(width) != Some(values.len()) {
        return false;
    }
    let set = IntsetRef(bytes);
    len > 0 && set.iter().zip(set.iter().skip(1)).all(|(a, b)| a < b)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}

/// Bytes that a value needs.
fn width_of(value: i64) -> usize {
    if i16::try_from(value).is_ok() {
        2
    } else if i32::try_from(value).is_ok() {
        4
    } else {
        8
    }
}

/// A value of `width` bytes in little endian.
#[inline]
fn value_of(bytes: &[u8]) -> i64 {
    match *bytes {
        [a, b] => i64::from(i16::from_le_bytes([a, b])),
        [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => unreachable!("a width of 2, 4 or 8"),
    }
}

/// An intset for reading.
#[derive(Clone, Copy)]
pub struct IntsetRef<'a>(&'a [u8]);

impl<'a> IntsetRef<'a> {
    /// A view of bytes that are a well-formed intset (or an empty one).
    #[inline]
    pub fn new(bytes: &'a [u8]) -> IntsetRef<'a> {
        debug_assert!(bytes.len() >= HEADER);
        IntsetRef(bytes)
    }

    /// All bytes, the form of files and DUMP payloads.
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Number of values.
    #[inline]
    pub fn len(self) -> usize {
        u32_at(self.0, 4) as usize
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0.len() == HEADER
    }

    /// Bytes per value.
    #[inline]
    fn width(self) -> usize {
        u32_at(self.0, 0) as usize
    }

    /// The value of this index in ascending order.
    #[inline]
    pub fn get(self, index: usize) -> Option<i64> {
        let width = self.width();
        let at = HEADER + index.checked_mul(width)?;
        self.0.get(at..at + width).map(value_of)
    }

    /// Index of a value, or where it would have to be.
    ///
    /// # Errors
    /// The index at which it belongs, when it is not in.
    #[inline]
    pub fn search(self, value: i64) -> Result<usize, usize> {
        let values = &self.0[HEADER..];
        match self.width() {
            2 => search::<2>(values, value),
            4 => search::<4>(values, value),
            _ => search::<8>(values, value),
        }
    }

    /// Whether a value is in.
    #[inline]
    pub fn contains(self, value: i64) -> bool {
        self.search(value).is_ok()
    }

    /// The values in ascending order.
    #[inline]
    pub fn iter(self) -> Iter<'a> {
        Iter(self.0[HEADER..].chunks_exact(self.width()))
    }

    /// One of the values, each as likely; None when there are none.
    pub fn random(self, rng: &mut impl Rng) -> Option<i64> {
        match self.len() {
            0 => None,
            len => self.get(rng.random_range(0..len)),
        }
    }

    /// Panics where the bytes are not well formed.
    pub fn check_invariants(self) {
        let empty = self.is_empty() && self.0.len() == HEADER;
        assert!(empty || validate(self.0), "not an intset: {:?}", self.0);
    }
}

/// Binary search among values of `W` bytes.
fn search<const W: usize>(values: &[u8], value: i64) -> Result<usize, usize> {
    let (values, _) = values.as_chunks::<W>();
    // New values mostly go to an end.
    match values.last() {
        None => return Err(0),
        Some(last) if value > value_of(last) => return Err(values.len()),
        Some(_) => {}
    }
    values.binary_search_by(|probe| value_of(probe).cmp(&value))
}

impl<'a> IntoIterator for IntsetRef<'a> {
    type Item = i64;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Values of an intset in ascending order, from either end.
#[derive(Clone)]
pub struct Iter<'a>(std::slice::ChunksExact<'a, u8>);

impl Iterator for Iter<'_> {
    type Item = i64;

    #[inline]
    fn next(&mut self) -> Option<i64> {
        self.0.next().map(value_of)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }

    fn nth(&mut self, steps: usize) -> Option<i64> {
        self.0.nth(steps).map(value_of)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<i64> {
        self.0.next_back().map(value_of)
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// An intset with an allocation of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Intset(Vec<u8>);

impl Intset {
    /// Gives its memory to the mover.
    pub fn relocate(&mut self, mover: &mut Mover) {
        mover.vec(&mut self.0);
    }
}

impl Default for Intset {
    fn default() -> Intset {
        Intset::new()
    }
}

impl Intset {
    /// An empty one.
    pub fn new() -> Intset {
        Intset(vec![2, 0, 0, 0, 0, 0, 0, 0])
    }

    /// Takes untrusted bytes; None when they are not a well-formed intset.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Intset> {
        validate(&bytes).then_some(Intset(bytes))
    }

    /// Takes bytes that are known to be a well-formed intset, such as
    /// [`into_bytes`](Intset::into_bytes) gave.
    #[inline]
    pub fn from_trusted(bytes: Vec<u8>) -> Intset {
        debug_assert!(bytes.len() >= HEADER);
        Intset(bytes)
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Bytes that the allocation holds.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Gives back what the bytes do not need.
    pub fn shrink_to_fit(&mut self) {
        self.0.shrink_to_fit();
    }

    /// For reading.
    #[inline]
    pub fn as_ref(&self) -> IntsetRef<'_> {
        IntsetRef(&self.0)
    }

    /// Adds a value; true when it was not in.
    pub fn insert(&mut self, value: i64) -> bool {
        let width = self.as_ref().width();
        if width_of(value) > width {
            self.widen(width_of(value));
        }
        let Err(index) = self.as_ref().search(value) else {
            return false;
        };
        let width = self.as_ref().width();
        let (old, at) = (self.0.len(), HEADER + index * width);
        self.make_room(old + width);
        self.0.resize(old + width, 0);
        self.0.copy_within(at..old, at + width);
        self.0[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        self.set_len(self.as_ref().len() + 1);
        true
    }

    /// Removes a value; true when it was in.
    pub fn remove(&mut self, value: i64) -> bool {
        let Ok(index) = self.as_ref().search(value) else {
            return false;
        };
        let width = self.as_ref().width();
        let at = HEADER + index * width;
        self.0.drain(at..at + width);
        self.set_len(self.as_ref().len() - 1);
        if self.0.len() < self.0.capacity() / 2 {
            self.0.shrink_to(size_class(self.0.len()));
        }
        true
    }

    /// Panics where the bytes are not well formed.
    pub fn check_invariants(&self) {
        self.as_ref().check_invariants();
    }

    /// Gives each value `width` bytes.
    fn widen(&mut self, width: usize) {
        let len = self.as_ref().len();
        let mut wider = Vec::with_capacity(size_class(HEADER + (len + 1) * width));
        wider.extend_from_slice(&(width as u32).to_le_bytes());
        wider.extend_from_slice(&self.0[4..HEADER]);
        for value in self.as_ref() {
            wider.extend_from_slice(&value.to_le_bytes()[..width]);
        }
        self.0 = wider;
    }

    fn make_room(&mut self, bytes: usize) {
        if bytes > self.0.capacity() {
            self.0.reserve_exact(size_class(bytes) - self.0.len());
        }
    }

    fn set_len(&mut self, len: usize) {
        let len = u32::try_from(len).expect("sets this big have another encoding");
        self.0[4..HEADER].copy_from_slice(&len.to_le_bytes());
    }
}

impl FromIterator<i64> for Intset {
    fn from_iter<I: IntoIterator<Item = i64>>(values: I) -> Intset {
        let mut set = Intset::new();
        for value in values {
            set.insert(value);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    fn value() -> impl Strategy<Value = i64> {
        prop_oneof![
            4 => -20i64..20,
            2 => any::<i16>().prop_map(i64::from),
            1 => any::<i32>().prop_map(i64::from),
            1 => any::<i64>(),
            1 => prop::sample::select(vec![
                i64::MIN, i64::MAX, -32_769, -32_768, 32_767, 32_768,
                -2_147_483_649, -2_147_483_648, 2_147_483_647, 2_147_483_648,
            ]),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_sorted_set(steps in prop::collection::vec((any::<bool>(), value()), 0..80)) {
            let (mut set, mut model) = (Intset::new(), BTreeSet::new());
            for (insert, value) in steps {
                if insert {
                    prop_assert_eq!(set.insert(value), model.insert(value));
                } else {
                    prop_assert_eq!(set.remove(value), model.remove(&value));
                }
                set.check_invariants();
                let view = set.as_ref();
                prop_assert_eq!(view.len(), model.len());
                prop_assert!(view.iter().eq(model.iter().copied()));
                prop_assert!(view.iter().rev().eq(model.iter().rev().copied()));
                for (index, value) in model.iter().enumerate() {
                    prop_assert_eq!(view.get(index), Some(*value));
                    prop_assert_eq!(view.search(*value), Ok(index));
                }
                prop_assert_eq!(view.get(model.len()), None);
            }
        }

        #[test]
        fn damaged_bytes_are_refused_or_readable(
            values in prop::collection::vec(value(), 1..20),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            cut in any::<Option<prop::sample::Index>>(),
        ) {
            let mut bytes = values.into_iter().collect::<Intset>().into_bytes();
            for (index, byte) in damage {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len() + 1));
            }
            if let Some(set) = Intset::from_bytes(bytes) {
                prop_assert_eq!(set.as_ref().iter().count(), set.as_ref().len());
                prop_assert!(set.as_ref().iter().is_sorted());
            }
        }
    }

    #[test]
    fn bytes_are_those_of_redis() {
        // DUMP of a set made by SADD s 5 -3 70000 on redis-server 7.0.15,
        // without type, length and footer.
        let set: Intset = [5, -3, 70_000].into_iter().collect();
        let mut expected = vec![4, 0, 0, 0, 3, 0, 0, 0];
        for value in [-3i32, 5, 70_000] {
            expected.extend_from_slice(&value.to_le_bytes());
        }
        assert_eq!(set.as_ref().bytes(), expected);
        assert!(validate(&expected));
        assert!(!validate(&[2, 0, 0, 0, 0, 0, 0, 0]), "empty");
    }

    #[test]
    fn random_values_are_members() {
        let mut rng = SmallRng::seed_from_u64(1);
        let set: Intset = (0..100).collect();
        let picked: BTreeSet<i64> = (0..2000)
            .filter_map(|_| set.as_ref().random(&mut rng))
            .collect();
        assert_eq!(picked.len(), 100);
        assert_eq!(Intset::new().as_ref().random(&mut rng), None);
    }
}
