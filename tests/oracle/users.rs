//! Random rules for ACL SETUSER: both servers take or refuse them in the same
//! words, show the same users, and let the same calls through.
//!
//! `REDSTART_USERS_STEPS` says how often a user is changed (default 1,500),
//! `REDSTART_SEED` repeats a run.

use rand::Rng;
use rand::rngs::SmallRng;
use redstart::command::registry::Registry;

use super::from_env;
use super::generate::Generator;
use super::pair::{OPTIONS, Pair, Servers};
use super::pools::one;
use super::reply::Value;

const STEPS: u64 = 1500;
/// Calls that are tried after each step.
const TRIED: usize = 24;

const RULES: [&str; 40] = [
    "on",
    "off",
    "ON",
    "nopass",
    "resetpass",
    ">secret",
    ">other",
    "<secret",
    "<other",
    "reset",
    "allkeys",
    "~*",
    "resetkeys",
    "allchannels",
    "&*",
    "resetchannels",
    "allcommands",
    "+@all",
    "nocommands",
    "-@all",
    "clearselectors",
    "skip-sanitize-payload",
    "sanitize-payload",
    "",
    "x",
    "%R",
    "%~a",
    "%",
    "%RX~a",
    "()",
    "+",
    "-",
    "+@",
    "~",
    "&",
    "#",
    "(",
    ")",
    "~a b",
    "#2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",
];
const COMMANDS: [&str; 30] = [
    "get",
    "set",
    "GET",
    "del",
    "mset",
    "config",
    "config|get",
    "CONFIG|SET",
    "client",
    "client|list",
    "client|kill",
    "select",
    "sort",
    "publish",
    "subscribe",
    "psubscribe",
    "blpop",
    "zunionstore",
    "lmpop",
    "copy",
    "object|freq",
    "object",
    "memory|usage",
    "debug",
    "nosuch",
    "config|nosuch",
    "hset",
    "bitfield",
    "acl|whoami",
    "keys",
];
const FIRST_ARGS: [&str; 8] = [
    "select|0",
    "select|1",
    "SELECT|0",
    "debug|object",
    "get|key:1",
    "config|get|x",
    "set|",
    "nosuch|x",
];
const CATEGORIES: [&str; 18] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "dangerous",
    "CONNECTION",
    "nosuch",
];
const PATTERNS: [&str; 10] = [
    "key:*",
    "key:1",
    "key:[0-4]",
    "*",
    "str:*",
    "list:?",
    "a",
    "*:1",
    "\\*",
    "k*",
];

fn rule(rng: &mut SmallRng, nested: bool) -> String {
    let sign = one(rng, &["+", "-", "+"]).to_owned();
    match rng.random_range(0..20) {
        0..4 => one(rng, &RULES).to_owned(),
        4..8 => sign + one(rng, &COMMANDS),
        8 => sign + one(rng, &FIRST_ARGS),
        9..13 => sign + "@" + one(rng, &CATEGORIES),
        13..16 => {
            let access = one(rng, &["~", "~", "%R~", "%W~", "%RW~", "%w~", "%rW~"]);
            access.to_owned() + one(rng, &PATTERNS)
        }
        16..18 => "&".to_owned() + one(rng, &PATTERNS),
        _ if nested => one(rng, &["allkeys", "+@all", "&*"]).to_owned(),
        _ => {
            let rules = (0..rng.random_range(0..5)).map(|_| rule(rng, true));
            format!("({})", rules.collect::<Vec<_>>().join(" "))
        }
    }
}

fn words(value: &Value) -> Vec<String> {
    let text = value
        .bytes()
        .map(String::from_utf8_lossy)
        .unwrap_or_default();
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    // Redis tells single commands in an order that each process has of its own.
    words.sort();
    words
}

