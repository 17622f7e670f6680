//! Client-side caching; every transcript is checked against redis-server too,
//! where there is one.

use std::collections::BTreeSet;

use super::notify::SCENES;
use super::support::{Client, Server, wait};

const ARGS: [&str; 2] = ["--enable-debug-command", "yes"];

fn on_both(transcript: impl Fn(&Server)) {
    transcript(&Server::start(&ARGS));
    if let Some(oracle) = Server::start_oracle(&ARGS) {
        transcript(&oracle);
    }
}

fn resp3(server: &Server) -> Client {
    let mut c = server.connect();
    c.ask("HELLO 3");
    c
}

/// That the next thing a client is told is the reply to a PING.
#[track_caller]
fn nothing(c: &mut Client) {
    c.check("PING", "+PONG");
}

#[test]
fn keys_that_were_read() {
    on_both(|server| {
        let (mut c, mut other) = (resp3(server), server.connect());
        c.check("CLIENT TRACKING ON", "+OK");
        other.check("MSET a 1 b 2 c 3", "+OK");
        c.check("GET a", "$1");
        c.check("MGET a b nosuch", "*3 $1 $2 _");
        other.check("INCR a", ":2");
        assert_eq!(c.reply(), ">2 $invalidate *1 $a");
        other.check("INCR a", ":3");
        other.check("DEL c", ":1");
        other.check("SET nosuch 1", "+OK");
        assert_eq!(c.reply(), ">2 $invalidate *1 $nosuch");
        other.check("MSET b 1 a 1", "+OK");
        assert_eq!(c.reply(), ">2 $invalidate *1 $b");
        nothing(&mut c);
        // Names count, not databases.
        c.check("GET a", "$1");
        other.check("SELECT 1", "+OK");
        other.check("SET a 5", "+OK");
        assert_eq!(c.reply(), ">2 $invalidate *1 $a");
        other.check("SELECT 0", "+OK");
        // One's own changes are told after the reply.
        c.check("GET a", "$1");
        c.check("SET a 6", "+OK");
        assert_eq!(c.reply(), ">2 $invalidate *1 $a");
        c.check("GET a", "$6");
        c.check("MULTI", "+OK");
        c.check("SET a 7", "+QUEUED");
        c.check("GET a", "+QUEUED");
        c.check("SET a 8", "+QUEUED");
        c.check("EXEC", "*3 +OK $7 +OK");
        assert_eq!(c.reply(), ">2 $invalidate *1 $a");
        assert_eq!(c.reply(), ">2 $invalidate *1 $a");
        // Off, and on again: what was read is still remembered.
        c.check("GET a", "$8");
        c.check("CLIENT TRACKING OFF", "+OK");
        other.check("SET b 8", "+OK");
        nothing(&mut c);
        c.check("CLIENT TRACKING ON", "+OK");
        other.check("SET a 8", "+OK");
        assert_eq!(c.reply(), ">2 $invalidate *1 $a");
        c.check("RESET", "+RESET");
        c.check("CLIENT GETREDIR", ":-1");
    });
}

