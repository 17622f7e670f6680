//! Libraries and calls that go wrong in all sorts of ways, here and in
//! redis-server.

use super::support::{Client, Server};

/// First lines of libraries, without their ends.
const FIRST_LINES: &[&str] = &[
    "",
    "#",
    "#!",
    "#!lua",
    "#!lua name",
    "#!lua name=",
    "#!js name=a-b",
    "#!js name=q",
    "#! name=q",
    "#! lua name=q",
    "#!lua lua name=q",
    " #!lua name=q",
    "#!lua\tname=q",
    "#!LUA  NAME=q  ",
    "#!lua name=\"q\"",
    "#!lua \"name=q\"",
    "#!lua name='q",
    "#!lua name=\"a\\x00b\"",
    "#!lua name=a\0b",
    "#!lua\0 name=q",
    "#!lua name=q\r",
    "#!lua name=q name=r",
    "#!lua name=q foo=bar",
    "#!lua name=q foo",
];

/// What libraries do when they are loaded; `$R` is the function that
/// registers others, `$F` a function.
const BODIES: &[&str] = &[
    "",
    "return 1",
    "a = 1",
    "return a",
    "x()",
    "bad bad",
    "return redis.call('ping')",
    "redis.foo = 1",
    "redis.register_function = 1",
    "return _G",
    "return string",
    "return (''):foo()",
    "return redis.redis",
    "return redis[1]",
    "redis[1] = 2",
    "return redis.REDIS_VERSION_NUM",
    "error('x')",
    "pcall(1)",
    "local t = {} t.x.y = 1",
    "\n\nlocal t = {} t.x.y = 1",
    "for k in pairs({}) do end",
    "local x <",
    "\u{1b}Lua",
    "redis.log(9, 'x')",
    "redis.log()",
    "redis.log(redis.LOG_DEBUG, 'x') $R('f', $F)",
    "$R()",
    "$R('f')",
    "$R(1)",
    "$R({})",
    "$R(nil, $F)",
    "$R({}, $F)",
    "$R('f', 1)",
    "$R('f', $F, 1)",
    "$R('', $F)",
    "$R('a b', $F)",
    "$R('a\\0b', $F)",
    "$R(12, $F)",
    "$R('f', $F) $R('f', $F)",
    "$R('f', $F) $R(nil)",
    "$R('f', redis.log)",
    "$R('f', (\"\").rep)",
    "$R{function_name='f'}",
    "$R{callback=$F}",
    "$R{function_name=1, callback=$F}",
    "$R{function_name={}, callback=$F}",
    "$R{function_name='f', callback=1}",
    "$R{function_name='f', callback=$F, description={}}",
    "$R{function_name='f', callback=$F, description=12}",
    "$R{function_name='f', callback=$F, flags='x'}",
    "$R{function_name='f', callback=$F, flags={'x'}}",
    "$R{function_name='f', callback=$F, flags={{}}}",
    "$R{function_name='f', callback=$F, flags={1}}",
    "$R{function_name='f', callback=$F, flags={a='no-writes'}}",
    "$R{function_name='f', callback=$F, flags={'NO-WRITES', 'allow-oom'}}",
    "$R{function_name='f', callback=$F, flags={'allow-stale', 'no-cluster'}}",
    "$R{FUNCTION_NAME='f', Callback=$F, DESCRIPTION='d\\0e\\r\\n'}",
    "$R{['function_name\\0x']='f', callback=$F}",
    "$R{[1]=2}",
    "$R{[{}]=2}",
    "$R{[true]=1}",
    "$R{nope=2}",
    "$R{'x'}",
];

