//! Fixed addresses of NICs: inside the subnet of their network, and nobody else's.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rlxc_network::{BridgeSpec, Lease, Mac, ipam};

use crate::context::App;
use crate::db::{instances, profiles, projects};
use crate::error::{Error, Result};
use crate::keys::is_true;
use crate::model::{Config, Devices, Instance};
use crate::plan::bridge::bridge_spec;
use crate::plan::expand::{Expanded, expand};
use crate::plan::nic::{Nic, network_name};
use crate::plan::project::Feature;

/// A fixed address of a NIC on a network, or on a bridge that is none of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// The device.
    pub device: String,
    /// The network.
    pub network: String,
    /// The address.
    pub address: IpAddr,
    /// It sends from this address only: then it makes sense without DHCP too.
    pub filtered: bool,
}

/// The fixed addresses among devices; texts that are no addresses are passed over.
pub fn fixed_addresses(devices: &Devices) -> Vec<Fixed> {
    let of = |device: &String, keys: &Config| -> Vec<Fixed> {
        let Some(network) = network_name(keys) else {
            return Vec::new();
        };
        ["ipv4", "ipv6"]
            .into_iter()
            .filter_map(|family| {
                Some(Fixed {
                    device: device.clone(),
                    network: network.clone(),
                    address: keys.get(&format!("{family}.address"))?.parse().ok()?,
                    filtered: is_true(keys, &format!("security.{family}_filtering")),
                })
            })
            .collect()
    };
    devices
        .iter()
        .filter(|(_, keys)| keys.get("type").is_some_and(|kind| kind == "nic"))
        .flat_map(|(device, keys)| of(device, keys))
        .collect()
}

/// Every instance with its profiles applied.
pub fn expanded_all(tx: &rusqlite::Transaction<'_>) -> Result<Vec<(Instance, Expanded)>> {
    let known = profiles::known(tx)?;
    let all = instances::list(tx, None)?;
    let expand_one = |instance: Instance| {
        let expanded = expand(&instance, known.of(&instance.project));
        (instance, expanded)
    };
    Ok(all.into_iter().map(expand_one).collect())
}

/// The project whose networks instances of a project are on.
pub(super) fn network_owner(tx: &rusqlite::Transaction<'_>, project: &str) -> Result<String> {
    let found = projects::find(tx, project)?;
    let own = found.is_some_and(|project| Feature::Networks.is_on(&project.config));
    Ok(if own { project } else { "default" }.to_owned())
}

/// Refuses an address that a network can't give a NIC.
pub(super) fn check_given(spec: &BridgeSpec, fixed: &Fixed) -> Result<(), String> {
    check_subnet(spec, fixed)?;
    let (given, needs) = match fixed.address {
        IpAddr::V4(_) => (spec.ipv4_dhcp, "`ipv4.dhcp=true`"),
        IpAddr::V6(_) => (spec.gives_ipv6(), "`ipv6.dhcp.stateful=true`"),
    };
    if given || fixed.filtered {
        return Ok(());
    }
    let family = if fixed.address.is_ipv4() {
        "ipv4"
    } else {
        "ipv6"
    };
    Err(format!(
        "device `{}`: network `{}` gives out no {family} addresses, so nobody would have `{family}.address={}`: the network needs {needs}",
        fixed.device, fixed.network, fixed.address
    ))
}

fn check_subnet(spec: &BridgeSpec, fixed: &Fixed) -> Result<(), String> {
    let Fixed {
        device,
        network,
        address,
        ..
    } = fixed;
    let family = if address.is_ipv4() { "ipv4" } else { "ipv6" };
    let (subnet, own, edges): (String, IpAddr, Vec<IpAddr>) = match address {
        IpAddr::V4(_) => match spec.ipv4 {
            Some(net) if net.prefix_len() < 31 => {
                let edges = vec![net.network().into(), net.broadcast().into()];
                (net.trunc().to_string(), net.addr().into(), edges)
            }
            Some(net) => (net.trunc().to_string(), net.addr().into(), Vec::new()),
            None => return Err(no_subnet(device, network, family)),
        },
        IpAddr::V6(_) => match spec.ipv6 {
            Some(net) => {
                let edges = vec![net.network().into()];
                (net.trunc().to_string(), net.addr().into(), edges)
            }
            None => return Err(no_subnet(device, network, family)),
        },
    };
    let inside = match address {
        IpAddr::V4(v4) => spec.ipv4.is_some_and(|net| net.contains(v4)),
        IpAddr::V6(v6) => spec.ipv6.is_some_and(|net| net.contains(v6)),
    };
    let complain = |why: String| {
        Err(format!(
            "device `{device}`: `{family}.address={address}` {why}"
        ))
    };
    if !inside {
        return complain(format!(
            "lies outside {subnet}, the subnet of network `{network}`"
        ));
    }
    if *address == own {
        return complain(format!("is the host's own address on network `{network}`"));
    }
    if edges.contains(address) {
        return complain(format!("can't be given to a host of the subnet {subnet}"));
    }
    Ok(())
}

