//! Saving snapshots: at once, in the background, when it is due.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::hooks::Access;
use super::server::Server;
use super::snapshot_file::{Description, FileOptions, SnapshotFile};
use crate::aof::Disk;
use crate::keyspace::snapshot::{SnapshotOptions, SnapshotStep, UsageKept};
use crate::stats::used;

/// The lock is taken for about this time.
const STEP: Duration = Duration::from_micros(100);
/// How long to wait for something that is freed elsewhere.
const WAIT: Duration = Duration::from_micros(200);
/// The longest sleep between two looks at whether to go on.
const NAP: Duration = Duration::from_millis(5);
/// The longest rest for the sake of others between two steps.
const REST_MAX: Duration = Duration::from_micros(500);
/// Others are busy when they execute so many commands in this time.
const LOAD_WINDOW: Duration = Duration::from_millis(10);
const LOAD_COMMANDS: u64 = 10;
/// Seconds until a snapshot that failed is tried again by itself.
const RETRY_S: i64 = 5;

pub use crate::util::Logged;

/// How a snapshot in the background ended.
#[derive(Debug)]
pub enum SnapshotEnd {
    /// It is on disk.
    Done,
    /// It could not be written: the reason has been logged.
    Failed,
}

/// Where a snapshot in the background goes.
pub struct SnapshotTarget {
    /// The file that is written.
    pub temp: PathBuf,
    /// What it is called when it is whole; none: `done` sees to it.
    pub rename_to: Option<PathBuf>,
    /// It is the base of an append-only file.
    pub aof_base: bool,
    /// Told of the end, under the lock, unless the snapshot was given up.
    pub done: fn(&mut Server, SnapshotEnd),
}

/// What is being saved.
#[derive(Default)]
pub struct Saving {
    job: Option<Job>,
    jobs: u64,
    /// A snapshot is to be begun as soon as nothing else is saved.
    pub scheduled: bool,
    /// Unix seconds of the last try in the background.
    tried_s: i64,
}

struct Job {
    number: u64,
    given_up: Arc<AtomicBool>,
    aof_base: bool,
    dirty_before: u64,
}

/// What the thread that saves knows.
struct Writer {
    access: Access,
    disk: Arc<dyn Disk>,
    number: u64,
    given_up: Arc<AtomicBool>,
    target: SnapshotTarget,
    description: Description,
    options: SnapshotOptions,
    file: FileOptions,
    keys: u64,
    load: Load,
}

/// Whether others want the processor. Whoever waits for it cannot say so: the
/// commands of the last while tell.
struct Load {
    /// Since when they are counted.
    since: Instant,
    /// Commands executed until then.
    before: u64,
    busy: bool,
}

impl Load {
    fn note(&mut self, commands: u64) {
        let now = Instant::now();
        if now - self.since >= LOAD_WINDOW {
            self.busy = commands - self.before >= LOAD_COMMANDS;
            (self.since, self.before) = (now, commands);
        }
    }
}

enum Stop {
    GivenUp,
    Failed(std::io::Error),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Stop {
        Stop::Failed(error)
    }
}

impl Writer {
    fn run(mut self) {
        let end = match self.write() {
            Ok(()) => SnapshotEnd::Done,
            Err(Stop::GivenUp) => return,
            Err(Stop::Failed(error)) => {
                tracing::warn!(
                    "Write error saving DB on disk: {}",
                    crate::config::os_error_text(&error)
                );
                SnapshotEnd::Failed
            }
        };
        let (number, done) = (self.number, self.target.done);
        let mut end = Some(end);
        (self.access)(&mut |server| {
            if server.saving.is_running(number)
                && let Some(end) = end.take()
            {
                server.end_background_save(end, done);
            }
        });
    }

    fn write(&mut self) -> Result<(), Stop> {
        let mut file =
            SnapshotFile::create(self.disk.clone(), self.target.temp.clone(), self.file)?;
        std::io::Write::write_all(&mut file, &self.description.header())?;
        loop {
            let begin = Instant::now();
            let (step, delay_us) = self.step()?;
            let keys = step.keys - self.keys;
            self.keys = step.keys;
            for piece in step.pieces {
                piece.write(&mut file, self.options.compress)?;
            }
            // Whoever evicts keys is to see both at once.
            used::publish();
            drop(step.in_flight);
            if step.done {
                break;
            }
            if step.wait {
                std::thread::sleep(WAIT);
            } else if self.load.busy {
                // Whoever shares the processor with this thread waits for a
                // step at most, not for a time slice of the scheduler.
                std::thread::sleep(begin.elapsed().min(REST_MAX));
            }
            self.rest(keys, delay_us)?;
        }
        Ok(file.finish(self.target.rename_to.as_deref())?)
    }

    fn step(&mut self) -> Result<(SnapshotStep, i32), Stop> {
        let (mut taken, mut commands) = (None, 0);
        (self.access)(&mut |server| {
            if server.saving.is_running(self.number) {
                let step = server.keyspace.snapshot_step(STEP);
                server.stats.persistence.snapshot_keys.0 = step.keys;
                commands = server.stats.commands_processed;
                taken = Some((step, server.config.rdb_key_save_delay_us));
            }
        });
        self.load.note(commands);
        taken.ok_or(Stop::GivenUp)
    }

