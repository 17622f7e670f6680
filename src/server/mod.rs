//! The running server: sockets, loops, periodic work, start-up.

mod advice;
pub mod crash;
pub mod cron;
pub mod daemon;
pub mod io;
pub mod listen;
mod loading;
pub mod log;
pub mod oom;
pub mod peer;
pub mod signals;
pub mod start;
pub mod system;
pub mod title;
pub mod tools;
