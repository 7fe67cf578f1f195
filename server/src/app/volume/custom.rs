//! Custom volumes: making, changing and deleting them.

use rlxc_api::name::VolumeName;
use rlxc_api::{Requestor, StorageVolumePut, StorageVolumesPost};
use rlxc_storage::{SnapshotId, Source};

use super::backup::failed;
use super::{Target, event, hold, keys, project};
use crate::app::pool;
use crate::context::{App, blocking};
use crate::db::{self, backups, journal, pools, volumes};
use crate::error::{Error, Result};
use crate::keys::volume::SCOPE;
use crate::model::{BackupOwner, Config, Volume, VolumeSnapshot};
use crate::saga::{self, JournalEntry, Saga, custom_volume, snapshot_id};

/// Makes an empty volume.
pub async fn create(
    app: &App,
    who: &Requestor,
    project: &str,
    pool: &str,
    post: StorageVolumesPost,
) -> Result<()> {
    let volume = draft(app, project, pool, &post).await?;
    let mut saga = Saga::new(app, &app.operations.next_id());
    let result = make(app, &mut saga, volume).await;
    let volume = saga.settle(result).await?;
    event(app, "storage-volume-created", &volume, who);
    Ok(())
}

/// What a request asks for, checked.
pub(super) async fn draft(
    app: &App,
    project: &str,
    pool: &str,
    post: &StorageVolumesPost,
) -> Result<Volume> {
    let name: VolumeName = post.name.parse()?;
    if post.kind != "custom" {
        return Err(Error::Invalid(format!(
            "volumes of type `{}` come and go with what they belong to: only `custom` ones are made this way",
            post.kind
        )));
    }
    match post.content_type.as_str() {
        "" | "filesystem" => {}
        other => {
            return Err(Error::Invalid(format!(
                "volumes with content type `{other}` are for virtual machines: there is only `filesystem` here"
            )));
        }
    }
    SCOPE.check(&post.put.config).map_err(Error::Invalid)?;
    let (_, owner) = super::project(app, project).await?;
    Ok(Volume {
        id: 0,
        pool: pool.to_owned(),
        project: owner,
        name: name.to_string(),
        description: post.put.description.clone(),
        created_at: app.now(),
        config: with_defaults(app, pool, &post.put.config).await?,
        snapshots: Vec::new(),
    })
}

/// The pool's `volume.*` under what was asked for.
async fn with_defaults(app: &App, pool: &str, own: &Config) -> Result<Config> {
    let pool = pool::get(app, pool).await?;
    let defaults = pool.put.config.into_iter();
    let mut config: Config = defaults
        .filter_map(|(key, value)| Some((key.strip_prefix("volume.")?.to_owned(), value)))
        .collect();
    config.extend(own.clone());
    config.retain(|_, value| !value.is_empty());
    Ok(config)
}

async fn make(app: &App, saga: &mut Saga<'_>, volume: Volume) -> Result<Volume> {
    let volume = record(app, saga, volume).await?;
    let driver = app.pools.get(&volume.pool)?;
    let (id, owner) = (custom_volume(volume.id), keys::owner(&volume.config));
    let size = keys::size(&volume.config);
    blocking(move || {
        driver.create_volume(id, &Source::Empty)?;
        let give = |root| owner.give(&root);
        driver
            .root(id)
            .map(give)?
            .map_err(|error| rlxc_storage::Error::Volume {
                action: "create",
                volume: id,
                source: error.into(),
            })?;
        limit(driver.as_ref(), id, size)
    })
    .await
    .map_err(|error| failed("create", &volume, error))?;
    Ok(volume)
}

/// Sets a quota; a driver that has none says so in `storage info`, and the volume is made all the same.
pub(super) fn limit(
    driver: &dyn rlxc_storage::Driver,
    volume: rlxc_storage::VolumeRef,
    size: Option<u64>,
) -> Result<(), rlxc_storage::Error> {
    let can = driver.capabilities();
    if can.quota {
        return driver.set_quota(volume, size);
    }
    if size.is_some() {
        tracing::warn!(%volume, "{}", can.no_quota);
    }
    Ok(())
}

