//! The zones in which the names of a subnet's addresses are, see RFC 1035, section 3.5, and RFC 3596, section 2.5; pure.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The zones that are the subnet's as a whole: several where its prefix ends within a label.
pub(super) fn zones(net: IpNet) -> Vec<String> {
    match net {
        IpNet::V4(net) => ipv4(net),
        IpNet::V6(net) => ipv6(net),
    }
}

/// The first prefix length at or behind this one where a label ends.
fn label_end(length: u8, bits: u8) -> u8 {
    length.div_ceil(bits) * bits
}

fn ipv4(net: Ipv4Net) -> Vec<String> {
    let length = label_end(net.prefix_len(), 8).max(8);
    let parts = net.trunc().subnets(length).into_iter().flatten();
    let name = |part: Ipv4Net| {
        let octets = part.network().octets();
        let labels = octets.iter().take(usize::from(length / 8)).rev();
        labels.fold(String::new(), |name, octet| format!("{name}{octet}."))
    };
    parts
        .map(|part| format!("{}in-addr.arpa", name(part)))
        .collect()
}

fn ipv6(net: Ipv6Net) -> Vec<String> {
    let length = label_end(net.prefix_len(), 4).max(4);
    let parts = net.trunc().subnets(length).into_iter().flatten();
    let name = |part: Ipv6Net| {
        let bits = u128::from(part.network());
        let labels = (0..length / 4).map(|place| bits >> (124 - 4 * u32::from(place)) & 0xf);
        labels
            .rev()
            .fold(String::new(), |name, nibble| format!("{name}{nibble:x}."))
    };
    parts
        .map(|part| format!("{}ip6.arpa", name(part)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_labels_do_or_between() {
        let zones = |text: &str| zones(text.parse().unwrap());
        assert_eq!(zones("10.77.1.1/24"), ["1.77.10.in-addr.arpa"]);
        assert_eq!(zones("10.77.1.1/16"), ["77.10.in-addr.arpa"]);
        assert_eq!(
            zones("10.77.2.1/23"),
            ["2.77.10.in-addr.arpa", "3.77.10.in-addr.arpa"]
        );
        assert_eq!(zones("10.77.1.129/25").len(), 128);
        assert_eq!(zones("10.77.1.129/25")[0], "128.1.77.10.in-addr.arpa");
        assert_eq!(
            zones("fd42:77::1/64"),
            ["0.0.0.0.0.0.0.0.7.7.0.0.2.4.d.f.ip6.arpa"]
        );
        assert_eq!(zones("fd42:77::1/66").len(), 4);
    }
}
