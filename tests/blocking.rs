//! Clients that wait for keys: who is served, in which order, and how waits
//! end. Where there is a redis-server to ask, the same is expected of it.

mod support;

use std::time::{Duration, Instant};

use support::{Client, Server, wait};

/// Runs a story on our server and on the real one.
fn on_both(story: impl Fn(&Server)) {
    story(&Server::start(&[]));
    if let Some(oracle) = Server::start_oracle(&[]) {
        story(&oracle);
    }
}

/// Sends what one would type, without waiting for the reply.
fn ask(client: &mut Client, words: &str) {
    let args = redstart::util::args::split(words.as_bytes()).expect("balanced quotes");
    client.command(&args);
}

/// Waits until so many clients are blocked.
#[track_caller]
fn blocked(watcher: &mut Client, count: usize) {
    let field = format!("\r\nblocked_clients:{count}\r\n");
    wait("blocked clients", || {
        watcher.ask("INFO clients").contains(&field).then_some(())
    });
}

/// A client that waits, as the `number`th.
#[track_caller]
fn waiting(server: &Server, watcher: &mut Client, number: usize, words: &str) -> Client {
    let mut client = server.connect();
    ask(&mut client, words);
    blocked(watcher, number);
    client
}

/// Nothing more has been sent to the client: its next reply is to PING.
#[track_caller]
fn silent(client: &mut Client) {
    client.check("PING", "+PONG");
}

#[test]
fn who_came_first_is_served_first() {
    on_both(|server| {
        let mut c = server.connect();
        let mut clients: Vec<Client> = (1..=4)
            .map(|number| waiting(server, &mut c, number, "BLPOP l 0"))
            .collect();
        c.check("RPUSH l a b c", ":3");
        for (client, text) in clients.iter_mut().zip(["a", "b", "c"]) {
            assert_eq!(client.reply(), format!("*2 $l ${text}"));
        }
        blocked(&mut c, 1);
        c.check("EXISTS l", ":0");
        c.check("LPUSH l d", ":1");
        assert_eq!(clients[3].reply(), "*2 $l $d");
        for client in &mut clients {
            silent(client);
        }
    });
}

#[test]
fn ends_and_kinds_of_waiting_mix() {
    on_both(|server| {
        let mut c = server.connect();
        let mut right = waiting(server, &mut c, 1, "BRPOP l 0");
        let mut many = waiting(server, &mut c, 2, "BLMPOP 0 2 m l LEFT COUNT 2");
        let mut mover = waiting(server, &mut c, 3, "BLMOVE l to RIGHT LEFT 0");
        let mut last = waiting(server, &mut c, 4, "BRPOPLPUSH l to 0");
        c.check("RPUSH l a b c d e", ":5");
        assert_eq!(right.reply(), "*2 $l $e");
        assert_eq!(many.reply(), "*2 $l *2 $a $b");
        assert_eq!(mover.reply(), "$d");
        assert_eq!(last.reply(), "$c");
        c.check("LRANGE to 0 -1", "*2 $c $d");
        c.check("EXISTS l", ":0");
    });
}

#[test]
fn the_first_key_with_something_serves() {
    on_both(|server| {
        let mut c = server.connect();
        let mut client = waiting(server, &mut c, 1, "BLPOP a b c 0");
        // Each push is a command of its own: the first that brings something.
        c.check("RPUSH c 1", ":1");
        assert_eq!(client.reply(), "*2 $c $1");
        c.check("EXISTS c", ":0");
        c.check("RPUSH b 2", ":1");
        silent(&mut client);
        client.check("BLPOP a b c 0", "*2 $b $2");
        // The same key twice is waited for once.
        let mut client = waiting(server, &mut c, 1, "BLPOP a a a 0");
        c.check("RPUSH a 3 4", ":2");
        assert_eq!(client.reply(), "*2 $a $3");
        c.check("LRANGE a 0 -1", "*1 $4");
    });
}

