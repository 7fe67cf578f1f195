//! How a NIC reaches the world: from the keys of its device, or from the network that it is on. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;
use rlxc_network::{MacvlanMode, PortVlans, Untagged};

use crate::model::{Config, Network};

/// Where instances of routed NICs send their packets, as in LXD.
const HOST_IPV4: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 1);
const HOST_IPV6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// How a NIC reaches the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attachment {
    /// A port of a bridge.
    Bridged(PortVlans),
    /// A veth pair whose end on the host stands alone.
    P2p,
    /// The same, with addresses that the host sends to it.
    Routed(Routed),
    /// An interface of its own on one of the host's.
    Macvlan {
        /// The host's.
        parent: Parent,
        /// How it reaches others there.
        mode: MacvlanMode,
    },
    /// An interface of the host, lent.
    Physical(Parent),
    /// The same of an RDMA adapter, whose nodes come with it.
    Infiniband(Parent),
}

/// An interface of the host, or one VLAN of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// The interface.
    pub name: String,
    /// The VLAN.
    pub vlan: Option<u16>,
}

impl Parent {
    /// The interface that stands for it.
    pub fn interface(&self) -> String {
        match self.vlan {
            Some(id) => rlxc_network::links::vlan_name(&self.name, id),
            None => self.name.clone(),
        }
    }
}

/// What a routed NIC has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routed {
    /// Where the host answers for its addresses.
    pub parent: Option<Parent>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The host's, one of each family that it has.
    pub host_addresses: Vec<IpAddr>,
    /// Those of them that lead everywhere.
    pub gateways: Vec<IpAddr>,
    /// More routing tables of the host.
    pub tables: [Option<u32>; 2],
}

impl Attachment {
    /// LXD's word for it, which is the value of `nictype`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bridged(_) => "bridged",
            Self::P2p => "p2p",
            Self::Routed(_) => "routed",
            Self::Macvlan { .. } => "macvlan",
            Self::Physical(_) | Self::Infiniband(_) => "physical",
        }
    }

    /// Whether there is a veth pair with an end on the host, which the packet filter and limits need.
    pub fn has_host_end(&self) -> bool {
        matches!(self, Self::Bridged(_) | Self::P2p | Self::Routed(_))
    }

    /// What a NIC on a managed network is, by the type of the network.
    pub fn on(network: &Network, keys: Self) -> Result<Self, String> {
        match network.kind.as_str() {
            "macvlan" => Ok(Self::Macvlan {
                parent: parent(&network.config)?,
                mode: mode(&network.config),
            }),
            "physical" => Ok(Self::Physical(parent(&network.config)?)),
            _ => Ok(keys),
        }
    }
}

/// Reads the keys of a NIC; an error is the end of a sentence that begins with the device.
pub fn parse(keys: &Config) -> Result<Attachment, String> {
    if keys.get("type").is_some_and(|kind| kind == "infiniband") {
        return parent(keys).map(Attachment::Infiniband);
    }
    if keys.contains_key("network") {
        return Ok(Attachment::Bridged(port_vlans(keys)?));
    }
    let needs_parent = |what: &str| match keys.get("parent") {
        Some(name) if !name.is_empty() => Ok(()),
        _ => Err(format!(
            "a NIC of type {what} needs `parent`, an interface of the host"
        )),
    };
    match keys.get("nictype").map_or("", String::as_str) {
        "bridged" => {
            needs_parent("bridged")?;
            Ok(Attachment::Bridged(port_vlans(keys)?))
        }
        "p2p" => Ok(Attachment::P2p),
        "routed" => routed(keys).map(Attachment::Routed),
        "macvlan" => {
            needs_parent("macvlan")?;
            let (parent, mode) = (parent(keys)?, mode(keys));
            Ok(Attachment::Macvlan { parent, mode })
        }
        "physical" => {
            needs_parent("physical")?;
            parent(keys).map(Attachment::Physical)
        }
        "" => Err("a NIC needs `network`, or `nictype`, in most cases with `parent`".to_owned()),
        other => Err(format!(
            "nictype `{other}` is not known here: there are bridged, macvlan, p2p, physical and routed"
        )),
    }
}

fn parent(keys: &Config) -> Result<Parent, String> {
    let name = keys.get("parent").cloned().unwrap_or_default();
    let vlan = keys.get("vlan").map(|text| vlan_id(text)).transpose()?;
    Ok(Parent { name, vlan })
}

/// The modes of macvlans by LXD's names.
pub const MODES: &[&str] = &["bridge", "vepa", "passthru", "private"];

fn mode(keys: &Config) -> MacvlanMode {
    match keys.get("mode").map(String::as_str) {
        Some("vepa") => MacvlanMode::Vepa,
        Some("private") => MacvlanMode::Private,
        Some("passthru") => MacvlanMode::Passthru,
        _ => MacvlanMode::Bridge,
    }
}

fn vlan_id(text: &str) -> Result<u16, String> {
    let id = text.trim().parse().ok();
    id.filter(|id| (1..=4094).contains(id))
        .ok_or_else(|| format!("`{text}` is not a VLAN, a number from 1 to 4094"))
}

