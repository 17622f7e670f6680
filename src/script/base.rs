//! Functions of the language that are not safe as Lua 5.1 has them: those that
//! get at what scripts share, that swallow a kill, that crash or take for ever
//! when their arguments are chosen for it.
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
use super::heap::{self, BYTES_MAX, Function, Originals, bytes, push};
use super::pattern;
use super::state::{compile, push_real};

/// Longest chunk, bytes.
pub const CHUNK_BYTES_MAX: usize = 256 << 20;
/// Longest chunk that a script may compile, bytes.
const LOADED_BYTES_MAX: usize = 1 << 20;
/// Steps that a call of a coroutine counts as.
const COROUTINE_WORK: usize = 256;
/// Elements that `table.insert` may move beyond those that there are.
const EMPTY_MOVED_MAX: i64 = 1 << 20;
/// Tables from here on take long to sort.
const LONG_SORT: usize = 1 << 12;

/// Functions of the globals.
pub(super) const GLOBALS: &[(&CStr, Function)] = &[
    (c"collectgarbage", collectgarbage),
    (c"getmetatable", getmetatable),
    (c"load", load),
    (c"loadstring", loadstring),
    (c"next", next),
    (c"pcall", pcall),
    (c"rawget", rawget),
    (c"rawset", rawset),
    (c"setmetatable", setmetatable),
    (c"unpack", unpack),
    (c"xpcall", xpcall),
];

/// Functions of the libraries.
pub(super) const LIBRARIES: &[(&CStr, &[(&CStr, Function)])] = &[
    (
        c"string",
        &[
            (c"find", pattern::string_find),
            (c"gfind", pattern::string_gmatch),
            (c"gmatch", pattern::string_gmatch),
            (c"gsub", pattern::string_gsub),
            (c"match", pattern::string_match),
            (c"rep", string_rep),
        ],
    ),
    (
        c"table",
        &[
            (c"insert", table_insert),
            (c"remove", table_remove),
            (c"sort", table_sort),
        ],
    ),
    (c"math", &[(c"random", random), (c"randomseed", randomseed)]),
    (
        c"coroutine",
        &[(c"resume", coroutine_resume), (c"wrap", coroutine_wrap)],
    ),
];

unsafe fn originals(lua: *mut lua_State) -> Originals {
    heap::of(lua)
        .originals
        .expect("set when the state was opened")
}

/// `__newindex` of locked tables.
pub(super) unsafe extern "C-unwind" fn refuse_write(lua: *mut lua_State) -> c_int {
    ffi::luaL_error(lua, c"Attempt to modify a readonly table".as_ptr())
}

/// The same, raised by a function: without its place.
unsafe fn raise_readonly(lua: *mut lua_State) -> ! {
    push(lua, b"Attempt to modify a readonly table");
    ffi::lua_error(lua)
}

unsafe fn check_writable(lua: *mut lua_State) {
    if heap::of(lua).is_locked(ffi::lua_topointer(lua, 1)) {
        raise_readonly(lua);
    }
}

/// `__index` of the globals.
pub(super) unsafe extern "C-unwind" fn no_such_global(lua: *mut lua_State) -> c_int {
    if ffi::lua_gettop(lua) != 2 {
        let text = c"Wrong number of arguments to luaProtectedTableError";
        return ffi::luaL_error(lua, text.as_ptr());
    }
    if ffi::lua_isstring(lua, -1) == 0 {
        let text = c"Second argument to luaProtectedTableError must be a string or number";
        return ffi::luaL_error(lua, text.as_ptr());
    }
    ffi::luaL_error(
        lua,
        c"Script attempted to access nonexistent global variable '%s'".as_ptr(),
        ffi::lua_tostring(lua, -1),
    )
}

/// Bytes that the collector goes through in the time of a step.
const COLLECTED_BYTES_PER_STEP: usize = 64;

