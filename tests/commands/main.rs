//! Commands over a connection, one file for each group.

mod connection;
#[path = "../support/mod.rs"]
mod support;
