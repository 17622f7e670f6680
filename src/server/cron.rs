//! Work done `hz` times a second, in slices, under the lock.

use std::time::{Duration, Instant};

use super::system;
use crate::engine::Server;
use crate::exec::defrag::Defrag;
use crate::exec::{settle, tracking};
use crate::keyspace::expire::{ExpireCycle, ExpireEffort};

/// Clients looked at in one run, at least.
const CLIENTS_MIN: usize = 5;
/// Clients per run from which `dynamic-hz` raises the frequency.
const CLIENTS_PER_RUN_MAX: usize = 200;
/// Rest between two rounds of eviction when nobody sends commands.
const EVICTION_REST: Duration = Duration::from_millis(1);
/// Highest frequency.
const HZ_MAX: u32 = 500;

/// What cron keeps between runs.
pub struct Cron {
    /// When it runs next, or a part of it.
    pub due: Instant,
    /// When all of it does.
    run_due: Instant,
    defrag: Defrag,
    expire: ExpireCycle,
    next_client: usize,
    runs: u64,
    hz: u32,
    last_sample: Instant,
}

impl Default for Cron {
    fn default() -> Cron {
        let now = Instant::now();
        Cron {
            due: now,
            run_due: now,
            defrag: Defrag::default(),
            expire: ExpireCycle::default(),
            next_client: 0,
            runs: 0,
            hz: 10,
            last_sample: now,
        }
    }
}

impl Cron {
    /// What is due.
    pub fn run(&mut self, server: &mut Server) {
        if self.run_due <= Instant::now() {
            self.run_all(server);
        }
        self.due = self.run_due;
        // Nothing comes between the commands of a paused script.
        if server.debug.cron
            && !server.is_busy()
            && let Some(again) = self.defrag.run(server)
        {
            self.due = again.min(self.run_due);
        }
    }

    fn run_all(&mut self, server: &mut Server) {
        let now = Instant::now();
        self.hz = frequency(server);
        self.run_due = now + Duration::from_secs(1) / self.hz;
        server.stats.hz = self.hz;
        super::crash::feed_watchdog();
        super::log::set_level(server.config.loglevel);
        // Nothing comes between the commands of a paused script.
        if !server.debug.cron || server.is_busy() {
            return;
        }
        server.check_signalled();
        server.keyspace.now_ms = server.clock.unix_us(server.now_ns) / 1000;
        self.runs += 1;
        server.stats.cron_runs += 1;
        if now.duration_since(self.last_sample) >= Duration::from_millis(100) {
            self.last_sample = now;
            sample(server);
        }
        self.clients(server);
        crate::exec::evict::make_room(server);
        if server.evicting {
            self.run_due = now + EVICTION_REST;
        }
        server.save_if_due();
        server.rewrite_aof_if_due();
        server.peers.close_unused(server.keyspace.now_ms / 1000);
        let loading = server.stats.persistence.loading;
        if server.debug.active_expire && !loading {
            let effort = ExpireEffort::new(server.config.active_expire_effort);
            let started = Instant::now();
            self.expire.slow(&mut server.keyspace, effort, self.hz);
            let spent_ms = started.elapsed().as_millis() as i64;
            let threshold_ms = server.config.latency_monitor_threshold_ms;
            let now_s = server.keyspace.now_ms / 1000;
            server
                .stats
                .latency
                .add_if_needed("expire-cycle", spent_ms, threshold_ms, now_s);
        }
        tracking::before_request(server);
        settle::settle(server);
    }

    /// A slice of the clients: idle ones, slow ones, their buffers.
    fn clients(&mut self, server: &mut Server) {
        let count = (server.clients.slot_count() / self.hz as usize).max(CLIENTS_MIN);
        let (ids, next) = server.clients.slice(self.next_client, count);
        let wraps = next >= server.clients.slot_count();
        self.next_client = if wraps { 0 } else { next };
        for id in ids {
            server.count_client_buffers(id);
            server.look_after(id);
        }
        if wraps {
            server.stats.clients.end_pass();
        }
    }
}

fn frequency(server: &Server) -> u32 {
    let mut hz = (server.config.hz as u32).clamp(1, HZ_MAX);
    if server.config.dynamic_hz {
        while server.clients.len() / hz as usize > CLIENTS_PER_RUN_MAX && hz < HZ_MAX {
            hz = (hz * 2).min(HZ_MAX);
        }
    }
    hz
}

/// Rates, memory and processor time, ten times a second.
fn sample(server: &mut Server) {
    let now_ns = server.now_ns;
    server.stats.sample_rates(now_ns);
    server.look_at_memory();
    crate::stats::used::correct();
    server.stats.cpu_times = system::process_times;
    server.stats.main_thread = system::thread_times();
}
