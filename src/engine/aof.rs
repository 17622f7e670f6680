//! The append-only file as the engine sees it: a buffer that is written at
//! the end of each turn, before replies go out, and what became of it.
//!
//! With `appendfsync always` buffers are handed to a thread that writes them
//! and forces them to disk, many turns at once if need be; replies wait for
//! it ([`Aof::barrier`]), nobody else does. Otherwise they are written here,
//! and only forcing them to disk is left to the thread.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::aof_rewrite::Rewrite;
use super::journal::Sink;
use super::server::Server;
use super::snapshot_file::{Description, SnapshotFile};
use crate::aof::{
    Alarm, Disk, DiskFile, Errand, Manifest, Names, Open, RealDisk, Syncer, append_command,
    os_error_text,
};
use crate::config::AppendFsync;
use crate::keyspace::DbIndex;
use crate::util::Logged;

/// Seconds between two lines in the log about failing writes.
const LOG_ERRORS_EVERY_S: i64 = 30;
/// Seconds for which a write waits for the disk to be done with the last.
const POSTPONE_MAX_S: i64 = 2;
/// Room that the buffer keeps, bytes.
const KEPT_BYTES: usize = 64 * 1024;

/// Whether there is a log.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum AofState {
    /// No.
    #[default]
    Off,
    /// Yes.
    On,
    /// As soon as its base has been written.
    WaitRewrite,
}

/// Nobody to tell: for engines without a process around.
struct NoAlarm;

impl Alarm for NoAlarm {
    fn durable(&self) {}
    fn fatal(&self) {}
}

/// The log.
pub struct Aof {
    /// Whether there is one.
    pub state: AofState,
    /// The files that it is made of.
    pub manifest: Manifest,
    /// Where they are kept.
    pub disk: Arc<dyn Disk>,
    /// Who is told of what the disk does.
    pub alarm: Arc<dyn Alarm>,
    /// Microseconds to sleep before each write (DEBUG AOF-FLUSH-SLEEP).
    pub flush_sleep_us: u64,
    /// Bytes of all files that are loaded at start.
    pub current_bytes: u64,
    /// The same after the last rewrite, or at start those of the base.
    pub base_bytes: u64,
    /// Writes that did not wait for the disk any longer.
    pub delayed_syncs: u64,
    /// Commands note the time before them.
    pub timestamps: bool,
    pub(super) rewrite: Rewrite,
    pub(super) syncer: Option<Syncer>,
    /// What the thread that executes is to write itself.
    errand: Option<Errand>,
    pub(super) file: Option<Arc<dyn DiskFile>>,
    pub(super) buffer: Vec<u8>,
    /// The database that the last command was for.
    pub(super) selected: Option<DbIndex>,
    /// Bytes of the file that is written to, and of those on disk.
    pub(super) incr_bytes: u64,
    synced_bytes: u64,
    /// Bytes that were ever appended by this process.
    position: u64,
    /// The thread writes the file, not we.
    handing_over: bool,
    /// When it was last forced to disk, Unix seconds.
    pub(super) synced_s: i64,
    postponed_s: Option<i64>,
    error_logged_s: i64,
    /// Why the last write failed.
    write_error: Option<std::io::Error>,
    /// Writes of clients are refused.
    troubled: bool,
    noted_s: i64,
}

impl Default for Aof {
    fn default() -> Aof {
        Aof {
            state: AofState::Off,
            manifest: Manifest::default(),
            disk: Arc::new(RealDisk),
            alarm: Arc::new(NoAlarm),
            flush_sleep_us: 0,
            current_bytes: 0,
            base_bytes: 0,
            delayed_syncs: 0,
            timestamps: false,
            rewrite: Rewrite::default(),
            syncer: None,
            errand: None,
            file: None,
            buffer: Vec::new(),
            selected: None,
            incr_bytes: 0,
            synced_bytes: 0,
            position: 0,
            handing_over: false,
            synced_s: 0,
            postponed_s: None,
            error_logged_s: i64::MIN / 2,
            write_error: None,
            troubled: false,
            noted_s: 0,
        }
    }
}

impl Sink for Aof {
    fn feed(&mut self, db: DbIndex, command: &[u8], now_s: i64) {
        if self.file.is_none() {
            return;
        }
        let before = self.buffer.len();
        if self.timestamps && self.noted_s < now_s {
            self.noted_s = now_s;
            let note = format!("#TS:{now_s}\r\n");
            self.buffer.extend_from_slice(note.as_bytes());
        }
        if self.selected != Some(db) {
            self.selected = Some(db);
            let mut digits = itoa::Buffer::new();
            let number = digits.format(db.get()).as_bytes();
            append_command(&mut self.buffer, [&b"SELECT"[..], number].into_iter());
        }
        self.buffer.extend_from_slice(command);
        self.position += (self.buffer.len() - before) as u64;
    }
}