/// Writes the row, and in the same transaction the journal entry that undoes it.
pub(super) async fn record(app: &App, saga: &mut Saga<'_>, mut volume: Volume) -> Result<Volume> {
    let operation = saga.operation().to_owned();
    let (owner, _) = project(app, &volume.project).await?;
    let (volume, number, entry) = app
        .db
        .note(move |tx| {
            pools::find(tx, &volume.pool)?
                .ok_or_else(|| Error::not_found("storage pool", &volume.pool))?;
            volume.id = volumes::insert(tx, owner, &volume).map_err(|error| {
                if error.is_unique_violation() {
                    Error::exists("storage volume", format!("{}/{}", volume.pool, volume.name))
                } else {
                    error.into()
                }
            })?;
            let entry = entry(&volume);
            let text = db::keys::to_json("a journal entry", &entry)?;
            let number = journal::append(tx, &operation, &text)?;
            Ok::<_, Error>((volume, number, entry))
        })
        .await?;
    saga.recorded(number, entry);
    Ok(volume)
}

/// Writes rows of snapshots, which go with the volume's row; their ids.
pub(super) async fn record_snapshots(
    app: &App,
    volume: i64,
    rows: Vec<VolumeSnapshot>,
) -> Result<Vec<SnapshotId>> {
    let insert = move |tx: &rusqlite::Transaction<'_>| {
        rows.iter()
            .map(|row| Ok(snapshot_id(volumes::insert_snapshot(tx, volume, row)?)))
            .collect()
    };
    app.db.note(insert).await
}

pub(super) fn entry(volume: &Volume) -> JournalEntry {
    JournalEntry::CustomVolume {
        pool: volume.pool.clone(),
        id: volume.id,
    }
}

/// Replaces description and keys; a changed `size` holds at once.
pub async fn update(
    app: &App,
    who: &Requestor,
    target: Target<'_>,
    put: StorageVolumePut,
) -> Result<()> {
    SCOPE.check(&put.config).map_err(Error::Invalid)?;
    let (_turn, _, mut volume) = hold(app, target).await?;
    let mut config = put.config;
    config.retain(|_, value| !value.is_empty());
    let (before, size) = (keys::size(&volume.config), keys::size(&config));
    if before != size {
        let (driver, id) = (app.pools.get(&volume.pool)?, custom_volume(volume.id));
        blocking(move || limit(driver.as_ref(), id, size))
            .await
            .map_err(|error| failed("limit", &volume, error))?;
    }
    volume.config = config;
    volume.description = put.description;
    let row = volume.clone();
    app.db
        .write(move |tx| volumes::update(tx, &row).map_err(Error::from))
        .await?;
    event(app, "storage-volume-updated", &volume, who);
    Ok(())
}

/// Deletes a volume that nobody uses, with its snapshots.
pub async fn delete(app: &App, who: &Requestor, target: Target<'_>) -> Result<()> {
    let (_turn, owner, volume) = hold(app, target).await?;
    let mut saga = Saga::new(app, &app.operations.next_id());
    let (row, operation) = (volume.clone(), saga.operation().to_owned());
    // The tree goes by the undo of its creation: whoever dies in between, it is removed at the next start.
    let entries = app
        .db
        .write(move |tx| {
            refuse_used(tx, owner, &row)?;
            let backups = backups::list(tx, BackupOwner::Volume(row.id))?;
            volumes::delete(tx, row.id)?;
            let backups = backups
                .into_iter()
                .map(|backup| JournalEntry::VolumeBackup {
                    volume: row.id,
                    id: backup.id,
                });
            let entries = std::iter::once(entry(&row)).chain(backups);
            let append = |entry| Ok((saga::append(tx, &operation, &entry)?, entry));
            entries.map(append).collect::<Result<Vec<_>>>()
        })
        .await?;
    for (number, entry) in entries {
        saga.recorded(number, entry);
    }
    saga.unwind().await;
    event(app, "storage-volume-deleted", &volume, who);
    Ok(())
}

fn refuse_used(tx: &rusqlite::Transaction<'_>, owner: i64, volume: &Volume) -> Result<()> {
    let users = volumes::users(tx, owner, volume)?;
    if users.is_empty() {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "storage volume `{}` is in use by {}: detach it there first",
        volume.name,
        users.join(", ")
    )))
}
