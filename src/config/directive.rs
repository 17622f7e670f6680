//! What a directive is: one row of the table, from which parsing, printing,
//! CONFIG GET, SET and REWRITE are derived.

use super::Config;
use super::rewrite::Rewriter;
use super::set::Applying;

/// Bits of [`Directive::flags`].
pub mod flag {
    /// Set at start only.
    pub const IMMUTABLE: u16 = 1;
    /// CONFIG SET only when `enable-protected-configs` lets the client.
    pub const PROTECTED: u16 = 1 << 1;
    /// CONFIG GET only by its exact name.
    pub const HIDDEN: u16 = 1 << 2;
    /// A secret: redacted in slow log, MONITOR and crash reports.
    pub const SENSITIVE: u16 = 1 << 3;
    /// Takes any number of arguments.
    pub const MULTI: u16 = 1 << 4;
    /// Not while a data set is loaded.
    pub const DENY_LOADING: u16 = 1 << 5;
    /// Setting the same value again still has the effect (files may have changed).
    pub const VOLATILE: u16 = 1 << 6;
    /// Stored, returned and rewritten; the feature that reads it comes later.
    pub const LATER: u16 = 1 << 7;
}

/// What has to be done after CONFIG SET beside storing the value. Several
/// directives may share one; it is then done once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// `port`: listen on the new one. Failing: `Unable to listen on this
    /// port. Check server logs.`
    Port,
    /// `bind`: listen there. Failing: `Failed to bind to specified addresses.`
    Bind,
    /// Take over `hz`, already clamped to 1..=500.
    Hz,
    /// `proc-title-template`. Failing: `failed to set process title`
    ProcTitle,
    /// Start or stop the append-only file. Failing: `Unable to turn on AOF.
    /// Check server logs.`
    AppendOnly,
    /// Delete history files when `aof-disable-auto-gc` was turned off.
    AofGc,
    /// Install or remove the crash handlers.
    CrashLog,
    /// Raise the file limit. Failing: `The operating system is not able to
    /// handle the specified number of clients, try with N`
    MaxClients,
    /// Write the score. Failing: `Failed to set current oom_score_adj. Check
    /// server logs.`
    OomScore,
    /// `requirepass`: set or remove the default user's password.
    RequirePass,
    /// Start or stop the allocator's background threads.
    AllocatorThreads,
    /// Resize the replication backlog.
    ReplBacklog,
    /// Warn when below what is used; start evicting.
    MaxMemory,
    /// Start or stop accounting clients for `maxmemory-clients`.
    MaxMemoryClients,
    /// Count good replicas again.
    GoodReplicas,
    /// Start, change or stop the watchdog timer.
    Watchdog,
    /// Flags of this cluster node.
    ClusterFlags,
    /// Announced ports of this cluster node.
    ClusterPorts,
    /// Announced address of this cluster node.
    ClusterIp,
    /// Announced host name of this cluster node.
    ClusterHostname,
    /// `tls-port`: listen there. Failing: `Unable to listen on this port.
    /// Check server logs.`
    TlsPort,
    /// Load keys and certificates again. Failing: `Unable to update TLS
    /// configuration. Check server logs.`
    Tls,
}

/// Why a value was refused.
pub type Refusal = std::borrow::Cow<'static, str>;

/// One directive.
pub struct Directive {
    /// The name that is printed and rewritten.
    pub name: &'static str,
    /// An old name under which it is known as well.
    pub alias: Option<&'static str>,
    /// `flag::*` bits.
    pub flags: u16,
    /// What setting it entails.
    pub effect: Option<Effect>,
    pub(super) kind: Kind,
}

impl Directive {
    /// Whether any of the `flag::*` bits is set.
    pub fn is(&self, flags: u16) -> bool {
        self.flags & flags != 0
    }

    /// The value as CONFIG GET prints it.
    pub fn format(&self, config: &Config) -> Vec<u8> {
        super::value::format(self, config)
    }
}

pub(super) enum Kind {
    Bool(Bool),
    Number(Number),
    Choice(Choices),
    Text(Text),
    Special(Special),
}

