//! Commands on collections: requests per second of server CPU, against a reference server.
//!
//! `cargo bench --bench collections -- --help` lists the options. As in the bench `throughput`,
//! servers are pinned to one core, the generator to another; they take turns in rounds of fresh
//! processes, in alternating order, and the figure to trust is the ratio of requests per server
//! CPU second, taken within a round, its median over the rounds.

mod support;

use std::time::Duration;

use clap::Parser;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde_json::json;

use support::load::{Load, Until, latencies};
use support::report::{Table, extremes, median, write_json};
use support::request::{Keys, Request};
use support::scan::Expected;
use support::server::{Server, ServerSpec};
use support::{Common, Result, in_turns};

/// Pipeline depth of the preloading.
const FILL_PIPELINE: usize = 64;
/// Part of a turn that runs first and is not counted.
const WARM_UP: f64 = 0.2;

/// Compares servers by commands on collections per second of their CPU time.
#[derive(Parser, Debug)]
#[command(name = "collections")]
struct Options {
    #[command(flatten)]
    common: Common,
    /// Seconds per server, workload and round.
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// Rounds per workload, each with fresh servers.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only workloads whose name contains one of these.
    #[arg(long, value_delimiter = ',')]
    filter: Vec<String>,
    /// Connections of the generator.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
}

/// What is measured.
struct Workload {
    name: &'static str,
    /// What is loaded before, and how many of it.
    fill: Vec<(Request, u64)>,
    request: Request,
    /// Numbers that the request's digits are drawn from.
    numbers: u64,
    pipeline: usize,
    /// At most so many of the connections send.
    connections: u16,
}

impl Workload {
    /// `request` over `numbers`, after `fill` with each number below its count.
    fn new(name: &'static str, request: &str, numbers: u64, fill: &[(&str, u64)]) -> Workload {
        let of = |words: &str| Request::of(words, Expected::Any);
        Workload {
            name,
            fill: fill
                .iter()
                .map(|(words, count)| (of(words), *count))
                .collect(),
            request: of(request),
            numbers,
            pipeline: 16,
            connections: u16::MAX,
        }
    }
}

const N: &str = "000000000000";
const MILLION: u64 = 1_000_000;

fn workloads() -> Vec<Workload> {
    let element = format!("element:{N}");
    let list = format!("RPUSH list {element}");
    let set = format!("SADD set {element}");
    let zset = format!("ZADD zset {N} {element}");
    let fields: Vec<String> = (0..100).map(|i| format!("field:{i} value:{i}")).collect();
    let hash = format!("HSET hash:{N} {}", fields.join(" "));
    // By score, since Redis takes no rank with leading zeros.
    let zrange = format!("ZRANGE zset {N} +inf BYSCORE LIMIT 0 100");
    let both = [
        ("SADD a 100000000000", 100_000),
        ("SADD b 100000050000", 100_000),
    ];
    let texts = [
        ("SADD a member:000000000000", 100_000),
        ("SADD b member:000000050000", 100_000),
    ];
    fn million(words: &str) -> [(&str, u64); 1] {
        [(words, MILLION)]
    }
    let mut all = vec![
        Workload::new("lpush", &format!("LPUSH list {element}"), MILLION, &[]),
        Workload::new("rpop", "RPOP list", 1, &million(&list)),
        Workload::new("lrange-100", "LRANGE list 0 99", 1, &[(&list, 1000)]),
        Workload::new("lrange-300", "LRANGE list 0 299", 1, &[(&list, 1000)]),
        Workload::new("lrange-600", "LRANGE list 0 599", 1, &[(&list, 1000)]),
        Workload::new("sadd", &set, MILLION, &[]),
        Workload::new(
            "sadd-small",
            &format!("SADD set:{N} 100000000000"),
            100_000,
            &[],
        ),
        Workload::new("spop", "SPOP set", 1, &million(&set)),
        Workload::new("hset", &format!("HSET hash {element} value"), MILLION, &[]),
        Workload::new(
            "hset-small",
            &format!("HSET hash:{N} field value:{N}"),
            100_000,
            &[],
        ),
        Workload::new(
            "hgetall-100",
            &format!("HGETALL hash:{N}"),
            1000,
            &[(&hash, 1000)],
        ),
        Workload::new("zadd", &zset, MILLION, &[]),
        Workload::new(
            "zadd-small",
            &format!("ZADD zset:{N} {N} member"),
            100_000,
            &[],
        ),
        Workload::new("zpopmin", "ZPOPMIN zset", 1, &million(&zset)),
        Workload::new("zrange-100", &zrange, MILLION - 100, &million(&zset)),
        Workload::new(
            "zrank",
            &format!("ZRANK zset {element}"),
            MILLION,
            &million(&zset),
        ),
    ];
    for (name, fill) in [("sinter-ints", both), ("sinter-texts", texts)] {
        all.push(Workload {
            pipeline: 1,
            connections: 2,
            ..Workload::new(name, "SINTER a b", 1, &fill)
        });
    }
    all
}

