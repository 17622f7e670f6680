//! Start-up and end of the process, in the order that tools and supervisors
//! know from Redis.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Weak};

use super::cron::Cron;
use super::daemon::{self, Environment, PidFile, Supervisor};
use super::io::{DiskAlarm, Reactor, Shared};
use super::listen::Listening;
use super::log::{self, Destination, Role};
use super::oom::OomScore;
use super::title::Title;
use super::{crash, loading, peer, signals, system, tools};
use crate::acl::{self, Terms};
use crate::command::registry::Registry;
use crate::config::{Arguments, Config, Effect, Host, LoadError, Refusal};
use crate::engine::hooks::{Action, Hooks};
use crate::engine::{Server, ShutdownState};
use crate::exec::replay;
use crate::stats::memory::allocator_name;
use crate::util::collate;
use crate::version::{REDIS_VERSION, REDSTART_VERSION};

/// Descriptors beside those of clients: log, listening sockets, pipes.
const RESERVED_FILES: u64 = 32;
/// Watchdog periods are at least this many turns of cron.
const WATCHDOG_TURNS_MIN: u64 = 2;

/// A limit of memory below which somebody may have forgotten the unit, bytes.
const MAXMEMORY_DOUBTFUL: u64 = 1024 * 1024;

/// Why the server does not start; logged, then exit code 1.
type Fatal = String;

