//! The commands, by group of COMMAND DOCS.

pub mod config;
pub mod connection;
mod expire_time;
pub mod generic;
pub mod hash;
mod items;
mod scan_options;
pub mod server;
pub mod set;
pub mod string;

use crate::command::table::Command;

/// The tables of all groups.
pub const FAMILIES: &[&[Command]] = &[
    config::COMMANDS,
    connection::COMMANDS,
    generic::COMMANDS,
    generic::databases::COMMANDS,
    hash::COMMANDS,
    server::COMMANDS,
    server::command::COMMANDS,
    server::debug::COMMANDS,
    server::latency::COMMANDS,
    server::memory::COMMANDS,
    server::module::COMMANDS,
    server::shutdown::COMMANDS,
    server::slowlog::COMMANDS,
    set::COMMANDS,
    string::COMMANDS,
];
