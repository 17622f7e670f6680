//! Set commands; every transcript is checked against redis-server too, where
//! there is one.

use std::collections::HashSet;

use super::support::{Client, Server};

fn on_both(transcript: impl Fn(&mut Client)) {
    transcript(&mut Server::start(&[]).connect());
    if let Some(oracle) = Server::start_oracle(&[]) {
        transcript(&mut oracle.connect());
    }
}

/// One step of a transcript whose reply is a list in no order.
#[track_caller]
fn check_any_order(c: &mut Client, words: &str, expected: &str) {
    let reply = c.ask(words);
    let mut items: Vec<&str> = reply.split(' ').collect();
    items[1..].sort_unstable();
    assert_eq!(items.join(" "), expected, "the reply to {words}");
}

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn members_are_added_looked_up_and_removed() {
    on_both(|c| {
        c.check("SADD s a b a c", ":3");
        c.check("SADD s a", ":0");
        c.check("SADD s a d", ":1");
        c.check("SCARD s", ":4");
        c.check("SCARD nosuch", ":0");
        c.check("SISMEMBER s a", ":1");
        c.check("SISMEMBER s x", ":0");
        c.check("SISMEMBER nosuch a", ":0");
        c.check("SMISMEMBER s a x d a", "*4 :1 :0 :1 :1");
        c.check("SMISMEMBER nosuch a b", "*2 :0 :0");
        check_any_order(c, "SMEMBERS s", "*4 $a $b $c $d");
        c.check("SMEMBERS nosuch", "*0");
        c.check("SREM s a x a b", ":2");
        c.check("SREM nosuch a", ":0");
        c.check("SREM s x", ":0");
        c.check("TYPE s", "+set");
        c.check("SREM s c d x", ":2");
        c.check("TYPE s", "+none");
        c.check(
            "SADD s",
            "-ERR wrong number of arguments for 'sadd' command",
        );
        c.check(
            "SREM s",
            "-ERR wrong number of arguments for 'srem' command",
        );
    });
}

#[test]
fn integers_are_kept_apart_from_what_only_looks_like_one() {
    on_both(|c| {
        c.check("SADD i 3 1 2 1 -5 9223372036854775807", ":5");
        c.check("OBJECT ENCODING i", "$intset");
        c.check("SMEMBERS i", "*5 $-5 $1 $2 $3 $9223372036854775807");
        c.check("SMISMEMBER i 1 01 +1 1.0 -5", "*5 :1 :0 :0 :0 :1");
        c.check("SREM i 01 +3 3", ":1");
        c.check("OBJECT ENCODING i", "$intset");
        c.check("SADD i 01", ":1");
        c.check("OBJECT ENCODING i", "$hashtable");
        c.check("SMISMEMBER i 1 01 -5", "*3 :1 :1 :1");
        c.check("SREM i 01", ":1");
        c.check("OBJECT ENCODING i", "$hashtable");
        c.check("SADD j 9223372036854775808", ":1");
        c.check("OBJECT ENCODING j", "$hashtable");
    });
}

#[test]
fn encodings_follow_the_limit() {
    on_both(|c| {
        c.check("CONFIG SET set-max-intset-entries 3", "+OK");
        c.check("SADD s 1 2 3", ":3");
        c.check("OBJECT ENCODING s", "$intset");
        c.check("SADD s 3", ":0");
        c.check("OBJECT ENCODING s", "$intset");
        c.check("SADD s 4", ":1");
        c.check("OBJECT ENCODING s", "$hashtable");
        c.check("SREM s 3 4", ":2");
        c.check("OBJECT ENCODING s", "$hashtable");
        c.check("SUNIONSTORE t s", ":2");
        c.check("OBJECT ENCODING t", "$intset");
        c.check("COPY s u", ":1");
        c.check("OBJECT ENCODING u", "$hashtable");
        c.check("SADD v a 1 2 3", ":4");
        c.check("SDIFFSTORE w v t", ":2");
        c.check("OBJECT ENCODING w", "$hashtable");
        c.check("SINTERSTORE w v t", ":2");
        c.check("OBJECT ENCODING w", "$intset");
        c.check("CONFIG SET set-max-intset-entries 0", "+OK");
        c.check("SADD z 1", ":1");
        c.check("OBJECT ENCODING z", "$hashtable");
        c.check("SUNIONSTORE t s", ":2");
        c.check("OBJECT ENCODING t", "$hashtable");
        // What is there already stays as it is until something is added.
        c.check("SREM w 1", ":1");
        c.check("OBJECT ENCODING w", "$intset");
        c.check("SADD w 2", ":0");
        c.check("OBJECT ENCODING w", "$intset");
    });
}

