//! The command table beside a real redis-server 7.0.15: COMMAND INFO, DOCS,
//! LIST and GETKEYS answer the same for every command that both have.
//!
//! Summaries are our own words and are not compared, and hash tables give
//! Redis's commands in no order, so lists of commands and flags are sorted.
//! Skips itself, and says so, where no redis-server 7.0.15 is installed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ORACLE_VERSION: &str = "v=7.0.15 ";

#[test]
fn info_is_that_of_redis() {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    for protocol in ["2", "3"] {
        pair.both(&["HELLO", protocol]);
        let (ours, theirs) = pair.both(&["COMMAND", "INFO"]);
        let (ours, theirs) = (info_rows(ours), info_rows(theirs));
        assert!(ours.contains_key("get"), "COMMAND INFO has GET");
        let mut wrong = Vec::new();
        for (name, row) in &ours {
            if let Some(expected) = theirs.get(name)
                && row != expected
            {
                wrong.push(format!("{name}\n  ours   {row:?}\n  theirs {expected:?}"));
            }
        }
        assert!(wrong.is_empty(), "RESP{protocol}:\n{}", wrong.join("\n"));
    }
}

/// Commands of Redis that are still to come, by group; each stands for its
/// subcommands too. Whoever adds one takes it off this list.
const LATER: &[&str] = &[
    // cluster
    "asking cluster readonly readwrite",
    // generic
    "wait",
    // server
    "failover psync replconf replicaof slaveof sync",
];

/// Subcommands of newer versions that clients call whatever the version is.
const NEWER: [&str; 2] = ["client|no-touch", "client|setinfo"];

/// Whether a command, by its full name or its container's, is still to come.
fn is_later(name: &str) -> bool {
    let container = name.split('|').next().unwrap_or(name);
    let mut names = LATER.iter().flat_map(|line| line.split(' '));
    names.any(|later| later == name || later == container)
}

#[test]
fn every_command_of_redis_is_there_or_named_as_missing() {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    let (ours, theirs) = pair.both(&["COMMAND", "LIST"]);
    let names = |list: Value| -> BTreeSet<String> {
        list.items().into_iter().map(Value::into_text).collect()
    };
    let (ours, theirs) = (names(ours), names(theirs));
    let missing: Vec<&String> = theirs
        .difference(&ours)
        .filter(|name| !is_later(name))
        .collect();
    assert!(missing.is_empty(), "{} missing: {missing:?}", missing.len());
    let there: Vec<&String> = ours.iter().filter(|name| is_later(name)).collect();
    assert!(there.is_empty(), "no longer missing: {there:?}");
    let unknown: Vec<&String> = ours.difference(&theirs).collect();
    assert_eq!(unknown, NEWER, "not known to Redis");
}

