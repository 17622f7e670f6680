//! Start and end of the process: what supervisors, scripts and tools rely on.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_redstart");
/// A request that any server answers, and the answer.
const ALIVE: (&str, &str) = ("STRLEN no-such-key", ":0");
const PATIENCE: Duration = Duration::from_secs(20);

fn free_port() -> u16 {
    let probe = TcpListener::bind("127.0.0.1:0").unwrap();
    probe.local_addr().unwrap().port()
}

/// Tries until it works or patience ends.
#[track_caller]
fn wait<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A running server; its log goes to a file in its directory.
struct Server {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Server {
    /// Starts one and waits until it is ready.
    fn start(args: &[&str]) -> Server {
        Server::start_as(Path::new(PROGRAM), args)
    }

    fn start_as(program: &Path, args: &[&str]) -> Server {
        for _ in 0..5 {
            let mut server = Server::launch(program, args, |_| {});
            let taken = |log: &str| log.contains("Failed listening on port");
            let log = wait("the server", || {
                let log = server.log();
                (log.contains("Ready to accept connections") || taken(&log)).then_some(log)
            });
            if !taken(&log) {
                return server;
            }
            // Somebody else was faster with this port.
            server.wait_for_end();
        }
        panic!("no port to be had");
    }

    /// Starts one without waiting.
    fn launch(program: &Path, args: &[&str], prepare: impl FnOnce(&mut Command)) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new(program);
        command
            .current_dir(dir.path())
            .args(["--port", &port.to_string(), "--save", ""])
            .args(["--bind", "127.0.0.1", "--enable-debug-command", "yes"])
            .args(args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        prepare(&mut command);
        let child = command.spawn().unwrap();
        Server { child, port, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("log")).unwrap()).into_owned()
    }

