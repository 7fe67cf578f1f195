//! What operations do that must be undone if they do not reach their end.

use serde::{Deserialize, Serialize};

use rlxc_storage::{PoolSpec, SnapshotId, Source, VolumeKind, VolumeRef};
use rlxc_sys::chain::chain;

use crate::app::backup;
use crate::context::{App, blocking};
use crate::db;
use crate::error::{Error, Result};
use crate::model::BackupOwner;

/// An effect and all that its undo needs to know. A new variant without an undo does not compile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JournalEntry {
    /// The row of an instance.
    Instance {
        /// Its id.
        id: i64,
    },
    /// The root volume of an instance: made on the way to a new one, or to be removed with an old one.
    Volume {
        /// The pool's name.
        pool: String,
        /// The instance's id.
        id: i64,
    },
    /// A snapshot: made on the way to a new one, or to be removed.
    Snapshot {
        /// The pool's name.
        pool: String,
        /// The instance's id.
        instance: i64,
        /// The snapshot's id.
        id: i64,
    },
    /// The file or files of an image.
    ImageFiles {
        /// Their name.
        fingerprint: String,
    },
    /// An image unpacked on a pool.
    PoolImage {
        /// The pool's name.
        pool: String,
        /// Which image.
        fingerprint: String,
    },
    /// The tree of a new pool.
    Pool {
        /// Its row, with driver and source.
        name: String,
        /// The driver's name.
        driver: String,
        /// Where it is.
        source: std::path::PathBuf,
        /// What is mounted there.
        #[serde(default)]
        device: Option<std::path::PathBuf>,
    },
    /// An instance's processes, stopped for the moment in which a snapshot is taken.
    Frozen {
        /// The instance's id.
        instance: i64,
    },
    /// A root volume that is put back to a snapshot. From the middle of it there is no way back: undone, it is done.
    Restore {
        /// The pool's name.
        pool: String,
        /// The instance's id.
        instance: i64,
        /// The snapshot's id.
        snapshot: i64,
    },
    /// A backup of an instance: made on the way to a new one, or to be removed.
    Backup {
        /// The instance's id.
        instance: i64,
        /// The backup's id.
        id: i64,
    },
    /// A backup of a custom volume: made on the way to a new one, or to be removed.
    VolumeBackup {
        /// The volume's id.
        volume: i64,
        /// The backup's id.
        id: i64,
    },
    /// All backups of an instance that is deleted, and what its TPMs keep.
    Backups {
        /// The instance's id.
        instance: i64,
    },
    /// A custom volume with its row: made on the way to a new one, or to be removed with an old one.
    CustomVolume {
        /// The pool's name.
        pool: String,
        /// The volume's id.
        id: i64,
    },
    /// A snapshot of a custom volume with its row.
    CustomSnapshot {
        /// The pool's name.
        pool: String,
        /// The volume's id.
        volume: i64,
        /// The snapshot's id.
        id: i64,
    },
    /// A custom volume that is put back to a snapshot. There is no way back: undone, it is done.
    CustomRestore {
        /// The pool's name.
        pool: String,
        /// The volume's id.
        volume: i64,
        /// The snapshot's id.
        snapshot: i64,
    },
    /// A root volume that is made anew, of an image or empty. What was there is gone: undone, it is done.
    Rebuild {
        /// The pool's name.
        pool: String,
        /// The instance's id.
        instance: i64,
        /// The image's fingerprint.
        image: Option<String>,
    },
    /// The bridge, rules and DHCP server of a network.
    Network {
        /// Its name.
        name: String,
    },
    /// Devices of a running instance.
    Devices(crate::app::instance::LiveChange),
}