    /// `rdb-key-save-delay`, for this many keys.
    fn rest(&self, keys: u64, delay_us: i32) -> Result<(), Stop> {
        let end = Instant::now() + delay(keys, delay_us);
        loop {
            if self.given_up.load(Ordering::Relaxed) {
                return Err(Stop::GivenUp);
            }
            match end.checked_duration_since(Instant::now()) {
                None | Some(Duration::ZERO) => return Ok(()),
                Some(left) => std::thread::sleep(left.min(NAP)),
            }
        }
    }
}

/// What a delay for each key comes to, microseconds; negative ones are the
/// number of keys that take a microsecond.
pub fn delay(keys: u64, delay_us: i32) -> Duration {
    let keys_us = if delay_us >= 0 {
        keys.saturating_mul(u64::from(delay_us.unsigned_abs()))
    } else {
        keys / u64::from(delay_us.unsigned_abs())
    };
    Duration::from_micros(keys_us)
}

impl Saving {
    fn is_running(&self, number: u64) -> bool {
        self.job.as_ref().is_some_and(|job| job.number == number)
    }

    /// Whether anything is saved in the background.
    pub fn is_busy(&self) -> bool {
        self.job.is_some()
    }

    /// Whether a snapshot for itself is: not the base of an append-only file.
    pub fn saves_rdb(&self) -> bool {
        self.job.as_ref().is_some_and(|job| !job.aof_base)
    }
}

impl Server {
    /// The file of snapshots, in the working directory.
    pub fn rdb_path(&self) -> PathBuf {
        PathBuf::from(OsStr::from_bytes(&self.config.dbfilename))
    }

    fn snapshot_options(&self) -> SnapshotOptions {
        let policy = self.config.maxmemory_policy;
        SnapshotOptions {
            compress: self.config.rdbcompression,
            usage: if policy.is_lfu() {
                UsageKept::Frequency
            } else if policy.is_lru() {
                UsageKept::Idle
            } else {
                UsageKept::None
            },
            key_by_key: self.config.rdb_key_save_delay_us != 0,
        }
    }

    /// Of a snapshot, or of the base of an append-only file.
    pub(super) fn file_options(&self, aof_base: bool) -> FileOptions {
        FileOptions {
            checksum: self.config.rdbchecksum,
            incremental_fsync: if aof_base {
                self.config.aof_rewrite_incremental_fsync
            } else {
                self.config.rdb_save_incremental_fsync
            },
        }
    }

    /// Saves everything while everybody waits.
    ///
    /// # Errors
    /// When it could not be written: the reason has been logged.
    pub fn save_now(&mut self) -> std::io::Result<()> {
        let saved = self.write_rdb().inspect_err(|error| {
            tracing::warn!(
                "Write error saving DB on disk: {}",
                crate::config::os_error_text(error)
            );
        });
        saved?;
        tracing::info!("DB saved on disk");
        self.stats.dirty = 0;
        self.stats.persistence.last_save_s = self.clock_unix_ms() / 1000;
        self.stats.persistence.last_snapshot_ok = true;
        Ok(())
    }

    fn write_rdb(&mut self) -> std::io::Result<()> {
        let temp = self.rdb_path();
        let temp = temp.with_file_name(format!("temp-{}.rdb", std::process::id()));
        let mut file = SnapshotFile::create(self.aof.disk.clone(), temp, self.file_options(false))?;
        std::io::Write::write_all(&mut file, &Description::of(self, false).header())?;
        let delay_us = self.config.rdb_key_save_delay_us;
        let mut saved = 0;
        let options = self.snapshot_options();
        self.keyspace.write_at_once(options, |bytes, keys| {
            std::thread::sleep(delay(keys - saved, delay_us));
            saved = keys;
            std::io::Write::write_all(&mut file, bytes)
        })?;
        file.finish(Some(&self.rdb_path()))
    }

    /// Begins to save everything to the usual file in the background.
    ///
    /// # Errors
    /// When it cannot be begun: the reason has been logged.
    pub fn save_in_background(&mut self) -> Result<(), Logged> {
        self.stats.persistence.snapshots += 1;
        self.saving.tried_s = self.clock_unix_ms() / 1000;
        self.saving.scheduled = false;
        let (number, path) = (self.saving.jobs, self.rdb_path());
        let begun = self.begin_snapshot(SnapshotTarget {
            temp: path.with_file_name(format!("temp-{}-{number}.rdb", std::process::id())),
            rename_to: Some(path),
            aof_base: false,
            done: background_save_done,
        });
        begun.map_err(|reason| {
            tracing::warn!("Can't save in background: {reason}");
            self.stats.persistence.last_snapshot_ok = false;
            Logged
        })?;
        tracing::info!(
            "Background saving started by pid {}, without a process of its own",
            std::process::id()
        );
        let now_ns = self.now_ns;
        let p = &mut self.stats.persistence;
        (p.snapshot_running, p.snapshot_started_ns) = (true, now_ns);
        Ok(())
    }

