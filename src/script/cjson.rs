//! `cjson`: values as JSON, as in <https://www.kyne.au/~mark/software/lua-cjson-manual.html>,
//! with the departures from JSON that the original allows.
//!
//! # Unsafe invariants
//! Those of `heap`: these functions own nothing, so they may raise; what they
//! put together is in the buffer of the heap, and no script runs meanwhile.
//! The first upvalue of each function is a user datum that holds a [`Config`].
#![allow(unsafe_code, unsafe_op_in_unsafe_fn)]

use std::ffi::{CStr, c_int};

use mlua::ffi::{self, lua_State};

use super::api;
use super::heap::{self, Function, bytes, push};

/// Settings of a module table, as scripts change them.
#[derive(Clone, Copy)]
struct Config {
    sparse_convert: c_int,
    sparse_ratio: c_int,
    sparse_safe: c_int,
    encode_max_depth: c_int,
    decode_max_depth: c_int,
    /// 0: an error, 1: as they are, 2: as null.
    encode_invalid_numbers: c_int,
    decode_invalid_numbers: c_int,
    precision: c_int,
    keep_buffer: c_int,
}

const DEFAULT: Config = Config {
    sparse_convert: 0,
    sparse_ratio: 2,
    sparse_safe: 10,
    encode_max_depth: 1000,
    decode_max_depth: 1000,
    encode_invalid_numbers: 0,
    decode_invalid_numbers: 1,
    precision: 14,
    keep_buffer: 1,
};

/// Pushes a module table with settings of its own.
pub(super) unsafe fn open(lua: *mut lua_State) {
    const FUNCTIONS: &[(&CStr, Function)] = &[
        (c"decode", decode),
        (c"decode_invalid_numbers", decode_invalid_numbers),
        (c"decode_max_depth", decode_max_depth),
        (c"encode", encode),
        (c"encode_invalid_numbers", encode_invalid_numbers),
        (c"encode_keep_buffer", encode_keep_buffer),
        (c"encode_max_depth", encode_max_depth),
        (c"encode_number_precision", encode_number_precision),
        (c"encode_sparse_array", encode_sparse_array),
        (c"new", new),
    ];
    ffi::lua_createtable(lua, 0, 16);
    let config = ffi::lua_newuserdata(lua, size_of::<Config>()).cast::<Config>();
    config.write(DEFAULT);
    for (name, function) in FUNCTIONS {
        ffi::lua_pushvalue(lua, -1);
        ffi::lua_pushcclosure(lua, *function, 1);
        ffi::lua_setfield(lua, -3, name.as_ptr());
    }
    ffi::lua_pop(lua, 1);
    ffi::lua_pushlightuserdata(lua, std::ptr::null_mut());
    ffi::lua_setfield(lua, -2, c"null".as_ptr());
    for (name, text) in [(c"_NAME", &b"cjson"[..]), (c"_VERSION", b"2.1.0")] {
        push(lua, text);
        ffi::lua_setfield(lua, -2, name.as_ptr());
    }
}

unsafe extern "C-unwind" fn new(lua: *mut lua_State) -> c_int {
    open(lua);
    1
}

unsafe fn config<'a>(lua: *mut lua_State) -> &'a mut Config {
    let config = ffi::lua_touserdata(lua, ffi::lua_upvalueindex(1));
    // SAFETY: see the top of the file; it lives as long as the function.
    unsafe { &mut *config.cast::<Config>() }
}

/// The settings, for a function of so many arguments at most.
unsafe fn config_for<'a>(lua: *mut lua_State, args: c_int) -> &'a mut Config {
    if ffi::lua_gettop(lua) > args {
        ffi::luaL_argerror(lua, args + 1, c"found too many arguments".as_ptr());
    }
    ffi::lua_settop(lua, args);
    config(lua)
}

unsafe fn integer_option(
    lua: *mut lua_State,
    index: c_int,
    value: &mut c_int,
    min: c_int,
    max: c_int,
) {
    if ffi::lua_type(lua, index) != ffi::LUA_TNIL {
        let number = ffi::luaL_checkinteger(lua, index) as c_int;
        if !(min..=max).contains(&number) {
            let text = c"expected integer between %d and %d".as_ptr();
            let text = ffi::lua_pushfstring(lua, text, min, max);
            ffi::luaL_argerror(lua, 1, text);
        }
        *value = number;
    }
    ffi::lua_pushnumber(lua, f64::from(*value));
}

