//! Scripts that try to get out, to crash the server, to keep it, or to leave
//! something behind for the scripts of others.

use std::collections::BTreeSet;

use super::support::{Client, Server, wait};

#[track_caller]
fn eval(c: &mut Client, script: &str) -> String {
    c.command(&["EVAL", script, "0"]);
    c.reply()
}

/// The script fails with this, and the server lives on.
#[track_caller]
fn fails(server: &Server, script: &str, expected: &str) {
    let mut c = server.connect();
    let reply = eval(&mut c, script);
    assert!(
        reply.starts_with('-') && reply.contains(expected),
        "{script}: {reply}"
    );
    assert_eq!(eval(&mut server.connect(), "return 7"), ":7");
}

#[test]
fn cve_2025_46817_unpack_of_a_huge_range() {
    let server = Server::start(&[]);
    for range in [
        "-2147483648, 2147483646",
        "0, 2147483647",
        "1, 8000",
        "-2^53, 2^53",
    ] {
        let script = format!("return unpack({{}}, {range})");
        let reply = eval(&mut server.connect(), &script);
        let refused = reply.contains("too many results to unpack");
        assert!(refused || range.starts_with("-2^53"), "{range}: {reply}");
    }
}

#[test]
fn cve_2025_49844_collection_while_compiling() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let script = "local n = 0
        for i = 1, 300 do
            local junk = {}
            for j = 1, 200 do junk[j] = ('x'):rep(j) .. i end
            local chunk = 'return ' .. ('{'):rep(50) .. i .. ('}'):rep(50)
            if loadstring(chunk, ('n'):rep(i) .. i) then n = n + 1 end
        end
        return n";
    assert_eq!(eval(&mut c, script), ":300");
    for index in 0..300 {
        let name = "n".repeat(index + 1);
        let script =
            format!("collectgarbage() local f = loadstring('return {index}', '{name}') return f()");
        assert_eq!(eval(&mut c, &script), format!(":{index}"));
    }
}

#[test]
fn cve_2025_46819_long_brackets() {
    let server = Server::start(&[]);
    fails(
        &server,
        &format!("return [{}[", "=".repeat(1 << 20)),
        "unfinished long string",
    );
    let script = "return loadstring('return [' .. ('='):rep(1000000) .. '[') == nil";
    assert_eq!(eval(&mut server.connect(), script), ":1");
}

#[test]
fn cve_2024_46981_no_finalizers() {
    let server = Server::start(&[]);
    fails(
        &server,
        "return newproxy(true)",
        "nonexistent global variable 'newproxy'",
    );
    let script = "local t = setmetatable({}, {__gc = function() error('x') end}) t = nil \
                  collectgarbage() return 1";
    assert_eq!(eval(&mut server.connect(), script), ":1");
    server.connect().check("SCRIPT FLUSH", "+OK");
}

#[test]
fn cve_2022_24736_malformed_scripts() {
    let server = Server::start(&[]);
    for script in [
        "return ((",
        "\u{1b}Lua",
        "goto",
        "local a <",
        "for i=1",
        "return \"\\",
        "--[[",
        "\0",
    ] {
        let reply = eval(&mut server.connect(), script);
        assert!(
            reply.starts_with('-') || script == "\0",
            "{script:?}: {reply}"
        );
    }
    fails(&server, &"(".repeat(100_000), "");
    fails(&server, &format!("return {}", "{".repeat(10_000)), "");
}

