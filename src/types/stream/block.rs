//! A run of entries in one listpack, in the form that Redis keeps, writes to
//! files and reads from them.
//!
//! ```text
//! master entry: live entries, dead entries, number of fields, fields.., 0
//! each entry:   flags, milliseconds and sequence since the block's ID,
//!               fields as in the master entry: values..
//!               others: number of fields, (field, value)..
//!               number of elements of the entry before this one
//! ```
//! Deleted entries stay and are marked. The last element of an entry lets one
//! walk backwards. A block that is full is kept in fewer bytes, see [`Dense`].

use std::borrow::Cow;
use std::sync::Arc;

use super::StreamId;
use super::dense::{self, Dense};
use crate::encoding::listpack::{self, Item, Listpack, ListpackRef, bare};
use crate::util::copied;
use crate::util::relocate::Mover;
use crate::util::size_class::size_class;

/// The entry is deleted.
pub(super) const DELETED: i64 = 1;
/// The entry has the fields of the master entry.
pub(super) const SAME_FIELDS: i64 = 2;
/// Elements of an entry beside its texts, at most.
const ENTRY_ITEMS_MAX: usize = 5;
/// Bytes that a block may have (Redis: STREAM_LISTPACK_MAX_SIZE).
pub const BLOCK_BYTES_MAX: usize = 1 << 30;

/// When a block is full.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// Bytes (`stream-node-max-bytes`); 0: as many as are possible.
    pub bytes: usize,
    /// Entries, deleted ones included (`stream-node-max-entries`); 0: any.
    pub entries: usize,
}

/// A run of entries; it is shared with snapshots and copies.
#[derive(Debug)]
pub struct Block(Form);

impl Clone for Block {
    fn clone(&self) -> Block {
        copied::note(self.heap_bytes());
        Block(self.0.clone())
    }
}

#[derive(Clone, Debug)]
enum Form {
    Packed(Listpack),
    /// Nothing is added.
    Dense(Dense),
}

impl Block {
    /// Gives its memory to the mover.
    pub(super) fn relocate(&mut self, mover: &mut Mover) {
        match &mut self.0 {
            Form::Packed(pack) => pack.relocate(mover),
            Form::Dense(dense) => dense.relocate(mover),
        }
    }
}

/// What the master entry says, and where it ends.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) live: u64,
    pub(super) dead: u64,
    pub(super) fields: usize,
    pub(super) fields_at: usize,
    pub(super) entries_at: usize,
}

/// The bytes of a block, in one of its forms.
#[derive(Clone, Copy)]
pub(super) struct Elements<'a> {
    bytes: &'a [u8],
    /// Without lengths at their ends: those of [`Dense`].
    bare: bool,
}

impl<'a> Elements<'a> {
    #[inline]
    fn read_at(self, at: usize) -> (Item<'a>, usize) {
        match self.bare {
            true => bare::read_at(self.bytes, at),
            false => ListpackRef::new(self.bytes).read_at(at),
        }
    }

    #[inline]
    fn skip(self, at: usize, count: usize) -> usize {
        match self.bare {
            true => bare::skip(self.bytes, at, count),
            false => ListpackRef::new(self.bytes).skip(at, count),
        }
    }
}

/// An entry of a stream.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// Its ID.
    pub id: StreamId,
    elements: Elements<'a>,
    flags: i64,
    pub(super) flags_at: usize,
    fields: usize,
    /// Where the fields are, when they are those of the master entry.
    shared_at: Option<usize>,
    body_at: usize,
}

fn number(item: Item<'_>) -> i64 {
    item.as_i64().unwrap_or(0)
}

impl Block {
    /// A block of no entries, whose master entry has the fields of these pairs.
    pub(super) fn new(pairs: &[&[u8]]) -> Block {
        let mut pack = Listpack::new();
        let mut items = vec![
            Item::Int(0),
            Item::Int(0),
            Item::Int((pairs.len() / 2) as i64),
        ];
        items.extend(pairs.iter().step_by(2).map(|field| Item::of(field)));
        items.push(Item::Int(0));
        pack.insert_all(pack.as_ref().end(), &items);
        Block(Form::Packed(pack))
    }

