//! Storage that breaks on order: a real driver, each of whose effects is a step.

use std::io::Read;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rlxc_storage::{
    Capabilities, Cause, Contents, Driver, Error, FillError, Piece, PoolSpec, SnapshotId, Source,
    State, Usage, VolumeRef,
};
use rlxc_sys::rootfs::RootSource;

use super::faults::{Faults, Verdict};
use crate::app::pool::{HostOpener, Opener};

/// Opens real pools.
#[derive(Debug)]
pub(super) struct FaultyOpener(pub(super) Arc<Faults>);

#[derive(Debug)]
struct FaultyDriver {
    inner: Arc<dyn Driver>,
    faults: Arc<Faults>,
}

fn injected(action: &'static str) -> Error {
    let source = Cause::Fill(FillError::from("injected"));
    let pool = "injected".to_owned();
    Error::Pool {
        action,
        pool,
        source,
    }
}

fn step<T>(
    faults: &Faults,
    what: &'static str,
    effect: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    match faults.step(what) {
        Verdict::Go => effect(),
        Verdict::Refuse => Err(injected(what)),
        Verdict::GoAndFail => {
            effect()?;
            Err(injected(what))
        }
    }
}

impl FaultyOpener {
    fn wrap(&self, inner: Arc<dyn Driver>) -> Arc<dyn Driver> {
        let faults = Arc::clone(&self.0);
        Arc::new(FaultyDriver { inner, faults })
    }
}

impl Opener for FaultyOpener {
    fn create(&self, spec: &PoolSpec) -> Result<Arc<dyn Driver>, Error> {
        let made = step(&self.0, "create pool", || HostOpener.create(spec))?;
        Ok(self.wrap(made))
    }

    fn open(&self, spec: &PoolSpec) -> Result<Arc<dyn Driver>, Error> {
        let opened = step(&self.0, "open pool", || HostOpener.open(spec))?;
        Ok(self.wrap(opened))
    }
}

impl Driver for FaultyDriver {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn check(&self) -> Result<(), Error> {
        self.inner.check()
    }

    fn resize_pool(&self, bytes: u64) -> Result<(), Error> {
        step(&self.faults, "resize pool", || {
            self.inner.resize_pool(bytes)
        })
    }

    fn set_quota(&self, volume: VolumeRef, most: Option<u64>) -> Result<(), Error> {
        self.inner.set_quota(volume, most)
    }

    fn delete_pool(&self) -> Result<(), Error> {
        step(&self.faults, "delete pool", || self.inner.delete_pool())
    }

    fn usage(&self) -> Result<Usage, Error> {
        self.inner.usage()
    }

    fn create_image(
        &self,
        fingerprint: &str,
        filler: &mut dyn FnMut(&Path) -> Result<(), FillError>,
    ) -> Result<(), Error> {
        step(&self.faults, "create image", || {
            self.inner.create_image(fingerprint, filler)
        })
    }

    fn image_dir(&self, fingerprint: &str) -> Option<PathBuf> {
        self.inner.image_dir(fingerprint)
    }

    fn delete_image(&self, fingerprint: &str) -> Result<(), Error> {
        step(&self.faults, "delete image", || {
            self.inner.delete_image(fingerprint)
        })
    }

    fn create_volume(&self, volume: VolumeRef, source: &Source) -> Result<(), Error> {
        step(&self.faults, "create volume", || {
            self.inner.create_volume(volume, source)
        })
    }

    fn delete_volume(&self, volume: VolumeRef) -> Result<(), Error> {
        step(&self.faults, "delete volume", || {
            self.inner.delete_volume(volume)
        })
    }

    fn volume_dir(&self, volume: VolumeRef) -> Result<PathBuf, Error> {
        self.inner.volume_dir(volume)
    }

    fn root(&self, volume: VolumeRef) -> Result<RootSource, Error> {
        self.inner.root(volume)
    }

    fn snapshot_root(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<RootSource, Error> {
        self.inner.snapshot_root(volume, snapshot)
    }

    fn create_snapshot(
        &self,
        volume: VolumeRef,
        snapshot: SnapshotId,
        state: State,
    ) -> Result<(), Error> {
        step(&self.faults, "create snapshot", || {
            self.inner.create_snapshot(volume, snapshot, state)
        })
    }

    fn copy_snapshot(
        &self,
        volume: VolumeRef,
        snapshot: SnapshotId,
        from: (VolumeRef, SnapshotId),
    ) -> Result<(), Error> {
        step(&self.faults, "copy snapshot", || {
            self.inner.copy_snapshot(volume, snapshot, from)
        })
    }

    fn settle_snapshot(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Error> {
        step(&self.faults, "settle snapshot", || {
            self.inner.settle_snapshot(volume, snapshot)
        })
    }

    fn prepare_snapshot(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Error> {
        step(&self.faults, "copy ahead", || {
            self.inner.prepare_snapshot(volume, snapshot)
        })
    }

    fn restore_snapshot(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Error> {
        // From this one there is no way back, so drivers promise that one that failed did nothing.
        match self.faults.step("restore snapshot") {
            Verdict::Go => self.inner.restore_snapshot(volume, snapshot),
            Verdict::Refuse | Verdict::GoAndFail => Err(injected("restore snapshot")),
        }
    }

    fn delete_snapshot(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Error> {
        step(&self.faults, "delete snapshot", || {
            self.inner.delete_snapshot(volume, snapshot)
        })
    }

    fn can_send(&self, volume: VolumeRef) -> Result<bool, Error> {
        self.inner.can_send(volume)
    }

    fn send(&self, volume: VolumeRef, piece: Piece, out: BorrowedFd<'_>) -> Result<(), Error> {
        self.inner.send(volume, piece, out)
    }

    fn receive(&self, volume: VolumeRef, piece: Piece, stream: &mut dyn Read) -> Result<(), Error> {
        step(&self.faults, "receive stream", || {
            self.inner.receive(volume, piece, stream)
        })
    }

    fn volume_usage(&self, volume: VolumeRef) -> Result<u64, Error> {
        self.inner.volume_usage(volume)
    }

    fn list_volumes(&self) -> Result<Contents, Error> {
        self.inner.list_volumes()
    }
}
