//! Backups of instances, `/1.0/instances/{name}/backups`, and of custom volumes,
//! `/1.0/storage-pools/{pool}/volumes/custom/{name}/backups`.

use serde::{Deserialize, Serialize};

use crate::wire::Timestamp;

/// A backup that can be fetched from `export`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InstanceBackup {
    /// Its own name, without the instance's.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it is deleted; none for never.
    pub expires_at: Timestamp,
    /// Made without the snapshots.
    pub instance_only: bool,
    /// Old name of `instance_only`.
    pub container_only: bool,
    /// In the pool's own format.
    pub optimized_storage: bool,
}

/// Body of `POST /1.0/instances/{name}/backups`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InstanceBackupsPost {
    /// Name; the server picks one if it is empty.
    pub name: String,
    /// When to delete it; none for never.
    pub expires_at: Timestamp,
    /// Leave the snapshots.
    pub instance_only: bool,
    /// Old name of `instance_only`.
    pub container_only: bool,
    /// In the pool's own format.
    pub optimized_storage: bool,
    /// `gzip`, `zstd`, `xz`, `none`, …; empty is the server's own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub compression_algorithm: String,
}

/// Body of POST on a backup: rename.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InstanceBackupPost {
    /// New name.
    pub name: String,
}

/// A backup of a custom volume that can be fetched from `export`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StorageVolumeBackup {
    /// Its own name, without the volume's.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it is deleted; none for never.
    pub expires_at: Timestamp,
    /// Made without the snapshots.
    pub volume_only: bool,
    /// In the pool's own format.
    pub optimized_storage: bool,
}

/// Body of POST on the backups of a custom volume.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StorageVolumeBackupsPost {
    /// Name; the server picks one if it is empty.
    pub name: String,
    /// When to delete it; none for never.
    pub expires_at: Timestamp,
    /// Leave the snapshots.
    pub volume_only: bool,
    /// In the pool's own format.
    pub optimized_storage: bool,
    /// `gzip`, `zstd`, `xz`, `none`, …; empty is the server's own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub compression_algorithm: String,
}

/// Body of POST on a backup of a custom volume: rename.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StorageVolumeBackupPost {
    /// New name.
    pub name: String,
}
