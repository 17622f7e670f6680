//! Which arguments of a command are keys, and what it does to them.
//!
//! The rows' key specifications answer for nearly all commands. Where they
//! cannot (`SORT`'s STORE may stand anywhere, `SET` reads only with GET), the
//! row names one of the finders at the end of this file. ACL checks, the
//! cluster's slot check and COMMAND GETKEYS all ask here.
//!
//! Malformed lines are answered as Redis does, since it decides which error a
//! client sees: NOPERM, CROSSSLOT or the command's own.

use super::registry::{Entry, Lookup, Registry};
use super::table::{Begin, Find, KeySpec, flag, kflag};

/// The words of a command line, by position.
pub trait Argv {
    /// How many there are.
    fn count(&self) -> usize;
    /// One of them; `index` is below [`count`](Argv::count).
    fn word(&self, index: usize) -> &[u8];
}

impl<T: AsRef<[u8]>> Argv for [T] {
    fn count(&self) -> usize {
        self.len()
    }

    fn word(&self, index: usize) -> &[u8] {
        self[index].as_ref()
    }
}

/// A key of a command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyRef {
    /// Index of the argument.
    pub index: usize,
    /// `kflag::*` bits; 0 where only the place is known.
    pub flags: u32,
}

/// The keys of one command line, in the order in which Redis lists them.
/// Nothing is allocated: keys stand in a few regular runs.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Keys {
    runs: [Run; RUNS_MAX],
    len: usize,
}

/// The most specifications that a row may have.
pub const RUNS_MAX: usize = 4;

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Run {
    first: usize,
    count: usize,
    step: usize,
    flags: u32,
}

/// Why COMMAND GETKEYS has no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyError {
    /// No such command or subcommand.
    UnknownCommand,
    /// The command takes no keys at all.
    NoKeys,
    /// The wrong number of arguments.
    Arity,
    /// Arguments that no keys can be told from.
    Invalid,
}

impl KeyError {
    /// The text of the error reply, after `ERR `.
    pub const fn message(self) -> &'static str {
        match self {
            KeyError::UnknownCommand => "Invalid command specified",
            KeyError::NoKeys => "The command has no key arguments",
            KeyError::Arity => "Invalid number of arguments specified for command",
            KeyError::Invalid => "Invalid arguments specified for command",
        }
    }
}

/// Whether the command can name keys in its arguments.
pub fn has_keys(entry: &Entry) -> bool {
    let is_key = |spec: &KeySpec| spec.flags & kflag::NOT_KEY == 0;
    entry.command.keys.iter().any(is_key)
}

/// The keys of a command line; none if it is too malformed to tell.
pub fn keys<A: Argv + ?Sized>(entry: &Entry, argv: &A) -> Keys {
    let specs = entry.command.keys;
    if !has_keys(entry) {
        return Keys::default();
    }
    let variable = |spec: &KeySpec| spec.flags & kflag::VARIABLE_FLAGS != 0;
    if let (true, Some(finder)) = (specs.iter().any(variable), entry.command.key_finder) {
        return finder(&Words(argv));
    }
    let is_key = |spec: &&KeySpec| spec.flags & kflag::NOT_KEY == 0;
    if let Some(keys) = specified(specs.iter().filter(is_key), argv) {
        return keys;
    }
    match entry.command.key_finder {
        Some(finder) => finder(&Words(argv)),
        None => counted(specs, argv),
    }
}

/// The keys that a command line will use, for permission: as [`keys`], but
/// where a list of keys may be empty and is, the others count. Redis 7.0 takes
/// such a line (PFMERGE without sources) for malformed, and lets everybody
/// change what it names.
pub fn keys_in_use<A: Argv + ?Sized>(entry: &Entry, argv: &A) -> Keys {
    let found = keys(entry, argv);
    if !found.is_empty() || entry.command.key_finder.is_some() {
        return found;
    }
    let mut keys = Keys::default();
    for spec in entry.command.keys {
        let Begin::Index(first) = spec.begin else {
            return found;
        };
        let first = i64::from(first);
        let pushed = match run(spec, first, argv) {
            _ if spec.flags & kflag::NOT_KEY != 0 => Some(()),
            Some(run) => keys.push(run),
            None => is_empty_list(spec, first, argv).then_some(()),
        };
        if pushed.is_none() {
            return found;
        }
    }
    keys
}