/// A user as ACL GETUSER shows it: the commands of each selector, sorted, and
/// everything else.
fn parts(value: &Value, commands: &mut Vec<Vec<String>>, rest: &mut Vec<Value>) {
    let Some(items) = value.items() else {
        return rest.push(value.clone());
    };
    let mut after_commands = false;
    for item in items {
        if after_commands {
            commands.push(words(item));
        } else {
            parts(item, commands, rest);
        }
        after_commands = item.bytes() == Some(b"commands");
    }
}

/// Whether all categories have the same commands on both servers: only then
/// the shortest way to name some is the same.
fn have_one_table(pair: &mut Pair) -> bool {
    let (names, _) = pair.call(&[b"ACL", b"CAT"]);
    names.items().expect("a list").iter().all(|name| {
        let (ours, theirs) = pair.call(&[b"ACL", b"CAT", name.bytes().expect("a name")]);
        let sorted = |value: &Value| {
            let mut items = value.items().expect("a list").to_vec();
            items.sort();
            items
        };
        sorted(&ours) == sorted(&theirs)
    })
}

#[test]
fn random_rules_make_the_same_users() {
    let steps = from_env("REDSTART_USERS_STEPS").unwrap_or(STEPS);
    let seed = match from_env("REDSTART_SEED").unwrap_or(7015) {
        0 => rand::rng().random_range(1..1 << 48),
        seed => seed,
    };
    println!("REDSTART_SEED={seed}, {steps} steps");
    let servers = Servers::start(&OPTIONS);
    let mut pair = servers.connect();
    let registry = Registry::new(redstart::commands::FAMILIES).expect("a sound command table");
    let mut generator = Generator::new(seed, &registry, |name| servers.theirs_knows(name));
    let one_table = have_one_table(&mut pair);
    let (mut equal, mut all) = (0u64, 0u64);
    let mut history = Vec::new();
    for _ in 0..steps {
        let name = format!("u{}", generator.pick(3)).into_bytes();
        let count = 1 + generator.pick(5);
        let mut argv: Vec<Vec<u8>> = vec![b"ACL".to_vec(), b"SETUSER".to_vec(), name.clone()];
        argv.extend((0..count).map(|_| rule(&mut generator.rng, false).into_bytes()));
        let argv: Vec<&[u8]> = argv.iter().map(Vec::as_slice).collect();
        history.push(argv.join(&b' ').escape_ascii().to_string());
        let recent = || history[history.len().saturating_sub(12)..].join("\n");
        let (ours, theirs) = pair.call(&argv);
        assert!(ours == theirs, "{}\n{ours:?}\n{theirs:?}", recent());

        let (ours, theirs) = pair.call(&[b"ACL", b"GETUSER", &name]);
        let (mut commands, mut rest) = ([vec![], vec![]], [vec![], vec![]]);
        parts(&ours, &mut commands[0], &mut rest[0]);
        parts(&theirs, &mut commands[1], &mut rest[1]);
        assert!(rest[0] == rest[1], "{}\n{ours:?}\n{theirs:?}", recent());
        let same = commands[0] == commands[1];
        assert!(same || !one_table, "{}\n{ours:?}\n{theirs:?}", recent());
        (equal, all) = (equal + u64::from(same), all + 1);

        let calls: Vec<_> = (0..TRIED).map(|_| generator.call()).collect();
        let dry = |call: &[Vec<u8>]| {
            let head = [b"ACL".to_vec(), b"DRYRUN".to_vec(), name.clone()];
            head.into_iter().chain(call.iter().cloned()).collect()
        };
        let requests: Vec<Vec<Vec<u8>>> = calls.iter().map(|call| dry(&call.argv)).collect();
        pair.send(&requests);
        for call in &calls {
            let (ours, theirs) = pair.receive(call);
            // Redis 7.0 sees no key where PFMERGE has no source.
            if call.name == "pfmerge" && call.argv.len() == 2 {
                continue;
            }
            assert!(
                ours == theirs,
                "{}\nDRYRUN {call}\n{ours:?}\n{theirs:?}",
                recent()
            );
        }
    }
    println!("{equal} of {all} users have their commands told in the same way");
    assert!(equal * 2 > all);
}
