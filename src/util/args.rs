//! Splitting a line into arguments with quotes, as inline commands and the
//! configuration file have them.

/// Splits a line at blanks. `"…"` knows `\n \r \t \b \a \xHH` and `\c`, `'…'`
/// knows `\'`; a closing quote must be followed by a blank or the end. None
/// when quotes are unbalanced.
pub fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut args = Vec::new();
    let mut rest = line;
    loop {
        while let [first, tail @ ..] = rest {
            if !is_space(*first) {
                break;
            }
            rest = tail;
        }
        if rest.is_empty() || rest[0] == 0 {
            return Some(args);
        }
        let (arg, tail) = next_arg(rest)?;
        args.push(arg);
        rest = tail;
    }
}

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// One argument from a non-blank start, and what follows it.
fn next_arg(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut arg = Vec::new();
    loop {
        match rest {
            [] | [0, ..] => return Some((arg, &[])),
            [blank, ..] if is_space(*blank) => return Some((arg, rest)),
            [quote @ (b'"' | b'\''), tail @ ..] => {
                let after = quoted(*quote, tail, &mut arg)?;
                return match after {
                    [] => Some((arg, after)),
                    [next, ..] if is_space(*next) || *next == 0 => Some((arg, after)),
                    _ => None,
                };
            }
            [byte, tail @ ..] => {
                arg.push(*byte);
                rest = tail;
            }
        }
    }
}

/// The inside of quotes, appended to `arg`; what follows the closing one.
fn quoted<'a>(quote: u8, mut rest: &'a [u8], arg: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] | [0, ..] => return None,
            [b'\\', b'x', high, low, tail @ ..]
                if quote == b'"' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let digit = |byte: &u8| (*byte as char).to_digit(16).unwrap_or(0) as u8;
                arg.push(digit(high) * 16 + digit(low));
                rest = tail;
            }
            [b'\\', escaped, tail @ ..] if quote == b'"' => {
                arg.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest = tail;
            }
            [b'\\', b'\'', tail @ ..] if quote == b'\'' => {
                arg.push(b'\'');
                rest = tail;
            }
            [byte, tail @ ..] if *byte == quote => return Some(tail),
            [byte, tail @ ..] => {
                arg.push(*byte);
                rest = tail;
            }
        }
    }
}

/// Quotes bytes for logs and MONITOR: printable ASCII stays, the rest is escaped.
pub fn quote(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            7 => out.extend(b"\\a"),
            8 => out.extend(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => out.extend(format!("\\x{byte:02x}").bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, args: Option<&[&[u8]]>) {
        let expected = args.map(|args| args.iter().map(|arg| arg.to_vec()).collect::<Vec<_>>());
        assert_eq!(split(line.as_bytes()), expected, "{line}");
    }

    #[test]
    fn splits_with_quotes() {
        check("", Some(&[]));
        check("  set  key val \t", Some(&[b"set", b"key", b"val"]));
        check(r#"set "a b" 'c d'"#, Some(&[b"set", b"a b", b"c d"]));
        check(r#""\x41\n\"\q""#, Some(&[b"A\n\"q"]));
        check(r"'it\'s \n'", Some(&[b"it's \\n"]));
        check(r#"foo"bar""#, Some(&[b"foobar"]));
        check(r#"""#, None);
        check(r#""a"b"#, None);
        check("'a", None);
        check(r#""""#, Some(&[b""]));
    }

    #[test]
    fn quotes_round_trip() {
        let all: Vec<u8> = (1..=255).collect();
        let mut quoted = Vec::new();
        quote(&all, &mut quoted);
        assert_eq!(split(&quoted), Some(vec![all]));
    }
}
