//! The configuration against redis-server 7.0.15 where it is installed, and
//! `redis.conf.example` against the table.

use redstart::config::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const VERSION: &str = "7.0.15";

/// Directives that only one of the two has, and why.
const OURS_ONLY: [(&str, &str); 1] = [("io-backend", "chooses between our event loops")];

// The real server

struct Oracle {
    process: Child,
    connection: BufReader<TcpStream>,
    dir: TempDir,
    args: Vec<String>,
}

#[derive(Debug, PartialEq, Clone)]
enum Reply {
    Text(Vec<u8>),
    Error(String),
    Array(Vec<Reply>),
}

fn installed() -> bool {
    let version = Command::new("redis-server").arg("--version").output();
    let found = version.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains(VERSION));
    if !found {
        eprintln!("redis-server {VERSION} is not installed: nothing compared");
    }
    found
}

impl Oracle {
    /// Starts a server in a directory of its own with `files`; `args` follow
    /// the port.
    fn start(files: &[(&str, &str)], args: &[&str]) -> Oracle {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        for _ in 0..10 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            let mut all: Vec<String> = args.iter().map(|arg| arg.to_string()).collect();
            all.extend(["--port".to_string(), port.to_string()]);
            let mut process = Command::new("redis-server")
                .args(&all)
                .current_dir(dir.path())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            let deadline = Instant::now() + Duration::from_secs(20);
            while Instant::now() < deadline && process.try_wait().unwrap().is_none() {
                if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
                    stream
                        .set_read_timeout(Some(Duration::from_secs(20)))
                        .unwrap();
                    let connection = BufReader::new(stream);
                    return Oracle {
                        process,
                        connection,
                        dir,
                        args: all,
                    };
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _over = process.kill();
            let _over = process.wait();
        }
        panic!("redis-server does not start");
    }

    fn call(&mut self, args: &[&[u8]]) -> Reply {
        let mut request = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            request.extend(format!("${}\r\n", arg.len()).bytes());
            request.extend_from_slice(arg);
            request.extend(b"\r\n");
        }
        self.connection.get_mut().write_all(&request).unwrap();
        self.reply()
    }

    fn reply(&mut self) -> Reply {
        let mut line = String::new();
        self.connection.read_line(&mut line).unwrap();
        let (kind, rest) = line.trim_end().split_at(1);
        match kind {
            "-" => Reply::Error(rest.to_owned()),
            "$" => {
                let mut text = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.connection.read_exact(&mut text).unwrap();
                text.truncate(text.len() - 2);
                Reply::Text(text)
            }
            "*" => Reply::Array((0..rest.parse().unwrap()).map(|_| self.reply()).collect()),
            "+" => Reply::Text(rest.into()),
            _ => panic!("unexpected reply {line:?}"),
        }
    }

    fn config_get(&mut self, patterns: &[&str]) -> BTreeMap<String, String> {
        let mut args: Vec<&[u8]> = vec![b"CONFIG", b"GET"];
        args.extend(patterns.iter().map(|pattern| pattern.as_bytes()));
        let Reply::Array(parts) = self.call(&args) else {
            panic!("CONFIG GET failed");
        };
        let text = |reply: &Reply| match reply {
            Reply::Text(text) => String::from_utf8_lossy(text).into_owned(),
            other => panic!("unexpected {other:?}"),
        };
        parts
            .chunks(2)
            .map(|pair| (text(&pair[0]), text(&pair[1])))
            .collect()
    }

    /// What we make of the same command line in the same directory.
    fn our_config(&self) -> Config {
        load(&self.args, self.dir.path()).unwrap()
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _over = self.process.kill();
        let _over = self.process.wait();
    }
}

// Ours

/// A process that is in a directory of the test's choosing.
struct In(PathBuf);

impl Host for In {
    fn change_dir(&mut self, dir: &Path) -> io::Result<PathBuf> {
        self.0 = std::fs::canonicalize(self.0.join(dir))?;
        self.0.read_dir()?;
        Ok(self.0.clone())
    }

    fn current_dir(&mut self) -> io::Result<PathBuf> {
        Ok(self.0.clone())
    }

    fn rename_command(&mut self, from: &[u8], to: &[u8]) -> Result<(), Refusal> {
        let known = |name: &[u8]| name.eq_ignore_ascii_case(b"get") || name == b"set";
        match (known(from), known(to)) {
            (false, _) => Err("No such command in rename-command".into()),
            (_, true) => Err("Target command name already exists".into()),
            _ => Ok(()),
        }
    }

