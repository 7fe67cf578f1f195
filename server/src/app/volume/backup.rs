//! Backups of custom volumes: what is in them, and how requests ask for them; see [`crate::app::backup`].

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use rlxc_api::{
    Operation, Requestor, StorageVolumeBackup, StorageVolumeBackupsPost, StorageVolumeSnapshot,
    Timestamp,
};
use rlxc_storage::backup::{BackupConfig, BackupIndex, BackupOrder};
use rlxc_storage::{Driver, SnapshotId, State};
use tokio::sync::{OwnedMutexGuard, mpsc};

use super::{Target, find, hold, project, snapshot, view};
use crate::app::backup::{self, Content, ExportOrder, NewBackup, Owner, Parts};
use crate::app::pool;
use crate::app::project::gate::{self, Action};
use crate::context::{App, blocking};
use crate::error::{Error, Result};
use crate::model::{Backup, BackupOwner, Volume};
use crate::saga::{JournalEntry, Saga, custom_volume, hidden_snapshot, snapshot_id};

/// A volume that is held while it is packed.
#[derive(Debug)]
struct Held {
    volume: Volume,
    order: ExportOrder,
    _turn: OwnedMutexGuard<()>,
}

impl Content for Held {
    async fn order(&self, app: &App, saga: &mut Saga<'_>) -> Result<BackupOrder> {
        let driver = app.pools.get(&self.volume.pool)?;
        let moment = moment(app, saga, &self.volume, &*driver).await?;
        let index = self.index(app, &*driver).await?;
        let ids: Vec<(String, SnapshotId)> = if self.order.without_snapshots {
            Vec::new()
        } else {
            let rows = self.volume.snapshots.iter();
            rows.map(|row| (row.name.clone(), snapshot_id(row.id)))
                .collect()
        };
        let parts = Parts {
            driver,
            volume: custom_volume(self.volume.id),
            moment,
            snapshots: ids,
        };
        let order = parts.order(app, index, self.order).await;
        order.map_err(|error| failed("export", &self.volume, error))
    }
}

/// What a volume is at this moment, as a snapshot that nobody sees and that goes with the operation; none where that would
/// be a copy of all that is in it: what is written meanwhile is seen in part then.
pub(super) async fn moment(
    app: &App,
    saga: &mut Saga<'_>,
    volume: &Volume,
    driver: &dyn Driver,
) -> Result<Option<SnapshotId>> {
    let capabilities = driver.capabilities();
    // Custom volumes are plain trees where roots are overlays.
    if !capabilities.optimized_snapshots || capabilities.overlay {
        return Ok(None);
    }
    let id = hidden_snapshot(0);
    saga.intend_temporary(JournalEntry::CustomSnapshot {
        pool: volume.pool.clone(),
        volume: volume.id,
        id,
    })
    .await?;
    let (driver, of, wanted) = (
        app.pools.get(&volume.pool)?,
        custom_volume(volume.id),
        snapshot_id(id),
    );
    blocking(move || driver.create_snapshot(of, wanted, State::Frozen))
        .await
        .map_err(|error| failed("snapshot", volume, error))?;
    Ok(Some(wanted))
}

impl Held {
    async fn new(app: &App, target: Target<'_>, order: ExportOrder) -> Result<Self> {
        let (turn, _, volume) = hold(app, target).await?;
        let driver = app.pools.get(&volume.pool)?;
        let order = order.fit(driver, custom_volume(volume.id)).await;
        let order = order.map_err(|error| failed("export", &volume, error))?;
        Ok(Self {
            volume,
            order,
            _turn: turn,
        })
    }

    async fn index(&self, app: &App, driver: &dyn Driver) -> Result<BackupIndex> {
        let row = &self.volume;
        let snapshots: Vec<_> = if self.order.without_snapshots {
            Vec::new()
        } else {
            // Where it is never deleted LXD 5.0 must read that, it does not get over nothing.
            let told = |snapshot: StorageVolumeSnapshot| StorageVolumeSnapshot {
                expires_at: snapshot.expires_at.or_else(|| Some(Timestamp::none())),
                ..snapshot
            };
            let rows = row.snapshots.iter().cloned();
            rows.map(|row| told(snapshot::render(row))).collect()
        };
        Ok(BackupIndex {
            name: row.name.clone(),
            backend: driver.name().to_owned(),
            pool: row.pool.clone(),
            snapshots: snapshots.iter().map(|row| row.name.clone()).collect(),
            optimized: self.order.optimized,
            optimized_header: false,
            kind: "custom".to_owned(),
            config: Some(BackupConfig {
                volume: Some(view::render(row.clone(), Vec::new())),
                volume_snapshots: snapshots,
                pool: Some(pool::get(app, &row.pool).await?),
                ..BackupConfig::default()
            }),
        })
    }
}

