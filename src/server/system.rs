//! System calls without a safe wrapper.
//!
//! Unsafe invariants: every call gets plain values or buffers that live
//! through it, and none of them keeps a pointer. Those that change the whole
//! process ([`Umask`], [`background`], [`ignore_signals`]) say so and are
//! called at start, while this is the only thread. The memory of the process
//! title has invariants of its own, see [`TitleArea`].
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

use crate::stats::cpu::CpuTimes;

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// The file mode mask, changed until dropped (at start-up, before threads).
pub struct Umask(libc::mode_t);

impl Umask {
    /// Sets the mask.
    pub fn set(mask: u32) -> Umask {
        // SAFETY: umask takes and gives a number and cannot fail.
        Umask(unsafe { libc::umask(mask as libc::mode_t) })
    }
}

impl Drop for Umask {
    fn drop(&mut self) {
        // SAFETY: as in set.
        unsafe { libc::umask(self.0) };
    }
}

/// The limit of open files: the one in force and the highest allowed.
///
/// # Errors
/// Of the system.
pub fn open_files() -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: limit is a valid rlimit that outlives the call.
    checked(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Sets both limits of open files.
///
/// # Errors
/// Of the system: beyond the highest only a privileged process may go.
pub fn set_open_files(soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: limit is a valid rlimit that outlives the call.
    checked(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) })?;
    Ok(())
}

/// A Unix time in the time zone of the system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocalTime {
    /// The year, four digits.
    pub year: i32,
    /// Month, from 0.
    pub month: usize,
    /// Day of the month.
    pub day: i32,
    /// Hour, minute, second.
    pub time: (i32, i32, i32),
}

/// The local time of Unix seconds.
pub fn local_time(unix_s: i64) -> LocalTime {
    let seconds = unix_s as libc::time_t;
    // SAFETY: tm is plain data for which zero is a valid value, and both
    // pointers live through the call.
    let tm = unsafe {
        let mut tm: libc::tm = std::mem::zeroed();
        libc::localtime_r(&seconds, &mut tm);
        tm
    };
    LocalTime {
        year: tm.tm_year + 1900,
        month: tm.tm_mon.clamp(0, 11) as usize,
        day: tm.tm_mday,
        time: (tm.tm_hour, tm.tm_min, tm.tm_sec),
    }
}

/// The number by which the system knows the calling thread.
pub fn thread_number() -> i32 {
    // SAFETY: gettid takes nothing and cannot fail.
    #[cfg(target_os = "linux")]
    let number = unsafe { libc::syscall(libc::SYS_gettid) } as i32;
    #[cfg(not(target_os = "linux"))]
    let number = std::process::id() as i32;
    number
}

/// Sends a signal to this process.
pub fn raise(signal: i32) {
    // SAFETY: plain numbers; an unknown signal is an error, not more.
    unsafe { libc::kill(libc::getpid(), signal) };
}

/// Lets SIGHUP and SIGPIPE pass without effect.
pub fn ignore_signals() {
    for signal in [libc::SIGHUP, libc::SIGPIPE] {
        // SAFETY: SIG_IGN is a valid disposition of both.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Goes on in the background: the calling process ends, a grandchild without
/// a terminal goes on with its standard files closed. Only one thread may run
/// (the allocator's own survive a fork by themselves).
///
/// # Errors
/// Of fork, setsid or /dev/null.
pub fn background() -> io::Result<()> {
    fork_and_leave()?;
    // SAFETY: setsid takes nothing.
    checked(unsafe { libc::setsid() })?;
    // A second time, so that no terminal can become ours.
    fork_and_leave()?;
    use std::os::fd::AsRawFd;
    let null = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    for standard in 0..3 {
        // SAFETY: both are numbers of descriptors; nothing owns 0 to 2.
        checked(unsafe { libc::dup2(null.as_raw_fd(), standard) })?;
    }
    Ok(())
}

fn fork_and_leave() -> io::Result<()> {
    // SAFETY: there is one thread, so the child's memory is consistent; the
    // parent leaves at once without running destructors or exit handlers.
    unsafe {
        if checked(libc::fork())? > 0 {
            libc::_exit(0);
        }
    }
    Ok(())
}

/// Has the kernel give this process no huge pages unasked; whether it does.
pub fn disable_huge_pages() -> bool {
    #[cfg(target_os = "linux")]
    // SAFETY: this option takes four numbers, of which three must be 0.
    let switched_off = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0 };
    #[cfg(not(target_os = "linux"))]
    let switched_off = false;
    switched_off
}

/// Has SIGALRM sent once after this time; zero: not any more.
pub fn set_alarm(after: Duration) {
    let time = |duration: Duration| libc::timeval {
        tv_sec: duration.as_secs() as libc::time_t,
        tv_usec: duration.subsec_micros() as libc::suseconds_t,
    };
    let timer = libc::itimerval {
        it_interval: time(Duration::ZERO),
        it_value: time(after),
    };
    // SAFETY: timer lives through the call; the old one is not asked for.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) };
}

/// The memory that the system shows as the command line: the argument strings
/// and, right behind them, those of the environment.
///
/// Invariants: `start..end` is the process's own initial stack area, mapped
/// and writable as long as the process lives; once made, nothing reads it as
/// arguments or environment: the strings of the environment were copied
/// away, and arguments are only read before (`std::env::args` afterwards
/// gives the title's bytes, still terminated). The last byte stays zero.
pub struct TitleArea {
    start: usize,
    end: usize,
}

impl TitleArea {
    /// The area of this process, when the system tells where it is. To be
    /// called once, before other threads start: the environment moves.
    #[cfg(target_os = "linux")]
    pub fn take() -> Option<TitleArea> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // The program's name may hold blanks and parentheses.
        let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
        // Fields 48 to 51 of proc(5): where arguments and environment lie.
        let field = |number: usize| fields.get(number - 3)?.parse::<usize>().ok();
        let (start, arg_end) = (field(48)?, field(49)?);
        let (env_start, env_end) = (field(50)?, field(51)?);
        if start == 0 || arg_end <= start || env_start != arg_end || env_end < env_start {
            return None;
        }
        move_environment(env_start..env_end)?;
        Some(TitleArea {
            start,
            end: env_end,
        })
    }

    /// Nothing where the command line is not in memory.
    #[cfg(not(target_os = "linux"))]
    pub fn take() -> Option<TitleArea> {
        None
    }

    /// Shows this title, as much of it as there is room for.
    pub fn set(&mut self, title: &[u8]) {
        let room = self.end - self.start;
        let at = std::ptr::with_exposed_provenance_mut::<u8>(self.start);
        let len = title.len().min(room - 1);
        // SAFETY: room is at least 1 and len below it, and by the type's
        // invariants the area is writable and read by nobody else. `title`
        // is memory of Rust's and thus lies elsewhere.
        unsafe {
            std::ptr::copy_nonoverlapping(title.as_ptr(), at, len);
            std::ptr::write_bytes(at.add(len), 0, room - len);
        }
    }
}

