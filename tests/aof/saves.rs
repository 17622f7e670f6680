//! Snapshots and rewrites while the disk fails, one call after the other, under
//! an engine in this process.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use redstart::aof::RealDisk;
use redstart::config::{AppendFsync, Protected, SavePoint};
use redstart::engine::hooks::{Access, Task};

use super::cuts::Engine;
use super::disk::{Fatality, Faults, FaultyDisk};

const KEYS: usize = 300;

/// An engine whose background work is done when it is asked for.
struct Bench {
    engine: Arc<Mutex<Engine>>,
    tasks: Arc<Mutex<Vec<Task>>>,
}

impl Bench {
    fn new(dir: &Path) -> Bench {
        let tasks = Arc::new(Mutex::new(Vec::new()));
        let mut engine = Engine::new(&dir.join("log"), AppendFsync::Always);
        let config = &mut engine.server.config;
        config.dbfilename = dir.join("dump.rdb").to_str().unwrap().into();
        // So that the end of a save is waited for, and writes are refused.
        config.save = vec![SavePoint {
            seconds: 3600,
            changes: 1_000_000,
        }];
        let queue = tasks.clone();
        engine.server.hooks.spawn = Some(Box::new(move |_, task| {
            queue.lock().unwrap().push(task);
            Ok(())
        }));
        let engine = Arc::new(Mutex::new(engine));
        Bench { engine, tasks }
    }

    fn run(&self, words: &[&str]) -> String {
        String::from_utf8(self.engine.lock().unwrap().run(words)).unwrap()
    }

    /// Does what is to be done in the background, to the end.
    fn work(&self) {
        loop {
            let Some(task) = self.tasks.lock().unwrap().pop() else {
                return;
            };
            let engine = self.engine.clone();
            let access: Access = Box::new(move |run| {
                run(&mut engine.lock().unwrap().server);
                true
            });
            task(access);
        }
    }

    fn fill(&self, value: &str) {
        for key in 0..KEYS {
            let reply = self.run(&["SET", &format!("key:{key}"), value]);
            assert_eq!(reply, "+OK\r\n");
        }
        self.run(&["RPUSH", "list", value]);
    }

    fn fail_at(&self, fail_at: u64, errno: i32) -> Arc<Faults> {
        let faults = Arc::new(Faults {
            calls: AtomicU64::new(0),
            fail_at,
            errno,
        });
        self.engine.lock().unwrap().server.aof.disk = Arc::new(FaultyDisk {
            inner: RealDisk,
            faults: faults.clone(),
        });
        faults
    }
}

