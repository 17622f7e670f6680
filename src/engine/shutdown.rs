//! Stopping the server: on command or by a signal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::aof::AofState;
use super::server::{Server, ShutdownRequest, ShutdownState};

/// A shutdown by a signal, which cron carries out.
#[derive(Default)]
pub struct Signalled {
    request: Option<(ShutdownRequest, &'static str)>,
    /// Whether a signal has come and its shutdown is not given up: the one who
    /// takes signals looks at it without the engine's lock.
    pub flag: Arc<AtomicBool>,
}

/// Why the server goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShutdownError {
    /// A snapshot was asked for, which cannot be written.
    CannotSave,
    /// It is stopping already.
    InProgress,
}

impl Server {
    /// Stops the server after this turn, with exit code 0.
    ///
    /// # Errors
    /// When something that was asked for cannot be done; the log says what.
    pub fn begin_shutdown(&mut self, request: ShutdownRequest) -> Result<(), ShutdownError> {
        if self.shutdown != ShutdownState::None {
            return Err(ShutdownError::InProgress);
        }
        tracing::warn!("User requested shutdown...");
        if self.saving.saves_rdb() {
            tracing::warn!("There is a child saving an .rdb. Killing it!");
        }
        if self.stats.persistence.rewrite_running {
            if self.aof.state == AofState::WaitRewrite {
                // Its end is awaited: else what is in memory would be lost.
                if !request.force {
                    tracing::warn!("Writing initial AOF, can't exit.");
                    return Err(ShutdownError::CannotSave);
                }
                tracing::warn!("Writing initial AOF. Exit anyway.");
            }
            tracing::warn!("There is a child rewriting the AOF. Killing it!");
            self.give_up_rewrite();
        }
        if self.give_up_saving() {
            super::snapshot_file::remove_unfinished();
        }
        // What is half loaded must not replace what is on disk.
        let nosave = request.nosave || self.stats.persistence.loading;
        let save = (request.save && !self.stats.persistence.loading)
            || (!nosave && !self.config.save.is_empty());
        self.finish_aof();
        if save {
            tracing::info!("Saving the final RDB snapshot before exiting.");
            if self.save_now().is_err() {
                if request.force {
                    tracing::warn!("Error trying to save the DB. Exit anyway.");
                } else {
                    tracing::warn!("Error trying to save the DB, can't exit.");
                    tracing::warn!(
                        "Errors trying to shut down the server. Check the logs for more \
                         information."
                    );
                    return Err(ShutdownError::CannotSave);
                }
            }
        }
        self.shutdown = ShutdownState::Exit(0);
        Ok(())
    }

    /// Has cron stop the server because of a signal, whose name this is.
    pub fn ask_shutdown(&mut self, request: ShutdownRequest, signal: &'static str) {
        self.signalled.request = Some((request, signal));
    }

    /// Stops the server if a signal has asked for it.
    pub fn check_signalled(&mut self) {
        let Some((request, signal)) = self.signalled.request.take() else {
            return;
        };
        if self.begin_shutdown(request) == Err(ShutdownError::CannotSave) {
            tracing::warn!(
                "{signal} received but errors trying to shut down the server, check the logs for \
                 more information"
            );
            self.signalled.flag.store(false, Ordering::Relaxed);
        }
    }

    /// Takes a shutdown back; false when there is none that waits.
    pub fn abort_shutdown(&mut self) -> bool {
        let waited = self.signalled.request.take().is_some();
        if waited {
            self.signalled.flag.store(false, Ordering::Relaxed);
            tracing::info!("Shutdown manually aborted.");
        }
        waited
    }
}
