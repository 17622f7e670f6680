//! Payloads of RESTORE: whatever the bytes are, they are refused or give a
//! value that is sound, stays so when it is changed, and comes back as it was
//! when it is dumped.
//!
//! The first byte chooses: bytes as they are, or the payload of a value that
//! is built from the input, in one of the forms that any version wrote, then
//! damaged in a few places. So the corpus needs no seeds.

#![no_main]

#[path = "../../src/rdb/tests/ancient.rs"]
mod ancient;

use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use redstart::encoding::listpack::Listpack;
use redstart::encoding::quicklist::Limits as ListLimits;
use redstart::rdb::{Encoder, Kind, LoadError, Limits, Reader, StreamSource, load, payload};
use redstart::types::{
    Collection, Direction, End, Hash, HashLimits, List, Object, Set, SetLimits, Side, StrBuf,
    ValueView, Zset, ZsetLimits,
    stream::{Group, NewId, Pending, Stream, StreamId, StreamLimits, Trim},
};

/// The input, taken piece by piece; behind its end everything is zero.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((byte, rest)) => {
                self.0 = rest;
                *byte
            }
            None => 0,
        }
    }

    fn number(&mut self) -> usize {
        usize::from(u16::from_le_bytes([self.byte(), self.byte()]))
    }

    /// A text: an integer of any size, a few bytes, or many equal ones.
    fn text(&mut self) -> Vec<u8> {
        match self.byte() {
            kind @ 0..96 => {
                let mut bytes = [0; 8];
                let width = usize::from(kind % 9);
                bytes[..width].fill_with(|| self.byte());
                let shift = 64 - 8 * width.max(1) as u32;
                let number = i64::from_le_bytes(bytes) << shift >> shift;
                number.to_string().into_bytes()
            }
            kind @ 96..200 => (0..kind % 40).map(|_| self.byte()).collect(),
            _ => vec![self.byte(); self.number() % 5000],
        }
    }

    fn texts(&mut self) -> Vec<Vec<u8>> {
        let count = 1 + self.byte() % 40;
        (0..count).map(|_| self.text()).collect()
    }

    fn score(&mut self) -> f64 {
        let number = match self.byte() % 4 {
            0 => f64::from(self.byte()) - 100.0,
            1 => f64::from(self.byte()) / 7.0,
            2 => [f64::INFINITY, f64::NEG_INFINITY, -0.0, 5e-324][usize::from(self.byte() % 4)],
            _ => f64::from_bits(u64::from_le_bytes(std::array::from_fn(|_| self.byte()))),
        };
        if number.is_nan() { 0.0 } else { number }
    }

    fn limits(&mut self) -> Limits {
        let entries = usize::from(self.byte() % 64);
        let bytes = usize::from(self.byte());
        Limits {
            list: ListLimits::new(entries as i32 - 5, u32::from(self.byte() % 3), 16 + bytes),
            set: SetLimits { ints: entries, entries, member_bytes: bytes },
            zset: ZsetLimits { entries, member_bytes: bytes },
            hash: HashLimits { entries, value_bytes: bytes },
        }
    }

    /// An ID among few, so that many meet; or any at all.
    fn id(&mut self) -> StreamId {
        match self.byte() {
            0..240 => StreamId::new(u64::from(self.byte() % 16), u64::from(self.byte() % 8)),
            _ => {
                let bytes = std::array::from_fn(|_| self.byte());
                StreamId::from_bytes(bytes)
            }
        }
    }

    fn stream_limits(&mut self) -> StreamLimits {
        StreamLimits {
            bytes: usize::from(self.byte()) * 4,
            entries: usize::from(self.byte() % 16),
        }
    }

    fn stream(&mut self, texts: &[Vec<u8>]) -> Stream {
        let mut stream = Stream::new();
        let limits = self.stream_limits();
        for pair in texts.chunks(2) {
            add(&mut stream, self, pair, limits);
        }
        for _ in 0..self.byte() % 3 {
            let (name, last) = (self.text(), self.id());
            let read = (self.byte() & 1 == 0).then_some(u64::from(self.byte()));
            let mut group = Group::new(last, read);
            for _ in 0..self.byte() % 3 {
                group.create_consumer(&self.text(), i64::from(self.byte()));
            }
            let consumers: Vec<_> = group.consumers().map(|(id, _)| id).collect();
            for _ in 0..self.byte() % 8 {
                let chosen = usize::from(self.byte()) % consumers.len().max(1);
                let Some(consumer) = consumers.get(chosen) else {
                    break;
                };
                let pending = Pending {
                    consumer: *consumer,
                    delivered_ms: i64::from(self.byte()),
                    deliveries: u64::from(self.byte()),
                };
                group.assign(self.id(), pending);
            }
            stream.groups.insert(name.into(), group);
        }
        stream
    }

    /// A value and, for each kind that can hold it, its bytes.
    fn forms(&mut self, limits: &Limits) -> Vec<(Kind, Vec<u8>)> {
        let texts = self.texts();
        let value = match self.byte() % 6 {
            0 => Object::String(StrBuf::from(&texts.concat()[..])),
            1 => {
                let mut list = List::new();
                texts.iter().for_each(|text| list.push(End::Right, text, &limits.list));
                Object::List(list)
            }
            2 => {
                let mut set = Set::new();
                for text in &texts {
                    set.insert(text, limits.set);
                }
                Object::Set(set)
            }
            3 => {
                let mut zset = Zset::new();
                for text in &texts {
                    let score = self.score();
                    zset.upsert(text, limits.zset, |_| Some(score));
                }
                Object::Zset(zset)
            }
            4 => self.stream(&texts).into_object(),
            _ => {
                let mut hash = Hash::new();
                for pair in texts.chunks(2) {
                    hash.set(&pair[0], &pair[pair.len() - 1], limits.hash);
                }
                Object::Hash(hash)
            }
        };
        let payload = payload::of(value.view(), self.byte() & 1 == 0);
        let bytes = payload::open(&payload).expect("sealed");
        let kind = Kind::of(bytes[0]).expect("known");
        let mut forms = vec![(kind, bytes[1..].to_vec())];
        old_forms(&value, &mut forms);
        forms
    }
}

