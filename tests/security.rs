//! Attacks that have worked on Redis, or on servers like it, each by the
//! number that it became known under, or by what the attacker does.
//!
//! Safe code turns what was memory corruption there into other damage: a
//! panic, memory without bound, a wait without end. So a test here demands an
//! error or the right reply, a server that is alive, and bounds on both.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::{Client, PATIENCE, Server, field};

const MB: u64 = 1 << 20;

/// Writes until the other side does not want any more, or all is written.
fn pour(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).is_ok()
}

/// CVE-2021-21309, -32627, -32628, -41099, CVE-2025-46686: lengths that wrap,
/// or make room for bytes that never come.
#[test]
fn cve_2021_21309_lengths_in_requests_allocate_nothing() {
    let server = Server::start(&["--proto-max-bulk-len", "9223372036854775807"]);
    let mut c = server.connect();
    c.check("PING", "+PONG");
    let before = server.rss_bytes();
    let mut open = Vec::new();
    for input in [
        "*2147483647\r\n",
        "*2147483647\r\n$2147483647\r\n",
        "*1\r\n$9223372036854775807\r\n",
        "*1\r\n$9223372036854775806\r\nabc",
        "*1048576\r\n$1\r\na\r\n",
        "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4294967296\r\nabc",
        "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2147483648\r\nabc",
    ] {
        for _ in 0..100 {
            let mut attacker = server.connect();
            attacker.send(input);
            open.push(attacker);
        }
    }
    for input in [
        "*-2147483648\r\n",
        "*-9223372036854775808\r\n",
        "*2147483648\r\n",
        "*4294967296\r\n",
        "*18446744073709551616\r\n",
        "*1\r\n$-2\r\n",
        "*1\r\n$-9223372036854775808\r\n",
        "*1\r\n$9223372036854775808\r\n",
        "*1\r\n$18446744073709551617\r\n",
    ] {
        let mut attacker = server.connect();
        attacker.send(input);
        attacker.end();
        let reply = attacker.rest();
        assert!(
            reply.is_empty() || reply.starts_with(b"-ERR Protocol error: "),
            "{input:?}"
        );
    }
    c.check("PING", "+PONG");
    let each = server.rss_bytes().saturating_sub(before) / open.len() as u64;
    assert!(each < 64 * 1024, "{each} bytes for each promise of bytes");
}

/// CVE-2021-32675: requests of many long arguments before the login.
#[test]
fn cve_2021_32675_strangers_cannot_fill_memory() {
    let server = Server::start(&["--requirepass", "secret"]);
    server
        .connect()
        .check("PING", "-NOAUTH Authentication required.");
    let before = server.rss_bytes();
    let argument = format!("$16384\r\n{}\r\n", "x".repeat(16_384));
    let mut strangers: Vec<Client> = (0..100)
        .map(|_| {
            let mut stranger = server.connect();
            stranger.send("*10\r\n");
            (0..9).for_each(|_| stranger.send(&argument));
            stranger
        })
        .collect();
    let mut greedy = server.connect();
    greedy.send("*11\r\n");
    assert_eq!(
        greedy.rest(),
        b"-ERR Protocol error: unauthenticated multibulk length\r\n"
    );
    let grown = server.rss_bytes().saturating_sub(before);
    assert!(grown < 100 * MB, "{} MB by 100 strangers", grown / MB);
    for stranger in &mut strangers {
        stranger.send("$0\r\n\r\n");
        assert!(stranger.reply().starts_with("-ERR unknown command 'xxx"));
    }
}

/// CVE-2025-21605: a client that has not logged in makes the server keep
/// replies that it never reads.
#[test]
fn cve_2025_21605_unread_replies_of_strangers_are_bounded() {
    let server = Server::start(&["--requirepass", "secret"]);
    server
        .connect()
        .check("PING", "-NOAUTH Authentication required.");
    let before = server.rss_bytes();
    let requests = "GET k\r\n".repeat(10_000);
    let mut stranger = server.tcp();
    stranger
        .set_write_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    // 10 million errors would be 340 MB.
    let sent = (0..1000)
        .take_while(|_| pour(&mut stranger, requests.as_bytes()))
        .count();
    assert!(sent < 1000, "all was taken");
    let grown = server.rss_bytes().saturating_sub(before);
    assert!(grown < 2 * MB, "{grown} bytes of replies");
    server.wait_for_log("for overcoming of output buffer limits.");
    // Who logs in is not a stranger.
    let mut c = server.connect();
    c.check("AUTH secret", "+OK");
    c.send("ECHO 0123456789012345678901234567890123456789\r\n".repeat(100_000));
    (0..100_000).for_each(|_| assert!(c.reply().starts_with("$0123")));
}

