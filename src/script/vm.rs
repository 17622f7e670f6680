//! The interpreter: compiled scripts by their digests, and the one that runs.
//!
//! A script runs on a stack of its own. One that takes long is left there, so
//! that the server can answer others, and gone on with later.
//!
//! # Unsafe invariants
//! Those of `heap`. The state and the heap belong to the [`Vm`], and are used by
//! whoever has it: the executor, one thread at a time. A coroutine that was left
//! is finished or, at the end of the process, forgotten; it is never unwound.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn)]

use std::collections::HashMap;
use std::mem::ManuallyDrop;

use corosensei::stack::{DefaultStack, Stack};
use corosensei::{Coroutine, CoroutineResult};
use mlua::ffi::{self, lua_State};
use sha1::{Digest, Sha1};

use super::convert::{ErrorTable, Replier, error_table};
use super::fibers;
use super::heap::{self, Heap, Run, bytes, push};
use super::shebang;
use super::state::{self, bottom};
use super::{api, state::compile};
use crate::command::ctx::{CmdError, CmdResult, REPLIED};
use crate::commands::scripting::no_script;
use crate::engine::scripts::{Interpreter, Progress, ScriptCall, ScriptFigures, ScriptFlags};
use crate::engine::{ClientId, Server};
use crate::exec::scripting::{self, ScriptState};
use crate::resp::Output;

/// Bytes of the stack that scripts run on.
const STACK_BYTES: usize = 4 << 20;
/// Scripts that came with EVAL and are kept.
const EVALS_MAX: usize = 500;
/// Scripts between two steps of the collector, which works by itself too when
/// memory has grown.
const COLLECT_EVERY: u32 = 1000;

type Sha = [u8; 40];
type Script = Coroutine<(), (), i32, DefaultStack>;

/// A compiled script.
struct Compiled {
    flags: ScriptFlags,
    /// Its function in the registry of the state.
    function: i32,
    body_bytes: usize,
    /// It came with SCRIPT LOAD: it is kept until SCRIPT FLUSH.
    loaded: bool,
    /// Number of the call that used it last.
    used: u64,
}

/// A script that is running or paused.
struct Active {
    script: ManuallyDrop<Script>,
    run: Box<Run>,
}

/// See the top of the file.
pub struct Vm {
    lua: *mut lua_State,
    heap: *mut Heap,
    scripts: HashMap<Sha, Compiled, ahash::RandomState>,
    evals: usize,
    body_bytes: usize,
    calls: u64,
    active: Option<Active>,
    stack: Option<DefaultStack>,
    /// A buffer for the replies of the commands that scripts call.
    replies: Output,
    until_collection: u32,
}

// SAFETY: nothing in it belongs to a thread; see the top of the file.
unsafe impl Send for Vm {}

impl Drop for Vm {
    fn drop(&mut self) {
        // A script that was left still uses the state.
        if self.active.is_none() {
            self.close();
        }
    }
}

impl Vm {
    /// An interpreter that knows no scripts.
    ///
    /// # Panics
    /// When there is no memory for it.
    pub fn new() -> Vm {
        let (lua, heap) = open();
        Vm {
            lua,
            heap,
            scripts: HashMap::default(),
            evals: 0,
            body_bytes: 0,
            calls: 0,
            active: None,
            stack: None,
            replies: Output::default(),
            until_collection: COLLECT_EVERY,
        }
    }

    fn close(&mut self) {
        // SAFETY: nothing runs in the state; the heap was leaked for it.
        unsafe {
            ffi::lua_close(self.lua);
            drop(Box::from_raw(self.heap));
        }
    }

    /// The script of a digest, compiled if need be.
    fn add(&mut self, body: &[u8], sha: Sha, loaded: bool) -> Result<(), CmdError> {
        if let Some(script) = self.scripts.get_mut(&sha) {
            if loaded && !script.loaded {
                script.loaded = true;
                self.evals -= 1;
            }
            return Ok(());
        }
        let (flags, skipped) = shebang::parse(body)?;
        let function = self.compile(&body[skipped..])?;
        let script = Compiled {
            flags,
            function,
            body_bytes: body.len(),
            loaded,
            used: self.calls,
        };
        self.body_bytes += body.len();
        self.scripts.insert(sha, script);
        if !loaded {
            self.evals += 1;
            if self.evals > EVALS_MAX {
                self.forget_oldest();
            }
        }
        Ok(())
    }

