//! Loading snapshots: at the start, and for DEBUG RELOAD.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use super::saving::{Logged, delay};
use super::server::Server;
use crate::keyspace::access::AccessPolicy;
use crate::keyspace::{DbIndex, LoadedKey};
use crate::rdb::file::FileSource;
use crate::rdb::frame::{self, KeyRecord, Record, Usage};
use crate::rdb::{Limits, LoadError, Reader, payload};

/// Keys that are put in at a time.
const BATCH_KEYS: usize = 128;
/// Bytes of a file for each key at least, by which its announcement of their
/// number is doubted.
const KEY_BYTES_MIN: u64 = 4;
/// Keys without elements that are named in the log.
const EMPTY_LOGGED: u64 = 10;

/// Lets something run on the server, again and again.
pub type OnServer<'a> = &'a mut dyn FnMut(&mut dyn FnMut(&mut Server));

/// How a file is loaded.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LoadOptions {
    /// A key that is there already is no error, and is kept.
    pub merge: bool,
    /// The file begins an append-only file: expired keys stay, since what
    /// follows may count on them.
    pub aof_preamble: bool,
}

/// What loading needs to know of the configuration.
#[derive(Clone)]
pub struct LoadRules {
    /// Up to when collections stay packed.
    pub limits: Limits,
    /// Whether checksums are looked at.
    pub checksum: bool,
    access: AccessPolicy,
    now_ms: i64,
    databases: usize,
    /// Time lost for each key, for tests (`key-load-delay`).
    pub delay_us: i32,
}

/// What was loaded.
#[derive(Clone, Copy, Default, Debug)]
pub struct Loaded {
    /// Keys.
    pub keys: u64,
    /// Keys that had expired.
    pub expired: u64,
    /// Keys without elements.
    pub empty: u64,
}

impl LoadRules {
    /// The rules that are in force.
    pub fn of(server: &Server, limits: Limits) -> LoadRules {
        LoadRules {
            limits,
            checksum: server.config.rdbchecksum,
            access: server.keyspace.access.clone(),
            now_ms: server.clock_unix_ms(),
            databases: server.keyspace.count(),
            delay_us: server.config.key_load_delay_us,
        }
    }

    fn clock(&self, usage: Usage) -> u32 {
        match usage {
            Usage::IdleSeconds(seconds) if !self.access.lfu => {
                let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
                self.access.clock_of_idle(seconds, self.now_ms)
            }
            Usage::Frequency(counter) if self.access.lfu => {
                self.access.clock_of_frequency(counter, self.now_ms)
            }
            _ => self.access.initial(self.now_ms),
        }
    }
}

/// Puts keys in, some at a time.
struct Batch<'a, 'b> {
    on_server: OnServer<'a>,
    rules: &'b LoadRules,
    options: LoadOptions,
    db: usize,
    keys: Vec<LoadedKey>,
    loaded: Loaded,
}

impl Batch<'_, '_> {
    fn push(&mut self, record: KeyRecord) -> Result<(), String> {
        let expired = record.expire.is_some_and(|at_ms| at_ms < self.rules.now_ms);
        if expired && !self.options.aof_preamble {
            self.loaded.expired += 1;
            return Ok(());
        }
        let clock = self.rules.clock(record.usage);
        let key = LoadedKey::new(&record.key, record.value, record.expire, clock);
        self.keys.push(key);
        self.loaded.keys += 1;
        if self.keys.len() >= BATCH_KEYS || self.rules.delay_us != 0 {
            return self.flush(0);
        }
        Ok(())
    }

