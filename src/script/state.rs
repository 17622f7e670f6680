//! A Lua state in which no script can change what another one sees: all tables
//! that scripts share are reached through empty ones in front of them, whose
//! metatable reads from the real one and refuses writes.
//!
//! # Unsafe invariants
//! Those of `heap`. Opening a state happens inside of a protected call.
//!
//! SAFETY: whatever Lua calls here, it calls with the state that runs, which is
//! one of ours; the rest is called from there with the same state.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn)]

use std::ffi::{CStr, c_int, c_void};

use mlua::ffi::{self, lua_State};

use super::heap::{self, Function, Heap, Originals, Purpose, push};
use super::{api, base, bit, cjson, cmsgpack, library, packing};

/// What lies at the bottom of the stack of every state.
pub mod bottom {
    use std::ffi::c_int;
    /// The table of the globals.
    pub const GLOBALS: c_int = 1;
    /// The function that adds to an error where it came from.
    pub const ON_ERROR: c_int = 2;
    /// The empty table in front of the globals.
    pub const LOCKED_GLOBALS: c_int = 3;
    /// The names of the globals that every script finds set.
    pub const KEYS: c_int = 4;
    /// See [`KEYS`].
    pub const ARGV: c_int = 5;
    /// So many values are these.
    pub const COUNT: c_int = 5;
}

/// Pushes a library.
type Open = unsafe fn(*mut lua_State);

/// Tables of the globals that scripts share.
const LIBRARIES: &[&CStr] = &[
    c"string",
    c"table",
    c"math",
    c"coroutine",
    c"redis",
    c"cjson",
    c"cmsgpack",
    c"struct",
    c"bit",
];

/// A state with its memory. Whoever has it is the only one that uses it.
pub struct Instance {
    /// The state.
    pub lua: *mut lua_State,
    /// Its memory.
    pub heap: *mut Heap,
}

// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Instance {}

impl Instance {
    /// A state in which nothing has run.
    ///
    /// # Panics
    /// When there is no memory for it.
    pub fn new(purpose: Purpose) -> Instance {
        let heap = Box::into_raw(Box::new(Heap::new(purpose)));
        // SAFETY: the heap is leaked until the state is closed.
        let lua = unsafe { open(heap) };
        assert!(!lua.is_null(), "memory for the interpreter of scripts");
        Instance { lua, heap }
    }

    /// Bytes of all that is in it.
    pub fn used_bytes(&self) -> usize {
        // SAFETY: the heap lives as long as this.
        unsafe { (*self.heap).used }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: nothing runs in the state; the heap was leaked for it.
        unsafe {
            ffi::lua_close(self.lua);
            drop(Box::from_raw(self.heap));
        }
    }
}

/// Opens a state on a heap; null when there is no memory.
///
/// # Safety
/// The heap stays where it is until the state is closed.
unsafe fn open(heap: *mut Heap) -> *mut lua_State {
    let lua = ffi::lua_newstate(heap::allocate, heap.cast());
    if lua.is_null() {
        return lua;
    }
    if ffi::lua_cpcall(lua, fill, std::ptr::null_mut()) != 0 {
        ffi::lua_close(lua);
        return std::ptr::null_mut();
    }
    // What filling has left in the registry goes to the bottom of the stack.
    ffi::lua_settop(lua, 0);
    for name in [c"globals", c"on_error", c"locked_globals"] {
        ffi::lua_getfield_(lua, ffi::LUA_REGISTRYINDEX, name.as_ptr());
    }
    push(lua, b"KEYS");
    push(lua, b"ARGV");
    api::set_hook(lua);
    (*heap).current = lua;
    lua
}

unsafe fn open_library(lua: *mut lua_State, name: &CStr, open: Function) {
    ffi::lua_pushcclosure(lua, open, 0);
    ffi::lua_pushstring_(lua, name.as_ptr());
    ffi::lua_call(lua, 1, 0);
}

/// Sets functions of the table on the top.
pub(super) unsafe fn set_functions(lua: *mut lua_State, functions: &[(&CStr, Function)]) {
    for (name, function) in functions {
        ffi::lua_pushcclosure(lua, *function, 0);
        ffi::lua_setfield(lua, -2, name.as_ptr());
    }
}

