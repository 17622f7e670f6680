//! What a key can hold.

mod collection;
mod hash;
mod list;
mod relocate;
pub mod set;
pub mod stream;
mod string;
mod zset;

pub use collection::{Collection, Packed};
pub use hash::{Hash, HashLimits, HashRef};
pub use list::{End, List, ListLimits, ListRef, Side, list_limits, set_plain_from_bytes};
pub use relocate::RelocatePlace;
pub use set::{Set, SetLimits, SetRef};
pub use stream::{Stream, StreamId};
pub use string::{StrBuf, StrRef};
pub use zset::{
    Direction, LexBound, LexRange, Limits as ZsetLimits, ScoreRange, StoredScore, Zset, ZsetRef,
};

use crate::encoding::member::Member;
use crate::encoding::table::{Sink, Table};

/// Data types, as TYPE names them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// A byte string, integers included.
    String,
    /// A list.
    List,
    /// A set.
    Set,
    /// A sorted set.
    Zset,
    /// A hash.
    Hash,
    /// A stream.
    Stream,
}

impl Type {
    /// The name that TYPE and SCAN TYPE use.
    pub fn name(self) -> &'static str {
        match self {
            Type::String => "string",
            Type::List => "list",
            Type::Set => "set",
            Type::Zset => "zset",
            Type::Hash => "hash",
            Type::Stream => "stream",
        }
    }

    /// Whether clients can wait for a key of this type to appear.
    pub fn can_be_awaited(self) -> bool {
        matches!(self, Type::List | Type::Zset | Type::Stream)
    }
}

/// A value that has an allocation of its own, behind the entry.
pub enum Object {
    /// A string that has been edited in place, or is too long for the entry.
    String(StrBuf),
    /// A list.
    List(List),
    /// A set.
    Set(Set),
    /// A sorted set.
    Zset(Zset),
    /// A hash.
    Hash(Hash),
    /// A stream.
    Stream(Box<Stream>),
}

/// A value for reading, wherever it lies.
#[derive(Clone, Copy)]
pub enum ValueView<'a> {
    /// A string.
    String(StrRef<'a>),
    /// A list.
    List(ListRef<'a>),
    /// A set.
    Set(SetRef<'a>),
    /// A sorted set.
    Zset(ZsetRef<'a>),
    /// A hash.
    Hash(HashRef<'a>),
    /// A stream.
    Stream(&'a Stream),
}

/// Asks the collection inside of an object.
macro_rules! ask {
    ($object:expr, $string:ident => $of_string:expr, $value:ident => $of_collection:expr) => {
        match $object {
            Object::String($string) => $of_string,
            Object::List($value) => $of_collection,
            Object::Set($value) => $of_collection,
            Object::Zset($value) => $of_collection,
            Object::Hash($value) => $of_collection,
            Object::Stream($value) => $of_collection,
        }
    };
}

impl Object {
    /// The data type.
    pub fn value_type(&self) -> Type {
        match self {
            Object::String(_) => Type::String,
            Object::List(_) => Type::List,
            Object::Set(_) => Type::Set,
            Object::Zset(_) => Type::Zset,
            Object::Hash(_) => Type::Hash,
            Object::Stream(_) => Type::Stream,
        }
    }

    /// The value for reading.
    pub fn view(&self) -> ValueView<'_> {
        match self {
            Object::String(string) => ValueView::String(StrRef::Boxed(string)),
            Object::List(list) => ValueView::List(list.view()),
            Object::Set(set) => ValueView::Set(set.view()),
            Object::Zset(zset) => ValueView::Zset(zset.view()),
            Object::Hash(hash) => ValueView::Hash(hash.view()),
            Object::Stream(stream) => ValueView::Stream(stream),
        }
    }

    /// The packed bytes of a collection that is packed.
    pub fn as_packed(&self) -> Option<(Packed, &[u8])> {
        ask!(self, _string => None, value => value.as_packed())
    }

    /// Has the members of a big collection go to a sink as they are now
    /// (`Table::freeze`); their number, 0 where there is no table of them.
    pub fn freeze_members(&mut self, sink: Box<dyn Sink<Member>>) -> usize {
        match self {
            Object::Set(Set::Table(table)) | Object::Hash(Hash::Table(table)) => {
                table.freeze(sink);
                table.len()
            }
            Object::Zset(Zset::Big(scored)) => {
                scored.freeze(sink);
                scored.len()
            }
            _ => 0,
        }
    }

    /// Goes on with that (`Table::thaw`); true when it is done.
    pub fn thaw_members(&mut self, buckets: usize) -> bool {
        match self {
            Object::Set(Set::Table(table)) | Object::Hash(Hash::Table(table)) => {
                table.thaw(buckets)
            }
            Object::Zset(Zset::Big(scored)) => scored.thaw(buckets),
            _ => true,
        }
    }

    /// Panics when the structure contradicts itself (tests).
    pub fn check_invariants(&self) {
        ask!(self, _string => (), value => value.check_invariants());
    }

    /// Bytes that the value holds on the heap, beside the box itself.
    pub fn heap_bytes(&self) -> usize {
        ask!(self, string => string.heap_bytes(), value => value.estimated_bytes(usize::MAX))
    }

    /// As [`heap_bytes`](Object::heap_bytes), where a collection may be judged
    /// by `samples` of its elements instead of all (MEMORY USAGE).
    pub fn estimated_bytes(&self, samples: usize) -> usize {
        debug_assert!(samples > 0);
        ask!(self, string => string.heap_bytes(), value => value.estimated_bytes(samples))
    }

    /// Whether a copy, or a reply, shares what it consists of.
    pub fn is_shared(&self) -> bool {
        match self {
            Object::String(string) => string.is_shared(),
            Object::List(List::Quick(list)) => list.is_shared(),
            Object::Stream(stream) => stream.log.is_shared(),
            _ => false,
        }
    }

    /// Parts that have to be freed one by one: the measure by which freeing
    /// moves to the background (Redis: lazyfreeGetFreeEffort).
    pub fn free_effort(&self) -> usize {
        ask!(self, _string => 1, value => value.free_effort())
    }

    /// A copy.
    pub fn duplicate(&self) -> Object {
        ask!(
            self,
            string => Object::String(StrBuf::from(string.as_slice())),
            value => value.duplicate().into_object()
        )
    }

    /// The name OBJECT ENCODING gives.
    pub fn encoding_name(&self) -> &'static str {
        ask!(self, _string => "raw", value => value.encoding_name())
    }
}

/// Bytes of a table and its members, judged by `samples` of them.
fn table_bytes(table: &Table<Member>, samples: usize) -> usize {
    let sampled = table
        .iter()
        .take(samples)
        .map(|member| member.allocated_bytes());
    let (count, bytes) = sampled.fold((0, 0), |(count, sum), bytes| (count + 1, sum + bytes));
    // 128 bits: the product of bytes and members may not fit otherwise.
    let scaled = (bytes as u128 * table.len() as u128).checked_div(count);
    table.overhead_bytes() + scaled.unwrap_or(0) as usize
}
