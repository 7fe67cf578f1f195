//! Links of the kernel, through rtnetlink.
//!
//! Each call opens a socket of its own (microseconds) on a blocking thread, because the kernel works inside `sendmsg`.

use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use async_trait::async_trait;
use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use rustix::io::Errno;

use super::{LinkView, Links, check_name, listeners, loan, macvlan, request, routed, vlan};
use crate::error::blocking;
use crate::netlink::RouteSocket;
use crate::spec::ETHERNET_MTU;
use crate::view::{self, HostNetwork};
use crate::{
    BridgeSpec, Error, Lent, LoanSpec, Mac, MacvlanSpec, NicSpec, RoutedSpec, ipam, sysctl,
};

/// The links of the network namespace that the calling thread is in.
#[derive(Debug, Clone, Copy, Default)]
pub struct RtnetlinkLinks;

#[async_trait]
impl Links for RtnetlinkLinks {
    async fn ensure_bridge(&self, spec: &BridgeSpec) -> Result<(), Error> {
        sysctl::setup_sysctls(spec).await?;
        let spec = spec.clone();
        blocking(move || ensure_bridge(&spec)).await
    }

    async fn delete_bridge(&self, name: &str) -> Result<(), Error> {
        let name = name.to_owned();
        blocking(move || delete_ours("delete bridge", &name)).await
    }

    async fn attach_nic(&self, nic: &NicSpec, netns: BorrowedFd<'_>) -> Result<(), Error> {
        let (nic, netns) = (nic.clone(), owned(netns)?);
        let bridge = blocking(move || attach_nic(&nic, netns.as_fd())).await?;
        // Nobody waits for that: a socket for frames takes as long to close as a start does.
        if let Some(bridge) = bridge.filter(listeners::should_ask) {
            tokio::task::spawn_blocking(move || listeners::ask(&bridge));
        }
        Ok(())
    }

    async fn rejoin(&self, nic: &NicSpec) -> Result<(), Error> {
        let nic = nic.clone();
        blocking(move || rejoin(&nic)).await
    }

    async fn detach_nic(&self, host_name: &str) -> Result<(), Error> {
        let name = host_name.to_owned();
        blocking(move || delete_ours("delete NIC", &name)).await
    }

    async fn route_nic(&self, spec: &RoutedSpec, netns: BorrowedFd<'_>) -> Result<(), Error> {
        let (spec, netns) = (spec.clone(), owned(netns)?);
        blocking(move || routed::route_nic(&spec, netns.as_fd())).await
    }

    async fn attach_macvlan(
        &self,
        spec: &MacvlanSpec,
        netns: BorrowedFd<'_>,
    ) -> Result<u32, Error> {
        let (spec, netns) = (spec.clone(), owned(netns)?);
        blocking(move || macvlan::attach(&spec, netns.as_fd())).await
    }

    async fn detach_inside(
        &self,
        (name, index): (&str, Option<u32>),
        netns: BorrowedFd<'_>,
    ) -> Result<(), Error> {
        let (name, netns) = (name.to_owned(), owned(netns)?);
        blocking(move || macvlan::detach_inside(&name, index, netns.as_fd())).await
    }

    async fn lend(&self, spec: &LoanSpec, pin: &Path, netns: BorrowedFd<'_>) -> Result<u32, Error> {
        let (spec, pin, netns) = (spec.clone(), pin.to_owned(), owned(netns)?);
        blocking(move || loan::lend(&spec, &pin, netns.as_fd())).await
    }

    async fn take_back(&self, lent: &Lent, pin: &Path) -> Result<(), Error> {
        let (lent, pin) = (lent.clone(), pin.to_owned());
        blocking(move || loan::take_back(&lent, &pin)).await
    }

    async fn unpin(&self, pin: &Path) -> Result<(), Error> {
        let pin = pin.to_owned();
        blocking(move || loan::unpin(&pin)).await
    }

    async fn ensure_vlan(&self, parent: &str, id: u16) -> Result<(), Error> {
        let parent = parent.to_owned();
        blocking(move || vlan::ensure(&parent, id)).await
    }

    async fn add_routes(&self, link: &str, nets: &[IpNet]) -> Result<(), Error> {
        let (link, nets) = (link.to_owned(), nets.to_vec());
        blocking(move || routed::add_routes(&link, &nets)).await
    }

