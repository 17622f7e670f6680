//! What both servers say unasked: keyspace events, and keys that caches have
//! to forget.

use std::collections::BTreeSet;

use super::generate::Call;
use super::pair::{Pair, Servers};
use super::reply::Value;

/// Differences that are collected before the run ends.
const DIFFERENCES_MAX: usize = 8;
/// Calls shown with a difference.
const SHOWN_CALLS: usize = 30;
/// Events shown before and from a difference on.
const SHOWN_EVENTS: usize = 6;

/// A connection to both that is told everything, and one that says when to stop.
pub struct Ears {
    ears: Pair,
    voice: Pair,
    differences: Vec<String>,
}

/// What was heard on one side.
#[derive(Default)]
struct Heard {
    /// Channel and key, in order.
    events: Vec<(Vec<u8>, Vec<u8>)>,
    /// Keys that have changed; none: all of them.
    stale: BTreeSet<Option<Vec<u8>>>,
}

impl Ears {
    /// Has both servers tell everything.
    pub fn new(servers: &Servers) -> Ears {
        let (mut ears, mut voice) = (servers.connect(), servers.connect());
        let classes: [&[u8]; 4] = [b"CONFIG", b"SET", b"notify-keyspace-events", b"EAmn"];
        assert_eq!(voice.call(&classes).0, Value::Line(b"+OK".to_vec()));
        let greeted = ears.call(&[b"HELLO", b"3"]);
        assert!(!greeted.0.is_error() && !greeted.1.is_error());
        let lines: [&[&[u8]]; 3] = [
            &[b"CLIENT", b"TRACKING", b"ON", b"BCAST"],
            &[b"PSUBSCRIBE", b"__keyevent@*"],
            &[b"SUBSCRIBE", b"end of batch"],
        ];
        for line in lines {
            let (ours, theirs) = ears.call(line);
            assert_eq!(ours, theirs);
        }
        Ears {
            ears,
            voice,
            differences: Vec::new(),
        }
    }

    /// Compares what was said since the last time, which these calls caused.
    pub fn compare(&mut self, calls: &[Call]) {
        let (ours, theirs) = self.voice.call(&[b"PUBLISH", b"end of batch", b""]);
        assert_eq!((ours.integer(), theirs.integer()), (Some(1), Some(1)));
        let [mut ours, mut theirs] = self.ears.on_each_listening(hear);
        if ours.events != theirs.events && calls.iter().any(may_look_anywhere) {
            for heard in [&mut ours, &mut theirs] {
                heard.events.retain(|event| !is_miss(event));
            }
        }
        let pairs = ours.events.iter().zip(&theirs.events);
        let equal = pairs.take_while(|(ours, theirs)| ours == theirs).count();
        if equal < ours.events.len().max(theirs.events.len()) {
            let from = equal.saturating_sub(SHOWN_EVENTS);
            let keys: Vec<&[u8]> = [&ours, &theirs]
                .iter()
                .filter_map(|heard| heard.events.get(equal).map(|(_, key)| &key[..]))
                .collect();
            self.differs(format!(
                "different events\ncalls:\n{}\nbefore: {}\nours:   {}\ntheirs: {}",
                related(calls, &keys),
                shown(&ours.events[from..equal]),
                shown(&ours.events[equal..]),
                shown(&theirs.events[equal..]),
            ));
        }
        let mut different = ours.stale.symmetric_difference(&theirs.stale);
        if let Some(key) = different.next() {
            let whose = ["redis-server", "redstart"][usize::from(ours.stale.contains(key))];
            self.differs(format!(
                "only {whose} calls stale: {:?}\ncalls:\n{}",
                key.as_deref().map(|key| key.escape_ascii().to_string()),
                related(calls, &[key.as_deref().unwrap_or_default()]),
            ));
        }
    }

    /// Several differences are worth as many runs.
    fn differs(&mut self, text: String) {
        self.differences.push(text);
        if self.differences.len() >= DIFFERENCES_MAX {
            self.assert_equal();
        }
    }

    /// # Panics
    /// When there was a difference.
    pub fn assert_equal(&self) {
        assert!(
            self.differences.is_empty(),
            "{}",
            self.differences.join("\n\n")
        );
    }
}

/// All until the end of the batch.
fn hear(next: &mut dyn FnMut() -> Value) -> Heard {
    let mut heard = Heard::default();
    loop {
        let message = next();
        let items = message.items().expect("a push");
        match (items[0].bytes(), &items[1..]) {
            (Some(b"message"), _) => break,
            (Some(b"pmessage"), [_, channel, key]) => {
                let text = |value: &Value| value.bytes().expect("text").to_vec();
                heard.events.push((text(channel), text(key)));
            }
            (Some(b"invalidate"), [keys]) => match keys.items() {
                None => _ = heard.stale.insert(None),
                Some(keys) => {
                    let keys = keys.iter().map(|key| key.bytes().map(<[u8]>::to_vec));
                    heard.stale.extend(keys);
                }
            },
            _ => panic!("an unexpected message: {message:?}"),
        }
    }
    // SORT GET looks for keys in the order of a set, which is open.
    let runs = heard.events.chunk_by_mut(|a, b| is_miss(a) && is_miss(b));
    runs.for_each(|run| run.sort());
    heard
}

fn is_miss((channel, _): &(Vec<u8>, Vec<u8>)) -> bool {
    channel.ends_with(b":keymiss")
}

/// Whether a call may look for keys that are named after some of the elements
/// that compare equal, or may execute one that does.
fn may_look_anywhere(call: &Call) -> bool {
    let has = |option: &[u8]| call.argv.iter().any(|w| w.eq_ignore_ascii_case(option));
    let sorts = matches!(call.name.as_str(), "sort" | "sort_ro");
    sorts && has(b"get") && has(b"limit") || call.name == "exec"
}

fn shown(events: &[(Vec<u8>, Vec<u8>)]) -> String {
    let events = events.iter().take(SHOWN_EVENTS).map(|(channel, key)| {
        let event = channel.strip_prefix(b"__keyevent@").unwrap_or(channel);
        format!("{} {}", event.escape_ascii(), key.escape_ascii())
    });
    events.collect::<Vec<_>>().join(", ")
}

/// The calls that have to do with some of the keys, or else all.
fn related(calls: &[Call], keys: &[&[u8]]) -> String {
    let names_one = |call: &&Call| call.keys.iter().any(|key| keys.contains(&&key[..]));
    let mut chosen: Vec<&Call> = calls.iter().filter(names_one).collect();
    if chosen.is_empty() {
        chosen = calls.iter().collect();
    }
    let from = chosen.len().saturating_sub(SHOWN_CALLS);
    let lines = chosen[from..].iter().map(|call| format!("  {call}"));
    lines.collect::<Vec<_>>().join("\n")
}
