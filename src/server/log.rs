//! The log: events of `tracing` as lines of Redis's form,
//! `PID:ROLE DD Mon YYYY HH:MM:SS.mmm LEVEL message`.
//!
//! Levels: `warn` is `#` (warning), `info` is `*` (notice), `debug` is `-`
//! (verbose), `trace` is `.` (debug). Once [`start_writer`] has been called, lines
//! are queued and a thread writes them, so that a slow terminal or disk does
//! not stop the engine; a full queue drops lines and says how many. The file
//! is opened for each write, so that it can be moved away at any time.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex, MutexGuard};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::system;
use crate::config::{LogLevel, SyslogFacility};

/// Most bytes that wait to be written.
const QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long the end of the process waits for the writer.
const FLUSH_MAX: Duration = Duration::from_secs(2);
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The letter after the process id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Role {
    /// Not serving yet.
    Starting = b'C',
    /// Serves as a master.
    Master = b'M',
}

/// Where lines go.
#[derive(Clone, Debug, Default)]
pub struct Destination {
    /// The file; none: standard output.
    pub file: Option<PathBuf>,
    /// Syslog beside it: facility and the name of the program.
    pub syslog: Option<(SyslogFacility, String)>,
}

struct Queue {
    lines: Vec<u8>,
    /// Lines for syslog with their level.
    syslog_lines: Vec<(Level, String)>,
    dropped: u64,
    /// A thread writes; until then whoever logs does.
    threaded: bool,
    /// The thread has taken lines and not written all of them yet.
    writing: bool,
}

struct Log {
    queue: Mutex<Queue>,
    filled: Condvar,
    emptied: Condvar,
    destination: Mutex<Destination>,
    syslog: Mutex<Option<Syslog>>,
}

static LOG: Log = Log {
    queue: Mutex::new(Queue {
        lines: Vec::new(),
        syslog_lines: Vec::new(),
        dropped: 0,
        threaded: false,
        writing: false,
    }),
    filled: Condvar::new(),
    emptied: Condvar::new(),
    destination: Mutex::new(Destination {
        file: None,
        syslog: None,
    }),
    syslog: Mutex::new(None),
};
static LEVEL: AtomicU8 = AtomicU8::new(LogLevel::Notice as u8);
static ROLE: AtomicU8 = AtomicU8::new(Role::Starting as u8);
/// The file's path for the crash report, which must not take locks.
static CRASH_FILE: OnceLock<std::ffi::CString> = OnceLock::new();

/// Sends the events of this crate to the log; does nothing the second time.
pub fn install() {
    let subscriber = tracing_subscriber::registry().with(Lines);
    // Refused when a test has installed another one.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// The least important events that are logged, from now on.
pub fn set_level(level: LogLevel) {
    if LEVEL.swap(level as u8, Relaxed) != level as u8 {
        tracing::callsite::rebuild_interest_cache();
    }
}

/// The letter of the lines, from now on.
pub fn set_role(role: Role) {
    ROLE.store(role as u8, Relaxed);
}

/// Where lines go, from now on (at start).
pub fn set_destination(destination: Destination) {
    if let Some(file) = &destination.file
        && let Ok(path) = std::ffi::CString::new(file.as_os_str().as_bytes())
    {
        // Set once: the log file cannot change while the server runs.
        let _ = CRASH_FILE.set(path);
    }
    let syslog = destination.syslog.clone();
    *LOG.destination.lock() = destination;
    *LOG.syslog.lock() =
        syslog.map(|(facility, ident)| Syslog::new(facility, ident, Path::new("/dev/log")));
}

/// The path of the log file as the system wants it; none: standard output.
pub(super) fn crash_file() -> Option<&'static std::ffi::CStr> {
    CRASH_FILE.get().map(|path| path.as_c_str())
}

/// From now on a thread writes.
///
/// # Errors
/// When there is no thread to be had.
pub fn start_writer() -> io::Result<()> {
    std::thread::Builder::new()
        .name("bio_log".into())
        .spawn(write_queue)?;
    LOG.queue.lock().threaded = true;
    Ok(())
}

