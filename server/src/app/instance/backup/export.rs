//! What the backup of an instance holds.

use rlxc_storage::backup::{BackupIndex, BackupOrder};
use rlxc_storage::{Driver, SnapshotId};

use super::describe::describe;
use crate::app::backup::{Content, ExportOrder, Parts};
use crate::app::instance::snapshot::hidden;
use crate::app::instance::{find_by_id, handle};
use crate::context::App;
use crate::error::{Error, Result};
use crate::instance::Permit;
use crate::instance::state::{State, Verb};
use crate::model::Instance;
use crate::saga::{Saga, instance_volume, snapshot_id};

/// An instance that is held while it is packed.
#[derive(Debug)]
pub(super) struct Held {
    instance: Instance,
    permit: Permit,
    order: ExportOrder,
}

pub(super) async fn hold(
    app: &App,
    instance: &Instance,
    order: ExportOrder,
    operation: &str,
) -> Result<Held> {
    let permit = handle(app, instance)?
        .begin(Verb::Copy, &instance.name, operation)
        .await?;
    // What was read before the permit may have changed meanwhile.
    let instance = find_by_id(app, instance.id).await?;
    let driver = app.pools.get(&instance.pool)?;
    let order = order.fit(driver, instance_volume(instance.id)).await;
    let order = order.map_err(|error| failed(&instance, error))?;
    Ok(Held {
        instance,
        permit,
        order,
    })
}

impl Content for Held {
    /// Of an instance that runs, what it is at this moment.
    async fn order(&self, app: &App, saga: &mut Saga<'_>) -> Result<BackupOrder> {
        let moment = self.moment(app, saga).await?;
        self.plan(app, moment).await
    }
}

impl Held {
    async fn moment(&self, app: &App, saga: &mut Saga<'_>) -> Result<Option<SnapshotId>> {
        // Streams are of what nobody can change.
        if self.permit.before().state == State::Stopped && !self.order.optimized {
            return Ok(None);
        }
        let wanted = hidden(app, saga, (&self.instance, &self.permit), 0).await?;
        Ok(Some(wanted))
    }

    async fn plan(&self, app: &App, moment: Option<SnapshotId>) -> Result<BackupOrder> {
        let driver = app.pools.get(&self.instance.pool)?;
        let index = self.index(app, &*driver).await?;
        let names = index.snapshots.clone();
        let rows = self.instance.snapshots.iter();
        let ids: Vec<(String, SnapshotId)> = rows
            .filter(|row| names.contains(&row.name))
            .map(|row| (row.name.clone(), snapshot_id(row.id)))
            .collect();
        let parts = Parts {
            driver,
            volume: instance_volume(self.instance.id),
            moment,
            snapshots: ids,
        };
        let order = parts.order(app, index, self.order).await;
        order.map_err(|error| failed(&self.instance, error))
    }

    async fn index(&self, app: &App, driver: &dyn Driver) -> Result<BackupIndex> {
        let mut row = self.instance.clone();
        if self.order.without_snapshots {
            row.snapshots.clear();
        }
        let config = describe(app, &row, &app.instances.status(row.id)).await?;
        Ok(BackupIndex {
            name: row.name.clone(),
            backend: driver.name().to_owned(),
            pool: row.pool.clone(),
            snapshots: config
                .snapshots
                .iter()
                .map(|row| row.name.clone())
                .collect(),
            optimized: self.order.optimized,
            optimized_header: false,
            kind: "container".to_owned(),
            config: Some(config),
        })
    }
}

fn failed(instance: &Instance, error: rlxc_storage::Error) -> Error {
    Error::failed(format!("export instance `{}`", instance.name), error)
}
