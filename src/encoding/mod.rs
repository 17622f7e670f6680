//! How values lie in memory: pure data structures, bytes in, bytes out.

pub mod geohash;
pub mod member;
pub mod ordered;
pub mod table;
