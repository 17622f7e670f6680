//! A connection as commands see it. Socket, read buffer and write queue live
//! with its I/O thread.

use std::ops::{BitOr, BitOrAssign};
use std::sync::Arc;

use super::client_memory::Counted;
use super::pubsub::Subscriptions;
use super::tracking::{ClientTracking, TrackingMode};
use super::transactions::{Transaction, WatchedKey};
use crate::acl::User;
use crate::command::registry::CommandId;
use crate::config::OutputBufferLimit;
use crate::keyspace::DbIndex;
use crate::resp::Output;

/// A handle on a connected client; stale once it disconnects.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub struct ClientId {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// Bits of a client's state.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Flags(u32);

#[allow(missing_docs)]
impl Flags {
    pub const NONE: Flags = Flags(0);
    /// Receives all commands (MONITOR).
    pub const MONITOR: Flags = Flags(1);
    /// CLIENT REPLY OFF.
    pub const REPLY_OFF: Flags = Flags(1 << 1);
    /// The reply of the running command is dropped.
    pub const REPLY_SKIP: Flags = Flags(1 << 2);
    /// The reply of the next command will be.
    pub const REPLY_SKIP_NEXT: Flags = Flags(1 << 3);
    /// Not evicted for its memory.
    pub const NO_EVICT: Flags = Flags(1 << 4);
    /// Reads leave no trace.
    pub const NO_TOUCH: Flags = Flags(1 << 5);
    pub const UNIX_SOCKET: Flags = Flags(1 << 6);
    pub const BLOCKED: Flags = Flags(1 << 7);
    /// A command waits for the end of CLIENT PAUSE.
    pub const PAUSED: Flags = Flags(1 << 8);
    pub const REPLICA: Flags = Flags(1 << 9);
    pub const PUBSUB: Flags = Flags(1 << 10);
    pub const READONLY: Flags = Flags(1 << 11);
    /// In a transaction: commands are queued.
    pub const MULTI: Flags = Flags(1 << 12);
    /// A watched key has changed.
    pub const DIRTY_CAS: Flags = Flags(1 << 13);
    /// Is or was in tracking mode (client-side caching).
    pub const HAS_TRACKED: Flags = Flags(1 << 14);
    /// Its script is paused.
    pub const IN_SCRIPT: Flags = Flags(1 << 15);

    /// Whether any of these bits is set.
    #[inline]
    pub fn has(self, flags: Flags) -> bool {
        self.0 & flags.0 != 0
    }

    /// Sets or clears bits.
    pub fn set(&mut self, flags: Flags, on: bool) {
        if on {
            self.0 |= flags.0
        } else {
            self.0 &= !flags.0
        }
    }
}

impl BitOr for Flags {
    type Output = Flags;
    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Flags) {
        self.0 |= other.0;
    }
}

/// When a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
pub enum Closing {
    /// Not yet.
    No,
    /// Once its pending replies are written; no further command is executed.
    AfterReply,
    /// At once.
    Now,
}

/// Which commands CLIENT PAUSE holds back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
pub enum Pause {
    /// Those that may write.
    Write,
    /// All of normal clients.
    All,
}

/// How CLIENT UNBLOCK ends a wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unblock {
    /// With the reply of a wait that has timed out.
    Timeout,
    /// With an error.
    Error,
}

/// Client class, as output buffer limits know them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientKind {
    /// Everyday clients, monitors included.
    Normal,
    /// Replicas.
    Replica,
    /// Clients with subscriptions.
    PubSub,
}

impl ClientKind {
    /// The name in CLIENT KILL TYPE and the configuration.
    pub fn name(self) -> &'static str {
        match self {
            ClientKind::Normal => "normal",
            ClientKind::Replica => "replica",
            ClientKind::PubSub => "pubsub",
        }
    }

    /// Its position in lists of classes.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// What is known of a connection when it is accepted.
#[derive(Clone, Debug, Default)]
pub struct RawClient {
    /// File descriptor, for CLIENT LIST.
    pub fd: i32,
    /// Peer, "ip:port" or "path:0".
    pub addr: String,
    /// Our side of it.
    pub laddr: String,
    /// Arrived on the unix socket.
    pub unix_socket: bool,
    /// The I/O thread that owns the socket, and its number there.
    pub io_thread: usize,
    /// The connection's number in that thread.
    pub token: usize,
}

