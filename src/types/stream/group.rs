//! Consumer groups: what was delivered to whom and not acknowledged yet.

use std::collections::{BTreeMap, BTreeSet};

use super::{Log, StreamId};
use crate::util::size_class::{size_class, tree_bytes};

/// A consumer within its group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConsumerId(usize);

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
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Consumer {
    name: Box<[u8]>,
    /// When it last asked for something, Unix milliseconds.
    pub seen_ms: i64,
    pending: BTreeSet<StreamId>,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The IDs of what it was given and has not acknowledged.
    pub fn pending(&self) -> &BTreeSet<StreamId> {
        &self.pending
    }
}

/// A consumer group.
#[derive(Clone, Default)]
pub struct Group {
    /// The greatest ID that was delivered.
    pub last_id: StreamId,
    /// How many entries were read up to that, where it is known.
    pub entries_read: Option<u64>,
    pending: BTreeMap<StreamId, Pending>,
    names: BTreeMap<Box<[u8]>, ConsumerId>,
    consumers: Vec<Option<Consumer>>,
    free: Vec<usize>,
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
    pub fn pending(&self) -> &BTreeMap<StreamId, Pending> {
        &self.pending
    }

    /// Bytes on the heap, about.
    pub(super) fn heap_bytes(&self) -> usize {
        let consumers = self.consumers.iter().flatten().map(|consumer| {
            // Its name is a key, too.
            2 * size_class(consumer.name.len())
                + tree_bytes(consumer.pending.len(), size_of::<StreamId>())
        });
        consumers.sum::<usize>()
            + tree_bytes(self.pending.len(), size_of::<(StreamId, Pending)>())
            + tree_bytes(self.names.len(), size_of::<(Box<[u8]>, ConsumerId)>())
            + size_class(self.consumers.capacity() * size_of::<Option<Consumer>>())
            + size_class(self.free.capacity() * size_of::<usize>())
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
        self.consumers[id.0]
            .as_ref()
            .expect("what is pending has a consumer")
    }

    fn consumer_mut(&mut self, id: ConsumerId) -> &mut Consumer {
        self.consumers[id.0]
            .as_mut()
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

    /// Makes a consumer; none when there is one of that name.
    pub fn create_consumer(&mut self, name: &[u8], seen_ms: i64) -> Option<ConsumerId> {
        if self.names.contains_key(name) {
            return None;
        }
        let consumer = Some(Consumer {
            name: name.into(),
            seen_ms,
            pending: BTreeSet::new(),
        });
        let index = match self.free.pop() {
            Some(index) => {
                self.consumers[index] = consumer;
                index
            }
            None => {
                self.consumers.push(consumer);
                self.consumers.len() - 1
            }
        };
        self.names.insert(name.into(), ConsumerId(index));
        Some(ConsumerId(index))
    }

    /// Deletes a consumer with all that was pending for it; gives how much
    /// that was, none when there is no such consumer.
    pub fn delete_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let id = self.names.remove(name)?;
        let consumer = self.consumers[id.0].take()?;
        self.free.push(id.0);
        for pending in &consumer.pending {
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
        self.consumer_mut(pending.consumer).pending.insert(id);
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
            for entry in &consumer.pending {
                assert_eq!(self.pending[entry].consumer, *id, "{entry:?}");
            }
            pending += consumer.pending.len();
        }
        assert_eq!(pending, self.pending.len(), "every entry has its consumer");
        let used = self.consumers.iter().flatten().count();
        assert_eq!(used, self.names.len());
        assert_eq!(self.free.len() + used, self.consumers.len());
    }
}
