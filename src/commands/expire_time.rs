//! Points in time as commands give them.

use crate::command::ctx::CmdError;
use crate::config::Config;
use crate::util::num;

/// What a number counts, and from where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    /// Seconds from now.
    Seconds,
    /// Milliseconds from now.
    Millis,
    /// Unix seconds.
    UnixSeconds,
    /// Unix milliseconds.
    UnixMillis,
}

/// The expiry options of SET and GETEX.
pub(super) const OPTIONS: [(&str, Unit); 4] = [
    ("EX", Unit::Seconds),
    ("PX", Unit::Millis),
    ("EXAT", Unit::UnixSeconds),
    ("PXAT", Unit::UnixMillis),
];

fn invalid(name: &str) -> CmdError {
    CmdError::err(format!("invalid expire time in '{name}' command"))
}

impl Unit {
    /// The Unix milliseconds of a number.
    ///
    /// # Errors
    /// When they do not fit, with the name of the command.
    pub(super) fn absolute(self, number: i64, now_ms: i64, name: &str) -> Result<i64, CmdError> {
        let ms = match self {
            Unit::Seconds | Unit::UnixSeconds => number.checked_mul(1000),
            Unit::Millis | Unit::UnixMillis => Some(number),
        };
        let at_ms = match self {
            Unit::Seconds | Unit::Millis => ms.and_then(|ms| ms.checked_add(now_ms)),
            Unit::UnixSeconds | Unit::UnixMillis => ms,
        };
        at_ms.ok_or_else(|| invalid(name))
    }

    /// The same of an argument that must be a positive number.
    ///
    /// # Errors
    /// Not an integer, not positive, or too far away.
    pub(super) fn positive(self, arg: &[u8], now_ms: i64, name: &str) -> Result<i64, CmdError> {
        let number = num::parse_i64(arg).ok_or(CmdError::NotInteger)?;
        if number <= 0 {
            return Err(invalid(name));
        }
        self.absolute(number, now_ms, name)
    }
}

/// The command that AOF and replicas get where a command has deleted a key
/// whose new expiry is over.
pub(super) fn deletion(config: &Config) -> &'static [u8] {
    match config.lazyfree_lazy_expire {
        true => b"UNLINK",
        false => b"DEL",
    }
}
