//! What lists, sets, sorted sets and hashes have in common: small ones are
//! packed into one piece of bytes, which the keyspace keeps inside the entry;
//! big ones are objects of their own.

use super::{Hash, List, Object, Set, Type, ValueView, Zset};

/// What the bytes of a packed collection are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Packed {
    /// A list: listpack of its elements.
    List,
    /// A set of integers: intset.
    IntSet,
    /// A set: listpack of its members, in no order.
    Set,
    /// A sorted set: listpack of members, each followed by its score, in order.
    Zset,
    /// A hash: listpack of fields, each followed by its value.
    Hash,
}

impl Packed {
    /// All of them, by their number.
    pub const ALL: [Packed; 5] = [
        Packed::List,
        Packed::IntSet,
        Packed::Set,
        Packed::Zset,
        Packed::Hash,
    ];

    /// The data type.
    pub fn value_type(self) -> Type {
        match self {
            Packed::List => Type::List,
            Packed::IntSet | Packed::Set => Type::Set,
            Packed::Zset => Type::Zset,
            Packed::Hash => Type::Hash,
        }
    }

    /// Packed bytes of this kind for reading.
    pub fn view(self, bytes: &[u8]) -> ValueView<'_> {
        let view = match self.value_type() {
            Type::List => List::packed_view(self, bytes).map(ValueView::List),
            Type::Set => Set::packed_view(self, bytes).map(ValueView::Set),
            Type::Zset => Zset::packed_view(self, bytes).map(ValueView::Zset),
            Type::Hash => Hash::packed_view(self, bytes).map(ValueView::Hash),
            Type::String | Type::Stream => None,
        };
        view.unwrap_or_else(|| unreachable!("a type reads all of its packed kinds"))
    }

    /// The name OBJECT ENCODING gives. Redis 7.0 knows no packed lists, nor
    /// packed sets of anything but integers: they go by the name they have there.
    pub fn encoding_name(self) -> &'static str {
        match self {
            Packed::List => "quicklist",
            Packed::IntSet => "intset",
            Packed::Set => "hashtable",
            Packed::Zset | Packed::Hash => "listpack",
        }
    }
}

/// A type of collection.
pub trait Collection: Sized + 'static {
    /// The data type.
    const TYPE: Type;
    /// The collection for reading, whether it is packed inside of an entry or
    /// an object.
    type Ref<'a>: Copy;

    /// An empty one, packed.
    fn new() -> Self;
    /// For reading.
    fn view(&self) -> Self::Ref<'_>;
    /// Whether there is nothing in it.
    fn is_empty(&self) -> bool;

    /// Reads packed bytes; None when they are of another type.
    fn packed_view(kind: Packed, bytes: &[u8]) -> Option<Self::Ref<'_>>;
    /// Takes packed bytes over; None when they are of another type.
    fn from_packed(kind: Packed, bytes: Vec<u8>) -> Option<Self>;
    /// The packed bytes, while it is packed.
    fn as_packed(&self) -> Option<(Packed, &[u8])>;
    /// The memory of the packed bytes, for further use.
    fn into_packed(self) -> Option<Vec<u8>>;

    /// The collection in an object of this type.
    fn in_object(object: &Object) -> Option<&Self>;
    /// The same for change.
    fn in_object_mut(object: &mut Object) -> Option<&mut Self>;
    /// As an object.
    fn into_object(self) -> Object;

    /// Bytes on the heap, judged by `samples` of the elements.
    fn estimated_bytes(&self, samples: usize) -> usize;
    /// Allocations that freeing it gives back, about.
    fn free_effort(&self) -> usize;
    /// A copy.
    fn duplicate(&self) -> Self;
    /// The name OBJECT ENCODING gives.
    fn encoding_name(&self) -> &'static str;
}
