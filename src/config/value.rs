//! Reading and printing the values of directives of every kind.

use super::Config;
use super::directive::*;
use super::set::Applying;
use crate::util::num;

/// Stores a value. Returns whether the directive's effect is due: always for
/// a change, and as Redis has it for some that are set to what they were.
pub(super) fn set(
    directive: &Directive,
    config: &mut Config,
    args: &[Vec<u8>],
    applying: &mut Applying<'_>,
) -> Result<bool, Refusal> {
    let first = args.first().map_or(&b""[..], Vec::as_slice);
    let changed = match &directive.kind {
        Kind::Bool(kind) => {
            let value = parse_yes_no(first)?;
            kind.check.map_or(Ok(()), |check| check(value))?;
            let changed = (kind.get)(config) != value;
            (kind.set)(config, value);
            changed
        }
        Kind::Number(kind) => {
            let bits = parse_number(kind, first)?;
            check_bounds(kind, bits)?;
            let changed = (kind.get)(config) != bits;
            (kind.set)(config, bits);
            changed
        }
        Kind::Choice(kind) => {
            let code = parse_choice(kind.names, args, directive.is(flag::MULTI))?;
            kind.check.map_or(Ok(()), |check| check(code))?;
            let changed = (kind.get)(config) != code;
            (kind.set)(config, code);
            changed
        }
        Kind::Text(kind) => {
            let value = if kind.binary { first } else { c_text(first) };
            kind.check.map_or(Ok(()), |check| check(config, value))?;
            let field = (kind.set)(config);
            let changed = field != value;
            *field = value.to_vec();
            changed
        }
        Kind::Special(kind) => (kind.set)(config, args, applying)?,
    };
    Ok(changed || directive.is(flag::VOLATILE))
}

/// The value as CONFIG GET prints it.
pub(super) fn format(directive: &Directive, config: &Config) -> Vec<u8> {
    match &directive.kind {
        Kind::Bool(kind) => yes_no((kind.get)(config)).into(),
        Kind::Number(kind) => format_number(kind.unit, (kind.get)(config)).into_bytes(),
        Kind::Choice(kind) => format_choice(kind.names, (kind.get)(config)).into_bytes(),
        Kind::Text(kind) => (kind.get)(config).clone(),
        Kind::Special(kind) => (kind.get)(config),
    }
}

pub(super) fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn parse_yes_no(arg: &[u8]) -> Result<bool, Refusal> {
    let arg = c_text(arg);
    if arg.eq_ignore_ascii_case(b"yes") {
        Ok(true)
    } else if arg.eq_ignore_ascii_case(b"no") {
        Ok(false)
    } else {
        Err("argument must be 'yes' or 'no'".into())
    }
}

fn parse_number(kind: &Number, arg: &[u8]) -> Result<i64, Refusal> {
    let percent = || {
        let digits = arg.strip_suffix(b"%")?;
        num::parse_i64(digits).filter(|value| *value >= 0)
    };
    match kind.unit {
        Unit::Plain => {
            num::parse_i64(arg).ok_or_else(|| "argument couldn't be parsed into an integer".into())
        }
        Unit::Memory => parse_memory(arg)
            .map(|bytes| bytes as i64)
            .ok_or_else(|| "argument must be a memory value".into()),
        Unit::MemoryOrPercent => parse_memory(arg)
            .map(|bytes| bytes as i64)
            .or_else(|| percent().map(|value| -value))
            .ok_or_else(|| "argument must be a memory or percent value".into()),
        Unit::Octal => match c_integer(arg, 8) {
            CInteger {
                value,
                rest: [],
                overflow: false,
            } => Ok(value),
            _ => Err("argument couldn't be parsed as an octal number".into()),
        },
    }
}

fn check_bounds(kind: &Number, bits: i64) -> Result<(), Refusal> {
    let (min, max) = (kind.min, kind.max);
    if kind.unsigned {
        let (low, high) = (min as u64, max as u64);
        if (low..=high).contains(&(bits as u64)) {
            Ok(())
        } else if kind.unit == Unit::Octal {
            Err(format!("argument must be between {low:o} and {high:o} inclusive").into())
        } else {
            Err(format!("argument must be between {low} and {high} inclusive").into())
        }
    } else if kind.unit == Unit::MemoryOrPercent && bits < 0 {
        if bits < min {
            let most = min.unsigned_abs();
            return Err(format!("percentage argument must be less or equal to {most}").into());
        }
        Ok(())
    } else if (min..=max).contains(&bits) {
        Ok(())
    } else {
        Err(format!("argument must be between {min} and {max} inclusive").into())
    }
}

pub(super) fn format_number(unit: Unit, bits: i64) -> String {
    match unit {
        Unit::MemoryOrPercent if bits < 0 => format!("{}%", bits.unsigned_abs()),
        Unit::Memory | Unit::MemoryOrPercent => (bits as u64).to_string(),
        Unit::Octal => format!("{bits:o}"),
        Unit::Plain => bits.to_string(),
    }
}

