//! Functions; every transcript is checked against redis-server too, where there
//! is one.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::support::{Client, Server, wait};

fn on_both(transcript: impl Fn(&Server)) {
    transcript(&Server::start(&[]));
    if let Some(oracle) = Server::start_oracle(&[]) {
        transcript(&oracle);
    }
}

/// The reply to loading a library in place of the one of its name.
#[track_caller]
fn load(c: &mut Client, code: &str) -> String {
    c.command(&["FUNCTION", "LOAD", "REPLACE", code]);
    c.reply()
}

/// Loads a library of the function `f` with this body.
#[track_caller]
fn define(c: &mut Client, body: &str) {
    let code =
        format!("#!lua name=lib\nredis.register_function('f', function(keys, args) {body}\nend)");
    assert_eq!(load(c, &code), "$lib");
}

#[track_caller]
fn steps(c: &mut Client, steps: &[(&[&str], &str)]) {
    for (words, expected) in steps {
        c.command(words);
        assert_eq!(c.reply(), *expected, "the reply to {words:?}");
    }
}

#[test]
fn functions_are_called_by_name() {
    on_both(|server| {
        let mut c = server.connect();
        define(&mut c, "return {keys, args}");
        steps(
            &mut c,
            &[
                (&["FCALL", "f", "1", "k", "a", "b"], "*2 *1 $k *2 $a $b"),
                (&["FCALL", "F", "0"], "*2 *0 *0"),
                (&["FCALL", "g", "x"], "-ERR Function not found"),
                (&["FCALL", "f", "x"], "-ERR Bad number of keys provided"),
                (
                    &["FCALL", "f", "2", "k"],
                    "-ERR Number of keys can't be greater than number of args",
                ),
                (
                    &["FCALL", "f", "-1"],
                    "-ERR Number of keys can't be negative",
                ),
                (
                    &["FCALL_RO", "f", "0"],
                    "-ERR Can not execute a script with write flag using *_ro command.",
                ),
                (
                    &["COMMAND", "GETKEYS", "FCALL", "f", "1", "k", "a"],
                    "*1 $k",
                ),
            ],
        );
        define(&mut c, "return redis.call('SET', keys[1], args[1])");
        c.check("FCALL f 1 k v", "+OK");
        c.check("GET k", "$v");
        define(&mut c, "local a\nreturn a.b");
        c.check(
            "FCALL f 0",
            "-ERR user_function:3: attempt to index local 'a' (a nil value) script: f, on \
             @user_function:3.",
        );
    });
}

#[test]
fn libraries_say_what_they_are() {
    on_both(|server| {
        let mut c = server.connect();
        let body = "\nredis.register_function('q', function() return 1 end)";
        let rule = "-ERR Library names can only contain letters, numbers, or underscores(_) and \
                    must be at least one character long";
        for (line, expected) in [
            ("#!lua name=q", "$q"),
            ("#!LUA NAME=\"q\"", "$q"),
            ("#!lua", "-ERR Library name was not given"),
            ("lua", "-ERR Missing library metadata"),
            ("#!lua name='q", "-ERR Invalid library metadata"),
            ("#!lua name=", rule),
            ("#!js name=a-b", rule),
            ("#!js name=q", "-ERR Engine 'js' not found"),
            (
                "#!lua name=a name=b",
                "-ERR Invalid metadata value, name argument was given multiple times",
            ),
            ("#!lua name=q x=y", "-ERR Invalid metadata value given: x=y"),
        ] {
            assert_eq!(load(&mut c, &format!("{line}{body}")), expected, "{line}");
        }
        assert_eq!(
            load(&mut c, "#!lua name=q"),
            "-ERR Invalid library metadata"
        );
        c.command(&["FUNCTION", "LOAD", &format!("#!lua name=q{body}")]);
        c.check_reply("-ERR Library 'q' already exists");
        c.command(&["FUNCTION", "LOAD", &format!("#!lua name=r{body}")]);
        c.check_reply("-ERR Function q already exists");
        c.command(&["FUNCTION", "LOAD", "NOW", "x"]);
        c.check_reply("-ERR Unknown option given: NOW");
    });
}

