//! What only one NIC can have: an address, a MAC address on its bridge, a name on the host.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use rlxc_network::Mac;

use super::addresses::{Fixed, check_given, expanded_all, fixed_addresses, lessee, network_owner};
use crate::context::App;
use crate::db::networks;
use crate::error::{Error, Result};
use crate::model::{Config, Devices, Instance, Network};
use crate::plan::attachment::{self, Attachment};
use crate::plan::bridge::bridge_spec;
use crate::plan::expand::Expanded;
use crate::plan::nic::{Nic, network_name, plan_nics};
use crate::plan::proxy::ProxyPlan;

/// What a NIC has that no other can have as well.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Claim {
    Address(IpAddr),
    Hwaddr { bridge: String, hwaddr: Mac },
    HostName(String),
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "address {address}"),
            Self::Hwaddr { bridge, hwaddr } => write!(f, "`hwaddr={hwaddr}` on `{bridge}`"),
            Self::HostName(name) => write!(f, "`host_name={name}`"),
        }
    }
}

/// Refuses NICs that make no sense, networks that are not there, proxies that lead nowhere; and of those devices that are not
/// as they were before, whatever is another's or can't be had on its network.
pub fn check_devices(
    tx: &rusqlite::Transaction<'_>,
    instance: &Instance,
    expanded: &Expanded,
    before: Option<&Expanded>,
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
    let changed = changed(expanded, before);
    for fixed in fixed_addresses(&changed) {
        let network = networks::find(tx, &fixed.network)?;
        if let Some(network) = network.filter(Network::is_bridge) {
            let spec = bridge_spec(&network.name, &network.config).map_err(Error::Invalid)?;
            check_given(&spec, &fixed).map_err(Error::Invalid)?;
        }
    }
    let managed: Managed = networks::list(tx)?
        .into_iter()
        .map(|row| row.name)
        .collect();
    let wanted = claims(config, &changed, Of::Asker, &managed);
    if wanted.is_empty() {
        return Ok(());
    }
    let own = claims(config, devices, Of::Holder, &managed);
    for (device, claim) in &wanted {
        let twin = own
            .iter()
            .find(|(other, theirs)| other != device && theirs == claim);
        if let Some((twin, _)) = twin {
            return Err(taken(device, claim, format_args!("device `{twin}`")));
        }
    }
    for (other, theirs) in expanded_all(tx)? {
        if other.id == instance.id {
            continue;
        }
        let theirs = claims(&theirs.config, &theirs.devices, Of::Holder, &managed);
        for (device, claim) in &wanted {
            if let Some((their, _)) = theirs.iter().find(|(_, their)| their == claim) {
                return Err(taken(device, claim, holder(instance, &other, their)));
            }
        }
    }
    Ok(())
}

/// Takes MAC addresses away that were kept from another life of the instance and are somebody else's now.
pub fn forget_taken_hwaddrs(
    tx: &rusqlite::Transaction<'_>,
    instance: &mut Instance,
    expanded: &Expanded,
) -> Result<()> {
    let is_kept = |key: &str| key.starts_with("volatile.") && key.ends_with(".hwaddr");
    if !instance.config.keys().any(|key| is_kept(key)) {
        return Ok(());
    }
    let held: Vec<Claim> = expanded_all(tx)?
        .iter()
        .filter(|(other, _)| other.id != instance.id)
        .flat_map(|(_, theirs)| {
            claims(&theirs.config, &theirs.devices, Of::Holder, &Managed::new())
        })
        .map(|(_, claim)| claim)
        .collect();
    for (device, claim) in claims(
        &expanded.config,
        &expanded.devices,
        Of::Asker,
        &Managed::new(),
    ) {
        if matches!(claim, Claim::Hwaddr { .. }) && held.contains(&claim) {
            instance.config.remove(&format!("volatile.{device}.hwaddr"));
        }
    }
    Ok(())
}

