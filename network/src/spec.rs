//! What a caller wants: a managed bridge, a NIC of an instance. Plain values, all checks of users' input done before.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::Mac;

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
    /// In bytes; the kernel's choice unless set.
    pub mtu: Option<u32>,
    /// Interfaces of the host that are plugged into the bridge.
    pub external_interfaces: Vec<String>,
    /// More subnets that are reached over the bridge.
    pub routes: Vec<IpNet>,
    /// The bridge's Ethernet address; a random one, kept while the bridge exists, unless set.
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

    /// Whether dnsmasq has anything to do here: names, leases or router advertisements.
    pub fn needs_dnsmasq(&self) -> bool {
        let has_address = self.ipv4.is_some() || self.ipv6.is_some();
        let has_names = self.dns_mode != DnsMode::None;
        has_address
            && (has_names || self.ipv4_dhcp || self.ipv6.is_some() || self.raw_dnsmasq.is_some())
    }
}

/// A NIC on a bridge: a veth pair, one end at the bridge, the other in the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NicSpec {
    /// Name of the host's end, at most 15 bytes.
    pub host_name: String,
    /// Name inside the instance, `eth0` mostly.
    pub container_name: String,
    /// The bridge to join.
    pub bridge: String,
    /// Ethernet address of the instance's end.
    pub hwaddr: Mac,
    /// In bytes, of both ends; the bridge's unless set.
    pub mtu: Option<u32>,
    /// The instance's end is switched on at once. At a start its init does that.
    pub up: bool,
    /// It exchanges nothing with other ports of the bridge that are isolated.
    pub isolated: bool,
}
