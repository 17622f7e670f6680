//! DUMP, RESTORE and MIGRATE. Where there is a redis-server to ask, every
//! transcript is checked against it too.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::support::{Client, Server};

fn on_both(transcript: impl Fn(&mut Client)) {
    transcript(&mut Server::start(&[]).connect());
    if let Some(oracle) = Server::start_oracle(&[]) {
        transcript(&mut oracle.connect());
    }
}

/// The payload of a key.
#[track_caller]
fn dump(c: &mut Client, key: &str) -> Vec<u8> {
    c.command(&["DUMP", key]);
    let reply = c.reply_bytes();
    assert_eq!(reply[0], b'$', "{key}");
    reply[1..].to_vec()
}

/// RESTORE of a payload: what comes before it, and after it.
fn restore(c: &mut Client, before: &str, payload: &[u8], after: &str) -> String {
    let mut argv = vec![b"RESTORE".to_vec()];
    argv.extend(before.split_whitespace().map(|word| word.into()));
    argv.push(payload.to_vec());
    argv.extend(after.split_whitespace().map(|word| word.into()));
    c.command(&argv);
    c.reply()
}

#[test]
fn values_come_back_with_their_encodings() {
    on_both(|c| {
        let long = "x".repeat(100);
        for (fill, encoding) in [
            ("SET k bar", "$embstr"),
            ("SET k -70000", "$int"),
            ("SET k 9223372036854775807", "$int"),
            (&format!("SET k {long}"), "$raw"),
            ("RPUSH k a 1 b", "$quicklist"),
            ("SADD k 1 2 70000", "$intset"),
            ("SADD k a 1", "$hashtable"),
            ("ZADD k 1.5 a -inf b 7 c", "$listpack"),
            (&format!("ZADD k 1 {long}"), "$skiplist"),
            ("HSET k f v g 12", "$listpack"),
            (&format!("HSET k f {long}"), "$hashtable"),
        ] {
            c.check("DEL k copy", ":0");
            c.ask(fill);
            let payload = dump(c, "k");
            assert_eq!(restore(c, "copy 0", &payload, ""), "+OK");
            c.check("OBJECT ENCODING copy", encoding);
            let digests = c.ask("DEBUG DIGEST-VALUE k copy");
            let words: Vec<&str> = digests.split(' ').collect();
            assert_eq!(words[1], words[2], "{fill}");
            c.check("DEL k copy", ":2");
        }
        c.check("DUMP nosuch", "$-1");
    });
}

/// Sets all limits of packed collections but those of lists.
fn set_entries_max(c: &mut Client, max: u32) {
    for directive in [
        "set-max-intset-entries",
        "zset-max-listpack-entries",
        "hash-max-listpack-entries",
    ] {
        c.check(&format!("CONFIG SET {directive} {max}"), "+OK");
    }
}

#[test]
fn the_limits_decide_on_the_encoding() {
    on_both(|c| {
        c.check("SADD s 1 2 3", ":3");
        c.check("ZADD z 1 a 2 b 3 c", ":3");
        c.check("HSET h a 1 b 2 c 3", ":3");
        for (key, small, big) in [
            ("s", "$intset", "$hashtable"),
            ("z", "$listpack", "$skiplist"),
            ("h", "$listpack", "$hashtable"),
        ] {
            let packed = dump(c, key);
            set_entries_max(c, 2);
            assert_eq!(restore(c, "k 0", &packed, "REPLACE"), "+OK");
            c.check("OBJECT ENCODING k", big);
            let unpacked = dump(c, "k");
            assert_ne!(packed[0], unpacked[0], "the kind of {key}");
            set_entries_max(c, 3);
            assert_eq!(restore(c, "k 0", &unpacked, "REPLACE"), "+OK");
            c.check("OBJECT ENCODING k", small);
            assert_eq!(restore(c, "k 0", &packed, "REPLACE"), "+OK");
            c.check("OBJECT ENCODING k", small);
        }
    });
}

