//! CONFIG GET and CONFIG SET.

use crate::oracle::{Oracle, Reply, installed};
use crate::ours::{In, get, set, without_ours};
use crate::{OURS_ONLY, VERSION};
use redstart::config::*;

#[test]
fn names_and_defaults_are_those_of_redis() {
    if !installed() {
        return;
    }
    let mut oracle = Oracle::start(&[], &[]);
    let ours = oracle.our_config();
    let all = get(&ours, &["*"]);
    for (name, reason) in OURS_ONLY {
        // Hidden from patterns, so that what writes back all of `*` still works.
        assert!(!all.contains_key(name), "{name}: {reason}");
        assert!(get(&ours, &[name]).contains_key(name), "{name}: {reason}");
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

/// Values that are right for some directives and wrong for others.
pub const PROBES: [&str; 46] = [
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
pub const SPECIAL_PROBES: [(&str, &str); 70] = [
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
    // Whether redis-server can defragment depends on how it was built.
    let probes = everywhere.chain(SPECIAL_PROBES).chain(more);
    for (name, value) in probes.filter(|(name, _)| *name != "activedefrag") {
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
