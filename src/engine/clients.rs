//! All connected clients, and which of them their I/O threads must look at.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::client::{Client, ClientId, Closing, Flags, RawClient};
use super::client_memory::ClientMemory;
use crate::acl::User;

/// The clients by handle and by number.
pub struct Clients {
    slots: Vec<(u32, Option<Box<Client>>)>,
    free: Vec<u32>,
    by_id: HashMap<u64, ClientId>,
    next_id: u64,
    /// Per I/O thread: clients with output, or to be closed or resumed, that
    /// the thread does not know of yet.
    scheduled: Vec<Vec<ClientId>>,
    /// Per I/O thread: clients with messages that nobody waits for more than
    /// for what the thread has to do else.
    pushes: Vec<Pushes>,
    pub(super) memory: ClientMemory,
    /// Clients that receive every command.
    pub monitors: Vec<ClientId>,
    /// Clients whose command waits for the end of CLIENT PAUSE.
    pub paused: Vec<ClientId>,
    /// Clients that wait for something (blocking commands).
    pub blocked: usize,
}

impl Clients {
    /// No clients, served by `io_threads` threads.
    pub fn new(io_threads: usize) -> Clients {
        Clients {
            slots: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::new(),
            next_id: 1,
            scheduled: (0..io_threads).map(|_| Vec::new()).collect(),
            pushes: (0..io_threads).map(|_| Pushes::default()).collect(),
            memory: ClientMemory::default(),
            monitors: Vec::new(),
            paused: Vec::new(),
            blocked: 0,
        }
    }

    /// Number of connected clients; one that is being cut off does not count.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The number that the next client gets.
    pub fn next_id(&self) -> u64 {
        self.next_id
    }

