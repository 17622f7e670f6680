//! A member of a big collection, in one allocation: a set's member, a hash's
//! field with its value, a sorted set's member with its score.
//!
//! Layout, from the start of the allocation:
//! ```text
//! 0       what follows: LONG_KEY, LONG_VALUE, VALUE or SCORE, HAS_EXPIRE
//! 1..     key length (1 byte, or 8 with LONG_KEY)
//! ..      value length (1 byte, or 8 with LONG_VALUE; only with VALUE)
//! ..      key bytes
//! ..      value bytes (with VALUE) or score (8, with SCORE)
//! (8      expiry, Unix milliseconds, only with HAS_EXPIRE)
//! ```
//! Unsafe invariants: a [`Member`] owns its allocation, whose size is in the
//! size class of [`MemberRef::layout_size`]; all fields are initialised from
//! creation to drop; a [`MemberRef`] is only used while its member lives,
//! which the collections that own both see to.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use super::table::{Element, View};
use crate::util::prefetch;
use crate::util::relocate::Mover;
use crate::util::size_class::size_class;

const LONG_KEY: u8 = 1;
const LONG_VALUE: u8 = 1 << 1;
const VALUE: u8 = 1 << 2;
const SCORE: u8 = 1 << 3;
const HAS_EXPIRE: u8 = 1 << 4;
/// Lengths from here on take 8 bytes instead of one.
const LONG: usize = 256;

/// What a member has beside its name.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Payload<'a> {
    /// Nothing: a set.
    None,
    /// A value: a hash.
    Value(&'a [u8]),
    /// A score: a sorted set.
    Score(f64),
}

impl Payload<'_> {
    fn flags(self) -> u8 {
        match self {
            Payload::None => 0,
            Payload::Value(value) if value.len() >= LONG => VALUE | LONG_VALUE,
            Payload::Value(_) => VALUE,
            Payload::Score(_) => SCORE,
        }
    }

    /// Bytes that it takes, its length field included.
    fn size(self) -> usize {
        match self {
            Payload::None => 0,
            Payload::Value(value) => length_size(value.len()) + value.len(),
            Payload::Score(_) => 8,
        }
    }
}

/// Bytes of a length field.
fn length_size(len: usize) -> usize {
    if len >= LONG { 8 } else { 1 }
}

fn layout(size: usize) -> Layout {
    match Layout::from_size_align(size_class(size), 8) {
        Ok(layout) => layout,
        Err(_) => handle_alloc_error(Layout::new::<u64>()),
    }
}

/// An owned member. Read it through [`Member::as_ref`].
pub struct Member {
    at: NonNull<u8>,
}

// SAFETY: a member owns all that it points to.
unsafe impl Send for Member {}

/// A borrowed member.
#[derive(Clone, Copy)]
pub struct MemberRef<'a> {
    at: NonNull<u8>,
    collection: PhantomData<&'a Member>,
}

// SAFETY: only a pointer; the executor is alone with what it points to.
unsafe impl Send for MemberRef<'_> {}

impl Member {
    /// A member without expiry.
    pub fn new(key: &[u8], payload: Payload<'_>) -> Member {
        let size = 1 + length_size(key.len()) + key.len() + payload.size();
        let layout = layout(size);
        // SAFETY: the layout is not empty; `fill` writes every field of it.
        unsafe {
            let Some(at) = NonNull::new(alloc(layout)) else {
                handle_alloc_error(layout)
            };
            let member = Member { at };
            member.fill(key, payload);
            member
        }
    }

    /// Writes flags, lengths, key and payload.
    ///
    /// # Safety
    /// The allocation has room for them.
    unsafe fn fill(&self, key: &[u8], payload: Payload<'_>) {
        let long = if key.len() >= LONG { LONG_KEY } else { 0 };
        // SAFETY: the caller's promise.
        unsafe {
            let mut at = self.at.as_ptr();
            at.write(long | payload.flags());
            at = write_length(at.add(1), key.len());
            if let Payload::Value(value) = payload {
                at = write_length(at, value.len());
            }
            ptr::copy_nonoverlapping(key.as_ptr(), at, key.len());
            at = at.add(key.len());
            match payload {
                Payload::None => {}
                Payload::Value(value) => {
                    ptr::copy_nonoverlapping(value.as_ptr(), at, value.len());
                }
                Payload::Score(score) => at.cast::<f64>().write_unaligned(score),
            }
        }
    }

    /// The member where the mover wants it. `note` is told of a move, while
    /// both are there: where it was, where it is now.
    pub fn relocated(
        self,
        mover: &mut Mover,
        note: impl FnOnce(MemberRef<'_>, MemberRef<'_>),
    ) -> Member {
        let layout = layout(self.as_ref().layout_size());
        // SAFETY: a member owns its allocation, which has this layout; the old
        // one is given up before it is freed.
        unsafe {
            let Some(at) = mover.copied(self.at, layout) else {
                return self;
            };
            let new = Member { at };
            note(self.as_ref(), new.as_ref());
            let old = self.at;
            std::mem::forget(self);
            Mover::free(old, layout);
            new
        }
    }

