//! Managed networks: bringing them up and taking them down. What users do with them, what they see of them, and how
//! instances are plugged in is in the files below.

pub mod acl;
pub mod acl_log;
mod adapter;
mod addresses;
mod allocations;
mod change;
mod claims;
pub mod forward;
mod holder;
mod left;
mod names;
mod nics;
mod on_parent;
mod placed;
mod ports;
pub mod proxy;
mod rename;
pub mod rules;
mod subnets;
pub mod traces;
mod view;
pub mod watch;
pub mod zone;

use std::sync::Arc;

use rlxc_network::{BridgeSpec, Firewall, Links, Ruleset};
use rlxc_sys::chain::chain;

pub use addresses::{choose_address, expanded_all, fixed_addresses};
pub use allocations::allocations;
pub use change::{create, delete, undo_create, update};
pub use claims::{check_devices, check_host, forget_taken_hwaddrs};
pub use left::left;
pub use names::Names;
use nics::in_project;
pub use nics::{
    attach, forget_hosts, free_host_name, host_name, plug, plugged, readdress, rejoin,
    rename_hosts, settle_nics, unplug,
};
pub use rename::rename;
pub use view::{addresses_of, get, leases, list, list_all, state};

use crate::context::App;
use crate::db::networks;
use crate::error::{Error, Result};
use crate::model::Network;
use crate::plan::bridge::bridge_spec;

/// What makes networks real.
#[derive(Debug)]
pub struct Networking {
    /// Bridges and veth pairs.
    pub links: Arc<dyn Links>,
    /// Rules.
    pub firewall: Arc<dyn Firewall>,
    /// DHCP and DNS.
    pub names: Arc<dyn Names>,
    /// What is plugged into networks and needs rules.
    pub plugged: rules::Plugged,
    /// Held by whoever places NICs that leave traces on the host, which several may share.
    pub placing: tokio::sync::Mutex<()>,
    /// What answers networks.
    pub watched: watch::Watched,
    /// Held by whoever begins to listen on ports of the host.
    pub listening: tokio::sync::Mutex<()>,
    /// Held by whoever makes, changes or deletes a network: subnets must not meet.
    pub turn: tokio::sync::Mutex<()>,
}

impl Networking {
    /// Nothing is plugged in yet.
    pub fn new(links: Arc<dyn Links>, firewall: Arc<dyn Firewall>, names: Arc<dyn Names>) -> Self {
        Self {
            links,
            firewall,
            names,
            plugged: rules::Plugged::default(),
            placing: tokio::sync::Mutex::default(),
            watched: watch::Watched::default(),
            listening: tokio::sync::Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Makes a network be what its specification says; doing it twice changes nothing.
    pub async fn bring_up(
        &self,
        spec: &BridgeSpec,
        ruleset: &Ruleset,
    ) -> Result<(), rlxc_network::Error> {
        self.links.ensure_bridge(spec).await?;
        self.firewall.apply(&spec.name, ruleset).await?;
        self.watched.forget(&spec.name);
        self.names.ensure(spec).await?;
        if let Some(process) = self.names.process(&spec.name).await? {
            self.watched.watch(&spec.name, process);
        }
        Ok(())
    }

    /// Takes a network away; doing it twice is fine.
    pub async fn take_down(&self, name: &str) -> Result<(), rlxc_network::Error> {
        self.watched.forget(name);
        // What one tool can't do, for it is missing, is no reason to leave the rest.
        let stopped = self.names.stop(name).await;
        let removed = self.firewall.remove(name).await;
        let deleted = match self.links.delete_bridge(name).await {
            // Somebody else's of this name: so there was none of ours.
            Err(rlxc_network::Error::NotOurs(_)) => Ok(()),
            other => other,
        };
        stopped.and(removed).and(deleted)
    }
}

/// The kind of warning of a network that can't be brought up.
pub const UNAVAILABLE: &str = "Network unavailable";

/// Brings up all networks. One that can't be leaves a warning.
pub async fn bring_up_all(app: &App) -> Result<()> {
    rules::learn(app).await?;
    for bridge in rules::unmanaged(app).await? {
        rules::apply(app, &bridge).await?;
    }
    for network in app.db.read(networks::list).await? {
        match bring_up(app, &network).await {
            Ok(()) => app.resolve(UNAVAILABLE, &url(&network.name)),
            Err(error) => {
                tracing::error!(network = network.name, error = %chain(&error), "a network can't be brought up");
                let text = chain(&error).to_string();
                app.warn(UNAVAILABLE, &url(&network.name), &text).await;
            }
        }
    }
    Ok(())
}

/// Makes a network be what its row says.
pub async fn bring_up(app: &App, network: &Network) -> Result<()> {
    if !network.is_bridge() {
        return on_parent::look(app, network).await;
    }
    let spec = bridge_spec(&network.name, &network.config).map_err(Error::Invalid)?;
    let ruleset = rules::assemble(app, &spec, network).await?;
    app.networking
        .bring_up(&spec, &ruleset)
        .await
        .map_err(|error| Error::failed(format!("bring up network `{}`", network.name), error))
}

/// A network that is a bridge; others have neither addresses nor rules.
async fn find_bridge(app: &App, name: &str) -> Result<Network> {
    let network = find(app, name).await?;
    if network.is_bridge() {
        return Ok(network);
    }
    Err(Error::Invalid(format!(
        "network `{name}` is of type {}: only bridges have this",
        network.kind
    )))
}

async fn find(app: &App, name: &str) -> Result<Network> {
    let key = name.to_owned();
    let found = app.db.read(move |tx| networks::find(tx, &key)).await?;
    found.ok_or_else(|| Error::not_found("network", name))
}

/// The URL of a network.
pub fn url(name: &str) -> String {
    format!("/1.0/networks/{name}")
}
