//! COMMAND: what the commands of the server are:
//! <https://redis.io/docs/latest/commands/command/>.

use crate::command::ctx::{Args, CmdError, CmdResult, REPLIED};
use crate::command::docs;
use crate::command::help::help;
use crate::command::implied;
use crate::command::info::{self, Doc};
use crate::command::keyspec;
use crate::command::registry::Entry;
use crate::command::table::{Command, Group, cat, flag};
use crate::engine::{ClientId, Server};
use crate::resp::Reply;
use crate::util::glob;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[Command::server("COMMAND", -1, command)
    .subcommands(COMMAND)
    .doc(
        Group::Server,
        "2.8.13",
        "O(N) where N is the total number of Redis commands",
        "Describe every command of the server.",
    )
    .flags(flag::LOADING | flag::STALE)
    .acl(cat::CONNECTION)
    .tips(&["nondeterministic_output_order"])];

/// Subcommands of COMMAND.
const COMMAND: &[Command] = &[
    Command::server("COUNT", 2, command_count)
        .doc(
            Group::Server,
            "2.8.13",
            "O(1)",
            "Count the commands of the server.",
        )
        .flags(flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION),
    Command::server("DOCS", -2, command_docs)
        .doc(
            Group::Server,
            "7.0.0",
            "O(N) where N is the number of commands to look up",
            "Show the documentation of the given commands, or of all.",
        )
        .syntax("[command-name:string...]")
        .flags(flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION)
        .tips(&["nondeterministic_output_order"]),
    Command::server("GETKEYS", -4, command_getkeys)
        .doc(
            Group::Server,
            "2.8.13",
            "O(N) where N is the number of arguments to the command",
            "Pick the key names out of a complete command line.",
        )
        .flags(flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION),
    Command::server("GETKEYSANDFLAGS", -4, command_getkeysandflags)
        .doc(
            Group::Server,
            "7.0.0",
            "O(N) where N is the number of arguments to the command",
            "Pick the key names out of a complete command line, and tell how each is used.",
        )
        .flags(flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION),
    Command::server("HELP", 2, help)
        .doc(
            Group::Server,
            "5.0.0",
            "O(1)",
            "List the subcommands of COMMAND.",
        )
        .flags(flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION),
    Command::server("INFO", -2, command_info)
        .doc(
            Group::Server,
            "2.8.13",
            "O(N) where N is the number of commands to look up",
            "Describe the given commands, or all of them.",
        )
        .syntax("[command-name:string...]")
        .flags(flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION)
        .tips(&["nondeterministic_output_order"])
        .history(&[(
            "7.0.0",
            "Allowed to be called with no argument to get info on all commands.",
        )]),
    Command::server("LIST", -2, command_list)
        .doc(
            Group::Server,
            "7.0.0",
            "O(N) where N is the total number of Redis commands",
            "List the command names, optionally those of a module, of an ACL category or \
             matching a pattern.",
        )
        .syntax(
            "[FILTERBY filterby:(MODULE module-name:string | ACLCAT category:string | PATTERN \
             pattern:pattern)]",
        )
        .flags(flag::LOADING | flag::STALE)
        .acl(cat::CONNECTION)
        .tips(&["nondeterministic_output_order"]),
];

/// Everything about every command.
fn command(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let (registry, mut reply) = server.registry_and_reply(id);
    write(&mut reply, &info::info_of_all(registry));
    REPLIED
}

fn command_count(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let count = server.registry.commands().count();
    server.reply(id).integer(count as i64);
    REPLIED
}

fn command_docs(server: &mut Server, id: ClientId, args: Args<'_>) -> CmdResult {
    let (registry, mut reply) = server.registry_and_reply(id);
    let docs = match args.rest() {
        [] => docs::docs_of_all(registry),
        names => docs::docs_of(registry, names.iter().copied()),
    };
    write(&mut reply, &docs);
    REPLIED
}

fn command_getkeys(server: &mut Server, id: ClientId, args: Args<'_>) -> CmdResult {
    getkeys(server, id, args, false)
}

fn command_getkeysandflags(server: &mut Server, id: ClientId, args: Args<'_>) -> CmdResult {
    getkeys(server, id, args, true)
}

fn getkeys(server: &mut Server, id: ClientId, args: Args<'_>, with_flags: bool) -> CmdResult {
    let line = args.rest();
    let (registry, mut reply) = server.registry_and_reply(id);
    let keys = keyspec::getkeys(registry, line).map_err(|error| CmdError::err(error.message()))?;
    reply.array(keys.iter().count());
    for key in keys.iter() {
        if with_flags {
            reply.array(2);
        }
        reply.bulk(line[key.index]);
        if with_flags {
            write(&mut reply, &info::key_flags(key.flags));
        }
    }
    REPLIED
}

fn command_info(server: &mut Server, id: ClientId, args: Args<'_>) -> CmdResult {
    let (registry, mut reply) = server.registry_and_reply(id);
    let info = match args.rest() {
        [] => info::info_of_all(registry),
        names => info::info_of(registry, names.iter().copied()),
    };
    write(&mut reply, &info);
    REPLIED
}

/// What COMMAND LIST is to show.
enum Filter<'a> {
    All,
    /// No command comes from a module.
    None,
    Category(u32),
    Pattern(&'a [u8]),
}

impl<'a> Filter<'a> {
    fn parse(mut args: Args<'a>) -> Result<Filter<'a>, CmdError> {
        if args.left() == 0 {
            return Ok(Filter::All);
        }
        if !args.take_word("FILTERBY") || args.left() != 2 {
            return Err(CmdError::Syntax);
        }
        let (kind, value) = (args.bytes()?, args.bytes()?);
        let is = |word: &str| kind.eq_ignore_ascii_case(word.as_bytes());
        if is("MODULE") {
            Ok(Filter::None)
        } else if is("ACLCAT") {
            Ok(implied::category(value).map_or(Filter::None, Filter::Category))
        } else if is("PATTERN") {
            Ok(Filter::Pattern(value))
        } else {
            Err(CmdError::Syntax)
        }
    }

    fn wants(&self, entry: &Entry) -> bool {
        match self {
            Filter::All => true,
            Filter::None => false,
            Filter::Category(bit) => entry.categories & bit != 0,
            Filter::Pattern(pattern) => glob::matches_nocase(pattern, entry.full_name().as_bytes()),
        }
    }
}

fn command_list(server: &mut Server, id: ClientId, args: Args<'_>) -> CmdResult {
    let filter = Filter::parse(args)?;
    let (registry, mut reply) = server.registry_and_reply(id);
    write(
        &mut reply,
        &info::list(registry, |entry| filter.wants(entry)),
    );
    REPLIED
}

/// Writes a documentation tree in the client's protocol version.
fn write(reply: &mut Reply<'_>, doc: &Doc<'_>) {
    match doc {
        Doc::Map(pairs) => {
            reply.map(pairs.len());
            for (name, value) in pairs {
                write(reply, name);
                write(reply, value);
            }
        }
        Doc::Array(items) => {
            reply.array(items.len());
            items.iter().for_each(|item| write(reply, item));
        }
        Doc::Set(items) => {
            reply.set(items.len());
            items.iter().for_each(|item| write(reply, item));
        }
        Doc::Bulk(text) => reply.bulk(text.as_bytes()),
        Doc::Simple(text) => reply.simple(text),
        Doc::Integer(number) => reply.integer(*number),
        Doc::Null => reply.null(),
    }
}
