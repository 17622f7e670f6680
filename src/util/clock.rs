//! Time: a monotonic clock for durations, and Unix time that follows it
//! between two looks at the system's.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The clock of the engine.
#[derive(Clone, Debug)]
pub struct Clock {
    start: Instant,
    /// Unix microseconds at `synced_ns`.
    unix_us: i64,
    synced_ns: u64,
}

impl Default for Clock {
    fn default() -> Clock {
        let mut clock = Clock {
            start: Instant::now(),
            unix_us: 0,
            synced_ns: 0,
        };
        clock.sync();
        clock
    }
}

impl Clock {
    /// Nanoseconds since the clock was made.
    #[inline]
    pub fn monotonic_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Looks at the system's time (once a turn of the loop, so jumps are seen).
    pub fn sync(&mut self) {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.unix_us = since_epoch.as_micros() as i64;
        self.synced_ns = self.monotonic_ns();
    }

    /// Unix microseconds at a monotonic time.
    #[inline]
    pub fn unix_us(&self, monotonic_ns: u64) -> i64 {
        self.unix_us + (monotonic_ns.saturating_sub(self.synced_ns) / 1000) as i64
    }
}
