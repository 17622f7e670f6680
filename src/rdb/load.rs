//! Loading values of all kinds that Redis has ever written.
//!
//! Whatever the bytes are, what comes out is sound, in the encoding that the
//! limits ask for.

use std::collections::HashSet;

use super::{Kind, LoadError, Reader, Source, container, ziplist, zipmap};
use crate::encoding::intset::{self, Intset};
use crate::encoding::listpack::{Item, Listpack};
use crate::encoding::quicklist::Quicklist;
use crate::encoding::scored::ScoredBuilder;
use crate::types::{
    Collection, End, Hash, HashLimits, List, ListLimits, Object, Set, SetLimits, StrBuf, Zset,
    ZsetLimits,
};
use crate::util::num::canonical_i64;

/// Up to when collections stay packed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of lists.
    pub list: ListLimits,
    /// Of sets.
    pub set: SetLimits,
    /// Of sorted sets.
    pub zset: ZsetLimits,
    /// Of hashes.
    pub hash: HashLimits,
}

/// Loads the value of a kind.
///
/// # Errors
/// See [`LoadError`].
pub fn load<S: Source>(
    kind: Kind,
    reader: &mut Reader<S>,
    limits: &Limits,
) -> Result<Object, LoadError> {
    match kind {
        Kind::String => Ok(Object::String(StrBuf::Owned(reader.string()?))),
        Kind::List => list(reader, limits.list).map(Object::List),
        Kind::ListZiplist => list_in_ziplist(&reader.string()?, limits.list).map(Object::List),
        Kind::ListZiplists => list_in_ziplists(reader, limits.list).map(Object::List),
        Kind::ListNodes => list_in_nodes(reader, limits.list).map(Object::List),
        Kind::Set => set(reader, limits.set).map(Object::Set),
        Kind::SetIntset => set_in_intset(reader, limits.set).map(Object::Set),
        Kind::SetListpack => set_in_listpack(reader, limits.set).map(Object::Set),
        Kind::ZsetText => zset(reader, limits.zset, Reader::text_score).map(Object::Zset),
        Kind::Zset => zset(reader, limits.zset, Reader::score).map(Object::Zset),
        Kind::ZsetZiplist => zset_in_ziplist(&reader.string()?, limits.zset).map(Object::Zset),
        Kind::ZsetListpack => zset_in_listpack(reader, limits.zset).map(Object::Zset),
        Kind::Hash => hash(reader, limits.hash).map(Object::Hash),
        Kind::HashZipmap => hash_in_zipmap(&reader.string()?, limits.hash).map(Object::Hash),
        Kind::HashZiplist => hash_in_ziplist(&reader.string()?, limits.hash).map(Object::Hash),
        Kind::HashListpack => hash_in_listpack(reader, limits.hash).map(Object::Hash),
        Kind::Module | Kind::ModuleParts => Err(LoadError::Unsupported("modules")),
        Kind::Stream | Kind::Stream2 | Kind::Stream3 => {
            let stream = super::stream::load(kind, reader)?;
            Ok(Object::Stream(Box::new(stream)))
        }
    }
}

/// Reads a number of elements, of which there has to be one.
fn count<S: Source>(reader: &mut Reader<S>) -> Result<u64, LoadError> {
    match reader.length()? {
        0 => Err(LoadError::Empty),
        count => Ok(count),
    }
}

/// Reads a listpack.
fn listpack<S: Source>(reader: &mut Reader<S>, wrong: &'static str) -> Result<Listpack, LoadError> {
    let bytes = reader.string()?;
    reader.validated += 1;
    Listpack::from_bytes(bytes).ok_or(LoadError::Corrupt(wrong))
}

/// The elements of a ziplist in a listpack.
fn converted(ziplist: &[u8], wrong: &'static str) -> Result<Listpack, LoadError> {
    let mut listpack = Listpack::with_capacity(ziplist.len());
    let read = ziplist::read(ziplist, |item| push_if_room(&mut listpack, item));
    read.ok_or(LoadError::Corrupt(wrong))?;
    listpack.shrink_to_fit();
    Ok(listpack)
}

/// Adds an element; None when there is no room for it.
fn push_if_room(listpack: &mut Listpack, item: Item<'_>) -> Option<()> {
    if !listpack.as_ref().has_room_for(item.encoded_len()) {
        return None;
    }
    listpack.push_back(item);
    Some(())
}

