//! What scripts call as `redis.…`, and how they are interrupted.
//!
//! # Unsafe invariants
//! Those of `heap`. What owns something is in functions of its own that raise
//! nothing; those that Lua calls raise for them.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn)]

use std::ffi::{CStr, c_int};

use mlua::ffi::{self, lua_State};
use sha1::{Digest, Sha1};

use super::convert;
use super::fibers;
use super::heap::{self, Function, Heap, Name, Purpose, Run, bytes, push, push_error};
use super::library;
use super::state::set_functions;
use crate::exec::scripting::{self, Called};
use crate::version::{REDIS_VERSION, REDIS_VERSION_NUM};

/// How long a slow script runs before others get a turn, nanoseconds.
const TURN_NS: u64 = 1_000_000;
/// Instructions between two calls of the hook.
const HOOK_INSTRUCTIONS: c_int = 1000;
/// Nanoseconds of a command that count as a step.
const STEP_NS: u64 = 4;
/// Steps that a value counts as.
const STEPS_PER_VALUE: usize = 8;
/// Steps between two looks at the time.
pub(super) const STEPS_MAX: usize = 1 << 16;

/// Pushes the table.
pub(super) unsafe fn open(lua: *mut lua_State) {
    const FUNCTIONS: &[(&CStr, Function)] = &[
        (c"acl_check_cmd", acl_check_cmd),
        (c"call", call),
        (c"error_reply", error_reply),
        (c"pcall", pcall),
        (c"set_repl", set_repl),
        (c"setresp", setresp),
        (c"sha1hex", sha1hex),
        (c"status_reply", status_reply),
    ];
    /// From before there were functions.
    const FOR_SCRIPTS: &[(&CStr, Function)] = &[
        (c"breakpoint", breakpoint),
        (c"debug", debug),
        (c"replicate_commands", replicate_commands),
    ];
    const NUMBERS: &[(&CStr, u32)] = &[
        (c"REPL_NONE", 0),
        (c"REPL_AOF", 1),
        (c"REPL_SLAVE", 2),
        (c"REPL_REPLICA", 2),
        (c"REPL_ALL", 3),
    ];
    ffi::lua_createtable(lua, 0, 0);
    set_functions(lua, FUNCTIONS);
    if heap::of(lua).purpose == Purpose::Scripts {
        set_functions(lua, FOR_SCRIPTS);
    }
    set_numbers(lua, NUMBERS);
    set_common(lua);
}

unsafe fn set_numbers(lua: *mut lua_State, numbers: &[(&CStr, u32)]) {
    for (name, number) in numbers {
        ffi::lua_pushnumber(lua, f64::from(*number));
        ffi::lua_setfield(lua, -2, name.as_ptr());
    }
}

/// Sets in the table on the top what libraries have when they are loaded, too.
pub(super) unsafe fn set_common(lua: *mut lua_State) {
    const NUMBERS: &[(&CStr, u32)] = &[
        (c"LOG_DEBUG", 0),
        (c"LOG_VERBOSE", 1),
        (c"LOG_NOTICE", 2),
        (c"LOG_WARNING", 3),
        (c"REDIS_VERSION_NUM", REDIS_VERSION_NUM),
    ];
    set_functions(lua, &[(c"log", log)]);
    set_numbers(lua, NUMBERS);
    push(lua, REDIS_VERSION.as_bytes());
    ffi::lua_setfield(lua, -2, c"REDIS_VERSION".as_ptr());
}

/// Raises an error of the general code.
pub(super) unsafe fn raise(lua: *mut lua_State, text: &str) -> c_int {
    ffi::lua_createtable(lua, 0, 2);
    push(lua, b"err");
    push(lua, b"ERR ");
    push(lua, text.as_bytes());
    ffi::lua_concat(lua, 2);
    ffi::lua_rawset(lua, -3);
    ffi::lua_error(lua)
}

unsafe extern "C-unwind" fn call(lua: *mut lua_State) -> c_int {
    let Some(run) = heap::run(lua) else {
        return raise(
            lua,
            "redis.call/pcall can only be called inside a script invocation",
        );
    };
    let is_error = execute_timed(lua, run);
    if is_error {
        ffi::lua_error(lua);
    }
    1
}