/// Runs the program: `args` are its name and arguments.
pub fn main(args: Vec<OsString>) -> ExitCode {
    if let Some(code) = tools::run(&args) {
        return code;
    }
    collate::follow_environment();
    log::install();
    let dir = match std::env::current_dir() {
        Ok(dir) => dir,
        Err(error) => {
            tracing::warn!("Can't find the working directory: {error}");
            return ExitCode::FAILURE;
        }
    };
    let arguments = Arguments::parse(&args, &dir);
    if let Some(meta) = &arguments.meta {
        let answer = meta.answer(REDIS_VERSION, allocator_name());
        return printed(answer.stdout.as_bytes(), answer.stderr.as_bytes())
            .and_then(|()| u8::try_from(answer.exit_code).map_err(io::Error::other))
            .map_or(ExitCode::FAILURE, ExitCode::from);
    }
    let started = read_config(arguments).and_then(|(config, registry)| {
        Program {
            executable: executable(&args, &dir),
            args,
        }
        .run(config, registry)
    });
    let code = started.unwrap_or_else(|reason| {
        if !reason.is_empty() {
            tracing::warn!("{reason}");
        }
        1
    });
    log::flush();
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Starts or stops the threads that give unused memory back.
fn allocator_threads(on: bool) {
    if let Err(error) = tikv_jemalloc_ctl::background_thread::write(on) {
        tracing::warn!("Can't switch the allocator's background threads: {error}");
    }
}

fn printed(stdout: &[u8], stderr: &[u8]) -> io::Result<()> {
    io::stdout().write_all(stdout)?;
    io::stderr().write_all(stderr)
}

/// The program's file, absolute: what `argv[0]` names, through PATH if need be.
fn executable(args: &[OsString], dir: &Path) -> PathBuf {
    let name = args.first().map(Path::new).unwrap_or(Path::new(""));
    if name.as_os_str().as_bytes().contains(&b'/') {
        return dir.join(name);
    }
    std::env::current_exe().unwrap_or_else(|_| name.to_owned())
}

/// What reading the configuration needs of the command table.
struct Names {
    registry: Registry,
    users: HashSet<Vec<u8>>,
}

impl Host for Names {
    fn rename_command(&mut self, from: &[u8], to: &[u8]) -> Result<(), Refusal> {
        self.registry
            .rename(from, to)
            .map_err(|error| error.to_string().into())
    }

    fn user(&mut self, words: &[Vec<u8>]) -> Result<(), (usize, String)> {
        let is_new = words
            .first()
            .is_some_and(|name| self.users.insert(name.clone()));
        if !is_new {
            let reason = "Duplicate user found. A user can only be defined once in config files";
            return Err((0, reason.into()));
        }
        let terms = Terms {
            catalog: &self.registry,
            all_channels: false,
        };
        acl::check_configured(&terms, words)
    }
}

fn read_config(arguments: Arguments) -> Result<(Config, Registry), Fatal> {
    let registry = Registry::new(crate::commands::FAMILIES).map_err(|error| error.to_string())?;
    let mut names = Names {
        registry,
        users: HashSet::new(),
    };
    let sources = arguments
        .sources(io::stdin().lock())
        .map_err(|error| format!("Can't read standard input: {error}"))?;
    match Config::load(&sources, &mut names) {
        Ok(config) => Ok((config, names.registry)),
        Err(error @ LoadError::Open { .. }) => {
            let report = error.report(REDIS_VERSION);
            Err(String::from_utf8_lossy(&report).trim_end().to_owned())
        }
        Err(error) => {
            let report = error.report(REDIS_VERSION);
            // Nowhere else to say it.
            let _ = io::stderr().write_all(&report);
            Err(String::new())
        }
    }
}

/// What is asked for and not there yet: better no server than one whose users
/// believe in it.
fn refuse_missing(config: &Config) -> Result<(), Fatal> {
    let missing: [(bool, &str, &str); 4] = [
        (
            config.replicaof.is_some(),
            "replicaof",
            "nothing would be replicated",
        ),
        (
            config.cluster_enabled,
            "cluster-enabled yes",
            "there would be no cluster",
        ),
        (
            config.tls_port != 0,
            "tls-port",
            "connections would not be encrypted",
        ),
        (
            !config.modules.is_empty(),
            "loadmodule",
            "its commands would not be there",
        ),
    ];
    for (asked, directive, consequence) in missing {
        if asked {
            return Err(format!(
                "Fatal: '{directive}' is not supported by this version ({consequence}). Take it \
                 out of the configuration to start the server without."
            ));
        }
    }
    Ok(())
}

/// The program as it was called.
struct Program {
    args: Vec<OsString>,
    executable: PathBuf,
}

impl Program {
    /// The name in messages: `Redis` when started as redis-server.
    fn name(&self) -> &'static str {
        let called = self.args.first().map(Path::new).and_then(Path::file_name);
        let as_redis = called.is_some_and(|name| name.as_bytes().starts_with(b"redis-"));
        if as_redis { "Redis" } else { "Redstart" }
    }

    /// From the configuration to the exit code.
    fn run(self, mut config: Config, registry: Registry) -> Result<i32, Fatal> {
        log::set_level(config.loglevel);
        log::set_destination(destination(&config));
        let (supervisor, warning) = Supervisor::find(config.supervised, &Environment::read());
        let in_background = config.daemonize && supervisor == Supervisor::None;
        if in_background {
            system::background()
                .map_err(|error| format!("Can't go into the background: {error}"))?;
        }
        // After a fork they are gone, whatever the allocator was told before.
        allocator_threads(config.jemalloc_bg_thread);
        if supervisor != Supervisor::None {
            config.supervised = supervisor.mode();
        }
        self.greet();
        if let Some(warning) = warning {
            tracing::warn!("{warning}");
        }
        if let Supervisor::Systemd(_) = supervisor {
            tracing::info!(
                "supervised by systemd. Please make sure you set appropriate values for TimeoutStartSec and TimeoutStopSec in your service unit."
            );
        }
        refuse_missing(&config)?;
        system::ignore_signals();
        crash::protect_thread();
        crash::configure(config.crash_log_enabled, config.use_exit_on_panic);
        log::set_role(Role::Master);
        config.maxclients = allow_files(config.maxclients)?;
        if (1..MAXMEMORY_DOUBTFUL).contains(&config.maxmemory_bytes) {
            tracing::warn!(
                "WARNING: You specified a maxmemory value that is less than 1MB (current value is \
                 {} bytes). Are you sure this is what you really want?",
                config.maxmemory_bytes
            );
        }
        crate::stats::used::correct();
        let listening = open_sockets(&config)?;
        let title_name = self.args.first().map_or(&b""[..], |name| name.as_bytes());
        let mut title = Title::take(&config, title_name);
        let pid_file = PidFile::write(&config, in_background);
        title.show(&config);
        self.announce(&config);
        check_backlog(config.tcp_backlog);
        log::start_writer().map_err(|error| format!("Can't start the log's thread: {error}"))?;
        let socket = unix_socket(&config);
        let name = self.name();
        let code = self.serve(config, registry, listening, title, &supervisor)?;
        if let Some(pid_file) = pid_file {
            pid_file.remove();
        }
        if let Some(socket) = socket {
            tracing::info!("Removing the unix socket file.");
            if let Err(error) = std::fs::remove_file(socket) {
                tracing::warn!("Can't remove the unix socket file: {error}");
            }
        }
        tracing::warn!("{name} is now ready to exit, bye bye...");
        Ok(code)
    }

    fn greet(&self) {
        let name = self.name();
        tracing::warn!("oO0OoO0OoO0Oo {name} is starting oO0OoO0OoO0Oo");
        tracing::warn!(
            "{name} version={REDIS_VERSION}, bits={}, redstart={}, pid={}, just started",
            usize::BITS,
            REDSTART_VERSION,
            std::process::id(),
        );
        if self.args.len() == 1 {
            tracing::warn!(
                "Warning: no config file specified, using the default config. In order to \
                 specify a config file use {} /path/to/redis.conf",
                self.args
                    .first()
                    .map(OsString::as_os_str)
                    .unwrap_or_default()
                    .display()
            );
        } else {
            tracing::warn!("Configuration loaded");
        }
    }

    /// The logo where somebody looks at it, else a line.
    fn announce(&self, config: &Config) {
        let mode = if config.cluster_enabled {
            "cluster"
        } else {
            "standalone"
        };
        let to_terminal =
            !config.syslog_enabled && config.logfile.is_empty() && io::stdout().is_terminal();
        if !to_terminal && !config.always_show_logo {
            tracing::info!("Running mode={mode}, port={}.", config.port);
            return;
        }
        let pid = std::process::id();
        log::raw_notice(&format!(
            r"
          .
     . '  |  ' .       Redstart {version}, speaks as Redis {REDIS_VERSION}, {bits} bit
   '   \  |  /   '
  - - -  (o)> - - -    Running in {mode} mode
   .   /  )\  \  .     Port: {port}
     . ' /_/)'  .      PID: {pid}
         ^ ^ \\

",
            version = REDSTART_VERSION,
            bits = usize::BITS,
            port = config.port,
        ));
    }

    /// Runs until the end; gives the exit code.
    fn serve(
        self,
        config: Config,
        registry: Registry,
        mut listening: Listening,
        mut title: Title,
        supervisor: &Supervisor,
    ) -> Result<i32, Fatal> {
        let failed = |error: io::Error| format!("Fatal error: {error}");
        let threads = config.io_threads.max(1) as usize;
        let mut oom_score = OomScore::default();
        // Redis: a score that cannot be set at start is only logged.
        let _ = oom_score.apply(&config);
        crash::set_watchdog(watchdog_ms(&config));
        let mut server = Server::new(config, registry, threads);
        crate::script::install(&mut server);
        server.executable = self.executable.to_string_lossy().into_owned();
        server.config_file = server.config.config_file.clone();
        server.load_configured_users()?;
        let listeners = listening.listeners().map_err(failed)?;
        let (shared, drivers) = Shared::new(server, threads).map_err(failed)?;
        shared.set_listeners(listeners);
        let weak = Arc::downgrade(&shared);
        {
            let mut server = shared.server.lock();
            server.hooks = Hooks {
                apply: Some(Box::new(move |config, effect| match effect {
                    Effect::Port | Effect::Bind => rebind(&mut listening, &weak, config, effect),
                    Effect::ProcTitle => {
                        title.show(config);
                        Ok(())
                    }
                    Effect::OomScore => oom_score.apply(config),
                    effect => apply(config, effect),
                })),
                act: Some(Box::new(move |_, action| match action {
                    Action::Restart => self.restart(),
                    action => crash::act(action),
                })),
                dial: Some(Box::new(peer::dial)),
                replay: Some(replay::reload_log),
                spawn: Some(background_threads(&shared)),
            };
            server.aof.alarm = Arc::new(DiskAlarm(Arc::downgrade(&shared)));
            crash::watch(&mut *server);
        }
        signals::listen(shared.clone()).map_err(failed)?;
        tracing::warn!("Server initialized");
        super::advice::give(&shared.server.lock().config);
        loading::begin(&shared)?;
        let mut reactors = Vec::new();
        for (index, driver) in drivers.into_iter().enumerate() {
            let cron = (index == 0).then(Cron::default);
            reactors.push(Reactor::new(shared.clone(), index, driver, cron));
        }
        let mut others = Vec::new();
        for (number, reactor) in reactors.split_off(1).into_iter().enumerate() {
            let thread = std::thread::Builder::new().name(format!("io_thd_{}", number + 1));
            let run = move || {
                crash::protect_thread();
                reactor.run()
            };
            others.push(thread.spawn(run).map_err(failed)?);
        }
        let first = reactors.pop().ok_or("no I/O thread")?;
        supervisor.ready();
        let result = first.run().map_err(failed);
        supervisor.tell("STOPPING=1\n");
        shared.wake_all();
        let mut code = result?;
        for other in others {
            if let Ok(Err(error)) = other.join() {
                tracing::warn!("An I/O thread failed: {error}");
                code = 1;
            }
        }
        if let ShutdownState::Exit(asked) = shared.server.lock().shutdown {
            code = code.max(asked);
        }
        Ok(code)
    }

    /// Starts the program anew in place of this one; only returns on failure.
    fn restart(&self) -> Result<(), String> {
        use std::os::unix::process::CommandExt;
        tracing::warn!("Restarting the server: {}", self.executable.display());
        log::flush();
        let mut command = std::process::Command::new(&self.executable);
        if let Some((name, args)) = self.args.split_first() {
            command.arg0(name).args(args);
        }
        let error = command.exec();
        tracing::warn!("Can't restart: {error}");
        Err("failed to restart the server. Check server logs.".into())
    }
}