impl Aof {
    /// Whether commands are logged, or will be.
    pub fn is_on(&self) -> bool {
        self.state != AofState::Off
    }

    /// The position that has to be on disk before what was executed may be
    /// seen; none when it is, or need not be.
    #[inline]
    pub fn barrier(&self) -> Option<u64> {
        if !self.handing_over {
            return None;
        }
        let durable = self.syncer.as_ref().map_or(u64::MAX, Syncer::durable);
        (self.position > durable).then_some(self.position)
    }

    /// Up to where the log is on disk.
    pub fn durable(&self) -> u64 {
        self.syncer.as_ref().map_or(u64::MAX, Syncer::durable)
    }

    /// Waits until all that was written is on disk, where that is promised.
    pub fn wait_for_disk(&self) {
        if let (true, Some(syncer)) = (self.handing_over, &self.syncer) {
            syncer.finish();
        }
    }

    /// Why writes of clients are refused.
    #[inline]
    pub fn trouble(&self) -> Option<String> {
        if !self.troubled {
            return None;
        }
        let sync_error = self.syncer.as_ref().and_then(Syncer::error);
        let error = self.write_error.as_ref().or(sync_error.as_ref())?;
        Some(os_error_text(error))
    }

    /// Bytes that wait to be written.
    pub fn buffer_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Memory of the buffer, bytes.
    pub fn buffer_capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Forces to disk that wait or run.
    pub fn pending_syncs(&self) -> usize {
        self.syncer.as_ref().map_or(0, Syncer::pending_syncs)
    }

    fn is_syncing(&self) -> bool {
        self.syncer.as_ref().is_some_and(Syncer::is_syncing)
    }

    /// The thread, started if need be.
    pub(super) fn syncer(&mut self) -> Result<&Syncer, Logged> {
        if self.syncer.is_none() {
            let started = Syncer::start(self.disk.clone(), self.alarm.clone());
            let syncer = started.map_err(|error| {
                tracing::warn!("Can't start the thread of the append-only file: {error}");
                Logged
            })?;
            syncer.set_durable(self.position);
            self.syncer = Some(syncer);
        }
        self.syncer.as_ref().ok_or(Logged)
    }

    /// From now on this file is written to, which has so many bytes.
    pub(super) fn write_to(&mut self, file: Arc<dyn DiskFile>, bytes: u64) {
        self.file = Some(file);
        (self.incr_bytes, self.synced_bytes) = (bytes, bytes);
    }

    /// Stops writing; everything has been written.
    fn close(&mut self) {
        self.file = None;
        self.selected = None;
        self.buffer = Vec::new();
        (self.incr_bytes, self.synced_bytes) = (0, 0);
        (self.handing_over, self.troubled) = (false, false);
        self.write_error = None;
        self.postponed_s = None;
        self.all_durable();
    }

    fn all_durable(&self) {
        if let Some(syncer) = &self.syncer {
            syncer.set_durable(self.position);
        }
    }

    /// What is being collected is of no use: there will be no base for it.
    pub(super) fn abandon(&mut self) {
        if let Some(syncer) = &self.syncer {
            syncer.finish();
        }
        self.close();
    }

    /// Whether something may not be on disk although it was forced there.
    pub(super) fn has_lost_sync(&self) -> bool {
        self.syncer
            .as_ref()
            .is_some_and(|syncer| syncer.error().is_some())
    }

    /// How many times it could not be forced to disk.
    pub(super) fn sync_failures(&self) -> u64 {
        self.syncer.as_ref().map_or(0, Syncer::failures)
    }

    /// What may be lost does not matter any more.
    pub(super) fn forget_lost_sync(&mut self) {
        if let Some(syncer) = &self.syncer {
            syncer.forget_error();
        }
        self.look_for_trouble();
    }

    /// Errors of the past do not count any more.
    pub(super) fn forget_errors(&mut self) {
        if let Some(syncer) = &self.syncer
            && syncer.error().is_some()
        {
            tracing::warn!("AOF reopen, just ignore the AOF fsync error in bio job");
            syncer.forget_error();
        }
        if self.write_error.take().is_some() {
            tracing::warn!("AOF reopen, just ignore the last error.");
        }
        self.troubled = false;
    }

