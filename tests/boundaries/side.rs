//! A connection to one of the servers, and what is sent over it.

use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::reply::Value;
use super::support::{Server, request};

/// How far two replies must be the same.
enum Likeness {
    /// All of it.
    Exact,
    /// The type of the reply, and all of it if it is an error.
    Kind,
    /// All of it, but only the code of an error.
    Code,
}

/// A request and how its replies are compared.
pub struct Step {
    argv: Vec<Vec<u8>>,
    likeness: Likeness,
}

impl Step {
    /// The replies must be equal.
    pub fn exact(argv: Vec<Vec<u8>>) -> Step {
        let likeness = Likeness::Exact;
        Step { argv, likeness }
    }

    /// The replies must have the same type; errors must be equal.
    pub fn of_kind(argv: Vec<Vec<u8>>) -> Step {
        let likeness = Likeness::Kind;
        Step { argv, likeness }
    }

    /// The replies must be equal; errors must have the same code.
    pub fn of_code(argv: Vec<Vec<u8>>) -> Step {
        let likeness = Likeness::Code;
        Step { argv, likeness }
    }

    /// Whether two replies are as equal as they have to be.
    pub fn agree(&self, ours: &Value, theirs: &Value) -> bool {
        let errors = [ours, theirs].map(Value::is_error);
        ours == theirs
            || match self.likeness {
                Likeness::Exact => false,
                Likeness::Kind => errors == [false; 2] && kind(ours) == kind(theirs),
                Likeness::Code => errors == [true; 2] && code(ours) == code(theirs),
            }
    }
}

/// A call as one would type it.
pub fn shown(argv: &[Vec<u8>]) -> String {
    let word = |word: &Vec<u8>| match word.escape_ascii().to_string() {
        word if word.is_empty() || word.contains(' ') => format!("\"{word}\""),
        word => word,
    };
    argv.iter().map(word).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.argv))
    }
}

/// The byte that says what a reply is; null has one of its own.
fn kind(value: &Value) -> u8 {
    match value {
        null if null.is_null() => b'_',
        Value::Line(line) => line[0],
        Value::Bulk(kind, _) | Value::Many(kind, _) => *kind,
    }
}

/// The code of an error, as part of its line.
fn code(error: &Value) -> Option<&[u8]> {
    match error {
        Value::Line(line) => line.split(|byte| *byte == b' ').next(),
        _ => None,
    }
}

/// A connection.
pub struct Side {
    stream: TcpStream,
    name: &'static str,
    buffer: Vec<u8>,
    start: usize,
    since: Instant,
}

impl Side {
    /// Connects to the server that is called `name`.
    pub fn connect(server: &Server, name: &'static str) -> Side {
        Side {
            stream: server.tcp(),
            name,
            buffer: Vec::new(),
            start: 0,
            since: Instant::now(),
        }
    }

    /// Sends requests.
    pub fn send(&mut self, steps: &[&Step]) {
        let bytes: Vec<u8> = steps.iter().flat_map(|step| request(&step.argv)).collect();
        self.since = Instant::now();
        self.stream.write_all(&bytes).expect("requests are sent");
    }

    /// The next reply, and how long it took since the one before.
    pub fn receive(&mut self, call: &impl fmt::Display) -> (Value, Duration) {
        loop {
            if let Some((value, used)) = Value::parse(&self.buffer[self.start..]) {
                self.start += used;
                let took = self.since.elapsed();
                self.since = Instant::now();
                return (value, took);
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            let mut chunk = [0; 64 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => panic!("{} closed the connection: {call}", self.name),
                Ok(len) => self.buffer.extend_from_slice(&chunk[..len]),
                Err(error) => panic!("no reply of {}: {error}: {call}", self.name),
            }
        }
    }
}
