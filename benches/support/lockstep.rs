//! A generator that goes in steps: everybody who has something to send sends it, and the next
//! step begins when everybody has received exactly what he should, byte for byte.
//!
//! Unlike [`super::load`] it can have listeners, who send nothing and are told what others do.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::Result;

/// Received at once, shared by all connections.
const READ_BUFFER_BYTES: usize = 256 * 1024;
/// A server silent for so long counts as hung.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// Connections to one server, numbered as they were added.
pub struct Lockstep {
    address: SocketAddr,
    poll: Poll,
    events: Events,
    peers: Vec<Peer>,
    /// Peers that await something in this step.
    busy: usize,
    buffer: Box<[u8]>,
}

struct Peer {
    stream: TcpStream,
    request: Vec<u8>,
    sent: usize,
    /// What it is to receive in every step.
    expected: Vec<u8>,
    received: usize,
}

impl Lockstep {
    /// No connections yet.
    pub fn new(address: SocketAddr) -> Result<Lockstep> {
        Ok(Lockstep {
            address,
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            peers: Vec::new(),
            busy: 0,
            buffer: vec![0; READ_BUFFER_BYTES].into_boxed_slice(),
        })
    }

    /// Opens connections, each of which says `greeting` first and hears an answer with this end.
    pub fn add(&mut self, count: usize, greeting: &[u8], end: &[u8]) -> Result<()> {
        for _ in 0..count {
            let mut stream = std::net::TcpStream::connect(self.address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(SILENCE_LIMIT))?;
            stream.write_all(greeting)?;
            let mut answer = Vec::new();
            while !answer.ends_with(end) {
                let bytes = stream.read(&mut self.buffer)?;
                if bytes == 0 {
                    return Err(wrong(end, &answer));
                }
                answer.extend_from_slice(&self.buffer[..bytes]);
            }
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let interest = Interest::READABLE | Interest::WRITABLE;
            let token = Token(self.peers.len());
            self.poll
                .registry()
                .register(&mut stream, token, interest)?;
            self.peers.push(Peer {
                stream,
                request: Vec::new(),
                sent: 0,
                expected: Vec::new(),
                received: 0,
            });
        }
        Ok(())
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// What a connection sends in the next step.
    pub fn request(&mut self, peer: usize) -> &mut Vec<u8> {
        &mut self.peers[peer].request
    }

    /// What a connection receives in the next steps.
    pub fn expected(&mut self, peer: usize) -> &mut Vec<u8> {
        &mut self.peers[peer].expected
    }

    /// One step.
    pub fn step(&mut self) -> Result<()> {
        self.busy = 0;
        for peer in &mut self.peers {
            peer.received = 0;
            peer.sent = 0;
            self.busy += usize::from(!peer.expected.is_empty());
        }
        for peer in &mut self.peers {
            peer.send()?;
        }
        while self.busy > 0 {
            match self.poll.poll(&mut self.events, Some(SILENCE_LIMIT)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            if self.events.is_empty() {
                return Err(format!("nothing for {SILENCE_LIMIT:?}").into());
            }
            for event in &self.events {
                let peer = &mut self.peers[event.token().0];
                if event.is_writable() {
                    peer.send()?;
                }
                if event.is_readable() && peer.receive(&mut self.buffer)? {
                    self.busy -= 1;
                }
            }
        }
        Ok(())
    }
}

impl Peer {
    fn send(&mut self) -> Result<()> {
        while self.sent < self.request.len() {
            match self.stream.write(&self.request[self.sent..]) {
                Ok(bytes) => self.sent += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Takes what there is; true when that was the last of the step.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<bool> {
        if self.received == self.expected.len() {
            return Ok(false);
        }
        loop {
            let bytes = match self.stream.read(buffer) {
                Ok(0) => return Err("the server closed the connection".into()),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let awaited = &self.expected[self.received..];
            if !awaited.starts_with(&buffer[..bytes]) {
                return Err(wrong(awaited, &buffer[..bytes]));
            }
            self.received += bytes;
            if self.received == self.expected.len() {
                return Ok(true);
            }
            if bytes < buffer.len() {
                return Ok(false);
            }
        }
    }
}

fn wrong(expected: &[u8], got: &[u8]) -> Box<dyn std::error::Error> {
    let shown = |bytes: &[u8]| bytes[..bytes.len().min(200)].escape_ascii().to_string();
    format!("expected {}, got {}", shown(expected), shown(got)).into()
}