    fn user(&mut self, args: &[Vec<u8>]) -> Result<(), (usize, String)> {
        match args.iter().position(|arg| arg == b"nonsense") {
            Some(index) => Err((index, "Syntax error".into())),
            None => Ok(()),
        }
    }
}

fn load(args: &[impl AsRef<str>], dir: &Path) -> Result<Config, LoadError> {
    let program = std::iter::once("redis-server");
    let args = program.chain(args.iter().map(AsRef::as_ref));
    let args: Vec<OsString> = args.map(OsString::from).collect();
    let arguments = Arguments::parse(&args, dir);
    assert_eq!(arguments.meta, None);
    let sources = arguments.sources(io::empty()).unwrap();
    Config::load(&sources, &mut In(dir.to_owned()))
}

fn get(config: &Config, patterns: &[&str]) -> BTreeMap<String, String> {
    let patterns: Vec<&[u8]> = patterns.iter().map(|pattern| pattern.as_bytes()).collect();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let found = config.get(&patterns).into_iter();
    found
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

fn without_ours(mut found: BTreeMap<String, String>) -> BTreeMap<String, String> {
    for (name, _reason) in OURS_ONLY {
        found.remove(name);
    }
    found
}

/// CONFIG SET as the server replies to it.
fn set(config: &mut Config, pairs: &[(&str, &str)]) -> Result<(), String> {
    let pairs: Vec<(&[u8], &[u8])> = pairs
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    let here = Circumstances {
        loading: false,
        local_client: true,
    };
    let mut host = In(std::env::temp_dir());
    match config.set_many(&pairs, here, &mut host) {
        Ok(_changes) => Ok(()),
        Err(SetError::Failed(text)) => Err(format!("ERR {}", String::from_utf8_lossy(&text))),
        Err(SetError::Loading) => panic!("nothing is loading"),
    }
}

// CONFIG GET

#[test]
fn names_and_defaults_are_those_of_redis() {
    if !installed() {
        return;
    }
    let mut oracle = Oracle::start(&[], &[]);
    let ours = oracle.our_config();
    let all = get(&ours, &["*"]);
    for (name, reason) in OURS_ONLY {
        assert!(all.contains_key(name), "{name}: {reason}");
    }
    assert_eq!(without_ours(all), oracle.config_get(&["*"]));
    for patterns in [
        &["maxmemory", "maxmemory*", "bind", "*of"][..],
        &["MAXMemory", "maxmemory", "SLAVE*"],
        &["?ort", "[abc]*", "[^a-y]*", "nonsense", "hash-max-z*"],
        &["use-exit-on-panic", "rdb-key-save-delay", "key-load-delay"],
        &[
            "watchdog-period",
            "loading-process-events-interval-bytes",
            "key-load*",
        ],
    ] {
        assert_eq!(
            without_ours(get(&ours, patterns)),
            oracle.config_get(patterns),
            "{patterns:?}"
        );
    }
}

// CONFIG SET

/// Values that are right for some directives and wrong for others.
const PROBES: [&str; 46] = [
    "",
    " ",
    "yes",
    "no",
    "YES",
    "maybe",
    "0",
    "1",
    "-1",
    "-0",
    "+1",
    "01",
    "2",
    "10",
    "99",
    "100",
    "101",
    "1000",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "-2147483649",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "99999999999999999999999",
    "1k",
    "1kb",
    "3MB",
    "2gb",
    "1tb",
    "kb",
    "50%",
    "101%",
    "-5%",
    "0x10",
    "7.5",
    "777",
    "a/b",
    "local",
    "always",
    "local nosave",
    "nosave now",
    "900 1",
];

/// Values for directives with a form of their own.
const SPECIAL_PROBES: [(&str, &str); 70] = [
    ("save", "900 1 300 10"),
    ("save", "900 1 300"),
    ("save", "0 1"),
    ("save", "1 -1"),
    ("save", "900  1"),
    ("save", "900 1 "),
    ("save", " 900 1"),
    ("save", "900\t1"),
    ("save", "1 5000000000"),
    ("save", "99999999999999999999 1"),
    ("save", "a b"),
    ("client-output-buffer-limit", "normal 1gb 512mb 60"),
    ("client-output-buffer-limit", "slave 1gb 1 2 pubsub 0 0 0"),
    ("client-output-buffer-limit", "REPLICA 1 2 3"),
    ("client-output-buffer-limit", "master 1 2 3"),
    ("client-output-buffer-limit", "nobody 1 2 3"),
    ("client-output-buffer-limit", "pubsub 1 2"),
    ("client-output-buffer-limit", "pubsub 1 2 -3"),
    ("client-output-buffer-limit", "pubsub 1 2 3x"),
    ("client-output-buffer-limit", "pubsub 1x 2 3"),
    ("client-output-buffer-limit", "pubsub -1 2 3"),
    ("client-output-buffer-limit", "pubsub 1 2 3 replica 1 2 x"),
    ("client-output-buffer-limit", "pubsub 1 2 4294967297"),
    ("client-output-buffer-limit", "normal 0 0 0 pubsub 1 2 "),
    ("notify-keyspace-events", "KEA"),
    ("notify-keyspace-events", "AKE"),
    ("notify-keyspace-events", "Kg$lshzxetd"),
    ("notify-keyspace-events", "Kg$lshzxet"),
    ("notify-keyspace-events", "AKEmn"),
    ("notify-keyspace-events", "n"),
    ("notify-keyspace-events", "mnKE"),
    ("notify-keyspace-events", "q"),
    ("notify-keyspace-events", "K E"),
    ("latency-tracking-info-percentiles", "50 100"),
    ("latency-tracking-info-percentiles", "0.0 100.0"),
    ("latency-tracking-info-percentiles", "99.123456789"),
    ("latency-tracking-info-percentiles", "1e1 .5 5."),
    ("latency-tracking-info-percentiles", "0x10"),
    ("latency-tracking-info-percentiles", "50  60"),
    ("latency-tracking-info-percentiles", "nan"),
    ("latency-tracking-info-percentiles", "inf"),
    ("latency-tracking-info-percentiles", "100.1"),
    ("latency-tracking-info-percentiles", "-1"),
    ("latency-tracking-info-percentiles", "50 a"),
    ("shutdown-on-sigterm", "save nosave"),
    ("shutdown-on-sigterm", "force now nosave"),
    ("shutdown-on-sigterm", "default save"),
    ("shutdown-on-sigterm", "now  force"),
    ("shutdown-on-sigint", "NOW"),
    ("proc-title-template", "{title}"),
    ("proc-title-template", "{title} {port}"),
    ("proc-title-template", "{nonsense}"),
    ("proc-title-template", "{{ok"),
    ("proc-title-template", "{"),
    ("proc-title-template", "{unixsocket}"),
    ("proc-title-template", "{config-file}"),
    ("proc-title-template", "--my--title--template"),
    ("maxmemory-policy", "allkeys-lfu"),
    ("maxmemory-policy", "VOLATILE-TTL"),
    ("maxmemory-clients", "100%"),
    ("maxmemory-clients", "0%"),
    ("maxmemory-clients", "%"),
    ("cluster-announce-hostname", "a_b"),
    ("cluster-announce-hostname", "a-b.example"),
    ("cluster-preferred-endpoint-type", "unknown-endpoint"),
    ("acl-pubsub-default", "allchannels"),
    ("repl-diskless-load", "swapdb"),
    ("tls-auth-clients", "optional"),
    ("sanitize-dump-payload", "clients"),
    ("list-max-listpack-size", "-5"),
];

/// What would disturb the process or the connection under test rather than
/// tell anything about the configuration.
const NOT_PROBED: [&str; 13] = [
    "port",
    "tls-port",
    "tls-cluster",
    "tls-replication",
    "bind",
    "maxclients",
    "maxmemory-clients",
    "timeout",
    "appendonly",
    "oom-score-adj",
    "watchdog-period",
    "crash-log-enabled",
    "repl-backlog-size",
];

#[test]
fn setting_values_replies_and_stores_as_redis() {
    if !installed() {
        return;
    }
    let mut oracle = Oracle::start(&[], &["--save", ""]);
    let mut ours = oracle.our_config();
    let hostname = "h".repeat(256);
    let names = DIRECTIVES
        .iter()
        .flat_map(|row| [Some(row.name), row.alias])
        .flatten();
    let names = names.filter(|name| !OURS_ONLY.iter().any(|(ours, _)| ours == name));
    let names: Vec<&str> = names.filter(|name| !NOT_PROBED.contains(name)).collect();
    let everywhere = names
        .iter()
        .flat_map(|name| PROBES.map(|value| (*name, value)));
    let more = [
        ("cluster-announce-hostname", hostname.as_str()),
        ("cluster-announce-hostname", &hostname[1..]),
        ("nonsense", "1"),
        ("", ""),
        ("MaxMemory-Samples", "x"),
        ("MaxMemory-Samples", "7"),
        ("maxclients", "0"),
        ("maxclients", "-1"),
        ("maxclients", "4294967296"),
        ("port", "65536"),
        ("timeout", "-1"),
        ("bind", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17"),
        ("maxmemory-clients", "101%"),
        ("maxmemory-clients", "1x%"),
        ("oom-score-adj", "sometimes"),
        ("oom-score-adj-values", "1 2"),
        ("oom-score-adj-values", "1 2 2001"),
        ("oom-score-adj-values", "1 2 x"),
    ];
    let mut compared = 0;
    for (name, value) in everywhere.chain(SPECIAL_PROBES).chain(more) {
        let theirs = oracle.call(&[b"CONFIG", b"SET", name.as_bytes(), value.as_bytes()]);
        let theirs = match theirs {
            Reply::Error(text) => Err(text),
            _ => Ok(()),
        };
        assert_eq!(set(&mut ours, &[(name, value)]), theirs, "{name} {value:?}");
        if theirs.is_ok() {
            let (ours, theirs) = (get(&ours, &[name]), oracle.config_get(&[name]));
            assert_eq!(ours, theirs, "after {name} {value:?}");
        }
        compared += 1;
    }
    assert!(compared > 7000, "{compared}");
    assert_eq!(without_ours(get(&ours, &["*"])), oracle.config_get(&["*"]));
}

#[test]
fn several_values_are_set_together_or_not_at_all() {
    if !installed() {
        return;
    }
    let mut oracle = Oracle::start(&[], &["--save", ""]);
    let mut ours = oracle.our_config();
    let cases: [&[(&str, &str)]; 12] = [
        &[("maxmemory", "10000002"), ("hz", "600"), ("save", "3000 5")],
        &[
            ("maxmemory", "10000001"),
            ("maxmemory-clients", "200%"),
            ("hz", "x"),
        ],
        &[("maxmemory", "1"), ("maxmemory", "2")],
        &[("maxmemory", "1"), ("MAXMEMORY", "2")],
        &[("slave-priority", "1"), ("replica-priority", "2")],
        &[("maxmemory", "x"), ("nonsense", "2")],
        &[("daemonize", "yes"), ("nonsense", "2")],
        &[("nonsense", "yes"), ("Daemonize", "2")],
        &[("dbfilename", "x"), ("maxmemory", "1")],
        &[("dir", "/"), ("maxmemory", "1")],
        &[("maxmemory", "1"), ("dir", "/")],
        &[("lua-time-limit", "77"), ("Busy-Reply-Threshold", "x")],
    ];
    for case in cases {
        let mut args: Vec<&[u8]> = vec![b"CONFIG", b"SET"];
        args.extend(
            case.iter()
                .flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]),
        );
        let theirs = match oracle.call(&args) {
            Reply::Error(text) => Err(text),
            _ => Ok(()),
        };
        assert_eq!(set(&mut ours, case), theirs, "{case:?}");
        assert_eq!(
            without_ours(get(&ours, &["*"])),
            oracle.config_get(&["*"]),
            "{case:?}"
        );
    }
}

