//! HyperLogLog commands; every transcript is checked against redis-server too,
//! where there is one. What is stored must be the same byte for byte.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::support::{Client, Server};

fn on_both(transcript: impl Fn(&mut Client)) {
    transcript(&mut Server::start(&[]).connect());
    if let Some(oracle) = Server::start_oracle(&[]) {
        transcript(&mut oracle.connect());
    }
}

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const NOT_ONE: &str = "-WRONGTYPE Key is not a valid HyperLogLog string value.";
const CORRUPT: &str = "-INVALIDOBJ Corrupted HLL object detected";

/// How often something changed so far.
fn changes(c: &mut Client) -> u64 {
    let info = c.ask("INFO persistence");
    let name = "rdb_changes_since_last_save:";
    let line = info.lines().find_map(|line| line.strip_prefix(name));
    line.expect("a counter of changes").trim().parse().unwrap()
}

/// Checks a reply, and how many changes the command counts as.
#[track_caller]
fn check_changes(c: &mut Client, words: &str, expected: &str, count: u64) {
    let before = changes(c);
    c.check(words, expected);
    assert_eq!(changes(c) - before, count, "changes by {words}");
}

/// A SET of a HyperLogLog with this body.
fn set_sparse(key: &str, body: &str) -> String {
    let header = r"HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80";
    format!("SET {key} \"{header}{body}\"")
}

#[test]
fn elements_are_added_and_counted() {
    on_both(|c| {
        check_changes(c, "PFADD k", ":1", 1);
        check_changes(c, "PFADD k", ":0", 0);
        check_changes(c, "PFCOUNT k", ":0", 1);
        check_changes(c, "PFCOUNT k", ":0", 0);
        check_changes(c, "PFADD k a b c d e f g", ":1", 7);
        check_changes(c, "PFADD k a b c", ":0", 0);
        check_changes(c, "PFCOUNT k", ":7", 1);
        check_changes(c, "PFCOUNT k", ":7", 0);
        check_changes(c, "PFADD new x y x", ":1", 3);
        check_changes(c, "PFADD k \"\"", ":1", 1);
        check_changes(c, "PFADD k \"\"", ":0", 0);
        check_changes(c, "PFCOUNT k new nosuch", ":10", 0);
        check_changes(c, "PFCOUNT nosuch", ":0", 0);
        check_changes(c, "PFCOUNT nosuch nosuch", ":0", 0);
        c.check("EXISTS nosuch", ":0");
        c.check("TYPE k", "+string");
        c.check("OBJECT ENCODING k", "$raw");
        c.check(
            "PFADD",
            "-ERR wrong number of arguments for 'pfadd' command",
        );
    });
}

#[test]
fn unions_are_stored() {
    on_both(|c| {
        c.check("PFADD a 1 2 3", ":1");
        c.check("PFADD b 3 4 5", ":1");
        c.check("PFADD d 9", ":1");
        check_changes(c, "PFMERGE d a b nosuch", "+OK", 1);
        c.check("PFCOUNT d", ":6");
        check_changes(c, "PFMERGE d", "+OK", 1);
        c.check("PFCOUNT d", ":6");
        check_changes(c, "PFMERGE new nosuch", "+OK", 1);
        c.check("PFCOUNT new", ":0");
        c.check("PFMERGE new a", "+OK");
        c.check("PFDEBUG ENCODING new", "+sparse");
        c.check("PFDEBUG TODENSE a", ":1");
        c.check("EXPIRE new 1000", ":1");
        c.check("PFMERGE new a", "+OK");
        c.check("PFDEBUG ENCODING new", "+dense");
        c.check("PFCOUNT new", ":3");
        c.check("PERSIST new", ":1");
        c.check("PFMERGE new b d", "+OK");
        c.check("PFCOUNT new", ":6");
        c.check("PFMERGE other a", "+OK");
        c.check("PFDEBUG ENCODING other", "+dense");
    });
}

