//! The sections of INFO that count what happened.

use std::borrow::Cow;

use super::info::Fields;
use super::memory::Overview;
use crate::engine::Server;
use crate::stats::{CommandStats, Rate};

/// Seconds of a duration, -1 for none.
fn seconds(duration: Option<std::time::Duration>) -> i64 {
    duration.map_or(-1, |duration| duration.as_secs().cast_signed())
}

fn ok_or_err(ok: bool) -> &'static str {
    if ok { "ok" } else { "err" }
}

pub(super) fn persistence(server: &Server, _: &Overview, fields: &mut Fields) {
    let p = &server.stats.persistence;
    let running = |on: bool, since_ns: u64| {
        on.then(|| std::time::Duration::from_nanos(server.now_ns.saturating_sub(since_ns)))
    };
    let (done, total) = p.snapshot_keys;
    let percent = if total == 0 {
        0.0
    } else {
        done as f64 * 100.0 / total as f64
    };
    fields.add_flag("loading", p.loading && !p.async_loading);
    fields.add_flag("async_loading", p.async_loading);
    // No process is forked; what changes hand to the snapshot ahead of its
    // turn is what is copied on write.
    let saving = server.saving.is_busy();
    let copied = if saving {
        server.keyspace.stats.snapshot_copied_bytes
    } else {
        0
    };
    fields.add("current_cow_peak", copied);
    fields.add("current_cow_size", copied);
    fields.add("current_cow_size_age", 0);
    fields.add("current_fork_perc", format!("{percent:.2}"));
    fields.add("current_save_keys_processed", done);
    fields.add("current_save_keys_total", total);
    fields.add("rdb_changes_since_last_save", server.stats.dirty);
    fields.add_flag("rdb_bgsave_in_progress", p.snapshot_running);
    fields.add("rdb_last_save_time", p.last_save_s);
    fields.add("rdb_last_bgsave_status", ok_or_err(p.last_snapshot_ok));
    fields.add("rdb_last_bgsave_time_sec", seconds(p.last_snapshot_time));
    let snapshot = running(p.snapshot_running, p.snapshot_started_ns);
    fields.add("rdb_current_bgsave_time_sec", seconds(snapshot));
    fields.add("rdb_saves", p.snapshots);
    fields.add("rdb_last_cow_size", p.copied_last_bytes);
    fields.add("rdb_last_load_keys_expired", p.loaded_expired);
    fields.add("rdb_last_load_keys_loaded", p.loaded);
    fields.add_flag("aof_enabled", server.aof.is_on());
    fields.add_flag("aof_rewrite_in_progress", p.rewrite_running);
    fields.add_flag("aof_rewrite_scheduled", p.rewrite_scheduled);
    fields.add("aof_last_rewrite_time_sec", seconds(p.last_rewrite_time));
    let rewrite = running(p.rewrite_running, p.rewrite_started_ns);
    fields.add("aof_current_rewrite_time_sec", seconds(rewrite));
    fields.add("aof_last_bgrewrite_status", ok_or_err(p.last_rewrite_ok));
    fields.add("aof_rewrites", p.rewrites);
    fields.add("aof_rewrites_consecutive_failures", p.rewrite_failures);
    let written = ok_or_err(server.aof.trouble().is_none());
    fields.add("aof_last_write_status", written);
    fields.add("aof_last_cow_size", 0);
    fields.add("module_fork_in_progress", 0);
    fields.add("module_fork_last_cow_size", 0);
    if server.config.appendonly {
        let aof = &server.aof;
        fields.add("aof_current_size", aof.current_bytes);
        fields.add("aof_base_size", aof.base_bytes);
        fields.add("aof_pending_rewrite", u8::from(p.rewrite_scheduled));
        fields.add("aof_buffer_length", aof.buffer_bytes());
        fields.add("aof_pending_bio_fsync", aof.pending_syncs());
        fields.add("aof_delayed_fsync", aof.delayed_syncs);
    }
    if p.loading {
        loading(server, fields);
    }
}

