//! Times to live: EXPIRE, TTL and their kin.

use crate::command::ctx::{CmdError, CmdResult, Ctx, REPLIED};
use crate::command::error::shown;
use crate::commands::expire_time::{Unit, deletion};
use crate::keyspace::event;
use crate::util::num;

pub(super) fn expire(ctx: &mut Ctx) -> CmdResult {
    set_expiry(ctx, "expire", Unit::Seconds)
}

pub(super) fn expireat(ctx: &mut Ctx) -> CmdResult {
    set_expiry(ctx, "expireat", Unit::UnixSeconds)
}

pub(super) fn expiretime(ctx: &mut Ctx) -> CmdResult {
    reply_expiry(ctx, |at_ms, _| to_seconds(at_ms))
}

pub(super) fn persist(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let mut persisted = 0;
    if let Some(mut edit) = ctx.db.edit(key)
        && edit.entry().expire().is_some()
    {
        edit.set_expire(None);
        edit.changed(event::PERSIST);
        persisted = 1;
    }
    ctx.reply.integer(persisted);
    REPLIED
}

pub(super) fn pexpire(ctx: &mut Ctx) -> CmdResult {
    set_expiry(ctx, "pexpire", Unit::Millis)
}

pub(super) fn pexpireat(ctx: &mut Ctx) -> CmdResult {
    set_expiry(ctx, "pexpireat", Unit::UnixMillis)
}

pub(super) fn pexpiretime(ctx: &mut Ctx) -> CmdResult {
    reply_expiry(ctx, |at_ms, _| at_ms)
}

pub(super) fn pttl(ctx: &mut Ctx) -> CmdResult {
    reply_expiry(ctx, i64::saturating_sub)
}

pub(super) fn ttl(ctx: &mut Ctx) -> CmdResult {
    reply_expiry(ctx, |at_ms, now_ms| {
        to_seconds(at_ms.saturating_sub(now_ms))
    })
}

/// Milliseconds as seconds, rounded to the nearest.
fn to_seconds(ms: i64) -> i64 {
    ms / 1000 + i64::from(ms % 1000 >= 500)
}

/// Replies with the expiry of a key, made a number by `number` (of the expiry
/// and of now): -1 without one, -2 without the key.
fn reply_expiry(ctx: &mut Ctx, number: fn(i64, i64) -> i64) -> CmdResult {
    let key = ctx.args.key()?;
    let now_ms = ctx.now_ms();
    let reply = match ctx.db.look(key).map(|entry| entry.expire()) {
        None => -2,
        Some(None) => -1,
        Some(Some(at_ms)) => number(at_ms, now_ms).max(0),
    };
    ctx.reply.integer(reply);
    REPLIED
}

/// When EXPIRE may change the expiry of a key.
#[derive(Clone, Copy, Default)]
struct Condition {
    if_none: bool,
    if_some: bool,
    if_later: bool,
    if_sooner: bool,
}

impl Condition {
    fn parse(options: &[&[u8]]) -> Result<Condition, CmdError> {
        let mut condition = Condition::default();
        for option in options {
            let field = match option.to_ascii_lowercase().as_slice() {
                b"nx" => &mut condition.if_none,
                b"xx" => &mut condition.if_some,
                b"gt" => &mut condition.if_later,
                b"lt" => &mut condition.if_sooner,
                _ => return Err(unsupported(option)),
            };
            *field = true;
        }
        let Condition {
            if_none,
            if_some,
            if_later,
            if_sooner,
        } = condition;
        if if_none && (if_some || if_later || if_sooner) {
            return Err(CmdError::err(
                "NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if if_later && if_sooner {
            return Err(CmdError::err(
                "GT and LT options at the same time are not compatible",
            ));
        }
        Ok(condition)
    }

    /// Whether an expiry may take the place of the present one. A key without
    /// one counts as living for ever.
    fn allows(self, old_ms: Option<i64>, new_ms: i64) -> bool {
        let Some(old_ms) = old_ms else {
            return !self.if_some && !self.if_later;
        };
        !self.if_none && (!self.if_later || new_ms > old_ms) && (!self.if_sooner || new_ms < old_ms)
    }
}

fn unsupported(option: &[u8]) -> CmdError {
    let mut text = b"Unsupported option ".to_vec();
    text.extend_from_slice(shown(option, usize::MAX));
    // Redis: line ends at the end are cut off.
    while let Some(b'\r' | b'\n') = text.last() {
        text.pop();
    }
    CmdError::err(text)
}

/// EXPIRE and its kin: the expiry is a number in `unit`.
fn set_expiry(ctx: &mut Ctx, name: &str, unit: Unit) -> CmdResult {
    let (key, number) = (ctx.args.key()?, ctx.args.bytes()?);
    let options = ctx.args.rest();
    let condition = Condition::parse(options)?;
    let number = num::parse_i64(number).ok_or(CmdError::NotInteger)?;
    let at_ms = unit.absolute(number, ctx.now_ms(), name)?;
    let over = ctx.db.is_over(at_ms);

    let allowed = |edit: &crate::keyspace::Edit| condition.allows(edit.entry().expire(), at_ms);
    let Some(mut edit) = ctx.db.edit(key).filter(allowed) else {
        ctx.reply.integer(0);
        return REPLIED;
    };
    if over {
        edit.remove_as_expired();
        ctx.propagate_as(&[deletion(ctx.config), key]);
    } else {
        edit.set_expire(Some(at_ms));
        edit.changed(event::EXPIRE);
        // That is how it came otherwise.
        if unit != Unit::UnixMillis {
            let mut buffer = itoa::Buffer::new();
            let absolute: [&[u8]; 3] = [b"PEXPIREAT", key, buffer.format(at_ms).as_bytes()];
            ctx.propagate_as(&[&absolute, options].concat());
        }
    }
    ctx.reply.integer(1);
    REPLIED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_without_overflow() {
        for (ms, seconds) in [
            (0, 0),
            (499, 0),
            (500, 1),
            (1499, 1),
            (1500, 2),
            (i64::MAX, 9_223_372_036_854_776),
        ] {
            assert_eq!(to_seconds(ms), seconds, "{ms}");
        }
    }
}
