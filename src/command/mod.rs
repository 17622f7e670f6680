//! What commands are made of: rows, arguments, context, errors. No handlers.

pub mod args;
pub mod ctx;
pub mod docs;
pub mod error;
pub mod help;
pub mod implied;
pub mod info;
pub mod keyspec;
pub mod permission;
pub mod registry;
pub mod table;
