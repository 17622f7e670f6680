//! What can be compared, and how.

use super::generate::Call;
use super::reply::Value;

/// How the replies of a command are compared when they are not equal.
enum Rule {
    /// Positive integers may be this far apart: they depend on the time.
    Close(i64),
    /// The same but for integers that may be this far apart, within it.
    CloseWithin(i64),
    /// The same elements in any order.
    AnyOrder,
    /// The same pairs of elements in any order.
    PairsInAnyOrder,
    /// A whole iteration has the same elements; part of one is a matter of the
    /// table's own order.
    Scan,
    /// Something or nothing: what is chosen is left to chance.
    Chance,
    /// As many elements: which ones is left to chance, unless all are there.
    Sample,
    /// Where equal elements come is open in part.
    Sort,
    /// All but the number of the connection.
    Greeting,
}

/// Commands whose replies may differ in part.
const RULES: &[(&str, Rule)] = &[
    ("ttl", Rule::Close(5)),
    ("pttl", Rule::Close(5_000)),
    ("expiretime", Rule::Close(5)),
    ("pexpiretime", Rule::Close(5_000)),
    ("keys", Rule::AnyOrder),
    ("hello", Rule::Greeting),
    ("hgetall", Rule::PairsInAnyOrder),
    ("hkeys", Rule::AnyOrder),
    ("hrandfield", Rule::Sample),
    ("hscan", Rule::Scan),
    ("hvals", Rule::AnyOrder),
    ("scan", Rule::Scan),
    ("sdiff", Rule::AnyOrder),
    ("sinter", Rule::AnyOrder),
    ("smembers", Rule::AnyOrder),
    ("sort", Rule::Sort),
    ("sort_ro", Rule::Sort),
    // Only whole sets are taken out.
    ("spop", Rule::AnyOrder),
    ("srandmember", Rule::Sample),
    ("sscan", Rule::Scan),
    ("sunion", Rule::AnyOrder),
    ("zrandmember", Rule::Sample),
    ("zscan", Rule::Scan),
    ("randomkey", Rule::Chance),
    // How long ago entries were delivered, and consumers seen.
    ("xinfo|consumers", Rule::CloseWithin(100_000)),
    ("xinfo|stream", Rule::CloseWithin(100_000)),
    ("xpending", Rule::CloseWithin(100_000)),
    // Compressed by other means, members of tables in another order; tests of
    // DUMP restore the payloads on the other side.
    ("dump", Rule::Chance),
    // In Redis, equal small integers are one object, used or not.
    ("object|idletime", Rule::Close(3_600)),
    // Counts with chance.
    ("object|freq", Rule::Close(255)),
    // Redis shares small integers, but not those that COPY made; and what was
    // queued for EXEC has the value too.
    ("object|refcount", Rule::Close(i32::MAX as i64)),
];

/// Commands that take no part; a container stands for its subcommands too.
pub const EXCLUDED: &[(&str, &str)] = &[
    ("acl", "changes who may do what, for every connection"),
    ("bgrewriteaof", "works in the background; tests/aof"),
    ("bgsave", "works in the background; tests/snapshots.rs"),
    ("client|caching", "needs tracking"),
    ("client|id", "numbers connections"),
    ("client|info", "describes this connection"),
    ("client|kill", "ends connections"),
    ("client|list", "describes connections"),
    ("client|pause", "makes everybody wait"),
    ("client|reply", "takes replies away"),
    ("client|help", "our own words"),
    (
        "client|tracking",
        "one connection of its own is told of all keys",
    ),
    (
        "command",
        "tests/command_table.rs compares it, without order",
    ),
    ("config", "tests/config compares it"),
    ("debug", "stops, blocks and crashes servers"),
    ("eval", "tests/commands/script_oracle.rs compares scripts"),
    (
        "eval_ro",
        "tests/commands/script_oracle.rs compares scripts",
    ),
    (
        "evalsha",
        "tests/commands/script_oracle.rs compares scripts",
    ),
    (
        "evalsha_ro",
        "tests/commands/script_oracle.rs compares scripts",
    ),
    ("failover", "needs replication"),
    ("info", "figures of this server"),
    ("lastsave", "the time of the start"),
    ("latency", "measured times"),
    ("lolwut", "our own art"),
    ("memory", "sizes of our own structures"),
    ("migrate", "needs a third server"),
    ("module", "loads code"),
    ("monitor", "turns a connection into a stream"),
    ("object|help", "our own words"),
    ("pfselftest", "takes its time, and has no arguments"),
    ("psubscribe", "changes what a connection may do"),
    ("psync", "turns a connection into a stream"),
    ("pubsub|help", "our own words"),
    ("punsubscribe", "replies more than once"),
    ("quit", "ends the connection"),
    ("replconf", "internal to replication"),
    ("replicaof", "needs replication"),
    ("save", "writes files; tests/snapshots.rs"),
    ("script", "tests/commands/script_oracle.rs compares scripts"),
    ("shutdown", "ends the server"),
    ("slaveof", "needs replication"),
    ("slowlog", "measured times"),
    ("ssubscribe", "changes what a connection may do"),
    ("subscribe", "changes what a connection may do"),
    ("sunsubscribe", "replies more than once"),
    ("sync", "turns a connection into a stream"),
    ("time", "the time"),
    ("unsubscribe", "replies more than once"),
    ("wait", "needs replication"),
    ("xgroup|help", "our own words"),
    ("xinfo|help", "our own words"),
];

