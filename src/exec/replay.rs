//! Loading the append-only file: its commands run again, in the order in
//! which they were logged, as a client that nobody answers.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::{Duration, Instant};

use super::defrag::Defrag;
use super::scripting::{self, Pausing};
use super::{blocking, dispatch, settle};
use crate::aof::read::{LogReader, ReadFailure};
use crate::aof::{Manifest, Names, ReadError, os_error_text};
use crate::command::ctx::{Done, REPLIED};
use crate::command::registry::{CommandId, Lookup};
use crate::config::PropagationError;
use crate::engine::loading::{LoadOptions, LoadRules, OnServer, load_from, seconds};
use crate::engine::{ClientId, Closing, Flags, Queued, RawClient, Server, saving};
use crate::rdb::file::FileSource;
use crate::rdb::frame::MAGIC;
use crate::util::Logged;

/// How a file was loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Loaded {
    /// Whole.
    Whole,
    /// Without its end, which was cut off.
    Truncated,
}

/// Loads what the manifest lists, or the one file of an older version.
///
/// # Errors
/// When a file is missing or cannot be understood; the log says why, in the
/// last line.
pub fn load_log(rules: &LoadRules, on_server: OnServer<'_>) -> Result<(), Logged> {
    let start = Instant::now();
    let mut prepared = None;
    on_server(&mut |server| prepared = Some(prepare(server, true)));
    // Without a server, nobody waits for the data.
    let Some(prepared) = prepared else {
        return Ok(());
    };
    let (names, manifest) = prepared?;
    if manifest.is_empty() {
        return Ok(());
    }
    let mut loader = Loader {
        names,
        rules,
        on_server,
        done_bytes: 0,
    };
    loader.files(&manifest)?;
    tracing::info!(
        "DB loaded from append only file: {}",
        seconds(start.elapsed())
    );
    Ok(())
}

/// Loads everything again while everybody waits (DEBUG LOADAOF).
///
/// # Errors
/// As [`load_log`].
pub fn reload_log(server: &mut Server) -> Result<(), Logged> {
    let limits = crate::commands::generic::dump::limits(&server.config);
    let rules = LoadRules::of(server, limits);
    // Cron does not run meanwhile.
    let mut defrag = Defrag::while_loading();
    let loaded = load_log(&rules, &mut |run| {
        run(server);
        defrag.catch_up(server);
    });
    defrag.end(server);
    server.end_loading(None);
    loaded
}

/// What the manifest says; it is the server's from now on. To be loaded, the
/// log of an older version is brought into today's form.
///
/// # Errors
/// When it cannot be read: the reason has been logged.
pub fn prepare(server: &mut Server, to_load: bool) -> Result<(Names, Manifest), Logged> {
    let names = server.aof_names();
    let mut manifest = read_manifest(&names)?;
    if to_load {
        upgrade(server, &names, &mut manifest)?;
    }
    server.aof.manifest = manifest.clone();
    if !to_load {
        server.drop_history();
    }
    Ok((names, manifest))
}

fn shown(name: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(name)
}

fn read_manifest(names: &Names) -> Result<Manifest, Logged> {
    names.read_manifest().map_err(|error| {
        tell_of(names, error);
        Logged
    })
}

fn tell_of(names: &Names, error: ReadError) {
    match error {
        ReadError::Wrong(error) => {
            for line in error.lines() {
                tracing::warn!("{line}");
            }
        }
        ReadError::Io(error) => tracing::warn!(
            "Fatal error: can't open the AOF manifest file {} for reading: {}",
            names.path(&names.manifest()).display(),
            os_error_text(&error)
        ),
    }
}

/// Older versions had one file, outside of the directory: it becomes the base.
fn upgrade(server: &Server, names: &Names, manifest: &mut Manifest) -> Result<(), Logged> {
    let old = names.old_file();
    if !old.exists() {
        return Ok(());
    }
    // The move may have been interrupted after the manifest was written.
    let half_moved = manifest.incr.is_empty()
        && manifest
            .base
            .as_ref()
            .is_some_and(|base| base.name == names.prefix)
        && !names.path(&names.prefix).exists();
    if names.dir.is_dir() && !manifest.is_empty() && !half_moved {
        return Ok(());
    }
    let (disk, dir) = (&*server.aof.disk, names.dir.display());
    disk.make_dir(&names.dir).map_err(|error| {
        let text = os_error_text(&error);
        tracing::warn!("Can't open or create append-only dir {dir}: {text}");
        Logged
    })?;
    manifest.adopt(&names.prefix);
    names.write_manifest(disk, manifest)?;
    let name = shown(&names.prefix);
    disk.rename(old, &names.path(&names.prefix))
        .map_err(|error| {
            let text = os_error_text(&error);
            tracing::warn!("Error trying to move the old AOF file {name} into dir {dir}: {text}");
            Logged
        })?;
    tracing::info!(
        "Successfully migrated an old-style AOF file ({name}) into the AOF directory ({dir})."
    );
    Ok(())
}

