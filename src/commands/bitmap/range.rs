//! Parts of bitmaps: BITCOUNT and BITPOS.

use std::ops::Range;

use crate::command::ctx::{Args, CmdError, CmdResult, Ctx, REPLIED};
use crate::encoding::bits;
use crate::keyspace::Str;

/// In what the ends of a part are counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Byte,
    Bit,
}

/// Takes `BYTE` or `BIT`.
fn unit(args: &mut Args) -> Result<Unit, CmdError> {
    if args.take_word("BIT") {
        Ok(Unit::Bit)
    } else if args.take_word("BYTE") {
        Ok(Unit::Byte)
    } else {
        Err(CmdError::Syntax)
    }
}

/// The bits of a part of a string of `len` bytes, whose ends (the last one is
/// part of it) are counted from the end when negative.
fn part(len: usize, start: i64, end: i64, unit: Unit) -> Range<u64> {
    let unit_bits = match unit {
        Unit::Byte => 8,
        Unit::Bit => 1,
    };
    let total = len as u64 * 8 / unit_bits;
    let place = |index: i64| match u64::try_from(index) {
        Ok(index) => index,
        Err(_) => total.saturating_sub(index.unsigned_abs()),
    };
    let (start, end) = (place(start), place(end));
    if total == 0 || start > end.min(total - 1) {
        return 0..0;
    }
    start * unit_bits..(end.min(total - 1) + 1) * unit_bits
}

pub(super) fn bitcount(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let mut scratch = itoa::Buffer::new();
    // Redis: a missing key has no ones, whatever is asked about it.
    let count = match ctx.db.read::<Str>(key)? {
        None => 0,
        Some(string) => {
            let bytes = string.bytes(&mut scratch);
            match ctx.args.left() {
                0 => bits::count(bytes),
                2 | 3 => bits::count_range(bytes, counted(&mut ctx.args, bytes.len())?),
                _ => return Err(CmdError::Syntax),
            }
        }
    };
    ctx.reply.integer(count as i64);
    REPLIED
}

/// The part that BITCOUNT counts in.
fn counted(args: &mut Args, len: usize) -> Result<Range<u64>, CmdError> {
    let (start, end) = (args.int()?, args.int()?);
    // Redis: whoever sees at once that there is nothing asks no further.
    if start < 0 && end < 0 && start > end {
        return Ok(0..0);
    }
    let unit = match args.left() {
        0 => Unit::Byte,
        _ => unit(args)?,
    };
    Ok(part(len, start, end, unit))
}

pub(super) fn bitpos(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let bit = match ctx.args.int()? {
        0 => false,
        1 => true,
        _ => return Err(CmdError::err("The bit argument must be 1 or 0.")),
    };
    let mut scratch = itoa::Buffer::new();
    let position = match ctx.db.read::<Str>(key)? {
        // Redis: a missing key is zeros without end, whatever is asked about it.
        None => (!bit).then_some(0),
        Some(string) => {
            let bytes = string.bytes(&mut scratch);
            let (part, open) = searched(&mut ctx.args, bytes.len())?;
            let beyond = (open && !bit && !part.is_empty()).then_some(part.end);
            bits::find(bytes, part, bit).or(beyond)
        }
    };
    ctx.reply.integer(position.map_or(-1, |at| at as i64));
    REPLIED
}

/// The part that BITPOS looks at, and whether zeros follow it: they do where
/// no end is given.
fn searched(args: &mut Args, len: usize) -> Result<(Range<u64>, bool), CmdError> {
    match args.left() {
        0 => Ok((part(len, 0, -1, Unit::Byte), true)),
        1 => Ok((part(len, args.int()?, -1, Unit::Byte), true)),
        2 | 3 => {
            let start = args.int()?;
            // Redis: the unit is judged before the end.
            let mut rest = args.clone();
            rest.bytes()?;
            let unit = match rest.left() {
                0 => Unit::Byte,
                _ => unit(&mut rest)?,
            };
            Ok((part(len, start, args.int()?, unit), false))
        }
        _ => Err(CmdError::Syntax),
    }
}
