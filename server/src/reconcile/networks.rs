//! Networks: bridges, rules and dnsmasq as the rows say, and nothing of ours beside them.

use std::collections::BTreeSet;

use ipnet::IpNet;
use rlxc_network::view::HostNetwork;
use rlxc_network::{BridgeSpec, LinkView, Mac};
use rlxc_sys::chain::chain;

use crate::app::network;
use crate::context::App;
use crate::db::{self, networks};
use crate::error::{Error, Result};
use crate::model::Network;
use crate::plan::bridge::bridge_spec;
use crate::plan::nic::Nic;

const MENDED: &str = "Network mended";

/// Brings up what has lost something: others flush rules, delete bridges, and end processes.
pub(super) async fn mend(app: &App) -> Result<()> {
    let _turn = app.networking.turn.lock().await;
    network::rules::forget_gone(app).await?;
    mend_unmanaged(app).await?;
    let mut rows = app.db.read(networks::list).await?;
    rows.retain(Network::is_bridge);
    let plugged = network::plugged(app).await?;
    let host = app.networking.links.host().await;
    let host =
        host.map_err(|error| Error::failed("read the host's addresses and routes", error))?;
    for row in &rows {
        let Ok(spec) = bridge_spec(&row.name, &row.config) else {
            continue;
        };
        let url = network::url(&row.name);
        let links = app.networking.links.list().await;
        let links = links.map_err(|error| Error::failed("list the host's interfaces", error))?;
        warn_of_missing(app, &spec, &url, &links).await;
        // A full disk must not keep networks from being mended.
        if let Err(error) = app.networking.names.save(&row.name).await {
            tracing::warn!(network = row.name, error = %chain(&error), "its leases are not saved for the next boot");
        }
        let own = ports_of(row, &plugged);
        let lost = lost(app, &spec, (&links, &host)).await?.map(str::to_owned);
        let Some(lost) = lost.or_else(|| pulled_out(&spec, &links, &own)) else {
            app.resolve(MENDED, &url);
            app.resolve(network::UNAVAILABLE, &url);
            continue;
        };
        tracing::warn!(network = row.name, lost, "mending a network");
        match bring_up(app, row, &own).await {
            Ok(()) => {
                let text = format!("network `{}`: {lost}", row.name);
                app.warn(MENDED, &url, &text).await;
                app.resolve(network::UNAVAILABLE, &url);
            }
            Err(error) => {
                let text = chain(&error).to_string();
                app.warn(network::UNAVAILABLE, &url, &text).await;
            }
        }
    }
    remember_hosts(app, &rows, &plugged).await
}

/// A port of a bridge, with the host name of the instance that has it.
type Plugged = (String, Nic);

fn ports_of<'a>(network: &Network, plugged: &'a [Plugged]) -> Vec<&'a Plugged> {
    let own = |(_, nic): &&Plugged| nic.bridge == network.name;
    plugged.iter().filter(own).collect()
}

/// The bridge with all that it has, then the NICs that it should have.
async fn bring_up(app: &App, network: &Network, plugged: &[&Plugged]) -> Result<()> {
    network::bring_up(app, network).await?;
    for (_, nic) in plugged {
        network::rejoin(app, nic).await?;
    }
    Ok(())
}

/// The NICs of instances that run and are no ports of their bridge.
fn pulled_out(spec: &BridgeSpec, links: &[LinkView], plugged: &[&Plugged]) -> Option<String> {
    let bridge = links.iter().find(|link| link.name == spec.name)?;
    let is_out = |name: &str| {
        let link = links.iter().find(|link| link.name == name && link.ours);
        link.is_some_and(|link| link.master != Some(bridge.index))
    };
    let (instance, nic) = plugged.iter().find(|(_, nic)| is_out(&nic.host_name))?;
    Some(format!(
        "device `{}` of instance `{instance}` was not plugged into its bridge",
        nic.device
    ))
}

/// Gives NICs of instances that run their names again, where DHCP and DNS do not know them.
async fn remember_hosts(app: &App, networks: &[Network], plugged: &[Plugged]) -> Result<()> {
    for row in networks {
        let mut own = ports_of(row, plugged);
        own.retain(|(_, nic)| nic.managed);
        if own.is_empty() {
            continue;
        }
        let failed = |error| Error::failed(format!("look at the names on `{}`", row.name), error);
        let names = &app.networking.names;
        let known = names.hosts(&row.name).await.map_err(failed)?;
        for (host, nic) in own {
            if nic
                .hwaddr
                .parse()
                .is_ok_and(|hwaddr| !known.contains(&hwaddr))
            {
                tracing::warn!(
                    network = row.name,
                    host,
                    "giving an instance its name again"
                );
                network::readdress(app, host, nic).await?;
            }
        }
    }
    Ok(())
}

/// Puts rules of NICs back that are on no network of ours.
async fn mend_unmanaged(app: &App) -> Result<()> {
    for bridge in network::rules::unmanaged(app).await? {
        let failed = |error| Error::failed("look at rules of NICs", error);
        let firewall = &app.networking.firewall;
        if firewall.verify(&bridge).await.map_err(failed)? {
            continue;
        }
        tracing::warn!(bridge, "mending rules of NICs");
        network::rules::apply(app, &bridge).await?;
        let text =
            "firewall rules of NICs that are on no managed network were not as they should be";
        app.warn(MENDED, "/1.0/instances", text).await;
    }
    Ok(())
}

