//! What a network namespace looks like: interfaces with their addresses, routes, the way out. Read only, two or three dumps.

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage, State};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};

use crate::links::{LINK_GROUP, LinkView};
use crate::netlink::RouteSocket;
use crate::{Error, Mac};

/// `RT_TABLE_LOCAL`, which the kernel fills by itself; see rtnetlink(7).
const LOCAL_TABLE: u8 = 255;

/// How far an address reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere.
    Global,
    /// This link only.
    Link,
    /// This host only.
    Local,
}

impl Scope {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Link => "link",
            Self::Local => "local",
        }
    }
}

/// One address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address.
    pub address: IpAddr,
    /// Length of the prefix, in bits.
    pub prefix: u8,
    /// How far it reaches.
    pub scope: Scope,
    /// Duplicate address detection is still under way, or found a duplicate: not usable.
    pub tentative: bool,
}

impl InterfaceAddress {
    /// `inet` or `inet6`, as the API writes it.
    pub fn family(&self) -> &'static str {
        if self.address.is_ipv4() {
            "inet"
        } else {
            "inet6"
        }
    }
}

/// Traffic since the interface was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "named as the API names them")]
pub struct InterfaceCounters {
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub packets_received: u64,
    pub packets_sent: u64,
    pub errors_received: u64,
    pub errors_sent: u64,
    pub packets_dropped_inbound: u64,
    pub packets_dropped_outbound: u64,
}

/// One interface of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are flags of the kernel"
)]
pub struct InterfaceState {
    /// Index in its namespace.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Ethernet address.
    pub hwaddr: Option<Mac>,
    /// Index of the other end, which for a NIC of an instance is the host's end in the host's namespace.
    pub peer_index: Option<u32>,
    /// In bytes.
    pub mtu: u32,
    /// Switched on.
    pub up: bool,
    /// There is a carrier.
    pub running: bool,
    /// It is a loopback.
    pub loopback: bool,
    /// It is a tunnel or the like.
    pub point_to_point: bool,
    /// Addresses, in the kernel's order.
    pub addresses: Vec<InterfaceAddress>,
    /// Traffic.
    pub counters: InterfaceCounters,
}

/// The interface that leads out of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uplink {
    /// Its name.
    pub name: String,
    /// In bytes; bridges should not have more.
    pub mtu: u32,
}

/// What is taken on the host, and the way out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostNetwork {
    /// Subnets of addresses and routes (default routes excluded): not free for a new network.
    pub ipv4: Vec<Ipv4Net>,
    /// The same for IPv6, without link-local ones.
    pub ipv6: Vec<Ipv6Net>,
    /// Where the best IPv4 default route leads.
    pub uplink_ipv4: Option<Uplink>,
    /// The same for IPv6.
    pub uplink_ipv6: Option<Uplink>,
}

/// A view into a network namespace, by a socket that was born there: one file descriptor, no thread, no process.
///
/// The socket keeps the namespace alive: drop the view when the instance has stopped, or its NICs stay.
#[derive(Debug)]
pub struct NetnsView {
    socket: RouteSocket,
}

impl NetnsView {
    /// Opens a view into the namespace behind `netns`, which may be closed afterwards.
    pub fn open(netns: BorrowedFd<'_>) -> Result<Self, Error> {
        let socket = rlxc_sys::netns::in_netns(netns, RouteSocket::open)?.map_err(Error::Socket)?;
        Ok(Self { socket })
    }

    /// All interfaces, loopback included. Takes some tens of microseconds and never waits: may be called anywhere.
    pub fn interfaces(&self) -> Result<Vec<InterfaceState>, Error> {
        interfaces(&self.socket)
    }
}

/// The interfaces of the namespace that the calling thread is in.
pub fn host_interfaces() -> Result<Vec<InterfaceState>, Error> {
    interfaces(&RouteSocket::open().map_err(Error::Socket)?)
}

/// Taken subnets and uplinks of the namespace that the calling thread is in.
pub fn host_network() -> Result<HostNetwork, Error> {
    let socket = RouteSocket::open().map_err(Error::Socket)?;
    let links: HashMap<u32, LinkView> = links(&socket)?
        .into_iter()
        .map(|link| (link.index, link))
        .collect();
    let mut host = HostNetwork::default();
    let nets = addresses(&socket)?
        .into_iter()
        .filter(|(_, address)| address.scope == Scope::Global)
        .filter_map(|(_, address)| IpNet::new(address.address, address.prefix).ok());
    nets.for_each(|net| host.take(net));
    let (mut best_ipv4, mut best_ipv6) = (u32::MAX, u32::MAX);
    for message in socket
        .dump(RouteNetlinkMessage::GetRoute(RouteMessage::default()))
        .map_err(Error::Socket)?
    {
        let RouteNetlinkMessage::NewRoute(message) = message else {
            continue;
        };
        let Some(route) = Route::read(&message) else {
            continue;
        };
        if route.destination.prefix_len() > 0 {
            host.take(route.destination);
            continue;
        }
        let uplink = route.out.and_then(|index| links.get(&index));
        let (best, slot) = match route.destination {
            IpNet::V4(_) => (&mut best_ipv4, &mut host.uplink_ipv4),
            IpNet::V6(_) => (&mut best_ipv6, &mut host.uplink_ipv6),
        };
        // The lowest metric wins, as in the kernel.
        if let Some(link) = uplink.filter(|_| slot.is_none() || route.metric < *best) {
            *best = route.metric;
            *slot = Some(Uplink {
                name: link.name.clone(),
                mtu: link.mtu,
            });
        }
    }
    Ok(host)
}

