//! The seam to the host's links: managed bridges, and NICs of instances on them.
//!
//! Two implementations pass one conformance suite: [`RtnetlinkLinks`] (the kernel) and [`FakeLinks`] (a map).
//! What we make carries [`LINK_GROUP`], set in the very request that makes it, so that after a crash at any instant our
//! links can be told from others.

mod fake;
pub(crate) mod listeners;
mod loan;
mod macvlan;
mod request;
mod routed;
mod rtnetlink;
mod vlan;

use std::fmt::Debug;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::path::Path;

use async_trait::async_trait;
use ipnet::IpNet;

use crate::view::HostNetwork;
use crate::{
    BridgeSpec, Error, Lent, LinkAddress, LoanSpec, Mac, MacvlanSpec, NicSpec, RoutedSpec,
};

pub use fake::FakeLinks;
pub use rtnetlink::RtnetlinkLinks;

/// The device group (see ip-link(8)) of every link that is ours: the letters `rlxc`.
pub const LINK_GROUP: u32 = u32::from_be_bytes(*b"rlxc");

/// One link of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkView {
    /// Index in the kernel.
    pub index: u32,
    /// Name.
    pub name: String,
    /// `bridge`, `veth`, …; `None` for hardware.
    pub kind: Option<String>,
    /// Hardware address.
    pub hwaddr: Option<LinkAddress>,
    /// In bytes.
    pub mtu: u32,
    /// Switched on.
    pub up: bool,
    /// Somebody is at the other end; on a bridge, at that of a port.
    pub carrier: bool,
    /// Index of the bridge (or bond) that it belongs to.
    pub master: Option<u32>,
    /// Made by us.
    pub ours: bool,
    /// What a bridge does with IPv6 multicast.
    pub multicast: Multicast,
}

/// What a bridge does with IPv6 multicast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Multicast {
    /// What the kernel does, or somebody has told it to; what other links do.
    #[default]
    Plain,
    /// It is to remember who listens to which group, and nobody has asked yet.
    Unasked,
    /// It remembers who listens to which group.
    Asked,
}

impl LinkView {
    /// Its address, where it is one of Ethernet.
    pub fn mac(&self) -> Option<Mac> {
        self.hwaddr.as_ref().and_then(LinkAddress::mac)
    }
}

/// What the daemon does with links of the host.
#[async_trait]
pub trait Links: Send + Sync + Debug {
    /// Makes the bridge exist, up, with exactly these addresses. What was made is taken away again after an error.
    async fn ensure_bridge(&self, spec: &BridgeSpec) -> Result<(), Error>;
    /// Deletes a bridge of ours; fine if it is gone, [`Error::NotOurs`] if it is somebody else's.
    async fn delete_bridge(&self, name: &str) -> Result<(), Error>;
    /// Makes a veth pair: one end up, at its bridge if it has one, the other inside `netns`, named and down.
    async fn attach_nic(&self, nic: &NicSpec, netns: BorrowedFd<'_>) -> Result<(), Error>;
    /// Plugs a NIC's end on the host into its bridge again, which had lost it.
    async fn rejoin(&self, nic: &NicSpec) -> Result<(), Error>;
    /// Deletes a NIC by its host end; fine if it is gone. Takes about 20 ms: the death of its namespace does it for nothing.
    async fn detach_nic(&self, host_name: &str) -> Result<(), Error>;
    /// Gives a veth pair without a bridge its addresses and routes. All of them die with the pair.
    async fn route_nic(&self, spec: &RoutedSpec, netns: BorrowedFd<'_>) -> Result<(), Error>;
    /// Makes a macvlan inside `netns`, up, and returns its index there.
    async fn attach_macvlan(&self, spec: &MacvlanSpec, netns: BorrowedFd<'_>)
    -> Result<u32, Error>;
    /// Deletes a macvlan inside `netns`, by its index or, where that is unknown, its name; fine if it is gone.
    async fn detach_inside(
        &self,
        link: (&str, Option<u32>),
        netns: BorrowedFd<'_>,
    ) -> Result<(), Error>;
    /// Moves an interface of the host into `netns` and returns its index there. `pin` is a file that keeps the namespace,
    /// whoever dies, until [`Links::unpin`].
    async fn lend(&self, spec: &LoanSpec, pin: &Path, netns: BorrowedFd<'_>) -> Result<u32, Error>;
    /// Moves an interface back, with all that it was; fine if it is back.
    async fn take_back(&self, lent: &Lent, pin: &Path) -> Result<(), Error>;
    /// Lets a namespace go that [`Links::lend`] kept; fine if it is gone.
    async fn unpin(&self, pin: &Path) -> Result<(), Error>;
    /// Makes the interface `PARENT.ID` for one VLAN of a parent; fine if it is there.
    async fn ensure_vlan(&self, parent: &str, id: u16) -> Result<(), Error>;
    /// Sends what goes to these subnets to a link; fine if that is so.
    async fn add_routes(&self, link: &str, nets: &[IpNet]) -> Result<(), Error>;
    /// The undo of that; fine if there are none, or no link.
    async fn remove_routes(&self, link: &str, nets: &[IpNet]) -> Result<(), Error>;
    /// Answers on `parent` whoever asks for the Ethernet address of these.
    async fn answer_for(&self, parent: &str, addresses: &[IpAddr]) -> Result<(), Error>;
    /// The undo of that; fine if nobody answers, or there is no link.
    async fn stop_answering(&self, parent: &str, addresses: &[IpAddr]) -> Result<(), Error>;
    /// All links.
    async fn list(&self) -> Result<Vec<LinkView>, Error>;
    /// Addresses and routes: what is taken, and the way out.
    async fn host(&self) -> Result<HostNetwork, Error>;
}

/// The name of the interface for one VLAN of a parent.
pub fn vlan_name(parent: &str, id: u16) -> String {
    format!("{parent}.{id}")
}

/// The kernel's rules for names, see `dev_valid_name` in net/core/dev.c.
fn check_name(name: &str) -> Result<(), Error> {
    let forbidden = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
    let valid =
        (1..=15).contains(&name.len()) && name != "." && name != ".." && !name.contains(forbidden);
    valid
        .then_some(())
        .ok_or_else(|| Error::InvalidName(name.to_owned()))
}

#[cfg(test)]
mod conformance;
