//! Room for the next command when `maxmemory` is reached:
//! <https://redis.io/docs/latest/develop/reference/eviction/>.

use std::time::{Duration, Instant};

use super::settle;
use crate::config::MaxmemoryPolicy;
use crate::engine::Server;
use crate::stats::used;

/// Keys between two looks at the clock.
const KEYS_PER_LOOK: usize = 16;

/// Memory counts as tight when all but this part of the limit is used.
const TIGHT_PART: u64 = 16;

/// Whether there is room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Room {
    Enough,
    /// Keys are still to go; it goes on later.
    Soon,
    None,
}

/// Evicts keys until memory is below its limit again. Afterwards
/// `server.out_of_memory` says whether commands that need memory may run.
#[inline]
pub fn make_room(server: &mut Server) {
    // Nothing comes between the commands of a paused script.
    if server.is_busy() {
        return;
    }
    if server.config.maxmemory_bytes > 0 {
        make_room_now(server);
    } else {
        server.out_of_memory = false;
        used::set_tight(false);
    }
}

fn make_room_now(server: &mut Server) {
    if server.stats.persistence.loading || server.pause.is_some() {
        // Redis: it counts as enough.
        server.out_of_memory = false;
        return;
    }
    let room = if excess_bytes(server) == 0 {
        Room::Enough
    } else {
        evict(server)
    };
    server.out_of_memory = room == Room::None;
    server.evicting = room == Room::Soon;
    let (now_ns, eviction) = (server.now_ns, &mut server.stats.eviction);
    match room {
        Room::Enough => {
            if let Some(since_ns) = eviction.exceeded_since_ns.take() {
                eviction.exceeded_us += now_ns.saturating_sub(since_ns) / 1000;
            }
        }
        Room::Soon | Room::None => {
            eviction.exceeded_since_ns.get_or_insert(now_ns);
        }
    }
}

/// Bytes above the limit.
fn excess_bytes(server: &Server) -> u64 {
    let not_counted = server.not_counted_bytes() + server.evictor.told_bytes(server.now_ns);
    let used = used::bytes().saturating_sub(not_counted);
    let limit = server.config.maxmemory_bytes;
    used::set_tight(used > limit - limit / TIGHT_PART);
    used.saturating_sub(limit)
}

#[cold]
fn evict(server: &mut Server) -> Room {
    if server.config.maxmemory_policy == MaxmemoryPolicy::Noeviction {
        return Room::None;
    }
    let start = Instant::now();
    let limit = time_limit(server.config.maxmemory_eviction_tenacity);
    let in_background = server.config.lazyfree_lazy_eviction;
    let (policy, samples) = (
        server.config.maxmemory_policy,
        server.config.maxmemory_samples as usize,
    );
    if server.evictor_policy != policy {
        server.evictor_policy = policy;
        server.evictor.forget();
    }
    let mut room = Room::Enough;
    let monitored = server.config.latency_monitor_threshold_ms > 0;
    let mut keys = 0;
    // What telling others of the eviction takes is not held against the keys:
    // they would all go for it.
    let mut owed = excess_bytes(server).cast_signed();
    // Whoever runs a command learns of it before the reply.
    let executing = server.executing.take();
    while owed > 0 {
        let (keyspace, rng) = (&mut server.keyspace, &mut server.rng);
        let evictor = &mut server.evictor;
        let began = monitored.then(Instant::now);
        let freed = evictor.evict_one(keyspace, policy, samples, rng, in_background);
        if let Some(began) = began {
            note_latency(server, "eviction-del", began);
        }
        let Some(freed) = freed else {
            let began = Instant::now();
            room = wait_for_the_background(server, start, limit);
            note_latency(server, "eviction-lazyfree", began);
            break;
        };
        owed -= freed;
        server.stats.eviction.keys += 1;
        let (before, log_before) = (used::own(), server.aof.buffer_capacity());
        settle::settle(server);
        let told = used::own() - before;
        let logged = server.aof.buffer_capacity() as i64 - log_before as i64;
        server.evictor.note_told(told - logged, server.now_ns);
        keys += 1;
        if keys % KEYS_PER_LOOK == 0 {
            let elsewhere = in_background || server.keyspace.in_snapshot();
            if elsewhere && excess_bytes(server) == 0 {
                break;
            }
            if start.elapsed() > limit {
                room = Room::Soon;
                break;
            }
        }
    }
    server.executing = executing;
    note_latency(server, "eviction-cycle", start);
    room
}

/// Tells the latency monitor of what has taken since then.
fn note_latency(server: &mut Server, event: &'static str, since: Instant) {
    let spent_ms = since.elapsed().as_millis() as i64;
    let threshold_ms = server.config.latency_monitor_threshold_ms;
    let now_s = server.keyspace.now_ms / 1000;
    let latency = &mut server.stats.latency;
    latency.add_if_needed(event, spent_ms, threshold_ms, now_s);
}

/// When nothing is left to evict, something may still be on its way out.
fn wait_for_the_background(server: &Server, start: Instant, limit: Duration) -> Room {
    while server.keyspace.lazyfree.pending() > 0 && start.elapsed() < limit {
        if excess_bytes(server) == 0 {
            return Room::Enough;
        }
        std::thread::sleep(limit.min(Duration::from_millis(1)));
    }
    if excess_bytes(server) == 0 {
        return Room::Enough;
    }
    Room::None
}

/// How long eviction may keep everybody waiting (`maxmemory-eviction-tenacity`).
fn time_limit(tenacity: u32) -> Duration {
    match tenacity {
        0..=10 => Duration::from_micros(50 * u64::from(tenacity)),
        // Redis: 15 % more for each step.
        11..100 => Duration::from_micros((500.0 * 1.15f64.powi(tenacity as i32 - 10)) as u64),
        _ => Duration::MAX,
    }
}
