//! The requests of one turn: executed together under the lock, with the
//! memory that they will touch asked for in advance.

use std::ops::Range;

use bytes::Bytes;

use super::conn::{Conn, Parsed, Pool};
use crate::command::ctx::CmdError;
use crate::command::keyspec::Argv;
use crate::command::registry::{LastCall, Lookup};
use crate::engine::{ClientId, Closing, Flags, QUERY_ROOM_BYTES, Server};
use crate::exec::dispatch::{self, Outcome};
use crate::keyspace::DbIndex;
use crate::resp::ProtocolError;

/// Requests that go through the stages of [`Batch::execute_ahead`] together.
/// Their waits for memory, and for where it is, overlap best in a row.
const GROUP: usize = 8;

/// Most bytes of requests that a client may have pending before it has logged in.
const UNAUTHENTICATED_QUERY_BYTES_MAX: usize = 1024 * 1024;

/// Requests for whose list the memory is kept between turns.
const REQUESTS_KEPT: usize = 16 * 1024;

/// What was read of one connection.
struct Item {
    conn: usize,
    client: ClientId,
    /// Its bytes in the arena.
    bytes: Range<usize>,
    requests: Range<usize>,
    /// Bytes of unfinished requests, these included.
    query_bytes: usize,
    /// What is wrong, and where in its bytes.
    error: Option<(usize, ProtocolError)>,
}

/// The requests of a turn, by connection.
#[derive(Default)]
pub(super) struct Batch {
    items: Vec<Item>,
    parsed: Vec<Parsed>,
    ranges: Vec<Range<u32>>,
    /// Bytes read, for the statistics.
    pub read_bytes: u64,
    /// Reads done.
    pub reads: u64,
}

/// Arguments of a request, without an allocation for the common few.
const ARGS_INLINE: usize = 8;

fn with_args<R>(
    request: &Parsed,
    ranges: &[Range<u32>],
    buf: &[u8],
    run: impl FnOnce(&[&[u8]], &[Bytes]) -> R,
) -> R {
    if let Some(owned) = &request.owned {
        let argv: Vec<&[u8]> = owned.iter().map(|arg| &arg[..]).collect();
        return run(&argv, owned);
    }
    let ranges = &ranges[request.ranges.clone()];
    let start = request.start;
    let arg = |range: &Range<u32>| &buf[start + range.start as usize..start + range.end as usize];
    if ranges.len() <= ARGS_INLINE {
        let mut argv: [&[u8]; ARGS_INLINE] = [&[]; ARGS_INLINE];
        for (slot, range) in argv.iter_mut().zip(ranges) {
            *slot = arg(range);
        }
        run(&argv[..ranges.len()], &[])
    } else {
        let argv: Vec<&[u8]> = ranges.iter().map(arg).collect();
        run(&argv, &[])
    }
}

/// The words of a request where they lie.
struct Words<'a> {
    ranges: &'a [Range<u32>],
    /// From the request's start on.
    buf: &'a [u8],
}

impl Argv for Words<'_> {
    #[inline]
    fn count(&self) -> usize {
        self.ranges.len()
    }

    #[inline]
    fn word(&self, index: usize) -> &[u8] {
        let range = &self.ranges[index];
        &self.buf[range.start as usize..range.end as usize]
    }
}

/// What is known of a request before it runs.
#[derive(Clone, Copy)]
struct Plan {
    item: usize,
    request: usize,
    lookup: Lookup,
    hash: Option<u64>,
    db: DbIndex,
    /// Its entry lies further than the bucket of its hash, if anywhere.
    further: bool,
}

/// Requests that are executed while the memory of the next is on its way.
struct Group {
    plans: [Plan; GROUP],
    len: usize,
}

impl Group {
    const NONE: Group = Group {
        plans: [Plan {
            item: 0,
            request: 0,
            lookup: Lookup::UnknownCommand,
            hash: None,
            db: DbIndex::FIRST,
            further: false,
        }; GROUP],
        len: 0,
    };

    /// Starts loading the entries that the requests will look at.
    fn touch(&mut self, server: &Server) {
        for plan in &mut self.plans[..self.len] {
            if let Some(hash) = plan.hash {
                let table = server.keyspace.db(plan.db).table();
                plan.further = !table.prefetch_entry(hash);
            }
        }
    }

