//! Routes: which subnets are taken, and where the world is.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};

use super::model::{HostNetwork, Scope, Uplink};
use super::{addresses, links};
use crate::Error;
use crate::links::LinkView;
use crate::netlink::RouteSocket;

/// `RT_TABLE_LOCAL`, which the kernel fills by itself; see rtnetlink(7).
const LOCAL_TABLE: u8 = 255;

/// Taken subnets and uplinks of the namespace that the calling thread is in.
pub fn host_network() -> Result<HostNetwork, Error> {
    let socket = RouteSocket::open().map_err(Error::Socket)?;
    let links: HashMap<u32, LinkView> = links(&socket)?
        .into_iter()
        .map(|link| (link.index, link))
        .collect();
    let mut host = HostNetwork::default();
    let own = addresses(&socket)?.into_iter();
    for (index, address) in own.filter(|(_, address)| address.scope == Scope::Global) {
        let Ok(net) = IpNet::new(address.address, address.prefix) else {
            continue;
        };
        host.take(net);
        let link = links.get(&index).map(|link| (link.name.clone(), net));
        host.attached.extend(link);
    }
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
            if route.gateway.is_none() {
                host.attach(&route, &links);
            }
            continue;
        }
        host.gateways.extend(route.gateway);
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

/// Shorter prefixes stand for the world, as those that tunnels have beside default routes.
const SHORTEST: u8 = 8;

impl HostNetwork {
    /// Notes a subnet that is reached over an interface, unless the interface has an address in it.
    fn attach(&mut self, route: &Route, links: &HashMap<u32, LinkView>) {
        let net = route.destination;
        let link = route.out.and_then(|index| links.get(&index));
        let is_local = matches!(net, IpNet::V6(net) if net.addr().is_unicast_link_local() || net.addr().is_multicast());
        let Some(link) = link.filter(|_| net.prefix_len() >= SHORTEST && !is_local) else {
            return;
        };
        let mut known = self.attached.iter();
        if !known.any(|(name, address)| *name == link.name && address.trunc() == net.trunc()) {
            self.attached.push((link.name.clone(), net));
        }
    }

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

fn as_address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

struct Route {
    destination: IpNet,
    out: Option<u32>,
    gateway: Option<IpAddr>,
    metric: u32,
}

impl Route {
    /// `None` for routes that lead nowhere, or that the kernel made for addresses, broadcast and multicast.
    fn read(message: &RouteMessage) -> Option<Self> {
        if message.header.kind != RouteType::Unicast || message.header.table == LOCAL_TABLE {
            return None;
        }
        let (mut destination, mut out, mut gateway, mut metric) = (None, None, None, 0);
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(RouteAddress::Inet(address)) => {
                    destination = Some(IpAddr::V4(*address));
                }
                RouteAttribute::Destination(RouteAddress::Inet6(address)) => {
                    destination = Some(IpAddr::V6(*address));
                }
                RouteAttribute::Oif(index) => out = Some(*index),
                RouteAttribute::Priority(priority) => metric = *priority,
                RouteAttribute::Gateway(address) => gateway = as_address(address),
                RouteAttribute::MultiPath(hops) => {
                    out = out.or(hops.first().map(|hop| hop.interface_index));
                    let mut of_hop = hops.iter().flat_map(|hop| &hop.attributes);
                    gateway = gateway.or(of_hop.find_map(|attribute| match attribute {
                        RouteAttribute::Gateway(address) => as_address(address),
                        _ => None,
                    }));
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
            gateway,
            metric,
        })
    }
}
