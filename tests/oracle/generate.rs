//! Random calls of all commands, from the grammar in the command table.

use std::fmt;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use redstart::command::docs::{self, Arg, ArgKind};
use redstart::command::registry::Registry;
use redstart::command::table::{Group, flag};

use super::draft::{Draft, in_any_case};
use super::{pools, rules, scenes};

/// Of a hundred calls, so many are made wrong in some way.
const MUTATED_PERCENT: u32 = 8;
/// Of a thousand calls, so many have a name that is no command.
const UNKNOWN_PERMILLE: u32 = 4;

/// How often commands come, where it is not [`WEIGHT`]: those that empty the
/// databases are rare, and those that fill them are not.
const WEIGHTS: [(&str, u32); 35] = [
    ("append", 75),
    // Redis looks ten times a second whose time to wait is over.
    ("blmove", 4),
    ("blmpop", 4),
    ("blpop", 4),
    ("brpop", 4),
    ("brpoplpush", 4),
    ("bzmpop", 4),
    ("bzpopmax", 4),
    ("bzpopmin", 4),
    ("copy", 100),
    ("del", 20),
    ("flushall", 1),
    ("flushdb", 2),
    ("geoadd", 150),
    ("getdel", 25),
    ("incr", 100),
    ("incrbyfloat", 100),
    ("keys", 25),
    ("lcs", 25),
    ("mset", 100),
    ("scan", 100),
    ("set", 300),
    ("sadd", 300),
    ("setex", 75),
    ("spop", 15),
    ("swapdb", 4),
    ("unlink", 20),
    ("xadd", 400),
    ("xgroup|create", 100),
    ("xgroup|destroy", 10),
    ("xread", 25),
    ("xreadgroup", 100),
    ("xsetid", 10),
    ("xtrim", 25),
    ("zadd", 300),
];
const WEIGHT: u32 = 50;

/// Commands that reply as many elements as they are told to, though there be
/// but one.
const GENEROUS: [&str; 3] = ["hrandfield", "srandmember", "zrandmember"];

/// A request.
#[derive(Clone)]
pub struct Call {
    /// Full name of the command, lower case: `get`, `object|freq`.
    pub name: String,
    /// All words.
    pub argv: Vec<Vec<u8>>,
    /// The keys among them.
    pub keys: Vec<Vec<u8>>,
    /// It may change something.
    pub writes: bool,
    /// How the replies are compared.
    pub judge: Judge,
}

/// How the replies to a call are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// By the rule for the command.
    Rule,
    /// Chance drew from the elements that were the reply before.
    Drawn,
    /// What chance left: the elements before, without those taken since.
    Left,
}

impl Call {
    /// A call with these words.
    pub fn new(name: &str, words: &[&[u8]]) -> Call {
        Call {
            name: name.to_owned(),
            argv: words.iter().map(|word| word.to_vec()).collect(),
            keys: Vec::new(),
            writes: false,
            judge: Judge::Rule,
        }
    }

    /// As [`Call::new`], the key in second place.
    pub fn on_key(name: &str, words: &[&[u8]]) -> Call {
        Call {
            keys: vec![words[1].to_vec()],
            writes: true,
            ..Call::new(name, words)
        }
    }

    /// Whether both name a key.
    pub fn shares_key(&self, other: &Call) -> bool {
        self.keys.iter().any(|key| other.keys.contains(key))
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for arg in &self.argv {
            if arg.len() > 200 {
                write!(f, "\"{}…\"({} bytes) ", arg[..20].escape_ascii(), arg.len())?;
            } else {
                write!(f, "\"{}\" ", arg.escape_ascii())?;
            }
        }
        Ok(())
    }
}

/// A command as it can be called.
struct Form {
    name: String,
    words: Vec<&'static str>,
    args: Vec<Arg>,
    /// One of the arguments is a time, or a count without limits: a wrong place
    /// for another number, since keys must not expire while the test runs, nor
    /// replies be endless.
    careful: bool,
    generous: bool,
    writes: bool,
    group: Group,
    weight: u32,
}

/// Makes calls; equal seeds make equal calls.
pub struct Generator {
    /// The source of all chance.
    pub rng: SmallRng,
    forms: Vec<Form>,
    containers: Vec<&'static str>,
    total_weight: u32,
}