pub(super) struct Bool {
    pub(super) get: fn(&Config) -> bool,
    pub(super) set: fn(&mut Config, bool),
    pub(super) check: Option<fn(bool) -> Result<(), Refusal>>,
}

/// How a number is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Plain,
    /// With kb, mb, gb (powers of 1024) or k, m, g (of 1000).
    Memory,
    /// As memory, or as a percentage, which is kept as a negative number.
    MemoryOrPercent,
    Octal,
}

/// All numbers pass through here as the 64 bits of an `i64`, as in Redis;
/// `unsigned` ones are compared with their bounds as `u64`.
pub(super) struct Number {
    pub(super) unit: Unit,
    pub(super) unsigned: bool,
    pub(super) min: i64,
    pub(super) max: i64,
    pub(super) get: fn(&Config) -> i64,
    pub(super) set: fn(&mut Config, i64),
}

pub(super) struct Choices {
    pub(super) names: &'static [(&'static str, u32)],
    pub(super) get: fn(&Config) -> u32,
    pub(super) set: fn(&mut Config, u32),
    pub(super) check: Option<fn(u32) -> Result<(), Refusal>>,
}

pub(super) struct Text {
    /// An empty value means that there is none, and no line is written.
    pub(super) empty_is_none: bool,
    /// Keeps zero bytes; other text ends at the first, as in Redis.
    pub(super) binary: bool,
    pub(super) get: fn(&Config) -> &Vec<u8>,
    pub(super) set: fn(&mut Config) -> &mut Vec<u8>,
    pub(super) check: Option<CheckText>,
}

/// Checks text against the configuration that it will be part of.
pub(super) type CheckText = fn(&Config, &[u8]) -> Result<(), Refusal>;

