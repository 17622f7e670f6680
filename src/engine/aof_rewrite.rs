//! Rewriting the append-only file: a snapshot becomes its new base, and what
//! changes after the moment of the snapshot goes into a new file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::aof::{AofState, make_dir, shown};
use super::aof_files::{Installation, Preparation, open_incr, remove};
use super::saving::{SnapshotEnd, SnapshotTarget};
use super::server::Server;
use crate::aof::rewrite::RewriteOptions;
use crate::aof::{DiskFile, Manifest, Names};
use crate::util::Logged;

/// Rewrites that may fail in a row before the next is delayed.
const FAILURES_MAX: u64 = 3;
/// Longest delay, minutes.
const DELAY_MAX_MIN: i64 = 60;

/// Until the next look at whether a rewrite can begin.
const NAP: Duration = Duration::from_millis(5);

/// The rewrite that runs, and when the next may.
#[derive(Default)]
pub struct Rewrite {
    /// Number of the last one that was begun.
    number: u64,
    /// What it writes.
    temp: PathBuf,
    /// It writes commands instead of a snapshot.
    as_commands: bool,
    /// Its files are being put in place: nobody else may touch them.
    pub(super) installing: bool,
    /// Failed syncs when it began.
    sync_failures: u64,
    delay_min: i64,
    /// Unix seconds before which none begins by itself.
    not_before_s: Option<i64>,
}

impl Server {
    /// Whether something is written in the background: snapshot or rewrite.
    pub fn is_saving(&self) -> bool {
        self.saving.is_busy() || self.stats.persistence.rewrite_running
    }

    /// Begins to rewrite the log in the background.
    ///
    /// # Errors
    /// When it cannot be begun: the reason has been logged.
    pub fn rewrite_aof(&mut self) -> Result<(), Logged> {
        if self.is_saving() || self.aof.rewrite.installing {
            return Err(Logged);
        }
        let begun = self.begin_rewrite();
        if begun.is_err() {
            self.stats.persistence.last_rewrite_ok = false;
        }
        begun
    }

    fn begin_rewrite(&mut self) -> Result<(), Logged> {
        let names = self.aof_names();
        make_dir(&*self.aof.disk, &names)?;
        self.aof.rewrite.number += 1;
        if self.aof.state == AofState::On {
            self.prepare_in_background(names)?;
        } else {
            self.open_temporary_incr(&names)?;
            self.begin_base(&names)?;
        }
        let p = &mut self.stats.persistence;
        p.rewrites += 1;
        p.rewrite_scheduled = false;
        (p.rewrite_running, p.rewrite_started_ns) = (true, self.now_ns);
        let pid = std::process::id();
        tracing::info!("Background append only file rewriting started by pid {pid}");
        Ok(())
    }

    /// Begins to write the data as they are now: the new base.
    fn begin_base(&mut self, names: &Names) -> Result<(), Logged> {
        let sync_failures = self.aof.sync_failures();
        let rewrite = &mut self.aof.rewrite;
        let (pid, number) = (std::process::id(), rewrite.number);
        rewrite.temp = names
            .dir
            .with_file_name(format!("temp-rewriteaof-bg-{pid}-{number}.aof"));
        rewrite.as_commands = !self.config.aof_use_rdb_preamble;
        rewrite.sync_failures = sync_failures;
        let target = SnapshotTarget {
            temp: rewrite.snapshot_path(),
            rename_to: None,
            aof_base: true,
            done: snapshot_ended,
        };
        self.begin_snapshot(target).map_err(|reason| {
            tracing::warn!("Can't rewrite append only file in background: {reason}");
            Logged
        })
    }

    /// Where the log is to begin there is no base yet, and the manifest knows
    /// nothing of the file.
    fn open_temporary_incr(&mut self, names: &Names) -> Result<(), Logged> {
        if self.aof.state == AofState::Off {
            return Ok(());
        }
        let name = names.temporary_incr();
        let file = open_incr(&*self.aof.disk, names, &name)?;
        self.finish_incr()?;
        self.switch_incr(&name, file);
        Ok(())
    }

