//! All that the packet filter has to do for one network, as data.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{BridgeSpec, Mac};

/// The rules of one network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruleset {
    /// The bridge's interface; empty for NICs whose ends on the host stand alone.
    pub bridge: String,
    /// Traffic from this subnet to elsewhere gets the host's address.
    pub masquerade_ipv4: Option<Ipv4Net>,
    /// The same for IPv6.
    pub masquerade_ipv6: Option<Ipv6Net>,
    /// The address that such traffic gets, where it is not the outgoing interface's.
    pub nat_ipv4: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub nat_ipv6: Option<Ipv6Addr>,
    /// DNS at this address is for the bridge only: what comes in elsewhere is dropped, or hosts nearby could use it.
    pub guard_ipv4: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub guard_ipv6: Option<Ipv6Addr>,
    /// Other firewalls on the host are asked to let the bridge's IPv4 traffic through.
    pub pass_ipv4: bool,
    /// The same for IPv6.
    pub pass_ipv6: bool,
    /// The bridge's own addresses: there are DHCP and DNS.
    pub services: Vec<IpAddr>,
    /// The network's subnets: between hosts of them forwards need an answer that comes back the same way.
    pub subnets: Vec<IpNet>,
    /// What is passed on to an instance, the first that fits.
    pub forwards: Vec<Dnat>,
    /// What may pass between the network and all that is not in it.
    pub policy: Option<Policy>,
    /// What single NICs may send and receive.
    pub nics: Vec<NicRules>,
}

impl Ruleset {
    /// Whether a table of the `inet` family is needed.
    pub fn needs_table(&self) -> bool {
        self.masquerade_ipv4.is_some()
            || self.masquerade_ipv6.is_some()
            || self.guard_ipv4.is_some()
            || self.guard_ipv6.is_some()
            || self.policy.is_some()
            || !self.forwards.is_empty()
            || (self.bridge.is_empty() && !self.nics.is_empty())
    }

    /// Whether a table of the `bridge` family is needed.
    pub fn needs_bridge_table(&self) -> bool {
        !self.bridge.is_empty() && !self.nics.is_empty()
    }

    /// Whether a rule would gain from knowing the connections of bridged frames.
    pub fn wants_bridge_tracking(&self) -> bool {
        self.needs_bridge_table() && self.nics.iter().any(|nic| nic.policy.is_some())
    }
}

/// What a bridge needs of the packet filter by itself.
pub fn plan_ruleset(spec: &BridgeSpec) -> Ruleset {
    let subnets = spec.ipv4.map(|net| IpNet::V4(net.trunc()));
    let subnets = subnets
        .into_iter()
        .chain(spec.ipv6.map(|net| IpNet::V6(net.trunc())));
    let own = spec.ipv4.map(|net| net.addr().into());
    let own = own
        .into_iter()
        .chain(spec.ipv6.map(|net| net.addr().into()))
        .chain(spec.link_local().map(IpAddr::V6));
    Ruleset {
        bridge: spec.name.clone(),
        services: own.collect(),
        masquerade_ipv4: spec.ipv4.filter(|_| spec.ipv4_nat).map(|net| net.trunc()),
        masquerade_ipv6: spec.ipv6.filter(|_| spec.ipv6_nat).map(|net| net.trunc()),
        nat_ipv4: spec.ipv4_nat_address,
        nat_ipv6: spec.ipv6_nat_address,
        guard_ipv4: spec
            .ipv4
            .filter(|_| spec.ipv4_firewall)
            .map(|net| net.addr()),
        guard_ipv6: spec
            .ipv6
            .filter(|_| spec.ipv6_firewall)
            .map(|net| net.addr()),
        pass_ipv4: spec.ipv4.is_some() && spec.ipv4_firewall,
        pass_ipv6: spec.ipv6.is_some() && spec.ipv6_firewall,
        subnets: subnets.collect(),
        ..Ruleset::default()
    }
}

