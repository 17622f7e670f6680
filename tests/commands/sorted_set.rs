//! Sorted set commands; every transcript is checked against redis-server too,
//! where there is one.

use std::collections::HashSet;

use super::support::{Client, Server, wait};

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

/// Runs a test of several connections on our server and on the real one.
fn on_both_servers(test: impl Fn(&Server)) {
    test(&Server::start(&[]));
    if let Some(oracle) = Server::start_oracle(&[]) {
        test(&oracle);
    }
}

fn on_both(transcript: impl Fn(&mut Client)) {
    on_both_servers(|server| transcript(&mut server.connect()));
}

/// Waits until so many clients wait for keys.
fn wait_for_blocked(c: &mut Client, count: usize) {
    let line = format!("blocked_clients:{count}\r\n");
    wait("blocked clients", || {
        c.ask("INFO clients").contains(&line).then_some(())
    });
}

#[test]
fn members_are_added_and_updated() {
    on_both(|c| {
        c.check("ZADD z 1 a 2 b 3 c", ":3");
        c.check("ZADD z 1 a 5 d", ":1");
        c.check("ZADD z CH 7 a 2 b 8 e", ":2");
        c.check("ZADD z NX 100 a 9 f", ":1");
        c.check("ZADD z XX 10 a 10 nosuch", ":0");
        c.check("ZADD z XX CH 11 a 10 nosuch", ":1");
        c.check("ZADD z GT CH 1 a", ":0");
        c.check("ZADD z GT CH 12 a 4 g", ":2");
        c.check("ZADD z LT CH 13 a", ":0");
        c.check("ZADD z LT CH 0.5 a", ":1");
        c.check("ZADD z GT XX CH 0.25 a 5 nosuch", ":0");
        c.check("ZADD z INCR 1.5 a", "$2");
        c.check("ZADD z NX INCR 1 a", "$-1");
        c.check("ZADD z XX INCR 1 nosuch", "$-1");
        c.check("ZADD z GT INCR -1 a", "$-1");
        c.check("ZADD z LT INCR -1 a", "$1");
        c.check("ZINCRBY z 2 a", "$3");
        c.check("ZINCRBY z -0.5 new", "$-0.5");
        c.check(
            "ZRANGE z 0 -1 WITHSCORES",
            "*16 $new $-0.5 $b $2 $a $3 $c $3 $g $4 $d $5 $e $8 $f $9",
        );
        c.check("ZCARD z", ":8");
        c.check("ZCARD nosuch", ":0");
        c.check("ZADD other XX 1 a", ":0");
        c.check("ZADD other XX INCR 1 a", "$-1");
        c.check("EXISTS other", ":0");
        c.check("ZREM z a nosuch a b", ":2");
        c.check("ZREM nosuch a", ":0");
        c.check("ZREM z c d e f g new", ":6");
        c.check("EXISTS z", ":0");
        c.check("TYPE z", "+none");
    });
}

#[test]
fn zadd_refuses_what_does_not_fit() {
    on_both(|c| {
        c.check(
            "ZADD z 1",
            "-ERR wrong number of arguments for 'zadd' command",
        );
        c.check("ZADD z NX 1", "-ERR syntax error");
        c.check("ZADD z 1 a 2", "-ERR syntax error");
        c.check("ZADD z x a", "-ERR value is not a valid float");
        c.check("ZADD z 1 a x b", "-ERR value is not a valid float");
        c.check("EXISTS z", ":0");
        c.check("ZADD z nan a", "-ERR value is not a valid float");
        c.check("ZADD z 1e999 a", "-ERR value is not a valid float");
        c.check(
            "ZADD z NX XX 1 a",
            "-ERR XX and NX options at the same time are not compatible",
        );
        c.check(
            "ZADD z NX GT 1 a",
            "-ERR GT, LT, and/or NX options at the same time are not compatible",
        );
        c.check(
            "ZADD z LT NX 1 a",
            "-ERR GT, LT, and/or NX options at the same time are not compatible",
        );
        c.check(
            "ZADD z GT LT 1 a",
            "-ERR GT, LT, and/or NX options at the same time are not compatible",
        );
        c.check(
            "ZADD z INCR 1 a 2 b",
            "-ERR INCR option supports a single increment-element pair",
        );
        c.check("ZADD z NOSUCH 1 a", "-ERR syntax error");
        c.check("ZADD z inf a", ":1");
        c.check(
            "ZINCRBY z -inf a",
            "-ERR resulting score is not a number (NaN)",
        );
        c.check(
            "ZADD z INCR -inf a",
            "-ERR resulting score is not a number (NaN)",
        );
        c.check("ZINCRBY z x a", "-ERR value is not a valid float");
        c.check("ZSCORE z a", "$inf");
        c.check(
            "ZINCRBY z 1 a b",
            "-ERR wrong number of arguments for 'zincrby' command",
        );
        c.check("SET s v", "+OK");
        c.check("ZADD s 1 a", WRONG_TYPE);
        c.check("ZADD s XX 1 a", WRONG_TYPE);
        c.check("ZADD s x a", "-ERR value is not a valid float");
    });
}

