//! Moving the memory of a table together, bucket by bucket.

use super::shard::{EXPIRES, Shard, owned, word_of};
use super::{Element, Table};
use crate::util::relocate::Mover;

impl<E: Element> Table<E> {
    /// Gives the elements of the bucket at `cursor`, and a shard whose first
    /// bucket that is, to the mover; gives the cursor to go on with, as
    /// [`Table::scan`] does. `element` gives back the same element, perhaps in
    /// another allocation. Nothing of this concerns a running snapshot.
    pub fn relocate(
        &mut self,
        cursor: u64,
        mover: &mut Mover,
        mut element: impl FnMut(E, &mut Mover) -> E,
    ) -> u64 {
        let bound = cursor << 16;
        let Some(mut shard) = self.shard(bound) else {
            return 0;
        };
        self.prefetch_ahead(cursor);
        let home = shard.home(Table::<E>::pos(shard, bound));
        if home == 0
            && let Some(moved) = shard.relocated(mover)
        {
            self.point(bound, moved);
            shard = moved;
        }
        let bucket = shard.bucket(home);
        for word in bucket.slots.iter_mut().filter(|word| **word != 0) {
            let new = word_of(element(owned::<E>(*word), mover), *word >> 48);
            assert_eq!(new & EXPIRES, *word & EXPIRES, "another element");
            *word = new;
        }
        Table::<E>::bound_after(shard, bound, home)
    }

    /// The cursor behind bucket `home` of the shard that `bound` is in.
    pub(super) fn bound_after(shard: Shard, bound: u64, home: usize) -> u64 {
        let depth = u32::from(shard.depth());
        let prefix = if depth == 0 {
            0
        } else {
            bound >> (64 - depth) << (64 - depth)
        };
        // The first position that belongs to the next bucket.
        let buckets = shard.buckets() as u64;
        let next = ((home as u64 + 1) << 16).div_ceil(buckets);
        let step = u128::from(next) << (48 - depth);
        let bound = u128::from(prefix) + step;
        (bound >> 16) as u64 & (u64::MAX >> 16)
    }
}
