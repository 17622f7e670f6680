//! BITFIELD: a row of operations on integers in a bitmap.

use super::{bit_offset, byte_after, raw};
use crate::command::ctx::{CmdError, CmdResult, Ctx, REPLIED};
use crate::encoding::bitfield::{Kind, Overflow};
use crate::encoding::bits;
use crate::keyspace::{Str, event};
use crate::resp::Reply;
use crate::types::StrRef;

/// One operation at one place.
struct Step {
    kind: Kind,
    offset: u64,
    action: Action,
}

enum Action {
    Get,
    Set(i64, Overflow),
    Increment(i64, Overflow),
}

/// The kinds of [`Action`] as the client names them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Get,
    Set,
    Increment,
}

pub(super) fn bitfield(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let (steps, end) = steps(ctx)?;
    match end {
        None => read(ctx, key, &steps),
        Some(end) => write(ctx, key, &steps, end),
    }
}

pub(super) fn bitfield_ro(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let (steps, end) = steps(ctx)?;
    if end.is_some() {
        return Err(CmdError::err(
            "BITFIELD_RO only supports the GET subcommand",
        ));
    }
    read(ctx, key, &steps)
}

/// Parses all operations. Also gives the last bit that is written to, if any is.
fn steps(ctx: &mut Ctx) -> Result<(Vec<Step>, Option<u64>), CmdError> {
    let mut steps = Vec::new();
    let mut overflow = Overflow::default();
    let mut last_written = None;
    while ctx.args.left() > 0 {
        let left = ctx.args.left() - 1;
        let verb = if left >= 2 && ctx.args.take_word("GET") {
            Verb::Get
        } else if left >= 3 && ctx.args.take_word("SET") {
            Verb::Set
        } else if left >= 3 && ctx.args.take_word("INCRBY") {
            Verb::Increment
        } else if left >= 1 && ctx.args.take_word("OVERFLOW") {
            overflow = overflow_named(ctx)?;
            continue;
        } else {
            return Err(CmdError::Syntax);
        };
        let step = step(ctx, verb, overflow)?;
        if verb != Verb::Get {
            let last = step.offset + u64::from(step.kind.bits()) - 1;
            last_written = last_written.max(Some(last));
        }
        steps.push(step);
    }
    Ok((steps, last_written))
}

fn overflow_named(ctx: &mut Ctx) -> Result<Overflow, CmdError> {
    if ctx.args.take_word("WRAP") {
        Ok(Overflow::Wrap)
    } else if ctx.args.take_word("SAT") {
        Ok(Overflow::Saturate)
    } else if ctx.args.take_word("FAIL") {
        Ok(Overflow::Fail)
    } else {
        Err(CmdError::err("Invalid OVERFLOW type specified"))
    }
}

fn step(ctx: &mut Ctx, verb: Verb, overflow: Overflow) -> Result<Step, CmdError> {
    // Redis: a zero byte ends the name of a type.
    let name = ctx.args.bytes()?;
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let kind = Kind::parse(name).ok_or_else(|| {
        CmdError::err(
            "Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported \
             but i64 is.",
        )
    })?;
    let offset = bit_offset(ctx, Some(kind.bits()))?;
    let action = match verb {
        Verb::Get => Action::Get,
        Verb::Set => Action::Set(ctx.args.int()?, overflow),
        Verb::Increment => Action::Increment(ctx.args.int()?, overflow),
    };
    Ok(Step {
        kind,
        offset,
        action,
    })
}

/// Operations of which all are GET.
fn read(ctx: &mut Ctx, key: &[u8], steps: &[Step]) -> CmdResult {
    let mut scratch = itoa::Buffer::new();
    let string = ctx.db.read::<Str>(key)?;
    let bytes = string.map_or(&b""[..], |string: StrRef| string.bytes(&mut scratch));
    ctx.reply.array(steps.len());
    for step in steps {
        ctx.reply.integer(step.kind.read(bytes, step.offset));
    }
    REPLIED
}

/// Operations that write up to bit `last`, in a string that is long enough
/// from the start.
fn write(ctx: &mut Ctx, key: &[u8], steps: &[Step], last: u64) -> CmdResult {
    let len = byte_after(last);
    let (mut edit, created) = match ctx.db.edit_as::<Str>(key)? {
        Some(edit) => (edit, false),
        None => (ctx.db.create_unchanged(key, raw(vec![0; len])), true),
    };
    let reply = &mut ctx.reply;
    reply.array(steps.len());
    let changes = edit.raw_string(|bytes| {
        let grown = created || bytes.len() < len;
        bits::pad(bytes, len);
        let changed = steps
            .iter()
            .filter(|step| step.carry_out(bytes, reply, grown));
        changed.count()
    });
    edit.changed_by(changes, event::SETBIT);
    REPLIED
}

impl Step {
    /// Writes and replies; true when that counts as a change. In a string that
    /// is new or has `grown` every write does.
    fn carry_out(&self, bytes: &mut [u8], reply: &mut Reply, grown: bool) -> bool {
        let old = self.kind.read(bytes, self.offset);
        let new = match self.action {
            Action::Get => {
                reply.integer(old);
                return false;
            }
            Action::Set(value, overflow) => self.kind.sum(value, 0, overflow),
            Action::Increment(by, overflow) => self.kind.sum(old, by, overflow),
        };
        let Some(new) = new else {
            reply.null();
            return false;
        };
        reply.integer(match self.action {
            Action::Increment(..) => new,
            Action::Get | Action::Set(..) => old,
        });
        self.kind.write(bytes, self.offset, new);
        grown || old != new
    }
}
