//! The frame of RDB files: what stands around the keys with their values.
//!
//! `REDIS` and four digits of version; records, each begun by an opcode or the
//! kind of a value; the opcode of the end and a CRC-64 of all before it (eight
//! bytes, little endian, 0 when there is none).
//! <https://rdb.fnordig.de/file_format.html>

use std::io::{self, Write};

use super::payload::CRC64;
use super::{Encoder, Kind, Limits, LoadError, Reader, Source, VERSION, load};
use crate::types::Object;

/// What the first bytes of a file are.
pub const MAGIC: &[u8; 5] = b"REDIS";
/// The newest version whose files are read. Those after 10 add kinds of
/// values, which are read where the feature exists.
pub const FILE_VERSION_MAX: u32 = 12;

/// What begins a record that is not a key by its kind alone.
pub(super) mod opcode {
    pub(in crate::rdb) const FUNCTION: u8 = 245;
    pub(in crate::rdb) const FUNCTION_EARLY: u8 = 246;
    pub(in crate::rdb) const MODULE_AUX: u8 = 247;
    pub(in crate::rdb) const IDLE: u8 = 248;
    pub(in crate::rdb) const FREQ: u8 = 249;
    pub(in crate::rdb) const AUX: u8 = 250;
    pub(in crate::rdb) const RESIZE_DB: u8 = 251;
    pub(in crate::rdb) const EXPIRE_MS: u8 = 252;
    pub(in crate::rdb) const EXPIRE_S: u8 = 253;
    pub(in crate::rdb) const SELECT_DB: u8 = 254;
    pub(in crate::rdb) const END: u8 = 255;
}

/// How much a key has been used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Usage {
    /// Not known.
    Unknown,
    /// Seconds since it was used last (`maxmemory-policy` with LRU).
    IdleSeconds(u64),
    /// Logarithmic counter of uses (`maxmemory-policy` with LFU).
    Frequency(u8),
}

impl<W: Write> Encoder<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// Of the writer, here and below.
    pub fn file_header(&mut self) -> io::Result<()> {
        self.raw(format!("REDIS{VERSION:04}").as_bytes())
    }

    /// Writes a field that describes the file.
    ///
    /// # Errors
    /// See [`Encoder::file_header`].
    pub fn aux(&mut self, name: &str, value: &[u8]) -> io::Result<()> {
        self.raw(&[opcode::AUX])?;
        self.string(name.as_bytes())?;
        self.string(value)
    }

    /// Says which database the keys that follow are in.
    ///
    /// # Errors
    /// See [`Encoder::file_header`].
    pub fn select_db(&mut self, number: u64) -> io::Result<()> {
        self.raw(&[opcode::SELECT_DB])?;
        self.length(number)
    }

    /// Says how many keys the database has, and how many with an expiry.
    ///
    /// # Errors
    /// See [`Encoder::file_header`].
    pub fn resize_db(&mut self, keys: u64, expires: u64) -> io::Result<()> {
        self.raw(&[opcode::RESIZE_DB])?;
        self.length(keys)?;
        self.length(expires)
    }

    /// Writes what is said of a key before its kind: expiry (Unix
    /// milliseconds) and usage.
    ///
    /// # Errors
    /// See [`Encoder::file_header`].
    pub fn key_header(&mut self, expire: Option<i64>, usage: Usage) -> io::Result<()> {
        if let Some(at_ms) = expire {
            self.raw(&[opcode::EXPIRE_MS])?;
            self.raw(&at_ms.to_le_bytes())?;
        }
        match usage {
            Usage::Unknown => Ok(()),
            Usage::IdleSeconds(seconds) => {
                self.raw(&[opcode::IDLE])?;
                self.length(seconds)
            }
            Usage::Frequency(counter) => self.raw(&[opcode::FREQ, counter]),
        }
    }

    /// Writes a library of functions: its code.
    ///
    /// # Errors
    /// See [`Encoder::file_header`].
    pub fn function(&mut self, code: &[u8]) -> io::Result<()> {
        self.raw(&[opcode::FUNCTION])?;
        self.string(code)
    }

    /// Writes the opcode of the end; the checksum of all so far follows it.
    ///
    /// # Errors
    /// See [`Encoder::file_header`].
    pub fn file_end(&mut self) -> io::Result<()> {
        self.raw(&[opcode::END])
    }
}

