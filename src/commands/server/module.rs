//! MODULE. There is no interface for modules, so none is ever loaded.

use crate::command::ctx::{Args, CmdError, CmdResult, REPLIED};
use crate::command::help::help;
use crate::command::table::{Command, Group, flag};
use crate::engine::{ClientId, Server};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[Command::container("MODULE", -2, MODULE).doc(
    Group::Server,
    "4.0.0",
    "Depends on subcommand.",
    "Manage extension modules.",
)];

/// Subcommands of MODULE.
const MODULE: &[Command] = &[
    Command::server("HELP", 2, help)
        .doc(
            Group::Server,
            "5.0.0",
            "O(1)",
            "List the subcommands of MODULE.",
        )
        .flags(flag::LOADING | flag::STALE),
    Command::server("LIST", 2, module_list)
        .doc(
            Group::Server,
            "4.0.0",
            "O(N) where N is the number of loaded modules.",
            "List the loaded modules.",
        )
        .flags(flag::ADMIN | flag::NOSCRIPT)
        .tips(&["nondeterministic_output_order"]),
    Command::server("LOAD", -3, module_load)
        .doc(
            Group::Server,
            "4.0.0",
            "O(1)",
            "Load a module from a file, with its arguments.",
        )
        .syntax("path:string [arg:string...]")
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::NO_ASYNC_LOADING | flag::PROTECTED),
    Command::server("LOADEX", -3, module_loadex)
        .doc(
            Group::Server,
            "7.0.0",
            "O(1)",
            "Load a module from a file, with settings and arguments.",
        )
        .syntax(
            "path:string [CONFIG... configs:{name:string value:string}] [ARGS \
             args:{arg:string}...]",
        )
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::NO_ASYNC_LOADING | flag::PROTECTED),
    Command::server("UNLOAD", 3, module_unload)
        .doc(Group::Server, "4.0.0", "O(1)", "Remove a loaded module.")
        .syntax("name:string")
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::NO_ASYNC_LOADING | flag::PROTECTED),
];

fn module_list(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    server.reply(id).array(0);
    REPLIED
}

fn module_load(_: &mut Server, _: ClientId, args: Args<'_>) -> CmdResult {
    refuse(args)
}

fn module_loadex(_: &mut Server, _: ClientId, args: Args<'_>) -> CmdResult {
    refuse(args)
}

fn refuse(mut args: Args<'_>) -> CmdResult {
    let path = String::from_utf8_lossy(args.bytes()?);
    tracing::warn!("Module {path} failed to load: this server has no interface for modules");
    Err(CmdError::err(
        "Error loading the extension. Please check the server logs.",
    ))
}

fn module_unload(_: &mut Server, _: ClientId, _: Args<'_>) -> CmdResult {
    Err(CmdError::err(
        "Error unloading module: no such module with that name",
    ))
}
