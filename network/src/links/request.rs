//! The rtnetlink messages that we send; pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use ipnet::IpNet;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{
    BridgeStpState, InfoBridge, InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoPortKind,
    InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::LINK_GROUP;
use crate::{Mac, NicSpec};

/// A link, found by name or index.
pub(super) fn get_link(name: &str) -> RouteNetlinkMessage {
    let mut message = LinkMessage::default();
    message
        .attributes
        .push(LinkAttribute::IfName(name.to_owned()));
    RouteNetlinkMessage::GetLink(message)
}

/// Deletion of a link.
pub(super) fn delete_link(index: u32) -> RouteNetlinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    RouteNetlinkMessage::DelLink(message)
}

/// A bridge that is up and forwards at once: no spanning tree, no delay.
///
/// Its Ethernet address is set explicitly, for otherwise it would follow its ports and change under its neighbours.
pub(super) fn new_bridge(name: &str, hwaddr: Mac) -> RouteNetlinkMessage {
    let data = vec![
        InfoBridge::ForwardDelay(0),
        InfoBridge::StpState(BridgeStpState::Disabled),
    ];
    let mut message = up();
    message.attributes = vec![
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::Address(hwaddr.0.to_vec()),
        LinkAttribute::Group(LINK_GROUP),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Bridge),
            LinkInfo::Data(InfoData::Bridge(data)),
        ]),
    ];
    RouteNetlinkMessage::NewLink(message)
}

/// A change of what is special to a bridge.
pub(super) fn change_bridge(index: u32, data: Vec<InfoBridge>) -> RouteNetlinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes = vec![LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Bridge),
        LinkInfo::Data(InfoData::Bridge(data)),
    ])];
    RouteNetlinkMessage::NewLink(message)
}

/// A change of a link's values; it is switched on in any case.
pub(super) fn set_link(index: u32, mtu: Option<u32>, hwaddr: Option<Mac>) -> RouteNetlinkMessage {
    let mut message = up();
    message.header.index = index;
    message.attributes.extend(mtu.map(LinkAttribute::Mtu));
    message
        .attributes
        .extend(hwaddr.map(|mac| LinkAttribute::Address(mac.0.to_vec())));
    RouteNetlinkMessage::SetLink(message)
}

/// A veth pair, complete in one request: the host's end up and at its bridge, if any, the peer born in `netns`.
///
/// Born there, and not moved: a move costs an RCU grace period and shows the link in the host's namespace for a moment.
pub(super) fn new_nic(
    nic: &NicSpec,
    bridge: Option<u32>,
    mtu: Option<u32>,
    netns: BorrowedFd<'_>,
) -> RouteNetlinkMessage {
    let mut peer = LinkMessage::default();
    peer.attributes = vec![
        LinkAttribute::IfName(nic.container_name.clone()),
        LinkAttribute::Address(nic.hwaddr.0.to_vec()),
        LinkAttribute::NetNsFd(netns.as_raw_fd()),
    ];
    peer.attributes.extend(mtu.map(LinkAttribute::Mtu));
    let veth = InfoData::Veth(InfoVeth::Peer(peer));
    let mut message = up();
    message.attributes = vec![
        LinkAttribute::IfName(nic.host_name.clone()),
        LinkAttribute::Group(LINK_GROUP),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth), LinkInfo::Data(veth)]),
    ];
    message.attributes.extend(mtu.map(LinkAttribute::Mtu));
    message
        .attributes
        .extend(bridge.map(LinkAttribute::Controller));
    RouteNetlinkMessage::NewLink(message)
}

/// A port of a bridge that exchanges nothing with others of its kind, or one that does.
pub(super) fn isolate(index: u32, isolated: bool) -> RouteNetlinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    let data = InfoPortData::BridgePort(vec![InfoBridgePort::Isolated(isolated)]);
    message.attributes = vec![LinkAttribute::LinkInfo(vec![
        LinkInfo::PortKind(InfoPortKind::Bridge),
        LinkInfo::PortData(data),
    ])];
    RouteNetlinkMessage::NewLink(message)
}

/// A link that joins a bridge, or leaves the one that it is in (`None`).
pub(super) fn set_master(index: u32, bridge: Option<u32>) -> RouteNetlinkMessage {
    let mut message = up();
    message.header.index = index;
    message
        .attributes
        .push(LinkAttribute::Controller(bridge.unwrap_or(0)));
    RouteNetlinkMessage::SetLink(message)
}

/// Everything that is reached over a link by a neighbour there.
pub(super) fn default_route(index: u32, gateway: IpAddr) -> RouteMessage {
    let everything = IpNet::new(unspecified(gateway), 0).unwrap_or_else(|_valid| gateway.into());
    let mut message = route(index, everything);
    message.header.scope = RouteScope::Universe;
    message.attributes = vec![
        RouteAttribute::Gateway(gateway.into()),
        RouteAttribute::Oif(index),
    ];
    message
}

fn unspecified(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// An address that the host answers for on a link, as `ip neigh add proxy` makes it.
pub(super) fn proxy_neighbour(index: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.ifindex = index;
    message.header.family = family(address);
    message.header.state = NeighbourState::Permanent;
    message.header.flags = NeighbourFlags::Proxy;
    let address = match address {
        IpAddr::V4(v4) => NeighbourAddress::Inet(v4),
        IpAddr::V6(v6) => NeighbourAddress::Inet6(v6),
    };
    message.attributes = vec![NeighbourAttribute::Destination(address)];
    message
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

/// A subnet that is reached over a link.
pub(super) fn route(index: u32, net: IpNet) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.destination_prefix_length = net.prefix_len();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.scope = RouteScope::Link;
    message.header.kind = RouteType::Unicast;
    message.header.address_family = family(net.addr());
    let destination = match net.network() {
        IpAddr::V4(v4) => RouteAddress::Inet(v4),
        IpAddr::V6(v6) => RouteAddress::Inet6(v6),
    };
    message.attributes = vec![
        RouteAttribute::Destination(destination),
        RouteAttribute::Oif(index),
    ];
    message
}

/// An address of a link. IPv6 ones are usable at once, without duplicate address detection: nobody else is on our bridge yet.
pub(super) fn address(index: u32, address: IpAddr, prefix: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = prefix;
    message.header.family = family(address);
    message.attributes = vec![
        AddressAttribute::Local(address),
        AddressAttribute::Address(address),
    ];
    match address {
        IpAddr::V4(v4) => {
            let host_bits = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            message.attributes.push(AddressAttribute::Broadcast(
                (u32::from(v4) | host_bits).into(),
            ));
        }
        IpAddr::V6(v6) => {
            message
                .attributes
                .push(AddressAttribute::Flags(AddressFlags::Nodad));
            if v6.is_unicast_link_local() {
                message.header.scope = AddressScope::Link;
            }
        }
    }
    message
}

pub(super) fn up() -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message
}
