//! MULTI and EXEC: commands are queued, and executed in one go.

use bytes::Bytes;

use super::scripting::Pausing;
use super::{blocking, dispatch, permitted, scripting};
use crate::command::ctx::{CmdError, CmdResult, Done, REPLIED};
use crate::command::permission;
use crate::command::registry::{CommandId, Lookup};
use crate::command::table::flag;
use crate::engine::{ClientId, ExecRun, Flags, Queued, Server};

/// Whether a call of this client is queued instead of executed.
#[inline]
pub fn queues(server: &Server, id: ClientId, command: CommandId) -> bool {
    let Some(client) = server.clients.get(id) else {
        return false;
    };
    client.flags.has(Flags::MULTI) && server.registry[command].flags & flag::UNQUEUED == 0
}

/// Queues a call.
pub fn queue(server: &mut Server, id: ClientId, command: CommandId, argv: Vec<Bytes>) {
    let flags = server.registry[command].flags;
    let client = server.client(id);
    // Redis: what would be discarded anyway is not kept.
    let lost = client.flags.has(Flags::DIRTY_CAS);
    if let Some(transaction) = &mut client.transaction
        && !lost
        && !transaction.aborted
    {
        transaction.push(Queued { command, argv }, flags);
    }
    server.reply(id).simple("QUEUED");
}

/// A call of a client in a transaction was refused: so will EXEC be. A refused
/// EXEC ends the transaction, with an error of its own.
pub fn refused(server: &mut Server, id: ClientId, lookup: Lookup, error: CmdError) -> CmdError {
    let is_exec = |command: CommandId| server.registry[command].full_name() == "exec";
    if matches!(lookup, Lookup::Found(command) if is_exec(command)) {
        server.discard(id);
        let mut line = b"EXECABORT Transaction discarded because of: ".to_vec();
        // Redis: the general code is not repeated.
        let text = error.as_bytes();
        line.extend_from_slice(text.strip_prefix(b"ERR ").unwrap_or(text));
        return CmdError::line(line);
    }
    if let Some(transaction) = &mut server.client(id).transaction {
        transaction.aborted = true;
    }
    error
}

/// Executes what a client has queued; none: a script in it was paused, and the
/// client waits.
pub fn exec(
    server: &mut Server,
    id: ClientId,
    command: CommandId,
    argv: &[&[u8]],
) -> Option<CmdResult> {
    let transaction = server.client(id).transaction.take();
    server.discard(id);
    let queue = transaction.map_or_else(Vec::new, |transaction| transaction.queue);
    server.reply(id).array(queue.len());
    let run = ExecRun {
        queue: queue.into_iter(),
        command,
        argv: Vec::new(),
        began_ns: server.now_ns,
    };
    if go_on(server, id, run).is_some() {
        return Some(REPLIED);
    }
    let paused = server.scripts.paused.as_mut();
    if let Some(run) = paused.and_then(|paused| paused.exec.as_mut()) {
        run.argv = dispatch::kept(argv, &[]);
    }
    None
}

/// Goes on with a transaction whose script has ended; gives its command when it
/// has ended too, and none when another script was paused.
pub fn proceed(server: &mut Server, id: ClientId, run: ExecRun) -> Option<CommandId> {
    server.client(id).last_command = Some(run.command);
    let run = go_on(server, id, run)?;
    let argv: Vec<&[u8]> = run.argv.iter().map(|arg| &arg[..]).collect();
    dispatch::finish(server, id, run.command, &argv, REPLIED);
    Some(run.command)
}

/// Executes what is still to run, up to the end or to a pause.
fn go_on(server: &mut Server, id: ClientId, mut run: ExecRun) -> Option<ExecRun> {
    let own = server.client(id).last_command;
    server.time_stands = true;
    while let Some(queued) = run.queue.next() {
        if !execute(server, id, &queued) {
            if let Some(paused) = &mut server.scripts.paused {
                paused.exec = Some(Box::new(run));
            }
            server.time_stands = false;
            return None;
        }
        // Redis: what the client has called is EXEC.
        server.client(id).last_command = own;
    }
    server.time_stands = false;
    // The time of EXEC is that of all its commands.
    server.now_ns = run.began_ns;
    Some(run)
}

/// Executes a command; false when it is a script that was paused.
fn execute(server: &mut Server, id: ClientId, queued: &Queued) -> bool {
    let argv: Vec<&[u8]> = queued.argv.iter().map(|arg| &arg[..]).collect();
    // The user may have been changed since.
    let entry = &server.registry[queued.command];
    let user = server.clients.get(id).map(|client| &client.user);
    let checked = user.map_or(Ok(()), |user| permission::check(user, entry, &argv[..]));
    if let Err(denied) = checked {
        permitted::note(server, id, queued.command, &argv, denied);
        dispatch::write_error(server, id, &permitted::error_in_exec(denied));
        return true;
    }
    let mut result = dispatch::call(server, id, queued.command, &argv, &queued.argv, None);
    if let Ok(Done::Script(call)) = result {
        match scripting::run(server, id, queued.command, &argv, call, Pausing::Allowed) {
            Some(ended) => result = ended,
            None => return false,
        }
    }
    let wait = dispatch::finish(server, id, queued.command, &argv, result);
    if let Some(wait) = wait {
        // Nobody waits inside of a transaction.
        dispatch::log_call(server, id, queued.command, &argv, wait.ran_ns);
        blocking::reply_denied(server, id, wait.when_denied);
    }
    true
}