/// Redis computes differences in two ways, which the encoding tells.
#[test]
fn stored_differences_have_the_encoding_of_the_way_to_them() {
    on_both(|c| {
        c.check("SADD s 1 2 3 4 5 6 7 8 a", ":9");
        c.check("SADD few a", ":1");
        c.check("SDIFFSTORE d s few", ":8");
        c.check("OBJECT ENCODING d", "$intset");
        c.check("SDIFFSTORE d s few few few few", ":8");
        c.check("OBJECT ENCODING d", "$hashtable");
        c.check("SDIFFSTORE d s nosuch nosuch nosuch few", ":8");
        c.check("OBJECT ENCODING d", "$intset");
        c.check("SDIFFSTORE d s few few s few", ":0");
        c.check("EXISTS d", ":0");
    });
}

#[test]
fn other_types_are_refused() {
    on_both(|c| {
        c.check("SET v x", "+OK");
        c.check("SADD s a b", ":2");
        for line in [
            "SADD v a",
            "SCARD v",
            "SISMEMBER v a",
            "SMISMEMBER v a",
            "SMEMBERS v",
            "SREM v a",
            "SMOVE v s a",
            "SMOVE s v a",
            "SMOVE s v nosuch",
            "SPOP v",
            "SPOP v 2",
            "SPOP v 0",
            "SRANDMEMBER v",
            "SRANDMEMBER v 2",
            "SRANDMEMBER v 0",
            "SSCAN v 0 nosuch",
            "SINTER s v",
            "SINTER nosuch v",
            "SINTERCARD 2 nosuch v",
            "SINTERSTORE s nosuch v",
            "SUNION s v",
            "SUNIONSTORE s nosuch v",
            "SDIFF nosuch v",
            "SDIFFSTORE s s v",
            "GET s",
            "APPEND s x",
            "HGET s a",
        ] {
            c.check(line, WRONG_TYPE);
        }
        c.check("SMOVE nosuch v a", ":0");
        c.check("SUNIONSTORE v s", ":2");
        c.check("TYPE v", "+set");
    });
}

#[test]
fn members_move_between_sets() {
    on_both(|c| {
        c.check("SADD a 1 2 x", ":3");
        c.check("SADD b 2 3", ":2");
        c.check("SMOVE a b x", ":1");
        c.check("OBJECT ENCODING b", "$hashtable");
        c.check("SMOVE a b 2", ":1");
        check_any_order(c, "SMEMBERS b", "*3 $2 $3 $x");
        c.check("SMOVE a b 2", ":0");
        c.check("SMOVE a a 1", ":1");
        c.check("SMOVE a a 2", ":0");
        c.check("SMOVE a new 1", ":1");
        c.check("EXISTS a", ":0");
        c.check("SMEMBERS new", "*1 $1");
        c.check("OBJECT ENCODING new", "$intset");
        c.check("SMOVE a a 1", ":0");
    });
}

