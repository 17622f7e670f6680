//! List commands. Where there is a redis-server to ask, every transcript is
//! checked against it too.

use super::support::{Client, Server};

const SMALL_NODES: &[&str] = &[
    "--list-max-listpack-size",
    "2",
    "--list-compress-depth",
    "1",
];

/// Runs a transcript on our server and on the real one, with lists of one
/// listpack and with lists of many.
fn on_both(transcript: impl Fn(&mut Client)) {
    for args in [&[], SMALL_NODES] {
        transcript(&mut Server::start(args).connect());
        if let Some(oracle) = Server::start_oracle(args) {
            transcript(&mut oracle.connect());
        }
    }
}

#[test]
fn push_and_pop_at_both_ends() {
    on_both(|c| {
        c.check("RPUSH l a b c", ":3");
        c.check("LPUSH l 1 2", ":5");
        c.check("LRANGE l 0 -1", "*5 $2 $1 $a $b $c");
        c.check("LLEN l", ":5");
        c.check("LPOP l", "$2");
        c.check("RPOP l", "$c");
        c.check("LPOP l 2", "*2 $1 $a");
        c.check("RPOP l 9", "*1 $b");
        c.check("EXISTS l", ":0");
        c.check("LPOP l", "$-1");
        c.check("RPOP l", "$-1");
        c.check("LPOP l 1", "*-1");
        c.check("RPUSH l a b c d", ":4");
        c.check("LPOP l 0", "*0");
        c.check("RPOP l 3", "*3 $d $c $b");
        c.check("LPOP l -1", "-ERR value is out of range, must be positive");
        c.check("LPOP l x", "-ERR value is out of range, must be positive");
        c.check(
            "LPOP l 99999999999999999999",
            "-ERR value is out of range, must be positive",
        );
        c.check("LPOP l 9223372036854775807", "*1 $a");
        c.check(
            "LPOP l 1 2",
            "-ERR wrong number of arguments for 'lpop' command",
        );
        c.check(
            "RPOP l 1 2",
            "-ERR wrong number of arguments for 'rpop' command",
        );
        c.check(
            "LPUSH l",
            "-ERR wrong number of arguments for 'lpush' command",
        );
        c.check("LLEN l", ":0");
    });
}

#[test]
fn push_only_if_it_exists() {
    on_both(|c| {
        c.check("LPUSHX l a", ":0");
        c.check("RPUSHX l a", ":0");
        c.check("EXISTS l", ":0");
        c.check("RPUSH l m", ":1");
        c.check("LPUSHX l a b", ":3");
        c.check("RPUSHX l y z", ":5");
        c.check("LRANGE l 0 -1", "*5 $b $a $m $y $z");
    });
}

#[test]
fn ranges_and_indexes() {
    on_both(|c| {
        c.check("RPUSH l 0 1 2 3 4 five 6 7", ":8");
        c.check("LRANGE l 2 4", "*3 $2 $3 $4");
        c.check("LRANGE l -3 -2", "*2 $five $6");
        c.check("LRANGE l -100 1", "*2 $0 $1");
        c.check("LRANGE l 6 100", "*2 $6 $7");
        c.check("LRANGE l 8 100", "*0");
        c.check("LRANGE l 3 2", "*0");
        c.check("LRANGE l -1 -100", "*0");
        c.check(
            "LRANGE l -9223372036854775808 9223372036854775807",
            "*8 $0 $1 $2 $3 $4 $five $6 $7",
        );
        c.check("LRANGE nosuch 0 -1", "*0");
        c.check(
            "LRANGE l a 1",
            "-ERR value is not an integer or out of range",
        );
        c.check("LINDEX l 5", "$five");
        c.check("LINDEX l -1", "$7");
        c.check("LINDEX l -8", "$0");
        c.check("LINDEX l 8", "$-1");
        c.check("LINDEX l -9", "$-1");
        c.check("LINDEX l -9223372036854775808", "$-1");
        c.check("LINDEX l x", "-ERR value is not an integer or out of range");
        c.check("LINDEX nosuch x", "$-1");
        c.check("TYPE l", "+list");
        c.check("OBJECT ENCODING l", "$quicklist");
    });
}

