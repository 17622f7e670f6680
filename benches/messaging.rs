//! PUBLISH, transactions and client-side caching: server CPU per request, against a reference
//! server.
//!
//! `cargo bench --bench messaging -- --help` lists the options. As in the bench `throughput`,
//! servers are pinned to one core, the generator to another; they take turns in rounds of fresh
//! processes, in alternating order, and the figure to trust is the ratio of requests per server
//! CPU second, taken within a round, its median over the rounds. A PUBLISH counts when all
//! subscribers have its message; a transaction is one request.

mod support;

use std::time::{Duration, Instant};

use clap::Parser;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use support::lockstep::Lockstep;
use support::report::{Table, extremes, median, write_json};
use support::server::{Server, ServerSpec};
use support::usage::raise_file_limit;
use support::{Common, Result, in_turns};

/// Part of a turn that runs first and is not counted.
const WARM_UP: f64 = 0.2;
/// Connections that publish at the same time.
const PUBLISHERS: usize = 10;
/// Keys per connection in the workloads with caches.
const KEYS: u32 = 10_000;
/// Commands in a transaction.
const IN_TRANSACTION: usize = 10;
/// Value, message: letters that are no integer.
const TEXT: &str = "abcdefghijklmnop";

/// Compares servers by messages, transactions and cached reads per second of their CPU time.
#[derive(Parser, Debug)]
#[command(name = "messaging")]
struct Options {
    #[command(flatten)]
    common: Common,
    /// Seconds per server, workload and round.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Rounds per workload, each with fresh servers; an even number, so that each server comes
    /// first as often as the other.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only workloads whose name contains one of these.
    #[arg(long, value_delimiter = ',')]
    filter: Vec<String>,
    /// Connections that send, where there are no subscribers.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
}

/// What is measured.
#[derive(Clone, Copy)]
enum Work {
    /// PUBLISH to so many subscribers.
    Publish { subscribers: usize },
    /// MULTI, half SET, half GET, EXEC, sent at once.
    Transaction,
    /// GET of keys that the connection is told of when they change.
    TrackedGet { tracking: bool },
    /// GET of a key, and a SET of which the connection is told.
    TrackedChange,
}

struct Workload {
    name: &'static str,
    work: Work,
    pipeline: usize,
}

#[rustfmt::skip]
const WORKLOADS: [Workload; 12] = [
    Workload { name: "publish-1", work: Work::Publish { subscribers: 1 }, pipeline: 1 },
    Workload { name: "publish-1-p16", work: Work::Publish { subscribers: 1 }, pipeline: 16 },
    Workload { name: "publish-100", work: Work::Publish { subscribers: 100 }, pipeline: 1 },
    Workload { name: "publish-100-p16", work: Work::Publish { subscribers: 100 }, pipeline: 16 },
    Workload { name: "publish-10000", work: Work::Publish { subscribers: 10_000 }, pipeline: 1 },
    Workload { name: "multi-10", work: Work::Transaction, pipeline: 1 },
    Workload { name: "multi-10-p16", work: Work::Transaction, pipeline: 16 },
    Workload { name: "get-untracked", work: Work::TrackedGet { tracking: false }, pipeline: 1 },
    Workload { name: "get-tracked", work: Work::TrackedGet { tracking: true }, pipeline: 1 },
    Workload { name: "get-untracked-p16", work: Work::TrackedGet { tracking: false }, pipeline: 16 },
    Workload { name: "get-tracked-p16", work: Work::TrackedGet { tracking: true }, pipeline: 16 },
    Workload { name: "get-change-p16", work: Work::TrackedChange, pipeline: 16 },
];

fn main() {
    if let Err(error) = bench(&Options::parse()) {
        eprintln!("messaging: {error}");
        std::process::exit(1);
    }
}

fn bench(options: &Options) -> Result<()> {
    options.common.prepare()?;
    raise_file_limit(12_000)?;
    let specs = options.common.servers();
    let chosen = |workload: &&Workload| {
        options.filter.is_empty()
            || options
                .filter
                .iter()
                .any(|part| workload.name.contains(part))
    };
    let workloads: Vec<&Workload> = WORKLOADS.iter().filter(chosen).collect();
    if workloads.is_empty() {
        return Err("no workload matches the filter".into());
    }
    println!(
        "{} rounds of {} s; ratio: requests per server CPU second against {}",
        options.rounds, options.seconds, specs[0].name
    );
    let name_width = specs.iter().map(|spec| spec.name.len()).max().unwrap_or(0);
    let table = Table::start(&[
        ("workload", 18),
        ("server", name_width),
        ("cpu us/req", 10),
        ("ratio", 5),
        ("lowest-highest", 14),
    ]);
    let mut figures = Vec::new();
    for workload in workloads {
        let rounds = in_turns(options.rounds, &specs, |spec, seed| {
            turn(workload, spec, options, seed)
        })?;
        for (index, spec) in specs.iter().enumerate() {
            let ratios: Vec<f64> = rounds.iter().map(|round| round[0] / round[index]).collect();
            let ratio = median(ratios.iter().copied());
            let (lowest, highest) = extremes(ratios);
            let first = index == 0;
            table.row(&[
                if first { workload.name } else { "" }.to_owned(),
                spec.name.clone(),
                format!("{:.2}", median(rounds.iter().map(|round| round[index]))),
                format!("{ratio:.2}"),
                if first {
                    String::new()
                } else {
                    format!("{lowest:.2}-{highest:.2}")
                },
            ]);
            figures.push(json!({
                "workload": workload.name,
                "server": spec.name,
                "ratio": ratio,
                "cpu_us": rounds.iter().map(|round| round[index]).collect::<Vec<_>>(),
            }));
        }
    }
    match &options.common.json {
        Some(path) => write_json(path, &json!({ "results": figures })),
        None => Ok(()),
    }
}

