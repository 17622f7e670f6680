//! Numbers as the protocol writes them: strict integers, doubles, and the
//! 80-bit long doubles that INCRBYFLOAT computes with.

use rustc_apfloat::ieee::{Double, X87DoubleExtended};
use rustc_apfloat::{Float, FloatConvert, Round, Status};

/// Parses a signed 64-bit integer the way commands accept one: an optional
/// minus, no plus, no blanks, no leading zeros, no `-0`.
pub fn parse_i64(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, bytes),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut value: u64 = 0;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    if negative {
        (value <= i64::MIN.unsigned_abs()).then(|| 0i64.wrapping_sub_unsigned(value))
    } else {
        i64::try_from(value).ok()
    }
}

/// A double as a signed integer, without what follows the dot. Redis: what does
/// not fit becomes what it does in C on x86-64, where that is not defined.
pub fn f64_to_i64_as_c(value: f64) -> i64 {
    const LIMIT: f64 = (1u64 << 63) as f64;
    if (-LIMIT..LIMIT).contains(&value) {
        value as i64
    } else {
        i64::MIN
    }
}

/// An unsigned integer as C's `strtoull` reads the whole text: with white
/// space before it, a sign (a negative one wraps), zeros in front.
pub fn parse_u64_as_c(bytes: &[u8]) -> Option<u64> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let start = bytes.iter().position(|byte| !is_space(byte))?;
    let (digits, negative) = match &bytes[start..] {
        [b'-', digits @ ..] => (digits, true),
        [b'+', digits @ ..] => (digits, false),
        digits => (digits, false),
    };
    if digits.is_empty() {
        return None;
    }
    let mut number: u64 = 0;
    for digit in digits {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(if negative {
        number.wrapping_neg()
    } else {
        number
    })
}

/// The integer that `bytes` is the canonical decimal form of, for the `int`
/// encoding: parsing and printing it gives the same bytes.
pub fn canonical_i64(bytes: &[u8]) -> Option<i64> {
    if bytes.len() > 20 {
        None
    } else {
        parse_i64(bytes)
    }
}

/// A number literal as C's `strtod` reads it, normalised for a parser that is
/// stricter about the form: sign, then decimal, hexadecimal, inf or nan.
enum Literal {
    Decimal,
    Hex(String),
    Infinite,
    Nan,
    Invalid,
}

fn literal(text: &str) -> Literal {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let lower = unsigned.to_ascii_lowercase();
    if lower == "inf" || lower == "infinity" {
        return Literal::Infinite;
    }
    if lower == "nan" || (lower.starts_with("nan(") && lower.ends_with(')')) {
        return Literal::Nan;
    }
    let (digits, hex) = match lower.strip_prefix("0x") {
        Some(digits) => (digits, true),
        None => (lower.as_str(), false),
    };
    let (mantissa, exponent) = match digits.split_once(if hex { 'p' } else { 'e' }) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let is_digit = |c: char| {
        if hex {
            c.is_ascii_hexdigit()
        } else {
            c.is_ascii_digit()
        }
    };
    let mantissa_ok = mantissa.chars().any(is_digit)
        && mantissa.chars().all(|c| is_digit(c) || c == '.')
        && mantissa.matches('.').count() <= 1;
    let exponent_ok = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['+', '-']).unwrap_or(e);
        !e.is_empty() && e.chars().all(|c| c.is_ascii_digit())
    });
    match (mantissa_ok && exponent_ok, hex) {
        (false, _) => Literal::Invalid,
        (true, false) => Literal::Decimal,
        (true, true) => Literal::Hex(format!(
            "{}0x{mantissa}p{}",
            sign(text),
            exponent.unwrap_or("0")
        )),
    }
}

fn sign(text: &str) -> &str {
    if text.starts_with('-') { "-" } else { "" }
}

