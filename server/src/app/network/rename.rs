//! Renaming a network that nobody uses: its bridge, rules and dnsmasq go under the old name and come under the new one.

use rlxc_api::Requestor;
use rlxc_api::name::NetworkName;
use rlxc_sys::chain::chain;

use super::view::used_by;
use super::{bring_up, find, url};
use crate::context::App;
use crate::db::networks;
use crate::error::{Error, Result};
use crate::model::Network;
use crate::saga::{JournalEntry, Saga};

/// Renames. If it can't be brought up under the new name, it has its old one again.
pub async fn rename(app: &App, who: &Requestor, name: &str, new: &str) -> Result<()> {
    let new: NetworkName = new.parse()?;
    let _turn = app.networking.turn.lock().await;
    let network = find(app, name).await?;
    let users = used_by(app, &network).await?;
    if !users.is_empty() {
        return Err(Error::Conflict(format!(
            "network `{name}` can't be renamed: it is in use by {}",
            users.join(", ")
        )));
    }
    let renamed = Network {
        name: new.to_string(),
        ..network.clone()
    };
    if let Err(error) = change(app, &network, &renamed).await {
        if let Err(error) = change(app, &renamed, &network).await {
            let text = chain(&error).to_string();
            app.warn(super::UNAVAILABLE, &url(name), &text).await;
        }
        return Err(error);
    }
    app.resource_event("network-renamed", url(&new), &new, who);
    Ok(())
}

/// The row first: whoever dies after that, the next start takes down what no row names and brings up what one does.
async fn change(app: &App, from: &Network, to: &Network) -> Result<()> {
    let (id, name) = (to.id, to.name.clone());
    let rename = move |tx: &rusqlite::Transaction<'_>| {
        networks::rename(tx, id, &name).map_err(|error| {
            if error.is_unique_violation() {
                Error::exists("network", &name)
            } else {
                error.into()
            }
        })
    };
    if !to.is_bridge() {
        return app.db.write(rename).await;
    }
    let mut saga = Saga::new(app, &app.clock.uuid().to_string());
    let entry = JournalEntry::Network {
        name: from.name.clone(),
    };
    saga.intend_with(entry, rename).await?;
    saga.unwind().await;
    bring_up(app, to).await
}
