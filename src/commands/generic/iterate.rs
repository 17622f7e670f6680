//! Going through the keys: KEYS, SCAN, RANDOMKEY.

use crate::command::ctx::{CmdError, CmdResult, Ctx, REPLIED};
use crate::util::{glob, num};

/// Keys per call of SCAN when COUNT is not given.
const COUNT_DEFAULT: usize = 10;

/// Whether a pattern takes every key. Redis: it is the only one that takes the
/// empty key, which no other star matches.
fn takes_all(pattern: &[u8]) -> bool {
    pattern == b"*"
}

pub(super) fn keys(ctx: &mut Ctx) -> CmdResult {
    let pattern = ctx.args.bytes()?;
    let all = takes_all(pattern);
    let list = ctx.reply.deferred();
    let mut count = 0;
    for entry in ctx.db.table().iter() {
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

/// A cursor as the `strtoul` of C reads it: signs are taken, and nothing at
/// all is 0; the string ends at a zero byte.
///
/// # Errors
/// When something else follows, blanks precede, or it does not fit 64 bits.
pub(super) fn cursor(arg: &[u8]) -> Result<u64, CmdError> {
    let invalid = || CmdError::err("invalid cursor");
    let text = arg.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Ok(0);
    }
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return Err(invalid());
    }
    let mut number = 0u64;
    for digit in digits {
        let digit = char::from(*digit).to_digit(10).ok_or_else(invalid)?;
        let next = number.checked_mul(10);
        let next = next.and_then(|next| next.checked_add(u64::from(digit)));
        number = next.ok_or_else(invalid)?;
    }
    Ok(if negative {
        number.wrapping_neg()
    } else {
        number
    })
}

/// The options of SCAN.
#[derive(Default)]
struct ScanOptions<'a> {
    pattern: Option<&'a [u8]>,
    count: usize,
    type_name: Option<&'a [u8]>,
}

impl<'a> ScanOptions<'a> {
    fn parse(ctx: &mut Ctx<'a>) -> Result<ScanOptions<'a>, CmdError> {
        let mut options = ScanOptions {
            count: COUNT_DEFAULT,
            ..ScanOptions::default()
        };
        while ctx.args.left() > 0 {
            if ctx.args.left() == 1 {
                return Err(CmdError::Syntax);
            }
            if ctx.args.take_word("COUNT") {
                let count = num::parse_i64(ctx.args.bytes()?).ok_or(CmdError::NotInteger)?;
                let count = usize::try_from(count).ok().filter(|count| *count > 0);
                options.count = count.ok_or(CmdError::Syntax)?;
            } else if ctx.args.take_word("MATCH") {
                options.pattern = Some(ctx.args.bytes()?).filter(|pattern| !takes_all(pattern));
            } else if ctx.args.take_word("TYPE") {
                options.type_name = Some(ctx.args.bytes()?);
            } else {
                return Err(CmdError::Syntax);
            }
        }
        Ok(options)
    }
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
    let options = ScanOptions::parse(ctx)?;

    // COUNT bounds the keys looked at, as Redis does it: those that do not
    // match count too, and so do, tenfold, steps that find nothing.
    let (mut found, mut expired) = (KeyList::default(), KeyList::default());
    let (mut looked_at, mut typed) = (0, 0);
    let mut steps = options.count.saturating_mul(10);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_c_reads_them() {
        for (text, number) in [
            (&b"0"[..], Some(0)),
            (b"007", Some(7)),
            (b"", Some(0)),
            (b"+5", Some(5)),
            (b"-1", Some(u64::MAX)),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"18446744073709551616", None),
            (b"12\0x", Some(12)),
            (b"\0", Some(0)),
            (b" 1", None),
            (b"1 ", None),
            (b"+", None),
            (b"--1", None),
            (b"x", None),
        ] {
            assert_eq!(cursor(text).ok(), number, "{text:?}");
        }
    }
}
