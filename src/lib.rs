//! Redstart.
pub mod config;
pub mod keyspace;
pub mod resp;
pub mod types;
pub mod util;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