    /// Takes the untrusted bytes of a block; none when they are not sound.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Block> {
        let pack = Listpack::from_bytes(bytes)?;
        is_sound(&pack).then_some(Block(Form::Packed(pack)))
    }

    /// The listpack of the block of this ID.
    pub fn listpack(&self, id: StreamId) -> Cow<'_, [u8]> {
        match &self.0 {
            Form::Packed(pack) => Cow::Borrowed(pack.as_ref().bytes()),
            Form::Dense(dense) => Cow::Owned(dense.unpack(id).into_bytes()),
        }
    }

    fn listpack_len(&self) -> usize {
        match &self.0 {
            Form::Packed(pack) => pack.as_ref().bytes().len(),
            Form::Dense(dense) => dense.listpack_len(),
        }
    }

    fn elements(&self) -> Elements<'_> {
        match &self.0 {
            Form::Packed(pack) => Elements {
                bytes: pack.as_ref().bytes(),
                bare: false,
            },
            Form::Dense(dense) => Elements {
                bytes: dense.bytes(),
                bare: true,
            },
        }
    }

    /// The listpack for change; a dense block of this ID becomes one.
    fn loosen(&mut self, id: StreamId) -> &mut Listpack {
        if let Form::Dense(dense) = &self.0 {
            self.0 = Form::Packed(dense.unpack(id));
        }
        match &mut self.0 {
            Form::Packed(pack) => pack,
            Form::Dense(_) => unreachable!("a listpack, as of now"),
        }
    }

    pub(super) fn head(&self) -> Head {
        let pack = match &self.0 {
            Form::Packed(pack) => pack.as_ref(),
            Form::Dense(dense) => return dense.head(),
        };
        let (live, at) = pack.read_at(pack.start());
        let (dead, at) = pack.read_at(at);
        let (fields, fields_at) = pack.read_at(at);
        let fields = number(fields) as usize;
        Head {
            live: number(live) as u64,
            dead: number(dead) as u64,
            fields,
            fields_at,
            entries_at: pack.skip(fields_at, fields + 1),
        }
    }

    /// Whether so many bytes more need a new block.
    pub(super) fn is_full_for(&self, bytes: usize, limits: StreamLimits) -> bool {
        let bytes_max = match limits.bytes {
            0 => BLOCK_BYTES_MAX,
            bytes => bytes.min(BLOCK_BYTES_MAX),
        };
        if self.listpack_len().saturating_add(bytes) >= bytes_max {
            return true;
        }
        let head = self.head();
        limits.entries > 0 && head.live.saturating_add(head.dead) >= limits.entries as u64
    }

    /// Adds an entry to the block of this ID.
    pub(super) fn push(&mut self, block_id: StreamId, id: StreamId, pairs: &[&[u8]]) {
        self.loosen(block_id);
        let head = self.head();
        let same = self.has_fields(&head, pairs);
        let fields = pairs.len() / 2;
        let mut items = Vec::with_capacity(pairs.len() + ENTRY_ITEMS_MAX);
        items.push(Item::Int(if same { SAME_FIELDS } else { 0 }));
        items.push(Item::Int(id.ms.wrapping_sub(block_id.ms).cast_signed()));
        items.push(Item::Int(id.seq.wrapping_sub(block_id.seq).cast_signed()));
        if same {
            items.extend(pairs.iter().skip(1).step_by(2).map(|value| Item::of(value)));
        } else {
            items.push(Item::Int(fields as i64));
            items.extend(pairs.iter().map(|text| Item::of(text)));
        }
        items.push(Item::Int(items.len() as i64));
        let pack = self.loosen(block_id);
        pack.insert_all(pack.as_ref().end(), &items);
        pack.replace(pack.as_ref().start(), Item::Int(head.live as i64 + 1));
    }

    fn has_fields(&self, head: &Head, pairs: &[&[u8]]) -> bool {
        let pack = self.elements();
        let mut at = head.fields_at;
        head.fields == pairs.len() / 2
            && pairs.iter().step_by(2).all(|field| {
                let (item, next) = pack.read_at(at);
                at = next;
                match item {
                    Item::Bytes(bytes) => bytes == *field,
                    Item::Int(_) => item.is_text(field),
                }
            })
    }

    /// Marks entries deleted, whose flags are at these places.
    pub(super) fn delete(&mut self, entries: &[(usize, i64)]) {
        let head = self.head();
        let pack = match &mut self.0 {
            Form::Packed(pack) => pack,
            Form::Dense(dense) => return dense.delete(entries),
        };
        let count = entries.len() as u64;
        // Flags of foreign blocks may become shorter: the places before hold.
        for (at, flags) in entries.iter().rev() {
            pack.replace(*at, Item::Int(flags | DELETED));
        }
        let at = pack.as_ref().start();
        pack.replace(at, Item::Int(head.live.saturating_sub(count) as i64));
        let (_, at) = pack.as_ref().read_at(at);
        pack.replace(at, Item::Int(head.dead.saturating_add(count) as i64));
    }

    /// Nothing more is added to the block of this ID: it is kept in fewer bytes.
    pub fn seal(block: &mut Arc<Block>, id: StreamId) {
        let Form::Packed(pack) = &block.0 else {
            return;
        };
        if let Some(dense) = Dense::pack(pack.as_ref(), &block.head(), id) {
            *block = Arc::new(Block(Form::Dense(dense)));
        } else if let Some(Block(Form::Packed(pack))) = Arc::get_mut(block) {
            pack.shrink_to_fit();
        }
    }

    #[cfg(test)]
    pub(super) fn is_dense(&self) -> bool {
        matches!(self.0, Form::Dense(_))
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let bytes = match &self.0 {
            Form::Packed(pack) => size_class(pack.capacity()),
            Form::Dense(dense) => dense.heap_bytes(),
        };
        bytes + size_class(size_of::<Block>() + 16)
    }

    /// Reads the entries of the block of this ID, deleted ones too.
    pub(super) fn forward(&self, id: StreamId) -> Forward<'_> {
        let (elements, head) = (self.elements(), self.head());
        let end = match &self.0 {
            Form::Packed(pack) => pack.as_ref().end(),
            Form::Dense(dense) => dense.end(),
        };
        let last = match elements.bare {
            true => dense::before_first(id),
            false => id,
        };
        Forward {
            elements,
            last,
            at: head.entries_at,
            end,
            head,
        }
    }

    /// Reads them from the last to the first.
    pub(super) fn backward(&self, id: StreamId) -> Backward<'_> {
        let (head, elements) = (self.head(), self.elements());
        match &self.0 {
            Form::Packed(pack) => Backward::Packed {
                pack: pack.as_ref(),
                id,
                at: pack.as_ref().end(),
                head,
            },
            // They are few, and can only be found forwards.
            Form::Dense(_) => {
                let entries = self.forward(id);
                let mut before = entries.last;
                let place = |entry: Entry<'_>| {
                    let place = (entry.flags_at, before);
                    before = entry.id;
                    place
                };
                let found = entries.map(place).collect();
                Backward::Dense {
                    elements,
                    head,
                    found,
                }
            }
        }
    }

    /// The ID of the last entry, even when it is deleted.
    pub(super) fn last_id(&self, id: StreamId) -> StreamId {
        match &self.0 {
            Form::Packed(_) => self.backward(id).next().map_or(id, |entry| entry.id),
            Form::Dense(dense) => dense.last_id(),
        }
    }

    /// Panics where the block of this ID contradicts itself (tests).
    pub(super) fn check_invariants(&self, id: StreamId) {
        let listpack = self.listpack(id).into_owned();
        assert_eq!(listpack.len(), self.listpack_len());
        let listpack = Listpack::from_bytes(listpack).expect("a listpack");
        assert!(is_sound(&listpack), "not a block");
        if let Form::Dense(dense) = &self.0 {
            let last = self.forward(id).last();
            assert_eq!(last.map(|entry| entry.id), Some(dense.last_id()));
            let again = Block(Form::Packed(listpack)).head();
            let head = dense.head();
            assert_eq!((again.live, again.dead), (head.live, head.dead));
        }
    }
}

