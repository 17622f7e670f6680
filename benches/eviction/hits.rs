//! Hit ratios of lru and lfu over traces.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::Options;
use super::picture::{Curve, Panel, draw};
use super::support::Result;
use super::support::report::Table;
use super::support::server::{Server, ServerSpec};

/// Keys that a trace reads.
const KEYS: usize = 40_000;
/// Bytes of a value: the buffers of a connection are little beside the keys.
const VALUE_BYTES: usize = 1000;
/// Batches between two looks at how many keys there are.
const BATCHES_PER_LOOK: usize = 50;
/// Sizes of the cache, as parts of that.
const SIZES: [f64; 4] = [0.05, 0.1, 0.2, 0.4];
/// How unevenly keys are read.
const ZIPF: f64 = 0.9;
/// How often a limit is tried.
const TRIES: usize = 8;
/// Reads sent at a time.
const BATCH: usize = 20;
/// Keys of a scan, read once in a row.
const SCAN: u32 = 1000;
/// Part of the reads of a mixed trace that belong to scans.
const SCANNING: f64 = 0.25;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trace {
    Zipf,
    Scans,
}

impl Trace {
    fn name(self) -> &'static str {
        match self {
            Trace::Zipf => "zipf",
            Trace::Scans => "zipf with scans",
        }
    }
}

/// The keys of a trace one after the other; the same for every server.
struct Reads {
    trace: Trace,
    rng: SmallRng,
    /// The chance of a key or one before it.
    sums: Vec<f64>,
    /// Keys left of the current scan.
    scanning: u32,
    next_scanned: u64,
}

impl Reads {
    fn new(trace: Trace) -> Reads {
        let mut sum = 0.0;
        let sums = (1..=KEYS).map(|rank| {
            sum += (rank as f64).powf(-ZIPF);
            sum
        });
        Reads {
            trace,
            rng: SmallRng::seed_from_u64(1),
            sums: sums.collect(),
            scanning: 0,
            next_scanned: 1 << 32,
        }
    }

    fn next(&mut self) -> u64 {
        let begins = SCANNING / (1.0 - SCANNING) / f64::from(SCAN);
        if self.trace == Trace::Scans && self.scanning == 0 && self.rng.random_bool(begins) {
            self.scanning = SCAN;
        }
        if self.scanning > 0 {
            // Nobody reads these again.
            self.scanning -= 1;
            self.next_scanned += 1;
            return self.next_scanned;
        }
        let all = self.sums[KEYS - 1];
        let chosen = self.rng.random_range(0.0..all);
        let rank = self.sums.partition_point(|sum| *sum < chosen) as u64;
        // Ranks are no order that hashing or insertion could know.
        rank.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
    }
}

struct Client {
    stream: BufReader<TcpStream>,
    value: String,
}

impl Client {
    fn connect(server: &Server) -> Result<Client> {
        let stream = TcpStream::connect(server.address())?;
        stream.set_nodelay(true)?;
        Ok(Client {
            stream: BufReader::new(stream),
            value: "v".repeat(VALUE_BYTES),
        })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        if line.is_empty() || line.starts_with('-') && !line.starts_with("-1") {
            return Err(format!("an unexpected reply: {line}").into());
        }
        Ok(line)
    }

    fn send(&mut self, text: &str) -> Result<()> {
        Ok(self.stream.get_mut().write_all(text.as_bytes())?)
    }

    fn write(&mut self, keys: &[u64]) -> Result<()> {
        let sets = keys.iter();
        let sets = sets.map(|key| format!("SET key:{key:016} {}\r\n", self.value));
        let text: String = sets.collect();
        self.send(&text)?;
        keys.iter().try_for_each(|_| self.line().map(drop))
    }

    /// Reads keys; gives those that are not there.
    fn read(&mut self, keys: &[u64]) -> Result<Vec<u64>> {
        let gets = keys.iter().map(|key| format!("GET key:{key:016}\r\n"));
        let text: String = gets.collect();
        self.send(&text)?;
        let mut missing = Vec::new();
        for key in keys {
            if self.line()?.starts_with("$-1") {
                missing.push(*key);
            } else {
                self.line()?;
            }
        }
        missing.dedup();
        Ok(missing)
    }

