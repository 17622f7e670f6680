//! HyperLogLog: the number of different elements, estimated from 16384
//! registers that each hold the longest run of zero bits seen in the hashes
//! that belong to it. The bytes are those that Redis stores.
//!
//! ```text
//! 0       "HYLL"
//! 4       0: dense, 1: sparse
//! 5..8    not used
//! 8..16   the cardinality last computed, little endian; its highest bit says
//!         that it is no longer true
//! 16..    dense: 16384 registers of 6 bits; sparse: runs of equal registers
//! ```
//! Clients can store any string under a key and call it a HyperLogLog. Only
//! the header is checked before, so everything that reads the rest finds
//! nonsense at any place, and answers [`Corrupt`].

mod dense;
mod estimate;
mod self_test;
mod sparse;
#[cfg(test)]
mod tests;

use estimate::{Histogram, cardinality, rank};

pub use self_test::self_test;

/// Number of registers.
pub const REGISTERS: usize = 1 << 14;
/// Length of a dense one.
pub const DENSE_BYTES: usize = HEADER_BYTES + dense::BYTES;

const HEADER_BYTES: usize = 16;
const MAGIC: &[u8] = b"HYLL";
const ENCODING_AT: usize = 4;
const CACHE_AT: usize = 8;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;

/// The registers do not add up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Corrupt;

/// How the registers are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// 6 bits each.
    Dense,
    /// Runs of equal ones.
    Sparse,
}

/// The greatest registers of several HyperLogLogs.
pub struct Union {
    registers: Box<[u8; REGISTERS]>,
    any_dense: bool,
}

impl Default for Union {
    fn default() -> Union {
        Union {
            registers: Box::new([0; REGISTERS]),
            any_dense: false,
        }
    }
}

impl Union {
    /// Takes another one in.
    ///
    /// # Errors
    /// It is corrupt (and can have left traces).
    pub fn add(&mut self, other: Hll<'_>) -> Result<(), Corrupt> {
        match other.encoding() {
            Encoding::Dense => {
                self.any_dense = true;
                dense::merge(other.body(), &mut self.registers);
                Ok(())
            }
            Encoding::Sparse => sparse::values(other.body(), |run, value| {
                for register in &mut self.registers[run] {
                    *register = value.max(*register);
                }
            }),
        }
    }

    /// Estimated number of elements.
    pub fn count(&self) -> u64 {
        let mut histogram = Histogram::default();
        for register in self.registers.iter() {
            histogram.add(*register, 1);
        }
        cardinality(&histogram)
    }
}

/// A string whose header is that of a HyperLogLog.
#[derive(Clone, Copy)]
pub struct Hll<'a> {
    bytes: &'a [u8],
}

impl<'a> Hll<'a> {
    /// A string, if its header is one (and its length, when it is dense).
    pub fn new(bytes: &'a [u8]) -> Option<Hll<'a>> {
        let header = bytes.get(..HEADER_BYTES)?;
        let fits = match header[ENCODING_AT] {
            DENSE => bytes.len() == DENSE_BYTES,
            SPARSE => true,
            _ => false,
        };
        (header.starts_with(MAGIC) && fits).then_some(Hll { bytes })
    }

    /// How the registers are stored.
    pub fn encoding(self) -> Encoding {
        match self.bytes[ENCODING_AT] {
            DENSE => Encoding::Dense,
            _ => Encoding::Sparse,
        }
    }

    fn body(self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// The cardinality last computed, unless registers changed since.
    pub fn cached(self) -> Option<u64> {
        let mut cache = [0; 8];
        cache.copy_from_slice(&self.bytes[CACHE_AT..HEADER_BYTES]);
        let cardinality = u64::from_le_bytes(cache);
        (cardinality < STALE).then_some(cardinality)
    }

    /// Estimated number of elements.
    ///
    /// # Errors
    /// It is corrupt.
    pub fn count(self) -> Result<u64, Corrupt> {
        let histogram = match self.encoding() {
            Encoding::Dense => dense::histogram(self.body()),
            Encoding::Sparse => sparse::histogram(self.body())?,
        };
        Ok(cardinality(&histogram))
    }

    /// The registers, when it is dense.
    pub fn registers(self) -> Option<impl Iterator<Item = u8>> {
        let body = self.body();
        let is_dense = self.encoding() == Encoding::Dense;
        is_dense.then(|| (0..REGISTERS).map(move |index| dense::get(body, index)))
    }

    /// The runs in words, when it is sparse: `z:N` and `Z:N` are N zeros,
    /// `v:V,N` is N times V.
    pub fn runs(self) -> Option<String> {
        (self.encoding() == Encoding::Sparse).then(|| sparse::describe(self.body()))
    }
}

/// Set in a cached cardinality that is no longer true.
const STALE: u64 = 1 << 63;

/// A HyperLogLog without elements.
pub fn empty() -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[..MAGIC.len()].copy_from_slice(MAGIC);
    bytes[ENCODING_AT] = SPARSE;
    sparse::push_zeros(&mut bytes, REGISTERS);
    bytes
}

/// A HyperLogLog for change.
pub struct HllMut<'a> {
    bytes: &'a mut Vec<u8>,
    /// Length above which a sparse one turns dense, `hll-sparse-max-bytes`.
    sparse_bytes_max: usize,
}