/// Whether the elements of a well-formed listpack are those of a block.
fn is_sound(pack: &Listpack) -> bool {
    let mut items = pack.as_ref().iter();
    check(&mut items).is_some() && items.next().is_none()
}

fn check(items: &mut listpack::Iter<'_>) -> Option<()> {
    let int = |items: &mut listpack::Iter<'_>| items.next()?.as_i64();
    let count = |number: i64| usize::try_from(number).ok();
    let skip = |items: &mut listpack::Iter<'_>, texts: usize| {
        (0..texts).try_for_each(|_| items.next().map(drop))
    };
    let (live, dead) = (count(int(items)?)?, count(int(items)?)?);
    let fields = count(int(items)?)?;
    skip(items, fields)?;
    if int(items)? != 0 {
        return None;
    }
    let (mut found_live, mut found_dead) = (0, 0);
    for _ in 0..live.checked_add(dead)? {
        let flags = int(items)?;
        if flags & !(DELETED | SAME_FIELDS) != 0 {
            return None;
        }
        int(items)?;
        int(items)?;
        let elements = if flags & SAME_FIELDS != 0 {
            skip(items, fields)?;
            fields.checked_add(3)?
        } else {
            let own = count(int(items)?)?;
            skip(items, own.checked_mul(2)?)?;
            own.checked_mul(2)?.checked_add(4)?
        };
        if count(int(items)?)? != elements {
            return None;
        }
        if flags & DELETED != 0 {
            found_dead += 1;
        } else {
            found_live += 1;
        }
    }
    ((found_live, found_dead) == (live, dead)).then_some(())
}

