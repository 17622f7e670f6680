//! Moving allocations together, so that pages which hold little become free.
//!
//! The allocator cuts runs of pages ("slabs") into regions of one size. A slab
//! stays as long as any of its regions is in use, so after much coming and
//! going there are many slabs with few. [`Mover`] asks the allocator how full
//! the slab of an allocation is, and moves it when the slab is no fuller than
//! the average of its size: new regions come from the oldest slabs that have
//! room, so the fuller ones fill up and the others become empty.
//!
//! Moving bytes is all that moving is in Rust; what this file has to see to is
//! that nobody else knows the old address: it is only handed owners.
//!
//! Unsafe invariants: what [`Mover::moved`] is given is an allocation of the
//! global allocator, with the layout that it was made with (or one of the same
//! size class), and the caller has the only reference.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// Longer allocations have pages of their own (jemalloc: SC_SMALL_MAXCLASS).
const SMALL_BYTES_MAX: usize = 14 * 1024;
/// Slabs with up to 1/8 more than the average in use count as average, else
/// nothing would move where all are alike.
const TOLERANCE: usize = 8;

/// Moves allocations, and counts what it did.
#[derive(Default, Debug)]
pub struct Mover {
    /// Allocations moved.
    pub hits: u64,
    /// Allocations looked at that stay where they are.
    pub misses: u64,
}

/// How an allocation's slab and the slabs of that size are used.
#[cfg_attr(fuzzing, allow(dead_code))]
#[derive(Clone, Copy, Default, Debug)]
#[repr(C)]
struct Utilization {
    /// The slab that the next allocation comes from.
    current_slab: usize,
    /// Free regions of the slab.
    free: usize,
    /// Regions of the slab; 1 where it is no slab.
    regions: usize,
    /// Bytes of the slab.
    bytes: usize,
    /// Free regions of all slabs of this size.
    all_free: usize,
    /// Regions of all slabs of this size.
    all_regions: usize,
}

impl Utilization {
    /// Whether an allocation in such a slab is better elsewhere.
    fn is_poor(&self, at: usize) -> bool {
        let in_current = at.wrapping_sub(self.current_slab) < self.bytes;
        let is_slab = self.regions > 1 && self.all_regions > 0;
        // Nothing is won where all that is free does not make up a slab, or is
        // hardly anything.
        let worth_it = self.all_free >= self.regions && self.all_free > self.all_regions / 64;
        if !is_slab || self.free == 0 || in_current || !worth_it {
            return false;
        }
        let slabs = self.all_regions / self.regions;
        let used = (self.regions - self.free) as u128 * slabs as u128;
        let all_used = (self.all_regions - self.all_free) as u128;
        used <= all_used + all_used / TOLERANCE as u128
    }
}

impl Mover {
    /// The allocation's bytes at a better place; the old one is free then.
    /// None when it is well where it is.
    ///
    /// # Safety
    /// See the module.
    pub unsafe fn moved(&mut self, at: NonNull<u8>, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: the caller's promise.
        unsafe {
            let new = self.copied(at, layout)?;
            Mover::free(at, layout);
            Some(new)
        }
    }

    /// A copy of the allocation's bytes at a better place, for callers that
    /// still have to see to the old one: it is to be freed by [`Mover::free`].
    /// None when it is well where it is.
    ///
    /// # Safety
    /// See the module.
    pub unsafe fn copied(&mut self, at: NonNull<u8>, layout: Layout) -> Option<NonNull<u8>> {
        if layout.size() == 0 || layout.size() > SMALL_BYTES_MAX {
            return None;
        }
        let poor = allocator::utilization(at).is_some_and(|u| u.is_poor(at.as_ptr().addr()));
        let new = if poor {
            allocator::allocate_beside(at, layout)
        } else {
            None
        };
        let Some(new) = new else {
            self.misses += 1;
            return None;
        };
        self.hits += 1;
        // SAFETY: both have this size, and the new one is nobody's yet.
        unsafe {
            std::ptr::copy_nonoverlapping(at.as_ptr(), new.as_ptr(), layout.size());
        }
        Some(new)
    }

