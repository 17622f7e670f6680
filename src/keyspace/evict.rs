//! Which key goes when memory is full:
//! <https://redis.io/docs/latest/develop/reference/eviction/>.

use rand::Rng;

use super::entry::EntryRef;
use super::{DbIndex, Keyspace};
use crate::config::MaxmemoryPolicy;
use crate::encoding::table::Loc;

/// Keys that are kept in mind between samples.
const POOL: usize = 16;

/// A key that was sampled.
struct Candidate {
    /// The greater, the better it is to let go.
    score: u64,
    db: DbIndex,
    hash: u64,
    key: Box<[u8]>,
}

/// Chooses keys to evict.
#[derive(Default)]
pub struct Evictor {
    /// By score, the best last.
    pool: Vec<Candidate>,
    next_db: usize,
    /// Bytes of messages about evictions.
    told: i64,
    /// Since when they are counted, clock nanoseconds.
    told_since_ns: u64,
}

/// How long messages about evictions are taken to be on their way.
const TELLING_NS: u64 = 20_000_000;
/// Most bytes of them that are not held against the keys.
const TELLING_BYTES_MAX: i64 = 1 << 20;
/// Less may be anything.
const TELLING_BYTES_MIN: i64 = 4096;

/// How a policy looks at keys.
#[derive(Clone, Copy)]
struct Rule {
    policy: MaxmemoryPolicy,
    samples: usize,
}

impl Rule {
    fn takes(self, entry: EntryRef<'_>) -> bool {
        self.policy.takes_all_keys() || entry.expire().is_some()
    }

    fn score(self, keyspace: &Keyspace, entry: EntryRef<'_>) -> u64 {
        let (access, now_ms) = (&keyspace.access, keyspace.now_ms);
        if self.policy.is_lru() {
            u64::from(access.idle_seconds(entry.clock(), now_ms))
        } else if self.policy.is_lfu() {
            u64::from(255 - access.frequency(entry.clock(), now_ms).min(255))
        } else {
            let at_ms = entry.expire().unwrap_or(i64::MAX);
            (i64::MAX - at_ms.max(0)).unsigned_abs()
        }
    }

    /// Where a candidate is and the score that it has by now; none when it may
    /// not go any more.
    fn look_again(self, keyspace: &Keyspace, candidate: &Candidate) -> Option<(Loc, u64)> {
        let table = keyspace.db(candidate.db).table();
        let loc = table.find(candidate.hash, &candidate.key)?;
        let entry = table.entry(loc);
        self.takes(entry)
            .then(|| (loc, self.score(keyspace, entry)))
    }
}

impl Evictor {
    /// Deletes the key that a policy chooses, `samples` of each database being
    /// compared, in the background if so wanted. Gives the bytes that this has
    /// freed at once; none when there is no key that may go.
    pub fn evict_one(
        &mut self,
        keyspace: &mut Keyspace,
        policy: MaxmemoryPolicy,
        samples: usize,
        rng: &mut impl Rng,
        in_background: bool,
    ) -> Option<i64> {
        let rule = Rule { policy, samples };
        let chosen = if policy.is_random() {
            self.random(keyspace, rule, rng)
        } else {
            self.best(keyspace, rule, rng)
        };
        let (db, loc) = chosen?;
        Some(keyspace.select(db).evict(loc, in_background))
    }

    /// Notes what it took to tell others of an eviction, bytes; what was needed
    /// only for a while has gone again, and is in the sum, too.
    pub fn note_told(&mut self, bytes: i64, now_ns: u64) {
        if now_ns.saturating_sub(self.told_since_ns) >= TELLING_NS {
            (self.told, self.told_since_ns) = (0, now_ns);
        }
        self.told = (self.told + bytes).min(TELLING_BYTES_MAX);
    }

    /// Bytes of messages about evictions that are on their way: evicting more
    /// keys for them would only lead to more messages.
    pub fn told_bytes(&self, now_ns: u64) -> u64 {
        let on_their_way = now_ns.saturating_sub(self.told_since_ns) < TELLING_NS;
        if on_their_way && self.told >= TELLING_BYTES_MIN {
            self.told.unsigned_abs()
        } else {
            0
        }
    }

    /// Forgets the candidates, which another policy has chosen.
    pub fn forget(&mut self) {
        self.pool.clear();
    }

    fn best(
        &mut self,
        keyspace: &Keyspace,
        rule: Rule,
        rng: &mut impl Rng,
    ) -> Option<(DbIndex, Loc)> {
        loop {
            if !self.fill(keyspace, rule, rng) {
                return None;
            }
            while let Some(candidate) = self.pool.pop() {
                match rule.look_again(keyspace, &candidate) {
                    // It has gone, or lost its expiry, since.
                    None => {}
                    Some((loc, score)) if score >= candidate.score => {
                        return Some((candidate.db, loc));
                    }
                    // It was used since: others may be better now.
                    Some((_, score)) => self.keep(Candidate { score, ..candidate }),
                }
            }
        }
    }

    /// Samples all databases; false when there is no key that may go.
    fn fill(&mut self, keyspace: &Keyspace, rule: Rule, rng: &mut impl Rng) -> bool {
        let mut any = false;
        for (index, db) in keyspace.dbs() {
            let table = db.table();
            let all = rule.policy.takes_all_keys();
            let there = if all { table.len() } else { table.expires() };
            if there == 0 {
                continue;
            }
            any = true;
            if all || table.expires() * 2 > table.len() {
                table.sample(rng, rule.samples, |entry| {
                    if rule.takes(entry) {
                        self.offer(keyspace, rule, index, entry);
                    }
                    true
                });
            } else {
                for _ in 0..rule.samples.min(there) {
                    if let Some(entry) = table.random_expiring(rng) {
                        self.offer(keyspace, rule, index, entry);
                    }
                }
            }
        }
        any
    }

