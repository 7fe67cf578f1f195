//! `backup/index.yaml` and `backup.yaml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rlxc_api::{Instance, InstanceSnapshot, Profile, StoragePool, StorageVolume};
use serde::{Deserialize, Serialize};

use crate::image::ImageError;

/// What is in a backup.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BackupIndex {
    /// The instance's or volume's name.
    pub name: String,
    /// The driver of its pool.
    #[serde(default)]
    pub backend: String,
    /// The name of its pool.
    #[serde(default)]
    pub pool: String,
    /// Names of the snapshots, in the order of the archive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<String>,
    /// Whether the trees are in a format of the pool's own.
    #[serde(default)]
    pub optimized: bool,
    /// Whether such a format has a header.
    #[serde(default)]
    pub optimized_header: bool,
    /// `container`, and nothing means the same; `custom` for a volume.
    #[serde(default, rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<BackupConfig>,
}

/// The configuration of an instance, as it is in the index and in `backup.yaml`, or that of a custom volume.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackupConfig {
    /// The instance; newer servers write `instance`.
    #[serde(alias = "instance", skip_serializing_if = "Option::is_none")]
    pub container: Option<Instance>,
    /// Its snapshots, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<InstanceSnapshot>,
    /// Its pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<StoragePool>,
    /// Its profiles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<Profile>,
    /// Its root volume, or the custom volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<StorageVolume>,
    /// The volume's snapshots.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_snapshots: Vec<rlxc_api::StorageVolumeSnapshot>,
    /// What is called how on disk; only in a description that lies on a pool, and only in ours.
    #[serde(rename = "rlxc", skip_serializing_if = "Option::is_none")]
    pub on_disk: Option<OnDisk>,
}

/// What a pool itself does not tell: on disk there are numbers only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OnDisk {
    /// The first host id of the instance's range: it may run still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idmap_base: Option<u32>,
    /// Numbers of the snapshots, by name.
    pub snapshots: BTreeMap<String, u64>,
}

/// Where in the archive what is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Of an instance.
    Instance,
    /// Of a custom volume.
    Volume,
}

impl Layout {
    /// The part that is not a snapshot.
    pub(super) fn main(self) -> &'static Path {
        Path::new(match self {
            Self::Instance => "backup/container",
            Self::Volume => "backup/volume",
        })
    }

    /// Where the snapshots are.
    pub(super) fn snapshots(self) -> &'static Path {
        Path::new(match self {
            Self::Instance => "backup/snapshots",
            Self::Volume => "backup/volume-snapshots",
        })
    }

    /// Where the root directory of a part is.
    pub(super) fn root(self, part: &Path) -> PathBuf {
        match self {
            Self::Instance => part.join("rootfs"),
            Self::Volume => part.to_owned(),
        }
    }
}

/// The [`BackupIndex::kind`] of a custom volume.
const CUSTOM: &str = "custom";

impl BackupIndex {
    /// Where what is in the archive.
    pub fn layout(&self) -> Layout {
        if self.kind == CUSTOM {
            Layout::Volume
        } else {
            Layout::Instance
        }
    }

    pub(super) fn parse(text: &[u8]) -> Result<Self, ImageError> {
        serde_norway::from_slice(text).map_err(|source| ImageError::Yaml {
            name: "backup/index.yaml",
            source,
        })
    }

    pub(super) fn render(&self) -> Result<String, ImageError> {
        serde_norway::to_string(self).map_err(|source| ImageError::Yaml {
            name: "backup/index.yaml",
            source,
        })
    }
}

impl BackupConfig {
    pub(super) fn parse(text: &[u8]) -> Result<Self, ImageError> {
        serde_norway::from_slice(text).map_err(|source| ImageError::Yaml {
            name: "backup.yaml",
            source,
        })
    }

    pub(super) fn render(&self) -> Result<String, ImageError> {
        serde_norway::to_string(self).map_err(|source| ImageError::Yaml {
            name: "backup.yaml",
            source,
        })
    }
}
