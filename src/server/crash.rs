//! Reports of crashes, and the watchdog: what the server was doing, and where.
//!
//! Unsafe invariants:
//! - The handlers run on the thread that crashed or was interrupted. Until the
//!   sections marked so they only do what is safe in a signal handler: system
//!   calls, and reading plain memory. They take no locks and allocate nothing.
//! - `running::CALL` is only looked at when `running::THREAD` is the handler's
//!   own thread: then the call is further up on this very stack, stopped.
//! - [`SERVER`] points into the `Arc` that the start-up never frees. It is only
//!   read by a thread about to end the process while it executes a call, hence
//!   holds the engine's lock.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::fmt::Write;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::Duration;

use super::{log, system};
use crate::commands::server::info;
use crate::engine::running::{self, Call};
use crate::engine::{Server, hooks};

const SIGNALS: [i32; 5] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGABRT,
];
/// Stack of the crash handler, bytes: symbols take some room.
const HANDLER_STACK_BYTES: usize = 512 * 1024;
/// Seconds that the risky part of the report may take.
const RISKY_SECONDS_MAX: u32 = 5;
const FRAMES_MAX: usize = 100;
/// Bytes shown of one argument, and arguments shown.
const ARG_BYTES_MAX: usize = 128;
const ARGS_MAX: usize = 32;
/// Commands whose arguments hold secrets.
const SECRET: [&str; 6] = [
    "auth",
    "hello",
    "acl|setuser",
    "config|set",
    "migrate",
    "replicaof",
];

/// The engine, once it is there.
static SERVER: AtomicPtr<Server> = AtomicPtr::new(std::ptr::null_mut());
/// A report has begun; there is one only.
static REPORTED: AtomicBool = AtomicBool::new(false);
/// The signal to end with, once the report has begun.
static ENDING: AtomicI32 = AtomicI32::new(0);
static EXIT_ON_PANIC: AtomicBool = AtomicBool::new(false);
static ENABLED: AtomicBool = AtomicBool::new(true);
/// Where the program was loaded: addresses less this are those of its file.
static LOADED_AT: AtomicUsize = AtomicUsize::new(0);
static LOADED_END: AtomicUsize = AtomicUsize::new(0);
/// Watchdog period, milliseconds; 0: off.
static WATCHDOG_MS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static HAS_STACK: Cell<bool> = const { Cell::new(false) };
}

/// Where the report finds the engine.
pub fn watch(server: *mut Server) {
    SERVER.store(server, Release);
}

/// Turns reports of crashes on or off (`crash-log-enabled`), and says how a
/// panic ends (`use-exit-on-panic`).
pub fn configure(enabled: bool, exit_on_panic: bool) {
    EXIT_ON_PANIC.store(exit_on_panic, Relaxed);
    ENABLED.store(enabled, Relaxed);
    if LOADED_END.load(Relaxed) == 0 {
        let loaded = loaded_at().unwrap_or(0..usize::MAX);
        LOADED_AT.store(loaded.start, Relaxed);
        LOADED_END.store(loaded.end, Relaxed);
        // The first use loads the unwinder, which must not happen in a handler.
        let _ = frames(&mut [std::ptr::null_mut(); 4]);
        std::panic::set_hook(Box::new(panicked));
    }
    for signal in SIGNALS {
        if enabled {
            let flags = libc::SA_NODEFER | libc::SA_ONSTACK | libc::SA_RESETHAND;
            handle(
                signal,
                flags | libc::SA_SIGINFO,
                crashed as *const () as usize,
            );
        } else {
            handle(signal, 0, libc::SIG_DFL);
        }
    }
}

fn handle(signal: i32, flags: i32, handler: usize) {
    // SAFETY: action is plain data, zero is valid for it, and handler is
    // SIG_DFL or a function of the type that flags call for.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(signal, &action, std::ptr::null_mut());
    }
}

/// Gives the calling thread a stack for the crash handler, so that a stack
/// overflow is reported too, and its number for [`running`].
pub fn protect_thread() {
    running::name_thread(system::thread_number());
    let memory = Box::leak(vec![0u8; HANDLER_STACK_BYTES].into_boxed_slice());
    let stack = libc::stack_t {
        ss_sp: memory.as_mut_ptr().cast(),
        ss_flags: 0,
        ss_size: HANDLER_STACK_BYTES,
    };
    // SAFETY: the memory is never freed and used for nothing else.
    let set = unsafe { libc::sigaltstack(&stack, std::ptr::null_mut()) };
    HAS_STACK.set(set == 0);
}

