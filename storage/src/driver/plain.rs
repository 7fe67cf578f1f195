//! Volumes that are plain trees: all of the driver `dir`, and the custom volumes of `overlay`, since several instances
//! may have one mounted while an upper layer bears only one mount.
//!
//! ```text
//! containers/<id>/rootfs            the volume
//! containers/<id>/snapshots/<id>/   a snapshot
//! ```

use std::path::{Path, PathBuf};

use rlxc_sys::file::{self, FileError};
use rlxc_sys::path;
use rlxc_sys::rootfs::RootSource;

use super::Source;
use super::projects;
use super::shared::{already_there, copy_into, copy_metadata, existing_volume, sync_file_system};
use crate::copy::{Attributes, Early, copy_early, is_worth_it};
use crate::error::Cause;
use crate::pool::{PoolDir, disk_usage};
use crate::trash::Scratch;
use crate::volume::{SnapshotId, VolumeRef};

/// What was copied ahead of a snapshot, and where it is.
pub(crate) type Ahead = (PathBuf, Early);

/// The plain trees of a pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain<'a>(pub(crate) &'a PoolDir);

impl Plain<'_> {
    fn snapshot_dir(self, volume: VolumeRef, snapshot: SnapshotId) -> PathBuf {
        let dir = self.0.volume(volume).join("snapshots");
        dir.join(snapshot.to_string())
    }

    fn existing_snapshot(self, volume: VolumeRef, snapshot: SnapshotId) -> Result<PathBuf, Cause> {
        let dir = self.snapshot_dir(volume, snapshot);
        if dir.is_dir() {
            return Ok(dir);
        }
        Err(Cause::NotFound {
            what: format!("`{}`", dir.display()),
        })
    }

    /// Puts a copy of the tree of `from`, in a directory like `containers/<id>`, into `to`.
    fn fill(self, to: &Path, source: &Source) -> Result<(), Cause> {
        let rootfs = to.join("rootfs");
        let from = match source {
            Source::Empty => {
                file::create_dir(&rootfs, 0o755)?;
                self.0.begin_project(&rootfs)?;
                return Ok(file::create_dir(&to.join("snapshots"), 0o700)?);
            }
            Source::Image(fingerprint) => self.existing_image(fingerprint)?,
            Source::Copy {
                from,
                snapshot: None,
            } => existing_volume(self.0, *from)?,
            Source::Copy {
                from,
                snapshot: Some(snapshot),
            } => self.existing_snapshot(*from, *snapshot)?,
        };
        self.clone_root(&from, &rootfs)?;
        copy_metadata(&from, to)?;
        file::create_dir(&to.join("snapshots"), 0o700)?;
        sync_file_system(to)
    }

    /// Copies the root of `from`, a directory like `containers/<id>`, into `to`, which is made.
    fn clone_root(self, from: &Path, to: &Path) -> Result<(), Cause> {
        file::create_dir(to, 0o700)?;
        self.0.begin_project(to)?;
        copy_into(&from.join("rootfs"), to, Attributes::Content)
    }

    /// Limits what the root of a volume may take.
    pub(crate) fn set_quota(self, volume: VolumeRef, most: Option<u64>) -> Result<(), Cause> {
        projects::limit(&existing_volume(self.0, volume)?.join("rootfs"), most)
    }

    /// Bytes that a volume and its snapshots take.
    pub(crate) fn usage(self, volume: VolumeRef) -> Result<u64, Cause> {
        let dir = existing_volume(self.0, volume)?;
        let mut roots = vec![dir.join("rootfs")];
        for snapshot in self.snapshots(volume)? {
            roots.push(self.snapshot_dir(volume, snapshot).join("rootfs"));
        }
        let counted = roots.iter().map(|root| projects::usage(root));
        match counted.map(|usage| Some(usage?.space)).sum() {
            Some(bytes) => Ok(bytes),
            None => Ok(disk_usage(vec![dir])?),
        }
    }

    fn existing_image(self, fingerprint: &str) -> Result<PathBuf, Cause> {
        let path = self.0.image(fingerprint);
        if path.is_dir() {
            return Ok(path);
        }
        Err(Cause::NotFound {
            what: format!("the image `{fingerprint}`"),
        })
    }

    pub(crate) fn create_volume(self, volume: VolumeRef, source: &Source) -> Result<(), Cause> {
        let path = self.0.volume(volume);
        if path.exists() {
            return Err(already_there(&path));
        }
        let scratch = self.0.trash.scratch()?;
        self.fill(scratch.path(), source)?;
        if PoolDir::place_for_good(scratch, &path)? {
            return Ok(());
        }
        Err(already_there(&path))
    }

    pub(crate) fn delete_volume(self, volume: VolumeRef) -> Result<(), Cause> {
        Ok(self.0.trash.take(&self.0.volume(volume)).map(drop)?)
    }

    pub(crate) fn root(self, volume: VolumeRef) -> Result<RootSource, Cause> {
        let path = existing_volume(self.0, volume)?.join("rootfs");
        Ok(RootSource::Tree { path })
    }

    pub(crate) fn snapshot_root(
        self,
        volume: VolumeRef,
        snapshot: SnapshotId,
    ) -> Result<RootSource, Cause> {
        let path = self.existing_snapshot(volume, snapshot)?.join("rootfs");
        Ok(RootSource::Tree { path })
    }

    pub(crate) fn create_snapshot(
        self,
        volume: VolumeRef,
        snapshot: SnapshotId,
    ) -> Result<(), Cause> {
        let from = existing_volume(self.0, volume)?;
        self.copy_as_snapshot(&from, volume, snapshot)
    }

    /// A snapshot that holds what a snapshot of another volume holds.
    pub(crate) fn copy_snapshot(
        self,
        volume: VolumeRef,
        snapshot: SnapshotId,
        (from, of): (VolumeRef, SnapshotId),
    ) -> Result<(), Cause> {
        let from = self.existing_snapshot(from, of)?;
        self.copy_as_snapshot(&from, volume, snapshot)?;
        sync_file_system(&self.0.volume(volume))
    }

    /// Copies `from`, a directory like `containers/<id>`, into a new snapshot.
    fn copy_as_snapshot(
        self,
        from: &Path,
        volume: VolumeRef,
        snapshot: SnapshotId,
    ) -> Result<(), Cause> {
        existing_volume(self.0, volume)?;
        let path = self.snapshot_dir(volume, snapshot);
        if path.exists() {
            return Err(already_there(&path));
        }
        let scratch = self.0.trash.scratch()?;
        self.clone_root(from, &scratch.path().join("rootfs"))?;
        Self::place_snapshot(from, scratch, &path)
    }

    fn place_snapshot(from: &Path, scratch: Scratch<'_>, to: &Path) -> Result<(), Cause> {
        copy_metadata(from, scratch.path())?;
        if PoolDir::place_for_good(scratch, to)? {
            return Ok(());
        }
        Err(already_there(to))
    }

    /// Copies what is old enough of the volume while it is written to; `None` if it is not worth it.
    pub(crate) fn copy_ahead(self, volume: VolumeRef) -> Result<Option<Ahead>, Cause> {
        let from = path::open_dir(&existing_volume(self.0, volume)?.join("rootfs"))?;
        if !is_worth_it(&from)? {
            return Ok(None);
        }
        let scratch = self.0.trash.scratch()?;
        let to = scratch.path().join("rootfs");
        file::create_dir(&to, 0o700)?;
        self.0.begin_project(&to)?;
        let early = copy_early(&from, path::open_dir(&to)?, Attributes::Content)?;
        Ok(Some((scratch.keep(), early)))
    }

    /// Copies the rest: a snapshot as [`Plain::create_snapshot`] makes it.
    pub(crate) fn finish_snapshot(
        self,
        volume: VolumeRef,
        snapshot: SnapshotId,
        (made, early): Ahead,
    ) -> Result<(), Cause> {
        let scratch = self.0.trash.adopt(made);
        let from = existing_volume(self.0, volume)?;
        let tree = path::open_dir(&scratch.path().join("rootfs"))?;
        early.finish(path::open_dir(&from.join("rootfs"))?, tree)?;
        Self::place_snapshot(&from, scratch, &self.snapshot_dir(volume, snapshot))
    }

    pub(crate) fn restore(self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Cause> {
        let from = self.existing_snapshot(volume, snapshot)?;
        let rootfs = self.0.volume(volume).join("rootfs");
        let scratch = self.0.trash.scratch()?;
        let made = scratch.path().join("rootfs");
        self.clone_root(&from, &made)?;
        if self.0.has_projects {
            projects::inherit(&rootfs, &made)?;
        }
        sync_file_system(scratch.path())?;
        // After this the old tree is in the scratch directory and goes with it.
        file::exchange(&made, &rootfs)?;
        Ok(file::sync_dir(&self.0.volume(volume))?)
    }

    pub(crate) fn delete_snapshot(
        self,
        volume: VolumeRef,
        snapshot: SnapshotId,
    ) -> Result<(), Cause> {
        let path = self.snapshot_dir(volume, snapshot);
        Ok(self.0.trash.take(&path).map(drop)?)
    }

    /// In order of their ids.
    pub(crate) fn snapshots(self, volume: VolumeRef) -> Result<Vec<SnapshotId>, FileError> {
        let names = file::list_dir(&self.0.volume(volume).join("snapshots"))?;
        let mut snapshots: Vec<_> = names
            .iter()
            .filter_map(|name| Some(SnapshotId(name.to_str()?.parse().ok()?)))
            .collect();
        snapshots.sort();
        Ok(snapshots)
    }
}
