//! Copies of custom volumes on this server, from one pool to another or within one.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::{Operation, Requestor, StorageVolumesPost};
use tokio::sync::OwnedMutexGuard;

use super::custom::{draft, limit, record, record_snapshots};
use super::rename::refuse_running;
use super::snapshot::find_snapshot;
use super::{Target, event, hold, key, keys, migrate, refresh, refuse_taken, view};
use crate::app::transfer::Transfer;
use crate::context::{App, blocking};
use crate::error::{Error, Result};
use crate::model::{Volume, VolumeSnapshot};
use crate::operation::OperationSpec;
use crate::saga::{Saga, custom_volume, snapshot_id};

/// Begins to make a volume that is a copy of another, or of a snapshot of it (`volume/snapshot`), of this server or of
/// another.
pub async fn copy(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    pool: &str,
    post: StorageVolumesPost,
) -> Result<Operation> {
    match post.source.kind.as_str() {
        "copy" => {}
        "migration" => return migrate::receive(app, who, project, pool, post).await,
        other => {
            return Err(Error::Invalid(format!(
                "volumes can't be made from a source of type `{other}` here: there are `copy` and `migration`"
            )));
        }
    }
    let place = Target {
        project,
        pool,
        kind: "custom",
        name: &post.name,
    };
    if post.source.refresh
        && let Some(held) = Held::both(app, place, &post).await?
    {
        return Ok(begin_refresh(app, who, project, held));
    }
    refuse_taken(app, place).await?;
    let mut new = draft(app, project, pool, &post).await?;
    let (turn, copy) = source(app, place, &post).await?;
    inherit(&mut new, &copy.old);
    let url = view::custom_url(&new);
    let spec = OperationSpec::task("Copying storage volume", project, "storage_volumes", &url)
        .requested_by(who);
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app.operations.spawn(spec, move |operation| async move {
        let mut saga = Saga::new(&app2, operation.id());
        let result = copy.make(&app2, &mut saga, new).await;
        let volume = saga.settle(result).await?;
        drop(turn);
        event(&app2, "storage-volume-created", &volume, &who);
        Ok(BTreeMap::new())
    }))
}

/// Finds what is to be copied, and holds it.
async fn source(
    app: &App,
    place: Target<'_>,
    post: &StorageVolumesPost,
) -> Result<(OwnedMutexGuard<()>, Copy)> {
    let (target, snapshot) = named(place, post);
    let (turn, _, old) = hold(app, target).await?;
    let head = match snapshot {
        Some(wanted) => Some(find_snapshot(&old, wanted)?.clone()),
        None => None,
    };
    let with_snapshots = !post.source.volume_only && head.is_none();
    let copy = Copy {
        old,
        head,
        with_snapshots,
    };
    Ok((turn, copy))
}

/// The volume and the snapshot that a request names; pool and project are those of the copy unless they are said.
fn named<'a>(place: Target<'a>, post: &'a StorageVolumesPost) -> (Target<'a>, Option<&'a str>) {
    let source = &post.source;
    let or = |said: &'a str, other: &'a str| if said.is_empty() { other } else { said };
    let (name, snapshot) = match source.name.split_once('/') {
        Some((name, snapshot)) => (name, Some(snapshot)),
        None => (source.name.as_str(), None),
    };
    let target = Target {
        project: or(&source.project, place.project),
        pool: or(&source.pool, place.pool),
        kind: "custom",
        name,
    };
    (target, snapshot)
}

/// What is refreshed, and from what; nobody else changes either.
struct Held {
    copy: Copy,
    owner: i64,
    target: Volume,
    _turns: [OwnedMutexGuard<()>; 2],
}

impl Held {
    /// None if there is nothing to refresh yet.
    async fn both(app: &App, place: Target<'_>, post: &StorageVolumesPost) -> Result<Option<Self>> {
        let (from, to) = (
            key(app, named(place, post).0).await?,
            key(app, place).await?,
        );
        if from == to {
            return Err(Error::Invalid(format!(
                "storage volume `{}` can't be refreshed from itself",
                place.name
            )));
        }
        // Everybody takes the two in the same order.
        let first = if from < to {
            Some(source(app, place, post).await?)
        } else {
            None
        };
        let (turn, owner, target) = match hold(app, place).await {
            Ok(held) => held,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (other, copy) = match first {
            Some(held) => held,
            None => source(app, place, post).await?,
        };
        Ok(Some(Self {
            copy,
            owner,
            target,
            _turns: [turn, other],
        }))
    }
}

fn begin_refresh(app: &Arc<App>, who: &Requestor, project: &str, held: Held) -> Operation {
    let url = view::custom_url(&held.target);
    let spec = OperationSpec::task(
        "Refreshing storage volume",
        project,
        "storage_volumes",
        &url,
    )
    .requested_by(who);
    let (app2, who) = (Arc::clone(app), who.clone());
    app.operations.spawn(spec, move |operation| async move {
        refuse_running(&app2, held.owner, &held.target).await?;
        let mut saga = Saga::new(&app2, operation.id());
        let brought = refresh::bring(&app2, &mut saga, &held.copy, &held.target).await;
        saga.settle(brought).await?;
        event(&app2, "storage-volume-updated", &held.target, &who);
        Ok(BTreeMap::new())
    })
}

fn inherit(new: &mut Volume, old: &Volume) {
    for (key, value) in &old.config {
        new.config.entry(key.clone()).or_insert(value.clone());
    }
    if new.description.is_empty() {
        new.description.clone_from(&old.description);
    }
}

/// What is copied.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) old: Volume,
    pub(super) head: Option<VolumeSnapshot>,
    pub(super) with_snapshots: bool,
}

impl Copy {
    /// Snapshots that come along, the oldest first.
    pub(super) fn along(&self) -> &[VolumeSnapshot] {
        if self.with_snapshots {
            &self.old.snapshots
        } else {
            &[]
        }
    }

    /// Makes the volume `new` of it; the saga has all that undoes it.
    pub(super) async fn make(self, app: &App, saga: &mut Saga<'_>, new: Volume) -> Result<Volume> {
        let new = record(app, saga, new).await?;
        let rows = self.along().to_vec();
        let ids = rows.iter().map(|row| snapshot_id(row.id));
        let ids: Vec<_> = ids.collect();
        let made = record_snapshots(app, new.id, rows).await?;
        let pairs: Vec<_> = ids.into_iter().zip(made).collect();
        let to = custom_volume(new.id);
        let transfer = Transfer::between(
            app,
            (&self.old.pool, custom_volume(self.old.id)),
            (&new.pool, to),
        )?;
        let head = self.head.map(|snapshot| snapshot_id(snapshot.id));
        let (driver, size) = (app.pools.get(&new.pool)?, keys::size(&new.config));
        blocking(move || {
            transfer.create(head, &pairs)?;
            Ok(limit(&*driver, to, size)?)
        })
        .await
        .map_err(|source| Error::Failed {
            what: format!(
                "copy storage volume `{}` to storage pool `{}`",
                self.old.name, new.pool
            ),
            source,
        })?;
        Ok(new)
    }
}
