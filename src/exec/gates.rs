//! What a call must pass before it runs: one ordered list, exceptions as
//! flags of the command.

use crate::command::ctx::CmdError;
use crate::command::error::{SHOWN_BYTES_MAX, shown};
use crate::command::permission::{self, Denied};
use crate::command::registry::{CommandId, Entry, Lookup};
use crate::command::table::{Group, flag};
use crate::engine::{Client, ClientKind, Flags, Pause, Server};

/// Why a call does not run.
pub enum Refusal {
    /// It is answered with this.
    Error(CmdError),
    /// It waits until CLIENT PAUSE ends.
    Postponed,
    /// The user may not run it.
    Denied(CommandId, Denied),
}

impl From<CmdError> for Refusal {
    fn from(error: CmdError) -> Refusal {
        Refusal::Error(error)
    }
}

/// A call on its way to its handler.
pub struct Passage<'a> {
    server: &'a Server,
    client: &'a Client,
    command: &'a Entry,
    argv: &'a [&'a [u8]],
    /// The command's flags, or those that a script declares.
    flags: u32,
}

/// The command of a call, if there is one and it may run now.
#[inline]
pub fn check(
    server: &Server,
    client: &Client,
    argv: &[&[u8]],
    lookup: Lookup,
) -> Result<CommandId, Refusal> {
    let id = known(server, argv, lookup)?;
    let passage = Passage {
        server,
        client,
        command: &server.registry[id],
        argv,
        flags: flags_in_use(server, &server.registry[id], argv),
    };
    passage.arity()?;
    passage.protected()?;
    passage.authenticated()?;
    passage.allowed_in_multi()?;
    passage.permitted()?;
    passage.has_memory()?;
    passage.can_be_saved()?;
    passage.disk_works()?;
    passage.allowed_to_subscribers()?;
    passage.loaded()?;
    passage.not_busy()?;
    passage.not_paused()?;
    Ok(id)
}

/// A script may declare what its call does; only that counts then.
#[inline]
fn flags_in_use(server: &Server, command: &Entry, argv: &[&[u8]]) -> u32 {
    if command.command.group != Group::Scripting || command.parent.is_some() || argv.len() < 2 {
        return command.flags;
    }
    let name = command.full_name();
    let declared = if name.starts_with("fcall") {
        server.functions.get(argv[1]).map(|function| function.flags)
    } else {
        let by_sha = name.starts_with("evalsha");
        let interpreter = server.scripts.interpreter.as_ref();
        interpreter.and_then(|interpreter| interpreter.flags(argv[1], by_sha))
    };
    match declared {
        Some(declared) if declared.declared => {
            const REPLACED: u32 = flag::STALE | flag::DENYOOM | flag::WRITE | flag::MAY_REPLICATE;
            let add = |on: bool, bit: u32| if on { bit } else { 0 };
            (command.flags & !REPLACED)
                | add(!declared.allow_oom && !declared.no_writes, flag::DENYOOM)
                | add(!declared.no_writes, flag::WRITE)
                | add(declared.allow_stale, flag::STALE)
        }
        _ => command.flags,
    }
}

/// The refusal of writes when snapshots fail.
pub fn cannot_save() -> CmdError {
    CmdError::coded(
        "MISCONF",
        "Redis is configured to save RDB snapshots, but it's currently unable to persist to \
         disk. Commands that may modify the data set are disabled, because this instance is \
         configured to report errors during writes if RDB snapshotting fails \
         (stop-writes-on-bgsave-error option). Please check the Redis logs for details about \
         the RDB error.",
    )
}

fn known(server: &Server, argv: &[&[u8]], lookup: Lookup) -> Result<CommandId, CmdError> {
    match lookup {
        Lookup::Found(id) => Ok(id),
        Lookup::UnknownCommand => Err(unknown_command(argv)),
        Lookup::UnknownSubcommand(container) => {
            let entry = &server.registry[container];
            Err(CmdError::unknown_subcommand(argv[1], entry.full_name()))
        }
    }
}

fn unknown_command(argv: &[&[u8]]) -> CmdError {
    let mut args = Vec::new();
    for arg in &argv[1..] {
        if args.len() >= SHOWN_BYTES_MAX {
            break;
        }
        let room = SHOWN_BYTES_MAX - args.len();
        args.push(b'\'');
        args.extend_from_slice(shown(arg, room));
        args.extend_from_slice(b"' ");
    }
    let mut text = b"unknown command '".to_vec();
    text.extend_from_slice(shown(argv[0], SHOWN_BYTES_MAX));
    text.extend_from_slice(b"', with args beginning with: ");
    text.extend_from_slice(&args);
    CmdError::err(text)
}