/// Waits until everything is written, for a short time.
pub fn flush() {
    let mut queue = LOG.queue.lock();
    while queue.threaded && (queue.writing || !queue.lines.is_empty()) {
        if LOG.emptied.wait_for(&mut queue, FLUSH_MAX).timed_out() {
            return;
        }
    }
}

/// Writes text without a line's head, if notices are logged.
pub fn raw_notice(text: &str) {
    if LEVEL.load(Relaxed) <= LogLevel::Notice as u8 {
        raw(text);
    }
}

/// Writes text without a line's head.
pub fn raw(text: &str) {
    append(text.as_bytes(), Level::WARN, text.trim_end());
}

fn level_of(level: Level) -> LogLevel {
    match level {
        Level::ERROR | Level::WARN => LogLevel::Warning,
        Level::INFO => LogLevel::Notice,
        Level::DEBUG => LogLevel::Verbose,
        Level::TRACE => LogLevel::Debug,
    }
}

fn sign(level: Level) -> char {
    match level_of(level) {
        LogLevel::Warning => '#',
        LogLevel::Notice => '*',
        LogLevel::Verbose => '-',
        LogLevel::Debug => '.',
    }
}

/// The head of a line that is logged now.
fn head(level: Level) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let role = char::from(ROLE.load(Relaxed));
    let date = date(now.as_secs() as i64);
    let (pid, millis) = (std::process::id(), now.subsec_millis());
    format!("{pid}:{role} {date}.{millis:03} {} ", sign(level))
}

/// `DD Mon YYYY HH:MM:SS` in local time.
fn date(unix_s: i64) -> String {
    let time = system::local_time(unix_s);
    let (hour, minute, second) = time.time;
    let month = MONTHS[time.month];
    format!(
        "{:02} {month} {} {hour:02}:{minute:02}:{second:02}",
        time.day, time.year
    )
}

struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let level = LEVEL.load(Relaxed);
        Some(if level == LogLevel::Debug as u8 {
            LevelFilter::TRACE
        } else if level == LogLevel::Verbose as u8 {
            LevelFilter::DEBUG
        } else if level == LogLevel::Notice as u8 {
            LevelFilter::INFO
        } else {
            LevelFilter::WARN
        })
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        let mut line = head(level);
        let start = line.len();
        event.record(&mut Message(&mut line));
        line.push('\n');
        append(line.as_bytes(), level, &line[start..line.len() - 1]);
    }
}

impl Lines {
    /// Events of this crate, down to the level.
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("redstart")
            && level_of(*metadata.level()) as u8 >= LEVEL.load(Relaxed)
    }
}

/// Writes an event's message, and fields beside it as `name=value`.
struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = if field.name() == "message" {
            write!(self.0, "{value:?}")
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
    }
}

fn append(text: &[u8], level: Level, message: &str) {
    let to_syslog = LOG.syslog.lock().is_some();
    let mut queue = LOG.queue.lock();
    if queue.lines.len() + text.len() > QUEUE_BYTES_MAX {
        queue.dropped += 1;
        return;
    }
    queue.lines.extend_from_slice(text);
    if to_syslog {
        queue.syslog_lines.push((level, message.to_owned()));
    }
    if queue.threaded {
        LOG.filled.notify_one();
    } else {
        write_out(&mut queue);
    }
}

fn write_queue() {
    let mut queue = LOG.queue.lock();
    loop {
        while queue.lines.is_empty() {
            LOG.filled.wait(&mut queue);
        }
        queue.writing = true;
        write_out(&mut queue);
        queue.writing = false;
        LOG.emptied.notify_all();
    }
}

