//! Storage volumes as clients see them.

use rlxc_api::{
    StorageVolume, StorageVolumePut, StorageVolumeState, StorageVolumeStateUsage, Timestamp,
};

use super::{Target, find, keys, project};
use crate::app::pool;
use crate::context::{App, blocking, instance_url};
use crate::db::{instances, pools, volumes};
use crate::error::{Error, Result};
use crate::model::{Instance, Volume};
use crate::saga::{custom_volume, instance_volume};

const KINDS: &[&str] = &["container", "custom", "image"];

fn check_kind(kind: Option<&str>) -> Result<()> {
    match kind.filter(|kind| !KINDS.contains(kind)) {
        Some(kind) => Err(Error::Invalid(format!(
            "volumes of type `{kind}` are not known here: there are `{}`",
            KINDS.join("`, `")
        ))),
        None => Ok(()),
    }
}

/// All volumes of a pool that a project sees; with `kind`, only those.
pub async fn list(
    app: &App,
    project: Option<&str>,
    pool: &str,
    kind: Option<&str>,
) -> Result<Vec<StorageVolume>> {
    check_kind(kind)?;
    pool::get(app, pool).await?;
    let owner = match project {
        Some(name) => Some((app.project(name).await?, super::project(app, name).await?.0)),
        None => None,
    };
    let name = pool.to_owned();
    let (images, all, custom) = app
        .db
        .read(move |tx| {
            let row =
                pools::find(tx, &name)?.ok_or_else(|| Error::not_found("storage pool", &name))?;
            let rows = volumes::list(tx, owner.map(|(_, id)| id), Some(&name))?;
            let custom = rows
                .into_iter()
                .map(|volume| {
                    let (id, _) = volumes::project_of(tx, &volume.project)?
                        .ok_or_else(|| Error::not_found("project", &volume.project))?;
                    let users = volumes::users(tx, id, &volume)?;
                    Ok((volume, users))
                })
                .collect::<Result<Vec<_>>>()?;
            let all = instances::list(tx, owner.map(|(id, _)| id))?;
            Ok::<_, Error>((pools::images(tx, row.id)?, all, custom))
        })
        .await?;
    let roots = all
        .iter()
        .filter(|instance| instance.pool == pool)
        .map(of_instance);
    let custom = custom
        .into_iter()
        .map(|(volume, users)| render(volume, users));
    let found = roots.chain(custom).chain(images.into_iter().map(of_image));
    Ok(found
        .filter(|volume| kind.is_none_or(|kind| volume.kind == kind))
        .map(|volume| StorageVolume {
            pool: pool.to_owned(),
            ..volume
        })
        .collect())
}

/// The volumes of all pools.
pub async fn list_all(
    app: &App,
    project: Option<&str>,
    kind: Option<&str>,
) -> Result<Vec<StorageVolume>> {
    let mut found = Vec::new();
    for pool in app.db.read(pools::list).await? {
        found.extend(list(app, project, &pool.name, kind).await?);
    }
    Ok(found)
}

/// One volume by type and name.
pub async fn get(app: &App, target: Target<'_>) -> Result<StorageVolume> {
    let found = list(app, Some(target.project), target.pool, Some(target.kind))
        .await?
        .into_iter()
        .find(|volume| volume.name == target.name);
    found.ok_or_else(|| {
        Error::not_found(
            "storage volume",
            format!("{}/{}/{}", target.pool, target.kind, target.name),
        )
    })
}

/// How much a volume takes.
pub async fn state(app: &App, target: Target<'_>) -> Result<StorageVolumeState> {
    let (volume, total) = match target.kind {
        "custom" => {
            let (id, _) = project(app, target.project).await?;
            let volume = find(app, id, target).await?;
            (custom_volume(volume.id), keys::size(&volume.config))
        }
        "container" => {
            let instance = crate::app::instance::find(app, target.project, target.name).await?;
            (instance_volume(instance.id), None)
        }
        _ => {
            get(app, target).await?;
            return Ok(StorageVolumeState::default());
        }
    };
    let driver = app.pools.get(target.pool)?;
    let used = blocking(move || driver.volume_usage(volume))
        .await
        .map_err(|error| Error::failed(format!("measure volume `{}`", target.name), error))?;
    Ok(StorageVolumeState {
        usage: Some(StorageVolumeStateUsage {
            used,
            total: total.and_then(|size| size.try_into().ok()).unwrap_or(0),
        }),
    })
}

/// The URL of a volume.
pub fn url(pool: &str, volume: &StorageVolume) -> String {
    with_project(
        format!(
            "/1.0/storage-pools/{pool}/volumes/{}/{}",
            volume.kind, volume.name
        ),
        &volume.project,
    )
}

/// The URL of a custom volume.
pub fn custom_url(volume: &Volume) -> String {
    let path = format!(
        "/1.0/storage-pools/{}/volumes/custom/{}",
        volume.pool, volume.name
    );
    with_project(path, &volume.project)
}

/// The URL of a snapshot of a custom volume.
pub fn snapshot_url(target: Target<'_>, snapshot: &str) -> String {
    let path = format!(
        "/1.0/storage-pools/{}/volumes/{}/{}/snapshots/{snapshot}",
        target.pool, target.kind, target.name
    );
    with_project(path, target.project)
}

fn with_project(path: String, project: &str) -> String {
    if project == "default" {
        path
    } else {
        format!("{path}?project={project}")
    }
}

pub(super) fn render(volume: Volume, used_by: Vec<String>) -> StorageVolume {
    StorageVolume {
        put: StorageVolumePut {
            config: volume.config,
            description: volume.description,
            ..StorageVolumePut::default()
        },
        used_by,
        project: volume.project,
        created_at: Timestamp(volume.created_at),
        ..blank("custom", volume.name)
    }
}

fn of_instance(instance: &Instance) -> StorageVolume {
    StorageVolume {
        used_by: vec![instance_url(&instance.project, &instance.name)],
        project: instance.project.clone(),
        created_at: Timestamp(instance.created_at.clone()),
        ..blank("container", instance.name.clone())
    }
}

fn of_image(fingerprint: String) -> StorageVolume {
    StorageVolume {
        used_by: vec![format!("/1.0/images/{fingerprint}")],
        ..blank("image", fingerprint)
    }
}

fn blank(kind: &str, name: String) -> StorageVolume {
    StorageVolume {
        put: StorageVolumePut::default(),
        name,
        kind: kind.to_owned(),
        pool: String::new(),
        used_by: Vec::new(),
        location: "none".to_owned(),
        content_type: "filesystem".to_owned(),
        project: "default".to_owned(),
        created_at: Timestamp::none(),
    }
}
