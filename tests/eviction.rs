//! `maxmemory`: what goes, what is refused, and what anybody is told.

#[path = "support/mod.rs"]
mod support;

use support::{Client, Server, wait};

fn info(c: &mut Client, section: &str, name: &str) -> u64 {
    let info = c.ask(&format!("INFO {section}"));
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(field, _)| *field == name);
    found.expect("a field of INFO").1.parse().unwrap()
}

/// Sets the limit so many bytes above what is used now.
fn limit_above(c: &mut Client, bytes: u64) -> u64 {
    let limit = info(c, "memory", "used_memory") + bytes;
    c.check(&format!("CONFIG SET maxmemory {limit}"), "+OK");
    limit
}

fn set(c: &mut Client, key: &str, bytes: usize) -> String {
    c.command(&["SET", key, &"x".repeat(bytes)]);
    c.reply()
}

const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.";

#[test]
fn writes_are_refused_without_a_policy() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    assert_eq!(set(&mut c, "before", 1_000_000), "+OK");
    let limit = info(&mut c, "memory", "used_memory") - 500_000;
    c.check(&format!("CONFIG SET maxmemory {limit}"), "+OK");
    server.wait_for_log("is smaller than the current memory usage");
    c.check("SET k v", OOM);
    c.check("INCR n", OOM);
    c.check("LPUSH l a", OOM);
    c.check("EXISTS k", ":0");
    c.check("STRLEN before", ":1000000");
    assert!(c.ask("INFO errorstats").contains("errorstat_OOM:count=3"));
    // In transactions nothing can even be queued.
    c.check("MULTI", "+OK");
    c.check("GET before", OOM);
    c.check("WATCH before", OOM);
    c.check("MULTI", OOM);
    c.check(
        "EXEC",
        "-EXECABORT Transaction discarded because of previous errors.",
    );
    c.check("MULTI", "+OK");
    c.check("DISCARD", "+OK");
    c.check("DEL before", ":1");
    c.check("SET k v", "+OK");
    assert_eq!(info(&mut c, "stats", "evicted_keys"), 0);
    c.check("CONFIG SET maxmemory 0", "+OK");
}

#[test]
fn a_transaction_that_needs_memory_is_refused_as_a_whole() {
    let server = Server::start(&[]);
    let (mut c, mut other) = (server.connect(), server.connect());
    c.check("MULTI", "+OK");
    c.check("SET a 1", "+QUEUED");
    other.check("CONFIG SET maxmemory 1", "+OK");
    c.check(
        "EXEC",
        &format!("-EXECABORT Transaction discarded because of: {}", &OOM[1..]),
    );
    other.check("CONFIG SET maxmemory 0", "+OK");
    c.check("EXISTS a", ":0");
    c.check("MULTI", "+OK");
    c.check("EXISTS a", "+QUEUED");
    other.check("CONFIG SET maxmemory 1", "+OK");
    c.check("EXEC", "*1 :0");
}

#[test]
fn the_limit_holds_under_every_policy() {
    for policy in [
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
    ] {
        let server = Server::start(&["--maxmemory-policy", policy]);
        let mut c = server.connect();
        let limit = limit_above(&mut c, 2_000_000);
        for number in 0..6000 {
            c.command(&[
                "SETEX",
                &format!("key:{number}"),
                "10000",
                &"v".repeat(1000),
            ]);
        }
        for _ in 0..6000 {
            assert_eq!(c.reply(), "+OK", "{policy}");
        }
        let used = info(&mut c, "memory", "used_memory");
        assert!(used < limit + 400_000, "{policy}: {used} of {limit}");
        let (evicted, left) = (info(&mut c, "stats", "evicted_keys"), c.ask("DBSIZE"));
        let left: u64 = left[1..].parse().unwrap();
        assert_eq!(evicted + left, 6000, "{policy}");
        assert!(left > 1000, "{policy}: {left}");
    }
}

#[test]
fn only_keys_that_expire_go_under_a_volatile_policy() {
    let server = Server::start(&["--maxmemory-policy", "volatile-lru"]);
    let mut c = server.connect();
    for number in 0..200 {
        set(&mut c, &format!("stays:{number}"), 1000);
        let key = format!("goes:{number}");
        set(&mut c, &key, 1000);
        c.check(&format!("EXPIRE {key} 1000"), ":1");
    }
    limit_above(&mut c, 100_000);
    let refused = (0..2000).find(|number| set(&mut c, &format!("new:{number}"), 1000) == OOM);
    assert!(refused.is_some());
    assert_eq!(info(&mut c, "stats", "evicted_keys"), 200);
    c.check("EXISTS stays:0 stays:199", ":2");
    c.check("EXISTS goes:0 goes:199", ":0");
}

#[test]
fn evictions_are_told_to_subscribers_and_caches() {
    let server = Server::start(&["--maxmemory-policy", "allkeys-random"]);
    let (mut c, mut told) = (server.connect(), server.connect());
    c.check("CONFIG SET notify-keyspace-events Ee", "+OK");
    set(&mut c, "victim", 200_000);
    told.ask("HELLO 3");
    told.check("CLIENT TRACKING ON", "+OK");
    told.ask("STRLEN victim");
    told.ask("SUBSCRIBE __keyevent@0__:evicted");
    let limit = info(&mut c, "memory", "used_memory") - 100_000;
    c.check(&format!("CONFIG SET maxmemory {limit}"), "+OK");
    c.check("PING", "+PONG");
    wait("the eviction", || {
        (c.ask("EXISTS victim") == ":0").then_some(())
    });
    let messages = [told.reply(), told.reply()].join(" ");
    assert!(messages.contains("$invalidate *1 $victim"), "{messages}");
    assert!(
        messages.contains("$__keyevent@0__:evicted $victim"),
        "{messages}"
    );
}

