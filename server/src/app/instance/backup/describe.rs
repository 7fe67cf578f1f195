//! What is written of an instance beside its data: in backups, and on its pool.

use rlxc_api::{StorageVolume, StorageVolumeSnapshot, Timestamp};
use rlxc_storage::backup::BackupConfig;

use crate::app::instance::view;
use crate::app::{pool, profile};
use crate::context::App;
use crate::db::{pools, profiles};
use crate::error::{Error, Result};
use crate::guest;
use crate::instance::Status;
use crate::model::Instance;

/// All that the inventory holds of it, with pool and profiles.
pub async fn describe(app: &App, row: &Instance, status: &Status) -> Result<BackupConfig> {
    let (project, name) = (app.project(&row.project).await?, row.pool.clone());
    let (known, pool) = app
        .db
        .read(move |tx| {
            let pool = pools::find(tx, &name)?;
            Ok::<_, Error>((profiles::list(tx, project)?, pool))
        })
        .await?;
    let pool = pool.ok_or_else(|| Error::not_found("storage pool", &row.pool))?;
    let snapshots: Vec<_> = row
        .snapshots
        .iter()
        .map(|snapshot| view::render_snapshot(row, snapshot, &known))
        .collect();
    let volume_snapshots = snapshots.iter().map(|snapshot| StorageVolumeSnapshot {
        name: snapshot.name.clone(),
        content_type: "filesystem".to_owned(),
        created_at: snapshot.created_at.clone(),
        ..StorageVolumeSnapshot::default()
    });
    let mut container = view::plain(row, &known, status);
    // Older servers refuse a backup that has keys which they don't know.
    container.put.config.remove(guest::READY);
    container.expanded_config.remove(guest::READY);
    let own = row.profiles.iter().filter_map(|name| {
        let profile = known.iter().find(|profile| profile.name == *name)?;
        Some(profile::describe(profile.clone()))
    });
    Ok(BackupConfig {
        volume_snapshots: volume_snapshots.collect(),
        container: Some(container),
        pool: Some(pool::describe(pool)),
        profiles: own.collect(),
        volume: Some(StorageVolume {
            name: row.name.clone(),
            kind: "container".to_owned(),
            location: "none".to_owned(),
            content_type: "filesystem".to_owned(),
            project: row.project.clone(),
            created_at: Timestamp(row.created_at.clone()),
            ..StorageVolume::default()
        }),
        snapshots,
        on_disk: None,
    })
}
