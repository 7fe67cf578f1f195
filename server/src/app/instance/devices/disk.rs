//! Disks of a running instance: directories and files of the host, and custom volumes, come and go.

use std::path::PathBuf;

use rlxc_container::spec::MountSpec;

use super::{Target, refused};
use crate::app::project::gate;
use crate::app::volume;
use crate::context::{App, blocking};
use crate::error::{Error, Result};
use crate::model::{Devices, Instance};
use crate::plan::devices::{Change, Device};
use crate::plan::start::plan_disk;

/// A root keeps its place; what else of it changes holds at once or from the next start on. Refuses a disk whose
/// source is not there.
pub(super) async fn prepare(app: &App, instance: &Instance, change: &Change) -> Result<()> {
    let device = change.device();
    match change {
        Change::Add(_) | Change::Remove(_) if is_root(device) => Err(refused(instance, change)),
        Change::Update { .. } | Change::Remove(_) => Ok(()),
        Change::Add(_) => {
            let mount = plan(app, &instance.project, device).await?;
            let (source, name) = (mount.source.clone(), device.name.clone());
            let there = mount.optional || blocking(move || source.exists()).await;
            if there {
                return Ok(());
            }
            Err(Error::Invalid(format!(
                "device `{name}`: source `{}` is not there on the host",
                mount.source.display()
            )))
        }
    }
}

fn is_root(device: &Device) -> bool {
    device.keys.get("path").is_some_and(|path| path == "/")
}

/// Carries out a change. The monitor knows what is mounted: a second time it does nothing.
pub(super) async fn apply(target: &Target<'_>, change: &Change) -> Result<()> {
    let failed = |device: &Device, error| {
        let what = format!(
            "change disk `{}` of instance `{}`",
            device.name, target.name
        );
        Error::failed(what, error)
    };
    match change {
        Change::Update { .. } => Ok(()),
        Change::Add(device) => {
            let instance = crate::app::instance::find_by_id(target.app, target.id).await?;
            let mount = plan(target.app, &instance.project, device).await?;
            let mounted = target.running.mount(mount).await;
            mounted.map_err(|error| failed(device, error))
        }
        Change::Remove(device) => {
            let path = device.keys.get("path").map(PathBuf::from);
            let gone = target.running.unmount(&path.unwrap_or_default()).await;
            gone.map_err(|error| failed(device, error))
        }
    }
}

/// What is mounted where.
async fn plan(app: &App, project: &str, device: &Device) -> Result<MountSpec> {
    let one = Devices::from([(device.name.clone(), device.keys.clone())]);
    let resolved = volume::resolve(app, project, &one).await?;
    let keys = resolved.get(&device.name).unwrap_or(&device.keys);
    let mut mount = plan_disk(&device.name, keys).map_err(Error::Invalid)?;
    gate::confine(app, project, std::slice::from_mut(&mut mount)).await?;
    Ok(mount)
}