    /// Starts loading what touching has left: entries that the first bucket
    /// did not have, the rest of long ones. After a short one the others are
    /// not looked at: that would cost those who only have short ones.
    fn touch_further(&mut self, server: &Server) {
        let mut long = true;
        for plan in &mut self.plans[..self.len] {
            if let Some(hash) = plan.hash {
                let table = server.keyspace.db(plan.db).table();
                if plan.further {
                    table.prefetch_further(hash);
                } else if long {
                    long = table.prefetch_rest(hash);
                }
            }
        }
    }
}

/// Where planning has come to.
struct Next {
    item: usize,
    request: usize,
    /// The database that the item's client has selected, as far as is known
    /// before its requests have run.
    db: DbIndex,
    last_call: LastCall,
}

impl Batch {
    /// Whether there is nothing to execute.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The connections that it has requests of.
    pub fn conns(&self) -> impl Iterator<Item = usize> {
        self.items.iter().map(|item| item.conn)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.items.clear();
        self.parsed.clear();
        self.ranges.clear();
        // A turn of very many short requests is the exception.
        self.parsed.shrink_to(REQUESTS_KEPT);
        self.ranges.shrink_to(REQUESTS_KEPT * 4);
        (self.read_bytes, self.reads) = (0, 0);
    }

    /// Parses what was read of a connection into this part of the arena.
    pub fn add(
        &mut self,
        index: usize,
        conn: &mut Conn,
        arena: &[u8],
        bytes: Range<usize>,
        bulk_bytes_max: u64,
    ) {
        let first = self.parsed.len();
        let (at, error) = conn.parse(
            &arena[bytes.clone()],
            bulk_bytes_max,
            &mut self.parsed,
            &mut self.ranges,
        );
        self.items.push(Item {
            conn: index,
            client: conn.client,
            query_bytes: bytes.len() + conn.parser.unfinished_bytes(),
            bytes,
            requests: first..self.parsed.len(),
            error: error.map(|error| (at, error)),
        });
    }

    /// Executes everything. `pool` has buffers for the replies.
    pub fn execute(
        &mut self,
        server: &mut Server,
        conns: &mut [Option<Conn>],
        arena: &[u8],
        pool: &mut Pool,
    ) {
        server.stats.net_input_bytes += self.read_bytes;
        server.stats.reads_processed += self.reads;
        for item in &self.items {
            let Some(client) = server.clients.get_mut(item.client) else {
                continue;
            };
            client.query_room_bytes = client.query_room_bytes.max(QUERY_ROOM_BYTES);
            if !item.requests.is_empty() && client.output.wants_buffer() {
                client.output.lend(pool.buffer());
            }
        }
        if server.clients.memory_is_limited() {
            self.publish_unfinished(server, conns);
        }
        self.execute_ahead(server, conns, arena);
        server.keyspace.forget_hint();
        for item in &mut self.items {
            let Some(conn) = conn_of(conns, item) else {
                continue;
            };
            if let Some((at, error)) = item.error.take() {
                protocol_error(server, conn, &arena[item.bytes.clone()][at..], error);
            }
            publish(server, conn, item.bytes.len());
        }
    }

    /// What has only grown in this turn counts before anything is executed.
    fn publish_unfinished(&self, server: &mut Server, conns: &mut [Option<Conn>]) {
        for item in self.items.iter().filter(|item| item.requests.is_empty()) {
            if let Some(conn) = conn_of(conns, item) {
                publish(server, conn, item.bytes.len());
            }
        }
    }

    /// Executes the requests in order, in groups that follow each other through
    /// four stages: planned (their buckets are asked for), touched (their
    /// entries are), touched further, executed.
    fn execute_ahead(&self, server: &mut Server, conns: &mut [Option<Conn>], arena: &[u8]) {
        let mut next = Next {
            item: 0,
            request: 0,
            db: DbIndex::FIRST,
            last_call: LastCall::default(),
        };
        self.enter(server, &mut next);
        let mut groups = [const { Group::NONE }; 4];
        loop {
            let [planned, touched, further, due] = &mut groups;
            self.plan(server, arena, &mut next, planned);
            touched.touch(server);
            further.touch_further(server);
            for plan in &due.plans[..due.len] {
                self.run(server, conns, arena, plan);
            }
            due.len = 0;
            if groups.iter().all(|group| group.len == 0) {
                return;
            }
            groups.rotate_right(1);
        }
    }

