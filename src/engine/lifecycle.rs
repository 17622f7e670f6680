//! Clients coming and going, CLIENT PAUSE and CLIENT UNBLOCK.

use super::client::{ClientId, Closing, Flags, Pause, RawClient, Unblock};
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
        if self.config.protected_mode && self.users.default_needs_no_password() && !loopback {
            self.stats.connections_rejected += 1;
            return Some(PROTECTED_MODE);
        }
        None
    }

    /// A new client, logged in when the default user needs no password.
    pub fn add_client(&mut self, raw: RawClient) -> ClientId {
        self.stats.connections_received += 1;
        let user = self.users.default_user().clone();
        let id = self.clients.add(raw, user, self.now_ns);
        let authenticated = self.users.open_to_all();
        self.client(id).authenticated = authenticated;
        tracing::debug!("Accepted {}", self.client(id).raw.addr);
        id
    }

    /// Forgets a client whose connection is gone.
    pub fn forget_client(&mut self, id: ClientId) {
        // A script that has begun comes to its end, whoever waits for it.
        if let Some(paused) = &mut self.scripts.paused
            && paused.client == id
        {
            paused.client_gone = true;
            return;
        }
        self.waiting.remove(id);
        self.forget_tracking(id);
        let Some(mut client) = self.clients.remove(id) else {
            return;
        };
        if client.flags.has(Flags::PAUSED | Flags::BLOCKED) {
            self.clients.blocked -= 1;
        }
        let watched = std::mem::take(&mut client.watched);
        self.forget_watched(id, watched);
        self.drop_subscriptions(id, client.subscriptions.take());
    }

    /// Cuts a client off: it is as good as gone for all commands, though its
    /// I/O thread has still to close the socket.
    pub fn cut_off(&mut self, id: ClientId) {
        self.clients.close(id, Closing::Now);
        if let Some(client) = self.clients.get_mut(id) {
            let subscriptions = client.subscriptions.take();
            self.drop_subscriptions(id, subscriptions);
        }
        self.forget_tracking(id);
    }

    /// RESET: a client as if it had just connected, its number and library
    /// apart. A monitor stops being one.
    pub fn reset_client(&mut self, id: ClientId) {
        let authenticated = self.users.open_to_all();
        let user = self.users.default_user().clone();
        self.discard(id);
        self.untrack(id);
        let client = self.client(id);
        let subscriptions = client.subscriptions.take();
        let was_monitor = client.flags.has(Flags::MONITOR);
        let cleared = Flags::MONITOR
            | Flags::PUBSUB
            | Flags::READONLY
            | Flags::REPLY_OFF
            | Flags::REPLY_SKIP_NEXT
            | Flags::NO_TOUCH;
        client.flags.set(cleared, false);
        client.db = Default::default();
        client.resp3 = false;
        client.name.clear();
        client.user = user;
        client.authenticated = authenticated;
        if was_monitor {
            self.clients.monitors.retain(|monitor| *monitor != id);
        }
        self.drop_subscriptions(id, subscriptions);
    }

    /// Whether a client may run commands: it has logged in, or need not.
    #[inline]
    pub fn may_run_commands(&self, client: &super::Client) -> bool {
        client.authenticated || self.users.open_to_all()
    }

    /// Ends the wait of a blocked client; false when it does not wait (nor can
    /// a client be unblocked that only CLIENT PAUSE holds back).
    pub fn unblock_client(&mut self, id: ClientId, how: Unblock) -> bool {
        let blocked = self.waiting.get(id).is_some();
        if blocked {
            self.waiting.note_ended(id, how);
        }
        blocked
    }

    /// Cuts off a client that speaks HTTP: a browser made to talk to us by a
    /// page of an attacker. Logged once a minute at most.
    pub fn refuse_http(&mut self, id: ClientId) {
        const LOG_EVERY_NS: u64 = 60_000_000_000;
        let silent = |logged_ns: u64| self.now_ns.saturating_sub(logged_ns) < LOG_EVERY_NS;
        if !self.http_logged_ns.is_some_and(silent) {
            self.http_logged_ns = Some(self.now_ns);
            let from = self.clients.get(id).map_or("", |client| &client.raw.addr);
            tracing::warn!(
                "Possible SECURITY ATTACK detected. Somebody sends POST or Host: as commands, \
                 probably to have a web browser speak to this server (Cross Protocol Scripting). \
                 Connection from {from} aborted."
            );
        }
        self.cut_off(id);
    }

    /// CONFIG RESETSTAT.
    pub fn reset_stats(&mut self) {
        self.stats.reset();
        self.keyspace.stats = Default::default();
        self.keyspace.lazyfree.reset_stats();
        self.aof.delayed_syncs = 0;
    }

    /// Holds commands back until a time, Unix milliseconds. A pause in force
    /// is only ever made longer and stricter; one that is over at once ends.
    pub fn begin_pause(&mut self, what: Pause, until_ms: i64) {
        let old = self.pause.unwrap_or(PauseState { what, until_ms });
        let what = if what > old.what { what } else { old.what };
        self.pause = Some(PauseState {
            what,
            until_ms: until_ms.max(old.until_ms),
        });
        self.keyspace.paused = true;
        self.check_pause();
    }

    /// Ends CLIENT PAUSE; the waiting clients go on.
    pub fn end_pause(&mut self) {
        self.pause = None;
        self.keyspace.paused = false;
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
        self.clients.get(id).is_none_or(|client| {
            !client
                .flags
                .has(Flags::PAUSED | Flags::BLOCKED | Flags::IN_SCRIPT)
        })
    }
}
