//! Streams as commands: entries, counters, groups, what is pending.

use std::io;

use super::{Out, text};
use crate::types::Stream;
use crate::types::StreamId;
use crate::types::stream::{Consumer, Group};

impl Out {
    pub(super) fn stream(&mut self, key: &[u8], stream: &Stream) -> io::Result<()> {
        let log = &stream.log;
        for entry in log.range(StreamId::MIN, StreamId::MAX) {
            let id = entry.id.text();
            let pairs = entry.pairs();
            let texts: Vec<Vec<u8>> = pairs
                .flat_map(|(field, value)| [text(field), text(value)])
                .collect();
            let mut argv = vec![&b"XADD"[..], key, id.as_bytes()];
            argv.extend(texts.iter().map(|text| &text[..]));
            self.command(&argv)?;
        }
        if log.is_empty() {
            // Nothing else makes a stream without entries or groups.
            self.command(&[b"XADD", key, b"MAXLEN", b"0", b"0-1", b"x", b"y"])?;
        }
        self.command(&[
            b"XSETID",
            key,
            log.last_id.text().as_bytes(),
            b"ENTRIESADDED",
            log.entries_added.cast_signed().to_string().as_bytes(),
            b"MAXDELETEDID",
            log.max_deleted_id.text().as_bytes(),
        ])?;
        for (name, group) in &stream.groups {
            self.group(key, name, group)?;
        }
        Ok(())
    }

    fn group(&mut self, key: &[u8], name: &[u8], group: &Group) -> io::Result<()> {
        let read = group.entries_read.map_or(-1, u64::cast_signed);
        self.command(&[
            b"XGROUP",
            b"CREATE",
            key,
            name,
            group.last_id.text().as_bytes(),
            b"ENTRIESREAD",
            read.to_string().as_bytes(),
        ])?;
        for (_, consumer) in group.consumers() {
            self.consumer((key, name), group, consumer)?;
        }
        Ok(())
    }

    fn consumer(
        &mut self,
        (key, name): (&[u8], &[u8]),
        group: &Group,
        consumer: &Consumer,
    ) -> io::Result<()> {
        if consumer.pending().is_empty() {
            return self.command(&[b"XGROUP", b"CREATECONSUMER", key, name, consumer.name()]);
        }
        for id in consumer.pending().keys() {
            let pending = group.pending()[id];
            self.command(&[
                b"XCLAIM",
                key,
                name,
                consumer.name(),
                b"0",
                id.text().as_bytes(),
                b"TIME",
                pending.delivered_ms.to_string().as_bytes(),
                b"RETRYCOUNT",
                pending.deliveries.to_string().as_bytes(),
                b"JUSTID",
                b"FORCE",
            ])?;
        }
        Ok(())
    }
}
