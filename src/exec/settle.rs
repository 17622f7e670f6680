//! After a command: what it did is told to those who listen (AOF and
//! replicas, WATCH, client caches, subscribers of keyspace events).

use super::propagate;
use crate::command::ctx::Propagation;
use crate::engine::{ClientId, Server, Unit};
use crate::keyspace::Effect;
use crate::types::Stream;

/// Settles the effects of the call that has just run.
#[inline]
pub fn settle_call(server: &mut Server, id: ClientId, argv: &[&[u8]]) {
    let changes = settle_effects(server);
    if server.is_repeated() {
        propagate::called(server, id, argv, changes);
    } else if !matches!(server.propagation, Propagation::Verbatim) {
        server.propagation = Propagation::Verbatim;
    }
}

/// Settles what was done without a call: keys that expired.
pub fn settle(server: &mut Server) {
    settle_effects(server);
    server.end_unit(Unit::Loose);
}

/// Gives the number of changes.
#[inline]
fn settle_effects(server: &mut Server) -> u64 {
    let effects = &mut server.keyspace.effects;
    let changes = std::mem::take(&mut effects.dirty);
    server.stats.dirty += changes;
    if !effects.is_empty() {
        for effect in effects.take() {
            settle_effect(server, effect);
        }
    }
    changes
}

/// Tells an effect to those who listen for it.
fn settle_effect(server: &mut Server, effect: Effect) {
    match effect {
        Effect::Ready(db, key) => server.waiting.note_ready(db, key),
        Effect::Touched(db, key) => {
            server.touch_watched(db, &key);
            server.invalidate(&key, server.executing);
        }
        Effect::Lapsed(db, key) => {
            server.touch_watched(db, &key);
            server.invalidate(&key, None);
        }
        Effect::Emptied => server.invalidate_all(),
        Effect::Lost(db, key) => {
            if server.keyspace.select(db).view::<Stream>(&key).is_none() {
                server.waiting.note_ready(db, key);
            }
        }
        // SWAPDB may have brought what somebody waits for.
        Effect::Flushed(db) => {
            server.touch_watched_db(db);
            for key in server.waiting.keys_of(db) {
                // Who relies on a key that is gone is told so.
                let relied_on = server.keyspace.effects.record_lost;
                if relied_on || server.keyspace.select(db).peek(&key).is_some() {
                    server.waiting.note_ready(db, key);
                }
            }
        }
        Effect::AllFlushed => server.saved_is_void(),
        Effect::Event(db, event, key) => server.notify(db, event, &key),
        Effect::Expired(db, key) => propagate::expired(server, db, &key),
        Effect::Evicted(db, key) => propagate::evicted(server, db, &key),
    }
}

/// Settles what a command did that was repeated from the log.
pub fn settle_replayed(server: &mut Server) {
    settle_effects(server);
    if !matches!(server.propagation, Propagation::Verbatim) {
        server.propagation = Propagation::Verbatim;
    }
}