#[test]
fn other_types_are_refused() {
    on_both(|c| {
        c.check("SET s v", "+OK");
        c.check("ZADD z 1 a", ":1");
        c.check("ZCARD s", WRONG_TYPE);
        c.check("ZCOUNT s 0 1", WRONG_TYPE);
        c.check("ZCOUNT s x 1", "-ERR min or max is not a float");
        c.check("ZLEXCOUNT s - +", WRONG_TYPE);
        c.check("ZSCORE s a", WRONG_TYPE);
        c.check("ZMSCORE s a", WRONG_TYPE);
        c.check("ZRANK s a", WRONG_TYPE);
        c.check("ZREVRANK s a", WRONG_TYPE);
        c.check("ZREM s a", WRONG_TYPE);
        c.check("ZINCRBY s 1 a", WRONG_TYPE);
        c.check("ZRANGE s 0 -1", WRONG_TYPE);
        c.check("ZREVRANGE s 0 -1", WRONG_TYPE);
        c.check("ZRANGEBYSCORE s 0 1", WRONG_TYPE);
        c.check("ZRANGEBYLEX s - +", WRONG_TYPE);
        c.check("ZRANGESTORE t s 0 -1", WRONG_TYPE);
        c.check("ZREMRANGEBYRANK s 0 1", WRONG_TYPE);
        c.check("ZREMRANGEBYSCORE s 0 1", WRONG_TYPE);
        c.check("ZREMRANGEBYLEX s - +", WRONG_TYPE);
        c.check("ZPOPMIN s", WRONG_TYPE);
        c.check("ZPOPMAX s 2", WRONG_TYPE);
        c.check("ZMPOP 2 s z MIN", WRONG_TYPE);
        c.check("ZMPOP 2 z s MIN", "*2 $z *1 *2 $a $1");
        c.check("BZPOPMIN s 0", WRONG_TYPE);
        c.check("BZMPOP 0 1 s MIN", WRONG_TYPE);
        c.check("ZUNION 1 s", WRONG_TYPE);
        c.check("ZUNIONSTORE t 2 nosuch s", WRONG_TYPE);
        c.check("ZUNION 1 s NOSUCH", WRONG_TYPE);
        c.check("ZINTERCARD 1 s", WRONG_TYPE);
        c.check("ZDIFF 2 z s", WRONG_TYPE);
        c.check("ZRANDMEMBER s", WRONG_TYPE);
        c.check("ZRANDMEMBER s 2", WRONG_TYPE);
        c.check("ZSCAN s 0", WRONG_TYPE);
        c.check("ZADD z 1 a", ":1");
        c.check("GET z", WRONG_TYPE);
        c.check("INCR z", WRONG_TYPE);
        c.check("HGET z a", WRONG_TYPE);
    });
}

#[test]
fn scores_are_printed_with_17_digits() {
    on_both(|c| {
        c.check("ZADD z 0.1 a 1e17 b 1e16 c -0 d 5e-324 e 1.7976931348623157e308 f inf g -inf h 3 i 4.5 j 0x10 k", ":11");
        c.check("ZRANGE z 0 -1 WITHSCORES", "*22 $h $-inf $d $0 $e $4.9406564584124654e-324 $a $0.10000000000000001 $i $3 $j $4.5 $k $16 $c $10000000000000000 $b $1e+17 $f $1.7976931348623157e+308 $g $inf");
        c.check(
            "ZMSCORE z a b nosuch d g",
            "*5 $0.10000000000000001 $1e+17 $-1 $0 $inf",
        );
        c.check("ZINCRBY z 0.2 a", "$0.30000000000000004");
        c.check("CONFIG SET zset-max-listpack-entries 0", "+OK");
        c.check("ZADD big -0 d 0.1 a 1e18 b", ":3");
        c.check("OBJECT ENCODING big", "$skiplist");
        c.check("ZSCORE big d", "$-0");
        c.check("ZSCAN big 0 COUNT 100 MATCH b", "*2 $0 *2 $b $1e+18");
        c.check(
            "ZSCAN big 0 COUNT 100 MATCH a",
            "*2 $0 *2 $a $0.10000000000000001",
        );
        c.ask("HELLO 3");
        c.check(
            "ZRANGE z 0 2 WITHSCORES",
            "*3 *2 $h ,-inf *2 $d ,0 *2 $e ,4.9406564584124654e-324",
        );
        c.check("ZSCORE z g", ",inf");
        c.check("ZSCORE z nosuch", "_");
        c.check("ZMSCORE z a nosuch", "*2 ,0.30000000000000004 _");
        c.check("ZINCRBY z 1 i", ",4");
        c.check("ZADD z INCR 1 i", ",5");
        c.check("ZADD z NX INCR 1 i", "_");
        c.check("ZPOPMIN z", "*2 $h ,-inf");
        c.check("ZPOPMIN z 2", "*2 *2 $d ,0 *2 $e ,4.9406564584124654e-324");
        c.check("ZPOPMAX nosuch", "*0");
        c.check("ZRANK z nosuch", "_");
        c.check("ZMPOP 1 nosuch MIN", "_");
    });
}

