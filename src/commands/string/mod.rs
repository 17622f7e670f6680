//! String commands: <https://redis.io/docs/latest/commands/?group=string>.

mod counters;
mod lcs;

use super::expire_time::{self, Unit};
use crate::command::ctx::{Args, CmdError, CmdResult, Ctx, REPLIED};
use crate::command::keyspec;
use crate::command::table::{Command, Find, Group, cat, flag, key_at, keys_at, kflag};
use crate::keyspace::entry::{INLINE_BYTES_MAX, NewValue};
use crate::keyspace::{Str, Ttl, event};
use crate::types::{Object, StrBuf, StrRef};
use crate::util::num;
use counters::{decr, decrby, incr, incrby, incrbyfloat};
use lcs::lcs;

/// The commands of this group.
pub const COMMANDS: &[Command] = &[
    Command::data("APPEND", 3, append)
        .doc(
            Group::String,
            "2.0.0",
            "O(1). The amortized time complexity is O(1) assuming the appended value is small \
             and the already present value is of any size, since the dynamic string library \
             used by Redis will double the free space available on every reallocation.",
            "Add bytes to the end of a string, starting from an empty one when the key is \
             missing.",
        )
        .syntax("key:key value:string")
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .acl(cat::STRING)
        .keys(&[key_at(kflag::RW | kflag::INSERT, 1)]),
    Command::data("DECR", 2, decr)
        .doc(
            Group::String,
            "1.0.0",
            "O(1)",
            "Subtract one from the integer at a key, counting a missing key as 0.",
        )
        .syntax("key:key")
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .acl(cat::STRING)
        .keys(&[key_at(kflag::RW | kflag::ACCESS | kflag::UPDATE, 1)]),
    Command::data("DECRBY", 3, decrby)
        .doc(
            Group::String,
            "1.0.0",
            "O(1)",
            "Subtract a given amount from the integer at a key, counting a missing key as 0.",
        )
        .syntax("key:key decrement:integer")
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .acl(cat::STRING)
        .keys(&[key_at(kflag::RW | kflag::ACCESS | kflag::UPDATE, 1)]),
    Command::data("GET", 2, get)
        .doc(Group::String, "1.0.0", "O(1)", "Read the string at a key.")
        .syntax("key:key")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::STRING)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)]),
    Command::data("GETDEL", 2, getdel)
        .doc(
            Group::String,
            "6.2.0",
            "O(1)",
            "Read the string at a key and remove the key.",
        )
        .syntax("key:key")
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::STRING)
        .keys(&[key_at(kflag::RW | kflag::ACCESS | kflag::DELETE, 1)]),
    Command::data("GETEX", -2, getex)
        .doc(
            Group::String,
            "6.2.0",
            "O(1)",
            "Read the string at a key and set, change or drop its time to live.",
        )
        .syntax(
            "key:key [expiration:(EX seconds:integer | PX milliseconds:integer | EXAT \
             unix-time-seconds:unix-time | PXAT unix-time-milliseconds:unix-time | PERSIST)]",
        )
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::STRING)
        .keys(&[key_at(kflag::RW | kflag::ACCESS | kflag::UPDATE, 1)
            .notes("RW and UPDATE because it changes the TTL")]),
    Command::data("GETRANGE", 4, getrange)
        .doc(
            Group::String,
            "2.4.0",
            "O(N) where N is the length of the returned string. The complexity is ultimately \
             determined by the returned length, but because creating a substring from an \
             existing string is very cheap, it can be considered O(1) for small strings.",
            "Read the part of a string between two byte offsets.",
        )
        .syntax("key:key start:integer end:integer")
        .flags(flag::READONLY)
        .acl(cat::STRING)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)]),
    Command::data("GETSET", 3, getset)
        .doc(
            Group::String,
            "1.0.0",
            "O(1)",
            "Store a new string at a key and reply with the one it held.",
        )
        .syntax("key:key value:string")
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .acl(cat::STRING)
        .keys(&[key_at(kflag::RW | kflag::ACCESS | kflag::UPDATE, 1)])
        .deprecated("6.2.0", "`SET` with the `!GET` argument"),
    Command::data("INCR", 2, incr)
        .doc(
            Group::String,
            "1.0.0",
            "O(1)",
            "Add one to the integer at a key, counting a missing key as 0.",
        )
        .syntax("key:key")
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .acl(cat::STRING)
        .keys(&[key_at(kflag::RW | kflag::ACCESS | kflag::UPDATE, 1)]),
    Command::data("INCRBY", 3, incrby)
        .doc(
            Group::String,
            "1.0.0",
            "O(1)",
            "Add a given amount to the integer at a key, counting a missing key as 0.",
        )
        .syntax("key:key increment:integer")
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .acl(cat::STRING)
        .keys(&[key_at(kflag::RW | kflag::ACCESS | kflag::UPDATE, 1)]),
    Command::data("INCRBYFLOAT", 3, incrbyfloat)
        .doc(
            Group::String,
            "2.6.0",
            "O(1)",
            "Add a decimal amount to the number at a key, counting a missing key as 0.",
        )
        .syntax("key:key increment:double")
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .acl(cat::STRING)
        .keys(&[key_at(kflag::RW | kflag::ACCESS | kflag::UPDATE, 1)]),
    Command::data("LCS", -3, lcs)
        .doc(
            Group::String,
            "7.0.0",
            "O(N*M) where N and M are the lengths of s1 and s2, respectively",
            "Compute the longest common subsequence of two strings, its length or its matching \
             ranges.",
        )
        .syntax("key1:key key2:key [LEN] [IDX] [MINMATCHLEN len:integer] [WITHMATCHLEN]")
        .flags(flag::READONLY)
        .acl(cat::STRING)
        .keys(&[keys_at(kflag::RO | kflag::ACCESS, 1, Find::Range(1, 1, 0))]),
    Command::data("MGET", -2, mget)
        .doc(
            Group::String,
            "1.0.0",
            "O(N) where N is the number of keys to retrieve.",
            "Read the strings at several keys in one step.",
        )
        .syntax("key:key...")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::STRING)
        .keys(&[keys_at(kflag::RO | kflag::ACCESS, 1, Find::Range(-1, 1, 0))])
        .tips(&["request_policy:multi_shard"]),
    Command::data("MSET", -3, mset)
        .doc(
            Group::String,
            "1.0.1",
            "O(N) where N is the number of keys to set.",
            "Store strings at several keys in one step.",
        )
        .syntax("key_value:{key:key value:string}...")
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::STRING)
        .keys(&[keys_at(kflag::OW | kflag::UPDATE, 1, Find::Range(-1, 2, 0))])
        .tips(&[
            "request_policy:multi_shard",
            "response_policy:all_succeeded",
        ]),
    Command::data("MSETNX", -3, msetnx)
        .doc(
            Group::String,
            "1.0.1",
            "O(N) where N is the number of keys to set.",
            "Store strings at several keys in one step, but only if all the keys are missing.",
        )
        .syntax("key_value:{key:key value:string}...")
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::STRING)
        .keys(&[keys_at(kflag::OW | kflag::INSERT, 1, Find::Range(-1, 2, 0))])
        .tips(&["request_policy:multi_shard", "response_policy:agg_min"]),
    Command::data("PSETEX", 4, psetex)
        .doc(
            Group::String,
            "2.6.0",
            "O(1)",
            "Store a string that expires after a number of milliseconds.",
        )
        .syntax("key:key milliseconds:integer value:string")
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::STRING)
        .keys(&[key_at(kflag::OW | kflag::UPDATE, 1)]),
    Command::data("SET", -3, set)
        .doc(
            Group::String,
            "1.0.0",
            "O(1)",
            "Store a string at a key, whatever type it held, with optional conditions and time \
             to live.",
        )
        .syntax(
            "key:key value:string [condition:(NX | XX)@2.6.12] [GET@6.2.0] [expiration:(EX \
             seconds:integer@2.6.12 | PX milliseconds:integer@2.6.12 | EXAT \
             unix-time-seconds:unix-time@6.2.0 | PXAT unix-time-milliseconds:unix-time@6.2.0 | \
             KEEPTTL@6.0.0)]",
        )
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::STRING)
        .keys(&[key_at(
            kflag::RW | kflag::ACCESS | kflag::UPDATE | kflag::VARIABLE_FLAGS,
            1,
        )
        .notes("RW and ACCESS due to the optional `GET` argument")])
        .key_finder(keyspec::replaced_unless_read)
        .history(&[
            ("2.6.12", "Added the `EX`, `PX`, `NX` and `XX` options."),
            ("6.0.0", "Added the `KEEPTTL` option."),
            ("6.2.0", "Added the `GET`, `EXAT` and `PXAT` option."),
            (
                "7.0.0",
                "Allowed the `NX` and `GET` options to be used together.",
            ),
        ]),
    Command::data("SETEX", 4, setex)
        .doc(
            Group::String,
            "2.0.0",
            "O(1)",
            "Store a string that expires after a number of seconds.",
        )
        .syntax("key:key seconds:integer value:string")
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::STRING)
        .keys(&[key_at(kflag::OW | kflag::UPDATE, 1)]),
    Command::data("SETNX", 3, setnx)
        .doc(
            Group::String,
            "1.0.0",
            "O(1)",
            "Store a string at a key that is missing, and leave an existing one alone.",
        )
        .syntax("key:key value:string")
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .acl(cat::STRING)
        .keys(&[key_at(kflag::OW | kflag::INSERT, 1)]),
    Command::data("SETRANGE", 4, setrange)
        .doc(
            Group::String,
            "2.2.0",
            "O(1), not counting the time taken to copy the new string in place. Usually, this \
             string is very small so the amortized complexity is O(1). Otherwise, complexity is \
             O(M) with M being the length of the value argument.",
            "Overwrite a string from a byte offset on, padding it with zero bytes up to there.",
        )
        .syntax("key:key offset:integer value:string")
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::STRING)
        .keys(&[key_at(kflag::RW | kflag::UPDATE, 1)]),
    Command::data("STRLEN", 2, strlen)
        .doc(
            Group::String,
            "2.2.0",
            "O(1)",
            "Count the bytes of the string at a key.",
        )
        .syntax("key:key")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::STRING)
        .keys(&[key_at(kflag::RO, 1)]),
    Command::data("SUBSTR", 4, substr)
        .doc(
            Group::String,
            "1.0.0",
            "O(N) where N is the length of the returned string. The complexity is ultimately \
             determined by the returned length, but because creating a substring from an \
             existing string is very cheap, it can be considered O(1) for small strings.",
            "Read the part of a string between two byte offsets, under an older name.",
        )
        .syntax("key:key start:integer end:integer")
        .flags(flag::READONLY)
        .acl(cat::STRING)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .deprecated("2.0.0", "`GETRANGE`"),
];