/// Takes what is queued and writes it, the queue being open meanwhile.
fn write_out(queue: &mut MutexGuard<'_, Queue>) {
    let mut lines = std::mem::take(&mut queue.lines);
    let syslog_lines = std::mem::take(&mut queue.syslog_lines);
    let dropped = std::mem::take(&mut queue.dropped);
    MutexGuard::unlocked(queue, || {
        if dropped > 0 {
            let text = format!("The log was too slow: {dropped} messages are missing here.\n");
            lines.extend_from_slice((head(Level::WARN) + &text).as_bytes());
        }
        // There is nobody to tell when the log itself cannot be written.
        let _ = write_lines(&lines);
        if let Some(syslog) = &mut *LOG.syslog.lock() {
            for (level, line) in &syslog_lines {
                syslog.send(*level, line);
            }
        }
    });
}

fn write_lines(lines: &[u8]) -> io::Result<()> {
    let file = LOG.destination.lock().file.clone();
    match file {
        None => {
            let mut out = io::stdout().lock();
            out.write_all(lines)?;
            out.flush()
        }
        Some(file) => std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(file)?
            .write_all(lines),
    }
}

/// The system's log, spoken to in its own words (RFC 3164).
struct Syslog {
    facility: u32,
    ident: String,
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl Syslog {
    fn new(facility: SyslogFacility, ident: String, path: &Path) -> Syslog {
        let facility = match facility {
            SyslogFacility::User => 1,
            SyslogFacility::Local0 => 16,
            SyslogFacility::Local1 => 17,
            SyslogFacility::Local2 => 18,
            SyslogFacility::Local3 => 19,
            SyslogFacility::Local4 => 20,
            SyslogFacility::Local5 => 21,
            SyslogFacility::Local6 => 22,
            SyslogFacility::Local7 => 23,
        };
        Syslog {
            facility,
            ident,
            path: path.to_owned(),
            socket: None,
        }
    }

    fn send(&mut self, level: Level, line: &str) {
        let severity = match level_of(level) {
            LogLevel::Warning => 4,
            LogLevel::Notice => 5,
            LogLevel::Verbose => 6,
            LogLevel::Debug => 7,
        };
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let time = system::local_time(now.as_secs() as i64);
        let (hour, minute, second) = time.time;
        let text = format!(
            "<{}>{} {:2} {hour:02}:{minute:02}:{second:02} {}[{}]: {line}",
            self.facility * 8 + severity,
            MONTHS[time.month],
            time.day,
            self.ident,
            std::process::id(),
        );
        // Once more with a new socket: the daemon may have been restarted.
        for _ in 0..2 {
            if self.socket.is_none() {
                self.socket = self.connect().ok();
            }
            match &self.socket {
                Some(socket) if socket.send(text.as_bytes()).is_ok() => return,
                _ => self.socket = None,
            }
        }
    }

    fn connect(&self) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(&self.path)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syslog_gets_datagrams() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::new(SyslogFacility::Local0, "me".into(), &path);
        syslog.send(Level::WARN, "hello");
        let mut buf = [0; 200];
        let len = daemon.recv(&mut buf).unwrap();
        let text = std::str::from_utf8(&buf[..len]).unwrap();
        assert!(text.starts_with("<132>"), "{text}");
        let tail = format!(" me[{}]: hello", std::process::id());
        assert!(text.ends_with(&tail), "{text}");
        // A daemon that starts anew is found again.
        drop(daemon);
        std::fs::remove_file(&path).unwrap();
        syslog.send(Level::WARN, "lost");
        let daemon = UnixDatagram::bind(&path).unwrap();
        syslog.send(Level::TRACE, "found");
        let len = daemon.recv(&mut buf).unwrap();
        assert!(buf[..len].starts_with(b"<135>") && buf[..len].ends_with(b": found"));
    }

    #[test]
    fn lines_begin_as_redis_writes_them() {
        let head = head(Level::INFO);
        let words: Vec<&str> = head.split(' ').collect();
        assert!(words[0].starts_with(&format!("{}:", std::process::id())));
        assert_eq!((words.len(), words[5]), (7, "*"));
        assert!(MONTHS.contains(&words[2]) && words[4].len() == 12, "{head}");
    }
}
