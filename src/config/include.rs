//! Which files an `include` line means.

use crate::util::glob;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// The file itself, or, when the name has a wildcard, those that match it, in
/// order of their names. Relative names are looked for in `from`.
///
/// As with `glob(3)`, a wildcard does not match `/` nor a leading dot. What
/// cannot be read does not match.
pub(super) fn expand(from: &Path, name: &[u8]) -> Vec<Vec<u8>> {
    if !glob::is_pattern(name) {
        return vec![name.to_vec()];
    }
    let mut found: Vec<Vec<u8>> = vec![Vec::new()];
    let mut parts = name.split(|byte| *byte == b'/').peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        found = found
            .iter()
            .flat_map(|parent| children(from, parent, part))
            .collect();
        if !last {
            for parent in &mut found {
                parent.push(b'/');
            }
        }
    }
    found.sort();
    found
}

/// The entries of `parent` (which ends in `/` unless empty) that match one
/// part of a name.
fn children(from: &Path, parent: &[u8], part: &[u8]) -> Vec<Vec<u8>> {
    let child = |name: &[u8]| [parent, name].concat();
    let on_disk = |name: &[u8]| from.join(OsStr::from_bytes(name));
    if !glob::is_pattern(part) {
        let path = child(part);
        let exists = part.is_empty() || on_disk(&path).symlink_metadata().is_ok();
        return if exists { vec![path] } else { Vec::new() };
    }
    let pattern = shell_classes(part);
    let Ok(entries) = on_disk(parent).read_dir() else {
        return Vec::new();
    };
    let names = entries.flatten().map(|entry| entry.file_name().into_vec());
    names
        .filter(|name| !name.starts_with(b".") || part.starts_with(b"."))
        .filter(|name| glob::matches(&pattern, name))
        .map(|name| child(&name))
        .collect()
}

/// Writes `[!…]`, the shell's negation, as `[^…]`.
fn shell_classes(part: &[u8]) -> Vec<u8> {
    let mut out = part.to_vec();
    for index in 1..out.len() {
        if out[index] == b'!' && out[index - 1] == b'[' {
            out[index] = b'^';
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_files_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["b.conf", "a.conf", "c.txt", ".hidden.conf"] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("sub/d.conf"), "").unwrap();
        let check = |name: &str, expected: &[&str]| {
            let found = expand(dir.path(), name.as_bytes());
            let found: Vec<String> = found
                .into_iter()
                .map(|file| String::from_utf8(file).unwrap())
                .collect();
            assert_eq!(found, expected, "{name}");
        };
        check("*.conf", &["a.conf", "b.conf"]);
        check("[!a].conf", &["b.conf"]);
        check("s*/d.conf", &["sub/d.conf"]);
        check("*/*.conf", &["sub/d.conf"]);
        check("none/*.conf", &[]);
        check("plain.conf", &["plain.conf"]);
        check(".h*", &[".hidden.conf"]);
        let absolute = format!("{}/*.txt", dir.path().display());
        check(&absolute, &[&absolute.replace("*.txt", "c.txt")]);
    }
}
