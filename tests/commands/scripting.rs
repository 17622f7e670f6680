//! Scripts; every transcript is checked against redis-server too, where there
//! is one.

use super::support::{Client, Server, wait};

fn on_both(transcript: impl Fn(&Server)) {
    transcript(&Server::start(&[]));
    if let Some(oracle) = Server::start_oracle(&[]) {
        transcript(&oracle);
    }
}

/// The reply to a script, with its keys and arguments.
#[track_caller]
fn eval(c: &mut Client, script: &str, keys: &[&str], args: &[&str]) -> String {
    let count = keys.len().to_string();
    let words = [&["EVAL", script, &count][..], keys, args].concat();
    c.command(&words);
    c.reply()
}

#[track_caller]
fn steps(c: &mut Client, steps: &[(&str, &str)]) {
    for (script, expected) in steps {
        let reply = eval(c, script, &["k1", "k2"], &["a1"]);
        let end = reply.find(" script: ").unwrap_or(reply.len());
        assert_eq!(&reply[..end], *expected, "the reply to {script}");
    }
}

#[test]
fn values_become_replies() {
    on_both(|server| {
        let mut c = server.connect();
        steps(
            &mut c,
            &[
                (
                    "return {1,'a',{KEYS[2],ARGV[1]},3.9}",
                    "*4 :1 $a *2 $k2 $a1 :3",
                ),
                ("return {1,nil,3}", "*1 :1"),
                ("return true", ":1"),
                ("return false", "$-1"),
                ("return {ok='fine'}", "+fine"),
                ("return {err='ERR no'}", "-ERR no"),
                ("return redis.status_reply('x')", "+x"),
                ("return redis.error_reply('My Err')", "-My Err"),
                ("return redis.error_reply('One')", "-ERR One"),
                ("return {double=1.5}", "$1.5"),
                ("return {map={a=1}}", "*2 $a :1"),
                ("redis.setresp(3) return {true,false}", "*2 :1 :0"),
                ("return 0/0", ":-9223372036854775808"),
            ],
        );
        assert!(c.ask("HELLO 3").contains("$proto :3"));
        steps(
            &mut c,
            &[
                ("return {double=1.5}", ",1.5"),
                ("return {map={a=1}}", "%1 $a :1"),
                ("return {set={a=true}}", "~1 $a"),
                ("return {big_number='12'}", "(12"),
                (
                    "return {verbatim_string={format='txt',string='hi'}}",
                    "=txt:hi",
                ),
                ("redis.setresp(3) return {true,false}", "*2 #t #f"),
                ("return nil", "_"),
            ],
        );
    });
}

#[test]
fn commands_are_called() {
    on_both(|server| {
        let mut c = server.connect();
        steps(
            &mut c,
            &[
                ("return redis.call('SET',KEYS[1],0.1)", "+OK"),
                ("return redis.call('GET',KEYS[1])", "$0.10000000000000001"),
                ("return redis.call('GET','none')", "$-1"),
                ("redis.setresp(3) return redis.call('GET','none')", "$-1"),
                (
                    "return redis.call('INCR',KEYS[1])",
                    "-ERR value is not an integer or out of range",
                ),
                (
                    "return redis.pcall('INCR',KEYS[1]).err",
                    "$ERR value is not an integer or out of range",
                ),
                (
                    "return {pcall(redis.call,'INCR',KEYS[1])}",
                    "*2 $-1 $ERR value is not an integer or out of range",
                ),
                (
                    "redis.call('HSET','h','f','v') redis.setresp(3) return redis.call('HGETALL','h').map.f",
                    "$v",
                ),
                (
                    "return redis.call('NOPE')",
                    "-ERR Unknown Redis command called from script",
                ),
                (
                    "return redis.call('GET')",
                    "-ERR Wrong number of args calling Redis command from script",
                ),
                (
                    "return redis.call('SUBSCRIBE','c')",
                    "-ERR This Redis command is not allowed from script",
                ),
                (
                    "return redis.call('BLPOP','none',0)",
                    "-ERR This Redis command is not allowed from script",
                ),
                ("return redis.call('SELECT',3)", "+OK"),
                ("return redis.call('EXISTS',KEYS[1])", ":1"),
                (
                    "return redis.call()",
                    "-ERR Please specify at least one argument for this redis lib call",
                ),
                (
                    "return redis.call({})",
                    "-ERR Lua redis lib command arguments must be strings or integers",
                ),
                (
                    "redis.call('SET','e','v','PX',1) for i=1,1e6 do end return redis.call('EXISTS','e')",
                    ":1",
                ),
            ],
        );
        let reply = c.ask("EVAL_RO \"return redis.call('SET','a','b')\" 0");
        let refused = "-ERR Write commands are not allowed from read-only scripts. script: ";
        assert!(reply.starts_with(refused), "{reply}");
    });
}

