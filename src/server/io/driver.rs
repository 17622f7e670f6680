//! What the loop needs of the operating system: readiness events.

use std::io;
use std::time::Duration;

use mio::{Interest, Token};

use super::stream::{Listener, Stream};

/// Events of a socket since the last wait.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// The number under which the socket was added.
    pub token: usize,
    /// There may be something to read (an end included).
    pub readable: bool,
    /// There may be room to write.
    pub writable: bool,
    /// The peer has closed, or the socket failed.
    pub closed: bool,
}

/// A source of readiness events. Events are edges: after one, the socket is
/// used until it would block, or the rest is remembered.
pub trait Driver {
    /// Watches a connection.
    ///
    /// # Errors
    /// Of the system.
    fn add(&mut self, stream: &mut Stream, token: usize) -> io::Result<()>;
    /// Watches a listening socket.
    ///
    /// # Errors
    /// Of the system.
    fn add_listener(&mut self, listener: &mut Listener, token: usize) -> io::Result<()>;
    /// Stops watching a connection.
    fn remove(&mut self, stream: &mut Stream);
    /// Stops watching a listening socket.
    fn remove_listener(&mut self, listener: &mut Listener);
    /// Waits for events, a wake-up or the timeout; replaces `events`.
    ///
    /// # Errors
    /// Of the system, interruption excepted.
    fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()>;
}

const WAKER: Token = Token(usize::MAX);
const EVENTS_MAX: usize = 1024;

/// The readiness loop of the platform (epoll, kqueue), through mio.
pub struct Epoll {
    poll: mio::Poll,
    events: mio::Events,
}

impl Epoll {
    /// A new one.
    ///
    /// # Errors
    /// When the system has no more of them.
    pub fn new() -> io::Result<Epoll> {
        Ok(Epoll {
            poll: mio::Poll::new()?,
            events: mio::Events::with_capacity(EVENTS_MAX),
        })
    }

    /// The waker of its wait; there is one.
    ///
    /// # Errors
    /// Of the system.
    pub fn waker(&self) -> io::Result<mio::Waker> {
        mio::Waker::new(self.poll.registry(), WAKER)
    }
}

impl Driver for Epoll {
    fn add(&mut self, stream: &mut Stream, token: usize) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(stream.source(), Token(token), both)
    }

    fn add_listener(&mut self, listener: &mut Listener, token: usize) -> io::Result<()> {
        self.poll
            .registry()
            .register(listener.source(), Token(token), Interest::READABLE)
    }

    fn remove(&mut self, stream: &mut Stream) {
        // The socket is closed next, which would do as well.
        let _ = self.poll.registry().deregister(stream.source());
    }

    fn remove_listener(&mut self, listener: &mut Listener) {
        let _ = self.poll.registry().deregister(listener.source());
    }

    fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        events.clear();
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        events.extend(
            self.events
                .iter()
                .filter(|event| event.token() != WAKER)
                .map(|event| Event {
                    token: event.token().0,
                    readable: event.is_readable() || event.is_read_closed() || event.is_error(),
                    writable: event.is_writable(),
                    closed: event.is_read_closed() || event.is_error(),
                }),
        );
        Ok(())
    }
}
