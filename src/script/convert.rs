//! Replies of commands as values of Lua, and values as replies.
//!
//! # Unsafe invariants
//! Those of `heap`; all of this runs unguarded, and uses no function that raises
//! for another reason than memory.
//!
//! SAFETY: whatever Lua calls here, it calls with the state that runs, which is
//! one of ours; the rest is called from there with the same state.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn)]

use std::ffi::c_int;

use mlua::ffi::{self, lua_State};

use super::heap::{self, bytes, push};
use crate::engine::{ClientId, Server};
use crate::util::num::{f64_to_i64_as_c, parse_i64};

/// A reply of ours, being read.
struct Parser<'a> {
    reply: &'a [u8],
    at: usize,
}

/// Pushes the value of a reply; an error is told apart.
///
/// # Safety
/// The heap is unguarded.
pub unsafe fn push_reply(lua: *mut lua_State, reply: &[u8]) -> bool {
    Parser { reply, at: 0 }.value(lua);
    reply.first() == Some(&b'-')
}

impl<'a> Parser<'a> {
    fn line(&mut self) -> &'a [u8] {
        let rest = &self.reply[self.at.min(self.reply.len())..];
        let end = memchr::memchr(b'\r', rest).unwrap_or(rest.len());
        self.at += end + 2;
        &rest[..end]
    }

    fn bulk(&mut self, len: usize) -> &'a [u8] {
        let start = self.at.min(self.reply.len());
        let end = start.saturating_add(len).min(self.reply.len());
        self.at = end + 2;
        &self.reply[start..end]
    }

    /// # Safety
    /// As [`push_reply`].
    unsafe fn value(&mut self, lua: *mut lua_State) {
        if ffi::lua_checkstack(lua, 6) == 0 {
            // No reply of ours is that deep.
            return ffi::lua_pushnil(lua);
        }
        let line = self.line();
        let Some((kind, text)) = line.split_first() else {
            return ffi::lua_pushnil(lua);
        };
        let number = || parse_i64(text);
        let len = number().and_then(|len| usize::try_from(len).ok());
        match kind {
            b':' => ffi::lua_pushnumber(lua, number().unwrap_or(0) as f64),
            b'$' => match len {
                Some(len) => push(lua, self.bulk(len)),
                None => ffi::lua_pushboolean(lua, 0),
            },
            b'+' => field(lua, b"ok", text),
            b'-' => {
                push_command_error(lua, text);
            }
            b'*' => match len {
                Some(len) => self.array(lua, len),
                None => ffi::lua_pushboolean(lua, 0),
            },
            b'%' => self.map(lua, len.unwrap_or(0)),
            b'~' => self.set(lua, len.unwrap_or(0)),
            b'#' => ffi::lua_pushboolean(lua, c_int::from(text == b"t")),
            b',' => {
                let text = std::str::from_utf8(text).unwrap_or_default();
                ffi::lua_createtable(lua, 0, 1);
                push(lua, b"double");
                ffi::lua_pushnumber(lua, text.parse().unwrap_or(f64::NAN));
                ffi::lua_rawset(lua, -3);
            }
            b'(' => field(lua, b"big_number", text),
            b'=' => self.verbatim(lua, len.unwrap_or(0)),
            b'|' => {
                // Attributes are not for scripts.
                for _ in 0..2 * len.unwrap_or(0) {
                    self.value(lua);
                    ffi::lua_pop(lua, 1);
                }
                self.value(lua);
            }
            _ => ffi::lua_pushnil(lua),
        }
    }

    unsafe fn array(&mut self, lua: *mut lua_State, len: usize) {
        let room = len.min(self.reply.len() - self.at.min(self.reply.len()));
        ffi::lua_createtable(lua, c_int::try_from(room).unwrap_or(0), 0);
        for index in 1..=len {
            self.value(lua);
            ffi::lua_rawseti_(lua, -2, index as c_int);
        }
    }

    unsafe fn map(&mut self, lua: *mut lua_State, len: usize) {
        ffi::lua_createtable(lua, 0, 1);
        push(lua, b"map");
        ffi::lua_createtable(lua, 0, 0);
        for _ in 0..len {
            self.value(lua);
            self.value(lua);
            if ffi::lua_type(lua, -2) == ffi::LUA_TNIL {
                ffi::lua_pop(lua, 2);
            } else {
                ffi::lua_rawset(lua, -3);
            }
        }
        ffi::lua_rawset(lua, -3);
    }

    unsafe fn set(&mut self, lua: *mut lua_State, len: usize) {
        ffi::lua_createtable(lua, 0, 1);
        push(lua, b"set");
        ffi::lua_createtable(lua, 0, 0);
        for _ in 0..len {
            self.value(lua);
            if ffi::lua_type(lua, -1) == ffi::LUA_TNIL {
                ffi::lua_pop(lua, 1);
            } else {
                ffi::lua_pushboolean(lua, 1);
                ffi::lua_rawset(lua, -3);
            }
        }
        ffi::lua_rawset(lua, -3);
    }

    unsafe fn verbatim(&mut self, lua: *mut lua_State, len: usize) {
        let text = self.bulk(len);
        let (format, text) = text.split_at(text.len().min(4));
        ffi::lua_createtable(lua, 0, 1);
        push(lua, b"verbatim_string");
        ffi::lua_createtable(lua, 0, 2);
        push(lua, b"string");
        push(lua, text);
        ffi::lua_rawset(lua, -3);
        push(lua, b"format");
        push(lua, &format[..format.len().min(3)]);
        ffi::lua_rawset(lua, -3);
        ffi::lua_rawset(lua, -3);
    }
}

