//! The side that an instance comes to.

use std::sync::Arc;

use rlxc_api::{InstancesPost, Operation, Requestor};
use rlxc_storage::{Driver, Source, transfer};

use super::snapshot_row;
use crate::app::instance::backup::{known_config, known_devices, on_pool};
use crate::app::instance::copy::{portable, portable_snapshot};
use crate::app::instance::create::{self, NewInstance, Origin, execute};
use crate::app::instance::{find, refresh};
use crate::context::{App, instance_url};
use crate::error::{Error, Result};
use crate::keys;
use crate::migration::{self, Connection, Destination, Door, Target};
use crate::model::{Config, Devices, Instance, Snapshot};
use crate::operation::{Handle, OperationSpec};
use crate::plan::expand::root_disk;
use crate::saga::{Saga, instance_volume, snapshot_id};

/// An instance on its way to us: the other server has told what it is, and waits for the answer.
#[derive(Debug)]
pub(in crate::app::instance) struct Arrival {
    files: migration::Arrival,
    snapshots: Vec<Snapshot>,
}

/// Begins to make, or to refresh, an instance of what another server sends.
pub async fn receive(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    post: InstancesPost,
) -> Result<Operation> {
    if post.source.live {
        return Err(Error::Invalid(
            "what runs can't be moved with its memory: stop it, or copy it with `--stateless`"
                .to_owned(),
        ));
    }
    check_chosen(app, &post)?;
    let existing = match (post.source.refresh, find(app, project, &post.name).await) {
        (true, Ok(existing)) => Some(existing),
        (_, Err(Error::NotFound { .. })) | (false, Ok(_)) => None,
        (_, Err(error)) => return Err(error),
    };
    let place = Target {
        url: post.source.operation.clone(),
        certificate: post.source.certificate.clone(),
        secrets: post.source.secrets.clone(),
    };
    let connection = Connection::of_sink(&post.source.mode, place, &*app.clock)?;
    let new = match &existing {
        Some(_) => NewInstance {
            project: project.to_owned(),
            name: post.name.clone(),
            post,
        },
        None => create::parse_foreign(app, project, post).await?,
    };
    let url = instance_url(project, &new.name);
    let mut spec = OperationSpec::task("Receiving instance", project, "instances", &url)
        .requested_by(who)
        .cancellable();
    connection.describe(&mut spec);
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app.operations.spawn(spec, move |operation| {
        let door = connection.prepare(&operation);
        async move {
            let cancelled = operation.cancellation().clone();
            let met = tokio::select! {
                met = Arrival::meet(&app2, door) => met?,
                () = cancelled.cancelled() => return Err(Error::Cancelled),
            };
            if let Some(existing) = existing {
                return update(&app2, &who, existing, met, &operation).await;
            }
            let origin = Origin::Arrival(Box::new(met));
            execute(&app2, &who, new, origin, &operation).await
        }
    }))
}

/// Refuses what the user has chosen and makes no sense here. What merely comes along may be of another kind of server.
fn check_chosen(app: &App, post: &InstancesPost) -> Result<()> {
    for name in &post.source.chosen {
        if let Some(value) = post.put.config.get(name) {
            let one = Config::from([(name.clone(), value.clone())]);
            keys::check_instance(&one).map_err(Error::Invalid)?;
        }
        if let Some(device) = post.put.devices.get(name) {
            let one = Devices::from([(name.clone(), device.clone())]);
            keys::check_devices(&one).map_err(Error::Invalid)?;
            if let Some((_, root)) = root_disk(&one)
                && let Some(pool) = root.get("pool")
            {
                app.pools.get(pool)?;
            }
        }
    }
    Ok(())
}

impl Arrival {
    async fn meet(app: &App, door: Door) -> Result<Self> {
        let files = migration::Arrival::meet(door).await?;
        match understand(app, &files) {
            Ok(snapshots) => Ok(Self { files, snapshots }),
            Err(error) => {
                files.end(Some(&error)).await;
                Err(error)
            }
        }
    }

    /// Snapshots that come along.
    pub(in crate::app::instance) fn snapshots(&self) -> Vec<Snapshot> {
        self.snapshots.clone()
    }

