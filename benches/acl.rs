//! GET as a user with 20 rules, and as one with all rights, against a reference server.
//!
//! `cargo bench --bench acl -- --help` lists the options. The figure to trust is the ratio of
//! requests per server CPU second; see `throughput` for how servers take turns.

mod support;

use std::time::Duration;

use clap::Parser;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde_json::json;

use support::load::{Load, Until, latencies};
use support::report::{Table, extremes, median, write_json};
use support::request::{Keys, Request};
use support::server::Server;
use support::{Common, Result};

/// 20 rules; the pattern that fits comes last but one.
const RULES: &str = "ACL SETUSER default resetkeys resetchannels -@all +@read +@write -keys \
                     -flushall +select|0 ~user:* ~session:* ~cart:* %R~price:* %R~stock:* \
                     ~job:* ~lock:* %W~log:* ~cache:* ~queue:* %RW~temp:* ~key:* &news:*";
const VALUE_BYTES: usize = 16;
const FILL_PIPELINE: usize = 64;
/// Part of a round that runs first and is not counted.
const WARM_UP: f64 = 0.2;

/// Compares servers by requests per second of their CPU time under ACL rules.
#[derive(Parser, Debug)]
#[command(name = "acl")]
struct Options {
    #[command(flatten)]
    common: Common,
    /// Seconds per server, workload and round.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Rounds per workload, each with fresh servers.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Connections of the generator.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Requests per batch, several depths separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "1,16",
          value_parser = clap::value_parser!(u16).range(1..))]
    pipelines: Vec<u16>,
    /// Number of keys.
    #[arg(long, default_value_t = 100_000)]
    keys: u64,
}

fn main() {
    if let Err(error) = bench(&Options::parse()) {
        eprintln!("acl: {error}");
        std::process::exit(1);
    }
}

fn bench(options: &Options) -> Result<()> {
    options.common.prepare()?;
    let specs = options.common.servers();
    let table = Table::start(&[
        ("user", 8),
        ("pipeline", 8),
        ("server", 12),
        ("cpu us/req", 10),
        ("ratio", 5),
        ("lowest-highest", 14),
    ]);
    let mut figures = Vec::new();
    for (user, rules) in [("all", None), ("20 rules", Some(RULES))] {
        for &pipeline in &options.pipelines {
            // Per server the CPU time of a request in each round, microseconds.
            let mut costs: Vec<Vec<f64>> = vec![Vec::new(); specs.len()];
            for round in 0..options.rounds {
                let mut order: Vec<usize> = (0..specs.len()).collect();
                if round % 2 == 1 {
                    order.reverse();
                }
                for index in order {
                    let server = Server::start(&specs[index], &options.common.server_core, &[])?;
                    costs[index].push(turn(options, &server, rules, pipeline, round)?);
                }
            }
            for (index, spec) in specs.iter().enumerate() {
                let pairs = costs[0].iter().zip(&costs[index]);
                let ratios: Vec<f64> = pairs.map(|(reference, own)| reference / own).collect();
                figures.push(json!({
                    "user": user,
                    "pipeline": pipeline,
                    "server": spec.name,
                    "cpu_us_per_request": costs[index],
                    "ratios": ratios,
                }));
                let (lowest, highest) = extremes(ratios.iter().copied());
                table.row(&[
                    user.to_owned(),
                    pipeline.to_string(),
                    spec.name.clone(),
                    format!("{:.3}", median(costs[index].iter().copied())),
                    format!("{:.2}", median(ratios)),
                    format!("{lowest:.2}-{highest:.2}"),
                ]);
            }
        }
    }
    if let Some(path) = &options.common.json {
        write_json(path, &json!({ "keys": options.keys, "results": figures }))?;
    }
    Ok(())
}

/// The CPU time that a request costs one server in one round, microseconds.
fn turn(
    options: &Options,
    server: &Server,
    rules: Option<&str>,
    pipeline: u16,
    round: u32,
) -> Result<f64> {
    let mut load = Load::connect(server.address(), usize::from(options.connections))?;
    let fill = Request::set(VALUE_BYTES);
    let mut in_order = Keys::in_order(options.keys);
    let all = Until::Requests(options.keys);
    load.run(&fill, FILL_PIPELINE, &mut in_order, all, &mut latencies())?;
    if let Some(rules) = rules {
        let reply = server.ask(rules)?;
        if reply != "+OK" {
            return Err(format!("{rules}: {reply}").into());
        }
    }
    let get = Request::get(VALUE_BYTES);
    let pipeline = usize::from(pipeline);
    let mut keys = Keys::Random {
        rng: SmallRng::seed_from_u64(u64::from(round)),
        count: options.keys,
    };
    let seconds = |share: f64| Until::Elapsed(Duration::from_secs_f64(options.seconds * share));
    load.run(
        &get,
        pipeline,
        &mut keys,
        seconds(WARM_UP),
        &mut latencies(),
    )?;
    let before = server.cpu_time()?;
    let run = load.run(&get, pipeline, &mut keys, seconds(1.0), &mut latencies())?;
    let spent = server.cpu_time()? - before;
    Ok(spent.busy_ns as f64 / 1e3 / run.requests as f64)
}
