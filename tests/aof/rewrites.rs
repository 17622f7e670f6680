//! Rewriting: what a failed one leaves, how long the next waits, and turning
//! the log on and off.

use std::fs;
use std::path::Path;

use super::instance::Instance;
use super::support::wait;

fn manifest(dir: &Path) -> String {
    fs::read_to_string(dir.join("appendonlydir/appendonly.aof.manifest")).unwrap()
}

/// Rewrites from now on fail: a directory is where their file should be.
fn block(server: &Instance, dir: &Path, number: u32) {
    let name = format!("temp-rewriteaof-bg-{}-{number}.aof", server.pid());
    fs::create_dir(dir.join(name)).unwrap();
}

#[track_caller]
fn rewrite(server: &Instance, expected: &str) {
    server.connect().check(
        "BGREWRITEAOF",
        "+Background append only file rewriting started",
    );
    wait("the end of the rewrite", || {
        (server.figure("aof_rewrite_in_progress") == "0").then_some(())
    });
    assert_eq!(server.figure("aof_last_bgrewrite_status"), expected);
}

#[test]
fn failed_rewrites_leave_files_of_changes_behind() {
    let dir = tempfile::tempdir().unwrap();
    let server = Instance::start(dir.path(), &["--auto-aof-rewrite-percentage", "0"]);
    let mut client = server.connect();
    for number in 1..=3 {
        client.check(&format!("RPUSH list {number}"), &format!(":{number}"));
        block(&server, dir.path(), number);
        rewrite(&server, "err");
    }
    assert_eq!(server.figure("aof_rewrites_consecutive_failures"), "3");
    assert_eq!(
        manifest(dir.path()),
        "file appendonly.aof.1.base.rdb seq 1 type b\n\
         file appendonly.aof.1.incr.aof seq 1 type i\n\
         file appendonly.aof.2.incr.aof seq 2 type i\n\
         file appendonly.aof.3.incr.aof seq 3 type i\n\
         file appendonly.aof.4.incr.aof seq 4 type i\n"
    );
    client.check("RPUSH list 4", ":4");
    let digest = client.ask("DEBUG DIGEST");
    client.check("DEBUG LOADAOF", "+OK");
    client.check("DEBUG DIGEST", &digest);
    // By itself, none is tried again for a minute.
    client.check(
        "CONFIG SET auto-aof-rewrite-min-size 1 auto-aof-rewrite-percentage 1",
        "+OK",
    );
    server.wait_for_log("triggered the limit, will retry in 1 minutes");
    assert_eq!(server.figure("aof_rewrites"), "3");
    client.check("CONFIG SET auto-aof-rewrite-percentage 0", "+OK");
    // By hand it is, and then all is one again.
    rewrite(&server, "ok");
    assert_eq!(
        manifest(dir.path()),
        "file appendonly.aof.2.base.rdb seq 2 type b\n\
         file appendonly.aof.5.incr.aof seq 5 type i\n"
    );
    client.check("RPUSH list 5", ":5");
    server.kill();
    let server = Instance::start(dir.path(), &[]);
    server
        .connect()
        .check("LRANGE list 0 -1", "*5 $1 $2 $3 $4 $5");
}

#[test]
fn turned_on_it_counts_once_its_base_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let server = Instance::start(dir.path(), &["--appendonly", "no"]);
    let mut client = server.connect();
    client.check("SET a 1", "+OK");
    client.check("CONFIG SET rdb-key-save-delay 10000000", "+OK");
    client.check("CONFIG SET appendonly yes", "+OK");
    client.check("SET b 2", "+OK");
    let temporary = dir.path().join("appendonlydir/temp-appendonly.aof.incr");
    assert!(temporary.exists());
    client.send("SHUTDOWN\r\n");
    client.check("PING", "-ERR Errors trying to SHUTDOWN. Check logs.");
    assert_eq!(client.reply(), "+PONG");
    server.wait_for_log("Writing initial AOF, can't exit.");
    client.check("CONFIG SET appendonly no", "+OK");
    client.check("CONFIG SET rdb-key-save-delay 0", "+OK");
    wait("the file to go", || (!temporary.exists()).then_some(()));
    client.check("CONFIG SET appendonly yes", "+OK");
    client.check("SET c 3", "+OK");
    server.wait_for_log("Background AOF rewrite finished successfully");
    assert_eq!(
        manifest(dir.path()),
        "file appendonly.aof.1.base.rdb seq 1 type b\n\
         file appendonly.aof.1.incr.aof seq 1 type i\n"
    );
    server.kill();
    let server = Instance::start(dir.path(), &[]);
    server.connect().check("MGET a b c", "*3 $1 $2 $3");
}

