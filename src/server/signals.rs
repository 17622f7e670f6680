//! Signals that stop the server, taken by the control plane's runtime.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::signal::unix::{SignalKind, signal};

use super::io::Shared;
use crate::config::ShutdownFlags;
use crate::engine::ShutdownRequest;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stop {
    Term,
    Int,
}

impl Stop {
    fn name(self) -> &'static str {
        match self {
            Stop::Term => "SIGTERM",
            Stop::Int => "SIGINT",
        }
    }
}

/// Starts the thread that waits for signals.
///
/// # Errors
/// When the system gives no thread or no handler.
pub fn listen(shared: Arc<Shared>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        )
    };
    let flag = shared.server.lock().signalled.flag.clone();
    let serve = async move {
        loop {
            let stop = tokio::select! {
                Some(()) = terminate.recv() => Stop::Term,
                Some(()) = interrupt.recv() => Stop::Int,
                else => return,
            };
            let again = flag.swap(true, Ordering::Relaxed);
            if again && stop == Stop::Int {
                tracing::warn!("You insist... exiting now.");
                crate::engine::snapshot_file::remove_unfinished();
                super::log::flush();
                std::process::exit(1);
            }
            tracing::warn!("Received {} scheduling shutdown...", stop.name());
            if !again {
                let shared = shared.clone();
                // The engine may be busy: waiting for it must not keep the
                // second signal from being seen.
                tokio::task::spawn_blocking(move || ask(&shared, stop));
            }
        }
    };
    std::thread::Builder::new()
        .name("control".into())
        .spawn(move || runtime.block_on(serve))?;
    Ok(())
}

fn ask(shared: &Shared, stop: Stop) {
    let mut server = shared.server.lock();
    let flags = match stop {
        Stop::Term => server.config.shutdown_on_sigterm,
        Stop::Int => server.config.shutdown_on_sigint,
    };
    let request = ShutdownRequest {
        nosave: flags.has(ShutdownFlags::NOSAVE),
        save: flags.has(ShutdownFlags::SAVE),
        now: flags.has(ShutdownFlags::NOW),
        force: flags.has(ShutdownFlags::FORCE),
    };
    server.ask_shutdown(request, stop.name());
}
