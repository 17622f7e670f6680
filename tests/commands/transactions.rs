//! Transactions; every transcript is checked against redis-server too, where
//! there is one.

use super::support::{Client, Server};

fn on_both(transcript: impl Fn(&Server)) {
    transcript(&Server::start(&["--enable-debug-command", "yes"]));
    if let Some(oracle) = Server::start_oracle(&["--enable-debug-command", "yes"]) {
        transcript(&oracle);
    }
}

fn lines(c: &mut Client, steps: &[(&str, &str)]) {
    for (line, expected) in steps {
        c.check(line, expected);
    }
}

#[test]
fn queued_commands_run_together() {
    on_both(|server| {
        let mut c = server.connect();
        lines(
            &mut c,
            &[
                ("MULTI", "+OK"),
                ("SET a 1", "+QUEUED"),
                ("INCR a", "+QUEUED"),
                ("HSET a f v", "+QUEUED"),
                ("GET a", "+QUEUED"),
                ("MULTI", "-ERR MULTI calls can not be nested"),
                (
                    "EXEC",
                    "*4 +OK :2 -WRONGTYPE Operation against a key holding the wrong kind of value $2",
                ),
                ("EXEC", "-ERR EXEC without MULTI"),
                ("DISCARD", "-ERR DISCARD without MULTI"),
                ("MULTI", "+OK"),
                ("INCR a", "+QUEUED"),
                ("DISCARD", "+OK"),
                ("GET a", "$2"),
                ("MULTI", "+OK"),
                ("EXEC", "*0"),
            ],
        );
    });
}

#[test]
fn what_is_refused_aborts() {
    on_both(|server| {
        let mut c = server.connect();
        for refused in ["NOSUCH x", "GET", "EXEC too many"] {
            c.check("MULTI", "+OK");
            c.check("SET a 1", "+QUEUED");
            c.ask(refused);
            let exec = c.ask("EXEC");
            assert!(
                exec.starts_with("-EXECABORT") || exec == "-ERR EXEC without MULTI",
                "{refused}: {exec}"
            );
        }
        c.check("MULTI", "+OK");
        c.check(
            "EXEC x",
            "-EXECABORT Transaction discarded because of: wrong number of arguments for \
             'exec' command",
        );
        c.check("GET a", "$-1");
        c.check("MULTI", "+OK");
        c.check("WATCH a", "-ERR WATCH inside MULTI is not allowed");
        c.check("DISCARD", "+OK");
        c.check("MULTI", "+OK");
        c.check("RESET", "+RESET");
        c.check("GET a", "$-1");
    });
}

#[test]
fn watched_keys_decide() {
    on_both(|server| {
        let (mut c, mut other) = (server.connect(), server.connect());
        let changes = [
            "SET a 2",
            "DEL a",
            "EXPIRE a 100",
            "FLUSHALL",
            "FLUSHDB",
            "SWAPDB 0 1",
            "RENAME a b",
            "APPEND a x",
            "COPY c a REPLACE",
            "MOVE a 1",
        ];
        for change in changes {
            c.check("FLUSHALL", "+OK");
            c.check("MSET a 1 c 3", "+OK");
            c.check("WATCH nosuch a", "+OK");
            other.ask(change);
            c.check("MULTI", "+OK");
            c.check("PING", "+QUEUED");
            c.check("EXEC", "*-1");
            c.check("MULTI", "+OK");
            c.check("PING", "+QUEUED");
            c.check("EXEC", "*1 +PONG");
        }
        for harmless in ["SET b 1", "GET a", "TOUCH a", "DEL nosuch2", "SWAPDB 2 3"] {
            c.check("FLUSHALL", "+OK");
            c.check("SET a 1", "+OK");
            c.check("WATCH a nosuch", "+OK");
            other.ask(harmless);
            c.check("MULTI", "+OK");
            c.check("EXEC", "*0");
        }
        c.check("WATCH a", "+OK");
        c.check("SET a 5", "+OK");
        c.check("UNWATCH", "+OK");
        c.check("MULTI", "+OK");
        c.check("EXEC", "*0");
        c.check("FLUSHALL", "+OK");
        c.check("WATCH a", "+OK");
        other.check("FLUSHALL", "+OK");
        c.check("MULTI", "+OK");
        c.check("EXEC", "*0");
        c.check("WATCH a", "+OK");
        c.check("SELECT 1", "+OK");
        other.check("SET a 1", "+OK");
        c.check("MULTI", "+OK");
        c.check("EXEC", "*-1");
    });
}

#[test]
fn expiry_of_watched_keys() {
    on_both(|server| {
        let mut c = server.connect();
        c.check("DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
        c.check("SET a 1 PX 1", "+OK");
        std::thread::sleep(std::time::Duration::from_millis(5));
        c.check("WATCH a", "+OK");
        c.check("GET a", "$-1");
        c.check("MULTI", "+OK");
        c.check("EXEC", "*0");
        c.check("SET a 1 PX 30", "+OK");
        c.check("WATCH a", "+OK");
        std::thread::sleep(std::time::Duration::from_millis(40));
        c.check("MULTI", "+OK");
        c.check("EXEC", "*-1");
        c.check("DEBUG SET-ACTIVE-EXPIRE 1", "+OK");
    });
}

#[test]
fn exchanged_databases_with_expired_keys() {
    on_both(|server| {
        let mut c = server.connect();
        c.check("DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
        for (ours, theirs, exec) in [
            ("PING", "SET x 1 PX 1", "*0"),
            ("SET x 1 PX 1", "SET x 2 PX 1", "*0"),
            ("SET x 1 PX 1", "PING", "*0"),
            ("SET x 1 PX 1", "SET x 2", "*-1"),
            ("SET x 1", "SET x 2 PX 1", "*-1"),
            ("PING", "PING", "*0"),
        ] {
            c.check("FLUSHALL", "+OK");
            c.check("SELECT 1", "+OK");
            c.ask(theirs);
            c.check("SELECT 0", "+OK");
            c.ask(ours);
            std::thread::sleep(std::time::Duration::from_millis(5));
            c.check("WATCH x", "+OK");
            c.check("SWAPDB 0 1", "+OK");
            c.check("MULTI", "+OK");
            c.check("EXEC", exec);
        }
        c.check("DEBUG SET-ACTIVE-EXPIRE 1", "+OK");
    });
}

#[test]
fn clients_in_transactions_are_described() {
    let server = Server::start(&[]);
    let (mut c, mut other) = (server.connect(), server.connect());
    c.check("CLIENT SETNAME mine", "+OK");
    c.check("WATCH a", "+OK");
    c.check("MULTI", "+OK");
    c.check("SET a 1", "+QUEUED");
    other.check("SET a 2", "+OK");
    let list = other.ask("CLIENT LIST");
    let line = list
        .lines()
        .find(|line| line.contains("name=mine"))
        .unwrap();
    assert!(
        line.contains(" flags=xd ") && line.contains(" multi=1 "),
        "{line}"
    );
    assert!(!line.contains(" multi-mem=0 "), "{line}");
    c.check("EXEC", "*-1");
    let list = other.ask("CLIENT LIST");
    let line = list
        .lines()
        .find(|line| line.contains("name=mine"))
        .unwrap();
    assert!(
        line.contains(" flags=N ") && line.contains(" multi=-1 "),
        "{line}"
    );
}
