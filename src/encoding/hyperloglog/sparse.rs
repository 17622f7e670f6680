//! Registers as runs of equal ones:
//!
//! ```text
//! 00nnnnnn            n+1 zeros (1 to 64)
//! 01nnnnnn nnnnnnnn   n+1 zeros (1 to 16384)
//! 1vvvvvnn            n+1 times the value v+1 (1 to 4 times, 1 to 32)
//! ```
//! A long run that is cut off after its first byte makes it corrupt. (Redis
//! reads the zero byte behind its strings there, and can write beyond it.)

use std::fmt::Write;
use std::ops::Range;

use super::estimate::Histogram;
use super::{Corrupt, HEADER_BYTES, REGISTERS};

/// Greatest value that a run can have.
const VALUE_MAX: u8 = 32;
/// Most registers in a run with a value.
const VALUES_MAX: usize = 4;
/// Most registers in a short run of zeros.
const SHORT_ZEROS_MAX: usize = 64;
/// Most registers in a long one.
const LONG_ZEROS_MAX: usize = 1 << 14;
/// Longest sequence that can take the place of a run: zeros, a value, zeros.
const SEQUENCE_BYTES_MAX: usize = 5;
/// Runs that are looked at for neighbours to join after a change.
const JOINED_MAX: usize = 5;

/// A run of equal registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Run {
    ShortZeros(usize),
    LongZeros(usize),
    Values(u8, usize),
}

impl Run {
    /// The run that starts at a byte. It can be cut off.
    fn read(bytes: &[u8], at: usize) -> Option<Run> {
        let first = *bytes.get(at)?;
        let low = usize::from(first & 0x3f);
        Some(match first >> 6 {
            0 => Run::ShortZeros(low + 1),
            1 => {
                let next = bytes.get(at + 1).copied().unwrap_or(0);
                Run::LongZeros((low << 8 | usize::from(next)) + 1)
            }
            _ => Run::Values((first >> 2 & 0x1f) + 1, usize::from(first & 3) + 1),
        })
    }

    /// Number of registers.
    fn len(self) -> usize {
        match self {
            Run::ShortZeros(len) | Run::LongZeros(len) | Run::Values(_, len) => len,
        }
    }

    /// What each register is.
    fn value(self) -> u8 {
        match self {
            Run::Values(value, _) => value,
            Run::ShortZeros(_) | Run::LongZeros(_) => 0,
        }
    }

    /// Length of its code.
    fn bytes(self) -> usize {
        match self {
            Run::LongZeros(_) => 2,
            Run::ShortZeros(_) | Run::Values(..) => 1,
        }
    }
}

fn values_code(value: u8, len: usize) -> u8 {
    debug_assert!((1..=VALUE_MAX).contains(&value) && (1..=VALUES_MAX).contains(&len));
    0x80 | (value - 1) << 2 | (len - 1) as u8
}

/// Appends a run of zeros in its shortest form.
pub(super) fn push_zeros(bytes: &mut Vec<u8>, len: usize) {
    let (code, used) = zeros_code(len);
    bytes.extend_from_slice(&code[..used]);
}

fn zeros_code(len: usize) -> ([u8; 2], usize) {
    debug_assert!((1..=LONG_ZEROS_MAX).contains(&len));
    let count = len - 1;
    if len > SHORT_ZEROS_MAX {
        ([0x40 | (count >> 8) as u8, count as u8], 2)
    } else {
        ([count as u8, 0], 1)
    }
}

/// Calls `each` for every run, with the registers that it stands for and their
/// value.
fn runs(body: &[u8], mut each: impl FnMut(Range<usize>, u8)) -> Result<(), Corrupt> {
    let (mut at, mut first) = (0, 0);
    while let Some(run) = Run::read(body, at) {
        let end = first + run.len();
        at += run.bytes();
        if at > body.len() || end > REGISTERS {
            return Err(Corrupt);
        }
        each(first..end, run.value());
        first = end;
    }
    if first == REGISTERS {
        Ok(())
    } else {
        Err(Corrupt)
    }
}

/// Calls `each` for every run of registers that are not zero.
pub(super) fn values(body: &[u8], mut each: impl FnMut(Range<usize>, u8)) -> Result<(), Corrupt> {
    runs(body, |registers, value| {
        if value > 0 {
            each(registers, value);
        }
    })
}