    async fn remove_routes(&self, link: &str, nets: &[IpNet]) -> Result<(), Error> {
        let (link, nets) = (link.to_owned(), nets.to_vec());
        blocking(move || routed::remove_routes(&link, &nets)).await
    }

    async fn answer_for(&self, parent: &str, addresses: &[IpAddr]) -> Result<(), Error> {
        let (parent, addresses) = (parent.to_owned(), addresses.to_vec());
        blocking(move || routed::answer_for(&parent, &addresses)).await
    }

    async fn stop_answering(&self, parent: &str, addresses: &[IpAddr]) -> Result<(), Error> {
        let (parent, addresses) = (parent.to_owned(), addresses.to_vec());
        blocking(move || routed::stop_answering(&parent, &addresses)).await
    }

    async fn list(&self) -> Result<Vec<LinkView>, Error> {
        blocking(|| view::links(&open()?)).await
    }

    async fn host(&self) -> Result<HostNetwork, Error> {
        blocking(view::host_network).await
    }
}

fn owned(netns: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    netns.try_clone_to_owned().map_err(Error::Socket)
}

/// A socket that speaks of the namespace behind `netns`.
pub(super) fn open_in(netns: BorrowedFd<'_>) -> Result<RouteSocket, Error> {
    rlxc_sys::netns::in_netns(netns, RouteSocket::open)?.map_err(Error::Socket)
}

/// A link that has to be there.
pub(super) fn need(socket: &RouteSocket, name: &str) -> Result<LinkView, Error> {
    find(socket, name)?.ok_or_else(|| Error::NoLink(name.to_owned()))
}

fn need_bridge(socket: &RouteSocket, name: &str) -> Result<LinkView, Error> {
    let link = need(socket, name)?;
    if link.kind.as_deref() == Some("bridge") {
        return Ok(link);
    }
    Err(Error::NotABridge(name.to_owned()))
}

pub(super) fn open() -> Result<RouteSocket, Error> {
    RouteSocket::open().map_err(Error::Socket)
}

pub(super) fn refused(doing: &'static str, link: &str) -> impl Fn(io::Error) -> Error {
    let link = link.to_owned();
    move |source| Error::Link {
        doing,
        link: link.clone(),
        source,
    }
}

pub(super) fn find(socket: &RouteSocket, name: &str) -> Result<Option<LinkView>, Error> {
    match socket.get(request::get_link(name)) {
        Ok(Some(RouteNetlinkMessage::NewLink(message))) => Ok(Some(view::link(&message))),
        Ok(_) => Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::NODEV.raw_os_error()) => Ok(None),
        Err(error) => Err(refused("find interface", name)(error)),
    }
}

fn ensure_bridge(spec: &BridgeSpec) -> Result<(), Error> {
    check_name(&spec.name)?;
    let socket = open()?;
    let existing = find(&socket, &spec.name)?;
    if existing
        .as_ref()
        .is_some_and(|link| !link.ours || link.kind.as_deref() != Some("bridge"))
    {
        return Err(Error::NotOurs(spec.name.clone()));
    }
    let is_new = existing.is_none();
    let bridge = match existing {
        Some(link) => link,
        None => create_bridge(&socket, spec)?,
    };
    let configured = configure_bridge(&socket, spec, &bridge);
    if configured.is_err() && is_new {
        delete_half_made("delete bridge", &spec.name);
    }
    configured
}

fn create_bridge(socket: &RouteSocket, spec: &BridgeSpec) -> Result<LinkView, Error> {
    let hwaddr = spec.mac().unwrap_or_else(random_mac);
    socket
        .change(
            request::new_bridge(&spec.name, hwaddr),
            NLM_F_CREATE | NLM_F_EXCL,
        )
        .map_err(refused("create bridge", &spec.name))?;
    find(socket, &spec.name)?.ok_or_else(|| Error::NoLink(spec.name.clone()))
}

/// The standard library seeds each of these hashers from the kernel's random numbers.
fn random_mac() -> Mac {
    Mac::from_seed(std::hash::RandomState::new().build_hasher().finish())
}

