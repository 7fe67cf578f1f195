//! Making a custom volume of a backup, while it comes in: it is never on disk twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::name::{SnapshotName, VolumeName};
use rlxc_api::{Operation, Requestor, StorageVolume};
use rlxc_storage::backup::{BackupIndex, BackupReader, Layout, restore};

use super::custom::{limit, record, record_snapshots};
use super::{Target, event, keys, project, refuse_taken, view};
use crate::app::backup::{MOST, Upload, refuse_format, time};
use crate::app::pool;
use crate::context::{App, blocking};
use crate::error::{Error, Result};
use crate::keys::volume::SCOPE;
use crate::model::{Config, Volume, VolumeSnapshot};
use crate::operation::{Handle, OperationSpec};
use crate::saga::{Saga, custom_volume};

/// Begins to make a volume of a backup, once its index has come. `name` is the backup's own if it is empty.
pub async fn import(
    app: &Arc<App>,
    who: &Requestor,
    (project_name, pool): (&str, &str),
    name: &str,
    upload: Upload,
) -> Result<Operation> {
    pool::get(app, pool).await?;
    let reader = blocking(move || BackupReader::open(upload, MOST))
        .await
        .map_err(|error| Error::failed("read the index of the backup", error))?;
    let index = reader.index().clone();
    check(&index)?;
    refuse_format(&index, &*app.pools.get(pool)?, pool)?;
    let name = if name.is_empty() { &index.name } else { name };
    let name: VolumeName = name.parse()?;
    let target = Target {
        project: project_name,
        pool,
        kind: "custom",
        name: &name,
    };
    let (_, owner) = project(app, project_name).await?;
    refuse_taken(app, target).await?;
    let (new, snapshots) = draft(app, (&owner, pool, &name), &index)?;
    let url = view::custom_url(&new);
    let spec = OperationSpec::task("Restoring backup", project_name, "storage_volumes", &url)
        .requested_by(who);
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app.operations.spawn(spec, move |operation| async move {
        let mut saga = Saga::new(&app2, operation.id());
        let made = make(&app2, &mut saga, (new, snapshots), reader, &operation).await;
        let volume = saga.settle(made).await?;
        event(&app2, "storage-volume-created", &volume, &who);
        Ok(BTreeMap::new())
    }))
}

fn check(index: &BackupIndex) -> Result<()> {
    let wrong = |text: String| Err(Error::Invalid(text));
    if index.layout() != Layout::Volume {
        let kind = if index.kind.is_empty() {
            "container"
        } else {
            &index.kind
        };
        return wrong(format!(
            "this is the backup of a {kind}, not of a custom volume: import it with `rlxc import`"
        ));
    }
    Ok(())
}

/// The rows that the backup describes. What has no meaning here is left out, and told in the log.
fn draft(
    app: &App,
    (project, pool, name): (&str, &str, &str),
    index: &BackupIndex,
) -> Result<(Volume, Vec<VolumeSnapshot>)> {
    let config = index.config.clone().unwrap_or_default();
    let view = config.volume.ok_or_else(|| {
        Error::Invalid(
            "the index of the backup does not describe the volume: it was made by a server that is too old"
                .to_owned(),
        )
    })?;
    check_content(&view)?;
    refuse_shifted(&view.put.config)?;
    let mut snapshots = Vec::new();
    for named in &index.snapshots {
        // Some servers put the volume's name before it.
        let mut rows = config.volume_snapshots.iter();
        let row = rows.find(|row| row.name.rsplit('/').next() == Some(named));
        let row = row.ok_or_else(|| {
            Error::Invalid(format!(
                "the index of the backup does not describe the snapshot `{named}`"
            ))
        })?;
        named.parse::<SnapshotName>()?;
        let expires = row.expires_at.as_ref().filter(|at| !at.is_none());
        snapshots.push(VolumeSnapshot {
            id: 0,
            name: named.clone(),
            description: row.description.clone(),
            created_at: time(&row.created_at.0).unwrap_or_else(|| app.now()),
            expires_at: expires.and_then(|at| time(&at.0)),
            config: known_config(name, &row.config),
        });
    }
    let volume = Volume {
        id: 0,
        pool: pool.to_owned(),
        project: project.to_owned(),
        name: name.to_owned(),
        description: view.put.description.clone(),
        created_at: time(&view.created_at.0).unwrap_or_else(|| app.now()),
        config: known_config(name, &view.put.config),
        snapshots: Vec::new(),
    };
    Ok((volume, snapshots))
}

/// Refuses what another server has written with owners that no instance of ours would know as its own.
pub(super) fn refuse_shifted(config: &Config) -> Result<()> {
    match config.get("volatile.idmap.last").map(String::as_str) {
        None | Some("" | "[]") => Ok(()),
        Some(_) => Err(Error::Unavailable(
            "the owners of the files in the volume are shifted on the other server: set `security.shifted=true` on it \
             there, start an instance that has it once more, and try again"
                .to_owned(),
        )),
    }
}

fn check_content(view: &StorageVolume) -> Result<()> {
    match view.content_type.as_str() {
        "" | "filesystem" => Ok(()),
        other => Err(Error::Invalid(format!(
            "this is the backup of a volume with content type `{other}`, which is for virtual machines: there is only \
             `filesystem` here"
        ))),
    }
}

/// Keys that mean something here: others, and notes of another server, are left out.
pub(super) fn known_config(name: &str, config: &Config) -> Config {
    let known = |(key, value): &(&String, &String)| {
        let one = Config::from([((*key).clone(), (*value).clone())]);
        let checked = SCOPE.check(&one);
        if let Err(reason) = &checked {
            tracing::warn!(volume = name, key, reason, "a key is left out");
        }
        checked.is_ok() && !value.is_empty() && !key.starts_with("volatile.")
    };
    config
        .iter()
        .filter(known)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

async fn make(
    app: &App,
    saga: &mut Saga<'_>,
    (new, snapshots): (Volume, Vec<VolumeSnapshot>),
    reader: BackupReader,
    operation: &Handle,
) -> Result<Volume> {
    let volume = record(app, saga, new).await?;
    let names: Vec<String> = snapshots.iter().map(|row| row.name.clone()).collect();
    let ids = record_snapshots(app, volume.id, snapshots).await?;
    let rows = names.into_iter().zip(ids).collect();
    let driver = app.pools.get(&volume.pool)?;
    let (to, size) = (custom_volume(volume.id), keys::size(&volume.config));
    let operation = operation.clone();
    let progress = move |bytes: u64| {
        operation.set(
            "create_volume_from_backup_progress",
            format!("{} MiB", bytes >> 20),
        );
    };
    blocking(move || {
        restore(reader, (&*driver, to), &rows, &progress)?;
        Ok::<_, crate::error::Cause>(limit(&*driver, to, size)?)
    })
    .await
    .map_err(|source| Error::Failed {
        what: format!(
            "restore the backup as storage volume `{}` on storage pool `{}`",
            volume.name, volume.pool
        ),
        source,
    })?;
    Ok(volume)
}
