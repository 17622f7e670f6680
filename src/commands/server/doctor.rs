//! The reports of LATENCY DOCTOR and MEMORY DOCTOR: what the figures say about
//! this server, in words, and what may help.

use std::fmt::Write;

use super::memory::Overview;
use crate::config::AppendFsync;
use crate::engine::Server;
use crate::stats::memory;

/// Something to do about latency. The order is that of the report.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Advice {
    SlowLogOff,
    SlowLogCoarse,
    SlowLogRead,
    Scheduler,
    LocalDisk,
    FasterDisk,
    DiskContention,
    RelaxFsync,
    RaiseHz,
    BigValues,
    MassEviction,
    HugePages,
}

/// What the spikes of an event hint at.
fn advice_of(event: &str, server: &Server) -> Vec<Advice> {
    let config = &server.config;
    match event {
        "command" => {
            let mut advice = vec![Advice::SlowLogRead];
            if config.slowlog_slower_than_us < 0 {
                advice.push(Advice::SlowLogOff);
            } else if config.slowlog_slower_than_us / 1000 > config.latency_monitor_threshold_ms {
                advice.push(Advice::SlowLogCoarse);
            }
            advice
        }
        "fast-command" => vec![Advice::Scheduler],
        "expire-cycle" if server.stats.hz < 100 => vec![Advice::RaiseHz],
        "expire-del" | "eviction-del" => vec![Advice::BigValues],
        "eviction-cycle" => vec![Advice::MassEviction],
        "aof-fsync-always" if config.appendfsync == AppendFsync::Always => {
            vec![Advice::RelaxFsync]
        }
        _ if event.starts_with("aof-") || event.starts_with("rdb-") => vec![
            Advice::LocalDisk,
            Advice::FasterDisk,
            Advice::DiskContention,
        ],
        _ => Vec::new(),
    }
}

fn text_of(advice: Advice, server: &Server) -> String {
    let threshold_us = server
        .config
        .latency_monitor_threshold_ms
        .saturating_mul(1000);
    match advice {
        Advice::SlowLogOff => format!(
            "The slow log is off, so nothing tells which commands are slow. Switch it on with \
             CONFIG SET slowlog-log-slower-than {threshold_us}."
        ),
        Advice::SlowLogCoarse => format!(
            "The slow log misses commands that the latency monitor counts as spikes. Let it see \
             them with CONFIG SET slowlog-log-slower-than {threshold_us}."
        ),
        Advice::SlowLogRead => "SLOWLOG GET shows the slow commands. Look for those whose cost \
             grows with the data (KEYS, SORT, large ranges and unions, long scripts) and ask for \
             less at a time, for instance with SCAN."
            .into(),
        Advice::Scheduler => "Commands that do hardly any work took long, so the process did not \
             get the processor when it wanted to run. Lower the load of this machine, give the \
             server cores of its own, look for steal time when this is a virtual machine, and \
             compare with `redis-cli --intrinsic-latency 100`."
            .into(),
        Advice::LocalDisk => {
            "Keep the data directory on a local disk; network storage answers late.".into()
        }
        Advice::FasterDisk => "A solid state disk shortens writes and syncs.".into(),
        Advice::DiskContention => {
            "Other processes that write much to the same disk delay this one; move them.".into()
        }
        Advice::RelaxFsync => "With `appendfsync always` each write waits for the disk. If a \
             second of writes may be lost in a crash of the machine, `everysec` is much faster."
            .into(),
        Advice::RaiseHz => format!(
            "Many keys expire at about the same time. Smaller and more frequent portions help: \
             CONFIG SET hz 100 (now {}). Spreading the expiry times helps more.",
            server.config.hz
        ),
        Advice::BigValues => "Removing values takes noticeable time. Split very big ones into \
             several keys."
            .into(),
        Advice::MassEviction => "Much has to be evicted at once. Lower `maxmemory` in small \
             steps, and avoid commands that store very big results."
            .into(),
        Advice::HugePages => "The kernel gives out huge pages unasked, which makes memory use \
             and page faults jump. Switch that off with: \
             echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"
            .into(),
    }
}

/// Scripts from which on they are many.
const SCRIPTS_MANY: usize = 1000;

