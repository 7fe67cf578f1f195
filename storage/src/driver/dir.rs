//! The driver `dir`: every volume and every snapshot is a tree of its own, copied, with shared blocks where the
//! file system can. Plain, works everywhere, costs what copies cost.
//!
//! ```text
//! containers/<id>/rootfs            the volume
//! containers/<id>/snapshots/<id>/   a snapshot
//! ```

use std::fs::File;
use std::path::{Path, PathBuf};

use rlxc_sys::file::{self, FileError};
use rlxc_sys::rootfs::RootSource;

use super::shared::{
    already_there, clone_tree, copy_metadata, create_image, existing_volume, list_images,
};
use super::{Capabilities, Contents, Driver, Source, State, Usage, VolumeContents};
use crate::copy::Attributes;
use crate::error::{Cause, Doing, Error, FillError};
use crate::pool::{PoolDir, PoolSpec, disk_usage};
use crate::volume::{SnapshotId, VolumeRef};

/// A pool of plain trees.
#[derive(Debug)]
pub struct DirDriver {
    pool: PoolDir,
}

impl DirDriver {
    /// Lays out a new pool.
    pub fn create(spec: &PoolSpec) -> Result<Self, Error> {
        let pool = PoolDir::create(spec, |_| Ok(())).pool("create", &spec.name)?;
        Ok(Self { pool })
    }

    /// Opens a pool.
    pub fn open(spec: &PoolSpec) -> Result<Self, Error> {
        let pool = PoolDir::open(spec).pool("open", &spec.name)?;
        Ok(Self { pool })
    }

    fn snapshot_dir(&self, volume: VolumeRef, snapshot: SnapshotId) -> PathBuf {
        let dir = self.pool.volume(volume).join("snapshots");
        dir.join(snapshot.to_string())
    }

