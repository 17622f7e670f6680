//! HyperLogLogs beside plain arrays of registers, and broken ones.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// The registers of a sound one, one by one.
fn registers(bytes: &[u8]) -> Vec<u8> {
    let mut copy = bytes.to_vec();
    let mut dense = HllMut::new(&mut copy, 0).expect("a header");
    dense.make_dense().expect("registers that add up");
    let registers = dense.view().registers().expect("a dense one");
    registers.collect()
}

impl Hll<'_> {
    /// What holds for every sound one.
    fn check_invariants(self) {
        if self.encoding() == Encoding::Sparse {
            let mut total = 0;
            for run in self.runs().expect("runs").split(' ') {
                total += run
                    .split([':', ','])
                    .next_back()
                    .unwrap()
                    .parse::<usize>()
                    .unwrap();
            }
            assert_eq!(total, REGISTERS);
            assert!(sparse::histogram(self.body()).is_ok());
        } else {
            assert_eq!(self.bytes.len(), DENSE_BYTES);
        }
    }
}

/// Changes to a valid string.
#[derive(Clone, Debug)]
enum Damage {
    Byte(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Truncate(prop::sample::Index),
}

fn damages() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        at().prop_map(Damage::Remove),
        (at(), vec(any::<u8>(), 1..6)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        at().prop_map(Damage::Truncate),
    ]
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |at: &prop::sample::Index| match bytes.len() {
            len if len > HEADER_BYTES => HEADER_BYTES + at.index(len - HEADER_BYTES),
            _ => HEADER_BYTES,
        };
        match self {
            Damage::Byte(at, byte) => {
                let at = place(at);
                if let Some(old) = bytes.get_mut(at) {
                    *old = *byte;
                }
            }
            Damage::Remove(at) => {
                let at = place(at);
                if at < bytes.len() {
                    bytes.remove(at);
                }
            }
            Damage::Insert(at, new) => {
                let at = place(at);
                bytes.splice(at..at, new.iter().copied());
            }
            Damage::Truncate(at) => {
                let at = place(at);
                bytes.truncate(at);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn raises_like_an_array(
        // Near each other, so that runs are split and joined.
        steps in vec((0..3usize, 0..40usize, 1..=52u8), 1..200),
        sparse_bytes_max in prop_oneof![0..200usize, Just(3000)],
    ) {
        let mut bytes = empty();
        let mut model = vec![0u8; REGISTERS];
        for (region, offset, value) in steps {
            let index = [0, 8_000, REGISTERS - 40][region] + offset;
            let value = if value > 36 { value } else { value % 4 + 1 };
            let mut hll = HllMut::new(&mut bytes, sparse_bytes_max).unwrap();
            hll.cache(1);
            let raised = hll.raise(index, value);
            prop_assert_eq!(raised, Ok(model[index] < value));
            hll.view().check_invariants();
            if hll.view().encoding() == Encoding::Sparse {
                prop_assert_eq!(hll.view().cached().is_none(), raised == Ok(true));
            }
            model[index] = model[index].max(value);
        }
        prop_assert_eq!(registers(&bytes), model);
    }

    #[test]
    fn merges_and_counts_alike_in_both_encodings(
        elements in vec(vec((any::<u32>(), 0..12usize), 0..300), 1..4),
    ) {
        let mut union = Union::default();
        let mut all = vec![0u8; REGISTERS];
        let mut one = empty();
        for set in elements {
            let mut bytes = empty();
            for (number, len) in set {
                let element = &vec![number as u8; len][..];
                let element = [element, &number.to_le_bytes()].concat();
                let added = HllMut::new(&mut bytes, 3000).unwrap().add(&element);
                let (index, value) = rank(&element);
                prop_assert!(added.is_ok());
                all[index] = all[index].max(value);
                HllMut::new(&mut one, usize::MAX).unwrap().add(&element).unwrap();
            }
            let sparse = Hll::new(&bytes).unwrap().count();
            union.add(Hll::new(&bytes).unwrap()).unwrap();
            HllMut::new(&mut bytes, 0).unwrap().make_dense().unwrap();
            prop_assert_eq!(Hll::new(&bytes).unwrap().count(), sparse);
        }
        prop_assert_eq!(union.registers.as_slice(), all.as_slice());
        prop_assert_eq!(Ok(union.count()), Hll::new(&one).unwrap().count());
        let mut merged = empty();
        HllMut::new(&mut merged, 3000).unwrap().merge(&union).unwrap();
        prop_assert_eq!(registers(&merged), all);
    }

    #[test]
    fn nonsense_is_only_refused(
        elements in vec(any::<u64>(), 0..200),
        dense: bool,
        damages in vec(damages(), 1..8),
        more in vec(any::<u64>(), 1..20),
    ) {
        let mut bytes = empty();
        let mut hll = HllMut::new(&mut bytes, 3000).unwrap();
        for element in elements {
            hll.add(&element.to_le_bytes()).unwrap();
        }
        if dense {
            hll.make_dense().unwrap();
        }
        for damage in &damages {
            damage.apply(&mut bytes);
        }
        all_operations(bytes, &more);
    }

    #[test]
    fn random_bytes_are_only_refused(
        body in vec(any::<u8>(), 0..400),
        more in vec(any::<u64>(), 1..20),
    ) {
        let mut bytes = empty();
        bytes.truncate(HEADER_BYTES);
        bytes.extend(body);
        all_operations(bytes, &more);
    }
}

/// Everything that there is to do, whether it works or not.
fn all_operations(mut bytes: Vec<u8>, elements: &[u64]) {
    let Some(hll) = Hll::new(&bytes) else {
        return;
    };
    let counted = hll.count();
    let mut union = Union::default();
    let merged = union.add(hll);
    assert_eq!(counted.is_ok(), merged.is_ok());
    let _ = (union.count(), hll.cached(), hll.runs());
    let mut copy = bytes.clone();
    let dense = HllMut::new(&mut copy, 0).unwrap().make_dense();
    assert_eq!(dense.is_ok(), merged.is_ok());
    if let Some(registers) = Hll::new(&copy).unwrap().registers() {
        assert_eq!(registers.count(), REGISTERS);
    }
    let mut hll = HllMut::new(&mut bytes, 500).unwrap();
    for element in elements {
        let added = hll.add(&element.to_le_bytes());
        if counted.is_ok() {
            assert!(added.is_ok());
        }
    }
    let _ = hll.merge(&union);
    if counted.is_ok() {
        hll.view().check_invariants();
    }
}

#[test]
fn headers() {
    let sound = empty();
    assert_eq!(sound.len(), HEADER_BYTES + 2);
    assert_eq!(Hll::new(&sound).unwrap().cached(), Some(0));
    assert!(Hll::new(&sound[..15]).is_none());
    assert!(Hll::new(&sound[..16]).is_some());
    for (at, byte) in [(0, b'h'), (3, b'l'), (4, 0), (4, 2), (4, 255)] {
        let mut broken = sound.clone();
        broken[at] = byte;
        assert!(Hll::new(&broken).is_none());
    }
    let mut dense = sound;
    HllMut::new(&mut dense, 0).unwrap().make_dense().unwrap();
    assert_eq!(dense.len(), 12304);
    dense.push(0);
    assert!(Hll::new(&dense).is_none());
}

#[test]
fn registers_that_do_not_add_up() {
    for body in [
        &[][..],
        // One more than all, with a value and without.
        &[0x7f, 0xff, 0x80],
        &[0x7f, 0xff, 0x00],
        // One less.
        &[0x7f, 0xfe],
        // The last run is cut off.
        &[0x7f, 0xfe, 0x40],
    ] {
        let mut bytes = empty();
        bytes.truncate(HEADER_BYTES);
        bytes.extend(body);
        let hll = Hll::new(&bytes).unwrap();
        assert_eq!(hll.count(), Err(Corrupt));
        assert_eq!(Union::default().add(hll), Err(Corrupt));
        let mut hll = HllMut::new(&mut bytes, 3000).unwrap();
        assert_eq!(hll.make_dense(), Err(Corrupt));
        let last = hll.raise(REGISTERS - 1, 1);
        assert_eq!(last.is_ok(), body.len() == 3 && body[1] == 0xff);
    }
}