#[test]
fn algebra() {
    on_both(|c| {
        c.check("SADD a 1 2 3 x y", ":5");
        c.check("SADD b 2 3 4 y z", ":5");
        c.check("SADD c 3 y", ":2");
        c.check("SADD i 1 2 3 4", ":4");
        check_any_order(c, "SINTER a b", "*3 $2 $3 $y");
        check_any_order(c, "SINTER a b c", "*2 $3 $y");
        check_any_order(c, "SINTER a i", "*3 $1 $2 $3");
        check_any_order(c, "SINTER i c a", "*1 $3");
        check_any_order(c, "SINTER a", "*5 $1 $2 $3 $x $y");
        check_any_order(c, "SINTER c c c", "*2 $3 $y");
        c.check("SINTER a nosuch", "*0");
        check_any_order(c, "SUNION a b", "*7 $1 $2 $3 $4 $x $y $z");
        check_any_order(c, "SUNION a b c i nosuch a", "*7 $1 $2 $3 $4 $x $y $z");
        check_any_order(c, "SUNION a b c i b a c", "*7 $1 $2 $3 $4 $x $y $z");
        check_any_order(c, "SUNION nosuch c", "*2 $3 $y");
        c.check("SUNION nosuch nosuch", "*0");
        check_any_order(c, "SDIFF a b", "*2 $1 $x");
        check_any_order(c, "SDIFF a c nosuch", "*3 $1 $2 $x");
        check_any_order(c, "SDIFF i c", "*3 $1 $2 $4");
        check_any_order(c, "SDIFF a c c c c", "*3 $1 $2 $x");
        c.check("SDIFF a b a", "*0");
        c.check("SDIFF nosuch a", "*0");
        c.check("SINTERCARD 2 a b", ":3");
        c.check("SINTERCARD 2 a b LIMIT 2", ":2");
        c.check("SINTERCARD 2 a b limit 0", ":3");
        c.check("SINTERCARD 2 a b LIMIT 1 LIMIT 9", ":3");
        c.check("SINTERCARD 2 a nosuch", ":0");
        for (line, error) in [
            ("SINTERCARD 0 a", "numkeys should be greater than 0"),
            ("SINTERCARD x a", "numkeys should be greater than 0"),
            (
                "SINTERCARD 3 a b",
                "Number of keys can't be greater than number of args",
            ),
            ("SINTERCARD 1 a LIMIT -1", "LIMIT can't be negative"),
            ("SINTERCARD 1 a LIMIT x", "LIMIT can't be negative"),
            ("SINTERCARD 1 a LIMIT", "syntax error"),
            ("SINTERCARD 1 a b", "syntax error"),
        ] {
            c.check(line, &format!("-ERR {error}"));
        }
    });
}

#[test]
fn results_are_stored() {
    on_both(|c| {
        c.check("SADD a 1 2 3 x", ":4");
        c.check("SADD b 2 3 4", ":3");
        c.check("SINTERSTORE d a b", ":2");
        c.check("SMEMBERS d", "*2 $2 $3");
        c.check("PEXPIRE d 100000", ":1");
        c.check("SDIFFSTORE d a b", ":2");
        check_any_order(c, "SMEMBERS d", "*2 $1 $x");
        c.check("TTL d", ":-1");
        c.check("SUNIONSTORE d d b", ":5");
        check_any_order(c, "SMEMBERS d", "*5 $1 $2 $3 $4 $x");
        c.check("SDIFFSTORE d d d", ":0");
        c.check("EXISTS d", ":0");
        c.check("SET d x", "+OK");
        c.check("SINTERSTORE d a nosuch", ":0");
        c.check("EXISTS d", ":0");
        c.check("SUNIONSTORE d nosuch", ":0");
        c.check("SINTERSTORE a a b", ":2");
        c.check("SMEMBERS a", "*2 $2 $3");
    });
}

