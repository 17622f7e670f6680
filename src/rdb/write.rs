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
    compression: Compression,
    written: usize,
}

/// When long strings are compressed.
enum Compression {
    Never,
    AtOnce,
    /// By whom the bytes are passed on to: where they are.
    Later(Vec<Text>),
}

/// A string in bytes that were written: where its length begins, and it.
struct Text {
    at: usize,
    from: usize,
    to: usize,
}

/// What was written, with long strings still to be compressed: that takes the
/// most time, and need not be done where the value is locked.
#[derive(Default)]
pub struct Uncompressed {
    bytes: Vec<u8>,
    texts: Vec<Text>,
}

impl Uncompressed {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes that are held for it, and for what comes of it.
    pub fn held_bytes(&self) -> usize {
        let held = self.bytes.capacity() + self.texts.capacity() * size_of::<Text>();
        if self.texts.is_empty() {
            held
        } else {
            held + self.bytes.len()
        }
    }

    /// Number of bytes as they are now.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes as they go into the file.
    pub fn compressed(self) -> Vec<u8> {
        if self.texts.is_empty() {
            return self.bytes;
        }
        let mut encoder = Encoder::new(Vec::with_capacity(self.bytes.len()));
        let mut done = 0;
        for Text { at, from, to } in self.texts {
            let text = &self.bytes[from..to];
            if let Some(packed) = lzf::compress(text, text.len() - COMPRESS_SAVED_MIN) {
                encoder.out.extend_from_slice(&self.bytes[done..at]);
                let written = encoder.compressed(&packed, text.len());
                written.expect("writing to memory cannot fail");
                done = to;
            }
        }
        encoder.out.extend_from_slice(&self.bytes[done..]);
        encoder.out
    }
}

impl Encoder<Vec<u8>> {
    /// An encoder to memory; with `compress`, long strings are left to
    /// [`Uncompressed::compressed`].
    pub fn deferring(compress: bool) -> Encoder<Vec<u8>> {
        let compression = if compress {
            Compression::Later(Vec::new())
        } else {
            Compression::Never
        };
        Encoder {
            compression,
            ..Encoder::new(Vec::new())
        }
    }

    /// Takes out what was written so far.
    pub fn take(&mut self) -> Uncompressed {
        self.written = 0;
        Uncompressed {
            bytes: std::mem::take(&mut self.out),
            texts: match &mut self.compression {
                Compression::Later(texts) => std::mem::take(texts),
                _ => Vec::new(),
            },
        }
    }

    /// Hands what was written so far to `write`, and starts anew.
    ///
    /// # Errors
    /// Of `write`.
    pub fn drain(&mut self, write: impl FnOnce(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let result = write(&self.out);
        self.out.clear();
        self.written = 0;
        result
    }

    /// Bytes that are held for what was written.
    pub fn held_bytes(&self) -> usize {
        let texts = match &self.compression {
            Compression::Later(texts) => texts.capacity() * size_of::<Text>(),
            _ => 0,
        };
        self.out.capacity() + texts
    }

    /// Number of bytes that [`Encoder::take`] would take.
    pub fn pending(&self) -> usize {
        self.out.len()
    }
}

impl<W: Write> Encoder<W> {
    /// Long strings are left as they are.
    pub fn new(out: W) -> Encoder<W> {
        Encoder {
            out,
            compression: Compression::Never,
            written: 0,
        }
    }

    /// Long strings are compressed where that makes them shorter, if `on`
    /// (`rdbcompression`).
    pub fn compressing(self, on: bool) -> Encoder<W> {
        let compression = if on {
            Compression::AtOnce
        } else {
            Compression::Never
        };
        Encoder {
            compression,
            ..self
        }
    }

    /// The writer.
    pub fn into_inner(self) -> W {
        self.out
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.written += bytes.len();
        Ok(())
    }

    /// Writes bytes that are in the right form already.
    ///
    /// # Errors
    /// See [`Encoder::kind`].
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.put(bytes)
    }

    /// Writes the byte of a kind.
    ///
    /// # Errors
    /// Of the writer, here and below.
    pub fn kind(&mut self, kind: Kind) -> io::Result<()> {
        self.put(&[kind as u8])
    }

