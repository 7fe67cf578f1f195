//! Moving a stopped instance, with its snapshots, to another pool of this server.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::name::InstanceName;
use rlxc_api::{InstancePost, Operation, Requestor};

use super::{find, quota};
use crate::app::network;
use crate::app::project::gate;
use crate::app::transfer::Transfer;
use crate::context::{App, instance_url};
use crate::db::{instances, pools, profiles};
use crate::error::{Error, Result};
use crate::instance::Permit;
use crate::instance::state::{State, Verb};
use crate::model::{Instance, Pool};
use crate::operation::{Handle, OperationSpec};
use crate::plan::expand::{expand, root_disk};
use crate::saga::{self, JournalEntry, Saga, snapshot_id};

/// Begins to move an instance to the pool that the request names; a new name may come with it.
pub async fn move_to_pool(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    name: &str,
    post: InstancePost,
) -> Result<Operation> {
    let instance = find(app, project, name).await?;
    let new_name = Some(&post.name).filter(|new| !new.is_empty() && *new != name);
    if instance.pool == post.pool {
        return match new_name {
            Some(new) => super::rename(app, who, project, name, new).await,
            None => Err(Error::Invalid(format!(
                "instance `{name}` is on storage pool `{}` already",
                post.pool
            ))),
        };
    }
    let key = post.pool.clone();
    let pool = app.db.read(move |tx| pools::find(tx, &key)).await?;
    let pool = pool.ok_or_else(|| Error::not_found("storage pool", &post.pool))?;
    let moved = Instance {
        name: match new_name {
            Some(new) => new.parse::<InstanceName>()?.to_string(),
            None => instance.name.clone(),
        },
        pool: pool.name.clone(),
        ..instance.clone()
    };
    let operation = app.operations.next_id();
    let permit = hold(app, &instance, &operation).await?;
    let url = instance_url(project, name);
    let spec = OperationSpec::task("Moving instance", project, "instances", &url)
        .requested_by(who)
        .cancellable();
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app
        .operations
        .spawn_as(operation, spec, move |operation| async move {
            carry(&app2, &operation, &instance, &moved, pool).await?;
            drop(permit);
            if moved.name != instance.name {
                network::rename_hosts(&app2, &instance, &moved).await;
            }
            app2.instance_event("instance-updated", &moved.project, &moved.name, Some(who));
            Ok(BTreeMap::new())
        }))
}

async fn hold(app: &App, instance: &Instance, operation: &str) -> Result<Permit> {
    let handle = super::handle(app, instance)?;
    let permit = handle.begin(Verb::Copy, &instance.name, operation).await?;
    if permit.before().state == State::Stopped {
        return Ok(permit);
    }
    Err(Error::Invalid(format!(
        "instance `{}` is running: stop it before it moves to another pool",
        instance.name
    )))
}

/// Copies, then changes the row and in the same transaction decides that the old volume goes.
async fn carry(
    app: &App,
    operation: &Handle,
    instance: &Instance,
    moved: &Instance,
    pool: Pool,
) -> Result<()> {
    let mut saga = Saga::new(app, operation.id());
    let copied = copy(app, &mut saga, operation, instance, moved).await;
    let result = copied.and_then(|()| operation.check());
    if result.is_err() {
        return saga.settle(result).await;
    }
    let entry = JournalEntry::Volume {
        pool: instance.pool.clone(),
        id: instance.id,
    };
    let (old, row) = (entry.clone(), moved.clone());
    let (project, label) = (
        app.project(&moved.project).await?,
        operation.id().to_owned(),
    );
    let number = saga
        .commit_with(move |tx| {
            change_row(tx, project, row, &pool)?;
            saga::append(tx, &label, &old)
        })
        .await?;
    let mut rest = Saga::new(app, operation.id());
    rest.recorded(number, entry);
    rest.unwind().await;
    Ok(())
}

async fn copy(
    app: &App,
    saga: &mut Saga<'_>,
    operation: &Handle,
    instance: &Instance,
    moved: &Instance,
) -> Result<()> {
    saga.intend(JournalEntry::Volume {
        pool: moved.pool.clone(),
        id: moved.id,
    })
    .await?;
    let ids = instance.snapshots.iter().map(|row| snapshot_id(row.id));
    let pairs: Vec<_> = ids.map(|id| (id, id)).collect();
    let transfer = Transfer::of_instances(app, instance, moved)?;
    let what = format!(
        "copy instance `{}` to storage pool `{}`",
        instance.name, moved.pool
    );
    let create = move || transfer.create(None, &pairs);
    operation.blocking(what, create).await?;
    // A limit belongs to the volume: the new one has none yet.
    let project = app.project(&moved.project).await?;
    let known = app.db.read(move |tx| profiles::list(tx, project)).await?;
    let size = quota::size(&expand(instance, &known))?;
    quota::set(app, moved, None, size).await
}

fn change_row(
    tx: &rusqlite::Transaction<'_>,
    project: i64,
    mut moved: Instance,
    pool: &Pool,
) -> Result<()> {
    let expanded = expand(&moved, &profiles::list(tx, project)?);
    if let Some((name, root)) = root_disk(&expanded.devices) {
        let mut root = root.clone();
        root.insert("pool".to_owned(), pool.name.clone());
        moved.devices.insert(name.clone(), root);
    }
    instances::set_pool(tx, moved.id, pool.id)?;
    instances::rename(tx, moved.id, &moved.name).map_err(|error| {
        if error.is_unique_violation() {
            Error::exists("instance", &moved.name)
        } else {
            error.into()
        }
    })?;
    instances::update(tx, project, &moved)?;
    gate::check(tx, project)
}
