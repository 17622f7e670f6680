//! The 24-bit access clock of entries: seconds of last use (LRU), or minutes
//! and a logarithmic counter (LFU):
//! <https://redis.io/docs/latest/develop/reference/eviction/>.

use rand::Rng;
use rand::rngs::SmallRng;

use crate::config::Config;

/// Counter of a new key under LFU, so that it survives its first moments.
const LFU_INIT: u32 = 5;
const CLOCK_MASK: u32 = 0x00ff_ffff;

/// How the clock runs.
#[derive(Clone, Debug)]
pub struct AccessPolicy {
    /// LFU instead of LRU (`maxmemory-policy *-lfu`).
    pub lfu: bool,
    /// `lfu-log-factor`.
    pub log_factor: u32,
    /// `lfu-decay-time`, minutes.
    pub decay_minutes: u32,
    rng: SmallRng,
}

impl Default for AccessPolicy {
    fn default() -> AccessPolicy {
        let rng = rand::SeedableRng::from_rng(&mut rand::rng());
        AccessPolicy {
            lfu: false,
            log_factor: 10,
            decay_minutes: 1,
            rng,
        }
    }
}

fn minutes(now_ms: i64) -> u32 {
    (now_ms / 60_000) as u32 & 0xffff
}

impl AccessPolicy {
    /// Follows `maxmemory-policy` and the `lfu-*` directives. Clocks written
    /// under another policy stay as they are, as in Redis.
    pub fn follow(&mut self, config: &Config) {
        self.lfu = config.maxmemory_policy.is_lfu();
        self.log_factor = config.lfu_log_factor;
        self.decay_minutes = config.lfu_decay_min;
    }

    /// The clock of a key made now.
    #[inline]
    pub fn initial(&self, now_ms: i64) -> u32 {
        if self.lfu {
            return minutes(now_ms) << 8 | LFU_INIT;
        }
        (now_ms / 1000) as u32 & CLOCK_MASK
    }

    /// The clock after a use now.
    #[inline]
    pub fn touched(&mut self, clock: u32, now_ms: i64) -> u32 {
        if self.lfu {
            self.touched_lfu(clock, now_ms)
        } else {
            (now_ms / 1000) as u32 & CLOCK_MASK
        }
    }

    fn touched_lfu(&mut self, clock: u32, now_ms: i64) -> u32 {
        let counter = self.frequency(clock, now_ms);
        let base = counter.saturating_sub(LFU_INIT);
        let odds = 1.0 / (f64::from(base) * f64::from(self.log_factor) + 1.0);
        let counter = counter + u32::from(counter < 255 && self.rng.random::<f64>() < odds);
        minutes(now_ms) << 8 | counter
    }

    /// The LFU counter of a clock, decayed to now.
    pub fn frequency(&self, clock: u32, now_ms: i64) -> u32 {
        let (since, counter) = (clock >> 8, clock & 0xff);
        let elapsed = minutes(now_ms).wrapping_sub(since) & 0xffff;
        let periods = elapsed.checked_div(self.decay_minutes).unwrap_or(0);
        counter.saturating_sub(periods)
    }

    /// The idle time of an LRU clock, seconds.
    pub fn idle_seconds(&self, clock: u32, now_ms: i64) -> u32 {
        ((now_ms / 1000) as u32).wrapping_sub(clock) & CLOCK_MASK
    }

    /// The clock of a key that was last used `seconds` ago.
    pub fn clock_of_idle(&self, seconds: u32, now_ms: i64) -> u32 {
        ((now_ms / 1000) as u32).wrapping_sub(seconds) & CLOCK_MASK
    }

    /// The clock of a key with this LFU counter.
    pub fn clock_of_frequency(&self, counter: u8, now_ms: i64) -> u32 {
        minutes(now_ms) << 8 | u32::from(counter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lru_counts_seconds_and_wraps() {
        let mut policy = AccessPolicy::default();
        let clock = policy.initial(5_000);
        assert_eq!(policy.idle_seconds(clock, 65_000), 60);
        assert_eq!(policy.touched(clock, 65_000), 65);
        let before_wrap = policy.initial(0x00ff_ffff * 1000);
        assert_eq!(policy.idle_seconds(before_wrap, 0x0100_0004 * 1000), 5);
    }

    #[test]
    fn follows_the_configuration_to_its_limits() {
        let config = Config {
            maxmemory_policy: crate::config::MaxmemoryPolicy::AllkeysLfu,
            lfu_log_factor: i32::MAX as u32,
            lfu_decay_min: 0,
            ..Config::default()
        };
        let mut policy = AccessPolicy::default();
        policy.follow(&config);
        let used = policy.touched(policy.clock_of_frequency(255, 0), 60_000);
        assert_eq!(policy.frequency(used, 600_000), 255);
        let used = policy.touched(policy.clock_of_frequency(200, 0), 0);
        assert_eq!(policy.frequency(used, 0), 200);
    }

    #[test]
    fn lfu_grows_slowly_and_decays() {
        let mut policy = AccessPolicy {
            lfu: true,
            ..AccessPolicy::default()
        };
        let mut clock = policy.initial(0);
        assert_eq!(policy.frequency(clock, 0), 5);
        for _ in 0..10_000 {
            clock = policy.touched(clock, 0);
        }
        let counter = policy.frequency(clock, 0);
        assert!((20..200).contains(&counter), "{counter}");
        assert_eq!(policy.frequency(clock, 3 * 60_000), counter - 3);
        policy.decay_minutes = 0;
        assert_eq!(policy.frequency(clock, 3 * 60_000), counter);
    }
}
