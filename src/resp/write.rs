//! Replies, in RESP2 or RESP3, and the buffer of a client that holds them.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::util::num;

/// Bytes of the buffer that is written to before a further one is begun
/// (Redis: PROTO_REPLY_CHUNK_BYTES).
pub const CHUNK_BYTES: usize = 16 * 1024;
/// Shared values from this length on are not copied into the buffer.
const SHARE_BYTES: usize = 32 * 1024;

/// Most bytes of a buffer that is lent to an output.
pub const LENT_BYTES_MAX: usize = 32 * 1024;

/// Longest header: kind, a 64-bit number with its sign, line end.
const HEADER_BYTES_MAX: usize = 1 + 20 + 2;

/// A piece of pending output.
#[derive(Debug)]
pub enum Chunk {
    /// Bytes written by the reply.
    Owned(Vec<u8>),
    /// A value shared with the keyspace.
    Shared(Bytes),
}

impl Chunk {
    /// What it takes up, bytes; a shared value counts for each that shares it.
    pub fn capacity(&self) -> usize {
        match self {
            Chunk::Owned(bytes) => bytes.capacity(),
            Chunk::Shared(bytes) => bytes.len(),
        }
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Chunk::Owned(bytes) => bytes,
            Chunk::Shared(bytes) => bytes,
        }
    }
}

/// Pending output of one client, in order.
#[derive(Default, Debug)]
pub struct Output {
    full: VecDeque<Chunk>,
    full_bytes: usize,
    /// Memory of the full chunks, bytes.
    full_capacity: usize,
    buf: Vec<u8>,
    open_deferred: u32,
}

/// A place in the output to come back to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    full: usize,
    len: usize,
}

impl Output {
    /// Bytes waiting.
    #[inline]
    pub fn len(&self) -> usize {
        self.full_bytes + self.buf.len()
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty() && self.full.is_empty()
    }

    /// Number of pieces that wait.
    pub fn chunks(&self) -> usize {
        self.full.len() + usize::from(!self.buf.is_empty())
    }

    /// Memory of what waits and of the buffer being written, bytes.
    pub fn capacity(&self) -> usize {
        self.full_capacity + self.buf.capacity()
    }

    /// The same, where a buffer that was lent counts by what is in it: it will
    /// be lent to others when that is written.
    pub fn own_bytes(&self) -> usize {
        let buf = match self.buf.capacity() {
            ..=LENT_BYTES_MAX => self.buf.len(),
            grown => grown,
        };
        self.full_capacity + buf
    }

    /// Called before each command: begins a new chunk when the buffer is full.
    #[inline]
    pub fn begin(&mut self) {
        if self.buf.len() >= CHUNK_BYTES {
            self.seal();
            // Who filled one chunk will fill another: no growing step by step.
            self.buf.reserve_exact(CHUNK_BYTES + CHUNK_BYTES / 4);
        }
    }

    fn seal(&mut self) {
        if !self.buf.is_empty() {
            let buf = std::mem::take(&mut self.buf);
            self.full_bytes += buf.len();
            self.full_capacity += buf.capacity();
            self.full.push_back(Chunk::Owned(buf));
        }
    }

