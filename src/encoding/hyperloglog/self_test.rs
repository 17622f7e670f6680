//! What PFSELFTEST does: the checks that only make sense over many elements.

use rand::Rng;

use super::{Encoding, HllMut, REGISTERS, empty};

/// Rounds of the test of registers.
const ROUNDS: usize = 1000;
/// Elements of the test of estimates.
const ELEMENTS: u64 = 10_000_000;
/// Standard errors that an estimate may be off.
const ERRORS_MAX: f64 = 6.0;

/// Checks that registers keep any value and leave others alone, that both
/// encodings estimate the same, and that estimates are close.
///
/// # Errors
/// What went wrong, in words.
pub fn self_test(rng: &mut impl Rng, sparse_bytes_max: usize) -> Result<(), String> {
    test_registers(rng)?;
    test_estimates(rng.random(), sparse_bytes_max)
}

fn test_registers(rng: &mut impl Rng) -> Result<(), String> {
    let mut expected = [0u8; REGISTERS];
    for _ in 0..ROUNDS {
        let mut bytes = empty();
        let mut hll = writer(&mut bytes, 0)?;
        hll.make_dense().map_err(|_| "an empty one is corrupt")?;
        for (index, value) in expected.iter_mut().enumerate() {
            *value = rng.random_range(0..64);
            hll.raise(index, *value).map_err(|_| "it is corrupt")?;
        }
        let registers = hll.view().registers().into_iter().flatten();
        for (index, (found, expected)) in registers.zip(expected).enumerate() {
            if found != expected {
                return Err(format!(
                    "Register {index} should be {expected} but is {found}"
                ));
            }
        }
    }
    Ok(())
}

fn test_estimates(seed: u64, sparse_bytes_max: usize) -> Result<(), String> {
    let (mut dense_bytes, mut any_bytes) = (empty(), empty());
    let mut dense = writer(&mut dense_bytes, 0)?;
    dense.make_dense().map_err(|_| "an empty one is corrupt")?;
    let mut any = writer(&mut any_bytes, sparse_bytes_max)?;
    let mut checkpoint = 1;
    for number in 1..=ELEMENTS {
        let element = (number ^ seed).to_le_bytes();
        for hll in [&mut dense, &mut any] {
            hll.add(&element).map_err(|_| "it is corrupt")?;
        }
        if number == checkpoint {
            let must_be_sparse = number < sparse_bytes_max as u64 / 2;
            if must_be_sparse && any.view().encoding() != Encoding::Sparse {
                return Err("sparse encoding not used".into());
            }
            let count = dense.view().count();
            if count != any.view().count() {
                return Err("dense/sparse disagree".into());
            }
            check(number, count.map_err(|_| "it is corrupt")?)?;
            checkpoint *= 10;
        }
    }
    Ok(())
}

fn writer(bytes: &mut Vec<u8>, sparse_bytes_max: usize) -> Result<HllMut<'_>, &'static str> {
    HllMut::new(bytes, sparse_bytes_max).ok_or("an empty one is none")
}

/// Checks an estimate of a number of elements.
fn check(number: u64, estimate: u64) -> Result<(), String> {
    let standard_error = 1.04 / (REGISTERS as f64).sqrt();
    let error_max = match number {
        // Two of ten elements share a register now and then.
        10 => 1,
        _ => (standard_error * ERRORS_MAX * number as f64).ceil() as u64,
    };
    let error = number.abs_diff(estimate);
    if error > error_max {
        return Err(format!("Too big error. card:{number} abserr:{error}"));
    }
    Ok(())
}
