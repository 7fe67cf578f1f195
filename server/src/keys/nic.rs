//! Keys of NICs, by how they are plugged in.

use super::device::USER;
use super::kind::{self, Kind};
use super::{Group, Key, Scope};
use crate::model::Config;
use crate::plan::attachment::MODES;

/// The keys of a NIC: one on a managed network has those of bridged ones, whatever the network is.
pub(super) fn scope(device: &Config) -> &'static Scope {
    let kind = device.get("nictype").map_or("", String::as_str);
    match kind {
        _ if device.contains_key("network") => &BRIDGED,
        "macvlan" => &MACVLAN,
        "p2p" => &P2P,
        "physical" => &PHYSICAL,
        "routed" => &ROUTED,
        _ => &BRIDGED,
    }
}

const TYPES: &[&str] = &["bridged", "macvlan", "p2p", "physical", "routed"];
#[rustfmt::skip]
const NICTYPE: Key = Key::new("nictype", Kind::OneOf(TYPES), "How it is plugged in").when("there is no network");
#[rustfmt::skip]
const VLAN: Kind = Kind::Form(is_vlan, "a VLAN from 1 to 4094");

/// Interfaces on a bridge.
#[rustfmt::skip]
pub const BRIDGED: Scope = Scope {
    entity: "device-nic-bridged",
    called: "key of a NIC",
    groups: &[Group {
        name: "device-conf",
        keys: &[
            Key::new("host_name", kind::INTERFACE, "Name of its end on the host").or("made from the instance's name"),
            Key::new("hwaddr", kind::MAC, "MAC address").or("chosen once"),
            Key::new("ipv4.address", kind::IPV4, "IPv4 address that DHCP gives it").when("the network has DHCP").live(),
            Key::new("ipv4.routes", kind::SUBNETS4, "Subnets that the host sends to it, joined by commas"),
            Key::new("ipv6.address", kind::IPV6, "IPv6 address that DHCP gives it").when("the network has stateful DHCPv6").live(),
            Key::new("ipv6.routes", kind::SUBNETS6, "Subnets that the host sends to it, joined by commas"),
            Key::new("limits.egress", kind::BIT_RATE, "Most that the instance sends in a second").or("no limit").live(),
            Key::new("limits.ingress", kind::BIT_RATE, "Most that the instance receives in a second").or("no limit").live(),
            Key::new("limits.max", kind::BIT_RATE, "The same for both").or("no limit").live(),
            Key::new("limits.priority", Kind::Int(0, 0xffff), "Priority of what it sends").or("0").live(),
            Key::new("mtu", Kind::Int(68, 65535), "MTU").or("that of the bridge"),
            Key::new("name", kind::INTERFACE, "Name in the instance").or("the device's"),
            Key::new("network", Kind::Text, "Managed network that it is plugged into"),
            NICTYPE,
            Key::new("parent", kind::INTERFACE, "Bridge of the host that it is plugged into").when("there is no network"),
            Key::new("security.acls", Kind::Text, "Network ACLs, joined by commas").live(),
            Key::new("security.acls.default.egress.action", Kind::OneOf(&["allow", "reject", "drop"]), "What becomes of what instances send and no rule speaks of").or("reject").when("there are ACLs").live(),
            Key::new("security.acls.default.egress.logged", Kind::Bool, "Whether it is told of in the kernel's log").or("false").when("there are ACLs").live(),
            Key::new("security.acls.default.ingress.action", Kind::OneOf(&["allow", "reject", "drop"]), "What becomes of what comes for instances and no rule speaks of").or("reject").when("there are ACLs").live(),
            Key::new("security.acls.default.ingress.logged", Kind::Bool, "Whether it is told of in the kernel's log").or("false").when("there are ACLs").live(),
            Key::new("security.ipv4_filtering", Kind::Bool, "Whether it sends from its own IPv4 address only").or("false").live(),
            Key::new("security.ipv6_filtering", Kind::Bool, "Whether it sends from its own IPv6 addresses only").or("false").live(),
            Key::new("security.mac_filtering", Kind::Bool, "Whether it sends from its own MAC address only").or("false").live(),
            Key::new("security.port_isolation", Kind::Bool, "Whether it exchanges nothing with other isolated NICs of the network").or("false"),
            USER,
            Key::new("vlan", Kind::Form(|text| text == "none" || is_vlan(text), "`none`, or a VLAN from 1 to 4094"), "VLAN of frames without a tag; `none` drops them").or("1, as the bridge has it"),
            Key::new("vlan.tagged", Kind::Form(|text| kind::all(text, is_vlans), "VLANs such as 10,20-25"), "VLANs whose frames have a tag").or("none"),
        ],
    }],
};

/// Interfaces of their own Ethernet address on one of the host.
#[rustfmt::skip]
pub const MACVLAN: Scope = Scope {
    entity: "device-nic-macvlan",
    called: "key of a macvlan NIC",
    groups: &[Group {
        name: "device-conf",
        keys: &[
            Key::new("hwaddr", kind::MAC, "MAC address").or("chosen once"),
            Key::new("mode", Kind::OneOf(MODES), "How macvlans of one parent reach each other").or("bridge"),
            Key::new("mtu", Kind::Int(68, 65535), "MTU").or("that of the parent"),
            Key::new("name", kind::INTERFACE, "Name in the instance").or("the device's"),
            NICTYPE,
            Key::new("parent", kind::INTERFACE, "Interface of the host that it is made on"),
            USER,
            Key::new("vlan", VLAN, "VLAN of the parent, whose interface `PARENT.VLAN` is made if it is not there"),
        ],
    }],
};