#[test]
fn protected_names_can_be_set_where_that_is_enabled() {
    if !installed() {
        return;
    }
    let mut oracle = Oracle::start(&[], &["--save", "", "--enable-protected-configs", "local"]);
    let mut ours = oracle.our_config();
    let cases = [
        ("dir", "/nonexistent"),
        ("dir", "/"),
        ("dbfilename", "a/b"),
        ("dbfilename", "x.rdb"),
    ];
    for (name, value) in cases {
        let theirs = match oracle.call(&[b"CONFIG", b"SET", name.as_bytes(), value.as_bytes()]) {
            Reply::Error(text) => Err(text),
            _ => Ok(()),
        };
        assert_eq!(set(&mut ours, &[(name, value)]), theirs, "{name} {value}");
        assert_eq!(get(&ours, &["d*"]), oracle.config_get(&["d*"]));
    }
}

#[test]
fn io_uring_is_refused_until_there_is_a_driver() {
    let options = |options: &str| Sources {
        options: options.into(),
        ..Sources::default()
    };
    let mut host = In(std::env::temp_dir());
    for good in ["io-backend auto", "io-backend EPOLL"] {
        assert!(Config::load(&options(good), &mut host).is_ok(), "{good}");
    }
    let error = Config::load(&options("io-backend io_uring"), &mut host).unwrap_err();
    let text = String::from_utf8(error.report(VERSION)).unwrap();
    assert!(text.ends_with("io_uring is not available in this build, use auto or epoll\n"));
}

