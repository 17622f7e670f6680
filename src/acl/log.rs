//! ACL LOG: who was refused what.

use std::collections::VecDeque;

/// Entries that a new one is compared with.
const COMPARED_ENTRIES: usize = 10;
/// What is further apart is told apart, milliseconds.
const TOGETHER_MS: i64 = 60_000;

/// Why something was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The command.
    Command,
    /// A key.
    Key,
    /// A channel.
    Channel,
    /// User or password.
    Auth,
}

impl Reason {
    /// The word of ACL LOG.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Channel => "channel",
            Reason::Auth => "auth",
        }
    }
}

/// Where it was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Context {
    /// As a command of its own.
    TopLevel,
    /// In a transaction.
    Multi,
    /// In a script.
    Script,
}

impl Context {
    /// The word of ACL LOG.
    pub fn name(self) -> &'static str {
        match self {
            Context::TopLevel => "toplevel",
            Context::Multi => "multi",
            Context::Script => "lua",
        }
    }
}

/// A refusal, and those like it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// How often.
    pub count: u64,
    /// Why.
    pub reason: Reason,
    /// Where.
    pub context: Context,
    /// The command, the key, the channel.
    pub object: Vec<u8>,
    /// The user, or the name that was tried.
    pub username: Vec<u8>,
    /// When last, Unix milliseconds.
    pub time_ms: i64,
    /// The line of CLIENT LIST of the client that was last.
    pub client_info: String,
}

impl Entry {
    fn is_like(&self, other: &Entry) -> bool {
        self.reason == other.reason
            && self.context == other.context
            && self.time_ms.abs_diff(other.time_ms) <= TOGETHER_MS.unsigned_abs()
            && self.object == other.object
            && self.username == other.username
    }
}

/// The refusals, the latest first.
#[derive(Default, Debug)]
pub struct AclLog {
    entries: VecDeque<Entry>,
}

impl AclLog {
    /// Notes a refusal. At most `max` entries are kept (`acllog-max-len`).
    pub fn add(&mut self, mut entry: Entry, max: u64) {
        let mut recent = self.entries.iter().take(COMPARED_ENTRIES);
        match recent.position(|other| other.is_like(&entry)) {
            Some(index) => {
                if let Some(other) = self.entries.remove(index) {
                    entry.count += other.count;
                }
                self.entries.push_front(entry);
            }
            None => {
                self.entries.push_front(entry);
                let max = usize::try_from(max).unwrap_or(usize::MAX);
                self.entries.truncate(max);
            }
        }
    }

    /// The entries, the latest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// ACL LOG RESET.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_refusals_are_one_entry() {
        let entry = |object: &str, time_ms: i64| Entry {
            count: 1,
            reason: Reason::Key,
            context: Context::TopLevel,
            object: object.into(),
            username: b"u".to_vec(),
            time_ms,
            client_info: String::new(),
        };
        let mut log = AclLog::default();
        for (object, time_ms) in [("a", 0), ("b", 0), ("a", 60_000), ("b", 60_001), ("c", 0)] {
            log.add(entry(object, time_ms), 3);
        }
        let shown: Vec<_> = log.iter().map(|e| (e.object[0], e.count)).collect();
        assert_eq!(shown, [(b'c', 1), (b'b', 1), (b'a', 2)]);
        log.add(entry("d", 0), 0);
        assert_eq!(log.iter().len(), 0);
    }
}
