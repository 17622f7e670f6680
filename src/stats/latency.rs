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

    /// The spikes of one event.
    pub fn get(&self, event: &str) -> Option<&Series> {
        self.events.get(event)
    }

    /// Forgets one event; true when there was one.
    pub fn reset(&mut self, event: &str) -> bool {
        self.events.remove(event).is_some()
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
        assert!(monitor.get("command").is_none());
        for (ms, second) in [(20, 1), (10, 1), (15, 2)] {
            monitor.add_if_needed("command", ms, 10, second);
        }
        let series = monitor.get("command").unwrap();
        assert_eq!(series.samples, [(1, 20), (2, 15)]);
        assert_eq!(series.max_ms, 20);
        assert!(monitor.reset("command") && !monitor.reset("command"));
    }
}
