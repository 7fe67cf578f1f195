//! The driver `overlay`: a volume is a stack of directories, the lowest is the image, the uppermost takes writes.
//! Works on every file system that overlay can stand on; a volume or a snapshot of a stopped instance costs one
//! small directory and one small file, whatever the size.
//!
//! A layer never moves. To snapshot a stopped instance, its record says that the upper layer is frozen now and
//! names a new one: one rename of `volume.json` is the whole change. The upper of a running instance can't be
//! exchanged under it, so what changed is copied into a layer of its own.
//!
//! Nobody waits for a disk: records get there a moment later (see [`settle`]), and the new, empty upper is made again if a
//! power loss took it. What a snapshot of a running instance copied is on disk when it is settled.

mod ahead;
mod layers;
mod merge;
mod operations;
mod record;
mod settle;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rlxc_sys::chain::chain;
use rlxc_sys::file::{self, Durability, Entry, FileError};
use rlxc_sys::path;
use rlxc_sys::rootfs::RootSource;

use self::layers::{Layers, Table};
use self::record::{Found, Record};
use self::settle::Settler;
use super::plain::Plain;
use super::projects;
use super::shared::{create_image, existing_volume, list_images, sync_file_system};
use super::{Capabilities, Contents, Driver, Source, State, Usage, VolumeContents};
use crate::copy::Early;
use crate::error::{Cause, Doing, Error, FillError};
use crate::pool::{PoolDir, PoolSpec, Rules};
use crate::volume::{SnapshotId, VolumeKind, VolumeRef};

const RULES: Rules = Rules {
    check: probe,
    ..Rules::PLAIN
};

/// A pool of layers.
#[derive(Debug)]
pub struct OverlayDriver {
    // Dropped first: it needs the others.
    settler: Settler,
    pool: Arc<PoolDir>,
    table: Arc<Mutex<Table>>,
    ahead: Mutex<Ahead>,
}

/// What was copied ahead of snapshots: the pin that keeps it, the record to be, and what is copied; `None` while it is copied.
type Ahead = BTreeMap<(VolumeRef, SnapshotId), Option<(u64, Record, Early)>>;

/// Whether layers of an overlay can be kept in `directory`.
pub fn probe(directory: &Path) -> Result<(), Cause> {
    let unfit = |lacks| Cause::Unfit {
        path: directory.to_owned(),
        lacks,
    };
    let stat = rustix::fs::statfs(directory)
        .map_err(|errno| FileError::new("look at", directory, errno))?;
    // OVERLAYFS_SUPER_MAGIC of linux/magic.h
    if i128::from(stat.f_type) == 0x794c_7630 {
        return Err(unfit("is an overlay itself"));
    }
    let name = format!(".rlxc-probe-{}", std::process::id());
    let path = directory.join(&name);
    file::create_dir(&path, 0o700)?;
    let parent = path::open_dir(directory)?;
    let marked = Entry::new(&parent, OsStr::new(&name))
        .set_xattr(OsStr::new("trusted.overlay.opaque"), b"y");
    let device = rustix::fs::FileType::CharacterDevice;
    let mode = rustix::fs::Mode::empty();
    let whiteout = rustix::fs::mknodat(rustix::fs::CWD, path.join("w"), device, mode, 0);
    path::remove_tree(&parent, OsStr::new(&name))?;
    marked.map_err(|_| unfit("has no `trusted` extended attributes"))?;
    whiteout.map_err(|_| unfit("can't hold whiteouts"))?;
    Ok(())
}

impl OverlayDriver {
    /// Lays out a new pool.
    pub fn create(spec: &PoolSpec) -> Result<Self, Error> {
        let pool = PoolDir::create(spec, &RULES).pool("create", &spec.name)?;
        Self::with(pool, Table::new(BTreeMap::new(), &[]))
    }

    /// Opens a pool. Layers that no record names are what a crash left: they go.
    pub fn open(spec: &PoolSpec) -> Result<Self, Error> {
        let pool = PoolDir::open(spec, &Rules::PLAIN).pool("open", &spec.name)?;
        let table = load(&pool).pool("open", &spec.name)?;
        Self::with(pool, table)
    }

    fn with(pool: PoolDir, table: Table) -> Result<Self, Error> {
        let (pool, table) = (Arc::new(pool), Arc::new(Mutex::new(table)));
        let settler = Settler::start(&pool, &table).pool("open", &pool.name)?;
        Ok(Self {
            settler,
            pool,
            table,
            ahead: Mutex::default(),
        })
    }

