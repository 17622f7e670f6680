//! Model tests of the table.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;
use crate::encoding::member::{Member, Payload};

type Members = Table<Member>;

fn put(table: &mut Members, key: &[u8], value: i64) {
    let hash = table.hasher.hash(key);
    match table.find(hash, key) {
        Some(loc) => table.update(loc, |entry| entry.replace_value(&value.to_le_bytes())),
        None => drop(table.insert(hash, Member::new(key, Payload::Value(&value.to_le_bytes())))),
    }
}

fn get(table: &Members, key: &[u8]) -> Option<i64> {
    let loc = table.find(table.hasher.hash(key), key)?;
    Some(i64::from_le_bytes(
        table.entry(loc).value().try_into().expect("8 bytes"),
    ))
}

fn delete(table: &mut Members, key: &[u8]) -> bool {
    match table.find(table.hasher.hash(key), key) {
        Some(loc) => {
            table.remove(loc);
            true
        }
        None => false,
    }
}

#[test]
fn grows_and_shrinks_with_a_tight_load() {
    let mut table = Members::new(KeyHasher::new());
    for i in 0..200_000 {
        put(&mut table, format!("key:{i}").as_bytes(), i);
    }
    table.check_invariants();
    assert!(
        table.overhead_bytes() as f64 / 200_000.0 < 14.0,
        "{}",
        table.overhead_bytes()
    );
    for i in 0..200_000 {
        assert_eq!(get(&table, format!("key:{i}").as_bytes()), Some(i));
    }
    for i in 0..199_000 {
        assert!(delete(&mut table, format!("key:{i}").as_bytes()));
    }
    table.check_invariants();
    assert!(
        table.overhead_bytes() < 200_000,
        "{}",
        table.overhead_bytes()
    );
    for i in 199_000..200_000 {
        assert!(delete(&mut table, format!("key:{i}").as_bytes()));
    }
    assert_eq!((table.overhead_bytes(), table.len()), (0, 0));
}

/// Copies, unions and payloads bring elements in the order of another table.
#[test]
fn elements_in_the_order_of_their_hashes_are_not_crowded() {
    let mut table = Members::new(KeyHasher::new());
    for i in 0..100_000 {
        put(&mut table, format!("key:{i}").as_bytes(), i);
    }
    let mut copy = Members::new(table.hasher().clone());
    let mut steps = 0;
    for member in table.iter() {
        let hash = copy.hasher().hash(member.key());
        let loc = copy.insert(hash, Member::new(member.key(), Payload::None));
        let (shard, bucket, _) = copy.at(loc);
        let home = shard.home(Members::pos(shard, hash));
        steps += (bucket + shard.buckets() - home) % shard.buckets();
    }
    copy.check_invariants();
    assert!(steps < 8 * copy.len(), "{steps} steps");
    let bytes = copy.overhead_bytes() / copy.len();
    assert!(bytes < 16, "{bytes} bytes for each");
}

#[test]
fn an_emptied_table_gives_its_memory_back_once() {
    let mut emptied = Members::new(KeyHasher::new());
    for _ in 0..100 {
        put(&mut emptied, b"key", 1);
        assert!(delete(&mut emptied, b"key"));
        let mut others = [(); 3].map(|()| Members::new(KeyHasher::new()));
        for (value, table) in (0..).zip(&mut others) {
            put(table, b"key", value);
        }
        for (value, table) in (0..).zip(&others) {
            table.check_invariants();
            assert_eq!(get(table, b"key"), Some(value));
        }
    }
}

#[test]
fn random_elements_are_equally_likely() {
    let mut rng = SmallRng::seed_from_u64(1);
    // One shard; several of different sizes; and of different depths.
    for (len, kept_of_upper) in [(5, 1), (60, 1), (2_000, 1), (6_000, 1), (6_000, 40)] {
        let mut table = Members::new(KeyHasher::new());
        for i in 0..len {
            put(&mut table, format!("{i}").as_bytes(), i);
        }
        for i in (0..len).filter(|i| i % kept_of_upper != 0) {
            let key = format!("{i}");
            if table.hasher.hash(key.as_bytes()) >> 63 == 1 {
                delete(&mut table, key.as_bytes());
            }
        }
        let len = table.len();
        let mut counts: HashMap<Vec<u8>, usize> = HashMap::new();
        for _ in 0..len * 40 {
            let key = table.random(&mut rng).unwrap().key().to_vec();
            *counts.entry(key).or_default() += 1;
        }
        let missing = len - counts.len();
        let distances = counts.values().map(|count| (*count as f64 - 40.0).powi(2));
        let chi_square = (distances.sum::<f64>() + missing as f64 * 1600.0) / 40.0;
        // Its mean and deviation are those of the distribution, one less aside.
        let limit = len as f64 + 6.0 * (2.0 * len as f64).sqrt();
        assert!(chi_square < limit, "{len}: {chi_square} of {limit}");
    }
}

