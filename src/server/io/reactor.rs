//! The loop of an I/O thread.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Shared;
use super::batch::{self, Batch};
use super::conn::{self, Conn, READ_BYTES, ReadOutcome};
use super::driver::{Driver, Event};
use super::stream::{Accepted, Listener};
use crate::engine::{ClientId, Closing, Flags, QUERY_ROOM_BYTES, Server, ShutdownState};
use crate::exec::{blocking, scripting, tracking};
use crate::server::cron::Cron;

/// Bytes into which a turn reads before it executes.
const ARENA_BYTES: usize = 16 * READ_BYTES;
/// Requests of a connection begin at a multiple of this in the arena.
const ARENA_ALIGN: usize = 64;
/// Output from which it counts as long, bytes.
const LONG_OUTPUT_BYTES: usize = 64 * 1024;
/// Bytes of long outputs written in a turn.
const LONG_BYTES_PER_TURN: usize = 4 * 1024 * 1024;
/// Clients that get the messages to them in a turn. Each costs a write; who
/// has asked for something does not wait for those who have not.
const PUSHES_PER_TURN: usize = 128;
/// How long messages are held back while requests keep coming, of which there
/// may be more for the same clients: one write is for all of them then.
const PUSHES_GATHER_NS: u64 = 200_000;
/// How long the end of other threads waits for the sockets to be closed.
const CLOSING_PATIENCE: Duration = Duration::from_millis(500);
/// Tokens from here on are listening sockets.
pub(super) const LISTENER_TOKEN: usize = usize::MAX / 2;

/// How far the writing of a connection has come.
#[derive(Clone, Copy, Default)]
struct Flushed {
    /// Bytes written now.
    bytes: usize,
    /// There is more, and the socket may take it.
    unfinished: bool,
}

/// One I/O thread. The first also accepts connections and runs cron.
pub struct Reactor<D: Driver> {
    pub(super) shared: Arc<Shared>,
    pub(super) index: usize,
    pub(super) driver: D,
    pub(super) conns: Vec<Option<Conn>>,
    pub(super) free: Vec<usize>,
    pub(super) listeners: Vec<Listener>,
    pub(super) accepted: Vec<Accepted>,
    /// When to look for connections without an event.
    pub(super) accept_at: Option<Instant>,
    pub(super) next_thread: usize,
    /// What was read in this turn, one connection behind the other.
    arena: Vec<u8>,
    arena_used: usize,
    batch: Batch,
    /// Empty reply buffers.
    pool: Vec<Vec<u8>>,
    /// Connections whose output waits for the log to be on disk.
    held: Vec<usize>,
    /// Up to where it is.
    durable: u64,
    /// Connections to read from in the next turn without waiting for an event.
    again: Vec<usize>,
    /// Connections whose client has to be looked at in this turn.
    dirty: Vec<usize>,
    /// Room for the work of [`Reactor::flush`].
    long: Vec<usize>,
    /// Clients whose connection is gone, and whether the peer ended it.
    gone: Vec<(ClientId, bool)>,
    /// Connections whose amount of unwritten output must be told.
    report: Vec<usize>,
    written_bytes: u64,
    writes: u64,
    /// Messages are left to be written in further turns.
    more_pushes: bool,
    /// Since when some are.
    pushes_since_ns: Option<u64>,
    /// Clients take too much, unless writing their replies helps.
    evicting: bool,
    cron: Option<Cron>,
    /// A paused script is to go on in this thread.
    script_waits: bool,
    /// When CLIENT PAUSE ends.
    pause_ends: Option<Instant>,
    /// When the wait of a blocked client ends.
    wait_ends: Option<Instant>,
}