impl<'a> HllMut<'a> {
    /// A string, if [`Hll::new`] takes it.
    pub fn new(bytes: &'a mut Vec<u8>, sparse_bytes_max: usize) -> Option<HllMut<'a>> {
        Hll::new(bytes)?;
        Some(HllMut {
            bytes,
            sparse_bytes_max,
        })
    }

    /// For reading.
    pub fn view(&self) -> Hll<'_> {
        Hll { bytes: self.bytes }
    }

    /// Adds an element; true when that changed a register.
    ///
    /// # Errors
    /// It is corrupt.
    pub fn add(&mut self, element: &[u8]) -> Result<bool, Corrupt> {
        let (index, value) = rank(element);
        self.raise(index, value)
    }

    /// Makes a register at least `value`; true when it was less.
    fn raise(&mut self, index: usize, value: u8) -> Result<bool, Corrupt> {
        if self.view().encoding() == Encoding::Sparse {
            match sparse::raise(self.bytes, index, value, self.sparse_bytes_max)? {
                sparse::Raised::No => return Ok(false),
                sparse::Raised::Yes => {
                    self.invalidate();
                    return Ok(true);
                }
                sparse::Raised::NeedsDense => self.make_dense()?,
            };
        }
        Ok(dense::raise(&mut self.bytes[HEADER_BYTES..], index, value))
    }

    /// Takes all elements of a union in. It turns dense if one of the union's
    /// parts was.
    ///
    /// # Errors
    /// It is corrupt. One that is itself part of the union is not.
    pub fn merge(&mut self, union: &Union) -> Result<(), Corrupt> {
        if union.any_dense {
            self.make_dense()?;
        }
        for (index, value) in union.registers.iter().enumerate() {
            if *value > 0 {
                self.raise(index, *value)?;
            }
        }
        self.invalidate();
        Ok(())
    }

    /// Turns it dense; false when it was.
    ///
    /// # Errors
    /// It is corrupt.
    pub fn make_dense(&mut self) -> Result<bool, Corrupt> {
        if self.view().encoding() == Encoding::Dense {
            return Ok(false);
        }
        let mut bytes = vec![0; DENSE_BYTES];
        let (header, registers) = bytes.split_at_mut(HEADER_BYTES);
        header.copy_from_slice(&self.bytes[..HEADER_BYTES]);
        header[ENCODING_AT] = DENSE;
        sparse::values(self.view().body(), |run, value| {
            for index in run {
                dense::raise(registers, index, value);
            }
        })?;
        *self.bytes = bytes;
        Ok(true)
    }

    /// Keeps a cardinality for those who ask next.
    pub fn cache(&mut self, cardinality: u64) {
        self.bytes[CACHE_AT..HEADER_BYTES].copy_from_slice(&cardinality.to_le_bytes());
    }

    /// Says that the cached cardinality is no longer true.
    pub fn invalidate(&mut self) {
        self.bytes[HEADER_BYTES - 1] |= 0x80;
    }
}
