//! `redis-check-aof`: says whether a log, or one of its files, can be loaded,
//! and cuts off what cannot, or what came after a point in time. Output and
//! exit codes are those of Redis's tool.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::manifest::Manifest;
use super::os_error_text;

/// Longest line that annotates, bytes, its end included.
const NOTE_BYTES_MAX: usize = 1023;
/// Longest line with a length.
const LENGTH_BYTES_MAX: usize = 127;
/// Longest line of a manifest.
const MANIFEST_LINE_BYTES_MAX: usize = 1024;

/// Checks the snapshot at the front of a file; true when it is sound. It says
/// on the output what it found.
pub type CheckSnapshot =
    fn(&mut BufReader<File>, name: &str, out: &mut dyn Write) -> io::Result<bool>;

/// The check ends here, with exit code 1; all has been said.
struct Abort;

impl From<io::Error> for Abort {
    fn from(_: io::Error) -> Abort {
        // The output is gone: there is nobody to tell.
        Abort
    }
}

/// What to do with what is wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Look,
    Fix,
    /// Cut off what is younger than this, Unix seconds.
    Until(i64),
}

enum Verdict {
    Sound,
    Empty,
    Truncated,
    TruncatedToTime,
}

/// What came to an end before it should have, if anything is wrong with it.
type Broken = Option<String>;

/// Runs the tool with its arguments, its name first; gives the exit code.
pub fn main(
    args: &[std::ffi::OsString],
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    snapshot: CheckSnapshot,
) -> i32 {
    let words: Vec<&[u8]> = args.iter().skip(1).map(|arg| arg.as_bytes()).collect();
    let name = args
        .first()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    let mut tool = Tool {
        mode: Mode::Look,
        input,
        out,
        snapshot,
        line: 1,
    };
    let path = match words[..] {
        [path] => path,
        [b"--fix", path] => {
            tool.mode = Mode::Fix;
            path
        }
        [b"--truncate-to-timestamp", time, path] => {
            let time = std::str::from_utf8(time)
                .ok()
                .and_then(|time| time.trim_start().parse().ok());
            match time {
                // Redis: zero is the same as no time.
                Some(0) => {}
                Some(time) => tool.mode = Mode::Until(time),
                None => {
                    let _ = writeln!(tool.out, "Invalid timestamp, aborting...");
                    return 1;
                }
            }
            path
        }
        _ => {
            let _ = writeln!(
                tool.out,
                "Usage: {name} [--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>"
            );
            return 1;
        }
    };
    let code = match tool.check(Path::new(OsStr::from_bytes(path))) {
        Ok(()) => 0,
        Err(Abort) => 1,
    };
    let _ = tool.out.flush();
    code
}

struct Tool<'a> {
    mode: Mode,
    input: &'a mut dyn BufRead,
    out: &'a mut dyn Write,
    snapshot: CheckSnapshot,
    /// Number of the line; it goes on from file to file.
    line: u64,
}

