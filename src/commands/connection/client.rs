//! CLIENT: <https://redis.io/docs/latest/commands/client/>.

use super::caching::{client_caching, client_getredir, client_tracking, client_trackinginfo};
use super::kill::client_kill;
use crate::command::ctx::{Args, CmdError, CmdResult, REPLIED};
use crate::command::help::help;
use crate::command::table::{Command, Group, cat, flag};
use crate::engine::{ClientId, ClientKind, Flags, Pause, Server, Unblock};
use crate::util::num;

/// Subcommands of CLIENT.
pub(super) const CLIENT: &[Command] = &[
    Command::server("CACHING", 3, client_caching)
        .doc(
            Group::Connection,
            "6.0.0",
            "O(1)",
            "Say whether the keys that the next command reads go into the connection's cache.",
        )
        .syntax("mode:(YES | NO)")
        .flags(flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION),
    Command::server("GETNAME", 2, client_getname)
        .doc(
            Group::Connection,
            "2.6.9",
            "O(1)",
            "Tell the name that the connection was given.",
        )
        .flags(flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION),
    Command::server("GETREDIR", 2, client_getredir)
        .doc(
            Group::Connection,
            "6.0.0",
            "O(1)",
            "Tell the number of the client that hears what this one's cache has to forget.",
        )
        .flags(flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION),
    Command::server("HELP", 2, help)
        .doc(
            Group::Connection,
            "5.0.0",
            "O(1)",
            "List the subcommands of CLIENT.",
        )
        .flags(flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION),
    Command::server("ID", 2, client_id)
        .doc(
            Group::Connection,
            "5.0.0",
            "O(1)",
            "Tell the unique number of the connection.",
        )
        .flags(flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION),
    Command::server("INFO", 2, client_info)
        .doc(
            Group::Connection,
            "6.2.0",
            "O(1)",
            "Describe the connection with the fields of CLIENT LIST.",
        )
        .flags(flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION)
        .tips(&["nondeterministic_output"]),
    Command::server("KILL", -3, client_kill)
        .doc(
            Group::Connection,
            "2.4.0",
            "O(N) where N is the number of client connections",
            "Close the connections that an address or a set of filters selects.",
        )
        .syntax(
            "filter:(ip:port:string!2.8.12 | new-format:([ID client-id:integer@2.8.12] | [TYPE \
             normal_master_slave_pubsub:(NORMAL | MASTER@3.2.0 | SLAVE | REPLICA@5.0.0 | \
             PUBSUB)@2.8.12] | [USER username:string] | [ADDR ip:port:string] | [LADDR \
             ip:port:string@6.2.0] | [SKIPME yes/no:string])...)",
        )
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION)
        .history(&[
            ("2.8.12", "Added new filter format."),
            ("2.8.12", "`ID` option."),
            ("3.2.0", "Added `master` type in for `TYPE` option."),
            (
                "5.0.0",
                "Replaced `slave` `TYPE` with `replica`. `slave` still supported for backward \
                 compatibility.",
            ),
            ("6.2.0", "`LADDR` option."),
        ]),
    Command::server("LIST", -2, client_list)
        .doc(
            Group::Connection,
            "2.4.0",
            "O(N) where N is the number of client connections",
            "Describe all open connections, or those of a type or with given numbers, one per \
             line.",
        )
        .syntax(
            "[TYPE normal_master_replica_pubsub:(NORMAL | MASTER | REPLICA | PUBSUB)@5.0.0] [ID \
             id:{client-id:integer...}@6.2.0]",
        )
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION)
        .tips(&["nondeterministic_output"])
        .history(&[
            ("2.8.12", "Added unique client `id` field."),
            ("5.0.0", "Added optional `TYPE` filter."),
            ("6.0.0", "Added `user` field."),
            (
                "6.2.0",
                "Added `argv-mem`, `tot-mem`, `laddr` and `redir` fields and the optional `ID` \
                 filter.",
            ),
            (
                "7.0.0",
                "Added `resp`, `multi-mem`, `rbs` and `rbp` fields.",
            ),
            ("7.0.3", "Added `ssub` field."),
        ]),
    Command::server("NO-EVICT", 3, client_no_evict)
        .doc(
            Group::Connection,
            "7.0.0",
            "O(1)",
            "Protect the connection from being closed when clients take too much memory, or \
             stop doing so.",
        )
        .syntax("enabled:(ON | OFF)")
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION),
    Command::server("NO-TOUCH", 3, client_no_touch)
        .doc(
            Group::Connection,
            "7.2.0",
            "O(1)",
            "Leave the access time and frequency of the keys that the connection reads as they \
             are, or stop doing so.",
        )
        .syntax("enabled:(ON | OFF)")
        .flags(flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION),
    Command::server("PAUSE", -3, client_pause)
        .doc(
            Group::Connection,
            "2.9.50",
            "O(1)",
            "Hold back the commands of all clients, or only writes, for some time.",
        )
        .syntax("timeout:integer [mode:(WRITE | ALL)@6.2.0]")
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION)
        .history(&[(
            "6.2.0",
            "`CLIENT PAUSE WRITE` mode added along with the `mode` option.",
        )]),
    Command::server("REPLY", 3, client_reply)
        .doc(
            Group::Connection,
            "3.2.0",
            "O(1)",
            "Turn the replies to this connection off or on, or leave out only the next one.",
        )
        .syntax("on_off_skip:(ON | OFF | SKIP)")
        .flags(flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION),
    Command::server("SETINFO", 4, client_setinfo)
        .doc(
            Group::Connection,
            "7.2.0",
            "O(1)",
            "Tell the name or the version of the client library that uses the connection.",
        )
        .syntax("attr:(LIB-NAME libname:string | LIB-VER libver:string)")
        .flags(flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION),
    Command::server("SETNAME", 3, client_setname)
        .doc(
            Group::Connection,
            "2.6.9",
            "O(1)",
            "Give the connection a name that shows up in lists and logs.",
        )
        .syntax("connection-name:string")
        .flags(flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION),
    Command::server("TRACKING", -3, client_tracking)
        .doc(
            Group::Connection,
            "6.0.0",
            "O(1). Some options may introduce additional complexity.",
            "Have the server tell when keys change that the client may have in a cache, or stop \
             it.",
        )
        .syntax(
            "status:(ON | OFF) [REDIRECT client-id:integer] [PREFIX... prefix:string...] [BCAST] \
             [OPTIN] [OPTOUT] [NOLOOP]",
        )
        .flags(flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION),
    Command::server("TRACKINGINFO", 2, client_trackinginfo)
        .doc(
            Group::Connection,
            "6.2.0",
            "O(1)",
            "Describe what the server tells of the keys in the connection's cache.",
        )
        .flags(flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION),
    Command::server("UNBLOCK", -3, client_unblock)
        .doc(
            Group::Connection,
            "5.0.0",
            "O(log N) where N is the number of client connections",
            "Wake a client that waits in a blocking command, as if by timeout or with an error.",
        )
        .syntax("client-id:integer [timeout_error:(TIMEOUT | ERROR)]")
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION),
    Command::server("UNPAUSE", 2, client_unpause)
        .doc(
            Group::Connection,
            "6.2.0",
            "O(N) Where N is the number of paused clients",
            "Let the clients that CLIENT PAUSE holds back go on.",
        )
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION),
];

