//! Disks that fail, and disks that forget what was not forced to them, under
//! an engine in this process.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use redstart::aof::{Alarm, Disk, DiskFile, Open, RealDisk};
use redstart::config::AppendFsync;

use super::cuts::{Engine, LOG_NAME};
use super::from_env;

/// Fails one call, the one of a number, with an error number.
pub struct FaultyDisk {
    pub inner: RealDisk,
    pub faults: Arc<Faults>,
}

pub struct Faults {
    pub calls: AtomicU64,
    pub fail_at: u64,
    pub errno: i32,
}

impl Faults {
    fn strike(&self) -> io::Result<()> {
        if self.calls.fetch_add(1, Ordering::SeqCst) + 1 == self.fail_at {
            return Err(io::Error::from_raw_os_error(self.errno));
        }
        Ok(())
    }
}

struct FaultyFile {
    inner: Arc<dyn DiskFile>,
    faults: Arc<Faults>,
}

impl DiskFile for FaultyFile {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.faults.strike() {
            // Part of it arrives, as when a disk becomes full.
            let part = bytes.len() / 2;
            if self.faults.errno == libc::ENOSPC && part > 0 {
                return self.inner.write(&bytes[..part]);
            }
            return Err(error);
        }
        self.inner.write(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.faults.strike()?;
        self.inner.sync()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.faults.strike()?;
        self.inner.truncate(bytes)
    }
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        self.faults.strike()?;
        Ok(Arc::new(FaultyFile {
            inner: self.inner.open(path, how)?,
            faults: self.faults.clone(),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.faults.strike()?;
        self.inner.rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.faults.strike()?;
        self.inner.sync_dir(dir)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.faults.strike()?;
        self.inner.remove(path)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.faults.strike()?;
        self.inner.make_dir(path)
    }
}

/// Notes that the process would have ended.
#[derive(Default)]
pub struct Fatality(pub AtomicBool);

impl Alarm for Fatality {
    fn durable(&self) {}

    fn fatal(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Pushes numbers to a list, as long as the server takes them; gives how many
/// were acknowledged, and how many were sent.
fn push(engine: &mut Engine, alarm: &Fatality, count: u64) -> (u64, u64) {
    let (mut acknowledged, mut sent) = (0, 0);
    let mut refused = 0;
    while sent < count && refused < 10 {
        let number = (sent + 1).to_string();
        let reply = engine.run(&["RPUSH", "l", &number]);
        engine.server.flush_aof(false);
        if reply.starts_with(b"-MISCONF") {
            refused += 1;
            continue;
        }
        sent += 1;
        assert_eq!(reply, format!(":{number}\r\n").into_bytes());
        engine.server.aof.wait_for_disk();
        if alarm.0.load(Ordering::SeqCst) {
            break;
        }
        // Without `always`, a write that fails is tried again, though the reply
        // does not wait for it.
        if engine.server.aof.barrier().is_none() && engine.server.aof.buffer_bytes() == 0 {
            acknowledged = sent;
        }
    }
    (acknowledged, sent)
}

/// The numbers in the list are those from 1 on, at least the acknowledged.
fn is_kept(dir: &Path, acknowledged: u64, sent: u64, case: &str) {
    let mut engine = Engine::new(dir, AppendFsync::No);
    engine
        .load()
        .unwrap_or_else(|_| panic!("{case}: it does not start"));
    let reply = engine.run(&["LRANGE", "l", "0", "-1"]);
    let text = String::from_utf8(reply).unwrap();
    let kept: Vec<u64> = text.lines().filter_map(|line| line.parse().ok()).collect();
    let count = kept.len() as u64;
    assert!(kept.iter().copied().eq(1..=count), "{case}: {kept:?}");
    assert!(
        (acknowledged..=sent).contains(&count),
        "{case}: {count} are kept, {acknowledged} acknowledged, {sent} sent"
    );
}

#[test]
fn an_error_at_any_call_loses_nothing() {
    for policy in [AppendFsync::Always, AppendFsync::Everysec, AppendFsync::No] {
        for errno in [libc::EIO, libc::ENOSPC] {
            // How many calls there are is a matter of chance: nothing is written
            // while a sync of every second runs.
            let mut struck = 0;
            for fail_at in 1..=60 {
                let dir = tempfile::tempdir().unwrap();
                let faults = Arc::new(Faults {
                    calls: AtomicU64::new(0),
                    fail_at,
                    errno,
                });
                let alarm = Arc::new(Fatality::default());
                let mut engine = Engine::new(dir.path(), policy);
                engine.server.aof.disk = Arc::new(FaultyDisk {
                    inner: RealDisk,
                    faults: faults.clone(),
                });
                engine.server.aof.alarm = alarm.clone();
                let opened = engine.load().and_then(|()| engine.server.open_aof());
                let (acknowledged, sent) = match opened {
                    Ok(()) => push(&mut engine, &alarm, 20),
                    Err(_) => (0, 0),
                };
                drop(engine);
                let case = format!("{policy:?}, error {errno} at call {fail_at}");
                is_kept(dir.path(), acknowledged, sent, &case);
                struck += u64::from(faults.calls.load(Ordering::SeqCst) >= fail_at);
            }
            assert!(struck > 10, "{policy:?}: {struck} calls failed");
        }
    }
}

/// Keeps only what was synced when the power goes.
#[derive(Default)]
struct ForgetfulDisk {
    files: Mutex<HashMap<PathBuf, Arc<Forgetful>>>,
    is_off: Arc<Mutex<bool>>,
}

struct Forgetful {
    inner: Arc<dyn DiskFile>,
    /// Held during a write: what a thread still writes after the power went
    /// must not be appended to what was kept.
    is_off: Arc<Mutex<bool>>,
    written: AtomicU64,
    synced: AtomicU64,
}

impl DiskFile for Forgetful {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let is_off = self.is_off.lock().unwrap();
        if *is_off {
            return Ok(bytes.len());
        }
        let count = self.inner.write(bytes)?;
        self.written.fetch_add(count as u64, Ordering::SeqCst);
        Ok(count)
    }

    fn sync(&self) -> io::Result<()> {
        // What is written meanwhile is not in it.
        let written = self.written.load(Ordering::SeqCst);
        self.synced.fetch_max(written, Ordering::SeqCst);
        Ok(())
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.inner.truncate(bytes)
    }
}

impl Disk for ForgetfulDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let inner = RealDisk.open(path, how)?;
        let bytes = std::fs::metadata(path)?.len();
        let file = Arc::new(Forgetful {
            inner,
            is_off: self.is_off.clone(),
            written: AtomicU64::new(bytes),
            synced: AtomicU64::new(bytes),
        });
        self.files
            .lock()
            .unwrap()
            .insert(path.to_owned(), file.clone());
        Ok(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.make_dir(path)
    }
}

impl ForgetfulDisk {
    /// The power goes: of what was not synced, a part of chance stays.
    fn cut(&self, rng: &mut SmallRng) {
        *self.is_off.lock().unwrap() = true;
        for (path, file) in self.files.lock().unwrap().iter() {
            let (synced, written) = (
                file.synced.load(Ordering::SeqCst),
                file.written.load(Ordering::SeqCst),
            );
            let kept = rng.random_range(synced..=written);
            let file = std::fs::File::options().write(true).open(path);
            if let Ok(file) = file {
                file.set_len(kept).unwrap();
            }
        }
    }
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let cuts = from_env("REDSTART_CUTS", 300);
    let mut rng = SmallRng::seed_from_u64(5);
    let mut acknowledged_in_all = 0;
    for cut in 0..cuts {
        let dir = tempfile::tempdir().unwrap();
        let policy = match cut % 3 {
            0 => AppendFsync::No,
            1 => AppendFsync::Everysec,
            _ => AppendFsync::Always,
        };
        let disk = Arc::new(ForgetfulDisk::default());
        let alarm = Arc::new(Fatality::default());
        let mut engine = Engine::new(dir.path(), policy);
        engine.server.aof.disk = disk.clone();
        engine.server.aof.alarm = alarm.clone();
        engine
            .load()
            .and_then(|()| engine.server.open_aof())
            .unwrap();
        let count = rng.random_range(1..40);
        let (acknowledged, mut sent) = push(&mut engine, &alarm, count);
        // More that nobody waits for, while the disk is busy with it.
        for _ in 0..rng.random_range(0..5) {
            sent += 1;
            engine.run(&["RPUSH", "l", &sent.to_string()]);
            engine.server.flush_aof(false);
        }
        if policy == AppendFsync::Always {
            // Whatever the thread does at this moment.
            let durable = engine.server.aof.barrier().is_none();
            disk.cut(&mut rng);
            let acknowledged = if durable { sent } else { acknowledged };
            let copy = tempfile::tempdir().unwrap();
            copy_dir(dir.path(), copy.path());
            drop(engine);
            acknowledged_in_all += acknowledged;
            is_kept(copy.path(), acknowledged, sent, &format!("cut {cut}"));
        } else {
            drop(engine);
            disk.cut(&mut rng);
            // A prefix of what happened.
            is_kept(dir.path(), 0, sent, &format!("cut {cut}"));
        }
    }
    assert!(acknowledged_in_all > cuts);
}

fn copy_dir(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    assert!(to.join(LOG_NAME).exists());
}