#[test]
fn functions_are_registered_when_a_library_is_loaded() {
    on_both(|server| {
        let mut c = server.connect();
        let failed = |text: &str| format!("-ERR Error registering functions: {text}");
        let f = "function() return 1 end";
        for (body, expected) in [
            ("return 1", "-ERR No functions registered".to_owned()),
            (
                "return 1 +",
                "-ERR Error compiling function: user_function:2: unexpected symbol near '<eof>'"
                    .to_owned(),
            ),
            (
                "redis.call('PING')",
                failed(
                    "ERR user_function:2: Script attempted to access nonexistent global variable \
                     'call'",
                ),
            ),
            (
                "return math.random()",
                failed(
                    "ERR user_function:2: Script attempted to access nonexistent global variable \
                     'math'",
                ),
            ),
            (
                "a = 1",
                failed("ERR user_function:2: Attempt to modify a readonly table"),
            ),
            (
                "redis.register_function()",
                failed("ERR wrong number of arguments to redis.register_function"),
            ),
            (
                "redis.register_function('f')",
                failed(
                    "ERR calling redis.register_function with a single argument is only \
                     applicable to Lua table (representing named arguments).",
                ),
            ),
            (
                "redis.register_function({}, 1)",
                failed("ERR first argument to redis.register_function must be a string"),
            ),
            (
                "redis.register_function('f', 1)",
                failed("ERR second argument to redis.register_function must be a function"),
            ),
            (
                &format!("redis.register_function('f', {f}) redis.register_function('f', {f})"),
                failed("ERR Function already exists in the library"),
            ),
            (
                &format!("redis.register_function('a b', {f})"),
                failed(
                    "ERR Library names can only contain letters, numbers, or underscores(_) and \
                     must be at least one character long",
                ),
            ),
            (
                "redis.register_function{function_name='f'}",
                failed("ERR redis.register_function must get a callback argument"),
            ),
            (
                &format!("redis.register_function{{callback={f}}}"),
                failed("ERR redis.register_function must get a function name argument"),
            ),
            (
                "redis.register_function{callback=1}",
                failed("ERR callback argument given to redis.register_function must be a function"),
            ),
            (
                "redis.register_function{description={}}",
                failed(
                    "ERR description argument given to redis.register_function must be a string",
                ),
            ),
            (
                "redis.register_function{function_name={}}",
                failed(
                    "ERR function_name argument given to redis.register_function must be a string",
                ),
            ),
            (
                "redis.register_function{flags='x'}",
                failed(
                    "ERR flags argument to redis.register_function must be a table representing \
                     function flags",
                ),
            ),
            (
                "redis.register_function{flags={'x'}}",
                failed("ERR unknown flag given"),
            ),
            (
                "redis.register_function{x=1}",
                failed("ERR unknown argument given to redis.register_function"),
            ),
            (
                "redis.register_function{[{}]=1}",
                failed("ERR named argument key given to redis.register_function is not a string"),
            ),
        ] {
            let code = format!("#!lua name=lib\n{body}");
            assert_eq!(load(&mut c, &code), expected, "{body}");
        }
        c.check("FUNCTION LIST", "*0");
    });
}

