//! Connection commands.

use std::time::{Duration, Instant};

use super::support::{Server, field, request, wait};

#[test]
fn ping_echo_select_quit() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.check("PING", "+PONG");
    c.check("ping redis", "$redis");
    c.check(
        "PING a b",
        "-ERR wrong number of arguments for 'ping' command",
    );
    c.check("ECHO 'hello world'", "$hello world");
    c.check("ECHO", "-ERR wrong number of arguments for 'echo' command");
    c.check("SET k zero", "+OK");
    c.check("SELECT 9", "+OK");
    c.check("GET k", "$-1");
    c.check("SELECT 16", "-ERR DB index is out of range");
    c.check("SELECT -1", "-ERR DB index is out of range");
    c.check("SELECT abc", "-ERR value is not an integer or out of range");
    c.check(
        "SELECT 3000000000",
        "-ERR value is out of range, value must between -2147483648 and 2147483647",
    );
    let id = c.id();
    assert_eq!(c.field_of(id, "db"), "9");
    c.check("SELECT 0", "+OK");
    c.check("GET k", "$zero");
    // What stands behind QUIT is not executed.
    c.send("QUIT\r\nSET k one\r\n");
    assert_eq!(c.rest(), b"+OK\r\n");
    server.connect().check("GET k", "$zero");
}

#[test]
fn hello_switches_the_protocol() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let id = c.id();
    let reply = |proto: u8, map: &str| {
        format!(
            "{map} $server $redis $version $7.0.15 $proto :{proto} $id :{id} $mode $standalone \
             $role $master $modules *0"
        )
    };
    c.check("HELLO", &reply(2, "*14"));
    c.check("HELLO 3", &reply(3, "%7"));
    c.check("GET missing", "_");
    c.check("HELLO", &reply(3, "%7"));
    assert_eq!(c.field_of(id, "resp"), "3");
    c.check("HELLO 2 SETNAME me", &reply(2, "*14"));
    c.check("GET missing", "$-1");
    c.check("CLIENT GETNAME", "$me");
    c.check("HELLO 4", "-NOPROTO unsupported protocol version");
    c.check("HELLO 1", "-NOPROTO unsupported protocol version");
    c.check(
        "HELLO three",
        "-ERR Protocol version is not an integer or out of range",
    );
    c.check("HELLO 3 foo", "-ERR Syntax error in HELLO option 'foo'");
    // Redis: to what it formats, a zero byte is the end.
    c.check(
        r#"HELLO 3 "fo\x00o""#,
        "-ERR Syntax error in HELLO option 'fo'",
    );
    c.check(
        "HELLO 3 SETNAME",
        "-ERR Syntax error in HELLO option 'SETNAME'",
    );
    c.check(
        "HELLO 3 SETNAME 'a b'",
        "-ERR Client names cannot contain spaces, newlines or special characters.",
    );
    c.check(
        "HELLO 3 AUTH default",
        "-ERR Syntax error in HELLO option 'AUTH'",
    );
    // Nothing of these took effect.
    c.check("GET missing", "$-1");
    c.check("HELLO 3 AUTH default anything SETNAME 3rd", &reply(3, "%7"));
    c.check("CLIENT GETNAME", "$3rd");
}

#[test]
fn auth_without_and_with_a_password() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.check(
        "AUTH secret",
        "-ERR AUTH <password> called without any password configured for the default user. Are \
         you sure your configuration is correct?",
    );
    c.check("AUTH default anything", "+OK");
    c.check("AUTH a b c", "-ERR syntax error");
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.";
    c.check("AUTH nobody x", wrong);
    let mut old = server.connect();
    old.check("PING", "+PONG");
    c.check("CONFIG SET requirepass secret", "+OK");
    // Who was in stays in.
    old.check("PING", "+PONG");

    let mut c = server.connect();
    let no_auth = "-NOAUTH Authentication required.";
    c.check("PING", no_auth);
    // Redis: whether a command exists is told to everyone.
    c.check(
        "NOSUCH a",
        "-ERR unknown command 'NOSUCH', with args beginning with: 'a' ",
    );
    c.check("CLIENT ID", no_auth);
    c.check("GET", "-ERR wrong number of arguments for 'get' command");
    c.check(
        "HELLO 3",
        "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO \
         AUTH <user> <pass> option can be used to authenticate the client and select the RESP \
         protocol version at the same time",
    );
    c.check("AUTH wrong", wrong);
    c.check("AUTH default wrong", wrong);
    c.check("HELLO 3 AUTH default wrong", wrong);
    c.check("PING", no_auth);
    c.check("AUTH secret", "+OK");
    c.check("PING", "+PONG");
    c.check("RESET", "+RESET");
    c.check("PING", no_auth);
    assert!(c.ask("HELLO 3 AUTH default secret").starts_with("%7 "));
    c.check("CONFIG SET requirepass ''", "+OK");
    // Who still had to log in no longer has to.
    let mut waiting = server.connect();
    c.check("CONFIG SET requirepass secret", "+OK");
    let mut stranger = server.connect();
    stranger.check("PING", no_auth);
    waiting.check("PING", "+PONG");
    c.check("CONFIG SET requirepass ''", "+OK");
    stranger.check("PING", "+PONG");
    stranger.check(
        "NOSUCH",
        "-ERR unknown command 'NOSUCH', with args beginning with: ",
    );
}

