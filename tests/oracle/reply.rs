//! Replies of both protocol versions.

use std::fmt;

/// A reply.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// A reply of one line, its type byte included.
    Line(Vec<u8>),
    /// A reply with a length (`$`, `=`, `!`), its type byte included.
    Bulk(u8, Vec<u8>),
    /// An aggregate with its type byte.
    Many(u8, Vec<Value>),
}

impl Value {
    /// Parses the reply at the start of `bytes`; None when it is incomplete.
    /// Also gives its length.
    ///
    /// # Panics
    /// When it is not a reply.
    pub fn parse(bytes: &[u8]) -> Option<(Value, usize)> {
        let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
        let (line, mut used) = (&bytes[..end], end + 2);
        let kind = *line.first().expect("a type byte");
        let count = || -> i64 {
            let text = std::str::from_utf8(&line[1..]).expect("a length");
            text.parse().expect("a length")
        };
        match kind {
            b'$' | b'=' | b'!' if count() >= 0 => {
                let len = count() as usize;
                let body = bytes.get(used..used + len + 2)?;
                assert_eq!(&body[len..], b"\r\n", "a bulk reply ends with its length");
                Some((Value::Bulk(kind, body[..len].to_vec()), used + len + 2))
            }
            b'*' | b'~' | b'%' | b'>' | b'|' if count() >= 0 => {
                let items = count() * if matches!(kind, b'%' | b'|') { 2 } else { 1 };
                let mut values = Vec::new();
                for _ in 0..items {
                    let (value, len) = Value::parse(&bytes[used..])?;
                    values.push(value);
                    used += len;
                }
                Some((Value::Many(kind, values), used))
            }
            b'+' | b'-' | b':' | b'$' | b'*' | b'_' | b'#' | b',' | b'(' => {
                Some((Value::Line(line.to_vec()), used))
            }
            _ => panic!("not a reply: {:?}", String::from_utf8_lossy(line)),
        }
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        matches!(self, Value::Line(line) if line[0] == b'-') || matches!(self, Value::Bulk(b'!', _))
    }

    /// Whether it is the null of either version.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Line(line) if matches!(line.as_slice(), b"$-1" | b"*-1" | b"_"))
    }

    /// An integer reply.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Value::Line(line) if line[0] == b':' => {
                std::str::from_utf8(&line[1..]).ok()?.parse().ok()
            }
            _ => None,
        }
    }

    /// The bytes of a bulk reply.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Bulk(_, bytes) => Some(bytes),
            _ => None,
        }
    }

    /// What is in it at any depth, in order; itself if it is no aggregate.
    pub fn flat(&self) -> Vec<&Value> {
        match self {
            Value::Many(_, items) => items.iter().flat_map(Value::flat).collect(),
            one => vec![one],
        }
    }

    /// The elements of an aggregate.
    pub fn items(&self) -> Option<&[Value]> {
        match self {
            Value::Many(_, items) => Some(items),
            _ => None,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Line(line) => write!(f, "{}", line.escape_ascii()),
            Value::Bulk(kind, bytes) => {
                let kind = char::from(*kind);
                write!(f, "{kind}{} \"{}\"", bytes.len(), bytes.escape_ascii())
            }
            Value::Many(kind, items) => {
                write!(f, "{}{}", char::from(*kind), items.len())?;
                f.debug_list().entries(items).finish()
            }
        }
    }
}
