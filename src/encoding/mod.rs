//! Packed forms of values: pure code, bytes in and bytes out, that knows
//! nothing of keys or commands. What Redis writes into its files and DUMP
//! payloads is kept byte for byte in Redis's own format.

pub mod intset;
pub mod listpack;
