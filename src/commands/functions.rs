//! Functions: <https://redis.io/docs/latest/commands/?group=scripting>.
//!
//! As with scripts, a function is run by the executor: the handler only checks
//! the call.

use crate::command::ctx::{Args, CmdError, CmdResult, Done, REPLIED};
use crate::command::help::help;
use crate::command::table::{Command, Find, Group, cat, flag, keys_at, kflag};
use crate::commands::scripting::number_of_keys;
use crate::engine::functions::{self, ENGINE, NewFunction, RestorePolicy};
use crate::engine::scripts::{PausedScript, ScriptCall, ScriptFlags, ScriptSource};
use crate::engine::{ClientId, Server};
use crate::resp::Reply;
use crate::util::glob;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::server("FCALL", -3, fcall)
        .doc(
            Group::Scripting,
            "7.0.0",
            ON_FUNCTION,
            "Run a function of a library.",
        )
        .syntax(CALL)
        .flags(FCALLS)
        .acl(cat::SCRIPTING)
        .keys(&[keys_at(
            kflag::RW | kflag::ACCESS | kflag::UPDATE,
            2,
            Find::KeyNum(0, 1, 1),
        )
        .notes("We cannot tell how the keys will be used so we assume the worst, RW and UPDATE")]),
    Command::server("FCALL_RO", -3, fcall_ro)
        .doc(
            Group::Scripting,
            "7.0.0",
            ON_FUNCTION,
            "Run a function of a library that may not write.",
        )
        .syntax(CALL)
        .flags(FCALLS | flag::READONLY)
        .acl(cat::SCRIPTING)
        .keys(&[
            keys_at(kflag::RO | kflag::ACCESS, 2, Find::KeyNum(0, 1, 1)).notes(
                "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS",
            ),
        ]),
    Command::container("FUNCTION", -2, FUNCTION).doc(
        Group::Scripting,
        "7.0.0",
        "Depends on subcommand.",
        "Manage libraries of functions.",
    ),
];

const ON_FUNCTION: &str = "Depends on the function that is executed.";
const CALL: &str = "function:string numkeys:integer [key:key...] [arg:string...]";
const FCALLS: u32 = flag::NOSCRIPT | flag::STALE | flag::SKIP_MONITOR | flag::NO_MANDATORY_KEYS;
const ON_ALL_SHARDS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

/// Subcommands of FUNCTION.
const FUNCTION: &[Command] = &[
    Command::server("DELETE", 3, function_delete)
        .doc(
            Group::Scripting,
            "7.0.0",
            "O(1)",
            "Remove a library and its functions.",
        )
        .syntax("library-name:string")
        .flags(flag::WRITE | flag::NOSCRIPT)
        .acl(cat::SCRIPTING)
        .tips(ON_ALL_SHARDS),
    Command::server("DUMP", 2, function_dump)
        .doc(
            Group::Scripting,
            "7.0.0",
            "O(N) where N is the number of functions",
            "Get all libraries as a payload for RESTORE.",
        )
        .flags(flag::NOSCRIPT)
        .acl(cat::SCRIPTING),
    Command::server("FLUSH", -2, function_flush)
        .doc(
            Group::Scripting,
            "7.0.0",
            "O(N) where N is the number of functions deleted",
            "Remove all libraries.",
        )
        .syntax("[async:(ASYNC | SYNC)]")
        .flags(flag::WRITE | flag::NOSCRIPT)
        .acl(cat::SCRIPTING)
        .tips(ON_ALL_SHARDS),
    Command::server("HELP", 2, help)
        .doc(
            Group::Scripting,
            "7.0.0",
            "O(1)",
            "List the subcommands of FUNCTION.",
        )
        .flags(flag::LOADING | flag::STALE)
        .acl(cat::SCRIPTING),
    Command::server("KILL", 2, function_kill)
        .doc(
            Group::Scripting,
            "7.0.0",
            "O(1)",
            "End the running function, unless it has written.",
        )
        .flags(flag::NOSCRIPT | flag::ALLOW_BUSY)
        .acl(cat::SCRIPTING)
        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    Command::server("LIST", -2, function_list)
        .doc(
            Group::Scripting,
            "7.0.0",
            "O(N) where N is the number of functions",
            "List libraries, their functions and, if wanted, their code.",
        )
        .syntax("[LIBRARYNAME library-name-pattern:string] [WITHCODE]")
        .flags(flag::NOSCRIPT)
        .acl(cat::SCRIPTING)
        .tips(&["nondeterministic_output_order"]),
    Command::server("LOAD", -3, function_load)
        .doc(
            Group::Scripting,
            "7.0.0",
            "O(1) (considering compilation time is redundant)",
            "Add a library, or replace the one of its name.",
        )
        .syntax("[REPLACE] function-code:string")
        .flags(flag::WRITE | flag::DENYOOM | flag::NOSCRIPT)
        .acl(cat::SCRIPTING)
        .tips(ON_ALL_SHARDS),
    Command::server("RESTORE", -3, function_restore)
        .doc(
            Group::Scripting,
            "7.0.0",
            "O(N) where N is the number of functions on the payload",
            "Add the libraries of a payload of DUMP.",
        )
        .syntax("serialized-value:string [policy:(FLUSH | APPEND | REPLACE)]")
        .flags(flag::WRITE | flag::DENYOOM | flag::NOSCRIPT)
        .acl(cat::SCRIPTING)
        .tips(ON_ALL_SHARDS),
    Command::server("STATS", 2, function_stats)
        .doc(
            Group::Scripting,
            "7.0.0",
            "O(1)",
            "Tell which function runs, and how many there are.",
        )
        .flags(flag::NOSCRIPT | flag::ALLOW_BUSY)
        .acl(cat::SCRIPTING)
        .tips(&[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ]),
];

