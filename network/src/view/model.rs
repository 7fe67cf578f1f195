//! What can be seen: plain values.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::LinkAddress;

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
    /// Hardware address.
    pub hwaddr: Option<LinkAddress>,
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
    /// Addresses of interfaces and subnets that are reached over them without a gateway, each with the interface.
    pub attached: Vec<(String, IpNet)>,
    /// Where default routes lead.
    pub gateways: Vec<IpAddr>,
    /// Where the best IPv4 default route leads.
    pub uplink_ipv4: Option<Uplink>,
    /// The same for IPv6.
    pub uplink_ipv6: Option<Uplink>,
}
