//! Scripts: <https://redis.io/docs/latest/commands/?group=scripting>.
//!
//! Handlers only check the call; a script is run by the executor, since it
//! executes commands itself.

use crate::command::ctx::{Args, CmdError, CmdResult, Ctx, Done, REPLIED};
use crate::command::help::help;
use crate::command::table::{Command, Find, Group, cat, flag, keys_at, kflag};
use crate::engine::scripts::{ScriptCall, ScriptSource};
use crate::engine::{ClientId, Server};

/// The commands of this group.
pub const COMMANDS: &[Command] = &[
    Command::data("EVAL", -3, eval)
        .doc(
            Group::Scripting,
            "2.6.0",
            ON_SCRIPT,
            "Run a Lua script on the server.",
        )
        .syntax("script:string numkeys:integer [key:key...] [arg:string...]")
        .flags(EVALS | flag::MAY_REPLICATE)
        .acl(cat::SCRIPTING)
        .keys(&[keys_at(MAY_CHANGE, 2, Find::KeyNum(0, 1, 1)).notes(
            "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE",
        )]),
    Command::data("EVALSHA", -3, evalsha)
        .doc(
            Group::Scripting,
            "2.6.0",
            ON_SCRIPT,
            "Run a Lua script that the server keeps, by its digest.",
        )
        .syntax("sha1:string numkeys:integer [key:key...] [arg:string...]")
        .flags(EVALS | flag::MAY_REPLICATE)
        .acl(cat::SCRIPTING)
        .keys(&[keys_at(MAY_CHANGE, 2, Find::KeyNum(0, 1, 1))]),
    Command::data("EVALSHA_RO", -3, evalsha_ro)
        .doc(
            Group::Scripting,
            "7.0.0",
            ON_SCRIPT,
            "Run a kept Lua script that may not write, by its digest.",
        )
        .syntax("sha1:string numkeys:integer [key:key...] [arg:string...]")
        .flags(EVALS | flag::READONLY)
        .acl(cat::SCRIPTING)
        .keys(&[keys_at(kflag::RO | kflag::ACCESS, 2, Find::KeyNum(0, 1, 1))]),
    Command::data("EVAL_RO", -3, eval_ro)
        .doc(
            Group::Scripting,
            "7.0.0",
            ON_SCRIPT,
            "Run a Lua script that may not write.",
        )
        .syntax("script:string numkeys:integer [key:key...] [arg:string...]")
        .flags(EVALS | flag::READONLY)
        .acl(cat::SCRIPTING)
        .keys(&[
            keys_at(kflag::RO | kflag::ACCESS, 2, Find::KeyNum(0, 1, 1)).notes(
                "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS",
            ),
        ]),
    Command::container("SCRIPT", -2, SCRIPT).doc(
        Group::Scripting,
        "2.6.0",
        "Depends on subcommand.",
        "Manage the Lua scripts that the server keeps.",
    ),
];

const ON_SCRIPT: &str = "Depends on the script that is executed.";
const EVALS: u32 = flag::NOSCRIPT | flag::STALE | flag::SKIP_MONITOR | flag::NO_MANDATORY_KEYS;
const MAY_CHANGE: u32 = kflag::RW | kflag::ACCESS | kflag::UPDATE;

/// Subcommands of SCRIPT.
const SCRIPT: &[Command] = &[
    Command::server("DEBUG", 3, script_debug)
        .doc(
            Group::Scripting,
            "3.2.0",
            "O(1)",
            "Step through the scripts that follow, or do not.",
        )
        .syntax("mode:(YES | SYNC | NO)")
        .flags(flag::NOSCRIPT)
        .acl(cat::SCRIPTING),
    Command::server("EXISTS", -3, script_exists)
        .doc(
            Group::Scripting,
            "2.6.0",
            "O(N) with N being the number of scripts to check (so checking a single script is an \
             O(1) operation).",
            "Tell which scripts are kept.",
        )
        .syntax("sha1:string...")
        .flags(flag::NOSCRIPT)
        .acl(cat::SCRIPTING)
        .tips(&[
            "request_policy:all_shards",
            "response_policy:agg_logical_and",
        ]),
    Command::server("FLUSH", -2, script_flush)
        .doc(
            Group::Scripting,
            "2.6.0",
            "O(N) with N being the number of scripts in cache",
            "Forget all scripts.",
        )
        .syntax("[async:(ASYNC | SYNC)@6.2.0]")
        .history(&[(
            "6.2.0",
            "Added the `ASYNC` and `SYNC` flushing mode modifiers.",
        )])
        .flags(flag::NOSCRIPT)
        .acl(cat::SCRIPTING)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    Command::server("HELP", 2, help)
        .doc(
            Group::Scripting,
            "5.0.0",
            "O(1)",
            "List the subcommands of SCRIPT.",
        )
        .flags(flag::LOADING | flag::STALE)
        .acl(cat::SCRIPTING),
    Command::server("KILL", 2, script_kill)
        .doc(
            Group::Scripting,
            "2.6.0",
            "O(1)",
            "End the running script, unless it has written.",
        )
        .flags(flag::NOSCRIPT | flag::ALLOW_BUSY)
        .acl(cat::SCRIPTING)
        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    Command::server("LOAD", 3, script_load)
        .doc(
            Group::Scripting,
            "2.6.0",
            "O(N) with N being the length in bytes of the script body.",
            "Keep a script without running it.",
        )
        .syntax("script:string")
        .flags(flag::NOSCRIPT | flag::STALE)
        .acl(cat::SCRIPTING)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
];

