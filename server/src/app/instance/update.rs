//! Changing an instance's configuration, and putting it back to a snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::{InstancePut, Operation, Requestor};

use super::devices;
use super::find;
use super::handle;
use super::ids;
use super::quota;
use super::snapshot::find_snapshot;
use super::start::Started;
use super::stop::{Manner, stop};
use super::tpm;
use crate::app::network;
use crate::app::project::gate::{self, Supposed};
use crate::app::volume;
use crate::context::{App, blocking, instance_url};
use crate::db::{instances, pools, profiles};
use crate::error::{Error, Result};
use crate::guest;
use crate::instance::state::Verb;
use crate::instance::{Outcome, Permit};
use crate::keys;
use crate::model::{Config, Instance, Snapshot};
use crate::operation::OperationSpec;
use crate::plan::conflicts;
use crate::plan::expand::{Expanded, expand, refuse_twice, root_disk};
use crate::plan::limits::check_host;
use crate::saga::{JournalEntry, Saga, instance_volume, snapshot_id};

/// Keys that belong to the daemon: a client may change them but not take them away.
const KEPT: &[&str] = &[
    "volatile.uuid",
    "volatile.base_image",
    guest::INSTANCE_ID,
    guest::READY,
    "volatile.last_state.power",
];

/// Begins to replace everything that a user may write.
pub async fn update(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    name: &str,
    put: InstancePut,
) -> Result<Operation> {
    if !put.restore.is_empty() {
        return restore(app, who, project, name, &put.restore).await;
    }
    keys::check_instance(&put.config).map_err(Error::Invalid)?;
    keys::check_devices(&put.devices).map_err(Error::Invalid)?;
    let instance = find(app, project, name).await?;
    let operation = app.operations.next_id();
    let permit = handle(app, &instance)?
        .begin(Verb::Update, name, &operation)
        .await?;
    let spec = OperationSpec::task(
        "Updating instance",
        project,
        "instances",
        &instance_url(project, name),
    )
    .requested_by(who);
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app
        .operations
        .spawn_as(operation, spec, move |operation| async move {
            let changed = change(&app2, &permit, instance.id, put, operation.id()).await?;
            guest::refresh(&app2, instance.id).await;
            app2.instance_event(
                "instance-updated",
                &changed.project,
                &changed.name,
                Some(who),
            );
            drop(permit);
            Ok(BTreeMap::new())
        }))
}

/// The devices of one that runs first, then the rows; all of it or nothing. Returns what it is then.
async fn change(
    app: &App,
    permit: &Permit,
    id: i64,
    put: InstancePut,
    operation: &str,
) -> Result<Instance> {
    // What the daemon noted of it meanwhile is in the row, not in what was read before the permit.
    let current = super::find_by_id(app, id).await?;
    let project = app.project(&current.project).await?;
    let mut changed = apply(&current, put);
    let (before, after) = app
        .db
        .read({
            let (current, changed) = (current.clone(), changed.clone());
            let ranges = app.id_ranges.clone();
            move |tx| {
                let (before, after) = check(tx, project, (&current, &changed))?;
                ids::check_change(tx, &ranges, &changed, (&before.config, &after.config))?;
                Ok::<_, Error>((before, after))
            }
        })
        .await?;
    if guest::is_another_machine(&before, &after) {
        let id = app.clock.uuid().to_string();
        changed.config.insert(guest::INSTANCE_ID.to_owned(), id);
    }
    network::check_host(app, &changed, &after, Some(&before)).await?;
    // What was written once and is no size any more limits nothing.
    let sizes = (quota::size(&before).unwrap_or(None), quota::size(&after)?);
    quota::set(app, &current, sizes.0, sizes.1).await?;
    let changed = carry_out(
        app,
        permit,
        operation,
        (&current, changed),
        (&before, &after),
    )
    .await;
    let devices = if changed.is_ok() { &after } else { &before };
    tpm::forget(app, id, &devices.devices).await;
    if changed.is_err() {
        quota::set(app, &current, sizes.1, sizes.0).await?;
    }
    changed
}