#[test]
fn effects_come_once_and_can_be_rolled_back() {
    let mut config = Config::default();
    let before = config.clone();
    let mut host = In(std::env::temp_dir());
    let pairs: [(&[u8], &[u8]); 4] = [
        (b"maxmemory", b"5mb"),
        (b"oom-score-adj", b"yes"),
        (b"oom-score-adj-values", b"1 2 3"),
        (b"port", b"7777"),
    ];
    let changes = config
        .set_many(&pairs, Circumstances::default(), &mut host)
        .ok()
        .unwrap();
    let effects = [
        (Effect::MaxMemory, "maxmemory"),
        (Effect::OomScore, "oom-score-adj"),
        (Effect::Port, "port"),
    ];
    assert_eq!(changes.effects, effects);
    assert_eq!((config.port, changes.previous().port), (7777, 6379));
    let reason = "Unable to listen on this port. Check server logs.";
    let (error, again) = config.roll_back(changes, Effect::Port, reason, &mut host);
    let text = format!("CONFIG SET failed (possibly related to argument 'port') - {reason}");
    assert_eq!(error, SetError::Failed(text.into_bytes()));
    assert_eq!(again, effects.map(|(effect, _)| effect));
    assert_eq!(config, before);
    // What is set to what it was has no effect.
    let same = config.set_many(&[(b"port", b"6379")], Circumstances::default(), &mut host);
    assert_eq!(same.ok().unwrap().effects, []);
}

