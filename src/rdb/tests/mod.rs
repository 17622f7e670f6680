//! What is written is read again, what Redis wrote is read, and what nobody
//! should have written does no harm.

mod ancient;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use proptest::prelude::*;

use super::*;
use crate::encoding::quicklist::Limits as ListLimits;
use crate::types::StreamId;
use crate::types::{
    Collection, Direction, End, Hash, HashLimits, List, Object, Set, SetLimits, StrBuf, ValueView,
    Zset, ZsetLimits,
};

/// Small ones, so that all encodings come about.
fn limits(entries: usize, compress_depth: u32) -> Limits {
    Limits {
        list: ListLimits::new(entries as i32, compress_depth, 200),
        set: SetLimits {
            ints: entries,
            entries,
            member_bytes: 20,
        },
        zset: ZsetLimits {
            entries,
            member_bytes: 20,
        },
        hash: HashLimits {
            entries,
            value_bytes: 20,
        },
    }
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => (-300i64..300).prop_map(|number| number.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        2 => prop::collection::vec(any::<u8>(), 0..30),
        1 => (any::<u8>(), 0usize..600).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-9i32..9).prop_map(f64::from),
        any::<f64>().prop_filter("a number", |score| !score.is_nan()),
    ]
}

#[derive(Clone, Debug)]
enum Value {
    String(Vec<u8>),
    List(Vec<Vec<u8>>),
    Set(BTreeSet<Vec<u8>>),
    Ints(BTreeSet<i64>),
    Zset(BTreeMap<Vec<u8>, f64>),
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::String),
        prop::collection::vec(text(), 1..30).prop_map(Value::List),
        prop::collection::btree_set(text(), 1..30).prop_map(Value::Set),
        prop::collection::btree_set(any::<i64>(), 1..30).prop_map(Value::Ints),
        prop::collection::btree_set(-200i64..200, 1..30).prop_map(Value::Ints),
        prop::collection::btree_map(text(), score(), 1..30).prop_map(Value::Zset),
        prop::collection::btree_map(text(), text(), 1..30).prop_map(Value::Hash),
    ]
}

impl Value {
    fn object(&self, limits: &Limits) -> Object {
        match self {
            Value::String(text) => Object::String(StrBuf::from(&text[..])),
            Value::List(texts) => {
                let mut list = List::new();
                for text in texts {
                    list.push(End::Right, text, &limits.list);
                }
                Object::List(list)
            }
            Value::Set(members) => {
                let mut set = Set::new();
                for member in members {
                    set.insert(member, limits.set);
                }
                Object::Set(set)
            }
            Value::Ints(numbers) => {
                let members = numbers.iter().map(|number| number.to_string().into_bytes());
                Value::Set(members.collect()).object(limits)
            }
            Value::Zset(scores) => {
                let mut zset = Zset::new();
                for (member, score) in scores {
                    zset.upsert(member, limits.zset, |_| Some(*score));
                }
                Object::Zset(zset)
            }
            Value::Hash(fields) => {
                let mut hash = Hash::new();
                for (field, value) in fields {
                    hash.set(field, value, limits.hash);
                }
                Object::Hash(hash)
            }
        }
    }

