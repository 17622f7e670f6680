//! The line that CLIENT LIST, CLIENT INFO and the log give of a client.

use std::fmt::Write;

use super::client::Client;
use super::pubsub::Topic;
use super::server::Server;

/// `id=… addr=… …`, fields and order of Redis 7.0, library fields of 7.2 behind.
pub(super) fn line(server: &Server, client: &Client) -> String {
    let seconds = |since_ns: u64| server.now_ns.saturating_sub(since_ns) / 1_000_000_000;
    let pending = client.pending_output();
    let command = client
        .last_command
        .map_or("NULL", |command| server.registry[command].full_name());
    let events = if client.in_flight_bytes > 0 {
        "rw"
    } else {
        "r"
    };
    let transaction = client.transaction.as_ref();
    let queued = transaction.map_or(-1, |transaction| transaction.queue.len() as i64);
    let mut line = String::with_capacity(400);
    let _ = write!(
        line,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} \
         multi={} qbuf={} qbuf-free={} argv-mem={} multi-mem={} rbs={} rbp={} obl={} oll={} \
         omem={} tot-mem={} events={} cmd={} user={} redir={} resp={} lib-name={} lib-ver={}",
        client.id,
        client.raw.addr,
        client.raw.laddr,
        client.raw.fd,
        String::from_utf8_lossy(&client.name),
        seconds(client.created_ns),
        seconds(client.active_ns),
        client.flag_letters(),
        client.db.get(),
        client.subscribed(Topic::Channel),
        client.subscribed(Topic::Pattern),
        client.subscribed(Topic::ShardChannel),
        queued,
        client.query_bytes,
        client.query_free_bytes() + client.query_announced_bytes,
        client.args_bytes,
        client.multi_bytes(),
        client.reply_room_bytes,
        client.reply_peak_bytes,
        pending.buffer_bytes,
        pending.list_chunks,
        pending.list_bytes,
        client.counted_bytes(),
        events,
        command,
        String::from_utf8_lossy(client.user.name()),
        client.redirection(),
        if client.resp3 { 3 } else { 2 },
        String::from_utf8_lossy(&client.lib[0]),
        String::from_utf8_lossy(&client.lib[1]),
    );
    line
}
