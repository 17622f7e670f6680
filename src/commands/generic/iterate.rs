//! Going through the keys: KEYS, SCAN, RANDOMKEY.

use crate::command::ctx::{CmdResult, Ctx, REPLIED};
use crate::commands::scan_options::{ScanOptions, cursor, takes_all};
use crate::util::glob;

pub(super) fn keys(ctx: &mut Ctx) -> CmdResult {
    let pattern = ctx.args.bytes()?;
    let all = takes_all(pattern);
    let list = ctx.reply.deferred();
    let mut count = 0;
    for entry in ctx.db.table().iter() {
        if ctx.reply.pending_bytes() >= ctx.reply_max_bytes {
            break;
        }
        let key = entry.key();
        // Redis: expired keys are passed over here, not deleted.
        if (all || glob::matches(pattern, key)) && !ctx.db.is_expired(entry) {
            ctx.reply.bulk(key);
            count += 1;
        }
    }
    ctx.reply.end_array(list, count);
    REPLIED
}

pub(super) fn randomkey(ctx: &mut Ctx) -> CmdResult {
    match ctx.db.random_key(ctx.rng) {
        Some(key) => ctx.reply.bulk(&key),
        None => ctx.reply.null(),
    }
    REPLIED
}

/// Keys on their way into a reply, one after the other.
#[derive(Default)]
struct KeyList {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl KeyList {
    fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.bytes[start..*end])
    }
}

pub(super) fn scan(ctx: &mut Ctx) -> CmdResult {
    let mut cursor = cursor(ctx.args.bytes()?)?;
    let options = ScanOptions::parse_with_type(&mut ctx.args)?;

    // COUNT bounds the keys looked at, as Redis does it: those that do not
    // match count too, and so do, tenfold, steps that find nothing.
    let (mut found, mut expired) = (KeyList::default(), KeyList::default());
    let (mut looked_at, mut typed) = (0, 0);
    let mut steps = options.steps();
    while looked_at < options.count && steps > 0 {
        steps -= 1;
        cursor = ctx.db.table().scan(cursor, |entry| {
            looked_at += 1;
            let key = entry.key();
            if let Some(pattern) = options.pattern
                && !glob::matches(pattern, key)
            {
                return;
            }
            if ctx.db.is_expired(entry) {
                expired.push(key);
                return;
            }
            if let Some(name) = options.type_name {
                typed += 1;
                if !name.eq_ignore_ascii_case(entry.value_type().name().as_bytes()) {
                    return;
                }
            }
            found.push(key);
        });
        if cursor == 0 {
            break;
        }
    }
    for key in expired.iter() {
        ctx.db.expire_if_due(key);
    }
    // Redis: the look at the type counts as a read.
    ctx.db.keyspace().stats.hits += typed;

    ctx.reply.array(2);
    let mut digits = itoa::Buffer::new();
    ctx.reply.bulk(digits.format(cursor).as_bytes());
    ctx.reply.array(found.ends.len());
    for key in found.iter() {
        ctx.reply.bulk(key);
    }
    REPLIED
}
