//! What the server counts of itself.

pub mod latency;
pub mod memory;
pub mod slowlog;

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use latency::LatencyMonitor;
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
    /// Their durations, nanoseconds, when `latency-tracking` is on.
    pub latency: Option<Box<Histogram<u64>>>,
}

impl CommandStats {
    /// Counts a duration, nanoseconds (1 ns to 1 s, two digits).
    pub fn record_latency(&mut self, ns: u64) {
        if self.latency.is_none() {
            self.latency = Histogram::new_with_bounds(1, 1_000_000_000, 2)
                .ok()
                .map(Box::new);
        }
        if let Some(histogram) = &mut self.latency {
            histogram.saturating_record(ns.max(1));
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
    /// Time of an active defrag or expire cycle is in their modules; events
    /// of unblocked clients.
    pub clients_unblocked: u64,
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
            clients_unblocked: 0,
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
    }
}
