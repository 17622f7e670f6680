//! Transactions: <https://redis.io/docs/latest/commands/?group=transactions>.

use crate::command::ctx::{Args, CmdError, CmdResult, Done, REPLIED};
use crate::command::table::{Command, Find, Group, cat, flag, keys_at, kflag};
use crate::engine::{ClientId, Flags, Server, Transaction};

/// The commands of this group.
pub const COMMANDS: &[Command] = &[
    Command::server("DISCARD", 1, discard)
        .doc(
            Group::Transactions,
            "2.0.0",
            "O(N), when N is the number of queued commands",
            "Forget the queued commands and end the transaction.",
        )
        .flags(UNQUEUED | flag::FAST | flag::ALLOW_BUSY)
        .acl(cat::TRANSACTION),
    Command::server("EXEC", 1, exec)
        .doc(
            Group::Transactions,
            "1.2.0",
            "Depends on commands in the transaction",
            "Execute the queued commands, with nothing of other clients between them.",
        )
        .flags(UNQUEUED | flag::SKIP_SLOWLOG)
        .acl(cat::TRANSACTION),
    Command::server("MULTI", 1, multi)
        .doc(
            Group::Transactions,
            "1.2.0",
            "O(1)",
            "Begin a transaction: what follows is queued until EXEC.",
        )
        .flags(UNQUEUED | flag::FAST | flag::ALLOW_BUSY)
        .acl(cat::TRANSACTION),
    Command::server("UNWATCH", 1, unwatch)
        .doc(
            Group::Transactions,
            "2.2.0",
            "O(1)",
            "Watch none of the keys any longer.",
        )
        .flags(flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST | flag::ALLOW_BUSY)
        .acl(cat::TRANSACTION),
    Command::server("WATCH", -2, watch)
        .doc(
            Group::Transactions,
            "2.2.0",
            "O(1) for every key.",
            "Have the next transaction fail if one of these keys changes until then.",
        )
        .syntax("key:key...")
        .flags(UNQUEUED | flag::FAST | flag::ALLOW_BUSY)
        .acl(cat::TRANSACTION)
        .keys(&[keys_at(kflag::RO, 1, Find::Range(-1, 1, 0))]),
];

const UNQUEUED: u32 = flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::UNQUEUED;

fn multi(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let client = server.client(id);
    if client.transaction.is_some() {
        return Err(CmdError::err("MULTI calls can not be nested"));
    }
    client.transaction = Some(Box::new(Transaction::default()));
    client.flags.set(Flags::MULTI, true);
    server.reply(id).ok();
    REPLIED
}

fn discard(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    if server.client(id).transaction.is_none() {
        return Err(CmdError::err("DISCARD without MULTI"));
    }
    server.discard(id);
    server.reply(id).ok();
    REPLIED
}

/// Decides whether the queue is executed; the executor does it.
fn exec(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let Some(transaction) = &server.client(id).transaction else {
        return Err(CmdError::err("EXEC without MULTI"));
    };
    let aborted = transaction.aborted;
    let expired = server.watched_key_expired(id);
    if aborted {
        server.discard(id);
        return Err(CmdError::coded(
            "EXECABORT",
            "Transaction discarded because of previous errors.",
        ));
    }
    if expired || server.client(id).flags.has(Flags::DIRTY_CAS) {
        server.discard(id);
        server.reply(id).null_array();
        return REPLIED;
    }
    Ok(Done::Exec)
}

fn watch(server: &mut Server, id: ClientId, args: Args<'_>) -> CmdResult {
    if server.client(id).transaction.is_some() {
        return Err(CmdError::err("WATCH inside MULTI is not allowed"));
    }
    // Redis: once the transaction is lost, there is nothing more to watch for.
    if !server.client(id).flags.has(Flags::DIRTY_CAS) {
        for key in args.rest() {
            server.watch(id, key);
        }
    }
    server.reply(id).ok();
    REPLIED
}

fn unwatch(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    server.unwatch(id);
    server.reply(id).ok();
    REPLIED
}
