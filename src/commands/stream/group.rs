//! XGROUP: making and deleting consumer groups and their consumers.

use super::{ids, no_group_of_key};
use crate::command::ctx::{CmdError, CmdResult, Ctx, REPLIED};
use crate::command::table::{Command, Group as CommandGroup, cat, flag, key_at, kflag};
use crate::keyspace::{CollectionEdit, event};
use crate::types::Stream;
use crate::types::stream::Group;

/// Subcommands of XGROUP.
pub(super) const XGROUP: &[Command] = &[
    Command::data("CREATE", -5, xgroup_create)
        .doc(
            CommandGroup::Stream,
            "5.0.0",
            "O(1)",
            "Make a consumer group that reads from an ID on.",
        )
        .syntax(
            "key:key groupname:string id:(id:string | new_id=$) [MKSTREAM] [ENTRIESREAD \
             entries_read:integer]",
        )
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::STREAM)
        .keys(&[key_at(kflag::RW | kflag::INSERT, 2)])
        .history(&[("7.0.0", "Added the `entries_read` named argument.")]),
    Command::data("CREATECONSUMER", 5, xgroup_createconsumer)
        .doc(
            CommandGroup::Stream,
            "6.2.0",
            "O(1)",
            "Make a consumer of a group.",
        )
        .syntax("key:key groupname:string consumername:string")
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::STREAM)
        .keys(&[key_at(kflag::RW | kflag::INSERT, 2)]),
    Command::data("DELCONSUMER", 5, xgroup_delconsumer)
        .doc(
            CommandGroup::Stream,
            "5.0.0",
            "O(1)",
            "Delete a consumer of a group with all that is pending for it.",
        )
        .syntax("key:key groupname:string consumername:string")
        .flags(flag::WRITE)
        .acl(cat::STREAM)
        .keys(&[key_at(kflag::RW | kflag::DELETE, 2)]),
    Command::data("DESTROY", 4, xgroup_destroy)
        .doc(
            CommandGroup::Stream,
            "5.0.0",
            "O(N) where N is the number of entries in the group's pending entries list \
             (PEL).",
            "Delete a consumer group with all that is pending in it.",
        )
        .syntax("key:key groupname:string")
        .flags(flag::WRITE)
        .acl(cat::STREAM)
        .keys(&[key_at(kflag::RW | kflag::DELETE, 2)]),
    Command::data("HELP", 2, xgroup_help)
        .doc(
            CommandGroup::Stream,
            "5.0.0",
            "O(1)",
            "List the subcommands of XGROUP.",
        )
        .flags(flag::LOADING | flag::STALE)
        .acl(cat::STREAM),
    Command::data("SETID", -5, xgroup_setid)
        .doc(
            CommandGroup::Stream,
            "5.0.0",
            "O(1)",
            "Have a consumer group read on from another ID.",
        )
        .syntax(
            "key:key groupname:string id:(id:string | new_id=$) [ENTRIESREAD \
             entries_read:integer]",
        )
        .flags(flag::WRITE)
        .acl(cat::STREAM)
        .keys(&[key_at(kflag::RW | kflag::UPDATE, 2)])
        .history(&[("7.0.0", "Added the optional `entries_read` argument.")]),
];

const CONTAINER: &str = "xgroup";

/// The name of the subcommand as it was typed.
fn subcommand<'a>(ctx: &Ctx<'a>) -> &'a [u8] {
    ctx.args.argv().get(1).copied().unwrap_or_default()
}

fn wrong_syntax(ctx: &Ctx) -> CmdError {
    CmdError::subcommand_syntax(subcommand(ctx), CONTAINER)
}

/// The options of CREATE and SETID.
#[derive(Default)]
struct Options {
    make_stream: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(ctx: &mut Ctx, creates: bool) -> Result<Options, CmdError> {
        let mut options = Options::default();
        while ctx.args.left() > 0 {
            if creates && ctx.args.take_word("MKSTREAM") {
                options.make_stream = true;
            } else if ctx.args.left() > 1 && ctx.args.take_word("ENTRIESREAD") {
                options.entries_read = match ctx.args.int()? {
                    -1 => None,
                    number => Some(u64::try_from(number).map_err(|_| {
                        CmdError::err("value for ENTRIESREAD must be positive or -1")
                    })?),
                };
            } else {
                return Err(wrong_syntax(ctx));
            }
        }
        Ok(options)
    }
}

fn no_key() -> CmdError {
    CmdError::err(
        "The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to \
         use the MKSTREAM option to create an empty stream automatically.",
    )
}

fn existing<'b>(ctx: &'b mut Ctx, key: &'b [u8]) -> Result<CollectionEdit<'b, Stream>, CmdError> {
    let stream = ctx.db.edit_collection::<Stream>(key)?;
    stream.ok_or_else(no_key)
}

