//! Listening sockets and the options of connections.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::io::{Listener, Stream};

/// One address of `bind`; a leading `-` makes it optional.
struct Address {
    ip: IpAddr,
    optional: bool,
}

fn resolve(text: &str) -> io::Result<Address> {
    let (name, optional) = match text.strip_prefix('-') {
        Some(name) => (name, true),
        None => (text, false),
    };
    let ip = match name {
        "*" => Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        "::*" => Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        _ => match name.parse() {
            Ok(ip) => Ok(ip),
            Err(_) => std::net::ToSocketAddrs::to_socket_addrs(&(name, 0)).and_then(|mut found| {
                let not_found =
                    || io::Error::new(io::ErrorKind::NotFound, "Name or service not known");
                found.next().map(|addr| addr.ip()).ok_or_else(not_found)
            }),
        },
    }?;
    Ok(Address { ip, optional })
}

/// A socket that listens on TCP. The I/O thread accepts from a copy of it.
struct Bound {
    address: SocketAddr,
    socket: Socket,
}

/// The sockets that a server listens on.
pub struct Listening {
    tcp: Vec<Bound>,
    unix: Option<(Socket, PathBuf)>,
    backlog: i32,
}

impl Listening {
    /// Nothing yet; `backlog` is that of all sockets to come.
    pub fn new(backlog: u32) -> Listening {
        Listening {
            tcp: Vec::new(),
            unix: None,
            backlog: i32::try_from(backlog).unwrap_or(i32::MAX),
        }
    }

    /// Whether there is no socket.
    pub fn is_empty(&self) -> bool {
        self.tcp.is_empty() && self.unix.is_none()
    }

    /// Listens on all addresses of `bind`, and on nothing else of TCP; port 0
    /// is none. Optional addresses may be missing. Sockets that listen where
    /// they should already stay as they are, clients that wait there included.
    ///
    /// # Errors
    /// The text for the log; the old sockets listen on.
    pub fn bind(&mut self, bind: &[Vec<u8>], port: u16) -> Result<(), String> {
        let mut wanted: Vec<(SocketAddr, bool, &[u8])> = Vec::new();
        for text in bind.iter().filter(|_| port != 0) {
            match resolve(&String::from_utf8_lossy(text)) {
                Ok(address) => {
                    wanted.push((SocketAddr::new(address.ip, port), address.optional, text));
                }
                Err(_) if text.starts_with(b"-") => {}
                Err(error) => return Err(failure(text, port, &error)),
            }
        }
        let (kept, mut superseded): (Vec<Bound>, Vec<Bound>) = std::mem::take(&mut self.tcp)
            .into_iter()
            .partition(|bound| wanted.iter().any(|(address, ..)| *address == bound.address));
        let mut closed = false;
        let mut fresh = Vec::new();
        for (address, optional, text) in wanted {
            if kept.iter().any(|bound| bound.address == address) {
                continue;
            }
            let mut result = listen_on(address, self.backlog);
            let in_use = |result: &io::Result<Socket>| matches!(result, Err(error) if error.kind() == io::ErrorKind::AddrInUse);
            if in_use(&result) && !closed && superseded.iter().any(|old| old.address.port() == port)
            {
                // A wildcard address and one of its own exclude each other.
                closed = true;
                superseded.iter().for_each(Bound::close);
                result = listen_on(address, self.backlog);
            }
            match result {
                Ok(socket) => fresh.push(Bound { address, socket }),
                Err(error) if optional && is_absent(&error) => {}
                Err(error) => {
                    drop(fresh);
                    if closed {
                        superseded.iter().for_each(|old| old.reopen(self.backlog));
                    }
                    self.tcp = kept;
                    self.tcp.append(&mut superseded);
                    return Err(failure(text, port, &error));
                }
            }
        }
        self.tcp = kept;
        self.tcp.append(&mut fresh);
        Ok(())
    }