    /// A new client, acting as a user.
    pub fn add(&mut self, raw: RawClient, user: Arc<User>, now_ns: u64) -> ClientId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            self.slots.len() as u32 - 1
        });
        let (generation, place) = &mut self.slots[slot as usize];
        let handle = ClientId {
            slot,
            generation: *generation,
        };
        *place = Some(Box::new(Client::new(
            self.next_id,
            handle,
            raw,
            user,
            now_ns,
        )));
        self.by_id.insert(self.next_id, handle);
        self.next_id += 1;
        self.note_memory(handle);
        handle
    }

    /// Forgets a client; its handle is stale from now on.
    pub fn remove(&mut self, handle: ClientId) -> Option<Box<Client>> {
        self.uncount_memory(handle);
        let (generation, place) = self.slots.get_mut(handle.slot as usize)?;
        if *generation != handle.generation {
            return None;
        }
        let client = place.take()?;
        *generation = generation.wrapping_add(1);
        self.free.push(handle.slot);
        self.by_id.remove(&client.id);
        if client.flags.has(Flags::MONITOR) {
            self.monitors.retain(|monitor| *monitor != handle);
        }
        if client.flags.has(Flags::PAUSED) {
            self.paused.retain(|paused| *paused != handle);
        }
        Some(client)
    }

    /// A client, if it is still there.
    #[inline]
    pub fn get(&self, handle: ClientId) -> Option<&Client> {
        match self.slots.get(handle.slot as usize) {
            Some((generation, Some(client))) if *generation == handle.generation => Some(client),
            _ => None,
        }
    }

    /// A client for change, if it is still there.
    #[inline]
    pub fn get_mut(&mut self, handle: ClientId) -> Option<&mut Client> {
        match self.slots.get_mut(handle.slot as usize) {
            Some((generation, Some(client))) if *generation == handle.generation => Some(client),
            _ => None,
        }
    }

    /// A client and what all of them take.
    pub(super) fn memory_and_client(
        &mut self,
        handle: ClientId,
    ) -> Option<(&mut ClientMemory, &mut Client)> {
        match self.slots.get_mut(handle.slot as usize) {
            Some((generation, Some(client))) if *generation == handle.generation => {
                Some((&mut self.memory, client))
            }
            _ => None,
        }
    }

    /// All handles, in no order.
    pub(super) fn handles(&self) -> Vec<ClientId> {
        let clients = self.slots.iter().filter_map(|(_, client)| client.as_ref());
        clients.map(|client| client.handle).collect()
    }

    /// The client of a number.
    pub fn find(&self, id: u64) -> Option<ClientId> {
        self.by_id.get(&id).copied()
    }

    /// All clients that count, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Client> {
        let mut clients: Vec<&Client> = self
            .slots
            .iter()
            .filter_map(|(_, client)| client.as_deref())
            .filter(|client| client.closing != Closing::Now)
            .collect();
        clients.sort_unstable_by_key(|client| client.id);
        clients.into_iter()
    }

    /// The handles of up to `count` clients from a position on, and the next
    /// position; for periodic work in slices.
    pub fn slice(&self, from: usize, count: usize) -> (Vec<ClientId>, usize) {
        let start = if from >= self.slots.len() { 0 } else { from };
        let end = (start + count).min(self.slots.len());
        let slots = &self.slots[start..end];
        (
            slots
                .iter()
                .filter_map(|(_, client)| Some(client.as_ref()?.handle))
                .collect(),
            end,
        )
    }

    /// Number of slots, used or not.
    pub fn slot_count(&self) -> usize {
        self.slots.len()
    }

    /// Has the client's I/O thread look at it at the end of this turn.
    pub fn schedule(&mut self, handle: ClientId) {
        self.note_memory(handle);
        if let Some(client) = self.get_mut(handle)
            && !client.scheduled
        {
            client.scheduled = true;
            let thread = client.raw.io_thread;
            self.scheduled[thread].push(handle);
        }
    }

    /// The clients that a thread has to look at, once.
    pub fn take_scheduled(&mut self, io_thread: usize) -> Vec<ClientId> {
        let scheduled = std::mem::take(&mut self.scheduled[io_thread]);
        for handle in &scheduled {
            if let Some(client) = self.get_mut(*handle) {
                client.scheduled = false;
            }
        }
        scheduled
    }

    /// Whether a thread has clients to look at.
    pub fn has_scheduled(&self, io_thread: usize) -> bool {
        !self.scheduled[io_thread].is_empty()
    }

    /// Has the client's I/O thread write the messages to it when it comes to
    /// that: thousands may get the same one.
    pub fn schedule_push(&mut self, handle: ClientId) {
        self.note_memory(handle);
        if let Some(client) = self.get_mut(handle)
            && !client.push_scheduled
        {
            client.push_scheduled = true;
            let thread = client.raw.io_thread;
            let pushes = &mut self.pushes[thread];
            pushes.untold |= pushes.clients.is_empty();
            pushes.clients.push_back(handle);
        }
    }

    /// Some of the clients that have messages, once.
    pub fn take_pushes(&mut self, io_thread: usize, max: usize) -> Vec<ClientId> {
        let pushes = &mut self.pushes[io_thread];
        let count = pushes.clients.len().min(max);
        let taken: Vec<ClientId> = pushes.clients.drain(..count).collect();
        for handle in &taken {
            if let Some(client) = self.get_mut(*handle) {
                client.push_scheduled = false;
            }
        }
        taken
    }

    /// Whether a thread has messages to write.
    pub fn has_pushes(&self, io_thread: usize) -> bool {
        !self.pushes[io_thread].clients.is_empty()
    }

    /// Whether a thread has to be told, once, that it has clients to look at.
    pub fn wants_waking(&mut self, io_thread: usize) -> bool {
        let untold = std::mem::take(&mut self.pushes[io_thread].untold);
        untold || self.has_scheduled(io_thread)
    }

    /// Ends a connection. Cut off at once, it is as good as gone for all
    /// commands, though its I/O thread has still to close the socket.
    pub fn close(&mut self, handle: ClientId, when: Closing) {
        if let Some(client) = self.get_mut(handle)
            && client.closing < when
        {
            client.closing = when;
            let id = client.id;
            if when == Closing::Now {
                self.by_id.remove(&id);
            }
            self.schedule(handle);
        }
    }
}

/// Clients with messages.
#[derive(Default)]
struct Pushes {
    clients: VecDeque<ClientId>,
    /// Their thread does not know that it has any.
    untold: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_go_stale() {
        let mut clients = Clients::new(1);
        let first = clients.add(RawClient::default(), crate::acl::tests::default_user(), 0);
        assert_eq!(clients.get(first).unwrap().id, 1);
        clients.remove(first);
        let second = clients.add(RawClient::default(), crate::acl::tests::default_user(), 0);
        assert_ne!(first, second);
        assert!(clients.get(first).is_none() && clients.remove(first).is_none());
        assert_eq!((clients.find(2), clients.len()), (Some(second), 1));
    }

    #[test]
    fn scheduling_happens_once() {
        let mut clients = Clients::new(2);
        let raw = RawClient {
            io_thread: 1,
            ..RawClient::default()
        };
        let client = clients.add(raw, crate::acl::tests::default_user(), 0);
        clients.schedule(client);
        clients.close(client, Closing::AfterReply);
        assert!(clients.has_scheduled(1) && !clients.has_scheduled(0));
        assert_eq!(clients.take_scheduled(1), [client]);
        clients.close(client, Closing::AfterReply);
        assert!(!clients.has_scheduled(1));
    }
}
