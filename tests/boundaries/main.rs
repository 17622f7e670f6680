//! Numbers at the edges, in every place of every command where a number may
//! stand: nothing breaks, no reply takes a second, memory stays, and where
//! redis-server 7.0.15 is installed, it replies the same.
//!
//! The calls come from the command table, so that a new command takes part as
//! soon as it has a row. Each call is made on keys that hold a value that suits
//! the command, and on keys that do not exist. After each one that may write,
//! the digests of both servers must agree.
//!
//! Scripts do not take part: their calls are only sound with scripts that suit
//! their numbers.
//!
//! What would use memory without end in Redis, too, is left out, here:
//! - counts below -1 of the commands that pick elements by chance, which ask for
//!   that many elements, see [`is_unfit`];
//! - offsets that make a string of up to 512 MB. Most of the sweep has a limit of
//!   1 MB, where such offsets are errors; a test of its own has the usual one.
//!
//! `REDSTART_BOUNDARIES=name` tries that command only.

mod forms;
#[path = "../oracle/reply.rs"]
#[allow(dead_code)] // Made for another test program.
mod reply;
mod side;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use forms::Form;
use redstart::command::registry::Registry;
use redstart::command::table::Group;
use reply::Value;
use side::{Side, Step};
use support::Server;

/// The edges of the types, one to each side, and what is a number only nearly.
const NUMBERS: [&str; 40] = [
    "0",
    "1",
    "-1",
    "2147483646",
    "2147483647",
    "2147483648",
    "-2147483647",
    "-2147483648",
    "-2147483649",
    "4294967294",
    "4294967295",
    "4294967296",
    "9223372036854775806",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775807",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551614",
    "18446744073709551615",
    "18446744073709551616",
    "9007199254740991",
    "9007199254740992",
    "9007199254740993",
    "nan",
    "inf",
    "-inf",
    "-0",
    "-0.0",
    "1.5",
    "1e400",
    "-1e400",
    "1e-400",
    "",
    " 1",
    "1 ",
    "+1",
    "01",
    "0x10",
    "1e3",
];

/// Calls sent in one piece.
const BATCH: usize = 100;
/// How long a reply may take.
const REPLY_MAX: Duration = Duration::from_secs(1);
/// How much memory may grow over all, bytes.
const GROWTH_MAX_BYTES: u64 = 64 << 20;

/// Strings end at 1 MB, so that the offsets at the edges meet the limit, and
/// not the memory that Redis, too, would use for strings of 512 MB.
const OPTIONS: [&str; 2] = ["--proto-max-bulk-len", "1mb"];

/// Forms that are not tried.
const LEFT_OUT: [(&str, &str); 5] = [
    (
        "client|tracking",
        "wants the number of a connection; tests/commands/tracking.rs tries others",
    ),
    ("failover", "needs replication"),
    ("psync", "turns a connection into a stream"),
    ("replicaof", "needs replication"),
    ("slaveof", "needs replication"),
];

/// Commands whose replies are compared in their kind only, with the reason.
const KIND_ONLY: [(&str, &str); 16] = [
    ("acl|genpass", "random"),
    ("acl|log", "has times in it"),
    ("client|list", "describes connections"),
    ("hello", "has the number of the connection"),
    ("hrandfield", "random"),
    ("hscan", "cursors depend on the table"),
    ("lolwut", "our own art"),
    ("memory|usage", "sizes of our own structures"),
    ("scan", "cursors depend on the table"),
    ("slowlog|get", "has times in it"),
    ("spop", "random"),
    ("srandmember", "random"),
    ("sscan", "cursors depend on the table"),
    ("xinfo|stream", "has a field of Redis 7.2"),
    ("xpending", "tells how long ago entries were delivered"),
    ("zrandmember", "random"),
];

/// Commands whose errors are compared in their code only, with the reason.
const CODE_ONLY: [(&str, &str); 1] = [(
    "migrate",
    "whether connecting or writing fails first depends on the time it takes",
)];

/// What is sent after a call, so that the next one finds the connection and the
/// databases as they were; HELLO gets the version.
const AFTER: [(&str, &str); 4] = [
    ("client|pause", "CLIENT UNPAUSE"),
    ("hello", "HELLO"),
    ("select", "SELECT 0"),
    ("swapdb", "FLUSHALL"),
];

