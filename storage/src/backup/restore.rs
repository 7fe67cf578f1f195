//! Puts a backup into a new volume of a pool, whatever its driver.

use std::collections::BTreeMap;
use std::io::Read;

use rlxc_sys::path;

use super::read::{BackupReader, Place, Tree, Trees};
use crate::driver::{Driver, Piece, Source, State};
use crate::image::{ImageError, UnpackLimits};
use crate::root;
use crate::volume::{SnapshotId, VolumeRef};

/// What the volume is between two parts: nothing. Goes at the end.
const EMPTY: SnapshotId = SnapshotId(u64::MAX);
/// The instance itself, where snapshots come after it. Goes at the end.
const MAIN: SnapshotId = SnapshotId(u64::MAX - 1);

/// Makes the volume, with the snapshots of the backup under the ids of `snapshots`. On disk when it returns; what is there
/// after a failure is the caller's to remove.
pub fn restore(
    reader: BackupReader,
    (driver, volume): (&dyn Driver, VolumeRef),
    snapshots: &BTreeMap<String, SnapshotId>,
    progress: &dyn Fn(u64),
) -> Result<(), ImageError> {
    let mut into = IntoVolume {
        driver,
        volume,
        snapshots,
        last: None,
        before: None,
    };
    if reader.index().optimized {
        return reader.unpack(&mut into, UnpackLimits::default(), progress);
    }
    taken(driver.create_volume(volume, &Source::Empty))?;
    if reader.index().snapshots.is_empty() {
        // There is one part, and it goes right where it stays.
        return reader.unpack(&mut into, UnpackLimits::default(), progress);
    }
    taken(driver.create_snapshot(volume, EMPTY, State::Stopped))?;
    reader.unpack(&mut into, UnpackLimits::default(), progress)?;
    if into.last != Some(Tree::Main) {
        taken(driver.restore_snapshot(volume, MAIN))?;
    }
    taken(driver.delete_snapshot(volume, MAIN))?;
    taken(driver.delete_snapshot(volume, EMPTY))
}

fn taken<T>(result: Result<T, crate::error::Error>) -> Result<T, ImageError> {
    result.map_err(|error| ImageError::Taker(error.into()))
}

struct IntoVolume<'a> {
    driver: &'a dyn Driver,
    volume: VolumeRef,
    snapshots: &'a BTreeMap<String, SnapshotId>,
    last: Option<Tree>,
    /// The snapshot to which the next stream tells the difference.
    before: Option<SnapshotId>,
}

impl IntoVolume<'_> {
    fn id(&self, name: &str) -> Result<SnapshotId, ImageError> {
        self.snapshots
            .get(name)
            .copied()
            .ok_or(ImageError::Missing {
                what: "row for a snapshot",
            })
    }
}

impl Trees for IntoVolume<'_> {
    fn begin(&mut self, _tree: &Tree) -> Result<Place, ImageError> {
        if self.last == Some(Tree::Main) {
            taken(
                self.driver
                    .create_snapshot(self.volume, MAIN, State::Stopped),
            )?;
        }
        if self.last.is_some() {
            taken(self.driver.restore_snapshot(self.volume, EMPTY))?;
        }
        let dir = taken(self.driver.volume_dir(self.volume))?;
        let parts = path::open_dir(&dir)?;
        for name in ["metadata.yaml", "templates"] {
            path::remove_tree(&parts, name.as_ref())?;
        }
        let root = taken(self.driver.root(self.volume))?;
        let root = root::open(&root).map_err(|source| ImageError::Root { source })?;
        Ok(Place { root, dir })
    }

    fn end(&mut self, tree: &Tree) -> Result<(), ImageError> {
        if let Tree::Snapshot(name) = tree {
            let id = self.id(name)?;
            taken(self.driver.create_snapshot(self.volume, id, State::Stopped))?;
        }
        self.last = Some(tree.clone());
        Ok(())
    }

    fn receive(&mut self, tree: &Tree, stream: &mut dyn Read) -> Result<(), ImageError> {
        let snapshot = match tree {
            Tree::Main => None,
            Tree::Snapshot(name) => Some(self.id(name)?),
        };
        let piece = Piece {
            snapshot,
            since: self.before,
        };
        taken(self.driver.receive(self.volume, piece, stream))?;
        self.before = snapshot.or(self.before);
        Ok(())
    }
}
