//! Patterns of `string.find`, `match`, `gmatch` and `gsub`, as Lua 5.1 matches
//! them. Matching tries all ways there are, which can be very many, so ours
//! looks at the time meanwhile.
//!
//! # Unsafe invariants
//! Those of `heap`: these functions own nothing, so they may raise. The texts
//! stay on the stack, or in upvalues, of the function that has begun to match.
//!
//! SAFETY: whatever Lua calls here, it calls with the state that runs, which is
//! one of ours; the rest is called from there with the same state.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn)]

use std::ffi::{CStr, c_int};
use std::mem::MaybeUninit;

use mlua::ffi::{self, lua_State, luaL_Buffer};

use super::api;
use super::heap::{self, bytes, push};

/// Most captures of a pattern.
const CAPTURES_MAX: usize = 32;
/// How deep matching goes: one level for each item that may match in several
/// ways.
const DEPTH_MAX: u32 = 2200;
/// Work between two looks at whether it is time to look at the time.
const WORK_MAX: u32 = 4096;
/// Bytes that are compared or copied in the time of one step.
const BYTES_PER_STEP: usize = 16;

/// A part of the text that a pattern tells apart.
#[derive(Clone, Copy)]
enum Capture {
    /// It has begun.
    Open(usize),
    /// Its ends.
    Closed(usize, usize),
    /// Only where it is.
    Place(usize),
}

struct Matcher<'a> {
    lua: *mut lua_State,
    text: &'a [u8],
    /// Up to the first zero byte.
    pattern: &'a [u8],
    captures: [Capture; CAPTURES_MAX],
    level: usize,
    depth: u32,
    work: u32,
}

