//! Saving and loading snapshots, as operators see it.

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use support::{Client, Server, wait};

fn persistence(c: &mut Client, name: &str) -> String {
    let info = c.ask("INFO persistence");
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(field, _)| *field == name);
    found.expect("a field of INFO").1.to_owned()
}

fn wait_for_snapshot(c: &mut Client) {
    wait("the snapshot", || {
        (persistence(c, "rdb_bgsave_in_progress") == "0").then_some(())
    });
}

/// Starts a server on the file that another one has left.
fn successor(old: &Server, args: &[&str]) -> Server {
    let file = old.path("dump.rdb");
    let dir = file.parent().unwrap().to_str().unwrap().to_owned();
    Server::start(&[&["--dir", &dir], args].concat())
}

#[test]
fn what_was_saved_is_there_after_a_restart() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.check("SET k v EX 1000", "+OK");
    c.check("SET gone v PX 1", "+OK");
    c.check("RPUSH l a b c", ":3");
    c.check("SELECT 3", "+OK");
    c.check("HSET h f v", ":1");
    assert_eq!(persistence(&mut c, "rdb_changes_since_last_save"), "6");
    std::thread::sleep(Duration::from_millis(5));
    c.check("DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
    c.check("SAVE", "+OK");
    assert_eq!(persistence(&mut c, "rdb_changes_since_last_save"), "0");
    assert_eq!(persistence(&mut c, "rdb_saves"), "1");
    let next = successor(&server, &[]);
    let mut c = next.connect();
    c.check("GET k", "$v");
    c.check("EXISTS gone", ":0");
    c.check("LRANGE l 0 -1", "*3 $a $b $c");
    let ttl: u32 = c.ask("TTL k")[1..].parse().unwrap();
    assert!((900..=1000).contains(&ttl));
    c.check("SELECT 3", "+OK");
    c.check("HGETALL h", "*2 $f $v");
    assert_eq!(persistence(&mut c, "rdb_last_load_keys_loaded"), "3");
    assert_eq!(persistence(&mut c, "rdb_changes_since_last_save"), "0");
}

#[test]
fn only_one_snapshot_at_a_time() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.check("BGSAVE now", "-ERR syntax error");
    c.check("DEBUG POPULATE 100", "+OK");
    c.check("CONFIG SET rdb-key-save-delay 10000000", "+OK");
    c.check("BGSAVE", "+Background saving started");
    c.check("BGSAVE", "-ERR Background save already in progress");
    c.check(
        "BGSAVE SCHEDULE",
        "-ERR Background save already in progress",
    );
    c.check("SAVE", "-ERR Background save already in progress");
    assert_eq!(persistence(&mut c, "current_save_keys_total"), "100");
    // FLUSHALL makes it void; the number of changes shows that it failed.
    c.check("FLUSHALL", "+OK");
    assert_eq!(persistence(&mut c, "rdb_bgsave_in_progress"), "0");
    assert_eq!(persistence(&mut c, "rdb_last_bgsave_status"), "ok");
    assert_ne!(persistence(&mut c, "rdb_changes_since_last_save"), "0");
    c.check("CONFIG SET rdb-key-save-delay 0", "+OK");
    c.check("MULTI", "+OK");
    c.check("BGSAVE", "+QUEUED");
    c.check("EXEC", "*1 +Background saving scheduled");
    wait("the scheduled snapshot", || {
        (persistence(&mut c, "rdb_changes_since_last_save") == "0").then_some(())
    });
    assert!(server.path("dump.rdb").exists());
}

#[test]
fn a_save_point_takes_a_snapshot() {
    let server = Server::start(&["--save", "1 2"]);
    let mut c = server.connect();
    c.check("MSET a 1 b 2 c 3", "+OK");
    wait("the snapshot", || {
        server.path("dump.rdb").exists().then_some(())
    });
    wait_for_snapshot(&mut c);
    server.wait_for_log("2 changes in 1 seconds. Saving...");
    assert_eq!(persistence(&mut c, "rdb_changes_since_last_save"), "0");
}