impl Tool<'_> {
    fn say(&mut self, text: &str) -> Result<(), Abort> {
        writeln!(self.out, "{text}")?;
        Ok(())
    }

    fn abort<T>(&mut self, text: &str) -> Result<T, Abort> {
        self.say(text)?;
        Err(Abort)
    }

    /// Something that has to work.
    fn need<T>(&mut self, result: io::Result<T>, what: &str) -> Result<T, Abort> {
        match result {
            Ok(value) => Ok(value),
            Err(error) => self.abort(&what.replace("{}", &os_error_text(&error))),
        }
    }

    fn check(&mut self, path: &Path) -> Result<(), Abort> {
        let shown = path.display();
        let opened = File::open(path).and_then(|mut file| {
            let mut bytes = Vec::new();
            // A manifest is short; of other files the first bytes are enough.
            (&mut file).take(1 << 20).read_to_end(&mut bytes)?;
            Ok(bytes)
        });
        let front = self.need(opened, &format!("Cannot open file {shown}: {{}}"))?;
        if is_manifest(&front) {
            return self.parts(path);
        }
        self.say("Start checking Old-Style AOF")?;
        let name = shown.to_string();
        let verdict = self.file(&name, path, true, is_snapshot(&front))?;
        self.conclude("AOF", &name, verdict)
    }

    fn parts(&mut self, path: &Path) -> Result<(), Abort> {
        self.say("Start checking Multi Part AOF")?;
        let shown = path.display();
        let what =
            format!("Fatal error: can't open the AOF manifest file {shown} for reading: {{}}");
        let bytes = self.need(std::fs::read(path), &what)?;
        let manifest = match Manifest::parse(&bytes) {
            Ok(manifest) => manifest,
            Err(error) => {
                for line in error.lines() {
                    self.say(&line)?;
                }
                return Err(Abort);
            }
        };
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
            _ => PathBuf::from("."),
        };
        let total = manifest.loaded().count();
        let place = |name: &[u8]| -> (String, PathBuf) {
            let text = String::from_utf8_lossy(name).into_owned();
            (text, dir.join(OsStr::from_bytes(name)))
        };
        if let Some(base) = &manifest.base {
            let (name, path) = place(&base.name);
            let front = File::open(&path).and_then(|file| {
                let mut front = Vec::new();
                file.take(8).read_to_end(&mut front)?;
                Ok(front)
            });
            let front = self.need(front, &format!("Cannot open file {}: {{}}", path.display()))?;
            let preamble = is_snapshot(&front);
            let format = if preamble { "RDB" } else { "RESP" };
            self.say(&format!("Start to check BASE AOF ({format} format)."))?;
            let verdict = self.file(&name, &path, total == 1, preamble)?;
            self.conclude("BASE AOF", &name, verdict)?;
        }
        if !manifest.incr.is_empty() {
            self.say("Start to check INCR files.")?;
        }
        for (index, part) in manifest.incr.iter().enumerate() {
            let (name, path) = place(&part.name);
            let last = index + 1 == manifest.incr.len();
            let verdict = self.file(&name, &path, last, false)?;
            self.conclude("INCR AOF", &name, verdict)?;
        }
        self.say("All AOF files and manifest are valid")
    }

    fn conclude(&mut self, kind: &str, name: &str, verdict: Verdict) -> Result<(), Abort> {
        match (verdict, self.mode) {
            (Verdict::Sound, _) => self.say(&format!("{kind} {name} is valid")),
            (Verdict::Empty, _) => self.say(&format!("{kind} {name} is empty")),
            (Verdict::TruncatedToTime, Mode::Until(time)) => self.say(&format!(
                "Successfully truncated AOF {name} to timestamp {time}"
            )),
            _ => self.say(&format!("Successfully truncated AOF {name}")),
        }
    }

    fn file(
        &mut self,
        name: &str,
        path: &Path,
        last: bool,
        preamble: bool,
    ) -> Result<Verdict, Abort> {
        let opened = OpenOptions::new().read(true).write(true).open(path);
        let what = format!("Cannot open file {}: {{}}, aborting...", path.display());
        let file = self.need(opened, &what)?;
        let what = format!("Cannot stat file: {name}, aborting...");
        let size = self.need(file.metadata(), &what)?.len();
        if size == 0 {
            return Ok(Verdict::Empty);
        }
        let mut reader = BufReader::new(file);
        if preamble {
            let sound = (self.snapshot)(&mut reader, name, self.out)?;
            if !sound {
                return self.abort("RDB preamble of AOF file is not sane, aborting.");
            }
            self.say("RDB preamble is OK, proceeding with AOF tail...")?;
        }
        let offset = reader.stream_position()?;
        let mut log = Log {
            reader,
            offset,
            line: self.line,
            begun: 0,
        };
        let scan = self.commands(&mut log, name, path, last)?;
        self.line = log.line;
        let (sound, broken) = match scan {
            Scan::Cut => return Ok(Verdict::TruncatedToTime),
            Scan::Until(sound, broken) => (sound, broken),
        };
        if let Some(text) = broken {
            self.say(&text)?;
        }
        self.judge(&log, name, size, sound, last)
    }

    fn judge(
        &mut self,
        log: &Log,
        name: &str,
        size: u64,
        sound: u64,
        last: bool,
    ) -> Result<Verdict, Abort> {
        let excess = size - sound;
        if let (0, Mode::Until(time)) = (excess, self.mode) {
            self.say(&format!(
                "Truncate nothing in AOF {name} to timestamp {time}"
            ))?;
            return Ok(Verdict::Sound);
        }
        self.say(&format!(
            "AOF analyzed: filename={name}, size={size}, ok_up_to={sound}, ok_up_to_line={}, \
             diff={excess}",
            log.line
        ))?;
        if excess == 0 {
            return Ok(Verdict::Sound);
        }
        if self.mode != Mode::Fix {
            return self.abort(&format!(
                "AOF {name} is not valid. Use the --fix option to try fixing it."
            ));
        }
        if !last {
            return self.abort(&format!(
                "Failed to truncate AOF {name} because it is not the last file"
            ));
        }
        self.say(&format!(
            "This will shrink the AOF {name} from {size} bytes, with {excess} bytes, to {sound} bytes"
        ))?;
        write!(self.out, "Continue? [y/N]: ")?;
        self.out.flush()?;
        let mut answer = [0];
        let answered = self.input.read(&mut answer).unwrap_or(0);
        if answered == 0 || !answer[0].eq_ignore_ascii_case(&b'y') {
            return self.abort("Aborting...");
        }
        if log.reader.get_ref().set_len(sound).is_err() {
            return self.abort(&format!("Failed to truncate AOF {name}"));
        }
        Ok(Verdict::Truncated)
    }

    /// Goes through the commands as far as they make sense.
    fn commands(
        &mut self,
        log: &mut Log,
        name: &str,
        path: &Path,
        last: bool,
    ) -> Result<Scan, Abort> {
        let mut in_multi = false;
        let mut sound = log.offset;
        loop {
            if !in_multi {
                sound = log.offset;
            }
            let first = match log.reader.fill_buf() {
                Ok(bytes) => bytes.first().copied(),
                Err(_) => {
                    return self.abort(&format!("Failed to read from AOF {name}, aborting..."));
                }
            };
            match first {
                None => break,
                Some(b'#') => {
                    if !self.note(log, name, path, last)? {
                        return Ok(Scan::Cut);
                    }
                }
                Some(b'*') => {
                    if let Err(broken) = log.command(&mut in_multi, path) {
                        let missing = broken.is_none() && in_multi;
                        let broken = if missing { log.no_exec() } else { broken };
                        return Ok(Scan::Until(sound, broken));
                    }
                }
                Some(_) => {
                    self.say(&format!("AOF {name} format error"))?;
                    return Ok(Scan::Until(sound, None));
                }
            }
        }
        let broken = if in_multi { log.no_exec() } else { None };
        Ok(Scan::Until(sound, broken))
    }

    /// A line that annotates; false when the rest was cut off.
    fn note(&mut self, log: &mut Log, name: &str, path: &Path, last: bool) -> Result<bool, Abort> {
        log.begun = log.offset;
        let line = log.line(NOTE_BYTES_MAX);
        let shown = path.display();
        let line = match line {
            Ok(line) if !line.is_empty() => line,
            _ => {
                let text = format!("Failed to read annotations from AOF {shown}, aborting...");
                return self.abort(&text);
            }
        };
        let (Mode::Until(limit), Some(text)) = (self.mode, line.strip_prefix(b"#TS:")) else {
            return Ok(true);
        };
        let Some(time) = time_of(text) else {
            return self.abort("Invalid timestamp annotation");
        };
        if time <= limit {
            return Ok(true);
        }
        if log.begun == 0 {
            return self.abort(&format!(
                "AOF {shown} has nothing before timestamp {limit}, aborting..."
            ));
        }
        if !last {
            self.say(&format!(
                "Failed to truncate AOF {shown} to timestamp {limit} to offset {} because it is \
                 not the last file.",
                log.begun
            ))?;
            return self.abort(
                "If you insist, please delete all files after this file according to the manifest \
                 file and delete the corresponding records in manifest file manually. Then re-run \
                 redis-check-aof.",
            );
        }
        if log.reader.get_ref().set_len(log.begun).is_err() {
            return self.abort(&format!(
                "Failed to truncate AOF {shown} to timestamp {limit}"
            ));
        }
        let _ = name;
        Ok(false)
    }
}

