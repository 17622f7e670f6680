//! Commands over a connection, one file for each group.

mod connection;
mod generic;
mod hash;
mod observing;
mod server;
mod set;
#[path = "../support/mod.rs"]
mod support;
