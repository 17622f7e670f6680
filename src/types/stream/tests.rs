use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Fields with values.
type Pairs = Vec<Vec<u8>>;

#[derive(Clone, Debug)]
enum Op {
    Add(u64, Pairs),
    Delete(Vec<prop::sample::Index>),
    TrimLen(u64, bool),
    TrimId(prop::sample::Index, bool),
    Read(prop::sample::Index, prop::sample::Index),
    SetLast(u64),
    Deliver(u8, usize),
    Acknowledge(prop::sample::Index),
    Claim(prop::sample::Index, u8),
    DeleteConsumer(u8),
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => (-200i64..5000).prop_map(|n| n.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..80),
    ]
}

fn pairs() -> impl Strategy<Value = Pairs> {
    let field = prop_oneof![
        4 => prop::sample::select(vec![&b"f"[..], b"g", b"12"]).prop_map(<[u8]>::to_vec),
        1 => text(),
    ];
    let pair = (field, text());
    prop::collection::vec(pair, 1..4)
        .prop_map(|pairs| pairs.into_iter().flat_map(|(f, v)| [f, v]).collect())
}

fn op() -> impl Strategy<Value = Op> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        8 => (0u64..4, pairs()).prop_map(|(step, pairs)| Op::Add(step, pairs)),
        3 => prop::collection::vec(index(), 1..5).prop_map(Op::Delete),
        1 => (0u64..30, any::<bool>()).prop_map(|(len, about)| Op::TrimLen(len, about)),
        1 => (index(), any::<bool>()).prop_map(|(id, about)| Op::TrimId(id, about)),
        2 => (index(), index()).prop_map(|(a, b)| Op::Read(a, b)),
        1 => (0u64..3).prop_map(Op::SetLast),
        4 => (0u8..3, 1usize..6).prop_map(|(consumer, count)| Op::Deliver(consumer, count)),
        3 => index().prop_map(Op::Acknowledge),
        2 => (index(), 0u8..3).prop_map(|(id, consumer)| Op::Claim(id, consumer)),
        1 => (0u8..3).prop_map(Op::DeleteConsumer),
    ]
}

/// How far an ID is from the one before.
fn steps() -> impl Strategy<Value = (u64, u64)> {
    let ms = prop_oneof![3 => 0u64..3, 2 => 0u64..100, 1 => any::<u64>()];
    let seq = prop_oneof![3 => Just(0u64), 1 => 0u64..300, 1 => any::<u64>()];
    (ms, seq)
}

fn consumer_of(group: &mut Group, name: u8) -> ConsumerId {
    let name = [b'c', name];
    match group.find_consumer(&name) {
        Some(id) => id,
        None => group.create_consumer(&name, 0).expect("not there"),
    }
}

fn shown(entry: Entry<'_>) -> (StreamId, Pairs) {
    let pairs = entry.pairs().flat_map(|(f, v)| [f.to_vec(), v.to_vec()]);
    (entry.id, pairs.collect())
}

/// A stream beside what it should hold.
#[derive(Default)]
struct Model {
    entries: BTreeMap<StreamId, Pairs>,
    /// Every ID that ever was.
    ids: Vec<StreamId>,
    pending: BTreeMap<StreamId, u8>,
}

impl Model {
    fn id(&self, index: &prop::sample::Index) -> StreamId {
        match self.ids.len() {
            0 => StreamId::new(7, 7),
            len => self.ids[index.index(len)],
        }
    }

