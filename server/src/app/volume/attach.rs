//! Disk devices that show custom volumes: `pool` says on which pool, `source` which one.

use crate::context::{App, blocking};
use crate::db::volumes;
use crate::error::{Error, Result};
use crate::keys::is_true;
use crate::model::{Config, Devices, Volume};
use crate::saga::custom_volume;

/// Pool and name of the volume of a device that shows one.
fn volume_of(device: &Config) -> Option<(&str, &str)> {
    let pool = device.get("pool").filter(|pool| !pool.is_empty())?;
    Some((pool, source_of(device)?))
}

/// The source of a disk that is no root.
fn source_of(device: &Config) -> Option<&str> {
    let is_disk = device.get("type").is_some_and(|kind| kind == "disk");
    let is_root = device.get("path").is_some_and(|path| path == "/");
    let source = device.get("source").filter(|source| !source.is_empty())?;
    (is_disk && !is_root).then_some(source)
}

/// Checks that the volumes of devices are there.
pub fn check_devices(
    tx: &rusqlite::Transaction<'_>,
    project: &str,
    devices: &Devices,
) -> Result<()> {
    for (device, keys) in devices {
        if let Some(wanted) = volume_of(keys) {
            find(tx, project, device, wanted)?;
        } else if let Some(source) = source_of(keys).filter(|source| !source.starts_with('/')) {
            return Err(Error::Invalid(format!(
                "device `{device}`: `source={source}` is neither an absolute path of the host nor, with `pool`, a custom volume"
            )));
        }
    }
    Ok(())
}

fn find(
    tx: &rusqlite::Transaction<'_>,
    project: &str,
    device: &str,
    (pool, name): (&str, &str),
) -> Result<Volume> {
    let (owner, _) =
        volumes::project_of(tx, project)?.ok_or_else(|| Error::not_found("project", project))?;
    volumes::find(tx, owner, pool, name)?.ok_or_else(|| {
        Error::Invalid(format!(
            "device `{device}`: there is no custom volume `{name}` on storage pool `{pool}`"
        ))
    })
}

/// Devices with the paths of their volumes in place of the names: what a start needs to know. Owners are shifted, so
/// that every instance sees the files of root as its own, unless the volume says `security.unmapped`.
pub async fn resolve(app: &App, project: &str, devices: &Devices) -> Result<Devices> {
    let mut resolved = devices.clone();
    for (name, device) in &mut resolved {
        let Some((pool, volume)) = volume_of(device) else {
            continue;
        };
        let (project, key) = (project.to_owned(), name.clone());
        let wanted = (pool.to_owned(), volume.to_owned());
        let row = app
            .db
            .read(move |tx| find(tx, &project, &key, (&wanted.0, &wanted.1)))
            .await?;
        let (driver, id) = (app.pools.get(&row.pool)?, custom_volume(row.id));
        let root = blocking(move || driver.root(id)).await.map_err(|error| {
            Error::failed(format!("find the storage volume `{}`", row.name), error)
        })?;
        let rlxc_sys::rootfs::RootSource::Tree { path } = root else {
            return Err(Error::Unavailable(format!(
                "storage volume `{}` is no plain tree",
                row.name
            )));
        };
        device.remove("pool");
        device.insert("source".to_owned(), path.display().to_string());
        let shift = !is_true(&row.config, "security.unmapped");
        device.insert("shift".to_owned(), shift.to_string());
    }
    Ok(resolved)
}
