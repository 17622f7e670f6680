//! Pub/Sub; every transcript is checked against redis-server too, where there
//! is one.

use super::support::{Client, Server, wait};

fn on_both(transcript: impl Fn(&Server)) {
    transcript(&Server::start(&[]));
    if let Some(oracle) = Server::start_oracle(&[]) {
        transcript(&oracle);
    }
}

/// Sends a command and compares several replies to it.
#[track_caller]
fn several(c: &mut Client, words: &str, expected: &[&str]) {
    let first = c.ask(words);
    let mut replies = vec![first];
    replies.extend((1..expected.len()).map(|_| c.reply()));
    assert_eq!(replies, expected, "the replies to {words}");
}

#[test]
fn channels() {
    on_both(|server| {
        let (mut a, mut b, mut p) = (server.connect(), server.connect(), server.connect());
        several(
            &mut a,
            "SUBSCRIBE x y x",
            &[
                "*3 $subscribe $x :1",
                "*3 $subscribe $y :2",
                "*3 $subscribe $x :2",
            ],
        );
        b.check("SUBSCRIBE x", "*3 $subscribe $x :1");
        p.check("PUBLISH x hello", ":2");
        p.check("PUBLISH y ''", ":1");
        p.check("PUBLISH z lost", ":0");
        assert_eq!(a.reply(), "*3 $message $x $hello");
        assert_eq!(a.reply(), "*3 $message $y $");
        assert_eq!(b.reply(), "*3 $message $x $hello");
        a.check("UNSUBSCRIBE y", "*3 $unsubscribe $y :1");
        a.check("UNSUBSCRIBE nosuch", "*3 $unsubscribe $nosuch :1");
        p.check("PUBLISH y lost", ":0");
        a.check("UNSUBSCRIBE", "*3 $unsubscribe $x :0");
        a.check("UNSUBSCRIBE", "*3 $unsubscribe $-1 :0");
        p.check("PUBLISH x hello", ":1");
        a.check("PING", "+PONG");
    });
}

#[test]
fn patterns_and_shard_channels() {
    on_both(|server| {
        let (mut a, mut p) = (server.connect(), server.connect());
        several(
            &mut a,
            "PSUBSCRIBE n* n*",
            &["*3 $psubscribe $n* :1", "*3 $psubscribe $n* :1"],
        );
        a.check("SUBSCRIBE news", "*3 $subscribe $news :2");
        several(
            &mut a,
            "SSUBSCRIBE news other",
            &["*3 $ssubscribe $news :1", "*3 $ssubscribe $other :2"],
        );
        p.check("PUBLISH news m", ":2");
        assert_eq!(a.reply(), "*3 $message $news $m");
        assert_eq!(a.reply(), "*4 $pmessage $n* $news $m");
        p.check("SPUBLISH news m", ":1");
        assert_eq!(a.reply(), "*3 $smessage $news $m");
        p.check("PUBLISH nothing m", ":1");
        assert_eq!(a.reply(), "*4 $pmessage $n* $nothing $m");
        a.check("UNSUBSCRIBE", "*3 $unsubscribe $news :1");
        a.check("PUNSUBSCRIBE x*", "*3 $punsubscribe $x* :1");
        a.check("PUNSUBSCRIBE", "*3 $punsubscribe $n* :0");
        a.check("PUNSUBSCRIBE", "*3 $punsubscribe $-1 :0");
        a.check("SUNSUBSCRIBE news", "*3 $sunsubscribe $news :1");
        // Still a subscriber.
        let refused = a.ask("GET k");
        assert!(refused.starts_with("-ERR Can't execute 'get'"), "{refused}");
        a.check("SUNSUBSCRIBE", "*3 $sunsubscribe $other :0");
        a.check("SUNSUBSCRIBE", "*3 $sunsubscribe $-1 :0");
        a.check("GET k", "$-1");
    });
}

