//! SLOWLOG, LATENCY, MEMORY and COMMAND.

use super::support::{Client, Server};

/// The subcommands that HELP lists.
#[track_caller]
fn helped(c: &mut Client, container: &str) -> Vec<String> {
    c.command(&[container, "HELP"]);
    let reply = c.reply();
    let lines = reply.split(" +").skip(2);
    let names = lines.filter(|line| !line.starts_with("   "));
    let mut names: Vec<String> = names
        .filter_map(|line| line.split(' ').next())
        .filter(|name| !name.starts_with('('))
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn help_and_errors_are_those_of_redis() {
    let Some(theirs) = Server::start_oracle(&[]) else {
        return;
    };
    let ours = Server::start(&[]);
    let (mut ours, mut theirs) = (ours.connect(), theirs.connect());
    for container in ["COMMAND", "LATENCY", "MEMORY", "MODULE", "SLOWLOG"] {
        let names = helped(&mut ours, container);
        assert!(names.contains(&"HELP".to_owned()), "{names:?}");
        assert_eq!(names, helped(&mut theirs, container), "{container}");
    }
    ours.check("SET k v", "+OK");
    theirs.check("SET k v", "+OK");
    for call in [
        "SLOWLOG",
        "SLOWLOG nosuch",
        "SLOWLOG GET x",
        "SLOWLOG GET -2",
        "SLOWLOG get 1 2",
        "SLOWLOG GET 99999999999999999999",
        "SLOWLOG LEN 1",
        "SLOWLOG RESET 1",
        "LATENCY",
        "LATENCY nosuch",
        "LATENCY GRAPH",
        "LATENCY GRAPH nosuch",
        "LATENCY GRAPH 'a b'",
        "LATENCY HISTORY",
        "LATENCY HISTORY nosuch",
        "LATENCY HISTORY a b",
        "LATENCY LATEST x",
        "LATENCY LATEST",
        "LATENCY RESET",
        "LATENCY RESET a b",
        "LATENCY HISTOGRAM nosuch",
        "LATENCY HELP x",
        "MEMORY",
        "MEMORY nosuch",
        "MEMORY USAGE",
        "MEMORY USAGE nosuch",
        "MEMORY USAGE k x",
        "MEMORY USAGE k SAMPLES",
        "MEMORY USAGE k SAMPLES x",
        "MEMORY USAGE k SAMPLES -1",
        "MEMORY USAGE k SAMPLES 1 SAMPLES",
        "MEMORY STATS x",
        "MEMORY PURGE x",
        "MEMORY PURGE",
        "COMMAND nosuch",
        "COMMAND COUNT x",
        "COMMAND LIST x",
        "COMMAND LIST FILTERBY",
        "COMMAND LIST FILTERBY x y",
        "COMMAND LIST FILTERBY PATTERN",
        "COMMAND LIST FILTERBY PATTERN x y",
        "COMMAND LIST FILTERBY PATTERN nosuch",
        "COMMAND LIST FILTERBY PATTERN S?T",
        "COMMAND LIST FILTERBY MODULE x",
        "COMMAND LIST FILTERBY ACLCAT nosuch",
        "COMMAND INFO nosuch",
        "COMMAND DOCS nosuch",
        "COMMAND GETKEYS nosuch",
        "COMMAND GETKEYS nosuch a",
        "COMMAND GETKEYS PING a",
        "COMMAND GETKEYS GET a b",
        "COMMAND GETKEYS GET a",
        "COMMAND GETKEYSANDFLAGS MSET a b c d",
        "MODULE",
        "MODULE nosuch",
        "TIME x",
        "ROLE x",
        "ROLE",
        "LASTSAVE x",
        "MONITOR x",
        "BGSAVE x",
        "SAVE x",
    ] {
        let expected = theirs.ask(call);
        ours.check(call, &expected);
    }
}

#[test]
fn memory_stats_has_the_entries_of_redis() {
    let Some(theirs) = Server::start_oracle(&[]) else {
        return;
    };
    let ours = Server::start(&[]);
    let [ours, theirs] = [ours, theirs].map(|server| {
        let mut c = server.connect();
        c.check("SET k v", "+OK");
        c.ask("SELECT 7");
        c.check("SET k v EX 100", "+OK");
        let reply = c.ask("MEMORY STATS");
        let names: Vec<String> = reply
            .split(' ')
            .filter(|word| word.starts_with('$') && word.contains(|c: char| c.is_alphabetic()))
            .map(str::to_owned)
            .collect();
        // The kinds of the replies, in both protocols.
        c.ask("HELLO 3");
        let kinds: Vec<char> = c
            .ask("MEMORY STATS")
            .split(' ')
            .map(|word| word.chars().next().expect("a kind"))
            .collect();
        (names, kinds)
    });
    assert!(ours.0.contains(&"$db.7".to_owned()));
    assert_eq!(ours, theirs);
}

#[test]
fn memory_usage_grows_with_the_value() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let usage = |c: &mut Client, key: &str| -> usize {
        let reply = c.ask(&format!("MEMORY USAGE {key}"));
        reply[1..].parse().unwrap_or_else(|_| panic!("{reply}"))
    };
    c.check("SET int 1", "+OK");
    let int = usage(&mut c, "int");
    assert!((16..100).contains(&int), "{int}");
    for length in [100, 5_000, 100_000] {
        c.command(&["SET", "k", &"x".repeat(length)]);
        assert_eq!(c.reply(), "+OK");
        let bytes = usage(&mut c, "k");
        assert!(
            (length..length + length / 3 + 100).contains(&bytes),
            "{bytes}"
        );
    }
    let without = usage(&mut c, "int SAMPLES 0");
    c.check("EXPIRE int 1000", ":1");
    assert!(usage(&mut c, "int SAMPLES 5") >= without);
    c.check("MEMORY USAGE nosuch", "$-1");
    // Neither a hit nor a use of the key.
    assert!(c.ask("INFO stats").contains("keyspace_hits:0\r\n"));
}

