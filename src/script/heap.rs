//! What belongs to a Lua state besides the state: its memory, the script that
//! runs in it, and the rules of calling it.
//!
//! # Unsafe invariants
//! - The allocator's `ud` of every state is a [`Heap`] that outlives it.
//! - Functions of the C interface leave by a long jump when they raise an error.
//!   So no frame between such a call and the protected call around it owns
//!   anything: buffers live in the heap and are borrowed, and what owns more
//!   (a call of a command) runs unguarded, see below, and uses no function that
//!   raises. The outermost function, which owns nothing, raises for it.
//! - While [`Heap::guarded`] is false no allocation fails, so functions that
//!   only raise when memory runs out do not raise. It is true only inside of a
//!   protected call.
//! - [`Heap::load`] is null or points to the library that is being loaded, which
//!   nobody else uses meanwhile.
//! - [`Heap::current`] is null, or alive as long as the state that it belongs to
//!   may allocate: a coroutine that runs is on the stack of who resumed it.
//! - [`Heap::run`] is null or points to the running script, whose `server` is
//!   the server that the executor has lent to the interpreter, and which nobody
//!   else uses until the interpreter returns or pauses.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn)]

use std::alloc::{self, Layout};
use std::ffi::{c_int, c_void};
use std::fmt;
use std::sync::Arc;

use corosensei::Yielder;
use mlua::ffi::{self, lua_State};

use super::api;
use super::cache::Sha;
use super::library::Load;
use crate::engine::Server;
use crate::engine::functions::NewFunction;
use crate::exec::scripting::ScriptState;

/// Most memory of a state, bytes.
pub const BYTES_MAX: usize = if cfg!(fuzzing) { 64 << 20 } else { 1 << 30 };
/// Bytes that are allocated, and filled, in the time of a step.
const BYTES_PER_STEP: usize = 64;
/// Allocations from here on are counted as work, bytes.
const LONG_BYTES: usize = 4096;
/// Bytes of the buffer that are kept when it has been longer.
const SCRATCH_KEPT_BYTES: usize = 1 << 20;
/// Bytes of the stack that are left for what does not call itself.
pub const STACK_KEPT_BYTES: usize = 512 << 10;
/// Tables that nobody may change.
const LOCKED_MAX: usize = 16;

/// A function that Lua calls.
pub type Function = unsafe extern "C-unwind" fn(*mut lua_State) -> c_int;

/// Functions of the language that ours check the arguments for.
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct Originals {
    pub rep: Function,
    pub sort: Function,
    pub resume: Function,
    pub rawset: Function,
    pub setmetatable: Function,
}

/// What a script is called in messages.
pub enum Name {
    /// Its digest.
    Script(Sha),
    /// It is a function.
    Function(Arc<NewFunction>),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Name::Script(sha) => &sha[..],
            Name::Function(function) => &function.name,
        };
        f.write_str(&String::from_utf8_lossy(name))
    }
}

/// The running script.
pub struct Run {
    /// The server, while the script has its turn.
    pub server: *mut Server,
    /// What it may do.
    pub state: ScriptState,
    /// The way to end a turn; null until it runs.
    pub yielder: *const Yielder<(), ()>,
    /// What it is.
    pub name: Name,
    /// When it began, clock nanoseconds.
    pub began_ns: u64,
    /// When its turn began.
    pub turn_ns: u64,
    /// It has been found to be slow.
    pub slow: bool,
}

impl Default for Run {
    /// One that has not run.
    fn default() -> Run {
        Run {
            server: std::ptr::null_mut(),
            state: ScriptState::default(),
            yielder: std::ptr::null(),
            name: Name::Script([b'0'; 40]),
            began_ns: 0,
            turn_ns: 0,
            slow: false,
        }
    }
}

/// What a state is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Scripts that come with their calls.
    Scripts,
    /// Libraries of functions.
    Functions,
}

/// See the top of the file.
pub struct Heap {
    /// What the state is for.
    pub purpose: Purpose,
    /// Bytes in use.
    pub used: usize,
    /// Whether allocations beyond the limit fail.
    pub guarded: bool,
    /// The running script.
    pub run: *mut Run,
    /// The library that is being loaded.
    pub load: *mut Load,
    /// A buffer for what functions put together; see [`Heap::fresh`].
    pub scratch: Vec<u8>,
    /// Below this address there is little left of the stack that runs.
    pub stack_low: usize,
    /// See there; set when a state is opened.
    pub originals: Option<Originals>,
    /// State of `math.random`.
    pub random: u64,
    /// Work since the time was looked at, see `api::spend`.
    pub steps: usize,
    /// The main state, or the coroutine that runs.
    pub current: *mut lua_State,
    locked: [*const c_void; LOCKED_MAX],
    locked_count: usize,
}