    /// Begins planning an item, if there is one.
    fn enter(&self, server: &Server, next: &mut Next) {
        if let Some(item) = self.items.get(next.item) {
            next.request = item.requests.start;
            let client = server.clients.get(item.client);
            next.db = client.map_or(DbIndex::FIRST, |client| client.db);
        }
    }

    /// Looks up commands and keys of the next requests, and starts loading the
    /// buckets that their execution will look into.
    fn plan(&self, server: &Server, arena: &[u8], next: &mut Next, group: &mut Group) {
        group.len = 0;
        while let Some(item) = self.items.get(next.item)
            && group.len < GROUP
        {
            let end = item.requests.end.min(next.request + GROUP - group.len);
            let buf = &arena[item.bytes.clone()];
            let table = server.keyspace.db(next.db).table();
            let requests = self.parsed[next.request..end].iter();
            for (request, plan) in requests.zip(&mut group.plans[group.len..]) {
                let last_call = &mut next.last_call;
                let (lookup, hash) = match &request.owned {
                    Some(args) => lookup_and_hash(server, args.as_slice(), last_call),
                    None => {
                        let words = Words {
                            ranges: &self.ranges[request.ranges.clone()],
                            buf: &buf[request.start..],
                        };
                        lookup_and_hash(server, &words, last_call)
                    }
                };
                if let Some(hash) = hash {
                    table.prefetch_bucket(hash);
                }
                *plan = Plan {
                    item: next.item,
                    request: next.request,
                    lookup,
                    hash,
                    db: next.db,
                    further: false,
                };
                next.request += 1;
                group.len += 1;
            }
            if next.request == item.requests.end {
                next.item += 1;
                self.enter(server, next);
            }
        }
    }

    #[inline]
    fn run(&self, server: &mut Server, conns: &mut [Option<Conn>], arena: &[u8], plan: &Plan) {
        let item = &self.items[plan.item];
        let request = &self.parsed[plan.request];
        let Some(conn) = conn_of(conns, item) else {
            return;
        };
        let Some(client) = server.clients.get_mut(conn.client) else {
            return;
        };
        if client.closing != Closing::No {
            return;
        }
        client.query_bytes = item.query_bytes - request.start;
        client.args_bytes = request.args_bytes(&self.ranges);
        let buf = &arena[item.bytes.clone()];
        if conn.waiting {
            let owned = with_args(request, &self.ranges, buf, dispatch::kept);
            conn.queue.push_back(owned);
            return;
        }
        let outcome = with_args(request, &self.ranges, buf, |argv, shared| {
            if let (Some(hash), Some(key)) = (plan.hash, argv.get(1)) {
                server.keyspace.hint(key, hash);
            }
            dispatch::run(server, conn.client, plan.lookup, argv, shared)
        });
        conn.waiting = outcome != Outcome::Executed;
        if outcome == Outcome::Postponed {
            let owned = with_args(request, &self.ranges, buf, dispatch::kept);
            conn.queue.push_back(owned);
        }
    }
}

impl Parsed {
    /// Bytes of all its arguments.
    fn args_bytes(&self, ranges: &[Range<u32>]) -> usize {
        match &self.owned {
            Some(args) => args.iter().map(Bytes::len).sum(),
            None => ranges[self.ranges.clone()].iter().map(Range::len).sum(),
        }
    }
}

/// The connection that something was read from, if it is still there.
fn conn_of<'a>(conns: &'a mut [Option<Conn>], item: &Item) -> Option<&'a mut Conn> {
    conns
        .get_mut(item.conn)?
        .as_mut()
        .filter(|conn| conn.client == item.client)
}

/// What a request calls, and the hash of its first key where that is the first
/// argument.
#[inline]
fn lookup_and_hash<A: Argv + ?Sized>(
    server: &Server,
    argv: &A,
    last_call: &mut LastCall,
) -> (Lookup, Option<u64>) {
    let lookup = server.registry.resolve_again(argv, last_call);
    let hash = match lookup {
        Lookup::Found(id) if argv.count() > 1 && server.registry[id].legacy_keys.first == 1 => {
            Some(server.keyspace.hash(argv.word(1)))
        }
        _ => None,
    };
    (lookup, hash)
}