#[test]
fn keys_are_served_after_a_whole_transaction() {
    on_both(|server| {
        let mut c = server.connect();
        let mut client = waiting(server, &mut c, 1, "BLPOP a b 0");
        for (words, reply) in [
            ("MULTI", "+OK"),
            ("RPUSH b 1", "+QUEUED"),
            ("RPUSH a 2", "+QUEUED"),
            ("LPUSH a 3", "+QUEUED"),
            ("EXEC", "*3 :1 :1 :2"),
        ] {
            c.check(words, reply);
        }
        // Redis: keys in the order in which they appeared.
        assert_eq!(client.reply(), "*2 $b $1");
        c.check("LRANGE a 0 -1", "*2 $3 $2");
        let mut client = waiting(server, &mut c, 1, "BLPOP gone 0");
        for (words, reply) in [
            ("MULTI", "+OK"),
            ("RPUSH gone 1", "+QUEUED"),
            ("DEL gone", "+QUEUED"),
            ("EXEC", "*2 :1 :1"),
        ] {
            c.check(words, reply);
        }
        blocked(&mut c, 1);
        c.check("RPUSH gone 2", ":1");
        assert_eq!(client.reply(), "*2 $gone $2");
        // In a transaction nobody waits.
        for (words, reply) in [
            ("MULTI", "+OK"),
            ("BLPOP gone 0", "+QUEUED"),
            ("BLMOVE gone a LEFT LEFT 0", "+QUEUED"),
            ("BLMPOP 0 1 gone LEFT", "+QUEUED"),
            ("EXEC", "*3 *-1 $-1 *-1"),
        ] {
            c.check(words, reply);
        }
    });
}

#[test]
fn moves_wake_the_next_in_line() {
    on_both(|server| {
        let mut c = server.connect();
        let mut first = waiting(server, &mut c, 1, "BLMOVE a b LEFT RIGHT 0");
        let mut second = waiting(server, &mut c, 2, "BLMOVE b c LEFT RIGHT 0");
        let mut third = waiting(server, &mut c, 3, "BLPOP c 0");
        c.check("RPUSH a x", ":1");
        assert_eq!(first.reply(), "$x");
        assert_eq!(second.reply(), "$x");
        assert_eq!(third.reply(), "*2 $c $x");
        c.check("EXISTS a b c", ":0");
        // In a circle, the element comes to rest.
        let mut one = waiting(server, &mut c, 1, "BRPOPLPUSH a b 0");
        let mut other = waiting(server, &mut c, 2, "BRPOPLPUSH b a 0");
        c.check("RPUSH a y", ":1");
        assert_eq!((one.reply(), other.reply()), ("$y".into(), "$y".into()));
        c.check("LRANGE a 0 -1", "*1 $y");
        c.check("DEL a", ":1");
        let mut same = waiting(server, &mut c, 1, "BRPOPLPUSH a a 0");
        c.check("RPUSH a z", ":1");
        assert_eq!(same.reply(), "$z");
        c.check("LRANGE a 0 -1", "*1 $z");
    });
}

#[test]
fn keys_come_by_other_ways_too() {
    on_both(|server| {
        let mut c = server.connect();
        let mut client = waiting(server, &mut c, 1, "BLPOP l 0");
        c.check("SET l string", "+OK");
        blocked(&mut c, 1);
        c.check("DEL l", ":1");
        c.check("RPUSH other a b", ":2");
        c.check("RENAME other l", "+OK");
        assert_eq!(client.reply(), "*2 $l $a");
        c.check("DEL l", ":1");
        let mut client = waiting(server, &mut c, 1, "BLPOP l 0");
        c.check("RPUSH source a b", ":2");
        c.check("COPY source l", ":1");
        assert_eq!(client.reply(), "*2 $l $a");
        c.check("DEL l source", ":2");
        let mut client = waiting(server, &mut c, 1, "BLPOP l 0");
        c.check("SELECT 5", "+OK");
        c.check("RPUSH l five", ":1");
        blocked(&mut c, 1);
        c.check("MOVE l 0", ":1");
        assert_eq!(client.reply(), "*2 $l $five");
        let mut client = waiting(server, &mut c, 1, "BLPOP l 0");
        c.check("RPUSH l swapped", ":1");
        c.check("SWAPDB 0 5", "+OK");
        assert_eq!(client.reply(), "*2 $l $swapped");
        // A sorted set is nothing for those who wait for lists.
        c.check("SELECT 0", "+OK");
        let mut client = waiting(server, &mut c, 1, "BLPOP l 0");
        c.check("ZADD l 1 a", ":1");
        blocked(&mut c, 1);
        c.check("DEL l", ":1");
        c.check("RPUSH l a", ":1");
        assert_eq!(client.reply(), "*2 $l $a");
    });
}