#[test]
fn writes_are_refused_when_snapshots_fail() {
    let server = Server::start(&["--save", "1000 1000", "--dbfilename", "d.rdb"]);
    let mut c = server.connect();
    c.check("SET k v", "+OK");
    // A directory of the name: the snapshot cannot take its place.
    fs::create_dir(server.path("d.rdb")).unwrap();
    c.check("BGSAVE", "+Background saving started");
    wait_for_snapshot(&mut c);
    assert_eq!(persistence(&mut c, "rdb_last_bgsave_status"), "err");
    assert!(
        c.ask("SET k w")
            .starts_with("-MISCONF Redis is configured to save RDB snapshots")
    );
    assert!(c.ask("PING").starts_with("-MISCONF "));
    c.check("GET k", "$v");
    c.check("CONFIG SET stop-writes-on-bgsave-error no", "+OK");
    c.check("SET k w", "+OK");
    c.check("CONFIG SET stop-writes-on-bgsave-error yes", "+OK");
    c.check("SAVE", "-ERR");
    assert!(
        c.ask("SHUTDOWN")
            .starts_with("-ERR Errors trying to SHUTDOWN. Check logs.")
    );
    fs::remove_dir(server.path("d.rdb")).unwrap();
    c.check("BGSAVE", "+Background saving started");
    wait_for_snapshot(&mut c);
    c.check("SET k x", "+OK");
    let left = fs::read_dir(server.dir.path()).unwrap().flatten();
    let names: Vec<_> = left.map(|file| file.file_name()).collect();
    assert!(
        !names
            .iter()
            .any(|name| name.to_string_lossy().starts_with("temp")),
        "{names:?}"
    );
}

#[test]
fn the_last_snapshot_is_taken_at_the_end() {
    let server = Server::start(&["--save", "1000 1000"]);
    let mut c = server.connect();
    c.check("SET k v", "+OK");
    c.command(&["SHUTDOWN"]);
    assert!(c.is_closed_within(Duration::from_secs(20)));
    server.wait_for_log("ready to exit");
    let next = successor(&server, &[]);
    let mut c = next.connect();
    c.check("GET k", "$v");
    c.check("SET k w", "+OK");
    c.command(&["SHUTDOWN", "NOSAVE"]);
    assert!(c.is_closed_within(Duration::from_secs(20)));
    next.wait_for_log("ready to exit");
    successor(&server, &[]).connect().check("GET k", "$v");
}

#[test]
fn who_insists_leaves_no_temporary_file() {
    let server = Server::start(&["--save", "1000 1000"]);
    let mut c = server.connect();
    c.check("DEBUG POPULATE 50", "+OK");
    c.check("CONFIG SET rdb-key-save-delay 100000", "+OK");
    let temp = server.path(&format!("temp-{}.rdb", server.pid()));
    let signal = || {
        let pid = server.pid().to_string();
        let done = Command::new("kill").args(["-INT", &pid]).status().unwrap();
        assert!(done.success());
    };
    signal();
    wait("the temporary file", || temp.exists().then_some(()));
    signal();
    server.wait_for_log("You insist");
    wait("its end", || (!temp.exists()).then_some(()));
}

#[test]
fn clients_are_served_while_loading() {
    let server = Server::start(&["--rdbcompression", "no"]);
    let mut c = server.connect();
    c.check("DEBUG POPULATE 3000 key 1000", "+OK");
    c.check("SAVE", "+OK");
    let file = server.path("dump.rdb");
    let dir = file.parent().unwrap().to_str().unwrap().to_owned();
    let slow = Server::start_loading(&["--dir", &dir, "--key-load-delay", "2000"]);
    let mut c = slow.connect();
    assert_eq!(persistence(&mut c, "loading"), "1");
    c.check(
        "GET key:1",
        "-LOADING Redis is loading the dataset in memory",
    );
    let total: u64 = persistence(&mut c, "loading_total_bytes").parse().unwrap();
    assert_eq!(total, fs::metadata(&file).unwrap().len());
    wait("the first bytes", || {
        (persistence(&mut c, "loading_loaded_bytes") != "0").then_some(())
    });
    // What is half loaded does not replace the file.
    c.command(&["SHUTDOWN", "SAVE"]);
    assert!(c.is_closed_within(Duration::from_secs(20)));
    assert_eq!(total, fs::metadata(&file).unwrap().len());
}

