//! The zset type.

use super::{Collection, Object, Packed, Type};

/// A zset.
pub enum Zset {
    /// Packed.
    Packed(Vec<u8>),
}

/// A zset for reading.
#[derive(Clone, Copy)]
pub enum ZsetRef<'a> {
    /// Packed.
    Packed(&'a [u8]),
}

impl Collection for Zset {
    const TYPE: Type = Type::Zset;
    type Ref<'a> = ZsetRef<'a>;

    fn new() -> Zset {
        Zset::Packed(Vec::new())
    }

    fn view(&self) -> ZsetRef<'_> {
        match self {
            Zset::Packed(bytes) => ZsetRef::Packed(bytes),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Zset::Packed(bytes) => bytes.is_empty(),
        }
    }

    fn packed_view(kind: Packed, bytes: &[u8]) -> Option<ZsetRef<'_>> {
        (kind == Packed::Zset).then_some(ZsetRef::Packed(bytes))
    }

    fn from_packed(kind: Packed, bytes: Vec<u8>) -> Option<Zset> {
        (kind == Packed::Zset).then_some(Zset::Packed(bytes))
    }

    fn as_packed(&self) -> Option<(Packed, &[u8])> {
        match self {
            Zset::Packed(bytes) => Some((Packed::Zset, bytes)),
        }
    }

    fn into_packed(self) -> Option<Vec<u8>> {
        match self {
            Zset::Packed(bytes) => Some(bytes),
        }
    }

    fn in_object(object: &Object) -> Option<&Zset> {
        match object {
            Object::Zset(value) => Some(value),
            _ => None,
        }
    }

    fn in_object_mut(object: &mut Object) -> Option<&mut Zset> {
        match object {
            Object::Zset(value) => Some(value),
            _ => None,
        }
    }

    fn into_object(self) -> Object {
        Object::Zset(self)
    }

    fn estimated_bytes(&self, _samples: usize) -> usize {
        match self {
            Zset::Packed(bytes) => bytes.capacity(),
        }
    }

    fn free_effort(&self) -> usize {
        1
    }

    fn duplicate(&self) -> Zset {
        match self {
            Zset::Packed(bytes) => Zset::Packed(bytes.clone()),
        }
    }

    fn encoding_name(&self) -> &'static str {
        Packed::Zset.encoding_name()
    }
}