/// What it is about, for messages.
impl std::fmt::Display for JournalEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Instance { id } => write!(f, "instance number {id}"),
            Self::Volume { pool, id } => {
                write!(
                    f,
                    "the root volume of instance number {id} on pool `{pool}`"
                )
            }
            Self::Snapshot { instance, .. } => {
                write!(f, "a snapshot of instance number {instance}")
            }
            Self::ImageFiles { fingerprint } => write!(f, "the files of image {fingerprint}"),
            Self::PoolImage { pool, fingerprint } => {
                write!(f, "image {fingerprint} on pool `{pool}`")
            }
            Self::Pool { name, .. } => write!(f, "storage pool `{name}`"),
            Self::Frozen { instance } => write!(f, "the freezing of instance number {instance}"),
            Self::Restore { instance, .. } => {
                write!(f, "the restoring of instance number {instance}")
            }
            Self::Backup { instance, .. } => write!(f, "a backup of instance number {instance}"),
            Self::VolumeBackup { volume, .. } => write!(f, "a backup of volume number {volume}"),
            Self::Backups { instance } => write!(f, "the backups of instance number {instance}"),
            Self::CustomVolume { pool, id } => write!(f, "volume number {id} on pool `{pool}`"),
            Self::CustomSnapshot { volume, .. } => {
                write!(f, "a snapshot of volume number {volume}")
            }
            Self::CustomRestore { volume, .. } => {
                write!(f, "the restoring of volume number {volume}")
            }
            Self::Rebuild { instance, .. } => {
                write!(f, "the rebuilding of instance number {instance}")
            }
            Self::Network { name } => write!(f, "network `{name}`"),
            Self::Devices(_) => write!(f, "devices of a running instance"),
        }
    }
}

impl JournalEntry {
    /// Undoes the effect, whether or not it happened; doing it twice is fine.
    pub(super) async fn undo(&self, app: &App) -> Result<()> {
        match self {
            Self::Instance { id } => undo_instance(app, *id).await,
            Self::Volume { pool, id } => undo_volume(app, pool, *id).await,
            Self::Snapshot { pool, instance, id } => undo_snapshot(app, pool, *instance, *id).await,
            Self::ImageFiles { fingerprint } => {
                crate::app::image::remove_files_unless_known(app, fingerprint).await
            }
            Self::PoolImage { pool, fingerprint } => undo_pool_image(app, pool, fingerprint).await,
            Self::Pool {
                name,
                driver,
                source,
                device,
            } => {
                let spec = PoolSpec {
                    name: name.clone(),
                    driver: driver.clone(),
                    source: source.clone(),
                    device: device.clone(),
                    config: crate::model::Config::new(),
                };
                crate::app::pool::undo_create(app, spec).await
            }
            Self::Frozen { instance } => undo_frozen(app, *instance).await,
            Self::Restore {
                pool,
                instance,
                snapshot,
            } => finish_restore(app, pool, instance_volume(*instance), *snapshot).await,
            Self::Backup { instance, id } => {
                backup::remove(app, BackupOwner::Instance(*instance), *id).await
            }
            Self::VolumeBackup { volume, id } => {
                backup::remove(app, BackupOwner::Volume(*volume), *id).await
            }
            Self::Backups { instance } => {
                backup::remove_all(app, *instance).await?;
                crate::app::instance::tpm::forget_all(app, *instance).await
            }
            Self::CustomVolume { pool, id } => undo_custom_volume(app, pool, *id).await,
            Self::CustomSnapshot { pool, volume, id } => {
                undo_custom_snapshot(app, pool, *volume, *id).await
            }
            Self::CustomRestore {
                pool,
                volume,
                snapshot,
            } => finish_restore(app, pool, custom_volume(*volume), *snapshot).await,
            Self::Rebuild {
                pool,
                instance,
                image,
            } => finish_rebuild(app, pool, *instance, image.as_deref()).await,
            Self::Network { name } => crate::app::network::undo_create(app, name).await,
            Self::Devices(live) => crate::app::instance::undo_devices(app, live).await,
        }
    }

