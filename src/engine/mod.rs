//! The state that commands execute on. One lock guards all of it; whoever
//! holds the lock is the executor.

pub mod access;
mod aof;
mod aof_files;
mod aof_rewrite;
mod blocking;
mod client;
mod client_memory;
mod clients;
mod describe;
mod figures;
pub mod hooks;
mod journal;
mod lifecycle;
pub mod loading;
mod notify;
pub mod peers;
mod pubsub;
pub mod running;
pub mod saving;
pub mod scripts;
mod server;
mod shutdown;
pub mod snapshot_file;
mod tracking;
mod transactions;
mod upkeep;

pub use aof::{Aof, AofState};
pub use blocking::{Blocked, DeniedReply, Wait, Waiting};
pub use client::{
    Client, ClientId, ClientKind, Closing, Flags, Pause, PendingOutput, RawClient, Unblock,
};
pub use clients::Clients;
pub use journal::{Journal, Sink, Unit};
pub use pubsub::{Channels, PubSub, Subscriptions, Topic};
pub use server::{DebugSwitches, PauseState, Server, ShutdownRequest, ShutdownState, random_hex};
pub use shutdown::ShutdownError;
pub use tracking::{ClientTracking, Tracking, TrackingMode};
pub use transactions::{Queued, Transaction, WatchedKey, Watchers};
pub use upkeep::{QUERY_ROOM_BYTES, UNAUTHENTICATED_OUTPUT_BYTES_MAX};
