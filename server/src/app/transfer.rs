//! One volume, with snapshots, becomes another: by clones within a pool, by a copy between two. Roots of instances and custom
//! volumes alike.

use std::sync::Arc;

use rlxc_storage::{Driver, Piece, SnapshotId, Source, State, VolumeRef, transfer};

use crate::context::App;
use crate::error::{Cause, Result};
use crate::model::Instance;
use crate::saga::instance_volume;

/// A volume and the name of its pool.
type Place<'a> = (&'a str, VolumeRef);

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
    /// From the first to the second.
    pub(super) fn between(app: &App, source: Place<'_>, target: Place<'_>) -> Result<Self> {
        Ok(Self {
            from: app.pools.get(source.0)?,
            source: source.1,
            to: app.pools.get(target.0)?,
            target: target.1,
            same_pool: source.0 == target.0,
            image: None,
        })
    }

    /// From the root of `source` to that of `target`, each on the pool that its row names.
    pub(super) fn of_instances(app: &App, source: &Instance, target: &Instance) -> Result<Self> {
        let between = Self::between(
            app,
            (&source.pool, instance_volume(source.id)),
            (&target.pool, instance_volume(target.id)),
        )?;
        Ok(Self {
            image: source.config.get("volatile.base_image").cloned(),
            ..between
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
        // Where both stand on one image, only what is not in that is copied.
        if base == Source::Empty && self.can_stream()? {
            let (of, made): (Vec<_>, Vec<_>) = snapshots.iter().copied().unzip();
            let pieces: Vec<_> = Piece::all(&of, main)
                .into_iter()
                .zip(Piece::all(&made, None))
                .collect();
            let (from, to) = ((&*self.from, self.source), (&*self.to, self.target));
            return Ok(transfer::stream(from, to, &pieces)?);
        }
        self.to.create_volume(self.target, &base)?;
        for (of, snapshot) in snapshots {
            self.add_snapshot(*of, *snapshot)?;
        }
        self.copy(main)
    }

    fn can_stream(&self) -> Result<bool, Cause> {
        Ok(self.to.capabilities().streams && self.from.can_send(self.source)?)
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

    /// Lets the target be what the source's snapshot `main` is, or what the source is now. `hidden` is a snapshot that the
    /// target may get on the way.
    pub(super) fn replace(
        &self,
        main: Option<SnapshotId>,
        hidden: SnapshotId,
    ) -> Result<(), Cause> {
        match main {
            Some(main) if self.same_pool && self.to.capabilities().instant_clone => {
                self.to
                    .copy_snapshot(self.target, hidden, (self.source, main))?;
                Ok(self.to.restore_snapshot(self.target, hidden)?)
            }
            _ => self.copy(main),
        }
    }

    fn copy(&self, snapshot: Option<SnapshotId>) -> Result<(), Cause> {
        let from = (&*self.from, self.source, snapshot);
        Ok(transfer::replace(from, (&*self.to, self.target))?)
    }
}