/// The digest of a script.
fn sha(c: &mut Client, script: &str) -> String {
    let reply = eval(c, "return redis.sha1hex(ARGV[1])", &[], &[script]);
    reply[1..].to_owned()
}

#[test]
fn errors_tell_where_they_came_from() {
    on_both(|server| {
        let mut c = server.connect();
        let script = "\nlocal a\nreturn a.b";
        let sha = sha(&mut c, script);
        let reply = eval(&mut c, script, &[], &[]);
        assert_eq!(
            reply,
            format!(
                "-ERR user_script:3: attempt to index local 'a' (a nil value) script: {sha}, on \
                 @user_script:3."
            )
        );
        steps(
            &mut c,
            &[
                (
                    "return nope",
                    "-ERR user_script:1: Script attempted to access nonexistent global variable 'nope'",
                ),
                (
                    "x=1",
                    "-ERR user_script:1: Attempt to modify a readonly table",
                ),
                ("error({err='MY own'})", "-MY own"),
                ("error('x',0)", "-ERR x"),
                (
                    "return 1 +",
                    "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'",
                ),
                (
                    "#!lua flags=none\nreturn 1",
                    "-ERR Unexpected flag in script shebang: none",
                ),
                ("#!lua", "-ERR Invalid script shebang"),
                (
                    "#!js\nreturn 1",
                    "-ERR Unexpected engine in script shebang: #!js",
                ),
                (
                    "#!lua flags=no-writes\nreturn redis.call('DEL','x')",
                    "-ERR Write commands are not allowed from read-only scripts.",
                ),
            ],
        );
    });
}

#[test]
fn scripts_are_kept_by_digest() {
    on_both(|server| {
        let mut c = server.connect();
        c.check(
            "SCRIPT LOAD 'return 5'",
            "$4ca238f611c9d0ae4e9a75a5dbac22aedc379801",
        );
        c.check("EVALSHA 4CA238F611C9D0AE4E9A75A5DBAC22AEDC379801 0", ":5");
        c.check(
            "SCRIPT EXISTS 4ca238f611c9d0ae4e9a75a5dbac22aedc379801 x",
            "*2 :1 :0",
        );
        c.check(
            "SCRIPT EXISTS 4CA238F611C9D0AE4E9A75A5DBAC22AEDC379801",
            "*1 :1",
        );
        c.check("SCRIPT FLUSH SYNC", "+OK");
        c.check(
            "EVALSHA 4ca238f611c9d0ae4e9a75a5dbac22aedc379801 0",
            "-NOSCRIPT No matching script. Please use EVAL.",
        );
        c.check(
            "EVALSHA x 0",
            "-NOSCRIPT No matching script. Please use EVAL.",
        );
        c.check(
            "EVAL 'return 1' 2 a",
            "-ERR Number of keys can't be greater than number of args",
        );
        c.check(
            "EVAL 'return 1' -1",
            "-ERR Number of keys can't be negative",
        );
        c.check(
            "EVAL 'return 1' x",
            "-ERR value is not an integer or out of range",
        );
        c.check(
            "SCRIPT FLUSH now",
            "-ERR SCRIPT FLUSH only support SYNC|ASYNC option",
        );
        c.check("SCRIPT KILL", "-NOTBUSY No scripts in execution right now.");
    });
}

