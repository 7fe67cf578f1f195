//! What a caller wants: a managed bridge, a NIC of an instance. Plain values, all checks of users' input done before.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::{LinkAddress, Mac, ipam};

/// The largest payload of an Ethernet frame, in bytes (IEEE 802.3).
pub const ETHERNET_MTU: u32 = 1500;

/// Who gives names to leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DnsMode {
    /// Only instances have names, those of the inventory.
    #[default]
    Managed,
    /// Whoever asks for an address names itself.
    Dynamic,
    /// No DNS server.
    None,
}

/// A managed bridge with all its services; the keys are those of LXD's bridge networks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they mirror keys of the configuration one by one"
)]
pub struct BridgeSpec {
    /// Name of the host's interface, at most 15 bytes.
    pub name: String,
    /// The host's address on the bridge, which is the gateway, with the length of the prefix.
    pub ipv4: Option<Ipv4Net>,
    /// The same for IPv6.
    pub ipv6: Option<Ipv6Net>,
    /// Traffic to elsewhere gets the host's address.
    pub ipv4_nat: bool,
    /// The same for IPv6.
    pub ipv6_nat: bool,
    /// The address that such traffic gets, instead of the outgoing interface's.
    pub ipv4_nat_address: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub ipv6_nat_address: Option<Ipv6Addr>,
    /// Rules that let the bridge's traffic and services through are put in place.
    pub ipv4_firewall: bool,
    /// The same for IPv6.
    pub ipv6_firewall: bool,
    /// Addresses are handed out.
    pub ipv4_dhcp: bool,
    /// DHCPv6 answers (router advertisements are sent in any case).
    pub ipv6_dhcp: bool,
    /// DHCPv6 hands out addresses, instead of SLAAC.
    pub ipv6_stateful: bool,
    /// First and last address of each range; empty for the whole subnet.
    pub ipv4_dhcp_ranges: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// How long a lease lives, as dnsmasq writes it (`1h`, `45m`, `infinite`); one hour unless set.
    pub dhcp_expiry: Option<String>,
    /// In bytes; [`ETHERNET_MTU`] unless set.
    pub mtu: Option<u32>,
    /// Interfaces of the host that are plugged into the bridge.
    pub external_interfaces: Vec<String>,
    /// More subnets that are reached over the bridge.
    pub routes: Vec<IpNet>,
    /// The bridge's Ethernet address; [`Mac::of_bridge`] unless set.
    pub hwaddr: Option<Mac>,
    /// Domain of the instances' names; `rlxc` unless set.
    pub dns_domain: Option<String>,
    /// Who gives names.
    pub dns_mode: DnsMode,
    /// Lines added to dnsmasq's configuration as they are.
    pub raw_dnsmasq: Option<String>,
}

impl BridgeSpec {
    /// The domain of the instances' names.
    pub fn domain(&self) -> &str {
        self.dns_domain.as_deref().unwrap_or("rlxc")
    }

    /// The Ethernet address that a new bridge gets; none where nothing tells this host from others.
    pub fn mac(&self) -> Option<Mac> {
        self.hwaddr.or_else(|| Mac::of_bridge(&self.name))
    }

    /// The address from which routers advertise themselves, where there is IPv6.
    pub fn link_local(&self) -> Option<Ipv6Addr> {
        self.ipv6.and(self.mac()).map(ipam::link_local)
    }

    /// Whether IPv6 addresses are given out: SLAAC needs a prefix of 64 bits (RFC 4862), others can only be handed out.
    pub fn gives_ipv6(&self) -> bool {
        let net = self.ipv6.filter(|_| self.ipv6_dhcp);
        net.is_some_and(|net| self.ipv6_stateful || net.prefix_len() != 64)
    }

    /// Whether dnsmasq has anything to do here: names, leases or router advertisements.
    pub fn needs_dnsmasq(&self) -> bool {
        let has_address = self.ipv4.is_some() || self.ipv6.is_some();
        let has_names = self.dns_mode != DnsMode::None;
        has_address
            && (has_names || self.ipv4_dhcp || self.ipv6.is_some() || self.raw_dnsmasq.is_some())
    }
}