/// One call of it may take long.
unsafe extern "C-unwind" fn collectgarbage(lua: *mut lua_State) -> c_int {
    let option = ffi::luaL_optlstring(lua, 1, c"collect".as_ptr(), std::ptr::null_mut());
    let value = ffi::luaL_optinteger(lua, 2, 0);
    let value = value.clamp(0, 1 << 20) as c_int;
    let steps = heap::of(lua).used / COLLECTED_BYTES_PER_STEP;
    match CStr::from_ptr(option).to_bytes() {
        b"collect" => {
            api::spend(lua, steps);
            let left = ffi::lua_gc(lua, ffi::LUA_GCCOLLECT, 0);
            ffi::lua_pushnumber(lua, f64::from(left));
        }
        b"count" => {
            let kib = ffi::lua_gc(lua, ffi::LUA_GCCOUNT, 0);
            let rest = ffi::lua_gc(lua, ffi::LUA_GCCOUNTB, 0);
            ffi::lua_pushnumber(lua, f64::from(kib) + f64::from(rest) / 1024.0);
        }
        b"step" => {
            api::spend(lua, steps);
            let ended = ffi::lua_gc(lua, ffi::LUA_GCSTEP, value);
            ffi::lua_pushboolean(lua, ended);
        }
        // How the collector works is not for scripts to change.
        b"stop" | b"restart" => ffi::lua_pushnumber(lua, 0.0),
        b"setpause" | b"setstepmul" => ffi::lua_pushnumber(lua, 200.0),
        _ => {
            let text = ffi::lua_pushfstring(lua, c"invalid option '%s'".as_ptr(), option);
            return ffi::luaL_argerror(lua, 1, text);
        }
    }
    1
}

unsafe extern "C-unwind" fn getmetatable(lua: *mut lua_State) -> c_int {
    ffi::luaL_checkany(lua, 1);
    if ffi::lua_type(lua, 1) == ffi::LUA_TSTRING {
        let name = c"string_metatable".as_ptr();
        ffi::lua_getfield_(lua, ffi::LUA_REGISTRYINDEX, name);
        return 1;
    }
    let table = ffi::lua_topointer(lua, 1);
    if ffi::lua_type(lua, 1) == ffi::LUA_TTABLE && heap::of(lua).is_locked(table) {
        // Of the real tables, those have one in which what is missing is an error.
        if push_real(lua, 1) && ffi::lua_getmetatable(lua, -1) != 0 {
            let name = c"globals_metatable".as_ptr();
            ffi::lua_getfield_(lua, ffi::LUA_REGISTRYINDEX, name);
        } else {
            ffi::lua_pushnil(lua);
        }
        return 1;
    }
    if ffi::lua_getmetatable(lua, 1) == 0 {
        ffi::lua_pushnil(lua);
        return 1;
    }
    ffi::luaL_getmetafield_(lua, 1, c"__metatable".as_ptr());
    1
}

unsafe extern "C-unwind" fn setmetatable(lua: *mut lua_State) -> c_int {
    check_writable(lua);
    (originals(lua).setmetatable)(lua)
}

unsafe extern "C-unwind" fn rawset(lua: *mut lua_State) -> c_int {
    check_writable(lua);
    (originals(lua).rawset)(lua)
}

unsafe extern "C-unwind" fn rawget(lua: *mut lua_State) -> c_int {
    ffi::luaL_checktype(lua, 1, ffi::LUA_TTABLE);
    ffi::luaL_checkany(lua, 2);
    ffi::lua_settop(lua, 2);
    if push_real(lua, 1) {
        ffi::lua_replace(lua, 1);
    }
    ffi::lua_rawget_(lua, 1);
    1
}

unsafe extern "C-unwind" fn next(lua: *mut lua_State) -> c_int {
    ffi::luaL_checktype(lua, 1, ffi::LUA_TTABLE);
    ffi::lua_settop(lua, 2);
    if push_real(lua, 1) {
        ffi::lua_replace(lua, 1);
    }
    if ffi::lua_next(lua, 1) != 0 {
        return 2;
    }
    ffi::lua_pushnil(lua);
    1
}

/// Sets `pairs` in the globals on the top: it knows the `next` of the language.
pub(super) unsafe fn set_pairs(lua: *mut lua_State) {
    ffi::lua_getfield_(lua, -1, c"next".as_ptr());
    ffi::lua_pushcclosure(lua, pairs, 1);
    ffi::lua_setfield(lua, -2, c"pairs".as_ptr());
}

unsafe extern "C-unwind" fn pairs(lua: *mut lua_State) -> c_int {
    ffi::luaL_checktype(lua, 1, ffi::LUA_TTABLE);
    ffi::lua_pushvalue(lua, ffi::lua_upvalueindex(1));
    ffi::lua_pushvalue(lua, 1);
    ffi::lua_pushnil(lua);
    3
}

