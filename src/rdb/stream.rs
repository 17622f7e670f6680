//! Streams in files: their blocks as they are in memory, then their groups
//! with what is pending.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use super::{Encoder, Kind, LoadError, Reader, Source};
use crate::encoding::shared::SharedMap;
use crate::types::Stream;
use crate::types::stream::{
    Block, Consumer, ConsumerId, Group, Groups, Pending, StreamFacts, StreamId,
};

impl<W: Write> Encoder<W> {
    /// Writes a stream, as [`Kind::Stream2`] has them.
    ///
    /// # Errors
    /// See [`Encoder::kind`].
    pub fn stream(&mut self, stream: &Stream) -> io::Result<()> {
        let log = &stream.log;
        self.length(log.blocks_len() as u64)?;
        for (id, block) in log.blocks() {
            self.string(&id.to_bytes())?;
            self.string(&block.listpack(id))?;
        }
        self.length(log.len())?;
        for id in [log.last_id, log.first_id, log.max_deleted_id] {
            self.id(id)?;
        }
        self.length(log.entries_added)?;
        self.length(stream.groups.len() as u64)?;
        for (name, group) in &stream.groups {
            self.string(name)?;
            self.group(group)?;
        }
        Ok(())
    }

    fn id(&mut self, id: StreamId) -> io::Result<()> {
        self.length(id.ms)?;
        self.length(id.seq)
    }

    fn group(&mut self, group: &Group) -> io::Result<()> {
        self.id(group.last_id)?;
        self.length(group.entries_read.unwrap_or(UNKNOWN))?;
        self.length(group.pending().len() as u64)?;
        for (id, pending) in group.pending() {
            self.raw(&id.to_bytes())?;
            self.raw(&pending.delivered_ms.to_le_bytes())?;
            self.length(pending.deliveries)?;
        }
        self.length(group.consumers_len() as u64)?;
        group
            .consumers()
            .try_for_each(|(_, consumer)| self.consumer(consumer))
    }

    fn consumer(&mut self, consumer: &Consumer) -> io::Result<()> {
        self.string(consumer.name())?;
        self.raw(&consumer.seen_ms.to_le_bytes())?;
        self.length(consumer.pending().len() as u64)?;
        let mut pending = consumer.pending().keys();
        pending.try_for_each(|id| self.raw(&id.to_bytes()))
    }
}

/// The number of entries read that stands for "not known".
const UNKNOWN: u64 = u64::MAX;

fn corrupt<T>(what: &'static str) -> Result<T, LoadError> {
    Err(LoadError::Corrupt(what))
}

/// Loads a stream of one of its kinds.
pub(super) fn load<S: Source>(kind: Kind, reader: &mut Reader<S>) -> Result<Stream, LoadError> {
    let blocks = blocks(reader)?;
    let empty = blocks.is_empty();
    let len = reader.length()?;
    let last_id = id(reader)?;
    let since_7 = match kind {
        Kind::Stream => None,
        _ => Some((id(reader)?, id(reader)?, reader.length()?)),
    };
    if len > 0 && empty {
        return corrupt("Stream length inconsistent with rax entries");
    }
    let facts = StreamFacts {
        len,
        last_id,
        since_7,
    };
    let stream = Stream::from_blocks(blocks, facts);
    let mut stream = stream.ok_or(LoadError::Corrupt("Stream entries inconsistent"))?;
    for _ in 0..reader.length()? {
        let name = reader.string()?;
        let last_id = id(reader)?;
        let entries_read = match kind {
            Kind::Stream => stream.log.added_up_to(last_id),
            _ => Some(reader.length()?).filter(|read| *read != UNKNOWN),
        };
        let group = group(kind, reader, Group::new(last_id, entries_read))?;
        add_group(&mut stream.groups, name, group)?;
    }
    Ok(stream)
}

fn add_group(groups: &mut Groups, name: Vec<u8>, group: Group) -> Result<(), LoadError> {
    match groups.insert(name.into(), group) {
        None => Ok(()),
        Some(_) => corrupt("Duplicated consumer group name"),
    }
}

fn blocks<S: Source>(reader: &mut Reader<S>) -> Result<SharedMap<StreamId, Arc<Block>>, LoadError> {
    let (mut blocks, mut key): (SharedMap<_, Arc<Block>>, _) = Default::default();
    let mut last = None;
    for _ in 0..reader.length()? {
        reader.string_into(&mut key)?;
        let id = <[u8; 16]>::try_from(&key[..]).map_err(|_| {
            LoadError::Corrupt("Stream node key entry is not the size of a stream ID")
        })?;
        let bytes = reader.string()?;
        reader.validated += 1;
        let Some(block) = Block::from_bytes(bytes) else {
            return corrupt("Stream listpack integrity check failed.");
        };
        let id = StreamId::from_bytes(id);
        if blocks.insert(id, Arc::new(block)).is_some() {
            return corrupt("Listpack re-added with existing key");
        }
        // Only to the last more is added.
        if let Some(last) = last.replace(id)
            && let Some(block) = blocks.get_mut(&last)
        {
            Block::seal(block, last);
        }
    }
    Ok(blocks)
}

fn id<S: Source>(reader: &mut Reader<S>) -> Result<StreamId, LoadError> {
    Ok(StreamId::new(reader.length()?, reader.length()?))
}

fn raw_id<S: Source>(reader: &mut Reader<S>) -> Result<StreamId, LoadError> {
    Ok(StreamId::from_bytes(reader.array()?))
}

fn time_ms<S: Source>(reader: &mut Reader<S>) -> Result<i64, LoadError> {
    Ok(i64::from_le_bytes(reader.array()?))
}

fn group<S: Source>(
    kind: Kind,
    reader: &mut Reader<S>,
    mut group: Group,
) -> Result<Group, LoadError> {
    // To whom they belong is told with the consumers.
    let mut unowned = BTreeMap::new();
    for _ in 0..reader.length()? {
        let id = raw_id(reader)?;
        let delivery = (time_ms(reader)?, reader.length()?);
        if unowned.insert(id, delivery).is_some() {
            return corrupt("Duplicated global PEL entry loading stream consumer group");
        }
    }
    for _ in 0..reader.length()? {
        let name = reader.string()?;
        let seen_ms = time_ms(reader)?;
        let active_ms = match kind {
            Kind::Stream3 => Some(time_ms(reader)?).filter(|active_ms| *active_ms >= 0),
            // Older ones do not tell; there is nothing better.
            _ => Some(seen_ms),
        };
        let Some(consumer) = group.create_consumer(&name, seen_ms) else {
            return corrupt("Duplicate stream consumer detected.");
        };
        group.set_active(consumer, active_ms);
        for _ in 0..reader.length()? {
            let id = raw_id(reader)?;
            own(&mut group, &mut unowned, id, consumer)?;
        }
    }
    if !unowned.is_empty() {
        return corrupt("Stream CG PEL entry without consumer");
    }
    Ok(group)
}

fn own(
    group: &mut Group,
    unowned: &mut BTreeMap<StreamId, (i64, u64)>,
    id: StreamId,
    consumer: ConsumerId,
) -> Result<(), LoadError> {
    let Some((delivered_ms, deliveries)) = unowned.remove(&id) else {
        return corrupt(match group.pending().contains_key(&id) {
            true => "Duplicated consumer PEL entry loading a stream consumer group",
            false => "Consumer entry not found in group global PEL",
        });
    };
    let pending = Pending {
        delivered_ms,
        deliveries,
        consumer,
    };
    group.assign(id, pending);
    Ok(())
}
