//! The names of entries: milliseconds and a sequence number.

/// The ID of an entry of a stream.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct StreamId {
    /// Unix milliseconds, as a rule.
    pub ms: u64,
    /// Which of the entries of that millisecond.
    pub seq: u64,
}

impl StreamId {
    /// The least; no entry has it.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// The greatest.
    pub const MAX: StreamId = StreamId {
        ms: u64::MAX,
        seq: u64::MAX,
    };

    /// From its two numbers.
    pub fn new(ms: u64, seq: u64) -> StreamId {
        StreamId { ms, seq }
    }

    /// The one after it.
    pub fn next(self) -> Option<StreamId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => Some(StreamId::new(self.ms.checked_add(1)?, 0)),
        }
    }

    /// The one before it.
    pub fn prev(self) -> Option<StreamId> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => Some(StreamId::new(self.ms.checked_sub(1)?, u64::MAX)),
        }
    }

    /// The form that sorts as the IDs do, which files have.
    pub fn to_bytes(self) -> [u8; 16] {
        let number = u128::from(self.ms) << 64 | u128::from(self.seq);
        number.to_be_bytes()
    }

    /// From that form.
    pub fn from_bytes(bytes: [u8; 16]) -> StreamId {
        let number = u128::from_be_bytes(bytes);
        StreamId::new((number >> 64) as u64, number as u64)
    }

    /// As clients see it.
    pub fn text(self) -> IdText {
        let mut text = IdText {
            bytes: [0; IdText::BYTES_MAX],
            len: 0,
        };
        text.push(itoa::Buffer::new().format(self.ms).as_bytes());
        text.push(b"-");
        text.push(itoa::Buffer::new().format(self.seq).as_bytes());
        text
    }

    /// The ID at these distances, which may be negative.
    pub(super) fn offset(self, ms: i64, seq: i64) -> StreamId {
        StreamId::new(
            self.ms.wrapping_add_signed(ms),
            self.seq.wrapping_add_signed(seq),
        )
    }
}

/// An ID in text.
pub struct IdText {
    bytes: [u8; IdText::BYTES_MAX],
    len: usize,
}

impl IdText {
    const BYTES_MAX: usize = 20 + 1 + 20;

    fn push(&mut self, part: &[u8]) {
        let end = self.len + part.len();
        self.bytes[self.len..end].copy_from_slice(part);
        self.len = end;
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