    #[track_caller]
    fn wait_for_log(&self, text: &str) {
        let start = Instant::now();
        while !self.log().contains(text) {
            let log = self.log();
            assert!(start.elapsed() < PATIENCE, "no {text:?} in the log:\n{log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn connect(&self) -> Client<TcpStream> {
        Client::new(TcpStream::connect(("127.0.0.1", self.port)).unwrap())
    }

    #[track_caller]
    fn check(&self, request: &str, reply: &str) {
        assert_eq!(self.connect().ask(request), reply, "{request}");
    }

    fn signal(&self, signal: i32) {
        signal_process(self.child.id(), signal);
    }

    #[track_caller]
    fn wait_for_end(&mut self) -> ExitStatus {
        wait("the end of the server", || self.child.try_wait().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended, as the test wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal_process(pid: u32, signal: i32) {
    let status = Command::new("kill")
        .args([format!("-{signal}"), pid.to_string()])
        .status();
    assert!(status.unwrap().success());
}

/// A client that speaks inline commands and reads one reply of any type as text.
struct Client<S> {
    stream: BufReader<S>,
}

impl<S: Read + Write> Client<S> {
    fn new(stream: S) -> Client<S> {
        Client {
            stream: BufReader::new(stream),
        }
    }

    fn send(&mut self, request: &str) {
        let line = format!("{request}\r\n");
        self.stream.get_mut().write_all(line.as_bytes()).unwrap();
    }

    fn ask(&mut self, request: &str) -> String {
        self.send(request);
        self.reply()
    }

    fn reply(&mut self) -> String {
        let mut line = String::new();
        if self.stream.read_line(&mut line).unwrap_or(0) == 0 {
            return "(closed)".into();
        }
        let line = line.trim_end().to_owned();
        let Some(len) = line.strip_prefix('$').and_then(|len| len.parse().ok()) else {
            return line;
        };
        let mut bulk = vec![0; len];
        self.stream.read_exact(&mut bulk).unwrap();
        self.stream.read_exact(&mut [0; 2]).unwrap();
        String::from_utf8_lossy(&bulk).into_owned()
    }
}

/// Runs the program to its end: exit code, standard output, standard error.
fn run(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(PROGRAM)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}

#[test]
fn ends_cleanly_when_asked_to() {
    let mut server = Server::start(&[
        "--pidfile",
        "pid",
        "--unixsocket",
        "socket",
        "--unixsocketperm",
        "750",
        "--always-show-logo",
        "yes",
    ]);
    let pid = server.child.id();
    // The order that test suites wait for.
    let log = server.log();
    let logo = log.find(&format!(" PID: {pid}")).unwrap();
    assert!(logo < log.find("Ready to accept connections").unwrap());
    let first = log.lines().next().unwrap();
    let words: Vec<&str> = first.split(' ').collect();
    assert_eq!(words[0], format!("{pid}:C"));
    assert_eq!((words[1].len(), words[3].len(), words[5]), (2, 4, "#"));
    assert_eq!(
        fs::read_to_string(server.path("pid")).unwrap(),
        format!("{pid}\n")
    );
    let socket = server.path("socket");
    assert_eq!(
        fs::metadata(&socket).unwrap().permissions().mode() & 0o777,
        0o750
    );
    let mut client = Client::new(UnixStream::connect(&socket).unwrap());
    assert_eq!(client.ask("SET key value"), "+OK");
    server.check("GET key", "value");
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait_for_end().code(), Some(0));
    let log = server.log();
    for text in [
        "Received SIGTERM scheduling shutdown...",
        "User requested shutdown...",
        "Removing the pid file.",
        "Removing the unix socket file.",
        "now ready to exit, bye bye...",
    ] {
        assert!(log.contains(text), "{text}:\n{log}");
    }
    assert!(!socket.exists() && !server.path("pid").exists());
}

#[test]
fn a_second_interrupt_ends_at_once() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    client.send("DEBUG SLEEP 30");
    std::thread::sleep(Duration::from_millis(200));
    server.signal(libc::SIGHUP);
    server.signal(libc::SIGPIPE);
    server.signal(libc::SIGINT);
    server.wait_for_log("Received SIGINT scheduling shutdown...");
    let start = Instant::now();
    server.signal(libc::SIGINT);
    assert_eq!(server.wait_for_end().code(), Some(1));
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(server.log().contains("You insist... exiting now."));
}

#[test]
fn a_signal_can_be_taken_back() {
    let mut server = Server::start(&[]);
    server.check("DEBUG PAUSE-CRON 1", "+OK");
    server.signal(libc::SIGTERM);
    server.wait_for_log("Received SIGTERM scheduling shutdown...");
    wait("the abort", || {
        (server.connect().ask("SHUTDOWN ABORT") == "+OK").then_some(())
    });
    server.wait_for_log("Shutdown manually aborted.");
    server.check("DEBUG PAUSE-CRON 0", "+OK");
    std::thread::sleep(Duration::from_millis(300));
    server.check(ALIVE.0, ALIVE.1);
    // The signal that was taken back does not count as the first.
    server.signal(libc::SIGINT);
    assert_eq!(server.wait_for_end().code(), Some(0));
}

#[test]
fn shutdown_never_pretends_to_save() {
    let mut server = Server::start(&[]);
    // The snapshot cannot take the place of a directory.
    let in_the_way = server.dir.path().join("dump.rdb");
    std::fs::create_dir(&in_the_way).unwrap();
    server.check("SET key value", "+OK");
    server.check("SHUTDOWN ABORT", "-ERR No shutdown in progress.");
    for wrong in ["SAVE NOSAVE", "ABORT NOW", "LATER"] {
        server.check(&format!("SHUTDOWN {wrong}"), "-ERR syntax error");
    }
    let reply = server.connect().ask("SHUTDOWN SAVE");
    assert!(
        reply.starts_with("-ERR Errors trying to SHUTDOWN. Check logs."),
        "{reply}"
    );
    server.check("GET key", "value");

    // A signal that asks for saving is not obeyed either, unless forced.
    server.check("CONFIG SET shutdown-on-sigterm save", "+OK");
    server.signal(libc::SIGTERM);
    server.wait_for_log("SIGTERM received but errors trying to shut down the server");
    server.check(ALIVE.0, ALIVE.1);
    server.check("CONFIG SET shutdown-on-sigterm \"save force\"", "+OK");
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait_for_end().code(), Some(0));
    assert!(server.log().contains("can't exit"));
    assert!(server.log().contains("Exit anyway"));
}

#[test]
fn refuses_what_it_cannot_do() {
    for (args, told) in [
        (
            ["--replicaof", "127.0.0.1 1"],
            "nothing would be replicated",
        ),
        (["--cluster-enabled", "yes"], "no cluster"),
        (["--tls-port", "1"], "not be encrypted"),
        (["--loadmodule", "module.so"], "would not be there"),
        (["--bind", "203.0.113.1"], "Failed listening on port"),
        (
            ["--port", "0"],
            "Configured to not listen anywhere, exiting.",
        ),
        (
            ["--unixsocket", "/no/such/dir/socket"],
            "Failed opening Unix socket: ",
        ),
    ] {
        let port = free_port().to_string();
        let all = [["--port", &port], args].concat();
        let (code, stdout, _) = run(&all);
        assert!(code == 1 && stdout.contains(told), "{args:?}:\n{stdout}");
    }
}

#[test]
fn a_port_in_use_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let (code, stdout, _) = run(&["--port", &port.to_string(), "--bind", "127.0.0.1"]);
    assert_eq!(code, 1);
    let told = format!("Failed listening on port {port} (TCP), aborting.");
    assert!(
        stdout.contains(&told) && stdout.contains("bind: Address already in use"),
        "{stdout}"
    );
}

#[test]
fn answers_questions_about_itself() {
    for name in ["-v", "--version"] {
        let (code, stdout, _) = run(&[name]);
        assert_eq!(code, 0);
        assert!(stdout.starts_with("Redis server v=7.0.15 sha="), "{stdout}");
        assert!(stdout.contains("malloc=jemalloc-"), "{stdout}");
    }
    let (code, _, stderr) = run(&["--help"]);
    assert!(code == 1 && stderr.starts_with("Usage: "), "{stderr}");
    let (code, _, stderr) = run(&["--port", "x"]);
    assert_eq!(code, 1);
    assert!(
        stderr.contains("*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***")
            && stderr.contains(">>> 'port \"x\"'")
            && stderr.contains("argument couldn't be parsed into an integer"),
        "{stderr}"
    );
    let (code, _, stderr) = run(&["--rename-command", "NOSUCH", "X"]);
    assert!(
        code == 1 && stderr.contains("No such command in rename-command"),
        "{stderr}"
    );
    for (lines, told) in [
        (
            "user alice on\nuser alice on",
            "Error in user declaration 'alice': Duplicate user found.",
        ),
        (
            "user alice on ~a%&x wrong",
            "Error in user declaration 'wrong': Syntax error",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("redis.conf");
        fs::write(&file, lines).unwrap();
        let (code, _, stderr) = run(&[file.to_str().unwrap()]);
        assert!(code == 1 && stderr.contains(told), "{lines}:\n{stderr}");
    }
    let (code, stdout, _) = run(&["--user", "alice", "on", "+nosuch", "--port", "0"]);
    assert!(
        code == 1 && stdout.contains("Configured to not listen"),
        "{stdout}"
    );
    let port = free_port().to_string();
    let (code, stdout, _) = run(&["--user", "alice", "on", "+nosuch", "--port", &port]);
    let told = "Error loading ACL rule '+nosuch' for the user named 'alice': Unknown command or \
                category name in ACL";
    assert!(code == 1 && stdout.contains(told), "{stdout}");
    assert!(
        stdout.contains("Critical error while loading ACLs. Exiting."),
        "{stdout}"
    );
    let (code, stdout, _) = run(&["--aclfile", "no.such.acl", "--port", &port]);
    let told = "Aborting Redis startup because of ACL errors: Error loading ACLs, opening file \
                'no.such.acl': No such file or directory";
    assert!(code == 1 && stdout.contains(told), "{stdout}");
    let (code, stdout, _) = run(&["--aclfile", "x", "--user", "alice", "on", "--port", &port]);
    assert!(code == 1 && stdout.contains("but not both."), "{stdout}");
    let (code, stdout, _) = run(&["/no/such/file.conf"]);
    assert_eq!(code, 1);
    assert!(
        stdout.contains("Fatal error, can't open config file '/no/such/file.conf'"),
        "{stdout}"
    );
}

#[test]
fn behaves_as_redis_server_when_called_so() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("redis-server");
    symlink(PROGRAM, &name).unwrap();
    let server = Server::start_as(&name, &[]);
    let pid = server.child.id();
    let title = || {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
        let end = line
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(line.len());
        assert!(line[end..].iter().all(|byte| *byte == 0));
        String::from_utf8(line[..end].to_vec()).unwrap()
    };
    let (name, port) = (name.display(), server.port);
    assert_eq!(title(), format!("{name} 127.0.0.1:{port}"));
    server.check(
        "CONFIG SET proc-title-template \"TEST {title} {port} {tls-port} {config-file}\"",
        "+OK",
    );
    assert_eq!(title(), format!("TEST {name} {port} 0 -"));
    // Longer than there is room for, and short again.
    let long = "x".repeat(60_000);
    let reply = server
        .connect()
        .ask(&format!("CONFIG SET proc-title-template {long}"));
    assert_eq!(reply, "+OK");
    assert!(title().len() > 100 && long.starts_with(&title()));
    server.check("CONFIG SET proc-title-template short", "+OK");
    assert_eq!(title(), "short");
    assert!(server.log().contains("Redis is starting"));
}

#[test]
fn the_log_follows_its_level_and_file() {
    let server = Server::launch(Path::new(PROGRAM), &["--logfile", "file.log"], |_| {});
    let log = || fs::read_to_string(server.path("file.log")).unwrap_or_default();
    wait("the log file", || {
        log().contains("Ready to accept").then_some(())
    });
    assert_eq!(server.log(), "");
    server.check("DEBUG LOG hello", "+OK");
    wait("the line", || {
        log().contains(" # DEBUG LOG: hello\n").then_some(())
    });
    assert!(!log().contains(" - Accepted "));
    server.check("CONFIG SET loglevel verbose", "+OK");
    wait("verbose messages", || {
        server.check(ALIVE.0, ALIVE.1);
        log().contains(" - Accepted 127.0.0.1:").then_some(())
    });
    // The file can be moved away.
    fs::rename(server.path("file.log"), server.path("old.log")).unwrap();
    server.check("DEBUG LOG again", "+OK");
    wait("a new file", || {
        log().contains("DEBUG LOG: again").then_some(())
    });
}

#[test]
fn runs_in_the_background() {
    let mut server = Server::launch(
        Path::new(PROGRAM),
        &[
            "--daemonize",
            "yes",
            "--pidfile",
            "pid",
            "--logfile",
            "file.log",
        ],
        |_| {},
    );
    assert_eq!(server.wait_for_end().code(), Some(0));
    let pid: u32 = wait("the pid file", || {
        let text = fs::read_to_string(server.path("pid")).ok()?;
        text.trim().parse().ok()
    });
    assert_ne!(pid, server.child.id());
    wait("the port", || {
        TcpStream::connect(("127.0.0.1", server.port)).ok()
    });
    server.check(ALIVE.0, ALIVE.1);
    let output = fs::read_link(format!("/proc/{pid}/fd/1")).unwrap();
    assert_eq!(output, Path::new("/dev/null"));
    signal_process(pid, libc::SIGTERM);
    wait("its end", || (!server.path("pid").exists()).then_some(()));
}

#[test]
fn tells_systemd() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let supervisor = UnixDatagram::bind(&path).unwrap();
    supervisor.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = |text: &str| {
        let mut buf = [0; 200];
        let len = supervisor.recv(&mut buf).unwrap();
        assert_eq!(String::from_utf8_lossy(&buf[..len]), text);
    };
    // A supervised server stays in the foreground.
    let args = ["--supervised", "auto", "--daemonize", "yes"];
    let mut server = Server::launch(Path::new(PROGRAM), &args, |command| {
        command
            .env_remove("UPSTART_JOB")
            .env("NOTIFY_SOCKET", &path);
    });
    told("STATUS=Ready to accept connections\n");
    told("READY=1\n");
    server.check(ALIVE.0, ALIVE.1);
    server.signal(libc::SIGTERM);
    told("STOPPING=1\n");
    assert_eq!(server.wait_for_end().code(), Some(0));