#[test]
fn cve_2021_32626_deep_recursion() {
    let server = Server::start(&[]);
    fails(
        &server,
        "local function f() return 1 + f() end return f()",
        "stack overflow",
    );
    fails(
        &server,
        "local t = setmetatable({}, {__index = function(t, k) return t[k] end}) return t.x",
        "stack overflow",
    );
    fails(
        &server,
        "local function r() return coroutine.wrap(r)() end return r()",
        "stack overflow",
    );
    fails(
        &server,
        "return string.find(('a'):rep(200000), ('a?'):rep(200000))",
        "pattern too complex",
    );
    fails(
        &server,
        "local t = {} for i = 1, 1e5 do t = {t} end return cjson.encode(t)",
        "excessive nesting",
    );
    fails(
        &server,
        "cjson.decode_max_depth(2^31-1) return cjson.decode(('['):rep(1e6))",
        "too many nested",
    );
    fails(
        &server,
        "return cmsgpack.unpack(('\\145'):rep(1e6))",
        "stack overflow",
    );
    let deep = "local t = {} for i = 1, 1e5 do t = {t} end return t";
    assert!(eval(&mut server.connect(), deep).contains("reached lua stack limit"));
}

/// The error is raised in the caller; the coroutine, which was noted as the one
/// that runs, is collected afterwards.
#[test]
fn a_coroutine_that_takes_no_more_values_is_not_used_again() {
    let server = Server::start(&[]);
    let script = "local text = ('A'):rep(146) \
        local many = {} for i = 1, 7990 do many[i] = 0 end \
        local co = coroutine.create(function(...) coroutine.yield() end) \
        pcall(function() return coroutine.resume(co, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, unpack(many)) end) \
        co = nil collectgarbage() collectgarbage() \
        local strings = {} for i = 1, 3000 do strings[i] = i .. text end \
        for i = 1, 40 do local s = string.rep('x', 8 * 1024 * 1024 + i) end \
        local changed = 0 \
        for i = 1, 3000 do if strings[i]:find('[^0-9A]') then changed = changed + 1 end end \
        return changed";
    for _ in 0..3 {
        assert_eq!(eval(&mut server.connect(), script), ":0");
    }
}

#[test]
fn cve_2022_0543_nothing_of_the_system_is_reachable() {
    let server = Server::start(&[]);
    for name in [
        "package", "require", "module", "io", "os", "debug", "dofile", "loadfile", "print",
    ] {
        fails(
            &server,
            &format!("return {name}"),
            "nonexistent global variable",
        );
    }
    let script = "return loadstring(string.dump(function() return 1 end)) == nil";
    assert_eq!(eval(&mut server.connect(), script), ":1");
    let script = "local d = string.dump(function() return 1 end) \
                  return load(function() local p = d d = nil return p end) == nil";
    assert_eq!(eval(&mut server.connect(), script), ":1");
}

#[test]
fn cve_2022_24735_and_2025_46818_nothing_is_left_for_others() {
    let server = Server::start(&[]);
    let changes = [
        "redis = 1",
        "redis.call = 1",
        "rawset(_G, 'x', 1)",
        "rawset(redis, 'x', 1)",
        "setmetatable(_G, {})",
        "setmetatable(string, {})",
        "string.len = 1",
        "table.insert(_G, 1)",
        "getmetatable('').__index = 1",
        "getmetatable('').__index.len = 1",
        "getmetatable('').__add = function() end",
        "getmetatable(_G).__index = 1",
        "rawset(getmetatable(''), '__index', 1)",
        "rawset(getmetatable(_G), '__index', 1)",
        "cjson.encode = 1",
        "KEYS = 1",
        "_G._G = 1",
        "math.random = 1",
        "coroutine.wrap = 1",
    ];
    for script in changes {
        fails(&server, script, "Attempt to modify a readonly table");
    }
    let mut c = server.connect();
    for kind in [
        "1",
        "true",
        "nil",
        "function() end",
        "coroutine.create(function() end)",
    ] {
        let script = format!("return getmetatable({kind}) == nil");
        assert_eq!(eval(&mut c, &script), ":1", "{kind}");
    }
    assert_eq!(eval(&mut c, "return ('abc'):len()"), ":3");
}

