//! Values that meet the edges: of numbers, of lengths, of encodings.

use std::time::{SystemTime, UNIX_EPOCH};

use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use redstart::command::table::Group;
use redstart::rdb::{Encoder, Kind, payload};

/// Texts that are no integers, or only just.
const ALMOST_INTEGERS: [&str; 14] = [
    "", "-", "+1", "-0", "00", "007", " 1", "1 ", "1.0", "1e3", "0x10", "abc", "1\0", "１",
];

/// Integers at the ends of the types, and of our strings.
const EDGE_INTEGERS: [&str; 22] = [
    "9223372036854775807",
    "9223372036854775808",
    "9223372036854775806",
    "-9223372036854775808",
    "-9223372036854775807",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "4294967295",
    "4294967296",
    "9999",
    "10000",
    "536870911",
    "536870912",
    "9223372036854775",
    "-9223372036854776",
    "99999999999999999999999999999999",
    "1048577",
];

/// Numbers with a fraction, and what looks like one. None so small that it is
/// less exact: as a score, it makes Redis refuse to SORT.
const FLOATS: [&str; 40] = [
    "0",
    "-0",
    "0.0",
    "1",
    "-1",
    "1.5",
    "-1.5",
    "3.14",
    "0.1",
    "0.2",
    "0.3",
    "1e3",
    "1E3",
    "1e-3",
    "5.",
    ".5",
    "-.5",
    "1e308",
    "1e309",
    "-1e308",
    "1e4931",
    "1e4933",
    "1e-307",
    "1e-4940",
    "inf",
    "-inf",
    "+inf",
    "infinity",
    "nan",
    "-nan",
    "0x1p3",
    "0x.8",
    "1.0000000000000002",
    "0.000000000000000001",
    "123456789012345678901234567890",
    "1_000",
    "1e",
    "e1",
    " 1.5",
    "1.7976931348623157e308",
];

const PATTERNS: [&str; 24] = [
    "*",
    "**",
    "",
    "?",
    "??",
    "k*",
    "*1",
    "k?",
    "key:*",
    "key:[0-9]",
    "key:[^0-4]",
    "[a-c]*",
    "*[",
    "[",
    "[a-",
    "\\*",
    "*\\",
    "h?llo",
    "*e*y*",
    "[k-a]*",
    "*:*",
    "[^]*",
    "[]k]*",
    "\\k*",
];

const TYPES: [&str; 9] = [
    "string", "STRING", "list", "set", "zset", "hash", "stream", "none", "nosuch",
];

/// Values as redis-server 7.0.15 dumps them: strings, a list, sets, a sorted
/// set, a hash, a stream.
const PAYLOADS: [&[u8]; 8] = [
    b"\x00\x05\x68\x65\x6c\x6c\x6f\x0a\x00\x63\x72\xdf\x76\x65\x34\x20\x0a",
    b"\x00\xc1\x39\x30\x0a\x00\x9d\x94\xea\x27\x93\xfc\x08\xb9",
    b"\x12\x01\x02\x11\x11\x00\x00\x00\x03\x00\x81\x61\x02\x01\x01\x83\x62\x63\x64\x04\xff\x0a\x00\x99\x58\x30\x8b\x15\x3f\xf4\x8e",
    b"\x0b\x0e\x02\x00\x00\x00\x03\x00\x00\x00\x01\x00\x02\x00\x03\x00\x0a\x00\xa5\x02\x5c\xe2\x6d\x6e\x4d\x1b",
    b"\x02\x01\x01\x61\x0a\x00\x62\x96\xe9\x7e\x44\xd2\x1a\x6d",
    b"\x11\x14\x14\x00\x00\x00\x04\x00\x81\x61\x02\x01\x01\x81\x62\x02\x83\x32\x2e\x35\x04\xff\x0a\x00\xd4\x4c\x6e\xa4\xf6\x44\xd9\xd7",
    b"\x10\x12\x12\x00\x00\x00\x04\x00\x81\x66\x02\x81\x76\x02\x81\x67\x02\x02\x01\xff\x0a\x00\x01\xa6\x4e\x4f\xc1\xd4\xe5\x43",
    b"\x2a\x32\x0d\x0a",
];

/// What RESTORE takes, most of the time.
pub fn payload(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..8) {
        0 => value(rng),
        1..4 => PAYLOADS.choose(rng).expect("not empty").to_vec(),
        _ => made_payload(rng),
    }
}

