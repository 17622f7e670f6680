//! Requests per second and per second of server CPU, against a reference server.
//!
//! `cargo bench --bench throughput -- --help` lists the options. Servers are pinned to one core,
//! the generator to another; they take turns in short rounds of fresh processes, in alternating
//! order, so that a change of the machine meets all of them. The figure to trust is the ratio of
//! requests per server CPU second, taken within a round, medians over pairs of rounds.
//! A server against itself shows the noise of the machine, its distance from 1.00:
//! `--server a=redis-server --server b=redis-server`.
//! Throughput and latency are medians over rounds; on a busy machine look at `queue` first, the
//! share of the time in which the server was ready and something else had its core.

mod support;

use std::time::Duration;

use clap::Parser;
use hdrhistogram::Histogram;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde_json::{Value, json};

use support::load::{Load, Run, Until, latencies};
use support::report::{Table, extremes, median, write_json};
use support::request::{Keys, Request};
use support::server::{Server, ServerSpec};
use support::usage::{self, CpuTime};
use support::{Common, Result};

/// Pipeline depth of the preloading.
const FILL_PIPELINE: usize = 64;
/// Part of a round that runs first and is not counted: the caches belong to the other server.
const WARM_UP: f64 = 0.2;

/// Compares servers by requests per second and per second of their CPU time.
#[derive(Parser, Debug)]
#[command(name = "throughput")]
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
    /// Only workloads whose name contains one of these: get-16, get-1024, set-16, set-1024, incr.
    #[arg(long, value_delimiter = ',')]
    filter: Vec<String>,
    /// Connections of the generator.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Requests per batch, several depths separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64",
          value_parser = clap::value_parser!(u16).range(1..))]
    pipelines: Vec<u16>,
    /// Number of keys, all of them loaded before the first round.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    keys: u64,
}

/// What is loaded before the rounds, and the requests that then run on it.
struct Dataset {
    fill: Request,
    workloads: Vec<(String, Request)>,
}

/// A running server with its connections.
struct Contestant<'a> {
    spec: &'a ServerSpec,
    server: Server,
    load: Load,
}

/// The figures of one server in one round.
struct Sample {
    run: Run,
    cpu: CpuTime,
    generator: CpuTime,
    latencies: Histogram<u64>,
}

impl Sample {
    fn requests_per_second(&self) -> f64 {
        self.run.requests as f64 / self.run.elapsed.as_secs_f64()
    }

    fn cpu_us_per_request(&self) -> f64 {
        self.cpu.busy_ns as f64 / 1e3 / self.run.requests as f64
    }

    fn quantile_us(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1e3
    }

    /// `part_ns` in percent of the round.
    fn percent(&self, part_ns: u64) -> f64 {
        part_ns as f64 / self.run.elapsed.as_nanos() as f64 * 100.0
    }

    fn to_json(&self) -> Value {
        json!({
            "requests": self.run.requests,
            "seconds": self.run.elapsed.as_secs_f64(),
            "server_cpu_ns": self.cpu.busy_ns,
            "server_queued_ns": self.cpu.queued_ns,
            "generator_cpu_ns": self.generator.busy_ns,
            "p50_us": self.quantile_us(0.5),
            "p99_us": self.quantile_us(0.99),
            "p999_us": self.quantile_us(0.999),
        })
    }
}

fn main() {
    if let Err(error) = bench(&Options::parse()) {
        eprintln!("throughput: {error}");
        std::process::exit(1);
    }
}

