//! MEMORY: <https://redis.io/docs/latest/commands/?group=server>.

use super::doctor;
use crate::command::ctx::{Args, CmdError, CmdResult, REPLIED};
use crate::command::help::help;
use crate::command::table::{Command, Group, flag, key_at, kflag};
use crate::engine::{ClientId, ClientKind, Server};
use crate::keyspace::DbIndex;
use crate::stats::memory::{self, AllocatorStats};

/// Elements of a collection that MEMORY USAGE looks at unless told.
const SAMPLES: usize = 5;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[Command::container("MEMORY", -2, MEMORY).doc(
    Group::Server,
    "4.0.0",
    "Depends on subcommand.",
    "Examine how the server uses memory.",
)];

/// Subcommands of MEMORY.
const MEMORY: &[Command] = &[
    Command::server("DOCTOR", 2, memory_doctor)
        .doc(
            Group::Server,
            "4.0.0",
            "O(1)",
            "Look for memory problems and explain them.",
        )
        .tips(&[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ]),
    Command::server("HELP", 2, help)
        .doc(
            Group::Server,
            "4.0.0",
            "O(1)",
            "List the subcommands of MEMORY.",
        )
        .flags(flag::LOADING | flag::STALE),
    Command::server("MALLOC-STATS", 2, memory_malloc_stats)
        .doc(
            Group::Server,
            "4.0.0",
            "Depends on how much memory is allocated, could be slow",
            "Show the internal statistics of the memory allocator.",
        )
        .tips(&[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ]),
    Command::server("PURGE", 2, memory_purge)
        .doc(
            Group::Server,
            "4.0.0",
            "Depends on how much memory is allocated, could be slow",
            "Ask the allocator to give unused pages back to the system.",
        )
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Command::server("STATS", 2, memory_stats)
        .doc(
            Group::Server,
            "4.0.0",
            "O(1)",
            "Break the memory in use down by purpose.",
        )
        .tips(&[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ]),
    Command::server("USAGE", -3, memory_usage)
        .doc(
            Group::Server,
            "4.0.0",
            "O(N) where N is the number of samples.",
            "Estimate how many bytes a key and its value take.",
        )
        .syntax("key:key [SAMPLES count:integer]")
        .flags(flag::READONLY)
        .keys(&[key_at(kflag::RO, 2)]),
];

/// Where the memory of the server is.
pub struct Overview {
    /// Bytes in use.
    pub used: u64,
    /// Most bytes used so far.
    pub peak: u64,
    /// Bytes used right after the start.
    pub startup: u64,
    /// Bytes of the tables of each database that has keys: database, main
    /// table, expiry times.
    pub tables: Vec<(DbIndex, u64, u64)>,
    /// Keys of all databases.
    pub keys: u64,
    /// Bytes of clients that are no replicas.
    pub clients_normal: u64,
    /// Bytes of replicas.
    pub clients_replicas: u64,
    /// Bytes of the texts of scripts.
    pub scripts: u64,
    /// Bytes of the libraries of functions.
    pub functions: u64,
    /// Bytes of the buffer of the append-only file.
    pub aof_buffer: u64,
    /// Figures of the allocator.
    pub allocator: AllocatorStats,
    /// Bytes of the process that are resident.
    pub rss: u64,
}

