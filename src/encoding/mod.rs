//! How values lie in memory: pure data structures, bytes in, bytes out.

pub mod bitfield;
pub mod bits;
pub mod hyperloglog;
pub mod member;
pub mod table;
