//! Scripts: requests per second of server CPU, against a reference server; and what calling a
//! script costs beyond the commands that it calls.
//!
//! `cargo bench --bench scripts -- --help` lists the options. As in the bench `throughput`,
//! servers are pinned to one core, the generator to another; they take turns in rounds of fresh
//! processes, in alternating order, and the figure to trust is the ratio of requests per server
//! CPU second, taken within a round, its median over the rounds.

mod support;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
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

/// Compares servers by scripts per second of their CPU time.
#[derive(Parser, Debug)]
#[command(name = "scripts")]
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
    /// The script; none: the command alone.
    script: Option<&'static str>,
    /// What follows the digest, or the command.
    words: &'static str,
    /// What is loaded before, once for each number.
    fill: Option<&'static str>,
    /// Numbers that the request's digits are drawn from, or go through where each serves once.
    numbers: u64,
    once: bool,
}

/// Releases a lock if it is still held by who asks.
const RELEASE: &str = "if redis.call('get', KEYS[1]) == ARGV[1] then \
                       return redis.call('del', KEYS[1]) else return 0 end";
/// Ten calls of ten commands.
const TEN_CALLS: &str = "
    local key, now = KEYS[1], ARGV[1]
    redis.call('SET', key, now)
    redis.call('INCR', key)
    redis.call('PEXPIRE', key, 60000)
    redis.call('HSET', KEYS[2], 'last', now)
    redis.call('HINCRBY', KEYS[2], 'count', 1)
    redis.call('HGET', KEYS[2], 'count')
    redis.call('LPUSH', KEYS[3], now)
    redis.call('LTRIM', KEYS[3], 0, 9)
    redis.call('ZADD', KEYS[4], now, key)
    return redis.call('ZCARD', KEYS[4])";
