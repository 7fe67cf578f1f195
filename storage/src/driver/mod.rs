//! The seam between what a pool promises and how a file system keeps it. `conformance` holds every driver to it.

pub mod btrfs;
pub mod dir;
pub mod fake;
pub mod overlay;
mod plain;
pub(crate) mod projects;
pub(crate) mod shared;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Read;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rlxc_sys::rootfs::RootSource;

use crate::error::{Cause, Doing, Error, FillError};
use crate::volume::{SnapshotId, VolumeRef};

/// What a driver can do beyond the common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent yes or no, as a table of drivers shows them"
)]
pub struct Capabilities {
    /// Its name.
    pub driver: &'static str,
    /// A volume on an image costs the same whatever the size of the image.
    pub instant_clone: bool,
    /// So does a snapshot of a stopped instance.
    pub optimized_snapshots: bool,
    /// Volumes of this pool can be limited in size.
    pub quota: bool,
    /// Why they can't.
    pub no_quota: &'static str,
    /// Roots are overlays.
    pub overlay: bool,
    /// Volumes can go as streams of the driver's own from one pool to another.
    pub streams: bool,
}

/// Why drivers without [`Capabilities::streams`] take none.
pub const NO_STREAMS: &str = "this driver has no format of its own (the driver btrfs has one)";

/// How full a pool's file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes.
    pub space_total: u64,
    /// Bytes.
    pub space_used: u64,
    /// Inodes; 0 where the file system makes them as it needs them.
    pub inodes_total: u64,
    /// Inodes.
    pub inodes_used: u64,
}

/// What goes as one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// A snapshot of the volume; what the volume is now otherwise.
    pub snapshot: Option<SnapshotId>,
    /// Only what is not the same in this older snapshot, which is at both ends.
    pub since: Option<SnapshotId>,
}

impl Piece {
    /// The pieces of a volume, each but the first by what is new in it: snapshots, the oldest first, and then what `main`
    /// is, or the volume.
    pub fn all(snapshots: &[SnapshotId], main: Option<SnapshotId>) -> Vec<Self> {
        let all = snapshots.iter().copied().map(Some).chain([main]);
        let before = std::iter::once(None).chain(snapshots.iter().copied().map(Some));
        all.zip(before)
            .map(|(snapshot, since)| Self { snapshot, since })
            .collect()
    }
}

/// What a new volume begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An empty root directory of root's, mode 0755.
    Empty,
    /// An image of the pool, by fingerprint.
    Image(String),
    /// What another volume of the same pool holds, which is not in use, or what a snapshot of it holds.
    Copy {
        /// The volume.
        from: VolumeRef,
        /// Its snapshot; the volume itself otherwise.
        snapshot: Option<SnapshotId>,
    },
}

/// Whether the volume is in use while a snapshot is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No mount of it exists.
    Stopped,
    /// It is mounted; the caller keeps its processes from writing.
    Frozen,
}

/// All that a pool holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Fingerprints.
    pub images: Vec<String>,
    /// Volumes with their snapshots.
    pub volumes: BTreeMap<VolumeRef, VolumeContents>,
}

/// What belongs to a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeContents {
    /// In order of their ids.
    pub snapshots: Vec<SnapshotId>,
}

/// A storage pool. Everything that returned is on disk for good; what did not leaves nothing behind.
///
/// Deleting what is not there is no error, so that undoing may be repeated. One process has a pool open at a
/// time; calls about different volumes may run side by side, the caller orders those about one.
pub trait Driver: Send + Sync + Debug {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Whether it is still there: what it stands on may have been taken away.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Deletes the pool with all that is in it, off the caller's path; nothing else may be called afterwards.
    fn delete_pool(&self) -> Result<(), Error>;

    /// How full it is.
    fn usage(&self) -> Result<Usage, Error>;

    /// Makes the pool `bytes` large; it never shrinks.
    fn resize_pool(&self, _bytes: u64) -> Result<(), Error> {
        let refused: Result<(), Cause> = Err(Cause::Unsupported {
            what: "only pools on a loop file of their own can grow",
        });
        refused.pool("resize", self.capabilities().driver)
    }

    /// Adds an image unless it is there. `filler` is given an empty directory and puts `rootfs/`,
    /// `metadata.yaml` and `templates/` there.
    fn create_image(
        &self,
        fingerprint: &str,
        filler: &mut dyn FnMut(&Path) -> Result<(), FillError>,
    ) -> Result<(), Error>;

    /// The directory of an image, `None` if the pool does not have it.
    fn image_dir(&self, fingerprint: &str) -> Option<PathBuf>;

