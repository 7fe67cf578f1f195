//! Who listens to which group of IPv6 multicast: a bridge that knows gives a packet to these alone (RFC 4541), and what a NIC
//! sends when it starts is not heard by all others.
//!
//! The kernel's bridge uses what it has overheard only while a querier is known. Were it the querier itself, each port that comes or
//! goes would make it ask on all ports anew, and all NICs answer (`br_port_state_selection` in net/bridge/br_stp_if.c).
//! So it is asked in its name, when a NIC comes and it was not for an hour, and remembers the answers. NICs report by the first version of MLD: the kernel's bridge
//! gives reports of the second to all.

use std::io;
use std::net::Ipv6Addr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::link::{BridgeQuerierState, InfoBridge};
use rustix::io::Errno;

use super::rtnetlink::{self, refused};
use super::{LinkView, Multicast, request};
use crate::netlink::{Raw, RouteSocket};
use crate::{BridgeSpec, Error, Mac, ipam};

/// In hundredths of a second (`USER_HZ`), as the kernel counts here.
const HOUR: u64 = 3600 * 100;
/// How long a question counts, and how long the answers: these must be there as long as the other. After that all hear all.
const ASKED_FOR: u64 = HOUR;
const KNOWN_FOR: u64 = 2 * HOUR;
/// The kernel's own values, RFC 3810 section 9.
const ASKED_FOR_BY_DEFAULT: u64 = 25_500;
const KNOWN_FOR_BY_DEFAULT: u64 = 26_000;

/// The family of linux/socket.h, requests of linux/rtnetlink.h, and an attribute of linux/if_bridge.h.
const AF_BRIDGE: u8 = 7;
const RTM_NEWMDB: u16 = 84;
const RTM_DELMDB: u16 = 85;
const MDBA_SET_ENTRY: u16 = 1;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Where a NIC that starts asks for a router, RFC 4861.
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// Tells the bridge how long to remember. Not where others are on the wire: they may have someone who asks.
pub(super) fn remember(socket: &RouteSocket, spec: &BridgeSpec, bridge: u32) -> Result<(), Error> {
    let (asked_for, known_for) = if spec.external_interfaces.is_empty() {
        (ASKED_FOR, KNOWN_FOR)
    } else {
        (ASKED_FOR_BY_DEFAULT, KNOWN_FOR_BY_DEFAULT)
    };
    let memory = vec![
        InfoBridge::MulticastQuerier(false),
        InfoBridge::MulticastQuerierInterval(asked_for),
        InfoBridge::MulticastMembershipInterval(known_for),
    ];
    socket
        .change(request::change_bridge(bridge, memory), 0)
        .map_err(refused("set the multicast intervals of bridge", &spec.name))
}

/// Whether a bridge is to remember, by [`remember`], and has something to.
pub(crate) fn multicast(bridge: &[InfoBridge]) -> Multicast {
    if !bridge.contains(&InfoBridge::MulticastMembershipInterval(KNOWN_FOR)) {
        return Multicast::Plain;
    }
    let is_asked = bridge.iter().any(|info| {
        let InfoBridge::MulticastQuerierState(state) = info else {
            return false;
        };
        let is_ipv6 = |state: &_| matches!(state, BridgeQuerierState::Ipv6Address(_));
        state.iter().any(is_ipv6)
    });
    if is_asked {
        Multicast::Asked
    } else {
        Multicast::Unasked
    }
}

/// Whether all that are on a bridge should be asked what they listen to: nobody has, and somebody is there.
pub(super) fn should_ask(bridge: &LinkView) -> bool {
    bridge.multicast == Multicast::Unasked && bridge.carrier
}

/// Asks them. Without an answer all hear all, as on any bridge.
pub(super) fn ask(bridge: &LinkView) {
    if let Err(error) = try_to_ask(bridge) {
        tracing::debug!(bridge = bridge.name, %error, "the bridge does not learn who listens to what");
    }
}

fn try_to_ask(bridge: &LinkView) -> io::Result<()> {
    let Some(from) = bridge.mac() else {
        return Ok(());
    };
    let socket = RouteSocket::open()?;
    listen(&socket, bridge.index, ALL_ROUTERS)?;
    rlxc_sys::link::send_frame(bridge.index, &general_query(from))
}

/// The bridge itself listens to a group, and what is sent to that reaches it, and routers, alone. It lasts as long as a listener.
fn listen(socket: &RouteSocket, bridge: u32, group: Ipv6Addr) -> io::Result<()> {
    let request = |kind| Raw {
        kind,
        bytes: group_entry(bridge, group),
    };
    // An entry that is there would go sooner than a new one. Where there is none, the kernel says either.
    let gone = rtnetlink::ignore(socket.change_raw(request(RTM_DELMDB), 0), Errno::NOENT);
    rtnetlink::ignore(gone, Errno::INVAL)?;
    socket.change_raw(request(RTM_NEWMDB), NLM_F_CREATE | NLM_F_EXCL)
}

/// An entry of a bridge's table of groups: `struct br_port_msg` and an attribute with a `struct br_mdb_entry`, linux/if_bridge.h.
fn group_entry(bridge: u32, group: Ipv6Addr) -> Vec<u8> {
    const ENTRY: u16 = 28;
    let mut bytes = vec![AF_BRIDGE, 0, 0, 0];
    bytes.extend(bridge.to_ne_bytes());
    bytes.extend((4 + ENTRY).to_ne_bytes());
    bytes.extend(MDBA_SET_ENTRY.to_ne_bytes());
    bytes.extend(bridge.to_ne_bytes());
    // State `MDB_TEMPORARY`, no flags, no VLAN.
    bytes.extend([0; 4]);
    bytes.extend(group.octets());
    bytes.extend(ETHERTYPE_IPV6);
    bytes.extend([0; 2]);
    bytes
}

