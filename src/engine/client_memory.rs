//! What all clients take together, and cutting off the largest ones when that
//! is more than `maxmemory-clients` allows.
//!
//! Whatever changes a client's memory marks the client as stale; the stale ones
//! are measured anew when the sum is asked for. Without a limit nothing is
//! marked, so it costs nothing.

use super::client::{Client, ClientId, ClientKind, Flags};
use super::clients::Clients;
use super::server::Server;

/// Clients of the same power of two of bytes are as good as each other for
/// eviction: those below 32 kB share the first class, those above 4 GB the last.
const CLASS_MIN_LOG: u32 = 15;
const CLASS_MAX_LOG: u32 = 33;
const CLASSES: usize = (1 + CLASS_MAX_LOG - CLASS_MIN_LOG) as usize;

/// The class of a client that takes so many bytes.
fn class_of(bytes: usize) -> usize {
    let log = usize::BITS - bytes.leading_zeros();
    (log.clamp(CLASS_MIN_LOG, CLASS_MAX_LOG) - CLASS_MIN_LOG) as usize
}

/// How a client is counted.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Counted {
    /// Bytes of it in the sum.
    bytes: usize,
    /// Its class and place there, when it may be evicted.
    place: Option<(usize, usize)>,
    /// Its memory has changed since.
    stale: bool,
}

/// Clients of one class.
#[derive(Default)]
struct Class {
    clients: Vec<ClientId>,
    bytes: u64,
}

/// The clients by the memory that they take.
#[derive(Default)]
pub(super) struct ClientMemory {
    limit_bytes: Option<u64>,
    bytes: u64,
    classes: [Class; CLASSES],
    stale: Vec<ClientId>,
    /// There is nobody to be cut off any more, and that has been logged.
    helpless: bool,
}

impl ClientMemory {
    /// Takes a client out of the sum and its class.
    fn uncount(&mut self, client: &mut Client) -> Option<(ClientId, usize)> {
        let Counted { bytes, place, .. } = std::mem::take(&mut client.counted);
        self.bytes -= bytes as u64;
        let (class, index) = place?;
        let class = &mut self.classes[class];
        class.bytes -= bytes as u64;
        class.clients.swap_remove(index);
        // The one that was moved into its place has to know.
        class.clients.get(index).map(|moved| (*moved, index))
    }

    fn count(&mut self, client: &mut Client) {
        if client.kind() == ClientKind::Replica {
            return;
        }
        let bytes = client.counted_bytes();
        self.bytes += bytes as u64;
        client.counted.bytes = bytes;
        if client.flags.has(Flags::NO_EVICT) {
            return;
        }
        let class = class_of(bytes);
        let clients = &mut self.classes[class].clients;
        client.counted.place = Some((class, clients.len()));
        clients.push(client.handle);
        self.classes[class].bytes += bytes as u64;
    }
}

impl Clients {
    /// Whether the clients' memory is counted because it is limited.
    #[inline]
    pub fn memory_is_limited(&self) -> bool {
        self.memory.limit_bytes.is_some()
    }

    /// The memory of a client may have changed.
    #[inline]
    pub fn note_memory(&mut self, id: ClientId) {
        if self.memory_is_limited() {
            self.mark_stale(id);
        }
    }

    fn mark_stale(&mut self, id: ClientId) {
        if let Some(client) = self.get_mut(id)
            && !std::mem::replace(&mut client.counted.stale, true)
        {
            self.memory.stale.push(id);
        }
    }

    /// A client's memory counts no more.
    pub(super) fn uncount_memory(&mut self, id: ClientId) {
        let Some((memory, client)) = self.memory_and_client(id) else {
            return;
        };
        if let Some((moved, index)) = memory.uncount(client)
            && let Some(moved) = self.get_mut(moved)
            && let Some(place) = &mut moved.counted.place
        {
            place.1 = index;
        }
    }

    /// What all clients take that are no replicas, bytes.
    fn measured_bytes(&mut self) -> u64 {
        for id in std::mem::take(&mut self.memory.stale) {
            self.uncount_memory(id);
            if let Some((memory, client)) = self.memory_and_client(id) {
                client.counted.stale = false;
                if client.closing != super::Closing::Now {
                    memory.count(client);
                }
            }
        }
        self.memory.bytes
    }

    /// Whether all clients together take more than they may, and somebody can
    /// be cut off.
    #[inline]
    pub fn wants_eviction(&mut self) -> bool {
        self.exceed_memory() && self.largest().is_some()
    }

    #[inline]
    fn exceed_memory(&mut self) -> bool {
        let limit_bytes = self.memory.limit_bytes;
        limit_bytes.is_some_and(|limit_bytes| self.measured_bytes() >= limit_bytes)
    }

