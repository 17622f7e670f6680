//! Random calls of all commands, from the grammar in the command table.

use std::fmt;

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use redstart::command::docs::{self, Arg, ArgKind};
use redstart::command::registry::Registry;
use redstart::command::table::{Group, flag};

use super::{pools, rules};

/// Of a hundred calls, so many are made wrong in some way.
const MUTATED_PERCENT: u32 = 8;
/// Of a thousand calls, so many have a name that is no command.
const UNKNOWN_PERMILLE: u32 = 4;
/// After one of so many batches a key expires.
const SHORT_LIVED_EVERY: u32 = 15;

/// How often commands come, where it is not [`WEIGHT`]: those that empty the
/// databases are rare, and those that fill them are not.
const WEIGHTS: [(&str, u32); 28] = [
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
}

impl Call {
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
    rng: SmallRng,
    forms: Vec<Form>,
    containers: Vec<&'static str>,
    total_weight: u32,
}

/// A call being made.
struct Draft<'a> {
    rng: &'a mut SmallRng,
    /// Points in time may be over.
    past: bool,
    group: Group,
    /// A negative count asks for that many elements, always.
    generous: bool,
    /// Where the number of keys is to stand that come next.
    count_at: Option<usize>,
    words: Vec<Vec<u8>>,
    keys: Vec<Vec<u8>>,
}

impl Generator {
    /// Makes calls of all commands of the registry that the other server
    /// knows too and that `rules` does not exclude.
    pub fn new(seed: u64, registry: &Registry, known: impl Fn(&str) -> bool) -> Generator {
        let mut forms = Vec::new();
        let mut containers = Vec::new();
        for entry in registry.all() {
            let name = entry.full_name();
            if rules::is_excluded(name) || !known(name) {
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
        self.forms.iter().map(|form| form.name.as_str())
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
        }
    }

    /// Rarely: a call that lets a key expire within milliseconds, and one
    /// that looks at it when it has.
    pub fn short_lived(&mut self) -> Option<(Call, Call)> {
        if !self.rng.random_ratio(1, SHORT_LIVED_EVERY) {
            return None;
        }
        let key = pools::key(&mut self.rng);
        let call = |name: &str, words: &[&[u8]]| Call {
            name: name.into(),
            argv: words.iter().map(|word| word.to_vec()).collect(),
            keys: vec![key.clone()],
            writes: true,
        };
        let expire = call("pexpire", &[b"PEXPIRE", &key, b"2"]);
        Some((expire, call("exists", &[b"EXISTS", &key])))
    }
}

/// What has to be sent before a call. Redis's SORT takes it for an error of
/// its own if the last number that was too big came before, in whatever
/// command; one that is parsed well lets it forget.
pub fn before(call: &Call) -> Option<Call> {
    let sorts = matches!(call.name.as_str(), "sort" | "sort_ro");
    sorts.then(|| Call {
        name: "zadd".into(),
        argv: ["ZADD", "nosuch", "XX", "1", "a"].map(Vec::from).to_vec(),
        keys: Vec::new(),
        writes: false,
    })
}

/// Whether an argument is, or has in it, a time.
fn is_timed(arg: &Arg) -> bool {
    match &arg.kind {
        ArgKind::UnixTime => true,
        ArgKind::OneOf(parts) | ArgKind::Block(parts) => parts.iter().any(is_timed),
        _ => matches!(&*arg.name, "seconds" | "milliseconds" | "ttl" | "timeout"),
    }
}

fn in_any_case(rng: &mut SmallRng, word: &str) -> Vec<u8> {
    match rng.random_range(0..4) {
        0 => word.to_ascii_lowercase().into(),
        1 => word
            .bytes()
            .map(|byte| match rng.random() {
                true => byte.to_ascii_lowercase(),
                false => byte.to_ascii_uppercase(),
            })
            .collect(),
        _ => word.into(),
    }
}

impl Draft<'_> {
    fn arg(&mut self, arg: &Arg) {
        if arg.optional && self.rng.random_ratio(6, 10) {
            return;
        }
        let times = match arg.multiple {
            true => self
                .rng
                .random_range(1..=4)
                .min(self.rng.random_range(1..=4)),
            false => 1,
        };
        for time in 0..times {
            if let Some(token) = arg.token
                && (time == 0 || arg.multiple_token)
            {
                let token = in_any_case(self.rng, token);
                self.words.push(token);
            }
            self.value(arg);
        }
    }