    /// Forgets the script of EVAL that has not been used for longest.
    fn forget_oldest(&mut self) {
        let evals = self.scripts.iter().filter(|(_, script)| !script.loaded);
        let oldest = evals.min_by_key(|(_, script)| script.used);
        let Some(sha) = oldest.map(|(sha, _)| *sha) else {
            return;
        };
        if let Some(script) = self.scripts.remove(&sha) {
            self.evals -= 1;
            self.body_bytes -= script.body_bytes;
            // SAFETY: sets a field of the registry, which does not raise.
            unsafe { ffi::luaL_unref(self.lua, ffi::LUA_REGISTRYINDEX, script.function) };
        }
    }

    fn compile(&mut self, chunk: &[u8]) -> Result<i32, CmdError> {
        // SAFETY: compiling is protected; the rest runs unguarded.
        unsafe {
            (*self.heap).guarded = true;
            let compiled = compile(self.lua, chunk, c"@user_script");
            (*self.heap).guarded = false;
            if compiled {
                return Ok(ffi::luaL_ref(self.lua, ffi::LUA_REGISTRYINDEX));
            }
            let mut text = b"Error compiling script (new function): ".to_vec();
            let reason = bytes(self.lua, -1).unwrap_or_default();
            text.extend(reason.split(|byte| *byte == 0).next().unwrap_or_default());
            ffi::lua_pop(self.lua, 1);
            Err(CmdError::err(text))
        }
    }

    /// Puts the function and its arguments in place.
    fn prepare(&mut self, function: i32, keys: &[&[u8]], args: &[&[u8]]) {
        let lua = self.lua;
        // SAFETY: unguarded, so nothing raises.
        unsafe {
            ffi::lua_settop(lua, bottom::COUNT);
            ffi::lua_rawgeti_(lua, ffi::LUA_REGISTRYINDEX, function);
            // The last call may have set another one.
            ffi::lua_pushvalue(lua, bottom::LOCKED_GLOBALS);
            ffi::lua_setfenv(lua, -2);
            for (name, values) in [(b"KEYS", keys), (b"ARGV", args)] {
                push(lua, name);
                let room = i32::try_from(values.len()).unwrap_or(0);
                ffi::lua_createtable(lua, room, 0);
                for (index, value) in (1..).zip(values) {
                    push(lua, value);
                    ffi::lua_rawseti_(lua, -2, index);
                }
                ffi::lua_rawset(lua, bottom::GLOBALS);
            }
        }
    }

    /// Gives the active script a turn.
    fn turn(&mut self, server: &mut Server) -> Progress {
        let Some(active) = &mut self.active else {
            return Progress::Ended(REPLIED);
        };
        let run: *mut Run = &mut *active.run;
        let now_ns = server.clock.now_ns();
        // SAFETY: the server is lent to the script until `resume` returns.
        let result = unsafe {
            (*run).server = server;
            (*run).turn_ns = now_ns;
            (*self.heap).run = run;
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
                Progress::Ended(self.end(server, *active.run, status))
            }
        }
    }

    /// Replies with what the script has left on the stack.
    fn end(&mut self, server: &mut Server, run: Run, status: i32) -> CmdResult {
        let lua = self.lua;
        // SAFETY: unguarded, so nothing raises.
        let result = unsafe {
            (*self.heap).run = std::ptr::null_mut();
            let id = run.state.client;
            let mut replier = Replier {
                server,
                id,
                script_resp3: run.state.resp3,
            };
            if status == 0 {
                replier.value(lua);
                REPLIED
            } else {
                failed(lua, &run.name, &mut replier)
            }
        };
        self.replies = run.state.replies;
        // SAFETY: as above. A script may have set other globals for the state.
        unsafe {
            ffi::lua_settop(lua, bottom::COUNT);
            ffi::lua_pushvalue(lua, bottom::LOCKED_GLOBALS);
            ffi::lua_replace(lua, ffi::LUA_GLOBALSINDEX);
            self.until_collection -= 1;
            if self.until_collection == 0 {
                self.until_collection = COLLECT_EVERY;
                ffi::lua_gc(lua, ffi::LUA_GCSTEP, COLLECT_EVERY as i32);
            }
            if (*self.heap).used > heap::BYTES_MAX / 2 {
                ffi::lua_gc(lua, ffi::LUA_GCCOLLECT, 0);
            }
        }
        result
    }

    fn coroutine(&mut self) -> Result<Script, CmdError> {
        let stack = match self.stack.take() {
            Some(stack) => stack,
            None => DefaultStack::new(STACK_BYTES)
                .map_err(|error| CmdError::err(format!("No stack for the script: {error}")))?,
        };
        fibers::made(&stack);
        // SAFETY: nothing runs in the state.
        unsafe { (*self.heap).stack_low = stack.limit().get() + heap::STACK_KEPT_BYTES };
        let (lua, heap) = (self.lua as usize, self.heap as usize);
        Ok(Coroutine::with_stack(stack, move |yielder, ()| {
            fibers::entered();
            let (lua, heap) = (lua as *mut lua_State, heap as *mut Heap);
            // SAFETY: the function is on the top; the call is protected.
            unsafe {
                (*(*heap).run).yielder = yielder;
                (*heap).guarded = true;
                let status = ffi::lua_pcall(lua, 0, 1, bottom::ON_ERROR);
                (*heap).guarded = false;
                fibers::leaving();
                status
            }
        }))
    }
}

