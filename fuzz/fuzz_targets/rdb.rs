//! Snapshot files: whatever the bytes behind the header are, they are refused
//! or give sound keys; what was read is written again and read back the same.
//!
//! The first bytes choose the limits; where there are enough bytes, some are
//! opcodes in their place, so that the corpus needs no seeds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use redstart::encoding::quicklist::Limits as ListLimits;
use redstart::rdb::file::FileSource;
use redstart::rdb::frame::{Record, Usage};
use redstart::rdb::{Encoder, Limits, LoadError, Reader};
use redstart::types::{HashLimits, Object, SetLimits, ZsetLimits};

const OPCODES: [u8; 10] = [245, 246, 247, 248, 249, 250, 251, 252, 253, 254];

fn limits(byte: u8) -> Limits {
    let entries = usize::from(byte % 16);
    let long = usize::from(byte / 16) * 8;
    Limits {
        list: ListLimits::new(entries as i32 - 5, u32::from(byte % 3), 16 + long),
        set: SetLimits {
            ints: entries,
            entries,
            member_bytes: long,
        },
        zset: ZsetLimits {
            entries,
            member_bytes: long,
        },
        hash: HashLimits {
            entries,
            value_bytes: long,
        },
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&[first, second], rest)) = input.split_first_chunk::<2>() else {
        return;
    };
    let limits = limits(first);
    let mut bytes = rest.to_vec();
    if second % 4 == 0 && !bytes.is_empty() {
        bytes[0] = OPCODES[usize::from(second / 4) % OPCODES.len()];
    }
    // From memory and from a stream, it is all the same.
    let mut reader = Reader::new(&bytes[..]);
    let mut streamed = Reader::new(FileSource::new(&bytes[..], second % 2 == 0));
    loop {
        let (here, there) = (reader.record(&limits), streamed.record(&limits));
        match (here, there) {
            (Err((key, error)), Err((other_key, other))) => {
                assert_eq!(key, other_key);
                let failed = |error: &LoadError| matches!(error, LoadError::Failed(_));
                assert!(!failed(&error) && !failed(&other));
                return;
            }
            (Ok(Record::End), Ok(Record::End)) => return,
            (Ok(Record::Key(record)), Ok(Record::Key(other))) => {
                assert_eq!(record.key, other.key);
                assert_eq!((record.expire, record.usage), (other.expire, other.usage));
                again(
                    &record.key,
                    &record.value,
                    record.expire,
                    record.usage,
                    &limits,
                );
            }
            (Ok(Record::Function(code)), Ok(Record::Function(other))) => {
                assert_eq!(code, other);
                library_again(&code);
            }
            (Ok(_), Ok(_)) => {}
            _ => panic!("the stream reads something else"),
        }
    }
});

/// Writes a library of functions and reads it back.
fn library_again(code: &[u8]) {
    let mut encoder = Encoder::new(Vec::new()).compressing(true);
    encoder.function(code).expect("to memory");
    let bytes = encoder.into_inner();
    let mut reader = Reader::new(&bytes[..]);
    assert_eq!(reader.function().expect("a library"), code);
    assert!(reader.is_at_end());
}

/// Writes a key and reads it back.
fn again(key: &[u8], value: &Object, expire: Option<i64>, usage: Usage, limits: &Limits) {
    value.check_invariants();
    let mut encoder = Encoder::new(Vec::new()).compressing(true);
    encoder.key_header(expire, usage).expect("to memory");
    encoder.pair(key, value.view()).expect("to memory");
    let bytes = encoder.into_inner();
    let mut reader = Reader::new(&bytes[..]);
    match reader.record(limits) {
        Ok(Record::Key(record)) => {
            assert_eq!((&record.key[..], record.expire), (key, expire));
            assert_eq!(record.usage, usage);
            assert!(reader.is_at_end());
        }
        _ => panic!("what was written is not a key"),
    }
}