fn no_subnet(device: &str, network: &str, family: &str) -> String {
    format!(
        "device `{device}`: network `{network}` has no {family} subnet, so `{family}.address` makes no sense"
    )
}

/// A fixed address for a NIC that may send from its own only, and has none: the one that it has leased, or a free one.
pub async fn choose_address(app: &App, nic: &Nic) -> Result<Option<String>> {
    if !nic.may_be_managed() || !nic.ipv4_filtering || nic.ipv4.is_some() {
        return Ok(None);
    }
    let nic = &super::nics::settle(app, nic).await?;
    if !nic.managed {
        return Ok(None);
    }
    let network = super::find(app, &nic.bridge).await?;
    let spec = bridge_spec(&network.name, &network.config).map_err(Error::Invalid)?;
    let Some(net) = spec.ipv4 else {
        return Ok(None);
    };
    let leases = app.networking.names.leases(&nic.bridge).await;
    let leases = leases.unwrap_or_default();
    let own = leases.iter().find(|lease| {
        lease.address.is_ipv4()
            && lease
                .hwaddr
                .is_some_and(|mac| mac.to_string() == nic.hwaddr)
    });
    if let Some(lease) = own {
        return Ok(Some(lease.address.to_string()));
    }
    let mut taken: BTreeSet<IpAddr> = leases.iter().map(|lease| lease.address).collect();
    for (_, expanded) in app.db.read(expanded_all).await? {
        let fixed = fixed_addresses(&expanded.devices);
        taken.extend(fixed.into_iter().map(|fixed| fixed.address));
        let chosen = expanded
            .config
            .iter()
            .filter(|(key, _)| key.ends_with(".ipv4.address"));
        taken.extend(chosen.filter_map(|(_, text)| text.parse::<IpAddr>().ok()));
    }
    let ranges = if spec.ipv4_dhcp_ranges.is_empty() {
        ipam::dhcp_ranges(net)
    } else {
        spec.ipv4_dhcp_ranges
    };
    let free = ipam::next_free_address(&ranges, None, |address| taken.contains(&address.into()));
    let free = free.ok_or_else(|| {
        Error::Unavailable(format!("network `{}` has no free address left", nic.bridge))
    })?;
    Ok(Some(free.to_string()))
}

/// Who has leased an address of a network at the moment, but for this Ethernet address.
pub(super) async fn lessee(app: &App, fixed: &Fixed, own: Option<Mac>) -> Option<Lease> {
    // A network that has no leases yet, or is not there, lets nobody have any.
    let leases = app.networking.names.leases(&fixed.network).await;
    leases.unwrap_or_default().into_iter().find(|lease| {
        lease.address == fixed.address && lease.hwaddr.is_some() && lease.hwaddr != own
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str) -> Result<(), String> {
        let spec = BridgeSpec {
            ipv4: Some("10.1.2.1/24".parse().unwrap()),
            ipv4_dhcp: true,
            ..BridgeSpec::default()
        };
        let fixed = Fixed {
            device: "eth0".into(),
            network: "lab".into(),
            address: address.parse().unwrap(),
            filtered: false,
        };
        check_given(&spec, &fixed)
    }

    #[test]
    fn an_address_is_a_hosts_of_its_subnet() {
        assert_eq!(check("10.1.2.3"), Ok(()));
        for (address, why) in [
            ("10.1.3.3", "lies outside 10.1.2.0/24"),
            ("10.1.2.1", "the host's own"),
            ("10.1.2.0", "can't be given"),
            ("10.1.2.255", "can't be given"),
            ("fd42::7", "no ipv6 subnet"),
        ] {
            let error = check(address).unwrap_err();
            assert!(error.contains(why), "{error}");
            assert!(error.contains("`eth0`") && error.contains("`lab`") || why == "can't be given");
        }
    }

    #[test]
    fn a_network_gives_what_is_asked_of_it() {
        let spec = BridgeSpec {
            ipv4: Some("10.1.2.1/24".parse().unwrap()),
            ipv6: Some("fd42::1/64".parse().unwrap()),
            ipv6_dhcp: true,
            ..BridgeSpec::default()
        };
        let fixed = |address: &str, filtered| Fixed {
            device: "eth0".into(),
            network: "lab".into(),
            address: address.parse().unwrap(),
            filtered,
        };
        for (address, needs) in [
            ("10.1.2.3", "ipv4.dhcp=true"),
            ("fd42::3", "ipv6.dhcp.stateful=true"),
        ] {
            let error = check_given(&spec, &fixed(address, false)).unwrap_err();
            assert!(error.contains(needs) && error.contains("`eth0`"), "{error}");
            assert_eq!(check_given(&spec, &fixed(address, true)), Ok(()));
        }
        let giving = BridgeSpec {
            ipv6_stateful: true,
            ..spec
        };
        assert_eq!(check_given(&giving, &fixed("fd42::3", false)), Ok(()));
    }
}