    /// Puts in what was collected; `taken` bytes of the file are read.
    fn flush(&mut self, taken: u64) -> Result<(), String> {
        let keys = std::mem::take(&mut self.keys);
        std::thread::sleep(delay(keys.len() as u64, self.rules.delay_us));
        let (number, merge) = (self.db, self.options.merge);
        let mut keys = Some(keys);
        let mut outcome = Ok(());
        (self.on_server)(&mut |server| {
            if taken > 0 {
                server.stats.persistence.loading_progress(taken);
            }
            let Some(db) = server.keyspace.index(number as i64) else {
                return;
            };
            for key in keys.take().into_iter().flatten() {
                let inserted = server.keyspace.select(db).insert_loaded(key);
                if let Err(key) = inserted
                    && !merge
                {
                    let name = String::from_utf8_lossy(key.key()).into_owned();
                    outcome = Err(format!("RDB has duplicated key '{name}' in DB {number}"));
                    return;
                }
            }
        });
        outcome
    }
}

/// Loads a file.
///
/// # Errors
/// With the text that is logged. What was loaded by then stays.
pub fn load_file(
    path: &Path,
    rules: &LoadRules,
    options: LoadOptions,
    on_server: OnServer<'_>,
) -> Result<Loaded, String> {
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (size, file) = opened.map_err(|error| crate::config::os_error_text(&error))?;
    on_server(&mut |server| server.stats.persistence.loading_total_bytes = size);
    let mut source = FileSource::new(file, rules.checksum);
    load_from(&mut source, size, rules, options, on_server)
}

/// Loads what a source holds, up to the end of the snapshot.
///
/// # Errors
/// As [`load_file`].
pub fn load_from<R: Read>(
    source: &mut FileSource<R>,
    size: u64,
    rules: &LoadRules,
    options: LoadOptions,
    on_server: OnServer<'_>,
) -> Result<Loaded, String> {
    use crate::rdb::Source;
    let header = source.take(9).map_err(|error| unreadable(&error))?;
    let header: [u8; 9] = header.try_into().expect("nine bytes were taken");
    let version = frame::version(&header)?;
    let mut reader = Reader::new(source);
    let mut batch = Batch {
        on_server,
        rules,
        options,
        db: 0,
        keys: Vec::new(),
        loaded: Loaded::default(),
    };
    let mut told = 0;
    loop {
        let record = reader.record(&rules.limits).map_err(|(key, error)| {
            let of_key = key.map_or(String::new(), |key| {
                format!(", key '{}'", String::from_utf8_lossy(&key))
            });
            format!("{}{of_key}", unreadable(&error))
        })?;
        match record {
            Record::Key(record) => batch.push(*record)?,
            Record::SelectDb(number) => {
                batch.flush(0)?;
                batch.db = usize::try_from(number).unwrap_or(usize::MAX);
                if batch.db >= rules.databases {
                    return Err(format!(
                        "FATAL: Data file was created with a Redis server configured to handle \
                         more than {} databases. Exiting",
                        rules.databases
                    ));
                }
            }
            Record::ResizeDb(keys, _) => {
                let keys = keys.min(size / KEY_BYTES_MIN) as usize;
                let number = batch.db;
                (batch.on_server)(&mut |server| {
                    if let Some(db) = server.keyspace.index(number as i64) {
                        server.keyspace.select(db).expect_keys(keys);
                    }
                });
            }
            Record::Aux(name, value) => {
                note_field(&name, &value);
                if name == b"used-mem"
                    && let Some(bytes) = crate::util::num::parse_i64(&value)
                {
                    (batch.on_server)(&mut |server| {
                        server.stats.persistence.loading_used_bytes = bytes;
                    });
                }
            }
            Record::EmptyKey(key) => {
                batch.loaded.empty += 1;
                if batch.loaded.empty <= EMPTY_LOGGED {
                    tracing::info!(
                        "rdbLoadObject skipping empty key: {}",
                        String::from_utf8_lossy(&key)
                    );
                }
            }
            Record::Function(_) => return Err("this version has no functions".into()),
            Record::End => break,
        }
        let taken = reader.source().taken();
        if taken - told >= 1 << 20 {
            told = taken;
            batch.flush(taken)?;
        }
    }
    batch.flush(size)?;
    let loaded = batch.loaded;
    if version >= 5 {
        check_sum(reader.source())?;
    }
    if loaded.empty > 0 {
        tracing::warn!(
            "Done loading RDB, keys loaded: {}, keys expired: {}, empty keys skipped: {}.",
            loaded.keys,
            loaded.expired,
            loaded.empty
        );
    } else {
        tracing::info!(
            "Done loading RDB, keys loaded: {}, keys expired: {}.",
            loaded.keys,
            loaded.expired
        );
    }
    Ok(loaded)
}

