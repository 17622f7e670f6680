//! Files and command lines.

use crate::VERSION;
use crate::oracle::{Oracle, Reply, installed};
use crate::ours::{In, get, load, without_ours};
use redstart::config::*;
use std::path::Path;
use std::process::Command;

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
