//! Taking back what was found: rows for what is on disk. Each in one transaction, so that it is there whole or not at all.

use std::sync::Arc;

use rlxc_storage::{Source, VolumeKind};

use super::rows::{self, Rows, Taken};
use super::search::{LostPool, LostVolume};
use crate::app::instance;
use crate::context::{App, blocking};
use crate::db::pools;
use crate::error::{Error, Result};
use crate::saga::{self, JournalEntry, Saga, custom_volume, instance_volume, snapshot_id};

/// Gives a pool a row.
pub(super) async fn pool(app: &App, lost: LostPool) -> Result<()> {
    let row = lost.row.clone();
    app.db
        .write(move |tx| pools::insert(tx, &row).map(drop).map_err(Error::from))
        .await?;
    tracing::info!(pool = lost.row.name, "storage pool recovered");
    app.pools.adopt(&lost.row.name, lost.driver);
    Ok(())
}

/// Gives a volume rows, and an actor if it is the root of an instance.
pub(super) async fn volume(app: &Arc<App>, lost: LostVolume) -> Result<()> {
    let rows = Rows::of(&lost)?;
    let (project, name) = lost.name();
    tracing::info!(project, name, pool = lost.pool, volume = %lost.volume, "recovering");
    let (ranges, fresh) = (app.id_ranges.clone(), rows.clone());
    let taken = app
        .db
        .write(move |tx| rows::insert(tx, fresh, &ranges))
        .await?;
    match taken {
        Taken::Done => {}
        Taken::Numbers => renumber(app, &lost, rows).await?,
    }
    let VolumeKind::Container = lost.volume.kind else {
        return Ok(());
    };
    let row = instance::find(app, project, name).await?;
    instance::adopt(app, &row).await;
    app.instance_event("instance-created", &row.project, &row.name, None);
    Ok(())
}

/// Others have its numbers: it becomes a copy under numbers that are free, and the old one goes.
async fn renumber(app: &App, lost: &LostVolume, rows: Rows) -> Result<()> {
    let operation = app.operations.next_id();
    let mut saga = Saga::new(app, &operation);
    let result = copy(app, &mut saga, lost, rows).await;
    if result.is_err() {
        return saga.settle(result).await;
    }
    let entry = volume_entry(lost, lost.volume.id)?;
    let (old, label) = (entry.clone(), operation.clone());
    let number = saga
        .commit_with(move |tx| saga::append(tx, &label, &old))
        .await?;
    let mut rest = Saga::new(app, &operation);
    rest.recorded(number, entry);
    rest.unwind().await;
    Ok(())
}

fn volume_entry(lost: &LostVolume, id: u64) -> Result<JournalEntry> {
    let id = i64::try_from(id).map_err(Error::internal)?;
    let pool = lost.pool.clone();
    Ok(match lost.volume.kind {
        VolumeKind::Container => JournalEntry::Volume { pool, id },
        VolumeKind::Custom => JournalEntry::CustomVolume { pool, id },
    })
}

async fn copy(app: &App, saga: &mut Saga<'_>, lost: &LostVolume, rows: Rows) -> Result<()> {
    let before = rows.snapshot_numbers();
    let (ranges, label) = (app.id_ranges.clone(), saga.operation().to_owned());
    let pool = lost.pool.clone();
    let kind = lost.volume.kind;
    let (id, numbers, entries) = app
        .db
        .note(move |tx| {
            let (id, numbers) = rows::insert_renumbered(tx, rows, &ranges)?;
            let entries = match kind {
                VolumeKind::Container => vec![
                    JournalEntry::Instance { id },
                    JournalEntry::Volume { pool, id },
                ],
                VolumeKind::Custom => vec![JournalEntry::CustomVolume { pool, id }],
            };
            let entries = entries
                .into_iter()
                .map(|entry| Ok((saga::append(tx, &label, &entry)?, entry)))
                .collect::<Result<Vec<_>>>()?;
            Ok::<_, Error>((id, numbers, entries))
        })
        .await?;
    for (number, entry) in entries {
        saga.recorded(number, entry);
    }
    let target = match kind {
        VolumeKind::Container => instance_volume(id),
        VolumeKind::Custom => custom_volume(id),
    };
    let (driver, from) = (Arc::clone(&lost.driver), lost.volume);
    let copy = move || {
        let snapshot = None;
        driver.create_volume(target, &Source::Copy { from, snapshot })?;
        for (old, new) in before.into_iter().zip(numbers) {
            driver.copy_snapshot(target, snapshot_id(new), (from, snapshot_id(old)))?;
        }
        Ok::<_, rlxc_storage::Error>(())
    };
    blocking(copy).await.map_err(|error| {
        let what = format!("recover {} of pool `{}`", lost.volume, lost.pool);
        Error::failed(what, error)
    })
}
