//! Active defragmentation of what the databases hold: their memory is gone
//! through in slices, and moved where that frees pages (`util::relocate`).
//!
//! A running snapshot knows collections by the address of their object, so
//! boxed values wait until it is done; the entries themselves may move.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::entry::{Entry, ValueRef};
use super::{DbIndex, Keyspace};
use crate::types::RelocatePlace;
use crate::util::relocate::Mover;

/// Allocations looked at between two looks at the clock.
const LOOKS: u64 = 64;

/// A big value that is gone through by itself.
struct Later {
    key: Box<[u8]>,
    place: RelocatePlace,
    /// Allocations moved so far.
    hits: u64,
}

/// A round through all databases.
#[derive(Default)]
pub struct Round {
    db: usize,
    /// Of the table of the database.
    cursor: u64,
    /// That table is through.
    through: bool,
    /// Big values of this database that were come across.
    later: VecDeque<Later>,
    /// Counts of what was moved.
    pub mover: Mover,
    /// Keys with any allocation moved.
    pub key_hits: u64,
    /// Keys with none.
    pub key_misses: u64,
}

impl Round {
    /// Goes on for about this time; true when all databases have been gone
    /// through. Values of more than `fields_max` elements are interrupted.
    pub fn step(&mut self, keyspace: &mut Keyspace, budget: Duration, fields_max: usize) -> bool {
        let start = Instant::now();
        while self.db < keyspace.count() {
            let looked = self.looked();
            // Empty buckets take time, too.
            for _ in 0..LOOKS {
                if self.looked() - looked >= LOOKS || !self.go_on(keyspace, fields_max) {
                    break;
                }
            }
            if start.elapsed() >= budget {
                return self.db >= keyspace.count();
            }
        }
        true
    }

    fn looked(&self) -> u64 {
        self.mover.hits + self.mover.misses
    }

    /// A little; false at the end of a database.
    fn go_on(&mut self, keyspace: &mut Keyspace, fields_max: usize) -> bool {
        if let Some(later) = self.later.pop_front() {
            self.go_on_with(later, keyspace);
            return true;
        }
        if std::mem::take(&mut self.through) {
            self.db += 1;
            return false;
        }
        let boxes = !keyspace.in_snapshot();
        let table = keyspace.db_mut(DbIndex::new(self.db)).table_mut();
        let (mover, later) = (&mut self.mover, &mut self.later);
        let (key_hits, key_misses) = (&mut self.key_hits, &mut self.key_misses);
        self.cursor = table.relocate(self.cursor, mover, |entry, mover| {
            let before = mover.hits;
            let (entry, place) = whole(entry, boxes, fields_max, mover);
            let hits = mover.hits - before;
            if let Some(place) = place {
                let key = entry.view().key().into();
                later.push_back(Later { key, place, hits });
            } else if hits > 0 {
                *key_hits += 1;
            } else {
                *key_misses += 1;
            }
            entry
        });
        self.through = self.cursor == 0;
        true
    }

    fn go_on_with(&mut self, mut later: Later, keyspace: &mut Keyspace) {
        let index = DbIndex::new(self.db);
        let hash = keyspace.hash(&later.key);
        let frozen = keyspace.in_snapshot();
        let table = keyspace.db_mut(index).table_mut();
        let mover = &mut self.mover;
        let before = mover.hits;
        let found = table.find(hash, &later.key).filter(|_| !frozen);
        let place = found.and_then(|loc| {
            table.with_entry(loc, |entry| {
                let object = entry.boxed_mut()?;
                object.relocate(later.place, LOOKS as usize, mover)
            })
        });
        later.hits += self.mover.hits - before;
        match place {
            Some(place) => self.later.push_front(Later { place, ..later }),
            None if later.hits > 0 => self.key_hits += 1,
            None => self.key_misses += 1,
        }
    }
}

