//! Scenes of several clients whose traces in the log are compared: who waited
//! is served, keys expire, transactions span databases.

use std::time::Duration;

use super::pair::{Pair, Servers};

fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ')
        .map(|word| word.as_bytes().to_vec())
        .collect()
}

/// Sends without waiting for the reply.
fn begin(pair: &mut Pair, line: &str) {
    pair.send(&[words(line)]);
    // Both servers have begun to wait when the next command comes.
    std::thread::sleep(Duration::from_millis(20));
}

fn ended(pair: &mut Pair, line: &str) {
    let (ours, theirs) = pair.receive(&line);
    assert_eq!(ours, theirs, "{line}");
}

fn call(pair: &mut Pair, line: &str) {
    begin(pair, line);
    ended(pair, line);
}

/// Clients that wait, one for each, and what serves them.
const SERVED: &[(&[&str], &[&str])] = &[
    (&["BLPOP l 0"], &["RPUSH l a b c"]),
    (&["BRPOP m l 0", "BLPOP l 0"], &["LPUSH l a b c"]),
    (
        &["BLMOVE l m LEFT RIGHT 0", "BRPOPLPUSH m n 0", "BLPOP n 0"],
        &["RPUSH l a b"],
    ),
    (&["BLMPOP 0 2 l m LEFT COUNT 2"], &["RPUSH m a b c"]),
    (&["BZPOPMIN z 0", "BZPOPMAX z 0"], &["ZADD z 1 a 2 b 3 c"]),
    (&["BZMPOP 0 1 z MAX COUNT 2"], &["ZADD z 1 a 2 b 3 c"]),
    (
        &["BLPOP l 0", "BLPOP l 0"],
        &[
            "MULTI",
            "RPUSH l a",
            "SELECT 3",
            "SET x y",
            "SELECT 0",
            "RPUSH l b",
            "EXEC",
        ],
    ),
    (
        &["BLPOP l 0"],
        &["MULTI", "RPUSH l a", "DEL l", "EXEC", "RPUSH l b"],
    ),
    (&["BLPOP l 0"], &["SELECT 2", "RPUSH l a", "SWAPDB 0 2"]),
    (&["BLPOP l 0"], &["RPUSH k a b", "RENAME k l"]),
    (&["BLPOP l 0"], &["SELECT 1", "RPUSH l a b", "MOVE l 0"]),
    (&["BLPOP l 0"], &["RPUSH k 3 1 2", "SORT k STORE l"]),
    (&["BLPOP l 0"], &["SET l text", "DEL l", "RPUSH l a"]),
    (
        &["XREAD BLOCK 0 STREAMS x $", "XREAD BLOCK 0 STREAMS y x 0 $"],
        &["XADD x 1-0 f v"],
    ),
    (
        &["XREAD BLOCK 0 STREAMS x 5"],
        &[
            "XADD x 4-0 f v",
            "MULTI",
            "XADD x 6-0 f v",
            "XADD x 7-0 f v",
            "EXEC",
        ],
    ),
];

/// Clients that wait as consumers of the group `g` of the stream `x`.
const CONSUMERS: &[(&[&str], &[&str])] = &[
    (
        &[
            "XREADGROUP GROUP g c BLOCK 0 COUNT 1 STREAMS x >",
            "XREADGROUP GROUP g d NOACK BLOCK 0 STREAMS x >",
        ],
        &["MULTI", "XADD x 1-0 f v", "XADD x 2-0 f v", "EXEC"],
    ),
    (&["XREADGROUP GROUP g c BLOCK 0 STREAMS x >"], &["DEL x"]),
    (&["XREADGROUP GROUP g c BLOCK 0 STREAMS x >"], &["SET x v"]),
    (
        &["XREADGROUP GROUP g c BLOCK 0 STREAMS x >"],
        &["XGROUP DESTROY x g"],
    ),
    (&["XREADGROUP GROUP g c BLOCK 0 STREAMS x >"], &["FLUSHDB"]),
];

