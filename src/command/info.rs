//! COMMAND INFO and COMMAND LIST.

use std::borrow::Cow;

use super::implied::{CATEGORIES, LegacyRange};
use super::registry::{Entry, Registry};
use super::table::{Begin, Find, KeySpec, flag, kflag};

/// A reply that has no protocol version yet. RESP2 writes maps and sets as flat arrays.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Doc<'a> {
    /// Pairs, in order.
    Map(Vec<(Doc<'a>, Doc<'a>)>),
    /// Ordered elements.
    Array(Vec<Doc<'a>>),
    /// Different elements.
    Set(Vec<Doc<'a>>),
    /// A bulk string.
    Bulk(Cow<'a, str>),
    /// A simple string (status).
    Simple(&'static str),
    /// An integer.
    Integer(i64),
    /// Null.
    Null,
}

impl<'a> Doc<'a> {
    /// A bulk string.
    pub fn text(text: &'a str) -> Doc<'a> {
        Doc::Bulk(Cow::Borrowed(text))
    }

    /// A map with names for keys.
    pub fn fields(fields: Vec<(&'static str, Doc<'a>)>) -> Doc<'a> {
        let pair = |(name, value)| (Doc::text(name), value);
        Doc::Map(fields.into_iter().map(pair).collect())
    }
}

/// Names of the command flags that clients are shown, in their order.
const FLAG_NAMES: &[(u32, &str)] = &[
    (flag::WRITE, "write"),
    (flag::READONLY, "readonly"),
    (flag::DENYOOM, "denyoom"),
    (flag::ADMIN, "admin"),
    (flag::PUBSUB, "pubsub"),
    (flag::NOSCRIPT, "noscript"),
    (flag::BLOCKING, "blocking"),
    (flag::LOADING, "loading"),
    (flag::STALE, "stale"),
    (flag::SKIP_MONITOR, "skip_monitor"),
    (flag::SKIP_SLOWLOG, "skip_slowlog"),
    (flag::ASKING, "asking"),
    (flag::FAST, "fast"),
    (flag::NO_AUTH, "no_auth"),
    (flag::NO_MANDATORY_KEYS, "no_mandatory_keys"),
    (flag::NO_ASYNC_LOADING, "no_async_loading"),
    (flag::NO_MULTI, "no_multi"),
    (flag::MOVABLE_KEYS, "movablekeys"),
    (flag::ALLOW_BUSY, "allow_busy"),
];

/// Names of the key flags, in their order.
const KEY_FLAG_NAMES: &[(u32, &str)] = &[
    (kflag::RO, "RO"),
    (kflag::RW, "RW"),
    (kflag::OW, "OW"),
    (kflag::RM, "RM"),
    (kflag::ACCESS, "access"),
    (kflag::UPDATE, "update"),
    (kflag::INSERT, "insert"),
    (kflag::DELETE, "delete"),
    (kflag::NOT_KEY, "not_key"),
    (kflag::INCOMPLETE, "incomplete"),
    (kflag::VARIABLE_FLAGS, "variable_flags"),
];

/// COMMAND, and COMMAND INFO without names: all commands that clients can reach.
pub fn info_of_all(registry: &Registry) -> Doc<'_> {
    Doc::Array(registry.commands().map(|e| info(registry, e)).collect())
}

/// COMMAND INFO of the commands and subcommands of these names; null for unknown ones.
pub fn info_of<'r, 'n>(registry: &'r Registry, names: impl Iterator<Item = &'n [u8]>) -> Doc<'r> {
    let answer = |name| match registry.find_full(name) {
        Some(id) => info(registry, &registry[id]),
        None => Doc::Null,
    };
    Doc::Array(names.map(answer).collect())
}

fn info<'r>(registry: &'r Registry, entry: &'r Entry) -> Doc<'r> {
    let LegacyRange { first, last, step } = entry.legacy_keys;
    let categories = CATEGORIES
        .iter()
        .filter(|(bit, _, _)| entry.categories & bit != 0)
        .map(|(_, _, shown)| Doc::Simple(shown));
    let tips = entry.command.tips.iter().copied().map(Doc::text);
    let subcommands = registry.subcommands(entry.id).iter();
    // Redis writes no subcommands as an empty set, but some as an array.
    let subcommands = if entry.has_subcommands() {
        Doc::Array(subcommands.map(|sub| info(registry, sub)).collect())
    } else {
        Doc::Set(Vec::new())
    };
    Doc::Array(vec![
        Doc::text(entry.full_name()),
        Doc::Integer(i64::from(entry.command.arity)),
        flag_set(entry.flags, FLAG_NAMES),
        Doc::Integer(i64::from(first)),
        Doc::Integer(i64::from(last)),
        Doc::Integer(i64::from(step)),
        Doc::Set(categories.collect()),
        Doc::Set(tips.collect()),
        Doc::Set(entry.command.keys.iter().map(key_spec).collect()),
        subcommands,
    ])
}

fn flag_set(flags: u32, names: &'static [(u32, &'static str)]) -> Doc<'static> {
    let set = names.iter().filter(|(bit, _)| flags & bit != 0);
    Doc::Set(set.map(|(_, name)| Doc::Simple(name)).collect())
}

