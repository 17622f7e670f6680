//! The latency monitor: spikes of named events above
//! `latency-monitor-threshold`:
//! <https://redis.io/docs/latest/operate/oss_and_stack/management/optimization/latency-monitor/>.

use std::collections::BTreeMap;

/// Samples kept of an event (Redis: LATENCY_TS_LEN).
const SAMPLES_MAX: usize = 160;

/// The spikes of one event, at most one a second.
#[derive(Clone, Default, Debug)]
pub struct Series {
    /// (Unix seconds, milliseconds), oldest first.
    pub samples: std::collections::VecDeque<(i64, u32)>,
    /// The longest ever, milliseconds.
    pub max_ms: u32,
}

/// What a series amounts to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Analysis {
    /// Number of spikes kept.
    pub spikes: u32,
    /// Shortest, longest and average of them, milliseconds.
    pub min_ms: u32,
    /// See `min_ms`.
    pub max_ms: u32,
    /// See `min_ms`.
    pub average_ms: u32,
    /// Mean distance from the average, milliseconds.
    pub deviation_ms: u32,
    /// From the oldest of them until now, at least 1.
    pub seconds: i64,
}

impl Series {
    /// Figures of the spikes kept; none if there are no spikes.
    pub fn analysis(&self, now_s: i64) -> Option<Analysis> {
        let durations = || self.samples.iter().map(|(_, ms)| *ms);
        let spikes = u32::try_from(self.samples.len()).ok()?;
        let mean = |sum: u64| u32::try_from(sum / u64::from(spikes)).unwrap_or(u32::MAX);
        let (oldest_s, _) = self.samples.front()?;
        let average_ms = mean(durations().map(u64::from).sum());
        Some(Analysis {
            spikes,
            min_ms: durations().min()?,
            max_ms: durations().max()?,
            average_ms,
            deviation_ms: mean(
                durations()
                    .map(|ms| u64::from(ms.abs_diff(average_ms)))
                    .sum(),
            ),
            seconds: now_s.saturating_sub(*oldest_s).max(1),
        })
    }
}

/// The spikes of all events.
#[derive(Default, Debug)]
pub struct LatencyMonitor {
    events: BTreeMap<&'static str, Series>,
}

impl LatencyMonitor {
    /// Notes a spike if it reaches the threshold (milliseconds; 0: off).
    pub fn add_if_needed(
        &mut self,
        event: &'static str,
        duration_ms: i64,
        threshold_ms: i64,
        now_s: i64,
    ) {
        if threshold_ms == 0 || duration_ms < threshold_ms {
            return;
        }
        let duration_ms = u32::try_from(duration_ms).unwrap_or(u32::MAX);
        let series = self.events.entry(event).or_default();
        series.max_ms = series.max_ms.max(duration_ms);
        match series.samples.back_mut() {
            Some((second, longest)) if *second == now_s => *longest = (*longest).max(duration_ms),
            _ => series.samples.push_back((now_s, duration_ms)),
        }
        if series.samples.len() > SAMPLES_MAX {
            series.samples.pop_front();
        }
    }

    /// The events with their spikes.
    pub fn events(&self) -> impl Iterator<Item = (&'static str, &Series)> {
        self.events.iter().map(|(name, series)| (*name, series))
    }

    /// Whether no event had a spike.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The spikes of one event, with its name.
    pub fn get(&self, event: &[u8]) -> Option<(&'static str, &Series)> {
        let name = std::str::from_utf8(event).ok()?;
        let (name, series) = self.events.get_key_value(name)?;
        Some((name, series))
    }

    /// Forgets one event by its name in any case; true when there was one.
    pub fn reset(&mut self, event: &[u8]) -> bool {
        let before = self.events.len();
        self.events
            .retain(|name, _| !name.as_bytes().eq_ignore_ascii_case(event));
        self.events.len() < before
    }

    /// Forgets all; gives how many there were.
    pub fn reset_all(&mut self) -> usize {
        let count = self.events.len();
        self.events.clear();
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_longest_of_each_second() {
        let mut monitor = LatencyMonitor::default();
        monitor.add_if_needed("command", 5, 10, 1);
        monitor.add_if_needed("command", 50, 0, 1);
        assert!(monitor.get(b"command").is_none());
        for (ms, second) in [(20, 1), (10, 1), (15, 2)] {
            monitor.add_if_needed("command", ms, 10, second);
        }
        let (name, series) = monitor.get(b"command").unwrap();
        assert_eq!(name, "command");
        assert_eq!(series.samples, [(1, 20), (2, 15)]);
        assert_eq!(series.max_ms, 20);
        assert!(monitor.get(b"COMMAND").is_none());
        assert!(monitor.reset(b"COMMAND") && !monitor.reset(b"command"));
    }

    #[test]
    fn analysis_of_a_series() {
        let mut monitor = LatencyMonitor::default();
        for (ms, second) in [(20, 100), (50, 103), (35, 104)] {
            monitor.add_if_needed("command", ms, 10, second);
        }
        let (_, series) = monitor.get(b"command").unwrap();
        let expected = Analysis {
            spikes: 3,
            min_ms: 20,
            max_ms: 50,
            average_ms: 35,
            deviation_ms: 10,
            seconds: 10,
        };
        assert_eq!(series.analysis(110), Some(expected));
        assert_eq!(series.analysis(100).unwrap().seconds, 1);
        assert_eq!(Series::default().analysis(110), None);
    }

    #[test]
    fn old_samples_go() {
        let mut monitor = LatencyMonitor::default();
        (0..200).for_each(|second| monitor.add_if_needed("command", 10, 10, second));
        let (_, series) = monitor.get(b"command").unwrap();
        assert_eq!(series.samples.len(), SAMPLES_MAX);
        assert_eq!(series.samples.front(), Some(&(40, 10)));
    }
}
