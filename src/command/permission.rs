//! Whether a user may run a call. Its keys come from where those of COMMAND
//! GETKEYS come from, so the two cannot drift apart.

use std::ops::Range;

use super::implied::CATEGORIES;
use super::keyspec::{self, Argv, Keys};
use super::registry::{CommandId, Entry, Registry};
use super::table::{ChannelArgs, flag, kflag};
use crate::acl::{Access, Catalog, Reason, Selector, User};

/// Why a call is not allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denied {
    /// The command.
    Command,
    /// The key at this index of the arguments.
    Key(usize),
    /// The channel at this index.
    Channel(usize),
}

impl Denied {
    /// As ACL LOG names it.
    pub fn reason(self) -> Reason {
        match self {
            Denied::Command => Reason::Command,
            Denied::Key(_) => Reason::Key,
            Denied::Channel(_) => Reason::Channel,
        }
    }

    /// Which of several refusals is told: that of the selector that allows
    /// most, then the argument farthest behind.
    fn rank(self) -> u8 {
        match self {
            Denied::Command => 0,
            Denied::Key(_) => 1,
            Denied::Channel(_) => 2,
        }
    }

    fn index(self) -> Option<usize> {
        match self {
            Denied::Command => None,
            Denied::Key(index) | Denied::Channel(index) => Some(index),
        }
    }
}

/// What is done to a key with these `kflag::*` bits, as far as users are
/// allowed it.
pub fn access(flags: u32) -> Access {
    const WRITES: u32 = kflag::INSERT | kflag::DELETE | kflag::UPDATE;
    let read = if flags & kflag::ACCESS != 0 {
        Access::READ
    } else {
        Access::NONE
    };
    let write = if flags & WRITES != 0 {
        Access::WRITE
    } else {
        Access::NONE
    };
    read.and(write)
}

/// Whether a user may run a call.
///
/// # Errors
/// What it may not.
#[inline]
pub fn check<A: Argv + ?Sized>(user: &User, entry: &Entry, argv: &A) -> Result<(), Denied> {
    if user.is_unrestricted() {
        return Ok(());
    }
    check_selectors(user, entry, argv)
}

fn check_selectors<A: Argv + ?Sized>(user: &User, entry: &Entry, argv: &A) -> Result<(), Denied> {
    let mut call = Call {
        entry,
        argv,
        keys: None,
    };
    let mut told = Denied::Command;
    // Redis: the argument that the last refusal was about stays in mind.
    let (mut last_index, mut told_index) = (0, 0);
    for selector in user.selectors() {
        let Err(denied) = call.check(selector) else {
            return Ok(());
        };
        last_index = denied.index().unwrap_or(last_index);
        let farther = denied.rank() == told.rank() && last_index > told_index;
        if denied.rank() > told.rank() || farther {
            (told, told_index) = (denied, last_index);
        }
    }
    Err(told)
}

/// Whether a user may run a call and beyond that read any key there is: what
/// SORT looks up depends on the data.
pub fn may_read_all<A: Argv + ?Sized>(user: &User, entry: &Entry, argv: &A) -> bool {
    let mut call = Call {
        entry,
        argv,
        keys: None,
    };
    let allows =
        |selector: &Selector| call.check(selector).is_ok() && selector.allows_any_key(Access::READ);
    user.is_unrestricted() || user.selectors().iter().any(allows)
}

struct Call<'a, A: ?Sized> {
    entry: &'a Entry,
    argv: &'a A,
    /// The same for all selectors.
    keys: Option<Keys>,
}

impl<A: Argv + ?Sized> Call<'_, A> {
    #[inline]
    fn check(&mut self, selector: &Selector) -> Result<(), Denied> {
        let Call { entry, argv, .. } = *self;
        let after_name = 1 + usize::from(entry.parent.is_some());
        let first_arg = (argv.count() > after_name).then(|| argv.word(after_name));
        if !entry.has(flag::NO_AUTH) && !selector.allows_command(entry.id.index(), first_arg) {
            return Err(Denied::Command);
        }
        if !selector.allows_all_keys() {
            let keys = self
                .keys
                .get_or_insert_with(|| keyspec::keys_in_use(entry, argv));
            for key in keys.iter() {
                if !selector.allows_key(argv.word(key.index), access(key.flags)) {
                    return Err(Denied::Key(key.index));
                }
            }
        }
        if entry.command.channels != ChannelArgs::None && !selector.allows_all_channels() {
            return self.check_channels(selector);
        }
        Ok(())
    }

    fn check_channels(&self, selector: &Selector) -> Result<(), Denied> {
        let (count, as_patterns) = match self.entry.command.channels {
            ChannelArgs::None => (0, false),
            ChannelArgs::First => (1, false),
            ChannelArgs::All => (self.argv.count(), false),
            ChannelArgs::AllPatterns => (self.argv.count(), true),
        };
        for index in (1..self.argv.count()).take(count) {
            let name = self.argv.word(index);
            let allowed = if as_patterns {
                selector.allows_channel_pattern(name)
            } else {
                selector.allows_channel(name)
            };
            if !allowed {
                return Err(Denied::Channel(index));
            }
        }
        Ok(())
    }
}

const CATEGORY_NAMES: [(u32, &str); CATEGORIES.len()] = {
    let mut names = [(0, ""); CATEGORIES.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = (CATEGORIES[index].0, CATEGORIES[index].1);
        index += 1;
    }
    names
};

impl Catalog for Registry {
    fn count(&self) -> usize {
        self.len()
    }

    fn find(&self, name: &[u8]) -> Option<usize> {
        self.find_full_original(name).map(CommandId::index)
    }

    fn full_name(&self, index: usize) -> &str {
        self.all()[index].full_name()
    }

    fn categories(&self, index: usize) -> u32 {
        self.all()[index].categories
    }

    fn container(&self, index: usize) -> Option<usize> {
        self.all()[index].parent.map(CommandId::index)
    }

    fn subcommands(&self, index: usize) -> Range<usize> {
        let subcommands = Registry::subcommands(self, self.all()[index].id);
        match subcommands.first() {
            Some(first) => first.id.index()..first.id.index() + subcommands.len(),
            None => 0..0,
        }
    }

    fn category_names(&self) -> &'static [(u32, &'static str)] {
        &CATEGORY_NAMES
    }
}
