//! A hint to the processor to load a cache line.
//!
//! Unsafe invariant: a prefetch never faults, whatever the address.
#![allow(unsafe_code)]

/// Starts to load the line at an address; does nothing where there is no such
/// instruction.
#[inline]
pub fn line(address: u64) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: prefetching is a hint without effect on memory or faults.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address as *const i8);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