unsafe fn choice_option(lua: *mut lua_State, index: c_int, value: &mut c_int, with_null: bool) {
    let names: [*const std::ffi::c_char; 4] = [
        c"off".as_ptr(),
        c"on".as_ptr(),
        if with_null {
            c"null".as_ptr()
        } else {
            std::ptr::null()
        },
        std::ptr::null(),
    ];
    match ffi::lua_type(lua, index) {
        ffi::LUA_TNIL => {}
        ffi::LUA_TBOOLEAN => *value = ffi::lua_toboolean(lua, index),
        _ => *value = ffi::luaL_checkoption(lua, index, std::ptr::null(), names.as_ptr()),
    }
    if *value < 2 {
        ffi::lua_pushboolean(lua, *value);
    } else {
        push(lua, b"null");
    }
}

unsafe extern "C-unwind" fn encode_sparse_array(lua: *mut lua_State) -> c_int {
    let config = config_for(lua, 3);
    choice_option(lua, 1, &mut config.sparse_convert, false);
    integer_option(lua, 2, &mut config.sparse_ratio, 0, c_int::MAX);
    integer_option(lua, 3, &mut config.sparse_safe, 0, c_int::MAX);
    3
}

unsafe extern "C-unwind" fn encode_max_depth(lua: *mut lua_State) -> c_int {
    let config = config_for(lua, 1);
    integer_option(lua, 1, &mut config.encode_max_depth, 1, c_int::MAX);
    1
}

unsafe extern "C-unwind" fn decode_max_depth(lua: *mut lua_State) -> c_int {
    let config = config_for(lua, 1);
    integer_option(lua, 1, &mut config.decode_max_depth, 1, c_int::MAX);
    1
}

unsafe extern "C-unwind" fn encode_number_precision(lua: *mut lua_State) -> c_int {
    let config = config_for(lua, 1);
    integer_option(lua, 1, &mut config.precision, 1, 14);
    1
}

/// The buffer is always kept, so this only remembers what was asked for.
unsafe extern "C-unwind" fn encode_keep_buffer(lua: *mut lua_State) -> c_int {
    let config = config_for(lua, 1);
    choice_option(lua, 1, &mut config.keep_buffer, false);
    1
}

unsafe extern "C-unwind" fn encode_invalid_numbers(lua: *mut lua_State) -> c_int {
    let config = config_for(lua, 1);
    choice_option(lua, 1, &mut config.encode_invalid_numbers, true);
    1
}

unsafe extern "C-unwind" fn decode_invalid_numbers(lua: *mut lua_State) -> c_int {
    let config = config_for(lua, 1);
    choice_option(lua, 1, &mut config.decode_invalid_numbers, false);
    1
}

unsafe fn check_one_argument(lua: *mut lua_State) {
    if ffi::lua_gettop(lua) != 1 {
        ffi::luaL_argerror(lua, 1, c"expected 1 argument".as_ptr());
    }
}

unsafe extern "C-unwind" fn encode(lua: *mut lua_State) -> c_int {
    let config = *config(lua);
    check_one_argument(lua);
    let out = heap::of(lua).fresh();
    Encoder { lua, config, out }.value(0);
    push(lua, &heap::of(lua).scratch);
    1
}

struct Encoder<'a> {
    lua: *mut lua_State,
    config: Config,
    out: &'a mut Vec<u8>,
}

