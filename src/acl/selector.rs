//! What a user may do: commands, keys, channels. Rules add to it and take
//! from it in the order in which they are given.

use std::collections::BTreeMap;

use super::pattern::Pattern;
use super::rule::{RuleError, has_blanks, word};
use super::{Catalog, Terms};
use crate::util::args;

/// What is done to a key: bits.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Access(u8);

impl Access {
    /// Neither its value is read nor is it changed (EXISTS, TYPE).
    pub const NONE: Access = Access(0);
    /// Its value is read.
    pub const READ: Access = Access(1);
    /// It is changed.
    pub const WRITE: Access = Access(2);
    /// Both.
    pub const BOTH: Access = Access(3);

    /// Both together.
    pub const fn and(self, other: Access) -> Access {
        Access(self.0 | other.0)
    }

    /// Whether all of `other` is in it.
    #[inline]
    pub const fn covers(self, other: Access) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A set of commands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct CommandSet(Box<[u64]>);

impl CommandSet {
    pub(super) fn none(catalog: &dyn Catalog) -> CommandSet {
        CommandSet(vec![0; catalog.count().div_ceil(64)].into())
    }

    #[inline]
    pub(super) fn has(&self, command: usize) -> bool {
        let word = self.0.get(command / 64).copied().unwrap_or(0);
        word >> (command % 64) & 1 != 0
    }

    pub(super) fn set(&mut self, command: usize, on: bool) {
        if let Some(word) = self.0.get_mut(command / 64) {
            let bit = 1 << (command % 64);
            *word = if on { *word | bit } else { *word & !bit };
        }
    }

    fn fill(&mut self, on: bool) {
        self.0.fill(if on { u64::MAX } else { 0 });
    }

    /// How many of `of` are in it.
    pub(super) fn count_of(&self, of: &CommandSet) -> u32 {
        let words = self.0.iter().zip(&of.0);
        words.map(|(own, of)| (own & of).count_ones()).sum()
    }

    pub(super) fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}

/// A pattern of keys and what may be done to them.
#[derive(Clone, Debug)]
pub(super) struct KeyRule {
    pub(super) access: Access,
    pub(super) pattern: Pattern,
}

/// Permissions that hold together: a call is allowed when one selector of the
/// user allows all of it.
#[derive(Clone, Debug)]
pub struct Selector {
    pub(super) commands: CommandSet,
    /// All commands are allowed, and none was taken out.
    all_commands: bool,
    /// Began with all commands: those of the future are allowed too.
    pub(super) future_commands: bool,
    /// Commands that are allowed with these first arguments only.
    pub(super) first_args: BTreeMap<usize, Vec<Box<[u8]>>>,
    pub(super) all_keys: bool,
    pub(super) keys: Vec<KeyRule>,
    pub(super) all_channels: bool,
    pub(super) channels: Vec<Pattern>,
}

impl Selector {
    /// One that allows nothing (but channels, as `acl-pubsub-default` says).
    pub(super) fn new(terms: &Terms<'_>) -> Selector {
        Selector {
            commands: CommandSet::none(terms.catalog),
            all_commands: false,
            future_commands: false,
            first_args: BTreeMap::new(),
            all_keys: false,
            keys: Vec::new(),
            all_channels: terms.all_channels,
            channels: Vec::new(),
        }
    }

    /// One from the rules between parentheses, which `text` includes.
    pub(super) fn parse(terms: &Terms<'_>, text: &[u8]) -> Result<Selector, RuleError> {
        let inside = &text[1..text.len() - 1];
        let mut selector = Selector::new(terms);
        // Redis: where quotes do not match, there is nothing.
        for rule in args::split(inside).unwrap_or_default() {
            selector.apply(terms, &rule)?;
        }
        Ok(selector)
    }

    /// Whether there is nothing that it does not allow.
    pub(super) fn is_unrestricted(&self) -> bool {
        self.all_commands && self.all_keys && self.all_channels
    }

