//! Redstart.
pub mod acl;
pub mod command;
pub mod commands;
pub mod config;
pub mod engine;
pub mod exec;
pub mod keyspace;
pub mod resp;
pub mod server;
pub mod stats;
pub mod types;
pub mod util;

/// The level of Redis whose commands are all there, as INFO, HELLO and
/// `--version` tell it.
pub const REDIS_VERSION: &str = "7.0.15";

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