/// What one client does.
const ALONE: &[&str] = &[
    "MULTI|SELECT 2|SET a 1|SELECT 3|SET b 2|EXEC",
    "MULTI|EXEC",
    "MULTI|GET a|EXEC",
    "MULTI|SET a 1|EXEC",
    "MULTI|SET a 1|INCR a|NOSUCH|EXEC",
    "SET a 1|MULTI|INCRBY a x|INCR a|EXEC",
    "MULTI|SPOP nosuch|SADD s 1|SPOP s 1|EXEC",
    "SADD s 1 2 3|SPOP s 5",
    "SELECT 1|SET a 1|COPY a b DB 2|MOVE a 3|SELECT 2|RENAME b c|SWAPDB 1 3|FLUSHDB|FLUSHALL ASYNC",
    "SET a 1 GET EX 100|SET a 2 XX KEEPTTL|GETEX a PERSIST|GETEX a EXAT 99999999999|GETDEL a",
    "SET a 1 PX 0|SET a 1 EXAT 1|GET a|SETEX a 100 v|PSETEX a 100000 v|EXPIRE a -1",
    "SET a 1|EXPIRE a 100 NX|PEXPIRE a 200000 GT|EXPIREAT a 99999999999|PEXPIREAT a 99999999999999 LT",
    "PFADD h a b|PFCOUNT h|PFADD h c|PFCOUNT h|PFMERGE i h|PFCOUNT h i",
    "INCRBYFLOAT f 1.5|HINCRBYFLOAT h f 2.25|SETRANGE s 3 x|APPEND s y|BITFIELD s SET u8 0 255",
    "ZADD z 1 a 2 b|ZPOPMIN z|ZMPOP 1 z MAX|ZPOPMIN z|LMPOP 1 nosuch LEFT|GEOADD g 1 2 a",
    "SET e v PX 30|.|GET e|SET e v PX 30|.|MULTI|GET e|SET f 1|EXEC",
    "SET e v PX 30|SET f v PX 30|.|MGET e f|SET e v PX 30|SET f v PX 30|.|DEL e f",
    "SET e v PX 30|.|SETNX e w|SET e v PX 30|.|INCR e|SET e v PX 30|.|TOUCH e|RANDOMKEY",
    "SET e v PX 30|SET f v|.|SCAN 0 COUNT 1000|SET e v PX 30|.|KEYS *",
    "CONFIG SET lazyfree-lazy-expire yes lazyfree-lazy-user-del yes|SET e v PX 30|.|GET e|SET e v|EXPIRE e -1|SET e v|DEL e",
    "CONFIG SET lazyfree-lazy-expire no lazyfree-lazy-user-del no|SET e v PX 30|.|EXPIRE e 100|PERSIST e|RENAME e f",
    "SET e v PX 30|CLIENT PAUSE 5000 WRITE|.|GET e|TTL e|DBSIZE|CLIENT UNPAUSE|GET e|DBSIZE",
    "XADD x 1-0 f v|XADD x 1-* f v|XADD x MAXLEN ~ 1 2-* f v|XADD x NOMKSTREAM MINID 1-1 3-0 f v|XTRIM x MAXLEN 1|XDEL x 3-0|XSETID x 9-0",
    "XADD x 1-0 f v|XADD x 2-0 f v|XGROUP CREATE x g 0|XREADGROUP GROUP g c COUNT 1 STREAMS x >|XREADGROUP GROUP g d NOACK STREAMS x >|XREADGROUP GROUP g c STREAMS x 0|XACK x g 1-0 2-0",
    "XGROUP CREATE x g $ MKSTREAM|XADD x 1-0 f v|XCLAIM x g c 0 1 FORCE|XCLAIM x g d 0 1-0 RETRYCOUNT 3 JUSTID|XDEL x 1-0|XAUTOCLAIM x g c 0 0|XCLAIM x g c 0 1-0 LASTID 7-0|XGROUP SETID x g 0|XGROUP DELCONSUMER x g c|XGROUP DESTROY x g",
    "PUBLISH c m|SPUBLISH c m|RESTORE r 1000 x|DEBUG SET-ACTIVE-EXPIRE 0|OBJECT ENCODING nosuch",
];

/// Plays all scenes.
pub fn play(servers: &Servers) {
    let mut feeder = servers.connect();
    call(&mut feeder, "DEBUG SET-ACTIVE-EXPIRE 0");
    let scenes = SERVED.iter().map(|scene| (scene, false));
    let consumers = CONSUMERS.iter().map(|scene| (scene, true));
    for ((waiting, feeding), of_group) in scenes.chain(consumers) {
        if of_group {
            call(&mut feeder, "XGROUP CREATE x g $ MKSTREAM");
        }
        let mut clients: Vec<Pair> = waiting.iter().map(|_| servers.connect()).collect();
        for (client, line) in clients.iter_mut().zip(*waiting) {
            begin(client, line);
        }
        for line in *feeding {
            call(&mut feeder, line);
        }
        for (client, line) in clients.iter_mut().zip(*waiting) {
            ended(client, line);
        }
        call(&mut feeder, "SELECT 0");
        call(&mut feeder, "FLUSHALL");
    }
    for scene in ALONE {
        for line in scene.split('|') {
            match line {
                "." => std::thread::sleep(Duration::from_millis(50)),
                // What it finds first is left to chance.
                "SCAN 0 COUNT 1000" | "RANDOMKEY" | "KEYS *" => {
                    begin(&mut feeder, line);
                    feeder.receive(&line);
                }
                _ if line.starts_with("SPOP s 1") => {
                    begin(&mut feeder, line);
                    feeder.receive(&line);
                }
                _ => call(&mut feeder, line),
            }
        }
        call(&mut feeder, "SELECT 0");
        call(&mut feeder, "FLUSHALL");
    }
}