/// Interfaces of the host that an instance has while it runs.
#[rustfmt::skip]
pub const PHYSICAL: Scope = Scope {
    entity: "device-nic-physical",
    called: "key of a physical NIC",
    groups: &[Group {
        name: "device-conf",
        keys: &[
            Key::new("hwaddr", kind::MAC, "MAC address").or("its own"),
            Key::new("mtu", Kind::Int(68, 65535), "MTU").or("its own"),
            Key::new("name", kind::INTERFACE, "Name in the instance").or("the device's"),
            NICTYPE,
            Key::new("parent", kind::INTERFACE, "Interface of the host that is lent"),
            USER,
            Key::new("vlan", VLAN, "VLAN of the parent, whose interface `PARENT.VLAN` is made if it is not there"),
        ],
    }],
};

/// Pairs of interfaces, one end on the host.
#[rustfmt::skip]
pub const P2P: Scope = Scope {
    entity: "device-nic-p2p",
    called: "key of a p2p NIC",
    groups: &[Group {
        name: "device-conf",
        keys: &[
            Key::new("host_name", kind::INTERFACE, "Name of its end on the host").or("made from the instance's name"),
            Key::new("hwaddr", kind::MAC, "MAC address").or("chosen once"),
            Key::new("ipv4.routes", kind::SUBNETS4, "Subnets that the host sends to it, joined by commas"),
            Key::new("ipv6.routes", kind::SUBNETS6, "Subnets that the host sends to it, joined by commas"),
            Key::new("limits.egress", kind::BIT_RATE, "Most that the instance sends in a second").or("no limit").live(),
            Key::new("limits.ingress", kind::BIT_RATE, "Most that the instance receives in a second").or("no limit").live(),
            Key::new("limits.max", kind::BIT_RATE, "The same for both").or("no limit").live(),
            Key::new("limits.priority", Kind::Int(0, 0xffff), "Priority of what it sends").or("0").live(),
            Key::new("mtu", Kind::Int(68, 65535), "MTU").or("1500"),
            Key::new("name", kind::INTERFACE, "Name in the instance").or("the device's"),
            NICTYPE,
            USER,
        ],
    }],
};

/// Pairs of interfaces whose addresses the host routes.
#[rustfmt::skip]
pub const ROUTED: Scope = Scope {
    entity: "device-nic-routed",
    called: "key of a routed NIC",
    groups: &[Group {
        name: "device-conf",
        keys: &[
            Key::new("host_name", kind::INTERFACE, "Name of its end on the host").or("made from the instance's name"),
            Key::new("hwaddr", kind::MAC, "MAC address").or("chosen once"),
            Key::new("ipv4.address", kind::ADDRESSES4, "Its IPv4 addresses, joined by commas"),
            Key::new("ipv4.gateway", Kind::OneOf(&["auto", "none"]), "Whether it sends all else to the host").or("auto"),
            Key::new("ipv4.host_address", kind::IPV4, "Address of the end on the host").or("169.254.0.1"),
            Key::new("ipv4.host_table", Kind::Int(1, 0xffff_ffff), "Routing table of the host that gets the routes too"),
            Key::new("ipv4.routes", kind::SUBNETS4, "Subnets that the host sends to it, joined by commas"),
            Key::new("ipv6.address", kind::ADDRESSES6, "Its IPv6 addresses, joined by commas"),
            Key::new("ipv6.gateway", Kind::OneOf(&["auto", "none"]), "Whether it sends all else to the host").or("auto"),
            Key::new("ipv6.host_address", kind::IPV6, "Address of the end on the host").or("fe80::1"),
            Key::new("ipv6.host_table", Kind::Int(1, 0xffff_ffff), "Routing table of the host that gets the routes too"),
            Key::new("ipv6.routes", kind::SUBNETS6, "Subnets that the host sends to it, joined by commas"),
            Key::new("limits.egress", kind::BIT_RATE, "Most that the instance sends in a second").or("no limit").live(),
            Key::new("limits.ingress", kind::BIT_RATE, "Most that the instance receives in a second").or("no limit").live(),
            Key::new("limits.max", kind::BIT_RATE, "The same for both").or("no limit").live(),
            Key::new("limits.priority", Kind::Int(0, 0xffff), "Priority of what it sends").or("0").live(),
            Key::new("mtu", Kind::Int(68, 65535), "MTU").or("1500"),
            Key::new("name", kind::INTERFACE, "Name in the instance").or("the device's"),
            NICTYPE,
            Key::new("parent", kind::INTERFACE, "Interface of the host where it answers for the addresses"),
            USER,
            Key::new("vlan", VLAN, "VLAN of the parent, whose interface `PARENT.VLAN` is made if it is not there"),
        ],
    }],
};

fn is_vlan(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|id| (1..=4094).contains(&id))
}

fn is_vlans(text: &str) -> bool {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    is_vlan(first.trim()) && is_vlan(last.trim())
}