fn list<S: Source>(reader: &mut Reader<S>, limits: ListLimits) -> Result<List, LoadError> {
    let (mut list, mut text) = (List::new(), Vec::new());
    for _ in 0..count(reader)? {
        reader.string_into(&mut text)?;
        list.push(End::Right, &text, &limits);
    }
    Ok(list)
}

fn list_in_ziplist(ziplist: &[u8], limits: ListLimits) -> Result<List, LoadError> {
    let mut list = List::new();
    let read = ziplist::read(ziplist, |item| {
        list.push(End::Right, item.text(&mut itoa::Buffer::new()), &limits);
        Some(())
    });
    read.ok_or(LoadError::Corrupt("List ziplist integrity check failed."))?;
    if list.is_empty() {
        return Err(LoadError::Empty);
    }
    Ok(list)
}

fn list_in_ziplists<S: Source>(
    reader: &mut Reader<S>,
    limits: ListLimits,
) -> Result<List, LoadError> {
    let (mut nodes, mut ziplist) = (Quicklist::new(limits), Vec::new());
    for _ in 0..count(reader)? {
        reader.string_into(&mut ziplist)?;
        // Empty ones are passed over.
        nodes.push_listpack(converted(&ziplist, "Ziplist integrity check failed.")?);
    }
    list_of(nodes)
}

fn list_in_nodes<S: Source>(reader: &mut Reader<S>, limits: ListLimits) -> Result<List, LoadError> {
    let mut nodes = Quicklist::new(limits);
    for _ in 0..count(reader)? {
        match reader.length()? {
            container::PACKED => {
                nodes.push_listpack(listpack(reader, "Listpack integrity check failed.")?);
            }
            container::PLAIN => match reader.string()? {
                // Redis writes none such.
                text if text.is_empty() => return Err(LoadError::Corrupt("Empty node of a list")),
                text => nodes.push_plain(text),
            },
            _ => return Err(LoadError::Corrupt("Quicklist integrity check failed.")),
        }
    }
    list_of(nodes)
}

fn list_of(nodes: Quicklist) -> Result<List, LoadError> {
    if nodes.is_empty() {
        return Err(LoadError::Empty);
    }
    Ok(List::from_nodes(nodes))
}

fn set<S: Source>(reader: &mut Reader<S>, limits: SetLimits) -> Result<Set, LoadError> {
    let count = count(reader)?;
    // Integers are sorted before they become an intset: inserted as they
    // come, each might move all others.
    let (mut ints, mut text) = (Vec::new(), Vec::new());
    let mut read = 0;
    let mut other = false;
    while read < count && !other {
        reader.string_into(&mut text)?;
        read += 1;
        match canonical_i64(&text) {
            Some(number) if ints.len() < limits.ints => ints.push(number),
            _ => other = true,
        }
    }
    ints.sort_unstable();
    let mut set = Set::Ints(ints.into_iter().collect());
    if other {
        set.insert(&text, limits);
    }
    for _ in read..count {
        reader.string_into(&mut text)?;
        set.insert(&text, limits);
    }
    if set.view().len() as u64 != count {
        return Err(LoadError::Corrupt("Duplicate set members detected"));
    }
    Ok(set)
}

fn set_in_intset<S: Source>(reader: &mut Reader<S>, limits: SetLimits) -> Result<Set, LoadError> {
    let bytes = reader.string()?;
    reader.validated += 1;
    if !intset::validate(&bytes) {
        return Err(LoadError::Corrupt("Intset integrity check failed."));
    }
    let ints = Intset::from_trusted(bytes);
    if ints.as_ref().len() <= limits.ints {
        return Ok(Set::Ints(ints));
    }
    let mut set = Set::new();
    for number in ints.as_ref() {
        set.insert_item(Item::Int(number), limits);
    }
    Ok(set)
}

fn set_in_listpack<S: Source>(reader: &mut Reader<S>, limits: SetLimits) -> Result<Set, LoadError> {
    let members = listpack(reader, "Set listpack integrity check failed.")?;
    let mut set = Set::new();
    for member in members.as_ref() {
        if !set.insert_item(member, limits) {
            return Err(LoadError::Corrupt("Set listpack with dup elements"));
        }
    }
    if set.view().is_empty() {
        return Err(LoadError::Empty);
    }
    Ok(set)
}

