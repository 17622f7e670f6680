//! INFO, MONITOR and the other server commands.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use super::support::{Client, Server, wait};

/// The lines of INFO.
#[track_caller]
fn info(c: &mut Client, sections: &str) -> Vec<String> {
    let text = c.ask(&format!("INFO {sections}"));
    let text = text.strip_prefix('$').expect("a bulk string").to_owned();
    assert!(text.is_empty() || text.ends_with("\r\n"), "{text:?}");
    text.lines().map(str::to_owned).collect()
}

/// A field of INFO everything.
#[track_caller]
fn field(c: &mut Client, name: &str) -> String {
    let prefix = format!("{name}:");
    let lines = info(c, "everything");
    let found = lines.iter().find_map(|line| line.strip_prefix(&prefix));
    found.unwrap_or_else(|| panic!("{name} in INFO")).to_owned()
}

#[track_caller]
fn number(c: &mut Client, name: &str) -> f64 {
    let value = field(c, name);
    value.parse().unwrap_or_else(|_| panic!("{name}:{value}"))
}

fn names(lines: &[String]) -> Vec<&str> {
    let name = |line: &'_ String| -> usize { line.find(':').unwrap_or(line.len()) };
    lines.iter().map(|line| &line[..name(line)]).collect()
}

/// Fields that redis-server does not have.
const OURS: [&str; 2] = ["server_name", "redstart_version"];

#[test]
fn info_has_the_fields_of_redis_in_their_order() {
    let Some(theirs) = Server::start_oracle(&[]) else {
        return;
    };
    let ours = Server::start(&[]);
    let [ours, theirs] = [ours, theirs].map(|server| {
        let mut c = server.connect();
        c.check("SET k v", "+OK");
        c.check("SET k", "-ERR wrong number of arguments for 'set' command");
        c.check("SELECT 3", "+OK");
        c.check("SET k v EX 100", "+OK");
        let texts = ["", "everything", "all", "default", "Server Keyspace"];
        texts.map(|sections| info(&mut c, sections))
    });
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let mut ours = names(ours);
        assert!(ours.iter().any(|name| OURS.contains(name)));
        ours.retain(|name| !OURS.contains(name));
        let mut theirs = names(theirs);
        // These three sections have the order of a hash table there.
        for list in [&mut ours, &mut theirs] {
            let is_stat = |name: &&str| name.starts_with("cmdstat") || name.starts_with("latency_");
            let mut stats: Vec<&str> = list.iter().copied().filter(is_stat).collect();
            stats.sort_unstable();
            list.retain(|name| !is_stat(name));
            list.extend(stats);
        }
        assert_eq!(ours, theirs);
    }
}

#[test]
fn info_gives_the_sections_asked_for() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.check("INFO nosuch", "$");
    c.check("INFO sentinel", "$");
    let titles = |lines: &[String]| -> Vec<String> {
        let title = |line: &String| line.strip_prefix("# ").map(str::to_owned);
        lines.iter().filter_map(title).collect()
    };
    for (asked, expected) in [
        ("cpu", "CPU"),
        ("CPU cpu Cpu", "CPU"),
        ("keyspace nosuch CLUSTER", "Cluster Keyspace"),
        ("module_list", "Modules"),
        ("modules", "Modules"),
        ("commandSTATS", "Commandstats"),
        (
            "",
            "Server Clients Memory Persistence Stats Replication CPU Modules Errorstats Cluster \
             Keyspace",
        ),
        (
            "latencystats default",
            "Server Clients Memory Persistence Stats Replication CPU Modules Errorstats \
             Latencystats Cluster Keyspace",
        ),
        (
            "cpu ALL",
            "Server Clients Memory Persistence Stats Replication CPU Modules Commandstats \
             Errorstats Latencystats Cluster Keyspace",
        ),
    ] {
        assert_eq!(titles(&info(&mut c, asked)).join(" "), expected, "{asked}");
    }
    // A blank line between sections, none at the ends.
    let lines = info(&mut c, "cluster keyspace");
    assert_eq!(
        lines,
        ["# Cluster", "cluster_enabled:0", "", "# Keyspace"].map(str::to_owned)
    );
    c.ask("HELLO 3");
    let reply = c.ask("INFO keyspace");
    assert_eq!(reply, "=txt:# Keyspace\r\n");
}