    /// The value in the forms that older versions wrote: kind and bytes.
    fn in_old_forms(&self) -> Vec<(Kind, Vec<u8>)> {
        let strings = |texts: &[&Vec<u8>], count: usize| {
            let mut encoder = Encoder::new(Vec::new());
            encoder.length(count as u64).unwrap();
            for text in texts {
                encoder.string(text).unwrap();
            }
            encoder.into_inner()
        };
        let blob = |bytes: &[u8]| {
            let mut encoder = Encoder::new(Vec::new()).compressing(true);
            encoder.string(bytes).unwrap();
            encoder.into_inner()
        };
        match self {
            Value::List(texts) => {
                let ziplists: Vec<Vec<u8>> = texts.chunks(4).map(ancient::ziplist).collect();
                let ziplists: Vec<&Vec<u8>> = ziplists.iter().collect();
                vec![
                    (
                        Kind::List,
                        strings(&texts.iter().collect::<Vec<_>>(), texts.len()),
                    ),
                    (Kind::ListZiplist, blob(&ancient::ziplist(texts))),
                    (Kind::ListZiplists, strings(&ziplists, ziplists.len())),
                ]
            }
            Value::Set(members) => {
                let listpack = listpack_of(members.iter());
                vec![
                    (
                        Kind::Set,
                        strings(&members.iter().collect::<Vec<_>>(), members.len()),
                    ),
                    (Kind::SetListpack, blob(&listpack)),
                ]
            }
            Value::Zset(scores) => {
                let (mut text, mut binary) = (Encoder::new(Vec::new()), Encoder::new(Vec::new()));
                let count = scores.len() as u64;
                text.length(count).unwrap();
                binary.length(count).unwrap();
                let (mut text_bytes, mut ordered) = (text.into_inner(), Vec::new());
                for (member, score) in scores {
                    let mut one = Encoder::new(Vec::new());
                    one.string(member).unwrap();
                    text_bytes.extend(one.into_inner());
                    text_bytes.extend(text_score(*score));
                    binary.string(member).unwrap();
                    binary.score(*score).unwrap();
                    ordered.push((member.clone(), *score));
                }
                Zset::sort(&mut ordered);
                let pairs = ordered.into_iter().flat_map(|(member, score)| {
                    let score = crate::util::num::format_f64(score);
                    [member, score.as_bytes().to_vec()]
                });
                let ziplist = ancient::ziplist(&pairs.collect::<Vec<_>>());
                vec![
                    (Kind::ZsetText, text_bytes),
                    (Kind::Zset, binary.into_inner()),
                    (Kind::ZsetZiplist, blob(&ziplist)),
                ]
            }
            Value::Hash(fields) => {
                let pairs: Vec<_> = fields.clone().into_iter().collect();
                let flat: Vec<Vec<u8>> = pairs
                    .iter()
                    .flat_map(|(f, v)| [f.clone(), v.clone()])
                    .collect();
                vec![
                    (
                        Kind::Hash,
                        strings(&flat.iter().collect::<Vec<_>>(), pairs.len()),
                    ),
                    (Kind::HashZiplist, blob(&ancient::ziplist(&flat))),
                    (Kind::HashZipmap, blob(&ancient::zipmap(&pairs, 3))),
                    (Kind::HashListpack, blob(&listpack_of(flat.iter()))),
                ]
            }
            Value::String(_) | Value::Ints(_) => Vec::new(),
        }
    }
}

fn listpack_of<'a>(texts: impl Iterator<Item = &'a Vec<u8>>) -> Vec<u8> {
    let mut listpack = crate::encoding::listpack::Listpack::new();
    for text in texts {
        listpack.push_back(&text[..]);
    }
    listpack.into_bytes()
}

fn text_score(score: f64) -> Vec<u8> {
    if score.is_infinite() {
        return vec![if score > 0.0 { 254 } else { 255 }];
    }
    let text = crate::util::num::format_f64(score);
    let text = text.as_bytes();
    [&[text.len() as u8], text].concat()
}

/// What is in a value, in an order that does not depend on the encoding.
fn contents(object: &Object) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    match object.view() {
        ValueView::String(string) => {
            found.push((string.bytes(&mut itoa::Buffer::new()).to_vec(), Vec::new()));
        }
        ValueView::List(list) => list.for_range(0, list.len(), End::Left, |item| {
            found.push((item.to_vec(), Vec::new()));
        }),
        ValueView::Set(set) => {
            found.extend(set.iter().map(|member| (member.to_vec(), Vec::new())));
            found.sort();
        }
        ValueView::Zset(zset) => {
            zset.for_each(0..zset.len(), Direction::Ascending, |member, score| {
                // Minus zero is zero in a listpack.
                found.push((member.to_vec(), (score + 0.0).to_le_bytes().to_vec()));
            });
        }
        ValueView::Hash(hash) => {
            found.extend(hash.iter().map(|(f, v)| (f.to_vec(), v.to_vec())));
            found.sort();
        }
        ValueView::Stream(stream) => {
            for entry in stream.log.range(StreamId::MIN, StreamId::MAX) {
                found.push((entry.id.to_bytes().to_vec(), Vec::new()));
                found.extend(entry.pairs().map(|(f, v)| (f.to_vec(), v.to_vec())));
            }
        }
    }
    found
}