fn open() -> (*mut lua_State, *mut Heap) {
    let heap = Box::into_raw(Box::new(Heap::new()));
    // SAFETY: the heap is leaked until the state is closed.
    let lua = unsafe { state::open(heap) };
    assert!(!lua.is_null(), "memory for the interpreter of scripts");
    (lua, heap)
}

/// The reply of a script that failed; what it raised is on the top.
unsafe fn failed(lua: *mut lua_State, name: &str, replier: &mut Replier<'_>) -> CmdResult {
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

/// A digest as it was given, which may be in upper case.
fn sha_given(text: &[u8]) -> Option<Sha> {
    let mut sha: Sha = text.try_into().ok()?;
    sha.make_ascii_lowercase();
    Some(sha)
}

impl Interpreter for Vm {
    fn load(&mut self, body: &[u8]) -> Result<Sha, CmdError> {
        let sha = sha_of(body);
        self.add(body, sha, true)?;
        Ok(sha)
    }

    fn exists(&self, sha: &[u8]) -> bool {
        let sha: Result<Sha, _> = sha.try_into();
        sha.is_ok_and(|sha| self.scripts.contains_key(&sha))
    }

    fn flush(&mut self) {
        if self.active.is_some() {
            return;
        }
        self.close();
        (self.lua, self.heap) = open();
        self.scripts = HashMap::default();
        (self.evals, self.body_bytes) = (0, 0);
    }

    fn flags(&self, script: &[u8], by_sha: bool) -> Option<ScriptFlags> {
        if by_sha {
            return Some(self.scripts.get(&sha_given(script)?)?.flags);
        }
        shebang::parse(script).ok().map(|(flags, _)| flags)
    }

    fn figures(&self) -> ScriptFigures {
        const ENTRY_BYTES: usize = size_of::<Sha>() + size_of::<Compiled>();
        ScriptFigures {
            // SAFETY: the heap lives as long as this.
            vm_bytes: unsafe { (*self.heap).used },
            scripts: self.scripts.len(),
            scripts_bytes: self.body_bytes + self.scripts.capacity() * ENTRY_BYTES,
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
        self.turn(server)
    }
}

impl Vm {
    /// Makes the script of a call the active one.
    fn begin(
        &mut self,
        server: &mut Server,
        id: ClientId,
        argv: &[&[u8]],
        call: ScriptCall,
    ) -> Result<(), CmdError> {
        let sha = if call.by_sha {
            sha_given(argv[1]).ok_or_else(no_script)?
        } else {
            sha_of(argv[1])
        };
        self.calls += 1;
        let (flags, function) = match self.scripts.get_mut(&sha) {
            Some(script) => {
                script.used = self.calls;
                (script.flags, script.function)
            }
            None if call.by_sha => return Err(no_script()),
            None => {
                self.add(argv[1], sha, false)?;
                let script = self.scripts.get(&sha).ok_or_else(no_script)?;
                (script.flags, script.function)
            }
        };
        scripting::may_begin(server, flags, call.read_only)?;
        let (keys, args) = argv[3..].split_at(call.keys);
        self.prepare(function, keys, args);
        let state = ScriptState {
            client: id,
            db: server.client(id).db,
            resp3: false,
            read_only: call.read_only || (flags.declared && flags.no_writes),
            allow_oom: flags.declared && flags.allow_oom,
            repeated_by: 3,
            replies: std::mem::take(&mut self.replies),
            told: None,
        };
        let run = Box::new(Run {
            server: std::ptr::null_mut(),
            state,
            yielder: std::ptr::null(),
            name: String::from_utf8_lossy(&sha).into_owned(),
            began_ns: server.clock.now_ns(),
            turn_ns: 0,
            slow: false,
        });
        let script = ManuallyDrop::new(self.coroutine()?);
        self.active = Some(Active { script, run });
        Ok(())
    }
}
