//! DNS zones: the use cases of `/1.0/network-zones`. What a zone says is put together in [`content`], and given out by
//! [`crate::dns`].

pub mod content;
pub mod record;

use rlxc_api::{NetworkZone as ZoneView, NetworkZonePut, NetworkZonesPost, Requestor};

use crate::app::project::gate;
use crate::context::{App, scoped};
use crate::db::{network_zones, networks};
use crate::error::{Error, Result};
use crate::keys;
use crate::model::{Config, Network, NetworkZone};
use crate::plan::project::Feature;

/// Keys of networks that name a zone, several in the first.
const NAMING: [&str; 3] = [
    "dns.zone.forward",
    "dns.zone.reverse.ipv4",
    "dns.zone.reverse.ipv6",
];

/// The URL of a zone.
pub fn url(name: &str) -> String {
    format!("/1.0/network-zones/{name}")
}

/// The same, with its project.
pub fn scoped_url(zone: &ZoneView) -> String {
    scoped(url(&zone.name), &zone.project)
}

/// Zones belong to the project that has the feature, or to `default`.
async fn owner(app: &App, project: &str) -> Result<String> {
    app.owner(project, Feature::Zones).await
}

/// All zones of a project, or of all.
pub async fn list(app: &App, project: Option<&str>) -> Result<Vec<ZoneView>> {
    let id = app.owner_id(project, Feature::Zones).await?;
    let (zones, networks) = app
        .db
        .read(move |tx| {
            let zones = network_zones::list(tx, id)?;
            Ok::<_, Error>((zones, networks::list(tx)?))
        })
        .await?;
    let views = zones.into_iter().map(|zone| render(zone, &networks));
    Ok(views.collect())
}

/// One zone.
pub async fn get(app: &App, project: &str, name: &str) -> Result<ZoneView> {
    let zone = find(app, project, name).await?;
    Ok(render(zone, &app.db.read(networks::list).await?))
}

/// Makes a zone; gives its URL, in which its name is as it is looked up.
pub async fn create(
    app: &App,
    who: &Requestor,
    project: &str,
    post: NetworkZonesPost,
) -> Result<String> {
    let name = post.name.trim_end_matches('.').to_lowercase();
    if !keys::network::is_domain(&name) {
        return Err(Error::Invalid(format!(
            "`{}` is no name for a network zone: a domain such as lab.example",
            post.name
        )));
    }
    keys::zone::ZONE
        .check(&post.put.config)
        .map_err(Error::Invalid)?;
    let owner = owner(app, project).await?;
    gate::check_zone(app, &owner, &name).await?;
    let id = app.project(&owner).await?;
    let zone = NetworkZone {
        name: name.clone(),
        description: post.put.description,
        config: set_keys(post.put.config),
        ..NetworkZone::default()
    };
    app.db
        .write(move |tx| {
            network_zones::insert(tx, id, &zone)
                .map_err(|error| taken(error, "network zone", &zone.name))
        })
        .await?;
    app.project_event("network-zone-created", (&owner, &name), url(&name), who);
    Ok(url(&name))
}

/// Replaces keys and description.
pub async fn update(
    app: &App,
    who: &Requestor,
    project: &str,
    name: &str,
    put: NetworkZonePut,
) -> Result<()> {
    keys::zone::ZONE
        .check(&put.config)
        .map_err(Error::Invalid)?;
    let before = find(app, project, name).await?;
    let owner = before.project.clone();
    let zone = NetworkZone {
        description: put.description,
        config: set_keys(put.config),
        ..before
    };
    app.db
        .write(move |tx| network_zones::update(tx, &zone).map_err(Error::from))
        .await?;
    app.project_event("network-zone-updated", (&owner, name), url(name), who);
    Ok(())
}

/// A key without a value is none.
fn set_keys(config: Config) -> Config {
    let set = config.into_iter().filter(|(_, value)| !value.is_empty());
    set.collect()
}

/// Deletes a zone that no network names.
pub async fn delete(app: &App, who: &Requestor, project: &str, name: &str) -> Result<()> {
    // So that no network names it meanwhile.
    let _turn = app.networking.turn.lock().await;
    let zone = find(app, project, name).await?;
    let users = users(&app.db.read(networks::list).await?, name);
    if !users.is_empty() {
        return Err(Error::Conflict(format!(
            "network zone `{name}` is in use by {}",
            users.join(", ")
        )));
    }
    app.db
        .write(move |tx| network_zones::delete(tx, zone.id).map_err(Error::from))
        .await?;
    app.project_event(
        "network-zone-deleted",
        (&zone.project, name),
        url(name),
        who,
    );
    Ok(())
}

/// The zones that a network names, by key.
fn named(config: &Config) -> impl Iterator<Item = (&'static str, &str)> {
    NAMING.into_iter().flat_map(|key| {
        let text = config.get(key).map_or("", String::as_str);
        let names = text
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        names.map(move |name| (key, name))
    })
}

/// Refuses a network that names a zone which is not there, or is nothing for its project. Networks of `default` may name
/// zones of any, which have the instances of their own project.
pub(super) async fn check_named(app: &App, network: &Network) -> Result<()> {
    let owner = owner(app, &network.project).await?;
    for (key, name) in named(&network.config) {
        gate::check_zone(app, &network.project, name).await?;
        let wanted = name.to_owned();
        let found = app
            .db
            .read(move |tx| network_zones::find(tx, &wanted))
            .await?;
        let usable = |zone: &NetworkZone| network.project == "default" || zone.project == owner;
        if !found.as_ref().is_some_and(usable) {
            return Err(Error::Invalid(format!(
                "`{key}={name}`: there is no such network zone"
            )));
        }
    }
    Ok(())
}

/// The URLs of the networks that name a zone.
fn users(all: &[Network], name: &str) -> Vec<String> {
    all.iter()
        .filter(|network| named(&network.config).any(|(_, named)| named == name))
        .map(|network| super::url(&network.name))
        .collect()
}

async fn find(app: &App, project: &str, name: &str) -> Result<NetworkZone> {
    let (owner, key) = (owner(app, project).await?, name.to_owned());
    let found = app.db.read(move |tx| network_zones::find(tx, &key)).await?;
    found
        .filter(|zone| zone.project == owner)
        .ok_or_else(|| Error::not_found("network zone", name))
}

fn taken(error: crate::db::DbError, kind: &'static str, name: &str) -> Error {
    if error.is_unique_violation() {
        Error::exists(kind, name)
    } else {
        error.into()
    }
}

fn render(zone: NetworkZone, networks: &[Network]) -> ZoneView {
    ZoneView {
        used_by: users(networks, &zone.name),
        put: NetworkZonePut {
            description: zone.description,
            config: zone.config,
        },
        name: zone.name,
        project: zone.project,
    }
}