/// Loads a value, its kind first.
fn loaded(bytes: &[u8], limits: &Limits) -> Result<Object, LoadError> {
    let mut reader = Reader::new(bytes);
    let kind = Kind::of(reader.byte()?).ok_or(LoadError::Corrupt("kind"))?;
    load(kind, &mut reader, limits)
}

/// Gives its bytes one by one.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let len = buf.len().min(1);
        self.0.read(&mut buf[..len])
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn comes_back_as_it_was(
        value in value(),
        (before, after) in (0usize..20, 0usize..20),
        depth in 0u32..3,
        compress in any::<bool>(),
    ) {
        let object = value.object(&limits(before, depth));
        let payload = payload::of(object.view(), compress);
        let bytes = payload::open(&payload).expect("sealed");
        let limits = limits(after, depth);
        let again = loaded(bytes, &limits).expect("sound");
        again.check_invariants();
        prop_assert_eq!(contents(&again), contents(&object));
        let mut reader = Reader::new(StreamSource::new(Trickle(&bytes[1..])));
        let kind = Kind::of(bytes[0]).unwrap();
        let again = load(kind, &mut reader, &limits).expect("sound");
        prop_assert_eq!(contents(&again), contents(&object));
        for end in 1..bytes.len().min(200) {
            prop_assert!(loaded(&bytes[..end], &limits).is_err());
        }
    }

    #[test]
    fn old_forms_are_read(value in value(), entries in 0usize..20) {
        let limits = limits(entries, 0);
        let object = value.object(&limits);
        for (kind, bytes) in value.in_old_forms() {
            let again = load(kind, &mut Reader::new(&bytes[..]), &limits);
            let again = again.unwrap_or_else(|error| panic!("{kind:?}: {error}"));
            again.check_invariants();
            prop_assert_eq!(contents(&again), contents(&object), "{:?}", kind);
            if !matches!(kind, Kind::HashZiplist | Kind::HashListpack | Kind::ZsetZiplist) {
                prop_assert_eq!(again.encoding_name(), object.encoding_name(), "{:?}", kind);
            }
        }
    }

    #[test]
    fn damaged_bytes_are_refused_or_sound(
        value in value(),
        form in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        (before, after) in (0usize..20, 0usize..20),
        compress in any::<bool>(),
    ) {
        let object = value.object(&limits(before, 1));
        let payload = payload::of(object.view(), compress);
        let mut forms = vec![payload::open(&payload).expect("sealed").to_vec()];
        let old = value.in_old_forms().into_iter();
        forms.extend(old.map(|(kind, bytes)| [vec![kind as u8], bytes].concat()));
        let mut bytes = form.get(&forms).clone();
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        let limits = limits(after, 1);
        if let Ok(object) = loaded(&bytes, &limits) {
            object.check_invariants();
            let again = payload::of(object.view(), compress);
            let bytes = payload::open(&again).expect("sealed");
            let again = loaded(bytes, &limits).expect("what was accepted is written soundly");
            prop_assert_eq!(contents(&again), contents(&object));
        }
    }

    #[test]
    fn garbage_is_refused_or_sound(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for kind in Kind::ALL {
            let loaded = load(kind, &mut Reader::new(&bytes[..]), &limits(8, 1));
            if let Ok(object) = loaded {
                object.check_invariants();
            }
        }
    }
}

/// A payload as redis-server 7.0.15 gave it.
fn opened(payload: &'static [u8]) -> Object {
    let value = payload::open(payload).expect("version and checksum");
    let object = loaded(value, &limits(128, 0)).expect("sound");
    object.check_invariants();
    object
}

