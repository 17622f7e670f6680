//! Memory figures from the allocator and the system.

use std::sync::LazyLock;

use tikv_jemalloc_ctl::stats_print::{self, Options};
use tikv_jemalloc_ctl::{Access, AsName, arenas, epoch, stats, version};

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

/// Bytes in the caches of all threads; 4096 stands for all arenas.
const CACHED: &str = "stats.arenas.4096.tcache_bytes\0";

/// Fresh figures of the allocator.
pub fn allocator() -> AllocatorStats {
    if epoch::advance().is_err() {
        return AllocatorStats::default();
    }
    let read = |value: Result<usize, _>| value.map_or(0, |bytes: usize| bytes as u64);
    // What threads keep for their next allocations is not the program's.
    let cached = read(Access::<usize>::read(CACHED.name()).map_err(drop));
    let allocated = read(stats::allocated::read().map_err(drop));
    AllocatorStats {
        allocated: allocated.saturating_sub(cached),
        active: read(stats::active::read().map_err(drop)),
        resident: read(stats::resident::read().map_err(drop)),
        metadata: read(stats::metadata::read().map_err(drop)),
    }
}

/// Name and version of the allocator, as INFO's `mem_allocator` gives it.
pub fn allocator_name() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| {
        // The version goes on with the commit: "5.3.0-0-g54eaed1d8b56b1aa…".
        let full = version::read().unwrap_or_default();
        format!("jemalloc-{}", full.split('-').next().unwrap_or(full))
    });
    &NAME
}

/// The allocator's own report (MEMORY MALLOC-STATS), and whatever part of it
/// there is when it cannot be finished.
pub fn allocator_report() -> Vec<u8> {
    let mut report = Vec::new();
    if let Err(error) = stats_print::stats_print(&mut report, Options::default()) {
        tracing::warn!("The allocator's report is incomplete: {error}");
    }
    report
}

/// Gives unused pages back to the system; false when the allocator refuses.
pub fn purge() -> bool {
    /// The arenas and how long their unused pages wait, milliseconds. Setting
    /// that to 0 gives the pages back at once, without the void controls that
    /// would do it and have no safe binding.
    const DECAYS: [&str; 2] = ["dirty_decay_ms", "muzzy_decay_ms"];
    let Ok(count) = arenas::narenas::read() else {
        return false;
    };
    let mut purged = false;
    for arena in 0..count {
        for decay in DECAYS {
            let name = format!("arena.{arena}.{decay}\0");
            let name = name.as_str().name();
            // An arena that nothing was ever allocated from has no such name.
            let Ok(usual_ms) = Access::<isize>::read(name) else {
                continue;
            };
            let zeroed = name.write(0_isize).is_ok();
            purged |= name.write(usual_ms).is_ok() && zeroed;
        }
    }
    purged
}

/// Resident set size of this process, bytes; none where the system does not tell.
pub fn rss_bytes() -> Option<u64> {
    kilobytes("/proc/self/status", "VmRSS:")
}

/// Memory of the machine, bytes; 0 where the system does not tell.
pub fn system_bytes() -> u64 {
    static BYTES: LazyLock<u64> =
        LazyLock::new(|| kilobytes("/proc/meminfo", "MemTotal:").unwrap_or(0));
    *BYTES
}

/// Whether the system hands out huge pages unasked, which makes a process
/// bigger than what it uses.
pub fn huge_pages_unasked() -> bool {
    std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled")
        .is_ok_and(|modes| modes.contains("[always]"))
}

/// Whether the system only promises memory that it has.
pub fn overcommit_is_refused() -> bool {
    std::fs::read_to_string("/proc/sys/vm/overcommit_memory").is_ok_and(|mode| mode.trim() == "2")
}

/// The figure behind a label of a file of "Label:   123 kB" lines, bytes.
fn kilobytes(path: &str, label: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(label))?;
    let kilobytes: u64 = rest.split_whitespace().next()?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// A number of bytes for people: `1023B`, `1.50K`, `2.00G`.
pub fn human(bytes: u64) -> String {
    const UNITS: [char; 5] = ['K', 'M', 'G', 'T', 'P'];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let power = (bytes.ilog2() / 10) as usize;
    match UNITS.get(power - 1) {
        Some(unit) => format!("{:.2}{unit}", bytes as f64 / 1024_f64.powi(power as i32)),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (941_392, "919.33K"),
            (1 << 20, "1.00M"),
            (25_276_514_304, "23.54G"),
            (3 << 40, "3.00T"),
            (5 << 50, "5.00P"),
            (1 << 60, "1152921504606846976B"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }

    #[test]
    fn figures_of_the_allocator() {
        let held = vec![1_u8; 8 << 20];
        let stats = allocator();
        assert!(stats.allocated >= held.len() as u64);
        assert!(stats.active >= stats.allocated && stats.resident >= stats.active);
        assert!(allocator_name().starts_with("jemalloc-5."));
        assert!(!allocator_name()[9..].contains('-'));
        let report = allocator_report();
        assert!(report.windows(9).any(|part| part == b"Allocated"));
    }

    #[test]
    fn purging_lowers_what_is_resident() {
        drop(vec![1_u8; 64 << 20]);
        assert!(purge());
        let after = allocator();
        assert!(after.resident < after.active + (32 << 20), "{after:?}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn figures_of_the_system() {
        assert!(rss_bytes().is_some_and(|bytes| bytes > 100_000));
        assert!(system_bytes() > rss_bytes().unwrap_or(0));
        assert_eq!(kilobytes("/proc/self/status", "NoSuch:"), None);
    }
}