fn loading(server: &Server, fields: &mut Fields) {
    let p = &server.stats.persistence;
    let (total, done) = (p.loading_total_bytes, p.loading_bytes);
    let elapsed_s = server.clock_unix_ms() / 1000 - p.loading_started_s;
    let eta_s = match (elapsed_s.max(0).cast_unsigned() * total).checked_div(done) {
        Some(all_s) => all_s.saturating_sub(elapsed_s.max(0).cast_unsigned()),
        None => 1,
    };
    let percent = done as f64 * 100.0 / total.max(1) as f64;
    fields.add("loading_start_time", p.loading_started_s);
    fields.add("loading_total_bytes", total);
    fields.add("loading_rdb_used_mem", p.loading_used_bytes);
    fields.add("loading_loaded_bytes", done);
    fields.add("loading_loaded_perc", format!("{percent:.2}"));
    fields.add("loading_eta_seconds", eta_s);
}

pub(super) fn stats(server: &Server, _: &Overview, fields: &mut Fields) {
    let (stats, keyspace) = (&server.stats, &server.keyspace.stats);
    let replication = &stats.replication;
    let input_bytes = stats.net_input_bytes + replication.input_bytes;
    let output_bytes = stats.net_output_bytes + replication.output_bytes;
    fields.add("total_connections_received", stats.connections_received);
    fields.add("total_commands_processed", stats.commands_processed);
    fields.add("instantaneous_ops_per_sec", stats.ops_rate.per_second());
    fields.add("total_net_input_bytes", input_bytes);
    fields.add("total_net_output_bytes", output_bytes);
    fields.add("total_net_repl_input_bytes", replication.input_bytes);
    fields.add("total_net_repl_output_bytes", replication.output_bytes);
    let rates = [
        ("instantaneous_input_kbps", &stats.input_rate),
        ("instantaneous_output_kbps", &stats.output_rate),
        ("instantaneous_input_repl_kbps", &replication.input_rate),
        ("instantaneous_output_repl_kbps", &replication.output_rate),
    ];
    for (name, rate) in rates {
        fields.add(name, kilobytes(rate));
    }
    fields.add("rejected_connections", stats.connections_rejected);
    fields.add("sync_full", replication.full_syncs);
    fields.add("sync_partial_ok", replication.partial_syncs);
    fields.add("sync_partial_err", replication.refused_partial_syncs);
    fields.add("expired_keys", keyspace.expired);
    let stale = format!("{:.2}", keyspace.expired_stale_percent);
    fields.add("expired_stale_perc", stale);
    let capped = keyspace.expire_time_cap_reached;
    fields.add("expired_time_cap_reached_count", capped);
    let expire_ms = keyspace.expire_cycle_us / 1000;
    fields.add("expire_cycle_cpu_milliseconds", expire_ms);
    eviction(server, fields);
    fields.add("keyspace_hits", keyspace.hits);
    fields.add("keyspace_misses", keyspace.misses);
    let pubsub = &server.pubsub;
    fields.add("pubsub_channels", pubsub.channels.len());
    fields.add("pubsub_patterns", pubsub.patterns());
    fields.add("pubsubshard_channels", pubsub.shard_channels.len());
    // No process is ever forked.
    fields.add("latest_fork_usec", 0);
    fields.add("total_forks", 0);
    fields.add("migrate_cached_sockets", server.peers.len());
    fields.add("slave_expires_tracked_keys", 0);
    defrag(server, fields);
    let tracking = &server.tracking;
    fields.add("tracking_total_keys", tracking.keys());
    fields.add("tracking_total_items", tracking.items());
    fields.add("tracking_total_prefixes", tracking.prefixes());
    fields.add("unexpected_error_replies", stats.unexpected_error_replies);
    fields.add("total_error_replies", stats.error_replies);
    fields.add("dump_payload_sanitizations", keyspace.sanitized_payloads);
    fields.add("total_reads_processed", stats.reads_processed);
    fields.add("total_writes_processed", stats.writes_processed);
    fields.add("io_threaded_reads_processed", stats.io_threaded_reads);
    fields.add("io_threaded_writes_processed", stats.io_threaded_writes);
    fields.add("reply_buffer_shrinks", stats.reply_buffer_shrinks);
    fields.add("reply_buffer_expands", stats.reply_buffer_expands);
}

fn kilobytes(rate: &Rate) -> String {
    format!("{:.2}", rate.per_second() as f64 / 1024.0)
}

/// Microseconds from a time until now, 0 for none.
fn since_us(server: &Server, since_ns: Option<u64>) -> u64 {
    since_ns.map_or(0, |since| server.now_ns.saturating_sub(since) / 1000)
}

