//! Counts replies in a byte stream and refuses any that is not the expected one.
//!
//! Far less than a RESP parser: it knows the reply shapes the benches cause, and it never
//! allocates while replies are right.

use memchr::memchr;

/// Longest reply line kept across two reads; an error text longer than that is cut.
const LINE_BYTES_MAX: usize = 256;

/// The one shape all replies of a workload have.
#[derive(Clone, Debug)]
pub enum Expected {
    /// `+OK`
    Ok,
    /// `:N`
    Integer,
    /// A bulk string of one certain length.
    Bulk {
        /// The header line with its line end.
        header: Vec<u8>,
        /// Bytes after the header, line end included.
        body_bytes: usize,
    },
    /// Anything but an error, arrays of anything included.
    Any,
}

impl Expected {
    /// A bulk string of `length` bytes.
    pub fn bulk(length: usize) -> Expected {
        Expected::Bulk {
            header: format!("${length}\r\n").into_bytes(),
            body_bytes: length + 2,
        }
    }

    /// Bytes that follow `line` in the same value, and values that follow it in the same reply,
    /// or None when it is the wrong line.
    #[inline]
    fn follows(&self, line: &[u8]) -> Option<(usize, usize)> {
        if let Expected::Any = self {
            return anything(line);
        }
        Some((self.body_bytes(line)?, 0))
    }

    fn body_bytes(&self, line: &[u8]) -> Option<usize> {
        match self {
            Expected::Any => None,
            Expected::Ok => (line == b"+OK\r\n").then_some(0),
            Expected::Integer => {
                let right = line.len() > 3 && line[0] == b':' && line.ends_with(b"\r\n");
                right.then_some(0)
            }
            Expected::Bulk { header, body_bytes } => (line == header).then_some(*body_bytes),
        }
    }
}

/// What follows a line of any reply that is no error.
fn anything(line: &[u8]) -> Option<(usize, usize)> {
    let (kind, rest) = line.split_first()?;
    let number = || -> Option<i64> {
        std::str::from_utf8(rest.trim_ascii_end())
            .ok()?
            .parse()
            .ok()
    };
    match kind {
        b'+' | b':' => Some((0, 0)),
        b'$' => Some((usize::try_from(number()?).map_or(0, |bytes| bytes + 2), 0)),
        b'*' => Some((0, usize::try_from(number()?).unwrap_or(0))),
        _ => None,
    }
}

/// A reply that is not the expected one: its first line.
#[derive(Debug)]
pub struct WrongReply(pub String);

/// Where in the reply stream of one connection the scan stands.
#[derive(Debug)]
pub struct Scanner {
    body_left: usize,
    /// Values that the reply under way has yet to bring, the one under way included.
    values_left: usize,
    line: [u8; LINE_BYTES_MAX],
    line_bytes: usize,
}

impl Scanner {
    /// At the start of a reply.
    pub fn new() -> Scanner {
        Scanner {
            body_left: 0,
            values_left: 0,
            line: [0; LINE_BYTES_MAX],
            line_bytes: 0,
        }
    }

    /// Takes the next received bytes; the number of replies that ended in them.
    #[inline]
    pub fn feed(&mut self, expected: &Expected, mut input: &[u8]) -> Result<usize, WrongReply> {
        let mut replies = 0;
        loop {
            if self.body_left > 0 {
                let taken = self.body_left.min(input.len());
                self.body_left -= taken;
                input = &input[taken..];
                if self.body_left > 0 {
                    return Ok(replies);
                }
                self.values_left -= 1;
                replies += usize::from(self.values_left == 0);
            }
            if input.is_empty() {
                return Ok(replies);
            }
            let Some(end) = memchr(b'\n', input) else {
                self.keep(input)?;
                return Ok(replies);
            };
            let (head, rest) = input.split_at(end + 1);
            input = rest;
            let line = if self.line_bytes == 0 {
                head
            } else {
                self.keep(head)?;
                &self.line[..std::mem::take(&mut self.line_bytes)]
            };
            let Some((body_bytes, values)) = expected.follows(line) else {
                return Err(wrong(line));
            };
            self.values_left = self.values_left.max(1) + values;
            if body_bytes > 0 {
                self.body_left = body_bytes;
            } else {
                self.values_left -= 1;
                replies += usize::from(self.values_left == 0);
            }
        }
    }

    /// Keeps the start of a line for the next call.
    fn keep(&mut self, part: &[u8]) -> Result<(), WrongReply> {
        let end = self.line_bytes + part.len();
        if end > LINE_BYTES_MAX {
            return Err(wrong(&self.line[..self.line_bytes]));
        }
        self.line[self.line_bytes..end].copy_from_slice(part);
        self.line_bytes = end;
        Ok(())
    }
}

fn wrong(line: &[u8]) -> WrongReply {
    WrongReply(String::from_utf8_lossy(line).trim_end().to_owned())
}

/// Checks the scanner itself: benches have no test harness, and a wrong count is a wrong figure.
///
/// Every stream is cut at every possible pair of places.
pub fn self_check() {
    check(&Expected::Ok, b"+OK\r\n+OK\r\n", Some(2));
    check(&Expected::Integer, b":1\r\n:-20\r\n:300\r\n", Some(3));
    check(&Expected::bulk(3), b"$3\r\na\r\n\r\n$3\r\nxyz\r\n", Some(2));
    check(&Expected::bulk(3), b"$-1\r\n", None);
    check(&Expected::bulk(3), b"$3\r\nabc\r\n$2\r\nab\r\n", None);
    check(&Expected::Integer, b":1\r\n-ERR no\r\n", None);
    check(&Expected::Ok, b"+OK\r\n$2\r\nOK\r\n", None);
    let nested = b"*2\r\n$1\r\na\r\n*2\r\n:1\r\n$-1\r\n*0\r\n:5\r\n*-1\r\n";
    check(&Expected::Any, nested, Some(4));
    check(&Expected::Any, b"*1\r\n-ERR no\r\n", None);
}

fn check(expected: &Expected, stream: &[u8], replies: Option<usize>) {
    for first in 0..=stream.len() {
        for second in first..=stream.len() {
            let mut scanner = Scanner::new();
            let parts = [&stream[..first], &stream[first..second], &stream[second..]];
            let counted: Result<usize, WrongReply> =
                parts.iter().map(|part| scanner.feed(expected, part)).sum();
            assert_eq!(
                counted.ok(),
                replies,
                "{expected:?} cut at {first}, {second}"
            );
        }
    }
}
