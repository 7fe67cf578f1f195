//! The whole ruleset of a network as a text for nft(8). Pure.

use std::fmt::Write as _;
use std::net::IpAddr;

use ipnet::IpNet;

use super::acl::{self, Memory};
use super::model::{Dnat, NicRules, Policy, Ruleset};
use super::nic;

/// What instances need of the host whatever an ACL says: addresses, names, neighbours.
const SERVICES_IN: &[&str] = &[
    "udp dport { 53, 67, 547 } accept",
    "tcp dport 53 accept",
    "icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept",
];
const SERVICES_OUT: &[&str] = &[
    "udp sport { 53, 67, 547 } accept",
    "tcp sport 53 accept",
    "icmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query } accept",
];

/// The text that makes `table` not exist in `family`, whether or not it did.
pub(super) fn deletion(family: &str, table: &str) -> String {
    format!("table {family} {table}\ndelete table {family} {table}\n")
}

/// The text that makes `table`, in both families, consist of exactly this ruleset. `with_bridge` tells whether a table of
/// the `bridge` family is there that has to go, `memory` whether connections are known there.
pub(super) fn render(table: &str, ruleset: &Ruleset, with_bridge: bool, memory: Memory) -> String {
    let mut text = deletion("inet", table);
    if ruleset.needs_table() {
        text += &inet(table, ruleset);
    }
    if with_bridge || ruleset.needs_bridge_table() {
        text += &deletion("bridge", table);
    }
    if ruleset.needs_bridge_table() {
        text += &bridge(table, ruleset, memory);
    }
    text
}

/// A chain; nothing if it would have no rule.
pub(super) fn chain(name: &str, place: Option<&str>, rules: &[String]) -> String {
    if rules.is_empty() {
        return String::new();
    }
    let mut text = format!("  chain {name} {{\n");
    if let Some(place) = place {
        // Writing to a String cannot fail.
        let _ok = writeln!(text, "    type {place}; policy accept;");
    }
    for rule in rules {
        let _ok = writeln!(text, "    {rule}");
    }
    text + "  }\n"
}

fn inet(table: &str, ruleset: &Ruleset) -> String {
    let dnat: Vec<String> = ruleset.forwards.iter().map(dnat).collect();
    let mut sent = dnat.clone();
    if !sent.is_empty() {
        // The loopback's addresses lead nowhere but to the host itself.
        sent.insert(0, "oifname \"lo\" ip daddr 127.0.0.0/8 accept".to_owned());
        sent.insert(1, "oifname \"lo\" ip6 daddr ::1 accept".to_owned());
    }
    let mut parts = vec![format!("table inet {table} {{\n")];
    parts.push(chain(
        "prerouting",
        Some("nat hook prerouting priority dstnat"),
        &dnat,
    ));
    // What the host itself sends never comes in.
    parts.push(chain(
        "output",
        Some("nat hook output priority -100"),
        &sent,
    ));
    parts.push(chain(
        "postrouting",
        Some("nat hook postrouting priority srcnat"),
        &source_nat(ruleset),
    ));
    parts.push(chain(
        "input",
        Some("filter hook input priority filter"),
        &guards(ruleset),
    ));
    if let Some(policy) = &ruleset.policy {
        parts.push(boundary(&ruleset.bridge, policy));
    }
    if ruleset.bridge.is_empty() {
        parts.push(alone(&ruleset.nics));
    }
    parts.push("}\n".to_owned());
    parts.concat()
}

/// NICs that are on no bridge: what comes from them is what the host receives, what goes to them what it sends.
fn alone(nics: &[NicRules]) -> String {
    let (mut parts, mut from, mut to) = (Vec::new(), Vec::new(), Vec::new());
    for (number, rules) in nics.iter().enumerate() {
        let NicRules { host_name, .. } = rules;
        parts.push(nic::render_alone(number, rules));
        from.push(format!("iifname \"{host_name}\" jump nic{number}_from"));
        if rules.rate_to.is_some() {
            to.push(format!("oifname \"{host_name}\" jump nic{number}_to"));
        }
    }
    let before = "filter hook prerouting priority raw";
    let after = "filter hook postrouting priority filter";
    parts.push(chain("nics_from", Some(before), &from));
    parts.push(chain("nics_to", Some(after), &to));
    parts.concat()
}

fn source_nat(ruleset: &Ruleset) -> Vec<String> {
    let mut rules = Vec::new();
    if !ruleset.forwards.is_empty() {
        // A neighbour that was sent to a neighbour would get its answer from somebody it never spoke to.
        rules.extend(ruleset.subnets.iter().map(|net| {
            let family = family(net);
            format!("ct status dnat {family} saddr {net} {family} daddr {net} masquerade")
        }));
    }
    let verdict = |address: Option<IpAddr>| {
        address.map_or_else(
            || "masquerade".to_owned(),
            |address| format!("snat to {address}"),
        )
    };
    if let Some(net) = ruleset.masquerade_ipv4 {
        let verdict = verdict(ruleset.nat_ipv4.map(IpAddr::V4)).replace("snat", "snat ip");
        rules.push(format!("ip saddr {net} ip daddr != {net} {verdict}"));
    }
    if let Some(net) = ruleset.masquerade_ipv6 {
        let verdict = verdict(ruleset.nat_ipv6.map(IpAddr::V6)).replace("snat", "snat ip6");
        rules.push(format!("ip6 saddr {net} ip6 daddr != {net} {verdict}"));
    }
    rules
}

