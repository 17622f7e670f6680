//! Commands that wait for keys: how they begin to, and how they end.
//!
//! A handler that finds nothing answers `Done::Wait`. When one of its keys
//! appears, the same handler runs again, told which key woke it. Clients are
//! served in the order in which they came, key by key in the order in which
//! keys appeared, after the whole command (or transaction) that made them.

use bytes::Bytes;

use super::{dispatch, permitted, settle, tracking};
use crate::command::ctx::CmdError;
use crate::command::permission;
use crate::command::registry::{CommandId, Lookup};
use crate::engine::{
    Blocked, Client, ClientId, Closing, DeniedReply, Flags, Server, Unblock, Wait,
};
use crate::keyspace::DbIndex;

/// Has a client wait, with the command that it sent.
pub fn block(server: &mut Server, id: ClientId, command: CommandId, argv: Vec<Bytes>, wait: Wait) {
    let client = server.client(id);
    client.flags.set(Flags::BLOCKED, true);
    let db = client.db;
    server.clients.blocked += 1;
    let effects = &mut server.keyspace.effects;
    effects.record_ready = true;
    effects.record_lost |= wait.wakes_on_loss;
    server.waiting.add(id, command, argv, db, wait);
}

/// After a command: serves those who wait for keys that have appeared, and
/// ends the waits that CLIENT UNBLOCK has ended.
#[inline]
pub fn after_command(server: &mut Server) {
    // While a script is paused, or runs, nobody sees what it has done so far.
    if server.waiting.is_empty() || server.is_busy() {
        return;
    }
    while let Some((id, how)) = server.waiting.take_ended() {
        count_unblocked(server, id);
        give_up(server, id, how);
    }
    while server.waiting.has_ready() {
        for (db, key) in server.waiting.take_ready() {
            serve_key(server, db, &key);
        }
    }
    // A key may have been found expired that nobody was served from.
    settle::settle(server);
}

fn serve_key(server: &mut Server, db: DbIndex, key: &[u8]) {
    for id in server.waiting.queue(db, key) {
        // Whoever was served before may have taken all that there was.
        let mut db = server.keyspace.select(db);
        let kind = db.peek(key).map(|entry| entry.value_type());
        let suits =
            |blocked: &Blocked| kind == Some(blocked.wait.kind) || blocked.wait.wakes_on_loss;
        if server.waiting.get(id).is_some_and(suits) {
            resume(server, id, key);
        }
    }
}

/// Runs a waiting command again; it may go on waiting.
fn resume(server: &mut Server, id: ClientId, key: &[u8]) {
    // Nothing is given to a client that is being cut off: it would be lost.
    let open = |client: &Client| client.closing == Closing::No;
    if !server.clients.get(id).is_some_and(open) {
        return;
    }
    let Some(mut blocked) = server.waiting.remove(id) else {
        return;
    };
    let argv: Vec<&[u8]> = blocked.argv.iter().map(|arg| &arg[..]).collect();
    let shared = match &blocked.wait.resume_with {
        with if with.is_empty() => &blocked.argv,
        with => with,
    };
    let resumed: Vec<&[u8]> = shared.iter().map(|arg| &arg[..]).collect();
    let mark = dispatch::begin_reply(server.client(id));
    let command = blocked.command;
    // The user may have been changed while it waited.
    let entry = &server.registry[command];
    let user = server.clients.get(id).map(|client| &client.user);
    let checked = user.map_or(Ok(()), |user| permission::check(user, entry, &argv[..]));
    if let Err(denied) = checked {
        permitted::note(server, id, command, &argv, denied);
        let error = permitted::error(&server.registry[command], denied);
        dispatch::write_error(server, id, &error);
        end(server, id);
        dispatch::after_reply(server, id, mark);
        return;
    }
    let served_by = server.executing.replace(id);
    let result = dispatch::call(server, id, command, &resumed, shared, Some(key));
    let before_ns = blocked.wait.ran_ns;
    let (waits, elapsed_ns) = dispatch::finish_run(server, id, command, &argv, result);
    dispatch::end_unit(server, command);
    if waits.is_some() {
        dispatch::release_kept(server.client(id));
        blocked.wait.ran_ns += elapsed_ns;
        server.waiting.put(id, blocked);
        server.executing = served_by;
        return;
    }
    dispatch::log_unblocked(server, id, command, &argv, (before_ns, elapsed_ns));
    end(server, id);
    dispatch::after_reply(server, id, mark);
    tracking::after_request(server, id, Lookup::Found(command));
    server.executing = served_by;
}

/// The client waits no more: its connection goes on with what it sent since.
fn end(server: &mut Server, id: ClientId) {
    if let Some(client) = server.clients.get_mut(id) {
        client.flags.set(Flags::BLOCKED, false);
        server.clients.blocked -= 1;
        server.clients.schedule(id);
    }
    let effects = &mut server.keyspace.effects;
    effects.record_ready = !server.waiting.is_empty();
    effects.record_lost &= effects.record_ready;
}

/// Ends the waits whose time has come.
pub fn end_waits(server: &mut Server) {
    if server.is_busy() {
        return;
    }
    let now_ms = server.clock_unix_ms();
    while let Some(id) = server.waiting.due(now_ms) {
        give_up(server, id, Unblock::Timeout);
    }
}

/// Ends a wait in vain.
pub fn give_up(server: &mut Server, id: ClientId, how: Unblock) {
    if server.waiting.remove(id).is_none() {
        return;
    }
    let mark = dispatch::begin_reply(server.client(id));
    match how {
        // Redis: even where the command's other replies are strings.
        Unblock::Timeout => server.reply(id).null_array(),
        Unblock::Error => {
            let text = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
            dispatch::write_error(server, id, &CmdError::line(text.into()));
        }
    }
    end(server, id);
    dispatch::after_reply(server, id, mark);
}

/// Redis: a call that CLIENT UNBLOCK ends has failed, even where it looks like a
/// timeout. (One whose time has come neither fails nor is logged.)
fn count_unblocked(server: &mut Server, id: ClientId) {
    let Some(blocked) = server.waiting.get(id) else {
        return;
    };
    let (command, argv) = (blocked.command, blocked.argv.clone());
    let ran_ns = (blocked.wait.ran_ns, 0);
    let argv: Vec<&[u8]> = argv.iter().map(|arg| &arg[..]).collect();
    server.stats.commands[command.index()].failed += 1;
    dispatch::log_unblocked(server, id, command, &argv, ran_ns);
}

/// The reply of a wait that is not allowed.
pub fn reply_denied(server: &mut Server, id: ClientId, reply: DeniedReply) {
    match reply {
        DeniedReply::NullArray => server.reply(id).null_array(),
        DeniedReply::Null => server.reply(id).null(),
    }
}
