//! Stream commands. Where there is a redis-server to ask, every transcript is
//! checked against it too.

use super::support::{Client, Server};

const SMALL_BLOCKS: &[&str] = &["--stream-node-max-entries", "2"];

/// Runs a transcript on our server and on the real one, with streams of one
/// block and with streams of many.
fn on_both(transcript: impl Fn(&mut Client)) {
    for args in [&[], SMALL_BLOCKS] {
        transcript(&mut Server::start(args).connect());
        if let Some(oracle) = Server::start_oracle(args) {
            transcript(&mut oracle.connect());
        }
    }
}

const INVALID_ID: &str = "-ERR Invalid stream ID specified as stream command argument";

#[test]
fn entries_are_added_in_order() {
    on_both(|c| {
        c.check("XADD s 1-1 f v", "$1-1");
        c.check("XADD s 1-* f w g 7", "$1-2");
        c.check("XADD s 3 h x", "$3-0");
        c.check(
            "XADD s 3-0 h x",
            "-ERR The ID specified in XADD is equal or smaller than the target stream top item",
        );
        c.check(
            "XADD s 0-0 h x",
            "-ERR The ID specified in XADD must be greater than 0-0",
        );
        c.check("XADD s 1-1-1 h x", INVALID_ID);
        c.check("XADD s MAXLEN 1 word f v", INVALID_ID);
        c.check(
            "XADD s 9-9 f",
            "-ERR wrong number of arguments for 'xadd' command",
        );
        c.check("XADD none NOMKSTREAM * f v", "$-1");
        c.check("EXISTS none", ":0");
        c.check("XLEN s", ":3");
        c.check(
            "XRANGE s - +",
            "*3 *2 $1-1 *2 $f $v *2 $1-2 *4 $f $w $g $7 *2 $3-0 *2 $h $x",
        );
        c.check(
            "XADD end 18446744073709551615-18446744073709551615 f v",
            "$18446744073709551615-18446744073709551615",
        );
        c.check(
            "XADD end * f v",
            "-ERR The stream has exhausted the last possible ID, unable to add more items",
        );
        c.check("SET str x", "+OK");
        c.check(
            "XADD str * f v",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        c.check("TYPE s", "+stream");
        c.check("OBJECT ENCODING s", "$stream");
    });
}

#[test]
fn ranges_have_bounds_that_may_be_left_out() {
    on_both(|c| {
        for id in ["1-0", "1-1", "2-0", "3-5"] {
            c.check(&format!("XADD s {id} f v"), &format!("${id}"));
        }
        c.check("XRANGE s 1 1", "*2 *2 $1-0 *2 $f $v *2 $1-1 *2 $f $v");
        c.check("XRANGE s (1-1 3-4", "*1 *2 $2-0 *2 $f $v");
        c.check("XREVRANGE s + (1-1 COUNT 1", "*1 *2 $3-5 *2 $f $v");
        c.check(
            "XREVRANGE s 2 -",
            "*3 *2 $2-0 *2 $f $v *2 $1-1 *2 $f $v *2 $1-0 *2 $f $v",
        );
        c.check("XRANGE s - + COUNT 0", "*-1");
        c.check("XRANGE s - + COUNT -3", "*-1");
        c.check("XRANGE none - + COUNT 0", "*0");
        c.check("XRANGE s + -", "*0");
        c.check("XRANGE s (- +", INVALID_ID);
        c.check(
            "XRANGE s (18446744073709551615-18446744073709551615 +",
            "-ERR invalid start ID for the interval",
        );
        c.check("XRANGE s - (0-0", "-ERR invalid end ID for the interval");
        c.check("XRANGE s - + COUNT", "-ERR syntax error");
    });
}

#[test]
fn entries_are_deleted_and_streams_shortened() {
    on_both(|c| {
        for number in 1..=9 {
            c.check(&format!("XADD s {number}-0 f v"), &format!("${number}-0"));
        }
        c.check("XDEL s 2-0 2-0 7-7", ":1");
        c.check("XDEL s 1-0 word", INVALID_ID);
        c.check("XLEN s", ":8");
        c.check("XTRIM s MAXLEN 6", ":2");
        c.check("XTRIM s MINID = 5", ":1");
        c.check("XRANGE s - + COUNT 1", "*1 *2 $5-0 *2 $f $v");
        c.check("XADD s MAXLEN 2 10-0 f v", "$10-0");
        c.check("XLEN s", ":2");
        c.check(
            "XTRIM s MAXLEN 1 LIMIT 3",
            "-ERR syntax error, LIMIT cannot be used without the special ~ option",
        );
        c.check(
            "XTRIM s LIMIT 3",
            "-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
        );
        c.check(
            "XTRIM s MAXLEN 1 MINID 3",
            "-ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
        );
        c.check(
            "XTRIM s MAXLEN -1",
            "-ERR The MAXLEN argument must be >= 0.",
        );
        c.check("XTRIM s word 1", "-ERR syntax error");
        c.check("XDEL s 9-0 10-0", ":2");
        // Nothing is in it, but what it was is remembered.
        c.check("XLEN s", ":0");
        c.check("EXISTS s", ":1");
        c.check(
            "XADD s 10-0 f v",
            "-ERR The ID specified in XADD is equal or smaller than the target stream top item",
        );
    });
}

#[test]
fn about_so_many_entries_are_kept_by_whole_blocks() {
    let story = |c: &mut Client| {
        for number in 1..=9 {
            c.check(&format!("XADD s {number}-0 f v"), &format!("${number}-0"));
        }
        c.check("XTRIM s MAXLEN ~ 4", ":4");
        c.check("XTRIM s MINID ~ 7-0 LIMIT 1", ":0");
        c.check("XTRIM s MINID ~ 7-0 LIMIT 0", ":2");
        c.check("XLEN s", ":3");
    };
    story(&mut Server::start(SMALL_BLOCKS).connect());
    if let Some(oracle) = Server::start_oracle(SMALL_BLOCKS) {
        story(&mut oracle.connect());
    }
}

#[test]
fn groups_remember_what_is_not_acknowledged() {
    on_both(|c| {
        c.check("XGROUP CREATE s g $ MKSTREAM", "+OK");
        c.check(
            "XGROUP CREATE s g 0",
            "-BUSYGROUP Consumer Group name already exists",
        );
        for id in ["1-0", "2-0", "3-0"] {
            c.check(&format!("XADD s {id} f v"), &format!("${id}"));
        }
        c.check(
            "XREADGROUP GROUP g ann COUNT 2 STREAMS s >",
            "*1 *2 $s *2 *2 $1-0 *2 $f $v *2 $2-0 *2 $f $v",
        );
        c.check(
            "XREADGROUP GROUP g bob STREAMS s >",
            "*1 *2 $s *1 *2 $3-0 *2 $f $v",
        );
        c.check("XREADGROUP GROUP g bob STREAMS s >", "*-1");
        c.check("XPENDING s g", "*4 :3 $1-0 $3-0 *2 *2 $ann $2 *2 $bob $1");
        c.check("XACK s g 1-0 1-0 9-9", ":1");
        c.check("XDEL s 2-0", ":1");
        // What was deleted is still pending, without its fields.
        c.check(
            "XREADGROUP GROUP g ann STREAMS s 0",
            "*1 *2 $s *1 *2 $2-0 *-1",
        );
        c.check("XCLAIM s g ann 0 2-0 3-0 JUSTID", "*1 $3-0");
        c.check("XPENDING s g", "*4 :1 $3-0 $3-0 *1 *2 $ann $1");
        c.check(
            "XCLAIM s g cid 0 1-0 FORCE RETRYCOUNT 5",
            "*1 *2 $1-0 *2 $f $v",
        );
        c.check(
            "XAUTOCLAIM s g bob 0 0 COUNT 1 JUSTID",
            "*3 $3-0 *1 $1-0 *0",
        );
        c.check("XDEL s 3-0", ":1");
        c.check("XAUTOCLAIM s g bob 0 3-0", "*3 $0-0 *0 *1 $3-0");
        c.check("XGROUP DELCONSUMER s g bob", ":1");
        c.check("XPENDING s g", "*4 :0 $-1 $-1 *-1");
        c.check("XPENDING s g - + 10 nobody", "*0");
        c.check("XGROUP CREATECONSUMER s g dan", ":1");
        c.check("XGROUP CREATECONSUMER s g dan", ":0");
        c.check("XGROUP DESTROY s g", ":1");
        c.check("XGROUP DESTROY s g", ":0");
        c.check("XACK s g 1-0", ":0");
    });
}

#[test]
fn groups_that_are_not_there_are_named() {
    on_both(|c| {
        c.check("XADD s 1-0 f v", "$1-0");
        c.check(
            "XREADGROUP GROUP g ann STREAMS s >",
            "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option",
        );
        c.check(
            "XPENDING s g",
            "-NOGROUP No such key 's' or consumer group 'g'",
        );
        c.check(
            "XGROUP SETID s g 0",
            "-NOGROUP No such consumer group 'g' for key name 's'",
        );
        c.check(
            "XGROUP CREATE none g 0",
            "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may \
             want to use the MKSTREAM option to create an empty stream automatically.",
        );
        c.check(
            "XGROUP CREATE s g 0 word",
            "-ERR unknown subcommand or wrong number of arguments for 'CREATE'. Try XGROUP HELP.",
        );
        c.check(
            "XCLAIM s g ann 0 1-0",
            "-NOGROUP No such key 's' or consumer group 'g'",
        );
        c.check("XINFO STREAM none", "-ERR no such key");
        c.check(
            "XINFO STREAM s word",
            "-ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.",
        );
        c.check("XGROUP CREATE s g 0", "+OK");
        c.check(
            "XCLAIM s g ann 0 1-0 WORD",
            "-ERR Unrecognized XCLAIM option 'WORD'",
        );
        c.check(
            "XREAD GROUP g ann STREAMS s 0",
            "-ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
        );
    });
}

#[test]
fn lag_is_told_where_it_is_known() {
    on_both(|c| {
        for id in ["1-0", "2-0", "3-0", "4-0", "5-0"] {
            c.check(&format!("XADD s {id} f v"), &format!("${id}"));
        }
        let group = |rest: &str| format!("*1 *12 $name $g $consumers :1 $pending {rest}");
        c.check("XGROUP CREATE s g 0", "+OK");
        c.ask("XREADGROUP GROUP g ann COUNT 1 STREAMS s >");
        let one = group(":1 $last-delivered-id $1-0 $entries-read :1 $lag :4");
        c.check("XINFO GROUPS s", &one);
        c.check("XDEL s 3-0", ":1");
        let unknown = group(":1 $last-delivered-id $1-0 $entries-read :1 $lag $-1");
        c.check("XINFO GROUPS s", &unknown);
        c.ask("XREADGROUP GROUP g ann STREAMS s >");
        let all = group(":4 $last-delivered-id $5-0 $entries-read :5 $lag :0");
        c.check("XINFO GROUPS s", &all);
        c.check("XSETID s 5-0 ENTRIESADDED 100 MAXDELETEDID 3-0", "+OK");
        let more = group(":4 $last-delivered-id $5-0 $entries-read :5 $lag :95");
        c.check("XINFO GROUPS s", &more);
        c.check(
            "XSETID s 4-0",
            "-ERR The ID specified in XSETID is smaller than the target stream top item",
        );
    });
}

#[test]
fn streams_are_maps_in_resp3() {
    on_both(|c| {
        c.ask("HELLO 3");
        c.check("XADD s 1-0 f v", "$1-0");
        c.check("XREAD STREAMS s 0", "%1 $s *1 *2 $1-0 *2 $f $v");
        c.check("XREAD STREAMS s $", "_");
        c.check(
            "XINFO STREAM s",
            "%10 $length :1 $radix-tree-keys :1 $radix-tree-nodes :2 $last-generated-id $1-0 \
             $max-deleted-entry-id $0-0 $entries-added :1 $recorded-first-entry-id $1-0 $groups \
             :0 $first-entry *2 $1-0 *2 $f $v $last-entry *2 $1-0 *2 $f $v",
        );
    });
}

#[test]
fn scripts_do_not_wait() {
    on_both(|c| {
        c.check("XGROUP CREATE s g 0 MKSTREAM", "+OK");
        let denied = "-ERR XREAD command is not allowed with BLOCK option from scripts";
        let mut run = |call: &str| {
            let words: Vec<&str> = call.split(' ').collect();
            let script = "return redis.pcall(unpack(ARGV))";
            c.command(&[&["EVAL", script, "1", "s"], &words[..]].concat());
            c.reply()
        };
        assert_eq!(run("XREAD BLOCK 0 STREAMS s $"), denied);
        assert_eq!(run("XREAD BLOCK word STREAMS s $"), denied);
        assert_eq!(run("XREAD COUNT 1 BLOCK 1 STREAMS s 0"), denied);
        assert_eq!(
            run("xReadGroup GROUP g ann BLOCK 0 STREAMS s >"),
            "-ERR xReadGroup command is not allowed with BLOCK option from scripts"
        );
        assert_eq!(run("XREADGROUP GROUP g ann STREAMS s >"), "$-1");
        assert_eq!(run("XREAD STREAMS s $"), "$-1");
    });
}

/// Since Redis 7.4.
#[test]
fn the_last_entry_is_read() {
    let server = Server::start(SMALL_BLOCKS);
    let (mut c, mut other) = (server.connect(), server.connect());
    c.check("XREAD STREAMS s +", "*-1");
    for id in ["1-0", "2-0", "3-0", "3-1"] {
        c.check(&format!("XADD s {id} f {id}"), &format!("${id}"));
    }
    c.check("XREAD STREAMS s +", "*1 *2 $s *1 *2 $3-1 *2 $f $3-1");
    c.check(
        "XREAD COUNT 5 BLOCK 0 STREAMS s +",
        "*1 *2 $s *1 *2 $3-1 *2 $f $3-1",
    );
    c.check("XDEL s 3-1", ":1");
    c.check("XADD t 7-7 f v", "$7-7");
    c.check(
        "XREAD STREAMS none s t + + +",
        "*2 *2 $s *1 *2 $3-0 *2 $f $3-0 *2 $t *1 *2 $7-7 *2 $f $v",
    );
    // Where there is none, it waits for one.
    c.check("XTRIM t MAXLEN 0", ":1");
    c.check("XREAD STREAMS t +", "*-1");
    let id = c.id();
    c.command(&["XREAD", "BLOCK", "0", "STREAMS", "t", "+"]);
    crate::support::wait("the reader to wait", || {
        (other.field_of(id, "flags") == "b").then_some(())
    });
    other.check("XADD t 8-0 f v", "$8-0");
    c.check_reply("*1 *2 $t *1 *2 $8-0 *2 $f $v");
    c.check(
        "XREADGROUP GROUP g ann STREAMS s +",
        "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option",
    );
    c.check("XGROUP CREATE s g 0", "+OK");
    c.check("XREADGROUP GROUP g ann STREAMS s +", INVALID_ID);
}

/// Since Redis 7.2, behind what 7.0 has.
#[test]
fn when_consumers_were_given_something_is_told() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.check("XGROUP CREATE s g 0 MKSTREAM", "+OK");
    c.check("XGROUP CREATECONSUMER s g ann", ":1");
    let field = |c: &mut Client, ask: &str, consumer: &str, name: &str| -> i64 {
        let reply = c.ask(ask);
        let words: Vec<&str> = reply.split(' ').collect();
        let consumer = words
            .iter()
            .rposition(|word| *word == format!("${consumer}"));
        let rest = &words[consumer.expect("the consumer")..];
        let at = rest.iter().position(|word| *word == format!("${name}"));
        rest[at.expect("the field") + 1][1..]
            .parse()
            .expect("a number")
    };
    let inactive = |c: &mut Client, name: &str| field(c, "XINFO CONSUMERS s g", name, "inactive");
    let idle = |c: &mut Client, name: &str| field(c, "XINFO CONSUMERS s g", name, "idle");
    let active = |c: &mut Client, name: &str| field(c, "XINFO STREAM s FULL", name, "active-time");
    assert_eq!((inactive(&mut c, "ann"), active(&mut c, "ann")), (-1, -1));
    // Nothing is pending for it, nothing is given.
    c.check("XREADGROUP GROUP g ann STREAMS s 0", "*1 *2 $s *0");
    assert_eq!(inactive(&mut c, "ann"), -1);
    c.check("XADD s 1-0 f v", "$1-0");
    c.check(
        "XREADGROUP GROUP g ann STREAMS s >",
        "*1 *2 $s *1 *2 $1-0 *2 $f $v",
    );
    assert!((0..5000).contains(&inactive(&mut c, "ann")));
    let since = active(&mut c, "ann");
    assert!(since > 1_700_000_000_000);
    // Only asking is not being given something.
    std::thread::sleep(std::time::Duration::from_millis(60));
    c.check("XREADGROUP GROUP g ann STREAMS s 5", "*1 *2 $s *0");
    assert_eq!(active(&mut c, "ann"), since);
    assert!(inactive(&mut c, "ann") >= 60 && idle(&mut c, "ann") < inactive(&mut c, "ann"));
    c.check("XCLAIM s g bob 1000000 1-0", "*0");
    c.check("XCLAIM s g bob 0 1-0 JUSTID", "*1 $1-0");
    assert!(active(&mut c, "bob") >= since + 60);
    // Without acknowledgement, nothing is given to the consumer to keep.
    c.check("XADD s 2-0 f v", "$2-0");
    c.check(
        "XREADGROUP GROUP g cid NOACK STREAMS s >",
        "*1 *2 $s *1 *2 $2-0 *2 $f $v",
    );
    assert_eq!(inactive(&mut c, "cid"), -1);
}
