//! What the server counts of itself.

pub mod clients;
pub mod cpu;
pub mod distribution;
pub mod latency;
pub mod memory;
pub mod persistence;
pub mod slowlog;
pub mod sparkline;
pub mod used;

use std::collections::BTreeMap;

use clients::ClientFigures;
use cpu::CpuTimes;
use distribution::Distribution;
use latency::LatencyMonitor;
use persistence::PersistenceStats;
use slowlog::SlowLog;

/// Most different error codes that are counted by name.
const ERROR_CODES_MAX: usize = 128;

/// Counters of one command.
#[derive(Default)]
pub struct CommandStats {
    /// Calls that ran.
    pub calls: u64,
    /// Time in them, nanoseconds.
    pub ns: u64,
    /// Calls refused before they ran.
    pub rejected: u64,
    /// Calls that ran and failed.
    pub failed: u64,
    /// Their durations, when `latency-tracking` is on.
    pub latency: Option<Box<Distribution>>,
}

impl CommandStats {
    /// Counts a duration, nanoseconds.
    #[inline]
    pub fn record_latency(&mut self, ns: u64) {
        match &mut self.latency {
            Some(distribution) => distribution.record(ns),
            None => self.record_first(ns),
        }
    }

    #[cold]
    fn record_first(&mut self, ns: u64) {
        self.latency = Distribution::new();
        if let Some(distribution) = &mut self.latency {
            distribution.record(ns);
        }
    }
}

/// A rate per second from the last samples, as `instantaneous_*` fields give it.
#[derive(Default, Debug)]
pub struct Rate {
    samples: [u64; 16],
    next: usize,
    last: Option<(u64, u64)>,
}

impl Rate {
    /// Takes the state of a counter at a time, clock nanoseconds (every 100 ms).
    pub fn sample(&mut self, count: u64, now_ns: u64) {
        if let Some((last_count, last_ns)) = self.last
            && now_ns > last_ns
        {
            let per_second = (count.saturating_sub(last_count)) as u128 * 1_000_000_000
                / u128::from(now_ns - last_ns);
            self.samples[self.next] = per_second as u64;
            self.next = (self.next + 1) % self.samples.len();
        }
        self.last = Some((count, now_ns));
    }

    /// The average of the samples.
    pub fn per_second(&self) -> u64 {
        self.samples.iter().sum::<u64>() / self.samples.len() as u64
    }
}

/// All counters.
pub struct Stats {
    /// By command number.
    pub commands: Vec<CommandStats>,
    /// Error replies by code.
    pub errors: BTreeMap<Vec<u8>, u64>,
    /// The codes are too many to be counted by name.
    pub errors_disabled: bool,
    /// Error replies.
    pub error_replies: u64,
    /// Commands that ran.
    pub commands_processed: u64,
    /// Connections accepted.
    pub connections_received: u64,
    /// Connections refused for `maxclients` or protected mode.
    pub connections_rejected: u64,
    /// Bytes received.
    pub net_input_bytes: u64,
    /// Bytes sent.
    pub net_output_bytes: u64,
    /// Reads from sockets.
    pub reads_processed: u64,
    /// Writes to sockets.
    pub writes_processed: u64,
    /// The same two by I/O threads other than the first.
    pub io_threaded_reads: u64,
    /// See `io_threaded_reads`.
    pub io_threaded_writes: u64,
    /// Clients closed for their query buffer.
    pub query_buffer_disconnections: u64,
    /// Clients closed for their output buffer.
    pub output_buffer_disconnections: u64,
    /// Replies that were protocol errors and the like.
    pub unexpected_error_replies: u64,
    /// Reply buffers made smaller and larger.
    pub reply_buffer_shrinks: u64,
    /// See `reply_buffer_shrinks`.
    pub reply_buffer_expands: u64,
    /// Rates of commands, input and output.
    pub ops_rate: Rate,
    /// See `ops_rate`.
    pub input_rate: Rate,
    /// See `ops_rate`.
    pub output_rate: Rate,
    /// Frequency at which cron runs now.
    pub hz: u32,
    /// Memory in use when last looked at, bytes.
    pub used_memory_bytes: u64,
    /// Most memory used so far, bytes.
    pub peak_memory_bytes: u64,
    /// Memory right after start, bytes.
    pub startup_memory_bytes: u64,
    /// Changes since the last save.
    pub dirty: u64,
    /// Cron runs, for lru_clock and friends.
    pub cron_runs: u64,
    /// SLOWLOG.
    pub slowlog: SlowLog,
    /// LATENCY.
    pub latency: LatencyMonitor,
    /// Buffers of the clients.
    pub clients: ClientFigures,
    /// Saving and loading.
    pub persistence: PersistenceStats,
    /// Keys and clients that made room, and the time that it took.
    pub eviction: EvictionStats,
    /// Synchronisations with replicas.
    pub replication: ReplicationStats,
    /// Active defragmentation.
    pub defrag: DefragStats,
    /// Processor time of the process, asked for when needed: the server, which
    /// alone may call the system, puts it in.
    pub cpu_times: fn() -> CpuTimes,
    /// Processor time of the first I/O thread when cron last ran.
    pub main_thread: CpuTimes,
}

