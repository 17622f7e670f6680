//! Reading what values consist of: lengths, strings, scores.

use std::io::Read;

use super::{LoadError, encoding};
use crate::util::lzf;
use crate::util::num::parse_f64;

/// Bytes that come one after the other.
pub trait Source {
    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`LoadError::Ended`] when there are not so many, or why they could not
    /// be read.
    fn take(&mut self, len: usize) -> Result<&[u8], LoadError>;
}

impl Reader<&[u8]> {
    /// Whether all bytes were read.
    pub fn is_at_end(&self) -> bool {
        self.source.is_empty()
    }
}

impl Source for &[u8] {
    #[inline]
    fn take(&mut self, len: usize) -> Result<&[u8], LoadError> {
        let (taken, rest) = self.split_at_checked(len).ok_or(LoadError::Ended)?;
        *self = rest;
        Ok(taken)
    }
}

impl<S: Source> Source for &mut S {
    #[inline]
    fn take(&mut self, len: usize) -> Result<&[u8], LoadError> {
        (**self).take(len)
    }
}

/// Bytes asked for at a time, so that a length alone allocates no more.
const STEP_BYTES: usize = 64 * 1024;

/// Bytes of a file or connection, which should be buffered.
pub struct StreamSource<R> {
    stream: R,
    taken: Vec<u8>,
}

impl<R: Read> StreamSource<R> {
    /// The bytes of this stream from here on.
    pub fn new(stream: R) -> StreamSource<R> {
        StreamSource {
            stream,
            taken: Vec::new(),
        }
    }
}

impl<R: Read> Source for StreamSource<R> {
    fn take(&mut self, len: usize) -> Result<&[u8], LoadError> {
        self.taken.clear();
        self.taken.shrink_to(STEP_BYTES);
        while self.taken.len() < len {
            let have = self.taken.len();
            // What has arrived may be doubled.
            let want = len.min(have + have.max(STEP_BYTES));
            self.taken.resize(want, 0);
            let read = self.stream.read_exact(&mut self.taken[have..]);
            read.map_err(|error| match error.kind() {
                std::io::ErrorKind::UnexpectedEof => LoadError::Ended,
                _ => LoadError::Failed(error),
            })?;
        }
        Ok(&self.taken)
    }
}

/// A length byte and what follows it.
enum Length {
    /// A number of bytes or elements.
    Plain(u64),
    /// How the string that follows is encoded.
    Encoded(u8),
}

/// Reads values part by part: [`load`](super::load) a whole one.
pub struct Reader<S> {
    source: S,
    /// Packed collections that were validated so far.
    pub(super) validated: u64,
}

impl<S: Source> Reader<S> {
    /// Reads from a source.
    pub fn new(source: S) -> Reader<S> {
        Reader {
            source,
            validated: 0,
        }
    }

    /// Packed collections that were validated so far (INFO
    /// `dump_payload_sanitizations`).
    pub fn validated(&self) -> u64 {
        self.validated
    }

    /// The source, for asking how far it is.
    pub fn source(&mut self) -> &mut S {
        &mut self.source
    }

    /// The source, behind what was read.
    pub fn into_inner(self) -> S {
        self.source
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], LoadError> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.source.take(N)?);
        Ok(bytes)
    }

    /// Reads a byte.
    ///
    /// # Errors
    /// The bytes end, are corrupt, or cannot be read, here and below.
    pub fn byte(&mut self) -> Result<u8, LoadError> {
        Ok(self.array::<1>()?[0])
    }

    fn any_length(&mut self) -> Result<Length, LoadError> {
        let first = self.byte()?;
        let length = match first {
            0..=0x3f => u64::from(first),
            0x40..=0x7f => u64::from(u16::from_be_bytes([first & 0x3f, self.byte()?])),
            0x80 => u64::from(u32::from_be_bytes(self.array()?)),
            0x81 => u64::from_be_bytes(self.array()?),
            0xc0.. => return Ok(Length::Encoded(first & 0x3f)),
            _ => return Err(LoadError::Corrupt("Unknown form of a length")),
        };
        Ok(Length::Plain(length))
    }

    /// Reads a number of bytes or elements.
    ///
    /// # Errors
    /// See [`Reader::byte`].
    pub fn length(&mut self) -> Result<u64, LoadError> {
        match self.any_length()? {
            Length::Plain(length) => Ok(length),
            Length::Encoded(_) => Err(LoadError::Corrupt("A string where a length is expected")),
        }
    }

    fn size(&mut self) -> Result<usize, LoadError> {
        // What does not fit cannot have arrived.
        usize::try_from(self.length()?).map_err(|_| LoadError::Ended)
    }

    /// Reads a string.
    ///
    /// # Errors
    /// See [`Reader::byte`].
    pub fn string(&mut self) -> Result<Vec<u8>, LoadError> {
        let mut text = Vec::new();
        self.string_into(&mut text)?;
        Ok(text)
    }

    /// Reads a string in the place of what `text` holds.
    ///
    /// # Errors
    /// See [`Reader::byte`].
    pub fn string_into(&mut self, text: &mut Vec<u8>) -> Result<(), LoadError> {
        text.clear();
        let number = match self.any_length()? {
            Length::Plain(len) => {
                let len = usize::try_from(len).map_err(|_| LoadError::Ended)?;
                text.extend_from_slice(self.source.take(len)?);
                return Ok(());
            }
            Length::Encoded(encoding::INT8) => i32::from(i8::from_le_bytes(self.array()?)),
            Length::Encoded(encoding::INT16) => i32::from(i16::from_le_bytes(self.array()?)),
            Length::Encoded(encoding::INT32) => i32::from_le_bytes(self.array()?),
            Length::Encoded(encoding::LZF) => {
                *text = self.compressed()?;
                return Ok(());
            }
            Length::Encoded(_) => return Err(LoadError::Corrupt("Unknown form of a string")),
        };
        text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        Ok(())
    }

    fn compressed(&mut self) -> Result<Vec<u8>, LoadError> {
        let (packed_len, len) = (self.size()?, self.size()?);
        let packed = self.source.take(packed_len)?;
        lzf::decompress(packed, len).ok_or(LoadError::Corrupt("Invalid LZF compressed string"))
    }

    /// Reads a score.
    ///
    /// # Errors
    /// See [`Reader::byte`].
    pub fn score(&mut self) -> Result<f64, LoadError> {
        number(f64::from_le_bytes(self.array()?))
    }

    /// Reads a score in the form that it had before version 8: text, whose
    /// length is a byte.
    ///
    /// # Errors
    /// See [`Reader::byte`].
    pub fn text_score(&mut self) -> Result<f64, LoadError> {
        match self.byte()? {
            255 => Ok(f64::NEG_INFINITY),
            254 => Ok(f64::INFINITY),
            253 => number(f64::NAN),
            len => parse_f64(self.source.take(usize::from(len))?)
                .ok_or(LoadError::Corrupt("Score that is no number")),
        }
    }
}

fn number(score: f64) -> Result<f64, LoadError> {
    if score.is_nan() {
        return Err(LoadError::Corrupt("Zset with NAN score detected"));
    }
    Ok(score)
}