#[test]
fn payloads_are_those_of_redis() {
    // DUMP after SET k bar, SET k -129, SET k 1099511627776, SET k a (a
    // hundred times), RPUSH k a 1, SADD k 1 2, SADD k a, ZADD k 1.5 a,
    // HSET k f v.
    let payloads: [(&'static [u8], &str); 9] = [
        (
            b"\x00\x03bar\x0a\x00\xe6\xbe\x49\x60\xee\x66\xfd\x17",
            "raw",
        ),
        (
            b"\x00\xc1\x7f\xff\x0a\x00\x17\x60\x82\x28\x54\x80\x84\x80",
            "raw",
        ),
        (
            b"\x00\x0d1099511627776\x0a\x00\xdc\xd5\xc1\xfe\xb9\x5f\x4c\x57",
            "raw",
        ),
        (
            b"\x00\xc3\x09\x40\x64\x01aa\xe0\x57\x00\x01aa\x0a\x00\xe8\xa3\xb5\x07\xb0\x6d\xf2\x71",
            "raw",
        ),
        (
            b"\x12\x01\x02\x0c\x0c\x00\x00\x00\x02\x00\x81a\x02\x01\x01\xff\x0a\x00\
              \x94\x96\x2b\x23\xac\x17\xaa\x85",
            "quicklist",
        ),
        (
            b"\x0b\x0c\x02\x00\x00\x00\x02\x00\x00\x00\x01\x00\x02\x00\x0a\x00\
              \x6f\x79\x38\xb1\x34\xeb\x20\x2e",
            "intset",
        ),
        (
            b"\x02\x01\x01a\x0a\x00\x62\x96\xe9\x7e\x44\xd2\x1a\x6d",
            "hashtable",
        ),
        (
            b"\x11\x0f\x0f\x00\x00\x00\x02\x00\x81a\x02\x831.5\x04\xff\x0a\x00\
              \x08\x0c\x6e\x19\x80\x8e\x7d\x98",
            "listpack",
        ),
        (
            b"\x10\x0d\x0d\x00\x00\x00\x02\x00\x81f\x02\x81v\x02\xff\x0a\x00\
              \x20\xf1\x3d\x44\x23\x54\x08\x9d",
            "listpack",
        ),
    ];
    for (payload, encoding) in payloads {
        let object = opened(payload);
        assert_eq!(object.encoding_name(), encoding);
        // Compressed ones differ, as compressors do.
        if payload[1] != 0xc3 {
            let again = payload::of(object.view(), true);
            assert_eq!(
                again.escape_ascii().to_string(),
                payload.escape_ascii().to_string()
            );
        }
    }
}

#[test]
fn frames_are_checked() {
    let payload = payload::of(ValueView::String(crate::types::StrRef::Int(7)), true);
    assert!(payload::open(&payload).is_some());
    for end in 0..payload.len() {
        assert!(payload::open(&payload[..end]).is_none());
    }
    for at in 0..payload.len() {
        let mut damaged = payload.clone();
        damaged[at] ^= 1;
        assert!(payload::open(&damaged).is_none());
    }
    // The version, with a checksum that fits.
    for (version, known) in [(0, true), (10, true), (11, true), (12, false), (266, false)] {
        let mut other = payload.clone();
        let end = other.len();
        other[end - 10..end - 8].copy_from_slice(&u16::to_le_bytes(version));
        let checksum = payload::checksum(&other[..end - 8]);
        other[end - 8..].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(payload::open(&other).is_some(), known, "version {version}");
    }
}

#[test]
fn lengths_take_the_shortest_form() {
    for (length, bytes) in [
        (0, &b"\x00"[..]),
        (63, b"\x3f"),
        (64, b"\x40\x40"),
        (16_383, b"\x7f\xff"),
        (16_384, b"\x80\x00\x00\x40\x00"),
        (u64::from(u32::MAX), b"\x80\xff\xff\xff\xff"),
        (1 << 32, b"\x81\x00\x00\x00\x01\x00\x00\x00\x00"),
    ] {
        let mut encoder = Encoder::new(Vec::new());
        encoder.length(length).unwrap();
        assert_eq!(encoder.into_inner(), bytes);
        assert_eq!(Reader::new(bytes).length().unwrap(), length);
    }
}

#[test]
fn collections_without_elements_are_told_apart() {
    let empty_ziplist = ancient::ziplist(&[]);
    let blob = |bytes: &[u8]| [&[bytes.len() as u8], bytes].concat();
    let empty_listpack = listpack_of(std::iter::empty());
    for (kind, bytes) in [
        (Kind::List, vec![0]),
        (Kind::Set, vec![0]),
        (Kind::Zset, vec![0]),
        (Kind::Hash, vec![0]),
        (Kind::ListNodes, vec![0]),
        (
            Kind::ListNodes,
            [&[1, 2][..], &blob(&empty_listpack)].concat(),
        ),
        (
            Kind::ListZiplists,
            [&[1][..], &blob(&empty_ziplist)].concat(),
        ),
        (Kind::ListZiplist, blob(&empty_ziplist)),
        (Kind::ZsetZiplist, blob(&empty_ziplist)),
        (Kind::HashZiplist, blob(&empty_ziplist)),
        (Kind::ZsetListpack, blob(&empty_listpack)),
        (Kind::HashListpack, blob(&empty_listpack)),
        (Kind::SetListpack, blob(&empty_listpack)),
    ] {
        let loaded = load(kind, &mut Reader::new(&bytes[..]), &limits(8, 0));
        assert!(matches!(loaded, Err(LoadError::Empty)), "{kind:?}");
    }
}

#[test]
fn lengths_alone_allocate_nothing() {
    // 2^62 bytes or elements are announced, none follow.
    let huge = (1u64 << 62).to_be_bytes();
    for kind in Kind::ALL {
        // At first sight, and behind one element that is there.
        for start in [&[0x81][..], &[40, 2, 0x81]] {
            let bytes = [start, &huge].concat();
            let mut reader = Reader::new(StreamSource::new(&bytes[..]));
            assert!(load(kind, &mut reader, &limits(8, 0)).is_err(), "{kind:?}");
        }
    }
    let bomb = [
        &[0xc3, 0x02, 0x81][..],
        &(1u64 << 62).to_be_bytes(),
        &[0, 0],
    ]
    .concat();
    assert!(Reader::new(&bomb[..]).string().is_err());
}

/// A stream as Redis 7.2 writes it, of one consumer, which was given something.
fn stream_3(active_ms: i64) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    encoder.raw(&[21]).unwrap();
    // No entries; last, first and greatest deleted ID; entries added.
    for number in [0, 0, 5, 0, 0, 0, 5, 0, 1, 1] {
        encoder.length(number).unwrap();
    }
    encoder.string(b"group").unwrap();
    for number in [5, 0, 1, 0, 1] {
        encoder.length(number).unwrap();
    }
    encoder.string(b"ann").unwrap();
    encoder.raw(&7i64.to_le_bytes()).unwrap();
    encoder.raw(&active_ms.to_le_bytes()).unwrap();
    encoder.length(0).unwrap();
    encoder.into_inner()
}

#[test]
fn when_a_consumer_was_active_is_read() {
    let active_ms = |bytes: &[u8]| {
        let object = loaded(bytes, &limits(8, 0)).expect("sound");
        let ValueView::Stream(stream) = object.view() else {
            panic!("no stream");
        };
        let group = &stream.groups[&b"group"[..]];
        let (_, consumer) = group.consumers().next().expect("one");
        assert_eq!((consumer.name(), consumer.seen_ms), (&b"ann"[..], 7));
        // Nobody but Redis 7.2 would read what is not written.
        let payload = payload::of(object.view(), false);
        assert_eq!(payload[0], 19);
        consumer.active_ms
    };
    assert_eq!(active_ms(&stream_3(5)), Some(5));
    assert_eq!(active_ms(&stream_3(-1)), None);
    // What is older does not tell: then when it last asked for something.
    let payload = payload::of(loaded(&stream_3(5), &limits(8, 0)).unwrap().view(), false);
    assert_eq!(active_ms(payload::open(&payload).unwrap()), Some(7));
}