#[test]
fn several_commands_behind_auth_in_one_write() {
    let server = Server::start(&["--requirepass", "secret"]);
    let mut c = server.connect();
    let mut requests = request(&["AUTH", "secret"]);
    let big = "x".repeat(100_000);
    requests.extend(request(&["SET", "k", &big]));
    requests.extend(request(&["STRLEN", "k"]));
    c.send(requests);
    assert_eq!(c.reply(), "+OK");
    assert_eq!(c.reply(), "+OK");
    assert_eq!(c.reply(), ":100000");
}

#[test]
fn reset_makes_a_connection_new() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let id = c.id();
    assert!(c.ask("HELLO 3 SETNAME me").starts_with("%7 "));
    c.check("SELECT 3", "+OK");
    c.check("CLIENT NO-TOUCH ON", "+OK");
    c.check("CLIENT NO-EVICT ON", "+OK");
    assert_eq!(c.field_of(id, "flags"), "eT");
    c.check("RESET", "+RESET");
    c.check("CLIENT GETNAME", "$-1");
    let line = c.ask("CLIENT INFO");
    assert_eq!(field(&line, "db"), "0");
    assert_eq!(field(&line, "resp"), "2");
    // Redis keeps NO-EVICT.
    assert_eq!(field(&line, "flags"), "e");
    assert_eq!(field(&line, "id"), id.to_string());
    c.check(
        "RESET now",
        "-ERR wrong number of arguments for 'reset' command",
    );
}