#[test]
fn memory_reports() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let doctor = c.ask("MEMORY DOCTOR");
    assert!(doctor.contains("too little data"), "{doctor}");
    c.command(&[b"SET".as_slice(), b"k", &vec![b'x'; 40 << 20]]);
    c.reply();
    c.command(&[b"SET".as_slice(), b"k2", &vec![b'x'; 10 << 20]]);
    c.reply();
    // Cron notices the peak.
    std::thread::sleep(std::time::Duration::from_millis(300));
    c.check("DEL k", ":1");
    super::support::wait("the peak to be noticed", || {
        c.ask("MEMORY DOCTOR").contains("Peak memory").then_some(())
    });
    c.check("MEMORY PURGE", "+OK");
    let stats = c.ask("MEMORY MALLOC-STATS");
    assert!(stats.contains("jemalloc statistics") && stats.contains("Allocated"));
}

#[test]
fn the_slow_log_keeps_what_is_slow() {
    let server = Server::start(&["--slowlog-log-slower-than", "50000"]);
    let mut c = server.connect();
    c.check("SLOWLOG GET", "*0");
    c.check("PING", "+PONG");
    c.check("SLOWLOG LEN", ":0");
    c.check("CLIENT SETNAME me", "+OK");
    c.check("DEBUG SLEEP 0.1", "+OK");
    c.check("SLOWLOG LEN", ":1");
    let id = c.id();
    let addr = c.field_of(id, "addr");
    let entry = c.ask("SLOWLOG GET");
    let words: Vec<&str> = entry.split(' ').collect();
    assert_eq!(words[..3], ["*1", "*6", ":0"]);
    let duration_us: i64 = words[4][1..].parse().unwrap();
    assert!((100_000..10_000_000).contains(&duration_us));
    let rest = ["*3", "$DEBUG", "$SLEEP", "$0.1", &format!("${addr}"), "$me"];
    assert_eq!(words[5..], rest);

    c.check(
        "CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 12",
        "+OK",
    );
    for number in 0..20 {
        c.ask(&format!("ECHO {number}"));
    }
    c.check("SLOWLOG LEN", ":12");
    assert!(c.ask("SLOWLOG GET").starts_with("*10 "));
    assert!(c.ask("SLOWLOG GET -1").starts_with("*12 "));
    assert!(c.ask("SLOWLOG GET 3").starts_with("*3 "));
    c.check("SLOWLOG GET 0", "*0");
    // Newest first.
    let newest = c.ask("SLOWLOG GET 1");
    assert!(newest.contains("*3 $SLOWLOG $GET $0"), "{newest}");

    let many: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    c.command(&[&["EXISTS".to_owned()], &many[..]].concat());
    c.reply();
    let trimmed = c.ask("SLOWLOG GET 1");
    assert!(trimmed.contains("*32 $EXISTS $0 "), "{trimmed}");
    assert!(
        trimmed.contains("$29 $... (10 more arguments) $"),
        "{trimmed}"
    );
    c.ask(&format!("ECHO {}", "x".repeat(130)));
    let trimmed = c.ask("SLOWLOG GET 1");
    let shortened = format!("${}... (2 more bytes) $", "x".repeat(128));
    assert!(trimmed.contains(&shortened), "{trimmed}");
    // Whatever was slow before is logged, unless the log is off by then.
    c.check("CONFIG SET slowlog-log-slower-than -1", "+OK");
    c.check("SLOWLOG RESET", "+OK");
    c.check("SLOWLOG LEN", ":0");
}

