//! An image is unpacked once a pool, by whoever needs it first; all others wait for that one.

use rlxc_storage::image::{UnpackLimits, unpack};

use super::files::files;
use crate::context::App;
use crate::db::{images, pools};
use crate::error::{Error, Result};
use crate::model::Image;
use crate::operation::Handle;
use crate::saga::{JournalEntry, Saga};

/// Makes sure that an image is unpacked on a pool.
pub async fn ensure_on_pool(
    app: &App,
    pool: &str,
    image: &Image,
    operation: &Handle,
) -> Result<()> {
    let (id, now) = (image.id, app.now());
    app.db.post(move |tx| images::touch(tx, id, &now));
    let driver = app.pools.get(pool)?;
    if driver.has_image(&image.fingerprint) {
        return Ok(());
    }
    let _turn = app
        .image_locks
        .lock(&format!("{pool}/{}", image.fingerprint))
        .await;
    if driver.has_image(&image.fingerprint) {
        return Ok(());
    }
    let mut saga = Saga::new(app, operation.id());
    saga.intend(JournalEntry::PoolImage {
        pool: pool.to_owned(),
        fingerprint: image.fingerprint.clone(),
    })
    .await?;
    if let Err(error) = unpack_on(app, pool, image, operation).await {
        saga.unwind().await;
        return Err(error);
    }
    let (name, fingerprint, now) = (pool.to_owned(), image.fingerprint.clone(), app.now());
    saga.commit_with(move |tx| {
        let pool =
            pools::find(tx, &name)?.ok_or_else(|| Error::not_found("storage pool", &name))?;
        Ok(pools::add_image(tx, pool.id, &fingerprint, &now)?)
    })
    .await
}

async fn unpack_on(app: &App, pool: &str, image: &Image, operation: &Handle) -> Result<()> {
    let driver = app.pools.get(pool)?;
    let (source, fingerprint, size) = (
        files(&app.places, &image.fingerprint, image.split),
        image.fingerprint.clone(),
        image.size,
    );
    let progress = operation.clone();
    let what = format!(
        "unpack image {} on storage pool `{pool}`",
        &image.fingerprint[..12]
    );
    let create = move || {
        let mut filler = |directory: &std::path::Path| {
            let report = |done: u64| {
                let percent = done.saturating_mul(100) / u64::try_from(size).unwrap_or(1).max(1);
                progress.set(
                    "create_instance_from_image_unpack_progress",
                    format!("Unpacking image: {}%", percent.min(100)),
                );
            };
            unpack(&source, directory, UnpackLimits::default(), &report)?;
            Ok(())
        };
        driver.create_image(&fingerprint, &mut filler)
    };
    operation.blocking(what, create).await
}
