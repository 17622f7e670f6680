//! DEBUG as a transcript. Digests were taken from redis-server 7.0.15.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Server {
    child: Child,
    stream: BufReader<TcpStream>,
    dir: tempfile::TempDir,
}

impl Server {
    fn start(args: &[&str]) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let probe = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = probe.local_addr().unwrap().port();
        drop(probe);
        std::fs::write(dir.path().join("redis.conf"), "save \"\"\n").unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_redstart"))
            .current_dir(dir.path())
            .args(["redis.conf", "--port", &port.to_string()])
            .args(["--bind", "127.0.0.1"])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        let stream = loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => break stream,
                Err(error) => {
                    assert!(start.elapsed() < Duration::from_secs(20), "{error}");
                    assert!(child.try_wait().unwrap().is_none(), "the server ended");
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        };
        Server {
            child,
            stream: BufReader::new(stream),
            dir,
        }
    }

    fn ask(&mut self, request: &str) -> String {
        let line = format!("{request}\r\n");
        self.stream.get_mut().write_all(line.as_bytes()).unwrap();
        self.reply()
    }

    /// A reply as text: bulk strings bare, elements joined by spaces.
    fn reply(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let line = line.trim_end();
        if let Some(len) = line.strip_prefix('*') {
            let items: Vec<_> = (0..len.parse().unwrap()).map(|_| self.reply()).collect();
            return items.join(" ");
        }
        match line.strip_prefix('$').map(str::parse::<usize>) {
            Some(Ok(len)) => {
                let mut bulk = vec![0; len + 2];
                self.stream.read_exact(&mut bulk).unwrap();
                String::from_utf8_lossy(&bulk[..len]).into_owned()
            }
            _ => line.to_owned(),
        }
    }

    #[track_caller]
    fn check(&mut self, request: &str, reply: &str) {
        assert_eq!(self.ask(request), reply, "{request}");
    }

    #[track_caller]
    fn check_has(&mut self, request: &str, part: &str) {
        let reply = self.ask(request);
        assert!(reply.contains(part), "{request}: {reply}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended, as the test wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn server() -> Server {
    Server::start(&["--enable-debug-command", "yes"])
}

#[test]
fn is_behind_its_directive() {
    let mut server = Server::start(&[]);
    server.check_has("DEBUG HELP", "-ERR DEBUG command not allowed.");
    let mut server = Server::start(&["--enable-debug-command", "local"]);
    server.check_has("DEBUG HELP", "+    Print this help.");
}

#[test]
fn digests_are_those_of_redis() {
    let mut server = server();
    server.check("DEBUG DIGEST", "+0000000000000000000000000000000000000000");
    server.check("SET a 1", "+OK");
    server.check("SET b hello", "+OK");
    server.check("SET d 1 EX 1000", "+OK");
    server.check("DEBUG DIGEST", "+7685e684b39456f150376ff8cfaa27722a324c6a");
    server.check(
        "DEBUG DIGEST-VALUE a b d none",
        "+b4fc66738120fba0b5aa500ab5c2bf89cea1c5da +36b23a1456b2dce2c3ed252c456761301dba8060 \
         +5279988c5d1911f474bcbbf2f0a87012d40f8459 +0000000000000000000000000000000000000000",
    );
    server.check("DEBUG POPULATE 100", "+OK");
    server.check("DEBUG POPULATE 3 x 10", "+OK");
    server.check("GET key:7", "value:7");
    server.check("GET x:2", "value:2\0\0\0");
    server.check("GETRANGE x:0 0 -1", "value:0\0\0\0");
    // Keys that are there keep their values.
    server.check("DEBUG POPULATE 1 x", "+OK");
    server.check("STRLEN x:0", ":10");
    server.check(
        "DEBUG POPULATE -1",
        "-ERR value is out of range, must be positive",
    );
    server.check(
        "DEBUG POPULATE x",
        "-ERR value is out of range, must be positive",
    );
    server.check_has("DEBUG POPULATE 1 y 99999999999", "-ERR string exceeds");
}

#[test]
fn objects_are_described() {
    let mut server = server();
    server.check("SET number 100", "+OK");
    let before = server.ask("DEBUG OBJECT number");
    assert!(before.starts_with("+Value at:0x"), "{before}");
    assert!(before.contains(" refcount:1 encoding:int serializedlength:2 lru:"));
    assert!(before.contains(" lru_seconds_idle:0"));
    server.check("INCR number", ":101");
    let address = |text: &str| text.split(' ').nth(1).unwrap().to_owned();
    let after = server.ask("DEBUG OBJECT number");
    assert_eq!(address(&before), address(&after));
    for (value, told) in [
        ("hello", "encoding:embstr serializedlength:6 "),
        ("70000", "encoding:int serializedlength:5 "),
        ("-300", "encoding:int serializedlength:3 "),
        ("12345678901234", "encoding:int serializedlength:15 "),
    ] {
        server.check(&format!("SET key {value}"), "+OK");
        server.check_has("DEBUG OBJECT key", told);
    }
    server.check("DEBUG OBJECT none", "-ERR no such key");
    // Keys whose time has come are seen, and stay.
    server.check("DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
    server.check("SET gone x PX 1", "+OK");
    server.check("DEBUG SLEEP 0.01", "+OK");
    server.check_has("DEBUG OBJECT gone", "encoding:embstr");
    server.check("GET gone", "$-1");
    server.check("DEBUG OBJECT gone", "-ERR no such key");
}

/// Lengths and digests are those of redis-server 7.0.15.
#[test]
fn collections_are_described() {
    let mut server = server();
    // What compression saves depends on the compressor.
    server.check("CONFIG SET rdbcompression no", "+OK");
    let numbers: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let long = "x".repeat(70);
    server.check("SADD i 1 2 -70000", ":3");
    server.check("SADD s a 1 70000 helloworld", ":4");
    server.check(&format!("SADD t {long} {}", numbers.join(" ")), ":101");
    server.check("HSET h a 1 b two", ":2");
    server.check(&format!("HSET g f {long}"), ":1");
    server.check("RPUSH l a 1 70000", ":3");
    for len in (100..=2000).step_by(100) {
        let reply = format!(":{len}");
        server.check(&format!("RPUSH m {}", numbers.join(" ")), &reply);
    }
    server.check("CONFIG SET list-max-listpack-size 10", "+OK");
    server.check(&format!("RPUSH q {}", numbers.join(" ")), ":100");
    server.check("ZADD z 1 a 2.5 b", ":2");
    server.check(&format!("ZADD y 1 {long} 2 b 3 7"), ":3");
    for (key, told, digest) in [
        (
            "i",
            "encoding:intset serializedlength:21 ",
            "48f7c62384b294deb7dbf7a853d835487f495f17",
        ),
        (
            "s",
            "encoding:hashtable serializedlength:21 ",
            "9fe401683856f7da4980308ac2c142c4b846939a",
        ),
        (
            "t",
            "encoding:hashtable serializedlength:274 ",
            "dcf97aaf1db72cf83fcc2d60bbeeded5bc4038e2",
        ),
        (
            "h",
            "encoding:listpack serializedlength:21 ",
            "aaec2dd6dd5d0e6fbdce75b84b029b773e920b00",
        ),
        (
            "g",
            "encoding:hashtable serializedlength:75 ",
            "0e60d4a47c8125847c0a029afe87eb919a34a1e6",
        ),
        (
            "l",
            "encoding:quicklist serializedlength:20 ",
            "c168ae05c3da79adafb5abef122ef1613625438e",
        ),
        (
            "m",
            "encoding:quicklist serializedlength:4011 ",
            "73f33c2737536f8940606f82e954c936d44f1189",
        ),
        (
            "q",
            "encoding:quicklist serializedlength:291 ",
            "4ad27bb0a4f4440f4f978189cb9204815abee968",
        ),
        (
            "z",
            "encoding:listpack serializedlength:21 ",
            "c45c5b051acd64070e5ed1a949939d5145f806c5",
        ),
        (
            "y",
            "encoding:skiplist serializedlength:101 ",
            "01d6d79e4e4a8b83683774d6230652e7f0867ff0",
        ),
    ] {
        server.check_has(&format!("DEBUG OBJECT {key}"), told);
        server.check(&format!("DEBUG DIGEST-VALUE {key}"), &format!("+{digest}"));
    }
    server.check_has("DEBUG HTSTATS-KEY t", "number of elements: 101");
    server.check(
        "DEBUG HTSTATS-KEY i",
        "-ERR The value stored at the specified key is not represented using an hash table",
    );
    server.check("DEBUG HTSTATS-KEY nosuch", "-ERR no such key");
}

#[test]
fn replies_of_every_type() {
    let mut server = server();
    for (kind, reply) in [
        ("string", "Hello World"),
        ("integer", ":12345"),
        ("double", "3.141"),
        ("bignum", "1234567999999999999999999999999999999"),
        ("null", "$-1"),
        ("array", ":0 :1 :2"),
        ("set", ":0 :1 :2"),
        ("map", ":0 :0 :1 :1 :2 :0"),
        ("attrib", "Some real reply following the attribute"),
        ("push", "-ERR RESP2 is not supported by this command"),
        ("true", ":1"),
        ("FALSE", ":0"),
        ("verbatim", "This is a verbatim\nstring"),
    ] {
        server.check(&format!("DEBUG PROTOCOL {kind}"), reply);
    }
    server.check_has("DEBUG PROTOCOL other", "-ERR Wrong protocol type name.");
    server.check("DEBUG ERROR \"CODE two\\nlines\"", "-CODE two lines");
}

#[test]
fn what_is_missing_says_so() {
    let mut server = server();
    let unknown = |name: &str| {
        format!(
            "-ERR unknown subcommand or wrong number of arguments for '{name}'. Try DEBUG HELP."
        )
    };
    for name in ["nosuch", "sleep", "htstats"] {
        server.check(&format!("DEBUG {name}"), &unknown(name));
    }
    server.check("DEBUG replybuffer other 1", &unknown("replybuffer"));
    server.check("DEBUG REPLICATE x", "-ERR This version has no replication");
}

#[test]
fn small_tools() {
    let mut server = server();
    server.check("DEBUG HTSTATS 16", "-ERR Out of range database");
    server.check(
        "DEBUG HTSTATS x",
        "-ERR value is not an integer or out of range",
    );
    server.check_has(
        "DEBUG HTSTATS 0",
        "No stats available for empty dictionaries",
    );
    server.check("DEBUG POPULATE 100", "+OK");
    server.check_has("DEBUG HTSTATS 0", " number of elements: 100\n");
    server.check("DEBUG MALLCTL arenas.page", ":4096");
    server.check(
        "DEBUG MALLCTL arenas.page 1",
        "-ERR Operation not permitted",
    );
    server.check("DEBUG MALLCTL no.such", "-ERR No such file or directory");
    server.check_has("DEBUG MALLCTL-STR version", "5.");
    server.check(
        "DEBUG STRINGMATCH-TEST",
        "+Apparently Redis did not crash: test passed",
    );
    server.check_has("DEBUG STRUCTSIZE", "bits:64 ");
    server.check("DEBUG LEAK text", "+OK");
    for setting in ["NEVER", "RESET", "100", "-1"] {
        server.check(
            &format!("DEBUG REPLYBUFFER PEAK-RESET-TIME {setting}"),
            "+OK",
        );
    }
    server.check(
        "DEBUG REPLYBUFFER PEAK-RESET-TIME x",
        "-ERR value is not an integer or out of range",
    );
    server.check("DEBUG REPLYBUFFER RESIZING 0", "+OK");
    let start = Instant::now();
    server.check("DEBUG SLEEP 0.2", "+OK");
    server.check("DEBUG SLEEP -1", "+OK");
    server.check("DEBUG SLEEP x", "+OK");
    assert!((200..5000).contains(&start.elapsed().as_millis()));
    server.check("DEBUG PAUSE-CRON 1", "+OK");
    server.check("SET key value PX 1", "+OK");
    server.check("DEBUG SLEEP 0.3", "+OK");
    server.check_has("DEBUG OBJECT key", "Value at:");
    server.check("DEBUG PAUSE-CRON 0", "+OK");
    let start = Instant::now();
    while server.ask("DEBUG OBJECT key") != "-ERR no such key" {
        assert!(start.elapsed() < Duration::from_secs(10), "never expired");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_whole_configuration_can_be_written() {
    let mut server = server();
    server.check("DEBUG CONFIG-REWRITE-FORCE-ALL", "+OK");
    let text = std::fs::read_to_string(server.dir.path().join("redis.conf")).unwrap();
    assert!(text.contains("\ntcp-backlog 511\n") && text.contains("\nhz 10\n"));
}