/// The function or nil and the error, from the chunk at an index.
unsafe fn load_chunk(lua: *mut lua_State, index: c_int, name: *const std::ffi::c_char) -> c_int {
    let chunk = bytes(lua, index).unwrap_or_default();
    if chunk.len() > LOADED_BYTES_MAX {
        ffi::lua_pushnil(lua);
        push(lua, b"chunk too long");
        return 2;
    }
    if compile(lua, chunk, CStr::from_ptr(name)) {
        return 1;
    }
    ffi::lua_pushnil(lua);
    ffi::lua_insert(lua, -2);
    2
}

unsafe extern "C-unwind" fn loadstring(lua: *mut lua_State) -> c_int {
    let chunk = ffi::luaL_checklstring(lua, 1, std::ptr::null_mut());
    let name = ffi::luaL_optlstring(lua, 2, chunk, std::ptr::null_mut());
    load_chunk(lua, 1, name)
}

unsafe extern "C-unwind" fn load(lua: *mut lua_State) -> c_int {
    let name = ffi::luaL_optlstring(lua, 2, c"=(load)".as_ptr(), std::ptr::null_mut());
    ffi::luaL_checktype(lua, 1, ffi::LUA_TFUNCTION);
    ffi::lua_settop(lua, 2);
    push(lua, b"");
    loop {
        ffi::lua_pushvalue(lua, 1);
        ffi::lua_call(lua, 0, 1);
        if ffi::lua_type(lua, -1) == ffi::LUA_TNIL {
            break;
        }
        if ffi::lua_isstring(lua, -1) == 0 {
            ffi::lua_pushnil(lua);
            push(lua, b"reader function must return a string");
            return 2;
        }
        if ffi::lua_objlen(lua, -1) == 0 {
            break;
        }
        ffi::lua_concat(lua, 2);
        if ffi::lua_objlen(lua, -1) > LOADED_BYTES_MAX {
            break;
        }
    }
    ffi::lua_settop(lua, 3);
    load_chunk(lua, 3, name)
}

unsafe fn is_killed(lua: *mut lua_State) -> bool {
    heap::run(lua).is_some_and(|run| (*run.server).scripts.kill)
}

/// Raises the end of the script again where it was caught.
unsafe fn pass_kill(lua: *mut lua_State) {
    if is_killed(lua) {
        api::raise_kill(lua);
    }
}

/// Redis: of an error of its own only the text is given, as in earlier versions.
unsafe extern "C-unwind" fn pcall(lua: *mut lua_State) -> c_int {
    ffi::luaL_checkany(lua, 1);
    let args = ffi::lua_gettop(lua) - 1;
    ffi::lua_pushboolean(lua, 1);
    ffi::lua_insert(lua, 1);
    if ffi::lua_pcall(lua, args, ffi::LUA_MULTRET, 0) != 0 {
        heap::of(lua).current = lua;
        pass_kill(lua);
        ffi::lua_remove(lua, 1);
        if ffi::lua_type(lua, -1) == ffi::LUA_TTABLE {
            push(lua, b"err");
            ffi::lua_rawget_(lua, -2);
            if ffi::lua_isstring(lua, -1) != 0 {
                ffi::lua_replace(lua, -2);
            }
            // Redis: else the field is left as a third result.
        }
        ffi::lua_pushboolean(lua, 0);
        ffi::lua_insert(lua, 1);
    }
    ffi::lua_gettop(lua)
}

/// Calls the function of a script that handles an error; not for its end, which
/// the hook raises: nothing would interrupt that function then.
unsafe extern "C-unwind" fn handle_error(lua: *mut lua_State) -> c_int {
    ffi::lua_settop(lua, 1);
    if is_killed(lua) {
        return 1;
    }
    ffi::lua_pushvalue(lua, ffi::lua_upvalueindex(1));
    ffi::lua_insert(lua, 1);
    ffi::lua_call(lua, 1, 1);
    1
}

unsafe extern "C-unwind" fn xpcall(lua: *mut lua_State) -> c_int {
    ffi::luaL_checkany(lua, 2);
    ffi::lua_settop(lua, 2);
    // What is no function is an error in the handling of errors.
    if ffi::lua_type(lua, 2) == ffi::LUA_TFUNCTION {
        ffi::lua_pushcclosure(lua, handle_error, 1);
    }
    ffi::lua_insert(lua, 1);
    // Results may leave no place for more.
    ffi::lua_pushboolean(lua, 1);
    ffi::lua_insert(lua, 2);
    if ffi::lua_pcall(lua, 0, ffi::LUA_MULTRET, 1) != 0 {
        heap::of(lua).current = lua;
        pass_kill(lua);
        ffi::lua_pushboolean(lua, 0);
        ffi::lua_replace(lua, 2);
    }
    ffi::lua_remove(lua, 1);
    ffi::lua_gettop(lua)
}

