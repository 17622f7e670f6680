//! Model tests of the quicklist.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use proptest::prelude::*;

use super::*;

type Model = VecDeque<Vec<u8>>;

fn texts(list: &Quicklist, end: End) -> Model {
    let from = match end {
        End::Left => 0,
        End::Right => list.len().saturating_sub(1),
    };
    let mut texts = Model::new();
    let broken: Option<()> = list.walk(from, end, |item| {
        texts.push_back(item.to_vec());
        ControlFlow::Continue(())
    });
    assert!(broken.is_none());
    texts
}

fn assert_same(list: &Quicklist, model: &Model) {
    list.check_invariants();
    assert_eq!(list.len(), model.len());
    assert_eq!(texts(list, End::Left), *model);
    assert!(texts(list, End::Right).iter().eq(model.iter().rev()));
    for index in [0, model.len() / 2, model.len().saturating_sub(1)] {
        let got = list.get(index, |item| item.to_vec());
        assert_eq!(got.as_ref(), model.get(index));
    }
    assert_eq!(list.get(model.len(), |_| ()), None);
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (0i64..20).prop_map(|value| value.to_string().into_bytes()),
        2 => any::<i64>().prop_map(|value| value.to_string().into_bytes()),
        2 => "[a-c]{0,40}".prop_map(String::into_bytes),
        1 => (0usize..9000, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
        1 => prop::collection::vec(any::<u8>(), 0..3000),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    (
        prop::sample::select(vec![-5, -2, -1, 0, 1, 2, 5, 100]),
        prop::sample::select(vec![0, 0, 1, 2, 3]),
        prop::sample::select(vec![PLAIN_FROM_BYTES, 1, 30, 1000]),
    )
        .prop_map(|(fill, depth, plain)| Limits::new(fill, depth, plain))
}

#[derive(Clone, Debug)]
enum Step {
    Push(End, Vec<u8>),
    PushMany(End, Vec<u8>, usize),
    Pop(End),
    PopMany(End, usize),
    Insert(usize, Side, Vec<u8>),
    Set(usize, Vec<u8>),
    RemoveRange(usize, usize),
    RemoveMatching(usize, usize, End),
    Threshold(usize),
}

fn end() -> impl Strategy<Value = End> {
    prop::sample::select(vec![End::Left, End::Right])
}

fn step() -> impl Strategy<Value = Step> {
    let place = 0usize..5000;
    let side = prop::sample::select(vec![Side::Before, Side::After]);
    prop_oneof![
        2 => (end(), text()).prop_map(|(end, text)| Step::Push(end, text)),
        3 => (end(), text(), 1usize..400).prop_map(|(end, text, n)| Step::PushMany(end, text, n)),
        1 => end().prop_map(Step::Pop),
        1 => (end(), 0usize..60).prop_map(|(end, n)| Step::PopMany(end, n)),
        4 => (place.clone(), side, text()).prop_map(|(at, side, text)| Step::Insert(at, side, text)),
        2 => (place.clone(), text()).prop_map(|(at, text)| Step::Set(at, text)),
        1 => (place.clone(), 0usize..40).prop_map(|(at, n)| Step::RemoveRange(at, n)),
        1 => (place, 1usize..9, end()).prop_map(|(at, n, end)| Step::RemoveMatching(at, n, end)),
        1 => prop::sample::select(vec![PLAIN_FROM_BYTES, 1, 30]).prop_map(Step::Threshold),
    ]
}

fn push(list: &mut Quicklist, model: &mut Model, end: End, text: Vec<u8>) {
    list.push(end, &text);
    match end {
        End::Left => model.push_front(text),
        End::Right => model.push_back(text),
    }
}

fn pop(list: &mut Quicklist, model: &mut Model, end: End) {
    let expected = match end {
        End::Left => model.pop_front(),
        End::Right => model.pop_back(),
    };
    assert_eq!(list.pop(end, |item| item.to_vec()), expected);
}

fn remove_matching(model: &mut Model, text: &[u8], max: usize, nearest_to: End) -> usize {
    let mut removed = 0;
    while removed < max {
        let found = match nearest_to {
            End::Left => model.iter().position(|item| item == text),
            End::Right => model.iter().rposition(|item| item == text),
        };
        match found {
            Some(index) => drop(model.remove(index)),
            None => break,
        }
        removed += 1;
    }
    removed
}

fn apply(list: &mut Quicklist, model: &mut Model, step: Step) {
    let inside = |place: usize, model: &Model| place.checked_rem(model.len());
    match step {
        Step::Push(end, text) => push(list, model, end, text),
        Step::PushMany(end, text, count) => {
            for index in 0..count {
                let mut text = text.clone();
                text.extend_from_slice(index.to_string().as_bytes());
                text.drain(..text.len().saturating_sub(200));
                push(list, model, end, text);
            }
        }
        Step::Pop(end) => pop(list, model, end),
        Step::PopMany(end, count) => (0..count).for_each(|_| pop(list, model, end)),
        Step::Insert(place, side, text) => {
            let at = inside(place, model);
            assert_eq!(list.insert(at.unwrap_or(0), side, &text), at.is_some());
            if let Some(index) = at {
                model.insert(index + usize::from(side == Side::After), text);
            }
        }
        Step::Set(place, text) => {
            let at = inside(place, model);
            assert_eq!(list.set(at.unwrap_or(0), &text), at.is_some());
            if let Some(index) = at {
                model[index] = text;
            }
        }
        Step::RemoveRange(place, count) => {
            let index = inside(place, model).unwrap_or(0);
            list.remove_range(index, count);
            let until = (index + count).min(model.len());
            model.drain(index..until);
        }
        Step::RemoveMatching(place, max, nearest_to) => {
            if let Some(index) = inside(place, model) {
                let text = model[index].clone();
                let first = model.iter().position(|item| *item == text);
                assert_eq!(list.find(&text), first);
                let removed = remove_matching(model, &text, max, nearest_to);
                assert_eq!(list.remove_matching(&text, max, nearest_to), removed);
            }
        }
        Step::Threshold(bytes) => list.set_plain_from(bytes),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn behaves_like_a_deque(limits in limits(), steps in prop::collection::vec(step(), 1..40)) {
        let (mut list, mut model) = (Quicklist::new(limits), Model::new());
        for step in steps {
            apply(&mut list, &mut model, step);
            assert_same(&list, &model);
        }
    }

    /// Many nodes, so that chunks split and join.
    #[test]
    fn many_nodes_stay_in_order(
        places in prop::collection::vec((0usize..5000, 0u8..6), 1..600),
    ) {
        let mut list = Quicklist::new(Limits::new(1, 0, PLAIN_FROM_BYTES));
        let mut model = Model::new();
        for index in 0..300 {
            push(&mut list, &mut model, End::Right, format!("first{index}").into_bytes());
        }
        for (number, (place, what)) in places.into_iter().enumerate() {
            let text = number.to_string().into_bytes();
            match what {
                0 | 1 => apply(&mut list, &mut model, Step::Insert(place, Side::After, text)),
                2 => apply(&mut list, &mut model, Step::Insert(place, Side::Before, text)),
                3 => apply(&mut list, &mut model, Step::RemoveRange(place, place % 30)),
                4 => pop(&mut list, &mut model, End::Left),
                _ => push(&mut list, &mut model, End::Left, text),
            }
            list.check_invariants();
            assert_eq!(list.len(), model.len());
        }
        assert_same(&list, &model);
    }
}

#[test]
fn elements_are_spread_as_redis_does() {
    // DEBUG OBJECT of redis-server 7.0.15: ql_nodes of 5000 elements of these
    // lengths, pushed to the tail.
    let nodes = |fill: i32, len: usize| {
        let mut list = Quicklist::new(Limits::new(fill, 0, PLAIN_FROM_BYTES));
        for _ in 0..5000 {
            list.push(End::Right, &vec![b'x'; len]);
        }
        list.nodes_len()
    };
    assert_eq!(nodes(-2, 16), 12);
    assert_eq!(nodes(-1, 100), 129);
    assert_eq!(nodes(-5, 3000), 239);
    assert_eq!(nodes(100, 16), 50);
    assert_eq!(nodes(100, 3000), 2500);
    assert_eq!(nodes(0, 3), 5000);
}

#[test]
fn memory_is_less_than_that_of_the_elements() {
    let mut list = Quicklist::new(Limits::new(-2, 0, PLAIN_FROM_BYTES));
    for index in 0..100_000 {
        list.push(End::Right, format!("element:{index:08}").as_bytes());
    }
    let dense = |list: &Quicklist| list.nodes().filter(|node| node.is_dense()).count();
    assert_eq!(dense(&list), list.nodes_len() - 4);
    let per_element = list.estimated_bytes(usize::MAX) as f64 / 100_000.0;
    assert!(per_element < 4.5, "{per_element}");
    let estimate = list.estimated_bytes(5) as f64 / 100_000.0;
    assert!((estimate / per_element - 1.0).abs() < 0.1, "{estimate}");
    // What is changed in the middle is loose from then on.
    assert!(list.set(50_000, b"x") && list.insert(25_000, Side::After, b"y"));
    assert_eq!(dense(&list), list.nodes_len() - 6);
    list.check_invariants();
    for _ in 0..99_000 {
        list.pop(End::Left, |_| ());
    }
    let per_element = list.estimated_bytes(usize::MAX) as f64 / 1000.0;
    assert!(per_element < 30.0, "{per_element}");
}

#[test]
fn memory_is_that_of_elements_that_differ() {
    let mut list = Quicklist::new(Limits::new(-2, 0, PLAIN_FROM_BYTES));
    for index in 0..100_000u64 {
        let text = index.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        list.push(End::Left, &[&text[..], &text[..]].concat());
    }
    let per_element = list.estimated_bytes(usize::MAX) as f64 / 100_000.0;
    assert!(per_element < 18.3, "{per_element}");
}
