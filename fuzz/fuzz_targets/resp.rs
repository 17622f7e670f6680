//! The protocol: whatever arrives, in whatever pieces, is understood in the
//! same way, holds no more memory than was received, and no reply made of it
//! is anything but one reply.

#![no_main]

use std::ops::Range;

use libfuzzer_sys::fuzz_target;
use redstart::resp::{Limits, Output, Parser, ProtocolError, Reply, Request};

/// Room that an empty request may have asked for: the first reservation for a
/// big argument, and the list of arguments.
const ROOM_BYTES: usize = 512 * 1024;

type Requests = Vec<Vec<Vec<u8>>>;

/// A connection: feeds `input` in pieces and gives what was understood.
fn understood(input: &[u8], pieces: &[u8], limits: &Limits) -> (Requests, Option<Vec<u8>>) {
    let (mut parser, mut buf) = (Parser::default(), Vec::new());
    let mut ranges: Vec<Range<u32>> = Vec::new();
    let (mut requests, mut rest) = (Requests::new(), input);
    let mut sizes = pieces.iter().cycle();
    while !rest.is_empty() {
        // Without pieces, all at once.
        let wanted = sizes
            .next()
            .map_or(rest.len(), |size| 1 + usize::from(*size) * 37);
        let (mut piece, after) = rest.split_at(wanted.min(rest.len()));
        rest = after;
        if let Some((bulk, missing)) = parser.receiving() {
            let room = missing.min(bulk.capacity() - bulk.len()).min(piece.len());
            bulk.extend_from_slice(&piece[..room]);
            parser.received(room);
            piece = &piece[room..];
        }
        buf.extend_from_slice(piece);
        loop {
            ranges.clear();
            let consumed = match parser.next(&buf, &mut ranges, limits) {
                Err(ProtocolError(text)) => return (requests, Some(text)),
                Ok(Request::Here { consumed }) => {
                    let arg = |r: &Range<u32>| buf[r.start as usize..r.end as usize].to_vec();
                    requests.push(ranges.iter().map(arg).collect());
                    consumed
                }
                Ok(Request::Owned { consumed, args }) => {
                    requests.push(args.iter().map(|arg| arg.to_vec()).collect());
                    consumed
                }
                Ok(Request::Empty { consumed }) => consumed,
                Ok(Request::Incomplete { consumed }) => {
                    buf.drain(..consumed);
                    break;
                }
            };
            assert!(consumed > 0 || !buf.is_empty(), "nothing is a request");
            buf.drain(..consumed);
        }
        let received = input.len() - rest.len();
        // An argument costs its handle, too; each took four bytes at least.
        let handles = received / 4 * size_of::<usize>() * 4;
        assert!(parser.held_bytes() <= received + handles);
        assert!(parser.spare_bytes() <= received);
        if let Some((bulk, _)) = parser.receiving() {
            assert!(bulk.capacity() <= 2 * received + ROOM_BYTES);
        }
    }
    (requests, None)
}

fn encoded(requests: &Requests) -> Vec<u8> {
    let mut out = Vec::new();
    for args in requests {
        out.extend(format!("*{}\r\n", args.len()).bytes());
        for arg in args {
            out.extend(format!("${}\r\n", arg.len()).bytes());
            out.extend(arg);
            out.extend(b"\r\n");
        }
    }
    out
}

/// Lines of replies in which these words stand.
fn lines(words: &[Vec<u8>]) -> usize {
    let mut out = Output::default();
    let mut reply = Reply::new(&mut out, true);
    for word in words {
        reply.error(word);
        reply.simple(&String::from_utf8_lossy(word));
    }
    let mut chunks = Default::default();
    out.take(&mut chunks);
    let bytes = chunks.iter().flat_map(|chunk| chunk.as_slice());
    bytes.filter(|byte| **byte == b'\n').count()
}

fuzz_target!(|data: &[u8]| {
    let [mode, count, data @ ..] = data else {
        return;
    };
    let (pieces, input) = data.split_at(usize::from(*count % 8).min(data.len()));
    let bulk_bytes_max = if mode & 1 == 0 { 512 << 20 } else { 100 };
    let limits = if mode & 2 == 0 {
        Limits::authenticated(bulk_bytes_max)
    } else {
        Limits::unauthenticated(bulk_bytes_max)
    };
    let whole = understood(input, &[], &limits);
    assert_eq!(whole, understood(input, pieces, &limits), "in pieces");
    let free = Limits::authenticated(u64::MAX);
    let (requests, error) = whole;
    let again = understood(&encoded(&requests), pieces, &free);
    assert_eq!(again, (requests.clone(), None), "written and read again");
    for words in &requests {
        assert_eq!(lines(words), 2 * words.len(), "one reply is one line");
    }
    if let Some(text) = error {
        assert!(text.starts_with(b"Protocol error: "));
    }
});
