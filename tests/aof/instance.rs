//! Servers that are started again in the same directory.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use super::support::{Client, PATIENCE, wait};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_redstart");

/// A running server.
pub struct Instance {
    child: Child,
    pub port: u16,
    log: PathBuf,
}

impl Instance {
    /// Starts the server with an append-only file in a directory.
    pub fn start(dir: &Path, args: &[&str]) -> Instance {
        Instance::start_program(&[PROGRAM], dir, args)
    }

    /// Starts a program there; it is ready to accept connections.
    pub fn start_program(program: &[&str], dir: &Path, args: &[&str]) -> Instance {
        for _ in 0..5 {
            let (mut child, port, log) = launch(program, dir, args);
            let ready = wait("the server to start", || {
                if child.try_wait().unwrap().is_some() {
                    return Some(false);
                }
                let text = fs::read_to_string(&log).unwrap_or_default();
                text.contains("Ready to accept connections").then_some(true)
            });
            if ready {
                return Instance { child, port, log };
            }
            let text = fs::read_to_string(&log).unwrap_or_default();
            assert!(text.contains("in use"), "it does not start:\n{text}");
        }
        panic!("no free port");
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        wait(&format!("{text:?} in the log"), || {
            self.log().contains(text).then_some(())
        });
    }

    #[track_caller]
    pub fn connect(&self) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client::new(stream)
    }

    /// A figure of INFO.
    #[track_caller]
    pub fn figure(&self, name: &str) -> String {
        let info = self.connect().ask("INFO EVERYTHING");
        let prefix = format!("{name}:");
        let line = info.lines().find_map(|line| line.strip_prefix(&prefix));
        line.unwrap_or_else(|| panic!("{name} in INFO")).to_owned()
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // Under strace the server is its child, and would outlive it.
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        for child in children.unwrap_or_default().split_whitespace() {
            let _ = Command::new("kill").args(["-9", child]).status();
        }
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for it to end by itself.
    pub fn ended(mut self) -> ExitStatus {
        wait("the server to end", || self.child.try_wait().unwrap())
    }

    /// SHUTDOWN.
    pub fn shut_down(self) {
        let mut client = self.connect();
        client.send("SHUTDOWN NOSAVE\r\n");
        assert_eq!(self.ended().code(), Some(0));
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.end();
    }
}

fn launch(program: &[&str], dir: &Path, args: &[&str]) -> (Child, u16, PathBuf) {
    let probe = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = probe.local_addr().unwrap().port();
    drop(probe);
    let log = dir.join("log");
    let file = File::create(&log).unwrap();
    let child = Command::new(program[0])
        .args(&program[1..])
        .current_dir(dir)
        .args(["--port", &port.to_string(), "--save", ""])
        .args(["--appendonly", "yes", "--enable-debug-command", "yes"])
        .args(args)
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    (child, port, log)
}
