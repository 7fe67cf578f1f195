//! What volumes and snapshots are called: ids from the inventory, so that a rename touches nothing on disk.

use std::fmt;

use rlxc_sys::file::FileError;
use serde::{Deserialize, Serialize};

/// What a volume is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeKind {
    /// The root file system of an instance.
    Container,
    /// A volume of its own, attached to instances.
    Custom,
}

impl VolumeKind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Container, Self::Custom];

    /// The directory of a pool that holds this kind.
    pub(crate) fn dir(self) -> &'static str {
        match self {
            Self::Container => "containers",
            Self::Custom => "custom",
        }
    }
}

/// One volume of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VolumeRef {
    /// What it is for; ids count by kind.
    pub kind: VolumeKind,
    /// Its number in the inventory.
    pub id: u64,
}

impl VolumeRef {
    /// The root volume of an instance.
    pub fn container(id: u64) -> Self {
        let kind = VolumeKind::Container;
        Self { kind, id }
    }

    /// A custom volume.
    pub fn custom(id: u64) -> Self {
        let kind = VolumeKind::Custom;
        Self { kind, id }
    }
}

/// Owner and mode of the root directory of a volume; ids as who mounts it sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootOwner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permissions.
    pub mode: u32,
}

impl RootOwner {
    /// Gives the root of a volume that is a plain tree to its owner.
    pub fn give(self, root: &rlxc_sys::rootfs::RootSource) -> Result<(), FileError> {
        use rustix::fs::{CWD, Gid, Mode, Uid};
        let rlxc_sys::rootfs::RootSource::Tree { path } = root else {
            return Ok(());
        };
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        let failed = |errno| FileError::new("set owner and mode of", path, errno);
        rustix::fs::chown(path, Some(uid), Some(gid)).map_err(failed)?;
        rustix::fs::chmodat(
            CWD,
            path,
            Mode::from_raw_mode(self.mode),
            rustix::fs::AtFlags::empty(),
        )
        .map_err(failed)
    }
}

impl fmt::Display for VolumeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            VolumeKind::Container => "root volume",
            VolumeKind::Custom => "custom volume",
        };
        write!(f, "{kind} {}", self.id)
    }
}

/// The number of a snapshot in the inventory; unique among the snapshots of its volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SnapshotId(pub u64);

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