/// Where this program's own file lies in memory.
fn loaded_at() -> Option<std::ops::Range<usize>> {
    let program = std::fs::read_link("/proc/self/exe").ok()?;
    let program = program.to_string_lossy();
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    // Lines begin with `start-end `, hexadecimal.
    let mut own = maps.lines().filter(|line| line.ends_with(&*program));
    let (start, first_end) = own.next()?.split(' ').next()?.split_once('-')?;
    let last = own.next_back().and_then(|line| line.split(' ').next());
    let end = last.map_or(Some(first_end), |range| Some(range.split_once('-')?.1))?;
    let number = |digits| usize::from_str_radix(digits, 16).ok();
    Some(number(start)?..number(end)?)
}

/// Text written in a handler: straight to the log file or standard output,
/// from a small buffer.
struct Raw {
    fd: i32,
    opened: bool,
    buf: [u8; 512],
    len: usize,
}

impl Raw {
    fn new() -> Raw {
        let (fd, opened) = match log::crash_file() {
            None => (libc::STDOUT_FILENO, false),
            Some(path) => {
                let flags = libc::O_APPEND | libc::O_CREAT | libc::O_WRONLY | libc::O_CLOEXEC;
                // SAFETY: path is terminated and lives forever.
                let fd = unsafe { libc::open(path.as_ptr(), flags, 0o644) };
                (fd, fd >= 0)
            }
        };
        Raw {
            fd,
            opened,
            buf: [0; 512],
            len: 0,
        }
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Raw {
        for byte in bytes {
            if self.len == self.buf.len() {
                self.flush();
            }
            self.buf[self.len] = *byte;
            self.len += 1;
        }
        self
    }

    fn text(&mut self, text: &str) -> &mut Raw {
        self.bytes(text.as_bytes())
    }

    fn flush(&mut self) {
        let mut rest = &self.buf[..self.len];
        while !rest.is_empty() {
            // SAFETY: rest is valid memory for its length.
            let written = unsafe { libc::write(self.fd, rest.as_ptr().cast(), rest.len()) };
            if written <= 0 {
                break;
            }
            rest = &rest[written as usize..];
        }
        self.len = 0;
    }
}

impl Write for Raw {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.text(text);
        Ok(())
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.flush();
        if self.opened {
            // SAFETY: opened by new and not used any more.
            unsafe { libc::close(self.fd) };
        }
    }
}

/// Return addresses of the calling thread; how many there are.
fn frames(addresses: &mut [*mut libc::c_void]) -> usize {
    #[cfg(target_env = "gnu")]
    // SAFETY: the buffer is valid for its length.
    let count = unsafe { libc::backtrace(addresses.as_mut_ptr(), addresses.len() as i32) };
    #[cfg(not(target_env = "gnu"))]
    let count = 0 * addresses.len() as i32;
    usize::try_from(count).unwrap_or(0)
}

/// The stack as addresses, for `addr2line -e redstart`.
fn raw_stack(raw: &mut Raw) {
    let mut addresses = [std::ptr::null_mut(); FRAMES_MAX];
    let count = frames(&mut addresses);
    let program = LOADED_AT.load(Relaxed)..LOADED_END.load(Relaxed);
    raw.text("\n------ STACK TRACE ------\n(+: in the program's file, for addr2line -Cfe)\n");
    for address in addresses[..count].iter().map(|address| address.addr()) {
        let _ = if program.contains(&address) {
            writeln!(raw, "+{:#x}", address - program.start)
        } else {
            writeln!(raw, " {address:#x}")
        };
    }
}

/// The call that this thread executes, if it does.
fn own_call() -> Option<&'static Call<'static>> {
    let call = running::CALL.load(Acquire);
    if call.is_null() || running::THREAD.load(Acquire) != system::thread_number() {
        return None;
    }
    // SAFETY: see the invariants: it is on this thread's stack, and alive,
    // because this thread is stopped in a handler above it.
    Some(unsafe { &*call })
}

