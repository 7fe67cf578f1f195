//! `storage volume`.

use anyhow::Result;
use rlxc_api::{StorageVolume, StorageVolumePut, StorageVolumeState, StorageVolumesPost};
use rlxc_client::url;

use super::keys;
use crate::cli::{VolumeArgs, VolumeVerb};
use crate::context::Context;
use crate::render::Table;

fn volumes(pool: &str) -> String {
    format!("/1.0/storage-pools/{}/volumes", url::encode(pool))
}

/// A volume by NAME, which is a custom one, or by TYPE/NAME.
fn path(args: &VolumeArgs) -> String {
    let (kind, name) = args
        .volume
        .split_once('/')
        .unwrap_or(("custom", &args.volume));
    format!(
        "{}/{}/{}",
        volumes(&args.pool),
        url::encode(kind),
        url::encode(name)
    )
}

pub(crate) async fn run(context: &Context, verb: VolumeVerb) -> Result<()> {
    match verb {
        VolumeVerb::List(args) => {
            let path = format!("{}?recursion=1", volumes(&args.pool));
            let volumes: Vec<StorageVolume> = context.client.get(&path).await?;
            context.list(args.format.format, &volumes, || table(&volumes))
        }
        VolumeVerb::Show(args) => {
            context.yaml(&context.client.get::<StorageVolume>(&path(&args)).await?)
        }
        VolumeVerb::Info(args) => {
            let state: StorageVolumeState = context
                .client
                .get(&format!("{}/state", path(&args)))
                .await?;
            let used = state.usage.map_or_else(
                || "not known".to_owned(),
                |usage| rlxc_api::size::ByteSize(usage.used).human(),
            );
            context.printer.line(&format!("Space used: {used}"))
        }
        VolumeVerb::Create(args) => {
            let body = StorageVolumesPost {
                put: StorageVolumePut {
                    config: keys::map(args.keys),
                    ..StorageVolumePut::default()
                },
                name: args.name,
                kind: "custom".to_owned(),
                content_type: args.content_type,
                ..StorageVolumesPost::default()
            };
            let reply = context.client.post(&volumes(&args.pool), &body).await?;
            context
                .finish(reply, &format!("Creating {}", body.name))
                .await?;
            Ok(())
        }
        VolumeVerb::Delete(args) => {
            let reply = context.client.delete(&path(&args)).await?;
            context
                .finish(reply, &format!("Deleting {}", args.volume))
                .await?;
            Ok(())
        }
    }
}

fn table(volumes: &[StorageVolume]) -> Table {
    let rows = volumes
        .iter()
        .map(|volume| {
            vec![
                volume.kind.clone(),
                volume.name.clone(),
                volume.put.description.clone(),
                volume.content_type.clone(),
                volume.used_by.len().to_string(),
            ]
        })
        .collect();
    Table::new(&["TYPE", "NAME", "DESCRIPTION", "CONTENT", "USED BY"], rows)
}
