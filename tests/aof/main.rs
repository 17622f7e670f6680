//! The append-only file: what is acknowledged is kept, whatever happens to the
//! process, the disk or the files; and its tools.
//!
//! `REDSTART_KILLS` says how often the server is killed (default 100),
//! `REDSTART_CUTS` how often the power of a simulated disk (default 300).

mod check;
mod cuts;
mod disk;
mod faults;
mod instance;
mod interchange;
mod kills;
mod order;
mod rewrites;
mod saves;
#[path = "../support/mod.rs"]
mod support;

/// A number from the environment.
fn from_env(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |value| {
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value}: not a number"))
    })
}
