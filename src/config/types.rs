//! The values that directives take beside numbers, flags and plain text.

/// An enumeration of named values; a value may have several names, of which
/// the first is the one that is printed.
pub trait Choice: Copy + PartialEq + Sized + 'static {
    /// Names in the order in which error messages list them.
    const NAMES: &'static [(&'static str, u32)];

    /// The number that stands for the value in [`Choice::NAMES`].
    fn code(self) -> u32;

    /// The value of a number out of [`Choice::NAMES`]; any other number gives
    /// the first value.
    fn from_code(code: u32) -> Self;
}

macro_rules! choices {
    ($(
        $(#[$doc:meta])*
        $type:ident { $($(#[$value_doc:meta])* $value:ident = $($name:literal)|+,)+ }
    )+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $type {
            $($(#[$value_doc])* $value,)+
        }

        impl Choice for $type {
            const NAMES: &'static [(&'static str, u32)] =
                &[$($(($name, $type::$value as u32),)+)+];

            fn code(self) -> u32 {
                self as u32
            }

            fn from_code(code: u32) -> $type {
                const VALUES: &[$type] = &[$($type::$value,)+];
                *VALUES.get(code as usize).unwrap_or(&VALUES[0])
            }
        }

        impl $type {
            /// The name as CONFIG GET prints it.
            pub fn name(self) -> &'static str {
                Self::NAMES[Self::NAMES.iter().position(|(_, code)| *code == self as u32).unwrap_or(0)].0
            }
        }
    )+};
}

choices! {
    /// What to do when `maxmemory` is reached.
    MaxmemoryPolicy {
        /// Least recently used key that has a TTL.
        VolatileLru = "volatile-lru",
        /// Least frequently used key that has a TTL.
        VolatileLfu = "volatile-lfu",
        /// Any key that has a TTL.
        VolatileRandom = "volatile-random",
        /// The key that expires soonest.
        VolatileTtl = "volatile-ttl",
        /// Least recently used key.
        AllkeysLru = "allkeys-lru",
        /// Least frequently used key.
        AllkeysLfu = "allkeys-lfu",
        /// Any key.
        AllkeysRandom = "allkeys-random",
        /// Refuse writes instead.
        Noeviction = "noeviction",
    }

    /// The syslog facility that messages are sent to.
    SyslogFacility {
        /// LOG_USER.
        User = "user",
        /// LOG_LOCAL0.
        Local0 = "local0",
        /// LOG_LOCAL1.
        Local1 = "local1",
        /// LOG_LOCAL2.
        Local2 = "local2",
        /// LOG_LOCAL3.
        Local3 = "local3",
        /// LOG_LOCAL4.
        Local4 = "local4",
        /// LOG_LOCAL5.
        Local5 = "local5",
        /// LOG_LOCAL6.
        Local6 = "local6",
        /// LOG_LOCAL7.
        Local7 = "local7",
    }

    /// The least important messages that are logged.
    LogLevel {
        /// Everything.
        Debug = "debug",
        /// Rarely useful detail.
        Verbose = "verbose",
        /// What production wants.
        Notice = "notice",
        /// Only what needs attention.
        Warning = "warning",
    }

    /// The supervisor that is told when the server is ready.
    Supervised {
        /// Stop with SIGSTOP when ready.
        Upstart = "upstart",
        /// Send READY=1 to NOTIFY_SOCKET.
        Systemd = "systemd",
        /// Found out from UPSTART_JOB and NOTIFY_SOCKET.
        Auto = "auto",
        /// None.
        No = "no",
    }

    /// When the append-only file is forced to disk.
    AppendFsync {
        /// Once a second.
        Everysec = "everysec",
        /// Before a reply leaves.
        Always = "always",
        /// When the system likes to.
        No = "no",
    }

    /// How a replica loads a full synchronisation.
    ReplDisklessLoad {
        /// Through a file.
        Disabled = "disabled",
        /// From the socket when there is no data.
        OnEmptyDb = "on-empty-db",
        /// From the socket, keeping the old data until done.
        Swapdb = "swapdb",
    }

    /// Whether TLS clients must show a certificate.
    TlsAuthClients {
        /// Not asked for.
        No = "no",
        /// Required.
        Yes = "yes",
        /// Checked when shown.
        Optional = "optional",
    }

    /// How the kernel's out-of-memory score is set.
    OomScoreAdj {
        /// Left alone.
        No = "no",
        /// `oom-score-adj-values` are added to the score at start.
        Relative = "yes" | "relative",
        /// `oom-score-adj-values` are the score.
        Absolute = "absolute",
    }

    /// Channels that a new ACL user may use.
    AclPubsubDefault {
        /// All.
        Allchannels = "allchannels",
        /// None.
        Resetchannels = "resetchannels",
    }

    /// Whose payloads are checked in depth when loaded.
    SanitizeDumpPayload {
        /// None.
        No = "no",
        /// All.
        Yes = "yes",
        /// Those of clients without the skip-sanitize-payload permission.
        Clients = "clients",
    }

    /// Who may use a dangerous feature.
    Protected {
        /// Nobody.
        No = "no",
        /// Everybody.
        Yes = "yes",
        /// Clients of this machine (loopback or unix socket).
        Local = "local",
    }

    /// What cluster nodes tell clients to connect to.
    ClusterEndpoint {
        /// The IP address.
        Ip = "ip",
        /// The announced host name.
        Hostname = "hostname",
        /// The address that the client already uses.
        Unknown = "unknown-endpoint",
    }

    /// What to do when a replicated command fails.
    PropagationError {
        /// Count and log it.
        Ignore = "ignore",
        /// Stop the server.
        Panic = "panic",
        /// Stop when it came from a master or the AOF.
        PanicOnReplicas = "panic-on-replicas",
    }

    /// The mechanism that waits for sockets.
    IoBackend {
        /// The best that works here.
        Auto = "auto",
        /// Readiness: epoll, kqueue on BSD and macOS.
        Epoll = "epoll",
        /// Completion: io_uring.
        IoUring = "io_uring",
    }
}

impl Protected {
    /// Whether a client may use the feature; `local` says that it is connected
    /// from this machine.
    pub fn allows(self, local: bool) -> bool {
        self == Protected::Yes || (self == Protected::Local && local)
    }
}

impl MaxmemoryPolicy {
    /// Whether access counts rather than access times decide.
    pub fn is_lfu(self) -> bool {
        matches!(self, Self::VolatileLfu | Self::AllkeysLfu)
    }

    /// Whether chance decides.
    pub fn is_random(self) -> bool {
        matches!(self, Self::VolatileRandom | Self::AllkeysRandom)
    }

    /// Whether access times decide.
    pub fn is_lru(self) -> bool {
        matches!(self, Self::VolatileLru | Self::AllkeysLru)
    }

    /// Whether keys without a TTL may go.
    pub fn takes_all_keys(self) -> bool {
        matches!(
            self,
            Self::AllkeysLru | Self::AllkeysLfu | Self::AllkeysRandom
        )
    }
}

/// What a signal that stops the server asks for: a combination of bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShutdownFlags(pub u32);

impl ShutdownFlags {
    /// Save even without save points.
    pub const SAVE: u32 = 1;
    /// Do not save.
    pub const NOSAVE: u32 = 2;
    /// Do not wait for replicas.
    pub const NOW: u32 = 4;
    /// Go on when something fails.
    pub const FORCE: u32 = 8;

    /// Whether all bits of `flag` are set.
    pub fn has(self, flag: u32) -> bool {
        self.0 & flag == flag
    }
}

impl Choice for ShutdownFlags {
    const NAMES: &'static [(&'static str, u32)] = &[
        ("default", 0),
        ("save", Self::SAVE),
        ("nosave", Self::NOSAVE),
        ("now", Self::NOW),
        ("force", Self::FORCE),
    ];

    fn code(self) -> u32 {
        self.0
    }

    fn from_code(code: u32) -> ShutdownFlags {
        ShutdownFlags(code)
    }
}