impl Overview {
    /// As of now.
    pub fn new(server: &mut Server) -> Overview {
        let allocator = server.look_at_memory();
        let (keyspace, stats) = (&server.keyspace, &server.stats);
        let used_dbs = || keyspace.dbs().filter(|(_, db)| !db.table().is_empty());
        let tables = used_dbs().map(|(index, db)| {
            let expires = db.table().expires() as u64 * size_of::<i64>() as u64;
            (index, db.table().overhead_bytes() as u64, expires)
        });
        Overview {
            used: stats.used_memory_bytes,
            peak: stats.peak_memory_bytes,
            startup: stats.startup_memory_bytes,
            tables: tables.collect(),
            keys: used_dbs().map(|(_, db)| db.table().len() as u64).sum(),
            clients_normal: stats.clients.bytes(ClientKind::Normal.index()),
            clients_replicas: stats.clients.bytes(ClientKind::Replica.index()),
            scripts: server.script_figures().scripts_bytes as u64,
            functions: server.functions.memory_bytes() as u64,
            aof_buffer: server.aof.buffer_capacity() as u64,
            allocator,
            // What the allocator holds is the best guess where the system
            // does not tell.
            rss: memory::rss_bytes().unwrap_or(allocator.resident),
        }
    }

    /// Bytes that are not data: the server itself, clients, tables.
    pub fn overhead(&self) -> u64 {
        let tables: u64 = self
            .tables
            .iter()
            .map(|(_, main, expires)| main + expires)
            .sum();
        self.startup
            + self.scripts
            + self.functions
            + self.clients_normal
            + self.clients_replicas
            + self.aof_buffer
            + tables
    }

    /// Bytes of data.
    pub fn dataset(&self) -> u64 {
        self.used.saturating_sub(self.overhead())
    }

    /// Bytes used beyond those of an empty server, at least 1.
    fn beyond_startup(&self) -> u64 {
        self.used.saturating_sub(self.startup).max(1)
    }

    /// Share of the data in what is used beyond an empty server.
    pub fn dataset_percent(&self) -> f64 {
        ratio(self.dataset(), self.beyond_startup()) * 100.0
    }

    /// Share of the peak that is in use.
    pub fn peak_percent(&self) -> f64 {
        ratio(self.used, self.peak) * 100.0
    }

    /// Bytes per key beyond those of an empty server.
    fn bytes_per_key(&self) -> u64 {
        self.beyond_startup().checked_div(self.keys).unwrap_or(0)
    }

    /// Pages in use by bytes in use.
    pub fn frag_ratio(&self) -> f64 {
        ratio(self.allocator.active, self.allocator.allocated)
    }

    /// Their difference.
    pub fn frag_bytes(&self) -> i64 {
        difference(self.allocator.active, self.allocator.allocated)
    }

    /// The allocator's resident pages by those in use.
    pub fn allocator_rss_ratio(&self) -> f64 {
        ratio(self.allocator.resident, self.allocator.active)
    }

    /// Their difference.
    pub fn allocator_rss_bytes(&self) -> i64 {
        difference(self.allocator.resident, self.allocator.active)
    }

    /// The process's resident bytes by those of the allocator.
    pub fn rss_overhead_ratio(&self) -> f64 {
        ratio(self.rss, self.allocator.resident)
    }

    /// Their difference.
    pub fn rss_overhead_bytes(&self) -> i64 {
        difference(self.rss, self.allocator.resident)
    }

    /// The process's resident bytes by the bytes in use.
    pub fn fragmentation(&self) -> f64 {
        ratio(self.rss, self.used)
    }

    /// Their difference.
    pub fn fragmentation_bytes(&self) -> i64 {
        difference(self.rss, self.used)
    }
}

fn ratio(a: u64, b: u64) -> f64 {
    if b == 0 { 0.0 } else { a as f64 / b as f64 }
}

fn difference(a: u64, b: u64) -> i64 {
    a.cast_signed().wrapping_sub(b.cast_signed())
}

fn memory_doctor(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let overview = Overview::new(server);
    let report = doctor::memory(server, &overview);
    server.reply(id).verbatim("txt", report.as_bytes());
    REPLIED
}

fn memory_malloc_stats(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let report = memory::allocator_report();
    server.reply(id).verbatim("txt", &report);
    REPLIED
}

fn memory_purge(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    if !memory::purge() {
        return Err(CmdError::err("Error purging dirty pages"));
    }
    server.reply(id).ok();
    REPLIED
}

