//! `struct`: values as bytes by a format, as in
//! <http://www.inf.puc-rio.br/~roberto/struct/>.
//!
//! # Unsafe invariants
//! Those of `heap`: these functions own nothing, so they may raise.
//!
//! SAFETY: whatever Lua calls here, it calls with the state that runs, which is
//! one of ours; the rest is called from there with the same state.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn)]

use std::ffi::{CStr, c_int};

use mlua::ffi::{self, lua_State};

use super::api;
use super::heap::{self, Function, bytes, push};
use super::state::set_functions;

/// Widest integer, bytes.
const INTEGER_BYTES_MAX: usize = 32;
/// Widest alignment where the format asks for that of the machine.
const ALIGN_MAX: c_int = 8;

/// Pushes the table.
pub(super) unsafe fn open(lua: *mut lua_State) {
    const FUNCTIONS: &[(&CStr, Function)] =
        &[(c"pack", pack), (c"size", size), (c"unpack", unpack)];
    ffi::lua_createtable(lua, 0, 3);
    set_functions(lua, FUNCTIONS);
}

/// A format being read.
struct Format<'a> {
    text: &'a [u8],
    at: usize,
    big_endian: bool,
    align: usize,
}

/// One option of it.
struct Item {
    letter: u8,
    bytes: usize,
}

impl<'a> Format<'a> {
    unsafe fn new(lua: *mut lua_State) -> Format<'a> {
        ffi::luaL_checklstring(lua, 1, std::ptr::null_mut());
        let text = bytes(lua, 1).unwrap_or_default();
        let end = memchr::memchr(0, text).unwrap_or(text.len());
        Format {
            text: &text[..end],
            at: 0,
            big_endian: false,
            align: 1,
        }
    }

    unsafe fn number(&mut self, lua: *mut lua_State, default: c_int) -> c_int {
        let digit = |format: &Self| {
            let byte = format.text.get(format.at).copied()?;
            byte.is_ascii_digit().then(|| c_int::from(byte - b'0'))
        };
        let Some(mut number) = digit(self) else {
            return default;
        };
        self.at += 1;
        while let Some(next) = digit(self) {
            match number
                .checked_mul(10)
                .and_then(|tens| tens.checked_add(next))
            {
                Some(more) => number = more,
                None => {
                    ffi::luaL_error(lua, c"integral size overflow".as_ptr());
                }
            }
            self.at += 1;
        }
        number
    }

    unsafe fn next(&mut self, lua: *mut lua_State) -> Option<Item> {
        let letter = *self.text.get(self.at)?;
        self.at += 1;
        let bytes = match letter {
            b'B' | b'b' | b'x' => 1,
            b'H' | b'h' => 2,
            b'L' | b'l' | b'T' | b'd' => 8,
            b'f' => 4,
            b'c' => self.number(lua, 1) as usize,
            b'i' | b'I' => {
                let bytes = self.number(lua, 4);
                if bytes as usize > INTEGER_BYTES_MAX {
                    ffi::luaL_error(
                        lua,
                        c"integral size %d is larger than limit of %d".as_ptr(),
                        bytes,
                        INTEGER_BYTES_MAX as c_int,
                    );
                }
                bytes as usize
            }
            _ => 0,
        };
        Some(Item { letter, bytes })
    }

    /// Bytes of padding in front of an item.
    fn padding(&self, at: usize, item: &Item) -> usize {
        if item.bytes == 0 || item.letter == b'c' {
            return 0;
        }
        let size = item.bytes.min(self.align);
        // As Redis computes it, for sizes that are no powers of two too.
        (size.wrapping_sub(at & (size - 1))) & (size - 1)
    }

    /// Options that change how others are read.
    unsafe fn control(&mut self, lua: *mut lua_State, letter: u8) {
        match letter {
            b' ' => {}
            b'>' => self.big_endian = true,
            b'<' => self.big_endian = false,
            b'!' => {
                let align = self.number(lua, ALIGN_MAX);
                if align <= 0 || align & (align - 1) != 0 {
                    ffi::luaL_error(lua, c"alignment %d is not a power of 2".as_ptr(), align);
                }
                self.align = align as usize;
            }
            _ => {
                let text = c"invalid format option '%c'".as_ptr();
                let text = ffi::lua_pushfstring(lua, text, c_int::from(letter));
                ffi::luaL_argerror(lua, 1, text);
            }
        }
    }
}

unsafe extern "C-unwind" fn pack(lua: *mut lua_State) -> c_int {
    let mut format = Format::new(lua);
    let mut index = 2;
    let out = heap::of(lua).fresh();
    let mut total = 0_usize;
    while let Some(item) = format.next(lua) {
        api::spend_value(lua);
        let padding = format.padding(total, &item);
        let mut size = item.bytes;
        total += padding;
        out.resize(out.len() + padding, 0);
        match item.letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let number = ffi::luaL_checknumber(lua, index);
                index += 1;
                put_integer(out, integer(number), size, format.big_endian);
            }
            b'x' => out.push(0),
            b'f' => {
                let number = ffi::luaL_checknumber(lua, index) as f32;
                index += 1;
                let bytes = number.to_bits();
                put_integer(out, u64::from(bytes), 4, format.big_endian);
            }
            b'd' => {
                let number = ffi::luaL_checknumber(lua, index);
                index += 1;
                put_integer(out, number.to_bits(), 8, format.big_endian);
            }
            b'c' | b's' => {
                ffi::luaL_checklstring(lua, index, std::ptr::null_mut());
                let text = bytes(lua, index).unwrap_or_default();
                index += 1;
                if size == 0 {
                    size = text.len();
                }
                if text.len() < size {
                    ffi::luaL_argerror(lua, index, c"string too short".as_ptr());
                }
                out.extend_from_slice(&text[..size]);
                if item.letter == b's' {
                    out.push(0);
                    size += 1;
                }
            }
            letter => format.control(lua, letter),
        }
        total += size;
    }
    push(lua, &heap::of(lua).scratch);
    1
}

