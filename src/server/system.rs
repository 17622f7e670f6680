//! System calls without a safe wrapper.
//!
//! Unsafe invariants: every call gets plain values or buffers that live
//! through it, and none of them keeps a pointer.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use crate::stats::cpu::CpuTimes;

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

/// Raises the limit of open files to `wanted` as far as the system lets us;
/// gives the limit in force.
pub fn raise_open_files(wanted: u64) -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: limit is a valid rlimit that outlives the calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) != 0 {
            return 1024;
        }
        if limit.rlim_cur >= wanted {
            return limit.rlim_cur;
        }
        let hard = limit.rlim_max;
        // A privileged process may go beyond the hard limit.
        for (soft, hard) in [(wanted, hard.max(wanted)), (wanted.min(hard), hard)] {
            let raised = libc::rlimit {
                rlim_cur: soft,
                rlim_max: hard,
            };
            if libc::setrlimit(libc::RLIMIT_NOFILE, &raised) == 0 {
                return soft;
            }
        }
    }
    limit.rlim_cur
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
        seconds as u64 * 1_000_000 + micros as u64
    };
    (micros(usage.ru_stime), micros(usage.ru_utime))
}