/// Gives the strings of the environment that lie in `area` memory of their
/// own, which is never freed.
#[cfg(target_os = "linux")]
fn move_environment(area: std::ops::Range<usize>) -> Option<()> {
    unsafe extern "C" {
        static mut environ: *mut *mut libc::c_char;
    }
    // SAFETY: this is the only thread, so nobody else looks at environ, which
    // is a list of terminated strings that ends with a null pointer (or null).
    unsafe {
        let mut slot = environ;
        while !slot.is_null() && !(*slot).is_null() {
            if area.contains(&(*slot).addr()) {
                let copy = libc::strdup(*slot);
                if copy.is_null() {
                    return None;
                }
                *slot = copy;
            }
            slot = slot.add(1);
        }
    }
    Some(())
}

/// Processor time of the process and of its children that have ended.
pub fn process_times() -> CpuTimes {
    let (system_us, user_us) = usage(libc::RUSAGE_SELF);
    let (children_system_us, children_user_us) = usage(libc::RUSAGE_CHILDREN);
    CpuTimes {
        system_us,
        user_us,
        children_system_us,
        children_user_us,
    }
}

/// Processor time of the calling thread.
pub fn thread_times() -> CpuTimes {
    #[cfg(target_os = "linux")]
    let (system_us, user_us) = usage(libc::RUSAGE_THREAD);
    #[cfg(not(target_os = "linux"))]
    let (system_us, user_us) = (0, 0);
    CpuTimes {
        system_us,
        user_us,
        ..CpuTimes::default()
    }
}

/// Time in the system and in user code, microseconds.
fn usage(of: libc::c_int) -> (u64, u64) {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: usage is a valid rusage that outlives the call; zeroes are one too.
    let usage = unsafe {
        libc::getrusage(of, usage.as_mut_ptr());
        usage.assume_init()
    };
    let micros = |time: libc::timeval| {
        let (seconds, micros) = (time.tv_sec.unsigned_abs(), time.tv_usec.unsigned_abs());
        seconds * 1_000_000 + micros
    };
    (micros(usage.ru_stime), micros(usage.ru_utime))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_can_be_read_and_set_again() {
        let (soft, hard) = open_files().unwrap();
        assert!(soft > 0 && soft <= hard);
        set_open_files(soft, hard).unwrap();
        assert!(set_open_files(hard, soft.saturating_sub(1)).is_err());
    }

    #[test]
    fn processor_time_grows() {
        let before = process_times();
        let mut sum = 0_u64;
        while process_times().user_us + process_times().system_us
            < before.user_us + before.system_us + 2_000
        {
            sum = (0..10_000).fold(sum, |sum, n| sum ^ n);
        }
        assert!(sum < u64::MAX && process_times().user_us >= thread_times().user_us);
    }

    #[test]
    fn local_time_is_a_date() {
        let time = local_time(1_000_000_000);
        assert_eq!((time.year, time.month), (2001, 8));
        assert!((8..=9).contains(&time.day));
    }
}
