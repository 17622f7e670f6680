//! Server commands: <https://redis.io/docs/latest/commands/?group=server>.

pub mod command;
pub mod debug;
mod debug_encoding;
mod digest;
mod doctor;
pub mod info;
mod info_stats;
pub mod latency;
mod lolwut;
mod mallctl;
pub mod memory;
pub mod module;
mod serialized;
pub mod shutdown;
pub mod slowlog;

use crate::command::ctx::{Args, CmdError, CmdResult, REPLIED};
use crate::command::table::{Command, Group, cat, flag};
use crate::engine::{ClientId, Flags, Server};
use info::info;
use lolwut::lolwut;

/// The commands of this file, and INFO and LOLWUT.
pub const COMMANDS: &[Command] = &[
    Command::server("BGREWRITEAOF", 1, bgrewriteaof)
        .doc(
            Group::Server,
            "1.0.0",
            "O(1)",
            "Rewrite the append-only file to its shortest form in the background.",
        )
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::NO_ASYNC_LOADING),
    Command::server("BGSAVE", -1, bgsave)
        .doc(
            Group::Server,
            "1.0.0",
            "O(1)",
            "Write a snapshot of the data to disk in the background.",
        )
        .syntax("[SCHEDULE@3.2.2]")
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::NO_ASYNC_LOADING)
        .history(&[("3.2.2", "Added the `SCHEDULE` option.")]),
    Command::server("INFO", -1, info)
        .doc(
            Group::Server,
            "1.0.0",
            "O(1)",
            "Report figures and facts about the server, by section.",
        )
        .syntax("[section:string...]")
        .flags(flag::LOADING | flag::STALE)
        .acl(cat::DANGEROUS)
        .tips(&[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ])
        .history(&[(
            "7.0.0",
            "Added support for taking multiple section arguments.",
        )]),
    Command::server("LASTSAVE", 1, lastsave)
        .doc(
            Group::Server,
            "1.0.0",
            "O(1)",
            "Tell the Unix time of the last snapshot that succeeded.",
        )
        .flags(flag::LOADING | flag::STALE | flag::FAST)
        .acl(cat::ADMIN | cat::DANGEROUS)
        .tips(&["nondeterministic_output"]),
    Command::server("LOLWUT", -1, lolwut)
        .doc(
            Group::Server,
            "5.0.0",
            "",
            "Print a piece of computer art and the server version.",
        )
        .syntax("[VERSION version:integer]")
        .flags(flag::READONLY | flag::FAST),
    Command::server("MONITOR", 1, monitor)
        .doc(
            Group::Server,
            "1.0.0",
            "",
            "Stream every command that the server runs to this connection.",
        )
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE),
    Command::server("ROLE", 1, role)
        .doc(
            Group::Server,
            "2.8.12",
            "O(1)",
            "Tell whether the server is a master or a replica, with its replication state.",
        )
        .flags(flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST)
        .acl(cat::ADMIN | cat::DANGEROUS),
    Command::server("SAVE", 1, save)
        .doc(
            Group::Server,
            "1.0.0",
            "O(N) where N is the total number of keys in all databases",
            "Write a snapshot of the data to disk while clients wait.",
        )
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::NO_ASYNC_LOADING | flag::NO_MULTI),
    Command::server("TIME", 1, time)
        .doc(
            Group::Server,
            "2.6.0",
            "O(1)",
            "Tell the server's clock as Unix seconds and microseconds.",
        )
        .flags(flag::LOADING | flag::STALE | flag::FAST)
        .tips(&["nondeterministic_output"]),
];

fn bgrewriteaof(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    if server.stats.persistence.rewrite_running {
        return Err(CmdError::err(
            "Background append only file rewriting already in progress",
        ));
    }
    let status = if server.is_saving() || server.time_stands {
        server.stats.persistence.rewrite_scheduled = true;
        // Asked for by hand, it need not wait although others failed.
        server.stats.persistence.rewrite_failures = 0;
        "Background append only file rewriting scheduled"
    } else {
        server.rewrite_aof().map_err(|_| {
            CmdError::err(
                "Can't execute an AOF background rewriting. Please check the server logs for \
                 more information.",
            )
        })?;
        "Background append only file rewriting started"
    };
    server.reply(id).simple(status);
    REPLIED
}

fn bgsave(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let schedule = args.take_word("SCHEDULE");
    args.end()?;
    if server.saving.saves_rdb() {
        return Err(CmdError::err("Background save already in progress"));
    }
    let in_transaction = server.time_stands;
    if server.is_saving() || in_transaction {
        if !schedule && !in_transaction {
            return Err(CmdError::err(
                "Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE \
                 SCHEDULE in order to schedule a BGSAVE whenever possible.",
            ));
        }
        server.saving.scheduled = true;
        server.reply(id).simple("Background saving scheduled");
        return REPLIED;
    }
    server
        .save_in_background()
        .map_err(|_| CmdError::line(b"ERR".to_vec()))?;
    server.reply(id).simple("Background saving started");
    REPLIED
}

fn lastsave(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let last_save_s = server.stats.persistence.last_save_s;
    server.reply(id).integer(last_save_s);
    REPLIED
}

/// From now on the client is sent every command that runs.
fn monitor(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let client = server.client(id);
    // Redis: a second MONITOR is not even answered.
    if client.flags.has(Flags::MONITOR | Flags::REPLICA) {
        return REPLIED;
    }
    client.flags.set(Flags::MONITOR, true);
    server.clients.monitors.push(id);
    server.reply(id).ok();
    REPLIED
}

/// A master, its replication offset, its replicas: none of them can be
/// attached yet.
fn role(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let mut reply = server.reply(id);
    reply.array(3);
    reply.bulk(b"master");
    reply.integer(0);
    reply.array(0);
    REPLIED
}

fn save(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    if server.saving.saves_rdb() {
        return Err(CmdError::err("Background save already in progress"));
    }
    server.stats.persistence.snapshots += 1;
    // The reason of a failure has been logged.
    server
        .save_now()
        .map_err(|_| CmdError::line(b"ERR".to_vec()))?;
    server.reply(id).ok();
    REPLIED
}

/// Unix seconds, and microseconds of the second.
fn time(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let now_us = server.now_unix_us();
    let mut reply = server.reply(id);
    reply.array(2);
    reply.bulk_integer(now_us / 1_000_000);
    reply.bulk_integer(now_us % 1_000_000);
    REPLIED
}
