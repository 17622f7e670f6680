//! The whole state of a server.

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::aof::Aof;
use super::blocking::Waiting;
use super::client::{ClientId, Pause};
use super::clients::Clients;
use super::functions::Functions;
use super::hooks::Hooks;
use super::journal::Journal;
use super::peers::Peers;
use super::pubsub::PubSub;
use super::saving::Saving;
use super::scripts::Scripts;
use super::shutdown::Signalled;
use super::tracking::Tracking;
use super::transactions::Watchers;
use crate::acl::{AclLog, Users};
use crate::command::ctx::Propagation;
use crate::command::registry::Registry;
use crate::config::{Config, MaxmemoryPolicy};
use crate::keyspace::Keyspace;
use crate::keyspace::evict::Evictor;
use crate::resp::Reply;
use crate::stats::Stats;
use crate::util::clock::Clock;

/// CLIENT PAUSE in force.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PauseState {
    /// What is held back.
    pub what: Pause,
    /// Until when, Unix milliseconds.
    pub until_ms: i64,
}

/// A wish to stop the server.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ShutdownRequest {
    /// Do not save, whatever the configuration says.
    pub nosave: bool,
    /// Save even without save points.
    pub save: bool,
    /// Do not wait for replicas.
    pub now: bool,
    /// Stop even where something cannot be done properly.
    pub force: bool,
}

/// How far stopping has come.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum ShutdownState {
    /// Running.
    #[default]
    None,
    /// Every loop ends now, with this exit code.
    Exit(i32),
}

/// A server: what commands execute on.
pub struct Server {
    /// Directives.
    pub config: Config,
    /// The command table.
    pub registry: Registry,
    /// All keys.
    pub keyspace: Keyspace,
    /// Connected clients.
    pub clients: Clients,
    /// Clients that wait for keys.
    pub waiting: Waiting,
    /// Who watches which keys.
    pub watchers: Watchers,
    /// Who has subscribed to what.
    pub pubsub: PubSub,
    /// Who may have which keys in a cache.
    pub tracking: Tracking,
    /// The client whose request is being executed.
    pub executing: Option<ClientId>,
    /// The time of the running commands does not go on: they count as one.
    pub time_stands: bool,
    /// Users.
    pub users: Users,
    /// Who was refused what.
    pub acl_log: AclLog,
    /// Counters, slow log, latency.
    pub stats: Stats,
    /// Time.
    pub clock: Clock,
    /// When the running command began, clock nanoseconds.
    pub now_ns: u64,
    /// Randomness.
    pub rng: SmallRng,
    /// 40 hex digits that name this run.
    pub run_id: String,
    /// 40 hex digits that name the history of this data set.
    pub replication_id: String,
    /// Scripts.
    pub scripts: Scripts,
    /// Libraries of functions.
    pub functions: Functions,
    /// CLIENT PAUSE.
    pub pause: Option<PauseState>,
    /// What is being saved.
    pub saving: Saving,
    /// Chooses keys to evict.
    pub evictor: Evictor,
    /// The policy that its candidates were chosen by.
    pub evictor_policy: MaxmemoryPolicy,
    /// Memory is full, and nothing may go.
    pub out_of_memory: bool,
    /// Keys are still to be evicted, a few at a time.
    pub evicting: bool,
    /// Stopping.
    pub shutdown: ShutdownState,
    /// Stopping soon, by a signal.
    pub signalled: Signalled,
    /// Command, as the crash report and the watchdog name it.
    pub running: Option<crate::command::registry::CommandId>,
    /// What is done in the process around the engine.
    pub hooks: Hooks,
    /// Connections to other servers that are kept.
    pub peers: Peers,
    /// What DEBUG switched.
    pub debug: DebugSwitches,
    /// The append-only file.
    pub aof: Aof,
    /// What is to be repeated by others.
    pub journal: Journal,
    /// How the running command propagates.
    pub propagation: Propagation,
    /// The file that the configuration came from, absolute.
    pub config_file: Option<std::path::PathBuf>,
    /// The name the server was started by (argv[0]).
    pub executable: String,
    /// Unix time of the start, microseconds.
    pub started_unix_us: i64,
    /// Arguments of the running command that logs must not show.
    pub redact: Vec<usize>,
    /// When an attack by HTTP was last logged, clock nanoseconds.
    pub http_logged_ns: Option<u64>,
}

