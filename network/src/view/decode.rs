//! From rtnetlink's messages to what we show; pure.

use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{
    InfoData, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, State,
};

use super::model::{InterfaceAddress, InterfaceCounters, InterfaceState, Scope};
use crate::LinkAddress;
use crate::links::{LINK_GROUP, LinkView, Multicast, listeners};

pub(super) fn address(message: &AddressMessage) -> Option<(u32, InterfaceAddress)> {
    let (mut own, mut peer) = (None, None);
    let mut flags = AddressFlags::from_bits_retain(message.header.flags.bits().into());
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => own = Some(*address),
            AddressAttribute::Address(address) => peer = Some(*address),
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    let scope = match message.header.scope {
        AddressScope::Host => Scope::Local,
        AddressScope::Link => Scope::Link,
        _ => Scope::Global,
    };
    let tentative = flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed)
        && !flags.contains(AddressFlags::Optimistic);
    // On point-to-point links the address is the peer's; the own one is the local one, see rtnetlink(7).
    let address = InterfaceAddress {
        address: own.or(peer)?,
        prefix: message.header.prefix_len,
        scope,
        tentative,
    };
    Some((message.header.index, address))
}

/// What a message says about a link.
pub(crate) fn link(message: &LinkMessage) -> LinkView {
    let mut view = LinkView {
        index: message.header.index,
        name: String::new(),
        kind: None,
        hwaddr: None,
        mtu: 0,
        up: message.header.flags.contains(LinkFlags::Up),
        carrier: message.header.flags.contains(LinkFlags::LowerUp),
        master: None,
        ours: false,
        multicast: Multicast::Plain,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => view.name.clone_from(name),
            LinkAttribute::Address(bytes) => {
                view.hwaddr = LinkAddress::new(bytes);
            }
            LinkAttribute::Mtu(mtu) => view.mtu = *mtu,
            LinkAttribute::Controller(index) => view.master = Some(*index),
            LinkAttribute::Group(group) => view.ours = *group == LINK_GROUP,
            LinkAttribute::LinkInfo(infos) => {
                view.kind = infos.iter().find_map(kind);
                view.multicast = infos.iter().find_map(multicast).unwrap_or_default();
            }
            _ => {}
        }
    }
    view
}

fn multicast(info: &LinkInfo) -> Option<Multicast> {
    if let LinkInfo::Data(InfoData::Bridge(bridge)) = info {
        Some(listeners::multicast(bridge))
    } else {
        None
    }
}

fn kind(info: &LinkInfo) -> Option<String> {
    if let LinkInfo::Kind(kind) = info {
        Some(kind.to_string())
    } else {
        None
    }
}

pub(super) fn interface(message: &LinkMessage) -> InterfaceState {
    let LinkView {
        index,
        name,
        hwaddr,
        mtu,
        up,
        ..
    } = link(message);
    let flags = message.header.flags;
    let mut state = InterfaceState {
        index,
        name,
        hwaddr,
        peer_index: None,
        mtu,
        up,
        running: flags.contains(LinkFlags::Running),
        loopback: flags.contains(LinkFlags::Loopback),
        point_to_point: flags.contains(LinkFlags::Pointopoint),
        addresses: Vec::new(),
        counters: InterfaceCounters::default(),
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Link(peer) if *peer > 0 => state.peer_index = Some(*peer),
            LinkAttribute::OperState(oper) => {
                state.running &= !matches!(oper, State::Down | State::LowerLayerDown);
            }
            LinkAttribute::Stats64(traffic) => {
                state.counters = InterfaceCounters {
                    bytes_received: traffic.rx_bytes,
                    bytes_sent: traffic.tx_bytes,
                    packets_received: traffic.rx_packets,
                    packets_sent: traffic.tx_packets,
                    errors_received: traffic.rx_errors,
                    errors_sent: traffic.tx_errors,
                    packets_dropped_inbound: traffic.rx_dropped,
                    packets_dropped_outbound: traffic.tx_dropped,
                }
            }
            _ => {}
        }
    }
    state
}
