//! The interpreter: compiled scripts by their digests, and the one that runs.
//! Functions, in a state of their own, run in the same way.
//!
//! A script runs on a stack of its own. One that takes long is left there, so
//! that the server can answer others, and gone on with later.
//!
//! # Unsafe invariants
//! Those of `heap`. The states and their heaps belong to the [`Vm`], and are used by
//! whoever has it: the executor, one thread at a time. A coroutine that was left
//! is finished or, at the end of the process, forgotten; it is never unwound.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn)]

use std::mem::ManuallyDrop;
use std::time::Duration;

use corosensei::stack::{DefaultStack, Stack};
use corosensei::{Coroutine, CoroutineResult};
use mlua::ffi::{self, lua_State};
use sha1::{Digest, Sha1};

use super::cache::{Cache, Sha};
use super::convert::{ErrorTable, Replier, error_table};
use super::fibers;
use super::heap::{self, Heap, Name, Purpose, Run, bytes, push};
use super::library::Load;
use super::shebang;
use super::state::{self, Globals, Instance, bottom};
use super::{api, state::compile};
use crate::command::ctx::{CmdError, CmdResult, REPLIED};
use crate::commands::functions::no_function;
use crate::commands::scripting::no_script;
use crate::engine::functions::NewFunction;
use crate::engine::scripts::{
    Interpreter, Progress, ScriptCall, ScriptFigures, ScriptFlags, ScriptSource,
};
use crate::engine::{ClientId, Server};
use crate::exec::scripting::{self, ScriptState};
use crate::util::clock::Clock;
use crate::util::relocate::Mover;

/// Bytes of the stack that scripts run on.
const STACK_BYTES: usize = 4 << 20;
/// Scripts between two steps of the collector, which works by itself too when
/// memory has grown.
const COLLECT_EVERY: u32 = 1000;

type Script = Coroutine<(), (), i32, DefaultStack>;

/// A script that is running or paused.
struct Active {
    script: ManuallyDrop<Script>,
    lua: *mut lua_State,
    heap: *mut Heap,
}

/// See the top of the file.
pub struct Vm {
    eval: ManuallyDrop<Instance>,
    functions: ManuallyDrop<Instance>,
    scripts: Cache,
    active: Option<Active>,
    /// What the active script may do; else of the last one.
    run: Box<Run>,
    stack: Option<DefaultStack>,
    until_collection: u32,
}

// SAFETY: nothing in it belongs to a thread; see the top of the file.
unsafe impl Send for Vm {}

impl Drop for Vm {
    fn drop(&mut self) {
        // A script that was left still uses its state.
        if self.active.is_none() {
            // SAFETY: they are not used again.
            unsafe {
                ManuallyDrop::drop(&mut self.eval);
                ManuallyDrop::drop(&mut self.functions);
            }
        }
    }
}

impl Vm {
    /// An interpreter that knows no scripts and no functions.
    ///
    /// # Panics
    /// When there is no memory for it.
    pub fn new() -> Vm {
        Vm {
            eval: ManuallyDrop::new(Instance::new(Purpose::Scripts)),
            functions: ManuallyDrop::new(Instance::new(Purpose::Functions)),
            scripts: Cache::default(),
            active: None,
            run: Box::default(),
            stack: None,
            until_collection: COLLECT_EVERY,
        }
    }

    /// Compiles and keeps a script that is not kept; gives its place.
    fn add(&mut self, body: &[u8], sha: Sha, loaded: bool) -> Result<usize, CmdError> {
        let (flags, skipped) = shebang::parse(body)?;
        let function = self.compile(&body[skipped..])?;
        let forgotten = self.scripts.add((sha, body), (flags, function), loaded);
        if let Some(script) = forgotten {
            // SAFETY: sets a field of the registry, which does not raise.
            unsafe { ffi::luaL_unref(self.eval.lua, ffi::LUA_REGISTRYINDEX, script.function) };
        }
        self.scripts.find(&sha).ok_or_else(no_script)
    }

    fn compile(&mut self, chunk: &[u8]) -> Result<i32, CmdError> {
        let lua = self.eval.lua;
        // SAFETY: the state is ours; nothing raises here.
        unsafe {
            compile_on_top(&self.eval, chunk, c"@user_script").map_err(|reason| {
                failed_with(b"Error compiling script (new function): ", &reason)
            })?;
            Ok(ffi::luaL_ref(lua, ffi::LUA_REGISTRYINDEX))
        }
    }