unsafe extern "C-unwind" fn pcall(lua: *mut lua_State) -> c_int {
    let Some(run) = heap::run(lua) else {
        return raise(
            lua,
            "redis.call/pcall can only be called inside a script invocation",
        );
    };
    execute_timed(lua, run);
    1
}

/// As [`execute`]; the time of the command counts as work, so it may raise.
unsafe fn execute_timed(lua: *mut lua_State, run: &mut Run) -> bool {
    let server = run.server;
    // SAFETY: as in `execute`; the time of the last command, or of this turn.
    let before_ns = unsafe { (*server).now_ns };
    let is_error = execute(lua, run);
    // SAFETY: as above.
    let elapsed_ns = unsafe { (*server).now_ns }.saturating_sub(before_ns);
    spend(lua, (elapsed_ns / STEP_NS) as usize);
    is_error
}

/// The arguments of a call on the stack.
struct Arguments<'a> {
    few: [&'a [u8]; 8],
    many: Vec<&'a [u8]>,
    count: usize,
}

impl<'a> Arguments<'a> {
    /// Makes strings of all arguments; none when one is something else.
    ///
    /// # Safety
    /// They stay on the stack.
    unsafe fn new(lua: *mut lua_State, count: c_int) -> Option<Arguments<'a>> {
        let mut arguments = Arguments {
            few: [&[]; 8],
            many: Vec::new(),
            count: count as usize,
        };
        if arguments.count > arguments.few.len() {
            arguments.many.reserve_exact(arguments.count);
        }
        for index in 1..=count {
            let argument = string(lua, index)?;
            match arguments.few.get_mut(index as usize - 1) {
                Some(place) if arguments.many.capacity() == 0 => *place = argument,
                _ => arguments.many.push(argument),
            }
        }
        Some(arguments)
    }

    fn as_slice(&self) -> &[&'a [u8]] {
        if self.many.is_empty() {
            &self.few[..self.count]
        } else {
            &self.many
        }
    }
}

/// The string at an index, made of a number if there is one.
#[inline]
unsafe fn string<'a>(lua: *mut lua_State, index: c_int) -> Option<&'a [u8]> {
    match ffi::lua_type(lua, index) {
        ffi::LUA_TSTRING => {}
        ffi::LUA_TNUMBER => {
            // Lua itself gives 14 digits only.
            let mut text = [0_u8; 64];
            let number = ffi::lua_tonumber(lua, index);
            let format = c"%.17g".as_ptr();
            let len = libc::snprintf(text.as_mut_ptr().cast(), text.len(), format, number);
            push(lua, &text[..len as usize]);
            ffi::lua_replace(lua, index);
        }
        _ => return None,
    }
    bytes(lua, index)
}

const NO_ARGUMENTS: &str = "Please specify at least one argument for this redis lib call";
const BAD_ARGUMENT: &str = "Lua redis lib command arguments must be strings or integers";

/// Calls a command; its reply is on the top then. Whether that is an error.
///
/// # Safety
/// Raises nothing: it runs unguarded.
unsafe fn execute(lua: *mut lua_State, run: &mut Run) -> bool {
    let heap: *mut Heap = heap::of(lua);
    let guarded = std::mem::replace(&mut (*heap).guarded, false);
    let is_error = execute_unguarded(lua, run);
    (*heap).guarded = guarded;
    is_error
}

unsafe fn execute_unguarded(lua: *mut lua_State, run: &mut Run) -> bool {
    let count = ffi::lua_gettop(lua);
    let refused = |text: &str| {
        push_error(lua, &[b"ERR ", text.as_bytes()].concat());
        true
    };
    if count == 0 {
        return refused(NO_ARGUMENTS);
    }
    let Some(arguments) = Arguments::new(lua, count) else {
        return refused(BAD_ARGUMENT);
    };
    // SAFETY: the fourth invariant of the heap.
    let server = unsafe { &mut *run.server };
    match scripting::call(server, &mut run.state, arguments.as_slice()) {
        Called::Replied => {
            ffi::lua_settop(lua, 0);
            let is_error = convert::push_reply(lua, run.state.replies.contiguous());
            run.state.replies.reuse();
            is_error
        }
        Called::Refused(error) => {
            ffi::lua_settop(lua, 0);
            convert::push_command_error(lua, error.as_bytes());
            true
        }
    }
}

