//! Ways to call each command with its numbers left open, from the command table.

use std::borrow::Cow;
use std::fmt;

use redstart::command::docs::{self, Arg, ArgKind};
use redstart::command::registry::{Entry, Registry};
use redstart::command::table::{Group, flag};
use redstart::rdb::{Encoder, Kind, payload};
use redstart::types::stream::{Group as StreamGroup, NewId, Pending, StreamLimits};
use redstart::types::{Stream, StreamId, ValueView};

/// One word of a call.
#[derive(Clone)]
pub enum Word {
    /// Always this.
    Fixed(Vec<u8>),
    /// A number, with its name and a value that makes sense.
    Number(Cow<'static, str>, &'static str),
}

/// A way to call a command.
pub struct Form {
    /// Full name, lower case.
    pub name: String,
    pub group: Group,
    pub words: Vec<Word>,
    /// The keys among the words.
    pub keys: Vec<Vec<u8>>,
    /// It may change something.
    pub writes: bool,
    /// It may wait.
    pub blocks: bool,
}

impl Form {
    /// Where the numbers stand, with their names.
    pub fn numbers(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.words.iter().enumerate();
        numbered.filter_map(|(at, word)| match word {
            Word::Number(name, _) => Some((at, &**name)),
            Word::Fixed(_) => None,
        })
    }

    /// The call with these words at these places, and sense elsewhere.
    pub fn call(&self, numbers: &[(usize, &str)]) -> Vec<Vec<u8>> {
        let word = |(at, word): (usize, &Word)| -> Vec<u8> {
            let given = numbers.iter().find(|(place, _)| *place == at);
            match (given, word) {
                (Some((_, number)), _) => number.as_bytes().to_vec(),
                (None, Word::Fixed(bytes)) => bytes.clone(),
                (None, Word::Number(_, fitting)) => fitting.as_bytes().to_vec(),
            }
        };
        self.words.iter().enumerate().map(word).collect()
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for word in &self.words {
            match word {
                Word::Fixed(bytes) => write!(f, "{} ", bytes.escape_ascii())?,
                Word::Number(name, _) => write!(f, "<{name}> ")?,
            }
        }
        Ok(())
    }
}

/// All forms that have numbers, of all commands.
pub fn all(registry: &Registry) -> Vec<Form> {
    let callable = registry
        .all()
        .iter()
        .filter(|entry| !entry.has_subcommands());
    callable.flat_map(|entry| of(registry, entry)).collect()
}

fn of(registry: &Registry, entry: &Entry) -> Vec<Form> {
    let command = entry.command;
    let args = match command.syntax {
        "" => Vec::new(),
        syntax => docs::arguments(syntax).expect("a sound notation"),
    };
    let container = entry.parent.map(|parent| registry[parent].command.name);
    let names = container.into_iter().chain([command.name]);
    let names: Vec<Word> = names.map(|name| Word::Fixed(name.into())).collect();
    let form = |words: Choice| -> Option<Form> {
        let mut words = [names.clone(), words].concat();
        let keys = name_keys(&mut words);
        let form = Form {
            name: entry.full_name().to_owned(),
            group: command.group,
            words,
            keys,
            writes: entry.has(flag::WRITE),
            blocks: entry.has(flag::BLOCKING),
        };
        let any = form.numbers().next().is_some();
        any.then_some(form)
    };
    let group = command.group;
    sequence(group, &args)
        .into_iter()
        .filter_map(form)
        .collect()
}

/// Some words for an argument.
type Choice = Vec<Word>;

fn has_number(choice: &Choice) -> bool {
    choice.iter().any(|word| matches!(word, Word::Number(..)))
}

/// Arguments one after the other: as plain as can be, with one of them chosen
/// otherwise, and with two, if one of the two has a number.
fn sequence(group: Group, args: &[Arg]) -> Vec<Choice> {
    let choices: Vec<Vec<Choice>> = args.iter().map(|arg| choices(group, arg)).collect();
    let with = |others: &[(usize, usize)]| -> Choice {
        let chosen = choices.iter().enumerate().map(|(at, choices)| {
            let other = others.iter().find(|(place, _)| *place == at);
            choices[other.map_or(0, |(_, choice)| *choice)].clone()
        });
        chosen.flatten().collect()
    };
    let numbered = choices.iter().enumerate();
    let others: Vec<(usize, usize)> = numbered
        .flat_map(|(at, choices)| (1..choices.len()).map(move |choice| (at, choice)))
        .collect();
    let mut found = vec![with(&[])];
    for (index, one) in others.iter().enumerate() {
        found.push(with(&[*one]));
        for two in &others[index + 1..] {
            let numeric = |(at, choice): (usize, usize)| has_number(&choices[at][choice]);
            if one.0 != two.0 && (numeric(*one) || numeric(*two)) {
                found.push(with(&[*one, *two]));
            }
        }
    }
    found
}

/// What an argument can be; the plainest first.
fn choices(group: Group, arg: &Arg) -> Vec<Choice> {
    let values: Vec<Choice> = match &arg.kind {
        // The ID would be the time.
        ArgKind::PureToken if arg.name == "auto_id" => Vec::new(),
        ArgKind::PureToken => vec![Vec::new()],
        ArgKind::OneOf(parts) => {
            let parts = parts.iter().flat_map(|part| choices(group, part));
            parts.filter(|choice| !choice.is_empty()).collect()
        }
        ArgKind::Block(parts) => sequence(group, parts),
        _ => vec![vec![simple(group, arg)]],
    };
    let token = arg.token.map(|token| Word::Fixed(token.into()));
    let with_token = |value: Choice| token.clone().into_iter().chain(value).collect();
    let nothing = arg.optional.then(Vec::new).into_iter();
    nothing.chain(values.into_iter().map(with_token)).collect()
}

