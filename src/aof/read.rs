//! Reading commands out of a log, without believing anything that it says.

use std::io::{self, Read};
use std::ops::Range;

/// Bytes read at once.
const CHUNK_BYTES: usize = 1024 * 1024;
/// Longest line that says how long something is, or annotates, bytes.
const LINE_BYTES_MAX: usize = 1024;

/// Why reading stops before the end.
#[derive(Debug)]
pub enum ReadFailure {
    /// The log ends in the middle of a command.
    Short,
    /// It is not a log, from here on.
    Format,
    /// The file cannot be read.
    Io(io::Error),
}

/// What stands at the front of the buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Front {
    /// A command that takes up so many bytes; its arguments are in the list.
    Command(usize),
    /// A line that annotates.
    Note(usize),
    /// The beginning of one of these, which needs at least so many bytes more.
    More(usize),
    /// Something else.
    Wrong,
}

/// A line without its end, and where the next begins.
enum Line<'a> {
    Here(&'a [u8], usize),
    More,
    TooLong,
}

fn line(bytes: &[u8], from: usize) -> Line<'_> {
    let rest = &bytes[from..];
    let window = &rest[..rest.len().min(LINE_BYTES_MAX)];
    match memchr::memchr(b'\n', window) {
        Some(end) => {
            let text = &window[..end];
            Line::Here(text.strip_suffix(b"\r").unwrap_or(text), from + end + 1)
        }
        None if window.len() == LINE_BYTES_MAX => Line::TooLong,
        None => Line::More,
    }
}

/// A count behind its mark: digits only.
fn count(text: &[u8]) -> Option<u64> {
    let digits = text.get(1..)?;
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |sum: u64, digit: &u8| sum * 10 + u64::from(digit - b'0');
    Some(digits.iter().fold(0, number))
}

/// Looks at the front of a log; the places of a command's arguments replace
/// what is in `args`.
pub fn front(bytes: &[u8], args: &mut Vec<Range<usize>>) -> Front {
    args.clear();
    match bytes.first() {
        None => return Front::More(1),
        Some(b'#') => {
            return match line(bytes, 0) {
                Line::Here(_, end) => Front::Note(end),
                Line::More => Front::More(1),
                Line::TooLong => Front::Wrong,
            };
        }
        Some(b'*') => {}
        Some(_) => return Front::Wrong,
    }
    let (argc, mut at) = match line(bytes, 0) {
        Line::Here(text, end) => match count(text) {
            Some(argc) if argc > 0 && i32::try_from(argc).is_ok() => (argc, end),
            _ => return Front::Wrong,
        },
        Line::More => return Front::More(1),
        Line::TooLong => return Front::Wrong,
    };
    for _ in 0..argc {
        match bytes.get(at) {
            None => return Front::More(1),
            Some(b'$') => {}
            Some(_) => return Front::Wrong,
        }
        let (len, start) = match line(bytes, at) {
            Line::Here(text, end) => match count(text).and_then(|len| usize::try_from(len).ok()) {
                Some(len) => (len, end),
                None => return Front::Wrong,
            },
            Line::More => return Front::More(1),
            Line::TooLong => return Front::Wrong,
        };
        let end = start + len;
        match bytes.get(end..end + 2) {
            Some(b"\r\n") => {}
            Some(_) => return Front::Wrong,
            None => return Front::More(end + 2 - bytes.len()),
        }
        args.push(start..end);
        at = end + 2;
    }
    Front::Command(at)
}

/// Reads the commands of a log one after the other.
pub struct LogReader<R> {
    source: R,
    /// Bytes that the source still has.
    left: u64,
    buf: Vec<u8>,
    start: usize,
    args: Vec<Range<usize>>,
    /// Where the buffer's unread part begins in the file.
    offset: u64,
}

impl<R: Read> LogReader<R> {
    /// Reads a source of so many bytes; positions count from `offset`.
    pub fn new(source: R, bytes: u64, offset: u64) -> LogReader<R> {
        LogReader {
            source,
            left: bytes,
            buf: Vec::new(),
            start: 0,
            args: Vec::new(),
            offset,
        }
    }

