//! Libraries of functions: what one server dumps or saves, the other loads.

use std::fs;

use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;

use crate::rng;
use crate::support::{Client, Server};

const ROUNDS: usize = 60;
const FLAGS: [&str; 5] = [
    "no-writes",
    "allow-oom",
    "allow-stale",
    "no-cluster",
    "allow-cross-slot-keys",
];

/// The code of a library with some functions.
fn library(rng: &mut SmallRng, number: usize) -> String {
    let mut code = format!("#!lua name=lib{number}\n");
    for function in 0..rng.random_range(1..5) {
        let mut flags = FLAGS.to_vec();
        flags.retain(|_| rng.random());
        let flags: Vec<String> = flags.iter().map(|flag| format!("'{flag}'")).collect();
        let described = ["", "description='a b',", "description='\\r\\n\\0\\255',"];
        let said = "x".repeat(rng.random_range(0..200));
        code += &format!(
            "redis.register_function{{function_name='f{number}_{function}', flags={{{}}}, {}\n \
             callback=function(keys, args) return '{said}{}' end}}\n",
            flags.join(","),
            described.choose(rng).expect("one"),
            rng.random_range(0..100),
        );
    }
    code
}

fn fill(c: &mut Client, rng: &mut SmallRng) {
    c.check("FUNCTION FLUSH", "+OK");
    for number in 0..rng.random_range(0..6) {
        c.command(&["FUNCTION", "LOAD", &library(rng, number)]);
        c.check_reply(&format!("$lib{number}"));
    }
}

/// What a server knows of its libraries, in some order.
fn listed(c: &mut Client) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for number in 0..6 {
        let name = format!("lib{number}");
        c.command(&["FUNCTION", "LIST", "LIBRARYNAME", &name, "WITHCODE"]);
        let mut reply = c.reply_bytes();
        // Functions come in the order of a hash table: these are as good.
        reply.sort_unstable();
        all.push(reply);
        for function in 0..5 {
            all.push(c.ask(&format!("FCALL f{number}_{function} 0")).into_bytes());
        }
    }
    all
}

fn payload(c: &mut Client) -> Vec<u8> {
    c.command(&["FUNCTION", "DUMP"]);
    c.reply_bytes()[1..].to_vec()
}

#[test]
fn libraries_are_understood_on_both_sides() {
    let Some(oracle) = Server::start_oracle(&[]) else {
        return;
    };
    let server = Server::start(&[]);
    let (mut ours, mut theirs) = (server.connect(), oracle.connect());
    let mut rng = rng();
    for round in 0..ROUNDS {
        let compress = if rng.random() { "yes" } else { "no" };
        for c in [&mut ours, &mut theirs] {
            c.check(&format!("CONFIG SET rdbcompression {compress}"), "+OK");
        }
        let (from, to, c, other) = if round % 2 == 0 {
            (&server, &oracle, &mut ours, &mut theirs)
        } else {
            (&oracle, &server, &mut theirs, &mut ours)
        };
        fill(c, &mut rng);
        let expected = listed(c);
        other.command(&[&b"FUNCTION"[..], b"RESTORE", &payload(c), b"FLUSH"]);
        other.check_reply("+OK");
        assert_eq!(listed(other), expected, "the payload of round {round}");
        other.check("FUNCTION FLUSH", "+OK");
        c.check("SAVE", "+OK");
        fs::copy(from.path("dump.rdb"), to.path("dump.rdb")).unwrap();
        other.check("DEBUG RELOAD NOSAVE", "+OK");
        assert_eq!(listed(other), expected, "the file of round {round}");
    }
}

/// With one library there is no order: the payloads are the same bytes.
#[test]
fn payloads_are_those_of_redis() {
    let Some(oracle) = Server::start_oracle(&["--rdbcompression", "no"]) else {
        return;
    };
    let server = Server::start(&["--rdbcompression", "no"]);
    let (mut ours, mut theirs) = (server.connect(), oracle.connect());
    assert_eq!(payload(&mut ours), payload(&mut theirs));
    let mut rng = rng();
    for _ in 0..20 {
        let code = library(&mut rng, 0);
        for c in [&mut ours, &mut theirs] {
            c.command(&["FUNCTION", "LOAD", "REPLACE", &code]);
            c.check_reply("$lib0");
        }
        assert_eq!(payload(&mut ours), payload(&mut theirs));
    }
}

/// The form of the release candidates of Redis 7.0 is read; what is cut short
/// or no library is refused as a whole.
#[test]
fn early_and_broken_payloads() {
    let server = Server::start(&[]);
    let oracle = Server::start_oracle(&[]);
    let oracle = oracle.as_ref().map(Server::connect);
    let early = {
        let code = "redis.register_function('f0_0', function() return 7 end)";
        let mut bytes = vec![246, 4];
        bytes.extend_from_slice(b"lib0\x03LUA\x01\x02hi");
        bytes.push(code.len() as u8);
        bytes.extend_from_slice(code.as_bytes());
        bytes
    };
    let kept = [&[245, 30][..], b"#!lua name=q\nredis.foo(1)     "].concat();
    for mut c in [Some(server.connect()), oracle].into_iter().flatten() {
        // Any change to the checksum is passed over.
        c.check("DEBUG SET-SKIP-CHECKSUM-VALIDATION 1", "+OK");
        let sealed = |bytes: &[u8]| [bytes, &[10, 0], &[0; 8]].concat();
        let mut restore = |bytes: &[u8]| {
            c.command(&[&b"FUNCTION"[..], b"RESTORE", &sealed(bytes), b"REPLACE"]);
            c.reply()
        };
        assert_eq!(restore(&early), "+OK");
        let broken = [&early[..], &kept].concat();
        let failed = "-ERR Error registering functions: ERR user_function:2: Script attempted to \
                      access nonexistent global variable 'foo'";
        assert_eq!(restore(&broken), failed);
        let twice = [&early[..], &early].concat();
        assert_eq!(restore(&twice), "-ERR Library 'lib0' already exists");
        assert_eq!(restore(&[0, 1, 2]), "-ERR given type is not a function");
        assert_eq!(restore(&[]), "+OK");
        c.check("FCALL f0_0 0", ":7");
    }
}
