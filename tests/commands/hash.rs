//! Hash commands; every transcript is checked against redis-server too, where
//! there is one.

use super::support::{Client, Server};

fn on_both(transcript: impl Fn(&mut Client)) {
    transcript(&mut Server::start(&[]).connect());
    if let Some(oracle) = Server::start_oracle(&[]) {
        transcript(&mut oracle.connect());
    }
}

#[test]
fn fields_are_set_read_and_removed() {
    on_both(|c| {
        c.check("HSET h a 1 b 2 a 3", ":2");
        c.check("HSET h a 4", ":0");
        c.check("HMSET h c x d y", "+OK");
        c.check(
            "HMSET h c",
            "-ERR wrong number of arguments for 'hmset' command",
        );
        c.check(
            "HSET h c x d",
            "-ERR wrong number of arguments for 'hset' command",
        );
        c.check("HGET h a", "$4");
        c.check("HGET h nosuch", "$-1");
        c.check("HGET nosuch a", "$-1");
        c.check("HMGET h a nosuch d", "*3 $4 $-1 $y");
        c.check("HMGET nosuch a b", "*2 $-1 $-1");
        c.check("HLEN h", ":4");
        c.check("HSTRLEN h c", ":1");
        c.check("HSTRLEN h nosuch", ":0");
        c.check("HEXISTS h a", ":1");
        c.check("HEXISTS nosuch a", ":0");
        c.check("HGETALL h", "*8 $a $4 $b $2 $c $x $d $y");
        c.check("HKEYS h", "*4 $a $b $c $d");
        c.check("HVALS h", "*4 $4 $2 $x $y");
        c.check("HSETNX h a 9", ":0");
        c.check("HSETNX h e 9", ":1");
        c.check("HDEL h a nosuch a e", ":2");
        c.check("HDEL h b c d", ":3");
        c.check("EXISTS h", ":0");
        c.check("HDEL h a", ":0");
        c.check("HGETALL h", "*0");
        c.check("HKEYS h", "*0");
        c.check("TYPE h", "+none");
    });
}

#[test]
fn other_types_are_refused() {
    on_both(|c| {
        c.check("SET s v", "+OK");
        c.check("HSET h a 1", ":1");
        let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        for line in [
            "HSET s a 1",
            "HMSET s a 1",
            "HSETNX s a 1",
            "HGET s a",
            "HMGET s a",
            "HDEL s a",
            "HLEN s",
            "HSTRLEN s a",
            "HEXISTS s a",
            "HGETALL s",
            "HKEYS s",
            "HVALS s",
            "HINCRBY s a 1",
            "HINCRBYFLOAT s a 1",
            "HRANDFIELD s",
            "HRANDFIELD s 2",
            "HSCAN s 0",
            "GET h",
            "APPEND h x",
            "INCR h",
            "SETRANGE h 0 x",
            "GETSET h x",
        ] {
            c.check(line, wrong);
        }
        c.check("MGET h s", "*2 $-1 $v");
        c.check("SET h v", "+OK");
        c.check("TYPE h", "+string");
    });
}

#[test]
fn numbers_in_fields_are_added_to() {
    on_both(|c| {
        c.check("HINCRBY h n 5", ":5");
        c.check("HINCRBY h n -7", ":-2");
        c.check(
            "HINCRBY h n 1.5",
            "-ERR value is not an integer or out of range",
        );
        c.check("HSET h t x max 9223372036854775807 f 1.5", ":3");
        c.check("HINCRBY h t 1", "-ERR hash value is not an integer");
        c.check("HINCRBY h f 1", "-ERR hash value is not an integer");
        c.check(
            "HINCRBY h max 1",
            "-ERR increment or decrement would overflow",
        );
        c.check("HGET h max", "$9223372036854775807");
        c.check("HINCRBYFLOAT h f 0.1", "$1.6");
        c.check("HINCRBYFLOAT h n 3", "$1");
        c.check("HINCRBYFLOAT h new 1e3", "$1000");
        c.check("HINCRBYFLOAT h t 1", "-ERR hash value is not a float");
        c.check("HINCRBYFLOAT h n inf", "-ERR value is NaN or Infinity");
        c.check("HINCRBYFLOAT h n abc", "-ERR value is not a valid float");
        c.check(
            "HINCRBYFLOAT nosuch n abc",
            "-ERR value is not a valid float",
        );
        c.check("EXISTS nosuch", ":0");
    });
}

