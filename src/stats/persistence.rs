//! How saving and loading went, as INFO's section of that name tells it.

use std::time::Duration;

/// Snapshots, the append-only file and loading.
#[derive(Clone, Debug)]
pub struct PersistenceStats {
    /// A snapshot or the append-only file is being read.
    pub loading: bool,
    /// Since when, Unix seconds.
    pub loading_started_s: i64,
    /// Bytes of what is being loaded.
    pub loading_total_bytes: u64,
    /// Of them, those that are done.
    pub loading_bytes: u64,
    /// What the file says was used when it was written.
    pub loading_used_bytes: i64,
    /// The same, while the old data is served.
    pub async_loading: bool,
    /// A snapshot is being written.
    pub snapshot_running: bool,
    /// Since when, clock nanoseconds.
    pub snapshot_started_ns: u64,
    /// Unix seconds of the last snapshot that succeeded, or of the start.
    pub last_save_s: i64,
    /// Whether the last snapshot in the background succeeded.
    pub last_snapshot_ok: bool,
    /// How long it took.
    pub last_snapshot_time: Option<Duration>,
    /// Snapshots that succeeded.
    pub snapshots: u64,
    /// Keys of the running snapshot that are done, and all of them.
    pub snapshot_keys: (u64, u64),
    /// Bytes that changes handed to the last snapshot before its turn.
    pub copied_last_bytes: u64,
    /// Keys that loading found expired.
    pub loaded_expired: u64,
    /// Keys that loading brought.
    pub loaded: u64,
    /// It is being rewritten.
    pub rewrite_running: bool,
    /// Since when, clock nanoseconds.
    pub rewrite_started_ns: u64,
    /// It will be, as soon as the running snapshot is done.
    pub rewrite_scheduled: bool,
    /// How long the last rewrite took.
    pub last_rewrite_time: Option<Duration>,
    /// Whether it succeeded.
    pub last_rewrite_ok: bool,
    /// Rewrites that succeeded.
    pub rewrites: u64,
    /// Rewrites that failed since one succeeded.
    pub rewrite_failures: u64,
}

impl Default for PersistenceStats {
    fn default() -> PersistenceStats {
        PersistenceStats {
            loading: false,
            loading_started_s: 0,
            loading_total_bytes: 0,
            loading_bytes: 0,
            loading_used_bytes: 0,
            copied_last_bytes: 0,
            async_loading: false,
            snapshot_running: false,
            snapshot_started_ns: 0,
            last_save_s: 0,
            last_snapshot_ok: true,
            last_snapshot_time: None,
            snapshots: 0,
            snapshot_keys: (0, 0),
            loaded_expired: 0,
            loaded: 0,
            rewrite_running: false,
            rewrite_started_ns: 0,
            rewrite_scheduled: false,
            last_rewrite_time: None,
            last_rewrite_ok: true,
            rewrites: 0,
            rewrite_failures: 0,
        }
    }
}

impl PersistenceStats {
    /// So many bytes of what is being loaded are done.
    pub fn loading_progress(&mut self, bytes: u64) {
        self.loading_bytes = bytes;
    }

    /// CONFIG RESETSTAT.
    pub(super) fn reset(&mut self) {
        self.snapshots = 0;
        self.rewrites = 0;
        self.rewrite_failures = 0;
    }
}