fn begin_loading(server: &mut Server, total_bytes: u64) {
    server.begin_loading();
    server.stats.persistence.loading_total_bytes = total_bytes;
    // What expired meanwhile is deleted by the commands that say so.
    server.keyspace.ignore_expiry = true;
    server.keyspace.effects.record_expired = false;
}

fn end_loading(server: &mut Server) {
    server.keyspace.ignore_expiry = false;
    server.note_listeners();
}

/// Loads the files of a log.
struct Loader<'a> {
    names: Names,
    rules: &'a LoadRules,
    on_server: OnServer<'a>,
    /// Bytes of the files before the current one.
    done_bytes: u64,
}

impl Loader<'_> {
    fn files(&mut self, manifest: &Manifest) -> Result<(), Logged> {
        let mut sizes = Vec::new();
        for part in manifest.loaded() {
            let data = std::fs::metadata(self.names.path(&part.name)).map_err(|error| {
                let (name, text) = (shown(&part.name), os_error_text(&error));
                tracing::warn!("Unable to obtain the AOF file {name} length. stat: {text}");
                Logged
            })?;
            sizes.push(data.len());
        }
        let total: u64 = sizes.iter().sum();
        if total == 0 {
            return Ok(());
        }
        (self.on_server)(&mut |server| begin_loading(server, total));
        let mut result = Ok(());
        for (index, part) in manifest.loaded().enumerate() {
            let last = index + 1 == sizes.len();
            let is_base = manifest.base.as_ref() == Some(part);
            result = self.part(&part.name, is_base, last);
            if result.is_err() {
                break;
            }
            self.done_bytes += sizes[index];
        }
        let base_bytes = manifest.base.as_ref().map_or(0, |_| sizes[0]);
        (self.on_server)(&mut |server| {
            end_loading(server);
            server.note_loaded_aof(total, base_bytes);
        });
        result
    }

    fn part(&mut self, name: &[u8], is_base: bool, last: bool) -> Result<(), Logged> {
        let start = Instant::now();
        let loaded = self.file(name)?;
        if loaded == Loaded::Truncated && !last {
            tracing::warn!("Fatal error: the truncated file is not the last file");
            return Err(Logged);
        }
        let kind = if is_base { "base" } else { "incr" };
        let (name, time) = (shown(name), seconds(start.elapsed()));
        tracing::info!("DB loaded from {kind} file {name}: {time}");
        Ok(())
    }

    fn file(&mut self, name: &[u8]) -> Result<Loaded, Logged> {
        let opened = File::open(self.names.path(name)).and_then(|file| {
            let bytes = file.metadata()?.len();
            Ok((file, bytes))
        });
        let name_shown = shown(name);
        let (file, bytes) = opened.map_err(|error| {
            let text = os_error_text(&error);
            if error.kind() == std::io::ErrorKind::NotFound {
                tracing::warn!("The append log file {name_shown} doesn't exist: {text}");
            } else {
                tracing::warn!(
                    "Fatal error: can't open the append log file {name_shown} for reading: {text}"
                );
            }
            Logged
        })?;
        let (offset, rest, file) = self.snapshot(file, bytes, name)?;
        let source = std::io::Cursor::new(rest).chain(file);
        let reader = LogReader::new(source, bytes - offset, offset);
        let replayed = self.replay(reader, &name_shown);
        let mut result = Err(Logged);
        (self.on_server)(&mut |server| {
            result = match &replayed {
                Ok(()) => Ok(Loaded::Whole),
                Err(Stop::Short(valid)) => cut_off(server, &self.names, name, *valid),
                Err(Stop::Logged) => Err(Logged),
            };
        });
        result
    }

    /// Runs the commands of a file, some at a time.
    fn replay<R: Read>(&mut self, reader: LogReader<R>, name: &str) -> Result<(), Stop> {
        let mut replay = None;
        let mut reader = Some(reader);
        (self.on_server)(&mut |server| {
            let reader = reader.take().expect("it is run once");
            replay = Some(Replay::new(server, reader, name));
        });
        let Some(mut replay) = replay else {
            return Ok(());
        };
        let (done_bytes, delay_us) = (self.done_bytes, self.rules.delay_us);
        let mut result = Ok(true);
        while let Ok(true) = result {
            (self.on_server)(&mut |server| {
                result = replay.slice(server, delay_us);
                let done = done_bytes + replay.reader.offset();
                server.stats.persistence.loading_progress(done);
            });
            if delay_us != 0 {
                std::thread::sleep(saving::delay(1, delay_us));
            }
        }
        (self.on_server)(&mut |server| {
            if result.is_ok() && replay.in_transaction(server) {
                tracing::warn!("Revert incomplete MULTI/EXEC transaction in AOF file {name}");
                result = Err(Stop::Short(replay.before_multi));
            }
            server.forget_client(replay.id);
        });
        result.map(|_| ())
    }

    /// Loads the snapshot at the front of a file, if there is one; gives where
    /// it ends, what of the rest has been read, and the file behind that.
    fn snapshot(
        &mut self,
        mut file: File,
        bytes: u64,
        name: &[u8],
    ) -> Result<(u64, Vec<u8>, File), Logged> {
        let mut magic = [0; 5];
        let is_snapshot = file.read_exact(&mut magic).is_ok() && &magic == MAGIC;
        file.seek(SeekFrom::Start(0)).map_err(|error| {
            let (name, text) = (shown(name), os_error_text(&error));
            tracing::warn!("Unrecoverable error reading the append only file {name}: {text}");
            Logged
        })?;
        if !is_snapshot {
            return Ok((0, Vec::new(), file));
        }
        let old = name == self.names.prefix;
        let name = shown(name);
        if old {
            tracing::info!("Reading RDB preamble from AOF file...");
        } else {
            tracing::info!("Reading RDB base file on AOF loading...");
        }
        let mut source = FileSource::new(file, self.rules.checksum);
        let options = LoadOptions {
            merge: false,
            aof_preamble: true,
        };
        let loaded = load_from(&mut source, bytes, self.rules, options, self.on_server);
        if let Err(reason) = loaded {
            let what = if old {
                "the RDB preamble of the AOF file"
            } else {
                "the RDB base file"
            };
            tracing::warn!("{reason}");
            tracing::warn!("Error reading {what} {name}, AOF loading aborted");
            return Err(Logged);
        }
        if old {
            tracing::info!("Reading the remaining AOF tail...");
        }
        let offset = source.taken();
        let (rest, file) = source.into_rest();
        Ok((offset, rest, file))
    }
}

