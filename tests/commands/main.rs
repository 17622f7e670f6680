//! Commands over a connection, one file for each group.

mod acl;
mod bitmap;
mod connection;
mod dump;
mod function_oracle;
mod functions;
mod generic;
mod geo;
mod hash;
mod hyperloglog;
mod list;
mod notify;
mod observing;
mod pubsub;
mod script_oracle;
mod script_recipes;
mod script_safety;
mod scripting;
mod server;
mod set;
mod sort;
mod sorted_set;
mod stream;
#[path = "../support/mod.rs"]
mod support;
mod tracking;
mod transactions;