    let server = Server::start(&["--supervised", "systemd"]);
    assert!(server.log().contains("NOTIFY_SOCKET not found"));
}

#[test]
fn tells_upstart_by_stopping() {
    let server = Server::launch(
        Path::new(PROGRAM),
        &["--supervised", "upstart"],
        |command| {
            command.env("UPSTART_JOB", "redis");
        },
    );
    let stat = format!("/proc/{}/stat", server.child.id());
    wait("the stop", || {
        fs::read_to_string(&stat)
            .unwrap()
            .contains(") T ")
            .then_some(())
    });
    server.signal(libc::SIGCONT);
    server.check(ALIVE.0, ALIVE.1);
}

#[test]
fn moves_to_other_ports_and_addresses() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let reply = client.ask(&format!("CONFIG SET port {port}"));
    assert!(
        reply.ends_with("Unable to listen on this port. Check server logs."),
        "{reply}"
    );
    server.check(ALIVE.0, ALIVE.1);
    let reply = client.ask("CONFIG SET bind 203.0.113.1");
    assert!(
        reply.ends_with("Failed to bind to specified addresses."),
        "{reply}"
    );
    server.check(ALIVE.0, ALIVE.1);
    let port = free_port();
    assert_eq!(client.ask(&format!("CONFIG SET port {port}")), "+OK");
    let mut moved = Client::new(TcpStream::connect(("127.0.0.1", port)).unwrap());
    assert_eq!(moved.ask(ALIVE.0), ALIVE.1);
    wait("the old port to close", || {
        TcpStream::connect(("127.0.0.1", server.port)).err()
    });
    assert_eq!(client.ask("CONFIG SET bind \"127.0.0.1 127.0.0.2\""), "+OK");
    let mut moved = Client::new(TcpStream::connect(("127.0.0.2", port)).unwrap());
    assert_eq!(moved.ask(ALIVE.0), ALIVE.1);
    assert_eq!(client.ask("CONFIG SET bind \"* -::*\""), "+OK");
    for address in ["127.0.0.1", "127.0.0.3"] {
        let mut moved = Client::new(TcpStream::connect((address, port)).unwrap());
        assert_eq!(moved.ask(ALIVE.0), ALIVE.1);
    }
}