#[test]
fn copies_are_tables_of_their_own() {
    for len in [0, 1, 100, 5_000] {
        let mut table = Members::new(KeyHasher::new());
        for i in 0..len {
            put(&mut table, format!("{i}").as_bytes(), i);
        }
        if let Some(loc) = table.find(table.hasher.hash(b"7"), b"7") {
            table.update(loc, |entry| entry.replace_expire(Some(1)));
        }
        let copy = |member: crate::encoding::member::MemberRef<'_>| {
            let copy = Member::new(member.key(), Payload::Value(member.value()));
            copy.replace_expire(member.expire())
        };
        let mut twin = table.duplicate(copy);
        twin.check_invariants();
        for i in 0..len {
            assert_eq!(get(&twin, format!("{i}").as_bytes()), Some(i));
            assert!(delete(&mut table, format!("{i}").as_bytes()));
        }
        put(&mut twin, b"new", 1);
        twin.check_invariants();
        assert_eq!(twin.len(), len as usize + 1);
    }
}

#[test]
fn room_is_made_in_advance() {
    for len in [1usize, 7, 1_200, 1_201, 30_000] {
        let mut from = Members::new(KeyHasher::new());
        for i in 0..len as i64 {
            put(&mut from, format!("{i}").as_bytes(), i);
        }
        let mut table = Members::with_capacity(from.hasher.clone(), len);
        table.check_invariants();
        assert_eq!(
            table.random(&mut SmallRng::seed_from_u64(1)).map(|_| ()),
            None
        );
        let before = table.overhead_bytes();
        // In the order of the hashes, which is the worst there is.
        for member in from.iter() {
            put(&mut table, member.key(), 1);
        }
        table.check_invariants();
        assert!(table.overhead_bytes() <= before + before / 4);
        assert!(table.overhead_bytes() < len * 20 + 200);
        for i in 0..len {
            assert!(delete(&mut table, format!("{i}").as_bytes()));
        }
        assert_eq!(table.overhead_bytes(), 0);
    }
}