#[test]
fn latency_events_and_their_reports() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    assert!(
        c.ask("LATENCY DOCTOR")
            .contains("The latency monitor is off")
    );
    c.check("CONFIG SET latency-monitor-threshold 30", "+OK");
    assert!(c.ask("LATENCY DOCTOR").contains("No latency spikes"));
    c.check("DEBUG SLEEP 0.05", "+OK");
    let latest = c.ask("LATENCY LATEST");
    let words: Vec<&str> = latest.split(' ').collect();
    assert_eq!(words[..3], ["*1", "*4", "$command"]);
    let (second, ms) = (words[3], words[4]);
    assert!((50..5_000).contains(&ms[1..].parse::<i64>().unwrap()));
    c.check("LATENCY HISTORY command", &format!("*1 *2 {second} {ms}"));
    c.check("LATENCY HISTORY COMMAND", "*0");
    let graph = c.ask("LATENCY GRAPH command");
    let ms = &ms[1..];
    let head = format!("$command - high {ms} ms, low {ms} ms (all time high {ms} ms)\n");
    assert!(graph.starts_with(&head), "{graph}");
    assert!(graph[head.len()..].starts_with(&format!("{}\n \n \n \n_\n \n", "-".repeat(80))));
    let doctor = c.ask("LATENCY DOCTOR");
    assert!(
        doctor.contains("1. command: 1 latency spikes (average "),
        "{doctor}"
    );
    assert!(doctor.contains("SLOWLOG GET"), "{doctor}");
    c.check("CONFIG SET slowlog-log-slower-than -1", "+OK");
    let doctor = c.ask("LATENCY DOCTOR");
    assert!(
        doctor.contains("CONFIG SET slowlog-log-slower-than 30000"),
        "{doctor}"
    );
    c.check("LATENCY RESET nosuch Command", ":1");
    c.check("LATENCY LATEST", "*0");
    c.check("LATENCY RESET", ":0");
}

#[test]
fn latency_histograms() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.check("CONFIG RESETSTAT", "+OK");
    for _ in 0..3 {
        c.check("SET k v", "+OK");
    }
    c.check("DEBUG SLEEP 1.1", "+OK");
    c.check(
        "LATENCY HISTOGRAM debug",
        "*2 $debug *4 $calls :1 $histogram_usec *2 :1073741 :1",
    );
    c.ask("HELLO 3");
    let set = c.ask("LATENCY HISTOGRAM nosuch set get");
    assert!(
        set.starts_with("%1 $set %2 $calls :3 $histogram_usec %"),
        "{set}"
    );
    assert!(set.ends_with(" :3"), "{set}");
    c.ask("CLIENT ID");
    c.ask("CLIENT GETNAME");
    let client = c.ask("LATENCY HISTOGRAM client");
    assert!(client.starts_with("%2 $client|"), "{client}");
    assert!(
        c.ask("LATENCY HISTOGRAM client|id")
            .starts_with("%1 $client|id")
    );
    let all = c.ask("LATENCY HISTOGRAM");
    for name in ["set", "debug", "hello", "client|id", "config|resetstat"] {
        assert!(
            all.contains(&format!("${name} %2 $calls :")),
            "{name}: {all}"
        );
    }
}

#[test]
fn commands_describe_themselves() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let count: usize = c.ask("COMMAND COUNT")[1..].parse().unwrap();
    assert!(c.ask("COMMAND").starts_with(&format!("*{count} *10 $")));
    assert!(
        c.ask("COMMAND INFO")
            .starts_with(&format!("*{count} *10 $"))
    );
    c.check(
        "COMMAND INFO GET nosuch",
        "*2 *10 $get :2 *2 +readonly +fast :1 :1 :1 *3 +@read \
         +@string +@fast *0 *1 *6 $flags *2 +RO +access $begin_search *4 $type $index $spec *2 \
         $index :1 $find_keys *4 $type $range $spec *6 $lastkey :0 $keystep :1 $limit :0 *0 $-1",
    );
    assert!(
        c.ask("COMMAND DOCS")
            .starts_with(&format!("*{} $", count * 2))
    );
    let docs = c.ask("COMMAND DOCS slowlog");
    assert!(docs.contains("$subcommands *8 $slowlog|get"), "{docs}");
    let sets = c.ask("COMMAND LIST FILTERBY PATTERN set");
    assert_eq!(sets, "*1 $set");
    c.check(
        "COMMAND GETKEYSANDFLAGS SET k v GET",
        "*1 *2 $k *3 +RW +access +update",
    );
    c.ask("HELLO 3");
    let docs = c.ask("COMMAND DOCS get");
    assert!(docs.starts_with("%1 $get %"), "{docs}");
    assert!(c.ask("COMMAND INFO get").contains(" ~2 +readonly +fast "));
}