#[test]
fn sets_the_score_for_the_kernel() {
    let server = Server::start(&[]);
    let file = format!("/proc/{}/oom_score_adj", server.child.id());
    let score = || -> i32 { fs::read_to_string(&file).unwrap().trim().parse().unwrap() };
    let base = score();
    let mut client = server.connect();
    let values = "CONFIG SET oom-score-adj-values";
    assert_eq!(client.ask(&format!("{values} \"10 20 30\"")), "+OK");
    assert_eq!(score(), base);
    assert_eq!(client.ask("CONFIG SET oom-score-adj yes"), "+OK");
    assert_eq!(score(), base + 10);
    assert_eq!(client.ask(&format!("{values} \"15 20 30\"")), "+OK");
    assert_eq!(score(), base + 15);
    let absolute = base + 20;
    assert_eq!(
        client.ask(&format!(
            "CONFIG SET oom-score-adj absolute oom-score-adj-values \"{absolute} 0 0\""
        )),
        "+OK"
    );
    assert_eq!(score(), absolute);
    assert_eq!(client.ask("CONFIG SET oom-score-adj no"), "+OK");
    assert_eq!(score(), base);
}

#[test]
fn crashes_are_reported() {
    let mut server = Server::start(&[]);
    server.check("DEBUG SEGFAULT now", "(closed)");
    assert_eq!(server.wait_for_end().signal(), Some(libc::SIGSEGV));
    let log = server.log();
    for text in [
        "=== REDIS BUG REPORT START",
        "crashed by signal: 11",
        "------ STACK TRACE ------",
        "debugCommand (argc: 3)",
        "argv[2]: \"now\"",
        "CURRENT CLIENT INFO",
        "cmd=debug",
        "total_commands_processed:",
        "# Keyspace",
        "=== REDIS BUG REPORT END",
    ] {
        assert!(log.contains(text), "{text}:\n{log}");
    }

    let mut server = Server::start(&["--io-threads", "3"]);
    server.signal(libc::SIGABRT);
    assert_eq!(server.wait_for_end().signal(), Some(libc::SIGABRT));
    let log = server.log();
    assert!(log.contains("crashed by signal: 6") && log.contains("STACK TRACE"));

    let mut server = Server::start(&[]);
    server.check("DEBUG PANIC", "(closed)");
    assert_eq!(server.wait_for_end().signal(), Some(libc::SIGABRT));
    let log = server.log();
    assert!(log.contains("Guru Meditation: DEBUG PANIC called at Unix time"));
    assert_eq!(log.matches("BUG REPORT START").count(), 1, "{log}");

    let mut server = Server::start(&["--use-exit-on-panic", "yes"]);
    server.check("DEBUG ASSERT", "(closed)");
    assert_eq!(server.wait_for_end().code(), Some(1));
    assert!(server.log().contains("=== ASSERTION FAILED ==="));

    let mut server = Server::start(&["--crash-log-enabled", "no"]);
    server.check("DEBUG SEGFAULT", "(closed)");
    assert_eq!(server.wait_for_end().signal(), Some(libc::SIGSEGV));
    assert!(!server.log().contains("BUG REPORT"));
}

