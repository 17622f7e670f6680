//! Active defragmentation: when it runs, and how much of the processor it has
//! (`activedefrag`): <https://redis.io/docs/latest/operate/oss_and_stack/management/config/>.
//!
//! The work is done in slices of half a millisecond, between which clients are
//! served. Credit for them grows with the time that passes, by the share that
//! the configuration gives for how bad fragmentation is.

use std::time::{Duration, Instant};

use crate::engine::Server;
use crate::keyspace::defrag::Round;
use crate::stats::memory;

/// The longest that clients wait for.
const SLICE: Duration = Duration::from_micros(500);
/// Credit that is kept at most.
const CREDIT_MAX: Duration = Duration::from_millis(10);
/// How often fragmentation is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often while loading keeps everybody waiting, when much can happen in a
/// second.
const LOOK_EVERY_LOADING: Duration = Duration::from_millis(100);
/// A round that is over sooner counts as running until then, for whoever polls
/// INFO. Redis: each of the 16 databases has a run of cron of its own.
const ROUND_MIN: Duration = Duration::from_millis(250);
/// Scripts that are gone through between two looks at the clock.
const SCRIPTS: usize = 512;

/// What defragmentation keeps between slices.
pub struct Defrag {
    round: Option<Round>,
    /// The databases are through, and so many scripts.
    scripts: Option<usize>,
    /// All is through.
    over: bool,
    look_every: Duration,
    began: Instant,
    began_hits: u64,
    credit: Duration,
    credited: Instant,
    looked: Option<Instant>,
}

impl Default for Defrag {
    fn default() -> Defrag {
        let now = Instant::now();
        Defrag {
            round: None,
            scripts: None,
            over: false,
            look_every: LOOK_EVERY,
            began: now,
            began_hits: 0,
            credit: Duration::ZERO,
            credited: now,
            looked: None,
        }
    }
}

/// How bad fragmentation is.
struct Fragmentation {
    percent: f64,
    bytes: u64,
}

impl Fragmentation {
    fn now() -> Fragmentation {
        let figures = memory::allocator();
        let ratio = figures.active as f64 / figures.allocated.max(1) as f64;
        Fragmentation {
            percent: (ratio - 1.0) * 100.0,
            bytes: figures.active.saturating_sub(figures.allocated),
        }
    }
}

impl Defrag {
    /// For a load that keeps everybody waiting.
    pub fn while_loading() -> Defrag {
        Defrag {
            look_every: LOOK_EVERY_LOADING,
            ..Defrag::default()
        }
    }

    /// As many slices as there is credit for.
    pub fn catch_up(&mut self, server: &mut Server) {
        while self.run(server).is_some_and(|due| due <= Instant::now()) {}
    }

    /// Ends the work, done or not.
    pub fn end(mut self, server: &mut Server) {
        self.stop(server);
    }

    /// A slice, if there is something to do and credit for it; when to come
    /// again, if it is before the next run of cron.
    pub fn run(&mut self, server: &mut Server) -> Option<Instant> {
        let now = Instant::now();
        if !server.config.activedefrag {
            self.stop(server);
            return None;
        }
        let is_time = |looked: Instant| now.duration_since(looked) >= self.look_every;
        if self.looked.is_none_or(is_time) {
            self.looked = Some(now);
            self.decide(server);
        }
        let percent = server.stats.defrag.running_percent;
        if percent == 0 {
            return None;
        }
        let elapsed = now.duration_since(self.credited);
        self.credited = now;
        self.credit = (self.credit + elapsed * percent / 100).min(CREDIT_MAX);
        if self.over {
            let ends = self.began + ROUND_MIN;
            if now < ends && !server.stats.persistence.loading {
                return Some(ends);
            }
            self.finish(server);
        } else if self.credit >= SLICE {
            let spent = self.slice(server, now);
            self.credit = self.credit.saturating_sub(spent);
        }
        let missing = SLICE.saturating_sub(self.credit);
        (server.stats.defrag.running_percent > 0).then(|| Instant::now() + missing * 100 / percent)
    }

