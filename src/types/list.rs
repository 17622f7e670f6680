//! The list type.

use super::{Collection, Object, Packed, Type};

/// A list.
pub enum List {
    /// Packed.
    Packed(Vec<u8>),
}

/// A list for reading.
#[derive(Clone, Copy)]
pub enum ListRef<'a> {
    /// Packed.
    Packed(&'a [u8]),
}

impl Collection for List {
    const TYPE: Type = Type::List;
    type Ref<'a> = ListRef<'a>;

    fn new() -> List {
        List::Packed(Vec::new())
    }

    fn view(&self) -> ListRef<'_> {
        match self {
            List::Packed(bytes) => ListRef::Packed(bytes),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            List::Packed(bytes) => bytes.is_empty(),
        }
    }

    fn packed_view(kind: Packed, bytes: &[u8]) -> Option<ListRef<'_>> {
        (kind == Packed::List).then_some(ListRef::Packed(bytes))
    }

    fn from_packed(kind: Packed, bytes: Vec<u8>) -> Option<List> {
        (kind == Packed::List).then_some(List::Packed(bytes))
    }

    fn as_packed(&self) -> Option<(Packed, &[u8])> {
        match self {
            List::Packed(bytes) => Some((Packed::List, bytes)),
        }
    }

    fn into_packed(self) -> Option<Vec<u8>> {
        match self {
            List::Packed(bytes) => Some(bytes),
        }
    }

    fn in_object(object: &Object) -> Option<&List> {
        match object {
            Object::List(value) => Some(value),
            _ => None,
        }
    }

    fn in_object_mut(object: &mut Object) -> Option<&mut List> {
        match object {
            Object::List(value) => Some(value),
            _ => None,
        }
    }

    fn into_object(self) -> Object {
        Object::List(self)
    }

    fn estimated_bytes(&self, _samples: usize) -> usize {
        match self {
            List::Packed(bytes) => bytes.capacity(),
        }
    }

    fn free_effort(&self) -> usize {
        1
    }

    fn duplicate(&self) -> List {
        match self {
            List::Packed(bytes) => List::Packed(bytes.clone()),
        }
    }

    fn encoding_name(&self) -> &'static str {
        Packed::List.encoding_name()
    }
}