    /// Frees what was copied. Not through the thread's cache: that would hand
    /// the same bad place out next.
    ///
    /// # Safety
    /// See the module; nobody uses the allocation any more.
    pub unsafe fn free(at: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { allocator::free(at, layout) }
    }

    /// Moves what a box holds.
    pub fn boxed<T>(&mut self, boxed: &mut Box<T>) {
        let at = NonNull::from(&mut **boxed).cast::<u8>();
        // SAFETY: a box owns an allocation of its type's layout; nothing comes
        // between its end and the new address being written over the old.
        unsafe {
            if let Some(new) = self.moved(at, Layout::new::<T>()) {
                std::ptr::write(boxed, Box::from_raw(new.cast::<T>().as_ptr()));
            }
        }
    }

    /// Moves what a vector holds.
    pub fn vec<T>(&mut self, vec: &mut Vec<T>) {
        let Ok(layout) = Layout::array::<T>(vec.capacity()) else {
            return;
        };
        let mut old = ManuallyDrop::new(std::mem::take(vec));
        let (len, capacity) = (old.len(), old.capacity());
        let at = NonNull::from(&mut **old).cast::<u8>();
        // SAFETY: a vector owns an allocation of this layout (an empty one is
        // not looked at), and the new vector takes its place.
        unsafe {
            let new = self.moved(at, layout).unwrap_or(at);
            *vec = Vec::from_raw_parts(new.cast::<T>().as_ptr(), len, capacity);
        }
    }

    /// Moves the bytes of a boxed slice.
    pub fn slice<T>(&mut self, slice: &mut Box<[T]>) {
        let mut vec = std::mem::take(slice).into_vec();
        self.vec(&mut vec);
        *slice = vec.into_boxed_slice();
    }
}

#[cfg(not(fuzzing))]
mod allocator {
    //! What has to be asked of jemalloc beyond the global allocator.

    use std::alloc::Layout;
    use std::ffi::{CStr, c_int, c_void};
    use std::ptr::{NonNull, null_mut};
    use std::sync::OnceLock;

    use tikv_jemalloc_sys as jemalloc;

    use super::Utilization;

    /// The number of a control, so that its name is looked up but once.
    fn control<const N: usize>(
        known: &'static OnceLock<Option<[usize; N]>>,
        name: &CStr,
    ) -> Option<&'static [usize; N]> {
        let look_up = || {
            let (mut numbers, mut len) = ([0; N], N);
            // SAFETY: the allocator writes at most len numbers.
            let failed = unsafe {
                jemalloc::mallctlnametomib(name.as_ptr(), numbers.as_mut_ptr(), &mut len)
            };
            (failed == 0 && len == N).then_some(numbers)
        };
        known.get_or_init(look_up).as_ref()
    }

    /// Asks a control about an address.
    fn ask<const N: usize, T: Default>(control: &[usize; N], at: NonNull<u8>) -> Option<T> {
        let (mut answer, mut size) = (T::default(), size_of::<T>());
        let mut address = at.as_ptr().cast::<c_void>();
        // SAFETY: both controls take an address and refuse answers of another
        // size than theirs.
        let failed = unsafe {
            jemalloc::mallctlbymib(
                control.as_ptr(),
                N,
                (&raw mut answer).cast(),
                &mut size,
                (&raw mut address).cast(),
                size_of::<*mut c_void>(),
            )
        };
        (failed == 0).then_some(answer)
    }

    /// How the slab of an allocation is used.
    pub(super) fn utilization(at: NonNull<u8>) -> Option<Utilization> {
        static CONTROL: OnceLock<Option<[usize; 3]>> = OnceLock::new();
        ask(control(&CONTROL, c"experimental.utilization.query")?, at)
    }

    /// See [`super::flush_thread_cache`].
    pub(super) fn flush_thread_cache() -> bool {
        // SAFETY: this control takes and gives nothing.
        let failed = unsafe {
            jemalloc::mallctl(
                c"thread.tcache.flush".as_ptr(),
                null_mut(),
                null_mut(),
                null_mut(),
                0,
            )
        };
        failed == 0
    }

    fn flags(layout: Layout) -> c_int {
        let plain = layout.align() <= 16 && layout.align() <= layout.size();
        let align = if plain {
            0
        } else {
            jemalloc::MALLOCX_ALIGN(layout.align())
        };
        align | jemalloc::MALLOCX_TCACHE_NONE
    }

    /// New memory from the arena that an allocation is from.
    pub(super) fn allocate_beside(at: NonNull<u8>, layout: Layout) -> Option<NonNull<u8>> {
        static CONTROL: OnceLock<Option<[usize; 2]>> = OnceLock::new();
        let arena: u32 = ask(control(&CONTROL, c"arenas.lookup")?, at)?;
        let flags = flags(layout) | jemalloc::MALLOCX_ARENA(arena as usize);
        // SAFETY: the layout is not empty.
        let new = unsafe { jemalloc::mallocx(layout.size(), flags) };
        debug_assert_ne!(new, null_mut());
        NonNull::new(new.cast())
    }

    /// Frees memory.
    ///
    /// # Safety
    /// It is the allocator's, was got with this layout and is not used again.
    pub(super) unsafe fn free(at: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { jemalloc::sdallocx(at.as_ptr().cast(), layout.size(), flags(layout)) }
    }
}