    /// The current end.
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark {
            full: self.full.len(),
            len: self.buf.len(),
        }
    }

    /// Forgets what was written since the mark.
    pub fn truncate(&mut self, mark: Mark) {
        while self.full.len() > mark.full {
            let Some(chunk) = self.full.pop_back() else {
                break;
            };
            self.full_bytes -= chunk.as_slice().len();
            self.full_capacity -= chunk.capacity();
            if self.full.len() == mark.full
                && let Chunk::Owned(buf) = chunk
            {
                self.buf = buf;
            }
        }
        self.buf.truncate(mark.len);
    }

    /// Appends raw bytes.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    /// Makes room for so many bytes at once.
    #[inline]
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.buf.reserve(bytes);
    }

    /// Whether what is appended may be shared: while a length has still to be
    /// put in, all stays in the buffer.
    pub(super) fn can_share(&self) -> bool {
        self.open_deferred == 0
    }

    /// Appends what stays shared with others.
    pub(super) fn share(&mut self, bytes: Bytes) {
        self.seal();
        self.full_bytes += bytes.len();
        self.full_capacity += bytes.len();
        self.full.push_back(Chunk::Shared(bytes));
    }

    /// Whether there is no buffer to write to: one that is lent saves its
    /// allocation and growth.
    #[inline]
    pub fn wants_buffer(&self) -> bool {
        self.buf.capacity() == 0
    }

    /// Writes go to this empty buffer from now on.
    #[inline]
    pub fn lend(&mut self, buf: Vec<u8>) {
        debug_assert!(buf.is_empty() && self.buf.is_empty());
        self.buf = buf;
    }

    /// Takes everything out, the buffer too, so that nothing is kept while
    /// nothing is written.
    pub fn take(&mut self, chunks: &mut VecDeque<Chunk>) {
        (self.full_bytes, self.full_capacity) = (0, 0);
        if !self.full.is_empty() {
            chunks.append(&mut self.full);
            self.full.shrink_to(0);
        }
        let buf = std::mem::take(&mut self.buf);
        if buf.capacity() > 0 {
            chunks.push_back(Chunk::Owned(buf));
        }
    }

    /// Appends all that waits in another output.
    pub fn append(&mut self, mut other: Output) {
        if other.full.is_empty() {
            return self.raw(&other.buf);
        }
        other.seal();
        self.seal();
        self.full_bytes += other.full_bytes;
        self.full_capacity += other.full_capacity;
        self.full.append(&mut other.full);
    }

    /// All that waits, in one piece.
    pub fn contiguous(&mut self) -> &[u8] {
        if !self.full.is_empty() {
            let mut all = Vec::with_capacity(self.len());
            for chunk in self.full.drain(..) {
                all.extend_from_slice(chunk.as_slice());
            }
            all.extend_from_slice(&self.buf);
            (self.full_bytes, self.full_capacity) = (0, 0);
            self.buf = all;
        }
        &self.buf
    }

    /// Drops everything but a buffer of common size.
    pub fn reuse(&mut self) {
        if self.buf.capacity() > LENT_BYTES_MAX || !self.full.is_empty() {
            self.clear();
        }
        self.buf.clear();
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        *self = Output::default();
    }
}

/// Writes replies in the protocol version of the client.
pub struct Reply<'a> {
    out: &'a mut Output,
    resp3: bool,
}

/// An aggregate whose length is told when it is known.
#[must_use]
pub struct Deferred {
    at: usize,
}

impl<'a> Reply<'a> {
    /// A writer at the end of `out`.
    #[inline]
    pub fn new(out: &'a mut Output, resp3: bool) -> Reply<'a> {
        Reply { out, resp3 }
    }

    /// Whether the client speaks RESP3.
    pub fn is_resp3(&self) -> bool {
        self.resp3
    }

    /// Bytes that wait for the client, of earlier replies too.
    pub fn pending_bytes(&self) -> usize {
        self.out.len()
    }

    /// A writer to the same output in another protocol version.
    pub fn with_resp3(&mut self, resp3: bool) -> Reply<'_> {
        Reply {
            out: self.out,
            resp3,
        }
    }