#[test]
fn restored_keys_expire() {
    on_both(|c| {
        c.check("DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
        c.check("SET a v", "+OK");
        let payload = dump(c, "a");
        assert_eq!(restore(c, "k 0", &payload, ""), "+OK");
        c.check("PTTL k", ":-1");
        assert_eq!(restore(c, "k 0", &payload, "ABSTTL REPLACE"), "+OK");
        c.check("PTTL k", ":-1");
        assert_eq!(
            restore(c, "k 4000000000123", &payload, "replace absttl"),
            "+OK"
        );
        c.check("PEXPIRETIME k", ":4000000000123");
        assert_eq!(restore(c, "k 100000", &payload, "REPLACE REPLACE"), "+OK");
        let ttl_ms: i64 = c.ask("PTTL k")[1..].parse().unwrap();
        assert!((90_000..=100_000).contains(&ttl_ms), "{ttl_ms}");
        // What is over is not kept, nor is what it replaces.
        assert_eq!(restore(c, "k 1000", &payload, "ABSTTL REPLACE"), "+OK");
        c.check("DBSIZE", ":1");
        assert_eq!(restore(c, "k 1000", &payload, "ABSTTL"), "+OK");
        c.check("DBSIZE", ":1");
        // Nor what is so far away that its time wraps around.
        assert_eq!(restore(c, "k 9223372036854775807", &payload, ""), "+OK");
        c.check("DBSIZE", ":1");
        assert_eq!(
            restore(c, "k 9223372036854775807", &payload, "ABSTTL"),
            "+OK"
        );
        c.check("PEXPIRETIME k", ":9223372036854775807");
    });
}

#[test]
fn restored_keys_have_an_age_or_a_frequency() {
    on_both(|c| {
        c.check("SET a v", "+OK");
        let payload = dump(c, "a");
        assert_eq!(restore(c, "k 0", &payload, "IDLETIME 1000"), "+OK");
        let idle: u32 = c.ask("OBJECT IDLETIME k")[1..].parse().unwrap();
        assert!((1000..1010).contains(&idle), "{idle}");
        // Of another policy: no use of it.
        assert_eq!(restore(c, "k 0", &payload, "FREQ 200 REPLACE"), "+OK");
        c.check("OBJECT IDLETIME k", ":0");
        c.check("CONFIG SET maxmemory-policy allkeys-lfu", "+OK");
        assert_eq!(restore(c, "k 0", &payload, "FREQ 200 REPLACE"), "+OK");
        c.check("OBJECT FREQ k", ":200");
        assert_eq!(restore(c, "k 0", &payload, "IDLETIME 5 REPLACE"), "+OK");
        c.check("OBJECT FREQ k", ":5");
        for (options, error) in [
            ("IDLETIME -1", "Invalid IDLETIME value, must be >= 0"),
            ("FREQ -1", "Invalid FREQ value, must be >= 0 and <= 255"),
            ("FREQ 256", "Invalid FREQ value, must be >= 0 and <= 255"),
            ("FREQ x", "value is not an integer or out of range"),
            ("IDLETIME x", "value is not an integer or out of range"),
            ("IDLETIME 1 FREQ 1", "syntax error"),
            ("FREQ 1 IDLETIME 1", "syntax error"),
            ("IDLETIME", "syntax error"),
            ("FREQ", "syntax error"),
            ("nosuch", "syntax error"),
        ] {
            assert_eq!(
                restore(c, "new 0", &payload, options),
                format!("-ERR {error}")
            );
        }
    });
}

const BAD_FRAME: &str = "-ERR DUMP payload version or checksum are wrong";
const BAD_DATA: &str = "-ERR Bad data format";

#[test]
fn what_is_wrong_is_looked_for_in_order() {
    on_both(|c| {
        c.check("SET a v", "+OK");
        let payload = dump(c, "a");
        for (words, error) in [
            ("RESTORE a x bad nosuch", "-ERR syntax error"),
            (
                "RESTORE a x bad",
                "-BUSYKEY Target key name already exists.",
            ),
            (
                "RESTORE a x bad REPLACE",
                "-ERR value is not an integer or out of range",
            ),
            (
                "RESTORE a -1 bad REPLACE",
                "-ERR Invalid TTL value, must be >= 0",
            ),
            ("RESTORE a 0 bad REPLACE", BAD_FRAME),
            ("RESTORE a 0 ''", "-BUSYKEY Target key name already exists."),
            ("RESTORE k 0 ''", BAD_FRAME),
            ("RESTORE-ASKING k 0 bad", BAD_FRAME),
            (
                "RESTORE k 0",
                "-ERR wrong number of arguments for 'restore' command",
            ),
            (
                "RESTORE-ASKING k",
                "-ERR wrong number of arguments for 'restore-asking' command",
            ),
            ("DUMP", "-ERR wrong number of arguments for 'dump' command"),
        ] {
            c.check(words, error);
        }
        // The old value is still there.
        c.check("GET a", "$v");
        for at in 0..payload.len() {
            let mut damaged = payload.clone();
            damaged[at] ^= 0x10;
            assert_eq!(restore(c, "k 0", &damaged, ""), BAD_FRAME);
        }
        c.check("DEBUG SET-SKIP-CHECKSUM-VALIDATION 1", "+OK");
        c.check("CONFIG SET sanitize-dump-payload yes", "+OK");
        for value in [
            &b""[..],
            b"\x08",
            b"\x06\x00",
            b"\xff",
            b"\x00\x81\x7f\xff\xff\xff\xff\xff\xff\xff",
            b"\x01\x00",
            b"\x01\x02\x01a",
            b"\x02\x00",
            b"\x02\x02\x01a\x01a",
            b"\x02\x02\xc0\x07\xc0\x07",
            b"\x04\x00",
            b"\x04\x02\x01a\x01b\x01a\x01c",
            b"\x05\x01\x01a\x00\x00\x00\x00\x00\x00\xf8\x7f",
            b"\x0b\x08\x02\x00\x00\x00\x00\x00\x00\x00",
            b"\x10\x07\x07\x00\x00\x00\x00\x00\xff",
            b"\x12\x01\x02\x07\x07\x00\x00\x00\x00\x00\xff",
            b"\x12\x01\x01\x00",
            b"\x12\x01\x03\x01a",
        ] {
            let payload = [value, b"\x0a\x00not summed"].concat();
            let payload = &payload[..value.len() + 10];
            assert_eq!(
                restore(c, "k 0", payload, ""),
                BAD_DATA,
                "{}",
                value.escape_ascii()
            );
        }
        // What follows the value is nobody's business.
        assert_eq!(
            restore(c, "k 0", b"\x00\x01vmore\x0a\x00not summ", ""),
            "+OK"
        );
        c.check("GET k", "$v");
        c.check("DEBUG SET-SKIP-CHECKSUM-VALIDATION 0", "+OK");
        assert_eq!(
            restore(c, "k2 0", b"\x00\x01v\x0a\x00not summ", ""),
            BAD_FRAME
        );
        c.check("DBSIZE", ":2");
    });
}

#[test]
fn payloads_that_are_looked_through_are_counted() {
    on_both(|c| {
        c.check("RPUSH l a b", ":2");
        c.check("HSET h a b", ":1");
        c.check("SET s a", "+OK");
        let payloads = ["l", "h", "s"].map(|key| dump(c, key));
        for (setting, count) in [("no", 0), ("clients", 2), ("yes", 4)] {
            c.check(
                &format!("CONFIG SET sanitize-dump-payload {setting}"),
                "+OK",
            );
            for payload in &payloads {
                assert_eq!(restore(c, "k 0", payload, "REPLACE"), "+OK");
            }
            let stats = c.ask("INFO stats");
            let field = format!("dump_payload_sanitizations:{count}\r\n");
            assert!(stats.contains(&field), "{setting}: {stats}");
        }
    });
}

/// Bytes that contradict themselves are refused whatever the configuration
/// says; redis-server takes some of them in, and may fall over them later.
#[test]
fn unsound_payloads_are_always_refused() {
    let server = Server::start(&["--sanitize-dump-payload", "no", "--loglevel", "verbose"]);
    let mut c = server.connect();
    c.check("DEBUG SET-SKIP-CHECKSUM-VALIDATION 1", "+OK");
    for (value, reason) in [
        // A field twice.
        (
            &b"\x10\x17\x17\x00\x00\x00\x04\x00\x82a\x00\x03\x82b\x00\x03\x82a\x00\x03\x82d\x00\x03\xff"[..],
            "listpack with dup elements",
        ),
        // An element that is longer than the listpack.
        (
            b"\x10\x0b\x0b\x00\x00\x00\x02\x00\x01\x01\xf0\x01\xff",
            "Hash listpack integrity check failed",
        ),
        // A score that is no number, and members that are not in order.
        (
            b"\x11\x0d\x0d\x00\x00\x00\x02\x00\x81a\x02\x81b\x02\xff",
            "Zset listpack integrity check failed",
        ),
        (
            b"\x11\x11\x11\x00\x00\x00\x04\x00\x81a\x02\x02\x01\x81b\x02\x01\x01\xff",
            "Zset listpack integrity check failed",
        ),
        // An intset that is not in order.
        (
            b"\x0b\x0c\x02\x00\x00\x00\x02\x00\x00\x00\x02\x00\x01\x00",
            "Intset integrity check failed",
        ),
    ] {
        let payload = [value, b"\x0a\x00not summ"].concat();
        assert_eq!(restore(&mut c, "k 0", &payload, ""), BAD_DATA);
        server.wait_for_log(reason);
    }
    let stream = [&b"\x13\x00"[..], b"\x0a\x00not summ"].concat();
    assert_eq!(restore(&mut c, "k 0", &stream, ""), BAD_DATA);
    // Of Redis 7.2: a set in a listpack.
    let set = b"\x14\x0c\x0c\x00\x00\x00\x02\x00\x81a\x02\x07\x01\xff\x0b\x00not summ";
    assert_eq!(restore(&mut c, "k 0", set, ""), "+OK");
    c.check("SISMEMBER k 7", ":1");
    c.check("SCARD k", ":2");
}

#[test]
fn migrate_says_what_it_cannot_do() {
    on_both(|c| {
        c.check("SET a v", "+OK");
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = nobody.local_addr().unwrap().port();
        drop(nobody);
        for (words, reply) in [
            (format!("MIGRATE 127.0.0.1 {port} nosuch 0 500"), "+NOKEY"),
            (
                format!("MIGRATE 127.0.0.1 {port} '' 0 500 KEYS x y"),
                "+NOKEY",
            ),
            (format!("MIGRATE 127.0.0.1 {port} '' 0 500 KEYS"), "+NOKEY"),
            (
                format!("MIGRATE 127.0.0.1 {port} a 0 500 KEYS x"),
                "-ERR When using MIGRATE KEYS option, the key argument must be set to the empty \
                 string",
            ),
            (
                format!("MIGRATE 127.0.0.1 {port} a 0 500 nosuch"),
                "-ERR syntax error",
            ),
            (
                format!("MIGRATE 127.0.0.1 {port} a 0 500 AUTH"),
                "-ERR syntax error",
            ),
            (
                format!("MIGRATE 127.0.0.1 {port} a 0 500 AUTH2 u"),
                "-ERR syntax error",
            ),
            (
                format!("MIGRATE 127.0.0.1 {port} a 0 x"),
                "-ERR value is not an integer or out of range",
            ),
            (
                format!("MIGRATE 127.0.0.1 {port} a x 500"),
                "-ERR value is not an integer or out of range",
            ),
            (
                format!("MIGRATE 127.0.0.1 {port} a 0 500"),
                "-IOERR error or timeout writing to target instance",
            ),
            (
                "MIGRATE '' 1 a 0 500".to_owned(),
                "-IOERR error or timeout connecting to the client",
            ),
            (
                "MIGRATE 127.0.0.1 1 a 0".to_owned(),
                "-ERR wrong number of arguments for 'migrate' command",
            ),
        ] {
            c.check(&words, reply);
        }
        c.check("GET a", "$v");
        let stats = c.ask("INFO stats");
        assert!(stats.contains("migrate_cached_sockets:0\r\n"));
    });
}

/// A target that accepts a connection for each of these answers, reads what
/// comes, answers, and closes (unless there is nothing to answer).
fn target(answers: &'static [Option<&'static str>]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for answer in answers {
            let Ok((mut stream, _)) = listener.accept() else {
                return;
            };
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap();
            assert!(request[..read].starts_with(b"*2\r\n$6\r\nSELECT\r\n"));
            match answer {
                Some(answer) => stream.write_all(answer.as_bytes()).unwrap(),
                None => kept.push(stream),
            }
        }
        // Connections that were not answered stay open for longer than that.
        std::thread::sleep(Duration::from_secs(2));
    });
    port
}