impl<'a> Matcher<'a> {
    fn new(lua: *mut lua_State, text: &'a [u8], pattern: &'a [u8]) -> Matcher<'a> {
        Matcher {
            lua,
            text,
            pattern,
            captures: [Capture::Place(0); CAPTURES_MAX],
            level: 0,
            depth: 0,
            work: 0,
        }
    }

    /// Looks for a match that begins at a place: where it ends.
    unsafe fn match_at(&mut self, start: usize) -> Option<usize> {
        self.level = 0;
        self.depth = 0;
        let end = self.rest(start, 0);
        self.spend(1);
        end
    }

    /// Counts work; raises, or pauses, as [`api::spend`] does.
    #[inline]
    unsafe fn spend(&mut self, work: usize) {
        self.work = self.work.saturating_add(work as u32);
        if self.work >= WORK_MAX {
            self.settle();
        }
    }

    unsafe fn settle(&mut self) {
        api::spend(self.lua, std::mem::take(&mut self.work) as usize);
    }

    unsafe fn fail(&mut self, text: &CStr) -> ! {
        self.settle();
        ffi::luaL_error(self.lua, text.as_ptr());
        unreachable!("it has left by a long jump")
    }

    /// A byte of the pattern, zero after its end.
    #[inline]
    fn item(&self, at: usize) -> u8 {
        self.pattern.get(at).copied().unwrap_or(0)
    }

    /// A byte of the text, zero after its end.
    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    /// Where the class that begins at a place of the pattern ends.
    #[inline]
    unsafe fn class_end(&mut self, at: usize) -> usize {
        match self.item(at) {
            b'%' => {
                if self.item(at + 1) == 0 {
                    self.fail(c"malformed pattern (ends with '%%')");
                }
                at + 2
            }
            b'[' => self.set_end(at + 1),
            _ => at + 1,
        }
    }

    unsafe fn set_end(&mut self, mut at: usize) -> usize {
        if self.item(at) == b'^' {
            at += 1;
        }
        // What comes first belongs to the set, also when it is its end.
        loop {
            match self.item(at) {
                0 => self.fail(c"malformed pattern (missing ']')"),
                b'%' if self.item(at + 1) != 0 => at += 2,
                _ => at += 1,
            }
            if self.item(at) == b']' {
                return at + 1;
            }
        }
    }

    /// Whether a byte belongs to the set between its bracket and the one at `end`.
    fn in_set(&self, byte: u8, mut at: usize, end: usize) -> bool {
        let mut found = true;
        if self.item(at + 1) == b'^' {
            found = false;
            at += 1;
        }
        at += 1;
        while at < end {
            let item = self.item(at);
            if item == b'%' {
                at += 1;
                if in_class(byte, self.item(at)) {
                    return found;
                }
            } else if self.item(at + 1) == b'-' && at + 2 < end {
                at += 2;
                if (item..=self.item(at)).contains(&byte) {
                    return found;
                }
            } else if item == byte {
                return found;
            }
            at += 1;
        }
        !found
    }

    /// Whether the byte at a place of the text is of a class of the pattern.
    #[inline]
    unsafe fn single(&mut self, place: usize, at: usize, end: usize) -> bool {
        let Some(byte) = self.text.get(place).copied() else {
            return false;
        };
        match self.item(at) {
            b'.' => true,
            b'%' => in_class(byte, self.item(at + 1)),
            b'[' => {
                self.spend((end - at) / 4);
                self.in_set(byte, at, end - 1)
            }
            item => item == byte,
        }
    }

    /// Matches the pattern from `at` on.
    unsafe fn rest(&mut self, place: usize, at: usize) -> Option<usize> {
        self.depth += 1;
        if self.depth > DEPTH_MAX || heap::of(self.lua).is_deep() {
            self.fail(c"pattern too complex");
        }
        let end = self.items(place, at);
        self.depth -= 1;
        end
    }

    unsafe fn items(&mut self, mut place: usize, mut at: usize) -> Option<usize> {
        loop {
            self.spend(1);
            match self.item(at) {
                0 => return Some(place),
                b'(' if self.item(at + 1) == b')' => {
                    return self.capture(place, at + 2, Capture::Place(place));
                }
                b'(' => return self.capture(place, at + 1, Capture::Open(place)),
                b')' => return self.close(place, at + 1),
                b'$' if self.item(at + 1) == 0 => {
                    return (place == self.text.len()).then_some(place);
                }
                b'%' => match self.item(at + 1) {
                    b'b' => {
                        place = self.balanced(place, at + 2)?;
                        at += 4;
                        continue;
                    }
                    b'f' => {
                        at = self.frontier(place, at + 2)?;
                        continue;
                    }
                    digit @ b'0'..=b'9' => {
                        place = self.captured_again(place, digit)?;
                        at += 2;
                        continue;
                    }
                    _ => {}
                },
                _ => {}
            }
            let end = self.class_end(at);
            match self.item(end) {
                b'?' => {
                    if self.single(place, at, end)
                        && let Some(found) = self.rest(place + 1, end + 1)
                    {
                        return Some(found);
                    }
                    at = end + 1;
                }
                b'*' => return self.most(place, at, end),
                b'+' => {
                    let one = self.single(place, at, end);
                    return if one {
                        self.most(place + 1, at, end)
                    } else {
                        None
                    };
                }
                b'-' => return self.fewest(place, at, end),
                _ => {
                    if !self.single(place, at, end) {
                        return None;
                    }
                    place += 1;
                    at = end;
                }
            }
        }
    }

    /// As many bytes of a class as there are, or else fewer.
    unsafe fn most(&mut self, place: usize, at: usize, end: usize) -> Option<usize> {
        let mut last = place;
        while self.single(last, at, end) {
            last += 1;
            self.spend(1);
        }
        loop {
            if let Some(found) = self.rest(last, end + 1) {
                return Some(found);
            }
            if last == place {
                return None;
            }
            last -= 1;
        }
    }

    /// As few bytes of a class as can be.
    unsafe fn fewest(&mut self, mut place: usize, at: usize, end: usize) -> Option<usize> {
        loop {
            if let Some(found) = self.rest(place, end + 1) {
                return Some(found);
            }
            if !self.single(place, at, end) {
                return None;
            }
            place += 1;
        }
    }

    unsafe fn capture(&mut self, place: usize, at: usize, capture: Capture) -> Option<usize> {
        if self.level >= CAPTURES_MAX {
            self.fail(c"too many captures");
        }
        self.captures[self.level] = capture;
        self.level += 1;
        let found = self.rest(place, at);
        if found.is_none() {
            self.level -= 1;
        }
        found
    }

    unsafe fn close(&mut self, place: usize, at: usize) -> Option<usize> {
        let open = |capture: &Capture| matches!(capture, Capture::Open(_));
        let Some(index) = self.captures[..self.level].iter().rposition(open) else {
            self.fail(c"invalid pattern capture");
        };
        let before = self.captures[index];
        if let Capture::Open(start) = before {
            self.captures[index] = Capture::Closed(start, place);
        }
        let found = self.rest(place, at);
        if found.is_none() {
            self.captures[index] = before;
        }
        found
    }

    /// Behind a pair of delimiters and what is between them.
    unsafe fn balanced(&mut self, place: usize, at: usize) -> Option<usize> {
        let (begin, end) = (self.item(at), self.item(at + 1));
        if begin == 0 || end == 0 {
            self.fail(c"unbalanced pattern");
        }
        if self.byte(place) != begin {
            return None;
        }
        let mut open = 1_usize;
        for (index, byte) in self.text.iter().enumerate().skip(place + 1) {
            self.spend(1);
            if *byte == end {
                open -= 1;
                if open == 0 {
                    return Some(index + 1);
                }
            } else if *byte == begin {
                open += 1;
            }
        }
        None
    }

    /// Behind the set of a frontier, if there is one at this place.
    unsafe fn frontier(&mut self, place: usize, at: usize) -> Option<usize> {
        if self.item(at) != b'[' {
            self.fail(c"missing '[' after '%%f' in pattern");
        }
        let end = self.class_end(at);
        self.spend((end - at) / 4);
        let before = if place == 0 { 0 } else { self.byte(place - 1) };
        let begins =
            !self.in_set(before, at, end - 1) && self.in_set(self.byte(place), at, end - 1);
        begins.then_some(end)
    }

    /// Behind the same text as a capture has.
    unsafe fn captured_again(&mut self, place: usize, digit: u8) -> Option<usize> {
        let index = usize::from(digit).checked_sub(usize::from(b'1'));
        let capture = index.and_then(|index| self.captures[..self.level].get(index).copied());
        let (start, end) = match capture {
            Some(Capture::Closed(start, end)) => (start, end),
            // Lua: its length is a huge one.
            Some(Capture::Place(_)) => return None,
            Some(Capture::Open(_)) | None => self.fail(c"invalid capture index"),
        };
        let same = self.text[place..].starts_with(&self.text[start..end]);
        self.spend((end - start) / BYTES_PER_STEP);
        same.then_some(place + (end - start))
    }

    /// Pushes a capture; the first of none is the whole match.
    unsafe fn push_capture(&mut self, index: usize, start: usize, end: usize) {
        match self.captures[..self.level].get(index).copied() {
            None if index == 0 => push(self.lua, &self.text[start..end]),
            None => self.fail(c"invalid capture index"),
            Some(Capture::Open(_)) => self.fail(c"unfinished capture"),
            Some(Capture::Place(at)) => ffi::lua_pushnumber(self.lua, (at + 1) as f64),
            Some(Capture::Closed(from, to)) => push(self.lua, &self.text[from..to]),
        }
    }

    /// Pushes all captures, the whole match if there are none.
    unsafe fn push_captures(&mut self, start: usize, end: usize) -> c_int {
        let count = self.level.max(1);
        self.push_some(count, start, end)
    }

    unsafe fn push_some(&mut self, count: usize, start: usize, end: usize) -> c_int {
        ffi::luaL_checkstack_(self.lua, count as c_int, c"too many captures".as_ptr());
        for index in 0..count {
            self.push_capture(index, start, end);
        }
        count as c_int
    }
}