/// Whether the line ends where a list of any length would begin.
fn is_empty_list<A: Argv + ?Sized>(spec: &KeySpec, first: i64, argv: &A) -> bool {
    let open = matches!(spec.find, Find::Range(last, _, 0) if last < 0);
    open && usize::try_from(first).is_ok_and(|first| first == argv.count())
}

/// As [`keys`], with the shard channels that a cluster places like keys.
pub fn keys_and_channels<A: Argv + ?Sized>(entry: &Entry, argv: &A) -> Keys {
    if has_keys(entry) {
        return keys(entry, argv);
    }
    specified(entry.command.keys.iter(), argv).unwrap_or_default()
}

/// The keys of the command line that COMMAND GETKEYS is asked about.
///
/// # Errors
/// The line names no command, or one without keys, or is malformed.
pub fn getkeys<A: Argv + ?Sized>(registry: &Registry, argv: &A) -> Result<Keys, KeyError> {
    let Lookup::Found(id) = registry.resolve(argv) else {
        return Err(KeyError::UnknownCommand);
    };
    let entry = &registry[id];
    if !has_keys(entry) {
        return Err(KeyError::NoKeys);
    }
    if !entry.accepts(argv.count()) {
        return Err(KeyError::Arity);
    }
    let keys = keys(entry, argv);
    if keys.is_empty() && !entry.has(flag::NO_MANDATORY_KEYS) {
        return Err(KeyError::Invalid);
    }
    Ok(keys)
}

impl Keys {
    /// The keys one by one.
    pub fn iter(&self) -> impl Iterator<Item = KeyRef> + use<'_> {
        self.runs[..self.len].iter().flat_map(|run| {
            (0..run.count).map(|nth| KeyRef {
                index: run.first + nth * run.step,
                flags: run.flags,
            })
        })
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.runs[..self.len].iter().all(|run| run.count == 0)
    }

    /// None if there is no room for another run.
    fn push(&mut self, run: Run) -> Option<()> {
        *self.runs.get_mut(self.len)? = run;
        self.len += 1;
        Some(())
    }

    fn with(mut self, run: Run) -> Keys {
        let pushed = self.push(run);
        debug_assert!(pushed.is_some(), "finders give at most RUNS_MAX runs");
        self
    }

    fn single(index: usize, flags: u32) -> Keys {
        Keys::default().with(Run::single(index, flags))
    }
}

impl Run {
    fn single(index: usize, flags: u32) -> Run {
        Run {
            first: index,
            count: 1,
            step: 1,
            flags,
        }
    }
}

/// The keys by the specifications alone; None if any of them fails.
fn specified<'a, A: Argv + ?Sized>(
    specs: impl Iterator<Item = &'a KeySpec>,
    argv: &A,
) -> Option<Keys> {
    let mut keys = Keys::default();
    for spec in specs {
        let first = match spec.begin {
            Begin::Index(index) => i64::from(index),
            Begin::Keyword(word, from) => match after_keyword(word, from, argv) {
                Some(first) => first,
                // An option that is not given.
                None => continue,
            },
            Begin::Unknown => return None,
        };
        keys.push(run(spec, first, argv)?)?;
        if spec.flags & kflag::INCOMPLETE != 0 {
            return None;
        }
    }
    Some(keys)
}