fn bench(options: &Options) -> Result<()> {
    options.common.prepare()?;
    let datasets = selected(options)?;
    let specs = options.common.servers();
    println!(
        "{} keys, {} connections, {} rounds of {} s; ratio: requests per server CPU second \
         against {}",
        options.keys, options.connections, options.rounds, options.seconds, specs[0].name
    );
    let name_width = specs.iter().map(|spec| spec.name.len()).max().unwrap_or(0);
    let table = Table::start(&[
        ("workload", 12),
        ("server", name_width),
        ("kreq/s", 7),
        ("cpu us/req", 10),
        ("ratio", 5),
        ("lowest-highest", 14),
        ("p50 us", 7),
        ("p99 us", 7),
        ("p99.9 us", 8),
        ("busy%", 5),
        ("queue%", 5),
        ("gen%", 4),
    ]);
    let mut ratios = Vec::new();
    let mut figures = Vec::new();
    for dataset in &datasets {
        for measured in measure(dataset, &specs, options)? {
            let workload = format!("{}-p{}", measured.name, measured.pipeline);
            for (index, spec) in specs.iter().enumerate() {
                let ratio = print_row(&table, &workload, spec, &measured.rounds, index);
                if index > 0 {
                    ratios.push((measured.pipeline, index, ratio));
                }
                figures.push(json!({
                    "workload": measured.name,
                    "pipeline": measured.pipeline,
                    "server": spec.name,
                    "ratio": ratio,
                    "rounds": measured
                        .rounds
                        .iter()
                        .map(|round| round[index].to_json())
                        .collect::<Vec<_>>(),
                }));
            }
        }
    }
    summarize(options, &specs, &ratios);
    if let Some(path) = &options.common.json {
        let figures = json!({
            "keys": options.keys,
            "connections": options.connections,
            "reference": specs[0].name,
            "results": figures,
        });
        write_json(path, &figures)?;
    }
    Ok(())
}

/// The datasets with the workloads that the filter leaves.
fn selected(options: &Options) -> Result<Vec<Dataset>> {
    let mut datasets = vec![
        Dataset {
            fill: Request::set(16),
            workloads: vec![
                ("get-16".to_owned(), Request::get(16)),
                ("set-16".to_owned(), Request::set(16)),
            ],
        },
        Dataset {
            fill: Request::incr(),
            workloads: vec![("incr".to_owned(), Request::incr())],
        },
        Dataset {
            fill: Request::set(1024),
            workloads: vec![
                ("get-1024".to_owned(), Request::get(1024)),
                ("set-1024".to_owned(), Request::set(1024)),
            ],
        },
    ];
    if !options.filter.is_empty() {
        for dataset in &mut datasets {
            dataset
                .workloads
                .retain(|(name, _)| options.filter.iter().any(|part| name.contains(part)));
        }
        datasets.retain(|dataset| !dataset.workloads.is_empty());
    }
    if datasets.is_empty() {
        return Err("no workload matches the filter".into());
    }
    if options.seconds.is_nan() || options.seconds < 0.01 || options.seconds > 3600.0 {
        return Err("--seconds must be between 0.01 and 3600".into());
    }
    Ok(datasets)
}

impl<'a> Contestant<'a> {
    /// Starts the server, opens the connections and loads all keys.
    fn start(spec: &'a ServerSpec, options: &Options, dataset: &Dataset) -> Result<Self> {
        let server = Server::start(spec, &options.common.server_core, &[])?;
        let mut load = Load::connect(server.address(), usize::from(options.connections))?;
        load.run(
            &dataset.fill,
            FILL_PIPELINE,
            &mut Keys::in_order(options.keys),
            Until::Requests(options.keys),
            &mut latencies(),
        )
        .map_err(|error| format!("{}: {error}", spec.name))?;
        server.expect_keys(options.keys)?;
        Ok(Contestant { spec, server, load })
    }

    /// One server's part of a round.
    fn turn(
        &mut self,
        options: &Options,
        request: &Request,
        pipeline: u16,
        keys: &mut Keys,
    ) -> Result<Sample> {
        let pipeline = usize::from(pipeline);
        let mut histogram = latencies();
        let warm_up = Until::Elapsed(Duration::from_secs_f64(options.seconds * WARM_UP));
        self.load
            .run(request, pipeline, keys, warm_up, &mut histogram)?;
        histogram.reset();
        let before = (
            self.server.cpu_time()?,
            usage::cpu_time(std::process::id())?,
        );
        let counted = Until::Elapsed(Duration::from_secs_f64(options.seconds));
        let run = self
            .load
            .run(request, pipeline, keys, counted, &mut histogram)?;
        Ok(Sample {
            run,
            cpu: self.server.cpu_time()? - before.0,
            generator: usage::cpu_time(std::process::id())? - before.1,
            latencies: histogram,
        })
    }
}

/// One workload at one pipeline depth.
struct Measured<'a> {
    name: &'a str,
    request: &'a Request,
    pipeline: u16,
    /// Per round one sample of every server, in the order of the servers.
    rounds: Vec<Vec<Sample>>,
}

