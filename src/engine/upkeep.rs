//! Limits of clients, and what cron looks after: idle ones, buffers grown
//! beyond their use.

use super::client::{
    Client, ClientId, ClientKind, Closing, Flags, REPLY_ROOM_BYTES, REPLY_ROOM_BYTES_MIN,
};
use super::server::Server;

/// Room of its thread's read buffer that a client has at least while it is not
/// idle, bytes (Redis: PROTO_IOBUF_LEN, a buffer of its own).
pub const QUERY_ROOM_BYTES: usize = 16 * 1024;
/// Most bytes of replies that a client leaves unread before it has logged in.
pub const UNAUTHENTICATED_OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// Free bytes for receiving that are not worth an idle client's while.
const QUERY_TRIM_FROM_BYTES: usize = 4 * 1024;
/// Room from which it is made to fit what was used of it (Redis:
/// PROTO_RESIZE_THRESHOLD).
const QUERY_RESIZE_FROM_BYTES: usize = 32 * 1024;
/// After this long without a request a client gives its room back.
const QUERY_IDLE_NS: u64 = 2_000_000_000;

const SECOND_NS: u64 = 1_000_000_000;

impl Server {
    /// Memory that eviction does not make up for, bytes
    /// (`mem_not_counted_for_evict`): what waits to be written to the log grows
    /// with each key that is evicted, and so does what a snapshot keeps.
    pub fn not_counted_bytes(&self) -> u64 {
        self.aof.buffer_capacity() as u64 + self.keyspace.snapshot_bytes()
    }

    /// What cron does about one client, about once a second.
    pub fn look_after(&mut self, id: ClientId) {
        let now_ns = self.now_ns;
        self.clients.note_memory(id);
        let timeout_ns = u64::from(self.config.timeout_s) * SECOND_NS;
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        if timeout_ns > 0 && is_idle(client, now_ns, timeout_ns) {
            tracing::debug!("Closing idle client");
            self.cut_off(id);
            return;
        }
        if trim_query_room(client, now_ns) {
            self.clients.schedule(id);
        }
        if self.debug.reply_resizing {
            self.resize_reply_room(id);
        }
        self.check_output_limit(id);
    }

    /// Redis: the room of a reply buffer doubles when it was used up, and
    /// shrinks to what was used of it when that was less than half.
    fn resize_reply_room(&mut self, id: ClientId) {
        let (now_ns, reset_ms) = (self.now_ns, self.debug.reply_peak_reset_ms);
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        let (room, peak) = (client.reply_room_bytes, client.reply_peak_bytes);
        if room / 2 >= REPLY_ROOM_BYTES_MIN && peak < room / 2 {
            client.reply_room_bytes = REPLY_ROOM_BYTES_MIN.max(peak + 1);
            self.stats.reply_buffer_shrinks += 1;
        } else if room * 2 < REPLY_ROOM_BYTES * 2 && peak == room {
            client.reply_room_bytes = REPLY_ROOM_BYTES.min(room * 2);
            self.stats.reply_buffer_expands += 1;
        }
        // Redis: the first look forgets the peak, which is all of the room that
        // a client begins with.
        let since_ns = client.reply_peak_since_ns;
        let is_due = |reset_ms: u64| {
            since_ns.is_none_or(|since| now_ns.saturating_sub(since) >= reset_ms * 1_000_000)
        };
        if reset_ms.is_some_and(is_due) {
            client.reply_peak_bytes = client.pending_output().buffer_bytes;
            client.reply_peak_since_ns = Some(now_ns);
        }
    }

    /// Cuts a client off whose unread replies exceed its class's limit, or
    /// what a stranger may leave.
    pub fn check_output_limit(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        if !client.may_break_output_limit() {
            return;
        }
        let limit = self.config.client_output_buffer_limits[client.kind().index()];
        let unlimited = limit.hard_bytes == 0 && limit.soft_bytes == 0;
        if unlimited && client.authenticated {
            client.soft_limit_since_ns = None;
            return;
        }
        let bytes = client.pending_output().list_bytes as u64;
        let hard = limit.hard_bytes != 0 && bytes >= limit.hard_bytes;
        let mut soft = limit.soft_bytes != 0 && bytes >= limit.soft_bytes;
        if soft {
            let since_ns = *client.soft_limit_since_ns.get_or_insert(self.now_ns);
            let soft_ns = u64::from(limit.soft_seconds) * SECOND_NS;
            soft = self.now_ns.saturating_sub(since_ns) > soft_ns;
        } else {
            client.soft_limit_since_ns = None;
        }
        let stranger = !client.authenticated
            && client.output_bytes() > UNAUTHENTICATED_OUTPUT_BYTES_MAX
            && !self.users.open_to_all();
        if (hard || soft || stranger) && client.closing != Closing::Now {
            let line = self.describe_client(id);
            tracing::warn!(
                "Client {line} scheduled to be closed ASAP for overcoming of output buffer limits."
            );
            self.stats.output_buffer_disconnections += 1;
            if let Some(client) = self.clients.get_mut(id) {
                client.output.clear();
            }
            self.cut_off(id);
        }
    }
}

fn is_idle(client: &Client, now_ns: u64, timeout_ns: u64) -> bool {
    let exempt = Flags::MONITOR | Flags::BLOCKED | Flags::PAUSED;
    client.kind() == ClientKind::Normal
        && !client.flags.has(exempt)
        && now_ns.saturating_sub(client.active_ns) > timeout_ns
}

/// Decides whether a client has more room for requests than it needs; its I/O
/// thread gives the memory back.
fn trim_query_room(client: &mut Client, now_ns: u64) -> bool {
    let room = client.query_bytes + client.query_free_bytes();
    let peak = client.query_peak_bytes.max(client.query_bytes);
    client.query_peak_bytes = client.query_bytes;
    if client.query_free_bytes() <= QUERY_TRIM_FROM_BYTES {
        return false;
    }
    if now_ns.saturating_sub(client.active_ns) > QUERY_IDLE_NS {
        client.query_trim_to_bytes = Some(0);
    } else if room > QUERY_RESIZE_FROM_BYTES && room / 2 > peak {
        client.query_trim_to_bytes = Some((peak - client.query_bytes).max(QUERY_ROOM_BYTES));
    }
    client.query_trim_to_bytes.is_some()
}