#[test]
fn keys_are_deleted_when_the_target_has_acknowledged_them() {
    const READING: &str = "-IOERR error or timeout reading to target instance";
    const BOTH: &str = "*2 $va $vb";
    on_both(|c| {
        for (answers, reply, left) in [
            (&[Some("+OK\r\n+OK\r\n+OK\r\n")][..], "+OK", "*2 $-1 $-1"),
            // Closed before an answer: once more.
            (
                &[Some(""), Some("+OK\r\n+OK\r\n+OK\r\n")],
                "+OK",
                "*2 $-1 $-1",
            ),
            (&[Some(""), Some("+OK\r\n")], READING, BOTH),
            // Closed after one: that key is gone.
            (&[Some("+OK\r\n+OK\r\n")], READING, "*2 $-1 $vb"),
            // No answer: not again.
            (&[None], READING, BOTH),
            (
                &[Some("-ERR sel\r\n+OK\r\n+OK\r\n")],
                "-ERR Target instance replied with error: ERR sel",
                BOTH,
            ),
            (
                &[Some("+OK\r\n-ERR a\r\n+OK\r\n")],
                "-ERR Target instance replied with error: ERR a",
                "*2 $va $-1",
            ),
            (
                &[Some("+OK\r\n-ERR a\r\n")],
                "-ERR Target instance replied with error: ERR a",
                BOTH,
            ),
            (
                &[Some("+OK\n+OK\n-BUSYKEY b\n")],
                "-ERR Target instance replied with error: BUSYKEY b",
                "*2 $-1 $vb",
            ),
        ] {
            c.check("MSET a va b vb", "+OK");
            let port = target(answers);
            c.check(
                &format!("MIGRATE 127.0.0.1 {port} '' 0 400 KEYS a b"),
                reply,
            );
            c.check("MGET a b", left);
        }
    });
}

