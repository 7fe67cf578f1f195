//! From the keys of a managed network to the bridge that it is.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use rlxc_network::{BridgeSpec, DnsMode, Mac};

use crate::keys;
use crate::model::Config;

/// The least MTU of IPv6, RFC 8200, section 5.
const IPV6_MTU: u32 = 1280;

/// Reads the configuration of network `name`; an error says which key is wrong and what it should look like.
pub fn bridge_spec(name: &str, config: &Config) -> Result<BridgeSpec, String> {
    keys::network::BRIDGE.check(config)?;
    let ipv4: Option<Ipv4Net> = address(config, "ipv4.address")?;
    let ipv6: Option<Ipv6Net> = address(config, "ipv6.address")?;
    check_hosts(ipv4, ipv6)?;
    check_sizes(ipv4, ipv6)?;
    let mtu: Option<u32> = parsed(config, "bridge.mtu")?;
    if let (Some(mtu), Some(_)) = (mtu.filter(|mtu| *mtu < IPV6_MTU), ipv6) {
        return Err(format!(
            "`bridge.mtu={mtu}`: IPv6 needs an MTU of at least {IPV6_MTU}: set `ipv6.address=none`"
        ));
    }
    Ok(BridgeSpec {
        name: name.to_owned(),
        ipv4,
        ipv6,
        ipv4_nat_address: parsed(config, "ipv4.nat.address")?,
        ipv6_nat_address: parsed(config, "ipv6.nat.address")?,
        external_interfaces: parts(config, "bridge.external_interfaces"),
        routes: ["ipv4.routes", "ipv6.routes"]
            .into_iter()
            .flat_map(|key| parts(config, key))
            .filter_map(|text| text.parse().ok())
            .collect(),
        ipv4_nat: flag(config, "ipv4.nat", false),
        ipv6_nat: flag(config, "ipv6.nat", false),
        ipv4_firewall: flag(config, "ipv4.firewall", true),
        ipv6_firewall: flag(config, "ipv6.firewall", true),
        ipv4_dhcp: flag(config, "ipv4.dhcp", true),
        ipv6_dhcp: flag(config, "ipv6.dhcp", true),
        ipv6_stateful: flag(config, "ipv6.dhcp.stateful", false),
        ipv4_dhcp_ranges: ranges(config, ipv4)?,
        dhcp_expiry: text(config, "ipv4.dhcp.expiry"),
        mtu,
        hwaddr: parsed::<Mac>(config, "bridge.hwaddr")?,
        dns_domain: text(config, "dns.domain"),
        dns_mode: dns_mode(config),
        raw_dnsmasq: text(config, "raw.dnsmasq"),
    })
}

/// The bridge has an address of a host, not that of the subnet or of all in it.
fn check_hosts(ipv4: Option<Ipv4Net>, ipv6: Option<Ipv6Net>) -> Result<(), String> {
    if let Some(net) = ipv4.filter(|net| is_no_hosts4(net.addr())) {
        return Err(format!(
            "`ipv4.address={net}`: no bridge can have this address, take one such as 10.1.2.1/24"
        ));
    }
    if let Some(net) = ipv6.filter(|net| is_no_hosts6(net.addr())) {
        return Err(format!(
            "`ipv6.address={net}`: no bridge can have this address, take one such as fd42::1/64"
        ));
    }
    let small4 = |net: &Ipv4Net| net.prefix_len() > 30;
    if let Some(net) = ipv4.filter(|net| !small4(net))
        && [net.network(), net.broadcast()].contains(&net.addr())
    {
        return Err(format!(
            "`ipv4.address={net}`: no host can have this address, take another of the subnet"
        ));
    }
    match ipv6.filter(|net| net.prefix_len() < 127 && net.network() == net.addr()) {
        Some(net) => Err(format!(
            "`ipv6.address={net}`: no host can have this address, take another of the subnet"
        )),
        None => Ok(()),
    }
}

/// Loopback, multicast, "this network" and what is reserved, RFC 6890.
fn is_no_hosts4(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first == 0 || first >= 224 || address.is_loopback()
}

/// Loopback, multicast, nothing, and what only one link knows.
fn is_no_hosts6(address: Ipv6Addr) -> bool {
    address.is_loopback()
        || address.is_multicast()
        || address.is_unspecified()
        || address.is_unicast_link_local()
}

/// A network has room for instances, and is not the world.
fn check_sizes(ipv4: Option<Ipv4Net>, ipv6: Option<Ipv6Net>) -> Result<(), String> {
    if let Some(net) = ipv4.filter(|net| !(8..=31).contains(&net.prefix_len())) {
        return Err(format!(
            "`ipv4.address={net}`: the prefix of a network is 8 to 31 bits, such as 10.1.2.1/24"
        ));
    }
    match ipv6.filter(|net| !(64..=127).contains(&net.prefix_len())) {
        Some(net) => Err(format!(
            "`ipv6.address={net}`: the prefix of a network is 64 to 127 bits, such as fd42::1/64, as dnsmasq serves no larger one"
        )),
        None => Ok(()),
    }
}