/// Moves an entry with its value; one that is too big is only begun, and the
/// place to go on at is given.
fn whole(
    mut entry: Entry,
    boxes: bool,
    fields_max: usize,
    mover: &mut Mover,
) -> (Entry, Option<RelocatePlace>) {
    let mut place = None;
    if boxes && matches!(entry.view().value(), ValueRef::Boxed(_)) {
        entry.relocate_box(mover);
        if let Some(object) = entry.boxed_mut() {
            place = Some(RelocatePlace::Start);
            if object.relocate_effort() <= fields_max {
                while let Some(from) = place {
                    place = object.relocate(from, fields_max, mover);
                }
            }
        }
    }
    (entry.relocated(mover), place)
}

#[cfg(test)]
mod tests {
    use super::super::entry::NewValue;
    use super::super::snapshot::{SnapshotOptions, UsageKept};
    use super::super::{Ttl, event};
    use super::*;
    use crate::types::{Hash, HashLimits, Object};

    fn filled() -> Keyspace {
        let mut keyspace = Keyspace::new(2);
        let limits = HashLimits {
            entries: 8,
            value_bytes: 64,
        };
        for n in 0..20_000 {
            let mut db = keyspace.select(keyspace.index(n % 2).unwrap());
            let (key, text) = (format!("key:{n}"), format!("{n:0300}"));
            let value = match n % 3 {
                0 => NewValue::Inline(text.as_bytes()),
                1 => NewValue::Boxed(Box::new(Object::String(text.as_bytes().into()))),
                _ => NewValue::Int(n),
            };
            db.set(key.as_bytes(), value, Ttl::Clear, event::SET);
            let mut big = db.edit_or_create::<Hash>(b"big").unwrap();
            big.set(key.as_bytes(), b"value", limits);
        }
        for n in (0..20_000).filter(|n| n % 7 > 1) {
            let mut db = keyspace.select(keyspace.index(n % 2).unwrap());
            db.remove(format!("key:{n}").as_bytes(), event::DEL);
        }
        keyspace
    }

    fn check(keyspace: &mut Keyspace) {
        for (_, db) in keyspace.dbs() {
            db.table().check_invariants();
        }
        for n in (0..20_000).filter(|n| n % 7 <= 1) {
            let mut db = keyspace.select(keyspace.index(n % 2).unwrap());
            let entry = db.peek(format!("key:{n}").as_bytes()).unwrap();
            match entry.value() {
                ValueRef::Int(number) => assert_eq!(number, n),
                ValueRef::Inline(text) => assert_eq!(text, format!("{n:0300}").as_bytes()),
                ValueRef::Boxed(Object::String(text)) => {
                    assert_eq!(text.as_slice(), format!("{n:0300}").as_bytes());
                }
                _ => panic!("another value"),
            }
        }
    }

    #[test]
    fn every_key_is_gone_through_and_stays_what_it_was() {
        let mut keyspace = filled();
        let (mut round, mut steps) = (Round::default(), 1);
        while !round.step(&mut keyspace, Duration::ZERO, 100) {
            steps += 1;
        }
        let keys: usize = keyspace.dbs().map(|(_, db)| db.table().len()).sum();
        assert_eq!(round.key_hits + round.key_misses, keys as u64);
        assert!(round.key_hits > 1000 && round.mover.hits > 2000 && steps > 100);
        check(&mut keyspace);
    }

    #[test]
    fn a_snapshot_beside_it_is_whole() {
        let mut keyspace = filled();
        keyspace.begin_snapshot(SnapshotOptions {
            compress: false,
            usage: UsageKept::None,
            key_by_key: false,
        });
        let mut round = Round::default();
        let mut keys = 0;
        while keyspace.in_snapshot() {
            if round.step(&mut keyspace, Duration::ZERO, 100) {
                round = Round::default();
            }
            keys = keyspace.snapshot_step(Duration::ZERO).keys;
        }
        let expected: usize = keyspace.dbs().map(|(_, db)| db.table().len()).sum();
        assert_eq!(keys, expected as u64);
        check(&mut keyspace);
    }
}
