//! The collection guard: a list, set, sorted set or hash being changed.
//!
//! A small collection is packed inside of its entry; to change it, its bytes
//! are taken out into a buffer that is kept for this, and put back when the
//! guard is dropped. A big one is an object whose box is taken out meanwhile.
//! Either way the handler has a plain `&mut T`, and what follows from the
//! change (creation, deletion when empty, moving between entry and object) is
//! done once, here.

use std::ops::{Deref, DerefMut};

use super::db::{DbRef, WrongType};
use super::entry::{Entry, NewValue, ValueRef};
use super::{Event, event};
use crate::encoding::table::Loc;
use crate::types::{Collection, Object};

/// Longest packed collection kept inside the entry, bytes: a change copies it
/// out and back.
pub const PACKED_INLINE_BYTES_MAX: usize = 1024;
/// A boxed collection that has shrunk to this moves into the entry.
const PACKED_BACK_BYTES: usize = PACKED_INLINE_BYTES_MAX / 2;

enum Held<T> {
    /// Taken out of the entry, or new.
    Owned(T),
    /// The object that the entry points to.
    Boxed(Box<Object>),
    /// Put back.
    Gone,
}

/// A collection being changed. What is changed through it takes effect in the
/// keyspace when it is dropped; [`CollectionEdit::changed`] counts a change
/// and names its keyspace event. An empty collection ceases to exist.
pub struct CollectionEdit<'a, T: Collection> {
    db: DbRef<'a>,
    key: &'a [u8],
    loc: Option<Loc>,
    held: Held<T>,
    /// Looked at for change; else nothing needs to be put back.
    modified: bool,
    touched: bool,
    /// The key appears with it.
    is_new: bool,
}

impl<'a> DbRef<'a> {
    /// A collection for change, if there is one at the key.
    ///
    /// # Errors
    /// [`WrongType`] when the key holds something else.
    #[inline]
    pub fn edit_collection<'b, T: Collection>(
        &'b mut self,
        key: &'b [u8],
    ) -> Result<Option<CollectionEdit<'b, T>>, WrongType> {
        let Some(loc) = self.find_for_edit(key) else {
            return Ok(None);
        };
        let held = self.take_out::<T>(loc)?;
        Ok(Some(CollectionEdit::new(self, key, Some(loc), held)))
    }

    /// A collection for change; a new, empty one when there is nothing at the
    /// key. It is only stored if something is in it at the end.
    ///
    /// # Errors
    /// [`WrongType`] when the key holds something else.
    #[inline]
    pub fn edit_or_create<'b, T: Collection>(
        &'b mut self,
        key: &'b [u8],
    ) -> Result<CollectionEdit<'b, T>, WrongType> {
        match self.find_for_edit(key) {
            Some(loc) => {
                let held = self.take_out::<T>(loc)?;
                Ok(CollectionEdit::new(self, key, Some(loc), held))
            }
            None => {
                let held = Held::Owned(T::new());
                Ok(CollectionEdit::new(self, key, None, held))
            }
        }
    }

    /// Stores a collection under a key, whatever was there before (of which
    /// nobody is told); an empty one only deletes. The change is counted and
    /// named by the caller: `changed` here, or a `del` of what was there.
    pub fn replace_collection<T: Collection>(&mut self, key: &[u8], value: T, event: Event) {
        let existed = self.contains(key);
        if value.is_empty() {
            if existed {
                self.remove(key, event::DEL);
            }
            return;
        }
        self.discard(key);
        let mut edit = CollectionEdit::new(self, key, None, Held::Owned(value));
        edit.modified = true;
        edit.is_new = !existed;
        edit.changed(event);
    }

    fn take_out<T: Collection>(&mut self, loc: Loc) -> Result<Held<T>, WrongType> {
        let keyspace = &mut *self.keyspace;
        match keyspace.dbs[self.index.get()].table().entry(loc).value() {
            ValueRef::Packed(kind, bytes) if kind.value_type() == T::TYPE => {
                let mut buffer = std::mem::take(&mut keyspace.scratch);
                buffer.clear();
                buffer.extend_from_slice(bytes);
                match T::from_packed(kind, buffer) {
                    Some(value) => Ok(Held::Owned(value)),
                    None => unreachable!("a type reads all of its packed kinds"),
                }
            }
            ValueRef::Boxed(object) if object.value_type() == T::TYPE => {
                let taken = self.table_mut().with_entry(loc, Entry::take_boxed);
                match taken {
                    Some(object) => Ok(Held::Boxed(object)),
                    None => unreachable!("boxed, as was just seen"),
                }
            }
            _ => Err(WrongType),
        }
    }
}

