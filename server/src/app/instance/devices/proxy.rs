//! Proxies of a running instance.

use super::Target;
use crate::app::network::proxy;
use crate::context::App;
use crate::error::Result;
use crate::model::{Devices, Instance};
use crate::plan::devices::Change;

/// Refuses what makes no sense.
pub(super) fn prepare(
    app: &App,
    instance: &Instance,
    devices: &Devices,
    change: &Change,
) -> Result<()> {
    match change {
        Change::Add(device) | Change::Update { after: device, .. } => {
            proxy::plan_keys(app, instance, devices, (&device.name, &device.keys)).map(drop)
        }
        Change::Remove(_) => Ok(()),
    }
}

/// Carries out a change.
pub(super) async fn apply(target: &Target<'_>, change: &Change) -> Result<()> {
    let device = change.device();
    let key = (target.id, device.name.as_str());
    match change {
        // Only keys without an effect change in place.
        Change::Update { .. } => return Ok(()),
        Change::Remove(_) | Change::Add(_) => {}
    }
    let (instance, expanded) = crate::app::instance::load(target.app, target.id).await?;
    let mut devices = expanded.devices;
    devices.insert(device.name.clone(), device.keys.clone());
    let plan = proxy::plan(target.app, &instance, &devices, &device.name);
    let running = target.running.as_ref();
    match change {
        Change::Remove(_) => proxy::stop(target.app, key, plan.ok(), running).await,
        _ => proxy::start(target.app, key, plan?, running).await,
    }
}