/// CVE-2025-48367: errors without end keep the server from serving others.
#[test]
fn cve_2025_48367_protocol_errors_starve_nobody() {
    // REDSTART_GARBAGE_SECONDS=60 for the full run.
    let seconds = std::env::var("REDSTART_GARBAGE_SECONDS")
        .ok()
        .map_or(3, |text| text.parse().unwrap());
    let server = Server::start(&[]);
    let mut c = server.connect();
    let (stop, attacks) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut times = std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let mut attacker = server.connect();
                    attacker.send("*x\r\nGARBAGE");
                    attacker.rest();
                    attacks.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
        }
        let start = Instant::now();
        let mut times = Vec::new();
        while start.elapsed() < Duration::from_secs(seconds) {
            let sent = Instant::now();
            c.check("PING", "+PONG");
            times.push(sent.elapsed());
            std::thread::sleep(Duration::from_millis(1));
        }
        stop.store(true, Ordering::Relaxed);
        times
    });
    times.sort_unstable();
    let p99 = times[times.len() * 99 / 100];
    let attacks = attacks.into_inner();
    println!("{attacks} attacks in {seconds} s; ping p99 {p99:?}");
    assert!(attacks > 200, "{attacks} attacks only");
    assert!(p99 < Duration::from_millis(50), "{p99:?}");
}

/// CVE-2026-27623: a request of nothing, and the assertion after it. All
/// sequences of up to five requests that are empty in some way.
#[test]
fn cve_2026_27623_empty_requests_in_every_order() {
    let server = Server::start(&[]);
    let kinds: [(&str, &str); 5] = [
        ("\r\n", ""),
        ("*0\r\n", ""),
        ("*-1\r\n", ""),
        ("PING\r\n", "+PONG\r\n"),
        (
            "*1\r\n$0\r\n\r\n",
            "-ERR unknown command '', with args beginning with: \r\n",
        ),
    ];
    let mut c = server.connect();
    let (mut input, mut expected) = (String::new(), String::new());
    for length in 1..=5 {
        for mut number in 0..kinds.len().pow(length) {
            for _ in 0..length {
                let (request, reply) = kinds[number % kinds.len()];
                number /= kinds.len();
                input.push_str(request);
                expected.push_str(reply);
            }
            input.push_str("ECHO end\r\n");
            expected.push_str("$3\r\nend\r\n");
        }
        c.send(&input);
        let reply = c.exact(expected.len());
        assert!(reply == expected.as_bytes(), "sequences of {length}");
        input.clear();
        expected.clear();
    }
}

/// Cross-protocol scripting: a web page has a browser talk to the server.
#[test]
fn http_requests_are_cut_off_and_logged_once() {
    let server = Server::start(&[]);
    for request in [
        "POST / HTTP/1.1\r\nSET stolen 1\r\n",
        "post / HTTP/1.1\r\nSET stolen 1\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\nSET stolen 1\r\n",
        "GET / HTTP/1.1\r\nhost: localhost\r\n\r\nSET stolen 1\r\n",
        "*2\r\n$4\r\nPOST\r\n$1\r\n/\r\n*3\r\n$3\r\nSET\r\n$6\r\nstolen\r\n$1\r\n1\r\n",
    ] {
        let mut browser = server.connect();
        browser.send(request);
        let reply = browser.rest();
        let text = String::from_utf8_lossy(&reply);
        let arity = "-ERR wrong number of arguments for 'get' command\r\n";
        assert!(text.is_empty() || text == arity, "{text:?} to {request:?}");
    }
    let mut c = server.connect();
    c.check("EXISTS stolen", ":0");
    // A thread writes the log, maybe only now.
    server.wait_for_log("Possible SECURITY ATTACK detected");
    let logged = server
        .log()
        .matches("Possible SECURITY ATTACK detected")
        .count();
    assert_eq!(logged, 1, "once a minute is enough");
    // As arguments they are words like others.
    c.check("ECHO POST", "$POST");
    // Before the login, too.
    c.check("CONFIG SET requirepass secret", "+OK");
    let mut browser = server.connect();
    browser.send("POST / HTTP/1.1\r\nAUTH secret\r\nSET stolen 1\r\n");
    assert_eq!(browser.rest(), b"");
    c.check("EXISTS stolen", ":0");
}