/// What `maxmemory` and `maxmemory-clients` cost.
#[derive(Default, Debug)]
pub struct EvictionStats {
    /// Keys evicted.
    pub keys: u64,
    /// Clients closed.
    pub clients: u64,
    /// Time above the limit in the past, microseconds.
    pub exceeded_us: u64,
    /// Since when memory is above the limit, clock nanoseconds.
    pub exceeded_since_ns: Option<u64>,
}

/// What replicas asked for and got.
#[derive(Default, Debug)]
pub struct ReplicationStats {
    /// Full synchronisations.
    pub full_syncs: u64,
    /// Partial ones that were granted, and refused.
    pub partial_syncs: u64,
    /// See `partial_syncs`.
    pub refused_partial_syncs: u64,
    /// Bytes received from the master.
    pub input_bytes: u64,
    /// Bytes sent to replicas.
    pub output_bytes: u64,
    /// Rates of the two.
    pub input_rate: Rate,
    /// See `input_rate`.
    pub output_rate: Rate,
}

/// What active defragmentation did.
#[derive(Default, Debug)]
pub struct DefragStats {
    /// Its effort now, percent of a core; 0: it does not run.
    pub running_percent: u32,
    /// Allocations moved, and looked at in vain.
    pub hits: u64,
    /// See `hits`.
    pub misses: u64,
    /// Keys with any allocation moved, and with none.
    pub key_hits: u64,
    /// See `key_hits`.
    pub key_misses: u64,
    /// Time that fragmentation was fought in the past, microseconds.
    pub total_us: u64,
    /// Since when it is now, clock nanoseconds.
    pub since_ns: Option<u64>,
}

impl Stats {
    /// Zeros for a table of this many commands.
    pub fn new(commands: usize) -> Stats {
        Stats {
            commands: (0..commands).map(|_| CommandStats::default()).collect(),
            errors: BTreeMap::new(),
            errors_disabled: false,
            error_replies: 0,
            commands_processed: 0,
            connections_received: 0,
            connections_rejected: 0,
            net_input_bytes: 0,
            net_output_bytes: 0,
            reads_processed: 0,
            writes_processed: 0,
            io_threaded_reads: 0,
            io_threaded_writes: 0,
            query_buffer_disconnections: 0,
            output_buffer_disconnections: 0,
            unexpected_error_replies: 0,
            reply_buffer_shrinks: 0,
            reply_buffer_expands: 0,
            ops_rate: Rate::default(),
            input_rate: Rate::default(),
            output_rate: Rate::default(),
            hz: 10,
            used_memory_bytes: 0,
            peak_memory_bytes: 0,
            startup_memory_bytes: 0,
            dirty: 0,
            cron_runs: 0,
            slowlog: SlowLog::default(),
            latency: LatencyMonitor::default(),
            clients: ClientFigures::default(),
            persistence: PersistenceStats::default(),
            eviction: EvictionStats::default(),
            replication: ReplicationStats::default(),
            defrag: DefragStats::default(),
            cpu_times: CpuTimes::default,
            main_thread: CpuTimes::default(),
        }
    }

