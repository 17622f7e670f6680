//! Scripts in Lua 5.1, as `redis-server` runs them.
//!
//! `vm` keeps the interpreter, `cache` the compiled scripts; `state` opens a state
//! in which no script can change what another one sees; `base` has the
//! functions of the language that had to be made safe, `pattern` those that
//! match patterns, `api` what scripts call as `redis.…`; `library` loads
//! libraries of functions; `convert` turns replies into values and back; the
//! rest are the libraries that Redis adds.
//!
//! The C interface of Lua leaves by long jumps. See [`heap`] for the rules that
//! make this sound.

mod api;
mod base;
mod bit;
mod cache;
mod cjson;
mod cmsgpack;
mod convert;
mod fibers;
mod heap;
mod library;
mod packing;
mod pattern;
mod shebang;
mod state;
mod vm;

use crate::engine::Server;

/// Lets a server run scripts.
pub fn install(server: &mut Server) {
    server.scripts.interpreter = Some(Box::new(vm::Vm::new()));
}
