//! Commands over a connection, one file for each group.

mod connection;
mod generic;
mod geo;
mod hash;
mod observing;
mod server;
mod sorted_set;
#[path = "../support/mod.rs"]
mod support;