unsafe extern "C-unwind" fn unpack(lua: *mut lua_State) -> c_int {
    ffi::luaL_checktype(lua, 1, ffi::LUA_TTABLE);
    let first = int(ffi::luaL_optinteger(lua, 2, 1));
    let last = if ffi::lua_type(lua, 3) <= ffi::LUA_TNIL {
        ffi::lua_objlen(lua, 1) as i64
    } else {
        int(ffi::luaL_checkinteger(lua, 3))
    };
    if first > last {
        return 0;
    }
    let count = c_int::try_from(last - first + 1).unwrap_or(c_int::MAX);
    if count >= 1_000_000 || ffi::lua_checkstack(lua, count) == 0 {
        return ffi::luaL_error(lua, c"too many results to unpack".as_ptr());
    }
    for index in first..=last {
        ffi::lua_rawgeti_(lua, 1, index as c_int);
    }
    count
}

/// As C makes an `int` of it.
fn int(number: i64) -> i64 {
    i64::from(number as i32)
}

unsafe extern "C-unwind" fn string_rep(lua: *mut lua_State) -> c_int {
    let mut len = 0;
    ffi::luaL_checklstring(lua, 1, &mut len);
    let count = int(ffi::luaL_checkinteger(lua, 2));
    if len == 0 || count <= 0 {
        push(lua, b"");
        return 1;
    }
    if (count as usize)
        .checked_mul(len)
        .is_none_or(|bytes| bytes > BYTES_MAX)
    {
        return ffi::luaL_error(lua, c"not enough memory".as_ptr());
    }
    api::spend(lua, count as usize * len / 16);
    (originals(lua).rep)(lua)
}

unsafe extern "C-unwind" fn table_insert(lua: *mut lua_State) -> c_int {
    ffi::luaL_checktype(lua, 1, ffi::LUA_TTABLE);
    check_writable(lua);
    let end = length(lua) + 1;
    let position = match ffi::lua_gettop(lua) {
        2 => end,
        3 => int(ffi::luaL_checkinteger(lua, 2)),
        _ => return ffi::luaL_error(lua, c"wrong number of arguments to 'insert'".as_ptr()),
    };
    if position < -EMPTY_MOVED_MAX {
        return ffi::luaL_argerror(lua, 2, c"position out of bounds".as_ptr());
    }
    for index in (position + 1..=end).rev() {
        move_element(lua, index - 1, index);
    }
    ffi::lua_rawseti_(lua, 1, position as c_int);
    0
}

unsafe extern "C-unwind" fn table_remove(lua: *mut lua_State) -> c_int {
    ffi::luaL_checktype(lua, 1, ffi::LUA_TTABLE);
    check_writable(lua);
    let end = length(lua);
    let position = int(ffi::luaL_optinteger(lua, 2, end as _));
    if !(1..=end).contains(&position) {
        return 0;
    }
    ffi::lua_rawgeti_(lua, 1, position as c_int);
    for index in position..end {
        move_element(lua, index + 1, index);
    }
    ffi::lua_pushnil(lua);
    ffi::lua_rawseti_(lua, 1, end as c_int);
    1
}

/// Elements of the table that is the first argument.
unsafe fn length(lua: *mut lua_State) -> i64 {
    int(ffi::lua_objlen(lua, 1) as i64)
}

unsafe fn move_element(lua: *mut lua_State, from: i64, to: i64) {
    ffi::lua_rawgeti_(lua, 1, from as c_int);
    ffi::lua_rawseti_(lua, 1, to as c_int);
    api::spend(lua, 2);
}

unsafe extern "C-unwind" fn table_sort(lua: *mut lua_State) -> c_int {
    check_writable(lua);
    // Without a function of the script nothing would look at the time.
    if ffi::lua_type(lua, 2) <= ffi::LUA_TNIL
        && ffi::lua_type(lua, 1) == ffi::LUA_TTABLE
        && ffi::lua_objlen(lua, 1) > LONG_SORT
    {
        ffi::lua_settop(lua, 1);
        ffi::lua_pushcclosure(lua, is_less, 0);
    }
    (originals(lua).sort)(lua)
}

