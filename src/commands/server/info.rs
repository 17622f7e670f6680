//! INFO: <https://redis.io/docs/latest/commands/info/>. Sections, fields and
//! their order are those of Redis 7.0.15, with fields of ours behind.

use std::fmt::{Display, Write};
use std::sync::LazyLock;

use super::memory::Overview;
use crate::command::ctx::{Args, CmdResult, REPLIED};
use crate::config::Supervised;
use crate::engine::{ClientId, Server};
use crate::stats::cpu::{self, CpuTimes};
use crate::stats::memory::{self, human};
use crate::version;

/// A section: its names (the first as INFO prints it), whether plain INFO has
/// it, and what writes it.
struct Section {
    names: &'static [&'static str],
    by_default: bool,
    write: fn(&Server, &Overview, &mut Fields),
}

const fn section(
    names: &'static [&'static str],
    by_default: bool,
    write: fn(&Server, &Overview, &mut Fields),
) -> Section {
    Section {
        names,
        by_default,
        write,
    }
}

/// All sections in their order.
const SECTIONS: &[Section] = &[
    section(&["Server"], true, server_section),
    section(&["Clients"], true, clients_section),
    section(&["Memory"], true, memory_section),
    section(&["Persistence"], true, super::info_stats::persistence),
    section(&["Stats"], true, super::info_stats::stats),
    section(&["Replication"], true, super::info_stats::replication),
    section(&["CPU"], true, cpu_section),
    section(&["Modules", "module_list"], true, |_, _, _| {}),
    section(&["Commandstats"], false, super::info_stats::commands),
    section(&["Errorstats"], true, super::info_stats::errors),
    section(&["Latencystats"], false, super::info_stats::latencies),
    section(&["Cluster"], true, cluster_section),
    section(&["Keyspace"], true, keyspace_section),
];

/// The lines of a section.
#[derive(Default)]
pub(super) struct Fields {
    text: String,
}

impl Fields {
    /// `name:value`.
    pub(super) fn add(&mut self, name: &str, value: impl Display) {
        let _ = write!(self.text, "{name}:{value}\r\n");
    }

    /// `name:1` or `name:0`.
    pub(super) fn add_flag(&mut self, name: &str, value: bool) {
        self.add(name, u8::from(value));
    }

    /// `name:value`, and `name_human` with a unit.
    fn add_bytes(&mut self, name: &str, bytes: u64) {
        self.add(name, bytes);
        let _ = write!(self.text, "{name}_human:{}\r\n", human(bytes));
    }
}

pub(super) fn info(server: &mut Server, id: ClientId, args: Args<'_>) -> CmdResult {
    let text = text(server, args.rest());
    server.reply(id).verbatim("txt", text.as_bytes());
    REPLIED
}

/// The sections asked for, or those that come unasked.
pub fn text(server: &mut Server, asked: &[&[u8]]) -> String {
    let overview = Overview::new(server);
    let mut fields = Fields::default();
    for section in SECTIONS.iter().filter(|section| wanted(section, asked)) {
        if !fields.text.is_empty() {
            fields.text.push_str("\r\n");
        }
        let _ = write!(fields.text, "# {}\r\n", section.names[0]);
        (section.write)(server, &overview, &mut fields);
    }
    fields.text
}

/// Whether a section is among those asked for, by name or by group.
fn wanted(section: &Section, asked: &[&[u8]]) -> bool {
    let covers = |word: &&[u8]| {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        is("all")
            || is("everything")
            || (is("default") && section.by_default)
            || section.names.iter().any(|name| is(name))
    };
    asked.iter().any(covers) || (asked.is_empty() && section.by_default)
}

/// System, release and machine, as `uname` tells them.
static SYSTEM: LazyLock<String> = LazyLock::new(|| {
    let kernel = |fact: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/kernel/{fact}"));
        text.map(|text| text.trim().to_owned())
    };
    let name = kernel("ostype").unwrap_or_else(|_| std::env::consts::OS.into());
    let release = kernel("osrelease").unwrap_or_default();
    [&name, &release, std::env::consts::ARCH]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
});