#[test]
fn libraries_are_listed() {
    on_both(|server| {
        let mut c = server.connect();
        let code = "#!lua name=lib\nredis.register_function{function_name='f', \
                    callback=function() return 1 end, description='does it', \
                    flags={'no-writes', 'ALLOW-OOM', 'allow-stale', 'no-cluster', \
                    'allow-cross-slot-keys'}}";
        assert_eq!(load(&mut c, code), "$lib");
        let flags = "+no-writes +allow-oom +allow-stale +no-cluster +allow-cross-slot-keys";
        c.check(
            "FUNCTION LIST",
            &format!(
                "*1 *6 $library_name $lib $engine $LUA $functions *1 *6 $name $f $description \
                 $does it $flags *5 {flags}"
            ),
        );
        c.check("FUNCTION LIST LIBRARYNAME X*", "*0");
        c.check(
            "FUNCTION STATS",
            "*4 $running_script $-1 $engines *2 $LUA *4 $libraries_count :1 $functions_count :1",
        );
        assert!(c.ask("HELLO 3").contains("$proto :3"));
        assert_eq!(
            load(
                &mut c,
                "#!lua name=lib\nredis.register_function('f', redis.log)"
            ),
            "$lib"
        );
        let listed = "%3 $library_name $lib $engine $LUA $functions *1 %3 $name $f $description _ \
                      $flags ~0";
        c.check("FUNCTION LIST LIBRARYNAME L?B", &format!("*1 {listed}"));
        let code = "$#!lua name=lib\nredis.register_function('f', redis.log)";
        c.check(
            "FUNCTION LIST WITHCODE",
            &format!("*1 {} $library_code {code}", listed.replacen("%3", "%4", 1)),
        );
        c.check(
            "FUNCTION STATS",
            "%2 $running_script _ $engines %1 $LUA %2 $libraries_count :1 $functions_count :1",
        );
        c.check("FUNCTION LIST x", "-ERR Unknown argument x");
        c.check(
            "FUNCTION LIST LIBRARYNAME",
            "-ERR library name argument was not given",
        );
        c.check("FUNCTION DELETE other", "-ERR Library not found");
        c.check("FUNCTION DELETE lib", "+OK");
        c.check("FCALL f 0", "-ERR Function not found");
    });
}

#[test]
fn payloads_hold_libraries() {
    on_both(|server| {
        let mut c = server.connect();
        define(&mut c, "return 1");
        c.command(&["FUNCTION", "DUMP"]);
        let payload = c.reply_bytes()[1..].to_vec();
        let mut restore = |policy: &str, expected: &str| {
            let mut words: Vec<&[u8]> = vec![b"FUNCTION", b"RESTORE", &payload];
            if !policy.is_empty() {
                words.push(policy.as_bytes());
            }
            c.command(&words);
            c.check_reply(expected);
        };
        restore("", "-ERR Library lib already exists");
        restore("APPEND", "-ERR Library lib already exists");
        restore(
            "x",
            "-ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
        );
        define(&mut server.connect(), "return 2");
        restore("REPLACE", "+OK");
        let mut c = server.connect();
        c.check("FCALL f 0", ":1");
        c.check("FUNCTION FLUSH ASYNC", "+OK");
        let other = "#!lua name=other\nredis.register_function('F', function() return 3 end)";
        assert_eq!(load(&mut c, other), "$other");
        c.command(&[&b"FUNCTION"[..], b"RESTORE", &payload]);
        c.check_reply("-ERR Function f already exists");
        c.check("FCALL f 0", ":3");
        c.command(&[&b"FUNCTION"[..], b"RESTORE", &payload, b"FLUSH"]);
        c.check_reply("+OK");
        c.check(
            "FUNCTION STATS",
            "*4 $running_script $-1 $engines *2 $LUA *4 $libraries_count :1 $functions_count :1",
        );
        c.check("FCALL f 0", ":1");
        c.check(
            "FUNCTION RESTORE x",
            "-ERR DUMP payload version or checksum are wrong",
        );
        c.check(
            "FUNCTION RESTORE x y z",
            "-ERR unknown subcommand or wrong number of arguments for 'RESTORE'. Try FUNCTION HELP.",
        );
        c.check("SET k v", "+OK");
        c.command(&["DUMP", "k"]);
        let value = c.reply_bytes()[1..].to_vec();
        c.command(&[&b"FUNCTION"[..], b"RESTORE", &value]);
        c.check_reply("-ERR given type is not a function");
        c.check(
            "FUNCTION FLUSH x",
            "-ERR FUNCTION FLUSH only supports SYNC|ASYNC option",
        );
    });
}

