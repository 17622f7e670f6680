//! A server under test: started on a free loopback port, stopped when dropped.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Result;
use super::usage::{self, CpuTime};

/// How long a server may take until it answers its first PING.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How long a control command may take.
const REPLY_LIMIT: Duration = Duration::from_secs(30);
/// How often a start is tried when another process takes the free port first.
const START_TRIES: u32 = 3;

/// A program to compare, with a name for the tables.
#[derive(Clone, Debug)]
pub struct ServerSpec {
    /// Name in the tables.
    pub name: String,
    program: String,
    arguments: Vec<String>,
}

impl ServerSpec {
    /// A server without arguments of its own; `program` without a slash is looked up in PATH.
    pub fn new(name: &str, program: &str) -> ServerSpec {
        ServerSpec {
            name: name.to_owned(),
            program: program.to_owned(),
            arguments: Vec::new(),
        }
    }
}

impl FromStr for ServerSpec {
    type Err = String;

    /// Parses `NAME=PATH[:ARGUMENTS]`; arguments are separated by spaces.
    fn from_str(text: &str) -> std::result::Result<ServerSpec, String> {
        let (name, command) = text.split_once('=').ok_or("expected NAME=PATH[:ARGS]")?;
        let (program, arguments) = command.split_once(':').unwrap_or((command, ""));
        if name.is_empty() || program.is_empty() {
            return Err("expected NAME=PATH[:ARGS]".to_owned());
        }
        Ok(ServerSpec {
            arguments: arguments.split_whitespace().map(str::to_owned).collect(),
            ..ServerSpec::new(name, program)
        })
    }
}

/// A running server. Dropping it kills the process, and only that one.
pub struct Server {
    child: Child,
    port: u16,
    // Working directory and log; removed after the process.
    directory: Option<tempfile::TempDir>,
}

impl Server {
    /// Starts `spec` on the cores in `cores` (as `taskset -c` takes them) with `extra` arguments,
    /// and waits until it answers.
    pub fn start(spec: &ServerSpec, cores: &str, extra: &[&str]) -> Result<Server> {
        let mut last = String::new();
        for _ in 0..START_TRIES {
            match Server::start_once(spec, cores, extra) {
                Ok(server) => return Ok(server),
                Err(error) => last = error.to_string(),
            }
        }
        Err(format!("{} does not start: {last}", spec.name).into())
    }

    fn start_once(spec: &ServerSpec, cores: &str, extra: &[&str]) -> Result<Server> {
        let directory = tempfile::tempdir()?;
        let log_path = directory.path().join("log");
        let log = fs::File::create(&log_path)?;
        let port = free_port()?;
        // Both wrappers end in exec, so the child's pid is the server's. The parent death signal
        // covers the ends of this bench in which nothing is dropped.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "taskset", "-c", cores])
            .arg(&spec.program)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .args(["--enable-debug-command", "yes"])
            .args(extra)
            .args(&spec.arguments)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut server = Server {
            child,
            port,
            directory: Some(directory),
        };
        let started = Instant::now();
        loop {
            if let Some(status) = server.child.try_wait()? {
                let log = fs::read_to_string(&log_path).unwrap_or_default();
                let tail = log.lines().rev().take(5).collect::<Vec<_>>();
                let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
                return Err(format!("it ended with {status}\n{tail}").into());
            }
            if server.ask("PING").is_ok_and(|reply| reply == "+PONG") {
                return Ok(server);
            }
            if started.elapsed() > START_LIMIT {
                return Err("no answer to PING".into());
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// The loopback address it listens on.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// CPU time of all its threads so far.
    pub fn cpu_time(&self) -> Result<CpuTime> {
        usage::cpu_time(self.child.id())
    }

    /// Its resident bytes now.
    pub fn resident_bytes(&self) -> Result<u64> {
        usage::resident_bytes(self.child.id())
    }

    /// Sends an inline command over a connection of its own; the reply's first line.
    pub fn ask(&self, command: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.address())?;
        stream.set_read_timeout(Some(REPLY_LIMIT))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// The value of a field of a section of INFO.
    pub fn info(&self, section: &str, field: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.address())?;
        stream.set_read_timeout(Some(REPLY_LIMIT))?;
        stream.write_all(format!("INFO {section}\r\nQUIT\r\n").as_bytes())?;
        for line in BufReader::new(stream).lines() {
            if let Some((name, value)) = line?.split_once(':')
                && name == field
            {
                return Ok(value.trim_end().to_owned());
            }
        }
        Err(format!("INFO {section} has no {field}").into())
    }

    /// Its resident bytes now, and what children have made their own.
    pub fn resident_with_children(&self) -> Result<u64> {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let mut bytes = self.resident_bytes()?;
        for child in children.split_whitespace() {
            // It may have ended meanwhile.
            let rollup = fs::read_to_string(format!("/proc/{child}/smaps_rollup"));
            for line in rollup.unwrap_or_default().lines() {
                if let Some(rest) = line.strip_prefix("Private_Dirty:") {
                    let kilobytes = rest.split_whitespace().next().unwrap_or("0");
                    bytes += kilobytes.parse::<u64>()? * 1024;
                }
            }
        }
        Ok(bytes)
    }

    /// Kills it, and gives its directory with what it has written.
    pub fn end(mut self) -> Result<tempfile::TempDir> {
        let directory = self.directory.take();
        drop(self);
        directory.ok_or_else(|| "the directory is gone".into())
    }

    /// Fails unless the server holds exactly `keys` keys: a server that drops writes is fast.
    pub fn expect_keys(&self, keys: u64) -> Result<()> {
        let reply = self.ask("DBSIZE")?;
        if reply == format!(":{keys}") {
            Ok(())
        } else {
            Err(format!("DBSIZE answers {reply:?}, expected {keys} keys").into())
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only when the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}
