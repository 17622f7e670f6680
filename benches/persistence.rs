//! Saving, loading and logging beside a reference server.
//!
//! `cargo bench --bench persistence -- --help` lists the options. Every figure is taken for one
//! server after the other, each time from a fresh process:
//!
//! - `save`: how long BGSAVE takes when nobody is there and under a load that overwrites the keys;
//!   the latency of that load meanwhile; what the server, with a child it may have, takes beyond
//!   its size before. `strings` are plain keys, `mix` is hashes, sets, sorted sets and lists too.
//! - `load`: from the start of the program to its first PONG, with a snapshot and with an
//!   append-only file of the same keys.
//! - `log`: SET with `appendfsync everysec` and `always`.

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use serde_json::{Value, json};

use support::load::{Load, Until, latencies};
use support::report::{Table, median, write_json};
use support::request::{Keys, Request};
use support::scan::Expected;
use support::server::{Server, ServerSpec};
use support::{Common, Result};

/// Bytes of every value of `strings`.
const VALUE_BYTES: usize = 16;
/// Connections and batch size of the filling.
const FILL_CONNECTIONS: usize = 8;
const FILL_PIPELINE: usize = 64;
/// How often the end of a snapshot is looked for, and memory.
const LOOK: Duration = Duration::from_millis(5);
/// How long the load runs before a snapshot.
const CALM: Duration = Duration::from_secs(2);
/// The load looks at whether the snapshot has ended after this time.
const BURST: Duration = Duration::from_millis(50);

/// Compares servers by what saving costs.
#[derive(Parser, Debug)]
#[command(name = "persistence")]
struct Options {
    #[command(flatten)]
    common: Common,
    /// Only these measurements.
    #[arg(long, value_delimiter = ',', default_value = "save,load,log")]
    only: Vec<Part>,
    /// Keys of `save` and `load`.
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    keys: u64,
    /// Connections that load the server.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Seconds per server and round of `log`.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Rounds of `log`.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Save,
    Load,
    Log,
}

fn main() {
    if let Err(error) = bench(&Options::parse()) {
        eprintln!("persistence: {error}");
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
            Part::Save => ("save", save(options, &specs)?),
            Part::Load => ("load", load(options, &specs)?),
            Part::Log => ("log", log(options, &specs)?),
        };
        figures.insert(name.to_owned(), results);
        println!();
    }
    if let Some(path) = &options.common.json {
        write_json(path, &Value::Object(figures))?;
    }
    Ok(())
}

/// What is filled for a data set: requests, how many of each.
fn fillings(mix: bool, keys: u64) -> Vec<(Request, u64)> {
    const N: &str = "000000000000";
    if !mix {
        return vec![(Request::set(VALUE_BYTES), keys)];
    }
    let of = |words: String| Request::of(&words, Expected::Any);
    let few = keys.div_ceil(10);
    vec![
        (Request::set(VALUE_BYTES), keys.div_ceil(2)),
        (
            of(format!("HSET hash:{N} name Alice city Berlin plan basic")),
            few,
        ),
        (
            of(format!("SADD set:{N} 1000001 1000002 1000003 1000004")),
            few,
        ),
        (of(format!("ZADD zset:{N} 1 one 2 two 3 three")), few),
        (of(format!("RPUSH list:{N} first second third fourth")), few),
        (of(format!("HSET big field:{N} value:{N}")), few),
        (of(format!("ZADD ranking {N} member:{N}")), few),
    ]
}

fn fill(server: &Server, fillings: &[(Request, u64)]) -> Result<()> {
    let mut load = Load::connect(server.address(), FILL_CONNECTIONS)?;
    for (request, count) in fillings {
        let (mut keys, until) = (Keys::in_order(*count), Until::Requests(*count));
        load.run(request, FILL_PIPELINE, &mut keys, until, &mut latencies())?;
    }
    Ok(())
}

