//! What users see of networks: managed ones, and the host's own interfaces.

use std::collections::BTreeSet;

use rlxc_api::{
    Network as NetworkView, NetworkLease, NetworkPut, NetworkState, NetworkStateAddress,
    NetworkStateBridge, NetworkStateCounters,
};

use super::addresses::{expanded_all, fixed_addresses};
use super::find;
use crate::app::profile;
use crate::context::{App, blocking, instance_url};
use crate::db::{self, networks};
use crate::error::{Error, Result};
use crate::model::{Instance, Network};
use crate::plan::expand::expand;
use crate::plan::nic::is_on;

/// The networks of a project; of `default`, the host's own interfaces too.
pub async fn list(app: &App, project: &str) -> Result<Vec<NetworkView>> {
    let all = app.db.read(networks::list).await?;
    let (own, others): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|network| network.project == project);
    let mut views = Vec::new();
    for network in own {
        views.push(render(app, network).await?);
    }
    if project != "default" {
        return Ok(views);
    }
    let links = app
        .networking
        .links
        .list()
        .await
        .map_err(|error| Error::failed("list the host's interfaces", error))?;
    for link in links
        .into_iter()
        .filter(|link| link.kind.as_deref() != Some("veth"))
    {
        let managed = |name: &str| {
            views.iter().any(|view| view.name == name)
                || others.iter().any(|network| network.name == name)
        };
        if !managed(&link.name) {
            let kind = match (link.kind.as_deref(), link.name.as_str()) {
                (_, "lo") => "loopback",
                (Some("bridge"), _) => "bridge",
                (Some("bond"), _) => "bond",
                (Some("vlan"), _) => "vlan",
                (None, _) => "physical",
                (Some(_), _) => "unknown",
            };
            views.push(NetworkView {
                name: link.name,
                kind: kind.to_owned(),
                project: "default".to_owned(),
                ..NetworkView::default()
            });
        }
    }
    views.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(views)
}

/// The networks of all projects.
pub async fn list_all(app: &App) -> Result<Vec<NetworkView>> {
    let mut all = list(app, "default").await?;
    for network in app.db.read(networks::list).await? {
        if network.project != "default" {
            all.push(render(app, network).await?);
        }
    }
    Ok(all)
}

/// One network of a project, managed or the host's.
pub async fn get(app: &App, project: &str, name: &str) -> Result<NetworkView> {
    let all = list(app, project).await?;
    all.into_iter()
        .find(|view| view.name == name)
        .ok_or_else(|| Error::not_found("network", name))
}

async fn render(app: &App, network: Network) -> Result<NetworkView> {
    let used_by = used_by(app, &network).await?;
    Ok(NetworkView {
        put: NetworkPut {
            config: network.config,
            description: network.description,
        },
        name: network.name,
        kind: network.kind,
        used_by,
        managed: true,
        status: "Created".to_owned(),
        locations: vec!["none".to_owned()],
        project: network.project,
    })
}

pub(super) async fn used_by(app: &App, network: &Network) -> Result<Vec<String>> {
    let network = network.clone();
    app.db
        .read(move |tx| {
            let known = db::profiles::known(tx)?;
            let uses = |devices: &crate::model::Devices| {
                devices.values().any(|keys| is_on(keys, &network))
            };
            let mut urls: Vec<String> = db::profiles::list_all(tx)?
                .iter()
                .filter(|profile| uses(&profile.devices))
                .map(|profile| profile::url(&profile.project, &profile.name))
                .collect();
            let instances = db::instances::list(tx, None)?;
            let plugged = instances
                .iter()
                .filter(|instance| uses(&expand(instance, known.of(&instance.project)).devices));
            urls.extend(plugged.map(|instance| instance_url(&instance.project, &instance.name)));
            Ok::<_, Error>(urls)
        })
        .await
}

/// The Ethernet addresses of a project's instances.
pub async fn addresses_of(app: &App, project: &str) -> Result<BTreeSet<String>> {
    let id = app.project(project).await?;
    let instances = app
        .db
        .read(move |tx| db::instances::list(tx, Some(id)))
        .await?;
    let own = |instance: &Instance| {
        let chosen = instance
            .config
            .iter()
            .filter(|(key, _)| key.starts_with("volatile.") && key.ends_with(".hwaddr"))
            .map(|(_, value)| value.to_lowercase());
        let fixed = instance
            .devices
            .values()
            .filter_map(|device| device.get("hwaddr"))
            .map(|value| value.to_lowercase());
        chosen.chain(fixed).collect::<Vec<_>>()
    };
    Ok(instances.iter().flat_map(own).collect())
}

