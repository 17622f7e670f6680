//! Commands on keys of any type and on whole databases. Where there is a
//! redis-server to ask, every transcript is checked against it too.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::support::{Client, Server};

/// Runs a transcript on our server and on the real one.
fn on_both(transcript: impl Fn(&mut Client)) {
    transcript(&mut Server::start(&[]).connect());
    if let Some(oracle) = Server::start_oracle(&[]) {
        transcript(&mut oracle.connect());
    }
}

#[test]
fn del_exists_touch_type() {
    on_both(|c| {
        c.check("MSET a 1 b 2 c 3", "+OK");
        c.check("EXISTS a b nosuch a", ":3");
        c.check("TOUCH a nosuch b", ":2");
        c.check("TYPE a", "+string");
        c.check("DEL a nosuch a", ":1");
        c.check("UNLINK b c b", ":2");
        c.check("EXISTS a b c", ":0");
        c.check("TYPE a", "+none");
        c.check("DEL", "-ERR wrong number of arguments for 'del' command");
    });
}

#[test]
fn rename_takes_value_and_expiry_along() {
    on_both(|c| {
        c.check("SET a v1", "+OK");
        c.check("PEXPIREAT a 4000000000123", ":1");
        c.check("SET b v2", "+OK");
        c.check("RENAME a b", "+OK");
        c.check("MGET a b", "*2 $-1 $v1");
        c.check("PEXPIRETIME b", ":4000000000123");
        c.check("SET a v3", "+OK");
        c.check("RENAMENX a b", ":0");
        c.check("RENAME a b", "+OK");
        c.check("PTTL b", ":-1");
        c.check("RENAMENX b b", ":0");
        c.check("RENAME b b", "+OK");
        c.check("RENAMENX b c", ":1");
        c.check("RENAME b c", "-ERR no such key");
        c.check("RENAME b b", "-ERR no such key");
        c.check("RENAMENX b b", "-ERR no such key");
    });
}

#[test]
fn copy_and_move_between_databases() {
    on_both(|c| {
        c.check("SET a v1", "+OK");
        c.check("EXPIREAT a 4000000000", ":1");
        c.check("COPY a b", ":1");
        c.check("EXPIRETIME b", ":4000000000");
        c.check("APPEND b x", ":3");
        c.check("GET a", "$v1");
        c.check("COPY a b", ":0");
        c.check("COPY a b REPLACE", ":1");
        c.check("GET b", "$v1");
        c.check(
            "COPY a a",
            "-ERR source and destination objects are the same",
        );
        c.check(
            "COPY a a DB 0 REPLACE",
            "-ERR source and destination objects are the same",
        );
        c.check("COPY a a DB 3", ":1");
        c.check("COPY nosuch a REPLACE", ":0");
        c.check("COPY a b DB 16", "-ERR DB index is out of range");
        c.check(
            "COPY a b DB x",
            "-ERR value is not an integer or out of range",
        );
        c.check("COPY a b DB", "-ERR syntax error");
        c.check("COPY a b nosuch", "-ERR syntax error");
        c.check("MOVE a 3", ":0");
        c.check("MOVE b 3", ":1");
        c.check("MOVE b 3", ":0");
        c.check(
            "MOVE a 0",
            "-ERR source and destination objects are the same",
        );
        c.check("MOVE a 99", "-ERR DB index is out of range");
        c.check(
            "MOVE a 3000000000",
            "-ERR value is out of range, value must between -2147483648 and 2147483647",
        );
        c.check("SELECT 3", "+OK");
        c.check("MGET a b", "*2 $v1 $v1");
        c.check("EXPIRETIME b", ":4000000000");
        c.check("SWAPDB 3 0", "+OK");
        c.check("MGET a b", "*2 $v1 $-1");
        c.check("SWAPDB 3 3", "+OK");
        c.check("SWAPDB x 3", "-ERR invalid first DB index");
        c.check("SWAPDB 3 3000000000", "-ERR invalid second DB index");
        c.check("SWAPDB 3 16", "-ERR DB index is out of range");
    });
}

#[test]
fn flush_one_or_all() {
    on_both(|c| {
        for flush in ["FLUSHDB", "FLUSHDB SYNC", "flushdb async"] {
            c.check("SET a 1", "+OK");
            c.check("COPY a b DB 1", ":1");
            c.check("DBSIZE", ":1");
            c.check(flush, "+OK");
            c.check("DBSIZE", ":0");
            c.check("SELECT 1", "+OK");
            c.check("DBSIZE", ":1");
            c.check(&flush.replace("DB", "ALL").replace("db", "all"), "+OK");
            c.check("DBSIZE", ":0");
            c.check("SELECT 0", "+OK");
        }
        c.check("FLUSHALL x", "-ERR syntax error");
        c.check("FLUSHDB SYNC ASYNC", "-ERR syntax error");
    });
}

