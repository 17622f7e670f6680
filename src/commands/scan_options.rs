//! SCAN and its kin: cursors, options, replies.

use super::items::bulk_item;
use crate::command::ctx::{Args, CmdError};
use crate::encoding::listpack::Item;
use crate::resp::Reply;
use crate::util::{glob, num};

/// Elements per call when COUNT is not given.
const COUNT_DEFAULT: usize = 10;
/// Steps that find nothing, for each element that is wanted.
const STEPS_PER_ELEMENT: usize = 10;

/// Whether a pattern takes everything. Redis: it is the only one that takes
/// the empty string, which no other star matches.
pub(super) fn takes_all(pattern: &[u8]) -> bool {
    pattern == b"*"
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

/// The options of SCAN and its kin.
#[derive(Default)]
pub(super) struct ScanOptions<'a> {
    /// MATCH, unless it takes everything.
    pub pattern: Option<&'a [u8]>,
    /// COUNT.
    pub count: usize,
    /// TYPE, which only SCAN has.
    pub type_name: Option<&'a [u8]>,
}

impl<'a> ScanOptions<'a> {
    /// Options of a scan of one collection.
    ///
    /// # Errors
    /// Syntax, or a COUNT that is no positive integer.
    pub fn parse(args: &mut Args<'a>) -> Result<ScanOptions<'a>, CmdError> {
        ScanOptions::parse_with(args, false)
    }

    /// Options of SCAN.
    ///
    /// # Errors
    /// As [`ScanOptions::parse`].
    pub fn parse_with_type(args: &mut Args<'a>) -> Result<ScanOptions<'a>, CmdError> {
        ScanOptions::parse_with(args, true)
    }

    fn parse_with(args: &mut Args<'a>, of_keys: bool) -> Result<ScanOptions<'a>, CmdError> {
        let mut options = ScanOptions {
            count: COUNT_DEFAULT,
            ..ScanOptions::default()
        };
        while args.left() > 0 {
            if args.left() == 1 {
                return Err(CmdError::Syntax);
            }
            if args.take_word("COUNT") {
                let count = num::parse_i64(args.bytes()?).ok_or(CmdError::NotInteger)?;
                let count = usize::try_from(count).ok().filter(|count| *count > 0);
                options.count = count.ok_or(CmdError::Syntax)?;
            } else if args.take_word("MATCH") {
                options.pattern = Some(args.bytes()?).filter(|pattern| !takes_all(pattern));
            } else if of_keys && args.take_word("TYPE") {
                options.type_name = Some(args.bytes()?);
            } else {
                return Err(CmdError::Syntax);
            }
        }
        Ok(options)
    }

    /// Steps that a call takes at most.
    pub fn steps(&self) -> usize {
        self.count.saturating_mul(STEPS_PER_ELEMENT)
    }

    /// Whether the pattern takes an element.
    pub fn takes(&self, item: Item<'_>) -> bool {
        self.pattern
            .is_none_or(|pattern| glob::matches(pattern, item.text(&mut itoa::Buffer::new())))
    }
}

/// The reply of a scan of what is not there.
pub(super) fn reply_nothing(reply: &mut Reply<'_>) {
    reply.array(2);
    reply.bulk(b"0");
    reply.array(0);
}

/// Calls `step` until there are enough elements, the end, or too many steps.
/// Redis: elements count before they are compared with the pattern.
fn walk<T>(
    mut cursor: u64,
    options: &ScanOptions<'_>,
    mut step: impl FnMut(u64, &mut dyn FnMut(T)) -> u64,
    mut found: impl FnMut(T),
) -> u64 {
    let (mut looked_at, mut steps) = (0, options.steps());
    while looked_at < options.count && steps > 0 {
        steps -= 1;
        cursor = step(cursor, &mut |element| {
            looked_at += 1;
            found(element);
        });
        if cursor == 0 {
            break;
        }
    }
    cursor
}

/// Scans a collection of elements and replies, as [`reply_pairs`] does.
pub(super) fn reply_items<'a>(
    reply: &mut Reply<'_>,
    cursor: u64,
    options: &ScanOptions<'_>,
    mut step: impl FnMut(u64, &mut dyn FnMut(Item<'a>)) -> u64,
) {
    let mut found = Vec::new();
    let cursor = walk(
        cursor,
        options,
        |cursor, visit| step(cursor, visit),
        |item: Item<'a>| {
            if options.takes(item) {
                found.push(item);
            }
        },
    );
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(cursor).as_bytes());
    reply.array(found.len());
    for item in found {
        bulk_item(reply, item);
    }
}

/// Scans a collection of elements with something to each (fields with values,
/// members with scores) and replies. `step` visits what is next at a cursor
/// and gives the next one; `reply_value` writes what belongs to an element.
pub(super) fn reply_pairs<'a, V>(
    reply: &mut Reply<'_>,
    cursor: u64,
    options: &ScanOptions<'_>,
    mut step: impl FnMut(u64, &mut dyn FnMut(Item<'a>, V)) -> u64,
    reply_value: impl Fn(&mut Reply<'_>, V),
) {
    let mut found = Vec::new();
    let cursor = walk(
        cursor,
        options,
        |cursor, visit| step(cursor, &mut |element, value| visit((element, value))),
        |pair: (Item<'a>, V)| {
            if options.takes(pair.0) {
                found.push(pair);
            }
        },
    );
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(cursor).as_bytes());
    reply.array(found.len() * 2);
    for (element, value) in found {
        bulk_item(reply, element);
        reply_value(reply, value);
    }
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