fn key_spec(spec: &'static KeySpec) -> Doc<'static> {
    let number = |n: i32| Doc::Integer(i64::from(n));
    let begin = match spec.begin {
        Begin::Index(index) => ("index", vec![("index", number(index))]),
        Begin::Keyword(keyword, from) => (
            "keyword",
            vec![("keyword", Doc::text(keyword)), ("startfrom", number(from))],
        ),
        Begin::Unknown => ("unknown", Vec::new()),
    };
    let find = match spec.find {
        Find::Range(last, step, limit) => (
            "range",
            vec![
                ("lastkey", number(last)),
                ("keystep", number(step)),
                ("limit", number(limit)),
            ],
        ),
        Find::KeyNum(count_at, first_at, step) => (
            "keynum",
            vec![
                ("keynumidx", number(count_at)),
                ("firstkey", number(first_at)),
                ("keystep", number(step)),
            ],
        ),
        Find::Unknown => ("unknown", Vec::new()),
    };
    let part = |(kind, fields)| {
        Doc::fields(vec![
            ("type", Doc::text(kind)),
            ("spec", Doc::fields(fields)),
        ])
    };
    let mut map = Vec::with_capacity(4);
    if !spec.notes.is_empty() {
        map.push(("notes", Doc::text(spec.notes)));
    }
    map.push(("flags", flag_set(spec.flags, KEY_FLAG_NAMES)));
    map.push(("begin_search", part(begin)));
    map.push(("find_keys", part(find)));
    Doc::fields(map)
}

/// Flags of a key as COMMAND GETKEYSANDFLAGS prints them.
pub fn key_flags(flags: u32) -> Doc<'static> {
    flag_set(flags, KEY_FLAG_NAMES)
}

/// COMMAND LIST: the full names of all commands and subcommands that clients
/// can reach and the filter wants.
pub fn list<'r>(registry: &'r Registry, wanted: impl Fn(&Entry) -> bool) -> Doc<'r> {
    let with_subcommands =
        |entry: &'r Entry| std::iter::once(entry).chain(registry.subcommands(entry.id));
    let names = registry
        .commands()
        .flat_map(with_subcommands)
        .filter(|entry| wanted(entry))
        .map(|entry| Doc::text(entry.full_name()));
    Doc::Array(names.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table::{Command, cat};

    #[test]
    fn lists_what_is_reachable() {
        const SUBS: &[Command] = &[Command::container("GET", 2, &[])];
        const ROWS: &[Command] = &[
            Command::container("GET", 2, &[]).flags(flag::READONLY),
            Command::container("CONFIG", -2, SUBS),
            Command::container("DEBUG", -2, SUBS),
        ];
        let mut registry = Registry::new(&[ROWS]).expect("builds");
        registry.rename(b"debug", b"").expect("there");
        let names = |doc: Doc<'_>| match doc {
            Doc::Array(names) => names
                .into_iter()
                .map(|name| match name {
                    Doc::Bulk(text) => text.into_owned(),
                    other => panic!("{other:?}"),
                })
                .collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            names(list(&registry, |_| true)),
            ["get", "config", "config|get"]
        );
        assert_eq!(
            names(list(&registry, |entry| entry.categories & cat::READ != 0)),
            ["get"]
        );
        let found = info_of(&registry, [&b"config|get"[..], b"debug"].into_iter());
        let Doc::Array(found) = found else {
            panic!("{found:?}");
        };
        assert!(matches!(found[..], [Doc::Array(_), Doc::Null]));
    }
}
