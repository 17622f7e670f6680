//! The loop of an I/O thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Shared;
use super::batch::{self, Batch};
use super::conn::{Conn, READ_BYTES, ReadOutcome};
use super::driver::{Driver, Event};
use super::stream::{Accepted, Listener, Stream};
use crate::engine::{ClientId, Closing, RawClient, Server, ShutdownState};
use crate::resp::Limits;
use crate::server::cron::Cron;

/// Bytes into which a turn reads before it executes.
const ARENA_BYTES: usize = 16 * READ_BYTES;
/// Connections accepted in one turn.
const ACCEPT_MAX: usize = 1000;
/// Tokens from here on are listening sockets.
const LISTENER_TOKEN: usize = usize::MAX / 2;

/// One I/O thread. The first also accepts connections and runs cron.
pub struct Reactor<D: Driver> {
    shared: Arc<Shared>,
    index: usize,
    driver: D,
    conns: Vec<Option<Conn>>,
    free: Vec<usize>,
    listeners: Vec<Listener>,
    accepted: Vec<Accepted>,
    arena: Vec<u8>,
    batch: Batch,
    pool: Vec<Vec<u8>>,
    /// Connections to look at in the next turn without waiting for an event.
    again: Vec<usize>,
    /// Connections whose output has to be written in this turn.
    dirty: Vec<usize>,
    /// Room for the work of [`Reactor::collect`] and [`Reactor::ready`].
    touched: Vec<usize>,
    ready: Vec<usize>,
    /// Clients whose connection is gone.
    gone: Vec<ClientId>,
    /// Connections whose amount of unwritten output must be told.
    report: Vec<usize>,
    written_bytes: u64,
    writes: u64,
    next_thread: usize,
    cron: Option<Cron>,
}

impl<D: Driver> Reactor<D> {
    /// The thread of this number; cron belongs to the first.
    pub fn new(shared: Arc<Shared>, index: usize, driver: D, cron: Option<Cron>) -> Reactor<D> {
        Reactor {
            shared,
            index,
            driver,
            conns: Vec::new(),
            free: Vec::new(),
            listeners: Vec::new(),
            accepted: Vec::new(),
            arena: vec![0; ARENA_BYTES],
            batch: Batch::default(),
            pool: Vec::new(),
            again: Vec::new(),
            dirty: Vec::new(),
            touched: Vec::new(),
            ready: Vec::new(),
            gone: Vec::new(),
            report: Vec::new(),
            written_bytes: 0,
            writes: 0,
            next_thread: 0,
            cron,
        }
    }

    /// Runs until the server stops; gives the exit code.
    ///
    /// # Errors
    /// When the system's event queue fails.
    pub fn run(mut self) -> std::io::Result<i32> {
        let mut events = Vec::new();
        loop {
            self.driver.wait(self.timeout(), &mut events)?;
            self.take_listeners();
            let mut ready = self.ready(&events);
            for index in ready.drain(..) {
                self.receive(index);
                if self.batch.reads as usize * READ_BYTES + READ_BYTES > ARENA_BYTES {
                    self.turn();
                }
            }
            self.ready = ready;
            if let Some(code) = self.turn() {
                self.shared.wake_all();
                self.listeners.clear();
                return Ok(code);
            }
        }
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.again.is_empty() || !self.gone.is_empty() || !self.report.is_empty() {
            return Some(Duration::ZERO);
        }
        let cron = self.cron.as_ref()?;
        Some(cron.due.saturating_duration_since(Instant::now()))
    }

    fn take_listeners(&mut self) {
        if self.index != 0 {
            return;
        }
        let Some(fresh) = self.shared.listeners.lock().take() else {
            return;
        };
        for listener in &mut self.listeners {
            self.driver.remove_listener(listener);
        }
        self.listeners = fresh;
        for (number, listener) in self.listeners.iter_mut().enumerate() {
            if let Err(error) = self.driver.add_listener(listener, LISTENER_TOKEN + number) {
                tracing::warn!("Can't watch a listening socket: {error}");
            }
        }
        // Connections may have come before the watch began.
        (0..self.listeners.len()).for_each(|number| self.accept(number));
    }

    /// Notes what events say; gives the connections to read from.
    fn ready(&mut self, events: &[Event]) -> Vec<usize> {
        let mut ready = std::mem::take(&mut self.ready);
        ready.append(&mut self.again);
        for index in &ready {
            if let Some(Some(conn)) = self.conns.get_mut(*index) {
                conn.again = false;
            }
        }
        for event in events {
            if event.token >= LISTENER_TOKEN && event.token < usize::MAX {
                self.accept(event.token - LISTENER_TOKEN);
                continue;
            }
            let Some(Some(conn)) = self.conns.get_mut(event.token) else {
                continue;
            };
            conn.hung_up |= event.closed;
            if event.readable {
                conn.readable = true;
                if !ready.contains(&event.token) || events.len() > 64 {
                    ready.push(event.token);
                }
            }
            if event.writable && conn.out_bytes > 0 {
                self.dirty.push(event.token);
            }
        }
        if events.len() > 64 {
            ready.sort_unstable();
            ready.dedup();
        }
        ready
    }

