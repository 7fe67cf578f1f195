//! Storage pools: opening them, and the use cases of `/1.0/storage-pools`.

mod open;

use std::path::{Path, PathBuf};

use rlxc_api::name::PoolName;
use rlxc_api::{
    Requestor, ResourcesStoragePool, ResourcesStoragePoolInodes, ResourcesStoragePoolSpace,
    StoragePool, StoragePoolPut, StoragePoolsPost,
};
use rlxc_storage::PoolSpec;
use rlxc_sys::chain::chain;

pub use open::{HostOpener, Opener, Pools};

use crate::context::{App, blocking, instance_url};
use crate::db::{self, pools};
use crate::error::{Error, Result};
use crate::keys;
use crate::model::{Config, Pool};
use crate::saga::{JournalEntry, Saga};

const UNAVAILABLE: &str = "Storage pool unavailable";

/// Opens all pools that are not open yet. One that can't be leaves its instances visible, and a warning.
pub async fn open_all(app: &App) -> Result<()> {
    for pool in app.db.read(pools::list).await? {
        let _turn = app.pools.turn().await;
        if app.pools.is_open(&pool.name) {
            continue;
        }
        let (opener, spec) = (app.pools.opener(), spec(app, &pool));
        match blocking(move || opener.open(&spec)).await {
            Ok(driver) => {
                app.pools.add(&pool.name, driver);
                app.resolve(UNAVAILABLE, &url(&pool.name));
            }
            Err(error) => {
                tracing::error!(pool = pool.name, error = %chain(&error), "a storage pool can't be opened");
                let text = chain(&error).to_string();
                app.warn(UNAVAILABLE, &url(&pool.name), &text).await;
            }
        }
    }
    Ok(())
}

fn spec(app: &App, pool: &Pool) -> PoolSpec {
    PoolSpec {
        name: pool.name.clone(),
        driver: pool.driver.clone(),
        source: source(app, pool),
        config: pool.config.clone(),
    }
}

fn source(app: &App, pool: &Pool) -> PathBuf {
    pool.config
        .get("source")
        .filter(|source| !source.is_empty())
        .map_or_else(|| app.places.pool(&pool.name), PathBuf::from)
}

/// Makes a pool.
pub async fn create(app: &App, who: &Requestor, post: StoragePoolsPost) -> Result<()> {
    let name: PoolName = post.name.parse()?;
    let driver = if post.driver.is_empty() {
        rlxc_storage::default_driver(app.places.dir()).to_owned()
    } else {
        post.driver
    };
    check_driver(&driver)?;
    let mut pool = Pool {
        id: 0,
        name: name.to_string(),
        driver,
        description: post.put.description,
        config: post.put.config,
    };
    keys::pool::SCOPE
        .check(&pool.config)
        .map_err(Error::Invalid)?;
    let path = source(app, &pool);
    let _turn = app.pools.turn().await;
    check_source(app, &pool.name, &path).await?;
    pool.config
        .insert("source".to_owned(), path.display().to_string());
    let operation = app.clock.uuid().to_string();
    let mut saga = Saga::new(app, &operation);
    let entry = JournalEntry::Pool {
        name: pool.name.clone(),
        driver: pool.driver.clone(),
        source: path,
    };
    saga.intend(entry).await?;
    if let Err(error) = create_tree(app, &pool).await {
        saga.unwind().await;
        return Err(error);
    }
    let row = pool.clone();
    saga.commit_with(move |tx| Ok(pools::insert(tx, &row)?))
        .await?;
    app.resource_event("storage-pool-created", url(&pool.name), &pool.name, who);
    Ok(())
}

async fn create_tree(app: &App, pool: &Pool) -> Result<()> {
    let (opener, spec) = (app.pools.opener(), spec(app, pool));
    let driver = blocking(move || opener.create(&spec))
        .await
        .map_err(|error| Error::failed(format!("create storage pool `{}`", pool.name), error))?;
    app.pools.add(&pool.name, driver);
    Ok(())
}