impl Encoder<'_> {
    unsafe fn fail(&self, index: c_int, reason: &CStr) {
        ffi::luaL_error(
            self.lua,
            c"Cannot serialise %s: %s".as_ptr(),
            ffi::lua_typename(self.lua, ffi::lua_type(self.lua, index)),
            reason.as_ptr(),
        );
    }

    /// Writes the value on the top, which stays.
    unsafe fn value(&mut self, depth: c_int) {
        let lua = self.lua;
        api::spend_value(lua);
        match ffi::lua_type(lua, -1) {
            ffi::LUA_TSTRING => self.string(-1),
            ffi::LUA_TNUMBER => self.number(-1),
            ffi::LUA_TBOOLEAN if ffi::lua_toboolean(lua, -1) != 0 => {
                self.out.extend_from_slice(b"true");
            }
            ffi::LUA_TBOOLEAN => self.out.extend_from_slice(b"false"),
            ffi::LUA_TTABLE => self.table(depth + 1),
            ffi::LUA_TNIL => self.out.extend_from_slice(b"null"),
            ffi::LUA_TLIGHTUSERDATA if ffi::lua_touserdata(lua, -1).is_null() => {
                self.out.extend_from_slice(b"null");
            }
            _ => self.fail(-1, c"type not supported"),
        }
    }

    unsafe fn table(&mut self, depth: c_int) {
        let lua = self.lua;
        if depth > self.config.encode_max_depth
            || ffi::lua_checkstack(lua, 3) == 0
            || heap::of(lua).is_deep()
        {
            let text = c"Cannot serialise, excessive nesting (%d)".as_ptr();
            ffi::luaL_error(lua, text, depth);
        }
        let len = self.array_length();
        if len > 0 {
            self.out.push(b'[');
            for index in 1..=len {
                if index > 1 {
                    self.out.push(b',');
                }
                ffi::lua_rawgeti_(lua, -1, index);
                self.value(depth);
                ffi::lua_pop(lua, 1);
            }
            self.out.push(b']');
            return;
        }
        self.out.push(b'{');
        let mut first = true;
        ffi::lua_pushnil(lua);
        while ffi::lua_next(lua, -2) != 0 {
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            match ffi::lua_type(lua, -2) {
                ffi::LUA_TNUMBER => {
                    self.out.push(b'"');
                    self.number(-2);
                    self.out.extend_from_slice(b"\":");
                }
                ffi::LUA_TSTRING => {
                    self.string(-2);
                    self.out.push(b':');
                }
                _ => self.fail(-2, c"table key must be a number or string"),
            }
            self.value(depth);
            ffi::lua_pop(lua, 1);
        }
        self.out.push(b'}');
    }

    /// The highest index of the table on the top; -1 when it is no array.
    unsafe fn array_length(&mut self) -> c_int {
        let lua = self.lua;
        let (mut max, mut count) = (0_i32, 0_i32);
        ffi::lua_pushnil(lua);
        while ffi::lua_next(lua, -2) != 0 {
            let key = ffi::lua_tonumber(lua, -2);
            let is_number = ffi::lua_type(lua, -2) == ffi::LUA_TNUMBER;
            if is_number && key.floor() == key && key >= 1.0 {
                if key > f64::from(max) {
                    // As C converts it: what does not fit is the smallest.
                    max = if key > 2_147_483_647.0 {
                        i32::MIN
                    } else {
                        key as i32
                    };
                }
                count += 1;
                ffi::lua_pop(lua, 1);
                continue;
            }
            ffi::lua_pop(lua, 2);
            return -1;
        }
        let ratio = self.config.sparse_ratio;
        if ratio > 0 && max > count.wrapping_mul(ratio) && max > self.config.sparse_safe {
            if self.config.sparse_convert == 0 {
                self.fail(-1, c"excessively sparse array");
            }
            return -1;
        }
        max
    }

    unsafe fn number(&mut self, index: c_int) {
        let number = ffi::lua_tonumber(self.lua, index);
        match self.config.encode_invalid_numbers {
            _ if number.is_finite() => {}
            0 => self.fail(index, c"must not be NaN or Inf"),
            1 if number.is_nan() => return self.out.extend_from_slice(b"nan"),
            1 => {}
            _ => return self.out.extend_from_slice(b"null"),
        }
        let mut text = [0_u8; 64];
        let len = libc::snprintf(
            text.as_mut_ptr().cast(),
            text.len(),
            c"%.*g".as_ptr(),
            self.config.precision,
            number,
        );
        self.out.extend_from_slice(&text[..len as usize]);
    }

    unsafe fn string(&mut self, index: c_int) {
        let text = bytes(self.lua, index).unwrap_or_default();
        self.out.reserve(text.len() + 2);
        self.out.push(b'"');
        for byte in text {
            let short = match byte {
                b'\x08' => b'b',
                b'\t' => b't',
                b'\n' => b'n',
                b'\x0c' => b'f',
                b'\r' => b'r',
                b'"' | b'/' | b'\\' => *byte,
                0..32 | 127 => {
                    let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
                    self.out.extend_from_slice(b"\\u00");
                    self.out.push(digit(byte >> 4));
                    self.out.push(digit(byte & 15));
                    continue;
                }
                _ => {
                    self.out.push(*byte);
                    continue;
                }
            };
            self.out.extend_from_slice(&[b'\\', short]);
        }
        self.out.push(b'"');
    }
}

/// Parts of a JSON text.
#[derive(Clone, Copy, PartialEq)]
enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    /// The text is in the buffer of the heap.
    String,
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Error(&'static CStr),
}

