//! MULTI and EXEC: commands are queued, and executed in one go.

use bytes::Bytes;

use super::{blocking, dispatch, permitted, scripting};
use crate::command::ctx::{CmdError, Done, REPLIED};
use crate::command::permission;
use crate::command::registry::{CommandId, Lookup};
use crate::command::table::flag;
use crate::engine::{ClientId, Flags, Queued, Server};

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

/// Executes what a client has queued.
pub fn exec(server: &mut Server, id: ClientId) {
    let transaction = server.client(id).transaction.take();
    server.discard(id);
    let queue = transaction.map_or_else(Vec::new, |transaction| transaction.queue);
    server.reply(id).array(queue.len());
    let began_ns = server.now_ns;
    let own = server.client(id).last_command;
    server.time_stands = true;
    for queued in queue {
        execute(server, id, &queued);
        // Redis: what the client has called is EXEC.
        server.client(id).last_command = own;
    }
    server.time_stands = false;
    // The time of EXEC is that of all its commands.
    server.now_ns = began_ns;
}

fn execute(server: &mut Server, id: ClientId, queued: &Queued) {
    let argv: Vec<&[u8]> = queued.argv.iter().map(|arg| &arg[..]).collect();
    // The user may have been changed since.
    let entry = &server.registry[queued.command];
    let user = server.clients.get(id).map(|client| &client.user);
    let checked = user.map_or(Ok(()), |user| permission::check(user, entry, &argv[..]));
    if let Err(denied) = checked {
        permitted::note(server, id, queued.command, &argv, denied);
        dispatch::write_error(server, id, &permitted::error_in_exec(denied));
        return;
    }
    let mut result = dispatch::call(server, id, queued.command, &argv, &queued.argv, None);
    if let Ok(Done::Script(call)) = result {
        // Inside of a transaction scripts are not paused.
        let ended = scripting::run(server, id, queued.command, &argv, call);
        result = ended.unwrap_or(REPLIED);
    }
    let wait = dispatch::finish(server, id, queued.command, &argv, result);
    if let Some(wait) = wait {
        // Nobody waits inside of a transaction.
        dispatch::log_call(server, id, queued.command, &argv, wait.ran_ns);
        blocking::reply_denied(server, id, wait.when_denied);
    }
}