#[test]
fn names_and_libraries() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.check("CLIENT GETNAME", "$-1");
    c.check("CLIENT SETNAME worker-1", "+OK");
    c.check("CLIENT GETNAME", "$worker-1");
    let refused = "-ERR Client names cannot contain spaces, newlines or special characters.";
    c.check("CLIENT SETNAME 'a b'", refused);
    c.check(r#"CLIENT SETNAME "a\nid=1""#, refused);
    c.check(r#"CLIENT SETNAME "\xff""#, refused);
    c.check("CLIENT GETNAME", "$worker-1");
    c.check("CLIENT SETINFO LIB-NAME redis-py", "+OK");
    c.check("CLIENT SETINFO lib-ver 5.2.1", "+OK");
    c.check(
        "CLIENT SETINFO LIB-NAME 'redis py'",
        "-ERR lib-name cannot contain spaces, newlines or special characters.",
    );
    c.check(
        "CLIENT SETINFO LIBNAME x",
        "-ERR Unrecognized option 'LIBNAME'",
    );
    let line = c.ask("CLIENT INFO");
    assert_eq!(field(&line, "name"), "worker-1");
    assert_eq!(field(&line, "lib-name"), "redis-py");
    assert_eq!(field(&line, "lib-ver"), "5.2.1");
    c.check("CLIENT SETNAME ''", "+OK");
    c.check("CLIENT SETINFO LIB-VER ''", "+OK");
    c.check("CLIENT GETNAME", "$-1");
    assert_eq!(field(&c.ask("CLIENT INFO"), "lib-ver"), "");
}

/// The fields of 7.0.15 in their order, and those of 7.2 behind them.
const FIELDS: &[&str] = &[
    "id",
    "addr",
    "laddr",
    "fd",
    "name",
    "age",
    "idle",
    "flags",
    "db",
    "sub",
    "psub",
    "ssub",
    "multi",
    "qbuf",
    "qbuf-free",
    "argv-mem",
    "multi-mem",
    "rbs",
    "rbp",
    "obl",
    "oll",
    "omem",
    "tot-mem",
    "events",
    "cmd",
    "user",
    "redir",
    "resp",
    "lib-name",
    "lib-ver",
];

#[test]
fn info_and_list_tell_the_truth() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let id = c.id();
    let line = c.ask("CLIENT INFO");
    assert!(line.ends_with('\n'));
    let names: Vec<&str> = line[1..]
        .trim_end()
        .split(' ')
        .map(|field| field.split('=').next().unwrap())
        .collect();
    assert_eq!(names, FIELDS);
    let is = |name: &str, value: &str| assert_eq!(field(&line, name), value, "{name}");
    is("id", &id.to_string());
    is("addr", &c.stream.local_addr().unwrap().to_string());
    is("laddr", &c.stream.peer_addr().unwrap().to_string());
    is("cmd", "client|info");
    is("flags", "N");
    is("user", "default");
    is("events", "r");
    // *2 $6 client $4 info, as bytes and as arguments.
    is("qbuf", "26");
    is("argv-mem", "10");
    is("obl", "0");
    is("oll", "0");
    is("omem", "0");

    c.check("SET k v", "+OK");
    let mut other = server.connect();
    let other_id = other.id();
    assert_eq!(other_id, id + 1);
    let list = other.ask("CLIENT LIST");
    let lines: Vec<&str> = list[1..].lines().collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(field(lines[0], "id"), id.to_string());
    assert_eq!(field(lines[0], "cmd"), "set");
    assert_eq!(field(lines[0], "qbuf"), "0");
    assert_eq!(field(lines[1], "cmd"), "client|list");
    let lines = |reply: String| reply[1..].lines().count();
    assert_eq!(lines(other.ask("CLIENT LIST TYPE normal")), 2);
    assert_eq!(lines(other.ask("CLIENT LIST TYPE PUBSUB")), 0);
    assert_eq!(lines(other.ask("CLIENT LIST TYPE master")), 0);
    assert_eq!(lines(other.ask("CLIENT LIST TYPE replica")), 0);
    assert_eq!(
        lines(other.ask(&format!("CLIENT LIST ID {id} 999 {other_id}"))),
        2
    );
    other.check("CLIENT LIST TYPE who", "-ERR Unknown client type 'who'");
    other.check("CLIENT LIST ID", "-ERR syntax error");
    other.check("CLIENT LIST ID x", "-ERR Invalid client ID");
    other.check("CLIENT LIST NAMES", "-ERR syntax error");
    // In RESP3 it is text.
    assert!(other.ask("HELLO 3").starts_with('%'));
    assert!(other.ask("CLIENT INFO").starts_with("=txt:id="));
    // An unfinished request shows up, and so does idling.
    c.send("*2\r\n$3\r\nGET\r\n$1000\r\n");
    wait("the unfinished request", || {
        (other.field_of(id, "qbuf") == "20").then_some(())
    });
    wait("a second of idling", || {
        (other.field_of(id, "idle") == "1").then_some(())
    });
}

#[test]
fn memory_for_requests_comes_and_goes() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let mut other = server.connect();
    let id = c.id();
    let room = |other: &mut super::support::Client| -> usize {
        let line = other.ask(&format!("CLIENT LIST ID {id}"));
        let number = |name: &str| field(&line, name).parse::<usize>().unwrap();
        number("qbuf") + number("qbuf-free")
    };
    assert!((16 * 1024..32 * 1024).contains(&room(&mut other)));
    let big = "x".repeat(400_000);
    c.command(&["SET", "k", &big]);
    assert_eq!(c.reply(), "+OK");
    let after_big = room(&mut other);
    assert!(after_big > 400_000);
    wait("the room to shrink under small requests", || {
        c.check("PING", "+PONG");
        (room(&mut other) < 32 * 1024).then_some(())
    });
    wait("an idle client to keep nothing", || {
        (room(&mut other) == 0).then_some(())
    });
    c.check("STRLEN k", ":400000");
    assert!(room(&mut other) >= 16 * 1024);
}

