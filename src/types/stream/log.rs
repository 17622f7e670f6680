//! The entries of a stream: blocks by the ID of their first entry.

use std::sync::Arc;

use super::block::{BLOCK_BYTES_MAX, Backward, Block, Entry, Forward, StreamLimits};
use super::{StreamId, shape};
use crate::encoding::shared::{self, SharedMap};
use crate::util::relocate::Mover;

/// Blocks that are given to a mover at a time.
const RELOCATED_MAX: usize = 256;

/// Why an entry cannot be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddError {
    /// Its ID is not above all others.
    IdTooSmall,
    /// It is longer than what a block holds.
    TooLarge,
}

/// Which ID a new entry gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NewId {
    /// This one.
    Given(StreamId),
    /// The next one of these milliseconds.
    InMs(u64),
    /// The next one, at the time now (Unix milliseconds).
    At(u64),
}

/// Which entries are to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trim {
    /// The oldest, so that so many stay.
    MaxLen(u64),
    /// Those below this ID.
    MinId(StreamId),
}

/// The entries of a stream, and what is remembered of those that are gone.
#[derive(Clone, Default)]
pub struct Log {
    pub(super) blocks: SharedMap<StreamId, Arc<Block>>,
    /// Nodes of the tree that Redis has for the blocks, but for its root.
    nodes: usize,
    pub(super) len: u64,
    /// The greatest ID that was given.
    pub last_id: StreamId,
    /// The first entry; 0-0 when there is none.
    pub first_id: StreamId,
    /// The greatest ID that was deleted by name.
    pub max_deleted_id: StreamId,
    /// Number of entries that were ever added.
    pub entries_added: u64,
}

impl Log {
    /// Number of entries.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The blocks, by the ID that their entries count from.
    pub fn blocks(&self) -> impl Iterator<Item = (StreamId, &Block)> {
        self.blocks.iter().map(|(id, block)| (*id, &**block))
    }

    /// Gives up to `count` blocks from an ID on to the mover, but those that
    /// others share; the ID to go on with, none behind the last.
    pub fn relocate(
        &mut self,
        from: StreamId,
        count: usize,
        mover: &mut Mover,
    ) -> Option<StreamId> {
        let mut ids = self.blocks.iter_from(&from).map(|(id, _)| *id);
        let some: Vec<StreamId> = ids.by_ref().take(count.min(RELOCATED_MAX)).collect();
        let next = ids.next();
        for id in some {
            if let Some(block) = self.blocks.own_mut(&id).and_then(Arc::get_mut) {
                block.relocate(mover);
            }
        }
        next
    }

    /// A log of these blocks.
    pub(super) fn from_blocks(blocks: SharedMap<StreamId, Arc<Block>>) -> Log {
        Log {
            nodes: shape::tree_nodes(blocks.keys().copied()) - 1,
            blocks,
            ..Log::default()
        }
    }

    /// Number of nodes that the radix tree of Redis has for the blocks.
    pub fn tree_nodes(&self) -> usize {
        self.nodes + 1
    }

    /// Whether a copy shares the blocks.
    pub fn is_shared(&self) -> bool {
        self.blocks.is_shared()
    }

    /// Number of blocks.
    pub fn blocks_len(&self) -> usize {
        self.blocks.len()
    }

    /// The ID that a new entry would get; none when there is no more.
    fn new_id(&self, wanted: NewId) -> Option<StreamId> {
        match wanted {
            NewId::Given(id) => Some(id),
            NewId::InMs(ms) if ms == self.last_id.ms => {
                let seq = self.last_id.seq.checked_add(1)?;
                Some(StreamId::new(ms, seq))
            }
            NewId::InMs(ms) => Some(StreamId::new(ms, 0)),
            NewId::At(now_ms) if now_ms > self.last_id.ms => Some(StreamId::new(now_ms, 0)),
            NewId::At(_) => self.last_id.next(),
        }
    }