    fn accept(&mut self, number: usize) {
        let Some(listener) = self.listeners.get(number) else {
            return;
        };
        for _ in 0..ACCEPT_MAX {
            match listener.accept() {
                Ok(accepted) => self.accepted.push(accepted),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::warn!("Accepting client connection: {error}");
                    return;
                }
            }
        }
        // More may wait; edges do not come twice.
        self.shared.wake(0);
    }

    /// Reads and parses what a connection has sent.
    fn receive(&mut self, index: usize) {
        let Some(Some(conn)) = self.conns.get_mut(index) else {
            return;
        };
        if conn.closing == Closing::Now {
            return self.close(index);
        }
        if conn.waiting || conn.closing != Closing::No {
            // Nothing is executed now, but a client that left must be noticed.
            if conn.hung_up {
                self.close(index);
            }
            return;
        }
        let outcome = if std::mem::take(&mut conn.leftover) {
            ReadOutcome::Bytes(super::conn::Source::Own, conn.own.len())
        } else {
            let at = self.batch.reads as usize * READ_BYTES;
            self.batch.reads += 1;
            let before = conn.own.len() + conn.parser.held_bytes();
            let outcome = conn.read(&mut self.arena, at);
            if let ReadOutcome::Bytes(source, len) = outcome {
                let after = match source {
                    super::conn::Source::Arena(_) => before + len,
                    super::conn::Source::Own => conn.own.len() + conn.parser.held_bytes(),
                };
                self.batch.read_bytes += (after - before) as u64;
            }
            outcome
        };
        match outcome {
            ReadOutcome::Bytes(source, len) => {
                self.batch.add(index, conn, &self.arena, source, len);
            }
            ReadOutcome::Nothing => {}
            ReadOutcome::Closed => self.close(index),
        }
    }

    /// Executes the batch under the lock and writes the replies after it.
    fn turn(&mut self) -> Option<i32> {
        let cron_due = self
            .cron
            .as_ref()
            .is_some_and(|cron| cron.due <= Instant::now());
        let idle = self.batch.is_empty()
            && self.dirty.is_empty()
            && self.gone.is_empty()
            && self.report.is_empty()
            && self.accepted.is_empty();
        // Woken by nothing of our own: another thread has scheduled something.
        let shared = self.shared.clone();
        let mut server = shared.server.lock();
        if !idle || cron_due {
            server.clock.sync();
        }
        server.now_ns = server.clock.monotonic_ns();
        server.check_pause();
        self.housekeeping(&mut server);
        self.batch
            .execute(&mut server, &mut self.conns, &self.arena);
        if let (true, Some(cron)) = (cron_due, self.cron.as_mut()) {
            cron.run(&mut server);
        }
        self.collect(&mut server);
        let exit = server.shutdown;
        let others: Vec<usize> = (0..shared.threads.len())
            .filter(|thread| *thread != self.index && server.clients.has_scheduled(*thread))
            .collect();
        drop(server);
        self.batch.clear();
        others.into_iter().for_each(|thread| shared.wake(thread));
        self.flush();
        match exit {
            ShutdownState::None => None,
            ShutdownState::Exit(code) => Some(code),
        }
    }

    /// Under the lock: connections that came and went, statistics.
    fn housekeeping(&mut self, server: &mut Server) {
        for client in self.gone.drain(..) {
            server.forget_client(client);
        }
        for index in self.report.drain(..) {
            if let Some(Some(conn)) = self.conns.get(index)
                && let Some(client) = server.clients.get_mut(conn.client)
            {
                client.in_flight_bytes = conn.out_bytes;
            }
        }
        server.stats.net_output_bytes += std::mem::take(&mut self.written_bytes);
        let writes = std::mem::take(&mut self.writes);
        server.stats.writes_processed += writes;
        if self.index > 0 {
            server.stats.io_threaded_writes += writes;
            server.stats.io_threaded_reads += self.batch.reads;
        }
        for accepted in std::mem::take(&mut self.accepted) {
            self.admit(server, accepted);
        }
        let arrived = std::mem::take(&mut *self.shared.threads[self.index].connections.lock());
        for (stream, client) in arrived {
            self.adopt(server, stream, client);
        }
    }

    /// A new connection: refused, ours, or another thread's.
    fn admit(&mut self, server: &mut Server, mut accepted: Accepted) {
        if let Some(refusal) = server.refuse_connection(accepted.loopback) {
            let _ = accepted
                .stream
                .write(&[std::io::IoSlice::new(refusal.as_bytes())]);
            return;
        }
        let thread = self.next_thread;
        self.next_thread = (self.next_thread + 1) % self.shared.threads.len();
        let keepalive = server.config.tcp_keepalive_s;
        crate::server::listen::prepare(&accepted.stream, keepalive);
        let raw = RawClient {
            fd: accepted.stream.fd(),
            addr: accepted.addr,
            laddr: accepted.laddr,
            unix_socket: matches!(accepted.stream, Stream::Unix(_)),
            io_thread: thread,
            token: 0,
        };
        let client = server.add_client(raw);
        if thread == self.index {
            self.adopt(server, accepted.stream, client);
        } else {
            self.shared.threads[thread]
                .connections
                .lock()
                .push((accepted.stream, client));
            self.shared.wake(thread);
        }
    }

    fn adopt(&mut self, server: &mut Server, mut stream: Stream, id: ClientId) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.conns.push(None);
            self.conns.len() - 1
        });
        if let Err(error) = self.driver.add(&mut stream, index) {
            tracing::warn!("Can't watch a connection: {error}");
            self.free.push(index);
            server.forget_client(id);
            return;
        }
        let Some(client) = server.clients.get_mut(id) else {
            self.driver.remove(&mut stream);
            self.free.push(index);
            return;
        };
        client.raw.token = index;
        let bulk_bytes_max = server.config.proto_max_bulk_bytes;
        let limits = if client.authenticated {
            Limits::authenticated(bulk_bytes_max)
        } else {
            Limits::unauthenticated(bulk_bytes_max)
        };
        let mut conn = Conn::new(stream, id, limits);
        // Bytes may have come before the watch began.
        conn.again = true;
        self.again.push(index);
        self.conns[index] = Some(conn);
    }

    /// Under the lock: takes the output of all clients that have some.
    fn collect(&mut self, server: &mut Server) {
        let mut touched = std::mem::take(&mut self.touched);
        touched.extend(self.batch.conns());
        touched.append(&mut self.dirty);
        for id in server.clients.take_scheduled(self.index) {
            let Some(client) = server.clients.get(id) else {
                continue;
            };
            let index = client.raw.token;
            if batch::client_of(&self.conns, index) != Some(id) {
                continue;
            }
            if let Some(Some(conn)) = self.conns.get_mut(index)
                && conn.waiting
                && server.is_resumed(id)
            {
                batch::run_queue(server, conn);
                self.look_again(index);
            }
            touched.push(index);
        }
        for index in touched.drain(..) {
            let Some(Some(conn)) = self.conns.get_mut(index) else {
                continue;
            };
            let Some(client) = server.clients.get_mut(conn.client) else {
                conn.closing = Closing::Now;
                self.dirty.push(index);
                continue;
            };
            conn.closing = client.closing;
            if conn.out_bytes == 0 && !client.output.is_empty() {
                conn.out_bytes = client.output.len();
                let spare = self.pool.pop().unwrap_or_default();
                client.output.take(&mut conn.out, spare);
                client.active_ns = server.now_ns;
            }
            self.dirty.push(index);
        }
        self.touched = touched;
        // What new clients of this turn left scheduled comes next turn.
        if server.clients.has_scheduled(self.index) {
            self.shared.wake(self.index);
        }
    }

    fn look_again(&mut self, index: usize) {
        if let Some(Some(conn)) = self.conns.get_mut(index)
            && !conn.again
        {
            conn.again = true;
            self.again.push(index);
        }
    }

    /// After the lock: writes, closes, and notes what is left to do.
    fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for index in dirty.drain(..) {
            let Some(Some(conn)) = self.conns.get_mut(index) else {
                continue;
            };
            if conn.closing == Closing::Now {
                self.close(index);
                continue;
            }
            let had = conn.out_bytes;
            match conn.flush(&mut self.pool) {
                Err(_) => {
                    self.close(index);
                    continue;
                }
                Ok((0, _)) if had == 0 => {}
                Ok((count, done)) => {
                    self.written_bytes += count as u64;
                    self.writes += 1;
                    if !done || had > count {
                        self.report.push(index);
                    } else {
                        conn.out.clear();
                    }
                }
            }
            let finished = conn.out_bytes == 0;
            if finished && conn.closing == Closing::AfterReply {
                self.close(index);
                continue;
            }
            let more_input = !conn.waiting && (conn.readable || conn.leftover);
            if more_input {
                self.look_again(index);
            }
        }
        dirty.append(&mut self.dirty);
        self.dirty = dirty;
    }

    fn close(&mut self, index: usize) {
        if let Some(mut conn) = self.conns[index].take() {
            self.driver.remove(&mut conn.stream);
            self.gone.push(conn.client);
            self.free.push(index);
        }
    }
}