fn fcall(server: &mut Server, _: ClientId, args: Args<'_>) -> CmdResult {
    call(server, args, false)
}

fn fcall_ro(server: &mut Server, _: ClientId, args: Args<'_>) -> CmdResult {
    call(server, args, true)
}

fn call(server: &Server, mut args: Args<'_>, read_only: bool) -> CmdResult {
    let name = args.bytes()?;
    server.functions.get(name).ok_or_else(no_function)?;
    let keys = args.int();
    let keys = keys.map_err(|_| CmdError::err("Bad number of keys provided"))?;
    let keys = number_of_keys(keys, args.left())?;
    Ok(Done::Script(ScriptCall {
        source: ScriptSource::Function,
        read_only,
        keys,
    }))
}

/// A name that belongs to no function.
pub fn no_function() -> CmdError {
    CmdError::err("Function not found")
}

/// Libraries have changed: that is propagated, and to be saved.
fn changed(server: &mut Server) {
    server.keyspace.effects.dirty += 1;
}

fn function_delete(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    if !server.delete_library(args.bytes()?)? {
        return Err(CmdError::err("Library not found"));
    }
    changed(server);
    server.reply(id).ok();
    REPLIED
}

fn function_dump(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let payload = functions::dump(&server.functions, server.config.rdbcompression);
    server.reply(id).bulk(&payload);
    REPLIED
}

fn function_flush(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    at_most(1, &args)?;
    let in_background = match args.left() {
        0 => server.config.lazyfree_lazy_user_flush,
        _ if args.take_word("ASYNC") => true,
        _ if args.take_word("SYNC") => false,
        _ => {
            return Err(CmdError::err(
                "FUNCTION FLUSH only supports SYNC|ASYNC option",
            ));
        }
    };
    server.flush_libraries(in_background)?;
    changed(server);
    server.reply(id).ok();
    REPLIED
}

/// Refuses more arguments than these.
fn at_most(max: usize, args: &Args<'_>) -> Result<(), CmdError> {
    if args.left() > max {
        return Err(CmdError::subcommand_syntax(args.argv()[1], "function"));
    }
    Ok(())
}

fn function_kill(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    server.kill_script(true)?;
    server.reply(id).ok();
    REPLIED
}

