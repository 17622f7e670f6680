//! A server whose system calls on the log fail, made to by strace.

use std::path::Path;

use super::instance::{Instance, PROGRAM};
use super::order::have_strace;
use super::support::wait;

/// A server whose calls on the log fail as `inject` says, once it has started.
fn start_faulty(dir: &Path, inject: &str, args: &[&str]) -> Instance {
    // The file has to be there, so that strace knows what to look for.
    Instance::start(dir, &[]).shut_down();
    let log = dir.join("appendonlydir/appendonly.aof.1.incr.aof");
    let inject = format!("inject={inject}");
    let program = [
        "strace",
        "-f",
        "-o",
        "/dev/null",
        "-P",
        log.to_str().unwrap(),
        "-e",
        &inject,
        PROGRAM,
    ];
    Instance::start_program(&program, dir, args)
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_room() {
    if !have_strace() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = start_faulty(dir.path(), "write:error=ENOSPC:when=2..9", &[]);
    let mut client = server.connect();
    client.check("SET a 1", "+OK");
    // What is executed is executed, and is written when there is room.
    client.check("SET b 2", "+OK");
    let misconf = "-MISCONF Errors writing to the AOF file: No space left on device";
    client.check("SET c 3", misconf);
    client.check("PING", misconf);
    client.check("GET b", "$2");
    client.check("MULTI", "+OK");
    client.check("GET b", "+QUEUED");
    client.check("EXEC", "*1 $2");
    server.wait_for_log("Error writing to the AOF file: No space left on device");
    wait("writes to be taken again", || {
        (client.ask("SET c 4") == "+OK").then_some(())
    });
    server.wait_for_log("AOF write error looks solved, Redis can write again.");
    client.check("PING", "+PONG");
    assert_eq!(server.figure("aof_last_write_status"), "ok");
    server.kill();
    let server = Instance::start(dir.path(), &[]);
    server.connect().check("MGET a b c", "*3 $1 $2 $4");
}

#[test]
fn with_always_a_failed_sync_ends_the_server_before_the_reply() {
    if !have_strace() {
        return;
    }
    for (inject, told) in [
        (
            "fdatasync:error=EIO:when=2",
            "Can't persist AOF for fsync error",
        ),
        (
            "write:error=ENOSPC:when=2",
            "Can't recover from AOF write error",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let server = start_faulty(dir.path(), inject, &["--appendfsync", "always"]);
        let mut client = server.connect();
        client.check("SET a 1", "+OK");
        client.send("SET a 2\r\n");
        assert_eq!(client.rest(), b"", "{inject}");
        let log = server.log();
        assert!(log.contains(told), "{log}");
        assert_eq!(server.ended().code(), Some(1));
        let server = Instance::start(dir.path(), &[]);
        let kept = server.connect().ask("GET a");
        assert!(["$1", "$2"].contains(&kept.as_str()), "{kept}");
    }
}

#[test]
fn a_failed_sync_is_not_forgotten_until_the_data_are_elsewhere() {
    if !have_strace() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = start_faulty(dir.path(), "fdatasync:error=EIO:when=1", &[]);
    let mut client = server.connect();
    client.check("SET a 1", "+OK");
    let misconf = "-MISCONF Errors writing to the AOF file: Input/output error";
    // Between two tries the rewrite that mends it may have come and gone.
    let mended = "Background AOF rewrite finished successfully";
    wait("the sync to fail", || {
        (client.ask("SET b 2") == misconf || server.log().contains(mended)).then_some(())
    });
    // What it may have lost is in the base that is written for that reason.
    server.wait_for_log(mended);
    wait("writes to be taken again", || {
        (client.ask("SET c 3") == "+OK").then_some(())
    });
    server.kill();
    let server = Instance::start(dir.path(), &[]);
    server.connect().check("MGET a c", "*2 $1 $3");
}
