//! What was lost with the inventory and is on pools still: `/internal/recover`.

use serde::{Deserialize, Serialize};

use crate::StoragePoolsPost;
use crate::wire::nullable;

/// Body of POST on `/internal/recover/validate` and `/internal/recover/import`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct RecoverPost {
    /// Pools that the inventory lost, beside those in the daemon's own directory, which it finds by itself.
    #[serde(deserialize_with = "nullable")]
    pub pools: Vec<StoragePoolsPost>,
}

/// What was found, and what is missing to take it back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, rename_all = "PascalCase")]
pub struct RecoverFound {
    /// Instances and custom volumes that the inventory does not know.
    #[serde(deserialize_with = "nullable")]
    pub unknown_volumes: Vec<RecoverVolume>,
    /// What must be made before they can be taken back.
    #[serde(deserialize_with = "nullable")]
    pub dependency_errors: Vec<String>,
    /// Pools that the inventory does not know.
    #[serde(deserialize_with = "nullable")]
    pub lost_pools: Vec<StoragePoolsPost>,
    /// Volumes of nobody that can't be taken back, and why not.
    #[serde(deserialize_with = "nullable")]
    pub unreadable_volumes: Vec<String>,
}

/// A volume that the inventory does not know.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct RecoverVolume {
    /// Its name: of an instance, or of a custom volume.
    pub name: String,
    /// `container` or `custom`.
    #[serde(rename = "type")]
    pub kind: String,
    /// How many snapshots it has.
    pub snapshot_count: usize,
    /// Its project.
    pub project: String,
    /// Its pool.
    pub pool: String,
}
