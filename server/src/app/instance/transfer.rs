//! The root volume of one instance, with snapshots, becomes that of another: by clones within a pool, by a copy between
//! two.

use std::sync::Arc;

use rlxc_storage::{Driver, SnapshotId, Source, State, VolumeRef, transfer};

use crate::context::App;
use crate::error::{Cause, Result};
use crate::model::Instance;
use crate::saga::instance_volume;

/// Where from and where to.
#[derive(Debug, Clone)]
pub(super) struct Transfer {
    from: Arc<dyn Driver>,
    source: VolumeRef,
    to: Arc<dyn Driver>,
    target: VolumeRef,
    same_pool: bool,
    image: Option<String>,
}

impl Transfer {
    /// From the volume of `source` to that of `target`, each on the pool that its row names.
    pub(super) fn between(app: &App, source: &Instance, target: &Instance) -> Result<Self> {
        Ok(Self {
            from: app.pools.get(&source.pool)?,
            source: instance_volume(source.id),
            to: app.pools.get(&target.pool)?,
            target: instance_volume(target.id),
            same_pool: source.pool == target.pool,
            image: source.config.get("volatile.base_image").cloned(),
        })
    }

    /// Makes the target's volume with `main`, or what the source is now, and with snapshots: pairs of the source's and
    /// the target's.
    pub(super) fn create(
        &self,
        main: Option<SnapshotId>,
        snapshots: &[(SnapshotId, SnapshotId)],
    ) -> Result<(), Cause> {
        if self.same_pool {
            let source = Source::Copy {
                from: self.source,
                snapshot: main,
            };
            self.to.create_volume(self.target, &source)?;
            for (of, snapshot) in snapshots {
                self.to
                    .copy_snapshot(self.target, *snapshot, (self.source, *of))?;
            }
            return Ok(());
        }
        let base = transfer::base(&*self.to, self.image.as_deref());
        self.to.create_volume(self.target, &base)?;
        for (of, snapshot) in snapshots {
            self.add_snapshot(*of, *snapshot)?;
        }
        self.copy(main)
    }

    /// Gives the target a snapshot of the source. Between pools it goes through the target's root.
    pub(super) fn add_snapshot(&self, of: SnapshotId, snapshot: SnapshotId) -> Result<(), Cause> {
        if self.same_pool {
            self.to
                .copy_snapshot(self.target, snapshot, (self.source, of))?;
        } else {
            self.copy(Some(of))?;
            self.to
                .create_snapshot(self.target, snapshot, State::Stopped)?;
        }
        Ok(())
    }

    /// Lets the target's root be what the source's snapshot `main` is. `hidden` is a snapshot that the target may get on
    /// the way.
    pub(super) fn replace(&self, main: SnapshotId, hidden: SnapshotId) -> Result<(), Cause> {
        if self.same_pool && self.to.capabilities().instant_clone {
            self.to
                .copy_snapshot(self.target, hidden, (self.source, main))?;
            self.to.restore_snapshot(self.target, hidden)?;
            return Ok(());
        }
        self.copy(Some(main))
    }

    fn copy(&self, snapshot: Option<SnapshotId>) -> Result<(), Cause> {
        let from = (&*self.from, self.source, snapshot);
        Ok(transfer::replace(from, (&*self.to, self.target))?)
    }
}
