//! Choice of subnets and addresses. Pure: what is taken and the seed come from the caller.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use crate::Mac;
use crate::mac::mix;

/// How many candidates of IPv6 are tried; with 2^56 subnets the second one is never needed in practice.
const IPV6_TRIES: u64 = 64;

/// A gateway address `10.x.y.1/24` whose subnet overlaps nothing in `taken`; `None` if all 65,536 do.
///
/// `taken` should hold the subnets of all routes and addresses of the host and of all managed networks. Default routes
/// in it are ignored: they overlap everything.
pub fn pick_ipv4_subnet(taken: &[Ipv4Net], seed: u64) -> Option<Ipv4Net> {
    let [high, low, ..] = mix(seed).to_be_bytes();
    let start = u16::from_be_bytes([high, low]);
    (0..=u16::MAX)
        .map(|step| start.wrapping_add(step).to_be_bytes())
        .filter_map(|[x, y]| Ipv4Net::new(Ipv4Addr::new(10, x, y, 1), 24).ok())
        .find(|net| {
            taken
                .iter()
                .filter(|other| other.prefix_len() > 0)
                .all(|other| {
                    !overlaps(
                        net.contains(&other.network()),
                        other.contains(&net.network()),
                    )
                })
        })
}

/// A gateway address `fd42:x:y:z::1/64` (RFC 4193) whose subnet overlaps nothing in `taken`.
pub fn pick_ipv6_subnet(taken: &[Ipv6Net], seed: u64) -> Option<Ipv6Net> {
    (0..IPV6_TRIES)
        .map(|step| mix(seed.wrapping_add(step)).to_be_bytes())
        .filter_map(|[a, b, c, d, e, f, ..]| {
            let [x, y, z] = [[a, b], [c, d], [e, f]].map(u16::from_be_bytes);
            Ipv6Net::new(Ipv6Addr::new(0xfd42, x, y, z, 0, 0, 0, 1), 64).ok()
        })
        .find(|net| {
            taken
                .iter()
                .filter(|other| other.prefix_len() > 0)
                .all(|other| {
                    !overlaps(
                        net.contains(&other.network()),
                        other.contains(&net.network()),
                    )
                })
        })
}

/// Two subnets overlap where one contains the other's first address.
fn overlaps(a_has_b: bool, b_has_a: bool) -> bool {
    a_has_b || b_has_a
}

/// The addresses that DHCP may hand out: all of the subnet but network, broadcast and the gateway, in one or two runs.
pub fn dhcp_ranges(gateway: Ipv4Net) -> Vec<(Ipv4Addr, Ipv4Addr)> {
    let (network, broadcast) = (u32::from(gateway.network()), u32::from(gateway.broadcast()));
    let own = u32::from(gateway.addr());
    let (Some(first), Some(last)) = (network.checked_add(1), broadcast.checked_sub(1)) else {
        return Vec::new();
    };
    let below = (first, own.saturating_sub(1).min(last));
    let above = (own.saturating_add(1).max(first), last);
    [below, above]
        .into_iter()
        .filter(|(from, to)| from <= to)
        .map(|(from, to)| (from.into(), to.into()))
        .collect()
}

/// The first address in `ranges` that `is_taken` lets go, beginning after `last` and wrapping around, so that an
/// address that was just given back rests as long as possible.
pub fn next_free_address(
    ranges: &[(Ipv4Addr, Ipv4Addr)],
    last: Option<Ipv4Addr>,
    is_taken: impl Fn(Ipv4Addr) -> bool,
) -> Option<Ipv4Addr> {
    let all = || {
        ranges
            .iter()
            .flat_map(|(from, to)| u32::from(*from)..=u32::from(*to))
            .map(Ipv4Addr::from)
    };
    let after = all()
        .filter(|address| last.is_none_or(|last| *address > last))
        .find(|address| !is_taken(*address));
    after.or_else(|| all().find(|address| !is_taken(*address)))
}

/// The address that SLAAC gives an interface (RFC 4291, appendix A); the prefix is cut to 64 bits.
pub fn eui64(prefix: Ipv6Net, mac: Mac) -> Ipv6Addr {
    let mut host = [0, 0, 0, 0xff, 0xfe, 0, 0, 0];
    host[..3].copy_from_slice(&mac.0[..3]);
    host[5..].copy_from_slice(&mac.0[3..]);
    host[0] ^= 2;
    let network = u128::from(prefix.addr()) >> 64 << 64;
    Ipv6Addr::from(network | u128::from(u64::from_be_bytes(host)))
}