async fn carry_out(
    app: &App,
    permit: &Permit,
    operation: &str,
    (current, mut changed): (&Instance, Instance),
    (before, after): (&Expanded, &Expanded),
) -> Result<Instance> {
    let project = app.project(&current.project).await?;
    let mut saga = Saga::new(app, operation);
    let mut live = None;
    if let Some(running) = permit.running() {
        let change = devices::prepare(app, current, before, after).await?;
        devices::check(app, current, running.as_ref(), &change).await?;
        if let Err(error) = devices::carry_out(app, &mut saga, running, &change).await {
            saga.unwind().await;
            return Err(error);
        }
        changed.config.extend(change.notes());
        changed.config.retain(|_, value| !value.is_empty());
        live = Some(change);
    } else {
        check_host(&before.config, &after.config, &app.host).map_err(Error::Invalid)?;
    }
    let current = current.clone();
    let changed = saga
        .commit_noted(move |tx| {
            check(tx, project, (&current, &changed))?;
            instances::update(tx, project, &changed)?;
            Ok(changed)
        })
        .await?;
    if let Some(live) = live {
        live.settle(app, &changed).await;
    }
    Ok(changed)
}

fn apply(instance: &Instance, put: InstancePut) -> Instance {
    let mut config: Config = put
        .config
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    for (key, value) in &instance.config {
        let kept = KEPT.contains(&key.as_str())
            || key.starts_with("volatile.idmap.")
            || key.ends_with(".hwaddr")
            || key.ends_with(".host_name");
        if kept && key.starts_with("volatile.") && !config.contains_key(key) {
            config.insert(key.clone(), value.clone());
        }
    }
    Instance {
        description: put.description,
        ephemeral: put.ephemeral,
        config,
        devices: put.devices,
        profiles: put.profiles.unwrap_or_else(|| vec!["default".to_owned()]),
        ..instance.clone()
    }
}

/// Refuses what can't be in a project. Returns what the instance has with its profiles, before and after.
pub(super) fn check(
    tx: &rusqlite::Transaction<'_>,
    project: i64,
    (current, changed): (&Instance, &Instance),
) -> Result<(Expanded, Expanded)> {
    let known = profiles::list(tx, project)?;
    if changed.profiles != current.profiles {
        refuse_twice(&changed.profiles).map_err(Error::Invalid)?;
    }
    if let Some(missing) = changed
        .profiles
        .iter()
        .find(|name| !known.iter().any(|profile| profile.name == **name))
    {
        return Err(Error::not_found("profile", missing));
    }
    let expanded = expand(changed, &known);
    volume::check_devices(tx, &changed.project, &expanded.devices)?;
    let pool = root_disk(&expanded.devices).and_then(|(_, root)| root.get("pool"));
    match pool {
        Some(pool) if *pool == changed.pool => {}
        Some(pool) => {
            pools::find(tx, pool)?.ok_or_else(|| Error::not_found("storage pool", pool))?;
            return Err(Error::Invalid(format!(
                "the root disk of `{}` can't go to another pool this way: use `rlxc move`",
                changed.name
            )));
        }
        None => {
            return Err(Error::Invalid(format!(
                "instance `{}` would have no root disk",
                changed.name
            )));
        }
    }
    conflicts::check(&expanded.devices).map_err(Error::Invalid)?;
    let before = expand(current, &known);
    network::check_devices(tx, changed, &expanded, Some(&before))?;
    gate::check_supposing(tx, project, Supposed::Instance(changed))?;
    Ok((before, expanded))
}