#[test]
fn functions_stay_when_keys_go() {
    on_both(|server| {
        let mut c = server.connect();
        define(&mut c, "return 1");
        c.check("FLUSHALL", "+OK");
        c.check("FLUSHDB", "+OK");
        c.check("FCALL f 0", ":1");
        c.check("DEBUG RELOAD", "+OK");
        c.check("FCALL f 0", ":1");
        c.check(
            "DEBUG RELOAD NOFLUSH",
            "-ERR Error trying to load the RDB dump",
        );
        c.check("DEBUG RELOAD NOFLUSH MERGE", "+OK");
        let info = c.ask("INFO memory");
        assert!(info.contains("number_of_functions:1\r\nnumber_of_libraries:1\r\n"));
        c.check("FUNCTION FLUSH SYNC", "+OK");
        c.check("DEBUG RELOAD NOSAVE", "+OK");
        c.check("FCALL f 0", ":1");
    });
}

const BUSY: &str = "-BUSY Redis is busy running a script. You can only call FUNCTION KILL or \
                    SHUTDOWN NOSAVE.";
const BUSY_WITH_SCRIPT: &str =
    "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";

#[track_caller]
fn wait_for(other: &mut Client, busy: &str) {
    wait("BUSY", || (other.ask("PING") == busy).then_some(()));
}

#[test]
fn a_function_that_takes_long_can_be_ended() {
    on_both(|server| {
        let (mut c, mut other) = (server.connect(), server.connect());
        other.check("CONFIG SET busy-reply-threshold 20", "+OK");
        define(&mut c, "while true do end");
        c.command(&["FCALL", "F", "1", "k", "a"]);
        wait_for(&mut other, BUSY);
        for words in ["GET a", "SHUTDOWN", "SCRIPT KILL", "FUNCTION LIST"] {
            other.check(words, BUSY);
        }
        let stats = other.ask("FUNCTION STATS");
        let running =
            "*4 $running_script *6 $name $f $command *5 $FCALL $F $1 $k $a $duration_ms :";
        assert!(stats.starts_with(running), "{stats}");
        other.check("FUNCTION KILL", "+OK");
        let killed =
            "-ERR Script killed by user with SCRIPT KILL... script: f, on @user_function:2.";
        c.check_reply(killed);
        other.check(
            "FUNCTION KILL",
            "-NOTBUSY No scripts in execution right now.",
        );

        c.command(&["EVAL", "while true do end", "0"]);
        wait_for(&mut other, BUSY_WITH_SCRIPT);
        other.check("FUNCTION KILL", BUSY_WITH_SCRIPT);
        other.check("FUNCTION STATS", BUSY_WITH_SCRIPT);
        other.check("SCRIPT KILL", "+OK");
        assert!(c.reply().starts_with("-ERR Script killed"));

        define(
            &mut c,
            "redis.call('SET', 'a', 'b') while redis.call('TIME')[1] < args[1] do end",
        );
        let time = other.ask("TIME");
        let now_s: u64 = time.split(['$', ' ']).nth(2).unwrap().parse().unwrap();
        c.command(&["FCALL", "f", "0", &(now_s + 2).to_string()]);
        wait_for(&mut other, BUSY);
        assert!(other.ask("FUNCTION KILL").starts_with("-UNKILLABLE"));
        assert!(other.ask("SCRIPT KILL").starts_with("-UNKILLABLE"));
        assert_eq!(c.reply(), "$-1");
    });
}

