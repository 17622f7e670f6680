//! Running commands: look up, check, call, settle.

pub mod blocking;
pub mod defrag;
pub mod dispatch;
pub mod evict;
pub mod gates;
pub mod monitor;
pub mod multi;
mod permitted;
mod propagate;
pub mod replay;
pub mod scripting;
pub mod settle;
pub mod tracking;
