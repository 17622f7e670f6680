//! Bitmap commands: <https://redis.io/docs/latest/commands/?group=bitmap>.
//!
//! Bitmaps are strings. What writes to one leaves it `raw`, whatever it is.

mod bitfield;
mod range;

use crate::command::ctx::{CmdError, CmdResult, Ctx, REPLIED};
use crate::command::keyspec;
use crate::command::table::{Command, Find, Group, cat, flag, key_at, keys_at, kflag};
use crate::encoding::bits::{self, Operation};
use crate::keyspace::entry::NewValue;
use crate::keyspace::{Str, Ttl, event};
use crate::types::{Object, StrBuf, StrRef};
use crate::util::num;
use bitfield::{bitfield, bitfield_ro};
use range::{bitcount, bitpos};

/// The commands of this group.
pub const COMMANDS: &[Command] = &[
    Command::data("BITCOUNT", -2, bitcount)
        .doc(
            Group::Bitmap,
            "2.6.0",
            "O(N)",
            "Count the ones in a string or in a part of it.",
        )
        .syntax("key:key [index:{start:integer end:integer [index_unit:(BYTE | BIT)@7.0.0]}]")
        .flags(flag::READONLY)
        .acl(cat::BITMAP)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .history(&[("7.0.0", "Added the `BYTE|BIT` option.")]),
    Command::data("BITFIELD", -2, bitfield)
        .doc(
            Group::Bitmap,
            "3.2.0",
            "O(1) for each subcommand specified",
            "Read, write and add to integers of any width at any bits of a string.",
        )
        .syntax(
            "key:key [operation:(GET encoding_offset:{encoding:string offset:integer} | \
             write:{[OVERFLOW wrap_sat_fail:(WRAP | SAT | FAIL)] write_operation:(SET \
             encoding_offset_value:{encoding:string offset:integer value:integer} | INCRBY \
             encoding_offset_increment:{encoding:string offset:integer \
             increment:integer})})...]",
        )
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::BITMAP)
        .keys(&[key_at(
            kflag::RW | kflag::UPDATE | kflag::ACCESS | kflag::VARIABLE_FLAGS,
            1,
        )
        .notes("This command allows both access and modification of the key")])
        .key_finder(keyspec::read_unless_written),
    Command::data("BITFIELD_RO", -2, bitfield_ro)
        .doc(
            Group::Bitmap,
            "6.0.0",
            "O(1) for each subcommand specified",
            "Read integers of any width at any bits of a string.",
        )
        .syntax("key:key [GET... encoding_offset:{encoding:string offset:integer}...]")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::BITMAP)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)]),
    Command::data("BITOP", -4, bitop)
        .doc(
            Group::Bitmap,
            "2.6.0",
            "O(N)",
            "Combine strings bit by bit and store the result.",
        )
        .syntax("operation:string destkey:key key:key#1...")
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::BITMAP)
        .keys(&[
            key_at(kflag::OW | kflag::UPDATE, 2),
            keys_at(kflag::RO | kflag::ACCESS, 3, Find::Range(-1, 1, 0)),
        ]),
    Command::data("BITPOS", -3, bitpos)
        .doc(
            Group::Bitmap,
            "2.8.7",
            "O(N)",
            "Find the first one or zero in a string or in a part of it.",
        )
        .syntax(
            "key:key bit:integer [index:{start:integer [end_index:{end:integer \
             [index_unit:(BYTE | BIT)@7.0.0]}]}]",
        )
        .flags(flag::READONLY)
        .acl(cat::BITMAP)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .history(&[("7.0.0", "Added the `BYTE|BIT` option.")]),
    Command::data("GETBIT", 3, getbit)
        .doc(Group::Bitmap, "2.2.0", "O(1)", "Read one bit of a string.")
        .syntax("key:key offset:integer")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::BITMAP)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)]),
    Command::data("SETBIT", 4, setbit)
        .doc(
            Group::Bitmap,
            "2.2.0",
            "O(1)",
            "Write one bit of a string, padding it with zero bytes up to there.",
        )
        .syntax("key:key offset:integer value:integer")
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::BITMAP)
        .keys(&[key_at(kflag::RW | kflag::ACCESS | kflag::UPDATE, 1)]),
];

/// A string that stays `raw`.
fn raw(bytes: Vec<u8>) -> NewValue<'static> {
    NewValue::Boxed(Box::new(Object::String(StrBuf::Owned(bytes))))
}

/// The offset of a bit, which must lie in a string that may exist. Where a
/// number of bits is given, `#N` means N times that.
fn bit_offset(ctx: &mut Ctx, unit_bits: Option<u32>) -> Result<u64, CmdError> {
    let text = ctx.args.bytes()?;
    let (number, unit) = match (unit_bits, text.strip_prefix(b"#")) {
        (Some(bits), Some(number)) => (number, i64::from(bits)),
        _ => (text, 1),
    };
    // Redis: the product wraps.
    let offset = num::parse_i64(number).map(|number| number.wrapping_mul(unit));
    let offset = offset.and_then(|offset| u64::try_from(offset).ok());
    offset
        .filter(|offset| offset / 8 < ctx.config.proto_max_bulk_bytes)
        .ok_or_else(|| CmdError::err("bit offset is not an integer or out of range"))
}

