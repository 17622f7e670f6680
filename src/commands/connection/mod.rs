//! Connection commands: <https://redis.io/docs/latest/commands/?group=connection>.

mod caching;
mod client;
mod kill;

use crate::acl::{DEFAULT_USER, Reason};
use crate::command::ctx::{Args, CmdError, CmdResult, REPLIED};
use crate::command::error::shown;
use crate::command::table::{Command, Group, cat, flag};
use crate::engine::{ClientId, Closing, Flags, Server};

/// The commands of this group.
pub const COMMANDS: &[Command] = &[
    Command::server("AUTH", -2, auth)
        .doc(
            Group::Connection,
            "1.0.0",
            "O(N) where N is the number of passwords defined for the user",
            "Prove who the connection is with a password, or a user name and a password.",
        )
        .syntax("[username:string@6.0.0] password:string")
        .flags(
            flag::NOSCRIPT
                | flag::LOADING
                | flag::STALE
                | flag::FAST
                | flag::NO_AUTH
                | flag::ALLOW_BUSY,
        )
        .acl(cat::CONNECTION)
        .history(&[("6.0.0", "Added ACL style (username and password).")]),
    Command::container("CLIENT", -2, client::CLIENT).doc(
        Group::Connection,
        "2.4.0",
        "Depends on subcommand.",
        "Inspect, name and control client connections.",
    ),
    Command::server("ECHO", 2, echo)
        .doc(
            Group::Connection,
            "1.0.0",
            "O(1)",
            "Send the given text back.",
        )
        .syntax("message:string")
        .flags(flag::LOADING | flag::STALE | flag::FAST)
        .acl(cat::CONNECTION),
    Command::server("HELLO", -1, hello)
        .doc(
            Group::Connection,
            "6.0.0",
            "O(1)",
            "Switch the protocol version, optionally logging in and naming the connection, and \
             describe the server.",
        )
        .syntax(
            "[arguments:{protover:integer [AUTH username_password:{username:string \
             password:string}] [SETNAME clientname:string]}]",
        )
        .flags(
            flag::NOSCRIPT
                | flag::LOADING
                | flag::STALE
                | flag::FAST
                | flag::NO_AUTH
                | flag::ALLOW_BUSY,
        )
        .acl(cat::CONNECTION)
        .history(&[(
            "6.2.0",
            "`protover` made optional; when called without arguments the command reports \
                 the current connection's context.",
        )]),
    Command::server("PING", -1, ping)
        .doc(
            Group::Connection,
            "1.0.0",
            "O(1)",
            "Answer PONG, or the given text, to show that the server responds.",
        )
        .syntax("[message:string]")
        .flags(flag::FAST | flag::WHILE_SUBSCRIBED)
        .acl(cat::CONNECTION)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Command::server("QUIT", -1, quit)
        .doc(
            Group::Connection,
            "1.0.0",
            "O(1)",
            "Have the server acknowledge and then close the connection.",
        )
        .flags(
            flag::UNQUEUED
                | flag::WHILE_SUBSCRIBED
                | flag::NOSCRIPT
                | flag::LOADING
                | flag::STALE
                | flag::FAST
                | flag::NO_AUTH
                | flag::ALLOW_BUSY,
        )
        .acl(cat::CONNECTION),
    Command::server("RESET", 1, reset)
        .doc(
            Group::Connection,
            "6.2.0",
            "O(1)",
            "Bring the connection back to the state of a freshly opened one.",
        )
        .flags(
            flag::UNQUEUED
                | flag::WHILE_SUBSCRIBED
                | flag::NOSCRIPT
                | flag::LOADING
                | flag::STALE
                | flag::FAST
                | flag::NO_AUTH
                | flag::ALLOW_BUSY,
        )
        .acl(cat::CONNECTION),
    Command::server("SELECT", 2, select)
        .doc(
            Group::Connection,
            "1.0.0",
            "O(1)",
            "Choose the database that the following commands of the connection use.",
        )
        .syntax("index:integer")
        .flags(flag::LOADING | flag::STALE | flag::FAST)
        .acl(cat::CONNECTION),
];