/// The form in which a string is stored: integer, in the entry, or boxed.
/// `shared` is the same string where it may be kept without a copy.
fn stored<'a>(bytes: &'a [u8], shared: Option<&bytes::Bytes>) -> NewValue<'a> {
    if let Some(number) = num::canonical_i64(bytes) {
        return NewValue::Int(number);
    }
    text(bytes, shared)
}

/// As [`stored`], for a string that stays text even if it is an integer.
fn text<'a>(bytes: &'a [u8], shared: Option<&bytes::Bytes>) -> NewValue<'a> {
    if bytes.len() <= INLINE_BYTES_MAX {
        return NewValue::Inline(bytes);
    }
    let string = match shared {
        Some(shared) => StrBuf::Shared(shared.clone()),
        None => StrBuf::from(bytes),
    };
    NewValue::Boxed(Box::new(Object::String(string)))
}

/// Takes the next argument as a value to store.
fn value<'a>(ctx: &mut Ctx<'a>) -> Result<NewValue<'a>, CmdError> {
    let shared = ctx.args.peek_shared();
    Ok(stored(ctx.args.bytes()?, shared))
}

fn string_too_long(ctx: &Ctx, len: u64) -> bool {
    len > ctx.config.proto_max_bulk_bytes
}

/// Replies with the string at a key, or null.
#[inline]
fn reply_string(ctx: &mut Ctx, key: &[u8]) -> Result<bool, CmdError> {
    match ctx.db.read::<Str>(key)? {
        None => {
            ctx.reply.null();
            return Ok(false);
        }
        Some(StrRef::Inline(bytes)) => ctx.reply.bulk(bytes),
        Some(StrRef::Int(number)) => ctx.reply.bulk_integer(number),
        Some(StrRef::Boxed(string)) if string.len() < SHARE_BYTES => {
            ctx.reply.bulk(string.as_slice());
        }
        Some(StrRef::Boxed(_)) => {
            if let Some(bytes) = ctx.db.share_string(key) {
                ctx.reply.bulk_shared(bytes);
            }
        }
    }
    Ok(true)
}

