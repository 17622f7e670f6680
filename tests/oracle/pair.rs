//! Both servers, and connections to both.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::reply::Value;

/// What both servers are started with. The bulk limit keeps strings small, so
/// that the limits can be met.
const OPTIONS: [&str; 6] = [
    "--save",
    "",
    "--proto-max-bulk-len",
    "1mb",
    "--maxmemory",
    "0",
];

/// Our server and redis-server, stopped when dropped.
pub struct Servers {
    ours: Server,
    theirs: Server,
}

struct Server {
    process: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Servers {
    /// Starts both on free ports.
    ///
    /// # Panics
    /// When redis-server 7.0.15 is not installed.
    pub fn start() -> Servers {
        let version = Command::new("redis-server").arg("--version").output();
        let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        assert!(
            version
                .as_ref()
                .is_ok_and(|text| text.contains("v=7.0.15 ")),
            "redis-server 7.0.15 must be installed (tests/run install): {version:?}"
        );
        Servers {
            ours: Server::start(Path::new(env!("CARGO_BIN_EXE_redstart"))),
            theirs: Server::start(Path::new("redis-server")),
        }
    }

    /// A connection to both.
    pub fn connect(&self) -> Pair {
        Pair {
            ours: Side::connect(self.ours.port),
            theirs: Side::connect(self.theirs.port),
        }
    }

    /// Whether redis-server has a command, named as `get` or `config|get`.
    pub fn theirs_knows(&self, name: &str) -> bool {
        let mut side = Side::connect(self.theirs.port);
        let words = ["COMMAND", "INFO", name].map(|word| word.as_bytes().to_vec());
        side.send(&[words.to_vec()]);
        let reply = side.receive("redis-server");
        let items = reply.items().expect("a list");
        items.first().is_some_and(|info| !info.is_null())
    }
}

impl Server {
    fn start(program: &Path) -> Server {
        let dir = tempfile::tempdir().expect("a directory");
        let probe = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = probe.local_addr().expect("its address").port();
        drop(probe);
        let process = Command::new(program)
            .args(["--port", &port.to_string()])
            .args(OPTIONS)
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let server = Server {
            process,
            port,
            _dir: dir,
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "{} starts", program.display());
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
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

    /// The next replies: ours and theirs.
    pub fn receive(&mut self) -> (Value, Value) {
        (
            self.ours.receive("redstart"),
            self.theirs.receive("redis-server"),
        )
    }

    /// One command to both.
    pub fn call(&mut self, words: &[&[u8]]) -> (Value, Value) {
        let request: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).collect();
        self.send(&[request]);
        self.receive()
    }
}

struct Side {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
}

impl Side {
    fn connect(port: u16) -> Side {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        let timeout = Some(Duration::from_secs(30));
        stream.set_read_timeout(timeout).expect("a timeout");
        Side {
            stream,
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

    fn receive(&mut self, name: &str) -> Value {
        loop {
            if let Some((value, used)) = Value::parse(&self.buffer[self.start..]) {
                self.start += used;
                return value;
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            let mut chunk = [0; 64 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => panic!("{name} closed the connection"),
                Ok(len) => self.buffer.extend_from_slice(&chunk[..len]),
                Err(error) => panic!("no reply of {name}: {error}"),
            }
        }
    }
}
