//! Resident bytes per key and per connection, and pauses while the keyspace grows.
//!
//! `cargo bench --bench memory -- --help` lists the options. Every figure is taken for one server
//! after the other, each time from a fresh process:
//!
//! - `plain`, `ttl`: fills keys with 16-byte values (`ttl`: each with an expiry), reads all of
//!   them back, and divides what the resident set grew by. Reading checks every value and also
//!   carries a table that grows step by step to its end, so that `settled` has one table, not two.
//! - `growth`: the latency of SET while an empty server fills.
//! - `collections`: many small collections, and single big ones: resident bytes of each element, and
//!   how long the deletion of a big one keeps the server (the longest of a few round trips of DEL
//!   and PING).
//! - `connections`: the time until idle connections are accepted, and what they cost before
//!   (`idle`) and after (`used`) each has sent a PING.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use serde_json::{Value, json};

use support::load::{Load, Until, latencies};
use support::report::{Table, write_json};
use support::request::{Keys, Request};
use support::scan::Expected;
use support::server::{Server, ServerSpec};
use support::{Common, Result, usage};

/// Bytes of every value.
const VALUE_BYTES: usize = 16;
/// Expiry of the keys in `ttl`, far beyond any run.
const EXPIRY_SECONDS: u64 = 100_000;
/// Connections and batch size of the filling.
const FILL_CONNECTIONS: usize = 8;
const FILL_PIPELINE: usize = 64;
/// The resident set counts as settled when it changed by less than a thousandth in this time.
const SETTLE_WINDOW: Duration = Duration::from_secs(1);
/// How long to wait for that at most.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);
/// After that, the memory of idle connections is read again: Redis shrinks their buffers.
const IDLE_TIME: Duration = Duration::from_secs(8);
/// Connections opened before one of them waits for a PING: fewer than the backlog of 511, because
/// a full accept queue costs a retransmission of one second, whatever the server does.
const CONNECT_AHEAD: u16 = 256;
/// Files beside the connections: standard streams, `/proc`, epoll.
const OTHER_FILES: u64 = 64;

/// Compares servers by memory per key and connection, and by pauses while growing.
#[derive(Parser, Debug)]
#[command(name = "memory")]
struct Options {
    #[command(flatten)]
    common: Common,
    /// Only these measurements.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "plain,ttl,collections,growth,connections"
    )]
    only: Vec<Part>,
    /// Keys of `plain` and `ttl`, elements of the big collections; a fifth of it: small ones.
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    keys: u64,
    /// Keys at the end of `growth`.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    growth_keys: u64,
    /// Connections that fill in `growth`.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    growth_connections: u16,
    /// Requests per batch in `growth`.
    #[arg(long, value_delimiter = ',', default_value = "1,16",
          value_parser = clap::value_parser!(u16).range(1..))]
    pipelines: Vec<u16>,
    /// Idle connections.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Plain,
    Ttl,
    Collections,
    Growth,
    Connections,
}

fn main() {
    if let Err(error) = bench(&Options::parse()) {
        eprintln!("memory: {error}");
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
            Part::Plain => {
                let fill = Request::set(VALUE_BYTES);
                ("plain", keys(options, &specs, "plain", &fill)?)
            }
            Part::Ttl => {
                let fill = Request::set_expiring(VALUE_BYTES, EXPIRY_SECONDS);
                ("ttl", keys(options, &specs, "ttl", &fill)?)
            }
            Part::Collections => ("collections", collections(options, &specs)?),
            Part::Growth => ("growth", growth(options, &specs)?),
            Part::Connections => ("connections", connections(options, &specs)?),
        };
        figures.insert(name.to_owned(), results);
        println!();
    }
    if let Some(path) = &options.common.json {
        write_json(path, &Value::Object(figures))?;
    }
    Ok(())
}

