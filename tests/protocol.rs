//! The protocol as bytes: every kind of reply, requests in every shape they
//! can arrive in, limits, and what is answered to nonsense.

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use support::{Client, PATIENCE, Server, request};

/// What a server answers to these bytes, up to the end that it makes itself or
/// that follows ours.
fn transcript(server: &Server, input: &[u8]) -> Vec<u8> {
    let mut c = server.connect();
    c.send(input);
    c.end();
    c.rest()
}

fn check(server: &Server, input: &str, expected: &str) {
    let output = transcript(server, input.as_bytes());
    assert_eq!(
        String::from_utf8_lossy(&output),
        expected,
        "the answer to {input:?}"
    );
}

#[test]
fn replies_of_every_kind() {
    let server = Server::start(&[]);
    let both = [
        ("string", "$11\r\nHello World\r\n", "$11\r\nHello World\r\n"),
        ("integer", ":12345\r\n", ":12345\r\n"),
        ("double", "$5\r\n3.141\r\n", ",3.141\r\n"),
        ("null", "$-1\r\n", "_\r\n"),
        (
            "array",
            "*3\r\n:0\r\n:1\r\n:2\r\n",
            "*3\r\n:0\r\n:1\r\n:2\r\n",
        ),
        (
            "set",
            "*3\r\n:0\r\n:1\r\n:2\r\n",
            "~3\r\n:0\r\n:1\r\n:2\r\n",
        ),
        (
            "map",
            "*6\r\n:0\r\n:0\r\n:1\r\n:1\r\n:2\r\n:0\r\n",
            "%3\r\n:0\r\n#f\r\n:1\r\n#t\r\n:2\r\n#f\r\n",
        ),
        (
            "attrib",
            "$39\r\nSome real reply following the attribute\r\n",
            "|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n$39\r\nSome real reply \
             following the attribute\r\n",
        ),
        (
            "bignum",
            "$37\r\n1234567999999999999999999999999999999\r\n",
            "(1234567999999999999999999999999999999\r\n",
        ),
        (
            "verbatim",
            "$25\r\nThis is a verbatim\nstring\r\n",
            "=29\r\ntxt:This is a verbatim\nstring\r\n",
        ),
        ("true", ":1\r\n", "#t\r\n"),
        ("false", ":0\r\n", "#f\r\n"),
    ];
    for (kind, resp2, resp3) in both {
        check(&server, &format!("DEBUG PROTOCOL {kind}\r\n"), resp2);
        let mut c = server.connect();
        assert!(c.ask("HELLO 3").starts_with('%'));
        c.send(format!("DEBUG PROTOCOL {kind}\r\n"));
        c.end();
        assert_eq!(String::from_utf8_lossy(&c.rest()), resp3, "{kind}");
    }
    let mut c = server.connect();
    assert!(c.ask("HELLO 3").starts_with('%'));
    c.check("DEBUG PROTOCOL push", ">2 $server-cpu-usage :42");
    check(&server, "PING\r\n", "+PONG\r\n");
    check(
        &server,
        "NOSUCH\r\n",
        "-ERR unknown command 'NOSUCH', with args beginning with: \r\n",
    );
    // Nothing that a client sends ends a line of the reply.
    check(
        &server,
        "*1\r\n$8\r\nA\r\n+OK\r\n\r\nPING\r\n",
        "-ERR unknown command 'A  +OK  ', with args beginning with: \r\n+PONG\r\n",
    );
}

#[test]
fn inline_requests() {
    let server = Server::start(&[]);
    check(&server, "\r\n\n  \r\nPING\r\n", "+PONG\r\n");
    check(&server, "PING\nPING\r\n", "+PONG\r\n+PONG\r\n");
    check(&server, "  ECHO   hello  \r\n", "$5\r\nhello\r\n");
    check(&server, "ECHO \"a b\\x41\\n\"\r\n", "$5\r\na bA\n\r\n");
    check(&server, "ECHO 'it\\'s'\r\n", "$4\r\nit's\r\n");
    check(&server, "ECHO \"\"\r\n", "$0\r\n\r\n");
    let unbalanced = "-ERR Protocol error: unbalanced quotes in request\r\n";
    check(&server, "ECHO \"a\r\nPING\r\n", unbalanced);
    check(&server, "ECHO \"a\"b\r\nPING\r\n", unbalanced);
    // Between requests of the other form.
    check(
        &server,
        "*1\r\n$4\r\nPING\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$1\r\nx\r\n",
        "+PONG\r\n+PONG\r\n$1\r\nx\r\n",
    );
    let long = format!("ECHO {}\r\n", "x".repeat(60_000));
    let reply = format!("$60000\r\n{}\r\n", "x".repeat(60_000));
    check(&server, &long, &reply);
}