/// Begins to put an instance back to a snapshot. One that runs is stopped for it and started again.
pub async fn restore(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    name: &str,
    snapshot: &str,
) -> Result<Operation> {
    let instance = find(app, project, name).await?;
    let snapshot =
        find_snapshot(&instance, snapshot.rsplit('/').next().unwrap_or(snapshot))?.clone();
    let actor = handle(app, &instance)?;
    let operation = app.operations.next_id();
    let permit = actor.begin(Verb::Restore, name, &operation).await?;
    let id = app.project(project).await?;
    let spec = OperationSpec::task(
        "Restoring snapshot",
        project,
        "instances",
        &instance_url(project, name),
    )
    .requested_by(who);
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app
        .operations
        .spawn_as(operation, spec, move |operation| async move {
            let ran = permit.running().is_some();
            stop(&app2, &actor, &permit, &instance, Manner::Force).await?;
            let result = put_back(&app2, operation.id(), (&instance, &snapshot), id).await;
            if ran {
                // Whether or not it could be put back: it ran before.
                super::start(&app2, Started::Again(who.clone()), permit, instance.id).await?;
            } else {
                permit.finish(Outcome::Unchanged);
            }
            result?;
            app2.instance_event(
                "instance-restored",
                &instance.project,
                &instance.name,
                Some(who),
            );
            Ok(BTreeMap::new())
        }))
}

/// Rows first, and with them the decision: from then on it is restored, if need be by the next start of the daemon.
async fn put_back(
    app: &App,
    operation: &str,
    (instance, snapshot): (&Instance, &Snapshot),
    project: i64,
) -> Result<()> {
    let driver = app.pools.get(&instance.pool)?;
    let (volume, wanted) = (instance_volume(instance.id), snapshot_id(snapshot.id));
    let mut saga = Saga::new(app, operation);
    let entry = JournalEntry::Restore {
        pool: instance.pool.clone(),
        instance: instance.id,
        snapshot: snapshot.id,
    };
    let after = restored(instance, snapshot);
    let restored = after.clone();
    saga.intend_noted(entry, move |tx| write_restored(tx, project, restored))
        .await?;
    let Err(error) = blocking(move || driver.restore_snapshot(volume, wanted)).await else {
        saga.keep().await;
        return limit_restored(app, instance, &after, project).await;
    };
    let before = instance.clone();
    saga.commit_noted(move |tx| Ok(instances::update(tx, project, &before)?))
        .await?;
    Err(Error::failed(
        format!(
            "restore snapshot `{}` of instance `{}` on storage pool `{}`",
            snapshot.name, instance.name, instance.pool
        ),
        error,
    ))
}

/// The root disk may have had another size then. What would not fit any more keeps the limit that it had.
async fn limit_restored(
    app: &App,
    before: &Instance,
    after: &Instance,
    project: i64,
) -> Result<()> {
    let known = app.db.read(move |tx| profiles::list(tx, project)).await?;
    let size = |instance| quota::size(&expand(instance, &known)).unwrap_or(None);
    match quota::set(app, after, size(before), size(after)).await {
        Err(Error::Invalid(reason)) => {
            let url = instance_url(&after.project, &after.name);
            app.warn("Storage quota not enforced", &url, &reason).await;
            Ok(())
        }
        other => other,
    }
}

/// What the instance is then.
fn restored(instance: &Instance, snapshot: &Snapshot) -> Instance {
    let mut config = snapshot.config.clone();
    // What the daemon noted since then is still true.
    config.retain(|key, _| !key.starts_with("volatile.last_state"));
    config.extend(
        instance
            .config
            .iter()
            .filter(|(key, _)| key.starts_with("volatile."))
            .map(|(k, v)| (k.clone(), v.clone())),
    );
    let mut devices = snapshot.devices.clone();
    // The root may have come to another pool since then.
    if let Some((name, root)) = root_disk(&instance.devices) {
        devices.insert(name.clone(), root.clone());
    }
    Instance {
        config,
        devices,
        ephemeral: snapshot.ephemeral,
        profiles: snapshot.profiles.clone(),
        ..instance.clone()
    }
}

fn write_restored(
    tx: &rusqlite::Transaction<'_>,
    project: i64,
    mut restored: Instance,
) -> Result<()> {
    let known = profiles::list(tx, project)?;
    // A profile that was deleted since then can't be given back.
    restored
        .profiles
        .retain(|name| known.iter().any(|profile| profile.name == *name));
    instances::update(tx, project, &restored)?;
    gate::check(tx, project)
}
