//! The set type.

use super::{Collection, Object, Packed, Type};

/// A set.
pub enum Set {
    /// Packed.
    Packed(Vec<u8>),
}

/// A set for reading.
#[derive(Clone, Copy)]
pub enum SetRef<'a> {
    /// Packed.
    Packed(&'a [u8]),
}

impl Collection for Set {
    const TYPE: Type = Type::Set;
    type Ref<'a> = SetRef<'a>;

    fn new() -> Set {
        Set::Packed(Vec::new())
    }

    fn view(&self) -> SetRef<'_> {
        match self {
            Set::Packed(bytes) => SetRef::Packed(bytes),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Set::Packed(bytes) => bytes.is_empty(),
        }
    }

    fn packed_view(kind: Packed, bytes: &[u8]) -> Option<SetRef<'_>> {
        (kind == Packed::Set).then_some(SetRef::Packed(bytes))
    }

    fn from_packed(kind: Packed, bytes: Vec<u8>) -> Option<Set> {
        (kind == Packed::Set).then_some(Set::Packed(bytes))
    }

    fn as_packed(&self) -> Option<(Packed, &[u8])> {
        match self {
            Set::Packed(bytes) => Some((Packed::Set, bytes)),
        }
    }

    fn into_packed(self) -> Option<Vec<u8>> {
        match self {
            Set::Packed(bytes) => Some(bytes),
        }
    }

    fn in_object(object: &Object) -> Option<&Set> {
        match object {
            Object::Set(value) => Some(value),
            _ => None,
        }
    }

    fn in_object_mut(object: &mut Object) -> Option<&mut Set> {
        match object {
            Object::Set(value) => Some(value),
            _ => None,
        }
    }

    fn into_object(self) -> Object {
        Object::Set(self)
    }

    fn estimated_bytes(&self, _samples: usize) -> usize {
        match self {
            Set::Packed(bytes) => bytes.capacity(),
        }
    }

    fn free_effort(&self) -> usize {
        1
    }

    fn duplicate(&self) -> Set {
        match self {
            Set::Packed(bytes) => Set::Packed(bytes.clone()),
        }
    }

    fn encoding_name(&self) -> &'static str {
        Packed::Set.encoding_name()
    }
}
