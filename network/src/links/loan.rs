//! Interfaces of the host that an instance has while it runs.
//!
//! A namespace that dies takes what is virtual in it along, and gives hardware back to the host's first namespace under
//! whatever name it has by then. So it must not die before its loans are back, whoever is killed: a mount of the namespace
//! on a file keeps it, as `ip netns` does it.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rlxc_sys::file::FileError;
use rlxc_sys::mount;

use super::rtnetlink::{find, need, open, open_in, refused};
use super::{LinkView, check_name};
use crate::netlink::RouteSocket;
use crate::{Error, Lent, LinkAddress, LoanSpec, sysctl, view};

/// Moves an interface into an instance; see [`super::Links::lend`].
pub(super) fn lend(spec: &LoanSpec, pin: &Path, netns: BorrowedFd<'_>) -> Result<u32, Error> {
    check_name(&spec.container_name)?;
    let outside = open()?;
    let link = need(&outside, &spec.name)?;
    if link.master.is_some() {
        return Err(Error::InUse(spec.name.clone()));
    }
    keep(netns, pin)?;
    let hwaddr = spec.hwaddr.as_ref();
    let hwaddr = hwaddr.map(|wanted| wanted.over(link.hwaddr.as_ref()));
    let change = moved(link.index, netns, &spec.container_name, hwaddr, spec.mtu);
    outside
        .change(change, 0)
        .map_err(refused("move into the instance interface", &spec.name))?;
    let inside = open_in(netns)?;
    let index = need(&inside, &spec.container_name)?.index;
    if spec.up {
        rlxc_sys::netns::in_netns(netns, || sysctl::switch_on(&spec.container_name))??;
    }
    Ok(index)
}

/// Moves it back; see [`super::Links::take_back`].
pub(super) fn take_back(lent: &Lent, pin: &Path) -> Result<(), Error> {
    if !mount::is_mount_point(pin).unwrap_or(false) {
        return came_by_itself(lent);
    }
    let namespace = File::open(pin).map_err(|source| FileError::new("open", pin, source))?;
    let inside = open_in(namespace.as_fd())?;
    let Some(link) = find_lent(&inside, lent)? else {
        return came_by_itself(lent);
    };
    let home = "/proc/thread-self/ns/net";
    let home = File::open(home).map_err(|source| FileError::new("open", home, source))?;
    // Some interfaces take no address, not even their own.
    let hwaddr = lent.hwaddr.as_ref();
    let hwaddr = hwaddr
        .map(|was| was.over(link.hwaddr.as_ref()))
        .filter(|was| Some(was) != link.hwaddr.as_ref());
    let back = moved(link.index, home.as_fd(), &lent.name, hwaddr, Some(lent.mtu));
    inside
        .change(back, 0)
        .map_err(refused("take back interface", &lent.name))?;
    if lent.up {
        sysctl::switch_on(&lent.name)?;
    }
    Ok(())
}

/// Hardware that the kernel gave back has the name that it had in the instance: it is known by its address.
fn came_by_itself(lent: &Lent) -> Result<(), Error> {
    let outside = open()?;
    if find(&outside, &lent.name)?.is_some() {
        return Ok(());
    }
    let Some(link) = view::links(&outside)?
        .into_iter()
        .find(|link| link.kind.is_none() && link.hwaddr.is_some() && link.hwaddr == lent.hwaddr)
    else {
        tracing::warn!(
            link = lent.name,
            "an interface that was lent is gone with its instance"
        );
        return Ok(());
    };
    let mut message = down(link.index);
    message
        .attributes
        .push(LinkAttribute::IfName(lent.name.clone()));
    outside
        .change(RouteNetlinkMessage::SetLink(message), 0)
        .map_err(refused("rename to", &lent.name))?;
    if lent.up {
        sysctl::switch_on(&lent.name)?;
    }
    Ok(())
}

/// By its index; by its name where the loan was cut short before the index was known.
fn find_lent(inside: &RouteSocket, lent: &Lent) -> Result<Option<LinkView>, Error> {
    let Some(index) = lent.index else {
        return find(inside, &lent.container_name);
    };
    let links = view::links(inside)?;
    Ok(links.into_iter().find(|link| link.index == index))
}

/// Lets a namespace go; fine if it is not kept.
pub(super) fn unpin(pin: &Path) -> Result<(), Error> {
    while mount::is_mount_point(pin).unwrap_or(false) {
        mount::detach(pin).map_err(|source| FileError::new("unmount", pin, source))?;
    }
    match rlxc_sys::file::remove(pin) {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}

fn keep(netns: BorrowedFd<'_>, pin: &Path) -> Result<(), Error> {
    if mount::is_mount_point(pin).unwrap_or(false) {
        return Ok(());
    }
    File::create(pin).map_err(|source| FileError::new("create", pin, source))?;
    let namespace = format!("/proc/self/fd/{}", netns.as_raw_fd());
    rustix::mount::mount_bind(namespace, pin)
        .map_err(|source| FileError::new("mount a namespace on", pin, source))?;
    Ok(())
}

/// Another namespace, name, address and MTU, in one request.
fn moved(
    index: u32,
    netns: BorrowedFd<'_>,
    name: &str,
    hwaddr: Option<LinkAddress>,
    mtu: Option<u32>,
) -> RouteNetlinkMessage {
    let mut message = down(index);
    message.attributes = vec![
        LinkAttribute::NetNsFd(netns.as_raw_fd()),
        LinkAttribute::IfName(name.to_owned()),
    ];
    let address = hwaddr.map(|address| LinkAttribute::Address(address.bytes().to_vec()));
    message.attributes.extend(address);
    message.attributes.extend(mtu.map(LinkAttribute::Mtu));
    RouteNetlinkMessage::SetLink(message)
}

fn down(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.change_mask = LinkFlags::Up;
    message
}