fn port_vlans(keys: &Config) -> Result<PortVlans, String> {
    let untagged = match keys.get("vlan").map(String::as_str) {
        None | Some("") => Untagged::Default,
        Some("none") => Untagged::Dropped,
        Some(text) => Untagged::Of(vlan_id(text)?),
    };
    let mut tagged = Vec::new();
    for part in parts(keys, "vlan.tagged") {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (vlan_id(first)?, vlan_id(last)?);
        if first > last {
            return Err(format!(
                "`vlan.tagged={part}`: the first VLAN comes after the last"
            ));
        }
        tagged.extend(first..=last);
    }
    if let Untagged::Of(own) = untagged
        && tagged.contains(&own)
    {
        return Err(format!("VLAN {own} is both in `vlan` and in `vlan.tagged`"));
    }
    Ok(PortVlans { untagged, tagged })
}

fn routed(keys: &Config) -> Result<Routed, String> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    addresses.extend(each::<Ipv4Addr>(keys, "ipv4.address")?.map(IpAddr::from));
    addresses.extend(each::<Ipv6Addr>(keys, "ipv6.address")?.map(IpAddr::from));
    if addresses.is_empty() {
        return Err("a routed NIC needs `ipv4.address` or `ipv6.address`".to_owned());
    }
    let ipv4 = one(keys, "ipv4.host_address")?.unwrap_or(HOST_IPV4);
    let ipv6 = one(keys, "ipv6.host_address")?.unwrap_or(HOST_IPV6);
    let mut host_addresses = vec![IpAddr::from(ipv4), IpAddr::from(ipv6)];
    host_addresses.retain(|host| addresses.iter().any(|own| own.is_ipv4() == host.is_ipv4()));
    let leads = |host: &IpAddr| {
        let key = if host.is_ipv4() {
            "ipv4.gateway"
        } else {
            "ipv6.gateway"
        };
        keys.get(key).is_none_or(|text| text != "none")
    };
    let gateways = host_addresses.iter().copied().filter(leads).collect();
    let has_parent = keys.get("parent").is_some_and(|name| !name.is_empty());
    Ok(Routed {
        parent: has_parent.then(|| parent(keys)).transpose()?,
        addresses,
        gateways,
        host_addresses,
        tables: [one(keys, "ipv4.host_table")?, one(keys, "ipv6.host_table")?],
    })
}

fn parts<'a>(keys: &'a Config, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    let text = keys.get(key).map_or("", String::as_str);
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

fn each<'a, T: FromStr>(keys: &'a Config, key: &str) -> Result<std::vec::IntoIter<T>, String> {
    let read = |part: &'a str| {
        part.parse()
            .map_err(|_bad| format!("`{key}`: `{part}` can't be read"))
    };
    let all: Vec<T> = parts(keys, key).map(read).collect::<Result<_, _>>()?;
    Ok(all.into_iter())
}

fn one<T: FromStr>(keys: &Config, key: &str) -> Result<Option<T>, String> {
    Ok(each(keys, key)?.next())
}

/// Subnets that the host sends to a NIC.
pub fn routes(keys: &Config) -> Result<Vec<IpNet>, String> {
    let mut all = Vec::new();
    for key in ["ipv4.routes", "ipv6.routes"] {
        all.extend(each::<IpNet>(keys, key)?.map(|net| net.trunc()));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Attachment, String> {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        parse(&pairs.iter().map(pair).collect())
    }

    #[test]
    fn each_type_has_its_keys() {
        assert_eq!(read(&[("nictype", "p2p")]), Ok(Attachment::P2p));
        let physical = read(&[("nictype", "physical"), ("parent", "eth1"), ("vlan", "7")]);
        let lent = read(&[
            ("type", "infiniband"),
            ("nictype", "physical"),
            ("parent", "ib0"),
        ]);
        assert!(matches!(lent, Ok(Attachment::Infiniband(parent)) if parent.interface() == "ib0"));
        let Ok(Attachment::Physical(parent)) = physical else {
            panic!("{physical:?}")
        };
        assert_eq!(parent.interface(), "eth1.7");
        let routed = read(&[
            ("nictype", "routed"),
            ("ipv4.address", "10.1.2.3, 10.1.2.4"),
        ]);
        let Ok(Attachment::Routed(routed)) = routed else {
            panic!("{routed:?}")
        };
        assert_eq!(routed.addresses.len(), 2);
        assert_eq!(routed.host_addresses, [IpAddr::from(HOST_IPV4)]);
        assert_eq!(routed.gateways, routed.host_addresses);
    }

    #[test]
    fn says_what_is_missing_or_wrong() {
        for (pairs, why) in [
            (&[][..], "needs `network`, or `nictype`"),
            (&[("nictype", "macvlan")], "needs `parent`"),
            (&[("nictype", "physical"), ("parent", "")], "needs `parent`"),
            (&[("nictype", "routed")], "`ipv4.address` or `ipv6.address`"),
            (&[("nictype", "sriov")], "not known here"),
            (&[("network", "a"), ("vlan", "4095")], "not a VLAN"),
            (
                &[("network", "a"), ("vlan", "5"), ("vlan.tagged", "3-6")],
                "both",
            ),
            (
                &[("network", "a"), ("vlan.tagged", "6-3")],
                "after the last",
            ),
        ] {
            let error = read(pairs).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
