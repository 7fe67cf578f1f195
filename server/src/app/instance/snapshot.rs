//! Snapshots: taking, renaming, removing.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::name::SnapshotName;
use rlxc_api::{InstanceSnapshotPut, InstanceSnapshotsPost, Operation, Requestor};
use rlxc_storage::{SnapshotId, State as VolumeState};

use super::state::{freeze_cgroup, thaw_cgroup};
use super::{find, handle};
use crate::app::project::gate::{self, Action};
use crate::context::{App, blocking, instance_url, scoped};
use crate::db::snapshots;
use crate::error::{Error, Result};
use crate::instance::Permit;
use crate::instance::state::{State, Verb};
use crate::model::{Config, Instance, Snapshot};
use crate::operation::OperationSpec;
use crate::plan;
use crate::saga::{self, JournalEntry, Saga, hidden_snapshot, instance_volume, snapshot_id};

/// Begins to take a snapshot. A running instance is frozen while what changed is taken.
pub async fn create_snapshot(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    name: &str,
    post: InstanceSnapshotsPost,
) -> Result<Operation> {
    if post.stateful {
        return Err(Error::Invalid(
            "stateful snapshots are not possible for containers: take one without `--stateful`"
                .to_owned(),
        ));
    }
    gate::check_action(app, project, Action::Snapshot).await?;
    let instance = find(app, project, name).await?;
    let now = app.clock.now();
    let (_, expanded) = super::start::load(app, instance.id).await?;
    let snapshot_name = if post.name.is_empty() {
        next_name(&instance, &expanded.config, now)?
    } else {
        post.name.clone()
    };
    let snapshot_name: SnapshotName = snapshot_name.parse()?;
    let mut there = instance.snapshots.iter();
    let old = there.find(|row| row.name == *snapshot_name);
    let old = old.map(|row| row.id);
    if old.is_some() && !post.reuse {
        return Err(Error::exists("snapshot", format!("{name}/{snapshot_name}")));
    }
    let id = app.operations.next_id();
    let permit = handle(app, &instance)?
        .begin(Verb::Snapshot, name, &id)
        .await?;
    let snapshot = Snapshot {
        id: 0,
        name: snapshot_name.to_string(),
        description: post.description,
        ephemeral: instance.ephemeral,
        created_at: crate::clock::format(now),
        expires_at: plan::snapshots::expiry_of(post.expires_at, &expanded.config, now)
            .map_err(Error::Invalid)?,
        config: instance.config.clone(),
        devices: instance.devices.clone(),
        profiles: instance.profiles.clone(),
    };
    let spec = spec("Snapshotting instance", &instance, &snapshot.name, who);
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app
        .operations
        .spawn_as(id, spec, move |operation| async move {
            let of = (&instance, &permit);
            let name = snapshot.name.clone();
            take(&app2, operation.id(), of, snapshot, old).await?;
            event(&app2, "instance-snapshot-created", &instance, &name, who);
            Ok(BTreeMap::new())
        }))
}

fn next_name(instance: &Instance, config: &Config, now: jiff::Timestamp) -> Result<String> {
    let taken: Vec<&str> = instance
        .snapshots
        .iter()
        .map(|snapshot| snapshot.name.as_str())
        .collect();
    let pattern = config.get("snapshots.pattern").map_or("", String::as_str);
    plan::snapshots::next_name(pattern, &taken, now).map_err(Error::Invalid)
}

/// Takes a snapshot, in the place of `old` if there is one: that is there until the new one is.
async fn take(
    app: &App,
    operation: &str,
    of: (&Instance, &Permit),
    mut snapshot: Snapshot,
    old: Option<i64>,
) -> Result<()> {
    let name = snapshot.name.clone();
    if old.is_some() {
        snapshot.name = plan::snapshots::until_replaced(&name);
    }
    let mut saga = Saga::new(app, operation);
    let taken = async {
        let id = record(app, &mut saga, of.0, &snapshot).await?;
        capture(app, &mut saga, of, snapshot_id(id)).await?;
        Ok(id)
    };
    let taken = taken.await;
    let (Ok(new), Some(old)) = (&taken, old) else {
        return saga.settle(taken).await.map(drop);
    };
    let entry = JournalEntry::Snapshot {
        pool: of.0.pool.clone(),
        instance: of.0.id,
        id: old,
    };
    let new = *new;
    saga.commit_and_undo(entry, move |tx| {
        snapshots::delete(tx, old)?;
        Ok(snapshots::rename(tx, new, &name)?)
    })
    .await
}

