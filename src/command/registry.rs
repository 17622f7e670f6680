//! The server's list of commands: name to row, built once at start.
//!
//! All commands and subcommands stand in one flat list, numbered by
//! [`CommandId`], so statistics, ACL bitmaps and the like are plain arrays
//! beside it. A container's subcommands are neighbours. What the rows only
//! imply (movable keys, categories, the legacy key range) is worked out here
//! once, see [`Entry`].
//!
//! `rename-command` changes how clients reach a command, never what it is:
//! the flat list and the original names stay, since ACL rules, the AOF and
//! replication speak of commands by their original names.

use std::fmt;
use std::ops::{Index, Range};

use super::implied::{self, LegacyRange};
use super::keyspec::Argv;
use super::table::{Command, flag};

/// Number of a command or subcommand in the [`Registry`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CommandId(u16);

impl CommandId {
    /// Position in arrays of [`Registry::len`] elements.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A command in the registry, with what follows from its row.
pub struct Entry {
    /// The row.
    pub command: &'static Command,
    /// Its own number.
    pub id: CommandId,
    /// The container, for a subcommand.
    pub parent: Option<CommandId>,
    /// The row's flags, and `MOVABLE_KEYS` where it applies.
    pub flags: u32,
    /// The row's ACL categories and those that its flags imply.
    pub categories: u32,
    /// First key, last key and step, as COMMAND INFO has given them since 2.8.13.
    pub legacy_keys: LegacyRange,
    full_name: Box<str>,
    subcommands: Range<u16>,
    reachable: bool,
}

impl Entry {
    /// Lower-case name, with the container's for a subcommand: `config|get`.
    /// The original one, whatever `rename-command` did.
    pub fn full_name(&self) -> &str {
        &self.full_name
    }

    /// Whether the command has subcommands.
    pub fn has_subcommands(&self) -> bool {
        !self.subcommands.is_empty()
    }

    /// Whether all of these `flag::*` bits are set.
    pub fn has(&self, flags: u32) -> bool {
        self.flags & flags == flags
    }

    /// Whether `count` arguments, names included, are as many as the command takes.
    pub fn accepts(&self, count: usize) -> bool {
        let bound = usize::from(self.command.arity.unsigned_abs());
        if self.command.arity < 0 {
            count >= bound
        } else {
            count == bound
        }
    }
}

/// What a command line names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// This command or subcommand.
    Found(CommandId),
    /// Nothing that exists.
    UnknownCommand,
    /// A container, but none of its subcommands.
    UnknownSubcommand(CommandId),
}

/// Why a registry could not be built or a command not be renamed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RegistryError {
    /// The table has two rows of this name.
    Duplicate(String),
    /// More rows than a [`CommandId`] can number.
    TooMany,
    /// `rename-command` of a command that is not there (any more).
    NoSuchCommand,
    /// `rename-command` to a name that is taken.
    NameTaken,
}

impl fmt::Display for RegistryError {
    /// The `rename-command` texts are those of a fatal configuration error.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegistryError::Duplicate(name) => write!(f, "command '{name}' is declared twice"),
            RegistryError::TooMany => f.write_str("too many commands"),
            RegistryError::NoSuchCommand => f.write_str("No such command in rename-command"),
            RegistryError::NameTaken => f.write_str("Target command name already exists"),
        }
    }
}

impl std::error::Error for RegistryError {}

/// All commands of a server.
pub struct Registry {
    entries: Vec<Entry>,
    /// Commands that are not subcommands; they come first in `entries`.
    top: u16,
    /// Names in use: those of the rows until something is renamed.
    current: Names,
    /// Names of the rows, kept apart once something is renamed.
    original: Option<Names>,
}

