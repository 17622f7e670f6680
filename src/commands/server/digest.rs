//! Digests of values and of the whole data set, equal to those of Redis: the
//! order of keys does not matter, the order within a value does.

use sha1::{Digest as _, Sha1};

use crate::keyspace::entry::EntryRef;
use crate::keyspace::{Keyspace, Str, ValueKind};
use crate::types::{Direction, End, Hash, List, Set, Stream, StreamId, Type, Zset, ZsetRef};
use crate::util::num::format_f64;

/// A digest being built.
#[derive(Clone, Copy, Default)]
pub(super) struct Digest([u8; 20]);

impl Digest {
    /// Adds something whose place does not matter.
    fn add(&mut self, bytes: &[u8]) {
        self.xor(&Sha1::digest(bytes).into());
    }

    /// Adds something whose place does matter.
    fn append(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = Sha1::digest(self.0).into();
    }

    fn xor(&mut self, other: &[u8; 20]) {
        for (byte, other) in self.0.iter_mut().zip(other) {
            *byte ^= other;
        }
    }

    /// Adds type, value and whether it expires.
    fn append_entry(&mut self, entry: EntryRef<'_>) {
        self.append(&type_number(entry.value_type()).to_be_bytes());
        let value = entry.value();
        if let Some(string) = Str::of(value) {
            self.append(string.bytes(&mut itoa::Buffer::new()));
        } else if let Some(set) = Set::of(value) {
            set.iter().for_each(|member| self.add(&member.to_vec()));
        } else if let Some(hash) = Hash::of(value) {
            for (field, value) in hash.iter() {
                let mut digest = Digest::default();
                digest.append(&field.to_vec());
                digest.append(&value.to_vec());
                self.add(&digest.0);
            }
        } else if let Some(zset) = Zset::of(value) {
            self.add_zset(zset);
        } else if let Some(list) = List::of(value) {
            list.for_range(0, list.len(), End::Left, |item| {
                self.append(item.text(&mut itoa::Buffer::new()));
            });
        } else if let Some(stream) = Stream::of(value) {
            self.append_stream(stream);
        }
        if entry.expire().is_some() {
            self.add(b"!!expire!!");
        }
    }

    fn append_stream(&mut self, stream: &Stream) {
        for entry in stream.log.range(StreamId::MIN, StreamId::MAX) {
            self.append(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
            for (field, value) in entry.pairs() {
                self.append(field.text(&mut itoa::Buffer::new()));
                self.append(value.text(&mut itoa::Buffer::new()));
            }
        }
    }

    fn add_zset(&mut self, zset: ZsetRef<'_>) {
        zset.for_each(0..zset.len(), Direction::Ascending, |member, score| {
            let mut digest = Digest::default();
            digest.append(member.text(&mut itoa::Buffer::new()));
            digest.append(format_f64(score).as_bytes());
            self.add(&digest.0);
        });
    }

    /// The value of a key, zero when there is none.
    pub(super) fn of_value(entry: Option<EntryRef<'_>>) -> Digest {
        let mut digest = Digest::default();
        if let Some(entry) = entry {
            digest.append_entry(entry);
        }
        digest
    }

    /// All keys of all databases. Their number counts, so this takes long.
    pub(super) fn of_all(keyspace: &Keyspace) -> Digest {
        let mut all = Digest::default();
        for (index, db) in keyspace.dbs() {
            if db.table().is_empty() {
                continue;
            }
            all.append(&(index.get() as u32).to_be_bytes());
            for entry in db.table().iter() {
                let mut digest = Digest::default();
                digest.append(entry.key());
                digest.append_entry(entry);
                // The digest of a digest, as bytes like any other.
                all.add(&digest.0);
            }
        }
        all
    }
}

/// The number of a type in Redis.
fn type_number(kind: Type) -> u32 {
    match kind {
        Type::String => 0,
        Type::List => 1,
        Type::Set => 2,
        Type::Zset => 3,
        Type::Hash => 4,
        Type::Stream => 6,
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
