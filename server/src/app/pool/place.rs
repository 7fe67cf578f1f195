//! Where a pool is: its directory, and the loop file or block device that is mounted there, if it has one.

use std::path::{Path, PathBuf};

use rlxc_storage::PoolSpec;

use crate::context::App;
use crate::model::Pool;

/// Where a pool is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Its directory.
    pub(super) directory: PathBuf,
    /// What is mounted there.
    pub(super) device: Option<PathBuf>,
}

impl Place {
    /// Of a pool that is there: by its `source`, which is a device below `/dev`, the loop file that the daemon made, or
    /// a directory.
    pub(super) fn of(app: &App, pool: &Pool) -> Self {
        let own = app.places.pool(&pool.name);
        let source = pool.config.get("source").filter(|text| !text.is_empty());
        let source = source.map_or_else(|| own.clone(), PathBuf::from);
        let is_device = pool.driver == "btrfs"
            && (source.starts_with("/dev") || source == app.places.pool_disk(&pool.name));
        if is_device {
            Self {
                directory: own,
                device: Some(source),
            }
        } else {
            Self {
                directory: source,
                device: None,
            }
        }
    }

    /// Of a pool to be made: without a `source` btrfs gets a loop file, unless the daemon's directory is on a btrfs and
    /// nobody asked for a size.
    pub(super) fn of_new(app: &App, pool: &Pool) -> Self {
        let given = |key: &str| pool.config.get(key).is_some_and(|value| !value.is_empty());
        let on_btrfs = rlxc_storage::driver::btrfs::check(app.places.dir()).is_ok();
        if pool.driver == "btrfs" && !given("source") && (given("size") || !on_btrfs) {
            return Self {
                directory: app.places.pool(&pool.name),
                device: Some(app.places.pool_disk(&pool.name)),
            };
        }
        Self::of(app, pool)
    }

    /// What the key `source` says.
    pub(super) fn source(&self) -> &Path {
        self.device.as_ref().unwrap_or(&self.directory)
    }
}

/// A pool as the storage crate takes it.
pub(super) fn spec(app: &App, pool: &Pool) -> PoolSpec {
    let place = Place::of(app, pool);
    PoolSpec {
        name: pool.name.clone(),
        driver: pool.driver.clone(),
        source: place.directory,
        device: place.device,
        config: pool.config.clone(),
    }
}