/// Index of the argument after a keyword. As in Redis a keyword in the last
/// place is none, and neither is one in front of index 2 when searching backwards.
fn after_keyword<A: Argv + ?Sized>(keyword: &str, from: i32, argv: &A) -> Option<i64> {
    let count = argv.count();
    let matches = |index: &usize| argv.word(*index).eq_ignore_ascii_case(keyword.as_bytes());
    let offset = usize::try_from(from.unsigned_abs()).ok()?;
    let found = if from > 0 {
        (offset..count.saturating_sub(1)).find(matches)?
    } else {
        let start = count.checked_sub(offset).filter(|start| *start < count)?;
        (2..=start).rev().find(matches)?
    };
    i64::try_from(found + 1).ok()
}

/// The keys of one specification that begins at argument `first`.
fn run<A: Argv + ?Sized>(spec: &KeySpec, first: i64, argv: &A) -> Option<Run> {
    let count = i64::try_from(argv.count()).ok()?;
    let (first, last, step) = match spec.find {
        Find::Range(last, step, _) if last >= 0 => (first, first + i64::from(last), step),
        Find::Range(last, step, 0) => (first, count + i64::from(last), step),
        Find::Range(last, step, limit) => {
            let share = (count - first) / i64::from(limit);
            (first, first + share + i64::from(last), step)
        }
        Find::KeyNum(count_at, first_at, step) => {
            let word = argv.word(index_in(first + i64::from(count_at), argv)?);
            let keys = strict_integer(word).filter(|keys| *keys >= 0)?;
            let first = first + i64::from(first_at);
            // Redis: cut to 32 bits.
            (first, first + i64::from(keys as i32) - 1, step)
        }
        Find::Unknown => return None,
    };
    if first < 0 || last >= count || last < first || step < 1 {
        return None;
    }
    Some(Run {
        first: usize::try_from(first).ok()?,
        count: usize::try_from((last - first) / i64::from(step) + 1).ok()?,
        step: usize::try_from(step).ok()?,
        flags: spec.flags,
    })
}

/// Redis's second opinion on commands with a count of keys: a count with
/// something behind its digits still counts, but the flags are not known.
fn counted<A: Argv + ?Sized>(specs: &[KeySpec], argv: &A) -> Keys {
    let keys = specs.iter().find_map(|spec| match (spec.begin, spec.find) {
        (Begin::Index(begin), Find::KeyNum(count_at, first_at, 1)) => {
            let word = argv.word(index_in(i64::from(begin + count_at), argv)?);
            let keys = lenient_integer(word);
            let first = index_in(i64::from(begin + first_at), argv)?;
            (1..=argv.count() - first).contains(&keys).then_some(Run {
                first,
                count: keys,
                step: 1,
                flags: 0,
            })
        }
        _ => None,
    });
    let Some(keys) = keys else {
        return Keys::default();
    };
    let keys = Keys::default().with(keys);
    // The destination, if there is one, comes last.
    let destination = specs.iter().find_map(|spec| match (spec.begin, spec.find) {
        (Begin::Index(begin), Find::Range(0, _, _)) => index_in(i64::from(begin), argv),
        _ => None,
    });
    match destination {
        Some(index) => keys.with(Run::single(index, 0)),
        None => keys,
    }
}

fn index_in<A: Argv + ?Sized>(index: i64, argv: &A) -> Option<usize> {
    usize::try_from(index).ok().filter(|i| *i < argv.count())
}

/// An integer in its only notation: no sign but `-`, no leading zero, nothing else.
fn strict_integer(word: &[u8]) -> Option<i64> {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    let canonical = match digits {
        [b'0'] => digits.len() == word.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let text = std::str::from_utf8(word).ok().filter(|_| canonical)?;
    text.parse().ok()
}

/// The number that the word begins with, 0 if none or negative. Redis (atoi):
/// what does not fit 64 bits is cut off there, the rest to 32 bits.
fn lenient_integer(word: &[u8]) -> usize {
    let word = word.trim_ascii_start();
    let (negative, word) = match word {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, word),
    };
    let digits = word.iter().take_while(|byte| byte.is_ascii_digit());
    let number = digits.fold(0i64, |number, digit| {
        let digit = i64::from(digit - b'0');
        let digit = if negative { -digit } else { digit };
        number.saturating_mul(10).saturating_add(digit)
    });
    usize::try_from(number as i32).unwrap_or(0)
}

