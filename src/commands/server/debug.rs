//! DEBUG: tools for tests, behind `enable-debug-command`:
//! <https://redis.io/docs/latest/commands/debug/>.

use std::time::Duration;

use super::debug_encoding::{list_fields, listpack, quicklist, quicklist_packed_threshold};
use super::digest::Digest;
use super::mallctl;
use super::serialized::serialized_bytes;
use crate::command::ctx::{Args, CmdError, CmdResult, REPLIED};
use crate::command::table::{Command, Group, flag};
use crate::config::Extra;
use crate::engine::hooks::Action;
use crate::engine::loading::LoadOptions;
use crate::engine::{Client, ClientId, Server, ShutdownRequest, ShutdownState, random_hex};
use crate::keyspace::ValueKind;
use crate::keyspace::entry::{EntryRef, INLINE_BYTES_MAX, NewValue, ValueRef};
use crate::rdb::payload::skip_checksums;
use crate::types::{Hash, List, Object, Set, StrBuf, Zset};
use crate::util::{glob, num, relocate};

/// The command.
pub const COMMANDS: &[Command] = &[Command::server("DEBUG", -2, debug)
    .doc(
        Group::Server,
        "1.0.0",
        "Depends on subcommand.",
        "Run one of the internal tools made for testing the server.",
    )
    .flags(
        flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::PROTECTED | flag::SYSCMD,
    )];

/// Peak of reply buffers is forgotten after this time, milliseconds.
const PEAK_RESET_DEFAULT_MS: u64 = 5000;
/// Patterns tried by STRINGMATCH-TEST.
const PATTERNS: usize = 100_000;