/// Whether a number in a place would use memory or time without end in Redis,
/// too, or says something of one server only.
fn is_unfit(form: &Form, on_values: bool, number: (usize, &str)) -> bool {
    let name = form.numbers().find(|(at, _)| *at == number.0);
    let name = name.expect("a number's place").1;
    match form.name.as_str() {
        // A negative count asks for that many elements, again and again.
        "hrandfield" | "srandmember" | "zrandmember" => {
            let is_huge = |count: i64| count < -1 && count > i64::MIN;
            on_values && number.1.parse().is_ok_and(is_huge)
        }
        // Redis makes room for so many IDs, if the machine has it.
        "xautoclaim" => name == "count" && number.1.parse().is_ok_and(|count: i64| count > 1 << 30),
        // There can be a connection of this number.
        _ => name == "client-id" && number.1 == "1",
    }
}

/// Whether a key that gets this time to live can be over before its digest is
/// taken.
fn may_be_over(form: &Form, numbers: &[(usize, &str)]) -> bool {
    let is_time = |name: &str| matches!(name, "seconds" | "milliseconds" | "ttl");
    let mut timed = form.numbers().filter(|(_, name)| is_time(name));
    timed.any(|(at, _)| numbers.contains(&(at, "1")))
}

fn words(text: &str) -> Vec<Vec<u8>> {
    text.split(' ').map(|word| word.into()).collect()
}

/// Our server and, if there is one, redis-server.
struct Sweep {
    ours: Side,
    theirs: Option<Side>,
    protocol: &'static str,
    pending: Vec<(Vec<Vec<u8>>, bool, Vec<Step>)>,
    calls: usize,
    differences: Vec<String>,
    /// Pairs of numbers that were tried.
    seen: BTreeSet<String>,
}

impl Sweep {
    /// Connects to empty servers.
    fn start(ours: &Server, theirs: Option<&Server>, protocol: &'static str) -> Sweep {
        let mut sweep = Sweep {
            ours: Side::connect(ours, "redstart"),
            theirs: theirs.map(|server| Side::connect(server, "redis-server")),
            protocol,
            pending: Vec::new(),
            calls: 0,
            differences: Vec::new(),
            seen: BTreeSet::new(),
        };
        let hello = Step::of_kind(vec![b"HELLO".to_vec(), protocol.into()]);
        sweep.run(&[&hello, &Step::exact(words("FLUSHALL"))]);
        sweep
    }

    /// What one call needs before and after, with the call.
    fn steps(&self, form: &Form, on_values: bool, numbers: &[(usize, &str)]) -> Vec<Step> {
        let mut steps = Vec::new();
        if !form.keys.is_empty() {
            // How many there are can depend on the time.
            steps.push(Step::of_kind(words("DEL k1 k2 k3 k4")));
        }
        if on_values {
            let fill = |key: &Vec<u8>| Step::exact(forms::fill(form.group, key));
            steps.extend(form.keys.iter().map(fill));
        }
        let is_in = |list: &[(&str, &str)]| list.iter().any(|(name, _)| *name == form.name);
        let call = form.call(numbers);
        let call = match () {
            () if is_in(&KIND_ONLY) => Step::of_kind(call),
            () if is_in(&CODE_ONLY) => Step::of_code(call),
            () => Step::exact(call),
        };
        // Streams keep one waiting for what is after an ID.
        let may_wait = !on_values || form.keys.is_empty() || form.group == Group::Stream;
        match form.blocks && may_wait {
            // In a transaction, nobody waits.
            true => steps.extend([
                Step::exact(words("MULTI")),
                call,
                Step::exact(words("EXEC")),
            ]),
            false => steps.push(call),
        }
        match AFTER.iter().find(|(name, _)| *name == form.name) {
            Some((_, "HELLO")) => {
                steps.push(Step::of_kind(vec![b"HELLO".to_vec(), self.protocol.into()]));
            }
            Some((_, after)) => steps.push(Step::exact(words(after))),
            None => {}
        }
        // Which element SPOP takes is left to chance, if any is left.
        if form.writes && form.name != "spop" && !may_be_over(form, numbers) {
            // Redis keeps what SET gave a time that is over until somebody looks.
            if form.name == "set" {
                steps.push(Step::exact(words("EXISTS k1")));
            }
            steps.push(Step::exact(words("DEBUG DIGEST")));
        }
        steps
    }

    /// Sends steps to both, and gives our replies, how long they took, and
    /// those of redis-server.
    fn run(&mut self, steps: &[&Step]) -> Vec<(Value, Duration, Option<Value>)> {
        self.ours.send(steps);
        if let Some(theirs) = &mut self.theirs {
            theirs.send(steps);
        }
        let reply = |step: &&Step| {
            let (ours, took) = self.ours.receive(step);
            let theirs = self.theirs.as_mut().map(|theirs| theirs.receive(step).0);
            (ours, took, theirs)
        };
        steps.iter().map(reply).collect()
    }

