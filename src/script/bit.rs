//! `bit`: operations on 32 bits, as in <https://bitop.luajit.org/api.html>.
//!
//! # Unsafe invariants
//! Those of `heap`: these functions own nothing, so they may raise.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn)]

use std::ffi::{CStr, c_int};

use mlua::ffi::{self, lua_State};

use super::heap::{Function, push};
use super::state::set_functions;

/// Pushes the table.
pub(super) unsafe fn open(lua: *mut lua_State) {
    const FUNCTIONS: &[(&CStr, Function)] = &[
        (c"arshift", arshift),
        (c"band", band),
        (c"bnot", bnot),
        (c"bor", bor),
        (c"bswap", bswap),
        (c"bxor", bxor),
        (c"lshift", lshift),
        (c"rol", rol),
        (c"ror", ror),
        (c"rshift", rshift),
        (c"tobit", tobit),
        (c"tohex", tohex),
    ];
    ffi::lua_createtable(lua, 0, FUNCTIONS.len() as c_int);
    set_functions(lua, FUNCTIONS);
}

/// The low 32 bits of a number, rounded to even.
unsafe fn argument(lua: *mut lua_State, index: c_int) -> u32 {
    // So big that the fraction falls off and the low bits are those of the number.
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    let bits = (ffi::lua_tonumber(lua, index) + MAGIC).to_bits() as u32;
    if bits == 0 && ffi::lua_isnumber(lua, index) == 0 {
        ffi::luaL_typerror(lua, index, c"number".as_ptr());
    }
    bits
}

unsafe fn result(lua: *mut lua_State, bits: u32) -> c_int {
    ffi::lua_pushnumber(lua, f64::from(bits as i32));
    1
}

unsafe fn fold(lua: *mut lua_State, apply: fn(u32, u32) -> u32) -> c_int {
    let mut bits = argument(lua, 1);
    for index in (2..=ffi::lua_gettop(lua)).rev() {
        bits = apply(bits, argument(lua, index));
    }
    result(lua, bits)
}

unsafe fn shift(lua: *mut lua_State, apply: fn(u32, u32) -> u32) -> c_int {
    let bits = argument(lua, 1);
    let by = argument(lua, 2) & 31;
    result(lua, apply(bits, by))
}

unsafe extern "C-unwind" fn tobit(lua: *mut lua_State) -> c_int {
    let bits = argument(lua, 1);
    result(lua, bits)
}

unsafe extern "C-unwind" fn bnot(lua: *mut lua_State) -> c_int {
    let bits = argument(lua, 1);
    result(lua, !bits)
}

unsafe extern "C-unwind" fn band(lua: *mut lua_State) -> c_int {
    fold(lua, |a, b| a & b)
}

unsafe extern "C-unwind" fn bor(lua: *mut lua_State) -> c_int {
    fold(lua, |a, b| a | b)
}

unsafe extern "C-unwind" fn bxor(lua: *mut lua_State) -> c_int {
    fold(lua, |a, b| a ^ b)
}

unsafe extern "C-unwind" fn lshift(lua: *mut lua_State) -> c_int {
    shift(lua, |bits, by| bits << by)
}

unsafe extern "C-unwind" fn rshift(lua: *mut lua_State) -> c_int {
    shift(lua, |bits, by| bits >> by)
}

unsafe extern "C-unwind" fn arshift(lua: *mut lua_State) -> c_int {
    shift(lua, |bits, by| ((bits as i32) >> by) as u32)
}

unsafe extern "C-unwind" fn rol(lua: *mut lua_State) -> c_int {
    shift(lua, u32::rotate_left)
}

unsafe extern "C-unwind" fn ror(lua: *mut lua_State) -> c_int {
    shift(lua, u32::rotate_right)
}

unsafe extern "C-unwind" fn bswap(lua: *mut lua_State) -> c_int {
    let bits = argument(lua, 1);
    result(lua, bits.swap_bytes())
}

unsafe extern "C-unwind" fn tohex(lua: *mut lua_State) -> c_int {
    let mut bits = argument(lua, 1);
    let digits = if ffi::lua_type(lua, 2) == ffi::LUA_TNONE {
        8
    } else {
        argument(lua, 2) as i32
    };
    let alphabet: &[u8; 16] = if digits < 0 {
        b"0123456789ABCDEF"
    } else {
        b"0123456789abcdef"
    };
    // CVE-2024-31449: the smallest number has no positive counterpart.
    let count = digits.unsigned_abs().min(8) as usize;
    let mut text = [0_u8; 8];
    for digit in text[..count].iter_mut().rev() {
        *digit = alphabet[(bits & 15) as usize];
        bits >>= 4;
    }
    push(lua, &text[..count]);
    1
}
