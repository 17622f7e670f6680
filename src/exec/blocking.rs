//! Commands that wait for keys: how they begin to, and how they end.
//!
//! A handler that finds nothing answers `Done::Wait`. When one of its keys
//! appears, the same handler runs again, told which key woke it. Clients are
//! served in the order in which they came, key by key in the order in which
//! keys appeared, after the whole command (or transaction) that made them.

use bytes::Bytes;

use super::{dispatch, settle};
use crate::command::ctx::CmdError;
use crate::command::registry::CommandId;
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
    server.waiting.add(id, command, argv, db, wait);
    server.keyspace.effects.record_ready = true;
}

/// After a command: serves those who wait for keys that have appeared, and
/// ends the waits that CLIENT UNBLOCK has ended.
#[inline]
pub fn after_command(server: &mut Server) {
    if server.waiting.is_empty() {
        return;
    }
    while let Some((id, how)) = server.waiting.take_ended() {
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
        let Some(kind) = db.peek(key).map(|entry| entry.value_type()) else {
            break;
        };
        let suits = |blocked: &Blocked| blocked.wait.kind == kind;
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
    let Some(blocked) = server.waiting.remove(id) else {
        return;
    };
    let argv: Vec<&[u8]> = blocked.argv.iter().map(|arg| &arg[..]).collect();
    let mark = dispatch::begin_reply(server.client(id));
    let command = blocked.command;
    let result = dispatch::call(server, id, command, &argv, &blocked.argv, Some(key));
    let wait = dispatch::finish_run(server, id, command, &argv, result);
    dispatch::end_unit(server, command);
    if wait.is_some() {
        dispatch::release_kept(server.client(id));
        server.waiting.put(id, blocked);
        return;
    }
    end(server, id);
    dispatch::after_reply(server, id, mark);
}

/// The client waits no more: its connection goes on with what it sent since.
fn end(server: &mut Server, id: ClientId) {
    if let Some(client) = server.clients.get_mut(id) {
        client.flags.set(Flags::BLOCKED, false);
        server.clients.blocked -= 1;
        server.clients.schedule(id);
    }
    server.keyspace.effects.record_ready = !server.waiting.is_empty();
}

/// Ends the waits whose time has come.
pub fn end_waits(server: &mut Server) {
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

/// The reply of a wait that is not allowed.
pub fn reply_denied(server: &mut Server, id: ClientId, reply: DeniedReply) {
    match reply {
        DeniedReply::NullArray => server.reply(id).null_array(),
        DeniedReply::Null => server.reply(id).null(),
    }
}
