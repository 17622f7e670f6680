//! Hashes: a listpack of fields and values while small, a table of fields
//! beyond.

use rand::Rng;

use super::{Collection, Object, Packed, Type};
use crate::encoding::listpack::{self, Item, Listpack, ListpackRef};
use crate::encoding::member::{Member, MemberRef, Payload};
use crate::encoding::table::{KeyHasher, Table};
use crate::util::size_class::size_class;

/// Up to when a hash stays packed.
#[derive(Clone, Copy, Debug)]
pub struct HashLimits {
    /// Fields (`hash-max-listpack-entries`).
    pub entries: usize,
    /// Bytes of a field or a value (`hash-max-listpack-value`).
    pub value_bytes: usize,
}

/// A hash.
pub enum Hash {
    /// Fields, each followed by its value.
    Packed(Listpack),
    /// Found by field.
    Table(Box<Table<Member>>),
}

/// A hash for reading.
#[derive(Clone, Copy)]
pub enum HashRef<'a> {
    /// Fields, each followed by its value.
    Packed(ListpackRef<'a>),
    /// Found by field.
    Table(&'a Table<Member>),
}

impl Hash {
    /// Gives a field a value; true when there was no such field.
    pub fn set(&mut self, field: &[u8], value: &[u8], limits: HashLimits) -> bool {
        self.unpack_for(&[field, value], limits);
        match self {
            Hash::Packed(pack) => {
                let created = set_packed(pack, field, value);
                if created && pack.as_ref().len() / 2 > limits.entries {
                    self.unpack();
                }
                created
            }
            Hash::Table(table) => set_in_table(table, field, value),
        }
    }

    /// Becomes a table if one of these is too long to be packed.
    pub fn unpack_for(&mut self, texts: &[&[u8]], limits: HashLimits) {
        if let Hash::Packed(pack) = self {
            let long = texts.iter().any(|text| text.len() > limits.value_bytes);
            let bytes = texts
                .iter()
                .fold(0usize, |sum, text| sum.saturating_add(text.len()));
            if long || !pack.as_ref().has_room_for(bytes) {
                self.unpack();
            }
        }
    }

    /// A hash of fields, each followed by its value; None when one comes twice
    /// or the last has none.
    pub fn from_pairs(pairs: Listpack, limits: HashLimits) -> Option<Hash> {
        let len = pairs.as_ref().len();
        if !len.is_multiple_of(2) {
            return None;
        }
        let mut hash = Hash::Packed(pairs);
        if len / 2 > limits.entries {
            hash.unpack();
        }
        (hash.view().len() == len / 2 && hash.is_distinct()).then_some(hash)
    }

    /// Whether no field is there twice, which only a listpack from outside
    /// could bring about.
    pub fn is_distinct(&self) -> bool {
        match self {
            Hash::Packed(pack) => pack.as_ref().is_distinct(1),
            Hash::Table(_) => true,
        }
    }

    /// Becomes a table.
    pub fn unpack(&mut self) {
        if matches!(self, Hash::Table(_)) {
            return;
        }
        let mut table = Table::new(KeyHasher::shared());
        let (mut field_text, mut value_text) = (itoa::Buffer::new(), itoa::Buffer::new());
        for (field, value) in self.view().iter() {
            let field = field.text(&mut field_text);
            set_in_table(&mut table, field, value.text(&mut value_text));
        }
        *self = Hash::Table(Box::new(table));
    }

    /// Removes a field; true when it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match self {
            Hash::Packed(pack) => match pack.as_ref().find(field, 1) {
                Some(at) => {
                    pack.remove(at, 2);
                    true
                }
                None => false,
            },
            Hash::Table(table) => match table.find(table.hasher().hash(field), field) {
                Some(loc) => {
                    table.remove(loc);
                    true
                }
                None => false,
            },
        }
    }

    /// Panics when the structure contradicts itself (tests).
    pub fn check_invariants(&self) {
        match self {
            Hash::Packed(pack) => {
                assert!(listpack::validate(pack.as_ref().bytes()));
                assert!(pack.as_ref().len().is_multiple_of(2));
                assert!(pack.as_ref().is_distinct(1), "a field twice");
            }
            Hash::Table(table) => table.check_invariants(),
        }
    }
}

