use std::collections::BTreeMap;

use proptest::prelude::*;

use super::SharedMap;

#[derive(Clone, Debug)]
enum Op {
    Insert(u16),
    /// So many keys that follow the greatest.
    Append(u8),
    Remove(u16),
    /// So many of the least keys.
    RemoveFirst(u8),
    Change(u16),
    Read(u16),
    Copy,
}

fn op() -> impl Strategy<Value = Op> {
    let key = || prop_oneof![0u16..50, 0u16..5000];
    prop_oneof![
        6 => key().prop_map(Op::Insert),
        3 => any::<u8>().prop_map(Op::Append),
        6 => key().prop_map(Op::Remove),
        2 => any::<u8>().prop_map(Op::RemoveFirst),
        2 => key().prop_map(Op::Change),
        2 => key().prop_map(Op::Read),
        1 => Just(Op::Copy),
    ]
}

fn read(map: &SharedMap<u16, u32>, model: &BTreeMap<u16, u32>, key: u16) {
    assert_eq!(map.get(&key), model.get(&key));
    assert_eq!(map.floor(&key), model.range(..=key).next_back());
    assert!(map.iter_from(&key).eq(model.range(key..)));
    assert!(map.iter_back_from(&key).eq(model.range(..=key).rev()));
    assert_eq!(map.first(), model.first_key_value());
    assert_eq!(map.last(), model.last_key_value());
}

fn run(map: &mut SharedMap<u16, u32>, model: &mut BTreeMap<u16, u32>, op: &Op, step: u32) {
    match *op {
        Op::Insert(key) => assert_eq!(map.insert(key, step), model.insert(key, step)),
        Op::Append(count) => {
            let after = model.last_key_value().map_or(0, |(key, _)| key + 1);
            for key in after..after.saturating_add(count.into()) {
                assert_eq!(map.insert(key, step), model.insert(key, step));
            }
        }
        Op::Remove(key) => assert_eq!(map.remove(&key), model.remove(&key)),
        Op::RemoveFirst(count) => {
            for _ in 0..count {
                let Some((key, value)) = model.pop_first() else {
                    break;
                };
                assert_eq!(map.remove(&key), Some(value));
            }
        }
        Op::Change(key) => {
            assert_eq!(map.get_mut(&key).is_some(), model.contains_key(&key));
            if let Some(value) = map.get_mut(&key) {
                *value = step;
                model.insert(key, step);
            }
            if let Some((_, value)) = map.last_mut() {
                *value = step;
                *model.last_entry().expect("one").get_mut() = step;
            }
            if let Some((_, value)) = map.first_mut() {
                *value = step;
                *model.first_entry().expect("one").get_mut() = step;
            }
        }
        Op::Read(key) => read(map, model, key),
        Op::Copy => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn behaves_as_a_sorted_map_and_copies_stay(ops in prop::collection::vec(op(), 1..200)) {
        let (mut map, mut model) = (SharedMap::default(), BTreeMap::new());
        let mut copies = Vec::new();
        for (step, op) in ops.iter().enumerate() {
            run(&mut map, &mut model, op, step as u32);
            if matches!(op, Op::Copy) {
                copies.push((map.clone(), model.clone()));
            }
            map.check_invariants();
            prop_assert!(map.iter().eq(model.iter()));
        }
        for (copy, model) in copies {
            copy.check_invariants();
            prop_assert!(copy.iter().eq(model.iter()));
        }
    }
}

#[test]
fn a_change_copies_the_way_to_it_only() {
    let mut map = SharedMap::default();
    for key in 0..1_000_000 {
        map.insert(key, key);
    }
    let copy = map.clone();
    assert_eq!(map.nodes_apart(&copy), 0);
    map.insert(500_000, 1);
    assert_eq!(map.nodes_apart(&copy), 4);
    map.remove(&500_001);
    assert_eq!(map.nodes_apart(&copy), 4);
    map.insert(1_000_000, 1);
    assert!(map.nodes_apart(&copy) <= 8);
    assert_eq!((copy[&500_000], map[&500_000]), (500_000, 1));
}

#[test]
fn what_comes_in_order_fills_the_nodes_and_what_goes_empties_them() {
    let mut map = SharedMap::default();
    for key in 0..64 * 64 * 2 {
        map.insert(key, ());
    }
    // 128 leaves below 2 branches.
    assert_eq!(map.nodes_apart(&SharedMap::default()), 128 + 3);
    for key in (0..64 * 64 * 2).filter(|key| key % 64 != 0) {
        map.remove(&key);
    }
    map.check_invariants();
    assert!(map.nodes_apart(&SharedMap::default()) < 16);
}
