//! Volumes and rows: each should have the other. What has only one of them may be somebody's data: it is told, not removed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rlxc_storage::{Driver, VolumeKind, VolumeRef};

use super::{Finding, report};
use crate::app::{pool, volume};
use crate::context::{App, blocking, instance_url};
use crate::db::{instances, pools, volumes};
use crate::error::{Error, Result};
use crate::saga::{custom_volume, instance_volume, volumes_at_work};

/// Warns of volumes without a row, and of rows without a volume.
pub(super) async fn compare(app: &App) -> Result<()> {
    let (mut unknown, mut missing) = (Vec::new(), Vec::new());
    for pool in app.db.read(pools::list).await? {
        let Ok(driver) = app.pools.get(&pool.name) else {
            continue;
        };
        let before = on_disk(&driver, &pool.name).await?;
        let (rows, at_work) = rows(app, &pool.name).await?;
        // Twice, since volumes come and go: what is only on one of the lists is on its way.
        let after = on_disk(&driver, &pool.name).await?;
        let orphans = before
            .intersection(&after)
            .filter(|volume| !rows.contains_key(volume) && !at_work.contains(volume));
        unknown.extend(orphans.map(|volume| without_row(&pool.name, *volume)));
        let bare = rows
            .into_iter()
            .filter(|(volume, _)| !before.contains(volume) && !after.contains(volume))
            .filter(|(volume, _)| !at_work.contains(volume));
        missing.extend(bare);
    }
    let (roots, custom): (Vec<_>, Vec<_>) = unknown
        .into_iter()
        .partition(|(volume, _)| volume.kind == VolumeKind::Container);
    report(app, "Storage volume without an instance", findings(roots)).await?;
    report(app, "Storage volume without a row", findings(custom)).await?;
    let (roots, custom): (Vec<_>, Vec<_>) = missing
        .into_iter()
        .partition(|(volume, _)| volume.kind == VolumeKind::Container);
    report(app, "Root volume missing", findings(roots)).await?;
    report(app, "Custom volume missing", findings(custom)).await
}

fn findings(found: Vec<(VolumeRef, Finding)>) -> Vec<Finding> {
    found.into_iter().map(|(_, finding)| finding).collect()
}

fn without_row(pool: &str, volume: VolumeRef) -> (VolumeRef, Finding) {
    let (kind, whose) = match volume.kind {
        VolumeKind::Container => ("container", "no instance"),
        VolumeKind::Custom => ("custom", "nobody"),
    };
    let message = format!(
        "{volume} on storage pool `{pool}` belongs to {whose}: `rlxc admin recover` takes it back if it lies there with its \
         `backup.yaml`; look what is in it, and remove it if nobody needs it"
    );
    let url = format!("{}/volumes/{kind}/{}", pool::url(pool), volume.id);
    (volume, (url, message))
}

async fn on_disk(driver: &Arc<dyn Driver>, pool: &str) -> Result<BTreeSet<VolumeRef>> {
    let driver = Arc::clone(driver);
    let contents = blocking(move || driver.list_volumes())
        .await
        .map_err(|error| Error::failed(format!("list the volumes on pool `{pool}`"), error))?;
    Ok(contents.volumes.into_keys().collect())
}

/// The volumes that should be on a pool, each with what is said if it is not, and those that come or go at the moment.
async fn rows(
    app: &App,
    pool: &str,
) -> Result<(BTreeMap<VolumeRef, Finding>, BTreeSet<VolumeRef>)> {
    let pool = pool.to_owned();
    app.db
        .read(move |tx| {
            let mut rows = BTreeMap::new();
            let all = instances::list(tx, None)?.into_iter();
            for row in all.filter(|row| row.pool == pool) {
                let message = format!(
                    "the root volume of instance `{}` is not on storage pool `{pool}` any more: the instance can only be deleted",
                    row.name
                );
                let finding = (instance_url(&row.project, &row.name), message);
                rows.insert(instance_volume(row.id), finding);
            }
            for row in volumes::list(tx, None, Some(&pool))? {
                let message = format!(
                    "storage volume `{}` is not on storage pool `{pool}` any more: it can only be deleted",
                    row.name
                );
                rows.insert(custom_volume(row.id), (volume::custom_url(&row), message));
            }
            Ok((rows, volumes_at_work(tx)?))
        })
        .await
}
