//! From the keys of a managed network to the bridge that it is.

use std::net::Ipv4Addr;

use ipnet::{Ipv4Net, Ipv6Net};
use rlxc_network::{BridgeSpec, DnsMode, Mac};

use crate::model::Config;

/// Every key that a bridge network may have, apart from `user.*`.
pub const KEYS: &[&str] = &[
    "bridge.hwaddr",
    "bridge.mtu",
    "dns.domain",
    "dns.mode",
    "ipv4.address",
    "ipv4.dhcp",
    "ipv4.dhcp.expiry",
    "ipv4.dhcp.ranges",
    "ipv4.firewall",
    "ipv4.nat",
    "ipv6.address",
    "ipv6.dhcp",
    "ipv6.dhcp.stateful",
    "ipv6.firewall",
    "ipv6.nat",
    "raw.dnsmasq",
];

/// Reads the configuration of network `name`; an error says which key is wrong and what it should look like.
pub fn bridge_spec(name: &str, config: &Config) -> Result<BridgeSpec, String> {
    check_keys(config)?;
    let ipv4: Option<Ipv4Net> = address(config, "ipv4.address", "10.1.2.1/24")?;
    let ipv6: Option<Ipv6Net> = address(config, "ipv6.address", "fd42::1/64")?;
    Ok(BridgeSpec {
        name: name.to_owned(),
        ipv4,
        ipv6,
        ipv4_nat: flag(config, "ipv4.nat", false)?,
        ipv6_nat: flag(config, "ipv6.nat", false)?,
        ipv4_firewall: flag(config, "ipv4.firewall", true)?,
        ipv6_firewall: flag(config, "ipv6.firewall", true)?,
        ipv4_dhcp: flag(config, "ipv4.dhcp", true)?,
        ipv6_dhcp: flag(config, "ipv6.dhcp", true)?,
        ipv6_stateful: flag(config, "ipv6.dhcp.stateful", false)?,
        ipv4_dhcp_ranges: ranges(config, ipv4)?,
        dhcp_expiry: expiry(config)?,
        mtu: parsed(config, "bridge.mtu", "a number such as 1500")?,
        hwaddr: parsed::<Mac>(
            config,
            "bridge.hwaddr",
            "an address such as 00:16:3e:01:02:03",
        )?,
        dns_domain: domain(config)?,
        dns_mode: dns_mode(config)?,
        raw_dnsmasq: text(config, "raw.dnsmasq"),
    })
}

fn check_keys(config: &Config) -> Result<(), String> {
    let unknown = config
        .keys()
        .find(|key| !key.starts_with("user.") && !KEYS.contains(&key.as_str()));
    match unknown {
        Some(key) => Err(format!(
            "unknown network key `{key}`{}",
            super::keys::did_you_mean(key, KEYS.iter().copied())
        )),
        None => Ok(()),
    }
}

fn text(config: &Config, key: &str) -> Option<String> {
    config.get(key).filter(|value| !value.is_empty()).cloned()
}

fn parsed<T: std::str::FromStr>(
    config: &Config,
    key: &str,
    example: &str,
) -> Result<Option<T>, String> {
    text(config, key)
        .map(|value| {
            value
                .parse()
                .map_err(|_bad| format!("`{key}={value}` is not {example}"))
        })
        .transpose()
}

fn address<T: std::str::FromStr>(
    config: &Config,
    key: &str,
    example: &str,
) -> Result<Option<T>, String> {
    match config.get(key).map(String::as_str) {
        None | Some("none" | "") => Ok(None),
        Some(_) => parsed(
            config,
            key,
            &format!("`none`, `auto`, or an address with its prefix such as {example}"),
        ),
    }
}

fn flag(config: &Config, key: &str, default: bool) -> Result<bool, String> {
    match text(config, key) {
        None => Ok(default),
        Some(value) => super::keys::parse_bool(&value)
            .ok_or_else(|| format!("`{key}={value}` is neither true nor false")),
    }
}

/// A lease time as dnsmasq reads it.
fn expiry(config: &Config) -> Result<Option<String>, String> {
    let Some(text) = text(config, "ipv4.dhcp.expiry") else {
        return Ok(None);
    };
    let digits = text
        .strip_suffix(['s', 'm', 'h', 'd', 'w'])
        .unwrap_or(&text);
    let valid = text == "infinite"
        || (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()));
    if valid {
        Ok(Some(text))
    } else {
        Err(format!(
            "`ipv4.dhcp.expiry={text}` is not a time such as 45m, 1h or infinite"
        ))
    }
}

fn domain(config: &Config) -> Result<Option<String>, String> {
    let Some(text) = text(config, "dns.domain") else {
        return Ok(None);
    };
    let label = |label: &str| {
        let fits =
            (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-');
        fits && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let valid = text.len() < 254 && text.split('.').all(label);
    if valid {
        Ok(Some(text))
    } else {
        Err(format!(
            "`dns.domain={text}` is not a domain name such as lab.example"
        ))
    }
}

fn dns_mode(config: &Config) -> Result<DnsMode, String> {
    match config.get("dns.mode").map(String::as_str) {
        None | Some("" | "managed") => Ok(DnsMode::Managed),
        Some("dynamic") => Ok(DnsMode::Dynamic),
        Some("none") => Ok(DnsMode::None),
        Some(other) => Err(format!(
            "`dns.mode={other}` is not managed, dynamic or none"
        )),
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