/// What waits for sockets.
const MULTIPLEXING: &str = if cfg!(any(target_os = "linux", target_os = "android")) {
    "epoll"
} else {
    "kqueue"
};

fn server_section(server: &Server, _: &Overview, fields: &mut Fields) {
    let config = &server.config;
    let now_us = server.now_unix_us();
    let uptime_s = now_us.saturating_sub(server.started_unix_us) / 1_000_000;
    fields.add("redis_version", version::REDIS_VERSION);
    // Redis prints zeros when it was not built from its repository.
    fields.add("redis_git_sha1", "00000000");
    fields.add("redis_git_dirty", 0);
    fields.add("redis_build_id", version::build_id());
    let mode = if config.cluster_enabled {
        "cluster"
    } else {
        "standalone"
    };
    fields.add("redis_mode", mode);
    fields.add("os", &*SYSTEM);
    fields.add("arch_bits", usize::BITS);
    fields.add("monotonic_clock", "POSIX clock_gettime");
    fields.add("multiplexing_api", MULTIPLEXING);
    fields.add("atomicvar_api", "rust-core");
    // Redis: zeros when another compiler was used.
    fields.add("gcc_version", "0.0.0");
    fields.add("process_id", std::process::id());
    let supervised = match config.supervised {
        Supervised::Upstart => "upstart",
        Supervised::Systemd => "systemd",
        Supervised::Auto | Supervised::No => "no",
    };
    fields.add("process_supervised", supervised);
    fields.add("run_id", &server.run_id);
    let port = if config.port == 0 {
        config.tls_port
    } else {
        config.port
    };
    fields.add("tcp_port", port);
    fields.add("server_time_usec", now_us);
    fields.add("uptime_in_seconds", uptime_s);
    fields.add("uptime_in_days", uptime_s / 86_400);
    fields.add("hz", server.stats.hz);
    fields.add("configured_hz", config.hz);
    fields.add("lru_clock", (now_us / 1_000_000) & 0x00ff_ffff);
    fields.add("executable", &server.executable);
    let file = config.config_file.as_ref();
    fields.add(
        "config_file",
        file.map(|path| path.display().to_string())
            .unwrap_or_default(),
    );
    fields.add_flag("io_threads_active", config.io_threads > 1);
    fields.add("server_name", version::SERVER_NAME);
    fields.add("redstart_version", version::REDSTART_VERSION);
}

fn clients_section(server: &Server, _: &Overview, fields: &mut Fields) {
    let (input, output) = server.stats.clients.peaks();
    fields.add("connected_clients", server.clients.len());
    fields.add("cluster_connections", 0);
    fields.add("maxclients", server.config.maxclients);
    fields.add("client_recent_max_input_buffer", input);
    fields.add("client_recent_max_output_buffer", output);
    fields.add("blocked_clients", server.clients.blocked);
    fields.add("tracking_clients", server.tracking.clients.len());
    fields.add("clients_in_timeout_table", 0);
}

