//! What of a volume goes into a backup, whoever the volume belongs to.

use std::sync::Arc;

use rlxc_storage::backup::{BackupIndex, BackupOrder, BackupParts, BackupTree, Streams};
use rlxc_storage::{Driver, SnapshotId, VolumeKind, VolumeRef};

use super::ExportOrder;
use crate::context::{App, blocking};
use crate::error::{Error, Result};

/// A volume with those of its snapshots that go along, by name.
#[derive(Debug)]
pub struct Parts {
    /// Its driver.
    pub driver: Arc<dyn Driver>,
    /// The volume.
    pub volume: VolumeRef,
    /// What it is at this moment; the volume itself if nobody changes it.
    pub moment: Option<SnapshotId>,
    /// In the order of the index.
    pub snapshots: Vec<(String, SnapshotId)>,
}

impl Parts {
    /// What is to be written of them, with `index` before it.
    pub async fn order(
        self,
        app: &App,
        index: BackupIndex,
        how: ExportOrder,
    ) -> Result<BackupOrder, rlxc_storage::Error> {
        Ok(BackupOrder {
            index,
            parts: blocking(move || self.take(how.optimized)).await?,
            algorithm: how.algorithm,
            created: app.clock.now().as_second(),
        })
    }

    /// As streams of the driver if it shall be optimized, which takes a moment: streams are of what nobody can change.
    fn take(self, optimized: bool) -> Result<BackupParts, rlxc_storage::Error> {
        match self.moment {
            Some(main) if optimized => Ok(BackupParts::Streams(Streams {
                driver: self.driver,
                volume: self.volume,
                main,
                snapshots: self.snapshots,
            })),
            _ => self.trees(),
        }
    }

    fn trees(self) -> Result<BackupParts, rlxc_storage::Error> {
        // A custom volume has nothing beside its root.
        let dir = match self.volume.kind {
            VolumeKind::Container => Some(self.driver.volume_dir(self.volume)?),
            VolumeKind::Custom => None,
        };
        let tree = |snapshot: Option<SnapshotId>| {
            let root = match snapshot {
                Some(snapshot) => self.driver.snapshot_root(self.volume, snapshot)?,
                None => self.driver.root(self.volume)?,
            };
            let dir = dir.clone();
            Ok(BackupTree { root, dir })
        };
        Ok(BackupParts::Trees {
            main: tree(self.moment)?,
            snapshots: self
                .snapshots
                .iter()
                .map(|(name, id)| Ok((name.clone(), tree(Some(*id))?)))
                .collect::<Result<_, rlxc_storage::Error>>()?,
        })
    }
}

/// Refuses a backup in the format of a driver other than that of the pool it goes to.
pub fn refuse_format(index: &BackupIndex, driver: &dyn Driver, pool: &str) -> Result<()> {
    if !index.optimized || (driver.capabilities().streams && driver.name() == index.backend) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "this backup is in the format of the storage driver `{}`, which storage pool `{pool}` can't take: export it without `--optimized-storage`",
        index.backend
    )))
}
