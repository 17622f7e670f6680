//! One command from arguments to reply.

use bytes::Bytes;

use super::gates::{self, Refusal};
use super::scripting::Pausing;
use super::{blocking, evict, monitor, multi, permitted, scripting, settle, tracking};
use crate::command::ctx::{Args, Caller, CmdError, CmdResult, Ctx, Done};
use crate::command::registry::{CommandId, Entry, Lookup};
use crate::command::table::{Handler, flag};
use crate::engine::running;
use crate::engine::{Client, ClientId, Closing, Flags, Server, Unit, Wait};
use crate::resp::{Mark, Reply};

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It ran or was refused; the next may follow.
    Executed,
    /// It has to be offered again when the client is resumed.
    Postponed,
    /// It waits for a key; the next may follow when it has been answered.
    Blocked,
}

/// Runs a request of a client. `lookup` is what its words call, `shared` are
/// the arguments again where they are kept in shareable buffers, else empty.
#[inline]
pub fn run(
    server: &mut Server,
    id: ClientId,
    lookup: Lookup,
    argv: &[&[u8]],
    shared: &[Bytes],
) -> Outcome {
    tracking::before_request(server);
    server.executing = Some(id);
    let limited = server.clients.memory_is_limited() && server.clients.get(id).is_some();
    let outcome = if limited {
        run_limited(server, id, lookup, argv, shared)
    } else {
        run_now(server, id, lookup, argv, shared)
    };
    server.executing = None;
    outcome
}

/// As [`run`] where the memory of clients is limited: what the last command
/// left behind may be too much, be it with this client or others.
#[cold]
fn run_limited(
    server: &mut Server,
    id: ClientId,
    lookup: Lookup,
    argv: &[&[u8]],
    shared: &[Bytes],
) -> Outcome {
    // Redis: not yet for the command that is about to run.
    let args_bytes = std::mem::take(&mut server.client(id).args_bytes);
    server.evict_clients();
    match server.clients.get_mut(id) {
        Some(client) if client.closing != Closing::Now => client.args_bytes = args_bytes,
        _ => return Outcome::Executed,
    }
    let outcome = run_now(server, id, lookup, argv, shared);
    server.clients.note_memory(id);
    outcome
}

fn run_now(
    server: &mut Server,
    id: ClientId,
    lookup: Lookup,
    argv: &[&[u8]],
    shared: &[Bytes],
) -> Outcome {
    if server.clients.get(id).is_none() {
        return Outcome::Executed;
    }
    if lookup == Lookup::UnknownCommand && is_http(argv) {
        server.refuse_http(id);
        return Outcome::Executed;
    }
    evict::make_room(server);
    let Some(client) = server.clients.get(id) else {
        return Outcome::Executed;
    };
    let checked = gates::check(server, client, argv, lookup);
    let mark = begin_reply(server.client(id));
    match checked {
        Ok(command) => {
            if multi::queues(server, id, command) {
                multi::queue(server, id, command, kept(argv, shared));
                after_reply(server, id, mark);
                tracking::after_request(server, id, lookup);
                return Outcome::Executed;
            }
            let result = call(server, id, command, argv, shared, None);
            let run = match result {
                Ok(Done::Script(call)) => {
                    scripting::run(server, id, command, argv, call, Pausing::Allowed)
                }
                Ok(Done::Exec) => multi::exec(server, id, command, argv),
                ended => Some(ended),
            };
            let Some(result) = run else {
                leave_reply(server.client(id), mark);
                return Outcome::Blocked;
            };
            let wait = finish(server, id, command, argv, result);
            end_unit(server, command);
            if let Some(wait) = wait {
                let argv = kept(argv, shared);
                release_kept(server.client(id));
                blocking::block(server, id, command, argv, *wait);
                tracking::after_request(server, id, lookup);
                blocking::after_command(server);
                return Outcome::Blocked;
            }
        }
        Err(Refusal::Postponed) => {
            release_kept(server.client(id));
            postpone(server, id);
            return Outcome::Postponed;
        }
        Err(Refusal::Denied(command, denied)) => {
            server.client(id).last_command = Some(command);
            permitted::note(server, id, command, argv, denied);
            server.stats.commands[command.index()].rejected += 1;
            let error = permitted::error(&server.registry[command], denied);
            let error = multi::refused(server, id, lookup, error);
            write_error(server, id, &error);
        }
        Err(Refusal::Error(error)) => {
            let found = match lookup {
                Lookup::Found(command) => Some(command),
                _ => None,
            };
            server.client(id).last_command = found;
            if let Some(command) = found {
                server.stats.commands[command.index()].rejected += 1;
            }
            let error = multi::refused(server, id, lookup, error);
            write_error(server, id, &error);
        }
    }
    after_reply(server, id, mark);
    tracking::after_request(server, id, lookup);
    blocking::after_command(server);
    Outcome::Executed
}