    #[inline]
    fn header(&mut self, kind: u8, number: i64) {
        let buf = &mut self.out.buf;
        // Room for the longest once, not for each part.
        buf.reserve(HEADER_BYTES_MAX);
        buf.push(kind);
        match number {
            0..=9 => buf.push(b'0' + number as u8),
            _ => buf.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        }
        buf.extend_from_slice(b"\r\n");
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        let buf = &mut self.out.buf;
        buf.push(kind);
        // A line must stay one line, whatever a user put into it.
        buf.extend(
            text.iter()
                .map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { *b }),
        );
        buf.extend_from_slice(b"\r\n");
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.out.raw(b"+OK\r\n");
    }

    /// A simple string.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// A simple string that a user wrote.
    pub fn simple_bytes(&mut self, text: &[u8]) {
        self.line(b'+', text);
    }

    /// An error with its code ("ERR …").
    pub fn error(&mut self, text: &[u8]) {
        self.line(b'-', text);
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, number: i64) {
        self.header(b':', number);
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.header(b'$', bytes.len() as i64);
        let buf = &mut self.out.buf;
        buf.reserve(bytes.len() + 2);
        buf.extend_from_slice(bytes);
        buf.extend_from_slice(b"\r\n");
    }

    /// A bulk string of an integer.
    pub fn bulk_integer(&mut self, number: i64) {
        self.bulk(itoa::Buffer::new().format(number).as_bytes());
    }

    /// A bulk string that need not be copied when it is long.
    pub fn bulk_shared(&mut self, bytes: Bytes) {
        if bytes.len() < SHARE_BYTES || !self.out.can_share() {
            return self.bulk(&bytes);
        }
        self.header(b'$', bytes.len() as i64);
        self.out.share(bytes);
        self.out.raw(b"\r\n");
    }

    /// The absence of a value.
    #[inline]
    pub fn null(&mut self) {
        self.out.raw(if self.resp3 { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// The absence of an array.
    pub fn null_array(&mut self) {
        self.out.raw(if self.resp3 { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// The head of an array of `len` replies.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len as i64);
    }

    /// The head of a map of `len` pairs.
    pub fn map(&mut self, len: usize) {
        if self.resp3 {
            self.header(b'%', len as i64)
        } else {
            self.array(len * 2)
        }
    }

    /// The head of a set of `len` replies.
    pub fn set(&mut self, len: usize) {
        self.header(if self.resp3 { b'~' } else { b'*' }, len as i64);
    }

    /// The head of a push message of `len` replies.
    pub fn push(&mut self, len: usize) {
        self.header(if self.resp3 { b'>' } else { b'*' }, len as i64);
    }

    /// The head of an attribute of `len` pairs; false (nothing written, nor
    /// may its pairs be) in RESP2, which has none.
    pub fn attribute(&mut self, len: usize) -> bool {
        if self.resp3 {
            self.header(b'|', len as i64);
        }
        self.resp3
    }

    /// A double.
    #[inline]
    pub fn double(&mut self, number: f64) {
        self.decimal(num::format_f64(number).as_bytes());
    }

    /// A double that is in text already.
    #[inline]
    pub fn decimal(&mut self, text: &[u8]) {
        if self.resp3 {
            self.line(b',', text)
        } else {
            self.bulk(text)
        }
    }

    /// A boolean.
    pub fn boolean(&mut self, value: bool) {
        match (self.resp3, value) {
            (true, true) => self.out.raw(b"#t\r\n"),
            (true, false) => self.out.raw(b"#f\r\n"),
            (false, _) => self.integer(i64::from(value)),
        }
    }

    /// A big number in decimal.
    pub fn big_number(&mut self, digits: &str) {
        if self.resp3 {
            self.line(b'(', digits.as_bytes())
        } else {
            self.bulk(digits.as_bytes())
        }
    }

    /// A big number that a user wrote.
    pub fn big_number_bytes(&mut self, digits: &[u8]) {
        if self.resp3 {
            return self.line(b'(', digits);
        }
        self.header(b'$', digits.len() as i64);
        let line_ends = |byte: &u8| {
            if matches!(byte, b'\r' | b'\n') {
                b' '
            } else {
                *byte
            }
        };
        self.out.buf.extend(digits.iter().map(line_ends));
        self.out.raw(b"\r\n");
    }

    /// Text with a format that a user wrote: it is cut, or filled up with
    /// spaces, to three letters.
    pub fn verbatim_bytes(&mut self, format: &[u8], text: &[u8]) {
        let mut letters = [b' '; 3];
        for (letter, byte) in letters.iter_mut().zip(format) {
            *letter = *byte;
        }
        if !self.resp3 {
            return self.bulk(text);
        }
        self.header(b'=', text.len() as i64 + 4);
        self.out.raw(&letters);
        self.out.raw(b":");
        self.out.raw(text);
        self.out.raw(b"\r\n");
    }

    /// Text with a three-letter format ("txt", "mkd").
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        if !self.resp3 {
            return self.bulk(text);
        }
        self.header(b'=', text.len() as i64 + 4);
        self.out.raw(format.as_bytes());
        self.out.raw(b":");
        self.out.raw(text);
        self.out.raw(b"\r\n");
    }

    /// Bytes that are a reply already.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.raw(bytes);
    }

    /// Begins an aggregate of unknown length.
    pub fn deferred(&mut self) -> Deferred {
        self.out.open_deferred += 1;
        Deferred {
            at: self.out.buf.len(),
        }
    }

    /// Gives it up: nothing was written since.
    pub fn drop_deferred(&mut self, deferred: Deferred) {
        debug_assert_eq!(deferred.at, self.out.buf.len());
        self.out.open_deferred -= 1;
    }

    /// Ends it as an array of `len` replies.
    pub fn end_array(&mut self, deferred: Deferred, len: usize) {
        self.end(deferred, b'*', len);
    }

    /// Ends it as a map of `len` pairs.
    pub fn end_map(&mut self, deferred: Deferred, len: usize) {
        if self.resp3 {
            self.end(deferred, b'%', len)
        } else {
            self.end(deferred, b'*', len * 2)
        }
    }

    /// Ends it as a set of `len` replies.
    pub fn end_set(&mut self, deferred: Deferred, len: usize) {
        self.end(deferred, if self.resp3 { b'~' } else { b'*' }, len);
    }

    /// Ends it as a bulk string before what was written since.
    pub fn end_bulk(&mut self, deferred: Deferred, text: &[u8]) {
        let at = deferred.at;
        self.end(deferred, b'$', text.len());
        let head = format!("${}\r\n", text.len()).len();
        let text = text.iter().chain(b"\r\n").copied();
        self.out.buf.splice(at + head..at + head, text);
    }

    fn end(&mut self, deferred: Deferred, kind: u8, len: usize) {
        self.out.open_deferred -= 1;
        let head = format!("{}{len}\r\n", char::from(kind));
        self.out.buf.splice(deferred.at..deferred.at, head.bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(resp3: bool, write: impl FnOnce(&mut Reply)) -> String {
        let mut out = Output::default();
        write(&mut Reply::new(&mut out, resp3));
        String::from_utf8(out.buf).unwrap()
    }

    #[test]
    fn both_versions() {
        let check = |write: fn(&mut Reply), resp2: &str, resp3: &str| {
            assert_eq!(written(false, write), resp2);
            assert_eq!(written(true, write), resp3);
        };
        check(|r| r.null(), "$-1\r\n", "_\r\n");
        check(|r| r.null_array(), "*-1\r\n", "_\r\n");
        check(|r| r.map(2), "*4\r\n", "%2\r\n");
        check(|r| r.set(2), "*2\r\n", "~2\r\n");
        check(|r| r.push(2), "*2\r\n", ">2\r\n");
        check(|r| r.double(2.25), "$4\r\n2.25\r\n", ",2.25\r\n");
        check(|r| r.boolean(true), ":1\r\n", "#t\r\n");
        check(|r| r.big_number("123"), "$3\r\n123\r\n", "(123\r\n");
        check(
            |r| r.verbatim("txt", b"hi"),
            "$2\r\nhi\r\n",
            "=6\r\ntxt:hi\r\n",
        );
        check(|r| r.error(b"ERR a\r\nb"), "-ERR a  b\r\n", "-ERR a  b\r\n");
        check(
            |r| {
                let outer = r.deferred();
                r.integer(1);
                let inner = r.deferred();
                r.bulk(b"x");
                r.end_array(inner, 1);
                r.end_map(outer, 1);
            },
            "*2\r\n:1\r\n*1\r\n$1\r\nx\r\n",
            "%1\r\n:1\r\n*1\r\n$1\r\nx\r\n",
        );
    }

    #[test]
    fn truncate_undoes_chunks_too() {
        let mut out = Output::default();
        out.raw(b"before");
        let mark = out.mark();
        let big = Bytes::from(vec![b'x'; SHARE_BYTES]);
        Reply::new(&mut out, false).bulk_shared(big.clone());
        assert_eq!(out.len(), 6 + 8 + SHARE_BYTES + 2);
        out.truncate(mark);
        assert_eq!((out.len(), out.buf.as_slice()), (6, b"before".as_slice()));
        Reply::new(&mut out, false).bulk_shared(big);
        let mut chunks = VecDeque::new();
        out.take(&mut chunks);
        let all: Vec<u8> = chunks
            .iter()
            .flat_map(|chunk| chunk.as_slice().to_vec())
            .collect();
        assert!(out.is_empty() && all.starts_with(b"before$32768\r\nx") && all.ends_with(b"x\r\n"));
    }
}
