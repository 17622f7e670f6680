//! The arguments of a call, from the notation of its row.

use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use redstart::command::docs::{Arg, ArgKind};
use redstart::command::table::Group;

use super::pools;

/// A call being made.
pub struct Draft<'a> {
    /// Chance.
    pub rng: &'a mut SmallRng,
    /// Points in time may be over.
    pub past: bool,
    /// What the command is about.
    pub group: Group,
    /// A negative count asks for that many elements, always.
    pub generous: bool,
    /// Where the number of keys is to stand that come next.
    pub count_at: Option<usize>,
    /// The arguments so far.
    pub words: Vec<Vec<u8>>,
    /// The keys among them.
    pub keys: Vec<Vec<u8>>,
}

impl Draft<'_> {
    /// Adds an argument.
    pub fn arg(&mut self, arg: &Arg) {
        if arg.optional && self.rng.random_ratio(6, 10) {
            return;
        }
        let times = match arg.multiple {
            true => self
                .rng
                .random_range(1..=4)
                .min(self.rng.random_range(1..=4)),
            false => 1,
        };
        for time in 0..times {
            if let Some(token) = arg.token
                && (time == 0 || arg.multiple_token)
            {
                let token = in_any_case(self.rng, token);
                self.words.push(token);
            }
            self.value(arg);
        }
    }

    fn value(&mut self, arg: &Arg) {
        let rng = &mut *self.rng;
        let word = match (&arg.kind, &*arg.name) {
            (ArgKind::PureToken, _) => return,
            (ArgKind::OneOf(parts), _) => {
                let part = &parts[rng.random_range(0..parts.len())];
                // An ID that depends on the time would be another one there.
                let timed = part.name == "auto_id";
                if timed || part.name == "id" && parts[0].name == "auto_id" {
                    return self.words.push(pools::new_entry_id(rng));
                }
                return self.arg(part);
            }
            (ArgKind::Block(_), "streams") => return self.streams(),
            (ArgKind::Block(parts), _) => return parts.iter().for_each(|part| self.arg(part)),
            (ArgKind::Key, _) => {
                let key = pools::key_for(rng, self.group);
                self.keys.push(key.clone());
                key
            }
            (ArgKind::String | ArgKind::Integer, name)
                if self.group == Group::Stream && is_of_streams(name) =>
            {
                pools_of_streams(rng, name)
            }
            (ArgKind::Integer, "offset") if self.group == Group::Bitmap => pools::bit_offset(rng),
            (ArgKind::Integer, "bit" | "value") if self.group == Group::Bitmap => pools::bit(rng),
            (ArgKind::String, "encoding") => pools::bit_field_type(rng),
            (ArgKind::String, "operation") => pools::bit_operation(rng),
            (ArgKind::String, "subcommand") => pools::hyperloglog_subcommand(rng),
            (ArgKind::Integer, "count") if self.generous => pools::sample_count(rng),
            (ArgKind::Integer, "seconds") => pools::time_to_live(rng, 1),
            (ArgKind::Integer, "milliseconds" | "ttl") => pools::time_to_live(rng, 1000),
            (ArgKind::UnixTime, name) if name.contains("milliseconds") => {
                pools::unix_time(rng, 1000, self.past)
            }
            (ArgKind::UnixTime, _) => pools::unix_time(rng, 1, self.past),
            (ArgKind::Integer, "protover") => pools::protocol(rng),
            (ArgKind::Integer, "db" | "destination-db" | "index1" | "index2" | "index") => {
                pools::database(rng)
            }
            (ArgKind::Integer, _) => pools::integer(rng),
            (ArgKind::Double, "timeout") => pools::timeout(rng),
            (ArgKind::Double, "min" | "max") => pools::score_bound(rng),
            (ArgKind::Double, "longitude") => pools::degrees(rng, 180.0),
            (ArgKind::Double, "latitude") => pools::degrees(rng, 85.0),
            (ArgKind::Double, "radius" | "width" | "height") => pools::distance(rng),
            (ArgKind::String, "min" | "max" | "start" | "stop") => pools::range_bound(rng),
            (ArgKind::Double, _) => pools::float(rng),
            (ArgKind::Pattern, _) => pools::pattern(rng),
            (ArgKind::String, "serialized-value") => pools::payload(rng),
            (ArgKind::String, "type") => pools::type_name(rng),
            (ArgKind::String, "username") => pools::user(rng),
            (ArgKind::String, _) => pools::value(rng),
        };
        self.words.push(word);
    }

    /// Streams, then as many IDs.
    fn streams(&mut self) {
        let count = self
            .rng
            .random_range(1..=3)
            .min(self.rng.random_range(1..=3));
        for _ in 0..count {
            let key = pools::key_for(self.rng, self.group);
            self.keys.push(key.clone());
            self.words.push(key);
        }
        for _ in 0..count {
            let id = pools::read_id(self.rng);
            self.words.push(id);
        }
    }

    /// Where scores differ, Redis leaves open what a range of members is: such
    /// calls take sorted sets of one score, and some calls fill those. True when
    /// it is such a call.
    pub fn in_order_of_members(&mut self, name: &str) -> bool {
        let by_name = matches!(
            name,
            "zlexcount" | "zrangebylex" | "zrevrangebylex" | "zremrangebylex"
        );
        let is_bylex = |word: &Vec<u8>| word.eq_ignore_ascii_case(b"bylex");
        let fills = name == "zadd" && self.rng.random_ratio(1, 6);
        if fills {
            let members = (0..self.rng.random_range(1..5)).map(|_| pools::value(self.rng));
            let pairs = members.flat_map(|member| [b"0".to_vec(), member]);
            self.words = [b"lex:0".to_vec()].into_iter().chain(pairs).collect();
        } else if !by_name && !self.words.iter().any(is_bylex) {
            return false;
        }
        let source = usize::from(name == "zrangestore");
        let key = format!("lex:{}", self.rng.random_range(0..3)).into_bytes();
        if let Some(word) = self.words.get_mut(source) {
            *word = key.clone();
            self.keys = vec![key];
        }
        for word in self.words.iter_mut().skip(source + 1).take(2) {
            if !fills {
                *word = pools::member_bound(self.rng);
            }
        }
        true
    }

    /// What is stored or left must not be a matter of chance, nor of the order
    /// of a hash table. True when it would be in such a call.
    pub fn leaves_no_choice(&mut self, name: &str) -> bool {
        match name {
            "spop" => {
                self.words.truncate(1);
                self.words.push(b"100000".to_vec());
            }
            "sort" => {
                let has = |word: &str| {
                    let is_it = |other: &Vec<u8>| other.eq_ignore_ascii_case(word.as_bytes());
                    self.words.iter().any(is_it)
                };
                if has("by") && has("store") {
                    self.words
                        .retain(|word| !word.eq_ignore_ascii_case(b"alpha"));
                }
            }
            _ => return false,
        }
        true
    }

    /// Makes the call wrong, or at least unusual.
    pub fn mutate(&mut self, careful: bool) {
        let count = self.words.len();
        let choice = match careful {
            true => self.rng.random_range(0..4),
            false => self.rng.random_range(0..8),
        };
        match choice {
            0 => drop(self.words.pop()),
            1 => {
                let tokens = [
                    "NX",
                    "XX",
                    "GET",
                    "LEN",
                    "COUNT",
                    "DB",
                    "REPLACE",
                    "WITHSCORES",
                    "nosuch",
                    "",
                ];
                let token = pools::one(self.rng, &tokens).into();
                self.words.push(token);
            }
            2 if count > 0 => {
                // Nothing that could be taken for a time.
                let at = self.rng.random_range(0..count);
                self.words[at] = b"word".to_vec();
            }
            3 if count > 0 => {
                let at = self.rng.random_range(0..count);
                let again = self.words[at].clone();
                self.words.push(again);
            }
            4 if count > 0 => drop(self.words.remove(self.rng.random_range(0..count))),
            5 if count > 0 => {
                let at = self.rng.random_range(0..count);
                self.words[at] = pools::value(self.rng);
            }
            6 => self.words.shuffle(self.rng),
            _ => {
                let value = pools::value(self.rng);
                self.words.push(value);
            }
        }
    }
}

fn is_of_streams(name: &str) -> bool {
    !matches!(name, "count" | "field" | "value")
}

fn pools_of_streams(rng: &mut SmallRng, name: &str) -> Vec<u8> {
    match name {
        "group" | "groupname" | "consumer" | "consumername" => pools::consumer(rng),
        "id" | "last-id" | "max_deleted_entry_id" => pools::entry_id(rng),
        "start" | "end" => pools::id_bound(rng),
        "min-idle-time" => pools::min_idle(rng),
        "milliseconds" => pools::block_time(rng),
        "threshold" => pools::threshold(rng),
        _ => pools::integer(rng),
    }
}

/// A word in lower, upper or mixed case.
pub fn in_any_case(rng: &mut SmallRng, word: &str) -> Vec<u8> {
    match rng.random_range(0..4) {
        0 => word.to_ascii_lowercase().into(),
        1 => word
            .bytes()
            .map(|byte| match rng.random() {
                true => byte.to_ascii_lowercase(),
                false => byte.to_ascii_uppercase(),
            })
            .collect(),
        _ => word.into(),
    }
}
