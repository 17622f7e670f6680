//! One key with its value, in one allocation.
//!
//! Layout, from the start of the allocation (8-byte aligned):
//! ```text
//! 0       kind (low 4 bits) and flags (high 4 bits)
//! 1..4    access clock, 24 bits (LRU seconds, or LFU minutes and counter)
//! 4..6    key length, or 0xffff when LONG_KEY
//! 6..8    value length of inline bytes, else 0
//! (8      key length, only with LONG_KEY)
//! ..      key bytes
//! ..      value: inline bytes (a string or a packed collection), an integer
//!         (8), or a pointer (8)
//! (8      expiry, Unix milliseconds, only with HAS_EXPIRE)
//! ```
//! Fields behind the header are unaligned. The expiry stands last, so that it
//! comes and goes without moving the rest, and often without a new allocation:
//! 16-byte key and value with an expiry fill the 48-byte size class exactly.
//!
//! Unsafe invariants: an [`Entry`] owns its allocation and, for a boxed kind,
//! the box that the pointer field came from; the allocation's size is in the
//! allocator size class of [`layout_size`]; header, key and value fields stay
//! initialised from creation to drop.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use crate::encoding::table::{Element, View};
use crate::types::{Object, Packed, StrRef, Type, ValueView};
use crate::util::relocate::Mover;
use crate::util::size_class::size_class;

const HEADER: usize = 8;
const HAS_EXPIRE: u8 = 0x10;
const LONG_KEY: u8 = 0x20;
const LONG_KEY_MARK: u16 = u16::MAX;

/// Longest string value kept inside the entry, bytes; longer ones are boxed,
/// where they can be shared with output buffers.
pub const INLINE_BYTES_MAX: usize = 4096;

/// Kinds of value. All but `Boxed` live in the entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Int,
    Inline,
    Boxed,
    Packed(Packed),
}

/// The number of the first packed kind.
const PACKED: u8 = 3;

impl Kind {
    #[inline]
    const fn number(self) -> u8 {
        match self {
            Kind::Int => 0,
            Kind::Inline => 1,
            Kind::Boxed => 2,
            Kind::Packed(kind) => PACKED + kind as u8,
        }
    }
}

/// A value on its way into an entry.
pub enum NewValue<'a> {
    /// A string that is the canonical form of an integer.
    Int(i64),
    /// A string of at most [`INLINE_BYTES_MAX`] bytes.
    Inline(&'a [u8]),
    /// A packed collection of at most [`INLINE_BYTES_MAX`] bytes.
    Packed(Packed, &'a [u8]),
    /// Anything else.
    Boxed(Box<Object>),
}

/// A value as it stands in an entry.
#[derive(Clone, Copy)]
pub enum ValueRef<'a> {
    /// A string in integer form.
    Int(i64),
    /// A short immutable string.
    Inline(&'a [u8]),
    /// A small collection.
    Packed(Packed, &'a [u8]),
    /// A boxed value.
    Boxed(&'a Object),
}

impl<'a> ValueRef<'a> {
    /// The value, whatever its form.
    pub fn view(self) -> ValueView<'a> {
        match self {
            ValueRef::Int(number) => ValueView::String(StrRef::Int(number)),
            ValueRef::Inline(bytes) => ValueView::String(StrRef::Inline(bytes)),
            ValueRef::Packed(kind, bytes) => kind.view(bytes),
            ValueRef::Boxed(object) => object.view(),
        }
    }

    /// The name OBJECT ENCODING gives.
    pub fn encoding_name(self) -> &'static str {
        match self {
            ValueRef::Int(number) => StrRef::Int(number).encoding_name(),
            ValueRef::Inline(bytes) => StrRef::Inline(bytes).encoding_name(),
            ValueRef::Packed(kind, _) => kind.encoding_name(),
            ValueRef::Boxed(object) => object.encoding_name(),
        }
    }
}

impl NewValue<'_> {
    fn kind(&self) -> Kind {
        match self {
            NewValue::Int(_) => Kind::Int,
            NewValue::Inline(_) => Kind::Inline,
            NewValue::Packed(kind, _) => Kind::Packed(*kind),
            NewValue::Boxed(_) => Kind::Boxed,
        }
    }

    fn size(&self) -> usize {
        match self {
            NewValue::Inline(bytes) | NewValue::Packed(_, bytes) => bytes.len(),
            _ => 8,
        }
    }
}