    fn look_for_trouble(&mut self) {
        self.troubled = self.write_error.is_some() || self.has_lost_sync();
    }

    /// Gives the buffer to the thread.
    fn hand_over(&mut self) {
        self.handing_over = true;
        let (Some(file), Some(syncer)) = (&self.file, &self.syncer) else {
            return;
        };
        if self.buffer.is_empty() {
            if self.synced_bytes != self.incr_bytes {
                // Written before the policy was `always`.
                syncer.sync(file);
                self.synced_bytes = self.incr_bytes;
            }
            return;
        }
        let bytes = std::mem::take(&mut self.buffer);
        let (start, len) = (self.incr_bytes, bytes.len() as u64);
        let delay = Duration::from_micros(self.flush_sleep_us);
        self.errand = syncer.append(file, bytes, start, self.position, delay);
        self.incr_bytes += len;
        self.current_bytes += len;
        self.synced_bytes = self.incr_bytes;
    }

    /// Cuts a short write off again. What could not be cut off stays.
    fn undo(&mut self, written: usize, can_log: bool) {
        let Some(file) = &self.file else { return };
        if let Err(error) = file.truncate(self.incr_bytes) {
            if can_log {
                tracing::warn!(
                    "Could not remove short write from the append-only file.  Redis may refuse to \
                     load the AOF the next time it starts.  ftruncate: {}",
                    os_error_text(&error)
                );
            }
            self.incr_bytes += written as u64;
            self.current_bytes += written as u64;
            self.buffer.drain(..written);
        }
    }

    /// A write failed after so many bytes; it is tried again in the next turn.
    fn failed(&mut self, written: usize, error: std::io::Error, now_s: i64) {
        let can_log = now_s - self.error_logged_s > LOG_ERRORS_EVERY_S;
        if can_log {
            self.error_logged_s = now_s;
        }
        if written == 0 {
            if can_log {
                let text = os_error_text(&error);
                tracing::warn!("Error writing to the AOF file: {text}");
            }
            self.write_error = Some(error);
        } else {
            if can_log {
                tracing::warn!(
                    "Short write while writing to the AOF file: (nwritten={written}, expected={})",
                    self.buffer.len()
                );
            }
            self.undo(written, can_log);
            self.write_error = Some(std::io::Error::from_raw_os_error(libc::ENOSPC));
        }
        self.troubled = true;
    }

    /// The buffer has been written.
    fn succeeded(&mut self) {
        if self.write_error.take().is_some() {
            tracing::warn!("AOF write error looks solved, Redis can write again.");
        }
        let len = self.buffer.len() as u64;
        self.incr_bytes += len;
        self.current_bytes += len;
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BYTES);
    }
}

impl Server {
    /// Writes what was appended, before replies go out. It may be left for
    /// later while the disk is busy, unless it is `forced`.
    #[inline]
    pub fn flush_aof(&mut self, forced: bool) {
        if self.aof.file.is_some() {
            self.write_aof(forced);
            if let Some(errand) = self.aof.errand.take() {
                errand.run();
            }
        }
    }

    /// The same, but that something may be left to do: without the lock, before
    /// replies go out.
    #[inline]
    pub fn flush_aof_after(&mut self) -> Option<Errand> {
        if self.aof.file.is_some() {
            self.write_aof(false);
        }
        self.aof.errand.take()
    }

    fn write_aof(&mut self, forced: bool) {
        let policy = self.config.appendfsync;
        let saving = self.is_saving();
        let lazy = self.config.no_appendfsync_on_rewrite && saving;
        self.aof.timestamps = self.config.aof_timestamp_enabled;
        if policy == AppendFsync::Always && !lazy {
            self.aof.hand_over();
            self.note_syncer_times();
            self.aof.look_for_trouble();
            return;
        }
        if std::mem::take(&mut self.aof.handing_over)
            && let Some(syncer) = &self.aof.syncer
        {
            // It must be done with the file before we write to it.
            syncer.finish();
        }
        let now_s = self.clock_unix_ms() / 1000;
        let syncing = policy == AppendFsync::Everysec && self.aof.is_syncing();
        if !self.aof.buffer.is_empty() {
            if syncing && !forced && self.postpone(now_s) {
                return;
            }
            if !self.write_buffer(syncing, saving, now_s) {
                return;
            }
        }
        self.aof.look_for_trouble();
        let aof = &mut self.aof;
        let due = policy == AppendFsync::Everysec && now_s > aof.synced_s && !lazy;
        if due && !syncing && aof.synced_bytes != aof.incr_bytes {
            if let (Some(file), Some(syncer)) = (&aof.file, &aof.syncer) {
                syncer.sync(file);
            }
            aof.synced_bytes = aof.incr_bytes;
            aof.synced_s = now_s;
        }
    }