const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const ICMPV6: u8 = 58;
/// Hop-by-hop options: a router alert, RFC 2711, and padding; ICMPv6 comes next.
const ROUTER_ALERT: [u8; 8] = [ICMPV6, 0, 5, 2, 0, 0, 1, 0];
/// Milliseconds within which listeners answer.
const ANSWER_WITHIN: u16 = 1000;

/// The frame of a general query of the first version of MLD, RFC 2710 section 3.
fn general_query(from: Mac) -> Vec<u8> {
    let source = ipam::link_local(from);
    let mut query = vec![130, 0, 0, 0];
    query.extend(ANSWER_WITHIN.to_be_bytes());
    query.extend([0; 2]);
    query.extend(Ipv6Addr::UNSPECIFIED.octets());
    let sum = checksum(source, ALL_NODES, &query);
    query[2..4].copy_from_slice(&sum.to_be_bytes());

    // The Ethernet address of the group, RFC 2464 section 7.
    let mut frame = vec![0x33, 0x33, 0, 0, 0, 1];
    frame.extend(from.0);
    frame.extend(ETHERTYPE_IPV6);
    // Version 6; payload's length; hop-by-hop options next; one hop.
    let [_, _, high, low] = u32::try_from(ROUTER_ALERT.len() + query.len())
        .unwrap_or_default()
        .to_be_bytes();
    frame.extend([0x60, 0, 0, 0, high, low, 0, 1]);
    frame.extend(source.octets());
    frame.extend(ALL_NODES.octets());
    frame.extend(ROUTER_ALERT);
    frame.extend(query);
    frame
}

/// Of an ICMPv6 message, with the pseudo header of RFC 8200 section 8.1.
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let words = source.segments().into_iter().chain(destination.segments());
    let message_words = message.chunks(2).map(|pair| match *pair {
        [high, low] => u16::from_be_bytes([high, low]),
        [high] => u16::from_be_bytes([high, 0]),
        _ => 0,
    });
    let length = u16::try_from(message.len()).unwrap_or_default();
    let mut sum: u32 = words
        .chain(message_words)
        .chain([length, ICMPV6.into()])
        .map(u32::from)
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd as _, OwnedFd};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::links::{Links as _, RtnetlinkLinks};
    use crate::view::NetnsView;
    use crate::{NicSpec, testing};

    async fn bridge() -> LinkView {
        let links = RtnetlinkLinks.list().await.unwrap();
        links.into_iter().find(|link| link.name == "br0").unwrap()
    }

    async fn plug(name: &str) -> OwnedFd {
        let netns = testing::netns().unwrap();
        let nic = NicSpec {
            host_name: name.to_owned(),
            container_name: "eth0".to_owned(),
            hwaddr: Mac::from_seed(name.bytes().map(u64::from).sum()),
            bridge: Some("br0".to_owned()),
            up: true,
            mtu: None,
            isolated: false,
            vlans: crate::PortVlans::default(),
        };
        let attached = RtnetlinkLinks.attach_nic(&nic, netns.as_fd()).await;
        attached.unwrap();
        netns
    }

    fn heard(netns: &OwnedFd) -> u64 {
        let view = NetnsView::open(netns.as_fd()).unwrap();
        let interfaces = view.interfaces().unwrap();
        let eth0 = interfaces.iter().find(|found| found.name == "eth0");
        eth0.unwrap().counters.packets_received
    }

    #[test]
    fn a_nic_that_starts_is_not_heard_by_the_others() {
        testing::in_fresh_netns(|| async {
            let spec = BridgeSpec {
                name: "br0".to_owned(),
                ipv6: Some("fd42::1/64".parse().unwrap()),
                ..BridgeSpec::default()
            };
            RtnetlinkLinks.ensure_bridge(&spec).await.unwrap();
            assert_eq!(bridge().await.multicast, Multicast::Unasked);
            let first = plug("veth-1").await;
            // The kernel tells a carrier some time after it is there.
            let end = Instant::now() + Duration::from_secs(10);
            let mut others = Vec::new();
            while bridge().await.multicast != Multicast::Asked {
                assert!(Instant::now() < end, "nobody was asked");
                others.push(plug(&format!("veth-{}", others.len() + 2)).await);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            // What they say when they start, and the answers.
            tokio::time::sleep(Duration::from_millis(u64::from(ANSWER_WITHIN) * 3)).await;
            let before = heard(&first);
            others.push(plug("veth-last").await);
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert_eq!(heard(&first), before);
        });
    }

    #[test]
    fn a_query_has_a_checksum_that_is_right() {
        let frame = general_query("00:16:3e:01:02:03".parse().unwrap());
        assert_eq!(frame.len(), 14 + 40 + 8 + 24);
        let query = &frame[14 + 40 + 8..];
        let source = ipam::link_local("00:16:3e:01:02:03".parse().unwrap());
        // Over a message with its checksum the sum is all ones.
        assert_eq!(checksum(source, ALL_NODES, query), 0);
        assert_ne!(query[2..4], [0, 0]);
    }
}