/// What the client is sent until [`after_reply`] is one reply.
pub(super) fn begin_reply(client: &mut Client) -> Mark {
    client.output.begin();
    if client.flags.has(Flags::REPLY_OFF | Flags::REPLY_SKIP) {
        client.kept = Some(Box::default());
    }
    client.output.mark()
}

/// Messages to a client whose reply was dropped, or is still to come, go out.
#[inline]
pub(super) fn release_kept(client: &mut Client) {
    if let Some(kept) = client.kept.take() {
        client.output.append(*kept);
    }
}

/// The rest of the reply comes after others had a turn.
pub(super) fn leave_reply(client: &mut Client, mark: Mark) {
    if client.flags.has(Flags::REPLY_OFF | Flags::REPLY_SKIP) {
        client.output.truncate(mark);
    }
    release_kept(client);
}

/// Arguments to be kept beyond the call.
pub fn kept(argv: &[&[u8]], shared: &[Bytes]) -> Vec<Bytes> {
    if shared.is_empty() {
        argv.iter().map(|arg| Bytes::copy_from_slice(arg)).collect()
    } else {
        shared.to_vec()
    }
}

/// The first words of lines that only HTTP requests have.
fn is_http(argv: &[&[u8]]) -> bool {
    let first = argv.first().copied().unwrap_or_default();
    first.eq_ignore_ascii_case(b"POST") || first.eq_ignore_ascii_case(b"Host:")
}

fn postpone(server: &mut Server, id: ClientId) {
    let client = server.client(id);
    if !client.flags.has(Flags::PAUSED) {
        client.flags.set(Flags::PAUSED, true);
        server.clients.paused.push(id);
        server.clients.blocked += 1;
    }
}

/// Calls the handler; `woken_by` is the key that ended its wait.
#[inline(always)]
pub(super) fn call(
    server: &mut Server,
    id: ClientId,
    command: CommandId,
    argv: &[&[u8]],
    shared: &[Bytes],
    woken_by: Option<&[u8]>,
) -> CmdResult {
    let entry = &server.registry[command];
    let (handler, named) = (
        entry.command.handler,
        1 + usize::from(entry.parent.is_some()),
    );
    if !server.time_stands {
        server.keyspace.now_ms = server.clock.unix_us(server.now_ns) / 1000;
    }
    server.running = Some(command);
    if entry.flags & flag::SKIP_MONITOR != 0 && !server.clients.monitors.is_empty() {
        // A script, which is shown before what it calls.
        monitor::feed(server, id, argv);
    }
    let entry = &server.registry[command];
    let running = running::Call {
        name: std::ptr::from_ref(entry.full_name()),
        argv,
        client: id,
    };
    let _published = running::publish(&running);
    match handler {
        Handler::Data(function) => {
            let client = server.clients.get_mut(id).expect("the caller's client");
            client.last_command = Some(command);
            let limits = &server.config.client_output_buffer_limits;
            let reply_max_bytes = if server.scripts.calling {
                usize::MAX
            } else {
                client.reply_max_bytes(&limits[client.kind().index()])
            };
            let mut db = server.keyspace.select(client.db);
            db.no_touch = client.flags.has(Flags::NO_TOUCH);
            function(&mut Ctx {
                args: Args::new(argv, shared, named),
                db,
                reply: Reply::new(&mut client.output, client.resp3),
                rng: &mut server.rng,
                config: &server.config,
                reply_max_bytes,
                propagation: &mut server.propagation,
                caller: Caller {
                    user: &client.user,
                    command: &server.registry[command],
                    from_script: server.scripts.calling,
                },
                woken_by,
            })
        }
        Handler::Server(function) => {
            server.client(id).last_command = Some(command);
            function(server, id, Args::new(argv, shared, named))
        }
        Handler::Container => Err(CmdError::arity(entry.full_name())),
    }
}

