//! System calls without a safe wrapper.
//!
//! Unsafe invariants: every call gets plain values or buffers that live
//! through it, and none of them keeps a pointer.
#![allow(unsafe_code)]

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
