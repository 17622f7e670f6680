//! LATENCY: <https://redis.io/docs/latest/commands/?group=server>, and the monitor's guide
//! <https://redis.io/docs/latest/operate/oss_and_stack/management/optimization/latency-monitor/>.

use super::doctor;
use crate::command::ctx::{Args, CmdError, CmdResult, REPLIED};
use crate::command::help::help;
use crate::command::registry::{Entry, Registry};
use crate::command::table::{Command, Group, flag};
use crate::engine::{ClientId, Server};
use crate::resp::Reply;
use crate::stats::Stats;
use crate::stats::distribution::Distribution;
use crate::stats::latency::Series;
use crate::stats::sparkline::{self, Bar};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[Command::container("LATENCY", -2, LATENCY).doc(
    Group::Server,
    "2.8.13",
    "Depends on subcommand.",
    "Examine the latency spikes that the server recorded.",
)];

/// Subcommands of LATENCY.
const LATENCY: &[Command] = &[
    Command::server("DOCTOR", 2, latency_doctor)
        .doc(
            Group::Server,
            "2.8.13",
            "O(1)",
            "Explain the recorded latency spikes and suggest remedies.",
        )
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .tips(&[
            "nondeterministic_output",
            "request_policy:all_nodes",
            "response_policy:special",
        ]),
    Command::server("GRAPH", 3, latency_graph)
        .doc(
            Group::Server,
            "2.8.13",
            "O(1)",
            "Draw the latency spikes of an event as a text chart.",
        )
        .syntax("event:string")
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .tips(&[
            "nondeterministic_output",
            "request_policy:all_nodes",
            "response_policy:special",
        ]),
    Command::server("HELP", 2, help)
        .doc(
            Group::Server,
            "2.8.13",
            "O(1)",
            "List the subcommands of LATENCY.",
        )
        .flags(flag::LOADING | flag::STALE),
    Command::server("HISTOGRAM", -2, latency_histogram)
        .doc(
            Group::Server,
            "7.0.0",
            "O(N) where N is the number of commands with latency information being retrieved.",
            "Show how the running times of commands are distributed.",
        )
        .syntax("[command:string...]")
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .tips(&[
            "nondeterministic_output",
            "request_policy:all_nodes",
            "response_policy:special",
        ]),
    Command::server("HISTORY", 3, latency_history)
        .doc(
            Group::Server,
            "2.8.13",
            "O(1)",
            "List the recorded spikes of an event with their times.",
        )
        .syntax("event:string")
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .tips(&[
            "nondeterministic_output",
            "request_policy:all_nodes",
            "response_policy:special",
        ]),
    Command::server("LATEST", 2, latency_latest)
        .doc(
            Group::Server,
            "2.8.13",
            "O(1)",
            "Show the latest and the worst spike of each event.",
        )
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .tips(&[
            "nondeterministic_output",
            "request_policy:all_nodes",
            "response_policy:special",
        ]),
    Command::server("RESET", -2, latency_reset)
        .doc(
            Group::Server,
            "2.8.13",
            "O(1)",
            "Forget the recorded spikes of some events, or of all.",
        )
        .syntax("[event:string...]")
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
];

fn latency_doctor(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let report = doctor::latency(server);
    server.reply(id).verbatim("txt", report.as_bytes());
    REPLIED
}

fn latency_graph(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let event = args.bytes()?;
    let now_s = server.now_ms() / 1000;
    let (stats, mut reply) = server.stats_and_reply(id);
    let Some((name, series)) = stats.latency.get(event) else {
        let mut text = b"No samples available for event '".to_vec();
        text.extend_from_slice(event);
        text.push(b'\'');
        return Err(CmdError::err(text));
    };
    reply.verbatim("txt", graph(name, series, now_s).as_bytes());
    REPLIED
}

fn graph(name: &str, series: &Series, now_s: i64) -> String {
    let (low, high) = series
        .analysis(now_s)
        .map_or((0, 0), |analysis| (analysis.min_ms, analysis.max_ms));
    let bars: Vec<Bar> = series
        .samples
        .iter()
        .map(|(second, ms)| Bar {
            value: *ms,
            label: age(now_s - second),
        })
        .collect();
    format!(
        "{name} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n{}",
        series.max_ms,
        "-".repeat(80),
        sparkline::draw(&bars)
    )
}

/// How long ago something was, in one unit.
fn age(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn latency_histogram(server: &mut Server, id: ClientId, args: Args<'_>) -> CmdResult {
    let Server {
        clients,
        registry,
        stats,
        ..
    } = server;
    let client = clients.get_mut(id).expect("the running client");
    let mut reply = Reply::new(&mut client.output, client.resp3);
    let measured: Vec<_> = histogram_of(registry, args.rest())
        .filter_map(|entry| Some((entry, distribution(stats, entry)?)))
        .collect();
    reply.map(measured.len());
    for (entry, distribution) in measured {
        reply.bulk(entry.full_name().as_bytes());
        reply.map(2);
        reply.bulk(b"calls");
        reply.integer(distribution.calls() as i64);
        reply.bulk(b"histogram_usec");
        let steps = distribution.steps();
        reply.map(steps.len());
        for (us, calls) in steps {
            reply.integer(us as i64);
            reply.integer(calls as i64);
        }
    }
    REPLIED
}

/// The commands of these names that there are, each with its subcommands; all
/// commands when there are no names.
fn histogram_of<'a>(
    registry: &'a Registry,
    names: &'a [&'a [u8]],
) -> Box<dyn Iterator<Item = &'a Entry> + 'a> {
    if names.is_empty() {
        return Box::new(registry.all().iter());
    }
    let found = names.iter().filter_map(|name| registry.find_full(name));
    Box::new(found.flat_map(|id| std::iter::once(&registry[id]).chain(registry.subcommands(id))))
}

fn distribution<'a>(stats: &'a Stats, entry: &Entry) -> Option<&'a Distribution> {
    stats.commands.get(entry.id.index())?.latency.as_deref()
}

fn latency_history(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let event = args.bytes()?;
    let (stats, mut reply) = server.stats_and_reply(id);
    let Some((_, series)) = stats.latency.get(event) else {
        reply.array(0);
        return REPLIED;
    };
    reply.array(series.samples.len());
    for (second, ms) in &series.samples {
        reply.array(2);
        reply.integer(*second);
        reply.integer(i64::from(*ms));
    }
    REPLIED
}

fn latency_latest(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let (stats, mut reply) = server.stats_and_reply(id);
    reply.array(stats.latency.events().count());
    for (name, series) in stats.latency.events() {
        let (second, ms) = series.samples.back().copied().unwrap_or_default();
        reply.array(4);
        reply.bulk(name.as_bytes());
        reply.integer(second);
        reply.integer(i64::from(ms));
        reply.integer(i64::from(series.max_ms));
    }
    REPLIED
}

fn latency_reset(server: &mut Server, id: ClientId, args: Args<'_>) -> CmdResult {
    let latency = &mut server.stats.latency;
    let count = match args.rest() {
        [] => latency.reset_all(),
        events => events.iter().filter(|event| latency.reset(event)).count(),
    };
    server.reply(id).integer(count as i64);
    REPLIED
}