/// Takes what an instance is now as the snapshot `wanted` of its volume. One that runs is frozen for the moment.
async fn capture(
    app: &App,
    saga: &mut Saga<'_>,
    (instance, permit): (&Instance, &Permit),
    wanted: SnapshotId,
) -> Result<()> {
    let driver = app.pools.get(&instance.pool)?;
    let volume = instance_volume(instance.id);
    let must_freeze = permit.before().state == State::Running;
    let failed = |error| {
        let (name, pool) = (&instance.name, &instance.pool);
        Error::failed(
            format!("snapshot instance `{name}` on storage pool `{pool}`"),
            error,
        )
    };
    if must_freeze {
        let ahead = Arc::clone(&driver);
        blocking(move || ahead.prepare_snapshot(volume, wanted))
            .await
            .map_err(failed)?;
        // Whoever dies in between leaves it frozen.
        saga.intend(JournalEntry::Frozen {
            instance: instance.id,
        })
        .await?;
        freeze_cgroup(app, instance.id).await?;
    }
    let volume_state = if permit.running().is_some() {
        VolumeState::Frozen
    } else {
        VolumeState::Stopped
    };
    let (taking, settling) = (Arc::clone(&driver), driver);
    let taken = blocking(move || taking.create_snapshot(volume, wanted, volume_state)).await;
    if must_freeze {
        thaw_cgroup(app, instance.id).await?;
    }
    taken.map_err(failed)?;
    // The instance goes on meanwhile.
    blocking(move || settling.settle_snapshot(volume, wanted))
        .await
        .map_err(failed)
}

/// What an instance is now, as a snapshot that nobody sees and that goes with the operation; see [`hidden_snapshot`].
pub(super) async fn hidden(
    app: &App,
    saga: &mut Saga<'_>,
    (instance, permit): (&Instance, &Permit),
    about: i64,
) -> Result<SnapshotId> {
    let id = hidden_snapshot(about);
    saga.intend_temporary(JournalEntry::Snapshot {
        pool: instance.pool.clone(),
        instance: instance.id,
        id,
    })
    .await?;
    let wanted = snapshot_id(id);
    capture(app, saga, (instance, permit), wanted).await?;
    Ok(wanted)
}

/// Writes the row of a snapshot, and with it how it is undone; returns its id.
pub(super) async fn record(
    app: &App,
    saga: &mut Saga<'_>,
    instance: &Instance,
    snapshot: &Snapshot,
) -> Result<i64> {
    let (owner, row, pool, operation) = (
        instance.id,
        snapshot.clone(),
        instance.pool.clone(),
        saga.operation().to_owned(),
    );
    let (id, number, entry) = app
        .db
        .note(move |tx| {
            let id = snapshots::insert(tx, owner, &row)?;
            let entry = JournalEntry::Snapshot {
                pool,
                instance: owner,
                id,
            };
            let number = saga::append(tx, &operation, &entry)?;
            Ok::<_, Error>((id, number, entry))
        })
        .await?;
    saga.recorded(number, entry);
    Ok(id)
}

/// Begins to remove a snapshot.
pub async fn delete_snapshot(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    name: &str,
    snapshot: &str,
) -> Result<Operation> {
    let instance = find(app, project, name).await?;
    let found = find_snapshot(&instance, snapshot)?.clone();
    let id = app.operations.next_id();
    let permit = handle(app, &instance)?
        .begin(Verb::Snapshot, name, &id)
        .await?;
    let spec = spec("Deleting snapshot", &instance, snapshot, who);
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app
        .operations
        .spawn_as(id, spec, move |operation| async move {
            remove(&app2, operation.id(), &instance, found.id).await?;
            event(
                &app2,
                "instance-snapshot-deleted",
                &instance,
                &found.name,
                who,
            );
            drop(permit);
            Ok(BTreeMap::new())
        }))
}