#[test]
fn a_broken_file_is_refused() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.check(
        "MSET a 1 b 2 long aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "+OK",
    );
    c.check("SAVE", "+OK");
    let file = server.path("dump.rdb");
    let sound = fs::read(&file).unwrap();
    let dir = file.parent().unwrap().to_str().unwrap().to_owned();
    let refused = |bytes: &[u8], reason: &str| {
        fs::write(&file, bytes).unwrap();
        let log = Server::fail(&["--dir", &dir]);
        assert!(log.contains(reason), "{reason} in\n{log}");
        log
    };
    let mut broken = sound.clone();
    *broken.last_mut().unwrap() ^= 1;
    // Where it is wrong stands in the log.
    let log = refused(&broken, "RDB CRC error");
    assert!(log.contains("--- RDB ERROR DETECTED ---"), "{log}");
    assert!(log.contains("[info] 3 keys read"), "{log}");
    let log = refused(
        &sound[..sound.len() - 12],
        "Terminating server after rdb file reading failure.",
    );
    assert!(log.contains("Short read or OOM loading DB"), "{log}");
    let log = refused(b"REDIS0099", "Can't handle RDB format version 99");
    assert!(log.contains("Fatal error loading the DB"), "{log}");
    let log = refused(b"RDDIS0010", "Wrong signature trying to load DB from file");
    assert!(log.contains("Fatal error loading the DB"), "{log}");
    // Without a checksum nothing but the form is looked at.
    let mut unsummed = sound.clone();
    let end = unsummed.len() - 8;
    unsummed[end..].fill(0);
    fs::write(&file, unsummed).unwrap();
    successor(&server, &[]).connect().check("GET b", "$2");
}

/// Every byte cut off, and every byte changed: never a panic, nor a hang.
#[test]
fn no_file_breaks_the_server() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.check(
        "MSET a 1 b 2 long aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "+OK",
    );
    c.check("ZADD z 1 a 2 b", ":2");
    c.check("HSET h f v g w", ":2");
    c.check("SADD s 1 2 3", ":3");
    c.check("SADD t a b c", ":3");
    c.check("RPUSH l a b c", ":3");
    c.check("EXPIRE l 100000", ":1");
    c.check("SAVE", "+OK");
    let file = server.path("dump.rdb");
    let sound = fs::read(&file).unwrap();
    let start = Instant::now();
    for at in 0..sound.len() {
        fs::write(&file, &sound[..at]).unwrap();
        let reply = c.ask("DEBUG RELOAD NOSAVE");
        assert!(
            reply.starts_with("-ERR Error trying to load the RDB dump"),
            "{at}: {reply}"
        );
        let mut changed = sound.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(&file, &changed).unwrap();
        let reply = c.ask("DEBUG RELOAD NOSAVE");
        // Changes in the fields that describe the file may be harmless, were it
        // not for the checksum.
        assert!(
            reply.starts_with("-ERR Error trying to load the RDB dump"),
            "{at}: {reply}"
        );
    }
    assert!(start.elapsed() < Duration::from_secs(60));
    fs::write(&file, &sound).unwrap();
    c.check("DEBUG RELOAD NOSAVE", "+OK");
    c.check("LRANGE l 0 -1", "*3 $a $b $c");
}

#[test]
fn reloading_keeps_or_drops_what_is_there() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.check("SET k 1", "+OK");
    c.check("DEBUG RELOAD", "+OK");
    c.check("GET k", "$1");
    c.check("SET k 2", "+OK");
    c.check("SET other 1", "+OK");
    c.check(
        "DEBUG RELOAD NOSAVE NOFLUSH",
        "-ERR Error trying to load the RDB dump, check server logs.",
    );
    c.check("DEBUG RELOAD NOSAVE NOFLUSH MERGE", "+OK");
    c.check("MGET k other", "*2 $2 $1");
    c.check("DEBUG RELOAD NOSAVE", "+OK");
    c.check("MGET k other", "*2 $1 $-1");
    c.check(
        "DEBUG RELOAD twice",
        "-ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
    );
}

#[test]
fn a_snapshot_under_way_leaves_no_temporary_file() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.check("DEBUG POPULATE 20", "+OK");
    c.check("CONFIG SET rdb-key-save-delay 100000", "+OK");
    c.check("BGSAVE", "+Background saving started");
    let temporary = || {
        let files = fs::read_dir(server.dir.path()).unwrap().flatten();
        let mut names = files.map(|file| file.file_name().to_string_lossy().into_owned());
        names.find(|name| name.starts_with("temp-"))
    };
    wait("the temporary file", temporary);
    c.command(&["SHUTDOWN", "NOSAVE"]);
    assert!(c.is_closed_within(Duration::from_secs(20)));
    server.wait_for_log("ready to exit");
    assert_eq!(temporary(), None);
}