/// A table of one field.
unsafe fn field(lua: *mut lua_State, name: &[u8], value: &[u8]) {
    ffi::lua_createtable(lua, 0, 1);
    push(lua, name);
    push(lua, value);
    ffi::lua_rawset(lua, -3);
}

/// Pushes the error of a command: it has been counted already.
///
/// # Safety
/// As [`push_reply`].
pub unsafe fn push_command_error(lua: *mut lua_State, line: &[u8]) {
    heap::push_error(lua, line);
    push(lua, b"ignore_error_stats_update");
    ffi::lua_pushboolean(lua, 1);
    ffi::lua_rawset(lua, -3);
}

/// The error that a table stands for.
pub struct ErrorTable {
    /// The line, code included.
    pub line: Vec<u8>,
    /// Where it came from.
    pub place: Option<(Vec<u8>, Vec<u8>)>,
    /// It has been counted already.
    pub counted: bool,
}

/// Up to the first zero byte: Redis keeps such texts as C strings.
fn c_text(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A field of the table on the top, as a string.
unsafe fn text_field(lua: *mut lua_State, name: &[u8]) -> Option<Vec<u8>> {
    push(lua, name);
    ffi::lua_rawget_(lua, -2);
    let text = bytes(lua, -1).map(|text| c_text(text).to_vec());
    ffi::lua_pop(lua, 1);
    text
}

/// Reads the error of the table on the top of the stack.
///
/// # Safety
/// As [`push_reply`].
pub unsafe fn error_table(lua: *mut lua_State) -> ErrorTable {
    let line = text_field(lua, b"err").unwrap_or_else(|| b"ERR unknown error".to_vec());
    let source = text_field(lua, b"source");
    let number = text_field(lua, b"line");
    push(lua, b"ignore_error_stats_update");
    ffi::lua_rawget_(lua, -2);
    let counted = ffi::lua_type(lua, -1) == ffi::LUA_TBOOLEAN && ffi::lua_toboolean(lua, -1) != 0;
    ffi::lua_pop(lua, 1);
    ErrorTable {
        line,
        place: source.zip(number),
        counted,
    }
}

/// Where a value goes as a reply.
pub struct Replier<'a> {
    /// The server.
    pub server: &'a mut Server,
    /// The client.
    pub id: ClientId,
    /// Whether the script asked for RESP3.
    pub script_resp3: bool,
}

/// Values of a reply. Tables may be in many places, so there can be very many
/// more than there is memory.
const VALUES_MAX: usize = if cfg!(fuzzing) { 1 << 16 } else { 1 << 24 };
/// Values that a table counts as.
const TABLE_VALUES: usize = 4;
/// Longest reply, bytes.
const REPLY_BYTES_MAX: usize = heap::BYTES_MAX;

/// What is left of a reply's limits.
struct Room {
    /// None: the reply is given up.
    values: usize,
    /// Length of all that waits for the client by then.
    bytes_max: usize,
}

/// Without an error's line end, which would become spaces.
fn trimmed(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n'));
    &line[..end.map_or(0, |end| end + 1)]
}