/// Cuts off the end of a log that a crash has left unfinished.
fn cut_off(server: &Server, names: &Names, name: &[u8], valid: u64) -> Result<Loaded, Logged> {
    let (path, name) = (names.path(name), shown(name));
    if server.config.aof_load_truncated {
        tracing::warn!("!!! Warning: short read while loading the AOF file {name}!!!");
        tracing::warn!("!!! Truncating the AOF {name} at offset {valid} !!!");
        let file = File::options().write(true).open(&path);
        let cut = file.and_then(|file| {
            file.set_len(valid)?;
            file.sync_all()
        });
        match cut {
            Ok(()) => {
                tracing::warn!("AOF {name} loaded anyway because aof-load-truncated is enabled");
                return Ok(Loaded::Truncated);
            }
            Err(error) => {
                let text = os_error_text(&error);
                tracing::warn!("Error truncating the AOF file {name}: {text}");
            }
        }
    }
    unexpected_end(&name);
    Err(Logged)
}

fn unexpected_end(name: &str) {
    tracing::warn!(
        "Unexpected end of file reading the append only file {name}. You can: 1) Make a backup of \
         your AOF file, then use ./redis-check-aof --fix <filename.manifest>. 2) Alternatively \
         you can set the 'aof-load-truncated' configuration option to yes and restart the server."
    );
}

/// Why replaying stopped.
enum Stop {
    /// The end is missing; the log makes sense up to here.
    Short(u64),
    /// Anything else, which has been logged.
    Logged,
}

/// Commands between two looks at the clock.
const LOOK_EVERY: usize = 64;
/// The lock is held for about this time.
const SLICE: Duration = Duration::from_millis(2);

/// A log being replayed.
struct Replay<'a, R> {
    id: ClientId,
    reader: LogReader<R>,
    name: &'a str,
    /// Where the last MULTI began.
    before_multi: u64,
    multi: Option<CommandId>,
    exec: Option<CommandId>,
}