/// The state of a client.
pub struct Client {
    /// The public number (CLIENT ID).
    pub id: u64,
    /// The handle.
    pub handle: ClientId,
    /// Where it came from and who serves it.
    pub raw: RawClient,
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// CLIENT SETINFO LIB-NAME and LIB-VER.
    pub lib: [Vec<u8>; 2],
    /// When it connected, clock nanoseconds.
    pub created_ns: u64,
    /// Last time that it sent or was sent something, clock nanoseconds.
    pub active_ns: u64,
    /// The selected database.
    pub db: DbIndex,
    /// RESP3 instead of RESP2.
    pub resp3: bool,
    /// The user that it acts as.
    pub user: Arc<User>,
    /// Whether it may run commands.
    pub authenticated: bool,
    /// State bits.
    pub flags: Flags,
    /// When the connection ends.
    pub closing: Closing,
    /// The last command, for CLIENT LIST.
    pub last_command: Option<CommandId>,
    /// Replies that wait to be taken by the I/O thread.
    pub output: Output,
    /// Bytes that the I/O thread has taken and not written yet, as it last told.
    pub in_flight_bytes: usize,
    /// The pieces that these bytes are in.
    pub in_flight_chunks: usize,
    /// Since when the output is above the soft limit, clock nanoseconds.
    pub soft_limit_since_ns: Option<u64>,
    /// Bytes of requests received and not executed, the running one included.
    pub query_bytes: usize,
    /// Bytes of requests that there is room for, these included: what the
    /// connection has of its own, and its share of the thread's read buffer.
    pub query_room_bytes: usize,
    /// Bytes of a big argument that are still to come and to be made room for.
    /// Redis takes the memory for all of it when it begins to come.
    pub query_announced_bytes: usize,
    /// Most bytes of a request since the last look.
    pub query_peak_bytes: usize,
    /// Free bytes beyond which the I/O thread gives its own back.
    pub query_trim_to_bytes: Option<usize>,
    /// Bytes of the arguments of the running command, or of those that wait.
    pub args_bytes: usize,
    /// Bytes of replies that count as the reply buffer, the rest as a list of
    /// further ones (Redis resizes it with use).
    pub reply_room_bytes: usize,
    /// Most of them used since the last look.
    pub reply_peak_bytes: usize,
    /// Time of that look, clock nanoseconds; none: never yet.
    pub reply_peak_since_ns: Option<u64>,
    /// What it has queued since MULTI.
    pub transaction: Option<Box<Transaction>>,
    /// Keys that it watches.
    pub watched: Vec<WatchedKey>,
    /// Bytes of their names.
    pub(super) watched_bytes: usize,
    /// What it has subscribed to.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// What it is told of keys in its cache.
    pub tracking: Option<Box<ClientTracking>>,
    /// Messages to it while a command runs whose reply is dropped.
    pub kept: Option<Box<Output>>,
    /// Its part in the memory of all clients.
    pub(super) counted: Counted,
    /// Whether its I/O thread has been told to look at it.
    pub scheduled: bool,
    /// Whether its I/O thread has been told of messages to it.
    pub push_scheduled: bool,
}

/// Pending replies as CLIENT LIST counts them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct PendingOutput {
    /// Bytes in the reply buffer (`obl`).
    pub buffer_bytes: usize,
    /// Further pieces (`oll`) …
    pub list_chunks: usize,
    /// … and their bytes (`omem`), to which the output limits apply.
    pub list_bytes: usize,
}

/// Initial and largest room of a reply buffer, bytes.
pub const REPLY_ROOM_BYTES: usize = 16 * 1024;
/// Smallest room of a reply buffer, bytes.
pub const REPLY_ROOM_BYTES_MIN: usize = 1024;

impl Client {
    pub(super) fn new(
        id: u64,
        handle: ClientId,
        raw: RawClient,
        user: Arc<User>,
        now_ns: u64,
    ) -> Client {
        let mut flags = Flags::NONE;
        flags.set(Flags::UNIX_SOCKET, raw.unix_socket);
        Client {
            id,
            handle,
            raw,
            name: Vec::new(),
            lib: [Vec::new(), Vec::new()],
            created_ns: now_ns,
            active_ns: now_ns,
            db: DbIndex::default(),
            resp3: false,
            user,
            authenticated: false,
            flags,
            closing: Closing::No,
            last_command: None,
            output: Output::default(),
            in_flight_bytes: 0,
            in_flight_chunks: 0,
            soft_limit_since_ns: None,
            query_bytes: 0,
            query_room_bytes: 0,
            query_announced_bytes: 0,
            query_peak_bytes: 0,
            query_trim_to_bytes: None,
            args_bytes: 0,
            reply_room_bytes: REPLY_ROOM_BYTES,
            reply_peak_bytes: REPLY_ROOM_BYTES,
            reply_peak_since_ns: None,
            transaction: None,
            watched: Vec::new(),
            watched_bytes: 0,
            subscriptions: None,
            tracking: None,
            kept: None,
            counted: Counted::default(),
            scheduled: false,
            push_scheduled: false,
        }
    }

    /// Its class.
    pub fn kind(&self) -> ClientKind {
        if self.flags.has(Flags::REPLICA) && !self.flags.has(Flags::MONITOR) {
            ClientKind::Replica
        } else if self.flags.has(Flags::PUBSUB) {
            ClientKind::PubSub
        } else {
            ClientKind::Normal
        }
    }

    /// Whether it is connected from this machine.
    pub fn is_local(&self) -> bool {
        self.flags.has(Flags::UNIX_SOCKET)
            || self.raw.addr.starts_with("127.0.0.1:")
            || self.raw.addr.starts_with("[::1]:")
    }