#[test]
fn the_caller_decides_what_is_permitted() {
    on_both(|server| {
        let mut c = server.connect();
        c.check("ACL SETUSER ann on nopass +@all -flushall ~a*", "+OK");
        c.check("AUTH ann x", "+OK");
        steps(
            &mut c,
            &[(
                "return 1",
                "-NOPERM this user has no permissions to access one of the keys used as arguments",
            )],
        );
        let cut = |reply: String| reply.split(" script: ").next().unwrap().to_owned();
        let denied = eval(&mut c, "return redis.call('FLUSHALL')", &[], &[]);
        assert_eq!(
            cut(denied),
            "-ERR The user executing the script can't run this command or subcommand"
        );
        let denied = eval(&mut c, "return redis.call('GET','b')", &[], &[]);
        assert_eq!(
            cut(denied),
            "-ERR The user executing the script can't access at least one of the keys mentioned in \
             the command arguments"
        );
        let asked = "return {redis.acl_check_cmd('GET','a'),redis.acl_check_cmd('GET','b')}";
        assert_eq!(eval(&mut c, asked, &[], &[]), "*2 :1 $-1");
    });
}

#[test]
fn what_a_script_does_is_seen_after_it() {
    on_both(|server| {
        let (mut c, mut waiting, mut watching) =
            (server.connect(), server.connect(), server.connect());
        waiting.command(&["BLPOP", "list", "0"]);
        watching.check("WATCH list", "+OK");
        watching.check("MULTI", "+OK");
        wait("the client to wait", || {
            let info = c.ask("INFO clients");
            info.contains("blocked_clients:1").then_some(())
        });
        let script = "redis.call('RPUSH','list','a','b') return redis.call('LLEN','list')";
        assert_eq!(eval(&mut c, script, &[], &[]), ":2");
        waiting.check_reply("*2 $list $a");
        watching.check("EXEC", "*-1");
        c.check("MULTI", "+OK");
        c.check("EVAL \"return redis.call('INCR','n')\" 0", "+QUEUED");
        c.check("INCR n", "+QUEUED");
        c.check("EXEC", "*2 :1 :2");
    });
}

/// The script holds others up until SCRIPT KILL.
#[track_caller]
fn runs_until_killed(script: &str, c: &mut Client, other: &mut Client) {
    c.command(&["EVAL", script, "0"]);
    let busy = "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or \
                SHUTDOWN NOSAVE.";
    wait("BUSY", || (other.ask("PING") == busy).then_some(()));
    other.check("GET a", busy);
    other.check("SHUTDOWN", busy);
    other.check("SCRIPT KILL", "+OK");
    let reply = c.reply();
    assert!(
        reply.starts_with("-ERR Script killed by user with SCRIPT KILL..."),
        "{script}: {reply}"
    );
    other.check("PING", "+PONG");
}