#[test]
fn replacing_and_inserting() {
    on_both(|c| {
        c.check("RPUSH l a b c b", ":4");
        c.check("LSET l 0 A", "+OK");
        c.check("LSET l -1 12", "+OK");
        c.check("LSET l 4 x", "-ERR index out of range");
        c.check("LSET l -5 x", "-ERR index out of range");
        c.check("LSET l x x", "-ERR value is not an integer or out of range");
        c.check("LSET nosuch x x", "-ERR no such key");
        c.check("LINSERT l BEFORE b new", ":5");
        c.check("LINSERT l after b newer", ":6");
        c.check("LINSERT l After 12 last", ":7");
        c.check("LINSERT l BEFORE A first", ":8");
        c.check("LRANGE l 0 -1", "*8 $first $A $new $b $newer $c $12 $last");
        c.check("LINSERT l AFTER nosuch x", ":-1");
        c.check("LINSERT nosuch AFTER a x", ":0");
        c.check("LINSERT l BESIDE a x", "-ERR syntax error");
        c.check("EXISTS nosuch", ":0");
    });
}

#[test]
fn removing_and_trimming() {
    on_both(|c| {
        c.check("RPUSH l a b a 7 a b 7", ":7");
        c.check("LREM l 1 a", ":1");
        c.check("LREM l -1 b", ":1");
        c.check("LRANGE l 0 -1", "*5 $b $a $7 $a $7");
        c.check("LREM l 0 7", ":2");
        c.check("LREM l -9223372036854775808 a", ":2");
        c.check("LREM l 0 nosuch", ":0");
        c.check("LREM l x a", "-ERR value is not an integer or out of range");
        c.check("LREM l 9 b", ":1");
        c.check("EXISTS l", ":0");
        c.check("LREM l 9 b", ":0");
        c.check("RPUSH l 0 1 2 3 4 5 6 7 8 9", ":10");
        c.check("LTRIM l 1 -2", "+OK");
        c.check("LRANGE l 0 -1", "*8 $1 $2 $3 $4 $5 $6 $7 $8");
        c.check("LTRIM l -3 100", "+OK");
        c.check("LRANGE l 0 -1", "*3 $6 $7 $8");
        c.check("LTRIM l 1 1", "+OK");
        c.check("LRANGE l 0 -1", "*1 $7");
        c.check(
            "LTRIM l 0 x",
            "-ERR value is not an integer or out of range",
        );
        c.check("LTRIM l 5 2", "+OK");
        c.check("EXISTS l", ":0");
        c.check("LTRIM nosuch 0 1", "+OK");
    });
}

#[test]
fn positions() {
    on_both(|c| {
        c.check("RPUSH l a b c 1 2 3 c c", ":8");
        c.check("LPOS l c", ":2");
        c.check("LPOS l 3", ":5");
        c.check("LPOS l nosuch", "$-1");
        c.check("LPOS l c RANK 2", ":6");
        c.check("LPOS l c RANK -1", ":7");
        c.check("LPOS l c RANK -3", ":2");
        c.check("LPOS l c RANK 4", "$-1");
        c.check("LPOS l c RANK -9223372036854775807", "$-1");
        c.check("LPOS l c RANK -9223372036854775808", ":7");
        c.check("LPOS l c RANK -9223372036854775808 COUNT 1", "*3 :7 :6 :2");
        c.check("LPOS l c COUNT 2", "*2 :2 :6");
        c.check("LPOS l c COUNT 0 RANK -2", "*2 :6 :2");
        c.check("LPOS l c MAXLEN 2", "$-1");
        c.check("LPOS l c COUNT 0 MAXLEN 7 RANK 2", "*1 :6");
        c.check("LPOS l c COUNT 0 MAXLEN 3 RANK -1", "*2 :7 :6");
        c.check("LPOS l nosuch COUNT 1", "*0");
        c.check("LPOS nosuch c", "$-1");
        c.check("LPOS nosuch c COUNT 1", "*0");
        c.check("LPOS l c COUNT -1", "-ERR COUNT can't be negative");
        c.check("LPOS l c COUNT x", "-ERR COUNT can't be negative");
        c.check("LPOS l c MAXLEN -1", "-ERR MAXLEN can't be negative");
        c.check(
            "LPOS l c RANK x",
            "-ERR value is not an integer or out of range",
        );
        c.check("LPOS l c RANK", "-ERR syntax error");
        c.check("LPOS l c NOSUCH 1", "-ERR syntax error");
        c.check(
            "LPOS l c RANK 0",
            "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
             or use negative to start from the end of the list",
        );
    });
}

