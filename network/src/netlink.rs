//! A plain rtnetlink socket: one request, its answers; see rtnetlink(7).
//!
//! The kernel does the work of a request while the sender sits in `sendmsg`, and the answer is there when it returns.
//! An asynchronous socket would block the same way and add a task and two channels, so this one is synchronous:
//! [`crate::links`] calls it on blocking threads, [`crate::view`] in place, since a dump takes microseconds.

use std::io;
use std::sync::{Mutex, PoisonError};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

/// The kernel fills at most 32 KiB for one datagram of a dump.
const RECEIVE_BUFFER: usize = 32 * 1024;
/// Groups of notices, from linux/rtnetlink.h.
const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_IPV4_IFADDR: u32 = 5;
const RTNLGRP_IPV6_IFADDR: u32 = 9;
/// What notices may take, in bytes; the kernel makes it more where that is too little, socket(7).
const NOTICES: i32 = 4096;
const NOTICES_AT_ONCE: usize = 64;
/// Size of `struct nlmsghdr`.
const NETLINK_HEADER: usize = 16;

/// A socket that speaks of the network namespace in which it was opened, for ever.
#[derive(Debug)]
pub struct RouteSocket {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    socket: Socket,
    sequence: u32,
}

impl RouteSocket {
    /// Opens a socket in the network namespace of the calling thread.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // Strict checking makes the kernel honour filters in dumps (since 4.20); older ones ignore what they don't know.
        let _older_kernel = socket.set_netlink_get_strict_chk(true);
        let inner = Mutex::new(Inner {
            socket,
            sequence: 0,
        });
        Ok(Self { inner })
    }

    /// Sends a request that changes something; `flags` such as `NLM_F_CREATE` come on top of request and ack.
    pub fn change(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.exchange(message, NLM_F_REQUEST | NLM_F_ACK | flags, |_| ())
    }

    /// The same for a request that the library doesn't know, as the kernel wants it behind the header.
    pub fn change_raw(&self, request: Raw, flags: u16) -> io::Result<()> {
        let flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        self.converse(|sequence| encode(request, flags, sequence), |_| ())
    }

    /// Asks for one object; `None` where the kernel sends an ack only.
    pub fn get(&self, message: RouteNetlinkMessage) -> io::Result<Option<RouteNetlinkMessage>> {
        let mut found = None;
        self.exchange(message, NLM_F_REQUEST | NLM_F_ACK, |answer| {
            found = Some(answer);
        })?;
        Ok(found)
    }

    /// Asks for all objects of a kind.
    pub fn dump(&self, message: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut all = Vec::new();
        self.exchange(message, NLM_F_REQUEST | NLM_F_DUMP, |answer| {
            all.push(answer);
        })?;
        Ok(all)
    }

    fn exchange(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
        take: impl FnMut(RouteNetlinkMessage),
    ) -> io::Result<()> {
        self.converse(|sequence| encode(message, flags, sequence), take)
    }

    fn converse(
        &self,
        request: impl FnOnce(u32) -> Vec<u8>,
        mut take: impl FnMut(RouteNetlinkMessage),
    ) -> io::Result<()> {
        // A panic between send and the last answer leaves answers behind; the sequence number skips them.
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.sequence = inner.sequence.wrapping_add(1);
        let sequence = inner.sequence;
        inner.socket.send(&request(sequence), 0)?;
        let mut buffer = Vec::with_capacity(RECEIVE_BUFFER);
        loop {
            buffer.clear();
            let length = inner.socket.recv(&mut buffer, 0)?;
            if length > buffer.len() {
                return Err(io::Error::other("an answer of the kernel was cut off"));
            }
            if let Some(result) = read_answers(&buffer, sequence, &mut take) {
                return result;
            }
        }
    }
}

/// Tells whether the links or addresses of a network namespace have changed, by the kernel's own notices; see rtnetlink(7).
#[derive(Debug)]
pub struct Changes(Socket);

