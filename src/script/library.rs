//! Libraries of functions: code that runs once, when it is loaded, and
//! registers functions that are called later.
//!
//! # Unsafe invariants
//! Those of `heap`. What owns something is in functions of its own that raise
//! nothing; those that Lua calls raise for them.
//!
//! SAFETY: whatever Lua calls here, it calls with the state that runs, which is
//! one of ours; the rest is called from there with the same state.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn)]

use std::collections::HashSet;
use std::ffi::c_int;

use mlua::ffi::{self, lua_State};

use super::heap::{self, bytes};
use super::state::set_functions;
use super::{api, shebang};
use crate::engine::functions::{NAME_RULE, NewFunction, is_name};
use crate::engine::scripts::ScriptFlags;
use crate::util::clock::Clock;

/// A library that is being loaded.
pub struct Load {
    /// The server's clock, which is lent until loading ends.
    pub clock: *mut Clock,
    /// When its time is over, clock nanoseconds.
    pub deadline_ns: u64,
    /// What it has registered.
    pub functions: Vec<NewFunction>,
    names: HashSet<Vec<u8>, ahash::RandomState>,
}

impl Load {
    /// One that has registered nothing.
    pub fn new(clock: *mut Clock, deadline_ns: u64) -> Load {
        Load {
            clock,
            deadline_ns,
            functions: Vec::new(),
            names: HashSet::default(),
        }
    }
}

/// Pushes the table that libraries know as `redis` while they are loaded.
pub(super) unsafe fn open(lua: *mut lua_State) {
    ffi::lua_createtable(lua, 0, 0);
    set_functions(lua, &[(c"register_function", register_function)]);
    api::set_common(lua);
}

/// Whether a library takes too long to load.
pub(super) unsafe fn is_late(lua: *mut lua_State) -> bool {
    let load = heap::of(lua).load.as_ref();
    load.is_some_and(|load| (*load.clock).now_ns() > load.deadline_ns)
}

/// What a call gives of a function. Texts are those of values on the stack.
struct Given<'a> {
    name: &'a [u8],
    description: Option<&'a [u8]>,
    flags: ScriptFlags,
    /// Where its code is on the stack.
    callback: c_int,
}

unsafe extern "C-unwind" fn register_function(lua: *mut lua_State) -> c_int {
    if heap::of(lua).load.is_null() {
        let text = "redis.register_function can only be called on FUNCTION LOAD command";
        return api::raise(lua, text);
    }
    api::look_at_time(lua);
    let given = match ffi::lua_gettop(lua) {
        1 => named(lua),
        2 => positional(lua),
        _ => Err("wrong number of arguments to redis.register_function"),
    };
    if let Err(text) = given.and_then(|given| keep(lua, given)) {
        return api::raise(lua, text);
    }
    0
}

/// The string at an index, or the number as a string.
unsafe fn string<'a>(lua: *mut lua_State, index: c_int) -> Option<&'a [u8]> {
    let is_string = ffi::lua_isstring(lua, index) != 0;
    is_string.then(|| bytes(lua, index)).flatten()
}

unsafe fn positional<'a>(lua: *mut lua_State) -> Result<Given<'a>, &'static str> {
    let Some(name) = string(lua, 1) else {
        return Err("first argument to redis.register_function must be a string");
    };
    if ffi::lua_type(lua, 2) != ffi::LUA_TFUNCTION {
        return Err("second argument to redis.register_function must be a function");
    }
    Ok(Given {
        name,
        description: None,
        flags: DECLARED,
        callback: 2,
    })
}

const DECLARED: ScriptFlags = ScriptFlags {
    declared: true,
    no_writes: false,
    allow_oom: false,
    allow_stale: false,
    no_cluster: false,
    allow_cross_slot: false,
};