#[cfg(fuzzing)]
mod allocator {
    //! Under a fuzzer's allocator nothing moves.

    use std::alloc::Layout;
    use std::ptr::NonNull;

    use super::Utilization;

    pub(super) fn utilization(_: NonNull<u8>) -> Option<Utilization> {
        None
    }

    pub(super) fn allocate_beside(_: NonNull<u8>, _: Layout) -> Option<NonNull<u8>> {
        None
    }

    pub(super) fn flush_thread_cache() -> bool {
        false
    }

    pub(super) unsafe fn free(at: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { std::alloc::dealloc(at.as_ptr(), layout) }
    }
}

/// Gives what this thread has cached back to the allocator's slabs; false when
/// the allocator refuses.
pub fn flush_thread_cache() -> bool {
    allocator::flush_thread_cache()
}

/// Whether allocations can be moved to any effect.
pub const SUPPORTED: bool = cfg!(not(fuzzing));

#[cfg(test)]
mod tests {
    use super::*;

    fn pages_used(held: &[Box<[u8; 400]>]) -> usize {
        let pages = held
            .iter()
            .map(|item| std::ptr::from_ref(&**item).addr() / 4096);
        let mut pages: Vec<_> = pages.collect();
        pages.sort_unstable();
        pages.dedup();
        pages.len()
    }

    #[test]
    fn sparse_slabs_become_empty() {
        let mut held: Vec<_> = (0..40_000_u32).map(|n| Box::new([n as u8; 400])).collect();
        let mut keep = 0;
        held.retain(|_| {
            keep += 1;
            keep % 4 == 0
        });
        let before = pages_used(&held);
        let mut mover = Mover::default();
        for _ in 0..3 {
            held.iter_mut().for_each(|item| mover.boxed(item));
        }
        let after = pages_used(&held);
        assert!(mover.hits > 1000 && after * 2 < before, "{before} {after}");
        for (at, item) in held.iter().enumerate() {
            let byte = (at * 4 + 3) as u8;
            assert!(item.iter().all(|found| *found == byte));
        }
    }

    #[test]
    fn contents_stay_whether_they_move_or_not() {
        let mut mover = Mover::default();
        let mut held: Vec<Vec<u8>> = (0..3000).map(|n| vec![n as u8; n]).collect();
        for n in (0..3000).filter(|n| n % 3 != 0) {
            held[n] = Vec::new();
        }
        held.iter_mut().for_each(|vec| mover.vec(vec));
        for (n, vec) in held.into_iter().enumerate().filter(|(n, _)| n % 3 == 0) {
            let mut slice = vec.into_boxed_slice();
            mover.slice(&mut slice);
            assert_eq!(*slice, vec![n as u8; n]);
        }
        let mut nothing: Vec<u64> = Vec::new();
        mover.vec(&mut nothing);
        assert!(nothing.is_empty() && mover.hits + mover.misses > 1000);
    }
}