#[test]
fn expiry_and_flush() {
    on_both(|server| {
        let (mut c, mut other) = (resp3(server), server.connect());
        c.check("CLIENT TRACKING ON", "+OK");
        other.check("SET a 1 PX 20", "+OK");
        c.check("GET a", "$1");
        assert_eq!(c.reply(), ">2 $invalidate *1 $a");
        other.check("DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
        other.check("SET a 1 PX 200", "+OK");
        c.check("GET a", "$1");
        std::thread::sleep(std::time::Duration::from_millis(210));
        c.check("GET a", "_");
        assert_eq!(c.reply(), ">2 $invalidate *1 $a");
        for flush in ["FLUSHALL", "FLUSHDB", "FLUSHALL ASYNC"] {
            other.check("SET a 1", "+OK");
            assert_eq!(c.reply(), ">2 $invalidate *1 $a");
            c.check("GET a", "$1");
            other.check(flush, "+OK");
            assert_eq!(c.reply(), ">2 $invalidate _");
            // There was nothing to flush now.
            other.check(flush, "+OK");
            assert_eq!(c.reply(), ">2 $invalidate _");
            c.check(flush, "+OK");
            assert_eq!(c.reply(), ">2 $invalidate _");
            c.check("GET a", "_");
        }
        other.check("SET b 1", "+OK");
        other.check("SWAPDB 0 1", "+OK");
        nothing(&mut c);
    });
}

#[test]
fn opting_in_and_out() {
    on_both(|server| {
        let (mut c, mut other) = (resp3(server), server.connect());
        other.check("MSET a 1 b 2", "+OK");
        c.check("CLIENT TRACKING ON OPTIN", "+OK");
        c.check("GET a", "$1");
        c.check("CLIENT CACHING YES", "+OK");
        c.ask("CLIENT ID");
        c.check("GET b", "$2");
        c.check("GET a", "$1");
        other.check("MSET a 1 b 2", "+OK");
        assert_eq!(c.reply(), ">2 $invalidate *1 $b");
        nothing(&mut c);
        // A whole transaction is one.
        c.check("CLIENT CACHING YES", "+OK");
        c.check("MULTI", "+OK");
        c.check("GET a", "+QUEUED");
        c.check("GET b", "+QUEUED");
        c.check("EXEC", "*2 $1 $2");
        c.check("GET c", "_");
        other.check("MSET a 1 b 2 c 3", "+OK");
        assert_eq!(c.reply(), ">2 $invalidate *1 $a");
        assert_eq!(c.reply(), ">2 $invalidate *1 $b");
        nothing(&mut c);
        for between in ["NOSUCH", "GET", "CLIENT NOSUCH", "PING"] {
            c.check("CLIENT CACHING YES", "+OK");
            c.ask(between);
            c.check("GET a", "$1");
            other.check("SET a 1", "+OK");
            nothing(&mut c);
        }
        c.check("CLIENT TRACKING OFF", "+OK");
        c.check("CLIENT TRACKING ON OPTOUT", "+OK");
        c.check("CLIENT CACHING NO", "+OK");
        c.check("GET a", "$1");
        c.check("GET b", "$2");
        other.check("MSET a 1 b 2", "+OK");
        assert_eq!(c.reply(), ">2 $invalidate *1 $b");
        nothing(&mut c);
    });
}

#[test]
fn noloop() {
    on_both(|server| {
        let (mut c, mut other) = (resp3(server), server.connect());
        c.check("CLIENT TRACKING ON NOLOOP", "+OK");
        c.check("MGET a b", "*2 _ _");
        c.check("SET a 1", "+OK");
        other.check("SET b 1", "+OK");
        assert_eq!(c.reply(), ">2 $invalidate *1 $b");
        nothing(&mut c);
        c.check("CLIENT TRACKING OFF", "+OK");
        c.check("CLIENT TRACKING ON BCAST NOLOOP", "+OK");
        c.check("SET a 1", "+OK");
        other.check("MSET b 1 a 2", "+OK");
        assert_eq!(c.reply(), ">2 $invalidate *2 $a $b");
        c.check("SET a 2 PX 1", "+OK");
        std::thread::sleep(std::time::Duration::from_millis(3));
        c.ask("GET a");
        assert_eq!(c.reply(), ">2 $invalidate *1 $a");
    });
}

#[test]
fn broadcasts() {
    on_both(|server| {
        let (mut c, mut other) = (resp3(server), server.connect());
        c.check("CLIENT TRACKING ON BCAST PREFIX a: PREFIX b:", "+OK");
        other.check("MSET a:1 1 a:2 2 b:1 1 c:1 1 a 1 A:1 1", "+OK");
        assert_eq!(c.reply(), ">2 $invalidate *2 $a:1 $a:2");
        assert_eq!(c.reply(), ">2 $invalidate *1 $b:1");
        c.check("CLIENT TRACKING ON BCAST PREFIX c", "+OK");
        other.check("DEL c:1 c b:2 b:1", ":2");
        assert_eq!(c.reply(), ">2 $invalidate *1 $b:1");
        assert_eq!(c.reply(), ">2 $invalidate *1 $c:1");
        other.check("MULTI", "+OK");
        other.check("SET a:1 x", "+QUEUED");
        other.check("SET a:9 x", "+QUEUED");
        other.check("SET a:1 y", "+QUEUED");
        other.check("EXEC", "*3 +OK +OK +OK");
        assert_eq!(c.reply(), ">2 $invalidate *2 $a:1 $a:9");
        c.check("CLIENT TRACKING OFF", "+OK");
        other.check("SET a:1 x", "+OK");
        nothing(&mut c);
        // What was read before counts no more.
        c.check("CLIENT TRACKING ON", "+OK");
        c.check("GET a:1", "$x");
        c.check("CLIENT TRACKING OFF", "+OK");
        c.check("CLIENT TRACKING ON BCAST", "+OK");
        other.check("SET a:1 x", "+OK");
        assert_eq!(c.reply(), ">2 $invalidate *1 $a:1");
        c.check("SET '' x", "+OK");
        assert_eq!(c.reply(), ">2 $invalidate *1 $");
        other.check("FLUSHALL", "+OK");
        assert_eq!(c.reply(), ">2 $invalidate _");
        nothing(&mut c);
    });
}

#[test]
fn refusals() {
    on_both(|server| {
        let mut c = server.connect();
        let overlap = |one: &str, which: &str, other: &str| {
            format!(
                "-ERR Prefix '{one}' overlaps with {which} prefix '{other}'. Prefixes for a \
                 single client must not overlap."
            )
        };
        let switch = "before disabling tracking for this client, and then re-enabling it with a \
                      different mode.";
        for (line, expected) in [
            ("CLIENT TRACKING", "-ERR wrong number of arguments for 'client|tracking' command".to_owned()),
            ("CLIENT TRACKING maybe", "-ERR syntax error".into()),
            ("CLIENT TRACKING maybe PREFIX", "-ERR syntax error".into()),
            ("CLIENT TRACKING ON REDIRECT", "-ERR syntax error".into()),
            ("CLIENT TRACKING maybe REDIRECT x", "-ERR value is not an integer or out of range".into()),
            ("CLIENT TRACKING ON REDIRECT 99999", "-ERR The client ID you want redirect to does not exist".into()),
            ("CLIENT TRACKING ON REDIRECT 9223372036854775808", "-ERR value is not an integer or out of range".into()),
            ("CLIENT TRACKING ON REDIRECT 9223372036854775807", "-ERR The client ID you want redirect to does not exist".into()),
            ("CLIENT TRACKING ON REDIRECT -9223372036854775808", "-ERR The client ID you want redirect to does not exist".into()),
            ("CLIENT TRACKING ON REDIRECT 0", "-ERR The client ID you want redirect to does not exist".into()),
            ("CLIENT TRACKING ON REDIRECT -1", "-ERR The client ID you want redirect to does not exist".into()),
            ("CLIENT TRACKING ON PREFIX a", "-ERR PREFIX option requires BCAST mode to be enabled".into()),
            ("CLIENT TRACKING ON BCAST OPTIN", "-ERR OPTIN and OPTOUT are not compatible with BCAST".into()),
            ("CLIENT TRACKING ON OPTOUT OPTIN", "-ERR You can't specify both OPTIN mode and OPTOUT mode".into()),
            ("CLIENT TRACKING ON BCAST PREFIX FOOBAR PREFIX FOO", overlap("FOOBAR", "another provided", "FOO")),
            ("CLIENT TRACKING ON BCAST PREFIX FOO PREFIX FOOBAR", overlap("FOO", "another provided", "FOOBAR")),
            ("CLIENT TRACKING ON BCAST PREFIX FOO PREFIX BAR", "+OK".into()),
            ("CLIENT TRACKING ON BCAST PREFIX FO", overlap("FO", "an existing", "FOO")),
            ("CLIENT TRACKING ON BCAST PREFIX FOOBAR", overlap("FOOBAR", "an existing", "FOO")),
            ("CLIENT TRACKING ON", format!("-ERR You can't switch BCAST mode on/off {switch}")),
            ("CLIENT TRACKING OFF", "+OK".into()),
            ("CLIENT CACHING YES", "-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled".into()),
            ("CLIENT CACHING maybe", "-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled".into()),
            ("CLIENT TRACKING ON OPTIN", "+OK".into()),
            ("CLIENT TRACKING ON OPTOUT", format!("-ERR You can't switch OPTIN/OPTOUT mode {switch}")),
            ("CLIENT TRACKING ON BCAST", format!("-ERR You can't switch BCAST mode on/off {switch}")),
            ("CLIENT CACHING maybe", "-ERR syntax error".into()),
            ("CLIENT CACHING NO", "-ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.".into()),
            ("CLIENT TRACKING ON", "+OK".into()),
            ("CLIENT CACHING YES", "-ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.".into()),
            ("CLIENT GETREDIR x", "-ERR wrong number of arguments for 'client|getredir' command".into()),
            ("CLIENT TRACKINGINFO x", "-ERR wrong number of arguments for 'client|trackinginfo' command".into()),
        ] {
            c.check(line, &expected);
        }
    });
}

#[test]
fn redirected() {
    on_both(|server| {
        let (mut c, mut ears, mut other) = (server.connect(), server.connect(), server.connect());
        let number = ears.id();
        ears.ask("SUBSCRIBE __redis__:invalidate");
        let on = format!("CLIENT TRACKING ON REDIRECT {number}");
        c.check(&on, "+OK");
        c.check("CLIENT GETREDIR", &format!(":{number}"));
        other.check("SET a 1", "+OK");
        c.check("GET a", "$1");
        other.check("SET a 2", "+OK");
        assert_eq!(ears.reply(), "*3 $message $__redis__:invalidate *1 $a");
        c.check("GET a", "$2");
        c.check("SET a 3", "+OK");
        assert_eq!(ears.reply(), "*3 $message $__redis__:invalidate *1 $a");
        other.check("FLUSHALL", "+OK");
        assert_eq!(ears.reply(), "*3 $message $__redis__:invalidate $-1");
        // To one that has turned to RESP3, and has not subscribed.
        ears.check("RESET", "+RESET");
        ears.ask("HELLO 3");
        c.check("GET a", "$-1");
        other.check("SET a 2", "+OK");
        assert_eq!(ears.reply(), ">2 $invalidate *1 $a");
        // In RESP2, who has not subscribed cannot be told.
        ears.ask("HELLO 2");
        c.check("GET a", "$2");
        other.check("SET a 2", "+OK");
        nothing(&mut ears);
        // Nor who has neither.
        c.check("CLIENT TRACKING OFF", "+OK");
        c.check("CLIENT TRACKING ON", "+OK");
        c.check("GET a", "$2");
        other.check("SET a 3", "+OK");
        nothing(&mut c);
        // Broken.
        c.ask("HELLO 3");
        c.check(&on, "+OK");
        c.check("GET a", "$3");
        ears.check("QUIT", "+OK");
        assert!(ears.rest().is_empty());
        wait("the client to be gone", || {
            other
                .ask(&format!("CLIENT LIST ID {number}"))
                .len()
                .le(&1)
                .then_some(())
        });
        other.check("SET a 4", "+OK");
        assert_eq!(c.reply(), format!(">2 $tracking-redir-broken :{number}"));
        let info = format!("%3 $flags ~2 $on $broken_redirect $redirect :{number} $prefixes *0");
        c.check("CLIENT TRACKINGINFO", &info);
        let id = c.id();
        assert_eq!(other.field_of(id, "flags"), "tR");
        assert_eq!(other.field_of(id, "redir"), number.to_string());
        let own = format!("CLIENT TRACKING ON REDIRECT {id}");
        c.check(&own, "+OK");
        c.check("GET a", "$4");
        other.check("SET a 4", "+OK");
        assert_eq!(c.reply(), ">2 $invalidate *1 $a");
    });
}

#[test]
fn introspection() {
    on_both(|server| {
        let (mut c, mut other) = (server.connect(), server.connect());
        let id = c.id();
        c.check(
            "CLIENT TRACKINGINFO",
            "*6 $flags *1 $off $redirect :-1 $prefixes *0",
        );
        c.check("CLIENT GETREDIR", ":-1");
        c.check("CLIENT TRACKING ON", "+OK");
        c.check(
            "CLIENT TRACKINGINFO",
            "*6 $flags *1 $on $redirect :0 $prefixes *0",
        );
        assert_eq!(other.field_of(id, "flags"), "t");
        assert_eq!(other.field_of(id, "redir"), "0");
        c.check("MGET a b", "*2 $-1 $-1");
        other.check("CLIENT TRACKING ON", "+OK");
        other.check("MGET b c", "*2 $-1 $-1");
        let check = |c: &mut Client, expected: [u32; 4]| {
            let info = c.ask("INFO everything");
            let fields = [
                "tracking_clients",
                "tracking_total_keys",
                "tracking_total_items",
                "tracking_total_prefixes",
            ];
            for (field, value) in fields.iter().zip(expected) {
                let line = format!("{field}:{value}\r\n");
                assert!(info.contains(&line), "{line}{info}");
            }
        };
        check(&mut c, [2, 3, 4, 0]);
        other.check("SET b 1", "+OK");
        check(&mut c, [2, 2, 2, 0]);
        for (on, flags) in [
            ("ON OPTIN", "*2 $on $optin"),
            ("ON OPTOUT NOLOOP", "*3 $on $optout $noloop"),
            ("ON BCAST NOLOOP", "*3 $on $bcast $noloop"),
        ] {
            c.check("CLIENT TRACKING OFF", "+OK");
            c.check(&format!("CLIENT TRACKING {on}"), "+OK");
            let info = c.ask("CLIENT TRACKINGINFO");
            assert!(
                info.starts_with(&format!("*6 $flags {flags} $redirect :0 ")),
                "{info}"
            );
        }
        assert_eq!(other.field_of(id, "flags"), "tB");
        check(&mut c, [2, 2, 2, 1]);
        c.check("CLIENT TRACKING ON BCAST PREFIX foo PREFIX bar", "-ERR Prefix 'foo' overlaps with an existing prefix ''. Prefixes for a single client must not overlap.");
        c.check("CLIENT TRACKING OFF", "+OK");
        c.check("CLIENT TRACKING ON BCAST PREFIX foo PREFIX bar", "+OK");
        c.check(
            "CLIENT TRACKINGINFO",
            "*6 $flags *2 $on $bcast $redirect :0 $prefixes *2 $bar $foo",
        );
        check(&mut c, [2, 2, 2, 2]);
        c.check("CLIENT TRACKING OFF", "+OK");
        c.check("CLIENT TRACKING ON OPTIN", "+OK");
        c.check("CLIENT CACHING YES", "+OK");
        c.check(
            "CLIENT TRACKINGINFO",
            "*6 $flags *3 $on $optin $caching-yes $redirect :0 $prefixes *0",
        );
        drop(c);
        wait("the client to be gone", || {
            other
                .ask("INFO clients")
                .contains("tracking_clients:1\r\n")
                .then_some(())
        });
        check(&mut other, [1, 2, 2, 0]);
    });
}

#[test]
fn the_table_is_kept_small() {
    on_both(|server| {
        let (mut c, mut other) = (resp3(server), server.connect());
        other.check("CONFIG SET tracking-table-max-keys 100", "+OK");
        c.check("CLIENT TRACKING ON", "+OK");
        for nth in 0..150 {
            c.command(&["EXISTS".to_owned(), format!("key:{nth}")]);
        }
        let mut told = BTreeSet::new();
        let mut answered = 0;
        while answered < 150 || told.len() < 49 {
            match c.reply().as_str() {
                ":0" => answered += 1,
                push => {
                    let key = push.strip_prefix(">2 $invalidate *1 $key:").unwrap();
                    assert!(told.insert(key.to_owned()), "{key} was forgotten twice");
                }
            }
        }
        let stats = other.ask("INFO stats");
        let keys = stats.split("tracking_total_keys:").nth(1).unwrap();
        let keys: usize = keys.split("\r\n").next().unwrap().parse().unwrap();
        assert!(keys <= 101, "{keys}");
    });
}

#[test]
fn told_before_queued_commands_and_with_replies_off() {
    on_both(|server| {
        let (mut c, mut other) = (resp3(server), server.connect());
        other.check("CONFIG SET tracking-table-max-keys 2", "+OK");
        other.check("DEBUG PAUSE-CRON 1", "+OK");
        c.check("CLIENT TRACKING ON", "+OK");
        c.check("MGET a b", "*2 _ _");
        c.check("MULTI", "+OK");
        other.check("CONFIG SET tracking-table-max-keys 1", "+OK");
        other.check("DEBUG PAUSE-CRON 0", "+OK");
        let told = c.ask("PING");
        assert!(told.starts_with(">2 $invalidate *1 $"), "{told}");
        assert_eq!(c.reply(), "+QUEUED");
        c.check("EXEC", "*1 +PONG");
        other.check("CONFIG SET tracking-table-max-keys 0", "+OK");
        c.check("GET foo", "_");
        c.command(&["CLIENT", "REPLY", "OFF"]);
        c.command(&["PING"]);
        c.command(&["SET", "foo", "1"]);
        assert_eq!(c.reply(), ">2 $invalidate *1 $foo");
        c.command(&["GET", "foo"]);
        c.command(&["PING"]);
        wait("the read to be remembered", || {
            other
                .ask("INFO stats")
                .contains("tracking_total_items:2\r\n")
                .then_some(())
        });
        other.check("SET foo 2", "+OK");
        assert_eq!(c.reply(), ">2 $invalidate *1 $foo");
        c.check("CLIENT REPLY ON", "+OK");
        nothing(&mut c);
    });
}

/// A connection in RESP3 that hears when something has ended.
fn listener(server: &Server, tracking: &str) -> Client {
    let mut c = resp3(server);
    c.check("SUBSCRIBE end", ">3 $subscribe $end :1");
    c.check(tracking, "+OK");
    c
}

/// All that a listener is told until the end.
fn told(listener: &mut Client, other: &mut Client) -> Vec<String> {
    other.check("PUBLISH end end", ":1");
    let mut told = Vec::new();
    loop {
        match listener.reply() {
            end if end == ">3 $message $end $end" => return told,
            message => told.push(message),
        }
    }
}

/// Runs all scenes on both servers; `heard` is done with each line.
fn compare(heard: impl Fn(&Server) -> Box<dyn FnMut(&str) -> Vec<String>>) {
    let Some(theirs) = Server::start_oracle(&ARGS) else {
        return;
    };
    let ours = Server::start(&ARGS);
    let (mut ours, mut theirs) = (heard(&ours), heard(&theirs));
    let mut wrong = Vec::new();
    for scene in SCENES {
        for line in ["SELECT 0", "FLUSHALL"].iter().chain(*scene) {
            let (ours, theirs) = (ours(line), theirs(line));
            if ours != theirs {
                wrong.push(format!("{line}\n  ours   {ours:?}\n  theirs {theirs:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_command_makes_stale_what_it_does_in_redis() {
    compare(|server| {
        let mut ears = listener(server, "CLIENT TRACKING ON BCAST");
        let (mut hands, mut other) = (server.connect(), server.connect());
        hands.check("DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
        Box::new(move |line| {
            hands.ask(line);
            told(&mut ears, &mut other)
        })
    });
}

#[test]
fn each_command_invalidates_what_was_read_in_redis_too() {
    compare(|server| {
        let mut ears = listener(server, "CLIENT TRACKING ON");
        let (mut hands, mut other) = (server.connect(), server.connect());
        hands.check("DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
        Box::new(move |line| {
            // Whatever the words are, as keys they have been read.
            ears.ask(&format!("EXISTS {line}"));
            told(&mut ears, &mut other);
            hands.ask(line);
            told(&mut ears, &mut other)
        })
    });
}

#[test]
fn each_command_remembers_what_it_reads_in_redis() {
    compare(|server| {
        let mut hands = listener(server, "CLIENT TRACKING ON");
        let mut other = server.connect();
        other.check("DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
        other.check("SELECT 9", "+OK");
        Box::new(move |line| {
            hands.ask(line);
            let own = told(&mut hands, &mut other);
            let words = redstart::util::args::split(line.as_bytes()).unwrap();
            let mut change = vec![b"MSET".to_vec()];
            for word in words {
                change.extend([word, b"x".to_vec()]);
            }
            other.command(&change);
            other.check_reply("+OK");
            // The order in which MSET goes is not in question.
            let mut read = told(&mut hands, &mut other);
            read.sort();
            own.into_iter().chain(read).collect()
        })
    });
}

#[test]
fn clients_that_come_and_go_leave_little_behind() {
    let server = Server::start(&[]);
    let mut other = server.connect();
    other.check("CLIENT TRACKING ON", "+OK");
    other.check("GET a", "$-1");
    for _ in 0..100 {
        let mut c = server.connect();
        c.check("CLIENT TRACKING ON", "+OK");
        c.check("GET a", "$-1");
        c.check("QUIT", "+OK");
        assert!(c.rest().is_empty());
    }
    let stats = other.ask("INFO stats");
    let items = stats.split("tracking_total_items:").nth(1).unwrap();
    let items: usize = items.split("\r\n").next().unwrap().parse().unwrap();
    assert!(items < 10, "{items}");
    // With the last that may be told, all is forgotten.
    other.check("CLIENT TRACKING OFF", "+OK");
    let mut last = server.connect();
    drop(other);
    wait("the table to be empty", || {
        last.ask("INFO stats")
            .contains("tracking_total_keys:0\r\n")
            .then_some(())
    });
}