    /// The next client to be cut off: one of those that take most.
    fn largest(&self) -> Option<ClientId> {
        let classes = self.memory.classes.iter().rev();
        classes
            .filter_map(|class| class.clients.first())
            .next()
            .copied()
    }

    /// Begins or ends limiting what clients take.
    fn limit_memory(&mut self, limit_bytes: Option<u64>) {
        let counted = self.memory_is_limited();
        self.memory.limit_bytes = limit_bytes;
        if counted == limit_bytes.is_some() {
            return;
        }
        self.memory = ClientMemory {
            limit_bytes,
            ..ClientMemory::default()
        };
        for id in self.handles() {
            if let Some(client) = self.get_mut(id) {
                client.counted = Counted::default();
            }
            self.note_memory(id);
        }
    }

    /// The classes for DEBUG CLIENT-EVICTION: what the clients in it take at
    /// most, what they take together, and how many they are.
    pub fn memory_classes(&mut self) -> Option<Vec<(u64, u64, usize)>> {
        self.memory.limit_bytes?;
        self.measured_bytes();
        let bound = |class: usize| 1_u64 << (class as u32 + CLASS_MIN_LOG);
        let classes = self.memory.classes.iter().enumerate();
        let classes =
            classes.map(|(index, class)| (bound(index), class.bytes, class.clients.len()));
        Some(classes.collect())
    }
}

impl Server {
    /// Takes over `maxmemory-clients`.
    pub(super) fn follow_client_limit(&mut self) {
        let limit_bytes = self.config.maxmemory_clients_bytes();
        self.clients.limit_memory(limit_bytes);
    }

    /// Cuts off those clients that take most until all together stay below
    /// `maxmemory-clients`.
    pub fn evict_clients(&mut self) {
        while self.clients.exceed_memory() {
            let Some(id) = self.clients.largest() else {
                if !std::mem::replace(&mut self.clients.memory.helpless, true) {
                    tracing::warn!("Over client maxmemory after evicting all evictable clients");
                }
                return;
            };
            let line = self.describe_client(id);
            tracing::info!("Evicting client: {line}");
            self.cut_off(id);
            self.clients.uncount_memory(id);
            self.stats.eviction.clients += 1;
        }
        self.clients.memory.helpless = false;
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::RawClient;
    use super::*;

    fn clients(limit_bytes: u64, sizes: &[usize]) -> (Clients, Vec<ClientId>) {
        let mut clients = Clients::new(1);
        clients.limit_memory(Some(limit_bytes));
        let add = |size: &usize| {
            let id = clients.add(RawClient::default(), crate::acl::tests::default_user(), 0);
            clients.get_mut(id).unwrap().query_bytes = *size;
            clients.note_memory(id);
            id
        };
        let ids = sizes.iter().map(add).collect();
        (clients, ids)
    }

    #[test]
    fn classes_are_powers_of_two() {
        let classes = [0, 32767, 32768, 65535, 65536, 1 << 32, 1 << 40].map(class_of);
        assert_eq!(classes, [0, 0, 1, 1, 2, 18, 18]);
    }

    #[test]
    fn the_largest_goes_first() {
        let (mut clients, ids) = clients(1, &[100, 1 << 20, 1 << 17, 1 << 20]);
        let sum = |clients: &Clients| -> u64 {
            let bytes = clients.iter().map(|client| client.counted_bytes() as u64);
            bytes.sum()
        };
        assert_eq!(clients.measured_bytes(), sum(&clients));
        let mut order = Vec::new();
        while let Some(id) = clients.largest() {
            order.push(id);
            clients.remove(id);
            assert_eq!(clients.measured_bytes(), sum(&clients));
        }
        assert_eq!(order, [ids[1], ids[3], ids[2], ids[0]]);
    }

    #[test]
    fn changes_are_followed() {
        let (mut clients, ids) = clients(1, &[1 << 20, 1 << 18]);
        clients.measured_bytes();
        clients.get_mut(ids[0]).unwrap().query_bytes = 0;
        clients.note_memory(ids[0]);
        clients
            .get_mut(ids[1])
            .unwrap()
            .flags
            .set(Flags::NO_EVICT, true);
        clients.note_memory(ids[1]);
        assert!(clients.measured_bytes() > 1 << 18);
        assert_eq!(clients.largest(), Some(ids[0]));
        clients.limit_memory(None);
        assert_eq!((clients.largest(), clients.exceed_memory()), (None, false));
        clients.limit_memory(Some(5));
        assert!(clients.exceed_memory() && clients.measured_bytes() > 1 << 18);
    }
}