fn memory_stats(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    enum Figure {
        Bytes(u64),
        Signed(i64),
        Double(f64),
    }
    use Figure::{Bytes, Double, Signed};
    let overview = Overview::new(server);
    let before = [
        ("peak.allocated", overview.peak),
        ("total.allocated", overview.used),
        ("startup.allocated", overview.startup),
        ("replication.backlog", 0),
        ("clients.slaves", overview.clients_replicas),
        ("clients.normal", overview.clients_normal),
        ("cluster.links", 0),
        ("aof.buffer", overview.aof_buffer),
        ("lua.caches", overview.scripts),
        ("functions.caches", overview.functions),
    ];
    let allocator = overview.allocator;
    let after = [
        ("overhead.total", Bytes(overview.overhead())),
        ("keys.count", Bytes(overview.keys)),
        ("keys.bytes-per-key", Bytes(overview.bytes_per_key())),
        ("dataset.bytes", Bytes(overview.dataset())),
        ("dataset.percentage", Double(overview.dataset_percent())),
        ("peak.percentage", Double(overview.peak_percent())),
        ("allocator.allocated", Bytes(allocator.allocated)),
        ("allocator.active", Bytes(allocator.active)),
        ("allocator.resident", Bytes(allocator.resident)),
        (
            "allocator-fragmentation.ratio",
            Double(overview.frag_ratio()),
        ),
        (
            "allocator-fragmentation.bytes",
            Signed(overview.frag_bytes()),
        ),
        (
            "allocator-rss.ratio",
            Double(overview.allocator_rss_ratio()),
        ),
        (
            "allocator-rss.bytes",
            Signed(overview.allocator_rss_bytes()),
        ),
        ("rss-overhead.ratio", Double(overview.rss_overhead_ratio())),
        ("rss-overhead.bytes", Signed(overview.rss_overhead_bytes())),
        ("fragmentation", Double(overview.fragmentation())),
        (
            "fragmentation.bytes",
            Signed(overview.fragmentation_bytes()),
        ),
    ];
    let mut reply = server.reply(id);
    reply.map(before.len() + overview.tables.len() + after.len());
    for (name, bytes) in before {
        reply.bulk(name.as_bytes());
        reply.integer(bytes.cast_signed());
    }
    for (db, main, expires) in &overview.tables {
        reply.bulk(format!("db.{}", db.get()).as_bytes());
        let parts = [
            ("overhead.hashtable.main", *main),
            ("overhead.hashtable.expires", *expires),
            ("overhead.hashtable.slot-to-keys", 0),
        ];
        reply.map(parts.len());
        for (name, bytes) in parts {
            reply.bulk(name.as_bytes());
            reply.integer(bytes.cast_signed());
        }
    }
    for (name, figure) in after {
        reply.bulk(name.as_bytes());
        match figure {
            Bytes(bytes) => reply.integer(bytes.cast_signed()),
            Signed(number) => reply.integer(number),
            Double(number) => reply.double(number),
        }
    }
    REPLIED
}

fn memory_usage(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let key = args.key()?;
    let mut samples = SAMPLES;
    while args.left() > 0 {
        if !args.take_word("SAMPLES") || args.left() == 0 {
            return Err(CmdError::Syntax);
        }
        samples = match args.int()? {
            ..0 => return Err(CmdError::Syntax),
            0 => usize::MAX,
            count => usize::try_from(count).unwrap_or(usize::MAX),
        };
    }
    let db = server.client(id).db;
    let mut db = server.keyspace.select(db);
    let bytes = db.peek(key).map(|entry| entry.memory_bytes(samples));
    match bytes {
        Some(bytes) => {
            let table = db.table();
            // Of nine slots about seven are used, whatever the number of keys.
            let share = table.overhead_bytes() * 9 / (table.slots() * 7).max(1);
            server.reply(id).integer((bytes + share) as i64);
        }
        None => server.reply(id).null(),
    }
    REPLIED
}