#[test]
fn info_tells_the_truth() {
    let server = Server::start(&["--hz", "50", "--maxclients", "77", "--maxmemory", "3gb"]);
    let mut c = server.connect();
    let pid = server.pid().to_string();
    for (name, value) in [
        ("redis_version", "7.0.15"),
        ("server_name", "redstart"),
        ("redstart_version", env!("CARGO_PKG_VERSION")),
        ("redis_mode", "standalone"),
        ("process_id", &pid),
        ("tcp_port", &server.port.to_string()),
        ("config_file", ""),
        ("configured_hz", "50"),
        ("maxclients", "77"),
        ("connected_clients", "1"),
        ("blocked_clients", "0"),
        ("maxmemory", "3221225472"),
        ("maxmemory_human", "3.00G"),
        ("maxmemory_policy", "noeviction"),
        ("mem_allocator", "jemalloc-5.3.0"),
        ("loading", "0"),
        ("aof_enabled", "0"),
        ("rdb_last_bgsave_status", "ok"),
        ("rdb_last_bgsave_time_sec", "-1"),
        ("role", "master"),
        ("connected_slaves", "0"),
        ("master_repl_offset", "0"),
        ("repl_backlog_size", "1048576"),
        ("cluster_enabled", "0"),
    ] {
        assert_eq!(field(&mut c, name), value, "{name}");
    }
    assert_eq!(field(&mut c, "executable"), env!("CARGO_BIN_EXE_redstart"));
    for name in ["run_id", "master_replid"] {
        let id = field(&mut c, name);
        assert!(id.len() == 40 && id.bytes().all(|b| b.is_ascii_hexdigit()));
    }
    assert_ne!(field(&mut c, "run_id"), field(&mut c, "master_replid"));
    let clock = number(&mut c, "lru_clock");
    let now_s = number(&mut c, "server_time_usec") / 1e6;
    assert!((now_s % f64::from(1 << 24) - clock).abs() < 2.0);
}

#[test]
fn info_counts() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.check("CONFIG RESETSTAT", "+OK");
    c.check("SET a 1", "+OK");
    c.check("GET a", "$1");
    c.check("GET nosuch", "$-1");
    c.ask("NOSUCH");
    c.ask("GET");
    c.check("SET b v PX 20", "+OK");
    c.check("SET b v EX 10000", "+OK");
    c.check("INCR b", "-ERR value is not an integer or out of range");
    assert_eq!(field(&mut c, "keyspace_hits"), "1");
    assert_eq!(field(&mut c, "keyspace_misses"), "1");
    assert_eq!(field(&mut c, "total_error_replies"), "3");
    assert_eq!(field(&mut c, "errorstat_ERR"), "count=3");
    assert_eq!(field(&mut c, "db0"), "keys=2,expires=1,avg_ttl=0");
    let get = field(&mut c, "cmdstat_get");
    assert!(get.starts_with("calls=2,usec="), "{get}");
    assert!(get.ends_with(",rejected_calls=1,failed_calls=0"), "{get}");
    let incr = field(&mut c, "cmdstat_incr");
    assert!(incr.ends_with("rejected_calls=0,failed_calls=1"), "{incr}");
    let percentiles = field(&mut c, "latency_percentiles_usec_get");
    assert!(
        percentiles.starts_with("p50=") && percentiles.contains(",p99.9="),
        "{percentiles}"
    );
    let processed = number(&mut c, "total_commands_processed");
    assert_eq!(number(&mut c, "total_commands_processed"), processed + 1.0);
    let output = number(&mut c, "total_net_output_bytes");
    assert!(number(&mut c, "total_net_output_bytes") > output + 1000.0);
    let before = number(&mut c, "total_connections_received");
    let second = server.connect();
    wait("the second client", || {
        (field(&mut c, "connected_clients") == "2").then_some(())
    });
    assert_eq!(number(&mut c, "total_connections_received"), before + 1.0);
    drop(second);
    wait("it to be gone", || {
        (field(&mut c, "connected_clients") == "1").then_some(())
    });
    c.check("SET a gone PX 1", "+OK");
    wait("an expired key", || {
        (field(&mut c, "expired_keys") == "1").then_some(())
    });

    c.check("CONFIG SET latency-tracking no", "+OK");
    assert_eq!(info(&mut c, "latencystats"), ["# Latencystats"]);
    c.check("CONFIG RESETSTAT", "+OK");
    assert_eq!(field(&mut c, "expired_keys"), "0");
    assert_eq!(info(&mut c, "errorstats"), ["# Errorstats"]);
    assert!(!names(&info(&mut c, "commandstats")).contains(&"cmdstat_get"));
}