    fn size(&mut self) -> Result<f64> {
        self.send("DBSIZE\r\n")?;
        Ok(self.line()?.trim_start_matches(':').trim().parse()?)
    }
}

/// Gives a server a limit at which so many keys fit: buffers and tables have
/// their part, too, so it is tried with keys that come, are read and go. The
/// trace begins with a full cache of keys that nobody wants.
fn limit(server: &Server, client: &mut Client, keys: usize) -> Result<()> {
    let mut next = 1 << 40;
    let mut write = |count: usize| {
        let all: Vec<u64> = (next..next + count as u64).collect();
        next += count as u64;
        all.chunks(BATCH).try_for_each(|some| {
            client.write(some)?;
            client.read(some).map(drop)
        })
    };
    let set = |bytes: f64| -> Result<()> {
        let reply = server.ask(&format!("CONFIG SET maxmemory {bytes:.0}"))?;
        if reply == "+OK" {
            Ok(())
        } else {
            Err(reply.into())
        }
    };
    let used = || -> Result<f64> { Ok(server.info("memory", "used_memory")?.parse()?) };
    let empty = used()?;
    write(keys)?;
    let mut limit = used()?;
    let each = (limit - empty) / keys as f64;
    for _ in 0..TRIES {
        set(limit)?;
        write(keys / 2)?;
        let there: f64 = server.ask("DBSIZE")?.trim_start_matches(':').parse()?;
        limit += (keys as f64 - there) * each;
    }
    set(limit)?;
    // None of those that stay has been read.
    server.ask("FLUSHALL")?;
    let unread: Vec<u64> = (1 << 50..(1 << 50) + 2 * keys as u64).collect();
    unread.chunks(BATCH).try_for_each(|some| client.write(some))
}

/// A server, a policy, a trace and a cache size: what they give.
#[derive(Clone)]
struct Case {
    server: usize,
    policy: &'static str,
    trace: Trace,
    size: f64,
}

/// What a case gave: the part of reads that hit, and the cache's mean size.
struct Outcome {
    hits: f64,
    keys: f64,
}

fn prepare(case: &Case, options: &Options, specs: &[ServerSpec]) -> Result<(Server, Client)> {
    let arguments = [
        "--maxmemory-policy",
        case.policy,
        "--maxmemory-samples",
        "5",
    ];
    let cores = &options.common.server_core;
    let server = Server::start(&specs[case.server], cores, &arguments)?;
    let mut client = Client::connect(&server)?;
    limit(&server, &mut client, (KEYS as f64 * case.size) as usize)?;
    Ok((server, client))
}

/// Runs a trace. All begin at the same time: lfu forgets as minutes begin.
fn run(case: &Case, options: &Options, specs: &[ServerSpec], begins: &Barrier) -> Result<Outcome> {
    let prepared = prepare(case, options, specs);
    begins.wait();
    let (_server, mut client) = prepared?;
    let mut reads = Reads::new(case.trace);
    let all = (options.trace_seconds * f64::from(options.trace_rate)) as usize / BATCH;
    let pause = Duration::from_secs_f64(BATCH as f64 / f64::from(options.trace_rate));
    let begin = Instant::now();
    let (mut counted, mut hits) = (0, 0);
    let (mut looks, mut there) = (0, 0.0);
    for batch in 0..all {
        let due = begin + pause * batch as u32;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let keys: Vec<u64> = (0..BATCH).map(|_| reads.next()).collect();
        let missing = client.read(&keys)?;
        client.write(&missing)?;
        if batch >= all / 2 {
            counted += BATCH;
            hits += BATCH - missing.len().min(BATCH);
            if batch % BATCHES_PER_LOOK == 0 {
                looks += 1;
                there += client.size()?;
            }
        }
    }
    Ok(Outcome {
        hits: hits as f64 / counted.max(1) as f64,
        keys: there / f64::from(looks.max(1)) / KEYS as f64,
    })
}

