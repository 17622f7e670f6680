//! Values on their way from one key to another, or from outside to a key.

use super::PACKED_INLINE_BYTES_MAX;
use super::db::DbRef;
use super::edit::Edit;
use super::entry::{Entry, EntryRef, INLINE_BYTES_MAX, NewValue, ValueRef};
use crate::encoding::table::Table;
use crate::types::{Object, Packed};
use crate::util::num::canonical_i64;

/// A value between two keys.
pub struct TakenValue {
    value: TakenKind,
    /// Its expiry, Unix milliseconds.
    pub expire: Option<i64>,
    clock: u32,
}

enum TakenKind {
    Int(i64),
    Inline(Box<[u8]>),
    Packed(Packed, Box<[u8]>),
    Boxed(Box<Object>),
}

impl TakenKind {
    /// The form in which a key holds the value.
    fn of(object: Object) -> TakenKind {
        if let Object::String(string) = &object {
            let bytes = string.as_slice();
            if let Some(number) = canonical_i64(bytes) {
                return TakenKind::Int(number);
            }
            if bytes.len() <= INLINE_BYTES_MAX {
                return TakenKind::Inline(bytes.into());
            }
        }
        match object.as_packed() {
            Some((kind, bytes)) if bytes.len() <= PACKED_INLINE_BYTES_MAX => {
                TakenKind::Packed(kind, bytes.into())
            }
            _ => TakenKind::Boxed(Box::new(object)),
        }
    }
}

impl TakenKind {
    fn into_entry(self, key: &[u8], clock: u32) -> Entry {
        let value = match self {
            TakenKind::Int(number) => NewValue::Int(number),
            TakenKind::Inline(ref bytes) => NewValue::Inline(bytes),
            TakenKind::Packed(kind, ref bytes) => NewValue::Packed(kind, bytes),
            TakenKind::Boxed(object) => NewValue::Boxed(object),
        };
        Entry::new(key, value, clock)
    }
}

impl TakenValue {
    /// A value made elsewhere, as if of a key with this expiry (Unix
    /// milliseconds) and access clock.
    pub fn made(object: Object, expire: Option<i64>, clock: u32) -> TakenValue {
        TakenValue {
            value: TakenKind::of(object),
            expire,
            clock,
        }
    }

    /// A copy of a value with its expiry.
    fn copy_of(entry: EntryRef<'_>, clock: u32) -> TakenValue {
        let value = match entry.value() {
            ValueRef::Int(number) => TakenKind::Int(number),
            ValueRef::Inline(bytes) => TakenKind::Inline(bytes.into()),
            ValueRef::Packed(kind, bytes) => TakenKind::Packed(kind, bytes.into()),
            ValueRef::Boxed(object) => TakenKind::Boxed(Box::new(object.duplicate())),
        };
        TakenValue {
            value,
            expire: entry.expire(),
            clock,
        }
    }
}

/// A key with its value, made from a file.
pub struct LoadedKey {
    entry: Entry,
}

impl LoadedKey {
    /// From a key, its value, expiry (Unix milliseconds) and access clock.
    pub fn new(key: &[u8], object: Object, expire: Option<i64>, clock: u32) -> LoadedKey {
        let entry = TakenKind::of(object).into_entry(key, clock);
        LoadedKey {
            entry: entry.replace_expire(expire),
        }
    }

    /// Its name.
    pub fn key(&self) -> &[u8] {
        self.entry.view().key()
    }
}

impl DbRef<'_> {
    /// Adds a key of a file, of which nobody is told; gives it back when
    /// there is one of that name.
    ///
    /// # Errors
    /// The key.
    pub fn insert_loaded(&mut self, loaded: LoadedKey) -> Result<(), LoadedKey> {
        let hash = self.keyspace.hash(loaded.key());
        if self.table().find(hash, loaded.key()).is_some() {
            return Err(loaded);
        }
        self.table_mut().insert(hash, loaded.entry);
        Ok(())
    }

    /// Makes room for so many keys that are about to be loaded.
    pub fn expect_keys(&mut self, count: usize) {
        if self.table().is_empty() && !self.keyspace.in_snapshot() {
            let hasher = self.table().hasher().clone();
            *self.table_mut() = Table::with_capacity(hasher, count);
        }
    }

    /// Takes a live key's value and expiry out, without events (RENAME, MOVE).
    pub fn take_value(&mut self, key: &[u8]) -> Option<TakenValue> {
        let loc = self.find(key)?;
        self.before_change_at(loc);
        let mut entry = self.table_mut().remove(loc);
        self.keyspace.effects.touched(self.index, key);
        let (expire, clock) = (entry.view().expire(), entry.view().clock());
        let value = match entry.take_boxed() {
            Some(object) => TakenKind::Boxed(object),
            None => match entry.view().value() {
                ValueRef::Int(number) => TakenKind::Int(number),
                ValueRef::Inline(bytes) => TakenKind::Inline(bytes.into()),
                ValueRef::Packed(kind, bytes) => TakenKind::Packed(kind, bytes.into()),
                ValueRef::Boxed(_) => unreachable!("taken out above"),
            },
        };
        Some(TakenValue {
            value,
            expire,
            clock,
        })
    }

    /// Adds a value taken from elsewhere under a key that is not there.
    pub fn put_value(&mut self, key: &[u8], taken: TakenValue) -> Edit<'_> {
        let entry = taken
            .value
            .into_entry(key, taken.clock)
            .replace_expire(taken.expire);
        self.insert(key, entry)
    }

    /// A copy of a live key's value and expiry, read and as if made now.
    pub fn copy_value(&mut self, key: &[u8]) -> Option<TakenValue> {
        let clock = self.keyspace.access.initial(self.keyspace.now_ms);
        let entry = self.lookup(key)?;
        Some(TakenValue::copy_of(entry, clock))
    }
}