/// Whether a command takes no part.
pub fn is_excluded(full_name: &str) -> bool {
    let container = full_name.split('|').next();
    EXCLUDED
        .iter()
        .any(|(name, _)| *name == full_name || Some(*name) == container)
}

/// Whether two replies to a call are the same as far as they can be.
pub fn equal(call: &Call, ours: &Value, theirs: &Value) -> bool {
    if ours == theirs {
        return true;
    }
    let rule = RULES.iter().find(|(name, _)| *name == call.name);
    let Some((_, rule)) = rule else {
        return false;
    };
    let integers = ours.integer().zip(theirs.integer());
    match rule {
        Rule::Close(distance) => {
            integers.is_some_and(|(a, b)| a >= 0 && b >= 0 && a.abs_diff(b) <= *distance as u64)
        }
        Rule::CloseWithin(distance) => are_close_within(ours, theirs, *distance as u64),
        Rule::AnyOrder => sorted(ours, 1).is_some_and(|ours| Some(ours) == sorted(theirs, 1)),
        Rule::PairsInAnyOrder => {
            sorted(ours, 2).is_some_and(|ours| Some(ours) == sorted(theirs, 2))
        }
        Rule::Chance => ours.bytes().is_some() && theirs.bytes().is_some(),
        Rule::Sample => have_one_shape(ours, theirs),
        Rule::Sort => sorts_are_equal(call, ours, theirs),
        Rule::Scan => scans_are_equal(call, ours, theirs),
        Rule::Greeting => without_id(ours).is_some_and(|ours| Some(ours) == without_id(theirs)),
    }
}

/// Whether both servers drew some of the elements that they replied before:
/// as many, and none twice unless the count is negative.
pub fn drawn_well(call: &Call, before: [&Value; 2], drawn: [&Value; 2]) -> bool {
    let sample_rule = drawn[0] == drawn[1] || have_one_shape(drawn[0], drawn[1]);
    let count = call.argv.get(2);
    let may_repeat = count.is_some_and(|count| count.first() == Some(&b'-'));
    let before_has = if call.name == "hrandfield" || call.name == "zrandmember" {
        2
    } else {
        1
    };
    let drawn_has = if call.argv.len() > 3 { 2 } else { 1 };
    let is_well = |before: &Value, drawn: &Value| {
        if before.is_error() || drawn.is_error() {
            return drawn.is_error();
        }
        let (before, drawn) = (before.flat(), drawn.flat());
        let things: Vec<&[&Value]> = drawn.chunks(drawn_has).collect();
        let all_there = things.iter().all(|thing| {
            let mut all = before.chunks(before_has);
            thing[0].is_null() || all.any(|other| other.starts_with(thing))
        });
        let mut once = things.clone();
        once.sort();
        once.dedup();
        all_there && (may_repeat || once.len() == things.len())
    };
    let errors_are_equal = !drawn[0].is_error() || drawn[0] == drawn[1];
    sample_rule
        && errors_are_equal
        && (before.iter().zip(drawn)).all(|(before, drawn)| is_well(before, drawn))
}

