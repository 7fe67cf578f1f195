//! Bringing a copy up to date: snapshots that the source has no more go, those that are new come, the root becomes what
//! the source's is now. Configuration stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::{InstancesPost, Operation, Requestor};
use rlxc_storage::State as VolumeState;

use super::copy::{self, CopySource, portable_snapshot};
use super::snapshot::{record, remove};
use crate::app::transfer::Transfer;
use crate::context::{App, blocking, instance_url};
use crate::error::{Error, Result};
use crate::instance::Permit;
use crate::instance::state::{State, Verb};
use crate::model::{Instance, Snapshot};
use crate::operation::{Handle, OperationSpec};
use crate::saga::{JournalEntry, Saga, hidden_snapshot, instance_volume, snapshot_id};

/// Begins to refresh `target` from what the request names.
pub(super) fn begin(
    app: &Arc<App>,
    who: &Requestor,
    target: Instance,
    post: InstancesPost,
) -> Result<Operation> {
    if post.source.kind != "copy" {
        return Err(Error::Invalid(format!(
            "an instance can't be refreshed from a source of type `{}`: there is copy",
            post.source.kind
        )));
    }
    let url = instance_url(&target.project, &target.name);
    let spec = OperationSpec::task("Refreshing instance", &target.project, "instances", &url)
        .requested_by(who)
        .cancellable();
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app.operations.spawn(spec, move |operation| async move {
        let _held = hold(&app2, &target, operation.id()).await?;
        let source = copy::resolve(&app2, &target.project, &post.source, operation.id()).await?;
        drop_extra(&app2, operation.id(), &target, &source.along).await?;
        let mut saga = Saga::new(&app2, operation.id());
        let brought = bring(&app2, &mut saga, &operation, &source, &target).await;
        let result = brought.and_then(|()| operation.check());
        saga.settle(result).await?;
        app2.instance_event("instance-updated", &target.project, &target.name, Some(who));
        Ok(BTreeMap::new())
    }))
}

/// Keeps the target as it is for others; it must not run.
pub(super) async fn hold(app: &App, target: &Instance, operation: &str) -> Result<Permit> {
    let handle = super::handle(app, target)?;
    let permit = handle.begin(Verb::Copy, &target.name, operation).await?;
    if permit.before().state != State::Stopped {
        return Err(Error::Invalid(format!(
            "instance `{}` is running: stop it before it is refreshed",
            target.name
        )));
    }
    Ok(permit)
}

/// Whether two rows are one snapshot, on either side.
fn is_same(one: &Snapshot, other: &Snapshot) -> bool {
    // Other servers count in whole seconds.
    let seconds = |time: &str| time.split(['.', 'Z', '+']).next().map(str::to_owned);
    one.name == other.name && seconds(&one.created_at) == seconds(&other.created_at)
}

/// Removes snapshots of the target that the source does not have.
pub(super) async fn drop_extra(
    app: &App,
    operation: &str,
    target: &Instance,
    wanted: &[Snapshot],
) -> Result<()> {
    for snapshot in &target.snapshots {
        if !wanted.iter().any(|other| is_same(snapshot, other)) {
            remove(app, operation, target, snapshot.id).await?;
        }
    }
    Ok(())
}

/// Snapshots that the target does not have yet, the oldest first.
pub(super) fn missing<'a>(
    target: &'a Instance,
    wanted: &'a [Snapshot],
) -> impl Iterator<Item = &'a Snapshot> {
    let is_new = |snapshot: &&Snapshot| {
        let mut there = target.snapshots.iter();
        !there.any(|other| is_same(snapshot, other))
    };
    wanted.iter().filter(is_new)
}

/// What can be undone from here on: the root goes back to what it is now.
pub(super) async fn remember(app: &App, saga: &mut Saga<'_>, target: &Instance) -> Result<()> {
    let id = hidden_snapshot(target.id);
    let (driver, volume) = (app.pools.get(&target.pool)?, instance_volume(target.id));
    saga.intend_temporary(JournalEntry::Snapshot {
        pool: target.pool.clone(),
        instance: target.id,
        id,
    })
    .await?;
    blocking(move || driver.create_snapshot(volume, snapshot_id(id), VolumeState::Stopped))
        .await
        .map_err(|error| failed(target, error))?;
    saga.intend(JournalEntry::Restore {
        pool: target.pool.clone(),
        instance: target.id,
        snapshot: id,
    })
    .await
}

async fn bring(
    app: &App,
    saga: &mut Saga<'_>,
    operation: &Handle,
    source: &CopySource,
    target: &Instance,
) -> Result<()> {
    let transfer = Transfer::of_instances(app, &source.instance, target)?;
    remember(app, saga, target).await?;
    for snapshot in missing(target, &source.along) {
        let id = record(app, saga, target, &portable_snapshot(snapshot)).await?;
        let (transfer, of, id) = (transfer.clone(), snapshot_id(snapshot.id), snapshot_id(id));
        let add = move || transfer.add_snapshot(of, id);
        operation.blocking(what(target), add).await?;
    }
    let main = source.moment(app, saga, target.id).await?;
    let hidden = hidden_snapshot(source.instance.id);
    saga.intend_temporary(JournalEntry::Snapshot {
        pool: target.pool.clone(),
        instance: target.id,
        id: hidden,
    })
    .await?;
    let replace = move || transfer.replace(Some(main), snapshot_id(hidden));
    operation.blocking(what(target), replace).await
}

pub(super) fn failed(target: &Instance, source: impl Into<crate::error::Cause>) -> Error {
    Error::failed(what(target), source)
}

fn what(target: &Instance) -> String {
    format!("refresh instance `{}`", target.name)
}