/// The devices that are not as they were.
fn changed(after: &Expanded, before: Option<&Expanded>) -> Devices {
    let is_same = |device: &String, keys: &Config| {
        before.is_some_and(|before| {
            let noted = format!("volatile.{device}.hwaddr");
            before.devices.get(device) == Some(keys)
                && before.config.get(&noted) == after.config.get(&noted)
        })
    };
    let devices = after.devices.iter();
    let changed = devices.filter(|(device, keys)| !is_same(device, keys));
    changed
        .map(|(device, keys)| (device.clone(), keys.clone()))
        .collect()
}

/// Who names what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// Whoever wants it: a name on the host that nobody asked for is chosen among free ones.
    Asker,
    /// Whoever may have it.
    Holder,
}

/// The networks whose addresses are ours to give.
type Managed = BTreeSet<String>;

fn claims(config: &Config, devices: &Devices, of: Of, managed: &Managed) -> Vec<(String, Claim)> {
    let nics = devices
        .iter()
        .filter(|(_, keys)| keys.get("type").is_some_and(|kind| kind == "nic"));
    nics.flat_map(|(device, keys)| {
        let all = claims_of(config, (device.as_str(), keys), of, managed);
        all.into_iter().map(|claim| (device.clone(), claim))
    })
    .collect()
}

fn claims_of(
    config: &Config,
    (device, keys): (&str, &Config),
    of: Of,
    managed: &Managed,
) -> Vec<Claim> {
    let noted = |key: &str| config.get(&format!("volatile.{device}.{key}"));
    let mut all: Vec<Claim> = Vec::new();
    match attachment::parse(keys) {
        Ok(Attachment::Bridged(_)) => {
            let hwaddr = keys.get("hwaddr").or_else(|| noted("hwaddr"));
            let bridge = network_name(keys);
            let hwaddr = hwaddr.and_then(|text| text.parse().ok());
            all.extend(bridge.zip(hwaddr).map(|(bridge, hwaddr)| Claim::Hwaddr {
                bridge: bridge.clone(),
                hwaddr,
            }));
            let fixed = ["ipv4.address", "ipv6.address"].map(|key| keys.get(key));
            let fixed = fixed.into_iter().flatten();
            if bridge.is_some_and(|bridge| managed.contains(bridge)) {
                all.extend(
                    fixed
                        .filter_map(|text| text.parse().ok())
                        .map(Claim::Address),
                );
            }
        }
        Ok(Attachment::Routed(routed)) => {
            all.extend(routed.addresses.into_iter().map(Claim::Address));
        }
        _ => {}
    }
    let chosen = noted("host_name").filter(|_| of == Of::Holder);
    let host_name = keys.get("host_name").or(chosen);
    let host_name = host_name.filter(|name| !name.is_empty());
    all.extend(host_name.cloned().map(Claim::HostName));
    all
}

fn taken(device: &str, claim: &Claim, by: impl fmt::Display) -> Error {
    Error::Conflict(format!("device `{device}`: {claim} is taken by {by}"))
}

/// Who has something, for messages to whoever asked for it: names of one project are nothing for another.
fn holder(asker: &Instance, holder: &Instance, device: &str) -> String {
    if holder.project == asker.project {
        format!("device `{device}` of instance `{}`", holder.name)
    } else {
        "an instance of another project".to_owned()
    }
}