/// Executes the requests that a connection had to hold back.
pub(super) fn run_queue(server: &mut Server, conn: &mut Conn) {
    conn.waiting = false;
    while let Some(args) = conn.queue.pop_front() {
        match server.clients.get_mut(conn.client) {
            Some(client) if client.closing == Closing::No => {}
            _ => return,
        }
        let argv: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
        let lookup = server.registry.resolve(argv.as_slice());
        match dispatch::run(server, conn.client, lookup, &argv, &args) {
            Outcome::Executed => {}
            Outcome::Blocked => {
                conn.waiting = true;
                break;
            }
            Outcome::Postponed => {
                conn.waiting = true;
                conn.queue.push_front(args);
                break;
            }
        }
    }
    publish(server, conn, 0);
}

fn protocol_error(server: &mut Server, conn: &Conn, rest: &[u8], error: ProtocolError) {
    if server
        .clients
        .get(conn.client)
        .is_none_or(|client| client.closing != Closing::No)
    {
        return;
    }
    if tracing::enabled!(tracing::Level::DEBUG) {
        let line = server.describe_client(conn.client);
        let text = error.0.strip_prefix(b"Protocol error: ");
        let text = String::from_utf8_lossy(text.unwrap_or(&error.0));
        let shown = excerpt(rest);
        tracing::debug!("Protocol error ({text}) from client: {line}. {shown}");
    }
    let silent = server
        .client(conn.client)
        .flags
        .has(Flags::REPLY_OFF | Flags::REPLY_SKIP);
    if !silent {
        dispatch::write_error(server, conn.client, &CmdError::err(error.0));
    }
    server.clients.close(conn.client, Closing::AfterReply);
}

/// What stood where a protocol error was found, for the log.
fn excerpt(rest: &[u8]) -> String {
    const SHOWN_BYTES: usize = 128;
    let printable = |bytes: &[u8]| -> String {
        let char_of = |byte: &u8| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        };
        bytes.iter().map(char_of).collect()
    };
    if rest.len() < SHOWN_BYTES {
        return format!("Query buffer during protocol error: '{}'", printable(rest));
    }
    format!(
        "Query buffer during protocol error: '{}' (... more {} bytes ...) '{}'",
        printable(&rest[..SHOWN_BYTES / 2]),
        rest.len() - SHOWN_BYTES,
        printable(&rest[rest.len() - SHOWN_BYTES / 2..])
    )
}

/// Tells the client's buffers to those who ask, and the connection whether it
/// has logged in. `read_bytes` were read of it in this turn.
fn publish(server: &mut Server, conn: &mut Conn, read_bytes: usize) {
    let now_ns = server.now_ns;
    let open_to_all = server.users.open_to_all();
    let Some(client) = server.clients.get_mut(conn.client) else {
        return;
    };
    client.active_ns = now_ns;
    let held_bytes = conn.held_bytes();
    client.query_bytes = conn.own.len() + conn.parser.unfinished_bytes();
    client.query_room_bytes = conn.free_bytes() + QUERY_ROOM_BYTES.max(client.query_bytes);
    client.query_announced_bytes = conn.parser.announced_bytes();
    let used = read_bytes.max(client.query_bytes);
    client.query_peak_bytes = client.query_peak_bytes.max(used);
    let blocked = server.waiting.get(conn.client);
    client.args_bytes = blocked.map_or(0, |blocked| blocked.args_bytes()) + held_bytes
        - client.query_bytes
        + conn.queue.iter().flatten().map(Bytes::len).sum::<usize>();
    conn.unauthenticated = !client.authenticated && !open_to_all;
    server.clients.note_memory(conn.client);
    let limit =
        usize::try_from(server.config.client_query_buffer_limit_bytes).unwrap_or(usize::MAX);
    if held_bytes > limit || (conn.unauthenticated && held_bytes > UNAUTHENTICATED_QUERY_BYTES_MAX)
    {
        let line = server.describe_client(conn.client);
        let mut shown = Vec::new();
        crate::util::args::quote(&conn.own[..conn.own.len().min(64)], &mut shown);
        tracing::warn!(
            "Closing client that reached max query buffer length: {line} (qbuf initial bytes: {})",
            String::from_utf8_lossy(&shown)
        );
        server.stats.query_buffer_disconnections += 1;
        server.cut_off(conn.client);
    }
}

/// The client of a connection, for the collection of output.
pub(super) fn client_of(conns: &[Option<Conn>], index: usize) -> Option<ClientId> {
    conns.get(index)?.as_ref().map(|conn| conn.client)
}
