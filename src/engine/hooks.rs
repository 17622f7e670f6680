//! What commands want of the process around the engine. The start-up fills
//! the hooks in; without it (in tests of the engine) they do nothing.

use super::peers::Dial;
use super::server::Server;
use crate::config::{Config, Effect};
use crate::util::Logged;

/// Brings about what a changed directive entails in the process.
pub type ApplyEffect = Box<dyn FnMut(&Config, Effect) -> Result<(), String> + Send>;
/// Does something to the process; returns only when it failed.
pub type ProcessAction = Box<dyn FnMut(&Config, Action) -> Result<(), String> + Send>;

/// Loads the append-only file, by running its commands; what failed is logged.
pub type Replay = fn(&mut Server) -> Result<(), Logged>;

/// Runs something on the server, under its lock; false when it is gone.
pub type Access = Box<dyn Fn(&mut dyn FnMut(&mut Server)) -> bool + Send>;
/// Work that only needs the server from time to time.
pub type Task = Box<dyn FnOnce(Access) + Send>;
/// Has a thread of this name do something.
pub type Spawn = Box<dyn Fn(&'static str, Task) -> Result<(), String> + Send>;

/// Things done to the whole process, for DEBUG.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Write where writing is not allowed.
    Segfault,
    /// Ask for more memory than there is.
    OutOfMemory,
    /// Start the program anew in place of this one.
    Restart,
}

/// The hooks.
#[derive(Default)]
pub struct Hooks {
    /// See [`ApplyEffect`].
    pub apply: Option<ApplyEffect>,
    /// See [`ProcessAction`].
    pub act: Option<ProcessAction>,
    /// See [`Dial`].
    pub dial: Option<Dial>,
    /// See [`Replay`].
    pub replay: Option<Replay>,
    /// See [`Spawn`].
    pub spawn: Option<Spawn>,
}

impl Server {
    /// Brings about an effect of CONFIG SET that concerns the process: `port`,
    /// `bind`, `proc-title-template`, `crash-log-enabled`, `maxclients`,
    /// `oom-score-adj`, `watchdog-period`, the allocator's threads. Others
    /// succeed without effect: they are not the process's.
    ///
    /// # Errors
    /// With Redis's text for CONFIG SET; nothing has changed then.
    pub fn apply_effect(&mut self, effect: Effect) -> Result<(), String> {
        if effect == Effect::MaxMemory {
            self.warn_of_maxmemory();
        }
        match &mut self.hooks.apply {
            Some(apply) => apply(&self.config, effect),
            None => Ok(()),
        }
    }

    /// Has a thread do something that only needs the server from time to time.
    ///
    /// # Errors
    /// Why there is no such thread.
    pub fn spawn(&self, name: &'static str, task: Task) -> Result<(), String> {
        match &self.hooks.spawn {
            Some(spawn) => spawn(name, task),
            None => Err("there is no process around the engine".into()),
        }
    }

    /// Says so when the limit is below what is used already.
    fn warn_of_maxmemory(&self) {
        let (limit, used) = (self.config.maxmemory_bytes, crate::stats::used::bytes());
        if limit > 0 && limit < used {
            tracing::warn!(
                "WARNING: the new maxmemory value set via CONFIG SET ({limit}) is smaller than \
                 the current memory usage ({used}). This will result in key eviction and/or the \
                 inability to accept new write commands depending on the maxmemory-policy."
            );
        }
    }

    /// Does something to the process.
    ///
    /// # Errors
    /// Why it could not be done.
    pub fn act(&mut self, action: Action) -> Result<(), String> {
        match &mut self.hooks.act {
            Some(act) => act(&self.config, action),
            None => Err("there is no process to act on".into()),
        }
    }
}