fn set_packed(pack: &mut Listpack, field: &[u8], value: &[u8]) -> bool {
    let found = pack.as_ref().find(field, 1);
    match found.and_then(|at| pack.as_ref().next(at)) {
        Some(at) => {
            pack.replace(at, Item::of(value));
            false
        }
        None => {
            pack.push_back(Item::of(field));
            pack.push_back(Item::of(value));
            true
        }
    }
}

fn set_in_table(table: &mut Table<Member>, field: &[u8], value: &[u8]) -> bool {
    let hash = table.hasher().hash(field);
    match table.find(hash, field) {
        Some(loc) => {
            table.update(loc, |member| member.replace_value(value));
            false
        }
        None => {
            table.insert(hash, Member::new(field, Payload::Value(value)));
            true
        }
    }
}

impl<'a> HashRef<'a> {
    /// Number of fields.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            HashRef::Packed(pack) => pack.len() / 2,
            HashRef::Table(table) => table.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The value of a field.
    #[inline]
    pub fn get(self, field: &[u8]) -> Option<Item<'a>> {
        match self {
            HashRef::Packed(pack) => {
                let at = pack.next(pack.find(field, 1)?)?;
                Some(pack.item_at(at))
            }
            HashRef::Table(table) => {
                let loc = table.find(table.hasher().hash(field), field)?;
                Some(Item::Bytes(table.entry(loc).value()))
            }
        }
    }

    /// All fields with their values.
    pub fn iter(self) -> impl Iterator<Item = (Item<'a>, Item<'a>)> {
        let (pack, table) = match self {
            HashRef::Packed(pack) => (Some(pack.iter()), None),
            HashRef::Table(table) => (None, Some(table.iter())),
        };
        let mut packed = pack.into_iter().flatten();
        let packed = std::iter::from_fn(move || Some((packed.next()?, packed.next()?)));
        let members = table.into_iter().flatten();
        packed.chain(members.map(|member| (Item::Bytes(member.key()), Item::Bytes(member.value()))))
    }

    /// Visits the fields of the next bucket at `cursor` (all, while packed)
    /// and gives the next cursor, 0 at the end: see [`Table::scan`].
    pub fn scan(self, cursor: u64, mut visit: impl FnMut(Item<'a>, Item<'a>)) -> u64 {
        match self {
            HashRef::Packed(_) => {
                self.iter().for_each(|(field, value)| visit(field, value));
                0
            }
            HashRef::Table(table) => table.scan(cursor, |member| {
                visit(Item::Bytes(member.key()), Item::Bytes(member.value()));
            }),
        }
    }

    /// A random field with its value.
    pub fn random(self, rng: &mut impl Rng) -> Option<(Item<'a>, Item<'a>)> {
        match self {
            HashRef::Packed(pack) => {
                let len = self.len();
                let at = pack.seek(2 * rng.random_range(0..len.max(1)))?;
                Some((pack.item_at(at), pack.item_at(pack.next(at)?)))
            }
            HashRef::Table(table) => {
                let member = table.random(rng)?;
                Some((Item::Bytes(member.key()), Item::Bytes(member.value())))
            }
        }
    }
}

impl Collection for Hash {
    const TYPE: Type = Type::Hash;
    type Ref<'a> = HashRef<'a>;

    fn new() -> Hash {
        Hash::Packed(Listpack::new())
    }

