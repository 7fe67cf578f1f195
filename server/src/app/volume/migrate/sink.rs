//! The side that a volume comes to.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::name::SnapshotName;
use rlxc_api::{Operation, Requestor, StorageVolumesPost};
use rlxc_storage::Source;
use tokio::sync::OwnedMutexGuard;

use crate::app::volume::backup::failed;
use crate::app::volume::custom::{draft, limit, record, record_snapshots};
use crate::app::volume::import::{known_config, refuse_shifted};
use crate::app::volume::rename::refuse_running;
use crate::app::volume::{Target, event, hold, keys, refresh, refuse_taken, snapshot, view};
use crate::context::{App, blocking};
use crate::error::{Error, Result};
use crate::migration::{self, Arrival, Connection, Destination, rows};
use crate::model::{Volume, VolumeSnapshot};
use crate::operation::{Handle, OperationSpec};
use crate::saga::{Saga, custom_volume, snapshot_id};

/// What is there already, if it is a refresh.
type Existing = Option<(OwnedMutexGuard<()>, i64, Volume)>;

/// Begins to make, or to refresh, a volume of what another server sends.
pub(in crate::app::volume) async fn receive(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    pool: &str,
    mut post: StorageVolumesPost,
) -> Result<Operation> {
    let source = &post.source;
    let place = migration::Target {
        url: source.operation.clone(),
        certificate: source.certificate.clone(),
        secrets: source.secrets.clone(),
    };
    let connection = Connection::of_sink(&source.mode, place, &*app.clock)?;
    let target = Target {
        project,
        pool,
        kind: "custom",
        name: &post.name,
    };
    refuse_shifted(&post.put.config)?;
    let existing = existing(app, target, post.source.refresh).await?;
    post.put.config = known_config(&post.name, &post.put.config);
    let volume = match &existing {
        Some((_, _, volume)) => volume.clone(),
        None => draft(app, project, pool, &post).await?,
    };
    let url = view::custom_url(&volume);
    let mut spec =
        OperationSpec::task("Receiving storage volume", project, "storage_volumes", &url)
            .requested_by(who)
            .cancellable();
    connection.describe(&mut spec);
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app.operations.spawn(spec, move |operation| {
        let door = connection.prepare(&operation);
        async move {
            let cancelled = operation.cancellation().clone();
            let mut arrival = tokio::select! {
                met = Arrival::meet(door) => met?,
                () = cancelled.cancelled() => return Err(Error::Cancelled),
            };
            let done = arrive(&app2, (existing, volume), &mut arrival, &operation).await;
            arrival.end(done.as_ref().err()).await;
            let (volume, action) = done?;
            event(&app2, action, &volume, &who);
            Ok(BTreeMap::new())
        }
    }))
}

async fn existing(app: &App, target: Target<'_>, refresh: bool) -> Result<Existing> {
    if refresh {
        match hold(app, target).await {
            Ok(held) => return Ok(Some(held)),
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    refuse_taken(app, target).await.map(|()| None)
}

/// The volume and what is told of it, once it is on disk.
async fn arrive(
    app: &App,
    (existing, volume): (Existing, Volume),
    arrival: &mut Arrival,
    operation: &Handle,
) -> Result<(Volume, &'static str)> {
    let all = offered(app, arrival, &volume)?;
    let mut saga = Saga::new(app, operation.id());
    let (brought, action) = if let Some((_turn, owner, _)) = &existing {
        refuse_running(app, *owner, &volume).await?;
        let brought = update(app, &mut saga, (&volume, &all), arrival, operation).await;
        (brought.map(|()| volume), "storage-volume-updated")
    } else {
        let brought = make(app, &mut saga, (volume, all), arrival, operation).await;
        (brought, "storage-volume-created")
    };
    match brought {
        // The other server removes its own when it hears that this one is on disk.
        Ok(volume) => {
            saga.commit_with(|_| Ok(())).await?;
            Ok((volume, action))
        }
        Err(_) if operation.cancellation().is_cancelled() => {
            saga.settle(Err(Error::Cancelled)).await
        }
        failed @ Err(_) => saga.settle(failed).await.map(|volume| (volume, action)),
    }
}

/// Rows of the snapshots that the other server has. Some tell no times: what has a name that is known is the same then.
fn offered(app: &App, arrival: &Arrival, volume: &Volume) -> Result<Vec<VolumeSnapshot>> {
    let mut all = Vec::new();
    for row in arrival.offered().iter().cloned() {
        row.name.parse::<SnapshotName>()?;
        let mut known = volume.snapshots.iter();
        let known = known.find(|other| other.name == row.name);
        let created = rows::time(row.created).or_else(|| known.map(|row| row.created_at.clone()));
        all.push(VolumeSnapshot {
            id: 0,
            description: String::new(),
            created_at: created.unwrap_or_else(|| app.now()),
            expires_at: rows::time(row.expires),
            config: known_config(&volume.name, &rows::config(row.config)),
            name: row.name,
        });
    }
    Ok(all)
}

async fn make(
    app: &App,
    saga: &mut Saga<'_>,
    (new, all): (Volume, Vec<VolumeSnapshot>),
    arrival: &mut Arrival,
    operation: &Handle,
) -> Result<Volume> {
    let volume = record(app, saga, new).await?;
    let snapshots = record_snapshots(app, volume.id, all).await?;
    let to = custom_volume(volume.id);
    let into = Destination {
        driver: app.pools.get(&volume.pool)?,
        volume: to,
        base: Some(Source::Empty),
        snapshots,
        scratch: app.places.scratch(),
    };
    arrival
        .take(None, &into, operation.cancellation())
        .await
        .map_err(|error| failed("receive", &volume, error))?;
    let size = keys::size(&volume.config);
    blocking(move || limit(&*into.driver, to, size))
        .await
        .map_err(|error| failed("limit", &volume, error))?;
    Ok(volume)
}

async fn update(
    app: &App,
    saga: &mut Saga<'_>,
    (volume, all): (&Volume, &[VolumeSnapshot]),
    arrival: &mut Arrival,
    operation: &Handle,
) -> Result<()> {
    refresh::drop_extra(app, operation.id(), volume, all).await?;
    refresh::remember(app, saga, volume).await?;
    let (mut names, mut snapshots) = (Vec::new(), Vec::new());
    for row in refresh::missing(volume, all) {
        let id = snapshot::record(app, saga, volume, row.clone()).await?;
        names.push(row.name.clone());
        snapshots.push(snapshot_id(id));
    }
    let into = Destination {
        driver: app.pools.get(&volume.pool)?,
        volume: custom_volume(volume.id),
        base: None,
        snapshots,
        scratch: app.places.scratch(),
    };
    arrival
        .take(Some(&names), &into, operation.cancellation())
        .await
        .map_err(|error| failed("refresh", volume, error))
}
