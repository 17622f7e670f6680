//! What a key can hold.

mod string;

pub use string::{StrBuf, StrRef};

/// Data types, as TYPE names them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// A byte string, integers included.
    String,
}

impl Type {
    /// The name that TYPE and SCAN TYPE use.
    pub fn name(self) -> &'static str {
        match self {
            Type::String => "string",
        }
    }
}

/// A value that has an allocation of its own, behind the entry.
pub enum Object {
    /// A string that has been edited in place, or is too long for the entry.
    String(StrBuf),
}

impl Object {
    /// The data type.
    pub fn value_type(&self) -> Type {
        match self {
            Object::String(_) => Type::String,
        }
    }

    /// Bytes that the value holds on the heap, beside the box itself.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Object::String(string) => string.heap_bytes(),
        }
    }

    /// As [`heap_bytes`](Object::heap_bytes), where a collection may be judged
    /// by `samples` of its elements instead of all (MEMORY USAGE).
    pub fn estimated_bytes(&self, samples: usize) -> usize {
        debug_assert!(samples > 0);
        match self {
            Object::String(string) => string.heap_bytes(),
        }
    }

    /// Parts that have to be freed one by one: the measure by which freeing
    /// moves to the background (Redis: lazyfreeGetFreeEffort).
    pub fn free_effort(&self) -> usize {
        match self {
            Object::String(_) => 1,
        }
    }

    /// A copy.
    pub fn duplicate(&self) -> Object {
        match self {
            Object::String(string) => Object::String(StrBuf::from(string.as_slice())),
        }
    }

    /// The name OBJECT ENCODING gives.
    pub fn encoding_name(&self) -> &'static str {
        match self {
            Object::String(_) => "raw",
        }
    }
}