fn text(config: &Config, key: &str) -> Option<String> {
    config.get(key).filter(|value| !value.is_empty()).cloned()
}

/// What is joined by commas.
fn parts(config: &Config, key: &str) -> Vec<String> {
    let text = config.get(key).map_or("", String::as_str);
    let parts = text.split(',').map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A value that the table of keys let pass.
fn parsed<T: std::str::FromStr>(config: &Config, key: &str) -> Result<Option<T>, String> {
    let read = |value: String| {
        value
            .parse()
            .map_err(|_bad| format!("`{key}={value}` can't be read"))
    };
    text(config, key).map(read).transpose()
}

fn address<T: std::str::FromStr>(config: &Config, key: &str) -> Result<Option<T>, String> {
    match config.get(key).map(String::as_str) {
        None | Some("none") => Ok(None),
        Some(_) => parsed(config, key),
    }
}

fn flag(config: &Config, key: &str, default: bool) -> bool {
    let set = config.get(key).and_then(|value| keys::parse_bool(value));
    set.unwrap_or(default)
}

fn dns_mode(config: &Config) -> DnsMode {
    match config.get("dns.mode").map(String::as_str) {
        Some("dynamic") => DnsMode::Dynamic,
        Some("none") => DnsMode::None,
        _ => DnsMode::Managed,
    }
}

fn ranges(config: &Config, subnet: Option<Ipv4Net>) -> Result<Vec<(Ipv4Addr, Ipv4Addr)>, String> {
    let Some(text) = text(config, "ipv4.dhcp.ranges") else {
        return Ok(Vec::new());
    };
    let bad = |why: &str| format!("`ipv4.dhcp.ranges={text}`: {why}");
    text.split(',')
        .map(|range| {
            let (first, last) = range
                .trim()
                .split_once('-')
                .ok_or_else(|| bad("a range is FIRST-LAST"))?;
            let first: Ipv4Addr = first
                .trim()
                .parse()
                .map_err(|_bad| bad("the first address is none"))?;
            let last: Ipv4Addr = last
                .trim()
                .parse()
                .map_err(|_bad| bad("the last address is none"))?;
            let inside =
                subnet.is_some_and(|subnet| subnet.contains(&first) && subnet.contains(&last));
            if !inside {
                return Err(bad("the range lies outside the subnet"));
            }
            if first > last {
                return Err(bad("the first address comes after the last"));
            }
            Ok((first, last))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(pairs: &[(&str, &str)]) -> Result<BridgeSpec, String> {
        let config = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        bridge_spec("br0", &config)
    }

    #[test]
    fn reads_addresses_and_flags() {
        let spec = spec(&[
            ("ipv4.address", "10.1.2.1/24"),
            ("ipv4.nat", "true"),
            ("ipv6.address", "none"),
        ])
        .unwrap();
        assert_eq!(spec.ipv4, Some("10.1.2.1/24".parse().unwrap()));
        assert!(spec.ipv4_nat && spec.ipv4_dhcp && spec.ipv6.is_none());
    }

    #[test]
    fn names_the_wrong_key() {
        for (key, value) in [
            ("ipv4.address", "10.1.2.0/24"),
            ("ipv4.address", "10.1.2.255/24"),
            ("ipv6.address", "fd42::/64"),
            ("ipv4.address", "127.0.0.1/8"),
            ("ipv4.address", "224.0.0.1/24"),
            ("ipv4.address", "0.0.0.0/24"),
            ("ipv4.address", "10.1.2.3/32"),
            ("ipv4.address", "10.1.2.3/7"),
            ("ipv6.address", "fe80::1/64"),
            ("ipv6.address", "ff02::1/64"),
            ("ipv6.address", "::1/64"),
            ("ipv6.address", "fd42::1/56"),
            ("ipv6.address", "fd42::1/128"),
        ] {
            assert!(spec(&[(key, value)]).unwrap_err().contains(value));
        }
        let narrow = [("bridge.mtu", "1200"), ("ipv6.address", "fd42::1/64")];
        assert!(spec(&narrow).unwrap_err().contains("1280"));
        assert!(spec(&narrow[..1]).is_ok());
        assert!(spec(&[("ipv4.address", "10.1.2.0/31")]).is_ok());
        assert_eq!(
            spec(&[("ipv4.addres", "x")]).unwrap_err(),
            "unknown network key `ipv4.addres`. Did you mean `ipv4.address`?"
        );
        assert!(
            spec(&[("ipv4.address", "10.1.2.1")])
                .unwrap_err()
                .contains("10.1.2.1/24")
        );
        assert!(
            spec(&[("ipv4.nat", "perhaps")])
                .unwrap_err()
                .contains("neither true nor false")
        );
        assert!(
            spec(&[
                ("ipv4.address", "10.1.2.1/24"),
                ("ipv4.dhcp.ranges", "10.9.9.1-10.9.9.2")
            ])
            .unwrap_err()
            .contains("outside")
        );
    }
}
