//! Model tests of sets.

use std::collections::{BTreeSet, HashSet};

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Insert(Vec<u8>),
    InsertAll(Vec<Vec<u8>>),
    Remove(Vec<u8>),
    Pop,
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (-20i64..40).prop_map(|number| number.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        2 => (0u32..40).prop_map(|number| format!("member:{number}").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
        1 => prop::sample::select(vec![&b"007"[..], b"-0", b"+1", b"9223372036854775808"])
            .prop_map(<[u8]>::to_vec),
    ]
}

/// Mostly integers only, for a while.
fn ops() -> impl Strategy<Value = Vec<Op>> {
    let number = (-200i64..200).prop_map(|number| number.to_string().into_bytes());
    let op = |member: BoxedStrategy<Vec<u8>>| {
        prop_oneof![
            6 => member.clone().prop_map(Op::Insert),
            1 => prop::collection::vec(member.clone(), 0..60).prop_map(Op::InsertAll),
            2 => member.prop_map(Op::Remove),
            1 => Just(Op::Pop),
        ]
    };
    let numbers = prop::collection::vec(op(number.boxed()), 0..150);
    let any = prop::collection::vec(op(member().boxed()), 0..150);
    (numbers, any).prop_map(|(numbers, any)| [numbers, any].concat())
}

fn limits() -> impl Strategy<Value = SetLimits> {
    (0usize..100, 0usize..100, 0usize..50).prop_map(|(ints, entries, member_bytes)| SetLimits {
        ints,
        entries,
        member_bytes,
    })
}

fn members(set: SetRef<'_>) -> HashSet<Vec<u8>> {
    let members: Vec<_> = set.iter().map(Item::to_vec).collect();
    let distinct: HashSet<_> = members.iter().cloned().collect();
    assert_eq!(distinct.len(), members.len(), "a member twice");
    distinct
}

fn set_of(members: &[Vec<u8>], limits: SetLimits) -> Set {
    let mut set = Set::new();
    for member in members {
        set.insert(member, limits);
    }
    set
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn behaves_as_a_set(ops in ops(), limits in limits(), seed in any::<u64>()) {
        let mut rng = SmallRng::seed_from_u64(seed);
        let (mut set, mut model) = (Set::new(), HashSet::new());
        for op in ops {
            match op {
                Op::Insert(member) => {
                    prop_assert_eq!(set.insert(&member, limits), model.insert(member));
                }
                Op::InsertAll(members) => {
                    let views: Vec<&[u8]> = members.iter().map(Vec::as_slice).collect();
                    let inserted = set.insert_all(&views, limits);
                    let expected = members.into_iter().filter(|member| model.insert(member.clone()));
                    prop_assert_eq!(inserted, expected.count());
                }
                Op::Remove(member) => {
                    prop_assert_eq!(set.remove(&member), model.remove(&member));
                }
                Op::Pop => {
                    let popped = set.pop(&mut rng, |member| member.to_vec());
                    prop_assert_eq!(popped.is_some(), !model.is_empty());
                    prop_assert!(popped.is_none_or(|member| model.remove(&member)));
                }
            }
            set.check_invariants();
            prop_assert_eq!(set.is_empty(), model.is_empty());
            match &set {
                Set::Ints(ints) => prop_assert!(ints.as_ref().len() <= limits.ints),
                Set::Pack(pack) => {
                    prop_assert!(pack.as_ref().len() <= limits.entries);
                    let fits = |item: Item| item.len_of_text() <= limits.member_bytes.max(20);
                    prop_assert!(pack.as_ref().iter().all(fits));
                }
                Set::Table(_) => {}
            }
            // The memory survives the way through an entry.
            if let Some((kind, bytes)) = set.as_packed() {
                set = Set::from_packed(kind, bytes.to_vec()).unwrap();
            }
        }
        let view = set.view();
        prop_assert_eq!(view.len(), model.len());
        prop_assert_eq!(&members(view), &model);
        prop_assert!(model.iter().all(|member| view.contains(member)));
        let (mut seen, mut cursor) = (HashSet::new(), 0);
        loop {
            cursor = view.scan(cursor, |member| {
                seen.insert(member.to_vec());
            });
            if cursor == 0 { break }
        }
        prop_assert_eq!(&seen, &model);
        let copy = set.duplicate();
        copy.check_invariants();
        prop_assert_eq!(&members(copy.view()), &model);
        let items: Vec<Item> = view.iter().collect();
        let fresh = Set::of_distinct(&items, limits);
        fresh.check_invariants();
        prop_assert_eq!(&members(fresh.view()), &model);
        let one_by_one = set_of(&items.iter().map(|item| item.to_vec()).collect::<Vec<_>>(), limits);
        prop_assert_eq!(fresh.encoding_name(), one_by_one.encoding_name());
        let random = view.random(&mut rng).map(Item::to_vec);
        prop_assert_eq!(random.is_some(), !model.is_empty());
        prop_assert!(random.is_none_or(|member| model.contains(&member)));
        for wanted in [0, 1, 3, model.len() / 4, model.len() / 2, model.len(), usize::MAX] {
            let mut sample = Vec::new();
            view.sample(wanted, &mut rng, |member| sample.push(member.to_vec()));
            prop_assert_eq!(sample.len(), wanted.min(model.len()));
            let distinct: HashSet<_> = sample.into_iter().collect();
            prop_assert_eq!(distinct.len(), wanted.min(model.len()));
            prop_assert!(distinct.is_subset(&model));
        }
    }

    #[test]
    fn intersections_and_differences(
        sets in prop::collection::vec(prop::collection::vec(member(), 1..100), 1..5),
        limits in prop::collection::vec(limits(), 5),
    ) {
        let models: Vec<BTreeSet<_>> = { sets.iter() }
            .map(|members| members.iter().cloned().collect())
            .collect();
        let sets: Vec<Set> = { sets.iter().zip(&limits) }
            .map(|(members, limits)| set_of(members, *limits))
            .collect();
        let views: Vec<SetRef> = sets.iter().map(Set::view).collect();

        let all = |member: &&Vec<u8>| models.iter().all(|model| model.contains(*member));
        let expected: BTreeSet<_> = models[0].iter().filter(all).cloned().collect();
        let mut found = BTreeSet::new();
        intersection(&views, |member| found.insert(member.to_vec()));
        prop_assert_eq!(&found, &expected);
        let mut count = 0;
        intersection(&views, |_| {
            count += 1;
            count < 3
        });
        prop_assert_eq!(count, expected.len().min(3));

        let none = |member: &&Vec<u8>| !models[1..].iter().any(|model| model.contains(*member));
        let expected: BTreeSet<_> = models[0].iter().filter(none).cloned().collect();
        let mut found = BTreeSet::new();
        difference(views[0], &views[1..], |member| {
            found.insert(member.to_vec());
        });
        prop_assert_eq!(&found, &expected);
        let left = difference_by_removal(views[0], &views[1..], limits[4]);
        left.check_invariants();
        let left: BTreeSet<_> = left.view().iter().map(Item::to_vec).collect();
        prop_assert_eq!(&left, &expected);

        let twice = [views[0], views[0]];
        let mut found = BTreeSet::new();
        intersection(&twice, |member| found.insert(member.to_vec()));
        prop_assert_eq!(&found, &models[0]);
    }
}

