//! Sets: an intset while all members are integers, a listpack while small, a
//! table of members beyond. Redis 7.0 has no sets in listpacks; they go by the
//! name `hashtable`, which they would have there.

mod algebra;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use rand::Rng;

pub use algebra::{difference, difference_by_removal, intersection};

use super::{Collection, Object, Packed, Type};
use crate::encoding::intset::{Intset, IntsetRef};
use crate::encoding::listpack::{Item, Listpack, ListpackRef};
use crate::encoding::member::{Member, MemberRef, Payload};
use crate::encoding::table::{KeyHasher, Table};
use crate::util::num::canonical_i64;
use crate::util::size_class::size_class;

/// Members of a set in a listpack.
const PACK_ENTRIES_MAX: usize = 64;
/// Bytes of the longest of them.
const PACK_MEMBER_BYTES_MAX: usize = 64;
/// Redis: more integers never fit an intset, whatever the configuration.
const INTS_MAX: u64 = 1 << 30;
/// From a set so many times bigger than the sample, members are drawn one by
/// one; from a smaller one, each in turn is taken with the odds it has.
const DRAW_FROM: usize = 3;

/// Up to when a set stays packed.
#[derive(Clone, Copy, Debug)]
pub struct SetLimits {
    /// Members of an intset (`set-max-intset-entries`).
    pub ints: usize,
    /// Members of a listpack.
    pub entries: usize,
    /// Bytes of a member of a listpack.
    pub member_bytes: usize,
}

impl SetLimits {
    /// Limits by the value of `set-max-intset-entries`.
    pub fn new(intset_entries_max: u64) -> SetLimits {
        SetLimits {
            ints: intset_entries_max.min(INTS_MAX) as usize,
            entries: PACK_ENTRIES_MAX,
            member_bytes: PACK_MEMBER_BYTES_MAX,
        }
    }
}

/// A set.
pub enum Set {
    /// Integers in ascending order. A new set is one of them.
    Ints(Intset),
    /// Members in no order.
    Pack(Listpack),
    /// Found by hash.
    Table(Box<Table<Member>>),
}