#[test]
fn a_base_of_commands_brings_everything_back() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "--aof-use-rdb-preamble",
        "no",
        "--aof-timestamp-enabled",
        "yes",
    ];
    let server = Instance::start(dir.path(), &args);
    let mut client = server.connect();
    for number in 0..200 {
        for words in [
            format!("RPUSH list {number} longer-than-{number}"),
            format!("SADD set {number}"),
            format!("SADD names n{number}"),
            format!("HSET hash f{number} {number}"),
            format!("ZADD zset {number}.5 m{number}"),
            format!("SETEX k{number} 1000 v{number}"),
            format!("XADD stream {}-1 f {number} g{} x", number + 1, number % 3),
        ] {
            client.ask(&words);
        }
    }
    for words in [
        "XGROUP CREATE stream group 0",
        "XREADGROUP GROUP group reader COUNT 50 STREAMS stream >",
        "XGROUP CREATECONSUMER stream group idle",
        "XDEL stream 150-1",
        "XGROUP CREATE empty group $ MKSTREAM",
    ] {
        client.ask(words);
    }
    let groups = client.ask("XINFO GROUPS stream");
    assert!(groups.contains(":50"), "{groups}");
    client.check("SELECT 7", "+OK");
    client.check("SET number 12", "+OK");
    let digest = client.ask("DEBUG DIGEST");
    rewrite(&server, "ok");
    let base = dir.path().join("appendonlydir/appendonly.aof.2.base.aof");
    assert!(fs::read(base).unwrap().starts_with(b"#TS:"));
    client.check("DEBUG LOADAOF", "+OK");
    client.check("DEBUG DIGEST", &digest);
    client.check("SELECT 0", "+OK");
    client.check("XINFO GROUPS stream", &groups);
    client.check("XLEN empty", ":0");
    client.check("EXISTS empty", ":1");
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().collect();
    let temporary = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("temp");
    assert!(
        !left.iter().any(|entry| temporary(&entry.file_name())),
        "{left:?}"
    );
}

#[test]
fn the_log_of_an_older_version_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let log = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";
    fs::write(dir.path().join("appendonly.aof"), log).unwrap();
    let server = Instance::start(dir.path(), &[]);
    server.connect().check("GET a", "$1");
    server.connect().check("SET b 2", "+OK");
    server.wait_for_log("Successfully migrated an old-style AOF file");
    assert!(!dir.path().join("appendonly.aof").exists());
    server.kill();
    let server = Instance::start(dir.path(), &[]);
    server.connect().check("MGET a b", "*2 $1 $2");
}

#[test]
fn rewritten_while_it_is_off_there_is_only_a_base() {
    let dir = tempfile::tempdir().unwrap();
    let server = Instance::start(dir.path(), &[]);
    let mut client = server.connect();
    client.check("SET a 1", "+OK");
    client.check("CONFIG SET appendonly no", "+OK");
    rewrite(&server, "ok");
    assert_eq!(
        manifest(dir.path()),
        "file appendonly.aof.2.base.rdb seq 2 type b\n"
    );
    // What is changed meanwhile is nowhere.
    client.check("SET a 2", "+OK");
    server.kill();
    let server = Instance::start(dir.path(), &[]);
    server.connect().check("GET a", "$1");
    server.connect().check("SET b 2", "+OK");
    assert_eq!(
        manifest(dir.path()),
        "file appendonly.aof.2.base.rdb seq 2 type b\n\
         file appendonly.aof.1.incr.aof seq 1 type i\n"
    );
    server.kill();
    // Numbers go on from there.
    let server = Instance::start(dir.path(), &[]);
    rewrite(&server, "ok");
    assert_eq!(
        manifest(dir.path()),
        "file appendonly.aof.3.base.rdb seq 3 type b\n\
         file appendonly.aof.2.incr.aof seq 2 type i\n"
    );
}

