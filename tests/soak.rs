//! At the memory limit for a while, with values of very different sizes: the
//! limit holds at every moment, and what is used and what is resident stay
//! together.
//!
//! It takes 20 seconds with all tests. Ten minutes, with a limit of 256 MB:
//! `SOAK_SECONDS=600 cargo test --release --test soak -- --nocapture`.

#[path = "support/mod.rs"]
mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use support::{Client, Server, request};

const POLICIES: [&str; 8] = [
    "noeviction",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
];
/// How long it takes unless told, seconds.
const SECONDS: f64 = 20.0;
const VALUE_BYTES_MAX: usize = 1 << 20;
/// What may be used above the limit, bytes.
const ABOVE_MAX: u64 = 10 << 20;
/// Resident by used memory after churn.
const RESIDENT_RATIO_MAX: f64 = 1.5;
/// Commands in flight.
const BATCH: usize = 8;
const KEYS: u32 = 100_000;
const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.";

fn info(c: &mut Client, section: &str, name: &str) -> u64 {
    let info = c.ask(&format!("INFO {section}"));
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(field, _)| *field == name);
    found.expect("a field of INFO").1.parse().unwrap()
}

/// A length of which all magnitudes are as likely.
fn length(rng: &mut SmallRng) -> usize {
    let bits: f64 = rng.random_range(0.0..(VALUE_BYTES_MAX as f64).log2());
    (bits.exp2() as usize).clamp(1, VALUE_BYTES_MAX)
}

/// Writes until told to stop; gives how many commands were refused.
fn write(server: &Server, seed: u64, stop: &AtomicBool) -> (u64, u64) {
    let mut c = server.connect();
    let mut rng = SmallRng::seed_from_u64(seed);
    let (mut sent, mut refused) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let mut batch = Vec::new();
        for _ in 0..BATCH {
            let key = format!("key:{}", rng.random_range(0..KEYS));
            let mut value = vec![b'v'; length(&mut rng)];
            rng.fill(&mut value[..]);
            let seconds = rng.random_range(1000..100_000).to_string();
            let words: [&[u8]; 5] = [b"SET", key.as_bytes(), &value, b"EX", seconds.as_bytes()];
            batch.extend(request(&words));
        }
        c.send(batch);
        for _ in 0..BATCH {
            sent += 1;
            match c.reply().as_str() {
                "+OK" => {}
                OOM => refused += 1,
                other => panic!("{other}"),
            }
        }
    }
    (sent, refused)
}

/// One policy for some time: checks the limit all along and the resident set
/// at the end.
fn churn(policy: &str, limit_mb: u64, writers: u64, time: Duration) {
    let limit = format!("{limit_mb}mb");
    let server = Server::start(&["--maxmemory", &limit, "--maxmemory-policy", policy]);
    let stop = AtomicBool::new(false);
    let mut c = server.connect();
    let (mut most, mut resident, mut used) = (0, 0, 0);
    let (sent, refused) = std::thread::scope(|scope| {
        let (server, stop) = (&server, &stop);
        let writers = (0..writers).map(|seed| scope.spawn(move || write(server, seed, stop)));
        let writers: Vec<_> = writers.collect();
        let begin = Instant::now();
        while begin.elapsed() < time {
            used = info(&mut c, "memory", "used_memory");
            most = most.max(used);
            resident = server.rss_bytes();
            std::thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Ordering::Relaxed);
        let counts = writers.into_iter().map(|writer| writer.join().unwrap());
        counts.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    });
    let limit = limit_mb << 20;
    let evicted = info(&mut c, "stats", "evicted_keys");
    let above = most.saturating_sub(limit);
    let ratio = resident as f64 / used as f64;
    println!(
        "{policy}: {sent} sent, {refused} refused, {evicted} evicted, at most {above} bytes \
         above {limit}, resident by used {ratio:.2}"
    );
    assert!(
        most > limit / 2,
        "{policy}: only {most} of {limit} was used"
    );
    assert!(above <= ABOVE_MAX, "{policy}: {most} of {limit}");
    assert!(
        ratio <= RESIDENT_RATIO_MAX,
        "{policy}: {resident} by {used}"
    );
    if policy == "noeviction" {
        assert!(refused > 0 && evicted == 0);
        c.check("EXISTS nosuch", ":0");
    } else {
        assert!(refused == 0 && evicted > 0, "{policy}: {refused} refused");
    }
}

#[test]
fn the_limit_holds_under_churn() {
    let seconds = std::env::var("SOAK_SECONDS").ok();
    let seconds: Option<f64> = seconds.map(|text| text.parse().expect("a number of seconds"));
    let (limit_mb, seconds) = match seconds {
        Some(seconds) => (256, seconds),
        None => (96, SECONDS),
    };
    let each = Duration::from_secs_f64(seconds / POLICIES.len() as f64);
    for policy in POLICIES {
        churn(policy, limit_mb, 2, each);
    }
}