/// The address of this machine towards others, if it has any.
fn outer_address() -> Option<std::net::IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: this only looks up the way there.
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[test]
fn protected_mode_serves_this_machine_only() {
    let Some(address) = outer_address() else {
        println!("skipped: this machine has no address but loopback");
        return;
    };
    let server = Server::start(&["--bind", "*"]);
    let outside = || {
        let stream = TcpStream::connect((address, server.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client::new(stream)
    };
    let mut c = server.connect();
    let reply = outside().rest();
    let text = String::from_utf8_lossy(&reply);
    assert!(
        text.starts_with("-DENIED ") && text.ends_with("\r\n"),
        "{text:?}"
    );
    assert_eq!(text.matches("\r\n").count(), 1);
    c.check("CONFIG SET requirepass secret", "+OK");
    let mut known = outside();
    known.check("PING", "-NOAUTH Authentication required.");
    known.check("AUTH secret", "+OK");
    c.check("CONFIG SET requirepass ''", "+OK");
    assert!(outside().rest().starts_with(b"-DENIED "));
    // Whom it let in before stays in.
    known.check("PING", "+PONG");
    c.check("CONFIG SET protected-mode no", "+OK");
    outside().check("PING", "+PONG");
}

/// CVE-2025-67733 and the like: a line end in an error or a name makes one
/// reply look like two, or one client like another.
#[test]
fn line_ends_in_arguments_inject_nothing() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    for words in [
        r#""NOSUCH\r\n+OK" "a\r\n$3\r\nxyz""#,
        r#"CLIENT "x\r\n+OK""#,
        r#"CLIENT LIST TYPE "x\r\n+OK""#,
        r#"CLIENT KILL USER "x\r\n+OK""#,
        r#"CLIENT SETNAME "x\r\nid=1""#,
        r#"CLIENT SETINFO "x\r\n+OK" y"#,
        r#"CLIENT SETINFO LIB-NAME "x\r\n+OK""#,
        r#"HELLO 3 "x\r\n+OK""#,
        r#"SELECT "1\r\n""#,
        r#"SET k v "EX\r\n+OK""#,
        r#"CONFIG GET "\r\n""#,
        r#"OBJECT "x\r\n+OK" k"#,
        "\"a\\x00b\"",
    ] {
        let reply = c.ask(words);
        assert!(!reply.contains('\r') && !reply.contains('\n'), "{reply:?}");
        c.check("ECHO one-reply", "$one-reply");
    }
    let line = c.ask("CLIENT INFO");
    assert_eq!(field(&line, "name"), "");
    assert_eq!(line.lines().count(), 1);
}

/// Clients of all sorts of bad manners at once.
#[test]
fn garbage_of_all_kinds_at_once() {
    let server = Server::start(&["--io-threads", "2"]);
    let mut c = server.connect();
    c.check("PING", "+PONG");
    let before = server.rss_bytes();
    std::thread::scope(|scope| {
        for seed in 0..4u64 {
            let server = &server;
            scope.spawn(move || {
                let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                let mut random = move || {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state
                };
                const PARTS: &[&[u8]] = &[
                    b"*3\r\n",
                    b"$3\r\nSET\r\n",
                    b"$1\r\nk\r\n",
                    b"\r\n",
                    b"*0\r\n",
                    b"$-1\r\n",
                    b"PING\r\n",
                    b"\0",
                    b"*1000000\r\n",
                    b"$100000\r\n",
                    b"\"",
                    b"GET k\n",
                    b"*",
                    b"$",
                    b"QUIT\r\n",
                    b"\xff\xfe",
                    b"CLIENT REPLY OFF\r\n",
                    b"CLIENT LIST\r\n",
                    b"HELLO 3\r\n",
                    b"RESET\r\n",
                    b"AUTH a b\r\n",
                    b"CLIENT PAUSE 1\r\n",
                ];
                for _ in 0..300 {
                    let mut stream = server.tcp();
                    stream.set_nonblocking(true).unwrap();
                    for _ in 0..random() % 60 {
                        let part = PARTS[random() as usize % PARTS.len()];
                        match stream.write(part) {
                            Err(error) if error.kind() != ErrorKind::WouldBlock => break,
                            _ => {}
                        }
                    }
                    // Some read, some leave at once.
                    if random() % 2 == 0 {
                        let _ = stream.read(&mut [0; 1000]);
                    }
                }
            });
        }
    });
    c.check("PING", "+PONG");
    let grown = server.rss_bytes().saturating_sub(before);
    assert!(grown < 50 * MB, "{} MB", grown / MB);
}
