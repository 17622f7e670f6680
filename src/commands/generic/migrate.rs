//! MIGRATE: keys handed over to another server.
//!
//! It stops this server until the other has answered: see
//! [`crate::engine::peers`] for why, and for how long.

use std::io;
use std::time::Duration;

use super::dump::{RESTORE, RESTORE_ASKING};
use crate::command::ctx::{Args, CmdError, CmdResult, REPLIED};
use crate::command::keyspec;
use crate::command::table::{Command, Find, Group, cat, flag, key_at, keys_after, kflag};
use crate::engine::peers::{DialError, Kept};
use crate::engine::{ClientId, Flags, Server};
use crate::keyspace::{DbIndex, event};
use crate::rdb::payload;
use crate::util::num::parse_i64;

/// The time that is given where none is, milliseconds.
const TIMEOUT_DEFAULT_MS: u64 = 1000;

/// The command.
pub const COMMANDS: &[Command] = &[Command::server("MIGRATE", -6, migrate)
    .doc(
        Group::Generic,
        "2.6.0",
        "This command actually executes a DUMP+DEL in the source instance, and a RESTORE in the \
         target instance. See the pages of these commands for time complexity. Also an O(N) data \
         transfer between the two instances is performed.",
        "Hand keys over to another server, where they are before they are gone here.",
    )
    .syntax(
        "host:string port:integer key_or_empty_string:(key:key | empty_string=\"\") \
         destination-db:integer timeout:integer [COPY@3.0.0] [REPLACE@3.0.0] \
         [authentication:([AUTH password:string@4.0.7] | [AUTH2 \
         username_password:{username:string password:string}@6.0.0])] [KEYS key:key#1@3.0.6...]",
    )
    .flags(flag::WRITE)
    .acl(cat::KEYSPACE | cat::DANGEROUS)
    .keys(&[
        key_at(kflag::RW | kflag::ACCESS | kflag::DELETE, 3),
        keys_after(
            kflag::RW | kflag::ACCESS | kflag::DELETE | kflag::INCOMPLETE,
            "KEYS",
            -2,
            Find::Range(-1, 1, 0),
        ),
    ])
    .key_finder(keyspec::one_or_after_keys)
    .tips(&["nondeterministic_output"])
    .history(&[
        ("3.0.0", "Added the `COPY` and `REPLACE` options."),
        ("3.0.6", "Added the `KEYS` option."),
        ("4.0.7", "Added the `AUTH` option."),
        ("6.0.0", "Added the `AUTH2` option."),
    ])];

/// What is to be done.
struct Migration<'a> {
    host: &'a [u8],
    port: &'a [u8],
    /// The keys that are named, later those that are there.
    keys: Vec<&'a [u8]>,
    to_db: i64,
    timeout: Duration,
    copy: bool,
    replace: bool,
    /// User (none: the default one) and password.
    credentials: Option<(Option<&'a [u8]>, &'a [u8])>,
}

