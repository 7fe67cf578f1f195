//! Rules of ACLs as nft takes them: matches, verdicts, and the replies that a filter without memory must let pass. Pure.

use super::model::{AclRule, Action, Addresses, DefaultAction, Ports, Protocol, Transport};

/// Whether packets of a connection that is known are let through before any rule is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    /// By connection tracking: the `inet` family.
    Tracked,
    /// The same in the `bridge` family, where nothing can be rejected in all places: it is dropped.
    BridgeTracked,
    /// Not at all: the `bridge` family of a kernel without `nf_conntrack_bridge`.
    None,
}

/// The rules of one direction, in the order of what they do: drop before reject before allow, as in LXD.
pub(super) fn render(rules: &[AclRule], default: &DefaultAction, memory: Memory) -> Vec<String> {
    let mut ordered: Vec<&AclRule> = rules.iter().collect();
    ordered.sort_by_key(|rule| rule.action);
    let mut lines: Vec<String> = ordered
        .into_iter()
        .flat_map(|rule| {
            let verdict = verdict(rule.action, rule.log.as_deref(), memory);
            matches(rule)
                .into_iter()
                .map(move |text| join(&text, &verdict))
        })
        .collect();
    lines.push(verdict(default.action, default.log.as_deref(), memory));
    lines
}

/// What comes back to what `rules` allow in the other direction: addresses and ports change sides, and no TCP connection
/// can begin this way.
pub(super) fn replies(rules: &[AclRule]) -> Vec<String> {
    let allowed = rules.iter().filter(|rule| rule.action == Action::Allow);
    allowed
        .flat_map(|rule| {
            let turned = AclRule {
                source: rule.destination.clone(),
                destination: rule.source.clone(),
                protocol: rule.protocol.as_ref().map(turn),
                ..rule.clone()
            };
            // Without a protocol all but the beginning of a TCP connection may come back.
            let guard = match &turned.protocol {
                Some(Protocol::Ports {
                    transport: Transport::Tcp,
                    ..
                }) => "tcp flags & (syn | ack) != syn ",
                Some(_) => "",
                None => "meta l4proto != tcp ",
            };
            let mut lines: Vec<String> = matches(&turned)
                .into_iter()
                .map(|text| join(&text, &format!("{guard}accept")))
                .collect();
            if turned.protocol.is_none() {
                let tcp = AclRule {
                    protocol: Some(Protocol::Ports {
                        transport: Transport::Tcp,
                        source: Vec::new(),
                        destination: Vec::new(),
                    }),
                    ..turned
                };
                let text = matches(&tcp).into_iter();
                lines.extend(text.map(|text| join(&text, "tcp flags & (syn | ack) != syn accept")));
            }
            lines
        })
        .collect()
}

/// An answer to an echo request is of another type: so all of ICMP may come back.
fn turn(protocol: &Protocol) -> Protocol {
    match protocol {
        Protocol::Ports {
            transport,
            source,
            destination,
        } => Protocol::Ports {
            transport: *transport,
            source: destination.clone(),
            destination: source.clone(),
        },
        Protocol::Icmp4(..) => Protocol::Icmp4(None, None),
        Protocol::Icmp6(..) => Protocol::Icmp6(None, None),
    }
}

fn join(matches: &str, verdict: &str) -> String {
    format!("{matches} {verdict}").trim().to_owned()
}

fn verdict(action: Action, log: Option<&str>, memory: Memory) -> String {
    let log = log.map_or_else(String::new, |name| format!("log prefix \"{name} \" "));
    let action = match (action, memory) {
        (Action::Allow, _) => "accept",
        (Action::Reject, Memory::Tracked) => "reject",
        (Action::Reject | Action::Drop, _) => "drop",
    };
    format!("{log}{action}")
}

