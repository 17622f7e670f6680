//! Users, what they may do, and who was refused what:
//! <https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/>.
//!
//! Pure: rules come in as text ([`User::apply`]) and go out as text
//! ([`User::describe`]); the names and categories of commands are asked of a
//! [`Catalog`]. Whether a call is allowed is decided in `command::permission`,
//! which knows the keys of a call.
//!
//! A [`User`] never changes: who alters one makes another and puts it in its
//! place ([`Users::put`]), so that a rule that is wrong leaves nothing half
//! done and a connection sees one user from the first check to the last.

mod describe;
mod file;
mod log;
mod pattern;
mod rule;
mod selector;
mod user;
mod users;

pub use file::{MIXED_SOURCES, check_configured, configured_user};
pub use log::{AclLog, Context, Entry, Reason};
pub use pattern::Pattern;
pub use rule::{RuleError, has_blanks, merge_selectors};
pub use selector::{Access, Selector};
pub use user::{Password, User};
pub use users::Users;

use std::ops::Range;

/// The user that connections begin as.
pub const DEFAULT_USER: &str = "default";

/// The commands that rules speak of, by their original names.
pub trait Catalog {
    /// How many commands and subcommands there are.
    fn count(&self) -> usize;
    /// The command or subcommand written as `get` or `config|get`, in any case.
    fn find(&self, name: &[u8]) -> Option<usize>;
    /// The same way back.
    fn full_name(&self, index: usize) -> &str;
    /// The bits of its categories.
    fn categories(&self, index: usize) -> u32;
    /// Its container, for a subcommand.
    fn container(&self, index: usize) -> Option<usize>;
    /// Its subcommands.
    fn subcommands(&self, index: usize) -> Range<usize>;
    /// All categories, bit and name, in the order of ACL CAT.
    fn category_names(&self) -> &'static [(u32, &'static str)];
}

/// What rules are read with.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// The commands.
    pub catalog: &'a dyn Catalog,
    /// `acl-pubsub-default allchannels`: where nothing else is said, all
    /// channels may be used.
    pub all_channels: bool,
}

impl Terms<'_> {
    fn category(&self, name: &[u8]) -> Option<u32> {
        let mut names = self.catalog.category_names().iter();
        let found = names.find(|(_, known)| name.eq_ignore_ascii_case(known.as_bytes()));
        found.map(|(bit, _)| *bit)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A few commands: `get`, `set`, `config` with `get` and `set`, `select`.
    pub(crate) struct Few;

    const NAMES: [&str; 6] = ["get", "set", "select", "config", "config|get", "config|set"];
    const CATEGORIES: [u32; 6] = [1, 2, 4, 4, 12, 12];

    impl Catalog for Few {
        fn count(&self) -> usize {
            NAMES.len()
        }
        fn find(&self, name: &[u8]) -> Option<usize> {
            let mut names = NAMES.iter();
            names.position(|known| name.eq_ignore_ascii_case(known.as_bytes()))
        }
        fn full_name(&self, index: usize) -> &str {
            NAMES[index]
        }
        fn categories(&self, index: usize) -> u32 {
            CATEGORIES[index]
        }
        fn container(&self, index: usize) -> Option<usize> {
            (index > 3).then_some(3)
        }
        fn subcommands(&self, index: usize) -> Range<usize> {
            if index == 3 { 4..6 } else { 0..0 }
        }
        fn category_names(&self) -> &'static [(u32, &'static str)] {
            &[(1, "read"), (2, "write"), (4, "slow"), (8, "admin")]
        }
    }

    /// A default user, for tests of clients.
    pub(crate) fn default_user() -> std::sync::Arc<User> {
        std::sync::Arc::new(User::new_default(&TERMS))
    }

    pub(crate) const TERMS: Terms<'static> = Terms {
        catalog: &Few,
        all_channels: false,
    };
}