/// A veth pair: one end on the host, at a bridge or by itself, the other in the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NicSpec {
    /// Name of the host's end, at most 15 bytes.
    pub host_name: String,
    /// Name inside the instance, `eth0` mostly.
    pub container_name: String,
    /// The bridge to join; without one the host's end stands alone.
    pub bridge: Option<String>,
    /// Ethernet address of the instance's end.
    pub hwaddr: Mac,
    /// In bytes, of both ends; the bridge's unless set.
    pub mtu: Option<u32>,
    /// The instance's end is switched on at once. At a start its init does that.
    pub up: bool,
    /// It exchanges nothing with other ports of the bridge that are isolated.
    pub isolated: bool,
    /// The VLANs of the bridge that it is in, where it says so.
    pub vlans: PortVlans,
}

/// What becomes of frames without a tag at a port of a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Untagged {
    /// As the bridge has it: VLAN 1.
    #[default]
    Default,
    /// They are dropped.
    Dropped,
    /// They are of this VLAN.
    Of(u16),
}

/// The VLANs of a port of a bridge; by default the port is left as the bridge has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PortVlans {
    /// Frames without a tag.
    pub untagged: Untagged,
    /// VLANs whose frames have a tag.
    pub tagged: Vec<u16>,
}

impl PortVlans {
    /// Whether nothing is asked for.
    pub fn is_default(&self) -> bool {
        self.untagged == Untagged::Default && self.tagged.is_empty()
    }
}

/// How macvlans of one parent reach each other, see ip-link(8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MacvlanMode {
    /// Directly.
    #[default]
    Bridge,
    /// By a switch outside that sends back.
    Vepa,
    /// Not at all.
    Private,
    /// There is one only, and it is the parent.
    Passthru,
}

/// An interface of its own Ethernet address on an interface of the host, born inside an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacvlanSpec {
    /// Interface of the host.
    pub parent: String,
    /// Name inside the instance.
    pub container_name: String,
    /// Its Ethernet address.
    pub hwaddr: Mac,
    /// In bytes; the parent's unless set.
    pub mtu: Option<u32>,
    /// How it reaches others.
    pub mode: MacvlanMode,
}

/// An interface of the host that an instance has while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoanSpec {
    /// Its name on the host.
    pub name: String,
    /// Its name inside the instance.
    pub container_name: String,
    /// Address inside, of an `InfiniBand` interface its GUID or all 20 bytes; its own unless set.
    pub hwaddr: Option<LinkAddress>,
    /// In bytes, inside; as it is unless set.
    pub mtu: Option<u32>,
    /// It is switched on at once. At a start its init does that.
    pub up: bool,
}

/// What an interface was like before it was lent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lent {
    /// Its name on the host.
    pub name: String,
    /// Its name inside the instance, as far as the guest left it.
    pub container_name: String,
    /// Its index inside, which no guest can change; unknown if the loan was cut short.
    pub index: Option<u32>,
    /// Address on the host.
    pub hwaddr: Option<LinkAddress>,
    /// In bytes, on the host.
    pub mtu: u32,
    /// Whether it was switched on.
    pub up: bool,
}

/// Addresses and routes of a veth pair that stands alone, on both ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutedSpec {
    /// Name of the host's end.
    pub host_name: String,
    /// Name inside the instance.
    pub container_name: String,
    /// The instance's addresses.
    pub addresses: Vec<IpAddr>,
    /// Addresses of the host's end, where the instance's packets go.
    pub host_addresses: Vec<IpAddr>,
    /// The instance sends everything else there, in the families of these.
    pub gateways: Vec<IpAddr>,
    /// More routing tables of the host that get the routes to the instance, IPv4's and IPv6's.
    pub tables: [Option<u32>; 2],
}
