//! Random command sequences to our server and to redis-server 7.0.15: every
//! reply must be the same, byte for byte, and in the end the contents too.
//!
//! The commands and their arguments come from the command table, so that a new
//! command takes part as soon as it has a row. What cannot be compared stands
//! in `rules`, with its reason.
//!
//! `REDSTART_SEED` repeats a run (a failure prints its seed),
//! `REDSTART_ORACLE_COMMANDS` says how many commands are sent (default 200,000).

mod contents;
mod generate;
mod pair;
mod pools;
mod reply;
mod rules;
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use generate::{Call, Generator};
use pair::{Pair, Servers};
use rand::Rng;
use redstart::command::registry::Registry;
use reply::Value;

/// Commands when the environment does not say.
const COMMANDS: u64 = 200_000;
/// Commands sent in one piece.
const BATCH: u64 = 100;
/// Calls that are remembered for the report of a difference.
const HISTORY: usize = 5_000;
/// From this number of commands on, each must have succeeded at least once.
const COVERAGE_COMMANDS: u64 = 100_000;

#[test]
fn random_commands_have_equal_replies() {
    // One seed by default, so that a run says something about the change under
    // test; 0 draws one, to look for what nobody thought of.
    let seed = match from_env("REDSTART_SEED").unwrap_or(7015) {
        0 => rand::rng().random_range(1..1 << 48),
        seed => seed,
    };
    let commands = from_env("REDSTART_ORACLE_COMMANDS").unwrap_or(COMMANDS);
    println!("REDSTART_SEED={seed} REDSTART_ORACLE_COMMANDS={commands}");

    let servers = Servers::start();
    let registry = Registry::new(redstart::commands::FAMILIES).expect("a sound command table");
    let mut pairs = connections(&servers);
    let mut generator = Generator::new(seed, &registry, |name| servers.theirs_knows(name));
    let mut history = VecDeque::with_capacity(HISTORY);
    let mut succeeded: BTreeMap<String, u64> =
        generator.names().map(|name| (name.to_owned(), 0)).collect();

    let names: Vec<_> = generator.names().collect();
    println!("{} commands: {}", names.len(), names.join(" "));

    let mut sent = 0;
    while sent < commands {
        let mut calls: Vec<Call> = (0..BATCH.min(commands - sent))
            .map(|_| generator.call())
            .flat_map(|call| [generate::before(&call), Some(call)])
            .flatten()
            .collect();
        // Now and then a key expires between two batches; looking at it then
        // deletes it in both servers, before their own cycles matter.
        let expiring = generator.short_lived();
        calls.extend(expiring.iter().map(|(expire, _)| expire.clone()));
        sent += calls.len() as u64;

        let index = generator.pick(pairs.len());
        run(&mut pairs[index], &calls, &mut history, &mut succeeded);
        if let Some((_, look)) = expiring {
            std::thread::sleep(Duration::from_millis(10));
            run(&mut pairs[index], &[look], &mut history, &mut succeeded);
        }
    }
    if commands >= COVERAGE_COMMANDS {
        let never: Vec<_> = succeeded.iter().filter(|(_, count)| **count == 0).collect();
        assert!(never.is_empty(), "never without an error: {never:?}");
    }
    contents::compare(&mut pairs[0]);
}

fn from_env(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value}: not a number")),
    )
}

/// Connections in both protocol versions to both servers.
fn connections(servers: &Servers) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = (0..4).map(|_| servers.connect()).collect();
    for pair in pairs.iter_mut().step_by(2) {
        let (ours, theirs) = pair.call(&[b"HELLO", b"3"]);
        let greeted = !ours.is_error() && !theirs.is_error();
        assert!(greeted, "HELLO 3: {ours:?} {theirs:?}");
    }
    pairs
}

/// Sends calls to both servers and compares what comes back.
fn run(
    pair: &mut Pair,
    calls: &[Call],
    history: &mut VecDeque<(Call, Value)>,
    succeeded: &mut BTreeMap<String, u64>,
) {
    let requests: Vec<_> = calls.iter().map(|call| call.argv.clone()).collect();
    pair.send(&requests);
    for call in calls {
        let (ours, theirs) = pair.receive(call);
        if !rules::equal(call, &ours, &theirs) {
            report(call, history, &ours, &theirs);
        }
        if !theirs.is_error()
            && let Some(count) = succeeded.get_mut(&call.name)
        {
            *count += 1;
        }
        if history.len() == HISTORY {
            history.pop_front();
        }
        history.push_back((call.clone(), theirs));
    }
}

/// Fails with what led to a difference: the last calls on the same keys.
fn report(call: &Call, history: &VecDeque<(Call, Value)>, ours: &Value, theirs: &Value) -> ! {
    let related = history.iter().filter(|(earlier, _)| {
        earlier.shares_key(call) || earlier.writes && earlier.keys.is_empty()
    });
    let mut lines: Vec<String> = related
        .map(|(earlier, reply)| format!("{earlier}  {reply:?}"))
        .collect();
    let lines = lines.split_off(lines.len().saturating_sub(25));
    panic!(
        "different replies\nbefore:\n  {}\ncall:   {call}\nours:   {ours:?}\ntheirs: {theirs:?}",
        lines.join("\n  ")
    );
}