/// What `table.sort` compares with by itself.
unsafe extern "C-unwind" fn is_less(lua: *mut lua_State) -> c_int {
    api::spend(lua, 16);
    let less = ffi::lua_lessthan(lua, 1, 2);
    ffi::lua_pushboolean(lua, less);
    1
}

/// Redis: the same numbers for the same seed wherever it runs.
unsafe extern "C-unwind" fn random(lua: *mut lua_State) -> c_int {
    const MAX: f64 = i32::MAX as f64;
    if heap::run(lua).is_none() {
        let text = c"math.random can only be called inside a script invocation";
        return ffi::luaL_error(lua, text.as_ptr());
    }
    let heap = heap::of(lua);
    heap.random = heap.random.wrapping_mul(0x5deece66d).wrapping_add(0xb) & ((1 << 48) - 1);
    let fraction = ((heap.random >> 17) % i32::MAX as u64) as f64 / MAX;
    let number = match ffi::lua_gettop(lua) {
        0 => fraction,
        1 => {
            let upper = int(ffi::luaL_checkinteger(lua, 1));
            if upper < 1 {
                return ffi::luaL_argerror(lua, 1, c"interval is empty".as_ptr());
            }
            (fraction * upper as f64).floor() + 1.0
        }
        2 => {
            let lower = int(ffi::luaL_checkinteger(lua, 1));
            let upper = int(ffi::luaL_checkinteger(lua, 2));
            if lower > upper {
                return ffi::luaL_argerror(lua, 2, c"interval is empty".as_ptr());
            }
            // Redis: the width is an `int`.
            let width = int(upper - lower + 1);
            (fraction * width as f64).floor() + lower as f64
        }
        _ => return ffi::luaL_error(lua, c"wrong number of arguments".as_ptr()),
    };
    ffi::lua_pushnumber(lua, number);
    1
}

unsafe extern "C-unwind" fn randomseed(lua: *mut lua_State) -> c_int {
    if heap::run(lua).is_none() {
        let text = c"math.randomseed can only be called inside a script invocation";
        return ffi::luaL_error(lua, text.as_ptr());
    }
    let seed = ffi::luaL_checkinteger(lua, 1) as i32;
    heap::of(lua).random = heap::seed(seed);
    0
}

/// Resumes the coroutine that is the first argument. With too many values it
/// raises an error in the one that calls: whatever catches that says that this
/// one runs again.
unsafe fn resume(lua: *mut lua_State) -> c_int {
    api::spend(lua, COROUTINE_WORK);
    let coroutine = ffi::lua_tothread(lua, 1);
    if coroutine.is_null() {
        return (originals(lua).resume)(lua);
    }
    let before = std::mem::replace(&mut heap::of(lua).current, coroutine);
    let results = (originals(lua).resume)(lua);
    heap::of(lua).current = before;
    pass_kill(lua);
    results
}

unsafe extern "C-unwind" fn coroutine_resume(lua: *mut lua_State) -> c_int {
    resume(lua)
}

unsafe extern "C-unwind" fn coroutine_wrap(lua: *mut lua_State) -> c_int {
    if ffi::lua_type(lua, 1) != ffi::LUA_TFUNCTION || ffi::lua_iscfunction(lua, 1) != 0 {
        return ffi::luaL_argerror(lua, 1, c"Lua function expected".as_ptr());
    }
    let coroutine = ffi::lua_newthread(lua);
    ffi::lua_pushvalue(lua, 1);
    ffi::lua_xmove(lua, coroutine, 1);
    ffi::lua_pushcclosure(lua, wrapped, 1);
    1
}

/// Resumes the coroutine that it belongs to, and passes on its errors.
unsafe extern "C-unwind" fn wrapped(lua: *mut lua_State) -> c_int {
    let args = ffi::lua_gettop(lua);
    ffi::lua_pushvalue(lua, ffi::lua_upvalueindex(1));
    ffi::lua_insert(lua, 1);
    let results = resume(lua);
    debug_assert!(args >= 0 && results >= 1);
    if ffi::lua_toboolean(lua, -results) == 0 {
        if ffi::lua_type(lua, -1) == ffi::LUA_TSTRING {
            ffi::luaL_where(lua, 1);
            ffi::lua_insert(lua, -2);
            ffi::lua_concat(lua, 2);
        }
        ffi::lua_error(lua);
    }
    results - 1
}