#[test]
fn old_files_stay_as_long_as_they_are_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let server = Instance::start(dir.path(), &["--aof-disable-auto-gc", "yes"]);
    rewrite(&server, "ok");
    let old = dir.path().join("appendonlydir/appendonly.aof.1.base.rdb");
    assert!(old.exists());
    assert_eq!(
        manifest(dir.path()),
        "file appendonly.aof.2.base.rdb seq 2 type b\n\
         file appendonly.aof.1.incr.aof seq 1 type h\n\
         file appendonly.aof.1.base.rdb seq 1 type h\n\
         file appendonly.aof.2.incr.aof seq 2 type i\n"
    );
    server
        .connect()
        .check("CONFIG SET aof-disable-auto-gc no", "+OK");
    wait("the old file to go", || (!old.exists()).then_some(()));
    wait("the manifest to forget it", || {
        let now = "file appendonly.aof.2.base.rdb seq 2 type b\n\
                   file appendonly.aof.2.incr.aof seq 2 type i\n";
        (manifest(dir.path()) == now).then_some(())
    });
}

#[test]
fn turned_on_during_a_snapshot_it_waits_for_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let server = Instance::start(dir.path(), &["--appendonly", "no"]);
    let mut client = server.connect();
    client.check("SET a 1", "+OK");
    client.check("CONFIG SET rdb-key-save-delay 1500000", "+OK");
    client.check("BGSAVE", "+Background saving started");
    client.check("CONFIG SET appendonly yes", "+OK");
    server.wait_for_log("AOF was enabled but there is already another background");
    assert_eq!(server.figure("aof_rewrite_scheduled"), "1");
    client.check("SET b 2", "+OK");
    client.check(
        "BGREWRITEAOF",
        "+Background append only file rewriting scheduled",
    );
    assert!(
        !dir.path()
            .join("appendonlydir/appendonly.aof.manifest")
            .exists()
    );
    client.check("CONFIG SET rdb-key-save-delay 0", "+OK");
    server.wait_for_log("Background AOF rewrite finished successfully");
    client.check("SET c 3", "+OK");
    server.kill();
    let server = Instance::start(dir.path(), &[]);
    server.connect().check("MGET a b c", "*3 $1 $2 $3");
}

#[test]
fn what_begins_with_a_rewrite_waits_for_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let options = [
        "--appendfsync",
        "always",
        "--enable-protected-configs",
        "yes",
    ];
    let server = Instance::start(dir.path(), &options);
    let mut client = server.connect();
    client.check("SET a 1", "+OK");
    // No snapshot begins while the files of the rewrite are made.
    client.send("BGREWRITEAOF\r\nBGSAVE\r\n");
    client.check_reply("+Background append only file rewriting started");
    client.check_reply(
        "-ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE \
         in order to schedule a BGSAVE whenever possible.",
    );
    server.wait_for_log("Background AOF rewrite finished successfully");
    assert_eq!(server.figure("aof_last_bgrewrite_status"), "ok");
    // The directory of the log is where it was when it was opened.
    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    client.check(&format!("CONFIG SET dir {}", other.display()), "+OK");
    client.check("SET a 2", "+OK");
    client.check("PING", "+PONG");
}

/// What a script keeps from the log is its own writes, not that a key expired.
#[test]
fn a_key_that_a_silent_script_finds_expired_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let options = ["--appendfsync", "always", "--enable-debug-command", "yes"];
    let server = Instance::start(dir.path(), &options);
    let mut client = server.connect();
    client.check("DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
    client.check("RPUSH list a", ":1");
    client.check("PEXPIRE list 20", ":1");
    std::thread::sleep(std::time::Duration::from_millis(60));
    let script = "redis.set_repl(redis.REPL_NONE) redis.call('set', 'silent', 1) \
                  return redis.call('exists', 'list')";
    client.command(&["EVAL", script, "0"]);
    client.check_reply(":0");
    client.check("RPUSH list b", ":1");
    server.kill();
    let server = Instance::start(dir.path(), &[]);
    let mut client = server.connect();
    client.check("LRANGE list 0 -1", "*1 $b");
    client.check("EXISTS silent", ":0");
}
