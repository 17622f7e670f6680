//! How values lie in memory: bytes in, bytes out, nothing of keys or commands.

pub mod ordered;