fn client_getname(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let name = server.client(id).name.clone();
    let mut reply = server.reply(id);
    if name.is_empty() {
        reply.null();
    } else {
        reply.bulk(&name);
    }
    REPLIED
}

fn client_id(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let number = server.client(id).id;
    server.reply(id).integer(number as i64);
    REPLIED
}

fn client_info(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let mut line = server.describe_client(id);
    line.push('\n');
    server.reply(id).verbatim("txt", line.as_bytes());
    REPLIED
}

fn client_list(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let mut listed: Vec<ClientId> = Vec::new();
    if args.left() == 0 {
        listed.extend(server.clients.iter().map(|client| client.handle));
    } else if args.left() == 2 && args.take_word("TYPE") {
        let class = Class::parse(args.bytes()?)?;
        let of_class = server
            .clients
            .iter()
            .filter(|client| class.has(client.kind()));
        listed.extend(of_class.map(|client| client.handle));
    } else if args.left() >= 2 && args.take_word("ID") {
        while args.left() > 0 {
            let number = args.int().map_err(|_| CmdError::err("Invalid client ID"))?;
            let number = u64::try_from(number).ok();
            listed.extend(number.and_then(|number| server.clients.find(number)));
        }
    } else {
        return Err(CmdError::Syntax);
    }
    let mut text = String::new();
    for client in listed {
        text.push_str(&server.describe_client(client));
        text.push('\n');
    }
    server.reply(id).verbatim("txt", text.as_bytes());
    REPLIED
}

/// A class of clients in a TYPE filter.
#[derive(Clone, Copy)]
pub(super) struct Class(Option<ClientKind>);

impl Class {
    pub(super) fn parse(name: &[u8]) -> Result<Class, CmdError> {
        match name.to_ascii_lowercase().as_slice() {
            b"normal" => Ok(Class(Some(ClientKind::Normal))),
            b"slave" | b"replica" => Ok(Class(Some(ClientKind::Replica))),
            b"pubsub" => Ok(Class(Some(ClientKind::PubSub))),
            // The link to a master, which is not a client that connected here.
            b"master" => Ok(Class(None)),
            _ => {
                let mut text = b"Unknown client type '".to_vec();
                text.extend_from_slice(name);
                text.push(b'\'');
                Err(CmdError::err(text))
            }
        }
    }