/// Begins a snapshot, and waits for its end; gives the time.
fn bgsave(server: &Server, mut meanwhile: impl FnMut()) -> Result<Duration> {
    let begin = Instant::now();
    let reply = server.ask("BGSAVE")?;
    if reply != "+Background saving started" {
        return Err(format!("BGSAVE answers {reply:?}").into());
    }
    loop {
        let running = server.info("persistence", "rdb_bgsave_in_progress")?;
        if running == "0" {
            break;
        }
        meanwhile();
        sleep(LOOK);
    }
    let took = begin.elapsed();
    if server.info("persistence", "rdb_last_bgsave_status")? != "ok" {
        return Err("the snapshot failed".into());
    }
    Ok(took)
}

fn save(options: &Options, specs: &[ServerSpec]) -> Result<Value> {
    println!(
        "BGSAVE of {} keys; load: SET of all keys over {} connections, one at a time each",
        options.keys, options.connections
    );
    let table = Table::start(&[
        ("save", 8),
        ("server", 10),
        ("idle s", 7),
        ("loaded s", 8),
        ("ratio", 5),
        ("kreq/s", 7),
        ("p99.9 us", 8),
        ("max us", 8),
        ("calm", 8),
        ("queue%", 6),
        ("extra MB", 8),
    ]);
    let mut results = Vec::new();
    for (name, mix) in [("strings", false), ("mix", true)] {
        let mut reference = None;
        for spec in specs {
            let server = Server::start(spec, &options.common.server_core, &[])?;
            fill(&server, &fillings(mix, options.keys))?;
            let idle = bgsave(&server, || ())?.as_secs_f64();
            let before = server.resident_bytes()?;
            let peak = AtomicU64::new(before);
            let ended = AtomicBool::new(false);
            let mut load = Load::connect(server.address(), usize::from(options.connections))?;
            // The same load when nothing is saved: what the machine adds by itself.
            let mut calm = latencies();
            let until = Until::Elapsed(CALM);
            let mut keys = Keys::in_order(options.keys);
            load.run(&Request::set(VALUE_BYTES), 1, &mut keys, until, &mut calm)?;
            let mut histogram = latencies();
            let cpu = server.cpu_time()?;
            let (loaded, requests, seconds) = std::thread::scope(|scope| {
                let watcher = scope.spawn(|| {
                    let took = bgsave(&server, || {
                        let now = server.resident_with_children().unwrap_or(0);
                        peak.fetch_max(now, Ordering::Relaxed);
                    });
                    ended.store(true, Ordering::Relaxed);
                    took.map_err(|error| error.to_string())
                });
                let mut keys = Keys::in_order(options.keys);
                let (begin, mut requests) = (Instant::now(), 0);
                while !ended.load(Ordering::Relaxed) {
                    let request = Request::set(VALUE_BYTES);
                    let until = Until::Elapsed(BURST);
                    requests += load
                        .run(&request, 1, &mut keys, until, &mut histogram)?
                        .requests;
                }
                let seconds = begin.elapsed().as_secs_f64();
                let took = watcher.join().map_err(|_| "the watcher panicked")??;
                Ok((took, requests, seconds))
            })
            .map_err(|error: Box<dyn std::error::Error>| format!("{}: {error}", spec.name))?;
            let loaded = loaded.as_secs_f64();
            let queued = (server.cpu_time()? - cpu).queued_ns as f64;
            let ratio = idle / *reference.get_or_insert(idle);
            let extra = peak.load(Ordering::Relaxed).saturating_sub(before);
            let tail_us = histogram.value_at_quantile(0.999) as f64 / 1e3;
            let max_us = histogram.max() as f64 / 1e3;
            let calm_us = calm.max() as f64 / 1e3;
            table.row(&[
                name.to_owned(),
                spec.name.clone(),
                format!("{idle:.2}"),
                format!("{loaded:.2}"),
                format!("{ratio:.3}"),
                format!("{:.1}", requests as f64 / seconds / 1e3),
                format!("{tail_us:.0}"),
                format!("{max_us:.0}"),
                format!("{calm_us:.0}"),
                format!("{:.0}", queued / 1e7 / seconds),
                format!("{:.1}", extra as f64 / 1e6),
            ]);
            results.push(json!({
                "data": name,
                "server": spec.name,
                "idle_seconds": idle,
                "loaded_seconds": loaded,
                "requests_per_second": requests as f64 / seconds,
                "p999_us": tail_us,
                "max_us": max_us,
                "calm_max_us": calm_us,
                "extra_bytes": extra,
            }));
        }
    }
    Ok(Value::Array(results))
}