    fn run(&mut self, stream: &mut Stream, op: Op, limits: StreamLimits) {
        let Stream { log, groups } = stream;
        let group = groups.get_mut(&b"g"[..]).expect("made at the start");
        match op {
            Op::Add(step, pairs) => {
                let last = log.last_id;
                let wanted = match step {
                    0 => NewId::InMs(last.ms),
                    1 => NewId::At(last.ms + 1),
                    _ => NewId::Given(StreamId::new(last.ms + step, step)),
                };
                let texts: Vec<&[u8]> = pairs.iter().map(|text| &text[..]).collect();
                let id = log.add(wanted, &texts, limits).expect("above all others");
                assert!(id > last);
                self.entries.insert(id, pairs);
                self.ids.push(id);
            }
            Op::Delete(indexes) => {
                let ids: Vec<StreamId> = indexes.iter().map(|index| self.id(index)).collect();
                let there = ids.iter().filter(|id| self.entries.remove(id).is_some());
                assert_eq!(there.count(), log.delete(&ids));
            }
            Op::TrimLen(len, about) => {
                let before = log.len();
                let gone = log.trim(Trim::MaxLen(len), about, 0);
                assert!(log.len() >= len.min(before));
                assert!(about || log.len() == len.min(before));
                for _ in 0..gone {
                    self.entries.pop_first();
                }
            }
            Op::TrimId(index, about) => {
                let id = self.id(&index);
                let gone = log.trim(Trim::MinId(id), about, 0);
                let below = self.entries.range(..id).count() as u64;
                assert!(gone == below || about && gone < below);
                for _ in 0..gone {
                    self.entries.pop_first();
                }
            }
            Op::Read(a, b) => {
                let (start, end) = (self.id(&a), self.id(&b));
                let ours: Vec<_> = log.range(start, end).map(shown).collect();
                let mut back: Vec<_> = log.range_back(start, end).map(shown).collect();
                back.reverse();
                assert_eq!(ours, back);
                let all = self.entries.iter().map(|(id, pairs)| (*id, pairs.clone()));
                let theirs: Vec<_> = all.filter(|(id, _)| *id >= start && *id <= end).collect();
                assert_eq!(ours, theirs);
            }
            Op::SetLast(step) => {
                // As XSETID, which may go below what was deleted, but then, as in
                // Redis, deleted entries can keep others from being trimmed.
                let last = log.last_entry_id().unwrap_or(StreamId::MIN);
                let last = last.max(log.max_deleted_id);
                log.last_id = StreamId::new(last.ms, last.seq + step);
            }
            Op::Deliver(name, count) => {
                let consumer = consumer_of(group, name);
                let start = group.last_id.next().expect("far from the end");
                for entry in log.range(start, StreamId::MAX).take(count) {
                    group.advance(log, entry.id);
                    let pending = Pending {
                        delivered_ms: 1,
                        deliveries: 1,
                        consumer,
                    };
                    group.assign(entry.id, pending);
                    self.pending.insert(entry.id, name);
                }
            }
            Op::Acknowledge(index) => {
                let id = self.id(&index);
                let was = group.acknowledge(id).is_some();
                assert_eq!(was, self.pending.remove(&id).is_some());
            }
            Op::Claim(index, name) => {
                let id = self.id(&index);
                let consumer = consumer_of(group, name);
                if let Some(pending) = group.pending().get(&id).copied() {
                    group.assign(
                        id,
                        Pending {
                            consumer,
                            ..pending
                        },
                    );
                    self.pending.insert(id, name);
                }
            }
            Op::DeleteConsumer(name) => {
                let before = self.pending.len();
                self.pending.retain(|_, owner| *owner != name);
                let gone = group.delete_consumer(&[b'c', name]).unwrap_or(0);
                assert_eq!(gone, before - self.pending.len());
            }
        }
    }

