//! Scripts: how they are run, and the commands that they call.

use std::sync::Arc;

use super::gates;
use super::{blocking, dispatch, multi, permitted, tracking};
use crate::acl::User;
use crate::command::ctx::{CmdError, CmdResult, Done, REPLIED};
use crate::command::permission::{self, Denied};
use crate::command::registry::{CommandId, Lookup};
use crate::command::table::flag;
use crate::engine::scripts::{PausedScript, Progress, ScriptCall, ScriptSource};
use crate::engine::{ClientId, Flags, Server};
use crate::keyspace::DbIndex;
use crate::resp::{Mark, Output};

/// What a script may do, and what it has come to.
#[derive(Default, Debug)]
pub struct ScriptState {
    /// The client that called it.
    pub client: ClientId,
    /// The database that it has selected.
    pub db: DbIndex,
    /// It wants replies as RESP3 has them.
    pub resp3: bool,
    /// Writes are refused.
    pub read_only: bool,
    /// It may use more memory when it is used up.
    pub allow_oom: bool,
    /// Who repeats its writes: bit 0 the log, bit 1 the replicas.
    pub repeated_by: u8,
    /// What its calls reply.
    pub replies: Output,
    /// For messages to the client meanwhile.
    pub told: Option<Box<Output>>,
}

/// The bit of the log in `repeated_by`.
const REPEATED_BY_LOG: u8 = 1;

impl ScriptState {
    /// The log and the replicas repeat the writes.
    pub const REPEATED_BY_ALL: u8 = 3;
}

/// How a call of a script went.
pub enum Called {
    /// There is a reply.
    Replied,
    /// It was refused.
    Refused(CmdError),
}

/// Whether a script may be paused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pausing {
    /// When it takes long.
    Allowed,
    /// Nobody could be served meanwhile.
    Never,
}

/// Runs a script; none: it was paused, and its client waits.
pub fn run(
    server: &mut Server,
    id: ClientId,
    command: CommandId,
    argv: &[&[u8]],
    call: ScriptCall,
    pausing: Pausing,
) -> Option<CmdResult> {
    let Some(mut interpreter) = server.scripts.interpreter.take() else {
        return Some(Err(CmdError::err(
            "A script can't run while another one does",
        )));
    };
    if pausing == Pausing::Never {
        // Nobody has looked at the time for what is loaded.
        server.now_ns = server.clock.now_ns();
    }
    let (began_ns, stood) = (server.now_ns, server.time_stands);
    server.scripts.may_pause = pausing == Pausing::Allowed;
    server.scripts.has_written = false;
    server.scripts.has_read = false;
    server.scripts.kill = false;
    server.scripts.has_failed = false;
    server.time_stands = true;
    server.scripts.calling = true;
    let progress = interpreter.run(server, id, argv, call);
    server.scripts.interpreter = Some(interpreter);
    server.scripts.calling = false;
    server.time_stands = stood;
    match progress {
        Progress::Ended(result) => {
            restore(server, id, command, began_ns);
            Some(result)
        }
        Progress::Paused => {
            let is_function = call.source == ScriptSource::Function;
            let function = is_function.then(|| server.functions.get(argv[1]));
            let name = function.flatten().map(|function| function.name.clone());
            let paused = PausedScript {
                client: id,
                argv: dispatch::kept(argv, &[]),
                command,
                is_function,
                name: name.unwrap_or_default(),
                exec: None,
                began_ns,
                now_ms: server.keyspace.now_ms,
                client_gone: false,
                thread: server
                    .clients
                    .get(id)
                    .map_or(0, |client| client.raw.io_thread),
            };
            server.client(id).flags.set(Flags::IN_SCRIPT, true);
            server.scripts.paused = Some(Box::new(paused));
            server.now_ns = server.clock.now_ns();
            None
        }
    }
}

/// What the client has called is the script, which took all of the time.
fn restore(server: &mut Server, id: ClientId, command: CommandId, began_ns: u64) {
    server.client(id).last_command = Some(command);
    server.running = Some(command);
    server.now_ns = began_ns;
    // One that gives an error back is counted when that is written.
    if std::mem::take(&mut server.scripts.has_failed) {
        server.stats.commands[command.index()].failed += 1;
    }
}

