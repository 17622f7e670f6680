//! The commands, by group of COMMAND DOCS.

pub mod connection;
mod expire_time;
pub mod string;

use crate::command::table::Command;

/// The tables of all groups.
pub const FAMILIES: &[&[Command]] = &[connection::COMMANDS, string::COMMANDS];