fn configure_bridge(
    socket: &RouteSocket,
    spec: &BridgeSpec,
    bridge: &LinkView,
) -> Result<(), Error> {
    let mtu = Some(spec.mtu.unwrap_or(ETHERNET_MTU)).filter(|mtu| *mtu != bridge.mtu);
    let hwaddr = spec.hwaddr.filter(|hwaddr| Some(*hwaddr) != bridge.mac());
    if mtu.is_some() || hwaddr.is_some() || !bridge.up {
        socket
            .change(request::set_link(bridge.index, mtu, hwaddr), 0)
            .map_err(refused("configure bridge", &spec.name))?;
    }
    listeners::remember(socket, spec, bridge.index)?;
    sysctl::prepare_bridge(spec)?;
    apply_addresses(socket, spec, bridge.index, hwaddr.or(bridge.mac()))?;
    for route in &spec.routes {
        add_route(socket, &spec.name, bridge.index, *route)?;
    }
    apply_external(socket, spec, bridge.index)
}

/// A subnet that is reached over a bridge.
pub(super) fn add_route(
    socket: &RouteSocket,
    bridge: &str,
    index: u32,
    net: IpNet,
) -> Result<(), Error> {
    let message = RouteNetlinkMessage::NewRoute(request::route(index, net));
    let added = socket.change(message, NLM_F_CREATE | NLM_F_EXCL);
    ignore(added, Errno::EXIST).map_err(refused("add a route to", bridge))
}

/// Plugs the host's interfaces that are wanted into the bridge, and takes out those that are wanted no more. One that is not
/// there, or not yet, keeps nobody from using the rest.
fn apply_external(socket: &RouteSocket, spec: &BridgeSpec, bridge: u32) -> Result<(), Error> {
    let links = view::links(socket)?;
    for name in &spec.external_interfaces {
        let Some(link) = links.iter().find(|link| link.name == *name) else {
            tracing::warn!(
                bridge = spec.name,
                interface = name,
                "there is no interface to plug in"
            );
            continue;
        };
        match link.master {
            Some(master) if master == bridge => continue,
            Some(_) => return Err(Error::InUse(name.clone())),
            None => {}
        }
        let is_its = |(owner, address): &(u32, view::InterfaceAddress)| {
            *owner == link.index && address.scope == view::Scope::Global
        };
        if view::addresses(socket)?.iter().any(is_its) {
            return Err(Error::HasAddresses(name.clone()));
        }
        socket
            .change(request::set_master(link.index, Some(bridge)), 0)
            .map_err(refused("plug in", name))?;
    }
    let strangers = links.iter().filter(|link| {
        link.master == Some(bridge) && !link.ours && !spec.external_interfaces.contains(&link.name)
    });
    for link in strangers {
        socket
            .change(request::set_master(link.index, None), 0)
            .map_err(refused("take out", &link.name))?;
    }
    Ok(())
}

/// Adds what is missing, then takes away what is too much, so that an address that stays is never gone.
fn apply_addresses(
    socket: &RouteSocket,
    spec: &BridgeSpec,
    index: u32,
    hwaddr: Option<Mac>,
) -> Result<(), Error> {
    let mut wanted: Vec<(IpAddr, u8)> = Vec::new();
    wanted.extend(spec.ipv4.map(|net| (net.addr().into(), net.prefix_len())));
    if let Some(net) = spec.ipv6 {
        wanted.push((net.addr().into(), net.prefix_len()));
        // A bridge without ports has no carrier and gets no link-local address, which router advertisements need.
        wanted.extend(hwaddr.map(|mac| (ipam::link_local(mac).into(), 64)));
    }
    let present = view::addresses(socket)?;
    let present: Vec<_> = present
        .iter()
        .filter(|(owner, _)| *owner == index)
        .map(|(_, address)| address)
        .collect();
    for (address, prefix) in &wanted {
        if present
            .iter()
            .any(|there| there.address == *address && there.prefix == *prefix)
        {
            continue;
        }
        let message: AddressMessage = request::address(index, *address, *prefix);
        let added = socket.change(
            RouteNetlinkMessage::NewAddress(message),
            NLM_F_CREATE | NLM_F_EXCL,
        );
        ignore(added, Errno::EXIST).map_err(refused("add an address to", &spec.name))?;
    }
    for there in present
        .iter()
        .filter(|there| there.scope == view::Scope::Global)
    {
        if !wanted.contains(&(there.address, there.prefix)) {
            let message = request::address(index, there.address, there.prefix);
            let removed = socket.change(RouteNetlinkMessage::DelAddress(message), 0);
            ignore(removed, Errno::ADDRNOTAVAIL)
                .map_err(refused("remove an address from", &spec.name))?;
        }
    }
    Ok(())
}

