//! Devices that are nodes: those of the host that a device stands for, as far as they are there now.

use std::path::PathBuf;

use rlxc_container::spec::DeviceSpec;

use super::{Target, infiniband};
use crate::context::{App, blocking};
use crate::error::{Error, Result};
use crate::model::{Devices, Instance};
use crate::plan::devices::{Change, Device};
use crate::plan::expand::Expanded;
use crate::runtime::Running;
use crate::unix_device::{self, Host, TYPES};

/// Whether a type is one of these.
pub(super) fn is_one(kind: &str) -> bool {
    TYPES.contains(&kind)
}

/// Refuses what is not there and must be.
pub(super) async fn prepare(change: &Change) -> Result<()> {
    match change {
        Change::Remove(_) => Ok(()),
        Change::Add(device) | Change::Update { after: device, .. } => {
            nodes(device.clone()).await.map(drop)
        }
    }
}

/// Carries out a change. The monitor knows what there is: a second time it does nothing.
pub(super) async fn apply(target: &Target<'_>, change: &Change) -> Result<()> {
    let device = change.device();
    let nodes = match change {
        Change::Remove(_) => Vec::new(),
        Change::Add(device) | Change::Update { after: device, .. } => nodes(device.clone()).await?,
    };
    set(target, &device.name, nodes).await
}

/// Tells the monitor which nodes a device has.
pub(super) async fn set(target: &Target<'_>, device: &str, nodes: Vec<DeviceSpec>) -> Result<()> {
    let set = target.running.set_devices(device, nodes).await;
    set.map_err(|error| failed(device, target.name, error))
}

fn failed(device: &str, instance: &str, error: crate::runtime::RuntimeError) -> Error {
    Error::failed(
        format!("set device `{device}` of instance `{instance}`"),
        error,
    )
}

async fn nodes(device: Device) -> Result<Vec<DeviceSpec>> {
    let find = move || unix_device::nodes(&Host::default(), &device.name, &device.keys);
    blocking(find).await.map_err(Error::Invalid)
}

/// All nodes that an instance starts with.
pub(in crate::app::instance) async fn at_start(expanded: &Expanded) -> Result<Vec<DeviceSpec>> {
    let devices = of_these_types(&expanded.devices);
    let find = move || {
        let host = Host::default();
        let nodes = devices
            .iter()
            .map(|(name, keys)| unix_device::nodes(&host, name, keys))
            .collect::<Result<Vec<_>, _>>()?;
        Ok::<_, String>(nodes.into_iter().flatten().collect())
    };
    blocking(find).await.map_err(Error::Invalid)
}

fn of_these_types(devices: &Devices) -> Devices {
    let mut devices = devices.clone();
    devices.retain(|_, keys| keys.get("type").is_some_and(|kind| is_one(kind)));
    devices
}

/// Gives a running instance what has come meanwhile, and takes what has gone. Who must have what has gone keeps its node.
pub(in crate::app::instance) async fn catch_up(
    app: &App,
    running: &dyn Running,
    instance: &Instance,
    expanded: &Expanded,
) -> Result<()> {
    for (device, keys) in of_these_types(&expanded.devices) {
        let (key, host) = (device.clone(), Host::default());
        let found = if keys.get("type").is_some_and(|kind| kind == "infiniband") {
            Ok(infiniband::nodes(app, instance.id, &device).await)
        } else {
            blocking(move || unix_device::nodes(&host, &key, &keys)).await
        };
        let Ok(nodes) = found else {
            continue;
        };
        let set = running.set_devices(&device, nodes).await;
        set.map_err(|error| failed(&device, &instance.name, error))?;
    }
    Ok(())
}

/// The directories in which the sources of devices may appear that are not there yet, or may go.
pub(in crate::app::instance) fn directories(expanded: &Expanded) -> Vec<PathBuf> {
    let of_sources = of_these_types(&expanded.devices)
        .into_values()
        .filter_map(|keys| {
            let kind = keys.get("type").map_or("", String::as_str);
            let waits = matches!(kind, "unix-char" | "unix-block")
                && !unix_device::is_required(kind, &keys);
            let source = keys.get("source").or_else(|| keys.get("path"))?;
            waits.then(|| PathBuf::from(source))
        });
    // The nearest that is there: what it has come to is looked at each time.
    of_sources
        .filter_map(|source| {
            source
                .ancestors()
                .skip(1)
                .find(|parent| parent.is_dir())
                .map(PathBuf::from)
        })
        .collect()
}

/// Whether an instance has any such device.
pub(in crate::app::instance) fn has_any(expanded: &Expanded) -> bool {
    !of_these_types(&expanded.devices).is_empty()
}
