//! Memory figures from the allocator and the system.

use tikv_jemalloc_ctl::{epoch, stats};

/// What the allocator says.
#[derive(Clone, Copy, Default, Debug)]
pub struct AllocatorStats {
    /// Bytes that the program asked for and holds.
    pub allocated: u64,
    /// Bytes in pages that hold any of them.
    pub active: u64,
    /// Bytes of pages mapped and possibly in use.
    pub resident: u64,
    /// Bytes of the allocator's own.
    pub metadata: u64,
}

/// Fresh figures of the allocator.
pub fn allocator() -> AllocatorStats {
    if epoch::advance().is_err() {
        return AllocatorStats::default();
    }
    let read = |value: Result<usize, _>| value.map_or(0, |bytes: usize| bytes as u64);
    AllocatorStats {
        allocated: read(stats::allocated::read().map_err(drop)),
        active: read(stats::active::read().map_err(drop)),
        resident: read(stats::resident::read().map_err(drop)),
        metadata: read(stats::metadata::read().map_err(drop)),
    }
}

/// Resident set size of this process, bytes.
pub fn rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}
