//! Deleting an image: its row first, what is on disk follows, if need be at the next start of the daemon.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::{Operation, Requestor};

use super::{event, resolve::find, url};
use crate::context::{App, blocking};
use crate::db::{images, journal, keys, pools};
use crate::error::{Error, Result};
use crate::model::Image;
use crate::operation::OperationSpec;
use crate::saga::{JournalEntry, Saga};

/// Begins to delete an image.
pub async fn delete(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    fingerprint: &str,
) -> Result<Operation> {
    let image = find(app, project, fingerprint).await?;
    let spec = OperationSpec::task(
        "Deleting image",
        project,
        "images",
        &url(&image.fingerprint),
    )
    .requested_by(who);
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app.operations.spawn(spec, move |operation| async move {
        delete_now(&app2, operation.id(), &image).await?;
        let project = operation.project();
        event(
            &app2,
            "image-deleted",
            project,
            &image.fingerprint,
            Some(who),
        );
        Ok(BTreeMap::new())
    }))
}

/// Deletes an image with its aliases. Instances that were made of it live on.
pub(super) async fn delete_now(app: &App, operation: &str, image: &Image) -> Result<()> {
    let fingerprint = &image.fingerprint;
    let _turn = app.image_locks.lock(&format!("image/{fingerprint}")).await;
    let mut saga = Saga::new(app, operation);
    let (id, key, operation) = (image.id, fingerprint.clone(), operation.to_owned());
    let entries = app
        .db
        .write(move |tx| {
            images::delete(tx, id, &key)?;
            // Another project may have the same.
            if images::is_known(tx, &key)? {
                return Ok(Vec::new());
            }
            journal_files(tx, &operation, &key)
        })
        .await?;
    let mut turns = Vec::new();
    for (id, entry) in entries {
        if let JournalEntry::PoolImage { pool, .. } = &entry {
            let key = format!("{pool}/{fingerprint}");
            turns.push(app.image_locks.lock(&key).await);
        }
        saga.recorded(id, entry);
    }
    saga.unwind().await;
    Ok(())
}

fn journal_files(
    tx: &rusqlite::Transaction<'_>,
    operation: &str,
    fingerprint: &str,
) -> Result<Vec<(i64, JournalEntry)>> {
    let mut entries = vec![JournalEntry::ImageFiles {
        fingerprint: fingerprint.to_owned(),
    }];
    for pool in pools::list(tx)? {
        if pools::images(tx, pool.id)?
            .iter()
            .any(|image| image == fingerprint)
        {
            entries.push(JournalEntry::PoolImage {
                pool: pool.name,
                fingerprint: fingerprint.to_owned(),
            });
        }
    }
    pools::remove_image(tx, fingerprint)?;
    let written = entries.into_iter().map(|entry| {
        let text = keys::to_json("a journal entry", &entry)?;
        Ok((journal::append(tx, operation, &text)?, entry))
    });
    written.collect()
}

/// Removes unpacked images that no row names from all pools; those that instances stand on stay until they are free.
pub async fn sweep_pools(app: &App) -> Result<()> {
    for pool in app.db.read(pools::list).await? {
        let Ok(driver) = app.pools.get(&pool.name) else {
            continue;
        };
        let listing = Arc::clone(&driver);
        let contents = blocking(move || listing.list_volumes())
            .await
            .map_err(|error| {
                Error::failed(format!("list the images on pool `{}`", pool.name), error)
            })?;
        for fingerprint in contents.images {
            let lock = format!("{}/{fingerprint}", pool.name);
            let _turn = app.image_locks.lock(&lock).await;
            let key = fingerprint.clone();
            if app.db.read(move |tx| images::is_known(tx, &key)).await? {
                continue;
            }
            let (driver, key) = (Arc::clone(&driver), fingerprint.clone());
            blocking(move || driver.delete_image(&key))
                .await
                .map_err(|error| {
                    let what = format!("remove image {fingerprint} from pool `{}`", pool.name);
                    Error::failed(what, error)
                })?;
        }
    }
    Ok(())
}