#[test]
fn scripts_of_a_transaction_can_be_ended_one_by_one() {
    let server = Server::start(&["--busy-reply-threshold", "20", "--appendonly", "yes"]);
    let (mut c, mut other) = (server.connect(), server.connect());
    define(&mut c, "while true do end");
    let endless = "EVAL 'while true do end' 0";
    for words in ["SET a 1", endless, "INCR a", "FCALL f 0", endless, "INCR a"] {
        if words == "SET a 1" {
            c.check("MULTI", "+OK");
        }
        c.check(words, "+QUEUED");
    }
    c.command(&["EXEC"]);
    wait_for(&mut other, BUSY_WITH_SCRIPT);
    other.check("GET a", BUSY_WITH_SCRIPT);
    other.check("SCRIPT KILL", "+OK");
    wait_for(&mut other, BUSY);
    other.check("FUNCTION KILL", "+OK");
    wait_for(&mut other, BUSY_WITH_SCRIPT);
    other.check("SCRIPT KILL", "+OK");
    let reply = c.reply();
    let killed = "-ERR Script killed by user with SCRIPT KILL...";
    assert!(reply.starts_with(&format!("*6 +OK {killed}")), "{reply}");
    assert_eq!(reply.matches(killed).count(), 3, "{reply}");
    assert!(reply.ends_with(" :3"), "{reply}");
    other.check("GET a", "$3");
    let log = std::fs::read(server.path("appendonlydir/appendonly.aof.1.incr.aof")).unwrap();
    let log = String::from_utf8_lossy(&log).into_owned();
    let words: Vec<&str> = log
        .lines()
        .filter(|line| !line.starts_with(['*', '$']))
        .collect();
    assert!(
        words.ends_with(&["MULTI", "SET", "a", "1", "INCR", "a", "INCR", "a", "EXEC"]),
        "{words:?}"
    );
    let info = other.ask("INFO commandstats");
    assert!(info.contains("cmdstat_exec:calls=1,"), "{info}");
    other.check("DEBUG LOADAOF", "+OK");
    other.check("GET a", "$3");
}

#[test]
fn a_transaction_goes_on_when_its_client_has_gone() {
    let server = Server::start(&["--busy-reply-threshold", "20"]);
    let (mut c, mut other) = (server.connect(), server.connect());
    c.check("MULTI", "+OK");
    c.check("EVAL 'while true do end' 0", "+QUEUED");
    c.check("SET a 1", "+QUEUED");
    c.check("EVAL 'while true do end' 0", "+QUEUED");
    c.check("INCR a", "+QUEUED");
    c.command(&["EXEC"]);
    wait_for(&mut other, BUSY_WITH_SCRIPT);
    drop(c);
    other.check("SCRIPT KILL", "+OK");
    wait_for(&mut other, BUSY_WITH_SCRIPT);
    other.check("SCRIPT KILL", "+OK");
    wait("the end", || (other.ask("GET a") == "$2").then_some(()));
    wait("the client to be forgotten", || {
        other
            .ask("INFO clients")
            .contains("connected_clients:1\r\n")
            .then_some(())
    });
}

#[test]
fn a_transaction_without_replies_has_none() {
    let server = Server::start(&["--busy-reply-threshold", "20"]);
    let (mut c, mut other) = (server.connect(), server.connect());
    c.check("MULTI", "+OK");
    for _ in 0..2 {
        c.check("SET a 1", "+QUEUED");
        c.check("EVAL 'while true do end' 0", "+QUEUED");
    }
    c.command(&["CLIENT", "REPLY", "SKIP"]);
    c.check_reply("+QUEUED");
    other.check("PING", "+PONG");
    let mut c = server.connect();
    c.command(&["CLIENT", "REPLY", "OFF"]);
    c.command(&["MULTI"]);
    for _ in 0..2 {
        c.command(&["SET", "a", "1"]);
        c.command(&["EVAL", "while true do end", "0"]);
    }
    c.command(&["EXEC"]);
    c.command(&["CLIENT", "REPLY", "ON"]);
    for _ in 0..2 {
        wait_for(&mut other, BUSY_WITH_SCRIPT);
        other.check("SCRIPT KILL", "+OK");
    }
    c.check_reply("+OK");
    c.check("GET a", "$1");
}