fn family(net: &IpNet) -> &'static str {
    match net {
        IpNet::V4(_) => "ip",
        IpNet::V6(_) => "ip6",
    }
}

/// All that the host receives passes here: what costs least, and lets most go, comes first.
fn guards(ruleset: &Ruleset) -> Vec<String> {
    let bridge = &ruleset.bridge;
    let guard = |family: &str, address: IpAddr| {
        format!(
            "{family} daddr {address} th dport 53 meta l4proto {{ tcp, udp }} iifname != {{ \"lo\", \"{bridge}\" }} drop"
        )
    };
    let ipv4 = ruleset
        .guard_ipv4
        .map(|address| guard("ip", address.into()));
    let ipv6 = ruleset
        .guard_ipv6
        .map(|address| guard("ip6", address.into()));
    ipv4.into_iter().chain(ipv6).collect()
}

fn dnat(rule: &Dnat) -> String {
    let (family, target) = match rule.target {
        IpAddr::V4(v4) => ("ip", v4.to_string()),
        IpAddr::V6(v6) => ("ip6", format!("[{v6}]")),
    };
    let listen = if let Some(address) = rule.listen {
        format!("{family} daddr {address}")
    } else {
        let protocol = if family == "ip" { "ipv4" } else { "ipv6" };
        format!("meta nfproto {protocol} fib daddr type local")
    };
    let Some((transport, ports)) = rule.ports else {
        let target = target.trim_matches(['[', ']']);
        return format!("{listen} dnat {family} to {target}");
    };
    let to = rule.target_ports.unwrap_or(ports);
    format!(
        "{listen} {} dport {ports} dnat {family} to {target}:{to}",
        transport.as_str()
    )
}

/// What passes between a network and all that is not in it: the rest of the world, and the host.
fn boundary(bridge: &str, policy: &Policy) -> String {
    let known = "ct state established,related accept".to_owned();
    let direction = |rules: Vec<String>| std::iter::once(known.clone()).chain(rules);
    let ingress: Vec<String> = direction(acl::render(
        &policy.ingress,
        &policy.default_ingress,
        Memory::Tracked,
    ))
    .collect();
    let egress: Vec<String> = direction(acl::render(
        &policy.egress,
        &policy.default_egress,
        Memory::Tracked,
    ))
    .collect();
    let jump = |side: &str, to: &str| format!("{side}ifname \"{bridge}\" jump {to}");
    let own = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| (*line).to_owned())
            .collect::<Vec<_>>()
    };
    [
        chain("acl_ingress", None, &ingress),
        chain("acl_egress", None, &egress),
        chain("services_in", None, &own(SERVICES_IN)),
        chain("services_out", None, &own(SERVICES_OUT)),
        chain(
            "acl_forward",
            Some("filter hook forward priority filter"),
            &[
                // Hosts that pass bridged frames through here as well: not this chain's business.
                format!("iifname \"{bridge}\" oifname \"{bridge}\" accept"),
                jump("o", "acl_ingress"),
                jump("i", "acl_egress"),
            ],
        ),
        chain(
            "acl_input",
            Some("filter hook input priority filter"),
            &[jump("i", "services_in"), jump("i", "acl_egress")],
        ),
        chain(
            "acl_output",
            Some("filter hook output priority filter"),
            &[jump("o", "services_out"), jump("o", "acl_ingress")],
        ),
    ]
    .concat()
}

fn bridge(table: &str, ruleset: &Ruleset, memory: Memory) -> String {
    let mut parts = vec![format!("table bridge {table} {{\n")];
    let (mut from, mut to) = (Vec::new(), Vec::new());
    for (number, rules) in ruleset.nics.iter().enumerate() {
        let NicRules { host_name, .. } = rules;
        parts.push(nic::render(number, rules, memory, &ruleset.services));
        from.push(format!("iifname \"{host_name}\" jump nic{number}_from"));
        if rules.policy.is_some() || rules.rate_to.is_some() {
            to.push(format!("oifname \"{host_name}\" jump nic{number}_to"));
        }
    }
    parts.push(chain(
        "prerouting",
        // Connections are looked up at the priority of filters.
        Some("filter hook prerouting priority filter + 10"),
        &from,
    ));
    parts.push(chain(
        "postrouting",
        Some("filter hook postrouting priority filter"),
        &to,
    ));
    parts.push("}\n".to_owned());
    parts.concat()
}