unsafe extern "C-unwind" fn fill(lua: *mut lua_State) -> c_int {
    open_library(lua, c"", ffi::luaopen_base);
    open_library(lua, c"table", ffi::luaopen_table);
    open_library(lua, c"string", ffi::luaopen_string);
    open_library(lua, c"math", ffi::luaopen_math);
    heap::of(lua).originals = Some(originals(lua));
    // Redis has no environments either.
    for name in [
        c"dofile",
        c"getfenv",
        c"loadfile",
        c"newproxy",
        c"print",
        c"setfenv",
    ] {
        ffi::lua_pushnil(lua);
        ffi::lua_setglobal(lua, name.as_ptr());
    }
    ffi::lua_pushvalue(lua, ffi::LUA_GLOBALSINDEX);
    set_functions(lua, base::GLOBALS);
    base::set_pairs(lua);
    for (library, functions) in base::LIBRARIES {
        ffi::lua_getfield_(lua, -1, library.as_ptr());
        set_functions(lua, functions);
        ffi::lua_pop(lua, 1);
    }

    let libraries: [(&CStr, Open); 5] = [
        (c"redis", api::open),
        (c"cjson", cjson::open),
        (c"cmsgpack", cmsgpack::open),
        (c"struct", packing::open),
        (c"bit", bit::open),
    ];
    for (name, open) in libraries {
        open(lua);
        ffi::lua_setfield(lua, -2, name.as_ptr());
    }
    ffi::lua_pushcclosure(lua, api::on_error, 0);
    ffi::lua_pushvalue(lua, -1);
    ffi::lua_setfield(lua, ffi::LUA_REGISTRYINDEX, c"on_error".as_ptr());
    let purpose = heap::of(lua).purpose;
    match purpose {
        Purpose::Scripts => ffi::lua_setfield(lua, -2, c"__redis__err__handler".as_ptr()),
        Purpose::Functions => ffi::lua_pop(lua, 1),
    }
    lock_all(lua);
    if purpose == Purpose::Functions {
        keep_library_globals(lua);
    }
    0
}

unsafe fn originals(lua: *mut lua_State) -> Originals {
    let function = |library: &CStr, name: &CStr| {
        ffi::lua_getfield_(lua, ffi::LUA_GLOBALSINDEX, library.as_ptr());
        ffi::lua_getfield_(lua, -1, name.as_ptr());
        let function = ffi::lua_tocfunction(lua, -1);
        ffi::lua_pop(lua, 2);
        function.expect("the library has this function")
    };
    Originals {
        rep: function(c"string", c"rep"),
        sort: function(c"table", c"sort"),
        resume: function(c"coroutine", c"resume"),
        rawset: function(c"_G", c"rawset"),
        setmetatable: function(c"_G", c"setmetatable"),
    }
}

/// Puts locked tables in front of all that scripts share. The globals are on
/// the top, and are taken off.
unsafe fn lock_all(lua: *mut lua_State) {
    for name in LIBRARIES {
        ffi::lua_getfield_(lua, -1, name.as_ptr());
        lock(lua);
        ffi::lua_setfield(lua, -2, name.as_ptr());
    }
    // What scripts see as the metatable of strings; the real one goes the short way.
    ffi::lua_createtable(lua, 0, 1);
    ffi::lua_getfield_(lua, -2, c"string".as_ptr());
    ffi::lua_setfield(lua, -2, c"__index".as_ptr());
    lock(lua);
    ffi::lua_setfield(lua, ffi::LUA_REGISTRYINDEX, c"string_metatable".as_ptr());

    // A global that does not exist is an error.
    ffi::lua_createtable(lua, 0, 1);
    ffi::lua_pushcclosure(lua, base::no_such_global, 0);
    ffi::lua_setfield(lua, -2, c"__index".as_ptr());
    ffi::lua_pushvalue(lua, -1);
    ffi::lua_setmetatable(lua, -3);
    lock(lua);
    ffi::lua_setfield(lua, ffi::LUA_REGISTRYINDEX, c"globals_metatable".as_ptr());

    ffi::lua_pushvalue(lua, -1);
    ffi::lua_setfield(lua, ffi::LUA_REGISTRYINDEX, c"globals".as_ptr());
    ffi::lua_pushvalue(lua, -1);
    lock(lua);
    ffi::lua_pushvalue(lua, -1);
    ffi::lua_setfield(lua, -3, c"_G".as_ptr());
    ffi::lua_pushvalue(lua, -1);
    ffi::lua_setfield(lua, ffi::LUA_REGISTRYINDEX, c"locked_globals".as_ptr());
    ffi::lua_replace(lua, ffi::LUA_GLOBALSINDEX);
    ffi::lua_pop(lua, 1);
}