unsafe extern "C-unwind" fn acl_check_cmd(lua: *mut lua_State) -> c_int {
    let Some(run) = heap::run(lua) else {
        return raise(
            lua,
            "redis.acl_check_cmd can only be called inside a script invocation",
        );
    };
    match would_permit(lua, run) {
        Ok(permitted) => ffi::lua_pushboolean(lua, c_int::from(permitted)),
        Err(text) => return raise(lua, text),
    }
    1
}

unsafe fn would_permit(lua: *mut lua_State, run: &mut Run) -> Result<bool, &'static str> {
    let count = ffi::lua_gettop(lua);
    if count == 0 {
        return Err(NO_ARGUMENTS);
    }
    let heap: *mut Heap = heap::of(lua);
    let guarded = std::mem::replace(&mut (*heap).guarded, false);
    let arguments = Arguments::new(lua, count);
    (*heap).guarded = guarded;
    let arguments = arguments.ok_or(BAD_ARGUMENT)?;
    // SAFETY: as in `execute`.
    let server = unsafe { &*run.server };
    scripting::would_permit(server, &run.state, arguments.as_slice())
        .ok_or("Invalid command passed to redis.acl_check_cmd()")
}

/// Without a debugger there is nothing to stop in.
unsafe extern "C-unwind" fn breakpoint(lua: *mut lua_State) -> c_int {
    ffi::lua_pushboolean(lua, 0);
    1
}

/// Without a debugger nobody hears it.
unsafe extern "C-unwind" fn debug(_: *mut lua_State) -> c_int {
    0
}

unsafe extern "C-unwind" fn error_reply(lua: *mut lua_State) -> c_int {
    if ffi::lua_gettop(lua) != 1 || ffi::lua_type(lua, 1) != ffi::LUA_TSTRING {
        push_error(lua, b"ERR wrong number or type of arguments");
        return 1;
    }
    let text = bytes(lua, 1).unwrap_or_default();
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let has_code = text.contains(&b' ');
    let line = heap::of(lua).fresh();
    if !has_code {
        line.extend_from_slice(b"ERR ");
        line.extend_from_slice(trim(text));
    } else {
        let space = text.iter().position(|byte| *byte == b' ').unwrap_or(0);
        line.extend_from_slice(&text[..=space]);
        line.extend_from_slice(trim(&text[space + 1..]));
    }
    push_error(lua, &heap::of(lua).scratch);
    1
}

/// Without line ends at both ends.
fn trim(text: &[u8]) -> &[u8] {
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let Some(start) = text.iter().position(|byte| !is_end(byte)) else {
        return &[];
    };
    let end = text.iter().rposition(|byte| !is_end(byte)).unwrap_or(start);
    &text[start..=end]
}

unsafe extern "C-unwind" fn status_reply(lua: *mut lua_State) -> c_int {
    if ffi::lua_gettop(lua) != 1 || ffi::lua_type(lua, 1) != ffi::LUA_TSTRING {
        push_error(lua, b"ERR wrong number or type of arguments");
        return 1;
    }
    ffi::lua_createtable(lua, 0, 1);
    ffi::lua_pushvalue(lua, 1);
    ffi::lua_setfield(lua, -2, c"ok".as_ptr());
    1
}

unsafe extern "C-unwind" fn sha1hex(lua: *mut lua_State) -> c_int {
    if ffi::lua_gettop(lua) != 1 {
        return raise(lua, "wrong number of arguments");
    }
    spend(lua, bytes(lua, 1).unwrap_or_default().len() / 16);
    let digest = hex(&bytes(lua, 1).map_or_else(|| Sha1::digest(b""), Sha1::digest));
    push(lua, &digest);
    1
}