/// All rounds of a dataset's workloads.
///
/// Every round has servers of its own. Which pages the kernel hands a process makes it up to a
/// tenth faster or slower for its whole life, in a way that follows the order of the starts; more
/// rounds of the same processes would only repeat that with confidence.
fn measure<'a>(
    dataset: &'a Dataset,
    specs: &[ServerSpec],
    options: &Options,
) -> Result<Vec<Measured<'a>>> {
    let mut all = Vec::new();
    for (name, request) in &dataset.workloads {
        for &pipeline in &options.pipelines {
            all.push(Measured {
                name,
                request,
                pipeline,
                rounds: Vec::new(),
            });
        }
    }
    for round in 0..options.rounds {
        let mut order: Vec<usize> = (0..specs.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        let mut contestants = order
            .iter()
            .map(|&index| Contestant::start(&specs[index], options, dataset))
            .collect::<Result<Vec<_>>>()?;
        for measured in &mut all {
            let mut samples = contestants
                .iter_mut()
                .map(|contestant| {
                    // The same keys in the same order for every server.
                    let mut keys = Keys::Random {
                        rng: SmallRng::seed_from_u64(u64::from(round)),
                        count: options.keys,
                    };
                    contestant
                        .turn(options, measured.request, measured.pipeline, &mut keys)
                        .map_err(|error| format!("{}: {error}", contestant.spec.name).into())
                })
                .collect::<Result<Vec<_>>>()?;
            if round % 2 == 1 {
                // Back to the order of the servers.
                samples.reverse();
            }
            measured.rounds.push(samples);
        }
    }
    Ok(all)
}

/// The median over pairs of neighbouring rounds, which differ in their order, of the geometric
/// mean of their ratios: whatever favours the server that comes first cancels out in a pair.
fn balanced(ratios: &[f64]) -> f64 {
    median(ratios.chunks(2).map(|pair| {
        let logarithms: f64 = pair.iter().map(|ratio| ratio.ln()).sum();
        (logarithms / pair.len() as f64).exp()
    }))
}

/// Prints the medians of one server; its ratio to the reference.
fn print_row(
    table: &Table,
    workload: &str,
    spec: &ServerSpec,
    rounds: &[Vec<Sample>],
    index: usize,
) -> f64 {
    let middle =
        |figure: &dyn Fn(&Sample) -> f64| median(rounds.iter().map(|round| figure(&round[index])));
    let ratios: Vec<f64> = rounds
        .iter()
        .map(|round| round[0].cpu_us_per_request() / round[index].cpu_us_per_request())
        .collect();
    let ratio = balanced(&ratios);
    let (lowest, highest) = extremes(ratios);
    let first = index == 0;
    table.row(&[
        if first { workload } else { "" }.to_owned(),
        spec.name.clone(),
        format!("{:.1}", middle(&|s| s.requests_per_second() / 1e3)),
        format!("{:.3}", middle(&Sample::cpu_us_per_request)),
        format!("{ratio:.2}"),
        if first {
            String::new()
        } else {
            format!("{lowest:.2}-{highest:.2}")
        },
        format!("{:.0}", middle(&|s| s.quantile_us(0.5))),
        format!("{:.0}", middle(&|s| s.quantile_us(0.99))),
        format!("{:.0}", middle(&|s| s.quantile_us(0.999))),
        format!("{:.0}", middle(&|s| s.percent(s.cpu.busy_ns))),
        format!("{:.0}", middle(&|s| s.percent(s.cpu.queued_ns))),
        format!("{:.0}", middle(&|s| s.percent(s.generator.busy_ns))),
    ]);
    ratio
}

/// One line per server and pipeline depth: the lowest and the median ratio of its workloads.
fn summarize(options: &Options, specs: &[ServerSpec], ratios: &[(u16, usize, f64)]) {
    for (index, spec) in specs.iter().enumerate().skip(1) {
        for &pipeline in &options.pipelines {
            let depth: Vec<f64> = ratios
                .iter()
                .filter(|entry| entry.0 == pipeline && entry.1 == index)
                .map(|entry| entry.2)
                .collect();
            println!(
                "{} against {}, pipeline {pipeline}: lowest {:.2}, median {:.2}",
                spec.name,
                specs[0].name,
                extremes(depth.iter().copied()).0,
                median(depth),
            );
        }
    }
}