#[test]
fn kill_by_address_and_by_filters() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let my_id = c.id();
    c.check("CLIENT KILL 1.2.3.4:5", "-ERR No such client");
    c.check(
        "CLIENT KILL ID 0",
        "-ERR client-id should be greater than 0",
    );
    c.check(
        "CLIENT KILL ID x",
        "-ERR client-id should be greater than 0",
    );
    c.check("CLIENT KILL TYPE x", "-ERR Unknown client type 'x'");
    c.check("CLIENT KILL USER x", "-ERR No such user 'x'");
    c.check("CLIENT KILL SKIPME maybe", "-ERR syntax error");
    c.check("CLIENT KILL ID 3 WHAT 4", "-ERR syntax error");
    c.check("CLIENT KILL ID 3 TYPE", "-ERR syntax error");
    c.check(
        "CLIENT KILL",
        "-ERR wrong number of arguments for 'client|kill' command",
    );
    c.check("CLIENT KILL ID 999", ":0");
    c.check(&format!("CLIENT KILL ID {my_id}"), ":0");

    let mut victim = server.connect();
    let addr = victim.stream.local_addr().unwrap();
    victim.check("PING", "+PONG");
    c.check(&format!("CLIENT KILL {addr}"), "+OK");
    assert_eq!(victim.rest(), b"");

    let mut victim = server.connect();
    let (id, addr) = (victim.id(), victim.stream.local_addr().unwrap());
    c.check(&format!("CLIENT KILL ADDR {addr} ID {my_id}"), ":0");
    c.check(
        &format!("CLIENT KILL ADDR {addr} ID {id} TYPE normal USER default"),
        ":1",
    );
    assert_eq!(victim.rest(), b"");
    // Gone at once for everyone, whatever its thread still has to do.
    assert_eq!(c.ask("CLIENT LIST")[1..].lines().count(), 1);

    let mut victims = [server.connect(), server.connect()];
    victims
        .iter_mut()
        .for_each(|victim| victim.check("PING", "+PONG"));
    let laddr = c.stream.peer_addr().unwrap();
    c.check(&format!("CLIENT KILL LADDR {laddr} SKIPME yes"), ":2");
    victims
        .iter_mut()
        .for_each(|victim| assert_eq!(victim.rest(), b""));
    // The last of its replies still arrives.
    c.send("CLIENT KILL TYPE normal SKIPME no\r\nPING\r\n");
    assert_eq!(c.rest(), b":1\r\n");
    let mut c = server.connect();
    let addr = c.stream.local_addr().unwrap();
    c.command(&["CLIENT", "KILL", &addr.to_string()]);
    assert_eq!(c.rest(), b"+OK\r\n");
}

#[test]
fn replies_can_be_switched_off() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.send("CLIENT REPLY OFF\r\nPING a\r\nNOSUCH\r\nSET k v\r\nCLIENT REPLY ON\r\n");
    assert_eq!(c.reply(), "+OK");
    c.check("GET k", "$v");
    c.send("CLIENT REPLY SKIP\r\nPING skipped\r\n");
    c.check("PING shown", "$shown");
    c.send("CLIENT REPLY SKIP\r\n");
    c.check("CLIENT REPLY ON", "+OK");
    c.check("PING shown", "$shown");
    // Redis: SKIP while off is nothing of its own.
    c.send("CLIENT REPLY OFF\r\nCLIENT REPLY SKIP\r\nPING no\r\nPING no\r\nCLIENT REPLY ON\r\n");
    assert_eq!(c.reply(), "+OK");
    c.check("CLIENT REPLY MAYBE", "-ERR syntax error");
    c.check("PING", "+PONG");
}

#[test]
fn pause_holds_back_and_unpause_lets_go() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let mut other = server.connect();
    let other_id = other.id();
    c.check(
        "CLIENT PAUSE x",
        "-ERR timeout is not an integer or out of range",
    );
    c.check("CLIENT PAUSE -1", "-ERR timeout is negative");
    c.check(
        "CLIENT PAUSE 1 SOME",
        "-ERR CLIENT PAUSE mode must be WRITE or ALL",
    );
    c.check(
        "CLIENT PAUSE 1 ALL now",
        "-ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.",
    );
    c.check("CLIENT PAUSE 0", "+OK");
    c.check("PING", "+PONG");

    c.check("CLIENT PAUSE 100000 WRITE", "+OK");
    other.send("GET k\r\nSET k 1\r\nGET k\r\nPING\r\n");
    assert_eq!(other.reply(), "$-1");
    wait("the other one to wait", || {
        (c.field_of(other_id, "flags") == "b").then_some(())
    });
    c.check("GET k", "$-1");
    // Not what CLIENT UNBLOCK is for.
    c.check(&format!("CLIENT UNBLOCK {other_id}"), ":0");
    c.check("CLIENT UNPAUSE", "+OK");
    assert_eq!(
        [other.reply(), other.reply(), other.reply()],
        ["+OK", "$1", "+PONG"]
    );

    let start = Instant::now();
    c.check("CLIENT PAUSE 300", "+OK");
    c.check("CLIENT PAUSE 1 WRITE", "+OK"); // held back itself, then nothing any more
    assert!(start.elapsed() >= Duration::from_millis(290));
    // Longer and stricter only.
    let start = Instant::now();
    c.check("CLIENT PAUSE 400 WRITE", "+OK");
    c.check("CLIENT PAUSE 1 ALL", "+OK");
    c.check("PING", "+PONG");
    assert!(start.elapsed() >= Duration::from_millis(390));

    // One that leaves, or is killed, while it waits.
    c.check("CLIENT PAUSE 100000 WRITE", "+OK");
    other.send("SET k 2\r\nSET k 3\r\n");
    wait("the other one to wait", || {
        (c.field_of(other_id, "flags") == "b").then_some(())
    });
    c.check(&format!("CLIENT KILL ID {other_id}"), ":1");
    assert_eq!(other.rest(), b"");
    c.check("CLIENT UNPAUSE", "+OK");
    c.check("GET k", "$1");
}

