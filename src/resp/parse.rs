//! Requests: multi-bulk and inline, as they arrive.
//!
//! A request that lies whole in the buffer is only pointed at. One that is
//! long or announces a big argument is taken over piece by piece, so that no
//! byte is looked at twice and a big argument is received in place; memory is
//! allocated as bytes arrive, never by what a length promises.

use std::ops::Range;

use bytes::Bytes;

use crate::util::{args, num};

/// Longest inline request and length line, bytes (Redis: PROTO_INLINE_MAX_SIZE).
pub const INLINE_BYTES_MAX: usize = 64 * 1024;
/// Argument length from which it is received in a buffer of its own, bytes.
pub const BIG_ARG_BYTES: usize = 32 * 1024;
/// Bytes of an unfinished request after which its arguments are taken over.
const TAKE_OVER_BYTES: usize = 16 * 1024;
/// Most arguments of a request of the common kind, and the longest of them.
const COMMON_ARGS_MAX: usize = 16;
const COMMON_ARG_BYTES_MAX: u64 = 16 * 1024;
/// Least that is reserved for a big argument; beyond, it doubles as it fills.
const RESERVE_BYTES: usize = 256 * 1024;
/// Most that is kept for the next big argument.
const SPARE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a client may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest argument, bytes (`proto-max-bulk-len`, or 16 KiB before AUTH).
    pub bulk_bytes_max: u64,
    /// Most arguments (2^31 - 1, or 10 before AUTH).
    pub args_max: i64,
    /// Whether the client still has to authenticate.
    pub unauthenticated: bool,
}

impl Limits {
    /// Limits of a client that may run commands.
    pub fn authenticated(bulk_bytes_max: u64) -> Limits {
        Limits {
            bulk_bytes_max,
            args_max: i64::from(i32::MAX),
            unauthenticated: false,
        }
    }

    /// Limits before AUTH (Redis: authRequired).
    pub fn unauthenticated(bulk_bytes_max: u64) -> Limits {
        Limits {
            unauthenticated: true,
            ..Limits::authenticated(bulk_bytes_max)
        }
    }
}

/// A request that cannot be understood; the connection ends with its text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProtocolError(pub Vec<u8>);

fn error<T>(text: &str) -> Result<T, ProtocolError> {
    Err(ProtocolError(
        [b"Protocol error: ", text.as_bytes()].concat(),
    ))
}

/// What the parser found at the front of the buffer.
#[derive(Debug)]
pub enum Request {
    /// A whole request; its arguments are the ranges put into the list.
    Here {
        /// Bytes that it takes up.
        consumed: usize,
    },
    /// A whole request whose arguments were taken over.
    Owned {
        /// Bytes used up now.
        consumed: usize,
        /// Its arguments.
        args: Vec<Bytes>,
    },
    /// Nothing to execute (an empty line, `*0`).
    Empty {
        /// Bytes used up.
        consumed: usize,
    },
    /// More bytes are needed.
    Incomplete {
        /// Bytes used up nevertheless.
        consumed: usize,
    },
}

/// A request taken over before it was complete.
#[derive(Debug, Default)]
struct Pending {
    args: Vec<Bytes>,
    args_left: usize,
    /// The argument being received, and its full length.
    bulk: Option<(Vec<u8>, usize)>,
    /// Line end bytes still to skip.
    skip: usize,
    bytes: usize,
}

/// The state of one connection between reads.
#[derive(Debug, Default)]
pub struct Parser {
    pending: Option<Box<Pending>>,
    /// Room for the next big argument: who sent one will send another.
    spare: Vec<u8>,
}

enum Line<'a> {
    Missing,
    Found { text: &'a [u8], next: usize },
}

/// The line at `at`: up to a CR, with one more byte behind it that is skipped
/// unseen (as Redis does).
#[inline]
fn line(buf: &[u8], at: usize) -> Line<'_> {
    match memchr::memchr(b'\r', &buf[at..]) {
        Some(len) if at + len + 1 < buf.len() => Line::Found {
            text: &buf[at..at + len],
            next: at + len + 2,
        },
        _ => Line::Missing,
    }
}

