//! The manifest: which files make up the log, in the order in which they are
//! loaded.
//!
//! One line for each file: `file NAME seq NUMBER type b|h|i`. Names with
//! blanks or unprintable characters are quoted; lines that begin with `#` are
//! comments; further words are ignored, for versions to come.

use crate::util::{args, num};

/// Longest line, bytes without its end.
const LINE_BYTES_MAX: usize = 1023;

/// What a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The data set at the time of the last rewrite.
    Base,
    /// No longer needed, to be deleted.
    History,
    /// What was changed since.
    Incr,
}

impl Kind {
    fn letter(self) -> u8 {
        match self {
            Kind::Base => b'b',
            Kind::History => b'h',
            Kind::Incr => b'i',
        }
    }
}

/// A file of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// Its name in the directory.
    pub name: Vec<u8>,
    /// Its number among those of its kind.
    pub seq: i64,
    /// What it is.
    pub kind: Kind,
}

/// The files of a log.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Manifest {
    /// The data set that everything else is based on.
    pub base: Option<Part>,
    /// Files that are no longer needed.
    pub history: Vec<Part>,
    /// Files of changes, oldest first; the last one is written to.
    pub incr: Vec<Part>,
    base_seq: i64,
    incr_seq: i64,
}

/// Why a manifest cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ManifestError {
    /// The line, and its text, when it is one that is wrong.
    pub line: Option<(usize, Vec<u8>)>,
    /// What is wrong.
    pub reason: &'static str,
}

impl ManifestError {
    /// As Redis logs it.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec!["\n*** FATAL AOF MANIFEST FILE ERROR ***\n".to_owned()];
        if let Some((number, text)) = &self.line {
            lines.push(format!("Reading the manifest file, at line {number}\n"));
            lines.push(format!(">>> '{}'\n", String::from_utf8_lossy(text)));
        }
        lines.push(format!("{}\n", self.reason));
        lines
    }
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// When it is empty or a line is not as it has to be.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        let mut manifest = Manifest::default();
        if bytes.is_empty() {
            return Err(ManifestError {
                line: None,
                reason: "Found an empty AOF manifest",
            });
        }
        for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            if line[0] == b'#' {
                continue;
            }
            let wrong = |reason, text: Option<&[u8]>| ManifestError {
                line: text.map(|text| (index + 1, text.to_vec())),
                reason,
            };
            if !line.ends_with(b"\n") || line.len() > LINE_BYTES_MAX + 1 {
                let reason = "The AOF manifest file contains too long line";
                return Err(wrong(reason, None));
            }
            let text = line.trim_ascii();
            let part = parse_line(text).map_err(|reason| wrong(reason, Some(text)))?;
            manifest
                .add(part)
                .map_err(|reason| wrong(reason, Some(text)))?;
        }
        Ok(manifest)
    }

    fn add(&mut self, part: Part) -> Result<(), &'static str> {
        match part.kind {
            Kind::Base => {
                if self.base.is_some() {
                    return Err("Found duplicate base file information");
                }
                self.base_seq = part.seq;
                self.base = Some(part);
            }
            Kind::History => self.history.push(part),
            Kind::Incr => {
                if part.seq <= self.incr_seq {
                    return Err("Found a non-monotonic sequence number");
                }
                self.incr_seq = part.seq;
                self.incr.push(part);
            }
        }
        Ok(())
    }

    /// As it is written to disk.
    pub fn format(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let parts = self.base.iter().chain(&self.history).chain(&self.incr);
        for part in parts {
            out.extend_from_slice(b"file ");
            let odd = |byte: &u8| {
                matches!(byte, b'\\' | b'"' | b'\'' | b' ') || !(33..127).contains(byte)
            };
            if part.name.is_empty() || part.name.iter().any(odd) {
                args::quote(&part.name, &mut out);
            } else {
                out.extend_from_slice(&part.name);
            }
            out.extend_from_slice(format!(" seq {} type ", part.seq).as_bytes());
            out.extend_from_slice(&[part.kind.letter(), b'\n']);
        }
        out
    }

    /// The files that are loaded, in order.
    pub fn loaded(&self) -> impl Iterator<Item = &Part> {
        self.base.iter().chain(&self.incr)
    }

    /// Whether there is nothing to load.
    pub fn is_empty(&self) -> bool {
        self.base.is_none() && self.incr.is_empty()
    }

    /// A log of an older version, which is one file, becomes the base.
    pub fn adopt(&mut self, name: &[u8]) {
        self.base_seq = 1;
        self.base = Some(Part {
            name: name.to_vec(),
            seq: 1,
            kind: Kind::Base,
        });
    }

    /// Begins a new base file, a snapshot or made of commands; the one before
    /// is history. Gives its name.
    pub fn new_base(&mut self, prefix: &[u8], snapshot: bool) -> Vec<u8> {
        if let Some(mut old) = self.base.take() {
            old.kind = Kind::History;
            self.history.insert(0, old);
        }
        self.base_seq = self.base_seq.saturating_add(1);
        let format = if snapshot { "rdb" } else { "aof" };
        let end = format!(".{}.base.{format}", self.base_seq);
        let name = [prefix, end.as_bytes()].concat();
        self.base = Some(Part {
            name: name.clone(),
            seq: self.base_seq,
            kind: Kind::Base,
        });
        name
    }

    /// Begins a new file of changes; gives its name.
    pub fn new_incr(&mut self, prefix: &[u8]) -> Vec<u8> {
        self.incr_seq = self.incr_seq.saturating_add(1);
        let end = format!(".{}.incr.aof", self.incr_seq);
        let name = [prefix, end.as_bytes()].concat();
        self.incr.push(Part {
            name: name.clone(),
            seq: self.incr_seq,
            kind: Kind::Incr,
        });
        name
    }

    /// All changes up to those in the last `kept` files are in the base now.
    pub fn supersede_incr(&mut self, kept: usize) {
        let count = self.incr.len().saturating_sub(kept);
        for mut part in self.incr.drain(..count).rev() {
            part.kind = Kind::History;
            // Redis: they come before those that are history already, oldest first.
            self.history.insert(0, part);
        }
    }
}

