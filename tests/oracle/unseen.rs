//! Who may not use a key neither learns anything of it nor changes it,
//! whatever it calls: two servers that differ only in such keys give equal
//! replies, and the keys stay as they are. So the keys that COMMAND GETKEYS
//! tells (they are what permission is asked for) are those that a command
//! uses.
//!
//! `REDSTART_UNSEEN_COMMANDS` says how many calls are made (default 1,000,000, on each
//! server), `REDSTART_SEED` repeats a run.

use std::collections::VecDeque;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use redstart::command::registry::Registry;
use redstart::config::{Config, Protected};
use redstart::engine::{ClientId, RawClient, Server, Unblock};
use redstart::exec::{blocking, dispatch};
use redstart::util::glob;

use super::generate::Generator;
use super::{from_env, pools};

const COMMANDS: u64 = 1_000_000;
/// Calls between two looks at the forbidden keys.
const LOOK_EVERY: u64 = 1000;
/// What the user may read and write, and what only read.
const OPEN: [&str; 8] = ["key:[0-6]", "key:1?", "a", "c", "k1", "hello", "*:2", "*:3"];
const READABLE: [&str; 3] = ["b", "str:1", "*:1"];
/// Calls that leave the user, or a mode in which replies can be compared.
const LEFT_OUT: [&str; 4] = ["auth", "hello", "quit", "reset"];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Open,
    Readable,
    Secret,
}

fn kind(key: &[u8]) -> Kind {
    let fits = |patterns: &[&str]| {
        let mut patterns = patterns.iter();
        patterns.any(|pattern| glob::matches(pattern.as_bytes(), key))
    };
    match (fits(&OPEN), fits(&READABLE)) {
        (true, _) => Kind::Open,
        (_, true) => Kind::Readable,
        _ => Kind::Secret,
    }
}

struct Side {
    server: Server,
    root: ClientId,
    user: ClientId,
}

impl Side {
    fn new(variant: usize, keys: &[Vec<u8>]) -> Side {
        let registry = Registry::new(redstart::commands::FAMILIES).expect("a sound table");
        let config = Config {
            enable_debug_command: Protected::Yes,
            ..Config::default()
        };
        let mut server = Server::new(config, registry, 1);
        server.rng = SmallRng::seed_from_u64(1);
        server.keyspace.now_ms = 1_700_000_000_000;
        let (root, user) = (
            server.add_client(RawClient::default()),
            server.add_client(RawClient::default()),
        );
        let mut side = Side { server, root, user };
        for (index, key) in keys.iter().enumerate() {
            let variant = match kind(key) {
                Kind::Open => continue,
                Kind::Readable => 0,
                Kind::Secret => variant,
            };
            side.fill(key, index, variant);
        }
        let mut rules = "ACL SETUSER u on nopass +@all -@dangerous -@connection +sort +sort_ro \
                         +restore -randomkey -scan -dbsize"
            .to_owned();
        OPEN.iter()
            .for_each(|key| rules.push_str(&format!(" ~{key}")));
        READABLE
            .iter()
            .for_each(|key| rules.push_str(&format!(" %R~{key}")));
        assert_eq!(side.ask(root, &rules), b"+OK\r\n");
        assert_eq!(side.ask(user, "AUTH u x"), b"+OK\r\n");
        side
    }

    /// A value of some type, of another one in the other variant.
    fn fill(&mut self, key: &[u8], index: usize, variant: usize) {
        let texts = [
            "SET KEY value",
            "RPUSH KEY a b 1",
            "SADD KEY a b c",
            "ZADD KEY 1 a 2 b",
            "HSET KEY a 1 b x",
            "SET KEY 12",
            "PFADD KEY a b",
            "SETBIT KEY 100 1",
        ];
        let text = texts[(index + 3 * variant) % texts.len()];
        let argv: Vec<&[u8]> = text
            .split(' ')
            .map(|word| if word == "KEY" { key } else { word.as_bytes() })
            .collect();
        let root = self.root;
        let reply = self.run(root, &argv);
        assert!(!reply.starts_with(b"-"), "{}", reply.escape_ascii());
    }

    fn ask(&mut self, id: ClientId, words: &str) -> Vec<u8> {
        let argv: Vec<&[u8]> = words.split_whitespace().map(str::as_bytes).collect();
        self.run(id, &argv)
    }

