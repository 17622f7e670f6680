//! A base made of commands (`aof-use-rdb-preamble no`): a snapshot read key by
//! key, and written as the commands that bring it back.

mod stream;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::Path;

use super::append_command;
use crate::encoding::listpack::Item;
use crate::encoding::quicklist::End;
use crate::rdb::file::FileSource;
use crate::rdb::frame::{self, KeyRecord, Record};
use crate::rdb::{Limits, Reader, Source};
use crate::types::{Direction, HashLimits, SetLimits, ValueView, ZsetLimits, list_limits};
use crate::util::num::format_f64;

/// Most elements that one command brings back.
const ITEMS_PER_COMMAND: usize = 64;
/// Bytes after which what was written is forced to disk, so that it is not all
/// left for the end.
const SYNC_BYTES: usize = 4 * 1024 * 1024;

/// How the commands are written.
#[derive(Clone, Copy, Debug)]
pub struct RewriteOptions {
    /// Unix seconds noted at the front, if they are.
    pub timestamp_s: Option<i64>,
    /// Force to disk as it is written (`aof-rewrite-incremental-fsync`).
    pub incremental_fsync: bool,
}

/// Writes the keys of a snapshot as commands, and sees to it that all of it is
/// on disk.
///
/// # Errors
/// Of the files.
pub fn as_commands(snapshot: &Path, to: &Path, options: RewriteOptions) -> io::Result<()> {
    let file = File::create(to)?;
    let mut out = Out {
        file: BufWriter::with_capacity(256 * 1024, file),
        command: Vec::new(),
        unsynced: 0,
        options,
    };
    let written = out.everything(File::open(snapshot)?);
    if written.is_err() {
        // It is of no use to anybody.
        let _ = std::fs::remove_file(to);
    }
    written
}

/// Collections of any form hold the same: these limits cost the least.
fn limits() -> Limits {
    let (entries, member_bytes, value_bytes) = (512, 64, 64);
    Limits {
        list: list_limits(-2, 0),
        set: SetLimits {
            ints: entries,
            entries: 0,
            member_bytes,
        },
        zset: ZsetLimits {
            entries,
            member_bytes,
        },
        hash: HashLimits {
            entries,
            value_bytes,
        },
    }
}

fn unreadable(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

struct Out {
    file: BufWriter<File>,
    command: Vec<u8>,
    unsynced: usize,
    options: RewriteOptions,
}

impl Out {
    fn everything(&mut self, snapshot: File) -> io::Result<()> {
        if let Some(now_s) = self.options.timestamp_s {
            write!(self.file, "#TS:{now_s}\r\n")?;
        }
        let mut source = FileSource::new(snapshot, false);
        let header = source.take(9).map_err(unreadable)?;
        let header = header.try_into().expect("nine bytes were taken");
        frame::version(&header).map_err(unreadable)?;
        let mut reader = Reader::new(&mut source);
        let limits = limits();
        loop {
            let record = reader.record(&limits);
            match record.map_err(|(_, error)| unreadable(error))? {
                Record::SelectDb(number) => {
                    let mut digits = itoa::Buffer::new();
                    let number = digits.format(number).as_bytes();
                    self.command(&[b"SELECT", number])?;
                }
                Record::Key(record) => self.key(&record)?,
                Record::Function(code) => self.command(&[b"FUNCTION", b"LOAD", &code])?,
                Record::End => break,
                _ => {}
            }
        }
        self.file.flush()?;
        self.file.get_ref().sync_all()
    }

    fn command(&mut self, argv: &[&[u8]]) -> io::Result<()> {
        self.command.clear();
        append_command(&mut self.command, argv.iter().copied());
        self.file.write_all(&self.command)?;
        self.unsynced += self.command.len();
        if self.options.incremental_fsync && self.unsynced >= SYNC_BYTES {
            self.unsynced = 0;
            self.file.flush()?;
            self.file.get_ref().sync_data()?;
        }
        Ok(())
    }

    fn key(&mut self, record: &KeyRecord) -> io::Result<()> {
        let key = &record.key;
        match record.value.view() {
            ValueView::String(string) => {
                let mut scratch = itoa::Buffer::new();
                self.command(&[b"SET", key, string.bytes(&mut scratch)])?;
            }
            ValueView::List(list) => {
                let mut batch = Items::new(b"RPUSH", key, ITEMS_PER_COMMAND);
                let stopped =
                    list.walk(0, End::Left, |item| match batch.add(&[&text(item)], self) {
                        Ok(()) => ControlFlow::Continue(()),
                        Err(error) => ControlFlow::Break(error),
                    });
                if let Some(error) = stopped {
                    return Err(error);
                }
                batch.flush(self)?;
            }
            ValueView::Set(set) => {
                let mut batch = Items::new(b"SADD", key, ITEMS_PER_COMMAND);
                for member in set.iter() {
                    batch.add(&[&text(member)], self)?;
                }
                batch.flush(self)?;
            }
            ValueView::Zset(zset) => {
                let mut batch = Items::new(b"ZADD", key, ITEMS_PER_COMMAND * 2);
                let mut result = Ok(());
                let all = 0..zset.len();
                zset.for_each(all, Direction::Ascending, |member, score| {
                    if result.is_ok() {
                        let score = format_f64(score);
                        result = batch.add(&[score.as_bytes(), &text(member)], self);
                    }
                });
                result?;
                batch.flush(self)?;
            }
            ValueView::Hash(hash) => {
                let mut batch = Items::new(b"HMSET", key, ITEMS_PER_COMMAND * 2);
                for (field, value) in hash.iter() {
                    batch.add(&[&text(field), &text(value)], self)?;
                }
                batch.flush(self)?;
            }
            ValueView::Stream(stream) => self.stream(key, stream)?,
        }
        if let Some(at_ms) = record.expire {
            let mut digits = itoa::Buffer::new();
            let at = digits.format(at_ms).as_bytes();
            self.command(&[b"PEXPIREAT", key, at])?;
        }
        Ok(())
    }
}

fn text(item: Item<'_>) -> Vec<u8> {
    item.text(&mut itoa::Buffer::new()).to_vec()
}

/// Elements of a key, some of them to a command.
struct Items<'a> {
    name: &'static [u8],
    key: &'a [u8],
    max: usize,
    words: Vec<Vec<u8>>,
}

impl<'a> Items<'a> {
    fn new(name: &'static [u8], key: &'a [u8], max: usize) -> Items<'a> {
        Items {
            name,
            key,
            max,
            words: Vec::new(),
        }
    }

    fn add(&mut self, words: &[&[u8]], out: &mut Out) -> io::Result<()> {
        self.words.extend(words.iter().map(|word| word.to_vec()));
        if self.words.len() >= self.max {
            self.flush(out)?;
        }
        Ok(())
    }

    fn flush(&mut self, out: &mut Out) -> io::Result<()> {
        if self.words.is_empty() {
            return Ok(());
        }
        let mut argv = vec![self.name, self.key];
        argv.extend(self.words.iter().map(|word| &word[..]));
        out.command(&argv)?;
        self.words.clear();
        Ok(())
    }
}
