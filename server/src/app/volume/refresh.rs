//! Bringing a copy of a volume up to date: snapshots that the source has no more go, those that are new come, the volume
//! becomes what the source is now. Configuration stays.

use rlxc_storage::State;

use super::backup::{failed, moment};
use super::copy::Copy;
use super::snapshot::{record, remove};
use crate::app::transfer::Transfer;
use crate::context::{App, blocking};
use crate::error::Result;
use crate::model::{Volume, VolumeSnapshot};
use crate::saga::{JournalEntry, Saga, custom_volume, hidden_snapshot, snapshot_id};

/// What the target is before; apart from what the source is while it is copied.
const BEFORE: i64 = 1;

/// Whether two rows are one snapshot, on either side.
fn is_same(one: &VolumeSnapshot, other: &VolumeSnapshot) -> bool {
    // Other servers count in whole seconds.
    let seconds = |time: &str| time.split(['.', 'Z', '+']).next().map(str::to_owned);
    one.name == other.name && seconds(&one.created_at) == seconds(&other.created_at)
}

/// Removes snapshots of the target that the source does not have.
pub(super) async fn drop_extra(
    app: &App,
    operation: &str,
    target: &Volume,
    wanted: &[VolumeSnapshot],
) -> Result<()> {
    for row in &target.snapshots {
        if !wanted.iter().any(|other| is_same(row, other)) {
            remove(app, operation, target, row.id).await?;
        }
    }
    Ok(())
}

/// Snapshots that the target does not have yet, the oldest first.
pub(super) fn missing<'a>(
    target: &'a Volume,
    wanted: &'a [VolumeSnapshot],
) -> impl Iterator<Item = &'a VolumeSnapshot> {
    let is_there = |row: &VolumeSnapshot| {
        let mut there = target.snapshots.iter();
        there.any(|other| is_same(row, other))
    };
    wanted.iter().filter(move |row| !is_there(row))
}

/// What can be undone from here on: the target goes back to what it is now.
pub(super) async fn remember(app: &App, saga: &mut Saga<'_>, target: &Volume) -> Result<()> {
    let id = hidden_snapshot(BEFORE);
    let (pool, volume) = (target.pool.clone(), target.id);
    saga.intend_temporary(JournalEntry::CustomSnapshot { pool, volume, id })
        .await?;
    let (driver, of) = (app.pools.get(&target.pool)?, custom_volume(volume));
    blocking(move || driver.create_snapshot(of, snapshot_id(id), State::Stopped))
        .await
        .map_err(|error| failed("refresh", target, error))?;
    saga.intend(JournalEntry::CustomRestore {
        pool: target.pool.clone(),
        volume,
        snapshot: id,
    })
    .await
}

/// Lets `target` become what `copy` says.
pub(super) async fn bring(
    app: &App,
    saga: &mut Saga<'_>,
    copy: &Copy,
    target: &Volume,
) -> Result<()> {
    let transfer = Transfer::between(
        app,
        (&copy.old.pool, custom_volume(copy.old.id)),
        (&target.pool, custom_volume(target.id)),
    )?;
    let along = copy.along();
    drop_extra(app, saga.operation(), target, along).await?;
    remember(app, saga, target).await?;
    for row in missing(target, along) {
        let id = record(app, saga, target, row.clone()).await?;
        let (transfer, of, id) = (transfer.clone(), snapshot_id(row.id), snapshot_id(id));
        blocking(move || transfer.add_snapshot(of, id))
            .await
            .map_err(|source| refused(target, source))?;
    }
    let main = match &copy.head {
        Some(head) => Some(snapshot_id(head.id)),
        None => moment(app, saga, &copy.old, &*app.pools.get(&copy.old.pool)?).await?,
    };
    let (pool, volume, id) = (target.pool.clone(), target.id, hidden_snapshot(0));
    saga.intend_temporary(JournalEntry::CustomSnapshot { pool, volume, id })
        .await?;
    blocking(move || transfer.replace(main, snapshot_id(id)))
        .await
        .map_err(|source| refused(target, source))
}

fn refused(target: &Volume, source: crate::error::Cause) -> crate::error::Error {
    crate::error::Error::Failed {
        what: format!("refresh storage volume `{}`", target.name),
        source,
    }
}
