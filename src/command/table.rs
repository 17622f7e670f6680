//! What a command is: one row of a family's table, from which everything
//! else (COMMAND, ACL, gates, statistics, documentation) is derived.
//!
//! Rows are `const` data built with the methods of [`Command`]; fields follow
//! <https://redis.io/docs/latest/commands/command/> and `command-docs`.

use super::ctx::{Args, CmdResult, Ctx};
use super::keyspec::{KeyFinder, RUNS_MAX};
use crate::engine::{ClientId, Server};

/// A command on data: pure, sees its arguments, one keyspace, its reply.
pub type DataFn = fn(&mut Ctx<'_>) -> CmdResult;
/// A command on the server itself: configuration, clients, statistics.
pub type ServerFn = fn(&mut Server, ClientId, Args<'_>) -> CmdResult;

/// What runs when the command is called.
#[derive(Clone, Copy)]
pub enum Handler {
    /// Works on the keyspace only.
    Data(DataFn),
    /// Works on the whole server.
    Server(ServerFn),
    /// Has subcommands and does nothing of its own.
    Container,
}

/// One row: a command or a subcommand.
pub struct Command {
    /// Upper case, as COMMAND DOCS groups write it ("SET", subcommand "GETNAME").
    pub name: &'static str,
    /// Argument count with the name(s); negative: at least that many.
    pub arity: i16,
    /// What runs.
    pub handler: Handler,
    /// `flag::*` bits.
    pub flags: u32,
    /// `cat::*` bits beyond those that the flags imply.
    pub categories: u32,
    /// Where the keys are.
    pub keys: &'static [KeySpec],
    /// Tells the keys where the specifications cannot.
    pub key_finder: Option<KeyFinder>,
    /// Which arguments are channels that it publishes or subscribes to.
    pub channels: ChannelArgs,
    /// Hints for clients and proxies (COMMAND TIPS).
    pub tips: &'static [&'static str],
    /// One sentence, in our words.
    pub summary: &'static str,
    /// Redis version that introduced it.
    pub since: &'static str,
    /// COMMAND DOCS group.
    pub group: Group,
    /// Time complexity, or "" when none is given.
    pub complexity: &'static str,
    /// Arguments in the notation of `command::docs`, e.g.
    /// `key:key value:string [condition:(NX | XX)] [EX seconds:integer]`.
    pub syntax: &'static str,
    /// (version, change) pairs.
    pub history: &'static [(&'static str, &'static str)],
    /// (version, replacement) when deprecated.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// Subcommands of a container.
    pub subcommands: &'static [Command],
}

/// COMMAND DOCS group of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// String commands.
    String,
    /// Commands on keys of any type.
    Generic,
    /// Connection commands.
    Connection,
    /// Server commands.
    Server,
    /// Bitmap commands.
    Bitmap,
    /// Hash commands.
    Hash,
    /// List commands.
    List,
    /// Set commands.
    Set,
    /// Sorted set commands.
    SortedSet,
    /// HyperLogLog commands.
    HyperLogLog,
    /// Geo commands.
    Geo,
    /// Stream commands.
    Stream,
    /// Pub/Sub commands.
    PubSub,
    /// Transactions.
    Transactions,
    /// Scripts and functions.
    Scripting,
    /// Cluster commands.
    Cluster,
}

impl Group {
    /// The name that COMMAND DOCS prints.
    pub const fn name(self) -> &'static str {
        match self {
            Group::String => "string",
            Group::Generic => "generic",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Bitmap => "bitmap",
            Group::Hash => "hash",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::HyperLogLog => "hyperloglog",
            Group::Geo => "geo",
            Group::Stream => "stream",
            Group::PubSub => "pubsub",
            Group::Transactions => "transactions",
            Group::Scripting => "scripting",
            Group::Cluster => "cluster",
        }
    }
}

