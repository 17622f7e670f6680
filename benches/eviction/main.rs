//! Eviction: what SET costs at the memory limit, how many reads hit, and what
//! FLUSHALL ASYNC keeps others waiting for, against a reference server.
//!
//! `cargo bench --bench eviction -- --help` lists the options.
//!
//! - `set`: SET of random keys to a server that is full, under allkeys-lru and allkeys-lfu. The
//!   figure to trust is the ratio of CPU time per request; latencies are those of a batch.
//! - `hits`: a trace of reads, each miss followed by a write, at several cache sizes that are
//!   equal in keys for all servers. Keys are remembered by seconds, so a trace has to last: all
//!   servers run at the same time, at a low rate. The second half of it is counted. Prints a
//!   table, and draws hit ratio against cache size (`--picture`).
//! - `flush`: the longest PING while FLUSHALL ASYNC frees many keys.

#[path = "../support/mod.rs"]
mod support;

mod hits;
mod picture;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde_json::{Value, json};

use support::load::{Load, Until, latencies};
use support::report::{Table, extremes, median, write_json};
use support::request::{Keys, Request};
use support::server::{Server, ServerSpec};
use support::{Common, Result};

const VALUE_BYTES: usize = 100;
const FILL_PIPELINE: usize = 64;
const FILL_CONNECTIONS: usize = 8;
/// Part of a round that runs first and is not counted.
const WARM_UP: f64 = 0.2;
/// How long PING is watched from FLUSHALL on.
const FLUSH_WATCH: Duration = Duration::from_secs(3);

/// Compares servers at their memory limit.
#[derive(Parser, Debug)]
#[command(name = "eviction")]
struct Options {
    #[command(flatten)]
    common: Common,
    /// Only these measurements.
    #[arg(long, value_delimiter = ',', default_value = "set,hits,flush")]
    only: Vec<Part>,
    /// Seconds per server, workload and round of `set`.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Rounds per workload of `set`, each with fresh servers.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Connections in `set`.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Requests per batch in `set`.
    #[arg(long, value_delimiter = ',', default_value = "1,16",
          value_parser = clap::value_parser!(u16).range(1..))]
    pipelines: Vec<u16>,
    /// The limit in `set`.
    #[arg(long, default_value = "100mb")]
    maxmemory: String,
    /// Keys that `set` chooses from: several times as many as fit.
    #[arg(long, default_value_t = 4_000_000)]
    keys: u64,
    /// Seconds of a trace in `hits`.
    #[arg(long, default_value_t = 60.0)]
    trace_seconds: f64,
    /// Reads per second in `hits`, for each server.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(20..))]
    trace_rate: u32,
    /// Where the picture of `hits` goes; default: eviction.svg beside the bench's program.
    #[arg(long, value_name = "FILE")]
    picture: Option<std::path::PathBuf>,
    /// Keys in `flush`.
    #[arg(long, default_value_t = 10_000_000)]
    flush_keys: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Part {
    Set,
    Hits,
    Flush,
}

fn main() {
    if let Err(error) = bench(&Options::parse()) {
        eprintln!("eviction: {error}");
        std::process::exit(1);
    }
}

fn bench(options: &Options) -> Result<()> {
    options.common.prepare()?;
    let specs = options.common.servers();
    let mut figures = serde_json::Map::new();
    for part in &options.only {
        let (name, found) = match part {
            Part::Set => ("set", set(options, &specs)?),
            Part::Hits => ("hits", hits::compare(options, &specs)?),
            Part::Flush => ("flush", flush(options, &specs)?),
        };
        figures.insert(name.to_owned(), found);
        println!();
    }
    if let Some(path) = &options.common.json {
        write_json(path, &Value::Object(figures))?;
    }
    Ok(())
}

/// What one turn of one server gave.
struct Turn {
    cpu_us: f64,
    p99_9_us: f64,
}

fn set(options: &Options, specs: &[ServerSpec]) -> Result<Value> {
    let table = Table::start(&[
        ("policy", 12),
        ("server", 12),
        ("pipeline", 8),
        ("cpu us/req", 10),
        ("ratio", 5),
        ("lowest-highest", 14),
        ("p99.9 us", 9),
    ]);
    let mut figures = Vec::new();
    for policy in ["allkeys-lru", "allkeys-lfu"] {
        for &pipeline in &options.pipelines {
            let mut turns: Vec<Vec<Turn>> = specs.iter().map(|_| Vec::new()).collect();
            for round in 0..options.rounds {
                let mut order: Vec<usize> = (0..specs.len()).collect();
                if round % 2 == 1 {
                    order.reverse();
                }
                for index in order {
                    turns[index].push(set_turn(options, &specs[index], policy, pipeline, round)?);
                }
            }
            for (spec, own) in specs.iter().zip(&turns) {
                let pairs = turns[0].iter().zip(own);
                let ratios = pairs.map(|(reference, own)| reference.cpu_us / own.cpu_us);
                let ratios: Vec<f64> = ratios.collect();
                let (lowest, highest) = extremes(ratios.iter().copied());
                let cpu_us = median(own.iter().map(|turn| turn.cpu_us));
                let p99_9_us = median(own.iter().map(|turn| turn.p99_9_us));
                figures.push(json!({
                    "policy": policy,
                    "pipeline": pipeline,
                    "server": spec.name,
                    "cpu_us_per_request": cpu_us,
                    "ratios": ratios,
                    "p99_9_us": p99_9_us,
                }));
                table.row(&[
                    policy.to_owned(),
                    spec.name.clone(),
                    pipeline.to_string(),
                    format!("{cpu_us:.3}"),
                    format!("{:.2}", median(ratios)),
                    format!("{lowest:.2}-{highest:.2}"),
                    format!("{p99_9_us:.0}"),
                ]);
            }
        }
    }
    Ok(Value::Array(figures))
}

