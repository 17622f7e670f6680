//! Loading the data at the start, beside the I/O threads.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::io::Shared;
use super::log;
use crate::commands::generic::dump;
use crate::engine::loading::{LoadOptions, LoadRules, is_missing, load_file, seconds};
use crate::engine::{Server, ShutdownState};

/// Clients are only let in before the data are there when loading takes
/// longer than this: most never see that it takes place.
const PATIENCE: Duration = Duration::from_millis(300);

/// Begins to load what is on disk; returns when that is done, or takes long.
///
/// # Errors
/// Why the server cannot start.
pub(super) fn begin(shared: &Arc<Shared>) -> Result<(), String> {
    let (path, rules) = {
        let mut server = shared.server.lock();
        let path = server.rdb_path();
        if is_missing(&path) {
            tracing::info!("Ready to accept connections");
            return Ok(());
        }
        server.begin_loading();
        let limits = dump::limits(&server.config);
        (path, LoadRules::of(&server, limits))
    };
    let (ended, end) = channel();
    let weak = Arc::downgrade(shared);
    let load = move || {
        super::crash::protect_thread();
        let start = Instant::now();
        let mut on_server = |run: &mut dyn FnMut(&mut Server)| {
            if let Some(shared) = weak.upgrade() {
                run(&mut shared.server.lock());
            }
        };
        let loaded = load_file(&path, &rules, LoadOptions::default(), &mut on_server);
        let Some(shared) = weak.upgrade() else {
            return;
        };
        let mut server = shared.server.lock();
        match loaded {
            Ok(loaded) => {
                server.end_loading(Some(loaded));
                tracing::info!("DB loaded from disk: {}", seconds(start.elapsed()));
                tracing::info!("Ready to accept connections");
            }
            Err(reason) => {
                tracing::warn!("{reason}");
                tracing::warn!("Fatal error loading the DB, check server logs. Exiting.");
                log::flush();
                server.shutdown = ShutdownState::Exit(1);
                drop(server);
                shared.wake_all();
            }
        }
        // Whether somebody still waits does not matter.
        let _ = ended.send(());
    };
    let thread = std::thread::Builder::new().name("loading".into());
    thread
        .spawn(load)
        .map_err(|error| format!("Can't start the thread that loads the data: {error}"))?;
    match end.recv_timeout(PATIENCE) {
        Err(RecvTimeoutError::Timeout) => tracing::debug!("Loading takes long"),
        Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
    }
    Ok(())
}