/// One port, or all from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ports {
    /// The first.
    pub first: u16,
    /// The last; the first again where it is one port.
    pub last: u16,
}

impl Ports {
    /// How many they are.
    pub fn count(self) -> u32 {
        u32::from(self.last).saturating_sub(self.first.into()) + 1
    }
}

impl std::fmt::Display for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// A protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// As nft, LXD and everybody else writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// What comes for one address goes to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dnat {
    /// The address that is meant; all of the host's own unless set.
    pub listen: Option<IpAddr>,
    /// Protocol and ports; all of them unless set.
    pub ports: Option<(Transport, Ports)>,
    /// Where it goes.
    pub target: IpAddr,
    /// To these ports: one for all, or as many as are listened on; the same unless set.
    pub target_ports: Option<Ports>,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It is dropped.
    Drop,
    /// It is dropped, and the sender is told.
    Reject,
    /// It passes, and so do the answers to it.
    Allow,
}

/// A protocol that a rule of an ACL can name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// TCP or UDP; a port in either list suffices, an empty list stands for all.
    Ports {
        /// Which of the two.
        transport: Transport,
        /// The sender's.
        source: Vec<Ports>,
        /// The receiver's.
        destination: Vec<Ports>,
    },
    /// ICMP, with type and code where they matter.
    Icmp4(Option<u8>, Option<u8>),
    /// The same for IPv6.
    Icmp6(Option<u8>, Option<u8>),
}

/// Addresses that a rule speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addresses {
    /// All of a subnet; a single one is a subnet of full length.
    Net(IpNet),
    /// From the first to the last, both of one family.
    Range(IpAddr, IpAddr),
}

impl Addresses {
    /// Whether they are of IPv4.
    pub fn is_ipv4(&self) -> bool {
        match self {
            Self::Net(net) => matches!(net, IpNet::V4(_)),
            Self::Range(first, _) => first.is_ipv4(),
        }
    }
}

impl std::fmt::Display for Addresses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Net(net) if net.prefix_len() == net.max_prefix_len() => {
                write!(f, "{}", net.addr())
            }
            Self::Net(net) => write!(f, "{}", net.trunc()),
            Self::Range(first, last) => write!(f, "{first}-{last}"),
        }
    }
}

/// One rule of an ACL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclRule {
    /// What becomes of what fits.
    pub action: Action,
    /// It is told of in the kernel's log, under this name.
    pub log: Option<String>,
    /// Senders; all if empty.
    pub source: Vec<Addresses>,
    /// Receivers; all if empty.
    pub destination: Vec<Addresses>,
    /// The protocol; all unless set.
    pub protocol: Option<Protocol>,
}

/// What becomes of what no rule speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultAction {
    /// What becomes of it.
    pub action: Action,
    /// It is told of in the kernel's log, under this name.
    pub log: Option<String>,
}

/// Rules for both directions, as seen from the instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// For what comes in.
    pub ingress: Vec<AclRule>,
    /// For what goes out.
    pub egress: Vec<AclRule>,
    /// For what else comes in.
    pub default_ingress: DefaultAction,
    /// For what else goes out.
    pub default_egress: DefaultAction,
}

/// What one NIC may send and receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NicRules {
    /// The host's end.
    pub host_name: String,
    /// Its Ethernet address.
    pub hwaddr: Mac,
    /// Frames with another sender are dropped.
    pub mac: bool,
    /// Packets with another sender are dropped; all IPv4 if empty.
    pub ipv4: Option<Vec<Ipv4Net>>,
    /// The same for IPv6, apart from the link-local address.
    pub ipv6: Option<Vec<Ipv6Net>>,
    /// What else it may.
    pub policy: Option<Policy>,
    /// Bytes a second that it may send.
    pub rate_from: Option<u64>,
    /// Bytes a second that it may receive.
    pub rate_to: Option<u64>,
    /// The priority of what it sends, for queueing disciplines of the host.
    pub priority: Option<u32>,
}