#[test]
fn random_members() {
    on_both(|c| {
        c.check("SADD s a", ":1");
        c.check("SRANDMEMBER s", "$a");
        c.check("SRANDMEMBER s 5", "*1 $a");
        c.check("SRANDMEMBER s -3", "*3 $a $a $a");
        c.check("SRANDMEMBER s 0", "*0");
        c.check("SRANDMEMBER nosuch", "$-1");
        c.check("SRANDMEMBER nosuch 3", "*0");
        c.check("SRANDMEMBER nosuch -3", "*0");
        c.check("SPOP s", "$a");
        c.check("EXISTS s", ":0");
        c.check("SPOP s", "$-1");
        c.check("SPOP s 3", "*0");
        c.check("SADD s 1 2 3", ":3");
        c.check("PEXPIREAT s 4000000000123", ":1");
        c.check("SPOP s 0", "*0");
        c.check("SCARD s", ":3");
        check_any_order(c, "SPOP s 10", "*3 $1 $2 $3");
        c.check("EXISTS s", ":0");
        let between = "value is out of range, value must between";
        for (line, error) in [
            ("SPOP s x", "value is out of range, must be positive"),
            ("SPOP s -1", "value is out of range, must be positive"),
            ("SPOP s 1 2", "syntax error"),
            ("SRANDMEMBER s 1 2", "syntax error"),
            ("SRANDMEMBER s x y", "syntax error"),
            ("SRANDMEMBER s x", "value is not an integer or out of range"),
            (
                "SRANDMEMBER s -9223372036854775808",
                &format!("{between} -9223372036854775807 9223372036854775807")
                    .replace("807 922", "807 and 922"),
            ),
        ] {
            c.check(line, &format!("-ERR {error}"));
        }
    });
}

/// Redis: a set of what is left is a new set, so it can be an intset again.
#[test]
fn what_many_pops_leave_is_a_new_set() {
    on_both(|c| {
        let members: Vec<String> = (0..50).map(|n| n.to_string()).collect();
        c.check(&format!("SADD s a {}", members.join(" ")), ":51");
        c.check("SREM s a", ":1");
        c.check("PEXPIREAT s 4000000000123", ":1");
        c.check("OBJECT ENCODING s", "$hashtable");
        assert_eq!(c.ask("SPOP s 10").split(' ').count(), 11);
        c.check("OBJECT ENCODING s", "$hashtable");
        assert_eq!(c.ask("SPOP s 38").split(' ').count(), 39);
        c.check("SCARD s", ":2");
        c.check("OBJECT ENCODING s", "$intset");
        c.check("PEXPIRETIME s", ":4000000000123");
    });
}

#[test]
fn replies_of_the_newer_protocol() {
    on_both(|c| {
        c.ask("HELLO 3");
        c.check("SADD s 1 2", ":2");
        c.check("SMEMBERS s", "~2 $1 $2");
        c.check("SMEMBERS nosuch", "~0");
        c.check("SINTER s s", "~2 $1 $2");
        c.check("SINTER s nosuch", "~0");
        c.check("SUNION s nosuch", "~2 $1 $2");
        c.check("SDIFF s nosuch", "~2 $1 $2");
        c.check("SRANDMEMBER s 3", "*2 $1 $2");
        c.check("SRANDMEMBER nosuch", "_");
        c.check("SMISMEMBER s 1 3", "*2 :1 :0");
        check_any_order(c, "SPOP s 3", "~2 $1 $2");
        c.check("SPOP s 3", "~0");
        c.check("SPOP s", "_");
    });
}

#[test]
fn scanning_members() {
    on_both(|c| {
        c.check("SADD s 1 2 12 3", ":4");
        c.check("SSCAN s 0", "*2 $0 *4 $1 $2 $3 $12");
        c.check("SSCAN s 7 COUNT 1", "*2 $0 *4 $1 $2 $3 $12");
        c.check("SSCAN s 0 MATCH 1*", "*2 $0 *2 $1 $12");
        c.check("SSCAN s 0 COUNT 100 MATCH x", "*2 $0 *0");
        c.check("SADD t aa", ":1");
        c.check("SSCAN t 0 MATCH a? COUNT 5", "*2 $0 *1 $aa");
        c.check("SSCAN nosuch 0 nosuch", "*2 $0 *0");
        c.check("SSCAN nosuch x", "-ERR invalid cursor");
        c.check("SSCAN s 0 nosuch", "-ERR syntax error");
        c.check("SSCAN s 0 COUNT 0", "-ERR syntax error");
        c.check("SSCAN s 0 TYPE set", "-ERR syntax error");
    });
}

