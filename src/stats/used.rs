//! How much memory the program holds, quickly enough to ask before each
//! command.
//!
//! The allocator counts for each thread what it allocates and frees; threads
//! that do much of either publish the difference to their last word. Others,
//! and what lies between, are made up for when the allocator itself is asked.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use tikv_jemalloc_ctl::thread::{ThreadLocal, allocatedp, deallocatedp};

/// What has been published, bytes.
static PUBLISHED: AtomicI64 = AtomicI64::new(0);
/// What is to be added to that for what all threads hold.
static OTHERS: AtomicI64 = AtomicI64::new(0);

struct Counters {
    allocated: ThreadLocal<u64>,
    deallocated: ThreadLocal<u64>,
}

thread_local! {
    static OWN: Option<Counters> = Some(Counters {
        allocated: allocatedp::read().ok()?,
        deallocated: deallocatedp::read().ok()?,
    });
    static TOLD: Cell<i64> = const { Cell::new(0) };
}

/// Bytes that this thread has allocated and not freed, or freed of others, for
/// differences between two moments.
#[inline]
pub fn own() -> i64 {
    let net = |own: &Counters| own.allocated.get().wrapping_sub(own.deallocated.get()) as i64;
    OWN.with(|own| own.as_ref().map_or(0, net))
}

/// Publishes what this thread has allocated and freed since it did last.
#[inline]
pub fn publish() {
    OWN.with(|own| {
        if let Some(own) = own {
            let net = own.allocated.get().wrapping_sub(own.deallocated.get()) as i64;
            let before = TOLD.replace(net);
            PUBLISHED.fetch_add(net - before, Ordering::Relaxed);
        }
    });
}

/// Bytes that the program holds, as far as this thread knows.
#[inline]
pub fn bytes() -> u64 {
    publish();
    let sum = PUBLISHED.load(Ordering::Relaxed) + OTHERS.load(Ordering::Relaxed);
    u64::try_from(sum).unwrap_or(0)
}

/// Whether memory is near its limit.
static TIGHT: AtomicBool = AtomicBool::new(false);

/// Whether memory is near its limit: nothing is kept for later then.
#[inline]
pub fn is_tight() -> bool {
    TIGHT.load(Ordering::Relaxed)
}

/// Says whether it is.
#[inline]
pub fn set_tight(tight: bool) {
    // Others read it: it is only written when it changes.
    if is_tight() != tight {
        TIGHT.store(tight, Ordering::Relaxed);
    }
}

/// Sets the figure right by the allocator's own.
pub fn correct() {
    publish();
    let allocated = super::memory::allocator().allocated.cast_signed();
    let published = PUBLISHED.load(Ordering::Relaxed);
    OTHERS.store(allocated - published, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_what_is_allocated_and_freed() {
        correct();
        let before = bytes();
        let held = vec![1u8; 100 << 20];
        assert!(bytes() - before >= held.len() as u64);
        // Other tests run beside this one.
        let with = bytes();
        drop(held);
        assert!(with - bytes() > 50 << 20);
    }
}
