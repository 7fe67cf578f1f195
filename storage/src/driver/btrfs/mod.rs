//! The driver `btrfs`: images, volumes and snapshots are subvolumes. A clone and a snapshot are one ioctl each, whatever
//! the size, of something that runs too; the ioctl commits the file system's transaction, so that what it made is
//! on disk. Renames get there with the next transaction, and never before what they follow.
//!
//! ```text
//! images/<fingerprint>          a subvolume: rootfs/, metadata.yaml, templates/
//! containers/<id>, custom/<id>  the same
//! snapshots/<kind>-<id>/<id>    read-only
//! ```
//!
//! The pool is a directory on a btrfs that is there already, or a file system of its own, on a loop file or a block
//! device, mounted where the pool's directory is (see [`backing`]).

mod backing;
mod quota;
mod receive;
mod stream;
mod streams;
mod subvolumes;

use std::io::Read;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rlxc_sys::file::{self, FileError};
use rlxc_sys::rootfs::RootSource;

use self::subvolumes::{create_subvolume, remove, snapshot};
use super::shared::{already_there, create_image, existing_volume, list_images};
use super::{Capabilities, Contents, Driver, Piece, Source, State, Usage, VolumeContents};
use crate::error::{Cause, Doing, Error, FillError};
use crate::pool::{PoolDir, PoolSpec, Rules, disk_usage};
use crate::trash::Scratch;
use crate::volume::{SnapshotId, VolumeRef};

pub(crate) use backing::discard;

/// Where snapshots are, in the pool's directory.
const SNAPSHOTS: &str = "snapshots";

const RULES: Rules = Rules { check, remove };

/// A pool of subvolumes.
#[derive(Debug)]
pub struct BtrfsDriver {
    pool: PoolDir,
    spec: PoolSpec,
}

/// Whether subvolumes can be made in `directory`.
pub fn check(directory: &Path) -> Result<(), Cause> {
    let dir = rlxc_sys::path::open_dir(directory)?;
    let found = rlxc_sys::btrfs::is_btrfs(&dir)
        .map_err(|error| FileError::new("look at", directory, error))?;
    if found {
        return Ok(());
    }
    Err(Cause::Unfit {
        path: directory.to_owned(),
        lacks: "is no btrfs",
    })
}

impl BtrfsDriver {
    /// Lays out a new pool, on a file system that is made for it if the pool has a device.
    pub fn create(spec: &PoolSpec) -> Result<Self, Error> {
        let make = || -> Result<PoolDir, Cause> {
            let made = backing::create(spec)?;
            let pool = PoolDir::create(spec, &RULES)?;
            made.commit();
            Ok(pool)
        };
        make()
            .pool("create", &spec.name)
            .and_then(|pool| Self::with(pool, spec))
    }

    /// Opens a pool; what is not mounted is mounted.
    pub fn open(spec: &PoolSpec) -> Result<Self, Error> {
        backing::mount(spec)
            .and_then(|()| PoolDir::open(spec, &RULES))
            .pool("open", &spec.name)
            .and_then(|pool| Self::with(pool, spec))
    }

    fn with(pool: PoolDir, spec: &PoolSpec) -> Result<Self, Error> {
        // Pools of other drivers that become older have no such directory.
        file::ensure_dir(&pool.source.join(SNAPSHOTS), 0o700).pool("open", &spec.name)?;
        let spec = spec.clone();
        Ok(Self { pool, spec })
    }

    fn snapshots_dir(&self, volume: VolumeRef) -> PathBuf {
        let name = format!("{}-{}", volume.kind.dir(), volume.id);
        self.pool.source.join(SNAPSHOTS).join(name)
    }

    fn snapshot_dir(&self, volume: VolumeRef, snapshot: SnapshotId) -> PathBuf {
        self.snapshots_dir(volume).join(snapshot.to_string())
    }

    fn existing_snapshot(&self, volume: VolumeRef, id: SnapshotId) -> Result<PathBuf, Cause> {
        let path = self.snapshot_dir(volume, id);
        if path.is_dir() {
            return Ok(path);
        }
        Err(Cause::NotFound {
            what: format!("snapshot {id}"),
        })
    }