#[test]
fn cve_2024_31449_and_2022_24834_numbers_at_their_ends() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    assert_eq!(
        eval(&mut c, "return bit.tohex(65535, -2147483648)"),
        "$0000FFFF"
    );
    fails(
        &server,
        "return struct.pack('i99999999999', 1)",
        "integral size overflow",
    );
    fails(
        &server,
        "return struct.pack('i33', 1)",
        "larger than limit of 32",
    );
    fails(
        &server,
        "return struct.unpack('c99999999', 'x')",
        "data string too short",
    );
    fails(
        &server,
        "return struct.unpack('i4', 'abcd', 2^53)",
        "data string too short",
    );
    for text in [
        "\\221\\255\\255\\255\\255",
        "\\223\\255\\255\\255\\255",
        "\\219\\255\\255\\255\\255",
    ] {
        fails(
            &server,
            &format!("return cmsgpack.unpack('{text}')"),
            "Missing bytes in input",
        );
    }
    fails(
        &server,
        "local t = {} t[1] = t return cjson.encode(t)",
        "excessive nesting",
    );
}

#[test]
fn cve_2025_67733_one_reply_is_one_reply() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let texts = [
        "return redis.error_reply('ERR a\\r\\n+injected')",
        "return {err = 'ERR a\\r\\nb'}",
        "return {ok = 'a\\r\\n:1'}",
        "return redis.status_reply('a\\n:1')",
        "error('a\\r\\n$1\\r\\nx')",
        "error({err = 'A\\r\\nB'})",
        "return {big_number = '1\\r\\n:2'}",
        "return redis.call('NO\\r\\nSUCH')",
        "return {{err = 'a\\0\\r\\nb'}, 1}",
    ];
    for script in texts {
        let reply = eval(&mut c, script);
        c.check("PING after", "$after");
        assert!(!reply.contains('\n'), "{script}: {reply}");
    }
}

#[test]
fn memory_is_limited() {
    let server = Server::start(&[]);
    fails(
        &server,
        "local s = 'x' for i = 1, 40 do s = s .. s end return #s",
        "not enough memory",
    );
    fails(
        &server,
        "return string.rep('x', 2^31 - 1)",
        "not enough memory",
    );
    fails(
        &server,
        "return #string.rep('xx', 2^30)",
        "not enough memory",
    );
    assert_eq!(
        eval(&mut server.connect(), "return #string.rep('', 2^31 - 1)"),
        ":0"
    );
}

/// A table in many places makes values without end of little memory.
#[test]
fn values_that_are_many_more_than_memory_are_given_up() {
    let server = Server::start(&["--busy-reply-threshold", "20"]);
    let many = "local t = {1} for i = 1, 60 do t = {t, t} end";
    fails(
        &server,
        &format!("{many} return t"),
        "reply of the script is too long",
    );
    let long = "local s, t = ('x'):rep(1e7), {} for i = 1, 4000 do t[i] = s end";
    fails(
        &server,
        &format!("{long} return t"),
        "reply of the script is too long",
    );
    fails(
        &server,
        &format!("{long} return cjson.encode(t)"),
        "not enough memory",
    );
    fails(
        &server,
        &format!("{long} return cmsgpack.pack(t)"),
        "not enough memory",
    );
    let (mut c, mut other) = (server.connect(), server.connect());
    c.command(&["EVAL", &format!("{many} return cjson.encode(t)"), "0"]);
    wait("BUSY", || {
        other.ask("PING").starts_with("-BUSY").then_some(())
    });
    other.check("SCRIPT KILL", "+OK");
    let reply = c.reply();
    // A quick machine may have filled the memory.
    assert!(
        reply.contains("SCRIPT KILL") || reply.contains("not enough memory"),
        "{reply}"
    );
    server.connect().check("PING", "+PONG");
}