/// A complete length line of the kind at `at` with a plain number of up to
/// eight digits, and where the next line begins: the common case without a
/// search. None: look closer.
#[inline]
fn short_length(buf: &[u8], at: usize, kind: u8) -> Option<(usize, usize)> {
    const DIGITS_MAX: usize = 8;
    let text = buf.get(at..)?;
    // One and two digits first, which is what nearly all lengths have; a whole
    // request has at least six bytes from here on.
    if let Some(&[first, tens, ones, end, ..]) = text.first_chunk::<6>() {
        if first != kind || !tens.is_ascii_digit() {
            return None;
        }
        let tens = usize::from(tens - b'0');
        if ones == b'\r' {
            return Some((tens, at + 4));
        }
        if end == b'\r' && tens > 0 && ones.is_ascii_digit() {
            return Some((tens * 10 + usize::from(ones - b'0'), at + 5));
        }
    }
    match *text {
        [first, b'0', b'\r', _, ..] if first == kind => return Some((0, at + 4)),
        [first, b'1'..=b'9', ..] if first == kind => {}
        _ => return None,
    }
    let mut number = 0;
    for (index, byte) in text[1..].iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            let next = index + 3;
            return (*byte == b'\r' && next <= text.len()).then_some((number, at + next));
        }
        if index == DIGITS_MAX {
            return None;
        }
        number = number * 10 + usize::from(digit);
    }
    None
}

/// Whether a line without an end is longer than any may be. Redis: what is
/// behind a NUL is not seen, so a line with one never ends.
fn too_long(buf: &[u8], at: usize) -> bool {
    let rest = &buf[at..];
    rest.len() > INLINE_BYTES_MAX
        && memchr::memchr2(b'\r', 0, rest).is_none_or(|end| rest[end] == 0)
}

/// Why a line that is there makes no sense.
enum BadLine {
    /// It has a NUL and counts as not ended.
    Endless,
    Error(ProtocolError),
}

impl BadLine {
    fn new<T>(line: &[u8], text: &str) -> Result<T, BadLine> {
        if memchr::memchr(0, line).is_some() {
            return Err(BadLine::Endless);
        }
        error(text).map_err(BadLine::Error)
    }
}

fn bulk_length(text: &[u8], limits: &Limits) -> Result<usize, BadLine> {
    match text {
        [b'$', digits @ ..] => match num::parse_i64(digits) {
            Some(len) if len >= 0 && len as u64 <= limits.bulk_bytes_max => {
                if limits.unauthenticated && len > 16 * 1024 {
                    return BadLine::new(text, "unauthenticated bulk length");
                }
                Ok(len as usize)
            }
            _ => BadLine::new(text, "invalid bulk length"),
        },
        [0, ..] => Err(BadLine::Endless),
        _ => {
            // The byte looked at is the CR where the line is empty.
            let got = text.first().copied().unwrap_or(b'\r');
            let quoted: &[&[u8]] = &[b"Protocol error: expected '$', got '", &[got], b"'"];
            Err(BadLine::Error(ProtocolError(quoted.concat())))
        }
    }
}

impl Parser {
    /// Bytes held for an unfinished request, beside the connection's buffer.
    pub fn held_bytes(&self) -> usize {
        self.pending.as_ref().map_or(0, |pending| pending.bytes)
    }

    /// Those of them that belong to the argument being received.
    pub fn unfinished_bytes(&self) -> usize {
        match self.pending.as_deref() {
            Some(Pending {
                bulk: Some((bulk, _)),
                ..
            }) => bulk.len(),
            Some(Pending {
                skip: 1.., args, ..
            }) => args.last().map_or(0, Bytes::len),
            _ => 0,
        }
    }

