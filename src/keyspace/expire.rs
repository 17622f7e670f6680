//! Active expiry: an adaptive cycle that deletes keys whose time has come,
//! within a share of the processor, more eagerly the more it finds.

use std::time::{Duration, Instant};

use super::{DbIndex, Keyspace};

/// Lines of the table that a round may look at for each key that it wants.
const LINES_PER_KEY: usize = 320;

/// How eager a cycle is.
#[derive(Clone, Copy, Debug)]
pub struct ExpireEffort {
    /// `active-expire-effort` - 1: 0 to 9.
    level: u32,
}

/// What a cycle leaves behind for the next.
#[derive(Default, Debug)]
pub struct ExpireCycle {
    next_db: usize,
    timed_out: bool,
    last_fast: Option<Instant>,
}

impl ExpireEffort {
    /// From `active-expire-effort` (1 to 10).
    pub fn new(effort: u32) -> ExpireEffort {
        ExpireEffort {
            level: effort.clamp(1, 10) - 1,
        }
    }

    /// Keys looked at before deciding whether to go on.
    fn keys_per_loop(self) -> usize {
        20 + 5 * self.level as usize
    }

    /// Time of a slow cycle, from its share of a cron period.
    fn slow_budget(self, hz: u32) -> Duration {
        Duration::from_micros(
            u64::from(25 + 2 * self.level) * 1_000_000 / u64::from(hz.max(1)) / 100,
        )
    }

    /// Time of a fast cycle.
    fn fast_budget(self) -> Duration {
        Duration::from_micros(u64::from(1000 + 250 * self.level))
    }

    /// Expired share among the sampled keys with which one can live, percent.
    fn acceptable_percent(self) -> u64 {
        u64::from(10 - self.level)
    }
}

impl ExpireCycle {
    /// The cycle run by cron, `hz` times a second.
    pub fn slow(&mut self, keyspace: &mut Keyspace, effort: ExpireEffort, hz: u32) {
        self.run(keyspace, effort, effort.slow_budget(hz));
    }

    /// A short one between two turns of the loop, when there is reason to.
    pub fn fast(&mut self, keyspace: &mut Keyspace, effort: ExpireEffort) {
        let stale = keyspace.stats.expired_stale_percent >= effort.acceptable_percent() as f64;
        let rested = self
            .last_fast
            .is_none_or(|last| last.elapsed() >= effort.fast_budget() * 2);
        if (self.timed_out || stale) && rested {
            self.last_fast = Some(Instant::now());
            self.run(keyspace, effort, effort.fast_budget());
        }
    }

    fn run(&mut self, keyspace: &mut Keyspace, effort: ExpireEffort, budget: Duration) {
        if keyspace.keeps_expired() {
            return;
        }
        let start = Instant::now();
        let (mut sampled, mut expired) = (0, 0);
        // After a cycle that ran out of time, all databases get their turn.
        let dbs = if std::mem::take(&mut self.timed_out) {
            usize::MAX
        } else {
            16
        };
        for _ in 0..keyspace.count().min(dbs) {
            let db = DbIndex::new(self.next_db % keyspace.count());
            self.next_db = (self.next_db + 1) % keyspace.count();
            loop {
                let round = sample(keyspace, db, effort.keys_per_loop());
                sampled += round.sampled;
                expired += round.expired;
                if start.elapsed() > budget {
                    self.timed_out = true;
                    keyspace.stats.expire_time_cap_reached += 1;
                    break;
                }
                let stale = round.expired * 100 > effort.acceptable_percent() * round.sampled;
                if round.sampled == 0 || !stale {
                    break;
                }
            }
            if self.timed_out {
                break;
            }
        }
        let stats = &mut keyspace.stats;
        stats.expire_cycle_us += start.elapsed().as_micros() as u64;
        let percent = if sampled > 0 {
            expired as f64 * 100.0 / sampled as f64
        } else {
            0.0
        };
        stats.expired_stale_percent = stats.expired_stale_percent * 0.95 + percent * 0.05;
    }
}

struct Round {
    sampled: u64,
    expired: u64,
}

