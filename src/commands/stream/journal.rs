//! How commands on groups are repeated: as what became of them, since the
//! same command might do something else at another time.

use crate::command::ctx::{Ctx, Propagation};
use crate::types::StreamId;
use crate::types::stream::{Group, Pending};

/// Commands that have the effect of one that ran.
pub(super) struct Journal<'a> {
    heard: bool,
    key: &'a [u8],
    group: &'a [u8],
    commands: Vec<Vec<Vec<u8>>>,
}

fn command(words: &[&[u8]]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.to_vec()).collect()
}

impl<'a> Journal<'a> {
    pub(super) fn new(ctx: &mut Ctx, key: &'a [u8], group: &'a [u8]) -> Journal<'a> {
        Journal {
            heard: ctx.is_heard(),
            key,
            group,
            commands: Vec::new(),
        }
    }

    /// The same for another stream.
    pub(super) fn at(&mut self, key: &'a [u8]) {
        self.key = key;
    }

    /// An entry is pending, or (when it is no longer there) was.
    pub(super) fn claimed(&mut self, group: &Group, id: &[u8], pending: Pending) {
        if !self.heard {
            return;
        }
        self.commands.push(command(&[
            b"XCLAIM",
            self.key,
            self.group,
            group.consumer(pending.consumer).name(),
            b"0",
            id,
            b"TIME",
            pending.delivered_ms.to_string().as_bytes(),
            b"RETRYCOUNT",
            pending.deliveries.to_string().as_bytes(),
            b"FORCE",
            b"JUSTID",
            b"LASTID",
            group.last_id.text().as_bytes(),
        ]));
    }

    /// The group has read on without anything pending.
    pub(super) fn advanced(&mut self, group: &Group) {
        if !self.heard {
            return;
        }
        let read = group.entries_read.map_or(-1, u64::cast_signed);
        self.commands.push(command(&[
            b"XGROUP",
            b"SETID",
            self.key,
            self.group,
            group.last_id.text().as_bytes(),
            b"ENTRIESREAD",
            read.to_string().as_bytes(),
        ]));
    }

    /// A consumer was made that nothing else tells of.
    pub(super) fn consumer_created(&mut self, name: &[u8]) {
        if !self.heard {
            return;
        }
        self.commands.push(command(&[
            b"XGROUP",
            b"CREATECONSUMER",
            self.key,
            self.group,
            name,
        ]));
    }

    /// Only these are repeated, not what the client sent.
    pub(super) fn finish(self, ctx: &mut Ctx) {
        if self.heard {
            *ctx.propagation = Propagation::As(self.commands);
        }
    }
}

/// An ID as an argument.
pub(super) fn id_arg(id: StreamId) -> Vec<u8> {
    id.text().as_bytes().to_vec()
}
