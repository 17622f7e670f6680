//! Connections to other servers that the engine waits on: see
//! [`crate::engine::peers`].

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::engine::peers::{DialError, Peer};

/// Bytes that are sent within one timeout.
const CHUNK_BYTES: usize = 64 * 1024;
/// Bytes of a line that are kept (Redis: 1023).
const LINE_BYTES_MAX: usize = 1023;
/// Least time that the system is asked to wait: zero would mean for ever.
const WAIT_MIN: Duration = Duration::from_millis(10);

/// A TCP connection.
struct TcpPeer {
    stream: TcpStream,
    received: Vec<u8>,
}

/// Connects to host and port within a time.
///
/// # Errors
/// See [`DialError`].
pub fn dial(host: &str, port: u16, timeout: Duration) -> Result<Box<dyn Peer>, DialError> {
    let until = Deadline::after(timeout);
    // Redis: the empty name is no host, though the resolver may know it.
    let named = !host.is_empty();
    let addresses = (host, port).to_socket_addrs().ok().filter(|_| named);
    for address in addresses.ok_or(DialError::NoAddress)? {
        let Ok(left) = until.left() else {
            break;
        };
        if let Ok(stream) = TcpStream::connect_timeout(&address, left) {
            // Only a matter of speed.
            let _ = stream.set_nodelay(true);
            let received = Vec::new();
            return Ok(Box::new(TcpPeer { stream, received }));
        }
    }
    Err(DialError::NoAnswer)
}

/// The end of a timeout.
struct Deadline(Option<Instant>);

impl Deadline {
    fn after(timeout: Duration) -> Deadline {
        // A time beyond what the clock can tell never comes.
        Deadline(Instant::now().checked_add(timeout))
    }

    /// What is left of it.
    fn left(&self) -> io::Result<Duration> {
        let Some(until) = self.0 else {
            return Ok(Duration::from_secs(u64::from(u32::MAX)));
        };
        match until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(ErrorKind::TimedOut.into()),
            left => Ok(left.max(WAIT_MIN)),
        }
    }
}

/// The result of a call that gave up after the time that it was given.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock => ErrorKind::TimedOut.into(),
        _ => error,
    }
}

impl Peer for TcpPeer {
    fn send(&mut self, bytes: &[u8], timeout: Duration) -> io::Result<()> {
        for mut chunk in bytes.chunks(CHUNK_BYTES) {
            let until = Deadline::after(timeout);
            while !chunk.is_empty() {
                self.stream.set_write_timeout(Some(until.left()?))?;
                match self.stream.write(chunk) {
                    Ok(sent) => chunk = &chunk[sent..],
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(timed_out(error)),
                }
            }
        }
        Ok(())
    }

    fn read_line(&mut self, timeout: Duration) -> io::Result<Vec<u8>> {
        let until = Deadline::after(timeout);
        let mut line = Vec::new();
        loop {
            let end = self.received.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(self.received.len(), |end| end + 1);
            let room = LINE_BYTES_MAX.saturating_sub(line.len());
            line.extend(self.received.drain(..taken).take(room));
            if end.is_some() {
                while let Some(b'\n' | b'\r') = line.last() {
                    line.pop();
                }
                return Ok(line);
            }
            let mut buf = [0; 4096];
            self.stream.set_read_timeout(Some(until.left()?))?;
            match self.stream.read(&mut buf) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.received.extend_from_slice(&buf[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(timed_out(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(30);

    fn pair() -> (Box<dyn Peer>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let peer = dial("127.0.0.1", port, LONG).unwrap();
        (peer, listener.accept().unwrap().0)
    }

    #[test]
    fn lines_come_in_any_pieces() {
        let (mut peer, mut other) = pair();
        other.write_all(b"+OK\r\n-ERR").unwrap();
        assert_eq!(peer.read_line(LONG).unwrap(), b"+OK");
        let error = peer.read_line(SHORT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        other.write_all(&[b'x'; 5000]).unwrap();
        other.write_all(b"\n+2\n").unwrap();
        assert_eq!(peer.read_line(LONG).unwrap(), [b'x'; LINE_BYTES_MAX]);
        assert_eq!(peer.read_line(LONG).unwrap(), b"+2");
        drop(other);
        let error = peer.read_line(LONG).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn who_does_not_read_is_not_waited_for() {
        let (mut peer, other) = pair();
        let error = peer.send(&vec![0; 64 << 20], SHORT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        drop(other);
    }

    #[test]
    fn nobody_is_found_where_nobody_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert!(matches!(
            dial("127.0.0.1", port, LONG),
            Err(DialError::NoAnswer)
        ));
        assert!(matches!(dial("", port, LONG), Err(DialError::NoAddress)));
    }
}