    /// Begins a snapshot of what the data are now.
    ///
    /// # Errors
    /// Why it cannot be begun.
    pub fn begin_snapshot(&mut self, target: SnapshotTarget) -> Result<(), String> {
        if self.saving.is_busy() {
            return Err("something is being saved".into());
        }
        self.saving.jobs += 1;
        let number = self.saving.jobs;
        let given_up = Arc::new(AtomicBool::new(false));
        let (description, options, file) = (
            Description::of(self, target.aof_base),
            self.snapshot_options(),
            self.file_options(target.aof_base),
        );
        let aof_base = target.aof_base;
        let commands = self.stats.commands_processed;
        let (stop, disk) = (given_up.clone(), self.aof.disk.clone());
        self.spawn(
            "snapshot",
            Box::new(move |access| {
                let writer = Writer {
                    access,
                    disk,
                    number,
                    given_up: stop,
                    target,
                    description,
                    options,
                    file,
                    keys: 0,
                    load: Load {
                        since: Instant::now(),
                        before: commands,
                        busy: true,
                    },
                };
                writer.run();
            }),
        )?;
        self.keyspace.begin_snapshot(options);
        self.saving.job = Some(Job {
            number,
            given_up,
            aof_base,
            dirty_before: self.stats.dirty,
        });
        let keys = self.keyspace.dbs().map(|(_, db)| db.table().len() as u64);
        self.stats.persistence.snapshot_keys = (0, keys.sum());
        Ok(())
    }

    /// Gives up what is being saved in the background; false when nothing is.
    pub fn give_up_saving(&mut self) -> bool {
        let Some(job) = self.saving.job.take() else {
            return false;
        };
        job.given_up.store(true, Ordering::Relaxed);
        self.keyspace.end_snapshot();
        self.stats.persistence.snapshot_keys = (0, 0);
        self.stats.persistence.copied_last_bytes = self.keyspace.stats.snapshot_copied_bytes;
        if !job.aof_base {
            self.note_snapshot_time();
        }
        true
    }

    fn end_background_save(&mut self, end: SnapshotEnd, done: fn(&mut Server, SnapshotEnd)) {
        // A failed one may not have come to the end of the keys.
        self.keyspace.end_snapshot();
        self.stats.persistence.snapshot_keys = (0, 0);
        self.stats.persistence.copied_last_bytes = self.keyspace.stats.snapshot_copied_bytes;
        done(self, end);
        self.saving.job = None;
    }

    fn note_snapshot_time(&mut self) {
        let now_ns = self.clock.now_ns();
        let p = &mut self.stats.persistence;
        p.snapshot_running = false;
        let took_ns = now_ns.saturating_sub(p.snapshot_started_ns);
        p.last_snapshot_time = Some(Duration::from_nanos(took_ns));
    }

    /// Saves in the background when a save point or a wish of before says so.
    pub fn save_if_due(&mut self) {
        if self.is_saving() || self.stats.persistence.loading {
            return;
        }
        if self.saving.scheduled {
            // Whether it could be begun has been logged.
            let _ = self.save_in_background();
            return;
        }
        let now_s = self.clock_unix_ms() / 1000;
        let (dirty, p) = (self.stats.dirty, &self.stats.persistence);
        let may_try = p.last_snapshot_ok || now_s - self.saving.tried_s > RETRY_S;
        let due = self.config.save.iter().find(|point| {
            dirty >= u64::try_from(point.changes).unwrap_or(0)
                && now_s - p.last_save_s > point.seconds
        });
        if let Some(point) = due
            && may_try
        {
            tracing::info!(
                "{} changes in {} seconds. Saving...",
                point.changes,
                point.seconds
            );
            let _ = self.save_in_background();
        }
    }

    /// Whether writes are refused because snapshots fail.
    #[inline]
    pub fn cannot_save(&self) -> bool {
        !self.stats.persistence.last_snapshot_ok
            && self.config.stop_writes_on_bgsave_error
            && !self.config.save.is_empty()
    }

    /// After FLUSHALL: a snapshot under way would bring back what is gone, and
    /// so would the last one.
    pub fn saved_is_void(&mut self) {
        if self.saving.saves_rdb() {
            self.give_up_saving();
        }
        if !self.config.save.is_empty() {
            // The reason of a failure has been logged. Redis: FLUSHALL itself
            // is no change that is still to be saved.
            let _ = self.save_now();
        }
    }
}

fn background_save_done(server: &mut Server, end: SnapshotEnd) {
    server.note_snapshot_time();
    let now_s = server.clock_unix_ms() / 1000;
    let dirty_before = server.saving.job.as_ref().map_or(0, |job| job.dirty_before);
    let p = &mut server.stats.persistence;
    match end {
        SnapshotEnd::Done => {
            tracing::info!("DB saved on disk");
            tracing::info!("Background saving terminated with success");
            p.last_save_s = now_s;
            p.last_snapshot_ok = true;
            server.stats.dirty = server.stats.dirty.saturating_sub(dirty_before);
        }
        SnapshotEnd::Failed => {
            tracing::warn!("Background saving error");
            p.last_snapshot_ok = false;
        }
    }
}
