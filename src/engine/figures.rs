//! What handlers that report about the server need of it at once.

use super::client::{ClientId, ClientKind};
use super::server::Server;
use crate::command::registry::Registry;
use crate::resp::Reply;
use crate::stats::Stats;
use crate::stats::clients::ClientBuffers;
use crate::stats::memory;

impl Server {
    /// The statistics, and a writer to a client's output.
    ///
    /// # Panics
    /// As [`Server::reply`].
    pub fn stats_and_reply(&mut self, client: ClientId) -> (&Stats, Reply<'_>) {
        let client = self.clients.get_mut(client).expect("the running client");
        let reply = Reply::new(&mut client.output, client.resp3);
        (&self.stats, reply)
    }

    /// The command table, and a writer to a client's output.
    ///
    /// # Panics
    /// As [`Server::reply`].
    pub fn registry_and_reply(&mut self, client: ClientId) -> (&Registry, Reply<'_>) {
        let client = self.clients.get_mut(client).expect("the running client");
        let reply = Reply::new(&mut client.output, client.resp3);
        (&self.registry, reply)
    }

    /// Unix time now, microseconds.
    pub fn now_unix_us(&self) -> i64 {
        self.clock.unix_us(self.now_ns)
    }

    /// Looks at the memory in use: for commands that tell it, and ten times a
    /// second, since asking the allocator takes tens of microseconds.
    pub fn look_at_memory(&mut self) -> memory::AllocatorStats {
        let allocator = memory::allocator();
        self.stats.note_memory(allocator.allocated);
        allocator
    }

    /// Takes a client's buffers into the pass over all clients that cron makes.
    pub fn count_client_buffers(&mut self, id: ClientId) {
        let now_s = self.clock_unix_ms() / 1000;
        let Some(client) = self.clients.get(id) else {
            return;
        };
        let kind = if client.kind() == ClientKind::Replica {
            ClientKind::Replica
        } else {
            ClientKind::Normal
        };
        let buffers = ClientBuffers {
            total: client.memory_bytes(),
            input: client.query_bytes + client.query_free_bytes() + client.args_bytes,
            output: client.output_bytes(),
        };
        self.stats.clients.add(kind.index(), buffers, now_s);
    }
}
