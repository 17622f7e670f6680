//! `cmsgpack`: values as MessagePack, <https://github.com/msgpack/msgpack/blob/master/spec.md>.
//!
//! # Unsafe invariants
//! Those of `heap`: these functions own nothing, so they may raise; what they
//! put together is in the buffer of the heap, and no script runs meanwhile.
//!
//! SAFETY: whatever Lua calls here, it calls with the state that runs, which is
//! one of ours; the rest is called from there with the same state.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn)]

use std::ffi::{CStr, c_int};

use mlua::ffi::{self, lua_State};

use super::api;
use super::heap::{self, Function, bytes, push};
use super::state::set_functions;

/// Levels of tables from which on nil stands for a table.
const LEVELS_MAX: u32 = 16;

/// Pushes the table.
pub(super) unsafe fn open(lua: *mut lua_State) {
    const FUNCTIONS: &[(&CStr, Function)] = &[
        (c"pack", pack),
        (c"unpack", unpack),
        (c"unpack_limit", unpack_limit),
        (c"unpack_one", unpack_one),
    ];
    const TEXTS: &[(&CStr, &[u8])] = &[
        (c"_NAME", b"cmsgpack"),
        (c"_VERSION", b"lua-cmsgpack 0.4.0"),
        (c"_COPYRIGHT", b"Copyright (C) 2012, Salvatore Sanfilippo"),
        (c"_DESCRIPTION", b"MessagePack C implementation for Lua"),
    ];
    ffi::lua_createtable(lua, 0, 8);
    set_functions(lua, FUNCTIONS);
    for (name, text) in TEXTS {
        push(lua, text);
        ffi::lua_setfield(lua, -2, name.as_ptr());
    }
}

unsafe extern "C-unwind" fn pack(lua: *mut lua_State) -> c_int {
    let count = ffi::lua_gettop(lua);
    if count == 0 {
        let text = c"MessagePack pack needs input.";
        return ffi::luaL_argerror(lua, 0, text.as_ptr());
    }
    if ffi::lua_checkstack(lua, count) == 0 {
        let text = c"Too many arguments for MessagePack pack.";
        return ffi::luaL_argerror(lua, 0, text.as_ptr());
    }
    let out = heap::of(lua).fresh();
    for index in 1..=count {
        ffi::luaL_checkstack_(lua, 1, c"in function mp_check".as_ptr());
        ffi::lua_pushvalue(lua, index);
        encode(lua, out, 0);
    }
    push(lua, out);
    1
}

/// Writes a kind and the bytes of a number, highest first.
fn put(out: &mut Vec<u8>, kind: u8, number: u64, size: usize) {
    out.push(kind);
    out.extend_from_slice(&number.to_be_bytes()[8 - size..]);
}

/// Writes the value on the top, and takes it off.
unsafe fn encode(lua: *mut lua_State, out: &mut Vec<u8>, level: u32) {
    api::spend_value(lua);
    match ffi::lua_type(lua, -1) {
        ffi::LUA_TSTRING => {
            let text = bytes(lua, -1).unwrap_or_default();
            match text.len() {
                len @ 0..32 => out.push(0xa0 | len as u8),
                len @ 32..=0xff => put(out, 0xd9, len as u64, 1),
                len @ 0x100..=0xffff => put(out, 0xda, len as u64, 2),
                len => put(out, 0xdb, len as u64, 4),
            }
            out.extend_from_slice(text);
        }
        ffi::LUA_TBOOLEAN if ffi::lua_toboolean(lua, -1) != 0 => out.push(0xc3),
        ffi::LUA_TBOOLEAN => out.push(0xc2),
        ffi::LUA_TNUMBER => encode_number(out, ffi::lua_tonumber(lua, -1)),
        ffi::LUA_TTABLE if level < LEVELS_MAX => encode_table(lua, out, level),
        _ => out.push(0xc0),
    }
    ffi::lua_pop(lua, 1);
}

fn encode_number(out: &mut Vec<u8>, number: f64) {
    // As C converts: what does not fit becomes the smallest.
    let integer = crate::util::num::f64_to_i64_as_c(number);
    if number.is_infinite() || integer as f64 != number {
        let single = number as f32;
        if f64::from(single) == number {
            put(out, 0xca, u64::from(single.to_bits()), 4);
        } else {
            put(out, 0xcb, number.to_bits(), 8);
        }
        return;
    }
    let bits = integer as u64;
    match integer {
        0..=0x7f => out.push(integer as u8),
        0x80..=0xff => put(out, 0xcc, bits, 1),
        0x100..=0xffff => put(out, 0xcd, bits, 2),
        0x1_0000..=0xffff_ffff => put(out, 0xce, bits, 4),
        0x1_0000_0000.. => put(out, 0xcf, bits, 8),
        -32..0 => out.push(integer as u8),
        -128..-32 => put(out, 0xd0, bits, 1),
        -0x8000..-128 => put(out, 0xd1, bits, 2),
        -0x8000_0000..-0x8000 => put(out, 0xd2, bits, 4),
        ..-0x8000_0000 => put(out, 0xd3, bits, 8),
    }
}