impl Token {
    fn name(self) -> &'static CStr {
        match self {
            Token::ObjectBegin => c"T_OBJ_BEGIN",
            Token::ObjectEnd => c"T_OBJ_END",
            Token::ArrayBegin => c"T_ARR_BEGIN",
            Token::ArrayEnd => c"T_ARR_END",
            Token::String => c"T_STRING",
            Token::Number(_) => c"T_NUMBER",
            Token::Boolean(_) => c"T_BOOLEAN",
            Token::Null => c"T_NULL",
            Token::Colon => c"T_COLON",
            Token::Comma => c"T_COMMA",
            Token::End => c"T_END",
            Token::Error(reason) => reason,
        }
    }
}

unsafe extern "C-unwind" fn decode(lua: *mut lua_State) -> c_int {
    check_one_argument(lua);
    let config = *config(lua);
    ffi::luaL_checklstring(lua, 1, std::ptr::null_mut());
    let data = bytes(lua, 1).unwrap_or_default();
    if data.len() >= 2 && (data[0] == 0 || data[1] == 0) {
        let text = c"JSON parser does not support UTF-16 or UTF-32";
        return ffi::luaL_error(lua, text.as_ptr());
    }
    api::spend(lua, data.len() / 4);
    let mut decoder = Decoder {
        lua,
        config,
        data,
        at: 0,
        token_at: 0,
        depth: 0,
    };
    let token = decoder.next();
    decoder.value(token);
    let token = decoder.next();
    if token != Token::End {
        decoder.fail(c"the end", token);
    }
    1
}

struct Decoder<'a> {
    lua: *mut lua_State,
    config: Config,
    data: &'a [u8],
    at: usize,
    /// Where the last token began, or what is wrong with it.
    token_at: usize,
    depth: c_int,
}

