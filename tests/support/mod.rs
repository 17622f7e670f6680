//! Servers and raw connections for the tests over a wire.
//!
//! Replies are checked as transcripts: [`Client::check`] sends a command as one
//! would type it and compares the reply in a short form, one word for each
//! part: `+OK`, `:1`, `$bulk`, `$-1`, `*2 $a $b`, `-ERR …`, and in RESP3 `_`,
//! `#t`, `,1.5`, `(123`, `=txt:…`, `%1 $k $v`, `~1 $a`, `>2 …`, `|1 …`.
#![allow(dead_code, missing_docs)] // Each test program uses a part of it.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take that is expected to happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Tries until it works or patience ends.
#[track_caller]
pub fn wait<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A running server in a directory of its own.
pub struct Server {
    child: Child,
    pub port: u16,
    pub dir: tempfile::TempDir,
}

/// What is logged when clients may come.
const READY: &str = "Ready to accept connections";

impl Server {
    /// The server of this project.
    pub fn start(args: &[&str]) -> Server {
        Server::start_program(env!("CARGO_BIN_EXE_redstart"), args)
    }

    /// A real redis-server 7.0.15; none, with the reason printed, where there
    /// is no such program.
    pub fn start_oracle(args: &[&str]) -> Option<Server> {
        let version = Command::new("redis-server").arg("--version").output();
        let found =
            version.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains("v=7.0.15 "));
        if !found {
            println!("skipped: there is no redis-server 7.0.15 to compare with");
            return None;
        }
        Some(Server::start_program("redis-server", args))
    }

    /// The server of this project, which is loading its data for a while.
    pub fn start_loading(args: &[&str]) -> Server {
        Server::start_until(
            env!("CARGO_BIN_EXE_redstart"),
            None,
            args,
            "Server initialized",
        )
    }

    /// The server of this project with this configuration file.
    pub fn start_with_file(file: &str) -> Server {
        Server::start_until(env!("CARGO_BIN_EXE_redstart"), Some(file), &[], READY)
    }

    /// What the server of this project logs when it does not start.
    pub fn fail(args: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_redstart"));
        command.args(["--port", "0", "--unixsocket", "redstart-test.sock"]);
        let out = command.args(args).stdin(Stdio::null()).output().unwrap();
        assert_eq!(out.status.code(), Some(1));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    fn start_program(program: &str, args: &[&str]) -> Server {
        Server::start_until(program, None, args, READY)
    }

    fn start_until(program: &str, file: Option<&str>, args: &[&str], sign: &str) -> Server {
        let dir = tempfile::tempdir().unwrap();
        // Another process can take the port first; then the next one serves.
        for _ in 0..5 {
            let probe = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = probe.local_addr().unwrap().port();
            drop(probe);
            let log = fs::File::create(dir.path().join("log")).unwrap();
            let mut child = Command::new(program)
                .current_dir(dir.path())
                .args(file)
                .args(["--port", &port.to_string(), "--save", ""])
                .args(["--enable-debug-command", "yes"])
                .args(args)
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .unwrap();
            let ready = wait("the server to start", || {
                if child.try_wait().unwrap().is_some() {
                    return Some(false);
                }
                let log = fs::read(dir.path().join("log")).unwrap();
                let log = String::from_utf8_lossy(&log);
                log.contains(sign).then_some(true)
            });
            if ready {
                return Server { child, port, dir };
            }
        }
        let log = fs::read(dir.path().join("log")).unwrap();
        panic!(
            "{program} does not start:\n{}",
            String::from_utf8_lossy(&log)
        );
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("log")).unwrap()).into_owned()
    }

    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        wait(&format!("{text:?} in the log"), || {
            self.log().contains(text).then_some(())
        });
    }

    #[track_caller]
    pub fn connect(&self) -> Client {
        Client::new(self.tcp())
    }

    #[track_caller]
    pub fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Resident memory, bytes.
    pub fn rss_bytes(&self) -> u64 {
        self.status("VmRSS:") * 1024
    }

    /// Most of it so far, bytes.
    pub fn peak_rss_bytes(&self) -> u64 {
        self.status("VmHWM:") * 1024
    }

    fn status(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Open file descriptors.
    pub fn files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .unwrap()
            .count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that speaks bytes.
pub struct Client {
    pub stream: TcpStream,
    buf: Vec<u8>,
    at: usize,
}

impl Client {
    pub fn new(stream: TcpStream) -> Client {
        Client {
            stream,
            buf: Vec::new(),
            at: 0,
        }
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    #[track_caller]
    pub fn command(&mut self, args: &[impl AsRef<[u8]>]) {
        self.send(request(args));
    }

    /// Says that nothing more will be sent.
    pub fn end(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// A line, without its end.
    #[track_caller]
    fn line(&mut self) -> Vec<u8> {
        loop {
            let rest = &self.buf[self.at..];
            if let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
                let line = rest[..end].to_vec();
                self.at += end + 2;
                return line;
            }
            assert!(self.fill(), "the connection ended in a reply");
        }
    }

    /// Reads more; false at the end.
    #[track_caller]
    fn fill(&mut self) -> bool {
        if self.at == self.buf.len() {
            self.buf.clear();
            self.at = 0;
        }
        let len = self.buf.len();
        self.buf.resize(len + 64 * 1024, 0);
        let count = match self.stream.read(&mut self.buf[len..]) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("reading a reply: {error}"),
        };
        self.buf.truncate(len + count);
        count > 0
    }

    #[track_caller]
    pub fn exact(&mut self, count: usize) -> Vec<u8> {
        while self.buf.len() - self.at < count {
            assert!(self.fill(), "the connection ended in a reply");
        }
        let bytes = self.buf[self.at..self.at + count].to_vec();
        self.at += count;
        bytes
    }

    /// The next reply in the short form.
    #[track_caller]
    pub fn reply(&mut self) -> String {
        String::from_utf8_lossy(&self.reply_bytes()).into_owned()
    }

    /// As [`Client::reply`], whatever bytes it has.
    #[track_caller]
    pub fn reply_bytes(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.read_reply(&mut out);
        out
    }

    #[track_caller]
    fn read_reply(&mut self, out: &mut Vec<u8>) {
        let line = self.line();
        if !out.is_empty() {
            out.push(b' ');
        }
        let number = || -> i64 { std::str::from_utf8(&line[1..]).unwrap().parse().unwrap() };
        match line[0] {
            b'$' | b'=' if number() >= 0 => {
                let bytes = self.exact(number() as usize + 2);
                assert!(
                    bytes.ends_with(b"\r\n"),
                    "a bulk string ends with a line end"
                );
                out.push(line[0]);
                out.extend_from_slice(&bytes[..bytes.len() - 2]);
            }
            b'*' | b'~' | b'>' if number() >= 0 => {
                out.extend_from_slice(&line);
                (0..number()).for_each(|_| self.read_reply(out));
            }
            b'%' | b'|' => {
                out.extend_from_slice(&line);
                (0..number() * 2).for_each(|_| self.read_reply(out));
                if line[0] == b'|' {
                    self.read_reply(out);
                }
            }
            _ => out.extend_from_slice(&line),
        }
    }

    /// Whether some of a reply is there, without waiting for it.
    pub fn has_reply(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let some = self.at < self.buf.len() || self.stream.peek(&mut [0]).is_ok();
        self.stream.set_nonblocking(false).unwrap();
        some
    }

    /// Sends what one would type and gives the reply.
    #[track_caller]
    pub fn ask(&mut self, words: &str) -> String {
        let args = redstart::util::args::split(words.as_bytes()).expect("balanced quotes");
        self.command(&args);
        self.reply()
    }

    /// One step of a transcript.
    #[track_caller]
    pub fn check(&mut self, words: &str, expected: &str) {
        let reply = self.ask(words);
        assert_eq!(reply, expected, "the reply to {words}");
    }

    /// The reply to what was sent by other means.
    #[track_caller]
    pub fn check_reply(&mut self, expected: &str) {
        assert_eq!(self.reply(), expected);
    }

    /// Everything until the end of the connection.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        self.buf.split_off(self.at)
    }

    /// The next line, or what there is of it when the connection ends.
    pub fn rest_line(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") && matches!(self.stream.read(&mut byte), Ok(1)) {
            line.push(byte[0]);
        }
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }

    /// Whether the connection ends, with nothing before, in the given time.
    pub fn is_closed_within(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let mut byte = [0];
        let result = self.stream.read(&mut byte);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        match result {
            Ok(count) => count == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    /// The number of the connection.
    #[track_caller]
    pub fn id(&mut self) -> u64 {
        self.ask("CLIENT ID")[1..].parse().unwrap()
    }

    /// A field of the CLIENT LIST line of a client, as another one sees it.
    #[track_caller]
    pub fn field_of(&mut self, id: u64, name: &str) -> String {
        let line = self.ask(&format!("CLIENT LIST ID {id}"));
        field(&line, name)
    }
}

/// A field of a CLIENT LIST line.
#[track_caller]
pub fn field(line: &str, name: &str) -> String {
    let prefix = format!("{name}=");
    let line = line.trim_start_matches('$').trim_end();
    let mut fields = line
        .split(' ')
        .filter_map(|field| field.strip_prefix(&prefix));
    fields
        .next()
        .unwrap_or_else(|| panic!("{name} in {line:?}"))
        .to_owned()
}

/// A request as clients send it.
pub fn request(args: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// A Python that has redis-py: of tests/install, or of the system.
pub fn python() -> Option<String> {
    let venv = concat!(env!("CARGO_TARGET_TMPDIR"), "/../venv/bin/python");
    let found = [venv, "python3"].into_iter().find(|python| {
        let import = Command::new(python).args(["-c", "import redis"]).output();
        import.is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        println!("skipped: no Python with redis-py; tests/install gets one");
    }
    found.map(str::to_owned)
}
