//! The order of system calls, as strace sees it.

use std::collections::HashMap;
use std::process::Command;

use super::instance::{Instance, PROGRAM};
use super::support::Client;

/// Replies of writes that are looked at.
const REPLIES: usize = 2000;
const CLIENTS: usize = 4;

pub fn have_strace() -> bool {
    let found = Command::new("strace").arg("--version").output().is_ok();
    if !found {
        println!("skipped: there is no strace");
    }
    found
}

/// A server under strace, which writes the calls of all its threads down.
fn start_traced(dir: &std::path::Path, calls: &str, args: &[&str]) -> Instance {
    let trace = dir.join("trace");
    let trace = trace.to_str().unwrap();
    let calls = format!("trace={calls}");
    let program = [
        "strace", "-f", "-s", "96", "-o", trace, "-e", &calls, PROGRAM,
    ];
    Instance::start_program(&program, dir, args)
}

/// A call: what it began as, and, when it returned, its whole line.
struct Step {
    text: String,
    /// Number of the line where it began, and where it returned.
    began: usize,
    returned: usize,
}

/// The calls of a trace, put together where another thread came in between.
fn steps(trace: &str) -> Vec<Step> {
    let mut open: HashMap<&str, (usize, String)> = HashMap::new();
    let mut steps = Vec::new();
    for (number, line) in trace.lines().enumerate() {
        let Some((thread, text)) = line.split_once(' ') else {
            continue;
        };
        let text = text.trim_start();
        if let Some(begin) = text.strip_suffix("<unfinished ...>") {
            open.insert(thread, (number, begin.to_owned()));
        } else if let Some((_, end)) = text.split_once("resumed>") {
            if let Some((began, begin)) = open.remove(thread) {
                let text = begin + end;
                steps.push(Step {
                    text,
                    began,
                    returned: number,
                });
            }
        } else {
            let text = text.to_owned();
            steps.push(Step {
                text,
                began: number,
                returned: number,
            });
        }
    }
    steps
}

#[test]
fn replies_wait_for_the_disk() {
    if !have_strace() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let calls = "write,writev,sendto,sendmsg,fdatasync,fsync";
    let server = start_traced(dir.path(), calls, &["--appendfsync", "always"]);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.connect()).collect();
    for round in 0..REPLIES / CLIENTS {
        for (number, client) in clients.iter_mut().enumerate() {
            // The number in the log and in the reply tell which belong together.
            let id = 1_000_000 + round * CLIENTS + number;
            client.send(format!("GETSET k{number} v{id}\r\n"));
        }
        clients.iter_mut().for_each(|client| {
            client.reply();
        });
    }
    // A reply shows the value of the round before, so what it waits for is the
    // write of its own: one each is still to be seen.
    drop(clients);
    let mut last = server.connect();
    last.send("SHUTDOWN NOSAVE\r\n");
    server.ended();
    let trace = std::fs::read_to_string(dir.path().join("trace")).unwrap();
    let steps = steps(&trace);
    let mut checked = 0;
    for (at, reply) in steps.iter().enumerate() {
        let is_reply = !reply.text.contains("GETSET") && !reply.text.contains("SET\\r\\n");
        let Some(id) = reply.text.split("\"$8\\r\\nv").nth(1).filter(|_| is_reply) else {
            continue;
        };
        let old: usize = id[..7].parse().unwrap();
        // The reply to the write that replaced `old`.
        let own = format!("v{}", old + CLIENTS);
        let logged = steps.iter().find(|step| {
            step.text.starts_with("write(") && step.text.contains("*3") && step.text.contains(&own)
        });
        // A long write is not shown whole.
        let Some(logged) = logged else { continue };
        let synced = steps[..].iter().any(|step| {
            step.text.starts_with("fdatasync(")
                && step.began >= logged.returned
                && step.returned <= reply.began
        });
        assert!(synced, "call {at}: {} before it was on disk", reply.text);
        checked += 1;
    }
    println!("{checked} replies came after their bytes were on disk");
    assert!(checked > REPLIES / CLIENTS, "{checked}");
}

#[test]
fn manifests_are_on_disk_before_they_count() {
    if !have_strace() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let calls = "openat,rename,renameat,renameat2,fdatasync,fsync,write";
    let server = start_traced(dir.path(), calls, &["--appendfsync", "always"]);
    server.connect().check("SET a b", "+OK");
    server.connect().ask("BGREWRITEAOF");
    server.wait_for_log("Background AOF rewrite finished successfully");
    server.connect().check("SET a c", "+OK");
    server.shut_down();
    let trace = std::fs::read_to_string(dir.path().join("trace")).unwrap();
    let steps = steps(&trace);
    let renamed =
        |step: &&Step| step.text.starts_with("rename") && step.text.contains("manifest\"");
    let renames: Vec<&Step> = steps.iter().filter(renamed).collect();
    assert!(
        renames.len() >= 3,
        "at start, for the new file, for the new base"
    );
    let file = { steps.iter() }.find(|step| step.text.contains("aof.2.incr.aof"));
    let file = file.expect("a new file").text.rsplit(' ').next().unwrap();
    let synced = format!("fdatasync({file})");
    for rename in renames {
        let before = steps.iter().rev().find(|step| {
            step.returned < rename.began && step.text.contains("temp-appendonly.aof.manifest")
        });
        let opened = before.expect("it was written").returned;
        let between = |from: usize, to: usize, calls: &[&str]| {
            steps.iter().any(|step| {
                let is = calls.iter().any(|call| step.text.starts_with(call));
                is && step.began > from && step.returned < to
            })
        };
        assert!(between(opened, rename.began, &["fdatasync(", "fsync("]));
        let next = steps.iter().find(|step| {
            step.began > rename.returned
                && (step.text.starts_with("fsync(") || step.text.starts_with(&synced))
        });
        // The names before what is in the new file.
        let next = next.expect("the directory is synced");
        assert!(next.text.starts_with("fsync("), "{}", next.text);
    }
}
