//! Glob patterns, as KEYS and CONFIG GET of the real server match them.

use crate::oracle::{Oracle, Reply, installed};
use crate::ours::{get, without_ours};
use redstart::util::glob;
use std::collections::BTreeSet;

/// The same words in every run.
struct Words(u64);

impl Words {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % limit
    }

    fn word(&mut self, letters: &[u8], longest: usize) -> Vec<u8> {
        let length = 1 + self.below(longest);
        (0..length)
            .map(|_| letters[self.below(letters.len())])
            .collect()
    }
}

#[test]
fn keys_match_as_in_redis() {
    if !installed() {
        return;
    }
    let mut oracle = Oracle::start(&[], &["--save", ""]);
    let mut words = Words(7);
    let texts: BTreeSet<Vec<u8>> = (0..400)
        .map(|_| words.word(b"aabbcAB-]^\\*\x80\xff", 6))
        .collect();
    for text in &texts {
        assert_eq!(
            oracle.call(&[b"SET", text, b"1"]),
            Reply::Text(b"OK".into())
        );
    }
    let mut found = 0;
    for _ in 0..3000 {
        let pattern = words.word(b"**?aabbcAB[[]]^-\\\x80\xff", 9);
        let Reply::Array(theirs) = oracle.call(&[b"KEYS", &pattern]) else {
            panic!("KEYS failed");
        };
        let theirs: BTreeSet<Vec<u8>> = theirs
            .into_iter()
            .map(|key| match key {
                Reply::Text(key) => key,
                other => panic!("no key: {other:?}"),
            })
            .collect();
        let ours = texts.iter().filter(|text| glob::matches(&pattern, text));
        let ours: BTreeSet<Vec<u8>> = ours.cloned().collect();
        assert_eq!(ours, theirs, "{}", pattern.escape_ascii());
        found += ours.len();
    }
    assert!(found > 3000, "{found}");
}

#[test]
fn names_match_in_any_case_as_in_redis() {
    if !installed() {
        return;
    }
    let mut oracle = Oracle::start(&[], &["--save", ""]);
    let ours = oracle.our_config();
    let mut words = Words(11);
    for _ in 0..1000 {
        let pattern = [&b"*"[..], &words.word(b"*?aElRSm[[]^-\\-", 7), b"*"].concat();
        let pattern = String::from_utf8(pattern).unwrap();
        let found = without_ours(get(&ours, &[&pattern]));
        assert_eq!(found, oracle.config_get(&[&pattern]), "{pattern}");
    }
}
