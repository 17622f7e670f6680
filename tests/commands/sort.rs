//! SORT; every transcript is checked against redis-server too, where there is
//! one.

use super::support::{Client, Server};

fn on_both(transcript: impl Fn(&mut Client)) {
    transcript(&mut Server::start(&[]).connect());
    if let Some(oracle) = Server::start_oracle(&[]) {
        transcript(&mut oracle.connect());
    }
}

const NOT_A_NUMBER: &str = "-ERR One or more scores can't be converted into double";

#[test]
fn numbers_and_texts() {
    on_both(|c| {
        c.check("RPUSH l 10 9 -1 1.5 1e1 0x2 007", ":7");
        c.check("SORT l", "*7 $-1 $1.5 $0x2 $007 $9 $10 $1e1");
        c.check("SORT l DESC", "*7 $1e1 $10 $9 $007 $0x2 $1.5 $-1");
        c.check("SORT l ASC LIMIT 1 3", "*3 $1.5 $0x2 $007");
        c.check("SORT l LIMIT -5 2", "*2 $-1 $1.5");
        c.check("SORT l LIMIT 6 10", "*1 $1e1");
        c.check("SORT l LIMIT 7 10", "*0");
        c.check("SORT l LIMIT 2 0", "*0");
        c.check("SORT l LIMIT 5 -3", "*2 $10 $1e1");
        c.check("SORT l ALPHA", "*7 $-1 $007 $0x2 $1.5 $10 $1e1 $9");
        c.check("SORT l alpha desc limit 0 2", "*2 $9 $1e1");
        c.check("SORT_RO l ALPHA DESC LIMIT 0 1", "*1 $9");
        c.check("RPUSH l x", ":8");
        c.check("SORT l", NOT_A_NUMBER);
        c.check("SORT l LIMIT 0 1", NOT_A_NUMBER);
        c.check("SORT nosuch", "*0");
        c.check("SORT nosuch LIMIT 5 5 DESC ALPHA GET # BY x*", "*0");
        c.check("SADD s 3 1 2", ":3");
        c.check("SORT s DESC", "*3 $3 $2 $1");
        c.check("ZADD z 1 c 2 a 3 b", ":3");
        c.check("SORT z ALPHA", "*3 $a $b $c");
        c.check("SORT z", NOT_A_NUMBER);
    });
}

#[test]
fn order_of_their_own() {
    on_both(|c| {
        c.check("ZADD z 1 c 2 a 3 b", ":3");
        c.check("OBJECT ENCODING z", "$listpack");
        c.check("SORT z BY nosort", "*3 $c $a $b");
        c.check("OBJECT ENCODING z", "$skiplist");
        c.check("SORT z BY nosort DESC", "*3 $b $a $c");
        c.check("SORT z BY nosort DESC LIMIT 1 5", "*2 $a $c");
        c.check("SORT z BY nosort LIMIT 1 1", "*1 $a");
        c.check("SORT z BY nosort LIMIT 3 1", "*0");
        c.check("SORT z BY # BY w*", "*3 $c $a $b");
        c.check("RPUSH l 3 1 2", ":3");
        c.check("SORT l BY nosort", "*3 $3 $1 $2");
        c.check("SORT l BY nosort DESC", "*3 $2 $1 $3");
        c.check("SORT l BY nosort DESC LIMIT 0 2", "*2 $2 $1");
        c.check("SORT l BY nosort LIMIT 2 5", "*1 $2");
        c.check("SORT l BY w* BY nosort", "*3 $3 $1 $2");
        c.check(
            "SORT l BY nosort ALPHA GET # GET x GET #",
            "*9 $3 $-1 $3 $1 $-1 $1 $2 $-1 $2",
        );
        c.check("SADD s b a c", ":3");
        c.check("SORT s BY nosort STORE d", ":3");
        c.check("LRANGE d 0 -1", "*3 $a $b $c");
        c.check("SORT s BY nosort DESC LIMIT 0 2 STORE d", ":2");
        c.check("LRANGE d 0 -1", "*2 $c $b");
    });
}

#[test]
fn weights_and_values_of_other_keys() {
    on_both(|c| {
        c.check("RPUSH l a b c d", ":4");
        c.check("MSET w_a 3 w_b 1 w_c 2.5 t_a x t_b z t_c y", "+OK");
        c.check("HSET h_a w 1 t one", ":2");
        c.check("HSET h_b w 2", ":1");
        c.check("HSET h_c w x", ":1");
        // What has no weight has 0.
        c.check("SORT l BY w_*", "*4 $d $b $c $a");
        c.check("SORT l BY w_* DESC LIMIT 0 2", "*2 $a $c");
        c.check(
            "SORT l BY w_* GET # GET w_*",
            "*8 $d $-1 $b $1 $c $2.5 $a $3",
        );
        c.check(
            "SORT l BY w_* GET h_*->t GET h_*->w",
            "*8 $-1 $-1 $-1 $2 $-1 $x $one $1",
        );
        c.check("SORT l BY h_*->w", NOT_A_NUMBER);
        c.check("SORT l BY h_*->w ALPHA", "*4 $d $a $b $c");
        c.check("SORT l BY t_* ALPHA", "*4 $d $a $c $b");
        c.check("SORT l BY t_* ALPHA DESC LIMIT 0 3", "*3 $b $c $a");
        c.check("SORT l BY t_*", NOT_A_NUMBER);
        c.check("SORT l BY t_* ALPHA GET nosuch", "*4 $-1 $-1 $-1 $-1");
        // Another type, and an arrow that leads nowhere.
        c.check("SORT l BY nosort GET h_* LIMIT 0 1", "*1 $-1");
        c.check("SORT l BY nosort GET w_*->t LIMIT 0 1", "*1 $-1");
        c.check("SET h_a-> arrow", "+OK");
        c.check("SORT l BY nosort GET h_*-> LIMIT 0 2", "*2 $arrow $-1");
        c.ask("HELLO 3");
        c.check("SORT l BY w_* GET w_* LIMIT 0 2", "*2 _ $1");
    });
}

