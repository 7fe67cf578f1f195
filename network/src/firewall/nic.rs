//! What one NIC may send and receive: nobody else's addresses, and what its ACLs say. Pure.

use std::net::{IpAddr, Ipv6Addr};

use super::acl::{self, Memory};
use super::model::{AclRule, NicRules, Policy};
use super::render::chain;
use crate::ipam;

/// What hosts of one Ethernet need of each other, whatever an ACL says.
const ALWAYS: &[&str] = &[
    "ether type arp accept",
    "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept",
];

/// The chains of a NIC.
///
/// `services` are the bridge's own addresses, where instances find DHCP and DNS whatever an ACL says; those ports of anybody
/// else are not excepted.
pub(super) fn render(
    number: usize,
    rules: &NicRules,
    memory: Memory,
    services: &[IpAddr],
) -> String {
    let mut from = spoofing(rules);
    from.extend(rules.rate_from.map(limit));
    from.extend(
        rules
            .priority
            .map(|number| format!("meta priority set 0:{number:x}")),
    );
    let mut to: Vec<String> = rules.rate_to.map(limit).into_iter().collect();
    if let Some(policy) = &rules.policy {
        from.extend(sent(policy, memory, services));
        to.extend(received(policy, memory, services));
    }
    both(number, from, &to)
}

/// The chain of what a NIC sends, which is there even if it has nothing to do, for it is jumped to; and that of what it gets.
fn both(number: usize, mut from: Vec<String>, to: &[String]) -> String {
    if from.is_empty() {
        from.push("continue".to_owned());
    }
    [
        chain(&format!("nic{number}_from"), None, &from),
        chain(&format!("nic{number}_to"), None, to),
    ]
    .concat()
}

/// Drops what is more than so many bytes a second. A tenth of a second may come at once, or a few of the largest packets,
/// since TCP slows down to far less where nothing may.
fn limit(rate: u64) -> String {
    const LEAST: u64 = 256 << 10;
    let burst = (rate / 10).clamp(LEAST, u32::MAX.into());
    format!("limit rate over {rate} bytes/second burst {burst} bytes drop")
}

fn own(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

fn sent(policy: &Policy, memory: Memory, services: &[IpAddr]) -> Vec<String> {
    let rules = acl::render(&policy.egress, &policy.default_egress, memory);
    let known = known(&policy.ingress, memory);
    [own(ALWAYS), asked(services), known, rules].concat()
}

fn received(policy: &Policy, memory: Memory, services: &[IpAddr]) -> Vec<String> {
    let rules = acl::render(&policy.ingress, &policy.default_ingress, memory);
    let known = known(&policy.egress, memory);
    [own(ALWAYS), answered(services), known, rules].concat()
}

/// What is asked of the bridge: for addresses, to all that may give some, and for names.
fn asked(services: &[IpAddr]) -> Vec<String> {
    let with = |first: &str, ipv4: bool| {
        let all = services.iter().filter(|address| address.is_ipv4() == ipv4);
        let all = std::iter::once(first.to_owned()).chain(all.map(ToString::to_string));
        all.collect::<Vec<_>>().join(", ")
    };
    let mut lines = vec![
        format!(
            "ip daddr {{ {} }} udp sport 68 udp dport 67 accept",
            with("255.255.255.255", true)
        ),
        format!(
            "ip6 daddr {{ {} }} udp sport 546 udp dport 547 accept",
            with("ff02::1:2", false)
        ),
    ];
    for address in services {
        let family = family(address);
        lines.push(format!("{family} daddr {address} udp dport 53 accept"));
        lines.push(format!("{family} daddr {address} tcp dport 53 accept"));
    }
    lines
}

/// What comes back, and nothing that begins.
fn answered(services: &[IpAddr]) -> Vec<String> {
    let mut lines = vec![
        "udp sport 67 udp dport 68 accept".to_owned(),
        "ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept".to_owned(),
    ];
    for address in services {
        let family = family(address);
        lines.push(format!("{family} saddr {address} udp sport 53 accept"));
        lines.push(format!(
            "{family} saddr {address} tcp sport 53 tcp flags & (syn | ack) != syn accept"
        ));
    }
    lines
}

fn family(address: &IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "ip",
        IpAddr::V6(_) => "ip6",
    }
}

/// Lets through what belongs to a connection that the rules of the other direction let begin.
fn known(others: &[AclRule], memory: Memory) -> Vec<String> {
    match memory {
        Memory::None => acl::replies(others),
        _ => vec!["ct state established,related accept".to_owned()],
    }
}

