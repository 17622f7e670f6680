//! One connection in its I/O thread: reading and parsing, queueing, writing.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read};
use std::ops::Range;

use bytes::Bytes;

use super::stream::Stream;
use crate::engine::{ClientId, Closing};
use crate::resp::{Chunk, LENT_BYTES_MAX, Limits, Parser, ProtocolError, Request};

/// Bytes read at once.
pub(super) const READ_BYTES: usize = 64 * 1024;
/// Most bytes of a big argument received in one turn, so that others get theirs.
const BIG_READ_BYTES: u64 = 1024 * 1024;
/// Most bytes written to one connection in a turn, for the same reason.
const WRITE_BYTES_MAX: usize = 1024 * 1024;
/// Buffers handed to one write.
const IOV_MAX: usize = 64;
/// Capacity that a connection may keep for an unfinished request, bytes.
const OWN_KEPT_BYTES: usize = 512;
/// Most bytes thrown away before a connection is closed.
const DRAIN_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One parsed request of a batch.
pub(super) struct Parsed {
    /// Its argument ranges in the batch's list, when it lies in the buffer.
    pub ranges: Range<usize>,
    /// Where it begins in the buffer; `ranges` count from here.
    pub start: usize,
    /// Its arguments, when they were taken over.
    pub owned: Option<Vec<Bytes>>,
}

/// What a read gave.
pub(super) enum ReadOutcome {
    /// This many bytes lie in the arena, the unfinished request before them.
    Bytes(usize),
    /// Part of a big argument, received where it stays.
    Held,
    /// Nothing new now.
    Nothing,
    /// The peer sends nothing more.
    End,
    /// The connection is broken.
    Failed(io::Error),
}

/// A connection.
pub(super) struct Conn {
    pub stream: Stream,
    pub client: ClientId,
    pub parser: Parser,
    /// Bytes of an unfinished request, or of requests not parsed yet.
    pub own: Vec<u8>,
    /// Requests that must be executed before anything else.
    pub queue: VecDeque<Vec<Bytes>>,
    /// Output taken from the client.
    pub out: VecDeque<Chunk>,
    /// Bytes of the first chunk that are written.
    out_written: usize,
    /// Bytes of all chunks that are not.
    pub out_bytes: usize,
    /// Where the log has to be on disk before they are written; 0: anywhere.
    pub hold_until: u64,
    /// What the client was last told of `out_bytes`.
    pub told_bytes: usize,
    pub closing: Closing,
    /// The client has to log in before it may send more than a little.
    pub unauthenticated: bool,
    /// There may be more to read.
    pub readable: bool,
    /// The peer has closed its side, or the socket has failed.
    pub hung_up: bool,
    /// Messages to it were held back when it was cut off: it gets them first.
    pub(super) parting: bool,
    /// All that the peer sent has been read.
    pub ended: bool,
    /// The socket takes no more now.
    pub write_blocked: bool,
    /// The client has more output than was taken.
    pub more_output: bool,
    /// Waits (CLIENT PAUSE, blocking command): nothing is read or executed.
    pub waiting: bool,
    /// Whole requests may be left in `own` (see [`Conn::parse`]).
    pub leftover: bool,
    /// In the list of connections to read from.
    pub in_again: bool,
    /// In the list of connections to write to.
    pub in_dirty: bool,
}

impl Conn {
    pub fn new(stream: Stream, client: ClientId, unauthenticated: bool) -> Conn {
        Conn {
            stream,
            client,
            parser: Parser::default(),
            own: Vec::new(),
            queue: VecDeque::new(),
            out: VecDeque::new(),
            out_written: 0,
            out_bytes: 0,
            hold_until: 0,
            told_bytes: 0,
            closing: Closing::No,
            unauthenticated,
            readable: true,
            hung_up: false,
            parting: false,
            ended: false,
            write_blocked: false,
            more_output: false,
            waiting: false,
            leftover: false,
            in_again: false,
            in_dirty: false,
        }
    }

    /// Bytes of the arena that the next read may need.
    pub fn room_wanted(&self) -> usize {
        self.own.len() + READ_BYTES
    }

    /// Reads what is there into `room`, behind the unfinished request, which
    /// is moved there.
    pub fn read(&mut self, room: &mut [u8]) -> ReadOutcome {
        if self.parser.receiving().is_some() {
            return self.read_big();
        }
        let kept = self.own.len();
        let read = if std::mem::take(&mut self.leftover) {
            Ok(0)
        } else {
            match self.stream.read(&mut room[kept..kept + READ_BYTES]) {
                Ok(0) => return ReadOutcome::End,
                Ok(count) => {
                    // A short read has emptied the socket, but not seen its end.
                    self.readable = count == READ_BYTES || self.hung_up;
                    Ok(count)
                }
                Err(error) => Err(error),
            }
        };
        match read {
            Ok(count) => {
                room[..kept].copy_from_slice(&self.own);
                self.own.clear();
                ReadOutcome::Bytes(kept + count)
            }
            Err(error) => self.not_read(error),
        }
    }

    fn not_read(&mut self, error: io::Error) -> ReadOutcome {
        match error.kind() {
            ErrorKind::WouldBlock => {
                self.readable = false;
                ReadOutcome::Nothing
            }
            ErrorKind::Interrupted => ReadOutcome::Nothing,
            _ => ReadOutcome::Failed(error),
        }
    }