#[test]
fn inner_life() {
    on_both(|c| {
        c.check("PFADD k a b c", ":1");
        c.check("PFDEBUG encoding k", "+sparse");
        c.check(
            "PFDEBUG DECODE k",
            "$Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603",
        );
        check_changes(c, "PFDEBUG TODENSE k", ":1", 1);
        check_changes(c, "PFDEBUG TODENSE k", ":0", 0);
        c.check("PFDEBUG ENCODING k", "+dense");
        c.check("STRLEN k", ":12304");
        c.check("PFDEBUG DECODE k", "-ERR HLL encoding is not sparse");
        c.check("PFCOUNT k", ":3");
        c.check("PFADD l a", ":1");
        let before = changes(c);
        let registers = c.ask("PFDEBUG GETREG l");
        assert_eq!(changes(c) - before, 1);
        let registers: Vec<&str> = registers.split(' ').collect();
        assert_eq!((registers[0], registers.len()), ("*16384", 16385));
        let set: Vec<usize> = (1..16385).filter(|at| registers[*at] != ":0").collect();
        assert_eq!((set.as_slice(), registers[12712]), (&[12712][..], ":2"));
        c.check("PFDEBUG ENCODING l", "+dense");
        c.check(
            "PFDEBUG GETREG nosuch",
            "-ERR The specified key does not exist",
        );
        c.check(
            "PFDEBUG nosuch nosuch",
            "-ERR The specified key does not exist",
        );
        c.check(
            "PFDEBUG nosuch k",
            "-ERR Unknown PFDEBUG subcommand 'nosuch'",
        );
        c.check(
            "PFDEBUG GETREG k x",
            "-ERR wrong number of arguments for 'pfdebug' command",
        );
        c.check("PFSELFTEST", "+OK");
    });
}

#[test]
fn sparse_ones_turn_dense_at_the_limit() {
    on_both(|c| {
        for limit in [0, 25, 100, 3000] {
            c.check(&format!("CONFIG SET hll-sparse-max-bytes {limit}"), "+OK");
            c.ask("DEL k");
            c.check("PFADD k", ":1");
            c.check("PFDEBUG ENCODING k", "+sparse");
            for element in 0.. {
                let len: usize = c.ask("STRLEN k")[1..].parse().unwrap();
                if len == 12304 {
                    break;
                }
                assert!(len <= limit.max(18) && element < 2000);
                c.ask(&format!("PFADD k {element}"));
            }
            c.check("PFDEBUG ENCODING k", "+dense");
        }
    });
}

#[test]
fn other_strings_and_types_are_refused() {
    on_both(|c| {
        c.check("HSET h f v", ":1");
        c.check("PFADD one x", ":1");
        let calls = |key: &str| {
            [
                format!("PFADD {key}"),
                format!("PFADD {key} x"),
                format!("PFCOUNT {key}"),
                format!("PFCOUNT one {key}"),
                format!("PFMERGE {key}"),
                format!("PFMERGE {key} one"),
                format!("PFMERGE one {key}"),
                format!("PFDEBUG nosuch {key}"),
            ]
        };
        for call in calls("h") {
            c.check(&call, WRONG_TYPE);
        }
        for value in [
            r#""""#,
            "1234567890123456789",
            "HYLL",
            r#""HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00""#,
            r#""HYLL\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00""#,
            r#""HYLL\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x7f\xff""#,
            r#""hyll\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x7f\xff""#,
        ] {
            c.check(&format!("SET s {value}"), "+OK");
            for call in calls("s") {
                c.check(&call, NOT_ONE);
            }
        }
        c.check("PFCOUNT one", ":1");
    });
}

#[test]
fn registers_that_do_not_add_up_are_refused() {
    on_both(|c| {
        c.check("PFADD one x", ":1");
        // "a" belongs to register 12711, "ab" to 719.
        for body in [
            "",
            r"\x7f\xfe",
            r"\x7f\xff\x00",
            r"\x7f\xff\x80",
            r"\x7f\xff\x7f\xff",
            r"\x4f\xff\x80\x80",
        ] {
            c.check(&set_sparse("k", body), "+OK");
            for call in [
                "PFCOUNT k",
                "PFCOUNT one k",
                "PFMERGE new k",
                "PFMERGE k one",
                "PFDEBUG TODENSE k",
                "PFDEBUG GETREG k",
            ] {
                c.check(call, CORRUPT);
            }
            c.check("EXISTS new", ":0");
        }
        c.check("PFADD k a", CORRUPT);
        c.check("PFADD k ab a", CORRUPT);
        c.check("PFADD k ab", ":0");
        c.check("PFDEBUG DECODE k", "$Z:719 v:1,1 Z:3376 v:1,2");
        // A cached cardinality is believed.
        let cached = r#"SET k "HYLL\x01\x00\x00\x00\x05\x01\x00\x00\x00\x00\x00\x00""#;
        c.check(cached, "+OK");
        c.check("PFCOUNT k", ":261");
        c.check("PFCOUNT k one", CORRUPT);
    });
}

#[test]
fn a_run_that_is_cut_off_is_refused() {
    // Redis reads on here, and writes where it must not.
    let server = Server::start(&[]);
    let c = &mut server.connect();
    c.check("PFADD one x", ":1");
    c.check(&set_sparse("k", r"\x7f\xfe\x40"), "+OK");
    c.check("PFDEBUG DECODE k", "$Z:16383 Z:1");
    for call in [
        "PFCOUNT k",
        "PFCOUNT one k",
        "PFMERGE k one",
        "PFDEBUG TODENSE k",
    ] {
        c.check(call, CORRUPT);
    }
    c.check(&set_sparse("k", r"\x40"), "+OK");
    c.check("PFADD k a", CORRUPT);
    c.check("STRLEN k", ":17");
}