impl<'a, T: Collection> CollectionEdit<'a, T> {
    #[inline]
    fn new<'b: 'a>(
        db: &'a mut DbRef<'b>,
        key: &'a [u8],
        loc: Option<Loc>,
        held: Held<T>,
    ) -> CollectionEdit<'a, T> {
        let index = db.index();
        CollectionEdit {
            db: db.other(index),
            key,
            loc,
            held,
            modified: false,
            touched: false,
            is_new: loc.is_none(),
        }
    }

    /// The collection for reading.
    #[inline]
    pub fn view(&self) -> T::Ref<'_> {
        T::view(self)
    }

    /// Counts one change, and names it.
    #[inline]
    pub fn changed(&mut self, event: Event) {
        self.changed_by(1, event);
    }

    /// Counts so many changes, and names them; none are not worth an event.
    #[inline]
    pub fn changed_by(&mut self, count: usize, event: Event) {
        if count > 0 {
            self.changed_too(event);
            self.db.keyspace.effects.dirty += count as u64;
        }
    }

    /// Names a change that is counted with another one, or not at all.
    #[inline]
    pub fn changed_too(&mut self, event: Event) {
        if !self.touched {
            self.touched = true;
            let index = self.db.index();
            self.db.keyspace.effects.touched(index, self.key);
            if self.is_new {
                self.db.notify(event::NEW, self.key);
            }
        }
        self.db.notify(event, self.key);
    }

    /// Counts more changes that go by the same event.
    pub fn count_further(&mut self, count: usize) {
        self.db.keyspace.effects.dirty += count as u64;
    }

    /// Tells of the change those who wait for the key, though it is not new.
    pub fn ready(&mut self) {
        let index = self.db.index();
        self.db.keyspace.effects.ready(index, self.key);
    }

    /// Publishes a further event of the same change.
    #[inline]
    pub fn notify(&mut self, event: Event) {
        self.db.notify(event, self.key);
    }

    /// Nothing was changed after all, so nothing needs to be put back.
    #[inline]
    pub fn unchanged(&mut self) {
        self.modified = false;
    }

    /// Puts another collection in the place of this one.
    pub fn replace(&mut self, value: T) {
        self.modified = true;
        if let Held::Boxed(object) = std::mem::replace(&mut self.held, Held::Owned(value)) {
            self.db.keyspace.free_object(object);
        }
    }

    /// The time at which the command runs, Unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.db.now_ms()
    }

    #[inline]
    fn put_back(&mut self) {
        match std::mem::replace(&mut self.held, Held::Gone) {
            Held::Gone => {}
            Held::Owned(value) => self.put_back_owned(value),
            Held::Boxed(object) => self.put_back_boxed(object),
        }
    }

    #[inline]
    fn put_back_owned(&mut self, value: T) {
        if self.modified {
            if value.is_empty() {
                self.delete();
            } else {
                match value.as_packed() {
                    Some((kind, bytes)) if bytes.len() <= PACKED_INLINE_BYTES_MAX => {
                        self.store(NewValue::Packed(kind, bytes));
                    }
                    _ => return self.store(NewValue::Boxed(Box::new(value.into_object()))),
                }
            }
        }
        if let Some(buffer) = value.into_packed() {
            self.db.keyspace.scratch = buffer;
        }
    }

    fn put_back_boxed(&mut self, object: Box<Object>) {
        let Some(value) = T::in_object(&object) else {
            unreachable!("an object keeps its type");
        };
        if value.is_empty() {
            self.delete();
            return self.db.keyspace.free_object(object);
        }
        match value.as_packed() {
            Some((kind, bytes)) if self.modified && bytes.len() <= PACKED_BACK_BYTES => {
                self.store(NewValue::Packed(kind, bytes));
            }
            _ => self.store(NewValue::Boxed(object)),
        }
    }

    #[inline]
    fn store(&mut self, value: NewValue<'_>) {
        match self.loc {
            Some(loc) => self
                .db
                .table_mut()
                .update(loc, |entry| entry.replace_value(value)),
            None => self.db.insert_quietly(self.key, value),
        }
    }

    fn delete(&mut self) {
        if let Some(loc) = self.loc {
            drop(self.db.table_mut().remove(loc));
            self.db.notify(event::DEL, self.key);
        }
    }
}

impl<T: Collection> Deref for CollectionEdit<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match &self.held {
            Held::Owned(value) => value,
            Held::Boxed(object) => match T::in_object(object) {
                Some(value) => value,
                None => unreachable!("an object keeps its type"),
            },
            Held::Gone => unreachable!("put back when dropped"),
        }
    }
}

impl<T: Collection> DerefMut for CollectionEdit<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.modified = true;
        match &mut self.held {
            Held::Owned(value) => value,
            Held::Boxed(object) => match T::in_object_mut(object) {
                Some(value) => value,
                None => unreachable!("an object keeps its type"),
            },
            Held::Gone => unreachable!("put back when dropped"),
        }
    }
}

impl<T: Collection> Drop for CollectionEdit<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.put_back();
    }
}