fn getbit(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let offset = bit_offset(ctx, None)?;
    let bit = ctx.db.read::<Str>(key)?.is_some_and(|string| {
        let mut scratch = itoa::Buffer::new();
        bits::get(string.bytes(&mut scratch), offset)
    });
    ctx.reply.integer(i64::from(bit));
    REPLIED
}

fn setbit(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    let offset = bit_offset(ctx, None)?;
    let on = match num::parse_i64(ctx.args.bytes()?) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(CmdError::err("bit is not an integer or out of range")),
    };
    let len = byte_after(offset);
    let old = match ctx.db.edit_as::<Str>(key)? {
        None => {
            let mut bytes = vec![0; len];
            bits::set(&mut bytes, offset, on);
            ctx.db.create(key, raw(bytes)).changed(event::SETBIT);
            false
        }
        Some(mut edit) => {
            let (old, changed) = edit.raw_string(|bytes| {
                let old = bits::get(bytes, offset);
                let changed = old != on || bytes.len() < len;
                if changed {
                    bits::pad(bytes, len);
                    bits::set(bytes, offset, on);
                }
                (old, changed)
            });
            edit.changed_by(usize::from(changed), event::SETBIT);
            old
        }
    };
    ctx.reply.integer(i64::from(old));
    REPLIED
}

/// Length of a string that ends with the byte of this bit.
fn byte_after(offset: u64) -> usize {
    (offset / 8) as usize + 1
}

fn bitop(ctx: &mut Ctx) -> CmdResult {
    let operation = operation(ctx.args.bytes()?)?;
    let destination = ctx.args.key()?;
    let keys = ctx.args.rest();
    if operation == Operation::Not && keys.len() != 1 {
        return Err(CmdError::err(
            "BITOP NOT must be called with a single source key.",
        ));
    }
    for key in keys {
        ctx.db.read::<Str>(key)?;
    }
    let mut scratch = vec![itoa::Buffer::new(); keys.len()];
    let sources: Vec<&[u8]> = keys
        .iter()
        .zip(&mut scratch)
        .map(|(key, scratch)| {
            let string = ctx.db.view::<Str>(key);
            string.map_or(&b""[..], |string: StrRef| string.bytes(scratch))
        })
        .collect();
    let result = bits::combine(operation, &sources);
    let len = result.len();
    if result.is_empty() {
        ctx.db.remove(destination, event::DEL);
    } else {
        ctx.db.set(destination, raw(result), Ttl::Clear, event::SET);
    }
    ctx.reply.integer(len as i64);
    REPLIED
}

fn operation(name: &[u8]) -> Result<Operation, CmdError> {
    let operations = [
        ("AND", Operation::And),
        ("OR", Operation::Or),
        ("XOR", Operation::Xor),
        ("NOT", Operation::Not),
    ];
    let found = operations
        .into_iter()
        .find(|(word, _)| name.eq_ignore_ascii_case(word.as_bytes()));
    found
        .map(|(_, operation)| operation)
        .ok_or(CmdError::Syntax)
}

#[cfg(test)]
mod tests {
    use crate::commands::generic::tests::World;

    #[test]
    fn writes_are_named_setbit_or_set() {
        let w = &mut World::new();
        w.check("SETBIT k 7 1", "0:new=k 0~k 0:setbit=k", "verbatim", 1);
        w.check("SETBIT k 7 1", "", "verbatim", 0);
        w.check("SETBIT k 7 0", "0~k 0:setbit=k", "verbatim", 1);
        w.check("GETBIT nosuch 1", "0:keymiss=nosuch", "verbatim", 0);
        w.check("BITFIELD k GET u8 0", "", "verbatim", 0);
        w.check("BITFIELD k SET u8 0 0", "", "verbatim", 0);
        let twice = "BITFIELD k SET u8 0 1 INCRBY u8 8 0";
        w.check(twice, "0~k 0:setbit=k", "verbatim", 2);
        w.check(
            "BITFIELD k OVERFLOW FAIL INCRBY u8 0 255",
            "",
            "verbatim",
            0,
        );
        w.check("BITOP NOT k k", "0~k 0:set=k", "verbatim", 1);
        w.check("BITOP OR l k", "0:new=l 0~l 0:set=l", "verbatim", 1);
        let emptied = "0:keymiss=nosuch 0~l 0:del=l";
        w.check("BITOP OR l nosuch", emptied, "verbatim", 1);
        w.check("BITOP OR l nosuch", "0:keymiss=nosuch", "verbatim", 0);
    }
}
