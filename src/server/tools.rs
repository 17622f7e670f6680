//! The program under other names: tools that come with Redis.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::aof::check;
use crate::commands::generic::dump::limits;
use crate::config::Config;
use crate::rdb;
use crate::rdb::file::FileSource;
use crate::version::REDIS_VERSION;

/// Runs the tool that the program was called as, if it was.
pub fn run(args: &[OsString]) -> Option<ExitCode> {
    let name = args.first()?.as_bytes();
    let called = |tool: &[u8]| name.windows(tool.len()).any(|part| part == tool);
    let mut out = io::stdout().lock();
    let code = if called(b"redis-check-aof") {
        check::main(args, &mut io::stdin().lock(), &mut out, check_snapshot)
    } else if called(b"redis-check-rdb") {
        check_rdb(args, &mut out)
    } else {
        return None;
    };
    Some(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// redis-check-rdb; gives the exit code.
fn check_rdb(args: &[OsString], out: &mut dyn Write) -> i32 {
    let [program, path] = args else {
        let program = args.first().map(OsString::as_os_str).unwrap_or_default();
        eprintln!("Usage: {} <rdb-file-name>", program.display());
        return 1;
    };
    let _ = program;
    if path == "-v" || path == "--version" {
        let printed = writeln!(out, "redis-check-rdb {REDIS_VERSION}");
        return i32::from(printed.is_err());
    }
    let name = path.to_string_lossy();
    let checked =
        File::open(path).and_then(|file| look_through(file, &name, out).map(|(ok, _)| ok));
    match checked {
        Ok(sound) => i32::from(!sound),
        // Redis: a file that cannot be opened is only told by the exit code.
        Err(_) => 1,
    }
}

/// Looks through a snapshot from where the file is; whether it is sound, and
/// how many bytes it has.
fn look_through(file: File, name: &str, out: &mut dyn Write) -> io::Result<(bool, u64)> {
    let mut source = FileSource::new(file, true);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ms = now.unwrap_or_default().as_millis() as i64;
    let limits = limits(&Config::default());
    let sound = rdb::check::check(&mut source, name, &limits, now_ms, out)?;
    Ok((sound, source.taken()))
}

/// What redis-check-rdb says of a snapshot that could not be loaded: where it
/// is wrong. None when it cannot be read, or is none of a version that is known.
pub(super) fn report(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let mut header = [0; 9];
    file.read_exact(&mut header).ok()?;
    rdb::frame::version(&header).ok()?;
    file.rewind().ok()?;
    let mut out = Vec::new();
    look_through(file, &path.display().to_string(), &mut out).ok()?;
    Some(String::from_utf8_lossy(&out).into_owned())
}

/// Looks through the snapshot that an append-only file begins with.
fn check_snapshot(file: &mut BufReader<File>, name: &str, out: &mut dyn Write) -> io::Result<bool> {
    let start = file.stream_position()?;
    let mut same = file.get_ref().try_clone()?;
    same.seek(SeekFrom::Start(start))?;
    let (sound, bytes) = look_through(same, name, out)?;
    file.seek(SeekFrom::Start(start + bytes))?;
    Ok(sound)
}