/// A tool: its name, how many arguments it takes after it, what it does.
struct Tool {
    name: &'static str,
    least: usize,
    most: usize,
    run: fn(&mut Server, ClientId, &mut Args<'_>) -> CmdResult,
    /// Usage and explanation; empty: not for users.
    help: [&'static str; 2],
}

const fn tool(
    name: &'static str,
    (least, most): (usize, usize),
    run: fn(&mut Server, ClientId, &mut Args<'_>) -> CmdResult,
    help: [&'static str; 2],
) -> Tool {
    Tool {
        name,
        least,
        most,
        run,
        help,
    }
}

const ANY: usize = usize::MAX;

/// All tools. Not commands of their own: ACL and COMMAND know DEBUG only.
const TOOLS: &[Tool] = &[
    tool(
        "AOF-FLUSH-SLEEP",
        (1, 1),
        aof_flush_sleep,
        [
            "AOF-FLUSH-SLEEP <microsec>",
            "Sleep before each write to the append-only file.",
        ],
    ),
    tool(
        "ASSERT",
        (0, ANY),
        assert,
        ["ASSERT", "Fail an assertion, which ends the server."],
    ),
    tool(
        "CHANGE-REPL-ID",
        (0, 0),
        change_repl_id,
        ["CHANGE-REPL-ID", "Give the data's history a new name."],
    ),
    tool("CLIENT-EVICTION", (0, 0), client_eviction, ["", ""]),
    tool("CLUSTERLINK", (3, 3), needs_cluster, ["", ""]),
    tool(
        "CONFIG-REWRITE-FORCE-ALL",
        (0, 0),
        config_rewrite_force_all,
        [
            "CONFIG-REWRITE-FORCE-ALL",
            "Write every directive to the configuration file, defaults too.",
        ],
    ),
    tool(
        "CRASH-AND-RECOVER",
        (0, ANY),
        crash_and_recover,
        [
            "CRASH-AND-RECOVER [<milliseconds>]",
            "Start the program anew after a delay, with nothing saved.",
        ],
    ),
    tool(
        "DIGEST",
        (0, 0),
        digest,
        ["DIGEST", "A hash of all data, the same for the same data."],
    ),
    tool(
        "DIGEST-VALUE",
        (0, ANY),
        digest_value,
        [
            "DIGEST-VALUE <key> [<key> ...]",
            "A hash of each of these values.",
        ],
    ),
    tool(
        "DROP-CLUSTER-PACKET-FILTER",
        (1, 1),
        needs_cluster,
        ["", ""],
    ),
    tool(
        "ERROR",
        (1, 1),
        error,
        ["ERROR <text>", "Answer with this error, code included."],
    ),
    tool(
        "HTSTATS",
        (1, 1),
        htstats,
        ["HTSTATS <db>", "Sizes of a database's hash table."],
    ),
    tool(
        "HTSTATS-KEY",
        (1, 1),
        htstats_key,
        [
            "HTSTATS-KEY <key>",
            "Size of the hash table that a key's value is kept in.",
        ],
    ),
    tool(
        "LEAK",
        (1, 1),
        leak,
        ["LEAK <text>", "Lose memory of the size of the text."],
    ),
    tool(
        "LISTPACK",
        (1, 1),
        listpack,
        [
            "LISTPACK <key>",
            "Print how a small collection is packed to the standard output.",
        ],
    ),
    tool(
        "LOADAOF",
        (0, 0),
        loadaof,
        [
            "LOADAOF",
            "Write what is left to the append-only file, and load everything from it again.",
        ],
    ),
    tool(
        "LOG",
        (1, 1),
        log,
        ["LOG <text>", "Write the text to the server's log."],
    ),
    tool(
        "MALLCTL",
        (1, 2),
        mallctl_number,
        [
            "MALLCTL <name> [<value>]",
            "Read or set a number of the allocator.",
        ],
    ),
    tool(
        "MALLCTL-STR",
        (1, 2),
        mallctl_text,
        ["MALLCTL-STR <name>", "Read a text of the allocator."],
    ),
    tool(
        "OBJECT",
        (1, 1),
        object,
        ["OBJECT <key>", "How a key's value is stored."],
    ),
    tool(
        "OOM",
        (0, 0),
        oom,
        [
            "OOM",
            "Ask for more memory than there is, which ends the server.",
        ],
    ),
    tool(
        "PANIC",
        (0, ANY),
        panic,
        ["PANIC", "End the server as an internal error does."],
    ),
    tool(
        "PAUSE-CRON",
        (1, 1),
        pause_cron,
        [
            "PAUSE-CRON <0|1>",
            "Stop the work that is done from time to time.",
        ],
    ),
    tool(
        "POPULATE",
        (1, 3),
        populate,
        [
            "POPULATE <count> [<prefix>] [<size>]",
            "Create the strings key:0, key:1 and so on.",
        ],
    ),
    tool(
        "PROTOCOL",
        (1, 1),
        protocol,
        [
            "PROTOCOL <type>",
            "Answer with a string, integer, double, bignum, null, array, set, map, attrib, push, \
             verbatim, true or false.",
        ],
    ),
    tool(
        "QUICKLIST",
        (1, 2),
        quicklist,
        [
            "QUICKLIST <key> [<0|1>]",
            "Print how a list is kept to the standard output, with the elements (1) or without \
             (0).",
        ],
    ),
    tool(
        "QUICKLIST-PACKED-THRESHOLD",
        (1, 1),
        quicklist_packed_threshold,
        [
            "QUICKLIST-PACKED-THRESHOLD <size>",
            "From which size on an element of a list is kept on its own; 0: the usual 1gb.",
        ],
    ),
    tool(
        "RELOAD",
        (0, ANY),
        reload,
        [
            "RELOAD [NOSAVE] [NOFLUSH] [MERGE]",
            "Save a snapshot (or do not), drop all keys (or do not), then load it. MERGE keeps \
             keys that are there.",
        ],
    ),
    tool("REPLICATE", (1, ANY), needs_replication, ["", ""]),
    tool(
        "REPLYBUFFER",
        (2, 2),
        replybuffer,
        [
            "REPLYBUFFER (PEAK-RESET-TIME (NEVER|RESET|<milliseconds>)|RESIZING <0|1>)",
            "How the reply buffers of clients are resized.",
        ],
    ),
    tool(
        "RESTART",
        (0, ANY),
        restart,
        [
            "RESTART [<milliseconds>]",
            "Write the configuration, then start the program anew after a delay.",
        ],
    ),
    tool(
        "SEGFAULT",
        (0, ANY),
        segfault,
        ["SEGFAULT", "Crash the server."],
    ),
    tool(
        "SET-ACTIVE-EXPIRE",
        (1, 1),
        set_active_expire,
        [
            "SET-ACTIVE-EXPIRE <0|1>",
            "Look for expired keys that nobody uses, or do not.",
        ],
    ),
    tool(
        "SET-DISABLE-DENY-SCRIPTS",
        (1, 1),
        set_disable_deny_scripts,
        ["", ""],
    ),
    tool(
        "SET-SKIP-CHECKSUM-VALIDATION",
        (1, 1),
        set_skip_checksum_validation,
        [
            "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
            "Pass over the checksums of payloads, or do not.",
        ],
    ),
    tool(
        "SLEEP",
        (1, 1),
        sleep,
        [
            "SLEEP <seconds>",
            "Serve nobody for a while; fractions are allowed.",
        ],
    ),
    tool(
        "STRINGMATCH-TEST",
        (0, 0),
        stringmatch_test,
        ["STRINGMATCH-TEST", "Try random patterns on random texts."],
    ),
    tool(
        "STRUCTSIZE",
        (0, 0),
        structsize,
        ["STRUCTSIZE", "Sizes of internal structures, bytes."],
    ),
];

fn debug(server: &mut Server, client: ClientId, mut args: Args<'_>) -> CmdResult {
    let name = args.bytes()?;
    if name.eq_ignore_ascii_case(b"help") && args.left() == 0 {
        return help(server, client);
    }
    let found = TOOLS.iter().find(|tool| {
        name.eq_ignore_ascii_case(tool.name.as_bytes())
            && (tool.least..=tool.most).contains(&args.left())
    });
    match found {
        Some(tool) => (tool.run)(server, client, &mut args),
        None => Err(CmdError::subcommand_syntax(name, "DEBUG")),
    }
}

fn help(server: &mut Server, client: ClientId) -> CmdResult {
    let shown: Vec<&Tool> = TOOLS
        .iter()
        .filter(|tool| !tool.help[0].is_empty())
        .collect();
    let mut reply = server.reply(client);
    reply.array(shown.len() * 2 + 3);
    reply.simple("DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    for tool in shown {
        reply.simple(tool.help[0]);
        reply.simple(&format!("    {}", tool.help[1]));
    }
    reply.simple("HELP");
    reply.simple("    Print this help.");
    REPLIED
}

fn ok(server: &mut Server, client: ClientId) -> CmdResult {
    server.reply(client).ok();
    REPLIED
}

/// Redis reads switches with `atoi`: the number that the text begins with.
fn switch(arg: &[u8]) -> bool {
    let text = arg.trim_ascii_start();
    let digits = text
        .strip_prefix(b"-")
        .or(text.strip_prefix(b"+"))
        .unwrap_or(text);
    digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .any(|byte| *byte != b'0')
}

fn aof_flush_sleep(server: &mut Server, client: ClientId, args: &mut Args<'_>) -> CmdResult {
    let us = num::parse_i64(args.bytes()?).and_then(|us| u64::try_from(us).ok());
    server.aof.flush_sleep_us = us.unwrap_or(0);
    ok(server, client)
}

fn loadaof(server: &mut Server, client: ClientId, _: &mut Args<'_>) -> CmdResult {
    server.settle_aof();
    forget_data(server)?;
    let replayed = match server.hooks.replay {
        Some(replay) => replay(server),
        None => Ok(()),
    };
    if replayed.is_err() {
        // Redis: what is in memory now is not to be trusted.
        server.shutdown = ShutdownState::Exit(1);
        return Err(CmdError::err("Error trying to load the append-only file"));
    }
    server.drop_history();
    server.stats.dirty = 0;
    tracing::warn!("Append Only File loaded by DEBUG LOADAOF");
    ok(server, client)
}

/// Forgets all that a file holds: keys and functions.
fn forget_data(server: &mut Server) -> Result<(), CmdError> {
    let indexes: Vec<_> = server.keyspace.dbs().map(|(index, _)| index).collect();
    for index in indexes {
        server.keyspace.flush(index, false);
    }
    server.flush_libraries(false)
}

fn reload(server: &mut Server, client: ClientId, args: &mut Args<'_>) -> CmdResult {
    let (mut save, mut flush, mut options) = (true, true, LoadOptions::default());
    while args.left() > 0 {
        if args.take_word("NOSAVE") {
            save = false;
        } else if args.take_word("NOFLUSH") {
            flush = false;
        } else if args.take_word("MERGE") {
            options.merge = true;
        } else {
            return Err(CmdError::err(
                "DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
            ));
        }
    }
    if save {
        // The reason of a failure has been logged.
        server
            .save_now()
            .map_err(|_| CmdError::line(b"ERR".to_vec()))?;
    }
    if flush {
        forget_data(server)?;
    }
    let limits = crate::commands::generic::dump::limits(&server.config);
    server
        .reload(limits, options)
        .map_err(|_| CmdError::err("Error trying to load the RDB dump"))?;
    tracing::warn!("DB reloaded by DEBUG RELOAD");
    ok(server, client)
}

fn needs_replication(_: &mut Server, _: ClientId, _: &mut Args<'_>) -> CmdResult {
    Err(CmdError::err("This version has no replication"))
}

fn change_repl_id(server: &mut Server, client: ClientId, _: &mut Args<'_>) -> CmdResult {
    tracing::warn!("Changing replication IDs after receiving DEBUG change-repl-id");
    server.replication_id = random_hex(&mut server.rng, 40);
    ok(server, client)
}

fn set_disable_deny_scripts(
    server: &mut Server,
    client: ClientId,
    args: &mut Args<'_>,
) -> CmdResult {
    server.scripts.allow_denied = switch(args.bytes()?);
    ok(server, client)
}

fn needs_cluster(_: &mut Server, _: ClientId, _: &mut Args<'_>) -> CmdResult {
    Err(CmdError::err(
        "Debug option only available for cluster mode enabled setup!",
    ))
}

fn client_eviction(server: &mut Server, client: ClientId, _: &mut Args<'_>) -> CmdResult {
    let Some(classes) = server.clients.memory_classes() else {
        return Err(CmdError::err("maxmemory-clients is disabled."));
    };
    let (mut text, mut least, last) = (String::new(), 0, classes.len() - 1);
    for (index, (bound, bytes, clients)) in classes.into_iter().enumerate() {
        let most = if index == last {
            format!("+{:12}", "")
        } else {
            format!(" - {:>10}", bound - 1)
        };
        text.push_str(&format!(
            "bucket {least:>10}{most}: tot-mem: {bytes:>10}, clients: {clients}\n"
        ));
        least = bound;
    }
    server.reply(client).verbatim("txt", text.as_bytes());
    REPLIED
}

fn assert(_: &mut Server, _: ClientId, args: &mut Args<'_>) -> CmdResult {
    assert!(args.argv().is_empty(), "assertion failed: DEBUG ASSERT");
    REPLIED
}

fn panic(server: &mut Server, _: ClientId, _: &mut Args<'_>) -> CmdResult {
    panic!("DEBUG PANIC called at Unix time {}", server.now_ms() / 1000);
}

fn segfault(server: &mut Server, _: ClientId, _: &mut Args<'_>) -> CmdResult {
    server.act(Action::Segfault).map_err(CmdError::err)?;
    REPLIED
}

fn oom(server: &mut Server, _: ClientId, _: &mut Args<'_>) -> CmdResult {
    server.act(Action::OutOfMemory).map_err(CmdError::err)?;
    REPLIED
}

fn delay(args: &mut Args<'_>) -> Result<Duration, CmdError> {
    let delay_ms = if args.left() > 0 { args.int()? } else { 0 };
    Ok(Duration::from_millis(u64::try_from(delay_ms).unwrap_or(0)))
}

fn crash_and_recover(server: &mut Server, _: ClientId, args: &mut Args<'_>) -> CmdResult {
    std::thread::sleep(delay(args)?);
    server.act(Action::Restart).map_err(CmdError::err)?;
    REPLIED
}

fn restart(server: &mut Server, _: ClientId, args: &mut Args<'_>) -> CmdResult {
    let delay = delay(args)?;
    let failed = || CmdError::err("failed to restart the server. Check server logs.");
    if let Some(file) = server.config.config_file.clone()
        && let Err(error) = server.config.rewrite(&file, Extra::default(), false)
    {
        tracing::warn!("Can't restart: configuration rewrite process failed: {error}");
        return Err(failed());
    }
    let request = ShutdownRequest {
        now: true,
        ..ShutdownRequest::default()
    };
    if server.begin_shutdown(request).is_err() {
        tracing::warn!("Can't restart: error preparing for shutdown");
        return Err(failed());
    }
    std::thread::sleep(delay);
    let restarted = server.act(Action::Restart);
    server.shutdown = Default::default();
    restarted.map_err(|_| failed())?;
    REPLIED
}

fn sleep(server: &mut Server, client: ClientId, args: &mut Args<'_>) -> CmdResult {
    let seconds = num::parse_f64(args.bytes()?).unwrap_or(0.0);
    if let Ok(time) = Duration::try_from_secs_f64(seconds) {
        std::thread::sleep(time);
    }
    ok(server, client)
}

fn set_active_expire(server: &mut Server, client: ClientId, args: &mut Args<'_>) -> CmdResult {
    server.debug.active_expire = switch(args.bytes()?);
    ok(server, client)
}

fn set_skip_checksum_validation(
    server: &mut Server,
    client: ClientId,
    args: &mut Args<'_>,
) -> CmdResult {
    skip_checksums(switch(args.bytes()?));
    ok(server, client)
}

fn pause_cron(server: &mut Server, client: ClientId, args: &mut Args<'_>) -> CmdResult {
    server.debug.cron = !switch(args.bytes()?);
    ok(server, client)
}

fn replybuffer(server: &mut Server, client: ClientId, args: &mut Args<'_>) -> CmdResult {
    if args.take_word("PEAK-RESET-TIME") {
        server.debug.reply_peak_reset_ms = if args.take_word("NEVER") {
            None
        } else if args.take_word("RESET") {
            Some(PEAK_RESET_DEFAULT_MS)
        } else {
            // Redis: a negative time is never, too.
            u64::try_from(args.int()?).ok()
        };
    } else if args.take_word("RESIZING") {
        server.debug.reply_resizing = switch(args.bytes()?);
    } else {
        return Err(CmdError::subcommand_syntax(args.argv()[1], "DEBUG"));
    }
    ok(server, client)
}

fn log(server: &mut Server, client: ClientId, args: &mut Args<'_>) -> CmdResult {
    tracing::warn!("DEBUG LOG: {}", String::from_utf8_lossy(args.bytes()?));
    ok(server, client)
}

fn leak(server: &mut Server, client: ClientId, args: &mut Args<'_>) -> CmdResult {
    Box::leak(Box::<[u8]>::from(args.bytes()?));
    ok(server, client)
}

/// Redis: this error is not counted anywhere.
fn error(server: &mut Server, client: ClientId, args: &mut Args<'_>) -> CmdResult {
    server.reply(client).error(args.bytes()?);
    REPLIED
}

fn config_rewrite_force_all(server: &mut Server, client: ClientId, _: &mut Args<'_>) -> CmdResult {
    let Some(file) = server.config.config_file.clone() else {
        return Err(CmdError::err("The server is running without a config file"));
    };
    if let Err(error) = server.config.rewrite(&file, Extra::default(), true) {
        let reason = crate::config::os_error_text(&error);
        return Err(CmdError::err(format!(
            "CONFIG-REWRITE-FORCE-ALL failed: {reason}"
        )));
    }
    ok(server, client)
}

/// A key, expired or not, without a trace.
pub(super) fn find<'a>(server: &'a Server, client: ClientId, key: &[u8]) -> Option<EntryRef<'a>> {
    let db = server.clients.get(client)?.db;
    let table = server.keyspace.db(db).table();
    let loc = table.find(server.keyspace.hash(key), key)?;
    Some(table.entry(loc))
}

fn digest(server: &mut Server, client: ClientId, _: &mut Args<'_>) -> CmdResult {
    let digest = Digest::of_all(&server.keyspace).to_string();
    server.reply(client).simple(&digest);
    REPLIED
}

fn digest_value(server: &mut Server, client: ClientId, args: &mut Args<'_>) -> CmdResult {
    let keys = args.rest();
    server.reply(client).array(keys.len());
    for key in keys {
        let digest = Digest::of_value(find(server, client, key)).to_string();
        server.reply(client).simple(&digest);
    }
    REPLIED
}

fn object(server: &mut Server, client: ClientId, args: &mut Args<'_>) -> CmdResult {
    let key = args.key()?;
    let entry = find(server, client, key).ok_or(CmdError::NoSuchKey)?;
    let encoding = entry.value().encoding_name();
    let idle_s = match server.keyspace.access.lfu {
        // Redis: under LFU the clock does not tell.
        true => 0,
        false => server
            .keyspace
            .access
            .idle_seconds(entry.clock(), server.now_ms()),
    };
    let fields = List::of(entry.value()).map(|list| list_fields(list, &server.config));
    let line = format!(
        "Value at:{:#x} refcount:1 encoding:{encoding} serializedlength:{} lru:{} \
         lru_seconds_idle:{idle_s}{}",
        entry.address(),
        serialized_bytes(entry, server.config.rdbcompression),
        entry.clock(),
        fields.unwrap_or_default(),
    );
    server.reply(client).simple(&line);
    REPLIED
}

fn htstats(server: &mut Server, client: ClientId, args: &mut Args<'_>) -> CmdResult {
    let number = args.int()?;
    let index = server
        .keyspace
        .index(number)
        .ok_or_else(|| CmdError::err("Out of range database"))?;
    let table = server.keyspace.db(index).table();
    let part = |name: &str, elements: usize| {
        if elements == 0 {
            return format!("[{name}]\nNo stats available for empty dictionaries\n");
        }
        format!("[{name}]\n{}", table_stats(table.slots(), elements))
    };
    let text = part("Dictionary HT", table.len()) + &part("Expires HT", table.expires());
    server.reply(client).verbatim("txt", text.as_bytes());
    REPLIED
}

fn htstats_key(server: &mut Server, client: ClientId, args: &mut Args<'_>) -> CmdResult {
    let entry = find(server, client, args.key()?).ok_or(CmdError::NoSuchKey)?;
    let table = match entry.value() {
        ValueRef::Boxed(Object::Set(Set::Table(table)))
        | ValueRef::Boxed(Object::Hash(Hash::Table(table))) => table,
        ValueRef::Boxed(Object::Zset(Zset::Big(scored))) => scored.members(),
        _ => {
            return Err(CmdError::err(
                "The value stored at the specified key is not represented using an hash table",
            ));
        }
    };
    let text = table_stats(table.slots(), table.len());
    server.reply(client).verbatim("txt", text.as_bytes());
    REPLIED
}

fn table_stats(slots: usize, elements: usize) -> String {
    format!(
        "Hash table 0 stats (main hash table):\n table size: {slots}\n number of elements: \
         {elements}\n"
    )
}

fn populate(server: &mut Server, client: ClientId, args: &mut Args<'_>) -> CmdResult {
    let positive = |arg: &[u8]| {
        let number = num::parse_i64(arg).and_then(|number| usize::try_from(number).ok());
        number.ok_or(CmdError::MustBePositive)
    };
    let count = positive(args.bytes()?)?;
    let prefix = args.next_arg().unwrap_or(b"key");
    let size = match args.next_arg() {
        None => 0,
        Some(arg) => positive(arg)?,
    };
    if size as u64 > server.config.proto_max_bulk_bytes {
        return Err(CmdError::StringTooLong);
    }
    let index = server.client(client).db;
    let mut db = server.keyspace.select(index);
    for number in 0..count {
        let mut key = prefix.to_vec();
        key.extend_from_slice(format!(":{number}").as_bytes());
        if db.contains(&key) {
            continue;
        }
        let mut value = format!("value:{number}").into_bytes();
        if size > 0 {
            value.resize(size, 0);
        }
        if value.len() <= INLINE_BYTES_MAX {
            db.create(&key, NewValue::Inline(&value));
        } else {
            let object = Object::String(StrBuf::Owned(value));
            db.create(&key, NewValue::Boxed(Box::new(object)));
        }
    }
    ok(server, client)
}

// The double is the one that clients' tests know.
#[allow(clippy::approx_constant)]
fn protocol(server: &mut Server, client: ClientId, args: &mut Args<'_>) -> CmdResult {
    let name = args.bytes()?.to_ascii_lowercase();
    let mut reply = server.reply(client);
    match name.as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12345),
        b"double" => reply.double(3.141),
        b"bignum" => reply.big_number("1234567999999999999999999999999999999"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"map" => {
            reply.map(3);
            for number in 0..3 {
                reply.integer(number);
                reply.boolean(number == 1);
            }
        }
        b"attrib" => {
            if reply.attribute(1) {
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.integer(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" => {
            if !reply.is_resp3() {
                return Err(CmdError::err("RESP2 is not supported by this command"));
            }
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
            reply.bulk(b"Some real reply following the push reply");
        }
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        b"verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        _ => {
            return Err(CmdError::err(
                "Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    REPLIED
}

fn mallctl_number(server: &mut Server, client: ClientId, args: &mut Args<'_>) -> CmdResult {
    let name = args.bytes()?;
    let new = if args.left() > 0 {
        Some(args.int()?)
    } else {
        None
    };
    let number = mallctl::number(name, new)?;
    server.reply(client).integer(number);
    REPLIED
}

fn mallctl_text(server: &mut Server, client: ClientId, args: &mut Args<'_>) -> CmdResult {
    let (name, new) = (args.bytes()?, args.next_arg());
    // Redis: VOID writes nothing, which is what a control without a value takes.
    if (name, new) == (b"thread.tcache.flush", Some(b"VOID")) {
        relocate::flush_thread_cache();
        server.reply(client).ok();
        return REPLIED;
    }
    let text = mallctl::text(name, new)?;
    server.reply(client).bulk(text);
    REPLIED
}

fn stringmatch_test(server: &mut Server, client: ClientId, _: &mut Args<'_>) -> CmdResult {
    use rand::Rng;
    const LETTERS: &[u8] = b"*?[]^-\\abc\x00\xff";
    for _ in 0..PATTERNS {
        let mut random = |len_max: usize| -> Vec<u8> {
            let len = server.rng.random_range(0..=len_max);
            (0..len)
                .map(|_| LETTERS[server.rng.random_range(0..LETTERS.len())])
                .collect()
        };
        let (pattern, text) = (random(32), random(32));
        glob::matches(&pattern, &text);
    }
    server
        .reply(client)
        .simple("Apparently Redis did not crash: test passed");
    REPLIED
}

fn structsize(server: &mut Server, client: ClientId, _: &mut Args<'_>) -> CmdResult {
    let sizes = format!(
        "bits:{} client:{} object:{} string:{}",
        usize::BITS,
        size_of::<Client>(),
        size_of::<Object>(),
        size_of::<StrBuf>(),
    );
    server.reply(client).bulk(sizes.as_bytes());
    REPLIED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_sorted_and_told_apart() {
        assert!(TOOLS.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn switches_are_read_as_atoi_does() {
        for on in [&b"1"[..], b" 10", b"-1", b"2x"] {
            assert!(switch(on));
        }
        for off in [&b"0"[..], b"", b"x1", b"000"] {
            assert!(!switch(off));
        }
    }
}