/// Whether a byte is of the class of a letter; other letters are only themselves.
fn in_class(byte: u8, letter: u8) -> bool {
    let found = match letter.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => matches!(byte, b' ' | b'\t'..=b'\r'),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return letter == byte,
    };
    found == letter.is_ascii_lowercase()
}

/// The string that an argument is.
unsafe fn text_argument<'a>(lua: *mut lua_State, index: c_int) -> &'a [u8] {
    ffi::luaL_checklstring(lua, index, std::ptr::null_mut());
    bytes(lua, index).unwrap_or_default()
}

/// Lua sees patterns as strings of C.
fn up_to_zero(pattern: &[u8]) -> &[u8] {
    &pattern[..memchr::memchr(0, pattern).unwrap_or(pattern.len())]
}

pub(super) unsafe extern "C-unwind" fn string_find(lua: *mut lua_State) -> c_int {
    find(lua, true)
}

pub(super) unsafe extern "C-unwind" fn string_match(lua: *mut lua_State) -> c_int {
    find(lua, false)
}

unsafe fn find(lua: *mut lua_State, places: bool) -> c_int {
    const SPECIALS: &[u8] = b"^$*+?.([%-";
    let (text, given) = (text_argument(lua, 1), text_argument(lua, 2));
    let first = ffi::luaL_optinteger(lua, 3, 1) as i64;
    let len = text.len() as i64;
    let first = if first < 0 { first + len + 1 } else { first };
    let mut start = (first - 1).clamp(0, len) as usize;
    let pattern = up_to_zero(given);
    let is_plain = || !pattern.iter().any(|item| SPECIALS.contains(item));
    if places && (ffi::lua_toboolean(lua, 4) != 0 || is_plain()) {
        let found = memchr::memmem::find(&text[start..], given);
        let passed = found.map_or(text.len(), |at| start + at + given.len()) - start;
        api::spend(lua, passed / BYTES_PER_STEP);
        let Some(at) = found else {
            ffi::lua_pushnil(lua);
            return 1;
        };
        ffi::lua_pushnumber(lua, (start + at + 1) as f64);
        ffi::lua_pushnumber(lua, (start + at + given.len()) as f64);
        return 2;
    }
    let (anchored, pattern) = match pattern.split_first() {
        Some((b'^', rest)) => (true, rest),
        _ => (false, pattern),
    };
    let mut matcher = Matcher::new(lua, text, pattern);
    loop {
        if let Some(end) = matcher.match_at(start) {
            let count = if places {
                ffi::lua_pushnumber(lua, (start + 1) as f64);
                ffi::lua_pushnumber(lua, end as f64);
                2 + matcher.push_some(matcher.level, start, end)
            } else {
                matcher.push_captures(start, end)
            };
            matcher.settle();
            return count;
        }
        start += 1;
        if anchored || start > text.len() {
            matcher.settle();
            ffi::lua_pushnil(lua);
            return 1;
        }
    }
}