fn unreadable(error: &LoadError) -> String {
    match error {
        LoadError::Ended => {
            "Short read or OOM loading DB. Unrecoverable error, aborting now.".into()
        }
        error => format!("Internal error in RDB reading: {error}"),
    }
}

fn note_field(name: &[u8], value: &[u8]) {
    let value = String::from_utf8_lossy(value);
    match name {
        b"redis-ver" => tracing::info!("Loading RDB produced by version {value}"),
        b"ctime" => tracing::debug!("RDB created at Unix time {value}"),
        b"used-mem" => tracing::debug!("RDB memory usage when created {value} bytes"),
        b"aof-base" if value == "1" => tracing::info!("RDB is base AOF"),
        _ => {}
    }
}

fn check_sum<R: Read>(source: &mut FileSource<R>) -> Result<(), String> {
    use crate::rdb::Source;
    let found = source.checksum();
    let written = source.take(8).map_err(|error| unreadable(&error))?;
    let written = u64::from_le_bytes(written.try_into().expect("eight bytes were taken"));
    match found {
        _ if written == 0 => {
            tracing::info!("RDB file was saved with checksum disabled: no check performed.")
        }
        Some(found) if found != written && !payload::skips_checksums() => {
            tracing::warn!(
                "Wrong RDB checksum expected: ({written:x}) but got ({found:x}). Aborting now."
            );
            return Err("RDB CRC error".into());
        }
        _ => {}
    }
    Ok(())
}

impl Server {
    /// Marks the beginning of loading.
    pub fn begin_loading(&mut self) {
        let now_s = self.clock_unix_ms() / 1000;
        let p = &mut self.stats.persistence;
        p.loading = true;
        p.loading_started_s = now_s;
        (p.loading_total_bytes, p.loading_bytes) = (0, 0);
        p.loading_used_bytes = 0;
    }

    /// Marks its end.
    pub fn end_loading(&mut self, loaded: Option<Loaded>) {
        let p = &mut self.stats.persistence;
        p.loading = false;
        if let Some(loaded) = loaded {
            (p.loaded, p.loaded_expired) = (loaded.keys, loaded.expired);
        }
    }

    /// Loads the snapshot while everybody waits (DEBUG RELOAD).
    ///
    /// # Errors
    /// When it could not be loaded: the reason has been logged.
    pub fn reload(&mut self, limits: Limits, options: LoadOptions) -> Result<(), Logged> {
        let (path, rules) = (self.rdb_path(), LoadRules::of(self, limits));
        self.begin_loading();
        let loaded = load_file(&path, &rules, options, &mut |run| run(self));
        self.end_loading(loaded.as_ref().ok().copied());
        loaded.map(|_| ()).map_err(|reason| {
            tracing::warn!("Error loading the DB from {}: {reason}", path.display());
            Logged
        })
    }

    /// The database of a number that a file names.
    pub fn db_of_file(&self, number: u64) -> Option<DbIndex> {
        self.keyspace.index(i64::try_from(number).ok()?)
    }
}

/// Whether a file is not there, which at the start is no error.
pub fn is_missing(path: &Path) -> bool {
    matches!(std::fs::metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// Time in the words of the log.
pub fn seconds(time: Duration) -> String {
    format!("{:.3} seconds", time.as_secs_f64())
}