/// One save point: save when `seconds` have passed and `changes` were made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SavePoint {
    /// At least 1.
    pub seconds: i64,
    /// Number of changes.
    pub changes: i32,
}

/// The output buffer limits of one class of clients; 0 is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutputBufferLimit {
    /// A client is closed at once beyond this.
    pub hard_bytes: u64,
    /// A client is closed when beyond this for `soft_seconds`.
    pub soft_bytes: u64,
    /// See `soft_bytes`.
    pub soft_seconds: u32,
}

/// The default limits by class: normal clients, replicas, subscribers.
pub const OUTPUT_BUFFER_LIMITS: [OutputBufferLimit; 3] = [
    OutputBufferLimit {
        hard_bytes: 0,
        soft_bytes: 0,
        soft_seconds: 0,
    },
    OutputBufferLimit {
        hard_bytes: 256 << 20,
        soft_bytes: 64 << 20,
        soft_seconds: 60,
    },
    OutputBufferLimit {
        hard_bytes: 32 << 20,
        soft_bytes: 8 << 20,
        soft_seconds: 60,
    },
];

/// Where a replica's data comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MasterAddress {
    /// Name or address.
    pub host: Vec<u8>,
    /// TCP port.
    pub port: u16,
}

/// A `rename-command` line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rename {
    /// The command's name as written.
    pub from: Vec<u8>,
    /// Its new name; empty: the command is taken away.
    pub to: Vec<u8>,
}

/// A `loadmodule` line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModuleLoad {
    /// File name.
    pub path: Vec<u8>,
    /// The module's arguments.
    pub args: Vec<Vec<u8>>,
}
