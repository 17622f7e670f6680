//! Directories of logs that go back and forth between this server and
//! redis-server 7.0.15.

use std::process::Command;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::instance::{Instance, PROGRAM};
use super::support::{Client, wait};

/// Times that the directory changes hands.
const ROUNDS: u64 = 6;

fn command(rng: &mut SmallRng) -> String {
    let (key, number) = (rng.random_range(0..20), rng.random_range(0..1000));
    match rng.random_range(0..16) {
        0 => format!("SET s{key} v{number}"),
        1 => format!("INCRBY n{key} {number}"),
        2 => format!("APPEND a{key} {}", "x".repeat(number / 10)),
        3 => format!("RPUSH l{key} {number} item-{number}"),
        4 => format!("LPOP l{key}"),
        5 => format!("SADD i{key} {number}"),
        6 => format!("SADD m{key} member-{number}"),
        7 => format!("SPOP m{key} 2"),
        8 => format!("HSET h{key} f{number} {number}"),
        9 => format!("HINCRBYFLOAT h{key} float 0.5"),
        10 => format!("ZADD z{key} {number}.25 member-{number}"),
        11 => format!("ZPOPMIN z{key}"),
        12 => format!("SETEX e{key} 10000 v{number}"),
        13 => format!("PFADD p{key} {number}"),
        14 => format!("SELECT {}", key % 3),
        _ => format!("DEL s{key} l{key}"),
    }
}

/// Changes the libraries of functions.
fn change_libraries(c: &mut Client, rng: &mut SmallRng) {
    let (name, number) = (rng.random_range(0..5), rng.random_range(0..1000));
    let code = format!(
        "#!lua name=lib{name}\nredis.register_function{{function_name='f{name}', \
         callback=function() return {number} end, flags={{'no-writes'}}}}"
    );
    match rng.random_range(0..8) {
        0 => drop(c.ask(&format!("FUNCTION DELETE lib{name}"))),
        1 if number % 4 == 0 => c.check("FUNCTION FLUSH", "+OK"),
        2 => {
            c.command(&["FUNCTION", "DUMP"]);
            let payload = c.reply_bytes()[1..].to_vec();
            c.command(&[&b"FUNCTION"[..], b"RESTORE", &payload, b"REPLACE"]);
            c.check_reply("+OK");
        }
        _ => {
            c.command(&["FUNCTION", "LOAD", "REPLACE", &code]);
            c.check_reply(&format!("$lib{name}"));
        }
    }
}

/// What a server holds: keys, and libraries in some order.
fn contents(c: &mut Client) -> (String, Vec<u8>) {
    c.command(&["FUNCTION", "LIST", "WITHCODE"]);
    let mut libraries = c.reply_bytes();
    libraries.sort_unstable();
    (c.ask("DEBUG DIGEST"), libraries)
}

#[test]
fn logs_go_back_and_forth() {
    if Command::new("redis-server")
        .arg("--version")
        .output()
        .is_err()
    {
        println!("skipped: there is no redis-server to exchange with");
        return;
    }
    for (seed, preamble) in [(1, "yes"), (2, "no")] {
        let dir = tempfile::tempdir().unwrap();
        let mut rng = SmallRng::seed_from_u64(seed);
        let args = ["--aof-use-rdb-preamble", preamble, "--appendfsync", "no"];
        let mut digest = None;
        for round in 0..ROUNDS {
            let program = if round % 2 == 0 {
                PROGRAM
            } else {
                "redis-server"
            };
            let server = Instance::start_program(&[program], dir.path(), &args);
            let mut client = server.connect();
            let loaded = contents(&mut client);
            assert_eq!(
                *digest.get_or_insert_with(|| loaded.clone()),
                loaded,
                "round {round}"
            );
            for step in 0..1500 {
                if step == 700 {
                    client.ask("BGREWRITEAOF");
                }
                client.ask("MULTI");
                client.ask(&command(&mut rng));
                client.ask(&command(&mut rng));
                client.ask("EXEC");
                if step % 50 == 0 {
                    change_libraries(&mut client, &mut rng);
                }
            }
            wait("the end of the rewrite", || {
                (server.figure("aof_rewrite_in_progress") == "0").then_some(())
            });
            digest = Some(contents(&mut client));
            server.kill();
        }
    }
}