fn eviction(server: &Server, fields: &mut Fields) {
    let eviction = &server.stats.eviction;
    let current_us = since_us(server, eviction.exceeded_since_ns);
    let total_us = eviction.exceeded_us + current_us;
    fields.add("evicted_keys", eviction.keys);
    fields.add("evicted_clients", eviction.clients);
    fields.add("total_eviction_exceeded_time", total_us / 1000);
    fields.add("current_eviction_exceeded_time", current_us / 1000);
}

fn defrag(server: &Server, fields: &mut Fields) {
    let defrag = &server.stats.defrag;
    let current_us = since_us(server, defrag.since_ns);
    fields.add("active_defrag_hits", defrag.hits);
    fields.add("active_defrag_misses", defrag.misses);
    fields.add("active_defrag_key_hits", defrag.key_hits);
    fields.add("active_defrag_key_misses", defrag.key_misses);
    let total_us = defrag.total_us + current_us;
    fields.add("total_active_defrag_time", total_us / 1000);
    fields.add("current_active_defrag_time", current_us / 1000);
}

/// A server is a master that no replica has attached to yet, until it can be
/// another's replica.
pub(super) fn replication(server: &Server, _: &Overview, fields: &mut Fields) {
    fields.add("role", "master");
    fields.add("connected_slaves", 0);
    if server.config.min_replicas_to_write > 0 && server.config.min_replicas_max_lag_s > 0 {
        fields.add("min_slaves_good_slaves", 0);
    }
    fields.add("master_failover_state", "no-failover");
    fields.add("master_replid", &server.replication_id);
    fields.add("master_replid2", "0".repeat(40));
    fields.add("master_repl_offset", 0);
    fields.add("second_repl_offset", -1);
    fields.add("repl_backlog_active", 0);
    fields.add("repl_backlog_size", server.config.repl_backlog_bytes);
    fields.add("repl_backlog_first_byte_offset", 0);
    fields.add("repl_backlog_histlen", 0);
}

/// Every command's counters, by table order, beside its name.
fn counted(server: &Server) -> impl Iterator<Item = (&str, &CommandStats)> {
    let entries = server.registry.all().iter();
    entries
        .zip(&server.stats.commands)
        .map(|(entry, stats)| (entry.full_name(), stats))
}

pub(super) fn commands(server: &Server, _: &Overview, fields: &mut Fields) {
    for (name, stats) in counted(server) {
        if stats.calls == 0 && stats.rejected == 0 && stats.failed == 0 {
            continue;
        }
        let us = stats.ns / 1000;
        let average = if stats.calls == 0 {
            0.0
        } else {
            stats.ns as f64 / 1000.0 / stats.calls as f64
        };
        let value = format!(
            "calls={},usec={us},usec_per_call={average:.2},rejected_calls={},failed_calls={}",
            stats.calls, stats.rejected, stats.failed
        );
        fields.add(&format!("cmdstat_{name}"), value);
    }
}

pub(super) fn errors(server: &Server, _: &Overview, fields: &mut Fields) {
    for (code, count) in &server.stats.errors {
        let name = format!("errorstat_{}", field_name(code));
        fields.add(&name, format!("count={count}"));
    }
}

/// Text that clients made up, without what would break the lines of INFO.
fn field_name(text: &[u8]) -> Cow<'_, str> {
    let unsafe_byte = |byte: &u8| matches!(byte, b'#' | b':' | b'\n' | b'\r');
    let text = String::from_utf8_lossy(text);
    if text.as_bytes().iter().any(unsafe_byte) {
        return text.replace(['#', ':', '\n', '\r'], "_").into();
    }
    text
}

pub(super) fn latencies(server: &Server, _: &Overview, fields: &mut Fields) {
    if !server.config.latency_tracking {
        return;
    }
    for (name, stats) in counted(server) {
        let Some(latency) = &stats.latency else {
            continue;
        };
        let percentiles: Vec<String> = server
            .config
            .latency_tracking_info_percentiles
            .iter()
            .map(|percent| {
                let us = latency.percentile_ns(*percent) as f64 / 1000.0;
                format!("p{percent}={us:.3}")
            })
            .collect();
        let name = format!("latency_percentiles_usec_{name}");
        fields.add(&name, percentiles.join(","));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe() {
        assert_eq!(field_name(b"ERR"), "ERR");
        assert_eq!(field_name(b"a:b#c\r\nd"), "a_b_c__d");
        assert_eq!(field_name(b"\xff"), "\u{fffd}");
    }
}
