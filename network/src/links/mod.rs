//! The seam to the host's links: managed bridges, and NICs of instances on them.
//!
//! Two implementations pass one conformance suite: [`RtnetlinkLinks`] (the kernel) and [`FakeLinks`] (a map).
//! What we make carries [`LINK_GROUP`], set in the very request that makes it, so that after a crash at any instant our
//! links can be told from others.

mod fake;
mod request;
mod rtnetlink;

use std::fmt::Debug;
use std::os::fd::BorrowedFd;

use async_trait::async_trait;

use crate::view::HostNetwork;
use crate::{BridgeSpec, Error, Mac, NicSpec};

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
    /// Ethernet address.
    pub hwaddr: Option<Mac>,
    /// In bytes.
    pub mtu: u32,
    /// Switched on.
    pub up: bool,
    /// Index of the bridge (or bond) that it belongs to.
    pub master: Option<u32>,
    /// Made by us.
    pub ours: bool,
}

/// What the daemon does with links of the host.
#[async_trait]
pub trait Links: Send + Sync + Debug {
    /// Makes the bridge exist, up, with exactly these addresses. What was made is taken away again after an error.
    async fn ensure_bridge(&self, spec: &BridgeSpec) -> Result<(), Error>;
    /// Deletes a bridge of ours; fine if it is gone, [`Error::NotOurs`] if it is somebody else's.
    async fn delete_bridge(&self, name: &str) -> Result<(), Error>;
    /// Makes a veth pair: one end up at the bridge, the other inside `netns`, named and down.
    async fn attach_nic(&self, nic: &NicSpec, netns: BorrowedFd<'_>) -> Result<(), Error>;
    /// Deletes a NIC by its host end; fine if it is gone. Takes about 20 ms: the death of its namespace does it for nothing.
    async fn detach_nic(&self, host_name: &str) -> Result<(), Error>;
    /// All links.
    async fn list(&self) -> Result<Vec<LinkView>, Error>;
    /// Addresses and routes: what is taken, and the way out.
    async fn host(&self) -> Result<HostNetwork, Error>;
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
