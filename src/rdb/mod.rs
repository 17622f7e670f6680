//! Values in the form of RDB files, which is also that of DUMP payloads:
//! lengths, strings and the kinds of values. The frame of a file (keys,
//! expiries, databases, checksums) is not here.
//!
//! Writing goes element by element into any [`std::io::Write`]; reading is
//! bounds-checked, validates all that it takes in, and never allocates ahead
//! of the bytes that have arrived.

pub mod check;
pub mod file;
pub mod frame;
mod load;
pub mod payload;
mod read;
mod stream;
#[cfg(test)]
mod tests;
mod write;
mod ziplist;
mod zipmap;

pub use load::{Limits, load};
pub use read::{Reader, Source, StreamSource};
pub use write::{Encoder, Uncompressed};

/// The version of the format that is written (Redis 7.0).
pub const VERSION: u16 = 10;
/// The newest version that is read: Redis 7.2, for its sets in listpacks.
pub const VERSION_READ_MAX: u16 = 11;

/// How a string is stored that is neither plain nor longer than it says: the
/// low six bits of a length byte whose high two are set.
mod encoding {
    pub(super) const INT8: u8 = 0;
    pub(super) const INT16: u8 = 1;
    pub(super) const INT32: u8 = 2;
    pub(super) const LZF: u8 = 3;
}

/// What a node of a list holds.
mod container {
    /// One element as it is.
    pub(super) const PLAIN: u64 = 1;
    /// A listpack.
    pub(super) const PACKED: u64 = 2;
}

/// The kinds of values, by the byte that precedes them. Of each type there
/// are several, from older versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// A string.
    String = 0,
    /// A list, element by element.
    List = 1,
    /// A set, member by member.
    Set = 2,
    /// A sorted set, member by member, with scores in text.
    ZsetText = 3,
    /// A hash, field by field.
    Hash = 4,
    /// A sorted set, member by member.
    Zset = 5,
    /// Of a module, in its own form.
    Module = 6,
    /// Of a module, in parts.
    ModuleParts = 7,
    /// A hash in a zipmap.
    HashZipmap = 9,
    /// A list in a ziplist.
    ListZiplist = 10,
    /// A set of integers in an intset.
    SetIntset = 11,
    /// A sorted set in a ziplist.
    ZsetZiplist = 12,
    /// A hash in a ziplist.
    HashZiplist = 13,
    /// A list in ziplists.
    ListZiplists = 14,
    /// A stream.
    Stream = 15,
    /// A hash in a listpack.
    HashListpack = 16,
    /// A sorted set in a listpack.
    ZsetListpack = 17,
    /// A list in listpacks and plain nodes.
    ListNodes = 18,
    /// A stream of Redis 7.0.
    Stream2 = 19,
    /// A set in a listpack.
    SetListpack = 20,
    /// A stream of Redis 7.2.
    Stream3 = 21,
}

impl Kind {
    const ALL: [Kind; 21] = [
        Kind::String,
        Kind::List,
        Kind::Set,
        Kind::ZsetText,
        Kind::Hash,
        Kind::Zset,
        Kind::Module,
        Kind::ModuleParts,
        Kind::HashZipmap,
        Kind::ListZiplist,
        Kind::SetIntset,
        Kind::ZsetZiplist,
        Kind::HashZiplist,
        Kind::ListZiplists,
        Kind::Stream,
        Kind::HashListpack,
        Kind::ZsetListpack,
        Kind::ListNodes,
        Kind::Stream2,
        Kind::SetListpack,
        Kind::Stream3,
    ];

    /// The kind that a byte stands for.
    pub fn of(byte: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// Why a value could not be loaded.
#[derive(Debug)]
pub enum LoadError {
    /// The bytes end within the value.
    Ended,
    /// The bytes contradict themselves: what is wrong with them.
    Corrupt(&'static str),
    /// A collection without elements, which no key can hold.
    Empty,
    /// A kind of value that this version does not keep: which.
    Unsupported(&'static str),
    /// The bytes could not be read.
    Failed(std::io::Error),
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LoadError::Ended => f.write_str("the value ends too early"),
            LoadError::Corrupt(what) => f.write_str(what),
            LoadError::Empty => f.write_str("a collection without elements"),
            LoadError::Unsupported(what) => write!(f, "this version has no {what}"),
            LoadError::Failed(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for LoadError {}
