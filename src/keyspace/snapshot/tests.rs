//! A model test: whatever happens during a snapshot, it has what was there
//! when it began.

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::encoding::quicklist::End;
use crate::keyspace::entry::NewValue;
use crate::keyspace::{Ttl, event};
use crate::rdb::frame::Record;
use crate::rdb::{Limits, Reader};
use crate::types::stream::{Group, Pending};
use crate::types::{
    Hash, HashLimits, List, Set, SetLimits, Side, ValueView, Zset, ZsetLimits, list_limits,
};
use crate::types::{Stream, StreamId};

/// Small limits, so that few elements make big values.
fn limits() -> Limits {
    let (entries, member_bytes, value_bytes) = (4, 20, 20);
    Limits {
        list: list_limits(4, 0),
        set: SetLimits {
            ints: 8,
            entries,
            member_bytes,
        },
        zset: ZsetLimits {
            entries,
            member_bytes,
        },
        hash: HashLimits {
            entries,
            value_bytes,
        },
    }
}

/// A value in a form that can be compared.
fn plain(value: ValueView<'_>) -> (u8, Vec<Vec<u8>>) {
    let text =
        |item: crate::encoding::listpack::Item<'_>| item.text(&mut itoa::Buffer::new()).to_vec();
    match value {
        ValueView::String(string) => (0, vec![string.bytes(&mut itoa::Buffer::new()).to_vec()]),
        ValueView::List(list) => {
            let mut items = Vec::new();
            list.walk::<()>(0, End::Left, |item| {
                items.push(text(item));
                std::ops::ControlFlow::Continue(())
            });
            (1, items)
        }
        ValueView::Set(set) => {
            let mut members: Vec<_> = set.iter().map(text).collect();
            members.sort();
            (2, members)
        }
        ValueView::Zset(zset) => {
            let mut members = Vec::new();
            let all = 0..zset.len();
            zset.for_each(all, crate::types::Direction::Ascending, |member, score| {
                members.push([&text(member)[..], score.to_string().as_bytes()].concat());
            });
            (3, members)
        }
        ValueView::Hash(hash) => {
            let pair = |(field, value)| [text(field), b"=".to_vec(), text(value)].concat();
            let mut pairs: Vec<_> = hash.iter().map(pair).collect();
            pairs.sort();
            (4, pairs)
        }
        ValueView::Stream(stream) => {
            let all = stream.log.range(StreamId::MIN, StreamId::MAX);
            let entries = all.map(|entry| {
                let pairs = entry
                    .pairs()
                    .flat_map(|(field, value)| [text(field), text(value)]);
                [entry.id.to_bytes().to_vec(), pairs.flatten().collect()].concat()
            });
            (5, entries.collect())
        }
    }
}

type Model = BTreeMap<(u64, Vec<u8>), (Option<i64>, (u8, Vec<Vec<u8>>))>;

fn model_of(keyspace: &Keyspace) -> Model {
    let mut model = Model::new();
    for (index, db) in keyspace.dbs() {
        for entry in db.table().iter() {
            let key = (index.get() as u64, entry.key().to_vec());
            model.insert(key, (entry.expire(), plain(entry.value().view())));
        }
    }
    model
}

fn model_in(file: &[u8]) -> Model {
    let (mut reader, mut db, mut model) = (Reader::new(file), 0, Model::new());
    while !reader.is_at_end() {
        match reader
            .record(&limits())
            .map_err(|(key, error)| format!("{key:?}: {error}"))
        {
            Ok(Record::SelectDb(number)) => db = number,
            Ok(Record::Key(record)) => {
                let value = plain(record.value.view());
                let before = model.insert((db, record.key), (record.expire, value));
                assert!(before.is_none(), "a key twice");
            }
            Ok(Record::ResizeDb(..)) => {}
            Ok(_) => panic!("another record"),
            Err(error) => panic!("{error}"),
        }
    }
    model
}