impl Generator {
    /// Makes calls of all commands of the registry that the other server
    /// knows too and that `rules` does not exclude.
    pub fn new(seed: u64, registry: &Registry, known: impl Fn(&str) -> bool) -> Generator {
        let mut forms = Vec::new();
        let mut containers = Vec::new();
        for entry in registry.all() {
            let name = entry.full_name();
            if rules::is_excluded(name) || scenes::COMMANDS.contains(&name) || !known(name) {
                continue;
            }
            if entry.has_subcommands() {
                containers.push(entry.command.name);
                continue;
            }
            let args = match entry.command.syntax {
                "" => Vec::new(),
                syntax => docs::arguments(syntax).expect("a sound notation"),
            };
            let container = entry.parent.map(|parent| registry[parent].command.name);
            let generous = GENEROUS.contains(&name);
            let weight = WEIGHTS.iter().find(|(command, _)| *command == name);
            forms.push(Form {
                name: name.to_owned(),
                words: container.into_iter().chain([entry.command.name]).collect(),
                careful: generous || args.iter().any(is_timed),
                generous,
                args,
                writes: entry.has(flag::WRITE),
                group: entry.command.group,
                weight: weight.map_or(WEIGHT, |(_, weight)| *weight),
            });
        }
        Generator {
            rng: SmallRng::seed_from_u64(seed),
            total_weight: forms.iter().map(|form| form.weight).sum(),
            forms,
            containers,
        }
    }

    /// The commands that take part.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let forms = self.forms.iter().map(|form| form.name.as_str());
        forms.chain(scenes::COMMANDS)
    }

    /// A number below `count`.
    pub fn pick(&mut self, count: usize) -> usize {
        self.rng.random_range(0..count)
    }

    /// The next call.
    pub fn call(&mut self) -> Call {
        if self.rng.random_ratio(UNKNOWN_PERMILLE, 1000) {
            return self.unknown();
        }
        let mut ticket = self.rng.random_range(0..self.total_weight);
        let form = self.forms.iter().find(|form| {
            let found = ticket < form.weight;
            ticket = ticket.saturating_sub(form.weight);
            found
        });
        let form = form.expect("tickets are below the total weight");

        let mut draft = Draft {
            rng: &mut self.rng,
            // SET with a time that is over leaves a key that counts until it
            // is looked at; when that is depends on other clocks.
            past: form.name != "set",
            group: form.group,
            generous: form.generous,
            count_at: None,
            words: Vec::new(),
            keys: Vec::new(),
        };
        for arg in &form.args {
            draft.arg(arg);
            if arg.name == "numkeys" {
                draft.count_at = Some(draft.words.len() - 1);
            } else if let Some(at) = draft.count_at.take()
                && draft.rng.random_ratio(9, 10)
            {
                draft.words[at] = (draft.words.len() - 1 - at).to_string().into();
            }
        }
        let careful = draft.in_order_of_members(&form.name) || form.careful;
        let careful = draft.leaves_no_choice(&form.name) || careful;
        if form.name.ends_with("scan") && draft.rng.random() {
            // A whole iteration in one call, which can be compared.
            let cursor = usize::from(form.name != "scan");
            draft.words[cursor] = b"0".to_vec();
            draft.words.extend([b"COUNT".to_vec(), b"100000".to_vec()]);
        }
        // Without its count, SPOP takes what chance decides.
        if form.name != "spop" && draft.rng.random_ratio(MUTATED_PERCENT, 100) {
            draft.mutate(careful);
        }
        let Draft {
            rng, words, keys, ..
        } = draft;
        let names = form.words.iter().map(|word| in_any_case(rng, word));
        Call {
            name: form.name.clone(),
            argv: names.collect::<Vec<_>>().into_iter().chain(words).collect(),
            keys,
            writes: form.writes,
            judge: Judge::Rule,
        }
    }

    /// A call of something that does not exist.
    fn unknown(&mut self) -> Call {
        let mut argv = match self.rng.random_range(0..6) {
            0 => vec![b"NOSUCH".to_vec()],
            1 => vec![vec![b'x'; 200]],
            2 => vec![b"no\r\nsuch\0thing\n".to_vec()],
            3 => vec![Vec::new()],
            _ => match self.containers.len() {
                0 => vec![b"NOSUCH".to_vec()],
                count => {
                    let container = self.containers[self.rng.random_range(0..count)];
                    let subcommand = pools::value(&mut self.rng);
                    vec![container.into(), subcommand]
                }
            },
        };
        for _ in 0..self.rng.random_range(0..5) {
            argv.push(pools::value(&mut self.rng));
        }
        Call {
            name: String::new(),
            argv,
            keys: Vec::new(),
            writes: false,
            judge: Judge::Rule,
        }
    }
}

/// What has to be sent before a call. Redis's SORT takes it for an error of
/// its own if the last number that was too big came before, in whatever
/// command; one that is parsed well lets it forget.
pub fn before(call: &Call) -> Option<Call> {
    let sorts = matches!(call.name.as_str(), "sort" | "sort_ro");
    sorts.then(|| Call::new("zadd", &[b"ZADD", b"nosuch", b"XX", b"1", b"a"]))
}

/// Whether an argument is, or has in it, a time.
fn is_timed(arg: &Arg) -> bool {
    match &arg.kind {
        ArgKind::UnixTime => true,
        ArgKind::OneOf(parts) | ArgKind::Block(parts) => parts.iter().any(is_timed),
        _ => matches!(&*arg.name, "seconds" | "milliseconds" | "ttl" | "timeout"),
    }
}