    /// Tells what we take, and makes the volume of the row.
    pub(in crate::app::instance) async fn fill(
        &mut self,
        app: &App,
        target: &Instance,
        operation: &Handle,
    ) -> Result<()> {
        let driver = app.pools.get(&target.pool)?;
        let base = transfer::base(
            &*driver,
            target.config.get("volatile.base_image").map(String::as_str),
        );
        let into = destination(app, (driver, Some(base)), target, &target.snapshots);
        self.files
            .take(None, &into, operation.cancellation())
            .await
            .map_err(|error| cancelled(operation).unwrap_or_else(|| failed(target, error)))
    }

    /// Tells the other server how it went, once that is on disk.
    pub(in crate::app::instance) async fn end(self, error: Option<&Error>) {
        self.files.end(error).await;
    }
}

fn understand(app: &App, arrival: &migration::Arrival) -> Result<Vec<Snapshot>> {
    if arrival.is_shifted() {
        return Err(Error::Unavailable(
            "the owners of the files are shifted on the other server, which is not understood here: export the \
             instance there and import the file"
                .to_owned(),
        ));
    }
    let now = app.now();
    let rows = arrival.offered().iter().cloned();
    let mut snapshots = Vec::new();
    for row in rows.map(|row| snapshot_row::parse(row, &now)) {
        row.name.parse::<rlxc_api::name::SnapshotName>()?;
        snapshots.push(Snapshot {
            config: known_config(&row.name, portable(&row.config)),
            devices: known_devices(&row.name, row.devices),
            ..row
        });
    }
    Ok(snapshots)
}

fn destination(
    app: &App,
    (driver, base): (Arc<dyn Driver>, Option<Source>),
    target: &Instance,
    rows: &[Snapshot],
) -> Destination {
    Destination {
        driver,
        base,
        volume: instance_volume(target.id),
        snapshots: rows.iter().map(|row| snapshot_id(row.id)).collect(),
        scratch: app.places.scratch(),
    }
}

/// What the row is, as far as the other server and the client tell.
pub(in crate::app::instance) async fn complete(
    app: &App,
    mut draft: Instance,
    snapshots: Vec<Snapshot>,
) -> Result<Instance> {
    draft.config = known_config(&draft.name, portable(&draft.config));
    draft.devices = known_devices(&draft.name, draft.devices);
    draft.snapshots = snapshots;
    on_pool(app, draft, "", "").await
}

fn failed(target: &Instance, error: impl Into<crate::error::Cause>) -> Error {
    Error::failed(format!("receive instance `{}`", target.name), error)
}

/// What an operation that was told to end ends with.
fn cancelled(operation: &Handle) -> Option<Error> {
    operation
        .cancellation()
        .is_cancelled()
        .then_some(Error::Cancelled)
}

async fn update(
    app: &Arc<App>,
    who: &Requestor,
    target: Instance,
    mut arrival: Arrival,
    operation: &Handle,
) -> Result<std::collections::BTreeMap<String, serde_json::Value>> {
    let held = match refresh::hold(app, &target, operation.id()).await {
        Ok(held) => held,
        Err(error) => {
            arrival.end(Some(&error)).await;
            return Err(error);
        }
    };
    let mut saga = Saga::new(app, operation.id());
    let brought = bring(app, &mut saga, (&target, operation), &mut arrival).await;
    let result = match brought {
        Ok(()) => saga.commit_with(|_| Ok(())).await,
        failed @ Err(_) => saga.settle(failed).await,
    };
    drop(held);
    arrival.end(result.as_ref().err()).await;
    result?;
    app.instance_event(
        "instance-updated",
        &target.project,
        &target.name,
        Some(who.clone()),
    );
    Ok(std::collections::BTreeMap::new())
}

async fn bring(
    app: &App,
    saga: &mut Saga<'_>,
    (target, operation): (&Instance, &Handle),
    arrival: &mut Arrival,
) -> Result<()> {
    let all = arrival.snapshots.clone();
    refresh::drop_extra(app, operation.id(), target, &all).await?;
    refresh::remember(app, saga, target).await?;
    let mut rows = Vec::new();
    for row in refresh::missing(target, &all) {
        let mut row = portable_snapshot(row);
        row.id = crate::app::instance::snapshot::record(app, saga, target, &row).await?;
        rows.push(row);
    }
    let names: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
    let into = destination(app, (app.pools.get(&target.pool)?, None), target, &rows);
    arrival
        .files
        .take(Some(&names), &into, operation.cancellation())
        .await
        .map_err(|error| cancelled(operation).unwrap_or_else(|| refresh::failed(target, error)))
}