/// Refuses of devices that are not as they were what somebody else has at the moment: addresses that are leased, names of
/// interfaces of the host.
pub async fn check_host(
    app: &App,
    instance: &Instance,
    expanded: &Expanded,
    before: Option<&Expanded>,
) -> Result<()> {
    let changed = changed(expanded, before);
    for fixed in fixed_addresses(&changed) {
        let keys = changed.get(&fixed.device);
        let key = format!("volatile.{}.hwaddr", fixed.device);
        let own = keys
            .and_then(|keys| keys.get("hwaddr"))
            .or_else(|| instance.config.get(&key))
            .and_then(|text| text.parse().ok());
        if let Some(lease) = lessee(app, &fixed, own).await {
            return Err(leased(instance, &fixed, lease));
        }
    }
    let named = |(_, keys): &(&String, &Config)| {
        keys.get("type").is_some_and(|kind| kind == "nic") && keys.contains_key("host_name")
    };
    if !changed.iter().any(|device| named(&device)) {
        return Ok(());
    }
    let links = super::nics::list_links(app).await?;
    for (device, keys) in changed.iter().filter(named) {
        let wanted = keys.get("host_name");
        let foreign = links
            .iter()
            .find(|link| !link.ours && Some(&link.name) == wanted);
        if let Some(link) = foreign {
            let claim = Claim::HostName(link.name.clone());
            return Err(taken(device, &claim, "an interface of the host"));
        }
    }
    Ok(())
}

fn leased(instance: &Instance, fixed: &Fixed, lease: rlxc_network::Lease) -> Error {
    let hwaddr = lease.hwaddr.map(|mac| mac.to_string()).unwrap_or_default();
    let name = lease
        .hostname
        .filter(|_| instance.project == "default")
        .unwrap_or_else(|| "a host".to_owned());
    let claim = Claim::Address(fixed.address);
    taken(
        &fixed.device,
        &claim,
        format_args!(
            "a lease of `{name}` ({hwaddr}) on network `{}`",
            fixed.network
        ),
    )
}

/// Whether a NIC of an instance that runs has this name on the host, other than this NIC itself.
pub(super) async fn is_host_name_in_use(app: &App, nic: &Nic) -> Result<bool> {
    let wanted = Claim::HostName(nic.host_name.clone());
    let all = app.db.read(expanded_all).await?;
    Ok(all.iter().any(|(instance, expanded)| {
        let held = claims(
            &expanded.config,
            &expanded.devices,
            Of::Holder,
            &Managed::new(),
        );
        let is_other = |device: &str| (instance.id, device) != (nic.instance, &nic.device);
        let has = held
            .iter()
            .any(|(device, claim)| is_other(device) && *claim == wanted);
        has && app.instances.status(instance.id).running.is_some()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
        pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn a_nic_claims_what_it_has_and_what_was_noted() {
        let devices = Devices::from([
            (
                "eth0".to_owned(),
                config("type=nic network=lab ipv4.address=10.1.2.3"),
            ),
            (
                "r".to_owned(),
                config("type=nic nictype=routed ipv4.address=10.1.2.4,10.1.2.5 host_name=r0"),
            ),
        ]);
        let noted =
            config("volatile.eth0.hwaddr=00:16:3e:00:00:01 volatile.eth0.host_name=c1-eth0");
        let texts = |of| -> Vec<String> {
            let all = claims(&noted, &devices, of, &Managed::from(["lab".to_owned()]));
            all.iter()
                .map(|(device, claim)| format!("{device}: {claim}"))
                .collect()
        };
        let asked = texts(Of::Asker);
        assert_eq!(
            asked,
            [
                "eth0: `hwaddr=00:16:3e:00:00:01` on `lab`",
                "eth0: address 10.1.2.3",
                "r: address 10.1.2.4",
                "r: address 10.1.2.5",
                "r: `host_name=r0`",
            ]
        );
        assert!(texts(Of::Holder).contains(&"eth0: `host_name=c1-eth0`".to_owned()));
    }

    #[test]
    fn only_what_changed_is_looked_at() {
        let before = Expanded {
            config: config("volatile.eth0.hwaddr=00:16:3e:00:00:01"),
            devices: Devices::from([("eth0".to_owned(), config("type=nic network=lab"))]),
        };
        assert_eq!(changed(&before, Some(&before)), Devices::new());
        assert_eq!(changed(&before, None), before.devices);
        let mut after = before.clone();
        after.config = config("volatile.eth0.hwaddr=00:16:3e:00:00:02");
        assert_eq!(changed(&after, Some(&before)), before.devices);
    }
}