impl<'a> Migration<'a> {
    /// Reads the arguments; `redact` gets the places of those that are secret.
    fn parse(args: &mut Args<'a>, redact: &mut Vec<usize>) -> Result<Migration<'a>, CmdError> {
        let (host, port, key) = (args.bytes()?, args.bytes()?, args.key()?);
        let (to_db, timeout_ms) = (args.bytes()?, args.bytes()?);
        let mut migration = Migration {
            host,
            port,
            keys: vec![key],
            to_db: 0,
            timeout: Duration::ZERO,
            copy: false,
            replace: false,
            credentials: None,
        };
        while args.left() > 0 {
            let place = args.argv().len() - args.left();
            if args.take_word("COPY") {
                migration.copy = true;
            } else if args.take_word("REPLACE") {
                migration.replace = true;
            } else if args.take_word("AUTH") {
                let user = migration.credentials.and_then(|(user, _)| user);
                migration.credentials = Some((user, args.bytes()?));
                redact.push(place + 1);
            } else if args.left() > 2 && args.take_word("AUTH2") {
                migration.credentials = Some((Some(args.bytes()?), args.bytes()?));
                redact.extend([place + 1, place + 2]);
            } else if args.take_word("KEYS") {
                if !key.is_empty() {
                    return Err(CmdError::err(
                        "When using MIGRATE KEYS option, the key argument must be set to the \
                         empty string",
                    ));
                }
                migration.keys = args.rest().to_vec();
                break;
            } else {
                return Err(CmdError::Syntax);
            }
        }
        let number = |arg| parse_i64(arg).ok_or(CmdError::NotInteger);
        let timeout_ms = u64::try_from(number(timeout_ms)?).ok();
        let timeout_ms = timeout_ms.filter(|timeout_ms| *timeout_ms > 0);
        migration.timeout = Duration::from_millis(timeout_ms.unwrap_or(TIMEOUT_DEFAULT_MS));
        migration.to_db = number(to_db)?;
        Ok(migration)
    }

    /// The requests that are sent: AUTH if need be, SELECT if `select`, a
    /// RESTORE for each key.
    fn requests(&self, server: &mut Server, from_db: DbIndex, select: bool) -> Vec<u8> {
        let mut out = Vec::new();
        match self.credentials {
            None => {}
            Some((None, password)) => request(&mut out, &[b"AUTH", password]),
            Some((Some(user), password)) => request(&mut out, &[b"AUTH", user, password]),
        }
        if select {
            let db = self.to_db.to_string();
            request(&mut out, &[b"SELECT", db.as_bytes()]);
        }
        let restore = match server.config.cluster_enabled {
            true => RESTORE_ASKING,
            false => RESTORE,
        };
        let compress = server.config.rdbcompression;
        let mut db = server.keyspace.select(from_db);
        let now_ms = db.now_ms();
        for key in &self.keys {
            let Some(entry) = db.peek(key) else {
                continue;
            };
            let payload = payload::of(entry.value().view(), compress);
            // Redis: in its last millisecond, a key lives one more there.
            let ttl_ms = entry.expire().map_or(0, |at_ms| (at_ms - now_ms).max(1));
            let ttl_ms = ttl_ms.to_string();
            let argv: [&[u8]; 5] = [
                restore.as_bytes(),
                key,
                ttl_ms.as_bytes(),
                &payload,
                b"REPLACE",
            ];
            request(&mut out, &argv[..if self.replace { 5 } else { 4 }]);
        }
        out
    }
}

fn request(out: &mut Vec<u8>, argv: &[&[u8]]) {
    let mut digits = itoa::Buffer::new();
    let mut header = |out: &mut Vec<u8>, sign: u8, number: usize| {
        out.push(sign);
        out.extend_from_slice(digits.format(number).as_bytes());
        out.extend_from_slice(b"\r\n");
    };
    header(out, b'*', argv.len());
    for arg in argv {
        header(out, b'$', arg.len());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

/// The answers of the other server, as far as they came.
#[derive(Default)]
struct Answers {
    /// Of AUTH and SELECT.
    before: Vec<Vec<u8>>,
    /// Of RESTORE, by key.
    restored: Vec<Vec<u8>>,
    /// Why no more came.
    failure: Option<Failure>,
}

struct Failure {
    doing: &'static str,
    timed_out: bool,
}

impl Failure {
    fn new(doing: &'static str, error: &io::Error) -> Failure {
        Failure {
            doing,
            timed_out: error.kind() == io::ErrorKind::TimedOut,
        }
    }

    fn error(&self) -> CmdError {
        io_error(&format!("{} to target instance", self.doing))
    }
}

fn io_error(what: &str) -> CmdError {
    CmdError::coded("IOERR", format!("error or timeout {what}"))
}

impl Answers {
    /// Sends the requests, and waits for the answers: so many before those
    /// for so many keys.
    fn wait_for(
        kept: &mut Kept,
        requests: &[u8],
        (before, keys): (usize, usize),
        timeout: Duration,
    ) -> Answers {
        let mut answers = Answers::default();
        if let Err(error) = kept.peer.send(requests, timeout) {
            answers.failure = Some(Failure::new("writing", &error));
            return answers;
        }
        for number in 0..before + keys {
            match kept.peer.read_line(timeout) {
                Ok(line) if number < before => answers.before.push(line),
                Ok(line) => answers.restored.push(line),
                Err(error) => {
                    answers.failure = Some(Failure::new("reading", &error));
                    break;
                }
            }
        }
        answers
    }

    /// The first error among them, when there is an answer for a key: only
    /// then it counts.
    fn error(&self) -> Option<CmdError> {
        self.restored.first()?;
        let all = self.before.iter().chain(&self.restored);
        let text = { all }.find_map(|line| line.strip_prefix(b"-"))?;
        let mut line = b"Target instance replied with error: ".to_vec();
        line.extend_from_slice(text);
        Some(CmdError::err(line))
    }

    /// Whether the key of this number is there now.
    fn has_arrived(&self, number: usize) -> bool {
        let is_error = |line: &Vec<u8>| line.starts_with(b"-");
        let restored = self
            .restored
            .get(number)
            .is_some_and(|line| !is_error(line));
        restored && !self.before.iter().any(is_error)
    }
}

fn migrate(server: &mut Server, client: ClientId, mut args: Args<'_>) -> CmdResult {
    let mut migration = Migration::parse(&mut args, &mut server.redact)?;
    let (from_db, no_touch) = {
        let client = server.client(client);
        (client.db, client.flags.has(Flags::NO_TOUCH))
    };
    let mut db = server.keyspace.select(from_db);
    db.no_touch = no_touch;
    migration.keys.retain(|key| db.lookup(key).is_some());
    if migration.keys.is_empty() {
        server.reply(client).simple("NOKEY");
        return REPLIED;
    }

    // What was kept may have been closed by the other side meanwhile.
    let mut answers = ask(server, from_db, &migration)?;
    let nothing_done = answers.restored.is_empty();
    if nothing_done
        && answers
            .failure
            .as_ref()
            .is_some_and(|failure| !failure.timed_out)
    {
        answers = ask(server, from_db, &migration)?;
    }

    if !migration.copy {
        let numbered = migration.keys.iter().enumerate();
        let arrived = numbered.filter(|(number, _)| answers.has_arrived(*number));
        delete(server, from_db, arrived.map(|(_, key)| *key));
    }
    if let Some(error) = answers.error() {
        return Err(error);
    }
    if let Some(failure) = answers.failure {
        return Err(failure.error());
    }
    server.reply(client).ok();
    REPLIED
}

/// Connects if need be, sends the requests and waits for the answers. The
/// connection is kept unless it failed.
///
/// # Errors
/// There is no connection.
fn ask(
    server: &mut Server,
    from_db: DbIndex,
    migration: &Migration<'_>,
) -> Result<Answers, CmdError> {
    let (host, port) = (migration.host, migration.port);
    let mut kept = match server.peers.take(host, port) {
        Some(kept) => kept,
        None => connect(server, migration)?,
    };
    let select = kept.db != Some(migration.to_db);
    let requests = migration.requests(server, from_db, select);
    let before = usize::from(migration.credentials.is_some()) + usize::from(select);
    let expected = (before, migration.keys.len());
    let answers = Answers::wait_for(&mut kept, &requests, expected, migration.timeout);
    if answers.failure.is_none() {
        kept.db = answers.error().is_none().then_some(migration.to_db);
        let now_s = server.now_ms() / 1000;
        server.peers.keep(host, port, kept, now_s);
    }
    Ok(answers)
}

fn connect(server: &mut Server, migration: &Migration<'_>) -> Result<Kept, CmdError> {
    let host = std::str::from_utf8(migration.host).ok();
    // Redis: a port is what the text begins with, and zero without a number.
    let port = leading_number(migration.port);
    let dialled = match (&mut server.hooks.dial, host, port) {
        (Some(dial), Some(host), Some(port)) => dial(host, port, migration.timeout),
        _ => Err(DialError::NoAddress),
    };
    match dialled {
        Ok(peer) => Ok(Kept::new(peer)),
        Err(DialError::NoAddress) => Err(io_error("connecting to the client")),
        // Redis: notices it only when it writes.
        Err(DialError::NoAnswer) => Err(io_error("writing to target instance")),
    }
}

/// The number that a text begins with, as C's `atoi` reads it; None when it is
/// no port.
fn leading_number(text: &[u8]) -> Option<u16> {
    let text = text.trim_ascii_start();
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match digits {
        0 if text.first() == Some(&b'-') => None,
        0 => Some(0),
        _ => std::str::from_utf8(&text[..digits]).ok()?.parse().ok(),
    }
}

/// Deletes keys that have arrived elsewhere, which is how AOF and replicas
/// learn of it.
fn delete<'a>(server: &mut Server, db: DbIndex, keys: impl Iterator<Item = &'a [u8]>) {
    let mut argv: Vec<&[u8]> = vec![b"DEL"];
    for key in keys {
        server.keyspace.select(db).remove(key, event::DEL);
        argv.push(key);
    }
    if argv.len() > 1 && server.keyspace.effects.record_expired {
        server.propagation.push(&argv);
    }
}