#[test]
fn more_samples_than_there_are_keys_are_no_problem() {
    let server = Server::start(&["--maxmemory-policy", "allkeys-lru"]);
    let mut c = server.connect();
    for policy in ["allkeys-lru", "allkeys-lfu", "volatile-ttl", "volatile-lru"] {
        c.check("FLUSHALL", "+OK");
        c.check("CONFIG SET maxmemory 0", "+OK");
        c.check(&format!("CONFIG SET maxmemory-policy {policy}"), "+OK");
        c.check(&format!("CONFIG SET maxmemory-samples {}", i32::MAX), "+OK");
        let limit = limit_above(&mut c, 300_000);
        for number in 0..1000 {
            set(&mut c, &format!("key:{number}"), 1000);
            c.ask(&format!("EXPIRE key:{number} 1000"));
        }
        let used = info(&mut c, "memory", "used_memory");
        assert!(used < limit + 100_000, "{policy}: {used} of {limit}");
        assert!(info(&mut c, "stats", "evicted_keys") > 0);
    }
}

#[test]
fn messages_of_evictions_do_not_lead_to_more() {
    let server = Server::start(&[
        "--maxmemory-policy",
        "allkeys-lru",
        "--maxmemory-eviction-tenacity",
        "100",
    ]);
    let mut c = server.connect();
    let mut caches: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for cache in &mut caches {
        cache.ask("HELLO 3");
        cache.check("CLIENT TRACKING ON", "+OK");
    }
    for number in 0..300 {
        let key = format!("{number}{}", "x".repeat(1000));
        c.check(&format!("SET {key} x"), "+OK");
        for cache in &mut caches {
            cache.check(&format!("GET {key}"), "$x");
        }
    }
    // Some of it may be buffers that clients give back by themselves.
    let limit = info(&mut c, "memory", "used_memory") - 100_000;
    c.check(&format!("CONFIG SET maxmemory {limit}"), "+OK");
    for _ in 0..50 {
        std::thread::sleep(std::time::Duration::from_millis(10));
        let evicted = info(&mut c, "stats", "evicted_keys");
        assert!(evicted <= 150, "{evicted}");
    }
    assert!(info(&mut c, "stats", "evicted_keys") > 0);
}

/// Sets many keys, and begins a snapshot that takes its time.
fn filled_and_saving(c: &mut Client, value: &str) {
    c.check("CONFIG SET maxmemory 0", "+OK");
    for key in 0..5000 {
        c.check(&format!("SET key:{key} {value}"), "+OK");
    }
    c.check("CONFIG SET rdb-key-save-delay 1000", "+OK");
    c.check("BGSAVE", "+Background saving started");
}

#[test]
fn what_a_snapshot_keeps_is_not_made_up_for() {
    let server = Server::start(&["--save", ""]);
    let mut c = server.connect();
    let value = "v".repeat(2000);
    // Overwriting needs no more memory, whatever the snapshot keeps of it.
    filled_and_saving(&mut c, &value);
    limit_above(&mut c, 500_000);
    for key in 0..5000 {
        c.check(&format!("SET key:{key} {value}"), "+OK");
    }
    assert_eq!(info(&mut c, "persistence", "rdb_bgsave_in_progress"), 1);
    assert!(info(&mut c, "memory", "mem_not_counted_for_evict") > 1_000_000);
    c.check("CONFIG SET rdb-key-save-delay 0", "+OK");
    wait("the end of the snapshot", || {
        (info(&mut c, "persistence", "rdb_bgsave_in_progress") == 0).then_some(())
    });
    assert!(info(&mut c, "memory", "mem_not_counted_for_evict") < 100_000);
    // Nor does what is evicted ask for more.
    c.check("CONFIG SET maxmemory-policy allkeys-random", "+OK");
    c.check("CONFIG RESETSTAT", "+OK");
    filled_and_saving(&mut c, &value);
    limit_above(&mut c, 0);
    for key in 0..500 {
        c.check(&format!("SET new:{key} {value}"), "+OK");
    }
    let evicted = info(&mut c, "stats", "evicted_keys");
    assert!((200..2000).contains(&evicted), "{evicted}");
    c.check("CONFIG SET rdb-key-save-delay 0", "+OK");
}

#[test]
fn a_big_value_that_a_snapshot_still_needs_counts_as_evicted() {
    let server = Server::start(&["--save", "", "--maxmemory-policy", "allkeys-random"]);
    let mut c = server.connect();
    for key in 0..500 {
        let mut words = vec!["ZADD".to_owned(), format!("scores:{key}")];
        for member in 0..200 {
            words.extend([format!("{member}"), format!("member:{member}")]);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        c.command(&words);
        c.check_reply(":200");
    }
    c.check("CONFIG SET rdb-key-save-delay 20000", "+OK");
    c.check("CONFIG SET maxmemory-eviction-tenacity 100", "+OK");
    c.check("BGSAVE", "+Background saving started");
    let limit = info(&mut c, "memory", "used_memory") - 100_000;
    c.check(&format!("CONFIG SET maxmemory {limit}"), "+OK");
    c.check("PING", "+PONG");
    let evicted = info(&mut c, "stats", "evicted_keys");
    assert!((1..60).contains(&evicted), "{evicted}");
    c.check("CONFIG SET maxmemory 0", "+OK");
    c.check("CONFIG SET rdb-key-save-delay 0", "+OK");
}