/// Finds the keys of commands whose specifications cannot tell them all; named in the row.
pub type KeyFinder = fn(&dyn Argv) -> Keys;

/// Any [`Argv`] as a `dyn Argv`.
struct Words<'a, A: ?Sized>(&'a A);

impl<A: Argv + ?Sized> Argv for Words<'_, A> {
    fn count(&self) -> usize {
        self.0.count()
    }

    fn word(&self, index: usize) -> &[u8] {
        self.0.word(index)
    }
}

fn is(argv: &dyn Argv, index: usize, word: &str) -> bool {
    argv.word(index).eq_ignore_ascii_case(word.as_bytes())
}

/// A string that is only replaced, unless the old one is asked for with GET.
pub fn replaced_unless_read(argv: &dyn Argv) -> Keys {
    let reads = (3..argv.count()).any(|index| is(argv, index, "get"));
    if reads {
        Keys::single(1, kflag::RW | kflag::ACCESS | kflag::UPDATE)
    } else {
        Keys::single(1, kflag::OW | kflag::UPDATE)
    }
}

/// A string that is only read if all its operations are GET.
pub fn read_unless_written(argv: &dyn Argv) -> Keys {
    let count = argv.count();
    let mut index = 2;
    let mut writes = false;
    while index < count && !writes {
        let left = count - index - 1;
        if is(argv, index, "get") && left >= 2 {
            index += 3;
        } else if is(argv, index, "overflow") && left >= 1 {
            index += 2;
        } else {
            // A write, or a syntax error that is safer taken for one.
            writes = true;
        }
    }
    if writes {
        Keys::single(1, kflag::RW | kflag::ACCESS | kflag::UPDATE)
    } else {
        Keys::single(1, kflag::RO | kflag::ACCESS)
    }
}

/// The sorted key; those of BY and GET depend on its elements.
pub fn sorted(_argv: &dyn Argv) -> Keys {
    Keys::single(1, kflag::RO | kflag::ACCESS)
}

/// The sorted key and the destination of the last STORE option.
pub fn sorted_and_stored(argv: &dyn Argv) -> Keys {
    let count = argv.count();
    let mut destination = None;
    let mut index = 2;
    while index < count {
        if is(argv, index, "limit") {
            index += 2;
        } else if is(argv, index, "get") || is(argv, index, "by") {
            index += 1;
        } else if is(argv, index, "store") && index + 1 < count {
            // Not skipped: Redis looks at the destination as an option again.
            destination = Some(index + 1);
        }
        index += 1;
    }
    let keys = sorted(argv);
    match destination {
        Some(index) => keys.with(Run::single(index, kflag::OW | kflag::UPDATE)),
        None => keys,
    }
}