    /// Writes a number of bytes or elements.
    ///
    /// # Errors
    /// See [`Encoder::kind`].
    pub fn length(&mut self, length: u64) -> io::Result<()> {
        match length {
            0..0x40 => self.put(&[length as u8]),
            0x40..0x4000 => self.put(&(length as u16 | 0x4000).to_be_bytes()),
            0x4000..=0xffff_ffff => {
                self.put(&[0x80])?;
                self.put(&(length as u32).to_be_bytes())
            }
            _ => {
                self.put(&[0x81])?;
                self.put(&length.to_be_bytes())
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
        let at = self.written;
        let long = text.len() >= COMPRESS_FROM_BYTES;
        if long && matches!(self.compression, Compression::AtOnce) {
            let packed = lzf::compress(text, text.len() - COMPRESS_SAVED_MIN);
            if let Some(packed) = packed {
                return self.compressed(&packed, text.len());
            }
        }
        self.length(text.len() as u64)?;
        let from = self.written;
        self.put(text)?;
        let to = self.written;
        if long && let Compression::Later(texts) = &mut self.compression {
            texts.push(Text { at, from, to });
        }
        Ok(())
    }

    fn integer(&mut self, number: i32) -> io::Result<()> {
        if let Ok(number) = i8::try_from(number) {
            self.put(&[0xc0 | encoding::INT8, number.cast_unsigned()])
        } else if let Ok(number) = i16::try_from(number) {
            self.put(&[0xc0 | encoding::INT16])?;
            self.put(&number.to_le_bytes())
        } else {
            self.put(&[0xc0 | encoding::INT32])?;
            self.put(&number.to_le_bytes())
        }
    }

    /// Writes a string of so many bytes that is compressed already.
    fn compressed(&mut self, packed: &[u8], len: usize) -> io::Result<()> {
        self.put(&[0xc0 | encoding::LZF])?;
        self.length(packed.len() as u64)?;
        self.length(len as u64)?;
        self.put(packed)
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
        self.put(&score.to_le_bytes())
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
        self.kind(Kind::written(value))?;
        self.contents(value)
    }

    /// Writes a key with its value, as files have them.
    ///
    /// # Errors
    /// See [`Encoder::kind`].
    pub fn pair(&mut self, key: &[u8], value: ValueView<'_>) -> io::Result<()> {
        self.kind(Kind::written(value))?;
        self.string(key)?;
        self.contents(value)
    }

    fn contents(&mut self, value: ValueView<'_>) -> io::Result<()> {
        match value {
            ValueView::String(string) => self.string(string.bytes(&mut itoa::Buffer::new())),
            ValueView::List(ListRef::Packed(listpack)) => {
                self.length(1)?;
                self.length(container::PACKED)?;
                self.string(listpack.bytes())
            }
            ValueView::List(ListRef::Quick(quick)) => {
                self.length(quick.nodes_len() as u64)?;
                quick.nodes().try_for_each(|node| self.list_node(node))
            }
            ValueView::Set(SetRef::Ints(ints)) => self.string(ints.bytes()),
            ValueView::Set(set) => {
                self.length(set.len() as u64)?;
                set.iter().try_for_each(|member| self.item(member))
            }
            ValueView::Zset(ZsetRef::Packed(pairs)) | ValueView::Hash(HashRef::Packed(pairs)) => {
                self.string(pairs.bytes())
            }
            ValueView::Zset(zset) => self.zset(zset),
            ValueView::Hash(hash) => {
                self.length(hash.len() as u64)?;
                for (field, value) in hash.iter() {
                    self.item(field)?;
                    self.item(value)?;
                }
                Ok(())
            }
            ValueView::Stream(stream) => self.stream(stream),
        }
    }

    fn zset(&mut self, zset: ZsetRef<'_>) -> io::Result<()> {
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
}

impl Kind {
    /// The kind that a value is written as.
    pub fn written(value: ValueView<'_>) -> Kind {
        match value {
            ValueView::String(_) => Kind::String,
            ValueView::List(_) => Kind::ListNodes,
            ValueView::Set(SetRef::Ints(_)) => Kind::SetIntset,
            ValueView::Set(_) => Kind::Set,
            ValueView::Zset(ZsetRef::Packed(_)) => Kind::ZsetListpack,
            ValueView::Zset(_) => Kind::Zset,
            ValueView::Hash(HashRef::Packed(_)) => Kind::HashListpack,
            ValueView::Hash(_) => Kind::Hash,
            ValueView::Stream(_) => Kind::Stream2,
        }
    }
}
