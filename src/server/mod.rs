//! The running server: sockets, loops, periodic work, start-up.

pub mod cron;
pub mod io;
pub mod listen;
pub mod start;
pub mod system;