#[test]
fn requests_of_no_arguments_are_passed_over() {
    let server = Server::start(&[]);
    check(&server, "*0\r\n*-1\r\n*-10\r\nPING\r\n", "+PONG\r\n");
    check(&server, "*-2147483649\r\nPING\r\n", "+PONG\r\n");
    check(
        &server,
        "*1\r\n$0\r\n\r\nPING\r\n",
        "-ERR unknown command '', with args beginning with: \r\n+PONG\r\n",
    );
}

/// Requests that make no sense. After the reply to the last sensible one they
/// all end the connection.
const NONSENSE: &[&[u8]] = &[
    b"*x\r\n",
    b"*\r\n",
    b"*+1\r\n$4\r\nPING\r\n",
    b"* 1\r\n",
    b"*1 \r\n",
    b"*01\r\n",
    b"*2147483648\r\n",
    b"*3000000000\r\n",
    b"*9223372036854775807\r\n",
    b"*9223372036854775808\r\n",
    b"*99999999999999999999999\r\n",
    b"*1\r\nPING\r\n",
    b"*1\r\n\r\n",
    b"*1\r\n:4\r\n",
    b"*1\r\n\xff\r\n",
    b"*1\r\n$\r\n",
    b"*1\r\n$x\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$-2\r\n",
    b"*1\r\n$+4\r\nPING\r\n",
    b"*1\r\n$ 4\r\n",
    b"*1\r\n$4 \r\n",
    b"*1\r\n$04\r\n",
    b"*1\r\n$536870913\r\n",
    b"*1\r\n$2147483648\r\n",
    b"*1\r\n$9223372036854775807\r\n",
    b"*1\r\n$9223372036854775808\r\n",
    b"*2\r\n$4\r\nECHO\r\nhello\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n",
    b"set \"\"\"test-key\"\"\" test-value\r\n",
    b"'\r\n",
];

/// Requests that are odd and yet understood, or that wait for more.
const ODD: &[&[u8]] = &[
    b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPINGxx$",
    b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n",
    b"*1\rx$4\rxPINGxx",
    b"\0\r\nPING\r\n",
    b"*\0\r\nPING\r\n",
    b"$\0\r\nPING\r\n",
    b"*1\r\n$\0\r\n",
    b"*1\r\n\0\r\n",
    b"PING\0x\r\n",
    b"*1\r\n$4\r\nPI",
    b"*1\r",
    b"*",
    b"$4\r\nPING\r\n",
    b"+OK\r\n",
    b":1\r\n",
    b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n",
    b"*2\r\n$4\r\nECHO\r\n$2\r\n\r\n\r\n",
    b"PING\r\r\n",
    b"ECHO \"\\x4\"\r\n",
    b"ECHO 'a' \"b\"\r\n",
    b"ECHO \xff\xfe\r\n",
    b"\"a\\x00b\" \"c\\x00d\" e\r\n",
    b"CLIENT \"a\\x00b\"\r\n",
];

#[test]
fn nonsense_is_answered_as_redis_does() {
    let server = Server::start(&[]);
    let Some(oracle) = Server::start_oracle(&[]) else {
        return;
    };
    for input in NONSENSE.iter().chain(ODD) {
        let (ours, theirs) = (transcript(&server, input), transcript(&oracle, input));
        assert_eq!(
            String::from_utf8_lossy(&ours),
            String::from_utf8_lossy(&theirs),
            "the answer to {:?}",
            String::from_utf8_lossy(input)
        );
    }
}

#[test]
fn nonsense_ends_the_connection() {
    let server = Server::start(&["--loglevel", "verbose"]);
    for input in NONSENSE {
        let mut c = server.connect();
        c.send([b"PING\r\n", *input, b"PING\r\n"].concat());
        let output = c.rest();
        let text = String::from_utf8_lossy(&output);
        assert!(text.starts_with("+PONG\r\n"), "{text}");
        let after = text.rsplit("+PONG\r\n").next().unwrap();
        assert!(
            after.starts_with("-ERR Protocol error: ") && after.ends_with("\r\n"),
            "{text:?} to {:?}",
            String::from_utf8_lossy(input)
        );
    }
    server.connect().check("PING", "+PONG");
    server.wait_for_log("Protocol error (invalid multibulk length) from client: id=");
    server.wait_for_log("Query buffer during protocol error: '*x..PING..'");
}