fn name_of(call: &Call<'_>) -> &'static str {
    // SAFETY: the name lies in the registry, which lives as long as the server.
    unsafe { &*call.name }
}

/// `getCommand`: the form in which stack traces of Redis name a command.
fn handler_name(raw: &mut Raw, name: &str) {
    let mut words = name.split('|');
    raw.text(words.next().unwrap_or_default());
    for word in words {
        let mut letters = word.chars();
        if let Some(first) = letters.next() {
            let _ = write!(raw, "{}{}", first.to_ascii_uppercase(), letters.as_str());
        }
    }
    raw.text("Command");
}

/// Command and arguments of the call in execution.
fn raw_call(raw: &mut Raw) {
    let Some(call) = own_call() else {
        return;
    };
    raw.text("\n------ CURRENT COMMAND ------\n");
    handler_name(raw, name_of(call));
    let _ = writeln!(raw, " (argc: {})", call.argv.len());
    let secret = SECRET.contains(&name_of(call));
    for (index, arg) in call.argv.iter().take(ARGS_MAX).enumerate() {
        let _ = write!(raw, "argv[{index}]: \"");
        if secret && index > 0 {
            raw.text("(redacted)");
        } else {
            for byte in arg.iter().take(ARG_BYTES_MAX) {
                let _ = write!(raw, "{}", byte.escape_ascii());
            }
        }
        raw.text("\"");
        if arg.len() > ARG_BYTES_MAX && !(secret && index > 0) {
            let _ = write!(raw, "... ({} bytes)", arg.len());
        }
        raw.text("\n");
    }
}

/// Handles a signal that ends the process.
extern "C" fn crashed(signal: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    if REPORTED.swap(true, Relaxed) {
        return end(signal);
    }
    ENDING.store(signal, Relaxed);
    {
        let mut raw = Raw::new();
        raw.text("\n\n=== REDIS BUG REPORT START: Cut & paste starting from here ===\n");
        // SAFETY: the system gives a valid siginfo to handlers set with
        // SA_SIGINFO; the fields read are there for every signal.
        let (code, address) = unsafe { ((*info).si_code, (*info).si_addr()) };
        let version = crate::version::REDIS_VERSION;
        let _ = writeln!(
            raw,
            "Redis {version} (redstart {}) crashed by signal: {signal}, si_code: {code}",
            crate::version::REDSTART_VERSION
        );
        if code > 0 && signal != libc::SIGABRT {
            let _ = writeln!(raw, "Accessing address: {address:p}");
        } else if code <= 0 {
            // SAFETY: as above; with such a code somebody sent the signal.
            let (pid, uid) = unsafe { ((*info).si_pid(), (*info).si_uid()) };
            let _ = writeln!(raw, "Killed by PID: {pid}, UID: {uid}");
        }
        raw_stack(&mut raw);
        raw_call(&mut raw);
    }
    // What follows allocates and takes locks: it may hang or crash again, but
    // the report is out, and the alarm ends what hangs.
    handle(libc::SIGALRM, 0, end_ending as *const () as usize);
    // SAFETY: a plain number.
    unsafe { libc::alarm(RISKY_SECONDS_MAX) };
    if HAS_STACK.get() {
        let mut text = String::new();
        symbols(&mut text);
        details(&mut text);
        Raw::new().text(&text);
    }
    footer();
    end(signal);
}

extern "C" fn end_ending(_: i32) {
    footer();
    end(ENDING.load(Relaxed));
}

/// Ends the process as the signal does.
fn end(signal: i32) {
    handle(signal, 0, libc::SIG_DFL);
    system::raise(signal);
}

fn footer() {
    Raw::new().text(
        "\n=== REDIS BUG REPORT END. ===\n\
         Please report the crash with the whole text from START on, and with what the \
         server was doing.\n\n",
    );
}

/// The stack with names and lines.
fn symbols(text: &mut String) {
    let trace = std::backtrace::Backtrace::force_capture();
    let _ = write!(text, "\n------ STACK TRACE WITH NAMES ------\n{trace}");
}

/// The client and the state of the server. Only for a thread that ends the
/// process.
fn details(text: &mut String) {
    let Some(call) = own_call() else {
        return;
    };
    let server = SERVER.load(Acquire);
    if server.is_null() {
        return;
    }
    // SAFETY: see the invariants: this thread executes a call, so it holds the
    // lock, and it does not go back to what it was doing.
    let server = unsafe { &mut *server };
    let client = server.describe_client(call.client);
    let _ = writeln!(text, "\n------ CURRENT CLIENT INFO ------\n{client}");
    let info = info::text(server, &[b"everything"]).replace('\r', "");
    let _ = write!(text, "\n------ INFO OUTPUT ------\n{info}");
}

/// The panic hook: a report on the panicking thread, then the end.
fn panicked(info: &std::panic::PanicHookInfo<'_>) {
    if !ENABLED.load(Relaxed) || REPORTED.swap(true, Relaxed) {
        tracing::error!("{info}");
        log::flush();
        return end_panic();
    }
    log::flush();
    let mut text =
        String::from("\n\n=== REDIS BUG REPORT START: Cut & paste starting from here ===\n");
    let place = info.location().map_or_else(String::new, |location| {
        format!("{}:{}", location.file(), location.line())
    });
    let message = info.payload_as_str().unwrap_or("no message");
    let _ = if message.starts_with("assertion") {
        writeln!(text, "=== ASSERTION FAILED ===\n==> {place} '{message}'")
    } else {
        writeln!(text, "=== PANIC ===\nGuru Meditation: {message} #{place}")
    };
    Raw::new().text(&text);
    let mut raw = Raw::new();
    raw_stack(&mut raw);
    raw_call(&mut raw);
    drop(raw);
    text.clear();
    symbols(&mut text);
    details(&mut text);
    Raw::new().text(&text);
    footer();
    end_panic();
}

fn end_panic() {
    if EXIT_ON_PANIC.load(Relaxed) {
        std::process::exit(1);
    }
    std::process::abort();
}

/// Starts, changes or stops the watchdog (`watchdog-period`, milliseconds).
pub fn set_watchdog(period_ms: u64) {
    WATCHDOG_MS.store(period_ms, Relaxed);
    if period_ms > 0 {
        handle(
            libc::SIGALRM,
            libc::SA_RESTART,
            watchdog_expired as *const () as usize,
        );
        feed_watchdog();
    } else {
        system::set_alarm(Duration::ZERO);
        handle(libc::SIGALRM, 0, libc::SIG_IGN);
    }
}

/// Tells the watchdog that the server is alive; cron does, in every run.
pub fn feed_watchdog() {
    let period_ms = WATCHDOG_MS.load(Relaxed);
    if period_ms > 0 {
        system::set_alarm(Duration::from_millis(period_ms));
    }
}

/// Cron has not run for a period. The executing thread, if it is another, is
/// interrupted in turn, since only it can show its stack.
extern "C" fn watchdog_expired(signal: i32) {
    let executor = running::THREAD.load(Acquire);
    let executing = !running::CALL.load(Acquire).is_null();
    if executing && executor != 0 && executor != system::thread_number() {
        // SAFETY: numbers only; a thread that has ended is an error, not more.
        #[cfg(target_os = "linux")]
        unsafe {
            libc::syscall(libc::SYS_tgkill, libc::getpid(), executor, signal)
        };
        return;
    }
    let mut raw = Raw::new();
    raw.text("\n--- WATCHDOG TIMER EXPIRED ---\n");
    match own_call() {
        Some(call) => {
            raw.text("Executing ");
            handler_name(&mut raw, name_of(call));
            raw.text("\n");
        }
        None => {
            raw.text("No command is being executed\n");
        }
    }
    raw_stack(&mut raw);
    raw.text("--- END OF WATCHDOG REPORT ---\n");
}

/// Crashes, for DEBUG.
pub fn act(action: hooks::Action) -> Result<(), String> {
    match action {
        hooks::Action::Segfault => {
            // SAFETY: none; this is what was asked for. The page is mapped for
            // reading only, so the write ends in a signal.
            unsafe {
                let page = libc::mmap(
                    std::ptr::null_mut(),
                    4096,
                    libc::PROT_READ,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                    -1,
                    0,
                );
                page.cast::<u8>().write_volatile(b'x');
            }
            Err("the server did not crash".into())
        }
        hooks::Action::OutOfMemory => {
            let half = std::alloc::Layout::array::<u8>(isize::MAX as usize)
                .map_err(|error| error.to_string())?;
            std::alloc::handle_alloc_error(half)
        }
        hooks::Action::Restart => Err("not here".into()),
    }
}