/// What a client asked for in one go has run.
#[inline]
pub(super) fn end_unit(server: &mut Server, command: CommandId) {
    let random = server.registry[command].flags & flag::TOUCHES_ARBITRARY_KEYS != 0;
    server.end_unit(if random { Unit::Loose } else { Unit::Whole });
}

/// Statistics, logs and effects of a call; gives what it waits for.
#[inline]
pub(super) fn finish(
    server: &mut Server,
    id: ClientId,
    command: CommandId,
    argv: &[&[u8]],
    result: CmdResult,
) -> Option<Box<Wait>> {
    server.stats.commands[command.index()].calls += 1;
    server.stats.commands_processed += 1;
    if !server.clients.monitors.is_empty() {
        let flags = server.registry[command].flags;
        if flags & (flag::SKIP_MONITOR | flag::ADMIN) == 0 {
            monitor::feed(server, id, argv);
        }
    }
    let (mut wait, elapsed_ns) = finish_run(server, id, command, argv, result);
    match &mut wait {
        None => log_call(server, id, command, argv, elapsed_ns),
        // Redis: a call that waits is logged when it ends.
        Some(wait) => wait.ran_ns = elapsed_ns,
    }
    server.redact.clear();
    wait
}

/// As [`finish`], of one more run of a call that is counted already; gives its
/// nanoseconds too, which are still to be logged.
#[inline(always)]
pub(super) fn finish_run(
    server: &mut Server,
    id: ClientId,
    command: CommandId,
    argv: &[&[u8]],
    result: CmdResult,
) -> (Option<Box<Wait>>, u64) {
    server.running = None;
    let start_ns = server.now_ns;
    server.now_ns = server.clock.now_ns();
    let elapsed_ns = server.now_ns.saturating_sub(start_ns);
    server.stats.commands[command.index()].ns += elapsed_ns;
    let wait = match result {
        Ok(Done::Replied | Done::Exec | Done::Script(_)) => None,
        Ok(Done::Wait(wait)) => Some(wait),
        Err(error) => {
            server.stats.commands[command.index()].failed += 1;
            write_error(server, id, &error);
            None
        }
    };
    settle::settle_call(server, id, argv);
    tracking::after_command(server, id, command, argv);
    (wait, elapsed_ns)
}

/// Distribution of latencies, and LATENCY and SLOWLOG, which few calls are slow
/// enough for.
#[inline(always)]
pub(super) fn log_call(
    server: &mut Server,
    id: ClientId,
    command: CommandId,
    argv: &[&[u8]],
    elapsed_ns: u64,
) {
    if server.config.latency_tracking {
        server.stats.commands[command.index()].record_latency(elapsed_ns);
    }
    let flags = server.registry[command].flags;
    note_latency(server, class_of(flags), elapsed_ns);
    log_slow(server, id, argv, flags, elapsed_ns);
}

/// The same, of a call that has waited: how long it ran before and has run now.
pub(super) fn log_unblocked(
    server: &mut Server,
    id: ClientId,
    command: CommandId,
    argv: &[&[u8]],
    (before_ns, now_ns): (u64, u64),
) {
    let elapsed_ns = before_ns + now_ns;
    if server.config.latency_tracking {
        server.stats.commands[command.index()].record_latency(elapsed_ns);
    }
    note_latency(server, "command-unblocking", now_ns);
    let flags = server.registry[command].flags;
    log_slow(server, id, argv, flags, elapsed_ns);
}

