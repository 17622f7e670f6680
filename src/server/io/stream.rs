//! TCP and unix sockets under one type.

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsRawFd, RawFd};

use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// A connection.
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// Unix socket.
    Unix(UnixStream),
}

impl Stream {
    pub(super) fn source(&mut self) -> &mut dyn mio::event::Source {
        match self {
            Stream::Tcp(stream) => stream,
            Stream::Unix(stream) => stream,
        }
    }

    /// Writes from several buffers.
    ///
    /// # Errors
    /// Of the socket, `WouldBlock` included.
    #[inline]
    pub fn write(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, buffers) {
            (Stream::Tcp(stream), [one]) => stream.write(one),
            (Stream::Tcp(stream), _) => stream.write_vectored(buffers),
            (Stream::Unix(stream), _) => stream.write_vectored(buffers),
        }
    }

    /// The descriptor.
    pub fn fd(&self) -> RawFd {
        match self {
            Stream::Tcp(stream) => stream.as_raw_fd(),
            Stream::Unix(stream) => stream.as_raw_fd(),
        }
    }
}

impl Read for Stream {
    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buf),
            Stream::Unix(stream) => stream.read(buf),
        }
    }
}

/// A listening socket.
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// Unix socket with its path.
    Unix(UnixListener, String),
}

/// A connection just accepted, with the addresses for CLIENT LIST.
pub struct Accepted {
    /// The connection.
    pub stream: Stream,
    /// The peer.
    pub addr: String,
    /// Our side.
    pub laddr: String,
    /// The peer is on this machine.
    pub loopback: bool,
}

impl Listener {
    pub(super) fn source(&mut self) -> &mut dyn mio::event::Source {
        match self {
            Listener::Tcp(listener) => listener,
            Listener::Unix(listener, _) => listener,
        }
    }

    /// Lets nobody in any more, whoever else has the socket open.
    pub fn stop(&self) {
        if let Listener::Tcp(listener) = self {
            // The process is about to end, which does the same.
            let _ = socket2::SockRef::from(listener).shutdown(std::net::Shutdown::Both);
        }
    }

    /// The next connection that waits.
    ///
    /// # Errors
    /// `WouldBlock` when none does, or of the system (descriptors used up).
    pub fn accept(&self) -> io::Result<Accepted> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                let local = stream.local_addr().map_or_else(|_| "?:0".into(), printed);
                let loopback = peer.ip().to_canonical().is_loopback();
                Ok(Accepted {
                    stream: Stream::Tcp(stream),
                    addr: printed(peer),
                    laddr: local,
                    loopback,
                })
            }
            Listener::Unix(listener, path) => {
                let (stream, _) = listener.accept()?;
                let addr = format!("{path}:0");
                Ok(Accepted {
                    stream: Stream::Unix(stream),
                    laddr: addr.clone(),
                    addr,
                    loopback: true,
                })
            }
        }
    }
}

/// Redis: IPv6 addresses stand in brackets.
fn printed(addr: std::net::SocketAddr) -> String {
    match addr {
        std::net::SocketAddr::V4(addr) => addr.to_string(),
        std::net::SocketAddr::V6(addr) => format!("[{}]:{}", addr.ip(), addr.port()),
    }
}