#[test]
fn moving_between_lists() {
    on_both(|c| {
        c.check("RPUSH a 1 2 3 4", ":4");
        c.check("LMOVE a b LEFT RIGHT", "$1");
        c.check("LMOVE a b right left", "$4");
        c.check("RPOPLPUSH a b", "$3");
        c.check("LRANGE b 0 -1", "*3 $3 $4 $1");
        c.check("LMOVE b b LEFT RIGHT", "$3");
        c.check("LMOVE b b LEFT LEFT", "$4");
        c.check("RPOPLPUSH b b", "$3");
        c.check("LRANGE b 0 -1", "*3 $3 $4 $1");
        c.check("RPOPLPUSH a b", "$2");
        c.check("EXISTS a", ":0");
        c.check("RPOPLPUSH a b", "$-1");
        c.check("LMOVE a b LEFT LEFT", "$-1");
        c.check("LMOVE a b UP DOWN", "-ERR syntax error");
        c.check("LMOVE a b LEFT DOWN", "-ERR syntax error");
        c.check("RPUSH one x", ":1");
        c.check("RPOPLPUSH one one", "$x");
        c.check("LRANGE one 0 -1", "*1 $x");
    });
}

#[test]
fn popping_from_the_first_list_that_is_there() {
    on_both(|c| {
        c.check("RPUSH b 1 2 3 4", ":4");
        c.check("LMPOP 2 a b LEFT", "*2 $b *1 $1");
        c.check("LMPOP 2 a b RIGHT COUNT 2", "*2 $b *2 $4 $3");
        c.check("LMPOP 1 b LEFT COUNT 10", "*2 $b *1 $2");
        c.check("LMPOP 2 a b LEFT", "*-1");
        c.check("LMPOP 0 a LEFT", "-ERR numkeys should be greater than 0");
        c.check("LMPOP x a LEFT", "-ERR numkeys should be greater than 0");
        c.check("LMPOP 9223372036854775807 a LEFT", "-ERR syntax error");
        c.check("LMPOP 2 a LEFT", "-ERR syntax error");
        c.check("LMPOP 1 a UP", "-ERR syntax error");
        c.check(
            "LMPOP 1 a LEFT COUNT 0",
            "-ERR count should be greater than 0",
        );
        c.check(
            "LMPOP 1 a LEFT COUNT x",
            "-ERR count should be greater than 0",
        );
        c.check("LMPOP 1 a LEFT COUNT", "-ERR syntax error");
        c.check("LMPOP 1 a LEFT COUNT 1 COUNT 1", "-ERR syntax error");
        c.check("LMPOP 1 a LEFT bar 1", "-ERR syntax error");
    });
}

#[test]
fn other_types_are_refused() {
    const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    on_both(|c| {
        c.check("SET s v", "+OK");
        c.check("RPUSH l a", ":1");
        for command in [
            "LPUSH s a",
            "RPUSHX s a",
            "LPOP s",
            "LPOP s 0",
            "LLEN s",
            "LINDEX s 0",
            "LINSERT s BEFORE a b",
            "LRANGE s 0 -1",
            "LREM s 0 a",
            "LSET s 0 a",
            "LTRIM s 0 1",
            "LPOS s a",
            "LMOVE s l LEFT LEFT",
            "LMOVE l s LEFT LEFT",
            "RPOPLPUSH l s",
            "LMPOP 2 nosuch s LEFT",
            "BLPOP nosuch s 1",
            "BLMOVE s l LEFT LEFT 1",
            "BLMPOP 1 2 nosuch s LEFT",
        ] {
            c.check(command, WRONG);
        }
        c.check("GET l", WRONG);
        c.check("LRANGE l 0 -1", "*1 $a");
    });
}

