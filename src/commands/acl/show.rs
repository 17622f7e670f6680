//! What ACL shows: users, categories, refusals.

use super::{unknown_category, wrong_count};
use crate::acl::{Catalog, Selector};
use crate::command::ctx::{Args, CmdResult, REPLIED};
use crate::command::implied;
use crate::command::registry::Registry;
use crate::engine::{ClientId, Server};
use crate::resp::Reply;

pub(super) fn acl_cat(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let names: Vec<String> = match args.left() {
        0 => {
            let names = server.registry.category_names().iter();
            names.map(|(_, name)| (*name).to_owned()).collect()
        }
        1 => {
            let name = args.bytes()?;
            let category = implied::category(name).ok_or_else(|| unknown_category(name))?;
            let entries = server.registry.all().iter();
            entries
                .filter(|entry| entry.categories & category != 0)
                .map(|entry| entry.full_name().to_owned())
                .collect()
        }
        _ => return Err(wrong_count(&args)),
    };
    let mut reply = server.reply(id);
    reply.array(names.len());
    for name in names {
        reply.bulk(name.as_bytes());
    }
    REPLIED
}

pub(super) fn acl_getuser(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let name = args.bytes()?;
    let Some(user) = server.users.get(name).cloned() else {
        server.reply(id).null();
        return REPLIED;
    };
    let (registry, mut reply) = server.registry_and_reply(id);
    reply.map(6);
    reply.bulk(b"flags");
    let flags = user.flags();
    reply.set(flags.len());
    for flag in flags {
        reply.bulk(flag.as_bytes());
    }
    reply.bulk(b"passwords");
    reply.array(user.passwords().len());
    for password in user.passwords() {
        reply.bulk(password.to_hex().as_bytes());
    }
    let [root, others @ ..] = user.selectors() else {
        return REPLIED;
    };
    show_selector(registry, &mut reply, root);
    reply.bulk(b"selectors");
    reply.array(others.len());
    for selector in others {
        reply.map(3);
        show_selector(registry, &mut reply, selector);
    }
    REPLIED
}

fn show_selector(registry: &Registry, reply: &mut Reply<'_>, selector: &Selector) {
    reply.bulk(b"commands");
    reply.bulk(&selector.describe_commands(registry));
    reply.bulk(b"keys");
    reply.bulk(&selector.describe_keys());
    reply.bulk(b"channels");
    reply.bulk(&selector.describe_channels());
}

pub(super) fn acl_list(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let lines = server.user_lines();
    let mut reply = server.reply(id);
    reply.array(lines.len());
    for line in lines {
        reply.bulk(&[b"user ", line.as_slice()].concat());
    }
    REPLIED
}

pub(super) fn acl_users(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let names: Vec<Vec<u8>> = server
        .users
        .iter()
        .map(|user| user.name().to_vec())
        .collect();
    let mut reply = server.reply(id);
    reply.array(names.len());
    for name in names {
        reply.bulk(&name);
    }
    REPLIED
}

pub(super) fn acl_whoami(server: &mut Server, id: ClientId, _: Args<'_>) -> CmdResult {
    let user = server.client(id).user.clone();
    server.reply(id).bulk(user.name());
    REPLIED
}

pub(super) fn acl_log(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    const ENTRIES: usize = 10;
    let count = match args.left() {
        0 => ENTRIES,
        1 if args.take_word("RESET") => {
            server.acl_log.clear();
            server.reply(id).ok();
            return REPLIED;
        }
        1 => usize::try_from(args.int()?).unwrap_or(0),
        _ => return Err(wrong_count(&args)),
    };
    let now_ms = server.clock_unix_ms();
    let (log, mut reply) = server.acl_log_and_reply(id);
    reply.array(count.min(log.iter().len()));
    for entry in log.iter().take(count) {
        reply.map(7);
        reply.bulk(b"count");
        reply.integer(entry.count as i64);
        reply.bulk(b"reason");
        reply.bulk(entry.reason.name().as_bytes());
        reply.bulk(b"context");
        reply.bulk(entry.context.name().as_bytes());
        reply.bulk(b"object");
        reply.bulk(&entry.object);
        reply.bulk(b"username");
        reply.bulk(&entry.username);
        reply.bulk(b"age-seconds");
        reply.double((now_ms - entry.time_ms) as f64 / 1000.0);
        reply.bulk(b"client-info");
        reply.bulk(entry.client_info.as_bytes());
    }
    REPLIED
}