    /// The big argument being received and how many of its bytes are missing:
    /// the connection reads straight into it.
    pub fn receiving(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        let (bulk, len) = self.pending.as_mut()?.bulk.as_mut()?;
        let missing = *len - bulk.len();
        if missing == 0 {
            return None;
        }
        if bulk.capacity() == bulk.len() {
            bulk.reserve_exact(missing.min(bulk.len().max(RESERVE_BYTES)));
        }
        Some((bulk, missing))
    }

    /// Bytes of the big argument being received that have neither come nor
    /// been made room for.
    pub fn announced_bytes(&self) -> usize {
        let bulk = self
            .pending
            .as_ref()
            .and_then(|pending| pending.bulk.as_ref());
        bulk.map_or(0, |(bulk, len)| len.saturating_sub(bulk.capacity()))
    }

    /// Bytes kept for what is to come of this big argument, and for the next.
    pub fn spare_bytes(&self) -> usize {
        let bulk = self
            .pending
            .as_ref()
            .and_then(|pending| pending.bulk.as_ref());
        self.spare.capacity() + bulk.map_or(0, |(bulk, _)| bulk.capacity() - bulk.len())
    }

    /// Keeps no more than this for the next big argument.
    pub fn trim_spare(&mut self, bytes: usize) {
        if self.spare.capacity() > bytes {
            self.spare = if bytes < BIG_ARG_BYTES {
                Vec::new()
            } else {
                Vec::with_capacity(bytes)
            };
        }
    }

    /// Says that `count` bytes were read into the argument of [`Parser::receiving`].
    pub fn received(&mut self, count: usize) {
        if let Some(pending) = &mut self.pending {
            pending.bytes += count;
        }
    }

    /// A request at the front of `buf` of the common kind: whole, of few and
    /// short arguments. Gives the bytes that it takes up and adds its arguments
    /// to `ranges`; None: look closer.
    #[inline]
    fn next_common(
        &self,
        buf: &[u8],
        ranges: &mut Vec<Range<u32>>,
        limits: &Limits,
    ) -> Option<usize> {
        if self.pending.is_some() || limits.unauthenticated {
            return None;
        }
        let (count, mut at) = short_length(buf, 0, b'*')?;
        if !(1..=COMMON_ARGS_MAX).contains(&count) {
            return None;
        }
        let len_max = limits.bulk_bytes_max.min(COMMON_ARG_BYTES_MAX) as usize;
        for _ in 0..count {
            let (len, next) = short_length(buf, at, b'$')?;
            if len > len_max || buf.len() < next + len + 2 {
                return None;
            }
            ranges.push(next as u32..(next + len) as u32);
            at = next + len + 2;
        }
        Some(at)
    }

    /// Looks for the next request at the front of `buf`. The arguments of a
    /// [`Request::Here`] are added to `ranges`; with any other outcome, what
    /// was added means nothing.
    ///
    /// # Errors
    /// With the text that Redis answers before it closes the connection.
    #[inline]
    pub fn next(
        &mut self,
        buf: &[u8],
        ranges: &mut Vec<Range<u32>>,
        limits: &Limits,
    ) -> Result<Request, ProtocolError> {
        let given = ranges.len();
        if let Some(consumed) = self.next_common(buf, ranges, limits) {
            return Ok(Request::Here { consumed });
        }
        ranges.truncate(given);
        self.next_uncommon(buf, ranges, limits)
    }

    fn next_uncommon(
        &mut self,
        buf: &[u8],
        ranges: &mut Vec<Range<u32>>,
        limits: &Limits,
    ) -> Result<Request, ProtocolError> {
        if self.pending.is_some() {
            return self.go_on(buf, 0, limits);
        }
        match buf.first() {
            None => Ok(Request::Incomplete { consumed: 0 }),
            Some(b'*') => self.multibulk(buf, ranges, limits),
            Some(_) => inline(buf),
        }
    }

