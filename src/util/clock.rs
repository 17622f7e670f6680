//! Time: a monotonic clock for durations, and Unix time that follows it
//! between two looks at the system's.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::ticks;

/// The clock of the engine.
#[derive(Clone, Debug)]
pub struct Clock {
    start: Instant,
    /// Unix microseconds at `synced_ns`.
    unix_us: i64,
    synced_ns: u64,
    /// The latest time that was given.
    last_ns: u64,
    ticker: Option<Ticker>,
}

impl Default for Clock {
    fn default() -> Clock {
        let mut clock = Clock {
            start: Instant::now(),
            unix_us: 0,
            synced_ns: 0,
            last_ns: 0,
            ticker: ticks::trusted().then(Ticker::default),
        };
        clock.sync();
        clock
    }
}

impl Clock {
    /// Looks at the system's clocks (once a turn of the loop, so jumps are seen).
    pub fn sync(&mut self) {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.unix_us = since_epoch.as_micros() as i64;
        let before = ticks::read();
        let now_ns = self.start.elapsed().as_nanos() as u64;
        if let Some(ticker) = &mut self.ticker
            && !ticker.sync(now_ns, before..ticks::read())
        {
            self.ticker = None;
        }
        self.synced_ns = now_ns.max(self.last_ns);
        self.last_ns = self.synced_ns;
    }

    /// Nanoseconds since the clock was made, never less than before. Between
    /// two looks at the system's clock it goes by the cycle counter.
    #[inline]
    pub fn now_ns(&mut self) -> u64 {
        let now_ns = match self.ticker.as_ref().and_then(Ticker::since_sync_ns) {
            Some(since_ns) => self.synced_ns + since_ns,
            None => self.start.elapsed().as_nanos() as u64,
        };
        self.last_ns = now_ns.max(self.last_ns);
        self.last_ns
    }

    /// Unix microseconds at a monotonic time.
    #[inline]
    pub fn unix_us(&self, monotonic_ns: u64) -> i64 {
        self.unix_us + (monotonic_ns.saturating_sub(self.synced_ns) / 1000) as i64
    }
}

/// Cycles as nanoseconds.
#[derive(Clone, Default, Debug)]
struct Ticker {
    synced: u64,
    /// Nanoseconds of 2^32 cycles, 0 until they are known.
    ratio: u64,
    /// Cycles and nanoseconds from which the ratio is measured next.
    reference: Option<(u64, u64)>,
}

impl Ticker {
    /// Time over which the ratio is measured, nanoseconds.
    const MEASURE_NS: u64 = 100_000_000;
    /// Cycles that may pass around a look at the system's clock that counts.
    const GAP_MAX: u64 = 20_000;

    /// Notes that the system's clock showed `now_ns` within `cycles`. False if
    /// the counter does not run evenly after all.
    fn sync(&mut self, now_ns: u64, cycles: std::ops::Range<u64>) -> bool {
        self.synced = cycles.end;
        if cycles.end.wrapping_sub(cycles.start) > Ticker::GAP_MAX {
            return true; // Interrupted in between: the two do not belong together.
        }
        let Some((cycles_then, then_ns)) = self.reference else {
            self.reference = Some((cycles.end, now_ns));
            return true;
        };
        let elapsed_ns = now_ns.saturating_sub(then_ns);
        if elapsed_ns < Ticker::MEASURE_NS {
            return true;
        }
        let passed = u128::from(cycles.end.saturating_sub(cycles_then));
        let ratio = (u128::from(elapsed_ns) << 32).checked_div(passed);
        let ratio = ratio.and_then(|ratio| u64::try_from(ratio).ok());
        let Some(ratio) = ratio else {
            return false;
        };
        if self.ratio != 0 && ratio.abs_diff(self.ratio) > self.ratio / 256 {
            return false;
        }
        self.ratio = ratio;
        self.reference = Some((cycles.end, now_ns));
        true
    }

    /// Nanoseconds since the last sync, once they can be told.
    #[inline]
    fn since_sync_ns(&self) -> Option<u64> {
        if self.ratio == 0 {
            return None;
        }
        let cycles = ticks::read().saturating_sub(self.synced);
        Some(((u128::from(cycles) * u128::from(self.ratio)) >> 32) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_systems_clock_and_never_goes_back() {
        let mut clock = Clock::default();
        let begin = Instant::now();
        let begin_ns = clock.now_ns();
        let mut last_ns = begin_ns;
        // Long enough for the ratio to be measured.
        while begin.elapsed().as_millis() < 300 {
            clock.sync();
            for _ in 0..1000 {
                let now_ns = clock.now_ns();
                assert!(now_ns >= last_ns);
                last_ns = now_ns;
            }
        }
        let error = (begin.elapsed().as_nanos() as i64 - (last_ns - begin_ns) as i64).abs();
        // A busy machine may stop us between the two looks.
        assert!(error < 100_000_000, "{error} ns off");
        let unix_us = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let error = unix_us.as_micros() as i64 - clock.unix_us(last_ns);
        assert!(error.abs() < 100_000, "{error} us off");
    }

    #[test]
    fn cycles_are_measured_and_distrusted() {
        let (mut ticker, step_ns) = (Ticker::default(), Ticker::MEASURE_NS);
        let at = |cycles: u64| cycles..cycles + 100;
        assert!(ticker.sync(0, at(0)) && ticker.ratio == 0);
        // Two and a half cycles a nanosecond.
        assert!(ticker.sync(step_ns, at(step_ns * 5 / 2)));
        let ratio = ticker.ratio;
        assert!(ratio.abs_diff((1 << 32) * 2 / 5) < 10_000, "{ratio}");
        // An interrupted look changes nothing.
        assert!(ticker.sync(step_ns * 3, step_ns * 5..step_ns * 8));
        assert_eq!(ticker.ratio, ratio);
        // A jump of the counter ends the trust in it.
        assert!(!ticker.sync(step_ns * 3, at(step_ns * 8)));
    }
}
