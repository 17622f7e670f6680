//! What a command on data sees: its arguments, a database, its reply, the
//! limits, and nothing else.

use rand::rngs::SmallRng;

pub use super::args::Args;
pub use super::error::CmdError;
use super::permission;
use super::registry::Entry;
use crate::acl::User;
use crate::config::Config;
use crate::engine::Wait;
use crate::engine::scripts::ScriptCall;
use crate::keyspace::DbRef;
use crate::resp::Reply;

/// How a command ended well.
#[derive(Debug)]
pub enum Done {
    /// It has written its reply.
    Replied,
    /// EVAL and its kin: a script is to be run, which replies.
    Script(ScriptCall),
    /// EXEC: the queued commands are to be executed, which replies.
    Exec,
    /// It has written nothing, and wants to run again when there is reason to.
    Wait(Box<Wait>),
}

/// How a command ended.
pub type CmdResult = Result<Done, CmdError>;

/// The command has replied.
pub const REPLIED: CmdResult = Ok(Done::Replied);

/// How the command reads in the AOF and on replicas, where it differs from
/// what the client sent.
#[derive(Default, Debug)]
pub enum Propagation {
    /// As it came, if it changed anything.
    #[default]
    Verbatim,
    /// As these commands instead.
    As(Vec<Vec<Vec<u8>>>),
}

impl Propagation {
    /// Adds a command.
    pub fn push(&mut self, argv: &[&[u8]]) {
        let argv = argv.iter().map(|arg| arg.to_vec()).collect();
        match self {
            Propagation::As(commands) => commands.push(argv),
            Propagation::Verbatim => *self = Propagation::As(vec![argv]),
        }
    }
}

/// Who calls what.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// The user that the client acts as.
    pub user: &'a User,
    /// The command.
    pub command: &'a Entry,
    /// A script calls it.
    pub from_script: bool,
}

/// The context of one call.
pub struct Ctx<'a> {
    /// The arguments after the name.
    pub args: Args<'a>,
    /// The selected database.
    pub db: DbRef<'a>,
    /// Where the reply goes.
    pub reply: Reply<'a>,
    /// Randomness.
    pub rng: &'a mut SmallRng,
    /// Limits and thresholds.
    pub config: &'a Config,
    /// Bytes of output from which on nobody will read more: the client is about
    /// to be cut off, or wants no replies. Commands that may write far more stop
    /// there.
    pub reply_max_bytes: usize,
    /// What goes to AOF and replicas.
    pub propagation: &'a mut Propagation,
    /// For the few commands whose arguments do not tell all that they read.
    pub caller: Caller<'a>,
    /// The key whose appearance woke a command that waited: it is served from
    /// this one.
    pub woken_by: Option<&'a [u8]>,
}

impl Ctx<'_> {
    /// The time at which the command runs, Unix milliseconds.
    #[inline]
    pub fn now_ms(&self) -> i64 {
        self.db.now_ms()
    }

    /// Whether the user may read any key there is.
    pub fn may_read_all_keys(&self) -> bool {
        permission::may_read_all(self.caller.user, self.caller.command, self.args.argv())
    }

    /// Goes to AOF and replicas as this command instead of as it came.
    pub fn propagate_as(&mut self, argv: &[&[u8]]) {
        if self.is_heard() {
            self.propagation.push(argv);
        }
    }

    /// Whether there is an AOF or a replica to propagate to.
    #[inline]
    pub fn is_heard(&mut self) -> bool {
        self.db.keyspace().effects.record_expired
    }
}