#[test]
fn what_is_there_is_taken_without_waiting() {
    on_both(|c| {
        c.check("RPUSH b 1 2 3 4 5 6", ":6");
        c.check("BLPOP a b 1", "*2 $b $1");
        c.check("BRPOP a b 0", "*2 $b $6");
        c.check("BLMPOP 0.1 2 a b RIGHT COUNT 2", "*2 $b *2 $5 $4");
        c.check("BLMOVE b c LEFT RIGHT 0", "$2");
        c.check("BRPOPLPUSH b c 0", "$3");
        c.check("LRANGE c 0 -1", "*2 $3 $2");
        c.check("EXISTS b", ":0");
        c.check("BLPOP a -1", "-ERR timeout is negative");
        c.check("BLPOP a x", "-ERR timeout is not a float or out of range");
        c.check("BLMOVE a b LEFT UP 0", "-ERR syntax error");
        c.check(
            "BLMOVE a b LEFT LEFT x",
            "-ERR timeout is not a float or out of range",
        );
        c.check(
            "BLMPOP 0.1 0 a LEFT",
            "-ERR numkeys should be greater than 0",
        );
        c.check(
            "BLMPOP x 1 a LEFT",
            "-ERR timeout is not a float or out of range",
        );
        c.check("BLMPOP x 1 a UP", "-ERR syntax error");
        c.check("BLMOVE a b LEFT LEFT 0.01", "*-1");
        c.check("BRPOPLPUSH a b 0.01", "*-1");
    });
}

#[test]
fn nulls_of_the_third_protocol() {
    on_both(|c| {
        c.ask("HELLO 3");
        c.check("LPOP l", "_");
        c.check("LPOP l 1", "_");
        c.check("LMPOP 1 l LEFT", "_");
        c.check("LPOS l a", "_");
        c.check("LINDEX l 0", "_");
        c.check("BLPOP l 0.01", "_");
        c.check("BLMOVE l m LEFT LEFT 0.01", "_");
    });
}

#[test]
fn nodes_are_those_of_redis() {
    // The places of nodes, without address and clock, after a history that
    // splits, joins and empties some.
    let history = |c: &mut Client| {
        c.check("CONFIG SET list-max-listpack-size 4", "+OK");
        for index in 0..40 {
            let end = if index % 3 == 0 { "LPUSH" } else { "RPUSH" };
            c.check(
                &format!("{end} l element{index}"),
                &format!(":{}", index + 1),
            );
        }
        c.check("LINSERT l AFTER element20 x", ":41");
        c.check("LINSERT l BEFORE element20 y", ":42");
        c.check("LINSERT l BEFORE element10 z", ":43");
        c.check("LREM l 1 element5", ":1");
        c.check("LSET l 17 12345", "+OK");
        c.check("LTRIM l 3 -5", "+OK");
        let object = c.ask("DEBUG OBJECT l");
        let from = object.find("ql_nodes").expect("figures of the list");
        object[from..].to_owned()
    };
    let debug = &["--enable-debug-command", "yes"];
    let ours = history(&mut Server::start(debug).connect());
    if let Some(oracle) = Server::start_oracle(debug) {
        assert_eq!(ours, history(&mut oracle.connect()));
    }
}

#[test]
fn digests_are_those_of_redis() {
    let history = |c: &mut Client| {
        c.check("RPUSH l a 12 b c", ":4");
        c.check("EXPIREAT l 4000000000", ":1");
        c.ask("DEBUG DIGEST")
    };
    let debug = &["--enable-debug-command", "yes"];
    let ours = history(&mut Server::start(debug).connect());
    if let Some(oracle) = Server::start_oracle(debug) {
        assert_eq!(ours, history(&mut oracle.connect()));
    }
}