#[test]
fn loading_denies_some_names() {
    let mut config = Config::default();
    let loading = Circumstances {
        loading: true,
        local_client: true,
    };
    let mut set = |name: &[u8]| {
        let set = config.set_many(&[(name, b"no")], loading, &mut In(std::env::temp_dir()));
        set.err()
    };
    assert_eq!(set(b"appendonly"), Some(SetError::Loading));
    assert_eq!(set(b"latency-tracking"), None);
}

#[test]
fn secrets_are_told_apart() {
    for (name, secret) in [
        ("requirepass", true),
        ("MASTERAUTH", true),
        ("maxmemory", false),
    ] {
        assert_eq!(is_sensitive(name.as_bytes()), secret, "{name}");
    }
}

// Start

/// Configuration files that are refused.
const BROKEN: [&str; 44] = [
    "port abc",
    "port 1 2",
    "port",
    "port 70000",
    "port -1",
    "# fine\n\n  timeout 5\n\tnonsense 1",
    "NONSENSE",
    "maxmemory 1tb",
    "maxmemory-clients 200%",
    "maxmemory-policy sometimes",
    "loglevel loud",
    "daemonize perhaps",
    "bind \"1.1.1.1",
    "bind 'a'b",
    "logfile \"a\"b",
    "databases 0",
    "unixsocketperm 999",
    "unixsocketperm 1000",
    "save 900",
    "save a b",
    "save \"900 1 300\"",
    "client-output-buffer-limit normal 1 2",
    "client-output-buffer-limit somebody 1 2 3",
    "client-output-buffer-limit normal 1 2 x",
    "oom-score-adj-values 1 2",
    "oom-score-adj-values 1 2 3000",
    "notify-keyspace-events X!",
    "shutdown-on-sigterm save nosave",
    "shutdown-on-sigterm sometimes",
    "latency-tracking-info-percentiles 50 1000",
    "latency-tracking-info-percentiles a",
    "replicaof 127.0.0.1",
    "replicaof 127.0.0.1 abc",
    "replicaof 127.0.0.1 70000",
    "slaveof a b c",
    "dir /does/not/exist",
    "dbfilename a/b",
    "appendfilename \"\"",
    "proc-title-template {x}",
    "logfile /does/not/exist/log",
    "port 1\nport 2\nport 3\nport x",
    "list-max-ziplist-entries 1 2",
    "sentinel monitor a 127.0.0.1 1 1",
    "cluster-enabled yes\nreplicaof 127.0.0.1 1",
];

