//! Small tools that know nothing of the server.

pub mod args;
pub mod clock;
pub mod collate;
pub mod copied;
pub mod glob;
pub mod lzf;
pub mod num;
pub mod partial_sort;
pub mod prefetch;
pub mod relocate;
pub mod size_class;
pub mod ticks;

/// Something failed, and why has been logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Logged;
