//! The driver `dir`: every volume and every snapshot is a tree of its own, copied, with shared blocks where the
//! file system can. Plain, works everywhere, costs what copies cost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rlxc_sys::rootfs::RootSource;

use super::plain::{Ahead, Plain};
use super::projects;
use super::shared::{create_image, existing_volume, list_images, sync_file_system};
use super::{Capabilities, Contents, Driver, Source, State, Usage, VolumeContents};
use crate::error::{Cause, Doing, Error, FillError};
use crate::pool::{PoolDir, PoolSpec, Rules};
use crate::volume::{SnapshotId, VolumeRef};

/// A pool of plain trees.
#[derive(Debug)]
pub struct DirDriver {
    pool: PoolDir,
    ahead: Mutex<BTreeMap<(VolumeRef, SnapshotId), Ahead>>,
}

impl DirDriver {
    /// Lays out a new pool.
    pub fn create(spec: &PoolSpec) -> Result<Self, Error> {
        let pool = PoolDir::create(spec, &Rules::PLAIN).pool("create", &spec.name)?;
        Ok(Self::with(pool))
    }

    /// Opens a pool.
    pub fn open(spec: &PoolSpec) -> Result<Self, Error> {
        let pool = PoolDir::open(spec, &Rules::PLAIN).pool("open", &spec.name)?;
        Ok(Self::with(pool))
    }

    fn with(pool: PoolDir) -> Self {
        let ahead = Mutex::default();
        Self { pool, ahead }
    }

    fn ahead(&self) -> MutexGuard<'_, BTreeMap<(VolumeRef, SnapshotId), Ahead>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plain(&self) -> Plain<'_> {
        Plain(&self.pool)
    }
}

impl Driver for DirDriver {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            driver: "dir",
            instant_clone: false,
            optimized_snapshots: false,
            quota: self.pool.has_projects,
            no_quota: self.pool.why_no_quota(),
            overlay: false,
            streams: false,
        }
    }

    fn check(&self) -> Result<(), Error> {
        self.pool.check().pool("look at", &self.pool.name)
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
        let fill = |scratch| create_image(&self.pool, scratch, fingerprint, filler);
        let scratch = self.pool.trash.scratch().map_err(Cause::from);
        scratch.and_then(fill).image("unpack", fingerprint)
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
        self.plain()
            .create_volume(volume, source)
            .volume("create", volume)
    }

    fn delete_volume(&self, volume: VolumeRef) -> Result<(), Error> {
        self.plain().delete_volume(volume).volume("delete", volume)
    }

    fn volume_dir(&self, volume: VolumeRef) -> Result<PathBuf, Error> {
        existing_volume(&self.pool, volume).volume("find", volume)
    }

    fn root(&self, volume: VolumeRef) -> Result<RootSource, Error> {
        self.plain().root(volume).volume("find", volume)
    }

    fn snapshot_root(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<RootSource, Error> {
        self.plain()
            .snapshot_root(volume, snapshot)
            .snapshot("find", volume, snapshot)
    }

    fn create_snapshot(
        &self,
        volume: VolumeRef,
        snapshot: SnapshotId,
        _state: State,
    ) -> Result<(), Error> {
        let ahead = self.ahead().remove(&(volume, snapshot));
        match ahead {
            Some(ahead) => self.plain().finish_snapshot(volume, snapshot, ahead),
            None => self.plain().create_snapshot(volume, snapshot),
        }
        .snapshot("create", volume, snapshot)
    }

    fn prepare_snapshot(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Error> {
        let copied = self.plain().copy_ahead(volume);
        if let Some(ahead) = copied.snapshot("copy ahead", volume, snapshot)? {
            self.ahead().insert((volume, snapshot), ahead);
        }
        Ok(())
    }

    fn copy_snapshot(
        &self,
        volume: VolumeRef,
        snapshot: SnapshotId,
        (from, of): (VolumeRef, SnapshotId),
    ) -> Result<(), Error> {
        self.plain()
            .copy_snapshot(volume, snapshot, (from, of))
            .snapshot("copy", volume, snapshot)
    }

    fn settle_snapshot(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Error> {
        sync_file_system(&self.pool.volume(volume)).snapshot("write", volume, snapshot)
    }

    fn restore_snapshot(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Error> {
        self.plain()
            .restore(volume, snapshot)
            .snapshot("restore", volume, snapshot)
    }

    fn delete_snapshot(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Error> {
        if let Some((made, _)) = self.ahead().remove(&(volume, snapshot)) {
            drop(self.pool.trash.adopt(made));
        }
        self.plain()
            .delete_snapshot(volume, snapshot)
            .snapshot("delete", volume, snapshot)
    }

    fn volume_usage(&self, volume: VolumeRef) -> Result<u64, Error> {
        self.plain().usage(volume).volume("measure", volume)
    }

    fn set_quota(&self, volume: VolumeRef, most: Option<u64>) -> Result<(), Error> {
        if self.pool.has_projects {
            self.plain().set_quota(volume, most)
        } else {
            projects::refuse(most)
        }
        .volume("limit", volume)
    }

    fn list_volumes(&self) -> Result<Contents, Error> {
        let list = || -> Result<Contents, Cause> {
            let mut contents = Contents {
                images: list_images(&self.pool)?,
                ..Contents::default()
            };
            for volume in self.pool.volumes()? {
                let snapshots = self.plain().snapshots(volume)?;
                contents
                    .volumes
                    .insert(volume, VolumeContents { snapshots });
            }
            Ok(contents)
        };
        list().pool("list", &self.pool.name)
    }
}