    fn check(&self, stream: &Stream) {
        stream.check_invariants();
        let log = &stream.log;
        let all: BTreeMap<_, _> = log.range(StreamId::MIN, StreamId::MAX).map(shown).collect();
        assert_eq!(all, self.entries);
        assert_eq!(log.len(), self.entries.len() as u64);
        let ends = (self.entries.keys().next(), self.entries.keys().next_back());
        assert_eq!(log.first_entry_id().as_ref(), ends.0);
        assert_eq!(log.last_entry_id().as_ref(), ends.1);
        assert_eq!(log.first_id, ends.0.copied().unwrap_or_default());
        let group = &stream.groups[&b"g"[..]];
        let pending = group.pending().iter();
        let owners = pending.map(|(id, pending)| (*id, group.consumer(pending.consumer).name()[1]));
        assert_eq!(owners.collect::<BTreeMap<_, _>>(), self.pending);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn behaves_as_maps_of_entries_and_owners(
        ops in prop::collection::vec(op(), 1..150),
        bytes in prop::sample::select(vec![0usize, 60, 300]),
        entries in prop::sample::select(vec![0usize, 1, 5, 20]),
    ) {
        let limits = StreamLimits { bytes, entries };
        let (mut stream, mut model) = (Stream::default(), Model::default());
        let group = Group::new(StreamId::MIN, Some(0));
        stream.groups.insert(b"g"[..].into(), group);
        let mut copy = None;
        for (step, op) in ops.into_iter().enumerate() {
            model.run(&mut stream, op, limits);
            model.check(&stream);
            if step == 20 {
                let entries = model.entries.clone();
                copy = Some((stream.clone(), entries));
            }
        }
        // Blocks are shared with copies, which stay as they were.
        if let Some((copy, entries)) = copy {
            let all = copy.log.range(StreamId::MIN, StreamId::MAX).map(shown);
            prop_assert_eq!(all.collect::<BTreeMap<_, _>>(), entries);
        }
    }

    #[test]
    fn a_full_block_comes_back_byte_for_byte(
        first in (any::<u64>(), any::<u64>()),
        adds in prop::collection::vec((steps(), pairs()), 1..60),
        gone in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let block_id = StreamId::new(first.0, first.1);
        let texts: Vec<&[u8]> = adds[0].1.iter().map(|text| &text[..]).collect();
        let (mut block, mut id) = (Block::new(&texts), block_id);
        for (at, ((ms, seq), pairs)) in adds.iter().enumerate() {
            if at > 0 {
                id = match *ms {
                    0 => StreamId::new(id.ms, id.seq.wrapping_add(1 + seq)),
                    ms => StreamId::new(id.ms.wrapping_add(ms), *seq),
                };
            }
            let texts: Vec<&[u8]> = pairs.iter().map(|text| &text[..]).collect();
            block.push(block_id, id, &texts);
        }
        let mut dense = Arc::new(block.clone());
        Block::seal(&mut dense, block_id);
        for gone in [vec![], gone] {
            for index in gone {
                let nth = |block: &Block| {
                    let mut entries = block.forward(block_id);
                    entries.nth(index.index(adds.len())).expect("one").flags()
                };
                let (of_block, of_dense) = (nth(&block), nth(&dense));
                if block.forward(block_id).any(|entry| entry.flags() == of_block && !entry.is_deleted()) {
                    block.delete(&[of_block]);
                    Arc::make_mut(&mut dense).delete(&[of_dense]);
                }
            }
            prop_assert_eq!(block.listpack(block_id), dense.listpack(block_id));
            dense.check_invariants(block_id);
            let all: Vec<_> = block.forward(block_id).map(shown).collect();
            prop_assert!(dense.forward(block_id).map(shown).eq(all.iter().cloned()));
            prop_assert!(dense.backward(block_id).map(shown).eq(all.into_iter().rev()));
        }
        // As when it is the last again, and has room.
        let mut more = Arc::unwrap_or_clone(dense);
        for block in [&mut block, &mut more] {
            block.push(block_id, id.next().unwrap_or_default(), &[b"f", b"v"]);
        }
        prop_assert_eq!(block.listpack(block_id), more.listpack(block_id));
    }

    #[test]
    fn damaged_blocks_are_refused_or_sound(
        adds in prop::collection::vec(pairs(), 1..8),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let limits = StreamLimits { bytes: 0, entries: 0 };
        let mut log = Log::default();
        for pairs in &adds {
            let texts: Vec<&[u8]> = pairs.iter().map(|text| &text[..]).collect();
            log.add(NewId::At(5), &texts, limits).expect("above all others");
        }
        let (id, block) = log.blocks().next().expect("one");
        let mut bytes = block.listpack(id).into_owned();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Some(block) = Block::from_bytes(bytes) {
            let (bytes, mut sealed) = (block.listpack(id).into_owned(), Arc::new(block.clone()));
            Block::seal(&mut sealed, id);
            let entries = |block: &Block| block.forward(id).map(shown).collect::<Vec<_>>();
            prop_assert_eq!(entries(&sealed), entries(&block));
            prop_assert_eq!(sealed.listpack(id).len(), bytes.len());
            let mut blocks = SharedMap::default();
            blocks.insert(id, Arc::new(block));
            let facts = StreamFacts { len: log.len(), last_id: log.last_id, since_7: None };
            if let Some(stream) = Stream::from_blocks(blocks, facts) {
                stream.check_invariants();
                let all = stream.log.range_back(StreamId::MIN, StreamId::MAX).map(shown);
                prop_assert_eq!(all.count() as u64, stream.log.len());
            }
        }
    }
}

#[test]
fn full_blocks_are_dense() {
    let limits = StreamLimits {
        bytes: 4096,
        entries: 100,
    };
    let mut log = Log::default();
    for n in 0..250u64 {
        let texts = [n.to_string(), format!("item:{n}"), "some text".into()];
        let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
        let pairs = [b"id", texts[0], b"item", texts[1], b"note", texts[2]];
        log.add(NewId::At(5 + n / 7), &pairs, limits).unwrap();
    }
    let dense: Vec<bool> = log.blocks().map(|(_, block)| block.is_dense()).collect();
    assert_eq!(dense, [true, true, false]);
    let (id, block) = log.blocks().next().expect("one");
    let ratio = block.heap_bytes() as f64 / block.listpack(id).len() as f64;
    assert!(ratio < 0.75, "{ratio}");
    // Texts that take nearly all of the bytes stay as they are.
    let mut log = Log::default();
    for _ in 0..20 {
        let long = [b'x'; 500];
        log.add(NewId::At(5), &[b"f", &long], limits).unwrap();
    }
    assert!(log.blocks().all(|(_, block)| !block.is_dense()));
}

#[test]
fn ids_have_neighbours_and_texts() {
    let id = StreamId::new;
    assert_eq!(id(1, u64::MAX).next(), Some(id(2, 0)));
    assert_eq!(id(2, 0).prev(), Some(id(1, u64::MAX)));
    assert_eq!((StreamId::MAX.next(), StreamId::MIN.prev()), (None, None));
    assert_eq!(
        StreamId::MAX.text().as_bytes(),
        b"18446744073709551615-18446744073709551615"
    );
    assert_eq!(StreamId::from_bytes(id(3, 4).to_bytes()), id(3, 4));
}

proptest! {
    #[test]
    fn the_nodes_of_a_key_are_those_that_it_adds(
        ids in prop::collection::btree_set((id_part(), id_part()), 1..60),
        removed in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let ids: Vec<StreamId> = ids.into_iter().map(|(ms, seq)| StreamId::new(ms, seq)).collect();
        let (mut map, mut nodes) = (SharedMap::default(), 1);
        for id in &ids {
            nodes += shape::nodes_of_key(&map, *id);
            map.insert(*id, ());
            prop_assert_eq!(nodes, shape::tree_nodes(map.keys().copied()));
        }
        for index in removed {
            let id = ids[index.index(ids.len())];
            if map.remove(&id).is_some() {
                nodes -= shape::nodes_of_key(&map, id);
                prop_assert_eq!(nodes, shape::tree_nodes(map.keys().copied()));
            }
        }
    }
}

/// Numbers whose bytes are partly the same.
fn id_part() -> impl Strategy<Value = u64> {
    let byte = prop::sample::select(vec![0u8, 0, 0, 1, 7, 255]);
    prop::collection::vec(byte, 8).prop_map(|bytes| {
        bytes
            .into_iter()
            .fold(0, |number, byte| number << 8 | u64::from(byte))
    })
}

#[test]
fn the_tree_of_redis_has_so_many_nodes() {
    // As XINFO STREAM of redis-server 7.0.15 tells.
    let nodes = |ids: &[(u64, u64)]| {
        let ids = ids.iter().map(|(ms, seq)| StreamId::new(*ms, *seq));
        shape::tree_nodes(ids)
    };
    assert_eq!(nodes(&[]), 1);
    assert_eq!(nodes(&[(1, 1)]), 2);
    assert_eq!(nodes(&[(1, 1), (1, 2)]), 4);
    assert_eq!(nodes(&[(1, 1), (2, 1)]), 6);
}

/// A block whose live entries were all trimmed must not stay to be added to,
/// since XSETID may have set the last ID below its own.
#[test]
fn a_block_that_is_trimmed_empty_goes() {
    let limits = StreamLimits {
        bytes: 0,
        entries: 0,
    };
    let mut log = Log::default();
    let ids: Vec<StreamId> = (1..=3).map(|seq| StreamId::new(5, seq)).collect();
    for id in &ids {
        log.add(NewId::Given(*id), &[b"f", b"v"], limits).unwrap();
    }
    assert_eq!(log.delete(&ids[2..]), 1);
    // The last entry, deleted, keeps the block from being trimmed as a whole.
    assert_eq!(log.trim(Trim::MinId(ids[2]), false, 0), 2);
    log.last_id = StreamId::new(0, 1);
    for seq in 2..4 {
        let id = NewId::Given(StreamId::new(0, seq));
        log.add(id, &[b"f", b"v"], limits).unwrap();
        log.check_invariants();
    }
    assert_eq!(log.len(), 2);
}
