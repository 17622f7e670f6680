//! Server commands: <https://redis.io/docs/latest/commands/?group=server>.

pub mod debug;
mod digest;
mod mallctl;
pub mod shutdown;