fn layout(size: usize) -> Layout {
    match Layout::from_size_align(size.max(16), 8) {
        Ok(layout) => layout,
        Err(_) => handle_alloc_error(Layout::new::<u64>()),
    }
}

/// An owned key-value pair. Read it through [`Entry::view`].
pub struct Entry {
    at: NonNull<u8>,
}

// SAFETY: an entry owns all that it points to, and its contents are Send.
unsafe impl Send for Entry {}

/// A borrowed entry: a plain pointer with the table's lifetime.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    at: NonNull<u8>,
    table: PhantomData<&'a Entry>,
}

impl Entry {
    /// A new entry without expiry.
    ///
    /// # Panics
    /// When an inline value is longer than [`INLINE_BYTES_MAX`].
    pub fn new(key: &[u8], value: NewValue<'_>, clock: u32) -> Entry {
        let long = key.len() >= usize::from(LONG_KEY_MARK);
        let size = HEADER + if long { 8 } else { 0 } + key.len() + value.size();
        // SAFETY: size is at least 16; every field is written before the
        // entry is handed out, inside the allocation by the layout above.
        unsafe {
            let raw = alloc(layout(size));
            let Some(at) = NonNull::new(raw) else {
                handle_alloc_error(layout(size))
            };
            debug_assert_eq!(raw as usize >> 48, 0, "user space addresses have 48 bits");
            raw.write(if long { LONG_KEY } else { 0 });
            let short = if long {
                LONG_KEY_MARK
            } else {
                key.len() as u16
            };
            raw.add(4).cast::<u16>().write_unaligned(short);
            raw.add(6).cast::<u16>().write_unaligned(0);
            let mut key_at = raw.add(HEADER);
            if long {
                key_at.cast::<u64>().write_unaligned(key.len() as u64);
                key_at = key_at.add(8);
            }
            ptr::copy_nonoverlapping(key.as_ptr(), key_at, key.len());
            let mut entry = Entry { at };
            entry.write_value(value);
            entry.view().set_clock(clock);
            entry
        }
    }

