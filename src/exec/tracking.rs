//! What clients with caches read, and when they are told of changes.

use crate::command::keyspec;
use crate::command::registry::{CommandId, Lookup};
use crate::command::table::flag;
use crate::engine::{ClientId, Flags, Server};

/// After a command: remembers the keys that it has read, where its client is
/// to be told when they change.
#[inline]
pub fn after_command(server: &mut Server, id: ClientId, command: CommandId, argv: &[&[u8]]) {
    if !server.tracking.clients.is_empty() {
        note_read(server, id, command, argv);
    }
}

fn note_read(server: &mut Server, id: ClientId, command: CommandId, argv: &[&[u8]]) {
    let entry = &server.registry[command];
    let (reads, name) = (entry.has(flag::READONLY), entry.full_name());
    // Redis: a script that has read anything counts as one that has read all the
    // keys that were declared for it.
    if server.scripts.calling {
        server.scripts.has_read |= reads;
    } else if name.starts_with("eval") {
        if std::mem::take(&mut server.scripts.has_read) {
            remember(server, id, command, argv);
        }
    } else if reads {
        remember(server, id, command, argv);
    }
}

fn remember(server: &mut Server, id: ClientId, command: CommandId, argv: &[&[u8]]) {
    if !server.remembers_reads(id) {
        return;
    }
    for key in keyspec::keys(&server.registry[command], argv).iter() {
        server.remember_read(id, argv[key.index]);
    }
}

/// Before a request.
#[inline]
pub fn before_request(server: &mut Server) {
    if !server.tracking.clients.is_empty() {
        server.limit_tracked_keys();
    }
}

/// After a request and its reply.
#[inline]
pub fn after_request(server: &mut Server, id: ClientId, lookup: Lookup) {
    if server.tracking.is_active() {
        settle(server, id, lookup);
    }
}

fn settle(server: &mut Server, id: ClientId, lookup: Lookup) {
    server.send_own_stale(id);
    let Some(client) = server.clients.get_mut(id) else {
        return;
    };
    // CLIENT CACHING is about the next command, or the next transaction.
    let in_multi = client.flags.has(Flags::MULTI);
    if let Some(tracking) = &mut client.tracking
        && tracking.caching
        && !in_multi
    {
        let name = match lookup {
            Lookup::Found(command) => server.registry[command].full_name(),
            _ => "",
        };
        tracking.caching = name.starts_with("client|");
    }
}

/// At the end of a turn.
#[inline]
pub fn end_turn(server: &mut Server) {
    if server.tracking.is_active() {
        server.broadcast_stale();
    }
}
