//! The arguments of a command, taken one after the other.

use bytes::Bytes;

use super::error::CmdError;
use crate::util::num;

/// Arguments of one call, the names of command and subcommand included.
#[derive(Clone)]
pub struct Args<'a> {
    argv: &'a [&'a [u8]],
    /// The same arguments where they are shareable (long ones, queued ones).
    shared: &'a [Bytes],
    next: usize,
}

impl<'a> Args<'a> {
    /// Arguments whose names end before `next`.
    #[inline]
    pub fn new(argv: &'a [&'a [u8]], shared: &'a [Bytes], next: usize) -> Args<'a> {
        Args { argv, shared, next }
    }

    /// All arguments, names included.
    #[inline]
    pub fn argv(&self) -> &'a [&'a [u8]] {
        self.argv
    }

    /// How many are left.
    pub fn left(&self) -> usize {
        self.argv.len() - self.next
    }

    /// Those that are left.
    pub fn rest(&self) -> &'a [&'a [u8]] {
        &self.argv[self.next..]
    }

    /// The next argument without taking it.
    pub fn peek(&self) -> Option<&'a [u8]> {
        self.argv.get(self.next).copied()
    }

    /// The next argument, if there is one.
    #[inline]
    pub fn next_arg(&mut self) -> Option<&'a [u8]> {
        let arg = self.argv.get(self.next).copied()?;
        self.next += 1;
        Some(arg)
    }

    /// The next argument.
    ///
    /// # Errors
    /// A syntax error when there is none.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], CmdError> {
        self.next_arg().ok_or(CmdError::Syntax)
    }

    /// The next `count` arguments.
    ///
    /// # Errors
    /// A syntax error when there are fewer.
    pub fn take(&mut self, count: usize) -> Result<&'a [&'a [u8]], CmdError> {
        let taken = self.rest().get(..count).ok_or(CmdError::Syntax)?;
        self.next += count;
        Ok(taken)
    }

    /// The next argument, a key.
    ///
    /// # Errors
    /// As [`Args::bytes`].
    #[inline]
    pub fn key(&mut self) -> Result<&'a [u8], CmdError> {
        self.bytes()
    }

    /// The next argument as it can be kept without a copy, when it is one that
    /// was received on its own.
    pub fn peek_shared(&self) -> Option<&'a Bytes> {
        self.shared.get(self.next)
    }

    /// The next argument, an integer.
    ///
    /// # Errors
    /// Syntax, or not an integer.
    #[inline]
    pub fn int(&mut self) -> Result<i64, CmdError> {
        num::parse_i64(self.bytes()?).ok_or(CmdError::NotInteger)
    }

    /// The next argument, an integer within bounds.
    ///
    /// # Errors
    /// Syntax, not an integer, or out of range.
    pub fn int_in(&mut self, range: std::ops::RangeInclusive<i64>) -> Result<i64, CmdError> {
        let value = self.int()?;
        if range.contains(&value) {
            Ok(value)
        } else {
            Err(CmdError::OutOfRange)
        }
    }

    /// The next argument, an integer within bounds that the error names
    /// (Redis: getRangeLongFromObjectOrReply).
    ///
    /// # Errors
    /// Syntax, not an integer, or out of range.
    pub fn int_between(&mut self, min: i64, max: i64) -> Result<i64, CmdError> {
        let value = self.int()?;
        if (min..=max).contains(&value) {
            return Ok(value);
        }
        Err(CmdError::err(format!(
            "value is out of range, value must between {min} and {max}"
        )))
    }

    /// The next argument, a double.
    ///
    /// # Errors
    /// Syntax, or not a number.
    pub fn float(&mut self) -> Result<f64, CmdError> {
        num::parse_f64(self.bytes()?).ok_or(CmdError::NotFloat)
    }

    /// The next argument, the seconds that a command may wait: until when,
    /// Unix milliseconds, or none for ever (0).
    ///
    /// # Errors
    /// Syntax, not a number, or negative.
    pub fn wait_until(&mut self, now_ms: i64) -> Result<Option<i64>, CmdError> {
        let seconds = num::LongDouble::parse(self.bytes()?)
            .ok_or_else(|| CmdError::err("timeout is not a float or out of range"))?;
        // Redis: what does not fit an integer counts as negative.
        let timeout_ms = seconds
            .ceil_of_thousandfold()
            .filter(|timeout_ms| *timeout_ms >= 0);
        let timeout_ms = timeout_ms.ok_or_else(|| CmdError::err("timeout is negative"))?;
        Ok((timeout_ms > 0).then(|| now_ms.saturating_add(timeout_ms)))
    }

    /// Takes the next argument if it is this word, in any case.
    pub fn take_word(&mut self, word: &str) -> bool {
        let found = self
            .peek()
            .is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
        self.next += usize::from(found);
        found
    }

    /// The next argument must be the last.
    ///
    /// # Errors
    /// A syntax error when something is left.
    pub fn end(&self) -> Result<(), CmdError> {
        if self.left() == 0 {
            Ok(())
        } else {
            Err(CmdError::Syntax)
        }
    }
}