/// What the snapshot holds: one value in all keys.
fn value_in(dir: &Path) -> String {
    let bench = Bench::new(dir);
    bench
        .engine
        .lock()
        .unwrap()
        .server
        .config
        .enable_debug_command = Protected::Yes;
    let loaded = bench.run(&["DEBUG", "RELOAD", "NOSAVE", "NOFLUSH"]);
    assert_eq!(loaded, "+OK\r\n");
    assert_eq!(bench.run(&["DBSIZE"]), format!(":{}\r\n", KEYS + 1));
    let value = bench.run(&["GET", "key:0"]);
    for key in 0..KEYS {
        assert_eq!(bench.run(&["GET", &format!("key:{key}")]), value);
    }
    value
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_snapshot_replaces_the_last_one_whole_or_not_at_all() {
    for command in ["SAVE", "BGSAVE"] {
        for errno in [libc::EIO, libc::ENOSPC] {
            let mut fail_at = 1;
            loop {
                let dir = tempfile::tempdir().unwrap();
                std::fs::create_dir(dir.path().join("log")).unwrap();
                let bench = Bench::new(dir.path());
                let long = "new value ".repeat(100);
                bench.fill("old");
                assert_eq!(bench.run(&["SAVE"]), "+OK\r\n");
                bench.fill(&long);
                let faults = bench.fail_at(fail_at, errno);
                let reply = bench.run(&[command]);
                bench.work();
                let case = format!("{command}, error {errno} at call {fail_at}");
                let struck = faults.calls.load(Ordering::SeqCst) >= fail_at;
                let info = bench.run(&["INFO", "persistence"]);
                let failed = reply.starts_with('-') || info.contains("bgsave_status:err");
                let value = value_in(dir.path());
                assert_eq!(files(dir.path()), ["dump.rdb", "log"], "{case}");
                if !struck {
                    assert!(!failed && value.contains(&long), "{case}: {reply} {info}");
                    assert!(fail_at > 4, "{case}: only so many calls");
                    break;
                }
                // A disk that takes a part of what it should and the rest
                // later has not failed.
                assert!(failed || errno == libc::ENOSPC, "{case}: {reply} {info}");
                assert!(value.contains("old") || value.contains(&long), "{case}");
                assert!(failed || value.contains(&long), "{case}");
                if command == "BGSAVE" && failed {
                    let refused = bench.run(&["SET", "key:0", "x"]);
                    assert!(refused.starts_with("-MISCONF"), "{case}: {refused}");
                }
                // The disk is well again.
                assert!(bench.run(&[command]).starts_with('+'), "{case}");
                bench.work();
                assert!(value_in(dir.path()).contains(&long), "{case}");
                assert_eq!(bench.run(&["SET", "key:0", "x"]), "+OK\r\n", "{case}");
                fail_at += 1;
            }
        }
    }
}

#[test]
fn a_rewrite_that_fails_loses_nothing() {
    for (errno, preamble) in [(libc::EIO, true), (libc::EIO, false), (libc::ENOSPC, true)] {
        let mut fail_at = 1;
        loop {
            let dir = tempfile::tempdir().unwrap();
            let log = dir.path().join("log");
            std::fs::create_dir(&log).unwrap();
            let bench = Bench::new(dir.path());
            {
                let engine = &mut *bench.engine.lock().unwrap();
                engine.server.config.aof_use_rdb_preamble = preamble;
                engine.load().unwrap();
                engine.server.open_aof().unwrap();
            }
            bench.fill("old");
            let faults = bench.fail_at(fail_at, errno);
            let reply = bench.run(&["BGREWRITEAOF"]);
            let alarm = Arc::new(Fatality::default());
            bench.engine.lock().unwrap().server.aof.alarm = alarm.clone();
            let (mut acknowledged, mut sent) = (0, 0);
            // Before, while and after it is rewritten.
            for step in 0..3 {
                if step == 1 {
                    bench.work();
                }
                let reply = bench.run(&["RPUSH", "list", "after"]);
                if reply.starts_with('-') {
                    continue;
                }
                sent += 1;
                let server = &mut bench.engine.lock().unwrap().server;
                server.flush_aof(false);
                server.aof.wait_for_disk();
                if alarm.0.load(Ordering::SeqCst) {
                    // The process ends, before the reply.
                    break;
                }
                if server.aof.barrier().is_none() && server.aof.buffer_bytes() == 0 {
                    acknowledged = sent;
                }
            }
            let case = format!("error {errno} at call {fail_at}, snapshot {preamble}");
            let info = bench.run(&["INFO", "persistence"]);
            let struck = faults.calls.load(Ordering::SeqCst) >= fail_at;
            let ok = info.contains("aof_last_bgrewrite_status:ok");
            drop(bench);
            let again = Bench::new(dir.path());
            let loaded = again.engine.lock().unwrap().load();
            assert!(loaded.is_ok(), "{case}: it does not start");
            let length = again.run(&["LLEN", "list"]);
            let kept: u64 = length[1..].trim_end().parse().unwrap();
            let fits = (1 + acknowledged..=1 + sent).contains(&kept);
            assert!(fits, "{case}: {kept} of {acknowledged} to {sent}");
            assert_eq!(
                again.run(&["DBSIZE"]),
                format!(":{}\r\n", KEYS + 1),
                "{case}"
            );
            if !struck {
                assert!(ok && reply.starts_with('+'), "{case}: {reply} {info}");
                assert!(fail_at > 10, "{case}: only so many calls");
                break;
            }
            fail_at += 1;
        }
    }
}
