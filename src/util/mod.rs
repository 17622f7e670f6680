//! Small tools that know nothing of the server.

pub mod args;
pub mod clock;
pub mod glob;
pub mod lzf;
pub mod num;
pub mod prefetch;
pub mod size_class;
pub mod ticks;