#[test]
fn expiries_and_their_conditions() {
    on_both(|c| {
        c.check("EXPIRE a 100", ":0");
        c.check("SET a 1", "+OK");
        c.check("TTL a", ":-1");
        c.check("PERSIST a", ":0");
        c.check("EXPIRE a 100 XX", ":0");
        c.check("EXPIRE a 100 GT", ":0");
        c.check("EXPIRE a 100 LT", ":1");
        c.check("EXPIRE a 200 LT", ":0");
        c.check("EXPIRE a 200 NX", ":0");
        c.check("EXPIRE a 200 gt", ":1");
        c.check("EXPIRE a 100 XX LT", ":1");
        c.check("TTL a", ":100");
        c.check("PERSIST a", ":1");
        c.check("PEXPIREAT a 4000000000499", ":1");
        c.check("EXPIRETIME a", ":4000000000");
        c.check("PEXPIREAT a 4000000000500", ":1");
        c.check("EXPIRETIME a", ":4000000001");
        c.check("EXPIRE a x NX XX", BOTH_CONDITIONS);
        c.check("EXPIRE a 1 NX GT", BOTH_CONDITIONS);
        c.check(
            "EXPIRE a 1 GT LT",
            "-ERR GT and LT options at the same time are not compatible",
        );
        c.check(
            "EXPIRE a x \"no\\nsuch\\n\"",
            "-ERR Unsupported option no such",
        );
        c.check("EXPIRE a x", "-ERR value is not an integer or out of range");
        for (command, number) in [
            ("expire", "9223372036854775"),
            ("pexpire", "9223372036854775807"),
            ("expireat", "9223372036854776"),
            ("expire", "-9223372036854776"),
        ] {
            c.check(
                &format!("{command} a {number}"),
                &format!("-ERR invalid expire time in '{command}' command"),
            );
        }
        // What is over is deleted at once.
        for over in [
            "EXPIRE a 0",
            "PEXPIRE a -1",
            "EXPIREAT a 1",
            "PEXPIREAT a 1000",
        ] {
            c.check("SET a 1", "+OK");
            c.check(over, ":1");
            c.check("DBSIZE", ":0");
        }
        c.check("TTL a", ":-2");
        c.check("PEXPIRETIME a", ":-2");
        c.check("PERSIST a", ":0");
    });
}

const BOTH_CONDITIONS: &str =
    "-ERR NX and XX, GT or LT options at the same time are not compatible";

