//! Snapshots of custom volumes.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::name::SnapshotName;
use rlxc_api::{
    Operation, Requestor, StorageVolumeSnapshot, StorageVolumeSnapshotPut,
    StorageVolumeSnapshotsPost, Timestamp,
};
use rlxc_storage::State;

use super::backup::failed;
use super::rename::refuse_running;
use super::{Target, event, find, hold, project, snapshot_url};
use crate::context::{App, blocking};
use crate::db::volumes;
use crate::error::{Error, Result};
use crate::model::{Volume, VolumeSnapshot};
use crate::operation::OperationSpec;
use crate::plan;
use crate::saga::{self, JournalEntry, Saga, custom_volume, snapshot_id};

/// All snapshots of a volume, the oldest first.
pub async fn snapshots(app: &App, target: Target<'_>) -> Result<Vec<StorageVolumeSnapshot>> {
    target.must_be_custom()?;
    let (owner, _) = project(app, target.project).await?;
    let volume = find(app, owner, target).await?;
    Ok(volume.snapshots.into_iter().map(render).collect())
}

/// One snapshot.
pub async fn snapshot(app: &App, target: Target<'_>, name: &str) -> Result<StorageVolumeSnapshot> {
    target.must_be_custom()?;
    let (owner, _) = project(app, target.project).await?;
    let volume = find(app, owner, target).await?;
    Ok(render(find_snapshot(&volume, name)?.clone()))
}

pub(super) fn render(snapshot: VolumeSnapshot) -> StorageVolumeSnapshot {
    StorageVolumeSnapshot {
        name: snapshot.name,
        config: snapshot.config,
        description: snapshot.description,
        content_type: "filesystem".to_owned(),
        created_at: Timestamp(snapshot.created_at),
        expires_at: snapshot.expires_at.map(Timestamp),
    }
}

/// A snapshot by name.
pub(super) fn find_snapshot<'a>(volume: &'a Volume, name: &str) -> Result<&'a VolumeSnapshot> {
    let found = volume.snapshots.iter().find(|row| row.name == name);
    found.ok_or_else(|| Error::not_found("snapshot", format!("{}/{name}", volume.name)))
}

fn next_name(volume: &Volume, now: jiff::Timestamp) -> Result<String> {
    let taken: Vec<&str> = volume
        .snapshots
        .iter()
        .map(|row| row.name.as_str())
        .collect();
    let pattern = volume.config.get("snapshots.pattern");
    plan::snapshots::next_name(pattern.map_or("", String::as_str), &taken, now)
        .map_err(Error::Invalid)
}

/// Begins to take a snapshot. Those who write to the volume at that moment are not stopped.
pub async fn create_snapshot(
    app: &Arc<App>,
    who: &Requestor,
    target: Target<'_>,
    post: StorageVolumeSnapshotsPost,
) -> Result<Operation> {
    let (turn, _, volume) = hold(app, target).await?;
    let now = app.clock.now();
    let name = if post.name.is_empty() {
        next_name(&volume, now)?
    } else {
        post.name
    };
    let name: SnapshotName = name.parse()?;
    let old = volume.snapshots.iter().find(|row| row.name == *name);
    let old = old.map(|row| row.id);
    if old.is_some() && !post.reuse {
        return Err(Error::exists("snapshot", format!("{}/{name}", volume.name)));
    }
    let snapshot = VolumeSnapshot {
        id: 0,
        name: name.to_string(),
        description: String::new(),
        created_at: crate::clock::format(now),
        expires_at: plan::snapshots::expiry_of(post.expires_at, &volume.config, now)
            .map_err(Error::Invalid)?,
        config: volume.config.clone(),
    };
    let spec = spec("Snapshotting storage volume", target, &name, who);
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app.operations.spawn(spec, move |operation| async move {
        take(&app2, operation.id(), &volume, snapshot, old).await?;
        drop(turn);
        event(&app2, "storage-volume-snapshot-created", &volume, &who);
        Ok(BTreeMap::new())
    }))
}

/// Writes the row of a snapshot, and with it how it is undone; returns its id.
pub(super) async fn record(
    app: &App,
    saga: &mut Saga<'_>,
    volume: &Volume,
    snapshot: VolumeSnapshot,
) -> Result<i64> {
    let (owner, pool, operation) = (volume.id, volume.pool.clone(), saga.operation().to_owned());
    let (id, number, entry) = app
        .db
        .note(move |tx| {
            let id = volumes::insert_snapshot(tx, owner, &snapshot)?;
            let entry = JournalEntry::CustomSnapshot {
                pool,
                volume: owner,
                id,
            };
            Ok::<_, Error>((id, saga::append(tx, &operation, &entry)?, entry))
        })
        .await?;
    saga.recorded(number, entry);
    Ok(id)
}