    fn multibulk(
        &mut self,
        buf: &[u8],
        ranges: &mut Vec<Range<u32>>,
        limits: &Limits,
    ) -> Result<Request, ProtocolError> {
        let short = short_length(buf, 0, b'*');
        let (count, mut at) = match short {
            Some((count, next)) => (count as i64, next),
            None => match line(buf, 0) {
                Line::Found { text, next } => match num::parse_i64(&text[1..]) {
                    Some(count) if count <= limits.args_max => (count, next),
                    _ => match BadLine::new(text, "invalid multibulk length") {
                        Err(BadLine::Error(error)) => return Err(error),
                        Ok(()) | Err(BadLine::Endless) => return endless_count(buf),
                    },
                },
                Line::Missing => return endless_count(buf),
            },
        };
        if limits.unauthenticated && count > 10 {
            return error("unauthenticated multibulk length");
        }
        if count <= 0 {
            return Ok(Request::Empty { consumed: at });
        }
        let start = at;
        for _ in 0..count {
            let (len, next) = match short_length(buf, at, b'$') {
                Some((len, next)) if len as u64 <= limits.bulk_bytes_max.min(16 * 1024) => {
                    (len, next)
                }
                _ => match bulk_header(buf, at, limits)? {
                    Some(header) => header,
                    None => return self.suspend(buf, start, count as usize, limits),
                },
            };
            if buf.len() - next < len + 2 {
                if len >= BIG_ARG_BYTES {
                    return self.take_over(buf, start, count as usize, limits);
                }
                return self.suspend(buf, start, count as usize, limits);
            }
            ranges.push(next as u32..(next + len) as u32);
            at = next + len + 2;
        }
        Ok(Request::Here { consumed: at })
    }

    /// An incomplete request: short ones are parsed again with more bytes.
    fn suspend(
        &mut self,
        buf: &[u8],
        start: usize,
        count: usize,
        limits: &Limits,
    ) -> Result<Request, ProtocolError> {
        if buf.len() < TAKE_OVER_BYTES {
            return Ok(Request::Incomplete { consumed: 0 });
        }
        self.take_over(buf, start, count, limits)
    }

    fn take_over(
        &mut self,
        buf: &[u8],
        start: usize,
        count: usize,
        limits: &Limits,
    ) -> Result<Request, ProtocolError> {
        let args = Vec::with_capacity(count.min(1024));
        self.pending = Some(Box::new(Pending {
            args,
            args_left: count,
            ..Pending::default()
        }));
        self.go_on(buf, start, limits)
    }

    /// Continues a request that was taken over.
    fn go_on(
        &mut self,
        buf: &[u8],
        mut at: usize,
        limits: &Limits,
    ) -> Result<Request, ProtocolError> {
        let Some(pending) = &mut self.pending else {
            return Ok(Request::Incomplete { consumed: 0 });
        };
        loop {
            let skipped = pending.skip.min(buf.len() - at);
            pending.skip -= skipped;
            at += skipped;
            if pending.skip > 0 {
                return Ok(Request::Incomplete { consumed: at });
            }
            // Not before: until it has ended the argument counts itself.
            if skipped > 0
                && let Some(last) = pending.args.last()
                && (BIG_ARG_BYTES..=SPARE_BYTES_MAX).contains(&last.len())
            {
                self.spare = Vec::with_capacity(last.len());
            }
            if let Some((bulk, len)) = &mut pending.bulk {
                let part = (*len - bulk.len()).min(buf.len() - at);
                bulk.extend_from_slice(&buf[at..at + part]);
                pending.bytes += part;
                at += part;
                if bulk.len() < *len {
                    return Ok(Request::Incomplete { consumed: at });
                }
                let bulk = std::mem::take(bulk);
                pending.args.push(Bytes::from(bulk));
                (pending.bulk, pending.skip) = (None, 2);
                pending.args_left -= 1;
                continue;
            }
            if pending.args_left == 0 {
                let args = std::mem::take(&mut pending.args);
                self.pending = None;
                return Ok(Request::Owned { consumed: at, args });
            }
            let Some((len, next)) = bulk_header(buf, at, limits)? else {
                return Ok(Request::Incomplete { consumed: at });
            };
            // Not much larger, or the argument would keep room that it has no use for.
            let spare = self.spare.capacity();
            let bulk = if (BIG_ARG_BYTES..=spare).contains(&len) && spare - len <= spare / 8 {
                std::mem::take(&mut self.spare)
            } else {
                Vec::with_capacity(len.min((buf.len() - next).max(BIG_ARG_BYTES)))
            };
            pending.bulk = Some((bulk, len));
            pending.bytes += size_of::<Bytes>();
            at = next;
        }
    }
}

