//! Our side of the comparisons.

use crate::OURS_ONLY;
use redstart::config::*;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// A process that is in a directory of the test's choosing.
pub struct In(pub PathBuf);

impl Host for In {
    fn change_dir(&mut self, dir: &Path) -> io::Result<PathBuf> {
        self.0 = std::fs::canonicalize(self.0.join(dir))?;
        self.0.read_dir()?;
        Ok(self.0.clone())
    }

    fn current_dir(&mut self) -> io::Result<PathBuf> {
        Ok(self.0.clone())
    }

    fn rename_command(&mut self, from: &[u8], to: &[u8]) -> Result<(), Refusal> {
        let known = |name: &[u8]| name.eq_ignore_ascii_case(b"get") || name == b"set";
        match (known(from), known(to)) {
            (false, _) => Err("No such command in rename-command".into()),
            (_, true) => Err("Target command name already exists".into()),
            _ => Ok(()),
        }
    }

    fn user(&mut self, args: &[Vec<u8>]) -> Result<(), (usize, String)> {
        match args.iter().position(|arg| arg == b"nonsense") {
            Some(index) => Err((index, "Syntax error".into())),
            None => Ok(()),
        }
    }
}

pub fn load(args: &[impl AsRef<str>], dir: &Path) -> Result<Config, LoadError> {
    let program = std::iter::once("redis-server");
    let args = program.chain(args.iter().map(AsRef::as_ref));
    let args: Vec<OsString> = args.map(OsString::from).collect();
    let arguments = Arguments::parse(&args, dir);
    assert_eq!(arguments.meta, None);
    let sources = arguments.sources(io::empty()).unwrap();
    Config::load(&sources, &mut In(dir.to_owned()))
}

pub fn get(config: &Config, patterns: &[&str]) -> BTreeMap<String, String> {
    let patterns: Vec<&[u8]> = patterns.iter().map(|pattern| pattern.as_bytes()).collect();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let found = config.get(&patterns).into_iter();
    found
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

pub fn without_ours(mut found: BTreeMap<String, String>) -> BTreeMap<String, String> {
    for (name, _reason) in OURS_ONLY {
        found.remove(name);
    }
    found
}

/// CONFIG SET as the server replies to it.
pub fn set(config: &mut Config, pairs: &[(&str, &str)]) -> Result<(), String> {
    let pairs: Vec<(&[u8], &[u8])> = pairs
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    let here = Circumstances {
        loading: false,
        local_client: true,
    };
    let mut host = In(std::env::temp_dir());
    match config.set_many(&pairs, here, &mut host) {
        Ok(_changes) => Ok(()),
        Err(SetError::Failed(text)) => Err(format!("ERR {}", String::from_utf8_lossy(&text))),
        Err(SetError::Loading) => panic!("nothing is loading"),
    }
}

/// A process where every directory and command is there.
pub struct Anything(pub PathBuf);

impl Host for Anything {
    fn change_dir(&mut self, dir: &Path) -> io::Result<PathBuf> {
        self.0 = self.0.join(dir);
        Ok(self.0.clone())
    }

    fn current_dir(&mut self) -> io::Result<PathBuf> {
        Ok(self.0.clone())
    }

    fn check_log_file(&mut self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}
