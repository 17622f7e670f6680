//! The load generator: one thread, one epoll set, nothing allocated while it runs.
//!
//! Each connection sends a batch, waits for all of its replies, then sends the next (as
//! redis-benchmark does). One system call per read and one per write: a read that left room in
//! the buffer took all there was, and epoll reports edges, so no call is spent on "nothing yet".

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::Result;
use super::request::{Keys, Request};
use super::scan::{Expected, Scanner};

/// Received at once, shared by all connections: the largest reply batch, 64 values of 1 KB.
const READ_BUFFER_BYTES: usize = 128 * 1024;
/// A server silent for so long counts as hung.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);
/// The largest latency told apart, one minute.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// An empty latency histogram in nanoseconds, three significant digits, of fixed size.
pub fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("the bounds are valid")
}

/// When a run ends. Batches under way are always finished.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// No batch starts later than this after the start.
    Elapsed(Duration),
    /// So many requests are sent, rounded up to whole batches.
    Requests(u64),
}

/// What a run did.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Requests sent, each with its reply counted and checked.
    pub requests: u64,
    /// From the first byte sent to the last reply.
    pub elapsed: Duration,
}

/// Open connections to one server.
pub struct Load {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    buffer: Box<[u8]>,
}

struct Connection {
    stream: TcpStream,
    batch: Vec<u8>,
    sent: usize,
    awaited: usize,
    started: Instant,
    scanner: Scanner,
}

impl Load {
    /// Opens `count` connections to `address`.
    pub fn connect(address: SocketAddr, count: usize) -> Result<Load> {
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(count);
        for index in 0..count {
            let stream = std::net::TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(&mut stream, Token(index), interest)?;
            connections.push(Connection {
                stream,
                batch: Vec::new(),
                sent: 0,
                awaited: 0,
                started: Instant::now(),
                scanner: Scanner::new(),
            });
        }
        Ok(Load {
            poll,
            events: Events::with_capacity(count.max(1)),
            connections,
            buffer: vec![0; READ_BUFFER_BYTES].into_boxed_slice(),
        })
    }

    /// Sends `request` in batches of `pipeline` over all connections and records the round trip
    /// of every batch in nanoseconds.
    ///
    /// Fails on the first reply that is not the expected one, on a closed connection, and on a
    /// server that falls silent.
    pub fn run(
        &mut self,
        request: &Request,
        pipeline: usize,
        keys: &mut Keys,
        until: Until,
        latencies: &mut Histogram<u64>,
    ) -> Result<Run> {
        for connection in &mut self.connections {
            connection.batch = request.batch(pipeline);
            // Nothing to send until its start: a first "writable" may come before that.
            connection.sent = connection.batch.len();
        }
        let mut budget = Budget::new(until, pipeline);
        let begin = Instant::now();
        let mut requests = 0;
        let mut busy = 0;
        for connection in &mut self.connections {
            if budget.take(begin.elapsed()) {
                connection.start(request, pipeline, keys, begin)?;
                busy += 1;
            }
        }
        while busy > 0 {
            if let Err(error) = self.poll.poll(&mut self.events, Some(SILENCE_LIMIT)) {
                if error.kind() == ErrorKind::Interrupted {
                    continue;
                }
                return Err(error.into());
            }
            if self.events.is_empty() {
                return Err(format!("no reply for {SILENCE_LIMIT:?}").into());
            }
            for event in &self.events {
                let connection = &mut self.connections[event.token().0];
                if event.is_writable() {
                    connection.send()?;
                }
                if connection.awaited == 0 || !event.is_readable() {
                    continue;
                }
                connection.receive(&request.expected, &mut self.buffer)?;
                if connection.awaited > 0 {
                    continue;
                }
                let now = Instant::now();
                latencies.saturating_record((now - connection.started).as_nanos() as u64);
                requests += pipeline as u64;
                if budget.take(now - begin) {
                    connection.start(request, pipeline, keys, now)?;
                } else {
                    busy -= 1;
                }
            }
        }
        Ok(Run {
            requests,
            elapsed: begin.elapsed(),
        })
    }
}

impl Connection {
    /// Starts a batch; `now` is when its predecessor ended.
    #[inline]
    fn start(
        &mut self,
        request: &Request,
        pipeline: usize,
        keys: &mut Keys,
        now: Instant,
    ) -> Result<()> {
        request.renew(&mut self.batch, keys);
        self.sent = 0;
        self.awaited = pipeline;
        self.started = now;
        self.send()
    }

    /// Writes what the socket takes of the batch.
    #[inline]
    fn send(&mut self) -> Result<()> {
        while self.sent < self.batch.len() {
            match self.stream.write(&self.batch[self.sent..]) {
                Ok(bytes) => self.sent += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads what there is and counts replies.
    #[inline]
    fn receive(&mut self, expected: &Expected, buffer: &mut [u8]) -> Result<()> {
        loop {
            let bytes = match self.stream.read(buffer) {
                Ok(0) => return Err("the server closed the connection".into()),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let replies = self
                .scanner
                .feed(expected, &buffer[..bytes])
                .map_err(|wrong| format!("expected {expected:?}, got {:?}", wrong.0))?;
            self.awaited = self
                .awaited
                .checked_sub(replies)
                .ok_or("more replies than requests")?;
            if bytes < buffer.len() || self.awaited == 0 {
                return Ok(());
            }
        }
    }
}

/// Decides whether another batch may start.
struct Budget {
    until: Until,
    batches_left: u64,
}

impl Budget {
    fn new(until: Until, pipeline: usize) -> Budget {
        let batches_left = match until {
            Until::Elapsed(_) => u64::MAX,
            Until::Requests(requests) => requests.div_ceil(pipeline as u64),
        };
        Budget {
            until,
            batches_left,
        }
    }

    /// Takes one batch at `elapsed` after the start.
    #[inline]
    fn take(&mut self, elapsed: Duration) -> bool {
        if let Until::Elapsed(limit) = self.until
            && elapsed >= limit
        {
            return false;
        }
        if self.batches_left == 0 {
            return false;
        }
        self.batches_left -= 1;
        true
    }
}