/// The link-local address of an interface, `fe80::` and its EUI-64.
pub fn link_local(mac: Mac) -> Ipv6Addr {
    eui64(
        Ipv6Net::from(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)),
        mac,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn net4() -> impl Strategy<Value = Ipv4Net> {
        (any::<u32>(), 1u8..=32)
            .prop_map(|(address, length)| Ipv4Net::new(address.into(), length).unwrap())
    }

    proptest! {
        #[test]
        fn a_picked_subnet_overlaps_nothing(taken in prop::collection::vec(net4(), 0..50), seed: u64) {
            if let Some(net) = pick_ipv4_subnet(&taken, seed) {
                prop_assert_eq!(net.prefix_len(), 24);
                prop_assert_eq!(net.addr().octets()[0], 10);
                prop_assert_eq!(net.addr().octets()[3], 1);
                for other in &taken {
                    prop_assert!(!net.contains(&other.network()) && !other.contains(&net.network()));
                }
            } else {
                prop_assert!(taken.iter().any(|net| net.prefix_len() <= 16));
            }
        }

        #[test]
        fn ipv6_subnets_are_unique_local(seed: u64) {
            let net = pick_ipv6_subnet(&[], seed).unwrap();
            prop_assert!(net.addr().is_unique_local());
            let next = pick_ipv6_subnet(&[net.trunc()], seed).unwrap();
            prop_assert_ne!(net, next);
        }

        #[test]
        fn ranges_cover_the_subnet_but_three(address: u32, length in 8u8..=30) {
            let gateway = Ipv4Net::new(address.into(), length).unwrap();
            let ranges = dhcp_ranges(gateway);
            let is_edge = gateway.addr() == gateway.network() || gateway.addr() == gateway.broadcast();
            let count: u32 = ranges.iter().map(|(from, to)| u32::from(*to) - u32::from(*from) + 1).sum();
            prop_assert_eq!(count, (1u32 << (32 - length)) - if is_edge { 2 } else { 3 });
            prop_assert!(!ranges.iter().any(|(from, to)| (*from..=*to).contains(&gateway.addr())));
        }

        #[test]
        fn addresses_are_given_once_each(count in 1usize..40) {
            let ranges = [(Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 11)),
                          (Ipv4Addr::new(10, 0, 0, 20), Ipv4Addr::new(10, 0, 0, 29))];
            let mut given: Vec<Ipv4Addr> = Vec::new();
            for _ in 0..count {
                let next = next_free_address(&ranges, given.last().copied(), |address| given.contains(&address));
                prop_assert_eq!(next.is_some(), given.len() < 20);
                given.extend(next);
            }
            prop_assert_eq!(given.len(), count.min(20));
        }
    }

    #[test]
    fn a_returned_address_rests() {
        let ranges = [(Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 4))];
        let next = next_free_address(&ranges, Some(Ipv4Addr::new(10, 0, 0, 2)), |_| false);
        assert_eq!(next, Some(Ipv4Addr::new(10, 0, 0, 3)));
        let wrapped = next_free_address(&ranges, Some(Ipv4Addr::new(10, 0, 0, 4)), |_| false);
        assert_eq!(wrapped, Some(Ipv4Addr::new(10, 0, 0, 2)));
    }

    #[test]
    fn default_routes_take_nothing() {
        assert!(pick_ipv4_subnet(&["0.0.0.0/0".parse().unwrap()], 1).is_some());
        assert!(pick_ipv4_subnet(&["10.0.0.0/8".parse().unwrap()], 1).is_none());
    }

    #[test]
    fn eui64_as_in_the_rfc() {
        let mac = "34:56:78:9a:bc:de".parse().unwrap();
        let prefix = "fd42:1:2:3::1/64".parse().unwrap();
        assert_eq!(
            eui64(prefix, mac),
            "fd42:1:2:3:3656:78ff:fe9a:bcde"
                .parse::<Ipv6Addr>()
                .unwrap()
        );
        assert_eq!(
            link_local(mac),
            "fe80::3656:78ff:fe9a:bcde".parse::<Ipv6Addr>().unwrap()
        );
    }
}