/// Command flags, named as COMMAND INFO prints them.
#[allow(missing_docs)]
pub mod flag {
    pub const WRITE: u32 = 1;
    pub const READONLY: u32 = 1 << 1;
    pub const DENYOOM: u32 = 1 << 2;
    pub const ADMIN: u32 = 1 << 3;
    pub const PUBSUB: u32 = 1 << 4;
    pub const NOSCRIPT: u32 = 1 << 5;
    pub const BLOCKING: u32 = 1 << 6;
    pub const LOADING: u32 = 1 << 7;
    pub const STALE: u32 = 1 << 8;
    pub const SKIP_MONITOR: u32 = 1 << 9;
    pub const SKIP_SLOWLOG: u32 = 1 << 10;
    pub const ASKING: u32 = 1 << 11;
    pub const FAST: u32 = 1 << 12;
    pub const NO_AUTH: u32 = 1 << 13;
    pub const MAY_REPLICATE: u32 = 1 << 14;
    pub const NO_MANDATORY_KEYS: u32 = 1 << 15;
    pub const PROTECTED: u32 = 1 << 16;
    pub const NO_ASYNC_LOADING: u32 = 1 << 17;
    pub const NO_MULTI: u32 = 1 << 18;
    pub const ALLOW_BUSY: u32 = 1 << 19;
    pub const SENTINEL: u32 = 1 << 20;
    pub const ONLY_SENTINEL: u32 = 1 << 21;
    /// Keys are not only at fixed places (printed as `movablekeys`; derived).
    pub const MOVABLE_KEYS: u32 = 1 << 22;
    /// Wants its arguments' keys touched neither in LRU nor in statistics.
    pub const NO_TOUCH: u32 = 1 << 23;
    /// Reads keys that its arguments do not name (SCAN, RANDOMKEY; not printed).
    pub const TOUCHES_ARBITRARY_KEYS: u32 = 1 << 24;
    /// Meant for servers and tests, not for users (a doc flag, printed as `syscmd`).
    pub const SYSCMD: u32 = 1 << 25;
    /// Executed at once in a transaction too (not printed).
    pub const UNQUEUED: u32 = 1 << 26;
    /// Allowed to a subscriber in RESP2 too (not printed).
    pub const WHILE_SUBSCRIBED: u32 = 1 << 27;
}

/// ACL categories, named as ACL CAT prints them.
#[allow(missing_docs)]
pub mod cat {
    pub const KEYSPACE: u32 = 1;
    pub const READ: u32 = 1 << 1;
    pub const WRITE: u32 = 1 << 2;
    pub const SET: u32 = 1 << 3;
    pub const SORTEDSET: u32 = 1 << 4;
    pub const LIST: u32 = 1 << 5;
    pub const HASH: u32 = 1 << 6;
    pub const STRING: u32 = 1 << 7;
    pub const BITMAP: u32 = 1 << 8;
    pub const HYPERLOGLOG: u32 = 1 << 9;
    pub const GEO: u32 = 1 << 10;
    pub const STREAM: u32 = 1 << 11;
    pub const PUBSUB: u32 = 1 << 12;
    pub const ADMIN: u32 = 1 << 13;
    pub const FAST: u32 = 1 << 14;
    pub const SLOW: u32 = 1 << 15;
    pub const BLOCKING: u32 = 1 << 16;
    pub const DANGEROUS: u32 = 1 << 17;
    pub const CONNECTION: u32 = 1 << 18;
    pub const TRANSACTION: u32 = 1 << 19;
    pub const SCRIPTING: u32 = 1 << 20;
}

/// Key spec flags, named as COMMAND INFO prints them.
#[allow(missing_docs)]
pub mod kflag {
    pub const RO: u32 = 1;
    pub const RW: u32 = 1 << 1;
    pub const OW: u32 = 1 << 2;
    pub const RM: u32 = 1 << 3;
    pub const ACCESS: u32 = 1 << 4;
    pub const UPDATE: u32 = 1 << 5;
    pub const INSERT: u32 = 1 << 6;
    pub const DELETE: u32 = 1 << 7;
    pub const NOT_KEY: u32 = 1 << 8;
    pub const INCOMPLETE: u32 = 1 << 9;
    pub const VARIABLE_FLAGS: u32 = 1 << 10;
}

/// Where to begin looking for keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begin {
    /// Argument index.
    Index(i32),
    /// After this keyword, searched from the given index (negative: from the end).
    Keyword(&'static str, i32),
    /// Cannot be told from the specification.
    Unknown,
}

/// How to find the keys from there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Find {
    /// (last key relative to the first, negative from the end; step; limit).
    Range(i32, i32, i32),
    /// (index of the count, index of the first key, step), all relative.
    KeyNum(i32, i32, i32),
    /// Cannot be told from the specification.
    Unknown,
}

/// One key specification: <https://redis.io/docs/latest/develop/reference/key-specs/>.
pub struct KeySpec {
    /// `kflag::*` bits.
    pub flags: u32,
    /// Where to begin.
    pub begin: Begin,
    /// How to go on.
    pub find: Find,
    /// Remark for COMMAND INFO, or "".
    pub notes: &'static str,
}

