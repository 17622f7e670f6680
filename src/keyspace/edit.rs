//! The guard that every change of a key goes through.

use super::db::{DbIndex, DbRef};
use super::entry::{EntryRef, NewValue, ValueRef};
use super::event;
use super::{Event, effects};
use crate::encoding::table::Loc;
use crate::types::{Object, StrBuf};

/// What happens to a key's expiry when it gets a new value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ttl {
    /// It stays.
    Keep,
    /// The key lives for ever.
    Clear,
    /// Unix milliseconds.
    At(i64),
}

/// A key being changed. Any change marks it touched (WATCH, client caches);
/// [`Edit::changed`] counts it and names its keyspace event.
pub struct Edit<'a> {
    db: DbRef<'a>,
    loc: Loc,
    touched: bool,
}

impl<'a> Edit<'a> {
    #[inline]
    pub(super) fn new<'b: 'a>(db: &'a mut DbRef<'b>, loc: Loc) -> Edit<'a> {
        let index = db.index();
        Edit {
            db: db.other(index),
            loc,
            touched: false,
        }
    }

    /// The entry as it is.
    #[inline]
    pub fn entry(&self) -> EntryRef<'_> {
        self.db.table().entry(self.loc)
    }

    fn index(&self) -> DbIndex {
        self.db.index()
    }

    fn parts(&mut self) -> (EntryRef<'_>, &mut effects::Effects) {
        let index = self.index();
        let keyspace = &mut *self.db.keyspace;
        (
            keyspace.dbs[index.get()].table().entry(self.loc),
            &mut keyspace.effects,
        )
    }

    /// Marks the key touched, once.
    #[inline]
    pub(super) fn touch(&mut self) {
        if !self.touched {
            self.touched = true;
            let effects = &self.db.keyspace.effects;
            if effects.record_touched || effects.record_lost {
                let index = self.index();
                let (entry, effects) = self.parts();
                effects.touched(index, entry.key());
            }
        }
    }

    /// Replaces the value; the expiry stays.
    #[inline]
    pub fn replace_value(&mut self, value: NewValue<'_>) {
        self.touch();
        let in_place = match value {
            NewValue::Int(number) => self.entry().set_int(number),
            NewValue::Inline(bytes) => {
                let loc = self.loc;
                let table = self.db.table_mut();
                table.with_entry(loc, |entry| entry.set_inline(bytes))
            }
            NewValue::Packed(..) | NewValue::Boxed(_) => false,
        };
        if !in_place {
            self.replace_whole(value);
        }
    }

    fn replace_whole(&mut self, value: NewValue<'_>) {
        self.release_big();
        let loc = self.loc;
        self.db
            .table_mut()
            .update(loc, |entry| entry.replace_value(value));
    }

    /// Hands a big old value to the background before it is overwritten.
    fn release_big(&mut self) {
        if let ValueRef::Boxed(object) = self.entry().value()
            && super::lazyfree::is_big(object)
        {
            let loc = self.loc;
            let object = self
                .db
                .table_mut()
                .with_entry(loc, |entry| entry.take_boxed());
            if let Some(object) = object {
                self.db.keyspace.free_object(object);
            }
        }
    }

    /// The bytes of a string for change in place (it turns `raw`).
    pub fn string_mut<R>(&mut self, change: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        self.touch();
        self.raw_string(change)
    }

    /// As [`Edit::string_mut`], for commands that only find out on the way
    /// whether they change anything. If they do, they count it.
    pub fn raw_string<R>(&mut self, change: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let owned = match self.entry().value() {
            ValueRef::Int(number) => Some(number.to_string().into_bytes()),
            ValueRef::Inline(bytes) => Some(bytes.to_vec()),
            ValueRef::Boxed(_) => None,
            ValueRef::Packed(..) => unreachable!("edited as a string"),
        };
        let loc = self.loc;
        if let Some(bytes) = owned {
            let object = Box::new(Object::String(StrBuf::Owned(bytes)));
            self.db
                .table_mut()
                .update(loc, |entry| entry.replace_value(NewValue::Boxed(object)));
        }
        self.db
            .table_mut()
            .with_entry(loc, |entry| match entry.boxed_mut() {
                Some(Object::String(string)) => change(string.make_mut()),
                _ => unreachable!("made a boxed string above"),
            })
    }

    /// Sets or removes the expiry, Unix milliseconds.
    pub fn set_expire(&mut self, at_ms: Option<i64>) {
        if self.entry().expire() == at_ms {
            return;
        }
        self.touch();
        let loc = self.loc;
        self.db
            .table_mut()
            .update(loc, |entry| entry.replace_expire(at_ms));
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
            self.touch();
            self.notify(event);
            self.db.keyspace.effects.dirty += count as u64;
        }
    }

    /// Counts one change that has no event.
    pub fn changed_unnamed(&mut self) {
        self.touch();
        self.db.keyspace.effects.dirty += 1;
    }

    /// Counts one change of the encoding alone: nobody has another value to see.
    pub fn reencoded(&mut self) {
        self.db.keyspace.effects.dirty += 1;
    }

    /// Publishes a further event of the same change.
    #[inline]
    pub fn notify(&mut self, event: Event) {
        if self.db.keyspace.effects.record_classes & event.class != 0 {
            let index = self.index();
            let (entry, effects) = self.parts();
            effects.event(index, event, entry.key());
        }
    }

    /// Deletes the key.
    pub fn remove(mut self, event: Event) {
        let loc = self.loc;
        let entry = self.db.take(loc, event);
        self.db.keyspace.free_entry(entry);
    }

    /// Deletes the key because its new time lies in the past.
    pub fn remove_as_expired(self) {
        self.remove(event::DEL);
    }
}
