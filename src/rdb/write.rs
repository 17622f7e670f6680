//! Writing values.

use std::io::{self, Write};

use super::{Kind, container, encoding};
use crate::encoding::listpack::Item;
use crate::encoding::quicklist::Node;
use crate::types::{Direction, HashRef, ListRef, SetRef, ValueView, ZsetRef};
use crate::util::lzf;
use crate::util::num::canonical_i64;

/// Longest text that is looked at for being a 32-bit integer.
const INTEGER_TEXT_MAX: usize = 11;
/// Shorter strings are not worth compressing.
const COMPRESS_FROM_BYTES: usize = 21;
/// What compression must save at least, bytes.
const COMPRESS_SAVED_MIN: usize = 4;

/// Writes values to `out`, part by part: [`Encoder::value`] a whole one, the
/// other methods what it consists of, for those who have to pause in between.
/// They fail when, and only when, writing does.
pub struct Encoder<W> {
    out: W,
    compress: bool,
}

impl<W: Write> Encoder<W> {
    /// Long strings are left as they are.
    pub fn new(out: W) -> Encoder<W> {
        Encoder {
            out,
            compress: false,
        }
    }

    /// Long strings are compressed where that makes them shorter, if `on`
    /// (`rdbcompression`).
    pub fn compressing(self, on: bool) -> Encoder<W> {
        Encoder {
            compress: on,
            ..self
        }
    }

    /// The writer.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// Writes the byte of a kind.
    ///
    /// # Errors
    /// Of the writer, here and below.
    pub fn kind(&mut self, kind: Kind) -> io::Result<()> {
        self.out.write_all(&[kind as u8])
    }

    /// Writes a number of bytes or elements.
    ///
    /// # Errors
    /// See [`Encoder::kind`].
    pub fn length(&mut self, length: u64) -> io::Result<()> {
        match length {
            0..0x40 => self.out.write_all(&[length as u8]),
            0x40..0x4000 => self.out.write_all(&(length as u16 | 0x4000).to_be_bytes()),
            0x4000..=0xffff_ffff => {
                self.out.write_all(&[0x80])?;
                self.out.write_all(&(length as u32).to_be_bytes())
            }
            _ => {
                self.out.write_all(&[0x81])?;
                self.out.write_all(&length.to_be_bytes())
            }
        }
    }

    /// Writes a string.
    ///
    /// # Errors
    /// See [`Encoder::kind`].
    pub fn string(&mut self, text: &[u8]) -> io::Result<()> {
        if text.len() <= INTEGER_TEXT_MAX
            && let Some(number) = canonical_i64(text)
            && let Ok(number) = i32::try_from(number)
        {
            return self.integer(number);
        }
        if self.compress && text.len() >= COMPRESS_FROM_BYTES {
            let packed = lzf::compress(text, text.len() - COMPRESS_SAVED_MIN);
            if let Some(packed) = packed {
                return self.compressed(&packed, text.len());
            }
        }
        self.length(text.len() as u64)?;
        self.out.write_all(text)
    }

    fn integer(&mut self, number: i32) -> io::Result<()> {
        if let Ok(number) = i8::try_from(number) {
            self.out
                .write_all(&[0xc0 | encoding::INT8, number.cast_unsigned()])
        } else if let Ok(number) = i16::try_from(number) {
            self.out.write_all(&[0xc0 | encoding::INT16])?;
            self.out.write_all(&number.to_le_bytes())
        } else {
            self.out.write_all(&[0xc0 | encoding::INT32])?;
            self.out.write_all(&number.to_le_bytes())
        }
    }

    /// Writes a string of so many bytes that is compressed already.
    fn compressed(&mut self, packed: &[u8], len: usize) -> io::Result<()> {
        self.out.write_all(&[0xc0 | encoding::LZF])?;
        self.length(packed.len() as u64)?;
        self.length(len as u64)?;
        self.out.write_all(packed)
    }

    /// Writes an element of a collection as a string.
    ///
    /// # Errors
    /// See [`Encoder::kind`].
    pub fn item(&mut self, item: Item<'_>) -> io::Result<()> {
        self.string(item.text(&mut itoa::Buffer::new()))
    }

    /// Writes a score, as [`Kind::Zset`] has them.
    ///
    /// # Errors
    /// See [`Encoder::kind`].
    pub fn score(&mut self, score: f64) -> io::Result<()> {
        self.out.write_all(&score.to_le_bytes())
    }

    /// Writes a node of [`Kind::ListNodes`]; a compressed one as it is.
    ///
    /// # Errors
    /// See [`Encoder::kind`].
    pub fn list_node(&mut self, node: &Node) -> io::Result<()> {
        match node {
            Node::Packed(packed) => {
                self.length(container::PACKED)?;
                self.string(packed.view().bytes())
            }
            Node::Plain(text) => {
                self.length(container::PLAIN)?;
                self.string(text)
            }
            Node::Dense(dense) => {
                self.length(container::PACKED)?;
                self.string(dense.unpack().as_ref().bytes())
            }
            Node::Compressed { bytes, len, .. } => {
                self.length(container::PACKED)?;
                self.compressed(bytes, *len as usize)
            }
        }
    }

    /// Writes a value, its kind first.
    ///
    /// # Errors
    /// See [`Encoder::kind`].
    pub fn value(&mut self, value: ValueView<'_>) -> io::Result<()> {
        match value {
            ValueView::String(string) => {
                self.kind(Kind::String)?;
                self.string(string.bytes(&mut itoa::Buffer::new()))
            }
            ValueView::List(list) => self.list(list),
            ValueView::Set(set) => self.set(set),
            ValueView::Zset(zset) => self.zset(zset),
            ValueView::Hash(hash) => self.hash(hash),
        }
    }

    fn list(&mut self, list: ListRef<'_>) -> io::Result<()> {
        self.kind(Kind::ListNodes)?;
        match list {
            ListRef::Packed(listpack) => {
                self.length(1)?;
                self.length(container::PACKED)?;
                self.string(listpack.bytes())
            }
            ListRef::Quick(quick) => {
                self.length(quick.nodes_len() as u64)?;
                quick.nodes().try_for_each(|node| self.list_node(node))
            }
        }
    }

    fn set(&mut self, set: SetRef<'_>) -> io::Result<()> {
        if let SetRef::Ints(ints) = set {
            self.kind(Kind::SetIntset)?;
            return self.string(ints.bytes());
        }
        self.kind(Kind::Set)?;
        self.length(set.len() as u64)?;
        set.iter().try_for_each(|member| self.item(member))
    }

    fn zset(&mut self, zset: ZsetRef<'_>) -> io::Result<()> {
        if let ZsetRef::Packed(pairs) = zset {
            self.kind(Kind::ZsetListpack)?;
            return self.string(pairs.bytes());
        }
        self.kind(Kind::Zset)?;
        self.length(zset.len() as u64)?;
        let mut written = Ok(());
        // Redis: the greatest comes first.
        zset.for_each(0..zset.len(), Direction::Descending, |member, score| {
            if written.is_ok() {
                written = self.item(member).and_then(|()| self.score(score));
            }
        });
        written
    }

    fn hash(&mut self, hash: HashRef<'_>) -> io::Result<()> {
        if let HashRef::Packed(pairs) = hash {
            self.kind(Kind::HashListpack)?;
            return self.string(pairs.bytes());
        }
        self.kind(Kind::Hash)?;
        self.length(hash.len() as u64)?;
        for (field, value) in hash.iter() {
            self.item(field)?;
            self.item(value)?;
        }
        Ok(())
    }
}
