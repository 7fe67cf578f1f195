//! Making, changing and deleting managed networks.

use rlxc_api::name::NetworkName;
use rlxc_api::{NetworkPut, NetworksPost, Requestor};
use rlxc_network::ipam;

use super::view::used_by;
use super::{bring_up, find, on_parent, subnets, url, zone};
use crate::app::project::gate;
use crate::context::App;
use crate::db::{networks, warnings};
use crate::error::{Error, Result};
use crate::model::{Config, Network};
use crate::plan::bridge::bridge_spec;
use crate::saga::{JournalEntry, Saga};

/// Makes a network.
pub async fn create(app: &App, who: &Requestor, project: &str, post: NetworksPost) -> Result<()> {
    let name: NetworkName = post.name.parse()?;
    let kind = if post.kind.is_empty() {
        "bridge"
    } else {
        &post.kind
    };
    if !["bridge", "macvlan", "physical"].contains(&kind) {
        return Err(Error::Invalid(format!(
            "network type `{kind}` is not known here: there are bridge, macvlan and physical"
        )));
    }
    let _turn = app.networking.turn.lock().await;
    let key = name.to_string();
    if app
        .db
        .read(move |tx| networks::find(tx, &key))
        .await?
        .is_some()
    {
        return Err(Error::exists("network", name.as_str()));
    }
    let mut network = Network {
        id: 0,
        project: project.to_owned(),
        name: name.to_string(),
        kind: kind.to_owned(),
        description: post.put.description,
        config: post.put.config,
    };
    if network.is_bridge() {
        network.config = choose_addresses(app, &name, network.config).await?;
        subnets::check(app, &network, None).await?;
        check_external(app, &network, &[]).await?;
        zone::check_named(app, &network).await?;
    } else {
        on_parent::check_new(app, &network).await?;
    }
    make(app, network).await?;
    app.project_event("network-created", (project, &name), url(&name), who);
    Ok(())
}

async fn make(app: &App, network: Network) -> Result<()> {
    let owner = app.project(&network.project).await?;
    let insert = move |tx: &rusqlite::Transaction<'_>, network: &Network| {
        networks::insert(tx, network)?;
        gate::check(tx, owner)
    };
    if !network.is_bridge() {
        // There is nothing to make but the row.
        return app.db.write(move |tx| insert(tx, &network)).await;
    }
    let operation = app.clock.uuid().to_string();
    let mut saga = Saga::new(app, &operation);
    saga.intend(JournalEntry::Network {
        name: network.name.clone(),
    })
    .await?;
    if let Err(error) = bring_up(app, &network).await {
        saga.unwind().await;
        return Err(error);
    }
    saga.commit_with(move |tx| insert(tx, &network)).await
}

/// Takes away what a creation that did not end, or a deletion, left.
pub async fn undo_create(app: &App, name: &str) -> Result<()> {
    let key = name.to_owned();
    if app
        .db
        .read(move |tx| networks::find(tx, &key))
        .await?
        .is_some()
    {
        return Ok(());
    }
    app.networking
        .take_down(name)
        .await
        .map_err(|error| Error::failed(format!("take down network `{name}`"), error))
}

/// Replaces `auto`, and what a new network does not say, by a free subnet; NAT goes with a subnet that we chose.
async fn choose_addresses(app: &App, name: &str, mut config: Config) -> Result<Config> {
    let failed = |error| {
        Error::failed(
            format!("read the host's routes for network `{name}`"),
            error,
        )
    };
    let host = app.networking.links.host().await.map_err(failed)?;
    let (seed, _) = app.clock.uuid().as_u64_pair();
    let none_left = |family: &str| {
        Error::Unavailable(format!(
            "no free {family} subnet was found: set `{family}.address` yourself"
        ))
    };
    for family in ["ipv4", "ipv6"] {
        let key = format!("{family}.address");
        let wanted = config.get(&key).map_or("auto", String::as_str);
        if wanted != "auto" {
            continue;
        }
        let address = if family == "ipv4" {
            ipam::pick_ipv4_subnet(&host.ipv4, seed)
                .ok_or_else(|| none_left(family))?
                .to_string()
        } else {
            ipam::pick_ipv6_subnet(&host.ipv6, seed)
                .ok_or_else(|| none_left(family))?
                .to_string()
        };
        config.insert(key, address);
        config
            .entry(format!("{family}.nat"))
            .or_insert_with(|| "true".to_owned());
    }
    Ok(config)
}