fn change(keyspace: &mut Keyspace, rng: &mut SmallRng) {
    let index = keyspace.index(rng.random_range(0..3)).unwrap();
    let limits = limits();
    let key = format!("key:{}", rng.random_range(0..300)).into_bytes();
    let item = rng.random_range(0..400u32).to_string().into_bytes();
    let mut db = keyspace.select(index);
    let kind = key.iter().map(|byte| u32::from(*byte)).sum::<u32>() % 5;
    match (rng.random_range(0..40), kind) {
        (0, _) => drop(db.remove(&key, event::DEL)),
        (1, _) => {
            let to = format!("key:{}", rng.random_range(0..300)).into_bytes();
            if to != key
                && to.iter().map(|byte| u32::from(*byte)).sum::<u32>() % 5 == kind
                && let Some(taken) = db.take_value(&key)
            {
                db.discard(&to);
                db.put_value(&to, taken);
            }
        }
        (2, _) => {
            if let Some(mut edit) = db.edit(&key) {
                let at_ms = rng.random_bool(0.5).then(|| rng.random_range(5000..9000));
                edit.set_expire(at_ms);
            }
        }
        (3, 1) => {
            if let Ok(Some(mut list)) = db.edit_collection::<List>(&key) {
                let at = list.len() / 2;
                list.insert(at, Side::Before, &item, &limits.list);
            }
        }
        (_, 0) => {
            let long = rng.random_range(0..20) == 0;
            let text = item.repeat(if long { 40_000 } else { 7 });
            let value = if long {
                NewValue::Boxed(Box::new(Object::String(text[..].into())))
            } else {
                NewValue::Inline(&text)
            };
            db.set(&key, value, Ttl::Clear, event::SET);
            if long && let Some(mut edit) = db.edit(&key) {
                edit.string_mut(|text| text.push(b'!'));
            }
        }
        (op, 1) => {
            let mut list = db.edit_or_create::<List>(&key).unwrap();
            if op < 30 {
                list.push(
                    if op < 15 { End::Left } else { End::Right },
                    &item,
                    &limits.list,
                );
            } else {
                list.pop(if op < 35 { End::Left } else { End::Right }, |_| ());
            }
        }
        (op, 2) => {
            let mut set = db.edit_or_create::<Set>(&key).unwrap();
            if op < 30 {
                set.insert(&item, limits.set);
            } else {
                set.remove(&item);
            }
        }
        (op, 3) => {
            let mut zset = db.edit_or_create::<Zset>(&key).unwrap();
            if op < 30 {
                let score = f64::from(rng.random_range(0..50));
                zset.upsert(&item, limits.zset, |_| Some(score));
            } else {
                zset.remove(&item);
            }
        }
        (op, _) => {
            let mut hash = db.edit_or_create::<Hash>(&key).unwrap();
            if op < 30 {
                hash.set(&item, &item.repeat(3), limits.hash);
            } else {
                hash.remove(&item);
            }
        }
    }
}

fn run(seed: u64, drop_dbs: bool) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut keyspace = Keyspace::new(3);
    keyspace.now_ms = 1000;
    for _ in 0..rng.random_range(0..60_000) {
        change(&mut keyspace, &mut rng);
    }
    let expected = model_of(&keyspace);
    let compress = rng.random_bool(0.5);
    keyspace.begin_snapshot(SnapshotOptions {
        compress,
        usage: UsageKept::None,
        key_by_key: rng.random_bool(0.2),
    });
    let (mut file, mut waits) = (Vec::new(), 0);
    loop {
        for _ in 0..rng.random_range(0..400) {
            change(&mut keyspace, &mut rng);
        }
        if drop_dbs {
            let any = |rng: &mut SmallRng| rng.random_range(0..3);
            let (a, b) = (any(&mut rng), any(&mut rng));
            let (a, b) = (keyspace.index(a).unwrap(), keyspace.index(b).unwrap());
            match rng.random_range(0..12) {
                0 => keyspace.swap(a, b),
                1 => drop(keyspace.flush(a, true)),
                2 => keyspace.now_ms += 400,
                _ => {}
            }
        }
        let step = keyspace.snapshot_step(Duration::ZERO);
        for piece in step.pieces {
            piece.write(&mut file, compress).unwrap();
        }
        if step.done {
            break;
        }
        if step.wait {
            waits += 1;
            assert!(waits < 10_000, "waits for ever");
            std::thread::sleep(Duration::from_micros(100));
        }
    }
    assert!(!keyspace.in_snapshot());
    let written = model_in(&file);
    assert!(
        written.keys().eq(expected.keys()),
        "seed {seed}: other keys"
    );
    for (key, value) in expected {
        assert!(
            written[&key] == value,
            "seed {seed}: {key:?} is another value"
        );
    }
    for (_, db) in keyspace.dbs() {
        db.table().check_invariants();
    }
}