pub(super) struct Special {
    pub(super) set: SetSpecial,
    pub(super) get: fn(&Config) -> Vec<u8>,
    pub(super) rewrite: fn(&Config, &'static str, &mut Rewriter),
}

/// Returns whether the effect is due.
pub(super) type SetSpecial =
    fn(&mut Config, &[Vec<u8>], &mut Applying<'_>) -> Result<bool, Refusal>;

/// The field types of numeric directives.
pub(super) trait Bits64: Copy {
    fn to_bits64(self) -> i64;
    /// Bounds are checked before; anything else would be cut.
    fn from_bits64(bits: i64) -> Self;
}

macro_rules! bits64 {
    ($($type:ty),+) => {$(
        impl Bits64 for $type {
            fn to_bits64(self) -> i64 {
                self as i64
            }

            fn from_bits64(bits: i64) -> $type {
                bits as $type
            }
        }
    )+};
}

bits64!(u16, u32, i32, u64, i64, usize);

/// Declares the struct [`Config`], its defaults and the table of directives.
///
/// A row is `field: type = default, "name" ["alias"] kind(arguments) flags
/// [=> Effect];` under the field's documentation; flags are `flag::*` names
/// joined by `|`, or `0`.
macro_rules! directives {
    ($(
        $(#[$doc:meta])*
        $field:ident: $type:ty = $default:expr,
            $name:literal $([$alias:literal])? $kind:ident($($argument:expr),*) $($flag:tt)|+
            $(=> $effect:ident)?;
    )+) => {
        /// The value of every directive, for direct reading. See the module's
        /// documentation for how to change one.
        #[derive(Clone, PartialEq, Debug)]
        pub struct Config {
            $($(#[$doc])* pub $field: $type,)+
            /// The configuration file, absolute, when there is one.
            pub config_file: Option<std::path::PathBuf>,
            /// `rename-command` lines in their order.
            pub renames: Vec<super::types::Rename>,
            /// Arguments of the `user` lines in their order.
            pub users: Vec<Vec<Vec<u8>>>,
            /// `loadmodule` lines in their order.
            pub modules: Vec<super::types::ModuleLoad>,
            /// Lines of module directives (`name.directive`): name and value.
            pub module_directives: Vec<(Vec<u8>, Vec<u8>)>,
        }

        impl Default for Config {
            fn default() -> Config {
                Config {
                    $($field: $default,)+
                    config_file: None,
                    renames: Vec::new(),
                    users: Vec::new(),
                    modules: Vec::new(),
                    module_directives: Vec::new(),
                }
            }
        }

        /// Every directive, in the order of [`Config`].
        pub static DIRECTIVES: &[Directive] = &[$(
            Directive {
                name: $name,
                alias: directives!(@alias $($alias)?),
                flags: $(directives!(@flag $flag) |)+ 0,
                effect: directives!(@effect $($effect)?),
                kind: directives!(@kind $kind $field: $type, $($argument),*),
            },
        )+];
    };

    (@alias) => { None };
    (@alias $alias:literal) => { Some($alias) };
    (@flag 0) => { 0 };
    (@flag $flag:ident) => { flag::$flag };
    (@effect) => { None };
    (@effect $effect:ident) => { Some(Effect::$effect) };

    (@kind yes_no $field:ident: $type:ty,) => {
        directives!(@yes_no $field, None)
    };
    (@kind yes_no $field:ident: $type:ty, $check:expr) => {
        directives!(@yes_no $field, Some($check))
    };
    (@yes_no $field:ident, $check:expr) => {
        Kind::Bool(Bool {
            get: |config| config.$field,
            set: |config, value| config.$field = value,
            check: $check,
        })
    };

    (@kind int $field:ident: $type:ty, $min:expr, $max:expr) => {
        directives!(@number $field: $type, Unit::Plain, false, $min, $max)
    };
    (@kind unsigned $field:ident: $type:ty, $min:expr, $max:expr) => {
        directives!(@number $field: $type, Unit::Plain, true, $min, $max)
    };
    (@kind octal $field:ident: $type:ty, $min:expr, $max:expr) => {
        directives!(@number $field: $type, Unit::Octal, true, $min, $max)
    };
    (@kind memory $field:ident: $type:ty, $min:expr, $max:expr) => {
        directives!(@number $field: $type, Unit::Memory, false, $min, $max)
    };
    (@kind unsigned_memory $field:ident: $type:ty, $min:expr, $max:expr) => {
        directives!(@number $field: $type, Unit::Memory, true, $min, $max)
    };
    (@kind memory_or_percent $field:ident: $type:ty, $min:expr, $max:expr) => {
        directives!(@number $field: $type, Unit::MemoryOrPercent, false, $min, $max)
    };
    (@number $field:ident: $type:ty, $unit:expr, $unsigned:expr, $min:expr, $max:expr) => {
        Kind::Number(Number {
            unit: $unit,
            unsigned: $unsigned,
            min: $min as i64,
            max: $max as i64,
            get: |config| Bits64::to_bits64(config.$field),
            set: |config, bits| config.$field = Bits64::from_bits64(bits),
        })
    };

    (@kind one_of $field:ident: $type:ty,) => {
        directives!(@one_of $field: $type, None)
    };
    (@kind one_of $field:ident: $type:ty, $check:expr) => {
        directives!(@one_of $field: $type, Some($check))
    };
    (@one_of $field:ident: $type:ty, $check:expr) => {
        Kind::Choice(Choices {
            names: <$type as Choice>::NAMES,
            get: |config| config.$field.code(),
            set: |config, code| config.$field = Choice::from_code(code),
            check: $check,
        })
    };

    // Empty is a value like any other.
    (@kind text $field:ident: $type:ty,) => {
        directives!(@text $field, false, false, None)
    };
    (@kind text $field:ident: $type:ty, $check:expr) => {
        directives!(@text $field, false, false, Some($check))
    };
    // Empty means none.
    (@kind option $field:ident: $type:ty,) => {
        directives!(@text $field, true, false, None)
    };
    (@kind option $field:ident: $type:ty, $check:expr) => {
        directives!(@text $field, true, false, Some($check))
    };
    // Empty means none, zero bytes are kept.
    (@kind secret $field:ident: $type:ty,) => {
        directives!(@text $field, true, true, None)
    };
    (@text $field:ident, $empty_is_none:expr, $binary:expr, $check:expr) => {
        Kind::Text(Text {
            empty_is_none: $empty_is_none,
            binary: $binary,
            get: |config| &config.$field,
            set: |config| &mut config.$field,
            check: $check,
        })
    };

    (@kind special $field:ident: $type:ty, $special:expr) => {
        Kind::Special($special)
    };
}

pub(super) use directives;
