//! From forwards, as users write them, to what the packet filter takes. Pure.

use std::net::IpAddr;

use ipnet::IpNet;
use rlxc_api::NetworkForwardPort;
use rlxc_network::firewall::{Dnat, Ports, Transport};

use super::acl::parse_ports;
use crate::model::NetworkForward;

/// Reads a forward of a network with these subnets; the rules for ports first. An error says what is wrong.
pub fn plan_forward(forward: &NetworkForward, subnets: &[IpNet]) -> Result<Vec<Dnat>, String> {
    let listen = parse_listen(&forward.listen_address)?;
    if let Some(key) = forward
        .config
        .keys()
        .find(|key| !key.starts_with("user.") && *key != "target_address")
    {
        return Err(format!(
            "unknown key `{key}` of a forward: there are `target_address` and `user.*`"
        ));
    }
    let mut rules = Vec::new();
    let mut taken: Vec<(Transport, Ports)> = Vec::new();
    for port in &forward.ports {
        for rule in plan_port(listen, port, subnets)? {
            if let Some(ports) = rule.ports {
                let clash = taken.iter().find(|(transport, other)| {
                    *transport == ports.0
                        && other.first <= ports.1.last
                        && ports.1.first <= other.last
                });
                if let Some((transport, other)) = clash {
                    return Err(format!(
                        "{} port {other} is forwarded twice",
                        transport.as_str()
                    ));
                }
                taken.push(ports);
            }
            rules.push(rule);
        }
    }
    if let Some(text) = forward
        .config
        .get("target_address")
        .filter(|text| !text.is_empty())
    {
        rules.push(Dnat {
            listen: Some(listen),
            ports: None,
            target: parse_target(text, listen, subnets)?,
            target_ports: None,
        });
    }
    Ok(rules)
}

/// The address that a forward listens on.
pub fn parse_listen(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text
        .parse()
        .map_err(|_bad| format!("listen address `{text}` is not an IP address"))?;
    if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
        return Err(format!(
            "nothing can be forwarded from `{text}`: it must be one address that others reach"
        ));
    }
    Ok(address)
}

fn parse_target(text: &str, listen: IpAddr, subnets: &[IpNet]) -> Result<IpAddr, String> {
    let address: IpAddr = text
        .parse()
        .map_err(|_bad| format!("target address `{text}` is not an IP address"))?;
    if address.is_ipv4() != listen.is_ipv4() {
        return Err(format!(
            "target address `{text}` is of another family than `{listen}`"
        ));
    }
    if !subnets.iter().any(|subnet| subnet.contains(&address)) {
        let subnets: Vec<String> = subnets.iter().map(IpNet::to_string).collect();
        return Err(format!(
            "target address `{text}` lies outside the network's subnets ({})",
            subnets.join(", ")
        ));
    }
    Ok(address)
}

fn plan_port(
    listen: IpAddr,
    port: &NetworkForwardPort,
    subnets: &[IpNet],
) -> Result<Vec<Dnat>, String> {
    let transport = match port.protocol.as_str() {
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        other => return Err(format!("protocol `{other}` is not tcp or udp")),
    };
    let target = parse_target(&port.target_address, listen, subnets)?;
    let from = parse_ports(&port.listen_port)?;
    let to = parse_ports(&port.target_port)?;
    if from.iter().chain(&to).any(|ports| ports.first == 0) {
        return Err("there is no port 0".to_owned());
    }
    if from.is_empty() {
        return Err("a forwarded port needs `listen_port`".to_owned());
    }
    let pairs = pair(&from, &to).ok_or_else(|| {
        format!(
            "`{}` can't be forwarded to `{}`: there must be one target port, or as many as listen ports",
            port.listen_port, port.target_port
        )
    })?;
    let rule = |(from, to)| Dnat {
        listen: Some(listen),
        ports: Some((transport, from)),
        target,
        target_ports: to,
    };
    Ok(pairs.into_iter().map(rule).collect())
}

/// Which ports go to which; `None` if they do not fit together.
pub fn pair(from: &[Ports], to: &[Ports]) -> Option<Vec<(Ports, Option<Ports>)>> {
    let count = |all: &[Ports]| all.iter().map(|ports| ports.count()).sum::<u32>();
    if to.is_empty() || from == to {
        return Some(from.iter().map(|ports| (*ports, None)).collect());
    }
    if count(to) == 1 {
        return Some(from.iter().map(|ports| (*ports, Some(to[0]))).collect());
    }
    if count(from) != count(to) {
        return None;
    }
    // The filter does not map a range onto another one port by port: each gets a rule of its own.
    let each = |all: &[Ports]| -> Vec<Ports> {
        all.iter()
            .flat_map(|ports| ports.first..=ports.last)
            .map(|port| Ports {
                first: port,
                last: port,
            })
            .collect()
    };
    Some(
        each(from)
            .into_iter()
            .zip(each(to).into_iter().map(Some))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(ports: &[(&str, &str, &str, &str)]) -> NetworkForward {
        let ports = ports
            .iter()
            .map(|(protocol, listen, target, address)| NetworkForwardPort {
                protocol: (*protocol).to_owned(),
                listen_port: (*listen).to_owned(),
                target_port: (*target).to_owned(),
                target_address: (*address).to_owned(),
                ..NetworkForwardPort::default()
            });
        NetworkForward {
            listen_address: "192.0.2.10".to_owned(),
            ports: ports.collect(),
            ..NetworkForward::default()
        }
    }

    fn plan(ports: &[(&str, &str, &str, &str)]) -> Result<Vec<Dnat>, String> {
        plan_forward(&forward(ports), &["10.1.2.0/24".parse().unwrap()])
    }

    #[test]
    fn ports_go_to_one_or_to_as_many() {
        assert_eq!(
            plan(&[("tcp", "80,90-91", "8080", "10.1.2.3")])
                .unwrap()
                .len(),
            2
        );
        let each = plan(&[("tcp", "80-82", "90-91,99", "10.1.2.3")]).unwrap();
        let last = each.last().unwrap();
        assert_eq!((each.len(), last.target_ports.unwrap().first), (3, 99));
        assert_eq!(
            plan(&[("udp", "53", "", "10.1.2.3")]).unwrap()[0].target_ports,
            None
        );
    }

    #[test]
    fn says_what_is_wrong() {
        for (port, why) in [
            (("tcp", "80-82", "90-91", "10.1.2.3"), "as many as"),
            (("tcp", "80", "", "10.9.2.3"), "lies outside"),
            (("tcp", "80", "", "fd42::1"), "another family"),
            (("sctp", "80", "", "10.1.2.3"), "`sctp`"),
            (("tcp", "", "", "10.1.2.3"), "`listen_port`"),
        ] {
            let error = plan(&[port]).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let twice = [
            ("tcp", "80-90", "", "10.1.2.3"),
            ("tcp", "85", "", "10.1.2.4"),
        ];
        assert!(plan(&twice).unwrap_err().contains("twice"));
    }
}