/// Strings from this length on leave the keyspace without a copy.
const SHARE_BYTES: usize = 32 * 1024;

fn append(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let shared = ctx.args.peek_shared();
    let suffix = ctx.args.bytes()?;
    let limit = ctx.config.proto_max_bulk_bytes;
    let len = match ctx.db.edit_as::<Str>(key)? {
        None => {
            ctx.db
                .create(key, stored(suffix, shared))
                .changed(event::APPEND);
            suffix.len()
        }
        Some(mut edit) => {
            let old = Str::len_of(edit.entry());
            if (old + suffix.len()) as u64 > limit {
                return Err(CmdError::StringTooLong);
            }
            let len = edit.string_mut(|bytes| {
                bytes.extend_from_slice(suffix);
                bytes.len()
            });
            edit.changed(event::APPEND);
            len
        }
    };
    ctx.reply.integer(len as i64);
    REPLIED
}

fn get(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    reply_string(ctx, key)?;
    REPLIED
}

fn getdel(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    if reply_string(ctx, key)? {
        ctx.db.remove(key, event::DEL);
        ctx.propagate_as(&[b"DEL", key]);
    }
    REPLIED
}

fn getset(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    reply_string(ctx, key)?;
    let shared = ctx.args.peek_shared();
    let bytes = ctx.args.bytes()?;
    ctx.db
        .set(key, stored(bytes, shared), Ttl::Clear, event::SET);
    ctx.propagate_as(&[b"SET", key, bytes]);
    REPLIED
}