    /// Whether it allows a command, where `first_arg` is the argument after
    /// the command's name.
    #[inline]
    pub fn allows_command(&self, command: usize, first_arg: Option<&[u8]>) -> bool {
        self.all_commands
            || self.commands.has(command)
            || (!self.first_args.is_empty() && self.allows_first_arg(command, first_arg))
    }

    fn allows_first_arg(&self, command: usize, first_arg: Option<&[u8]>) -> bool {
        let known = self.first_args.get(&command).into_iter().flatten();
        first_arg.is_some_and(|arg| {
            known
                .into_iter()
                .any(|known| known.eq_ignore_ascii_case(arg))
        })
    }

    /// Whether all keys are allowed, whatever is done to them.
    #[inline]
    pub fn allows_all_keys(&self) -> bool {
        self.all_keys
    }

    /// Whether something may be done to a key.
    #[inline]
    pub fn allows_key(&self, key: &[u8], access: Access) -> bool {
        let allows = |rule: &KeyRule| rule.access.covers(access) && rule.pattern.matches(key);
        self.all_keys || self.keys.iter().any(allows)
    }

    /// Whether something may be done to all keys.
    pub fn allows_any_key(&self, access: Access) -> bool {
        let allows = |rule: &KeyRule| rule.access.covers(access) && rule.pattern.text() == b"*";
        self.all_keys || self.keys.iter().any(allows)
    }

    /// Whether all channels are allowed.
    #[inline]
    pub fn allows_all_channels(&self) -> bool {
        self.all_channels
    }

    /// Whether a channel may be used.
    #[inline]
    pub fn allows_channel(&self, channel: &[u8]) -> bool {
        self.all_channels || self.channels.iter().any(|pattern| pattern.matches(channel))
    }

    /// Whether a pattern of channels may be subscribed to: only one that is
    /// allowed as it stands.
    pub fn allows_channel_pattern(&self, pattern: &[u8]) -> bool {
        self.all_channels || self.channels.iter().any(|known| known.text() == pattern)
    }

    /// Applies one rule.
    pub(super) fn apply(&mut self, terms: &Terms<'_>, rule: &[u8]) -> Result<(), RuleError> {
        let name = word(rule);
        match name.to_ascii_lowercase().as_slice() {
            b"allkeys" | b"~*" => self.set_all_keys(true),
            b"resetkeys" => self.set_all_keys(false),
            b"allchannels" | b"&*" => self.set_all_channels(true),
            b"resetchannels" => self.set_all_channels(false),
            b"allcommands" | b"+@all" => self.set_all_commands(true),
            b"nocommands" | b"-@all" => self.set_all_commands(false),
            _ => match name {
                [b'~' | b'%', ..] => self.add_key_pattern(rule)?,
                [b'&', ..] => self.add_channel_pattern(&rule[1..])?,
                [sign @ (b'+' | b'-'), b'@', category @ ..] => {
                    let category = terms.category(category).ok_or(RuleError::Unknown)?;
                    self.set_category(terms.catalog, category, *sign == b'+');
                }
                [b'+', command @ ..] => self.allow_command(terms.catalog, command)?,
                [b'-', command @ ..] => {
                    let command = terms.catalog.find(command).ok_or(RuleError::Unknown)?;
                    self.set_command(terms.catalog, command, false);
                }
                _ => return Err(RuleError::Syntax),
            },
        }
        Ok(())
    }

    fn set_all_keys(&mut self, all: bool) {
        self.all_keys = all;
        self.keys.clear();
    }

    pub(super) fn set_all_channels(&mut self, all: bool) {
        self.all_channels = all;
        self.channels.clear();
    }

    pub(super) fn set_all_commands(&mut self, all: bool) {
        self.commands.fill(all);
        self.all_commands = all;
        self.future_commands = all;
        self.first_args.clear();
    }