    fn call(&mut self, form: &Form, on_values: bool, numbers: &[(usize, &str)]) {
        if numbers.iter().any(|one| is_unfit(form, on_values, *one)) {
            return;
        }
        let steps = self.steps(form, on_values, numbers);
        self.pending.push((form.call(numbers), on_values, steps));
        if self.pending.len() == BATCH {
            self.flush();
        }
    }

    /// Sends what is pending and compares the replies.
    fn flush(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        self.calls += pending.len();
        let steps: Vec<&Step> = pending.iter().flat_map(|(.., steps)| steps).collect();
        let mut replies = self.run(&steps).into_iter();
        for (call, on_values, steps) in &pending {
            let call = side::shown(call);
            let mut slow = false;
            for step in steps {
                let (ours, took, theirs) = replies.next().expect("a reply to each step");
                slow |= took > REPLY_MAX;
                if let Some(theirs) = theirs
                    && !step.agree(&ours, &theirs)
                {
                    let state = if *on_values { "values" } else { "nothing" };
                    self.differences.push(format!(
                        "{call} on {state}, at {step}\n  ours   {ours:?}\n  theirs {theirs:?}"
                    ));
                }
            }
            // The machine can be busy; what takes its time does so again.
            for step in steps.iter().filter(|_| slow) {
                let took = self.run(&[step])[0].1;
                assert!(took < REPLY_MAX, "{call}: {step} took {took:?}");
            }
        }
    }

    /// Whether a form is a sound call when its numbers make sense.
    fn is_sound(&mut self, form: &Form) -> bool {
        [true, false].into_iter().any(|on_values| {
            let steps = self.steps(form, on_values, &[]);
            let replies = self.run(&steps.iter().collect::<Vec<_>>());
            replies.iter().all(|(ours, ..)| {
                let inner = ours.items().unwrap_or_default();
                !ours.is_error() && !inner.iter().any(Value::is_error)
            })
        })
    }

    /// The forms of these that are sound calls.
    ///
    /// # Panics
    /// When there is a number that none of them has.
    fn sound(&mut self, all: Vec<Form>) -> Vec<Form> {
        let places = |form: &Form| -> Vec<String> {
            let name = |(_, name)| format!("{} {name}", form.name);
            form.numbers().map(name).collect()
        };
        let mut unreached: BTreeSet<String> = all.iter().flat_map(places).collect();
        let sound: Vec<Form> = all.into_iter().filter(|form| self.is_sound(form)).collect();
        for place in sound.iter().flat_map(places) {
            unreached.remove(&place);
        }
        assert!(unreached.is_empty(), "in no sound call: {unreached:?}");
        sound
    }

    /// Tries all numbers in all places of a form, and all pairs of two neighbours.
    fn form(&mut self, form: &Form) {
        let places: Vec<(usize, &str)> = form.numbers().collect();
        for on_values in [true, false] {
            for (at, _) in &places {
                for number in NUMBERS {
                    self.call(form, on_values, &[(*at, number)]);
                }
            }
        }
        for two in places.windows(2) {
            let pair = format!("{} {} {}", form.name, two[0].1, two[1].1);
            // With every other option it would be the same again.
            if places.len() > 2 && !self.seen.insert(pair) {
                continue;
            }
            for on_values in [true, false] {
                for number in NUMBERS {
                    for other in NUMBERS {
                        let numbers = [(two[0].0, number), (two[1].0, other)];
                        self.call(form, on_values, &numbers);
                    }
                }
            }
        }
    }
}

fn is_left_out(form: &Form) -> bool {
    // Without WRITE, everybody would wait, we too.
    let stops_us = form.name == "client|pause" && !form.to_string().contains("WRITE");
    let is_script = form.group == Group::Scripting;
    stops_us || is_script || LEFT_OUT.iter().any(|(name, _)| *name == form.name)
}

#[test]
fn numbers_at_the_edges() {
    let registry = Registry::new(redstart::commands::FAMILIES).expect("a sound command table");
    let only = std::env::var("REDSTART_BOUNDARIES").ok();
    let is_wanted = |form: &Form| only.as_ref().is_none_or(|only| *only == form.name);
    let server = Server::start(&OPTIONS);
    let oracle = Server::start_oracle(&OPTIONS);
    let mut differences = Vec::new();
    for protocol in ["2", "3"] {
        let mut sweep = Sweep::start(&server, oracle.as_ref(), protocol);
        let mut forms = forms::all(&registry);
        forms.retain(|form| is_wanted(form) && !is_left_out(form));
        let forms = sweep.sound(forms);
        let start_bytes = server.rss_bytes();
        for form in &forms {
            sweep.form(form);
        }
        sweep.flush();
        let growth_bytes = server.peak_rss_bytes().saturating_sub(start_bytes);
        println!(
            "RESP{protocol}: {} forms, {} calls, {growth_bytes} bytes more",
            forms.len(),
            sweep.calls
        );
        assert!(growth_bytes < GROWTH_MAX_BYTES, "{growth_bytes} bytes more");
        differences.append(&mut sweep.differences);
    }
    server.connect().check("PING", "+PONG");
    report(&differences);
}

