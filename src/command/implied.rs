//! What a row implies without saying so: ACL categories, the legacy key range,
//! movable keys.

use super::table::{Begin, Command, Find, KeySpec, cat, flag, kflag};

/// The ACL categories in the order of ACL CAT: bit, name, name as COMMAND INFO prints it.
pub const CATEGORIES: &[(u32, &str, &str)] = &[
    (cat::KEYSPACE, "keyspace", "@keyspace"),
    (cat::READ, "read", "@read"),
    (cat::WRITE, "write", "@write"),
    (cat::SET, "set", "@set"),
    (cat::SORTEDSET, "sortedset", "@sortedset"),
    (cat::LIST, "list", "@list"),
    (cat::HASH, "hash", "@hash"),
    (cat::STRING, "string", "@string"),
    (cat::BITMAP, "bitmap", "@bitmap"),
    (cat::HYPERLOGLOG, "hyperloglog", "@hyperloglog"),
    (cat::GEO, "geo", "@geo"),
    (cat::STREAM, "stream", "@stream"),
    (cat::PUBSUB, "pubsub", "@pubsub"),
    (cat::ADMIN, "admin", "@admin"),
    (cat::FAST, "fast", "@fast"),
    (cat::SLOW, "slow", "@slow"),
    (cat::BLOCKING, "blocking", "@blocking"),
    (cat::DANGEROUS, "dangerous", "@dangerous"),
    (cat::CONNECTION, "connection", "@connection"),
    (cat::TRANSACTION, "transaction", "@transaction"),
    (cat::SCRIPTING, "scripting", "@scripting"),
];

/// The `cat::*` bit of a category name (without `@`, any case).
pub fn category(name: &[u8]) -> Option<u32> {
    let matches = |(_, known, _): &&(u32, &str, &str)| name.eq_ignore_ascii_case(known.as_bytes());
    CATEGORIES.iter().find(matches).map(|(bit, _, _)| *bit)
}

/// The categories of a row: those it names and those its flags imply.
pub fn categories(command: &Command) -> u32 {
    let mut categories = command.categories;
    let has = |bit| command.flags & bit != 0;
    if has(flag::WRITE) {
        categories |= cat::WRITE;
    }
    // What a script reads its own commands decide.
    if has(flag::READONLY) && categories & cat::SCRIPTING == 0 {
        categories |= cat::READ;
    }
    if has(flag::ADMIN) {
        categories |= cat::ADMIN | cat::DANGEROUS;
    }
    if has(flag::PUBSUB) {
        categories |= cat::PUBSUB;
    }
    if has(flag::FAST) {
        categories |= cat::FAST;
    }
    if has(flag::BLOCKING) {
        categories |= cat::BLOCKING;
    }
    if categories & cat::FAST == 0 {
        categories |= cat::SLOW;
    }
    categories
}

/// First key, last key (negative: from the end) and step; all 0 for no keys.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct LegacyRange {
    /// Index of the first key.
    pub first: i32,
    /// Index of the last key.
    pub last: i32,
    /// Distance between keys.
    pub step: i32,
}

/// The legacy range that the specifications amount to, and whether it misses
/// keys, so that the command has movable keys.
///
/// A single range is taken as it is. Of several, those are joined that follow
/// one another directly with a step of 1; everything else is left to
/// clients that read the specifications.
pub fn legacy_range(specs: &[KeySpec]) -> (LegacyRange, bool) {
    let incomplete = |spec: &KeySpec| spec.flags & kflag::INCOMPLETE != 0;
    match specs {
        [] => return (LegacyRange::default(), false),
        [only] => {
            if let Some(range) = as_range(only) {
                return (range, incomplete(only));
            }
        }
        _ => {}
    }

    let mut joined: Option<LegacyRange> = None;
    let mut movable = false;
    for spec in specs {
        let previous = joined.map(|range| range.last);
        let next = as_range(spec)
            .filter(|range| range.step == 1 && previous.is_none_or(|last| last == range.first - 1));
        let Some(next) = next else {
            movable = true;
            continue;
        };
        movable |= incomplete(spec);
        joined = Some(match joined {
            None => next,
            // Negative positions are behind all others, the nearest to the end last.
            Some(range) => LegacyRange {
                first: range.first.min(next.first),
                last: range
                    .last
                    .cast_unsigned()
                    .max(next.last.cast_unsigned())
                    .cast_signed(),
                step: 1,
            },
        });
    }
    match joined {
        Some(range) => (range, movable),
        None => (LegacyRange::default(), true),
    }
}

fn as_range(spec: &KeySpec) -> Option<LegacyRange> {
    match (spec.begin, spec.find) {
        (Begin::Index(first), Find::Range(last, step, _)) => Some(LegacyRange {
            first,
            last: if last >= 0 { first + last } else { last },
            step,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table::{key_at, keys_after, keys_at, unknown_keys};

    fn range(first: i32, last: i32, step: i32) -> LegacyRange {
        LegacyRange { first, last, step }
    }

    #[test]
    fn legacy_ranges() {
        const ALL: Find = Find::Range(-1, 1, 0);
        const COUNTED: Find = Find::KeyNum(0, 1, 1);
        let store = keys_after(kflag::OW, "STORE", 5, Find::Range(0, 1, 0));
        let cases: [(&[KeySpec], LegacyRange, bool); 9] = [
            (&[], range(0, 0, 0), false),
            (&[key_at(0, 2)], range(2, 2, 1), false),
            (
                &[keys_at(0, 1, Find::Range(-1, 2, 0))],
                range(1, -1, 2),
                false,
            ),
            (&[key_at(0, 1), keys_at(0, 2, ALL)], range(1, -1, 1), false),
            (&[key_at(0, 1), key_at(0, 2)], range(1, 2, 1), false),
            (&[key_at(0, 1), key_at(0, 3)], range(1, 1, 1), true),
            (&[keys_at(0, 1, COUNTED)], range(0, 0, 0), true),
            (&[key_at(0, 1), store], range(1, 1, 1), true),
            (&[key_at(kflag::INCOMPLETE, 3)], range(3, 3, 1), true),
        ];
        for (specs, expected, movable) in cases {
            assert_eq!(legacy_range(specs), (expected, movable));
        }
        assert_eq!(
            legacy_range(&[key_at(0, 1), unknown_keys(0)]),
            (range(1, 1, 1), true)
        );
    }

    #[test]
    fn flags_imply_categories() {
        let row =
            |flags, named| categories(&Command::container("X", 1, &[]).flags(flags).acl(named));
        assert_eq!(row(0, cat::SET), cat::SET | cat::SLOW);
        assert_eq!(row(flag::WRITE | flag::FAST, 0), cat::WRITE | cat::FAST);
        assert_eq!(
            row(flag::READONLY, cat::SCRIPTING),
            cat::SCRIPTING | cat::SLOW
        );
        assert_eq!(row(flag::READONLY, 0), cat::READ | cat::SLOW);
        assert_eq!(row(flag::ADMIN, 0), cat::ADMIN | cat::DANGEROUS | cat::SLOW);
        assert_eq!(
            row(flag::BLOCKING | flag::PUBSUB, 0),
            cat::BLOCKING | cat::PUBSUB | cat::SLOW
        );
    }

    #[test]
    fn category_names() {
        assert_eq!(category(b"SortedSet"), Some(cat::SORTEDSET));
        assert_eq!(category(b"@read"), None);
        assert_eq!(category(b""), None);
        for (bit, name, shown) in CATEGORIES {
            assert_eq!(category(name.as_bytes()), Some(*bit));
            assert_eq!(shown.strip_prefix('@'), Some(*name));
        }
    }
}
