//! Streams: commands per second of server CPU, and memory of an entry, against a reference server.
//!
//! `cargo bench --bench streams -- --help` lists the options. As in the bench `throughput`,
//! servers are pinned to one core, the generator to another; they take turns in rounds of fresh
//! processes, in alternating order, and the figure to trust is the ratio of server CPU per request,
//! taken within a round, its median over the rounds.
//!
//! - `commands`: each workload is a fixed number of requests on a stream that was filled before.
//!   `xreadgroup+xack` counts one delivery with its acknowledgement as a request.
//! - `memory`: what the resident set grew by, for each entry of one long stream.

mod support;

use std::thread::sleep;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde_json::{Value, json};

use support::load::{Load, Until, latencies};
use support::report::{Table, extremes, median, write_json};
use support::request::{Keys, Request};
use support::scan::Expected;
use support::server::{Server, ServerSpec};
use support::{Common, Result, in_turns};

/// Requests per batch while filling.
const FILL_PIPELINE: usize = 64;
/// How long the resident set is given to settle after the allocator was asked to give back.
const SETTLE_TIME: Duration = Duration::from_secs(2);

/// Compares servers by commands on streams per second of their CPU time, and by memory.
#[derive(Parser, Debug)]
#[command(name = "streams")]
struct Options {
    #[command(flatten)]
    common: Common,
    /// Only these measurements.
    #[arg(long, value_delimiter = ',', default_value = "commands,memory")]
    only: Vec<Part>,
    /// Rounds per workload, each with fresh servers.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Entries of the streams of `commands`, and requests on them: a tenth of it where a request
    /// is for a hundred entries.
    #[arg(long, default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(1000..=1 << 32))]
    requests: u64,
    /// Requests per batch.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    pipeline: u16,
    /// Connections of the generator.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Only workloads whose name contains one of these.
    #[arg(long, value_delimiter = ',')]
    filter: Vec<String>,
    /// Entries of `memory`.
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    entries: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Commands,
    Memory,
}

/// What is measured: requests one kind after the other.
struct Workload {
    name: &'static str,
    /// Whether the stream is filled before.
    filled: bool,
    /// What is sent once before.
    before: &'static [&'static str],
    /// What is sent, with the numbers of entries in turn, or by chance.
    requests: &'static [&'static str],
    by_chance: bool,
    /// Part of the number of requests.
    divisor: u64,
}

/// The entries have the IDs N-1, for every N below their number.
const FILL: &str = "XADD s 000000000000-1 user user:000000000000 event login count 42";

const WORKLOADS: [Workload; 4] = [
    Workload {
        name: "xadd",
        filled: false,
        before: &[],
        requests: &["XADD s * user user:000000000000 event login count 42"],
        by_chance: false,
        divisor: 1,
    },
    Workload {
        name: "xread-100",
        filled: true,
        before: &[],
        requests: &["XREAD COUNT 100 STREAMS s 000000000000-0"],
        by_chance: true,
        divisor: 10,
    },
    Workload {
        name: "xreadgroup+xack",
        filled: true,
        before: &["XGROUP CREATE s g 0"],
        requests: &[
            "XREADGROUP GROUP g c COUNT 1 STREAMS s >",
            "XACK s g 000000000000-1",
        ],
        by_chance: false,
        divisor: 1,
    },
    Workload {
        name: "xrange-100",
        filled: true,
        before: &[],
        requests: &["XRANGE s 000000000000-0 + COUNT 100"],
        by_chance: true,
        divisor: 10,
    },
];

fn main() {
    if let Err(error) = bench(&Options::parse()) {
        eprintln!("streams: {error}");
        std::process::exit(1);
    }
}

fn bench(options: &Options) -> Result<()> {
    options.common.prepare()?;
    let specs = options.common.servers();
    let mut figures = serde_json::Map::new();
    figures.insert("reference".to_owned(), json!(specs[0].name));
    for part in &options.only {
        let (name, results) = match part {
            Part::Commands => ("commands", commands(options, &specs)?),
            Part::Memory => ("memory", memory(options, &specs)?),
        };
        figures.insert(name.to_owned(), results);
        println!();
    }
    match &options.common.json {
        Some(path) => write_json(path, &Value::Object(figures)),
        None => Ok(()),
    }
}

fn request(words: &str) -> Request {
    Request::of(words, Expected::Any)
}