/// Requests per second and CPU microseconds per request of one server in one round.
struct Sample {
    requests_per_second: f64,
    cpu_us: f64,
}

fn main() {
    if let Err(error) = bench(&Options::parse()) {
        eprintln!("collections: {error}");
        std::process::exit(1);
    }
}

fn bench(options: &Options) -> Result<()> {
    options.common.prepare()?;
    let chosen = |workload: &Workload| {
        let mut parts = options.filter.iter();
        options.filter.is_empty() || parts.any(|part| workload.name.contains(part.as_str()))
    };
    let workloads: Vec<Workload> = workloads().into_iter().filter(chosen).collect();
    if workloads.is_empty() {
        return Err("no workload matches the filter".into());
    }
    let specs = options.common.servers();
    println!(
        "{} connections, {} rounds of {} s; ratio: requests per server CPU second against {}",
        options.connections, options.rounds, options.seconds, specs[0].name
    );
    let width = specs.iter().map(|spec| spec.name.len()).max().unwrap_or(0);
    let table = Table::start(&[
        ("workload", 12),
        ("server", width),
        ("kreq/s", 7),
        ("cpu us/req", 10),
        ("ratio", 5),
        ("lowest-highest", 14),
    ]);
    let (mut lowest, mut figures) = (f64::INFINITY, Vec::new());
    for workload in &workloads {
        let rounds = in_turns(options.rounds, &specs, |spec, seed| {
            turn(workload, spec, options, seed)
        })?;
        for (index, spec) in specs.iter().enumerate() {
            let ratios = || {
                rounds
                    .iter()
                    .map(|round| round[0].cpu_us / round[index].cpu_us)
            };
            let ratio = median(ratios());
            let (low, high) = extremes(ratios());
            if index > 0 {
                lowest = lowest.min(ratio);
            }
            let speed = median(rounds.iter().map(|round| round[index].requests_per_second));
            let cpu_us = median(rounds.iter().map(|round| round[index].cpu_us));
            table.row(&[
                if index == 0 { workload.name } else { "" }.to_owned(),
                spec.name.clone(),
                format!("{:.1}", speed / 1e3),
                format!("{cpu_us:.3}"),
                format!("{ratio:.2}"),
                if index == 0 {
                    String::new()
                } else {
                    format!("{low:.2}-{high:.2}")
                },
            ]);
            figures.push(json!({
                "workload": workload.name,
                "server": spec.name,
                "ratio": ratio,
                "requests_per_second": speed,
                "cpu_us_per_request": cpu_us,
            }));
        }
    }
    println!("lowest ratio {lowest:.2}");
    if let Some(path) = &options.common.json {
        write_json(
            path,
            &json!({ "reference": specs[0].name, "results": figures }),
        )?;
    }
    Ok(())
}

/// One server's part of a round.
fn turn(workload: &Workload, spec: &ServerSpec, options: &Options, seed: u64) -> Result<Sample> {
    let server = Server::start(spec, &options.common.server_core, &[])?;
    let connections = options.connections.min(workload.connections);
    let mut load = Load::connect(server.address(), usize::from(connections))?;
    for (request, count) in &workload.fill {
        let (mut keys, until) = (Keys::in_order(*count), Until::Requests(*count));
        load.run(request, FILL_PIPELINE, &mut keys, until, &mut latencies())?;
    }
    // The same numbers in the same order for every server.
    let mut keys = Keys::Random {
        rng: SmallRng::seed_from_u64(seed),
        count: workload.numbers,
    };
    let (request, pipeline) = (&workload.request, workload.pipeline);
    let seconds = |part: f64| Until::Elapsed(Duration::from_secs_f64(options.seconds * part));
    load.run(
        request,
        pipeline,
        &mut keys,
        seconds(WARM_UP),
        &mut latencies(),
    )?;
    let before = server.cpu_time()?;
    let run = load.run(request, pipeline, &mut keys, seconds(1.0), &mut latencies())?;
    let cpu = server.cpu_time()? - before;
    Ok(Sample {
        requests_per_second: run.requests as f64 / run.elapsed.as_secs_f64(),
        cpu_us: cpu.busy_ns as f64 / 1e3 / run.requests as f64,
    })
}