pub(super) unsafe extern "C-unwind" fn string_gmatch(lua: *mut lua_State) -> c_int {
    text_argument(lua, 1);
    text_argument(lua, 2);
    ffi::lua_settop(lua, 2);
    ffi::lua_pushnumber(lua, 0.0);
    ffi::lua_pushcclosure(lua, next_match, 3);
    1
}

/// Text, pattern and place of the next match are its upvalues.
unsafe extern "C-unwind" fn next_match(lua: *mut lua_State) -> c_int {
    let text = bytes(lua, ffi::lua_upvalueindex(1)).unwrap_or_default();
    let pattern = bytes(lua, ffi::lua_upvalueindex(2)).unwrap_or_default();
    let first = ffi::lua_tonumber(lua, ffi::lua_upvalueindex(3)) as usize;
    let mut matcher = Matcher::new(lua, text, up_to_zero(pattern));
    for start in first..=text.len() {
        if let Some(end) = matcher.match_at(start) {
            // After an empty match it goes on at the next byte.
            let next = if end == start { end + 1 } else { end };
            ffi::lua_pushnumber(lua, next as f64);
            ffi::lua_replace(lua, ffi::lua_upvalueindex(3));
            let count = matcher.push_captures(start, end);
            matcher.settle();
            return count;
        }
    }
    matcher.settle();
    0
}

