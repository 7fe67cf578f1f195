//! What the backup of an instance holds.

use rlxc_storage::backup::{BackupIndex, BackupOrder, BackupParts, BackupTree, Streams};
use rlxc_storage::{Driver, SnapshotId, VolumeRef};

use super::describe::describe;
use crate::app::backup::{Content, ExportOrder};
use crate::app::instance::snapshot::hidden;
use crate::app::instance::{find_by_id, handle};
use crate::context::{App, blocking};
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
    let mut order = order;
    if order.optimized {
        // As the API has it, it is no error where there is no such format.
        let (driver, volume) = (app.pools.get(&instance.pool)?, instance_volume(instance.id));
        let can = blocking(move || driver.can_send(volume)).await;
        order.optimized = can.map_err(|error| failed(&instance, error))?;
    }
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
        let volume = instance_volume(self.instance.id);
        let (compression, created) = (self.order.compression, app.clock.now().as_second());
        if let (true, Some(main)) = (self.order.optimized, moment) {
            let parts = BackupParts::Streams(Streams {
                driver,
                volume,
                main,
                snapshots: ids,
            });
            return Ok(BackupOrder {
                index,
                parts,
                compression,
                created,
            });
        }
        let parts = blocking(move || trees(&*driver, volume, moment, ids)).await;
        Ok(BackupOrder {
            index,
            parts: parts.map_err(|error| failed(&self.instance, error))?,
            compression,
            created,
        })
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

/// The parts as trees: the instance, or what it was at `moment`, and its snapshots.
fn trees(
    driver: &dyn Driver,
    volume: VolumeRef,
    moment: Option<SnapshotId>,
    snapshots: Vec<(String, SnapshotId)>,
) -> std::result::Result<BackupParts, rlxc_storage::Error> {
    let dir = driver.volume_dir(volume)?;
    let tree = |snapshot: Option<SnapshotId>| {
        let root = match snapshot {
            Some(snapshot) => driver.snapshot_root(volume, snapshot)?,
            None => driver.root(volume)?,
        };
        let dir = Some(dir.clone());
        Ok(BackupTree { root, dir })
    };
    Ok(BackupParts::Trees {
        main: tree(moment)?,
        snapshots: snapshots
            .into_iter()
            .map(|(name, id)| Ok((name, tree(Some(id))?)))
            .collect::<std::result::Result<_, rlxc_storage::Error>>()?,
    })
}

fn failed(instance: &Instance, error: rlxc_storage::Error) -> Error {
    Error::failed(format!("export instance `{}`", instance.name), error)
}