fn auth(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let words = args.argv().len();
    if words > 3 {
        return Err(CmdError::Syntax);
    }
    server.redact.extend(1..words);
    let name = if words == 3 {
        args.bytes()?
    } else {
        // Redis: a password alone is a mistake where none is set.
        if server.users.default_needs_no_password() {
            return Err(CmdError::err(
                "AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?",
            ));
        }
        DEFAULT_USER.as_bytes()
    };
    let password = args.bytes()?;
    log_in(server, id, args.argv(), name, password)?;
    server.reply(id).ok();
    REPLIED
}

/// Has the connection act as a user from now on; `called` are the words of the
/// command that asks for it.
fn log_in(
    server: &mut Server,
    id: ClientId,
    called: &[&[u8]],
    name: &[u8],
    password: &[u8],
) -> Result<(), CmdError> {
    let Some(user) = server.users.authenticate(name, password).cloned() else {
        let command = called.first().copied().unwrap_or_default();
        server.log_refusal(id, Reason::Auth, command, Some(name));
        return Err(CmdError::WrongPass);
    };
    let client = server.client(id);
    client.user = user;
    client.authenticated = true;
    Ok(())
}

fn echo(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let message = args.bytes()?;
    server.reply(id).bulk(message);
    REPLIED
}

fn hello(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let mut resp3 = None;
    if args.left() > 0 {
        let version = args
            .int()
            .map_err(|_| CmdError::err("Protocol version is not an integer or out of range"))?;
        resp3 = match version {
            2 => Some(false),
            3 => Some(true),
            _ => return Err(CmdError::coded("NOPROTO", "unsupported protocol version")),
        };
    }
    while let Some(option) = args.next_arg() {
        if option.eq_ignore_ascii_case(b"AUTH") && args.left() >= 2 {
            let first = args.argv().len() - args.left();
            server.redact.extend([first, first + 1]);
            let (name, password) = (args.bytes()?, args.bytes()?);
            log_in(server, id, args.argv(), name, password)?;
        } else if option.eq_ignore_ascii_case(b"SETNAME") && args.left() >= 1 {
            let name = args.bytes()?;
            client::set_name(server, id, name)?;
        } else {
            let mut text = b"Syntax error in HELLO option '".to_vec();
            text.extend_from_slice(shown(option, usize::MAX));
            text.push(b'\'');
            return Err(CmdError::err(text));
        }
    }
    let open_to_all = server.users.open_to_all();
    let client = server.client(id);
    if !client.authenticated && !open_to_all {
        return Err(CmdError::coded(
            "NOAUTH",
            "HELLO must be called with the client already authenticated, otherwise the HELLO \
             AUTH <user> <pass> option can be used to authenticate the client and select the \
             RESP protocol version at the same time",
        ));
    }
    if let Some(resp3) = resp3 {
        client.resp3 = resp3;
    }
    let (number, version) = (client.id, if client.resp3 { 3 } else { 2 });
    let mut reply = server.reply(id);
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(crate::version::REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.integer(version);
    reply.bulk(b"id");
    reply.integer(number as i64);
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    reply.bulk(b"master");
    reply.bulk(b"modules");
    reply.array(0);
    REPLIED
}

fn ping(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    if args.left() > 1 {
        return Err(CmdError::arity("ping"));
    }
    let message = args.next_arg();
    let client = server.client(id);
    // Redis: a subscriber in RESP2 gets a message, as all it receives is messages.
    let as_message = client.flags.has(Flags::PUBSUB) && !client.resp3;
    let mut reply = server.reply(id);
    if as_message {
        reply.array(2);
        reply.bulk(b"pong");
        reply.bulk(message.unwrap_or_default());
    } else if let Some(message) = message {
        reply.bulk(message);
    } else {
        reply.simple("PONG");
    }
    REPLIED
}

fn quit(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    server.reply(id).ok();
    server.clients.close(id, Closing::AfterReply);
    REPLIED
}

fn reset(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let flags = server.client(id).flags;
    if flags.has(Flags::REPLICA) && !flags.has(Flags::MONITOR) {
        return Err(CmdError::err("can only reset normal client connections"));
    }
    server.reset_client(id);
    server.reply(id).simple("RESET");
    REPLIED
}

fn select(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let number = args.int()?;
    if i32::try_from(number).is_err() {
        return Err(CmdError::err(format!(
            "value is out of range, value must between {} and {}",
            i32::MIN,
            i32::MAX
        )));
    }
    let db = server
        .keyspace
        .index(number)
        .ok_or(CmdError::DbOutOfRange)?;
    server.client(id).db = db;
    server.reply(id).ok();
    REPLIED
}