impl Registry {
    /// Builds the registry from the tables of the command families.
    ///
    /// # Errors
    /// Two rows of one name, or more than 65535 rows.
    pub fn new(families: &[&'static [Command]]) -> Result<Registry, RegistryError> {
        let rows = || families.iter().flat_map(|family| family.iter());
        let total: usize = rows().map(|row| 1 + row.subcommands.len()).sum();
        let total = u16::try_from(total).map_err(|_| RegistryError::TooMany)?;

        let mut entries: Vec<Entry> = Vec::with_capacity(usize::from(total));
        for row in rows() {
            entries.push(Entry::new(row, id_of(entries.len())?, None));
        }
        let top = id_of(entries.len())?.0;
        for parent in 0..usize::from(top) {
            let first = id_of(entries.len())?.0;
            for row in entries[parent].command.subcommands {
                let id = id_of(entries.len())?;
                entries.push(Entry::new(row, id, Some(&entries[parent])));
            }
            entries[parent].subcommands = first..id_of(entries.len())?.0;
        }

        let mut current = Names::with_capacity(entries.len());
        for entry in &entries {
            let name = entry.command.name.as_bytes();
            if !current.insert(entry.parent, name, entry.id) {
                return Err(RegistryError::Duplicate(entry.full_name.to_string()));
            }
        }
        Ok(Registry {
            entries,
            top,
            current,
            original: None,
        })
    }

    /// `rename-command from to`; an empty `to` removes the command.
    ///
    /// Call it in the order of the configuration file, before serving: a
    /// command renamed twice is renamed from its new name.
    ///
    /// # Errors
    /// No command `from`, or `to` is the name of another one.
    pub fn rename(&mut self, from: &[u8], to: &[u8]) -> Result<(), RegistryError> {
        let id = self.find(from).ok_or(RegistryError::NoSuchCommand)?;
        let mut renamed = Names::with_capacity(self.entries.len());
        for (parent, name, other) in self.current.iter().filter(|(_, _, other)| *other != id) {
            renamed.insert(parent, name, other);
        }
        if !to.is_empty() && !renamed.insert(None, to, id) {
            return Err(RegistryError::NameTaken);
        }
        self.entries[id.index()].reachable = !to.is_empty();
        let replaced = std::mem::replace(&mut self.current, renamed);
        self.original.get_or_insert(replaced);
        Ok(())
    }

    /// The command (not subcommand) that clients reach by this name in any case.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<CommandId> {
        self.current.get(None, name)
    }

    /// The subcommand of this name in any case.
    #[inline]
    pub fn find_subcommand(&self, container: CommandId, name: &[u8]) -> Option<CommandId> {
        self.current.get(Some(container), name)
    }

    /// The command that a client's words call.
    #[inline]
    pub fn resolve<A: Argv + ?Sized>(&self, argv: &A) -> Lookup {
        let Some(id) = (argv.count() > 0).then(|| self.find(argv.word(0))) else {
            return Lookup::UnknownCommand;
        };
        match id {
            None => Lookup::UnknownCommand,
            // A container alone is itself: its arity, or its own handler, says the rest.
            Some(id) if self[id].has_subcommands() && argv.count() > 1 => self
                .find_subcommand(id, argv.word(1))
                .map_or(Lookup::UnknownSubcommand(id), Lookup::Found),
            Some(id) => Lookup::Found(id),
        }
    }

    /// As [`Registry::resolve`], quicker for the command that was called last.
    #[inline]
    pub fn resolve_again<A: Argv + ?Sized>(&self, argv: &A, last: &mut LastCall) -> Lookup {
        let spelling = (argv.count() > 0)
            .then(|| Key::spelling(argv.word(0)))
            .flatten();
        if let Some(spelling) = spelling
            && spelling == last.spelling
        {
            return Lookup::Found(last.id);
        }
        let lookup = self.resolve(argv);
        if let (Lookup::Found(id), Some(spelling)) = (lookup, spelling)
            && argv.word(0).len() <= PACKED_LEN_MAX
            && !self[id].has_subcommands()
            && self[id].parent.is_none()
        {
            *last = LastCall { spelling, id };
        }
        lookup
    }

    /// The command or subcommand written as `get` or `config|get`, by the names in use.
    pub fn find_full(&self, name: &[u8]) -> Option<CommandId> {
        self.current.get_full(name)
    }

    /// As [`find_full`](Registry::find_full), by the original names, as ACL rules are written.
    pub fn find_full_original(&self, name: &[u8]) -> Option<CommandId> {
        self.original
            .as_ref()
            .unwrap_or(&self.current)
            .get_full(name)
    }

    /// The command of this name in use or, failing that, originally: what the
    /// server itself runs (AOF, replication) must not depend on renames.
    pub fn find_or_original(&self, name: &[u8]) -> Option<CommandId> {
        let original = || self.original.as_ref()?.get(None, name);
        self.find(name).or_else(original)
    }

    /// Number of all commands and subcommands, removed ones too: the length of
    /// arrays indexed by [`CommandId::index`].
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no command at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The commands that clients can reach, without subcommands, in table order.
    pub fn commands(&self) -> impl Iterator<Item = &Entry> {
        self.entries[..usize::from(self.top)]
            .iter()
            .filter(|entry| entry.reachable)
    }

    /// The subcommands of a container, in table order; none for others.
    pub fn subcommands(&self, id: CommandId) -> &[Entry] {
        let Range { start, end } = self[id].subcommands;
        &self.entries[usize::from(start)..usize::from(end)]
    }

