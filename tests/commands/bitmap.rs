//! Bitmap commands; every transcript is checked against redis-server too, where
//! there is one.

use super::support::{Client, Server};

fn on_both(transcript: impl Fn(&mut Client)) {
    transcript(&mut Server::start(&[]).connect());
    if let Some(oracle) = Server::start_oracle(&[]) {
        transcript(&mut oracle.connect());
    }
}

/// How often something changed so far.
fn changes(c: &mut Client) -> u64 {
    let info = c.ask("INFO persistence");
    let name = "rdb_changes_since_last_save:";
    let line = info.lines().find_map(|line| line.strip_prefix(name));
    line.expect("a counter of changes").trim().parse().unwrap()
}

/// Checks a reply, and how many changes the command counts as.
#[track_caller]
fn check_changes(c: &mut Client, words: &str, expected: &str, count: u64) {
    let before = changes(c);
    c.check(words, expected);
    assert_eq!(changes(c) - before, count, "changes by {words}");
}

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const BAD_OFFSET: &str = "-ERR bit offset is not an integer or out of range";
const BAD_BIT: &str = "-ERR bit is not an integer or out of range";
const BAD_NUMBER: &str = "-ERR value is not an integer or out of range";
const SYNTAX: &str = "-ERR syntax error";

#[test]
fn bits_are_set_and_read() {
    on_both(|c| {
        c.check("SETBIT k 1 1", ":0");
        c.check("GET k", "$@");
        c.check("SETBIT k 1 1", ":1");
        c.check("SETBIT k 2 1", ":0");
        c.check("SETBIT k 1 0", ":1");
        c.check("GET k", "$ ");
        c.check("SETBIT k 23 1", ":0");
        c.check("GET k", "$ \0\x01");
        c.check("GETBIT k 23", ":1");
        c.check("GETBIT k 22", ":0");
        c.check("GETBIT k 24", ":0");
        c.check("GETBIT k 4294967295", ":0");
        c.check("GETBIT nosuch 0", ":0");
        c.check("SETBIT zeros 100 0", ":0");
        c.check("STRLEN zeros", ":13");
        c.check("SET n 123", "+OK");
        c.check("GETBIT n 2", ":1");
        c.check("GETBIT n 24", ":0");
        c.check("OBJECT ENCODING n", "$int");
        c.check("SETBIT n 3 0", ":1");
        c.check("GET n", "$!23");
    });
}

#[test]
fn offsets_and_bits_have_limits() {
    on_both(|c| {
        for offset in [
            "-1",
            "x",
            "#1",
            "1.5",
            "4294967296",
            "9223372036854775807",
            "\"\"",
        ] {
            c.check(&format!("SETBIT k {offset} 1"), BAD_OFFSET);
            c.check(&format!("GETBIT k {offset}"), BAD_OFFSET);
        }
        for bit in ["-1", "2", "x", "01", "\"\""] {
            c.check(&format!("SETBIT k 0 {bit}"), BAD_BIT);
        }
        c.check("SETBIT k x 2", BAD_OFFSET);
        c.check("EXISTS k", ":0");
        c.check("CONFIG SET proto-max-bulk-len 1mb", "+OK");
        c.check("SETBIT k 8388607 1", ":0");
        c.check("SETBIT k 8388608 1", BAD_OFFSET);
        c.check("BITFIELD k GET u8 8388608", BAD_OFFSET);
        c.check("BITFIELD k GET u8 #1048575", "*1 :1");
        // An integer may begin in the last byte and end behind it.
        c.check("BITFIELD k SET i64 8388607 -1", "*1 :-9223372036854775808");
        c.check("STRLEN k", ":1048584");
    });
}

#[test]
fn other_types_are_refused() {
    on_both(|c| {
        c.check("HSET h f v", ":1");
        for line in [
            "SETBIT h 0 1",
            "GETBIT h 0",
            "BITCOUNT h",
            "BITCOUNT h x y nosuch",
            "BITPOS h 1",
            "BITPOS h 1 x y nosuch",
            "BITOP AND d h",
            "BITOP NOT d h",
            "BITOP OR d nosuch h",
            "BITFIELD h",
            "BITFIELD h GET u8 0",
            "BITFIELD h SET u8 0 1",
            "BITFIELD_RO h GET u8 0",
        ] {
            c.check(line, WRONG_TYPE);
        }
        c.check("SETBIT h 0 2", BAD_BIT);
        c.check("BITPOS h 2", "-ERR The bit argument must be 1 or 0.");
        c.check("SET s x", "+OK");
        c.check("BITOP AND h s", ":1");
        c.check("TYPE h", "+string");
    });
}