    /// The volume that is made, put back or removed, if one is.
    pub(super) fn volume(&self) -> Option<VolumeRef> {
        match self {
            Self::Volume { id, .. } => Some(instance_volume(*id)),
            Self::Restore { instance, .. } | Self::Rebuild { instance, .. } => {
                Some(instance_volume(*instance))
            }
            Self::CustomVolume { id, .. } => Some(custom_volume(*id)),
            Self::CustomRestore { volume, .. } => Some(custom_volume(*volume)),
            Self::Instance { .. }
            | Self::Snapshot { .. }
            | Self::Backup { .. }
            | Self::VolumeBackup { .. }
            | Self::Backups { .. }
            | Self::ImageFiles { .. }
            | Self::PoolImage { .. }
            | Self::Pool { .. }
            | Self::Frozen { .. }
            | Self::CustomSnapshot { .. }
            | Self::Network { .. }
            | Self::Devices(_) => None,
        }
    }

    /// What must be held while this is undone later, by somebody else than its saga.
    pub(super) async fn turn<'a>(&self, app: &'a App) -> Option<Box<dyn Send + 'a>> {
        match self {
            Self::ImageFiles { fingerprint } => {
                let key = format!("image/{fingerprint}");
                Some(Box::new(app.image_locks.lock(&key).await))
            }
            Self::PoolImage { pool, fingerprint } => {
                let key = format!("{pool}/{fingerprint}");
                Some(Box::new(app.image_locks.lock(&key).await))
            }
            Self::Pool { .. } => Some(Box::new(app.pools.turn().await)),
            Self::Network { .. } => Some(Box::new(app.networking.turn.lock().await)),
            Self::Instance { .. }
            | Self::Volume { .. }
            | Self::Snapshot { .. }
            | Self::Backup { .. }
            | Self::VolumeBackup { .. }
            | Self::Backups { .. }
            | Self::Frozen { .. }
            | Self::Restore { .. }
            | Self::Rebuild { .. }
            | Self::Devices(_)
            | Self::CustomVolume { .. }
            | Self::CustomSnapshot { .. }
            | Self::CustomRestore { .. } => None,
        }
    }

    /// Whether undoing it later is right too: its object must still be what it was.
    pub(super) fn can_wait(&self) -> bool {
        match self {
            // The instance may have run, or been frozen or changed by its user, since then.
            Self::Restore { .. }
            | Self::CustomRestore { .. }
            | Self::Rebuild { .. }
            | Self::Frozen { .. }
            | Self::Devices(_) => false,
            Self::Instance { .. }
            | Self::Volume { .. }
            | Self::Snapshot { .. }
            | Self::Backup { .. }
            | Self::VolumeBackup { .. }
            | Self::Backups { .. }
            | Self::ImageFiles { .. }
            | Self::PoolImage { .. }
            | Self::Pool { .. }
            | Self::CustomVolume { .. }
            | Self::CustomSnapshot { .. }
            | Self::Network { .. } => true,
        }
    }
}

async fn undo_frozen(app: &App, instance: i64) -> Result<()> {
    let cgroup = app.cgroup(instance);
    blocking(move || {
        if cgroup.path().exists() {
            cgroup.thaw()
        } else {
            Ok(())
        }
    })
    .await
    .map_err(|error| Error::failed(format!("thaw instance {instance}"), error))
}

async fn finish_restore(app: &App, pool: &str, volume: VolumeRef, snapshot: i64) -> Result<()> {
    let driver = app.pools.get(pool)?;
    let wanted = snapshot_id(snapshot);
    match blocking(move || driver.restore_snapshot(volume, wanted)).await {
        Err(error) if !error.is_not_found() => Err(Error::failed(
            format!("restore snapshot {snapshot} of {volume}"),
            error,
        )),
        _ => Ok(()),
    }
}

async fn undo_custom_volume(app: &App, pool: &str, id: i64) -> Result<()> {
    let driver = app.pools.get(pool)?;
    let volume = custom_volume(id);
    blocking(move || driver.delete_volume(volume))
        .await
        .map_err(|error| Error::failed(format!("delete {volume}"), error))?;
    app.db
        .note::<_, Error, _>(move |tx| Ok(db::volumes::delete(tx, id)?))
        .await
}

