//! Storage volumes: `/1.0/storage-pools/{pool}/volumes/{type}/{name}`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::wire::{ConfigMap, Timestamp, nullable};

/// The writable fields of a volume.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StorageVolumePut {
    /// Configuration keys.
    #[serde(deserialize_with = "nullable")]
    pub config: ConfigMap,
    /// Free text.
    pub description: String,
    /// PUT only: name of the snapshot to go back to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub restore: String,
}

/// A volume.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StorageVolume {
    /// The writable fields.
    #[serde(flatten)]
    pub put: StorageVolumePut,
    /// Name.
    pub name: String,
    /// `container`, `image` or `custom`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its pool.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pool: String,
    /// URLs of what uses it.
    #[serde(deserialize_with = "nullable")]
    pub used_by: Vec<String>,
    /// Cluster member.
    pub location: String,
    /// `filesystem` or `block`.
    pub content_type: String,
    /// Project that it belongs to.
    pub project: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Body of `POST /1.0/storage-pools/{pool}/volumes`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StorageVolumesPost {
    /// The writable fields.
    #[serde(flatten)]
    pub put: StorageVolumePut,
    /// Name.
    pub name: String,
    /// `custom`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What to copy.
    pub source: StorageVolumeSource,
    /// `filesystem` or `block`; empty is `filesystem`.
    pub content_type: String,
}

/// What a new volume is copied from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StorageVolumeSource {
    /// Name of the volume.
    pub name: String,
    /// `copy` or `migration`; empty for a new, empty volume.
    #[serde(rename = "type")]
    pub kind: String,
    /// Pool of the volume.
    pub pool: String,
    /// `migration`: certificate of the source.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub certificate: String,
    /// `migration`: `pull` or `push`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
    /// `migration`: URL of the source's operation.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operation: String,
    /// `migration`: secrets of the source's websockets.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "nullable"
    )]
    pub secrets: BTreeMap<String, String>,
    /// Leave the snapshots.
    pub volume_only: bool,
    /// Bring an existing copy up to date.
    pub refresh: bool,
    /// Project of the source.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub project: String,
}

/// Body of POST on a volume: rename or move.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StorageVolumePost {
    /// New name.
    pub name: String,
    /// Pool to move to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pool: String,
    /// Begin a migration to another server.
    pub migration: bool,
    /// Push migration: the target's websockets.
    pub target: Option<Value>,
    /// Leave the snapshots.
    pub volume_only: bool,
    /// Project to move to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub project: String,
}

/// Use of a volume.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StorageVolumeState {
    /// Space; `None` where it is not known.
    pub usage: Option<StorageVolumeStateUsage>,
}

/// Space, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StorageVolumeStateUsage {
    /// In use.
    pub used: u64,
    /// The quota; 0 without one.
    pub total: i64,
}

/// A snapshot of a volume.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StorageVolumeSnapshot {
    /// Its own name, without the volume's.
    pub name: String,
    /// Configuration.
    #[serde(deserialize_with = "nullable")]
    pub config: ConfigMap,
    /// Free text.
    pub description: String,
    /// `filesystem` or `block`.
    pub content_type: String,
    /// When it was taken.
    pub created_at: Timestamp,
    /// When it is deleted; `None` for never.
    pub expires_at: Option<Timestamp>,
}

/// Body of POST on the snapshots of a volume.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StorageVolumeSnapshotsPost {
    /// Name; the server picks one if it is empty.
    pub name: String,
    /// When to delete it.
    pub expires_at: Option<Timestamp>,
    /// Take the place of a snapshot of this name, which goes once the new one is there (`snapshot_reuse`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reuse: bool,
}

/// Body of PUT and PATCH on a snapshot of a volume.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StorageVolumeSnapshotPut {
    /// Free text.
    pub description: String,
    /// When to delete it; `None` for never.
    pub expires_at: Option<Timestamp>,
}

/// Body of POST on a snapshot of a volume: rename, or migrate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StorageVolumeSnapshotPost {
    /// New name.
    pub name: String,
    /// Begin a migration to another server.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub migration: bool,
    /// Push migration: the target's websockets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Value>,
}