/// Stands for a key until [`name_keys`] has told them apart.
const KEY: &[u8] = b"\0key";

/// Gives the keys their names, which it returns.
fn name_keys(words: &mut [Word]) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    for word in words {
        if let Word::Fixed(bytes) = word
            && bytes == KEY
        {
            *bytes = format!("k{}", keys.len() + 1).into();
            keys.push(bytes.clone());
        }
    }
    keys
}

fn simple(group: Group, arg: &Arg) -> Word {
    let number = |fitting| Word::Number(arg.name.clone(), fitting);
    let text = |text: &str| Word::Fixed(text.into());
    match (&arg.kind, &*arg.name) {
        (ArgKind::Key, _) => Word::Fixed(KEY.to_vec()),
        (ArgKind::Integer, "seconds" | "milliseconds" | "ttl") => number("100000"),
        (ArgKind::UnixTime, name) if name.contains("milli") => number("9999999999999"),
        (ArgKind::UnixTime, _) => number("99999999999"),
        (ArgKind::Integer, "client-id") => number("999999"),
        (ArgKind::Integer, "protover") => number("2"),
        // As many as there are, or more.
        (ArgKind::Integer, "entries_added") => number("5"),
        (ArgKind::Integer, "cursor") => number("0"),
        (ArgKind::Double | ArgKind::Integer, _) => number("1"),
        // Ranks or scores, though the documentation has them as texts.
        (ArgKind::String, "start" | "stop") if group == Group::SortedSet => number("1"),
        // Members; numbers are an error here.
        (ArgKind::String, "min") => number("-"),
        (ArgKind::String, "max") => number("+"),
        (ArgKind::String, name) if group == Group::Stream && is_number_of_stream(name) => {
            number(match name {
                "id" | "last-id" => "5",
                _ => "1",
            })
        }
        (ArgKind::String, "encoding") => text("u8"),
        (ArgKind::String, "serialized-value") => Word::Fixed(dumped()),
        (ArgKind::String, "host") => text("127.0.0.1"),
        (ArgKind::String, "field") => text("f"),
        (ArgKind::String, "type") => text("list"),
        (ArgKind::String, "username") => text("default"),
        (ArgKind::String, "member") if group == Group::Set => text("1"),
        (ArgKind::String, "value") => text("7"),
        (ArgKind::Pattern, _) => text("*"),
        _ => text("a"),
    }
}

/// IDs, which may be plain numbers, and what the documentation of streams has
/// as texts else.
fn is_number_of_stream(name: &str) -> bool {
    let others = ["start", "end", "threshold", "min-idle-time"];
    name.ends_with("id") || others.contains(&name)
}

/// What RESTORE takes.
fn dumped() -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    encoder.kind(Kind::String).expect("memory");
    encoder.string(b"restored").expect("memory");
    let mut bytes = encoder.into_inner();
    payload::seal(&mut bytes);
    bytes
}

/// A stream of three entries, with a group `a` whose consumer `a` was given two
/// of them, very long ago.
fn dumped_stream() -> Vec<u8> {
    let (mut stream, mut group) = (Stream::default(), StreamGroup::new(id(2), Some(2)));
    let limits = StreamLimits {
        bytes: 4096,
        entries: 2,
    };
    for ms in 1..=3 {
        let entry = stream.log.add(NewId::Given(id(ms)), &[b"f", b"v"], limits);
        entry.expect("IDs that ascend");
    }
    let consumer = group.create_consumer(b"a", 1).expect("the first");
    for ms in 1..=2 {
        let pending = Pending {
            delivered_ms: 1,
            deliveries: 1,
            consumer,
        };
        group.assign(id(ms), pending);
    }
    stream.groups.insert(b"a"[..].into(), group);
    payload::of(ValueView::Stream(&stream), false)
}

fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

/// Fills a key with what suits the commands of a group.
pub fn fill(group: Group, key: &[u8]) -> Vec<Vec<u8>> {
    let words: &[&str] = match group {
        Group::Stream => {
            let words: [&[u8]; 4] = [b"RESTORE", key, b"0", &dumped_stream()];
            return words.map(<[u8]>::to_vec).to_vec();
        }
        Group::String => &["SET", "", "10"],
        Group::Bitmap => &["SET", "", "bits and bytes"],
        Group::HyperLogLog => &["PFADD", "", "a", "b", "c"],
        Group::Hash => &["HSET", "", "f", "10", "g", "20"],
        Group::Set => &["SADD", "", "1", "2", "3"],
        Group::SortedSet => &["ZADD", "", "1", "a", "2", "b", "3", "c"],
        Group::Geo => &["GEOADD", "", "1", "1", "a", "2", "2", "b"],
        Group::List => &["RPUSH", "", "a", "b", "c", "a"],
        // Numbers, so that SORT can sort them.
        _ => &["RPUSH", "", "3", "1", "2"],
    };
    let word = |word: &&str| match *word {
        "" => key.to_vec(),
        word => word.as_bytes().to_vec(),
    };
    words.iter().map(word).collect()
}