#[test]
fn keys_are_gone_when_their_time_comes() {
    on_both(|c| {
        c.check("DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
        c.check("SET a 1 PX 30", "+OK");
        c.check("SET b 1", "+OK");
        c.check("PEXPIRE b 30", ":1");
        c.check("SET c 1", "+OK");
        std::thread::sleep(Duration::from_millis(60));
        c.check("DBSIZE", ":3");
        c.check("KEYS *", "*1 $c");
        c.check("DBSIZE", ":3");
        c.check("EXISTS a", ":0");
        c.check("DBSIZE", ":2");
        c.check("SCAN 0 COUNT 100", "*2 $0 *1 $c");
        c.check("DBSIZE", ":1");
        c.check("RANDOMKEY", "$c");
        c.check("RENAME b c", "-ERR no such key");
    });
}

#[test]
fn object_tells_encodings_and_counts() {
    on_both(|c| {
        let long = "x".repeat(45);
        for (value, encoding) in [
            ("12345", "$int"),
            ("-9223372036854775808", "$int"),
            ("9223372036854775808", "$embstr"),
            (&long[1..], "$embstr"),
            (&long, "$raw"),
        ] {
            c.check(&format!("SET a {value}"), "+OK");
            c.check("OBJECT ENCODING a", encoding);
        }
        c.check("SET a 7", "+OK");
        c.check("APPEND a 7", ":2");
        c.check("OBJECT ENCODING a", "$raw");
        c.check("RENAME a b", "+OK");
        c.check("OBJECT encoding b", "$raw");
        c.check("OBJECT REFCOUNT b", ":1");
        c.check("SET b 9999", "+OK");
        c.check("OBJECT REFCOUNT b", ":2147483647");
        c.check("INCR b", ":10000");
        c.check("OBJECT REFCOUNT b", ":1");
        c.check("OBJECT ENCODING nosuch", "$-1");
        c.check("OBJECT FREQ nosuch", "$-1");
        c.check("OBJECT IDLETIME b", ":0");
        c.check("CONFIG SET maxmemory-policy allkeys-lfu", "+OK");
        c.check("SET f text", "+OK");
        c.check("OBJECT FREQ f", ":5");
        assert!(
            c.ask("OBJECT IDLETIME f")
                .starts_with("-ERR An LFU maxmemory policy is selected")
        );
        c.check("CONFIG SET maxmemory-policy allkeys-lru", "+OK");
        assert!(
            c.ask("OBJECT FREQ f")
                .starts_with("-ERR An LFU maxmemory policy is not selected")
        );
        c.check("CONFIG SET maxmemory-policy noeviction", "+OK");
        c.check(
            "OBJECT nosuch f",
            "-ERR unknown subcommand 'nosuch'. Try OBJECT HELP.",
        );
        c.check(
            "OBJECT FREQ",
            "-ERR wrong number of arguments for 'object|freq' command",
        );
    });
}

#[test]
fn patterns_choose_keys() {
    on_both(|c| {
        c.check("RANDOMKEY", "$-1");
        c.check("KEYS *", "*0");
        c.check("MSET hello 1 hallo 2 '' 3 'a*b' 4", "+OK");
        c.check("KEYS hell*", "*1 $hello");
        c.check("KEYS h[^e]llo", "*1 $hallo");
        c.check("KEYS a\\*b", "*1 $a*b");
        // Only one star alone takes the empty key.
        c.check("KEYS ?", "*0");
        for (pattern, count) in [("*", 4), ("**", 3)] {
            let keys = c.ask(&format!("KEYS {pattern}"));
            assert!(keys.starts_with(&format!("*{count} ")), "{keys}");
            let scanned = c.ask(&format!("SCAN 0 COUNT 100 MATCH {pattern}"));
            assert!(
                scanned.starts_with(&format!("*2 $0 *{count} ")),
                "{scanned}"
            );
        }
        c.check("SCAN 0 COUNT 100 TYPE list", "*2 $0 *0");
        c.check(
            "SCAN 0 COUNT 100 TYPE STRING MATCH hello",
            "*2 $0 *1 $hello",
        );
        c.check("SCAN x", "-ERR invalid cursor");
        c.check("SCAN 0 COUNT 0", "-ERR syntax error");
        c.check(
            "SCAN 0 COUNT x",
            "-ERR value is not an integer or out of range",
        );
        c.check("SCAN 0 COUNT", "-ERR syntax error");
        c.check("SCAN 0 nosuch 1", "-ERR syntax error");
    });
}

/// Cursor and keys of a SCAN reply.
fn scan(c: &mut Client, words: &str) -> (String, Vec<String>) {
    let reply = c.ask(words);
    let mut parts = reply.split(' ');
    assert_eq!(parts.next(), Some("*2"), "{reply}");
    let cursor = parts.next().unwrap()[1..].to_owned();
    let keys: Vec<String> = parts.skip(1).map(|key| key[1..].to_owned()).collect();
    (cursor, keys)
}

#[test]
fn scan_gives_all_that_stays_while_the_database_changes() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    for stay in 0..2000 {
        c.check(&format!("SET stay:{stay} 1"), "+OK");
    }
    for count in [1, 10, 100] {
        let (mut cursor, mut seen, mut noise) = ("0".to_owned(), HashSet::new(), 0);
        for calls in 0.. {
            let (next, keys) = scan(&mut c, &format!("SCAN {cursor} COUNT {count}"));
            // A call ends with the bucket in which it has enough.
            assert!(keys.len() < count + 60, "{} keys of {count}", keys.len());
            seen.extend(keys);
            cursor = next;
            if cursor == "0" {
                break;
            }
            // Growth first, then shrinking.
            if calls % 4 == 0 && noise < 6000 {
                let pairs: String = (noise..noise + 200)
                    .map(|n| format!(" noise:{n} 1"))
                    .collect();
                c.check(&format!("MSET{pairs}"), "+OK");
                noise += 200;
            } else if calls % 4 == 0 && noise < 12_000 {
                let keys: String = (noise - 6000..noise - 5800)
                    .map(|n| format!(" noise:{n}"))
                    .collect();
                c.check(&format!("UNLINK{keys}"), ":200");
                noise += 200;
            }
        }
        for stay in 0..2000 {
            assert!(
                seen.contains(&format!("stay:{stay}")),
                "COUNT {count} lost {stay}"
            );
        }
        let noise: Vec<String> = (0..12_000).map(|n| format!("noise:{n}")).collect();
        c.ask(&format!("UNLINK {}", noise.join(" ")));
        c.check("DBSIZE", ":2000");
    }
}

#[test]
fn scan_of_a_sparse_match_is_bounded_per_call() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.check("DEBUG POPULATE 200000", "+OK");
    let started = Instant::now();
    let (mut cursor, mut found, mut calls) = ("0".to_owned(), Vec::new(), 0);
    loop {
        let (next, keys) = scan(&mut c, &format!("SCAN {cursor} COUNT 1000 MATCH *:77777"));
        calls += 1;
        cursor = next;
        found.extend(keys);
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(found, ["key:77777"]);
    assert!(
        (180..=210).contains(&calls),
        "{calls} calls for 200,000 keys"
    );
    assert!(started.elapsed() < Duration::from_secs(20));
    let random: HashSet<String> = (0..100).map(|_| c.ask("RANDOMKEY")).collect();
    assert!(random.len() > 95, "{} different keys", random.len());
}