impl HostNetwork {
    fn take(&mut self, net: IpNet) {
        match net {
            IpNet::V4(net) if !self.ipv4.contains(&net.trunc()) => self.ipv4.push(net.trunc()),
            IpNet::V6(net)
                if !net.addr().is_unicast_link_local() && !self.ipv6.contains(&net.trunc()) =>
            {
                self.ipv6.push(net.trunc());
            }
            _ => {}
        }
    }
}

struct Route {
    destination: IpNet,
    out: Option<u32>,
    metric: u32,
}

impl Route {
    /// `None` for routes that lead nowhere, or that the kernel made for addresses, broadcast and multicast.
    fn read(message: &RouteMessage) -> Option<Self> {
        if message.header.kind != RouteType::Unicast || message.header.table == LOCAL_TABLE {
            return None;
        }
        let (mut destination, mut out, mut metric) = (None, None, 0);
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(RouteAddress::Inet(address)) => {
                    destination = Some(IpAddr::V4(*address))
                }
                RouteAttribute::Destination(RouteAddress::Inet6(address)) => {
                    destination = Some(IpAddr::V6(*address))
                }
                RouteAttribute::Oif(index) => out = Some(*index),
                RouteAttribute::Priority(priority) => metric = *priority,
                RouteAttribute::MultiPath(hops) => {
                    out = out.or(hops.first().map(|hop| hop.interface_index))
                }
                _ => {}
            }
        }
        let unspecified: IpAddr = match message.header.address_family {
            netlink_packet_route::AddressFamily::Inet => std::net::Ipv4Addr::UNSPECIFIED.into(),
            netlink_packet_route::AddressFamily::Inet6 => std::net::Ipv6Addr::UNSPECIFIED.into(),
            _ => return None,
        };
        let length = message.header.destination_prefix_length;
        let destination = IpNet::new(destination.unwrap_or(unspecified), length).ok()?;
        Some(Self {
            destination,
            out,
            metric,
        })
    }
}

fn interfaces(socket: &RouteSocket) -> Result<Vec<InterfaceState>, Error> {
    let mut all: Vec<InterfaceState> = dump_links(socket)?.iter().map(interface).collect();
    for (index, address) in addresses(socket)? {
        if let Some(interface) = all.iter_mut().find(|interface| interface.index == index) {
            interface.addresses.push(address);
        }
    }
    Ok(all)
}

fn dump_links(socket: &RouteSocket) -> Result<Vec<LinkMessage>, Error> {
    let answers = socket
        .dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))
        .map_err(Error::Socket)?;
    Ok(answers
        .into_iter()
        .filter_map(|answer| {
            if let RouteNetlinkMessage::NewLink(message) = answer {
                Some(message)
            } else {
                None
            }
        })
        .collect())
}

/// All links of the socket's namespace.
pub(crate) fn links(socket: &RouteSocket) -> Result<Vec<LinkView>, Error> {
    Ok(dump_links(socket)?.iter().map(link).collect())
}

/// All addresses of the socket's namespace, each with the index of its interface.
pub(crate) fn addresses(socket: &RouteSocket) -> Result<Vec<(u32, InterfaceAddress)>, Error> {
    let answers = socket
        .dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()))
        .map_err(Error::Socket)?;
    Ok(answers
        .iter()
        .filter_map(|answer| {
            if let RouteNetlinkMessage::NewAddress(message) = answer {
                address(message)
            } else {
                None
            }
        })
        .collect())
}

fn address(message: &AddressMessage) -> Option<(u32, InterfaceAddress)> {
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
        master: None,
        ours: false,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => view.name.clone_from(name),
            LinkAttribute::Address(bytes) => {
                view.hwaddr = bytes.as_slice().try_into().ok().map(Mac)
            }
            LinkAttribute::Mtu(mtu) => view.mtu = *mtu,
            LinkAttribute::Controller(index) => view.master = Some(*index),
            LinkAttribute::Group(group) => view.ours = *group == LINK_GROUP,
            LinkAttribute::LinkInfo(infos) => view.kind = infos.iter().find_map(kind),
            _ => {}
        }
    }
    view
}

fn kind(info: &LinkInfo) -> Option<String> {
    if let LinkInfo::Kind(kind) = info {
        Some(kind.to_string())
    } else {
        None
    }
}

fn interface(message: &LinkMessage) -> InterfaceState {
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
                state.running &= !matches!(oper, State::Down | State::LowerLayerDown)
            }
            LinkAttribute::Stats64(stats) => {
                state.counters = InterfaceCounters {
                    bytes_received: stats.rx_bytes,
                    bytes_sent: stats.tx_bytes,
                    packets_received: stats.rx_packets,
                    packets_sent: stats.tx_packets,
                    errors_received: stats.rx_errors,
                    errors_sent: stats.tx_errors,
                    packets_dropped_inbound: stats.rx_dropped,
                    packets_dropped_outbound: stats.tx_dropped,
                }
            }
            _ => {}
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_has_a_loopback() {
        let interfaces = host_interfaces().unwrap();
        assert!(
            interfaces
                .iter()
                .any(|interface| interface.loopback && interface.name == "lo")
        );
        host_network().unwrap();
    }

    #[test]
    fn a_fresh_namespace_has_nothing_but_its_loopback() {
        let Some(netns) = crate::testing::netns() else {
            return;
        };
        use std::os::fd::AsFd;
        let view = NetnsView::open(netns.as_fd()).unwrap();
        drop(netns);
        let interfaces = view.interfaces().unwrap();
        assert!(
            interfaces
                .iter()
                .all(|interface| interface.addresses.is_empty())
        );
        let [lo, ..] = &interfaces[..] else {
            panic!("no loopback")
        };
        assert!(lo.loopback && !lo.up);
    }
}