fn endless_count(buf: &[u8]) -> Result<Request, ProtocolError> {
    if too_long(buf, 0) {
        return error("too big mbulk count string");
    }
    Ok(Request::Incomplete { consumed: 0 })
}

/// The length of the argument that begins at `at` and where its bytes do;
/// none while its line is not complete.
#[inline]
fn bulk_header(
    buf: &[u8],
    at: usize,
    limits: &Limits,
) -> Result<Option<(usize, usize)>, ProtocolError> {
    if let Line::Found { text, next } = line(buf, at) {
        match bulk_length(text, limits) {
            Ok(len) => return Ok(Some((len, next))),
            Err(BadLine::Error(error)) => return Err(error),
            Err(BadLine::Endless) => {}
        }
    }
    if too_long(buf, at) {
        return error("too big bulk count string");
    }
    Ok(None)
}

fn inline(buf: &[u8]) -> Result<Request, ProtocolError> {
    // As in `too_long`, a NUL hides what is behind it.
    let end = memchr::memchr2(b'\n', 0, buf).filter(|end| buf[*end] == b'\n');
    let Some(end) = end else {
        if buf.len() > INLINE_BYTES_MAX {
            return error("too big inline request");
        }
        return Ok(Request::Incomplete { consumed: 0 });
    };
    let text = buf[..end].strip_suffix(b"\r").unwrap_or(&buf[..end]);
    let Some(args) = args::split(text) else {
        return error("unbalanced quotes in request");
    };
    let consumed = end + 1;
    if args.is_empty() {
        return Ok(Request::Empty { consumed });
    }
    Ok(Request::Owned {
        consumed,
        args: args.into_iter().map(Bytes::from).collect(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        bulk_bytes_max: 512 << 20,
        args_max: i32::MAX as i64,
        unauthenticated: false,
    };

    /// Feeds `input` in pieces and gives all requests, as a connection would.
    fn feed(
        input: &[u8],
        pieces: &[usize],
        limits: &Limits,
    ) -> (Vec<Vec<Vec<u8>>>, Option<String>) {
        let (mut parser, mut buf, mut ranges) = (Parser::default(), Vec::new(), Vec::new());
        let (mut requests, mut rest, mut sizes) = (Vec::new(), input, pieces.iter().cycle());
        while !rest.is_empty() {
            let size = (*sizes.next().unwrap_or(&rest.len())).clamp(1, rest.len());
            buf.extend_from_slice(&rest[..size]);
            rest = &rest[size..];
            loop {
                ranges.clear();
                let consumed = match parser.next(&buf, &mut ranges, limits) {
                    Err(ProtocolError(text)) => {
                        let text = String::from_utf8_lossy(&text).into_owned();
                        return (requests, Some(text));
                    }
                    Ok(Request::Here { consumed }) => {
                        let args = ranges.iter();
                        requests.push(
                            args.map(|r| buf[r.start as usize..r.end as usize].to_vec())
                                .collect(),
                        );
                        consumed
                    }
                    Ok(Request::Owned { consumed, args }) => {
                        requests.push(args.iter().map(|arg| arg.to_vec()).collect());
                        consumed
                    }
                    Ok(Request::Empty { consumed }) => consumed,
                    Ok(Request::Incomplete { consumed }) => {
                        buf.drain(..consumed);
                        break;
                    }
                };
                buf.drain(..consumed);
            }
        }
        (requests, None)
    }

    fn check_error(input: &str, text: &str) {
        let (_, error) = feed(input.as_bytes(), &[], &LIMITS);
        assert_eq!(error.as_deref(), Some(text), "{input:?}");
    }

    #[test]
    fn errors_have_redis_words() {
        check_error(
            "*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n",
            "Protocol error: expected '$', got 'f'",
        );
        check_error("*1x\r\n", "Protocol error: invalid multibulk length");
        check_error(
            "*2147483648\r\n",
            "Protocol error: invalid multibulk length",
        );
        check_error("*1\r\n$-1\r\n", "Protocol error: invalid bulk length");
        check_error(
            "*1\r\n$536870913\r\n",
            "Protocol error: invalid bulk length",
        );
        check_error("*1\r\n$x\r\n", "Protocol error: invalid bulk length");
        check_error("set \"a\n", "Protocol error: unbalanced quotes in request");
        check_error(
            &"a".repeat(70_000),
            "Protocol error: too big inline request",
        );
        check_error(
            &format!("*{}", "1".repeat(70_000)),
            "Protocol error: too big mbulk count string",
        );
        check_error(
            &format!("*1\r\n${}", "1".repeat(70_000)),
            "Protocol error: too big bulk count string",
        );
        let limits = Limits::unauthenticated(512 << 20);
        let (_, text) = feed(b"*11\r\n", &[], &limits);
        assert_eq!(
            text.as_deref(),
            Some("Protocol error: unauthenticated multibulk length")
        );
        let (_, text) = feed(b"*1\r\n$16385\r\n", &[], &limits);
        assert_eq!(
            text.as_deref(),
            Some("Protocol error: unauthenticated bulk length")
        );
    }

    #[test]
    fn empty_requests_are_passed_over() {
        let (requests, error) = feed(
            b"\r\n*0\r\n*-1\r\n\n*1\r\n$4\r\nPING\r\nPING a\n",
            &[],
            &LIMITS,
        );
        assert_eq!(error, None);
        assert_eq!(
            requests,
            [
                vec![b"PING".to_vec()],
                vec![b"PING".to_vec(), b"a".to_vec()]
            ]
        );
    }

    #[test]
    fn promises_allocate_nothing() {
        let mut parser = Parser::default();
        let mut ranges = Vec::new();
        let result = parser.next(b"*2147483647\r\n$536870912\r\nabc", &mut ranges, &LIMITS);
        assert!(matches!(result, Ok(Request::Incomplete { .. })));
        let pending = parser.pending.as_ref().unwrap();
        assert!(pending.args.capacity() <= 1024);
        assert!(pending.bulk.as_ref().unwrap().0.capacity() <= BIG_ARG_BYTES);
        assert!(parser.receiving().unwrap().0.capacity() <= RESERVE_BYTES);
    }

    fn encode(requests: &[Vec<Vec<u8>>]) -> Vec<u8> {
        let mut out = Vec::new();
        for args in requests {
            out.extend(format!("*{}\r\n", args.len()).bytes());
            for arg in args {
                out.extend(format!("${}\r\n", arg.len()).bytes());
                out.extend(arg);
                out.extend(b"\r\n");
            }
        }
        out
    }

    fn argument() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            8 => prop::collection::vec(any::<u8>(), 0..40),
            1 => (0usize..80_000).prop_map(|len| vec![b'x'; len]),
        ]
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            requests in prop::collection::vec(prop::collection::vec(argument(), 1..6), 1..12),
            pieces in prop::collection::vec(1usize..30_000, 1..10),
        ) {
            let (parsed, error) = feed(&encode(&requests), &pieces, &LIMITS);
            prop_assert_eq!(error, None);
            prop_assert_eq!(parsed, requests);
        }

        #[test]
        fn garbage_never_panics(
            input in prop::collection::vec(
                prop_oneof![any::<u8>(), Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), b'0'..=b'9'],
                0..600,
            ),
            pieces in prop::collection::vec(1usize..50, 1..5),
        ) {
            let whole = feed(&input, &[], &LIMITS);
            let pieced = feed(&input, &pieces, &LIMITS);
            prop_assert_eq!(whole, pieced);
        }
    }
}
