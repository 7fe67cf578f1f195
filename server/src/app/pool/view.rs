//! Storage pools as clients see them.

use rlxc_api::{
    ResourcesStoragePool, ResourcesStoragePoolDriver, ResourcesStoragePoolInodes,
    ResourcesStoragePoolSpace, StoragePool, StoragePoolPut,
};

use super::find;
use crate::app::volume;
use crate::context::{App, blocking, instance_url};
use crate::db::{self, pools, volumes};
use crate::error::{Error, Result};
use crate::model::Pool;

/// Space and inodes, and what the driver can do.
pub async fn resources(app: &App, name: &str) -> Result<ResourcesStoragePool> {
    find(app, name).await?;
    let driver = app.pools.get(name)?;
    let can = driver.capabilities();
    let usage = blocking(move || driver.usage()).await.map_err(|error| {
        Error::failed(format!("read the usage of storage pool `{name}`"), error)
    })?;
    Ok(ResourcesStoragePool {
        space: ResourcesStoragePoolSpace {
            used: usage.space_used,
            total: usage.space_total,
        },
        inodes: ResourcesStoragePoolInodes {
            used: usage.inodes_used,
            total: usage.inodes_total,
        },
        driver: Some(ResourcesStoragePoolDriver {
            instant_clone: can.instant_clone,
            optimized_snapshots: can.optimized_snapshots,
            quota: can.quota,
            no_quota: can.no_quota.to_owned(),
        }),
    })
}

/// All pools as clients see them.
pub async fn list(app: &App) -> Result<Vec<StoragePool>> {
    let mut views = Vec::new();
    for pool in app.db.read(pools::list).await? {
        views.push(render(app, pool).await?);
    }
    Ok(views)
}

/// One pool as clients see it.
pub async fn get(app: &App, name: &str) -> Result<StoragePool> {
    let pool = find(app, name).await?;
    render(app, pool).await
}

async fn render(app: &App, pool: Pool) -> Result<StoragePool> {
    let used_by = used_by(app, &pool).await?;
    let is_open = app.pools.is_open(&pool.name);
    let mut view = describe(pool);
    if !is_open {
        "Unavailable".clone_into(&mut view.status);
    }
    Ok(StoragePool { used_by, ..view })
}

/// A pool without who uses it.
pub fn describe(pool: Pool) -> StoragePool {
    StoragePool {
        name: pool.name,
        driver: pool.driver,
        used_by: Vec::new(),
        status: "Created".to_owned(),
        locations: vec!["none".to_owned()],
        put: StoragePoolPut {
            config: pool.config,
            description: pool.description,
        },
    }
}

pub(super) async fn used_by(app: &App, pool: &Pool) -> Result<Vec<String>> {
    let (id, name) = (pool.id, pool.name.clone());
    app.db
        .read(move |tx| {
            let instances = pools::instances(tx, id)?
                .into_iter()
                .map(|(project, name)| instance_url(&project, &name));
            let images = pools::images(tx, id)?
                .into_iter()
                .map(|fingerprint| format!("/1.0/images/{fingerprint}"));
            let custom = volumes::list(tx, None, Some(&name))?
                .into_iter()
                .map(|volume| volume::custom_url(&volume));
            let profiles = db::profiles::list_all(tx)?;
            let with_root = profiles.into_iter().filter(|profile| {
                profile
                    .devices
                    .values()
                    .any(|device| device.get("pool").is_some_and(|pool| *pool == name))
            });
            let profiles =
                with_root.map(|profile| crate::app::profile::url(&profile.project, &profile.name));
            Ok(instances
                .chain(custom)
                .chain(images)
                .chain(profiles)
                .collect())
        })
        .await
}
