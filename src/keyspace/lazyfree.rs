//! Freeing big values and whole tables on a background thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};

use super::entry::{Entry, ValueRef};
use crate::encoding::member::Member;
use crate::encoding::table::Table;
use crate::types::Object;

/// Parts above which a value is freed in the background (Redis:
/// LAZYFREE_THRESHOLD).
const EFFORT_MAX: usize = 64;
/// Bytes above which a string is: giving many pages back takes its time.
const BYTES_MAX: usize = 1024 * 1024;

enum Trash {
    /// Only to be dropped.
    Object(#[allow(dead_code)] Box<Object>),
    Table(Box<Table<Entry>>),
    Members(Box<Table<Member>>),
    /// So many things that are no values of keys.
    Other(#[allow(dead_code)] Box<dyn Send>, u64),
}

/// The background thread and what it did.
pub struct LazyFree {
    queue: Sender<Trash>,
    pending: Arc<AtomicU64>,
    freed: Arc<AtomicU64>,
}

/// Whether freeing a value takes long.
pub(super) fn is_big(object: &Object) -> bool {
    object.free_effort() > EFFORT_MAX || object.heap_bytes() > BYTES_MAX
}

impl LazyFree {
    pub(super) fn start() -> LazyFree {
        let (queue, trash) = channel();
        let (pending, freed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let counters = (pending.clone(), freed.clone());
        let free = move || {
            for item in trash {
                let count = match &item {
                    Trash::Object(_) => 1,
                    Trash::Table(table) => table.len() as u64,
                    Trash::Members(table) => table.len() as u64,
                    Trash::Other(_, count) => *count,
                };
                drop(item);
                crate::stats::used::publish();
                counters.0.fetch_sub(count, Ordering::Relaxed);
                counters.1.fetch_add(count, Ordering::Relaxed);
            }
        };
        // Without the thread, send fails and things are freed where they are.
        let _ = std::thread::Builder::new()
            .name("bio_lazy_free".into())
            .spawn(free);
        LazyFree {
            queue,
            pending,
            freed,
        }
    }

    fn send(&self, trash: Trash, count: u64) {
        self.pending.fetch_add(count, Ordering::Relaxed);
        if self.queue.send(trash).is_err() {
            self.pending.fetch_sub(count, Ordering::Relaxed);
        }
    }

    pub(super) fn entry(&self, mut entry: Entry) {
        if let ValueRef::Boxed(object) = entry.view().value()
            && is_big(object)
            && let Some(object) = entry.take_boxed()
        {
            self.object(object);
        }
    }

    /// Drops an object, in the background if that takes long.
    pub(super) fn object_if_big(&self, object: Box<Object>) {
        if is_big(&object) {
            self.object(object);
        }
    }

    pub(super) fn object(&self, object: Box<Object>) {
        self.send(Trash::Object(object), 1);
    }

    pub(super) fn table(&self, table: Table<Entry>) {
        let count = table.len() as u64;
        self.send(Trash::Table(Box::new(table)), count);
    }

    /// Drops a table that is no value of a key, in the background if that takes
    /// long.
    pub fn members(&self, table: Table<Member>) {
        let count = table.len();
        if count > EFFORT_MAX {
            self.send(Trash::Members(Box::new(table)), count as u64);
        }
    }

    /// Drops so many things in the background.
    pub fn other(&self, trash: Box<dyn Send>, count: u64) {
        self.send(Trash::Other(trash, count), count);
    }

    /// Objects waiting to be freed.
    pub fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    /// Objects freed so far.
    pub fn freed(&self) -> u64 {
        self.freed.load(Ordering::Relaxed)
    }

    /// Starts the count of freed objects anew (CONFIG RESETSTAT).
    pub fn reset_stats(&self) {
        self.freed.store(0, Ordering::Relaxed);
    }
}