    #[inline]
    fn view(&self) -> HashRef<'_> {
        match self {
            Hash::Packed(pack) => HashRef::Packed(pack.as_ref()),
            Hash::Table(table) => HashRef::Table(table),
        }
    }

    #[inline]
    fn is_empty(&self) -> bool {
        match self {
            Hash::Packed(pack) => pack.as_ref().is_empty(),
            Hash::Table(table) => table.is_empty(),
        }
    }

    #[inline]
    fn packed_view(kind: Packed, bytes: &[u8]) -> Option<HashRef<'_>> {
        (kind == Packed::Hash).then(|| HashRef::Packed(ListpackRef::new(bytes)))
    }

    #[inline]
    fn from_packed(kind: Packed, bytes: Vec<u8>) -> Option<Hash> {
        (kind == Packed::Hash).then(|| Hash::Packed(Listpack::from_trusted(bytes)))
    }

    #[inline]
    fn as_packed(&self) -> Option<(Packed, &[u8])> {
        match self {
            Hash::Packed(pack) => Some((Packed::Hash, pack.as_ref().bytes())),
            Hash::Table(_) => None,
        }
    }

    #[inline]
    fn into_packed(self) -> Option<Vec<u8>> {
        match self {
            Hash::Packed(pack) => Some(pack.into_bytes()),
            Hash::Table(_) => None,
        }
    }

    fn in_object(object: &Object) -> Option<&Hash> {
        match object {
            Object::Hash(hash) => Some(hash),
            _ => None,
        }
    }

    fn in_object_mut(object: &mut Object) -> Option<&mut Hash> {
        match object {
            Object::Hash(hash) => Some(hash),
            _ => None,
        }
    }

    fn into_object(mut self) -> Object {
        if let Hash::Packed(pack) = &mut self {
            // The memory may be the keyspace's buffer for changes.
            pack.shrink_to_fit();
        }
        Object::Hash(self)
    }

    fn estimated_bytes(&self, samples: usize) -> usize {
        match self {
            Hash::Packed(pack) => size_class(pack.capacity()),
            Hash::Table(table) => {
                size_class(size_of::<Table<Member>>()) + super::table_bytes(table, samples)
            }
        }
    }

    fn free_effort(&self) -> usize {
        match self {
            Hash::Packed(_) => 1,
            Hash::Table(table) => table.len(),
        }
    }

    fn duplicate(&self) -> Hash {
        match self {
            Hash::Packed(pack) => {
                Hash::Packed(Listpack::from_trusted(pack.as_ref().bytes().to_vec()))
            }
            Hash::Table(table) => {
                let copy = |member: MemberRef<'_>| {
                    Member::new(member.key(), Payload::Value(member.value()))
                };
                Hash::Table(Box::new(table.duplicate(copy)))
            }
        }
    }

    fn encoding_name(&self) -> &'static str {
        match self {
            Hash::Packed(_) => "listpack",
            Hash::Table(_) => "hashtable",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Set(Vec<u8>, Vec<u8>),
        Remove(Vec<u8>),
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => (0u32..60).prop_map(|n| n.to_string().into_bytes()),
            2 => (0u32..60).prop_map(|n| format!("field:{n}").into_bytes()),
            1 => prop::collection::vec(any::<u8>(), 0..40),
        ]
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => (text(), text()).prop_map(|(field, value)| Op::Set(field, value)),
            1 => text().prop_map(Op::Remove),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn behaves_as_a_map(
            ops in prop::collection::vec(op(), 1..300),
            entries in 0usize..100,
            value_bytes in 0usize..50,
        ) {
            let limits = HashLimits { entries, value_bytes };
            let (mut hash, mut model) = (Hash::new(), HashMap::new());
            for op in ops {
                match op {
                    Op::Set(field, value) => {
                        let created = hash.set(&field, &value, limits);
                        prop_assert_eq!(created, model.insert(field, value).is_none());
                    }
                    Op::Remove(field) => {
                        prop_assert_eq!(hash.remove(&field), model.remove(&field).is_some());
                    }
                }
                hash.check_invariants();
            }
            let view = hash.view();
            prop_assert_eq!(view.len(), model.len());
            for (field, value) in &model {
                prop_assert_eq!(&view.get(field).unwrap().to_vec(), value);
            }
            let (mut seen, mut cursor) = (HashMap::new(), 0);
            loop {
                cursor = view.scan(cursor, |field, value| {
                    seen.insert(field.to_vec(), value.to_vec());
                });
                if cursor == 0 { break }
            }
            prop_assert_eq!(&seen, &model);
            let copy: HashMap<_, _> = hash.duplicate().view().iter()
                .map(|(field, value)| (field.to_vec(), value.to_vec())).collect();
            prop_assert_eq!(&copy, &model);
            let random = view.random(&mut SmallRng::seed_from_u64(1));
            prop_assert_eq!(random.is_some(), !model.is_empty());
            if let Some((field, value)) = random {
                prop_assert_eq!(model.get(&field.to_vec()), Some(&value.to_vec()));
            }
        }
    }

    #[test]
    fn unpacks_beyond_its_limits() {
        let limits = HashLimits {
            entries: 2,
            value_bytes: 4,
        };
        let mut hash = Hash::new();
        hash.set(b"a", b"1", limits);
        hash.set(b"b", b"2222", limits);
        assert_eq!(hash.encoding_name(), "listpack");
        hash.set(b"c", b"3", limits);
        assert_eq!(hash.encoding_name(), "hashtable");
        let mut hash = Hash::new();
        hash.set(b"a", b"12345", limits);
        assert_eq!(hash.encoding_name(), "hashtable");
    }
}
