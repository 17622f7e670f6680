//! Writing out a table as it is at one moment, while it goes on changing.
//!
//! A frozen table divides the hashes into granules of a few elements each.
//! Whoever goes through the table ([`Table::thaw`]) hands elements to the sink
//! in hash order, some buckets at a time; before an element of a granule that
//! has not had its turn is changed, added or removed, the whole granule is
//! handed over and marked. So each element gets to the sink once, as it was
//! when the table was frozen, and the extra memory is a bit for each granule.

use super::{Element, Table, view};
use crate::encoding::table::View;

/// Elements of a granule, about.
const GRANULE_LEN: usize = 4;
const GRANULE_BITS_MAX: u32 = 40;

/// What takes the elements of a frozen table.
pub trait Sink<E: Element>: Send {
    /// Takes an element. Each comes once, in no order.
    fn put(&mut self, element: E::View<'_>);
}

/// How far a frozen table has been written.
pub(super) struct Frozen<E: Element> {
    sink: Box<dyn Sink<E>>,
    /// Hashes below this one (its top 48 bits) are done.
    bound: u64,
    /// Granules beyond the bound that are done.
    granules: Vec<u64>,
    /// Leading bits of a hash that name its granule.
    bits: u32,
}

impl<E: Element> Frozen<E> {
    fn granule(&self, hash: u64) -> usize {
        // Two steps, because 0 bits would shift by 64.
        (hash >> 1).wrapping_shr(63 ^ self.bits) as usize
    }

    #[inline]
    fn has_saved(&self, hash: u64) -> bool {
        let granule = self.granule(hash);
        hash >> 16 < self.bound || self.granules[granule / 64] >> (granule % 64) & 1 == 1
    }

    fn mark(&mut self, granule: usize) {
        self.granules[granule / 64] |= 1 << (granule % 64);
    }

    /// Leading bits of a hash that are looked at.
    fn bits_needed(&self) -> u32 {
        self.bits.max(48 - self.bound.trailing_zeros().min(48))
    }
}

impl<E: Element> Table<E> {
    /// Has every element that is there now go to `sink`, as it is now. A sink
    /// of before gets no more.
    pub fn freeze(&mut self, sink: Box<dyn Sink<E>>) {
        let wanted = (self.len / GRANULE_LEN).max(1);
        let bits = wanted.ilog2().min(GRANULE_BITS_MAX);
        self.frozen = Some(Box::new(Frozen {
            sink,
            bound: 0,
            granules: vec![0; (1usize << bits).div_ceil(64)],
            bits,
        }));
    }

    /// Whether elements are still to go to a sink.
    #[inline]
    pub fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// Whether a change of the element of this hash concerns a sink.
    #[inline]
    pub fn is_owed(&self, hash: u64) -> bool {
        match &self.frozen {
            None => false,
            Some(frozen) => !frozen.has_saved(hash),
        }
    }

    /// Hands the element of a hash over before it changes, with its granule.
    /// Changes through the table do so by themselves.
    #[inline]
    pub fn preserve(&mut self, hash: u64) {
        if self.is_owed(hash) {
            self.preserve_granule(hash);
        }
    }

    #[cold]
    fn preserve_granule(&mut self, hash: u64) {
        let Some(mut frozen) = self.frozen.take() else {
            return;
        };
        let granule = frozen.granule(hash);
        let shift = 64 - frozen.bits;
        let first = if frozen.bits == 0 {
            0
        } else {
            (granule as u64) << shift
        };
        let last = first | u64::MAX.wrapping_shr(frozen.bits);
        let mut cursor = first >> 16;
        loop {
            cursor = self.put_unsaved(&mut frozen, cursor, Some(granule));
            if cursor == 0 || cursor > last >> 16 {
                break;
            }
        }
        frozen.mark(granule);
        self.frozen = Some(frozen);
    }

    /// Hands over what is owed of the bucket at a cursor (of one granule, or
    /// all); gives the next cursor.
    fn put_unsaved(&self, frozen: &mut Frozen<E>, cursor: u64, only: Option<usize>) -> u64 {
        let needed = frozen.bits_needed();
        self.scan_words(cursor, |known, known_bits, word| {
            let Some(element) = view::<E>(word) else {
                return;
            };
            let hash = if known_bits < needed {
                self.hasher.hash(element.key())
            } else {
                known
            };
            let meant = only.is_none_or(|granule| frozen.granule(hash) == granule);
            if meant && !frozen.has_saved(hash) {
                frozen.sink.put(element);
            }
        })
    }

    /// Hands over the elements of about the next `buckets` buckets that were
    /// not yet; true when that was all, and the table is frozen no longer.
    pub fn thaw(&mut self, buckets: usize) -> bool {
        let Some(mut frozen) = self.frozen.take() else {
            return true;
        };
        for _ in 0..buckets {
            self.prefetch_ahead(frozen.bound);
            let cursor = frozen.bound;
            frozen.bound = self.put_unsaved(&mut frozen, cursor, None);
            if frozen.bound == 0 {
                return true;
            }
        }
        self.frozen = Some(frozen);
        false
    }

    /// Hands over the rest.
    pub fn thaw_all(&mut self) {
        while !self.thaw(usize::MAX) {}
    }

    /// Gives up what is still owed (the snapshot failed).
    pub fn forget_frozen(&mut self) {
        self.frozen = None;
    }
}