/// The key at its usual place, or all arguments after the KEYS option.
pub fn one_or_after_keys(argv: &dyn Argv) -> Keys {
    const FLAGS: u32 = kflag::RW | kflag::ACCESS | kflag::DELETE;
    let count = argv.count();
    let mut index = 6;
    while index < count {
        if is(argv, index, "keys") {
            // With both forms at once the command will report a syntax error.
            let given_twice = !argv.word(3).is_empty();
            let first = index + 1;
            return Keys::default().with(Run {
                first,
                count: if given_twice { 0 } else { count - first },
                step: 1,
                flags: FLAGS,
            });
        }
        if is(argv, index, "auth") {
            index += 1;
        } else if is(argv, index, "auth2") {
            index += 2;
        }
        index += 1;
    }
    Keys::single(3, FLAGS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table::{Command, key_at, keys_after, keys_at, unknown_keys};

    const RO: u32 = kflag::RO | kflag::ACCESS;
    const RW: u32 = kflag::RW | kflag::ACCESS | kflag::UPDATE;
    const OW: u32 = kflag::OW | kflag::UPDATE;
    const COMMANDS: &[Command] = &[
        Command::container("ONE", 2, &[]).keys(&[key_at(RO, 1)]),
        Command::container("PAIRS", -3, &[]).keys(&[keys_at(OW, 1, Find::Range(-1, 2, 0))]),
        Command::container("ALL-BUT-LAST", -3, &[]).keys(&[keys_at(RW, 1, Find::Range(-2, 1, 0))]),
        Command::container("COUNTED", -3, &[])
            .keys(&[key_at(OW, 1), keys_at(RO, 2, Find::KeyNum(0, 1, 1))]),
        Command::container("SCRIPT", -3, &[])
            .flags(flag::NO_MANDATORY_KEYS)
            .keys(&[keys_at(RW, 2, Find::KeyNum(0, 1, 1))]),
        Command::container("STREAMS", -4, &[]).keys(&[keys_after(
            RO,
            "STREAMS",
            1,
            Find::Range(-1, 1, 2),
        )]),
        Command::container("GEO", -4, &[]).keys(&[
            key_at(RO, 1),
            keys_after(OW, "STORE", 3, Find::Range(0, 1, 0)),
        ]),
        Command::container("MOVE-AWAY", -6, &[])
            .keys(&[
                key_at(RW, 3),
                keys_after(RW | kflag::INCOMPLETE, "KEYS", -2, Find::Range(-1, 1, 0)),
            ])
            .key_finder(one_or_after_keys),
        Command::container("ORDER", -2, &[])
            .keys(&[key_at(RO, 1), unknown_keys(RO), unknown_keys(OW)])
            .key_finder(sorted_and_stored),
        Command::container("PUT", -3, &[])
            .keys(&[key_at(RW | kflag::VARIABLE_FLAGS, 1)])
            .key_finder(replaced_unless_read),
        Command::container("BITS", -2, &[])
            .keys(&[key_at(RW | kflag::VARIABLE_FLAGS, 1)])
            .key_finder(read_unless_written),
        Command::container("MERGE", -2, &[])
            .keys(&[key_at(RW, 1), keys_at(RO, 2, Find::Range(-1, 1, 0))]),
        Command::container("CHANNELS", -2, &[]).keys(&[keys_at(
            kflag::NOT_KEY,
            1,
            Find::Range(-1, 1, 0),
        )]),
    ];

    fn check(line: &str, expected: Result<&[(usize, u32)], KeyError>) {
        let registry = Registry::new(&[COMMANDS]).expect("builds");
        let words: Vec<&str> = line
            .split(' ')
            .map(|word| if word == "''" { "" } else { word })
            .collect();
        let got = getkeys(&registry, &words[..]).map(|keys| {
            let pairs = keys.iter().map(|key| (key.index, key.flags));
            pairs.collect::<Vec<_>>()
        });
        assert_eq!(got.as_deref().map_err(|error| *error), expected, "{line}");
    }

    #[test]
    fn ranges() {
        check("one k", Ok(&[(1, RO)]));
        check("one k l", Err(KeyError::Arity));
        check("none k", Err(KeyError::UnknownCommand));
        check("pairs a 1 b 2", Ok(&[(1, OW), (3, OW)]));
        check("pairs a 1 b", Ok(&[(1, OW), (3, OW)]));
        check("all-but-last a b 0", Ok(&[(1, RW), (2, RW)]));
        check("channels a", Err(KeyError::NoKeys));
    }

    #[test]
    fn counts() {
        check("counted d 2 a b x", Ok(&[(1, OW), (3, RO), (4, RO)]));
        for line in [
            "counted d 3 a b",
            "counted d 0 a",
            "counted d -1 a",
            "counted d x a",
            "counted d 99999999999999999999 a",
            "counted d 9223372036854775807 a",
            "counted d 2",
        ] {
            check(line, Err(KeyError::Invalid));
        }
        check("counted d 2x a b", Ok(&[(3, 0), (4, 0), (1, 0)]));
        // As a 32-bit integer it is 1.
        check("counted d -9223372036854775807 a", Ok(&[(3, 0), (1, 0)]));
        check("counted d 4294967297 a", Ok(&[(1, OW), (3, RO)]));
        check("script s 0", Ok(&[]));
        check("script s 5 a", Ok(&[]));
        check("script s 1 a b", Ok(&[(3, RW)]));
    }

    #[test]
    fn lists_that_may_be_empty() {
        let registry = Registry::new(&[COMMANDS]).expect("builds");
        let in_use = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            let entry = &registry[registry.find(words[0].as_bytes()).expect("there")];
            let keys = keys_in_use(entry, &words[..]);
            keys.iter().map(|key| key.index).collect::<Vec<_>>()
        };
        assert_eq!(in_use("merge d"), [1]);
        assert_eq!(in_use("merge d a b"), [1, 2, 3]);
        assert_eq!(in_use("counted d x a"), [0; 0]);
        check("merge d", Err(KeyError::Invalid));
    }

    #[test]
    fn keywords() {
        check("streams count 1 streams a b 0 0", Ok(&[(4, RO), (5, RO)]));
        check("streams block 1 streams", Err(KeyError::Invalid));
        check("streams block 1 STREAMS a", Err(KeyError::Invalid));
        check("geo k 0 0 store d", Ok(&[(1, RO), (5, OW)]));
        check("geo k store 0 x", Ok(&[(1, RO)]));
        check("geo k 0 0 store", Ok(&[(1, RO)]));
    }

    #[test]
    fn finders() {
        const MOVED: u32 = kflag::RW | kflag::ACCESS | kflag::DELETE;
        // Without KEYS the specification is enough.
        check("move-away h p k 0 9", Ok(&[(3, RW)]));
        check(
            "move-away h p '' 0 9 auth keys KEYS a b",
            Ok(&[(9, MOVED), (10, MOVED)]),
        );
        check("move-away h p k 0 9 keys a", Err(KeyError::Invalid));
        check(
            "order k by store get x store a store b",
            Ok(&[(1, RO), (9, OW)]),
        );
        check("order k limit store d", Ok(&[(1, RO)]));
        check("order k store", Ok(&[(1, RO)]));
        check("put k v", Ok(&[(1, OW)]));
        check("put k v ex 1 GET", Ok(&[(1, RW)]));
        check("put k get", Ok(&[(1, OW)]));
        check("bits k get u8 0 overflow sat", Ok(&[(1, RO)]));
        check("bits k get u8 0 set u8 0 1", Ok(&[(1, RW)]));
        check("bits k get u8", Ok(&[(1, RW)]));
    }

    #[test]
    fn shard_channels_count_as_keys_for_the_cluster() {
        let registry = Registry::new(&[COMMANDS]).expect("builds");
        let channels = &registry[registry.find(b"channels").expect("there")];
        let words: &[&str] = &["channels", "a", "b"];
        assert!(keys(channels, words).is_empty());
        let found: Vec<usize> = keys_and_channels(channels, words)
            .iter()
            .map(|key| key.index)
            .collect();
        assert_eq!(found, [1, 2]);
    }

    #[test]
    fn integers() {
        for (word, strict, lenient) in [
            ("0", Some(0), 0),
            ("12", Some(12), 12),
            ("-1", Some(-1), 0),
            ("-0", None, 0),
            ("01", None, 1),
            ("+1", None, 1),
            (" 1", None, 1),
            ("1a", None, 1),
            ("", None, 0),
            ("-", None, 0),
        ] {
            assert_eq!(strict_integer(word.as_bytes()), strict, "{word:?}");
            assert_eq!(lenient_integer(word.as_bytes()), lenient, "{word:?}");
        }
    }
}
