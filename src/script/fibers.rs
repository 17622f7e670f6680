//! Tells AddressSanitizer which stack runs. Scripts have one of their own, and
//! an error leaves it by a long jump: the sanitizer must know from where to
//! where, or it takes what was left for an overflow. In a server all of this
//! is nothing.
//!
//! # Unsafe invariants
//! The functions of the sanitizer only note addresses. They are there wherever
//! `cfg(fuzzing)` is, unless one asks cargo-fuzz for no sanitizer.
#![allow(unsafe_code)]

#[cfg(not(fuzzing))]
mod notes {
    use corosensei::stack::DefaultStack;

    #[inline]
    pub fn made(_: &DefaultStack) {}
    #[inline]
    pub fn entering() {}
    #[inline]
    pub fn entered() {}
    #[inline]
    pub fn leaving() {}
    #[inline]
    pub fn left() {}
}

#[cfg(fuzzing)]
mod notes {
    use std::cell::Cell;
    use std::ffi::c_void;

    use corosensei::stack::{DefaultStack, Stack};

    /// Lowest address and size.
    type Bounds = (usize, usize);

    unsafe extern "C" {
        fn __sanitizer_start_switch_fiber(
            kept: *mut *mut c_void,
            lowest: *const c_void,
            bytes: usize,
        );
        fn __sanitizer_finish_switch_fiber(
            kept: *mut c_void,
            lowest: *mut *const c_void,
            bytes: *mut usize,
        );
    }

    thread_local! {
        static SCRIPT: Cell<Bounds> = const { Cell::new((0, 0)) };
        static CALLER: Cell<Bounds> = const { Cell::new((0, 0)) };
    }

    fn start((lowest, bytes): Bounds) {
        let lowest = lowest as *const c_void;
        // SAFETY: see the top of the file.
        unsafe { __sanitizer_start_switch_fiber(std::ptr::null_mut(), lowest, bytes) };
    }

    fn finish() -> Bounds {
        let (mut lowest, mut bytes) = (std::ptr::null(), 0);
        // SAFETY: see the top of the file.
        unsafe { __sanitizer_finish_switch_fiber(std::ptr::null_mut(), &mut lowest, &mut bytes) };
        (lowest as usize, bytes)
    }

    pub fn made(stack: &DefaultStack) {
        let (base, limit) = (stack.base().get(), stack.limit().get());
        SCRIPT.set((limit, base - limit));
    }

    pub fn entering() {
        start(SCRIPT.get());
    }

    pub fn entered() {
        CALLER.set(finish());
    }

    pub fn leaving() {
        start(CALLER.get());
    }

    pub fn left() {
        finish();
    }
}

/// It runs.
pub use notes::entered;
/// The script's stack is about to run.
pub use notes::entering;
/// It is about to be left, for a while or for good.
pub use notes::leaving;
/// The stack of whoever called the script runs again.
pub use notes::left;
/// The stack of the next script.
pub use notes::made;