impl<'a> Entry<'a> {
    /// The entry whose flags are at a place of the listpack of a block.
    #[inline]
    fn packed(
        pack: ListpackRef<'a>,
        block_id: StreamId,
        head: &Head,
        flags_at: usize,
    ) -> Entry<'a> {
        let (flags, at) = pack.read_at(flags_at);
        let (ms, at) = pack.read_at(at);
        let (seq, at) = pack.read_at(at);
        let flags = number(flags);
        let (fields, shared_at, body_at) = if flags & SAME_FIELDS != 0 {
            (head.fields, Some(head.fields_at), at)
        } else {
            let (fields, at) = pack.read_at(at);
            (number(fields) as usize, None, at)
        };
        Entry {
            id: block_id.offset(number(ms), number(seq)),
            elements: Elements {
                bytes: pack.bytes(),
                bare: false,
            },
            flags,
            flags_at,
            fields,
            shared_at,
            body_at,
        }
    }

    /// The entry at a place of a dense block, which follows one of this ID.
    #[inline]
    fn dense(elements: Elements<'a>, before: StreamId, head: &Head, flags_at: usize) -> Entry<'a> {
        let (flags, id, at) = dense::read_id(elements.bytes, flags_at, before);
        let (fields, shared_at, body_at) = if flags & SAME_FIELDS != 0 {
            (head.fields, Some(head.fields_at), at)
        } else {
            let (fields, at) = dense::read_fields(elements.bytes, at);
            (fields, None, at)
        };
        Entry {
            id,
            elements,
            flags,
            flags_at,
            fields,
            shared_at,
            body_at,
        }
    }

    /// Number of its fields.
    pub fn len(self) -> usize {
        self.fields
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.fields == 0
    }

    /// The fields with their values.
    pub fn pairs(self) -> impl Iterator<Item = (Item<'a>, Item<'a>)> {
        let (pack, mut shared_at, mut at) = (self.elements, self.shared_at, self.body_at);
        (0..self.fields).map(move |_| {
            let field = match &mut shared_at {
                Some(shared_at) => {
                    let (field, next) = pack.read_at(*shared_at);
                    *shared_at = next;
                    field
                }
                None => {
                    let (field, next) = pack.read_at(at);
                    at = next;
                    field
                }
            };
            let (value, next) = pack.read_at(at);
            at = next;
            (field, value)
        })
    }

    pub(super) fn is_deleted(self) -> bool {
        self.flags & DELETED != 0
    }

    pub(super) fn flags(self) -> (usize, i64) {
        (self.flags_at, self.flags)
    }

    /// Where the next entry begins, or the block ends.
    #[inline]
    fn end(self) -> usize {
        let texts = match self.shared_at {
            Some(_) => self.fields,
            None => self.fields * 2,
        };
        // In a listpack, the number of elements follows.
        let further = usize::from(!self.elements.bare);
        self.elements.skip(self.body_at, texts + further)
    }
}

/// Entries of a block in their order.
#[derive(Clone)]
pub(super) struct Forward<'a> {
    elements: Elements<'a>,
    /// The ID of the block, or, of a dense one, of the last entry.
    last: StreamId,
    head: Head,
    at: usize,
    end: usize,
}

impl<'a> Iterator for Forward<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        if self.at >= self.end {
            return None;
        }
        let entry = if self.elements.bare {
            let entry = Entry::dense(self.elements, self.last, &self.head, self.at);
            self.last = entry.id;
            entry
        } else {
            let pack = ListpackRef::new(self.elements.bytes);
            Entry::packed(pack, self.last, &self.head, self.at)
        };
        self.at = entry.end();
        Some(entry)
    }
}

/// Entries of a block from the last on.
#[derive(Clone)]
pub(super) enum Backward<'a> {
    Packed {
        pack: ListpackRef<'a>,
        id: StreamId,
        head: Head,
        /// Where the entry after the next one begins.
        at: usize,
    },
    Dense {
        elements: Elements<'a>,
        head: Head,
        /// Where the entries are, and what is before each.
        found: Vec<(usize, StreamId)>,
    },
}

impl<'a> Iterator for Backward<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        match self {
            Backward::Packed { pack, id, head, at } => {
                if *at <= head.entries_at {
                    return None;
                }
                let mut start = pack.prev(*at)?;
                for _ in 0..number(pack.item_at(start)) {
                    start = pack.prev(start)?;
                }
                *at = start;
                Some(Entry::packed(*pack, *id, head, start))
            }
            Backward::Dense {
                elements,
                head,
                found,
            } => {
                let (at, before) = found.pop()?;
                Some(Entry::dense(*elements, before, head, at))
            }
        }
    }
}