    /// All that happened is in the file of changes, or the rewrite fails: what
    /// its snapshot has must not be repeated after it.
    fn finish_incr(&mut self) -> Result<(), Logged> {
        // The first command of the next file says for which database it is.
        self.aof.selected = None;
        self.flush_aof(true);
        if !self.aof.buffer.is_empty() {
            tracing::warn!(
                "Can't rewrite append only file in background: the current one can't be written"
            );
            return Err(Logged);
        }
        self.aof.syncer().map(drop)
    }

    /// What is changed from now on goes into this file.
    fn switch_incr(&mut self, name: &[u8], file: Arc<dyn DiskFile>) {
        let name = shown(name);
        tracing::info!("Creating AOF incr file {name} on background rewrite");
        if let (Some(old), Some(syncer)) = (self.aof.file.take(), &self.aof.syncer) {
            syncer.sync_and_close(old);
            self.aof.synced_s = self.clock_unix_ms() / 1000;
        }
        self.aof.write_to(file, 0);
    }

    /// The files that the rewrite begins with wait for the disk, so that they
    /// are made beside us.
    fn prepare_in_background(&mut self, names: Names) -> Result<(), Logged> {
        let preparation = Preparation::new(self.aof.disk.clone(), names, &self.aof.manifest);
        let number = self.aof.rewrite.number;
        let spawned = self.spawn(
            "rewrite",
            Box::new(move |access| {
                let mut opened = Some(preparation.run());
                while opened.is_some() {
                    let there = access(&mut |server| {
                        // A script that pauses has done only a part of what
                        // the log will have as one.
                        if !server.is_busy()
                            && let Some(opened) = opened.take()
                        {
                            server.prepared(number, &preparation, opened);
                        }
                    });
                    if !there {
                        return;
                    }
                    if opened.is_some() {
                        std::thread::sleep(NAP);
                    }
                }
            }),
        );
        spawned.map_err(|reason| {
            tracing::warn!("Can't rewrite append only file in background: {reason}");
            Logged
        })?;
        self.aof.rewrite.installing = true;
        Ok(())
    }

    /// The files are there: the rewrite begins with them.
    fn prepared(
        &mut self,
        number: u64,
        preparation: &Preparation,
        opened: Result<Arc<dyn DiskFile>, Logged>,
    ) {
        let given_up = number != self.aof.rewrite.number || self.aof.state != AofState::On;
        let placed = match opened {
            Ok(file) if !given_up => self.finish_incr().and_then(|()| {
                preparation.put_in_place(&self.aof.manifest)?;
                self.aof.manifest = preparation.manifest.clone();
                self.switch_incr(&preparation.incr, file);
                Ok(())
            }),
            _ => Err(Logged),
        };
        if placed.is_err() {
            preparation.remove();
        }
        self.aof.rewrite.installing = false;
        let begun = placed.and_then(|()| self.begin_base(&preparation.names));
        if begun.is_err() && !given_up {
            self.end_rewrite(false);
        }
    }

    /// CONFIG SET appendonly yes: the log is in force once its base is there.
    ///
    /// # Errors
    /// When that cannot be begun: the reason has been logged.
    pub fn start_aof(&mut self) -> Result<(), Logged> {
        self.aof.state = AofState::WaitRewrite;
        let now_s = self.clock_unix_ms() / 1000;
        if self.saving.saves_rdb() || self.aof.rewrite.installing {
            self.stats.persistence.rewrite_scheduled = true;
            tracing::warn!(
                "AOF was enabled but there is already another background operation. An AOF \
                 background was scheduled to start when possible."
            );
        } else if self.time_stands {
            self.stats.persistence.rewrite_scheduled = true;
            tracing::warn!(
                "AOF was enabled during a transaction. An AOF background was scheduled to start \
                 when possible."
            );
        } else {
            if self.stats.persistence.rewrite_running {
                tracing::warn!(
                    "AOF was enabled but there is already an AOF rewriting in background. \
                     Stopping background AOF and starting a rewrite now."
                );
                self.give_up_rewrite();
            }
            if self.rewrite_aof().is_err() {
                self.aof.state = AofState::Off;
                tracing::warn!(
                    "Redis needs to enable the AOF but can't trigger a background AOF rewrite \
                     operation. Check the above logs for more info about the error."
                );
                return Err(Logged);
            }
        }
        self.aof.synced_s = now_s;
        self.aof.forget_errors();
        self.note_listeners();
        Ok(())
    }

