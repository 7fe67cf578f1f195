//! Snapshots as servers tell each other of them.

use crate::migration::SnapshotRow;
use crate::migration::rows::{config, pairs, seconds, time};
use crate::migration::wire::Device;
use crate::model::{Devices, Instance, Snapshot};

/// LXD's numbers of architectures, the first is 1; see shared/osarch of its source.
const ARCHITECTURES: [&str; 11] = [
    "i686", "x86_64", "armv7l", "aarch64", "ppc", "ppc64", "ppc64le", "s390x", "mips", "mips64",
    "riscv64",
];

pub(super) fn render(instance: &Instance, snapshot: &Snapshot) -> SnapshotRow {
    let number = ARCHITECTURES
        .iter()
        .position(|name| *name == instance.architecture)
        .and_then(|index| i32::try_from(index + 1).ok());
    SnapshotRow {
        name: snapshot.name.clone(),
        config: pairs(&super::super::copy::portable(&snapshot.config)),
        profiles: snapshot.profiles.clone(),
        ephemeral: snapshot.ephemeral,
        devices: snapshot
            .devices
            .iter()
            .map(|(name, keys)| Device {
                name: name.clone(),
                config: pairs(keys),
            })
            .collect(),
        architecture: number.unwrap_or(0),
        stateful: false,
        created: seconds(&snapshot.created_at),
        used: None,
        expires: snapshot.expires_at.as_deref().and_then(seconds),
    }
}

/// The row of a snapshot that comes from another server.
pub(super) fn parse(row: SnapshotRow, now: &str) -> Snapshot {
    let devices: Devices = row
        .devices
        .into_iter()
        .map(|device| (device.name, config(device.config)))
        .collect();
    Snapshot {
        id: 0,
        name: row.name,
        description: String::new(),
        ephemeral: row.ephemeral,
        created_at: time(row.created).unwrap_or_else(|| now.to_owned()),
        expires_at: time(row.expires),
        config: config(row.config),
        devices,
        profiles: row.profiles,
    }
}
