//! Random values through the conversions and libraries of scripts, here and in
//! redis-server.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::support::Server;

/// Scripts compared in one run.
const SCRIPTS: usize = 4000;

const ATOMS: &[&str] = &[
    "nil",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "3.5",
    "1e14",
    "1e15",
    "2^31",
    "2^32",
    "2^53",
    "2^63",
    "-2^31-1",
    "1/3",
    "1e300",
    "-129",
    "65536",
    "'abc'",
    "''",
    "'a\"b/\\\\'",
    "'\\1\\127\\200'",
    "cjson.null",
    "('x'):rep(32)",
    "('x'):rep(256)",
];
const KEYS: &[&str] = &[
    "a", "b", "[1]", "[2]", "[5]", "[30]", "[1.5]", "[-1]", "ok", "err", "double", "map", "set",
];
const JSON: &[&str] = &[
    "1",
    "-1",
    "1.5",
    "1e5",
    "01",
    "0x1F",
    "+1",
    "inf",
    "-nan",
    "Infinity",
    "true",
    "false",
    "null",
    "nul",
    "\"a\"",
    "\"\\u0041\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "\"\\x\"",
    "\"abc",
    "[",
    "1 2",
    " 7 ",
    "-",
    "1.",
    "tru",
];
const OPTIONS: &str = "bBhHlLTiIfdxcs";
const BITS: &[&str] = &[
    "band", "bor", "bxor", "lshift", "rshift", "arshift", "rol", "ror", "tohex", "bnot", "bswap",
];

struct Generator(SmallRng);

impl Generator {
    fn of<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.0.random_range(0..from.len())]
    }

    fn value(&mut self, depth: u32) -> String {
        if depth > 3 || self.0.random_bool(0.5) {
            return self.of(ATOMS).to_owned();
        }
        let count = self.0.random_range(0..4);
        let keyed = self.0.random_bool(0.5);
        let parts: Vec<String> = (0..count)
            .map(|_| match keyed {
                true => format!("{}={}", self.of(KEYS), self.value(depth + 1)),
                false => self.value(depth + 1),
            })
            .take(if keyed { 1 } else { 4 })
            .collect();
        format!("{{{}}}", parts.join(","))
    }

    fn json(&mut self, depth: u32) -> String {
        if depth > 3 || self.0.random_bool(0.5) {
            return self.of(JSON).to_owned();
        }
        let count = self.0.random_range(0..4);
        let parts: Vec<String> = (0..count).map(|_| self.json(depth + 1)).collect();
        match self.0.random_bool(0.7) {
            true => format!("[{}]", parts.join(",")),
            false => format!("{{\"k\":[{}]}}", parts.join(" ,")),
        }
    }

    fn format(&mut self) -> String {
        let count = self.0.random_range(1..5);
        let option = |rng: &mut SmallRng| {
            let at = rng.random_range(0..OPTIONS.len());
            let before = ["", "", "<", ">", "!4", " "][rng.random_range(0..6)];
            let after = ["", "", "1", "3", "8", "16"][rng.random_range(0..6)];
            format!("{before}{}{after}", &OPTIONS[at..=at])
        };
        (0..count).map(|_| option(&mut self.0)).collect()
    }

    fn bytes(&mut self) -> Vec<u8> {
        let count = self.0.random_range(0..24);
        let heads = [0x91, 0x81, 0xa1, 0x92, 0xcc, 0xd9, 0, 1];
        let byte = |rng: &mut SmallRng| match rng.random_bool(0.5) {
            true => heads[rng.random_range(0..heads.len())],
            false => rng.random(),
        };
        (0..count).map(|_| byte(&mut self.0)).collect()
    }

    /// A script and its arguments.
    fn script(&mut self) -> (String, Vec<Vec<u8>>) {
        let none = Vec::new();
        match self.0.random_range(0..8) {
            0 => (format!("return cjson.encode({})", self.value(0)), none),
            1 => {
                let script = "return cjson.encode(cjson.decode(ARGV[1]))";
                (script.to_owned(), vec![self.json(0).into_bytes()])
            }
            2 => (format!("return cmsgpack.pack({})", self.value(0)), none),
            3 => {
                let script = "return {cmsgpack.unpack(ARGV[1])}";
                (script.to_owned(), vec![self.bytes()])
            }
            4 => {
                let version = self.0.random_range(2..4);
                let value = self.value(0);
                (format!("redis.setresp({version}) return {value}"), none)
            }
            5 => {
                let format = self.format();
                let script = format!("return struct.pack('{format}', 300, -5, 3.7, '12')");
                (script, none)
            }
            6 => {
                let script = "return {struct.unpack(ARGV[1], ARGV[2])}";
                (
                    script.to_owned(),
                    vec![self.format().into_bytes(), self.bytes()],
                )
            }
            _ => {
                let numbers = ["1", "-1", "2^31", "2^40+3", "1.5", "-2^31", "'7'", "33"];
                let (a, b) = (self.of(&numbers), self.of(&numbers));
                (format!("return {{bit.{}({a},{b})}}", self.of(BITS)), none)
            }
        }
    }
}

#[test]
fn random_scripts_reply_as_in_redis() {
    let Some(oracle) = Server::start_oracle(&[]) else {
        return;
    };
    let server = Server::start(&[]);
    let seed = rand::rng().random();
    let mut generator = Generator(SmallRng::seed_from_u64(seed));
    let (mut ours, mut theirs) = (server.connect(), oracle.connect());
    for index in 0..SCRIPTS {
        if index == SCRIPTS / 2 {
            for client in [&mut ours, &mut theirs] {
                assert!(client.ask("HELLO 3").contains("$proto :3"));
            }
        }
        let (script, args) = generator.script();
        let mut words = vec![b"EVAL".to_vec(), script.clone().into_bytes(), b"0".to_vec()];
        words.extend(args);
        ours.command(&words);
        theirs.command(&words);
        let (found, expected) = (ours.reply_bytes(), theirs.reply_bytes());
        assert!(
            found == expected,
            "seed {seed}: {script} with {:?}:\nours  {}\nredis {}",
            &words[3..],
            found.escape_ascii(),
            expected.escape_ascii()
        );
    }
}
