//! Keyspace events: which ones each command publishes, in which order, against
//! redis-server.

use super::support::{Client, Server};

const ARGS: [&str; 4] = [
    "--notify-keyspace-events",
    "KEAnm",
    "--enable-debug-command",
    "yes",
];

/// A client that does something, one that is told, and one that marks the end.
struct Ears {
    hands: Client,
    ears: Client,
    mouth: Client,
}

impl Ears {
    fn of(server: &Server) -> Ears {
        let (mut hands, mut ears) = (server.connect(), server.connect());
        ears.check("PSUBSCRIBE *", "*3 $psubscribe $* :1");
        hands.check("DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
        let mouth = server.connect();
        Ears { hands, ears, mouth }
    }

    /// What is heard of a command.
    #[track_caller]
    fn heard(&mut self, line: &str) -> Vec<String> {
        self.hands.ask(line);
        self.told()
    }

    fn told(&mut self) -> Vec<String> {
        self.mouth.ask("PUBLISH end end");
        let mut heard = Vec::new();
        loop {
            let message = self.ears.reply();
            let message = message.strip_prefix("*4 $pmessage $* $").unwrap();
            match message {
                "end $end" => return heard,
                _ => heard.push(message.to_owned()),
            }
        }
    }
}

#[test]
fn an_event_is_published_by_key_and_by_name() {
    let server = Server::start(&ARGS);
    let mut ears = Ears::of(&server);
    assert_eq!(
        ears.heard("SET a{b} 1"),
        [
            "__keyspace@0__:a{b} $new",
            "__keyevent@0__:new $a{b}",
            "__keyspace@0__:a{b} $set",
            "__keyevent@0__:set $a{b}",
        ]
    );
    for (classes, expected) in [
        ("KA", &["__keyspace@3__:k $set"][..]),
        ("E$", &["__keyevent@3__:set $k"]),
        ("Kg", &[]),
        ("g$", &[]),
        ("", &[]),
    ] {
        ears.hands.ask("SELECT 3");
        ears.hands.check(
            &format!("CONFIG SET notify-keyspace-events '{classes}'"),
            "+OK",
        );
        assert_eq!(ears.heard("SET k v"), expected, "{classes}");
    }
}

/// Commands, each with what the ones before have left.
#[rustfmt::skip]
pub const SCENES: &[&[&str]] = &[
    // Strings.
    &[
        "SET k v", "SET k v", "SET k v EX 100", "SET k v KEEPTTL", "SET k v PX 1000 NX",
        "SET new v PX 1000 NX", "SET no v XX", "SET k v XX GET", "SET no v GET", "SET k v EXAT 1",
        "GET k", "SETNX k v", "SETNX k v", "SETEX k 100 v", "PSETEX k 1000 v", "GETSET k w",
        "GETSET fresh w", "GETDEL k", "GETDEL k", "SET k v", "GETEX k", "GETEX k EX 100",
        "GETEX k PERSIST", "GETEX k PERSIST", "GETEX k PXAT 1", "GETEX k EX 1", "GET k",
        "MGET k no fresh",
    ],
    &[
        "MSET a 1 b 2", "MSET a 1 c 3", "MSETNX a 1 z 1", "MSETNX y 1 z 1", "APPEND a x",
        "APPEND q x", "APPEND q ''", "APPEND none ''", "SETRANGE a 3 y", "SETRANGE a 0 ''",
        "SETRANGE none2 0 ''", "SETRANGE r 1 x", "INCR n", "INCR n", "DECR n", "INCRBY n 0",
        "DECRBY n 5", "INCRBYFLOAT n 1.5", "INCRBYFLOAT f 1", "INCR a", "STRLEN no",
        "GETRANGE no 0 1", "SUBSTR no 0 1", "LCS a no", "LCS a q", "HSET h f v", "APPEND h x",
        "SET h v", "INCR no2", "MSET x 1 x 2",
    ],
    // Bitmaps and HyperLogLogs.
    &[
        "SETBIT b 3 1", "SETBIT b 3 1", "SETBIT b 100 0", "GETBIT no 1", "BITCOUNT no",
        "BITPOS no 1", "BITOP AND d b", "BITOP AND d b b", "BITOP OR d no no2", "BITOP OR d no",
        "BITOP NOT d b", "BITFIELD f SET u8 0 1", "BITFIELD f SET u8 0 1", "BITFIELD f GET u8 0",
        "BITFIELD no GET u8 0", "BITFIELD f INCRBY u8 0 1 GET u8 0",
        "BITFIELD f OVERFLOW FAIL INCRBY u2 0 3", "BITFIELD g OVERFLOW FAIL INCRBY u2 0 5",
        "BITFIELD_RO no GET u8 0", "BITFIELD f SET u8 0 1 SET u8 8 2", "PFADD p a b", "PFADD p a b",
        "PFADD e", "PFADD e", "PFCOUNT p", "PFCOUNT p no", "PFCOUNT no", "PFADD p c", "PFCOUNT p",
        "PFMERGE m p e", "PFMERGE p", "PFMERGE fresh", "PFMERGE fresh2 no", "PFADD b x",
    ],
    // Keys.
    &[
        "MSET a 1 b 2 c 3", "DEL a no b", "UNLINK c no", "SET a 1", "EXISTS a no no",
        "EXPIRE a 100", "EXPIRE a 100 NX", "EXPIRE a 200 XX", "EXPIRE a 100 GT", "EXPIRE a 300 GT",
        "EXPIRE a 400 LT", "EXPIRE no 100", "PERSIST a", "PERSIST a", "PERSIST no",
        "PEXPIRE a 100000", "EXPIREAT a 9999999999", "PEXPIREAT a 9999999999999", "EXPIRE a -1",
        "SET a 1", "EXPIREAT a 1", "SET a 1 EX 100", "PEXPIRE a 0", "TTL no", "PTTL no",
        "EXPIRETIME no", "TYPE no", "TYPE a", "TOUCH a no", "OBJECT ENCODING no", "OBJECT FREQ no",
        "OBJECT IDLETIME a", "DUMP no", "RANDOMKEY", "SCAN 0", "KEYS *", "DBSIZE",
    ],
    &[
        "SET a 1", "RENAME a b", "RENAME b b", "RENAME no b", "SET c 2 EX 100", "RENAME c b",
        "RENAMENX b b", "SET d 1", "RENAMENX b d", "RENAMENX b e", "RENAMENX no e", "COPY e f",
        "COPY e f", "COPY e f REPLACE", "COPY no f", "COPY e e2 DB 3", "MOVE e 2", "MOVE e 2",
        "SET e 9", "MOVE e 2", "MOVE no 2", "LPUSH l 1", "RENAME l l2", "LPUSH l3 2",
        "RENAME l2 l3", "COPY l3 l4", "SELECT 2", "GET e", "GET no", "SELECT 0", "FLUSHDB",
        "SET a 1", "SWAPDB 0 1", "FLUSHALL", "FLUSHALL",
    ],
    &[
        r"SET d x",
        r#"RESTORE r 0 "\x00\x01v\n\x00c\x8ey\xf6\xe8\xc5\x88\xab""#,
        "RPUSH l 3 1 2", "SORT l", "SORT l STORE s", "SORT l STORE s", "SORT no STORE s",
        "SORT no STORE s", "SORT no", "SORT_RO no", "SORT l BY w_* GET # GET o_*",
        "SORT l BY w_* STORE s", "SORT l BY nosort STORE l", "SORT l LIMIT 5 5 STORE d",
        "SORT l LIMIT 5 5 STORE d",
    ],
    // Hashes.
    &[
        "HSET h a 1 b 2", "HSET h a 1", "HSET h a 2 c 3", "HMSET h a 1 d 4", "HMSET h2 a 1",
        "HSETNX h a 5", "HSETNX h e 5", "HSETNX h3 e 5", "HINCRBY h a 1", "HINCRBY h4 a 1",
        "HINCRBYFLOAT h a 0.5", "HINCRBYFLOAT h5 a 1", "HDEL h a no b", "HDEL h no", "HDEL h c d e",
        "HDEL no a", "HDEL h2 a a", "HGET no a", "HGET h3 no", "HGETALL no", "HKEYS no", "HVALS no",
        "HLEN no", "HEXISTS no a", "HMGET no a b", "HSTRLEN no a", "HSCAN no 0", "HRANDFIELD no",
        "HRANDFIELD no 2", "HINCRBY h3 e x", "HINCRBY h6 e x", "SADD s 1", "HSET s a 1",
        "HSET h3 e", "HINCRBY h3 f 0", "HINCRBYFLOAT h3 x nan",
    ],
    // Sets.
    &[
        "SADD s 1 2 3", "SADD s 1", "SADD s 1 4 x", "SREM s 4 no", "SREM s no", "SREM no x",
        "SMOVE s t x", "SMOVE s t no", "SMOVE s t 1", "SMOVE no t 1", "SADD s 1", "SMOVE s t 1",
        "SMOVE t t 1", "SMOVE t t no", "SPOP no", "SPOP no 2", "SPOP s 0", "SPOP s 5", "SADD s a",
        "SPOP s", "SADD s a b c d e f", "SPOP s 2", "SPOP s 4", "SADD s a b", "SREM s a b",
        "SADD a 1 2 3", "SADD b 2 3 4", "SINTERSTORE d a b", "SINTERSTORE d a no",
        "SINTERSTORE d a no", "SUNIONSTORE d a b", "SUNIONSTORE d no no2", "SDIFFSTORE d a b",
        "SDIFFSTORE d a a", "SDIFFSTORE a a b", "SUNIONSTORE d a b", "SINTER a no b",
        "SINTERCARD 2 a no", "SUNION a no", "SDIFF no a", "SMEMBERS no", "SCARD no",
        "SISMEMBER no x", "SMISMEMBER no x y", "SRANDMEMBER no", "SRANDMEMBER no 3", "SSCAN no 0",
        "SET str x", "SUNIONSTORE str a b", "SINTERSTORE d a str2", "SADD str2 x", "SREM str2 x x",
        "SET w 1", "SINTERSTORE d a w", "SADD w 1", "SMOVE a w 1",
    ],
    // Sorted sets.
    &[
        "ZADD z 1 a 2 b 3 c", "ZADD z 1 a", "ZADD z 5 a", "ZADD z NX 9 a", "ZADD z XX 9 no",
        "ZADD z XX CH 9 a 9 b", "ZADD z GT 1 a", "ZADD z LT 1 a", "ZADD z INCR 1 a",
        "ZADD z NX INCR 1 a", "ZADD z XX INCR 1 no", "ZADD n XX 1 a", "ZADD n XX INCR 1 a",
        "ZADD n NX INCR 1 a", "ZINCRBY z 1 a", "ZINCRBY z 0 a", "ZINCRBY i 1 a", "ZADD z 2 a 7 new",
        "ZREM z new no", "ZREM z no", "ZREM no a", "ZREM i a", "ZREMRANGEBYSCORE z 100 200",
        "ZREMRANGEBYSCORE z 0 3", "ZREMRANGEBYRANK z 0 0", "ZREMRANGEBYRANK z 5 6",
        "ZADD l 0 a 0 b 0 c", "ZREMRANGEBYLEX l [a [a", "ZREMRANGEBYLEX l [x [y",
        "ZREMRANGEBYLEX l - +", "ZREMRANGEBYLEX no - +", "ZREMRANGEBYRANK z 0 -1",
        "ZADD z 1 a 2 b 3 c 4 d", "ZPOPMIN z", "ZPOPMAX z", "ZPOPMIN z 0", "ZPOPMIN no",
        "ZPOPMIN z 5", "ZADD z 1 a 2 b 3 c 4 d", "ZMPOP 2 no z MIN", "ZMPOP 1 z MAX COUNT 2",
        "ZMPOP 1 z MIN COUNT 9", "ZMPOP 2 no no2 MIN", "ZADD z 1 a 2 b 3 c 4 d", "BZPOPMIN no z 1",
        "BZPOPMAX z 1", "BZMPOP 1 2 no z MIN COUNT 9", "BZPOPMIN no 0.01",
    ],
    &[
        "ZADD a 1 x 2 y", "ZADD b 3 y 4 z", "SADD s x", "ZUNIONSTORE d 2 a b",
        "ZUNIONSTORE d 2 a b", "ZINTERSTORE d 2 a b", "ZINTERSTORE d 2 a no",
        "ZINTERSTORE d 2 a no", "ZDIFFSTORE d 2 a b", "ZDIFFSTORE d 2 a a", "ZUNIONSTORE d 1 s",
        "ZRANGESTORE d a 0 -1", "ZRANGESTORE d a 5 6", "ZRANGESTORE d a 5 6",
        "ZRANGESTORE d no 0 -1", "ZRANGESTORE d a -inf +inf BYSCORE", "ZRANGESTORE a a 0 0",
        "ZRANGE no 0 -1", "ZCARD no", "ZSCORE no a", "ZMSCORE no a b", "ZRANK no a",
        "ZREVRANK no a", "ZCOUNT no 0 1", "ZLEXCOUNT no - +", "ZRANGEBYSCORE no 0 1",
        "ZRANGEBYLEX no - +", "ZREVRANGE no 0 1", "ZINTER 2 a no", "ZUNION 2 a no", "ZDIFF 2 a no",
        "ZINTERCARD 2 a no", "ZRANDMEMBER no", "ZRANDMEMBER no 2", "ZSCAN no 0", "ZADD s 1 a",
        "ZADD a 1", "ZADD a x y", "ZINCRBY a nan x",
    ],
    &[
        "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
        "GEOADD g 13.361389 38.115556 Palermo", "GEOADD g CH 13.4 38.1 Palermo",
        "GEOADD g NX 13.5 38.1 Palermo", "GEOADD n XX 13.5 38.1 Palermo", "GEODIST no a b",
        "GEOHASH no a", "GEOPOS no a", "GEOSEARCH no FROMLONLAT 15 37 BYRADIUS 200 km",
        "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km", "GEORADIUS no 15 37 200 km",
        "GEORADIUS_RO no 15 37 200 km", "GEORADIUSBYMEMBER g Palermo 200 km",
        "GEORADIUSBYMEMBER no Palermo 200 km", "GEORADIUS g 15 37 200 km STORE d",
        "GEORADIUS g 15 37 200 km STOREDIST d", "GEORADIUS g 0 0 1 km STORE d",
        "GEORADIUS g 0 0 1 km STORE d", "GEORADIUS no 0 0 1 km STORE d",
        "GEORADIUSBYMEMBER g Palermo 500 km STORE d", "GEORADIUS no 0 0 1 km STORE d",
        "GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km",
        "GEOSEARCHSTORE d g FROMLONLAT 0 0 BYRADIUS 1 km",
        "GEOSEARCHSTORE d g FROMLONLAT 0 0 BYRADIUS 1 km",
        "GEOSEARCHSTORE d no FROMLONLAT 0 0 BYRADIUS 1 km",
    ],
    // Lists.
    &[
        "LPUSH l a b c", "RPUSH l d", "LPUSHX l e", "RPUSHX l f", "LPUSHX no e", "RPUSHX no e",
        "LINSERT l BEFORE a x", "LINSERT l AFTER no x", "LINSERT no AFTER a x", "LSET l 0 z",
        "LSET l 100 z", "LSET no 0 z", "LREM l 0 x", "LREM l 0 no", "LREM no 0 x", "LTRIM l 1 -1",
        "LTRIM l 0 -1", "LTRIM no 0 -1", "LPOP l", "RPOP l", "LPOP l 2", "LPOP l 0", "LPOP no",
        "RPOP no 2", "RPOP l 100", "LPUSH l a", "LTRIM l 5 6", "LPUSH l a", "LREM l 0 a",
        "LRANGE no 0 -1", "LLEN no", "LINDEX no 0", "LPOS no a", "LPUSH l a b c", "RPOPLPUSH l m",
        "LMOVE l m RIGHT LEFT", "LMOVE l l LEFT RIGHT", "LMOVE l m LEFT RIGHT",
        "LMOVE l m LEFT RIGHT", "RPOPLPUSH no m", "RPOPLPUSH m m", "LMPOP 2 no m LEFT",
        "LMPOP 1 m RIGHT COUNT 5", "LMPOP 1 no LEFT", "RPUSH l a b c d e f", "BLPOP no l 1",
        "BRPOP l 1", "BRPOPLPUSH l m 1", "BLMOVE l m LEFT LEFT 1", "BLMPOP 1 2 no l LEFT",
        "BLMPOP 1 1 l RIGHT COUNT 9", "BLPOP no 0.01", "BRPOPLPUSH no m 0.01", "SET s x",
        "LPUSH s a", "LMOVE m s LEFT LEFT", "LPUSHX s a",
    ],
    // Transactions.
    &[
        "MULTI", "SET a 1", "INCR a", "DEL a", "GET no", "LPUSH a x", "EXEC",
    ],
];

#[test]
fn each_command_publishes_what_redis_does() {
    let Some(theirs) = Server::start_oracle(&ARGS) else {
        return;
    };
    let ours = Server::start(&ARGS);
    let (mut ours, mut theirs) = (Ears::of(&ours), Ears::of(&theirs));
    let mut wrong = Vec::new();
    for scene in SCENES {
        for line in ["SELECT 0", "FLUSHALL"].iter().chain(*scene) {
            let (ours, theirs) = (ours.heard(line), theirs.heard(line));
            if ours != theirs {
                wrong.push(format!("{line}\n  ours   {ours:?}\n  theirs {theirs:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Commands on a key `k` whose time has come.
#[rustfmt::skip]
const ON_EXPIRED: &[&str] = &[
    "GET k", "SET k v", "SETNX k v", "GETSET k v", "GETDEL k", "GETEX k", "APPEND k x", "INCR k",
    "SETRANGE k 0 x", "SETBIT k 1 1", "MGET k k", "MSETNX k 1", "DEL k", "UNLINK k", "EXISTS k",
    "EXPIRE k 10", "PERSIST k", "TTL k", "TYPE k", "TOUCH k", "RENAME k j", "RENAME o k",
    "RENAMENX o k", "COPY k j", "COPY o k", "MOVE k 1", "DUMP k", "SORT k", "SORT k STORE j",
    "OBJECT ENCODING k", "HSET k a 1", "HGET k a", "HDEL k a", "SADD k a", "SPOP k", "SPOP k 2",
    "SREM k a", "SMOVE k j a", "SMOVE ss k a", "SINTERSTORE j k ss", "SUNIONSTORE k ss",
    "ZADD k 1 a", "ZADD k XX 1 a", "ZPOPMIN k", "ZUNIONSTORE k 1 zz", "ZRANGESTORE k zz 0 -1",
    "LPUSH k a", "LPUSHX k a", "LPOP k", "LMOVE k j LEFT LEFT", "LMOVE ll k LEFT LEFT", "LLEN k",
    "BLPOP k ll 1", "PFADD k a", "PFCOUNT k", "PFMERGE j k", "BITOP NOT j k", "BITFIELD k GET u8 0",
    "STRLEN k", "SCAN 0", "KEYS *", "DBSIZE", "FLUSHDB", "LTRIM k 0 0", "LINSERT k BEFORE a b",
    "INCRBYFLOAT k 1", "HINCRBY k a 1", "EXPIRE k -1", "SET k v XX", "SET k v NX GET",
    "GEOADD k 1 1 a", "LCS k o", "OBJECT FREQ k", "ZREM k a", "LREM k 0 a", "LSET k 0 a", "WATCH k",
    "RESTORE k 0 x",
];

#[test]
fn keys_that_have_expired() {
    let Some(theirs) = Server::start_oracle(&ARGS) else {
        return;
    };
    let ours = Server::start(&ARGS);
    let mut both = [Ears::of(&ours), Ears::of(&theirs)];
    let mut wrong = Vec::new();
    for line in ON_EXPIRED {
        let heard = both.each_mut().map(|ears| {
            ears.hands.ask("FLUSHALL");
            for setup in [
                "SADD ss a b",
                "ZADD zz 1 a",
                "RPUSH ll a b",
                "SET o 1",
                "SET k v PX 1",
                "DEBUG SLEEP 0.003",
            ] {
                ears.hands.ask(setup);
            }
            ears.told();
            ears.heard(line)
        });
        if heard[0] != heard[1] {
            wrong.push(format!(
                "{line}\n  ours   {:?}\n  theirs {:?}",
                heard[0], heard[1]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_waits_and_is_served() {
    let servers = [Some(Server::start(&ARGS)), Server::start_oracle(&ARGS)];
    let heard = servers.iter().flatten().map(|server| {
        let mut ears = Ears::of(server);
        let mut heard = Vec::new();
        for (wait, serve) in [
            ("BLPOP l 0", "LPUSH l a b"),
            ("BLPOP l 0", "RPUSH l a"),
            ("BLMOVE l m LEFT RIGHT 0", "RPUSH l a"),
            ("BRPOPLPUSH l m 0", "RPUSH l a b"),
            ("BLMPOP 0 1 l LEFT COUNT 5", "RPUSH l a b"),
            ("BZPOPMIN z 0", "ZADD z 1 a 2 b"),
            ("BZMPOP 0 1 z MAX COUNT 5", "ZADD z 1 a"),
        ] {
            ears.hands.ask("FLUSHALL");
            let mut waiting = server.connect();
            let id = waiting.id();
            waiting.command(&wait.split(' ').collect::<Vec<_>>());
            super::support::wait("the client to block", || {
                ears.hands.field_of(id, "flags").contains('b').then_some(())
            });
            heard.push((wait, ears.heard(serve)));
            waiting.reply();
        }
        heard
    });
    let heard: Vec<_> = heard.collect();
    if let [ours, theirs] = &heard[..] {
        assert_eq!(ours, theirs);
    }
}

#[test]
fn active_expiry_publishes() {
    for server in [Some(Server::start(&ARGS)), Server::start_oracle(&ARGS)] {
        let Some(server) = server else { return };
        let (mut hands, mut ears) = (server.connect(), server.connect());
        ears.ask("SUBSCRIBE __keyevent@0__:expired");
        hands.check("SET k v PX 10", "+OK");
        assert_eq!(ears.reply(), "*3 $message $__keyevent@0__:expired $k");
    }
}
