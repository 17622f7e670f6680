//! Connections coming in: accepted by the first thread, served by any.

use std::io::{ErrorKind, IoSlice};
use std::time::{Duration, Instant};

use super::conn::Conn;
use super::driver::Driver;
use super::reactor::{LISTENER_TOKEN, Reactor};
use super::stream::{Accepted, Stream};
use crate::engine::{ClientId, RawClient, Server};

/// Connections accepted in one turn.
const ACCEPT_MAX: usize = 1000;
/// Pause after a failure that is not the peer's: descriptors used up, mostly.
const RETRY_AFTER: Duration = Duration::from_millis(100);

impl<D: Driver> Reactor<D> {
    /// Takes over listening sockets opened elsewhere, in place of the old ones.
    pub(super) fn take_listeners(&mut self) {
        if self.index != 0 {
            return;
        }
        let Some(fresh) = self.shared.listeners.lock().take() else {
            return;
        };
        for listener in &mut self.listeners {
            self.driver.remove_listener(listener);
        }
        self.listeners = fresh;
        for (number, listener) in self.listeners.iter_mut().enumerate() {
            if let Err(error) = self.driver.add_listener(listener, LISTENER_TOKEN + number) {
                tracing::warn!("Can't watch a listening socket: {error}");
            }
        }
        // Connections may have come before the watch began.
        self.accept_at = Some(Instant::now());
    }

    /// Accepts from all listening sockets if more may wait there: edges do not
    /// come twice.
    pub(super) fn accept_more(&mut self) {
        if self.accept_at.is_some_and(|at| at <= Instant::now()) {
            self.accept_at = None;
            (0..self.listeners.len()).for_each(|number| self.accept(number));
        }
    }

    /// Accepts what waits at one listening socket.
    pub(super) fn accept(&mut self, number: usize) {
        let Some(listener) = self.listeners.get(number) else {
            return;
        };
        while self.accepted.len() < ACCEPT_MAX {
            match listener.accept() {
                Ok(accepted) => self.accepted.push(accepted),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return,
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                    _ => {
                        tracing::warn!("Accepting client connection: {error}");
                        self.accept_at = Some(Instant::now() + RETRY_AFTER);
                        return;
                    }
                },
            }
        }
        self.accept_at = Some(Instant::now());
    }

    /// A new connection: refused, ours, or another thread's.
    pub(super) fn admit(&mut self, server: &mut Server, mut accepted: Accepted) {
        if let Some(refusal) = server.refuse_connection(accepted.loopback) {
            // Whether the peer still listens is its own business.
            let _ = accepted.stream.write(&[IoSlice::new(refusal.as_bytes())]);
            return;
        }
        let thread = self.next_thread;
        self.next_thread = (self.next_thread + 1) % self.shared.threads.len();
        crate::server::listen::prepare(&accepted.stream, server.config.tcp_keepalive_s);
        let raw = RawClient {
            fd: accepted.stream.fd(),
            addr: accepted.addr,
            laddr: accepted.laddr,
            unix_socket: matches!(accepted.stream, Stream::Unix(_)),
            io_thread: thread,
            token: usize::MAX,
        };
        let client = server.add_client(raw);
        if thread == self.index {
            self.adopt(server, accepted.stream, client);
        } else {
            self.shared.threads[thread]
                .connections
                .lock()
                .push((accepted.stream, client));
            self.shared.wake(thread);
        }
    }

    /// A connection that this thread serves from now on.
    pub(super) fn adopt(&mut self, server: &mut Server, mut stream: Stream, id: ClientId) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.conns.push(None);
            self.conns.len() - 1
        });
        if let Err(error) = self.driver.add(&mut stream, index) {
            tracing::warn!("Can't watch a connection: {error}");
            self.free.push(index);
            server.forget_client(id);
            return;
        }
        let open_to_all = server.users.open_to_all();
        let Some(client) = server.clients.get_mut(id) else {
            self.driver.remove(&mut stream);
            self.free.push(index);
            return;
        };
        client.raw.token = index;
        let unauthenticated = !client.authenticated && !open_to_all;
        self.conns[index] = Some(Conn::new(stream, id, unauthenticated));
        // Bytes may have come before the watch began, and a thread may have
        // written to the client, or closed it, before it had a place here.
        self.look_again(index);
        self.mark_dirty(index);
    }
}
