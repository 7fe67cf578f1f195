//! Fixed addresses of NICs: inside the subnet of their network, and nobody else's.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::IpAddr;

use rlxc_network::{BridgeSpec, ipam};

use crate::context::App;
use crate::db::{instances, networks, profiles, projects};
use crate::error::{Error, Result};
use crate::model::{Config, Devices, Instance, Network};
use crate::plan::bridge::bridge_spec;
use crate::plan::expand::{Expanded, expand};
use crate::plan::nic::{Nic, network_name, plan_nics};
use crate::plan::project::Feature;
use crate::plan::proxy::ProxyPlan;

/// A fixed address of a NIC on a network, or on a bridge that is none of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// The device.
    pub device: String,
    /// The network.
    pub network: String,
    /// The address.
    pub address: IpAddr,
}

/// The fixed addresses among devices; texts that are no addresses are passed over.
pub fn fixed_addresses(devices: &Devices) -> Vec<Fixed> {
    let of = |device: &String, keys: &Config| -> Vec<Fixed> {
        let Some(network) = network_name(keys) else {
            return Vec::new();
        };
        ["ipv4.address", "ipv6.address"]
            .into_iter()
            .filter_map(|key| keys.get(key)?.parse().ok())
            .map(|address| Fixed {
                device: device.clone(),
                network: network.clone(),
                address,
            })
            .collect()
    };
    devices
        .iter()
        .filter(|(_, keys)| keys.get("type").is_some_and(|kind| kind == "nic"))
        .flat_map(|(device, keys)| of(device, keys))
        .collect()
}

/// Those of them that are on a managed network: nobody else's are ours to give.
fn on_managed(tx: &rusqlite::Transaction<'_>, all: Vec<Fixed>) -> Result<Vec<Fixed>> {
    let mut kept = Vec::new();
    for fixed in all {
        if networks::find(tx, &fixed.network)?.is_some() {
            kept.push(fixed);
        }
    }
    Ok(kept)
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

/// Refuses NICs that make no sense, networks that are not there, and fixed addresses that lie outside their networks, are
/// the networks' own, or another NIC's.
pub fn check_devices(
    tx: &rusqlite::Transaction<'_>,
    instance: &Instance,
    expanded: &Expanded,
) -> Result<()> {
    let Expanded { config, devices } = expanded;
    let nics = plan_nics(instance.id, &instance.name, config, devices).map_err(Error::Invalid)?;
    let owner = network_owner(tx, &instance.project)?;
    for nic in nics.into_iter().filter(|nic| nic.managed) {
        let network = networks::find(tx, &nic.bridge)?
            .filter(|network| network.project == owner)
            .ok_or_else(|| Error::not_found("network", &nic.bridge))?;
        nic.on(&network).map_err(Error::Invalid)?;
    }
    for device in super::proxy::proxies(devices) {
        let plan = super::proxy::check(instance, devices, device)?;
        if let ProxyPlan::Rules { network, .. } = plan
            && networks::find(tx, &network)?.is_none()
        {
            return Err(Error::Invalid(format!(
                "device `{device}`: `nat` makes no sense on `{network}`, which is no managed network"
            )));
        }
    }
    let wanted = on_managed(tx, fixed_addresses(devices))?;
    for (position, fixed) in wanted.iter().enumerate() {
        let network = networks::find(tx, &fixed.network)?;
        if let Some(network) = network.filter(Network::is_bridge) {
            let spec = bridge_spec(&network.name, &network.config).map_err(Error::Invalid)?;
            check_subnet(&spec, fixed).map_err(Error::Invalid)?;
        }
        let twin = wanted
            .iter()
            .take(position)
            .find(|other| is_same(other, fixed));
        if let Some(twin) = twin {
            return Err(taken(fixed, format_args!("device `{}`", twin.device)));
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    for (other, theirs) in expanded_all(tx)? {
        if other.id == instance.id {
            continue;
        }
        let theirs = fixed_addresses(&theirs.devices);
        let clash = wanted
            .iter()
            .find_map(|fixed| Some((fixed, theirs.iter().find(|their| is_same(their, fixed))?)));
        if let Some((fixed, their)) = clash {
            // Names of one project are nothing for another.
            let who = if other.project == instance.project {
                format!("device `{}` of instance `{}`", their.device, other.name)
            } else {
                "an instance of another project".to_owned()
            };
            return Err(taken(fixed, who));
        }
    }
    Ok(())
}

/// The project whose networks instances of a project are on.
pub(super) fn network_owner(tx: &rusqlite::Transaction<'_>, project: &str) -> Result<String> {
    let found = projects::find(tx, project)?;
    let own = found.is_some_and(|project| Feature::Networks.is_on(&project.config));
    Ok(if own { project } else { "default" }.to_owned())
}

fn is_same(a: &Fixed, b: &Fixed) -> bool {
    a.network == b.network && a.address == b.address
}

fn taken(fixed: &Fixed, by: impl Display) -> Error {
    Error::Conflict(format!(
        "device `{}`: address {} on network `{}` is taken by {by}",
        fixed.device, fixed.address, fixed.network
    ))
}

fn check_subnet(spec: &BridgeSpec, fixed: &Fixed) -> Result<(), String> {
    let Fixed {
        device,
        network,
        address,
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

/// Refuses fixed addresses that somebody else has leased at the moment.
pub async fn check_leases(app: &App, instance: &Instance, expanded: &Expanded) -> Result<()> {
    for fixed in fixed_addresses(&expanded.devices) {
        let keys = expanded.devices.get(&fixed.device);
        let key = format!("volatile.{}.hwaddr", fixed.device);
        let own = keys
            .and_then(|keys| keys.get("hwaddr"))
            .or_else(|| instance.config.get(&key))
            .and_then(|text| text.parse().ok());
        // A network that has no leases yet, or is not there, lets nobody have any.
        let leases = app.networking.names.leases(&fixed.network).await;
        let holder = leases.unwrap_or_default().into_iter().find(|lease| {
            lease.address == fixed.address && lease.hwaddr.is_some() && lease.hwaddr != own
        });
        if let Some(lease) = holder {
            let hwaddr = lease.hwaddr.map(|mac| mac.to_string()).unwrap_or_default();
            let name = lease
                .hostname
                .filter(|_| instance.project == "default")
                .unwrap_or_else(|| "a host".to_owned());
            return Err(taken(
                &fixed,
                format_args!("a lease of `{name}` ({hwaddr})"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str) -> Result<(), String> {
        let spec = BridgeSpec {
            ipv4: Some("10.1.2.1/24".parse().unwrap()),
            ..BridgeSpec::default()
        };
        let fixed = Fixed {
            device: "eth0".into(),
            network: "lab".into(),
            address: address.parse().unwrap(),
        };
        check_subnet(&spec, &fixed)
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
}