#[test]
fn the_order_of_subscription_is_that_of_patterns_ended_together() {
    on_both(|server| {
        let mut a = server.connect();
        several(
            &mut a,
            "PSUBSCRIBE c* a* b*",
            &[
                "*3 $psubscribe $c* :1",
                "*3 $psubscribe $a* :2",
                "*3 $psubscribe $b* :3",
            ],
        );
        several(
            &mut a,
            "PUNSUBSCRIBE",
            &[
                "*3 $punsubscribe $c* :2",
                "*3 $punsubscribe $a* :1",
                "*3 $punsubscribe $b* :0",
            ],
        );
    });
}

#[test]
fn subscribers_in_resp2_do_little_else() {
    on_both(|server| {
        let mut c = server.connect();
        c.check("SUBSCRIBE x", "*3 $subscribe $x :1");
        for (line, name) in [
            ("GET k", "get"),
            ("CLIENT ID", "client|id"),
            ("PUBLISH x m", "publish"),
            ("PUBSUB NUMPAT", "pubsub|numpat"),
            ("HELLO 3", "hello"),
            ("MULTI", "multi"),
        ] {
            c.check(
                line,
                &format!(
                    "-ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING \
                     / QUIT / RESET are allowed in this context"
                ),
            );
        }
        c.check(
            "NOSUCH",
            "-ERR unknown command 'NOSUCH', with args beginning with: ",
        );
        c.check("GET", "-ERR wrong number of arguments for 'get' command");
        c.check("PING", "*2 $pong $");
        c.check("PING text", "*2 $pong $text");
        c.check("RESET", "+RESET");
        c.check("PING", "+PONG");
        c.check("PUBLISH x m", ":0");
        c.check("PSUBSCRIBE x", "*3 $psubscribe $x :1");
        c.check("QUIT", "+OK");
        assert_eq!(c.rest(), b"");
    });
}

#[test]
fn messages_are_pushes_in_resp3() {
    on_both(|server| {
        let mut c = server.connect();
        c.ask("HELLO 3");
        c.check("SUBSCRIBE x", ">3 $subscribe $x :1");
        c.check("PSUBSCRIBE x*", ">3 $psubscribe $x* :2");
        c.check("SSUBSCRIBE x", ">3 $ssubscribe $x :1");
        several(
            &mut c,
            "PUBLISH x m",
            &[">3 $message $x $m", ">4 $pmessage $x* $x $m", ":2"],
        );
        several(&mut c, "SPUBLISH x m", &[">3 $smessage $x $m", ":1"]);
        c.check("SET k v", "+OK");
        c.check("PING text", "$text");
        c.check("UNSUBSCRIBE", ">3 $unsubscribe $x :1");
        c.check("UNSUBSCRIBE", ">3 $unsubscribe _ :1");
        c.check("PUNSUBSCRIBE", ">3 $punsubscribe $x* :0");
        c.check("SUNSUBSCRIBE", ">3 $sunsubscribe $x :0");
    });
}

#[test]
fn whether_replies_are_off_messages_come() {
    on_both(|server| {
        let (mut c, mut p) = (server.connect(), server.connect());
        c.ask("HELLO 3");
        c.command(&["CLIENT", "REPLY", "OFF"]);
        c.check("SUBSCRIBE x", ">3 $subscribe $x :1");
        c.command(&["PING"]);
        // Of its own message the number of receivers is a reply.
        several(&mut c, "PUBLISH x m", &[">3 $message $x $m"]);
        p.check("PUBLISH x m", ":1");
        assert_eq!(c.reply(), ">3 $message $x $m");
        c.check("CLIENT REPLY ON", "+OK");
        c.command(&["CLIENT", "REPLY", "SKIP"]);
        c.check("UNSUBSCRIBE x", ">3 $unsubscribe $x :0");
        c.check("PING", "+PONG");
    });
}

