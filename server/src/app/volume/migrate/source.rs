//! The side that a volume goes from.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::{Operation, Requestor};
use rlxc_storage::SnapshotId;
use serde_json::Value;

use crate::app::volume::backup::{failed, moment};
use crate::app::volume::snapshot::find_snapshot;
use crate::app::volume::{Target, hold, view};
use crate::context::App;
use crate::error::{Error, Result};
use crate::migration::{Connection, Departure, Door, SnapshotRow, rows};
use crate::model::{Volume, VolumeSnapshot};
use crate::operation::OperationSpec;
use crate::saga::{Saga, custom_volume, snapshot_id};

/// What is to be sent where.
#[derive(Debug, Default)]
pub struct Sending {
    /// A snapshot of the volume instead of what it is now.
    pub snapshot: Option<String>,
    /// Without its snapshots.
    pub volume_only: bool,
    /// The operation of the other server; it comes to us if there is none.
    pub target: Option<Value>,
}

/// Begins to send a volume to another server.
pub async fn send(
    app: &Arc<App>,
    who: &Requestor,
    target: Target<'_>,
    order: Sending,
) -> Result<Operation> {
    let connection = Connection::of_source(order.target, &*app.clock)?;
    let (turn, _, volume) = hold(app, target).await?;
    let head = match &order.snapshot {
        Some(name) => Some(snapshot_id(find_snapshot(&volume, name)?.id)),
        None => None,
    };
    let along = if order.volume_only || head.is_some() {
        Vec::new()
    } else {
        volume.snapshots.clone()
    };
    let url = view::custom_url(&volume);
    let what = "Migrating storage volume";
    let mut spec = OperationSpec::task(what, target.project, "storage_volumes", &url)
        .requested_by(who)
        .cancellable();
    connection.describe(&mut spec);
    let app2 = Arc::clone(app);
    Ok(app.operations.spawn(spec, move |operation| {
        let door = connection.prepare(&operation);
        async move {
            let mut saga = Saga::new(&app2, operation.id());
            let cancelled = operation.cancellation().clone();
            let sent = tokio::select! {
                sent = run(&app2, &mut saga, (&volume, head, &along), door) => sent,
                () = cancelled.cancelled() => Err(Error::Cancelled),
            };
            saga.settle(sent).await?;
            drop(turn);
            Ok(BTreeMap::new())
        }
    }))
}

async fn run(
    app: &App,
    saga: &mut Saga<'_>,
    (volume, head, along): (&Volume, Option<SnapshotId>, &[VolumeSnapshot]),
    door: Door,
) -> Result<()> {
    let peer = door.open().await?;
    let driver = app.pools.get(&volume.pool)?;
    let main = match head {
        Some(head) => Some(head),
        None => moment(app, saga, volume, &*driver).await?,
    };
    let departure = Departure {
        driver,
        volume: custom_volume(volume.id),
        snapshots: along
            .iter()
            .map(|row| (render(row), snapshot_id(row.id)))
            .collect(),
        main,
        scratch: app.places.scratch(),
    };
    let gone = departure.go(peer).await;
    gone.map_err(|error| failed("send", volume, error))
}

fn render(row: &VolumeSnapshot) -> SnapshotRow {
    SnapshotRow {
        name: row.name.clone(),
        config: rows::pairs(&row.config),
        created: rows::seconds(&row.created_at),
        expires: row.expires_at.as_deref().and_then(rows::seconds),
        ..SnapshotRow::default()
    }
}