/// The same value as other versions wrote it.
fn old_forms(value: &Object, forms: &mut Vec<(Kind, Vec<u8>)>) {
    let elements: Vec<Vec<u8>> = contents(value).into_iter().flatten().collect();
    let blob = |bytes: &[u8]| strings(0, &[bytes.to_vec()]);
    let mut listpack = Listpack::new();
    elements.iter().for_each(|text| listpack.push_back(&text[..]));
    let (listpack, ziplist) = (listpack.into_bytes(), ancient::ziplist(&elements));
    match value {
        Object::String(_) | Object::Stream(_) => {}
        Object::List(_) => {
            let ziplists: Vec<_> = elements.chunks(7).map(ancient::ziplist).collect();
            forms.push((Kind::List, strings(elements.len(), &elements)));
            forms.push((Kind::ListZiplist, blob(&ziplist)));
            forms.push((Kind::ListZiplists, strings(ziplists.len(), &ziplists)));
        }
        Object::Set(_) => {
            forms.push((Kind::Set, strings(elements.len(), &elements)));
            forms.push((Kind::SetListpack, blob(&listpack)));
        }
        Object::Zset(_) => {
            let mut text_scores = strings(elements.len() / 2, &[]);
            for pair in elements.chunks(2) {
                text_scores.extend(strings(0, &pair[..1]));
                text_scores.push(pair[1].len() as u8);
                text_scores.extend(&pair[1]);
            }
            forms.push((Kind::ZsetText, text_scores));
            forms.push((Kind::ZsetZiplist, blob(&ziplist)));
            forms.push((Kind::ZsetListpack, blob(&listpack)));
        }
        Object::Hash(_) => {
            let pairs = elements.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone()));
            let zipmap = ancient::zipmap(&pairs.collect::<Vec<_>>(), 2);
            forms.push((Kind::Hash, strings(elements.len() / 2, &elements)));
            forms.push((Kind::HashZiplist, blob(&ziplist)));
            forms.push((Kind::HashListpack, blob(&listpack)));
            forms.push((Kind::HashZipmap, blob(&zipmap)));
        }
    }
}

