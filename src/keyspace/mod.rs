//! The keys of all databases.

pub mod entry;
pub mod table;
