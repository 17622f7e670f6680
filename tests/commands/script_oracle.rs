//! Random values through the conversions, libraries and patterns of scripts,
//! here and in redis-server.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::support::Server;

/// Scripts compared in one run, each with values of its own.
const SCRIPTS: usize = 100_000;
/// So many are sent at once.
const BATCH: usize = 100;
/// Batches after which the servers forget the scripts.
const FORGOTTEN_AFTER: usize = 50;

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

    /// A number of any kind, as text.
    fn number(&mut self) -> String {
        let rng = &mut self.0;
        match rng.random_range(0..8) {
            0 => rng.random_range(-300..300).to_string(),
            1 => f64::from_bits(rng.random()).to_string(),
            2 => format!("{:e}", f64::from_bits(rng.random())),
            3 => format!("{}", f64::from(rng.random::<f32>()) * 1000.0),
            4 => (1_i128 << rng.random_range(0..70)).to_string(),
            5 => (-(1_i128 << rng.random_range(0..70)) - 1).to_string(),
            6 => (rng.random::<i64>() >> rng.random_range(0..60)).to_string(),
            _ => format!("{}.5e{}", rng.random_range(0..9), rng.random_range(-30..30)),
        }
    }

    /// A number as scripts write it.
    fn literal(&mut self) -> String {
        format!("tonumber('{}')", self.number())
    }

    fn value(&mut self, depth: u32) -> String {
        if depth > 3 || self.0.random_bool(0.5) {
            return match self.0.random_bool(0.3) {
                true => self.literal(),
                false => self.of(ATOMS).to_owned(),
            };
        }
        let count = self.0.random_range(0..4);
        let keyed = self.0.random_bool(0.5);
        let parts: Vec<String> = (0..count)
            .map(|_| match keyed {
                true => format!("{}={}", self.of(KEYS), self.value(depth + 1)),
                false => self.value(depth + 1),
            })
            .collect();
        format!("{{{}}}", parts.join(","))
    }

    fn json(&mut self, depth: u32) -> String {
        if depth > 3 || self.0.random_bool(0.5) {
            return match self.0.random_bool(0.4) {
                true => self.number(),
                false => self.of(JSON).to_owned(),
            };
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
            // Others take no width.
            let has_width = b"iIc".contains(&OPTIONS.as_bytes()[at]) || rng.random_bool(0.05);
            let widths = ["", "", "1", "3", "8", "16"];
            let after = if has_width {
                widths[rng.random_range(0..6)]
            } else {
                ""
            };
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

    /// Bytes with a few of them changed.
    fn damaged(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..self.0.random_range(0..3) {
            if !bytes.is_empty() {
                let at = self.0.random_range(0..bytes.len());
                match self.0.random_range(0..4) {
                    0 => bytes.truncate(at),
                    1 => bytes[at] = self.of(&["\0", "\"", "\\", "]", "}", "-", "e"]).as_bytes()[0],
                    _ => bytes[at] = self.0.random(),
                }
            }
        }
        bytes
    }

    /// A value of MessagePack: mostly well formed.
    fn packed(&mut self, depth: u32, keys_max: usize, out: &mut Vec<u8>) {
        let kind = self.0.random_range(0..if depth > 3 { 8 } else { 11 });
        let count = self.0.random_range(0..4_usize);
        match kind {
            0 => out.push(self.0.random_range(0..0x80)),
            // One that may take what follows for its own.
            1 if keys_max == 1 => out.push(self.0.random_range(0xc0..=0xdd)),
            1 => out.push(0xc3),
            2 => out.push(self.0.random_range(0xe0..=0xff)),
            3 => {
                let width = self.0.random_range(0..4);
                out.push(0xcc + width + 4 * u8::from(self.0.random_bool(0.5)));
                (0..1 << width).for_each(|_| out.push(self.0.random()));
            }
            4 => {
                out.push(0xca);
                (0..4).for_each(|_| out.push(self.0.random()));
            }
            5 => {
                out.push(0xcb);
                out.extend(self.0.random::<f64>().to_be_bytes());
            }
            6 => {
                out.push(0xa0 + count as u8);
                out.extend(&b"abc"[..count]);
            }
            7 => out.extend([0xd9, count as u8].iter().chain(&b"xyz"[..count])),
            8 => {
                out.push(0x90 + count as u8);
                (0..count).for_each(|_| self.packed(depth + 1, keys_max, out));
            }
            9 => {
                let count = count.min(keys_max);
                out.push(0x80 + count as u8);
                for key in 0..count {
                    out.extend([0xa1, b'a' + key as u8]);
                    self.packed(depth + 1, keys_max, out);
                }
            }
            _ => {
                out.extend([0xdc, 0, count as u8]);
                (0..count).for_each(|_| self.packed(depth + 1, keys_max, out));
            }
        }
    }

    /// A pattern, well formed or not.
    fn pattern(&mut self) -> Vec<u8> {
        let count = self.0.random_range(0..6);
        let parts = (0..count).map(|_| self.of(PATTERN_PARTS).to_owned() + self.of(REPETITIONS));
        parts.collect::<String>().into_bytes()
    }

    fn text(&mut self) -> Vec<u8> {
        let count = self.0.random_range(0..12);
        const BYTES: &[u8] = b"aab1 (]%\0xX.\xe9";
        let byte = |rng: &mut SmallRng| BYTES[rng.random_range(0..BYTES.len())];
        (0..count).map(|_| byte(&mut self.0)).collect()
    }

    /// Settings of `cjson`, which a script takes back when it has ended well.
    fn cjson_settings(&mut self) -> String {
        let set = self.of(&[
            "encode_sparse_array(true)",
            "encode_sparse_array(false,1,2)",
            "encode_sparse_array(true,0,0)",
            "encode_max_depth(2)",
            "decode_max_depth(2)",
            "encode_number_precision(3)",
            "encode_number_precision(14)",
            "encode_keep_buffer(false)",
            "encode_invalid_numbers(true)",
            "encode_invalid_numbers('null')",
            "decode_invalid_numbers(false)",
        ]);
        let name = set.split('(').next().unwrap_or_default();
        let back = match name {
            "encode_sparse_array" => "(false,2,10)",
            "encode_max_depth" | "decode_max_depth" => "(1000)",
            "encode_number_precision" => "(14)",
            "encode_invalid_numbers" => "(false)",
            _ => "(true)",
        };
        format!(
            "local was={{cjson.{set}}} local good,text=pcall(CALL) cjson.{name}{back} \
             return {{good,text,was[1],was[2],was[3]}}"
        )
    }

    /// A script and its arguments.
    fn script(&mut self) -> (String, Vec<Vec<u8>>) {
        let none = Vec::new();
        match self.0.random_range(0..13) {
            0 => (format!("return cjson.encode({})", self.value(0)), none),
            1 => {
                let script = "return cjson.encode(cjson.decode(ARGV[1]))";
                let json = self.json(0).into_bytes();
                (script.to_owned(), vec![self.damaged(json)])
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
                let (format, numbers) = (self.format(), [(); 3].map(|()| self.literal()));
                let numbers = numbers.join(",");
                let script = format!("return struct.pack('{format}',{numbers},'12')");
                (script, none)
            }
            6 => {
                let unpack = "struct.unpack(ARGV[1],ARGV[2])";
                let script = format!("return {{cjson.encode({{{unpack}}}),{unpack}}}");
                (script, vec![self.format().into_bytes(), self.bytes()])
            }
            7 => {
                let numbers = ["1", "-1", "2^31", "2^40+3", "1.5", "-2^31", "'7'", "33"];
                let (a, b) = (self.of(&numbers), self.literal());
                (format!("return {{bit.{}({a},{b})}}", self.of(BITS)), none)
            }
            8 => {
                let mut bytes = Vec::new();
                // A table as a key has its place by its address, so damage could change
                // the order of several.
                let sound = self.0.random_bool(0.5);
                let keys_max = if sound { 3 } else { 1 };
                (0..3).for_each(|_| self.packed(0, keys_max, &mut bytes));
                if !sound {
                    bytes = self.damaged(bytes);
                    bytes
                        .iter_mut()
                        .filter(|byte| matches!(byte, 0x82..0x90 | 0xde..0xe0))
                        .for_each(|byte| *byte = 0);
                }
                let start = self.0.random_range(0..4);
                let of = [
                    "unpack(ARGV[1])",
                    "unpack_one(ARGV[1],AT)",
                    "unpack_limit(ARGV[1],2,AT)",
                ];
                let call = self.of(&of).replace("AT", &start.to_string());
                let script = format!("return cmsgpack.pack(cmsgpack.{call})");
                (script, vec![bytes])
            }
            9 => {
                let settings = self.cjson_settings();
                let call = match self.0.random_bool(0.5) {
                    true => format!("cjson.encode,{}", self.value(0)),
                    false => "function() return cjson.encode(cjson.decode(ARGV[1])) end".to_owned(),
                };
                (
                    settings.replace("CALL", &call),
                    vec![self.json(0).into_bytes()],
                )
            }
            10 => {
                let script = "local n=tonumber(ARGV[1]) redis.call('SET','n',n) \
                              return {redis.call('GET','n'),tostring(n),n,cjson.encode(n)}";
                (script.to_owned(), vec![self.number().into_bytes()])
            }
            11 => {
                let of = [
                    "string.find(ARGV[1],ARGV[2])",
                    "string.find(ARGV[1],ARGV[2],-3)",
                    "string.find(ARGV[1],ARGV[2],2,true)",
                    "string.match(ARGV[1],ARGV[2])",
                    "string.match(ARGV[1],ARGV[2],3)",
                    "string.gsub(ARGV[1],ARGV[2],'<%1%0%%>')",
                    "string.gsub(ARGV[1],ARGV[2],'<%0>',2)",
                    "string.gsub(ARGV[1],ARGV[2],string.upper)",
                    "string.gsub(ARGV[1],ARGV[2],function(a,b) return b and a end)",
                    "string.gsub(ARGV[1],ARGV[2],{a='A',ab='AB',['1']=1})",
                ];
                let script = format!("return {{{}}}", self.of(&of));
                (script, vec![self.text(), self.pattern()])
            }
            _ => {
                let script = "local all={} for a,b in string.gmatch(ARGV[1],ARGV[2]) do \
                              all[#all+1]=a all[#all+1]=b or '-' end return all";
                (script.to_owned(), vec![self.text(), self.pattern()])
            }
        }
    }
}

const PATTERN_PARTS: &[&str] = &[
    "a", "b", ".", "%a", "%d", "%s", "%W", "%z", "%%", "[a-c]", "[^a]", "[]x]", "[%a1]", "[^%s-]",
    "(a)", "(.", ")", "()", "(", "%1", "%2", "%b()", "%f[%w]", "%f[", "^", "$", "[", "%", "x",
    "(%w*)",
];
const REPETITIONS: &[&str] = &["", "", "", "", "*", "+", "-", "?"];

/// Differences that are shown.
const SHOWN: usize = 10;

#[test]
fn random_scripts_reply_as_in_redis() {
    let Some(oracle) = Server::start_oracle(&[]) else {
        return;
    };
    let server = Server::start(&[]);
    let seed = rand::rng().random();
    let mut generator = Generator(SmallRng::seed_from_u64(seed));
    let (mut ours, mut theirs) = (server.connect(), oracle.connect());
    let mut differences = Vec::new();
    for batch in 0..SCRIPTS / BATCH {
        for client in [&mut ours, &mut theirs] {
            if batch == SCRIPTS / BATCH / 2 {
                assert!(client.ask("HELLO 3").contains("$proto :3"));
            }
            if batch % FORGOTTEN_AFTER == 0 {
                client.check("SCRIPT FLUSH SYNC", "+OK");
            }
        }
        let scripts: Vec<_> = (0..BATCH).map(|_| generator.script()).collect();
        for (script, args) in &scripts {
            let mut words = vec![&b"EVAL"[..], script.as_bytes(), b"0"];
            words.extend(args.iter().map(|arg| &arg[..]));
            ours.command(&words);
            theirs.command(&words);
        }
        for (script, args) in &scripts {
            let (found, expected) = (ours.reply_bytes(), theirs.reply_bytes());
            if found != expected {
                let args: Vec<_> = args
                    .iter()
                    .map(|arg| arg.escape_ascii().to_string())
                    .collect();
                differences.push(format!(
                    "{script} with {args:?}:\nours  {}\nredis {}",
                    found.escape_ascii(),
                    expected.escape_ascii()
                ));
            }
        }
        if differences.len() >= SHOWN {
            break;
        }
    }
    let differences = differences.join("\n");
    assert!(differences.is_empty(), "seed {seed}:\n{differences}");
}
