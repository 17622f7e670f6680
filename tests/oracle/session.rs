//! A connection to both servers, what it has queued, and what all of them did.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

use super::generate::{Call, Judge};
use super::pair::Pair;
use super::reply::Value;
use super::rules;
use super::scenes::Mood;

/// Calls that are remembered for the report of a difference.
const HISTORY: usize = 5_000;

/// A connection.
pub struct Session {
    pair: Pair,
    /// What the generator knows of it.
    pub mood: Mood,
    /// What EXEC will execute.
    queued: Vec<Call>,
}

/// What all connections did.
pub struct Record {
    /// Number of calls.
    pub sent: u64,
    /// How often each command was called, and how often without an error.
    counts: BTreeMap<String, (u64, u64)>,
    /// How transactions ended: executed, refused, given up for a watched key.
    ends: [u64; 3],
    history: VecDeque<(Call, Value)>,
}

impl Session {
    pub fn new(pair: Pair) -> Session {
        Session {
            pair,
            mood: Mood::default(),
            queued: Vec::new(),
        }
    }

    pub fn speak_resp3(&mut self) {
        let (ours, theirs) = self.pair.call(&[b"HELLO", b"3"]);
        let greeted = !ours.is_error() && !theirs.is_error();
        assert!(greeted, "HELLO 3: {ours:?} {theirs:?}");
    }

    pub fn stop_active_expiry(&mut self) {
        let (ours, theirs) = self.pair.call(&[b"DEBUG", b"SET-ACTIVE-EXPIRE", b"0"]);
        assert!(!ours.is_error() && !theirs.is_error());
    }

    /// The connections, in their first state.
    pub fn settled(&mut self) -> &mut Pair {
        let (ours, theirs) = self.pair.call(&[b"RESET"]);
        assert_eq!(ours, theirs);
        &mut self.pair
    }

    /// Sends calls to both servers and compares what comes back.
    pub fn run(&mut self, calls: &[Call], record: &mut Record) {
        let requests: Vec<_> = calls.iter().map(|call| call.argv.clone()).collect();
        self.pair.send(&requests);
        record.sent += calls.len() as u64;
        let mut replies: Vec<(Value, Value)> = Vec::with_capacity(calls.len());
        for (index, call) in calls.iter().enumerate() {
            let (ours, theirs) = self.pair.receive(call);
            let equal = match call.judge {
                _ if call.name == "exec" => self.executed_equally(call, &ours, &theirs, record),
                Judge::Rule => rules::equal(call, &ours, &theirs),
                Judge::Drawn => {
                    let before = &replies[index - 1];
                    rules::drawn_well(call, [&before.0, &before.1], [&ours, &theirs])
                }
                Judge::Left => {
                    let [.., before, taken] = replies.as_slice() else {
                        panic!("what is left has a before");
                    };
                    rules::left_well(&before.0, &taken.0, &ours)
                        && rules::left_well(&before.1, &taken.1, &theirs)
                }
            };
            if !equal {
                record.report(call, &ours, &theirs);
            }
            match call.name.as_str() {
                "exec" | "discard" | "reset" => {
                    self.keep_or_forget_queue(call, &theirs);
                    record.add(call, &theirs);
                }
                _ if matches!(&theirs, Value::Line(line) if line == b"+QUEUED") => {
                    self.queued.push(call.clone());
                }
                _ => record.add(call, &theirs),
            }
            replies.push((ours, theirs));
        }
    }

    fn keep_or_forget_queue(&mut self, call: &Call, reply: &Value) {
        if call.name == "exec" || !reply.is_error() {
            self.queued.clear();
        }
    }

    /// Compares the replies of a transaction, each by its own rule.
    fn executed_equally(
        &mut self,
        call: &Call,
        ours: &Value,
        theirs: &Value,
        record: &mut Record,
    ) -> bool {
        let (Some(our_items), Some(their_items)) = (ours.items(), theirs.items()) else {
            record.ends[if theirs.is_null() { 2 } else { 1 }] += 1;
            return rules::equal(call, ours, theirs);
        };
        record.ends[0] += 1;
        if our_items.len() != self.queued.len() || their_items.len() != self.queued.len() {
            return false;
        }
        let items = our_items.iter().zip(their_items);
        for (call, (ours, theirs)) in self.queued.iter().zip(items) {
            if !rules::equal(call, ours, theirs) {
                record.report(call, ours, theirs);
            }
            record.add(call, theirs);
        }
        true
    }
}

impl Record {
    /// A record of commands of these names.
    pub fn new<'a>(names: impl Iterator<Item = &'a str>) -> Record {
        Record {
            sent: 0,
            counts: names.map(|name| (name.to_owned(), (0, 0))).collect(),
            ends: [0; 3],
            history: VecDeque::with_capacity(HISTORY),
        }
    }

    /// The commands.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.counts.keys().map(String::as_str).collect();
        format!("{} commands: {}", names.len(), names.join(" "))
    }

    fn add(&mut self, call: &Call, reply: &Value) {
        if let Some((calls, well)) = self.counts.get_mut(&call.name) {
            *calls += 1;
            *well += u64::from(!reply.is_error());
        }
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back((call.clone(), reply.clone()));
    }

    /// What became of everything.
    pub fn summary(&self) -> String {
        let [executed, refused, given_up] = self.ends;
        let mut text = format!(
            "{} calls; transactions: {executed} executed, {refused} refused, {given_up} given up",
            self.sent
        );
        let mut shares: Vec<(u64, &str)> = self
            .counts
            .iter()
            .map(|(name, (calls, well))| (well * 100 / calls.max(&1), name.as_str()))
            .collect();
        shares.sort_unstable();
        text += "\nleast often without an error (%):";
        for (percent, name) in shares.iter().take(30) {
            let _ = write!(text, " {name} {percent}");
        }
        text
    }

    /// # Panics
    /// When something never worked.
    pub fn assert_coverage(&self) {
        let counts = self.counts.iter();
        let never: Vec<_> = counts.filter(|(_, (_, well))| *well == 0).collect();
        assert!(never.is_empty(), "never without an error: {never:?}");
        assert!(
            self.ends.iter().all(|count| *count > 0),
            "transactions: {:?}",
            self.ends
        );
    }

    /// Fails with what led to a difference: the last calls on the same keys.
    fn report(&self, call: &Call, ours: &Value, theirs: &Value) -> ! {
        let related = self.history.iter().filter(|(earlier, _)| {
            earlier.shares_key(call) || earlier.writes && earlier.keys.is_empty()
        });
        let mut lines: Vec<String> = related
            .map(|(earlier, reply)| format!("{earlier}  {reply:?}"))
            .collect();
        let lines = lines.split_off(lines.len().saturating_sub(25));
        panic!(
            "different replies\nbefore:\n  {}\ncall:   {call}\nours:   {ours:?}\ntheirs: {theirs:?}",
            lines.join("\n  ")
        );
    }
}