    /// Ends a rewrite that is under way; its file goes.
    pub fn give_up_rewrite(&mut self) {
        if !self.stats.persistence.rewrite_running {
            return;
        }
        let pid = std::process::id();
        tracing::info!("Killing running AOF rewrite child: {pid}");
        if self.saving.is_busy() {
            self.give_up_saving();
        }
        // Whatever still comes of it is known by its number.
        self.aof.rewrite.number += 1;
        self.stats.persistence.rewrite_running = false;
    }

    /// Rewrites when it is due or was asked for.
    pub fn rewrite_aof_if_due(&mut self) {
        let p = &self.stats.persistence;
        if self.is_saving() || self.aof.rewrite.installing || p.loading {
            return;
        }
        if p.rewrite_scheduled {
            if !self.rewrite_limited() {
                // Whether it could be begun has been logged.
                let _ = self.rewrite_aof();
            }
            return;
        }
        if self.aof.state != AofState::On {
            return;
        }
        if self.aof.has_lost_sync() && !self.rewrite_limited() {
            tracing::warn!("Starting a rewrite of AOF, since it could not be forced to disk");
            let _ = self.rewrite_aof();
            return;
        }
        let percentage = u64::from(self.config.auto_aof_rewrite_percentage);
        let bytes = self.aof.current_bytes;
        if percentage == 0 || bytes <= self.config.auto_aof_rewrite_min_bytes {
            return;
        }
        let base = self.aof.base_bytes.max(1);
        let growth = (u128::from(bytes) * 100 / u128::from(base)).saturating_sub(100);
        if growth >= u128::from(percentage) && !self.rewrite_limited() {
            tracing::info!("Starting automatic rewriting of AOF on {growth}% growth");
            let _ = self.rewrite_aof();
        }
    }

    /// Whether rewrites failed so often that the next has to wait: first a
    /// minute, then twice as long each time.
    fn rewrite_limited(&mut self) -> bool {
        let now_s = self.clock_unix_ms() / 1000;
        let rewrite = &mut self.aof.rewrite;
        if self.stats.persistence.rewrite_failures < FAILURES_MAX {
            rewrite.delay_min = 0;
            rewrite.not_before_s = None;
            return false;
        }
        if let Some(not_before_s) = rewrite.not_before_s {
            if now_s >= not_before_s {
                rewrite.not_before_s = None;
            }
            return now_s < not_before_s;
        }
        rewrite.delay_min = (rewrite.delay_min * 2).clamp(1, DELAY_MAX_MIN);
        rewrite.not_before_s = Some(now_s + rewrite.delay_min * 60);
        tracing::warn!(
            "Background AOF rewrite has repeatedly failed and triggered the limit, will retry in \
             {} minutes",
            rewrite.delay_min
        );
        true
    }

    /// The snapshot is written: what is left to do for it to be the base takes
    /// a disk, so that it is done beside us.
    fn install_in_background(&mut self) {
        let mut install = self.installation();
        let number = self.aof.rewrite.number;
        self.aof.rewrite.installing = true;
        let spawned = self.spawn(
            "rewrite",
            Box::new(move |access| {
                let mut installed = Some(install.run());
                access(&mut |server| {
                    if let Some(installed) = installed.take() {
                        server.note_aof_latency("aof-rename", install.rename_ms);
                        server.installed(number, installed);
                    }
                });
            }),
        );
        if let Err(reason) = spawned {
            tracing::warn!("Can't rewrite append only file in background: {reason}");
            self.installed(number, Err(Logged));
        }
    }

