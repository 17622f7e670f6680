//! From a call to what AOF and replicas repeat: the command as it came, if it
//! changed anything, or what its handler said to repeat instead; before it the
//! deletion of keys that were found expired.

use crate::command::ctx::Propagation;
use crate::engine::{ClientId, Server};
use crate::keyspace::DbIndex;

/// A key was deleted because its time had come.
pub(super) fn expired(server: &mut Server, db: DbIndex, key: &[u8]) {
    deleted(server, db, key, server.config.lazyfree_lazy_expire);
}

/// A key was deleted because memory is full.
pub(super) fn evicted(server: &mut Server, db: DbIndex, key: &[u8]) {
    deleted(server, db, key, server.config.lazyfree_lazy_eviction);
}

fn deleted(server: &mut Server, db: DbIndex, key: &[u8], in_background: bool) {
    let name: &[u8] = if in_background { b"UNLINK" } else { b"DEL" };
    server.journal.push_lapsed(db, [name, key].into_iter());
}

/// A call has run; `changes` is what it counted.
pub(super) fn called(server: &mut Server, id: ClientId, argv: &[&[u8]], changes: u64) {
    let Some(db) = server.clients.get(id).map(|client| client.db) else {
        return;
    };
    match std::mem::take(&mut server.propagation) {
        Propagation::Verbatim => {
            if changes > 0 {
                server.journal.push(db, argv.iter().copied());
            }
        }
        Propagation::As(commands) => {
            for command in commands {
                server.journal.push(db, command.iter().map(|arg| &arg[..]));
            }
        }
    }
}