#[test]
fn only_changes_count() {
    on_both(|c| {
        check_changes(c, "SETBIT k 0 0", ":0", 1);
        check_changes(c, "SETBIT k 0 0", ":0", 0);
        check_changes(c, "SETBIT k 0 1", ":0", 1);
        check_changes(c, "SETBIT k 15 0", ":0", 1);
        check_changes(c, "BITFIELD k GET u8 0", "*1 :128", 0);
        check_changes(c, "BITFIELD k SET u8 0 128 GET u8 0", "*2 :128 :128", 0);
        check_changes(c, "BITFIELD k SET u8 0 1 INCRBY u8 0 1", "*2 :128 :2", 2);
        check_changes(c, "BITFIELD k SET u8 16 0 SET u8 0 2", "*2 :0 :2", 2);
        check_changes(c, "BITFIELD k OVERFLOW FAIL INCRBY u8 0 255", "*1 $-1", 0);
        check_changes(c, "BITFIELD new OVERFLOW FAIL SET u1 9 2", "*1 $-1", 0);
        c.check("STRLEN new", ":2");
        check_changes(c, "BITFIELD nosuch GET u8 0", "*1 :0", 0);
        c.check("EXISTS nosuch", ":0");
        check_changes(c, "BITOP NOT k k", ":3", 1);
        check_changes(c, "BITOP NOT k nosuch", ":0", 1);
        check_changes(c, "BITOP NOT k nosuch", ":0", 0);
    });
}

#[test]
fn written_bitmaps_are_raw() {
    on_both(|c| {
        for write in [
            "SETBIT k 3 0",
            "SETBIT k 3 1",
            "BITFIELD k SET u8 0 49",
            "BITFIELD k OVERFLOW FAIL SET u8 0 256",
            "BITOP OR k k",
        ] {
            for (value, encoding) in [("12", "$int"), ("1x", "$embstr")] {
                c.check(&format!("SET k {value}"), "+OK");
                c.check("OBJECT ENCODING k", encoding);
                c.check("GETBIT k 3", ":1");
                c.check("BITFIELD k GET u8 0", "*1 :49");
                c.check("BITFIELD_RO k GET u8 0", "*1 :49");
                c.check("BITCOUNT k 0 0", ":3");
                c.check("OBJECT ENCODING k", encoding);
                c.ask(write);
                c.check("OBJECT ENCODING k", "$raw");
            }
        }
        c.check("SETBIT new 0 1", ":0");
        c.check("OBJECT ENCODING new", "$raw");
    });
}

#[test]
fn expiries_stay_or_go() {
    on_both(|c| {
        c.check("SETEX k 1000 abc", "+OK");
        c.check("SETBIT k 0 1", ":0");
        c.check("BITFIELD k SET u8 0 1", "*1 :225");
        c.check("PERSIST k", ":1");
        c.check("SETEX k 1000 abc", "+OK");
        c.check("BITOP OR k k", ":3");
        c.check("PERSIST k", ":0");
    });
}

#[test]
fn ones_are_counted() {
    on_both(|c| {
        c.check("SET k foobar", "+OK");
        for (part, count) in [
            ("", 26),
            ("0 0", 4),
            ("1 1", 6),
            ("1 -2", 18),
            ("-2 1000", 7),
            ("5 30 BYTE", 4),
            ("5 30 bit", 17),
            ("0 -1 BIT", 26),
            ("-8 -1 BIT", 4),
            ("1 1 BIT", 1),
            ("3 2 BIT", 0),
            ("0 -100", 4),
            ("-100 -90", 4),
            ("100 200", 0),
            ("-1 -2", 0),
            ("-1 -2 nosuch", 0),
            ("-9223372036854775808 9223372036854775807 BIT", 26),
        ] {
            c.check(&format!("BITCOUNT k {part}"), &format!(":{count}"));
        }
        c.check("SET n 1234", "+OK");
        c.check("BITCOUNT n", ":13");
        c.check("SET empty \"\"", "+OK");
        c.check("BITCOUNT empty", ":0");
        c.check("BITCOUNT empty 0 -1 BIT", ":0");
        c.check("BITCOUNT k 0", SYNTAX);
        c.check("BITCOUNT k 0 1 nosuch", SYNTAX);
        c.check("BITCOUNT k 0 1 BIT BIT", SYNTAX);
        c.check("BITCOUNT k x 1 nosuch", BAD_NUMBER);
        c.check("BITCOUNT k 0 x nosuch", BAD_NUMBER);
        // There is nothing in a missing key, whatever is asked.
        c.check("BITCOUNT nosuch", ":0");
        c.check("BITCOUNT nosuch 0", ":0");
        c.check("BITCOUNT nosuch x y z w", ":0");
    });
}