    /// Puts the function of a script in place, and what it sees as globals.
    fn prepare_script(&mut self, function: i32, keys: &[&[u8]], args: &[&[u8]]) {
        let lua = self.eval.lua;
        // SAFETY: unguarded, so nothing raises.
        unsafe {
            ffi::lua_settop(lua, bottom::COUNT);
            ffi::lua_rawgeti_(lua, ffi::LUA_REGISTRYINDEX, function);
            // The last call may have set another one.
            ffi::lua_pushvalue(lua, bottom::LOCKED_GLOBALS);
            ffi::lua_setfenv(lua, -2);
            for (name, values) in [(bottom::KEYS, keys), (bottom::ARGV, args)] {
                ffi::lua_pushvalue(lua, name);
                push_array(lua, values);
                ffi::lua_rawset(lua, bottom::GLOBALS);
            }
        }
    }

    /// Puts a function of a library and its arguments in place.
    fn prepare_function(&mut self, function: i32, keys: &[&[u8]], args: &[&[u8]]) {
        let lua = self.functions.lua;
        // SAFETY: unguarded, so nothing raises.
        unsafe {
            ffi::lua_settop(lua, bottom::COUNT);
            ffi::lua_rawgeti_(lua, ffi::LUA_REGISTRYINDEX, function);
            push_array(lua, keys);
            push_array(lua, args);
        }
    }

    /// Gives the active script a turn.
    fn turn(&mut self, server: &mut Server) -> Progress {
        let Some(active) = &mut self.active else {
            return Progress::Ended(REPLIED);
        };
        let run: *mut Run = &mut *self.run;
        // SAFETY: the server is lent to the script until `resume` returns.
        let result = unsafe {
            (*run).server = server;
            (*active.heap).run = run;
            fibers::entering();
            let result = active.script.resume(());
            fibers::left();
            result
        };
        match result {
            CoroutineResult::Yield(()) => Progress::Paused,
            CoroutineResult::Return(status) => {
                let Some(active) = self.active.take() else {
                    return Progress::Ended(REPLIED);
                };
                self.stack = Some(ManuallyDrop::into_inner(active.script).into_stack());
                Progress::Ended(self.end(server, (active.lua, active.heap), status))
            }
        }
    }

    /// Replies with what the script has left on the stack.
    fn end(
        &mut self,
        server: &mut Server,
        (lua, heap): (*mut lua_State, *mut Heap),
        status: i32,
    ) -> CmdResult {
        // SAFETY: unguarded, so nothing raises.
        let result = unsafe {
            (*heap).run = std::ptr::null_mut();
            let mut replier = Replier {
                server,
                id: self.run.state.client,
                script_resp3: self.run.state.resp3,
            };
            if status == 0 {
                replier.value(lua);
                REPLIED
            } else {
                failed(lua, &self.run.name, &mut replier)
            }
        };
        // SAFETY: as above.
        unsafe { self.clean(lua, heap) };
        result
    }

    /// Cleans up after code has run. It may have set other globals for the
    /// state.
    unsafe fn clean(&mut self, lua: *mut lua_State, heap: *mut Heap) {
        (*heap).current = lua;
        ffi::lua_settop(lua, bottom::COUNT);
        ffi::lua_pushvalue(lua, bottom::LOCKED_GLOBALS);
        ffi::lua_replace(lua, ffi::LUA_GLOBALSINDEX);
        self.until_collection -= 1;
        if self.until_collection == 0 {
            self.until_collection = COLLECT_EVERY;
            ffi::lua_gc(lua, ffi::LUA_GCSTEP, COLLECT_EVERY as i32);
        }
        if (*heap).used > heap::BYTES_MAX / 2 {
            ffi::lua_gc(lua, ffi::LUA_GCCOLLECT, 0);
        }
    }

    /// What calls the function on the stack of a state, with so many arguments.
    fn coroutine(
        &mut self,
        instance: (*mut lua_State, *mut Heap),
        args: i32,
    ) -> Result<Script, CmdError> {
        let stack = match self.stack.take() {
            Some(stack) => stack,
            None => DefaultStack::new(STACK_BYTES)
                .map_err(|error| CmdError::err(format!("No stack for the script: {error}")))?,
        };
        fibers::made(&stack);
        // SAFETY: nothing runs in the state.
        unsafe { (*instance.1).stack_low = stack.limit().get() + heap::STACK_KEPT_BYTES };
        let (lua, heap) = (instance.0 as usize, instance.1 as usize);
        Ok(Coroutine::with_stack(stack, move |yielder, ()| {
            fibers::entered();
            let (lua, heap) = (lua as *mut lua_State, heap as *mut Heap);
            // SAFETY: the function is on the top; the call is protected.
            unsafe {
                if let Some(run) = (*heap).run.as_mut() {
                    run.yielder = yielder;
                }
                (*heap).guarded = true;
                let status = ffi::lua_pcall(lua, args, 1, bottom::ON_ERROR);
                (*heap).guarded = false;
                fibers::leaving();
                status
            }
        }))
    }

