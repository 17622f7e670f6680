//! Logs whose end is missing, and logs with wrong bytes, loaded by an engine in
//! this process.

use std::path::Path;

use redstart::command::registry::Registry;
use redstart::commands::generic::dump;
use redstart::config::{AppendFsync, Config};
use redstart::engine::loading::LoadRules;
use redstart::engine::{ClientId, RawClient, Server};
use redstart::exec::{dispatch, replay};
use redstart::rdb::payload;
use redstart::util::Logged;

/// The file that is loaded and written.
pub const LOG_NAME: &str = "appendonly.aof.1.incr.aof";

/// A server without a process, with one client.
pub struct Engine {
    pub server: Server,
    client: ClientId,
}

impl Engine {
    /// With a log in a directory.
    pub fn new(dir: &Path, appendfsync: AppendFsync) -> Engine {
        let manifest = dir.join("appendonly.aof.manifest");
        if !manifest.exists() {
            let text = format!("file {LOG_NAME} seq 1 type i\n");
            std::fs::write(manifest, text).unwrap();
            std::fs::write(dir.join(LOG_NAME), "").unwrap();
        }
        let config = Config {
            appendonly: true,
            appendfsync,
            appenddirname: dir.to_str().unwrap().into(),
            ..Config::default()
        };
        let registry = Registry::new(redstart::commands::FAMILIES).expect("a sound command table");
        let mut server = Server::new(config, registry, 1);
        let client = server.add_client(RawClient::default());
        Engine { server, client }
    }

    /// Loads the log.
    pub fn load(&mut self) -> Result<(), Logged> {
        let limits = dump::limits(&self.server.config);
        let rules = LoadRules::of(&self.server, limits);
        let server = &mut self.server;
        let loaded = replay::load_log(&rules, &mut |run| run(server));
        self.server.end_loading(None);
        loaded
    }

    /// Runs a command; gives the reply.
    pub fn run(&mut self, words: &[&str]) -> Vec<u8> {
        let argv: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let lookup = self.server.registry.resolve(argv.as_slice());
        dispatch::run(&mut self.server, self.client, lookup, &argv, &[]);
        let mut chunks = Default::default();
        self.server.client(self.client).output.take(&mut chunks);
        chunks
            .iter()
            .flat_map(|chunk| chunk.as_slice().to_vec())
            .collect()
    }

    /// All keys, as text that can be compared.
    fn contents(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (index, db) in self.server.keyspace.dbs() {
            for entry in db.table().iter() {
                let value = payload::of(entry.value().view(), false);
                all.push(format!(
                    "{} {} {:?} {}",
                    index.get(),
                    entry.key().escape_ascii(),
                    entry.expire(),
                    value.escape_ascii()
                ));
            }
        }
        all.sort();
        all
    }
}

fn command(words: &[&str]) -> Vec<u8> {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    let mut out = Vec::new();
    redstart::aof::append_command(&mut out, words.iter().copied());
    out
}

/// Pieces of a log that count as a whole or not at all.
fn pieces() -> Vec<Vec<u8>> {
    let mut pieces = vec![command(&["SELECT", "0"])];
    for number in 0..12 {
        let text = number.to_string();
        let long = "x".repeat(number * 7);
        pieces.push(command(&["SET", &format!("key:{number}"), &long]));
        pieces.push(format!("#TS:{}\r\n", 1_700_000_000 + number).into_bytes());
        pieces.push(command(&["RPUSH", "list", &text, &long]));
        pieces.push(command(&["HSET", "hash", &text, &long]));
        pieces.push(command(&["ZADD", "zset", &text, &long]));
        let transaction = [
            command(&["MULTI"]),
            command(&["SELECT", &(number % 3).to_string()]),
            command(&["INCR", "count"]),
            command(&["SADD", "set", &text]),
            command(&["PEXPIREAT", "set", "99999999999999"]),
            command(&["EXEC"]),
        ];
        pieces.push(transaction.concat());
        pieces.push(command(&["DEL", &format!("key:{}", number / 2)]));
    }
    pieces
}

fn load(dir: &Path, log: &[u8]) -> (Engine, Result<(), Logged>) {
    let mut engine = Engine::new(dir, AppendFsync::No);
    std::fs::write(dir.join(LOG_NAME), log).unwrap();
    let loaded = engine.load();
    (engine, loaded)
}

#[test]
fn cut_anywhere_it_loads_up_to_the_last_whole_piece() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, mut ends, mut contents) = (Vec::new(), vec![0], vec![Vec::new()]);
    for piece in pieces() {
        log.extend_from_slice(&piece);
        let (engine, loaded) = load(dir.path(), &log);
        assert_eq!(loaded, Ok(()));
        ends.push(log.len());
        contents.push(engine.contents());
    }
    println!("{} bytes", log.len());
    for cut in 0..log.len() {
        let (mut engine, loaded) = load(dir.path(), &log[..cut]);
        assert_eq!(loaded, Ok(()), "cut at {cut}");
        let last = ends.iter().rposition(|end| *end <= cut).unwrap();
        assert_eq!(engine.contents(), contents[last], "cut at {cut}");
        let bytes = std::fs::metadata(dir.path().join(LOG_NAME)).unwrap().len();
        // Notes go with the command behind them.
        let is_note = |index: usize| index > 0 && log[ends[index - 1]] == b'#';
        let mut kept = last;
        while cut > ends[last] && is_note(kept) {
            kept -= 1;
        }
        assert_eq!(bytes, ends[kept] as u64, "cut at {cut}");
        // Unless it is told to do without.
        if !ends.contains(&cut) {
            std::fs::write(dir.path().join(LOG_NAME), &log[..cut]).unwrap();
            engine.server.config.aof_load_truncated = false;
            assert_eq!(engine.load(), Err(Logged), "cut at {cut}");
        }
    }
}

#[test]
fn no_wrong_byte_does_more_than_refuse_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = pieces().concat();
    let (mut refused, mut loads) = (0, 0);
    for at in 0..log.len() {
        for flip in [1, 0x80] {
            let mut wrong = log.clone();
            wrong[at] ^= flip;
            match load(dir.path(), &wrong).1 {
                Ok(()) => loads += 1,
                Err(Logged) => refused += 1,
            }
        }
    }
    println!("{refused} refused, {loads} loaded");
    assert!(refused > 0 && loads > 0);
}
