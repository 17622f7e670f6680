//! Stopping the server: on command or by a signal.

use super::server::{Server, ShutdownRequest, ShutdownState};

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
        if request.save {
            tracing::warn!(
                "Saving at shutdown was asked for, but this version does not write snapshots"
            );
            if !request.force {
                tracing::warn!("Error trying to save the DB, can't exit.");
                return Err(ShutdownError::CannotSave);
            }
        } else if !request.nosave && !self.config.save.is_empty() && self.has_keys() {
            tracing::warn!(
                "Save points are configured, but this version does not write snapshots: the \
                 data in memory is lost"
            );
        }
        self.shutdown = ShutdownState::Exit(0);
        Ok(())
    }

    /// Takes a shutdown back; false when there is none that waits. (Nothing
    /// waits yet: it is for replicas that a shutdown takes time.)
    pub fn abort_shutdown(&mut self) -> bool {
        false
    }

    fn has_keys(&self) -> bool {
        self.keyspace.dbs().any(|(_, db)| !db.table().is_empty())
    }
}