/// Resident bytes per key after filling with `fill`.
fn keys(options: &Options, specs: &[ServerSpec], name: &str, fill: &Request) -> Result<Value> {
    println!("{} keys, values of {VALUE_BYTES} bytes", options.keys);
    let table = Table::start(&[
        ("keys", 12),
        ("server", 10),
        ("empty MB", 8),
        ("filled B/key", 12),
        ("settled B/key", 13),
        ("ratio", 5),
        ("fill s", 6),
    ]);
    let mut results = Vec::new();
    let mut reference = None;
    for spec in specs {
        let server = Server::start(spec, &options.common.server_core, &[])?;
        let empty = server.resident_bytes()?;
        let mut load = Load::connect(server.address(), FILL_CONNECTIONS)?;
        let mut pass = |request: &Request| {
            let mut keys = Keys::in_order(options.keys);
            let until = Until::Requests(options.keys);
            load.run(request, FILL_PIPELINE, &mut keys, until, &mut latencies())
                .map_err(|error| format!("{}: {error}", spec.name))
        };
        let fill_seconds = pass(fill)?.elapsed.as_secs_f64();
        let per_key = |resident: u64| (resident as f64 - empty as f64) / options.keys as f64;
        let filled = per_key(server.resident_bytes()?);
        pass(&Request::get(VALUE_BYTES))?;
        server.expect_keys(options.keys)?;
        drop(load);
        let settled = per_key(settle(&server)?);
        let ratio = settled / *reference.get_or_insert(settled);
        table.row(&[
            name.to_owned(),
            spec.name.clone(),
            format!("{:.1}", empty as f64 / 1e6),
            format!("{filled:.1}"),
            format!("{settled:.1}"),
            format!("{ratio:.3}"),
            format!("{fill_seconds:.1}"),
        ]);
        results.push(json!({
            "server": spec.name,
            "keys": options.keys,
            "empty_bytes": empty,
            "filled_bytes_per_key": filled,
            "settled_bytes_per_key": settled,
            "ratio": ratio,
        }));
    }
    Ok(Value::Array(results))
}