#[test]
fn ranges_of_ranks() {
    on_both(|c| {
        c.check("ZADD z 1 a 2 b 3 c 4 d", ":4");
        c.check("ZRANGE z 0 -1", "*4 $a $b $c $d");
        c.check("ZRANGE z 1 2 WITHSCORES", "*4 $b $2 $c $3");
        c.check("ZRANGE z -2 -1", "*2 $c $d");
        c.check("ZRANGE z 0 -1 REV", "*4 $d $c $b $a");
        c.check("ZRANGE z 0 1 REV WITHSCORES", "*4 $d $4 $c $3");
        c.check("ZRANGE z 3 1", "*0");
        c.check("ZRANGE z 4 10", "*0");
        c.check("ZRANGE z -100 100", "*4 $a $b $c $d");
        c.check("ZREVRANGE z 0 1", "*2 $d $c");
        c.check("ZREVRANGE z -2 -1 WITHSCORES", "*4 $b $2 $a $1");
        c.check("ZREVRANGE z 0 1 REV", "-ERR syntax error");
        c.check("ZRANGE nosuch 0 -1", "*0");
        c.check(
            "ZRANGE z x 1",
            "-ERR value is not an integer or out of range",
        );
        c.check("ZRANGE z 0 1 LIMIT 0 1", "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
        c.check("ZRANGE z 0 1 LIMIT 0 -1", "*2 $a $b");
        c.check("ZRANGE z 0 1 LIMIT 0", "-ERR syntax error");
        c.check("ZRANGE z 0 1 NOSUCH", "-ERR syntax error");
        c.check("ZREVRANGE z 0 1 LIMIT 0 1", "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
        c.check("ZREVRANGE z 0 1 BYSCORE", "-ERR syntax error");
        c.check("ZRANK z a", ":0");
        c.check("ZRANK z d", ":3");
        c.check("ZRANK z nosuch", "$-1");
        c.check("ZRANK nosuch a", "$-1");
        c.check("ZREVRANK z a", ":3");
        c.check("ZREVRANK z d", ":0");
    });
}

#[test]
fn ranges_of_scores() {
    on_both(|c| {
        c.check("ZADD z -inf a 1 b 2 c 3 d 4 e inf f", ":6");
        c.check("ZRANGEBYSCORE z -inf 2", "*3 $a $b $c");
        c.check("ZRANGEBYSCORE z 0 3 WITHSCORES", "*6 $b $1 $c $2 $d $3");
        c.check("ZRANGEBYSCORE z (1 (3", "*1 $c");
        c.check("ZRANGEBYSCORE z (1 +inf LIMIT 1 2", "*2 $d $e");
        c.check("ZRANGEBYSCORE z 0 10 LIMIT 2 -1", "*2 $d $e");
        c.check("ZRANGEBYSCORE z 0 10 LIMIT -1 2", "*0");
        c.check("ZRANGEBYSCORE z 0 10 LIMIT 9 2", "*0");
        c.check("ZRANGEBYSCORE z 0 10 LIMIT 0 0", "*0");
        c.check("ZRANGEBYSCORE z (inf inf", "*0");
        c.check("ZRANGEBYSCORE z 3 1", "*0");
        c.check("ZRANGEBYSCORE z (2 2", "*0");
        c.check("ZREVRANGEBYSCORE z 3 1", "*3 $d $c $b");
        c.check(
            "ZREVRANGEBYSCORE z +inf -inf LIMIT 1 3 WITHSCORES",
            "*6 $e $4 $d $3 $c $2",
        );
        c.check("ZREVRANGEBYSCORE z 10 0 LIMIT 1 1", "*1 $d");
        c.check("ZRANGE z 1 3 BYSCORE", "*3 $b $c $d");
        c.check("ZRANGE z 3 1 BYSCORE REV", "*3 $d $c $b");
        c.check("ZRANGE z (3 (1 BYSCORE REV LIMIT 0 5", "*1 $c");
        c.check("ZCOUNT z -inf +inf", ":6");
        c.check("ZCOUNT z (1 3", ":2");
        c.check("ZCOUNT z 5 1", ":0");
        c.check("ZCOUNT nosuch 0 1", ":0");
        c.check("ZCOUNT z '' 1", ":1");
        c.check("ZCOUNT z 1e999 inf", ":1");
        c.check("ZCOUNT z ' 1' 2", ":2");
        c.check("ZCOUNT z '1 ' 2", "-ERR min or max is not a float");
        c.check("ZCOUNT z x 1", "-ERR min or max is not a float");
        c.check("ZCOUNT z nan 1", "-ERR min or max is not a float");
        c.check("ZRANGEBYSCORE z 0 ((1", "-ERR min or max is not a float");
        c.check("ZRANGEBYSCORE z 0 1 LIMIT 0", "-ERR syntax error");
        c.check(
            "ZRANGEBYSCORE z 0 1 LIMIT x 1",
            "-ERR value is not an integer or out of range",
        );
        c.check("ZRANGEBYSCORE z 0 1 REV", "-ERR syntax error");
    });
}

#[test]
fn ranges_of_members() {
    on_both(|c| {
        c.check(
            "ZADD z 0 alpha 0 bar 0 cool 0 down 0 elephant 0 foo 0 1 0 ''",
            ":8",
        );
        c.check(
            "ZRANGEBYLEX z - +",
            "*8 $ $1 $alpha $bar $cool $down $elephant $foo",
        );
        c.check("ZRANGEBYLEX z - [cool", "*5 $ $1 $alpha $bar $cool");
        c.check("ZRANGEBYLEX z (bar (down", "*1 $cool");
        c.check("ZRANGEBYLEX z [nosuch +", "*0");
        c.check("ZRANGEBYLEX z + -", "*0");
        c.check("ZRANGEBYLEX z (bar [bar", "*0");
        c.check("ZRANGEBYLEX z [bar [bar", "*1 $bar");
        c.check("ZRANGEBYLEX z - + LIMIT 1 2", "*2 $1 $alpha");
        c.check(
            "ZRANGEBYLEX z ( +",
            "*7 $1 $alpha $bar $cool $down $elephant $foo",
        );
        c.check("ZREVRANGEBYLEX z + - LIMIT 1 2", "*2 $elephant $down");
        c.check("ZREVRANGEBYLEX z (down [bar", "*2 $cool $bar");
        c.check("ZRANGE z [bar [cool BYLEX", "*2 $bar $cool");
        c.check("ZRANGE z [down [cool BYLEX REV", "*2 $down $cool");
        c.check("ZLEXCOUNT z - +", ":8");
        c.check("ZLEXCOUNT z (bar [foo", ":4");
        c.check("ZLEXCOUNT nosuch - +", ":0");
        c.check(
            "ZLEXCOUNT z bar +",
            "-ERR min or max not valid string range item",
        );
        c.check(
            "ZLEXCOUNT z - +x",
            "-ERR min or max not valid string range item",
        );
        c.check(
            "ZRANGE z - + BYLEX WITHSCORES",
            "-ERR syntax error, WITHSCORES not supported in combination with BYLEX",
        );
        c.check(
            "ZRANGEBYLEX z - + WITHSCORES",
            "-ERR syntax error, WITHSCORES not supported in combination with BYLEX",
        );
        c.check("ZREMRANGEBYLEX z [alpha (cool", ":2");
        c.check(
            "ZREMRANGEBYLEX z - x",
            "-ERR min or max not valid string range item",
        );
        c.check("ZREMRANGEBYLEX nosuch - +", ":0");
        c.check("ZRANGE z 0 -1", "*6 $ $1 $cool $down $elephant $foo");
        c.check("ZREMRANGEBYLEX z - +", ":6");
        c.check("EXISTS z", ":0");
    });
}

#[test]
fn ranges_are_removed() {
    on_both(|c| {
        c.check("ZADD z 1 a 2 b 3 c 4 d 5 e 6 f", ":6");
        c.check("ZREMRANGEBYRANK z 1 2", ":2");
        c.check("ZREMRANGEBYRANK z -1 -1", ":1");
        c.check("ZREMRANGEBYRANK z 5 9", ":0");
        c.check(
            "ZREMRANGEBYRANK z x 9",
            "-ERR value is not an integer or out of range",
        );
        c.check("ZRANGE z 0 -1", "*3 $a $d $e");
        c.check("ZREMRANGEBYSCORE z (4 5", ":1");
        c.check("ZREMRANGEBYSCORE z 9 10", ":0");
        c.check("ZREMRANGEBYSCORE z x 10", "-ERR min or max is not a float");
        c.check("ZRANGE z 0 -1", "*2 $a $d");
        c.check("ZREMRANGEBYSCORE z -inf inf", ":2");
        c.check("EXISTS z", ":0");
        c.check("ZREMRANGEBYSCORE z 0 1", ":0");
    });
}

#[test]
fn ranges_are_stored() {
    on_both(|c| {
        c.check("ZADD z 1 a 2 b 3 c 4 d", ":4");
        c.check("ZRANGESTORE t z 0 1", ":2");
        c.check("ZRANGE t 0 -1 WITHSCORES", "*4 $a $1 $b $2");
        c.check("ZRANGESTORE t z (2 inf BYSCORE", ":2");
        c.check("ZRANGE t 0 -1 WITHSCORES", "*4 $c $3 $d $4");
        c.check("ZRANGESTORE t z + - BYLEX REV LIMIT 0 2", ":2");
        c.check("ZRANGE t 0 -1 WITHSCORES", "*4 $c $3 $d $4");
        c.check("ZRANGESTORE t z 0 1 REV", ":2");
        c.check("ZRANGE t 0 -1", "*2 $c $d");
        c.check("ZRANGESTORE z z 1 2", ":2");
        c.check("ZRANGE z 0 -1", "*2 $b $c");
        c.check("ZRANGESTORE t nosuch 0 1", ":0");
        c.check("EXISTS t", ":0");
        c.check("ZRANGESTORE t z 0 1 WITHSCORES", "-ERR syntax error");
        c.check("ZRANGESTORE t z 0 1 LIMIT 0 1", "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
        c.check("SET t v", "+OK");
        c.check("ZRANGESTORE t z 0 0", ":1");
        c.check("TYPE t", "+zset");
        c.check("ZRANGESTORE t z 5 6", ":0");
        c.check("TYPE t", "+none");
    });
}

#[test]
fn unions_intersections_and_differences() {
    on_both(|c| {
        c.check("ZADD a 1 x 2 y 3 z", ":3");
        c.check("ZADD b 10 y 20 z 30 w", ":3");
        c.check("ZUNION 2 a b WITHSCORES", "*8 $x $1 $y $12 $z $23 $w $30");
        c.check("ZUNION 2 a b", "*4 $x $y $z $w");
        c.check("ZUNION 2 a nosuch WITHSCORES", "*6 $x $1 $y $2 $z $3");
        c.check(
            "ZUNION 2 a b WEIGHTS 2 0.5 WITHSCORES",
            "*8 $x $2 $y $9 $w $15 $z $16",
        );
        c.check(
            "ZUNION 2 a b AGGREGATE MIN WITHSCORES",
            "*8 $x $1 $y $2 $z $3 $w $30",
        );
        c.check(
            "ZUNION 2 a b WITHSCORES AGGREGATE MAX WEIGHTS 1 -1",
            "*8 $w $-30 $x $1 $y $2 $z $3",
        );
        c.check("ZINTER 2 a b WITHSCORES", "*4 $y $12 $z $23");
        c.check("ZINTER 2 a a WITHSCORES", "*6 $x $2 $y $4 $z $6");
        c.check("ZINTER 2 a nosuch", "*0");
        c.check("ZINTER 2 a b AGGREGATE MAX WITHSCORES", "*4 $y $10 $z $20");
        c.check("ZDIFF 2 a b WITHSCORES", "*2 $x $1");
        c.check("ZDIFF 2 a a", "*0");
        c.check("ZDIFF 1 a", "*3 $x $y $z");
        c.check("ZDIFF 2 nosuch a", "*0");
        c.check("ZINTERCARD 2 a b", ":2");
        c.check("ZINTERCARD 2 a b LIMIT 1", ":1");
        c.check("ZINTERCARD 2 a b LIMIT 0", ":2");
        c.check("ZINTERCARD 2 a nosuch", ":0");
        c.check("ZUNIONSTORE t 2 a b", ":4");
        c.check("ZRANGE t 0 -1 WITHSCORES", "*8 $x $1 $y $12 $z $23 $w $30");
        c.check("ZINTERSTORE t 2 a b WEIGHTS 1 2", ":2");
        c.check("ZRANGE t 0 -1 WITHSCORES", "*4 $y $22 $z $43");
        c.check("ZDIFFSTORE t 2 a b", ":1");
        c.check("ZRANGE t 0 -1 WITHSCORES", "*2 $x $1");
        c.check("ZINTERSTORE t 2 a nosuch", ":0");
        c.check("EXISTS t", ":0");
        c.check("ZUNIONSTORE a 2 a b", ":4");
        c.check("ZCARD a", ":4");
        c.check("ZADD i inf m", ":1");
        c.check("ZADD j -inf m", ":1");
        c.check("ZUNION 2 i j WITHSCORES", "*2 $m $0");
        c.check("ZUNION 1 i WEIGHTS 0 WITHSCORES", "*2 $m $0");
        c.check("ZINTER 2 i j WITHSCORES", "*2 $m $0");
        c.check("ZINTER 2 i j AGGREGATE MIN WITHSCORES", "*2 $m $-inf");
        c.ask("HELLO 3");
        c.check("ZUNION 2 i j WITHSCORES", "*1 *2 $m ,0");
        c.check("ZINTER 2 i j", "*1 $m");
        c.check("ZDIFF 1 j WITHSCORES", "*1 *2 $m ,-inf");
    });
}

#[test]
fn plain_sets_take_part_with_scores_of_one() {
    on_both(|c| {
        c.check("ZADD z 5 a 6 b 7 3", ":3");
        c.check("SADD s a b c", ":3");
        c.check("SADD i 1 2 3", ":3");
        c.check("ZUNION 2 z s WITHSCORES", "*8 $c $1 $a $6 $3 $7 $b $7");
        c.check(
            "ZUNION 3 z s i WEIGHTS 1 2 3 WITHSCORES",
            "*12 $c $2 $1 $3 $2 $3 $a $7 $b $8 $3 $10",
        );
        c.check(
            "ZUNION 2 z s AGGREGATE MIN WITHSCORES",
            "*8 $a $1 $b $1 $c $1 $3 $7",
        );
        c.check("ZINTER 2 s z WITHSCORES", "*4 $a $6 $b $7");
        c.check("ZINTER 2 i z AGGREGATE MAX WITHSCORES", "*2 $3 $7");
        c.check("ZINTER 2 s i", "*0");
        c.check("ZINTERCARD 2 s z", ":2");
        c.check("ZDIFF 2 s z WITHSCORES", "*2 $c $1");
        c.check("ZDIFF 2 z s WITHSCORES", "*2 $3 $7");
        c.check("ZDIFF 2 i z", "*2 $1 $2");
        c.check("ZDIFF 2 i i", "*0");
        c.check("ZUNIONSTORE t 2 s i", ":6");
        c.check(
            "ZRANGE t 0 -1 WITHSCORES",
            "*12 $1 $1 $2 $1 $3 $1 $a $1 $b $1 $c $1",
        );
        c.check("ZINTERSTORE t 2 z i WEIGHTS 1 10", ":1");
        c.check("ZRANGE t 0 -1 WITHSCORES", "*2 $3 $17");
        c.check("ZDIFFSTORE s 2 s z", ":1");
        c.check("TYPE s", "+zset");
        c.check("ZRANGE s 0 -1 WITHSCORES", "*2 $c $1");
        c.check("ZRANGE i 0 -1", WRONG_TYPE);
        c.check("ZADD i 1 a", WRONG_TYPE);
    });
}

#[test]
fn what_was_packed_has_no_minus_zero() {
    on_both(|c| {
        c.check("CONFIG SET zset-max-listpack-entries 2", "+OK");
        c.check("ZADD z -0 a -0 b -0 c", ":3");
        c.check("OBJECT ENCODING z", "$skiplist");
        c.check("ZRANGE z 0 -1 WITHSCORES", "*6 $a $0 $b $0 $c $-0");
        c.check("ZRANGESTORE t z 0 -1", ":3");
        c.check("ZRANGE t 0 -1 WITHSCORES", "*6 $a $0 $b $0 $c $-0");
        c.check("ZRANGESTORE t z -inf inf BYSCORE", ":3");
        c.check("ZRANGE t 0 -1 WITHSCORES", "*6 $a $0 $b $0 $c $-0");
        c.check("ZRANGESTORE t z inf -inf BYSCORE REV", ":3");
        c.check("ZRANGE t 0 -1 WITHSCORES", "*6 $a $0 $b $0 $c $0");
        c.check("ZRANGESTORE t z 0 1", ":2");
        c.check("ZRANGE t 0 -1 WITHSCORES", "*4 $a $0 $b $0");
        c.check("ZUNIONSTORE t 1 z", ":3");
        c.check("ZRANGE t 0 -1 WITHSCORES", "*6 $a $0 $b $0 $c $-0");
    });
}

#[test]
fn combinations_refuse_what_does_not_fit() {
    on_both(|c| {
        c.check("ZADD a 1 x", ":1");
        c.check(
            "ZUNION 0 a",
            "-ERR at least 1 input key is needed for 'zunion' command",
        );
        c.check(
            "ZUNIONSTORE t 0 a",
            "-ERR at least 1 input key is needed for 'zunionstore' command",
        );
        c.check(
            "ZINTERCARD -1 a",
            "-ERR at least 1 input key is needed for 'zintercard' command",
        );
        c.check("ZDIFF x a", "-ERR value is not an integer or out of range");
        c.check("ZUNION 3 a a", "-ERR syntax error");
        c.check("ZUNION 1 a NOSUCH", "-ERR syntax error");
        c.check("ZUNION 1 a WEIGHTS", "-ERR syntax error");
        c.check("ZUNION 1 a WEIGHTS x", "-ERR weight value is not a float");
        c.check("ZUNION 1 a WEIGHTS 1 2", "-ERR syntax error");
        c.check("ZUNION 1 a AGGREGATE", "-ERR syntax error");
        c.check("ZUNION 1 a AGGREGATE nosuch", "-ERR syntax error");
        c.check("ZUNIONSTORE t 1 a WITHSCORES", "-ERR syntax error");
        c.check("ZDIFF 1 a WEIGHTS 1", "-ERR syntax error");
        c.check("ZDIFFSTORE t 1 a AGGREGATE SUM", "-ERR syntax error");
        c.check("ZINTERCARD 1 a LIMIT -1", "-ERR LIMIT can't be negative");
        c.check("ZINTERCARD 1 a LIMIT x", "-ERR LIMIT can't be negative");
        c.check("ZINTERCARD 1 a LIMIT", "-ERR syntax error");
        c.check("ZINTERCARD 1 a WITHSCORES", "-ERR syntax error");
        c.check("ZINTER 1 a LIMIT 1", "-ERR syntax error");
    });
}

#[test]
fn members_are_popped() {
    on_both(|c| {
        c.check("ZADD z 1 a 2 b 3 c 4 d 5 e", ":5");
        c.check("ZPOPMIN z", "*2 $a $1");
        c.check("ZPOPMAX z", "*2 $e $5");
        c.check("ZPOPMIN z 2", "*4 $b $2 $c $3");
        c.check("ZPOPMIN z 0", "*0");
        c.check(
            "ZPOPMIN z -1",
            "-ERR value is out of range, must be positive",
        );
        c.check(
            "ZPOPMIN z x",
            "-ERR value is out of range, must be positive",
        );
        c.check("ZPOPMIN z 1 2", "-ERR syntax error");
        c.check("ZPOPMIN nosuch", "*0");
        c.check("ZPOPMIN nosuch 2", "*0");
        c.check(
            "ZPOPMIN nosuch -1",
            "-ERR value is out of range, must be positive",
        );
        c.check("ZPOPMAX z 10", "*2 $d $4");
        c.check("EXISTS z", ":0");
        c.check("ZADD z 1 a 2 b 3 c 4 d 5 e", ":5");
        c.check("ZMPOP 1 z MIN", "*2 $z *1 *2 $a $1");
        c.check("ZMPOP 2 nosuch z MAX COUNT 2", "*2 $z *2 *2 $e $5 *2 $d $4");
        c.check("ZMPOP 1 nosuch MIN", "*-1");
        c.check("ZMPOP 1 z MIN COUNT 10", "*2 $z *2 *2 $b $2 *2 $c $3");
        c.check("EXISTS z", ":0");
        c.check("ZMPOP 0 z MIN", "-ERR numkeys should be greater than 0");
        c.check("ZMPOP x z MIN", "-ERR numkeys should be greater than 0");
        c.check("ZMPOP 2 z MIN", "-ERR syntax error");
        c.check("ZMPOP 1 z NOSUCH", "-ERR syntax error");
        c.check("ZMPOP 1 z MIN COUNT", "-ERR syntax error");
        c.check(
            "ZMPOP 1 z MIN COUNT 0",
            "-ERR count should be greater than 0",
        );
        c.check("ZMPOP 1 z MIN COUNT 1 COUNT 1", "-ERR syntax error");
        c.check(
            "BZPOPMIN z x",
            "-ERR timeout is not a float or out of range",
        );
        c.check("BZPOPMIN z -1", "-ERR timeout is negative");
        c.check(
            "BZMPOP x 1 z MIN",
            "-ERR timeout is not a float or out of range",
        );
        c.check("BZMPOP -1 1 z MIN", "-ERR timeout is negative");
        c.check("BZMPOP x 0 z MIN", "-ERR numkeys should be greater than 0");
        c.check("BZMPOP 0 1 z NOSUCH", "-ERR syntax error");
        c.check("BZPOPMIN nosuch 0.01", "*-1");
        c.check("BZMPOP 0.01 1 nosuch MAX", "*-1");
        c.check("ZADD z 1 a 2 b 3 c", ":3");
        c.check("BZPOPMIN nosuch z 0", "*3 $z $a $1");
        c.check("BZPOPMAX z nosuch 0", "*3 $z $c $3");
        c.check("BZMPOP 0 2 nosuch z MAX COUNT 5", "*2 $z *1 *2 $b $2");
        c.check("EXISTS z", ":0");
        c.ask("HELLO 3");
        c.check("ZADD z 1 a 2 b 3 c", ":3");
        c.check("BZPOPMIN z 0", "*3 $z $a ,1");
        c.check("ZMPOP 1 z MIN", "*2 $z *1 *2 $b ,2");
        c.check("BZPOPMAX nosuch 0.01", "_");
    });
}

#[test]
fn random_members() {
    on_both(|c| {
        c.check("ZADD z 1 a", ":1");
        c.check("ZRANDMEMBER z", "$a");
        c.check("ZRANDMEMBER nosuch", "$-1");
        c.check("ZRANDMEMBER nosuch 3", "*0");
        c.check("ZRANDMEMBER z 0", "*0");
        c.check("ZRANDMEMBER z 5", "*1 $a");
        c.check("ZRANDMEMBER z -2", "*2 $a $a");
        c.check("ZRANDMEMBER z 5 WITHSCORES", "*2 $a $1");
        c.check("ZRANDMEMBER z -2 withscores", "*4 $a $1 $a $1");
        c.check(
            "ZRANDMEMBER z x",
            "-ERR value is not an integer or out of range",
        );
        c.check("ZRANDMEMBER z 1 nosuch", "-ERR syntax error");
        c.check("ZRANDMEMBER z 1 WITHSCORES x", "-ERR syntax error");
        c.check("ZRANDMEMBER z -9223372036854775808", "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
        c.check(
            "ZRANDMEMBER z -9223372036854775807 WITHSCORES",
            "-ERR value is out of range",
        );
        c.check("ZADD z 2 b 3 c", ":2");
        c.check("ZRANDMEMBER z 3 WITHSCORES", "*6 $c $3 $b $2 $a $1");
        c.ask("HELLO 3");
        c.check(
            "ZRANDMEMBER z 9 WITHSCORES",
            "*3 *2 $c ,3 *2 $b ,2 *2 $a ,1",
        );
        c.check("ZRANDMEMBER nosuch", "_");
    });
}

#[test]
fn encodings_follow_the_limits() {
    on_both(|c| {
        c.check(
            "CONFIG SET zset-max-listpack-entries 3 zset-max-ziplist-value 5",
            "+OK",
        );
        c.check("ZADD z 1 a 2 b 3 c", ":3");
        c.check("OBJECT ENCODING z", "$listpack");
        c.check("ZADD z 5 a", ":0");
        c.check("OBJECT ENCODING z", "$listpack");
        c.check("ZADD z 4 d", ":1");
        c.check("OBJECT ENCODING z", "$skiplist");
        c.check("ZREM z a b c", ":3");
        c.check("OBJECT ENCODING z", "$skiplist");
        c.check("ZADD y 1 123456", ":1");
        c.check("OBJECT ENCODING y", "$skiplist");
        c.check("ZADD x 1 12345", ":1");
        c.check("OBJECT ENCODING x", "$listpack");
        c.check("ZUNIONSTORE t 2 x z", ":2");
        c.check("OBJECT ENCODING t", "$listpack");
        c.check("ZUNIONSTORE t 2 x y", ":2");
        c.check("OBJECT ENCODING t", "$skiplist");
        c.check("ZADD w 1 a 2 b 3 c 4 d", ":4");
        c.check("ZRANGESTORE t w 0 2", ":3");
        c.check("OBJECT ENCODING t", "$listpack");
        c.check("ZRANGESTORE t w 0 3", ":4");
        c.check("OBJECT ENCODING t", "$skiplist");
        c.check("COPY w v", ":1");
        c.check("OBJECT ENCODING v", "$skiplist");
        c.check("CONFIG SET zset-max-listpack-entries 0", "+OK");
        c.check("ZADD u 1 a", ":1");
        c.check("OBJECT ENCODING u", "$skiplist");
    });
}

#[test]
fn scanning_members() {
    on_both(|c| {
        c.check("ZADD z 1 a 2.5 b 3 ab", ":3");
        c.check("ZSCAN z 0", "*2 $0 *6 $a $1 $b $2.5 $ab $3");
        c.check("ZSCAN z 0 MATCH a*", "*2 $0 *4 $a $1 $ab $3");
        c.check("ZSCAN z 0 MATCH nosuch COUNT 100", "*2 $0 *0");
        c.check("ZSCAN nosuch 0", "*2 $0 *0");
        c.check("ZSCAN nosuch x", "-ERR invalid cursor");
        c.check("ZSCAN nosuch 0 nosuch", "*2 $0 *0");
        c.check("ZSCAN z 0 nosuch", "-ERR syntax error");
        c.check("ZSCAN z 0 COUNT 0", "-ERR syntax error");
        c.check(
            "ZSCAN z 0 COUNT x",
            "-ERR value is not an integer or out of range",
        );
        c.check("ZSCAN z 0 TYPE zset", "-ERR syntax error");
        c.ask("HELLO 3");
        c.check("ZSCAN z 0", "*2 $0 *6 $a $1 $b $2.5 $ab $3");
    });
}

#[test]
fn clients_wait_for_members() {
    on_both_servers(|server| {
        let mut c = server.connect();
        let (mut first, mut second) = (server.connect(), server.connect());
        first.command(&["BZPOPMIN", "a", "z", "0"]);
        wait_for_blocked(&mut c, 1);
        second.command(&["BZMPOP", "0", "2", "b", "z", "MAX", "COUNT", "10"]);
        wait_for_blocked(&mut c, 2);
        // Another type does not wake them.
        c.check("SET z v", "+OK");
        c.check("DEL z", ":1");
        c.check("ZADD z 1 x 2 y 3 z", ":3");
        assert_eq!(first.reply(), "*3 $z $x $1");
        assert_eq!(second.reply(), "*2 $z *2 *2 $z $3 *2 $y $2");
        c.check("EXISTS z", ":0");

        // What wakes one is not always enough for the next.
        first.command(&["BZPOPMAX", "z", "0"]);
        wait_for_blocked(&mut c, 1);
        second.command(&["BZPOPMIN", "z", "0"]);
        wait_for_blocked(&mut c, 2);
        c.check("ZINCRBY z 5 only", "$5");
        assert_eq!(first.reply(), "*3 $z $only $5");
        wait_for_blocked(&mut c, 1);
        c.check("GEOADD z 0 0 place", ":1");
        assert_eq!(second.reply(), "*3 $z $place $3377699720527872");

        for store in [
            "ZUNIONSTORE z 1 source",
            "ZRANGESTORE z source 0 -1",
            "RENAME source z",
        ] {
            c.check("ZADD source 7 m", ":1");
            first.command(&["BZPOPMIN", "z", "0"]);
            wait_for_blocked(&mut c, 1);
            c.ask(store);
            assert_eq!(first.reply(), "*3 $z $m $7");
            c.ask("DEL source");
        }
        first.check("BZPOPMIN z 0.01", "*-1");
        first.ask("HELLO 3");
        first.command(&["BZPOPMAX", "z", "0"]);
        wait_for_blocked(&mut c, 1);
        c.check("ZADD z 1.5 m", ":1");
        assert_eq!(first.reply(), "*3 $z $m ,1.5");
        first.check("BZMPOP 0.01 1 z MIN", "_");
    });
}

#[test]
fn distinct_random_members_of_a_big_set() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    for i in 0..2000 {
        c.check(&format!("ZADD z {i} member:{i}"), ":1");
    }
    for count in [3, 600, 700, 1999, 2000] {
        let reply = c.ask(&format!("ZRANDMEMBER z {count}"));
        let members: HashSet<&str> = reply.split(' ').skip(1).collect();
        assert_eq!(members.len(), count);
    }
    let reply = c.ask("ZRANDMEMBER z -5000");
    let members: Vec<&str> = reply.split(' ').skip(1).collect();
    let distinct: HashSet<&&str> = members.iter().collect();
    assert_eq!(members.len(), 5000);
    assert!((1500..2000).contains(&distinct.len()), "{}", distinct.len());
}

#[test]
fn big_sets_are_scanned_copied_and_freed() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    for i in 0..3000 {
        c.check(&format!("ZADD z {i} member:{i}"), ":1");
    }
    let (mut cursor, mut seen) = ("0".to_owned(), HashSet::new());
    loop {
        let reply = c.ask(&format!("ZSCAN z {cursor} COUNT 50"));
        let mut words = reply.split(' ').skip(1).map(|word| word[1..].to_owned());
        cursor = words.next().unwrap();
        let pairs: Vec<String> = words.skip(1).collect();
        for pair in pairs.chunks(2) {
            assert_eq!(pair[0], format!("member:{}", pair[1]));
            seen.insert(pair[0].clone());
        }
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 3000);
    c.check("COPY z y", ":1");
    c.check("ZREMRANGEBYRANK z 10 -11", ":2980");
    c.check("ZRANGE z 9 10", "*2 $member:9 $member:2990");
    c.check("ZCARD y", ":3000");
    c.check("RENAME y x", "+OK");
    c.check("ZRANK x member:2999", ":2999");
    c.check("DEL z x", ":2");
    c.check("ZCARD x", ":0");
}
