//! How much was copied because somebody else held the original.
//!
//! Values share their parts with copies of them: those of a snapshot, above
//! all. What is changed first is copied then, so that the snapshot keeps its
//! own; eviction must not make up for that memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

static BYTES: AtomicU64 = AtomicU64::new(0);

/// Notes a copy.
pub fn note(bytes: usize) {
    BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
}

/// Bytes copied since the start.
pub fn total() -> u64 {
    BYTES.load(Ordering::Relaxed)
}

/// `Arc::make_mut` of a vector, which notes what it copies.
pub fn make_mut<T: Clone>(shared: &mut Arc<Vec<T>>) -> &mut Vec<T> {
    if Arc::strong_count(shared) > 1 {
        note(shared.len() * size_of::<T>());
    }
    Arc::make_mut(shared)
}