/// Which arguments are channels that a user must be allowed to use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChannelArgs {
    /// None (nor are those that a subscriber takes leave of).
    None,
    /// The first.
    First,
    /// All.
    All,
    /// All, as patterns.
    AllPatterns,
}

/// Key specification that starts at a fixed argument.
pub const fn keys_at(flags: u32, index: i32, find: Find) -> KeySpec {
    KeySpec {
        flags,
        begin: Begin::Index(index),
        find,
        notes: "",
    }
}
/// A single key at a fixed argument.
pub const fn key_at(flags: u32, index: i32) -> KeySpec {
    keys_at(flags, index, Find::Range(0, 1, 0))
}
/// Keys after a keyword searched from an argument index (negative: backwards from the end).
pub const fn keys_after(flags: u32, keyword: &'static str, from: i32, find: Find) -> KeySpec {
    KeySpec {
        flags,
        begin: Begin::Keyword(keyword, from),
        find,
        notes: "",
    }
}
/// Keys whose places no specification can tell.
pub const fn unknown_keys(flags: u32) -> KeySpec {
    KeySpec {
        flags,
        begin: Begin::Unknown,
        find: Find::Unknown,
        notes: "",
    }
}

impl KeySpec {
    /// With a remark for COMMAND INFO.
    pub const fn notes(self, notes: &'static str) -> KeySpec {
        KeySpec { notes, ..self }
    }
}

impl Command {
    const fn new(name: &'static str, arity: i16, handler: Handler) -> Command {
        Command {
            name,
            arity,
            handler,
            flags: 0,
            categories: 0,
            keys: &[],
            key_finder: None,
            channels: ChannelArgs::None,
            tips: &[],
            summary: "",
            since: "1.0.0",
            group: Group::Generic,
            complexity: "O(1)",
            syntax: "",
            history: &[],
            deprecated: None,
            subcommands: &[],
        }
    }
    /// A command on data.
    pub const fn data(name: &'static str, arity: i16, handler: DataFn) -> Command {
        Command::new(name, arity, Handler::Data(handler))
    }
    /// A command on the server.
    pub const fn server(name: &'static str, arity: i16, handler: ServerFn) -> Command {
        Command::new(name, arity, Handler::Server(handler))
    }
    /// A command that only has subcommands.
    pub const fn container(
        name: &'static str,
        arity: i16,
        subcommands: &'static [Command],
    ) -> Command {
        Command {
            subcommands,
            ..Command::new(name, arity, Handler::Container)
        }
    }
    /// With subcommands beside a handler of its own (COMMAND).
    pub const fn subcommands(self, subcommands: &'static [Command]) -> Command {
        Command {
            subcommands,
            ..self
        }
    }
    /// With these `flag::*` bits.
    pub const fn flags(self, flags: u32) -> Command {
        Command { flags, ..self }
    }
    /// With these `cat::*` bits beyond the implied ones.
    pub const fn acl(self, categories: u32) -> Command {
        Command { categories, ..self }
    }
    /// With these key specifications, at most [`RUNS_MAX`].
    pub const fn keys(self, keys: &'static [KeySpec]) -> Command {
        assert!(
            keys.len() <= RUNS_MAX,
            "more key specifications than Keys holds"
        );
        Command { keys, ..self }
    }
    /// With this function of `command::keyspec` where the specifications cannot tell the keys.
    pub const fn key_finder(self, finder: KeyFinder) -> Command {
        Command {
            key_finder: Some(finder),
            ..self
        }
    }
    /// With these arguments as channels.
    pub const fn channels(self, channels: ChannelArgs) -> Command {
        Command { channels, ..self }
    }
    /// With these tips.
    pub const fn tips(self, tips: &'static [&'static str]) -> Command {
        Command { tips, ..self }
    }
    /// Summary, version, group and complexity.
    pub const fn doc(
        self,
        group: Group,
        since: &'static str,
        complexity: &'static str,
        summary: &'static str,
    ) -> Command {
        Command {
            group,
            since,
            complexity,
            summary,
            ..self
        }
    }
    /// Arguments in the notation of `command::docs`.
    pub const fn syntax(self, syntax: &'static str) -> Command {
        Command { syntax, ..self }
    }
    /// Changes by version.
    pub const fn history(self, history: &'static [(&'static str, &'static str)]) -> Command {
        Command { history, ..self }
    }
    /// Deprecated since a version, replaced by something.
    pub const fn deprecated(self, since: &'static str, by: &'static str) -> Command {
        Command {
            deprecated: Some((since, by)),
            ..self
        }
    }
}
