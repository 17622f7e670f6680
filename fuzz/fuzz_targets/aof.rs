//! The append-only file: whatever the bytes are, reading gives commands that
//! are written and read back the same, or says that there is none; and so do
//! manifests.

#![no_main]

use libfuzzer_sys::fuzz_target;
use redstart::aof::read::{LogReader, ReadFailure};
use redstart::aof::{Manifest, append_command};

fuzz_target!(|input: &[u8]| {
    let mut reader = LogReader::new(input, input.len() as u64, 0);
    let mut written = Vec::new();
    let mut commands = 0;
    let sound = loop {
        match reader.advance() {
            Ok(true) => {
                commands += 1;
                append_command(&mut written, reader.args());
            }
            Ok(false) => break true,
            Err(ReadFailure::Io(error)) => panic!("memory does not fail: {error}"),
            Err(_) => break false,
        }
        assert!(reader.offset() <= input.len() as u64);
    };
    assert!(!sound || reader.offset() == input.len() as u64);
    let mut again = LogReader::new(&written[..], written.len() as u64, 0);
    for _ in 0..commands {
        assert!(again.advance().expect("what was written is sound"));
    }
    assert!(!again.advance().expect("and ends"));
    if let Ok(manifest) = Manifest::parse(input) {
        let text = manifest.format();
        let parsed = Manifest::parse(&text);
        // A name can be so long that its quoted form is too long for a line.
        let long = text
            .split(|byte| *byte == b'\n')
            .any(|line| line.len() > 1000);
        assert!(
            long || text.is_empty() || parsed.as_ref() == Ok(&manifest),
            "{parsed:?}"
        );
    }
});
