//! ACL: <https://redis.io/docs/latest/commands/acl/>.

mod show;

use crate::acl::has_blanks;
use crate::command::ctx::{Args, CmdError, CmdResult, REPLIED};
use crate::command::error::{SHOWN_BYTES_MAX, shown};
use crate::command::help::help;
use crate::command::permission::{self, Denied};
use crate::command::registry::Lookup;
use crate::command::table::{Command, Group, flag};
use crate::engine::{ClientId, Server};
use rand::RngCore;
use show::{acl_cat, acl_getuser, acl_list, acl_log, acl_users, acl_whoami};

/// The commands of this group.
pub const COMMANDS: &[Command] = &[Command::container("ACL", -2, ACL).doc(
    Group::Server,
    "6.0.0",
    "Depends on subcommand.",
    "Manage users and what they may do.",
)];

const OPEN: u32 = flag::NOSCRIPT | flag::LOADING | flag::STALE;
const ADMIN: u32 = OPEN | flag::ADMIN;
const FOR_EACH_USER: &str = "O(N). Where N is the number of configured users.";

/// Subcommands of ACL.
const ACL: &[Command] = &[
    Command::server("CAT", -2, acl_cat)
        .doc(
            Group::Server,
            "6.0.0",
            "O(1) since the categories and commands are a fixed set.",
            "List the categories of commands, or the commands of one.",
        )
        .syntax("[categoryname:string]")
        .flags(OPEN),
    Command::server("DELUSER", -3, acl_deluser)
        .doc(
            Group::Server,
            "6.0.0",
            "O(1) amortized time considering the typical user.",
            "Delete users and close the connections that act as them.",
        )
        .syntax("username:string...")
        .flags(ADMIN),
    Command::server("DRYRUN", -4, acl_dryrun)
        .doc(
            Group::Server,
            "7.0.0",
            "O(1).",
            "Tell whether a user may run a command, without running it.",
        )
        .syntax("username:string command:string [arg:string...]")
        .flags(ADMIN),
    Command::server("GENPASS", -2, acl_genpass)
        .doc(
            Group::Server,
            "6.0.0",
            "O(1)",
            "Make up a password that cannot be guessed, of 256 or the given number of bits.",
        )
        .syntax("[bits:integer]")
        .flags(OPEN),
    Command::server("GETUSER", 3, acl_getuser)
        .doc(
            Group::Server,
            "6.0.0",
            "O(N). Where N is the number of password, command and pattern rules that the user \
             has.",
            "Show the rules of a user, each kind by itself.",
        )
        .syntax("username:string")
        .flags(ADMIN)
        .history(&[
            ("6.2.0", "Added Pub/Sub channel patterns."),
            (
                "7.0.0",
                "Added selectors and changed the format of key and channel patterns from a list \
                 to their rule representation.",
            ),
        ]),
    Command::server("HELP", 2, help)
        .doc(
            Group::Server,
            "6.0.0",
            "O(1)",
            "List the subcommands of ACL.",
        )
        .flags(flag::LOADING | flag::STALE),
    Command::server("LIST", 2, acl_list)
        .doc(
            Group::Server,
            "6.0.0",
            FOR_EACH_USER,
            "Show all users as the lines of a configuration file.",
        )
        .flags(ADMIN),
    Command::server("LOAD", 2, acl_load)
        .doc(
            Group::Server,
            "6.0.0",
            FOR_EACH_USER,
            "Replace all users by those of the ACL file.",
        )
        .flags(ADMIN),
    Command::server("LOG", -2, acl_log)
        .doc(
            Group::Server,
            "6.0.0",
            "O(N) with N being the number of entries shown.",
            "Show the latest calls and logins that were refused, or forget them.",
        )
        .syntax("[operation:(count:integer | RESET)]")
        .flags(ADMIN),
    Command::server("SAVE", 2, acl_save)
        .doc(
            Group::Server,
            "6.0.0",
            FOR_EACH_USER,
            "Write all users to the ACL file.",
        )
        .flags(ADMIN),
    Command::server("SETUSER", -3, acl_setuser)
        .doc(
            Group::Server,
            "6.0.0",
            "O(N). Where N is the number of rules provided.",
            "Create a user or change it by the given rules, all or none.",
        )
        .syntax("username:string [rule:string...]")
        .flags(ADMIN)
        .history(&[
            ("6.2.0", "Added Pub/Sub channel patterns."),
            ("7.0.0", "Added selectors and key based permissions."),
        ]),
    Command::server("USERS", 2, acl_users)
        .doc(
            Group::Server,
            "6.0.0",
            FOR_EACH_USER,
            "List the names of all users.",
        )
        .flags(ADMIN),
    Command::server("WHOAMI", 2, acl_whoami)
        .doc(
            Group::Server,
            "6.0.0",
            "O(1)",
            "Tell which user the connection acts as.",
        )
        .flags(OPEN),
];