fn load(options: &Options, specs: &[ServerSpec]) -> Result<Value> {
    println!(
        "{} keys, from the start of the program to its first PONG",
        options.keys
    );
    let table = Table::start(&[("load", 8), ("server", 10), ("seconds", 8), ("ratio", 5)]);
    let mut results = Vec::new();
    for (name, arguments) in [("snapshot", &[][..]), ("log", &["--appendonly", "yes"][..])] {
        let mut reference = None;
        for spec in specs {
            let server = Server::start(spec, &options.common.server_core, arguments)?;
            fill(&server, &fillings(false, options.keys))?;
            if arguments.is_empty() {
                bgsave(&server, || ())?;
            } else {
                // Until the last of it has been written.
                sleep(Duration::from_secs(2));
            }
            let directory = server.end()?;
            let dir = directory.path().to_string_lossy().into_owned();
            let again = [arguments, &["--dir", &dir]].concat();
            let begin = Instant::now();
            let server = Server::start(spec, &options.common.server_core, &again)?;
            let seconds = begin.elapsed().as_secs_f64();
            server.expect_keys(options.keys)?;
            let ratio = seconds / *reference.get_or_insert(seconds);
            table.row(&[
                name.to_owned(),
                spec.name.clone(),
                format!("{seconds:.2}"),
                format!("{ratio:.3}"),
            ]);
            results.push(json!({"from": name, "server": spec.name, "seconds": seconds}));
        }
    }
    Ok(Value::Array(results))
}

fn log(options: &Options, specs: &[ServerSpec]) -> Result<Value> {
    println!(
        "SET over {} connections with an append-only file, {} rounds of {} s",
        options.connections, options.rounds, options.seconds
    );
    let table = Table::start(&[
        ("log", 12),
        ("server", 10),
        ("kreq/s", 7),
        ("ratio", 5),
        ("CPU us/req", 10),
        ("CPU ratio", 9),
    ]);
    let mut results = Vec::new();
    for (policy, pipeline) in [
        ("everysec", 1),
        ("everysec", 16),
        ("always", 1),
        ("always", 16),
    ] {
        let mut taken = vec![(Vec::new(), Vec::new()); specs.len()];
        for _ in 0..options.rounds {
            for (spec, (rates, costs)) in specs.iter().zip(&mut taken) {
                let extra = ["--appendonly", "yes", "--appendfsync", policy];
                let server = Server::start(spec, &options.common.server_core, &extra)?;
                let mut load = Load::connect(server.address(), usize::from(options.connections))?;
                let cpu = server.cpu_time()?;
                let until = Until::Elapsed(Duration::from_secs_f64(options.seconds));
                let mut keys = Keys::in_order(100_000);
                let request = Request::set(VALUE_BYTES);
                let run = load.run(&request, pipeline, &mut keys, until, &mut latencies())?;
                let cost = (server.cpu_time()? - cpu).busy_ns as f64;
                rates.push(run.requests as f64 / run.elapsed.as_secs_f64());
                costs.push(cost / 1e3 / run.requests as f64);
            }
        }
        let first = taken[0].clone();
        let compared = |of: &[f64], to: &[f64]| median(of.iter().zip(to).map(|(a, b)| a / b));
        for (spec, (rates, costs)) in specs.iter().zip(&taken) {
            let rate = median(rates.iter().copied());
            let cost = median(costs.iter().copied());
            let (ratio, cpu_ratio) = (compared(rates, &first.0), compared(&first.1, costs));
            table.row(&[
                format!("{policy}-p{pipeline}"),
                spec.name.clone(),
                format!("{:.1}", rate / 1e3),
                format!("{ratio:.2}"),
                format!("{cost:.2}"),
                format!("{cpu_ratio:.2}"),
            ]);
            results.push(json!({
                "policy": policy,
                "pipeline": pipeline,
                "server": spec.name,
                "requests_per_second": rate,
                "ratio": ratio,
                "cpu_ratio": cpu_ratio,
            }));
        }
    }
    Ok(Value::Array(results))
}