    /// The entry for reading.
    pub fn view(&self) -> EntryRef<'_> {
        EntryRef {
            at: self.at,
            table: PhantomData,
        }
    }

    /// Replaces the value; key, clock and expiry stay. In place when the size
    /// class allows.
    pub fn replace_value(mut self, value: NewValue<'_>) -> Entry {
        let old = self.view();
        let expire = old.expire();
        let (old_size, prefix) = (old.layout_size(), old.value_offset());
        let new_size = prefix + value.size() + if expire.is_some() { 8 } else { 0 };
        self.drop_boxed();
        self.set_kind(Kind::Int); // Nothing boxed while the bytes are moved.
        self = self.resize(old_size, new_size);
        // SAFETY: resize made room for prefix, value and expiry.
        unsafe {
            self.write_value(value);
            if let Some(at_ms) = expire {
                self.at
                    .as_ptr()
                    .add(new_size - 8)
                    .cast::<i64>()
                    .write_unaligned(at_ms);
            }
        }
        self
    }

    /// Overwrites a short string in place; false when the value is of another
    /// kind or length.
    pub fn set_inline(&mut self, bytes: &[u8]) -> bool {
        let view = self.view();
        let same = view.kind() == Kind::Inline && view.value_size() == bytes.len();
        if same {
            // SAFETY: the value field has just this length, and nobody else has
            // a reference into an entry that is borrowed for change.
            unsafe {
                let at = self.at.as_ptr().add(self.view().value_offset());
                ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len());
            }
        }
        same
    }

    /// Sets or removes the expiry, Unix milliseconds.
    pub fn replace_expire(mut self, at_ms: Option<i64>) -> Entry {
        let view = self.view();
        let old_size = view.layout_size();
        let had = view.expire().is_some();
        let bare = old_size - if had { 8 } else { 0 };
        let new_size = bare + if at_ms.is_some() { 8 } else { 0 };
        self = self.resize(old_size, new_size);
        // SAFETY: the allocation has new_size bytes, the last 8 of which are
        // the expiry when there is one; the flag byte is the first.
        unsafe {
            let flags = self.at.as_ptr();
            match at_ms {
                Some(at_ms) => {
                    flags.write(flags.read() | HAS_EXPIRE);
                    self.at
                        .as_ptr()
                        .add(bare)
                        .cast::<i64>()
                        .write_unaligned(at_ms);
                }
                None => flags.write(flags.read() & !HAS_EXPIRE),
            }
        }
        self
    }

    /// The boxed value for change, or None for strings kept in the entry.
    pub fn boxed_mut(&mut self) -> Option<&mut Object> {
        if self.view().kind() != Kind::Boxed {
            return None;
        }
        // SAFETY: a boxed kind's value field holds the address of a live box
        // that this entry owns, and self is borrowed for as long.
        unsafe { Some(&mut *self.view().boxed_address()) }
    }

    /// The entry where the mover wants it, without the boxed value.
    pub fn relocated(self, mover: &mut Mover) -> Entry {
        let (at, layout) = (self.at, layout(self.view().layout_size()));
        std::mem::forget(self);
        // SAFETY: an entry owns its allocation, which has a layout of this size
        // class, and has just been given up.
        let moved = unsafe { mover.moved(at, layout) };
        Entry {
            at: moved.unwrap_or(at),
        }
    }

    /// Moves the box of a boxed value, but nothing that the value owns.
    pub fn relocate_box(&mut self, mover: &mut Mover) {
        if let Some(object) = self.take_boxed() {
            let mut object = object;
            mover.boxed(&mut object);
            self.put_boxed(object);
        }
    }

    /// Puts the value back that was taken out.
    fn put_boxed(&mut self, object: Box<Object>) {
        debug_assert_eq!(self.view().kind(), Kind::Int);
        self.set_kind(Kind::Boxed);
        // SAFETY: an integer's value field is as long as a pointer.
        unsafe {
            let at = self.at.as_ptr().add(self.view().value_offset());
            at.cast::<u64>()
                .write_unaligned(Box::into_raw(object) as u64);
        }
    }

    /// Takes the boxed value out (the entry turns into the integer 0).
    pub fn take_boxed(&mut self) -> Option<Box<Object>> {
        if self.view().kind() != Kind::Boxed {
            return None;
        }
        // SAFETY: as in boxed_mut; the kind changes, so the box has one owner.
        let taken = unsafe { Box::from_raw(self.view().boxed_address()) };
        self.set_kind(Kind::Int);
        Some(taken)
    }

    fn resize(self, old_size: usize, new_size: usize) -> Entry {
        // Where the allocator is a sanitizer's, there is no more room than was asked for.
        let stays = if cfg!(fuzzing) {
            old_size == new_size
        } else {
            size_class(old_size) == size_class(new_size)
        };
        if stays {
            return self;
        }
        let raw = self.at.as_ptr();
        std::mem::forget(self);
        // SAFETY: raw was allocated in the class of old_size; new_size > 0.
        let moved = unsafe { realloc(raw, layout(old_size), layout(new_size).size()) };
        let Some(at) = NonNull::new(moved) else {
            handle_alloc_error(layout(new_size))
        };
        Entry { at }
    }

    fn set_kind(&mut self, kind: Kind) {
        // SAFETY: the first byte is kind and flags.
        unsafe {
            let first = self.at.as_ptr();
            first.write((first.read() & 0xf0) | kind.number());
        }
    }

    /// Writes kind, value length and value.
    ///
    /// # Safety
    /// The allocation has room for the value at `value_offset`.
    unsafe fn write_value(&mut self, value: NewValue<'_>) {
        self.set_kind(value.kind());
        let offset = self.view().value_offset();
        // SAFETY: the caller's promise.
        unsafe {
            let at = self.at.as_ptr().add(offset);
            let mut inline_len = 0;
            match value {
                NewValue::Int(number) => at.cast::<i64>().write_unaligned(number),
                NewValue::Inline(bytes) | NewValue::Packed(_, bytes) => {
                    assert!(bytes.len() <= INLINE_BYTES_MAX);
                    inline_len = bytes.len() as u16;
                    ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len());
                }
                NewValue::Boxed(object) => {
                    at.cast::<u64>()
                        .write_unaligned(Box::into_raw(object) as u64);
                }
            }
            self.at
                .as_ptr()
                .add(6)
                .cast::<u16>()
                .write_unaligned(inline_len);
        }
    }

    fn drop_boxed(&mut self) {
        drop(self.take_boxed());
    }
}

