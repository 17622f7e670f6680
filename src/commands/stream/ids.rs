//! IDs as clients write them.

use crate::command::ctx::CmdError;
use crate::types::StreamId;
use crate::util::num::{canonical_i64, parse_u64_as_c};

/// Longer texts are no IDs.
const TEXT_BYTES_MAX: usize = 127;

fn invalid() -> CmdError {
    CmdError::err("Invalid stream ID specified as stream command argument")
}

/// A number of an ID, as Redis reads it: what is no plain integer goes to C's
/// `strtoull`.
fn number(text: &[u8]) -> Option<u64> {
    match canonical_i64(text) {
        Some(number) => u64::try_from(number).ok(),
        None => parse_u64_as_c(text),
    }
}

/// An ID where the sequence number may be left to the server.
pub(super) struct Partial {
    pub ms: u64,
    /// None: the next one.
    pub seq: Option<u64>,
}

/// Milliseconds and what follows the dash.
fn split(text: &[u8]) -> Option<(u64, Option<&[u8]>)> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    // As in C, where a zero byte is the end.
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    match text.iter().position(|byte| *byte == b'-') {
        None => Some((number(text)?, None)),
        Some(dash) => Some((number(&text[..dash])?, Some(&text[dash + 1..]))),
    }
}

fn parse(text: &[u8], missing_seq: u64) -> Option<StreamId> {
    let (ms, seq) = split(text)?;
    let seq = seq.map_or(Some(missing_seq), number)?;
    Some(StreamId::new(ms, seq))
}

/// A whole ID, or milliseconds alone with sequence 0; no `-` or `+`.
///
/// # Errors
/// Anything else, here and below.
pub(super) fn strict(text: &[u8]) -> Result<StreamId, CmdError> {
    parse(text, 0).ok_or_else(invalid)
}

/// As [`strict`], with `-` and `+` for the least and the greatest.
pub(super) fn any(text: &[u8], missing_seq: u64) -> Result<StreamId, CmdError> {
    match text {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => parse(text, missing_seq).ok_or_else(invalid),
    }
}

/// As [`strict`], or `ms-*`.
pub(super) fn partial(text: &[u8]) -> Result<Partial, CmdError> {
    let (ms, seq) = split(text).ok_or_else(invalid)?;
    let seq = match seq {
        Some(b"*") => None,
        Some(seq) => Some(number(seq).ok_or_else(invalid)?),
        None => Some(0),
    };
    Ok(Partial { ms, seq })
}

fn bound(text: &[u8], missing_seq: u64) -> Result<(StreamId, bool), CmdError> {
    match text {
        [b'(', open @ ..] if !open.is_empty() => {
            Ok((parse(open, missing_seq).ok_or_else(invalid)?, true))
        }
        _ => Ok((any(text, missing_seq)?, false)),
    }
}

/// The first ID of an interval.
pub(super) fn start(text: &[u8]) -> Result<StreamId, CmdError> {
    let (id, open) = bound(text, 0)?;
    if !open {
        return Ok(id);
    }
    id.next()
        .ok_or_else(|| CmdError::err("invalid start ID for the interval"))
}

/// The last ID of an interval.
pub(super) fn end(text: &[u8]) -> Result<StreamId, CmdError> {
    let (id, open) = bound(text, u64::MAX)?;
    if !open {
        return Ok(id);
    }
    id.prev()
        .ok_or_else(|| CmdError::err("invalid end ID for the interval"))
}
