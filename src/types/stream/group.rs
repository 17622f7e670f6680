//! Consumer groups: what was delivered to whom and not acknowledged yet.

use std::sync::Arc;

use super::{Log, StreamId};
use crate::encoding::shared::SharedMap;

/// A consumer within its group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ConsumerId(u64);

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pending {
    /// Of the last delivery, Unix milliseconds.
    pub delivered_ms: i64,
    /// Number of deliveries.
    pub deliveries: u64,
    /// To whom.
    pub consumer: ConsumerId,
}

/// A consumer.
#[derive(Clone)]
pub struct Consumer {
    name: Arc<[u8]>,
    /// When it last asked for something, Unix milliseconds.
    pub seen_ms: i64,
    /// When it last was given something, Unix milliseconds; none: never.
    pub active_ms: Option<i64>,
    pending: SharedMap<StreamId, ()>,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The IDs of what it was given and has not acknowledged.
    pub fn pending(&self) -> &SharedMap<StreamId, ()> {
        &self.pending
    }
}

/// A consumer group. A copy shares all that is big.
#[derive(Clone, Default)]
pub struct Group {
    /// The greatest ID that was delivered.
    pub last_id: StreamId,
    /// How many entries were read up to that, where it is known.
    pub entries_read: Option<u64>,
    pending: SharedMap<StreamId, Pending>,
    names: SharedMap<Arc<[u8]>, ConsumerId>,
    consumers: SharedMap<ConsumerId, Consumer>,
    /// Number of consumers that ever were.
    consumers_made: u64,
}

impl Group {
    /// A group that was delivered everything up to an ID.
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Group {
        Group {
            last_id,
            entries_read,
            ..Group::default()
        }
    }

    /// What is not acknowledged, of all consumers.
    pub fn pending(&self) -> &SharedMap<StreamId, Pending> {
        &self.pending
    }

    /// Number of consumers.
    pub fn consumers_len(&self) -> usize {
        self.names.len()
    }

    /// The consumers, by name.
    pub fn consumers(&self) -> impl Iterator<Item = (ConsumerId, &Consumer)> {
        self.names.values().map(|id| (*id, self.consumer(*id)))
    }

    /// A consumer.
    ///
    /// # Panics
    /// When it was deleted.
    pub fn consumer(&self, id: ConsumerId) -> &Consumer {
        self.consumers
            .get(&id)
            .expect("what is pending has a consumer")
    }

    fn consumer_mut(&mut self, id: ConsumerId) -> &mut Consumer {
        self.consumers
            .get_mut(&id)
            .expect("what is pending has a consumer")
    }

    /// The consumer of a name.
    pub fn find_consumer(&self, name: &[u8]) -> Option<ConsumerId> {
        self.names.get(name).copied()
    }

    /// Notes that a consumer has asked for something.
    pub fn see(&mut self, id: ConsumerId, now_ms: i64) {
        self.consumer_mut(id).seen_ms = now_ms;
    }

    /// Notes when a consumer was last given something.
    pub fn set_active(&mut self, id: ConsumerId, active_ms: Option<i64>) {
        self.consumer_mut(id).active_ms = active_ms;
    }

    /// Makes a consumer; none when there is one of that name.
    pub fn create_consumer(&mut self, name: &[u8], seen_ms: i64) -> Option<ConsumerId> {
        if self.names.contains_key(name) {
            return None;
        }
        let (name, id): (Arc<[u8]>, _) = (name.into(), ConsumerId(self.consumers_made));
        self.consumers_made += 1;
        let consumer = Consumer {
            name: name.clone(),
            seen_ms,
            active_ms: None,
            pending: SharedMap::default(),
        };
        self.consumers.insert(id, consumer);
        self.names.insert(name, id);
        Some(id)
    }

    /// Deletes a consumer with all that was pending for it; gives how much
    /// that was, none when there is no such consumer.
    pub fn delete_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let id = self.names.remove(name)?;
        let consumer = self.consumers.remove(&id)?;
        for pending in consumer.pending.keys() {
            self.pending.remove(pending);
        }
        Some(consumer.pending.len())
    }

    /// Gives an entry to a consumer, whoever had it before.
    pub fn assign(&mut self, id: StreamId, pending: Pending) {
        match self.pending.insert(id, pending) {
            Some(before) if before.consumer == pending.consumer => return,
            Some(before) => {
                self.consumer_mut(before.consumer).pending.remove(&id);
            }
            None => {}
        }
        self.consumer_mut(pending.consumer).pending.insert(id, ());
    }

    /// An entry is pending no more; what it was, if it was.
    pub fn acknowledge(&mut self, id: StreamId) -> Option<Pending> {
        let pending = self.pending.remove(&id)?;
        self.consumer_mut(pending.consumer).pending.remove(&id);
        Some(pending)
    }

    /// Notes that an entry beyond the last is delivered.
    pub fn advance(&mut self, log: &Log, id: StreamId) {
        match self.entries_read {
            Some(read) if !log.has_deleted_from(id) => {
                self.entries_read = Some(read.wrapping_add(1));
            }
            _ if log.entries_added > 0 => self.entries_read = log.added_up_to(id),
            _ => {}
        }
        self.last_id = id;
    }

    /// How many entries are still to be delivered, where that can be told.
    pub fn lag(&self, log: &Log) -> Option<i64> {
        if log.entries_added == 0 {
            return Some(0);
        }
        let read = match self.entries_read {
            Some(read) if !log.has_deleted_from(self.last_id) => read,
            _ => log.added_up_to(self.last_id)?,
        };
        Some(log.entries_added.wrapping_sub(read).cast_signed())
    }

    /// Panics where the group contradicts itself (tests).
    pub fn check_invariants(&self) {
        let mut pending = 0;
        for (name, id) in &self.names {
            let consumer = self.consumer(*id);
            assert_eq!(&consumer.name, name);
            consumer.pending.check_invariants();
            for entry in consumer.pending.keys() {
                assert_eq!(self.pending[entry].consumer, *id, "{entry:?}");
            }
            pending += consumer.pending.len();
        }
        assert_eq!(pending, self.pending.len(), "every entry has its consumer");
        assert_eq!(self.consumers.len(), self.names.len());
        self.pending.check_invariants();
    }
}
