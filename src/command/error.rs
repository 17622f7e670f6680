//! Why a command was not carried out, with the words clients know.

use std::borrow::Cow;

use crate::keyspace::WrongType;

/// A refusal; only dispatch writes it out. The text is the whole error line
/// without the leading dash, its first word the code that INFO errorstats counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CmdError(Cow<'static, [u8]>);

/// Declares errors of fixed text.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        #[allow(non_upper_case_globals)]
        impl CmdError {
            $($(#[$doc])* pub const $name: CmdError = CmdError(Cow::Borrowed($text.as_bytes()));)*
        }
    };
}

texts! {
    /// Options that do not fit together or are not known.
    Syntax = "ERR syntax error";
    /// The key holds another type.
    WrongType = "WRONGTYPE Operation against a key holding the wrong kind of value";
    /// Not a 64-bit integer.
    NotInteger = "ERR value is not an integer or out of range";
    /// Not a number.
    NotFloat = "ERR value is not a valid float";
    /// A number outside of what the option takes.
    OutOfRange = "ERR value is out of range";
    /// A count that must be positive.
    MustBePositive = "ERR value is out of range, must be positive";
    /// A result that no longer fits.
    WouldOverflow = "ERR increment or decrement would overflow";
    /// A string beyond `proto-max-bulk-len`.
    StringTooLong = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    /// An offset beyond what is possible.
    OffsetOutOfRange = "ERR offset is out of range";
    /// The key that must exist does not.
    NoSuchKey = "ERR no such key";
    /// The key that must not exist does.
    BusyKey = "BUSYKEY Target key name already exists.";
    /// Source and destination are one.
    SameObject = "ERR source and destination objects are the same";
    /// A database that does not exist.
    DbOutOfRange = "ERR DB index is out of range";
    /// A password is needed first.
    NoAuth = "NOAUTH Authentication required.";
    /// A wrong user or password.
    WrongPass = "WRONGPASS invalid username-password pair or user is disabled.";
    /// The data set is being loaded.
    Loading = "LOADING Redis is loading the dataset in memory";
    /// The memory limit is reached.
    OutOfMemory = "OOM command not allowed when used memory > 'maxmemory'.";
}

/// Bytes of a client's word that an error repeats at most.
pub const SHOWN_BYTES_MAX: usize = 128;

/// The part of a client's word that an error repeats, at most `max` bytes.
/// Redis: to what it formats, a zero byte is the end.
pub fn shown(word: &[u8], max: usize) -> &[u8] {
    let end = word.iter().take(max).position(|byte| *byte == 0);
    &word[..end.unwrap_or(word.len().min(max))]
}

impl CmdError {
    /// An error of the general code: `ERR` and the text.
    pub fn err(text: impl AsRef<[u8]>) -> CmdError {
        CmdError::coded("ERR", text)
    }

    /// An error of a code of its own.
    pub fn coded(code: &str, text: impl AsRef<[u8]>) -> CmdError {
        let mut line = code.as_bytes().to_vec();
        line.push(b' ');
        line.extend_from_slice(text.as_ref());
        CmdError(Cow::Owned(line))
    }

    /// A whole error line, code included.
    pub fn line(line: Vec<u8>) -> CmdError {
        CmdError(Cow::Owned(line))
    }

    /// `wrong number of arguments` for a command by its full name.
    pub fn arity(full_name: &str) -> CmdError {
        CmdError::err(format!(
            "wrong number of arguments for '{full_name}' command"
        ))
    }

    /// A subcommand that its container does not have.
    pub fn unknown_subcommand(name: &[u8], container: &str) -> CmdError {
        let shown = shown(name, SHOWN_BYTES_MAX);
        let mut text = b"unknown subcommand '".to_vec();
        text.extend_from_slice(shown);
        text.extend_from_slice(
            format!("'. Try {} HELP.", container.to_ascii_uppercase()).as_bytes(),
        );
        CmdError::err(text)
    }

    /// A subcommand with arguments that it does not take, where the arity alone
    /// does not tell.
    pub fn subcommand_syntax(name: &[u8], container: &str) -> CmdError {
        let mut text = b"unknown subcommand or wrong number of arguments for '".to_vec();
        text.extend_from_slice(shown(name, SHOWN_BYTES_MAX));
        text.extend_from_slice(
            format!("'. Try {} HELP.", container.to_ascii_uppercase()).as_bytes(),
        );
        CmdError::err(text)
    }

    /// The error line without the dash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The code: the first word.
    pub fn code(&self) -> &[u8] {
        self.0.split(|byte| *byte == b' ').next().unwrap_or(b"ERR")
    }
}

impl From<WrongType> for CmdError {
    fn from(_: WrongType) -> CmdError {
        CmdError::WrongType
    }
}