/// LATENCY DOCTOR.
pub fn latency(server: &Server) -> String {
    let monitor = &server.stats.latency;
    if monitor.is_empty() && server.config.latency_monitor_threshold_ms == 0 {
        return "The latency monitor is off. Choose which durations count as spikes to switch it \
                on, for instance: CONFIG SET latency-monitor-threshold 100\n"
            .into();
    }
    if monitor.is_empty() {
        return "No latency spikes were observed since the server started or LATENCY RESET.\n"
            .into();
    }
    let now_s = server.now_ms() / 1000;
    let mut report = String::from("Latency spikes were observed:\n\n");
    let mut advice = Vec::new();
    for (number, (name, series)) in monitor.events().enumerate() {
        let Some(figures) = series.analysis(now_s) else {
            continue;
        };
        let period_s = figures.seconds as f64 / f64::from(figures.spikes);
        let _ = writeln!(
            report,
            "{}. {name}: {} latency spikes (average {}ms, mean deviation {}ms, period {period_s:.2} \
             sec). Worst all time event {}ms.",
            number + 1,
            figures.spikes,
            figures.average_ms,
            figures.deviation_ms,
            series.max_ms
        );
        advice.extend(advice_of(name, server));
    }
    if memory::huge_pages_unasked() {
        advice.push(Advice::HugePages);
    }
    advice.sort_unstable();
    advice.dedup();
    if advice.is_empty() {
        report.push_str("\nNothing in these figures points at a remedy.\n");
    } else {
        report.push_str("\nWhat may help:\n\n");
        for advice in advice {
            let _ = writeln!(report, "- {}", text_of(advice, server));
        }
    }
    report
}

/// Below this much memory in use, ratios mean nothing, bytes.
const MEMORY_LEAST: u64 = 5 << 20;
/// Waste that is worth a word, bytes.
const WASTE_LEAST: i64 = 10 << 20;
/// Average buffers of a client that are, bytes.
const CLIENT_MOST: u64 = 200 << 10;

/// MEMORY DOCTOR.
pub fn memory(server: &Server, overview: &Overview) -> String {
    if overview.used < MEMORY_LEAST {
        return "This server holds too little data to judge its use of memory.\n".into();
    }
    let mut findings: Vec<String> = Vec::new();
    let wasteful = |ratio: f64, limit: f64, bytes: i64| ratio > limit && bytes > WASTE_LEAST;
    if overview.peak as f64 > overview.used as f64 * 1.5 {
        findings.push(
            "Peak memory: at its peak the server used more than 1.5 times of what it uses now. \
             Memory freed since may still count as resident; new data will use it again. MEMORY \
             PURGE gives it back to the system earlier."
                .into(),
        );
    }
    if wasteful(
        overview.fragmentation(),
        1.4,
        overview.fragmentation_bytes(),
    ) {
        findings.push(format!(
            "High fragmentation: the process is resident with {:.2} times of what it uses. The \
             entries below, if any, say where the rest is. (The allocator is {}.)",
            overview.fragmentation(),
            memory::allocator_name()
        ));
    }
    if wasteful(overview.frag_ratio(), 1.1, overview.frag_bytes()) {
        findings.push(
            "High allocator fragmentation: many pages are used in part only, usually after many \
             keys of other sizes were deleted. New data of those sizes fills them again; CONFIG \
             SET activedefrag yes moves what is left together."
                .into(),
        );
    }
    if wasteful(
        overview.allocator_rss_ratio(),
        1.1,
        overview.allocator_rss_bytes(),
    ) {
        findings.push(
            "High allocator overhead: the allocator keeps many free pages, usually after a peak. \
             MEMORY PURGE gives them back to the system."
                .into(),
        );
    }
    if wasteful(
        overview.rss_overhead_ratio(),
        1.1,
        overview.rss_overhead_bytes(),
    ) {
        findings.push(
            "High process overhead: the process is resident with much that is not the \
             allocator's: stacks, code, or mapped files."
                .into(),
        );
    }
    let clients = server.clients.len().max(1) as u64;
    if overview.clients_normal / clients > CLIENT_MOST {
        findings.push(
            "Big client buffers: clients take more than 200 KB on average. Some may read their \
             replies too slowly, or send very long requests: see qbuf, omem and tot-mem in \
             CLIENT LIST."
                .into(),
        );
    }
    if overview.clients_replicas > 10 << 20 {
        findings.push(
            "Big replica buffers: more than 10 MB wait to be sent to replicas. See their lag in \
             INFO replication."
                .into(),
        );
    }
    if server.script_figures().scripts > SCRIPTS_MANY {
        findings.push(
            "Many scripts: more than 1000 are kept. Scripts whose text differs from call to call \
             should take what differs as KEYS and ARGV; SCRIPT FLUSH forgets all."
                .into(),
        );
    }
    if findings.is_empty() {
        return "No memory problems were found.\n".into();
    }
    let mut report = String::from("These facts about the memory of this server are notable:\n\n");
    for finding in findings {
        let _ = writeln!(report, " * {finding}\n");
    }
    report
}
