//! Whether the figures of memory are true: what MEMORY USAGE says of a key
//! against what the allocator gave, what is left after everything is deleted,
//! and what active defragmentation does.

#[path = "support/mod.rs"]
mod support;

use support::{Client, Server, request, wait};

/// Commands sent before replies are read.
const BATCH: usize = 200;

fn info(c: &mut Client, section: &str, name: &str) -> f64 {
    let info = c.ask(&format!("INFO {section}"));
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(field, _)| *field == name);
    found.expect("a field of INFO").1.parse().unwrap()
}

fn used(c: &mut Client) -> i64 {
    info(c, "memory", "used_memory") as i64
}

/// Runs commands, none of which may fail.
fn run(c: &mut Client, commands: impl IntoIterator<Item = Vec<String>>) {
    let commands: Vec<_> = commands.into_iter().collect();
    for batch in commands.chunks(BATCH) {
        let bytes: Vec<u8> = batch.iter().flat_map(|words| request(words)).collect();
        c.send(bytes);
        for words in batch {
            let reply = c.reply();
            assert!(!reply.starts_with('-'), "{words:?}: {reply}");
        }
    }
}

fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|word| (*word).to_owned()).collect()
}

/// A command with a key and elements of which each is a few words.
fn many(command: &str, key: &str, elements: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let mut all = words(&[command, key]);
    elements.for_each(|element| all.extend(element));
    all
}

/// Numbers without an order to them.
fn mixed(n: usize) -> usize {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
}

/// A form of value: how many keys, and the commands that make one.
struct Form {
    name: &'static str,
    encoding: &'static str,
    keys: usize,
    make: fn(&str, usize) -> Vec<Vec<String>>,
}

const fn form(
    name: &'static str,
    encoding: &'static str,
    keys: usize,
    make: fn(&str, usize) -> Vec<Vec<String>>,
) -> Form {
    Form {
        name,
        encoding,
        keys,
        make,
    }
}

fn set(key: &str, bytes: usize) -> Vec<Vec<String>> {
    vec![words(&["SET", key, &"v".repeat(bytes)])]
}