#[test]
fn the_watchdog_names_what_hangs() {
    for threads in ["1", "3"] {
        let server = Server::start(&["--io-threads", threads]);
        server.check("CONFIG SET watchdog-period 200", "+OK");
        // One connection to each thread: every one of them executes in turn.
        let mut clients: Vec<_> = (0..3).map(|_| server.connect()).collect();
        for (round, client) in clients.iter_mut().enumerate() {
            // Cron has to run in between, or the timer is not set again.
            std::thread::sleep(Duration::from_millis(300));
            assert_eq!(client.ask("DEBUG SLEEP 0.7"), "+OK");
            let log = server.log();
            let reports = log.matches("WATCHDOG TIMER EXPIRED").count();
            assert_eq!(reports, round + 1, "{threads}:\n{log}");
            assert_eq!(log.matches("Executing debugCommand").count(), round + 1);
        }
        server.check("CONFIG SET watchdog-period 0", "+OK");
        server.check("DEBUG SLEEP 0.7", "+OK");
        assert_eq!(server.log().matches("WATCHDOG TIMER EXPIRED").count(), 3);
    }
}

#[test]
fn debug_restart_starts_anew_in_place() {
    let server = Server::start(&[]);
    server.check("SET key value", "+OK");
    server.check("DEBUG CRASH-AND-RECOVER 10", "(closed)");
    wait("the new server", || {
        (server.log().matches("Ready to accept").count() == 2).then_some(())
    });
    server.check("GET key", "$-1");
}