    /// Keeps a key in mind if it is better than one of those that are.
    fn offer(&mut self, keyspace: &Keyspace, rule: Rule, db: DbIndex, entry: EntryRef<'_>) {
        let score = rule.score(keyspace, entry);
        let at = self
            .pool
            .partition_point(|candidate| candidate.score < score);
        if at == 0 && self.pool.len() == POOL {
            return;
        }
        let key = entry.key();
        let hash = keyspace.hash(key);
        let same = |other: &Candidate| other.hash == hash && other.db == db && *other.key == *key;
        if self.pool.iter().any(same) {
            return;
        }
        let key = key.into();
        self.pool.insert(
            at,
            Candidate {
                score,
                db,
                hash,
                key,
            },
        );
        if self.pool.len() > POOL {
            self.pool.remove(0);
        }
    }

    /// Puts a candidate back whose score has changed.
    fn keep(&mut self, candidate: Candidate) {
        let score = candidate.score;
        let at = self.pool.partition_point(|other| other.score <= score);
        self.pool.insert(at, candidate);
    }

    fn random(
        &mut self,
        keyspace: &Keyspace,
        rule: Rule,
        rng: &mut impl Rng,
    ) -> Option<(DbIndex, Loc)> {
        for _ in 0..keyspace.count() {
            self.next_db = (self.next_db + 1) % keyspace.count();
            let index = DbIndex::new(self.next_db);
            let table = keyspace.db(index).table();
            let loc = if rule.policy.takes_all_keys() {
                table.random_loc(rng)
            } else {
                table.random_expiring_loc(rng)
            };
            if let Some(loc) = loc {
                return Some((index, loc));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::super::entry::NewValue;
    use super::super::{Ttl, event};
    use super::*;

    fn filled(ttl: impl Fn(i64) -> Ttl) -> Keyspace {
        let mut keyspace = Keyspace::new(2);
        for i in 0..2000 {
            // One second later each: the first are the longest idle.
            keyspace.now_ms = i * 1000;
            let db = keyspace.index(i % 2).unwrap();
            let key = format!("key:{i}");
            let value = NewValue::Int(i);
            keyspace
                .select(db)
                .set(key.as_bytes(), value, ttl(i), event::SET);
        }
        keyspace
    }

    fn evicted(keyspace: &mut Keyspace, policy: MaxmemoryPolicy, count: usize) -> Vec<i64> {
        let (mut evictor, mut rng) = (Evictor::default(), SmallRng::seed_from_u64(1));
        for _ in 0..count {
            let freed = evictor.evict_one(keyspace, policy, 10, &mut rng, false);
            assert!(freed.is_some());
        }
        let gone = |i: &i64| {
            let db = keyspace.index(i % 2).unwrap();
            let key = format!("key:{i}");
            !keyspace.select(db).contains(key.as_bytes())
        };
        (0..2000).filter(gone).collect()
    }

    #[test]
    fn those_go_first_that_were_not_used_for_long() {
        let mut keyspace = filled(|_| Ttl::Clear);
        let gone = evicted(&mut keyspace, MaxmemoryPolicy::AllkeysLru, 500);
        assert_eq!(gone.len(), 500);
        let old = gone.iter().filter(|i| **i < 800).count();
        assert!(old > 450, "{old}");
    }

    #[test]
    fn those_go_first_that_expire_soonest() {
        let mut keyspace = filled(|i| match i % 4 {
            0 => Ttl::Clear,
            _ => Ttl::At(10_000_000 + (2000 - i) * 1000),
        });
        let gone = evicted(&mut keyspace, MaxmemoryPolicy::VolatileTtl, 300);
        assert!(gone.iter().all(|i| i % 4 != 0));
        let soon = gone.iter().filter(|i| **i > 1200).count();
        assert!(soon > 270, "{soon}");
    }

    #[test]
    fn keys_that_do_not_expire_stay_under_a_volatile_policy() {
        for policy in [
            MaxmemoryPolicy::VolatileLru,
            MaxmemoryPolicy::VolatileLfu,
            MaxmemoryPolicy::VolatileRandom,
            MaxmemoryPolicy::VolatileTtl,
        ] {
            let mut keyspace = filled(|i| match i % 100 {
                0 => Ttl::At(100_000_000),
                _ => Ttl::Clear,
            });
            let gone = evicted(&mut keyspace, policy, 20);
            assert!(gone.iter().all(|i| i % 100 == 0), "{policy:?}");
            let (mut evictor, mut rng) = (Evictor::default(), SmallRng::seed_from_u64(1));
            let freed = evictor.evict_one(&mut keyspace, policy, 5, &mut rng, true);
            assert_eq!(freed, None);
        }
    }

    #[test]
    fn everything_may_go() {
        for policy in [
            MaxmemoryPolicy::AllkeysLru,
            MaxmemoryPolicy::AllkeysLfu,
            MaxmemoryPolicy::AllkeysRandom,
        ] {
            let mut keyspace = filled(|_| Ttl::Clear);
            assert_eq!(evicted(&mut keyspace, policy, 2000).len(), 2000);
        }
    }
}
