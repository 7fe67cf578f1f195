//! Access control lists: the use cases of `/1.0/network-acls`. A change reaches all networks and NICs that name the list.

use std::collections::BTreeSet;

use rlxc_api::{NetworkAcl as AclView, NetworkAclPut, NetworkAclsPost, Requestor};
use rusqlite::Transaction;

use super::addresses::{expanded_all, network_owner};
use super::rules;
use crate::app::profile;
use crate::context::{App, instance_url, scoped};
use crate::db::{network_rules, networks, profiles};
use crate::error::{Error, Result};
use crate::model::{Config, Instance, Network, NetworkAcl, Profile};
use crate::plan::acl::{acl_names, check_acl};
use crate::plan::expand::Expanded;
use crate::plan::project::Feature;

/// Whatever may name ACLs, with the project of the network that it is on.
struct Naming {
    networks: Vec<Network>,
    profiles: Vec<(String, Profile)>,
    instances: Vec<(String, Instance, Expanded)>,
}

impl Naming {
    /// All there is.
    fn load(tx: &Transaction<'_>) -> Result<Self> {
        let profiles = profiles::list_all(tx)?.into_iter();
        let profiles = profiles.map(|one| Ok((network_owner(tx, &one.project)?, one)));
        let instances = expanded_all(tx)?.into_iter();
        let instances =
            instances.map(|(one, expanded)| Ok((network_owner(tx, &one.project)?, one, expanded)));
        Ok(Self {
            networks: networks::list(tx)?,
            profiles: profiles.collect::<Result<_>>()?,
            instances: instances.collect::<Result<_>>()?,
        })
    }

    /// Who names the ACL of a project: its networks, and NICs on them, whosever these are.
    fn users(&self, project: &str, name: &str) -> Users {
        let names = |config: &Config| acl_names(config).iter().any(|one| *one == name);
        let mut users = Users::default();
        for network in &self.networks {
            if network.project == project && names(&network.config) {
                users.urls.push(super::url(&network.name));
                users.networks.insert(network.name.clone());
            }
        }
        for (owner, profile) in &self.profiles {
            if owner == project && profile.devices.values().any(names) {
                users
                    .urls
                    .push(profile::url(&profile.project, &profile.name));
            }
        }
        for (owner, instance, expanded) in &self.instances {
            let nics = expanded.devices.values().filter(|keys| names(keys));
            let bridges =
                nics.filter_map(|keys| keys.get("network").or_else(|| keys.get("parent")));
            let bridges: Vec<&String> = bridges.collect();
            if owner == project && !bridges.is_empty() {
                users
                    .urls
                    .push(instance_url(&instance.project, &instance.name));
                users.networks.extend(bridges.into_iter().cloned());
            }
        }
        users
    }
}

/// Who names an ACL.
#[derive(Debug, Default)]
struct Users {
    urls: Vec<String>,
    /// Networks whose rules depend on it.
    networks: BTreeSet<String>,
}

/// The URL of an ACL.
pub fn url(name: &str) -> String {
    format!("/1.0/network-acls/{name}")
}

/// The same, with its project.
pub fn scoped_url(acl: &AclView) -> String {
    scoped(url(&acl.name), &acl.project)
}

/// ACLs belong to whom the networks of a project belong to.
async fn owner(app: &App, project: &str) -> Result<String> {
    app.owner(project, Feature::Networks).await
}

/// All ACLs of a project, or of all.
pub async fn list(app: &App, project: Option<&str>) -> Result<Vec<AclView>> {
    let id = app.owner_id(project, Feature::Networks).await?;
    app.db
        .read(move |tx| {
            let naming = Naming::load(tx)?;
            let all = network_rules::list_acls(tx, id)?.into_iter();
            Ok(all.map(|acl| render(acl, &naming)).collect())
        })
        .await
}

/// One ACL.
pub async fn get(app: &App, project: &str, name: &str) -> Result<AclView> {
    let project = &owner(app, project).await?;
    let acl = find(app, project, name).await?;
    Ok(render(acl, &app.db.read(Naming::load).await?))
}

/// Makes an ACL.
pub async fn create(
    app: &App,
    who: &Requestor,
    project: &str,
    post: NetworkAclsPost,
) -> Result<()> {
    check_name(&post.name)?;
    let project = owner(app, project).await?;
    let id = app.project(&project).await?;
    let acl = with_rules(
        NetworkAcl {
            name: post.name,
            project,
            ..NetworkAcl::default()
        },
        post.put,
    )?;
    let name = acl.name.clone();
    app.db
        .write(move |tx| {
            network_rules::insert_acl(tx, id, &acl).map_err(|error| taken(error, &acl.name))
        })
        .await?;
    app.resource_event("network-acl-created", url(&name), &name, who);
    Ok(())
}

