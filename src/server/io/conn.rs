//! One connection in its I/O thread: reading and parsing, queueing, writing.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::ops::Range;

use bytes::Bytes;

use super::stream::Stream;
use crate::engine::{ClientId, Closing};
use crate::resp::{Chunk, Limits, Parser, ProtocolError, Request};

/// Bytes read at once.
pub(super) const READ_BYTES: usize = 64 * 1024;
/// Most bytes of a big argument received in one turn, so that others get theirs.
const BIG_READ_BYTES: usize = 1024 * 1024;
/// Buffers handed to one write.
const IOV_MAX: usize = 64;

/// One parsed request of a batch.
pub(super) struct Parsed {
    /// Its argument ranges in the batch's list, when it lies in the buffer.
    pub ranges: Range<usize>,
    /// Where `ranges` count from.
    pub base: usize,
    /// Its arguments, when they were taken over.
    pub owned: Option<Vec<Bytes>>,
    /// Where it begins.
    pub start: usize,
}

/// Where the bytes of a conn's requests are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// In the thread's arena, from this offset on.
    Arena(usize),
    /// In the connection's own buffer.
    Own,
}

/// What a read gave.
pub(super) enum ReadOutcome {
    /// Bytes lie in the source up to this end (counted from its start).
    Bytes(Source, usize),
    /// Nothing new now.
    Nothing,
    /// The connection is over.
    Closed,
}

/// A connection.
pub(super) struct Conn {
    pub stream: Stream,
    pub client: ClientId,
    pub parser: Parser,
    /// Bytes of an unfinished request, or of requests not executed yet.
    pub own: Vec<u8>,
    /// Requests that must be executed before anything else.
    pub queue: VecDeque<Vec<Bytes>>,
    /// Output taken from the client.
    pub out: VecDeque<Chunk>,
    /// Bytes of the first chunk that are written.
    pub out_written: usize,
    pub out_bytes: usize,
    /// There may be more to read.
    pub readable: bool,
    /// The peer has closed its side.
    pub hung_up: bool,
    /// Waits (CLIENT PAUSE, blocking command): nothing is read or executed.
    pub waiting: bool,
    pub closing: Closing,
    pub limits: Limits,
    /// Whole requests may be left unparsed (see [`Conn::parse`]).
    pub leftover: bool,
    /// In the list of connections to look at in the next turn.
    pub again: bool,
}

impl Conn {
    pub fn new(stream: Stream, client: ClientId, limits: Limits) -> Conn {
        Conn {
            stream,
            client,
            parser: Parser::default(),
            own: Vec::new(),
            queue: VecDeque::new(),
            out: VecDeque::new(),
            out_written: 0,
            out_bytes: 0,
            readable: true,
            hung_up: false,
            waiting: false,
            closing: Closing::No,
            limits,
            leftover: false,
            again: false,
        }
    }

    /// Reads what is there, into the arena where it can.
    pub fn read(&mut self, arena: &mut [u8], arena_at: usize) -> ReadOutcome {
        if self.parser.receiving().is_some() {
            return self.read_big();
        }
        let result = if self.own.is_empty() {
            self.stream
                .read(&mut arena[arena_at..arena_at + READ_BYTES])
        } else {
            self.read_own()
        };
        match result {
            Ok(0) => ReadOutcome::Closed,
            Ok(count) => {
                self.readable = count == READ_BYTES || self.hung_up;
                if self.own.is_empty() {
                    ReadOutcome::Bytes(Source::Arena(arena_at), count)
                } else {
                    ReadOutcome::Bytes(Source::Own, self.own.len())
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                ReadOutcome::Nothing
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => ReadOutcome::Nothing,
            Err(_) => ReadOutcome::Closed,
        }
    }

    fn read_own(&mut self) -> io::Result<usize> {
        let len = self.own.len();
        self.own.resize(len + READ_BYTES, 0);
        let result = self.stream.read(&mut self.own[len..]);
        self.own.truncate(len + *result.as_ref().unwrap_or(&0));
        result
    }

    /// Receives a big argument where it will stay.
    fn read_big(&mut self) -> ReadOutcome {
        let mut total = 0;
        while total < BIG_READ_BYTES {
            let Some((bulk, missing)) = self.parser.receiving() else {
                break;
            };
            let len = bulk.len();
            let room = missing.min((bulk.capacity() - len).max(1));
            bulk.resize(len + room, 0);
            let result = self.stream.read(&mut bulk[len..]);
            bulk.truncate(len + *result.as_ref().unwrap_or(&0));
            match result {
                Ok(0) => return ReadOutcome::Closed,
                Ok(count) => {
                    self.parser.received(count);
                    total += count;
                    if count < room {
                        self.readable = self.hung_up;
                        return ReadOutcome::Bytes(Source::Own, 0);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return ReadOutcome::Closed,
            }
        }
        ReadOutcome::Bytes(Source::Own, 0)
    }

    /// Parses all requests that lie in `buf`; gives the bytes used up.
    pub fn parse(
        &mut self,
        buf: &[u8],
        parsed: &mut Vec<Parsed>,
        ranges: &mut Vec<Range<u32>>,
    ) -> Result<usize, ProtocolError> {
        let (mut at, first) = (0, parsed.len());
        loop {
            let base = ranges.len();
            let (consumed, owned) = match self.parser.next(&buf[at..], ranges, &self.limits)? {
                Request::Here { consumed } => (consumed, None),
                Request::Owned { consumed, args } => (consumed, Some(args)),
                Request::Empty { consumed } => {
                    ranges.truncate(base);
                    at += consumed;
                    continue;
                }
                Request::Incomplete { consumed } => {
                    ranges.truncate(base);
                    return Ok(at + consumed);
                }
            };
            parsed.push(Parsed {
                ranges: base..ranges.len(),
                base: at,
                owned,
                start: at,
            });
            at += consumed;
            // The first command may lift the limits for the next (AUTH).
            if self.limits.unauthenticated && parsed.len() > first {
                self.leftover = at < buf.len();
                return Ok(at);
            }
        }
    }

    /// Writes what was taken; true when all of it went out.
    pub fn flush(&mut self, pool: &mut Vec<Vec<u8>>) -> io::Result<(usize, bool)> {
        let mut total = 0;
        while self.out_bytes > 0 {
            let written = self.write_some();
            match written {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    total += count;
                    self.advance(count, pool);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok((total, false)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok((total, true))
    }

    fn write_some(&mut self) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); IOV_MAX];
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.out) {
            let skip = if count == 0 { self.out_written } else { 0 };
            *slice = IoSlice::new(&chunk.as_slice()[skip..]);
            count += 1;
        }
        self.stream.write(&slices[..count])
    }

    fn advance(&mut self, mut count: usize, pool: &mut Vec<Vec<u8>>) {
        self.out_bytes -= count;
        while let Some(chunk) = self.out.front() {
            let left = chunk.as_slice().len() - self.out_written;
            if count < left {
                self.out_written += count;
                return;
            }
            count -= left;
            self.out_written = 0;
            if let Some(Chunk::Owned(buf)) = self.out.pop_front()
                && pool.len() < POOL_BUFFERS_MAX
                && buf.capacity() <= POOL_BUFFER_BYTES_MAX
            {
                pool.push(buf);
            }
        }
    }
}

/// Idle reply buffers that a thread keeps.
const POOL_BUFFERS_MAX: usize = 256;
/// Largest reply buffer worth keeping, bytes.
const POOL_BUFFER_BYTES_MAX: usize = 64 * 1024;