impl Decoder<'_> {
    /// A byte, zero after the end, as in C.
    fn byte(&self, at: usize) -> u8 {
        self.data.get(at).copied().unwrap_or(0)
    }

    fn rest(&self) -> &[u8] {
        self.data.get(self.at..).unwrap_or_default()
    }

    unsafe fn fail(&self, expected: &CStr, found: Token) {
        ffi::luaL_error(
            self.lua,
            c"Expected %s but found %s at character %d".as_ptr(),
            expected.as_ptr(),
            found.name().as_ptr(),
            self.token_at as c_int + 1,
        );
    }

    fn error(&mut self, reason: &'static CStr) -> Token {
        self.token_at = self.at;
        Token::Error(reason)
    }

    unsafe fn next(&mut self) -> Token {
        while matches!(self.byte(self.at), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.token_at = self.at;
        let single = match self.byte(self.at) {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b',' => Token::Comma,
            b':' => Token::Colon,
            0 => return Token::End,
            b'"' => return self.string(),
            b'-' | b'0'..=b'9' => {
                if self.config.decode_invalid_numbers == 0 && self.is_invalid_number() {
                    return self.error(c"invalid number");
                }
                return self.number();
            }
            b'+' | b'f' | b'i' | b'I' | b'n' | b'N' | b't' => return self.word(),
            _ => return self.error(c"invalid token"),
        };
        self.at += 1;
        single
    }

    unsafe fn word(&mut self) -> Token {
        let words: [(&[u8], Token); 3] = [
            (b"true", Token::Boolean(true)),
            (b"false", Token::Boolean(false)),
            (b"null", Token::Null),
        ];
        for (word, token) in words {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return token;
            }
        }
        if self.config.decode_invalid_numbers != 0 && self.is_invalid_number() {
            return self.number();
        }
        self.error(c"invalid token")
    }

    /// Whether it is a number to C but not to JSON.
    fn is_invalid_number(&self) -> bool {
        let mut at = self.at;
        if self.byte(at) == b'+' {
            return true;
        }
        if self.byte(at) == b'-' {
            at += 1;
        }
        if self.byte(at) == b'0' {
            let next = self.byte(at + 1);
            return next | 0x20 == b'x' || next.is_ascii_digit();
        }
        if self.byte(at) <= b'9' {
            return false;
        }
        let word = self.data.get(at..at + 3).unwrap_or_default();
        word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"nan")
    }

    unsafe fn number(&mut self) -> Token {
        // The string of Lua that this is ends with a zero byte.
        let start = self.data.as_ptr().add(self.at).cast();
        let mut end: *mut std::ffi::c_char = std::ptr::null_mut();
        let number = libc::strtod(start, &mut end);
        let len = end.cast_const().offset_from(start);
        if len <= 0 {
            return self.error(c"invalid number");
        }
        self.at += len as usize;
        Token::Number(number)
    }

    /// The 4 hexadecimal digits at a place.
    fn hex4(&self, at: usize) -> Option<u32> {
        let mut value = 0;
        for index in at..at + 4 {
            value = value << 4 | char::from(self.byte(index)).to_digit(16)?;
        }
        Some(value)
    }

    /// An escape `\u` at the current place: its character and its length.
    fn unicode(&self) -> Option<(u32, usize)> {
        let unit = self.hex4(self.at + 2)?;
        if unit & 0xf800 != 0xd800 {
            return Some((unit, 6));
        }
        if unit & 0x400 != 0 || self.byte(self.at + 6) != b'\\' || self.byte(self.at + 7) != b'u' {
            return None;
        }
        let low = self.hex4(self.at + 8)?;
        if low & 0xfc00 != 0xdc00 {
            return None;
        }
        let high = (unit & 0x3ff) << 10;
        Some(((high | (low & 0x3ff)) + 0x10000, 12))
    }

    unsafe fn string(&mut self) -> Token {
        let out = heap::of(self.lua).fresh();
        self.at += 1;
        loop {
            let rest = self.rest();
            let plain = rest
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\' | 0));
            let plain = plain.unwrap_or(rest.len());
            out.extend_from_slice(&rest[..plain]);
            self.at += plain;
            match self.byte(self.at) {
                b'"' => break,
                0 => return self.error(c"unexpected end of string"),
                _ => {}
            }
            let byte = match self.byte(self.at + 1) {
                b'u' => {
                    let Some((point, len)) = self.unicode() else {
                        return self.error(c"invalid unicode escape code");
                    };
                    let mut utf8 = [0; 4];
                    let point = char::from_u32(point).unwrap_or('\0');
                    out.extend_from_slice(point.encode_utf8(&mut utf8).as_bytes());
                    self.at += len;
                    continue;
                }
                byte @ (b'"' | b'\\' | b'/') => byte,
                b'b' => b'\x08',
                b't' => b'\t',
                b'n' => b'\n',
                b'f' => b'\x0c',
                b'r' => b'\r',
                _ => return self.error(c"invalid escape code"),
            };
            out.push(byte);
            self.at += 2;
        }
        self.at += 1;
        Token::String
    }

    unsafe fn descend(&mut self, slots: c_int) {
        self.depth += 1;
        api::spend_value(self.lua);
        if self.depth <= self.config.decode_max_depth
            && ffi::lua_checkstack(self.lua, slots) != 0
            && !heap::of(self.lua).is_deep()
        {
            return;
        }
        ffi::luaL_error(
            self.lua,
            c"Found too many nested data structures (%d) at character %d".as_ptr(),
            self.depth,
            self.at as c_int,
        );
    }

    /// Pushes the value that begins with a token.
    unsafe fn value(&mut self, token: Token) {
        let lua = self.lua;
        match token {
            Token::String => push(lua, &heap::of(lua).scratch),
            Token::Number(number) => ffi::lua_pushnumber(lua, number),
            Token::Boolean(value) => ffi::lua_pushboolean(lua, c_int::from(value)),
            Token::ObjectBegin => self.object(),
            Token::ArrayBegin => self.array(),
            Token::Null => ffi::lua_pushlightuserdata(lua, std::ptr::null_mut()),
            token => self.fail(c"value", token),
        }
    }

    unsafe fn object(&mut self) {
        let lua = self.lua;
        self.descend(3);
        ffi::lua_createtable(lua, 0, 0);
        let mut token = self.next();
        if token == Token::ObjectEnd {
            self.depth -= 1;
            return;
        }
        loop {
            if token != Token::String {
                self.fail(c"object key string", token);
            }
            push(lua, &heap::of(lua).scratch);
            token = self.next();
            if token != Token::Colon {
                self.fail(c"colon", token);
            }
            token = self.next();
            self.value(token);
            ffi::lua_rawset(lua, -3);
            token = self.next();
            if token == Token::ObjectEnd {
                self.depth -= 1;
                return;
            }
            if token != Token::Comma {
                self.fail(c"comma or object end", token);
            }
            token = self.next();
        }
    }

    unsafe fn array(&mut self) {
        let lua = self.lua;
        self.descend(2);
        ffi::lua_createtable(lua, 0, 0);
        let mut token = self.next();
        if token == Token::ArrayEnd {
            self.depth -= 1;
            return;
        }
        for index in 1.. {
            self.value(token);
            ffi::lua_rawseti_(lua, -2, index);
            token = self.next();
            if token == Token::ArrayEnd {
                self.depth -= 1;
                return;
            }
            if token != Token::Comma {
                self.fail(c"comma or array end", token);
            }
            token = self.next();
        }
    }
}