    /// Adds an entry of fields, each followed by its value; gives its ID.
    ///
    /// # Errors
    /// See [`AddError`].
    pub fn add(
        &mut self,
        wanted: NewId,
        pairs: &[&[u8]],
        limits: StreamLimits,
    ) -> Result<StreamId, AddError> {
        let id = self.new_id(wanted).filter(|id| *id > self.last_id);
        let id = id.ok_or(AddError::IdTooSmall)?;
        let bytes = pairs
            .iter()
            .fold(0usize, |sum, text| sum.saturating_add(text.len()));
        if bytes > BLOCK_BYTES_MAX {
            return Err(AddError::TooLarge);
        }
        match self.blocks.last_mut() {
            Some((block_id, last)) if !last.is_full_for(bytes, limits) => {
                Arc::make_mut(last).push(*block_id, id, pairs);
            }
            last => {
                if let Some((block_id, last)) = last {
                    Block::seal(last, *block_id);
                }
                let mut block = Block::new(pairs);
                block.push(id, id, pairs);
                self.nodes += shape::nodes_of_key(&self.blocks, id);
                self.blocks.insert(id, Arc::new(block));
            }
        }
        self.len += 1;
        self.entries_added = self.entries_added.wrapping_add(1);
        self.last_id = id;
        if self.len == 1 {
            self.first_id = id;
        }
        Ok(id)
    }

    /// The entries between two IDs, both included.
    pub fn range(&self, start: StreamId, end: StreamId) -> Range<'_> {
        let from = self.blocks.floor(&start);
        let from = from.map_or(StreamId::MIN, |(id, _)| *id);
        Range {
            blocks: self.blocks.iter_from(&from),
            block: None,
            start,
            end,
        }
    }

    /// The same from the last to the first.
    pub fn range_back(&self, start: StreamId, end: StreamId) -> RangeBack<'_> {
        let until = self.blocks.floor(&end);
        // Redis: else from the very last, of a block whose ID was given up.
        let until = until.map_or(StreamId::MAX, |(id, _)| *id);
        RangeBack {
            blocks: self.blocks.iter_back_from(&until),
            block: None,
            start,
            end,
        }
    }

    /// The entry of an ID.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        self.range(id, id).next()
    }

    /// The ID of the last entry there is.
    pub fn last_entry_id(&self) -> Option<StreamId> {
        let last = self.range_back(StreamId::MIN, StreamId::MAX).next();
        last.map(|entry| entry.id)
    }

    /// The ID of the first entry there is.
    pub fn first_entry_id(&self) -> Option<StreamId> {
        let first = self.range(StreamId::MIN, StreamId::MAX).next();
        first.map(|entry| entry.id)
    }

    /// The ID of the first entry, even of a deleted one that is still stored.
    pub fn first_stored_id(&self) -> Option<StreamId> {
        let (id, block) = self.blocks.first()?;
        block.forward(*id).next().map(|entry| entry.id)
    }

    fn note_first(&mut self) {
        self.first_id = if self.len == 0 {
            StreamId::MIN
        } else {
            self.first_entry_id().unwrap_or(StreamId::MAX)
        };
    }

    /// Deletes entries by their IDs; gives how many there were.
    pub fn delete(&mut self, ids: &[StreamId]) -> usize {
        let (mut deleted, mut first_gone) = (0, false);
        for id in ids {
            if self.delete_one(*id) {
                first_gone |= *id == self.first_id;
                self.max_deleted_id = self.max_deleted_id.max(*id);
                deleted += 1;
            }
        }
        if deleted > 0 && (self.len == 0 || first_gone) {
            self.note_first();
        }
        deleted
    }

    fn delete_one(&mut self, id: StreamId) -> bool {
        let mut range = self.range(id, id);
        let Some(entry) = range.next() else {
            return false;
        };
        let (flags, Some(block_id)) = (entry.flags(), range.block_id()) else {
            return false;
        };
        self.len -= 1;
        let Some(block) = self.blocks.get_mut(&block_id) else {
            return false;
        };
        if block.head().live == 1 {
            self.remove_block(block_id);
        } else {
            Arc::make_mut(block).delete(&[flags]);
        }
        true
    }

    /// Removes the oldest entries, of which at most `max` (0: any number); if
    /// only about, then whole blocks alone. Gives how many.
    pub fn trim(&mut self, trim: Trim, about: bool, max: u64) -> u64 {
        let mut deleted: u64 = 0;
        while let Some((id, first)) = self.blocks.first() {
            if matches!(trim, Trim::MaxLen(len) if self.len <= len) {
                break;
            }
            let live = first.head().live;
            if max > 0 && deleted.saturating_add(live) > max {
                break;
            }
            let whole = match trim {
                Trim::MaxLen(len) => self.len - live >= len,
                Trim::MinId(min) => first.last_id(*id) < min,
            };
            if whole {
                let id = *id;
                self.remove_block(id);
                self.len -= live;
                deleted += live;
                continue;
            }
            if !about {
                let some = self.trim_first_block(trim);
                self.len -= some;
                deleted += some;
            }
            break;
        }
        if deleted > 0 || self.len == 0 {
            self.note_first();
        }
        deleted
    }

    fn remove_block(&mut self, id: StreamId) {
        if self.blocks.remove(&id).is_some() {
            self.nodes -= shape::nodes_of_key(&self.blocks, id);
        }
    }

    /// Marks entries of the first block deleted.
    fn trim_first_block(&mut self, trim: Trim) -> u64 {
        let Some((id, first)) = self.blocks.first_mut() else {
            return 0;
        };
        let mut surplus = match trim {
            Trim::MaxLen(len) => self.len.saturating_sub(len),
            Trim::MinId(_) => u64::MAX,
        };
        let mut gone = Vec::new();
        for entry in first.forward(*id) {
            if surplus == 0 || matches!(trim, Trim::MinId(id) if entry.id >= id) {
                break;
            }
            if !entry.is_deleted() {
                gone.push(entry.flags());
                surplus -= 1;
            }
        }
        if gone.len() as u64 == first.head().live {
            // Redis keeps it; XSETID could then set the next ID below its own.
            let id = *id;
            self.remove_block(id);
        } else if !gone.is_empty() {
            Arc::make_mut(first).delete(&gone);
        }
        gone.len() as u64
    }

    /// Whether an entry from this ID on was deleted by name.
    pub(super) fn has_deleted_from(&self, id: StreamId) -> bool {
        self.len > 0
            && self.max_deleted_id != StreamId::MIN
            && self.first_id <= self.max_deleted_id
            && id <= self.max_deleted_id
    }

    /// How many entries were added up to and with this ID, where that can be
    /// told (Redis: streamEstimateDistanceFromFirstEverEntry).
    pub fn added_up_to(&self, id: StreamId) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if (self.len == 0 && id <= self.last_id) || id == self.last_id {
            return Some(self.entries_added);
        }
        if id > self.last_id {
            return None;
        }
        let unbroken = self.max_deleted_id == StreamId::MIN || self.max_deleted_id < self.first_id;
        if unbroken && id <= self.first_id {
            let before = self.entries_added.wrapping_sub(self.len);
            return Some(before.wrapping_add(u64::from(id == self.first_id)));
        }
        None
    }

    /// Panics where the log contradicts itself (tests).
    pub fn check_invariants(&self) {
        self.blocks.check_invariants();
        assert_eq!(
            self.tree_nodes(),
            shape::tree_nodes(self.blocks.keys().copied())
        );
        for (id, block) in self.blocks() {
            block.check_invariants(id);
        }
        assert!(self.is_sound(), "entries out of order or not counted");
    }

    /// Whether entries ascend, below the last ID, and their number is right.
    pub(super) fn is_sound(&self) -> bool {
        let (mut before, mut count) = (None, 0);
        for entry in self.range(StreamId::MIN, StreamId::MAX) {
            if before.is_some_and(|before| entry.id <= before) {
                return false;
            }
            before = Some(entry.id);
            count += 1;
        }
        count == self.len && before.is_none_or(|last| last <= self.last_id)
    }
}

