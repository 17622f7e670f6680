//! Both servers, and connections to both.

use std::fmt::Display;
use std::io::{Read, Write};
use std::net::TcpStream;

use super::reply::Value;
use super::support::Server;

/// What both servers are started with. The bulk limit keeps strings small, so
/// that it can be met; collections unpack early, so that both forms take part.
pub const OPTIONS: [&str; 18] = [
    "--proto-max-bulk-len",
    "1mb",
    "--hash-max-listpack-entries",
    "5",
    "--hash-max-listpack-value",
    "24",
    "--zset-max-listpack-entries",
    "5",
    "--zset-max-listpack-value",
    "24",
    "--set-max-intset-entries",
    "5",
    "--list-max-listpack-size",
    "4",
    "--list-compress-depth",
    "1",
    "--stream-node-max-entries",
    "4",
];

/// Limits as they come, and entries know how often they are used.
pub const LFU_OPTIONS: [&str; 4] = [
    "--proto-max-bulk-len",
    "1mb",
    "--maxmemory-policy",
    "allkeys-lfu",
];

/// Our server and redis-server, stopped when dropped.
pub struct Servers {
    ours: Server,
    theirs: Server,
}

impl Servers {
    /// Starts both on free ports, with these options.
    ///
    /// # Panics
    /// When redis-server 7.0.15 is not installed.
    pub fn start(options: &[&str]) -> Servers {
        let theirs = Server::start_oracle(options);
        Servers {
            theirs: theirs.expect("redis-server 7.0.15 is installed (tests/run install)"),
            ours: Server::start(options),
        }
    }

    /// The directories of both.
    pub fn dirs(&self) -> [&std::path::Path; 2] {
        [self.ours.dir.path(), self.theirs.dir.path()]
    }

    /// A connection to both.
    pub fn connect(&self) -> Pair {
        Pair {
            ours: Side::connect(&self.ours),
            theirs: Side::connect(&self.theirs),
        }
    }

    /// Whether redis-server has a command, named as `get` or `config|get`.
    pub fn theirs_knows(&self, name: &str) -> bool {
        let mut side = Side::connect(&self.theirs);
        let words = ["COMMAND", "INFO", name].map(|word| word.as_bytes().to_vec());
        side.send(&[words.to_vec()]);
        let reply = side.receive("redis-server", &"COMMAND INFO");
        let items = reply.items().expect("a list");
        items.first().is_some_and(|info| !info.is_null())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.ours.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(100)..];
            println!("the server's log:\n{}", last.join("\n"));
        }
    }
}

/// A connection to both servers.
pub struct Pair {
    ours: Side,
    theirs: Side,
}

impl Pair {
    /// Sends requests to both.
    pub fn send(&mut self, requests: &[Vec<Vec<u8>>]) {
        self.ours.send(requests);
        self.theirs.send(requests);
    }

    /// The next replies, to what `call` shows: ours and theirs.
    pub fn receive(&mut self, call: &impl Display) -> (Value, Value) {
        (
            self.ours.receive("redstart", call),
            self.theirs.receive("redis-server", call),
        )
    }

    /// One command to both.
    pub fn call(&mut self, words: &[&[u8]]) -> (Value, Value) {
        let request: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).collect();
        self.send(&[request]);
        let shown: Vec<String> = words.iter().map(|w| w.escape_ascii().to_string()).collect();
        self.receive(&shown.join(" "))
    }

    /// What comes of what each server says unasked.
    pub fn on_each_listening<T>(&mut self, hear: fn(&mut dyn FnMut() -> Value) -> T) -> [T; 2] {
        let sides = [
            (&mut self.ours, "redstart"),
            (&mut self.theirs, "redis-server"),
        ];
        sides.map(|(side, name)| hear(&mut || side.receive(name, &"what it says unasked")))
    }

    /// What comes of the same steps on our server and on the other.
    pub fn on_each<T>(&mut self, steps: impl Fn(&mut dyn FnMut(&[&[u8]]) -> Value) -> T) -> [T; 2] {
        let sides = [
            (&mut self.ours, "redstart"),
            (&mut self.theirs, "redis-server"),
        ];
        sides.map(|(side, name)| {
            steps(&mut |words| {
                side.send(&[words.iter().map(|word| word.to_vec()).collect()]);
                side.receive(name, &words.concat().escape_ascii())
            })
        })
    }
}

struct Side {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
}

impl Side {
    fn connect(server: &Server) -> Side {
        Side {
            stream: server.tcp(),
            buffer: Vec::new(),
            start: 0,
        }
    }

    fn send(&mut self, requests: &[Vec<Vec<u8>>]) {
        let mut bytes = Vec::new();
        for request in requests {
            bytes.extend(format!("*{}\r\n", request.len()).bytes());
            for arg in request {
                bytes.extend(format!("${}\r\n", arg.len()).bytes());
                bytes.extend_from_slice(arg);
                bytes.extend_from_slice(b"\r\n");
            }
        }
        self.stream.write_all(&bytes).expect("a request is sent");
    }

    fn receive(&mut self, name: &str, call: &impl Display) -> Value {
        loop {
            if let Some((value, used)) = Value::parse(&self.buffer[self.start..]) {
                self.start += used;
                return value;
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            let mut chunk = [0; 64 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => panic!("{name} closed the connection: {call}"),
                Ok(len) => self.buffer.extend_from_slice(&chunk[..len]),
                Err(error) => panic!("no reply of {name}: {error}: {call}"),
            }
        }
    }
}
