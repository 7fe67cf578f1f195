//! From the rules of ACLs, as users write them, to what the packet filter takes. Pure.

use std::net::IpAddr;

use rlxc_api::NetworkAclRule;
use rlxc_network::firewall::{
    AclRule, Action, Addresses, DefaultAction, Policy, Ports, Protocol, Transport,
};

use crate::model::{Config, NetworkAcl};

/// What a message in the kernel's log begins with that a rule wrote: for people first, and then which ACL it is exactly.
pub fn log_name(acl: &str, action: &str, id: i64) -> String {
    format!("{acl} {action} acl{id}")
}

/// Reads one rule; `None` for one that is switched off. An error says what is wrong with it.
pub fn parse_rule(acl: &NetworkAcl, rule: &NetworkAclRule) -> Result<Option<AclRule>, String> {
    let log = match rule.state.as_str() {
        "" | "enabled" | "disabled" => None,
        "logged" => Some(log_name(&acl.name, &rule.action, acl.id)),
        other => {
            return Err(format!(
                "state `{other}` is not enabled, disabled or logged"
            ));
        }
    };
    let parsed = AclRule {
        action: parse_action(&rule.action)?,
        log,
        source: parse_addresses(&rule.source)?,
        destination: parse_addresses(&rule.destination)?,
        protocol: parse_protocol(rule)?,
    };
    Ok(Some(parsed).filter(|_| rule.state != "disabled"))
}

fn parse_action(text: &str) -> Result<Action, String> {
    match text {
        "allow" => Ok(Action::Allow),
        "reject" => Ok(Action::Reject),
        "drop" => Ok(Action::Drop),
        other => Err(format!("action `{other}` is not allow, reject or drop")),
    }
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

fn parse_addresses(text: &str) -> Result<Vec<Addresses>, String> {
    list(text).map(parse_address).collect()
}

fn parse_address(text: &str) -> Result<Addresses, String> {
    let bad = || {
        format!(
            "`{text}` is not an address, a subnet such as 10.1.2.0/24, or a range FIRST-LAST of one family"
        )
    };
    if let Some((first, last)) = text.split_once('-') {
        let parse = |text: &str| text.trim().parse::<IpAddr>().map_err(|_bad| bad());
        let (first, last) = (parse(first)?, parse(last)?);
        if first.is_ipv4() != last.is_ipv4() || first > last {
            return Err(bad());
        }
        return Ok(Addresses::Range(first, last));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Addresses::Net(address.into()));
    }
    text.parse().map(Addresses::Net).map_err(|_bad| bad())
}

/// Ports and ranges of ports, joined by commas.
pub fn parse_ports(text: &str) -> Result<Vec<Ports>, String> {
    list(text).map(parse_port).collect()
}

fn parse_port(text: &str) -> Result<Ports, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let parse = |text: &str| text.trim().parse::<u16>().ok();
    match (parse(first), parse(last)) {
        (Some(first), Some(last)) if first <= last => Ok(Ports { first, last }),
        _ => Err(format!(
            "`{text}` is not a port, or a range of them such as 80-90"
        )),
    }
}

fn parse_protocol(rule: &NetworkAclRule) -> Result<Option<Protocol>, String> {
    let has_ports = !rule.source_port.is_empty() || !rule.destination_port.is_empty();
    let has_icmp = !rule.icmp_type.is_empty() || !rule.icmp_code.is_empty();
    let transport = match rule.protocol.as_str() {
        "tcp" => Some(Transport::Tcp),
        "udp" => Some(Transport::Udp),
        _ => None,
    };
    if has_ports && transport.is_none() {
        return Err("ports make sense with protocol tcp or udp only".to_owned());
    }
    if has_icmp && !rule.protocol.starts_with("icmp") {
        return Err(
            "icmp_type and icmp_code make sense with protocol icmp4 or icmp6 only".to_owned(),
        );
    }
    if let Some(transport) = transport {
        return Ok(Some(Protocol::Ports {
            transport,
            source: parse_ports(&rule.source_port)?,
            destination: parse_ports(&rule.destination_port)?,
        }));
    }
    let number = |text: &str| match text {
        "" => Ok(None),
        text => text
            .parse::<u8>()
            .map(Some)
            .map_err(|_bad| format!("`{text}` is not a number from 0 to 255")),
    };
    match rule.protocol.as_str() {
        "" => Ok(None),
        "icmp4" => Ok(Some(Protocol::Icmp4(
            number(&rule.icmp_type)?,
            number(&rule.icmp_code)?,
        ))),
        "icmp6" => Ok(Some(Protocol::Icmp6(
            number(&rule.icmp_type)?,
            number(&rule.icmp_code)?,
        ))),
        other => Err(format!(
            "protocol `{other}` is not tcp, udp, icmp4 or icmp6"
        )),
    }
}