#[test]
fn recursion_of_all_kinds_at_once_has_stack_enough() {
    let server = Server::start(&[]);
    let deep = "cjson.encode_max_depth(2^31-1) cjson.decode_max_depth(2^31-1)
        local t = {} for i = 1, 7000 do t = {t} end
        local open, packed = ('['):rep(7000), ('\\145'):rep(7000)
        local a, pattern = ('a'):rep(4000), ('a?'):rep(2100)
        local function down(n)
            if n > 0 then return (('x'):gsub('x', function() return down(n - 1) end)) end
            pcall(cjson.encode, t) pcall(cjson.decode, open) pcall(cmsgpack.unpack, packed)
            pcall(string.find, a, pattern)
            return tostring(redis.call('PING').ok)
        end ";
    for levels in [0, 50, 100, 150, 180] {
        let script = format!("{deep} return down({levels})");
        assert_eq!(eval(&mut server.connect(), &script), "$PONG");
    }
    fails(
        &server,
        &format!("{deep} return down(250)"),
        "C stack overflow",
    );
}

#[test]
fn what_scripts_reach_is_what_they_may() {
    let server = Server::start(&[]);
    let script = "local seen, names = {}, {}
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
        walk(getmetatable(''), 'string_metatable.')
        walk(getmetatable(_G), 'globals_metatable.')
        return table.concat(names, ' ')";
    let reply = eval(&mut server.connect(), script);
    let found: BTreeSet<&str> = reply[1..].split(' ').collect();
    let expected = "ARGV KEYS _G _VERSION __redis__err__handler assert collectgarbage error gcinfo \
        getmetatable ipairs load loadstring next pairs pcall rawequal rawget rawset select \
        setmetatable tonumber tostring type unpack xpcall \
        bit bit.arshift bit.band bit.bnot bit.bor bit.bswap bit.bxor bit.lshift bit.rol bit.ror \
        bit.rshift bit.tobit bit.tohex \
        cjson cjson._NAME cjson._VERSION cjson.decode cjson.decode_invalid_numbers \
        cjson.decode_max_depth cjson.encode cjson.encode_invalid_numbers cjson.encode_keep_buffer \
        cjson.encode_max_depth cjson.encode_number_precision cjson.encode_sparse_array cjson.new \
        cjson.null \
        cmsgpack cmsgpack._COPYRIGHT cmsgpack._DESCRIPTION cmsgpack._NAME cmsgpack._VERSION \
        cmsgpack.pack cmsgpack.unpack cmsgpack.unpack_limit cmsgpack.unpack_one \
        coroutine coroutine.create coroutine.resume coroutine.running coroutine.status \
        coroutine.wrap coroutine.yield \
        math math.abs math.acos math.asin math.atan math.atan2 math.ceil math.cos math.cosh \
        math.deg math.exp math.floor math.fmod math.frexp math.huge math.ldexp math.log math.log10 \
        math.max math.min math.mod math.modf math.pi math.pow math.rad math.random math.randomseed \
        math.sin math.sinh math.sqrt math.tan math.tanh \
        redis redis.LOG_DEBUG redis.LOG_NOTICE redis.LOG_VERBOSE redis.LOG_WARNING \
        redis.REDIS_VERSION redis.REDIS_VERSION_NUM redis.REPL_ALL redis.REPL_AOF redis.REPL_NONE \
        redis.REPL_REPLICA redis.REPL_SLAVE redis.acl_check_cmd redis.breakpoint redis.call \
        redis.debug redis.error_reply redis.log redis.pcall redis.replicate_commands \
        redis.set_repl redis.setresp redis.sha1hex redis.status_reply \
        string string.byte string.char string.dump string.find string.format string.gfind \
        string.gmatch string.gsub string.len string.lower string.match string.rep string.reverse \
        string.sub string.upper \
        struct struct.pack struct.size struct.unpack \
        table table.concat table.foreach table.foreachi table.getn table.insert table.maxn \
        table.remove table.setn table.sort \
        string_metatable.__index globals_metatable.__index";
    let expected: BTreeSet<&str> = expected.split_whitespace().collect();
    assert_eq!(found, expected);
}
