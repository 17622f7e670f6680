//! The data path: I/O threads that read, parse, execute under the lock, and
//! write. See `DESIGN` notes at the top of the crate for why it is a baton.

mod accept;
mod batch;
mod conn;
mod driver;
mod reactor;
mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

pub use driver::{Driver, Epoll};
pub use reactor::Reactor;
pub use stream::{Listener, Stream};

use crate::aof::Alarm;
use crate::engine::{ClientId, Server};

/// What all I/O threads share.
pub struct Shared {
    /// The engine. Whoever holds the lock executes commands.
    pub server: Mutex<Server>,
    /// Per thread: what the others want of it.
    threads: Vec<Mailbox>,
    /// Listening sockets that wait to be taken over by the first thread.
    listeners: Mutex<Option<Vec<Listener>>>,
    /// Nobody is let in any more.
    closed: AtomicBool,
    /// `proto-max-bulk-len`, for those that parse without the lock.
    bulk_bytes_max: AtomicU64,
}

/// What the disk of the append-only file does, told to the I/O threads.
pub struct DiskAlarm(pub std::sync::Weak<Shared>);

impl Alarm for DiskAlarm {
    fn durable(&self) {
        if let Some(shared) = self.0.upgrade() {
            shared.wake_all();
        }
    }

    fn fatal(&self) {
        super::log::flush();
        std::process::exit(1);
    }
}

struct Mailbox {
    waker: mio::Waker,
    /// Something waits under the lock: scheduled clients, new connections.
    called: AtomicBool,
    connections: Mutex<Vec<(Stream, ClientId)>>,
}

impl Shared {
    /// The engine and one driver for each of its I/O threads.
    ///
    /// # Errors
    /// When the system refuses a poll or a waker.
    pub fn new(server: Server, io_threads: usize) -> std::io::Result<(Arc<Shared>, Vec<Epoll>)> {
        let mut drivers = Vec::new();
        let mut threads = Vec::new();
        for _ in 0..io_threads {
            let driver = Epoll::new()?;
            let connections = Mutex::new(Vec::new());
            threads.push(Mailbox {
                waker: driver.waker()?,
                called: AtomicBool::new(false),
                connections,
            });
            drivers.push(driver);
        }
        let shared = Shared {
            bulk_bytes_max: AtomicU64::new(server.config.proto_max_bulk_bytes),
            server: Mutex::new(server),
            threads,
            listeners: Mutex::new(None),
            closed: AtomicBool::new(false),
        };
        Ok((Arc::new(shared), drivers))
    }

    /// Ends the wait of an I/O thread.
    pub fn wake(&self, thread: usize) {
        self.threads[thread].called.store(true, Ordering::Release);
        if let Err(error) = self.threads[thread].waker.wake() {
            tracing::warn!("Can't wake up I/O thread {thread}: {error}");
        }
    }

    /// Ends the wait of all I/O threads.
    pub fn wake_all(&self) {
        (0..self.threads.len()).for_each(|thread| self.wake(thread));
    }

    /// Replaces the listening sockets.
    pub fn set_listeners(&self, listeners: Vec<Listener>) {
        *self.listeners.lock() = Some(listeners);
        self.wake(0);
    }
}
