//! The gate of a project: limits and restrictions.
//!
//! Whoever changes what a project has writes it, then asks [`check`] at the end of the same transaction. A refusal undoes the
//! transaction, so nothing has to guess beforehand how things would be; and since every change passes here, a project never
//! has more than it may. What changes running instances before it is written asks [`check_supposing`] before that.

use rlxc_container::spec::MountSpec;
use rusqlite::Transaction;

use crate::context::App;
use crate::db::{DEFAULT_PROJECT, instances, profiles, projects};
use crate::error::{Error, Result};
use crate::model::{Instance, Profile, Project};
use crate::plan::expand::expand;
use crate::plan::project::Feature;
use crate::plan::project::limits::{self, Held, Holdings};
use crate::plan::project::restrictions::{Restrictions, Subject};

/// What is about to be written: it stands in place of what is there.
#[derive(Debug, Clone, Copy)]
pub enum Supposed<'a> {
    /// Nothing: all has been written.
    Nothing,
    /// An instance.
    Instance(&'a Instance),
    /// A profile.
    Profile(&'a Profile),
}

/// Refuses what was written if the project now has more than it may, or what is forbidden in it.
pub fn check(tx: &Transaction<'_>, project: i64) -> Result<()> {
    check_supposing(tx, project, Supposed::Nothing)
}

/// The same before it is written, for what has effects before.
pub fn check_supposing(tx: &Transaction<'_>, project: i64, supposed: Supposed<'_>) -> Result<()> {
    match projects::find_by_id(tx, project)? {
        Some(project) => check_project(tx, &project, supposed),
        None => Ok(()),
    }
}

/// The same for the project that things of this kind are written to: this one, or `default`.
pub fn check_owner(tx: &Transaction<'_>, project: i64, feature: Feature) -> Result<()> {
    check(tx, projects::owner(tx, project, feature)?)
}

/// Refuses a profile that one of the projects that use it may not have, before it is written.
pub fn check_users_of(tx: &Transaction<'_>, profile: &Profile) -> Result<()> {
    let owner = projects::find_id(tx, &profile.project)?.unwrap_or(DEFAULT_PROJECT);
    for project in projects::users(tx, owner, Feature::Profiles)? {
        check_project(tx, &project, Supposed::Profile(profile))?;
    }
    Ok(())
}

fn check_project(tx: &Transaction<'_>, project: &Project, supposed: Supposed<'_>) -> Result<()> {
    let restrictions = Restrictions::of(&project.name, &project.config);
    if restrictions.is_none() && !limits::has_limits(&project.config) {
        return Ok(());
    }
    let known = known_profiles(tx, project, supposed)?;
    let holdings = load_supposing(tx, project, (&known, supposed))?;
    limits::check(&project.name, &project.config, &holdings).map_err(Error::Invalid)?;
    let Some(restrictions) = restrictions else {
        return Ok(());
    };
    for held in &holdings.instances {
        let subject = Subject {
            what: &format!("instance `{}`", held.name),
            config: &held.config,
            devices: &held.devices,
        };
        restrictions.check(subject).map_err(Error::Invalid)?;
    }
    if !Feature::Profiles.is_on(&project.config) {
        return Ok(());
    }
    for profile in known {
        let subject = Subject {
            what: &format!("profile `{}`", profile.name),
            config: &profile.config,
            devices: &profile.devices,
        };
        restrictions.check(subject).map_err(Error::Invalid)?;
    }
    Ok(())
}

fn known_profiles(
    tx: &Transaction<'_>,
    project: &Project,
    supposed: Supposed<'_>,
) -> Result<Vec<Profile>> {
    let mut known = profiles::list(tx, project.id)?;
    if let Supposed::Profile(changed) = supposed {
        for profile in known.iter_mut().filter(|profile| profile.id == changed.id) {
            *profile = changed.clone();
        }
    }
    Ok(known)
}

/// Keeps directories of the host that an instance gets to what its project may have, whatever links are in them.
pub async fn confine(app: &App, project: &str, mounts: &mut [MountSpec]) -> Result<()> {
    if mounts.is_empty() {
        return Ok(());
    }
    with_restrictions(app, project, |restrictions| {
        for mount in mounts {
            mount.beneath = restrictions.top_of(&mount.source);
        }
        Ok(())
    })
    .await
}

/// What a project has.
pub fn load(tx: &Transaction<'_>, project: &Project) -> Result<Holdings> {
    let known = profiles::list(tx, project.id)?;
    load_supposing(tx, project, (&known, Supposed::Nothing))
}

fn load_supposing(
    tx: &Transaction<'_>,
    project: &Project,
    (known, supposed): (&[Profile], Supposed<'_>),
) -> Result<Holdings> {
    let held = instances::list(tx, Some(project.id))?
        .into_iter()
        .map(|instance| match supposed {
            Supposed::Instance(changed) if changed.id == instance.id => changed.clone(),
            _ => instance,
        })
        .map(|instance| {
            let expanded = expand(&instance, known);
            Held {
                name: instance.name,
                pool: instance.pool,
                config: expanded.config,
                devices: expanded.devices,
            }
        })
        .collect();
    let (images, networks) = projects::totals(tx, project.id)?;
    Ok(Holdings {
        instances: held,
        volumes: Vec::new(),
        images: u64::try_from(images).unwrap_or(0),
        networks: u64::try_from(networks).unwrap_or(0),
    })
}

/// What the whole project has or has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Snapshots of instances and volumes.
    Snapshot,
    /// Backups of instances and volumes.
    Backup,
}

/// Refuses an action that is forbidden in a project.
pub async fn check_action(app: &App, project: &str, action: Action) -> Result<()> {
    let (key, what) = match action {
        Action::Snapshot => ("restricted.snapshots", "a snapshot"),
        Action::Backup => ("restricted.backups", "a backup"),
    };
    with_restrictions(app, project, |restrictions| {
        restrictions.check_action(key, what)
    })
    .await
}

/// Refuses an image server that a project may not have images of.
pub async fn check_image_server(app: &App, project: &str, url: &str) -> Result<()> {
    with_restrictions(app, project, |restrictions| {
        restrictions.check_image_server(url)
    })
    .await
}

/// Refuses a DNS zone that a project may not have, nor have its instances in.
pub async fn check_zone(app: &App, project: &str, zone: &str) -> Result<()> {
    with_restrictions(app, project, |restrictions| restrictions.check_zone(zone)).await
}

async fn with_restrictions(
    app: &App,
    project: &str,
    check: impl FnOnce(Restrictions<'_>) -> Result<(), String>,
) -> Result<()> {
    let key = project.to_owned();
    let found = app.db.read(move |tx| projects::find(tx, &key)).await?;
    let project = found.ok_or_else(|| Error::not_found("project", project))?;
    match Restrictions::of(&project.name, &project.config) {
        Some(restrictions) => check(restrictions).map_err(Error::Invalid),
        None => Ok(()),
    }
}