fn memory_section(server: &Server, overview: &Overview, fields: &mut Fields) {
    let config = &server.config;
    let allocator = overview.allocator;
    fields.add_bytes("used_memory", overview.used);
    fields.add_bytes("used_memory_rss", overview.rss);
    fields.add_bytes("used_memory_peak", overview.peak);
    let percent = |part: f64| format!("{part:.2}%");
    fields.add("used_memory_peak_perc", percent(overview.peak_percent()));
    fields.add("used_memory_overhead", overview.overhead());
    fields.add("used_memory_startup", overview.startup);
    fields.add("used_memory_dataset", overview.dataset());
    let dataset = percent(overview.dataset_percent());
    fields.add("used_memory_dataset_perc", dataset);
    fields.add("allocator_allocated", allocator.allocated);
    fields.add("allocator_active", allocator.active);
    fields.add("allocator_resident", allocator.resident);
    fields.add_bytes("total_system_memory", memory::system_bytes());
    scripts_memory(server, fields);
    fields.add_bytes("maxmemory", config.maxmemory_bytes);
    fields.add("maxmemory_policy", config.maxmemory_policy.name());
    let two = |ratio: f64| format!("{ratio:.2}");
    fields.add("allocator_frag_ratio", two(overview.frag_ratio()));
    fields.add("allocator_frag_bytes", overview.frag_bytes());
    fields.add("allocator_rss_ratio", two(overview.allocator_rss_ratio()));
    fields.add("allocator_rss_bytes", overview.allocator_rss_bytes());
    fields.add("rss_overhead_ratio", two(overview.rss_overhead_ratio()));
    fields.add("rss_overhead_bytes", overview.rss_overhead_bytes());
    fields.add("mem_fragmentation_ratio", two(overview.fragmentation()));
    fields.add("mem_fragmentation_bytes", overview.fragmentation_bytes());
    fields.add("mem_not_counted_for_evict", server.not_counted_bytes());
    fields.add("mem_replication_backlog", 0);
    fields.add("mem_total_replication_buffers", 0);
    fields.add("mem_clients_slaves", overview.clients_replicas);
    fields.add("mem_clients_normal", overview.clients_normal);
    fields.add("mem_cluster_links", 0);
    fields.add("mem_aof_buffer", overview.aof_buffer);
    fields.add("mem_allocator", memory::allocator_name());
    let defrag = &server.stats.defrag;
    fields.add("active_defrag_running", defrag.running_percent);
    let lazyfree = &server.keyspace.lazyfree;
    fields.add("lazyfree_pending_objects", lazyfree.pending());
    fields.add("lazyfreed_objects", lazyfree.freed());
}

/// Fields about scripts and functions.
fn scripts_memory(server: &Server, fields: &mut Fields) {
    let scripts = server.script_figures();
    fields.add("used_memory_lua", scripts.vm_bytes);
    fields.add("used_memory_vm_eval", scripts.vm_bytes);
    fields.add("used_memory_lua_human", human(scripts.vm_bytes as u64));
    fields.add("used_memory_scripts_eval", scripts.scripts_bytes);
    fields.add("number_of_cached_scripts", scripts.scripts);
    let functions = &server.functions;
    let functions_bytes = functions.memory_bytes();
    fields.add("number_of_functions", functions.len());
    fields.add("number_of_libraries", functions.libraries().len());
    fields.add("used_memory_vm_functions", scripts.functions_vm_bytes);
    let vm_bytes = scripts.vm_bytes + scripts.functions_vm_bytes;
    fields.add_bytes("used_memory_vm_total", vm_bytes as u64);
    fields.add("used_memory_functions", functions_bytes);
    let scripts_bytes = scripts.scripts_bytes + functions_bytes;
    fields.add_bytes("used_memory_scripts", scripts_bytes as u64);
}

fn cpu_section(server: &Server, _: &Overview, fields: &mut Fields) {
    let CpuTimes {
        system_us,
        user_us,
        children_system_us,
        children_user_us,
    } = (server.stats.cpu_times)();
    let main_thread = server.stats.main_thread;
    for (name, us) in [
        ("used_cpu_sys", system_us),
        ("used_cpu_user", user_us),
        ("used_cpu_sys_children", children_system_us),
        ("used_cpu_user_children", children_user_us),
        ("used_cpu_sys_main_thread", main_thread.system_us),
        ("used_cpu_user_main_thread", main_thread.user_us),
    ] {
        fields.add(name, cpu::seconds(us));
    }
}

fn cluster_section(server: &Server, _: &Overview, fields: &mut Fields) {
    fields.add_flag("cluster_enabled", server.config.cluster_enabled);
}

fn keyspace_section(server: &Server, _: &Overview, fields: &mut Fields) {
    for (index, db) in server.keyspace.dbs() {
        let (keys, expires) = (db.table().len(), db.table().expires());
        if keys > 0 {
            let value = format!("keys={keys},expires={expires},avg_ttl={}", db.avg_ttl_ms);
            fields.add(&format!("db{}", index.get()), value);
        }
    }
}