/// Those whose text needs what higher layers know.
const BROKEN_ABOVE: [&str; 4] = [
    "rename-command nonsense x",
    "rename-command get set",
    "rename-command get",
    "some.thing",
];

fn refused_by_redis(dir: &Path, args: &[&str]) -> String {
    let out = Command::new("redis-server")
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(1), "{args:?}");
    String::from_utf8(out.stderr).unwrap()
}

#[test]
fn broken_files_are_refused_with_the_same_text() {
    if !installed() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for text in BROKEN.iter().chain(&BROKEN_ABOVE) {
        std::fs::write(dir.path().join("x.conf"), text).unwrap();
        let theirs = refused_by_redis(dir.path(), &["x.conf"]);
        let ours = load(&["x.conf"], dir.path())
            .expect_err(text)
            .report(VERSION);
        assert_eq!(String::from_utf8(ours).unwrap(), theirs, "{text}");
    }
}

#[test]
fn broken_command_lines_are_refused_with_the_same_text() {
    if !installed() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("x.conf"), "timeout 5\ninclude y.conf").unwrap();
    std::fs::write(dir.path().join("y.conf"), "hz 20").unwrap();
    let cases: [&[&str]; 19] = [
        &["--port"],
        &["--port", "6380", "--loglevel"],
        &["--port", "6379", "6380"],
        &["--port", "--loglevel", "verbose"],
        &["--port", "--bla", "--loglevel", "verbose"],
        &["--logfile", "--my--log--file", "--loglevel", "--bla"],
        &["--shutdown-on-sigint"],
        &["--shutdown-on-sigint", "now force", "--shutdown-on-sigterm"],
        &["--replicaof", "127.0.0.1", "abc"],
        &["--replicaof", "--127.0.0.1", "abc"],
        &["--replicaof", "--127.0.0.1", "--abc"],
        &["x.conf", "--port x"],
        &["x.conf", "-", "--port", "1"],
        &["--nonsense", "1"],
        &["--maxmemory 1xb", "--port 1"],
        &["--bind \"", "--port 1"],
        &["--save", "--save", "--port x"],
        &["--port", ""],
        &["--", "x"],
    ];
    for args in cases {
        let theirs = refused_by_redis(dir.path(), args);
        let Err(error) = load(args, dir.path()) else {
            panic!("{args:?} is accepted; redis-server: {theirs}");
        };
        assert_eq!(
            String::from_utf8(error.report(VERSION)).unwrap(),
            theirs,
            "{args:?}"
        );
    }
}

