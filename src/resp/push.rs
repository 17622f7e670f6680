//! Messages that a client has not asked for just now: encoded once, written to
//! all who get them.

use bytes::Bytes;

use super::write::Output;

/// Messages from this length on are shared by those who get them.
const SHARE_BYTES: usize = 4 * 1024;

/// A message of several parts: a push in RESP3, an array in RESP2. The two
/// differ in their first byte only, so that one encoding serves both.
#[derive(Clone, Debug)]
pub struct Push {
    /// What follows the first byte.
    rest: Bytes,
}

impl Push {
    /// A message of strings.
    pub fn new(parts: &[&[u8]]) -> Push {
        Push {
            rest: encode(parts, &[]).into(),
        }
    }

    /// A message of strings and one more part, which is encoded already.
    pub fn ending(parts: &[&[u8]], last: &[u8]) -> Push {
        Push {
            rest: encode(parts, last).into(),
        }
    }

    /// Writes the message behind what waits for a client.
    #[inline]
    pub fn write(&self, out: &mut Output, resp3: bool) {
        let first = if resp3 { b">" } else { b"*" };
        out.begin();
        if self.rest.len() < SHARE_BYTES || !out.can_share() {
            out.reserve(1 + self.rest.len());
            out.raw(first);
            out.raw(&self.rest);
        } else {
            out.raw(first);
            out.share(self.rest.clone());
        }
    }
}

fn encode(parts: &[&[u8]], last: &[u8]) -> Vec<u8> {
    const HEADERS_BYTES: usize = 16;
    let bytes: usize = parts.iter().map(|part| part.len() + HEADERS_BYTES).sum();
    let mut out = Vec::with_capacity(HEADERS_BYTES + bytes + last.len());
    let number = |out: &mut Vec<u8>, number: usize| {
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        out.extend_from_slice(b"\r\n");
    };
    number(&mut out, parts.len() + usize::from(!last.is_empty()));
    for part in parts {
        out.push(b'$');
        number(&mut out, part.len());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(last);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    fn written(push: &Push, resp3: bool) -> Vec<u8> {
        let mut out = Output::default();
        push.write(&mut out, resp3);
        let mut chunks = VecDeque::new();
        out.take(&mut chunks);
        let bytes = chunks.iter().flat_map(|chunk| chunk.as_slice().to_vec());
        bytes.collect()
    }

    #[test]
    fn one_encoding_for_both_versions() {
        let push = Push::new(&[b"message", b"c", b""]);
        assert_eq!(
            written(&push, false),
            b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$0\r\n\r\n"
        );
        assert_eq!(
            written(&push, true),
            b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$0\r\n\r\n"
        );
        let push = Push::ending(&[b"invalidate"], b"*1\r\n$1\r\nk\r\n");
        assert_eq!(
            written(&push, true),
            b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"
        );
    }

    #[test]
    fn long_messages_are_shared() {
        let long = vec![b'x'; SHARE_BYTES];
        let push = Push::new(&[&long]);
        let mut out = Output::default();
        push.write(&mut out, true);
        assert_eq!(out.chunks(), 2);
        assert_eq!(written(&push, true)[0], b'>');
        assert!(written(&push, false).ends_with(b"xx\r\n"));
    }
}
