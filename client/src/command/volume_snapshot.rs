//! `storage volume snapshot`.

use anyhow::Result;
use rlxc_api::{
    StorageVolumeSnapshot, StorageVolumeSnapshotPost, StorageVolumeSnapshotsPost, Timestamp,
};
use rlxc_client::url;
use serde_json::json;

use super::snapshot::REUSE;
use super::{expiry, volume};
use crate::cli::{VolumeSnapshotArgs, VolumeSnapshotCreateArgs, VolumeSnapshotVerb};
use crate::context::Context;
use crate::render::{self, Table};

fn snapshots(pool: &str, volume: &str) -> String {
    format!("{}/snapshots", volume::path(pool, volume))
}

fn path(pool: &str, volume: &str, name: &str) -> String {
    format!("{}/{}", snapshots(pool, volume), url::encode(name))
}

pub(crate) async fn run(context: &Context, verb: VolumeSnapshotVerb) -> Result<()> {
    match verb {
        VolumeSnapshotVerb::Create(args) => create(context, args).await,
        VolumeSnapshotVerb::List(args) => {
            let path = format!("{}?recursion=1", snapshots(&args.pool, &args.volume));
            let all: Vec<StorageVolumeSnapshot> = context.client.get(&path).await?;
            context.list(args.format.format, &all, || table(&all))
        }
        VolumeSnapshotVerb::Show(args) => {
            let path = path(&args.pool, &args.volume, &args.name);
            context.yaml(&context.client.get::<StorageVolumeSnapshot>(&path).await?)
        }
        VolumeSnapshotVerb::Rename(args) => {
            let body = StorageVolumeSnapshotPost {
                name: args.new_name,
                ..StorageVolumeSnapshotPost::default()
            };
            let path = path(&args.pool, &args.volume, &args.name);
            let reply = context.client.post(&path, &body).await?;
            context
                .finish(reply, &format!("Renaming {}", args.name))
                .await?;
            Ok(())
        }
        VolumeSnapshotVerb::Delete(args) => {
            delete(context, &path(&args.pool, &args.volume, &args.name)).await
        }
        VolumeSnapshotVerb::Restore(args) => restore(context, &args).await,
    }
}

async fn create(context: &Context, args: VolumeSnapshotCreateArgs) -> Result<()> {
    let name = args.name.unwrap_or_default();
    let expires_at = expiry::at(args.expiry.as_deref(), args.no_expiry)?;
    let reuse = args.reuse && context.has_extension(REUSE).await?;
    if args.reuse && !reuse {
        let path = path(&args.pool, &args.volume, &name);
        match context.client.get::<StorageVolumeSnapshot>(&path).await {
            Ok(_) => delete(context, &path).await?,
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let body = StorageVolumeSnapshotsPost {
        name,
        expires_at,
        reuse,
    };
    let reply = context
        .client
        .post(&snapshots(&args.pool, &args.volume), &body)
        .await?;
    context
        .finish(reply, &format!("Snapshot of {}", args.volume))
        .await?;
    Ok(())
}

async fn delete(context: &Context, path: &str) -> Result<()> {
    let reply = context.client.delete(path).await?;
    context.finish(reply, "Deleting the snapshot").await?;
    Ok(())
}

pub(crate) async fn restore(context: &Context, args: &VolumeSnapshotArgs) -> Result<()> {
    let body = json!({ "restore": args.name });
    let reply = context
        .client
        .put(&volume::path(&args.pool, &args.volume), &body, None)
        .await?;
    context
        .finish(reply, &format!("Restoring {}", args.volume))
        .await?;
    Ok(())
}

/// In lists it comes with that of the volume before a slash.
fn name(snapshot: &StorageVolumeSnapshot) -> &str {
    let parts = snapshot.name.rsplit_once('/');
    parts.map_or(&snapshot.name, |(_, name)| name)
}

fn table(snapshots: &[StorageVolumeSnapshot]) -> Table {
    let none = Timestamp::none();
    let rows = snapshots
        .iter()
        .map(|snapshot| {
            vec![
                name(snapshot).to_owned(),
                render::short_time(&snapshot.created_at),
                render::short_time(snapshot.expires_at.as_ref().unwrap_or(&none)),
            ]
        })
        .collect();
    Table::new(&["NAME", "TAKEN AT", "EXPIRES AT"], rows)
}