#[test]
fn error_codes_that_clients_make_up_do_not_break_info() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    for name in ["a:b", "#c", "é"] {
        c.command(&[name]);
        assert!(c.reply().starts_with("-ERR unknown command"));
    }
    assert_eq!(field(&mut c, "errorstat_ERR"), "count=3");
}

#[test]
fn info_follows_memory_and_processor() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let before = number(&mut c, "used_memory");
    let startup = number(&mut c, "used_memory_startup");
    assert!(startup > 0.0 && startup <= before);
    c.command(&[b"SET".as_slice(), b"big", &vec![b'x'; 20 << 20]]);
    assert_eq!(c.reply(), "+OK");
    let used = number(&mut c, "used_memory");
    assert!(used >= before + f64::from(20 << 20), "{before} {used}");
    let human = field(&mut c, "used_memory_human");
    let megabytes: f64 = human.strip_suffix('M').unwrap().parse().unwrap();
    assert!((megabytes - used / f64::from(1 << 20)).abs() < 1.0);
    assert!(number(&mut c, "used_memory_rss") >= used);
    // The request's buffer counts as the client's for a while.
    wait("the value to be data", || {
        (number(&mut c, "used_memory_dataset") >= f64::from(20 << 20)).then_some(())
    });
    assert!(field(&mut c, "used_memory_dataset_perc").ends_with('%'));
    assert!(number(&mut c, "total_system_memory") > used);
    c.check("DEL big", ":1");
    wait("the memory to be free again", || {
        (number(&mut c, "used_memory") < used - f64::from(15 << 20)).then_some(())
    });
    assert!(number(&mut c, "used_memory_peak") >= used);

    wait("processor time", || {
        let all = number(&mut c, "used_cpu_user") + number(&mut c, "used_cpu_sys");
        let main = number(&mut c, "used_cpu_user_main_thread");
        (all > 0.01 && main > 0.0 && main <= all).then_some(())
    });
    assert_eq!(field(&mut c, "used_cpu_user_children"), "0.000000");
    // A request that is not complete waits in the client's buffer.
    let mut slow = server.connect();
    slow.send("*2\r\n$3\r\nGET\r\n$100000\r\n");
    slow.send(vec![b'x'; 50_000]);
    wait("the buffer to be seen", || {
        (number(&mut c, "client_recent_max_input_buffer") >= 50_000.0).then_some(())
    });
    wait("the clients' memory", || {
        (number(&mut c, "mem_clients_normal") >= 50_000.0).then_some(())
    });
}

#[test]
fn ops_per_second_are_measured() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    wait("a rate", || {
        for _ in 0..200 {
            c.check("PING", "+PONG");
        }
        (number(&mut c, "instantaneous_ops_per_sec") > 100.0
            && number(&mut c, "instantaneous_input_kbps") > 0.0)
            .then_some(())
    });
}

/// A line of MONITOR without its time and port.
#[track_caller]
fn shown(line: &str) -> String {
    let (time, rest) = line.split_once(' ').expect("a time");
    let (seconds, micros) = time[1..].split_once('.').expect("microseconds");
    assert!(
        seconds.parse::<u64>().is_ok() && micros.len() == 6,
        "{time}"
    );
    match rest.find("127.0.0.1:") {
        Some(at) => {
            let end = at + rest[at..].find(']').expect("the end of the address");
            format!("{}127.0.0.1:*{}", &rest[..at], &rest[end..])
        }
        None => rest.to_owned(),
    }
}

