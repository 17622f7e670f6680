//! Looking through a file, and telling what is in it and what is wrong with
//! it, in the words of redis-check-rdb.

use std::io::{self, Read, Write};

use super::file::FileSource;
use super::frame::{self, Record};
use super::{Limits, LoadError, Reader, Source};

/// What was found.
#[derive(Default)]
struct Found {
    keys: u64,
    expires: u64,
    expired: u64,
}

/// What ends the look.
struct Fault {
    at: u64,
    what: String,
    doing: &'static str,
    key: Option<Vec<u8>>,
}

/// Looks through the file that `source` is at the start of, up to the end of
/// the snapshot; true when it is sound. `now_ms`: Unix milliseconds.
///
/// # Errors
/// Of `out`.
pub fn check<R: Read>(
    source: &mut FileSource<R>,
    name: &str,
    limits: &Limits,
    now_ms: i64,
    out: &mut dyn Write,
) -> io::Result<bool> {
    writeln!(out, "[offset 0] Checking RDB file {name}")?;
    let mut found = Found::default();
    let fault = look(source, limits, now_ms, &mut found, out)?;
    match &fault {
        None => writeln!(out, "[offset {}] \\o/ RDB looks OK! \\o/", source.taken())?,
        Some(fault) => {
            writeln!(out, "--- RDB ERROR DETECTED ---")?;
            writeln!(out, "[offset {}] {}", fault.at, fault.what)?;
            writeln!(out, "[additional info] While doing: {}", fault.doing)?;
            if let Some(key) = &fault.key {
                let key = String::from_utf8_lossy(key);
                writeln!(out, "[additional info] Reading key '{key}'")?;
            }
        }
    }
    writeln!(out, "[info] {} keys read", found.keys)?;
    writeln!(out, "[info] {} expires", found.expires)?;
    writeln!(out, "[info] {} already expired", found.expired)?;
    Ok(fault.is_none())
}

fn text(error: &LoadError) -> String {
    match error {
        LoadError::Ended => "Unexpected EOF reading RDB file".into(),
        error => error.to_string(),
    }
}

fn look<R: Read>(
    source: &mut FileSource<R>,
    limits: &Limits,
    now_ms: i64,
    found: &mut Found,
    out: &mut dyn Write,
) -> io::Result<Option<Fault>> {
    let fault = |at, what, doing, key| {
        Ok(Some(Fault {
            at,
            what,
            doing,
            key,
        }))
    };
    let version = match source.take(9) {
        Err(error) => return fault(0, text(&error), "start", None),
        Ok(header) => match frame::version(header.try_into().expect("nine bytes were taken")) {
            Err(reason) => return fault(source.taken(), reason, "start", None),
            Ok(version) => version,
        },
    };
    let mut reader = Reader::new(&mut *source);
    loop {
        let record = reader.record(limits);
        let at = reader.source().taken();
        match record {
            Err((key, error)) => {
                let doing = if key.is_some() {
                    found.keys += 1;
                    "read-object-value"
                } else {
                    "read-type"
                };
                return fault(at, text(&error), doing, key);
            }
            Ok(Record::Key(record)) => {
                found.keys += 1;
                found.expires += u64::from(record.expire.is_some());
                found.expired += u64::from(record.expire.is_some_and(|at_ms| at_ms < now_ms));
            }
            Ok(Record::Aux(name, value)) => {
                let (name, value) = (
                    String::from_utf8_lossy(&name),
                    String::from_utf8_lossy(&value),
                );
                writeln!(out, "[offset {at}] AUX FIELD {name} = '{value}'")?;
            }
            Ok(Record::SelectDb(number)) => {
                writeln!(out, "[offset {at}] Selecting DB ID {number}")?;
            }
            Ok(Record::EmptyKey(key)) => {
                found.keys += 1;
                let what = "Unexpected EOF reading RDB file".into();
                return fault(at, what, "read-object-value", Some(key));
            }
            Ok(Record::ResizeDb(..) | Record::Function(_)) => {}
            Ok(Record::End) => break,
        }
    }
    if version < 5 {
        return Ok(None);
    }
    let reckoned = source.checksum().unwrap_or(0);
    let written = match source.take(8) {
        Err(error) => return fault(source.taken(), text(&error), "check-sum", None),
        Ok(bytes) => u64::from_le_bytes(bytes.try_into().expect("eight bytes were taken")),
    };
    let at = source.taken();
    if written == 0 {
        writeln!(
            out,
            "[offset {at}] RDB file was saved with checksum disabled: no check performed."
        )?;
    } else if written == reckoned {
        writeln!(out, "[offset {at}] Checksum OK")?;
    } else {
        return fault(at, "RDB CRC error".into(), "check-sum", None);
    }
    Ok(None)
}