fn members_of(reply: &str) -> Vec<String> {
    reply
        .split(' ')
        .skip(1)
        .map(|word| word[1..].to_owned())
        .collect()
}

#[test]
fn big_sets() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    for start in (0..6000).step_by(100) {
        let members: Vec<String> = (start..start + 100).map(|n| format!("m:{n}")).collect();
        c.check(&format!("SADD s {}", members.join(" ")), ":100");
    }
    let (mut cursor, mut seen) = ("0".to_owned(), HashSet::new());
    loop {
        let reply = c.ask(&format!("SSCAN s {cursor} COUNT 50"));
        let mut words = members_of(&reply).into_iter();
        cursor = words.next().unwrap();
        seen.extend(words.skip(1));
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 6000);
    for count in [1, 30, 1_999, 2_001, 5_999, 6_000, 7_000] {
        let sample = members_of(&c.ask(&format!("SRANDMEMBER s {count}")));
        let distinct: HashSet<&String> = sample.iter().collect();
        assert_eq!(distinct.len(), count.min(6_000));
        assert!(sample.iter().all(|member| seen.contains(member)));
    }
    assert_eq!(members_of(&c.ask("SRANDMEMBER s -9000")).len(), 9_000);

    c.check("COPY s t", ":1");
    c.check("SADD t other", ":1");
    c.check("SINTERCARD 2 s t", ":6000");
    c.check("SDIFF t s", "*1 $other");
    c.check("SUNIONSTORE u s t", ":6001");
    c.check("SDIFFSTORE u u s", ":1");

    let mut gone = HashSet::new();
    for count in [1, 700, 5_000, 250] {
        let popped = members_of(&c.ask(&format!("SPOP s {count}")));
        assert_eq!(popped.len(), count);
        gone.extend(popped);
    }
    c.check("SCARD s", ":49");
    let left = members_of(&c.ask("SMEMBERS s"));
    assert!(left.iter().all(|member| !gone.contains(member)));
    assert_eq!(gone.len() + left.len(), 6_000);
    for _ in 0..48 {
        assert!(left.contains(&c.ask("SPOP s")[1..].to_owned()));
    }
    c.check("SCARD s", ":1");
    c.check("DEL s t u", ":3");
}

#[test]
fn endless_samples_end() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.check("SADD s a", ":1");
    c.check(
        "SRANDMEMBER s -9223372036854775807",
        "-ERR value is out of range",
    );
    // Nothing is set aside for elements before they are there, and beyond the
    // limit of the output the client is cut off.
    c.check(
        "CONFIG SET client-output-buffer-limit \"normal 1mb 0 0\"",
        "+OK",
    );
    c.send("SRANDMEMBER s -4000000000\r\n");
    assert!(c.rest().len() < 64 * 1024 * 1024);
    assert!(server.peak_rss_bytes() < 256 * 1024 * 1024);
    server.connect().check("SCARD s", ":1");
}

#[test]
fn descriptions_of_sets() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let mut c = server.connect();
    c.check("SADD i 1 2 3", ":3");
    c.check("SADD s a b c", ":3");
    for n in 0..1000 {
        c.check(&format!("SADD t member:{n}"), ":1");
    }
    let usage = |c: &mut Client, key: &str| -> usize {
        c.ask(&format!("MEMORY USAGE {key} SAMPLES 0"))[1..]
            .parse()
            .unwrap()
    };
    assert!(
        (30..100).contains(&usage(&mut c, "i")),
        "{}",
        usage(&mut c, "i")
    );
    assert!(
        (30..100).contains(&usage(&mut c, "s")),
        "{}",
        usage(&mut c, "s")
    );
    let (exact, sampled) = (
        usage(&mut c, "t"),
        c.ask("MEMORY USAGE t")[1..].parse::<usize>().unwrap(),
    );
    assert!((20_000..40_000).contains(&exact), "{exact}");
    assert!(exact.abs_diff(sampled) < exact / 5, "{exact} {sampled}");
}