    fn installation(&self) -> Installation {
        let (names, rewrite) = (self.aof_names(), &self.aof.rewrite);
        let mut manifest = self.aof.manifest.clone();
        let base = manifest.new_base(&names.prefix, !rewrite.as_commands);
        let waits = self.aof.state == AofState::WaitRewrite;
        let incr = waits.then(|| manifest.new_incr(&names.prefix));
        manifest.supersede_incr(usize::from(self.aof.file.is_some()));
        let options = RewriteOptions {
            timestamp_s: (self.config.aof_timestamp_enabled).then(|| self.clock_unix_ms() / 1000),
            incremental_fsync: self.config.aof_rewrite_incremental_fsync,
        };
        Installation {
            disk: self.aof.disk.clone(),
            names,
            manifest,
            snapshot: rewrite.snapshot_path(),
            temp: rewrite.temp.clone(),
            as_commands: rewrite.as_commands.then_some(options),
            base,
            incr,
            keeps_history: self.config.aof_disable_auto_gc,
            rename_ms: 0,
        }
    }

    /// What the files are now that a rewrite has ended.
    fn installed(&mut self, number: u64, installed: Result<Manifest, Logged>) {
        self.aof.rewrite.installing = false;
        let ok = installed.is_ok();
        if let Ok(manifest) = installed {
            self.aof.manifest = manifest;
        }
        // One that was given up too late has put its files in place anyway.
        if number == self.aof.rewrite.number {
            self.end_rewrite(ok);
        }
    }

    fn end_rewrite(&mut self, ok: bool) {
        let now_ns = self.clock.now_ns();
        let waits = self.aof.state == AofState::WaitRewrite;
        let p = &mut self.stats.persistence;
        p.rewrite_running = false;
        let took_ns = now_ns.saturating_sub(p.rewrite_started_ns);
        p.last_rewrite_time = Some(Duration::from_nanos(took_ns));
        p.last_rewrite_ok = ok;
        if ok {
            p.rewrite_failures = 0;
            self.use_new_base();
            tracing::info!("Background AOF rewrite finished successfully");
            return;
        }
        p.rewrite_failures += 1;
        // It is still to be switched on.
        p.rewrite_scheduled |= waits;
        if waits {
            self.drop_temporary_incr();
        }
    }

    fn use_new_base(&mut self) {
        if !self.aof.is_on() {
            return;
        }
        let base = self.aof.manifest.base.as_ref();
        let path = base.map(|base| self.aof_names().path(&base.name));
        let base_bytes = path.and_then(|path| std::fs::metadata(path).ok());
        let base_bytes = base_bytes.map_or(0, |data| data.len());
        self.aof.current_bytes = base_bytes + self.aof.incr_bytes;
        self.aof.base_bytes = self.aof.current_bytes;
        self.aof.state = AofState::On;
        if self.aof.sync_failures() == self.aof.rewrite.sync_failures {
            // What may be lost is in none of the files any more.
            self.aof.forget_lost_sync();
        }
    }

    pub(super) fn drop_temporary_incr(&mut self) {
        self.aof.abandon();
        let names = self.aof_names();
        let name = names.temporary_incr();
        tracing::info!(
            "Removing the temp incr aof file {} in the background",
            shown(&name)
        );
        if let Ok(syncer) = self.aof.syncer() {
            syncer.remove(names.path(&name));
        }
    }
}

impl Rewrite {
    /// Where the snapshot is written.
    fn snapshot_path(&self) -> PathBuf {
        if self.as_commands {
            self.temp.with_extension("rdb")
        } else {
            self.temp.clone()
        }
    }
}

fn snapshot_ended(server: &mut Server, end: SnapshotEnd) {
    match end {
        SnapshotEnd::Done => server.install_in_background(),
        SnapshotEnd::Failed => {
            tracing::warn!("Background AOF rewrite terminated with error");
            remove(&server.aof.rewrite.snapshot_path());
            server.end_rewrite(false);
        }
    }
}
