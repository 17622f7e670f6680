//! Big values in a snapshot: each is written in a piece, element by element.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::begin_db;
use super::held::Count;
use crate::encoding::member::{Member, MemberRef};
use crate::encoding::quicklist::Quicklist;
use crate::encoding::table::Sink;
use crate::rdb::frame::Usage;
use crate::rdb::{Encoder, Kind, Uncompressed};
use crate::types::{Hash, List, Object, Set, Stream, Zset};

/// Members from which on a collection is big.
const LARGE_LEN: usize = 64;
/// Bytes from which on a string is.
const LARGE_BYTES: usize = 64 * 1024;

/// Whether a value is not written with its neighbours.
pub(super) fn is_large(object: &Object) -> bool {
    match object {
        Object::String(string) => string.len() >= LARGE_BYTES,
        Object::List(List::Quick(list)) => list.nodes_len() > 2,
        Object::Set(Set::Table(table)) => table.len() >= LARGE_LEN,
        Object::Zset(Zset::Big(scored)) => scored.len() >= LARGE_LEN,
        Object::Hash(Hash::Table(table)) => table.len() >= LARGE_LEN,
        Object::Stream(stream) => stream.log.blocks_len() > 2 || stream.pending_len() >= LARGE_LEN,
        _ => false,
    }
}

/// Something to write.
pub enum Piece {
    /// Bytes of the file, but for compression.
    Encoded(Uncompressed),
    /// A long string.
    Text(Bytes),
    /// The nodes of a list.
    Nodes(Box<Quicklist>),
    /// A stream.
    Stream(Box<Stream>),
}

impl Piece {
    /// Bytes of its own.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Piece::Encoded(bytes) => bytes.held_bytes(),
            _ => 0,
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// Of the writer.
    pub fn write(self, out: &mut impl io::Write, compress: bool) -> io::Result<()> {
        match self {
            Piece::Encoded(bytes) => out.write_all(&bytes.compressed()),
            Piece::Text(text) => Encoder::new(out).compressing(compress).string(&text),
            Piece::Nodes(list) => {
                let mut encoder = Encoder::new(out).compressing(compress);
                encoder.length(list.nodes_len() as u64)?;
                list.nodes().try_for_each(|node| encoder.list_node(node))
            }
            Piece::Stream(stream) => Encoder::new(out).compressing(compress).stream(&stream),
        }
    }
}

/// What has been handed over of a frozen collection.
pub(super) struct Elements {
    pub(super) encoder: Encoder<Vec<u8>>,
    held: Count,
    /// All of it has.
    pub(super) finished: bool,
    /// Nobody wants it any more.
    pub(super) abandoned: bool,
}

impl Elements {
    /// What has been handed over since the last time.
    pub(super) fn take(&mut self) -> Uncompressed {
        self.held.subtract(self.encoder.held_bytes());
        self.encoder.take()
    }
}

struct ElementSink {
    elements: Arc<Mutex<Elements>>,
    kind: Kind,
}

impl Sink<Member> for ElementSink {
    fn put(&mut self, member: MemberRef<'_>) {
        let mut elements = self.elements.lock();
        if elements.abandoned {
            return;
        }
        let encoder = &mut elements.encoder;
        let before = encoder.held_bytes();
        let written = encoder.string(member.key()).and_then(|()| match self.kind {
            Kind::Hash => encoder.string(member.value()),
            Kind::Zset => encoder.score(member.score()),
            _ => Ok(()),
        });
        written.expect("writing to memory cannot fail");
        let added = encoder.held_bytes() - before;
        elements.held.add(added);
    }
}

impl Drop for ElementSink {
    fn drop(&mut self) {
        // A table gives its sink up when all has been handed over.
        self.elements.lock().finished = true;
    }
}

enum Body {
    Text(Bytes),
    Nodes(Box<Quicklist>),
    Stream(Box<Stream>),
    Elements(Arc<Mutex<Elements>>),
}

/// A big value that is to be written.
pub(super) struct Large {
    /// Number of its database at the start.
    pub(super) number: u32,
    /// What goes before its elements.
    header: Encoder<Vec<u8>>,
    body: Body,
    address: usize,
}

impl Large {
    /// Of the value of a key; a table of members is frozen.
    pub(super) fn of(
        object: &mut Object,
        number: u32,
        key: &[u8],
        (expire, usage): (Option<i64>, Usage),
        compress: bool,
        held: &Count,
    ) -> Large {
        let kind = Kind::written(object.view());
        let mut header = Encoder::new(Vec::new());
        let written = header
            .key_header(expire, usage)
            .and_then(|()| header.kind(kind))
            .and_then(|()| header.string(key));
        let body = match object {
            Object::String(string) => Body::Text(string.share()),
            Object::List(List::Quick(list)) => Body::Nodes(list.clone()),
            // The copy shares all that is big, and takes no time.
            Object::Stream(stream) => Body::Stream(stream.clone()),
            _ => {
                let elements = Arc::new(Mutex::new(Elements {
                    encoder: Encoder::deferring(compress),
                    held: held.clone(),
                    finished: false,
                    abandoned: false,
                }));
                let len = object.freeze_members(Box::new(ElementSink {
                    elements: elements.clone(),
                    kind,
                }));
                let counted = header.length(len as u64);
                counted.expect("writing to memory cannot fail");
                Body::Elements(elements)
            }
        };
        written.expect("writing to memory cannot fail");
        Large {
            number,
            header,
            body,
            address: 0,
        }
    }

    /// With the address of the object.
    pub(super) fn at(self, address: usize) -> Large {
        Large { address, ..self }
    }

    pub(super) fn is_frozen(&self) -> bool {
        matches!(self.body, Body::Elements(_))
    }

    /// Nobody wants it any more.
    pub(super) fn abandon(&self) {
        if let Body::Elements(elements) = &self.body {
            elements.lock().abandoned = true;
        }
    }

    /// Writes what goes before the elements, and the value if it is whole; else
    /// gives what is to be gone on with. `size`: of its database, to be told.
    pub(super) fn begin(
        self,
        size: Option<(u64, u64)>,
        compress: bool,
        pieces: &mut Vec<Piece>,
    ) -> Option<(usize, Arc<Mutex<Elements>>)> {
        let Large {
            number,
            mut header,
            body,
            address,
        } = self;
        let mut encoder = Encoder::deferring(compress);
        let header = header.take().compressed();
        let written = begin_db(&mut encoder, number, size).and_then(|()| encoder.raw(&header));
        written.expect("writing to memory cannot fail");
        pieces.push(Piece::Encoded(encoder.take()));
        match body {
            Body::Text(text) => pieces.push(Piece::Text(text)),
            Body::Nodes(list) => pieces.push(Piece::Nodes(list)),
            Body::Stream(stream) => pieces.push(Piece::Stream(stream)),
            Body::Elements(elements) => return Some((address, elements)),
        }
        None
    }
}