/// Leases of a managed network.
pub async fn leases(app: &App, name: &str) -> Result<Vec<NetworkLease>> {
    let network = find(app, name).await?;
    let mut all = gateways(&network);
    all.extend(fixed_leases(app, name).await?);
    let leases = app
        .networking
        .names
        .leases(name)
        .await
        .map_err(|error| Error::failed(format!("read the leases of `{name}`"), error))?;
    let rendered = leases.into_iter().map(|lease| NetworkLease {
        hostname: lease.hostname.unwrap_or_default(),
        hwaddr: lease.hwaddr.map(|mac| mac.to_string()).unwrap_or_default(),
        address: lease.address.to_string(),
        kind: "dynamic".to_owned(),
        location: "none".to_owned(),
    });
    let is_new = |lease: &NetworkLease, all: &[NetworkLease]| {
        !all.iter()
            .any(|other| other.hwaddr == lease.hwaddr && other.address == lease.address)
    };
    for lease in rendered {
        if is_new(&lease, &all) {
            all.push(lease);
        }
    }
    Ok(all)
}

/// The network's own addresses.
fn gateways(network: &Network) -> Vec<NetworkLease> {
    let of = |key: &str| {
        let address = network.config.get(key)?.split_once('/')?.0;
        Some(NetworkLease {
            hostname: format!("{}.gw", network.name),
            address: address.to_owned(),
            kind: "gateway".to_owned(),
            location: "none".to_owned(),
            ..NetworkLease::default()
        })
    };
    let all = ["ipv4.address", "ipv6.address"].into_iter();
    all.filter_map(of).collect()
}

/// Fixed addresses of instances, whether they run or not.
async fn fixed_leases(app: &App, name: &str) -> Result<Vec<NetworkLease>> {
    let mut all = Vec::new();
    for (instance, expanded) in app.db.read(expanded_all).await? {
        for fixed in fixed_addresses(&expanded.devices) {
            if fixed.network != name {
                continue;
            }
            let own = expanded.devices.get(&fixed.device);
            let own = own.and_then(|keys| keys.get("hwaddr"));
            let key = format!("volatile.{}.hwaddr", fixed.device);
            let hwaddr = own.or_else(|| expanded.config.get(&key));
            all.push(NetworkLease {
                hostname: instance.name.clone(),
                hwaddr: hwaddr.cloned().unwrap_or_default(),
                address: fixed.address.to_string(),
                kind: "static".to_owned(),
                location: "none".to_owned(),
            });
        }
    }
    Ok(all)
}

/// Addresses and counters of one of the host's interfaces, managed or not.
pub async fn state(app: &App, name: &str) -> Result<NetworkState> {
    let key = name.to_owned();
    let row = app.db.read(move |tx| networks::find(tx, &key)).await?;
    // A network that is an interface of the host shows the state of that.
    let name = &match row.filter(|network| !network.is_bridge()) {
        Some(network) => super::on_parent::interface(&network),
        None => name.to_owned(),
    };
    let interfaces = blocking(rlxc_network::host_interfaces)
        .await
        .map_err(|error| Error::failed("list the host's interfaces", error))?;
    let interface = interfaces
        .into_iter()
        .find(|interface| interface.name == *name)
        .ok_or_else(|| Error::not_found("network", name))?;
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let addresses = interface
        .addresses
        .iter()
        .map(|address| NetworkStateAddress {
            family: address.family().to_owned(),
            address: address.address.to_string(),
            netmask: address.prefix.to_string(),
            scope: address.scope.as_str().to_owned(),
        });
    let bridge = bridge_state(app, name).await?;
    Ok(NetworkState {
        bridge,
        addresses: addresses.collect(),
        counters: Some(NetworkStateCounters {
            bytes_received: signed(interface.counters.bytes_received),
            bytes_sent: signed(interface.counters.bytes_sent),
            packets_received: signed(interface.counters.packets_received),
            packets_sent: signed(interface.counters.packets_sent),
        }),
        hwaddr: interface
            .hwaddr
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        mtu: i64::from(interface.mtu),
        state: if interface.up { "up" } else { "down" }.to_owned(),
        kind: if interface.loopback {
            "loopback"
        } else {
            "broadcast"
        }
        .to_owned(),
        ..NetworkState::default()
    })
}

/// What more there is to say of a bridge; `None` of what is none.
async fn bridge_state(app: &App, name: &str) -> Result<Option<NetworkStateBridge>> {
    let links = app.networking.links.list().await;
    let links = links.map_err(|error| Error::failed("list the host's interfaces", error))?;
    let bridge = links
        .iter()
        .find(|link| link.name == name && link.kind.as_deref() == Some("bridge"));
    let Some(bridge) = bridge else {
        return Ok(None);
    };
    let ports = links
        .iter()
        .filter(|link| link.master == Some(bridge.index));
    let digits = bridge.mac().map(|mac| mac.to_string().replace(':', ""));
    Ok(Some(NetworkStateBridge {
        // The kernel's priority of a bridge that nobody gave another.
        id: format!("8000.{}", digits.unwrap_or_default()),
        vlan_default: 1,
        upper_devices: ports.map(|port| port.name.clone()).collect(),
        ..NetworkStateBridge::default()
    }))
}
