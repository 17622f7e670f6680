//! Configuration: every directive declared once (`table.rs`), read from files
//! and the command line, asked for, changed and written back while running.
//!
//! Pure: nothing here touches the server. What a change entails is handed to
//! the caller as an [`Effect`].
//!
//! - **Reading a value**: `config.maxclients`, `config.timeout_s`: plain fields
//!   of [`Config`], units last in their names.
//! - **Start**: [`Arguments::parse`] the command line, [`Config::load`] with a
//!   [`Host`] (who knows the command names for `rename-command` and the ACL for
//!   `user`), print [`LoadError::report`] and exit 1 when refused.
//! - **CONFIG GET**: [`Config::get`].
//! - **CONFIG SET**: [`pairs`], then [`Config::set_many`], then bring about
//!   every effect of the [`Changes`]; when one fails, [`Config::roll_back`]
//!   gives the error to reply and the effects to bring about again.
//! - **CONFIG REWRITE**: [`Config::rewrite`].
//! - **Secrets**: [`is_sensitive`] tells whose value no log may show.
//!
//! ```
//! use redstart::config::{Circumstances, Config, Process};
//!
//! let mut config = Config::default();
//! let changes = config
//!     .set_many(&[(b"maxclients", b"20")], Circumstances::default(), &mut Process)
//!     .ok()
//!     .unwrap();
//! assert_eq!(config.maxclients, 20);
//! for (effect, _directive) in &changes.effects {
//!     println!("due: {effect:?}");
//! }
//! assert_eq!(config.get(&[b"maxcli*"]), [(b"maxclients".to_vec(), b"20".to_vec())]);
//! ```

mod arguments;
mod check;
mod directive;
mod include;
mod load;
mod rewrite;
mod set;
mod special;
mod table;
mod title;
mod types;
mod value;

pub use arguments::{Answer, Arguments, Meta};
pub use directive::{Directive, Effect, Refusal, flag};
pub use load::{Host, LoadError, Place, Process, Sources};
pub use rewrite::{Extra, replace_file};
pub use set::{Changes, Circumstances, Named, SetError, find, is_sensitive, pairs};
pub use table::{Config, DIRECTIVES};
pub use types::*;
pub use value::parse_memory;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Where the process id goes when daemonized without a `pidfile`.
pub const DEFAULT_PID_FILE: &str = "/var/run/redis.pid";

static DEFAULTS: LazyLock<Config> = LazyLock::new(Config::default);

impl Config {
    /// The configuration without any directive given.
    pub fn defaults() -> &'static Config {
        &DEFAULTS
    }

    /// The process title as `proc-title-template` says, where `title` is what
    /// `{title}` stands for (the name the program was started by).
    pub fn proc_title(&self, title: &[u8]) -> Vec<u8> {
        // The template was checked when it was set.
        title::expand(self, &self.proc_title_template, title).unwrap_or_default()
    }

    /// The limit for all clients together in bytes: `maxmemory-clients`, with
    /// a percentage taken of `maxmemory`. None: no limit.
    pub fn maxmemory_clients_bytes(&self) -> Option<u64> {
        /// Below this the server could not be talked to any more.
        const LEAST_BYTES: u64 = 128 << 10;
        let bytes = match self.maxmemory_clients {
            0 => return None,
            bytes @ 1.. => bytes as u64,
            _ if self.maxmemory_bytes == 0 => return None,
            percent => {
                let part = u128::from(self.maxmemory_bytes) * u128::from(percent.unsigned_abs());
                u64::try_from(part / 100).unwrap_or(u64::MAX)
            }
        };
        Some(bytes.max(LEAST_BYTES))
    }
}

/// The event classes of `notify-keyspace-events` letters; None when one is
/// unknown. Bits are those of `keyspace::effects::class`.
pub fn parse_event_classes(letters: &[u8]) -> Option<u32> {
    let bit = |letter: &u8| match letter {
        b'A' => Some(special::ALL_EVENTS),
        _ => {
            let known = special::EVENT_CLASSES.iter();
            known
                .filter(|(known, _)| known == letter)
                .map(|(_, bit)| *bit)
                .next()
        }
    };
    letters
        .iter()
        .map(bit)
        .try_fold(0, |classes, bit| Some(classes | bit?))
}

/// The letters of event classes, as CONFIG GET prints them.
pub fn format_event_classes(classes: u32) -> Vec<u8> {
    special::event_letters(classes)
}

/// The text of an operating system error as C's `strerror` gives it.
pub fn os_error_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

fn default_bind() -> Vec<Vec<u8>> {
    vec![b"*".to_vec(), b"-::*".to_vec()]
}

fn default_save() -> Vec<SavePoint> {
    let point = |seconds, changes| SavePoint { seconds, changes };
    vec![point(3600, 1), point(300, 100), point(60, 10_000)]
}

/// A path as it is written in a directive.
pub fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}
