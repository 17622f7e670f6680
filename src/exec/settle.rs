//! After a command: what it did is told to those who listen (AOF and
//! replicas, WATCH, client caches, subscribers of keyspace events).

use crate::command::ctx::Propagation;
use crate::engine::Server;

/// Settles the effects of the command that has just run.
#[inline]
pub fn settle(server: &mut Server) {
    let effects = &mut server.keyspace.effects;
    server.stats.dirty += std::mem::take(&mut effects.dirty);
    if !effects.is_empty() {
        // Recording is off while nobody listens, so there is nothing yet that
        // could be missed here.
        effects.take();
    }
    if !matches!(server.propagation, Propagation::Verbatim) {
        server.propagation = Propagation::Verbatim;
    }
}