    /// Where the last command ended.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Goes on to the next command; false at the end.
    ///
    /// # Errors
    /// When there is none and it is not the end.
    pub fn advance(&mut self) -> Result<bool, ReadFailure> {
        loop {
            match front(&self.buf[self.start..], &mut self.args) {
                Front::Command(bytes) => {
                    for range in &mut self.args {
                        *range = self.start + range.start..self.start + range.end;
                    }
                    self.pass(bytes);
                    return Ok(true);
                }
                Front::Note(bytes) => self.pass(bytes),
                Front::Wrong => return Err(ReadFailure::Format),
                Front::More(_) if self.left == 0 => {
                    return match self.start == self.buf.len() {
                        true => Ok(false),
                        false => Err(ReadFailure::Short),
                    };
                }
                // What a length promises need not be there.
                Front::More(bytes) if bytes as u64 > self.left => return Err(ReadFailure::Short),
                Front::More(bytes) => self.fill(bytes).map_err(ReadFailure::Io)?,
            }
        }
    }

    /// The arguments of the command.
    pub fn args(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.args.iter().map(|range| &self.buf[range.clone()])
    }

    fn pass(&mut self, bytes: usize) {
        self.start += bytes;
        self.offset += bytes as u64;
    }

    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        self.buf.drain(..self.start);
        self.start = 0;
        let kept = self.buf.len();
        // Twice of what is there, so that a long command is not looked at
        // again for every chunk of it.
        let more = wanted.max(CHUNK_BYTES).max(kept) as u64;
        let more = more.min(self.left);
        let read = (&mut self.source).take(more).read_to_end(&mut self.buf)?;
        self.left = if (read as u64) < more {
            0
        } else {
            self.left - more
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (Vec<String>, u64, String) {
        let mut reader = LogReader::new(bytes, bytes.len() as u64, 0);
        let mut found = Vec::new();
        loop {
            match reader.advance() {
                Ok(true) => {
                    let words: Vec<String> = reader
                        .args()
                        .map(|arg| String::from_utf8_lossy(arg).into_owned())
                        .collect();
                    found.push(words.join(" "));
                }
                Ok(false) => return (found, reader.offset(), "end".into()),
                Err(failure) => return (found, reader.offset(), format!("{failure:?}")),
            }
        }
    }

    #[test]
    fn commands_and_notes_are_read() {
        let log = b"#TS:1\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n*1\n$4\nPING\r\n";
        let expected = vec!["GET ".to_owned(), "PING".to_owned()];
        assert_eq!(read(log), (expected, log.len() as u64, "end".into()));
    }

    #[test]
    fn wherever_it_is_cut_the_rest_is_known_to_be_missing() {
        let log = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n#TS:12\r\n*1\r\n$4\r\nPING\r\n";
        let (first, note) = (20, 28);
        for cut in 0..=log.len() {
            let (found, offset, how) = read(&log[..cut]);
            let whole = [0, first, note, log.len()].contains(&cut);
            assert_eq!(how, if whole { "end" } else { "Short" }, "{cut}");
            assert_eq!(
                found.len(),
                usize::from(cut >= first) + usize::from(cut == log.len())
            );
            assert!(offset <= cut as u64);
        }
    }

    #[test]
    fn lengths_are_not_believed() {
        for (log, expected) in [
            (&b"*1\r\n$99999999999\r\nx"[..], "Short"),
            (b"*2000000000\r\n$1\r\nx\r\n", "Short"),
            (b"*2147483648\r\n", "Format"),
            (b"*1\r\n$-1\r\n", "Format"),
            (b"*0\r\n", "Format"),
            (b"*1\r\n$1\r\nxyz", "Format"),
            (b"!!!", "Format"),
            (b"*1x\r\n", "Format"),
        ] {
            assert_eq!(read(log).2, expected, "{}", log.escape_ascii());
        }
    }
}