/// Threads that take the engine's lock when they need it.
fn background_threads(shared: &Arc<Shared>) -> crate::engine::hooks::Spawn {
    let weak = Arc::downgrade(shared);
    Box::new(move |name, task| {
        let weak = weak.clone();
        let access = Box::new(
            move |run: &mut dyn FnMut(&mut Server)| match weak.upgrade() {
                Some(shared) => {
                    run(&mut shared.server.lock());
                    true
                }
                None => false,
            },
        );
        let thread = std::thread::Builder::new().name(name.into());
        let run = move || {
            crash::protect_thread();
            task(access);
        };
        thread
            .spawn(run)
            .map(drop)
            .map_err(|error| error.to_string())
    })
}

fn destination(config: &Config) -> Destination {
    let file = (!config.logfile.is_empty()).then(|| daemon::absolute(config, &config.logfile));
    let ident = String::from_utf8_lossy(&config.syslog_ident).into_owned();
    Destination {
        file,
        syslog: config
            .syslog_enabled
            .then_some((config.syslog_facility, ident)),
    }
}

fn unix_socket(config: &Config) -> Option<PathBuf> {
    (!config.unixsocket.is_empty()).then(|| daemon::absolute(config, &config.unixsocket))
}

fn open_sockets(config: &Config) -> Result<Listening, Fatal> {
    let mut listening = Listening::new(config.tcp_backlog);
    if let Err(reason) = listening.bind(&config.bind, config.port) {
        tracing::warn!("Warning: {reason}");
        return Err(format!(
            "Failed listening on port {} (TCP), aborting.",
            config.port
        ));
    }
    if let Some(path) = unix_socket(config) {
        listening.bind_unix(path, config.unixsocketperm)?;
    }
    if listening.is_empty() {
        return Err("Configured to not listen anywhere, exiting.".into());
    }
    Ok(listening)
}