pub(super) unsafe extern "C-unwind" fn string_gsub(lua: *mut lua_State) -> c_int {
    let (text, pattern) = (text_argument(lua, 1), up_to_zero(text_argument(lua, 2)));
    let kind = ffi::lua_type(lua, 3);
    let count_max = if ffi::lua_type(lua, 4) <= ffi::LUA_TNIL {
        text.len() as i64 + 1
    } else {
        i64::from(ffi::luaL_checkinteger(lua, 4) as i32)
    };
    if !matches!(
        kind,
        ffi::LUA_TNUMBER | ffi::LUA_TSTRING | ffi::LUA_TFUNCTION | ffi::LUA_TTABLE
    ) {
        return ffi::luaL_argerror(lua, 3, c"string/function/table expected".as_ptr());
    }
    let (anchored, pattern) = match pattern.split_first() {
        Some((b'^', rest)) => (true, rest),
        _ => (false, pattern),
    };
    let mut buffer = MaybeUninit::<luaL_Buffer>::uninit();
    let out = buffer.as_mut_ptr();
    ffi::luaL_buffinit(lua, out);
    let mut matcher = Matcher::new(lua, text, pattern);
    let (mut at, mut count) = (0, 0);
    while count < count_max {
        let found = matcher.match_at(at);
        if let Some(end) = found {
            count += 1;
            add_replacement(&mut matcher, out, kind, at, end);
        }
        match found {
            Some(end) if end > at => at = end,
            _ if at < text.len() => {
                ffi::luaL_addlstring(out, text[at..].as_ptr().cast(), 1);
                at += 1;
            }
            _ => break,
        }
        if anchored {
            break;
        }
    }
    matcher.spend(text.len() / BYTES_PER_STEP);
    matcher.settle();
    ffi::luaL_addlstring(out, text[at..].as_ptr().cast(), text.len() - at);
    ffi::luaL_pushresult(out);
    ffi::lua_pushnumber(lua, count as f64);
    2
}

/// Adds what stands for a match.
unsafe fn add_replacement(
    matcher: &mut Matcher<'_>,
    out: *mut luaL_Buffer,
    kind: c_int,
    start: usize,
    end: usize,
) {
    let lua = matcher.lua;
    match kind {
        ffi::LUA_TFUNCTION => {
            ffi::lua_pushvalue(lua, 3);
            let count = matcher.push_captures(start, end);
            ffi::lua_call(lua, count, 1);
        }
        ffi::LUA_TTABLE => {
            matcher.push_capture(0, start, end);
            ffi::lua_gettable(lua, 3);
        }
        _ => return add_template(matcher, out, start, end),
    }
    if ffi::lua_toboolean(lua, -1) == 0 {
        ffi::lua_pop(lua, 1);
        push(lua, &matcher.text[start..end]);
    } else if ffi::lua_isstring(lua, -1) == 0 {
        let name = ffi::lua_typename(lua, ffi::lua_type(lua, -1));
        ffi::luaL_error(lua, c"invalid replacement value (a %s)".as_ptr(), name);
    }
    ffi::luaL_addvalue(out);
}

/// Adds the third argument with its captures filled in.
unsafe fn add_template(matcher: &mut Matcher<'_>, out: *mut luaL_Buffer, start: usize, end: usize) {
    let template = bytes(matcher.lua, 3).unwrap_or_default();
    matcher.spend(template.len() / BYTES_PER_STEP);
    let mut rest = template;
    loop {
        let plain = memchr::memchr(b'%', rest).unwrap_or(rest.len());
        ffi::luaL_addlstring(out, rest.as_ptr().cast(), plain);
        if plain == rest.len() {
            return;
        }
        // Behind the end of a string there is a zero byte.
        let escaped = rest.get(plain + 1).copied().unwrap_or(0);
        match escaped {
            b'0' => {
                let text = &matcher.text[start..end];
                ffi::luaL_addlstring(out, text.as_ptr().cast(), text.len());
            }
            b'1'..=b'9' => {
                matcher.push_capture(usize::from(escaped - b'1'), start, end);
                ffi::luaL_addvalue(out);
            }
            other => ffi::luaL_addlstring(out, (&raw const other).cast(), 1),
        }
        rest = rest.get(plain + 2..).unwrap_or_default();
    }
}