unsafe fn encode_table(lua: *mut lua_State, out: &mut Vec<u8>, level: u32) {
    ffi::luaL_checkstack_(lua, 4, c"in function mp_encode_lua_table".as_ptr());
    if is_array(lua) {
        let len = ffi::lua_objlen(lua, -1);
        put_len(out, (0x90, 0xdc, 0xdd), len);
        for index in 1..=len {
            ffi::lua_rawgeti_(lua, -1, index as c_int);
            encode(lua, out, level + 1);
        }
        return;
    }
    let mut len = 0;
    ffi::lua_pushnil(lua);
    while ffi::lua_next(lua, -2) != 0 {
        ffi::lua_pop(lua, 1);
        len += 1;
    }
    put_len(out, (0x80, 0xde, 0xdf), len);
    ffi::lua_pushnil(lua);
    while ffi::lua_next(lua, -2) != 0 {
        ffi::lua_pushvalue(lua, -2);
        encode(lua, out, level + 1);
        encode(lua, out, level + 1);
    }
}

fn put_len(out: &mut Vec<u8>, (few, short, long): (u8, u8, u8), len: usize) {
    match len {
        0..=15 => out.push(few | len as u8),
        16..=0xffff => put(out, short, len as u64, 2),
        _ => put(out, long, len as u64, 4),
    }
}

/// Whether the keys of the table on the top are those from 1 to their number.
unsafe fn is_array(lua: *mut lua_State) -> bool {
    let top = ffi::lua_gettop(lua);
    let (mut count, mut max) = (0, 0);
    ffi::lua_pushnil(lua);
    while ffi::lua_next(lua, -2) != 0 {
        ffi::lua_pop(lua, 1);
        let key = ffi::lua_tonumber(lua, -1);
        let is_number = ffi::lua_type(lua, -1) == ffi::LUA_TNUMBER;
        if !is_number || key <= 0.0 || f64::from(key as i32) != key || key > 2_147_483_647.0 {
            ffi::lua_settop(lua, top);
            return false;
        }
        max = max.max(key as i32);
        count += 1;
    }
    max == count
}

/// What is wrong with the input.
enum Fault {
    Ended,
    Unknown,
}

