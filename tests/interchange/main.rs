//! Values go to redis-server 7.0.15 and back: random values of all types are
//! made on both servers by the same commands; the payload that DUMP gives on
//! each is restored on both, and is the same value everywhere. Where the
//! encoding leaves no choice, the payloads are equal byte for byte.
//!
//! `REDSTART_SEED` repeats a run (a failure prints its seed; 0 draws one).
//! Skips itself, and says so, where no redis-server 7.0.15 is installed.

mod files;
#[path = "../support/mod.rs"]
mod support;
mod values;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use support::{Client, Server};
use values::commands;

const VALUES: usize = 500;
/// From this one on, long strings are compressed.
const COMPRESSED_FROM: usize = 350;
/// Values between two changes of the limits.
const VALUES_PER_LIMITS: usize = 25;

const LIMITS: [(&str, [&str; 3]); 9] = [
    ("list-max-listpack-size", ["-2", "-1", "4"]),
    ("list-compress-depth", ["0", "1", "3"]),
    ("set-max-intset-entries", ["512", "0", "20"]),
    ("zset-max-listpack-entries", ["128", "0", "20"]),
    ("zset-max-listpack-value", ["64", "10", "1000"]),
    ("hash-max-listpack-entries", ["512", "0", "20"]),
    ("hash-max-listpack-value", ["64", "10", "1000"]),
    ("stream-node-max-entries", ["100", "0", "3"]),
    ("stream-node-max-bytes", ["4096", "0", "200"]),
];

/// Both servers.
struct Pair {
    ours: Client,
    theirs: Client,
}

impl Pair {
    /// The same command to both, with the same reply.
    #[track_caller]
    fn both(&mut self, argv: &[Vec<u8>]) {
        self.ours.command(argv);
        self.theirs.command(argv);
        let (ours, theirs) = (self.ours.reply_bytes(), self.theirs.reply_bytes());
        let shown = argv.iter().map(|word| word.escape_ascii().to_string());
        assert_eq!(ours, theirs, "{:?}", shown.collect::<Vec<_>>());
    }

    fn ask_both(&mut self, words: &str) {
        let words: Vec<Vec<u8>> = words.split(' ').map(|word| word.into()).collect();
        self.both(&words);
    }
}

/// Randomness that a failure shows the seed of.
fn rng() -> SmallRng {
    let seed = std::env::var("REDSTART_SEED").map_or(7015, |seed| seed.parse().expect("a number"));
    let seed = match seed {
        0 => rand::rng().random_range(1..1 << 48),
        seed => seed,
    };
    println!("REDSTART_SEED={seed}");
    SmallRng::seed_from_u64(seed)
}

#[track_caller]
fn dump(c: &mut Client) -> Vec<u8> {
    c.command(&["DUMP", "k"]);
    let reply = c.reply_bytes();
    assert_eq!(reply[0], b'$');
    reply[1..].to_vec()
}

/// Restores a payload under another name; gives encoding and digest.
#[track_caller]
fn restore(c: &mut Client, payload: &[u8]) -> (String, String) {
    c.command(&[&b"RESTORE"[..], b"restored", b"0", payload, b"REPLACE"]);
    assert_eq!(c.reply(), "+OK");
    let encoding = c.ask("OBJECT ENCODING restored");
    (encoding, c.ask("DEBUG DIGEST-VALUE restored"))
}

#[test]
fn payloads_are_understood_on_both_sides() {
    let Some(oracle) = Server::start_oracle(&["--rdbcompression", "no"]) else {
        return;
    };
    let server = Server::start(&["--rdbcompression", "no"]);
    let mut rng = rng();
    let mut pair = Pair {
        ours: server.connect(),
        theirs: oracle.connect(),
    };
    let mut equal = 0;
    for number in 0..VALUES {
        if number == COMPRESSED_FROM {
            pair.ask_both("CONFIG SET rdbcompression yes");
        }
        if number % VALUES_PER_LIMITS == 0 {
            for (directive, values) in LIMITS {
                let value = values.choose(&mut rng).expect("one");
                pair.ask_both(&format!("CONFIG SET {directive} {value}"));
            }
            // Nodes of lists are compressed by other means than Redis's.
            if number < COMPRESSED_FROM {
                pair.ask_both("CONFIG SET list-compress-depth 0");
            }
        }
        for command in commands(&mut rng) {
            pair.both(&command);
        }
        equal += usize::from(interchange(&mut pair, number < COMPRESSED_FROM));
        pair.ask_both("RENAME k kept");
    }
    pair.ask_both("DEBUG DIGEST");
    println!("{equal} of {VALUES} payloads were equal");
    assert!(equal > VALUES / 2);
}

/// Restores the payloads of both servers on both; gives whether they are the
/// same bytes.
fn interchange(pair: &mut Pair, uncompressed: bool) -> bool {
    pair.ask_both("OBJECT ENCODING k");
    pair.ask_both("DEBUG DIGEST-VALUE k");
    let digest = pair.ours.ask("DEBUG DIGEST-VALUE k");
    let (ours, theirs) = (dump(&mut pair.ours), dump(&mut pair.theirs));
    assert_eq!(ours[0], theirs[0], "the kind of value");
    // The time at which a consumer was seen is that of each server.
    let timed = ours[0] == STREAM && pair.ours.ask("XINFO STREAM k FULL").contains("seen-time");
    if uncompressed && !timed && !matches!(ours[0], SET | HASH) {
        assert_eq!(
            ours.escape_ascii().to_string(),
            theirs.escape_ascii().to_string()
        );
    }
    for payload in [&ours, &theirs] {
        let (here, there) = (
            restore(&mut pair.ours, payload),
            restore(&mut pair.theirs, payload),
        );
        assert_eq!(here, there, "encoding and digest");
        assert_eq!(here.1, digest);
        if ours[0] == STREAM {
            let ask = "XINFO STREAM restored FULL COUNT 0".split(' ');
            let ask: Vec<&str> = ask.collect();
            pair.ours.command(&ask);
            pair.theirs.command(&ask);
            let here = without_active_times(&pair.ours.reply_bytes());
            assert_eq!(here, pair.theirs.reply_bytes(), "groups of a stream");
        }
    }
    ours == theirs
}

/// What Redis 7.0 tells of a stream: consumers without the last of their fields.
fn without_active_times(reply: &[u8]) -> Vec<u8> {
    let words: Vec<&[u8]> = reply.split(|byte| *byte == b' ').collect();
    let mut kept: Vec<&[u8]> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let is_consumer = *word == b"*10" && words.get(at + 1) == Some(&&b"$name"[..]);
        let is_time = |at: Option<usize>| at.is_some_and(|at| words[at] == b"$active-time");
        if !is_time(Some(at)) && !is_time(at.checked_sub(1)) {
            kept.push(if is_consumer { b"*8" } else { word });
        }
    }
    kept.join(&b' ')
}

/// Kinds whose elements are in the order of a hash table.
const SET: u8 = 2;
const HASH: u8 = 4;
/// A stream.
const STREAM: u8 = 19;
