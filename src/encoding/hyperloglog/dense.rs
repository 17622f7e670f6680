//! Registers of 6 bits: four in three bytes, the first in the lowest bits.

use super::REGISTERS;
use super::estimate::Histogram;

/// Length of all registers.
pub(super) const BYTES: usize = REGISTERS * BITS / 8;
const BITS: usize = 6;
const VALUE_MAX: u32 = (1 << BITS) - 1;

fn four(group: &[u8; 3]) -> [u8; 4] {
    let bits = u32::from_le_bytes([group[0], group[1], group[2], 0]);
    [0, 6, 12, 18].map(|shift| (bits >> shift & VALUE_MAX) as u8)
}

fn groups(registers: &[u8]) -> &[[u8; 3]] {
    registers.as_chunks().0
}

/// A register.
pub(super) fn get(registers: &[u8], index: usize) -> u8 {
    four(&groups(registers)[index / 4])[index % 4]
}

/// Makes a register at least `value`; true when it was less.
pub(super) fn raise(registers: &mut [u8], index: usize, value: u8) -> bool {
    if get(registers, index) >= value {
        return false;
    }
    debug_assert!(u32::from(value) <= VALUE_MAX);
    let group = &mut registers.as_chunks_mut::<3>().0[index / 4];
    let shift = index % 4 * BITS;
    let bits = u32::from_le_bytes([group[0], group[1], group[2], 0]);
    let bits = bits & !(VALUE_MAX << shift) | u32::from(value) << shift;
    group.copy_from_slice(&bits.to_le_bytes()[..3]);
    true
}

/// How many registers have which value.
pub(super) fn histogram(registers: &[u8]) -> Histogram {
    let mut histogram = Histogram::default();
    for group in groups(registers) {
        for value in four(group) {
            histogram.add(value, 1);
        }
    }
    histogram
}

/// Raises each of `to` to the register of its index.
pub(super) fn merge(registers: &[u8], to: &mut [u8; REGISTERS]) {
    for (group, four_of_to) in groups(registers).iter().zip(to.as_chunks_mut::<4>().0) {
        let values: [u8; 4] = four(group);
        for (to, value) in four_of_to.iter_mut().zip(values) {
            *to = value.max(*to);
        }
    }
}