fn set_turn(
    options: &Options,
    spec: &ServerSpec,
    policy: &str,
    pipeline: u16,
    round: u32,
) -> Result<Turn> {
    let limit = [
        "--maxmemory",
        &options.maxmemory,
        "--maxmemory-policy",
        policy,
    ];
    let server = Server::start(spec, &options.common.server_core, &limit)?;
    let set = Request::set(VALUE_BYTES);
    let mut filling = Load::connect(server.address(), FILL_CONNECTIONS)?;
    let mut in_order = Keys::in_order(options.keys);
    let some = Until::Requests(options.keys / 2);
    filling.run(&set, FILL_PIPELINE, &mut in_order, some, &mut latencies())?;
    drop(filling);
    let evicted = || -> Result<u64> { Ok(server.info("stats", "evicted_keys")?.parse()?) };
    let before = evicted()?;
    if before == 0 {
        return Err("nothing is evicted: more keys or a lower limit are needed".into());
    }
    let mut load = Load::connect(server.address(), usize::from(options.connections))?;
    let mut keys = Keys::Random {
        rng: SmallRng::seed_from_u64(u64::from(round)),
        count: options.keys,
    };
    let pipeline = usize::from(pipeline);
    let seconds = |share: f64| Until::Elapsed(Duration::from_secs_f64(options.seconds * share));
    load.run(
        &set,
        pipeline,
        &mut keys,
        seconds(WARM_UP),
        &mut latencies(),
    )?;
    let (cpu, mut latencies) = (server.cpu_time()?, latencies());
    let run = load.run(&set, pipeline, &mut keys, seconds(1.0), &mut latencies)?;
    let spent = server.cpu_time()? - cpu;
    if evicted()? == before {
        return Err("nothing was evicted".into());
    }
    Ok(Turn {
        cpu_us: spent.busy_ns as f64 / 1e3 / run.requests as f64,
        p99_9_us: latencies.value_at_quantile(0.999) as f64 / 1e3,
    })
}

fn flush(options: &Options, specs: &[ServerSpec]) -> Result<Value> {
    let keys = format!("{} keys", options.flush_keys);
    let table = Table::start(&[
        (&keys, 14),
        ("server", 12),
        ("FLUSHALL ASYNC ms", 17),
        ("longest PING ms", 15),
        ("p99 PING ms", 11),
    ]);
    let mut figures = Vec::new();
    for spec in specs {
        let server = Server::start(spec, &options.common.server_core, &[])?;
        let mut load = Load::connect(server.address(), FILL_CONNECTIONS)?;
        let mut in_order = Keys::in_order(options.flush_keys);
        let all = Until::Requests(options.flush_keys);
        let set = Request::set(16);
        load.run(&set, FILL_PIPELINE, &mut in_order, all, &mut latencies())?;
        let mut pinger = BufReader::new(TcpStream::connect(server.address())?);
        let mut ask = |words: &str| -> Result<Duration> {
            let (start, mut line) = (Instant::now(), String::new());
            pinger.get_mut().write_all(words.as_bytes())?;
            pinger.read_line(&mut line)?;
            if line.starts_with('+') {
                Ok(start.elapsed())
            } else {
                Err(line.into())
            }
        };
        ask("PING\r\n")?;
        let flushed = ask("FLUSHALL ASYNC\r\n")?;
        let (begin, mut pings) = (Instant::now(), latencies());
        while begin.elapsed() < FLUSH_WATCH {
            pings.saturating_record(ask("PING\r\n")?.as_nanos() as u64);
        }
        let ms = |ns: u64| ns as f64 / 1e6;
        let (longest, p99) = (ms(pings.max()), ms(pings.value_at_quantile(0.99)));
        let flushed = flushed.as_secs_f64() * 1e3;
        figures.push(json!({
            "server": spec.name,
            "flushall_ms": flushed,
            "ping_max_ms": longest,
            "ping_p99_ms": p99,
        }));
        table.row(&[
            String::new(),
            spec.name.clone(),
            format!("{flushed:.3}"),
            format!("{longest:.3}"),
            format!("{p99:.3}"),
        ]);
    }
    Ok(Value::Array(figures))
}
