//! DEBUG tools that look into packed values: LISTPACK, QUICKLIST, and what
//! DEBUG OBJECT tells of lists.

use std::io::Write as _;

use super::debug::find;
use crate::command::ctx::{Args, CmdError, CmdResult, REPLIED};
use crate::config::{Config, parse_memory};
use crate::encoding::listpack::ListpackRef;
use crate::encoding::quicklist::{Node, NodeView};
use crate::engine::{ClientId, Server};
use crate::keyspace::ValueKind;
use crate::keyspace::entry::{EntryRef, ValueRef};
use crate::types::{Collection, List, ListRef, Object, Packed, list_limits, set_plain_from_bytes};
use crate::util::num;

/// Bytes of an element that are printed.
const SHOWN_BYTES_MAX: usize = 40;
/// Redis: the length of a node must fit 32 bits with something to spare.
const THRESHOLD_BYTES_MAX: u64 = (1 << 32) - (1 << 20);

pub(super) fn quicklist_packed_threshold(
    server: &mut Server,
    client: ClientId,
    args: &mut Args<'_>,
) -> CmdResult {
    let bytes = parse_memory(args.bytes()?).filter(|bytes| *bytes <= THRESHOLD_BYTES_MAX);
    let bytes = bytes.ok_or_else(|| {
        CmdError::err("argument must be a memory value bigger than 1 and smaller than 4gb")
    })?;
    set_plain_from_bytes(usize::try_from(bytes).unwrap_or(usize::MAX));
    server.reply(client).ok();
    REPLIED
}

pub(super) fn listpack(server: &mut Server, client: ClientId, args: &mut Args<'_>) -> CmdResult {
    let entry = find(server, client, args.key()?).ok_or(CmdError::NoSuchKey)?;
    let packed = packed_of(entry).filter(|_| entry.value().encoding_name() == "listpack");
    let packed = packed.ok_or_else(|| CmdError::err("Not a listpack encoded object."))?;
    let mut text = String::new();
    describe_listpack(&mut text, ListpackRef::new(packed));
    print(&text);
    server
        .reply(client)
        .simple("Listpack structure printed on stdout");
    REPLIED
}

pub(super) fn quicklist(server: &mut Server, client: ClientId, args: &mut Args<'_>) -> CmdResult {
    let entry = find(server, client, args.key()?).ok_or(CmdError::NoSuchKey)?;
    // Redis: what is no number means 0.
    let full = args.next_arg().and_then(num::parse_i64).unwrap_or(0) != 0;
    let list = List::of(entry.value());
    let list = list.ok_or_else(|| CmdError::err("Not a quicklist encoded object."))?;
    print(&describe_list(list, &server.config, full));
    server
        .reply(client)
        .simple("Quicklist structure printed on stdout");
    REPLIED
}

/// Where nobody reads what the server prints, nothing is lost.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// The bytes of a packed collection.
fn packed_of(entry: EntryRef<'_>) -> Option<&[u8]> {
    let packed = match entry.value() {
        ValueRef::Packed(kind, bytes) => Some((kind, bytes)),
        ValueRef::Boxed(Object::Hash(hash)) => hash.as_packed(),
        ValueRef::Boxed(Object::Zset(zset)) => zset.as_packed(),
        _ => None,
    };
    let (_, bytes) = packed.filter(|(kind, _)| *kind != Packed::IntSet)?;
    Some(bytes)
}

fn describe_listpack(text: &mut String, listpack: ListpackRef<'_>) {
    let (bytes, mut scratch) = (listpack.bytes(), itoa::Buffer::new());
    line(
        text,
        format_args!(
            "listpack: {} bytes, {} elements",
            bytes.len(),
            listpack.len()
        ),
    );
    let (mut next, mut index) = (listpack.first(), 0);
    while let Some(at) = next {
        next = listpack.next(at);
        let raw = &bytes[at..next.unwrap_or(listpack.end())];
        let raw: Vec<String> = raw.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = listpack.item_at(at).text(&mut scratch);
        let shown = String::from_utf8_lossy(&shown[..shown.len().min(SHOWN_BYTES_MAX)]);
        line(
            text,
            format_args!("  {index} at {at}: {shown:?} ({})", raw.join(" ")),
        );
        index += 1;
    }
}

fn describe_list(list: ListRef<'_>, config: &Config, full: bool) -> String {
    let mut text = String::new();
    let (figures, len) = (ListFigures::of(list, config), list.len());
    line(
        &mut text,
        format_args!(
            "quicklist: {len} elements, {} nodes, fill {}, compress depth {}",
            figures.nodes, figures.fill, figures.depth
        ),
    );
    let quick = match list {
        ListRef::Packed(listpack) => {
            if full {
                describe_listpack(&mut text, listpack);
            }
            return text;
        }
        ListRef::Quick(quick) => quick,
    };
    for (number, node) in quick.nodes().enumerate() {
        let kind = match node {
            Node::Packed(_) => "packed",
            Node::Plain(_) => "plain",
            Node::Dense(_) => "packed, dense",
            Node::Compressed { .. } => "packed, compressed",
        };
        let (bytes, count) = (node.bytes_len(), node.len());
        line(
            &mut text,
            format_args!("node {number}: {kind}, {bytes} bytes, {count} elements"),
        );
        if full && let NodeView::Packed(listpack) = node.view(&mut Vec::new()) {
            describe_listpack(&mut text, listpack);
        }
    }
    text
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.push_str(&line.to_string());
    text.push('\n');
}

/// What DEBUG OBJECT tells of a list.
struct ListFigures {
    nodes: usize,
    fill: i32,
    depth: usize,
    bytes: usize,
}

impl ListFigures {
    fn of(list: ListRef<'_>, config: &Config) -> ListFigures {
        match list {
            ListRef::Packed(listpack) => {
                let limits = list_limits(config.list_max_listpack_size, config.list_compress_depth);
                ListFigures {
                    nodes: 1,
                    fill: limits.fill(),
                    depth: limits.depth(),
                    bytes: listpack.bytes().len(),
                }
            }
            ListRef::Quick(quick) => ListFigures {
                nodes: quick.nodes_len(),
                fill: quick.limits().fill(),
                depth: quick.limits().depth(),
                bytes: quick.nodes().map(Node::bytes_len).sum(),
            },
        }
    }
}

/// The fields that DEBUG OBJECT adds for a list.
pub(super) fn list_fields(list: ListRef<'_>, config: &Config) -> String {
    let figures = ListFigures::of(list, config);
    let average = list.len() as f64 / figures.nodes as f64;
    format!(
        " ql_nodes:{} ql_avg_node:{average:.2} ql_listpack_max:{} ql_compressed:{} \
         ql_uncompressed_size:{}",
        figures.nodes,
        figures.fill,
        u8::from(figures.depth > 0),
        figures.bytes
    )
}