#[test]
fn docs_are_those_of_redis() {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    pair.both(&["HELLO", "3"]);
    let (ours, theirs) = pair.both(&["COMMAND", "DOCS"]);
    let (ours, theirs) = (docs(ours), docs(theirs));
    assert!(ours.contains_key("get"), "COMMAND DOCS has GET");
    let mut wrong = Vec::new();
    for (name, doc) in &ours {
        if let Some(expected) = theirs.get(name)
            && doc != expected
        {
            wrong.push(format!("{name}\n  ours   {doc:?}\n  theirs {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn named_commands_are_found_as_in_redis() {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    pair.both(&["HELLO", "3"]);
    for names in [
        &["get", "GET", "nosuch", "config|get", "config|nosuch"][..],
        &["get|get", "config|", "|get", "", "config|get|x"],
    ] {
        let call = |subcommand| [&["COMMAND", subcommand], names].concat();
        let (ours, theirs) = pair.both(&call("INFO"));
        let found = |reply: Value| -> Vec<Option<String>> {
            let name = |row: Value| match row {
                Value::Null => None,
                row => Some(row.items().swap_remove(0).into_text()),
            };
            reply.items().into_iter().map(name).collect()
        };
        assert_eq!(found(ours), found(theirs), "COMMAND INFO {names:?}");

        let (ours, theirs) = pair.both(&call("DOCS"));
        let found = |reply: Value| -> Vec<String> {
            let pairs = reply.pairs().into_iter();
            pairs.map(|(name, _)| name.into_text()).collect()
        };
        assert_eq!(found(ours), found(theirs), "COMMAND DOCS {names:?}");
    }
}

#[test]
fn lists_are_those_of_redis() {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    let (ours, theirs) = pair.both(&["COMMAND", "LIST"]);
    let (all_ours, all_theirs) = (ours.sorted(), theirs.sorted());
    let (_, categories) = pair.both(&["ACL", "CAT"]);
    let mut filters: Vec<[String; 2]> = [
        ["PATTERN", "*"],
        ["pattern", "X*"],
        ["PATTERN", "con*|[gh]et"],
        ["PATTERN", "nosuch"],
        ["ACLCAT", "nosuch"],
        ["ACLCAT", "READ"],
        ["MODULE", "nosuch"],
        ["NOSUCH", "x"],
    ]
    .map(|filter| filter.map(str::to_owned))
    .to_vec();
    for category in categories.items() {
        filters.push(["ACLCAT".to_owned(), category.into_text()]);
    }
    for [kind, value] in &filters {
        let (ours, theirs) = pair.both(&["COMMAND", "LIST", "FILTERBY", kind, value]);
        if let (Value::Error(_), _) | (_, Value::Error(_)) = (&ours, &theirs) {
            assert_eq!(ours, theirs, "{kind} {value}");
            continue;
        }
        let both = |list: Value, others: &[Value]| {
            let mut list = list.sorted();
            list.retain(|name| others.contains(name));
            list
        };
        assert_eq!(
            both(ours, &all_theirs),
            both(theirs, &all_ours),
            "{kind} {value}"
        );
    }
}

#[test]
fn keys_are_those_of_redis() {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    let lines = [
        "nosuch a",
        "config nosuch a",
        "object",
        "object help",
        "object encoding k",
        "ping",
        "mset a 1 b",
        "get a b",
        "eval s 0",
        "eval s x",
        "set k v get",
        "set k get",
        "sort k by store get x store a store b",
        "sort k store",
        "migrate h 1 k 0 9",
        "migrate h 1 '' 0 9 auth keys keys a b",
        "migrate h 1 k 0 9 keys a",
        "migrate h 1 '' 0 9 keys",
        "xread streams a",
        "xread block streams streams a b 0 0",
        "xreadgroup group g streams streams a b > >",
        "zunionstore d 2x a b",
        "zunion +2 a b",
        "zunion 02 a b",
        "georadius k 0 0 1 m store a storedist b store",
        "spublish c m",
        "ssubscribe c",
        "memory usage k",
        "command getkeys get k",
    ];
    for line in lines {
        let words: Vec<&str> = line.split(' ').map(unquote).collect();
        check_keys(&mut pair, &words);
    }

    // And lines made of what options look like, for every command that both have.
    let (ours, theirs) = pair.both(&["COMMAND", "LIST"]);
    let (ours, theirs) = (ours.sorted(), theirs.sorted());
    let names = theirs.into_iter().filter(|name| ours.contains(name));
    let pool = [
        "a",
        "b",
        "0",
        "1",
        "2",
        "3",
        "-1",
        "2x",
        "",
        "get",
        "set",
        "incrby",
        "overflow",
        "store",
        "storedist",
        "streams",
        "keys",
        "limit",
        "by",
        "auth",
        "auth2",
        "count",
        "block",
        "group",
        "copy",
        "STREAMS",
        "Keys",
        "GET",
    ];
    let mut random = 1u64;
    let mut pick = |below: usize| {
        // Numerical Recipes' generator: all that is wanted is variety.
        random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (random >> 33) as usize % below
    };
    for name in names {
        let name = name.into_text();
        let mut words: Vec<&str> = name.split('|').collect();
        let named = words.len();
        for _ in 0..60 {
            words.truncate(named);
            for _ in 0..pick(12) {
                words.push(pool[pick(pool.len())]);
            }
            check_keys(&mut pair, &words);
        }
    }
}

fn check_keys(pair: &mut Pair, words: &[&str]) {
    if is_later(words[0]) {
        return;
    }
    for subcommand in ["GETKEYS", "GETKEYSANDFLAGS"] {
        let call = [&["COMMAND", subcommand], words].concat();
        let (ours, theirs) = pair.both(&call);
        assert_eq!(ours, theirs, "{call:?}");
    }
}

fn unquote(word: &str) -> &str {
    if word == "''" { "" } else { word }
}

/// Rows of COMMAND INFO, subcommands included, by full name. The subcommands
/// themselves are left out of their container's row.
fn info_rows(reply: Value) -> BTreeMap<String, Vec<Value>> {
    let mut rows = BTreeMap::new();
    let mut open = reply.items();
    while let Some(row) = open.pop() {
        let mut row = row.items();
        let subcommands = row.pop().expect("a row has ten elements");
        let empty = (!subcommands.is_empty()).then_some(Value::Null);
        open.extend(subcommands.clone().items());
        row.push(empty.unwrap_or(subcommands));
        // Flags, categories: sets, whose order is no promise.
        let row: Vec<Value> = row.into_iter().map(Value::with_sorted_sets).collect();
        rows.insert(row[0].clone().into_text(), row);
    }
    rows
}

/// Documentation by full name, without summaries and with sets in order.
fn docs(reply: Value) -> BTreeMap<String, Vec<(Value, Value)>> {
    let mut docs = BTreeMap::new();
    let mut open = reply.pairs();
    while let Some((name, doc)) = open.pop() {
        let mut fields = Vec::new();
        for (field, value) in doc.pairs() {
            match field.clone().into_text().as_str() {
                "summary" => assert!(!value.into_text().is_empty()),
                "subcommands" => open.extend(value.pairs()),
                _ => fields.push((field, value.with_sorted_sets())),
            }
        }
        docs.insert(name.into_text(), fields);
    }
    docs
}

/// A reply of either protocol version.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Value {
    Null,
    Integer(i64),
    Simple(String),
    Bulk(String),
    Error(String),
    Array(Vec<Value>),
    Set(Vec<Value>),
    Map(Vec<(Value, Value)>),
}

impl Value {
    fn items(self) -> Vec<Value> {
        match self {
            Value::Array(items) | Value::Set(items) => items,
            other => panic!("not a list: {other:?}"),
        }
    }

    fn pairs(self) -> Vec<(Value, Value)> {
        match self {
            Value::Map(pairs) => pairs,
            other => panic!("not a map: {other:?}"),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Value::Array(items) | Value::Set(items) if items.is_empty())
    }

    fn into_text(self) -> String {
        match self {
            Value::Simple(text) | Value::Bulk(text) => text,
            other => panic!("not a text: {other:?}"),
        }
    }

    fn sorted(self) -> Vec<Value> {
        let mut items = self.items();
        items.sort();
        items
    }

    fn with_sorted_sets(self) -> Value {
        let all = |items: Vec<Value>| items.into_iter().map(Value::with_sorted_sets);
        match self {
            Value::Set(items) => {
                let mut items: Vec<Value> = all(items).collect();
                items.sort();
                Value::Set(items)
            }
            Value::Array(items) => Value::Array(all(items).collect()),
            Value::Map(pairs) => {
                let pair = |(key, value): (Value, Value)| (key, value.with_sorted_sets());
                Value::Map(pairs.into_iter().map(pair).collect())
            }
            other => other,
        }
    }
}

/// Our server and the real one.
struct Pair {
    ours: Server,
    theirs: Server,
}

impl Pair {
    /// None where the real server is not installed, or has another version.
    fn start() -> Option<Pair> {
        let version = Command::new("redis-server").arg("--version").output();
        let version = version.map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
        if !version.is_ok_and(|version| version.contains(ORACLE_VERSION)) {
            eprintln!("skipped: no redis-server 7.0.15 to compare with");
            return None;
        }
        Some(Pair {
            ours: Server::start(env!("CARGO_BIN_EXE_redstart")),
            theirs: Server::start("redis-server"),
        })
    }

    fn both(&mut self, words: &[&str]) -> (Value, Value) {
        self.ours.send(words);
        self.theirs.send(words);
        (self.ours.reply(), self.theirs.reply())
    }
}

struct Server {
    process: Child,
    connection: BufReader<TcpStream>,
}

/// Whether the server at the other end is this process.
fn is_process(mut stream: &TcpStream, id: u32) -> bool {
    let timeout = Some(Duration::from_secs(5));
    let asked = stream
        .set_read_timeout(timeout)
        .and_then(|()| stream.write_all(b"INFO server\r\n"));
    let wanted = format!("process_id:{id}\r\n");
    let (mut text, mut buf) = (Vec::new(), [0; 4096]);
    // The reply is complete with the blank line after the last field.
    while asked.is_ok() && !text.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buf) {
            Ok(count) if count > 0 && text.len() < 65536 => text.extend_from_slice(&buf[..count]),
            _ => return false,
        }
    }
    String::from_utf8_lossy(&text).contains(&wanted)
}

impl Server {
    /// A server on a port of its own. Between the look for a free port and the
    /// server's bind anybody may take it, so the answer must be our process's.
    fn start(program: &str) -> Server {
        for _ in 0..20 {
            let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let address = free.expect("a free port");
            let process = Command::new(program)
                .args(["--port", &address.port().to_string()])
                .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
                .current_dir(std::env::temp_dir())
                .stdout(Stdio::null())
                .spawn();
            let mut process = process.expect("the server starts");
            let patience = Instant::now() + Duration::from_secs(10);
            while Instant::now() < patience && process.try_wait().is_ok_and(|ended| ended.is_none())
            {
                match TcpStream::connect(address) {
                    Ok(stream) if is_process(&stream, process.id()) => {
                        return Server::connected(process, stream);
                    }
                    _ => std::thread::sleep(Duration::from_millis(20)),
                }
            }
            let _ = process.kill();
            let _ = process.wait();
        }
        panic!("{program} does not start");
    }

    fn connected(process: Child, stream: TcpStream) -> Server {
        let timeout = Some(Duration::from_secs(20));
        stream.set_read_timeout(timeout).expect("a timeout is set");
        stream.set_nodelay(true).expect("nodelay is set");
        let connection = BufReader::new(stream);
        Server {
            process,
            connection,
        }
    }

    fn send(&mut self, words: &[&str]) {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        let stream = self.connection.get_mut();
        stream.write_all(request.as_bytes()).expect("sent");
    }

    fn reply(&mut self) -> Value {
        let mut line = String::new();
        self.connection.read_line(&mut line).expect("a reply");
        let text = line[1..].trim_end();
        let number = || text.parse::<i64>().expect("a number");
        let many = |server: &mut Server| (0..number()).map(|_| server.reply()).collect();
        match line.as_bytes()[0] {
            b'+' => Value::Simple(text.to_owned()),
            b'-' => Value::Error(text.to_owned()),
            b':' => Value::Integer(number()),
            b'_' => Value::Null,
            b'$' | b'*' if number() < 0 => Value::Null,
            b'$' => {
                let length = usize::try_from(number()).expect("a length");
                let mut bytes = vec![0; length + 2];
                self.connection.read_exact(&mut bytes).expect("a bulk");
                Value::Bulk(String::from_utf8_lossy(&bytes[..length]).into_owned())
            }
            b'*' => Value::Array(many(self)),
            b'~' => Value::Set(many(self)),
            b'%' => {
                let pair = |_| (self.reply(), self.reply());
                Value::Map((0..number()).map(pair).collect())
            }
            _ => panic!("not a reply: {line:?}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that has gone already is what we want.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