/// Puts the globals that libraries see while they are loaded into the registry:
/// a table `redis` of its own, in which too what does not exist is an error.
unsafe fn keep_library_globals(lua: *mut lua_State) {
    ffi::lua_getfield_(lua, ffi::LUA_REGISTRYINDEX, c"globals".as_ptr());
    ffi::lua_getmetatable(lua, -1);
    ffi::lua_createtable(lua, 0, 1);
    library::open(lua);
    for table in [-1, -2] {
        ffi::lua_pushvalue(lua, -3);
        ffi::lua_setmetatable(lua, table - 1);
    }
    lock(lua);
    ffi::lua_setfield(lua, -2, c"redis".as_ptr());
    ffi::lua_setfield(lua, ffi::LUA_REGISTRYINDEX, c"library_globals".as_ptr());
    ffi::lua_pop(lua, 2);
}

/// Which globals are seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Globals {
    /// Those of running code.
    Running,
    /// Those of libraries that are being loaded.
    Loading,
}

/// Changes the globals that are seen, which are those of all that was compiled.
///
/// # Safety
/// As for all of the interface; unguarded.
pub(super) unsafe fn show(lua: *mut lua_State, globals: Globals) {
    let name = match globals {
        Globals::Running => c"globals",
        Globals::Loading => c"library_globals",
    };
    ffi::lua_getmetatable(lua, bottom::LOCKED_GLOBALS);
    ffi::lua_getfield_(lua, ffi::LUA_REGISTRYINDEX, name.as_ptr());
    ffi::lua_setfield(lua, -2, c"__index".as_ptr());
    ffi::lua_pop(lua, 1);
}

/// Replaces the table on the top by a locked one in front of it.
unsafe fn lock(lua: *mut lua_State) {
    ffi::lua_createtable(lua, 0, 0);
    let locked: *const c_void = ffi::lua_topointer(lua, -1);
    heap::of(lua).lock(locked);
    ffi::lua_createtable(lua, 0, 2);
    ffi::lua_pushvalue(lua, -3);
    ffi::lua_setfield(lua, -2, c"__index".as_ptr());
    ffi::lua_pushcclosure(lua, base::refuse_write, 0);
    ffi::lua_setfield(lua, -2, c"__newindex".as_ptr());
    ffi::lua_setmetatable(lua, -2);
    // It must never be collected: its address is what it is known by.
    ffi::lua_pushvalue(lua, -1);
    ffi::luaL_ref(lua, ffi::LUA_REGISTRYINDEX);
    ffi::lua_remove(lua, -2);
}

/// Pushes the real table behind the one at an index; false, with nothing
/// pushed, when that is none of the locked ones.
///
/// # Safety
/// As for all of the interface.
pub(super) unsafe fn push_real(lua: *mut lua_State, index: c_int) -> bool {
    if !heap::of(lua).is_locked(ffi::lua_topointer(lua, index)) {
        return false;
    }
    if ffi::lua_getmetatable(lua, index) == 0 {
        return false;
    }
    push(lua, b"__index");
    ffi::lua_rawget_(lua, -2);
    ffi::lua_remove(lua, -2);
    true
}

/// Compiles a chunk: the function, or the error, is on the top then. Only text
/// is taken. The collector stands still meanwhile: the compiler of Lua 5.1 does
/// not hold on to all that it works with (CVE-2025-49844).
///
/// # Safety
/// As for all of the interface; the name ends with a zero byte.
pub(super) unsafe fn compile(lua: *mut lua_State, chunk: &[u8], name: &CStr) -> bool {
    if chunk.first() == Some(&0x1b) || chunk.len() > base::CHUNK_BYTES_MAX {
        push(lua, b"attempt to load what is no script");
        return false;
    }
    ffi::lua_gc(lua, ffi::LUA_GCSTOP, 0);
    let status = ffi::luaL_loadbuffer(lua, chunk.as_ptr().cast(), chunk.len(), name.as_ptr());
    ffi::lua_gc(lua, ffi::LUA_GCRESTART, 0);
    status == 0
}
