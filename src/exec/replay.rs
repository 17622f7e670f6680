//! Loading the append-only file: its commands run again, in the order in
//! which they were logged, as a client that nobody answers.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Instant;

use super::{blocking, dispatch, settle};
use crate::aof::read::{LogReader, ReadFailure};
use crate::aof::{Manifest, Names, ReadError, os_error_text};
use crate::command::ctx::Done;
use crate::command::registry::{CommandId, Lookup};
use crate::config::PropagationError;
use crate::engine::{ClientId, Flags, Queued, RawClient, Server};

/// How a file was loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Loaded {
    /// Whole.
    Whole,
    /// Without its end, which was cut off.
    Truncated,
}

/// The log cannot be loaded; why has been logged.
type Failed = ();

/// Loads what the manifest lists, or the one file of an older version.
///
/// # Errors
/// When a file is missing or cannot be understood; the log says why, in the
/// last line.
pub fn load_log(server: &mut Server) -> Result<(), Failed> {
    let start = Instant::now();
    let names = server.aof_names();
    let mut manifest = read_manifest(&names)?;
    upgrade(server, &names, &mut manifest)?;
    server.aof.manifest = manifest.clone();
    if manifest.is_empty() {
        return Ok(());
    }
    load_files(server, &names, &manifest)?;
    let seconds = start.elapsed().as_secs_f32();
    tracing::info!("DB loaded from append only file: {seconds:.3} seconds");
    Ok(())
}

fn shown(name: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(name)
}

fn read_manifest(names: &Names) -> Result<Manifest, Failed> {
    names.read_manifest().map_err(|error| match error {
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
    })
}

/// Older versions had one file, outside of the directory: it becomes the base.
fn upgrade(server: &Server, names: &Names, manifest: &mut Manifest) -> Result<(), Failed> {
    let old = names.old_file();
    if !old.exists() {
        return Ok(());
    }
    // The move may have been interrupted after the manifest was written.
    let half_moved = manifest.incr.is_empty()
        && manifest.base.as_ref().is_some_and(|base| base.name == names.prefix)
        && !names.path(&names.prefix).exists();
    if names.dir.is_dir() && !manifest.is_empty() && !half_moved {
        return Ok(());
    }
    let (disk, dir) = (&*server.aof.disk, names.dir.display());
    disk.make_dir(&names.dir).map_err(|error| {
        let text = os_error_text(&error);
        tracing::warn!("Can't open or create append-only dir {dir}: {text}");
    })?;
    manifest.adopt(&names.prefix);
    names.write_manifest(disk, manifest)?;
    let name = shown(&names.prefix);
    disk.rename(old, &names.path(&names.prefix)).map_err(|error| {
        let text = os_error_text(&error);
        tracing::warn!("Error trying to move the old AOF file {name} into dir {dir}: {text}");
    })?;
    tracing::info!(
        "Successfully migrated an old-style AOF file ({name}) into the AOF directory ({dir})."
    );
    Ok(())
}

fn load_files(server: &mut Server, names: &Names, manifest: &Manifest) -> Result<(), Failed> {
    let mut sizes = Vec::new();
    for part in manifest.loaded() {
        let data = std::fs::metadata(names.path(&part.name)).map_err(|error| {
            let (name, text) = (shown(&part.name), os_error_text(&error));
            tracing::warn!("Unable to obtain the AOF file {name} length. stat: {text}");
        })?;
        sizes.push(data.len());
    }
    let total: u64 = sizes.iter().sum();
    if total == 0 {
        return Ok(());
    }
    begin_loading(server);
    let mut result = Ok(());
    for (index, part) in manifest.loaded().enumerate() {
        let start = Instant::now();
        let last = index + 1 == sizes.len();
        let loaded = load_file(server, names, &part.name);
        if loaded == Ok(Loaded::Whole) || (loaded == Ok(Loaded::Truncated) && last) {
            let kind = if manifest.base.as_ref() == Some(part) {
                "base"
            } else {
                "incr"
            };
            let (name, seconds) = (shown(&part.name), start.elapsed().as_secs_f32());
            tracing::info!("DB loaded from {kind} file {name}: {seconds:.3} seconds");
        } else if loaded == Ok(Loaded::Truncated) {
            tracing::warn!("Fatal error: the truncated file is not the last file");
            result = Err(());
        } else {
            result = Err(());
        }
        if result.is_err() {
            break;
        }
    }
    end_loading(server);
    let base_bytes = manifest.base.as_ref().map_or(0, |_| sizes[0]);
    server.note_loaded_aof(total, base_bytes);
    result
}

