//! Calls that belong together: transactions, what chance draws, keys that
//! expire, limits that change.

use rand::Rng;
use rand::seq::IndexedRandom;

use redstart::command::table::Group;

use super::generate::{Call, Generator, Judge, before};
use super::pools;

/// Commands that scenes call; they need others at their side.
pub const COMMANDS: [&str; 4] = ["config|set", "discard", "exec", "multi"];

/// Of a thousand calls outside of transactions, so many begin one.
const MULTI_PERMILLE: u32 = 15;
/// Of a thousand calls in transactions, so many end it.
const EXEC_PERMILLE: u32 = 130;
const DISCARD_PERMILLE: u32 = 10;
/// Of a thousand calls, so many end what has not begun, or begin it twice.
const MISPLACED_PERMILLE: u32 = 4;
/// Of a thousand calls outside of transactions, so many draw by chance.
const DRAW_PERMILLE: u32 = 20;
/// Of a thousand calls outside of transactions, so many change a limit.
const LIMIT_PERMILLE: u32 = 3;
/// After one of so many batches a key expires.
const SHORT_LIVED_EVERY: u32 = 15;

/// Limits of encodings that change while the test runs.
const LIMITS: [(&str, &[&str]); 8] = [
    ("hash-max-listpack-entries", &["5", "5", "0", "1", "128"]),
    ("hash-max-listpack-value", &["24", "24", "0", "64"]),
    ("hash-max-ziplist-entries", &["5", "20"]),
    ("zset-max-listpack-entries", &["5", "5", "0", "1", "128"]),
    ("zset-max-listpack-value", &["24", "24", "0", "64"]),
    ("set-max-intset-entries", &["5", "5", "0", "1", "512"]),
    ("list-max-listpack-size", &["4", "1", "-1", "-2", "-5", "0"]),
    ("list-compress-depth", &["0", "1", "2", "3"]),
];

/// What is known of a connection before its replies come.
#[derive(Default)]
pub struct Mood {
    /// It is in a transaction.
    in_multi: bool,
}

impl Generator {
    /// The next calls of a connection, about `count`.
    pub fn batch(&mut self, mood: &mut Mood, count: u64) -> Vec<Call> {
        let mut calls = Vec::new();
        while (calls.len() as u64) < count {
            let ticket = self.rng.random_range(0..1000);
            match self.special(mood, ticket) {
                Some(mut special) => calls.append(&mut special),
                None => {
                    let call = self.call();
                    if call.name == "reset" && call.argv.len() == 1 {
                        mood.in_multi = false;
                    }
                    calls.extend(before(&call));
                    calls.push(call);
                }
            }
        }
        calls
    }

    /// What the ticket gives right to, if it does.
    fn special(&mut self, mood: &mut Mood, ticket: u32) -> Option<Vec<Call>> {
        let mut limit = 0;
        let mut is_next = |permille: u32| {
            limit += permille;
            ticket < limit
        };
        if is_next(MISPLACED_PERMILLE) {
            let calls: [(&str, &[&[u8]]); 4] = match mood.in_multi {
                true => [
                    ("multi", &[b"MULTI"]),
                    ("multi", &[b"multi", b"x"]),
                    ("discard", &[b"DISCARD", b"x"]),
                    ("watch", &[b"WATCH", b"a"]),
                ],
                false => [
                    ("exec", &[b"EXEC"]),
                    ("exec", &[b"EXEC", b"x"]),
                    ("discard", &[b"DISCARD"]),
                    ("multi", &[b"MULTI", b"x"]),
                ],
            };
            let (name, words) = calls.choose(&mut self.rng).expect("four of them");
            return Some(vec![Call::new(name, words)]);
        }
        if mood.in_multi {
            let call = if is_next(EXEC_PERMILLE - 5) {
                Call::new("exec", &[b"EXEC"])
            } else if is_next(5) {
                // Refused, it ends the transaction too.
                Call::new("exec", &[b"EXEC", b"x"])
            } else if is_next(DISCARD_PERMILLE) {
                Call::new("discard", &[b"DISCARD"])
            } else {
                return None;
            };
            mood.in_multi = false;
            return Some(vec![call]);
        }
        if is_next(MULTI_PERMILLE) {
            mood.in_multi = true;
            Some(vec![Call::new("multi", &[b"MULTI"])])
        } else if is_next(DRAW_PERMILLE) {
            Some(self.draw())
        } else if is_next(LIMIT_PERMILLE) {
            let (name, values) = LIMITS.choose(&mut self.rng).expect("not empty");
            let value = pools::one(&mut self.rng, values);
            let words: [&[u8]; 4] = [b"CONFIG", b"SET", name.as_bytes(), value.as_bytes()];
            Some(vec![Call::new("config|set", &words)])
        } else {
            None
        }
    }

    /// Elements drawn by chance, between two looks at all of them.
    fn draw(&mut self) -> Vec<Call> {
        let choice = self.rng.random_range(0..5);
        let group = match choice {
            0 => Group::Hash,
            1 => Group::SortedSet,
            _ => Group::Set,
        };
        let key = pools::key_for(&mut self.rng, group);
        let count = pools::sample_count(&mut self.rng);
        let with_all = self.rng.random();
        let drawing = |name: &str, words: &[&[u8]]| Call {
            judge: Judge::Drawn,
            ..Call::on_key(name, words)
        };
        let members = || Call::on_key("smembers", &[b"SMEMBERS", &key]);
        match choice {
            0 => vec![
                Call::on_key("hgetall", &[b"HGETALL", &key]),
                match with_all {
                    true => drawing("hrandfield", &[b"HRANDFIELD", &key, &count, b"WITHVALUES"]),
                    false => drawing("hrandfield", &[b"HRANDFIELD", &key, &count]),
                },
            ],
            1 => vec![
                Call::on_key("zrange", &[b"ZRANGE", &key, b"0", b"-1", b"WITHSCORES"]),
                match with_all {
                    true => drawing(
                        "zrandmember",
                        &[b"ZRANDMEMBER", &key, &count, b"WITHSCORES"],
                    ),
                    false => drawing("zrandmember", &[b"ZRANDMEMBER", &key, &count]),
                },
            ],
            2 => vec![
                members(),
                drawing("srandmember", &[b"SRANDMEMBER", &key, &count]),
            ],
            // What is left differs from server to server, so it goes.
            _ => vec![
                members(),
                match with_all {
                    true => drawing("spop", &[b"SPOP", &key]),
                    false => drawing("spop", &[b"SPOP", &key, &count]),
                },
                Call {
                    judge: Judge::Left,
                    ..members()
                },
                Call::on_key("del", &[b"DEL", &key]),
            ],
        }
    }

    /// Rarely: a call that lets a key expire within milliseconds, and one
    /// that looks at it when it has.
    pub fn short_lived(&mut self, mood: &Mood) -> Option<(Call, Call)> {
        if mood.in_multi || !self.rng.random_ratio(1, SHORT_LIVED_EVERY) {
            return None;
        }
        let key = pools::key_for(&mut self.rng, Group::Generic);
        Some((
            Call::on_key("pexpire", &[b"PEXPIRE", &key, b"2"]),
            Call::on_key("exists", &[b"EXISTS", &key]),
        ))
    }
}