#[test]
fn monitors_see_what_redis_shows() {
    let mut servers = vec![Server::start(&[])];
    servers.extend(Server::start_oracle(&[]));
    let mut transcripts = Vec::new();
    for server in &servers {
        let mut watcher = server.connect();
        watcher.check("MONITOR", "+OK");
        let mut c = server.connect();
        c.ask("SET k \"a \\\"b\\\" \\x01\\xff\\n\"");
        c.ask("SELECT 5");
        c.ask("GET k");
        // Refused, unknown, administrative: not shown. Failed: shown. Secrets: hidden.
        c.ask("GET");
        c.ask("NOSUCH x");
        c.ask("CONFIG GET port");
        c.ask("INCRBY k x");
        c.ask("AUTH wrong");
        c.ask("ECHO ''");
        // A second MONITOR has no reply; its own commands follow their replies.
        watcher.send("MONITOR\r\nPING\r\n");
        let mut lines: Vec<String> = Vec::new();
        while !lines.last().is_some_and(|line| line.ends_with("\"PING\"")) {
            lines.push(watcher.reply());
        }
        assert_eq!(lines.remove(lines.len() - 2), "+PONG");
        c.ask("PING last");
        lines.push(watcher.reply());
        let lines: Vec<String> = lines.iter().map(|line| shown(line)).collect();
        transcripts.push(lines);
    }
    let expected = [
        "[0 127.0.0.1:*] \"SET\" \"k\" \"a \\\"b\\\" \\x01\\xff\\n\"",
        "[5 127.0.0.1:*] \"SELECT\" \"5\"",
        "[5 127.0.0.1:*] \"GET\" \"k\"",
        "[5 127.0.0.1:*] \"INCRBY\" \"k\" \"x\"",
        "[5 127.0.0.1:*] \"AUTH\" \"(redacted)\"",
        "[5 127.0.0.1:*] \"ECHO\" \"\"",
        "[0 127.0.0.1:*] \"PING\"",
        "[5 127.0.0.1:*] \"PING\" \"last\"",
    ];
    for transcript in transcripts {
        assert_eq!(transcript, expected);
    }
}

#[test]
fn monitors_see_scripts_before_what_they_call_and_when_they_fail() {
    const UNKNOWN: &str = "ffffffffffffffffffffffffffffffffffffffff";
    let library = "#!lua name=l\nredis.register_function('f', function() return 1 end)";
    let mut servers = vec![Server::start(&[])];
    servers.extend(Server::start_oracle(&[]));
    for server in &servers {
        let (mut c, mut watcher) = (server.connect(), server.connect());
        c.command(&["FUNCTION", "LOAD", library]);
        c.check_reply("$l");
        watcher.check("MONITOR", "+OK");
        let calls = [
            format!("EVALSHA {UNKNOWN} 0"),
            "EVALSHA short 0".to_owned(),
            "EVAL 'return 1' 3 a".to_owned(),
            "EVAL_RO 'return (' 0".to_owned(),
            // Refused before it is looked at: not shown.
            "EVAL 'return 1'".to_owned(),
            "FCALL f".to_owned(),
            "FCALL nosuch 0".to_owned(),
            "FCALL f x".to_owned(),
            "FCALL_RO f 0".to_owned(),
            "EVAL \"return redis.call('incr', 'n')\" 0".to_owned(),
            // In a transaction: when it runs, and before EXEC.
            "MULTI".to_owned(),
            "EVAL 'return 1' x".to_owned(),
            "FCALL nosuch 0".to_owned(),
            "EXEC".to_owned(),
        ];
        for call in &calls {
            c.ask(call);
        }
        c.ask("PING last");
        let mut lines = Vec::new();
        while !lines
            .last()
            .is_some_and(|line: &String| line.ends_with("\"last\""))
        {
            lines.push(shown(&watcher.reply()));
        }
        let expected = [
            &format!("\"EVALSHA\" \"{UNKNOWN}\" \"0\""),
            "\"EVALSHA\" \"short\" \"0\"",
            "\"EVAL\" \"return 1\" \"3\" \"a\"",
            "\"EVAL_RO\" \"return (\" \"0\"",
            "\"FCALL\" \"nosuch\" \"0\"",
            "\"FCALL\" \"f\" \"x\"",
            "\"FCALL_RO\" \"f\" \"0\"",
            "\"EVAL\" \"return redis.call('incr', 'n')\" \"0\"",
            "lua",
            "\"MULTI\"",
            "\"EVAL\" \"return 1\" \"x\"",
            "\"FCALL\" \"nosuch\" \"0\"",
            "\"EXEC\"",
            "\"PING\" \"last\"",
        ]
        .map(|call| match call {
            "lua" => "[0 lua] \"incr\" \"n\"".to_owned(),
            call => format!("[0 127.0.0.1:*] {call}"),
        });
        assert_eq!(lines, expected);
    }
}

