//! Routes and addresses: of veth pairs that stand alone, and of instances that the host answers for.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{RouteAttribute, RouteMessage};
use rustix::io::Errno;

use super::request;
use super::rtnetlink::{find, ignore, need, open, open_in, refused};
use crate::netlink::RouteSocket;
use crate::{Error, RoutedSpec, sysctl};

/// Addresses and routes of both ends; see [`super::Links::route_nic`].
pub(super) fn route_nic(spec: &RoutedSpec, netns: BorrowedFd<'_>) -> Result<(), Error> {
    let has = |ipv4| spec.addresses.iter().any(|own| own.is_ipv4() == ipv4);
    sysctl::forward(has(true), has(false))?;
    let outside = open()?;
    let host = need(&outside, &spec.host_name)?.index;
    for address in &spec.host_addresses {
        add_address(&outside, (host, &spec.host_name), *address)?;
    }
    for address in &spec.addresses {
        add_route(&outside, (host, &spec.host_name), (*address).into(), None)?;
        let [ipv4, ipv6] = spec.tables;
        if let Some(table) = if address.is_ipv4() { ipv4 } else { ipv6 } {
            let place = (host, spec.host_name.as_str());
            add_route(&outside, place, (*address).into(), Some(table))?;
        }
    }
    let inside = open_in(netns)?;
    let own = need(&inside, &spec.container_name)?.index;
    let place = (own, spec.container_name.as_str());
    for address in &spec.addresses {
        add_address(&inside, place, *address)?;
    }
    for gateway in &spec.gateways {
        if gateway.is_ipv4() {
            add_route(&inside, place, (*gateway).into(), None)?;
        }
        let message = RouteNetlinkMessage::NewRoute(request::default_route(own, *gateway));
        let added = inside.change(message, NLM_F_CREATE | NLM_F_EXCL);
        ignore(added, Errno::EXIST).map_err(refused("add a default route to", place.1))?;
    }
    Ok(())
}

fn add_address(
    socket: &RouteSocket,
    (index, name): (u32, &str),
    address: IpAddr,
) -> Result<(), Error> {
    let whole = IpNet::from(address).prefix_len();
    let message = RouteNetlinkMessage::NewAddress(request::address(index, address, whole));
    let added = socket.change(message, NLM_F_CREATE | NLM_F_EXCL);
    ignore(added, Errno::EXIST).map_err(refused("add an address to", name))
}

fn add_route(
    socket: &RouteSocket,
    (index, name): (u32, &str),
    net: IpNet,
    table: Option<u32>,
) -> Result<(), Error> {
    let mut message = request::route(index, net);
    if let Some(table) = table {
        // Tables beyond one byte are in the attribute only, see rtnetlink(7).
        message.header.table = 0;
        message.attributes.push(RouteAttribute::Table(table));
    }
    socket
        .change(
            RouteNetlinkMessage::NewRoute(message),
            NLM_F_CREATE | NLM_F_EXCL,
        )
        .map_err(refused("add a route to", name))
}

/// Sends subnets to a link, unless that is so. A route of somebody else's is not replaced.
pub(super) fn add_routes(link: &str, nets: &[IpNet]) -> Result<(), Error> {
    let socket = open()?;
    let index = need(&socket, link)?.index;
    for net in nets {
        match add_route(&socket, (index, link), *net, None) {
            Err(error) if error.is_taken() && is_routed(&socket, index, *net)? => {}
            other => other?,
        }
    }
    Ok(())
}

fn is_routed(socket: &RouteSocket, index: u32, net: IpNet) -> Result<bool, Error> {
    let wanted = request::route(index, net);
    let all = socket.dump(RouteNetlinkMessage::GetRoute(RouteMessage::default()));
    Ok(all.map_err(Error::Socket)?.iter().any(|answer| {
        let RouteNetlinkMessage::NewRoute(route) = answer else {
            return false;
        };
        let has = |attribute| route.attributes.contains(attribute);
        route.header.destination_prefix_length == net.prefix_len()
            && wanted.attributes.iter().all(has)
    }))
}

/// Takes such routes away.
pub(super) fn remove_routes(link: &str, nets: &[IpNet]) -> Result<(), Error> {
    let socket = open()?;
    let Some(found) = find(&socket, link)? else {
        return Ok(());
    };
    for net in nets {
        let message = RouteNetlinkMessage::DelRoute(request::route(found.index, *net));
        let removed = socket.change(message, 0);
        ignore(removed, Errno::SRCH).map_err(refused("remove a route from", link))?;
    }
    Ok(())
}

/// Answers for addresses on a link.
pub(super) fn answer_for(parent: &str, addresses: &[IpAddr]) -> Result<(), Error> {
    let socket = open()?;
    let index = need(&socket, parent)?.index;
    sysctl::answer_neighbours(parent)?;
    for address in addresses {
        let message = request::proxy_neighbour(index, *address);
        socket
            .change(
                RouteNetlinkMessage::NewNeighbour(message),
                NLM_F_CREATE | NLM_F_REPLACE,
            )
            .map_err(refused("answer for an address on", parent))?;
    }
    Ok(())
}

/// No longer does.
pub(super) fn stop_answering(parent: &str, addresses: &[IpAddr]) -> Result<(), Error> {
    let socket = open()?;
    let Some(found) = find(&socket, parent)? else {
        return Ok(());
    };
    for address in addresses {
        let message = request::proxy_neighbour(found.index, *address);
        let removed = socket.change(RouteNetlinkMessage::DelNeighbour(message), 0);
        ignore(removed, Errno::NOENT).map_err(refused("answer for an address on", parent))?;
    }
    Ok(())
}