    /// Bytes that can be received without another allocation.
    pub fn query_free_bytes(&self) -> usize {
        self.query_room_bytes.saturating_sub(self.query_bytes)
    }

    /// Bytes of replies not yet handed to the kernel.
    pub fn output_bytes(&self) -> usize {
        self.output.len() + self.in_flight_bytes
    }

    /// Where messages to it go.
    #[inline]
    pub fn push_output(&mut self) -> &mut Output {
        match &mut self.kept {
            Some(kept) => kept,
            None => &mut self.output,
        }
    }

    /// Whether output limits may apply: what fits the reply buffer is not
    /// limited.
    #[inline]
    pub fn may_break_output_limit(&self) -> bool {
        self.soft_limit_since_ns.is_some() || self.output_bytes() > self.reply_room_bytes
    }

    /// The same, as lists and limits count them.
    pub fn pending_output(&self) -> PendingOutput {
        let total = self.output_bytes();
        let buffer_bytes = total.min(self.reply_room_bytes);
        if buffer_bytes == total {
            return PendingOutput {
                buffer_bytes,
                ..PendingOutput::default()
            };
        }
        let chunks = self.in_flight_chunks + self.output.chunks();
        PendingOutput {
            buffer_bytes,
            list_chunks: chunks.saturating_sub(1).max(1),
            // Redis: what counts is the memory, not only the bytes in it.
            list_bytes: self.output.capacity() + self.in_flight_bytes - buffer_bytes,
        }
    }

    /// How long the output may get before all of it is dropped, by a limit or
    /// because the client wants no reply.
    #[inline]
    pub fn reply_max_bytes(&self, limit: &OutputBufferLimit) -> usize {
        if self.kept.is_some() {
            return 0;
        }
        match usize::try_from(limit.hard_bytes) {
            // Redis: the first part does not count.
            Ok(hard) if hard > 0 => {
                (hard.saturating_add(REPLY_ROOM_BYTES)).saturating_sub(self.in_flight_bytes)
            }
            _ => usize::MAX,
        }
    }

    /// What counts for `maxmemory-clients`, bytes: what the client costs and
    /// may cost any moment, for the argument that it is sending and for replies.
    pub fn counted_bytes(&self) -> usize {
        let reply_room = self.reply_room_bytes.saturating_sub(self.output_bytes());
        self.memory_bytes() + self.query_announced_bytes + reply_room
    }

    /// What the client costs, bytes.
    pub fn memory_bytes(&self) -> usize {
        let strings = [&self.name, &self.lib[0], &self.lib[1]];
        size_of::<Client>()
            + strings.iter().map(|text| text.capacity()).sum::<usize>()
            + self.raw.addr.capacity()
            + self.raw.laddr.capacity()
            + self.query_bytes.max(self.query_room_bytes)
            + self.args_bytes
            + self.multi_bytes()
            + self.watched_bytes
            + self.watched.capacity() * size_of::<WatchedKey>()
            + self.subscription_bytes()
            + self
                .tracking
                .as_ref()
                .map_or(0, |tracking| tracking.memory_bytes())
            + self.output.own_bytes()
            + self.in_flight_bytes
    }

    /// What its transaction takes, bytes.
    pub fn multi_bytes(&self) -> usize {
        let transaction = self.transaction.as_ref();
        transaction.map_or(0, |transaction| transaction.memory_bytes())
    }

    /// What its subscriptions take, bytes.
    fn subscription_bytes(&self) -> usize {
        let subscriptions = self.subscriptions.as_ref();
        subscriptions.map_or(0, |subscriptions| subscriptions.memory_bytes())
    }

    /// The letters of CLIENT LIST's flags field.
    pub fn flag_letters(&self) -> String {
        let mut letters = String::new();
        let tracking = self.tracking.as_ref();
        let mut add = |on: bool, letter: char| {
            if on {
                letters.push(letter);
            }
        };
        add(self.flags.has(Flags::MONITOR), 'O');
        add(self.kind() == ClientKind::Replica, 'S');
        add(self.flags.has(Flags::PUBSUB), 'P');
        add(self.flags.has(Flags::MULTI), 'x');
        add(self.flags.has(Flags::BLOCKED | Flags::PAUSED), 'b');
        add(tracking.is_some(), 't');
        add(tracking.is_some_and(|tracking| tracking.broken), 'R');
        let mode = tracking.map(|tracking| tracking.mode);
        add(mode == Some(TrackingMode::Broadcast), 'B');
        add(self.flags.has(Flags::DIRTY_CAS), 'd');
        add(self.closing == Closing::AfterReply, 'c');
        add(self.closing == Closing::Now, 'A');
        add(self.flags.has(Flags::UNIX_SOCKET), 'U');
        add(self.flags.has(Flags::READONLY), 'r');
        add(self.flags.has(Flags::NO_EVICT), 'e');
        add(self.flags.has(Flags::NO_TOUCH), 'T');
        if letters.is_empty() {
            letters.push('N');
        }
        letters
    }
}