/// Takes a snapshot, in the place of `old` if there is one: that is there until the new one is.
async fn take(
    app: &App,
    operation: &str,
    volume: &Volume,
    mut snapshot: VolumeSnapshot,
    old: Option<i64>,
) -> Result<()> {
    let name = snapshot.name.clone();
    if old.is_some() {
        snapshot.name = plan::snapshots::until_replaced(&name);
    }
    let mut saga = Saga::new(app, operation);
    let taken = async {
        let id = record(app, &mut saga, volume, snapshot).await?;
        capture(app, volume, id).await?;
        Ok(id)
    };
    let taken = taken.await;
    let (Ok(new), Some(old)) = (&taken, old) else {
        return saga.settle(taken).await.map(drop);
    };
    let entry = JournalEntry::CustomSnapshot {
        pool: volume.pool.clone(),
        volume: volume.id,
        id: old,
    };
    let new = *new;
    saga.commit_and_undo(entry, move |tx| {
        volumes::delete_snapshot(tx, old)?;
        Ok(volumes::rename_snapshot(tx, new, &name)?)
    })
    .await
}

/// Takes what a volume is now as a snapshot.
async fn capture(app: &App, volume: &Volume, id: i64) -> Result<()> {
    let driver = app.pools.get(&volume.pool)?;
    let (of, wanted) = (custom_volume(volume.id), snapshot_id(id));
    let taken = move || {
        driver.create_snapshot(of, wanted, State::Frozen)?;
        driver.settle_snapshot(of, wanted)
    };
    blocking(taken)
        .await
        .map_err(|error| failed("snapshot", volume, error))
}

/// Begins to remove a snapshot.
pub async fn delete_snapshot(
    app: &Arc<App>,
    who: &Requestor,
    target: Target<'_>,
    name: &str,
) -> Result<Operation> {
    let (turn, _, volume) = hold(app, target).await?;
    let row = find_snapshot(&volume, name)?.clone();
    let spec = spec("Deleting storage volume snapshot", target, name, who);
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app.operations.spawn(spec, move |operation| async move {
        remove(&app2, operation.id(), &volume, row.id).await?;
        drop(turn);
        event(&app2, "storage-volume-snapshot-deleted", &volume, &who);
        Ok(BTreeMap::new())
    }))
}

pub(super) async fn remove(app: &App, operation: &str, volume: &Volume, id: i64) -> Result<()> {
    let mut saga = Saga::new(app, operation);
    let entry = JournalEntry::CustomSnapshot {
        pool: volume.pool.clone(),
        volume: volume.id,
        id,
    };
    saga.intend_noted(entry, move |tx| Ok(volumes::delete_snapshot(tx, id)?))
        .await?;
    saga.unwind().await;
    Ok(())
}

/// Begins to rename a snapshot.
pub async fn rename_snapshot(
    app: &Arc<App>,
    who: &Requestor,
    target: Target<'_>,
    path: (&str, &str),
) -> Result<Operation> {
    let (name, new) = path;
    let new: SnapshotName = new.parse()?;
    let (turn, _, volume) = hold(app, target).await?;
    let id = find_snapshot(&volume, name)?.id;
    let spec = spec("Renaming storage volume snapshot", target, name, who);
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app.operations.spawn(spec, move |_| async move {
        let text = new.to_string();
        app2.db
            .note(move |tx| {
                volumes::rename_snapshot(tx, id, &text).map_err(|error| {
                    if error.is_unique_violation() {
                        Error::exists("snapshot", &text)
                    } else {
                        error.into()
                    }
                })
            })
            .await?;
        drop(turn);
        event(&app2, "storage-volume-snapshot-renamed", &volume, &who);
        Ok(BTreeMap::new())
    }))
}

/// Replaces description and expiry of a snapshot.
pub async fn update_snapshot(
    app: &App,
    who: &Requestor,
    target: Target<'_>,
    name: &str,
    put: StorageVolumeSnapshotPut,
) -> Result<()> {
    let (_turn, _, volume) = hold(app, target).await?;
    let id = find_snapshot(&volume, name)?.id;
    let expires = put.expires_at.filter(|time| !time.is_none());
    app.db
        .write(move |tx| {
            let expires = expires.as_ref().map(|time| time.0.as_str());
            volumes::update_snapshot(tx, id, &put.description, expires).map_err(Error::from)
        })
        .await?;
    event(app, "storage-volume-snapshot-updated", &volume, who);
    Ok(())
}

/// Puts a volume that no running instance uses back to a snapshot; later ones stay.
pub async fn restore(app: &App, who: &Requestor, target: Target<'_>, name: &str) -> Result<()> {
    let (_turn, owner, volume) = hold(app, target).await?;
    let snapshot = find_snapshot(&volume, name)?.id;
    refuse_running(app, owner, &volume).await?;
    let driver = app.pools.get(&volume.pool)?;
    let mut saga = Saga::new(app, &app.operations.next_id());
    let entry = JournalEntry::CustomRestore {
        pool: volume.pool.clone(),
        volume: volume.id,
        snapshot,
    };
    saga.intend(entry).await?;
    let (of, wanted) = (custom_volume(volume.id), snapshot_id(snapshot));
    let restored = blocking(move || driver.restore_snapshot(of, wanted)).await;
    saga.keep().await;
    restored.map_err(|error| failed("restore", &volume, error))?;
    event(app, "storage-volume-restored", &volume, who);
    Ok(())
}

fn spec(what: &'static str, target: Target<'_>, snapshot: &str, who: &Requestor) -> OperationSpec {
    let url = snapshot_url(target, snapshot);
    OperationSpec::task(what, target.project, "storage_volume_snapshots", &url).requested_by(who)
}
