//! Work done `hz` times a second, in slices, under the lock.

use std::time::{Duration, Instant};

use super::system;
use crate::engine::{ClientKind, Closing, Flags, Server};
use crate::exec::dispatch;
use crate::keyspace::expire::{ExpireCycle, ExpireEffort};

/// Clients looked at in one run, at least.
const CLIENTS_MIN: usize = 5;
/// Clients per run from which `dynamic-hz` raises the frequency.
const CLIENTS_PER_RUN_MAX: usize = 200;
/// Highest frequency.
const HZ_MAX: u32 = 500;

/// What cron keeps between runs.
pub struct Cron {
    /// When it runs next.
    pub due: Instant,
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
            expire: ExpireCycle::default(),
            next_client: 0,
            runs: 0,
            hz: 10,
            last_sample: now,
        }
    }
}

impl Cron {
    /// One run.
    pub fn run(&mut self, server: &mut Server) {
        let now = Instant::now();
        self.hz = frequency(server);
        self.due = now + Duration::from_secs(1) / self.hz;
        server.stats.hz = self.hz;
        super::crash::feed_watchdog();
        super::log::set_level(server.config.loglevel);
        if !server.debug.cron {
            return;
        }
        server.keyspace.now_ms = server.clock.unix_us(server.now_ns) / 1000;
        self.runs += 1;
        server.stats.cron_runs += 1;
        if now.duration_since(self.last_sample) >= Duration::from_millis(100) {
            self.last_sample = now;
            sample(server);
        }
        self.clients(server);
        if server.debug.active_expire {
            let effort = ExpireEffort::new(server.config.active_expire_effort as u32);
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
        crate::exec::settle::settle(server);
    }

    /// A slice of the clients: idle ones, slow ones, their buffers.
    fn clients(&mut self, server: &mut Server) {
        let count = (server.clients.len() / self.hz as usize).max(CLIENTS_MIN);
        let (ids, next) = server.clients.slice(self.next_client, count);
        let wraps = next >= server.clients.slot_count();
        self.next_client = if wraps { 0 } else { next };
        let timeout_ns = u64::from(server.config.timeout_s) * 1_000_000_000;
        for id in ids {
            let now_ns = server.now_ns;
            let Some(client) = server.clients.get_mut(id) else {
                continue;
            };
            let exempt = Flags::MONITOR | Flags::BLOCKED | Flags::PAUSED;
            let idle = client.kind() == ClientKind::Normal
                && !client.flags.has(exempt)
                && now_ns.saturating_sub(client.active_ns) > timeout_ns;
            if timeout_ns > 0 && idle {
                tracing::debug!("Closing idle client");
                server.clients.close(id, Closing::Now);
                continue;
            }
            server.count_client_buffers(id);
            resize_reply_buffer(server, id);
            dispatch::check_output_limit(server, id);
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
    server.stats.cpu_times = system::process_times;
    server.stats.main_thread = system::thread_times();
}

/// Redis: the room of a reply buffer doubles when it was used up, and halves
/// when its peak stayed below half of it.
fn resize_reply_buffer(server: &mut Server, id: crate::engine::ClientId) {
    use crate::engine::{REPLY_ROOM_BYTES, REPLY_ROOM_BYTES_MIN};
    if !server.debug.reply_resizing {
        return;
    }
    let now_ns = server.now_ns;
    let reset_ms = server.debug.reply_peak_reset_ms;
    let Some(client) = server.clients.get_mut(id) else {
        return;
    };
    let room = client.reply_room_bytes;
    let peak = client.reply_peak_bytes;
    let resized = if room > REPLY_ROOM_BYTES_MIN && peak < room / 2 {
        (peak + 1).max(room / 2).max(REPLY_ROOM_BYTES_MIN / 2)
    } else if room < REPLY_ROOM_BYTES && peak == room {
        (room * 2).min(REPLY_ROOM_BYTES)
    } else {
        room
    };
    if resized < room {
        server.stats.reply_buffer_shrinks += 1;
    } else if resized > room {
        server.stats.reply_buffer_expands += 1;
    }
    let Some(client) = server.clients.get_mut(id) else {
        return;
    };
    client.reply_room_bytes = resized;
    if let Some(reset_ms) = reset_ms
        && now_ns.saturating_sub(client.reply_peak_since_ns) > reset_ms * 1_000_000
    {
        client.reply_peak_bytes = client.output.buf_bytes().0;
        client.reply_peak_since_ns = now_ns;
    }
}