    /// Whether a write waits for the disk to be done with the one before.
    fn postpone(&mut self, now_s: i64) -> bool {
        let since_s = *self.aof.postponed_s.get_or_insert(now_s);
        if now_s - since_s < POSTPONE_MAX_S {
            return true;
        }
        self.aof.delayed_syncs += 1;
        tracing::info!(
            "Asynchronous AOF fsync is taking too long (disk is busy?). Writing the AOF buffer \
             without waiting for fsync to complete, this may slow down Redis."
        );
        false
    }

    fn write_buffer(&mut self, syncing: bool, saving: bool, now_s: i64) -> bool {
        let Some(file) = self.aof.file.clone() else {
            return false;
        };
        if self.aof.flush_sleep_us > 0 {
            std::thread::sleep(Duration::from_micros(self.aof.flush_sleep_us));
        }
        let timed = self.config.latency_monitor_threshold_ms > 0;
        let start = timed.then(Instant::now);
        let result = file.write_all(&self.aof.buffer);
        if let Some(start) = start {
            let spent_ms = start.elapsed().as_millis() as i64;
            let event = if syncing {
                "aof-write-pending-fsync"
            } else if saving {
                "aof-write-active-child"
            } else {
                "aof-write-alone"
            };
            self.note_aof_latency(event, spent_ms);
            self.note_aof_latency("aof-write", spent_ms);
        }
        self.aof.postponed_s = None;
        match result {
            Ok(()) => {
                self.aof.succeeded();
                true
            }
            Err((written, error)) => {
                self.aof.failed(written, error, now_s);
                false
            }
        }
    }

    pub(super) fn note_aof_latency(&mut self, event: &'static str, spent_ms: i64) {
        let threshold_ms = self.config.latency_monitor_threshold_ms;
        let now_s = self.clock_unix_ms() / 1000;
        self.stats
            .latency
            .add_if_needed(event, spent_ms, threshold_ms, now_s);
    }

    /// What the thread measured since the last turn.
    fn note_syncer_times(&mut self) {
        if self.config.latency_monitor_threshold_ms == 0 {
            return;
        }
        if let Some(syncer) = &self.aof.syncer {
            let (write_us, sync_us) = syncer.slowest_us();
            self.note_aof_latency("aof-write-alone", (write_us / 1000) as i64);
            self.note_aof_latency("aof-write", (write_us / 1000) as i64);
            self.note_aof_latency("aof-fsync-always", (sync_us / 1000) as i64);
        }
    }

    /// The names of the files, from the configuration.
    pub fn aof_names(&self) -> Names {
        Names::new(&self.config.appenddirname, &self.config.appendfilename)
    }

    /// Opens the log after loading, at the start of the server.
    ///
    /// # Errors
    /// When that fails; the log says why.
    pub fn open_aof(&mut self) -> Result<(), Logged> {
        let names = self.aof_names();
        let disk = self.aof.disk.clone();
        make_dir(&*disk, &names)?;
        let mut manifest = self.aof.manifest.clone();
        let known = manifest.clone();
        if manifest.is_empty() {
            // Redis: one that starts without data gets a base anyway.
            let snapshot = self.config.aof_use_rdb_preamble;
            let base = manifest.new_base(&names.prefix, snapshot);
            self.write_empty_base(&names, &base)?;
            tracing::info!("Creating AOF base file {} on server start", shown(&base));
        }
        let created = manifest.incr.is_empty();
        let name = match manifest.incr.last() {
            Some(part) => part.name.clone(),
            None => manifest.new_incr(&names.prefix),
        };
        let path = names.path(&name);
        let file = disk.open(&path, Open::Append).map_err(|error| {
            let (name, text) = (shown(&name), os_error_text(&error));
            tracing::warn!("Can't open the append-only file {name}: {text}");
            Logged
        })?;
        if manifest != known {
            names.write_manifest(&*disk, &manifest)?;
        }
        let bytes = std::fs::metadata(&path).map_or(0, |data| data.len());
        self.aof.manifest = manifest;
        self.aof.write_to(file, bytes);
        self.aof.syncer()?;
        self.aof.state = AofState::On;
        self.aof.synced_s = self.clock_unix_ms() / 1000;
        self.note_listeners();
        let did = if created { "Creating" } else { "Opening" };
        tracing::info!("{did} AOF incr file {} on server start", shown(&name));
        self.drop_history();
        Ok(())
    }