#[test]
fn a_wrong_destination_ends_the_wait_and_nothing_is_lost() {
    on_both(|server| {
        let mut c = server.connect();
        c.check("SET to string", "+OK");
        let mut client = waiting(server, &mut c, 1, "BLMOVE from to LEFT LEFT 0");
        c.check("RPUSH from a", ":1");
        assert_eq!(
            client.reply(),
            "-WRONGTYPE Operation against a key holding the wrong kind of value"
        );
        c.check("LRANGE from 0 -1", "*1 $a");
        blocked(&mut c, 0);
        // Who comes next gets it.
        c.check("DEL from", ":1");
        let mut wrong = waiting(server, &mut c, 1, "BRPOPLPUSH from to 0");
        let mut right = waiting(server, &mut c, 2, "BLPOP from 0");
        c.check("RPUSH from a", ":1");
        assert!(wrong.reply().starts_with("-WRONGTYPE"));
        assert_eq!(right.reply(), "*2 $from $a");
    });
}

#[test]
fn waits_end_in_time() {
    on_both(|server| {
        for (words, reply, seconds) in [
            ("BLPOP l 0.3", "*-1", 0.3),
            ("BRPOP l m 0.05", "*-1", 0.05),
            ("BLMPOP 0.2 1 l LEFT", "*-1", 0.2),
            // Redis: no array, though what is moved is a string.
            ("BLMOVE l m LEFT LEFT 0.1", "*-1", 0.1),
            ("BRPOPLPUSH l m 1", "*-1", 1.0),
            ("BLPOP l 0.0001", "*-1", 0.0),
        ] {
            let mut client = server.connect();
            let start = Instant::now();
            client.check(words, reply);
            let took = start.elapsed().as_secs_f64();
            assert!(took >= seconds && took < seconds + 5.0, "{words}: {took}");
            silent(&mut client);
        }
        let mut c = server.connect();
        blocked(&mut c, 0);
        c.check("RPUSH l a", ":1");
        c.check("LLEN l", ":1");
    });
}

#[test]
fn many_deadlines_end_in_their_order() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let start = Instant::now();
    let mut clients: Vec<(f64, Client)> = Vec::new();
    for index in 0..20 {
        let seconds = 0.3 + f64::from((index * 7) % 20) / 50.0;
        let mut client = server.connect();
        ask(&mut client, &format!("BLPOP l{} 0 {seconds}", index % 3));
        clients.push((seconds, client));
    }
    clients.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (seconds, client) in &mut clients {
        assert_eq!(client.reply(), "*-1");
        assert!(start.elapsed().as_secs_f64() >= *seconds);
    }
    blocked(&mut c, 0);
}

#[test]
fn client_unblock_ends_a_wait() {
    on_both(|server| {
        let mut c = server.connect();
        let mut client = server.connect();
        let id = client.id();
        c.check(&format!("CLIENT UNBLOCK {id}"), ":0");
        ask(&mut client, "BLPOP l 0");
        blocked(&mut c, 1);
        assert!(c.field_of(id, "flags").contains('b'));
        c.check(&format!("CLIENT UNBLOCK {id}"), ":1");
        assert_eq!(client.reply(), "*-1");
        ask(&mut client, "BLMPOP 0 1 l LEFT");
        blocked(&mut c, 1);
        c.check(&format!("CLIENT UNBLOCK {id} TIMEOUT"), ":1");
        assert_eq!(client.reply(), "*-1");
        ask(&mut client, "BLMOVE l m LEFT LEFT 0");
        blocked(&mut c, 1);
        c.check(&format!("CLIENT UNBLOCK {id} ERROR"), ":1");
        assert_eq!(
            client.reply(),
            "-UNBLOCKED client unblocked via CLIENT UNBLOCK"
        );
        blocked(&mut c, 0);
        c.check("RPUSH l a", ":1");
        silent(&mut client);
        c.check("LLEN l", ":1");
    });
}

#[test]
fn who_leaves_gets_nothing() {
    on_both(|server| {
        let mut c = server.connect();
        let gone = waiting(server, &mut c, 1, "BLPOP l 0");
        let mut stays = waiting(server, &mut c, 2, "BLPOP l 0");
        drop(gone);
        blocked(&mut c, 1);
        c.check("RPUSH l a b", ":2");
        assert_eq!(stays.reply(), "*2 $l $a");
        c.check("LRANGE l 0 -1", "*1 $b");
        c.check("DEL l", ":1");
        let mut killed = server.connect();
        let id = killed.id();
        ask(&mut killed, "BLPOP l 0");
        blocked(&mut c, 1);
        c.check(&format!("CLIENT KILL ID {id}"), ":1");
        blocked(&mut c, 0);
        c.check("RPUSH l a", ":1");
        c.check("LLEN l", ":1");
    });
}