pub(super) fn failed(what: &str, volume: &Volume, error: impl Into<crate::error::Cause>) -> Error {
    let (pool, name) = (&volume.pool, &volume.name);
    Error::failed(
        format!("{what} storage volume `{name}` on storage pool `{pool}`"),
        error,
    )
}

fn owner(target: Target<'_>, volume: &Volume) -> Owner {
    Owner {
        id: BackupOwner::Volume(volume.id),
        project: target.project.to_owned(),
        name: volume.name.clone(),
        path: format!(
            "/1.0/storage-pools/{}/volumes/custom/{}",
            volume.pool, volume.name
        ),
    }
}

async fn owner_of(app: &App, target: Target<'_>) -> Result<Owner> {
    target.must_be_custom()?;
    let (id, _) = project(app, target.project).await?;
    Ok(owner(target, &find(app, id, target).await?))
}

/// All backups of a volume.
pub async fn backups(app: &App, target: Target<'_>) -> Result<Vec<StorageVolumeBackup>> {
    let owner = owner_of(app, target).await?;
    let rows = backup::list(app, owner.id).await?;
    Ok(rows.into_iter().map(render).collect())
}

/// One of them.
pub async fn backup(app: &App, target: Target<'_>, name: &str) -> Result<StorageVolumeBackup> {
    let owner = owner_of(app, target).await?;
    Ok(render(backup::find(app, &owner, name).await?))
}

fn render(row: Backup) -> StorageVolumeBackup {
    StorageVolumeBackup {
        name: row.name,
        created_at: Timestamp(row.created_at),
        expires_at: row.expires_at.map_or_else(Timestamp::none, Timestamp),
        volume_only: row.without_snapshots,
        optimized_storage: row.optimized,
    }
}

/// The file of a backup.
pub async fn open_backup(
    app: &App,
    who: &Requestor,
    target: Target<'_>,
    name: &str,
) -> Result<File> {
    let owner = owner_of(app, target).await?;
    backup::open(app, who, &owner, name).await
}

async fn held(
    app: &App,
    target: Target<'_>,
    post: &StorageVolumeBackupsPost,
) -> Result<(Owner, Held)> {
    gate::check_action(app, target.project, Action::Backup).await?;
    let order = ExportOrder {
        without_snapshots: post.volume_only,
        optimized: post.optimized_storage,
        ..ExportOrder::parse(app, &post.compression_algorithm).await?
    };
    let held = Held::new(app, target, order).await?;
    Ok((owner(target, &held.volume), held))
}

/// Begins to make a backup.
pub async fn create_backup(
    app: &Arc<App>,
    who: &Requestor,
    target: Target<'_>,
    post: StorageVolumeBackupsPost,
) -> Result<Operation> {
    let (owner, held) = held(app, target, &post).await?;
    let new = NewBackup {
        name: post.name,
        expires_at: post.expires_at,
        order: held.order,
    };
    let operation = app.operations.next_id();
    backup::create(app, who, owner, (new, operation), held).await
}

/// Begins to export a volume straight to who asked; the chunks of the file as they are made.
pub async fn stream_backup(
    app: &Arc<App>,
    who: &Requestor,
    target: Target<'_>,
    post: StorageVolumeBackupsPost,
) -> Result<(Operation, mpsc::Receiver<io::Result<Bytes>>)> {
    let (owner, held) = held(app, target, &post).await?;
    let operation = app.operations.next_id();
    Ok(backup::stream(app, who, owner, operation, held))
}

/// Begins to remove a backup.
pub async fn delete_backup(
    app: &Arc<App>,
    who: &Requestor,
    target: Target<'_>,
    name: &str,
) -> Result<Operation> {
    let owner = owner_of(app, target).await?;
    backup::delete(app, who, owner, name).await
}

/// Begins to rename a backup.
pub async fn rename_backup(
    app: &Arc<App>,
    who: &Requestor,
    target: Target<'_>,
    names: (&str, &str),
) -> Result<Operation> {
    let owner = owner_of(app, target).await?;
    backup::rename(app, who, owner, names).await
}