#[test]
fn transactions() {
    on_both(|server| {
        let (mut c, mut other) = (server.connect(), server.connect());
        other.check("SUBSCRIBE x", "*3 $subscribe $x :1");
        c.check("MULTI", "+OK");
        c.check("SUBSCRIBE x y", "+QUEUED");
        c.check("PUBLISH x m", "+QUEUED");
        c.check("SSUBSCRIBE x", "+QUEUED");
        c.check("UNSUBSCRIBE", "+QUEUED");
        c.check("PING", "+QUEUED");
        // Redis: a reply for each name, of which EXEC knows nothing.
        c.command(&["EXEC"]);
        assert_eq!(
            c.reply(),
            "*5 *3 $subscribe $x :1 *3 $subscribe $y :2 *3 $message $x $m :2 -ERR SSUBSCRIBE \
             isn't allowed for a DENY BLOCKING client"
        );
        let mut ended = [c.reply(), c.reply()];
        ended.sort();
        assert!(ended[0].starts_with("*3 $unsubscribe $x :"), "{ended:?}");
        assert!(ended[1].starts_with("*3 $unsubscribe $y :"), "{ended:?}");
        c.check("PING", "+PONG");
        assert_eq!(c.reply(), "+PONG");
        assert_eq!(other.reply(), "*3 $message $x $m");
    });
}

#[test]
fn introspection() {
    on_both(|server| {
        let (mut a, mut b, mut c) = (server.connect(), server.connect(), server.connect());
        for (line, expected) in [
            ("PUBSUB CHANNELS", "*0"),
            ("PUBSUB NUMSUB", "*0"),
            ("PUBSUB NUMPAT", ":0"),
            ("PUBSUB SHARDCHANNELS", "*0"),
            ("PUBSUB SHARDNUMSUB", "*0"),
        ] {
            c.check(line, expected);
        }
        a.ask("SUBSCRIBE news");
        b.ask("SUBSCRIBE news");
        b.ask("PSUBSCRIBE n*");
        a.ask("PSUBSCRIBE n*");
        a.ask("PSUBSCRIBE o*");
        a.ask("SSUBSCRIBE s1");
        for (line, expected) in [
            ("PUBSUB CHANNELS", "*1 $news"),
            ("PUBSUB channels n*", "*1 $news"),
            ("PUBSUB CHANNELS x*", "*0"),
            ("PUBSUB NUMSUB news x news", "*6 $news :2 $x :0 $news :2"),
            ("PUBSUB NUMPAT", ":2"),
            ("PUBSUB SHARDCHANNELS", "*1 $s1"),
            ("PUBSUB SHARDCHANNELS x*", "*0"),
            ("PUBSUB SHARDNUMSUB s1 news", "*4 $s1 :1 $news :0"),
            (
                "PUBSUB CHANNELS a b",
                "-ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB \
                 HELP.",
            ),
            (
                "PUBSUB shardchannels a b",
                "-ERR unknown subcommand or wrong number of arguments for 'shardchannels'. Try \
                 PUBSUB HELP.",
            ),
            (
                "PUBSUB NUMPAT x",
                "-ERR wrong number of arguments for 'pubsub|numpat' command",
            ),
            (
                "PUBSUB nosuch",
                "-ERR unknown subcommand 'nosuch'. Try PUBSUB HELP.",
            ),
            (
                "PUBSUB",
                "-ERR wrong number of arguments for 'pubsub' command",
            ),
            (
                "SUBSCRIBE",
                "-ERR wrong number of arguments for 'subscribe' command",
            ),
            (
                "PUBLISH x",
                "-ERR wrong number of arguments for 'publish' command",
            ),
        ] {
            c.check(line, expected);
        }
        let stats = c.ask("INFO stats");
        for field in [
            "pubsub_channels:1",
            "pubsub_patterns:2",
            "pubsubshard_channels:1",
        ] {
            assert!(stats.contains(field), "{field}: {stats}");
        }
        let list = c.ask("CLIENT LIST TYPE pubsub");
        assert_eq!(list.trim_end().lines().count(), 2, "{list}");
        assert!(
            list.lines().all(|line| line.contains(" flags=P ")),
            "{list}"
        );
        assert!(list.contains(" sub=1 psub=2 ssub=1 "), "{list}");
        assert!(list.contains(" sub=1 psub=1 ssub=0 "), "{list}");
        let list = c.ask("CLIENT LIST TYPE normal");
        assert!(
            list.contains(" flags=N ") && list.contains(" sub=0 psub=0 ssub=0 "),
            "{list}"
        );
    });
}

