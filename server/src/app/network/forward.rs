//! Forwards: the use cases of `/1.0/networks/{name}/forwards`.

use rlxc_api::{NetworkForward as ForwardView, NetworkForwardPut, NetworkForwardsPost, Requestor};
use rlxc_network::firewall::plan_ruleset;

use super::ports::{self, Asker, Listening};
use super::{find, find_bridge, rules};
use crate::context::App;
use crate::db::{network_rules, networks};
use crate::error::{Error, Result};
use crate::model::{Network, NetworkForward};
use crate::plan::bridge::bridge_spec;
use crate::plan::forward::{parse_listen, plan_forward};

/// The URL of a forward.
pub fn url(network: &str, listen: &str) -> String {
    format!("/1.0/networks/{network}/forwards/{listen}")
}

/// All forwards of a network.
pub async fn list(app: &App, network: &str) -> Result<Vec<ForwardView>> {
    let id = find(app, network).await?.id;
    let rows = app
        .db
        .read(move |tx| network_rules::list_forwards(tx, Some(id)))
        .await?;
    Ok(rows.into_iter().map(render).collect())
}

/// One forward.
pub async fn get(app: &App, network: &str, listen: &str) -> Result<ForwardView> {
    let network = find(app, network).await?;
    find_forward(app, &network, listen).await.map(render)
}

/// Makes a forward.
pub async fn create(
    app: &App,
    who: &Requestor,
    network: &str,
    post: NetworkForwardsPost,
) -> Result<()> {
    let _turn = app.networking.turn.lock().await;
    let network = find_bridge(app, network).await?;
    let listen = parse_listen(&post.listen_address).map_err(Error::Invalid)?;
    let forward = NetworkForward {
        network: network.id,
        listen_address: listen.to_string(),
        description: post.put.description,
        config: post.put.config,
        ports: post.put.ports,
        ..NetworkForward::default()
    };
    let listening = check(&network, &forward)?;
    refuse_taken(app, &forward).await?;
    let _listening = app.networking.listening.lock().await;
    let asker = Asker::Forward(&forward.listen_address);
    ports::refuse_taken(app, asker, &network.project, &listening).await?;
    let name = network.name.clone();
    insert(app, forward.clone()).await?;
    if let Err(error) = rules::apply(app, &name).await {
        let made = find_forward(app, &network, &forward.listen_address).await?;
        remove(app, &network, made.id).await?;
        return Err(error);
    }
    let url = url(&name, &forward.listen_address);
    app.resource_event("network-forward-created", url, &forward.listen_address, who);
    Ok(())
}

/// Replaces ports and keys.
pub async fn update(
    app: &App,
    who: &Requestor,
    network: &str,
    listen: &str,
    put: NetworkForwardPut,
) -> Result<()> {
    let _turn = app.networking.turn.lock().await;
    let network = find(app, network).await?;
    let before = find_forward(app, &network, listen).await?;
    let forward = NetworkForward {
        description: put.description,
        config: put.config,
        ports: put.ports,
        ..before.clone()
    };
    let listening = check(&network, &forward)?;
    let _listening = app.networking.listening.lock().await;
    let asker = Asker::Forward(&forward.listen_address);
    ports::refuse_taken(app, asker, &network.project, &listening).await?;
    write(app, forward).await?;
    if let Err(error) = rules::apply(app, &network.name).await {
        write(app, before).await?;
        rules::apply(app, &network.name).await?;
        return Err(error);
    }
    app.resource_event(
        "network-forward-updated",
        url(&network.name, listen),
        listen,
        who,
    );
    Ok(())
}

/// Deletes a forward.
pub async fn delete(app: &App, who: &Requestor, network: &str, listen: &str) -> Result<()> {
    let _turn = app.networking.turn.lock().await;
    let network = find(app, network).await?;
    let forward = find_forward(app, &network, listen).await?;
    if let Err(error) = remove(app, &network, forward.id).await {
        insert(app, forward).await?;
        rules::apply(app, &network.name).await?;
        return Err(error);
    }
    app.resource_event(
        "network-forward-deleted",
        url(&network.name, listen),
        listen,
        who,
    );
    Ok(())
}

async fn insert(app: &App, forward: NetworkForward) -> Result<()> {
    app.db
        .write(move |tx| network_rules::insert_forward(tx, &forward).map_err(Error::from))
        .await
}

async fn write(app: &App, forward: NetworkForward) -> Result<()> {
    app.db
        .write(move |tx| network_rules::update_forward(tx, &forward).map_err(Error::from))
        .await
}

async fn remove(app: &App, network: &Network, id: i64) -> Result<()> {
    app.db
        .write(move |tx| network_rules::delete_forward(tx, id).map_err(Error::from))
        .await?;
    rules::apply(app, &network.name).await
}

fn check(network: &Network, forward: &NetworkForward) -> Result<Vec<Listening>> {
    let spec = bridge_spec(&network.name, &network.config).map_err(Error::Invalid)?;
    let subnets = plan_ruleset(&spec).subnets;
    let rules = plan_forward(forward, &subnets).map_err(|error| {
        Error::Invalid(format!("forward of {}: {error}", forward.listen_address))
    })?;
    Ok(ports::of_forward(&rules))
}

/// The forwards of all networks, and the networks.
pub(super) async fn all_with_networks(app: &App) -> Result<(Vec<NetworkForward>, Vec<Network>)> {
    let read = |tx: &rusqlite::Transaction<'_>| {
        let forwards = network_rules::list_forwards(tx, None)?;
        Ok::<_, Error>((forwards, networks::list(tx)?))
    };
    app.db.read(read).await
}

/// An address is forwarded by one network only, and is no network's own.
async fn refuse_taken(app: &App, forward: &NetworkForward) -> Result<()> {
    let address = forward.listen_address.clone();
    let (forwards, all) = all_with_networks(app).await?;
    if let Some(other) = forwards
        .iter()
        .find(|other| other.listen_address == address)
    {
        let owner = all.iter().find(|network| network.id == other.network);
        let name = owner.map_or("", |network| network.name.as_str());
        return Err(Error::Conflict(format!(
            "address {address} is forwarded by network `{name}` already"
        )));
    }
    let owner = all.iter().find(|network| {
        ["ipv4.address", "ipv6.address"].into_iter().any(|key| {
            let own = network
                .config
                .get(key)
                .and_then(|text| text.split('/').next());
            own == Some(address.as_str())
        })
    });
    match owner {
        Some(network) => Err(Error::Conflict(format!(
            "address {address} is the host's own on network `{}`",
            network.name
        ))),
        None => Ok(()),
    }
}

async fn find_forward(app: &App, network: &Network, listen: &str) -> Result<NetworkForward> {
    let id = network.id;
    let rows = app
        .db
        .read(move |tx| network_rules::list_forwards(tx, Some(id)))
        .await?;
    let wanted = parse_listen(listen).map_or_else(|_bad| listen.to_owned(), |ip| ip.to_string());
    rows.into_iter()
        .find(|forward| forward.listen_address == wanted)
        .ok_or_else(|| Error::not_found("network forward", listen))
}

fn render(forward: NetworkForward) -> ForwardView {
    ForwardView {
        put: NetworkForwardPut {
            description: forward.description,
            config: forward.config,
            ports: forward.ports,
        },
        listen_address: forward.listen_address,
        location: "none".to_owned(),
    }
}
