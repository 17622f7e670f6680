//! Reading files: bytes in big pieces, with a running checksum.

use std::io::{self, Read};

use super::frame::Checksum;
use super::{LoadError, Source};

/// Bytes asked for at a time.
const BUFFER_BYTES: usize = 256 * 1024;

/// A file as a source.
pub struct FileSource<R> {
    stream: R,
    buffer: Vec<u8>,
    /// What is not taken yet: `start..end`.
    start: usize,
    end: usize,
    /// What is not in the checksum yet begins here.
    unsummed: usize,
    checksum: Option<Checksum>,
    /// Bytes of the file before the buffer.
    before: u64,
}

impl<R: Read> FileSource<R> {
    /// Reads from here on; the checksum is only reckoned if wanted.
    pub fn new(stream: R, with_checksum: bool) -> FileSource<R> {
        FileSource {
            stream,
            buffer: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            unsummed: 0,
            checksum: with_checksum.then(Checksum::default),
            before: 0,
        }
    }

    /// Bytes taken so far.
    pub fn taken(&self) -> u64 {
        self.before + self.start as u64
    }

    /// The checksum of all bytes taken so far; None when it is not reckoned.
    pub fn checksum(&mut self) -> Option<u64> {
        self.sum();
        Some(self.checksum.take()?.finish())
    }

    /// The bytes that were read but not taken, and the stream behind them.
    pub fn into_rest(self) -> (Vec<u8>, R) {
        (self.buffer[self.start..self.end].to_vec(), self.stream)
    }

    /// Whether nothing follows.
    ///
    /// # Errors
    /// Of the stream.
    pub fn is_at_end(&mut self) -> io::Result<bool> {
        match self.fill(1) {
            Ok(()) => Ok(false),
            Err(LoadError::Failed(error)) => Err(error),
            Err(_) => Ok(true),
        }
    }

    fn sum(&mut self) {
        if let Some(checksum) = &mut self.checksum {
            checksum.update(&self.buffer[self.unsummed..self.start]);
        }
        self.unsummed = self.start;
    }

    /// Sees to it that so many bytes can be taken.
    fn fill(&mut self, len: usize) -> Result<(), LoadError> {
        if self.end - self.start >= len {
            return Ok(());
        }
        self.sum();
        self.buffer.copy_within(self.start..self.end, 0);
        self.before += self.start as u64;
        self.end -= self.start;
        (self.start, self.unsummed) = (0, 0);
        if len <= BUFFER_BYTES && self.buffer.len() > BUFFER_BYTES && self.end <= BUFFER_BYTES {
            self.buffer.truncate(BUFFER_BYTES);
            self.buffer.shrink_to_fit();
        }
        while self.end < len {
            if self.end == self.buffer.len() {
                // A length alone allocates no more than twice what arrived.
                self.buffer.resize(len.min(self.buffer.len() * 2), 0);
            }
            match self.stream.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Err(LoadError::Ended),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(LoadError::Failed(error)),
            }
        }
        Ok(())
    }
}

impl<R: Read> Source for FileSource<R> {
    #[inline]
    fn take(&mut self, len: usize) -> Result<&[u8], LoadError> {
        self.fill(len)?;
        let from = self.start;
        self.start += len;
        Ok(&self.buffer[from..self.start])
    }
}