    /// The base of a log that begins with an empty data set.
    fn write_empty_base(&self, names: &Names, name: &[u8]) -> Result<(), Logged> {
        let temporary = format!("temp-rewriteaof-{}.aof", std::process::id());
        let (temporary, path) = (PathBuf::from(temporary), names.path(name));
        let written = if self.config.aof_use_rdb_preamble {
            self.write_empty_snapshot(temporary, &path)
        } else {
            self.write_empty_commands(&temporary, &path)
        };
        written.map_err(|error| {
            let text = os_error_text(&error);
            tracing::warn!("Write error writing append only file on disk: {text}");
            Logged
        })
    }

    fn write_empty_snapshot(&self, temporary: PathBuf, path: &Path) -> std::io::Result<()> {
        let mut file =
            SnapshotFile::create(self.aof.disk.clone(), temporary, self.file_options(true))?;
        file.write_all(&Description::of(self, true).header())?;
        file.finish(Some(path))
    }

    fn write_empty_commands(&self, temporary: &Path, path: &Path) -> std::io::Result<()> {
        let disk = &*self.aof.disk;
        let file = disk.open(temporary, Open::Truncate)?;
        if self.config.aof_timestamp_enabled {
            let note = format!("#TS:{}\r\n", self.clock_unix_ms() / 1000);
            file.write_all(note.as_bytes())
                .map_err(|(_, error)| error)?;
        }
        file.sync()?;
        disk.rename(temporary, path)
    }

    /// Deletes the files that are no longer needed.
    pub fn drop_history(&mut self) {
        let installing = self.aof.rewrite.installing;
        if self.config.aof_disable_auto_gc || installing || self.aof.manifest.history.is_empty() {
            return;
        }
        let names = self.aof_names();
        for part in std::mem::take(&mut self.aof.manifest.history) {
            let name = shown(&part.name);
            tracing::info!("Removing the history file {name} in the background");
            if let Ok(syncer) = self.aof.syncer() {
                syncer.remove(names.path(&part.name));
            }
        }
        // Should it fail, they are looked for in vain at the next start.
        let _ = names.write_manifest(&*self.aof.disk, &self.aof.manifest);
    }

    /// Writes everything and forces it to disk, at the end of the server.
    pub fn finish_aof(&mut self) {
        if !self.aof.is_on() {
            return;
        }
        tracing::info!("Calling fsync() on the AOF file.");
        self.sync_aof();
    }

    /// Writes everything, for somebody who reads it then.
    pub fn settle_aof(&mut self) {
        self.flush_aof(true);
        self.aof.wait_for_disk();
    }

    fn sync_aof(&mut self) {
        self.flush_aof(true);
        let Some(syncer) = &self.aof.syncer else {
            return;
        };
        syncer.finish();
        if let Some(file) = &self.aof.file
            && let Err(error) = file.sync()
        {
            tracing::warn!("Fail to fsync the AOF file: {}.", os_error_text(&error));
        }
    }

    /// CONFIG SET appendonly no.
    pub fn stop_aof(&mut self) {
        if !self.aof.is_on() {
            return;
        }
        self.sync_aof();
        self.aof.close();
        if self.aof.state == AofState::WaitRewrite && self.stats.persistence.rewrite_running {
            self.drop_temporary_incr();
        }
        self.aof.state = AofState::Off;
        self.stats.persistence.rewrite_scheduled = false;
        self.give_up_rewrite();
        self.note_listeners();
    }

    /// Replaces the state of the log's figures after loading.
    pub fn note_loaded_aof(&mut self, all_bytes: u64, base_bytes: u64) {
        self.aof.current_bytes = all_bytes;
        self.aof.base_bytes = base_bytes;
        let names = self.aof_names();
        if let (true, Some(part)) = (self.aof.file.is_some(), self.aof.manifest.incr.last())
            && let Ok(data) = std::fs::metadata(names.path(&part.name))
        {
            // Loading may have cut off its end.
            (self.aof.incr_bytes, self.aof.synced_bytes) = (data.len(), data.len());
        }
    }
}

pub(super) fn shown(name: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(name)
}

pub(super) fn make_dir(disk: &dyn Disk, names: &Names) -> Result<(), Logged> {
    disk.make_dir(&names.dir).map_err(|error| {
        tracing::warn!(
            "Can't open or create append-only dir {}: {}",
            names.dir.display(),
            os_error_text(&error)
        );
        Logged
    })
}
