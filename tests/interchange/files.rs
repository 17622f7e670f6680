//! Snapshot files: what one server saves, the other loads.

use std::fs;

use rand::Rng;
use rand::rngs::SmallRng;

use crate::support::{Client, Server, wait};
use crate::values::commands;
use crate::{LIMITS, rng};

const DATA_SETS: usize = 500;
const KEYS_MAX: usize = 6;

/// Makes a data set on a server: keys in some databases, some with an expiry.
fn fill(c: &mut Client, rng: &mut SmallRng) {
    c.check("FLUSHALL", "+OK");
    for number in 0..rng.random_range(0..=KEYS_MAX) {
        c.check(&format!("SELECT {}", rng.random_range(0..4) * 5), "+OK");
        for command in commands(rng) {
            c.command(&command);
            let reply = c.reply();
            assert!(!reply.starts_with('-'), "{reply}");
        }
        if rng.random_range(0..3) == 0 {
            c.check(
                &format!("EXPIRE k {}", rng.random_range(1000..1_000_000)),
                ":1",
            );
        }
        c.ask(&format!("RENAME k key:{number}"));
    }
}

#[track_caller]
fn load(from: &Server, to: &Server, c: &mut Client) -> String {
    fs::copy(from.path("dump.rdb"), to.path("dump.rdb")).unwrap();
    c.check("DEBUG RELOAD NOSAVE", "+OK");
    c.ask("DEBUG DIGEST")
}

#[test]
fn files_are_understood_on_both_sides() {
    let Some(oracle) = Server::start_oracle(&[]) else {
        return;
    };
    let server = Server::start(&[]);
    let (mut ours, mut theirs) = (server.connect(), oracle.connect());
    let mut rng = rng();
    for number in 0..DATA_SETS {
        if number % 20 == 0 {
            for (directive, values) in LIMITS {
                let value = values[rng.random_range(0..values.len())];
                for c in [&mut ours, &mut theirs] {
                    c.check(&format!("CONFIG SET {directive} {value}"), "+OK");
                }
            }
            let compress = if rng.random() { "yes" } else { "no" };
            for c in [&mut ours, &mut theirs] {
                c.check(&format!("CONFIG SET rdbcompression {compress}"), "+OK");
            }
        }
        let save = if number % 2 == 0 { "SAVE" } else { "BGSAVE" };
        fill(&mut ours, &mut rng);
        let digest = ours.ask("DEBUG DIGEST");
        saved(&mut ours, save);
        assert_eq!(
            load(&server, &oracle, &mut theirs),
            digest,
            "set {number}, there"
        );
        assert_eq!(ours.ask("DEBUG DIGEST"), digest);
        fill(&mut theirs, &mut rng);
        let digest = theirs.ask("DEBUG DIGEST");
        saved(&mut theirs, "SAVE");
        assert_eq!(
            load(&oracle, &server, &mut ours),
            digest,
            "set {number}, here"
        );
    }
}

#[track_caller]
fn saved(c: &mut Client, how: &str) {
    let reply = c.ask(how);
    assert!(reply.starts_with('+'), "{reply}");
    wait("the snapshot", || {
        let info = c.ask("INFO persistence");
        info.contains("rdb_bgsave_in_progress:0").then_some(())
    });
}

/// While a snapshot is taken, everything in it is overwritten; redis-server
/// finds in the file what was there when it began.
#[test]
fn a_snapshot_under_load_is_of_one_moment() {
    let Some(oracle) = Server::start_oracle(&[]) else {
        return;
    };
    let server = Server::start(&[]);
    let (mut ours, mut theirs) = (server.connect(), oracle.connect());
    ours.check("DEBUG POPULATE 30000", "+OK");
    let big = |command: &str, key: &str, pair: bool| {
        let mut words = vec![command.to_owned(), key.to_owned()];
        for number in 0..20_000 {
            if command == "ZADD" {
                words.push(number.to_string());
            }
            words.push(format!("member:{number}"));
            if pair {
                words.push(format!("value:{number}"));
            }
        }
        words
    };
    for (command, key, pair) in [
        ("HSET", "hash", true),
        ("SADD", "set", false),
        ("ZADD", "zset", false),
        ("RPUSH", "list", false),
    ] {
        ours.command(&big(command, key, pair));
        ours.reply();
    }
    let digest = ours.ask("DEBUG DIGEST");
    ours.check("BGSAVE", "+Background saving started");
    for round in 0..20_000 {
        let commands = [
            format!("SET key:{} {round}", round * 7 % 30_000),
            format!("DEL key:{}", round * 11 % 30_000),
            format!("HSET hash member:{} {round}", round * 3 % 25_000),
            format!("SREM set member:{round}"),
            format!("ZADD zset {} member:{}", round * 5, round * 13 % 25_000),
            format!("LSET list {} {round}", round % 20_000),
            format!("SET new:{round} {round}"),
        ];
        for command in &commands {
            let words: Vec<&str> = command.split(' ').collect();
            ours.command(&words);
        }
        for _ in &commands {
            ours.reply();
        }
        if round % 500 == 0
            && ours
                .ask("INFO persistence")
                .contains("bgsave_in_progress:0")
        {
            break;
        }
    }
    wait("the snapshot", || {
        let info = ours.ask("INFO persistence");
        info.contains("rdb_bgsave_in_progress:0").then_some(())
    });
    assert!(
        ours.ask("INFO persistence")
            .contains("rdb_last_bgsave_status:ok")
    );
    assert_eq!(load(&server, &oracle, &mut theirs), digest);
}

/// Debian's redis-check-rdb and ours say the same of files of both servers,
/// and refuse the same broken ones.
#[test]
fn the_checking_tool_says_what_that_of_redis_says() {
    let Some(oracle) = Server::start_oracle(&[]) else {
        return;
    };
    let server = Server::start(&[]);
    let (mut ours, mut theirs) = (server.connect(), oracle.connect());
    let mut rng = rng();
    let dir = tempfile::tempdir().unwrap();
    let tool = dir.path().join("redis-check-rdb");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_redstart"), &tool).unwrap();
    let file = dir.path().join("file.rdb");
    let check = |tool: &std::path::Path| {
        let out = std::process::Command::new(tool)
            .arg(&file)
            .output()
            .unwrap();
        (
            out.status.code(),
            String::from_utf8_lossy(&out.stdout).into_owned(),
        )
    };
    for (from, c) in [(&server, &mut ours), (&oracle, &mut theirs)] {
        for _ in 0..10 {
            fill(c, &mut rng);
            c.check("SAVE", "+OK");
            let sound = fs::read(from.path("dump.rdb")).unwrap();
            fs::write(&file, &sound).unwrap();
            let (here, there) = (check(&tool), check("redis-check-rdb".as_ref()));
            assert_eq!(here, there);
            assert_eq!(here.0, Some(0));
            for _ in 0..4 {
                let mut broken = sound.clone();
                let at = rng.random_range(0..broken.len());
                broken[at] ^= 1 << rng.random_range(0..8);
                fs::write(&file, &broken).unwrap();
                assert_eq!((check(&tool).0, at), (Some(1), at));
                fs::write(&file, &sound[..at]).unwrap();
                assert_eq!((check(&tool).0, at), (Some(1), at));
            }
        }
    }
}
