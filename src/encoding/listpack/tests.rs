//! Model tests of the listpack, and bytes that a real server made.

use proptest::prelude::*;

use super::*;

fn text_of(item: Item<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    item.write_text(&mut text);
    assert_eq!(text.len(), item.len_of_text());
    assert_eq!(text, item.to_vec());
    assert!(item.is_text(&text));
    text
}

fn assert_same(listpack: &Listpack, model: &[Vec<u8>]) {
    listpack.check_invariants();
    let view = listpack.as_ref();
    assert_eq!(view.len(), model.len());
    assert_eq!(view.is_empty(), model.is_empty());
    assert!(view.iter().map(text_of).eq(model.iter().cloned()));
    assert!(
        view.iter()
            .rev()
            .map(text_of)
            .eq(model.iter().rev().cloned())
    );
    for (index, text) in model.iter().enumerate() {
        let at = view.seek(index).expect("within");
        assert!(view.item_at(at).is_text(text));
        let found = view.find(text, 0).expect("it is there");
        assert!(found <= at && view.item_at(found).is_text(text));
    }
    assert_eq!(view.seek(model.len()), None);
    let rebuilt: Listpack = model.iter().map(|text| text.as_slice()).collect();
    assert_eq!(rebuilt.as_ref().bytes(), view.bytes(), "one form only");
}