/// Digits of a script's digest.
const SHA_DIGITS: usize = 40;

fn eval(ctx: &mut Ctx) -> CmdResult {
    script(ctx, ScriptSource::Text, false)
}

fn evalsha(ctx: &mut Ctx) -> CmdResult {
    script(ctx, ScriptSource::Digest, false)
}

fn evalsha_ro(ctx: &mut Ctx) -> CmdResult {
    script(ctx, ScriptSource::Digest, true)
}

fn eval_ro(ctx: &mut Ctx) -> CmdResult {
    script(ctx, ScriptSource::Text, true)
}

fn script(ctx: &mut Ctx, source: ScriptSource, read_only: bool) -> CmdResult {
    let script = ctx.args.bytes()?;
    if source == ScriptSource::Digest && script.len() != SHA_DIGITS {
        return Err(no_script());
    }
    let keys = ctx.args.int()?;
    let keys = number_of_keys(keys, ctx.args.left())?;
    Ok(Done::Script(ScriptCall {
        source,
        read_only,
        keys,
    }))
}

/// How many of so many arguments are keys.
pub(super) fn number_of_keys(keys: i64, left: usize) -> Result<usize, CmdError> {
    if keys > left as i64 {
        return Err(CmdError::err(
            "Number of keys can't be greater than number of args",
        ));
    }
    usize::try_from(keys).map_err(|_| CmdError::err("Number of keys can't be negative"))
}

/// A digest that belongs to no script.
pub fn no_script() -> CmdError {
    CmdError::coded("NOSCRIPT", "No matching script. Please use EVAL.")
}

fn no_interpreter() -> CmdError {
    CmdError::err("Scripts can't be changed while one is running")
}

fn script_debug(_: &mut Server, _: ClientId, mut args: Args<'_>) -> CmdResult {
    if args.take_word("NO") || args.take_word("YES") || args.take_word("SYNC") {
        return Err(CmdError::err("This server does not debug scripts"));
    }
    Err(CmdError::err("Use SCRIPT DEBUG YES/SYNC/NO"))
}

fn script_exists(server: &mut Server, id: ClientId, args: Args<'_>) -> CmdResult {
    let shas = args.rest();
    server.reply(id).array(shas.len());
    for sha in shas {
        let interpreter = server.scripts.interpreter.as_ref();
        let exists = interpreter.is_some_and(|interpreter| interpreter.exists(sha));
        server.reply(id).integer(i64::from(exists));
    }
    REPLIED
}

fn script_flush(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let in_background = match args.left() {
        0 => server.config.lazyfree_lazy_user_flush,
        1 if args.take_word("ASYNC") => true,
        1 if args.take_word("SYNC") => false,
        _ => return Err(CmdError::err("SCRIPT FLUSH only support SYNC|ASYNC option")),
    };
    let interpreter = server.scripts.interpreter.as_mut();
    let interpreter = interpreter.ok_or_else(no_interpreter)?;
    let count = interpreter.figures().scripts;
    let old = interpreter.flush().ok_or_else(no_interpreter)?;
    if in_background {
        server.keyspace.lazyfree.other(old, count as u64);
    }
    server.reply(id).ok();
    REPLIED
}

fn script_kill(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    server.kill_script(false)?;
    server.reply(id).ok();
    REPLIED
}

fn script_load(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let body = args.bytes()?;
    let interpreter = server.scripts.interpreter.as_mut();
    let sha = interpreter.ok_or_else(no_interpreter)?.load(body)?;
    server.reply(id).bulk(&sha);
    REPLIED
}
