//! Processor time.

/// Processor time used so far, microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct CpuTimes {
    /// In the system, for this process or thread.
    pub system_us: u64,
    /// In the process's or thread's own code.
    pub user_us: u64,
    /// The same two for child processes that have ended.
    pub children_system_us: u64,
    /// See `children_system_us`.
    pub children_user_us: u64,
}

/// Microseconds as seconds with six decimals.
pub fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}
