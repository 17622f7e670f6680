//! The entries of a stream: blocks by the ID of their first entry.

use std::collections::btree_map::{self, BTreeMap};
use std::sync::Arc;

use super::StreamId;
use super::block::{BLOCK_BYTES_MAX, Backward, Block, Entry, Forward, StreamLimits};
use crate::util::relocate::Mover;

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
    pub(super) blocks: BTreeMap<StreamId, Arc<Block>>,
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
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = (StreamId, &Block)> {
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
        let mut blocks = self.blocks.range_mut(from..);
        for (_, block) in blocks.by_ref().take(count) {
            if let Some(block) = Arc::get_mut(block) {
                block.relocate(mover);
            }
        }
        blocks.next().map(|(id, _)| *id)
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
        match self.blocks.last_entry() {
            Some(mut last) if !last.get().is_full_for(bytes, limits) => {
                let block_id = *last.key();
                Arc::make_mut(last.get_mut()).push(block_id, id, pairs);
            }
            last => {
                if let Some(mut last) = last
                    && let Some(block) = Arc::get_mut(last.get_mut())
                {
                    block.seal();
                }
                let mut block = Block::new(pairs);
                block.push(id, id, pairs);
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
        let from = self.blocks.range(..=start).next_back();
        let from = from.map_or(StreamId::MIN, |(id, _)| *id);
        Range {
            blocks: self.blocks.range(from..),
            block: None,
            start,
            end,
        }
    }

    /// The same from the last to the first.
    pub fn range_back(&self, start: StreamId, end: StreamId) -> RangeBack<'_> {
        let until = self.blocks.range(..=end).next_back();
        // Redis: else from the very last, of a block whose ID was given up.
        let until = until.map_or(StreamId::MAX, |(id, _)| *id);
        RangeBack {
            blocks: self.blocks.range(..=until),
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
        let (id, block) = self.blocks.first_key_value()?;
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
        let btree_map::Entry::Occupied(mut block) = self.blocks.entry(block_id) else {
            return false;
        };
        if block.get().head().live == 1 {
            block.remove();
        } else {
            Arc::make_mut(block.get_mut()).delete(&[flags]);
        }
        true
    }

    /// Removes the oldest entries, of which at most `max` (0: any number); if
    /// only about, then whole blocks alone. Gives how many.
    pub fn trim(&mut self, trim: Trim, about: bool, max: u64) -> u64 {
        let mut deleted: u64 = 0;
        while let Some(first) = self.blocks.first_entry() {
            if matches!(trim, Trim::MaxLen(len) if self.len <= len) {
                break;
            }
            let live = first.get().head().live;
            if max > 0 && deleted.saturating_add(live) > max {
                break;
            }
            let whole = match trim {
                Trim::MaxLen(len) => self.len - live >= len,
                Trim::MinId(id) => first.get().last_id(*first.key()) < id,
            };
            if whole {
                first.remove();
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

    /// Marks entries of the first block deleted.
    fn trim_first_block(&mut self, trim: Trim) -> u64 {
        let Some(mut first) = self.blocks.first_entry() else {
            return 0;
        };
        let mut surplus = match trim {
            Trim::MaxLen(len) => self.len.saturating_sub(len),
            Trim::MinId(_) => u64::MAX,
        };
        let mut gone = Vec::new();
        for entry in first.get().forward(*first.key()) {
            if surplus == 0 || matches!(trim, Trim::MinId(id) if entry.id >= id) {
                break;
            }
            if !entry.is_deleted() {
                gone.push(entry.flags());
                surplus -= 1;
            }
        }
        if gone.len() as u64 == first.get().head().live {
            // Redis keeps it; XSETID could then set the next ID below its own.
            first.remove();
        } else if !gone.is_empty() {
            Arc::make_mut(first.get_mut()).delete(&gone);
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
        for (_, block) in self.blocks() {
            block.check_invariants();
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
    blocks: btree_map::Range<'a, StreamId, Arc<Block>>,
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
    blocks: btree_map::Range<'a, StreamId, Arc<Block>>,
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
            let (id, block) = self.blocks.next_back()?;
            self.block = Some(block.backward(*id));
        }
    }
}