#[test]
fn lines_that_never_end_are_given_up() {
    let server = Server::start(&[]);
    for (start, text) in [
        ("", "too big inline request"),
        ("*", "too big mbulk count string"),
        ("*1\r\n$", "too big bulk count string"),
        ("*1\r\n", "too big bulk count string"),
        ("\0", "too big inline request"),
        ("*\0\r\n", "too big mbulk count string"),
        ("*1\r\n$\0\r\n", "too big bulk count string"),
    ] {
        let mut c = server.connect();
        c.send(start);
        c.send("1".repeat(64 * 1024 + 100));
        let output = c.rest();
        assert_eq!(
            String::from_utf8_lossy(&output),
            format!("-ERR Protocol error: {text}\r\n")
        );
    }
}

#[test]
fn a_request_may_be_split_anywhere() {
    let server = Server::start(&[]);
    let mut input = request(&["SET", "key", "some\r\nvalue"]);
    input.extend(b"\r\nECHO \"in line\"\r\n*0\r\n");
    input.extend(request(&["GET", "key"]));
    let expected = b"+OK\r\n$7\r\nin line\r\n$11\r\nsome\r\nvalue\r\n";
    for at in 1..input.len() {
        let mut c = server.connect();
        c.send(&input[..at]);
        // So that the parts are read apart, nearly always.
        std::thread::sleep(Duration::from_micros(500));
        c.send(&input[at..]);
        assert_eq!(c.exact(expected.len()), expected, "split at {at}");
    }
    let mut c = server.connect();
    for byte in &input {
        c.send([*byte]);
    }
    assert_eq!(c.exact(expected.len()), expected, "byte by byte");
}

#[test]
fn big_arguments_arrive_whole_in_any_pieces() {
    let server = Server::start(&[]);
    let pattern: Vec<u8> = (0..200_003u32).map(|i| (i * 31 % 251) as u8).collect();
    // About the sizes from which arguments are received in other ways.
    for len in [
        16_383, 16_384, 32_767, 32_768, 65_536, 65_537, 131_072, 200_003,
    ] {
        let value = &pattern[..len];
        let input = [
            request(&["SET", "k", ""]),
            request(&[b"SET".as_slice(), b"k", value]),
        ]
        .concat();
        let input = [
            input,
            request(&["GETRANGE", "k", "-3", "-1"]),
            request(&["GET", "k"]),
        ]
        .concat();
        for piece in [1_000, 16_384, 60_001, input.len()] {
            let mut c = server.connect();
            for part in input.chunks(piece) {
                c.send(part);
            }
            assert_eq!([c.reply(), c.reply()], ["+OK", "+OK"]);
            let tail = [b"$3\r\n", &value[len - 3..], b"\r\n"].concat();
            assert_eq!(c.exact(tail.len()), tail);
            let whole = [format!("${len}\r\n").as_bytes(), value, b"\r\n"].concat();
            assert!(
                c.exact(whole.len()) == whole,
                "{len} bytes in pieces of {piece}"
            );
        }
    }
}

#[test]
fn an_argument_of_64_mb() {
    let server = Server::start(&[]);
    let len = 64 * 1024 * 1024;
    let value: Vec<u8> = (0..len).map(|i| (i / 4096 % 256) as u8).collect();
    let mut c = server.connect();
    for _ in 0..2 {
        c.command(&[b"SET".as_slice(), b"big", &value]);
        assert_eq!(c.reply(), "+OK");
    }
    c.command(&["GET", "big"]);
    assert_eq!(c.exact(11), format!("${len}\r\n").as_bytes());
    assert!(c.exact(len) == value);
    assert_eq!(c.exact(2), b"\r\n");
    // One copy in the keyspace, one on its way in, and some room for growth.
    let peak = server.peak_rss_bytes();
    assert!(peak < 5 * len as u64, "{} MB at most", peak >> 20);
}

#[test]
fn a_million_requests_at_once() {
    let server = Server::start(&[]);
    let requests = 1_000_000;
    let c = server.connect();
    let mut writer = c.stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let many = "*1\r\n$4\r\nPING\r\n".repeat(1000);
        for _ in 0..requests / 1000 {
            writer.write_all(many.as_bytes()).unwrap();
        }
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut reader = c.stream;
    let (mut count, mut buf) = (0, vec![0; 7 * 10_000]);
    loop {
        let got = reader.read(&mut buf).unwrap();
        if got == 0 {
            break;
        }
        let expected = b"+PONG\r\n".iter().cycle().skip(count % 7);
        assert!(buf[..got].iter().eq(expected.take(got)), "at byte {count}");
        count += got;
    }
    sender.join().unwrap();
    assert_eq!(count, requests * 7);
}

