//! DEBUG MALLCTL: settings and figures of the allocator by their names, which
//! <https://jemalloc.net/jemalloc.3.html> explains.

use tikv_jemalloc_ctl::{Access, AsName, Name};

use crate::command::ctx::CmdError;

/// The longest name that is looked up.
const NAME_BYTES_MAX: usize = 128;

/// A name as the allocator takes it; refuses what could not be one, and what
/// holds pointers into the program.
fn with_name<R>(
    name: &[u8],
    act: impl FnOnce(&Name) -> Result<R, CmdError>,
) -> Result<R, CmdError> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_');
    let pointers = name.starts_with(b"experimental.") || name.ends_with(b"hooks");
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.iter().all(plain) || pointers {
        return Err(CmdError::err("No such file or directory"));
    }
    let mut terminated = name.to_vec();
    terminated.push(0);
    act(terminated.as_slice().name())
}

/// The binding explains its codes; clients know the system's words for them.
fn failed(error: tikv_jemalloc_ctl::Error) -> CmdError {
    let explained = error.to_string();
    let known = [
        ("invalid value", "No such file or directory"),
        ("read-only", "Operation not permitted"),
        ("newlen", "Invalid argument"),
    ];
    let text = known.iter().find(|(part, _)| explained.contains(part));
    CmdError::err(text.map_or(explained.as_str(), |(_, text)| *text))
}

/// Reads a number, or writes one and gives the old one. The size of the value
/// is found by trying: the allocator refuses wrong ones.
pub(super) fn number(name: &[u8], new: Option<i64>) -> Result<i64, CmdError> {
    with_name(name, |name| {
        let wide = match new {
            None => name.read(),
            Some(value) => name.update(value as u64),
        };
        if let Ok(number) = wide {
            return Ok(number as i64);
        }
        let half = match new {
            None => name.read(),
            Some(value) => name.update(value as u32),
        };
        if let Ok(number) = half {
            let number: u32 = number;
            return Ok(i64::from(number));
        }
        let flag: Result<bool, _> = match new {
            None => name.read(),
            Some(value) => name.update(value & 0xff != 0),
        };
        flag.map(i64::from).map_err(failed)
    })
}

/// Reads a text.
pub(super) fn text(name: &[u8], new: Option<&[u8]>) -> Result<&'static [u8], CmdError> {
    if new.is_some() {
        return Err(CmdError::err(
            "this version only reads the allocator's texts",
        ));
    }
    with_name(name, |name| {
        if !name.value_type_str() {
            return Err(CmdError::err("Invalid argument"));
        }
        name.read().map_err(failed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_size_are_read() {
        assert!(number(b"arenas.page", None).unwrap() >= 4096);
        assert!(number(b"arenas.narenas", None).unwrap() > 0);
        assert!((0..=1).contains(&number(b"opt.abort", None).unwrap()));
        assert!(text(b"version", None).unwrap().starts_with(b"5."));
        for name in [&b"no.such"[..], b"", b"a\0b", b"experimental.hooks.install"] {
            assert!(number(name, None).is_err());
            assert!(text(name, None).is_err());
        }
    }

    #[test]
    fn numbers_are_written() {
        let old = number(b"arenas.dirty_decay_ms", None).unwrap();
        assert_eq!(number(b"arenas.dirty_decay_ms", Some(old)).unwrap(), old);
        assert!(number(b"arenas.page", Some(1)).is_err());
    }
}