enum Scan {
    /// What was younger than the given time has been cut off.
    Cut,
    /// It makes sense up to here.
    Until(u64, Broken),
}

fn is_snapshot(front: &[u8]) -> bool {
    front.len() >= 8 && front.starts_with(b"REDIS")
}

/// Whether a line begins as those of manifests do.
fn is_manifest(front: &[u8]) -> bool {
    front.split_inclusive(|byte| *byte == b'\n').any(|line| {
        let mut pieces = line.chunks(MANIFEST_LINE_BYTES_MAX);
        pieces.any(|piece| piece.starts_with(b"file"))
    })
}

/// The number in front of the end of an annotation.
fn time_of(text: &[u8]) -> Option<i64> {
    let end = text.iter().position(|byte| *byte == b'\r')?;
    let digits = std::str::from_utf8(&text[..end]).ok()?;
    digits.trim_start().parse().ok()
}

/// A file while it is read.
struct Log {
    reader: BufReader<File>,
    offset: u64,
    /// Number of the line.
    line: u64,
    /// Where what is read now began.
    begun: u64,
}

impl Log {
    /// Up to the end of the line, at most so many bytes.
    fn line(&mut self, max: usize) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        (&mut self.reader)
            .take(max as u64)
            .read_until(b'\n', &mut line)?;
        self.offset += line.len() as u64;
        Ok(line)
    }

    fn wrong<T>(&self, text: &str) -> Result<T, Broken> {
        Err(Some(format!("0x{:16x}: {text}", self.begun)))
    }

    fn no_exec(&self) -> Broken {
        let text = "Reached EOF before reading EXEC for MULTI";
        Some(format!("0x{:16x}: {text}", self.begun))
    }

    fn end_of_line(&mut self, end: &[u8]) -> Result<(), Broken> {
        if !end.starts_with(b"\r\n") {
            let byte = |at: usize| end.get(at).copied().unwrap_or_default();
            // Redis prints signed characters.
            let hex = |byte: u8| match byte {
                0..0x80 => format!("{byte:02x}"),
                _ => format!("ffffff{byte:02x}"),
            };
            let text = format!("Expected \\r\\n, got: {}{}", hex(byte(0)), hex(byte(1)));
            return self.wrong(&text);
        }
        self.line += 1;
        Ok(())
    }

    fn number(&mut self, prefix: u8) -> Result<i64, Broken> {
        self.begun = self.offset;
        let line = self.line(LENGTH_BYTES_MAX).map_err(|_| None)?;
        let Some(first) = line.first() else {
            return Err(None);
        };
        if *first != prefix {
            let (expected, got) = (char::from(prefix), char::from(*first));
            return self.wrong(&format!("Expected prefix '{expected}', got: '{got}'"));
        }
        let (number, end) = leading_number(&line[1..]);
        self.end_of_line(&line[1 + end..])?;
        Ok(number)
    }

    fn string(&mut self) -> Result<Vec<u8>, Broken> {
        let len = self.number(b'$')?;
        let Some(wanted) = u64::try_from(len).ok().filter(|_| len <= i64::MAX - 2) else {
            return self.wrong(&format!(
                "Expected to read string of {len} bytes, which is not in the suitable range"
            ));
        };
        self.begun = self.offset;
        // The length is not believed: memory is taken as bytes arrive.
        let mut bytes = Vec::new();
        let read = (&mut self.reader).take(wanted + 2).read_to_end(&mut bytes);
        let read = read.map_err(|_| None)? as u64;
        self.offset += read;
        if read != wanted + 2 {
            return self.wrong(&format!(
                "Expected to read {} bytes, got {read} bytes",
                wanted + 2
            ));
        }
        let end = bytes.split_off(wanted as usize);
        self.end_of_line(&end)?;
        Ok(bytes)
    }

    fn command(&mut self, in_multi: &mut bool, path: &Path) -> Result<(), Broken> {
        let argc = self.number(b'*')?;
        for index in 0..argc {
            let word = self.string()?;
            if index > 0 {
                continue;
            }
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            if is(b"multi") && std::mem::replace(in_multi, true) {
                return self.wrong(&format!("Unexpected MULTI in AOF {}", path.display()));
            }
            if is(b"exec") && !std::mem::replace(in_multi, false) {
                return self.wrong(&format!("Unexpected EXEC in AOF {}", path.display()));
            }
        }
        Ok(())
    }
}

/// As `strtol`: the number at the front, and where it ends.
fn leading_number(text: &[u8]) -> (i64, usize) {
    let blank = text
        .iter()
        .take_while(|byte| byte.is_ascii_whitespace())
        .count();
    let sign = usize::from(matches!(text.get(blank), Some(b'-' | b'+')));
    let from = blank + sign;
    let digits = text[from..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if digits == 0 {
        return (0, 0);
    }
    let negative = text.get(blank) == Some(&b'-');
    let number = text[from..from + digits].iter().fold(0i64, |sum, digit| {
        let digit = i64::from(digit - b'0');
        sum.saturating_mul(10).saturating_add(digit)
    });
    (if negative { -number } else { number }, from + digits)
}

/// Goes to where a snapshot ends, for those who have checked it.
///
/// # Errors
/// Of the file.
pub fn seek(reader: &mut BufReader<File>, offset: u64) -> io::Result<()> {
    reader.seek(SeekFrom::Start(offset)).map(|_| ())
}