fn begin_loading(server: &mut Server) {
    server.stats.persistence.loading = true;
    // What expired meanwhile is deleted by the commands that say so.
    server.keyspace.ignore_expiry = true;
    server.keyspace.effects.record_expired = false;
}

fn end_loading(server: &mut Server) {
    server.stats.persistence.loading = false;
    server.keyspace.ignore_expiry = false;
    server.note_listeners();
}

fn load_file(server: &mut Server, names: &Names, name: &[u8]) -> Result<Loaded, Failed> {
    let path = names.path(name);
    let opened = File::open(&path).and_then(|file| {
        let bytes = file.metadata()?.len();
        Ok((file, bytes))
    });
    let name_shown = shown(name);
    let (mut file, bytes) = opened.map_err(|error| {
        let text = os_error_text(&error);
        if error.kind() == std::io::ErrorKind::NotFound {
            tracing::warn!("The append log file {name_shown} doesn't exist: {text}");
        } else {
            tracing::warn!(
                "Fatal error: can't open the append log file {name_shown} for reading: {text}"
            );
        }
    })?;
    let id = server.clients.add(RawClient::default(), server.now_ns);
    let result = load_snapshot(server, &mut file, names, name).and_then(|offset| {
        let reader = LogReader::new(file, bytes - offset, offset);
        let mut replay = Replay::new(server, id, reader, &name_shown);
        match replay.run() {
            Ok(()) => Ok(Loaded::Whole),
            Err(Stop::Short(valid)) => cut_off(server, names, name, valid),
            Err(Stop::Logged) => Err(()),
        }
    });
    server.forget_client(id);
    result
}

/// Cuts off the end of a log that a crash has left unfinished.
fn cut_off(server: &Server, names: &Names, name: &[u8], valid: u64) -> Result<Loaded, Failed> {
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
    Err(())
}

fn unexpected_end(name: &str) {
    tracing::warn!(
        "Unexpected end of file reading the append only file {name}. You can: 1) Make a backup of \
         your AOF file, then use ./redis-check-aof --fix <filename.manifest>. 2) Alternatively \
         you can set the 'aof-load-truncated' configuration option to yes and restart the server."
    );
}

/// Loads the snapshot at the front of a file, if there is one; gives where it
/// ends.
fn load_snapshot(
    _server: &mut Server,
    file: &mut File,
    names: &Names,
    name: &[u8],
) -> Result<u64, Failed> {
    let mut magic = [0; 5];
    let is_snapshot = file.read_exact(&mut magic).is_ok() && magic == *b"REDIS";
    file.seek(SeekFrom::Start(0)).map_err(|error| {
        let (name, text) = (shown(name), os_error_text(&error));
        tracing::warn!("Unrecoverable error reading the append only file {name}: {text}");
    })?;
    if !is_snapshot {
        return Ok(0);
    }
    let old = name == names.prefix;
    let name = shown(name);
    if old {
        tracing::info!("Reading RDB preamble from AOF file...");
    } else {
        tracing::info!("Reading RDB base file on AOF loading...");
    }
    match empty_snapshot(file) {
        Some(end) => {
            file.seek(SeekFrom::Start(end)).map_err(|_| ())?;
            if old {
                tracing::info!("Reading the remaining AOF tail...");
            }
            Ok(end)
        }
        None => {
            let what = if old {
                "the RDB preamble of the AOF file"
            } else {
                "the RDB base file"
            };
            tracing::warn!("Error reading {what} {name}, AOF loading aborted");
            Err(())
        }
    }
}

