//! How values lie in memory: bytes in, bytes out, nothing of keys or commands.

pub mod geohash;
pub mod ordered;
