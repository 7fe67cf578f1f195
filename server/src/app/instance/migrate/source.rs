//! The side that an instance goes from.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::{InstancePost, InstanceSource, Operation, Requestor};

use super::snapshot_row;
use crate::app::instance::copy::{self, CopySource};
use crate::context::{App, instance_url};
use crate::error::{Error, Result};
use crate::migration::{Connection, Departure, Door};
use crate::operation::OperationSpec;
use crate::saga::{Saga, instance_volume, snapshot_id};

/// Begins to send an instance, or `instance/snapshot`, to another server.
pub async fn send(
    app: &Arc<App>,
    who: &Requestor,
    (project, name): (&str, &str),
    post: InstancePost,
) -> Result<Operation> {
    let source = InstanceSource {
        source: name.to_owned(),
        instance_only: post.instance_only,
        container_only: post.container_only,
        ..InstanceSource::default()
    };
    let id = app.operations.next_id();
    let source = copy::resolve(app, project, &source, &id).await?;
    if post.live && source.runs() {
        return Err(Error::Invalid(format!(
            "instance `{name}` runs, and what runs can't be moved with its memory: stop it, or copy it with `--stateless`"
        )));
    }
    let connection = Connection::of_source(post.target, &*app.clock)?;
    let url = instance_url(project, &source.instance.name);
    let mut spec = OperationSpec::task("Migrating instance", project, "instances", &url)
        .requested_by(who)
        .cancellable();
    connection.describe(&mut spec);
    let app2 = Arc::clone(app);
    Ok(app.operations.spawn_as(id, spec, move |operation| {
        let door = connection.prepare(&operation);
        async move {
            let mut saga = Saga::new(&app2, operation.id());
            let cancelled = operation.cancellation().clone();
            let sent = tokio::select! {
                sent = run(&app2, &mut saga, &source, door) => sent,
                () = cancelled.cancelled() => Err(Error::Cancelled),
            };
            saga.settle(sent).await?;
            Ok(BTreeMap::new())
        }
    }))
}

async fn run(app: &App, saga: &mut Saga<'_>, source: &CopySource, door: Door) -> Result<()> {
    let peer = door.open().await?;
    let main = source.now(app, saga, 0).await?;
    let instance = &source.instance;
    let rows = source.along.iter();
    let departure = Departure {
        driver: app.pools.get(&instance.pool)?,
        volume: instance_volume(instance.id),
        snapshots: rows
            .map(|row| (snapshot_row::render(instance, row), snapshot_id(row.id)))
            .collect(),
        main,
        scratch: app.places.scratch(),
    };
    departure
        .go(peer)
        .await
        .map_err(|error| Error::failed(format!("send instance `{}`", instance.name), error))
}