/// A random element.
pub fn one<'a>(rng: &mut SmallRng, of: &[&'a str]) -> &'a str {
    of.choose(rng).expect("not empty")
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// A key of a small set, so that commands meet each other's keys.
pub fn key(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..100) {
        0..70 => format!("key:{}", rng.random_range(0..14)).into_bytes(),
        70..88 => bytes(one(
            rng,
            &["a", "b", "c", "k", "k1", "hello", "hallo", "-1", "[", "*"],
        )),
        88..91 => Vec::new(),
        91..95 => vec![0, 1, b'\r', b'\n', 0xff, b'"', b'\\'],
        95..97 => vec![b'k'; 300],
        97..98 => vec![b'K'; 66_000],
        _ => "schlüssel".into(),
    }
}

/// A key for a command on this kind of values: mostly one that holds such a
/// value, unless other commands were there.
pub fn key_for(rng: &mut SmallRng, group: Group) -> Vec<u8> {
    let (name, percent) = match group {
        Group::String => ("str", 40),
        Group::Bitmap => ("bits", 40),
        Group::Hash => ("hash", 60),
        Group::List => ("list", 60),
        Group::Set => ("set", 60),
        Group::SortedSet => ("zset", 60),
        Group::Geo => ("geo", 80),
        Group::Stream => ("stream", 85),
        // Few strings happen to be one.
        Group::HyperLogLog => ("hll", 90),
        _ => {
            let names = [
                "str", "bits", "hash", "list", "set", "zset", "geo", "hll", "stream",
            ];
            (one(rng, &names), 30)
        }
    };
    match rng.random_ratio(percent, 100) {
        true => format!("{name}:{}", rng.random_range(0..4)).into_bytes(),
        false => key(rng),
    }
}

/// The ID of an entry, of those that there may be.
pub fn entry_id(rng: &mut SmallRng) -> Vec<u8> {
    let (ms, seq) = (rng.random_range(0..25), rng.random_range(0..5));
    match rng.random_range(0..100) {
        0..60 => format!("{ms}-{seq}").into_bytes(),
        60..80 => ms.to_string().into_bytes(),
        80..85 => format!("{ms}-*").into_bytes(),
        85..95 => bytes(one(rng, &["$", ">", "-", "+", "0", "0-0", "*-1"])),
        _ => bytes(one(rng, &EDGE_IDS)),
    }
}

/// IDs at the ends, and what is none or only just.
const EDGE_IDS: [&str; 16] = [
    "18446744073709551615-18446744073709551615",
    "18446744073709551615",
    "0-18446744073709551615",
    "18446744073709551616-0",
    "1-18446744073709551616",
    "007-01",
    "+3-+1",
    " 4",
    "4 ",
    "-4",
    "4--3",
    "4--03",
    "4-",
    "4-1-1",
    "4-1\0x",
    "",
];

/// The ID of a new entry: the sequence number is the server's, so that many
/// succeed. Never all of it, which would depend on the time.
pub fn new_entry_id(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..100) {
        0..80 => format!("{}-*", rng.random_range(0..25)).into_bytes(),
        80..98 => format!("{}-{}", rng.random_range(0..25), rng.random_range(0..9)).into_bytes(),
        _ => entry_id(rng),
    }
}

/// A bound on IDs.
pub fn id_bound(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..10) {
        0..4 => bytes(one(rng, &["-", "+"])),
        4..6 => [b"(".to_vec(), entry_id(rng)].concat(),
        _ => entry_id(rng),
    }
}

/// After which ID a stream is read.
pub fn read_id(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..10) {
        0..5 => bytes(">"),
        5..7 => bytes("0"),
        _ => entry_id(rng),
    }
}

/// The name of a consumer group or a consumer, which few have.
pub fn consumer(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..20) {
        0 => value(rng),
        _ => bytes(one(rng, &["one", "one", "one", "two", "two", "a\0b"])),
    }
}

/// How long an entry has been pending, milliseconds: all are, or none.
pub fn min_idle(rng: &mut SmallRng) -> Vec<u8> {
    let times = ["0", "0", "0", "-5", "100000000", "9223372036854775807", "x"];
    bytes(one(rng, &times))
}

/// How long a reader waits, milliseconds: hardly.
pub fn block_time(rng: &mut SmallRng) -> Vec<u8> {
    bytes(one(rng, &["1", "1", "2", "-1", "x", ""]))
}

/// How many entries are kept, or from which on.
pub fn threshold(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..10) {
        0..7 => rng.random_range(0..12).to_string().into_bytes(),
        7..9 => entry_id(rng),
        _ => integer(rng),
    }
}

/// What to see of a HyperLogLog.
pub fn hyperloglog_subcommand(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..20) {
        0 => value(rng),
        // A list of all registers is long.
        1 => bytes(one(rng, &["GETREG", "TODENSE"])),
        _ => bytes(one(rng, &["DECODE", "encoding", "ENCODING", "Decode"])),
    }
}