fn rebind(
    listening: &mut Listening,
    shared: &Weak<Shared>,
    config: &Config,
    effect: Effect,
) -> Result<(), String> {
    let fresh = listening
        .bind(&config.bind, config.port)
        .and_then(|()| listening.listeners().map_err(|error| error.to_string()));
    match fresh {
        Ok(listeners) => {
            if let Some(shared) = shared.upgrade() {
                shared.set_listeners(listeners);
            }
            Ok(())
        }
        Err(reason) => {
            tracing::warn!("{reason}");
            Err(match effect {
                Effect::Port => "Unable to listen on this port. Check server logs.",
                _ => "Failed to bind to specified addresses.",
            }
            .into())
        }
    }
}

/// Effects of CONFIG SET that need nothing but the configuration.
fn apply(config: &Config, effect: Effect) -> Result<(), String> {
    match effect {
        Effect::CrashLog => crash::configure(config.crash_log_enabled, config.use_exit_on_panic),
        Effect::Watchdog => crash::set_watchdog(watchdog_ms(config)),
        Effect::AllocatorThreads => {
            allocator_threads(config.jemalloc_bg_thread);
        }
        Effect::MaxClients => {
            let possible = allow_files(config.maxclients)?;
            if possible < config.maxclients {
                return Err(format!(
                    "The operating system is not able to handle the specified number of \
                     clients, try with {possible}"
                ));
            }
        }
        _ => {}
    }
    Ok(())
}