fn strlen(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let len = ctx.db.read::<Str>(key)?.map_or(0, StrRef::len);
    ctx.reply.integer(len as i64);
    REPLIED
}

fn mget(ctx: &mut Ctx) -> CmdResult {
    let keys = ctx.args.rest();
    ctx.reply.array(keys.len());
    for key in keys {
        // Redis: a key of another type reads as missing.
        if reply_string(ctx, key).is_err() {
            ctx.reply.null();
        }
    }
    REPLIED
}

fn mset(ctx: &mut Ctx) -> CmdResult {
    set_many(ctx, "mset")?;
    ctx.reply.ok();
    REPLIED
}

fn msetnx(ctx: &mut Ctx) -> CmdResult {
    let pairs = ctx.args.rest();
    if pairs.len() % 2 == 1 {
        return Err(CmdError::arity("msetnx"));
    }
    let taken = pairs.chunks(2).any(|pair| ctx.db.contains(pair[0]));
    if !taken {
        set_many(ctx, "msetnx")?;
    }
    ctx.reply.integer(i64::from(!taken));
    REPLIED
}

fn set_many(ctx: &mut Ctx, name: &str) -> Result<(), CmdError> {
    if ctx.args.left() % 2 == 1 {
        return Err(CmdError::arity(name));
    }
    while let Some(key) = ctx.args.next_arg() {
        let new = value(ctx)?;
        ctx.db.set(key, new, Ttl::Clear, event::SET);
    }
    Ok(())
}

/// The options of SET.
#[derive(Default)]
struct SetOptions<'a> {
    only_if: Option<bool>,
    get: bool,
    ttl: TtlOption<'a>,
}

/// The expiry options that SET and GETEX share.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum TtlOption<'a> {
    #[default]
    None,
    Keep,
    Persist,
    /// A number that has not been looked at yet.
    In(Unit, &'a [u8]),
}

