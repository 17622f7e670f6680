//! The commands, by group of COMMAND DOCS.

pub mod acl;
pub mod bitmap;
pub mod config;
pub mod connection;
mod expire_time;
pub mod functions;
pub mod generic;
pub mod geo;
pub mod hash;
pub mod hyperloglog;
mod items;
pub mod list;
pub mod pubsub;
mod scan_options;
pub mod scripting;
pub mod server;
pub mod set;
pub mod sorted_set;
pub mod stream;
pub mod string;
pub mod transactions;

use crate::command::table::Command;

/// The tables of all groups.
pub const FAMILIES: &[&[Command]] = &[
    acl::COMMANDS,
    bitmap::COMMANDS,
    config::COMMANDS,
    connection::COMMANDS,
    functions::COMMANDS,
    generic::COMMANDS,
    generic::databases::COMMANDS,
    generic::sort::COMMANDS,
    generic::dump::COMMANDS,
    generic::migrate::COMMANDS,
    geo::COMMANDS,
    hash::COMMANDS,
    hyperloglog::COMMANDS,
    list::COMMANDS,
    pubsub::COMMANDS,
    scripting::COMMANDS,
    server::COMMANDS,
    server::command::COMMANDS,
    server::debug::COMMANDS,
    server::latency::COMMANDS,
    server::memory::COMMANDS,
    server::module::COMMANDS,
    server::shutdown::COMMANDS,
    server::slowlog::COMMANDS,
    set::COMMANDS,
    sorted_set::COMMANDS,
    stream::COMMANDS,
    string::COMMANDS,
    transactions::COMMANDS,
];