fn xgroup_create(ctx: &mut Ctx) -> CmdResult {
    let (key, name, id) = (ctx.args.key()?, ctx.args.bytes()?, ctx.args.bytes()?);
    let given = ctx.args.left();
    let options = Options::parse(ctx, true)?;
    let exists = ctx.db.view::<Stream>(key).is_some();
    if !options.make_stream {
        drop(existing(ctx, key)?);
    } else if !exists {
        // Of another type, if there is a key.
        ctx.db.edit_collection::<Stream>(key)?;
    }
    if given > 3 {
        return Err(wrong_syntax(ctx));
    }
    let id = match id {
        b"$" => None,
        id => Some(ids::strict(id)?),
    };
    let mut stream = ctx.db.edit_or_create::<Stream>(key)?;
    if stream.groups.contains_key(name) {
        return Err(CmdError::coded(
            "BUSYGROUP",
            "Consumer Group name already exists",
        ));
    }
    let id = id.unwrap_or(stream.log.last_id);
    let group = Group::new(id, options.entries_read);
    stream.groups.insert(name.into(), group);
    if exists {
        stream.count_further(1);
        stream.notify(event::XGROUP_CREATE);
    } else {
        stream.changed(event::XGROUP_CREATE);
    }
    ctx.reply.ok();
    REPLIED
}

fn xgroup_setid(ctx: &mut Ctx) -> CmdResult {
    let (key, name, id) = (ctx.args.key()?, ctx.args.bytes()?, ctx.args.bytes()?);
    let given = ctx.args.left();
    let options = Options::parse(ctx, false)?;
    let wrong = wrong_syntax(ctx);
    let mut stream = existing(ctx, key)?;
    if !stream.groups.contains_key(name) {
        return Err(no_group_of_key(key, name));
    }
    if given > 2 {
        return Err(wrong);
    }
    let id = match id {
        b"$" => stream.log.last_id,
        id => ids::any(id, 0)?,
    };
    if let Some(group) = stream.groups.get_mut(name) {
        group.last_id = id;
        group.entries_read = options.entries_read;
    }
    stream.count_further(1);
    stream.notify(event::XGROUP_SETID);
    drop(stream);
    ctx.reply.ok();
    REPLIED
}

fn xgroup_destroy(ctx: &mut Ctx) -> CmdResult {
    let (key, name) = (ctx.args.key()?, ctx.args.bytes()?);
    let mut stream = existing(ctx, key)?;
    let destroyed = stream.groups.remove(name).is_some();
    if destroyed {
        stream.count_further(1);
        stream.notify(event::XGROUP_DESTROY);
        // Who waits as one of its consumers waits in vain.
        stream.ready();
    }
    drop(stream);
    ctx.reply.integer(i64::from(destroyed));
    REPLIED
}

fn xgroup_createconsumer(ctx: &mut Ctx) -> CmdResult {
    let (key, name, consumer) = (ctx.args.key()?, ctx.args.bytes()?, ctx.args.bytes()?);
    let now_ms = ctx.now_ms();
    let mut stream = existing(ctx, key)?;
    let group = stream.groups.get_mut(name);
    let group = group.ok_or_else(|| no_group_of_key(key, name))?;
    let created = group.create_consumer(consumer, now_ms).is_some();
    if created {
        stream.count_further(1);
        stream.notify(event::XGROUP_CREATECONSUMER);
    }
    drop(stream);
    ctx.reply.integer(i64::from(created));
    REPLIED
}

fn xgroup_delconsumer(ctx: &mut Ctx) -> CmdResult {
    let (key, name, consumer) = (ctx.args.key()?, ctx.args.bytes()?, ctx.args.bytes()?);
    let mut stream = existing(ctx, key)?;
    let group = stream.groups.get_mut(name);
    let group = group.ok_or_else(|| no_group_of_key(key, name))?;
    let pending = group.delete_consumer(consumer);
    if pending.is_some() {
        stream.count_further(1);
        stream.notify(event::XGROUP_DELCONSUMER);
    }
    drop(stream);
    ctx.reply.integer(pending.unwrap_or(0) as i64);
    REPLIED
}

fn xgroup_help(ctx: &mut Ctx) -> CmdResult {
    const LINES: [&str; 17] = [
        "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CREATE <key> <groupname> <id|$> [option]",
        "    Make a consumer group. Options are:",
        "    * MKSTREAM",
        "      Make an empty stream too, if there is none.",
        "    * ENTRIESREAD entries_read",
        "      How many entries the group has read (for replication).",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Make a consumer of the group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Delete a consumer with what is pending for it.",
        "DESTROY <key> <groupname>",
        "    Delete a group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
        "    Set from where the group reads on, and how many entries it has read.",
        "HELP",
        "    Prints this help.",
    ];
    ctx.reply.array(LINES.len());
    for line in LINES {
        ctx.reply.simple(line);
    }
    REPLIED
}