#[test]
fn loading_is_limited() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let mut fails = |body: &str, expected: &str| {
        let reply = load(&mut c, &format!("#!lua name=lib\n{body}"));
        assert!(
            reply.starts_with('-') && reply.contains(expected),
            "{body}: {reply}"
        );
    };
    fails("while true do end", "FUNCTION LOAD timeout");
    fails(
        "local i = 0 while true do i = i + 1 redis.register_function('f' .. i, redis.log) end",
        "FUNCTION LOAD timeout",
    );
    fails(
        "while true do local s = ('x'):rep(100000000) end",
        "FUNCTION LOAD timeout",
    );
    fails(
        "local s = 'x' while true do s = s .. s end",
        "not enough memory",
    );
    fails("return ('x'):rep(2147483647)", "not enough memory");
    fails(
        "local function f() return 1 + f() end f()",
        "stack overflow",
    );
    fails(&"(".repeat(100_000), "Error compiling function");
    fails("\u{1b}Lua", "Error compiling function");
    for name in [
        "getmetatable",
        "pcall",
        "loadstring",
        "string",
        "_G",
        "coroutine",
        "setmetatable",
    ] {
        fails(&format!("return {name}"), "nonexistent global variable");
    }
    fails("redis.x = 1", "Attempt to modify a readonly table");
    fails(
        "redis.register_function = nil",
        "Attempt to modify a readonly table",
    );
    fails("redis.log = nil", "Attempt to modify a readonly table");
    c.check("FUNCTION LIST", "*0");
}

#[test]
fn the_libraries_of_a_payload_share_the_time_of_one() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let code = |name: usize, rounds: u64| {
        format!(
            "#!lua name=lib{name}\nfor i = 1, {rounds} do end \
             redis.register_function('f{name}', redis.log)"
        )
    };
    // So many rounds that a library takes between a quarter and half of its time.
    let mut rounds = 1_000_000;
    loop {
        let began = Instant::now();
        assert_eq!(load(&mut c, &code(0, rounds)), "$lib0");
        if began.elapsed() > Duration::from_millis(125) {
            break;
        }
        rounds = rounds * 3 / 2;
    }
    for name in 1..8 {
        assert_eq!(load(&mut c, &code(name, rounds)), format!("$lib{name}"));
    }
    c.command(&["FUNCTION", "DUMP"]);
    let payload = c.reply_bytes();
    let payload = payload.strip_prefix(b"$").unwrap();
    c.check("FUNCTION FLUSH", "+OK");
    let began = Instant::now();
    c.command(&[b"FUNCTION", &b"RESTORE"[..], payload]);
    let reply = c.reply();
    assert!(reply.contains("FUNCTION LOAD timeout"), "{reply}");
    // All of them would take a second, at least.
    assert!(
        began.elapsed() < Duration::from_millis(900),
        "{:?}",
        began.elapsed()
    );
    c.check("FUNCTION LIST", "*0");
    // One of them alone has enough.
    assert_eq!(load(&mut c, &code(0, rounds)), "$lib0");
}

#[test]
fn nothing_is_left_for_other_functions() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let changes = [
        "redis = 1",
        "redis.call = 1",
        "rawset(_G, 'x', 1)",
        "setmetatable(_G, {})",
        "string.len = 1",
        "table.insert(_G, 1)",
        "getmetatable('').__index = 1",
        "getmetatable('').__index.len = 1",
        "getmetatable(_G).__index = 1",
        "rawset(getmetatable(_G), '__index', 1)",
        "lib.x = 1",
        "rawset(lib, 'x', 1)",
        "setmetatable(lib, {})",
        "getmetatable(lib).__index = 1",
        "KEYS = 1",
        "_G._G = 1",
    ];
    for body in changes {
        let code = format!(
            "#!lua name=lib\nlocal lib = redis redis.register_function('f', function() {body} end)"
        );
        assert_eq!(load(&mut c, &code), "$lib");
        let reply = c.ask("FCALL f 0");
        assert!(
            reply.contains("Attempt to modify a readonly table"),
            "{body}: {reply}"
        );
    }
    let code = "#!lua name=lib\nlocal lib = redis
        redis.register_function('f', function() lib.register_function('g', lib.log) end)
        redis.register_function('h', function() return unpack({}, -2147483648, 2147483646) end)
        redis.register_function('i', function()
            return loadstring(string.dump(function() return 1 end)) == nil
        end)";
    assert_eq!(load(&mut c, code), "$lib");
    let reply = c.ask("FCALL f 0");
    assert!(
        reply.contains("redis.register_function can only be called on FUNCTION LOAD command"),
        "{reply}"
    );
    assert!(c.ask("FCALL h 0").contains("too many results to unpack"));
    c.check("FCALL i 0", ":1");
}