    /// Every command and subcommand, removed ones too, in the order of their numbers.
    pub fn all(&self) -> &[Entry] {
        &self.entries
    }
}

impl Index<CommandId> for Registry {
    type Output = Entry;

    #[inline]
    fn index(&self, id: CommandId) -> &Entry {
        &self.entries[id.index()]
    }
}

impl Entry {
    fn new(command: &'static Command, id: CommandId, parent: Option<&Entry>) -> Entry {
        let name = command.name.to_ascii_lowercase();
        let (legacy_keys, movable) = implied::legacy_range(command.keys);
        Entry {
            command,
            id,
            parent: parent.map(|container| container.id),
            flags: command.flags | if movable { flag::MOVABLE_KEYS } else { 0 },
            categories: implied::categories(command),
            legacy_keys,
            full_name: match parent {
                Some(container) => format!("{}|{name}", container.full_name).into(),
                None => name.into(),
            },
            subcommands: 0..0,
            reachable: true,
        }
    }
}

fn id_of(index: usize) -> Result<CommandId, RegistryError> {
    u16::try_from(index)
        .map(CommandId)
        .map_err(|_| RegistryError::TooMany)
}

/// A command without subcommands and the spelling that it was called by: most
/// calls are of the command of the call before.
pub struct LastCall {
    spelling: Key,
    id: CommandId,
}

impl Default for LastCall {
    /// No call: its spelling is that of no name.
    fn default() -> LastCall {
        LastCall {
            spelling: FREE.key,
            id: FREE.id,
        }
    }
}

/// Names to numbers: open addressing, one cache line per lookup as a rule.
///
/// A slot holds the name's first and last bytes and its length, in lower case.
/// Up to 16 bytes that is the whole name; longer ones are compared in full.
struct Names {
    slots: Box<[Slot]>,
    /// Lower-case names beside the slots, for long names and for renames.
    names: Box<[Box<[u8]>]>,
}

#[derive(Clone, Copy)]
struct Slot {
    key: Key,
    id: CommandId,
}

#[derive(Clone, Copy)]
struct Key {
    head: u64,
    tail: u64,
    /// Length of the name; above it the container's number + 1 for subcommands.
    len_and_scope: u64,
}

/// No name is empty, so an empty key marks a free slot.
const FREE: Slot = Slot {
    key: Key {
        head: 0,
        tail: 0,
        len_and_scope: 0,
    },
    id: CommandId(0),
};

/// Names up to this length are told apart by their [`Key`] alone.
const PACKED_LEN_MAX: usize = 16;

impl Names {
    /// With room for this many names at a load of a half at most.
    fn with_capacity(count: usize) -> Names {
        let size = (count * 2).next_power_of_two().max(8);
        Names {
            slots: vec![FREE; size].into(),
            names: vec![Box::default(); size].into(),
        }
    }

    #[inline]
    fn get(&self, parent: Option<CommandId>, name: &[u8]) -> Option<CommandId> {
        let key = Key::of(parent, name)?;
        let mask = self.slots.len() - 1;
        let mut at = key.hash() & mask;
        // Ends at a free slot: at least half of them are.
        loop {
            let slot = &self.slots[at];
            if slot.key == key
                && (name.len() <= PACKED_LEN_MAX || self.names[at].eq_ignore_ascii_case(name))
            {
                return Some(slot.id);
            }
            if slot.key == FREE.key {
                return None;
            }
            at = (at + 1) & mask;
        }
    }

    fn get_full(&self, name: &[u8]) -> Option<CommandId> {
        match name.iter().position(|byte| *byte == b'|') {
            None => self.get(None, name),
            Some(bar) => {
                let container = self.get(None, &name[..bar])?;
                self.get(Some(container), &name[bar + 1..])
            }
        }
    }

    /// False if the name is taken (or empty).
    fn insert(&mut self, parent: Option<CommandId>, name: &[u8], id: CommandId) -> bool {
        let Some(key) = Key::of(parent, name) else {
            return false;
        };
        if self.get(parent, name).is_some() {
            return false;
        }
        let mask = self.slots.len() - 1;
        let mut at = key.hash() & mask;
        while self.slots[at].key != FREE.key {
            at = (at + 1) & mask;
        }
        self.slots[at] = Slot { key, id };
        self.names[at] = name.to_ascii_lowercase().into();
        true
    }

    fn iter(&self) -> impl Iterator<Item = (Option<CommandId>, &[u8], CommandId)> {
        let used = |at: &usize| self.slots[*at].key != FREE.key;
        let name = |at: usize| {
            let Slot { key, id } = self.slots[at];
            (key.parent(), &*self.names[at], id)
        };
        (0..self.slots.len()).filter(used).map(name)
    }
}

