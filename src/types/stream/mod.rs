//! Streams: entries by ID, and the groups of consumers that read them.

mod block;
mod dense;
mod group;
mod id;
mod log;
mod shape;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use block::{Block, Entry, StreamLimits};
pub use group::{Consumer, ConsumerId, Group, Pending};
pub use id::{IdText, StreamId};
pub use log::{AddError, Log, NewId, Range, RangeBack, Trim};

use super::{Collection, Object, Packed, Type};
use crate::encoding::shared::SharedMap;
use crate::util::size_class::size_class;

/// Groups by name.
pub type Groups = SharedMap<Arc<[u8]>, Group>;

/// A stream. A copy shares all that is big, and takes the same time for any.
#[derive(Clone, Default)]
pub struct Stream {
    /// Its entries.
    pub log: Log,
    /// Its consumer groups.
    pub groups: Groups,
}

/// What is known of a stream beside its blocks and groups.
#[derive(Clone, Copy, Debug)]
pub struct StreamFacts {
    /// Number of entries.
    pub len: u64,
    /// The greatest ID that was given.
    pub last_id: StreamId,
    /// First entry, greatest deleted ID, number of entries ever added; none in
    /// files before Redis 7.0.
    pub since_7: Option<(StreamId, StreamId, u64)>,
}

impl Stream {
    /// From its blocks; none when they contradict each other or the facts.
    pub fn from_blocks(
        blocks: SharedMap<StreamId, Arc<Block>>,
        facts: StreamFacts,
    ) -> Option<Stream> {
        let mut log = Log::from_blocks(blocks);
        (log.len, log.last_id) = (facts.len, facts.last_id);
        if !log.is_sound() {
            return None;
        }
        match facts.since_7 {
            Some((first_id, max_deleted_id, entries_added)) => {
                log.first_id = first_id;
                log.max_deleted_id = max_deleted_id;
                log.entries_added = entries_added;
            }
            None => {
                log.entries_added = facts.len;
                // Redis: the greatest of all where there is none.
                log.first_id = log.first_entry_id().unwrap_or(StreamId::MAX);
            }
        }
        let groups = Groups::default();
        Some(Stream { log, groups })
    }

    /// Number of entries that are pending in all groups.
    pub fn pending_len(&self) -> usize {
        self.groups
            .values()
            .map(|group| group.pending().len())
            .sum()
    }
}

/// Blocks by which the memory of a stream is judged at least.
const SAMPLES_MIN: usize = 64;

impl Collection for Stream {
    const TYPE: Type = Type::Stream;
    type Ref<'a> = &'a Stream;

    fn new() -> Stream {
        Stream::default()
    }

    fn view(&self) -> &Stream {
        self
    }

    /// Never: a stream without entries stays.
    fn is_empty(&self) -> bool {
        false
    }

    fn packed_view(_kind: Packed, _bytes: &[u8]) -> Option<&Stream> {
        None
    }

    fn from_packed(_kind: Packed, _bytes: Vec<u8>) -> Option<Stream> {
        None
    }

    fn as_packed(&self) -> Option<(Packed, &[u8])> {
        None
    }

    fn into_packed(self) -> Option<Vec<u8>> {
        None
    }

    fn in_object(object: &Object) -> Option<&Stream> {
        match object {
            Object::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    fn in_object_mut(object: &mut Object) -> Option<&mut Stream> {
        match object {
            Object::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    fn into_object(self) -> Object {
        Object::Stream(Box::new(self))
    }

    fn estimated_bytes(&self, samples: usize) -> usize {
        let blocks = &self.log.blocks;
        // The last block is of another form than the others, so few do not do.
        let sampled = blocks.values().take(samples.max(SAMPLES_MIN));
        let (count, bytes) = sampled.fold((0, 0), |(count, sum), block| {
            (count + 1, sum + block.heap_bytes())
        });
        let scaled = (bytes as u128 * blocks.len() as u128).checked_div(count);
        let groups = self.groups.iter();
        let groups = groups.map(|(name, group)| size_class(name.len() + 16) + group.heap_bytes());
        size_class(size_of::<Stream>())
            + scaled.unwrap_or(0) as usize
            + blocks.heap_bytes()
            + self.groups.heap_bytes()
            + groups.sum::<usize>()
    }

    fn free_effort(&self) -> usize {
        let groups = self.groups.values().map(|group| 1 + group.pending().len());
        // Redis: the first group stands for all.
        let first = { groups }.next().unwrap_or(0);
        self.log.blocks.len() + self.groups.len() * first
    }

    fn duplicate(&self) -> Stream {
        self.clone()
    }

    fn encoding_name(&self) -> &'static str {
        "stream"
    }
}

impl Stream {
    /// Panics where the stream contradicts itself (tests).
    pub fn check_invariants(&self) {
        self.log.check_invariants();
        self.groups.values().for_each(Group::check_invariants);
    }
}