/// Where a snapshot without keys ends; none when it has some.
fn empty_snapshot(file: &mut File) -> Option<u64> {
    use crate::rdb::{Reader, StreamSource};
    const AUX: u8 = 0xfa;
    const END: u8 = 0xff;
    let mut header = [0; 9];
    file.read_exact(&mut header).ok()?;
    let mut bytes = Vec::new();
    file.take(64 * 1024).read_to_end(&mut bytes).ok()?;
    let mut reader = Reader::new(StreamSource::new(&bytes[..]));
    let mut used = 9;
    loop {
        match reader.byte().ok()? {
            AUX => {
                reader.string().ok()?;
                reader.string().ok()?;
            }
            END => break,
            _ => return None,
        }
    }
    let position = bytes.iter().rposition(|byte| *byte == END)?;
    used += position as u64 + 1 + 8;
    Some(used)
}

/// Why replaying stopped.
enum Stop {
    /// The end is missing; the log makes sense up to here.
    Short(u64),
    /// Anything else, which has been logged.
    Logged,
}

/// A log being replayed.
struct Replay<'a> {
    server: &'a mut Server,
    id: ClientId,
    reader: LogReader<File>,
    name: &'a str,
    /// Where the last MULTI began.
    before_multi: u64,
    multi: Option<CommandId>,
    exec: Option<CommandId>,
}

impl<'a> Replay<'a> {
    fn new(
        server: &'a mut Server,
        id: ClientId,
        reader: LogReader<File>,
        name: &'a str,
    ) -> Replay<'a> {
        let named = |name: &[u8]| match server.registry.resolve([name].as_slice()) {
            Lookup::Found(command) => Some(command),
            // Renamed away: nothing is a transaction then.
            _ => None,
        };
        let (multi, exec) = (named(b"multi"), named(b"exec"));
        Replay {
            server,
            id,
            reader,
            name,
            before_multi: 0,
            multi,
            exec,
        }
    }

    fn run(&mut self) -> Result<(), Stop> {
        loop {
            let before = self.reader.offset();
            match self.reader.advance() {
                Ok(true) => self.command(before)?,
                Ok(false) => break,
                Err(failure) => return Err(self.failed(failure, before)),
            }
        }
        if self.in_transaction() {
            let name = self.name;
            tracing::warn!("Revert incomplete MULTI/EXEC transaction in AOF file {name}");
            return Err(Stop::Short(self.before_multi));
        }
        Ok(())
    }

    fn in_transaction(&self) -> bool {
        let client = self.server.clients.get(self.id);
        client.is_some_and(|client| client.flags.has(Flags::MULTI))
    }

    fn failed(&self, failure: ReadFailure, valid: u64) -> Stop {
        let name = self.name;
        match failure {
            // A transaction whose end is missing goes as a whole.
            ReadFailure::Short if self.in_transaction() => return Stop::Short(self.before_multi),
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
    fn command(&mut self, before: u64) -> Result<(), Stop> {
        let argv: Vec<&[u8]> = self.reader.args().collect();
        let command = match self.server.registry.resolve(argv.as_slice()) {
            Lookup::Found(command) => command,
            _ => {
                let (name, file) = (shown(argv[0]), self.name);
                tracing::warn!("Unknown command '{name}' reading the append only file {file}");
                return Err(Stop::Logged);
            }
        };
        if !self.server.registry[command].accepts(argv.len()) {
            bad_format(self.name);
            return Err(Stop::Logged);
        }
        if Some(command) == self.multi {
            self.before_multi = before;
        }
        let client = self.server.client(self.id);
        if client.flags.has(Flags::MULTI) && Some(command) != self.exec {
            let argv = dispatch::kept(&argv, &[]);
            if let Some(transaction) = &mut client.transaction {
                transaction.push(Queued { command, argv }, 0);
            }
        } else if Some(command) == self.exec {
            exec(self.server, self.id);
        } else {
            apply(self.server, self.id, command, &argv);
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
    for queued in transaction.into_iter().flat_map(|transaction| transaction.queue) {
        let argv: Vec<&[u8]> = queued.argv.iter().map(|arg| &arg[..]).collect();
        apply(server, id, queued.command, &argv);
    }
}

/// Runs one command and forgets what it answers.
fn apply(server: &mut Server, id: ClientId, command: CommandId, argv: &[&[u8]]) {
    let result = dispatch::call(server, id, command, argv, &[], None);
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