    /// Deletes an image. Volumes that stand on it live on; its files go with the last of them.
    fn delete_image(&self, fingerprint: &str) -> Result<(), Error>;

    /// Makes a volume.
    fn create_volume(&self, volume: VolumeRef, source: &Source) -> Result<(), Error>;

    /// Deletes a volume and its snapshots. What other volumes need of it stays.
    fn delete_volume(&self, volume: VolumeRef) -> Result<(), Error>;

    /// A directory of the volume's own, with `metadata.yaml` and `templates/` of the image it came from.
    fn volume_dir(&self, volume: VolumeRef) -> Result<PathBuf, Error>;

    /// What to mount as the root of the volume.
    fn root(&self, volume: VolumeRef) -> Result<RootSource, Error>;

    /// What to mount, read-only, to see a snapshot.
    fn snapshot_root(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<RootSource, Error>;

    /// Does what can be done of a snapshot while the volume's processes write still, so that they need not be frozen for it.
    /// [`Driver::create_snapshot`] of the same, in [`State::Frozen`], does the rest; [`Driver::delete_snapshot`] undoes it.
    fn prepare_snapshot(&self, _volume: VolumeRef, _snapshot: SnapshotId) -> Result<(), Error> {
        Ok(())
    }

    /// Takes a snapshot. It is on disk for good after [`Driver::settle_snapshot`]; that is apart because whoever is frozen
    /// for the snapshot need not wait for it.
    fn create_snapshot(
        &self,
        volume: VolumeRef,
        snapshot: SnapshotId,
        state: State,
    ) -> Result<(), Error>;

    /// Gives the volume a snapshot that holds what a snapshot of another volume of the same pool holds.
    fn copy_snapshot(
        &self,
        volume: VolumeRef,
        snapshot: SnapshotId,
        from: (VolumeRef, SnapshotId),
    ) -> Result<(), Error>;

    /// Waits until a snapshot that was just taken is on disk.
    fn settle_snapshot(&self, _volume: VolumeRef, _snapshot: SnapshotId) -> Result<(), Error> {
        Ok(())
    }

    /// Makes the volume, which is not in use, what it was when the snapshot was taken. Later snapshots stay.
    fn restore_snapshot(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Error>;

    /// Deletes a snapshot; the others and the volume stay as they are.
    fn delete_snapshot(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Error>;

    /// Whether the volume, with its snapshots, can go as streams; see [`Capabilities::streams`].
    fn can_send(&self, _volume: VolumeRef) -> Result<bool, Error> {
        Ok(false)
    }

    /// Writes a piece of the volume as a stream into a pipe or a file. The volume itself must not be in use.
    fn send(&self, volume: VolumeRef, _piece: Piece, _out: BorrowedFd<'_>) -> Result<(), Error> {
        let refused: Result<(), Cause> = Err(Cause::Unsupported { what: NO_STREAMS });
        refused.volume("send", volume)
    }

    /// Makes the volume, or a snapshot of it, of a stream. Snapshots come before the volume. Nothing in the stream is trusted.
    fn receive(
        &self,
        volume: VolumeRef,
        _piece: Piece,
        _stream: &mut dyn Read,
    ) -> Result<(), Error> {
        let refused: Result<(), Cause> = Err(Cause::Unsupported { what: NO_STREAMS });
        refused.volume("receive", volume)
    }

    /// Bytes that the volume and its snapshots take beyond the image.
    fn volume_usage(&self, volume: VolumeRef) -> Result<u64, Error>;

    /// Limits what the volume, without its snapshots, may take beyond the image to `most` bytes; `None` lifts the limit.
    /// Refused where less than what is used, and by drivers without [`Capabilities::quota`]. A copy has no limit, a
    /// volume that is restored keeps its own.
    fn set_quota(&self, volume: VolumeRef, most: Option<u64>) -> Result<(), Error> {
        let refused: Result<(), Cause> = match most {
            None => Ok(()),
            Some(_) => Err(Cause::Unsupported {
                what: self.capabilities().no_quota,
            }),
        };
        refused.volume("limit", volume)
    }

    /// All that is there, for comparison with the inventory.
    fn list_volumes(&self) -> Result<Contents, Error>;
}

impl dyn Driver + '_ {
    /// Its name, one of [`crate::DRIVERS`].
    pub fn name(&self) -> &'static str {
        self.capabilities().driver
    }

    /// Whether the pool has an image.
    pub fn has_image(&self, fingerprint: &str) -> bool {
        self.image_dir(fingerprint).is_some()
    }
}

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
