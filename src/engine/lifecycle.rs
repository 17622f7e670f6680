//! Clients coming and going, and CLIENT PAUSE.

use super::client::{ClientId, Flags, Pause, RawClient};
use super::server::{PauseState, Server};

const PROTECTED_MODE: &str = "-DENIED Redis is running in protected mode because protected mode is \
enabled and no password is set for the default user. In this mode connections are only accepted \
from the loopback interface. If you want to connect from external computers to Redis you may adopt \
one of the following solutions: 1) Just disable protected mode sending the command 'CONFIG SET \
protected-mode no' from the loopback interface by connecting to Redis from the same host the server \
is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use \
CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected \
mode by editing the Redis configuration file, and setting the protected mode option to 'no', and \
then restarting the server. 3) If you started the server manually just for testing, restart it with \
the '--protected-mode no' option. 4) Setup a an authentication password for the default user. NOTE: \
You only need to do one of the above things in order for the server to start accepting connections \
from the outside.\r\n";

impl Server {
    /// Why a new connection is not served: the error to send it. Counts it
    /// either way.
    pub fn refuse_connection(&mut self, loopback: bool) -> Option<&'static str> {
        if self.clients.len() >= self.config.maxclients as usize {
            self.stats.connections_rejected += 1;
            return Some("-ERR max number of clients reached\r\n");
        }
        if self.config.protected_mode && self.users.open_to_all() && !loopback {
            self.stats.connections_rejected += 1;
            return Some(PROTECTED_MODE);
        }
        None
    }

    /// A new client, logged in when the default user needs no password.
    pub fn add_client(&mut self, raw: RawClient) -> ClientId {
        self.stats.connections_received += 1;
        let id = self.clients.add(raw, self.now_ns);
        let authenticated = self.users.open_to_all();
        self.client(id).authenticated = authenticated;
        tracing::trace!("Accepted {}", self.client(id).raw.addr);
        id
    }

    /// Forgets a client whose connection is gone.
    pub fn forget_client(&mut self, id: ClientId) {
        if let Some(client) = self.clients.remove(id)
            && client.flags.has(Flags::PAUSED | Flags::BLOCKED)
        {
            self.clients.blocked -= 1;
        }
    }

    /// CONFIG RESETSTAT.
    pub fn reset_stats(&mut self) {
        self.stats.reset();
        self.keyspace.stats = Default::default();
        self.keyspace.lazyfree.reset_stats();
    }

    /// Holds commands back until a time, Unix milliseconds. A pause in force
    /// is only ever made longer and stricter.
    pub fn begin_pause(&mut self, what: Pause, until_ms: i64) {
        let old = self.pause.unwrap_or(PauseState { what, until_ms });
        let what = if what > old.what { what } else { old.what };
        self.pause = Some(PauseState {
            what,
            until_ms: until_ms.max(old.until_ms),
        });
    }

    /// Ends CLIENT PAUSE; the waiting clients go on.
    pub fn end_pause(&mut self) {
        self.pause = None;
        for id in std::mem::take(&mut self.clients.paused) {
            if let Some(client) = self.clients.get_mut(id) {
                client.flags.set(Flags::PAUSED, false);
                self.clients.blocked -= 1;
                self.clients.schedule(id);
            }
        }
    }

    /// Ends CLIENT PAUSE when its time is over.
    pub fn check_pause(&mut self) {
        if self
            .pause
            .is_some_and(|pause| self.clock_unix_ms() >= pause.until_ms)
        {
            self.end_pause();
        }
    }

    /// Whether a client that had to wait may go on.
    pub fn is_resumed(&self, id: ClientId) -> bool {
        self.clients
            .get(id)
            .is_none_or(|client| !client.flags.has(Flags::PAUSED | Flags::BLOCKED))
    }
}