    /// Receives a big argument where it will stay.
    fn read_big(&mut self) -> ReadOutcome {
        let mut left = BIG_READ_BYTES;
        while left > 0 {
            let Some((bulk, missing)) = self.parser.receiving() else {
                break;
            };
            let before = bulk.len();
            let room = (missing.min(bulk.capacity() - before) as u64).min(left);
            // Reads straight into the vector's free capacity.
            let result = (&mut self.stream).take(room).read_to_end(bulk);
            let count = bulk.len() - before;
            self.parser.received(count);
            left -= count as u64;
            match result {
                Ok(_) if (count as u64) < room => return ReadOutcome::End,
                Ok(_) => {}
                Err(error) => {
                    return match self.not_read(error) {
                        ReadOutcome::Nothing => ReadOutcome::Held,
                        failed => failed,
                    };
                }
            }
        }
        ReadOutcome::Held
    }

    /// Parses the requests that lie in `buf`; gives the bytes used up and what
    /// is wrong with the rest. The unfinished rest is kept.
    pub fn parse(
        &mut self,
        buf: &[u8],
        bulk_bytes_max: u64,
        parsed: &mut Vec<Parsed>,
        ranges: &mut Vec<Range<u32>>,
    ) -> (usize, Option<ProtocolError>) {
        let limits = if self.unauthenticated {
            Limits::unauthenticated(bulk_bytes_max)
        } else {
            Limits::authenticated(bulk_bytes_max)
        };
        let (mut at, first) = (0, parsed.len());
        loop {
            let base = ranges.len();
            let request = match self.parser.next(&buf[at..], ranges, &limits) {
                Ok(request) => request,
                Err(error) => {
                    ranges.truncate(base);
                    return (at, Some(error));
                }
            };
            let (consumed, owned) = match request {
                Request::Here { consumed } => (consumed, None),
                Request::Owned { consumed, args } => (consumed, Some(args)),
                Request::Empty { consumed } => {
                    ranges.truncate(base);
                    at += consumed;
                    continue;
                }
                Request::Incomplete { consumed } => {
                    ranges.truncate(base);
                    at += consumed;
                    break;
                }
            };
            parsed.push(Parsed {
                ranges: base..ranges.len(),
                start: at,
                owned,
            });
            at += consumed;
            // The first command may lift the limits for the next (AUTH).
            if self.unauthenticated && parsed.len() > first {
                self.leftover = at < buf.len();
                break;
            }
        }
        self.own.extend_from_slice(&buf[at..]);
        if self.own.is_empty() && self.own.capacity() > OWN_KEPT_BYTES {
            self.own = Vec::new();
        }
        (at, None)
    }

    /// Bytes of requests received and not executed.
    pub fn held_bytes(&self) -> usize {
        self.own.len() + self.parser.held_bytes()
    }

    /// Bytes that the connection keeps free for requests.
    pub fn free_bytes(&self) -> usize {
        self.own.capacity() - self.own.len() + self.parser.spare_bytes()
    }

    /// Gives back what it keeps free beyond this.
    pub fn trim(&mut self, bytes: usize) {
        self.own.shrink_to(self.own.len());
        self.parser.trim_spare(bytes);
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
    }

    /// Writes what was taken, as far as the socket takes it and others are not
    /// kept waiting; gives the bytes written.
    ///
    /// # Errors
    /// Of the socket.
    pub fn flush(&mut self, pool: &mut Vec<Vec<u8>>) -> io::Result<usize> {
        let mut total = 0;
        while self.out_bytes > 0 && total < WRITE_BYTES_MAX {
            match self.write_some() {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    total += count;
                    self.advance(count, pool);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.write_blocked = true;
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.out.is_empty() && self.out.capacity() > IOV_MAX {
            self.out = VecDeque::new();
        }
        Ok(total)
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
            if let Some(Chunk::Owned(buf)) = self.out.pop_front() {
                keep(buf, pool);
            }
        }
    }

    /// Reads and forgets what the peer has sent: closing a socket with unread
    /// bytes resets the connection, and the last reply would get lost.
    pub fn drain(&mut self, scratch: &mut [u8]) {
        let mut left = DRAIN_BYTES_MAX;
        while left > 0 {
            match self.stream.read(scratch) {
                Ok(0) | Err(_) => break,
                Ok(count) => left = left.saturating_sub(count),
            }
        }
    }
}

/// Idle reply buffers that a thread keeps.
const POOL_BUFFERS_MAX: usize = 256;
/// Smallest and largest reply buffers worth keeping, bytes.
const POOL_BUFFER_BYTES: std::ops::RangeInclusive<usize> = 1024..=LENT_BYTES_MAX;

/// A reply buffer from the pool, or a fresh one.
pub(super) fn buffer(pool: &mut Vec<Vec<u8>>) -> Vec<u8> {
    pool.pop()
        .unwrap_or_else(|| Vec::with_capacity(*POOL_BUFFER_BYTES.start()))
}

/// Keeps a reply buffer for another client.
pub(super) fn keep(mut buf: Vec<u8>, pool: &mut Vec<Vec<u8>>) {
    if pool.len() < POOL_BUFFERS_MAX && POOL_BUFFER_BYTES.contains(&buf.capacity()) {
        buf.clear();
        pool.push(buf);
    }
}