// SAFETY: allocations are 8-byte aligned and user space addresses have 48
// bits; the key is written at creation and never changed.
unsafe impl Element for Entry {
    type View<'a> = EntryRef<'a>;

    #[inline]
    fn into_raw(self) -> u64 {
        let address = self.at.as_ptr() as u64;
        std::mem::forget(self);
        address
    }

    #[inline]
    unsafe fn from_raw(address: u64) -> Entry {
        // SAFETY: the caller's promise; into_raw never gives zero.
        Entry {
            at: unsafe { NonNull::new_unchecked(address as *mut u8) },
        }
    }

    #[inline]
    unsafe fn view<'a>(address: u64) -> EntryRef<'a> {
        // SAFETY: the caller's promise.
        EntryRef {
            at: unsafe { NonNull::new_unchecked(address as *mut u8) },
            table: PhantomData,
        }
    }
}

impl<'a> View<'a> for EntryRef<'a> {
    #[inline]
    fn key(self) -> &'a [u8] {
        EntryRef::key(self)
    }

    #[inline]
    fn expires(self) -> bool {
        self.flags() & HAS_EXPIRE != 0
    }

    #[inline]
    fn extent(self) -> usize {
        self.layout_size()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let size = self.view().layout_size();
        self.drop_boxed();
        // SAFETY: the allocation is in the size class of layout_size, which
        // take_boxed leaves as it was (an integer is as long as a pointer).
        unsafe { dealloc(self.at.as_ptr(), layout(size)) }
    }
}

impl<'a> EntryRef<'a> {
    fn flags(self) -> u8 {
        // SAFETY: the first byte of every entry.
        unsafe { self.at.as_ptr().read() }
    }

    fn kind(self) -> Kind {
        match self.flags() & 0x0f {
            0 => Kind::Int,
            1 => Kind::Inline,
            2 => Kind::Boxed,
            kind => Kind::Packed(Packed::ALL[usize::from(kind - PACKED)]),
        }
    }

    fn short_at(self, offset: usize) -> u16 {
        // SAFETY: only called for header offsets 4 and 6.
        unsafe { self.at.as_ptr().add(offset).cast::<u16>().read_unaligned() }
    }

    fn key_range(self) -> (usize, usize) {
        if self.flags() & LONG_KEY == 0 {
            return (HEADER, usize::from(self.short_at(4)));
        }
        // SAFETY: LONG_KEY says that the length follows the header.
        let len = unsafe { self.at.as_ptr().add(HEADER).cast::<u64>().read_unaligned() };
        (HEADER + 8, len as usize)
    }

    fn value_offset(self) -> usize {
        let (start, len) = self.key_range();
        start + len
    }

    fn value_size(self) -> usize {
        const INT: u8 = Kind::Int.number();
        const BOXED: u8 = Kind::Boxed.number();
        match self.flags() & 0x0f {
            INT | BOXED => 8,
            _ => usize::from(self.short_at(6)),
        }
    }

    fn layout_size(self) -> usize {
        let expire = if self.flags() & HAS_EXPIRE != 0 { 8 } else { 0 };
        self.value_offset() + self.value_size() + expire
    }

    fn boxed_address(self) -> *mut Object {
        // SAFETY: callers checked the kind; the field is 8 bytes long.
        unsafe {
            let field = self.at.as_ptr().add(self.value_offset());
            field.cast::<u64>().read_unaligned() as *mut Object
        }
    }