const FORMS: &[Form] = &[
    form("an integer", "int", 30_000, |key, n| {
        vec![words(&["SET", key, &n.to_string()])]
    }),
    form("a short string", "embstr", 20_000, |key, _| set(key, 20)),
    form("a string in the entry", "raw", 4000, |key, _| {
        set(key, 1000)
    }),
    form("a string of its own", "raw", 1000, |key, _| set(key, 5000)),
    form("a long string", "raw", 200, |key, _| set(key, 50_000)),
    form("a very long string", "raw", 30, |key, _| set(key, 300_000)),
    form("an edited string", "raw", 4000, |key, _| {
        vec![words(&["SETRANGE", key, "600", "x"])]
    }),
    form("a string that grew", "raw", 2000, |key, _| {
        let append = words(&["APPEND", key, &"x".repeat(50)]);
        vec![append; 5]
    }),
    form("a bitmap", "raw", 200, |key, _| {
        vec![words(&["SETBIT", key, "80000", "1"])]
    }),
    form("a count of distinct", "raw", 500, |key, _| {
        let element = |n: usize| vec![n.to_string()];
        vec![many("PFADD", key, (0..1000).map(element))]
    }),
    form("an expiring string", "embstr", 20_000, |key, _| {
        vec![words(&["SET", key, "vvvvvvvvvvvvvvvvvvvv", "EX", "10000"])]
    }),
    form("a short list", "quicklist", 5000, |key, _| {
        let element = |n: usize| vec![format!("e{n}")];
        vec![many("RPUSH", key, (0..10).map(element))]
    }),
    form("a long list", "quicklist", 20, |key, _| {
        let element = |n: usize| vec![format!("element {}", mixed(n))];
        vec![many("RPUSH", key, (0..5000).map(element))]
    }),
    form("a list of long elements", "quicklist", 10, |key, _| {
        let element = |n: usize| vec![mixed(n).to_string().repeat(30)];
        vec![many("RPUSH", key, (0..1000).map(element))]
    }),
    form("a list pushed one by one", "quicklist", 10, |key, _| {
        let push = |n| words(&["LPUSH", key, &format!("element {n}")]);
        (0..1000).map(push).collect()
    }),
    form("few integers", "intset", 5000, |key, n| {
        let element = |i: usize| vec![(n + i).to_string()];
        vec![many("SADD", key, (0..10).map(element))]
    }),
    form("many integers", "intset", 200, |key, n| {
        let element = |i: usize| vec![(mixed(n * 500 + i) << 16).to_string()];
        vec![many("SADD", key, (0..500).map(element))]
    }),
    form("a small set", "hashtable", 5000, |key, _| {
        let element = |n: usize| vec![format!("m{n}")];
        vec![many("SADD", key, (0..8).map(element))]
    }),
    form("a big set", "hashtable", 20, |key, _| {
        let element = |n: usize| vec![format!("member {}", mixed(n))];
        vec![many("SADD", key, (0..4000).map(element))]
    }),
    form("a small hash", "listpack", 5000, |key, _| {
        let element = |n: usize| vec![format!("f{n}"), format!("value {n}")];
        vec![many("HSET", key, (0..8).map(element))]
    }),
    form("a big hash", "hashtable", 20, |key, _| {
        let element = |n: usize| vec![format!("field {n}"), "v".repeat(40 + n % 9)];
        vec![many("HSET", key, (0..3000).map(element))]
    }),
    form("a hash of long values", "hashtable", 20, |key, _| {
        let element = |n: usize| vec![format!("field {n}"), "v".repeat(1000)];
        vec![many("HSET", key, (0..300).map(element))]
    }),
    form("a small sorted set", "listpack", 5000, |key, _| {
        let element = |n: usize| vec![n.to_string(), format!("m{n}")];
        vec![many("ZADD", key, (0..8).map(element))]
    }),
    form("a big sorted set", "skiplist", 20, |key, _| {
        let element = |n: usize| vec![mixed(n).to_string(), format!("member {n}")];
        vec![many("ZADD", key, (0..3000).map(element))]
    }),
    form("a short stream", "stream", 2000, |key, _| {
        let add = |n| words(&["XADD", key, "*", "f", &format!("v{n}")]);
        (0..3).map(add).collect()
    }),
    form("a long stream", "stream", 10, |key, _| {
        let add = |n| {
            words(&[
                "XADD",
                key,
                "*",
                "field",
                &format!("value {n}"),
                "other",
                "1",
            ])
        };
        (0..3000).map(add).collect()
    }),
    form("a stream that is read", "stream", 10, |key, _| {
        let add = |n| words(&["XADD", key, "*", "field", &format!("value {n}")]);
        let mut all: Vec<_> = (0..1000).map(add).collect();
        all.push(words(&["XGROUP", "CREATE", key, "g", "0"]));
        let read = ["XREADGROUP", "GROUP", "g", "c", "COUNT", "900", "STREAMS"];
        all.push(words(&[&read[..], &[key, ">"]].concat()));
        all
    }),
];

fn number(reply: &str) -> i64 {
    reply[1..].parse().unwrap_or_else(|_| panic!("{reply}"))
}

fn sum_of_usages(c: &mut Client, keys: &[String], samples: &[&str]) -> i64 {
    let mut sum = 0;
    for key in keys {
        c.command(&[&["MEMORY", "USAGE", key], samples].concat());
        sum += number(&c.reply());
    }
    sum
}

