//! Model tests of sorted sets in both forms.

use std::collections::BTreeMap;
use std::ops::Bound;

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    entries: 20,
    member_bytes: 30,
};

fn name(number: u8) -> Vec<u8> {
    match number {
        0..100 => number.to_string().into_bytes(),
        _ => format!("m{}", "y".repeat(usize::from(number % 32))).into_bytes(),
    }
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-5i32..5).prop_map(f64::from),
        (-5i32..5).prop_map(|score| f64::from(score) / 3.0),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(1e19),
        Just(-1e17),
    ]
}

fn model_in_order(model: &BTreeMap<Vec<u8>, f64>) -> Vec<(Vec<u8>, f64)> {
    let mut all: Vec<(Vec<u8>, f64)> = model.clone().into_iter().collect();
    all.sort_by(|a, b| (a.1, &a.0).partial_cmp(&(b.1, &b.0)).expect("no NaN"));
    all
}

fn contents(zset: ZsetRef<'_>, ranks: Range<usize>, direction: Direction) -> Vec<(Vec<u8>, f64)> {
    let mut found = Vec::new();
    zset.for_each(ranks, direction, |member, score| {
        found.push((member.to_vec(), score));
    });
    found
}

fn compare(zset: &Zset, model: &BTreeMap<Vec<u8>, f64>, min: f64, max: f64) {
    let view = zset.view();
    let all = model_in_order(model);
    let len = all.len();
    assert_eq!(view.len(), len);
    assert_eq!(contents(view, 0..len, Direction::Ascending), all);
    for (rank, (name, score)) in all.iter().enumerate() {
        assert_eq!(view.rank(name), Some(rank));
        assert_eq!(view.score(name), Some(*score));
    }
    let ranks: Vec<usize> = (0..len).rev().chain(0..len.min(3)).collect();
    let of_ranks = view.of_ranks(&ranks);
    let of_ranks = of_ranks
        .iter()
        .map(|(member, score)| (member.to_vec(), *score));
    assert!(of_ranks.eq(ranks.iter().map(|rank| all[*rank].clone())));
    let range = ScoreRange {
        min: Bound::Excluded(min),
        max: Bound::Included(max),
    };
    let mut within: Vec<(Vec<u8>, f64)> = all
        .iter()
        .filter(|(_, score)| *score > min && *score <= max)
        .cloned()
        .collect();
    let ranks = view.ranks_of_scores(&range);
    assert_eq!(contents(view, ranks.clone(), Direction::Ascending), within);
    within.reverse();
    assert_eq!(contents(view, ranks, Direction::Descending), within);
}

proptest! {
    #[test]
    fn behaves_as_a_map_in_order(
        ops in prop::collection::vec((0u8..8, any::<u8>(), score()), 1..120),
        (min, max) in (score(), score()),
    ) {
        let (mut zset, mut model) = (Zset::new(), BTreeMap::new());
        for (op, number, score) in ops {
            let name = name(number);
            if op < 6 {
                zset.upsert(&name, LIMITS, |old| {
                    assert_eq!(old, model.get(&name).copied());
                    Some(score)
                });
                model.insert(name, score);
            } else if op < 7 {
                assert_eq!(zset.remove(&name), model.remove(&name).is_some());
            } else if !model.is_empty() {
                let from = usize::from(number) % model.len();
                let to = model.len().min(from + 2);
                for (name, _) in &model_in_order(&model)[from..to] {
                    model.remove(name);
                }
                zset.remove_range(from..to);
            }
            match &zset {
                Zset::Packed(pairs) => {
                    pairs.check_invariants();
                    assert!(model.len() <= LIMITS.entries);
                }
                Zset::Big(scored) => scored.check_invariants(),
            }
        }
        compare(&zset, &model, min, max);
        compare(&zset.duplicate(), &model, min, max);
        compare(&Zset::from_sorted(&model_in_order(&model), LIMITS), &model, min, max);
    }

    #[test]
    fn members_of_one_score_are_in_the_order_of_their_bytes(
        numbers in prop::collection::btree_set(any::<u8>(), 1..40),
        (min, max) in (any::<u8>(), any::<u8>()),
    ) {
        let mut zset = Zset::new();
        let mut names: Vec<Vec<u8>> = numbers.into_iter().map(name).collect();
        for name in &names {
            zset.upsert(name, LIMITS, |_| Some(1.0));
        }
        names.sort();
        names.dedup();
        let (min, max) = (name(min), name(max));
        let range = LexRange { min: LexBound::Included(&min), max: LexBound::Excluded(&max) };
        let start = names.partition_point(|name| *name < min);
        let end = names.partition_point(|name| *name < max).max(start);
        for direction in [Direction::Ascending, Direction::Descending] {
            let ranks = zset.view().ranks_of_members(&range, direction);
            prop_assert_eq!(ranks.len(), end - start);
            prop_assert!(ranks.is_empty() || ranks == (start..end));
        }
    }
}

#[test]
fn scores_lie_in_listpacks_as_redis_puts_them() {
    let mut zset = Zset::new();
    for (name, score) in [
        ("a", -0.0),
        ("b", 0.1),
        ("12", 3.0),
        ("d", 1e18),
        ("e", 5e18),
    ] {
        zset.upsert(name.as_bytes(), LIMITS, |_| Some(score));
    }
    let Zset::Packed(pairs) = &zset else {
        panic!("a small set is packed");
    };
    let items: Vec<Item<'_>> = pairs.as_ref().iter().collect();
    let expected = [
        Item::Bytes(b"a"),
        Item::Int(0),
        Item::Bytes(b"b"),
        Item::Bytes(b"0.10000000000000001"),
        Item::Int(12),
        Item::Int(3),
        Item::Bytes(b"d"),
        Item::Int(1_000_000_000_000_000_000),
        Item::Bytes(b"e"),
        Item::Bytes(b"5e+18"),
    ];
    assert_eq!(items, expected);
}
