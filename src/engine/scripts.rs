//! What the engine knows of scripts. The interpreter itself is a layer above
//! execution, since scripts execute commands; it is put in at the start.

use std::time::Duration;

use super::client::ClientId;
use super::functions::NewFunction;
use super::server::Server;
use super::transactions::ExecRun;
use crate::command::ctx::{CmdError, CmdResult};
use crate::util::clock::Clock;
use crate::util::relocate::Mover;

/// What the first argument of a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScriptSource {
    /// The script.
    Text,
    /// The digest of one that is kept.
    Digest,
    /// The name of a function.
    Function,
}

/// What EVAL, FCALL and their kin are to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScriptCall {
    /// Where the code is.
    pub source: ScriptSource,
    /// Writes are refused.
    pub read_only: bool,
    /// Number of arguments that are keys.
    pub keys: usize,
}

/// What the first line of a script declares (`#!lua flags=…`).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ScriptFlags {
    /// There is such a line: what it does not declare does not hold.
    pub declared: bool,
    /// Does not write.
    pub no_writes: bool,
    /// Runs when memory is used up.
    pub allow_oom: bool,
    /// Runs on a replica with stale data.
    pub allow_stale: bool,
    /// Does not run in a cluster.
    pub no_cluster: bool,
    /// Uses keys of several slots.
    pub allow_cross_slot: bool,
}

/// Figures of the interpreter for INFO.
#[derive(Clone, Copy, Default, Debug)]
pub struct ScriptFigures {
    /// Memory of the interpreter of scripts, bytes.
    pub vm_bytes: usize,
    /// Memory of the interpreter of functions, bytes.
    pub functions_vm_bytes: usize,
    /// Scripts that are kept.
    pub scripts: usize,
    /// Memory of their texts and the list of them, bytes.
    pub scripts_bytes: usize,
}

/// How far a script has come.
pub enum Progress {
    /// It has ended: with its reply written, or an error to be written.
    Ended(CmdResult),
    /// It takes long: others get their turn before it goes on.
    Paused,
}

/// An interpreter of scripts.
pub trait Interpreter: Send {
    /// Compiles and keeps a script; gives its digest.
    ///
    /// # Errors
    /// What is wrong with it.
    fn load(&mut self, body: &[u8]) -> Result<[u8; 40], CmdError>;
    /// Whether a script of this digest, in hexadecimal, is kept.
    fn exists(&self, sha: &[u8]) -> bool;
    /// Forgets all scripts and all state: it is what is given, to be dropped.
    /// None while one runs.
    fn flush(&mut self) -> Option<Box<dyn Send>>;
    /// Runs the code of a library, and gives what it registers.
    ///
    /// # Errors
    /// What is wrong with it, or that it takes longer than `limit`.
    fn load_library(
        &mut self,
        code: &[u8],
        clock: &mut Clock,
        limit: Duration,
    ) -> Result<Vec<NewFunction>, CmdError>;
    /// Forgets functions.
    fn forget_functions(&mut self, references: &mut dyn Iterator<Item = i32>);
    /// Forgets all functions and all state of libraries; as `flush`.
    fn flush_functions(&mut self) -> Option<Box<dyn Send>>;
    /// What a script declares; none when it is not known or not well formed.
    fn flags(&self, script: &[u8], by_sha: bool) -> Option<ScriptFlags>;
    /// Figures for INFO.
    fn figures(&self) -> ScriptFigures;
    /// Gives the texts of up to `count` scripts to the mover, `from` having
    /// been gone through; whether there are more.
    fn relocate(&mut self, from: usize, count: usize, mover: &mut Mover) -> bool;
    /// Runs a script for a client; `argv` is the whole call.
    fn run(
        &mut self,
        server: &mut Server,
        id: ClientId,
        argv: &[&[u8]],
        call: ScriptCall,
    ) -> Progress;
    /// Lets the paused script run on for a while.
    fn proceed(&mut self, server: &mut Server) -> Progress;
}

/// A script that has run longer than `busy-reply-threshold`.
pub struct PausedScript {
    /// Its client, which stays until it ends.
    pub client: ClientId,
    /// The call, for logs.
    pub argv: Vec<bytes::Bytes>,
    /// The command.
    pub command: crate::command::registry::CommandId,
    /// It is a function.
    pub is_function: bool,
    /// The name of the function; empty for a script.
    pub name: Vec<u8>,
    /// The transaction that it is part of.
    pub exec: Option<Box<ExecRun>>,
    /// When it began, clock nanoseconds.
    pub began_ns: u64,
    /// Time as the script sees it, Unix milliseconds.
    pub now_ms: i64,
    /// The connection ended meanwhile.
    pub client_gone: bool,
    /// The I/O thread that lets it go on.
    pub thread: usize,
}

/// Scripts of a server.
#[derive(Default)]
pub struct Scripts {
    /// The interpreter; none while a script runs, or where there is none.
    pub interpreter: Option<Box<dyn Interpreter>>,
    /// A script has the engine: commands that run are its own.
    pub calling: bool,
    /// A script waits for its next turn.
    pub paused: Option<Box<PausedScript>>,
    /// The running script has written.
    pub has_written: bool,
    /// A command that only reads was called.
    pub has_read: bool,
    /// There is an error in its reply.
    pub has_failed: bool,
    /// SCRIPT KILL wants the running script to end.
    pub kill: bool,
    /// Commands that are not for scripts may be called all the same (DEBUG).
    pub allow_denied: bool,
    /// Whether the running script may be paused: not while a log is repeated.
    pub may_pause: bool,
}

impl Server {
    /// Figures of scripts for INFO.
    pub fn script_figures(&self) -> ScriptFigures {
        self.scripts
            .interpreter
            .as_ref()
            .map_or_else(ScriptFigures::default, |interpreter| interpreter.figures())
    }

    /// Whether a script holds everybody up.
    #[inline]
    pub fn is_busy(&self) -> bool {
        self.scripts.paused.is_some()
    }

    /// The refusal of all that is to wait for the end of a script or a function.
    pub fn busy(&self) -> CmdError {
        let paused = self.scripts.paused.as_ref();
        if paused.is_some_and(|paused| paused.is_function) {
            return CmdError::coded(
                "BUSY",
                "Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN \
                 NOSAVE.",
            );
        }
        CmdError::coded(
            "BUSY",
            "Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        )
    }

    /// Ends the paused script, or function.
    ///
    /// # Errors
    /// There is none, it has written, or it is the other kind.
    pub fn kill_script(&mut self, function: bool) -> Result<(), CmdError> {
        let Some(paused) = &self.scripts.paused else {
            return Err(CmdError::coded(
                "NOTBUSY",
                "No scripts in execution right now.",
            ));
        };
        if self.scripts.has_written {
            return Err(CmdError::coded(
                "UNKILLABLE",
                "Sorry the script already executed write commands against the dataset. You can \
                 either wait the script termination or kill the server in a hard way using the \
                 SHUTDOWN NOSAVE command.",
            ));
        }
        if paused.is_function != function {
            return Err(self.busy());
        }
        self.scripts.kill = true;
        Ok(())
    }
}
