//! Redstart: a Redis-compatible in-memory server.
//!
//! # Invariants
//! 1. **Drop-in.** What talks to `redis-server`, feeds it a `redis.conf` or
//!    reads its INFO works unchanged: texts, error codes, encodings' names,
//!    log lines that tools look for, exit codes.
//! 2. **One executor.** At any moment one thread executes commands; every
//!    command is atomic and there is one total order. Whoever holds the lock
//!    around [`engine::Server`] is the executor.
//! 3. **No fork, no stall.** Nothing whose cost grows with the keyspace or
//!    with one huge value runs in one go under the lock: growth, expiry,
//!    freeing go in slices or in the background.
//! 4. **Acknowledged means kept** as far as `appendfsync` promises: with
//!    `always` no reply leaves before what it tells of is on disk.
//! 5. **A handler is pure**: it does no I/O, reads no clock, sees no other
//!    client's socket. The same function will serve clients, MULTI, Lua, AOF
//!    replay, replication and tests. The one exception is MIGRATE, which by its
//!    nature waits for another server: see [`engine::peers`].
//! 6. **Untrusted bytes** can cost an error reply or a refused file, never a
//!    panic, a hang or unbounded memory.
//! 7. **Used memory is honest**: data, client buffers and tables are accounted.
//!
//! # Reading order
//! [`resp`] (bytes to requests, replies to bytes), [`keyspace`] (table, entry,
//! the `Edit` guard), [`command`] (rows, context), one family of [`commands`]
//! (`string` is the example), [`exec`] (gates, dispatch, settle), `server::io`
//! (the loop that holds it together).

pub mod acl;
pub mod aof;
pub mod command;
pub mod commands;
pub mod config;
pub mod encoding;
pub mod engine;
pub mod exec;
pub mod keyspace;
pub mod rdb;
pub mod resp;
pub mod script;
pub mod server;
pub mod stats;
pub mod types;
pub mod util;
pub mod version;

#[cfg(not(fuzzing))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