    /// Counts an error reply by its code.
    pub fn error_reply(&mut self, code: &[u8]) {
        self.error_replies += 1;
        if self.errors_disabled {
            return;
        }
        if let Some(count) = self.errors.get_mut(code) {
            *count += 1;
        } else if self.errors.len() >= ERROR_CODES_MAX {
            // Redis: someone makes codes up; counting them all would be a leak.
            self.errors.clear();
            self.errors.insert(b"ERRORSTATS_DISABLED".to_vec(), 1);
            self.errors_disabled = true;
        } else {
            self.errors.insert(code.to_vec(), 1);
        }
    }

    /// CONFIG RESETSTAT: what counts from a start on begins anew.
    pub fn reset(&mut self) {
        let fresh = Stats::new(self.commands.len());
        let old = std::mem::replace(self, fresh);
        self.hz = old.hz;
        self.used_memory_bytes = old.used_memory_bytes;
        self.peak_memory_bytes = old.peak_memory_bytes;
        self.startup_memory_bytes = old.startup_memory_bytes;
        self.dirty = old.dirty;
        self.cron_runs = old.cron_runs;
        self.slowlog = old.slowlog;
        self.latency = old.latency;
        self.clients = old.clients;
        self.persistence = old.persistence;
        self.persistence.reset();
        self.defrag.running_percent = old.defrag.running_percent;
        self.cpu_times = old.cpu_times;
        self.main_thread = old.main_thread;
    }

    /// Takes the samples of all rates (every 100 ms).
    pub fn sample_rates(&mut self, now_ns: u64) {
        self.ops_rate.sample(self.commands_processed, now_ns);
        self.input_rate.sample(self.net_input_bytes, now_ns);
        self.output_rate.sample(self.net_output_bytes, now_ns);
        let replication = &mut self.replication;
        let (input, output) = (replication.input_bytes, replication.output_bytes);
        replication.input_rate.sample(input, now_ns);
        replication.output_rate.sample(output, now_ns);
    }

    /// Notes the memory in use, bytes.
    pub fn note_memory(&mut self, used_bytes: u64) {
        self.used_memory_bytes = used_bytes;
        self.peak_memory_bytes = self.peak_memory_bytes.max(used_bytes);
        if self.startup_memory_bytes == 0 {
            self.startup_memory_bytes = used_bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_keeps_what_is_state() {
        let mut stats = Stats::new(2);
        stats.commands[1].calls = 3;
        stats.commands[1].record_latency(5);
        stats.error_reply(b"ERR");
        stats.note_memory(100);
        stats.note_memory(50);
        stats.dirty = 7;
        stats.persistence.last_save_s = 8;
        stats.persistence.snapshots = 9;
        stats.reset();
        assert_eq!((stats.commands.len(), stats.commands[1].calls), (2, 0));
        assert!(stats.commands[1].latency.is_none() && stats.errors.is_empty());
        assert_eq!(stats.error_replies, 0);
        assert_eq!(
            (stats.used_memory_bytes, stats.peak_memory_bytes),
            (50, 100)
        );
        assert_eq!((stats.startup_memory_bytes, stats.dirty), (100, 7));
        let persistence = &stats.persistence;
        assert_eq!((persistence.last_save_s, persistence.snapshots), (8, 0));
    }

    #[test]
    fn too_many_error_codes_are_not_counted() {
        let mut stats = Stats::new(0);
        for code in 0..200 {
            stats.error_reply(format!("E{code}").as_bytes());
        }
        assert_eq!((stats.errors.len(), stats.error_replies), (1, 200));
        assert!(stats.errors.contains_key(&b"ERRORSTATS_DISABLED"[..]));
    }

    #[test]
    fn rates_are_averages() {
        let mut rate = Rate::default();
        rate.sample(0, 0);
        (1..=16).for_each(|tenth| rate.sample(tenth * 50, tenth * 100_000_000));
        assert_eq!(rate.per_second(), 500);
    }
}