    fn ahead(&self) -> MutexGuard<'_, Ahead> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // The table is changed by single insertions and removals, so a panic elsewhere left it whole.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn layers(&self) -> Layers<'_> {
        Layers(&self.pool)
    }

    fn record(&self, volume: VolumeRef) -> Result<Record, Cause> {
        let record = self.table().records.get(&volume).cloned();
        record.ok_or_else(|| Cause::NotFound {
            what: format!("`{}`", self.pool.volume(volume).display()),
        })
    }

    /// The volumes that are no layers.
    fn plain(&self, volume: VolumeRef) -> Option<Plain<'_>> {
        (volume.kind == VolumeKind::Custom).then_some(Plain(&self.pool))
    }

    /// Marks an image as deleted while volumes stand on it; removes it otherwise.
    fn try_delete_image(&self, fingerprint: &str) -> Result<(), Cause> {
        let path = self.pool.image(fingerprint);
        let table = self.table();
        if table.needs_image(fingerprint) {
            let mark = path.join(TOMBSTONE);
            return Ok(file::write_atomic(&mark, b"", 0o600, Durability::Durable)?);
        }
        self.pool.trash.take(&path)?;
        Ok(())
    }
}

/// In the directory of an image that was deleted while volumes stood on it.
const TOMBSTONE: &str = "deleted";

fn load(pool: &PoolDir) -> Result<Table, Cause> {
    let mut records = BTreeMap::new();
    let mut broken = false;
    let layered = |volume: &VolumeRef| volume.kind == VolumeKind::Container;
    for volume in pool.volumes()?.into_iter().filter(layered) {
        match load_record(pool, volume) {
            Ok(record) => records.extend(record.map(|record| (volume, record))),
            Err(error) => {
                broken = true;
                tracing::error!(%volume, error = %chain(&error), "volume has no readable record");
            }
        }
    }
    let layers = Layers(pool);
    let on_disk = layers.list()?;
    let table = Table::new(records, &on_disk);
    for record in table.records.values() {
        layers.ensure_upper(record)?;
    }
    // What an unreadable record names is not known; better keep too much than lose that volume's data.
    if !broken {
        layers.discard(table.unneeded(on_disk.into_iter().collect()));
        for image in list_images(pool)? {
            let path = pool.image(&image);
            if path.join(TOMBSTONE).exists() && !table.needs_image(&image) {
                pool.trash.take(&path)?;
            }
        }
    }
    Ok(table)
}

/// The record of a volume, which is on disk then; none if a power cut took it while it was made.
fn load_record(pool: &PoolDir, volume: VolumeRef) -> Result<Option<Record>, Cause> {
    let dir = pool.volume(volume);
    match Record::load(&dir)? {
        Found::Whole(record) => Ok(Some(record)),
        Found::Unsettled(record) => {
            record.save(&dir)?;
            Record::sync(&dir)?;
            Record::forget_before(&dir)?;
            Ok(Some(record))
        }
        Found::HalfMade => {
            tracing::warn!(%volume, "a power cut came before it was on disk: it is removed");
            pool.trash.take(&dir)?;
            Ok(None)
        }
    }
}

