//! `core.https_address` and the like: what they say, and what clients can reach because of it. Pure, but for the list of interfaces.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Where LXD's clients look if they are told no port.
pub const DEFAULT_PORT: u16 = 8443;

/// An address to listen on. The unspecified one of IPv6 takes IPv4 as well.
pub type ListenAddress = SocketAddr;

/// Reads addresses separated by commas: `10.0.0.1`, `10.0.0.1:443`, `[::1]:443`, `::1`, `:8443` for all.
pub fn parse_addresses(text: &str) -> Result<Vec<ListenAddress>, String> {
    let mut all = Vec::new();
    for part in text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let address = parse_address(part, DEFAULT_PORT).ok_or_else(|| {
            format!("`{part}` is no address such as :8443, 10.0.0.1:8443 or [fd00::1]:8443")
        })?;
        if !all.contains(&address) {
            all.push(address);
        }
    }
    Ok(all)
}

/// Reads one address, which may leave out its port.
pub fn parse_address(text: &str, default_port: u16) -> Option<ListenAddress> {
    if let Some(port) = text.strip_prefix(':').filter(|rest| !rest.contains(':')) {
        return Some((Ipv6Addr::UNSPECIFIED, parse_port(port)?).into());
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((address, default_port).into());
    }
    if let Some(inside) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return Some((inside.parse::<Ipv6Addr>().ok()?, default_port).into());
    }
    let (host, port) = text.rsplit_once(':')?;
    let port = parse_port(port)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some((host.parse::<IpAddr>().ok()?, port).into())
}

/// Port 0 would be another one after each start.
fn parse_port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

/// The addresses that clients can use: an unspecified one stands for all global ones of the host.
pub fn reachable_addresses(listening: &[ListenAddress]) -> Vec<String> {
    let mut all = Vec::new();
    for address in listening {
        if address.ip().is_unspecified() {
            let v4_only = address.is_ipv4();
            let found = host_addresses();
            let usable = found.into_iter().filter(|ip| ip.is_ipv4() || !v4_only);
            all.extend(usable.map(|ip| SocketAddr::new(ip, address.port()).to_string()));
        } else {
            all.push(address.to_string());
        }
    }
    all.dedup();
    all
}

fn host_addresses() -> Vec<IpAddr> {
    let interfaces = rlxc_network::host_interfaces().unwrap_or_default();
    interfaces
        .into_iter()
        .filter(|interface| interface.up && !interface.loopback)
        .flat_map(|interface| interface.addresses)
        .filter(|address| address.scope.as_str() == "global" && !address.tentative)
        .map(|address| address.address)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let all = parse_addresses(text).unwrap();
        all.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn addresses_have_a_default_port_and_may_be_many() {
        assert_eq!(read(""), Vec::<String>::new());
        assert_eq!(read(":443"), ["[::]:443"]);
        assert_eq!(
            read("10.0.0.1, ::1,[fd00::1]:9,[::2]"),
            ["10.0.0.1:8443", "[::1]:8443", "[fd00::1]:9", "[::2]:8443"]
        );
        assert_eq!(read("0.0.0.0:1,0.0.0.0:1"), ["0.0.0.0:1"]);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "there",
            "10.0.0.1:x",
            ":",
            ":0",
            "[::1",
            "10.0.0.256",
            "a:1",
            "1.2.3.4:70000",
        ] {
            assert!(parse_addresses(text).is_err(), "{text}");
        }
    }
}