/// Adds an entry with an ID of chance, if it is one that is still to come.
fn add(stream: &mut Stream, input: &mut Input<'_>, pair: &[Vec<u8>], limits: StreamLimits) {
    let id = match input.byte() % 4 {
        0 => NewId::Given(input.id()),
        1 => NewId::InMs(input.id().ms),
        _ => NewId::At(input.byte().into()),
    };
    let pair = [&pair[0][..], &pair[pair.len() - 1]];
    let _refused = stream.log.add(id, &pair, limits);
}

/// A count, unless it is 0, and strings.
fn strings(count: usize, texts: &[Vec<u8>]) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new()).compressing(true);
    if count > 0 {
        encoder.length(count as u64).expect("memory");
    }
    texts.iter().for_each(|text| encoder.string(text).expect("memory"));
    encoder.into_inner()
}

/// What is in a value, in an order that does not depend on the encoding.
fn contents(value: &Object) -> Vec<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    match value.view() {
        ValueView::String(string) => {
            found.push(vec![string.bytes(&mut Default::default()).to_vec()]);
        }
        ValueView::List(list) => {
            list.for_range(0, list.len(), End::Left, |item| found.push(vec![item.to_vec()]));
        }
        ValueView::Set(set) => {
            found.extend(set.iter().map(|member| vec![member.to_vec()]));
            found.sort();
        }
        ValueView::Zset(zset) => {
            zset.for_each(0..zset.len(), Direction::Ascending, |member, score| {
                // Minus zero is zero in a listpack.
                let score = redstart::util::num::format_f64(score + 0.0);
                found.push(vec![member.to_vec(), score.as_bytes().to_vec()]);
            });
        }
        ValueView::Hash(hash) => {
            found.extend(hash.iter().map(|(f, v)| vec![f.to_vec(), v.to_vec()]));
            found.sort();
        }
        ValueView::Stream(stream) => {
            for entry in stream.log.range(StreamId::MIN, StreamId::MAX) {
                let mut texts = vec![entry.id.text().as_bytes().to_vec()];
                for (field, value) in entry.pairs() {
                    texts.extend([field.to_vec(), value.to_vec()]);
                }
                found.push(texts);
            }
            let log = &stream.log;
            let facts = (log.last_id, log.max_deleted_id, log.entries_added);
            found.push(vec![format!("{facts:?}").into_bytes()]);
            for (name, group) in &stream.groups {
                let pending: Vec<_> = { group.pending().iter() }
                    .map(|(id, pending)| (id, pending.delivered_ms, pending.deliveries))
                    .collect();
                let consumers: Vec<_> = { group.consumers() }
                    .map(|(_, consumer)| (consumer.name(), consumer.seen_ms, consumer.pending()))
                    .collect();
                let facts = (group.last_id, group.entries_read, pending, consumers);
                found.push(vec![name.to_vec(), format!("{facts:?}").into_bytes()]);
            }
        }
    }
    found
}

/// Works with a value as commands would.
fn work_with(value: &mut Object, input: &mut Input<'_>, limits: &Limits) {
    let mut rng = SmallRng::seed_from_u64(input.byte().into());
    for _ in 0..input.byte() % 16 {
        let text = input.text();
        match value {
            Object::String(_) => {}
            Object::List(list) => work_with_list(list, input, &text, limits),
            Object::Set(set) => match input.byte() % 4 {
                0 => drop(set.insert(&text, limits.set)),
                1 => drop(set.remove(&text)),
                2 => drop(set.pop(&mut rng, |_| ())),
                _ => drop(set.view().contains(&text)),
            },
            Object::Zset(zset) => match input.byte() % 4 {
                0 => {
                    let score = input.score();
                    zset.upsert(&text, limits.zset, |_| Some(score));
                }
                1 => drop(zset.remove(&text)),
                2 => drop(zset.view().rank(&text)),
                _ => {
                    let len = zset.view().len();
                    let start = input.number() % (len + 1);
                    zset.remove_range(start..(start + 2).min(len));
                }
            },
            Object::Hash(hash) => match input.byte() % 4 {
                0 => drop(hash.set(&text, &input.text(), limits.hash)),
                1 => drop(hash.remove(&text)),
                2 => drop(hash.view().random(&mut rng)),
                _ => drop(hash.view().get(&text)),
            },
            Object::Stream(stream) => work_with_stream(stream, input, text),
        }
        value.check_invariants();
    }
}