    fn value(&mut self, arg: &Arg) {
        let rng = &mut *self.rng;
        let word = match (&arg.kind, &*arg.name) {
            (ArgKind::PureToken, _) => return,
            (ArgKind::OneOf(parts), _) => {
                let part = &parts[rng.random_range(0..parts.len())];
                return self.arg(part);
            }
            (ArgKind::Block(parts), _) => return parts.iter().for_each(|part| self.arg(part)),
            (ArgKind::Key, _) => {
                let key = match self.group {
                    // Few strings happen to be one.
                    Group::HyperLogLog => pools::hyperloglog_key(rng),
                    _ => pools::key(rng),
                };
                self.keys.push(key.clone());
                key
            }
            (ArgKind::Integer, "offset") if self.group == Group::Bitmap => pools::bit_offset(rng),
            (ArgKind::Integer, "bit" | "value") if self.group == Group::Bitmap => pools::bit(rng),
            (ArgKind::String, "encoding") => pools::bit_field_type(rng),
            (ArgKind::String, "operation") => pools::bit_operation(rng),
            (ArgKind::String, "subcommand") => pools::hyperloglog_subcommand(rng),
            (ArgKind::Integer, "count") if self.generous => pools::sample_count(rng),
            (ArgKind::Integer, "seconds") => pools::time_to_live(rng, 1),
            (ArgKind::Integer, "milliseconds" | "ttl") => pools::time_to_live(rng, 1000),
            (ArgKind::UnixTime, name) if name.contains("milliseconds") => {
                pools::unix_time(rng, 1000, self.past)
            }
            (ArgKind::UnixTime, _) => pools::unix_time(rng, 1, self.past),
            (ArgKind::Integer, "db" | "destination-db" | "index1" | "index2" | "index") => {
                pools::database(rng)
            }
            (ArgKind::Integer, _) => pools::integer(rng),
            (ArgKind::Double, "timeout") => pools::timeout(rng),
            (ArgKind::Double, "min" | "max") => pools::score_bound(rng),
            (ArgKind::Double, "longitude") => pools::degrees(rng, 180.0),
            (ArgKind::Double, "latitude") => pools::degrees(rng, 85.0),
            (ArgKind::Double, "radius" | "width" | "height") => pools::distance(rng),
            (ArgKind::String, "min" | "max" | "start" | "stop") => pools::range_bound(rng),
            (ArgKind::Double, _) => pools::float(rng),
            (ArgKind::Pattern, _) => pools::pattern(rng),
            (ArgKind::String, "serialized-value") => pools::payload(rng),
            (ArgKind::String, "type") => pools::type_name(rng),
            (ArgKind::String, "username") => pools::user(rng),
            (ArgKind::String, _) => pools::value(rng),
        };
        self.words.push(word);
    }

    /// Where scores differ, Redis leaves open what a range of members is: such
    /// calls take sorted sets of one score, and some calls fill those. True when
    /// it is such a call.
    fn in_order_of_members(&mut self, name: &str) -> bool {
        let by_name = matches!(
            name,
            "zlexcount" | "zrangebylex" | "zrevrangebylex" | "zremrangebylex"
        );
        let is_bylex = |word: &Vec<u8>| word.eq_ignore_ascii_case(b"bylex");
        let fills = name == "zadd" && self.rng.random_ratio(1, 6);
        if fills {
            let members = (0..self.rng.random_range(1..5)).map(|_| pools::value(self.rng));
            let pairs = members.flat_map(|member| [b"0".to_vec(), member]);
            self.words = [b"lex:0".to_vec()].into_iter().chain(pairs).collect();
        } else if !by_name && !self.words.iter().any(is_bylex) {
            return false;
        }
        let source = usize::from(name == "zrangestore");
        let key = format!("lex:{}", self.rng.random_range(0..3)).into_bytes();
        if let Some(word) = self.words.get_mut(source) {
            *word = key.clone();
            self.keys = vec![key];
        }
        for word in self.words.iter_mut().skip(source + 1).take(2) {
            if !fills {
                *word = pools::member_bound(self.rng);
            }
        }
        true
    }

    /// What is stored or left must not be a matter of chance, nor of the order
    /// of a hash table. True when it would be in such a call.
    fn leaves_no_choice(&mut self, name: &str) -> bool {
        match name {
            "spop" => {
                self.words.truncate(1);
                self.words.push(b"100000".to_vec());
            }
            "sort" => {
                let has = |word: &str| {
                    let is_it = |other: &Vec<u8>| other.eq_ignore_ascii_case(word.as_bytes());
                    self.words.iter().any(is_it)
                };
                if has("by") && has("store") {
                    self.words
                        .retain(|word| !word.eq_ignore_ascii_case(b"alpha"));
                }
            }
            _ => return false,
        }
        true
    }

    /// Makes the call wrong, or at least unusual.
    fn mutate(&mut self, careful: bool) {
        let count = self.words.len();
        let choice = match careful {
            true => self.rng.random_range(0..4),
            false => self.rng.random_range(0..8),
        };
        match choice {
            0 => drop(self.words.pop()),
            1 => {
                let tokens = [
                    "NX",
                    "XX",
                    "GET",
                    "LEN",
                    "COUNT",
                    "DB",
                    "REPLACE",
                    "WITHSCORES",
                    "nosuch",
                    "",
                ];
                let token = pools::one(self.rng, &tokens).into();
                self.words.push(token);
            }
            2 if count > 0 => {
                // Nothing that could be taken for a time.
                let at = self.rng.random_range(0..count);
                self.words[at] = b"word".to_vec();
            }
            3 if count > 0 => {
                let at = self.rng.random_range(0..count);
                let again = self.words[at].clone();
                self.words.push(again);
            }
            4 if count > 0 => drop(self.words.remove(self.rng.random_range(0..count))),
            5 if count > 0 => {
                let at = self.rng.random_range(0..count);
                self.words[at] = pools::value(self.rng);
            }
            6 => self.words.shuffle(self.rng),
            _ => {
                let value = pools::value(self.rng);
                self.words.push(value);
            }
        }
    }
}