    /// Listens on a unix socket too; a file left by a dead server is replaced.
    /// The socket never exists with wider permissions than `mode` (0: by the
    /// umask). At start, while there is one thread: the umask is the process's.
    ///
    /// # Errors
    /// The text for the log.
    pub fn bind_unix(&mut self, path: PathBuf, mode: u32) -> Result<(), String> {
        let failed = |step: &str, error: io::Error| {
            let reason = crate::config::os_error_text(&error);
            format!("Failed opening Unix socket: {step}: {reason}")
        };
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("unlink", error));
            }
            _ => {}
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)
            .map_err(|error| failed("socket", error))?;
        let address =
            socket2::SockAddr::unix(&path).map_err(|error| failed("unix socket path", error))?;
        let bound = {
            let _umask = (mode != 0).then(|| super::system::Umask::set(0o777 & !mode));
            socket.bind(&address)
        };
        bound.map_err(|error| failed("bind", error))?;
        if mode != 0 {
            use std::os::unix::fs::PermissionsExt;
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, permissions).map_err(|error| failed("chmod", error))?;
        }
        socket
            .listen(self.backlog)
            .and_then(|()| socket.set_nonblocking(true))
            .map_err(|error| failed("listen", error))?;
        self.unix = Some((socket, path));
        Ok(())
    }

    /// Copies of all sockets, to accept from.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn listeners(&self) -> io::Result<Vec<Listener>> {
        let mut listeners = Vec::with_capacity(self.tcp.len() + 1);
        for bound in &self.tcp {
            let socket = bound.socket.try_clone()?.into();
            listeners.push(Listener::Tcp(mio::net::TcpListener::from_std(socket)));
        }
        if let Some((socket, path)) = &self.unix {
            let socket = UnixListener::from(OwnedFd::from(socket.try_clone()?));
            listeners.push(Listener::Unix(
                mio::net::UnixListener::from_std(socket),
                path.to_string_lossy().into_owned(),
            ));
        }
        Ok(listeners)
    }
}

impl Bound {
    /// Stops listening, for every copy of the socket; the address stays ours.
    fn close(&self) {
        // It listens, so there is nothing that could fail.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }

    /// Listens again after [`Bound::close`].
    fn reopen(&self, backlog: i32) {
        if let Err(error) = self.socket.listen(backlog) {
            tracing::warn!("Can't listen on {} again: {error}", self.address);
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL | libc::EPROTONOSUPPORT | libc::EPFNOSUPPORT)
    )
}

fn failure(text: &[u8], port: u16, error: &io::Error) -> String {
    let name = String::from_utf8_lossy(text);
    let name = name.strip_prefix('-').unwrap_or(&name);
    let step = if error.raw_os_error().is_some() {
        "bind: "
    } else {
        ""
    };
    let reason = crate::config::os_error_text(error);
    format!("Could not create server TCP listening socket {name}:{port}: {step}{reason}")
}

fn listen_on(address: SocketAddr, backlog: i32) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Options of an accepted connection: no delay, and keepalive probes when
/// `keepalive_s` is not 0.
pub fn prepare(stream: &Stream, keepalive_s: u32) {
    let Stream::Tcp(tcp) = stream else { return };
    // A connection that ends meanwhile is noticed when it is read.
    let _ = tcp.set_nodelay(true);
    if keepalive_s > 0 {
        let every = Duration::from_secs(u64::from(keepalive_s));
        let probes = TcpKeepalive::new()
            .with_time(every)
            .with_interval((every / 3).max(Duration::from_secs(1)))
            .with_retries(3);
        let _ = SockRef::from(tcp).set_tcp_keepalive(&probes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    fn addresses(names: &[&str]) -> Vec<Vec<u8>> {
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }

    fn free_port() -> u16 {
        let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        probe.local_addr().unwrap().port()
    }

    #[test]
    fn a_failed_change_leaves_the_old_sockets() {
        let mut listening = Listening::new(16);
        let port = free_port();
        let local = addresses(&["127.0.0.1"]);
        listening.bind(&local, port).unwrap();
        // The address is another machine's.
        let error = listening
            .bind(&addresses(&["*", "203.0.113.1"]), port)
            .unwrap_err();
        assert!(error.contains("203.0.113.1"), "{error}");
        TcpStream::connect(("127.0.0.1", port)).unwrap();
        assert_eq!(listening.tcp.len(), 1);
        // From one address to all and back, on the same port.
        listening.bind(&addresses(&["*", "-::*"]), port).unwrap();
        TcpStream::connect(("127.0.0.1", port)).unwrap();
        listening.bind(&local, port).unwrap();
        TcpStream::connect(("127.0.0.1", port)).unwrap();
        let other = free_port();
        listening.bind(&local, other).unwrap();
        TcpStream::connect(("127.0.0.1", other)).unwrap();
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let error = listening
            .bind(&local, taken.local_addr().unwrap().port())
            .unwrap_err();
        assert!(error.ends_with("bind: Address already in use"), "{error}");
        TcpStream::connect(("127.0.0.1", other)).unwrap();
        listening.bind(&local, 0).unwrap();
        assert!(listening.is_empty());
    }
}