#[test]
fn random_elements_spread() {
    let mut table = Members::new(KeyHasher::new());
    let mut rng = SmallRng::seed_from_u64(1);
    for i in 0..1000 {
        put(&mut table, format!("{i}").as_bytes(), i);
    }
    let seen: HashSet<Vec<u8>> = (0..20_000)
        .map(|_| table.random(&mut rng).unwrap().key().to_vec())
        .collect();
    assert!(seen.len() > 990, "{}", seen.len());
    assert!(table.random_expiring(&mut rng).is_none());
    let loc = table.find(table.hasher.hash(b"7"), b"7").unwrap();
    table.update(loc, |entry| entry.replace_expire(Some(1)));
    assert_eq!(table.random_expiring(&mut rng).unwrap().key(), b"7");
    let mut found = Vec::new();
    let mut cursor = 0;
    loop {
        cursor = table.scan_expiring(cursor, 4, |entry| {
            found.push(entry.key().to_vec());
            true
        });
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(found, [b"7"]);
}

#[derive(Clone, Debug)]
enum Op {
    Put(u16, i64),
    Delete(u16),
    Expire(u16, bool),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0u16..3000, any::<i64>()).prop_map(|(k, v)| Op::Put(k, v)),
        2 => (0u16..3000).prop_map(Op::Delete),
        1 => (0u16..3000, any::<bool>()).prop_map(|(k, e)| Op::Expire(k, e)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn behaves_as_a_map(ops in prop::collection::vec(op(), 1..4000)) {
        let mut table = Members::new(KeyHasher::new());
        let mut model: HashMap<u16, (i64, bool)> = HashMap::new();
        for op in ops {
            match op {
                Op::Put(k, v) => {
                    put(&mut table, &k.to_le_bytes(), v);
                    model.entry(k).or_insert((v, false)).0 = v;
                }
                Op::Delete(k) => {
                    prop_assert_eq!(delete(&mut table, &k.to_le_bytes()), model.remove(&k).is_some());
                }
                Op::Expire(k, on) => {
                    let key = k.to_le_bytes();
                    if let Some(loc) = table.find(table.hasher.hash(&key), &key) {
                        table.update(loc, |entry| entry.replace_expire(on.then_some(5)));
                        model.get_mut(&k).unwrap().1 = on;
                    }
                }
            }
        }
        table.check_invariants();
        prop_assert_eq!(table.len(), model.len());
        prop_assert_eq!(table.expires(), model.values().filter(|v| v.1).count());
        for (k, (v, _)) in &model {
            prop_assert_eq!(get(&table, &k.to_le_bytes()), Some(*v));
        }
    }

    /// SCAN's guarantee: what stays is seen, whatever grows and shrinks between.
    #[test]
    fn scan_sees_all_that_stays(
        stay in 1u32..5000,
        phases in prop::collection::vec((any::<bool>(), 0u32..6000), 0..40),
    ) {
        let mut table = Members::new(KeyHasher::new());
        for i in 0..stay {
            put(&mut table, format!("stay:{i}").as_bytes(), 0);
        }
        let mut seen = HashSet::new();
        let (mut cursor, mut noise, mut phase, mut steps) = (0, 0u32, phases.iter(), 0u64);
        loop {
            cursor = table.scan(cursor, |entry| { seen.insert(entry.key().to_vec()); });
            if cursor == 0 { break }
            steps += 1;
            prop_assert!(steps < 100_000);
            if steps % 7 == 0 && let Some((grow, count)) = phase.next() {
                for _ in 0..*count {
                    if *grow {
                        put(&mut table, format!("noise:{noise}").as_bytes(), 1);
                        noise += 1;
                    } else if noise > 0 {
                        noise -= 1;
                        delete(&mut table, format!("noise:{noise}").as_bytes());
                    }
                }
            }
        }
        for i in 0..stay {
            let key = format!("stay:{i}").into_bytes();
            prop_assert!(seen.contains(&key), "lost {}", i);
        }
    }
}

/// A sink that remembers what it was given; nothing may come twice.
#[derive(Clone, Default)]
struct Collected(std::sync::Arc<std::sync::Mutex<HashMap<Vec<u8>, i64>>>);

impl Sink<Member> for Collected {
    fn put(&mut self, member: crate::encoding::member::MemberRef<'_>) {
        let value = i64::from_le_bytes(member.value().try_into().expect("8 bytes"));
        let before = self.0.lock().unwrap().insert(member.key().to_vec(), value);
        assert_eq!(before, None, "came twice");
    }
}

proptest! {
    #[test]
    fn a_frozen_table_is_written_as_it_was(
        before in prop::collection::vec((any::<u16>(), any::<i64>()), 0..3000),
        ops in prop::collection::vec((0u8..8, any::<u16>(), any::<i64>()), 0..6000),
        end in 0..3,
    ) {
        let (mut table, mut model) = (Members::new(KeyHasher::new()), HashMap::new());
        let key = |number: u16| format!("key:{}", number % 5000).into_bytes();
        for (number, value) in before {
            put(&mut table, &key(number), value);
            model.insert(key(number), value);
        }
        let collected = Collected::default();
        table.freeze(Box::new(collected.clone()));
        for (op, number, value) in ops {
            match op {
                0..=2 => put(&mut table, &key(number), value),
                3..=6 => drop(delete(&mut table, &key(number))),
                _ => drop(table.thaw(usize::from(number) % 3)),
            }
        }
        match end {
            0 => while !table.thaw(7) {},
            1 => table.thaw_all(),
            _ => drop(table),
        }
        prop_assert_eq!(&*collected.0.lock().unwrap(), &model);
    }
}

#[test]
fn a_frozen_table_that_shrinks_to_a_few_is_written_as_it_was() {
    let (mut table, mut model) = (Members::new(KeyHasher::new()), HashMap::new());
    for i in 0..100_000 {
        let key = format!("key:{i}").into_bytes();
        put(&mut table, &key, i);
        model.insert(key, i);
    }
    let collected = Collected::default();
    table.freeze(Box::new(collected.clone()));
    assert!(!table.thaw(5000));
    for key in model.keys().take(99_990) {
        assert!(delete(&mut table, key));
    }
    assert!(table.thaw(usize::MAX) && !table.is_frozen());
    assert_eq!(*collected.0.lock().unwrap(), model);
    table.check_invariants();
}

#[test]
fn samples_of_few_elements_are_not_empty() {
    let mut table = Members::new(KeyHasher::new());
    for i in 0..20 {
        put(&mut table, format!("key:{i}").as_bytes(), i);
        for seed in 0..200 {
            let (mut rng, mut seen) = (SmallRng::seed_from_u64(seed), 0);
            table.sample(&mut rng, 5, |_| {
                seen += 1;
                true
            });
            assert!(seen > 0, "of {} with seed {seed}", i + 1);
        }
    }
}