    /// Runs the chunk of a library, which is on the top of the stack.
    ///
    /// # Safety
    /// `load` stays until this returns.
    unsafe fn run_library(&mut self, load: *mut Load) -> Result<(), CmdError> {
        let (lua, heap) = (self.functions.lua, self.functions.heap);
        let mut chunk = ManuallyDrop::new(self.coroutine((lua, heap), 0)?);
        (*heap).load = load;
        state::show(lua, Globals::Loading);
        fibers::entering();
        let result = chunk.resume(());
        fibers::left();
        (*heap).load = std::ptr::null_mut();
        state::show(lua, Globals::Running);
        let CoroutineResult::Return(status) = result else {
            // Only running scripts are paused.
            return Err(CmdError::err("The library was not loaded to its end"));
        };
        self.stack = Some(ManuallyDrop::into_inner(chunk).into_stack());
        if status == 0 {
            return Ok(());
        }
        let line = if ffi::lua_type(lua, -1) == ffi::LUA_TTABLE {
            error_table(lua).line
        } else {
            [b"ERR ", bytes(lua, -1).unwrap_or_default()].concat()
        };
        Err(failed_with(b"Error registering functions: ", &line))
    }
}

/// An error with its reason.
fn failed_with(what: &[u8], reason: &[u8]) -> CmdError {
    let reason = reason.split(|byte| *byte == 0).next().unwrap_or_default();
    CmdError::err([what, reason].concat())
}

/// Pushes an array of strings.
///
/// # Safety
/// Unguarded.
unsafe fn push_array(lua: *mut lua_State, values: &[&[u8]]) {
    let room = i32::try_from(values.len()).unwrap_or(0);
    ffi::lua_createtable(lua, room, 0);
    for (index, value) in (1..).zip(values) {
        push(lua, value);
        ffi::lua_rawseti_(lua, -2, index);
    }
}

/// Pushes the function of a chunk; else gives the reason.
///
/// # Safety
/// Nothing runs in the state.
unsafe fn compile_on_top(
    instance: &Instance,
    chunk: &[u8],
    name: &std::ffi::CStr,
) -> Result<(), Vec<u8>> {
    let (lua, heap) = (instance.lua, instance.heap);
    (*heap).guarded = true;
    let compiled = compile(lua, chunk, name);
    (*heap).guarded = false;
    if compiled {
        return Ok(());
    }
    let reason = bytes(lua, -1).unwrap_or_default().to_vec();
    ffi::lua_pop(lua, 1);
    Err(reason)
}

/// The reply of a script that failed; what it raised is on the top.
unsafe fn failed(lua: *mut lua_State, name: &Name, replier: &mut Replier<'_>) -> CmdResult {
    if ffi::lua_type(lua, -1) != ffi::LUA_TTABLE {
        const SHOWN_BYTES: usize = 100;
        let text = bytes(lua, -1).unwrap_or(b"execution failure");
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        let mut line = format!("Error running script {name}, ").into_bytes();
        line.extend_from_slice(&text[..text.len().min(SHOWN_BYTES)]);
        return Err(CmdError::err(line));
    }
    let ErrorTable {
        mut line,
        place,
        counted,
    } = error_table(lua);
    if let Some((source, number)) = place {
        line.extend_from_slice(format!(" script: {name}, on ").as_bytes());
        line.extend_from_slice(&source);
        line.push(b':');
        line.extend_from_slice(&number);
        line.push(b'.');
    }
    if counted {
        replier.error(&line, true);
        return REPLIED;
    }
    Err(CmdError::line(line))
}

fn sha_of(body: &[u8]) -> Sha {
    api::hex(&Sha1::digest(body))
}

impl Interpreter for Vm {
    fn load(&mut self, body: &[u8]) -> Result<Sha, CmdError> {
        let sha = sha_of(body);
        match self.scripts.find(&sha) {
            Some(place) => self.scripts.keep(place),
            None => {
                self.add(body, sha, true)?;
            }
        }
        Ok(sha)
    }

    fn exists(&self, sha: &[u8]) -> bool {
        self.scripts.find(sha).is_some()
    }

    fn flush(&mut self) -> Option<Box<dyn Send>> {
        if self.active.is_some() {
            return None;
        }
        let new = Instance::new(Purpose::Scripts);
        let old = std::mem::replace(&mut *self.eval, new);
        let scripts = std::mem::take(&mut self.scripts);
        Some(Box::new((old, scripts)))
    }