/// A digest in hexadecimal.
pub(super) fn hex(digest: &[u8]) -> [u8; 40] {
    let mut text = [b'0'; 40];
    for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    text
}

unsafe extern "C-unwind" fn log(lua: *mut lua_State) -> c_int {
    let count = ffi::lua_gettop(lua);
    if count < 2 {
        return raise(lua, "redis.log() requires two arguments or more.");
    }
    if ffi::lua_isnumber(lua, 1) == 0 {
        return raise(lua, "First argument must be a number (log level).");
    }
    let level = ffi::lua_tonumber(lua, 1) as i64;
    if !(0..=3).contains(&level) {
        return raise(lua, "Invalid debug level.");
    }
    let line = heap::of(lua).fresh();
    for index in 2..=count {
        if let Some(text) = bytes(lua, index) {
            if index > 2 {
                line.push(b' ');
            }
            line.extend_from_slice(text);
        }
    }
    write_log(level, line);
    0
}

fn write_log(level: i64, line: &[u8]) {
    let line = String::from_utf8_lossy(line);
    match level {
        0 => tracing::trace!("{line}"),
        1 => tracing::debug!("{line}"),
        2 => tracing::info!("{line}"),
        _ => tracing::warn!("{line}"),
    }
}

unsafe extern "C-unwind" fn setresp(lua: *mut lua_State) -> c_int {
    let Some(run) = heap::run(lua) else {
        return raise(
            lua,
            "redis.setresp can only be called inside a script invocation",
        );
    };
    if ffi::lua_gettop(lua) != 1 {
        return raise(lua, "redis.setresp() requires one argument.");
    }
    match ffi::lua_tonumber(lua, 1) as i64 {
        version @ (2 | 3) => run.state.resp3 = version == 3,
        _ => return raise(lua, "RESP version must be 2 or 3."),
    }
    0
}

unsafe extern "C-unwind" fn set_repl(lua: *mut lua_State) -> c_int {
    let Some(run) = heap::run(lua) else {
        return raise(
            lua,
            "redis.set_repl can only be called inside a script invocation",
        );
    };
    if ffi::lua_gettop(lua) != 1 {
        return raise(lua, "redis.set_repl() requires two arguments.");
    }
    match ffi::lua_tonumber(lua, 1) as i64 {
        targets @ 0..=3 => run.state.repeated_by = targets as u8,
        _ => {
            return raise(
                lua,
                "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
            );
        }
    }
    0
}

unsafe extern "C-unwind" fn replicate_commands(lua: *mut lua_State) -> c_int {
    ffi::lua_pushboolean(lua, 1);
    1
}

/// Adds to an error where it came from: the caller's place where the function
/// that raised it is not one of Lua.
pub(super) unsafe extern "C-unwind" fn on_error(lua: *mut lua_State) -> c_int {
    ffi::lua_settop(lua, 1);
    let mut frame: ffi::lua_Debug = std::mem::zeroed();
    let mut found = ffi::lua_getstack(lua, 1, &mut frame) != 0;
    if found {
        ffi::lua_getinfo(lua, c"nSl".as_ptr(), &mut frame);
        if CStr::from_ptr(frame.what) == c"C" {
            found = ffi::lua_getstack(lua, 2, &mut frame) != 0;
            if found {
                ffi::lua_getinfo(lua, c"nSl".as_ptr(), &mut frame);
            }
        }
    }
    if ffi::lua_type(lua, 1) != ffi::LUA_TTABLE {
        push(lua, b"ERR ");
        ffi::luaL_tolstring(lua, 1, std::ptr::null_mut());
        ffi::lua_concat(lua, 2);
        ffi::lua_createtable(lua, 0, 3);
        ffi::lua_insert(lua, -2);
        ffi::lua_setfield(lua, -2, c"err".as_ptr());
        ffi::lua_replace(lua, 1);
        ffi::lua_settop(lua, 1);
    }
    if found && !heap::of(lua).is_locked(ffi::lua_topointer(lua, 1)) {
        push(lua, b"source");
        ffi::lua_pushstring_(lua, frame.source);
        ffi::lua_rawset(lua, 1);
        push(lua, b"line");
        ffi::lua_pushnumber(lua, f64::from(frame.currentline));
        ffi::lua_rawset(lua, 1);
    }
    1
}