/// Lets the paused script run on for a while, and what it is part of.
pub fn proceed(server: &mut Server) {
    let Some(mut paused) = server.scripts.paused.take() else {
        return;
    };
    let Some(mut interpreter) = server.scripts.interpreter.take() else {
        return;
    };
    let id = paused.client;
    server.keyspace.now_ms = paused.now_ms;
    server.time_stands = true;
    server.scripts.calling = true;
    server.executing = Some(id);
    let mark = dispatch::begin_reply(server.client(id));
    let progress = interpreter.proceed(server);
    server.scripts.interpreter = Some(interpreter);
    server.scripts.calling = false;
    server.time_stands = false;
    let result = match progress {
        Progress::Paused => {
            server.scripts.paused = Some(paused);
            server.now_ns = server.clock.now_ns();
            return leave(server, id, mark);
        }
        Progress::Ended(result) => result,
    };
    restore(server, id, paused.command, paused.began_ns);
    let argv: Vec<&[u8]> = paused.argv.iter().map(|arg| &arg[..]).collect();
    dispatch::finish(server, id, paused.command, &argv, result);
    let command = match paused.exec.take() {
        None => paused.command,
        Some(run) => {
            let Some(command) = multi::proceed(server, id, *run) else {
                // Another script of the same transaction was paused.
                if let Some(next) = &mut server.scripts.paused {
                    next.client_gone = paused.client_gone;
                }
                return leave(server, id, mark);
            };
            command
        }
    };
    dispatch::end_unit(server, command);
    dispatch::after_reply(server, id, mark);
    tracking::after_request(server, id, Lookup::Found(command));
    server.client(id).flags.set(Flags::IN_SCRIPT, false);
    server.executing = None;
    server.clients.schedule(id);
    blocking::after_command(server);
    if paused.client_gone {
        server.forget_client(id);
    }
}

/// Ends a turn of a paused script.
fn leave(server: &mut Server, id: ClientId, mark: Mark) {
    dispatch::leave_reply(server.client(id), mark);
    server.executing = None;
}

/// Executes a command for a script; its reply, an error too, is added to
/// `state.replies`.
pub fn call(server: &mut Server, state: &mut ScriptState, argv: &[&[u8]]) -> Called {
    let id = state.client;
    let command = match allowed(server, state, argv) {
        Ok(command) => command,
        Err((command, error)) => {
            server.stats.error_reply(error.code());
            if let Some(command) = command {
                server.stats.commands[command.index()].rejected += 1;
            }
            return Called::Refused(error);
        }
    };
    let flags = server.registry[command].flags;
    if flags & flag::WRITE != 0 {
        server.scripts.has_written = true;
    }
    server.now_ns = server.clock.now_ns();
    let client = server.client(id);
    std::mem::swap(&mut client.output, &mut state.replies);
    let resp3 = std::mem::replace(&mut client.resp3, state.resp3);
    let db = std::mem::replace(&mut client.db, state.db);
    // What is told to the client meanwhile is no part of the reply.
    let kept = client.kept.take();
    client.kept = Some(state.told.take().unwrap_or_default());
    let logged = server.journal.mark();
    let result = match dispatch::call(server, id, command, argv, &[], None) {
        // Only where scripts may call what is not for them: nothing is queued.
        Ok(Done::Exec) => multi::exec(server, id, command, argv).unwrap_or(REPLIED),
        Ok(Done::Script(_)) => Err(CmdError::err("A script can't run while another one does")),
        result => result,
    };
    let wait = dispatch::finish(server, id, command, argv, result);
    if let Some(wait) = wait {
        // Nobody waits inside of a script.
        dispatch::log_call(server, id, command, argv, wait.ran_ns);
        blocking::reply_denied(server, id, wait.when_denied);
    }
    if state.repeated_by & REPEATED_BY_LOG == 0 {
        server.journal.truncate(logged);
    }
    let client = server.client(id);
    let told = std::mem::replace(&mut client.kept, kept);
    std::mem::swap(&mut client.output, &mut state.replies);
    client.resp3 = resp3;
    state.db = std::mem::replace(&mut client.db, db);
    match told {
        Some(told) if !told.is_empty() => client.kept.get_or_insert_default().append(*told),
        told => state.told = told,
    }
    Called::Replied
}