/// Looks at the next `keys` keys with an expiry and deletes the expired.
fn sample(keyspace: &mut Keyspace, index: DbIndex, keys: usize) -> Round {
    let now_ms = keyspace.now_ms;
    let db = &mut keyspace.dbs[index.get()];
    let (mut due, mut sampled, mut ttl_sum, mut alive) = (Vec::new(), 0u64, 0i64, 0i64);
    if db.table().expires() == 0 {
        return Round {
            sampled: 0,
            expired: 0,
        };
    }
    let cursor = db.expire_cursor;
    // Where few keys expire among many, a round may pass over a lot of lines
    // (about 0.1 ms); entries without an expiry are not touched.
    let next = db
        .table()
        .scan_expiring(cursor, keys * LINES_PER_KEY, |entry| {
            if let Some(at_ms) = entry.expire() {
                sampled += 1;
                if now_ms > at_ms {
                    due.push(entry.key().to_vec());
                } else {
                    ttl_sum = ttl_sum.saturating_add(at_ms - now_ms);
                    alive += 1;
                }
            }
            sampled < keys as u64
        });
    db.expire_cursor = next;
    if let Some(average) = ttl_sum.checked_div(alive) {
        db.avg_ttl_ms = if db.avg_ttl_ms == 0 {
            average
        } else {
            db.avg_ttl_ms / 50 * 49 + average / 50
        };
    }
    let expired = due.len() as u64;
    for key in due {
        keyspace.select(index).expire_if_due(&key);
    }
    Round { sampled, expired }
}

#[cfg(test)]
mod tests {
    use super::super::entry::NewValue;
    use super::super::{Ttl, event};
    use super::*;

    #[test]
    fn deletes_what_is_due_and_leaves_the_rest() {
        let mut keyspace = Keyspace::new(2);
        keyspace.now_ms = 1000;
        let db = keyspace.index(1).unwrap();
        for i in 0..5000 {
            let ttl = match i % 3 {
                0 => Ttl::Clear,
                1 => Ttl::At(2000),
                _ => Ttl::At(9000),
            };
            let key = format!("key:{i}");
            keyspace
                .select(db)
                .set(key.as_bytes(), NewValue::Int(i), ttl, event::SET);
        }
        let mut cycle = ExpireCycle::default();
        cycle.slow(&mut keyspace, ExpireEffort::new(1), 10);
        assert_eq!(keyspace.stats.expired, 0);
        keyspace.now_ms = 5000;
        for _ in 0..200 {
            cycle.slow(&mut keyspace, ExpireEffort::new(10), 10);
        }
        assert_eq!(keyspace.stats.expired, 1667);
        assert_eq!(keyspace.db(db).table().len(), 5000 - 1667);
        assert_eq!(keyspace.db(db).table().expires(), 1666);
        assert!(keyspace.db(db).avg_ttl_ms > 0);
    }

    #[test]
    fn the_stale_share_is_forgotten_when_nothing_expires_any_more() {
        let mut keyspace = Keyspace::new(16);
        let db = keyspace.index(0).unwrap();
        for i in 0..1000 {
            let key = format!("key:{i}");
            keyspace
                .select(db)
                .set(key.as_bytes(), NewValue::Int(i), Ttl::At(1), event::SET);
        }
        keyspace.now_ms = 5000;
        let mut cycle = ExpireCycle::default();
        while keyspace.db(db).table().expires() > 0 {
            cycle.slow(&mut keyspace, ExpireEffort::new(1), 10);
        }
        assert!(keyspace.stats.expired_stale_percent > 1.0);
        for _ in 0..100 {
            cycle.slow(&mut keyspace, ExpireEffort::new(1), 10);
        }
        assert!(keyspace.stats.expired_stale_percent < 1.0);
    }

    #[test]
    fn finds_the_few_that_expire_among_many() {
        let mut keyspace = Keyspace::new(1);
        keyspace.now_ms = 1000;
        let db = keyspace.index(0).unwrap();
        for i in 0..200_000 {
            let ttl = if i % 10_000 == 0 {
                Ttl::At(2000)
            } else {
                Ttl::Clear
            };
            let key = format!("key:{i}");
            keyspace
                .select(db)
                .set(key.as_bytes(), NewValue::Int(i), ttl, event::SET);
        }
        keyspace.now_ms = 5000;
        let mut cycle = ExpireCycle::default();
        for _ in 0..20 {
            cycle.slow(&mut keyspace, ExpireEffort::new(1), 10);
        }
        assert_eq!(keyspace.db(db).table().expires(), 0);
    }
}
