//! Networks that are an interface of the host: macvlans on it, or the interface itself. They have nothing of their own.

use rlxc_network::links::vlan_name;

use crate::app::network::traces;
use crate::context::App;
use crate::db::networks;
use crate::error::{Error, Result};
use crate::keys;
use crate::model::Network;

/// Refuses a new network whose name is that of an interface, since both are shown in one list.
pub(super) async fn check_new(app: &App, network: &Network) -> Result<()> {
    check(app, network).await?;
    if is_there(app, &network.name).await? {
        return Err(Error::Conflict(format!(
            "the host has an interface `{}` already: choose another name for the network",
            network.name
        )));
    }
    Ok(())
}

/// Refuses keys that make no sense, a parent that is not there, and one interface for two networks that lend it.
pub(super) async fn check(app: &App, network: &Network) -> Result<()> {
    let scope = match network.kind.as_str() {
        "physical" => &keys::network::PHYSICAL,
        _ => &keys::network::MACVLAN,
    };
    scope.check(&network.config).map_err(Error::Invalid)?;
    let parent = parent(network)?;
    if network.kind == "physical" {
        let others = app.db.read(networks::list).await?;
        let other = others.iter().find(|other| {
            other.name != network.name
                && other.kind == "physical"
                && interface(other) == interface(network)
        });
        if let Some(other) = other {
            return Err(Error::Conflict(format!(
                "interface `{parent}` is that of network `{}` already",
                other.name
            )));
        }
    }
    look(app, network).await
}

/// Refuses a network whose parent is gone. One that is lent comes back.
pub(super) async fn look(app: &App, network: &Network) -> Result<()> {
    let parent = parent(network)?;
    let lent = traces::borrower(app, &interface(network)).await;
    if lent.is_some() || is_there(app, parent).await? {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "network `{}`: the host has no interface `{parent}`",
        network.name
    )))
}

fn parent(network: &Network) -> Result<&str> {
    let parent = network.config.get("parent").map_or("", String::as_str);
    if parent.is_empty() {
        return Err(Error::Invalid(format!(
            "network `{}` of type {} needs `parent`, an interface of the host",
            network.name, network.kind
        )));
    }
    Ok(parent)
}

/// The interface of the host that stands for such a network.
pub(super) fn interface(network: &Network) -> String {
    let value = |key: &str| network.config.get(key).cloned().unwrap_or_default();
    match value("vlan").parse() {
        Ok(id) => vlan_name(&value("parent"), id),
        Err(_none) => value("parent"),
    }
}

async fn is_there(app: &App, name: &str) -> Result<bool> {
    let links = app.networking.links.list().await;
    let links = links.map_err(|error| Error::failed("list the host's interfaces", error))?;
    Ok(links.iter().any(|link| link.name == name))
}