#[test]
fn a_low_limit_of_files_lowers_maxclients() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("limited");
    let text = format!("#!/bin/sh\nulimit -n 1000\nexec {PROGRAM} \"$@\"\n");
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    // Without privileges the hard limit holds.
    let server = Server::launch(&script, &["--maxclients", "5000"], |command| {
        command.uid(65534).gid(65534);
    });
    fs::set_permissions(server.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    server.wait_for_log("Ready to accept connections");
    assert!(server.log().contains(
        "Current maximum open files is 1000. maxclients has been reduced to 968 to compensate"
    ));
    let reply = server.connect().ask("CONFIG SET maxclients 4000");
    assert!(
        reply.ends_with("is not able to handle the specified number of clients, try with 968"),
        "{reply}"
    );
}

#[test]
fn some_settings_wait_for_loading() {
    let first = Server::start(&[]);
    first.check("DEBUG POPULATE 2000", "+OK");
    first.check("SAVE", "+OK");
    let dir = first.dir.path().to_str().unwrap();
    let slow = [
        "--key-load-delay",
        "1000",
        "--enable-protected-configs",
        "yes",
    ];
    let often = ["--loading-process-events-interval-bytes", "1024"];
    let args = [&["--dir", dir][..], &slow, &often].concat();
    let loading = Server::launch(Path::new(PROGRAM), &args, |_| {});
    wait("loading to begin", || {
        let address = ("127.0.0.1", loading.port);
        let mut client = Client::new(TcpStream::connect(address).ok()?);
        let info = client.ask("INFO persistence");
        info.contains("loading:1").then_some(())
    });
    const LOADING: &str = "-LOADING Redis is loading the dataset in memory";
    loading.check("CONFIG SET loglevel debug", "+OK");
    loading.check("CONFIG SET loglevel verbose dir /", LOADING);
    loading.check("GET key:0", LOADING);
    wait("loading to end", || {
        let mut client = loading.connect();
        (client.ask("GET key:0") == "value:0").then_some(())
    });
    loading.check("CONFIG SET appendonly no", "+OK");
}

#[test]
fn flushall_leaves_nothing_to_be_saved() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let mut changes = || {
        let info = client.ask("INFO persistence");
        let line = info.lines().find(|line| line.starts_with("rdb_changes"));
        line.unwrap().to_owned()
    };
    server.check("SET k v", "+OK");
    server.check("FLUSHALL", "+OK");
    assert_eq!(changes(), "rdb_changes_since_last_save:2");
    server.check("CONFIG SET save \"3600 1000\"", "+OK");
    server.check("SET k v", "+OK");
    server.check("FLUSHALL", "+OK");
    assert_eq!(changes(), "rdb_changes_since_last_save:0");
}