/// Whether what is left of a set are the elements before without those taken.
pub fn left_well(before: &Value, taken: &Value, left: &Value) -> bool {
    if before.is_error() || taken.is_error() {
        return sorted(before, 1) == sorted(left, 1);
    }
    let taken = taken.flat();
    let mut expected = before.flat();
    expected.retain(|element| !taken.contains(element));
    expected.sort();
    let mut left = left.flat();
    left.sort();
    expected == left
}

/// With BY, any order may be right; without, texts are sorted as if they ended
/// at a zero byte.
fn sorts_are_equal(call: &Call, ours: &Value, theirs: &Value) -> bool {
    let (Some(ours), Some(theirs)) = (ours.items(), theirs.items()) else {
        return false;
    };
    let has = |option: &[u8]| {
        call.argv
            .iter()
            .any(|word| word.eq_ignore_ascii_case(option))
    };
    let shown = |value: &Value| {
        let text = value.bytes()?;
        text.split(|byte| *byte == 0).next().map(<[u8]>::to_vec)
    };
    let same_texts = || ours.iter().map(shown).eq(theirs.iter().map(shown));
    ours.len() == theirs.len() && (has(b"by") || has(b"alpha") && same_texts())
}

/// Fields of Redis 7.2, that are the last of their maps.
const NEWER_FIELDS: [&[u8]; 2] = [b"inactive", b"active-time"];

fn are_close_within(ours: &Value, theirs: &Value, distance: u64) -> bool {
    if let (Some(ours), Some(theirs)) = (ours.items(), theirs.items()) {
        let is_newer = |name: &Value| {
            name.bytes()
                .is_some_and(|name| NEWER_FIELDS.contains(&name))
        };
        let ours = match ours {
            [older @ .., name, _] if older.len() == theirs.len() && is_newer(name) => older,
            all => all,
        };
        let mut pairs = ours.iter().zip(theirs);
        return ours.len() == theirs.len() && pairs.all(|(a, b)| are_close_within(a, b, distance));
    }
    match (ours.integer(), theirs.integer()) {
        (Some(a), Some(b)) => a == b || a.min(b) >= 0 && a.abs_diff(b) <= distance,
        _ => ours == theirs,
    }
}

fn have_one_shape(ours: &Value, theirs: &Value) -> bool {
    match (ours.items(), theirs.items()) {
        (Some(ours), Some(theirs)) => {
            let mut pairs = ours.iter().zip(theirs);
            ours.len() == theirs.len() && pairs.all(|(a, b)| have_one_shape(a, b))
        }
        (None, None) => ours.is_error() == theirs.is_error() && ours.is_null() == theirs.is_null(),
        _ => false,
    }
}

/// The elements of an aggregate in groups of `size`, sorted.
fn sorted(value: &Value, size: usize) -> Option<Vec<&[Value]>> {
    let mut items: Vec<&[Value]> = value.items()?.chunks(size).collect();
    items.sort();
    Some(items)
}

fn without_id(greeting: &Value) -> Option<Vec<&[Value]>> {
    let fields = greeting.items()?.chunks(2);
    let is_id = |field: &[Value]| field[0].bytes() == Some(b"id");
    Some(fields.filter(|field| !is_id(field)).collect())
}

fn scans_are_equal(call: &Call, ours: &Value, theirs: &Value) -> bool {
    let (Some([cursor, found]), Some([other_cursor, other_found])) = (ours.items(), theirs.items())
    else {
        return false;
    };
    let (Some(cursor), Some(other_cursor)) = (cursor.bytes(), other_cursor.bytes()) else {
        return false;
    };
    let (cursor_at, size) = match call.name.as_str() {
        "scan" => (1, 1),
        "sscan" => (2, 1),
        _ => (2, 2),
    };
    let (Some(mut found), Some(mut other_found)) = (sorted(found, size), sorted(other_found, size))
    else {
        return false;
    };
    let from_start = call.argv.get(cursor_at).is_some_and(|word| word == b"0");
    let whole = from_start && cursor == b"0" && other_cursor == b"0";
    // An element may come twice.
    found.dedup();
    other_found.dedup();
    !whole || found == other_found
}