/// One server's part of a round: CPU microseconds per request.
fn turn(workload: &Workload, spec: &ServerSpec, options: &Options, seed: u64) -> Result<f64> {
    let server = Server::start(
        spec,
        &options.common.server_core,
        &["--maxclients", "11000"],
    )?;
    let mut load = Lockstep::new(server.address())?;
    let senders = prepare(workload, &mut load, usize::from(options.connections))?;
    let mut rng = SmallRng::seed_from_u64(seed);
    if matches!(workload.work, Work::TrackedGet { .. }) {
        // All keys are read once before.
        for first in (0..KEYS).step_by(workload.pipeline) {
            let mut next = first;
            write_requests(workload, &mut load, senders, || {
                next += 1;
                (next - 1) % KEYS
            });
            load.step()?;
        }
    }
    let mut run = |seconds: f64| -> Result<u64> {
        let (begin, limit) = (Instant::now(), Duration::from_secs_f64(seconds));
        let mut steps = 0;
        while steps == 0 || begin.elapsed() < limit {
            write_requests(workload, &mut load, senders, || rng.random_range(0..KEYS));
            load.step()?;
            steps += 1;
        }
        Ok(steps)
    };
    run(options.seconds * WARM_UP)?;
    let before = server.cpu_time()?;
    let steps = run(options.seconds)?;
    let cpu = server.cpu_time()? - before;
    let requests = steps * (senders * workload.pipeline) as u64;
    Ok(cpu.busy_ns as f64 / 1e3 / requests as f64)
}

/// Opens the connections and says what they will receive; how many of them send.
fn prepare(workload: &Workload, load: &mut Lockstep, connections: usize) -> Result<usize> {
    let bulk = bulk(TEXT);
    let (senders, reply) = match workload.work {
        Work::Publish { subscribers } => {
            load.add(PUBLISHERS, b"", b"")?;
            load.add(subscribers, b"SUBSCRIBE news\r\n", b"news\r\n:1\r\n")?;
            let message = format!("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n{bulk}");
            for subscriber in PUBLISHERS..load.len() {
                let messages = message.repeat(PUBLISHERS * workload.pipeline);
                *load.expected(subscriber) = messages.into_bytes();
            }
            (PUBLISHERS, format!(":{subscribers}\r\n"))
        }
        Work::Transaction => {
            load.add(connections, b"", b"")?;
            fill(load, connections)?;
            let queued = "+QUEUED\r\n".repeat(IN_TRANSACTION);
            let pairs = format!("+OK\r\n{bulk}").repeat(IN_TRANSACTION / 2);
            let reply = format!("+OK\r\n{queued}*{IN_TRANSACTION}\r\n{pairs}");
            (connections, reply)
        }
        Work::TrackedGet { tracking: false } => {
            load.add(connections, b"", b"")?;
            fill(load, connections)?;
            (connections, bulk)
        }
        Work::TrackedGet { tracking: true } | Work::TrackedChange => {
            // In RESP3, who reads is told on the same connection.
            let greeting = b"HELLO 3\r\nCLIENT TRACKING ON\r\nECHO ready\r\n";
            load.add(connections, greeting, b"ready\r\n")?;
            fill(load, connections)?;
            (connections, bulk)
        }
    };
    for sender in 0..senders {
        *load.expected(sender) = reply.repeat(workload.pipeline).into_bytes();
    }
    Ok(senders)
}

/// Loads the keys of all connections.
fn fill(load: &mut Lockstep, connections: usize) -> Result<()> {
    for first in (0..KEYS).step_by(100) {
        for peer in 0..connections {
            let keys = first..first + 100;
            let sets = keys.map(|number| command(&["SET", &key(peer, number), TEXT]));
            *load.request(peer) = sets.collect::<String>().into_bytes();
            *load.expected(peer) = "+OK\r\n".repeat(100).into_bytes();
        }
        load.step()?;
    }
    Ok(())
}

/// The requests of one step, of keys with these numbers, and replies that depend on them.
fn write_requests(
    workload: &Workload,
    load: &mut Lockstep,
    senders: usize,
    mut number: impl FnMut() -> u32,
) {
    for peer in 0..senders {
        let (mut requests, mut replies) = (String::new(), String::new());
        for _ in 0..workload.pipeline {
            match workload.work {
                // The same in every step.
                Work::Publish { .. } => requests += &command(&["PUBLISH", "news", TEXT]),
                Work::Transaction => {
                    requests += &command(&["MULTI"]);
                    for _ in 0..IN_TRANSACTION / 2 {
                        let key = key(peer, number());
                        requests += &command(&["SET", &key, TEXT]);
                        requests += &command(&["GET", &key]);
                    }
                    requests += &command(&["EXEC"]);
                }
                Work::TrackedGet { .. } => requests += &command(&["GET", &key(peer, number())]),
                Work::TrackedChange => {
                    let key = key(peer, number());
                    requests += &command(&["GET", &key]);
                    requests += &command(&["SET", &key, TEXT]);
                    let told = format!(">2\r\n$10\r\ninvalidate\r\n*1\r\n{}", bulk(&key));
                    replies += &format!("{}+OK\r\n{told}", bulk(TEXT));
                }
            }
        }
        *load.request(peer) = requests.into_bytes();
        if !replies.is_empty() {
            *load.expected(peer) = replies.into_bytes();
        }
    }
}

fn key(peer: usize, number: u32) -> String {
    format!("key:{peer:04}:{number:08}")
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn command(words: &[&str]) -> String {
    let bulks: String = words.iter().map(|word| bulk(word)).collect();
    format!("*{}\r\n{bulks}", words.len())
}
