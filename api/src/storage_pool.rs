//! Storage pools: `/1.0/storage-pools`.

use serde::{Deserialize, Serialize};

use crate::wire::{ConfigMap, nullable};

/// The writable fields of a pool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StoragePoolPut {
    /// Configuration keys.
    #[serde(deserialize_with = "nullable")]
    pub config: ConfigMap,
    /// Free text.
    pub description: String,
}

/// A storage pool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StoragePool {
    /// The writable fields.
    #[serde(flatten)]
    pub put: StoragePoolPut,
    /// Name.
    pub name: String,
    /// `overlay`, `dir`, `btrfs`, …
    pub driver: String,
    /// URLs of what is in it.
    #[serde(deserialize_with = "nullable")]
    pub used_by: Vec<String>,
    /// `Created`, `Pending`, `Errored` or `Unavailable`.
    pub status: String,
    /// Cluster members that have it.
    #[serde(deserialize_with = "nullable")]
    pub locations: Vec<String>,
}

/// Body of `POST /1.0/storage-pools`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StoragePoolsPost {
    /// The writable fields.
    #[serde(flatten)]
    pub put: StoragePoolPut,
    /// Name.
    pub name: String,
    /// Driver.
    pub driver: String,
}

/// Space of a pool: `/1.0/storage-pools/{name}/resources`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ResourcesStoragePool {
    /// Bytes.
    pub space: ResourcesStoragePoolSpace,
    /// Inodes.
    pub inodes: ResourcesStoragePoolInodes,
    /// What the pool's driver can do here; other servers don't tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<ResourcesStoragePoolDriver>,
}

/// What a driver can do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ResourcesStoragePoolDriver {
    /// A new volume costs the same whatever the size of its image.
    pub instant_clone: bool,
    /// So does a snapshot.
    pub optimized_snapshots: bool,
    /// Volumes can be limited in size.
    pub quota: bool,
    /// Why they can't.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub no_quota: String,
}

/// Bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ResourcesStoragePoolSpace {
    /// In use.
    pub used: u64,
    /// All.
    pub total: u64,
}

/// Inodes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ResourcesStoragePoolInodes {
    /// In use.
    pub used: u64,
    /// All.
    pub total: u64,
}
