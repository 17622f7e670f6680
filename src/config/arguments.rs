//! The command line.
//!
//! Read by hand rather than by an argument parser: any directive of the file
//! may follow `--`, name and value may share an argument, and values may begin
//! with `--`, so that only the directives themselves can tell what is wrong.

use super::Sources;
use crate::util::args;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What the command line asks for instead of a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Meta {
    /// `-v`, `--version`.
    Version,
    /// `-h`, `--help`.
    Help,
    /// `--test-memory`, whether an amount came with it.
    TestMemory {
        /// Exactly one argument followed.
        with_amount: bool,
    },
    /// `--check-system`.
    CheckSystem,
    /// `--sentinel`, or started as `redis-sentinel`.
    Sentinel,
}

/// What a [`Meta`] option prints before the process exits.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    /// For standard output.
    pub stdout: String,
    /// For standard error.
    pub stderr: String,
    /// The process's exit code.
    pub exit_code: i32,
}

/// The command line, read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Arguments {
    /// Set: answer and exit; everything else is empty.
    pub meta: Option<Meta>,
    /// The configuration file, absolute.
    pub file: Option<PathBuf>,
    /// Whether `-` was given: standard input is read after the file.
    pub stdin: bool,
    /// Options as lines of a configuration file.
    pub options: Vec<u8>,
}

impl Arguments {
    /// Reads `args`, of which the first is the program's name; relative file
    /// names are taken from `dir`.
    pub fn parse(args: &[OsString], dir: &Path) -> Arguments {
        let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        let (program, args) = args
            .split_first()
            .map_or((&b""[..], &[][..]), |(p, a)| (*p, a));
        if let Some(meta) = meta_option(program, args) {
            return Arguments {
                meta: Some(meta),
                ..Arguments::default()
            };
        }
        let mut parsed = Arguments::default();
        let mut rest = args;
        if let [first, tail @ ..] = args
            && !first.starts_with(b"-")
        {
            parsed.file = Some(absolute(dir, first));
            rest = tail;
        }
        let skipped = args.len() - rest.len();
        // Whether an option name would be taken as one, not as a value.
        let mut complete = true;
        for (index, arg) in rest.iter().enumerate() {
            let at_an_end = index + skipped == 0 || index == rest.len() - 1;
            if *arg == b"-" && at_an_end {
                parsed.stdin = true;
            } else if complete && let Some(option) = arg.strip_prefix(b"--") {
                complete = parsed.option(arg, option, rest.get(index + 1).copied());
            } else {
                args::quote(arg, &mut parsed.options);
                parsed.options.push(b' ');
                complete = true;
            }
        }
        parsed
    }

    /// Begins a line with an option; returns whether it may stand without
    /// (more) values.
    fn option(&mut self, arg: &[u8], option: &[u8], next: Option<&[u8]>) -> bool {
        if !self.options.is_empty() {
            self.options.push(b'\n');
        }
        self.options.extend_from_slice(option);
        self.options.push(b' ');
        let name_only = args::split(arg).is_some_and(|words| words.len() == 1);
        if !name_only {
            return true;
        }
        let option_follows = next.is_some_and(|next| next.starts_with(b"--"));
        // `--save` may come without a value, for the sake of scripts that
        // print an empty one.
        if arg.eq_ignore_ascii_case(b"--save") && (option_follows || next.is_none()) {
            self.options.extend_from_slice(b"\"\"");
            return option_follows;
        }
        false
    }

    /// The sources to load, with all of `stdin` if it was asked for.
    ///
    /// # Errors
    /// Those of `stdin`.
    pub fn sources(self, mut stdin: impl Read) -> io::Result<Sources> {
        let mut text = None;
        if self.stdin {
            stdin.read_to_end(text.insert(Vec::new()))?;
        }
        Ok(Sources {
            file: self.file,
            stdin: text,
            options: self.options,
        })
    }
}

fn meta_option(program: &[u8], args: &[&[u8]]) -> Option<Meta> {
    let name = program
        .rsplit(|byte| *byte == b'/')
        .next()
        .unwrap_or(program);
    let named_sentinel = name.windows(14).any(|part| part == b"redis-sentinel");
    if named_sentinel || args.contains(&&b"--sentinel"[..]) {
        return Some(Meta::Sentinel);
    }
    Some(match *args.first()? {
        b"-v" | b"--version" => Meta::Version,
        b"-h" | b"--help" => Meta::Help,
        b"--test-memory" => Meta::TestMemory {
            with_amount: args.len() == 2,
        },
        b"--check-system" => Meta::CheckSystem,
        _ => return None,
    })
}

/// `name` from `dir`, with `../` at its beginning resolved by name.
fn absolute(dir: &Path, name: &[u8]) -> PathBuf {
    let mut dir = dir.to_path_buf();
    let mut name = name;
    while let Some(rest) = name.strip_prefix(b"../") {
        dir.pop();
        name = rest;
    }
    dir.join(super::path(name))
}

