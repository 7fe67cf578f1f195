//! Pools that the inventory does not know, though they are there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rlxc_api::StoragePoolsPost;
use rlxc_api::name::PoolName;
use rlxc_storage::Driver;

use super::place::{Place, spec};
use super::{check, check_driver, check_source};
use crate::context::{App, blocking};
use crate::error::{Error, Result};
use crate::model::Pool;

/// Names of the pools that are in the daemon's own directory, or have a loop file there.
pub fn lost_names(app: &App) -> BTreeSet<String> {
    let (inside, disks) = (app.places.pool("any"), app.places.pool_disk("any"));
    let own = names_in(inside.parent())
        .into_iter()
        .filter(|name| rlxc_storage::driver_at(&app.places.pool(name)).is_some());
    let disks = names_in(disks.parent());
    let disks = disks.iter().filter_map(|name| name.strip_suffix(".img"));
    disks.map(str::to_owned).chain(own).collect()
}

fn names_in(directory: Option<&Path>) -> Vec<String> {
    let entries = directory.and_then(|path| std::fs::read_dir(path).ok());
    let entries = entries.into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// Opens a pool that has no row: what its row would be, the pool, and where its file system was mounted for this. What the
/// request leaves out is looked for.
pub async fn open_lost(
    app: &App,
    post: StoragePoolsPost,
) -> Result<(Pool, Arc<dyn Driver>, Option<PathBuf>)> {
    let name: PoolName = post.name.parse()?;
    let disk = app.places.pool_disk(&name);
    let mut config = post.put.config;
    let given = config.get("source").filter(|source| !source.is_empty());
    let source = match given {
        Some(source) => PathBuf::from(source),
        None if disk.exists() => disk.clone(),
        None => app.places.pool(&name),
    };
    let driver = if !post.driver.is_empty() {
        post.driver
    } else if source == disk || source.starts_with("/dev") {
        "btrfs".to_owned()
    } else {
        rlxc_storage::driver_at(&source).ok_or_else(|| {
            Error::Invalid(format!(
                "there is no pool of ours in `{}`",
                source.display()
            ))
        })?
    };
    check_driver(&driver)?;
    config.insert("source".to_owned(), source.display().to_string());
    check::keys(&driver, &config).map_err(Error::Invalid)?;
    let pool = Pool {
        id: 0,
        name: name.to_string(),
        driver,
        description: post.put.description,
        config,
    };
    check_source(app, &pool.name, &Place::of(app, &pool)).await?;
    let (opener, spec) = (app.pools.opener(), spec(app, &pool));
    let open = move || {
        let mounted = rlxc_sys::mount::is_mount_point(&spec.source).unwrap_or(false);
        let driver = opener.open(&spec)?;
        let mounts = spec.device.is_some() && !mounted;
        Ok::<_, rlxc_storage::Error>((driver, mounts.then_some(spec.source)))
    };
    let (driver, mounted) = blocking(open)
        .await
        .map_err(|error| Error::failed("it can't be opened", error))?;
    Ok((pool, driver, mounted))
}
