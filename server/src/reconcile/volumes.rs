//! Volumes and rows: each should have the other. What has only one of them may be somebody's data: it is told, not removed.

use std::collections::BTreeSet;
use std::sync::Arc;

use rlxc_storage::{Driver, VolumeKind};

use super::{Finding, report};
use crate::app::pool;
use crate::context::{App, blocking, instance_url};
use crate::db::{instances, journal, pools};
use crate::error::{Error, Result};
use crate::model::Instance;
use crate::saga::{JournalEntry, instance_volume};

/// Warns of volumes without an instance, and of instances without a volume.
pub(super) async fn compare(app: &App) -> Result<()> {
    let (mut unknown, mut missing) = (Vec::new(), Vec::new());
    for pool in app.db.read(pools::list).await? {
        let Ok(driver) = app.pools.get(&pool.name) else {
            continue;
        };
        let before = volumes(&driver, &pool.name).await?;
        let rows = rows(app, &pool.name).await?;
        let at_work = at_work(app).await?;
        // Twice, since instances come and go: what is only on one of the lists is on its way.
        let after = volumes(&driver, &pool.name).await?;
        let known: BTreeSet<i64> = rows.iter().map(|row| row.id).collect();
        let orphans = before
            .intersection(&after)
            .filter(|id| !known.contains(id) && !at_work.contains(id));
        unknown.extend(orphans.map(|id| without_instance(&pool.name, *id)));
        let bare = rows
            .iter()
            .filter(|row| !before.contains(&row.id) && !after.contains(&row.id))
            .filter(|row| !at_work.contains(&row.id));
        missing.extend(bare.map(without_volume));
    }
    report(app, "Storage volume without an instance", unknown).await?;
    report(app, "Root volume missing", missing).await
}

fn without_instance(pool: &str, id: i64) -> Finding {
    let message = format!(
        "volume {} on storage pool `{pool}` belongs to no instance: look what is in it, and remove it if nobody needs it",
        instance_volume(id)
    );
    (
        format!("{}/volumes/container/{id}", pool::url(pool)),
        message,
    )
}

fn without_volume(row: &Instance) -> Finding {
    let message = format!(
        "the root volume of instance `{}` is not on storage pool `{}` any more: the instance can only be deleted",
        row.name, row.pool
    );
    (instance_url(&row.project, &row.name), message)
}

async fn volumes(driver: &Arc<dyn Driver>, pool: &str) -> Result<BTreeSet<i64>> {
    let driver = Arc::clone(driver);
    let contents = blocking(move || driver.list_volumes())
        .await
        .map_err(|error| Error::failed(format!("list the volumes on pool `{pool}`"), error))?;
    let ids = contents
        .volumes
        .into_keys()
        .filter(|volume| volume.kind == VolumeKind::Container)
        .filter_map(|volume| i64::try_from(volume.id).ok());
    Ok(ids.collect())
}

async fn rows(app: &App, pool: &str) -> Result<Vec<Instance>> {
    let all = app.db.read(|tx| instances::list(tx, None)).await?;
    Ok(all.into_iter().filter(|row| row.pool == pool).collect())
}

/// Instances whose volumes are being made or removed now, or still must be.
async fn at_work(app: &App) -> Result<BTreeSet<i64>> {
    let entries = app.db.read(journal::list).await?;
    let ids = entries
        .iter()
        .filter_map(|(_, text)| match serde_json::from_str(text).ok()? {
            JournalEntry::Volume { id, .. } => Some(id),
            _ => None,
        });
    Ok(ids.collect())
}