/// A running checksum of a file.
pub struct Checksum(crc::Digest<'static, u64, crc::Table<16>>);

impl Default for Checksum {
    fn default() -> Checksum {
        Checksum(CRC64.digest())
    }
}

impl Checksum {
    /// Goes on with these bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of all bytes.
    pub fn finish(self) -> u64 {
        self.0.finalize()
    }
}

/// A part of a file.
pub enum Record {
    /// A field that describes the file.
    Aux(Vec<u8>, Vec<u8>),
    /// Which database the keys that follow are in.
    SelectDb(u64),
    /// Keys of the database, and those with an expiry.
    ResizeDb(u64, u64),
    /// A key.
    Key(Box<KeyRecord>),
    /// A key whose collection has no elements, which no key can hold.
    EmptyKey(Vec<u8>),
    /// The code of a function library.
    Function(Vec<u8>),
    /// The end of the keys.
    End,
}

/// A key of a file.
pub struct KeyRecord {
    /// Its name.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Object,
    /// Its expiry, Unix milliseconds.
    pub expire: Option<i64>,
    /// How much it was used.
    pub usage: Usage,
}

/// The version of a file, from its first nine bytes.
///
/// # Errors
/// With Redis's text.
pub fn version(header: &[u8; 9]) -> Result<u32, String> {
    if &header[..5] != MAGIC {
        return Err("Wrong signature trying to load DB from file".into());
    }
    let digits = std::str::from_utf8(&header[5..]).unwrap_or_default();
    let version: u32 = digits.trim_ascii_start().parse().unwrap_or(0);
    if !(1..=FILE_VERSION_MAX).contains(&version) {
        return Err(format!("Can't handle RDB format version {version}"));
    }
    Ok(version)
}

impl<S: Source> Reader<S> {
    /// Reads the next part of a file, behind its first nine bytes.
    ///
    /// # Errors
    /// The file ends, is corrupt, cannot be read, or holds what is not known.
    pub fn record(&mut self, limits: &Limits) -> Result<Record, (Option<Vec<u8>>, LoadError)> {
        let (mut expire, mut usage) = (None, Usage::Unknown);
        let plain = |error| (None, error);
        loop {
            let first = self.byte().map_err(plain)?;
            let record = match first {
                opcode::EXPIRE_MS => {
                    expire = Some(i64::from_le_bytes(self.array().map_err(plain)?));
                    continue;
                }
                opcode::EXPIRE_S => {
                    let seconds = i32::from_le_bytes(self.array().map_err(plain)?);
                    expire = Some(i64::from(seconds) * 1000);
                    continue;
                }
                opcode::FREQ => {
                    usage = Usage::Frequency(self.byte().map_err(plain)?);
                    continue;
                }
                opcode::IDLE => {
                    usage = Usage::IdleSeconds(self.length().map_err(plain)?);
                    continue;
                }
                byte => match Kind::of(byte) {
                    Some(kind) => {
                        let key = self.string().map_err(plain)?;
                        match load(kind, self, limits) {
                            Ok(value) => Record::Key(Box::new(KeyRecord {
                                key,
                                value,
                                expire,
                                usage,
                            })),
                            Err(LoadError::Empty) => Record::EmptyKey(key),
                            Err(error) => return Err((Some(key), error)),
                        }
                    }
                    None => self.other_record(byte).map_err(plain)?,
                },
            };
            return Ok(record);
        }
    }

    /// Reads a library of functions of a payload: its code.
    ///
    /// # Errors
    /// Something else is there, or it is cut short.
    pub fn function(&mut self) -> Result<Vec<u8>, LoadError> {
        match self.byte()? {
            opcode::FUNCTION => self.string(),
            opcode::FUNCTION_EARLY => self.early_function(),
            _ => Err(LoadError::Unsupported("other records here")),
        }
    }

    /// Name, engine, description and code of a library, as the release
    /// candidates of Redis 7.0 wrote them: what the first line says today.
    fn early_function(&mut self) -> Result<Vec<u8>, LoadError> {
        let (name, engine) = (self.string()?, self.string()?);
        if self.length()? != 0 {
            self.string()?;
        }
        let code = self.string()?;
        Ok([b"#!", &engine[..], b" name=", &name, b"\n", &code].concat())
    }

    fn other_record(&mut self, opcode: u8) -> Result<Record, LoadError> {
        Ok(match opcode {
            opcode::AUX => Record::Aux(self.string()?, self.string()?),
            opcode::SELECT_DB => Record::SelectDb(self.length()?),
            opcode::RESIZE_DB => Record::ResizeDb(self.length()?, self.length()?),
            opcode::FUNCTION => Record::Function(self.string()?),
            opcode::FUNCTION_EARLY => Record::Function(self.early_function()?),
            opcode::MODULE_AUX => return Err(LoadError::Unsupported("modules")),
            opcode::END => Record::End,
            _ => return Err(LoadError::Corrupt("Unknown RDB format")),
        })
    }
}