/// When it will be this Unix time, milliseconds; at most a minute ahead.
fn instant_of(server: &Server, unix_ms: i64) -> Instant {
    let left_ms = unix_ms.saturating_sub(server.clock_unix_ms());
    let left_ms = u64::try_from(left_ms).unwrap_or(0).min(60_000);
    Instant::now() + Duration::from_millis(left_ms)
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
            accept_at: None,
            next_thread: 0,
            arena: vec![0; ARENA_BYTES],
            arena_used: 0,
            batch: Batch::default(),
            pool: Vec::new(),
            held: Vec::new(),
            durable: u64::MAX,
            again: Vec::new(),
            dirty: Vec::new(),
            long: Vec::new(),
            gone: Vec::new(),
            report: Vec::new(),
            written_bytes: 0,
            writes: 0,
            more_pushes: false,
            pushes_since_ns: None,
            evicting: false,
            cron,
            script_waits: false,
            pause_ends: None,
            wait_ends: None,
        }
    }

    /// Runs until the server stops; gives the exit code.
    ///
    /// # Errors
    /// When the system's event queue fails.
    pub fn run(mut self) -> std::io::Result<i32> {
        let (mut events, mut ready) = (Vec::new(), Vec::new());
        loop {
            self.driver.wait(self.timeout(), &mut events)?;
            self.take_listeners();
            self.accept_more();
            self.note(&events);
            std::mem::swap(&mut ready, &mut self.again);
            for index in ready.drain(..) {
                self.receive(index);
            }
            if let Some(code) = self.turn() {
                self.shared.wake_all();
                self.listeners.clear();
                return Ok(code);
            }
        }
    }

    /// Whether nothing is left to be done under the lock.
    fn is_idle(&self) -> bool {
        self.dirty.is_empty()
            && self.gone.is_empty()
            && self.report.is_empty()
            && self.accepted.is_empty()
            && !self.more_pushes
            && !self.evicting
            && !self.script_waits
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.again.is_empty() || !self.is_idle() {
            return Some(Duration::ZERO);
        }
        let cron_due = self.cron.as_ref().map(|cron| cron.due);
        let next = [cron_due, self.accept_at, self.pause_ends, self.wait_ends];
        let next = next.into_iter().flatten().min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// Notes what events say.
    fn note(&mut self, events: &[Event]) {
        for event in events {
            if event.token >= LISTENER_TOKEN {
                self.accept(event.token - LISTENER_TOKEN);
                continue;
            }
            let Some(Some(conn)) = self.conns.get_mut(event.token) else {
                continue;
            };
            conn.hung_up |= event.closed;
            conn.readable |= event.readable;
            // A write tells whether a socket that hung up still takes anything.
            let try_write = conn.out_bytes > 0 && (event.writable || event.closed);
            conn.write_blocked &= !try_write;
            if event.readable {
                self.look_again(event.token);
            }
            if try_write {
                self.mark_dirty(event.token);
            }
        }
    }

    /// Has a connection read from in the next turn.
    pub(super) fn look_again(&mut self, index: usize) {
        if let Some(Some(conn)) = self.conns.get_mut(index)
            && !std::mem::replace(&mut conn.in_again, true)
        {
            self.again.push(index);
        }
    }

    /// Has the output of a connection's client taken and written in this turn.
    pub(super) fn mark_dirty(&mut self, index: usize) {
        if let Some(Some(conn)) = self.conns.get_mut(index)
            && !std::mem::replace(&mut conn.in_dirty, true)
        {
            self.dirty.push(index);
        }
    }

    /// Reads and parses what a connection has sent.
    fn receive(&mut self, index: usize) {
        let Some(Some(conn)) = self.conns.get_mut(index) else {
            return;
        };
        conn.in_again = false;
        if conn.waiting || conn.ended || conn.closing != Closing::No {
            // Nothing is executed now, but who left need not be waited for.
            if conn.waiting && conn.hung_up {
                self.mark_dirty(index);
            }
            return;
        }
        let wanted = conn.room_wanted();
        if self.arena_used + wanted > ARENA_BYTES {
            // What the end of the server would be told is told again.
            self.turn();
        }
        let Some(Some(conn)) = self.conns.get_mut(index) else {
            return;
        };
        let start = self.arena_used;
        let before = conn.held_bytes();
        self.batch.reads += u64::from(!conn.leftover);
        let outcome = conn.read(&mut self.arena[start..start + wanted]);
        let held = conn.held_bytes();
        let end = match outcome {
            ReadOutcome::Bytes(len) => {
                self.batch.read_bytes += (len + held - before) as u64;
                start + len
            }
            ReadOutcome::Held => {
                self.batch.read_bytes += (held - before) as u64;
                start
            }
            ReadOutcome::Nothing => return,
            ReadOutcome::End => {
                // What was asked before the end is still answered.
                conn.ended = true;
                conn.readable = false;
                self.mark_dirty(index);
                return;
            }
            ReadOutcome::Failed(error) => {
                tracing::debug!("Reading from client: {error}");
                self.close(index);
                return;
            }
        };
        let bulk_bytes_max = self.shared.bulk_bytes_max.load(Ordering::Relaxed);
        self.batch
            .add(index, conn, &self.arena, start..end, bulk_bytes_max);
        self.arena_used = end.next_multiple_of(ARENA_ALIGN);
    }

    /// Executes the batch under the lock and writes the replies after it.
    fn turn(&mut self) -> Option<i32> {
        let cron_due = self
            .cron
            .as_ref()
            .is_some_and(|cron| cron.due <= Instant::now());
        let mailbox = &self.shared.threads[self.index];
        let called = mailbox.called.swap(false, Ordering::Acquire);
        let idle = self.batch.is_empty() && self.is_idle();
        let ends = [self.pause_ends, self.wait_ends];
        let over = ends.iter().flatten().any(|ends| *ends <= Instant::now());
        if idle && !cron_due && !called && !over {
            return None;
        }
        let shared = self.shared.clone();
        let mut server = shared.server.lock();
        server.clock.sync();
        server.now_ns = server.clock.now_ns();
        server.check_pause();
        self.housekeeping(&mut server);
        if !server.is_busy() {
            server.evict_clients();
        }
        self.batch
            .execute(&mut server, &mut self.conns, &self.arena, &mut self.pool);
        let paused = server.scripts.paused.as_ref();
        if paused.is_some_and(|paused| paused.thread == self.index) {
            scripting::proceed(&mut server);
        }
        let paused = server.scripts.paused.as_ref();
        self.script_waits = paused.is_some_and(|paused| paused.thread == self.index);
        if let (true, Some(cron)) = (cron_due, self.cron.as_mut()) {
            cron.run(&mut server);
        }
        blocking::end_waits(&mut server);
        self.resume(&mut server);
        let errand = match server.shutdown {
            ShutdownState::None => server.flush_aof_after(),
            ShutdownState::Exit(_) => {
                server.flush_aof(true);
                None
            }
        };
        self.evicting = server.clients.wants_eviction();
        self.collect(&mut server);
        if self.cron.is_some() {
            let until_ms = server.pause.map(|pause| pause.until_ms);
            self.pause_ends = until_ms.map(|until_ms| instant_of(&server, until_ms));
        }
        let until_ms = server.waiting.next_deadline_ms();
        self.wait_ends = until_ms.map(|until_ms| instant_of(&server, until_ms));
        let bulk_bytes_max = server.config.proto_max_bulk_bytes;
        shared
            .bulk_bytes_max
            .store(bulk_bytes_max, Ordering::Relaxed);
        let exit = server.shutdown;
        let others: Vec<usize> = (0..shared.threads.len())
            .filter(|thread| *thread != self.index && server.clients.wants_waking(*thread))
            .collect();
        drop(server);
        self.batch.clear();
        self.arena_used = 0;
        others.into_iter().for_each(|thread| shared.wake(thread));
        if exit != ShutdownState::None {
            self.close_listeners();
        }
        if let Some(errand) = errand {
            self.durable = errand.run();
            self.release();
            let others = (0..shared.threads.len()).filter(|thread| *thread != self.index);
            others.for_each(|thread| shared.wake(thread));
        }
        self.flush();
        match exit {
            ShutdownState::None => None,
            ShutdownState::Exit(code) => Some(code),
        }
    }

    /// At the end of the server: whoever sees that his connection is gone finds
    /// that there is nobody to connect to.
    fn close_listeners(&mut self) {
        if self.index == 0 {
            self.listeners.iter().for_each(Listener::stop);
            self.listeners.clear();
            self.shared.closed.store(true, Ordering::Release);
            return;
        }
        self.shared.wake(0);
        let patience = Instant::now() + CLOSING_PATIENCE;
        while !self.shared.closed.load(Ordering::Acquire) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Under the lock: connections that came and went, statistics.
    fn housekeeping(&mut self, server: &mut Server) {
        for (client, ended) in self.gone.drain(..) {
            if ended && tracing::enabled!(tracing::Level::DEBUG) {
                let line = server.describe_client(client);
                tracing::debug!("Client closed connection {line}");
            }
            server.forget_client(client);
        }
        for index in self.report.drain(..) {
            if let Some(Some(conn)) = self.conns.get_mut(index)
                && let Some(client) = server.clients.get_mut(conn.client)
            {
                conn.told_bytes = conn.out_bytes;
                client.in_flight_bytes = conn.out_bytes;
                client.in_flight_chunks = conn.out.len();
                server.clients.note_memory(conn.client);
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

    /// Under the lock: looks at clients that something was done to.
    fn resume(&mut self, server: &mut Server) {
        for index in self.batch.conns() {
            // As mark_dirty, of which the borrow of the batch keeps us.
            if let Some(Some(conn)) = self.conns.get_mut(index)
                && !std::mem::replace(&mut conn.in_dirty, true)
            {
                self.dirty.push(index);
            }
        }
        for id in server.clients.take_scheduled(self.index) {
            self.look_at_scheduled(server, id);
        }
        tracking::end_turn(server);
    }

    /// Under the lock: takes the output of all clients that have some. It may
    /// show what is in the log but not on disk yet; then it waits.
    fn collect(&mut self, server: &mut Server) {
        if server.shutdown != ShutdownState::None {
            server.aof.wait_for_disk();
        }
        let hold_until = server.aof.barrier().unwrap_or(0);
        self.durable = server.aof.durable();
        self.release();
        self.collect_pushes(server);
        for index in &self.dirty {
            let Some(Some(conn)) = self.conns.get_mut(*index) else {
                continue;
            };
            let Some(client) = server.clients.get_mut(conn.client) else {
                conn.closing = Closing::Now;
                continue;
            };
            conn.closing = client.closing;
            conn.parting = client.push_scheduled && client.closing == Closing::Now;
            if conn.waiting && conn.hung_up && client.flags.has(Flags::BLOCKED) {
                // Redis: nobody is woken who does not listen. A pause, though,
                // ends by itself, and what came before the end is answered.
                conn.closing = Closing::Now;
            }
            if conn.out_bytes == 0 {
                conn.out_bytes = client.output.len();
                client.output.take(&mut conn.out);
                conn.hold_until = hold_until;
                if conn.out_bytes > 0 {
                    client.active_ns = server.now_ns;
                } else if let Some(crate::resp::Chunk::Owned(unused)) = conn.out.pop_back() {
                    conn::keep(unused, &mut self.pool);
                }
            }
            conn.more_output = !client.output.is_empty();
            server.clients.note_memory(conn.client);
        }
        // What resumed clients have left scheduled comes next turn.
        if server.clients.has_scheduled(self.index) {
            self.shared.wake(self.index);
        }
    }

    /// Messages to clients that have asked for nothing in this turn.
    fn collect_pushes(&mut self, server: &mut Server) {
        self.more_pushes = server.clients.has_pushes(self.index);
        if !self.more_pushes {
            self.pushes_since_ns = None;
            return;
        }
        let since_ns = *self.pushes_since_ns.get_or_insert(server.now_ns);
        let gathered_ns = server.now_ns.saturating_sub(since_ns);
        let ends = server.shutdown != ShutdownState::None;
        if !self.batch.is_empty() && !ends && gathered_ns < PUSHES_GATHER_NS {
            return;
        }
        for id in server.clients.take_pushes(self.index, PUSHES_PER_TURN) {
            let token = server.clients.get(id).map(|client| client.raw.token);
            if let Some(index) =
                token.filter(|index| batch::client_of(&self.conns, *index) == Some(id))
            {
                self.mark_dirty(index);
            }
        }
        self.more_pushes = server.clients.has_pushes(self.index);
        if !self.more_pushes {
            self.pushes_since_ns = None;
        }
    }

    /// Has the output written that the disk has caught up with.
    fn release(&mut self) {
        for index in std::mem::take(&mut self.held) {
            self.mark_dirty(index);
        }
    }

    /// A client that something was done to outside of its own requests.
    fn look_at_scheduled(&mut self, server: &mut Server, id: ClientId) {
        let Some(client) = server.clients.get_mut(id) else {
            return;
        };
        let index = client.raw.token;
        if batch::client_of(&self.conns, index) != Some(id) {
            // Not adopted yet; then it will be looked at.
            return;
        }
        let Some(Some(conn)) = self.conns.get_mut(index) else {
            return;
        };
        if let Some(bytes) = client.query_trim_to_bytes.take() {
            conn.trim(bytes);
            let share = QUERY_ROOM_BYTES.min(bytes);
            client.query_room_bytes = client.query_bytes + conn.free_bytes() + share;
        }
        if conn.waiting && server.is_resumed(id) {
            batch::run_queue(server, conn);
            self.look_again(index);
        }
        self.mark_dirty(index);
    }

    /// After the lock: writes, closes, and notes what is left to do. Short
    /// replies go first; long ones take turns, so that nobody waits for all.
    fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        let mut long = std::mem::take(&mut self.long);
        for index in dirty.drain(..) {
            let Some(Some(conn)) = self.conns.get_mut(index) else {
                continue;
            };
            conn.in_dirty = false;
            if conn.out_bytes > LONG_OUTPUT_BYTES && !conn.write_blocked {
                long.push(index);
            } else if self.flush_one(index).unfinished {
                self.mark_dirty(index);
            }
        }
        let (mut left, mut next) = (LONG_BYTES_PER_TURN, 0);
        while left > 0 && next < long.len() {
            let flushed = self.flush_one(long[next]);
            left = left.saturating_sub(flushed.bytes);
            if !flushed.unfinished {
                long[next] = usize::MAX;
            }
            next += 1;
        }
        // Those that had to wait come first in the next turn.
        long.rotate_left(next);
        for index in long.drain(..) {
            self.mark_dirty(index);
        }
        self.long = long;
        dirty.append(&mut self.dirty);
        self.dirty = dirty;
    }

    fn flush_one(&mut self, index: usize) -> Flushed {
        let mut flushed = Flushed::default();
        let Some(Some(conn)) = self.conns.get_mut(index) else {
            return flushed;
        };
        if conn.closing == Closing::Now {
            if conn.parting && conn.hold_until <= self.durable && !conn.write_blocked {
                // Whether it takes them is its own affair.
                let _ = conn.flush(&mut self.pool);
            }
            self.close(index);
            return flushed;
        }
        let held = conn.out_bytes > 0 && conn.hold_until > self.durable;
        if held {
            self.held.push(index);
        } else if conn.out_bytes > 0 && !conn.write_blocked {
            match conn.flush(&mut self.pool) {
                Ok(bytes) => {
                    flushed.bytes = bytes;
                    self.written_bytes += bytes as u64;
                    self.writes += 1;
                }
                Err(error) => {
                    tracing::debug!("Error writing to client: {error}");
                    self.close(index);
                    return flushed;
                }
            }
        }
        let finished = conn.out_bytes == 0 && !conn.more_output;
        if finished && (conn.ended || conn.closing == Closing::AfterReply) {
            if !conn.ended {
                conn.drain(&mut self.arena);
            }
            self.close(index);
            return flushed;
        }
        if conn.told_bytes != conn.out_bytes {
            self.report.push(index);
        }
        flushed.unfinished = !finished && !held && !conn.write_blocked;
        let more_input = !conn.waiting
            && !conn.ended
            && conn.closing == Closing::No
            && (conn.readable || conn.leftover);
        if more_input {
            self.look_again(index);
        }
        flushed
    }

    /// Ends a connection.
    pub(super) fn close(&mut self, index: usize) {
        if let Some(mut conn) = self.conns[index].take() {
            self.driver.remove(&mut conn.stream);
            self.gone.push((conn.client, conn.ended));
            self.free.push(index);
        }
    }
}
