//! UDP through a proxy: each sender has a socket of its own on the far side, until it has been silent for a while.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::endpoint;
use super::spec::Endpoint;

/// How long a session is kept without a packet.
const PATIENCE: Duration = Duration::from_secs(120);
/// The largest packet of UDP.
const LARGEST: usize = 65_536;
/// Packets in one go before others have their turn.
const ROUNDS: usize = 64;

/// What one sender exchanges with the far side.
#[derive(Debug)]
struct Session {
    far: UdpSocket,
    listener: usize,
    peer: SocketAddr,
    used: Instant,
}

/// All sessions, by the number that their sockets are watched under.
#[derive(Debug)]
pub(super) struct Sessions {
    by_number: HashMap<u32, Session>,
    by_peer: HashMap<(usize, SocketAddr), u32>,
    next: u32,
    buffer: Vec<u8>,
}

impl Sessions {
    pub(super) fn new() -> Self {
        Self {
            by_number: HashMap::new(),
            by_peer: HashMap::new(),
            next: 0,
            buffer: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    /// Passes on what came in; `watch` is told of new sockets.
    pub(super) fn receive(
        &mut self,
        (listener, near): (usize, &UdpSocket),
        to: &Endpoint,
        mut watch: impl FnMut(&UdpSocket, u32) -> io::Result<()>,
    ) {
        self.buffer.resize(LARGEST, 0);
        for _ in 0..ROUNDS {
            let Ok((length, peer)) = near.recv_from(&mut self.buffer) else {
                return;
            };
            let known = self.by_peer.get(&(listener, peer)).copied();
            let number = match known {
                Some(number) => number,
                None => match self.open(listener, peer, to, &mut watch) {
                    Ok(number) => number,
                    // Nobody there, or no descriptor left: a packet is lost, as packets are.
                    Err(_error) => continue,
                },
            };
            if let Some(session) = self.by_number.get_mut(&number) {
                session.used = Instant::now();
                drop(session.far.send(&self.buffer[..length]));
            }
        }
    }

    fn open(
        &mut self,
        listener: usize,
        peer: SocketAddr,
        to: &Endpoint,
        watch: &mut impl FnMut(&UdpSocket, u32) -> io::Result<()>,
    ) -> io::Result<u32> {
        let socket: OwnedFd = endpoint::connect(to)?;
        let far = UdpSocket::from(socket);
        self.next = self.next.wrapping_add(1);
        watch(&far, self.next)?;
        self.by_peer.insert((listener, peer), self.next);
        let session = Session {
            far,
            listener,
            peer,
            used: Instant::now(),
        };
        self.by_number.insert(self.next, session);
        Ok(self.next)
    }

    /// Passes answers back; `near` gives the listening socket of a number.
    pub(super) fn answer<'a>(
        &mut self,
        number: u32,
        near: impl Fn(usize) -> Option<&'a UdpSocket>,
    ) {
        self.buffer.resize(LARGEST, 0);
        let Some(session) = self.by_number.get_mut(&number) else {
            return;
        };
        session.used = Instant::now();
        for _ in 0..ROUNDS {
            // A refusal of the far side is told by an error, once; the session may go on.
            let Ok(length) = session.far.recv(&mut self.buffer) else {
                return;
            };
            if let Some(near) = near(session.listener) {
                drop(near.send_to(&self.buffer[..length], session.peer));
            }
        }
    }

    /// Ends sessions that are silent.
    pub(super) fn sweep(&mut self) {
        self.by_number
            .retain(|_, session| session.used.elapsed() < PATIENCE);
        let Self {
            by_number, by_peer, ..
        } = self;
        by_peer.retain(|_, number| by_number.contains_key(number));
    }
}