#[test]
fn nothing_expires_in_a_pause() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let mut c = server.connect();
    for line in ["SET a 1 PX 10", "SET b 1 PX 10", "SET c 1"] {
        c.check(line, "+OK");
    }
    c.check("CLIENT PAUSE 100000 WRITE", "+OK");
    std::thread::sleep(Duration::from_millis(300));
    // Gone for who looks, and yet there.
    c.check("GET a", "$-1");
    c.check("DBSIZE", ":3");
    c.check("RANDOMKEY", "$c");
    assert!(c.ask("INFO stats").contains("\r\nexpired_keys:0\r\n"));
    c.check("CLIENT UNPAUSE", "+OK");
    c.check("GET a", "$-1");
    c.check("GET b", "$-1");
    c.check("DBSIZE", ":1");
    assert!(c.ask("INFO stats").contains("\r\nexpired_keys:2\r\n"));
    // The transaction that pauses the others may give a hidden key a value.
    c.check("SET a 1 PX 10", "+OK");
    for line in ["CLIENT PAUSE 100000 WRITE", "SETNX a 2", "PEXPIRE c -1"] {
        if line.starts_with("CLIENT") {
            c.check("DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
            std::thread::sleep(Duration::from_millis(20));
            c.check("MULTI", "+OK");
        }
        c.check(line, "+QUEUED");
    }
    c.check("EXEC", "*3 +OK :1 :1");
    c.check("CLIENT UNPAUSE", "+OK");
    c.check("GET a", "$2");
    c.check("DBSIZE", ":1");
}

#[test]
fn what_a_half_closed_client_asked_in_a_pause_is_done() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.check("CLIENT PAUSE 300 WRITE", "+OK");
    let mut other = server.connect();
    other.send("SET k 1\r\nGET k\r\n");
    other.end();
    assert_eq!(other.rest(), b"+OK\r\n$1\r\n1\r\n");
}

#[test]
fn unblock_and_switches() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let id = c.id();
    c.check(&format!("CLIENT UNBLOCK {id}"), ":0");
    c.check("CLIENT UNBLOCK 999 TIMEOUT", ":0");
    c.check("CLIENT UNBLOCK 999 ERROR", ":0");
    c.check(
        "CLIENT UNBLOCK 999 NOW",
        "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
    );
    c.check(
        "CLIENT UNBLOCK x",
        "-ERR value is not an integer or out of range",
    );
    c.check("CLIENT NO-EVICT ON", "+OK");
    c.check("CLIENT NO-EVICT MAYBE", "-ERR syntax error");
    assert_eq!(c.field_of(id, "flags"), "e");
    c.check("CLIENT NO-EVICT OFF", "+OK");
    c.check("CLIENT NO-TOUCH ON", "+OK");
    assert_eq!(c.field_of(id, "flags"), "T");
    c.check("CLIENT NO-TOUCH OFF", "+OK");
    assert_eq!(c.field_of(id, "flags"), "N");
    c.check(
        "CLIENT NOSUCH",
        "-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.",
    );
    c.check(
        "CLIENT",
        "-ERR wrong number of arguments for 'client' command",
    );
    let help = c.ask("CLIENT HELP");
    assert!(help.contains("+CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    assert!(help.contains("+REPLY (ON|OFF|SKIP)") && help.ends_with("+    Prints this help."));
}

#[test]
fn a_touch_free_client_leaves_access_times_alone() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.check("SET k v", "+OK");
    c.check("CLIENT NO-TOUCH ON", "+OK");
    wait("idle time", || {
        c.check("GET k", "$v");
        (c.ask("OBJECT IDLETIME k") != ":0").then_some(())
    });
    c.check("CLIENT NO-TOUCH OFF", "+OK");
    c.check("GET k", "$v");
    c.check("OBJECT IDLETIME k", ":0");
}