async fn undo_custom_snapshot(app: &App, pool: &str, volume: i64, id: i64) -> Result<()> {
    let driver = app.pools.get(pool)?;
    let (owner, snapshot) = (custom_volume(volume), snapshot_id(id));
    blocking(move || driver.delete_snapshot(owner, snapshot))
        .await
        .map_err(|error| Error::failed(format!("delete snapshot {id} of {owner}"), error))?;
    app.db
        .note::<_, Error, _>(move |tx| Ok(db::volumes::delete_snapshot(tx, id)?))
        .await
}

/// Makes the root volume of an instance anew.
pub async fn rebuild_volume(app: &App, pool: &str, instance: i64, source: Source) -> Result<()> {
    let driver = app.pools.get(pool)?;
    let volume = instance_volume(instance);
    blocking(move || {
        driver.delete_volume(volume)?;
        driver.create_volume(volume, &source)
    })
    .await
    .map_err(|error| Error::failed(format!("rebuild the root of instance {instance}"), error))
}

/// An instance without a root could not even be deleted by its user: if there is no room for the image, or no image any
/// more, it gets an empty one.
async fn finish_rebuild(app: &App, pool: &str, instance: i64, image: Option<&str>) -> Result<()> {
    if let Some(image) = image {
        let source = Source::Image(image.to_owned());
        match rebuild_volume(app, pool, instance, source).await {
            Ok(()) => {
                crate::app::instance::limit_again(app, instance).await;
                return Ok(());
            }
            Err(error) => tracing::warn!(instance, error = %chain(&error), "the root stays empty"),
        }
    }
    rebuild_volume(app, pool, instance, Source::Empty).await
}

async fn undo_instance(app: &App, id: i64) -> Result<()> {
    app.db
        .note::<_, Error, _>(move |tx| Ok(db::instances::delete(tx, id)?))
        .await?;
    app.instances.remove(id);
    Ok(())
}

async fn undo_volume(app: &App, pool: &str, id: i64) -> Result<()> {
    let driver = app.pools.get(pool)?;
    let volume = instance_volume(id);
    blocking(move || driver.delete_volume(volume))
        .await
        .map_err(|error| Error::failed(format!("delete the volume of instance {id}"), error))
}

async fn undo_snapshot(app: &App, pool: &str, instance: i64, id: i64) -> Result<()> {
    let driver = app.pools.get(pool)?;
    let (volume, snapshot) = (instance_volume(instance), snapshot_id(id));
    blocking(move || driver.delete_snapshot(volume, snapshot))
        .await
        .map_err(|error| {
            Error::failed(
                format!("delete snapshot {id} of instance {instance}"),
                error,
            )
        })?;
    app.db
        .note::<_, Error, _>(move |tx| Ok(db::snapshots::delete(tx, id)?))
        .await
}

async fn undo_pool_image(app: &App, pool: &str, fingerprint: &str) -> Result<()> {
    let driver = app.pools.get(pool)?;
    let name = fingerprint.to_owned();
    blocking(move || driver.delete_image(&name))
        .await
        .map_err(|error| Error::failed(format!("delete image {fingerprint} from the pool"), error))
}

/// The root volume of an instance.
pub fn instance_volume(id: i64) -> VolumeRef {
    VolumeRef {
        kind: VolumeKind::Container,
        id: id.unsigned_abs(),
    }
}

/// The id of a snapshot that nobody sees, taken on the way of something that concerns the instance `id` too. Rows count
/// from 1 and never get there.
pub fn hidden_snapshot(id: i64) -> i64 {
    (1 << 62) + id
}

/// A custom volume as storage drivers take it.
pub fn custom_volume(id: i64) -> VolumeRef {
    VolumeRef::custom(id.unsigned_abs())
}

/// A snapshot's id as storage drivers take it.
pub fn snapshot_id(id: i64) -> SnapshotId {
    SnapshotId(id.unsigned_abs())
}