/// Raises the end of a script that SCRIPT KILL asked for.
pub(super) unsafe fn raise_kill(lua: *mut lua_State) -> c_int {
    // It may be raised where a function has used up the places that it asked for.
    ffi::lua_checkstack(lua, 5);
    raise(lua, "Script killed by user with SCRIPT KILL...")
}

/// Called every so many instructions.
pub(super) unsafe extern "C-unwind" fn hook(lua: *mut lua_State, _: *mut ffi::lua_Debug) {
    if ffi::lua_gethookcount(lua) != HOOK_INSTRUCTIONS {
        // It was called early.
        set_hook(lua);
    }
    spend(lua, HOOK_INSTRUCTIONS as usize);
}

/// Has the hook called every so many instructions of a state or coroutine.
pub(super) unsafe fn set_hook(lua: *mut lua_State) {
    ffi::lua_sethook(lua, Some(hook), ffi::LUA_MASKCOUNT, HOOK_INSTRUCTIONS);
}

/// Counts steps, of about a few nanoseconds each, and looks at the time when
/// they have become many: others get a turn, or the end of the script is raised.
#[inline]
pub(super) unsafe fn spend(lua: *mut lua_State, steps: usize) {
    let heap = heap::of(lua);
    heap.steps = heap.steps.saturating_add(steps);
    if heap.steps >= STEPS_MAX {
        heap.steps = 0;
        look_at_time(lua);
    }
}

/// Counts a value that is encoded as work; raises when what is put together has
/// become too long. A table may be in many places, so that values are many more
/// than there is memory.
#[inline]
pub(super) unsafe fn spend_value(lua: *mut lua_State) {
    if heap::of(lua).scratch.len() > heap::BYTES_MAX {
        ffi::luaL_error(lua, c"not enough memory".as_ptr());
    }
    spend(lua, STEPS_PER_VALUE);
}

#[cold]
pub(super) unsafe fn look_at_time(lua: *mut lua_State) {
    if library::is_late(lua) {
        raise(lua, "FUNCTION LOAD timeout");
    }
    if interrupt(lua) {
        raise_kill(lua);
    }
}

/// Looks at the time, and lets others have a turn; whether the script is to
/// end.
unsafe fn interrupt(lua: *mut lua_State) -> bool {
    let Some(run) = heap::run(lua) else {
        return false;
    };
    // SAFETY: as in `execute`; the reference ends before others have a turn.
    let server = unsafe { &mut *run.server };
    if server.scripts.kill {
        return true;
    }
    let now_ns = server.clock.now_ns();
    let threshold_ms = u64::try_from(server.config.busy_reply_threshold_ms).unwrap_or(0);
    let elapsed_ms = now_ns.saturating_sub(run.began_ns) / 1_000_000;
    if threshold_ms == 0 || elapsed_ms < threshold_ms {
        return false;
    }
    if !run.slow {
        run.slow = true;
        run.turn_ns = 0;
        let container = match run.name {
            Name::Function(_) => "FUNCTION",
            Name::Script(_) => "SCRIPT",
        };
        tracing::warn!(
            "Slow script detected: still in execution after {elapsed_ms} milliseconds. You can \
             try killing the script using the {container} KILL command. Script name is: {}.",
            run.name
        );
    }
    if !server.scripts.may_pause || now_ns.saturating_sub(run.turn_ns) < TURN_NS {
        return false;
    }
    let heap = heap::of(lua);
    let guarded = std::mem::replace(&mut heap.guarded, false);
    // SAFETY: it lives as long as the coroutine that this runs in.
    unsafe {
        fibers::leaving();
        (*run.yielder).suspend(());
        fibers::entered();
    }
    heap::of(lua).guarded = guarded;
    let killed = heap::run(lua).is_some_and(|run| (*run.server).scripts.kill);
    if killed {
        tracing::warn!("Lua script killed by user with SCRIPT KILL.");
    }
    killed
}