impl<'a> TtlOption<'a> {
    /// Takes an expiry option with its number, if one is next. Given more than
    /// once the last counts, but different ones exclude each other.
    fn take(&mut self, args: &mut Args<'a>) -> Result<bool, CmdError> {
        for (word, unit) in expire_time::OPTIONS {
            if args.take_word(word) {
                match *self {
                    TtlOption::None => {}
                    TtlOption::In(other, _) if other == unit => {}
                    _ => return Err(CmdError::Syntax),
                }
                *self = TtlOption::In(unit, args.bytes()?);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes a word that excludes the other expiry options.
    fn take_word(
        &mut self,
        args: &mut Args<'a>,
        word: &str,
        option: TtlOption<'a>,
    ) -> Result<bool, CmdError> {
        if !args.take_word(word) {
            return Ok(false);
        }
        if *self != TtlOption::None && *self != option {
            return Err(CmdError::Syntax);
        }
        *self = option;
        Ok(true)
    }

    /// The expiry as Unix milliseconds, if one is given. Redis judges the
    /// number only when all options are known.
    fn at_ms(self, now_ms: i64, name: &str) -> Result<Option<i64>, CmdError> {
        match self {
            TtlOption::In(unit, number) => unit.positive(number, now_ms, name).map(Some),
            TtlOption::None | TtlOption::Keep | TtlOption::Persist => Ok(None),
        }
    }
}

impl<'a> SetOptions<'a> {
    fn parse(mut args: Args<'a>) -> Result<SetOptions<'a>, CmdError> {
        let mut options = SetOptions::default();
        while args.left() > 0 {
            if args.take_word("NX") {
                options.condition(true)?;
            } else if args.take_word("XX") {
                options.condition(false)?;
            } else if args.take_word("GET") {
                options.get = true;
            } else if !options
                .ttl
                .take_word(&mut args, "KEEPTTL", TtlOption::Keep)?
                && !options.ttl.take(&mut args)?
            {
                return Err(CmdError::Syntax);
            }
        }
        Ok(options)
    }

    fn condition(&mut self, absent: bool) -> Result<(), CmdError> {
        if self.only_if == Some(!absent) {
            return Err(CmdError::Syntax);
        }
        self.only_if = Some(absent);
        Ok(())
    }
}

fn set(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let shared = ctx.args.peek_shared();
    let bytes = ctx.args.bytes()?;
    if ctx.args.left() == 0 {
        ctx.db
            .set(key, stored(bytes, shared), Ttl::Clear, event::SET);
        ctx.reply.ok();
        return REPLIED;
    }
    let words = ctx.args.rest();
    let options = SetOptions::parse(ctx.args.clone())?;
    let ttl = match options.ttl.at_ms(ctx.now_ms(), "set")? {
        Some(at_ms) => Ttl::At(at_ms),
        None if options.ttl == TtlOption::Keep => Ttl::Keep,
        None => Ttl::Clear,
    };
    if options.get {
        reply_string(ctx, key)?;
    }
    if let Some(absent) = options.only_if
        && ctx.db.contains(key) == absent
    {
        if !options.get {
            ctx.reply.null();
        }
        return REPLIED;
    }
    store_with_ttl(ctx, key, stored(bytes, shared), ttl, bytes);
    if !options.get {
        ctx.reply.ok();
    } else if !matches!(ttl, Ttl::At(_)) {
        // Nobody reads the replies of a replica or the AOF.
        let mut argv = vec![ctx.args.argv()[0], key, bytes];
        argv.extend(
            words
                .iter()
                .filter(|word| !word.eq_ignore_ascii_case(b"GET")),
        );
        ctx.propagate_as(&argv);
    }
    REPLIED
}

/// Stores and propagates with an absolute expiry, so that replicas and the
/// AOF agree on the moment.
fn store_with_ttl(ctx: &mut Ctx, key: &[u8], value: NewValue, ttl: Ttl, bytes: &[u8]) {
    ctx.db.set(key, value, ttl, event::SET);
    if let Ttl::At(at_ms) = ttl {
        // Of a key whose time has come too, which is still there.
        ctx.db.notify(event::EXPIRE, key);
        let mut buffer = itoa::Buffer::new();
        let at = buffer.format(at_ms).as_bytes();
        ctx.propagate_as(&[b"SET", key, bytes, b"PXAT", at]);
    }
}

fn setnx(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let absent = !ctx.db.contains(key);
    if absent {
        let new = value(ctx)?;
        ctx.db.set(key, new, Ttl::Clear, event::SET);
    }
    ctx.reply.integer(i64::from(absent));
    REPLIED
}

fn setex(ctx: &mut Ctx) -> CmdResult {
    set_for(ctx, Unit::Seconds, "setex")
}

fn psetex(ctx: &mut Ctx) -> CmdResult {
    set_for(ctx, Unit::Millis, "psetex")
}

fn set_for(ctx: &mut Ctx, unit: Unit, name: &str) -> CmdResult {
    let key = ctx.args.key()?;
    let at_ms = unit.positive(ctx.args.bytes()?, ctx.now_ms(), name)?;
    let shared = ctx.args.peek_shared();
    let bytes = ctx.args.bytes()?;
    store_with_ttl(ctx, key, stored(bytes, shared), Ttl::At(at_ms), bytes);
    ctx.reply.ok();
    REPLIED
}

fn getex(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let mut ttl = TtlOption::None;
    while ctx.args.left() > 0 {
        if !ttl.take_word(&mut ctx.args, "PERSIST", TtlOption::Persist)?
            && !ttl.take(&mut ctx.args)?
        {
            return Err(CmdError::Syntax);
        }
    }
    let at_ms = match ttl.at_ms(ctx.now_ms(), "getex") {
        Ok(at_ms) => at_ms,
        // Redis: a bad number is an error only if there is a string.
        Err(error) if ctx.db.read::<Str>(key)?.is_some() => return Err(error),
        Err(_) => {
            ctx.reply.null();
            return REPLIED;
        }
    };
    if !reply_string(ctx, key)? {
        return REPLIED;
    }
    let over = at_ms.is_some_and(|at_ms| ctx.db.is_over(at_ms));
    let Some(mut edit) = ctx.db.edit(key) else {
        return REPLIED;
    };
    match at_ms {
        Some(_) if over => {
            edit.remove_as_expired();
            ctx.propagate_as(&[expire_time::deletion(ctx.config), key]);
        }
        Some(at_ms) => {
            edit.set_expire(Some(at_ms));
            edit.changed(event::EXPIRE);
            let mut buffer = itoa::Buffer::new();
            let at = buffer.format(at_ms).as_bytes();
            ctx.propagate_as(&[b"PEXPIREAT", key, at]);
        }
        None if ttl == TtlOption::Persist && edit.entry().expire().is_some() => {
            edit.set_expire(None);
            edit.changed(event::PERSIST);
            ctx.propagate_as(&[b"PERSIST", key]);
        }
        None => {}
    }
    REPLIED
}

fn getrange(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let (start, end) = (ctx.args.int()?, ctx.args.int()?);
    let mut scratch = itoa::Buffer::new();
    let Some(string) = ctx.db.read::<Str>(key)? else {
        ctx.reply.bulk(b"");
        return REPLIED;
    };
    let bytes = string.bytes(&mut scratch);
    ctx.reply.bulk(slice(bytes, start, end));
    REPLIED
}

fn substr(ctx: &mut Ctx) -> CmdResult {
    getrange(ctx)
}

/// The bytes from `start` to `end`, both counted from the end when negative.
fn slice(bytes: &[u8], start: i64, end: i64) -> &[u8] {
    let len = bytes.len() as i64;
    if (start < 0 && end < 0 && start > end) || len == 0 {
        return b"";
    }
    let from_end = |index: i64| {
        if index < 0 {
            (len.saturating_add(index)).max(0)
        } else {
            index
        }
    };
    let (start, end) = (from_end(start), from_end(end).min(len - 1));
    if start > end {
        b""
    } else {
        &bytes[start as usize..=end as usize]
    }
}

fn setrange(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let offset = ctx.args.int()?;
    let patch = ctx.args.bytes()?;
    if offset < 0 {
        return Err(CmdError::OffsetOutOfRange);
    }
    let end = (offset as u64).saturating_add(patch.len() as u64);
    let too_long = string_too_long(ctx, end);
    let write = |bytes: &mut Vec<u8>| {
        if bytes.len() < end as usize {
            bytes.resize(end as usize, 0);
        }
        bytes[offset as usize..end as usize].copy_from_slice(patch);
        bytes.len()
    };
    let len = match ctx.db.edit_as::<Str>(key)? {
        // Redis: an empty patch never creates a key.
        None if patch.is_empty() => 0,
        Some(edit) if patch.is_empty() => Str::len_of(edit.entry()),
        _ if too_long => return Err(CmdError::StringTooLong),
        None => {
            let mut edit = ctx.db.create(key, NewValue::Inline(b""));
            let len = edit.string_mut(write);
            edit.changed(event::SETRANGE);
            len
        }
        Some(mut edit) => {
            let len = edit.string_mut(write);
            edit.changed(event::SETRANGE);
            len
        }
    };
    ctx.reply.integer(len as i64);
    REPLIED
}