/// Returns the bridge, as it was before.
fn attach_nic(nic: &NicSpec, netns: BorrowedFd<'_>) -> Result<Option<LinkView>, Error> {
    check_name(&nic.host_name)?;
    check_name(&nic.container_name)?;
    let socket = open()?;
    let bridge = nic.bridge.as_deref().map(|name| need_bridge(&socket, name));
    let bridge = bridge.transpose()?;
    let mtu = nic.mtu.or(bridge.as_ref().map(|bridge| bridge.mtu));
    let message = request::new_nic(nic, bridge.as_ref().map(|bridge| bridge.index), mtu, netns);
    socket
        .change(message, NLM_F_CREATE | NLM_F_EXCL)
        .map_err(refused("create NIC", &nic.host_name))?;
    let multicast = bridge.as_ref().map(|bridge| bridge.multicast);
    let multicast = multicast.unwrap_or_default();
    let prepared = isolate(&socket, nic)
        .and_then(|()| join_vlans(&socket, nic, bridge.as_ref()))
        .and_then(|()| sysctl::prepare_nic(nic, multicast, netns));
    if prepared.is_err() {
        delete_half_made("delete NIC", &nic.host_name);
    }
    prepared.map(|()| bridge)
}

/// What a port has at its bridge is lost with the bridge: all of it is given anew.
fn rejoin(nic: &NicSpec) -> Result<(), Error> {
    let socket = open()?;
    let Some(name) = nic.bridge.as_deref() else {
        return Ok(());
    };
    let bridge = need_bridge(&socket, name)?;
    let link = need(&socket, &nic.host_name)?;
    if !link.ours {
        return Err(Error::NotOurs(nic.host_name.clone()));
    }
    socket
        .change(request::set_master(link.index, Some(bridge.index)), 0)
        .map_err(refused("plug in", &nic.host_name))?;
    isolate(&socket, nic)?;
    join_vlans(&socket, nic, Some(&bridge))
}

fn join_vlans(socket: &RouteSocket, nic: &NicSpec, bridge: Option<&LinkView>) -> Result<(), Error> {
    match bridge {
        Some(bridge) if !nic.vlans.is_default() => {
            vlan::join(socket, &nic.host_name, bridge, &nic.vlans)
        }
        _ => Ok(()),
    }
}

fn isolate(socket: &RouteSocket, nic: &NicSpec) -> Result<(), Error> {
    if !nic.isolated {
        return Ok(());
    }
    let link = need(socket, &nic.host_name)?;
    socket
        .change(request::isolate(link.index, true), 0)
        .map_err(refused("isolate NIC", &nic.host_name))
}

/// Nothing half made stays; the error that is returned to the caller is the one that came first.
pub(super) fn delete_half_made(doing: &'static str, name: &str) {
    if let Err(error) = delete_ours(doing, name) {
        tracing::warn!(link = name, error = %rlxc_sys::chain::chain(&error), "a half made link stays behind");
    }
}

fn delete_ours(doing: &'static str, name: &str) -> Result<(), Error> {
    let socket = open()?;
    let Some(link) = find(&socket, name)? else {
        return Ok(());
    };
    if !link.ours {
        return Err(Error::NotOurs(name.to_owned()));
    }
    ignore(
        socket.change(request::delete_link(link.index), 0),
        Errno::NODEV,
    )
    .map_err(refused(doing, name))
}

/// Takes one refusal as success: what was asked for is so already.
pub(super) fn ignore(result: io::Result<()>, errno: Errno) -> io::Result<()> {
    result.or_else(|error| {
        if error.raw_os_error() == Some(errno.raw_os_error()) {
            Ok(())
        } else {
            Err(error)
        }
    })
}
