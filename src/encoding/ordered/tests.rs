//! Model tests of the ordered tree: against a sorted vector, with nodes small
//! enough that few entries make a deep tree.

use std::sync::OnceLock;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

use super::*;

/// A number stands for a name that is kept for the life of the test process.
impl MemberKey for u64 {
    fn bytes(&self) -> &[u8] {
        static NAMES: OnceLock<Vec<String>> = OnceLock::new();
        let names = NAMES.get_or_init(|| (0..MEMBERS).map(|n| format!("m{n}")).collect());
        names[*self as usize].as_bytes()
    }
}

const MEMBERS: u64 = 200_000;

type Small = Ordered<u64, 4, 4>;

#[derive(Default)]
struct Model(Vec<(f64, u64)>);

impl Model {
    fn position(&self, score: f64, member: u64) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, name)| {
            let by_score = other.partial_cmp(&score).expect("no NaN");
            by_score.then_with(|| name.bytes().cmp(member.bytes()))
        })
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert(f64, u64),
    Remove(usize),
    RemoveRange(usize, usize),
    Update(usize, f64),
    PopFirst,
    PopLast,
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-20i32..20).prop_map(f64::from),
        1 => Just(-0.0),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (score(), 0u64..300).prop_map(|(score, member)| Op::Insert(score, member)),
        3 => any::<usize>().prop_map(Op::Remove),
        1 => (any::<usize>(), 0usize..40).prop_map(|(at, count)| Op::RemoveRange(at, count)),
        2 => (any::<usize>(), score()).prop_map(|(at, score)| Op::Update(at, score)),
        1 => Just(Op::PopFirst),
        1 => Just(Op::PopLast),
    ]
}

fn apply(tree: &mut Small, model: &mut Model, op: Op) {
    let len = model.0.len();
    match op {
        Op::Insert(score, member) => {
            if let Err(at) = model.position(score, member) {
                model.0.insert(at, (score, member));
                tree.insert(score, member);
            }
        }
        Op::Remove(at) if len > 0 => {
            let (score, member) = model.0.remove(at % len);
            assert_eq!(tree.remove(score, member.bytes()), Some(member));
            assert_eq!(tree.remove(score, member.bytes()), None);
        }
        Op::RemoveRange(at, count) if len > 0 => {
            let from = at % len;
            let to = (from + count).min(len);
            let expected: Vec<(f64, u64)> = model.0.drain(from..to).collect();
            let mut removed = Vec::new();
            tree.remove_range(from..to, |score, member| removed.push((score, member)));
            assert_eq!(removed, expected);
        }
        Op::Update(at, new) if len > 0 => {
            let (old, member) = model.0[at % len];
            if model.position(new, member).is_err() {
                model.0.remove(at % len);
                let to = model.position(new, member).expect_err("not there");
                model.0.insert(to, (new, member));
                assert_eq!(tree.update(old, member.bytes(), new), Some(member));
            }
        }
        Op::PopFirst => {
            let expected = (len > 0).then(|| model.0.remove(0));
            assert_eq!(tree.pop_first(), expected);
        }
        Op::PopLast => assert_eq!(tree.pop_last(), model.0.pop()),
        _ => {}
    }
}

fn compare(tree: &Small, model: &Model) {
    tree.check_invariants();
    let len = model.0.len();
    assert_eq!(tree.iter().collect::<Vec<_>>(), model.0);
    assert_eq!(
        tree.iter().rev().collect::<Vec<_>>(),
        model.0.iter().rev().copied().collect::<Vec<_>>()
    );
    let (third, two_thirds) = (len / 3, len * 2 / 3);
    assert_eq!(
        tree.range(third..two_thirds).rev().collect::<Vec<_>>(),
        model.0[third..two_thirds]
            .iter()
            .rev()
            .copied()
            .collect::<Vec<_>>()
    );
    for (rank, (score, member)) in model.0.iter().enumerate() {
        assert_eq!(tree.rank(*score, member.bytes()), Some(rank));
        assert_eq!(tree.get(rank), Some((*score, *member)));
        let before = tree.partition_point(|other, name| {
            other < *score || (other == *score && name < member.bytes())
        });
        assert_eq!(before, rank);
    }
    assert_eq!(
        (tree.get(len), tree.last()),
        (None, model.0.last().copied())
    );
}

proptest! {
    #[test]
    fn behaves_as_a_sorted_vector(ops in prop::collection::vec(op(), 1..300)) {
        let (mut tree, mut model) = (Small::new(), Model::default());
        for op in ops {
            apply(&mut tree, &mut model, op);
            tree.check_invariants();
        }
        compare(&tree, &model);
        let rebuilt = Small::from_sorted(model.0.iter().copied());
        compare(&rebuilt, &model);
    }
}

fn bytes_per_entry(tree: &Ordered<u64>) -> f64 {
    tree.heap_bytes() as f64 / tree.len() as f64
}

#[test]
fn nodes_are_well_filled() {
    let mut numbers: Vec<u64> = (0..MEMBERS).collect();
    numbers.shuffle(&mut SmallRng::seed_from_u64(1));
    let mut random = Ordered::<u64>::new();
    for number in &numbers {
        random.insert(*number as f64, *number);
    }
    assert!(
        bytes_per_entry(&random) < 22.0,
        "{}",
        bytes_per_entry(&random)
    );
    // Churn: half of the members move somewhere else, again and again.
    for round in 0..4 {
        for number in numbers.iter().filter(|number| *number % 2 == round % 2) {
            let rank = random.rank(score_of(*number, round), number.bytes());
            assert!(rank.is_some());
            let old = score_of(*number, round);
            random.update(old, number.bytes(), score_of(*number, round + 2));
        }
    }
    random.check_invariants();
    assert!(
        bytes_per_entry(&random) < 24.0,
        "{}",
        bytes_per_entry(&random)
    );
    let mut ascending = Ordered::<u64>::new();
    let mut descending = Ordered::<u64>::new();
    for number in 0..MEMBERS {
        ascending.insert(number as f64, number);
        descending.insert(-(number as f64), number);
    }
    for tree in [&ascending, &descending] {
        tree.check_invariants();
        assert!(bytes_per_entry(tree) < 17.5, "{}", bytes_per_entry(tree));
    }
}

/// Where the churn above has put a member.
fn score_of(number: u64, round: u64) -> f64 {
    if round < 2 {
        return number as f64;
    }
    (number
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(round / 2)
        >> 20) as f64
}

#[test]
fn a_queue_stays_small() {
    let mut tree = Ordered::<u64>::from_sorted((0..1000).map(|number| (number as f64, number)));
    for number in 1000..100_000 {
        tree.insert(number as f64, number);
        assert_eq!(
            tree.pop_first(),
            Some(((number - 1000) as f64, number - 1000))
        );
    }
    tree.check_invariants();
    assert!(tree.heap_bytes() < 40_000, "{}", tree.heap_bytes());
    while tree.pop_last().is_some() {}
    assert_eq!((tree.len(), tree.heap_bytes()), (0, 0));
}