/// All requests are sent before any reply is read.
#[test]
fn replies_wait_for_their_reader() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let value = "v".repeat(10_000);
    c.command(&["SET", "k", &value]);
    assert_eq!(c.reply(), "+OK");
    c.send("GET k\r\n".repeat(5_000));
    c.end();
    let one = format!("$10000\r\n{value}\r\n");
    let output = c.rest();
    assert_eq!(output.len(), one.len() * 5_000, "the end was not cut off");
    assert!(
        output
            .chunks(one.len())
            .all(|reply| reply == one.as_bytes())
    );
}

#[test]
fn a_large_reply_to_a_half_closed_client_is_complete() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let value = "v".repeat(30_000_000);
    c.command(&["SET", "k", &value]);
    assert_eq!(c.reply(), "+OK");
    for last in ["GET k\r\n", "GET k\r\nQUIT\r\n", "GET k\r\n*x\r\n"] {
        let mut c = server.connect();
        c.send(last);
        c.end();
        std::thread::sleep(Duration::from_millis(100));
        let output = c.rest();
        assert!(output.len() >= 30_000_000 + 13, "{last}: {}", output.len());
    }
}

#[test]
fn many_arguments() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let mut args = vec!["MSET".to_owned()];
    for i in 0..100_000 {
        args.extend([format!("key:{i}"), i.to_string()]);
    }
    c.command(&args);
    assert_eq!(c.reply(), "+OK");
    c.check("GET key:99999", "$99999");
    c.check("DBSIZE", ":100000");
    let keys: Vec<String> = (0..100_000).map(|i| format!("key:{i}")).collect();
    c.command(&[vec!["MGET".to_owned()], keys].concat());
    let reply = c.reply();
    assert!(reply.starts_with("*100000 $0 $1 $2") && reply.ends_with(" $99999"));
}

#[test]
fn limits_of_requests() {
    let server = Server::start(&["--client-query-buffer-limit", "1mb"]);
    let mut c = server.connect();
    c.check("CONFIG SET proto-max-bulk-len 1mb", "+OK");
    c.send("*2\r\n$4\r\nECHO\r\n$1048577\r\n");
    assert_eq!(c.rest(), b"-ERR Protocol error: invalid bulk length\r\n");
    // It holds for connections that were there before, too.
    let (mut old, mut c) = (server.connect(), server.connect());
    old.check("PING", "+PONG");
    c.check("CONFIG SET proto-max-bulk-len 10mb", "+OK");
    old.send("*2\r\n$4\r\nECHO\r\n$2000000\r\n");
    old.send("x".repeat(1_100_000));
    assert_eq!(old.rest(), b"", "more than the query buffer may hold");
    server.wait_for_log("Closing client that reached max query buffer length: id=");
    // Several arguments together, each small.
    let mut old = server.connect();
    old.send("*1000000\r\n");
    let arg = format!("$9000\r\n{}\r\n", "x".repeat(9000));
    let sent = (0..200).all(|_| old.stream.write_all(arg.as_bytes()).is_ok());
    assert!(!sent || old.is_closed_within(PATIENCE));
    c.check("PING", "+PONG");
    c.check("CONFIG SET client-query-buffer-limit 1gb", "+OK");
    let value = "x".repeat(3_000_000);
    c.command(&["SET", "k", &value]);
    assert_eq!(c.reply(), "+OK");
}

#[test]
fn strangers_may_send_little() {
    let server = Server::start(&["--requirepass", "secret"]);
    check(
        &server,
        "*11\r\n",
        "-ERR Protocol error: unauthenticated multibulk length\r\n",
    );
    check(
        &server,
        "*2\r\n$4\r\nPING\r\n$16385\r\n",
        "-ERR Protocol error: unauthenticated bulk length\r\n",
    );
    check(
        &server,
        "*1\r\n$4\r\nPING\r\n*11\r\n",
        "-NOAUTH Authentication required.\r\n-ERR Protocol error: unauthenticated multibulk \
         length\r\n",
    );
    // Up to there it is a matter of the password only.
    let big = "x".repeat(16384);
    let args = vec![big.as_str(); 9];
    let input = request(&[vec!["PING"], args].concat());
    assert_eq!(
        transcript(&server, &input),
        b"-NOAUTH Authentication required.\r\n"
    );
    // Both limits end with the login, and begin again with RESET.
    let mut c = server.connect();
    c.check("AUTH secret", "+OK");
    let args: Vec<&str> = ["MSET"].into_iter().chain(["k", &big].repeat(10)).collect();
    c.command(&args);
    assert_eq!(c.reply(), "+OK");
    c.check("RESET", "+RESET");
    c.command(&args);
    assert_eq!(
        c.reply(),
        "-ERR Protocol error: unauthenticated multibulk length"
    );
    assert!(Client::new(c.stream).is_closed_within(PATIENCE));
}