fn function_list(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let (mut pattern, mut with_code) = (None, false);
    while args.left() > 0 {
        if !with_code && args.take_word("WITHCODE") {
            with_code = true;
        } else if pattern.is_none() && args.take_word("LIBRARYNAME") {
            let given = args.next_arg();
            let missing = || CmdError::err("library name argument was not given");
            pattern = Some(given.ok_or_else(missing)?);
        } else {
            let text = [b"Unknown argument ", args.bytes()?].concat();
            return Err(CmdError::err(text));
        }
    }
    let functions = std::mem::take(&mut server.functions);
    let mut reply = server.reply(id);
    let listed = reply.deferred();
    let mut count = 0;
    for (name, library) in functions.libraries() {
        if pattern.is_some_and(|pattern| !glob::matches_nocase(pattern, name)) {
            continue;
        }
        count += 1;
        reply.map(if with_code { 4 } else { 3 });
        reply.bulk(b"library_name");
        reply.bulk(name);
        reply.bulk(b"engine");
        reply.bulk(ENGINE.as_bytes());
        reply.bulk(b"functions");
        reply.array(library.functions.len());
        for function in &library.functions {
            list_function(&mut reply, function);
        }
        if with_code {
            reply.bulk(b"library_code");
            reply.bulk(&library.code);
        }
    }
    reply.end_array(listed, count);
    server.functions = functions;
    REPLIED
}

fn list_function(reply: &mut Reply<'_>, function: &NewFunction) {
    reply.map(3);
    reply.bulk(b"name");
    reply.bulk(&function.name);
    reply.bulk(b"description");
    match &function.description {
        Some(description) => reply.bulk(description),
        None => reply.null(),
    }
    reply.bulk(b"flags");
    let flags = flag_names(function.flags);
    reply.set(flags.clone().count());
    for flag in flags {
        reply.simple(flag);
    }
}

fn flag_names(flags: ScriptFlags) -> impl Iterator<Item = &'static str> + Clone {
    let all = [
        (flags.no_writes, "no-writes"),
        (flags.allow_oom, "allow-oom"),
        (flags.allow_stale, "allow-stale"),
        (flags.no_cluster, "no-cluster"),
        (flags.allow_cross_slot, "allow-cross-slot-keys"),
    ];
    let set = all.into_iter().filter(|(set, _)| *set);
    set.map(|(_, name)| name)
}

fn function_load(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let mut replace = false;
    while args.left() > 1 {
        if !args.take_word("REPLACE") {
            let text = [b"Unknown option given: ", args.bytes()?].concat();
            return Err(CmdError::err(text));
        }
        replace = true;
    }
    let name = server.load_library(args.bytes()?, replace)?;
    changed(server);
    server.reply(id).bulk(&name);
    REPLIED
}

fn function_restore(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    at_most(2, &args)?;
    let payload = args.bytes()?;
    let policy = match args.left() {
        0 => RestorePolicy::Append,
        _ if args.take_word("APPEND") => RestorePolicy::Append,
        _ if args.take_word("REPLACE") => RestorePolicy::Replace,
        _ if args.take_word("FLUSH") => RestorePolicy::Flush,
        _ => {
            return Err(CmdError::err(
                "Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ));
        }
    };
    server.restore_libraries(payload, policy)?;
    changed(server);
    server.reply(id).ok();
    REPLIED
}

fn function_stats(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let paused = server.scripts.paused.take();
    if paused.as_ref().is_some_and(|paused| !paused.is_function) {
        server.scripts.paused = paused;
        return Err(server.busy());
    }
    let (libraries, functions) = (
        server.functions.libraries().len(),
        server.functions.registered(),
    );
    let now_ns = server.now_ns;
    let mut reply = server.reply(id);
    reply.map(2);
    reply.bulk(b"running_script");
    match &paused {
        Some(paused) => running_function(&mut reply, paused, now_ns),
        None => reply.null(),
    }
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(ENGINE.as_bytes());
    reply.map(2);
    for (name, count) in [
        ("libraries_count", libraries),
        ("functions_count", functions),
    ] {
        reply.bulk(name.as_bytes());
        reply.integer(count as i64);
    }
    server.scripts.paused = paused;
    REPLIED
}

fn running_function(reply: &mut Reply<'_>, paused: &PausedScript, now_ns: u64) {
    reply.map(3);
    reply.bulk(b"name");
    reply.bulk(&paused.name);
    reply.bulk(b"command");
    reply.array(paused.argv.len());
    for arg in &paused.argv {
        reply.bulk(arg);
    }
    reply.bulk(b"duration_ms");
    let duration_ns = now_ns.saturating_sub(paused.began_ns);
    reply.integer((duration_ns / 1_000_000) as i64);
}
