//! DUMP and RESTORE: values as payloads that any Redis understands, in the
//! form of [`crate::rdb`].

use crate::command::ctx::{Args, CmdError, CmdResult, Ctx, REPLIED};
use crate::command::table::{Command, Group, cat, flag, key_at, kflag};
use crate::commands::{hash, list, set, sorted_set};
use crate::config::{Config, SanitizeDumpPayload};
use crate::keyspace::access::AccessPolicy;
use crate::keyspace::{TakenValue, event};
use crate::rdb::{self, Kind, LoadError, Reader, payload};
use crate::types::Object;
use crate::util::num::parse_i64;

/// The name by which nodes of a cluster restore what they migrate.
pub(super) const RESTORE_ASKING: &str = "RESTORE-ASKING";
/// The name by which everybody else does.
pub(super) const RESTORE: &str = "RESTORE";

const RESTORE_COMPLEXITY: &str = "O(1) to create the new key and additional O(N*M) to reconstruct \
    the serialized value, where N is the number of Redis objects composing the value and M their \
    average size. For small string values the time complexity is thus O(1)+O(1*M) where M is \
    small, so simply O(1). However for sorted set values the complexity is O(N*M*log(N)) because \
    inserting values into sorted sets is O(log(N)).";
const RESTORE_SYNTAX: &str = "key:key ttl:integer serialized-value:string [REPLACE@3.0.0] \
    [ABSTTL@5.0.0] [IDLETIME seconds:integer@5.0.0] [FREQ frequency:integer@5.0.0]";
const RESTORE_HISTORY: &[(&str, &str)] = &[
    ("3.0.0", "Added the `REPLACE` modifier."),
    ("5.0.0", "Added the `ABSTTL` modifier."),
    ("5.0.0", "Added the `IDLETIME` and `FREQ` options."),
];

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::data("DUMP", 2, dump)
        .doc(
            Group::Generic,
            "2.6.0",
            "O(1) to access the key and additional O(N*M) to serialize it, where N is the number \
             of Redis objects composing the value and M their average size. For small string \
             values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1).",
            "Give the value of a key as bytes from which another server can make it again.",
        )
        .syntax("key:key")
        .flags(flag::READONLY)
        .acl(cat::KEYSPACE)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .tips(&["nondeterministic_output"]),
    Command::data(RESTORE, -4, restore)
        .doc(
            Group::Generic,
            "2.6.0",
            RESTORE_COMPLEXITY,
            "Make a key of what DUMP gave.",
        )
        .syntax(RESTORE_SYNTAX)
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::KEYSPACE | cat::DANGEROUS)
        .keys(&[key_at(kflag::OW | kflag::UPDATE, 1)])
        .history(RESTORE_HISTORY),
    Command::data(RESTORE_ASKING, -4, restore)
        .doc(
            Group::Server,
            "3.0.0",
            RESTORE_COMPLEXITY,
            "Make a key that another node of the cluster is handing over.",
        )
        .syntax(RESTORE_SYNTAX)
        .flags(flag::WRITE | flag::DENYOOM | flag::ASKING | flag::SYSCMD)
        .acl(cat::KEYSPACE | cat::DANGEROUS)
        .keys(&[key_at(kflag::OW | kflag::UPDATE, 1)])
        .history(RESTORE_HISTORY),
];

/// Up to when collections that are loaded stay packed.
pub fn limits(config: &Config) -> rdb::Limits {
    rdb::Limits {
        list: list::limits(config),
        set: set::limits(config),
        zset: sorted_set::limits(config),
        hash: hash::limits(config),
    }
}

fn dump(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    match ctx.db.lookup(key) {
        None => ctx.reply.null(),
        Some(entry) => {
            let payload = payload::of(entry.value().view(), ctx.config.rdbcompression);
            ctx.reply.bulk_shared(payload.into());
        }
    }
    REPLIED
}

/// The options of RESTORE.
#[derive(Default)]
struct RestoreOptions {
    replace: bool,
    absolute_ttl: bool,
    idle_s: Option<i64>,
    frequency: Option<u8>,
}

