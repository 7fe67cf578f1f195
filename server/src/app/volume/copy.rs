//! Copies of custom volumes on this server, from one pool to another or within one.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::{Operation, Requestor, StorageVolumeSource, StorageVolumesPost};
use rlxc_storage::volume_copy::Transfer;
use rlxc_storage::{SnapshotId, Source};

use super::custom::{draft, limit, record};
use super::{Target, event, hold, keys, view};
use crate::context::{App, blocking};
use crate::db::volumes;
use crate::error::{Error, Result};
use crate::model::{Volume, VolumeSnapshot};
use crate::operation::OperationSpec;
use crate::saga::{Saga, custom_volume, snapshot_id};

/// Begins to make a volume that is a copy of another, or of a snapshot of it (`volume/snapshot`).
pub async fn copy(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    pool: &str,
    post: StorageVolumesPost,
) -> Result<Operation> {
    let source = post.source.clone();
    check_source(&source)?;
    let mut new = draft(app, project, pool, &post).await?;
    let from_project = if source.project.is_empty() {
        project
    } else {
        &source.project
    };
    let (name, snapshot) = match source.name.split_once('/') {
        Some((name, snapshot)) => (name, Some(snapshot.to_owned())),
        None => (source.name.as_str(), None),
    };
    let target = Target {
        project: from_project,
        pool: if source.pool.is_empty() {
            pool
        } else {
            &source.pool
        },
        kind: "custom",
        name,
    };
    let (turn, _, old) = hold(app, target).await?;
    let head = snapshot
        .map(|wanted| super::snapshot::find_snapshot(&old, &wanted).cloned())
        .transpose()?;
    inherit(&mut new, &old);
    let with_snapshots = !source.volume_only && head.is_none();
    let url = view::custom_url(&new);
    let spec = OperationSpec::task("Copying storage volume", project, "storage_volumes", &url)
        .requested_by(who);
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app.operations.spawn(spec, move |operation| async move {
        let mut saga = Saga::new(&app2, operation.id());
        let copy = Copy {
            old,
            head,
            with_snapshots,
        };
        let result = copy.make(&app2, &mut saga, new).await;
        let volume = saga.settle(result).await?;
        drop(turn);
        event(&app2, "storage-volume-created", &volume, &who);
        Ok(BTreeMap::new())
    }))
}

fn check_source(source: &StorageVolumeSource) -> Result<()> {
    if source.kind != "copy" {
        return Err(Error::Invalid(format!(
            "volumes can't be made from a source of type `{}` here: there is `copy`",
            source.kind
        )));
    }
    if source.refresh {
        return Err(Error::Invalid(
            "a copy of a volume can't be refreshed: delete it and copy again".to_owned(),
        ));
    }
    Ok(())
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
    /// Makes the volume `new` of it; the saga has all that undoes it.
    pub(super) async fn make(self, app: &App, saga: &mut Saga<'_>, new: Volume) -> Result<Volume> {
        let new = record(app, saga, new).await?;
        let snapshots = if self.with_snapshots {
            self.record_snapshots(app, new.id).await?
        } else {
            Vec::new()
        };
        let (from, to) = (app.pools.get(&self.old.pool)?, app.pools.get(&new.pool)?);
        let size = keys::size(&new.config);
        let instant = snapshots.is_empty() && self.old.pool == new.pool;
        let transfer = Transfer {
            from: custom_volume(self.old.id),
            to: custom_volume(new.id),
            snapshots,
            head: self.head.map(|snapshot| snapshot_id(snapshot.id)),
        };
        let id = transfer.to;
        blocking(move || {
            if instant {
                let source = Source::Copy {
                    from: transfer.from,
                    snapshot: transfer.head,
                };
                to.create_volume(id, &source)?;
            } else {
                transfer.run(from.as_ref(), to.as_ref())?;
            }
            limit(to.as_ref(), id, size)
        })
        .await
        .map_err(|error| {
            Error::failed(format!("copy storage volume `{}`", self.old.name), error)
        })?;
        Ok(new)
    }

    /// Rows of the snapshots of the copy; they go with the volume's row.
    async fn record_snapshots(&self, app: &App, new: i64) -> Result<Vec<(SnapshotId, SnapshotId)>> {
        let rows = self.old.snapshots.clone();
        app.db
            .note(move |tx| {
                rows.iter()
                    .map(|row| {
                        let id = volumes::insert_snapshot(tx, new, row)?;
                        Ok((snapshot_id(row.id), snapshot_id(id)))
                    })
                    .collect()
            })
            .await
    }
}
