//! Keyspace events as messages:
//! <https://redis.io/docs/latest/develop/pubsub/keyspace-notifications/>.

use super::server::Server;
use crate::keyspace::effects::class;
use crate::keyspace::{DbIndex, Event};

impl Server {
    /// Takes over what the configuration says about keys (how their use is
    /// noted, which of their events are published) and about what clients take.
    pub fn follow_config(&mut self) {
        self.keyspace.access.follow(&self.config);
        self.follow_client_limit();
        let classes = self.config.notify_keyspace_events;
        let published = classes & (class::BY_KEY | class::BY_EVENT) != 0;
        self.keyspace.effects.record_classes = if published { classes } else { 0 };
    }

    /// Publishes an event of a key, by the name of the key, of the event, or
    /// both.
    pub fn notify(&mut self, db: DbIndex, event: Event, key: &[u8]) {
        if self.pubsub.is_deaf() {
            return;
        }
        let name = event.name.as_bytes();
        let classes = self.config.notify_keyspace_events;
        if classes & class::BY_KEY != 0 {
            self.publish(&channel("keyspace", db, key), name);
        }
        if classes & class::BY_EVENT != 0 {
            self.publish(&channel("keyevent", db, name), key);
        }
    }
}

/// `__keyspace@0__:name`.
fn channel(kind: &str, db: DbIndex, name: &[u8]) -> Vec<u8> {
    let mut channel = Vec::with_capacity(32 + name.len());
    channel.extend_from_slice(b"__");
    channel.extend_from_slice(kind.as_bytes());
    channel.push(b'@');
    channel.extend_from_slice(itoa::Buffer::new().format(db.get()).as_bytes());
    channel.extend_from_slice(b"__:");
    channel.extend_from_slice(name);
    channel
}