fn parse_choice(
    names: &[(&'static str, u32)],
    args: &[Vec<u8>],
    many: bool,
) -> Result<u32, Refusal> {
    let value = |arg: &Vec<u8>| {
        let matching = |(name, _): &&(&str, u32)| name.as_bytes().eq_ignore_ascii_case(c_text(arg));
        names.iter().find(matching).map(|(_, code)| *code)
    };
    let combined = args
        .iter()
        .map(value)
        .try_fold(0, |codes, code| Some(codes | code?));
    match combined {
        Some(code) if args.len() == 1 || (many && !args.is_empty()) => Ok(code),
        _ => {
            let listed: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
            let listed = listed.join(", ");
            Err(format!("argument(s) must be one of the following: {listed}").into())
        }
    }
}

/// The name of a value, or the names of its bits.
pub(super) fn format_choice(names: &[(&'static str, u32)], code: u32) -> String {
    if let Some((name, _)) = names.iter().find(|(_, known)| *known == code) {
        return (*name).to_owned();
    }
    let bits: Vec<&str> = names
        .iter()
        .filter(|(_, bit)| *bit != 0 && code & bit == *bit)
        .map(|(name, _)| *name)
        .collect();
    bits.join(" ")
}

/// Parses an amount of memory. As in Redis, no digits are 0, and what exceeds
/// 64 bits saturates before the unit and wraps with it.
pub fn parse_memory(arg: &[u8]) -> Option<u64> {
    let arg = c_text(arg);
    let digits = arg.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, unit) = arg.split_at(digits);
    let unit: u64 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    if digits.len() >= 128 {
        return None;
    }
    let number = digits.iter().fold(0u64, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    });
    Some(number.wrapping_mul(unit))
}

/// An amount of memory with the largest unit that divides it, for REWRITE.
pub(super) fn memory_with_unit(bytes: u64) -> String {
    for (shift, unit) in [(30, "gb"), (20, "mb"), (10, "kb")] {
        if bytes != 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// What C's `strtoll` makes of text.
pub(super) struct CInteger<'a> {
    /// Saturated on overflow.
    pub(super) value: i64,
    /// Where the number ends; the whole text when there is none.
    pub(super) rest: &'a [u8],
    pub(super) overflow: bool,
}

/// Reads blanks, a sign and digits of `base` (at most 10).
pub(super) fn c_integer(text: &[u8], base: u8) -> CInteger<'_> {
    let text = c_text(text);
    let mut rest = text;
    while let [b' ' | b'\t'..=b'\r', tail @ ..] = rest {
        rest = tail;
    }
    let negative = matches!(rest, [b'-', ..]);
    if let [b'-' | b'+', tail @ ..] = rest {
        rest = tail;
    }
    let digits = rest
        .iter()
        .take_while(|byte| (b'0'..b'0' + base).contains(*byte))
        .count();
    if digits == 0 {
        return CInteger {
            value: 0,
            rest: text,
            overflow: false,
        };
    }
    // One more than fits is enough to know that it overflows.
    let magnitude = rest[..digits].iter().fold(0i128, |number, digit| {
        (number * i128::from(base) + i128::from(digit - b'0')).min(1 << 64)
    });
    let exact = if negative { -magnitude } else { magnitude };
    let value = exact.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
    CInteger {
        value,
        rest: &rest[digits..],
        overflow: i128::from(value) != exact,
    }
}

/// Text up to the first zero byte, as C reads it.
pub(super) fn c_text(bytes: &[u8]) -> &[u8] {
    match memchr::memchr(0, bytes) {
        Some(end) => &bytes[..end],
        None => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_units() {
        let cases: [(&str, Option<u64>); 12] = [
            ("100", Some(100)),
            ("1k", Some(1000)),
            ("1Kb", Some(1024)),
            ("2MB", Some(2 << 20)),
            ("3g", Some(3_000_000_000)),
            ("3gb", Some(3 << 30)),
            ("7b", Some(7)),
            ("", Some(0)),
            ("kb", Some(0)),
            ("-1", None),
            ("1tb", None),
            ("99999999999999999999", Some(u64::MAX)),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_memory(text.as_bytes()), bytes, "{text}");
        }
        assert_eq!(parse_memory(&[b'1'; 128]), None);
    }

    #[test]
    fn memory_prints_with_the_largest_unit() {
        let cases: [(u64, &str); 5] = [
            (0, "0"),
            (1000, "1000"),
            (1024, "1kb"),
            (5 << 20, "5mb"),
            (4 << 30, "4gb"),
        ];
        for (bytes, text) in cases {
            assert_eq!(memory_with_unit(bytes), text);
            assert_eq!(parse_memory(text.as_bytes()), Some(bytes));
        }
    }

    #[test]
    fn integers_as_c_reads_them() {
        let read = |text: &'static str, base| {
            let number = c_integer(text.as_bytes(), base);
            (number.value, number.rest, number.overflow)
        };
        assert_eq!(read(" +12x", 10), (12, &b"x"[..], false));
        assert_eq!(read("-", 10), (0, &b"-"[..], false));
        assert_eq!(read("", 10), (0, &b""[..], false));
        assert_eq!(read("758", 8), (0o75, &b"8"[..], false));
        assert_eq!(read("99999999999999999999", 10), (i64::MAX, &b""[..], true));
        assert_eq!(
            read("-9223372036854775808", 10),
            (i64::MIN, &b""[..], false)
        );
    }
}