/// Where a bit or a bit field is, mostly in a short string.
pub fn bit_offset(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..100) {
        0..70 => rng.random_range(0..400).to_string().into_bytes(),
        70..85 => format!("#{}", rng.random_range(-1..40)).into_bytes(),
        85..88 => rng
            .random_range(8_388_590..8_388_620)
            .to_string()
            .into_bytes(),
        88..90 => [b"#".to_vec(), integer(rng)].concat(),
        _ => integer(rng),
    }
}

/// One bit, mostly.
pub fn bit(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..100) {
        0..80 => bytes(one(rng, &["0", "1"])),
        _ => integer(rng),
    }
}

/// Sign and width of a bit field.
pub fn bit_field_type(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..100) {
        0..90 => format!("{}{}", one(rng, &["i", "u"]), rng.random_range(1..=64)).into_bytes(),
        _ => bytes(one(
            rng,
            &[
                "", "i", "u0", "i65", "I8", "u08", "u8\0", "i-1", "8", "float",
            ],
        )),
    }
}

/// What BITOP does.
pub fn bit_operation(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..20) {
        0 => value(rng),
        _ => bytes(one(rng, &["AND", "OR", "XOR", "NOT", "and", "Or"])),
    }
}

/// An integer for any purpose.
pub fn integer(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..100) {
        0..65 => rng.random_range(-4i64..21).to_string().into_bytes(),
        65..80 => rng.random_range(-5_000i64..5_000).to_string().into_bytes(),
        80..85 => rng.random::<i64>().to_string().into_bytes(),
        85..95 => bytes(one(rng, &EDGE_INTEGERS)),
        _ => bytes(one(rng, &ALMOST_INTEGERS)),
    }
}

/// The number of a database, mostly one of the first.
pub fn database(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..100) {
        0..90 => rng.random_range(0..3).to_string().into_bytes(),
        90..96 => rng.random_range(-1..18).to_string().into_bytes(),
        _ => integer(rng),
    }
}

/// A version of the protocol, mostly one that there is.
pub fn protocol(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..20) {
        0 => integer(rng),
        1..8 => bytes("2"),
        _ => bytes("3"),
    }
}

/// A number with a fraction.
pub fn float(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..100) {
        0..40 => bytes(one(rng, &FLOATS)),
        40..70 => format!("{:.3}", rng.random_range(-100.0..100.0)).into_bytes(),
        70..80 => rng.random_range(-1e18..1e18f64).to_string().into_bytes(),
        80..90 => format!("{:e}", rng.random_range(-1.0..1.0f64)).into_bytes(),
        _ => integer(rng),
    }
}

/// How many elements a command picks by chance, none of them endless.
pub fn sample_count(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..10) {
        0 => bytes(one(
            rng,
            &[
                "-9223372036854775808",
                "9223372036854775807",
                "9223372036854775808",
                "x",
                "",
            ],
        )),
        _ => rng.random_range(-30..40).to_string().into_bytes(),
    }
}

/// How long a command may wait, seconds: hardly.
pub fn timeout(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..10) {
        0 => bytes(one(
            rng,
            &["-1", "", "x", "nan", "-inf", "1e4931", "-2", "0x"],
        )),
        _ => bytes(one(rng, &["0.001", "0.002", "1e-3", "0.0000001"])),
    }
}

/// A bound on scores.
pub fn score_bound(rng: &mut SmallRng) -> Vec<u8> {
    let bound = match rng.random_range(0..10) {
        0..3 => bytes(one(rng, &["-inf", "+inf", "inf", "", "0", "1e999", " 1"])),
        _ => float(rng),
    };
    match rng.random_range(0..3) {
        0 => [b"(".to_vec(), bound].concat(),
        _ => bound,
    }
}

/// A bound on members.
pub fn member_bound(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..20) {
        0..5 => bytes(one(rng, &["-", "+"])),
        5 => value(rng),
        _ => [bytes(one(rng, &["[", "("])), value(rng)].concat(),
    }
}

/// A bound on ranks, scores or members.
pub fn range_bound(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..10) {
        0..6 => integer(rng),
        6..9 => score_bound(rng),
        _ => member_bound(rng),
    }
}

/// Longitude or latitude, often near to others.
pub fn degrees(rng: &mut SmallRng, max: f64) -> Vec<u8> {
    match rng.random_range(0..20) {
        0..8 => format!("{:.6}", rng.random_range(-max..max)).into_bytes(),
        8..16 => format!("{:.4}", rng.random_range(10.0..13.0)).into_bytes(),
        16..19 => bytes(one(
            rng,
            &[
                "0",
                "180",
                "-180",
                "85.05112878",
                "-85.05112878",
                "85.1",
                "12",
            ],
        )),
        _ => float(rng),
    }
}

/// A length in some unit.
pub fn distance(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..20) {
        0..16 => {
            let magnitude = 10f64.powi(rng.random_range(0..8));
            format!("{:.2}", rng.random_range(0.0..magnitude)).into_bytes()
        }
        16..19 => bytes(one(rng, &["0", "1", "300", "inf", "-1", "1e300"])),
        _ => float(rng),
    }
}