struct Input<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let rest = &self.data[self.at..];
        let taken = rest.get(..count).ok_or(Fault::Ended)?;
        self.at += count;
        Ok(taken)
    }

    fn number(&mut self, size: usize) -> Result<u64, Fault> {
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Ok(self.take(size)?.iter().fold(0, add))
    }

    /// Pushes the next value. It raises when the stack, or memory, is used up.
    unsafe fn decode(&mut self, lua: *mut lua_State) -> Result<(), Fault> {
        let text = c"too many return values at once; use unpack_one or unpack_limit instead.";
        ffi::luaL_checkstack_(lua, 1, text.as_ptr());
        if heap::of(lua).is_deep() {
            ffi::luaL_error(lua, c"stack overflow (nested too deeply)".as_ptr());
        }
        let kind = self.take(1)?[0];
        match kind {
            0x00..=0x7f => ffi::lua_pushnumber(lua, f64::from(kind)),
            0x80..=0x8f => self.map(lua, u64::from(kind & 15))?,
            0x90..=0x9f => self.array(lua, u64::from(kind & 15))?,
            0xa0..=0xbf => push(lua, self.take(usize::from(kind & 31))?),
            0xc0 => ffi::lua_pushnil(lua),
            0xc2 => ffi::lua_pushboolean(lua, 0),
            0xc3 => ffi::lua_pushboolean(lua, 1),
            0xca => {
                let number = f32::from_bits(self.number(4)? as u32);
                ffi::lua_pushnumber(lua, f64::from(number));
            }
            0xcb => {
                let number = f64::from_bits(self.number(8)?);
                ffi::lua_pushnumber(lua, number);
            }
            0xcc..=0xcf => {
                // Redis: the widest counts as signed.
                let number = self.number(1 << (kind - 0xcc))? as i64;
                ffi::lua_pushnumber(lua, number as f64);
            }
            0xd0 => {
                let number = self.number(1)? as u8 as i8;
                ffi::lua_pushnumber(lua, f64::from(number));
            }
            0xd1 => {
                let number = self.number(2)? as u16 as i16;
                ffi::lua_pushnumber(lua, f64::from(number));
            }
            0xd2 => {
                let number = self.number(4)? as u32 as i32;
                ffi::lua_pushnumber(lua, f64::from(number));
            }
            0xd3 => {
                let number = self.number(8)? as i64;
                ffi::lua_pushnumber(lua, number as f64);
            }
            0xd9..=0xdb => {
                let len = self.number(1 << (kind - 0xd9))?;
                push(lua, self.take(usize::try_from(len).unwrap_or(usize::MAX))?);
            }
            0xdc..=0xdd => {
                let len = self.number(2 << (kind - 0xdc))?;
                self.array(lua, len)?;
            }
            0xde..=0xdf => {
                let len = self.number(2 << (kind - 0xde))?;
                self.map(lua, len)?;
            }
            0xe0.. => ffi::lua_pushnumber(lua, f64::from(kind as i8)),
            _ => return Err(Fault::Unknown),
        }
        Ok(())
    }

    unsafe fn array(&mut self, lua: *mut lua_State, len: u64) -> Result<(), Fault> {
        ffi::lua_createtable(lua, 0, 0);
        let text = c"in function mp_decode_to_lua_array";
        ffi::luaL_checkstack_(lua, 2, text.as_ptr());
        for index in 1..=len {
            self.decode(lua)?;
            ffi::lua_rawseti_(lua, -2, index as c_int);
        }
        Ok(())
    }

    unsafe fn map(&mut self, lua: *mut lua_State, len: u64) -> Result<(), Fault> {
        ffi::lua_createtable(lua, 0, 0);
        for _ in 0..len {
            self.decode(lua)?;
            self.decode(lua)?;
            // It raises where a key is nil or no number.
            ffi::lua_rawset(lua, -3);
        }
        Ok(())
    }
}

unsafe fn unpack_all(lua: *mut lua_State, limit: i64, offset: i64) -> c_int {
    ffi::luaL_checklstring(lua, 1, std::ptr::null_mut());
    let data = bytes(lua, 1).unwrap_or_default();
    if offset < 0 || limit < 0 {
        // Redis names the length where it speaks of the limit.
        return ffi::luaL_error(
            lua,
            c"Invalid request to unpack with offset of %d and limit of %d.".as_ptr(),
            offset as c_int,
            data.len() as c_int,
        );
    }
    if offset as usize > data.len() {
        return ffi::luaL_error(
            lua,
            c"Start offset %d greater than input length %d.".as_ptr(),
            offset as c_int,
            data.len() as c_int,
        );
    }
    api::spend(lua, (data.len() - offset as usize) / 4);
    let all = limit == 0 && offset == 0;
    let limit = if all { i64::from(c_int::MAX) } else { limit };
    let mut input = Input {
        data,
        at: offset as usize,
    };
    let mut count = 0;
    while input.at < data.len() && i64::from(count) < limit {
        match input.decode(lua) {
            Ok(()) => count += 1,
            Err(Fault::Ended) => {
                return ffi::luaL_error(lua, c"Missing bytes in input.".as_ptr());
            }
            Err(Fault::Unknown) => {
                return ffi::luaL_error(lua, c"Bad data format in input.".as_ptr());
            }
        }
    }
    if !all {
        ffi::luaL_checkstack_(lua, 1, c"in function mp_unpack_full".as_ptr());
        let next = if input.at == data.len() {
            -1.0
        } else {
            input.at as f64
        };
        ffi::lua_pushnumber(lua, next);
        ffi::lua_insert(lua, 2);
        count += 1;
    }
    count
}

unsafe extern "C-unwind" fn unpack(lua: *mut lua_State) -> c_int {
    unpack_all(lua, 0, 0)
}

unsafe extern "C-unwind" fn unpack_one(lua: *mut lua_State) -> c_int {
    let offset = ffi::luaL_optinteger(lua, 2, 0);
    ffi::lua_settop(lua, 1);
    unpack_all(lua, 1, offset as i64)
}

unsafe extern "C-unwind" fn unpack_limit(lua: *mut lua_State) -> c_int {
    let limit = ffi::luaL_checkinteger(lua, 2);
    let offset = ffi::luaL_optinteger(lua, 3, 0);
    ffi::lua_settop(lua, 1);
    unpack_all(lua, limit as i64, offset as i64)
}
