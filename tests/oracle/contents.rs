//! The contents of both servers side by side.

use super::pair::Pair;
use super::reply::Value;

/// How far apart the same expiry may be, milliseconds: a relative one is added
/// to the time at which each server runs the command.
const EXPIRY_TOLERANCE_MS: u64 = 5_000;

/// Compares all databases: keys, types, encodings, values, expiries.
pub fn compare(pair: &mut Pair) {
    let mut keys = 0;
    for db in 0..16 {
        // Brought to where the connection is.
        let (ours, theirs) = pair.call(&[b"SWAPDB", b"0", db.to_string().as_bytes()]);
        assert_eq!(ours, theirs, "SWAPDB 0 {db}");
        keys += compare_database(pair, db);
    }
    println!("{keys} keys in the end");
}

fn compare_database(pair: &mut Pair, db: u32) -> usize {
    let (ours, theirs) = pair.call(&[b"KEYS", b"*"]);
    let (ours, theirs) = (names(&ours), names(&theirs));
    assert_eq!(ours, theirs, "keys of db {db}");
    for key in &ours {
        let shown = key.escape_ascii();
        let kind = same(pair, &[b"TYPE", key]);
        let Value::Line(kind) = kind else {
            panic!("TYPE {shown}: {kind:?}");
        };
        same(pair, &[b"OBJECT", b"ENCODING", key]);
        match kind.as_slice() {
            b"+string" => same(pair, &[b"GET", key]),
            b"+list" => same(pair, &[b"LRANGE", key, b"0", b"-1"]),
            b"+zset" => same(pair, &[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"]),
            b"+stream" => {
                same(pair, &[b"XINFO", b"GROUPS", key]);
                same(pair, &[b"XRANGE", key, b"-", b"+"])
            }
            b"+set" => same_in_any_order(pair, &[b"SMEMBERS", key], 1),
            b"+hash" => same_in_any_order(pair, &[b"HGETALL", key], 2),
            kind => panic!("{shown} is a {}", kind.escape_ascii()),
        };
        match kind.as_slice() {
            b"+set" => same_by_steps(pair, &[b"SSCAN", key], 1),
            b"+hash" => same_by_steps(pair, &[b"HSCAN", key], 2),
            b"+zset" => same_by_steps(pair, &[b"ZSCAN", key], 2),
            _ => {}
        }
        let (ours, theirs) = pair.call(&[b"PEXPIRETIME", key]);
        let (at_ms, other_ms) = (ours.integer(), theirs.integer());
        let close = at_ms.zip(other_ms).is_some_and(|(at_ms, other_ms)| {
            (at_ms < 0) == (other_ms < 0) && at_ms.abs_diff(other_ms) <= EXPIRY_TOLERANCE_MS
        });
        assert!(close, "expiry of {shown}: {ours:?} {theirs:?}");
    }
    same_by_steps(pair, &[b"SCAN"], 1);
    ours.len()
}

fn names(reply: &Value) -> Vec<Vec<u8>> {
    let items = reply.items().expect("a list of keys").iter();
    let mut names: Vec<Vec<u8>> = items
        .map(|name| name.bytes().expect("a name").to_vec())
        .collect();
    names.sort();
    names
}

/// Iterates over things of so many elements each, a few at a time, on each
/// server with its own cursors.
fn same_by_steps(pair: &mut Pair, words: &[&[u8]], size: usize) {
    let found = pair.on_each(|call| {
        let mut found: Vec<Vec<Value>> = Vec::new();
        let mut cursor = b"0".to_vec();
        loop {
            let rest: [&[u8]; 3] = [&cursor, b"COUNT", b"3"];
            let reply = call(&[words, &rest].concat());
            let Some([next, page]) = reply.items() else {
                panic!("{reply:?}");
            };
            let items = page.items().expect("a page");
            found.extend(items.chunks(size).map(<[Value]>::to_vec));
            cursor = next.bytes().expect("a cursor").to_vec();
            if cursor == b"0" {
                break;
            }
        }
        found.sort();
        found.dedup();
        found
    });
    let [ours, theirs] = found;
    assert_eq!(ours, theirs, "{}", words.concat().escape_ascii());
}

/// As [`same`], for a flat list of things of so many elements each.
fn same_in_any_order(pair: &mut Pair, words: &[&[u8]], size: usize) -> Value {
    let (ours, theirs) = pair.call(words);
    let sorted = |value: &Value| {
        let mut things: Vec<Vec<Value>> = value
            .items()
            .expect("a list")
            .chunks(size)
            .map(<[Value]>::to_vec)
            .collect();
        things.sort();
        things
    };
    assert_eq!(sorted(&ours), sorted(&theirs));
    ours
}

fn same(pair: &mut Pair, words: &[&[u8]]) -> Value {
    let (ours, theirs) = pair.call(words);
    let shown: Vec<String> = words
        .iter()
        .map(|word| word.escape_ascii().to_string())
        .collect();
    assert_eq!(ours, theirs, "{shown:?}");
    ours
}