fn watchdog_ms(config: &Config) -> u64 {
    let turn_ms = 1000 / config.hz.max(1) as u64;
    match config.watchdog_period_ms {
        0 => 0,
        period_ms => u64::from(period_ms).max(WATCHDOG_TURNS_MIN * turn_ms),
    }
}

/// Raises the limit of open files for this many clients; how many it allows.
fn allow_files(maxclients: u32) -> Result<u32, Fatal> {
    let wanted = u64::from(maxclients) + RESERVED_FILES;
    let (soft, hard) = match system::open_files() {
        Ok(limits) => limits,
        Err(error) => {
            tracing::warn!(
                "Unable to obtain the current NOFILE limit ({error}), assuming 1024 and setting \
                 the max clients configuration accordingly."
            );
            (1024, 1024)
        }
    };
    if soft >= wanted {
        return Ok(maxclients);
    }
    let Err(error) = system::set_open_files(wanted, hard.max(wanted)) else {
        tracing::info!(
            "Increased maximum number of open files to {wanted} (it was originally set to {soft})."
        );
        return Ok(maxclients);
    };
    let reached = match system::set_open_files(hard, hard) {
        Ok(()) if hard > soft => hard,
        _ => soft,
    };
    if reached >= wanted {
        return Ok(maxclients);
    }
    if reached <= RESERVED_FILES {
        return Err(format!(
            "Your current 'ulimit -n' of {reached} is not enough for the server to start. Please \
             increase your open file limit to at least {wanted}. Exiting."
        ));
    }
    let reason = crate::config::os_error_text(&error);
    let possible = u32::try_from(reached - RESERVED_FILES).unwrap_or(u32::MAX);
    tracing::warn!(
        "You requested maxclients of {maxclients} requiring at least {wanted} max file descriptors."
    );
    tracing::warn!(
        "Server can't set maximum open files to {wanted} because of OS error: {reason}."
    );
    tracing::warn!(
        "Current maximum open files is {reached}. maxclients has been reduced to {possible} to \
         compensate for low ulimit. If you need higher maxclients increase 'ulimit -n'."
    );
    Ok(possible)
}

/// The kernel caps the backlog silently; say so.
fn check_backlog(backlog: u32) {
    const FILE: &str = "/proc/sys/net/core/somaxconn";
    let somaxconn = std::fs::read_to_string(FILE)
        .ok()
        .and_then(|text| text.trim().parse::<u32>().ok());
    if let Some(somaxconn) = somaxconn
        && somaxconn > 0
        && somaxconn < backlog
    {
        tracing::warn!(
            "WARNING: The TCP backlog setting of {backlog} cannot be enforced because {FILE} is \
             set to the lower value of {somaxconn}."
        );
    }
}