/// Switches of DEBUG, for tests.
#[derive(Clone, Debug)]
pub struct DebugSwitches {
    /// Active expiry runs.
    pub active_expire: bool,
    /// Cron does its work.
    pub cron: bool,
    /// Reply buffers are resized.
    pub reply_resizing: bool,
    /// Period of that, milliseconds; none: never.
    pub reply_peak_reset_ms: Option<u64>,
}

impl Default for DebugSwitches {
    fn default() -> DebugSwitches {
        DebugSwitches {
            active_expire: true,
            cron: true,
            reply_resizing: true,
            reply_peak_reset_ms: Some(5000),
        }
    }
}

impl Server {
    /// A server without clients and keys.
    pub fn new(config: Config, registry: Registry, io_threads: usize) -> Server {
        let mut rng = SmallRng::from_rng(&mut rand::rng());
        let run_id = random_hex(&mut rng, 40);
        let replication_id = random_hex(&mut rng, 40);
        let mut clock = Clock::default();
        let started_unix_us = clock.unix_us(0);
        let mut stats = Stats::new(registry.len());
        // Redis: a server that never saved counts as saved when it started.
        stats.persistence.last_save_s = started_unix_us / 1_000_000;
        let users = Users::new(&super::access::terms(&registry, &config));
        let keyspace = Keyspace::new(config.databases as usize);
        let mut server = Server {
            keyspace,
            clients: Clients::new(io_threads),
            waiting: Waiting::default(),
            watchers: Watchers::default(),
            pubsub: PubSub::default(),
            tracking: Tracking::default(),
            executing: None,
            time_stands: false,
            users,
            acl_log: AclLog::default(),
            stats,
            now_ns: clock.now_ns(),
            clock,
            rng,
            run_id,
            replication_id,
            scripts: Scripts::default(),
            functions: Functions::default(),
            pause: None,
            saving: Saving::default(),
            evictor: Evictor::default(),
            evictor_policy: config.maxmemory_policy,
            out_of_memory: false,
            evicting: false,
            shutdown: ShutdownState::None,
            signalled: Signalled::default(),
            running: None,
            hooks: Hooks::default(),
            peers: Peers::default(),
            debug: DebugSwitches::default(),
            aof: Aof::default(),
            journal: Journal::default(),
            propagation: Propagation::default(),
            config_file: None,
            executable: String::new(),
            started_unix_us,
            redact: Vec::new(),
            http_logged_ns: None,
            config,
            registry,
        };
        server.follow_config();
        server
    }

    /// A writer to a client's output.
    ///
    /// # Panics
    /// When the client is gone: handlers are only run for clients that exist.
    pub fn reply(&mut self, client: ClientId) -> Reply<'_> {
        let client = self.client(client);
        Reply::new(&mut client.output, client.resp3)
    }

    /// The client that a handler runs for.
    ///
    /// # Panics
    /// As [`Server::reply`].
    pub fn client(&mut self, client: ClientId) -> &mut super::Client {
        self.clients
            .get_mut(client)
            .expect("the running command's client")
    }

    /// Unix time now, milliseconds (`now_ns` as Unix time).
    pub fn clock_unix_ms(&self) -> i64 {
        self.clock.unix_us(self.now_ns) / 1000
    }

    /// The line of CLIENT LIST about a client.
    pub fn describe_client(&self, id: ClientId) -> String {
        self.clients
            .get(id)
            .map_or_else(String::new, |client| super::describe::line(self, client))
    }

    /// Unix time of the running command, milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.keyspace.now_ms
    }
}

/// Random hexadecimal digits.
pub fn random_hex(rng: &mut SmallRng, digits: usize) -> String {
    use rand::Rng;
    (0..digits)
        .map(|_| char::from_digit(rng.random_range(0..16), 16).unwrap_or('0'))
        .collect()
}