impl Heap {
    /// A heap without a state.
    pub fn new(purpose: Purpose) -> Heap {
        Heap {
            purpose,
            used: 0,
            guarded: false,
            run: std::ptr::null_mut(),
            load: std::ptr::null_mut(),
            scratch: Vec::new(),
            stack_low: 0,
            originals: None,
            random: seed(0),
            steps: 0,
            current: std::ptr::null_mut(),
            locked: [std::ptr::null(); LOCKED_MAX],
            locked_count: 0,
        }
    }

    /// The buffer, empty.
    pub fn fresh(&mut self) -> &mut Vec<u8> {
        self.scratch.clear();
        self.scratch.shrink_to(SCRATCH_KEPT_BYTES);
        &mut self.scratch
    }

    /// Whether a function that calls itself must not do so again: little is
    /// left of the stack.
    #[inline]
    pub fn is_deep(&self) -> bool {
        let here = 0_u8;
        (&raw const here).addr() < self.stack_low
    }

    /// Counts a long allocation as work. A few instructions can build very long
    /// strings, so much of it brings the next call of the hook forward.
    #[cold]
    unsafe fn hurry(&mut self, bytes: usize) {
        self.steps = self.steps.saturating_add(bytes / BYTES_PER_STEP);
        if self.steps >= api::STEPS_MAX && !self.run.is_null() && !self.current.is_null() {
            // It only sets fields, so it may be called at any time.
            ffi::lua_sethook(self.current, Some(api::hook), ffi::LUA_MASKCOUNT, 1);
        }
    }

    /// Notes a table that nobody may change.
    ///
    /// # Panics
    /// When there are too many, which depends on this program only.
    pub fn lock(&mut self, table: *const c_void) {
        self.locked[self.locked_count] = table;
        self.locked_count += 1;
    }

    /// Whether this is such a table.
    #[inline]
    pub fn is_locked(&self, table: *const c_void) -> bool {
        self.locked[..self.locked_count].contains(&table)
    }
}

/// The state of the generator for a seed (that of `srand48`).
pub fn seed(seed: i32) -> u64 {
    ((seed as u32 as u64) << 16) | 0x330e
}

/// The heap of a state.
///
/// # Safety
/// The state is one of ours; the reference ends before another is made.
#[inline]
pub unsafe fn of<'a>(lua: *mut lua_State) -> &'a mut Heap {
    let mut ud = std::ptr::null_mut();
    ffi::lua_getallocf(lua, &mut ud);
    // SAFETY: the first invariant.
    unsafe { &mut *ud.cast::<Heap>() }
}

/// The running script, if one runs.
///
/// # Safety
/// As [`of`].
#[inline]
pub unsafe fn run<'a>(lua: *mut lua_State) -> Option<&'a mut Run> {
    of(lua).run.as_mut()
}

/// The allocator.
///
/// # Safety
/// Called by Lua only.
pub unsafe extern "C" fn allocate(
    ud: *mut c_void,
    old: *mut c_void,
    old_bytes: usize,
    bytes: usize,
) -> *mut c_void {
    let heap = &mut *ud.cast::<Heap>();
    // Lua tells all sizes, and needs no more than this alignment.
    let layout = |bytes| Layout::from_size_align_unchecked(bytes, align_of::<f64>());
    if bytes == 0 {
        if !old.is_null() {
            heap.used -= old_bytes;
            alloc::dealloc(old.cast(), layout(old_bytes));
        }
        return std::ptr::null_mut();
    }
    if heap.guarded && bytes > old_bytes && heap.used + (bytes - old_bytes) > BYTES_MAX {
        return std::ptr::null_mut();
    }
    let new: *mut c_void = if old.is_null() {
        alloc::alloc(layout(bytes)).cast()
    } else {
        alloc::realloc(old.cast(), layout(old_bytes), bytes).cast()
    };
    if !new.is_null() {
        heap.used = heap.used - old_bytes + bytes;
        if bytes >= LONG_BYTES {
            heap.hurry(bytes);
        }
    }
    new
}

/// The bytes of a string on the stack, which may be a number, that becomes one.
///
/// # Safety
/// The value stays on the stack while the bytes are used.
#[inline]
pub unsafe fn bytes<'a>(lua: *mut lua_State, index: c_int) -> Option<&'a [u8]> {
    let mut len = 0;
    let start = ffi::lua_tolstring(lua, index, &mut len);
    if start.is_null() {
        return None;
    }
    Some(std::slice::from_raw_parts(start.cast(), len))
}

/// Pushes a string.
///
/// # Safety
/// Raises when memory runs out.
#[inline]
pub unsafe fn push(lua: *mut lua_State, bytes: &[u8]) {
    ffi::lua_pushlstring_(lua, bytes.as_ptr().cast(), bytes.len());
}

/// Pushes an error as `redis.pcall` gives it: a table whose `err` is the line,
/// code included.
///
/// # Safety
/// Raises when memory runs out.
pub unsafe fn push_error(lua: *mut lua_State, line: &[u8]) {
    ffi::lua_createtable(lua, 0, 2);
    push(lua, b"err");
    push(lua, line);
    ffi::lua_rawset(lua, -3);
}