/// CPU per request of each workload.
fn commands(options: &Options, specs: &[ServerSpec]) -> Result<Value> {
    let chosen = |workload: &&Workload| {
        let mut parts = options.filter.iter();
        options.filter.is_empty() || parts.any(|part| workload.name.contains(part.as_str()))
    };
    println!(
        "{} rounds of {} requests, pipeline {}; ratio: server CPU per request of {} against it",
        options.rounds, options.requests, options.pipeline, specs[0].name
    );
    let width = specs.iter().map(|spec| spec.name.len()).max().unwrap_or(0);
    let table = Table::start(&[
        ("workload", 15),
        ("server", width),
        ("cpu us/req", 10),
        ("ratio", 5),
        ("lowest-highest", 14),
    ]);
    let mut results = Vec::new();
    for workload in WORKLOADS.iter().filter(chosen) {
        let rounds = in_turns(options.rounds, specs, |spec, seed| {
            turn(workload, spec, options, seed)
        })?;
        for (index, spec) in specs.iter().enumerate() {
            let ratios: Vec<f64> = rounds.iter().map(|round| round[0] / round[index]).collect();
            let cpu_us = median(rounds.iter().map(|round| round[index]));
            let ratio = median(ratios.iter().copied());
            let (lowest, highest) = extremes(ratios);
            table.row(&[
                if index == 0 { workload.name } else { "" }.to_owned(),
                spec.name.clone(),
                format!("{cpu_us:.3}"),
                format!("{ratio:.2}"),
                match index {
                    0 => String::new(),
                    _ => format!("{lowest:.2}-{highest:.2}"),
                },
            ]);
            results.push(json!({
                "workload": workload.name,
                "server": spec.name,
                "cpu_us_per_request": cpu_us,
                "ratio": ratio,
            }));
        }
    }
    Ok(Value::Array(results))
}

/// One server's part of a round.
fn turn(workload: &Workload, spec: &ServerSpec, options: &Options, seed: u64) -> Result<f64> {
    let server = Server::start(spec, &options.common.server_core, &[])?;
    // Over one connection: the IDs must ascend.
    let mut single = Load::connect(server.address(), 1)?;
    let mut send = |words: &str, count: u64| {
        let (mut keys, until) = (Keys::in_order(count), Until::Requests(count));
        let pipeline = FILL_PIPELINE.min(count as usize);
        single.run(
            &request(words),
            pipeline,
            &mut keys,
            until,
            &mut latencies(),
        )
    };
    // Whole batches are sent, so there are a few more.
    let batches = options.requests.div_ceil(FILL_PIPELINE as u64);
    let entries = batches * FILL_PIPELINE as u64;
    if workload.filled {
        send(FILL, entries)?;
    }
    for words in workload.before {
        send(words, 1)?;
    }
    let mut load = Load::connect(server.address(), usize::from(options.connections))?;
    let (count, before) = (options.requests / workload.divisor, server.cpu_time()?);
    let mut sent = 0;
    for words in workload.requests {
        let mut keys = match workload.by_chance {
            // The same numbers in the same order for every server.
            true => Keys::Random {
                rng: SmallRng::seed_from_u64(seed),
                count: entries.saturating_sub(100).max(1),
            },
            false => Keys::in_order(entries),
        };
        let until = Until::Requests(count);
        let pipeline = usize::from(options.pipeline);
        let run = load.run(
            &request(words),
            pipeline,
            &mut keys,
            until,
            &mut latencies(),
        )?;
        sent = run.requests;
    }
    let cpu = server.cpu_time()? - before;
    Ok(cpu.busy_ns as f64 / 1e3 / sent as f64)
}

/// Resident bytes of each entry of a long stream.
fn memory(options: &Options, specs: &[ServerSpec]) -> Result<Value> {
    println!("a stream of {} entries with 3 fields", options.entries);
    let width = specs.iter().map(|spec| spec.name.len()).max().unwrap_or(0);
    let table = Table::start(&[("server", width), ("B/entry", 8), ("ratio", 5)]);
    let (mut results, mut reference) = (Vec::new(), None);
    for spec in specs {
        let server = Server::start(spec, &options.common.server_core, &[])?;
        let empty = server.resident_bytes()?;
        let mut load = Load::connect(server.address(), 8)?;
        let (mut keys, until) = (
            Keys::in_order(options.entries),
            Until::Requests(options.entries),
        );
        let fill = request(WORKLOADS[0].requests[0]);
        load.run(&fill, FILL_PIPELINE, &mut keys, until, &mut latencies())?;
        drop(load);
        let reply = server.ask("MEMORY PURGE")?;
        if reply != "+OK" {
            return Err(format!("MEMORY PURGE answers {reply:?}").into());
        }
        sleep(SETTLE_TIME);
        let each = (server.resident_bytes()? as f64 - empty as f64) / options.entries as f64;
        let ratio = each / *reference.get_or_insert(each);
        table.row(&[
            spec.name.clone(),
            format!("{each:.1}"),
            format!("{ratio:.3}"),
        ]);
        results.push(json!({
            "server": spec.name,
            "entries": options.entries,
            "bytes_each": each,
            "ratio": ratio,
        }));
    }
    Ok(Value::Array(results))
}