    /// The key.
    pub fn key(self) -> &'a [u8] {
        let (start, len) = self.key_range();
        // SAFETY: key bytes are initialised and live as long as the entry.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr().add(start), len) }
    }

    /// The value.
    pub fn value(self) -> ValueRef<'a> {
        // SAFETY: kind says what the value field holds; lifetimes as in key().
        unsafe {
            let at = self.at.as_ptr().add(self.value_offset());
            match self.kind() {
                Kind::Int => ValueRef::Int(at.cast::<i64>().read_unaligned()),
                Kind::Inline => ValueRef::Inline(std::slice::from_raw_parts(at, self.value_size())),
                Kind::Packed(kind) => {
                    let bytes = std::slice::from_raw_parts(at, self.value_size());
                    ValueRef::Packed(kind, bytes)
                }
                Kind::Boxed => ValueRef::Boxed(&*self.boxed_address()),
            }
        }
    }

    /// The type of the value.
    pub fn value_type(self) -> Type {
        match self.value() {
            ValueRef::Int(_) | ValueRef::Inline(_) => Type::String,
            ValueRef::Packed(kind, _) => kind.value_type(),
            ValueRef::Boxed(object) => object.value_type(),
        }
    }

    /// When the key expires, Unix milliseconds.
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

    /// The 24-bit access clock.
    pub fn clock(self) -> u32 {
        // SAFETY: bytes 0 to 3 of the header.
        unsafe { self.at.as_ptr().cast::<u32>().read() >> 8 }
    }

    /// Sets the access clock (24 bits). Entries are only touched by the one
    /// executor, and no reference into the header is ever made.
    pub fn set_clock(self, clock: u32) {
        // SAFETY: as in clock(); plain reads and writes by pointer.
        unsafe {
            let word = self.at.as_ptr().cast::<u32>();
            word.write((word.read() & 0xff) | (clock << 8));
        }
    }

    /// Overwrites an integer value in place; false when it is of another kind.
    pub fn set_int(self, number: i64) -> bool {
        if self.kind() != Kind::Int {
            return false;
        }
        // SAFETY: an integer's value field has 8 bytes.
        unsafe {
            self.at
                .as_ptr()
                .add(self.value_offset())
                .cast::<i64>()
                .write_unaligned(number);
        }
        true
    }

    /// Bytes of the entry's own allocation, as the allocator rounds them.
    pub fn allocated_bytes(self) -> usize {
        size_class(self.layout_size())
    }

    /// Bytes of key and value together, where a collection's size may be
    /// estimated from `samples` of its elements.
    pub fn memory_bytes(self, samples: usize) -> usize {
        let boxed = match self.value() {
            ValueRef::Boxed(object) => {
                size_class(size_of::<Object>()) + object.estimated_bytes(samples)
            }
            ValueRef::Int(_) | ValueRef::Inline(_) | ValueRef::Packed(..) => 0,
        };
        self.allocated_bytes() + boxed
    }

    /// The address, as DEBUG OBJECT prints it.
    pub fn address(self) -> usize {
        self.at.as_ptr() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::StrBuf;

    fn text(entry: &Entry) -> Vec<u8> {
        match entry.view().value() {
            ValueRef::Int(number) => number.to_string().into_bytes(),
            ValueRef::Inline(bytes) => bytes.to_vec(),
            ValueRef::Boxed(Object::String(string)) => string.as_slice().to_vec(),
            _ => unreachable!("only strings here"),
        }
    }

    #[test]
    fn keeps_key_value_clock_and_expiry_through_every_change() {
        for key_len in [0, 1, 16, 65534, 65535, 70000] {
            let key = vec![b'k'; key_len];
            let mut entry = Entry::new(&key, NewValue::Inline(b"value"), 0xabcdef);
            for round in 0..200usize {
                let value = vec![b'0' + (round % 10) as u8; round * 7 % 300 + 1];
                entry = match round % 3 {
                    0 => entry.replace_value(NewValue::Inline(&value)),
                    1 => entry.replace_value(NewValue::Int(round as i64)),
                    _ => entry.replace_value(NewValue::Boxed(Box::new(Object::String(
                        StrBuf::from(value.as_slice()),
                    )))),
                };
                let expire = (round % 2 == 0).then_some(round as i64 + 1_000_000_000_000);
                entry = entry.replace_expire(expire);
                assert_eq!(entry.view().key(), key);
                assert_eq!(entry.view().expire(), expire);
                assert_eq!(entry.view().clock(), 0xabcdef);
                match round % 3 {
                    1 => assert_eq!(text(&entry), round.to_string().into_bytes()),
                    _ => assert_eq!(text(&entry), value),
                }
            }
        }
    }

    #[test]
    fn small_entries_have_no_slack() {
        let entry = Entry::new(&[b'k'; 16], NewValue::Inline(&[b'v'; 16]), 0);
        assert_eq!(entry.view().allocated_bytes(), 48);
        assert_eq!(entry.replace_expire(Some(1)).view().allocated_bytes(), 48);
    }
}