#[test]
fn monitors_see_the_unix_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let path = path.to_str().unwrap();
    let server = Server::start(&["--unixsocket", path]);
    let mut watcher = server.connect();
    watcher.check("MONITOR", "+OK");
    let id = watcher.id();
    let mut local = UnixStream::connect(path).unwrap();
    local.write_all(b"PING\r\n").unwrap();
    let mut pong = [0; 7];
    local.read_exact(&mut pong).unwrap();
    watcher.reply(); // CLIENT ID
    assert_eq!(shown(&watcher.reply()), format!("[0 unix:{path}] \"PING\""));
    let mut c = server.connect();
    assert_eq!(c.field_of(id, "flags"), "O");
    assert_eq!(c.field_of(id, "cmd"), "client|id");
}

#[test]
fn a_monitor_that_does_not_read_is_closed() {
    let server = Server::start(&["--client-output-buffer-limit", "normal 1mb 0 0"]);
    let mut watcher = server.connect();
    watcher.check("MONITOR", "+OK");
    let id = watcher.id();
    let mut c = server.connect();
    let big = vec![b'x'; 200_000];
    wait("the monitor to be closed", || {
        c.command(&[b"PING".as_slice(), &big]);
        c.reply();
        (c.ask(&format!("CLIENT LIST ID {id}")) == "$").then_some(())
    });
    c.check("PING", "+PONG");
}

#[test]
fn time_role_and_modules() {
    let server = Server::start(&["--enable-module-command", "local"]);
    let mut c = server.connect();
    let time = c.ask("TIME");
    let parts: Vec<i64> = time
        .strip_prefix("*2 $")
        .expect("two bulk strings")
        .split(" $")
        .map(|part| part.parse().unwrap())
        .collect();
    let started = number(&mut c, "rdb_last_save_time") as i64;
    assert!((started..started + 60).contains(&parts[0]));
    assert!((0..1_000_000).contains(&parts[1]));
    c.check("ROLE", "*3 $master :0 *0");
    c.check("MODULE LIST", "*0");
    c.check(
        "MODULE LOAD /tmp/x.so",
        "-ERR Error loading the extension. Please check the server logs.",
    );
    server.wait_for_log("/tmp/x.so failed to load");
    c.check(
        "MODULE UNLOAD x",
        "-ERR Error unloading module: no such module with that name",
    );
    let server = Server::start(&[]);
    let mut c = server.connect();
    for call in ["LOAD x", "LOADEX x", "UNLOAD x"] {
        let reply = c.ask(&format!("MODULE {call}"));
        assert!(
            reply.starts_with("-ERR MODULE command not allowed. If the enable-module-command"),
            "{reply}"
        );
    }
    c.check("MODULE LIST", "*0");
}

#[test]
fn art_ends_with_the_version() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.check("LOLWUT", "$Redis ver. 7.0.15\n");
    c.check("LOLWUT 5 6", "$Redis ver. 7.0.15\n");
    c.check("LOLWUT VERSION 7", "$Redis ver. 7.0.15\n");
    for (call, lines) in [
        ("VERSION 5", 48),
        ("version 5 40 4 3", 15),
        ("VERSION 6", 20),
        ("VERSION 6 100 7", 7),
        ("VERSION 6 -5 -5", 1),
    ] {
        let art = c.ask(&format!("LOLWUT {call}"));
        assert!(art.ends_with(" Redis ver. 7.0.15\n"), "{art}");
        // A blank line and the last line follow the drawing.
        assert_eq!(art.lines().count(), lines + 2, "{call}");
    }
    for call in ["VERSION x", "VERSION 5 x", "VERSION 5 1 x", "VERSION 6 x"] {
        c.check(
            &format!("LOLWUT {call}"),
            "-ERR value is not an integer or out of range",
        );
    }
}