#[inline(always)]
fn log_slow(server: &mut Server, id: ClientId, argv: &[&[u8]], flags: u32, elapsed_ns: u64) {
    let elapsed_us = (elapsed_ns / 1000) as i64;
    let slower_than_us = server.config.slowlog_slower_than_us;
    if slower_than_us >= 0 && elapsed_us >= slower_than_us && flags & flag::SKIP_SLOWLOG == 0 {
        push_slow(server, id, argv, elapsed_us);
    }
}

/// The event that a slow call of a command counts as.
fn class_of(flags: u32) -> &'static str {
    if flags & flag::FAST != 0 {
        "fast-command"
    } else {
        "command"
    }
}

#[inline(always)]
fn note_latency(server: &mut Server, event: &'static str, elapsed_ns: u64) {
    let elapsed_ms = (elapsed_ns / 1_000_000) as i64;
    let threshold_ms = server.config.latency_monitor_threshold_ms;
    if threshold_ms > 0 && elapsed_ms >= threshold_ms {
        note_spike(server, event, elapsed_ms);
    }
}

#[cold]
fn note_spike(server: &mut Server, event: &'static str, elapsed_ms: i64) {
    let threshold_ms = server.config.latency_monitor_threshold_ms;
    let now_s = server.keyspace.now_ms / 1000;
    server
        .stats
        .latency
        .add_if_needed(event, elapsed_ms, threshold_ms, now_s);
}

#[cold]
fn push_slow(server: &mut Server, id: ClientId, argv: &[&[u8]], elapsed_us: i64) {
    let Some(client) = server.clients.get(id) else {
        return;
    };
    let hidden: Vec<&[u8]> = argv
        .iter()
        .enumerate()
        .map(|(index, arg)| {
            if server.redact.contains(&index) {
                b"(redacted)"
            } else {
                *arg
            }
        })
        .collect();
    let time_s = server.keyspace.now_ms / 1000;
    let max = usize::try_from(server.config.slowlog_max_len).unwrap_or(usize::MAX);
    server.stats.slowlog.push(
        &hidden,
        (time_s, elapsed_us),
        (&client.raw.addr, &client.name),
        max,
    );
}

/// Writes an error reply and counts it.
pub fn write_error(server: &mut Server, id: ClientId, error: &CmdError) {
    server.stats.error_reply(error.code());
    server.reply(id).error(error.as_bytes());
}

/// CLIENT REPLY, output limits.
#[inline]
pub(super) fn after_reply(server: &mut Server, id: ClientId, mark: Mark) {
    let Some(client) = server.clients.get_mut(id) else {
        return;
    };
    if client
        .flags
        .has(Flags::REPLY_OFF | Flags::REPLY_SKIP | Flags::REPLY_SKIP_NEXT)
    {
        if client.flags.has(Flags::REPLY_OFF | Flags::REPLY_SKIP) {
            client.output.truncate(mark);
        }
        // The skip covers the command after CLIENT REPLY SKIP.
        let next = client.flags.has(Flags::REPLY_SKIP_NEXT);
        client.flags.set(Flags::REPLY_SKIP, next);
        client.flags.set(Flags::REPLY_SKIP_NEXT, false);
    }
    release_kept(client);
    let used = client.output_bytes().min(client.reply_room_bytes);
    client.reply_peak_bytes = client.reply_peak_bytes.max(used);
    if client.may_break_output_limit() {
        server.check_output_limit(id);
    }
}

/// `enable-debug-command` and `enable-module-command`.
pub(super) fn protected(server: &Server, client: &Client, command: &Entry) -> Result<(), CmdError> {
    let (access, option) = match command.full_name() {
        "debug" => (server.config.enable_debug_command, "enable-debug-command"),
        _ => (server.config.enable_module_command, "enable-module-command"),
    };
    if access.allows(client.is_local()) {
        return Ok(());
    }
    let name = command
        .full_name()
        .split('|')
        .next()
        .unwrap_or_default()
        .to_ascii_uppercase();
    Err(CmdError::err(format!(
        "{name} command not allowed. If the {option} option is set to \"local\", you can run it \
         from a local connection, otherwise you need to set this option in the configuration \
         file, and then restart the server."
    )))
}