/// Removes what a creation that did not end left.
pub async fn undo_create(app: &App, name: &str, driver: &str, source: &Path) -> Result<()> {
    let key = name.to_owned();
    let known = app.db.read(move |tx| pools::find(tx, &key)).await?;
    if known.is_some() {
        return Ok(());
    }
    let spec = PoolSpec {
        name: name.to_owned(),
        driver: driver.to_owned(),
        source: source.to_owned(),
        config: Config::new(),
    };
    let (open, opener) = (app.pools.remove(name), app.pools.opener());
    let own = app.places.pool(name);
    let delete = move || {
        let pool = match open {
            Some(pool) => Ok(pool),
            None => opener.open(&spec),
        };
        match pool {
            Ok(pool) => pool.delete_pool()?,
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        if own == spec.source {
            remove_directory(&own);
        }
        Ok(())
    };
    blocking(delete)
        .await
        .map_err(|error| Error::failed(format!("delete storage pool `{name}`"), error))
}

/// What is left of the directory of a deleted pool: empty ones, unless something of it is still being removed.
fn remove_directory(pool: &Path) {
    let left = std::fs::read_dir(pool).into_iter().flatten().flatten();
    for path in left.map(|entry| entry.path()).chain([pool.to_owned()]) {
        if let Err(error) = std::fs::remove_dir(&path) {
            tracing::debug!(path = %path.display(), %error, "a directory of a deleted pool stays");
        }
    }
}

fn check_driver(driver: &str) -> Result<()> {
    if rlxc_storage::DRIVERS.contains(&driver) {
        return Ok(());
    }
    let known = rlxc_storage::DRIVERS.join("`, `");
    Err(Error::Invalid(format!(
        "storage driver `{driver}` is not known here: there are `{known}`"
    )))
}

async fn check_source(app: &App, name: &str, path: &Path) -> Result<()> {
    if !path.is_absolute() {
        return Err(Error::Invalid(format!(
            "source `{}` of storage pool `{name}` must be an absolute path",
            path.display()
        )));
    }
    for pool in app.db.read(pools::list).await? {
        if pool.name == name {
            return Err(Error::exists("storage pool", name));
        }
        let other = source(app, &pool);
        if other.starts_with(path) || path.starts_with(&other) {
            return Err(Error::Conflict(format!(
                "source `{}` overlaps that of storage pool `{}`",
                path.display(),
                pool.name
            )));
        }
    }
    Ok(())
}

/// Replaces description and keys.
pub async fn update(app: &App, who: &Requestor, name: &str, put: StoragePoolPut) -> Result<()> {
    keys::pool::SCOPE
        .check(&put.config)
        .map_err(Error::Invalid)?;
    let mut pool = find(app, name).await?;
    if put
        .config
        .get("source")
        .is_some_and(|new| pool.config.get("source") != Some(new))
    {
        return Err(Error::Invalid(format!(
            "the source of storage pool `{name}` can't be changed"
        )));
    }
    let source = pool.config.remove("source");
    pool.config = put.config;
    pool.config
        .extend(source.map(|source| ("source".to_owned(), source)));
    pool.description = put.description;
    app.db
        .write(move |tx| pools::update(tx, &pool).map_err(Error::from))
        .await?;
    app.resource_event("storage-pool-updated", url(name), name, who);
    Ok(())
}

/// Deletes a pool that nobody uses, and all that is on it.
pub async fn delete(app: &App, who: &Requestor, name: &str) -> Result<()> {
    let _turn = app.pools.turn().await;
    let pool = find(app, name).await?;
    let used_by = used_by(app, &pool).await?;
    let users: Vec<_> = used_by
        .iter()
        .filter(|url| !url.starts_with("/1.0/images/"))
        .cloned()
        .collect();
    if !users.is_empty() {
        return Err(Error::Conflict(format!(
            "storage pool `{name}` is in use by {}",
            users.join(", ")
        )));
    }
    // The tree goes by the undo of its creation: whoever dies in between, it is removed at the next start.
    let mut saga = Saga::new(app, &app.clock.uuid().to_string());
    let entry = JournalEntry::Pool {
        name: pool.name.clone(),
        driver: pool.driver.clone(),
        source: source(app, &pool),
    };
    saga.intend_with(entry, move |tx| Ok(pools::delete(tx, pool.id)?))
        .await?;
    saga.unwind().await;
    app.resource_event("storage-pool-deleted", url(name), name, who);
    Ok(())
}

/// Space and inodes.
pub async fn resources(app: &App, name: &str) -> Result<ResourcesStoragePool> {
    find(app, name).await?;
    let driver = app.pools.get(name)?;
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

async fn find(app: &App, name: &str) -> Result<Pool> {
    let key = name.to_owned();
    let pool = app.db.read(move |tx| pools::find(tx, &key)).await?;
    pool.ok_or_else(|| Error::not_found("storage pool", name))
}

async fn render(app: &App, pool: Pool) -> Result<StoragePool> {
    let used_by = used_by(app, &pool).await?;
    let status = if app.pools.is_open(&pool.name) {
        "Created"
    } else {
        "Unavailable"
    };
    Ok(StoragePool {
        name: pool.name,
        driver: pool.driver,
        used_by,
        status: status.to_owned(),
        locations: vec!["none".to_owned()],
        put: StoragePoolPut {
            config: pool.config,
            description: pool.description,
        },
    })
}

async fn used_by(app: &App, pool: &Pool) -> Result<Vec<String>> {
    let (id, name) = (pool.id, pool.name.clone());
    app.db
        .read(move |tx| {
            let instances = pools::instances(tx, id)?
                .into_iter()
                .map(|(project, name)| instance_url(&project, &name));
            let images = pools::images(tx, id)?
                .into_iter()
                .map(|fingerprint| format!("/1.0/images/{fingerprint}"));
            let profiles = db::profiles::list_all(tx)?;
            let with_root = profiles.into_iter().filter(|profile| {
                profile
                    .devices
                    .values()
                    .any(|device| device.get("pool").is_some_and(|pool| *pool == name))
            });
            let profiles =
                with_root.map(|profile| crate::app::profile::url(&profile.project, &profile.name));
            Ok(instances.chain(images).chain(profiles).collect())
        })
        .await
}

/// The URL of a pool.
pub fn url(name: &str) -> String {
    format!("/1.0/storage-pools/{name}")
}