#[test]
fn encodings_follow_the_limits() {
    on_both(|c| {
        c.check(
            "CONFIG SET hash-max-listpack-entries 3 hash-max-ziplist-value 5",
            "+OK",
        );
        c.check("HSET h a 1 b 2 c 3", ":3");
        c.check("OBJECT ENCODING h", "$listpack");
        c.check("HSET h a 12345", ":0");
        c.check("OBJECT ENCODING h", "$listpack");
        c.check("HSET h d 4", ":1");
        c.check("OBJECT ENCODING h", "$hashtable");
        c.check("HDEL h a b c", ":3");
        c.check("OBJECT ENCODING h", "$hashtable");
        c.check("HSET i a 123456", ":1");
        c.check("OBJECT ENCODING i", "$hashtable");
        c.check("HSET j 123456 a", ":1");
        c.check("OBJECT ENCODING j", "$hashtable");
        c.check("HSETNX k a 123456", ":1");
        c.check("OBJECT ENCODING k", "$hashtable");
        c.check("HINCRBYFLOAT l a 1.234567", "$1.234567");
        c.check("OBJECT ENCODING l", "$hashtable");
    });
}

#[test]
fn random_fields() {
    on_both(|c| {
        c.check("HSET h a 1", ":1");
        c.check("HRANDFIELD h", "$a");
        c.check("HRANDFIELD nosuch", "$-1");
        c.check("HRANDFIELD nosuch 3", "*0");
        c.check("HRANDFIELD h 0", "*0");
        c.check("HRANDFIELD h 5", "*1 $a");
        c.check("HRANDFIELD h -2", "*2 $a $a");
        c.check("HRANDFIELD h 5 WITHVALUES", "*2 $a $1");
        c.check("HRANDFIELD h -2 withvalues", "*4 $a $1 $a $1");
        c.check(
            "HRANDFIELD h x",
            "-ERR value is not an integer or out of range",
        );
        c.check("HRANDFIELD h 1 nosuch", "-ERR syntax error");
        c.check("HRANDFIELD h 1 WITHVALUES x", "-ERR syntax error");
        c.check(
            "HRANDFIELD h -9223372036854775808",
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        );
        c.check(
            "HRANDFIELD h -9223372036854775807 WITHVALUES",
            "-ERR value is out of range",
        );
        c.ask("HELLO 3");
        c.check("HRANDFIELD h 1 WITHVALUES", "*1 *2 $a $1");
        c.check("HGETALL h", "%1 $a $1");
        c.check("HGETALL nosuch", "%0");
        c.check("HRANDFIELD nosuch", "_");
    });
}

#[test]
fn distinct_random_fields_of_a_big_hash() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    for i in 0..2000 {
        c.check(&format!("HSET h field:{i} {i}"), ":1");
    }
    for count in [3, 600, 700, 1999, 2000] {
        let fields = c.ask(&format!("HRANDFIELD h {count}"));
        let mut fields: Vec<&str> = fields.split(' ').skip(1).collect();
        fields.sort_unstable();
        fields.dedup();
        assert_eq!(fields.len(), count);
    }
}

#[test]
fn scanning_fields() {
    on_both(|c| {
        c.check("HSET h a 1 b 2 ab 3", ":3");
        c.check("HSCAN h 0", "*2 $0 *6 $a $1 $b $2 $ab $3");
        c.check("HSCAN h 0 MATCH a*", "*2 $0 *4 $a $1 $ab $3");
        c.check("HSCAN h 0 MATCH nosuch COUNT 100", "*2 $0 *0");
        c.check("HSCAN nosuch 0", "*2 $0 *0");
        c.check("HSCAN nosuch x", "-ERR invalid cursor");
        c.check("HSCAN nosuch 0 nosuch", "*2 $0 *0");
        c.check("HSCAN h 0 nosuch", "-ERR syntax error");
        c.check("HSCAN h 0 COUNT 0", "-ERR syntax error");
        c.check(
            "HSCAN h 0 COUNT x",
            "-ERR value is not an integer or out of range",
        );
        c.check("HSCAN h 0 TYPE hash", "-ERR syntax error");
    });
}

#[test]
fn big_hashes_are_scanned_copied_and_freed() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    for i in 0..3000 {
        c.check(&format!("HSET h field:{i} {i}"), ":1");
    }
    let (mut cursor, mut seen) = ("0".to_owned(), std::collections::HashSet::new());
    loop {
        let reply = c.ask(&format!("HSCAN h {cursor} COUNT 50"));
        let mut words = reply.split(' ').skip(1).map(|word| word[1..].to_owned());
        cursor = words.next().unwrap();
        let pairs: Vec<String> = words.skip(1).collect();
        seen.extend(pairs.chunks(2).map(|pair| pair[0].clone()));
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 3000);
    c.check("COPY h i", ":1");
    c.check("HGET i field:2999", "$2999");
    c.check("RENAME i j", "+OK");
    c.check("HLEN j", ":3000");
    c.check("DEL h", ":1");
    c.check("HGET j field:17", "$17");
}
