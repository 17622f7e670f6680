//! SLOWLOG: <https://redis.io/docs/latest/commands/slowlog/>.

use crate::command::ctx::{Args, CmdError, CmdResult, REPLIED};
use crate::command::help::help;
use crate::command::table::{Command, Group, flag};
use crate::engine::{ClientId, Server};
use crate::util::num;

/// Entries that SLOWLOG GET shows unless told.
const SHOWN: usize = 10;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[Command::container("SLOWLOG", -2, SLOWLOG).doc(
    Group::Server,
    "2.2.12",
    "Depends on subcommand.",
    "Examine the log of commands that ran for long.",
)];

/// Subcommands of SLOWLOG.
const SLOWLOG: &[Command] = &[
    Command::server("GET", -2, slowlog_get)
        .doc(
            Group::Server,
            "2.2.12",
            "O(N) where N is the number of entries returned",
            "Show the latest entries of the slow log.",
        )
        .syntax("[count:integer]")
        .flags(flag::ADMIN | flag::LOADING | flag::STALE)
        .tips(&["request_policy:all_nodes", "nondeterministic_output"])
        .history(&[(
            "4.0.0",
            "Added client IP address, port and name to the reply.",
        )]),
    Command::server("HELP", 2, help)
        .doc(
            Group::Server,
            "6.2.0",
            "O(1)",
            "List the subcommands of SLOWLOG.",
        )
        .flags(flag::LOADING | flag::STALE),
    Command::server("LEN", 2, slowlog_len)
        .doc(
            Group::Server,
            "2.2.12",
            "O(1)",
            "Count the entries of the slow log.",
        )
        .flags(flag::ADMIN | flag::LOADING | flag::STALE)
        .tips(&[
            "request_policy:all_nodes",
            "response_policy:agg_sum",
            "nondeterministic_output",
        ]),
    Command::server("RESET", 2, slowlog_reset)
        .doc(
            Group::Server,
            "2.2.12",
            "O(N) where N is the number of entries in the slowlog",
            "Empty the slow log.",
        )
        .flags(flag::ADMIN | flag::LOADING | flag::STALE)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
];

/// The newest entries: number, time, duration, arguments, client, its name.
fn slowlog_get(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let subcommand = args.argv()[1];
    let count = match args.next_arg() {
        None => SHOWN,
        Some(_) if args.left() > 0 => {
            return Err(CmdError::subcommand_syntax(subcommand, "SLOWLOG"));
        }
        Some(count) => match num::parse_i64(count) {
            Some(-1) => usize::MAX,
            Some(count @ 0..) => usize::try_from(count).unwrap_or(usize::MAX),
            _ => {
                return Err(CmdError::err("count should be greater than or equal to -1"));
            }
        },
    };
    let (stats, mut reply) = server.stats_and_reply(id);
    reply.array(stats.slowlog.len().min(count));
    for entry in stats.slowlog.iter().take(count) {
        reply.array(6);
        reply.integer(entry.id);
        reply.integer(entry.time_s);
        reply.integer(entry.duration_us);
        reply.array(entry.args.len());
        for arg in &entry.args {
            reply.bulk(arg);
        }
        reply.bulk(entry.addr.as_bytes());
        reply.bulk(&entry.name);
    }
    REPLIED
}

fn slowlog_len(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let len = server.stats.slowlog.len();
    server.reply(id).integer(len as i64);
    REPLIED
}

fn slowlog_reset(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    server.stats.slowlog.reset();
    server.reply(id).ok();
    REPLIED
}