/// What a rule fits, one text for each pair of addresses.
fn matches(rule: &AclRule) -> Vec<String> {
    let protocol = rule.protocol.as_ref().map_or_else(String::new, protocol);
    let sides = |addresses: &[Addresses]| -> Vec<Option<Addresses>> {
        if addresses.is_empty() {
            vec![None]
        } else {
            addresses.iter().copied().map(Some).collect()
        }
    };
    let mut texts = Vec::new();
    for source in sides(&rule.source) {
        for destination in sides(&rule.destination) {
            let families = [source, destination].map(|side| side.map(|side| side.is_ipv4()));
            // Nothing is sent from one family to the other.
            if families == [Some(true), Some(false)] || families == [Some(false), Some(true)] {
                continue;
            }
            let text = [
                source.map(|side| format!("{} saddr {side}", family(&side))),
                destination.map(|side| format!("{} daddr {side}", family(&side))),
                Some(protocol.clone()).filter(|text| !text.is_empty()),
            ];
            texts.push(text.into_iter().flatten().collect::<Vec<_>>().join(" "));
        }
    }
    texts
}

fn family(addresses: &Addresses) -> &'static str {
    if addresses.is_ipv4() { "ip" } else { "ip6" }
}

fn protocol(protocol: &Protocol) -> String {
    let detail = |family: &str, name: &str, number: Option<u8>| {
        number.map_or_else(String::new, |number| format!(" {family} {name} {number}"))
    };
    match protocol {
        Protocol::Ports {
            transport,
            source,
            destination,
        } => {
            let name = transport.as_str();
            let side = |word: &str, ports: &[Ports]| match merge(ports) {
                text if text.is_empty() => String::new(),
                text => format!(" {name} {word} {{ {text} }}"),
            };
            let sides = [side("sport", source), side("dport", destination)].concat();
            format!("meta l4proto {name}{sides}")
        }
        Protocol::Icmp4(kind, code) => [
            "meta l4proto icmp".to_owned(),
            detail("icmp", "type", *kind),
            detail("icmp", "code", *code),
        ]
        .concat(),
        Protocol::Icmp6(kind, code) => [
            "meta l4proto icmpv6".to_owned(),
            detail("icmpv6", "type", *kind),
            detail("icmpv6", "code", *code),
        ]
        .concat(),
    }
}

/// A set for nft, which takes no ports that overlap.
fn merge(ports: &[Ports]) -> String {
    let mut sorted = ports.to_vec();
    sorted.sort_unstable();
    let mut merged: Vec<Ports> = Vec::new();
    for next in sorted {
        match merged.last_mut() {
            Some(last) if u32::from(next.first) <= u32::from(last.last) + 1 => {
                last.last = last.last.max(next.last);
            }
            _ => merged.push(next),
        }
    }
    let texts: Vec<String> = merged.iter().map(Ports::to_string).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(first: u16, last: u16) -> Ports {
        Ports { first, last }
    }

    #[test]
    fn ports_that_overlap_are_one() {
        let text = merge(&[ports(80, 90), ports(443, 443), ports(85, 95), ports(96, 96)]);
        assert_eq!(text, "80-96, 443");
        assert_eq!(merge(&[ports(0, 65535), ports(65535, 65535)]), "0-65535");
    }

    #[test]
    fn no_rule_speaks_of_both_families() {
        let net = |text: &str| Addresses::Net(text.parse().unwrap());
        let rule = AclRule {
            action: Action::Allow,
            log: None,
            source: vec![net("10.0.0.0/8"), net("fd00::/8")],
            destination: vec![net("10.1.2.3/32")],
            protocol: None,
        };
        assert_eq!(matches(&rule), ["ip saddr 10.0.0.0/8 ip daddr 10.1.2.3"]);
        assert_eq!(
            replies(&[rule]),
            [
                "ip saddr 10.1.2.3 ip daddr 10.0.0.0/8 meta l4proto != tcp accept",
                "ip saddr 10.1.2.3 ip daddr 10.0.0.0/8 meta l4proto tcp tcp flags & (syn | ack) != syn accept"
            ]
        );
    }
}