#[test]
fn the_first_one_or_zero_is_found() {
    on_both(|c| {
        c.check(r#"SET k "\xff\xf0\x00""#, "+OK");
        c.check(r#"SET ones "\xff\xff\xff""#, "+OK");
        c.check(r#"SET zeros "\x00\x00\x00""#, "+OK");
        c.check("SET empty \"\"", "+OK");
        for (words, position) in [
            ("k 0", 12),
            ("k 1", 0),
            ("k 1 1", 8),
            ("k 1 2", -1),
            ("k 0 2", 16),
            ("k 0 0 0", -1),
            ("k 0 0 1 BYTE", 12),
            ("k 0 0 11 BIT", -1),
            ("k 0 0 12 bit", 12),
            ("k 1 12 -1 BIT", -1),
            ("k 1 -13 -12 BIT", 11),
            ("k 0 13 15 BIT", 13),
            ("k 0 2 1", -1),
            ("k 0 3", -1),
            ("k 0 -100 -50", -1),
            ("k 1 -100 -50", 0),
            ("ones 0", 24),
            ("ones 0 1", 24),
            ("ones 0 3", -1),
            ("ones 0 0 -1", -1),
            ("ones 0 0 -1 BIT", -1),
            ("ones 1 9 9 BIT", 9),
            ("zeros 1", -1),
            ("zeros 1 0 -1 BIT", -1),
            ("zeros 0 -1", 16),
            ("empty 0", -1),
            ("empty 1", -1),
            ("empty 0 0", -1),
            ("nosuch 0", 0),
            ("nosuch 1", -1),
            ("nosuch 0 x y z w", 0),
        ] {
            c.check(&format!("BITPOS {words}"), &format!(":{position}"));
        }
        c.check("BITPOS k x", BAD_NUMBER);
        c.check("BITPOS nosuch x", BAD_NUMBER);
        for bit in ["2", "-1"] {
            let error = "-ERR The bit argument must be 1 or 0.";
            c.check(&format!("BITPOS nosuch {bit}"), error);
        }
        c.check("BITPOS k 0 x", BAD_NUMBER);
        c.check("BITPOS k 0 x 1 nosuch", BAD_NUMBER);
        c.check("BITPOS k 0 1 x nosuch", SYNTAX);
        c.check("BITPOS k 0 1 x BIT", BAD_NUMBER);
        c.check("BITPOS k 0 1 2 BIT BIT", SYNTAX);
    });
}

#[test]
fn strings_are_combined() {
    on_both(|c| {
        c.check("MSET a abcdef b ABC n 12", "+OK");
        c.check("BITOP AND d a b", ":6");
        c.check("GET d", "$ABC\0\0\0");
        c.check("BITOP or d a b", ":6");
        c.check("GET d", "$abcdef");
        c.check("BITOP XOR d b a", ":6");
        c.check("GET d", "$   def");
        c.check("BITOP XOR d d d", ":6");
        c.check("GET d", "$\0\0\0\0\0\0");
        c.check("BITOP NOT d d", ":6");
        c.check("BITCOUNT d", ":48");
        c.check("BITOP AND d n d", ":6");
        c.check("GET d", "$12\0\0\0\0");
        c.check("BITOP AND d a nosuch", ":6");
        c.check("BITCOUNT d", ":0");
        c.check("BITOP OR d nosuch a", ":6");
        c.check("GET d", "$abcdef");
        c.check("BITOP OR d n", ":2");
        c.check("GET d", "$12");
        c.check("OBJECT ENCODING d", "$raw");
        c.check("INCR d", ":13");
        c.check("BITOP AND d nosuch", ":0");
        c.check("EXISTS d", ":0");
        c.check("SET empty \"\"", "+OK");
        c.check("BITOP NOT d empty", ":0");
        c.check("EXISTS d", ":0");
        c.check(
            "BITOP NOT d a b",
            "-ERR BITOP NOT must be called with a single source key.",
        );
        c.check("BITOP NAND d a b", SYNTAX);
        c.check(
            "BITOP NAND d",
            "-ERR wrong number of arguments for 'bitop' command",
        );
    });
}

#[test]
fn lookups_count_as_reads_or_not() {
    on_both(|c| {
        c.check("SET k x", "+OK");
        c.check("CONFIG RESETSTAT", "+OK");
        let mut expect = |words: &str, hits: u64, misses: u64| {
            c.check("CONFIG RESETSTAT", "+OK");
            c.ask(words);
            let info = c.ask("INFO stats");
            let expected = format!("keyspace_hits:{hits}\r\nkeyspace_misses:{misses}\r\n");
            assert!(info.contains(&expected), "{words}: {info}");
        };
        expect("GETBIT k 0", 1, 0);
        expect("SETBIT k 0 1", 0, 0);
        expect("BITCOUNT nosuch", 0, 1);
        expect("BITPOS k 1", 1, 0);
        expect("BITOP OR d k k nosuch", 2, 1);
        expect("BITFIELD k GET u8 0", 1, 0);
        expect("BITFIELD nosuch", 0, 1);
        expect("BITFIELD k GET u8 0 SET u8 0 1", 0, 0);
        expect("BITFIELD_RO k GET u8 0", 1, 0);
    });
}

#[test]
fn integers_in_bitmaps() {
    on_both(|c| {
        c.check("BITFIELD k", "*0");
        c.check("BITFIELD_RO k", "*0");
        c.check("BITFIELD k SET i8 0 -100 SET i8 #1 101", "*2 :0 :0");
        c.check("BITFIELD k GET i8 0 GET u8 0 get I8 0", BAD_TYPE);
        c.check(
            "BITFIELD k GET i8 0 GET u8 0 GET i8 #1",
            "*3 :-100 :156 :101",
        );
        c.check("BITFIELD k INCRBY i8 0 -100", "*1 :56");
        c.check(
            "BITFIELD k GET u63 0 GET i64 0 GET u5 13",
            "*3 :2031827119385870336 :4063654238771740672 :20",
        );
        c.check("BITFIELD k GET u8 100 GET i1 1 GET u1 2", "*3 :0 :0 :1");
        c.check("BITFIELD k SET u1 100 1", "*1 :0");
        c.check("STRLEN k", ":13");
        c.check(
            "BITFIELD k SET i64 #0 9223372036854775807",
            "*1 :4063654238771740672",
        );
        c.check(
            "BITFIELD k INCRBY i64 0 1 GET i64 0",
            "*2 :-9223372036854775808 :-9223372036854775808",
        );
        c.check(
            "BITFIELD k INCRBY i64 0 -1 GET u63 1",
            "*2 :9223372036854775807 :9223372036854775807",
        );
        c.check("SET n 12345", "+OK");
        c.check("BITFIELD n INCRBY u8 8 1 GET u8 #4", "*2 :51 :53");
        c.check("GET n", "$13345");
        c.check("BITFIELD_RO n GET u8 0 get i4 4", "*2 :49 :1");
    });
}

const BAD_TYPE: &str = "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is \
                        not supported but i64 is.";

#[test]
fn what_does_not_fit() {
    on_both(|c| {
        for (value, wrapped, nearest) in [
            (100, 100, 100),
            (127, 127, 127),
            (128, -128, 127),
            (300, 44, 127),
            (-128, -128, -128),
            (-129, 127, -128),
            // Redis: so far below that it looks as if it were above.
            (i64::MIN, 0, 127),
            (i64::MAX, -1, 127),
        ] {
            let fits = if wrapped == value { ":0" } else { "$-1" };
            c.ask("DEL k");
            c.check(
                &format!("BITFIELD k OVERFLOW FAIL SET i8 0 {value} SET u8 0 0"),
                &format!(
                    "*2 {fits} :{}",
                    if fits == ":0" { wrapped as u8 } else { 0 }
                ),
            );
            c.check(
                &format!("BITFIELD k SET i8 0 {value} GET i8 0 SET u8 0 0"),
                &format!("*3 :0 :{wrapped} :{}", wrapped as u8),
            );
            c.check(
                &format!("BITFIELD k OVERFLOW SAT SET i8 0 {value} GET i8 0"),
                &format!("*2 :0 :{nearest}"),
            );
        }
        c.check("BITFIELD u SET u8 0 -1 GET u8 0", "*2 :0 :255");
        c.check("BITFIELD u INCRBY u8 0 1 INCRBY u8 0 -1", "*2 :0 :255");
        c.check(
            "BITFIELD u OVERFLOW SAT INCRBY u8 0 9 INCRBY u8 0 -999",
            "*2 :255 :0",
        );
        c.check("BITFIELD u OVERFLOW SAT SET u8 0 -5 GET u8 0", "*2 :0 :255");
        c.check(
            "BITFIELD u OVERFLOW FAIL SET u8 0 -5 OVERFLOW WRAP INCRBY u8 0 1",
            "*2 $-1 :0",
        );
        c.check("BITFIELD u OVERFLOW SAT SET u63 0 -1", "*1 :0");
        c.check("BITFIELD u GET u63 0", "*1 :9223372036854775807");
        c.ask("HELLO 3");
        c.check(
            "BITFIELD u OVERFLOW FAIL INCRBY u63 0 1 GET u1 0",
            "*2 _ :1",
        );
    });
}

#[test]
fn bit_fields_are_judged_before_anything_is_done() {
    on_both(|c| {
        for (words, error) in [
            ("GET", SYNTAX),
            ("GET u8", SYNTAX),
            ("SET u8 0", SYNTAX),
            ("INCRBY u8 0", SYNTAX),
            ("OVERFLOW", SYNTAX),
            ("nosuch u8 0", SYNTAX),
            ("SET u8 0 1 GET u8", SYNTAX),
            (
                "OVERFLOW nosuch SET u8 0 1",
                "-ERR Invalid OVERFLOW type specified",
            ),
            ("GET u64 0", BAD_TYPE),
            ("GET i65 0", BAD_TYPE),
            ("GET u0 x", BAD_TYPE),
            ("GET \"\" 0", BAD_TYPE),
            ("GET u8 -1", BAD_OFFSET),
            ("GET u8 #-1", BAD_OFFSET),
            ("GET u8 #", BAD_OFFSET),
            ("GET u8 ##1", BAD_OFFSET),
            ("GET u8 4294967296", BAD_OFFSET),
            ("GET u8 #536870912", BAD_OFFSET),
            ("SET u8 x x", BAD_OFFSET),
            ("SET u8 0 x", BAD_NUMBER),
            ("SET u8 0 18446744073709551615", BAD_NUMBER),
            ("SET u8 0 1 INCRBY u8 0 x", BAD_NUMBER),
        ] {
            c.check(&format!("BITFIELD k {words}"), error);
            c.check("EXISTS k", ":0");
        }
        // Redis: a zero byte ends the type, and the product of # wraps.
        c.check(r#"BITFIELD k GET "u8\x00x" 0"#, "*1 :0");
        c.check("BITFIELD k GET u4 #4611686018427387904", "*1 :0");
        let read_only = "-ERR BITFIELD_RO only supports the GET subcommand";
        c.check("BITFIELD_RO k SET u8 0 1", read_only);
        c.check("BITFIELD_RO k GET u8 0 INCRBY u8 0 1", read_only);
        c.check("BITFIELD_RO k SET u8 0 x", BAD_NUMBER);
        c.check("BITFIELD_RO k OVERFLOW SAT GET u8 0", "*1 :0");
    });
}

#[test]
fn big_bitmaps_are_written_in_place() {
    on_both(|c| {
        // The last bit of the longest string. What is not written to is not
        // in memory, so this is quick and small.
        c.check("SETBIT k 4294967295 1", ":0");
        c.check("STRLEN k", ":536870912");
        for _ in 0..1000 {
            c.check("SETBIT k 4294967294 1", ":0");
            c.check("SETBIT k 4294967294 0", ":1");
        }
        c.check("GETBIT k 4294967295", ":1");
    });
}