#[test]
fn whatever_is_looked_at_turns_raw() {
    on_both(|c| {
        for call in ["PFADD k", "PFCOUNT k", "PFMERGE k", "PFDEBUG ENCODING k"] {
            c.check(&set_sparse("k", r"\x7f\xff"), "+OK");
            c.check("OBJECT ENCODING k", "$embstr");
            c.check("PFCOUNT nosuch k", ":0");
            c.check("OBJECT ENCODING k", "$embstr");
            c.ask(call);
            c.check("OBJECT ENCODING k", "$raw");
        }
    });
}

#[test]
fn values_are_those_of_redis() {
    let ours = Server::start(&[]);
    let Some(theirs) = Server::start_oracle(&[]) else {
        return;
    };
    let (ours, theirs) = (&mut ours.connect(), &mut theirs.connect());
    let mut both = |words: &[Vec<u8>]| {
        let replies = [&mut *ours, &mut *theirs].map(|c| {
            c.command(words);
            c.reply_bytes()
        });
        let [ours, theirs] = replies;
        let shown: Vec<_> = words
            .iter()
            .map(|word| word.escape_ascii().to_string())
            .collect();
        assert_eq!(ours, theirs, "{}", shown.join(" "));
        ours
    };
    let mut rng = SmallRng::seed_from_u64(7015);
    for _ in 0..4_000 {
        if rng.random_ratio(1, 12) {
            let limit = rng.random_range(0..60) * rng.random_range(0..60);
            let words = format!("CONFIG SET hll-sparse-max-bytes {limit}");
            both(&words.split(' ').map(|word| word.into()).collect::<Vec<_>>());
        }
        let words = random_call(&mut rng);
        both(&words);
        let reply = both(&[b"GET".to_vec(), words[1].clone()]);
        if reply == b"$-1" {
            continue;
        }
        let mut value = reply[1..].to_vec();
        if rng.random_ratio(1, 8) {
            value = damaged(&mut rng, value);
            both(&[b"SET".to_vec(), words[1].clone(), value.clone()]);
        }
        if is_cut_off(&value) {
            both(&[b"DEL".to_vec(), words[1].clone()]);
        }
    }
}

/// A command on one or more of a few keys.
fn random_call(rng: &mut SmallRng) -> Vec<Vec<u8>> {
    let key = |rng: &mut SmallRng| vec![b'a' + rng.random_range(0..4)];
    let mut words: Vec<Vec<u8>> = match rng.random_range(0..11) {
        0..6 => vec![b"PFADD".to_vec(), key(rng)],
        6 | 7 => vec![b"PFCOUNT".to_vec(), key(rng)],
        8 => vec![b"PFMERGE".to_vec(), key(rng)],
        9 => vec![b"DEL".to_vec(), key(rng)],
        _ => return vec![b"PFCOUNT".to_vec(), key(rng), key(rng), key(rng)],
    };
    match words[0].as_slice() {
        b"PFADD" => {
            let len_max = [1, 2, 10, 300][rng.random_range(0..4)];
            for _ in 0..rng.random_range(0..=len_max) {
                // Some of the many, and lengths on both sides of a word.
                let element: u32 = rng.random_range(0..100_000);
                let text = format!("{element}{:x<1$}", "", element as usize % 11);
                words.push(text.into());
            }
        }
        b"PFMERGE" => words.extend((0..rng.random_range(0..3)).map(|_| key(rng))),
        _ => {}
    }
    words
}

fn damaged(rng: &mut SmallRng, mut value: Vec<u8>) -> Vec<u8> {
    for _ in 0..rng.random_range(1..4) {
        if value.is_empty() {
            break;
        }
        // Mostly behind the header.
        let start = if rng.random_ratio(1, 10) {
            0
        } else {
            16.min(value.len() - 1)
        };
        let at = rng.random_range(start..value.len());
        match rng.random_range(0..6) {
            0 => value[at] = rng.random(),
            1 => value[at] ^= 1 << rng.random_range(0..8),
            2 => drop(value.remove(at)),
            3 => value.insert(at, rng.random()),
            4 => value.push([0x00, 0x80, 0xff, 0x7f][rng.random_range(0..4)]),
            _ => value.truncate(at),
        }
    }
    value
}

/// Whether the last run of a sparse one is a long one without its second byte,
/// which cannot be compared.
fn is_cut_off(value: &[u8]) -> bool {
    let mut at = 16;
    while let Some(byte) = value.get(at) {
        at += if byte >> 6 == 1 { 2 } else { 1 };
    }
    value.get(4) == Some(&1) && at > value.len().max(16)
}