    /// The member for reading.
    #[inline]
    pub fn as_ref(&self) -> MemberRef<'_> {
        MemberRef {
            at: self.at,
            collection: PhantomData,
        }
    }

    /// Replaces the value; name and expiry stay. In place where it fits.
    pub fn replace_value(self, value: &[u8]) -> Member {
        let old = self.as_ref();
        let payload = Payload::Value(value);
        let (old_start, old_len) = old.value_range();
        let expire = old.expire();
        if length_size(old_len) == length_size(value.len()) && old.flags() & VALUE != 0 {
            let new_size = old_start + value.len() + if expire.is_some() { 8 } else { 0 };
            let member = self.resized(new_size);
            // SAFETY: resized made room; the length field keeps its width.
            unsafe {
                let raw = member.at.as_ptr();
                let length_at = 1 + length_size(member.as_ref().key_len());
                write_length(raw.add(length_at), value.len());
                ptr::copy_nonoverlapping(value.as_ptr(), raw.add(old_start), value.len());
                if let Some(at_ms) = expire {
                    raw.add(new_size - 8).cast::<i64>().write_unaligned(at_ms);
                }
            }
            return member;
        }
        Member::new(old.key(), payload).replace_expire(expire)
    }

    /// Sets or removes the expiry, Unix milliseconds.
    pub fn replace_expire(self, at_ms: Option<i64>) -> Member {
        let old = self.as_ref();
        let had = old.flags() & HAS_EXPIRE != 0;
        let bare = old.layout_size() - if had { 8 } else { 0 };
        let member = self.resized(bare + if at_ms.is_some() { 8 } else { 0 });
        // SAFETY: resized made room for the expiry behind the rest.
        unsafe {
            let flags = member.at.as_ptr();
            match at_ms {
                Some(at_ms) => {
                    flags.write(flags.read() | HAS_EXPIRE);
                    flags.add(bare).cast::<i64>().write_unaligned(at_ms);
                }
                None => flags.write(flags.read() & !HAS_EXPIRE),
            }
        }
        member
    }

    /// The same bytes in an allocation for `new_size`.
    fn resized(self, new_size: usize) -> Member {
        let old_size = self.as_ref().layout_size();
        if size_class(old_size) == size_class(new_size) {
            return self;
        }
        let raw = self.at.as_ptr();
        std::mem::forget(self);
        // SAFETY: raw was allocated in the class of old_size; new_size > 0.
        let moved = unsafe { realloc(raw, layout(old_size), layout(new_size).size()) };
        let Some(at) = NonNull::new(moved) else {
            handle_alloc_error(layout(new_size))
        };
        Member { at }
    }
}

/// # Safety
/// There is room for the length at `at`.
unsafe fn write_length(at: *mut u8, len: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe {
        if len >= LONG {
            at.cast::<u64>().write_unaligned(len as u64);
            at.add(8)
        } else {
            at.write(len as u8);
            at.add(1)
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let size = self.as_ref().layout_size();
        // SAFETY: the allocation is in the size class of layout_size.
        unsafe { dealloc(self.at.as_ptr(), layout(size)) }
    }
}

// SAFETY: allocations are 8-byte aligned and user space addresses have 48
// bits; the key is written at creation and never changed.
unsafe impl Element for Member {
    type View<'a> = MemberRef<'a>;

    #[inline]
    fn into_raw(self) -> u64 {
        let address = self.at.as_ptr() as u64;
        std::mem::forget(self);
        address
    }

    #[inline]
    unsafe fn from_raw(address: u64) -> Member {
        // SAFETY: the caller's promise; into_raw never gives zero.
        Member {
            at: unsafe { NonNull::new_unchecked(address as *mut u8) },
        }
    }

    #[inline]
    unsafe fn view<'a>(address: u64) -> MemberRef<'a> {
        // SAFETY: the caller's promise.
        MemberRef {
            at: unsafe { NonNull::new_unchecked(address as *mut u8) },
            collection: PhantomData,
        }
    }
}

impl<'a> View<'a> for MemberRef<'a> {
    #[inline]
    fn key(self) -> &'a [u8] {
        MemberRef::key(self)
    }

    #[inline]
    fn expires(self) -> bool {
        self.flags() & HAS_EXPIRE != 0
    }
}

impl<'a> MemberRef<'a> {
    #[inline]
    fn flags(self) -> u8 {
        // SAFETY: the first byte of every member.
        unsafe { self.at.as_ptr().read() }
    }

    /// # Safety
    /// A length field of this width lies at `offset`.
    #[inline]
    unsafe fn length_at(self, offset: usize, long: bool) -> usize {
        // SAFETY: the caller's promise.
        unsafe {
            let at = self.at.as_ptr().add(offset);
            if long {
                at.cast::<u64>().read_unaligned() as usize
            } else {
                usize::from(at.read())
            }
        }
    }

    #[inline]
    fn key_len(self) -> usize {
        // SAFETY: the key length follows the flags.
        unsafe { self.length_at(1, self.flags() & LONG_KEY != 0) }
    }