    fn load_library(
        &mut self,
        chunk: &[u8],
        clock: &mut Clock,
        limit: Duration,
    ) -> Result<Vec<NewFunction>, CmdError> {
        if self.active.is_some() {
            return Err(CmdError::err(
                "A library can't be loaded while a script runs",
            ));
        }
        let deadline_ns = clock.now_ns().saturating_add(limit.as_nanos() as u64);
        let mut load = Load::new(clock, deadline_ns);
        let (lua, heap) = (self.functions.lua, self.functions.heap);
        // SAFETY: nothing runs in the state; what runs is protected.
        unsafe {
            ffi::lua_settop(lua, bottom::COUNT);
            let loaded = compile_on_top(&self.functions, chunk, c"@user_function")
                .map_err(|reason| failed_with(b"Error compiling function: ", &reason))
                .and_then(|()| self.run_library(&mut load));
            self.clean(lua, heap);
            if let Err(error) = loaded {
                self.forget_functions(&mut load.functions.iter().map(|new| new.reference));
                return Err(error);
            }
        }
        Ok(load.functions)
    }

    fn forget_functions(&mut self, references: &mut dyn Iterator<Item = i32>) {
        let lua = self.functions.lua;
        for reference in references {
            // SAFETY: sets a field of the registry, which does not raise.
            unsafe { ffi::luaL_unref(lua, ffi::LUA_REGISTRYINDEX, reference) };
        }
    }

    fn flush_functions(&mut self) -> Option<Box<dyn Send>> {
        if self.active.is_some() {
            return None;
        }
        let new = Instance::new(Purpose::Functions);
        Some(Box::new(std::mem::replace(&mut *self.functions, new)))
    }

    fn flags(&self, script: &[u8], by_sha: bool) -> Option<ScriptFlags> {
        if by_sha {
            let place = self.scripts.find(script)?;
            return Some(self.scripts.at(place).flags);
        }
        shebang::parse(script).ok().map(|(flags, _)| flags)
    }

    fn relocate(&mut self, from: usize, count: usize, mover: &mut Mover) -> bool {
        self.scripts.relocate(from, count, mover)
    }

    fn figures(&self) -> ScriptFigures {
        ScriptFigures {
            vm_bytes: self.eval.used_bytes(),
            functions_vm_bytes: self.functions.used_bytes(),
            scripts: self.scripts.len(),
            scripts_bytes: self.scripts.bytes(),
        }
    }

    fn run(
        &mut self,
        server: &mut Server,
        id: ClientId,
        argv: &[&[u8]],
        call: ScriptCall,
    ) -> Progress {
        let prepared = self.begin(server, id, argv, call);
        match prepared {
            Ok(()) => self.turn(server),
            Err(error) => Progress::Ended(Err(error)),
        }
    }

    fn proceed(&mut self, server: &mut Server) -> Progress {
        self.run.turn_ns = server.clock.now_ns();
        self.turn(server)
    }
}

impl Vm {
    /// The script of a call, compiled if need be: what it declares, and its
    /// function. It is the one whose name is told.
    fn script(
        &mut self,
        text: &[u8],
        source: ScriptSource,
    ) -> Result<(ScriptFlags, i32), CmdError> {
        let place = if source == ScriptSource::Digest {
            self.scripts.find(text).ok_or_else(no_script)?
        } else {
            let sha = sha_of(text);
            match self.scripts.find(&sha) {
                Some(place) => place,
                None => self.add(text, sha, false)?,
            }
        };
        let script = self.scripts.call(place);
        self.run.name = Name::Script(script.sha);
        Ok((script.flags, script.function))
    }

    /// Makes the script of a call the active one.
    fn begin(
        &mut self,
        server: &mut Server,
        id: ClientId,
        argv: &[&[u8]],
        call: ScriptCall,
    ) -> Result<(), CmdError> {
        let (keys, args) = argv[3..].split_at(call.keys);
        let (flags, instance, args_given) = if call.source == ScriptSource::Function {
            let function = server.functions.shared(argv[1]).ok_or_else(no_function)?;
            scripting::may_begin(server, function.flags, call.read_only)?;
            self.prepare_function(function.reference, keys, args);
            let flags = function.flags;
            self.run.name = Name::Function(function);
            (flags, &self.functions, 2)
        } else {
            let (flags, function) = self.script(argv[1], call.source)?;
            scripting::may_begin(server, flags, call.read_only)?;
            self.prepare_script(function, keys, args);
            (flags, &self.eval, 0)
        };
        let (lua, heap) = (instance.lua, instance.heap);
        let script = ManuallyDrop::new(self.coroutine((lua, heap), args_given)?);
        let run = &mut *self.run;
        run.slow = false;
        run.began_ns = server.now_ns;
        run.turn_ns = server.now_ns;
        let state = &mut run.state;
        state.client = id;
        state.db = server.client(id).db;
        state.resp3 = false;
        state.read_only = call.read_only || (flags.declared && flags.no_writes);
        state.allow_oom = flags.declared && flags.allow_oom;
        state.repeated_by = ScriptState::REPEATED_BY_ALL;
        self.active = Some(Active { script, lua, heap });
        Ok(())
    }
}