/// Replaces the rules, at once wherever they hold.
pub async fn update(
    app: &App,
    who: &Requestor,
    project: &str,
    name: &str,
    put: NetworkAclPut,
) -> Result<()> {
    let project = &owner(app, project).await?;
    let before = find(app, project, name).await?;
    let acl = with_rules(before.clone(), put)?;
    write(app, acl).await?;
    if let Err(error) = apply_everywhere(app, project, name).await {
        write(app, before).await?;
        apply_everywhere(app, project, name).await?;
        return Err(error);
    }
    app.resource_event("network-acl-updated", url(name), name, who);
    Ok(())
}

async fn write(app: &App, acl: NetworkAcl) -> Result<()> {
    app.db
        .write(move |tx| {
            network_rules::update_acl(tx, &acl).map_err(|error| taken(error, &acl.name))
        })
        .await
}

/// Renames an ACL that nobody names.
pub async fn rename(
    app: &App,
    who: &Requestor,
    project: &str,
    name: &str,
    new: &str,
) -> Result<()> {
    check_name(new)?;
    let project = &owner(app, project).await?;
    let acl = find(app, project, name).await?;
    refuse_in_use(app, project, name, "renamed").await?;
    let acl = NetworkAcl {
        name: new.to_owned(),
        ..acl
    };
    write(app, acl).await?;
    app.resource_event("network-acl-renamed", url(new), new, who);
    Ok(())
}

/// Deletes an ACL that nobody names.
pub async fn delete(app: &App, who: &Requestor, project: &str, name: &str) -> Result<()> {
    let project = &owner(app, project).await?;
    let acl = find(app, project, name).await?;
    refuse_in_use(app, project, name, "deleted").await?;
    app.db
        .write(move |tx| network_rules::delete_acl(tx, acl.id).map_err(Error::from))
        .await?;
    app.resource_event("network-acl-deleted", url(name), name, who);
    Ok(())
}

async fn refuse_in_use(app: &App, project: &str, name: &str, what: &str) -> Result<()> {
    let users = users(app, project, name).await?.urls;
    if users.is_empty() {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "network ACL `{name}` can't be {what}: it is in use by {}",
        users.join(", ")
    )))
}

async fn apply_everywhere(app: &App, project: &str, name: &str) -> Result<()> {
    for network in users(app, project, name).await?.networks {
        rules::apply(app, &network).await?;
    }
    Ok(())
}

async fn users(app: &App, project: &str, name: &str) -> Result<Users> {
    Ok(app.db.read(Naming::load).await?.users(project, name))
}

fn with_rules(acl: NetworkAcl, put: NetworkAclPut) -> Result<NetworkAcl> {
    let acl = NetworkAcl {
        description: put.description,
        ingress: put.ingress,
        egress: put.egress,
        config: put.config,
        ..acl
    };
    check_acl(&acl).map_err(Error::Invalid)?;
    Ok(acl)
}

/// As LXD has it: a letter, then letters, digits, dashes; it also ends up in the kernel's log.
fn check_name(name: &str) -> Result<()> {
    let valid = (1..=63).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if valid {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "`{name}` is no name for a network ACL: a letter, then up to 62 letters, digits, `-`, `_` and `.`"
    )))
}

fn taken(error: crate::db::DbError, name: &str) -> Error {
    if error.is_unique_violation() {
        Error::exists("network ACL", name)
    } else {
        error.into()
    }
}

pub(super) async fn find(app: &App, project: &str, name: &str) -> Result<NetworkAcl> {
    let (id, key) = (app.project(project).await?, name.to_owned());
    let found = app
        .db
        .read(move |tx| network_rules::find_acl(tx, id, &key))
        .await?;
    found.ok_or_else(|| Error::not_found("network ACL", name))
}

fn render(acl: NetworkAcl, naming: &Naming) -> AclView {
    let used_by = naming.users(&acl.project, &acl.name).urls;
    AclView {
        put: NetworkAclPut {
            description: acl.description,
            egress: acl.egress,
            ingress: acl.ingress,
            config: acl.config,
        },
        name: acl.name,
        used_by,
        project: acl.project,
    }
}
