//! What volumes and snapshots are called: ids from the inventory, so that a rename touches nothing on disk.

use std::fmt;

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