/// As `what_scripts_reach_is_what_they_may`: what functions reach is less by a
/// few names.
#[test]
fn what_functions_reach_is_what_they_may() {
    let walk = "local seen, names = {}, {}
        local function walk(t, path)
            if seen[t] then return end
            seen[t] = true
            for k, v in pairs(t) do
                local name = path .. tostring(k)
                names[#names + 1] = name
                if type(v) == 'table' then walk(v, name .. '.') end
            end
        end
        walk(_G, '')
        return table.concat(names, ' ')";
    let server = Server::start(&[]);
    let mut c = server.connect();
    define(&mut c, walk);
    let of_function = c.ask("FCALL f 0");
    c.command(&["EVAL", walk, "0"]);
    let of_script = c.reply();
    let names =
        |reply: &str| -> BTreeSet<String> { reply[1..].split(' ').map(str::to_owned).collect() };
    let (of_function, of_script) = (names(&of_function), names(&of_script));
    assert!(of_function.is_subset(&of_script));
    let less: Vec<&String> = of_script.difference(&of_function).collect();
    assert_eq!(
        less,
        [
            "ARGV",
            "KEYS",
            "__redis__err__handler",
            "redis.breakpoint",
            "redis.debug",
            "redis.replicate_commands"
        ]
    );
}

#[test]
fn flags_decide_when_a_function_runs() {
    on_both(|server| {
        let mut c = server.connect();
        let code = "#!lua name=lib
            local function set() return redis.call('SET', 'a', '1') end
            local function get() return redis.call('GET', 'a') end
            redis.register_function('plain', get)
            redis.register_function{function_name='reads', callback=get, flags={'no-writes'}}
            redis.register_function{function_name='lies', callback=set, flags={'no-writes'}}
            redis.register_function{function_name='needs', callback=set, flags={'allow-oom'}}";
        assert_eq!(load(&mut c, code), "$lib");
        c.check("FCALL_RO reads 0", "$-1");
        let reply = c.ask("FCALL lies 0");
        let refused = "-ERR Write commands are not allowed from read-only scripts. script: lies, ";
        assert!(reply.starts_with(refused), "{reply}");
        c.check("CONFIG SET maxmemory 1", "+OK");
        let oom = "-OOM command not allowed when used memory > 'maxmemory'.";
        c.check("FCALL plain 0", oom);
        c.check("FCALL reads 0", "$-1");
        c.check("FCALL needs 0", "+OK");
        c.command(&["FUNCTION", "LOAD", "x"]);
        c.check_reply(oom);
        c.check("FCALL_RO reads 0", "$1");
        c.check("CONFIG SET maxmemory 0", "+OK");
        c.check("CLIENT PAUSE 50 WRITE", "+OK");
        c.check("FCALL reads 0", "$1");
    });
}

#[test]
fn users_need_the_right_to_call() {
    on_both(|server| {
        let mut c = server.connect();
        define(&mut c, "return redis.call('GET', args[1])");
        c.check("ACL SETUSER ann on nopass +fcall +get ~a*", "+OK");
        c.check("AUTH ann x", "+OK");
        c.check("FCALL f 1 a1 a2", "$-1");
        c.check(
            "FCALL f 1 b a",
            "-NOPERM this user has no permissions to access one of the keys used as arguments",
        );
        let reply = c.ask("FCALL f 0 b");
        assert!(
            reply.contains("can't access at least one of the keys"),
            "{reply}"
        );
        c.check(
            "FUNCTION LIST",
            "-NOPERM this user has no permissions to run the 'function|list' command",
        );
    });
}