/// The double of an integer that is short enough to be one exactly.
fn short_integer(bytes: &[u8]) -> Option<f64> {
    let (sign, digits) = match bytes {
        [b'-', digits @ ..] => (-1.0, digits),
        digits => (1.0, digits),
    };
    if digits.is_empty() || digits.len() > 15 {
        return None;
    }
    let mut value: u64 = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(sign * value as f64)
}

/// Whether this can only be a decimal number, or nothing.
fn looks_decimal(bytes: &[u8]) -> bool {
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E');
    bytes.iter().all(is_part)
}

/// Parses a double as commands accept one: the whole of `bytes`, infinities
/// included, no NaN, no blanks before, no value that is too big or so small
/// that it would be zero.
pub fn parse_f64(bytes: &[u8]) -> Option<f64> {
    if let Some(value) = short_integer(bytes) {
        return Some(value);
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let form = if looks_decimal(bytes) {
        Literal::Decimal
    } else {
        literal(text)
    };
    match form {
        Literal::Decimal => {
            let value: f64 = text.parse().ok()?;
            let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
            let vanished = value == 0.0 && mantissa.contains(|digit| ('1'..='9').contains(&digit));
            (value.is_finite() && !vanished).then_some(value)
        }
        Literal::Hex(text) => {
            let parsed: Double = text.parse().ok()?;
            let value = f64::from_bits(parsed.to_bits() as u64);
            value.is_finite().then_some(value)
        }
        Literal::Infinite if text.starts_with('-') => Some(f64::NEG_INFINITY),
        Literal::Infinite => Some(f64::INFINITY),
        Literal::Nan | Literal::Invalid => None,
    }
}

/// Parses a double as C's `strtod` does when all of the string has to be one:
/// blanks before it pass, nothing at all is zero, what is too big is infinite;
/// the string ends at a zero byte. No NaN.
pub fn parse_f64_as_c(bytes: &[u8]) -> Option<f64> {
    let end = bytes.iter().position(|byte| *byte == 0);
    let text = std::str::from_utf8(&bytes[..end.unwrap_or(bytes.len())]).ok()?;
    if text.is_empty() {
        return Some(0.0);
    }
    let text = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    match literal(text) {
        Literal::Decimal => text.parse().ok(),
        Literal::Hex(text) => {
            let parsed: Double = text.parse().ok()?;
            Some(f64::from_bits(parsed.to_bits() as u64))
        }
        Literal::Infinite | Literal::Nan | Literal::Invalid => parse_f64(text.as_bytes()),
    }
}

/// A double in text.
#[derive(Clone, Copy)]
pub struct DoubleText {
    bytes: [u8; 32],
    len: usize,
}

impl DoubleText {
    fn new() -> DoubleText {
        DoubleText {
            bytes: [0; 32],
            len: 0,
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn push_zeros(&mut self, count: usize) {
        self.bytes[self.len..self.len + count].fill(b'0');
        self.len += count;
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Formats a double with 17 significant digits as C's `%.17g` does, the form
/// of doubles in replies.
pub fn format_f64(value: f64) -> DoubleText {
    let mut text = DoubleText::new();
    if !value.is_finite() {
        let name = if value.is_nan() { "nan" } else { "inf" };
        if value.is_sign_negative() && !value.is_nan() {
            text.push(b"-");
        }
        text.push(name.as_bytes());
        return text;
    }
    if value.is_sign_negative() {
        text.push(b"-");
    }
    let value = value.abs();
    if value < 1e17 && value.fract() == 0.0 {
        text.push(itoa::Buffer::new().format(value as u64).as_bytes());
        return text;
    }
    let (digits, exponent) = digits_17(value);
    let used = digits.iter().rposition(|digit| *digit != b'0').unwrap_or(0) + 1;
    let digits = &digits[..used];
    let whole = usize::try_from(exponent + 1).unwrap_or(0);
    if !(-4..17).contains(&exponent) {
        text.push(&digits[..1]);
        if used > 1 {
            text.push(b".");
            text.push(&digits[1..]);
        }
        text.push(if exponent < 0 { b"e-" } else { b"e+" });
        text.push_zeros(usize::from(exponent.abs() < 10));
        text.push(itoa::Buffer::new().format(exponent.abs()).as_bytes());
    } else if exponent < 0 {
        text.push(b"0.");
        text.push_zeros((-exponent - 1) as usize);
        text.push(digits);
    } else if used <= whole {
        text.push(digits);
        text.push_zeros(whole - used);
    } else {
        text.push(&digits[..whole]);
        text.push(b".");
        text.push(&digits[whole..]);
    }
    text
}

/// The first 17 digits of a positive double, rounded, and the decimal exponent
/// of the first of them.
fn digits_17(value: f64) -> ([u8; 17], i32) {
    use std::io::Write;
    let mut scientific = [0u8; 32];
    let mut rest = &mut scientific[..];
    // One digit, a dot, 16 digits, `e`, an exponent of at most four characters.
    write!(rest, "{value:.16e}").expect("shorter than the buffer");
    let left = rest.len();
    let text = &scientific[..scientific.len() - left];
    let mut digits = [0; 17];
    digits[0] = text[0];
    digits[1..].copy_from_slice(&text[2..18]);
    let exponent = std::str::from_utf8(&text[19..]).unwrap_or_default();
    (digits, exponent.parse().unwrap_or(0))
}

/// An 80-bit extended-precision number: what INCRBYFLOAT and HINCRBYFLOAT add
/// with, so that their results have the digits that Redis on x86 prints.
#[derive(Clone, Copy)]
pub struct LongDouble(X87DoubleExtended);

impl LongDouble {
    /// Parses the whole of `bytes`; infinities pass, NaN, values out of range
    /// and texts of 5 KiB (Redis: MAX_LONG_DOUBLE_CHARS) or more do not.
    pub fn parse(bytes: &[u8]) -> Option<LongDouble> {
        const BYTES_MAX: usize = 5 * 1024 - 1;
        if bytes.len() > BYTES_MAX {
            return None;
        }
        let text = std::str::from_utf8(bytes).ok()?;
        let number = match literal(text) {
            Literal::Decimal => text.trim_start_matches('+').to_owned(),
            Literal::Hex(text) => text,
            Literal::Infinite => {
                let infinity = X87DoubleExtended::INFINITY;
                return Some(LongDouble(if text.starts_with('-') {
                    -infinity
                } else {
                    infinity
                }));
            }
            Literal::Nan | Literal::Invalid => return None,
        };
        let parsed = X87DoubleExtended::from_str_r(&number, Round::NearestTiesToEven).ok()?;
        // Redis: what is too small to be exact passes, unless nothing is left.
        let vanished = parsed.status.intersects(Status::UNDERFLOW) && parsed.value.is_zero();
        let out_of_range = vanished || parsed.status.intersects(Status::OVERFLOW);
        (!out_of_range).then_some(LongDouble(parsed.value))
    }

    /// A thousand times as much, rounded up, if that fits.
    pub fn ceil_of_thousandfold(self) -> Option<i64> {
        let product = (self.0 * LongDouble::from_i64(1000).0).value;
        let rounded = product.to_i128_r(64, Round::TowardPositive, &mut false);
        let fits = !rounded.status.contains(Status::INVALID_OP);
        fits.then_some(rounded.value)
            .and_then(|value| i64::try_from(value).ok())
    }

    /// Whether it is neither infinite nor no number at all.
    pub fn is_finite(self) -> bool {
        self.0.is_finite()
    }

    /// The number of an integer, exactly.
    pub fn from_i64(value: i64) -> LongDouble {
        LongDouble(X87DoubleExtended::from_i128(i128::from(value)).value)
    }

    /// The number of a finite double, exactly.
    pub fn from_f64(value: f64) -> LongDouble {
        let double = Double::from_bits(u128::from(value.to_bits()));
        let mut loses = false;
        LongDouble(double.convert(&mut loses).value)
    }

    /// The sum, or None when it is not a finite number.
    pub fn checked_add(self, other: LongDouble) -> Option<LongDouble> {
        let sum = (self.0 + other.0).value;
        sum.is_finite().then_some(LongDouble(sum))
    }

    /// Formats with up to 17 decimals and no trailing zeros (C's `%.17Lf`,
    /// then trimmed), the form in which the sum is stored.
    pub fn format(self) -> String {
        if !self.0.is_finite() {
            let name = if self.0.is_nan() { "nan" } else { "inf" };
            return format!("{}{name}", if self.0.is_negative() { "-" } else { "" });
        }
        // x87 layout: 1 sign bit, 15 exponent bits, 64 mantissa bits.
        let bits = self.0.to_bits();
        let mantissa = bits as u64;
        let exponent = ((bits >> 64) & 0x7fff) as i32 - 16383 - 63;
        let text = if exponent >= 0 {
            big_integer(mantissa, exponent as u32)
        } else {
            decimal_fraction(mantissa, exponent.unsigned_abs())
        };
        if self.0.is_negative() && text != "0" {
            format!("-{text}")
        } else {
            text
        }
    }
}

/// mantissa * 2^shift in decimal.
fn big_integer(mantissa: u64, shift: u32) -> String {
    const BASE: u64 = 1_000_000_000;
    let mut limbs = vec![
        mantissa % BASE,
        mantissa / BASE % BASE,
        mantissa / BASE / BASE,
    ];
    for _ in 0..shift {
        let mut carry = 0;
        for limb in &mut limbs {
            let doubled = *limb * 2 + carry;
            *limb = doubled % BASE;
            carry = doubled / BASE;
        }
        if carry > 0 {
            limbs.push(carry);
        }
    }
    while limbs.len() > 1 && limbs.last() == Some(&0) {
        limbs.pop();
    }
    let mut text = limbs.last().map(u64::to_string).unwrap_or_default();
    for limb in limbs.iter().rev().skip(1) {
        text.push_str(&format!("{limb:09}"));
    }
    text
}

/// mantissa / 2^shift, rounded half to even at 17 decimals, zeros trimmed.
fn decimal_fraction(mantissa: u64, shift: u32) -> String {
    const DECIMALS: u128 = 100_000_000_000_000_000;
    // Below 2^121, so it fits; beyond a shift of 127 the quotient is zero.
    let scaled = u128::from(mantissa) * DECIMALS;
    let mut quotient = scaled.checked_shr(shift).unwrap_or(0);
    if shift < 128 {
        let remainder = scaled - (quotient << shift);
        let half = 1u128 << (shift - 1);
        if remainder > half || (remainder == half && quotient % 2 == 1) {
            quotient += 1;
        }
    }
    let text = format!("{}.{:017}", quotient / DECIMALS, quotient % DECIMALS);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_strict() {
        for good in ["0", "-1", "9223372036854775807", "-9223372036854775808"] {
            assert_eq!(parse_i64(good.as_bytes()).unwrap().to_string(), good);
        }
        for bad in [
            "",
            "-",
            "-0",
            "+1",
            "01",
            " 1",
            "1 ",
            "9223372036854775808",
            "1.0",
            "0x1",
        ] {
            assert_eq!(parse_i64(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(parse_i64(b"-9223372036854775809"), None);
        assert_eq!(parse_i64(b"99999999999999999999999"), None);
    }

    #[test]
    fn doubles_print_as_percent_17g() {
        let cases: [(f64, &str); 9] = [
            (0.1, "0.10000000000000001"),
            (4.321, "4.3209999999999997"),
            (1e17, "1e+17"),
            (1e16, "10000000000000000"),
            (-0.0001, "-0.0001"),
            (1e-5, "1.0000000000000001e-05"),
            (5e-324, "4.9406564584124654e-324"),
            (f64::INFINITY, "inf"),
            (1.5, "1.5"),
        ];
        for (value, text) in cases {
            assert_eq!(format_f64(value).as_bytes(), text.as_bytes(), "{text}");
        }
        for (value, text) in [
            (-0.0, "-0"),
            (0.0, "0"),
            (-123.0, "-123"),
            (99999999999999984.0, "99999999999999984"),
            (1.0000000000000002e17, "1.0000000000000002e+17"),
            (-1.7976931348623157e308, "-1.7976931348623157e+308"),
            (2.2250738585072014e-308, "2.2250738585072014e-308"),
            (0.00012345678901234567, "0.00012345678901234567"),
            (1234567.125, "1234567.125"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(format_f64(value).as_bytes(), text.as_bytes(), "{text}");
        }
    }

    #[test]
    fn doubles_parse_as_strtod() {
        assert_eq!(parse_f64(b"0x10"), Some(16.0));
        assert_eq!(parse_f64(b"-.5e1"), Some(-5.0));
        assert_eq!(parse_f64(b"5."), Some(5.0));
        assert_eq!(parse_f64(b"+inf"), Some(f64::INFINITY));
        assert_eq!(parse_f64(b"0e-999"), Some(0.0));
        assert_eq!(parse_f64(b"5e-324"), Some(5e-324));
        for bad in [
            "", " 1", "1 ", "nan", "1e", "e5", ".", "1_0", "0x", "1e999", "1e-999",
        ] {
            assert_eq!(parse_f64(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn bounds_of_ranges_parse_as_c_strings() {
        for (text, value) in [
            ("", 0.0),
            (" \t1.5", 1.5),
            ("-0x10", -16.0),
            ("1e999", f64::INFINITY),
            ("-1e999", f64::NEG_INFINITY),
            ("0x1p9999", f64::INFINITY),
            ("1e-999", 0.0),
            ("-inf", f64::NEG_INFINITY),
            ("infinity", f64::INFINITY),
            ("5\0rest", 5.0),
            ("\0rest", 0.0),
        ] {
            assert_eq!(parse_f64_as_c(text.as_bytes()), Some(value), "{text:?}");
        }
        for bad in [" ", "1 ", "nan", "x", "(1", "1(", "--1"] {
            assert_eq!(parse_f64_as_c(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn long_doubles_have_a_longest_text() {
        let hex =
            |digits: usize| LongDouble::parse(format!("0x.{}", "8".repeat(digits)).as_bytes());
        assert!(hex(5 * 1024 - 4).is_some());
        assert!(hex(5 * 1024 - 3).is_none());
    }

    #[test]
    fn long_doubles_keep_redis_digits() {
        let add = |a: &str, b: &str| {
            let sum = LongDouble::parse(a.as_bytes()).unwrap();
            sum.checked_add(LongDouble::parse(b.as_bytes()).unwrap())
                .unwrap()
                .format()
        };
        assert_eq!(add("0.1", "0.2"), "0.3");
        assert_eq!(add("3", "1.1"), "4.1");
        assert_eq!(add("10.50", "0.1"), "10.6");
        assert_eq!(add("5.0e3", "2.0e2"), "5200");
        assert_eq!(add("1", "-1"), "0");
        assert_eq!(add("17179869184", "1.5"), "17179869185.5");
        assert_eq!(add("1e27", "0"), "1000000000000000000000000000");
        assert_eq!(add("-1.5", "0.25"), "-1.25");
        assert_eq!(add("9999", "1e-4940"), "9999");
        assert!(LongDouble::parse(b"1e-4960").is_none());
        assert!(LongDouble::parse(b"1e4940").is_none());
    }

    #[test]
    fn timeouts_round_up() {
        for (text, thousandfold) in [
            ("0", Some(0)),
            ("1.5", Some(1500)),
            ("0.001", Some(1)),
            ("0.0001", Some(1)),
            ("1e-4940", Some(1)),
            ("-0.0001", Some(0)),
            ("-1", Some(-1000)),
            ("9223372036854775.807", Some(i64::MAX)),
            ("9223372036854775.808", None),
            ("1e400", None),
        ] {
            let number = LongDouble::parse(text.as_bytes()).unwrap();
            assert_eq!(number.ceil_of_thousandfold(), thousandfold, "{text}");
        }
    }
}
