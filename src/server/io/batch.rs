//! The requests of one turn: executed together under the lock, with the
//! memory that they will touch asked for in advance.

use std::ops::Range;

use bytes::Bytes;

use super::conn::{Conn, Parsed, Source};
use crate::command::registry::Lookup;
use crate::engine::{ClientId, Closing, Server};
use crate::exec::dispatch::{self, Outcome};
use crate::keyspace::DbIndex;
use crate::resp::{Limits, ProtocolError};

/// Requests planned ahead of execution.
const AHEAD: usize = 32;

/// What was read of one connection.
struct Item {
    conn: usize,
    source: Source,
    /// Bytes of the source that are this connection's.
    len: usize,
    requests: Range<usize>,
    error: Option<ProtocolError>,
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
    let arg = |range: &Range<u32>| {
        &buf[request.base + range.start as usize..request.base + range.end as usize]
    };
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

/// What is known of a request before it runs.
#[derive(Clone, Copy)]
struct Plan {
    item: usize,
    request: usize,
    lookup: Lookup,
    hash: Option<u64>,
    db: DbIndex,
}

const NO_PLAN: Plan = Plan {
    item: 0,
    request: 0,
    lookup: Lookup::UnknownCommand,
    hash: None,
    db: DbIndex::FIRST,
};

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
        (self.read_bytes, self.reads) = (0, 0);
    }

    /// Parses what was read of a connection; an unfinished rest goes to its
    /// own buffer.
    pub fn add(&mut self, index: usize, conn: &mut Conn, arena: &[u8], source: Source, len: usize) {
        let first = self.parsed.len();
        let result = match source {
            Source::Arena(at) => {
                let buf = &arena[at..at + len];
                let result = conn.parse(buf, &mut self.parsed, &mut self.ranges);
                if let Ok(consumed) = result {
                    conn.own.extend_from_slice(&buf[consumed..]);
                }
                result
            }
            Source::Own => {
                let own = std::mem::take(&mut conn.own);
                let result = conn.parse(&own, &mut self.parsed, &mut self.ranges);
                conn.own = own;
                result
            }
        };
        let (consumed, error) = match result {
            Ok(consumed) => (consumed, None),
            Err(error) => (len, Some(error)),
        };
        let requests = first..self.parsed.len();
        // From its own buffer, what is used up goes after the execution.
        let len = if source == Source::Own { consumed } else { len };
        self.items.push(Item {
            conn: index,
            source,
            len,
            requests,
            error,
        });
    }

    /// Executes everything.
    pub fn execute(&mut self, server: &mut Server, conns: &mut [Option<Conn>], arena: &[u8]) {
        server.stats.net_input_bytes += self.read_bytes;
        server.stats.reads_processed += self.reads;
        let mut ahead = [NO_PLAN; AHEAD];
        let mut next = (0, self.items.first().map_or(0, |item| item.requests.start));
        // Three positions in one sequence: planned (bucket asked for), touched
        // (entry asked for), done; each step overlaps the waits of the others.
        let (mut planned, mut touched, mut done) = (0, 0, 0);
        loop {
            while planned < done + AHEAD
                && let Some(plan) = self.plan(server, conns, arena, &mut next)
            {
                ahead[planned % AHEAD] = plan;
                planned += 1;
            }
            while touched < planned.min(done + AHEAD / 2) {
                let plan = &ahead[touched % AHEAD];
                if let Some(hash) = plan.hash {
                    server.keyspace.db(plan.db).table().prefetch_entry(hash);
                }
                touched += 1;
            }
            if done == planned {
                break;
            }
            self.run(server, conns, arena, ahead[done % AHEAD]);
            done += 1;
        }
        server.keyspace.forget_hint();
        for item in &mut self.items {
            let Some(conn) = conns[item.conn].as_mut() else {
                continue;
            };
            if item.source == Source::Own {
                conn.own.drain(..item.len);
                if conn.own.is_empty() {
                    conn.own = Vec::new();
                }
            }
            if let Some(error) = item.error.take() {
                protocol_error(server, conn, error);
            }
            publish(server, conn);
        }
    }

    /// Looks up command and key of the next request, and starts loading the
    /// bucket that its execution will look into.
    #[inline]
    fn plan(
        &self,
        server: &Server,
        conns: &[Option<Conn>],
        arena: &[u8],
        next: &mut (usize, usize),
    ) -> Option<Plan> {
        let mut item = self.items.get(next.0)?;
        while next.1 >= item.requests.end {
            next.0 += 1;
            item = self.items.get(next.0)?;
            next.1 = item.requests.start;
        }
        let request = &self.parsed[next.1];
        let conn = conns[item.conn].as_ref()?;
        let buf = buffer(item, conn, arena);
        let (lookup, hash) = with_args(request, &self.ranges, buf, |argv, _| {
            let lookup = server.registry.resolve(argv);
            (lookup, first_key_hash(server, lookup, argv))
        });
        let db = server
            .clients
            .get(conn.client)
            .map_or(DbIndex::default(), |client| client.db);
        if let Some(hash) = hash {
            server.keyspace.db(db).table().prefetch_bucket(hash);
        }
        let plan = Plan {
            item: next.0,
            request: next.1,
            lookup,
            hash,
            db,
        };
        next.1 += 1;
        Some(plan)
    }

    fn run(&mut self, server: &mut Server, conns: &mut [Option<Conn>], arena: &[u8], plan: Plan) {
        let item = &self.items[plan.item];
        let request = &self.parsed[plan.request];
        let Some(conn) = conns[item.conn].as_mut() else {
            return;
        };
        let Some(client) = server.clients.get_mut(conn.client) else {
            return;
        };
        if client.closing != Closing::No {
            return;
        }
        client.active_ns = server.now_ns;
        client.query_bytes = item.len - request.start + conn.parser.held_bytes();
        let buf = buffer(item, conn, arena);
        if conn.waiting {
            let owned = with_args(request, &self.ranges, buf, copied);
            conn.queue.push_back(owned);
            return;
        }
        let outcome = with_args(request, &self.ranges, buf, |argv, shared| {
            if let (Some(hash), Some(key)) = (plan.hash, argv.get(1)) {
                server.keyspace.hint(key, hash);
            }
            dispatch::run(server, conn.client, plan.lookup, argv, shared)
        });
        if outcome == Outcome::Postponed {
            let owned = with_args(request, &self.ranges, buf, copied);
            conn.waiting = true;
            conn.queue.push_back(owned);
        }
    }
}