/// Calls that wait, with TIME for how long.
const WAITING: [&str; 8] = [
    "BLMOVE k1 k2 LEFT LEFT TIME",
    "BLMPOP TIME 1 k1 LEFT",
    "BLPOP k1 TIME",
    "BRPOP k1 TIME",
    "BRPOPLPUSH k1 k2 TIME",
    "BZMPOP TIME 1 k1 MIN",
    "BZPOPMAX k1 TIME",
    "BZPOPMIN k1 TIME",
];

#[test]
fn times_to_wait_at_the_edges() {
    let server = Server::start(&[]);
    let oracle = Server::start_oracle(&[]);
    for call in WAITING {
        for time in NUMBERS {
            let ask = |server: &Server| {
                let mut client = server.connect();
                let id = client.id();
                let call = words(call).into_iter().map(|word| match &word[..] {
                    b"TIME" => time.into(),
                    _ => word,
                });
                client.command(&call.collect::<Vec<_>>());
                // What waits is let go; what does not has replied.
                let mut other = server.connect();
                let waited = support::wait("a reply, or waiting", || {
                    let let_go = other.ask(&format!("CLIENT UNBLOCK {id}")) == ":1";
                    (let_go || client.has_reply()).then_some(let_go)
                });
                (waited, client.reply())
            };
            let ours = ask(&server);
            if let Some(oracle) = &oracle {
                assert_eq!(ours, ask(oracle), "{call} with {time:?}");
            }
        }
    }
    server.connect().check("PING", "+PONG");
}

#[test]
fn offsets_past_the_longest_string() {
    let server = Server::start(&[]);
    let oracle = Server::start_oracle(&[]);
    let calls = [
        "SETRANGE k OFFSET x",
        "SETBIT k OFFSET 1",
        "SETBIT k OFFSET 0",
        "BITFIELD k SET u8 OFFSET 1",
        "BITFIELD k INCRBY i64 OFFSET 1",
        "BITFIELD k SET u8 #OFFSET 1",
        "GETBIT k OFFSET",
        "BITFIELD k GET u8 OFFSET",
        "BITFIELD_RO k GET u8 #OFFSET",
        "GETRANGE k OFFSET -1",
        "BITPOS k 1 OFFSET",
        "BITCOUNT k 0 OFFSET BIT",
    ];
    let (mut ours, mut theirs) = (server.connect(), oracle.as_ref().map(Server::connect));
    for call in calls {
        let writes = call.starts_with("SET") || call.contains("SET u8") || call.contains("INCRBY");
        let in_bytes = call.starts_with("SETRANGE") || call.contains('#');
        let end = if in_bytes { 512 << 20 } else { 512 << 23 };
        // Up to there, Redis too would make the string.
        let is_big = |number: &str| {
            number
                .parse()
                .is_ok_and(|at: i64| (1 << 20..end).contains(&at))
        };
        let offsets = NUMBERS.iter().filter(|at| !writes || !is_big(at));
        for offset in offsets {
            let argv = call.split(' ').map(|word| word.replace("OFFSET", offset));
            let argv: Vec<String> = argv.collect();
            ours.command(&argv);
            let reply = ours.reply();
            if let Some(theirs) = &mut theirs {
                theirs.command(&argv);
                assert_eq!(reply, theirs.reply(), "{argv:?}");
            }
        }
    }
    assert!(server.peak_rss_bytes() < GROWTH_MAX_BYTES);
}

/// Fails if there are differences, with some of those of each command.
fn report(differences: &[String]) {
    let command = |text: &str| text.split(' ').next().map(str::to_owned);
    let mut shown: Vec<&String> = Vec::new();
    for difference in differences {
        let same = |other: &&&String| command(other) == command(difference);
        if shown.iter().filter(same).count() < 5 {
            shown.push(difference);
        }
    }
    let text: Vec<&str> = shown.into_iter().map(String::as_str).collect();
    let count = differences.len();
    assert!(count == 0, "{count} differences:\n{}", text.join("\n"));
}