/// What `collections` fills: a name, a request, how many of it, and whether all go to one key.
fn shapes(options: &Options) -> [(&'static str, Request, u64, bool); 5] {
    const N: &str = "000000000000";
    let of = |words: &str| Request::of(words, Expected::Any);
    let (small, big) = (options.keys.div_ceil(5), options.keys);
    let fields = "name Alice city Berlin plan basic visits 42 since 1700000000";
    let numbers = "1000001 1000002 1000003 1000004 1000005 1000006 1000007 1000008 1000009 1000010";
    [
        (
            "hashes of 5",
            of(&format!("HSET hash:{N} {fields}")),
            small,
            false,
        ),
        (
            "sets of 10",
            of(&format!("SADD set:{N} {numbers}")),
            small,
            false,
        ),
        (
            "sorted set",
            of(&format!("ZADD key {N} member:{N}")),
            big,
            true,
        ),
        (
            "hash",
            of(&format!("HSET key field:{N} value:{N}")),
            big,
            true,
        ),
        ("list", of(&format!("RPUSH key element:{N}")), big, true),
    ]
}

/// Resident bytes of collections, and how long freeing a big one takes.
fn collections(options: &Options, specs: &[ServerSpec]) -> Result<Value> {
    let table = Table::start(&[
        ("collections", 12),
        ("server", 10),
        ("number", 9),
        ("settled B each", 14),
        ("ratio", 5),
        ("DEL ms", 6),
    ]);
    let mut results = Vec::new();
    for (name, fill, count, one_key) in &shapes(options) {
        let mut reference = None;
        for spec in specs {
            let server = Server::start(spec, &options.common.server_core, &[])?;
            let empty = server.resident_bytes()?;
            let mut load = Load::connect(server.address(), FILL_CONNECTIONS)?;
            let (mut keys, until) = (Keys::in_order(*count), Until::Requests(*count));
            load.run(fill, FILL_PIPELINE, &mut keys, until, &mut latencies())
                .map_err(|error| format!("{}: {error}", spec.name))?;
            drop(load);
            server.expect_keys(if *one_key { 1 } else { *count })?;
            let each = (settle(&server)? as f64 - empty as f64) / *count as f64;
            let ratio = each / *reference.get_or_insert(each);
            let del_ms = one_key.then(|| deletion_ms(&server)).transpose()?;
            table.row(&[
                (*name).to_owned(),
                spec.name.clone(),
                count.to_string(),
                format!("{each:.1}"),
                format!("{ratio:.3}"),
                del_ms.map_or(String::new(), |ms| format!("{ms:.2}")),
            ]);
            results.push(json!({
                "collections": name,
                "server": spec.name,
                "number": count,
                "settled_bytes_each": each,
                "ratio": ratio,
                "deletion_ms": del_ms,
            }));
        }
    }
    Ok(Value::Array(results))
}

/// The longest round trip of DEL and of the next few PINGs, milliseconds.
fn deletion_ms(server: &Server) -> Result<f64> {
    let mut stream = TcpStream::connect(server.address())?;
    stream.set_nodelay(true)?;
    let mut longest = Duration::ZERO;
    for (request, reply) in [("DEL key", ":1")]
        .into_iter()
        .chain([("PING", "+PONG"); 20])
    {
        let begin = Instant::now();
        stream.write_all(format!("{request}\r\n").as_bytes())?;
        let mut buf = [0; 64];
        let bytes = stream.read(&mut buf)?;
        longest = longest.max(begin.elapsed());
        if buf[..bytes] != *format!("{reply}\r\n").as_bytes() {
            return Err(format!("{request} answers {:?}", String::from_utf8_lossy(&buf)).into());
        }
    }
    Ok(longest.as_secs_f64() * 1e3)
}

/// Waits until the resident set stays the same, and returns it.
///
/// An idle allocator may keep freed pages, such as a table outgrown, for any time, so the server
/// is asked to give them back: two runs of one program would differ by a twentieth otherwise.
fn settle(server: &Server) -> Result<u64> {
    let begin = Instant::now();
    let mut resident = server.resident_bytes()?;
    loop {
        let reply = server.ask("MEMORY PURGE")?;
        if reply != "+OK" {
            return Err(format!("MEMORY PURGE answers {reply:?}").into());
        }
        sleep(SETTLE_WINDOW);
        let now = server.resident_bytes()?;
        if now.abs_diff(resident) < now / 1000 || begin.elapsed() > SETTLE_LIMIT {
            return Ok(now);
        }
        resident = now;
    }
}

/// Latency of SET from an empty server to `growth_keys` keys.
fn growth(options: &Options, specs: &[ServerSpec]) -> Result<Value> {
    println!(
        "SET from 0 to {} keys over {} connections, round trips of batches",
        options.growth_keys, options.growth_connections
    );
    let table = Table::start(&[
        ("growth", 12),
        ("server", 10),
        ("kreq/s", 7),
        ("p50 us", 7),
        ("p99 us", 7),
        ("p99.99 us", 9),
        ("max us", 8),
        ("p99.99 - reference us", 9),
        ("queue%", 6),
    ]);
    let mut results = Vec::new();
    for &pipeline in &options.pipelines {
        let mut reference = None;
        for spec in specs {
            let server = Server::start(spec, &options.common.server_core, &[])?;
            let connections = usize::from(options.growth_connections);
            let mut load = Load::connect(server.address(), connections)?;
            let mut histogram = latencies();
            let before = server.cpu_time()?;
            let run = load
                .run(
                    &Request::set(VALUE_BYTES),
                    usize::from(pipeline),
                    &mut Keys::in_order(options.growth_keys),
                    Until::Requests(options.growth_keys),
                    &mut histogram,
                )
                .map_err(|error| format!("{}: {error}", spec.name))?;
            let queued = (server.cpu_time()? - before).queued_ns as f64;
            server.expect_keys(options.growth_keys)?;
            let seconds = run.elapsed.as_secs_f64();
            let quantile_us = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
            let tail = quantile_us(0.9999);
            let above = tail - *reference.get_or_insert(tail);
            table.row(&[
                format!("set-p{pipeline}"),
                spec.name.clone(),
                format!("{:.1}", run.requests as f64 / seconds / 1e3),
                format!("{:.0}", quantile_us(0.5)),
                format!("{:.0}", quantile_us(0.99)),
                format!("{tail:.0}"),
                format!("{:.0}", histogram.max() as f64 / 1e3),
                format!("{above:+.0}"),
                format!("{:.0}", queued / 1e7 / seconds),
            ]);
            results.push(json!({
                "server": spec.name,
                "pipeline": pipeline,
                "keys": options.growth_keys,
                "requests_per_second": run.requests as f64 / seconds,
                "p50_us": quantile_us(0.5),
                "p99_us": quantile_us(0.99),
                "p9999_us": tail,
                "max_us": histogram.max() as f64 / 1e3,
                "server_queued_ns": queued,
            }));
        }
    }
    Ok(Value::Array(results))
}

/// Time to accept idle connections, and resident bytes of each.
fn connections(options: &Options, specs: &[ServerSpec]) -> Result<Value> {
    let count = options.connections;
    usage::raise_file_limit(u64::from(count) + OTHER_FILES)?;
    println!("{count} connections; accepted: until the last one's PING is answered");
    let table = Table::start(&[
        ("connections", 12),
        ("server", 10),
        ("accepted s", 10),
        ("B/connection", 12),
        ("idle B/connection", 17),
        ("ratio", 5),
        ("used B/connection", 17),
        ("all PING s", 10),
    ]);
    // Room for the control connection beside the idle ones.
    let maxclients = (u32::from(count) + 100).to_string();
    let mut results = Vec::new();
    let mut reference = None;
    for spec in specs {
        let extra = ["--maxclients", maxclients.as_str()];
        let server = Server::start(spec, &options.common.server_core, &extra)?;
        let empty = server.resident_bytes()?;
        let per_connection = |resident: u64| (resident as f64 - empty as f64) / f64::from(count);
        let begin = Instant::now();
        let mut streams = Vec::with_capacity(usize::from(count));
        for number in 1..=count {
            let mut stream = TcpStream::connect(server.address())?;
            if number % CONNECT_AHEAD == 0 || number == count {
                ping(&mut stream)?;
            }
            streams.push(stream);
        }
        let accepted = begin.elapsed().as_secs_f64();
        let at_once = per_connection(server.resident_bytes()?);
        sleep(IDLE_TIME);
        let idle = per_connection(server.resident_bytes()?);
        // None of them was refused or closed in the meantime.
        let begin = Instant::now();
        for stream in &mut streams {
            ping(stream)?;
        }
        let all_ping = begin.elapsed().as_secs_f64();
        let used = per_connection(server.resident_bytes()?);
        let ratio = at_once / *reference.get_or_insert(at_once);
        table.row(&[
            count.to_string(),
            spec.name.clone(),
            format!("{accepted:.3}"),
            format!("{at_once:.0}"),
            format!("{idle:.0}"),
            format!("{ratio:.2}"),
            format!("{used:.0}"),
            format!("{all_ping:.3}"),
        ]);
        results.push(json!({
            "server": spec.name,
            "connections": count,
            "accepted_seconds": accepted,
            "bytes_per_connection": at_once,
            "idle_bytes_per_connection": idle,
            "used_bytes_per_connection": used,
            "all_ping_seconds": all_ping,
        }));
    }
    Ok(Value::Array(results))
}

/// Sends PING and waits for its answer.
fn ping(stream: &mut TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(b"PING\r\n")?;
    let mut reply = [0; 7];
    stream.read_exact(&mut reply)?;
    if &reply == b"+PONG\r\n" {
        Ok(())
    } else {
        Err(format!("PING answered {:?}", String::from_utf8_lossy(&reply)).into())
    }
}