/// Checks all rules of an ACL; an error says which.
pub fn check_acl(acl: &NetworkAcl) -> Result<(), String> {
    for (direction, rules) in [("ingress", &acl.ingress), ("egress", &acl.egress)] {
        for (number, rule) in (1..).zip(rules) {
            parse_rule(acl, rule).map_err(|error| {
                format!("ACL `{}`, {direction} rule {number}: {error}", acl.name)
            })?;
        }
    }
    if let Some(key) = acl.config.keys().find(|key| !key.starts_with("user.")) {
        return Err(format!(
            "ACL `{}` has no key `{key}`: there are those that begin with `user.`",
            acl.name
        ));
    }
    Ok(())
}

/// The names in `security.acls`.
pub fn acl_names(config: &Config) -> Vec<String> {
    let text = config.get("security.acls").map_or("", String::as_str);
    list(text).map(str::to_owned).collect()
}

/// What `security.acls` and its default actions come to; `None` where no ACL is named. An error names what is wrong.
pub fn plan_policy(config: &Config, all: &[NetworkAcl]) -> Result<Option<Policy>, String> {
    let names = acl_names(config);
    if names.is_empty() {
        return Ok(None);
    }
    let mut policy = Policy {
        ingress: Vec::new(),
        egress: Vec::new(),
        default_ingress: default(config, "ingress")?,
        default_egress: default(config, "egress")?,
    };
    for name in names {
        let acl = all
            .iter()
            .find(|acl| acl.name == name)
            .ok_or_else(|| format!("`security.acls`: there is no network ACL `{name}`"))?;
        for rule in &acl.ingress {
            policy.ingress.extend(parse_rule(acl, rule)?);
        }
        for rule in &acl.egress {
            policy.egress.extend(parse_rule(acl, rule)?);
        }
    }
    Ok(Some(policy))
}

fn default(config: &Config, direction: &str) -> Result<DefaultAction, String> {
    let key = format!("security.acls.default.{direction}.action");
    let action = match config.get(&key).map(String::as_str) {
        None | Some("") => Action::Reject,
        Some(text) => parse_action(text).map_err(|error| format!("`{key}`: {error}"))?,
    };
    let logged = crate::keys::is_true(config, &format!("security.acls.default.{direction}.logged"));
    Ok(DefaultAction {
        action,
        log: logged.then(|| format!("default-{direction}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(pairs: &[(&str, &str)]) -> NetworkAclRule {
        let object: serde_json::Map<_, _> = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).into()))
            .collect();
        serde_json::from_value(object.into()).unwrap()
    }

    #[test]
    fn rules_are_read_and_refused_by_what_is_wrong() {
        let web = NetworkAcl {
            name: "web".to_owned(),
            id: 7,
            ..NetworkAcl::default()
        };
        let parse = |pairs: &[(&str, &str)]| parse_rule(&web, &rule(pairs));
        let good = parse(&[
            ("action", "allow"),
            ("protocol", "tcp"),
            ("destination_port", "80,443,8000-8080"),
        ]);
        assert!(matches!(
            good.unwrap().unwrap().protocol,
            Some(Protocol::Ports { transport: Transport::Tcp, destination, .. }) if destination.len() == 3
        ));
        assert_eq!(
            parse(&[("action", "drop"), ("state", "disabled")]),
            Ok(None)
        );
        for (pairs, why) in [
            (&[("action", "permit")][..], "`permit`"),
            (&[("action", "drop"), ("source", "10.1.2")], "`10.1.2`"),
            (
                &[("action", "drop"), ("source", "10.0.0.9-10.0.0.1")],
                "range",
            ),
            (
                &[("action", "drop"), ("destination_port", "80")],
                "tcp or udp",
            ),
            (
                &[
                    ("action", "drop"),
                    ("protocol", "tcp"),
                    ("destination_port", "99999"),
                ],
                "`99999`",
            ),
            (&[("action", "drop"), ("protocol", "sctp")], "`sctp`"),
            (
                &[
                    ("action", "drop"),
                    ("protocol", "icmp4"),
                    ("icmp_type", "echo"),
                ],
                "`echo`",
            ),
        ] {
            let error = parse(pairs).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
