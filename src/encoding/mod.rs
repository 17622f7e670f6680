//! How values lie in memory: pure data structures that know nothing of keys or
//! commands. What Redis writes into its files and DUMP payloads is kept byte
//! for byte in Redis's own format.

pub mod bitfield;
pub mod bits;
pub mod geohash;
pub mod hyperloglog;
pub mod intset;
pub mod listpack;
pub mod member;
pub mod ordered;
pub mod quicklist;
pub mod scored;
pub mod shared;
pub mod table;