    fn run(&mut self, id: ClientId, argv: &[&[u8]]) -> Vec<u8> {
        let server = &mut self.server;
        // Time does not go on: what depends on it is equal too.
        server.time_stands = true;
        let lookup = server.registry.resolve(argv);
        if dispatch::run(server, id, lookup, argv, &[]) == dispatch::Outcome::Blocked {
            blocking::give_up(server, id, Unblock::Timeout);
        }
        let mut chunks = VecDeque::new();
        server.client(id).output.take(&mut chunks);
        let mut reply = Vec::new();
        chunks
            .iter()
            .for_each(|chunk| reply.extend_from_slice(chunk.as_slice()));
        reply
    }

    /// What the forbidden keys hold: a digest of each value and its time to
    /// live, whatever its encoding (that of a sorted set changes with SORT).
    fn look(&mut self, keys: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let forbidden = keys.iter().filter(|key| kind(key) != Kind::Open);
        let names = [&b"DEBUG"[..], b"DIGEST-VALUE"].into_iter();
        let argv: Vec<&[u8]> = names.chain(forbidden.map(Vec::as_slice)).collect();
        let root = self.root;
        let reply = self.run(root, &argv);
        let lines = reply.split(|byte| *byte == b'\n').skip(1);
        lines.map(<[u8]>::to_vec).collect()
    }
}

/// All keys that calls are likely to name.
fn keys() -> Vec<Vec<u8>> {
    let mut rng = SmallRng::seed_from_u64(1);
    let groups = redstart::commands::FAMILIES
        .iter()
        .flat_map(|family| family.iter());
    let groups: Vec<_> = groups.map(|command| command.group).collect();
    let drawn = (0..20_000).map(|nth| pools::key_for(&mut rng, groups[nth % groups.len()]));
    let mut keys: Vec<_> = drawn.collect();
    keys.sort();
    keys.dedup();
    keys
}

#[test]
fn what_is_forbidden_is_neither_seen_nor_changed() {
    let commands = from_env("REDSTART_UNSEEN_COMMANDS").unwrap_or(COMMANDS);
    let seed = match from_env("REDSTART_SEED").unwrap_or(7015) {
        0 => rand::rng().random_range(1..1 << 48),
        seed => seed,
    };
    println!("REDSTART_SEED={seed}, {commands} commands");
    let keys = keys();
    let mut sides = [Side::new(0, &keys), Side::new(1, &keys)];
    let mut before = sides.each_mut().map(|side| side.look(&keys));
    assert_ne!(before[0], before[1], "the servers differ");
    let registry = Registry::new(redstart::commands::FAMILIES).expect("a sound table");
    let mut generator = Generator::new(seed, &registry, |name| !LEFT_OUT.contains(&name));
    let (mut refused, mut done, mut queued) = (0u64, 0u64, 0);
    let mut recent = Vec::new();
    for nth in 1..=commands {
        let call = generator.call();
        recent.push(call.clone());
        let mut argv: Vec<&[u8]> = call.argv.iter().map(Vec::as_slice).collect();
        if queued == 1 {
            argv = vec![&b"EXEC"[..]];
        } else if queued == 0 && generator.pick(200) == 0 {
            (argv, queued) = (vec![&b"MULTI"[..]], 6);
        }
        queued = usize::saturating_sub(queued, 1);
        let [ours, other] = sides.each_mut().map(|side| side.run(side.user, &argv));
        assert!(
            ours == other,
            "call {nth}, {call}: what is forbidden shows:\n{}\n{}",
            ours.escape_ascii(),
            other.escape_ascii()
        );
        match ours.starts_with(b"-NOPERM") {
            true => refused += 1,
            false => done += u64::from(!ours.starts_with(b"-")),
        }
        if nth % LOOK_EVERY == 0 || nth == commands {
            let now = sides.each_mut().map(|side| side.look(&keys));
            if now != before {
                let forbidden = keys.iter().filter(|key| kind(key) != Kind::Open);
                let changed = forbidden.enumerate().filter(|(index, _)| {
                    (0..2).any(|side| now[side][*index] != before[side][*index])
                });
                let changed: Vec<&Vec<u8>> = changed.map(|(_, key)| key).collect();
                for call in &recent {
                    if call.argv.iter().any(|word| changed.contains(&word)) {
                        println!("{call}");
                    }
                }
                panic!("changed until call {nth}: {changed:?}");
            }
            before = now;
            recent.clear();
        }
    }
    println!("{done} done, {refused} refused");
    let share = commands / 10;
    assert!(
        done > share && refused > share,
        "{done} done, {refused} refused"
    );
}
