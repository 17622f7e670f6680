//! Commands over a connection, one file for each group.

mod bitmap;
mod connection;
mod generic;
mod hash;
mod hyperloglog;
mod observing;
mod server;
#[path = "../support/mod.rs"]
mod support;
mod transactions;