impl Replier<'_> {
    /// Writes an error, which counts unless it did already.
    pub fn error(&mut self, line: &[u8], counted: bool) {
        let line = trimmed(line);
        self.server.scripts.has_failed = true;
        if !counted {
            let code = line.split(|byte| *byte == b' ').next();
            self.server.stats.error_reply(code.unwrap_or(b"ERR"));
        }
        self.server.reply(self.id).error(line);
    }

    /// Writes the value on the top of the stack, and takes it off.
    ///
    /// # Safety
    /// As [`push_reply`].
    pub unsafe fn value(&mut self, lua: *mut lua_State) {
        let top = ffi::lua_gettop(lua);
        let mark = self.server.client(self.id).output.mark();
        let mut room = Room {
            values: VALUES_MAX,
            bytes_max: self.server.reply(self.id).pending_bytes() + REPLY_BYTES_MAX,
        };
        self.any(lua, &mut room);
        if room.values == 0 {
            self.server.client(self.id).output.truncate(mark);
            self.error(b"ERR the reply of the script is too long", false);
            ffi::lua_settop(lua, top - 1);
        }
    }

    /// As [`Replier::value`], while there is room.
    unsafe fn any(&mut self, lua: *mut lua_State, room: &mut Room) {
        room.values = room.values.saturating_sub(1);
        if self.server.reply(self.id).pending_bytes() > room.bytes_max {
            room.values = 0;
        }
        if room.values == 0 {
            return ffi::lua_pop(lua, 1);
        }
        if ffi::lua_checkstack(lua, 6) == 0 {
            self.error(b"ERR reached lua stack limit", false);
            ffi::lua_pop(lua, 1);
            return;
        }
        match ffi::lua_type(lua, -1) {
            ffi::LUA_TSTRING => {
                let text = bytes(lua, -1).unwrap_or_default();
                self.server.reply(self.id).bulk(text);
            }
            ffi::LUA_TBOOLEAN => {
                let value = ffi::lua_toboolean(lua, -1) != 0;
                let mut reply = self.server.reply(self.id);
                match (self.script_resp3, value) {
                    (true, value) => reply.boolean(value),
                    (false, true) => reply.integer(1),
                    (false, false) => reply.null(),
                }
            }
            ffi::LUA_TNUMBER => {
                let number = f64_to_i64_as_c(ffi::lua_tonumber(lua, -1));
                self.server.reply(self.id).integer(number);
            }
            ffi::LUA_TTABLE => self.table(lua, room),
            _ => self.server.reply(self.id).null(),
        }
        ffi::lua_pop(lua, 1);
    }

    /// Whether the table on the top has a field of this type, which is then
    /// on top of it.
    unsafe fn has(lua: *mut lua_State, name: &[u8], kind: c_int) -> bool {
        push(lua, name);
        ffi::lua_rawget_(lua, -2);
        if ffi::lua_type(lua, -1) == kind {
            return true;
        }
        ffi::lua_pop(lua, 1);
        false
    }

    unsafe fn table(&mut self, lua: *mut lua_State, room: &mut Room) {
        room.values = room.values.saturating_sub(TABLE_VALUES).max(1);
        if Self::has(lua, b"err", ffi::LUA_TSTRING) {
            ffi::lua_pop(lua, 1);
            let error = error_table(lua);
            return self.error(&error.line, error.counted);
        }
        if Self::has(lua, b"ok", ffi::LUA_TSTRING) {
            let text = c_text(bytes(lua, -1).unwrap_or_default());
            self.server.reply(self.id).simple_bytes(text);
            return ffi::lua_pop(lua, 1);
        }
        if Self::has(lua, b"double", ffi::LUA_TNUMBER) {
            let number = ffi::lua_tonumber(lua, -1);
            self.server.reply(self.id).double(number);
            return ffi::lua_pop(lua, 1);
        }
        if Self::has(lua, b"big_number", ffi::LUA_TSTRING) {
            let digits = bytes(lua, -1).unwrap_or_default();
            self.server.reply(self.id).big_number_bytes(digits);
            return ffi::lua_pop(lua, 1);
        }
        if Self::has(lua, b"verbatim_string", ffi::LUA_TTABLE) {
            if Self::has(lua, b"format", ffi::LUA_TSTRING) {
                push(lua, b"string");
                ffi::lua_rawget_(lua, -3);
                if ffi::lua_type(lua, -1) == ffi::LUA_TSTRING {
                    let text = bytes(lua, -1).unwrap_or_default();
                    let format = c_text(bytes(lua, -2).unwrap_or_default());
                    self.server.reply(self.id).verbatim_bytes(format, text);
                    return ffi::lua_pop(lua, 3);
                }
                ffi::lua_pop(lua, 2);
            }
            ffi::lua_pop(lua, 1);
        }
        if Self::has(lua, b"map", ffi::LUA_TTABLE) {
            return self.pairs(lua, room, true);
        }
        if Self::has(lua, b"set", ffi::LUA_TTABLE) {
            return self.pairs(lua, room, false);
        }
        let deferred = self.server.reply(self.id).deferred();
        let mut len = 0;
        loop {
            ffi::lua_rawgeti_(lua, -1, len as c_int + 1);
            if ffi::lua_type(lua, -1) == ffi::LUA_TNIL {
                ffi::lua_pop(lua, 1);
                break;
            }
            self.any(lua, room);
            len += 1;
            if room.values == 0 {
                break;
            }
        }
        self.server.reply(self.id).end_array(deferred, len);
    }

    /// A map, or a set, from the table on the top, which is taken off.
    unsafe fn pairs(&mut self, lua: *mut lua_State, room: &mut Room, is_map: bool) {
        let deferred = self.server.reply(self.id).deferred();
        let mut len = 0;
        ffi::lua_pushnil(lua);
        while ffi::lua_next(lua, -2) != 0 {
            if is_map {
                ffi::lua_pushvalue(lua, -2);
                self.any(lua, room);
                self.any(lua, room);
            } else {
                ffi::lua_pop(lua, 1);
                ffi::lua_pushvalue(lua, -1);
                self.any(lua, room);
            }
            if room.values == 0 {
                ffi::lua_pop(lua, 1);
                break;
            }
            len += 1;
        }
        let mut reply = self.server.reply(self.id);
        if is_map {
            reply.end_map(deferred, len);
        } else {
            reply.end_set(deferred, len);
        }
        ffi::lua_pop(lua, 1);
    }
}