fn work_with_stream(stream: &mut Stream, input: &mut Input<'_>, text: Vec<u8>) {
    let id = input.id();
    let names: Vec<_> = stream.groups.keys().cloned().collect();
    match input.byte() % 6 {
        0 => {
            let limits = input.stream_limits();
            add(stream, input, &[text], limits);
        }
        1 => drop(stream.log.delete(&[id])),
        2 => drop(stream.log.trim(Trim::MinId(id), input.byte() & 1 == 0, u64::MAX)),
        3 => {
            let len = Trim::MaxLen(input.byte().into());
            stream.log.trim(len, input.byte() & 1 == 0, u64::MAX);
        }
        4 => {
            for name in &names {
                let group = stream.groups.get_mut(name).expect("a group");
                group.acknowledge(id);
                group.advance(&stream.log, id);
            }
        }
        _ => {
            for name in &names {
                let group = stream.groups.get_mut(name).expect("a group");
                group.delete_consumer(&text);
            }
            assert!(stream.log.range_back(StreamId::MIN, id).all(|entry| entry.id <= id));
        }
    }
}

fn work_with_list(list: &mut List, input: &mut Input<'_>, text: &[u8], limits: &Limits) {
    let index = input.number() % list.len().max(1);
    let end = if input.byte() & 1 == 0 { End::Left } else { End::Right };
    match input.byte() % 7 {
        0 => list.push(end, text, &limits.list),
        1 => drop(list.pop(end, |_| ())),
        2 if !list.is_empty() => list.insert(index, Side::Before, text, &limits.list),
        3 => drop(list.set(index, text, &limits.list)),
        4 => list.remove_range(index, input.number() % 8),
        5 => drop(list.remove_matching(text, 2, end)),
        _ => {
            let walked: Option<()> = list.view().walk(index, end, |_| ControlFlow::Continue(()));
            assert!(walked.is_none());
        }
    }
}

fn loaded(kind: Kind, bytes: &[u8], limits: &Limits) -> Result<Object, LoadError> {
    let at_once = load(kind, &mut Reader::new(bytes), limits);
    let streamed = load(kind, &mut Reader::new(StreamSource::new(bytes)), limits);
    match (&at_once, &streamed) {
        (Ok(at_once), Ok(streamed)) => assert_eq!(contents(at_once), contents(streamed)),
        (Err(_), Err(_)) => {}
        _ => panic!("a slice and a stream give the same"),
    }
    at_once
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let raw = input.byte() & 1 == 0;
    let (before, after) = (input.limits(), input.limits());
    let (kind, bytes) = if raw {
        let Some(kind) = Kind::of(input.byte()) else {
            return;
        };
        (kind, std::mem::take(&mut input.0).to_vec())
    } else {
        let mut forms = input.forms(&before);
        let (kind, mut bytes) = forms.swap_remove(input.number() % forms.len());
        let damages = input.byte() % 4;
        for _ in 0..damages {
            let at = input.number() % bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = input.byte();
            }
        }
        if damages == 0 {
            assert!(loaded(kind, &bytes, &after).is_ok(), "{kind:?} as it was written");
        }
        (kind, bytes)
    };
    let Ok(mut value) = loaded(kind, &bytes, &after) else {
        return;
    };
    value.check_invariants();
    work_with(&mut value, &mut input, &after);
    if value.free_effort() > 0 && !contents(&value).is_empty() {
        let payload = payload::of(value.view(), input.byte() & 1 == 0);
        let bytes = payload::open(&payload).expect("sealed");
        let kind = Kind::of(bytes[0]).expect("known");
        let again = loaded(kind, &bytes[1..], &before).expect("what is sound is accepted");
        assert_eq!(contents(&again), contents(&value));
    }
});