fn acl_deluser(server: &mut Server, id: ClientId, args: Args<'_>) -> CmdResult {
    let default = crate::acl::DEFAULT_USER.as_bytes();
    if args.rest().contains(&default) {
        return Err(CmdError::err("The 'default' user cannot be removed"));
    }
    let mut deleted = 0;
    for name in args.rest() {
        deleted += i64::from(server.delete_user(id, name));
    }
    server.reply(id).integer(deleted);
    REPLIED
}

fn acl_dryrun(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let name = args.bytes()?;
    let not_found = |what: &str, name: &[u8]| {
        let text = [
            what.as_bytes(),
            b" '",
            shown(name, usize::MAX),
            b"' not found",
        ];
        CmdError::err(text.concat())
    };
    let user = server.users.get(name);
    let user = user.ok_or_else(|| not_found("User", name))?;
    let call = args.rest();
    let Lookup::Found(command) = server.registry.resolve(call) else {
        return Err(not_found("Command", call[0]));
    };
    let entry = &server.registry[command];
    if !entry.accepts(call.len()) {
        return Err(CmdError::arity(entry.full_name()));
    }
    let Err(denied) = permission::check(user, entry, call) else {
        server.reply(id).ok();
        return REPLIED;
    };
    let mut text = b"This user has no permissions to ".to_vec();
    match denied {
        Denied::Command => {
            text.extend_from_slice(format!("run the '{}' command", entry.full_name()).as_bytes())
        }
        Denied::Key(index) | Denied::Channel(index) => {
            let kind = denied.reason().name();
            text.extend_from_slice(b"access the '");
            text.extend_from_slice(shown(call[index], usize::MAX));
            text.extend_from_slice(format!("' {kind}").as_bytes());
        }
    }
    server.reply(id).bulk(&text);
    REPLIED
}

fn acl_genpass(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    const BITS: i64 = 256;
    const BITS_MAX: i64 = 4096;
    let bits = match args.left() {
        0 => BITS,
        1 => args.int()?,
        _ => return Err(wrong_count(&args)),
    };
    if !(1..=BITS_MAX).contains(&bits) {
        return Err(CmdError::err(format!(
            "ACL GENPASS argument must be the number of bits for the output password, a positive \
             number up to {BITS_MAX}"
        )));
    }
    // Not the server's own, which may be repeated: nobody else may know this.
    let mut random = [0; BITS_MAX as usize / 8];
    rand::rng().fill_bytes(&mut random);
    let digits = random.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.take((bits as usize).div_ceil(4));
    let password: String = digits
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
        .collect();
    server.reply(id).bulk(password.as_bytes());
    REPLIED
}

/// Arguments beyond those that there may be.
fn wrong_count(args: &Args<'_>) -> CmdError {
    CmdError::subcommand_syntax(args.argv()[1], "acl")
}

fn check_has_file(server: &Server) -> Result<(), CmdError> {
    if !server.config.aclfile.is_empty() {
        return Ok(());
    }
    Err(CmdError::err(
        "This Redis instance is not configured to use an ACL file. You may want to specify users \
         via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis \
         configuration file set) in order to store users in the Redis configuration.",
    ))
}

fn acl_load(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    check_has_file(server)?;
    server.load_users(Some(id)).map_err(CmdError::err)?;
    server.reply(id).ok();
    REPLIED
}

fn acl_save(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    check_has_file(server)?;
    if let Err(error) = server.save_users() {
        tracing::warn!("Can't write the ACL file: {error}");
        return Err(CmdError::err(
            "There was an error trying to save the ACLs. Please check the server logs for more \
             information",
        ));
    }
    server.reply(id).ok();
    REPLIED
}

fn acl_setuser(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    server.redact.extend(2..args.argv().len());
    let name = args.bytes()?;
    if has_blanks(name) {
        return Err(CmdError::err(
            "Usernames can't contain spaces or null characters",
        ));
    }
    server
        .set_user(id, name, args.rest())
        .map_err(CmdError::err)?;
    server.reply(id).ok();
    REPLIED
}

fn unknown_category(name: &[u8]) -> CmdError {
    let text = [b"Unknown category '", shown(name, SHOWN_BYTES_MAX), b"'"];
    CmdError::err(text.concat())
}