unsafe fn named<'a>(lua: *mut lua_State) -> Result<Given<'a>, &'static str> {
    /// Where values are kept until all were seen.
    const NAME: c_int = 2;
    const DESCRIPTION: c_int = 3;
    const CALLBACK: c_int = 4;
    if ffi::lua_type(lua, 1) != ffi::LUA_TTABLE {
        return Err(
            "calling redis.register_function with a single argument is only applicable to Lua \
             table (representing named arguments).",
        );
    }
    let (mut name, mut description, mut flags) = (None, None, DECLARED);
    ffi::lua_settop(lua, CALLBACK);
    ffi::lua_pushnil(lua);
    while ffi::lua_next(lua, 1) != 0 {
        if ffi::lua_isstring(lua, -2) == 0 {
            return Err("named argument key given to redis.register_function is not a string");
        }
        // A number would become a string, which is not how to go on from it.
        let is_text = ffi::lua_type(lua, -2) == ffi::LUA_TSTRING;
        let key = if is_text { bytes(lua, -2) } else { None };
        let key = c_text(key.unwrap_or_default());
        if key.eq_ignore_ascii_case(b"function_name") {
            ffi::lua_replace(lua, NAME);
            name = string(lua, NAME);
            if name.is_none() {
                return Err(
                    "function_name argument given to redis.register_function must be a string",
                );
            }
        } else if key.eq_ignore_ascii_case(b"description") {
            ffi::lua_replace(lua, DESCRIPTION);
            description = string(lua, DESCRIPTION);
            if description.is_none() {
                return Err(
                    "description argument given to redis.register_function must be a string",
                );
            }
        } else if key.eq_ignore_ascii_case(b"callback") {
            if ffi::lua_type(lua, -1) != ffi::LUA_TFUNCTION {
                return Err(
                    "callback argument given to redis.register_function must be a function",
                );
            }
            ffi::lua_replace(lua, CALLBACK);
        } else if key.eq_ignore_ascii_case(b"flags") {
            if ffi::lua_type(lua, -1) != ffi::LUA_TTABLE {
                return Err(
                    "flags argument to redis.register_function must be a table representing \
                     function flags",
                );
            }
            flags = flags_on_top(lua).ok_or("unknown flag given")?;
            ffi::lua_pop(lua, 1);
        } else {
            return Err("unknown argument given to redis.register_function");
        }
    }
    let name = name.ok_or("redis.register_function must get a function name argument")?;
    if ffi::lua_type(lua, CALLBACK) != ffi::LUA_TFUNCTION {
        return Err("redis.register_function must get a callback argument");
    }
    Ok(Given {
        name,
        description,
        flags,
        callback: CALLBACK,
    })
}

/// Up to the first zero byte: Redis compares such texts as C strings.
fn c_text(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The flags in the table on the top; none: one is not known.
unsafe fn flags_on_top(lua: *mut lua_State) -> Option<ScriptFlags> {
    let mut flags = DECLARED;
    for index in 1.. {
        ffi::lua_rawgeti_(lua, -1, index);
        if ffi::lua_type(lua, -1) == ffi::LUA_TNIL {
            ffi::lua_pop(lua, 1);
            break;
        }
        let flag = c_text(string(lua, -1)?).to_ascii_lowercase();
        let known = shebang::set_flag(&mut flags, &flag);
        drop(flag);
        ffi::lua_pop(lua, 1);
        if !known {
            return None;
        }
    }
    Some(flags)
}

/// Adds a function to the library that is being loaded.
///
/// # Safety
/// Raises nothing: it runs unguarded.
unsafe fn keep(lua: *mut lua_State, given: Given<'_>) -> Result<(), &'static str> {
    let heap = heap::of(lua);
    // SAFETY: the invariant of the heap about it.
    let load = unsafe { &mut *heap.load };
    if !is_name(given.name) {
        return Err(NAME_RULE);
    }
    if !load.names.insert(given.name.to_vec()) {
        return Err("Function already exists in the library");
    }
    let guarded = std::mem::replace(&mut heap.guarded, false);
    ffi::lua_pushvalue(lua, given.callback);
    let reference = ffi::luaL_ref(lua, ffi::LUA_REGISTRYINDEX);
    heap::of(lua).guarded = guarded;
    load.functions.push(NewFunction {
        name: given.name.to_vec(),
        description: given.description.map(<[u8]>::to_vec),
        flags: given.flags,
        reference,
    });
    Ok(())
}
