//! The thread that waits for the disk, so that nobody else has to.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::disk::{Disk, DiskFile};
use super::os_error_text;

/// What the thread tells the process.
pub trait Alarm: Send + Sync {
    /// More of the log is on disk: replies may go out.
    fn durable(&self);
    /// What was promised cannot be kept: ends the process, exit code 1.
    fn fatal(&self);
}

/// Jobs of the thread, done in order.
enum Job {
    /// Write this and force it to disk; the log ends at `position` then.
    Append {
        file: Arc<dyn DiskFile>,
        bytes: Vec<u8>,
        /// Bytes of the file before.
        start: u64,
        position: u64,
        /// DEBUG AOF-FLUSH-SLEEP.
        delay: Duration,
    },
    /// Force to disk.
    Sync(Arc<dyn DiskFile>),
    /// The same with a file that is not written to any more.
    SyncAndClose(Arc<dyn DiskFile>),
    /// Delete.
    Remove(PathBuf),
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// A job is being done.
    busy: bool,
    /// Somebody else is doing one, before all others.
    lent: bool,
    ends: bool,
}

/// Forcing to disk takes so little time, microseconds, that to have the thread
/// do it costs more than it saves.
const QUICK_US: u64 = 250;

/// Something to be written and forced to disk by who asked for it. All that is
/// appended later waits for it: it is done at the latest when it is dropped.
pub struct Errand {
    inner: Arc<Inner>,
    job: Option<Job>,
}

impl Errand {
    /// Does it; gives the position up to which the log is on disk then.
    pub fn run(mut self) -> u64 {
        self.finish();
        self.inner.durable.load(Ordering::Acquire)
    }