    /// `~pattern`, or `%R~pattern`, `%W~pattern`, `%RW~pattern`.
    fn add_key_pattern(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::AllKeysAlready);
        }
        let (access, pattern) = match rule {
            [b'~', pattern @ ..] => (Access::BOTH, pattern),
            _ => key_access(&rule[1..])?,
        };
        if has_blanks(pattern) {
            return Err(RuleError::Syntax);
        }
        let known = |rule: &&mut KeyRule| rule.pattern.text() == pattern;
        match self.keys.iter_mut().find(known) {
            Some(rule) => rule.access = rule.access.and(access),
            None => self.keys.push(KeyRule {
                access,
                pattern: Pattern::new(pattern),
            }),
        }
        Ok(())
    }

    fn add_channel_pattern(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::AllChannelsAlready);
        }
        if has_blanks(pattern) {
            return Err(RuleError::Syntax);
        }
        if !self.channels.iter().any(|known| known.text() == pattern) {
            self.channels.push(Pattern::new(pattern));
        }
        Ok(())
    }

    /// `+command`, `+command|subcommand` or `+command|argument`.
    fn allow_command(&mut self, catalog: &dyn Catalog, name: &[u8]) -> Result<(), RuleError> {
        let Some(bar) = name.iter().rposition(|byte| *byte == b'|') else {
            let command = catalog.find(name).ok_or(RuleError::Unknown)?;
            self.set_command(catalog, command, true);
            return Ok(());
        };
        let command = catalog.find(&name[..bar]).ok_or(RuleError::Unknown)?;
        if catalog.container(command).is_some() {
            return Err(RuleError::ArgumentOfSubcommand);
        }
        let arg = &name[bar + 1..];
        if arg.is_empty() {
            return Err(RuleError::Syntax);
        }
        if !catalog.subcommands(command).is_empty() {
            let subcommand = catalog.find(name).ok_or(RuleError::Unknown)?;
            self.set_command(catalog, subcommand, true);
            return Ok(());
        }
        tracing::warn!(
            "Deprecation warning: Allowing a first arg of an otherwise blocked command is a \
             misuse of ACL and may get disabled in the future (offender: +{})",
            String::from_utf8_lossy(name)
        );
        let args = self.first_args.entry(command).or_default();
        if !args.iter().any(|known| known.eq_ignore_ascii_case(arg)) {
            args.push(arg.into());
        }
        Ok(())
    }

    /// Allows or takes out a command and its subcommands.
    pub(super) fn set_command(&mut self, catalog: &dyn Catalog, command: usize, on: bool) {
        self.first_args.remove(&command);
        for command in std::iter::once(command).chain(catalog.subcommands(command)) {
            self.commands.set(command, on);
        }
        self.all_commands &= on;
    }

    /// The same for all commands of a category.
    pub(super) fn set_category(&mut self, catalog: &dyn Catalog, category: u32, on: bool) {
        for command in 0..catalog.count() {
            if catalog.categories(command) & category != 0 {
                self.set_command(catalog, command, on);
            }
        }
    }
}

/// The letters between `%` and `~`, and the pattern after them.
fn key_access(letters: &[u8]) -> Result<(Access, &[u8]), RuleError> {
    let mut access = Access::NONE;
    // Redis: without a `~` the pattern is empty.
    let mut pattern = &letters[letters.len()..];
    for (index, letter) in letters.iter().enumerate() {
        let added = match letter.to_ascii_uppercase() {
            b'R' => Access::READ,
            b'W' => Access::WRITE,
            b'~' => {
                pattern = &letters[index + 1..];
                break;
            }
            _ => return Err(RuleError::Syntax),
        };
        if access.covers(added) {
            return Err(RuleError::Syntax);
        }
        access = access.and(added);
    }
    if access == Access::NONE {
        return Err(RuleError::Syntax);
    }
    Ok((access, pattern))
}