#[test]
fn what_is_sent_meanwhile_comes_afterwards() {
    on_both(|server| {
        let mut c = server.connect();
        let mut client = server.connect();
        for words in [
            "SET before 1",
            "BLPOP l 0",
            "SET after 1",
            "BLPOP m 0",
            "PING",
        ] {
            ask(&mut client, words);
        }
        assert_eq!(client.reply(), "+OK");
        blocked(&mut c, 1);
        c.check("EXISTS before after", ":1");
        c.check("RPUSH l a b", ":2");
        assert_eq!(client.reply(), "*2 $l $a");
        assert_eq!(client.reply(), "+OK");
        blocked(&mut c, 1);
        c.check("RPUSH m x", ":1");
        assert_eq!(client.reply(), "*2 $m $x");
        assert_eq!(client.reply(), "+PONG");
        c.check("LRANGE l 0 -1", "*1 $b");
    });
}

#[test]
fn an_expired_list_serves_nobody() {
    on_both(|server| {
        let mut c = server.connect();
        let mut client = waiting(server, &mut c, 1, "BLPOP l 0");
        for (words, reply) in [
            ("MULTI", "+OK"),
            ("RPUSH l old", "+QUEUED"),
            ("PEXPIREAT l 1", "+QUEUED"),
            ("EXEC", "*2 :1 :1"),
        ] {
            c.check(words, reply);
        }
        blocked(&mut c, 1);
        c.check("RPUSH l new", ":1");
        assert_eq!(client.reply(), "*2 $l $new");
    });
}

#[test]
fn a_thousand_waiters_share_one_push() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let mut clients: Vec<Client> = (0..1000).map(|_| server.connect()).collect();
    for client in &mut clients {
        ask(client, "BLPOP l 0");
    }
    blocked(&mut c, clients.len());
    let mut push = vec!["RPUSH".to_owned(), "l".to_owned()];
    push.extend((0..clients.len()).map(|index| index.to_string()));
    let start = Instant::now();
    c.command(&push);
    assert_eq!(c.reply(), ":1000");
    let mut got: Vec<u32> = clients
        .iter_mut()
        .map(|client| client.reply()["*2 $l $".len()..].parse().unwrap())
        .collect();
    assert!(start.elapsed() < Duration::from_secs(5));
    got.sort_unstable();
    assert!(got.iter().copied().eq(0..1000));
    c.check("EXISTS l", ":0");
}

#[test]
fn calls_that_wait_are_counted_and_logged_when_they_end() {
    let server = Server::start(&["--slowlog-log-slower-than", "0"]);
    let mut c = server.connect();
    let mut waiting = server.connect();
    let id = waiting.id();
    let stats = |c: &mut Client| {
        let info = c.ask("INFO commandstats");
        let line = info.lines().find(|line| line.contains("_blpop:"));
        let line = line.unwrap_or_default();
        let field = |name: &str| {
            let (_, rest) = line.split_once(name).unwrap_or_default();
            rest.split(',').next().unwrap_or_default().to_owned()
        };
        (field("calls="), field("failed_calls="))
    };
    let logged = |c: &mut Client| c.ask("SLOWLOG GET -1").matches("BLPOP").count();
    let has_latency = |c: &mut Client| c.ask("INFO latencystats").contains("_blpop:");
    let counted = |calls: &str, failed: &str| (calls.to_owned(), failed.to_owned());
    waiting.send("BLPOP k 0\r\n");
    wait("the client to wait", || {
        c.ask("INFO clients")
            .contains("blocked_clients:1")
            .then_some(())
    });
    assert_eq!(c.field_of(id, "argv-mem"), "7");
    assert_eq!(stats(&mut c), counted("1", "0"));
    assert_eq!((logged(&mut c), has_latency(&mut c)), (0, false));
    c.check("LPUSH k v", ":1");
    assert_eq!(waiting.reply(), "*2 $k $v");
    assert_eq!(stats(&mut c), counted("1", "0"));
    assert_eq!((logged(&mut c), has_latency(&mut c)), (1, true));
    // One whose time has come is not logged.
    waiting.check("BLPOP k 0.01", "*-1");
    assert_eq!((stats(&mut c), logged(&mut c)), (counted("2", "0"), 1));
    // One that was given up has failed.
    for how in ["TIMEOUT", "ERROR"] {
        waiting.send("BLPOP k 0\r\n");
        wait("the client to wait", || {
            c.ask("INFO clients")
                .contains("blocked_clients:1")
                .then_some(())
        });
        c.check(&format!("CLIENT UNBLOCK {id} {how}"), ":1");
        waiting.reply();
    }
    assert_eq!((stats(&mut c), logged(&mut c)), (counted("4", "2"), 3));
    waiting.check("MULTI", "+OK");
    waiting.check("BLPOP k 0", "+QUEUED");
    waiting.check("EXEC", "*1 *-1");
    assert_eq!((stats(&mut c), logged(&mut c)), (counted("5", "2"), 4));
}