    fn finish(&mut self) {
        let Some(job) = self.job.take() else {
            return;
        };
        self.inner.execute(job, true);
        let mut queue = self.inner.queue.lock();
        queue.lent = false;
        if queue.jobs.is_empty() {
            self.inner.rested.notify_all();
        } else {
            self.inner.called.notify_one();
        }
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Times that the thread measured, for the latency monitor.
#[derive(Default)]
struct Slowest {
    write_us: AtomicU64,
    sync_us: AtomicU64,
}

struct Inner {
    queue: Mutex<Queue>,
    called: Condvar,
    rested: Condvar,
    disk: Arc<dyn Disk>,
    /// The log is on disk up to here ([`Job::Append`] only).
    durable: AtomicU64,
    /// How long forcing to disk takes with `always`, averaged, microseconds.
    usual_us: AtomicU64,
    /// Pending [`Job::Sync`]s.
    syncs: AtomicUsize,
    /// Error number of a failed sync; 0: none.
    failed: AtomicI32,
    /// Syncs that failed.
    failures: AtomicU64,
    /// What was promised cannot be kept any more.
    broken: AtomicBool,
    slowest: Slowest,
    alarm: Arc<dyn Alarm>,
}

/// The thread.
pub struct Syncer {
    inner: Arc<Inner>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn start(disk: Arc<dyn Disk>, alarm: Arc<dyn Alarm>) -> io::Result<Syncer> {
        let inner = Arc::new(Inner {
            queue: Mutex::default(),
            called: Condvar::new(),
            rested: Condvar::new(),
            disk,
            durable: AtomicU64::new(0),
            usual_us: AtomicU64::new(QUICK_US * 2),
            syncs: AtomicUsize::new(0),
            failed: AtomicI32::new(0),
            failures: AtomicU64::new(0),
            broken: AtomicBool::new(false),
            slowest: Slowest::default(),
            alarm,
        });
        let for_thread = inner.clone();
        let thread = std::thread::Builder::new()
            .name("bio_aof".into())
            .spawn(move || for_thread.run())?;
        Ok(Syncer {
            inner,
            thread: Some(thread),
        })
    }

    fn push(&self, job: Job) {
        self.inner.queue.lock().jobs.push_back(job);
        self.inner.called.notify_one();
    }

    /// Writes and forces to disk; [`Syncer::durable`] says when it is done.
    /// Where the disk is quick and has nothing else to do, the caller gets it
    /// to do, as soon as nobody waits for the caller.
    pub fn append(
        &self,
        file: &Arc<dyn DiskFile>,
        bytes: Vec<u8>,
        start: u64,
        position: u64,
        delay: Duration,
    ) -> Option<Errand> {
        let job = Job::Append {
            file: file.clone(),
            bytes,
            start,
            position,
            delay,
        };
        let quick = self.inner.usual_us.load(Ordering::Relaxed) < QUICK_US && delay.is_zero();
        let mut queue = self.inner.queue.lock();
        if quick && queue.jobs.is_empty() && !queue.busy && !queue.lent {
            queue.lent = true;
            return Some(Errand {
                inner: self.inner.clone(),
                job: Some(job),
            });
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.inner.called.notify_one();
        None
    }

    /// Forces to disk.
    pub fn sync(&self, file: &Arc<dyn DiskFile>) {
        self.inner.syncs.fetch_add(1, Ordering::Relaxed);
        self.push(Job::Sync(file.clone()));
    }

    /// Forces a file to disk that is not written to any more.
    pub fn sync_and_close(&self, file: Arc<dyn DiskFile>) {
        self.push(Job::SyncAndClose(file));
    }

    /// Deletes a file.
    pub fn remove(&self, path: PathBuf) {
        self.push(Job::Remove(path));
    }

    /// Whether forcing to disk is under way.
    pub fn is_syncing(&self) -> bool {
        self.pending_syncs() > 0
    }

    /// How many times it is still to be forced to disk.
    pub fn pending_syncs(&self) -> usize {
        self.inner.syncs.load(Ordering::Relaxed)
    }

    /// Up to where the log is on disk, of what was appended here.
    pub fn durable(&self) -> u64 {
        self.inner.durable.load(Ordering::Acquire)
    }

    /// Everything up to here is on disk without this thread.
    pub fn set_durable(&self, position: u64) {
        self.inner.durable.fetch_max(position, Ordering::AcqRel);
    }

    /// The error of a sync that failed. What was written before it may be
    /// lost although later ones succeed, so that it stays.
    pub fn error(&self) -> Option<io::Error> {
        match self.inner.failed.load(Ordering::Relaxed) {
            0 => None,
            number => Some(io::Error::from_raw_os_error(number)),
        }
    }

    /// How many syncs failed.
    pub fn failures(&self) -> u64 {
        self.inner.failures.load(Ordering::Relaxed)
    }

    /// The failed sync does not matter any more: the data is in other files.
    pub fn forget_error(&self) {
        self.inner.failed.store(0, Ordering::Relaxed);
    }

    /// The longest write and the longest sync since it was last asked,
    /// microseconds.
    pub fn slowest_us(&self) -> (u64, u64) {
        let slowest = &self.inner.slowest;
        (
            slowest.write_us.swap(0, Ordering::Relaxed),
            slowest.sync_us.swap(0, Ordering::Relaxed),
        )
    }

    /// Waits until everything is done.
    pub fn finish(&self) {
        let mut queue = self.inner.queue.lock();
        while queue.busy || queue.lent || !queue.jobs.is_empty() {
            self.inner.rested.wait(&mut queue);
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.inner.queue.lock().ends = true;
        self.inner.called.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported.
            let _ = thread.join();
        }
    }
}

impl Inner {
    fn run(&self) {
        while let Some(jobs) = self.next() {
            let mut jobs = jobs.into_iter().peekable();
            while let Some(job) = jobs.next() {
                let more = |next: &Job| match (&job, next) {
                    (Job::Append { file, .. }, Job::Append { file: other, .. }) => {
                        Arc::ptr_eq(file, other)
                    }
                    _ => false,
                };
                // Whatever was appended since is forced to disk together.
                let last = !jobs.peek().is_some_and(more);
                let replies_wait = last && matches!(job, Job::Append { .. });
                self.execute(job, last);
                if replies_wait {
                    self.alarm.durable();
                }
            }
        }
    }

    fn next(&self) -> Option<VecDeque<Job>> {
        let mut queue = self.queue.lock();
        queue.busy = false;
        while queue.jobs.is_empty() || queue.lent {
            if queue.jobs.is_empty() && !queue.lent {
                self.rested.notify_all();
                if queue.ends {
                    return None;
                }
            }
            self.called.wait(&mut queue);
        }
        queue.busy = true;
        Some(std::mem::take(&mut queue.jobs))
    }

    fn execute(&self, job: Job, last: bool) {
        match job {
            Job::Append {
                file,
                bytes,
                start,
                position,
                delay,
            } => {
                if !delay.is_zero() {
                    std::thread::sleep(delay);
                }
                if self.append(&file, &bytes, start) && last {
                    self.force(&file, position);
                }
            }
            Job::Sync(file) => {
                self.sync(&file);
                self.syncs.fetch_sub(1, Ordering::Relaxed);
            }
            Job::SyncAndClose(file) => self.sync(&file),
            Job::Remove(path) => {
                if let Err(error) = self.disk.remove(&path) {
                    let text = os_error_text(&error);
                    tracing::debug!("Can't remove {}: {text}", path.display());
                }
            }
        }
    }

    /// Ends the process; nothing is promised any more.
    fn give_up(&self) {
        self.broken.store(true, Ordering::Relaxed);
        self.alarm.fatal();
    }

    fn append(&self, file: &Arc<dyn DiskFile>, bytes: &[u8], before: u64) -> bool {
        if self.broken.load(Ordering::Relaxed) {
            return false;
        }
        let start = Instant::now();
        if let Err((written, error)) = file.write_all(bytes) {
            if written == 0 {
                let text = os_error_text(&error);
                tracing::warn!("Error writing to the AOF file: {text}");
            } else {
                tracing::warn!(
                    "Short write while writing to the AOF file: (nwritten={written}, expected={})",
                    bytes.len()
                );
                if let Err(error) = file.truncate(before) {
                    tracing::warn!(
                        "Could not remove short write from the append-only file.  Redis may \
                         refuse to load the AOF the next time it starts.  ftruncate: {}",
                        os_error_text(&error)
                    );
                }
            }
            tracing::warn!(
                "Can't recover from AOF write error when the AOF fsync policy is 'always'. \
                 Exiting..."
            );
            self.give_up();
            return false;
        }
        let us = start.elapsed().as_micros() as u64;
        self.slowest.write_us.fetch_max(us, Ordering::Relaxed);
        true
    }

    fn force(&self, file: &Arc<dyn DiskFile>, position: u64) {
        let start = Instant::now();
        if let Err(error) = file.sync() {
            tracing::warn!(
                "Can't persist AOF for fsync error when the AOF fsync policy is 'always': {}. \
                 Exiting...",
                os_error_text(&error)
            );
            self.give_up();
            return;
        }
        let us = start.elapsed().as_micros() as u64;
        self.slowest.sync_us.fetch_max(us, Ordering::Relaxed);
        let usual_us = self.usual_us.load(Ordering::Relaxed);
        self.usual_us
            .store((usual_us * 7 + us) / 8, Ordering::Relaxed);
        self.durable.fetch_max(position, Ordering::AcqRel);
    }

    fn sync(&self, file: &Arc<dyn DiskFile>) {
        if let Err(error) = file.sync() {
            let number = error.raw_os_error().unwrap_or(libc::EIO);
            self.failures.fetch_add(1, Ordering::Relaxed);
            if self.failed.swap(number, Ordering::Relaxed) != number {
                tracing::warn!("Fail to fsync the AOF file: {}", os_error_text(&error));
            }
        }
    }
}
