//! The processor's cycle counter, where it can be trusted as a clock.
//!
//! Unsafe invariant: reading the counter has no effect on memory.
#![allow(unsafe_code)]

/// Whether the counter runs evenly and alike on all processors: the kernel
/// checks that, and keeps the time by it only then.
pub fn trusted() -> bool {
    const SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    cfg!(target_arch = "x86_64") && std::fs::read(SOURCE).is_ok_and(|name| name == b"tsc\n")
}

/// Cycles since some time. It takes half of what reading the system's clock
/// does, mostly because it does not wait until memory that was asked for earlier has come.
#[inline]
pub fn read() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction exists on every x86-64 and only sets registers.
    unsafe {
        std::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    0
}