/// Migrates keys from the server of the connection to the other one.
fn migrate_between(c: &mut Client, other: &Server) {
    let mut d = other.connect();
    let to = format!("MIGRATE 127.0.0.1 {}", other.port);
    c.check("SET s 7", "+OK");
    c.check("PEXPIREAT s 4000000000123", ":1");
    c.check(&format!("{to} s 5 1000 COPY"), "+OK");
    c.check("GET s", "$7");
    c.check(
        &format!("{to} s 5 1000"),
        "-ERR Target instance replied with error: BUSYKEY Target key name already exists.",
    );
    c.check(
        &format!("{to} s 16 1000"),
        "-ERR Target instance replied with error: ERR DB index is out of range",
    );
    c.check(&format!("{to} s 5 1000 REPLACE"), "+OK");
    c.check("EXISTS s", ":0");
    d.check("SELECT 5", "+OK");
    d.check("GET s", "$7");
    let expiry: i64 = d.ask("PEXPIRETIME s")[1..].parse().unwrap();
    assert!(expiry.abs_diff(4_000_000_000_123) < 5_000, "{expiry}");

    c.check("RPUSH l a b 3", ":3");
    c.check("SADD i 1 2 3", ":3");
    c.check("SADD t a b", ":2");
    c.check("ZADD z 1.5 a inf b", ":2");
    c.check("HSET h f v", ":1");
    let digests = c.ask("DEBUG DIGEST-VALUE l i t z h");
    c.check(&format!("{to} '' 5 1000 KEYS l i nosuch t z h"), "+OK");
    d.check("DEBUG DIGEST-VALUE l i t z h", &digests);
    c.check("DBSIZE", ":0");

    // From one database to another, by one connection.
    assert!(c.ask("INFO stats").contains("migrate_cached_sockets:1\r\n"));
    c.check("SELECT 2", "+OK");
    c.check("SET s 8", "+OK");
    c.check(&format!("{to} s 6 1000"), "+OK");
    d.check("SELECT 6", "+OK");
    d.check("GET s", "$8");
    // Longer than what is sent at a time.
    c.command(&["SET".as_bytes(), b"big", &[b'x'; 300_000]]);
    assert_eq!(c.reply(), "+OK");
    c.check("CONFIG SET rdbcompression no", "+OK");
    c.check(&format!("{to} big 6 10000"), "+OK");
    d.check("STRLEN big", ":300000");

    d.check("CONFIG SET requirepass pw", "+OK");
    c.check("SET s 9", "+OK");
    let wrong = "WRONGPASS invalid username-password pair or user is disabled.";
    let wrong = format!("-ERR Target instance replied with error: {wrong}");
    c.check(&format!("{to} s 7 1000 AUTH nosuch"), &wrong);
    c.check(&format!("{to} s 7 1000 AUTH2 nobody pw"), &wrong);
    c.check("CONFIG SET slowlog-log-slower-than 0", "+OK");
    c.check(&format!("{to} s 7 1000 REPLACE COPY AUTH pw"), "+OK");
    c.check(&format!("{to} s 7 1000 REPLACE AUTH2 default pw"), "+OK");
    c.check("CONFIG SET slowlog-log-slower-than -1", "+OK");
    let slow = c.ask("SLOWLOG GET");
    assert!(slow.contains("$COPY $AUTH $(redacted)"), "{slow}");
    assert!(
        slow.contains("$REPLACE $AUTH2 $(redacted) $(redacted)"),
        "{slow}"
    );
    d.check("SELECT 7", "+OK");
    d.check("GET s", "$9");

    // Who does not answer in time has not got the key, as far as we know.
    c.check("SET s 10", "+OK");
    d.command(&["DEBUG", "SLEEP", "0.8"]);
    std::thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    c.check(
        &format!("{to} s 8 200"),
        "-IOERR error or timeout reading to target instance",
    );
    assert!(start.elapsed() < Duration::from_millis(600));
    c.check("GET s", "$10");
    assert_eq!(d.reply(), "+OK");
}

#[test]
fn keys_go_to_redis_and_back() {
    if let (Some(target), Some(source)) = (Server::start_oracle(&[]), Server::start_oracle(&[])) {
        migrate_between(&mut Server::start(&[]).connect(), &target);
        migrate_between(&mut source.connect(), &Server::start(&[]));
    }
}

#[test]
fn keys_go_from_one_to_another_of_ours() {
    migrate_between(&mut Server::start(&[]).connect(), &Server::start(&[]));
}

#[test]
fn connections_are_kept_for_a_while() {
    let (server, other) = (Server::start(&[]), Server::start(&[]));
    let mut c = server.connect();
    c.check("SET a v", "+OK");
    c.check(&format!("MIGRATE 127.0.0.1 {} a 0 1000", other.port), "+OK");
    let kept = |c: &mut Client| c.ask("INFO stats").contains("migrate_cached_sockets:1\r\n");
    assert!(kept(&mut c));
    let start = Instant::now();
    while kept(&mut c) {
        assert!(start.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(start.elapsed() > Duration::from_secs(9));
}