    fn try_create_volume(&self, volume: VolumeRef, source: &Source) -> Result<(), Cause> {
        let path = self.pool.volume(volume);
        if path.exists() {
            return Err(already_there(&path));
        }
        let from = match source {
            Source::Empty => {
                let scratch = self.scratch_subvolume()?;
                file::create_dir(&scratch.path().join("rootfs"), 0o755)?;
                return place(scratch, &path);
            }
            Source::Image(fingerprint) => {
                self.image_dir(fingerprint).ok_or_else(|| Cause::NotFound {
                    what: format!("the image `{fingerprint}`"),
                })?
            }
            Source::Copy {
                from,
                snapshot: None,
            } => existing_volume(&self.pool, *from)?,
            Source::Copy {
                from,
                snapshot: Some(snapshot),
            } => self.existing_snapshot(*from, *snapshot)?,
        };
        self.place_snapshot(&from, &path, false)
    }

    fn scratch_subvolume(&self) -> Result<Scratch<'_>, Cause> {
        let scratch = self.pool.trash.reserve();
        create_subvolume(scratch.path())?;
        Ok(scratch)
    }

    /// Makes `to` a snapshot of `from`: at once where that is one step, else aside first.
    fn place_snapshot(&self, from: &Path, to: &Path, read_only: bool) -> Result<(), Cause> {
        if to.exists() {
            return Err(already_there(to));
        }
        if subvolumes::nested(from)?.is_empty() {
            return Ok(snapshot(from, to, read_only)?);
        }
        let scratch = self.pool.trash.reserve();
        snapshot(from, scratch.path(), false)?;
        place(scratch, to)?;
        // What is read-only can't be moved to another directory.
        Ok(subvolumes::set_read_only(to, read_only)?)
    }

    fn try_create_snapshot(&self, volume: VolumeRef, id: SnapshotId) -> Result<(), Cause> {
        let from = existing_volume(&self.pool, volume)?;
        file::ensure_dir(&self.snapshots_dir(volume), 0o700)?;
        self.place_snapshot(&from, &self.snapshot_dir(volume, id), true)
    }

    fn try_restore(&self, volume: VolumeRef, id: SnapshotId) -> Result<(), Cause> {
        let path = existing_volume(&self.pool, volume)?;
        let from = self.existing_snapshot(volume, id)?;
        let scratch = self.pool.trash.reserve();
        snapshot(&from, scratch.path(), false)?;
        if let Some(most) = quota::limit_of(&path) {
            quota::limit(scratch.path(), Some(most))?;
        }
        // After this the old tree has the scratch's name and goes with it.
        Ok(file::exchange(scratch.path(), &path)?)
    }

    fn try_delete_volume(&self, volume: VolumeRef) -> Result<(), Cause> {
        self.pool.trash.take(&self.pool.volume(volume))?;
        self.pool.trash.take(&self.snapshots_dir(volume))?;
        Ok(())
    }

    fn try_usage(&self, volume: VolumeRef) -> Result<u64, Cause> {
        let path = existing_volume(&self.pool, volume)?;
        let mut all = vec![path];
        for snapshot in self.snapshots_of(volume)? {
            all.push(self.snapshot_dir(volume, snapshot));
        }
        match all.iter().map(|path| quota::usage_of(path)).sum() {
            Some(bytes) => Ok(bytes),
            None => Ok(disk_usage(all)?),
        }
    }

    fn snapshots_of(&self, volume: VolumeRef) -> Result<Vec<SnapshotId>, FileError> {
        let names = match file::list_dir(&self.snapshots_dir(volume)) {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            other => other?,
        };
        let mut ids: Vec<_> = names
            .iter()
            .filter_map(|name| Some(SnapshotId(name.to_str()?.parse().ok()?)))
            .collect();
        ids.sort();
        Ok(ids)
    }

    fn try_set_quota(&self, volume: VolumeRef, most: Option<u64>) -> Result<(), Cause> {
        let path = existing_volume(&self.pool, volume)?;
        if most.is_none() && quota::limit_of(&path).is_none() {
            return Ok(());
        }
        quota::enable(&path)?;
        if let (Some(most), Some(used)) = (most, quota::usage_of(&path))
            && used > most
        {
            return Err(Cause::BelowUse { used, wanted: most });
        }
        Ok(quota::limit(&path, most)?)
    }
}