#[test]
fn usage_is_what_the_allocator_gave() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let mut wrong = Vec::new();
    for form in FORMS {
        let keys: Vec<_> = (0..form.keys).map(|n| format!("key:{n}")).collect();
        let commands = || keys.iter().enumerate();
        let fill = || commands().flat_map(|(n, key)| (form.make)(key, n));
        // Buffers are as big as they get when it is done for the second time.
        run(&mut c, fill());
        c.check("FLUSHALL SYNC", "+OK");
        let before = used(&mut c);
        run(&mut c, fill());
        let expected = format!("${}", form.encoding);
        c.check("OBJECT ENCODING key:0", &expected);
        let truth = used(&mut c) - before;
        for samples in [&["SAMPLES", "0"][..], &[]] {
            let said = sum_of_usages(&mut c, &keys, samples);
            let ratio = said as f64 / truth as f64;
            if !(0.9..=1.1).contains(&ratio) {
                wrong.push(format!("{}: {said} of {truth}: {ratio:.3}", form.name));
            }
        }
        c.check("FLUSHALL SYNC", "+OK");
        let left = used(&mut c) - before;
        assert!(left < 1_000_000, "{}: {left} bytes stay", form.name);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn deleting_everything_gives_all_memory_back() {
    for lazily in ["no", "yes"] {
        let server = Server::start(&["--lazyfree-lazy-user-del", lazily]);
        let mut c = server.connect();
        c.check("SET k v", "+OK");
        let before = used(&mut c);
        let mut keys = Vec::new();
        for form in FORMS {
            let own = (0..form.keys / 4).map(|n| format!("{}:{n}", form.name));
            let own: Vec<_> = own.collect();
            for (n, key) in own.iter().enumerate() {
                run(&mut c, (form.make)(key, n));
            }
            keys.extend(own);
        }
        let full = used(&mut c);
        assert!(full > before + 10_000_000);
        run(&mut c, keys.iter().map(|key| words(&["DEL", key])));
        c.check("DBSIZE", ":1");
        wait("the background", || {
            (info(&mut c, "memory", "lazyfree_pending_objects") == 0.0).then_some(())
        });
        let left = used(&mut c) - before;
        assert!(left.abs() < 1_000_000, "{left} of {} stay", full - before);
    }
}

/// What is there, but for the order of hash tables.
fn digest(c: &mut Client) -> String {
    c.ask("DEBUG DIGEST")
}

#[test]
fn fragmented_memory_is_moved_together() {
    let server = Server::start(&[
        "--enable-debug-command",
        "yes",
        "--active-defrag-ignore-bytes",
        "1mb",
        "--active-defrag-threshold-lower",
        "5",
        "--active-defrag-cycle-min",
        "40",
        "--active-defrag-cycle-max",
        "75",
        "--list-max-listpack-size",
        "5",
    ]);
    let mut c = server.connect();
    let keys = |n: usize| {
        words(&[
            "SETRANGE",
            &format!("key:{n}"),
            &(150 + n % 4).to_string(),
            "x",
        ])
    };
    run(&mut c, (0..60_000).map(keys));
    let elements = |n: usize| {
        let (member, value) = (format!("member {n}"), n.to_string());
        [
            words(&["HSET", "hash", &member, "value"]),
            words(&["SADD", "set", &member]),
            words(&["ZADD", "zset", &value, &member]),
            words(&["RPUSH", "list", &member]),
            words(&["XADD", "stream", "*", &member, &value]),
        ]
    };
    run(&mut c, (0..10_000).flat_map(elements));
    let goes = |n: usize| words(&["DEL", &format!("key:{n}")]);
    run(&mut c, (0..60_000).filter(|n| n % 3 > 0).map(goes));
    let before = digest(&mut c);
    let waste = info(&mut c, "memory", "allocator_frag_bytes");
    assert!(waste > 4e6, "{waste}");
    assert_eq!(info(&mut c, "stats", "active_defrag_hits"), 0.0);
    c.check("CONFIG SET activedefrag yes", "+OK");
    let mut seen = false;
    wait("defragmentation", || {
        seen |= info(&mut c, "memory", "active_defrag_running") > 0.0;
        let waste = info(&mut c, "memory", "allocator_frag_bytes");
        (waste < 2.5e6).then_some(())
    });
    wait("its end", || {
        let running = info(&mut c, "memory", "active_defrag_running");
        (running == 0.0).then_some(())
    });
    assert!(seen, "it was never seen to run");
    for field in [
        "active_defrag_hits",
        "active_defrag_misses",
        "active_defrag_key_hits",
        "total_active_defrag_time",
    ] {
        assert!(info(&mut c, "stats", field) > 0.0, "{field}");
    }
    assert_eq!(info(&mut c, "stats", "current_active_defrag_time"), 0.0);
    assert_eq!(digest(&mut c), before);
    c.check("CONFIG SET activedefrag no", "+OK");
    // What was moved is freed as what was not.
    c.check("FLUSHALL SYNC", "+OK");
    let left = used(&mut c);
    assert!(left < 6_000_000, "{left}");
}
