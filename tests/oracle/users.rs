//! Random rules for ACL SETUSER: both servers take or refuse them in the same
//! words, show the same users, and let the same calls through.
//!
//! `REDSTART_USERS_STEPS` says how often a user is changed (default 1,500),
//! `REDSTART_SEED` repeats a run.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;

use rand::Rng;
use rand::rngs::SmallRng;
use redstart::acl::{Catalog, Terms, User};
use redstart::command::implied;
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
const CATEGORIES: [&str; 22] = [
    "stream",
    "scripting",
    "blocking",
    "transaction",
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

/// Redis tells single commands in an order that each process has of its own.
fn sorted_words(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
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
            commands.push(sorted_words(item.bytes().expect("rules")));
        } else {
            parts(item, commands, rest);
        }
        after_commands = item.bytes() == Some(b"commands");
    }
}

/// The commands of the other server, so that our rules can be told in its
/// words: the shortest way to name commands depends on which there are.
struct Theirs {
    names: Vec<String>,
    categories: Vec<u32>,
    containers: Vec<Option<usize>>,
    subcommands: Vec<Range<usize>>,
}

fn text(value: &Value) -> String {
    let bytes = match value {
        Value::Line(line) => &line[1..],
        other => other.bytes().expect("a text"),
    };
    String::from_utf8_lossy(bytes).into_owned()
}

impl Theirs {
    fn ask(pair: &mut Pair) -> Theirs {
        let (_, all) = pair.call(&[b"COMMAND", b"INFO"]);
        let all = all.items().expect("a list").to_vec();
        let mut theirs = Theirs {
            names: Vec::new(),
            categories: Vec::new(),
            containers: Vec::new(),
            subcommands: Vec::new(),
        };
        all.iter().for_each(|info| theirs.add(info, None));
        for (container, info) in all.iter().enumerate() {
            let first = theirs.names.len();
            let subcommands = info.items().expect("a row")[9].items().expect("a list");
            for info in subcommands {
                theirs.add(info, Some(container));
            }
            theirs.subcommands[container] = first..theirs.names.len();
        }
        theirs
    }

    fn add(&mut self, info: &Value, container: Option<usize>) {
        let info = info.items().expect("a row");
        let own = info[6].items().expect("categories").iter().map(text);
        let own: Vec<String> = own.collect();
        let known = self.category_names().iter();
        let bits = known.filter(|(_, name)| own.iter().any(|own| own[1..] == **name));
        self.categories.push(bits.map(|(bit, _)| bit).sum());
        self.names.push(text(&info[0]));
        self.containers.push(container);
        self.subcommands.push(0..0);
    }
}

impl Catalog for Theirs {
    fn count(&self) -> usize {
        self.names.len()
    }

    fn find(&self, name: &[u8]) -> Option<usize> {
        let mut names = self.names.iter();
        names.position(|known| known.as_bytes().eq_ignore_ascii_case(name))
    }

    fn full_name(&self, index: usize) -> &str {
        &self.names[index]
    }

    fn categories(&self, index: usize) -> u32 {
        self.categories[index]
    }

    fn container(&self, index: usize) -> Option<usize> {
        self.containers[index]
    }

    fn subcommands(&self, index: usize) -> Range<usize> {
        self.subcommands[index].clone()
    }

    fn category_names(&self) -> &'static [(u32, &'static str)] {
        static NAMES: OnceLock<Vec<(u32, &'static str)>> = OnceLock::new();
        NAMES.get_or_init(|| {
            let rows = implied::CATEGORIES.iter();
            rows.map(|(bit, name, _)| (*bit, *name)).collect()
        })
    }
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
    let catalog = Theirs::ask(&mut pair);
    let terms = Terms {
        catalog: &catalog,
        all_channels: false,
    };
    let mut users: HashMap<Vec<u8>, User> = HashMap::new();
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
        let ours_ok = !ours.is_error();

        let (ours, theirs) = pair.call(&[b"ACL", b"GETUSER", &name]);
        let (mut commands, mut rest) = ([vec![], vec![]], [vec![], vec![]]);
        parts(&ours, &mut commands[0], &mut rest[0]);
        parts(&theirs, &mut commands[1], &mut rest[1]);
        assert!(rest[0] == rest[1], "{}\n{ours:?}\n{theirs:?}", recent());
        // With the commands of the other server, ours are told as there.
        if ours_ok {
            let user = users.remove(&name);
            let user = user.unwrap_or_else(|| User::new(&terms, &name));
            let user = user.with_rules(&terms, &argv[3..]);
            users.insert(name.clone(), user.expect("rules that were taken"));
        }
        if let Some(user) = users.get(&name) {
            let told: Vec<Vec<String>> = user
                .selectors()
                .iter()
                .map(|selector| sorted_words(&selector.describe_commands(&catalog)))
                .collect();
            assert!(told == commands[1], "{}\n{told:?}\n{theirs:?}", recent());
        }

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
}