impl Changes {
    /// Of the network namespace of the calling thread, from now on.
    pub fn watch() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.set_non_blocking(true)?;
        // Who works in the namespace fills it: what doesn't fit is told as a change, all the same.
        socket.set_rx_buf_sz(NOTICES)?;
        for group in [RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR] {
            socket.add_membership(group)?;
        }
        Ok(Self(socket))
    }

    /// Whether there were any since the last call; one system call where there were none.
    pub fn any(&self) -> bool {
        let mut found = false;
        let mut notice = Vec::with_capacity(1);
        // An error is a lost notice (`ENOBUFS`), and as good as one. Somebody may add to them all the time: the rest is for later.
        for _ in 0..NOTICES_AT_ONCE {
            notice.clear();
            match self.0.recv(&mut notice, 0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return found,
                _ => found = true,
            }
        }
        found
    }
}

/// A request by its type and its bytes; see rtnetlink(7).
#[derive(Debug)]
pub struct Raw {
    /// `RTM_…`.
    pub kind: u16,
    /// What comes after the netlink header.
    pub bytes: Vec<u8>,
}

impl NetlinkSerializable for Raw {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        self.bytes.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.bytes);
    }
}

fn encode<T: NetlinkSerializable>(message: T, flags: u16, sequence: u32) -> Vec<u8> {
    let payload = NetlinkPayload::InnerMessage(message);
    let mut packet = NetlinkMessage::new(NetlinkHeader::default(), payload);
    packet.header.flags = flags;
    packet.header.sequence_number = sequence;
    packet.finalize();
    let mut bytes = vec![0; packet.buffer_len()];
    packet.serialize(&mut bytes);
    bytes
}

/// Goes through one datagram; `Some` once the exchange is over.
fn read_answers(
    mut bytes: &[u8],
    sequence: u32,
    take: &mut impl FnMut(RouteNetlinkMessage),
) -> Option<io::Result<()>> {
    while !bytes.is_empty() {
        // Length of the message in the first four bytes; messages are padded to four, see netlink(7).
        let length = bytes
            .first_chunk()
            .map_or(0, |length| u32::from_ne_bytes(*length) as usize);
        let (one, rest) = bytes.split_at(length.max(NETLINK_HEADER).min(bytes.len()));
        bytes = rest
            .get(length.next_multiple_of(4) - length..)
            .unwrap_or_default();
        let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(one) else {
            // An exotic link that the decoder doesn't know must not hide all the others.
            tracing::debug!(length, "an answer of the kernel could not be decoded");
            continue;
        };
        if message.header.sequence_number != sequence {
            continue;
        }
        match message.payload {
            NetlinkPayload::Error(error) if error.code.is_some() => {
                return Some(Err(error.to_io()));
            }
            NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Some(Ok(())),
            NetlinkPayload::InnerMessage(inner) => take(inner),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_route::link::{LinkFlags, LinkMessage};
    use std::os::fd::AsFd as _;

    #[test]
    fn lists_the_loopback_of_any_namespace() {
        let socket = RouteSocket::open().unwrap();
        let links = socket
            .dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))
            .unwrap();
        assert!(!links.is_empty());
    }

    #[test]
    fn a_change_is_told_once() {
        let Some(netns) = crate::testing::netns() else {
            return;
        };
        let opened = rlxc_sys::netns::in_netns(netns.as_fd(), || {
            Ok::<_, io::Error>((Changes::watch()?, RouteSocket::open()?))
        });
        let (changes, socket) = opened.unwrap().unwrap();
        assert!(!changes.any());
        let switch = |up: LinkFlags| {
            let mut message = LinkMessage::default();
            message.header.index = 1;
            message.header.flags = up;
            message.header.change_mask = LinkFlags::Up;
            socket
                .change(RouteNetlinkMessage::SetLink(message), 0)
                .unwrap();
        };
        switch(LinkFlags::Up);
        assert!(changes.any());
        assert!(!changes.any());
        // More than fits.
        for _ in 0..200 {
            switch(LinkFlags::empty());
            switch(LinkFlags::Up);
        }
        assert!(changes.any());
    }

    #[test]
    fn tells_the_kernels_refusal() {
        let mut message = LinkMessage::default();
        message.header.index = u32::MAX >> 1;
        let error = RouteSocket::open()
            .unwrap()
            .get(RouteNetlinkMessage::GetLink(message))
            .unwrap_err();
        assert_eq!(error.raw_os_error(), Some(19), "{error}");
    }
}