/// A time to live in `per_second` parts of a second: over, or so long that
/// nothing expires while the test runs, or not a number.
pub fn time_to_live(rng: &mut SmallRng, per_second: i64) -> Vec<u8> {
    match rng.random_range(0..100) {
        // Far apart, so that GT and LT do not depend on the milliseconds
        // between two commands.
        0..80 => (rng.random_range(1_000..1_000_000_000) * per_second)
            .to_string()
            .into_bytes(),
        80..90 => bytes(one(rng, &["0", "-1", "-100", "-9223372036854775808"])),
        90..95 => bytes(one(
            rng,
            &[
                "9223372036854775807",
                "9223372036854775",
                "9223372036854776",
                "9223372036854775808",
                "-9223372036854776",
            ],
        )),
        _ => bytes(one(rng, &ALMOST_INTEGERS[1..])),
    }
}

/// A point in time in `per_second` parts of a second since 1970, as
/// [`time_to_live`] chooses it; over only if `past`.
pub fn unix_time(rng: &mut SmallRng, per_second: i64, past: bool) -> Vec<u8> {
    let now_s = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as i64);
    match rng.random_range(0..100) {
        0..=79 => ((now_s + rng.random_range(1_000..1_000_000_000)) * per_second)
            .to_string()
            .into_bytes(),
        80..88 if past => bytes(one(
            rng,
            &["0", "1", "-1", "1000000000", "-9223372036854775808"],
        )),
        88..95 => bytes(one(
            rng,
            &[
                "9223372036854775000",
                "9223372036854775",
                "9223372036854776",
            ],
        )),
        _ => bytes(one(rng, &ALMOST_INTEGERS[1..])),
    }
}

/// A value to store.
pub fn value(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..100) {
        0..30 => integer(rng),
        30..45 => float(rng),
        45..75 => bytes(one(
            rng,
            &[
                "",
                "a",
                "foo",
                "bar",
                "Hello World",
                "ohmytext",
                "mynewtext",
                "0",
                "\0",
                "\r\n",
            ],
        )),
        75..90 => {
            // Around the limits of embstr and of listpack entries.
            let len = *[1, 7, 20, 21, 43, 44, 45, 63, 64, 65, 128, 513]
                .choose(rng)
                .expect("a length");
            text(rng, len)
        }
        90..97 => {
            let len = rng.random_range(0..40);
            (0..len).map(|_| rng.random()).collect()
        }
        97..99 => {
            let len = rng.random_range(4_090..4_100);
            text(rng, len)
        }
        _ => {
            let len = rng.random_range(16_000..40_000);
            text(rng, len)
        }
    }
}

fn text(rng: &mut SmallRng, len: usize) -> Vec<u8> {
    let letter = rng.random_range(b'a'..=b'e');
    (0..len).map(|at| letter + (at % 3) as u8).collect()
}

/// A glob pattern.
pub fn pattern(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..10) {
        0 => key(rng),
        _ => bytes(one(rng, &PATTERNS)),
    }
}

/// The name of a type.
pub fn type_name(rng: &mut SmallRng) -> Vec<u8> {
    bytes(one(rng, &TYPES))
}

/// The name of a user, mostly the one that exists.
pub fn user(rng: &mut SmallRng) -> Vec<u8> {
    bytes(one(rng, &["default", "default", "DEFAULT", "nobody", ""]))
}

/// A payload of our own making, now and then a damaged one.
fn made_payload(rng: &mut SmallRng) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new()).compressing(rng.random());
    let kinds = [Kind::String, Kind::List, Kind::Set, Kind::Zset, Kind::Hash];
    let kind = *kinds.choose(rng).expect("a kind");
    let mut write = |rng: &mut SmallRng| -> std::io::Result<()> {
        encoder.kind(kind)?;
        if kind == Kind::String {
            return encoder.string(&value(rng));
        }
        let count = rng.random_range(0..12);
        encoder.length(count)?;
        // Numbered, since none may come twice.
        for number in 0..count {
            match rng.random_range(0..3) {
                0 => encoder.string(format!("{number}:{}", "x".repeat(25)).as_bytes())?,
                _ => encoder.string(number.to_string().as_bytes())?,
            }
            match kind {
                Kind::Zset => encoder.score(rng.random_range(-3..3).into())?,
                Kind::Hash => encoder.string(&value(rng))?,
                _ => {}
            }
        }
        Ok(())
    };
    write(rng).expect("memory");
    let mut payload = encoder.into_inner();
    payload::seal(&mut payload);
    if rng.random_ratio(1, 10) {
        let at = rng.random_range(0..payload.len());
        payload[at] ^= 1;
    }
    payload
}