#[test]
fn odd_but_right_files_give_the_same_values() {
    if !installed() {
        return;
    }
    let main = "\
  MAXMEMORY   100MB  \t\r
save 900 1
save 300 10
\"timeout\" '7'
requirepass \"a \\\"b\\\" \\x41\\n\\\\ c\"
masterauth 'it\\'s \\n'
syslog-ident foo\"bar\"
client-output-buffer-limit pubsub 1mb 2mb 3
client-output-buffer-limit \"normal 4 5 6 replica 7 8 9\"
shutdown-on-sigterm nosave now
shutdown-on-sigint \"force save\"
bind 127.0.0.1
latency-tracking-info-percentiles \"10 20.50\"
oom-score-adj-values 1 2 3
slave-priority 5
hash-max-ziplist-entries 77
lua-replicate-commands yes
hz 0
include inc/*.conf
include none/*.conf
notify-keyspace-events \"\"
unixsocketperm 0700
databases 3
timeout 9
";
    let mut oracle = Oracle::start(
        &[("x.conf", main)],
        &["x.conf", "--lfu-decay-time 4", "--save"],
    );
    let ours = oracle.our_config();
    let authenticated = oracle.call(&[b"AUTH", b"a \"b\" A\n\\ c"]);
    assert_eq!(authenticated, Reply::Text(b"OK".into()));
    assert_eq!(without_ours(get(&ours, &["*"])), oracle.config_get(&["*"]));
}

#[test]
fn includes_are_read_in_place_and_have_a_bottom() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    std::fs::create_dir(dir.path().join("d")).unwrap();
    write(
        "x.conf",
        "timeout 1\nhz 11\ninclude d/*.conf\ninclude none*.conf\nhz 12\n",
    );
    write("d/2.conf", "timeout 3\nsave 5 5");
    write("d/1.conf", "timeout 2\nsave 4 4\n");
    let config = load(&["x.conf"], dir.path()).unwrap();
    assert_eq!((config.timeout_s, config.hz), (3, 12));
    assert_eq!(get(&config, &["save"])["save"], "4 4 5 5");

    write("loop.conf", "include loop.conf");
    let error = load(&["loop.conf"], dir.path())
        .unwrap_err()
        .report(VERSION);
    assert!(
        String::from_utf8(error)
            .unwrap()
            .ends_with("\nToo many nested includes\n")
    );

    write("bad.conf", "include d/bad");
    write("d/bad", "hz 1\nhz x");
    let LoadError::Refused {
        at: Some(place), ..
    } = load(&["bad.conf"], dir.path()).unwrap_err()
    else {
        panic!("not refused");
    };
    assert_eq!(
        (place.file, place.line, place.text),
        (Some(b"d/bad".into()), 2, b"hz x".into())
    );

    write("missing.conf", "include nowhere.conf");
    let error = load(&["missing.conf"], dir.path())
        .unwrap_err()
        .report(VERSION);
    assert_eq!(
        String::from_utf8(error).unwrap(),
        "Fatal error, can't open config file 'nowhere.conf': No such file or directory\n"
    );
}

/// Redis takes `save` lines behind an include for ones that replace those
/// before them; here they add to them as without the include.
#[test]
fn save_lines_add_up_across_includes() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("y.conf"), "hz 20").unwrap();
    let text = "save 900 1\ninclude y.conf\nsave 300 10\n";
    std::fs::write(dir.path().join("x.conf"), text).unwrap();
    let config = load(&["x.conf"], dir.path()).unwrap();
    assert_eq!(get(&config, &["save"])["save"], "900 1 300 10");
}

/// Redis names another argument of the line here, two before the wrong one.
#[test]
fn a_wrong_user_line_names_the_wrong_argument() {
    let options = b"user alice on nonsense".to_vec();
    let sources = Sources {
        options,
        ..Sources::default()
    };
    let error = Config::load(&sources, &mut In(std::env::temp_dir())).unwrap_err();
    let text = String::from_utf8(error.report(VERSION)).unwrap();
    assert!(text.ends_with("\nError in user declaration 'nonsense': Syntax error\n"));
}

#[test]
fn lines_for_higher_layers_are_kept() {
    let options = "user alice on >pw\nloadmodule m.so a b\nrename-command get \"\"\nx.y 1 2\nx.y 3";
    let sources = Sources {
        options: options.into(),
        ..Sources::default()
    };
    let config = Config::load(&sources, &mut In(std::env::temp_dir())).unwrap();
    assert_eq!(
        config.users,
        [[b"alice".to_vec(), b"on".to_vec(), b">pw".to_vec()]]
    );
    assert_eq!(config.modules[0].args, [b"a", b"b"]);
    assert_eq!(
        config.renames,
        [Rename {
            from: b"get".into(),
            to: b"".into()
        }]
    );
    assert_eq!(config.module_directives, [(b"x.y".to_vec(), b"3".to_vec())]);
}

// CONFIG REWRITE

#[test]
fn rewritten_files_are_those_of_redis() {
    if !installed() {
        return;
    }
    let file = "\
# My server

timeout 5
  SLAVE-PRIORITY 7


save 900 1
save 300 10
include extra.conf
client-output-buffer-limit pubsub 1mb 2mb 3
# ??? left over
maxmemory 100mb
maxmemory 200mb
list-max-ziplist-entries 5
requirepass \"old\"
pidfile x.pid
bind 127.0.0.1";
    let mut oracle = Oracle::start(&[("x.conf", file), ("extra.conf", "hz 20\n")], &["x.conf"]);
    let mut ours = oracle.our_config();
    let auth = oracle.call(&[b"AUTH", b"old"]);
    assert_eq!(auth, Reply::Text(b"OK".into()));
    let path = oracle.dir.path().join("x.conf");
    for pairs in [
        &[][..],
        &[
            ("save", ""),
            ("requirepass", "a \"b\" \n\\"),
            ("maxmemory", "3gb"),
        ],
        &[
            ("save", "1 2 3 4 5 6"),
            ("shutdown-on-sigint", "nosave now"),
            ("bind", ""),
        ],
        &[
            ("client-output-buffer-limit", "normal 1kb 2 3"),
            ("maxmemory-clients", "5%"),
        ],
        &[
            ("notify-keyspace-events", "KA"),
            ("latency-tracking-info-percentiles", ""),
        ],
        &[
            ("requirepass", ""),
            ("proc-title-template", "x{{{port}"),
            ("logfile", "x"),
        ],
        &[
            ("maxmemory", "0"),
            ("bind", "127.0.0.1"),
            ("slowlog-log-slower-than", "-1"),
        ],
    ] {
        for (name, value) in pairs {
            let theirs = match oracle.call(&[b"CONFIG", b"SET", name.as_bytes(), value.as_bytes()])
            {
                Reply::Error(text) => Err(text),
                _ => Ok(()),
            };
            assert_eq!(set(&mut ours, &[(name, value)]), theirs, "{name} {value}");
        }
        let before = std::fs::read(&path).unwrap();
        let users = oracle.call(&[b"ACL", b"LIST"]);
        let Reply::Array(users) = users else {
            panic!("no users: {users:?}");
        };
        let users: Vec<Vec<u8>> = users
            .into_iter()
            .map(|user| match user {
                Reply::Text(line) => line.strip_prefix(b"user ").unwrap().to_vec(),
                other => panic!("no user: {other:?}"),
            })
            .collect();
        let rewritten = oracle.call(&[b"CONFIG", b"REWRITE"]);
        assert_eq!(rewritten, Reply::Text(b"OK".into()));
        let theirs = std::fs::read_to_string(&path).unwrap();
        let extra = Extra {
            users: &users,
            modules: &[],
        };
        let ours = String::from_utf8(ours.rewritten(&before, extra, false)).unwrap();
        assert_eq!(in_order(&ours), in_order(&theirs), "{pairs:?}");
    }
}

/// The lines, appended ones sorted: Redis appends in the order of a hash table.
fn in_order(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.split('\n').collect();
    let signature = lines
        .iter()
        .position(|line| *line == "# Generated by CONFIG REWRITE");
    lines[signature.unwrap()..].sort();
    lines
}

#[test]
fn a_file_with_everything_written_loads_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = load(&["--dir", dir.path().to_str().unwrap()], dir.path()).unwrap();
    config.config_file = Some(dir.path().join("x.conf"));
    for (name, value) in [
        ("requirepass", "\u{1}\"'\\ \u{e9}#"),
        ("shutdown-on-sigint", "nosave force"),
        ("save", ""),
        ("latency-tracking-info-percentiles", ""),
        ("maxmemory", "18446744073709551615"),
        ("bind", ""),
    ] {
        set(&mut config, &[(name, value)]).unwrap();
    }
    config
        .rewrite(&dir.path().join("x.conf"), Extra::default(), true)
        .unwrap();
    let again = load(&["x.conf"], dir.path()).unwrap();
    assert_eq!(again, config);
}

// The example file

#[test]
fn the_example_file_is_complete_and_says_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("redis.conf.example");
    let text = std::fs::read_to_string(&path).unwrap();
    let sources = Sources {
        file: Some(path.clone()),
        ..Sources::default()
    };
    let mut loaded = Config::load(&sources, &mut In(std::env::temp_dir())).unwrap();
    loaded.config_file = None;
    loaded.dir = Vec::new();
    assert_eq!(loaded, Config::default());

    // A directive is shown as a line of its own, active or behind `# `.
    let marker = text
        .find("STORED AND RETURNED")
        .expect("the section of later features");
    let shown = |text: &str| -> BTreeSet<String> {
        let words = text.lines().filter_map(|line| {
            line.strip_prefix("# ")
                .unwrap_or(line)
                .split_whitespace()
                .next()
        });
        words.map(str::to_owned).collect()
    };
    let (now, later) = (shown(&text[..marker]), shown(&text[marker..]));
    for directive in DIRECTIVES.iter().filter(|row| !row.is(flag::HIDDEN)) {
        let expected = if directive.is(flag::LATER) {
            &later
        } else {
            &now
        };
        assert!(expected.contains(directive.name), "{}", directive.name);
    }
    for name in ["include", "rename-command", "user", "loadmodule"] {
        assert!(now.contains(name) || later.contains(name), "{name}");
    }
}
