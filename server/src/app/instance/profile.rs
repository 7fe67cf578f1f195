//! A profile changes: so do all instances that have it, those that run at once.

use std::collections::{BTreeMap, BTreeSet};

use super::{devices, ids, tpm};
use crate::app::network;
use crate::app::project::gate;
use crate::context::App;
use crate::db::{DEFAULT_PROJECT, instances, profiles, projects};
use crate::error::{Error, Result};
use crate::guest;
use crate::instance::Permit;
use crate::instance::state::Verb;
use crate::model::{Config, Instance, Profile};
use crate::plan::conflicts;
use crate::plan::expand::{Expanded, expand};
use crate::plan::limits::check_host;
use crate::plan::project::Feature;
use crate::saga::Saga;

/// An instance that has the profile, held until the profile is written.
struct User {
    instance: Instance,
    permit: Permit,
    before: Expanded,
    after: Expanded,
}

/// Gives a profile other keys and devices. The running instances that have it take the change of their devices, all of
/// them or none; then the profile is written.
pub async fn change_users(app: &App, profile: &Profile, changed: Profile) -> Result<()> {
    let operation = app.clock.uuid().to_string();
    let users = hold(app, profile, &changed, &operation).await?;
    let mut accepted = Vec::new();
    for user in &users {
        network::check_host(app, &user.instance, &user.after, Some(&user.before)).await?;
        check_ids(app, user).await?;
        if let Some(running) = user.permit.running() {
            let live = devices::prepare(app, &user.instance, &user.before, &user.after).await?;
            devices::check(app, &user.instance, running.as_ref(), &live).await?;
            accepted.push((&user.instance, running, live));
        } else {
            let (before, after) = (&user.before.config, &user.after.config);
            check_host(before, after, &app.host).map_err(Error::Invalid)?;
        }
    }
    let mut saga = Saga::new(app, &operation);
    for (_, running, live) in &accepted {
        if let Err(error) = devices::carry_out(app, &mut saga, running, live).await {
            saga.unwind().await;
            return Err(error);
        }
    }
    let mut notes: BTreeMap<i64, Config> = accepted
        .iter()
        .map(|(.., live)| (live.instance, live.notes()))
        .collect();
    for user in &users {
        if guest::is_another_machine(&user.before, &user.after) {
            let id = (guest::INSTANCE_ID.to_owned(), app.clock.uuid().to_string());
            notes.entry(user.instance.id).or_default().extend([id]);
        }
    }
    saga.commit_noted(move |tx| write(tx, &changed, &notes))
        .await?;
    for (instance, _, live) in accepted {
        live.settle(app, instance).await;
    }
    for user in &users {
        tpm::forget(app, user.instance.id, &user.after.devices).await;
    }
    Ok(())
}

/// All instances that have the profile, in the order of their ids, so that two changes never wait for each other.
async fn hold(
    app: &App,
    profile: &Profile,
    changed: &Profile,
    operation: &str,
) -> Result<Vec<User>> {
    let project = app.project(&profile.project).await?;
    let (name, supposed) = (profile.name.clone(), changed.clone());
    let mut all = app
        .db
        .read(move |tx| {
            gate::check_users_of(tx, &supposed)?;
            users(tx, project, &name)
        })
        .await?;
    all.sort_by_key(|instance| instance.id);
    let mut users = Vec::new();
    for instance in all {
        let Some(handle) = app.instances.get(instance.id) else {
            continue;
        };
        let begun = handle.begin_after_others(Verb::Update, &instance.name, operation);
        let permit = begun.await?;
        // Only now nobody else changes it.
        let instance = super::find_by_id(app, instance.id).await?;
        let known = app.db.read(move |tx| profiles::list(tx, project)).await?;
        let before = expand(&instance, &known);
        let after = expand(&instance, &replaced(known, changed));
        users.push(User {
            instance,
            permit,
            before,
            after,
        });
    }
    Ok(users)
}

/// The instances that have a profile of a project, also those of projects without profiles of their own.
fn users(tx: &rusqlite::Transaction<'_>, owner: i64, profile: &str) -> Result<Vec<Instance>> {
    let mut all = Vec::new();
    for project in projects::users(tx, owner, Feature::Profiles)? {
        all.extend(instances::list(tx, Some(project.id))?);
    }
    all.retain(|instance| instance.profiles.iter().any(|name| name == profile));
    Ok(all)
}

/// Refuses ids that this user of the profile can't have.
async fn check_ids(app: &App, user: &User) -> Result<()> {
    let (before, after) = (user.before.config.clone(), user.after.config.clone());
    let (instance, ranges) = (user.instance.clone(), app.id_ranges.clone());
    let check = move |tx: &rusqlite::Transaction<'_>| {
        ids::check_change(tx, &ranges, &instance, (&before, &after))
    };
    app.db.read(check).await
}

fn replaced(mut known: Vec<Profile>, changed: &Profile) -> Vec<Profile> {
    for profile in known.iter_mut().filter(|profile| profile.id == changed.id) {
        *profile = changed.clone();
    }
    known
}

fn write(
    tx: &rusqlite::Transaction<'_>,
    changed: &Profile,
    notes: &BTreeMap<i64, Config>,
) -> Result<()> {
    let Profile {
        id,
        description,
        config,
        devices,
        ..
    } = changed;
    let before: BTreeMap<i64, Expanded> = network::expanded_all(tx)?
        .into_iter()
        .map(|(instance, expanded)| (instance.id, expanded))
        .collect();
    profiles::update(tx, *id, description, config, devices)?;
    gate::check_users_of(tx, changed)?;
    let owner = projects::find_id(tx, &changed.project)?.unwrap_or(DEFAULT_PROJECT);
    let users: BTreeSet<i64> = users(tx, owner, &changed.name)?
        .iter()
        .map(|instance| instance.id)
        .collect();
    for (instance, expanded) in network::expanded_all(tx)? {
        if users.contains(&instance.id) {
            conflicts::check(&expanded.devices).map_err(Error::Invalid)?;
            network::check_devices(tx, &instance, &expanded, before.get(&instance.id))?;
        }
    }
    for (instance, keys) in notes {
        let keys: Vec<_> = keys
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone()))
            .collect();
        instances::set_keys(tx, *instance, &keys)?;
    }
    Ok::<_, Error>(())
}
