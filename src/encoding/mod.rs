//! How values lie in memory: pure data structures, bytes in, bytes out.

pub mod member;
pub mod table;
