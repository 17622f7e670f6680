//! The real server.

use crate::{VERSION, ours};
use redstart::config::Config;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A server of its own for a test, stopped at its end.
pub struct Oracle {
    process: Child,
    connection: BufReader<TcpStream>,
    pub dir: TempDir,
    args: Vec<String>,
}

#[derive(Debug, PartialEq, Clone)]
pub enum Reply {
    Text(Vec<u8>),
    Error(String),
    Array(Vec<Reply>),
}

pub fn installed() -> bool {
    let version = Command::new("redis-server").arg("--version").output();
    let found = version.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains(VERSION));
    if !found {
        eprintln!("redis-server {VERSION} is not installed: nothing compared");
    }
    found
}

impl Oracle {
    /// Starts a server in a directory of its own with `files`; `args` follow
    /// the port.
    pub fn start(files: &[(&str, &str)], args: &[&str]) -> Oracle {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        for _ in 0..10 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            let mut all: Vec<String> = args.iter().map(|arg| arg.to_string()).collect();
            all.extend(["--port".to_string(), port.to_string()]);
            let mut process = Command::new("redis-server")
                .args(&all)
                .current_dir(dir.path())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            let deadline = Instant::now() + Duration::from_secs(20);
            while Instant::now() < deadline && process.try_wait().unwrap().is_none() {
                if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
                    stream
                        .set_read_timeout(Some(Duration::from_secs(20)))
                        .unwrap();
                    let connection = BufReader::new(stream);
                    return Oracle {
                        process,
                        connection,
                        dir,
                        args: all,
                    };
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _over = process.kill();
            let _over = process.wait();
        }
        panic!("redis-server does not start");
    }

    pub fn call(&mut self, args: &[&[u8]]) -> Reply {
        let mut request = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            request.extend(format!("${}\r\n", arg.len()).bytes());
            request.extend_from_slice(arg);
            request.extend(b"\r\n");
        }
        self.connection.get_mut().write_all(&request).unwrap();
        self.reply()
    }

    fn reply(&mut self) -> Reply {
        let mut line = String::new();
        self.connection.read_line(&mut line).unwrap();
        let (kind, rest) = line.trim_end().split_at(1);
        match kind {
            "-" => Reply::Error(rest.to_owned()),
            "$" => {
                let mut text = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.connection.read_exact(&mut text).unwrap();
                text.truncate(text.len() - 2);
                Reply::Text(text)
            }
            "*" => Reply::Array((0..rest.parse().unwrap()).map(|_| self.reply()).collect()),
            "+" => Reply::Text(rest.into()),
            _ => panic!("unexpected reply {line:?}"),
        }
    }

    pub fn config_get(&mut self, patterns: &[&str]) -> BTreeMap<String, String> {
        let mut args: Vec<&[u8]> = vec![b"CONFIG", b"GET"];
        args.extend(patterns.iter().map(|pattern| pattern.as_bytes()));
        let Reply::Array(parts) = self.call(&args) else {
            panic!("CONFIG GET failed");
        };
        let text = |reply: &Reply| match reply {
            Reply::Text(text) => String::from_utf8_lossy(text).into_owned(),
            other => panic!("unexpected {other:?}"),
        };
        parts
            .chunks(2)
            .map(|pair| (text(&pair[0]), text(&pair[1])))
            .collect()
    }

    /// What we make of the same command line in the same directory.
    pub fn our_config(&self) -> Config {
        ours::load(&self.args, self.dir.path()).unwrap()
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _over = self.process.kill();
        let _over = self.process.wait();
    }
}