#[test]
fn equal_weights() {
    on_both(|c| {
        let names: Vec<String> = (0..60).map(|n| format!("e{}", n * 7 % 60)).collect();
        c.check(&format!("RPUSH l {}", names.join(" ")), ":60");
        for (at, name) in names.iter().enumerate() {
            c.check(&format!("SET w_{name} {}", at % 4), "+OK");
        }
        let by_weight = c.ask("SORT l BY w_*");
        assert!(by_weight.starts_with("*60 $e0 $e12 $e16 $e20 $e24"));
        c.check(
            "SORT l BY w_* LIMIT 10 3 GET w_* GET #",
            "*6 $0 $e44 $0 $e48 $0 $e52",
        );
        c.check("SORT l BY nosuch_* LIMIT 0 3", "*3 $e0 $e1 $e10");
        // Texts that are equal stay in place, or where the sort of a part
        // leaves them.
        let all = c.ask("SORT l BY w_* ALPHA LIMIT 0 60");
        assert!(all.starts_with("*60 $e0 $e28 $e56 $e24"));
        c.check("SORT l BY w_* ALPHA LIMIT 0 4", "*4 $e0 $e8 $e44 $e56");
        c.check(
            "SORT l BY w_* ALPHA DESC LIMIT 3 4",
            "*4 $e25 $e13 $e57 $e53",
        );
        c.check(
            "SORT l BY w_* ALPHA LIMIT 13 6",
            "*6 $e32 $e16 $e7 $e15 $e59 $e51",
        );
    });
}

#[test]
fn results_are_stored_as_lists() {
    on_both(|c| {
        c.check("SADD s 3 1 2", ":3");
        c.check("SET d x", "+OK");
        c.check("PEXPIRE d 100000", ":1");
        c.check("SORT s STORE d", ":3");
        c.check("LRANGE d 0 -1", "*3 $1 $2 $3");
        c.check("TTL d", ":-1");
        c.check("OBJECT ENCODING d", "$quicklist");
        c.check("SET w_2 two", "+OK");
        c.check("SORT s GET w_* GET # STORE d", ":6");
        c.check("LRANGE d 0 -1", "*6 $ $1 $two $2 $ $3");
        c.check("SORT d ALPHA STORE d", ":6");
        c.check("LRANGE d 0 -1", "*6 $ $ $1 $2 $3 $two");
        c.check("SORT d STORE x STORE y", NOT_A_NUMBER);
        c.check("SORT s STORE x STORE y", ":3");
        c.check("EXISTS x y", ":1");
        c.check("SORT nosuch STORE d", ":0");
        c.check("EXISTS d", ":0");
        c.check("SORT s LIMIT 9 9 STORE y", ":0");
        c.check("EXISTS y", ":0");
    });
}

#[test]
fn what_is_refused() {
    on_both(|c| {
        c.check("SET v 1", "+OK");
        c.check("HSET h a 1", ":1");
        c.check("RPUSH l 2 1", ":2");
        let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        for key in ["v", "h"] {
            c.check(&format!("SORT {key}"), wrong);
            c.check(&format!("SORT_RO {key} BY nosort"), wrong);
            c.check(&format!("SORT {key} nosuch"), "-ERR syntax error");
        }
        for options in [
            "nosuch",
            "LIMIT 1",
            "LIMIT",
            "BY",
            "GET",
            "STORE",
            "ASC ALPHA x",
        ] {
            c.check(&format!("SORT l {options}"), "-ERR syntax error");
        }
        c.check("SORT_RO l STORE d", "-ERR syntax error");
        c.check(
            "SORT l LIMIT x 1",
            "-ERR value is not an integer or out of range",
        );
        c.check(
            "SORT l LIMIT 1 x",
            "-ERR value is not an integer or out of range",
        );
        c.check("SORT l LIMIT 9223372036854775807 9223372036854775807", "*0");
        c.check(
            "SORT l LIMIT -9223372036854775808 9223372036854775807",
            "*2 $1 $2",
        );
    });
}

#[test]
fn keys_are_told() {
    on_both(|c| {
        c.check("COMMAND GETKEYS SORT l BY w* GET x* STORE d", "*2 $l $d");
        c.check("COMMAND GETKEYS SORT l", "*1 $l");
        c.check("COMMAND GETKEYS SORT_RO l BY w*", "*1 $l");
    });
}
