//! Writing descriptions, a moment after what they describe has changed: nobody waits for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rlxc_api::{StorageVolume, StorageVolumePut, StorageVolumeSnapshot, Timestamp};
use rlxc_storage::backup::{BackupConfig, OnDisk, save_description};
use rlxc_storage::image::ImageError;
use rlxc_storage::{VolumeKind, VolumeRef};
use rlxc_sys::chain::chain;

use crate::app::instance::backup::describe;
use crate::app::pool;
use crate::context::{App, blocking};
use crate::db::descriptions::{self, Stale};
use crate::db::{instances, pools, volumes};
use crate::error::{Error, Result};
use crate::instance::Status;
use crate::model::Volume;
use crate::saga::{self, custom_volume, instance_volume};

/// Changes come in bursts: so long the first of one is waited for.
const PAUSE: Duration = Duration::from_millis(200);

/// Writes what is stale until the daemon ends.
pub async fn run(app: Arc<App>) {
    loop {
        // What an earlier daemon left comes first.
        if let Err(error) = flush(&app).await {
            tracing::warn!(error = %chain(&error), "descriptions on pools are not up to date");
        }
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = app.db.changed() => {}
        }
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Writes what is stale. What is being made now, or is on a pool that is not there, stays stale.
pub async fn flush(app: &App) -> Result<()> {
    let _turn = app.edits.lock("descriptions of volumes").await;
    let (stale, at_work) = app
        .db
        .read(|tx| Ok::<_, Error>((descriptions::stale(tx)?, saga::volumes_at_work(tx)?)))
        .await?;
    let mut written = Vec::new();
    for one in stale {
        if at_work.contains(&volume_of(one)) {
            continue;
        }
        match write(app, one).await {
            Ok(true) => written.push(one.version),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(volume = %volume_of(one), error = %chain(&error), "not described");
            }
        }
    }
    if written.is_empty() {
        return Ok(());
    }
    app.db
        .note(move |tx| {
            let mut all = written.into_iter();
            Ok(all.try_for_each(|version| descriptions::written(tx, version))?)
        })
        .await
}

fn volume_of(stale: Stale) -> VolumeRef {
    match stale.kind {
        VolumeKind::Container => instance_volume(stale.id),
        VolumeKind::Custom => custom_volume(stale.id),
    }
}

/// False if it can't be written now.
async fn write(app: &App, stale: Stale) -> Result<bool> {
    let described = match stale.kind {
        VolumeKind::Container => of_instance(app, stale.id).await?,
        VolumeKind::Custom => of_volume(app, stale.id).await?,
    };
    let Some((pool, description)) = described else {
        // There is nothing to describe any more.
        return Ok(true);
    };
    let Ok(driver) = app.pools.get(&pool) else {
        return Ok(false);
    };
    let volume = volume_of(stale);
    let save = move || {
        let directory: PathBuf = match driver.volume_dir(volume) {
            Err(error) if error.is_not_found() => return Ok(false),
            other => other.map_err(|error| ImageError::Taker(error.into()))?,
        };
        save_description(&directory, &description).map(|()| true)
    };
    blocking(save)
        .await
        .map_err(|error| Error::failed(format!("describe {volume}"), error))
}

/// The pool of an instance, and what lies there beside its root.
async fn of_instance(app: &App, id: i64) -> Result<Option<(String, BackupConfig)>> {
    let found = app.db.read(move |tx| instances::find_by_id(tx, id)).await?;
    let Some(row) = found else { return Ok(None) };
    let numbers = row.snapshots.iter();
    let numbers = numbers.map(|row| (row.name.clone(), row.id.unsigned_abs()));
    let on_disk = OnDisk {
        idmap_base: row.idmap_base,
        snapshots: numbers.collect(),
    };
    // What it is at this moment is nothing to keep.
    let description = BackupConfig {
        on_disk: Some(on_disk),
        ..describe(app, &row, &Status::stopped()).await?
    };
    Ok(Some((row.pool, description)))
}

async fn of_volume(app: &App, id: i64) -> Result<Option<(String, BackupConfig)>> {
    let found = app
        .db
        .read(move |tx| {
            let Some(row) = volumes::find_by_id(tx, id)? else {
                return Ok::<_, Error>(None);
            };
            let pool = pools::find(tx, &row.pool)?;
            Ok(pool.map(|pool| (row, pool)))
        })
        .await?;
    Ok(found.map(|(row, of)| {
        let description = BackupConfig {
            pool: Some(pool::describe(of)),
            ..describe_volume(&row)
        };
        (row.pool, description)
    }))
}

fn describe_volume(row: &Volume) -> BackupConfig {
    let snapshots = row.snapshots.iter();
    let numbers = snapshots
        .clone()
        .map(|row| (row.name.clone(), row.id.unsigned_abs()));
    let views = snapshots.map(|row| StorageVolumeSnapshot {
        name: row.name.clone(),
        config: row.config.clone(),
        description: row.description.clone(),
        content_type: "filesystem".to_owned(),
        created_at: Timestamp(row.created_at.clone()),
        expires_at: row.expires_at.clone().map(Timestamp),
    });
    BackupConfig {
        volume: Some(StorageVolume {
            put: StorageVolumePut {
                config: row.config.clone(),
                description: row.description.clone(),
                ..StorageVolumePut::default()
            },
            name: row.name.clone(),
            kind: "custom".to_owned(),
            location: "none".to_owned(),
            content_type: "filesystem".to_owned(),
            project: row.project.clone(),
            created_at: Timestamp(row.created_at.clone()),
            ..StorageVolume::default()
        }),
        volume_snapshots: views.collect(),
        on_disk: Some(OnDisk {
            idmap_base: None,
            snapshots: numbers.collect(),
        }),
        ..BackupConfig::default()
    }
}