/// Numbers only.
const LOOP: &str = "local sum = 0 for i = 1, 1000 do sum = sum + i % 7 end return sum";
/// Tables and strings too.
const MIXED_LOOP: &str = "
    local words, count = {}, 0
    for i = 1, 100 do words[#words + 1] = 'word' .. i % 10 end
    for _, word in ipairs(words) do if word:sub(5) == '7' then count = count + 1 end end
    return count + #table.concat(words, ' ')";

const WORKLOADS: &[Workload] = &[
    Workload {
        name: "release",
        script: Some(RELEASE),
        words: "1 lock:000000000000 token-of-mine",
        fill: Some("SET lock:000000000000 token-of-mine"),
        numbers: 300_000,
        once: true,
    },
    Workload {
        name: "release-none",
        script: Some(RELEASE),
        words: "1 lock:000000000000 token-of-mine",
        fill: None,
        numbers: 1_000_000,
        once: false,
    },
    Workload {
        name: "ten-calls",
        script: Some(TEN_CALLS),
        words: "4 a:000000000000 b:000000000000 c:000000000000 d:000000000000 1732000000",
        fill: None,
        numbers: 10_000,
        once: false,
    },
    Workload {
        name: "loop",
        script: Some(LOOP),
        words: "0",
        fill: None,
        numbers: 1,
        once: false,
    },
    Workload {
        name: "mixed-loop",
        script: Some(MIXED_LOOP),
        words: "0",
        fill: None,
        numbers: 1,
        once: false,
    },
    Workload {
        name: "get",
        script: None,
        words: "GET key:000000000000",
        fill: Some("SET key:000000000000 abcdefghijklmnop"),
        numbers: 100_000,
        once: false,
    },
    Workload {
        name: "script-get",
        script: Some("return redis.call('GET', KEYS[1])"),
        words: "1 key:000000000000",
        fill: Some("SET key:000000000000 abcdefghijklmnop"),
        numbers: 100_000,
        once: false,
    },
    Workload {
        name: "ping",
        script: None,
        words: "PING",
        fill: None,
        numbers: 1,
        once: false,
    },
    Workload {
        name: "script-empty",
        script: Some("return 1"),
        words: "0",
        fill: None,
        numbers: 1,
        once: false,
    },
];

/// A workload, and the one that it is compared with: the same without a script.
const BEYOND: &[(&str, &str)] = &[("script-get", "get"), ("script-empty", "ping")];

/// Requests in a batch.
const PIPELINE: usize = 16;

/// Requests per second and CPU microseconds per request of one server in one round.
struct Sample {
    requests_per_second: f64,
    cpu_us: f64,
}

fn main() {
    if let Err(error) = bench(&Options::parse()) {
        eprintln!("scripts: {error}");
        std::process::exit(1);
    }
}

fn bench(options: &Options) -> Result<()> {
    options.common.prepare()?;
    let chosen = |workload: &&Workload| {
        let mut parts = options.filter.iter();
        options.filter.is_empty() || parts.any(|part| workload.name.contains(part.as_str()))
    };
    let workloads: Vec<&Workload> = WORKLOADS.iter().filter(chosen).collect();
    if workloads.is_empty() {
        return Err("no workload matches the filter".into());
    }
    let specs = options.common.servers();
    println!(
        "{} connections, pipeline {PIPELINE}, {} rounds of {} s; ratio: requests per server CPU \
         second against {}",
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
    let mut figures = Vec::new();
    let mut cpu = HashMap::new();
    for workload in workloads {
        let rounds = in_turns(options.rounds, &specs, |spec, seed| {
            turn(workload, spec, options, seed)
        })?;
        for (index, spec) in specs.iter().enumerate() {
            let ratios = || {
                let ratio = |round: &Vec<Sample>| round[0].cpu_us / round[index].cpu_us;
                rounds.iter().map(ratio)
            };
            let ratio = median(ratios());
            let (low, high) = extremes(ratios());
            let speed = median(rounds.iter().map(|round| round[index].requests_per_second));
            let cpu_us = median(rounds.iter().map(|round| round[index].cpu_us));
            cpu.insert((workload.name, index), cpu_us);
            let first = index == 0;
            table.row(&[
                if first { workload.name } else { "" }.to_owned(),
                spec.name.clone(),
                format!("{:.1}", speed / 1e3),
                format!("{cpu_us:.3}"),
                format!("{ratio:.2}"),
                if first {
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
    for (with, without) in BEYOND {
        for (index, spec) in specs.iter().enumerate() {
            let of = |name| cpu.get(&(name, index));
            if let (Some(with_us), Some(without_us)) = (of(*with), of(*without)) {
                let beyond = with_us - without_us;
                println!(
                    "{with} costs {beyond:.3} us beyond {without} in {}",
                    spec.name
                );
            }
        }
    }
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
    let mut words: Vec<&[u8]> = workload.words.split(' ').map(str::as_bytes).collect();
    let sha;
    if let Some(script) = workload.script {
        sha = load_script(server.address(), script)?;
        words.splice(0..0, [b"EVALSHA", &sha[..]]);
    }
    let request = Request::new(&words, Expected::Any);
    let mut load = Load::connect(server.address(), usize::from(options.connections))?;
    if let Some(fill) = workload.fill {
        let (mut keys, until) = (
            Keys::in_order(workload.numbers),
            Until::Requests(workload.numbers),
        );
        let fill = Request::of(fill, Expected::Any);
        load.run(&fill, FILL_PIPELINE, &mut keys, until, &mut latencies())?;
    }
    // The same numbers in the same order for every server.
    let mut keys = match workload.once {
        true => Keys::in_order(workload.numbers),
        false => Keys::Random {
            rng: SmallRng::seed_from_u64(seed),
            count: workload.numbers,
        },
    };
    let part = |part: f64| match workload.once {
        true => Until::Requests((workload.numbers as f64 / (1.0 + WARM_UP) * part) as u64),
        false => Until::Elapsed(Duration::from_secs_f64(options.seconds * part)),
    };
    load.run(
        &request,
        PIPELINE,
        &mut keys,
        part(WARM_UP),
        &mut latencies(),
    )?;
    let before = server.cpu_time()?;
    let run = load.run(&request, PIPELINE, &mut keys, part(1.0), &mut latencies())?;
    let cpu = server.cpu_time()? - before;
    Ok(Sample {
        requests_per_second: run.requests as f64 / run.elapsed.as_secs_f64(),
        cpu_us: cpu.busy_ns as f64 / 1e3 / run.requests as f64,
    })
}

/// Has a server keep a script; its digest.
fn load_script(address: SocketAddr, script: &str) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    let request = Request::new(&[b"SCRIPT", b"LOAD", script.as_bytes()], Expected::Any);
    stream.write_all(&request.batch(1))?;
    let mut reply = [0; 47];
    stream.read_exact(&mut reply)?;
    if !reply.starts_with(b"$40\r\n") {
        return Err(reply.escape_ascii().to_string().into());
    }
    Ok(reply[5..45].to_vec())
}