/// A rename.
fn place(made: Scratch<'_>, to: &Path) -> Result<(), Cause> {
    if PoolDir::place(made, to)? {
        return Ok(());
    }
    Err(already_there(to))
}

impl Driver for BtrfsDriver {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            driver: "btrfs",
            instant_clone: true,
            optimized_snapshots: true,
            quota: true,
            no_quota: "",
            overlay: false,
            streams: true,
        }
    }

    fn check(&self) -> Result<(), Error> {
        backing::check(&self.spec)
            .and_then(|()| self.pool.check())
            .pool("look at", &self.pool.name)
    }

    fn delete_pool(&self) -> Result<(), Error> {
        let delete = || match &self.spec.device {
            Some(device) if !backing::is_block(device) => discard(&self.spec),
            _ => {
                self.pool.delete()?;
                discard(&self.spec)
            }
        };
        delete().pool("delete", &self.pool.name)
    }

    fn resize_pool(&self, bytes: u64) -> Result<(), Error> {
        backing::grow(&self.spec, bytes).pool("resize", &self.pool.name)
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
        self.scratch_subvolume()
            .and_then(|scratch| create_image(&self.pool, scratch, fingerprint, filler))
            .image("unpack", fingerprint)
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
        self.try_delete_volume(volume).volume("delete", volume)
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
        let copy = || {
            existing_volume(&self.pool, volume)?;
            let from = self.existing_snapshot(from, of)?;
            file::ensure_dir(&self.snapshots_dir(volume), 0o700)?;
            self.place_snapshot(&from, &self.snapshot_dir(volume, snapshot), true)
        };
        copy().snapshot("copy", volume, snapshot)
    }

    fn restore_snapshot(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Error> {
        self.try_restore(volume, snapshot)
            .snapshot("restore", volume, snapshot)
    }

    fn delete_snapshot(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Error> {
        let path = self.snapshot_dir(volume, snapshot);
        match subvolumes::set_read_only(&path, false) {
            Err(error) if error.is_not_found() => return Ok(()),
            other => other.snapshot("delete", volume, snapshot)?,
        }
        let taken = self.pool.trash.take(&path);
        taken.map(drop).snapshot("delete", volume, snapshot)
    }

    fn can_send(&self, volume: VolumeRef) -> Result<bool, Error> {
        self.try_can_send(volume).volume("look at", volume)
    }

    fn send(&self, volume: VolumeRef, piece: Piece, out: BorrowedFd<'_>) -> Result<(), Error> {
        self.try_send(volume, piece, out).volume("send", volume)
    }

    fn receive(&self, volume: VolumeRef, piece: Piece, stream: &mut dyn Read) -> Result<(), Error> {
        self.try_receive(volume, piece, stream)
            .volume("receive", volume)
    }

    fn volume_usage(&self, volume: VolumeRef) -> Result<u64, Error> {
        self.try_usage(volume).volume("measure", volume)
    }

    fn set_quota(&self, volume: VolumeRef, most: Option<u64>) -> Result<(), Error> {
        self.try_set_quota(volume, most).volume("limit", volume)
    }

    fn list_volumes(&self) -> Result<Contents, Error> {
        let list = || -> Result<Contents, Cause> {
            let mut contents = Contents {
                images: list_images(&self.pool)?,
                ..Contents::default()
            };
            for volume in self.pool.volumes()? {
                let snapshots = self.snapshots_of(volume)?;
                contents
                    .volumes
                    .insert(volume, VolumeContents { snapshots });
            }
            Ok(contents)
        };
        list().pool("list", &self.pool.name)
    }
}

#[cfg(test)]
pub(crate) mod tests;
