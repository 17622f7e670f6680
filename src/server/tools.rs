//! The program under other names: tools that come with Redis.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use crate::aof::check;
use crate::commands::generic::dump::limits;
use crate::config::Config;
use crate::rdb::frame::{self, Checksum, Record};
use crate::rdb::{Reader, StreamSource};

/// Runs the tool that the program was called as, if it was.
pub fn run(args: &[OsString]) -> Option<ExitCode> {
    let name = args.first()?.as_bytes();
    let called = |tool: &[u8]| name.windows(tool.len()).any(|part| part == tool);
    if !called(b"redis-check-aof") {
        return None;
    }
    let mut out = io::stdout().lock();
    let code = check::main(args, &mut io::stdin().lock(), &mut out, check_snapshot);
    Some(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// What was found in a snapshot.
#[derive(Default)]
struct Found {
    keys: u64,
    expires: u64,
    expired: u64,
}

/// Reads a snapshot through, and says what was found.
fn check_snapshot(file: &mut BufReader<File>, name: &str, out: &mut dyn Write) -> io::Result<bool> {
    writeln!(out, "[offset 0] Checking RDB file {name}")?;
    let mut found = Found::default();
    let checked = read_through(file, &mut found);
    let at = file.stream_position()?;
    match &checked {
        Ok(sum) => {
            writeln!(out, "[offset {at}] {sum}")?;
            writeln!(out, "[offset {at}] \\o/ RDB looks OK! \\o/")?;
        }
        Err(reason) => {
            writeln!(out, "--- RDB ERROR DETECTED ---")?;
            writeln!(out, "[offset {at}] {reason}")?;
        }
    }
    writeln!(out, "[info] {} keys read", found.keys)?;
    writeln!(out, "[info] {} expires", found.expires)?;
    writeln!(out, "[info] {} already expired", found.expired)?;
    Ok(checked.is_ok())
}

/// Sums up what passes through.
struct Summing<'a> {
    file: &'a mut BufReader<File>,
    sum: Checksum,
}

impl Read for Summing<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buf)?;
        self.sum.update(&buf[..read]);
        Ok(read)
    }
}

fn read_through(file: &mut BufReader<File>, found: &mut Found) -> Result<&'static str, String> {
    let mut source = Summing {
        file,
        sum: Checksum::default(),
    };
    let mut header = [0; 9];
    let read = source.read_exact(&mut header);
    read.map_err(|error| error.to_string())?;
    let version = frame::version(&header)?;
    let mut reader = Reader::new(StreamSource::new(&mut source));
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now_ms = since_epoch.unwrap_or_default().as_millis() as i64;
    let limits = limits(&Config::default());
    loop {
        match reader.record(&limits) {
            Ok(Record::Key(record)) => {
                found.keys += 1;
                found.expires += u64::from(record.expire.is_some());
                found.expired += u64::from(record.expire.is_some_and(|at_ms| at_ms < now_ms));
            }
            Ok(Record::End) => break,
            Ok(_) => {}
            Err((_, error)) => return Err(error.to_string()),
        }
    }
    drop(reader);
    if version < 5 {
        return Ok("No checksum in this version");
    }
    let found = source.sum.finish();
    let mut written = [0; 8];
    let read = file.read_exact(&mut written);
    read.map_err(|error| error.to_string())?;
    match u64::from_le_bytes(written) {
        0 => Ok("RDB file was saved with checksum disabled: no check performed."),
        written if written == found => Ok("Checksum OK"),
        _ => Err("RDB CRC error".into()),
    }
}
