//! Connections to other servers that a command waits on (MIGRATE).
//!
//! This is the one exception from the rule that handlers do no I/O: while keys
//! are handed over, neither server may do anything else with them, so MIGRATE
//! stops this server until the other has answered, at most for the time that
//! it is given. Where the connections come from is the start-up's business:
//! see `hooks`. Those in use are kept for a while, since keys are mostly
//! migrated one after the other to the same place.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

/// Most connections that are kept.
const KEPT_MAX: usize = 64;
/// How long one is kept that is not used, seconds.
const KEPT_S: i64 = 10;

/// A connection to another server.
pub trait Peer: Send {
    /// Sends all bytes, each 64 KB of them within `timeout`.
    ///
    /// # Errors
    /// Of the connection; `TimedOut` when it took too long, here and below.
    fn send(&mut self, bytes: &[u8], timeout: Duration) -> io::Result<()>;

    /// The next line that is received within `timeout`, without its end; of a
    /// long one, the start.
    ///
    /// # Errors
    /// See [`Peer::send`]; `UnexpectedEof` when the other side has closed.
    fn read_line(&mut self, timeout: Duration) -> io::Result<Vec<u8>>;
}

/// Why there is no connection.
#[derive(Debug)]
pub enum DialError {
    /// The name of the host or the number of the port means nothing.
    NoAddress,
    /// Nobody there answers.
    NoAnswer,
}

/// Connects to host and port within a time.
pub type Dial = Box<dyn FnMut(&str, u16, Duration) -> Result<Box<dyn Peer>, DialError> + Send>;

/// A connection that is kept.
pub struct Kept {
    /// The connection.
    pub peer: Box<dyn Peer>,
    /// The database that was selected on it, if that is known.
    pub db: Option<i64>,
    used_s: i64,
}

/// The connections that are kept, by host and port as the client wrote them.
#[derive(Default)]
pub struct Peers {
    kept: HashMap<(Vec<u8>, Vec<u8>), Kept>,
}

impl Peers {
    /// Number of connections.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Takes the connection to a place out, if there is one.
    pub fn take(&mut self, host: &[u8], port: &[u8]) -> Option<Kept> {
        self.kept.remove(&(host.to_vec(), port.to_vec()))
    }

    /// Keeps a connection for further use; `now_s` is Unix time, seconds.
    pub fn keep(&mut self, host: &[u8], port: &[u8], kept: Kept, now_s: i64) {
        if self.kept.len() >= KEPT_MAX
            && let Some(any) = self.kept.keys().next().cloned()
        {
            self.kept.remove(&any);
        }
        let used_s = now_s;
        let place = (host.to_vec(), port.to_vec());
        self.kept.insert(place, Kept { used_s, ..kept });
    }

    /// Closes what was not used for a while.
    pub fn close_unused(&mut self, now_s: i64) {
        self.kept.retain(|_, kept| now_s - kept.used_s <= KEPT_S);
    }
}

impl Kept {
    /// A connection just made.
    pub fn new(peer: Box<dyn Peer>) -> Kept {
        Kept {
            peer,
            db: None,
            used_s: 0,
        }
    }
}