/// Interfaces of the host that should be plugged into a bridge, and are not there.
async fn warn_of_missing(app: &App, spec: &BridgeSpec, url: &str, links: &[LinkView]) {
    const MISSING: &str = "Interface missing";
    let is_there = |name: &String| links.iter().any(|link| link.name == *name);
    let missing = spec.external_interfaces.iter().find(|name| !is_there(name));
    match missing {
        Some(name) => {
            let text = format!(
                "network `{}`: there is no interface `{name}` to plug in",
                spec.name
            );
            app.warn(MISSING, url, &text).await;
        }
        None => app.resolve(MISSING, url),
    }
}

/// What a network should have and does not.
async fn lost(
    app: &App,
    spec: &BridgeSpec,
    (links, host): (&[LinkView], &HostNetwork),
) -> Result<Option<&'static str>> {
    let failed = |error| Error::failed(format!("look at network `{}`", spec.name), error);
    let networking = &app.networking;
    let Some(bridge) = links.iter().find(|link| link.name == spec.name) else {
        return Ok(Some("its bridge was gone"));
    };
    if !bridge.up {
        return Ok(Some("its bridge was switched off"));
    }
    let own = spec.ipv4.map(IpNet::from).into_iter();
    for net in own.chain(spec.ipv6.map(IpNet::from)) {
        let has = |(name, there): &(String, IpNet)| *name == spec.name && *there == net;
        if !host.attached.iter().any(has) {
            return Ok(Some("its bridge had lost an address"));
        }
    }
    let is_out = |link: &&LinkView| {
        link.master != Some(bridge.index) && spec.external_interfaces.contains(&link.name)
    };
    if links.iter().any(|link| is_out(&link)) {
        return Ok(Some("an interface was not plugged into its bridge"));
    }
    let ruled = networking
        .firewall
        .verify(&spec.name)
        .await
        .map_err(failed)?;
    if !ruled {
        return Ok(Some("its firewall rules were not as they should be"));
    }
    let answered = !spec.needs_dnsmasq()
        || networking
            .names
            .is_running(&spec.name)
            .await
            .map_err(failed)?;
    Ok((!answered).then_some("its dnsmasq had ended"))
}

/// Takes down networks that this daemon made, as its own rules or its own directory tell, and that no row names.
///
/// A bridge alone does not tell whose it is: daemons that run side by side mark theirs alike.
pub(super) async fn take_down_unknown(app: &App) -> Result<()> {
    let _turn = app.networking.turn.lock().await;
    let failed = |error| Error::failed("list the networks that have rules", error);
    let ruled = app.networking.firewall.networks().await.map_err(failed)?;
    let mut names: BTreeSet<String> = ruled.into_iter().collect();
    if let Ok(entries) = std::fs::read_dir(app.places.networks()) {
        let directories = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok());
        names.extend(directories);
    }
    for row in app.db.read(networks::list).await? {
        names.remove(&row.name);
    }
    // Rules of NICs that are on no network at all.
    names.remove("");
    for name in names {
        tracing::warn!(network = name, "taking down a network that nobody knows");
        let taken = app.networking.take_down(&name).await;
        taken.map_err(|error| Error::failed(format!("take down network `{name}`"), error))?;
    }
    Ok(())
}

/// Forgets names of NICs that no instance has any more.
pub(super) async fn forget_unknown_hosts(app: &App) -> Result<()> {
    let rows = app.db.read(networks::list).await?;
    for row in rows.into_iter().filter(Network::is_bridge) {
        let failed = |error| Error::failed(format!("look at the names on `{}`", row.name), error);
        // Hosts before rows: who comes meanwhile has a row.
        let hosts = app
            .networking
            .names
            .hosts(&row.name)
            .await
            .map_err(failed)?;
        if hosts.is_empty() {
            continue;
        }
        let known = known_addresses(app).await?;
        for hwaddr in hosts.into_iter().filter(|hwaddr| !known.contains(hwaddr)) {
            tracing::info!(network = row.name, %hwaddr, "forgetting a name of nobody");
            let names = &app.networking.names;
            names.remove_host(&row.name, hwaddr).await.map_err(failed)?;
        }
    }
    Ok(())
}

/// Every Ethernet address that any instance may have: its own devices', its profiles', and what was chosen for it.
async fn known_addresses(app: &App) -> Result<Vec<Mac>> {
    let (instances, profiles) = app
        .db
        .read(|tx| {
            let profiles = db::profiles::list_all(tx)?;
            Ok::<_, Error>((db::instances::list(tx, None)?, profiles))
        })
        .await?;
    let chosen = instances
        .iter()
        .flat_map(|instance| &instance.config)
        .filter(|(key, _)| key.starts_with("volatile.") && key.ends_with(".hwaddr"))
        .map(|(_, value)| value);
    let own = instances.iter().map(|instance| &instance.devices);
    let shared = profiles.iter().map(|profile| &profile.devices);
    let fixed = own
        .chain(shared)
        .flat_map(|devices| devices.values())
        .filter_map(|device| device.get("hwaddr"));
    Ok(chosen
        .chain(fixed)
        .filter_map(|text| text.parse().ok())
        .collect())
}