/// How many registers have which value.
pub(super) fn histogram(body: &[u8]) -> Result<Histogram, Corrupt> {
    let mut histogram = Histogram::default();
    runs(body, |registers, value| {
        histogram.add(value, registers.len() as u32);
    })?;
    Ok(histogram)
}

/// The runs in words.
pub(super) fn describe(body: &[u8]) -> String {
    let mut text = String::new();
    let mut at = 0;
    while let Some(run) = Run::read(body, at) {
        at += run.bytes();
        let space = if text.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = match run {
            Run::ShortZeros(len) => write!(text, "{space}z:{len}"),
            Run::LongZeros(len) => write!(text, "{space}Z:{len}"),
            Run::Values(value, len) => write!(text, "{space}v:{value},{len}"),
        };
    }
    text
}

/// Number of registers by the byte of a run; 0 when it takes a second one.
const LENGTHS: [u8; 256] = {
    let mut lengths = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        lengths[byte] = match byte >> 6 {
            0 => byte as u8 + 1,
            1 => 0,
            _ => (byte as u8 & 3) + 1,
        };
        byte += 1;
    }
    lengths
};

/// Where the run of a register starts.
struct Place {
    at: usize,
    /// The run before it, or itself when it is the first.
    before: usize,
    /// Its first register.
    first: usize,
}

/// Finds the run of a register. PFADD spends its time here.
fn find(body: &[u8], index: usize) -> Result<Place, Corrupt> {
    let (mut at, mut before, mut first) = (0, 0, 0);
    loop {
        let byte = *body.get(at).ok_or(Corrupt)?;
        let (len, bytes) = match usize::from(LENGTHS[usize::from(byte)]) {
            0 => Run::read(body, at).map_or((0, 2), |run| (run.len(), 2)),
            len => (len, 1),
        };
        if index < first + len {
            return Ok(Place { at, before, first });
        }
        first += len;
        before = at;
        at += bytes;
    }
}

/// What [`raise`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Raised {
    /// The register is at least that great.
    No,
    /// It is now.
    Yes,
    /// Runs cannot hold it, or would become too long.
    NeedsDense,
}

/// Makes a register at least `value`. `bytes` is the whole string, which may
/// grow to `bytes_max`. The steps are those of Redis, since the same registers
/// can be written in several ways.
pub(super) fn raise(
    bytes: &mut Vec<u8>,
    index: usize,
    value: u8,
    bytes_max: usize,
) -> Result<Raised, Corrupt> {
    if value > VALUE_MAX {
        return Ok(Raised::NeedsDense);
    }
    let Place { at, before, first } = find(&bytes[HEADER_BYTES..], index)?;
    let (at, before) = (HEADER_BYTES + at, HEADER_BYTES + before);
    let run = Run::read(bytes, at).ok_or(Corrupt)?;
    if at + run.bytes() > bytes.len() {
        return Err(Corrupt);
    }
    if let Run::Values(old, _) = run
        && old >= value
    {
        return Ok(Raised::No);
    }
    let mut sequence = Vec::with_capacity(SEQUENCE_BYTES_MAX);
    split(&mut sequence, run, index - first, value);
    let len = bytes.len() - run.bytes() + sequence.len();
    if sequence.len() > run.bytes() && len > bytes_max {
        return Ok(Raised::NeedsDense);
    }
    bytes.splice(at..at + run.bytes(), sequence);
    join(bytes, before);
    Ok(Raised::Yes)
}

/// Writes a run again with one register of another value in it.
fn split(to: &mut Vec<u8>, run: Run, at: usize, value: u8) {
    let push_rest = |to: &mut Vec<u8>, len| match run {
        _ if len == 0 => {}
        Run::Values(old, _) => to.push(values_code(old, len)),
        Run::ShortZeros(_) | Run::LongZeros(_) => push_zeros(to, len),
    };
    push_rest(to, at);
    to.push(values_code(value, 1));
    push_rest(to, run.len() - at - 1);
}

/// Joins neighbours of equal value, a few runs from `at` on.
fn join(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOINED_MAX {
        let Some(run) = Run::read(bytes, at) else {
            return;
        };
        if let (Run::Values(value, len), Some(Run::Values(next_value, next_len))) =
            (run, Run::read(bytes, at + 1))
            && value == next_value
            && len + next_len <= VALUES_MAX
        {
            bytes[at] = values_code(value, len + next_len);
            bytes.remove(at + 1);
            continue;
        }
        at += run.bytes();
    }
}