#[test]
fn a_snapshot_has_what_was_there_when_it_began() {
    for seed in 0..12 {
        run(seed, false);
    }
}

#[test]
fn databases_that_are_emptied_or_exchanged_are_in_it() {
    for seed in 100..112 {
        run(seed, true);
    }
}

#[test]
fn a_snapshot_that_is_given_up_leaves_nothing_behind() {
    let mut rng = SmallRng::seed_from_u64(1);
    let mut keyspace = Keyspace::new(3);
    for _ in 0..50_000 {
        change(&mut keyspace, &mut rng);
    }
    let options = SnapshotOptions {
        compress: false,
        usage: UsageKept::Idle,
        key_by_key: false,
    };
    for _ in 0..5 {
        keyspace.begin_snapshot(options);
        for _ in 0..10 {
            change(&mut keyspace, &mut rng);
            keyspace.snapshot_step(Duration::ZERO);
        }
        keyspace.end_snapshot();
        for _ in 0..1000 {
            change(&mut keyspace, &mut rng);
        }
    }
    for (_, db) in keyspace.dbs() {
        assert!(!db.table().is_frozen());
        db.table().check_invariants();
    }
}

/// A stream is handed to the snapshot without a look at what is in it, and
/// what changes afterwards copies a few nodes, however much is pending.
#[test]
fn much_that_is_pending_stalls_nobody() {
    const PENDING: u64 = 1_000_000;
    let mut keyspace = Keyspace::new(1);
    let db0 = keyspace.index(0).unwrap();
    let (mut stream, mut group) = (Stream::default(), Group::new(StreamId::MIN, None));
    let consumer = group.create_consumer(b"ann", 0).unwrap();
    let pending = Pending {
        delivered_ms: 1,
        deliveries: 1,
        consumer,
    };
    for ms in 1..=PENDING {
        group.assign(StreamId::new(ms, 0), pending);
    }
    stream.groups.insert(b"g"[..].into(), group);
    let value = NewValue::Boxed(Box::new(Object::Stream(Box::new(stream))));
    keyspace
        .select(db0)
        .set(b"s", value, Ttl::Clear, event::SET);
    keyspace.begin_snapshot(SnapshotOptions {
        compress: false,
        usage: UsageKept::None,
        key_by_key: false,
    });
    let acknowledge = |keyspace: &mut Keyspace, ms: u64| {
        let mut db = keyspace.select(db0);
        let mut stream = db.edit_collection::<Stream>(b"s").unwrap().unwrap();
        let group = stream.groups.get_mut(&b"g"[..]).unwrap();
        assert!(group.acknowledge(StreamId::new(ms, 0)).is_some());
        (
            group.pending().clone(),
            group.consumer(consumer).pending().clone(),
        )
    };
    let first = acknowledge(&mut keyspace, 1);
    let second = acknowledge(&mut keyspace, PENDING / 2);
    let mut found = None;
    loop {
        let step = keyspace.snapshot_step(Duration::ZERO);
        for piece in step.pieces {
            if let Piece::Stream(stream) = piece {
                found = Some(stream);
            }
        }
        if step.done {
            break;
        }
    }
    let kept = found.expect("a piece of its own");
    let group = &kept.groups[&b"g"[..]];
    assert_eq!(group.pending().len() as u64, PENDING);
    let of_consumer = group.consumer(consumer).pending();
    for (apart, changed) in [(4, first), (8, second)] {
        assert!(changed.0.nodes_apart(group.pending()) <= apart);
        assert!(changed.1.nodes_apart(of_consumer) <= apart);
    }
}
