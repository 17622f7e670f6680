//! Random command sequences to our server and to redis-server 7.0.15: every
//! reply must be the same, byte for byte, and in the end the contents too. So
//! must be the keyspace events of each batch, and the keys of which clients with
//! caches are told.
//!
//! The commands and their arguments come from the command table, so that a new
//! command takes part as soon as it has a row. What cannot be compared stands
//! in `rules`, with its reason.
//!
//! `REDSTART_SEED` repeats a run (a failure prints its seed),
//! `REDSTART_ORACLE_COMMANDS` says how many commands are sent (default 200,000).

mod contents;
mod draft;
mod ears;
mod feeding;
mod generate;
mod pair;
mod pools;
mod propagation;
mod reply;
mod rules;
mod scenes;
mod session;
#[path = "../support/mod.rs"]
mod support;
mod unseen;
mod users;

use std::time::Duration;

use ears::Ears;
use generate::Generator;
use pair::{LFU_OPTIONS, OPTIONS, Servers};
use rand::Rng;
use redstart::command::registry::Registry;
use session::{Record, Session};

/// Commands when the environment does not say.
const COMMANDS: u64 = 200_000;
/// Commands sent in one piece.
const BATCH: u64 = 100;
/// From this number of commands on, each must have succeeded at least once.
const COVERAGE_COMMANDS: u64 = 100_000;

#[test]
fn random_commands_have_equal_replies() {
    let commands = from_env("REDSTART_ORACLE_COMMANDS").unwrap_or(COMMANDS);
    run(&OPTIONS, commands, from_env("REDSTART_SEED"));
}

#[test]
fn random_commands_have_equal_replies_while_use_is_counted() {
    let commands = from_env("REDSTART_ORACLE_COMMANDS").unwrap_or(COMMANDS) / 5;
    run(&LFU_OPTIONS, commands, from_env("REDSTART_SEED"));
}

#[test]
fn random_commands_are_logged_equally() {
    let commands = from_env("REDSTART_ORACLE_COMMANDS").unwrap_or(COMMANDS) / 4;
    let options = [
        &OPTIONS[..],
        &["--appendonly", "yes", "--appendfsync", "no"],
    ]
    .concat();
    let servers = run(&options, commands, from_env("REDSTART_SEED"));
    let [ours, theirs] = servers.dirs().map(propagation::logged);
    println!("{} commands are logged", ours.len());
    propagation::compare(&ours, &theirs);
}

#[test]
fn scenes_are_logged_equally() {
    let options = ["--appendonly", "yes", "--appendfsync", "no"];
    let servers = Servers::start(&options);
    feeding::play(&servers);
    let [ours, theirs] = servers.dirs().map(propagation::logged);
    println!("{} commands are logged", ours.len());
    propagation::compare(&ours, &theirs);
}

#[test]
fn every_command_takes_part_or_has_a_reason() {
    let registry = Registry::new(redstart::commands::FAMILIES).expect("a sound command table");
    let generator = Generator::new(1, &registry, |_| true);
    for entry in registry.all() {
        let name = entry.full_name();
        let takes_part = generator.names().any(|other| other == name);
        assert!(
            takes_part || rules::is_excluded(name) || entry.has_subcommands(),
            "{name} takes no part"
        );
    }
}

/// Sends random commands to servers with these options.
fn run(options: &[&str], commands: u64, seed: Option<u64>) -> Servers {
    // One seed by default, so that a run says something about the change under
    // test; 0 draws one, to look for what nobody thought of.
    let seed = match seed.unwrap_or(7015) {
        0 => rand::rng().random_range(1..1 << 48),
        seed => seed,
    };
    println!("REDSTART_SEED={seed}, {commands} commands");
    let servers = Servers::start(options);
    let registry = Registry::new(redstart::commands::FAMILIES).expect("a sound command table");
    let mut sessions: Vec<Session> = (0..4).map(|_| Session::new(servers.connect())).collect();
    for session in sessions.iter_mut().step_by(2) {
        session.speak_resp3();
    }
    if options.contains(&"--appendonly") {
        // When a cycle finds a key is left to each server's clock.
        sessions[0].stop_active_expiry();
    }
    let mut ears = Ears::new(&servers);
    let mut generator = Generator::new(seed, &registry, |name| servers.theirs_knows(name));
    let mut record = Record::new(generator.names());
    println!("{}", record.names());

    while record.sent < commands {
        let index = generator.pick(sessions.len());
        let session = &mut sessions[index];
        let count = BATCH.min(commands - record.sent);
        let mut calls = generator.batch(&mut session.mood, count);
        // Now and then a key expires between two batches; looking at it then
        // deletes it in both servers, before their own cycles matter.
        let expiring = generator.short_lived(&session.mood);
        calls.extend(expiring.iter().map(|(expire, _)| expire.clone()));
        session.run(&calls, &mut record);
        if let Some((_, look)) = expiring {
            std::thread::sleep(Duration::from_millis(10));
            session.run(std::slice::from_ref(&look), &mut record);
            calls.push(look);
        }
        ears.compare(&calls);
    }
    ears.assert_equal();
    println!("{}", record.summary());
    if commands >= COVERAGE_COMMANDS {
        record.assert_coverage();
    }
    contents::compare(sessions[0].settled());
    servers
}

fn from_env(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value}: not a number")),
    )
}
