//! Reading the configuration: file, standard input, command line.

use super::directive::{Refusal, flag};
use super::set::{Applying, find};
use super::types::{ModuleLoad, Rename};
use super::{Config, include, os_error_text, path, value};
use crate::util::args;
use std::io;
use std::path::{Path, PathBuf};

/// How deep includes may nest: a file that includes itself must end somewhere.
const INCLUDE_DEPTH_MAX: usize = 16;

/// Directives that were taken out long ago and are passed over with one argument.
const REMOVED: [&[u8]; 3] = [
    b"list-max-ziplist-entries",
    b"list-max-ziplist-value",
    b"lua-replicate-commands",
];

/// What the configuration needs from the process and from higher layers.
/// Each method does the real thing or, where only a higher layer could,
/// accepts.
pub trait Host {
    /// Changes the working directory and returns it, absolute.
    ///
    /// # Errors
    /// As `chdir` and `getcwd`.
    fn change_dir(&mut self, dir: &Path) -> io::Result<PathBuf> {
        std::env::set_current_dir(dir)?;
        std::env::current_dir()
    }

    /// The working directory, absolute.
    ///
    /// # Errors
    /// As `getcwd`.
    fn current_dir(&mut self) -> io::Result<PathBuf> {
        std::env::current_dir()
    }

    /// Finds out whether the log file can be written, creating it if need be.
    ///
    /// # Errors
    /// As `open`.
    fn check_log_file(&mut self, file: &Path) -> io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        options.append(true).create(true).open(file).map(drop)
    }

    /// A `rename-command` line; an empty `to` takes the command away. The line
    /// is kept in [`Config::renames`] as well.
    ///
    /// # Errors
    /// The text for the user: `No such command in rename-command`, `Target
    /// command name already exists`.
    fn rename_command(&mut self, from: &[u8], to: &[u8]) -> Result<(), Refusal> {
        let _ = (from, to);
        Ok(())
    }

    /// A `user` line; the arguments begin with the user's name. The line is
    /// kept in [`Config::users`] as well.
    ///
    /// # Errors
    /// The index of the argument that is wrong, and why.
    fn user(&mut self, args: &[Vec<u8>]) -> Result<(), (usize, String)> {
        let _ = args;
        Ok(())
    }
}

/// A [`Host`] with the methods as they come.
pub struct Process;

impl Host for Process {}

/// Why a configuration was refused. The server does not start.
#[derive(Debug)]
pub enum LoadError {
    /// A file could not be opened. Logged as a warning:
    /// `Fatal error, can't open config file '…': …`.
    Open {
        /// The file.
        file: Vec<u8>,
        /// Why.
        error: io::Error,
    },
    /// Something in it is wrong. Printed on standard error, see
    /// [`LoadError::report`].
    Refused {
        /// The line, unless it is the whole that is wrong.
        at: Option<Place>,
        /// What is wrong.
        reason: Vec<u8>,
    },
}

/// A line of the configuration: the file, then standard input, then what the
/// command line says, counted through.
#[derive(Debug)]
pub struct Place {
    /// The file; None: no file was given.
    pub file: Option<Vec<u8>>,
    /// Counted from 1.
    pub line: usize,
    /// The line without blanks at its ends.
    pub text: Vec<u8>,
}

impl LoadError {
    /// The text that tells the user, with line ends; `version` is the Redis
    /// version that INFO says. Exit code 1 follows.
    pub fn report(&self, version: &str) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            LoadError::Open { file, error } => {
                out.extend_from_slice(b"Fatal error, can't open config file '");
                out.extend_from_slice(file);
                out.extend_from_slice(format!("': {}\n", os_error_text(error)).as_bytes());
            }
            LoadError::Refused { at, reason } => {
                let title = format!("\n*** FATAL CONFIG FILE ERROR (Redis {version}) ***\n");
                out.extend_from_slice(title.as_bytes());
                if let Some(Place { line, text, .. }) = at {
                    let place = format!("Reading the configuration file, at line {line}\n>>> '");
                    out.extend_from_slice(place.as_bytes());
                    out.extend_from_slice(text);
                    out.extend_from_slice(b"'\n");
                }
                out.extend_from_slice(reason);
                out.push(b'\n');
            }
        }
        out
    }
}

/// Where the configuration comes from. Later ones win.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Sources {
    /// The configuration file, absolute.
    pub file: Option<PathBuf>,
    /// All of standard input, when it was asked for.
    pub stdin: Option<Vec<u8>>,
    /// The options of the command line as lines, see
    /// [`Arguments`](super::Arguments).
    pub options: Vec<u8>,
}

impl Config {
    /// Reads a configuration, beginning with the defaults.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn load(sources: &Sources, host: &mut dyn Host) -> Result<Config, LoadError> {
        let mut config = Config {
            config_file: sources.file.clone(),
            ..Config::default()
        };
        if let Ok(dir) = host.current_dir() {
            config.dir = super::bytes(&dir);
        }
        let mut reader = Reader {
            config: &mut config,
            host,
            save_line_seen: false,
        };
        let mut text = Vec::new();
        if let Some(file) = &sources.file {
            text = reader.read_files(&super::bytes(file))?;
        }
        text.extend_from_slice(sources.stdin.as_deref().unwrap_or_default());
        text.push(b'\n');
        text.extend_from_slice(&sources.options);
        let name = sources.file.as_deref().map(super::bytes);
        reader.read_text(name, &text, 0)?;
        Ok(config)
    }
}

struct Reader<'a> {
    config: &'a mut Config,
    host: &'a mut dyn Host,
    save_line_seen: bool,
}

