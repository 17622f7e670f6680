//! Loading the data at the start, beside the I/O threads.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::io::Shared;
use super::log;
use crate::commands::generic::dump;
use crate::engine::Server;
use crate::engine::loading::{LoadOptions, LoadRules, OnServer, is_missing, load_file, seconds};
use crate::exec::replay;
use crate::util::Logged;

/// Clients are only let in before the data are there when loading takes
/// longer than this: most never see that it takes place.
const PATIENCE: Duration = Duration::from_millis(300);

/// What there is to load.
enum Source {
    /// A snapshot.
    Snapshot(PathBuf, LoadRules),
    /// The append-only file.
    Log(LoadRules),
}

impl Source {
    fn of(server: &mut Server) -> Option<Source> {
        let limits = dump::limits(&server.config);
        let rules = LoadRules::of(server, limits);
        if server.config.appendonly {
            return Some(Source::Log(rules));
        }
        let path = server.rdb_path();
        (!is_missing(&path)).then_some(Source::Snapshot(path, rules))
    }

    /// Loads it; what failed has been logged then.
    fn load(self, on_server: OnServer<'_>) -> Result<(), Logged> {
        let start = Instant::now();
        match self {
            Source::Snapshot(path, rules) => {
                let loaded = load_file(&path, &rules, LoadOptions::default(), on_server);
                let loaded = loaded.map_err(|reason| {
                    tracing::warn!("{reason}");
                    match super::tools::report(&path) {
                        Some(report) => {
                            report.lines().for_each(|line| tracing::warn!("{line}"));
                            tracing::warn!("Terminating server after rdb file reading failure.");
                        }
                        None => tracing::warn!(
                            "Fatal error loading the DB, check server logs. Exiting."
                        ),
                    }
                    Logged
                })?;
                on_server(&mut |server| server.end_loading(Some(loaded)));
                tracing::info!("DB loaded from disk: {}", seconds(start.elapsed()));
                Ok(())
            }
            Source::Log(rules) => {
                replay::load_log(&rules, on_server)?;
                let mut opened = Ok(());
                on_server(&mut |server| {
                    server.end_loading(None);
                    opened = server.open_aof();
                });
                opened
            }
        }
    }
}

/// Begins to load what is on disk; returns when that is done, or takes long.
///
/// # Errors
/// Why the server cannot start.
pub(super) fn begin(shared: &Arc<Shared>) -> Result<(), String> {
    let source = {
        let mut server = shared.server.lock();
        if !server.config.appendonly && replay::prepare(&mut server, false).is_err() {
            log::flush();
            std::process::exit(1);
        }
        let Some(source) = Source::of(&mut server) else {
            tracing::info!("Ready to accept connections");
            return Ok(());
        };
        server.begin_loading();
        source
    };
    let (ended, end) = channel();
    let weak = Arc::downgrade(shared);
    let load = move || {
        super::crash::protect_thread();
        let mut on_server = |run: &mut dyn FnMut(&mut Server)| {
            if let Some(shared) = weak.upgrade() {
                run(&mut shared.server.lock());
            }
        };
        if source.load(&mut on_server).is_err() {
            // Redis: nothing is logged after the reason.
            log::flush();
            std::process::exit(1);
        }
        tracing::info!("Ready to accept connections");
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
