//! How long the calls of a command take, in the figures of Redis: the
//! percentiles of INFO latencystats and the steps of LATENCY HISTOGRAM.

/// Longest duration that is told apart, nanoseconds.
const NS_MAX: u64 = 1_000_000_000;
/// Buckets to each doubling of the duration, so that two decimal digits count.
const STEPS: usize = 128;
/// First step of LATENCY HISTOGRAM, nanoseconds; each is double the one before.
const STEP_NS: u64 = 1024;
/// The end of the last bucket, nanoseconds.
const LAST_NS: u64 = (1 << 30) - 1;

/// Durations of one command: a high dynamic range histogram as Redis has it,
/// <https://github.com/HdrHistogram/HdrHistogram_c>. Durations below
/// `2 * STEPS` have a bucket each, and from there on each doubling has `STEPS`.
pub struct Distribution {
    counts: Box<[u64]>,
    calls: u64,
}

/// The bucket of a duration.
#[inline]
fn bucket_of(ns: u64) -> usize {
    let doublings = (ns | (2 * STEPS as u64 - 1)).ilog2() - STEPS.ilog2();
    doublings as usize * STEPS + (ns >> doublings) as usize
}

/// The shortest and the longest duration of a bucket.
fn bounds_of(bucket: usize) -> (u64, u64) {
    let doublings = (bucket / STEPS).saturating_sub(1);
    let first = ((bucket - doublings * STEPS) as u64) << doublings;
    (first, first + (1 << doublings) - 1)
}

impl Distribution {
    /// No durations yet; none if there is no memory for it.
    pub fn new() -> Option<Box<Distribution>> {
        let mut counts = Vec::new();
        counts.try_reserve_exact(bucket_of(NS_MAX) + 1).ok()?;
        counts.resize(bucket_of(NS_MAX) + 1, 0);
        let counts = counts.into_boxed_slice();
        Some(Box::new(Distribution { counts, calls: 0 }))
    }

    /// Adds a duration, nanoseconds.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        self.counts[bucket_of(ns.clamp(1, NS_MAX))] += 1;
        self.calls += 1;
    }

    /// Number of durations.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// The buckets that have durations, with their number.
    fn recorded(&self) -> impl Iterator<Item = (usize, u64)> {
        let counts = self.counts.iter().copied().enumerate();
        counts.filter(|(_, count)| *count > 0)
    }

    /// The duration that `percent` of the calls took at most, nanoseconds.
    /// Redis: the rank is rounded, and 0 percent is the start of its bucket.
    pub fn percentile_ns(&self, percent: f64) -> u64 {
        let rank = (percent.min(100.0) / 100.0 * self.calls as f64 + 0.5) as u64;
        let rank = rank.max(1);
        let mut passed = 0;
        for (bucket, count) in self.recorded() {
            passed += count;
            if passed >= rank {
                let (first, last) = bounds_of(bucket);
                return if percent == 0.0 { first } else { last };
            }
        }
        0
    }

    /// (microseconds, calls that took no longer) for steps of about 1, 2, 4 …
    /// microseconds; steps that add no calls are left out.
    pub fn steps(&self) -> Vec<(u64, u64)> {
        let mut steps = Vec::new();
        let mut recorded = self.recorded().peekable();
        let (mut calls, mut told) = (0, 0);
        let mut step_ns = STEP_NS;
        while calls < self.calls {
            let end_ns = if step_ns > LAST_NS {
                LAST_NS
            } else {
                bounds_of(bucket_of(step_ns)).1
            };
            while let Some((_, count)) =
                recorded.next_if(|(bucket, _)| bounds_of(*bucket).1 <= end_ns)
            {
                calls += count;
            }
            if calls > told {
                steps.push((end_ns / 1000, calls));
                told = calls;
            }
            if end_ns >= LAST_NS {
                break;
            }
            step_ns *= 2;
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(durations: &[u64]) -> Box<Distribution> {
        let mut distribution = Distribution::new().expect("memory");
        durations.iter().for_each(|ns| distribution.record(*ns));
        distribution
    }

    #[test]
    fn percentiles_are_ends_of_buckets() {
        let one = of(&[9_000]);
        assert_eq!(one.percentile_ns(50.0), 9_023);
        assert_eq!(one.percentile_ns(0.0), 8_960);
        let three = of(&[1_000, 2_000, 300_000]);
        // The rank of 50 % of three is 1.5, rounded to the second.
        assert_eq!(three.percentile_ns(50.0), 2_007);
        assert_eq!(three.percentile_ns(33.0), 1_003);
        assert_eq!(three.percentile_ns(100.0), 301_055);
        assert_eq!(three.percentile_ns(400.0), 301_055);
        assert_eq!(of(&[]).percentile_ns(99.0), 0);
        assert_eq!(of(&[0]).percentile_ns(99.0), 1);
        assert_eq!(of(&[u64::MAX]).percentile_ns(99.0), 1_002_438_655);
    }

    #[test]
    fn buckets_are_those_of_hdr_histograms() {
        let reference = hdrhistogram::Histogram::<u64>::new_with_bounds(1, NS_MAX, 2).unwrap();
        for power in 0..30 {
            for ns in [
                1 << power,
                (1 << power) + 1,
                (3 << power) / 2,
                (2 << power) - 1,
            ] {
                let ns = ns.min(NS_MAX);
                let bounds = (
                    reference.lowest_equivalent(ns),
                    reference.highest_equivalent(ns),
                );
                assert_eq!(bounds_of(bucket_of(ns)), bounds, "{ns}");
            }
        }
    }

    #[test]
    fn steps_double() {
        assert_eq!(of(&[]).steps(), []);
        let durations = [500, 1_031, 1_032, 40_000, 40_000, u64::MAX];
        assert_eq!(
            of(&durations).steps(),
            [(1, 2), (2, 3), (66, 5), (1_073_741, 6)]
        );
        let all: Vec<u64> = (0..40).map(|power| 1 << power).collect();
        let bounds: Vec<u64> = of(&all).steps().iter().map(|(us, _)| *us).collect();
        assert_eq!(bounds[..8], [1, 2, 4, 8, 16, 33, 66, 132]);
        assert_eq!(bounds.last(), Some(&1_073_741));
    }
}