type Refusal = (Option<CommandId>, CmdError);

/// The command that a script calls, if it may.
fn allowed(server: &mut Server, state: &ScriptState, argv: &[&[u8]]) -> Result<CommandId, Refusal> {
    let Lookup::Found(command) = server.registry.resolve(argv) else {
        let text = "Unknown Redis command called from script";
        return Err((None, CmdError::err(text)));
    };
    let refused = |error| Err((Some(command), error));
    let entry = &server.registry[command];
    if !entry.accepts(argv.len()) {
        let text = "Wrong number of args calling Redis command from script";
        return refused(CmdError::err(text));
    }
    if entry.flags & flag::NOSCRIPT != 0 && !server.scripts.allow_denied {
        let text = "This Redis command is not allowed from script";
        return refused(CmdError::err(text));
    }
    let client = state.client;
    let user = server.clients.get(client).map(|client| &client.user);
    if let Some(Err(denied)) = user.map(|user| permission::check(user, entry, argv)) {
        permitted::note(server, client, command, argv, denied);
        return refused(not_permitted(denied));
    }
    const MAY_WRITE: u32 = flag::WRITE | flag::MAY_REPLICATE;
    if state.read_only && entry.flags & MAY_WRITE != 0 {
        let text = "Write commands are not allowed from read-only scripts.";
        return refused(CmdError::err(text));
    }
    // A script that has begun to write is not stopped half-way.
    if server.scripts.has_written {
        return Ok(command);
    }
    if entry.flags & flag::WRITE != 0 {
        if server.cannot_save() {
            return refused(gates::cannot_save());
        }
        if let Some(text) = server.aof.trouble() {
            let text = format!("Errors writing to the AOF file: {text}");
            return refused(CmdError::coded("MISCONF", text));
        }
    }
    if entry.flags & flag::DENYOOM != 0 && server.out_of_memory && !state.allow_oom {
        return refused(CmdError::OutOfMemory);
    }
    Ok(command)
}

fn not_permitted(denied: Denied) -> CmdError {
    let what = match denied {
        Denied::Command => "can't run this command or subcommand",
        Denied::Key(_) => {
            "can't access at least one of the keys mentioned in the command arguments"
        }
        Denied::Channel(_) => "can't publish to the channel mentioned in the command",
    };
    CmdError::err(format!("The user executing the script {what}"))
}

/// Whether the user of a script might call a command; none: there is no such
/// command.
pub fn would_permit(server: &Server, state: &ScriptState, argv: &[&[u8]]) -> Option<bool> {
    let Lookup::Found(command) = server.registry.resolve(argv) else {
        return None;
    };
    let user: &Arc<User> = &server.clients.get(state.client)?.user;
    Some(permission::check(user, &server.registry[command], argv).is_ok())
}

/// What a script that declares its needs must pass before it runs.
///
/// # Errors
/// Why it does not run.
pub fn may_begin(
    server: &Server,
    flags: crate::engine::scripts::ScriptFlags,
    read_only: bool,
) -> CmdResult {
    if !flags.declared || flags.no_writes {
        return REPLIED;
    }
    if server.cannot_save() {
        return Err(CmdError::coded(
            "MISCONF",
            "Redis is configured to save RDB snapshots, but it's currently unable to persist to \
             disk. Writable scripts are blocked. Use 'no-writes' flag for read only scripts.",
        ));
    }
    if let Some(text) = server.aof.trouble() {
        let text = format!(
            "Redis is configured to persist data to AOF, but it's currently unable to persist to \
             disk. Writable scripts are blocked. Use 'no-writes' flag for read only scripts. AOF \
             error: {text}"
        );
        return Err(CmdError::coded("MISCONF", text));
    }
    if read_only {
        let text = "Can not execute a script with write flag using *_ro command.";
        return Err(CmdError::err(text));
    }
    if server.out_of_memory && !flags.allow_oom {
        let text = "allow-oom flag is not set on the script, can not run it when used memory > \
                    'maxmemory'";
        return Err(CmdError::coded("OOM", text));
    }
    REPLIED
}
