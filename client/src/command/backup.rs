//! `export`, `import`, `storage volume export`, `storage volume import`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rlxc_api::{InstanceBackupsPost, StorageVolumeBackupsPost};
use rlxc_client::url;
use serde::Serialize;

use super::volume;
use crate::cli::{ExportArgs, ImportArgs, VolumeExportArgs, VolumeImportArgs};
use crate::context::Context;
use crate::progress::Transfer;

pub(crate) async fn export(context: &Context, args: ExportArgs) -> Result<()> {
    let post = InstanceBackupsPost {
        instance_only: args.instance_only,
        container_only: args.instance_only,
        optimized_storage: args.format.optimized_storage,
        compression_algorithm: args.format.compression.unwrap_or_default(),
        ..InstanceBackupsPost::default()
    };
    let backups = format!("{}/backups", url::instance(&args.name));
    fetch(context, (&args.name, &backups), &post, args.target).await
}

pub(crate) async fn export_volume(context: &Context, args: VolumeExportArgs) -> Result<()> {
    let post = StorageVolumeBackupsPost {
        volume_only: args.volume_only,
        optimized_storage: args.format.optimized_storage,
        compression_algorithm: args.format.compression.unwrap_or_default(),
        ..StorageVolumeBackupsPost::default()
    };
    let backups = format!("{}/backups", volume::path(&args.pool, &args.volume));
    let name = args.volume.rsplit('/').next().unwrap_or_default();
    fetch(context, (name, &backups), &post, args.target).await
}

/// Makes a backup of what is called `name` and has its backups at `backups`, and brings it here.
async fn fetch(
    context: &Context,
    (name, backups): (&str, &str),
    post: &impl Serialize,
    target: Option<PathBuf>,
) -> Result<()> {
    let target = target.unwrap_or_else(|| PathBuf::from(format!("{name}.tar.zst")));
    let to_stdout = target == Path::new("-");
    let path = if to_stdout {
        Path::new("/dev/stdout")
    } else {
        &target
    };
    let exported = if context.has_extension("direct_backup").await? {
        let bar = Transfer::new("Exporting", context.printer.is_quiet() || to_stdout);
        let received = |bytes| bar.set(bytes, 0);
        let done = context
            .client
            .export_directly(backups, post, path, received)
            .await;
        bar.end();
        done.map_err(Into::into)
    } else {
        fetch_by_way_of_disk(context, (name, backups), post, path).await
    };
    if exported.is_err() && !to_stdout {
        // Half a backup is worse than none.
        drop(std::fs::remove_file(path));
    }
    exported?;
    if to_stdout {
        return Ok(());
    }
    context
        .printer
        .done(&format!("Exported {name} to {}", target.display()))
}

/// For servers that must keep a backup before it can be fetched.
async fn fetch_by_way_of_disk(
    context: &Context,
    (name, backups): (&str, &str),
    post: &impl Serialize,
    target: &Path,
) -> Result<()> {
    let reply = context.client.post(backups, post).await?;
    let operation = context
        .finish(reply, &format!("Backing up {name}"))
        .await?
        .context("the daemon began nothing")?;
    let made = operation
        .resources
        .get("backups")
        .and_then(|all| all.first());
    let made = url::last(made.context("the daemon does not tell which backup it has made")?);
    let path = format!("{backups}/{}", url::encode(&made));
    let bar = Transfer::new("Downloading", context.printer.is_quiet());
    let fetched = context
        .client
        .download_to(&format!("{path}/export"), target, |bytes| bar.set(bytes, 0))
        .await;
    bar.end();
    let reply = context.client.delete(&path).await?;
    context.finish(reply, "Removing the backup").await?;
    Ok(fetched?)
}

pub(crate) async fn import(context: &Context, args: ImportArgs) -> Result<()> {
    let (name, pool) = (
        args.name.unwrap_or_default(),
        args.storage.unwrap_or_default(),
    );
    let said = [("name", name.as_str()), ("pool", pool.as_str())];
    bring(context, ("/1.0/instances", "instances"), &args.file, &said).await
}

pub(crate) async fn import_volume(context: &Context, args: VolumeImportArgs) -> Result<()> {
    let name = args.name.unwrap_or_default();
    let path = format!("{}/custom", volume::volumes(&args.pool));
    let said = [("name", name.as_str())];
    bring(context, (&path, "storage_volumes"), &args.file, &said).await
}

/// Sends a backup, of which something of `kind` is made.
async fn bring(
    context: &Context,
    (path, kind): (&str, &str),
    file: &Path,
    said: &[(&str, &str)],
) -> Result<()> {
    let bar = Transfer::new("Importing", context.printer.is_quiet());
    let sent = {
        let bar = bar.clone();
        move |sent, total| bar.set(sent, total)
    };
    let reply = context.client.import_backup(path, file, said, sent).await;
    bar.end();
    let operation = context.finish(reply?, "Restoring the backup").await?;
    let made = operation
        .iter()
        .filter_map(|operation| operation.resources.get(kind))
        .flatten()
        .next()
        .map(|url| url::last(url));
    let asked = said.iter().find(|(key, _)| *key == "name");
    let name = made.or_else(|| asked.map(|(_, name)| (*name).to_owned()));
    context
        .printer
        .done(&format!("Imported {}", name.unwrap_or_default()))
}
