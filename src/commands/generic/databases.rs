//! Commands on whole databases. COMMAND DOCS has them among the server commands.

use crate::command::ctx::{CmdError, CmdResult, Ctx, REPLIED};
use crate::command::table::{Command, Group, cat, flag};
use crate::util::num;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::data("DBSIZE", 1, dbsize)
        .doc(
            Group::Server,
            "1.0.0",
            "O(1)",
            "Count the keys of the current database.",
        )
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::KEYSPACE)
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"]),
    Command::data("FLUSHALL", -1, flushall)
        .doc(
            Group::Server,
            "1.0.0",
            "O(N) where N is the total number of keys in all databases",
            "Remove every key of every database.",
        )
        .syntax("[async:(ASYNC@4.0.0 | SYNC@6.2.0)]")
        .flags(flag::WRITE)
        .acl(cat::KEYSPACE | cat::DANGEROUS)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .history(&[
            ("4.0.0", "Added the `ASYNC` flushing mode modifier."),
            ("6.2.0", "Added the `SYNC` flushing mode modifier."),
        ]),
    Command::data("FLUSHDB", -1, flushdb)
        .doc(
            Group::Server,
            "1.0.0",
            "O(N) where N is the number of keys in the selected database",
            "Remove every key of the current database.",
        )
        .syntax("[async:(ASYNC@4.0.0 | SYNC@6.2.0)]")
        .flags(flag::WRITE)
        .acl(cat::KEYSPACE | cat::DANGEROUS)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .history(&[
            ("4.0.0", "Added the `ASYNC` flushing mode modifier."),
            ("6.2.0", "Added the `SYNC` flushing mode modifier."),
        ]),
    Command::data("SWAPDB", 3, swapdb)
        .doc(
            Group::Server,
            "4.0.0",
            "O(N) where N is the count of clients watching or blocking on keys from both \
             databases.",
            "Exchange the contents of two databases.",
        )
        .syntax("index1:integer index2:integer")
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::KEYSPACE | cat::DANGEROUS),
];

fn dbsize(ctx: &mut Ctx) -> CmdResult {
    // Redis: keys whose time has come count until they are deleted.
    ctx.reply.integer(ctx.db.table().len() as i64);
    REPLIED
}

/// Whether a flush frees what it removes in the background.
fn in_background(ctx: &mut Ctx) -> Result<bool, CmdError> {
    if ctx.args.left() == 0 {
        return Ok(ctx.config.lazyfree_lazy_user_flush);
    }
    let in_background = ctx.args.take_word("ASYNC");
    if !in_background && !ctx.args.take_word("SYNC") {
        return Err(CmdError::Syntax);
    }
    ctx.args.end()?;
    Ok(in_background)
}

fn flushall(ctx: &mut Ctx) -> CmdResult {
    let in_background = in_background(ctx)?;
    let keyspace = ctx.db.keyspace();
    let indexes: Vec<_> = keyspace.dbs().map(|(index, _)| index).collect();
    for index in indexes {
        let removed = keyspace.flush(index, in_background);
        keyspace.effects.dirty += removed as u64;
    }
    keyspace.effects.emptied();
    keyspace.effects.all_flushed();
    // Also when there was nothing to remove.
    ctx.propagate_as(ctx.args.argv());
    ctx.reply.ok();
    REPLIED
}

fn flushdb(ctx: &mut Ctx) -> CmdResult {
    let in_background = in_background(ctx)?;
    let index = ctx.db.index();
    let keyspace = ctx.db.keyspace();
    let removed = keyspace.flush(index, in_background);
    keyspace.effects.dirty += removed as u64;
    keyspace.effects.emptied();
    ctx.propagate_as(ctx.args.argv());
    ctx.reply.ok();
    REPLIED
}

fn swapdb(ctx: &mut Ctx) -> CmdResult {
    let mut number = |which: &str| {
        let number = num::parse_i64(ctx.args.bytes()?);
        number
            .filter(|number| i32::try_from(*number).is_ok())
            .ok_or_else(|| CmdError::err(format!("invalid {which} DB index")))
    };
    let (first, second) = (number("first")?, number("second")?);
    let keyspace = ctx.db.keyspace();
    let indexes = (keyspace.index(first), keyspace.index(second));
    let (Some(first), Some(second)) = indexes else {
        return Err(CmdError::DbOutOfRange);
    };
    keyspace.swap(first, second);
    ctx.reply.ok();
    REPLIED
}