impl Key {
    /// None for an empty name and one longer than any name can be.
    #[inline]
    fn of(parent: Option<CommandId>, name: &[u8]) -> Option<Key> {
        let spelling = Key::spelling(name)?;
        let scope = parent.map_or(0, |id| u64::from(id.0) + 1);
        Some(Key {
            head: lower_case(spelling.head),
            tail: lower_case(spelling.tail),
            len_and_scope: spelling.len_and_scope | scope << Key::SCOPE_SHIFT,
        })
    }

    /// The same of a command in the case in which the name is written.
    #[inline]
    fn spelling(name: &[u8]) -> Option<Key> {
        let len = u64::from(u32::try_from(name.len()).ok()?);
        // The two reads overlap where the name is shorter than both; together
        // with the length they still determine it.
        let (head, tail) = if let (Some(head), Some(tail)) =
            (name.first_chunk::<8>(), name.last_chunk::<8>())
        {
            (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
        } else if let (Some(head), Some(tail)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            let (head, tail) = (u32::from_le_bytes(*head), u32::from_le_bytes(*tail));
            (u64::from(head) | u64::from(tail) << 32, 0)
        } else {
            let (first, last) = (*name.first()?, *name.last()?);
            let packed = [first, name[name.len() / 2], last, 0];
            (u64::from(u32::from_le_bytes(packed)), 0)
        };
        Some(Key {
            head,
            tail,
            len_and_scope: len,
        })
    }

    const SCOPE_SHIFT: u32 = 32;

    #[inline]
    fn hash(self) -> usize {
        const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed = self.head ^ self.tail.rotate_left(23) ^ self.len_and_scope.rotate_left(48);
        (mixed.wrapping_mul(MULTIPLIER) >> 40) as usize
    }

    fn parent(self) -> Option<CommandId> {
        let scope = (self.len_and_scope >> Key::SCOPE_SHIFT).checked_sub(1)?;
        u16::try_from(scope).ok().map(CommandId)
    }
}

impl PartialEq for Key {
    /// One branch instead of three.
    #[inline]
    fn eq(&self, other: &Key) -> bool {
        let differences = (self.head ^ other.head)
            | (self.tail ^ other.tail)
            | (self.len_and_scope ^ other.len_and_scope);
        differences == 0
    }
}

/// Lower case of eight ASCII letters at once; other bytes stay.
#[inline]
fn lower_case(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let low = word & (0x7f * ONES);
    // The high bit of each byte says: at least 'A'; greater than 'Z'.
    let from_a = low + (0x80 - b'A' as u64) * ONES;
    let past_z = low + (0x7f - b'Z' as u64) * ONES;
    let upper = (from_a & !past_z) & !word & (0x80 * ONES);
    word | upper >> 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBS: &[Command] = &[
        Command::container("GET", -3, &[]),
        Command::container("COUNT-FAILURE-REPORTS", -3, &[]),
    ];
    const ONE: &[Command] = &[
        Command::container("GET", 2, &[]),
        Command::container("SET", -3, &[]),
        Command::container("ZREMRANGEBYSCORE", 4, &[]),
        Command::container("GEORADIUSBYMEMBER_RO", -5, &[]),
    ];
    const TWO: &[Command] = &[
        Command::container("CONFIG", -2, SUBS),
        Command::container("CLIENT", -2, SUBS),
    ];

    fn registry() -> Registry {
        Registry::new(&[ONE, TWO]).expect("builds")
    }

    fn name(registry: &Registry, found: Option<CommandId>) -> &str {
        found.map_or("-", |id| registry[id].full_name())
    }

    #[test]
    fn finds_names_in_any_case() {
        let registry = registry();
        for (given, expected) in [
            ("get", "get"),
            ("GET", "get"),
            ("gEt", "get"),
            ("g", "-"),
            ("", "-"),
            ("gget", "-"),
            ("get\0", "-"),
            ("ge\u{1}", "-"),
            ("zremrangebyscore", "zremrangebyscore"),
            ("ZREMRANGEBYSCORe", "zremrangebyscore"),
            ("georadiusbymember_ro", "georadiusbymember_ro"),
            ("GEORADIUSBYMEMBER_RO", "georadiusbymember_ro"),
            // Same length, head and tail.
            ("GEORADIUxxMEMBER_RO", "-"),
            ("GEORADIUSBxxEMBER_RO", "-"),
            ("count-failure-reports", "-"),
        ] {
            assert_eq!(
                name(&registry, registry.find(given.as_bytes())),
                expected,
                "{given:?}"
            );
        }
    }

    #[test]
    fn lower_case_changes_letters_only() {
        for byte in 0..=255u8 {
            let word = u64::from_le_bytes([byte, 0xff, b'@', b'[', byte, b'Z', b'A', 0x80]);
            let expected = u64::from_le_bytes(word.to_le_bytes().map(|b| b.to_ascii_lowercase()));
            assert_eq!(lower_case(word), expected, "{byte}");
        }
    }

    #[test]
    fn subcommands_are_scoped() {
        let registry = registry();
        for (given, expected) in [
            ("config|get", "config|get"),
            ("CLIENT|GET", "client|get"),
            (
                "client|count-failure-reports",
                "client|count-failure-reports",
            ),
            ("client|", "-"),
            ("client|set", "-"),
            ("get|get", "-"),
            ("|get", "-"),
            ("config", "config"),
        ] {
            assert_eq!(
                name(&registry, registry.find_full(given.as_bytes())),
                expected
            );
        }
        let client = registry.find(b"client").expect("there");
        let names: Vec<&str> = registry
            .subcommands(client)
            .iter()
            .map(Entry::full_name)
            .collect();
        assert_eq!(names, ["client|get", "client|count-failure-reports"]);
        let get = registry.find(b"get").expect("there");
        assert!(registry.subcommands(get).is_empty());
        assert_eq!(registry.len(), 10);
    }

    #[test]
    fn resolves_command_lines() {
        let registry = registry();
        let resolve = |words: &[&str]| match registry.resolve(words) {
            Lookup::Found(id) => registry[id].full_name().to_owned(),
            Lookup::UnknownCommand => "unknown".to_owned(),
            Lookup::UnknownSubcommand(id) => format!("unknown of {}", registry[id].full_name()),
        };
        assert_eq!(resolve(&["Get", "key"]), "get");
        assert_eq!(resolve(&["config"]), "config");
        assert_eq!(resolve(&["config", "GET", "x"]), "config|get");
        assert_eq!(resolve(&["config", "gat", "x"]), "unknown of config");
        assert_eq!(resolve(&["gat"]), "unknown");
        assert_eq!(resolve(&[]), "unknown");
    }

    #[test]
    fn renames_and_removes() {
        let mut registry = registry();
        let set = registry.find(b"set").expect("there");
        let config = registry.find(b"config").expect("there");

        registry
            .rename(b"SET", b"put-and-a-very-long-secret-word")
            .expect("free");
        assert_eq!(registry.find(b"set"), None);
        assert_eq!(registry.find(b"PUT-and-a-very-long-secret-word"), Some(set));
        assert_eq!(registry.find_or_original(b"set"), Some(set));
        assert_eq!(registry.find_full_original(b"set"), Some(set));
        assert_eq!(registry[set].full_name(), "set");

        // Subcommands stay with their renamed container.
        registry.rename(b"config", b"conf").expect("free");
        let get = registry.find_subcommand(config, b"get");
        assert_eq!(registry.find_full(b"conf|get"), get);
        assert_eq!(registry.find_full(b"config|get"), None);
        assert_eq!(registry.find_full_original(b"config|get"), get);

        registry.rename(b"conf", b"").expect("there");
        assert_eq!(registry.find(b"conf"), None);
        assert_eq!(registry.find_or_original(b"config"), Some(config));
        assert_eq!(registry.commands().count(), 5);
        assert_eq!(registry.len(), 10);

        assert_eq!(
            registry.rename(b"config", b"x"),
            Err(RegistryError::NoSuchCommand)
        );
        assert_eq!(
            registry.rename(b"get", b"CLIENT"),
            Err(RegistryError::NameTaken)
        );
        assert!(registry.find(b"get").is_some());
        // A name that became free can be given to another command.
        registry.rename(b"get", b"set").expect("free");
        assert_eq!(name(&registry, registry.find(b"set")), "get");
    }

    #[test]
    fn refuses_two_rows_of_one_name() {
        let error = Registry::new(&[ONE, ONE]).err();
        assert_eq!(error, Some(RegistryError::Duplicate("get".to_owned())));
    }

    #[test]
    fn arity_counts_the_names() {
        let registry = registry();
        let entry = |name: &str| &registry[registry.find(name.as_bytes()).expect("there")];
        assert!(entry("get").accepts(2) && !entry("get").accepts(3));
        assert!(entry("set").accepts(3) && entry("set").accepts(9) && !entry("set").accepts(2));
    }
}