/// What functions do when they are called; `lib` is `redis` as it was when the
/// library was loaded.
const CALLED: &[&str] = &[
    "return KEYS",
    "return ARGV",
    "x = 1",
    "return nope",
    "redis.x = 1",
    "lib.x = 1",
    "lib.register_function('g', redis.log)",
    "return lib.call('ping')",
    "return rawget(lib, 'log') ~= nil",
    "return getmetatable(lib) == nil",
    "setmetatable(lib, {})",
    "return redis.register_function",
    "redis.register_function('a', 1)",
    "return redis.breakpoint",
    "error('x')",
    "error({err='My err'})",
    "local a local b = a.x",
    "return __redis__err__handler",
    "_G.x = 1",
    "rawset(_G, 'x', 1)",
    "getmetatable(_G).__index = 1",
    "setmetatable(_G, {})",
    "return getmetatable(_G) == nil",
    "string.len = 1",
    "return print",
    "return redis.setresp(3)",
    "return math.random(1, 1)",
    "return redis.error_reply('X y')",
    "return redis.status_reply('s')",
    "return {double=1.5}",
    "return redis.set_repl(redis.REPL_ALL)",
    "return redis.sha1hex('a')",
    "return cjson.encode({1})",
    "return redis.acl_check_cmd('get', 'a')",
    "return redis.pcall('nope')",
    "return {pcall(redis.call, 'nope')}",
    "return {pcall(error, {err='e'})}",
    "return loadstring('return KEYS')()",
    "coroutine.wrap(function() error('q') end)()",
    "local r = {} for k in pairs(redis) do r[#r + 1] = k end table.sort(r) return r",
    "return redis.call('eval', 'return 1', 0)",
    "return redis.call('fcall', 'f', 0)",
    "return redis.call('function', 'flush')",
    "return redis.call('set', 'a', 1)",
    "return redis.call('get', 'a')",
];

struct Pair {
    ours: Client,
    theirs: Client,
}

impl Pair {
    #[track_caller]
    fn both(&mut self, words: &[&str]) {
        self.ours.command(words);
        self.theirs.command(words);
        let (ours, theirs) = (self.ours.reply(), self.theirs.reply());
        assert_eq!(ours, theirs, "the reply to {words:?}");
    }
}

#[test]
fn what_goes_wrong_goes_wrong_in_the_same_way() {
    let Some(oracle) = Server::start_oracle(&[]) else {
        return;
    };
    let server = Server::start(&[]);
    let mut pair = Pair {
        ours: server.connect(),
        theirs: oracle.connect(),
    };
    let f = "function(keys, args) return {keys, args} end";
    for resp3 in [false, true] {
        if resp3 {
            assert!(pair.ours.ask("HELLO 3").contains("$proto :3"));
            assert!(pair.theirs.ask("HELLO 3").contains("$proto :3"));
        }
        for line in FIRST_LINES {
            let code = format!("{line}\nredis.register_function('q', {f})");
            pair.both(&["FUNCTION", "LOAD", &code]);
            pair.both(&["FUNCTION", "DELETE", "q"]);
            pair.both(&["FUNCTION", "LOAD", line]);
        }
        for body in BODIES {
            let body = body.replace("$R", "redis.register_function");
            let body = body.replace("$F", f);
            pair.both(&[
                "FUNCTION",
                "LOAD",
                "REPLACE",
                &format!("#!lua name=l\n{body}"),
            ]);
            pair.both(&["FUNCTION", "LIST", "WITHCODE"]);
            pair.both(&["FCALL", "F", "1", "k", "a"]);
            pair.both(&["FCALL_RO", "12", "0"]);
        }
        for body in CALLED {
            let code = format!(
                "#!lua name=l\nlocal lib = redis
                redis.register_function('f', function(keys, args) {body} end)
                redis.register_function{{function_name='r', flags={{'no-writes'}},
                    callback=function(keys, args) {body} end}}"
            );
            pair.both(&["FUNCTION", "LOAD", "REPLACE", &code]);
            pair.both(&["FCALL", "f", "0"]);
            pair.both(&["FCALL_RO", "f", "0"]);
            pair.both(&["FCALL_RO", "R", "0"]);
        }
        pair.both(&["FUNCTION", "STATS"]);
        pair.both(&["FUNCTION", "FLUSH"]);
    }
}