    /// Offset and length of the key.
    #[inline]
    fn key_range(self) -> (usize, usize) {
        let len = self.key_len();
        let mut start = 1 + length_size(len);
        let flags = self.flags();
        if flags & VALUE != 0 {
            start += if flags & LONG_VALUE != 0 { 8 } else { 1 };
        }
        (start, len)
    }

    /// Offset and length of the value (8 for a score, 0 for neither).
    #[inline]
    fn value_range(self) -> (usize, usize) {
        let (start, len) = self.key_range();
        let flags = self.flags();
        let value_len = if flags & VALUE != 0 {
            let long = flags & LONG_VALUE != 0;
            // SAFETY: VALUE says that the length lies right before the key.
            unsafe { self.length_at(start - if long { 8 } else { 1 }, long) }
        } else if flags & SCORE != 0 {
            8
        } else {
            0
        };
        (start + len, value_len)
    }

    fn layout_size(self) -> usize {
        let (start, len) = self.value_range();
        start + len + if self.flags() & HAS_EXPIRE != 0 { 8 } else { 0 }
    }

    /// The member's name, the hash's field.
    #[inline]
    pub fn key(self) -> &'a [u8] {
        let (start, len) = self.key_range();
        // SAFETY: key bytes are initialised and live as long as the member.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr().add(start), len) }
    }

    /// The value of a field; empty for other members.
    #[inline]
    pub fn value(self) -> &'a [u8] {
        let (start, len) = self.value_range();
        if self.flags() & VALUE == 0 {
            return &[];
        }
        // SAFETY: as for the key.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr().add(start), len) }
    }

    /// The score; 0 for members without.
    #[inline]
    pub fn score(self) -> f64 {
        if self.flags() & SCORE == 0 {
            return 0.0;
        }
        // SAFETY: SCORE says that 8 bytes follow the key.
        unsafe {
            let at = self.at.as_ptr().add(self.value_range().0);
            at.cast::<f64>().read_unaligned()
        }
    }

    /// Gives a member that has a score another one, in place. Members are only
    /// touched by the one executor, and no reference to a score is ever made.
    #[inline]
    pub fn set_score(self, score: f64) {
        assert!(self.flags() & SCORE != 0, "a member without a score");
        // SAFETY: as in score().
        unsafe {
            let at = self.at.as_ptr().add(self.value_range().0);
            at.cast::<f64>().write_unaligned(score);
        }
    }

    /// When the member expires, Unix milliseconds.
    pub fn expire(self) -> Option<i64> {
        if self.flags() & HAS_EXPIRE == 0 {
            return None;
        }
        // SAFETY: the flag says that the last 8 bytes are the expiry.
        unsafe {
            let at = self.at.as_ptr().add(self.layout_size() - 8);
            Some(at.cast::<i64>().read_unaligned())
        }
    }

    /// Asks for the first bytes to be brought into the cache.
    #[inline]
    pub fn prefetch(self) {
        prefetch::line(self.at.as_ptr() as u64);
    }

    /// Bytes of the allocation, as the allocator rounds them.
    pub fn allocated_bytes(self) -> usize {
        size_class(self.layout_size())
    }

    /// The same member for as long as the caller's collection keeps it: the
    /// collection owns member and reference, and drops the reference first.
    ///
    /// # Safety
    /// The member outlives all uses of the result.
    #[inline]
    pub unsafe fn unbound<'b>(self) -> MemberRef<'b> {
        MemberRef {
            at: self.at,
            collection: PhantomData,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_name_value_and_expiry_through_every_change() {
        for key_len in [0, 1, 13, 255, 256, 70_000] {
            let key = vec![b'k'; key_len];
            let mut member = Member::new(&key, Payload::Value(b"first"));
            for round in 0..300usize {
                let value = vec![b'0' + (round % 10) as u8; round * 7 % 600];
                member = member.replace_value(&value);
                let expire = (round % 3 == 0).then_some(round as i64);
                member = member.replace_expire(expire);
                assert_eq!(member.as_ref().key(), key);
                assert_eq!(member.as_ref().value(), value);
                assert_eq!(member.as_ref().expire(), expire);
                member = member.replace_value(b"between");
                assert_eq!(member.as_ref().value(), b"between");
                assert_eq!(member.as_ref().expire(), expire);
            }
        }
    }

    #[test]
    fn scores_change_in_place() {
        let member = Member::new(b"name", Payload::Score(1.5));
        assert_eq!(member.as_ref().score(), 1.5);
        member.as_ref().set_score(-0.25);
        assert_eq!(
            (member.as_ref().key(), member.as_ref().score()),
            (&b"name"[..], -0.25)
        );
        assert_eq!(member.as_ref().value(), b"");
    }

    #[test]
    fn small_members_have_no_slack() {
        let size = |key: &[u8], payload| Member::new(key, payload).as_ref().allocated_bytes();
        assert_eq!(size(&[0; 14], Payload::None), 16);
        assert_eq!(size(&[0; 13], Payload::Value(&[0; 16])), 32);
        assert_eq!(size(&[0; 22], Payload::Score(1.0)), 32);
    }
}
