//! How many bytes a value takes in a snapshot (DEBUG OBJECT).

use crate::encoding::listpack::Item;
use crate::keyspace::entry::EntryRef;
use crate::keyspace::{Str, ValueKind};
use crate::types::{Direction, Hash, HashRef, List, ListRef, Set, SetRef, Type, Zset, ZsetRef};
use crate::util::num;

/// Bytes of the value in a snapshot, without compression.
pub(super) fn serialized_bytes(entry: EntryRef<'_>) -> usize {
    let value = entry.value();
    let bytes = match entry.value_type() {
        Type::String => Str::of(value).map(|text| text_bytes(text.bytes(&mut itoa::Buffer::new()))),
        Type::List => List::of(value).map(list_bytes),
        Type::Set => Set::of(value).map(set_bytes),
        Type::Zset => Zset::of(value).map(zset_bytes),
        Type::Hash => Hash::of(value).map(hash_bytes),
    };
    bytes.unwrap_or(0)
}

fn list_bytes(list: ListRef<'_>) -> usize {
    // Each node begins with its kind.
    match list {
        ListRef::Packed(pack) => length_bytes(1) + 1 + blob_bytes(pack.bytes().len()),
        ListRef::Quick(quick) => {
            let nodes = quick.nodes().map(|node| 1 + blob_bytes(node.bytes_len()));
            length_bytes(quick.nodes_len()) + nodes.sum::<usize>()
        }
    }
}

fn set_bytes(set: SetRef<'_>) -> usize {
    match set {
        SetRef::Ints(ints) => blob_bytes(ints.bytes().len()),
        // Redis knows no packed sets of texts.
        set => length_bytes(set.len()) + set.iter().map(item_bytes).sum::<usize>(),
    }
}

fn zset_bytes(zset: ZsetRef<'_>) -> usize {
    if let ZsetRef::Packed(pairs) = zset {
        return blob_bytes(pairs.bytes().len());
    }
    let mut bytes = length_bytes(zset.len());
    zset.for_each(0..zset.len(), Direction::Ascending, |member, _| {
        bytes += item_bytes(member) + size_of::<f64>();
    });
    bytes
}

fn hash_bytes(hash: HashRef<'_>) -> usize {
    if let HashRef::Packed(pairs) = hash {
        return blob_bytes(pairs.bytes().len());
    }
    let pairs = hash.iter();
    let pairs = pairs.map(|(field, value)| item_bytes(field) + item_bytes(value));
    length_bytes(hash.len()) + pairs.sum::<usize>()
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
