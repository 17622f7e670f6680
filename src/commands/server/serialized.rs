//! How many bytes a value takes in a snapshot (DEBUG OBJECT).

use crate::encoding::listpack::Item;
use crate::keyspace::entry::EntryRef;
use crate::keyspace::{Str, ValueKind};
use crate::types::{Hash, HashRef, Set, SetRef};
use crate::util::num;

/// Bytes of the value in a snapshot, without compression.
pub(super) fn serialized_bytes(entry: EntryRef<'_>) -> usize {
    let value = entry.value();
    if let Some(string) = Str::of(value) {
        return text_bytes(string.bytes(&mut itoa::Buffer::new()));
    }
    match (Set::of(value), Hash::of(value)) {
        (Some(SetRef::Ints(ints)), _) => blob_bytes(ints.bytes().len()),
        (Some(set), _) => length_bytes(set.len()) + set.iter().map(item_bytes).sum::<usize>(),
        (_, Some(HashRef::Packed(pack))) => blob_bytes(pack.bytes().len()),
        (_, Some(hash)) => {
            let pairs = hash.iter();
            let pairs = pairs.map(|(field, value)| item_bytes(field) + item_bytes(value));
            length_bytes(hash.len()) + pairs.sum::<usize>()
        }
        _ => 0,
    }
}

fn item_bytes(item: Item<'_>) -> usize {
    text_bytes(item.text(&mut itoa::Buffer::new()))
}

/// Bytes of a text, which may be stored as an integer.
fn text_bytes(text: &[u8]) -> usize {
    // Short texts that read as an integer of up to 32 bits are.
    if text.len() <= 11
        && let Some(number) = num::canonical_i64(text)
    {
        if i8::try_from(number).is_ok() {
            return 2;
        } else if i16::try_from(number).is_ok() {
            return 3;
        } else if i32::try_from(number).is_ok() {
            return 5;
        }
    }
    blob_bytes(text.len())
}

fn blob_bytes(len: usize) -> usize {
    length_bytes(len) + len
}

fn length_bytes(len: usize) -> usize {
    match len {
        0..64 => 1,
        64..16384 => 2,
        _ => 5,
    }
}