impl<'a, R: Read> Replay<'a, R> {
    fn new(server: &mut Server, reader: LogReader<R>, name: &'a str) -> Replay<'a, R> {
        let named = |name: &[u8]| match server.registry.resolve([name].as_slice()) {
            Lookup::Found(command) => Some(command),
            // Renamed away: nothing is a transaction then.
            _ => None,
        };
        let (multi, exec) = (named(b"multi"), named(b"exec"));
        let user = server.users.default_user().clone();
        let id = server
            .clients
            .add(RawClient::default(), user, server.now_ns);
        // It is nobody that CLIENT LIST would show.
        server.client(id).closing = Closing::Now;
        Replay {
            id,
            reader,
            name,
            before_multi: 0,
            multi,
            exec,
        }
    }

    /// Runs commands for a while; false at the end.
    fn slice(&mut self, server: &mut Server, delay_us: i32) -> Result<bool, Stop> {
        let start = Instant::now();
        server.now_ns = server.clock.now_ns();
        loop {
            for _ in 0..LOOK_EVERY {
                let before = self.reader.offset();
                match self.reader.advance() {
                    Ok(true) => self.command(server, before)?,
                    Ok(false) => return Ok(false),
                    Err(failure) => return Err(self.failed(server, failure, before)),
                }
                if delay_us != 0 {
                    return Ok(true);
                }
            }
            if start.elapsed() > SLICE {
                return Ok(true);
            }
        }
    }

    fn in_transaction(&self, server: &Server) -> bool {
        let client = server.clients.get(self.id);
        client.is_some_and(|client| client.flags.has(Flags::MULTI))
    }

    fn failed(&self, server: &Server, failure: ReadFailure, valid: u64) -> Stop {
        let name = self.name;
        match failure {
            // A transaction whose end is missing goes as a whole.
            ReadFailure::Short if self.in_transaction(server) => {
                return Stop::Short(self.before_multi);
            }
            ReadFailure::Short => return Stop::Short(valid),
            ReadFailure::Format => bad_format(name),
            ReadFailure::Io(error) => {
                let text = os_error_text(&error);
                tracing::warn!("Unrecoverable error reading the append only file {name}: {text}");
            }
        }
        Stop::Logged
    }

    /// Runs or queues the command that has been read.
    fn command(&mut self, server: &mut Server, before: u64) -> Result<(), Stop> {
        let argv: Vec<&[u8]> = self.reader.args().collect();
        let command = match server.registry.resolve(argv.as_slice()) {
            Lookup::Found(command) => command,
            _ => {
                let (name, file) = (shown(argv[0]), self.name);
                tracing::warn!("Unknown command '{name}' reading the append only file {file}");
                return Err(Stop::Logged);
            }
        };
        if !server.registry[command].accepts(argv.len()) {
            bad_format(self.name);
            return Err(Stop::Logged);
        }
        if Some(command) == self.multi {
            self.before_multi = before;
        }
        let client = server.client(self.id);
        if client.flags.has(Flags::MULTI) && Some(command) != self.exec {
            let argv = dispatch::kept(&argv, &[]);
            if let Some(transaction) = &mut client.transaction {
                transaction.push(Queued { command, argv }, 0);
            }
        } else if Some(command) == self.exec {
            exec(server, self.id);
        } else {
            apply(server, self.id, command, &argv);
        }
        Ok(())
    }
}

fn bad_format(name: &str) {
    tracing::warn!(
        "Bad file format reading the append only file {name}: make a backup of your AOF file, \
         then use ./redis-check-aof --fix <filename.manifest>"
    );
}

/// Runs a transaction that has been read as a whole.
fn exec(server: &mut Server, id: ClientId) {
    let transaction = server.client(id).transaction.take();
    server.discard(id);
    for queued in transaction
        .into_iter()
        .flat_map(|transaction| transaction.queue)
    {
        let argv: Vec<&[u8]> = queued.argv.iter().map(|arg| &arg[..]).collect();
        apply(server, id, queued.command, &argv);
    }
}

/// Runs one command and forgets what it answers.
fn apply(server: &mut Server, id: ClientId, command: CommandId, argv: &[&[u8]]) {
    let mut result = dispatch::call(server, id, command, argv, &[], None);
    if let Ok(Done::Script(call)) = result {
        // Older versions logged scripts instead of what they did.
        let ended = scripting::run(server, id, command, argv, call, Pausing::Never);
        result = ended.unwrap_or(REPLIED);
    }
    server.running = None;
    if let Ok(Done::Wait(wait)) = &result {
        // Nobody would wake it.
        blocking::reply_denied(server, id, wait.when_denied);
    }
    if let Err(error) = result {
        server.stats.error_reply(error.code());
        refused(server, command, error.as_bytes());
    }
    server.redact.clear();
    server.client(id).output.clear();
    settle::settle_replayed(server);
}

/// A command that was logged, so that it did something once, does not now.
fn refused(server: &mut Server, command: CommandId, error: &[u8]) {
    let name = server.registry[command].full_name();
    let text = String::from_utf8_lossy(error);
    tracing::warn!(
        "== CRITICAL == This server is sending an error to its AOF-loading-client: '-{text}' after \
         processing the command '{name}'"
    );
    let panics = server.config.propagation_error_behavior == PropagationError::Panic;
    assert!(
        !panics,
        "This server panicked sending an error to its AOF-loading-client after processing the \
         command '{name}'"
    );
    server.stats.unexpected_error_replies += 1;
}
