//! `storage volume`.

use anyhow::{Result, bail, ensure};
use rlxc_api::{
    StorageVolume, StorageVolumePost, StorageVolumePut, StorageVolumeState, StorageVolumesPost,
};
use rlxc_client::url;

use super::device::{self, Owner};
use super::{backup, keys, volume_copy, volume_snapshot};
use crate::cli::{
    VolumeArgs, VolumeAttachArgs, VolumeCreateArgs, VolumeDetachArgs, VolumeRenameArgs, VolumeVerb,
};
use crate::context::Context;
use crate::document;
use crate::render::Table;

pub(super) fn volumes(pool: &str) -> String {
    format!("/1.0/storage-pools/{}/volumes", url::encode(pool))
}

/// A volume by NAME, which is a custom one, or by TYPE/NAME.
pub(super) fn path(pool: &str, volume: &str) -> String {
    let (kind, name) = volume.split_once('/').unwrap_or(("custom", volume));
    format!(
        "{}/{}/{}",
        volumes(pool),
        url::encode(kind),
        url::encode(name)
    )
}

fn path_of(args: &VolumeArgs) -> String {
    path(&args.pool, &args.volume)
}

pub(crate) async fn run(context: &Context, verb: VolumeVerb) -> Result<()> {
    match verb {
        VolumeVerb::List(args) => {
            let path = format!("{}?recursion=1", volumes(&args.pool));
            let volumes: Vec<StorageVolume> = context.client.get(&path).await?;
            context.list(args.format.format, &volumes, || table(&volumes))
        }
        VolumeVerb::Show(args) => {
            context.yaml(&context.client.get::<StorageVolume>(&path_of(&args)).await?)
        }
        VolumeVerb::Info(args) => info(context, &args).await,
        VolumeVerb::Create(args) => create(context, args).await,
        VolumeVerb::Delete(args) => {
            let reply = context.client.delete(&path_of(&args)).await?;
            context
                .finish(reply, &format!("Deleting {}", args.volume))
                .await?;
            Ok(())
        }
        VolumeVerb::Get(args) => keys::get(context, &path_of(&args.of), "config", &args.key).await,
        VolumeVerb::Set(args) => {
            keys::set(context, &path_of(&args.of), keys::pairs(&args.words)?).await
        }
        VolumeVerb::Unset(args) => keys::unset(context, &path_of(&args.of), &args.key).await,
        VolumeVerb::Edit(args) => {
            keys::edit::<StorageVolumePut>(context, &path_of(&args), "A storage volume.").await
        }
        VolumeVerb::Rename(args) => rename(context, args).await,
        VolumeVerb::Copy(args) => volume_copy::copy(context, args).await,
        VolumeVerb::Move(args) => volume_copy::relocate(context, args).await,
        VolumeVerb::Attach(args) => attach(context, Owner::Instance, args).await,
        VolumeVerb::Detach(args) => detach(context, Owner::Instance, args).await,
        VolumeVerb::AttachProfile(args) => attach(context, Owner::Profile, args).await,
        VolumeVerb::DetachProfile(args) => detach(context, Owner::Profile, args).await,
        VolumeVerb::Snapshot(verb) => volume_snapshot::run(context, verb).await,
        VolumeVerb::Restore(args) => volume_snapshot::restore(context, &args).await,
        VolumeVerb::Export(args) => backup::export_volume(context, args).await,
        VolumeVerb::Import(args) => backup::import_volume(context, args).await,
    }
}

async fn info(context: &Context, args: &VolumeArgs) -> Result<()> {
    let volume: StorageVolume = context.client.get(&path_of(args)).await?;
    let state: StorageVolumeState = context
        .client
        .get(&format!("{}/state", path_of(args)))
        .await?;
    let bytes = |count: u64| rlxc_api::size::ByteSize(count).human();
    let used = state.usage.map_or_else(
        || "not known".to_owned(),
        |usage| match u64::try_from(usage.total) {
            Ok(total @ 1..) => format!("{} of {}", bytes(usage.used), bytes(total)),
            _ => bytes(usage.used),
        },
    );
    context.printer.print(&format!(
        "Name: {}\nType: {}\nContent type: {}\nSpace used: {used}\nUsed by: {}\n",
        volume.name,
        volume.kind,
        volume.content_type,
        volume.used_by.join(", "),
    ))
}

async fn create(context: &Context, args: VolumeCreateArgs) -> Result<()> {
    let given = document::given::<StorageVolumePut, StorageVolume>(&context.printer)?;
    let mut put = given.unwrap_or_default();
    put.config.extend(keys::map(args.keys));
    let body = StorageVolumesPost {
        put,
        name: args.name,
        kind: "custom".to_owned(),
        content_type: args.content_type,
        ..StorageVolumesPost::default()
    };
    let reply = context
        .client
        .post(&format!("{}/custom", volumes(&args.pool)), &body)
        .await?;
    context
        .finish(reply, &format!("Creating {}", body.name))
        .await?;
    Ok(())
}

async fn rename(context: &Context, args: VolumeRenameArgs) -> Result<()> {
    let body = StorageVolumePost {
        name: args.new_name,
        ..StorageVolumePost::default()
    };
    let reply = context
        .client
        .post(&path(&args.pool, &args.volume), &body)
        .await?;
    context
        .finish(reply, &format!("Renaming {}", args.volume))
        .await?;
    Ok(())
}

async fn attach(context: &Context, owner: Owner, args: VolumeAttachArgs) -> Result<()> {
    let (name, path) = match &args.words[..] {
        [path] => (&args.volume, path),
        [device, path] => (device, path),
        _ => bail!("give the path at which the volume is to be seen"),
    };
    ensure!(
        path.starts_with('/'),
        "`{path}` is no absolute path of the instance"
    );
    // A volume that is not there is a clearer error than a device that can't be made.
    context
        .client
        .get::<StorageVolume>(&self::path(&args.pool, &args.volume))
        .await?;
    let keys = [
        ("type", "disk"),
        ("pool", &args.pool),
        ("source", &args.volume),
        ("path", path),
    ];
    let device = keys
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    device::add(context, owner, &args.owner, name.clone(), device).await
}

async fn detach(context: &Context, owner: Owner, args: VolumeDetachArgs) -> Result<()> {
    let shows = |keys: &std::collections::BTreeMap<String, String>| {
        keys.get("pool") == Some(&args.pool) && keys.get("source") == Some(&args.volume)
    };
    let device = args.device.as_deref();
    device::remove_where(context, owner, &args.owner, device, shows).await
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