#[test]
fn samples_are_fair() {
    let mut rng = SmallRng::seed_from_u64(1);
    for limits in [(512, 64), (0, 64), (0, 0)] {
        let limits = SetLimits {
            ints: limits.0,
            entries: limits.1,
            member_bytes: 64,
        };
        let mut set = Set::new();
        for number in 0..40 {
            set.insert(number.to_string().as_bytes(), limits);
        }
        // Drawn one by one, by going through, and by taking out.
        for wanted in [4, 20, 39] {
            let mut counts = [0u32; 40];
            let rounds = 20_000 / wanted;
            for _ in 0..rounds {
                set.view().sample(wanted, &mut rng, |member| {
                    counts[member.as_i64().unwrap() as usize] += 1;
                });
            }
            check_fair(&counts);
        }
        let mut counts = [0u32; 40];
        for _ in 0..2_000 {
            let mut copy = set.duplicate();
            for _ in 0..10 {
                let popped = copy.pop(&mut rng, |member| member.as_i64().unwrap());
                counts[popped.unwrap() as usize] += 1;
            }
        }
        check_fair(&counts);
    }
}

fn check_fair(counts: &[u32; 40]) {
    let expected = f64::from(counts.iter().sum::<u32>()) / 40.0;
    let distances = { counts.iter() }.map(|count| (f64::from(*count) - expected).powi(2));
    let chi_square = distances.sum::<f64>() / expected;
    // 39 degrees of freedom: one in 100,000 is above 85.
    assert!(chi_square < 85.0, "{chi_square} {counts:?}");
}

#[test]
fn encodings_are_those_of_redis() {
    let limits = SetLimits::new(3);
    let mut set = set_of(&[b"1".to_vec(), b"2".to_vec(), b"3".to_vec()], limits);
    assert_eq!(set.encoding_name(), "intset");
    assert!(!set.insert(b"3", limits));
    assert_eq!(set.encoding_name(), "intset");
    assert!(set.insert(b"4", limits));
    assert_eq!(set.encoding_name(), "hashtable");
    assert!(set.remove(b"4") && set.remove(b"3"));
    assert_eq!(set.encoding_name(), "hashtable", "and never back");
    let mut set = set_of(&[b"1".to_vec()], limits);
    assert!(set.insert(b"a", limits) && set.remove(b"a"));
    assert_eq!(set.encoding_name(), "hashtable");
}

#[test]
fn what_is_too_long_or_too_many_needs_a_table() {
    let limits = SetLimits::new(512);
    let is_packed = |set: &Set| matches!(set, Set::Pack(_));
    let mut set = set_of(&[b"1".to_vec(), vec![b'a'; limits.member_bytes]], limits);
    assert!(is_packed(&set));
    assert!(set.insert(&vec![b'a'; limits.member_bytes + 1], limits));
    assert!(!is_packed(&set) && set.view().len() == 3);
    let mut set = set_of(&[b"1".to_vec()], limits);
    assert!(set.insert(&vec![b'a'; limits.member_bytes + 1], limits));
    assert!(!is_packed(&set) && set.view().len() == 2);
    let many = |count: usize| (0..count).map(|n| format!("m{n}").into_bytes()).collect();
    let many: [Vec<Vec<u8>>; 2] = [many(limits.entries), many(limits.entries + 1)];
    assert!(is_packed(&set_of(&many[0], limits)));
    assert!(!is_packed(&set_of(&many[1], limits)));
}