impl Passage<'_> {
    #[inline]
    fn arity(&self) -> Result<(), CmdError> {
        if self.command.accepts(self.argv.len()) {
            return Ok(());
        }
        Err(CmdError::arity(self.command.full_name()))
    }

    #[inline]
    fn authenticated(&self) -> Result<(), CmdError> {
        if self.command.has(flag::NO_AUTH) || self.server.may_run_commands(self.client) {
            return Ok(());
        }
        Err(CmdError::NoAuth)
    }

    /// Commands behind `enable-debug-command` and `enable-module-command`.
    #[inline]
    fn protected(&self) -> Result<(), CmdError> {
        if !self.command.has(flag::PROTECTED) {
            return Ok(());
        }
        super::dispatch::protected(self.server, self.client, self.command)
    }

    #[inline]
    fn loaded(&self) -> Result<(), CmdError> {
        let p = &self.server.stats.persistence;
        if !p.loading || p.async_loading || self.command.has(flag::LOADING) {
            return Ok(());
        }
        Err(CmdError::coded(
            "LOADING",
            "Redis is loading the dataset in memory",
        ))
    }

    /// While a script holds everybody up.
    #[inline]
    fn not_busy(&self) -> Result<(), CmdError> {
        if !self.server.is_busy() || self.command.has(flag::ALLOW_BUSY) {
            return Ok(());
        }
        Err(self.server.busy())
    }

    /// With memory full, nothing runs that needs more of it: neither a command
    /// of that kind, nor queueing anything in a transaction.
    #[inline]
    fn has_memory(&self) -> Result<(), CmdError> {
        if !self.server.out_of_memory {
            return Ok(());
        }
        let in_multi = self.client.flags.has(Flags::MULTI);
        let queued = match &self.client.transaction {
            Some(transaction) if self.command.full_name() == "exec" => transaction.flags,
            _ => 0,
        };
        let needs_memory =
            (self.flags | queued) & flag::DENYOOM != 0 || (in_multi && !self.ends_transaction());
        if needs_memory {
            return Err(CmdError::OutOfMemory);
        }
        Ok(())
    }

    /// Redis: MULTI and WATCH, too, are refused where they make no sense.
    fn ends_transaction(&self) -> bool {
        self.command.has(flag::UNQUEUED) && !matches!(self.command.full_name(), "multi" | "watch")
    }

    /// Nobody may believe that data are safe when snapshots fail.
    #[inline]
    fn can_be_saved(&self) -> Result<(), CmdError> {
        if !self.server.cannot_save() || !self.tells_of_disk() {
            return Ok(());
        }
        Err(cannot_save())
    }

    #[inline]
    fn allowed_in_multi(&self) -> Result<(), CmdError> {
        if self.client.flags.has(Flags::MULTI) && self.command.has(flag::NO_MULTI) {
            return Err(CmdError::err("Command not allowed inside a transaction"));
        }
        Ok(())
    }

    /// Whether a call writes; of a transaction it is what was queued that
    /// counts.
    #[inline]
    fn writes(&self, flags: u32) -> bool {
        let queued = match &self.client.transaction {
            Some(transaction) if self.command.full_name() == "exec" => transaction.flags,
            _ => 0,
        };
        (self.flags | queued) & flags != 0
    }

    /// Whether a call is refused when the disk fails. Redis: PING is, too.
    fn tells_of_disk(&self) -> bool {
        self.writes(flag::WRITE) || self.command.full_name() == "ping"
    }

    /// What could not be logged is not executed.
    #[inline]
    fn disk_works(&self) -> Result<(), CmdError> {
        let Some(text) = self.server.aof.trouble() else {
            return Ok(());
        };
        if !self.tells_of_disk() {
            return Ok(());
        }
        let text = format!("Errors writing to the AOF file: {text}");
        Err(CmdError::coded("MISCONF", text))
    }

    #[inline]
    fn permitted(&self) -> Result<(), Refusal> {
        permission::check(&self.client.user, self.command, self.argv)
            .map_err(|denied| Refusal::Denied(self.command.id, denied))
    }

    /// In RESP2 all that a subscriber receives counts as messages.
    #[inline]
    fn allowed_to_subscribers(&self) -> Result<(), CmdError> {
        if !self.client.flags.has(Flags::PUBSUB)
            || self.client.resp3
            || self.command.has(flag::WHILE_SUBSCRIBED)
        {
            return Ok(());
        }
        Err(CmdError::err(format!(
            "Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
             allowed in this context",
            self.command.full_name()
        )))
    }

    #[inline]
    fn not_paused(&self) -> Result<(), Refusal> {
        let Some(pause) = self.server.pause else {
            return Ok(());
        };
        const WRITES: u32 = flag::WRITE | flag::MAY_REPLICATE;
        let writes = self.writes(WRITES);
        let held = match pause.what {
            Pause::All => true,
            Pause::Write => writes,
        };
        let replica = self.client.kind() == ClientKind::Replica;
        if held && !replica && self.server.clock_unix_ms() < pause.until_ms {
            return Err(Refusal::Postponed);
        }
        Ok(())
    }
}
