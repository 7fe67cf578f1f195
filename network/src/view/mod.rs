//! What a network namespace looks like: interfaces with their addresses, routes, the way out. Read only, two or three dumps.

mod decode;
mod model;
mod route;

use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;

use crate::Error;
use crate::links::LinkView;
use crate::netlink::{Changes, RouteSocket};

pub(crate) use decode::link;
pub use model::{HostNetwork, InterfaceAddress, InterfaceCounters, InterfaceState, Scope, Uplink};
pub use route::host_network;

/// A view into a network namespace, by sockets that were born there: two file descriptors, no thread, no process.
///
/// The sockets keep the namespace alive: drop the view when the instance has stopped, or its NICs stay.
#[derive(Debug)]
pub struct NetnsView {
    socket: RouteSocket,
    changes: Changes,
    seen: Mutex<Option<Arc<[InterfaceState]>>>,
}

impl NetnsView {
    /// Opens a view into the namespace behind `netns`, which may be closed afterwards.
    pub fn open(netns: BorrowedFd<'_>) -> Result<Self, Error> {
        let open = || Ok((RouteSocket::open()?, Changes::watch()?));
        let (socket, changes) = rlxc_sys::netns::in_netns(netns, open)?.map_err(Error::Socket)?;
        Ok(Self {
            socket,
            changes,
            seen: Mutex::new(None),
        })
    }

    /// All interfaces, loopback included. Takes some tens of microseconds and never waits: may be called anywhere.
    pub fn interfaces(&self) -> Result<Vec<InterfaceState>, Error> {
        interfaces(&self.socket)
    }

    /// The same but for counters, which are of some time before: the kernel is asked only where something has changed.
    pub fn interfaces_without_counters(&self) -> Result<Arc<[InterfaceState]>, Error> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = self.changes.any();
        if let Some(known) = seen.as_ref().filter(|_| !changed) {
            return Ok(Arc::clone(known));
        }
        // Forgotten first: the notices are gone even if the dump fails. What changes meanwhile is told to the next call.
        *seen = None;
        let now: Arc<[InterfaceState]> = interfaces(&self.socket)?.into();
        Ok(Arc::clone(seen.insert(now)))
    }
}

/// The interfaces of the namespace that the calling thread is in.
pub fn host_interfaces() -> Result<Vec<InterfaceState>, Error> {
    interfaces(&RouteSocket::open().map_err(Error::Socket)?)
}

fn interfaces(socket: &RouteSocket) -> Result<Vec<InterfaceState>, Error> {
    let mut all: Vec<InterfaceState> = dump_links(socket)?.iter().map(decode::interface).collect();
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
                decode::address(message)
            } else {
                None
            }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

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
        let first = view.interfaces_without_counters().unwrap();
        assert_eq!(first[..], interfaces[..]);
        assert!(Arc::ptr_eq(
            &first,
            &view.interfaces_without_counters().unwrap()
        ));
    }
}