#[test]
fn who_is_gone_hears_nothing() {
    on_both(|server| {
        let (mut a, mut b, mut c) = (server.connect(), server.connect(), server.connect());
        a.ask("SUBSCRIBE x");
        b.ask("SUBSCRIBE x");
        c.check("CLIENT KILL TYPE pubsub", ":2");
        c.check("PUBSUB NUMSUB x", "*2 $x :0");
        c.check("PUBLISH x m", ":0");
        assert!(a.rest().is_empty() && b.rest().is_empty());
        let mut d = server.connect();
        d.ask("SUBSCRIBE x");
        d.ask("PSUBSCRIBE x");
        drop(d);
        wait("the subscriptions to end", || {
            (c.ask("PUBLISH x m") == ":0").then_some(())
        });
        c.check("PUBSUB NUMPAT", ":0");
    });
}

#[test]
fn slow_subscribers_are_cut_off() {
    on_both(|server| {
        let (mut slow, mut p) = (server.connect(), server.connect());
        p.check(
            "CONFIG SET client-output-buffer-limit 'pubsub 100000 0 0'",
            "+OK",
        );
        slow.ask("SUBSCRIBE x");
        let message = "m".repeat(50_000);
        wait("the slow one to be cut off", || {
            p.command(&["PUBLISH", "x", &message]);
            (p.reply() == ":0").then_some(())
        });
        p.check("PUBSUB NUMSUB x", "*2 $x :0");
    });
}

#[test]
fn long_messages_and_odd_names() {
    on_both(|server| {
        let (mut two, mut three, mut p) = (server.connect(), server.connect(), server.connect());
        three.ask("HELLO 3");
        let name = b"a \r\n\x00\xff";
        for c in [&mut two, &mut three] {
            c.command(&[&b"SUBSCRIBE"[..], name]);
            c.reply_bytes();
        }
        for len in [1000, 4096, 70_000, 1_000_000] {
            let message = vec![b'm'; len];
            for _ in 0..3 {
                p.command(&[&b"PUBLISH"[..], name, &message]);
                assert_eq!(p.reply(), ":2");
            }
            for (c, first) in [(&mut two, b'*'), (&mut three, b'>')] {
                for _ in 0..3 {
                    let reply = c.reply_bytes();
                    assert_eq!(reply[0], first);
                    assert!(
                        reply.ends_with(&message) && reply.len() == len + 21,
                        "{len}"
                    );
                }
            }
        }
    });
}

#[test]
fn many_subscribers_get_everything_in_order() {
    const SUBSCRIBERS: usize = 500;
    for threads in ["1", "3"] {
        let server = Server::start(&["--io-threads", threads]);
        let mut clients: Vec<Client> = (0..SUBSCRIBERS).map(|_| server.connect()).collect();
        for c in &mut clients {
            c.check("SUBSCRIBE x", "*3 $subscribe $x :1");
        }
        let mut p = server.connect();
        for nth in 0..10 {
            p.check(&format!("PUBLISH x {nth}"), ":500");
        }
        for c in &mut clients {
            for nth in 0..10 {
                assert_eq!(c.reply(), format!("*3 $message $x ${nth}"));
            }
        }
    }
}

#[test]
fn subscriptions_are_accounted() {
    let server = Server::start(&[]);
    let (mut c, mut other) = (server.connect(), server.connect());
    let id = c.id();
    let memory = |other: &mut Client| -> usize { other.field_of(id, "tot-mem").parse().unwrap() };
    let before = memory(&mut other);
    for nth in 0..1000 {
        c.ask(&format!("SUBSCRIBE channel:{nth}"));
    }
    let with = memory(&mut other);
    assert!(with > before + 50_000, "{before} {with}");
    c.command(&["UNSUBSCRIBE"]);
    (0..1000).for_each(|_| drop(c.reply()));
    assert!(memory(&mut other) < before + 20_000);
    other.check("PUBSUB CHANNELS", "*0");
}