/// A set for reading.
#[derive(Clone, Copy)]
pub enum SetRef<'a> {
    /// Integers in ascending order.
    Ints(IntsetRef<'a>),
    /// Members in no order.
    Pack(ListpackRef<'a>),
    /// Found by hash.
    Table(&'a Table<Member>),
}

impl Set {
    /// A set of members of which none comes twice, in the encoding that adding
    /// one after the other would lead to.
    pub fn of_distinct(members: &[Item<'_>], limits: SetLimits) -> Set {
        let mut buffer = itoa::Buffer::new();
        if members.len() <= limits.entries.max(limits.ints) {
            let mut set = Set::new();
            for (nth, member) in members.iter().enumerate() {
                let text = member.text(&mut buffer);
                set.insert_of(text, members.len() - nth, limits);
            }
            return set;
        }
        let mut table = Table::with_capacity(KeyHasher::shared(), members.len());
        for member in members {
            let text = member.text(&mut buffer);
            let hash = table.hasher().hash(text);
            table.insert(hash, Member::new(text, Payload::None));
        }
        Set::Table(Box::new(table))
    }

    /// Adds a member; true when it was not in.
    #[inline]
    pub fn insert(&mut self, member: &[u8], limits: SetLimits) -> bool {
        self.insert_of(member, 1, limits)
    }

    /// Adds members; gives how many were not in.
    #[inline]
    pub fn insert_all(&mut self, members: &[&[u8]], limits: SetLimits) -> usize {
        let inserted =
            |(nth, member): &(usize, &&[u8])| self.insert_of(member, members.len() - nth, limits);
        members.iter().enumerate().filter(inserted).count()
    }

    /// Adds a member that is the first of `coming` ones, which are reckoned
    /// with where the set needs another form.
    #[inline]
    fn insert_of(&mut self, member: &[u8], coming: usize, limits: SetLimits) -> bool {
        match self {
            Set::Ints(ints) => match canonical_i64(member) {
                Some(number) => {
                    let added = ints.insert(number);
                    if added && ints.as_ref().len() > limits.ints {
                        self.leave_ints(coming - 1, 0, limits);
                    }
                    added
                }
                None => {
                    self.leave_ints(coming, member.len(), limits);
                    self.insert_of(member, coming, limits)
                }
            },
            Set::Pack(pack) => {
                if pack.as_ref().find(member, 0).is_some() {
                    return false;
                }
                if pack.as_ref().len() < limits.entries && member.len() <= limits.member_bytes {
                    pack.push_back(Item::of(member));
                    true
                } else {
                    self.become_table(coming);
                    self.insert_of(member, coming, limits)
                }
            }
            Set::Table(table) => insert_into_table(table, member),
        }
    }

    /// As [`Set::insert`], for a member of another set.
    #[inline]
    pub fn insert_item(&mut self, member: Item<'_>, limits: SetLimits) -> bool {
        self.insert(member.text(&mut itoa::Buffer::new()), limits)
    }

    /// Stops being an intset, with so many members to come, the first of so
    /// many bytes.
    fn leave_ints(&mut self, coming: usize, member_bytes: usize, limits: SetLimits) {
        let Set::Ints(ints) = &*self else {
            return;
        };
        let ints = ints.as_ref();
        if ints.len() + coming <= limits.entries && member_bytes <= limits.member_bytes {
            *self = Set::Pack(ints.iter().collect());
        } else {
            self.become_table(coming);
        }
    }

    fn become_table(&mut self, coming: usize) {
        let len = self.view().len().saturating_add(coming);
        let mut table = Table::with_capacity(KeyHasher::shared(), len);
        let mut buffer = itoa::Buffer::new();
        for member in self.view().iter() {
            insert_into_table(&mut table, member.text(&mut buffer));
        }
        *self = Set::Table(Box::new(table));
    }

    /// Removes a member; true when it was in.
    #[inline]
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self {
            Set::Ints(ints) => canonical_i64(member).is_some_and(|number| ints.remove(number)),
            Set::Pack(pack) => match pack.as_ref().find(member, 0) {
                Some(at) => {
                    pack.remove(at, 1);
                    true
                }
                None => false,
            },
            Set::Table(table) => match table.find(table.hasher().hash(member), member) {
                Some(loc) => {
                    table.remove(loc);
                    true
                }
                None => false,
            },
        }
    }

    /// Removes a random member, which `taken` sees; None when there is none.
    #[inline]
    pub fn pop<R>(&mut self, rng: &mut impl Rng, taken: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        match self {
            Set::Ints(ints) => {
                let number = ints.as_ref().random(rng)?;
                ints.remove(number);
                Some(taken(Item::Int(number)))
            }
            Set::Pack(pack) => {
                let at = random_place(pack.as_ref(), rng)?;
                let result = taken(pack.as_ref().item_at(at));
                pack.remove(at, 1);
                Some(result)
            }
            Set::Table(table) => {
                let loc = table.random_loc(rng)?;
                let member = table.remove(loc);
                Some(taken(Item::Bytes(member.as_ref().key())))
            }
        }
    }

    /// Panics when the structure contradicts itself (tests).
    pub fn check_invariants(&self) {
        match self {
            Set::Ints(ints) => ints.check_invariants(),
            Set::Pack(pack) => {
                pack.check_invariants();
                assert!(pack.as_ref().is_distinct(0), "a member twice");
            }
            Set::Table(table) => table.check_invariants(),
        }
    }
}

#[inline]
fn insert_into_table(table: &mut Table<Member>, member: &[u8]) -> bool {
    let hash = table.hasher().hash(member);
    let missing = table.find(hash, member).is_none();
    if missing {
        table.insert(hash, Member::new(member, Payload::None));
    }
    missing
}

fn random_place(pack: ListpackRef<'_>, rng: &mut impl Rng) -> Option<usize> {
    match pack.len() {
        0 => None,
        len => pack.seek(rng.random_range(0..len)),
    }
}

impl<'a> SetRef<'a> {
    /// Number of members.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            SetRef::Ints(ints) => ints.len(),
            SetRef::Pack(pack) => pack.len(),
            SetRef::Table(table) => table.len(),
        }
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether this is a member.
    #[inline]
    pub fn contains(self, member: &[u8]) -> bool {
        match self {
            SetRef::Ints(ints) => canonical_i64(member).is_some_and(|number| ints.contains(number)),
            SetRef::Pack(pack) => pack.find(member, 0).is_some(),
            SetRef::Table(table) => table.find(table.hasher().hash(member), member).is_some(),
        }
    }

    /// All members.
    pub fn iter(self) -> impl Iterator<Item = Item<'a>> {
        let (ints, pack, table) = match self {
            SetRef::Ints(ints) => (Some(ints.iter().map(Item::Int)), None, None),
            SetRef::Pack(pack) => (None, Some(pack.iter()), None),
            SetRef::Table(table) => {
                let members = table.iter().map(|member| Item::Bytes(member.key()));
                (None, None, Some(members))
            }
        };
        let packed = ints.into_iter().flatten().chain(pack.into_iter().flatten());
        packed.chain(table.into_iter().flatten())
    }

    /// Visits the members of the next bucket at `cursor` (all, while packed)
    /// and gives the next cursor, 0 at the end: see [`Table::scan`].
    pub fn scan(self, cursor: u64, mut visit: impl FnMut(Item<'a>)) -> u64 {
        match self {
            SetRef::Ints(_) | SetRef::Pack(_) => {
                self.iter().for_each(visit);
                0
            }
            SetRef::Table(table) => table.scan(cursor, |member| visit(Item::Bytes(member.key()))),
        }
    }

    /// A random member; None when there is none.
    #[inline]
    pub fn random(self, rng: &mut impl Rng) -> Option<Item<'a>> {
        match self {
            SetRef::Ints(ints) => ints.random(rng).map(Item::Int),
            SetRef::Pack(pack) => random_place(pack, rng).map(|at| pack.item_at(at)),
            SetRef::Table(table) => table.random(rng).map(|member| Item::Bytes(member.key())),
        }
    }

    /// Chooses so many different members, or all if there are no more.
    pub fn sample(self, wanted: usize, rng: &mut impl Rng, mut chosen: impl FnMut(Item<'a>)) {
        if matches!(self, SetRef::Pack(_)) || wanted > self.len() / DRAW_FROM {
            self.split(wanted, rng, |member, is_chosen| {
                if is_chosen {
                    chosen(member);
                }
            });
            return;
        }
        // Members of a set differ by their address, if they have one.
        let mut seen: HashSet<u64, ahash::RandomState> = HashSet::default();
        while seen.len() < wanted {
            let Some(member) = self.random(rng) else {
                return;
            };
            let identity = match member {
                Item::Int(number) => number as u64,
                Item::Bytes(text) => text.as_ptr() as u64,
            };
            if seen.insert(identity) {
                chosen(member);
            }
        }
    }

    /// Visits all members, a random choice of so many of them marked.
    pub fn split(self, wanted: usize, rng: &mut impl Rng, mut visit: impl FnMut(Item<'a>, bool)) {
        // Each in turn is chosen with the odds that are left for it.
        let (mut left, mut open) = (self.len(), wanted);
        self.iter().for_each(|member| {
            let is_chosen = open > 0 && rng.random_range(0..left) < open;
            open -= usize::from(is_chosen);
            left -= 1;
            visit(member, is_chosen);
        });
    }

    /// Whether both are one and the same set.
    pub fn is(self, other: SetRef<'_>) -> bool {
        match (self, other) {
            (SetRef::Ints(a), SetRef::Ints(b)) => std::ptr::eq(a.bytes(), b.bytes()),
            (SetRef::Pack(a), SetRef::Pack(b)) => std::ptr::eq(a.bytes(), b.bytes()),
            (SetRef::Table(a), SetRef::Table(b)) => std::ptr::eq(a, b),
            _ => false,
        }
    }
}

impl Collection for Set {
    const TYPE: Type = Type::Set;
    type Ref<'a> = SetRef<'a>;

    fn new() -> Set {
        Set::Ints(Intset::new())
    }

    #[inline]
    fn view(&self) -> SetRef<'_> {
        match self {
            Set::Ints(ints) => SetRef::Ints(ints.as_ref()),
            Set::Pack(pack) => SetRef::Pack(pack.as_ref()),
            Set::Table(table) => SetRef::Table(table),
        }
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.view().is_empty()
    }

    #[inline]
    fn packed_view(kind: Packed, bytes: &[u8]) -> Option<SetRef<'_>> {
        match kind {
            Packed::IntSet => Some(SetRef::Ints(IntsetRef::new(bytes))),
            Packed::Set => Some(SetRef::Pack(ListpackRef::new(bytes))),
            _ => None,
        }
    }

    #[inline]
    fn from_packed(kind: Packed, bytes: Vec<u8>) -> Option<Set> {
        match kind {
            Packed::IntSet => Some(Set::Ints(Intset::from_trusted(bytes))),
            Packed::Set => Some(Set::Pack(Listpack::from_trusted(bytes))),
            _ => None,
        }
    }

    #[inline]
    fn as_packed(&self) -> Option<(Packed, &[u8])> {
        match self {
            Set::Ints(ints) => Some((Packed::IntSet, ints.as_ref().bytes())),
            Set::Pack(pack) => Some((Packed::Set, pack.as_ref().bytes())),
            Set::Table(_) => None,
        }
    }

    #[inline]
    fn into_packed(self) -> Option<Vec<u8>> {
        match self {
            Set::Ints(ints) => Some(ints.into_bytes()),
            Set::Pack(pack) => Some(pack.into_bytes()),
            Set::Table(_) => None,
        }
    }

    fn in_object(object: &Object) -> Option<&Set> {
        match object {
            Object::Set(set) => Some(set),
            _ => None,
        }
    }

    fn in_object_mut(object: &mut Object) -> Option<&mut Set> {
        match object {
            Object::Set(set) => Some(set),
            _ => None,
        }
    }

    fn into_object(mut self) -> Object {
        // The memory may be the keyspace's buffer for changes.
        match &mut self {
            Set::Ints(ints) => ints.shrink_to_fit(),
            Set::Pack(pack) => pack.shrink_to_fit(),
            Set::Table(_) => {}
        }
        Object::Set(self)
    }

    fn estimated_bytes(&self, samples: usize) -> usize {
        match self {
            Set::Ints(ints) => size_class(ints.capacity()),
            Set::Pack(pack) => size_class(pack.capacity()),
            Set::Table(table) => {
                size_class(size_of::<Table<Member>>()) + super::table_bytes(table, samples)
            }
        }
    }

    fn free_effort(&self) -> usize {
        match self {
            Set::Ints(_) | Set::Pack(_) => 1,
            Set::Table(table) => table.len(),
        }
    }

    fn duplicate(&self) -> Set {
        match self {
            Set::Ints(ints) => Set::Ints(ints.clone()),
            Set::Pack(pack) => Set::Pack(pack.clone()),
            Set::Table(table) => {
                let copy = |member: MemberRef<'_>| Member::new(member.key(), Payload::None);
                Set::Table(Box::new(table.duplicate(copy)))
            }
        }
    }

    fn encoding_name(&self) -> &'static str {
        match self {
            Set::Ints(_) => Packed::IntSet.encoding_name(),
            Set::Pack(_) | Set::Table(_) => "hashtable",
        }
    }
}
