//! The loop of a proxy: epoll, edge-triggered for connections, so that each is touched only when something has changed.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::SocketFlags;

use super::datagram::Sessions;
use super::endpoint::{self, Listener};
use super::spec::ProxySpec;
use super::stream::{Pipes, Progress, Stream, greeting};

/// How many connections are accepted before others have their turn.
const ACCEPTED: usize = 64;
const SWEEP_EVERY: Timespec = Timespec {
    tv_sec: 10,
    tv_nsec: 0,
};
const AT_ONCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// What a descriptor is watched for; the number goes into the upper half of epoll's data, the kind into the lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watched {
    Instance,
    Listener(usize),
    Near(u32),
    Far(u32),
    Session(u32),
}

impl Watched {
    fn encode(self) -> EventData {
        let (kind, number) = match self {
            Self::Instance => (0, 0),
            Self::Listener(index) => (1, index as u64),
            Self::Near(number) => (2, number.into()),
            Self::Far(number) => (3, number.into()),
            Self::Session(number) => (4, number.into()),
        };
        EventData::new_u64(number << 32 | kind)
    }

    fn decode(data: EventData) -> Option<Self> {
        let number = u32::try_from(data.u64() >> 32).ok()?;
        Some(match data.u64() & 7 {
            0 => Self::Instance,
            1 => Self::Listener(number as usize),
            2 => Self::Near(number),
            3 => Self::Far(number),
            4 => Self::Session(number),
            _ => return None,
        })
    }
}

struct Proxy<'a> {
    epoll: OwnedFd,
    listeners: &'a [Listener],
    spec: &'a ProxySpec,
    streams: HashMap<u32, Stream>,
    next: u32,
    /// Connections that gave way to others.
    ready: VecDeque<u32>,
    pipes: Pipes,
    sessions: Sessions,
    /// Listeners that wait for a descriptor to become free.
    starving: Vec<usize>,
}

/// Passes on until the container's init has ended.
pub(super) fn serve(listeners: &[Listener], instance: BorrowedFd<'_>, spec: &ProxySpec) {
    // Nobody is left to hear of an error: the daemon sees that the lock is free, and starts another.
    drop(try_serve(listeners, instance, spec));
}

fn try_serve(listeners: &[Listener], instance: BorrowedFd<'_>, spec: &ProxySpec) -> io::Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, instance, Watched::Instance.encode(), EventFlags::IN)?;
    for (index, listener) in listeners.iter().enumerate() {
        let watched = Watched::Listener(index).encode();
        epoll::add(&epoll, listener.as_fd(), watched, EventFlags::IN)?;
    }
    let mut proxy = Proxy {
        epoll,
        listeners,
        spec,
        streams: HashMap::new(),
        next: 0,
        ready: VecDeque::new(),
        pipes: Pipes::default(),
        sessions: Sessions::new(),
        starving: Vec::new(),
    };
    let mut events = Vec::with_capacity(256);
    loop {
        events.clear();
        let timeout = if !proxy.ready.is_empty() {
            Some(&AT_ONCE)
        } else if proxy.sessions.is_empty() {
            None
        } else {
            Some(&SWEEP_EVERY)
        };
        match epoll::wait(
            &proxy.epoll,
            rustix::buffer::spare_capacity(&mut events),
            timeout,
        ) {
            Err(Errno::INTR) => continue,
            result => drop(result?),
        }
        for event in &events {
            if Watched::decode(event.data) == Some(Watched::Instance) {
                return Ok(());
            }
            proxy.react(event);
        }
        for _ in 0..proxy.ready.len() {
            if let Some(number) = proxy.ready.pop_front() {
                proxy.pump(number);
            }
        }
        proxy.sessions.sweep();
    }
}

impl Proxy<'_> {
    fn react(&mut self, event: &Event) {
        match Watched::decode(event.data) {
            Some(Watched::Listener(index)) => self.come_in(index),
            Some(Watched::Near(number)) => self.pump(number),
            Some(Watched::Far(number)) => self.far_changed(number, event.flags),
            Some(Watched::Session(number)) => {
                let listeners = self.listeners;
                self.sessions
                    .answer(number, |index| match listeners.get(index) {
                        Some(Listener::Datagram(socket)) => Some(socket),
                        _ => None,
                    });
            }
            Some(Watched::Instance) | None => {}
        }
    }

    fn come_in(&mut self, index: usize) {
        let listeners = self.listeners;
        match &listeners[index] {
            Listener::Stream(listener) => self.accept(index, listener.as_fd()),
            Listener::Datagram(socket) => {
                let (epoll, target) = (&self.epoll, &self.spec.pairs[index].1);
                let watch = |far: &UdpSocket, number| {
                    let watched = Watched::Session(number).encode();
                    Ok(epoll::add(epoll, far, watched, EventFlags::IN)?)
                };
                self.sessions.receive((index, socket), target, watch);
            }
        }
    }

    fn accept(&mut self, index: usize, listener: BorrowedFd<'_>) {
        for _ in 0..ACCEPTED {
            match rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(near) => {
                    // One that can't be connected is closed: that is all that can be told.
                    drop(self.open(index, near));
                }
                Err(Errno::MFILE | Errno::NFILE) => {
                    self.starving.push(index);
                    epoll::delete(&self.epoll, listener).ok();
                    return;
                }
                // The one who came has gone again; the next may be there.
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                Err(_nobody) => return,
            }
        }
    }

    fn open(&mut self, index: usize, near: OwnedFd) -> io::Result<()> {
        endpoint::hurry(near.as_fd());
        let far = endpoint::connect(&self.spec.pairs[index].1)?;
        let greeting = self.spec.proxy_protocol.then(|| greeting(near.as_fd()));
        self.next = self.next.wrapping_add(1);
        let number = self.next;
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, &near, Watched::Near(number).encode(), flags)?;
        epoll::add(&self.epoll, &far, Watched::Far(number).encode(), flags)?;
        self.streams
            .insert(number, Stream::new(near, far, greeting));
        Ok(())
    }

    fn far_changed(&mut self, number: u32, flags: EventFlags) {
        let Some(stream) = self.streams.get_mut(&number) else {
            return;
        };
        let settled = flags.intersects(EventFlags::OUT | EventFlags::ERR | EventFlags::HUP);
        if settled && stream.connected().is_err() {
            self.close(number);
            return;
        }
        self.pump(number);
    }

    fn pump(&mut self, number: u32) {
        let Some(stream) = self.streams.get_mut(&number) else {
            return;
        };
        match stream.pump(&mut self.pipes) {
            Ok(Progress::Waits) => {}
            Ok(Progress::Goes) => self.ready.push_back(number),
            Ok(Progress::Over) | Err(_) => self.close(number),
        }
    }

    fn close(&mut self, number: u32) {
        self.streams.remove(&number);
        for index in std::mem::take(&mut self.starving) {
            let listener = self.listeners[index].as_fd();
            let watched = Watched::Listener(index).encode();
            epoll::add(&self.epoll, listener, watched, EventFlags::IN).ok();
        }
    }
}
