//! Stream commands: <https://redis.io/docs/latest/commands/?group=stream>.

mod add;
mod claim;
mod entries;
mod group;
mod ids;
mod info;
mod journal;
mod pending;
mod read;
#[cfg(test)]
mod tests;

use crate::command::ctx::CmdError;
use crate::command::error::shown;
use crate::command::table::{Command, Find, Group, cat, flag, key_at, keys_after, kflag};
use crate::config::Config;
use crate::types::stream::StreamLimits;
use add::{xadd, xtrim};
use claim::{xautoclaim, xclaim};
use entries::{xdel, xlen, xrange, xrevrange, xsetid};
use group::XGROUP;
use info::XINFO;
use pending::{xack, xpending};
use read::{xread, xreadgroup};

/// The commands of this group.
pub const COMMANDS: &[Command] = &[
    Command::data("XACK", -4, xack)
        .doc(Group::Stream, "5.0.0", "O(1) for each message ID processed.", "Tell that a group is done with entries, which are pending no more.")
        .syntax("key:key group:string id:string...")
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::STREAM)
        .keys(&[key_at(kflag::RW | kflag::UPDATE, 1)]),
    Command::data("XADD", -5, xadd)
        .doc(Group::Stream, "5.0.0", "O(1) when adding a new entry, O(N) when trimming where N being the number of \
             entries evicted.", "Add an entry to the end of a stream, and shorten the stream if asked to.")
        .syntax("key:key [NOMKSTREAM@6.2.0] [trim:{strategy:(MAXLEN | MINID@6.2.0) \
             [operator:(equal== | approximately=~)] threshold:string [LIMIT \
             count:integer@6.2.0]}] id_or_auto:(auto_id=* | id:string) \
             field_value:{field:string value:string}...")
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .acl(cat::STREAM)
        .keys(&[key_at(kflag::RW | kflag::UPDATE, 1).notes("UPDATE instead of INSERT because of the optional trimming feature")])
        .tips(&["nondeterministic_output"])
        .history(&[("6.2.0", "Added the `NOMKSTREAM` option, `MINID` trimming strategy and the `LIMIT` \
             option."), ("7.0.0", "Added support for the `<ms>-*` explicit ID form.")]),
    Command::data("XAUTOCLAIM", -6, xautoclaim)
        .doc(Group::Stream, "6.2.0", "O(1) if COUNT is small.", "Find entries of a group that have been pending for long, and give them to another consumer.")
        .syntax("key:key group:string consumer:string min-idle-time:string start:string [COUNT \
             count:integer] [JUSTID]")
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::STREAM)
        .keys(&[key_at(kflag::RW | kflag::DELETE, 1)])
        .tips(&["nondeterministic_output"])
        .history(&[("7.0.0", "Added an element to the reply array, containing deleted entries the command \
             cleared from the PEL")]),
    Command::data("XCLAIM", -6, xclaim)
        .doc(Group::Stream, "5.0.0", "O(log N) with N being the number of messages in the PEL of the consumer group.", "Give pending entries of a group to another consumer.")
        .syntax("key:key group:string consumer:string min-idle-time:string id:string... [IDLE \
             ms:integer] [TIME unix-time-milliseconds:unix-time] [RETRYCOUNT count:integer] \
             [FORCE] [JUSTID] [LASTID id:string]")
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::STREAM)
        .keys(&[key_at(kflag::RW | kflag::UPDATE, 1)])
        .tips(&["nondeterministic_output"]),
    Command::data("XDEL", -3, xdel)
        .doc(Group::Stream, "5.0.0", "O(1) for each single item to delete in the stream, regardless of the stream \
             size.", "Delete entries of a stream by their IDs.")
        .syntax("key:key id:string...")
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::STREAM)
        .keys(&[key_at(kflag::RW | kflag::DELETE, 1)]),
    Command::container("XGROUP", -2, XGROUP)
        .doc(Group::Stream, "5.0.0", "Depends on subcommand.", "Commands on the consumer groups of a stream."),
    Command::container("XINFO", -2, XINFO)
        .doc(Group::Stream, "5.0.0", "Depends on subcommand.", "Commands that look into streams."),
    Command::data("XLEN", 2, xlen)
        .doc(Group::Stream, "5.0.0", "O(1)", "Count the entries of a stream.")
        .syntax("key:key")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::STREAM)
        .keys(&[key_at(kflag::RO, 1)]),
    Command::data("XPENDING", -3, xpending)
        .doc(Group::Stream, "5.0.0", "O(N) with N being the number of elements returned, so asking for a small fixed \
             number of entries per call is O(1). O(M), where M is the total number of entries \
             scanned when used with the IDLE filter. When the command returns just the \
             summary and the list of consumers is small, it runs in O(1) time; otherwise, an \
             additional O(N) time for iterating every consumer.", "Show which entries of a group were delivered and not acknowledged.")
        .syntax("key:key group:string [filters:{[IDLE min-idle-time:integer@6.2.0] start:string \
             end:string count:integer [consumer:string]}]")
        .flags(flag::READONLY)
        .acl(cat::STREAM)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .tips(&["nondeterministic_output"])
        .history(&[("6.2.0", "Added the `IDLE` option and exclusive range intervals.")]),
    Command::data("XRANGE", -4, xrange)
        .doc(Group::Stream, "5.0.0", "O(N) with N being the number of elements being returned. If N is constant (e.g. \
             always asking for the first 10 elements with COUNT), you can consider it O(1).", "Read the entries of a stream between two IDs.")
        .syntax("key:key start:string end:string [COUNT count:integer]")
        .flags(flag::READONLY)
        .acl(cat::STREAM)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .history(&[("6.2.0", "Added exclusive ranges.")]),
    Command::data("XREAD", -4, xread)
        .doc(Group::Stream, "5.0.0", "For each stream mentioned: O(N) with N being the number of elements being \
             returned, it means that XREAD-ing with a fixed COUNT is O(1). Note that when the \
             BLOCK option is used, XADD will pay O(M) time in order to serve the M clients \
             blocked on the stream getting new data.", "Read the entries of one or more streams that follow given IDs, and wait for some if asked to.")
        .syntax("[COUNT count:integer] [BLOCK milliseconds:integer] STREAMS streams:{key:key... \
             id:string...}")
        .flags(flag::READONLY | flag::BLOCKING)
        .acl(cat::STREAM)
        .keys(&[keys_after(kflag::RO | kflag::ACCESS, "STREAMS", 1, Find::Range(-1, 1, 2))]),
    Command::data("XREADGROUP", -7, xreadgroup)
        .doc(Group::Stream, "5.0.0", "For each stream mentioned: O(M) with M being the number of elements returned. \
             If M is constant (e.g. always asking for the first 10 elements with COUNT), you \
             can consider it O(1). On the other side when XREADGROUP blocks, XADD will pay \
             the O(N) time in order to serve the N clients blocked on the stream getting new \
             data.", "Read as a consumer of a group: what nobody in the group was given yet, or what this consumer has not acknowledged.")
        .syntax("GROUP group_consumer:{group:string consumer:string} [COUNT count:integer] \
             [BLOCK milliseconds:integer] [NOACK] STREAMS streams:{key:key... id:string...}")
        .flags(flag::WRITE | flag::BLOCKING)
        .acl(cat::STREAM)
        .keys(&[keys_after(kflag::RO | kflag::ACCESS, "STREAMS", 4, Find::Range(-1, 1, 2))]),
    Command::data("XREVRANGE", -4, xrevrange)
        .doc(Group::Stream, "5.0.0", "O(N) with N being the number of elements returned. If N is constant (e.g. \
             always asking for the first 10 elements with COUNT), you can consider it O(1).", "Read the entries of a stream between two IDs, the last one first.")
        .syntax("key:key end:string start:string [COUNT count:integer]")
        .flags(flag::READONLY)
        .acl(cat::STREAM)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .history(&[("6.2.0", "Added exclusive ranges.")]),
    Command::data("XSETID", -3, xsetid)
        .doc(Group::Stream, "5.0.0", "O(1)", "Set the last ID of a stream and its counters, as replication needs it.")
        .syntax("key:key last-id:string [ENTRIESADDED entries_added:integer@7.0.0] [MAXDELETEDID \
             max_deleted_entry_id:string@7.0.0]")
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .acl(cat::STREAM)
        .keys(&[key_at(kflag::RW | kflag::UPDATE, 1)])
        .history(&[("7.0.0", "Added the `entries_added` and `max_deleted_entry_id` arguments.")]),
    Command::data("XTRIM", -4, xtrim)
        .doc(Group::Stream, "5.0.0", "O(N), with N being the number of evicted entries. Constant times are very small \
             however, since entries are organized in macro nodes containing multiple entries \
             that can be released with a single deallocation.", "Delete the oldest entries of a stream, down to a length or up to an ID.")
        .syntax("key:key trim:{strategy:(MAXLEN | MINID@6.2.0) [operator:(equal== | \
             approximately=~)] threshold:string [LIMIT count:integer@6.2.0]}")
        .flags(flag::WRITE)
        .acl(cat::STREAM)
        .keys(&[key_at(kflag::RW | kflag::DELETE, 1)])
        .tips(&["nondeterministic_output"])
        .history(&[("6.2.0", "Added the `MINID` trimming strategy and the `LIMIT` option.")]),
];

/// When blocks are full.
pub(in crate::commands) fn limits(config: &Config) -> StreamLimits {
    StreamLimits {
        bytes: usize::try_from(config.stream_node_max_bytes).unwrap_or(usize::MAX),
        entries: usize::try_from(config.stream_node_max_entries).unwrap_or(0),
    }
}

/// There is no such key or group; which of them is not told.
fn no_such_group(key: &[u8], group: &[u8], where_asked: &str) -> CmdError {
    let mut text = b"No such key '".to_vec();
    text.extend_from_slice(shown(key, usize::MAX));
    text.extend_from_slice(b"' or consumer group '");
    text.extend_from_slice(shown(group, usize::MAX));
    text.push(b'\'');
    text.extend_from_slice(where_asked.as_bytes());
    CmdError::coded("NOGROUP", text)
}

/// There is no such group at a key that exists.
fn no_group_of_key(key: &[u8], group: &[u8]) -> CmdError {
    let mut text = b"No such consumer group '".to_vec();
    text.extend_from_slice(shown(group, usize::MAX));
    text.extend_from_slice(b"' for key name '");
    text.extend_from_slice(shown(key, usize::MAX));
    text.push(b'\'');
    CmdError::coded("NOGROUP", text)
}
