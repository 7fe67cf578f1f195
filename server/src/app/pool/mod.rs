//! Storage pools: opening them, and the use cases of `/1.0/storage-pools`.

mod check;
mod lost;
mod open;
mod place;
mod view;

use std::path::Path;
use std::sync::Arc;

use rlxc_api::name::PoolName;
use rlxc_api::size::ByteSize;
use rlxc_api::{Requestor, StoragePoolPut, StoragePoolsPost};
use rlxc_storage::{Cause, Driver, PoolSpec};
use rlxc_sys::chain::chain;

pub use lost::{lost_names, open_lost};
pub use open::{HostOpener, Opener, Pools};
pub use view::{describe, get, list, resources};

use self::place::{Place, spec};
use crate::context::{App, blocking};
use crate::db::pools;
use crate::error::{Error, Result};
use crate::model::Pool;
use crate::saga::{JournalEntry, Saga};

const UNAVAILABLE: &str = "Storage pool unavailable";

/// Opens all pools that are not open yet, and looks whether those that are open are still there. One that can't be
/// opened leaves its instances visible, and a warning.
pub async fn open_all(app: &App) -> Result<()> {
    for pool in app.db.read(pools::list).await? {
        let _turn = app.pools.turn().await;
        if let Ok(driver) = app.pools.get(&pool.name) {
            look_at(app, &pool, driver).await;
            continue;
        }
        let (opener, spec) = (app.pools.opener(), spec(app, &pool));
        match blocking(move || opener.open(&spec)).await {
            Ok(driver) => {
                app.pools.add(&pool.name, driver);
                app.resolve(UNAVAILABLE, &url(&pool.name));
            }
            Err(error) => {
                let text = chain(&error).to_string();
                tracing::error!(
                    pool = pool.name,
                    error = text,
                    "a storage pool can't be opened"
                );
                app.warn(UNAVAILABLE, &url(&pool.name), &text).await;
                app.pools.missing(&pool.name, text);
            }
        }
    }
    Ok(())
}

/// A pool that is open may have been taken away since; what it stood on may be gone while it still works.
async fn look_at(app: &App, pool: &Pool, driver: Arc<dyn Driver>) {
    let Err(error) = blocking(move || driver.check()).await else {
        app.resolve(UNAVAILABLE, &url(&pool.name));
        return;
    };
    let text = chain(&error).to_string();
    app.warn(UNAVAILABLE, &url(&pool.name), &text).await;
    if !matches!(error.cause(), Some(Cause::Lost { .. })) {
        app.pools.remove(&pool.name);
        app.pools.missing(&pool.name, text);
    }
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
    check::keys(&pool.driver, &pool.config).map_err(Error::Invalid)?;
    let place = Place::of_new(app, &pool);
    let _turn = app.pools.turn().await;
    check_source(app, &pool.name, &place).await?;
    pool.config
        .insert("source".to_owned(), place.source().display().to_string());
    let operation = app.clock.uuid().to_string();
    let mut saga = Saga::new(app, &operation);
    let entry = journal_entry(&pool, place);
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

fn journal_entry(pool: &Pool, place: Place) -> JournalEntry {
    JournalEntry::Pool {
        name: pool.name.clone(),
        driver: pool.driver.clone(),
        source: place.directory,
        device: place.device,
    }
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
pub async fn undo_create(app: &App, spec: PoolSpec) -> Result<()> {
    let key = spec.name.clone();
    let known = app.db.read(move |tx| pools::find(tx, &key)).await?;
    if known.is_some() {
        return Ok(());
    }
    let (open, opener) = (app.pools.remove(&spec.name), app.pools.opener());
    let (name, own) = (spec.name.clone(), app.places.pool(&spec.name));
    let delete = move || {
        let pool = match open {
            Some(pool) => Ok(pool),
            None => opener.open(&spec),
        };
        match pool {
            Ok(pool) => pool.delete_pool()?,
            // Half a file system can't be opened: it is taken away as a whole.
            Err(error) if error.is_not_found() || spec.device.is_some() => {}
            Err(error) => return Err(error),
        }
        rlxc_storage::discard(&spec)?;
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

async fn check_source(app: &App, name: &str, place: &Place) -> Result<()> {
    let path = place.source();
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
        let other = Place::of(app, &pool);
        let other = other.source();
        if other.starts_with(path) || path.starts_with(other) {
            return Err(Error::Conflict(format!(
                "source `{}` overlaps that of storage pool `{}`",
                path.display(),
                pool.name
            )));
        }
    }
    Ok(())
}

/// Replaces description and keys. A larger `size` makes the pool larger at once.
pub async fn update(app: &App, who: &Requestor, name: &str, put: StoragePoolPut) -> Result<()> {
    let _turn = app.pools.turn().await;
    let mut pool = find(app, name).await?;
    check::keys(&pool.driver, &put.config).map_err(Error::Invalid)?;
    let changed = |key: &str| {
        let new = put.config.get(key);
        new.is_some() && new != pool.config.get(key)
    };
    for fixed in ["source", "source.wipe"] {
        if changed(fixed) {
            return Err(Error::Invalid(format!(
                "the {fixed} of storage pool `{name}` can't be changed"
            )));
        }
    }
    if let Some(size) = put.config.get("size").filter(|_| changed("size")) {
        resize(app, name, size).await?;
    }
    let kept = ["source", "source.wipe"].map(|key| pool.config.remove_entry(key));
    pool.config = put.config;
    pool.config.extend(kept.into_iter().flatten());
    pool.description = put.description;
    app.db
        .write(move |tx| pools::update(tx, &pool).map_err(Error::from))
        .await?;
    app.resource_event("storage-pool-updated", url(name), name, who);
    Ok(())
}

async fn resize(app: &App, name: &str, size: &str) -> Result<()> {
    let bytes: ByteSize = size
        .parse()
        .map_err(|_bad| Error::Invalid(format!("`size={size}` is not a size such as 20GiB")))?;
    let driver = app.pools.get(name)?;
    blocking(move || driver.resize_pool(bytes.bytes()))
        .await
        .map_err(|error| match error.cause() {
            Some(cause @ (Cause::Shrink { .. } | Cause::Unsupported { .. })) => {
                Error::Invalid(format!("resize storage pool `{name}`: {cause}"))
            }
            _ => Error::failed(format!("resize storage pool `{name}`"), error),
        })
}

/// Deletes a pool that nobody uses, and all that is on it.
pub async fn delete(app: &App, who: &Requestor, name: &str) -> Result<()> {
    let _turn = app.pools.turn().await;
    let pool = find(app, name).await?;
    let used_by = view::used_by(app, &pool).await?;
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
    let entry = journal_entry(&pool, Place::of(app, &pool));
    saga.intend_with(entry, move |tx| Ok(pools::delete(tx, pool.id)?))
        .await?;
    saga.unwind().await;
    app.resource_event("storage-pool-deleted", url(name), name, who);
    Ok(())
}

async fn find(app: &App, name: &str) -> Result<Pool> {
    let key = name.to_owned();
    let pool = app.db.read(move |tx| pools::find(tx, &key)).await?;
    pool.ok_or_else(|| Error::not_found("storage pool", name))
}

/// The URL of a pool.
pub fn url(name: &str) -> String {
    format!("/1.0/storage-pools/{name}")
}
