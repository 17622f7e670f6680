//! Memory that is held for the running snapshot alone: eviction does not make
//! up for it, as Redis does not for what a fork copies. It would evict more, and
//! so have more to be kept for the snapshot.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::util::copied;

/// A count of bytes that several own.
#[derive(Clone, Default)]
pub(super) struct Count(Arc<AtomicUsize>);

impl Count {
    pub(super) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn subtract(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Bytes that are being written, until it is dropped.
#[derive(Default)]
pub struct InFlight {
    count: Count,
    bytes: usize,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.count.subtract(self.bytes);
    }
}

/// Bytes by what they are.
pub(super) struct Held {
    /// Values and tables that nobody else needs any more.
    pub(super) values: usize,
    /// Deleted values whose parts wait to be written.
    pub(super) shared: usize,
    /// [`copied::total`] when nothing that is shared waited to be written.
    copied_before: u64,
    /// Elements of big collections that have been handed over.
    pub(super) elements: Count,
    in_flight: Count,
}

impl Held {
    pub(super) fn new() -> Held {
        Held {
            values: 0,
            shared: 0,
            copied_before: copied::total(),
            elements: Count::default(),
            in_flight: Count::default(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let copied = copied::total() - self.copied_before;
        let copied = usize::try_from(copied).unwrap_or(usize::MAX);
        (self.values + self.shared + self.elements.get() + self.in_flight.get())
            .saturating_add(copied)
    }

    /// Whether nothing is being written.
    pub(super) fn is_written(&self) -> bool {
        self.in_flight.get() == 0
    }

    /// Nothing that is shared waits to be written.
    pub(super) fn none_shared(&mut self) {
        (self.shared, self.copied_before) = (0, copied::total());
    }

    /// So many bytes are going to be written.
    pub(super) fn take(&self, bytes: usize) -> InFlight {
        self.in_flight.add(bytes);
        InFlight {
            count: self.in_flight.clone(),
            bytes,
        }
    }
}
