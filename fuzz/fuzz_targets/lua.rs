//! Scripts: whatever a script does, it comes to an end when it is asked to,
//! gives one reply, and leaves a server behind in which the next one works.
//!
//! A script is made of the input by a grammar, so that most of them do
//! something: they call commands and the libraries, recurse, load chunks, go in
//! and out of coroutines, set metatables, and catch errors.

#![no_main]

#[path = "scripts/mod.rs"]
mod scripts;

use std::cell::RefCell;
use std::fmt::Write;

use libfuzzer_sys::fuzz_target;
use scripts::Engine;

/// Longest script, bytes.
const SCRIPT_BYTES_MAX: usize = 4000;
/// How deep statements and expressions go.
const DEPTH_MAX: u32 = 5;

/// The input, taken byte by byte; behind its end everything is zero.
struct Source<'a> {
    input: &'a [u8],
    text: String,
    depth: u32,
}

const NAMES: &[&str] = &["a", "b", "t", "f", "s", "co"];
const NUMBERS: &[&str] = &[
    "0", "1", "2", "-1", "7", "255", "1000", "2^31", "-2^31", "2^31-1", "2^53", "1/0", "0/0", "-0.5", "1e15", "1e308",
    "4294967296", "-2147483648", "2147483646", "8000",
];
const STRINGS: &[&str] = &[
    "''", "'a'", "'key'", "'10'", "'x y'", "'\\0\\255'", "('ab'):rep(50)", "('x'):rep(5000)", "'return 1'", "'%a+'",
    "'(a*)%1'", "'%f[%w]'", "'{\"a\":[1,2]}'", "'\\147\\1\\2\\3'", "'>i4i8s'", "'return function(...) return ... end'",
];
const PATTERNS: &[&str] = &[
    "a", ".", "%a", "%d", "%s", "%W", "[a-c]", "[^a]", "[]x]", "(", ")", "()", "%1", "%2", "%b()", "%f[%w]", "*", "+",
    "-", "?", "^", "$", "%", "[", "b", "\\0",
];
const TABLES: &[&str] = &[
    "{}", "_G", "redis", "string", "cjson", "math", "KEYS", "ARGV", "getmetatable('')", "getmetatable(_G)", "table",
    "coroutine", "{1,2,3}", "{err='E x'}", "{ok='fine'}", "{double=1.5}", "{map={a=1}}", "{set={a=true}}",
    "{big_number='12'}", "{verbatim_string={format='txt',string='x'}}",
];
/// Functions with their arguments: e expression, n number, s string, t table,
/// f function, p pattern.
const CALLS: &[(&str, &str)] = &[
    ("tostring", "e"), ("tonumber", "en"), ("type", "e"), ("#", "t"), ("unpack", "tnn"), ("select", "nee"),
    ("rawget", "te"), ("rawset", "tee"), ("rawequal", "ee"), ("next", "te"), ("setmetatable", "tt"),
    ("getmetatable", "e"), ("pcall", "fee"), ("xpcall", "ff"), ("error", "en"), ("assert", "ee"), ("load", "f"),
    ("loadstring", "ss"), ("loadstring", "s"), ("collectgarbage", "s"), ("collectgarbage", ""), ("gcinfo", ""),
    ("string.rep", "sn"), ("string.find", "spn"), ("string.find", "ssne"), ("string.match", "sp"),
    ("string.gmatch", "sp"), ("string.gsub", "sps"), ("string.gsub", "spf"), ("string.gsub", "spt"),
    ("string.gsub", "spsn"), ("string.format", "se"), ("string.format", "sne"), ("string.byte", "snn"),
    ("string.char", "nnn"), ("string.sub", "snn"), ("string.reverse", "s"), ("string.dump", "f"),
    ("string.lower", "s"), ("string.len", "s"), ("table.concat", "tsnn"), ("table.insert", "te"),
    ("table.insert", "tne"), ("table.remove", "tn"), ("table.sort", "t"), ("table.sort", "tf"), ("table.maxn", "t"),
    ("table.foreach", "tf"), ("math.random", "nn"), ("math.floor", "n"), ("math.randomseed", "n"),
    ("coroutine.create", "f"), ("coroutine.resume", "ee"), ("coroutine.wrap", "f"), ("coroutine.yield", "e"),
    ("coroutine.status", "e"), ("coroutine.running", ""), ("cjson.encode", "e"), ("cjson.decode", "s"),
    ("cjson.encode_max_depth", "n"), ("cjson.decode_max_depth", "n"), ("cjson.encode_sparse_array", "enn"),
    ("cjson.encode_number_precision", "n"), ("cjson.encode_invalid_numbers", "e"), ("cjson.new", ""),
    ("cmsgpack.pack", "eee"), ("cmsgpack.unpack", "s"), ("cmsgpack.unpack_one", "sn"),
    ("cmsgpack.unpack_limit", "snn"), ("struct.pack", "snns"), ("struct.unpack", "ssn"), ("struct.size", "s"),
    ("bit.band", "nn"), ("bit.tohex", "nn"), ("bit.lshift", "nn"), ("bit.bswap", "n"), ("redis.sha1hex", "s"),
    ("redis.error_reply", "s"), ("redis.status_reply", "s"), ("redis.setresp", "n"), ("redis.set_repl", "n"),
    ("redis.acl_check_cmd", "se"), ("redis.replicate_commands", ""), ("redis.breakpoint", ""), ("redis.debug", "e"),
];
const COMMANDS: &[&str] = &[
    "'SET',K,V", "'GET',K", "'INCR',K", "'APPEND',K,V", "'DEL',K", "'EXPIRE',K,N", "'TTL',K", "'TYPE',K", "'LPUSH',K,V,V",
    "'LRANGE',K,0,-1", "'RPOP',K", "'BLPOP',K,0", "'HSET',K,V,V", "'HGETALL',K", "'HINCRBYFLOAT',K,V,N", "'SADD',K,V,V",
    "'SMEMBERS',K", "'SPOP',K", "'ZADD',K,N,V", "'ZRANGE',K,0,-1,'WITHSCORES'", "'ZINCRBY',K,N,V", "'XADD',K,'*',V,V",
    "'XRANGE',K,'-','+'", "'SORT',K", "'SCAN',0", "'KEYS','*'", "'RANDOMKEY'", "'DUMP',K", "'OBJECT','ENCODING',K",
    "'PING',V", "'ECHO',V", "'TIME'", "'DBSIZE'", "'SELECT',N", "'FLUSHALL'", "'EVAL','return 1',0", "'MULTI'", "'EXEC'",
    "'WATCH',K", "'SUBSCRIBE',K", "'PUBLISH',K,V", "'CLIENT','ID'", "'COMMAND','INFO','GET'", "'GETRANGE',K,N,N",
    "'SETRANGE',K,7,V", "'BITFIELD',K,'GET','u8',0", "'PFADD',K,V", "'PFCOUNT',K", "'GEOADD',K,1,2,V",
    "'NOSUCH',V", "V", "'COPY',K,K", "'SCRIPT','FLUSH'", "'HELLO',3", "'LOLWUT'", "'MEMORY','USAGE',K", "'ACL','WHOAMI'",
];

