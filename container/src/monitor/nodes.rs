//! Devices that come and go while the container runs: nodes in its `/dev`, or mounts where it has no such place.

use std::os::fd::AsFd;

use super::access;
use super::devices::Dev;
use super::launch::Container;
use super::mounts;
use crate::protocol::Failure;
use crate::spec::{DeviceSpec, MountSpec};

/// Lets a device of the instance consist of these nodes from now on: what is missing is made, what is not wanted goes. All
/// of it or nothing; a second time it does nothing.
pub(super) fn set(
    container: &mut Container,
    name: &str,
    wanted: &[DeviceSpec],
) -> Result<(), Failure> {
    let have: Vec<DeviceSpec> = of(container, name).collect();
    let gone = have.iter().filter(|device| !wanted.contains(device));
    let new = wanted.iter().filter(|device| !have.contains(device));
    // Open first, closed last.
    let all: Vec<_> = container.devices.iter().chain(wanted).cloned().collect();
    access::restrict(&container.cgroup, &all)?;
    let steps: Vec<(bool, DeviceSpec)> = gone
        .map(|device| (false, device.clone()))
        .chain(new.map(|device| (true, device.clone())))
        .collect();
    for (done, (comes, device)) in steps.iter().enumerate() {
        let Err(failure) = step(container, *comes, device) else {
            continue;
        };
        for (comes, device) in steps[..=done].iter().rev() {
            // What failed matters more than what can't be put back; the daemon sets it again.
            drop(step(container, !comes, device));
        }
        return Err(failure);
    }
    container.devices.retain(|device| device.device != name);
    container.devices.extend(wanted.iter().cloned());
    access::restrict(&container.cgroup, &container.devices).map(drop)
}

fn of<'a>(container: &'a Container, name: &'a str) -> impl Iterator<Item = DeviceSpec> + 'a {
    let all = container.devices.iter();
    all.filter(move |device| device.device == name).cloned()
}

fn step(container: &mut Container, comes: bool, device: &DeviceSpec) -> Result<(), Failure> {
    let Container { dev, idmap, .. } = &*container;
    let place = Dev {
        mount: dev.as_fd(),
        idmap: idmap.as_ref(),
    };
    if comes {
        if place.add(device)? {
            return Ok(());
        }
        return mounts::add(container, bound(device));
    }
    place.remove(device)?;
    // Where there is no such mount it does nothing.
    mounts::remove(container, &device.path)
}

/// What a container has had bound since its start because it lies elsewhere than below `/dev`.
pub(super) fn bound_at_start(devices: &[DeviceSpec]) -> impl Iterator<Item = MountSpec> + '_ {
    let elsewhere = devices
        .iter()
        .filter(|device| !device.path.starts_with("/dev"));
    elsewhere.map(bound)
}

/// The host's own node, with the host's owner and mode.
fn bound(device: &DeviceSpec) -> MountSpec {
    MountSpec {
        source: device.source.clone(),
        target: device.path.clone(),
        readonly: false,
        shift: false,
        recursive: false,
        optional: device.optional,
        file: true,
        beneath: None,
        propagation: String::new(),
        options: String::new(),
    }
}