/// The chains of a NIC that is on no bridge.
pub(super) fn render_alone(number: usize, rules: &NicRules) -> String {
    let mut from = Vec::new();
    if let Some(nets) = &rules.ipv4 {
        let nets: Vec<String> = nets.iter().copied().map(plain4).collect();
        from.push(match &nets[..] {
            [] => "meta nfproto ipv4 drop".to_owned(),
            nets => format!("ip saddr != {{ {} }} drop", nets.join(", ")),
        });
    }
    if let Some(nets) = &rules.ipv6 {
        let nets = nets.iter().copied().map(plain6);
        let nets: Vec<String> = ["::", "fe80::/10"]
            .map(str::to_owned)
            .into_iter()
            .chain(nets)
            .collect();
        from.push(format!("ip6 saddr != {{ {} }} drop", nets.join(", ")));
    }
    from.extend(rules.rate_from.map(limit));
    let priority = rules.priority;
    from.extend(priority.map(|number| format!("meta priority set 0:{number:x}")));
    let to: Vec<String> = rules.rate_to.map(limit).into_iter().collect();
    both(number, from, &to)
}

/// Drops what pretends to come from somebody else.
fn spoofing(rules: &NicRules) -> Vec<String> {
    let mut lines = Vec::new();
    let mac = rules.hwaddr;
    if rules.mac {
        let digits = mac.to_string().replace(':', "");
        lines.push(format!("ether saddr != {mac} drop"));
        lines.push(format!("ether type arp arp saddr ether != {mac} drop"));
        // The address that a neighbour advertisement offers: 24 bytes of it, then type and length of the option.
        lines.push(format!(
            "icmpv6 type nd-neighbor-advert @nh,528,48 != 0x{digits} drop"
        ));
    }
    if rules.ipv4.is_some() || rules.ipv6.is_some() {
        // Nothing hides in a tag.
        lines.push("ether type != { arp, ip, ip6 } drop".to_owned());
    }
    if let Some(addresses) = &rules.ipv4 {
        let texts: Vec<String> = addresses.iter().copied().map(plain4).collect();
        if texts.is_empty() {
            lines.extend(own(&["ether type arp drop", "ether type ip drop"]));
        } else {
            let set = texts.join(", ");
            lines.push(format!(
                "ether type arp arp saddr ip != {{ 0.0.0.0, {set} }} drop"
            ));
            lines.push("ether type ip ip saddr 0.0.0.0 udp dport != 67 drop".to_owned());
            lines.push(format!(
                "ether type ip ip saddr != {{ 0.0.0.0, {set} }} drop"
            ));
        }
    }
    if let Some(addresses) = &rules.ipv6 {
        let texts: Vec<String> = addresses.iter().copied().map(plain6).collect();
        if texts.is_empty() {
            lines.push("ether type ip6 drop".to_owned());
        } else {
            let local = ipam::link_local(mac);
            let set = texts.join(", ");
            lines.push("icmpv6 type nd-router-advert drop".to_owned());
            lines.push(format!(
                "ether type ip6 ip6 saddr != {{ ::, {local}, {set} }} drop"
            ));
            lines.extend(advertised(addresses, local));
        }
    }
    lines
}

fn plain4(net: ipnet::Ipv4Net) -> String {
    if net.prefix_len() == 32 {
        net.addr().to_string()
    } else {
        net.trunc().to_string()
    }
}

fn plain6(net: ipnet::Ipv6Net) -> String {
    if net.prefix_len() == 128 {
        net.addr().to_string()
    } else {
        net.trunc().to_string()
    }
}

/// The target of a neighbour advertisement, which is at byte 48 of the packet: one of its own addresses.
fn advertised(addresses: &[ipnet::Ipv6Net], local: Ipv6Addr) -> Option<String> {
    if addresses.iter().any(|net| net.prefix_len() != 128) {
        // Whole subnets are routed through it: there is nothing to compare with.
        return None;
    }
    let hex = |address: Ipv6Addr| format!("@nh,384,128 != 0x{:032x}", u128::from(address));
    let own = addresses.iter().map(ipnet::Ipv6Net::addr).chain([local]);
    let all: Vec<String> = own.map(hex).collect();
    Some(format!(
        "icmpv6 type nd-neighbor-advert {} drop",
        all.join(" ")
    ))
}