impl Source<'_> {
    fn byte(&mut self) -> usize {
        match self.input.split_first() {
            Some((byte, rest)) => {
                self.input = rest;
                usize::from(*byte)
            }
            None => 0,
        }
    }

    fn of<'t>(&mut self, choices: &'t [&'t str]) -> &'t str {
        choices[self.byte() % choices.len()]
    }

    fn put(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn put_of(&mut self, choices: &[&str]) {
        let chosen = self.of(choices).to_owned();
        self.put(&chosen);
    }

    /// Whether things must come to an end.
    fn is_full(&self) -> bool {
        self.depth >= DEPTH_MAX || self.text.len() >= SCRIPT_BYTES_MAX || self.input.is_empty()
    }

    fn block(&mut self) {
        self.depth += 1;
        for _ in 0..1 + self.byte() % 4 {
            self.statement();
        }
        self.depth -= 1;
    }

    fn statement(&mut self) {
        if self.is_full() {
            return self.put("a = 1 ");
        }
        match self.byte() % 16 {
            0 | 1 => {
                self.put_of(NAMES);
                self.put(" = ");
                self.expression();
            }
            2 => {
                self.table();
                self.put("[");
                self.expression();
                self.put("] = ");
                self.expression();
            }
            3 => {
                self.put("for i = ");
                self.number();
                self.put(",");
                self.put_of(&["3", "10", "100", "1e9", "-1", "2^53"]);
                self.put(" do ");
                self.block();
                self.put("end");
            }
            4 => {
                self.put("for k, v in pairs(");
                self.table();
                self.put(") do ");
                self.block();
                self.put("end");
            }
            5 => {
                self.put("for k, v in ");
                self.expression();
                self.put(" do ");
                self.block();
                self.put("break end");
            }
            6 => {
                self.put("while ");
                self.expression();
                self.put(" do ");
                self.block();
                self.put_of(&["break ", ""]);
                self.put("end");
            }
            7 => {
                self.put("if ");
                self.expression();
                self.put(" then ");
                self.block();
                self.put("else ");
                self.block();
                self.put("end");
            }
            8 => {
                self.put("f = ");
                self.function();
            }
            9 => {
                self.put("co = coroutine.wrap(");
                self.function();
                self.put(")");
            }
            10 => {
                self.put("s = s .. ");
                self.string();
            }
            11 => {
                self.put("t = {t, t, ");
                self.expression();
                self.put("}");
            }
            12 | 13 => {
                self.put("a = ");
                self.call();
            }
            _ => {
                self.put("b = ");
                self.command();
            }
        }
        self.put("\n");
    }

    fn expression(&mut self) {
        if self.is_full() {
            return self.put_of(NAMES);
        }
        self.depth += 1;
        match self.byte() % 14 {
            0 => self.put_of(NAMES),
            1 => self.number(),
            2 => self.string(),
            3 => self.table(),
            4 => self.function(),
            5 | 6 => self.call(),
            7 => self.command(),
            8 => {
                self.put("(");
                self.expression();
                self.put_of(&[" + ", " - ", " * ", " / ", " % ", " ^ ", " .. ", " == ", " < ", " and ", " or "]);
                self.expression();
                self.put(")");
            }
            9 => {
                self.put_of(&["-", "not ", "#"]);
                self.expression();
            }
            10 => {
                self.table();
                self.put("[");
                self.expression();
                self.put("]");
            }
            11 => {
                self.put_of(&["f(", "co(", "a("]);
                self.expression();
                self.put(")");
            }
            12 => {
                self.put("{");
                for _ in 0..self.byte() % 4 {
                    self.put_of(&["", "x=", "err=", "ok=", "[1.5]=", "__index=", "__newindex=", "__call=", "__gc=", "__mode="]);
                    self.expression();
                    self.put(",");
                }
                self.put("}");
            }
            _ => self.put_of(&["nil", "true", "false", "cjson.null", "...", "_G"]),
        }
        self.depth -= 1;
    }

    fn number(&mut self) {
        self.put_of(NUMBERS);
    }

    fn string(&mut self) {
        match self.byte() % 4 {
            0 => self.put("s"),
            1 => self.pattern(),
            2 => {
                self.put("'");
                for _ in 0..self.byte() % 12 {
                    let byte = self.byte();
                    let _ = write!(self.text, "\\{byte}");
                }
                self.put("'");
            }
            _ => self.put_of(STRINGS),
        }
    }

    fn pattern(&mut self) {
        self.put("('");
        for _ in 0..self.byte() % 10 {
            self.put_of(PATTERNS);
        }
        self.put("')");
        self.put_of(&["", "", ":rep(3)", ":rep(100)", ":rep(3000)"]);
    }

    fn table(&mut self) {
        match self.byte() % 3 {
            0 => self.put("t"),
            1 => self.put_of(TABLES),
            _ => {
                self.put("setmetatable({}, {");
                self.put_of(&["__index=", "__newindex=", "__call=", "__tostring=", "__lt=", "__concat=", "__metatable="]);
                if self.byte() % 2 == 0 {
                    self.function();
                } else {
                    self.put("t");
                }
                self.put("})");
            }
        }
    }

    fn function(&mut self) {
        if self.is_full() {
            return self.put_of(&["f", "tostring", "redis.call", "pcall", "coroutine.yield", "string.rep"]);
        }
        self.put("function(...) ");
        self.block();
        self.put_of(&["", "return f(...) ", "return ... ", "return 1 + f(...) ", "error(a) ", "return pcall(f, ...) "]);
        self.put("end");
    }

    fn argument(&mut self, kind: u8) {
        match kind {
            b'n' => self.number(),
            b's' => self.string(),
            b't' => self.table(),
            b'f' => self.function(),
            b'p' => self.pattern(),
            _ => self.expression(),
        }
    }

    fn call(&mut self) {
        let (name, arguments) = CALLS[self.byte() % CALLS.len()];
        if name == "#" {
            self.put("#");
            return self.table();
        }
        self.put(name);
        self.put("(");
        let swapped = self.byte() % 16 == 0;
        for (index, kind) in arguments.bytes().enumerate() {
            if index > 0 {
                self.put(",");
            }
            self.argument(if swapped { b'e' } else { kind });
        }
        self.put(")");
    }

    fn command(&mut self) {
        self.put_of(&["redis.call(", "redis.pcall(", "pcall(redis.call,"]);
        let words = self.of(COMMANDS).to_owned();
        for (index, word) in words.split(',').enumerate() {
            if index > 0 {
                self.put(",");
            }
            match word {
                "K" => self.put_of(&["'k1'", "'k2'", "'k3'"]),
                "V" if self.depth < DEPTH_MAX => self.string(),
                "V" => self.put("'v'"),
                "N" => self.number(),
                word => self.put(word),
            }
        }
        self.put(")");
    }
}

/// The script of an input.
fn script(input: &[u8]) -> String {
    let text = "local a, b, t, f, s, co = 1, 'b', {1, 2}, tostring, 'str', print\n";
    let text = text.replace("print", "function() end");
    let mut source = Source { input, text, depth: 0 };
    for _ in 0..12 {
        if source.input.is_empty() {
            break;
        }
        source.statement();
    }
    source.put("return {");
    source.expression();
    source.put(", a, b, t}");
    source.text
}

thread_local! {
    static ENGINE: RefCell<Engine> = RefCell::new(Engine::new());
}

fuzz_target!(|data: &[u8]| {
    // One in 16 is a script as it is.
    let text = match data.split_first() {
        Some((byte, rest)) if byte % 16 == 15 => rest.to_vec(),
        _ => script(data).into_bytes(),
    };
    if std::env::var_os("SHOW_SCRIPT").is_some() {
        eprintln!("{}", text.escape_ascii().to_string().replace("\\n", "\n"));
    }
    let reply = ENGINE.with_borrow_mut(|engine| engine.eval(&text, &[b"arg"]));
    if std::env::var_os("SHOW_SCRIPT").is_some() {
        eprintln!("{}", reply.escape_ascii());
    }
});