    fn existing_snapshot(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<PathBuf, Cause> {
        let dir = self.snapshot_dir(volume, snapshot);
        if dir.is_dir() {
            return Ok(dir);
        }
        Err(Cause::NotFound {
            what: format!("`{}`", dir.display()),
        })
    }

    /// Puts a copy of the tree of `from`, in a directory like `containers/<id>`, into `to`.
    fn fill(&self, to: &Path, source: &Source) -> Result<(), Cause> {
        let rootfs = to.join("rootfs");
        let from = match source {
            Source::Empty => {
                file::create_dir(&rootfs, 0o755)?;
                return Ok(file::create_dir(&to.join("snapshots"), 0o700)?);
            }
            Source::Image(fingerprint) => self.existing_image(fingerprint)?,
            Source::Copy {
                from,
                snapshot: None,
            } => existing_volume(&self.pool, *from)?,
            Source::Copy {
                from,
                snapshot: Some(snapshot),
            } => self.existing_snapshot(*from, *snapshot)?,
        };
        clone_tree(&from.join("rootfs"), &rootfs, Attributes::Content)?;
        copy_metadata(&from, to)?;
        file::create_dir(&to.join("snapshots"), 0o700)?;
        sync(to)
    }

    fn existing_image(&self, fingerprint: &str) -> Result<PathBuf, Cause> {
        self.image_dir(fingerprint).ok_or_else(|| Cause::NotFound {
            what: format!("the image `{fingerprint}`"),
        })
    }

    fn try_create_volume(&self, volume: VolumeRef, source: &Source) -> Result<(), Cause> {
        let path = self.pool.volume(volume);
        if path.exists() {
            return Err(already_there(&path));
        }
        let scratch = self.pool.trash.scratch()?;
        self.fill(scratch.path(), source)?;
        if PoolDir::place(scratch, &path)? {
            return Ok(());
        }
        Err(already_there(&path))
    }

    fn try_create_snapshot(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Cause> {
        let from = existing_volume(&self.pool, volume)?;
        self.copy_as_snapshot(&from, volume, snapshot)
    }

    /// Copies `from`, a directory like `containers/<id>`, into a new snapshot.
    fn copy_as_snapshot(
        &self,
        from: &Path,
        volume: VolumeRef,
        snapshot: SnapshotId,
    ) -> Result<(), Cause> {
        existing_volume(&self.pool, volume)?;
        let path = self.snapshot_dir(volume, snapshot);
        if path.exists() {
            return Err(already_there(&path));
        }
        let scratch = self.pool.trash.scratch()?;
        clone_tree(
            &from.join("rootfs"),
            &scratch.path().join("rootfs"),
            Attributes::Content,
        )?;
        copy_metadata(from, scratch.path())?;
        sync(scratch.path())?;
        if PoolDir::place(scratch, &path)? {
            return Ok(());
        }
        Err(already_there(&path))
    }

    fn try_restore(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Cause> {
        let from = self.existing_snapshot(volume, snapshot)?.join("rootfs");
        let rootfs = self.pool.volume(volume).join("rootfs");
        let scratch = self.pool.trash.scratch()?;
        let made = scratch.path().join("rootfs");
        clone_tree(&from, &made, Attributes::Content)?;
        sync(scratch.path())?;
        // After this the old tree is in the scratch directory and goes with it.
        file::exchange(&made, &rootfs)?;
        Ok(file::sync_dir(&self.pool.volume(volume))?)
    }
}

/// Everything copied so far to disk: a tree has too many files to sync each.
fn sync(path: &Path) -> Result<(), Cause> {
    let dir = File::open(path).map_err(|error| FileError::new("open directory", path, error))?;
    rustix::fs::syncfs(&dir).map_err(|errno| FileError::new("sync", path, errno))?;
    Ok(())
}

impl Driver for DirDriver {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            driver: "dir",
            instant_clone: false,
            optimized_snapshots: false,
            quota: false,
            overlay: false,
        }
    }

    fn delete_pool(&self) -> Result<(), Error> {
        self.pool.delete().pool("delete", &self.pool.name)
    }

    fn usage(&self) -> Result<Usage, Error> {
        self.pool.usage().pool("measure", &self.pool.name)
    }

    fn create_image(
        &self,
        fingerprint: &str,
        filler: &mut dyn FnMut(&Path) -> Result<(), FillError>,
    ) -> Result<(), Error> {
        if self.image_dir(fingerprint).is_some() {
            return Ok(());
        }
        create_image(&self.pool, fingerprint, filler).image("unpack", fingerprint)
    }

    fn image_dir(&self, fingerprint: &str) -> Option<PathBuf> {
        let path = self.pool.image(fingerprint);
        path.is_dir().then_some(path)
    }

    fn delete_image(&self, fingerprint: &str) -> Result<(), Error> {
        let taken = self.pool.trash.take(&self.pool.image(fingerprint));
        taken.map(drop).image("delete", fingerprint)
    }

    fn create_volume(&self, volume: VolumeRef, source: &Source) -> Result<(), Error> {
        self.try_create_volume(volume, source)
            .volume("create", volume)
    }

    fn delete_volume(&self, volume: VolumeRef) -> Result<(), Error> {
        let taken = self.pool.trash.take(&self.pool.volume(volume));
        taken.map(drop).volume("delete", volume)
    }

    fn volume_dir(&self, volume: VolumeRef) -> Result<PathBuf, Error> {
        existing_volume(&self.pool, volume).volume("find", volume)
    }

    fn root(&self, volume: VolumeRef) -> Result<RootSource, Error> {
        let path = existing_volume(&self.pool, volume).volume("find", volume)?;
        Ok(RootSource::Tree {
            path: path.join("rootfs"),
        })
    }

    fn snapshot_root(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<RootSource, Error> {
        let dir = self
            .existing_snapshot(volume, snapshot)
            .snapshot("find", volume, snapshot)?;
        Ok(RootSource::Tree {
            path: dir.join("rootfs"),
        })
    }

    fn create_snapshot(
        &self,
        volume: VolumeRef,
        snapshot: SnapshotId,
        _state: State,
    ) -> Result<(), Error> {
        self.try_create_snapshot(volume, snapshot)
            .snapshot("create", volume, snapshot)
    }

    fn copy_snapshot(
        &self,
        volume: VolumeRef,
        snapshot: SnapshotId,
        (from, of): (VolumeRef, SnapshotId),
    ) -> Result<(), Error> {
        self.existing_snapshot(from, of)
            .and_then(|from| self.copy_as_snapshot(&from, volume, snapshot))
            .snapshot("copy", volume, snapshot)
    }

    fn restore_snapshot(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Error> {
        self.try_restore(volume, snapshot)
            .snapshot("restore", volume, snapshot)
    }

    fn delete_snapshot(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Error> {
        let taken = self.pool.trash.take(&self.snapshot_dir(volume, snapshot));
        taken.map(drop).snapshot("delete", volume, snapshot)
    }

    fn volume_usage(&self, volume: VolumeRef) -> Result<u64, Error> {
        let dir = existing_volume(&self.pool, volume).volume("find", volume)?;
        disk_usage(vec![dir]).volume("measure", volume)
    }

    fn list_volumes(&self) -> Result<Contents, Error> {
        let list = || -> Result<Contents, Cause> {
            let mut contents = Contents {
                images: list_images(&self.pool)?,
                ..Contents::default()
            };
            for volume in self.pool.volumes()? {
                let names = file::list_dir(&self.pool.volume(volume).join("snapshots"))?;
                let mut snapshots: Vec<_> = names
                    .iter()
                    .filter_map(|name| Some(SnapshotId(name.to_str()?.parse().ok()?)))
                    .collect();
                snapshots.sort();
                contents
                    .volumes
                    .insert(volume, VolumeContents { snapshots });
            }
            Ok(contents)
        };
        list().pool("list", &self.pool.name)
    }
}
