//! Keys of managed networks.

use ipnet::{Ipv4Net, Ipv6Net};

use super::kind::{self, Kind};
use super::{Group, Key, Scope};

/// Keys of bridges.
pub const BRIDGE: Scope = Scope {
    entity: "network-bridge",
    called: "network key",
    groups: &[Group {
        name: "network-conf",
        keys: KEYS,
    }],
};

/// Keys of networks whose NICs are macvlans.
pub const MACVLAN: Scope = Scope {
    entity: "network-macvlan",
    called: "network key",
    groups: &[Group {
        name: "network-conf",
        keys: PARENT_KEYS,
    }],
};

/// Keys of networks whose NIC is an interface of the host.
pub const PHYSICAL: Scope = Scope {
    entity: "network-physical",
    called: "network key",
    groups: &[Group {
        name: "network-conf",
        keys: PARENT_KEYS,
    }],
};

#[rustfmt::skip]
const PARENT_KEYS: &[Key] = &[
    Key::new("mtu", Kind::Int(68, 65535), "MTU of NICs").or("that of the parent"),
    Key::new("parent", kind::INTERFACE, "Interface of the host"),
    Key::new("user.*", Kind::Text, "Free for users").live(),
    Key::new("vlan", Kind::Int(1, 4094), "VLAN of the parent"),
];

const ZONE: Kind = Kind::Form(is_domain, "a network zone such as lab.example");
const ZONES: Kind = Kind::Form(
    |text| kind::all(text, is_domain),
    "network zones such as lab.example,lab.test",
);

#[rustfmt::skip]
const KEYS: &[Key] = &[
    Key::new("bridge.external_interfaces", kind::INTERFACES, "Interfaces of the host that are plugged into the bridge").live(),
    Key::new("bridge.hwaddr", kind::MAC, "MAC address of the bridge").live(),
    Key::new("bridge.mtu", Kind::Int(68, 65535), "MTU of the bridge").or("1500").live(),
    Key::new("dns.domain", Kind::Form(is_domain, "a domain name such as lab.example"), "Domain of the instances' names").or("rlxc").live(),
    Key::new("dns.mode", Kind::OneOf(&["managed", "dynamic", "none"]), "Whether names are ours, those that clients of DHCP say, or not served").or("managed").live(),
    Key::new("dns.zone.forward", ZONES, "DNS zones that have the instances' names").live(),
    Key::new("dns.zone.reverse.ipv4", ZONE, "DNS zone that has the names of IPv4 addresses").live(),
    Key::new("dns.zone.reverse.ipv6", ZONE, "DNS zone that has the names of IPv6 addresses").live(),
    Key::new("ipv4.address", Kind::Form(is_address::<Ipv4Net>, "`none`, `auto`, or an address with its prefix such as 10.1.2.1/24"), "IPv4 address of the bridge, with its prefix").or("a free subnet").live(),
    Key::new("ipv4.dhcp", Kind::Bool, "Whether IPv4 addresses are given out by DHCP").or("true").when("there is an IPv4 address").live(),
    Key::new("ipv4.dhcp.expiry", Kind::Form(is_lease_time, "a time such as 45m, 1h or infinite"), "How long a lease is good").or("1h").when("there is DHCP").live(),
    Key::new("ipv4.dhcp.ranges", Kind::Form(|text| kind::all(text, |range| range.contains('-')), "a list of FIRST-LAST"), "What DHCP gives out").or("the whole subnet").when("there is DHCP").live(),
    Key::new("ipv4.firewall", Kind::Bool, "Whether rules for DHCP, DNS and forwarding are made").or("true").live(),
    Key::new("ipv4.nat", Kind::Bool, "Whether what leaves the network gets the host's address").or("true for a subnet that was chosen").live(),
    Key::new("ipv4.nat.address", kind::IPV4, "Address that it gets").or("that of the interface that it leaves by").when("there is NAT").live(),
    Key::new("ipv4.routes", kind::SUBNETS4, "More subnets that are reached over the bridge").live(),
    Key::new("ipv6.address", Kind::Form(is_address::<Ipv6Net>, "`none`, `auto`, or an address with its prefix such as fd42::1/64"), "IPv6 address of the bridge, with its prefix").or("a free subnet").live(),
    Key::new("ipv6.dhcp", Kind::Bool, "Whether more than addresses is told by DHCPv6").or("true").when("there is an IPv6 address").live(),
    Key::new("ipv6.dhcp.stateful", Kind::Bool, "Whether addresses are given out by DHCPv6").or("false").when("there is DHCPv6").live(),
    Key::new("ipv6.firewall", Kind::Bool, "Whether rules for DHCP, DNS and forwarding are made").or("true").live(),
    Key::new("ipv6.nat", Kind::Bool, "Whether what leaves the network gets the host's address").or("true for a subnet that was chosen").live(),
    Key::new("ipv6.nat.address", kind::IPV6, "Address that it gets").or("that of the interface that it leaves by").when("there is NAT").live(),
    Key::new("ipv6.routes", kind::SUBNETS6, "More subnets that are reached over the bridge").live(),
    Key::new("raw.dnsmasq", Kind::Text, "Lines for the configuration of dnsmasq, see dnsmasq(8)").live(),
    Key::new("security.acls", Kind::Text, "Network ACLs, joined by commas").live(),
    Key::new("security.acls.default.egress.action", Kind::OneOf(&["allow", "reject", "drop"]), "What becomes of what instances send and no rule speaks of").or("reject").when("there are ACLs").live(),
    Key::new("security.acls.default.egress.logged", Kind::Bool, "Whether it is told of in the kernel's log").or("false").when("there are ACLs").live(),
    Key::new("security.acls.default.ingress.action", Kind::OneOf(&["allow", "reject", "drop"]), "What becomes of what comes for instances and no rule speaks of").or("reject").when("there are ACLs").live(),
    Key::new("security.acls.default.ingress.logged", Kind::Bool, "Whether it is told of in the kernel's log").or("false").when("there are ACLs").live(),
    Key::new("user.*", Kind::Text, "Free for users").live(),
];

fn is_address<T: std::str::FromStr>(text: &str) -> bool {
    matches!(text, "none" | "auto") || text.parse::<T>().is_ok()
}

/// A lease time as dnsmasq reads it.
fn is_lease_time(text: &str) -> bool {
    let digits = text.strip_suffix(['s', 'm', 'h', 'd', 'w']).unwrap_or(text);
    text == "infinite" || (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A domain, without the last dot.
pub fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        let fits =
            (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-');
        fits && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.len() < 254 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_and_times_are_read() {
        for good in ["rlxc", "lab.example", "a-1.b"] {
            assert!(is_domain(good), "{good}");
        }
        for bad in ["-a", "a..b", "a_b", "a\nb", "é"] {
            assert!(!is_domain(bad), "{bad}");
        }
        for good in ["45m", "3600", "infinite"] {
            assert!(is_lease_time(good), "{good}");
        }
        for bad in ["m", "1y", "never", "1h\n"] {
            assert!(!is_lease_time(bad), "{bad}");
        }
    }
}