fn parse_line(line: &[u8]) -> Result<Part, &'static str> {
    const INVALID: &str = "Invalid AOF manifest file format";
    if line.is_empty() {
        return Err(INVALID);
    }
    let words = args::split(line).ok_or(INVALID)?;
    if words.len() < 6 || words.len() % 2 == 1 {
        return Err(INVALID);
    }
    let (mut name, mut seq, mut kind) = (None, 0, 0);
    for pair in words.chunks_exact(2) {
        let (key, value) = (&pair[0], &pair[1]);
        if key.eq_ignore_ascii_case(b"file") {
            if value.contains(&b'/') || value.contains(&b'\\') {
                return Err("File can't be a path, just a filename");
            }
            name = Some(value.clone());
        } else if key.eq_ignore_ascii_case(b"seq") {
            seq = number(value);
        } else if key.eq_ignore_ascii_case(b"type") {
            kind = value.first().copied().unwrap_or_default();
        }
    }
    let (Some(name), true, true) = (name, seq != 0, kind != 0) else {
        return Err(INVALID);
    };
    let kind = match kind {
        b'b' => Kind::Base,
        b'h' => Kind::History,
        b'i' => Kind::Incr,
        _ => return Err("Unknown AOF file type"),
    };
    Ok(Part { name, seq, kind })
}

/// Redis: `atoll`, which stops at what is no digit.
fn number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let digits = text[sign..].iter().take_while(|b| b.is_ascii_digit());
    let end = sign + digits.count();
    let from = usize::from(text.first() == Some(&b'+'));
    num::parse_i64(&text[from..end]).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_is_written() {
        let mut manifest = Manifest::default();
        manifest.new_base(b"a.aof", true);
        manifest.new_incr(b"a.aof");
        manifest.new_incr(b"a.aof");
        manifest.new_base(b"a b", false);
        manifest.supersede_incr(1);
        let text = "file \"a b.2.base.aof\" seq 2 type b\n\
                    file a.aof.1.incr.aof seq 1 type h\n\
                    file a.aof.1.base.rdb seq 1 type h\n\
                    file a.aof.2.incr.aof seq 2 type i\n";
        assert_eq!(String::from_utf8(manifest.format()).unwrap(), text);
        assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), manifest);
    }

    #[test]
    fn wrong_lines_are_named() {
        let reason = |text: &str| match Manifest::parse(text.as_bytes()) {
            Ok(_) => "",
            Err(error) => error.reason,
        };
        assert_eq!(reason("# c\nfile x seq 1 type b more words\n"), "");
        assert_eq!(reason("FILE x SEQ 1tail TYPE base\n"), "");
        assert_eq!(reason(""), "Found an empty AOF manifest");
        for invalid in [
            "\n",
            "file x seq 1\n",
            "file x seq 0 type b\n",
            "file \"x\n",
        ] {
            assert_eq!(reason(invalid), "Invalid AOF manifest file format");
        }
        for (text, expected) in [
            (
                "file ../x seq 1 type b\n",
                "File can't be a path, just a filename",
            ),
            ("file x seq 1 type z\n", "Unknown AOF file type"),
            (
                "file x seq 1 type b\nfile y seq 2 type b\n",
                "Found duplicate base file information",
            ),
            (
                "file x seq 2 type i\nfile y seq 2 type i\n",
                "Found a non-monotonic sequence number",
            ),
            (
                "file x seq 1 type b",
                "The AOF manifest file contains too long line",
            ),
        ] {
            assert_eq!(reason(text), expected);
        }
    }
}