/// Redis waits for the end of each of these.
#[test]
fn what_takes_long_in_few_instructions_can_be_ended_too() {
    let server = Server::start(&["--busy-reply-threshold", "20"]);
    let (mut c, mut other) = (server.connect(), server.connect());
    let scripts = [
        "return string.find(('a'):rep(3000), ('a*'):rep(40) .. 'b')",
        "return string.match(('a'):rep(4000), ('.-'):rep(30) .. 'b')",
        "return string.gsub(('a'):rep(3000), ('a?'):rep(500) .. ('a'):rep(500) .. 'b', 'x')",
        "for _ in string.gmatch(('ab'):rep(3000), ('[^c]*'):rep(20) .. 'c') do end",
        "local t = {} for i = 1, 1e6 do t[i] = i end
         while true do table.insert(t, 1, 0) table.remove(t, 1) end",
        "local t = {} for i = 1, 2e5 do t[i] = i end while true do table.sort(t) end",
        "local s = ('x'):rep(1e7) for i = 1, 1e9 do local t = s .. i end",
        "while true do redis.call('ECHO', ('x'):rep(1e7)) end",
        "local s, find = ('ab'):rep(1e6), string.find while true do find(s, 'bb', 1, true) end",
        "local t = {} for i = 1, 2e5 do t[i] = {} end while true do collectgarbage() end",
        "local t = {} for i = 1, 2e5 do t[i] = {} end while true do collectgarbage('step', 1e5) end",
        "local s = ('x'):rep(1e6) while true do redis.sha1hex(s) end",
        "local t = {} for i = 1, 1e5 do t[i] = 1 end
         local s = cmsgpack.pack(t) while true do cmsgpack.unpack(s) end",
        "local s = ('x'):rep(1e5) while true do struct.size(s) end",
        "local s = '{' .. ('\"a\":1,'):rep(1e5) .. '\"a\":1}' while true do cjson.decode(s) end",
        // redis-server does not come back from the first.
        "xpcall(function() while true do end end, function() while true do end end)",
        "xpcall(error, function() while true do end end)",
        "xpcall(function() return nil + 1 end, function() while true do end end)",
    ];
    for script in scripts {
        runs_until_killed(script, &mut c, &mut other);
    }
}

#[test]
fn errors_are_handled_as_in_redis() {
    const MANY: &str = "local t = {} for i = 1, 100 do t[i] = i end \
                        return select('#', xpcall(function() return unpack(t) end, tostring))";
    on_both(|server| {
        let mut c = server.connect();
        for (script, reply) in [
            (MANY, ":101"),
            (
                "local ok, text = xpcall(error, tostring) return {tostring(ok), text}",
                "*2 $false $nil",
            ),
            (
                "local ok, text = xpcall(error, nil) return {tostring(ok), text}",
                "*2 $false $error in error handling",
            ),
            (
                "local ok, text = xpcall(function() return nil + 1 end, error) \
                 return {tostring(ok), text}",
                "*2 $false $error in error handling",
            ),
            (
                "local ok, a, b = xpcall(error, function() return 1, 2 end) \
                 return {tostring(ok), a, b}",
                "*2 $false :1",
            ),
        ] {
            c.command(&["EVAL", script, "0"]);
            assert_eq!(c.reply(), reply, "{script}");
        }
    });
}

#[test]
fn a_script_that_takes_long_can_be_ended() {
    on_both(|server| {
        let (mut c, mut other) = (server.connect(), server.connect());
        other.check("CONFIG SET busy-reply-threshold 20", "+OK");
        let loops = [
            "while true do end",
            "while true do pcall(function() while true do end end) end",
            "while true do xpcall(function() while true do end end, function() end) end",
            "local f=coroutine.wrap(function() while true do end end) while true do pcall(f) end",
            "while true do coroutine.wrap(function() end)() end",
        ];
        for script in loops {
            runs_until_killed(script, &mut c, &mut other);
        }
        let script = "redis.call('SET','a','b') for i=1,2e7 do end return redis.call('GET','a')";
        c.command(&["EVAL", script, "0"]);
        wait("BUSY", || {
            other.ask("PING").starts_with("-BUSY").then_some(())
        });
        let reply = other.ask("SCRIPT KILL");
        // A quick machine may have ended it by now.
        assert!(
            reply.starts_with("-UNKILLABLE") || reply.starts_with("-NOTBUSY"),
            "{reply}"
        );
        c.check_reply("$b");
    });
}

#[test]
fn shutdown_ends_a_script_that_has_written() {
    let mut server = Server::start(&["--busy-reply-threshold", "20"]);
    let (mut c, mut other) = (server.connect(), server.connect());
    c.command(&["EVAL", "redis.call('SET','a','b') while true do end", "0"]);
    wait("BUSY", || {
        other.ask("PING").starts_with("-BUSY").then_some(())
    });
    other.command(&["SHUTDOWN", "NOSAVE"]);
    assert!(other.is_closed_within(std::time::Duration::from_secs(10)));
    wait("the server to end", || server.has_ended().then_some(()));
}