/// Entries in their order.
#[derive(Clone)]
pub struct Range<'a> {
    blocks: shared::Iter<'a, StreamId, Arc<Block>>,
    block: Option<(StreamId, Forward<'a>)>,
    start: StreamId,
    end: StreamId,
}

impl Range<'_> {
    /// The block of the entry that was given last.
    fn block_id(&self) -> Option<StreamId> {
        self.block.as_ref().map(|(id, _)| *id)
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some((_, entries)) = &mut self.block {
                for entry in entries {
                    if entry.id < self.start || entry.is_deleted() {
                        continue;
                    }
                    return (entry.id <= self.end).then_some(entry);
                }
            }
            let (id, block) = self.blocks.next()?;
            self.block = Some((*id, block.forward(*id)));
        }
    }
}

/// Entries from the last to the first.
pub struct RangeBack<'a> {
    blocks: shared::IterBack<'a, StreamId, Arc<Block>>,
    block: Option<Backward<'a>>,
    start: StreamId,
    end: StreamId,
}

impl<'a> Iterator for RangeBack<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some(entries) = &mut self.block {
                for entry in entries {
                    if entry.id > self.end || entry.is_deleted() {
                        continue;
                    }
                    return (entry.id >= self.start).then_some(entry);
                }
            }
            let (id, block) = self.blocks.next()?;
            self.block = Some(block.backward(*id));
        }
    }
}
