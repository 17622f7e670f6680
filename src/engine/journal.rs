//! What changed, as commands, on the way to those who repeat it: the
//! append-only file, and replicas.
//!
//! The executor adds the commands of one unit of execution (a command of a
//! client, a transaction, a turn of active expiry) and ends the unit; only
//! then they go out, framed by MULTI and EXEC where they have to be repeated
//! together.

use super::server::Server;
use crate::aof::append_command;
use crate::keyspace::DbIndex;

/// Somebody who repeats what was executed.
pub trait Sink {
    /// The next command, in the form of the protocol, and the database that it
    /// is for: a SELECT has to go before it when that is another than before.
    fn feed(&mut self, db: DbIndex, command: &[u8], now_s: i64);
}

/// The commands of the unit that runs.
#[derive(Default, Debug)]
pub struct Journal {
    bytes: Vec<u8>,
    commands: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    db: DbIndex,
    /// Where it ends in `bytes`.
    end: usize,
    /// The server's own deletion of a key that expired or was evicted.
    lapsed: bool,
}

/// Room that is kept for the next unit, bytes.
const KEPT_BYTES: usize = 64 * 1024;

impl Journal {
    /// Adds a command.
    #[inline]
    pub fn push<'a>(&mut self, db: DbIndex, argv: impl ExactSizeIterator<Item = &'a [u8]>) {
        self.add(db, argv, false);
    }

    /// Adds the deletion of a key that expired or was evicted: the server's own
    /// doing, whoever found it.
    pub fn push_lapsed<'a>(&mut self, db: DbIndex, argv: impl ExactSizeIterator<Item = &'a [u8]>) {
        self.add(db, argv, true);
    }

    fn add<'a>(
        &mut self,
        db: DbIndex,
        argv: impl ExactSizeIterator<Item = &'a [u8]>,
        lapsed: bool,
    ) {
        append_command(&mut self.bytes, argv);
        let end = self.bytes.len();
        self.commands.push(Entry { db, end, lapsed });
    }

    /// Whether nothing was added since the last unit ended.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// How many commands there are so far.
    #[inline]
    pub fn mark(&self) -> usize {
        self.commands.len()
    }

    /// Forgets what was added since the mark, but for keys that are gone.
    pub fn truncate(&mut self, mark: usize) {
        if mark == self.commands.len() {
            return;
        }
        let ends_before = mark.checked_sub(1).map(|last| self.commands[last].end);
        let mut start = ends_before.unwrap_or(0);
        let added = self.bytes.split_off(start);
        let base = start;
        for entry in self.commands.split_off(mark) {
            if entry.lapsed {
                self.bytes
                    .extend_from_slice(&added[start - base..entry.end - base]);
                let end = self.bytes.len();
                self.commands.push(Entry { end, ..entry });
            }
            start = entry.end;
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.commands.clear();
        self.commands.shrink_to(KEPT_BYTES / 16);
    }
}

/// How the commands of a unit belong together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Several are a transaction.
    Whole,
    /// Each is its own: keys that expired or were evicted.
    Loose,
}

impl Server {
    /// Whether anybody repeats what is executed.
    #[inline]
    pub fn is_repeated(&self) -> bool {
        self.keyspace.effects.record_expired
    }

    /// Finds out again whether anybody does.
    pub fn note_listeners(&mut self) {
        self.keyspace.effects.record_expired = self.aof.is_on();
    }

    /// Sends out what the unit that has ended executed.
    #[inline]
    pub fn end_unit(&mut self, unit: Unit) {
        // What a paused script has done so far waits for the rest.
        if !self.journal.is_empty() && !self.is_busy() {
            self.send_unit(unit);
        }
    }

    fn send_unit(&mut self, unit: Unit) {
        let mut journal = std::mem::take(&mut self.journal);
        let now_s = self.clock_unix_ms() / 1000;
        let sinks: [&mut dyn Sink; 1] = [&mut self.aof];
        for sink in sinks {
            let transaction = unit == Unit::Whole && journal.commands.len() > 1;
            // Its databases are those of the first and the last command, so
            // that a SELECT never stands alone.
            if let (true, Some(Entry { db, .. })) = (transaction, journal.commands.first()) {
                sink.feed(*db, b"*1\r\n$5\r\nMULTI\r\n", now_s);
            }
            let mut start = 0;
            for Entry { db, end, .. } in &journal.commands {
                sink.feed(*db, &journal.bytes[start..*end], now_s);
                start = *end;
            }
            if let (true, Some(Entry { db, .. })) = (transaction, journal.commands.last()) {
                sink.feed(*db, b"*1\r\n$4\r\nEXEC\r\n", now_s);
            }
        }
        journal.clear();
        self.journal = journal;
    }
}