#[test]
fn readers_of_a_stream_wait_for_what_is_new() {
    on_both(|server| {
        let mut c = server.connect();
        c.check("XADD s 1-0 f v", "$1-0");
        let mut first = waiting(server, &mut c, 1, "XREAD BLOCK 0 STREAMS s t $ 0");
        let mut second = waiting(server, &mut c, 2, "XREAD BLOCK 0 COUNT 1 STREAMS s 5");
        c.check("XADD s 2-0 f w", "$2-0");
        assert_eq!(first.reply(), "*1 *2 $s *1 *2 $2-0 *2 $f $w");
        c.check("RPUSH t a", ":1");
        blocked(&mut c, 1);
        c.check("XADD s 6-0 f x", "$6-0");
        assert_eq!(second.reply(), "*1 *2 $s *1 *2 $6-0 *2 $f $x");
        let mut client = server.connect();
        client.check("XREAD BLOCK 10 STREAMS s $", "*-1");
        client.check("XREAD BLOCK -1 STREAMS s $", "-ERR timeout is negative");
        // A key that comes by another name is looked at too.
        let mut third = waiting(server, &mut c, 1, "XREAD BLOCK 0 STREAMS u $");
        c.check("RENAME s u", "+OK");
        assert!(third.reply().starts_with("*1 *2 $u *3 *2 $1-0"));
    });
}

#[test]
fn consumers_that_wait_are_served_in_turn() {
    on_both(|server| {
        let mut c = server.connect();
        c.check("XGROUP CREATE s g $ MKSTREAM", "+OK");
        let words = |name: &str| format!("XREADGROUP GROUP g {name} BLOCK 0 STREAMS s >");
        let mut ann = waiting(server, &mut c, 1, &words("ann"));
        let mut bob = waiting(server, &mut c, 2, &words("bob"));
        c.check("XADD s 1-0 f v", "$1-0");
        assert_eq!(ann.reply(), "*1 *2 $s *1 *2 $1-0 *2 $f $v");
        blocked(&mut c, 1);
        c.check("XADD s 2-0 f w", "$2-0");
        assert_eq!(bob.reply(), "*1 *2 $s *1 *2 $2-0 *2 $f $w");
        c.check("XPENDING s g", "*4 :2 $1-0 $2-0 *2 *2 $ann $1 *2 $bob $1");
    });
}

#[test]
fn consumers_are_told_when_stream_or_group_goes() {
    on_both(|server| {
        let mut c = server.connect();
        let lost = "-UNBLOCKED the stream key no longer exists";
        let no_group = "-NOGROUP the consumer group this client was blocked on no longer exists";
        let stories: [(&[&str], &str); 8] = [
            (&["DEL s"], lost),
            (&["SET s x"], lost),
            (&["RENAME s t"], lost),
            (&["FLUSHALL"], lost),
            (&["PEXPIRE s -1"], lost),
            (&["SWAPDB 0 1"], lost),
            (&["XGROUP DESTROY s g"], no_group),
            (&["MULTI", "DEL s", "XADD s 1-0 f v", "EXEC"], no_group),
        ];
        for (commands, error) in stories {
            c.ask("FLUSHALL");
            c.check("XGROUP CREATE s g $ MKSTREAM", "+OK");
            let words = "XREADGROUP GROUP g ann BLOCK 0 STREAMS s >";
            let mut reader = waiting(server, &mut c, 1, words);
            for command in commands {
                c.ask(command);
            }
            assert_eq!(reader.reply(), error, "{commands:?}");
        }
        // Who only reads waits on, for the key to come back.
        c.ask("FLUSHALL");
        let mut reader = waiting(server, &mut c, 1, "XREAD BLOCK 0 STREAMS s $");
        c.check("XADD s 1-0 f v", "$1-0");
        assert_eq!(reader.reply(), "*1 *2 $s *1 *2 $1-0 *2 $f $v");
    });
}