impl Driver for OverlayDriver {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            driver: "overlay",
            instant_clone: true,
            optimized_snapshots: true,
            quota: self.pool.has_projects,
            no_quota: self.pool.why_no_quota(),
            overlay: true,
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
        let path = self.pool.image(fingerprint);
        if path.is_dir() {
            // Under the lock: the last volume on it may be about to go.
            let _table = self.table();
            let unmarked = file::remove(&path.join(TOMBSTONE));
            return unmarked.image("unpack", fingerprint);
        }
        let fill = |scratch| create_image(&self.pool, scratch, fingerprint, filler);
        let scratch = self.pool.trash.scratch().map_err(Cause::from);
        scratch.and_then(fill).image("unpack", fingerprint)
    }

    fn image_dir(&self, fingerprint: &str) -> Option<PathBuf> {
        let path = self.pool.image(fingerprint);
        (path.is_dir() && !path.join(TOMBSTONE).exists()).then_some(path)
    }

    fn delete_image(&self, fingerprint: &str) -> Result<(), Error> {
        self.try_delete_image(fingerprint)
            .image("delete", fingerprint)
    }

    fn create_volume(&self, volume: VolumeRef, source: &Source) -> Result<(), Error> {
        match self.plain(volume) {
            Some(plain) => plain.create_volume(volume, source),
            None => self.try_create_volume(volume, source),
        }
        .volume("create", volume)
    }

    fn delete_volume(&self, volume: VolumeRef) -> Result<(), Error> {
        match self.plain(volume) {
            Some(plain) => plain.delete_volume(volume),
            None => self.try_delete_volume(volume),
        }
        .volume("delete", volume)
    }

    fn volume_dir(&self, volume: VolumeRef) -> Result<PathBuf, Error> {
        existing_volume(&self.pool, volume).volume("find", volume)
    }

    fn root(&self, volume: VolumeRef) -> Result<RootSource, Error> {
        match self.plain(volume) {
            Some(plain) => plain.root(volume),
            None => self
                .record(volume)
                .map(|record| self.layers().root(&record)),
        }
        .volume("find", volume)
    }

    fn snapshot_root(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<RootSource, Error> {
        match self.plain(volume) {
            Some(plain) => plain.snapshot_root(volume, snapshot),
            None => self
                .chain(volume, snapshot)
                .and_then(|chain| Ok(self.layers().view(&chain)?)),
        }
        .snapshot("find", volume, snapshot)
    }

    fn create_snapshot(
        &self,
        volume: VolumeRef,
        snapshot: SnapshotId,
        state: State,
    ) -> Result<(), Error> {
        match (self.plain(volume), state) {
            (Some(plain), _) => plain.create_snapshot(volume, snapshot),
            (None, State::Stopped) => self.freeze_upper(volume, snapshot),
            (None, State::Frozen) => self.copy_upper(volume, snapshot),
        }
        .snapshot("create", volume, snapshot)
    }

    fn prepare_snapshot(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Error> {
        match self.plain(volume) {
            Some(_) => Ok(()),
            None => self.copy_ahead(volume, snapshot),
        }
        .snapshot("copy ahead", volume, snapshot)
    }

    fn copy_snapshot(
        &self,
        volume: VolumeRef,
        snapshot: SnapshotId,
        from: (VolumeRef, SnapshotId),
    ) -> Result<(), Error> {
        match self.plain(volume) {
            Some(plain) => plain.copy_snapshot(volume, snapshot, from),
            None => self.try_copy_snapshot(volume, snapshot, from),
        }
        .snapshot("copy", volume, snapshot)
    }

    fn settle_snapshot(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Error> {
        let settle = || -> Result<(), Cause> {
            let tree = match self.plain(volume) {
                Some(_) => self.pool.volume(volume),
                None => match self.copied_layer(volume, snapshot)? {
                    Some(layer) => self.layers().tree(layer),
                    None => return Ok(()),
                },
            };
            sync_file_system(&tree)
        };
        settle().snapshot("write", volume, snapshot)
    }

    fn restore_snapshot(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Error> {
        match self.plain(volume) {
            Some(plain) => plain.restore(volume, snapshot),
            None => self.try_restore(volume, snapshot),
        }
        .snapshot("restore", volume, snapshot)
    }

    fn delete_snapshot(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Error> {
        match self.plain(volume) {
            Some(plain) => plain.delete_snapshot(volume, snapshot),
            None => self.try_delete_snapshot(volume, snapshot),
        }
        .snapshot("delete", volume, snapshot)
    }

    fn volume_usage(&self, volume: VolumeRef) -> Result<u64, Error> {
        match self.plain(volume) {
            Some(plain) => plain.usage(volume),
            None => self.try_usage(volume),
        }
        .volume("measure", volume)
    }

    fn set_quota(&self, volume: VolumeRef, most: Option<u64>) -> Result<(), Error> {
        match self.plain(volume) {
            _ if !self.pool.has_projects => projects::refuse(most),
            Some(plain) => plain.set_quota(volume, most),
            None => self.try_set_quota(volume, most),
        }
        .volume("limit", volume)
    }

    fn list_volumes(&self) -> Result<Contents, Error> {
        let mut images = list_images(&self.pool).pool("list", &self.pool.name)?;
        images.retain(|image| self.image_dir(image).is_some());
        let mut volumes = BTreeMap::new();
        for volume in self.pool.volumes().pool("list", &self.pool.name)? {
            if let Some(plain) = self.plain(volume) {
                let snapshots = plain.snapshots(volume).pool("list", &self.pool.name)?;
                volumes.insert(volume, VolumeContents { snapshots });
            }
        }
        let table = self.table();
        volumes.extend(table.records.iter().map(|(volume, record)| {
            let snapshots = record.snapshots.keys().copied().collect();
            (*volume, VolumeContents { snapshots })
        }));
        Ok(Contents { images, volumes })
    }
}

#[cfg(test)]
mod tests;