    pub(super) fn has(self, kind: ClientKind) -> bool {
        self.0 == Some(kind)
    }
}

/// The next argument, ON or OFF.
pub(super) fn on_off(args: &mut Args<'_>) -> Result<bool, CmdError> {
    if args.take_word("ON") {
        Ok(true)
    } else if args.take_word("OFF") {
        Ok(false)
    } else {
        Err(CmdError::Syntax)
    }
}

fn switch(server: &mut Server, id: ClientId, flag: Flags, mut args: Args<'_>) -> CmdResult {
    let on = on_off(&mut args)?;
    server.client(id).flags.set(flag, on);
    server.clients.note_memory(id);
    server.reply(id).ok();
    REPLIED
}

fn client_no_evict(server: &mut Server, id: ClientId, args: Args<'_>) -> CmdResult {
    switch(server, id, Flags::NO_EVICT, args)
}

fn client_no_touch(server: &mut Server, id: ClientId, args: Args<'_>) -> CmdResult {
    switch(server, id, Flags::NO_TOUCH, args)
}

fn client_pause(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let timeout = args.bytes()?;
    let what = match args.left() {
        0 => Pause::All,
        1 if args.take_word("WRITE") => Pause::Write,
        1 if args.take_word("ALL") => Pause::All,
        1 => return Err(CmdError::err("CLIENT PAUSE mode must be WRITE or ALL")),
        _ => return Err(CmdError::subcommand_syntax(args.argv()[1], "client")),
    };
    let timeout_ms = num::parse_i64(timeout)
        .ok_or_else(|| CmdError::err("timeout is not an integer or out of range"))?;
    if timeout_ms < 0 {
        return Err(CmdError::err("timeout is negative"));
    }
    let until_ms = server.now_ms().saturating_add(timeout_ms);
    server.begin_pause(what, until_ms);
    server.reply(id).ok();
    REPLIED
}

fn client_reply(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let flags = &mut server.client(id).flags;
    if args.take_word("ON") {
        flags.set(Flags::REPLY_OFF | Flags::REPLY_SKIP, false);
        server.reply(id).ok();
    } else if args.take_word("OFF") {
        flags.set(Flags::REPLY_OFF, true);
    } else if args.take_word("SKIP") {
        let off = flags.has(Flags::REPLY_OFF);
        flags.set(Flags::REPLY_SKIP_NEXT, !off);
    } else {
        return Err(CmdError::Syntax);
    }
    REPLIED
}

/// Whether lists, where blanks separate the fields, can show this.
fn is_printable(text: &[u8]) -> bool {
    text.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

fn client_setinfo(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let attribute = args.bytes()?;
    let (field, name) = match attribute.to_ascii_lowercase().as_slice() {
        b"lib-name" => (0, "lib-name"),
        b"lib-ver" => (1, "lib-ver"),
        _ => {
            let mut text = b"Unrecognized option '".to_vec();
            text.extend_from_slice(attribute);
            text.push(b'\'');
            return Err(CmdError::err(text));
        }
    };
    let value = args.bytes()?;
    if !is_printable(value) {
        return Err(CmdError::err(format!(
            "{name} cannot contain spaces, newlines or special characters."
        )));
    }
    server.client(id).lib[field] = value.to_vec();
    server.reply(id).ok();
    REPLIED
}

fn client_setname(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    set_name(server, id, args.bytes()?)?;
    server.reply(id).ok();
    REPLIED
}

/// Names a connection; the empty name takes the name away.
pub(super) fn set_name(server: &mut Server, id: ClientId, name: &[u8]) -> Result<(), CmdError> {
    if !is_printable(name) {
        return Err(CmdError::err(
            "Client names cannot contain spaces, newlines or special characters.",
        ));
    }
    server.client(id).name = name.to_vec();
    Ok(())
}

fn client_unblock(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let number = args.bytes()?;
    let how = match args.left() {
        0 => Unblock::Timeout,
        1 if args.take_word("TIMEOUT") => Unblock::Timeout,
        1 if args.take_word("ERROR") => Unblock::Error,
        1 => {
            return Err(CmdError::err(
                "CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
            ));
        }
        _ => return Err(CmdError::subcommand_syntax(args.argv()[1], "client")),
    };
    let number = num::parse_i64(number).ok_or(CmdError::NotInteger)?;
    let target = u64::try_from(number).ok();
    let target = target.and_then(|number| server.clients.find(number));
    let unblocked = target.is_some_and(|target| server.unblock_client(target, how));
    server.reply(id).integer(i64::from(unblocked));
    REPLIED
}

fn client_unpause(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    server.end_pause();
    server.reply(id).ok();
    REPLIED
}