fn copied(argv: &[&[u8]], shared: &[Bytes]) -> Vec<Bytes> {
    if shared.is_empty() {
        argv.iter().map(|arg| Bytes::copy_from_slice(arg)).collect()
    } else {
        shared.to_vec()
    }
}

fn buffer<'a>(item: &Item, conn: &'a Conn, arena: &'a [u8]) -> &'a [u8] {
    match item.source {
        Source::Arena(at) => &arena[at..at + item.len],
        Source::Own => &conn.own,
    }
}

/// The hash of the first key, where it is the first argument.
fn first_key_hash(server: &Server, lookup: Lookup, argv: &[&[u8]]) -> Option<u64> {
    let Lookup::Found(id) = lookup else {
        return None;
    };
    let entry = &server.registry[id];
    if entry.legacy_keys.first != 1 {
        return None;
    }
    argv.get(1).map(|key| server.keyspace.hash(key))
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
        if dispatch::run(server, conn.client, lookup, &argv, &args) == Outcome::Postponed {
            conn.waiting = true;
            conn.queue.push_front(args);
            break;
        }
    }
    publish(server, conn);
}

fn protocol_error(server: &mut Server, conn: &Conn, error: ProtocolError) {
    let line = server.describe_client(conn.client);
    tracing::debug!("{} from client: {line}", error.0);
    let error = crate::command::ctx::CmdError::err(error.0);
    if server
        .clients
        .get(conn.client)
        .is_some_and(|client| client.closing == Closing::No)
    {
        dispatch::write_error(server, conn.client, &error);
        server.clients.close(conn.client, Closing::AfterReply);
    }
}

/// Tells the client's buffers to those who ask, and the connection its limits.
fn publish(server: &mut Server, conn: &mut Conn) {
    let bulk_bytes_max = server.config.proto_max_bulk_bytes;
    let Some(client) = server.clients.get_mut(conn.client) else {
        return;
    };
    client.query_bytes = conn.own.len() + conn.parser.held_bytes();
    client.query_free_bytes = conn.own.capacity() - conn.own.len();
    client.args_bytes = conn.queue.iter().flatten().map(Bytes::len).sum();
    conn.limits = if client.authenticated {
        Limits::authenticated(bulk_bytes_max)
    } else {
        Limits::unauthenticated(bulk_bytes_max)
    };
    let (limit, unauthenticated) = (
        server.config.client_query_buffer_limit_bytes,
        !client.authenticated,
    );
    let bytes = client.query_bytes as u64;
    if bytes > limit as u64 || (unauthenticated && bytes > 1024 * 1024) {
        let line = server.describe_client(conn.client);
        tracing::warn!("Closing client that reached max query buffer length: {line}");
        server.stats.query_buffer_disconnections += 1;
        server.clients.close(conn.client, Closing::Now);
    }
}

/// The client of a connection, for the collection of output.
pub(super) fn client_of(conns: &[Option<Conn>], index: usize) -> Option<ClientId> {
    conns.get(index)?.as_ref().map(|conn| conn.client)
}
