//! `storage volume copy`, `storage volume move`.

use anyhow::{Context as _, Result, ensure};
use rlxc_api::{
    StorageVolume, StorageVolumePost, StorageVolumeSnapshotPost, StorageVolumeSource,
    StorageVolumesPost,
};
use rlxc_client::url;

use super::travel::{self, Journey};
use super::volume::{path, volumes};
use crate::cli::{VolumeCopyArgs, VolumeMoveArgs, VolumeWay};
use crate::context::Context;

/// POOL/VOLUME.
fn split(text: &str) -> Result<(&str, &str)> {
    text.split_once('/')
        .filter(|(pool, volume)| !pool.is_empty() && !volume.is_empty())
        .with_context(|| format!("`{text}` is not POOL/VOLUME"))
}

pub(super) async fn copy(context: &Context, args: VolumeCopyArgs) -> Result<()> {
    let (from_pool, from) = split(&args.source)?;
    let (pool, name) = split(&args.target)?;
    let source = StorageVolumeSource {
        name: from.to_owned(),
        kind: "copy".to_owned(),
        pool: from_pool.to_owned(),
        volume_only: args.volume_only,
        refresh: args.refresh,
        ..StorageVolumeSource::default()
    };
    if let Some(remote) = &args.way.to {
        return emigrate(context, remote, &args.way, source, (pool, name)).await;
    }
    let mut path = format!("{}/custom", volumes(pool));
    let mut body = StorageVolumesPost {
        name: name.to_owned(),
        kind: "custom".to_owned(),
        source,
        ..StorageVolumesPost::default()
    };
    if let Some(project) = &args.way.target_project {
        path = url::with_query(&path, "project", project);
        body.source.project.clone_from(&context.project);
    }
    let reply = context.client.post(&path, &body).await?;
    context
        .finish(reply, &format!("Copying {}", args.source))
        .await?;
    Ok(())
}

/// Copies to another server.
async fn emigrate(
    context: &Context,
    remote: &str,
    way: &VolumeWay,
    source: StorageVolumeSource,
    (pool, name): (&str, &str),
) -> Result<()> {
    let to = context.elsewhere(remote, way.target_project.clone())?;
    let (volume, snapshot) = match source.name.split_once('/') {
        Some((volume, snapshot)) => (volume, Some(snapshot)),
        None => (source.name.as_str(), None),
    };
    let here = path(&source.pool, volume);
    let original: StorageVolume = context.client.get(&here).await?;
    let request = if let Some(snapshot) = snapshot {
        let post = StorageVolumeSnapshotPost {
            name: snapshot.to_owned(),
            migration: true,
            target: None,
        };
        let path = format!("{here}/snapshots/{}", url::encode(snapshot));
        (path, serde_json::to_value(post)?)
    } else {
        let post = StorageVolumePost {
            name: volume.to_owned(),
            migration: true,
            volume_only: source.volume_only,
            ..StorageVolumePost::default()
        };
        (here, serde_json::to_value(post)?)
    };
    let label = format!("Copying {}/{}", source.pool, source.name);
    let target = StorageVolumesPost {
        put: original.put,
        name: name.to_owned(),
        kind: "custom".to_owned(),
        content_type: original.content_type,
        source,
    };
    let journey = Journey {
        label,
        source: request,
        target: (
            format!("{}/custom", volumes(pool)),
            serde_json::to_value(target)?,
        ),
        mode: way.mode,
    };
    Box::pin(travel::copy(context, &to, &journey)).await
}

pub(super) async fn relocate(context: &Context, args: VolumeMoveArgs) -> Result<()> {
    let (from_pool, from) = split(&args.source)?;
    let (pool, name) = split(&args.target)?;
    if let Some(remote) = &args.way.to {
        let source = StorageVolumeSource {
            name: from.to_owned(),
            pool: from_pool.to_owned(),
            ..StorageVolumeSource::default()
        };
        let original: StorageVolume = context.client.get(&path(from_pool, from)).await?;
        ensure!(
            original.used_by.is_empty(),
            "storage volume `{from}` is in use by {}: detach it there before it moves to another server",
            original.used_by.join(", ")
        );
        emigrate(context, remote, &args.way, source, (pool, name)).await?;
        let stays = "the volume was copied, but its source stays";
        return travel::remove(context, (&path(from_pool, from), from), stays).await;
    }
    let body = StorageVolumePost {
        name: name.to_owned(),
        pool: if pool == from_pool { "" } else { pool }.to_owned(),
        project: args.way.target_project.unwrap_or_default(),
        ..StorageVolumePost::default()
    };
    let reply = context.client.post(&path(from_pool, from), &body).await?;
    context
        .finish(reply, &format!("Moving {}", args.source))
        .await?;
    Ok(())
}