    /// Starts a round where it is needed, or has one work harder.
    fn decide(&mut self, server: &mut Server) {
        let config = &server.config;
        let found = Fragmentation::now();
        let (lower, upper) = (
            f64::from(config.active_defrag_threshold_lower),
            f64::from(config.active_defrag_threshold_upper),
        );
        let running = server.stats.defrag.running_percent;
        let is_bad = found.percent >= lower && found.bytes >= config.active_defrag_ignore_bytes;
        if running == 0 && !is_bad {
            return;
        }
        let (least, most) = (
            config.active_defrag_cycle_min,
            config.active_defrag_cycle_max,
        );
        // Redis: in proportion between the thresholds.
        let part = ((found.percent - lower) / (upper - lower).max(1.0)).clamp(0.0, 1.0);
        let effort = f64::from(least) + part * (f64::from(most) - f64::from(least));
        let percent = (effort as u32).clamp(least.min(most), most.max(least));
        if percent > running {
            let (waste, bytes) = (found.percent, found.bytes);
            tracing::debug!(
                "Starting active defrag, frag={waste:.0}%, frag_bytes={bytes}, cpu={percent}%"
            );
            server.stats.defrag.running_percent = percent;
        }
        if self.round.is_none() {
            self.round = Some(Round::default());
            (self.began, self.credited) = (Instant::now(), Instant::now());
            self.began_hits = server.stats.defrag.hits;
        }
        server.stats.defrag.since_ns.get_or_insert(server.now_ns);
    }

    /// Works for a slice of time; gives how long it took.
    fn slice(&mut self, server: &mut Server, start: Instant) -> Duration {
        let Some(round) = &mut self.round else {
            return Duration::ZERO;
        };
        let fields_max = usize::try_from(server.config.active_defrag_max_scan_fields);
        let fields_max = fields_max.unwrap_or(usize::MAX);
        let mut done = false;
        if self.scripts.is_none() && round.step(&mut server.keyspace, SLICE, fields_max) {
            self.scripts = Some(0);
        }
        if let Some(from) = &mut self.scripts {
            let interpreter = &mut server.scripts.interpreter;
            let mut go_on = |from, mover: &mut _| {
                let interpreter = interpreter.as_mut();
                interpreter.is_some_and(|scripts| scripts.relocate(from, SCRIPTS, mover))
            };
            while !done && start.elapsed() < SLICE {
                done = !go_on(*from, &mut round.mover);
                *from += SCRIPTS;
            }
        }
        let stats = &mut server.stats.defrag;
        let mover = std::mem::take(&mut round.mover);
        stats.hits += mover.hits;
        stats.misses += mover.misses;
        stats.key_hits += std::mem::take(&mut round.key_hits);
        stats.key_misses += std::mem::take(&mut round.key_misses);
        self.over = done;
        let spent = start.elapsed();
        let threshold_ms = server.config.latency_monitor_threshold_ms;
        let now_s = server.keyspace.now_ms / 1000;
        let spent_ms = spent.as_millis() as i64;
        let latency = &mut server.stats.latency;
        latency.add_if_needed("active-defrag-cycle", spent_ms, threshold_ms, now_s);
        spent
    }

    fn finish(&mut self, server: &mut Server) {
        let found = Fragmentation::now();
        tracing::debug!(
            "Active defrag done in {}ms, reallocated={}, frag={:.0}%, frag_bytes={}",
            self.began.elapsed().as_millis(),
            server.stats.defrag.hits.saturating_sub(self.began_hits),
            found.percent,
            found.bytes
        );
        self.stop(server);
        // If another round is needed it starts right away.
        self.decide(server);
    }

    fn stop(&mut self, server: &mut Server) {
        (self.round, self.scripts, self.over) = (None, None, false);
        let (stats, now_ns) = (&mut server.stats.defrag, server.now_ns);
        stats.running_percent = 0;
        if let Some(since_ns) = stats.since_ns.take() {
            stats.total_us += now_ns.saturating_sub(since_ns) / 1000;
        }
    }
}
