//! The hash type.

use super::{Collection, Object, Packed, Type};

/// A hash.
pub enum Hash {
    /// Packed.
    Packed(Vec<u8>),
}

/// A hash for reading.
#[derive(Clone, Copy)]
pub enum HashRef<'a> {
    /// Packed.
    Packed(&'a [u8]),
}

impl Collection for Hash {
    const TYPE: Type = Type::Hash;
    type Ref<'a> = HashRef<'a>;

    fn new() -> Hash {
        Hash::Packed(Vec::new())
    }

    fn view(&self) -> HashRef<'_> {
        match self {
            Hash::Packed(bytes) => HashRef::Packed(bytes),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Hash::Packed(bytes) => bytes.is_empty(),
        }
    }

    fn packed_view(kind: Packed, bytes: &[u8]) -> Option<HashRef<'_>> {
        (kind == Packed::Hash).then_some(HashRef::Packed(bytes))
    }

    fn from_packed(kind: Packed, bytes: Vec<u8>) -> Option<Hash> {
        (kind == Packed::Hash).then_some(Hash::Packed(bytes))
    }

    fn as_packed(&self) -> Option<(Packed, &[u8])> {
        match self {
            Hash::Packed(bytes) => Some((Packed::Hash, bytes)),
        }
    }

    fn into_packed(self) -> Option<Vec<u8>> {
        match self {
            Hash::Packed(bytes) => Some(bytes),
        }
    }

    fn in_object(object: &Object) -> Option<&Hash> {
        match object {
            Object::Hash(value) => Some(value),
            _ => None,
        }
    }

    fn in_object_mut(object: &mut Object) -> Option<&mut Hash> {
        match object {
            Object::Hash(value) => Some(value),
            _ => None,
        }
    }

    fn into_object(self) -> Object {
        Object::Hash(self)
    }

    fn estimated_bytes(&self, _samples: usize) -> usize {
        match self {
            Hash::Packed(bytes) => bytes.capacity(),
        }
    }

    fn free_effort(&self) -> usize {
        1
    }

    fn duplicate(&self) -> Hash {
        match self {
            Hash::Packed(bytes) => Hash::Packed(bytes.clone()),
        }
    }

    fn encoding_name(&self) -> &'static str {
        Packed::Hash.encoding_name()
    }
}