/// Texts of all kinds: integers around every width, digits that are no
/// integers, short and long bytes.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let edges = [
        0,
        127,
        128,
        4095,
        4096,
        32_767,
        32_768,
        8_388_607,
        8_388_608,
        2_147_483_647,
        2_147_483_648,
        i64::MAX,
    ];
    prop_oneof![
        3 => (prop::sample::select(edges.to_vec()), any::<bool>()).prop_map(|(value, negative)| {
            let value = if negative { (-value).wrapping_sub(1) } else { value };
            value.to_string().into_bytes()
        }),
        2 => any::<i64>().prop_map(|value| value.to_string().into_bytes()),
        2 => "[0-9-]{0,22}".prop_map(String::into_bytes),
        4 => prop::collection::vec(any::<u8>(), 0..70),
        1 => (4000usize..4200, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
        1 => (16_370usize..16_390, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    PushBack(Vec<u8>),
    PushFront(Vec<u8>),
    Before(usize, Vec<u8>),
    After(usize, Vec<u8>),
    Two(usize, Vec<u8>, Vec<u8>),
    Replace(usize, Vec<u8>),
    Remove(usize, usize),
    Truncate(usize),
    SplitAndJoin(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let place = 0usize..1000;
    prop_oneof![
        text().prop_map(Step::PushBack),
        text().prop_map(Step::PushFront),
        (place.clone(), text()).prop_map(|(at, text)| Step::Before(at, text)),
        (place.clone(), text()).prop_map(|(at, text)| Step::After(at, text)),
        (place.clone(), text(), text()).prop_map(|(at, a, b)| Step::Two(at, a, b)),
        (place.clone(), text()).prop_map(|(at, text)| Step::Replace(at, text)),
        (place.clone(), 0usize..4).prop_map(|(at, count)| Step::Remove(at, count)),
        place.clone().prop_map(Step::Truncate),
        (place, any::<bool>()).prop_map(|(at, front)| Step::SplitAndJoin(at, front)),
    ]
}

fn apply(listpack: &mut Listpack, model: &mut Vec<Vec<u8>>, step: Step) {
    let len = model.len();
    let inside = |place: usize| place.checked_rem(len);
    let offset = |listpack: &Listpack, index: usize| {
        let view = listpack.as_ref();
        view.seek(index).unwrap_or(view.end())
    };
    match step {
        Step::PushBack(text) => {
            listpack.push_back(text.as_slice());
            model.push(text);
        }
        Step::PushFront(text) => {
            listpack.push_front(text.as_slice());
            model.insert(0, text);
        }
        Step::Before(place, text) => {
            let index = place % (len + 1);
            listpack.insert_before(offset(listpack, index), text.as_slice());
            model.insert(index, text);
        }
        Step::After(place, text) => {
            if let Some(index) = inside(place) {
                let at = listpack.insert_after(offset(listpack, index), text.as_slice());
                assert_eq!(at, offset(listpack, index + 1));
                model.insert(index + 1, text);
            }
        }
        Step::Two(place, a, b) => {
            let index = place % (len + 1);
            listpack.insert_all(offset(listpack, index), &[Item::of(&a), Item::of(&b)]);
            model.splice(index..index, [a, b]);
        }
        Step::Replace(place, text) => {
            if let Some(index) = inside(place) {
                listpack.replace(offset(listpack, index), text.as_slice());
                model[index] = text;
            }
        }
        Step::Remove(place, count) => {
            let index = place % (len + 1);
            let there = count.min(len - index);
            assert_eq!(listpack.remove(offset(listpack, index), count), there);
            model.drain(index..index + there);
        }
        Step::Truncate(place) => {
            let index = (place + len / 2).min(len);
            listpack.truncate(offset(listpack, index), index);
            model.truncate(index);
        }
        Step::SplitAndJoin(place, front) => {
            let index = place % (len + 1);
            let mut tail = listpack.split_off(offset(listpack, index), index);
            assert_same(&tail, &model[index..]);
            assert_same(listpack, &model[..index]);
            if front {
                tail.prepend(listpack.as_ref());
                *listpack = tail;
            } else {
                listpack.append(tail.as_ref());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn behaves_like_a_vec(steps in prop::collection::vec(step(), 1..40)) {
        let (mut listpack, mut model) = (Listpack::new(), Vec::new());
        for step in steps {
            apply(&mut listpack, &mut model, step);
            assert_same(&listpack, &model);
        }
    }

    #[test]
    fn damaged_bytes_are_refused_or_readable(
        texts in prop::collection::vec(text(), 0..12),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let listpack: Listpack = texts.iter().map(|text| text.as_slice()).collect();
        let mut bytes = listpack.into_bytes();
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        if let Some(listpack) = Listpack::from_bytes(bytes) {
            let view = listpack.as_ref();
            prop_assert_eq!(view.iter().count(), view.iter().rev().count());
            prop_assert_eq!(view.iter().count(), view.len());
            prop_assert_eq!(view.find(b"no such text", 1), None);
        }
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        validate(&bytes);
        let mut framed = (bytes.len() as u32 + 7).to_le_bytes().to_vec();
        framed.extend_from_slice(&[0xff, 0xff]);
        framed.extend_from_slice(&bytes);
        framed.push(END);
        if let Some(listpack) = Listpack::from_bytes(framed) {
            listpack.as_ref().iter().rev().for_each(|item| drop(text_of(item)));
        }
    }
}

#[test]
fn bytes_are_those_of_redis() {
    // DUMP of a hash made by HSET h 0 127 128 -1 -4096 4096 x "" on redis-server
    // 7.0.15, without type, length and footer.
    let expected = [
        0x1d, 0, 0, 0, 8, 0, 0x00, 0x01, 0x7f, 0x01, 0xc0, 0x80, 0x02, 0xdf, 0xff, 0x02, 0xd0,
        0x00, 0x02, 0xf1, 0x00, 0x10, 0x03, 0x81, 0x78, 0x02, 0x80, 0x01, 0xff,
    ];
    let texts = ["0", "127", "128", "-1", "-4096", "4096", "x", ""];
    let listpack: Listpack = texts.iter().map(|text| text.as_bytes()).collect();
    assert_eq!(listpack.as_ref().bytes(), expected);
}

#[test]
fn fields_are_found_only_among_fields() {
    let listpack: Listpack = ["a", "b", "b", "7", "7", "c"]
        .iter()
        .map(|text| text.as_bytes())
        .collect();
    let view = listpack.as_ref();
    assert_eq!(view.find(b"b", 1), view.seek(2));
    assert_eq!(view.find(b"7", 1), view.seek(4));
    assert_eq!(view.find(b"7", 0), view.seek(3));
    assert_eq!(view.find(b"c", 1), None);
    assert_eq!(view.find(b"07", 1), None);
    assert_eq!(view.find_from(view.end(), b"a", 1), None);
}

#[test]
fn a_count_beyond_the_field_is_walked() {
    let mut listpack = Listpack::new();
    for value in 0..65_534i64 {
        listpack.push_back(value);
    }
    let last = listpack.as_ref().last().expect("not empty");
    listpack.replace(last, 1i64);
    assert_eq!(listpack.as_ref().bytes()[4..6], [0xfe, 0xff]);
    listpack.push_back(2i64);
    assert_eq!(listpack.as_ref().bytes()[4..6], [0xff, 0xff]);
    assert_eq!(listpack.as_ref().len(), 65_535);
    listpack.push_back(3i64);
    assert_eq!(listpack.as_ref().len(), 65_536);
    assert_eq!(listpack.as_ref().get(65_535), Some(Item::Int(3)));
    assert_eq!(listpack.as_ref().seek(65_536), None);
    listpack.check_invariants();
    let at = listpack.as_ref().seek(10).expect("within");
    let tail = listpack.split_off(at, 10);
    assert_eq!((listpack.as_ref().len(), tail.as_ref().len()), (10, 65_526));
}

#[test]
fn memory_follows_the_bytes_down() {
    let mut listpack = Listpack::new();
    for value in 0..1000i64 {
        listpack.push_back(value + 1_000_000);
    }
    assert!(listpack.capacity() < listpack.as_ref().bytes().len() * 5 / 4);
    listpack.remove(HEADER, 990);
    assert!(listpack.capacity() <= 80, "{}", listpack.capacity());
}