impl Reader<'_> {
    /// The contents of a file, or of all that match a pattern, which may be none.
    fn read_files(&mut self, name: &[u8]) -> Result<Vec<u8>, LoadError> {
        let from = path(&self.config.dir);
        let files = include::expand(&from, name);
        let mut text = Vec::new();
        for file in files {
            let content = std::fs::read(from.join(path(&file)));
            text.extend(content.map_err(|error| LoadError::Open { file, error })?);
        }
        Ok(text)
    }

    fn read_text(
        &mut self,
        file: Option<Vec<u8>>,
        text: &[u8],
        depth: usize,
    ) -> Result<(), LoadError> {
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = trim(value::c_text(line));
            self.line(line, depth).map_err(|problem| match problem {
                Problem::Elsewhere(error) => error,
                Problem::Here(reason) => LoadError::Refused {
                    at: Some(Place {
                        file: file.clone(),
                        line: index + 1,
                        text: line.to_vec(),
                    }),
                    reason,
                },
            })?;
        }
        self.check_whole()
    }

    fn check_whole(&mut self) -> Result<(), LoadError> {
        let refused = |reason: String| {
            Err(LoadError::Refused {
                at: None,
                reason: reason.into_bytes(),
            })
        };
        if !self.config.logfile.is_empty() {
            let file = path(&self.config.dir).join(path(&self.config.logfile));
            if let Err(error) = self.host.check_log_file(&file) {
                return refused(format!(
                    "Can't open the log file: {}",
                    os_error_text(&error)
                ));
            }
        }
        if self.config.cluster_enabled && self.config.replicaof.is_some() {
            return refused("replicaof directive not allowed in cluster mode".into());
        }
        self.config.normalize();
        Ok(())
    }

    fn line(&mut self, line: &[u8], depth: usize) -> Result<(), Problem> {
        if line.is_empty() || line[0] == b'#' {
            return Ok(());
        }
        let mut args = args::split(line).ok_or("Unbalanced quotes in configuration line")?;
        if args.is_empty() {
            return Ok(());
        }
        let mut name = args.remove(0);
        name.make_ascii_lowercase();
        if let Some(named) = find(&name) {
            let directive = named.directive;
            if !directive.is(flag::MULTI) && args.len() != 1 {
                return Err("wrong number of arguments".into());
            }
            // Several arguments may also come as one: `save "900 1 300 10"`.
            if directive.is(flag::MULTI) && args.len() == 1 && !args[0].is_empty() {
                args = args::split(&args[0]).unwrap_or_default();
            }
            let mut applying = Applying {
                host: &mut *self.host,
                save_line_seen: Some(&mut self.save_line_seen),
            };
            value::set(directive, self.config, &args, &mut applying)?;
            return Ok(());
        }
        if REMOVED.contains(&name.as_slice()) && args.len() == 1 {
            return Ok(());
        }
        self.file_only(&name, args, depth)
    }

    /// What is known in files only.
    fn file_only(
        &mut self,
        name: &[u8],
        mut args: Vec<Vec<u8>>,
        depth: usize,
    ) -> Result<(), Problem> {
        match (name, args.as_mut_slice()) {
            (b"include", [file]) => {
                if depth == INCLUDE_DEPTH_MAX {
                    return Err("Too many nested includes".into());
                }
                let text = self.read_files(file)?;
                self.read_text(Some(std::mem::take(file)), &text, depth + 1)?;
            }
            (b"rename-command", [from, to]) => {
                self.host.rename_command(from, to)?;
                let (from, to) = (std::mem::take(from), std::mem::take(to));
                self.config.renames.push(Rename { from, to });
            }
            (b"user", [_, ..]) => {
                if let Err((index, reason)) = self.host.user(&args) {
                    let wrong = args.get(index).map_or(&b""[..], Vec::as_slice);
                    let mut text = b"Error in user declaration '".to_vec();
                    text.extend_from_slice(wrong);
                    text.extend_from_slice(format!("': {reason}").as_bytes());
                    return Err(Problem::Here(text));
                }
                self.config.users.push(args);
            }
            (b"loadmodule", [_, ..]) => {
                let path = args.remove(0);
                self.config.modules.push(ModuleLoad { path, args });
            }
            _ if name.contains(&b'.') => {
                if args.is_empty() {
                    return Err("Module config specified without value".into());
                }
                let setting = (name.to_vec(), args.join(&b' '));
                self.config
                    .module_directives
                    .retain(|(known, _)| known != name);
                self.config.module_directives.push(setting);
            }
            (b"sentinel", []) => {}
            (b"sentinel", _) => {
                return Err("sentinel directive while not in sentinel mode".into());
            }
            _ => return Err("Bad directive or wrong number of arguments".into()),
        }
        Ok(())
    }
}

enum Problem {
    /// The line at hand.
    Here(Vec<u8>),
    /// A line of an included file, or a file.
    Elsewhere(LoadError),
}

impl From<&str> for Problem {
    fn from(reason: &str) -> Problem {
        Problem::Here(reason.as_bytes().to_vec())
    }
}

impl From<Refusal> for Problem {
    fn from(reason: Refusal) -> Problem {
        Problem::Here(reason.as_bytes().to_vec())
    }
}

impl From<LoadError> for Problem {
    fn from(error: LoadError) -> Problem {
        Problem::Elsewhere(error)
    }
}

/// Takes blanks from both ends.
pub(super) fn trim(line: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = line
        .iter()
        .position(|byte| !blank(byte))
        .unwrap_or(line.len());
    let end = line
        .iter()
        .rposition(|byte| !blank(byte))
        .map_or(start, |last| last + 1);
    &line[start..end]
}