/// As C converts it.
fn integer(number: f64) -> u64 {
    if number < 0.0 {
        crate::util::num::f64_to_i64_as_c(number) as u64
    } else if number < 9_223_372_036_854_775_808.0 {
        number as i64 as u64
    } else if number < 18_446_744_073_709_551_616.0 {
        number as u64
    } else if number.is_nan() {
        1 << 63
    } else {
        0
    }
}

fn put_integer(out: &mut Vec<u8>, value: u64, size: usize, big_endian: bool) {
    let mut all = [0_u8; INTEGER_BYTES_MAX];
    all[..8].copy_from_slice(&value.to_le_bytes());
    if big_endian {
        out.extend(all[..size].iter().rev());
    } else {
        out.extend_from_slice(&all[..size]);
    }
}

fn get_integer(data: &[u8], big_endian: bool, signed: bool) -> f64 {
    let mut value = 0_u64;
    let mut add = |byte: &u8| value = value << 8 | u64::from(*byte);
    if big_endian {
        data.iter().for_each(&mut add);
    } else {
        data.iter().rev().for_each(&mut add);
    }
    if !signed {
        return value as f64;
    }
    // Redis: wider ones are cut to 64 bits; the sign bit is found modulo 64.
    let sign = (data.len() as u32 * 8).wrapping_sub(1) & 63;
    let mask = u64::MAX << sign;
    if value & mask != 0 {
        value |= mask;
    }
    value as i64 as f64
}

unsafe extern "C-unwind" fn unpack(lua: *mut lua_State) -> c_int {
    let mut format = Format::new(lua);
    ffi::luaL_checklstring(lua, 2, std::ptr::null_mut());
    let data = bytes(lua, 2).unwrap_or_default();
    // Redis: an offset below zero is a huge one.
    let offset = ffi::luaL_optinteger(lua, 3, 1) as usize;
    if offset == 0 {
        ffi::luaL_argerror(lua, 3, c"offset must be 1 or greater".as_ptr());
    }
    let mut at = offset - 1;
    let mut count = 0;
    while let Some(item) = format.next(lua) {
        api::spend_value(lua);
        let mut size = item.bytes;
        at = at.saturating_add(format.padding(at, &item));
        if size > data.len() || at > data.len() - size {
            ffi::luaL_argerror(lua, 2, c"data string too short".as_ptr());
        }
        ffi::luaL_checkstack_(lua, 2, c"too many results".as_ptr());
        let field = &data[at..at + size];
        match item.letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let signed = item.letter.is_ascii_lowercase();
                let number = get_integer(field, format.big_endian, signed);
                ffi::lua_pushnumber(lua, number);
                count += 1;
            }
            b'x' => {}
            b'f' => {
                let bits = float_bits(field, format.big_endian) as u32;
                ffi::lua_pushnumber(lua, f64::from(f32::from_bits(bits)));
                count += 1;
            }
            b'd' => {
                let bits = float_bits(field, format.big_endian);
                ffi::lua_pushnumber(lua, f64::from_bits(bits));
                count += 1;
            }
            b'c' => {
                if size == 0 {
                    if count == 0 || ffi::lua_isnumber(lua, -1) == 0 {
                        ffi::luaL_error(lua, c"format 'c0' needs a previous size".as_ptr());
                    }
                    size = integer(ffi::lua_tonumber(lua, -1)) as usize;
                    ffi::lua_pop(lua, 1);
                    count -= 1;
                    if size > data.len() || at > data.len() - size {
                        ffi::luaL_argerror(lua, 2, c"data string too short".as_ptr());
                    }
                }
                push(lua, &data[at..at + size]);
                count += 1;
            }
            b's' => {
                let Some(end) = memchr::memchr(0, &data[at..]) else {
                    return ffi::luaL_error(lua, c"unfinished string in data".as_ptr());
                };
                push(lua, &data[at..at + end]);
                size = end + 1;
                count += 1;
            }
            letter => format.control(lua, letter),
        }
        at += size;
    }
    ffi::lua_pushnumber(lua, (at + 1) as f64);
    count + 1
}

fn float_bits(data: &[u8], big_endian: bool) -> u64 {
    let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    if big_endian {
        data.iter().fold(0, add)
    } else {
        data.iter().rev().fold(0, add)
    }
}

unsafe extern "C-unwind" fn size(lua: *mut lua_State) -> c_int {
    let mut format = Format::new(lua);
    let mut at = 0_usize;
    while let Some(item) = format.next(lua) {
        api::spend_value(lua);
        at += format.padding(at, &item);
        if item.letter == b's' {
            ffi::luaL_argerror(lua, 1, c"option 's' has no fixed size".as_ptr());
        } else if item.letter == b'c' && item.bytes == 0 {
            ffi::luaL_argerror(lua, 1, c"option 'c0' has no fixed size".as_ptr());
        }
        if !item.letter.is_ascii_alphanumeric() {
            format.control(lua, item.letter);
        }
        at += item.bytes;
    }
    ffi::lua_pushnumber(lua, at as f64);
    1
}