/// Refuses interfaces to plug in that are not there, but for those that were named before.
async fn check_external(app: &App, network: &Network, known: &[String]) -> Result<()> {
    let spec = bridge_spec(&network.name, &network.config).map_err(Error::Invalid)?;
    let mut added = spec.external_interfaces;
    added.retain(|name| !known.contains(name));
    if added.is_empty() {
        return Ok(());
    }
    let links = app.networking.links.list().await;
    let links = links.map_err(|error| Error::failed("list the host's interfaces", error))?;
    added.retain(|name| !links.iter().any(|link| link.name == *name));
    match added.first() {
        Some(name) => Err(Error::Invalid(format!(
            "`bridge.external_interfaces`: the host has no interface `{name}`"
        ))),
        None => Ok(()),
    }
}

/// Replaces description and keys, and makes the network be so.
pub async fn update(app: &App, who: &Requestor, name: &str, put: NetworkPut) -> Result<()> {
    let _turn = app.networking.turn.lock().await;
    let before = find(app, name).await?;
    let mut network = before.clone();
    network.config = put
        .config
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    network.description = put.description;
    if network.is_bridge() {
        network.config = choose_only_auto(app, name, network.config).await?;
        subnets::check(app, &network, Some(&before)).await?;
        let known = bridge_spec(name, &before.config).unwrap_or_default();
        check_external(app, &network, &known.external_interfaces).await?;
        zone::check_named(app, &network).await?;
    } else {
        on_parent::check(app, &network).await?;
    }
    let result = match bring_up(app, &network).await {
        Ok(()) => {
            app.db
                .write(move |tx| networks::update(tx, &network).map_err(Error::from))
                .await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        // A daemon that dies before this brings up what its rows say.
        bring_back(app, &before).await;
        return Err(error);
    }
    app.project_event("network-updated", (&before.project, name), url(name), who);
    Ok(())
}

async fn bring_back(app: &App, network: &Network) {
    if let Err(error) = bring_up(app, network).await {
        let text = rlxc_sys::chain::chain(&error).to_string();
        app.warn(super::UNAVAILABLE, &url(&network.name), &text)
            .await;
    }
}

async fn choose_only_auto(app: &App, name: &str, config: Config) -> Result<Config> {
    let mut explicit = config;
    for key in ["ipv4.address", "ipv6.address"] {
        explicit
            .entry(key.to_owned())
            .or_insert_with(|| "none".to_owned());
    }
    choose_addresses(app, name, explicit).await
}

/// Deletes a network that nobody uses.
pub async fn delete(app: &App, who: &Requestor, name: &str) -> Result<()> {
    let _turn = app.networking.turn.lock().await;
    let network = find(app, name).await?;
    let project = network.project.clone();
    let users = used_by(app, &network).await?;
    if !users.is_empty() {
        return Err(Error::Conflict(format!(
            "network `{name}` is in use by {}",
            users.join(", ")
        )));
    }
    if !network.is_bridge() {
        app.db.write(move |tx| delete_row(tx, &network)).await?;
        app.project_event("network-deleted", (&project, name), url(name), who);
        return Ok(());
    }
    // It goes by the undo of its creation: whoever dies in between, it is taken down at the next start.
    let mut saga = Saga::new(app, &app.clock.uuid().to_string());
    let entry = JournalEntry::Network {
        name: network.name.clone(),
    };
    saga.intend_with(entry, move |tx| delete_row(tx, &network))
        .await?;
    saga.unwind().await;
    app.project_event("network-deleted", (&project, name), url(name), who);
    Ok(())
}

/// With what was warned of it.
fn delete_row(tx: &rusqlite::Transaction<'_>, network: &Network) -> Result<()> {
    warnings::forget(tx, &url(&network.name))?;
    Ok(networks::delete(tx, network.id)?)
}