impl Meta {
    /// What to print, and the exit code. `redis_version` is the one that INFO
    /// says, `allocator` what its `mem_allocator` says.
    pub fn answer(&self, redis_version: &str, allocator: &str) -> Answer {
        let refused = |stderr: &str| Answer {
            stderr: stderr.into(),
            exit_code: 1,
            ..Answer::default()
        };
        match self {
            Meta::Version => Answer {
                // Redis's form, for the tools that look for `v=`.
                stdout: format!(
                    "Redis server v={redis_version} sha=00000000:0 malloc={allocator} bits={} \
                     build=0 redstart={}\n",
                    usize::BITS,
                    env!("CARGO_PKG_VERSION"),
                ),
                ..Answer::default()
            },
            Meta::Help => refused(HELP),
            Meta::TestMemory { with_amount: true } => refused(
                "Memory tests are not part of this server; use memtester, or memtest86 \
                 at boot, which reach all of the memory.\n",
            ),
            Meta::TestMemory { with_amount: false } => refused(
                "Please specify the amount of memory to test in megabytes.\n\
                 Example: ./redis-server --test-memory 4096\n\n",
            ),
            Meta::CheckSystem => {
                refused("System checks are not part of this server: nothing was checked.\n")
            }
            Meta::Sentinel => refused("Sentinel mode is not part of this server.\n"),
        }
    }
}

const HELP: &str = "\
Usage: redstart [/path/to/redis.conf] [options] [-]
       redstart -                  read the configuration from standard input
       redstart -v | --version
       redstart -h | --help

Every directive of redis.conf is an option: its name after --, then its values.
Options win over standard input, which wins over the file.

Examples:
       redstart                    the defaults, port 6379
       redstart /etc/redis/6379.conf
       redstart --port 7777 --save \"\"
       redstart \"--maxmemory 700mb\" --loglevel verbose
       echo 'maxclients 100' | redstart -
       redstart /etc/redis/6379.conf --loglevel verbose -
";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Arguments {
        let args: Vec<OsString> = std::iter::once(&"redstart")
            .chain(args)
            .map(Into::into)
            .collect();
        Arguments::parse(&args, Path::new("/srv/dir"))
    }

    #[track_caller]
    fn check(args: &[&str], options: &str) {
        let parsed = parse(args);
        assert_eq!(
            String::from_utf8(parsed.options).unwrap(),
            options,
            "{args:?}"
        );
    }

    #[test]
    fn options_become_lines() {
        check(&["--port", "7777"], "port \"7777\" ");
        check(
            &["--port", "1", "--loglevel", "debug"],
            "port \"1\" \nloglevel \"debug\" ",
        );
        check(
            &["--maxmemory 700mb", "--port 1"],
            "maxmemory 700mb \nport 1 ",
        );
        check(
            &["--port", "--loglevel", "verbose"],
            "port \"--loglevel\" \"verbose\" ",
        );
        check(
            &["--port", "--bla", "--loglevel", "x"],
            "port \"--bla\" \nloglevel \"x\" ",
        );
        check(
            &["x.conf", "loglevel", "verbose"],
            "\"loglevel\" \"verbose\" ",
        );
        check(&["--bind", "a b", "\"q\""], "bind \"a b\" \"\\\"q\\\"\" ");
    }

    #[test]
    fn save_may_come_without_a_value() {
        check(&["--save", "--port", "1"], "save \"\"\nport \"1\" ");
        check(&["--port", "1", "--save"], "port \"1\" \nsave \"\"");
        check(&["--save", "", "--port", "1"], "save \"\" \nport \"1\" ");
        check(
            &["--proc-title-template", "--save", "--save", ""],
            "proc-title-template \"--save\" \nsave \"\" ",
        );
    }

    #[test]
    fn a_dash_at_either_end_is_standard_input() {
        for args in [
            &["-"][..],
            &["-", "--port", "1"],
            &["x.conf", "-"],
            &["--port", "1", "-"],
        ] {
            assert!(parse(args).stdin, "{args:?}");
        }
        let middle = parse(&["x.conf", "-", "--port", "1"]);
        assert!(!middle.stdin);
        assert_eq!(middle.options, b"\"-\" \nport \"1\" ");
    }

    #[test]
    fn the_first_argument_may_be_a_file() {
        let file = |name| parse(&[name]).file;
        assert_eq!(file("x.conf"), Some("/srv/dir/x.conf".into()));
        assert_eq!(file("../x.conf"), Some("/srv/x.conf".into()));
        assert_eq!(file("/etc/x.conf"), Some("/etc/x.conf".into()));
        assert_eq!(file("--port"), None);
        assert_eq!(parse(&[]), Arguments::default());
    }

    #[test]
    fn meta_options_come_first_or_not_at_all() {
        let meta = |args: &[&str]| parse(args).meta;
        assert_eq!(meta(&["-v"]), Some(Meta::Version));
        assert_eq!(meta(&["--help"]), Some(Meta::Help));
        assert_eq!(meta(&["--port", "1", "--version"]), None);
        assert_eq!(meta(&["x.conf", "--sentinel"]), Some(Meta::Sentinel));
        assert_eq!(
            meta(&["--test-memory"]),
            Some(Meta::TestMemory { with_amount: false })
        );
        let version = Meta::Version.answer("7.0.15", "jemalloc-5.3.0");
        assert!(version.stdout.starts_with("Redis server v=7.0.15 sha="));
        assert_eq!(version.exit_code, 0);
    }
}
