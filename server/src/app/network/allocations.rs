//! Which addresses are in use, and by whom: `/1.0/network-allocations`.

use std::collections::BTreeSet;

use rlxc_api::NetworkAllocation;
use rlxc_network::Lease;

use super::addresses::{expanded_all, fixed_addresses};
use crate::context::{App, instance_url};
use crate::db::{network_rules, networks};
use crate::error::{Error, Result};
use crate::keys::is_true;
use crate::model::{Instance, Network};
use crate::plan::expand::Expanded;
use crate::plan::nic::is_on;

/// Networks' own addresses, those of instances (fixed or leased), and forwards.
pub async fn allocations(app: &App) -> Result<Vec<NetworkAllocation>> {
    let (networks, forwards, instances) = app
        .db
        .read(|tx| {
            let forwards = network_rules::list_forwards(tx, None)?;
            Ok::<_, Error>((networks::list(tx)?, forwards, expanded_all(tx)?))
        })
        .await?;
    let mut found = Vec::new();
    for network in &networks {
        found.extend(own(network));
        let listened = forwards
            .iter()
            .filter(|forward| forward.network == network.id);
        found.extend(listened.map(|forward| {
            let url = super::forward::url(&network.name, &forward.listen_address);
            allocation(
                network,
                whole(&forward.listen_address),
                url,
                "network-forward",
            )
        }));
        // A network without leases yet has no file of them.
        let leases = app.networking.names.leases(&network.name).await;
        let leases = leases.unwrap_or_default();
        found.extend(
            instances
                .iter()
                .flat_map(|plugged| of_instance(network, plugged, &leases)),
        );
    }
    Ok(found)
}

fn allocation(
    network: &Network,
    addresses: String,
    used_by: String,
    kind: &str,
) -> NetworkAllocation {
    let key = if addresses.contains(':') {
        "ipv6.nat"
    } else {
        "ipv4.nat"
    };
    NetworkAllocation {
        nat: is_true(&network.config, key),
        addresses,
        used_by,
        kind: kind.to_owned(),
        hwaddr: String::new(),
        network: network.name.clone(),
    }
}

fn own(network: &Network) -> Vec<NetworkAllocation> {
    ["ipv4.address", "ipv6.address"]
        .into_iter()
        .filter_map(|key| network.config.get(key).filter(|text| *text != "none"))
        .map(|address| {
            allocation(
                network,
                address.clone(),
                super::url(&network.name),
                "network",
            )
        })
        .collect()
}

fn of_instance(
    network: &Network,
    (instance, expanded): &(Instance, Expanded),
    leases: &[Lease],
) -> Vec<NetworkAllocation> {
    let url = instance_url(&instance.project, &instance.name);
    let fixed = fixed_addresses(&expanded.devices);
    let plugged = expanded.devices.iter();
    let plugged = plugged.filter(|(_, keys)| is_on(keys, network));
    plugged
        .flat_map(|(device, keys)| {
            let key = format!("volatile.{device}.hwaddr");
            let hwaddr = keys.get("hwaddr").or_else(|| expanded.config.get(&key));
            let hwaddr = hwaddr.cloned().unwrap_or_default();
            let fixed = fixed.iter().filter(|fixed| fixed.device == *device);
            let given = leases
                .iter()
                .filter(|lease| lease.hwaddr.is_some_and(|mac| mac.to_string() == hwaddr));
            let addresses: BTreeSet<_> = fixed
                .map(|fixed| fixed.address)
                .chain(given.map(|lease| lease.address))
                .collect();
            let one = |address: std::net::IpAddr| NetworkAllocation {
                hwaddr: hwaddr.clone(),
                ..allocation(
                    network,
                    whole(&address.to_string()),
                    url.clone(),
                    "instance",
                )
            };
            addresses.into_iter().map(one).collect::<Vec<_>>()
        })
        .collect()
}

/// An address as the subnet that it is alone in.
fn whole(address: &str) -> String {
    let length = if address.contains(':') { 128 } else { 32 };
    format!("{address}/{length}")
}