/// Runs all cases at the same time.
pub fn compare(options: &Options, specs: &[ServerSpec]) -> Result<Value> {
    let mut cases = Vec::new();
    for policy in ["allkeys-lru", "allkeys-lfu"] {
        for trace in [Trace::Zipf, Trace::Scans] {
            for size in SIZES {
                cases.extend((0..specs.len()).map(|server| Case {
                    server,
                    policy,
                    trace,
                    size,
                }));
            }
        }
    }
    let begins = &Barrier::new(cases.len());
    let outcomes: Vec<std::result::Result<Outcome, String>> = std::thread::scope(|scope| {
        let threads: Vec<_> = cases
            .iter()
            .map(|case| {
                scope.spawn(move || run(case, options, specs, begins).map_err(|e| e.to_string()))
            })
            .collect();
        let joined = threads.into_iter().map(|thread| {
            let ended = thread.join();
            ended.unwrap_or_else(|_| Err("a thread panicked".to_owned()))
        });
        joined.collect()
    });
    let outcomes: Vec<Outcome> = outcomes
        .into_iter()
        .collect::<std::result::Result<_, _>>()?;
    report(options, specs, &cases, &outcomes)
}

fn report(
    options: &Options,
    specs: &[ServerSpec],
    cases: &[Case],
    outcomes: &[Outcome],
) -> Result<Value> {
    let mut columns = vec![("policy", 12), ("trace", 16), ("cache", 6)];
    columns.extend(specs.iter().map(|spec| (spec.name.as_str(), 9)));
    columns.push(("difference", 10));
    columns.push(("mean sizes %", 12));
    let table = Table::start(&columns);
    let (mut figures, mut panels) = (Vec::new(), Vec::<Panel>::new());
    let each = cases.chunks(specs.len()).zip(outcomes.chunks(specs.len()));
    for (cases, outcomes) in each {
        let ratios: Vec<f64> = outcomes.iter().map(|outcome| outcome.hits).collect();
        let Case {
            policy,
            trace,
            size,
            ..
        } = cases[0];
        let mut row = vec![
            policy.to_owned(),
            trace.name().to_owned(),
            format!("{:.0}%", size * 100.0),
        ];
        let sizes = outcomes.iter().map(|outcome| outcome.keys * 100.0);
        let sizes: Vec<String> = sizes.map(|percent| format!("{percent:.2}")).collect();
        row.extend(ratios.iter().map(|ratio| format!("{:.2}%", ratio * 100.0)));
        let difference = ratios[ratios.len() - 1] - ratios[0];
        row.push(format!("{:+.2}", difference * 100.0));
        row.push(sizes.join(" "));
        table.row(&row);
        let title = format!("{policy}, {}", trace.name());
        if panels.last().is_none_or(|panel| panel.title != title) {
            let curves = specs.iter().map(|spec| Curve {
                name: spec.name.clone(),
                points: Vec::new(),
            });
            let curves = curves.collect();
            panels.push(Panel { title, curves });
        }
        if let Some(panel) = panels.last_mut() {
            let curves = panel.curves.iter_mut().zip(&ratios);
            curves.for_each(|(curve, ratio)| curve.points.push((size, *ratio)));
        }
        let names = specs.iter().map(|spec| spec.name.clone());
        let by_server: serde_json::Map<_, _> =
            names.zip(ratios.iter().map(|ratio| json!(ratio))).collect();
        figures.push(json!({
            "policy": policy,
            "trace": trace.name(),
            "cache": size,
            "hit_ratio": by_server,
        }));
    }
    let path = picture_path(options)?;
    std::fs::write(&path, draw(&panels))?;
    println!("picture: {}", path.display());
    Ok(Value::Array(figures))
}

fn picture_path(options: &Options) -> Result<PathBuf> {
    match &options.picture {
        Some(path) => Ok(path.clone()),
        None => Ok(std::env::current_exe()?.with_file_name("eviction.svg")),
    }
}
