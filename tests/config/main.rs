//! The configuration against redis-server 7.0.15 where it is installed, and
//! `redis.conf.example` against the table.

mod anything;
mod example;
mod globs;
mod oracle;
mod ours;
mod rewrite;
mod set;
mod start;

const VERSION: &str = "7.0.15";

/// Directives that only one of the two has, and why.
const OURS_ONLY: [(&str, &str); 1] = [("io-backend", "chooses between our event loops")];
