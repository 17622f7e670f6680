//! Listening sockets and the options of connections.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::io::{Listener, Stream};

/// One address of `bind`; a leading `-` makes it optional.
struct Address {
    ip: IpAddr,
    optional: bool,
    printed: String,
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
    Ok(Address {
        ip,
        optional,
        printed: name.to_owned(),
    })
}

/// Listens on all addresses of `bind`. Optional ones may fail, and so may
/// IPv6 where the system has none; no address at all means all of IPv4 and,
/// if there is one, of IPv6.
///
/// # Errors
/// The text for the log, of the first address that fails.
pub fn tcp(bind: &[Vec<u8>], port: u16, backlog: i32) -> Result<Vec<Listener>, String> {
    if port == 0 {
        return Ok(Vec::new());
    }
    let mut listeners = Vec::new();
    for text in bind {
        let text = &*String::from_utf8_lossy(text);
        let failure = |name: &str, error: &io::Error| {
            format!("Could not create server TCP listening socket {name}:{port}: {error}")
        };
        let address = match resolve(text) {
            Ok(address) => address,
            Err(_) if text.starts_with('-') => continue,
            Err(error) => return Err(failure(text, &error)),
        };
        match listen_on(SocketAddr::new(address.ip, port), backlog) {
            Ok(listener) => listeners.push(listener),
            Err(error) => {
                let text = failure(&address.printed, &error);
                tracing::warn!("Warning: {}", described(&text, &error));
                let absent = matches!(
                    error.raw_os_error(),
                    Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL | libc::EPROTONOSUPPORT)
                );
                if !(address.optional && absent) {
                    return Err(text);
                }
            }
        }
    }
    Ok(listeners)
}

fn described(text: &str, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::AddrInUse {
        format!("{text}: bind: Address already in use")
    } else {
        text.to_owned()
    }
}

fn listen_on(address: SocketAddr, backlog: i32) -> io::Result<Listener> {
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
    Ok(Listener::Tcp(mio::net::TcpListener::from_std(
        socket.into(),
    )))
}

/// Listens on a unix socket; a file left by a dead server is replaced. The
/// socket never exists with wider permissions than `mode` (0: by the umask).
///
/// # Errors
/// Of the system.
pub fn unix(path: &str, mode: u32, backlog: i32) -> io::Result<Listener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let bound = {
        let _umask = (mode != 0).then(|| super::system::Umask::set(0o777 & !mode));
        socket.bind(&socket2::SockAddr::unix(path)?)
    };
    bound?;
    if mode != 0 {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    let listener = std::os::unix::net::UnixListener::from(std::os::fd::OwnedFd::from(socket));
    Ok(Listener::Unix(
        mio::net::UnixListener::from_std(listener),
        path.to_owned(),
    ))
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