/// Removes a snapshot: by the undo of taking it, so that a crash only delays it.
pub(super) async fn remove(app: &App, operation: &str, instance: &Instance, id: i64) -> Result<()> {
    let mut saga = Saga::new(app, operation);
    let entry = JournalEntry::Snapshot {
        pool: instance.pool.clone(),
        instance: instance.id,
        id,
    };
    saga.intend_noted(entry, move |tx| Ok(snapshots::delete(tx, id)?))
        .await?;
    saga.unwind().await;
    Ok(())
}

/// Begins to rename a snapshot.
pub async fn rename_snapshot(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    path: (&str, &str),
    new: &str,
) -> Result<Operation> {
    let (name, snapshot) = path;
    let new: SnapshotName = new.parse()?;
    let instance = find(app, project, name).await?;
    let row = find_snapshot(&instance, snapshot)?.id;
    let id = app.operations.next_id();
    let permit = handle(app, &instance)?
        .begin(Verb::Snapshot, name, &id)
        .await?;
    let spec = spec("Renaming snapshot", &instance, snapshot, who);
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app.operations.spawn_as(id, spec, move |_| async move {
        let text = new.to_string();
        app2.db
            .note(move |tx| {
                snapshots::rename(tx, row, &text).map_err(|error| {
                    if error.is_unique_violation() {
                        Error::exists("snapshot", &text)
                    } else {
                        error.into()
                    }
                })
            })
            .await?;
        event(&app2, "instance-snapshot-renamed", &instance, &new, who);
        drop(permit);
        Ok(BTreeMap::new())
    }))
}

/// Begins to change description and expiry of a snapshot.
pub async fn update_snapshot(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    path: (&str, &str),
    put: InstanceSnapshotPut,
) -> Result<Operation> {
    let (name, snapshot) = path;
    let instance = find(app, project, name).await?;
    let id = find_snapshot(&instance, snapshot)?.id;
    let spec = spec("Updating snapshot", &instance, snapshot, who);
    let (app2, who, snapshot) = (Arc::clone(app), who.clone(), snapshot.to_owned());
    Ok(app.operations.spawn(spec, move |_| async move {
        let expires = Some(put.expires_at)
            .filter(|time| !time.is_none())
            .map(|time| time.0);
        app2.db
            .note(move |tx| {
                snapshots::update(tx, id, &put.description, expires.as_deref()).map_err(Error::from)
            })
            .await?;
        event(
            &app2,
            "instance-snapshot-updated",
            &instance,
            &snapshot,
            who,
        );
        Ok(BTreeMap::new())
    }))
}

/// A snapshot by name.
pub(super) fn find_snapshot<'a>(instance: &'a Instance, name: &str) -> Result<&'a Snapshot> {
    let found = instance
        .snapshots
        .iter()
        .find(|snapshot| snapshot.name == name);
    found.ok_or_else(|| Error::NotFound {
        kind: "snapshot",
        name: format!("{}/{name}", instance.name),
        hint: crate::keys::did_you_mean(
            name,
            instance
                .snapshots
                .iter()
                .map(|snapshot| snapshot.name.as_str()),
        ),
    })
}

fn spec(what: &'static str, instance: &Instance, snapshot: &str, who: &Requestor) -> OperationSpec {
    let mut spec = OperationSpec::task(
        what,
        &instance.project,
        "instances",
        &instance_url(&instance.project, &instance.name),
    );
    spec.resources.insert(
        "instances_snapshots".to_owned(),
        vec![url(instance, snapshot)],
    );
    spec.requested_by(who)
}

fn url(instance: &Instance, snapshot: &str) -> String {
    scoped(
        format!("/1.0/instances/{}/snapshots/{snapshot}", instance.name),
        &instance.project,
    )
}

fn event(app: &App, action: &str, instance: &Instance, snapshot: &str, who: Requestor) {
    app.events.lifecycle(crate::events::Lifecycle {
        action,
        source: url(instance, snapshot),
        project: &instance.project,
        name: snapshot,
        requestor: Some(who),
        context: BTreeMap::new(),
    });
}