fn zset<S: Source>(
    reader: &mut Reader<S>,
    limits: ZsetLimits,
    score: fn(&mut Reader<S>) -> Result<f64, LoadError>,
) -> Result<Zset, LoadError> {
    const DUPLICATE: LoadError = LoadError::Corrupt("Duplicate zset fields detected");
    let count = count(reader)?;
    if count > limits.entries as u64 {
        let (mut builder, mut member) = (ScoredBuilder::default(), Vec::new());
        for _ in 0..count {
            reader.string_into(&mut member)?;
            if !builder.push(&member, score(reader)?) {
                return Err(DUPLICATE);
            }
        }
        return Ok(Zset::Big(Box::new(builder.finish())));
    }
    let mut entries = Vec::new();
    for _ in 0..count {
        entries.push((reader.string()?, score(reader)?));
    }
    let members: HashSet<&[u8]> = entries.iter().map(|(member, _)| &member[..]).collect();
    if members.len() < entries.len() {
        return Err(DUPLICATE);
    }
    Zset::sort(&mut entries);
    Ok(Zset::from_sorted(&entries, limits))
}

fn zset_of(pairs: Listpack, limits: ZsetLimits, wrong: &'static str) -> Result<Zset, LoadError> {
    if pairs.as_ref().is_empty() {
        return Err(LoadError::Empty);
    }
    Zset::from_pairs(pairs, limits).ok_or(LoadError::Corrupt(wrong))
}

fn zset_in_ziplist(ziplist: &[u8], limits: ZsetLimits) -> Result<Zset, LoadError> {
    const WRONG: &str = "Zset ziplist integrity check failed.";
    zset_of(converted(ziplist, WRONG)?, limits, WRONG)
}

fn zset_in_listpack<S: Source>(
    reader: &mut Reader<S>,
    limits: ZsetLimits,
) -> Result<Zset, LoadError> {
    const WRONG: &str = "Zset listpack integrity check failed.";
    zset_of(listpack(reader, WRONG)?, limits, WRONG)
}

fn hash<S: Source>(reader: &mut Reader<S>, limits: HashLimits) -> Result<Hash, LoadError> {
    let count = count(reader)?;
    let mut hash = Hash::new();
    if count > limits.entries as u64 {
        hash.unpack();
    }
    let (mut field, mut value) = (Vec::new(), Vec::new());
    for _ in 0..count {
        reader.string_into(&mut field)?;
        reader.string_into(&mut value)?;
        hash.unpack_for(&[&field, &value], limits);
        match &mut hash {
            // Looking for each field would take long; all are compared at the end.
            Hash::Packed(pairs) => {
                pairs.push_back(Item::of(&field));
                pairs.push_back(Item::of(&value));
            }
            Hash::Table(_) => drop(hash.set(&field, &value, limits)),
        }
    }
    if hash.view().len() as u64 != count || !hash.is_distinct() {
        return Err(LoadError::Corrupt("Duplicate hash fields detected"));
    }
    Ok(hash)
}

fn hash_of(pairs: Listpack, limits: HashLimits) -> Result<Hash, LoadError> {
    if pairs.as_ref().is_empty() {
        return Err(LoadError::Empty);
    }
    let hash = Hash::from_pairs(pairs, limits);
    hash.ok_or(LoadError::Corrupt(
        "Hash integrity check failed: odd number of elements, or listpack with dup elements",
    ))
}

fn hash_in_ziplist(ziplist: &[u8], limits: HashLimits) -> Result<Hash, LoadError> {
    let pairs = converted(ziplist, "Hash ziplist integrity check failed.")?;
    hash_of(pairs, limits)
}

fn hash_in_listpack<S: Source>(
    reader: &mut Reader<S>,
    limits: HashLimits,
) -> Result<Hash, LoadError> {
    let pairs = listpack(reader, "Hash listpack integrity check failed.")?;
    hash_of(pairs, limits)
}

fn hash_in_zipmap(zipmap: &[u8], limits: HashLimits) -> Result<Hash, LoadError> {
    let (mut pairs, mut longest) = (Listpack::new(), 0);
    let read = zipmap::read(zipmap, |field, value| {
        longest = longest.max(field.len()).max(value.len());
        push_if_room(&mut pairs, Item::of(field))?;
        push_if_room(&mut pairs, Item::of(value))
    });
    if read.is_none() || pairs.as_ref().is_empty() {
        return Err(LoadError::Corrupt("Zipmap integrity check failed."));
    }
    let mut hash = hash_of(pairs, limits)?;
    if longest > limits.value_bytes {
        hash.unpack();
    }
    Ok(hash)
}