impl RestoreOptions {
    fn parse(args: &mut Args<'_>) -> Result<RestoreOptions, CmdError> {
        let mut options = RestoreOptions::default();
        while args.left() > 0 {
            if args.take_word("REPLACE") {
                options.replace = true;
            } else if args.take_word("ABSTTL") {
                options.absolute_ttl = true;
            } else if args.left() > 1 && options.frequency.is_none() && args.take_word("IDLETIME") {
                let idle_s = Some(args.int()?).filter(|idle_s| *idle_s >= 0);
                options.idle_s = Some(
                    idle_s.ok_or_else(|| CmdError::err("Invalid IDLETIME value, must be >= 0"))?,
                );
            } else if args.left() > 1 && options.idle_s.is_none() && args.take_word("FREQ") {
                let frequency = u8::try_from(args.int()?);
                options.frequency =
                    Some(frequency.map_err(|_| {
                        CmdError::err("Invalid FREQ value, must be >= 0 and <= 255")
                    })?);
            } else {
                return Err(CmdError::Syntax);
            }
        }
        Ok(options)
    }

    /// The access clock of the key. Redis: what another policy would ask for
    /// is passed over.
    fn clock(&self, policy: &AccessPolicy, now_ms: i64) -> u32 {
        match (self.frequency, self.idle_s) {
            (Some(frequency), _) if policy.lfu => policy.clock_of_frequency(frequency, now_ms),
            (_, Some(idle_s)) if !policy.lfu => {
                // Redis: counts in milliseconds, and in 24 bits of seconds;
                // longer times wrap around.
                let idle_s = idle_s.wrapping_mul(1000) / 1000;
                policy.clock_of_idle((idle_s & 0xff_ffff) as u32, now_ms)
            }
            _ => policy.initial(now_ms),
        }
    }
}

fn restore(ctx: &mut Ctx) -> CmdResult {
    let (key, ttl, payload) = (ctx.args.key()?, ctx.args.bytes()?, ctx.args.bytes()?);
    let options = RestoreOptions::parse(&mut ctx.args)?;
    if !options.replace && ctx.db.edit(key).is_some() {
        return Err(CmdError::BusyKey);
    }
    let ttl_ms = parse_i64(ttl).ok_or(CmdError::NotInteger)?;
    if ttl_ms < 0 {
        return Err(CmdError::err("Invalid TTL value, must be >= 0"));
    }
    let object = load(ctx, payload)?;

    let replaced = options.replace && ctx.db.contains(key);
    if replaced {
        ctx.db.discard(key);
    }
    let now_ms = ctx.now_ms();
    let at_ms = match ttl_ms {
        0 => None,
        at_ms if options.absolute_ttl => Some(at_ms),
        // Redis: a time that is too far away wraps around, and so is over.
        ttl_ms => Some(now_ms.wrapping_add(ttl_ms)),
    };
    if at_ms.is_some_and(|at_ms| ctx.db.is_over(at_ms)) {
        if replaced {
            ctx.db.removed(key);
            ctx.propagate_as(&[b"DEL", key]);
        }
        ctx.reply.ok();
        return REPLIED;
    }
    let clock = options.clock(&ctx.db.keyspace().access, now_ms);
    let value = TakenValue::made(object, at_ms, clock);
    ctx.db.put_value(key, value).changed(event::RESTORE);
    if let Some(at_ms) = at_ms.filter(|_| !options.absolute_ttl)
        && ctx.is_heard()
    {
        let (mut argv, mut digits) = (ctx.args.argv().to_vec(), itoa::Buffer::new());
        argv[2] = digits.format(at_ms).as_bytes();
        argv.push(b"ABSTTL");
        ctx.propagate_as(&argv);
    }
    ctx.reply.ok();
    REPLIED
}

/// The value of a payload.
fn load(ctx: &mut Ctx, payload: &[u8]) -> Result<Object, CmdError> {
    let value = payload::open(payload)
        .ok_or_else(|| CmdError::err("DUMP payload version or checksum are wrong"))?;
    let mut reader = Reader::new(value);
    let kind = reader.byte().ok().and_then(Kind::of);
    let loaded = match kind {
        Some(kind) => rdb::load(kind, &mut reader, &limits(ctx.config)),
        None => Err(LoadError::Corrupt("Unknown kind of value")),
    };
    // Values are always looked through, since bytes that contradict
    // themselves could do harm later; whether that counts is a setting.
    let counted = match ctx.config.sanitize_dump_payload {
        SanitizeDumpPayload::No => false,
        SanitizeDumpPayload::Yes => true,
        SanitizeDumpPayload::Clients => !ctx.caller.user.skips_sanitizing(),
    };
    if counted {
        ctx.db.keyspace().stats.sanitized_payloads += reader.validated();
    }
    loaded.map_err(|error| {
        tracing::debug!("A payload of RESTORE was refused: {error}");
        match error {
            LoadError::Unsupported("streams") => {
                CmdError::err("Bad data format: this version has no streams")
            }
            _ => CmdError::err("Bad data format"),
        }
    })
}
